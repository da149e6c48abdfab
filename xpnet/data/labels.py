"""Labels: the classes, as whole numbers or as names, and the column of the logits of each."""

from collections.abc import Sequence
from contextlib import suppress
from math import isnan
from numbers import Real
from typing import Any

import numpy as np

from xpnet.arrays import Array, HostArray, namespace, put, to_numpy
from xpnet.bounds import plain, several, shown
from xpnet.errors import DataError, UsageError
from xpnet.truths import booleans, standing_for

Label = int | str
EXACT = 53  # bits of the whole numbers that float64 tells apart
OUT_OF_RANGE = (
    "is out of range: labels are signed 64-bit integers, from -2^63 to 2^63 - 1; give larger ones "
    "as names, as by str(label)"
)


def different(y: HostArray) -> HostArray:
    """Return the different values, sorted; np.unique(y) alone would import numpy.ma, for 10 ms."""
    return np.unique(y, return_counts=True)[0]


def text_of(label: Label) -> str:
    """Return a label as lines and tables show it: in quotes if it is empty or of spaces only."""
    text = str(label)
    return text if text.strip() else repr(text)


def encode_labels(y: Any, labels: Sequence[Label]) -> HostArray:
    """The column of each label of y.

    Parameters
    ----------
    y : array (n,)
        Labels; whole numbers may be given as floats (`plain_labels`), and booleans for their names
        or the other way (`truths.standing_for`).
    labels : sequence of int or str
        The label of each column.

    Returns
    -------
    int32 array (n,)

    Raises
    ------
    DataError
        An element of y is none of `labels`, or no label at all.
    """
    given = booleans(np.asarray(y))
    y = standing_for(given if given.dtype.kind == "b" else plain_labels(given), labels)
    y, columns = plain_labels(y), np.asarray(labels)
    if (y.dtype.kind == "U") == (columns.dtype.kind == "U"):
        order = np.argsort(columns)
        place = np.searchsorted(columns[order], y)
        code = order[np.minimum(place, len(columns) - 1)]
        wrong = np.flatnonzero(columns[code] != y)
    else:
        code, wrong = np.zeros(len(y), dtype=np.int64), np.arange(len(y))
    if len(wrong):
        some = ", ".join(map(text_of, labels[:10])) + (", ..." if len(labels) > 10 else "")
        raise DataError(
            f"label {y[wrong[0]].item()!r} of sample {wrong[0]} is out of range: the model's "
            f"labels are {some} (fit finds them in y; mlp(..., labels=[...]) sets them)"
        )
    columns_of_y: HostArray = code.astype(np.int32)
    return columns_of_y


def plain_labels(y: HostArray) -> HostArray:
    """Return labels (n,) as int64 or as names, each exactly as it was.

    Raises
    ------
    DataError
        A label marks a missing value, is not whole, or is too large for its type; or y has numbers
        and names.
    """
    if y.dtype.kind in "OT":  # T: NumPy's strings of any length
        y = _from_objects(y.tolist())
    if y.dtype.kind == "S":
        y = _decoded(y)
    if y.dtype.kind == "U":
        require_names(y)
        return y
    if y.dtype.kind == "f":
        return _from_floats(y)
    if y.dtype.kind not in "biu":
        raise DataError(f"labels must be whole numbers or names, y is {y.dtype}")
    if y.dtype == np.uint64 and np.any(y >= 2**63):
        i = np.flatnonzero(y >= 2**63)[0]
        raise DataError(f"label {y[i]} of sample {i} {OUT_OF_RANGE}")
    return y.astype(np.int64)


def require_names(y: HostArray, where: str = "") -> None:
    """Raise a DataError where one of the names y (n,) marks a missing value, as "nan" does."""
    names = different(y).tolist()
    found = [np.flatnonzero(y == name)[0] for name in names if is_missing(name)]
    if found:
        raise DataError(where + _missing(min(found), y[min(found)].item()))


def is_missing(label: Any) -> bool:
    """Whether a label marks a missing value: None, NaN, or their texts as NumPy and pandas write.

    "NA", "None" and "null" are names.
    """
    if isinstance(label, str):
        text = label.strip()
        return text == "NaT" or text.lower() in ("nan", "+nan", "-nan", "<na>")
    if isinstance(label, float | np.floating):
        return isnan(label)
    return label is None or type(label).__name__ in ("NAType", "NaTType")


def _missing(i: int, label: Any) -> str:
    return (
        f"label {shown(label)} of sample {i} marks a missing value; leave such samples out, or "
        'give them a name, as in "unknown"'
    )


def _from_objects(labels: Sequence[Any]) -> HostArray:
    """Return labels of Python as an array of one type."""
    whole = int | np.integer | np.bool_
    if any(kind.__name__ == "Decimal" for kind in {*map(type, labels)}):
        labels = [*map(_without_decimals, labels)]
    for i, label in enumerate(labels):
        if is_missing(label):
            raise DataError(_missing(i, label))
        if isinstance(label, whole) and not -(2**63) <= label < 2**63:
            raise DataError(f"label {shown(label)} of sample {i} {OUT_OF_RANGE}")
    kinds: tuple[tuple[Any, Any], ...] = (
        (whole, np.int64), (str, np.str_), (bytes, np.bytes_), (Real, np.float64)
    )  # fmt: skip
    for kind, dtype in kinds:
        if all(isinstance(label, kind) for label in labels):
            return np.asarray(labels, dtype=dtype)
    first: Any = str if isinstance(labels[0], str) else whole
    i = next((i for i, label in enumerate(labels) if not isinstance(label, first)), 0)
    raise DataError(
        f"labels must all be whole numbers or all be names, y has {shown(labels[i])} in sample "
        f"{i}; for names give all of them as texts"
    )


def _without_decimals(label: Any) -> Any:
    """Return a whole number that is a decimal as one of Python, up to 64 bits; else the label."""
    if (
        type(label).__name__ != "Decimal"
        or not label.is_finite()
        or abs(label) >= 2**64
        or label % 1
    ):
        return label
    return int(label)


def _decoded(y: HostArray) -> HostArray:
    """Return names that are bytes as texts."""
    try:
        return np.char.decode(y, "utf-8")
    except UnicodeDecodeError:
        good = np.char.encode(np.char.decode(y, "utf-8", "ignore"), "utf-8")
        i = np.flatnonzero(good != y)[0]
        raise DataError(f"label {y[i].item()!r} of sample {i} is no text in UTF-8") from None


def _from_floats(y: HostArray) -> HostArray:
    """Return whole numbers that are floats as int64."""
    whole = y == np.floor(y)
    wrong = np.flatnonzero(~(whole & is_exact(y)))
    if not len(wrong):
        return y.astype(np.int64)
    i, label = wrong[0], y[wrong[0]].item()
    if isnan(label):
        raise DataError(_missing(i, label))
    if not whole[i]:
        raise DataError(
            f"label {label!r} of sample {i} is no whole number; for numbers make the model "
            'with output="identity"'
        )
    raise DataError(
        f"label {label!r} of sample {i} may stand for several whole numbers, since {y.dtype} "
        "rounds numbers of this size; give labels as integers or names"
    )


def is_exact(y: HostArray) -> HostArray:
    """Where floats are so small that all whole numbers up to them differ."""
    bits = min(np.finfo(y.dtype).nmant + 1, EXACT)
    exact: HostArray = np.abs(y) < 2.0**bits
    return exact


def is_one_hot(y: HostArray) -> bool:
    """Whether y is numbers (n, k), k >= 2, with one 1 in each row and else 0."""
    if y.ndim != 2 or y.shape[1] < 2 or y.dtype.kind not in "biuf":
        return False
    ones = y == 1
    return bool(np.all(ones | (y == 0)) and np.all(np.sum(ones, axis=1) == 1))


def labels_for(labels: Sequence[Label] | None, classes: int) -> tuple[Label, ...]:
    """Return the given labels as a model has them, or 0, 1, 2, ... for None."""
    example = '["no", "yes"]'
    if isinstance(labels, str | bytes):
        raise UsageError(f"labels must be a list, as in {example}, got {shown(labels)}", "labels")
    given = several("labels", range(classes) if labels is None else labels, example)
    return tuple(plain_label(to_numpy(a)[()] if hasattr(a, "__dlpack__") else a) for a in given)


def plain_label(label: Any) -> Label:
    """Return a label as Python's int or str, as a file holds it: False is 0, and 2.0 is 2."""
    if isinstance(label, str):
        return str(label)
    number = label if isinstance(label, np.floating) else plain(label)
    if isinstance(number, int):
        return int(number)
    if isinstance(number, float | np.floating):
        exact = bool(is_exact(np.asarray(number)))  # not so NaN and infinity
        if exact and number == int(number):
            return int(number)
    raise UsageError(f"labels must be whole numbers or names, got {shown(label)}", "labels")


def check_names(labels: Sequence[Label], expected: int) -> None:
    """Raise a UsageError where labels are not as many different ones, of one type, as expected."""
    if isinstance(labels, str):
        raise UsageError(f"labels must be a tuple, got {shown(labels)}", "labels")
    if len(labels) != expected or len(set(labels)) != expected:
        raise UsageError(
            f"labels must be {expected} different ones, a label for each class, got "
            f"{len(set(labels))}"
        )
    odd = [label for label in labels if type(label) not in (int, str)]
    if odd:
        raise UsageError(f"labels must be whole numbers or names, got {shown(odd[0])}", "labels")
    if len({type(label) for label in labels}) > 1:
        raise UsageError("labels must all be numbers or all be names, got both")
    for label in labels:
        if isinstance(label, str) and not label.isprintable():
            raise UsageError(f"label {shown(label)} has characters that cannot be printed")
        if isinstance(label, int) and not -(2**63) <= label < 2**63:
            raise UsageError(f"label {shown(label)} {OUT_OF_RANGE}")


def label_array(labels: Sequence[Label], like: Array) -> Array:
    """Return labels that are numbers as an array where `like` is: int32, or int64 if one needs it.

    Raises
    ------
    UsageError
        One needs int64, which the library of `like` does not have or has switched off.
    """
    narrow = all(-(2**31) <= int(label) < 2**31 for label in labels)
    if narrow:
        return put(np.asarray(labels, dtype=np.int32), like)
    int64 = None
    with suppress(ValueError):  # of array-api-strict; JAX gives int32, cut off
        int64 = put(np.asarray(labels, dtype=np.int64), like)
    if int64 is None or int64.dtype != namespace(like).int64:
        raise UsageError(
            f"label {max(labels, key=lambda label: abs(int(label)))} needs 64-bit integers, which "
            "x's library has not or has switched off; give x as a NumPy array, or switch them on "
            '(jax.config.update("jax_enable_x64", True))'
        )
    return int64
