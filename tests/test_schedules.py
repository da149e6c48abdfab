"""Schedules: where they begin, peak and end."""

import numpy as np
import pytest
from helpers import needed

from xpnet.errors import UsageError
from xpnet.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    Exponential,
    InverseScaling,
    OneCycle,
    Polynomial,
    ReduceOnPlateau,
    Step,
    WarmRestarts,
    Warmup,
)


@pytest.mark.parametrize("name", SCHEDULES)
def test_factors_are_numbers_from_0_to_1(name: str) -> None:
    factors = [SCHEDULES[name]()(s) for s in np.linspace(0, 1, 1001).tolist()[:-1]]
    assert all(type(factor) is float and 0 < factor <= 1 for factor in factors)


def test_constant() -> None:
    assert [Constant()(s) for s in (0.0, 0.5, 0.999)] == [1.0] * 3


def test_step_goes_down_at_its_milestones() -> None:
    assert [Step()(s) for s in (0, 0.49, 0.5, 0.74, 0.75)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    assert Step(0.5, (0.2,))(0.3) == 0.5
    assert Step(1.0)(0.9) == Exponential(1.0)(0.9) == 1


TORCHS = {
    "cosine": (Cosine(), "CosineAnnealingLR", {"T_max": 70}),
    "exponential": (Exponential(), "ExponentialLR", {"gamma": 0.01 ** (1 / 70)}),
    "polynomial": (Polynomial(), "PolynomialLR", {"total_iters": 70}),
    "cubic": (Polynomial(3.0), "PolynomialLR", {"total_iters": 70, "power": 3.0}),
    "restarts": (WarmRestarts(), "CosineAnnealingWarmRestarts", {"T_0": 10, "T_mult": 2}),
    "equal restarts": (WarmRestarts(7, 1.0), "CosineAnnealingWarmRestarts", {"T_0": 10}),
    "step": (Step(0.5, (0.3, 0.8)), "MultiStepLR", {"gamma": 0.5, "milestones": [21, 56]}),
}


@pytest.mark.parametrize("name", TORCHS)
def test_factors_are_torchs(name: str) -> None:
    torch = needed("torch")
    ours, kind, options = TORCHS[name]
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = getattr(torch.optim.lr_scheduler, kind)(optimizer, **options)
    for step in range(70):
        assert ours(step / 70) == pytest.approx(theirs.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        theirs.step()


def test_more_warm_restarts_than_floats_can_tell_apart() -> None:
    """Of 2000 cycles, each twice as long, the last takes half of the run: 0.75 is its middle."""
    assert WarmRestarts(2000)(0.75) == pytest.approx(0.5, rel=1e-12)
    assert 0 <= WarmRestarts(2000)(0.0) <= 1


def test_warm_restarts_begin_at_the_step_that_they_should() -> None:
    """Of cycles of 1, 3, 9, ... steps: rounding of k / 364 adds no step to a cycle."""
    assert [WarmRestarts(6, 3.0)(k / 364) for k in (0, 1, 4, 13, 40, 121)] == [1] * 6


def test_plateau_is_torchs_with_a_patience_of_one_less() -> None:
    torch = needed("torch")
    ours = ReduceOnPlateau(0.5, 3)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, eps=0)
    losses = np.random.default_rng(0).exponential(size=60).tolist()
    for epoch in range(60):
        theirs.step(losses[epoch])
        assert ours.after(losses[: epoch + 1]) == pytest.approx(theirs.get_last_lr()[0], rel=1e-12)
    assert 2**-60 < ours.after(losses) < 0.1


def test_plateau_waits_for_its_patience() -> None:
    plateau = ReduceOnPlateau(0.1, 2)
    assert [plateau.after([1.0] * n) for n in range(6)] == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01])
    assert plateau.after([1.0, 0.9, 0.8, 0.7, 0.6]) == plateau(0.5) == 1
    assert plateau.after([1.0, 0.99999, 0.99998]) == pytest.approx(0.1)
    assert plateau.after([-10.0, -10.0, -10.0]) == plateau.after([-10.0, -9.0, -8.0])
    assert plateau.after([-10.0, -10.0, -10.0]) == pytest.approx(0.1)
    assert plateau.after([-10.0, -10.1, -10.2]) == 1


def test_inverse_scaling_is_scikit_learns_per_step() -> None:
    assert [InverseScaling(0.5, 20)(t / 20) for t in range(20)] == pytest.approx(
        [(1 + t) ** -0.5 for t in range(20)], rel=1e-12
    )


def test_a_warm_up_rises_to_the_first_factor_and_leaves_the_rest() -> None:
    schedule = Warmup(Cosine(), 0.2)
    assert schedule(0) == pytest.approx(0.04)
    assert schedule(0.1) == pytest.approx(0.52)
    assert [schedule(0.2 + 0.8 * s) for s in (0, 0.5)] == pytest.approx([1, 0.5])
    assert Warmup(Cosine(), 0.0)(0.3) == Cosine()(0.3)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Step(0.0), lambda: Step(1.5), lambda: Exponential(0.0), lambda: Exponential(2.0),
        lambda: InverseScaling(0.0), lambda: InverseScaling(0.5, -1.0), lambda: Polynomial(0.0),
        lambda: WarmRestarts(0), lambda: WarmRestarts(3, 0.5), lambda: ReduceOnPlateau(0.0),
        lambda: ReduceOnPlateau(0.1, 0), lambda: Warmup(Constant(), 1.0),
        lambda: OneCycle(-0.1), lambda: OneCycle(1.1), lambda: OneCycle(float("nan")),
    ],
)  # fmt: skip
def test_parameters_outside_are_refused(wrong) -> None:
    with pytest.raises(UsageError, match="expected"):
        wrong()


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
        "exponential": Exponential(0.01),
        "inverse-scaling": InverseScaling(0.5, 100.0),
        "polynomial": Polynomial(1.0),
        "warm-restarts": WarmRestarts(3, 2.0),
        "plateau": ReduceOnPlateau(0.1, 3),
    }
