"""Labels, targets and weights as training takes them."""

import numpy as np
import pytest
from helpers import Library

from xpnet.data.targets import (
    encode_labels,
    encode_targets,
    labels_in,
)
from xpnet.errors import DataError


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
        ([0, np.nan], (0, 1), "label nan of sample 1"),
        (["a", "c"], ("a", "b"), "label 'c' of sample 1"),
        (["a"], (0, 1), "label 'a' of sample 0"),
        ([1], ("a", "b"), "label 1 of sample 0"),
        (
            np.asarray([0, None], dtype=object),
            (0, 1),
            "labels must all be whole numbers or all be names, y has None",
        ),
        (np.asarray([b"a", b"\xff"]), ("a", "b"), "of sample 1"),
    ],
)
def test_a_label_that_the_model_has_not_is_named(y, labels, message: str) -> None:
    with pytest.raises(DataError, match=message):
        encode_labels(y, labels)


@pytest.mark.parametrize(
    ("y", "output", "labels", "fan_out", "expected"),
    [
        ([1, 0], "softmax", (0, 1, 2), 3, [1, 0]),
        ([[1], [0]], "softmax", (0, 1, 2), 3, [1, 0]),
        ([[0.5, 0.5], [1, 0]], "softmax", (0, 1), 2, [[0.5, 0.5], [1, 0]]),
        ([1, 0], "sigmoid", (0, 1), 1, [1, 0]),
        ([[1, 1], [0, 1]], "sigmoid", ("a", "b"), 2, [[1, 1], [0, 1]]),
        ([1.5, -2], "identity", (), 1, [[1.5], [-2]]),
        ([[1.5, -2]], "identity", (), 2, [[1.5, -2]]),
    ],
)
def test_targets_are_what_the_loss_takes(y, output, labels, fan_out, expected) -> None:
    t = encode_targets(y, output, labels, fan_out)
    assert t.dtype == (np.int32 if np.ndim(expected) == 1 else np.float64)
    assert t.tolist() == expected


@pytest.mark.parametrize(
    ("y", "output", "fan_out", "message"),
    [
        ([[1, 0, 0]], "softmax", 2, r"shape \(1, 3\); expected \(n,\) or \(n, 2\)"),
        ([1.0, 2.0], "identity", 2, r"shape \(2,\)"),
        ([[[1.0]]], "identity", 1, r"shape \(1, 1, 1\)"),
        ([[np.nan, 1]], "identity", 2, "NaN or infinite numbers"),
        ([[np.inf, 1]], "sigmoid", 2, "NaN or infinite numbers"),
        ([["a", "b"]], "identity", 2, "y must be numbers .* got 'a'; names are for"),
        ([[0.5, 0.4]], "softmax", 2, "no distribution"),
        ([[1.5, -0.5]], "softmax", 2, "no distribution"),
        ([3, -0.5], "exp", 1, "y holds -0.5, which is no count"),
    ],
)
def test_targets_that_are_none_are_refused(y, output, fan_out, message: str) -> None:
    with pytest.raises(DataError, match=message):
        encode_targets(y, output, (0, 1), fan_out)


def test_a_single_label_of_several_is_a_row() -> None:
    t = encode_targets([1, 0], "sigmoid", ("a",), 1, multilabel=True)
    assert t.tolist() == [[1], [0]]


def test_targets_of_every_library_are_read(xp: Library) -> None:
    assert encode_targets(xp.array([1, 0, 1]), "softmax", (0, 1), 2).tolist() == [1, 0, 1]


def test_probabilities_outside_0_to_1_are_refused() -> None:
    with pytest.raises(DataError, match="no probability"):
        encode_targets([[5.0, -3.0]], "sigmoid", (0, 1), 2)
    assert encode_targets([[0.5, 1.0]], "sigmoid", (0, 1), 2).tolist() == [[0.5, 1.0]]


@pytest.mark.parametrize("y", [np.asarray(["2020-01-01"] * 2, "M8[D]"), np.asarray([1j, 2j])])
def test_labels_of_other_types_are_refused(y: np.ndarray) -> None:
    with pytest.raises(DataError, match="labels must be whole numbers or names, y is"):
        encode_labels(y, (0, 1))


def test_names_of_numpys_own_strings_are_taken() -> None:
    y = np.asarray(["b", "a"], dtype=np.dtypes.StringDType())
    assert encode_labels(y, ("a", "b")).tolist() == [1, 0]
    assert labels_in(y) == ("a", "b")
