"""Samples as training takes them: rows, blocks, and the split."""

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from helpers import Library

from xpnet.arrays import to_numpy
from xpnet.data.dataset import (
    BLOCK,
    Dataset,
    as_array,
    blocks,
    quotas,
    split,
    undivided,
)
from xpnet.errors import DataError, UsageError

RNG = np.random.default_rng(0)


# Rows


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([1.0, 2.0], r"x has shape \(2,\); expected a sample per row"),
        ([[1j]], "expected numbers"),
        ([[1, 2], [3]], "a list that makes no array"),
        ("text", "is no array"),
    ],
)
def test_samples_that_are_no_rows_of_numbers_are_refused(x, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        as_array(x)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([["a"]], "x: column 0 of row 0 is 'a'; expected numbers"),
        ([[1, 2], [3, "4"]], "x: column 1 of row 1 is '4'"),
        (np.asarray([[1, "nan"]], dtype=object), "x: column 1 of row 0 is 'nan'"),
        (np.asarray([["1"]]), "x: column 0 of row 0 is '1'"),
        (np.asarray([[b"1"]]), "x: column 0 of row 0 is b'1'"),
        (np.asarray([[1, 2 + 1j]], dtype=object), r"x: column 1 of row 0 is \(2\+1j\)"),
        (np.asarray([[[1.0, 2.0], [10**400, 3.0]]], dtype=object), "column 1, 0 of row 0 is 10000"),
    ],
)
def test_samples_that_hold_something_else_are_refused(x, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_array(x)


@pytest.mark.parametrize(
    "row",
    [
        [True, 1.5, np.float32(2), np.int8(3), np.True_, 2**60],
        [None, np.nan, 1, Decimal("0.1"), Fraction(1, 2), Decimal("NaN")],
    ],
)
def test_objects_that_are_numbers_or_gaps_become_numbers(row) -> None:
    """As `to_numpy()` of a frame of mixed types gives them."""
    x = as_array(np.asarray([row, row], dtype=object))
    assert x.dtype == np.float64
    expected = [np.nan if value is None else float(value) for value in row]
    np.testing.assert_array_equal(x, [expected, expected])


def test_gather_takes_rows_of_all_three(xp: Library) -> None:
    x, t, w = RNG.normal(size=(5, 2)), np.asarray([4, 3, 2, 1, 0]), np.arange(5.0)
    data = Dataset(xp.array(x), xp.array(t), xp.array(w))
    rows = [3, 0, 3]
    for taken, whole in zip(data.gather(xp.array(rows, "int32")), (x, t, w), strict=True):
        np.testing.assert_allclose(to_numpy(taken), whole[rows], rtol=1e-6)


def test_some_rows_alone(xp: Library) -> None:
    data = Dataset(xp.array([[1.0], [2.0], [3.0]]), xp.array([4, 5, 6]), xp.array([0.5, 1.0, 1.5]))
    some = data.of_rows(np.asarray([0, 2]))
    found = [to_numpy(a).tolist() for a in (some.x, some.t, some.w)]
    assert found == [[[1.0], [3.0]], [4, 6], [0.5, 1.5]]


def test_blocks_are_all_rows_in_order(xp: Library) -> None:
    rows = np.arange(2 * BLOCK + 3)[::-1]
    parts = [to_numpy(part) for part in blocks(rows, xp.array([[0.0]]))]
    assert [len(part) for part in parts] == [BLOCK, BLOCK, 3]
    assert np.concat(parts).tolist() == rows.tolist()


# The split


@pytest.mark.parametrize(
    ("n", "validation", "held"),
    [(60, 1 / 6, 10), (60_000, 1 / 6, 10_000), (10, 0, 0), (10, 0.25, 2), (10, 1, 1), (10, 7, 7)],
)
def test_split_holds_out_a_part_or_a_number(n: int, validation: float, held: int) -> None:
    train, validate = split(n, validation, 0)
    assert len(validate) == held
    assert sorted([*train, *validate]) == list(range(n))
    assert train.tolist() == sorted(train)
    assert validate.tolist() == sorted(validate)


def test_split_depends_on_the_seed_alone() -> None:
    first, again, other = (split(100, 0.2, seed)[1].tolist() for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_split_is_another_one_for_more_samples_held_out_of_the_same_order() -> None:
    few, many = (set(split(100, held, 0)[1].tolist()) for held in (5, 20))
    assert few < many


@pytest.mark.parametrize(("n", "held"), [(9, 0), (10, 2), (60, 10)])
def test_a_sixth_is_held_out_of_ten_samples_or_more(n: int, held: int) -> None:
    assert len(split(n, None, 0)[1]) == held
    assert len(split(n, 1 / 6, 0)[1]) == round(n / 6)


@pytest.mark.parametrize(
    ("counts", "held", "expected"),
    [
        ([60, 30, 10], 20, [12, 6, 2]),
        ([970, 30], 100, [97, 3]),
        ([5, 5, 5], 4, [2, 1, 1]),  # equal remainders: the first
        ([7, 6, 1, 2, 0], 4, [2, 1, 0, 0, 0]),  # a sample or two are not divided,
        ([1] * 200 + [60, 60], 64, [0] * 200 + [12, 12]),  # and others do not stand in for them
        ([3, 3], 5, [2, 2]),  # one of each stays
        ([1, 2, 1], 2, [0, 0, 0]),
        ([10**9, 10**9], 10**9, [5 * 10**8, 5 * 10**8]),
    ],
)
def test_each_class_has_its_part_of_what_is_held_out(counts, held: int, expected) -> None:
    assert quotas(np.asarray(counts), held).tolist() == expected


def test_classes_of_one_or_two_rows_are_not_divided() -> None:
    assert undivided(np.asarray([4, 0, 0, 0, 4, 2])).tolist() == [2, 4]


def test_a_split_of_classes_is_in_proportion() -> None:
    classes = (np.arange(200) % 20 == 0).astype(int) + 2 * (np.arange(200) == 7)
    train, validate = split(200, 0.25, 3, classes)
    assert np.bincount(classes[validate], minlength=3).tolist() == [47, 3, 0]
    assert sorted([*train, *validate]) == list(range(200))
    assert train.tolist() == sorted(train)
    assert validate.tolist() == sorted(validate)
    # Of each class the first rows of one random order, as without classes.
    ranks = {row: i for i, row in enumerate(random_order(200, 3))}
    for label in (0, 1):
        held = max(ranks[row] for row in validate if classes[row] == label)
        assert all(ranks[row] > held for row in train if classes[row] == label)
    assert validate.tolist() != split(200, 0.25, 4, classes)[1].tolist()


def random_order(n: int, seed: int) -> list[int]:
    """Rows by how small a part of the samples is needed to hold them out."""
    held = [set(split(n, k, seed)[1].tolist()) for k in range(n)]
    first = [next(iter(more - less)) for less, more in pairwise(held)]
    return [*first, *({*range(n)} - {*first})]


@pytest.mark.parametrize(
    "validation", [-0.1, -1, -1e-9, 1.5, 10, 11, 1e300, np.nan, np.inf, -np.inf]
)
def test_a_split_that_cannot_be_is_refused(validation: float) -> None:
    with pytest.raises(UsageError, match="validation"):
        split(10, validation, 0)


@pytest.mark.parametrize(("n", "validation", "held"), [(60000, 1 / 6, 10000), (7, 0.25, 2)])
def test_a_part_is_rounded_to_the_nearest_number(n: int, validation: float, held: int) -> None:
    assert [len(rows) for rows in split(n, validation, 0)] == [n - held, held]


def test_masked_arrays_are_refused_and_matrices_become_arrays() -> None:
    with pytest.raises(UsageError, match="masked"):
        as_array(np.ma.masked_array([[1.0, 2.0]], mask=[[True, False]]))
    matrix = np.ones((2, 2)).view(np.matrix)
    assert type(as_array(matrix)) is np.ndarray
