"""Samples on a device: labels as columns, the split, scaling constants, each epoch's rows.

Images stay as they come (uint8) where `fit` finds them; a batch is gathered there by its rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xpnet.checks import choose
from xpnet.device import namespace, put, to_numpy
from xpnet.errors import DataError, UsageError
from xpnet.layers import Array
from xpnet.losses import CLASSES
from xpnet.random import Purpose, permutation, step_keys

HostArray = npt.NDArray[Any]
Label = int | str

BLOCK = 1024  # rows that are evaluated, or looked through, at a time
EXACT = 256  # rows of bytes of which sums and sums of squares are exact in float32


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
    xp = namespace(x)
    if not xp.isdtype(x.dtype, ("bool", "integral", "real floating")):
        raise UsageError(f"{name} is {x.dtype}; expected real numbers")
    if len(x.shape) < 2:
        raise UsageError(
            f"{name} has shape {tuple(x.shape)}; expected a sample per row, (n, ...): a single "
            "sample is x[None, ...]"
        )
    return x


def encode_labels(y: Any, labels: Sequence[Label]) -> HostArray:
    """The column of each label of y.

    Parameters
    ----------
    y : array (n,)
        Labels; whole numbers may come as floats.
    labels : sequence of int or str
        The label of each column.

    Returns
    -------
    int32 array (n,)

    Raises
    ------
    DataError
        An element of y is none of `labels`.
    """
    y, columns = np.asarray(y), np.asarray(labels)
    if y.dtype.kind == "O":
        whole = all(isinstance(label, int | np.integer) for label in y)
        y = y.astype(np.int64 if whole else np.str_)
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "replace")
    if (y.dtype.kind == "U") == (columns.dtype.kind == "U"):
        order = np.argsort(columns)
        place = np.searchsorted(columns[order], y)
        code = order[np.minimum(place, len(columns) - 1)]
        wrong = np.flatnonzero(columns[code] != y)
    else:
        code, wrong = np.zeros(len(y), dtype=np.int64), np.arange(len(y))
    if len(wrong):
        shown = ", ".join(map(str, labels[:10])) + (", ..." if len(labels) > 10 else "")
        raise DataError(
            f"label {y[wrong[0]].item()!r} of sample {wrong[0]} is out of range: the model's "
            f"labels are {shown} (mlp(..., labels=[...]) sets them)"
        )
    columns_of_y: HostArray = code.astype(np.int32)
    return columns_of_y


def encode_targets(
    y: Any,
    output: str,
    labels: Sequence[Label],
    fan_out: int,
    multilabel: bool = False,
    spreads: bool = False,
) -> HostArray:
    """y on the host as a loss takes it: columns of the logits, or an array of targets.

    Parameters
    ----------
    y : array or list
        Labels (n,); or a row per sample (n, fan_out): for `output` "softmax" probabilities that
        sum to one, for "sigmoid" probabilities (with several labels a sample 1 or 0 for each), for
        "identity" values, for "exp" counts; where there is one output, or one target `spreads`
        over all, values and counts may also be (n,).
    output : str
        The model's.
    labels : sequence of int or str
        The model's.
    fan_out : int
        Columns of the logits.
    multilabel : bool, default False
        The model's.
    spreads : bool, default False
        The loss's (`losses.Loss`).

    Returns
    -------
    int32 array (n,), or float64 array (n, fan_out)

    Raises
    ------
    DataError
        y is of another shape, not finite, or not in range.
    """
    y = _on_host(y, "y")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if output in CLASSES and not multilabel and y.ndim == 1:
        return encode_labels(y, labels)
    if y.ndim == 1 and (fan_out == 1 or spreads):
        y = np.repeat(y[:, None], fan_out, axis=1)
    if y.ndim != 2 or y.shape[1] != fan_out:
        flat = fan_out == 1 or spreads or (output in CLASSES and not multilabel)
        shapes = f"(n,) or (n, {fan_out})" if flat else f"(n, {fan_out})"
        raise DataError(f"y has shape {y.shape}; expected {shapes}")
    if y.dtype.kind not in "biuf" or not np.all(np.isfinite(y)):
        raise DataError(f"y ({y.dtype}) holds what is no finite number")
    targets: HostArray = y.astype(np.float64)
    if output == "softmax" and (np.any(targets < 0) or np.any(abs(targets.sum(axis=1) - 1) > 1e-3)):
        raise DataError("y has a row that is no distribution; expected numbers >= 0 of sum one")
    if output == "sigmoid" and np.any((targets < 0) | (targets > 1)):
        raise DataError("y holds what is no probability; expected numbers from 0 to 1")
    if output == "exp" and np.any(targets < 0):
        raise DataError(f"y holds {targets.min():g}, which is no count; expected numbers >= 0")
    return targets


def _on_host(given: Any, name: str) -> HostArray:
    """An array or a list as an array of NumPy; a DataError where a list makes none."""
    try:
        return np.asarray(given) if isinstance(given, list | tuple) else to_numpy(given)
    except (ValueError, TypeError) as error:
        raise DataError(f"{name} is a list that makes no array: {error}") from None


def class_weights(
    class_weight: str | Mapping[Label, float],
    t: HostArray,
    labels: Sequence[Label],
    rows: HostArray,
) -> HostArray:
    """The weight of each sample that its class brings.

    "balanced" gives every class the same sum: n / (k n_c) for each of n_c samples of a class, where
    n samples of k classes are trained on (King & Zeng (2001), *Logistic regression in rare events
    data*; scikit-learn's "balanced").

    Parameters
    ----------
    class_weight : "balanced", or mapping of label to number
        A label that is not named weighs 1.
    t : int32 array (n,)
        The column of each sample's label (`encode_targets`).
    labels : sequence of int or str
        The label of each column.
    rows : integer array
        The training samples.

    Returns
    -------
    float64 array (n,)

    Raises
    ------
    UsageError
        It is neither, names a label that there isn't or a weight that is none, or a sample has not
        just one label.
    """
    if t.ndim != 1 or not labels:
        raise UsageError("class_weight is for samples of one label each")
    if isinstance(class_weight, str):
        choose("class_weight", class_weight, ["balanced"])
        counts = np.bincount(t[rows], minlength=len(labels))
        weights = len(rows) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        return np.asarray(weights, dtype=np.float64)[t]
    if not isinstance(class_weight, Mapping):
        raise UsageError(
            f'class_weight {class_weight!r}: expected "balanced", or a weight by label'
        )
    unknown = [label for label in class_weight if label not in labels]
    if unknown:
        raise UsageError(f"class_weight: {unknown[0]!r} is none of the model's labels")
    weights = np.asarray([class_weight.get(label, 1.0) for label in labels])
    if weights.dtype.kind not in "biuf" or not np.all((weights >= 0) & np.isfinite(weights)):
        raise UsageError(f"class_weight {class_weight!r}: expected finite numbers, 0 or more")
    return weights.astype(np.float64)[t]


def encode_weights(sample_weight: Any, n: int, rows: HostArray) -> HostArray:
    """Sample weights, scaled to a mean of one over the rows that are trained on.

    Raises
    ------
    DataError
        They are not n finite numbers, 0 or more, with one above 0 among these rows.
    """
    w = _on_host(sample_weight, "sample_weight")
    if w.shape != (n,) or w.dtype.kind not in "biuf":
        raise DataError(f"sample_weight has shape {w.shape}; expected {n} numbers")
    w = w.astype(np.float64)
    if not np.all(np.isfinite(w)) or np.any(w < 0) or not np.any(w[rows] > 0):
        raise DataError(
            "weights of samples: expected finite numbers, 0 or more, not all 0 where it is trained"
        )
    w = w / np.max(w[rows])  # first, so that the sum cannot overflow
    scaled: HostArray = w / np.mean(w[rows])
    return scaled


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
    number = isinstance(validation, int | float | np.number)
    if not number or not 0 <= validation < float("inf") or (validation > 1 and validation % 1):
        raise UsageError(f"validation {validation}: expected a part below 1 or a whole number")
    held = round(n * validation) if validation < 1 else int(validation)
    if held >= n:
        raise UsageError(
            f"validation {validation} leaves nothing to train on: there are {n} samples"
        )
    order = permutation(step_keys(seed, Purpose.SPLIT, 0, range(1))[0], n)
    return np.sort(order[held:]), np.sort(order[:held])


def blocks(rows: HostArray, like: Array) -> Iterator[Array]:
    """`rows` in blocks, as integer arrays where `like` is; one upload."""
    device_rows = put(rows.astype(np.int32), like)
    for start in range(0, len(rows), BLOCK):
        yield device_rows[start : min(start + BLOCK, len(rows))]


def standardization(x: Array, rows: HostArray, pixels: bool) -> tuple[HostArray, HostArray]:
    """Mean and standard deviation of the columns of x (n, width), in float64 on the host.

    Blocks of rows are merged by the update of Chan, Golub & LeVeque (1979): with n, m, S the
    number, mean and sum of squared deviations so far, and n', m', S' the block's,

        S ← S + S' + (m' - m)² n n' / (n + n')        m ← m + (m' - m) n' / (n + n')

    Parameters
    ----------
    x : numeric array (n, width)
        Anywhere; it is read in blocks.
    rows : integer array
        The training samples.
    pixels : bool
        Whether the columns are pixels of an image, which share one mean and one deviation.

    Returns
    -------
    (float64 array (width,), float64 array (width,))
        A column that is constant has deviation 1.
    """
    xp, width = namespace(x), x.shape[1]
    n, mean, squares = 0, np.zeros(width), np.zeros(width)
    for index in blocks(rows, x):
        gathered = to_numpy(xp.take(x, index, axis=0))
        for start in range(0, len(gathered), EXACT):
            block = gathered[start : start + EXACT]
            block_mean, block_squares = _mean_and_squares(block)
            step, part = block_mean - mean, len(block) / (n + len(block))
            squares += block_squares + step**2 * n * part
            mean += step * part
            n += len(block)
    variance = squares / n
    if pixels:
        variance[:] = np.mean(variance + (mean - mean.mean()) ** 2)
        mean[:] = mean.mean()
    deviation = np.sqrt(variance)
    constant = deviation <= 1e-12 * np.abs(mean)  # what is left is rounding
    return mean, np.where(constant, 1.0, deviation)


def _mean_and_squares(block: HostArray) -> tuple[HostArray, HostArray]:
    """The mean m of each column, and the sum of the squared deviations from it, in float64.

    Of bytes, which take a third of the time, it is  Σ (x - m)² = Σ x² - (Σ x)² / n:  both sums of
    `EXACT` rows are whole numbers below 2^24, so float32 has them exactly, in whatever order.
    """
    if block.dtype != np.uint8:
        x = block.astype(np.float64)
        mean = x.mean(axis=0)
        x -= mean
        return mean, np.einsum("ij,ij->j", x, x)
    n, x = len(block), block.astype(np.float32)
    ones = np.ones(n, dtype=np.float32)
    sums = (ones @ x).astype(np.float64)
    x *= x
    return sums / n, (ones @ x).astype(np.float64) - sums**2 / n
