"""Samples and targets as arrays, where they come as frames too: columns are matched by name.

A frame is a table (`data.tables`) whose rows are counted from 0.
"""

import warnings
from collections.abc import Sequence
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnet.arrays import Array, HostArray, namespace
from xpnet.bounds import shown
from xpnet.data.dataset import as_array
from xpnet.data.objects import parsed
from xpnet.errors import DataError, UsageError
from xpnet.frames import (
    Frame,
    Series,
    is_categorical,
    is_series,
    library_of,
    names_of,
    numbers_at_once,
    opened,
    side_by_side,
    values_of,
)

if TYPE_CHECKING:  # tables are imported for a frame alone
    from xpnet.data.columns import Choice, Faults
    from xpnet.data.files import Contents, Names, ReadOptions
    from xpnet.data.tables import Table

Source = Any  # the name of a data set or file, or a frame

CONVERTED = {
    ("polars", False): "cast(float)",
    ("polars", True): "cast(str).cast(float)",
    ("pyarrow", False): 'cast("float64")',
    ("pyarrow", True): 'cast("float64")',
}
"""By library, and whether they are categories: how texts become numbers, where not as of pandas."""

PARTS = (bytes, list, tuple, dict, np.ndarray)
MOST = 10**400  # of which Python writes all digits

WITHOUT = {"polars": "drop({})", "pyarrow": "drop_columns({})"}
"""By library: the call that leaves columns out, where it is not as of pandas."""


def as_samples(x: Any, columns: Sequence[str] = ()) -> tuple[Array, tuple[str, ...]]:
    """Return samples as an array (n, ...), and the names of its columns if they are a frame.

    Parameters
    ----------
    x : array, list or frame (n, ...)
    columns : sequence of str, optional
        Those to take of a frame, in this order; others need not be numbers.  By default all.

    Raises
    ------
    UsageError
        It isn't an array of numbers with a sample per row (`dataset.as_array`), or a series.
    DataError
        A frame lacks columns, or has values that are no finite numbers: all that is wrong, at once.
    """
    frame = opened(x, "x", columns)
    if frame is None:
        return as_array(x), ()
    if is_series(frame):
        if columns and {*columns} <= {*map(str, getattr(x, "index", ()))}:
            raise UsageError("x is one row of a frame; expected a frame, as df.iloc[[0]] is of one")
        name = frame.name or "a"
        one = f'x.select(["{name}"])' if library_of(x) == "pyarrow" else f'df[["{name}"]]'
        raise UsageError(
            f"x is a series of shape ({len(frame)},); expected a sample per row, (n, ...): a frame "
            f"of one column is {one}"
        )
    return features_of(frame, columns)


def flattened(x: Any, shape: tuple[int, ...], width: int, columns: Sequence[str] = ()) -> Array:
    """Return samples of this shape as an array (n, width); they may come flat, or as a frame."""
    x, _ = as_samples(x, columns)
    given = tuple(x.shape)
    if len(given) == 2 and given[1] == width:
        return x
    if given[1:] != shape and (len(shape) > 1 or prod(given[1:]) != width):
        expected = ", ".join(map(str, shape))
        raise UsageError(f"x has shape {given}; this model expects (n, {expected})")
    return namespace(x).reshape(x, (given[0], width))


def features_of(frame: Frame, columns: Sequence[str]) -> tuple[HostArray, tuple[str, ...]]:
    """Return these columns of a frame, or all, as those of a table are; and their names."""
    from xpnet.data.columns import ARROW_INDEX, choose
    from xpnet.data.files import ReadOptions
    from xpnet.data.tables import contents_of

    names = names_of(frame)
    _require_some(names, columns, "x")
    faults = _faults("x", frame, open_to_choice=not columns)
    given = [name for name in names if not ARROW_INDEX.fullmatch(name)]
    choice = choose(names, ReadOptions(features=columns or given), faults)
    faults.raise_if_any()
    table = _table_of(frame, choice, faults)
    contents = contents_of(table, choice, faults)
    return contents.widened(contents.arrays["x"]), choice.features


def read_frame(source: Source, options: "ReadOptions") -> "Contents | None":
    """Return x and y of a frame, as of the CSV file of it; None for everything else."""
    needed = _given(options.features) + _given(options.target) if options.features else ()
    frame = opened(source, "frame", needed)
    if frame is None:
        return None
    if is_series(frame):
        raise UsageError("a series is no data set; give a frame with the target as a column")
    from xpnet.data.columns import choose
    from xpnet.data.tables import contents_of

    faults = _faults("frame", frame, open_to_choice=not options.features)
    choice = choose(names_of(frame), options, faults)
    return contents_of(_table_of(frame, choice, faults), choice, faults)


def _given(names: "Names") -> list[str]:
    """Return the names of columns that are given, each as a text."""
    from xpnet.data.columns import split

    return split(names) if isinstance(names, str) else [*map(str, names or ())]


def _require_some(names: Sequence[str], columns: Sequence[str], name: str) -> None:
    """Raise a DataError where a frame has columns, and none of those that the model takes."""
    from xpnet.data.columns import listed

    if columns and names and not {*map(str.strip, names)} & {*map(str.strip, columns)}:
        raise DataError(
            f"{name} has none of the columns that the model takes, which are {listed(columns)}; it "
            f"has {listed(names)}. Rename them, or give {name}.to_numpy(), which is taken by "
            "position"
        )


def _faults(name: str, frame: Frame, open_to_choice: bool) -> "Faults":
    """Return no faults yet of a frame of this name, from which columns may be left out, or not."""
    from xpnet.data.columns import Faults

    remedy = partial(_without, name, frame.to_native())
    return Faults(name, remedy if open_to_choice else None, f"leave it out: {remedy([''])}")


def _without(name: str, native: Any, columns: Sequence[str]) -> str:
    """Return the call that leaves columns out of a frame of this name."""
    return f"{name}.{WITHOUT.get(library_of(native), 'drop(columns={})').format([*columns])}"


def warn_of_columns(x: Any, y: Any, columns: Sequence[str], target: Sequence[str]) -> None:
    """Warn where a column of a frame x, the samples of a fit, is seldom meant as a feature.

    Warns
    -----
    UserWarning
        The first column has the name that pandas gives to the index of a CSV file; or a column has
        the name of a series y.
    """
    if not columns:
        return
    from xpnet.data.columns import INDEX

    found = {}
    if INDEX.fullmatch(columns[0]):
        found[columns[0]] = "the first column of x looks like an index that a CSV file kept"
    if len(target) == 1 and target[0] in columns and not hasattr(type(y), "columns"):
        found[target[0]] = f"x has a column {target[0]!r}, as y is named: the target is a feature"
    for name, what in found.items():
        warnings.warn(f"{what}; to leave it out: {_without('x', x, [name])}", stacklevel=6)


def _table_of(frame: Frame, choice: "Choice", faults: "Faults") -> "Table":
    """Return the chosen columns as a table; add a fault for each that must be numbers and isn't.

    The values of a single target are written as in a CSV file.
    """
    from xpnet.data.columns import Faults, other_target
    from xpnet.data.tables import Table

    names = names_of(frame)
    if choice.numbers == names and (numbers := numbers_at_once(frame)) is not None:
        return Table(names, numbers, {})
    series = dict(zip(names, frame.iter_columns(), strict=True))
    numbers = np.zeros((len(frame), len(choice.numbers)), order="F")
    others = Faults(faults.name)
    for j, name in enumerate(choice.numbers):
        numbers[:, j] = _numbers(series[name], name, others if choice.uncertain else faults)
    if others.columns:
        faults.hints.append(other_target(others.columns))
    text = choice.text
    texts = {} if text is None else {text: _texts(series[text], text, faults)}
    return Table(choice.numbers, numbers, texts)


def _numbers(series: Series, name: str, faults: "Faults") -> HostArray | float:
    """Return a column as numbers, with NaN for gaps; where it has others, add a fault."""
    values = values_of(series)
    numbers, odd = parsed(values) if values.dtype == object else (values, None)
    if odd is None and not is_categorical(series) and numbers.dtype.kind in "biuf":
        return numbers
    i = int(np.argmin(series.is_null().to_numpy())) if odd is None else odd
    kind = str(series.dtype).partition("(")[0]
    plain = isinstance(values[i], str | int)
    value = shown(values[i]) if plain else " ".join(str(values[i]).split())[:40]
    remedy = ""
    if _are_numbers(values):
        call = CONVERTED.get((library_of(series.to_native()), is_categorical(series)))
        remedy = f": {faults.name}[{name!r}].{call or 'astype(float)'} converts the column"
    faults.add(f"row {i}: column {name!r} is {value} ({kind}); expected a number{remedy}", name)
    return 0.0


def _are_numbers(values: HostArray) -> bool:
    """Whether all values are numbers, some written as texts without blanks, or gaps."""
    from xpnet.data.tables import is_number

    texts = [value for value in values.tolist() if isinstance(value, str)]
    others = [value for value in values.tolist() if not isinstance(value, str)]
    written = all(is_number(text) and text == text.strip() for text in texts)
    return written and parsed(np.fromiter(others, dtype=object))[1] is None


def _texts(series: Series, name: str, faults: "Faults") -> list[str]:
    """Return the values of a column as its library writes them in a CSV file, "" for a gap.

    Where it has others than texts and numbers, as lists, add a fault.
    """
    values = values_of(series)
    for i, value in enumerate(values if values.dtype == object else ()):
        if isinstance(value, PARTS) or (isinstance(value, int) and abs(value) >= MOST):
            faults.add(f"row {i}: column {name!r} is {shown(value)}; expected a number or a text")
            return []
    texts = ["" if value is None or value != value else str(value) for value in values.tolist()]
    small = values.dtype == bool and library_of(series.to_native()) in ("polars", "pyarrow")
    return [*map(str.lower, texts)] if small else texts


def as_targets(y: Any, target: Sequence[str] = ()) -> tuple[Any, tuple[str, ...]]:
    """Return y with the names of its columns, as an array if it is a series or a frame.

    Parameters
    ----------
    y : array, list, series (n,) or frame (n, k)
    target : sequence of str, optional
        The columns to take of a frame of several, in this order.  The name of a single target does
        not matter.

    Returns
    -------
    y : as given, or array (n,) or (n, k)
    names : tuple of str
        () if there are none.

    Raises
    ------
    UsageError
        y is a text.
    DataError
        A frame lacks columns.
    """
    if isinstance(y, str):
        raise UsageError(f"y is the text {shown(y)}; give the targets, as by df[{shown(y)}]")
    found = opened(y, "y", target)
    if found is None:
        return y, ()
    names = names_of(found)
    if is_series(found):
        return values_of(found), names
    series = dict(zip(names, found.iter_columns(), strict=True))
    if len(target) > 1 or (target and target[0].strip() in map(str.strip, names)):
        from xpnet.data.columns import Faults, choose
        from xpnet.data.files import ReadOptions

        _require_some(names, target, "y")
        faults = Faults("y")
        names = choose(names, ReadOptions(features=target), faults).features
        faults.raise_if_any()
    return side_by_side([series[name] for name in names]), names
