"""Samples on a device, the split into training and validation, and blocks of rows.

Images stay as they come (uint8) where `fit` finds them; a batch is gathered there by its rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from xpnet.arrays import Array, HostArray, namespace, put, to_numpy
from xpnet.bounds import plain, refuse_mask, shown
from xpnet.data.objects import array_of_list, numbers_of
from xpnet.errors import UsageError
from xpnet.random import Purpose, permutation, step_keys

BLOCK = 1024  # rows that are evaluated, or looked through, at a time
FEWEST = 10  # samples of which some are held out unless it is asked for
MOST_UNDIVIDED = 2  # samples of a class that all stay in training


@dataclass(frozen=True)
class Dataset:
    """Samples, their targets and weights, on one device.

    Attributes
    ----------
    x : numeric array (n, width)
    t : integer array (n,), or floating-point array (n, ...)
        Labels as columns of the logits, or targets.
    w : floating-point array (n,) or None
        Weights, with a mean of one over the samples that are trained or validated on.
    """

    x: Array
    t: Array
    w: Array | None = None

    def gather(self, rows: Array) -> tuple[Array, Array, Array | None]:
        """x, t and w of these rows, an integer array on the same device."""
        xp = namespace(self.x)
        x, t = xp.take(self.x, rows, axis=0), xp.take(self.t, rows, axis=0)
        return x, t, None if self.w is None else xp.take(self.w, rows, axis=0)

    def of_rows(self, rows: HostArray) -> "Dataset":
        """The samples of these rows alone."""
        return Dataset(*self.gather(put(rows.astype(np.int32), self.x)))


def classes_of(data: Dataset) -> HostArray | None:
    """Return the class of each sample on the host; None if the targets are no classes."""
    return to_numpy(data.t) if len(data.t.shape) == 1 else None


def as_array(x: Any, name: str = "x") -> Array:
    """`x` as an array (n, ...) of numbers: itself, or of NumPy if it is a list.

    Raises
    ------
    UsageError
        It isn't an array of numbers with a sample per row.
    DataError
        An element of a list or of an array of objects is no number.
    """
    refuse_mask(name, x)
    if isinstance(x, list | tuple):
        try:
            x = array_of_list(x)
        except (ValueError, TypeError) as error:  # CuPy's arrays make no list of numbers
            raise UsageError(f"{name} is a list that makes no array: {error}") from None
    if isinstance(x, np.ndarray):
        x = np.asarray(x)  # a matrix or another subclass would compute by rules of its own
        if x.dtype.kind in "OUST":
            x = numbers_of(x, name)
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


def split(
    n: int, validation: float | None, seed: int, classes: HostArray | None = None
) -> tuple[HostArray, HostArray]:
    """The rows to train on and the rows to validate on, each in ascending order.

    Parameters
    ----------
    n : int
        Number of samples.
    validation : float, int or None
        Below 1 the part of the samples, else their number, taken from a random order; for None a
        sixth, or nothing of fewer than 10 samples.
    seed : int
    classes : integer array (n,), optional
        The class of each sample, from 0: each has its part (`divided`).

    Raises
    ------
    UsageError
        It leaves nothing to train on, or is negative.
    """
    number = plain(part_of(n, 6) if validation is None else validation)
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
    return divided(order, held, classes)


def part_of(n: int, parts: int) -> float:
    """Return 1 / parts, what is held out by default; 0 where there are fewer than 10 samples."""
    return 1 / parts if n >= FEWEST else 0.0


def divided(
    order: HostArray, held: int, classes: HostArray | None = None
) -> tuple[HostArray, HostArray]:
    """Return all other rows and the first `held` of this order, each in ascending order.

    Parameters
    ----------
    order : integer array (n,)
        A permutation of the rows.
    held : int
    classes : integer array (n,), optional
        The class of each row, from 0.  Each class has its part of the rows that are held out
        (`quotas`): the first of its rows in this order.
    """
    if classes is None:
        return np.sort(order[held:]), np.sort(order[:held])
    given = classes[order]
    counts = np.bincount(given)
    by_class = np.argsort(given, stable=True)
    place = np.empty_like(by_class)  # of each row in the order of its class
    place[by_class] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    chosen = place < quotas(counts, held)[given]
    return np.sort(order[~chosen]), np.sort(order[chosen])


def undivided(classes: HostArray) -> HostArray:
    """Return the classes of one or two of these rows (n,), which `quotas` does not divide."""
    counts = np.bincount(classes)
    return np.flatnonzero((counts > 0) & (counts <= MOST_UNDIVIDED))


def quotas(counts: HostArray, held: int) -> HostArray:
    """Return how many rows of each class to hold out, of `held` in all.

    Each class has its part, n_c / n of them, rounded by the largest remainders.  A class of one or
    two rows is not divided, so that its part is missing; of others at least one row is left.
    """
    divisible = np.where(counts > MOST_UNDIVIDED, counts, 0).astype(np.int64)
    n = int(np.sum(counts))
    found, remainders = np.divmod(divisible * held, n)
    rest = round(int(divisible.sum()) * held / n) - int(found.sum())
    found[np.argsort(-remainders, stable=True)[:rest]] += 1
    return np.minimum(found, np.maximum(divisible - 1, 0))


def blocks(rows: HostArray, like: Array) -> Iterator[Array]:
    """`rows` in blocks, as integer arrays where `like` is; one upload."""
    device_rows = put(rows.astype(np.int32), like)
    for start in range(0, len(rows), BLOCK):
        yield device_rows[start : min(start + BLOCK, len(rows))]
