"""The rows of a CSV file: its delimiter, the names of its columns, and the values of each line."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import Any

from xpnet.data.columns import Faults, first_of, listed, split
from xpnet.data.files import Names, ReadOptions
from xpnet.data.tables import is_number
from xpnet.errors import DataError, UsageError

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
NAMES_OF_ROWS = "if the first values name the rows, as those of R, name their column in line 1 too"
LOOKED_AT = 20  # rows that decide between two delimiters


@dataclass(frozen=True)
class CsvFile:
    """A CSV file, read as far as the names of its columns.

    Attributes
    ----------
    content : bytes
        In UTF-8, without a mark.
    delimiter : str
    names : tuple of str
        Of the columns.
    lines : int
        Before the first row.
    notes : tuple of str
        What to tell the user of how they were found.
    """

    content: bytes
    delimiter: str
    names: tuple[str, ...]
    lines: int
    notes: tuple[str, ...] = ()


def open_csv(name: str, content: bytes, options: ReadOptions) -> CsvFile:
    """Return the file with its delimiter and the names of its columns."""
    hint = re.match(rb"sep=(.)\r?\n", content)  # spreadsheets write and read it
    first = 1 if hint else 0
    given = _one_character(options.delimiter) or (hint[1].decode("latin-1") if hint else None)
    delimiter = given or _delimiter(name, content)
    reader = _reader(content, delimiter)
    rows = (row for row in reader if reader.line_num > first and "".join(row).strip())
    try:
        names, lines = [value.strip() for value in next(rows, [])], reader.line_num
    except csv.Error as error:
        raise DataError(f"{name}: line 1: {_explained(error)}") from None
    if not names:
        raise DataError(f"{name}: is empty; expected a line with the names of the columns")
    if not options.header:
        return CsvFile(content, delimiter, _positions(len(names), options), first)
    counted = options.target is None and not options.features
    notes = _check_for_numbers(name, names, lines, counted)
    return CsvFile(content, delimiter, tuple(names), lines, notes)


def _one_character(delimiter: str | None) -> str | None:
    """Return what --delimiter gives; "tab" is a tab."""
    given = {"tab": "\t", "\\t": "\t"}.get(delimiter or "", delimiter)
    if given is not None and (len(given) != 1 or given in '"\r\n'):
        raise UsageError(f"delimiter must be one character, or tab, got {delimiter!r}", "delimiter")
    return given


def _delimiter(name: str, content: bytes) -> str:
    """Return what separates the names in the first line.

    If several delimiters are there, it is the one that gives as many values in the next rows.
    """
    found = [mark for mark in DELIMITERS if len([*chain(*_head(content, mark, 1))]) > 1]
    if len(found) > 1:
        even = [mark for mark in found if len({*map(len, _head(content, mark, LOOKED_AT))}) == 1]
        if len(even) != 1:
            both = " and ".join(DELIMITERS[mark] for mark in even or found)
            raise DataError(
                f"{name}: its first line has {both}, and any may separate the columns; name "
                "the delimiter, as by --delimiter ';'"
            )
        return even[0]
    return found[0] if found else ","


def _head(content: bytes, delimiter: str, rows: int) -> list[list[str]]:
    """Return the first rows that are not blank, as far as they can be read."""
    found: list[list[str]] = []
    with suppress(csv.Error):
        for row in _reader(content, delimiter):
            if "".join(row).strip():
                found.append(row)
            if len(found) == rows:
                break
    return found


def _positions(width: int, options: ReadOptions) -> tuple[str, ...]:
    """Return names of columns without header; those of the features, if there are as many.

    Features without names are then in the order in which they were in training.  Otherwise names
    are those of `position`, so that columns of a file of another width are never the same.
    """
    features = options.features or ()
    if options.target is None and not isinstance(features, str) and len(features) == width:
        if all(re.fullmatch(r"\d+ of \d+", name) for name in features):
            return tuple(sorted(features, key=lambda name: int(name.partition(" ")[0])))
        return tuple(features)
    return tuple(position(i, width) for i in range(width))


def by_position(options: ReadOptions, width: int) -> ReadOptions:
    """Return the options with `position` in the place of the numbers in texts.

    Names in a list may be those of a model, and stay: "1" is a name in the header of another file.
    """
    numbers = {str(i): position(i, width) for i in range(width)}

    def named(given: Names) -> Names:
        if not isinstance(given, str):
            return given
        return ",".join(numbers.get(name, name) for name in split(given))

    return replace(
        options, target=named(options.target), features=named(options.features),
        drop=named(options.drop),
    )  # fmt: skip


def position(i: int, width: int) -> str:
    """Return the name of column i, from 0, of a file that does not name its columns."""
    return f"{i} of {width}"


def _check_for_numbers(
    name: str, names: Sequence[str], line: int, counted: bool
) -> tuple[str, ...]:
    """Refuse a first line that seems to be a row of numbers; return what to say of another one.

    Numbers in ascending order may be names.  If no column is asked for, they must be `counted` from
    0 or 1, since a row that is taken for names is lost.
    """
    numbers = [float(column) for column in names if is_number(column)]
    whole = all(number.is_integer() for number in numbers)
    if not numbers or (whole and len(numbers) < len([*filter(None, names)])):
        return ()
    ascending = all(a < b for a, b in pairwise(numbers)) and numbers[0] >= 0
    from_0_or_1 = names[0] in ("0", "1") and numbers[-1] - numbers[0] == len(names) - 1
    if not ascending or (counted and not (whole and from_0_or_1)):
        held = "numbers alone" if len(numbers) == len(names) else "numbers"
        raise DataError(
            f"{name}: line {line} holds {held}; expected the names of the columns. If the file has "
            "none, say --no-header: columns are then numbered from 0"
        )
    return (f"line {line} is taken for the names of the columns: {listed(names, 3)}",)


def _reader(content: bytes, delimiter: str) -> Any:
    """Return a reader of the csv module, which raises csv.Error for quotes in wrong places."""
    csv.field_size_limit(2**31 - 1)  # a text of a column that is not used may have any length
    lines = io.TextIOWrapper(io.BytesIO(content), "utf-8", newline="")
    return csv.reader(lines, delimiter=delimiter, strict=True)


def _explained(error: csv.Error) -> str:
    """Return in words what is wrong with the quotes of a row."""
    if "expected after" in str(error):
        return 'a value goes on behind its closing quote; within quotes a quote is written as ""'
    return "a quote is not closed" if "unexpected end" in str(error) else str(error)


def rows_of(file: CsvFile, faults: Faults | None = None) -> Iterator[tuple[int, list[str]]]:
    """Return the line and the values of each row that has as many as there are names; add faults.

    Blank lines are no rows, but in a table of one column they are gaps, unless no row follows.
    """
    reader, width, end = _reader(file.content, file.delimiter), len(file.names), 0
    blank: list[int] = []
    empty: list[int] = []
    uneven: list[int] = []
    good, values = False, 0
    while True:
        start = end + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            if faults is not None:
                faults.add(f"line {start}: {_explained(error)}")
            end = reader.line_num
            continue
        if row is None:
            break
        end = reader.line_num
        nothing = not "".join(row).strip()
        if end <= file.lines:
            continue
        if nothing and len(row) < 2 and (width > 1 or not row):
            blank.append(start)
            continue
        if width == 1:
            yield from ((line, [""]) for line in blank)
        blank.clear()
        if nothing and len(row) == width > 1:
            empty.append(start)
        elif len(row) == width:
            good = True
            yield start, row
        else:
            uneven.append(start)
            values = values or len(row)
    if faults is not None:
        _tell_of_lines(faults, width, empty, uneven, values)
        if values == width + 1 and not good:
            faults.hints.append(NAMES_OF_ROWS)


def _tell_of_lines(
    faults: Faults, width: int, empty: Sequence[int], uneven: Sequence[int], values: int
) -> None:
    """Add faults for lines without values, and for uneven ones; the first has so many values."""
    if empty:
        where = first_of(f"line {empty[0]}", len(empty))
        faults.add(f"{where} has no values; remove such lines")
    if uneven:
        some = f"{values} values" if values > 1 else "1 value"
        where = first_of(f"line {uneven[0]}", len(uneven))
        faults.add(f"{where} has {some}; expected {width}, one for each column")
