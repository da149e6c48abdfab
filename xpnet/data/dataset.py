"""Samples on a device, the split into training and validation, and blocks of rows.

Images stay as they come (uint8) where `fit` finds them; a batch is gathered there by its rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from xpnet.arrays import Array, HostArray, namespace, put
from xpnet.bounds import plain, shown
from xpnet.errors import UsageError
from xpnet.random import Purpose, permutation, step_keys

BLOCK = 1024  # rows that are evaluated, or looked through, at a time


@dataclass(frozen=True)
class Dataset:
    """Samples, their targets and weights, on one device.

    Attributes
    ----------
    x : numeric array (n, width)
    t : integer array (n,), or floating-point array (n, ...)
        Labels as columns of the logits, or targets.
    w : floating-point array (n,) or None
        Weights, with a mean of one over the samples that are trained on.
    """

    x: Array
    t: Array
    w: Array | None = None

    def gather(self, rows: Array) -> tuple[Array, Array, Array | None]:
        """x, t and w of these rows, an integer array on the same device."""
        xp = namespace(self.x)
        x, t = xp.take(self.x, rows, axis=0), xp.take(self.t, rows, axis=0)
        return x, t, None if self.w is None else xp.take(self.w, rows, axis=0)


def as_array(x: Any, name: str = "x") -> Array:
    """`x` as an array (n, ...) of numbers: itself, or of NumPy if it is a list.

    Raises
    ------
    UsageError
        It isn't an array of numbers with a sample per row.
    """
    if type(x) is np.ndarray and x.ndim > 1 and x.dtype.kind in "biuf":
        return x  # soon: the checks take as long as a small product
    if isinstance(x, list | tuple):
        try:
            x = np.asarray(x)
        except (ValueError, TypeError) as error:  # CuPy's arrays make no list of numbers
            raise UsageError(f"{name} is a list that makes no array: {error}") from None
    if isinstance(x, np.ma.MaskedArray):
        raise UsageError(f"{name} is a masked array; fill its gaps first, as by x.filled(0)")
    if isinstance(x, np.ndarray):
        x = np.asarray(x)  # a matrix or another subclass would compute by rules of its own
        if x.dtype.kind not in "biuf":
            raise UsageError(f"{name} is {x.dtype}; expected numbers")
    try:
        xp = namespace(x)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None
    if not xp.isdtype(x.dtype, ("bool", "integral", "real floating")):
        raise UsageError(f"{name} is {x.dtype}; expected real numbers")
    if len(x.shape) < 2:
        raise UsageError(
            f"{name} has shape {tuple(x.shape)}; expected a sample per row, (n, ...): a single "
            "sample is x[None, ...]"
        )
    return x


def split(n: int, validation: float, seed: int) -> tuple[HostArray, HostArray]:
    """The rows to train on and the rows to validate on, each in ascending order.

    Parameters
    ----------
    n : int
        Number of samples.
    validation : float or int
        Below 1 the part of the samples, else their number, taken from a random order.
    seed : int

    Raises
    ------
    UsageError
        It leaves nothing to train on, or is negative.
    """
    number = plain(validation)
    real = isinstance(number, int | float) and not isinstance(number, bool)
    if not real or not 0 <= number < inf or (isinstance(number, float) and number >= 1):
        raise UsageError(
            f"validation must be a part in [0, 1) or a whole number, got {shown(validation)}",
            "validation",
        )
    held = round(n * number) if number < 1 else int(number)
    if held >= n:
        raise UsageError(
            f"validation must leave samples to train on, got {shown(number)} of {n} samples",
            "validation",
        )
    order = permutation(step_keys(seed, Purpose.SPLIT, 0, range(1))[0], n)
    return np.sort(order[held:]), np.sort(order[:held])


def blocks(rows: HostArray, like: Array) -> Iterator[Array]:
    """`rows` in blocks, as integer arrays where `like` is; one upload."""
    device_rows = put(rows.astype(np.int32), like)
    for start in range(0, len(rows), BLOCK):
        yield device_rows[start : min(start + BLOCK, len(rows))]
