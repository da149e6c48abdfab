"""Scaling constants: means and deviations by blocks."""

import numpy as np
import pytest
from helpers import Library, difference

from xpnet.data.dataset import BLOCK
from xpnet.data.statistics import robust_standardization, standardization

RNG = np.random.default_rng(0)

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


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("spread", [1e-12, 1e-13, 1e-14])
def test_what_varies_beyond_rounding_is_no_constant(spread: float, weighed: bool) -> None:
    """Milliseconds in seconds since 1970; deviations are as exact as the numbers themselves."""
    x = 1.7e9 * (1 + spread * RNG.random(size=(N, 1)))
    w = RNG.random(N) + 0.5 if weighed else None
    _, scale = standardization(x, ROWS, False, w)
    shifted = x[ROWS] - x[0]
    mean = np.average(shifted, axis=0, weights=None if w is None else w[ROWS])
    expected = np.average((shifted - mean) ** 2, axis=0, weights=None if w is None else w[ROWS])
    assert scale == pytest.approx(np.sqrt(expected), rel=1e-2)


def test_rounding_of_a_constant_is_no_deviation() -> None:
    x = np.where(np.arange(N) % 2 == 0, 0.3, 0.1 + 0.2)[:, np.newaxis]
    assert x[0] != x[1]
    assert standardization(x, np.arange(N), False)[1].tolist() == [1]


def test_only_the_constant_column_is_divided_by_one() -> None:
    x = np.stack([np.full(N, 5.0), np.arange(N) * 1e-3], axis=1)
    _, scale = standardization(x, np.arange(N), pixels=False)
    assert scale[0] == 1
    assert scale[1] == pytest.approx(x[:, 1].std(), rel=1e-12)


@pytest.mark.parametrize("pixels", [False, True])
@pytest.mark.parametrize("power", [-530, -548, -700, -1000])
def test_numbers_of_which_the_squares_underflow_have_a_deviation(power: int, pixels: bool) -> None:
    """A power of two changes no digit of it, nor of the columns beside."""
    x = RNG.normal(size=(N, 2))
    x[:, 1] -= x[:, 1].mean()
    more = [] if pixels else [np.full((N, 1), 1e100), np.zeros((N, 1))]
    x = np.hstack([x, *more])
    mean, scale = standardization(x, ROWS, pixels)
    small = x * np.where(np.arange(x.shape[1]) < 2, 2.0**power, 1)
    small_mean, small_scale = standardization(small, ROWS, pixels)
    assert np.array_equal(small_mean[:2], mean[:2] * 2.0**power)
    assert np.array_equal(small_scale[:2], scale[:2] * 2.0**power)
    assert np.array_equal(small_mean[2:], mean[2:])
    assert small_scale[2:].tolist() == scale[2:].tolist() == [1] * len(more)


@pytest.mark.parametrize("pixels", [False, True])
@pytest.mark.parametrize("dtype", [None, "uint8"])
def test_a_weight_of_k_is_k_rows(xp: Library, dtype: str | None, pixels: bool) -> None:
    x = RNG.integers(0, 256, size=(N, 2)) * np.asarray([1.0, 0.5])
    x = x.astype(dtype or xp.dtype)
    k = RNG.integers(1, 4, size=N)
    weighed = standardization(xp.array(x, dtype), ROWS, pixels, k.astype(float))
    repeated = standardization(x, np.repeat(ROWS, k[ROWS]), pixels)
    for ours, theirs in zip(weighed, repeated, strict=True):
        assert difference(ours, theirs) < 1e-13
    large = standardization(xp.array(x, dtype), ROWS, pixels, 1e307 * k)
    assert difference(large, weighed) < 1e-13


def test_equal_weights_are_as_good_as_none() -> None:
    x = 1e9 + RNG.normal(size=(N, 2))
    found = standardization(x, ROWS, False, np.full(N, 0.3))
    assert difference(found, standardization(x, ROWS, False)) < 1e-12


# Robust constants


def test_median_and_quartiles_by_hand() -> None:
    t = np.asarray([[1.0, 5], [2, 5], [3, 5], [4, 5], [5, 5], [6, 5], [7, 5], [1e9, 5]])
    median, spread = robust_standardization(t, np.arange(8))
    assert median.tolist() == [4, 5]
    assert spread.tolist() == [pytest.approx((6 - 2) / 1.3489795), 1]


def test_robust_constants_of_normal_numbers_are_mean_and_deviation() -> None:
    t = RNG.normal(3, 2, size=(20_000, 1))
    median, spread = robust_standardization(t, np.arange(20_000))
    assert median == pytest.approx(3, abs=0.06)
    assert spread == pytest.approx(2, abs=0.06)


def test_where_most_numbers_are_equal_the_distance_of_the_others_is_taken() -> None:
    """Their median, which outliers among them do not change."""
    t = np.asarray([[0.0, 5.0]] * 8 + [[1.0, 5.0], [-3.0, 5.0], [1e9, 5.0]])
    median, spread = robust_standardization(t, np.arange(11))
    assert median.tolist() == [0, 5]
    assert spread.tolist() == [pytest.approx(3 / 0.6744898), 1]


def test_robust_constants_are_of_the_rows_that_are_trained_on_by_weight() -> None:
    t, k = RNG.normal(size=(50, 3)), RNG.integers(1, 5, size=50)
    t[:, 2] = np.where(t[:, 2] < 1, 0, t[:, 2])  # most are equal
    rows = np.arange(40)
    weighed = robust_standardization(t, rows, k.astype(float))
    repeated = robust_standardization(np.repeat(t[:40], k[:40], axis=0), np.arange(k[:40].sum()))
    assert np.array_equal(weighed[0], repeated[0])
    assert difference(weighed[1], repeated[1]) < 1e-15
