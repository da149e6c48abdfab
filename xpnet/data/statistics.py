"""The constants of scaling: where the columns of the training samples lie and how far they spread.

With weights of samples they are the same for a weight of k and for k equal rows.
"""

import numpy as np

from xpnet.arrays import Array, HostArray, namespace, put, to_numpy
from xpnet.data.dataset import blocks

FEWEST_PIXELS = 64  # columns of bytes that are taken for an image, of 8 × 8
QUARTILES = 0.25, 0.5, 0.75
NORMAL_RANGE = 1.3489795003921634  # from the first to the third quartile, in deviations
ROUNDING = 2.0**-49
"""A deviation below this part of the mean is rounding of float64, 8 units in its last place."""
SMALL = 2.0**-450  # deviations of which the squares, and their sums, are exact in float64
LARGER = 2.0**512  # what smaller ones are multiplied by
EXACT = 256  # rows of bytes of which sums and sums of squares are exact in float32


def standardization(
    x: Array, rows: HostArray, pixels: bool, w: HostArray | None = None
) -> tuple[HostArray, HostArray]:
    """Mean and standard deviation of the columns of x (n, width), in float64 on the host.

    Blocks of rows are merged by the update of Chan, Golub & LeVeque (1979): with n, m, S the
    number (or sum of weights), mean and sum of squared deviations so far, and n', m', S' the
    block's,

        S ← S + S' + (m' - m)² n n' / (n + n')        m ← m + (m' - m) n' / (n + n')

    Parameters
    ----------
    x : numeric array (n, width)
        Anywhere; it is read in blocks.
    rows : integer array
        The training samples.
    pixels : bool
        Whether the columns are pixels of an image, which share one mean and one deviation.
    w : float64 array (n,), optional
        Weights above 0.

    Returns
    -------
    (float64 array (width,), float64 array (width,))
        A column that is constant has deviation 1.
    """
    weights = None if w is None else w[rows] / np.max(w[rows])
    mean, variance = _moments(x, rows, pixels, weights)
    tiny = _tiny(x, mean, variance)
    if np.any(tiny):
        factor = np.where(tiny, LARGER, 1.0)  # a power of two, which changes no digit
        mean, variance = _moments(x, rows, pixels, weights, factor)
        mean, deviation = mean / factor, np.sqrt(variance) / factor
    else:
        deviation = np.sqrt(variance)
    return mean, _or_1(deviation, mean)


def _moments(
    x: Array,
    rows: HostArray,
    pixels: bool,
    weights: HostArray | None,
    factor: HostArray | None = None,
) -> tuple[HostArray, HostArray]:
    """Mean and variance of the columns of x, in float64; of x * factor if that is given."""
    xp, width = namespace(x), x.shape[1]
    n, mean, squares, done = 0.0, np.zeros(width), np.zeros(width), 0
    for index in blocks(rows, x):
        gathered = to_numpy(xp.take(x, index, axis=0))
        for start in range(0, len(gathered), EXACT):
            block = gathered[start : start + EXACT]
            block = block if factor is None else block * factor
            some = None if weights is None else weights[done : done + len(block)]
            block_n, block_mean, block_squares = _mean_and_squares(block, some)
            step, part = block_mean - mean, block_n / (n + block_n)
            squares += block_squares + step**2 * n * part
            mean += step * part
            n += block_n
            done += len(block)
    variance = squares / n
    if pixels:
        variance[:] = np.mean(variance + (mean - mean.mean()) ** 2)
        mean[:] = mean.mean()
    return mean, variance


def _tiny(x: Array, mean: HostArray, variance: HostArray) -> HostArray:
    """Return for each column of x whether its numbers are not 0, but so small that squares are."""
    xp = namespace(x)
    tiny: HostArray = (variance < SMALL**2) & (np.abs(mean) < SMALL)
    if x.dtype != xp.float64 or not np.any(tiny):  # squares of smaller types are not so small
        return np.zeros_like(tiny)
    some = xp.take(x, put(np.flatnonzero(tiny).astype(np.int32), x), axis=1)
    tiny[tiny] = to_numpy(xp.any(some != 0, axis=0))
    return tiny


def robust_standardization(
    t: HostArray, rows: HostArray, w: HostArray | None = None
) -> tuple[HostArray, HostArray]:
    """Median and spread of the columns of t (n, width), which a few outliers do not change.

    The spread is the distance between the quartiles, divided by what it is of a normal
    distribution of deviation 1.  Where that is 0, as half of the numbers are equal, it is the
    median distance of the others from the median, divided likewise.

    Source: Huber (1981), *Robust statistics*, sections 1.2 and 5.1.

    Parameters
    ----------
    t : floating-point array (n, width)
    rows : integer array
        The training samples.
    w : float64 array (n,), optional
        Weights above 0.

    Returns
    -------
    (float64 array (width,), float64 array (width,))
        A column that is constant has spread 1.
    """
    t = t[rows].astype(np.float64)
    weights = np.ones(len(rows)) if w is None else w[rows]
    low, median, high = np.quantile(
        t, QUARTILES, axis=0, weights=weights, method="inverted_cdf"
    )  # fmt: skip
    spread = (high - low) / NORMAL_RANGE
    for j in np.flatnonzero(_is_constant(spread, median)):
        distance = np.abs(t[:, j] - median[j])
        others = np.flatnonzero(distance)
        if len(others):
            spread[j] = np.quantile(
                distance[others], 0.5, weights=weights[others], method="inverted_cdf"
            ) / (NORMAL_RANGE / 2)
    return median, _or_1(spread, median)


def _is_constant(deviation: HostArray, centre: HostArray) -> HostArray:
    """Return for each column whether the deviation is nothing but rounding."""
    constant: HostArray = deviation <= ROUNDING * np.abs(centre)
    return constant


def _or_1(deviation: HostArray, centre: HostArray) -> HostArray:
    """Return the deviations, but 1 of a column that is constant."""
    return np.where(_is_constant(deviation, centre), 1.0, deviation)


def _mean_and_squares(block: HostArray, w: HostArray | None) -> tuple[float, HostArray, HostArray]:
    """The number of rows, the mean m of each column, and the sum of squared deviations from it.

    In float64; with weights w, the sum of these, and weighted mean and sum.

    Of bytes without weights, which take a third of the time, it is
    Σ (x - m)² = Σ x² - (Σ x)² / n:  both sums of `EXACT` rows are whole numbers below 2^24, so
    float32 has them exactly, in whatever order.
    """
    n = len(block)
    if w is not None or block.dtype != np.uint8:
        x = block.astype(np.float64)
        first = x[0].copy()
        x -= first  # of a constant column exactly 0
        w = np.ones(n) if w is None else w
        total = float(np.sum(w))
        mean = np.einsum("i,ij->j", w, x) / total
        x -= mean
        x *= x
        return total, first + mean, np.einsum("i,ij->j", w, x)
    x = block.astype(np.float32)
    ones = np.ones(n, dtype=np.float32)
    sums = (ones @ x).astype(np.float64)
    x *= x
    return n, sums / n, (ones @ x).astype(np.float64) - sums**2 / n
