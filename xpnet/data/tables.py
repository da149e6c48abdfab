"""Tables, wherever they come from: samples and targets of their columns.

A reader of files (`csv_files`) or of data frames chooses columns by their names
(`columns.choose`) and makes a `Table` of them; `contents_of` makes x and y of it, or says all that
is wrong with it.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xpnet.arrays import HostArray
from xpnet.data.columns import Choice, Faults, first_of, listed, other_target
from xpnet.data.files import Contents
from xpnet.data.labels import is_exact, is_missing
from xpnet.data.statistics import FEWEST_PIXELS

GAPS = {"", "na", "n/a", "nan", "+nan", "-nan", "<na>", "null", "none", "nat"}
GAP = "has no value; fill it in or leave the row out"


@dataclass(frozen=True)
class Table:
    """The columns of a table that are taken.

    Attributes
    ----------
    names : tuple of str
        Of the columns of numbers.
    numbers : float64 or uint8 array (n, len(names))
        True and False are 1 and 0, and gaps NaN.
    texts : mapping of str to list of str
        The columns of texts by name, as they are written; gaps are empty.
    line_of : function, optional
        The line in a file of the row of this number.  Without, rows are counted from 0.
    notes : tuple of str
        What to tell the user of how values were read.
    """

    names: tuple[str, ...]
    numbers: HostArray
    texts: Mapping[str, list[str]]
    line_of: Callable[[int], int] | None = None
    notes: tuple[str, ...] = ()

    def where(self, rows: Sequence[int]) -> str:
        """Where the first of these rows is, and how many more there are."""
        first = f"row {rows[0]}" if self.line_of is None else f"line {self.line_of(rows[0])}"
        return first_of(first, len(rows))

    def of_columns(self, names: Sequence[str]) -> HostArray:
        """These columns of numbers (n, len(names)), one row after another in memory."""
        if (*names,) == self.names:
            return np.ascontiguousarray(self.numbers)
        place = {name: i for i, name in enumerate(self.names)}
        return self.numbers[:, [place[name] for name in names]]


def contents_of(table: Table, choice: Choice, faults: Faults) -> Contents:
    """x, and y where there are targets, of a table.

    x is float64, or bytes to be widened to that (`Contents.narrow`); columns that are named as
    pixels and hold bytes are uint8 and, if they make an image, of its shape.  A single target is
    names or numbers (`classes_or_numbers`); several are numbers, of int64 if all are whole.

    Raises
    ------
    DataError
        A feature or one of several targets is no finite number in some row, or there are other
        faults: all in one message.
    """
    features = {*choice.features}
    for fault, column in _faults_of_numbers(table, choice):
        faults.add(fault, column if column in features else "")
    if choice.uncertain and (texts := [name for name in choice.features if name in table.texts]):
        faults.hints.append(other_target(texts))
    written = None
    if choice.text is not None:
        texts = table.texts[choice.text]
        for fault in _faults_of_target(table, choice.text, texts):
            faults.add(fault)
        written = np.asarray(texts)
    faults.raise_if_any()
    x, narrow = _features(table, choice.features)
    arrays, notes = {"x": x}, choice.notes
    if written is not None:
        arrays["y"] = classes_or_numbers(written)
        if classes := [a for a in dict.fromkeys(written.tolist()) if a.lower() in GAPS]:
            notes += (f"taken for classes: {listed(classes)}",)
    elif choice.target:
        arrays["y"] = as_whole(table.of_columns(choice.target).astype(np.float64, copy=False))
    return Contents(arrays, choice.features, choice.target, written, notes, table.line_of, narrow)


def _faults_of_numbers(table: Table, choice: Choice) -> Iterator[tuple[str, str]]:
    """What is wrong with the columns that must be numbers, with the name of each column."""
    for name in choice.numbers:
        if name in table.texts and not choice.uncertain:
            texts = table.texts[name]
            given = [i for i, text in enumerate(texts) if text]
            odd = [i for i in given if not is_number(texts[i])] or given
            wrong = f"is {texts[odd[0]][:40]!r}; expected a number"
            if "\n" in texts[odd[0]]:
                wrong = "has a line break in its value; is a quote missing?"
            yield f"{table.where(odd)}: column {name!r} {wrong}", name
    if np.all(np.isfinite(table.numbers)):
        return
    for name, column in zip(table.names, table.numbers.T, strict=True):
        gaps = np.flatnonzero(np.isnan(column)).tolist()
        if gaps:
            yield f"{table.where(gaps)}: column {name!r} {GAP}", name
        odd = np.flatnonzero(np.isinf(column)).tolist()
        if odd:
            wrong = f"is {column[odd[0]]}; expected a finite number"
            yield f"{table.where(odd)}: column {name!r} {wrong}", name


def _faults_of_target(table: Table, name: str, texts: Sequence[str]) -> Iterator[str]:
    """What is wrong with the column of a single target."""
    numbers = classes_or_numbers(np.asarray(texts)).dtype.kind == "f"
    different = dict.fromkeys(texts)
    values = [text for text in different if text.lower() not in GAPS]
    are_numbers = bool(values) and all(map(is_number, values))
    for text in different:
        if not text:
            wrong = GAP
        elif is_missing(text) or (are_numbers and text.lower() in GAPS):
            wrong = f"is {text}: no value; fill it in or leave the row out"
        elif "\n" in text or "\r" in text:
            wrong = "has a line break in its value; is a quote missing?"
        elif numbers and not math.isfinite(float(text)):
            wrong = f"is {text}; expected a finite number"
        else:
            continue
        rows = [i for i, other in enumerate(texts) if other == text]
        yield f"{table.where(rows)}: column {name!r} {wrong}"


def is_number(text: str) -> bool:
    """Whether a text is a number; Python reads 1_2 as 12, which may be a name."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text and text.isascii()


def classes_or_numbers(texts: HostArray) -> HostArray:
    """Numbers, if all texts (n,) are numbers and none has a leading zero; otherwise names.

    Whole numbers are int64; beyond 64 bits they stay names, with all their digits.
    """
    values, each = texts.tolist(), {*texts.tolist()}
    if not all(map(is_number, each)) or any(re.match(r"[+-]?0\d+$", text) for text in each):
        return texts
    if not all(re.fullmatch(r"[+-]?\d+", text) for text in each):
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


def _features(table: Table, names: Sequence[str]) -> tuple[HostArray, bool]:
    """These columns, as bytes or images if they are pixels; and whether others are bytes."""
    x, shape = table.of_columns(names), pixels_of(names)
    if shape is not None:
        with np.errstate(invalid="ignore"):  # of numbers that no byte can hold
            pixels = x.astype(np.uint8, copy=False)
        if np.array_equal(pixels, x):
            return pixels.reshape(-1, *shape), False
    return x, x.dtype == np.uint8


def pixels_of(names: Sequence[str]) -> tuple[int, ...] | None:
    """The shape of a sample if its columns are named as pixels; otherwise None.

    These are pixel0, pixel1, ... in any order; 1x1, 1x2, ... and pixel_0_0, pixel_0_1, ... by rows
    and columns; and 0, 1, 2, ... or 1, 2, 3, ... if they make a square of at least 64 pixels, also
    of a file without header.
    """
    names = [name.partition(" of ")[0] for name in names]  # without header
    n, side = len(names), math.isqrt(len(names))
    shape = (side, side) if side**2 == n else (n,)
    if all(re.fullmatch(r"pixel_?\d+", name) for name in names):
        return shape
    first = re.fullmatch(r"(pixel_)?([01])([x_])\2", names[0])
    last = re.fullmatch(r"(?:pixel_)?(\d+)[x_](\d+)", names[-1])
    if first and last:
        start, between = int(first[2]), f"{first[3]}"
        rows, columns = (range(start, int(end) + 1) for end in last.groups())
        grid = [f"{first[1] or ''}{i}{between}{j}" for i in rows for j in columns]
        return (len(rows), len(columns)) if grid == [*names] else None
    counted = any([*names] == [str(i + start) for i in range(n)] for start in (0, 1))
    return shape if counted and len(shape) == 2 and n >= FEWEST_PIXELS else None
