"""Schedules: their exact factors; torch; where they begin, peak and end."""

from dataclasses import fields
from math import sqrt

import numpy as np
import pytest
from helpers import needed, unpaired

from xpnet.errors import UsageError
from xpnet.registry import SCHEDULES
from xpnet.schedules import (
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

EXACT = {
    "constant": {(): {0.0: 1, 0.5: 1, 0.999: 1}},
    "cosine": {(): {0.0: 1, 1 / 4: (1 + sqrt(1 / 2)) / 2, 1 / 3: 3 / 4, 0.5: 1 / 2, 2 / 3: 1 / 4}},
    "exponential": {
        (): {0.0: 1, 0.25: sqrt(0.1), 0.5: 0.1, 0.75: 0.1 * sqrt(0.1)},
        (1 / 16,): {0.0: 1, 0.25: 1 / 2, 0.5: 1 / 4, 0.75: 1 / 8},
        (1.0,): {0.9: 1},
    },
    "inverse-scaling": {
        (): {0.0: 1, 0.03: 1 / 2, 0.08: 1 / 3, 0.15: 1 / 4, 0.99: 1 / 10},
        (2.0, 20.0): {0.0: 1, 0.05: 1 / 4, 0.1: 1 / 9, 0.95: 1 / 400},
    },
    "one-cycle": {
        (): {0.0: 0.04, 0.1: 0.52, 0.2: 1, 0.2 + 0.8 / 3: 3 / 4, 0.6: 1 / 2, 0.2 + 1.6 / 3: 1 / 4},
        (0.2, 0.4): {0.0: 0.2, 0.1: 0.4, 0.4: 1, 0.6: 3 / 4, 0.7: 1 / 2, 0.8: 1 / 4},
        (0.04, 0.0): {0.0: 1, 1 / 3: 3 / 4},
    },
    "plateau": {(): {0.0: 1, 0.5: 1, 0.999: 1}, (0.5, 2): {0.999: 1}},
    "polynomial": {
        (): {0.0: 1, 0.25: 3 / 4, 0.9: 1 / 10},
        (3.0,): {0.0: 1, 0.25: 27 / 64, 0.9: 1 / 1000},
    },
    "step": {
        (): {0.0: 1, 0.49: 1, 0.5: 0.1, 0.74: 0.1, 0.75: 0.01, 0.999: 0.01},
        (0.5, (0.2,)): {0.0: 1, 0.19: 1, 0.2: 0.5, 0.999: 0.5},
        (1.0,): {0.9: 1},
    },
    "warm-restarts": {  # cycles of 1, 2 and 4 sevenths of the run; of halves
        (): {0.0: 1, 1 / 14: 1 / 2, 1 / 7: 1, 2 / 7: 1 / 2, 3 / 7: 1, 13 / 21: 3 / 4, 5 / 7: 1 / 2},
        (2, 1.0): {0.0: 1, 1 / 6: 3 / 4, 1 / 4: 1 / 2, 1 / 2: 1, 3 / 4: 1 / 2},
    },
}
"""By name and arguments: the factor at each s, the part of the run that is over."""


def test_every_schedule_has_exact_values() -> None:
    """With the defaults, and with every parameter."""
    assert unpaired(EXACT, SCHEDULES) == ""
    for name, schedule in SCHEDULES.items():
        given = {len(parameters) for parameters in EXACT[name]}
        assert given >= {0, len(fields(schedule))}, f"{name}: defaults or a parameter are missing"


@pytest.mark.parametrize("name", SCHEDULES)
def test_factors_are_exact(name: str) -> None:
    for parameters, factors in EXACT[name].items():
        found = {s: SCHEDULES[name](*parameters)(s) for s in factors}
        assert found == pytest.approx(factors, rel=1e-14, abs=1e-14)


@pytest.mark.parametrize("name", SCHEDULES)
def test_factors_are_numbers_from_0_to_1(name: str) -> None:
    factors = [SCHEDULES[name]()(s) for s in np.linspace(0, 1, 1001).tolist()[:-1]]
    assert all(type(factor) is float and 0 < factor <= 1 for factor in factors)


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
    assert WarmRestarts(2, 1e38)(0.5) == pytest.approx(0.5, rel=1e-12)
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
    assert [ReduceOnPlateau().after([1.0] * n) for n in (3, 4)] == pytest.approx([1, 0.1])
    plateau = ReduceOnPlateau(0.1, 2)
    assert [plateau.after([1.0] * n) for n in range(6)] == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01])
    assert plateau.after([1.0, 0.9, 0.8, 0.7, 0.6]) == plateau(0.5) == 1
    assert plateau.after([1.0, 0.99999, 0.99998]) == pytest.approx(0.1)
    one = ReduceOnPlateau(0.1, 1)
    assert [one.after([1.0, loss]) for loss in (0.99985, 0.99995)] == pytest.approx([1, 0.1])
    for never_lower in ([0.0] * 3, [np.inf] * 2, [np.nan] * 2):
        assert plateau.after(never_lower[:-1]) == 1
        assert plateau.after(never_lower) == pytest.approx(0.1)
    assert plateau.after([-10.0, -10.0, -10.0]) == plateau.after([-10.0, -9.0, -8.0])
    assert plateau.after([-10.0, -10.0, -10.0]) == pytest.approx(0.1)
    assert plateau.after([-10.0, -10.1, -10.2]) == 1


def test_a_warm_up_rises_to_the_first_factor_and_leaves_the_rest() -> None:
    schedule = Warmup(Cosine(), 0.2)
    assert schedule(0) == pytest.approx(0.04)
    assert schedule(0.1) == pytest.approx(0.52)
    assert [schedule(0.2 + 0.8 * s) for s in (0, 0.5)] == pytest.approx([1, 0.5])
    assert [Warmup(Cosine(), 0.0)(s) for s in (0.0, 0.3)] == [1, Cosine()(0.3)]


def test_a_warm_up_replaces_the_rise_of_one_cycle() -> None:
    for part in (0.0, 0.1, 0.2, 0.7):
        warm, cycle = Warmup(OneCycle(), part), OneCycle(warmup=part)
        for s in np.linspace(0, 1, 1001).tolist()[:-1]:
            assert warm(s) == pytest.approx(cycle(s), rel=1e-12, abs=1e-14)
    assert Warmup(OneCycle(), 0.1)(0.1) == 1


def test_a_warm_up_takes_a_name() -> None:
    assert Warmup("step:0.5", 0.1) == Warmup(Step(0.5), 0.1)
    assert Warmup("one-cycle", 0.1) == Warmup(OneCycle(), 0.1)
    with pytest.raises(UsageError, match="unknown schedule 'cosin', did you mean 'cosine'"):
        Warmup("cosin", 0.1)
    with pytest.raises(UsageError, match=r"got a class; write Cosine\(\)$"):
        Warmup(Cosine, 0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Step(0.0), lambda: Step(1.5), lambda: Exponential(0.0), lambda: Exponential(2.0),
        lambda: InverseScaling(0.0), lambda: InverseScaling(0.5, -1.0), lambda: Polynomial(0.0),
        lambda: WarmRestarts(0), lambda: WarmRestarts(10**12), lambda: WarmRestarts(3, 0.5),
        lambda: ReduceOnPlateau(0.0), lambda: ReduceOnPlateau(0.1, 0),
        lambda: Warmup(Constant(), 1.0), lambda: OneCycle(-0.1), lambda: OneCycle(1.1),
        lambda: OneCycle(float("nan")),
    ],
)  # fmt: skip
def test_parameters_outside_are_refused(wrong) -> None:
    with pytest.raises(UsageError, match=r" must be a (whole )?number in [\[(][01], "):
        wrong()


@pytest.mark.parametrize("warmup", [-0.1, 1.0, float("nan")])
def test_a_warmup_outside_is_refused(warmup: float) -> None:
    with pytest.raises(UsageError, match=r"^warmup must be a number in \[0, 1\), got "):
        OneCycle(warmup=warmup)


def test_a_warm_up_of_a_warm_up_is_refused() -> None:
    with pytest.raises(UsageError, match="must not be a Warmup itself"):
        Warmup(Warmup("plateau", 0.1), 0.1)
