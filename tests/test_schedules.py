"""Schedules: where they begin, peak and end."""

import numpy as np
import pytest

from xpnet.errors import UsageError
from xpnet.schedules import SCHEDULES, Constant, Cosine, OneCycle, Step


@pytest.mark.parametrize("name", SCHEDULES)
def test_factors_are_numbers_from_0_to_1(name: str) -> None:
    factors = [SCHEDULES[name]()(s) for s in np.linspace(0, 1, 1001).tolist()[:-1]]
    assert all(type(factor) is float and 0 < factor <= 1 for factor in factors)


def test_constant() -> None:
    assert [Constant()(s) for s in (0.0, 0.5, 0.999)] == [1.0] * 3


def test_step_goes_down_at_its_milestones() -> None:
    assert [Step()(s) for s in (0, 0.49, 0.5, 0.74, 0.75)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    assert Step(0.5, (0.2,))(0.3) == 0.5


def test_cosine_is_torchs() -> None:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    for step in range(20):
        assert Cosine()(step / 20) == pytest.approx(theirs.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        theirs.step()


def test_one_cycle_rises_linearly_peaks_and_falls_as_a_cosine() -> None:
    cycle = OneCycle()
    assert cycle(0) == 0.04
    assert cycle(0.1) == pytest.approx(0.52)
    assert cycle(0.2) == 1
    assert cycle(0.6) == pytest.approx(0.5)
    assert cycle(0.999) < 1e-5
    assert OneCycle(warmup=0)(0) == 1


@pytest.mark.parametrize("warmup", [-0.1, 1.0, float("nan")])
def test_a_warmup_outside_is_refused(warmup: float) -> None:
    with pytest.raises(UsageError, match="expected 0 <= warmup < 1"):
        OneCycle(warmup=warmup)


def test_names_stand_for_what_they_say() -> None:
    assert {name: schedule() for name, schedule in SCHEDULES.items()} == {
        "one-cycle": OneCycle(0.04, 0.2),
        "cosine": Cosine(),
        "step": Step(0.1, (0.5, 0.75)),
        "constant": Constant(),
    }
