"""Schedules: the learning rate's course over a run, as a factor of its peak.

A schedule is called with s, the part of the run that is over: 0 at the first step, and
(steps - 1) / steps at the last.  All are computed on the host in float64.
"""

from dataclasses import dataclass
from math import cos, pi
from typing import Protocol

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
    milestones : tuple of float, default (0.5, 0.75)
        Parts of the run.
    """

    factor: float = 0.1
    milestones: tuple[float, ...] = (0.5, 0.75)

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
    warmup : float, default 0.2
        At least 0 and below 1.

    Raises
    ------
    UsageError
        `warmup` is outside.
    """

    start: float = 0.04
    warmup: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < 1:
            raise UsageError(f"warmup {self.warmup} is outside; expected 0 <= warmup < 1")

    def __call__(self, s: float) -> float:
        if s < self.warmup:
            return self.start + (1 - self.start) * s / self.warmup
        return (1 + cos(pi * (s - self.warmup) / (1 - self.warmup))) / 2


SCHEDULES: dict[str, type[Schedule]] = {
    "one-cycle": OneCycle,
    "cosine": Cosine,
    "step": Step,
    "constant": Constant,
}
