"""Functions that the standard lacks, by other means."""

import math

import numpy as np
from helpers import Library

from xpnet.arrays import to_numpy
from xpnet.special import normal_cdf, one_hot, sigmoid, softplus, within


def test_sigmoid_is_exact_on_both_sides_of_0(xp: Library) -> None:
    """Every element is right up to the rounding of e^x, the sum and the quotient."""
    x = [v / 2 for v in range(-100, 101)]
    y = to_numpy(sigmoid(xp.array([x])))[0]
    exact = [math.exp(v) / (1 + math.exp(v)) for v in x]
    np.testing.assert_allclose(y, exact, rtol=8 * np.finfo(y.dtype).eps)


def test_normal_cdf_is_that_of_erfc(xp: Library) -> None:
    """Over all three ranges and their borders; to 3 x² roundings below -1, and 4 above."""
    x = np.concat(
        [np.linspace(-12.5, 9, 4001), np.asarray([0.0, -15 / 32, 15 / 32]) * math.sqrt(2)]
    )
    x = to_numpy(xp.array([x.tolist()]))[0]  # rounded to the library's type
    y = to_numpy(normal_cdf(xp.array([x.tolist()])))[0]
    exact = np.asarray([0.5 * math.erfc(-v / math.sqrt(2)) for v in x.tolist()])
    eps = np.finfo(y.dtype).eps
    assert np.all(np.abs(y / exact - 1) < eps * np.maximum(4, 3 * x * x * (x < -1)))


def test_normal_cdf_far_away_is_0_and_1(xp: Library) -> None:
    assert to_numpy(normal_cdf(xp.array([[-1e30, -60.0, 60.0, 1e30]]))).tolist() == [[0, 0, 1, 1]]


def test_softplus_neither_overflows_nor_cancels(xp: Library) -> None:
    y = to_numpy(softplus(xp.array([[-1e4, -30.0, 0.0, 30.0, 1e4]])))[0]
    exact = [0.0, math.log1p(math.exp(-30)), math.log(2), 30 + math.log1p(math.exp(-30)), 1e4]
    np.testing.assert_allclose(y, exact, rtol=10 * np.finfo(y.dtype).eps)


def test_within_is_the_nearer_of_its_bounds(xp: Library) -> None:
    y = to_numpy(within(xp.array([[-5.0, -2.0, 1.0, 2.0, 5.0]]), 2.0))
    assert y.tolist() == [[-2, -2, 1, 2, 2]]


def test_one_hot_has_a_row_or_a_column_for_each_label(xp: Library) -> None:
    t = xp.array([2, 0])
    assert to_numpy(one_hot(t, 4)).tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]
    assert to_numpy(one_hot(t, 4, axis=0)).tolist() == [[0, 1], [0, 0], [1, 0], [0, 0]]
    assert str(to_numpy(one_hot(t, 4)).dtype) == "int32"


def test_one_hot_rows_of_small_integers_have_many_columns(xp: Library) -> None:
    """Beyond 256 columns a range of uint8 would begin again."""
    rows = to_numpy(one_hot(xp.array(np.asarray([43, 2], dtype=np.uint8)), 300))
    assert rows.shape == (2, 300)
    assert np.argwhere(rows).tolist() == [[0, 43], [1, 2]]
