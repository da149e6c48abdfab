"""Numbers that are too large for the type of the model, by column, row and value.

What else is checked is tested where arrays are read: `test_sources`.
"""

from pathlib import Path

import numpy as np
import pytest
from helpers import csv_file

from xpnet.data.sources import load
from xpnet.errors import DataError

N = 30


def table(folder: Path, **wrong: tuple[int, str]) -> str:
    """A table of N rows with another number in the row of a column."""
    rows = [{"a": f"{i}", "b": f"{i * i}", "t": f"{i / 2}"} for i in range(N)]
    for column, (row, text) in wrong.items():
        rows[row][column] = text
    lines = ["a,b,t", *(",".join(row.values()) for row in rows)]
    return csv_file(folder, "\n".join(lines))


@pytest.mark.parametrize(
    ("wrong", "dtype", "expected"),
    [
        (
            {"b": (17, "1e39")},
            "float32",
            "line 19: column 'b' is 1e+39, too large for float32; scale it, or use --dtype float64",
        ),
        (
            {"t": (6, "-1e39"), "b": (9, "4")},
            "float32",
            "line 8: column 't' is -1e+39, too large for float32; scale it, or use --dtype float64",
        ),
        (
            {"a": (29, "1e200"), "b": (17, "-1e39")},
            "float32",
            "line 19: column 'b' is -1e+39 (and 1 more), too large for float32; scale it, "
            "or use --dtype float64",
        ),
        (
            {"a": (5, "1e200")},
            "float32",
            "line 7: column 'a' is 1e+200, too large for float32; scale it",
        ),
        (
            {"a": (5, "-1e200")},
            "float64",
            "line 7: column 'a' is -1e+200, too large for float64; scale it",
        ),
    ],
)
def test_a_number_too_large_is_named_by_its_line(
    tmp_path: Path, wrong: dict[str, tuple[int, str]], dtype: str, expected: str
) -> None:
    """Wherever it falls: it is looked for before some rows are held out."""
    with pytest.raises(DataError) as caught:
        load(table(tmp_path, **wrong), "t", dtype=dtype)
    assert str(caught.value) == f"table.csv: {expected}"


def test_what_fits_the_type_is_loaded(tmp_path: Path) -> None:
    path = table(tmp_path, a=(3, "3.4e38"), b=(4, "-3.4e38"), t=(5, "3.4e38"))
    assert load(path, "t", dtype="float32").x_train.max() == 3.4e38
    path = table(tmp_path, a=(3, "1e39"), b=(4, "-1e150"), t=(5, "1e150"))
    assert load(path, "t", dtype="float64").columns == ("a", "b")
    assert load(path, "t", dtype="int8").columns == ("a", "b")  # which `mlp` refuses
    assert load(path, "t").columns == ("a", "b")


def test_labels_of_any_size_are_names(tmp_path: Path) -> None:
    path = table(tmp_path, **{"t": (5, "1e39")})
    samples = load(path, "t", task="classification", dtype="float32")
    assert "1e39" in [*samples.y_train, *samples.y_test]


@pytest.mark.parametrize(
    ("name", "at", "expected"),
    [
        ("x_train", (17, 1), "x_train: element (17, 1) is 1e+39, too large for float32; scale it"),
        ("x_test", (9, 0), "x_test: element (9, 0) is 1e+39, too large for float32; scale it"),
        ("y_train", (17,), "y_train: element (17,) is 1e+39, too large for float32; scale it"),
        ("y_test", (2,), "y_test: element (2,) is 1e+39, too large for float32; scale it"),
    ],
)
def test_a_number_too_large_is_named_by_its_part(
    tmp_path: Path, name: str, at: tuple[int, ...], expected: str
) -> None:
    x, y = np.arange(2.0 * N).reshape(N, 2), np.arange(N) / 2
    arrays = {"x_train": x, "y_train": y, "x_test": x.copy(), "y_test": y.copy()}
    arrays[name][at] = 1e39
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(DataError) as caught:
        load(str(tmp_path / "set.npz"), dtype="float32")
    assert str(caught.value) == f"set.npz: {expected}, or use --dtype float64"


@pytest.mark.parametrize("dtype", ["f2", "f4", "i8", "u1"])
@pytest.mark.parametrize("of_model", ["float32", "float64"])
def test_arrays_of_smaller_types_are_not_too_large(
    tmp_path: Path, dtype: str, of_model: str
) -> None:
    x = np.full((N, 2), 127).astype(dtype)
    np.savez(tmp_path / "set.npz", x=x, y=x[:, 0] + np.arange(N, dtype=dtype))
    assert load(str(tmp_path / "set.npz"), dtype=of_model).x_train.dtype == np.dtype(dtype)
