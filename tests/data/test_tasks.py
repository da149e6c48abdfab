"""What targets are for, and their type."""

import numpy as np
import pytest

from xpnet.data.tasks import classes_in, infer, targets_for

SAY = "--task classification takes them as classes"
ONE_HOT = "one 1 in each row of {} columns; --task multilabel takes several labels"


@pytest.mark.parametrize(
    ("y", "task", "why"),
    [
        (["a", "b"], "classification", "2 names"),
        ([0, 1, 2] * 2, "classification", "3 different whole numbers"),
        ([-1, 1, 1], "classification", "2 different whole numbers"),
        ([0.0, 1.0], "classification", "2 different whole numbers"),
        ([0.5, 1.0], "regression", "numbers that are not whole"),
        (np.arange(40) // 2, "classification", "20 different whole numbers"),
        (np.arange(42) // 2, "regression", f"21 different whole numbers in 42 rows; {SAY}"),
        ([0, 1, 1, 0], "classification", "2 different whole numbers"),
        ([7, 3], "classification", "2 different whole numbers"),
        ([31, 27, 45, 31], "regression", f"3 different whole numbers in 4 rows; {SAY}"),
        (np.arange(15), "regression", f"15 different whole numbers in 15 rows; {SAY}"),
        (np.arange(38) % 20, "regression", f"20 different whole numbers in 38 rows; {SAY}"),
        (np.arange(900) % 30, "classification", "30 different whole numbers"),
        (np.arange(9000) % 95, "regression", f"95 different whole numbers in 9,000 rows; {SAY}"),
        ([[0, 1], [1, 1]], "multilabel", "2 columns of 0 and 1"),
        ([[0, 1], [1, 0]], "classification", ONE_HOT.format(2)),
        (np.eye(3), "classification", ONE_HOT.format(3)),
        (np.eye(4, dtype=bool), "classification", ONE_HOT.format(4)),
        ([[0, 1], [0, 0]], "multilabel", "2 columns of 0 and 1"),
        ([[0, 2], [1, 1]], "regression", "2 numbers each"),
        ([[0], [1]], "classification", "2 different whole numbers"),
    ],
    ids=repr,
)
def test_the_task_is_what_the_targets_look_like(y, task: str, why: str) -> None:
    assert infer(np.asarray(y)) == (task, why)


@pytest.mark.parametrize(
    ("y", "task", "expected"),
    [
        (["b", "a", "b"], "classification", [1, 0, 1]),
        ([7, -1, 7], "classification", [1, 0, 1]),
        ([[0, 0, 1], [1, 0, 0]], "classification", [2, 0]),
        ([[0, 1], [1, 1]], "classification", None),
        ([7, -1, 7], "regression", None),
        ([[0, 0, 1], [1, 0, 0]], "multilabel", None),
    ],
)
def test_rows_have_classes_where_the_task_has(y, task: str, expected) -> None:
    found = classes_in(np.asarray(y), task)
    assert (found if found is None else found.tolist()) == expected


@pytest.mark.parametrize(
    ("task", "y", "expected"),
    [
        ("classification", [1, 2], [1, 2]),
        ("classification", ["007", "7"], ["007", "7"]),
        ("classification", [2.5, 1.0, 1e-30], ["2.5", "1", "1e-30"]),
        ("classification", np.float32([0.1, 2]), ["0.1", "2"]),
        ("classification", [0.5, 2.0**53], [0.5, 2.0**53]),
        ("classification", [[0.5, 1]], [[0.5, 1]]),
        ("regression", ["007", "1e3", "-0.5"], [7, 1000, -0.5]),
        ("regression", ["18446744073709551616", "1"], [2.0**64, 1]),
        ("regression", ["7", "x"], ["7", "x"]),
        ("regression", ["7", "1_0"], ["7", "1_0"]),
        ("regression", ["7", "inf"], ["7", "inf"]),
        ("regression", [0, 1], [0, 1]),
        ("multilabel", ["0", "1"], [0, 1]),
    ],
)
def test_targets_get_the_type_that_the_task_takes(task: str, y, expected) -> None:
    assert targets_for(task, np.asarray(y)).tolist() == expected


def test_numbers_become_the_names_that_are_written() -> None:
    y, written = np.asarray([1, 2]), np.asarray(["1.0", "2.0"])
    assert targets_for("classification", y, written, names=True).tolist() == ["1.0", "2.0"]
    assert targets_for("classification", y, written).tolist() == [1, 2]
    assert targets_for("classification", y, names=True).tolist() == ["1", "2"]
    assert targets_for("classification", y / 4, written).tolist() == ["1.0", "2.0"]
    assert targets_for("regression", y, written, names=True).tolist() == [1, 2]
