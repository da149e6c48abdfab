"""Weights of samples: what they must be, and rows of weight 0."""

import numpy as np
import pytest
from helpers import Library, needed

from xpnet.arrays import to_numpy
from xpnet.errors import DataError
from xpnet.weights import class_weights, with_mean_1, without_weightless

RNG = np.random.default_rng(0)


def test_rows_of_weight_0_are_removed_whatever_they_hold(xp: Library) -> None:
    """From arrays where they are; from lists also where these rows make no array."""
    x, w = RNG.normal(size=(5, 2)), [0.5, 0, 2, 0, 1]
    x[1], x[3] = np.nan, np.inf
    y = np.asarray([4, 3, 2, 1, 0])
    for given in (w, xp.array(w)):
        found = without_weightless(xp.array(x), xp.array(y), given)
        assert type(found[0]) is type(xp.array(x))
        for array, right in zip(found, (x[[0, 2, 4]], [4, 2, 0], [0.5, 2, 1]), strict=True):
            np.testing.assert_allclose(to_numpy(array), right, rtol=1e-6)
    lists = [[1, 2], None, [3, 4], ["a"], [5, 6]], ("b", None, "a", 7, "b")
    assert without_weightless(*lists, w)[:2] == ([[1, 2], [3, 4], [5, 6]], ["b", "a", "b"])


def test_samples_without_a_weight_of_0_are_returned_as_they_are() -> None:
    x, y = RNG.normal(size=(5, 2)), RNG.normal(size=5)
    assert without_weightless(x, y, None)[2] is None
    found = without_weightless(x, y, [1, 2, 3, 4, 5])
    assert found[0] is x
    assert found[1] is y


@pytest.mark.parametrize(
    ("w", "message"),
    [
        ([1, 0, 1], r"sample_weight has shape \(3,\); expected 5 numbers"),
        ([0] * 5, "expected finite numbers, 0 or more, not all 0"),
        ([1, -1, 1, 1, 1], "0 or more"),
        ([1, np.nan, 1, 1, 1], "finite"),
        ([1, "a", 1, 1, 1], "sample_weight is <U.*; expected 5 numbers"),
        ([1, [2, 3], 1, 1, 1], "a list that makes no array"),
    ],
)
def test_weights_by_which_rows_are_removed_are_checked(w, message: str) -> None:
    with pytest.raises(DataError, match=message):
        without_weightless(np.zeros((5, 2)), np.zeros(5), w)


def test_weights_get_a_mean_of_one() -> None:
    assert with_mean_1(np.asarray([1.0, 3.0])).tolist() == [0.5, 1.5]
    assert with_mean_1(np.full(3, 1e308)).tolist() == [1, 1, 1]


def test_balance_is_scikit_learns() -> None:
    utils = needed("sklearn.utils.class_weight")
    t = np.asarray([0, 0, 0, 2, 2, 1], dtype=np.int32)
    expected = utils.compute_class_weight("balanced", classes=np.arange(3), y=t)
    found = class_weights("balanced", t, (5, 6, 7), np.arange(6))
    np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_balance_is_of_the_samples_that_are_trained_on() -> None:
    t = np.asarray([0, 0, 0, 2, 1, 1], dtype=np.int32)
    found = class_weights("balanced", t, (5, 6, 7), np.arange(4))
    assert found.tolist() == [4 / (2 * 3), 1, 4 / 2]


def test_balance_counts_a_weight_of_k_as_k_samples() -> None:
    t, k = np.asarray([0, 0, 1, 2], dtype=np.int32), np.asarray([3, 1, 2, 5])
    weighed = class_weights("balanced", t, (5, 6, 7), np.arange(4), k.astype(float))
    repeated = class_weights("balanced", np.repeat(t, k), (5, 6, 7), np.arange(11))
    assert weighed.tolist() == repeated.tolist() == [11 / 12, 11 / 6, 11 / 15]
