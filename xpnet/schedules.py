"""Schedules: the learning rate's course over a run, as a factor of its peak.

A schedule is called with s, the part of the run that is over: 0 at the first step, and
(steps - 1) / steps at the last.  All are computed on the host in float64.  A name in
`registry.SCHEDULES` may
bring its first parameter: `step:0.5` (`checks.construct`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi
from typing import Protocol

from xpnet.checks import at_least
from xpnet.errors import UsageError


class Schedule(Protocol):
    """A map from the part of the run that is over to the factor of the learning rate."""

    def __call__(self, s: float) -> float:
        """The factor, 0 to 1, at 0 <= s < 1."""
        ...


@dataclass(frozen=True)
class Constant:
    """Always 1."""

    def __call__(self, s: float) -> float:
        return 1.0


@dataclass(frozen=True)
class Step:
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
        `factor` is outside.
    """

    factor: float = 0.1
    milestones: tuple[float, ...] = (0.5, 0.75)

    def __post_init__(self) -> None:
        _check_factor("factor", self.factor)

    def __call__(self, s: float) -> float:
        return float(self.factor ** sum(s >= milestone for milestone in self.milestones))


@dataclass(frozen=True)
class Cosine:
    """(1 + cos πs) / 2: from 1 to 0 (Loshchilov & Hutter (2017), *SGDR*, equation 5)."""

    def __call__(self, s: float) -> float:
        return (1 + cos(pi * s)) / 2


@dataclass(frozen=True)
class OneCycle:
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
        A number is outside.
    """

    start: float = 0.04
    warmup: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.start <= 1:
            raise UsageError(f"start {self.start} is outside; expected 0 <= start <= 1")
        if not 0 <= self.warmup < 1:
            raise UsageError(f"warmup {self.warmup} is outside; expected 0 <= warmup < 1")

    def __call__(self, s: float) -> float:
        if s < self.warmup:
            return self.start + (1 - self.start) * s / self.warmup
        return (1 + cos(pi * (s - self.warmup) / (1 - self.warmup))) / 2


@dataclass(frozen=True)
class Exponential:
    """final^s: the same factor at each step, from 1 down to `final`.

    torch's ExponentialLR multiplies by gamma: the same for gamma = final^(1/steps).

    Parameters
    ----------
    final : float, default 0.01
        Above 0, at most 1.

    Raises
    ------
    UsageError
        `final` is outside.
    """

    final: float = 0.01

    def __post_init__(self) -> None:
        _check_factor("final", self.final)

    def __call__(self, s: float) -> float:
        return float(self.final**s)


@dataclass(frozen=True)
class InverseScaling:
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
        A number is outside.
    """

    power: float = 0.5
    c: float = 100.0

    def __post_init__(self) -> None:
        if not (0 < self.power < float("inf") and 0 < self.c < float("inf")):
            raise UsageError(f"{self}: expected numbers above 0")

    def __call__(self, s: float) -> float:
        return float((1 + self.c * s) ** -self.power)


@dataclass(frozen=True)
class Polynomial:
    """(1 - s)^power, a straight line by default; torch's PolynomialLR.

    Parameters
    ----------
    power : float, default 1.0
        Above 0.

    Raises
    ------
    UsageError
        `power` is outside.
    """

    power: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.power < float("inf"):
            raise UsageError(f"{self}: expected a power above 0")

    def __call__(self, s: float) -> float:
        return float((1 - s) ** self.power)


@dataclass(frozen=True)
class WarmRestarts:
    """Cosines from 1 to 0, one after the other, each `growth` times as long as the one before.

    With growth b the first of n takes 1 / (1 + b + ... + b^(n-1)) of the run.

    Source: Loshchilov & Hutter (2017), *SGDR*, equation 5; torch's CosineAnnealingWarmRestarts.

    Parameters
    ----------
    cycles : int, default 3
        n, 1 or more.
    growth : float, default 2.0
        b, 1 or more.

    Raises
    ------
    UsageError
        A number is outside.
    """

    cycles: int = 3
    growth: float = 2.0

    def __post_init__(self) -> None:
        at_least("cycles", self.cycles, 1)
        if not 1 <= self.growth < float("inf"):
            raise UsageError(f"{self}: expected a growth of 1 or more")

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
class ReduceOnPlateau:
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
        A number is outside.
    """

    factor: float = 0.1
    patience: int = 3

    def __post_init__(self) -> None:
        _check_factor("factor", self.factor)
        at_least("patience", self.patience, 1)

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


@dataclass(frozen=True)
class Warmup:
    """Another schedule, after a rise from 4 % of its first factor by a straight line.

    Source: Goyal et al. (2017), *Accurate, large minibatch SGD*, section 2.2.

    Parameters
    ----------
    schedule : Schedule
    part : float
        Of the run; at least 0 and below 1.  The other schedule takes the rest.

    Raises
    ------
    UsageError
        `part` is outside.
    """

    schedule: Schedule
    part: float

    def __post_init__(self) -> None:
        if not 0 <= self.part < 1:
            raise UsageError(f"warmup {self.part} is outside; expected 0 <= warmup < 1")

    def __call__(self, s: float) -> float:
        if s < self.part:
            return (0.04 + 0.96 * s / self.part) * self.schedule(0.0)
        return self.schedule((s - self.part) / (1 - self.part))


def _check_factor(name: str, factor: float) -> None:
    if not 0 < factor <= 1:
        raise UsageError(f"{name} {factor} is outside; expected 0 < {name} <= 1")
