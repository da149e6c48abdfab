"""Tables of comma-separated values: what is read, and what is refused in words."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from helpers import csv_file

from xpnet.data.sources import Samples, load, load_samples
from xpnet.data.tables import pixels_of
from xpnet.errors import DataError


def read(path: str, **options) -> Samples:
    """All rows of a table, in the order of the file."""
    return load(path, whole=True, **options)


TABLE = "age,label,height\n31,0,1.5\n27,1,-2e3\n45,1,0.1\n"
VARIANTS = {
    "plain": TABLE,
    "crlf": TABLE.replace("\n", "\r\n"),
    "cr": TABLE.replace("\n", "\r"),
    "bom": "\ufeff" + TABLE,
    "no-final-newline": TABLE.removesuffix("\n"),
    "quoted": TABLE.replace("age", '"age"').replace("31", '"31"').replace(",1,", ',"1",'),
    "spaces": TABLE.replace(",", " , "),
    "blank-lines": "\n" + TABLE.replace("\n", "\n\n"),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_table_is_read(tmp_path: Path, variant: str) -> None:
    path = csv_file(tmp_path, VARIANTS[variant])
    samples = read(path)
    assert samples.name == "table"
    assert samples.columns == ("age", "height")
    assert samples.labels == ()
    assert samples.files == {"table.csv": hashlib.sha256(Path(path).read_bytes()).hexdigest()}
    x, y = samples.x_test, samples.y_test
    assert (x.dtype, y.dtype) == (np.float64, np.int64)
    assert x.tolist() == [[31, 1.5], [27, -2000], [45, 0.1]]
    assert y.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("values", "y", "dtype"),
    [
        (["1", "-2", "1.0"], [1, -2, 1], "i8"),
        (["0.5", "1", "2"], [0.5, 1, 2], "f8"),
        (['"x, y"', '"the ""z"""', " x#1"], ["x, y", 'the "z"', "x#1"], "U7"),
        (["7", "8", "A"], ["7", "8", "A"], "U1"),
        (["1_2", "1_3"], ["1_2", "1_3"], "U3"),
        (["007", "7", "8"], ["007", "7", "8"], "U3"),
        (["2134", "02134", "90210"], ["2134", "02134", "90210"], "U5"),
        (["-01", "1"], ["-01", "1"], "U3"),
        (["00", "0"], ["00", "0"], "U2"),
        (["0", "-0", "+7"], [0, 0, 7], "i8"),
        (["0.5", "05.25", "1e01"], [0.5, 5.25, 10], "f8"),
        (["9007199254740993", "9007199254740992"], [2**53 + 1, 2**53], "i8"),
        (["-9223372036854775808", "9223372036854775807"], [-(2**63), 2**63 - 1], "i8"),
        (["9223372036854775808", "1"], ["9223372036854775808", "1"], "U19"),
        (["1" + "0" * 5000, "1"], ["1" + "0" * 5000, "1"], "U5001"),
        (["9007199254740993", "1.0"], ["9007199254740993", "1.0"], "U16"),
        (["NA", "None", "null"], ["NA", "None", "null"], "U4"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_target_is_classes_numbers_or_names(tmp_path: Path, values, y, dtype: str) -> None:
    rows = "".join(f"{i},{value}\n" for i, value in enumerate(values * 3))
    both = read(csv_file(tmp_path, f"a,the class\n{rows}"), target="the class").y_test
    assert both.dtype == np.dtype(dtype)
    assert both.tolist() == y * 3


@pytest.mark.parametrize(
    ("target", "y", "dtype"),
    [("a,b", [[1, 0.5], [-2, 1]], "f8"), ("c, a", [[3, 1], [4, -2]], "i8")],
)
def test_several_targets_are_columns_of_y_in_their_order(tmp_path, target, y, dtype: str) -> None:
    samples = read(csv_file(tmp_path, "a,b,x,c\n1,0.5,7,3\n-2,1,8,4\n"), target=target)
    both = samples.y_test
    assert both.dtype == np.dtype(dtype)
    assert both.tolist() == y
    assert samples.x_test[:, samples.columns.index("x")].tolist() == [7, 8]


@pytest.mark.parametrize(
    ("count", "last", "shape", "dtype"),
    [
        (4, "255", (2, 2), "u1"),
        (3, "255", (3,), "u1"),
        (4, "256", (4,), "f8"),
        (4, "-1", (4,), "f8"),
        (4, "0.5", (4,), "f8"),
    ],
)
def test_pixels_are_bytes_and_images(tmp_path: Path, count, last: str, shape, dtype: str) -> None:
    names = ",".join(f"pixel{i}" for i in range(count))
    row = ",".join([*map(str, range(count - 1)), last])
    samples = load(csv_file(tmp_path, f"label,{names}\n" + f"3,{row}\n" * 5))
    assert samples.x_train.dtype == np.dtype(dtype)
    assert samples.x_train.shape == (5, *shape)
    expected = [*range(count - 1), float(last)]
    assert samples.x_train[0].ravel().tolist() == expected


def test_other_bytes_than_pixels_stay_columns(tmp_path: Path) -> None:
    samples = load(csv_file(tmp_path, "label,pixel0,pixels,2020,b\n" + "1,2,3,4,5\n" * 5))
    assert samples.x_train.dtype == np.float64
    assert samples.x_train.shape == (5, 4)
    samples = load(csv_file(tmp_path, "label,pixels\n" + "1,2\n" * 5))
    assert samples.x_train.dtype == samples.x_test.dtype == np.float64
    x, _ = load_samples(csv_file(tmp_path, "a,b\n1,2\n3,4\n"))
    assert (x.dtype, x.tolist()) == (np.float64, [[1, 2], [3, 4]])


BAD_CSV = {
    "empty": ("", "is empty; expected a line with the names of the columns"),
    "blank": ("\n\n", "is empty"),
    "no-header": ("2,1\n3,4\n", "line 1 holds numbers alone; expected the names.*--no-header"),
    "no-rows": ("label,a\n", "has no row after"),
    "blank-rows": ("label,a\n\n \n", "has no row after"),
    "latin": ("label,a\n1,2\n1,\xe9\n".encode("latin-1"), "line 3 is not UTF-8; save"),
    "same-names": ("label,a,a\n1,2,3\n", "two columns are named 'a'"),
    "no-name": ("label,,a\n0,1,2\n", "column 2 has no name; .* by --features"),
    "target-alone": ("label\n1\n2\n", "has no column but those to predict"),
    "missing": ("label,a,b\n1,2,3\n1,,3\n", "line 3: column 'a' has no value"),
    "missing-target": ("label,a\n1,2\n ,3\n", "line 3: column 'label' has no value"),
    "text": ("label,a,b\n1,2,3\n\n1,2,x\n", "line 4: column 'b' is 'x'; expected a number"),
    "crlf-text": ("label,a\r\n1,2\r\n1,x\r\n", "line 3: column 'a' is 'x'"),
    "line-break": ('label,a\n"b\nc",2\nd,3\n', "line 2: column 'label' has a line break"),
    "nan": (
        "label,a\n1,nan\n",
        "line 2: column 'a' has no value; fill it in or leave the row o",
    ),
    "inf": ("label,a\n1,3\n1,-inf\n", "line 3: column 'a' is -inf; expected a finite number"),
    "nan-target": (
        "label,a\n1,3\nNaN,1\n",
        "line 3: column 'label' is NaN: no value; fill it in or",
    ),
    "nan-name": (
        "label,a\nb,3\n\n-nan,1\n",
        "line 4: column 'label' is -nan: no value; fill it in",
    ),
    "nan-name-in-quotes": ('label,a\nb,3\n" NAN",1\n', "line 3: column 'label' is NAN: no value"),
    "na-name": ("label,a\nb,3\n<NA>,1\n", "line 3: column 'label' is <NA>: no value; fill it in"),
    "nat-name": ("label,a\nNaT,3\nb,1\n", "line 2: column 'label' is NaT: no value; fill it in"),
    "inf-target": ("label,a\n1,3\n-inf,1\n", "line 3: column 'label' is -inf; expected a finite"),
    "short": ("label,a,b\n1,2,3\n1,2\n", "line 3 has 2 values; expected 3, one for each column"),
    "long": ("label,a\n1,2\n1,2,3\n", "line 3 has 3 values; expected 2"),
    "all-long": ("label,a\n1,2,3\n1,2,3\n", r"line 2 \(and 1 more\) has 3 values; expected 2"),
    "all-short": ("a,label\n1\n2\n", r"line 2 \(and 1 more\) has 1 value; expected 2"),
    "open-quote": ('a,label\n1,2\n1,"2\n3,4\n', "line 3: a quote is not closed"),
    "open-quote-in-the-header": ('label,"a\n1,2\n', "line 1: a quote is not closed"),
    "underscore": ("label,a\n1,1_0\n", "line 2: column 'a' is '1_0'; expected a number"),
    "one-row": ("label,a\n1,2\n", "holds 1 sample"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_a_bad_table_is_named_with_what_is_wrong(tmp_path: Path, case: str) -> None:
    content, message = BAD_CSV[case]
    with pytest.raises(DataError, match=message) as caught:
        load(csv_file(tmp_path, content))
    assert str(caught.value).startswith("table")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("lable", r"has no column 'lable' to predict, did you mean 'label'\? it has a, label$"),
        ("label,b", "has no column 'b' to predict"),
        ("", "has no column '' to predict"),
        ("label,a", "has no column but those to predict"),
    ],
)
def test_a_target_that_is_no_column_is_named(tmp_path: Path, target: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(csv_file(tmp_path, "a,label\n1,2\n3,4\n"), target=target)


def test_of_many_columns_the_nearest_are_named(tmp_path: Path) -> None:
    names = ",".join(["digit", *(f"pixel{i}" for i in range(20))])
    with pytest.raises(
        DataError,
        match=r"'digits' to predict, did you mean 'digit'\? it has digit, pixel0, .* and 13 more$",
    ):
        load(csv_file(tmp_path, f"{names}\n" + "1," * 20 + "1\n"), target="digits")


def test_capitals_are_a_near_miss(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'Species'"):
        load(csv_file(tmp_path, "a,Species\n1,2\n3,4\n"), target="species")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("PK\x03\x04", r"is a packed file \(a workbook or a zip archive\) and no text; save"),
    ],
)
def test_what_is_no_comma_separated_text_is_named(
    tmp_path: Path, content: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load(csv_file(tmp_path, content))


def test_columns_that_are_not_taken_are_not_blamed(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "note,a,label\nold,1,1\nnew,2,nan\n")
    with pytest.raises(DataError, match="line 3: column 'label' is nan"):
        load(path, features=("a",))


def test_text_in_one_of_several_targets_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 3: column 'b' is 'x'; expected a number"):
        load(csv_file(tmp_path, "a,b,c\n1,2,3\n1,x,3\n"), target="a,b")


def test_samples_of_a_table_are_the_columns_that_are_named(tmp_path: Path) -> None:
    """In their order, whatever others hold; all where none is named."""
    path = csv_file(tmp_path, "a,label,b\n1,,2\n3,cat,4\n")
    assert load_samples(path, features=("b", "a"))[0].tolist() == [[2, 1], [4, 3]]
    with pytest.raises(DataError, match=r"table\.csv: line 3: column 'label' is 'cat'"):
        load_samples(path)
    with pytest.raises(DataError, match="has no column 'c' that the model takes; it has"):
        load_samples(path, features=("a", "c"))


def test_a_table_may_give_its_features_in_another_order(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "b,note,label,a\n1,x,0,2\n3,,1,4\n5,y,0,6\n")
    samples = load(path, features=("a", "b"))
    assert samples.columns == ("a", "b")
    assert samples.x_train.tolist() == [[2, 1], [4, 3], [6, 5]]


def test_a_fault_beside_an_unused_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 3: column 'b' is 'x'"):
        load_samples(csv_file(tmp_path, "label,b\n,1\n,x\n"), features=("b",))


def test_samples_of_pixels_are_images(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "pixel0,pixel1,pixel2,pixel3\n0,1,2,3\n")
    samples, _ = load_samples(path)
    assert samples.dtype == np.uint8
    assert samples.tolist() == [[[0, 1], [2, 3]]]


def test_the_task_decides_whether_targets_are_names_or_numbers(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "a,label\n1,007\n2,7.50\n3,18446744073709551616\n")
    assert read(path).y_test.tolist() == ["007", "7.50", "18446744073709551616"]
    assert read(path, task="regression").y_test.tolist() == [7, 7.5, 2.0**64]
    path = csv_file(tmp_path, "a,label\n1,7.5\n2,7.50\n")
    assert read(path).y_test.tolist() == [7.5, 7.5]
    assert read(path, task="classification").y_test.tolist() == ["7.5", "7.50"]
    path = csv_file(tmp_path, "a,label\n1,1.0\n2,2\n")
    assert read(path, task="classification").y_test.tolist() == [1, 2]
    assert read(path, task="classification", names=True).y_test.tolist() == ["1.0", "2"]


@pytest.mark.parametrize(
    ("names", "shape"),
    [
        ("pixel3 pixel1 pixel2 pixel0", (2, 2)),
        ("pixel_1 pixel_2 pixel_3", (3,)),
        ("1x1 1x2 1x3 2x1 2x2 2x3", (2, 3)),
        ("pixel_0_0 pixel_0_1 pixel_1_0 pixel_1_1", (2, 2)),
        ("1x1 1x2 2x2 2x1", None),
        ("1x1 1x2 2x1", None),
        ("0x0 1x1", None),
        (" ".join(map(str, range(64))), (8, 8)),
        (" ".join(map(str, range(1, 65))), (8, 8)),
        (" ".join(map(str, range(2, 66))), None),
        (" ".join(map(str, range(65))), None),
        (" ".join(map(str, range(9))), None),
        ("a b", None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_columns_of_pixels_are_known_by_their_names(names: str, shape) -> None:
    assert pixels_of(names.split()) == shape
