"""Batch normalization over several steps, and arguments; values are in `test_layers`."""

import numpy as np
import pytest
from helpers import difference, needed

from xpnet.errors import UsageError
from xpnet.normalization import BatchNorm, LayerNorm


def test_running_statistics_are_torchs() -> None:
    """Four steps, the last of two samples, and then a prediction."""
    torch = needed("torch")
    theirs = torch.nn.BatchNorm1d(4, dtype=torch.float64)
    ours, x = BatchNorm(4), 3 + 2 * np.random.default_rng(0).normal(size=(6, 4))
    p = {name: np.full(4, ours.initial.get(name, 0.0)) for name in (*ours.shapes, *ours.buffers)}
    for batch in (x, x[:3] * 2, x[2:] - 5, x[:2]):
        theirs(torch.tensor(batch))
        _, cache = ours.forward(p, batch)
        p |= ours.refresh(p, cache)
    assert difference(p["mean"], theirs.running_mean) < 1e-14
    assert difference(p["var"], theirs.running_var) < 1e-14
    theirs.eval()
    assert difference(ours.infer(p, x), theirs(torch.tensor(x)).detach()) < 1e-14


def test_defaults_are_torchs() -> None:
    assert BatchNorm(4) == BatchNorm(4, eps=1e-5, rate=0.1)
    assert LayerNorm(4) == LayerNorm(4, eps=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: BatchNorm(4, eps=0.0),
        lambda: BatchNorm(4, rate=0.0),
        lambda: BatchNorm(4, rate=1.1),
        lambda: LayerNorm(4, eps=-1.0),
    ],
)
def test_numbers_outside_are_refused(wrong) -> None:
    with pytest.raises(UsageError, match=r"^(eps|rate) must be a number in \(0, "):
        wrong()
