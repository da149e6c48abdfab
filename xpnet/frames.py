"""Frames and series of any library, as arrays of NumPy: the one place that knows how to read them.

narwhals knows pandas, Polars, Arrow and others.  It is imported when an argument is neither an
array nor a list.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from xpnet.arrays import HostArray, is_array
from xpnet.errors import DataError, UsageError

Frame = Any  # a DataFrame of narwhals
Series = Any  # a Series of narwhals

NO_FRAME = list, tuple, dict, str, bytes, int, float, type(None)
COMPUTING = {"dask": "compute", "duckdb": "df", "pyspark": "toPandas", "ibis": "to_pandas"}
"""By library: the method of a lazy frame that computes its values, where it is not `collect`."""


def opened(x: Any, name: str, needed: Collection[str] = ()) -> Frame | Series | None:
    """Return a frame or a series as narwhals has it; None for everything else.

    Parameters
    ----------
    x : object
    name : str
        What it is called, for errors.
    needed : collection of str, optional
        The columns that will be taken; others are left out if they have the same name.  By default
        all.

    Raises
    ------
    UsageError
        It is a lazy frame, whose values have not been computed.
    DataError
        Columns that are needed have the same name.
    """
    if is_array(x) or isinstance(x, NO_FRAME):
        return None
    import narwhals.stable.v2 as nw
    from narwhals.exceptions import DuplicateError

    try:
        found: Any = nw.from_native(x, allow_series=True, pass_through=True)
        if found is x and hasattr(x, "__arrow_c_stream__"):
            found = _from_stream(x)
        elif found is x and hasattr(x, "__arrow_c_array__"):
            found = _from_array(x)
        if isinstance(found, nw.DataFrame) and len({*names_of(found)}) < len(found.columns):
            raise DuplicateError
    except DuplicateError:
        return opened(_without_same_names(x, name, needed), name)
    if isinstance(found, nw.LazyFrame):
        library = library_of(x)
        compute = COMPUTING.get(library, "collect")
        raise UsageError(f"{name} is a lazy frame of {library}; give {name}.{compute}()")
    return found if isinstance(found, nw.DataFrame | nw.Series) else None


def _from_stream(x: Any) -> Any:
    """Return a frame of what streams Arrow's columns, by a library that is there; or x."""
    import narwhals.stable.v2 as nw

    for library in ("pyarrow", "polars", "pandas"):
        with suppress(ImportError, TypeError, ValueError):
            return nw.from_arrow(x, backend=library)
    return x


def _from_array(x: Any) -> Any:
    """Return a series of an array of Arrow; or x."""
    import narwhals.stable.v2 as nw

    with suppress(ImportError):
        from pyarrow import array, chunked_array

        return nw.from_native(chunked_array([array(x)]), series_only=True)
    return x


def library_of(x: Any) -> str:
    """Return the name of the library of a frame or a series that narwhals did not wrap yet."""
    return type(x).__module__.partition(".")[0].removeprefix("_")


def is_series(found: Frame | Series) -> bool:
    """Whether what `opened` returned is a series, and no frame."""
    return not hasattr(found, "columns")


def names_of(found: Frame | Series) -> tuple[str, ...]:
    """Return the names of the columns, or that of a series if it has one, as texts."""
    if is_series(found):
        return () if found.name in (None, "") else (str(found.name),)
    return tuple(map(str, found.columns))


def _without_same_names(x: Any, name: str, needed: Collection[str]) -> Any:
    """Return a frame of pandas or Arrow without columns of the same name, if none is needed."""
    names = [*map(str, x.columns if hasattr(x, "iloc") else x.column_names)]
    counts = Counter(names)
    once = {name.strip() for name in names if counts[name] == 1}
    if not needed or not {*map(str.strip, needed)} <= once:
        same = ", ".join(each for each in counts if counts[each] > 1)
        raise DataError(f"{name} has columns of the same name ({same}); rename or drop them")
    kept = [i for i, each in enumerate(names) if counts[each] == 1]
    return x.iloc[:, kept] if hasattr(x, "iloc") else x.select(kept)


def plain_array(x: Any, name: str) -> Any:
    """Return a series as an array (n,) and a frame as an array (n, k); all else as it is."""
    found = opened(x, name)
    if found is None:
        return x
    return values_of(found) if is_series(found) else side_by_side([*found.iter_columns()])


def side_by_side(columns: Sequence[Series]) -> HostArray:
    """Return the values of several series as an array (n, k)."""
    arrays = [values_of(column) for column in columns]
    return np.stack(arrays, axis=1) if arrays else np.zeros((0, 0))


def values_of(series: Series) -> HostArray:
    """Return the values (n,): numbers, with NaN for gaps, if they have a type of NumPy.

    Others become an array of objects, with None for gaps: texts, decimals, dates, booleans with
    gaps, whole numbers of 128 bits, and values that have parts.
    """
    if not str(getattr(series.to_native(), "dtype", "")).endswith("Int128"):
        with suppress(NotImplementedError, OverflowError):  # of types that NumPy has not
            values: HostArray = series.to_numpy()
            if values.dtype.kind in "biufc" and values.ndim == 1:
                return values
    objects = np.fromiter(series.to_list(), dtype=object, count=len(series))
    objects[series.is_null().to_numpy().astype(bool)] = None
    return objects


def is_categorical(series: Series) -> bool:
    """Whether the values are categories."""
    return str(series.dtype).startswith(("Categorical", "Enum"))


def numbers_at_once(frame: Frame) -> HostArray | None:
    """Return a frame whose columns all have types of NumPy as an array (n, k), or else None: fast.

    It is float64, or uint8 if all columns are.
    """
    native = frame.to_native()
    types = {*getattr(native, "dtypes", ())}
    if not types or not all(isinstance(t, np.dtype) and t.kind in "biuf" for t in types):
        return None
    numbers: HostArray = native.to_numpy(np.uint8 if types == {np.dtype("u1")} else np.float64)
    return numbers


def rows_of(x: Any, rows: HostArray) -> Any:
    """Return these rows of a frame or a series, as one of its library; None for all else."""
    try:
        found = opened(x, "x")
    except DataError:  # columns of the same name, which may not be needed
        return x.iloc[rows] if hasattr(x, "iloc") else x.take(rows)
    return None if found is None else found[rows].to_native()
