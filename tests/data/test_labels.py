"""Labels: which are taken, and which are refused."""

import re

import numpy as np
import pytest
from helpers import Library

from xpnet.arrays import to_numpy
from xpnet.data.labels import (
    check_names,
    encode_labels,
    is_one_hot,
    label_array,
    labels_for,
    plain_labels,
    text_of,
)
from xpnet.data.targets import labels_in
from xpnet.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("y", "labels", "expected"),
    [
        ([2, 0, 1], (0, 1, 2), [2, 0, 1]),
        ([7, 3, 7], (7, 3), [0, 1, 0]),
        ([7.0, 3.0], (7, 3), [0, 1]),
        (np.asarray([0, 255], dtype=np.uint8), (0, 255), [0, 1]),
        ([True, False], (0, 1), [1, 0]),
        (["b", "a"], ("a", "b"), [1, 0]),
        (["b", "a"], ("b", "a"), [0, 1]),
        (np.asarray([b"b", b"a"]), ("a", "b"), [1, 0]),
        (np.asarray(["b", "a"], dtype=object), ("a", "b"), [1, 0]),
        (np.asarray([7, np.int8(3)], dtype=object), (7, 3), [0, 1]),
        (np.asarray(["bé".encode(), b"a"]), ("a", "bé"), [1, 0]),
        ([2**53 + 1, 2**53], (2**53, 2**53 + 1), [1, 0]),
        (np.uint64([2**62 + 1, 2**62]), (2**62, 2**62 + 1), [1, 0]),
        (np.asarray([-(2**63), 2**63 - 1], dtype=object), (2**63 - 1, -(2**63)), [1, 0]),
        (["007", "7"], ("7", "007"), [1, 0]),
        (np.asarray([b"a", b"b"], dtype=object), ("a", "b"), [0, 1]),
    ],
)
def test_labels_become_columns(y, labels, expected) -> None:
    columns = encode_labels(y, labels)
    assert columns.dtype == np.int32
    assert columns.tolist() == expected


@pytest.mark.parametrize(
    ("y", "labels", "message"),
    [
        ([0, 3], (0, 1, 2), "label 3 of sample 1 is out of range"),
        ([0, -1], (0, 1), "label -1 of sample 1"),
        ([0, 0.5], (0, 1), "label 0.5 of sample 1"),
        (
            [0, np.nan],
            (0, 1),
            "label nan of sample 1 marks a missing value; leave such samples out",
        ),
        ([0, np.inf], (0, 1), "label inf of sample 1 may stand for several"),
        ([0, 1e300], (0, 1), r"label 1e\+300 of sample 1 may stand for several whole numbers"),
        ([2.0**53, 1.0], (1, 2**53), "label 9007199254740992.0 of sample 0 may stand for several"),
        (np.float32([1, 2**24]), (1, 2**24), "of sample 1 may .* since float32 rounds .* integers"),
        (np.float16([1, 2**11]), (1, 2**11), "of sample 1 may stand .* float16"),
        (
            np.uint64([2**63]),
            (0, 1),
            "label 9223372036854775808 of sample 0 is out of range: labels are signed 64-bit",
        ),
        (
            np.uint64([2**64 - 1]),
            (0, -1),
            "label 18446744073709551615 of sample 0 is out of range: labels are signed",
        ),
        (
            np.asarray([0, 2**80], dtype=object),
            (0, 1),
            "of sample 1 is out of range: labels are signed 64-bit",
        ),
        (np.asarray([2**53 + 1, 0.5], dtype=object), (0, 1), "9007199254740992.0 of sample 0 may"),
        (["a", "c"], ("a", "b"), "label 'c' of sample 1"),
        (["a"], (0, 1), "label 'a' of sample 0"),
        ([1], ("a", "b"), "label 1 of sample 0"),
        (
            np.asarray([0, None], dtype=object),
            (0, 1),
            "label None of sample 1 marks a missing value",
        ),
        (
            np.asarray([0, {}], dtype=object),
            (0, 1),
            "labels must all be whole numbers or all be names, y has {} in sample 1",
        ),
        (
            np.asarray([b"a", b"\xff"]),
            ("a", "b"),
            r"label b'\\xff' of sample 1 is no text in UTF-8",
        ),
    ],
)
def test_a_label_that_the_model_has_not_is_named(y, labels, message: str) -> None:
    with pytest.raises(DataError, match=message):
        encode_labels(y, labels)


@pytest.mark.parametrize("y", [np.asarray(["2020-01-01"] * 2, "M8[D]"), np.asarray([1j, 2j])])
def test_labels_of_other_types_are_refused(y: np.ndarray) -> None:
    with pytest.raises(DataError, match="labels must be whole numbers or names, y is"):
        encode_labels(y, (0, 1))


@pytest.mark.parametrize(
    "y", [[1, 2**64 - 1], [-1, 2**64 - 1], [1.0, 2**63], [1, -(2**63) - 1], [1, 2**70]]
)
def test_lists_of_larger_labels_are_refused(y: list[int]) -> None:
    """NumPy makes floats of some of them."""
    message = f"label {y[1]} of sample 1 is out of range: labels are signed 64-bit integers"
    with pytest.raises(DataError, match=message):
        labels_in(y)
    with pytest.raises(UsageError, match=f"label {y[1]} is out of range"):
        check_names(labels_for(y, 2), 2)


def test_a_models_labels_may_be_an_array_of_any_library(xp: Library) -> None:
    for given in ([0.0, 7.0], [0, 7], [False, True]):
        found = labels_for(xp.array(np.asarray(given)), 2)
        assert found == (0, int(given[1]))
        assert {type(label) for label in found} == {int}
    with pytest.raises(UsageError, match=r"labels must be whole numbers or names, got .*0\.5"):
        labels_for(xp.array(np.asarray([0.5, 1])), 2)


@pytest.mark.parametrize(("label", "text"), [("", "''"), ("  ", "'  '"), ("a", "a"), (0, "0")])
def test_a_label_is_shown_so_that_it_is_seen(label: str | int, text: str) -> None:
    assert text_of(label) == text


def test_names_of_numpys_own_strings_are_taken() -> None:
    y = np.asarray(["b", "a"], dtype=np.dtypes.StringDType())
    assert encode_labels(y, ("a", "b")).tolist() == [1, 0]
    assert labels_in(y) == ("a", "b")


@pytest.mark.parametrize(
    "name", ["nan", "NaN", "NAN", "-nan", "+NaN", " nan ", "<NA>", "<na>", "NaT"]
)
def test_a_name_that_marks_a_missing_value_is_no_label(name: str) -> None:
    """As NumPy and pandas write them; the model's labels do not make it one."""
    for kind in (np.str_, object, np.bytes_, np.dtypes.StringDType()):
        with pytest.raises(
            DataError, match=re.escape(f"label '{name}' of sample 2 marks a missing value")
        ):
            plain_labels(np.asarray(["a", "b", name, "A", name], dtype=kind))
    with pytest.raises(DataError, match="of sample 1 marks a missing value"):
        encode_labels(["a", name], ("a", name))


@pytest.mark.parametrize("name", ["NA", "None", "null", "nat", "Nan Madol", "n/a", "", "inf"])
def test_other_names_stay(name: str) -> None:
    assert plain_labels(np.asarray([name, "b"])).tolist() == [name, "b"]


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([[0, 1], [1, 0]], True),
        ([[0.0, 1.0, 0.0]], True),
        ([[False, True]], True),
        ([[1, 1], [1, 0]], False),
        ([[0, 0], [1, 0]], False),
        ([[0, 2], [1, 0]], False),
        ([[0.5, 0.5]], False),
        ([[-1, 2]], False),
        ([[np.nan, 1]], False),
        ([[1], [1]], False),
        ([0, 1], False),
        ([["0", "1"]], False),
    ],
)
def test_one_hot_is_one_1_in_each_row(y, expected: bool) -> None:
    assert is_one_hot(np.asarray(y)) is expected


def test_large_labels_are_int64_in_every_library_that_has_it(xp: Library) -> None:
    like, labels = xp.array([1.0]), (2**53 + 1, -(2**31) - 1)
    if xp.name in ("strict-no_x64", "jax-32"):
        with pytest.raises(UsageError, match="label 9007199254740993 needs 64-bit integers, which"):
            label_array(labels, like)
    else:
        assert to_numpy(label_array(labels, like)).tolist() == [*labels]
    small = label_array((-(2**31), 2**31 - 1), like)
    assert str(small.dtype).endswith("int32")
    assert to_numpy(small).tolist() == [-(2**31), 2**31 - 1]
