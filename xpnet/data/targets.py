"""Labels and targets as losses take them."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnet.arrays import HostArray, to_numpy
from xpnet.bounds import refuse_mask, shown
from xpnet.checks import choose
from xpnet.data.labels import (
    Label,
    check_names,
    different,
    encode_labels,
    is_one_hot,
    plain_labels,
)
from xpnet.data.objects import numbers_of
from xpnet.errors import DataError, UsageError
from xpnet.losses import CLASSES, OUTPUTS, VALUES


def labels_in(y: Any) -> tuple[Label, ...] | None:
    """Return the different labels in y (n,) or (n, 1), sorted; None if y has another shape.

    Raises
    ------
    DataError
        An element of y is no label (`labels.plain_labels`).
    """
    y = on_host(y, "y")
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim != 1 or not len(y):
        return None
    return tuple(different(plain_labels(y)).tolist())


def labels_of_columns(columns: int, names: Sequence[str]) -> tuple[Label, ...]:
    """Return the labels of columns of 0 and 1: their names, or 0, 1, 2, ... if they have none.

    Names that are all whole numbers, as of a one-hot array of digits in a frame, are these.
    """
    if len(names) != columns:
        return tuple(range(columns))
    whole = all(re.fullmatch(r"0|-?[1-9]\d{0,17}", name) for name in names)
    return tuple(int(name) for name in names) if whole else tuple(names)


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
        Labels (n,), or one 1 in each row (n, len(labels)) and else 0; or a row per sample
        (n, fan_out): for `output` "softmax" probabilities that sum to one, for "sigmoid"
        probabilities (with several labels a sample 1 or 0 for each), for "identity" values, for
        "exp" counts; where there is one output, or one target `spreads` over all, values and counts
        may also be (n,).
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
    int32 array (n,) of labels, or float64 array (n, fan_out)

    Raises
    ------
    DataError
        y is of another shape, not finite, or not in range.
    """
    y = on_host(y, "y")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    classes = output in CLASSES and not multilabel
    if classes and y.ndim == 1:
        return encode_labels(y, labels)
    if y.dtype.kind in "OUST":
        names = 'names are for output="softmax" or "sigmoid"'
        y = numbers_of(y, "y", f" for a model with output={output!r}; {names}")
    if classes and is_one_hot(y) and y.shape[1] == len(labels):
        columns: HostArray = np.argmax(y, axis=1).astype(np.int32)
        return columns
    if y.ndim == 1 and (fan_out == 1 or spreads):
        y = np.repeat(y[:, None], fan_out, axis=1)
    if y.ndim != 2 or y.shape[1] != fan_out:
        flat = fan_out == 1 or spreads or classes
        shapes = f"(n,) or (n, {fan_out})" if flat else f"(n, {fan_out})"
        raise DataError(f"y has shape {y.shape}; expected {shapes}")
    if y.dtype.kind not in "biuf":
        raise DataError(f"y is {y.dtype}; expected numbers")
    if not np.all(finite := np.isfinite(y)):
        i = int(np.argwhere(~finite)[0][0])
        raise DataError(f"y holds NaN or infinite numbers, first in row {i}; expected finite ones")
    targets: HostArray = y.astype(np.float64)
    if output == "softmax" and (np.any(targets < 0) or np.any(abs(targets.sum(axis=1) - 1) > 1e-3)):
        raise DataError("y has a row that is no distribution; expected numbers >= 0 of sum one")
    if output == "sigmoid" and np.any((targets < 0) | (targets > 1)):
        raise DataError("y holds what is no probability; expected numbers from 0 to 1")
    if output == "exp" and np.any(targets < 0):
        raise DataError(f"y holds {targets.min():g}, which is no count; expected numbers >= 0")
    return targets


def on_host(given: Any, name: str) -> HostArray:
    """An array or a list as an array of NumPy; a DataError where a list makes none."""
    refuse_mask(name, given)
    if not isinstance(given, list | tuple):
        return to_numpy(given)
    try:
        array = np.asarray(given)
        rounded = array.dtype.kind == "f" and np.any(np.abs(array) >= 2.0**63)
        if array.dtype.kind != "U" and not rounded:
            return array
        return np.asarray(given, dtype=object)  # NumPy makes texts or floats of integers in between
    except (ValueError, TypeError) as error:
        raise DataError(f"{name} is a list that makes no array: {error}") from None


def number_of_classes(output: str, fan_out: int, multilabel: bool) -> int:
    """How many labels there are."""
    if output in VALUES:
        return 0
    return fan_out if multilabel else max(fan_out, 2)


def output_for(output: str | None, columns: int, multilabel: bool) -> str:
    """Return what logits of this number of columns stand for, where `output` may be None.

    Raises
    ------
    UsageError
        `output` is no such name, does not fit `multilabel`, or is needed.
    """
    if multilabel and output not in (None, "sigmoid"):
        raise UsageError(f'multilabel needs output="sigmoid", got {shown(output)}', "multilabel")
    if output is None and columns == 1 and not multilabel:
        raise UsageError(
            'output must be given for a single column: "sigmoid" (two classes), "identity" '
            '(numbers) or "exp" (counts)',
            "output",
        )
    return choose("output", output or ("sigmoid" if multilabel else "softmax"), OUTPUTS)


def check_labels(
    labels: tuple[Label, ...], output: str, fan_out: int, multilabel: bool = False
) -> None:
    """Raise a UsageError where labels do not fit the output."""
    expected = number_of_classes(output, fan_out, multilabel)
    if output == "softmax" and fan_out < 2:
        raise UsageError('softmax over one output is always 1; use output="sigmoid"')
    if multilabel and output != "sigmoid":
        raise UsageError(f"several labels a sample need output 'sigmoid', not {output!r}")
    check_names(labels, expected)
