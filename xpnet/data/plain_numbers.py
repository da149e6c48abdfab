"""Plain numbers, read fast: most CSV files have no quotes, no gaps and no faults.

`numpy.loadtxt` reads them or, where the extra `tables` is installed, pyarrow.  Both round a number
to the nearest float64, as Python does, and both give way if a value is unusual: `csv_files` then
reads the file row by row, to the same numbers.
"""

import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from xpnet.arrays import HostArray

LARGE = 2**20  # bytes of a file, from which pyarrow, which takes time to import, is faster
BLOCK = 2**22  # bytes that pyarrow takes at a time
UNUSUAL = (b'"', b"0x", b"0X")  # in quotes; and what pyarrow would read as hexadecimal numbers


class Wanted(NamedTuple):
    """The columns to read of a file.

    Attributes
    ----------
    skip : int
        Lines before the first row.
    width : int
        Columns of the file.
    numbers : sequence of int
        The columns of numbers.
    text : int, optional
        A column of texts.
    """

    skip: int
    width: int
    numbers: Sequence[int]
    text: int | None


Columns = tuple[HostArray, list[str]]
"""Numbers, float64 (n, columns), and the texts of one column without spaces around them."""


def read_plain_numbers(content: bytes, delimiter: str, wanted: Wanted) -> Columns | None:
    """Return columns of a CSV file in UTF-8; None if a value is unusual."""
    if any(mark in content for mark in UNUSUAL) or not wanted.numbers or wanted.width == 1:
        return None
    found = None
    with suppress(ValueError):
        found = _by_pyarrow(content, delimiter, wanted) if len(content) >= LARGE else None
        found = _by_numpy(content, delimiter, wanted) if found is None else found
    return found if found is not None and np.all(np.isfinite(found[0])) else None


def _by_pyarrow(content: bytes, delimiter: str, wanted: Wanted) -> Columns | None:
    try:
        import pyarrow
        from pyarrow import csv
    except ImportError:
        return None
    names = [*map(str, range(wanted.width))]
    used = [*map(str, wanted.numbers)]
    text = None if wanted.text is None else str(wanted.text)
    types = dict.fromkeys(used, pyarrow.float64())
    table = csv.read_csv(
        pyarrow.BufferReader(content),
        csv.ReadOptions(column_names=names, skip_rows=wanted.skip, block_size=BLOCK),
        csv.ParseOptions(delimiter=delimiter, quote_char=False),
        csv.ConvertOptions(
            column_types=types if text is None else {**types, text: pyarrow.string()},
            include_columns=used if text is None else [*used, text],
            null_values=[],
        ),
    )
    numbers = np.empty((len(used), table.num_rows)).T
    start = 0
    for batch in table.to_batches():
        stop = start + batch.num_rows
        for i in range(len(used)):
            numbers[start:stop, i] = batch.column(i).to_numpy()
        start = stop
    texts = [] if text is None else [value.strip() for value in table.column(text).to_pylist()]
    return numbers, texts


def _by_numpy(content: bytes, delimiter: str, wanted: Wanted) -> Columns:
    texts: list[str] = []

    def keep(value: str) -> float:
        texts.append(value.strip())
        return 0.0

    used = {*wanted.numbers}
    others: dict[int | str, Callable[[str], float]] = {
        i: _nothing for i in range(wanted.width) if i not in used
    }
    if wanted.text is not None:
        others[wanted.text] = keep
    rows: Any = io.TextIOWrapper(io.BytesIO(content), "utf-8", newline="")
    numbers = np.loadtxt(
        rows, delimiter=delimiter, skiprows=wanted.skip, comments=None, converters=others, ndmin=2
    )
    if numbers.shape[1] != wanted.width:
        raise ValueError("more or fewer values in each row than names")
    if [*wanted.numbers] == [*range(wanted.width)]:
        return numbers, texts
    return numbers[:, [*wanted.numbers]], texts


def _nothing(value: str) -> float:
    return 0.0
