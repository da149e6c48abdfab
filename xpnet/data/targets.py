"""Labels and targets as losses take them."""

from collections.abc import Sequence
from contextlib import suppress
from numbers import Real
from typing import Any

import numpy as np

from xpnet.arrays import HostArray, to_numpy
from xpnet.bounds import several, shown
from xpnet.checks import choose
from xpnet.errors import DataError, UsageError
from xpnet.losses import CLASSES, OUTPUTS, VALUES

Label = int | str


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
    y = _plain_labels(y)
    if (y.dtype.kind == "U") == (columns.dtype.kind == "U"):
        order = np.argsort(columns)
        place = np.searchsorted(columns[order], y)
        code = order[np.minimum(place, len(columns) - 1)]
        wrong = np.flatnonzero(columns[code] != y)
    else:
        code, wrong = np.zeros(len(y), dtype=np.int64), np.arange(len(y))
    if len(wrong) and y.dtype.kind == "f" and np.any(y != np.floor(y)):
        i = np.flatnonzero(y != np.floor(y))[0]
        raise DataError(
            f"label {y[i].item()!r} of sample {i} is no whole number; for numbers make the model "
            'with output="identity"'
        )
    if len(wrong):
        some = ", ".join(map(str, labels[:10])) + (", ..." if len(labels) > 10 else "")
        raise DataError(
            f"label {y[wrong[0]].item()!r} of sample {wrong[0]} is out of range: the model's "
            f"labels are {some} (fit finds them in y; mlp(..., labels=[...]) sets them)"
        )
    columns_of_y: HostArray = code.astype(np.int32)
    return columns_of_y


def labels_in(y: Any) -> tuple[Label, ...] | None:
    """Return the different labels in y (n,) or (n, 1), sorted; None if y has something else.

    Whole numbers may come as floats.
    """
    y = on_host(y, "y")
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim != 1 or not len(y):
        return None
    if y.dtype.kind in "OST":
        y = _plain_labels(y)
    if y.dtype.kind == "f" and not (np.all(np.isfinite(y)) and np.all(y == np.floor(y))):
        return None
    if y.dtype.kind not in "biufU":
        return None
    found = np.unique(y, return_counts=True)[0]  # np.unique(y) alone imports numpy.ma, for 10 ms
    found = found.astype(np.int64) if found.dtype.kind in "bf" else found
    return tuple(found.tolist())


def _plain_labels(y: HostArray) -> HostArray:
    """Return labels of objects or bytes as numbers or names; a DataError where they are neither."""
    if y.dtype.kind == "O":
        for kinds, dtype in ((int | np.integer, np.int64), (str, np.str_), (Real, np.float64)):
            if all(isinstance(label, kinds) for label in y):
                try:
                    return y.astype(dtype)
                except OverflowError:
                    break
        odd = next((label for label in y if not isinstance(label, int | str)), y[0])
        raise DataError(f"labels must all be whole numbers or all be names, y has {shown(odd)}")
    if y.dtype.kind == "T":  # NumPy's strings of any length
        return np.asarray(y.tolist())
    if y.dtype.kind not in "biufUS":
        raise DataError(f"labels must be whole numbers or names, y is {y.dtype}")
    return np.char.decode(y, "utf-8", "replace") if y.dtype.kind == "S" else y


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
    y = on_host(y, "y")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if output in CLASSES and not multilabel:
        if y.ndim == 1:
            return encode_labels(y, labels)
        if y.ndim == 2 and y.shape[1] == fan_out and is_one_hot(y):
            columns: HostArray = np.argmax(y, axis=1).astype(np.int32)
            return columns
    if y.ndim == 1 and (fan_out == 1 or spreads):
        y = np.repeat(y[:, None], fan_out, axis=1)
    if y.ndim != 2 or y.shape[1] != fan_out:
        flat = fan_out == 1 or spreads or (output in CLASSES and not multilabel)
        shapes = f"(n,) or (n, {fan_out})" if flat else f"(n, {fan_out})"
        raise DataError(f"y has shape {y.shape}; expected {shapes}")
    if y.dtype.kind == "O":
        with suppress(ValueError, TypeError):
            y = y.astype(np.float64)
    if y.dtype.kind not in "biuf":
        raise DataError(
            f"y must be numbers for a model with output={output!r}, got {y.flat[0].item()!r}; "
            'names are for output="softmax" or "sigmoid"'
        )
    if not np.all(np.isfinite(y)):
        raise DataError("y holds NaN or infinite numbers; expected finite ones")
    targets: HostArray = y.astype(np.float64)
    if output == "softmax" and (np.any(targets < 0) or np.any(abs(targets.sum(axis=1) - 1) > 1e-3)):
        raise DataError("y has a row that is no distribution; expected numbers >= 0 of sum one")
    if output == "sigmoid" and np.any((targets < 0) | (targets > 1)):
        raise DataError("y holds what is no probability; expected numbers from 0 to 1")
    if output == "exp" and np.any(targets < 0):
        raise DataError(f"y holds {targets.min():g}, which is no count; expected numbers >= 0")
    return targets


def is_one_hot(y: HostArray) -> bool:
    """Return whether each row of y (n, k) is one 1 and else 0."""
    if y.dtype.kind not in "biuf" or y.ndim != 2:
        return False
    return bool(np.all((y == 0) | (y == 1)) and np.all(np.sum(y == 1, axis=1) == 1))


def on_host(given: Any, name: str) -> HostArray:
    """An array or a list as an array of NumPy; a DataError where a list makes none."""
    try:
        return np.asarray(given) if isinstance(given, list | tuple) else to_numpy(given)
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


def labels_for(labels: Sequence[Label] | None, classes: int) -> tuple[Label, ...]:
    """Return the given labels as a model has them, or 0, 1, 2, ... for None."""
    given = range(classes) if labels is None else labels
    return tuple(map(plain_label, several("labels", given, '["no", "yes"]')))


def plain_label(label: Any) -> Label:
    """Return a label as Python's int or str, as a file holds it."""
    if isinstance(label, str):
        return str(label)
    if isinstance(label, int | np.integer) and not isinstance(label, bool):
        return int(label)
    raise UsageError(f"labels must be whole numbers or names, got {shown(label)}")


def check_labels(
    labels: tuple[Label, ...], output: str, fan_out: int, multilabel: bool = False
) -> None:
    """Raise a UsageError where labels do not fit the output."""
    expected = number_of_classes(output, fan_out, multilabel)
    if output == "softmax" and fan_out < 2:
        raise UsageError('softmax over one output is always 1; use output="sigmoid"')
    if multilabel and output != "sigmoid":
        raise UsageError(f"several labels a sample need output 'sigmoid', not {output!r}")
    if len(labels) != expected or len(set(labels)) != expected:
        raise UsageError(
            f"labels must be {expected} different ones, a label for each class, got "
            f"{len(set(labels))}"
        )
    if len({type(label) for label in labels}) > 1:
        raise UsageError("labels must all be numbers or all be names, got both")
    for label in labels:
        if isinstance(label, str) and not label.isprintable():
            raise UsageError(f"label {shown(label)} has characters that cannot be printed")
        if isinstance(label, int) and not -(2**31) <= label < 2**31:
            raise UsageError(f"label {shown(label)} is outside of 32-bit numbers")
