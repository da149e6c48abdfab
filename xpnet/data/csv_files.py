"""CSV files, as spreadsheets, pandas, R and databases write them.

A file of plain numbers is read by `plain_numbers`, fast.  Any other is read here row by row: it has
quotes, truth values, decimal commas, gaps, or faults, which are reported with their lines.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from math import nan

import numpy as np

from xpnet.arrays import HostArray
from xpnet.data.columns import Choice, Faults, choose, drop_option, listed
from xpnet.data.csv_rows import CsvFile, by_position, open_csv, rows_of
from xpnet.data.files import DEFAULT_TARGET, Contents, ReadOptions
from xpnet.data.plain_numbers import Wanted, read_plain_numbers
from xpnet.data.tables import GAPS, Table, contents_of, is_number
from xpnet.data.texts import utf8
from xpnet.errors import DataError

TRUTH = {"true": 1.0, "false": 0.0}
DECIMAL_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?")
ROWS = 1024  # that are converted at a time


def read_csv(name: str, content: bytes, options: ReadOptions) -> Contents:
    """Return x and y of a CSV file; see `tables.contents_of`.

    Parameters
    ----------
    name : str
        The file's, for errors.
    content : bytes
        Gzipped or not; in UTF-8, or as `options.encoding` says.
    options : ReadOptions
        Without a target x alone is returned.

    Raises
    ------
    DataError
        The file is no table of numbers; with all that is wrong.
    """
    file = open_csv(name, utf8(name, content, options.encoding), options)
    by_default = not options.header and options.target == DEFAULT_TARGET
    if by_default:
        options = replace(options, target="0")
    if not options.header:
        options = by_position(options, len(file.names))
    open_to_choice = options.target is not None and not options.features
    faults = Faults(name, drop_option if open_to_choice else None)
    choice = choose(file.names, options, faults)
    if faults and file.notes:
        faults.hints.append(f"{file.notes[0]}; if it is a row: --no-header")
    if faults and not options.header and options.target is None:
        faults.hints.append(
            "without header, a file has all columns as in training, or the features"
        )
    if choice.uncertain and len(file.names) == 1:
        faults.hints.append("if something else separates columns, name it, as by --delimiter '|'")
    table = (None if faults else _plain_table(file, choice)) or _any_table(file, choice, faults)
    if not len(table.numbers) and not faults:
        raise DataError(f"{name}: has no row after the names of the columns")
    texts = any(column in table.texts for column in choice.features)
    contents = None if by_default and texts else contents_of(table, choice, faults)
    pixels = contents is not None and not contents.narrow and contents.arrays["x"].dtype == np.uint8
    if contents is None or (by_default and not pixels):
        raise DataError(
            f"{name}: which column is to be predicted? Name it by its number from 0, as by "
            "--target 4 (--no-header takes the first column if all others are pixels)"
        )
    notes = file.notes + table.notes + contents.notes
    if by_default:
        notes += ("column 0 is predicted; --target N takes another",)
    return contents._replace(notes=notes)


def _plain_table(file: CsvFile, choice: Choice) -> Table | None:
    """Return the columns that are taken, read fast; None if they are not plain numbers."""
    place = {name: i for i, name in enumerate(file.names)}
    text = None if choice.text is None else place[choice.text]
    numbers = [place[name] for name in choice.numbers]
    wanted = Wanted(file.lines, len(file.names), numbers, text)
    found = read_plain_numbers(file.content, file.delimiter, wanted)
    if found is None or (file.delimiter != "," and any("," in value for value in found[1])):
        return None

    def line_of(row: int) -> int:
        return next(islice(rows_of(file), row, None))[0]

    texts = {} if choice.text is None else {choice.text: found[1]}
    return Table(choice.numbers, found[0], texts, line_of)


@dataclass
class _Column:
    """A column that should be numbers, and which kinds of values were found in it."""

    name: str
    place: int
    kinds: set[str] = field(default_factory=set)

    @property
    def is_text(self) -> bool:
        """Whether it is neither numbers nor truth values, except for gaps."""
        return "text" in self.kinds or ("truth" in self.kinds and len(self.kinds - {"gap"}) > 1)


def _any_table(file: CsvFile, choice: Choice, faults: Faults) -> Table:
    """Return the columns that are taken, whatever they hold; add the faults of rows."""
    place = {name: i for i, name in enumerate(file.names)}
    columns = [_Column(name, place[name]) for name in choice.numbers]
    plain = file.content.isascii() and b"_" not in file.content
    number = float if plain else _number
    lines: list[int] = []
    target: list[str] = []
    numbers = [np.empty((0, len(columns)))]
    rows = rows_of(file, faults)
    while block := [*islice(rows, ROWS)]:
        lines += [line for line, _ in block]
        values = [[row[column.place] for column in columns] for _, row in block]
        numbers.append(_numbers(values, columns, number, file.delimiter != ","))
        if choice.text is not None:
            target += [row[place[choice.text]].strip() for _, row in block]
    texts = _texts(file, [column for column in columns if column.is_text])
    measured = [column for column in columns if not column.is_text]
    if choice.text is not None:
        texts[choice.text] = target
        if file.delimiter != "," and (points := _with_points(target)):
            texts[choice.text] = points
            commas = {"comma"} if points != target else {"number"}
            measured.append(_Column(choice.text, place[choice.text], commas))
    notes = _decimal_commas(file, measured, faults)
    left = [i for i, column in enumerate(columns) if not column.is_text]
    names = tuple(columns[i].name for i in left)
    return Table(names, np.concatenate(numbers)[:, left], texts, lines.__getitem__, notes)


def _number(text: str) -> float:
    """Return the number that a text is, in ASCII digits without underscores."""
    if not is_number(text):
        raise ValueError(text)
    return float(text)


def _numbers(
    rows: Sequence[Sequence[str]],
    columns: Sequence[_Column],
    number: Callable[[str], float],
    commas: bool,
) -> HostArray:
    """Return values as float64 (n, columns), NaN for gaps and texts; add their kinds."""
    try:
        flat = np.fromiter(map(number, chain.from_iterable(rows)), np.float64)
    except ValueError:
        found = np.empty((len(rows), len(columns)))
        for i, (column, values) in enumerate(zip(columns, zip(*rows, strict=True), strict=True)):
            parsed = [_value(value.strip(), number, commas) for value in values]
            column.kinds |= {kind for _, kind in parsed}
            found[:, i] = [value for value, _ in parsed]
        return found
    for column in columns:
        column.kinds.add("number")
    return flat.reshape(len(rows), len(columns))


def _value(text: str, number: Callable[[str], float], commas: bool) -> tuple[float, str]:
    """Return a value as a number, and its kind."""
    plain = text.lower()
    if plain in GAPS:
        return nan, "gap"
    if plain in TRUTH:
        return TRUTH[plain], "truth"
    if commas and DECIMAL_COMMA.fullmatch(text):
        return float(text.replace(",", ".")), "comma"
    try:
        return number(text), "number"
    except ValueError:
        return nan, "text"


def _texts(file: CsvFile, columns: Sequence[_Column]) -> dict[str, list[str]]:
    """Return columns as they are written, "" for gaps, by name."""
    texts: dict[str, list[str]] = {column.name: [] for column in columns}
    if texts:
        for _, row in rows_of(file):
            for column in columns:
                text = row[column.place].strip()
                texts[column.name].append("" if text.lower() in GAPS else text)
    return texts


def _with_points(texts: list[str]) -> list[str] | None:
    """Return a target of numbers with points for its decimal commas; None if it is of others."""
    different = {*texts} - GAPS
    if not all(is_number(text) or DECIMAL_COMMA.fullmatch(text) for text in different):
        return None
    return [text.replace(",", ".") for text in texts]


def _decimal_commas(file: CsvFile, columns: Sequence[_Column], faults: Faults) -> tuple[str, ...]:
    """Return what to say of numbers with decimal commas; add a fault if others have points."""
    commas = [column for column in columns if "comma" in column.kinds]
    if not commas:
        return ()
    example = ""
    for line, row in rows_of(file):
        example = example or next((row[c.place] for c in commas if "," in row[c.place]), "").strip()
        for column in columns:
            if "." in row[column.place]:
                faults.add(
                    f"line {line}: column {column.name!r} is {row[column.place].strip()!r}, with a "
                    f"point, and column {commas[0].name!r} has decimal commas; expected one of both"
                )
                return ()
    names = listed([column.name for column in commas])
    return (f"decimal commas in {names}: {example} is {example.replace(',', '.')}",)
