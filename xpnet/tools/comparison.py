"""The derivatives of one array by a formula, compared with those that they should be."""

from dataclasses import dataclass

import numpy as np

from xpnet.arrays import HostArray


@dataclass(frozen=True)
class Comparison:
    """The derivatives of one array: those of a formula, and those that should be.

    Attributes
    ----------
    name : str
    formula, reference : float64 arrays of one shape
    scale : float
        What errors are relative to: max |reference|, or a ten-thousandth of |L| if that is
        more, below which differences are not good to `tolerance`.
    tolerance : float
        The relative error that passes.
    """

    name: str
    formula: HostArray
    reference: HostArray
    scale: float
    tolerance: float

    @property
    def errors(self) -> HostArray:
        """|formula - reference| / scale, element by element."""
        errors: HostArray = np.abs(self.formula - self.reference) / (self.scale or 1.0)
        return errors

    @property
    def error(self) -> float:
        """The largest of `errors`."""
        return float(np.max(self.errors, initial=0.0))

    @property
    def wrong(self) -> list[tuple[int, ...]]:
        """The elements whose error does not pass, NaN and the worst first."""
        errors = self.errors
        places = [tuple(place) for place in np.argwhere(~(errors <= self.tolerance)).tolist()]
        return sorted(places, key=lambda place: errors[place] if errors[place] >= 0 else np.inf)[
            ::-1
        ]

    @property
    def tested(self) -> bool:
        """Whether a derivative is more than 0, by either; where all are 0, any factor passes."""
        largest = np.max(np.abs([self.formula, self.reference]))
        return not largest <= self.tolerance * self.scale  # NaN counts

    @property
    def only_zeros(self) -> bool:
        """Whether the formula is 0 everywhere, and should not be."""
        return bool(self.wrong) and not np.any(self.formula)

    @property
    def worst(self) -> tuple[int, ...]:
        """The element with the largest error."""
        return tuple(int(i) for i in np.unravel_index(np.argmax(self.errors), self.errors.shape))

    @property
    def angle(self) -> float:
        """Between the two directions, in degrees (`angle`)."""
        return angle(self.formula, self.reference)


def angle(a: HostArray, b: HostArray) -> float:
    """The angle between two arrays as vectors, in degrees; NaN if one of them is 0.

    With unit vectors u and v it is 2 atan(|u - v| / |u + v|), exact for small angles too.

    Source: Kahan (2006), *How futile are mindless assessments of roundoff in floating-point
    computation?*, section 12.
    """
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    if not all(lengths):
        return 0.0 if lengths[0] == lengths[1] else float("nan")
    u, v = a / lengths[0], b / lengths[1]
    return float(np.degrees(2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v))))
