"""Scaling constants: means and deviations by blocks."""

import numpy as np
import pytest
from helpers import Library, difference

from xpnet.data.dataset import BLOCK
from xpnet.data.statistics import standardization

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


def test_only_the_constant_column_is_divided_by_one() -> None:
    x = np.stack([np.full(N, 5.0), np.arange(N) * 1e-3], axis=1)
    _, scale = standardization(x, np.arange(N), pixels=False)
    assert scale[0] == 1
    assert scale[1] == pytest.approx(x[:, 1].std(), rel=1e-12)
