"""Arrays of Python objects, as `to_numpy()` of a mixed frame gives: as numbers, if they are."""

from math import nan
from typing import Any

import numpy as np

from xpnet.arrays import HostArray, is_real
from xpnet.bounds import shown
from xpnet.data.labels import is_missing
from xpnet.errors import DataError


def numbers_of(x: HostArray, name: str, purpose: str = "") -> HostArray:
    """Return an array of numbers and gaps (`parsed`) as float64.

    Raises
    ------
    DataError
        An element is something else; it names the first.
    """
    numbers, odd = parsed(x)
    if odd is None:
        return numbers
    value = shown(x.astype(object).flat[odd])
    raise DataError(f"{name}: {_place(odd, x.shape)} is {value}; expected numbers{purpose}")


def parsed(x: HostArray) -> tuple[HostArray, int | None]:
    """Return an array of objects as float64, and the first element that is no number, if any.

    Numbers are those of Python and NumPy, booleans and decimals.  A text is none, whatever it says.
    Missing values (None, NaN, pandas' NA) are NaN.
    """
    numbers = [*map(_number, x.flat)]
    odd = numbers.index(None) if None in numbers else None
    return np.asarray(numbers, dtype=np.float64).reshape(x.shape), odd


def _number(value: Any) -> float | None:
    """Return a number as Python's float, NaN for a missing value and None for all else."""
    if is_real(value):
        try:
            return float(value)
        except OverflowError:  # a whole number beyond float64
            return None
    return nan if not isinstance(value, str) and is_missing(value) else None


def _place(i: int, shape: tuple[int, ...]) -> str:
    """Return where element i of an array of this shape stands."""
    row, *rest = (int(index) for index in np.unravel_index(i, shape))
    columns = f"column {', '.join(map(str, rest))} of " if rest else ""
    return f"{columns}row {row}"


def array_of_list(given: list[Any] | tuple[Any, ...]) -> HostArray:
    """Return a list as an array; of objects if there are texts, which numbers would become too."""
    array = np.asarray(given)
    return np.asarray(given, dtype=object) if array.dtype.kind in "US" else array
