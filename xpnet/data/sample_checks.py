"""Checks of the arrays that were read: shapes, labels, finite numbers and their sizes."""

import numpy as np

from xpnet.arrays import HostArray
from xpnet.data.files import Contents
from xpnet.data.labels import require_names
from xpnet.data.tables import as_whole
from xpnet.errors import DataError

LARGEST = {
    "float32": float(np.finfo(np.float32).max),
    "float64": float(np.finfo(np.float64).max) ** 0.5,  # larger ones have no square
}
"""The largest number that is trained on, by the type of the model."""


def check_shapes(where: str, **parts: tuple[HostArray, HostArray]) -> None:
    """Refuse training and test arrays of different shapes but for their number."""
    for what, (train, test) in parts.items():
        if train.shape[1:] != test.shape[1:]:
            raise DataError(
                f"{where}: training {what} of shape {train.shape[1:]} and test {what} of shape "
                f"{test.shape[1:]}; expected the same"
            )


def check_names(where: str, y_train: HostArray, y_test: HostArray) -> None:
    """Refuse a name that is in the test set alone."""
    kinds = {y_train.dtype.kind, y_test.dtype.kind}
    if "U" not in kinds:
        return
    unknown = y_test if len(kinds) == 2 else y_test[~np.isin(y_test, y_train)]
    if len(unknown):
        raise DataError(
            f"{where}: test label {unknown[0].item()!r} is out of range: it is not one of training"
        )


def check_pair(x: HostArray, y: HostArray, name: str, part: str) -> tuple[HostArray, HostArray]:
    """Samples and their targets in the byte order of this machine, if they are in order.

    Targets (n, 1) become (n,), bytes texts, True and False 1 and 0, and whole numbers integers.
    """
    x = check_x(x, f"{name}: x{part}")
    where = f"{name}: y{part}"
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim not in (1, 2) or 0 in y.shape[1:]:
        raise DataError(f"{where} has shape {y.shape}; expected (n,), or (n, k) for k numbers each")
    if len(x) != len(y):
        raise DataError(f"{name}: {len(x)} samples in x{part} and {len(y)} labels in y{part}")
    if y.dtype.kind == "S":
        try:
            y = np.char.decode(y, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: a label is no text in UTF-8 ({error})") from None
    if y.dtype.kind == "U" and y.ndim == 1:
        require_names(y, f"{where}: ")
        return x, y
    if y.dtype.kind not in "iufb":
        raise DataError(
            f"{where} is {y.dtype} of shape {y.shape}; expected numbers, or a name for each sample"
        )
    check_finite(y, where)
    y = y.astype(np.uint8) if y.dtype.kind == "b" else y.astype(y.dtype.newbyteorder("="))
    return x, as_whole(y) if y.ndim == 1 else y


def check_x(x: HostArray, where: str) -> HostArray:
    """Samples in the byte order of this machine, if they are numbers, and a sample a row."""
    if x.dtype.kind not in "biuf":
        raise DataError(f"{where} is {x.dtype}; expected numbers")
    if x.ndim < 2:
        raise DataError(f"{where} has shape {x.shape}; expected a sample per row, (n, ...)")
    if 0 in x.shape:
        raise DataError(f"{where} has shape {x.shape}: it is empty")
    check_finite(x, where)
    return x.astype(x.dtype.newbyteorder("="), copy=False)


def check_finite(array: HostArray, where: str) -> None:
    """Refuse NaN and infinity, naming the first."""
    if array.dtype.kind == "f" and not np.all(finite := np.isfinite(array)):
        first = tuple(np.argwhere(~finite)[0].tolist())
        raise DataError(f"{where}: element {first} is {array[first]}; expected finite numbers")


def check_sizes(where: str, contents: Contents, dtype: str | None, **parts: HostArray) -> None:
    """Refuse numbers that are too large to train a model of this type, naming the first.

    Parameters
    ----------
    where : str
        What is read, for the error.
    contents : Contents
        With the names of columns, and the lines in the file, where it is a table.
    dtype : str or None
        Of the model; None, or an unknown one, for no check.
    **parts : array (n, ...)
        x, y, x_train, ..., as they were read.
    """
    largest = LARGEST.get(dtype or "", np.inf)
    for part, array in parts.items():
        if array.dtype.kind != "f" or float(max(np.max(array), -np.min(array))) <= largest:
            continue
        at = np.argwhere(np.abs(array) > array.dtype.type(largest))
        first = tuple(at[0].tolist())
        place = _place(part, first, array.shape, contents)
        more = f" (and {len(at) - 1:,} more)" if len(at) > 1 else ""
        wider = ", or use --dtype float64" if abs(array[first]) <= LARGEST["float64"] else ""
        raise DataError(
            f"{where}: {place} is {array[first]:.6g}{more}, too large for {dtype}; scale it{wider}"
        )


def _place(part: str, at: tuple[int, ...], shape: tuple[int, ...], contents: Contents) -> str:
    """Where an element of an array is: in a table its line and column."""
    names = contents.columns if part.startswith("x") else contents.target
    if (len(names),) != (shape[1:] or (1,)):
        return f"{part}: element {at}"
    line_of = contents.line_of
    row = f"row {at[0]}" if line_of is None else f"line {line_of(at[0])}"
    return f"{row}: column {names[at[1] if len(at) > 1 else 0]!r}"
