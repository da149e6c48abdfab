"""Columns of a table by name: which are features, which are targets; faults of a table."""

import csv
import io
import re
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import takewhile

from xpnet.data.files import DEFAULT_TARGET, Names, ReadOptions
from xpnet.errors import NEXT_FAULT, DataError

SHOWN = 8  # names of columns, and faults, in a message
MOST = 40  # characters of a name in a message
MANY = 30  # columns, more than anybody would type
ARROW_INDEX = re.compile(r"__index_level_\d+__")  # of pandas' frames in Arrow's tables
INDEX = re.compile(r"(Unnamed: \d+(\.\d+)?)?")  # first columns that pandas or R wrote: an index


def drop_option(names: Sequence[str]) -> str:
    """Return the option that leaves these columns out, as it is typed."""
    if len(names) > MANY:
        return "name those to take by --features"
    return f"--drop {shlex.quote(joined(names))}"


@dataclass
class Faults:
    """All faults of a table, for one message.

    Attributes
    ----------
    name : str
        The table's.
    remedy : function, optional
        What to do to leave out columns of these names, if that can be done.
    nameless : str
        What to do to leave out a column without a name.
    hints : list of str
        What else may help.
    columns : list of str
        Those with a fault that can be left out.
    """

    name: str
    remedy: Callable[[Sequence[str]], str] | None = None
    nameless: str = "name those to take by --features"
    hints: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    _found: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, fault: str, column: str = "") -> None:
        """Add what is wrong; with the column, if it can be left out."""
        self._found.append(fault)
        self.columns += [column] if column else []

    def raise_if_any(self) -> None:
        """Raise a DataError that says all that is wrong, in a line each."""
        if not self._found:
            return
        told, more = self._found[:SHOWN], len(self._found) - SHOWN
        if more > 0:
            told.append(f"and {more:,} more")
        columns = [*dict.fromkeys(self.columns)]
        if columns and self.remedy is not None:
            which = "this column" if len(columns) == 1 else "these columns"
            told.append(f"to leave {which} out: {self.remedy(columns)}")
        told += self.hints
        if len(self._found) == 1:
            raise DataError(f"{self.name}: {'; '.join(told)}")
        raise DataError(NEXT_FAULT.join([f"{self.name}: has {len(self._found):,} faults", *told]))


@dataclass(frozen=True)
class Choice:
    """The columns of a table that are taken.

    Attributes
    ----------
    features, target : tuple of str
    notes : tuple of str
        What to tell the user: which columns are left out.
    uncertain : bool
        Whether a target is not there, so that one of the features may be meant.
    """

    features: tuple[str, ...]
    target: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    uncertain: bool = False

    @property
    def text(self) -> str | None:
        """The column to take as texts: a single target, whose classes may be names."""
        return self.target[0] if len(self.target) == 1 else None

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns to take as numbers: the features, and several targets."""
        return self.features + (self.target if len(self.target) > 1 else ())


def choose(names: Sequence[str], options: ReadOptions, faults: Faults) -> Choice:
    """Return which of these columns are features and which are targets; add faults.

    First columns without names are left out by themselves: they are an index, as pandas and R write
    one.
    """
    target = _named(names, options.target, "to predict", faults)
    uncertain = bool(faults)
    if options.target == DEFAULT_TARGET and uncertain:
        faults.hints.append(f"name the column to predict by --target (the last is {names[-1]!r})")
    kind = "to take" if isinstance(options.features, str) else "that the model takes"
    features = _named(names, options.features, kind, faults)
    dropped = {*_named(names, options.drop, "to leave out", faults)}
    for column in target:
        if column in dropped or column in features:
            how = "left out" if column in dropped else "a feature"
            faults.add(f"column {column!r} is to be predicted and {how}; expected one of both")
    index = [*takewhile(INDEX.fullmatch, names), *filter(ARROW_INDEX.fullmatch, names)]
    index = [name for name in index if name not in features]
    for column in dropped.intersection(features):
        faults.add(f"column {column!r} is to be taken and left out; expected one of both")
    features = tuple(name for name in features if name not in target)
    if not options.features:
        aside = {*target, *dropped, *index}
        features = tuple(name for name in dict.fromkeys(names) if name not in aside)
        if not features:
            faults.add("has no column but those to predict; expected features")
    used = {*features, *target}
    _check_names(names, used, faults)
    features = tuple(name for name in features if name)
    left_out = [name for name in names if name and name not in used and name not in index]
    by_model = bool(options.features) and not isinstance(options.features, str)
    notes = []
    if left_out and options.target is not None and not by_model:
        notes.append(f"left out: {listed(left_out)}")
    if index and not by_model:
        arrow = ARROW_INDEX.fullmatch(index[0])
        one = "the index" if arrow else "the first column, which has no name (an index)"
        many = f"the first {len(index)} columns, which have no name (an index)"
        notes.append(f"left out: {one if len(index) == 1 else many}")
    return Choice(features, target, tuple(notes), uncertain)


def other_target(names: Sequence[str]) -> str:
    """Return what to say of columns that are no numbers where the target is not there."""
    return (
        f"columns that are no numbers: {listed(names)}; one of them may be the target, and --drop "
        "leaves out others"
    )


def _named(names: Sequence[str], given: Names, what: str, faults: Faults) -> tuple[str, ...]:
    """Return the columns that are given, each once; add a fault for those that are not there.

    A name that is not there is also one with other blanks around it, as " b" of pandas, which does
    not strip the names that a file has after its commas.
    """
    if isinstance(given, str):
        given = [given] if given in names else split(given)
    one = isinstance(given, tuple) and str(given) in names  # as of several levels in pandas
    wanted = [str(given)] if one else [*map(str, given or ())]
    place = {name: name for name in names}
    others = {*wanted} - {*names}
    if others:
        place |= _by_blanks(others, [*{*names} - {*wanted}])
    missing = [name for name in dict.fromkeys(wanted) if name not in place]
    if missing:
        column = f"column {missing[0]!r}" if len(missing) == 1 else f"columns {listed(missing)}"
        hint = ";" if len(missing) > 1 else _near(missing[0], names)
        faults.add(f"has no {column} {what}{hint} it has {listed(names)}")
    return tuple(place[name] for name in dict.fromkeys(wanted) if name in place)


def _by_blanks(wanted: Collection[str], names: Sequence[str]) -> dict[str, str]:
    """Return the columns that differ from those wanted by blanks alone, if there is one each."""
    mine, theirs = (Counter(name.strip() for name in group) for group in (wanted, names))
    plain = {name.strip(): name for name in names}
    same = [name for name in wanted if mine[name.strip()] == theirs[name.strip()] == 1]
    return {name: plain[name.strip()] for name in same}


def _near(name: str, names: Sequence[str]) -> str:
    """Return a question for the name that may be meant, or a semicolon."""
    plain = {name.lower(): name for name in names}
    near = get_close_matches(name.lower(), plain, n=1, cutoff=0.7)
    return f", did you mean {plain[near[0]]!r}?" if near else ";"


def _check_names(names: Sequence[str], used: set[str], faults: Faults) -> None:
    """Add a fault for each column that is used and has no name, or the name of another one."""
    seen = set()
    for i, name in enumerate(names):
        if name in used and not name:
            faults.add(f"column {i + 1} has no name; name it, or {faults.nameless}")
        elif name in used and name in seen:
            faults.add(f"two columns are named {name!r}; expected different names")
        seen.add(name)


def first_of(first: str, n: int) -> str:
    """Return where the first of n faults is, and how many more there are."""
    return first + (f" (and {n - 1:,} more)" if n > 1 else "")


def listed(names: Sequence[str], shown: int = SHOWN) -> str:
    """Return some names as a message shows them."""
    more = len(names) - shown
    written = ", ".join(joined([name[:MOST]]) for name in names[:shown])
    return written + (f" and {more:,} more" if more > 0 else "")


def split(names: str) -> list[str]:
    """Return the names that a text names, separated by commas; quotes keep a comma in a name."""
    found = next(csv.reader([names], skipinitialspace=True), [])
    return [name.strip() for name in found or [""]]


def joined(names: Sequence[str]) -> str:
    """Return names as `split` takes them."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(names)
    return text.getvalue()
