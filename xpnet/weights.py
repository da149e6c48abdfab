"""The weights of samples and of classes, on the host."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from sys import float_info
from typing import Any

import numpy as np

from xpnet.arrays import HostArray, is_real, namespace, on_device_of, put, to_numpy
from xpnet.bounds import plain, refuse_mask, shown
from xpnet.checks import choose
from xpnet.errors import DataError, UsageError
from xpnet.frames import plain_array, rows_of

EXPECTED = "weights of samples: expected finite numbers, 0 or more, not all 0"


def without_weightless(x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, HostArray | None]:
    """Return x, y and the weights without the rows of weight 0, whatever these rows hold.

    Parameters
    ----------
    x, y : arrays, lists, frames or series
        Samples and targets, not checked yet.  If no weight is 0 they are returned as they are;
        arrays without these rows are on the device of the given ones.
    sample_weight : array or list (n,), or None
        For None, or if x and y have not the same number of rows, which the caller's checks refuse,
        all three are returned as they are.

    Returns
    -------
    x, y : as given
    sample_weight : float64 array on the host, or None

    Raises
    ------
    DataError
        `sample_weight` is not a finite number, 0 or more, for each row of x, or all are 0.
    """
    n, targets = length(x), length(y)
    if sample_weight is None or not n or targets != n:
        return x, y, sample_weight
    w = weights_on_host(sample_weight, n)
    kept = np.flatnonzero(w)
    if len(kept) == n:
        return x, y, w
    return _rows_of(x, kept), _rows_of(y, kept), w[kept]


@contextmanager
def saying_what_was_removed(given: Any, x: Any) -> Iterator[None]:
    """Say in a DataError about rows of x that those removed from the given ones do not count."""
    removed = (length(given) or 0) - (length(x) or 0)
    try:
        yield
    except DataError as error:
        if not removed:
            raise
        counted = f" (rows are counted without the {removed:,} of weight 0)"
        raise type(error)(f"{error}{counted}") from None


def length(y: Any) -> int | None:
    """Return the number of rows of a list or array; None for something else."""
    shape: Any = getattr(y, "shape", None)
    if shape is None:
        return len(y) if hasattr(y, "__len__") else None
    return int(shape[0]) if len(shape) else None


def _rows_of(x: Any, rows: HostArray) -> Any:
    """Return these rows of a list, of a frame or a series, of an array, or of what makes one."""
    if isinstance(x, list | tuple):
        return [x[i] for i in rows]
    if isinstance(x, np.ndarray):
        return x[rows]
    if (taken := rows_of(x, rows)) is not None:
        return taken
    try:
        xp = namespace(x)
    except UsageError:
        return to_numpy(x)[rows]
    with on_device_of(x):
        return xp.take(x, put(rows.astype(np.int32), x), axis=0)


def weights_on_host(sample_weight: Any, n: int) -> HostArray:
    """Return n sample weights as a float64 array.

    Raises
    ------
    DataError
        They are not n finite numbers, 0 or more, with one above 0.
    """
    refuse_mask("sample_weight", sample_weight)
    given = plain_array(sample_weight, "sample_weight")
    try:
        w = np.asarray(given) if isinstance(given, list | tuple) else to_numpy(given)
    except (ValueError, TypeError) as error:
        raise DataError(f"sample_weight is a list that makes no array: {error}") from None
    if w.shape == (n, 1):  # as of a frame
        w = w[:, 0]
    if w.shape != (n,):
        raise DataError(f"sample_weight has shape {w.shape}; expected {n} numbers")
    if w.dtype.kind == "O":
        w = _of_objects(w)
    if w.dtype.kind not in "biuf":
        raise DataError(f"sample_weight is {w.dtype}; expected {n} numbers")
    w = w.astype(np.float64)
    if not np.all(np.isfinite(w)) or np.any(w < 0) or not np.any(w):
        raise DataError(EXPECTED)
    return w


def _of_objects(w: HostArray) -> HostArray:
    """Return an array of objects as float64 if all are numbers; else as it is."""
    if all(map(is_real, w.flat)):
        with suppress(OverflowError):
            return w.astype(np.float64)
    return w


def class_weights(
    class_weight: str | Mapping[int | str, float],
    t: HostArray | None,
    labels: Sequence[int | str],
    rows: HostArray,
    w: HostArray | None = None,
) -> HostArray:
    """The weight of each label.

    "balanced" gives every class the same sum: n / (k n_c) for a class of n_c samples, where n
    samples of k classes are trained on (King & Zeng (2001), *Logistic regression in rare events
    data*; scikit-learn's "balanced").  With sample weights, n_c and n are their sums.  A class
    without training samples weighs 1.

    Parameters
    ----------
    class_weight : "balanced", or mapping of label to number
        A label that is not named weighs 1.
    t : int32 array (n,) or None
        The column of each sample's label (`data.targets.encode_targets`), if it has one.
    labels : sequence of int or str
        The label of each column.
    rows : integer array
        The training samples.
    w : float64 array (n,), optional
        Their weights.

    Returns
    -------
    float64 array (len(labels),)

    Raises
    ------
    UsageError
        It is neither, names a label that there isn't or a weight that is none, or a sample has not
        just one label.
    """
    if t is None or not labels:
        raise UsageError("class_weight is for samples of one label each")
    if isinstance(class_weight, str):
        choose("class_weight", class_weight, ["balanced"])
        sums = np.bincount(t[rows], None if w is None else w[rows], minlength=len(labels))
        found = sums > 0
        balanced = np.sum(sums) / (np.count_nonzero(found) * np.where(found, sums, 1))
        return np.where(found, balanced, 1.0)
    if not isinstance(class_weight, Mapping):
        raise UsageError(
            f'class_weight {shown(class_weight)}: expected "balanced", or a weight by label'
        )
    unknown = [label for label in class_weight if label not in labels]
    if unknown:
        raise UsageError(f"class_weight: {shown(unknown[0])} is none of the model's labels")
    given = [class_weight.get(label, 1.0) for label in labels]
    refuse_mask("class_weight", given)
    given = [plain(weight) for weight in given]
    if not all(isinstance(a, int | float) and 0 <= a <= float_info.max for a in given):
        raise UsageError(f"class_weight {shown(class_weight)}: expected finite numbers, 0 or more")
    return np.asarray(given, dtype=np.float64)


def with_mean_1(w: HostArray) -> HostArray:
    """Return the weights w (n,), divided by their mean."""
    w = w / np.max(w)  # first, so that the sum cannot overflow
    scaled: HostArray = w / np.mean(w)
    return scaled


def weight_scale(w: HostArray) -> float:
    """Return the power of 2 by which the greatest weight is from 1 to 2.

    Divided by it, weights of any size have sums in float32, and whole ones stay exact.
    """
    return float(np.ldexp(1.0, int(np.frexp(np.max(w))[1]) - 1))
