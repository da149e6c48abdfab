"""Random inputs: away from every kink, or refused."""

import pytest
from helpers import quick

from xpnet.builder import mlp
from xpnet.errors import UsageError
from xpnet.losses import SoftmaxCrossEntropy
from xpnet.tools import random_case
from xpnet.tools.comparison_report import verdict
from xpnet.tools.gradcheck import check


@pytest.mark.parametrize("seed", quick(8, range(20)))
def test_no_seed_meets_a_kink(seed: int) -> None:
    found = check(mlp(5, 6, 3, seed=seed, activation="relu"), SoftmaxCrossEntropy(), seed=seed)
    assert verdict(found).startswith("right")


def test_inputs_all_close_to_kinks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random_case, "MARGIN", 1e3)
    with pytest.raises(UsageError, match="found no inputs"):
        check(mlp(5, 6, 3, activation="relu"), SoftmaxCrossEntropy())


def test_rows_that_are_dropped_as_a_whole_do_not_matter() -> None:
    """Without biases they are 0 whatever comes in, and no inputs would make them vary."""
    model = mlp(3, 2, 2, 2, activation="tanh", normalization="layer", dropout=0.5, bias=False)
    assert not any(c.wrong for c in check(model, SoftmaxCrossEntropy(), samples=10))
