"""Schedules: the learning rate's course over a run, as a factor of its peak.

A schedule is called with s, the part of the run that is over: 0 at the first step, and
(steps - 1) / steps at the last.  All are computed on the host in float64.  A name in
`registry.SCHEDULES` may
bring its first parameter: `step:0.5` (`checks.construct`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi
from typing import Annotated, Protocol

from xpnet.bounds import Count, Few, Fraction, Growth, Interval, Positive, Share, Unit
from xpnet.checks import Settings, instance
from xpnet.errors import UsageError
from xpnet.registry import SCHEDULES


class Schedule(Protocol):
    """A map from the part of the run that is over to the factor of the learning rate."""

    def __call__(self, s: float) -> float:
        """The factor, 0 to 1, at 0 <= s < 1."""
        ...


@dataclass(frozen=True)
class Constant(Settings):
    """Always 1."""

    def __call__(self, s: float) -> float:
        return 1.0


@dataclass(frozen=True)
class Step(Settings):
    """`factor` to the power of the number of `milestones` passed.

    Parameters
    ----------
    factor : float, default 0.1
        Above 0, at most 1.
    milestones : tuple of float, default (0.5, 0.75)
        Parts of the run.

    Raises
    ------
    UsageError
        `factor` is out of its bounds.
    """

    factor: Share = 0.1
    milestones: Annotated[tuple[float, ...], Interval("[0, 1]")] = (0.5, 0.75)

    def __call__(self, s: float) -> float:
        return float(self.factor ** sum(s >= milestone for milestone in self.milestones))


@dataclass(frozen=True)
class Cosine(Settings):
    """(1 + cos πs) / 2: from 1 to 0 (Loshchilov & Hutter (2017), *SGDR*, equation 5)."""

    def __call__(self, s: float) -> float:
        return (1 + cos(pi * s)) / 2


@dataclass(frozen=True)
class OneCycle(Settings):
    """Linear from `start` to 1 over the first part `warmup` of the run, then cosine to 0.

    After Smith & Topin (2018), *Super-convergence*.  torch's OneCycleLR differs: it rises by a
    cosine, from 1/25, over 0.3 of the run, and falls to 4e-6.

    Parameters
    ----------
    start : float, default 0.04
        At least 0, at most 1.
    warmup : float, default 0.2
        At least 0 and below 1.

    Raises
    ------
    UsageError
        A number is out of its bounds.
    """

    start: Unit = 0.04
    warmup: Fraction = 0.2

    def __call__(self, s: float) -> float:
        if s < self.warmup:
            return self.start + (1 - self.start) * s / self.warmup
        return (1 + cos(pi * (s - self.warmup) / (1 - self.warmup))) / 2


@dataclass(frozen=True)
class Exponential(Settings):
    """final^s: the same factor at each step, from 1 down to `final`.

    torch's ExponentialLR multiplies by gamma: the same for gamma = final^(1/steps).

    Parameters
    ----------
    final : float, default 0.01
        Above 0, at most 1.

    Raises
    ------
    UsageError
        `final` is out of its bounds.
    """

    final: Share = 0.01

    def __call__(self, s: float) -> float:
        return float(self.final**s)


@dataclass(frozen=True)
class InverseScaling(Settings):
    """(1 + c s)^-power.

    Source: Robbins & Monro (1951), *A stochastic approximation method*, section 4, for such rates.
    "invscaling" of scikit-learn's SGDClassifier is t^-power at its t-th sample: the same for c the
    number of steps, with steps for samples.

    Parameters
    ----------
    power : float, default 0.5
        Above 0.
    c : float, default 100.0
        Above 0; the last factor is (1 + c)^-power.

    Raises
    ------
    UsageError
        A number is out of its bounds.
    """

    power: Positive = 0.5
    c: Positive = 100.0

    def __call__(self, s: float) -> float:
        return float((1 + self.c * s) ** -self.power)


@dataclass(frozen=True)
class Polynomial(Settings):
    """(1 - s)^power, a straight line by default; torch's PolynomialLR.

    Parameters
    ----------
    power : float, default 1.0
        Above 0.

    Raises
    ------
    UsageError
        `power` is out of its bounds.
    """

    power: Positive = 1.0

    def __call__(self, s: float) -> float:
        return float((1 - s) ** self.power)


@dataclass(frozen=True)
class WarmRestarts(Settings):
    """Cosines from 1 to 0, one after the other, each `growth` times as long as the one before.

    With growth b the first of n takes 1 / (1 + b + ... + b^(n-1)) of the run.

    Source: Loshchilov & Hutter (2017), *SGDR*, equation 5; torch's CosineAnnealingWarmRestarts.

    Parameters
    ----------
    cycles : int, default 3
        n, from 1 to 10,000.
    growth : float, default 2.0
        b, 1 or more.

    Raises
    ------
    UsageError
        A number is out of its bounds.
    """

    cycles: Few = 3
    growth: Growth = 2.0

    def __call__(self, s: float) -> float:
        # In units of the last: the first may be too short for a float, but none is too long.
        lengths = [self.growth ** (i + 1 - self.cycles) for i in range(self.cycles)]
        part = s * sum(lengths)
        for length in lengths[:-1]:
            if part < length * (1 - 1e-12):  # rounding of s shall not add a step to a cycle
                break
            part -= length
        else:
            length = lengths[-1]
        return (1 + cos(pi * min(max(part / length, 0.0), 1.0))) / 2


@dataclass(frozen=True)
class ReduceOnPlateau(Settings):
    """Multiply by `factor` after each `patience` epochs without a lower validation loss.

    It depends on what comes out: between epochs `fit` asks `after` for the factor of the next.
    A loss counts as lower where it would be with 1e-4 of its size added.  torch's
    ReduceLROnPlateau is nearly the same for its patience one less (it waits for one epoch more than
    it is given), but below 0, where Poisson's loss may be, it takes equal losses for lower.

    Parameters
    ----------
    factor : float, default 0.1
        Above 0, at most 1.
    patience : int, default 3
        Epochs, 1 or more.

    Raises
    ------
    UsageError
        A number is out of its bounds.
    """

    factor: Share = 0.1
    patience: Count = 3

    def __call__(self, s: float) -> float:
        return 1.0

    def after(self, losses: Sequence[float]) -> float:
        """The factor after epochs with these validation losses."""
        lowest, waited, reductions = float("inf"), 0, 0
        for loss in losses:
            waited += 1
            if loss + 1e-4 * abs(loss) < lowest:
                lowest, waited = loss, 0
            elif waited == self.patience:
                reductions, waited = reductions + 1, 0
        return float(self.factor**reductions)


@dataclass(frozen=True, init=False)
class Warmup(Settings):
    """A linear rise from 4 % of another schedule's first factor, followed by that schedule.

    The rise of `OneCycle` is replaced: `Warmup(OneCycle(), part)` is `OneCycle(warmup=part)`.

    Source: Goyal et al. (2017), *Accurate, large minibatch SGD*, section 2.2.

    Parameters
    ----------
    schedule : str or Schedule
        A name in `registry.SCHEDULES`, or a schedule.
    part : float
        The part of the run in which the factor rises, in [0, 1).  The other schedule takes the
        rest of the run.

    Raises
    ------
    UsageError
        `part` is out of its bounds, or there is no such schedule.
    """

    schedule: Schedule
    part: Fraction

    def __init__(self, schedule: str | Schedule, part: float) -> None:
        if isinstance(schedule, Warmup):
            raise UsageError("schedule of a Warmup must not be a Warmup itself", "schedule")
        object.__setattr__(self, "schedule", instance("schedule", schedule, SCHEDULES))
        object.__setattr__(self, "part", part)
        self.__post_init__()

    def __call__(self, s: float) -> float:
        rise = self.schedule.warmup if isinstance(self.schedule, OneCycle) else 0.0
        if s < self.part:
            return (0.04 + 0.96 * s / self.part) * self.schedule(rise)
        return self.schedule(rise + (1 - rise) * (s - self.part) / (1 - self.part))
