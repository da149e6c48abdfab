"""Labels, targets and weights as training takes them."""

import numpy as np
import pytest
from helpers import Library

from xpnet.data.targets import (
    encode_targets,
    labels_in,
    labels_of_columns,
)
from xpnet.errors import DataError


@pytest.mark.parametrize(
    ("y", "output", "labels", "fan_out", "expected"),
    [
        ([1, 0], "softmax", (0, 1, 2), 3, [1, 0]),
        ([[1], [0]], "softmax", (0, 1, 2), 3, [1, 0]),
        ([[0.5, 0.5], [1, 0]], "softmax", (0, 1), 2, [[0.5, 0.5], [1, 0]]),
        ([[0, 1], [1, 0]], "softmax", (7, 3), 2, [1, 0]),
        ([[0.0, 0.0, 1.0]], "softmax", (0, 1, 2), 3, [2]),
        ([[False, True]], "sigmoid", ("a", "b"), 2, [1]),
        ([[0, 1], [1, 0]], "sigmoid", (0, 1), 1, [1, 0]),
        (np.asarray([[0, True], [1.0, 0]], dtype=object), "softmax", (0, 1), 2, [1, 0]),
        ([[0, 1], [1, 0]], "identity", (), 2, [[0, 1], [1, 0]]),
        ([[1, 0], [0, 0]], "sigmoid", (0, 1), 2, [[1, 0], [0, 0]]),
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
        ([["a", "b"]], "identity", 2, "column 0 of row 0 is 'a'; expected numbers .*; names are"),
        ([[1, "2"]], "identity", 2, "column 1 of row 0 is '2'; expected numbers"),
        (["1.5", "2"], "identity", 1, "y: row 0 is '1.5'; expected numbers"),
        (np.asarray([None, "2"], dtype=object), "identity", 1, "y: row 1 is '2'"),
        ([[1, None]], "identity", 2, "NaN or infinite numbers, first in row 0"),
        ([[0.5, 0.4]], "softmax", 2, "no distribution"),
        ([[1.5, -0.5]], "softmax", 2, "no distribution"),
        ([3, -0.5], "exp", 1, "y holds -0.5, which is no count"),
    ],
)
def test_targets_that_are_none_are_refused(y, output, fan_out, message: str) -> None:
    with pytest.raises(DataError, match=message):
        encode_targets(y, output, (0, 1), fan_out)


def test_rows_of_one_1_are_several_labels_where_the_model_has_several() -> None:
    t = encode_targets([[0, 1], [1, 0]], "sigmoid", (0, 1), 2, multilabel=True)
    assert t.tolist() == [[0, 1], [1, 0]]


def test_a_single_label_of_several_is_a_row() -> None:
    t = encode_targets([1, 0], "sigmoid", ("a",), 1, multilabel=True)
    assert t.tolist() == [[1], [0]]


def test_targets_of_every_library_are_read(xp: Library) -> None:
    assert encode_targets(xp.array([1, 0, 1]), "softmax", (0, 1), 2).tolist() == [1, 0, 1]


def test_probabilities_outside_0_to_1_are_refused() -> None:
    with pytest.raises(DataError, match="no probability"):
        encode_targets([[5.0, -3.0]], "sigmoid", (0, 1), 2)
    assert encode_targets([[0.5, 1.0]], "sigmoid", (0, 1), 2).tolist() == [[0.5, 1.0]]


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([3, 1, 3], (1, 3)),
        ([[3], [1]], (1, 3)),
        (["b", "a"], ("a", "b")),
        ([2**53 + 1, 2**53], (2**53, 2**53 + 1)),
        (np.uint64([2**63 - 1, 0]), (0, 2**63 - 1)),
        ([1.0, 0.0], (0, 1)),
        ([True, False], (0, 1)),
        (["NA", "None", "null", "nano"], ("NA", "None", "nano", "null")),
        ([[1, 0], [0, 1]], None),
        ([], None),
    ],
)
def test_the_labels_in_y_are_its_different_values(y, expected) -> None:
    assert labels_in(y) == expected


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a", float("nan")], "label nan of sample 1 marks a missing value; leave such samples"),
        ([["a"], [float("nan")]], "label nan of sample 1 marks a missing value"),
        (["a", None], "label None of sample 1 marks a missing value"),
        (["a", "b", 0], "labels must all be .* names, y has 0 in sample 2; for names give all"),
        ([0, "a"], "labels must all be .* names, y has 'a' in sample 1"),
        ([True, "a"], "labels must all be .* names, y has 'a' in sample 1"),
    ],
)
def test_numbers_between_names_in_a_list_do_not_become_names(y, message: str) -> None:
    with pytest.raises(DataError, match=message):
        labels_in(y)
    with pytest.raises(DataError, match=message):
        encode_targets(y, "softmax", ("0", "a", "b", "nan"), 4)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("b", "a"), ("b", "a")),
        (("0", "1"), (0, 1)),
        (("-3", "10"), (-3, 10)),
        (("07", "7"), ("07", "7")),
        (("1", "a"), ("1", "a")),
        (("1.0", "2.0"), ("1.0", "2.0")),
        ((), (0, 1)),
        (("a",), (0, 1)),
    ],
)
def test_columns_are_labels_by_their_names(names, expected) -> None:
    assert labels_of_columns(2, names) == expected
