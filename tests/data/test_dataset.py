"""Labels, targets and weights as training takes them; the split; scaling constants."""

import numpy as np
import pytest
from helpers import Library, difference

from xpnet.arrays import to_numpy
from xpnet.data.dataset import BLOCK, Dataset, as_array, blocks, split
from xpnet.data.statistics import standardization
from xpnet.data.targets import encode_labels, encode_targets, encode_weights
from xpnet.errors import DataError, UsageError

RNG = np.random.default_rng(0)


# Labels, targets, weights


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
        (np.asarray([0, None], dtype=object), (0, 1), "label '0' of sample 0"),
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
        ([[np.nan, 1]], "identity", 2, "no finite number"),
        ([[np.inf, 1]], "sigmoid", 2, "no finite number"),
        ([["a", "b"]], "identity", 2, "no finite number"),
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


def test_weights_get_a_mean_of_one() -> None:
    w = encode_weights([1, 0, 5], 3, np.arange(3))
    np.testing.assert_allclose(w, [0.5, 0, 2.5], rtol=1e-15)


def test_weights_have_their_mean_of_one_where_it_is_trained() -> None:
    w = encode_weights([1, 3, 1e3], 3, np.asarray([0, 1]))
    np.testing.assert_allclose(w, [0.5, 1.5, 500], rtol=1e-15)
    assert encode_weights([1e308] * 3, 3, np.arange(3)).tolist() == [1, 1, 1]
    with pytest.raises(DataError, match="not all 0 where it is trained"):
        encode_weights([0, 0, 1], 3, np.asarray([0, 1]))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 1], "expected 3 numbers"),
        ([[1, 1, 1]], "expected 3 numbers"),
        (["a", "b", "c"], "expected 3 numbers"),
        ([1, -1, 1], "0 or more"),
        ([0, 0, 0], "not all 0"),
        ([1, np.nan, 1], "finite numbers"),
        ([1, np.inf, 1], "finite numbers"),
    ],
)
def test_weights_that_are_none_are_refused(weights, message: str) -> None:
    with pytest.raises(DataError, match=message):
        encode_weights(weights, 3, np.arange(3))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([1.0, 2.0], r"x has shape \(2,\); expected a sample per row"),
        ([["a"]], "expected numbers"),
        ([[1j]], "expected numbers"),
        ([[1, 2], [3]], "a list that makes no array"),
        ("text", "is no array"),
    ],
)
def test_samples_that_are_no_rows_of_numbers_are_refused(x, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        as_array(x)


def test_gather_takes_rows_of_all_three(xp: Library) -> None:
    x, t, w = RNG.normal(size=(5, 2)), np.asarray([4, 3, 2, 1, 0]), np.arange(5.0)
    data = Dataset(xp.array(x), xp.array(t), xp.array(w))
    rows = [3, 0, 3]
    for taken, whole in zip(data.gather(xp.array(rows, "int32")), (x, t, w), strict=True):
        np.testing.assert_allclose(to_numpy(taken), whole[rows], rtol=1e-6)


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


@pytest.mark.parametrize(
    "validation", [-0.1, -1, -1e-9, 1.5, 10, 11, 1e300, np.nan, np.inf, -np.inf]
)
def test_a_split_that_cannot_be_is_refused(validation: float) -> None:
    with pytest.raises(UsageError, match="validation"):
        split(10, validation, 0)


# Scaling constants

N = 2 * BLOCK + 77  # blocks of unequal size
ROWS = np.sort(RNG.choice(N, size=N - 50, replace=False))


@pytest.mark.parametrize("dtype", [None, "uint8"])
def test_columns_get_their_own_mean_and_deviation(xp: Library, dtype: str | None) -> None:
    x = RNG.integers(0, 256, size=(N, 3)) * np.asarray([1.0, 0.5, 0.1])
    x = x.astype(dtype or xp.dtype)
    mean, scale = standardization(xp.array(x, dtype), ROWS, pixels=False)
    assert mean.dtype == scale.dtype == np.float64
    assert difference(mean, x[ROWS].astype(np.float64).mean(axis=0)) < 1e-13
    assert difference(scale, x[ROWS].astype(np.float64).std(axis=0)) < 1e-13


def test_pixels_share_one_mean_and_deviation(xp: Library) -> None:
    x = RNG.integers(0, 200, size=(N, 3)).astype(np.uint8) + np.asarray([0, 20, 55], dtype=np.uint8)
    mean, scale = standardization(xp.array(x), ROWS, pixels=True)
    assert difference(mean, np.full(3, x[ROWS].mean(dtype=np.float64))) < 1e-13
    assert difference(scale, np.full(3, x[ROWS].std(dtype=np.float64))) < 1e-13


def test_sums_of_the_largest_bytes_are_exact() -> None:
    x = np.full((N, 2), 255, dtype=np.uint8)
    x[::7, 1] = 254
    mean, scale = standardization(x, np.arange(N), pixels=False)
    assert mean.tolist() == [255, pytest.approx(x[:, 1].mean(), rel=1e-14)]
    assert scale.tolist() == [1, pytest.approx(x[:, 1].std(), rel=1e-12)]


def test_a_large_mean_costs_no_digits() -> None:
    """The sum of squares minus the square of the sum would give 0 or worse here."""
    x = 1e9 + RNG.normal(size=(N, 2))
    _, scale = standardization(x, ROWS, pixels=False)
    assert difference(scale, x[ROWS].std(axis=0)) < 1e-6


@pytest.mark.parametrize("pixels", [False, True])
@pytest.mark.parametrize("value", [0.0, 0.1, -3e8, 255.0])
def test_what_is_constant_is_divided_by_one(xp: Library, value: float, pixels: bool) -> None:
    x = np.full((N, 2), value).astype(xp.dtype)
    mean, scale = standardization(xp.array(x), ROWS, pixels)
    np.testing.assert_allclose(mean, x[0], rtol=1e-12)
    assert scale.tolist() == [1, 1]


def test_only_the_constant_column_is_divided_by_one() -> None:
    x = np.stack([np.full(N, 5.0), np.arange(N) * 1e-3], axis=1)
    _, scale = standardization(x, np.arange(N), pixels=False)
    assert scale[0] == 1
    assert scale[1] == pytest.approx(x[:, 1].std(), rel=1e-12)


@pytest.mark.parametrize(("n", "validation", "held"), [(60000, 1 / 6, 10000), (7, 0.25, 2)])
def test_a_part_is_rounded_to_the_nearest_number(n: int, validation: float, held: int) -> None:
    assert [len(rows) for rows in split(n, validation, 0)] == [n - held, held]


def test_probabilities_outside_0_to_1_are_refused() -> None:
    with pytest.raises(DataError, match="no probability"):
        encode_targets([[5.0, -3.0]], "sigmoid", (0, 1), 2)
    assert encode_targets([[0.5, 1.0]], "sigmoid", (0, 1), 2).tolist() == [[0.5, 1.0]]


def test_masked_arrays_are_refused_and_matrices_become_arrays() -> None:
    with pytest.raises(UsageError, match="masked"):
        as_array(np.ma.masked_array([[1.0, 2.0]], mask=[[True, False]]))
    matrix = np.ones((2, 2)).view(np.matrix)
    assert type(as_array(matrix)) is np.ndarray
