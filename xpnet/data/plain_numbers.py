"""Plain numbers, read fast: most CSV files have no quotes, no gaps and no faults.

`numpy.loadtxt` reads them or, where the extra `tables` is installed, pyarrow, some megabytes at a
time.  Both round a number to the nearest float64, as Python does, and both give way if a value is
unusual: `csv_files` then reads the file row by row, to the same numbers.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from xpnet.arrays import HostArray

LARGE = 2**20  # bytes of a file, and
MANY = 2**10  # bytes of a column, from which pyarrow is faster, though it takes time to import
PIECE = 2**22  # bytes that are read at a time
PIECES = 2  # that pyarrow reads at a time, side by side


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
"""Numbers, float64 (n, columns), and the texts of one column, without spaces around them."""


def read_plain_numbers(content: bytes, delimiter: str, wanted: Wanted) -> Columns | None:
    """Return columns of a CSV file in UTF-8; None if a value is unusual.

    Numbers are float64, or uint8 if all are bytes.
    """
    if b'"' in content or not wanted.numbers or wanted.width == 1:
        return None
    if b"\r" in content and content.count(b"\r") != content.count(b"\r\n"):
        return None  # lines of old systems
    if len(content) >= max(LARGE, MANY * wanted.width):
        with suppress(ValueError, ImportError):
            import pyarrow  # noqa: F401

            start = _start(content, wanted.skip)
            if max(content.find(b"x", start), content.find(b"X", start)) < 0:  # hexadecimal digits
                with suppress(ValueError):
                    return _joined(content, delimiter, wanted, len(content), _bytes_by_pyarrow)
            return _joined(content, delimiter, wanted, PIECES * PIECE, _by_pyarrow)
    with suppress(ValueError):
        return _joined(content, delimiter, wanted, PIECE, _by_numpy)
    return None


def _joined(
    content: bytes,
    delimiter: str,
    wanted: Wanted,
    size: int,
    read: Callable[[bytes, str, Wanted], Columns],
) -> Columns:
    """Return what `read` returns for each piece of a file, in one array and one list."""
    parts, texts = [], []
    for piece in _pieces(content, wanted.skip, size):
        numbers, more = read(piece, delimiter, wanted)
        if not np.all(np.isfinite(numbers)):
            raise ValueError("not finite")
        texts += more
        if numbers.dtype == np.uint8:
            parts.append(numbers)
            continue
        with np.errstate(invalid="ignore"):  # of numbers that no byte can hold
            narrow = numbers.astype(np.uint8)
        bytes_alone = np.array_equal(narrow, numbers) and not np.any(np.signbit(numbers))  # -0
        parts.append(narrow if bytes_alone else numbers)
    return np.concatenate(parts), texts


def _start(content: bytes, skip: int) -> int:
    """Return where the first row begins."""
    start = 0
    for _ in range(skip):
        start = content.index(b"\n", start) + 1
    return start


def _pieces(content: bytes, skip: int, size: int) -> Iterator[bytes]:
    """Return pieces of whole lines, without the first lines."""
    start = _start(content, skip)
    while start < len(content):
        end = content.find(b"\n", start + size) + 1 or len(content)
        piece = content[start:end]
        if not piece.isspace():
            yield piece
        start = end


def _bytes_by_pyarrow(piece: bytes, delimiter: str, wanted: Wanted) -> Columns:
    """Read numbers that are all bytes, in half the time of others."""
    return _by_pyarrow(piece, delimiter, wanted, "uint8")


def _by_pyarrow(piece: bytes, delimiter: str, wanted: Wanted, dtype: str = "float64") -> Columns:
    import pyarrow
    from pyarrow import csv

    used = [*map(str, wanted.numbers)]
    text = [] if wanted.text is None else [str(wanted.text)]
    types = dict.fromkeys(used, getattr(pyarrow, dtype)()) | dict.fromkeys(text, pyarrow.string())
    table = csv.read_csv(
        pyarrow.BufferReader(piece),
        csv.ReadOptions(column_names=[*map(str, range(wanted.width))], block_size=PIECE),
        csv.ParseOptions(delimiter=delimiter, quote_char=False),
        csv.ConvertOptions(column_types=types, include_columns=used + text, null_values=[]),
        pyarrow.system_memory_pool(),  # the default one takes new memory for each piece
    )
    if not table.num_rows:
        raise ValueError("no row is found")
    numbers, start = np.empty((table.num_rows, len(used)), dtype), 0
    for batch in table.to_batches():
        rows = numbers[start : start + batch.num_rows]
        for i in range(len(used)):
            rows[:, i] = batch.column(i).to_numpy()
        start += batch.num_rows
    return numbers, [value.strip() for name in text for value in table.column(name).to_pylist()]


def _by_numpy(piece: bytes, delimiter: str, wanted: Wanted) -> Columns:
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
    rows: Any = io.StringIO(piece.decode(), newline="")
    try:
        numbers = np.loadtxt(rows, np.float64, None, delimiter, converters=others, ndmin=2)
    except ValueError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # Ctrl-C in a converter
            raise error.__cause__ from None
        raise
    if numbers.shape[1] != wanted.width:
        raise ValueError("more or fewer values in each row than names")
    if [*wanted.numbers] == [*range(wanted.width)]:
        return numbers, texts
    return numbers[:, [*wanted.numbers]], texts


def _nothing(value: str) -> float:
    return 0.0
