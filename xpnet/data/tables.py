"""Tables: CSV files with a header line, as arrays.

`numpy.loadtxt` reads them, fast; the first thing that is wrong is then found line by line.
"""

import csv
import io
import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from xpnet.arrays import HostArray
from xpnet.data.files import Contents, Names, ReadOptions
from xpnet.data.labels import is_exact, is_missing
from xpnet.errors import DataError

SHOWN = 8  # names of columns in an error


@dataclass(frozen=True)
class _Table:
    """A CSV file, not yet read beyond its header: `rows` follow after so many lines."""

    name: str
    columns: list[str]
    rows: str
    lines: int


def read_table(name: str, content: bytes, target: Names, columns: Sequence[str] = ()) -> Contents:
    """x and y of a table, the names of the features, and the values of a single target as written.

    Parameters
    ----------
    name : str
        The file's, for errors.
    content : bytes
        CSV with a header line, in UTF-8.
    target : str
        The column of y, numbers or names; or several of numbers, separated by commas.
    columns : sequence of str
        The features, in this order; by default all others.  These are numbers; those named pixel0,
        pixel1, ... are bytes, and where their number is a square, images.

    Raises
    ------
    DataError
        A column isn't there, or a value isn't what it should be: with line and column.
    """
    table = _open_table(name, content)
    targets = names_of(target)
    _require_columns(table, targets, "to predict")
    _require_columns(table, columns, "that the model takes")
    unused = _unused(table, [*columns, *targets], columns)
    written = None
    if len(targets) == 1:
        numbers, texts = _parse(table, targets, unused)
        written = np.asarray(texts[targets[0]])
        y = classes_or_numbers(written)
        if y.dtype.kind == "f" and not np.all(np.isfinite(y)):
            raise _fault(table, (), unused)
    else:
        numbers, _ = _parse(table, (), unused)
        y = as_whole(numbers[:, [table.columns.index(column) for column in targets]])
    features = tuple(columns) or tuple(c for c in table.columns if c not in targets)
    x = _features(table, numbers, features)
    return Contents({"x": x, "y": y}, features, tuple(targets), written)


def read_csv(name: str, content: bytes, options: ReadOptions) -> Contents:
    """x and y of a table (`read_table`), or x alone (`read_features`); and the features."""
    columns = tuple(options.features)
    if options.target is None:
        return Contents({"x": read_features(name, content, columns)})
    return read_table(name, content, options.target, columns)


def read_features(name: str, content: bytes, columns: Sequence[str] = ()) -> HostArray:
    """The features of a table that need not have what is to be predicted; see `read_table`."""
    table = _open_table(name, content)
    _require_columns(table, columns, "that the model takes")
    numbers, _ = _parse(table, (), _unused(table, columns, columns))
    return _features(table, numbers, tuple(columns) or tuple(table.columns))


def names_of(target: Names) -> list[str]:
    """The columns that `target` names, each once."""
    if not isinstance(target, str):
        return list(target)
    return list(dict.fromkeys(name.strip() for name in target.split(",")))


def _unused(table: _Table, used: Sequence[str], columns: Sequence[str]) -> list[str]:
    """The columns that need not be numbers, where the features are named."""
    return [column for column in table.columns if columns and column not in used]


def _require_columns(table: _Table, wanted: Sequence[str], what: str) -> None:
    for column in wanted:
        if column not in table.columns:
            plain = {name.lower(): name for name in table.columns}
            near = get_close_matches(column.lower(), plain, n=1)
            hint = f", did you mean {plain[near[0]]!r}?" if near else ";"
            more = len(table.columns) - SHOWN
            raise DataError(
                f"{table.name}: has no column {column!r} {what}{hint} it has "
                f"{', '.join(table.columns[:SHOWN])}" + (f" and {more} more" if more > 0 else "")
            )


def _open_table(name: str, content: bytes) -> _Table:
    """A table, if it has a header line with a name for each column, and rows."""
    if content[:2] in (b"PK", b"\x1f\x8b"):
        raise DataError(f"{name}: is a packed file (a workbook?), and no text; save it as CSV")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{name}: line {line} is not UTF-8; save the table as UTF-8") from None
    stream = io.StringIO(text, newline="")
    reader = csv.reader(stream, strict=True)
    try:
        columns = [column.strip() for column in next(filter(None, reader), [])]
    except csv.Error as error:
        raise DataError(f"{name}: line {reader.line_num}: {error}") from None
    if not columns:
        raise DataError(f"{name}: is empty; expected a line with the names of the columns")
    for separator, plural in ((";", "semicolons"), ("\t", "tabs")):
        if len(columns) == 1 and separator in columns[0]:
            raise DataError(f"{name}: its columns are separated by {plural}; expected commas")
    if all(map(is_number, columns)):
        raise DataError(
            f"{name}: line {reader.line_num} holds numbers alone; expected the names of the columns"
        )
    for i, column in enumerate(columns):
        if not column:
            raise DataError(f"{name}: column {i + 1} has no name; name it or leave it out")
        if column in columns[:i]:
            raise DataError(f"{name}: two columns are named {column!r}; expected different names")
    rows = stream.read()
    if not rows.strip():
        raise DataError(f"{name}: has no row after the names of the columns")
    return _Table(name, columns, rows, reader.line_num)


def _parse(
    table: _Table, aside: Collection[str], unused: Collection[str]
) -> tuple[HostArray, dict[str, list[str]]]:
    """All columns as float64 (n, columns), but those set aside as text or unused, which are 0.

    float64 keeps every digit that a table has; a model turns its input into its own dtype.
    """
    texts: dict[str, list[str]] = {column: [] for column in aside}

    def keeper(column: str) -> Callable[[str], float]:
        def keep(value: str) -> float:
            texts[column].append(value.strip())
            return 0.0

        return keep

    try:
        numbers = np.loadtxt(
            io.StringIO(table.rows, newline=""),
            delimiter=",",
            quotechar='"',
            comments=None,
            converters={
                **{table.columns.index(column): keeper(column) for column in aside},
                **{table.columns.index(column): _nothing for column in unused},
            },
            ndmin=2,
        )
    except ValueError:
        numbers = np.empty((0, 0))
    kept = [text for column in texts.values() for text in column]
    bad = not all(text and "\n" not in text and not is_missing(text) for text in kept)
    if bad or numbers.shape[1] != len(table.columns) or not np.all(np.isfinite(numbers)):
        raise _fault(table, aside, unused)
    return numbers, texts


def _nothing(value: str) -> float:
    return 0.0


def _fault(table: _Table, aside: Collection[str], unused: Collection[str]) -> DataError:
    """The first thing that is wrong with a table.  loadtxt is fast, but counts no lines."""
    reader = csv.reader(io.StringIO(table.rows, newline=""), strict=True)
    try:
        for row in filter(None, reader):
            where = f"{table.name}: line {table.lines + reader.line_num}"
            if len(row) != len(table.columns):
                return DataError(
                    f"{where} has {len(row)} values; expected {len(table.columns)}, "
                    "one for each column"
                )
            for column, value in zip(table.columns, row, strict=True):
                if column in unused:
                    continue
                if not value.strip():
                    wrong = "has no value; fill it in or leave the row out"
                elif "\n" in value.strip():
                    wrong = "has a line break in its value; is a quote missing?"
                elif is_missing(value):
                    wrong = f"is {value.strip()}: no value; fill it in or leave the row out"
                elif column in aside:
                    continue
                elif not is_number(value):
                    wrong = f"is {value[:40]!r}; expected a number"
                elif not math.isfinite(float(value)):
                    wrong = f"is {value.strip()}; expected a finite number"
                else:
                    continue
                return DataError(f"{where}: column {column!r} {wrong}")
    except csv.Error as error:
        return DataError(f"{table.name}: line {table.lines + reader.line_num}: {error}")
    return DataError(f"{table.name}: cannot be read as a table of numbers")


def is_number(text: str) -> bool:
    """Whether loadtxt takes it; Python reads 1_2 as 12, which may be a name."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def classes_or_numbers(texts: HostArray) -> HostArray:
    """Numbers, if all texts (n,) are numbers and none has a leading zero; otherwise names.

    Whole numbers are int64; beyond 64 bits they stay names, with all their digits.
    """
    values = texts.tolist()
    if not all(map(is_number, values)) or any(re.match(r"[+-]?0\d+$", text) for text in values):
        return texts
    if not all(re.fullmatch(r"[+-]?\d+", text) for text in values):
        return np.asarray([*map(float, values)])
    try:
        return np.asarray([*map(int, values)], dtype=np.int64)
    except (ValueError, OverflowError):  # ValueError: of thousands of digits
        return texts


def as_whole(y: HostArray) -> HostArray:
    """int64, if every number is whole and exact (`labels.is_exact`); otherwise y."""
    if y.dtype == np.uint64:
        return y.astype(np.int64) if np.all(y < 2**63) else y
    whole = y.dtype.kind == "f" and np.all(is_exact(y)) and np.all(y == np.floor(y))
    return y.astype(np.int64) if whole else y


def _features(table: _Table, numbers: HostArray, names: Sequence[str]) -> HostArray:
    """These columns, as bytes or images if they are pixels."""
    if not names:
        raise DataError(f"{table.name}: has no column but those to predict; expected features")
    x = numbers[:, [table.columns.index(name) for name in names]]
    pixels = all(re.fullmatch(r"pixel\d+", name) for name in names)
    if pixels and np.all((x >= 0) & (x <= 255) & (x == np.floor(x))):
        side = math.isqrt(len(names))
        shape = (side, side) if side**2 == len(names) else (len(names),)
        x = x.astype(np.uint8).reshape(-1, *shape)
    return x
