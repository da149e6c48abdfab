"""The constants of scaling: mean and standard deviation of the columns of the training samples."""

import numpy as np

from xpnet.arrays import Array, HostArray, namespace, to_numpy
from xpnet.data.dataset import blocks

EXACT = 256  # rows of bytes of which sums and sums of squares are exact in float32


def standardization(x: Array, rows: HostArray, pixels: bool) -> tuple[HostArray, HostArray]:
    """Mean and standard deviation of the columns of x (n, width), in float64 on the host.

    Blocks of rows are merged by the update of Chan, Golub & LeVeque (1979): with n, m, S the
    number, mean and sum of squared deviations so far, and n', m', S' the block's,

        S ← S + S' + (m' - m)² n n' / (n + n')        m ← m + (m' - m) n' / (n + n')

    Parameters
    ----------
    x : numeric array (n, width)
        Anywhere; it is read in blocks.
    rows : integer array
        The training samples.
    pixels : bool
        Whether the columns are pixels of an image, which share one mean and one deviation.

    Returns
    -------
    (float64 array (width,), float64 array (width,))
        A column that is constant has deviation 1.
    """
    xp, width = namespace(x), x.shape[1]
    n, mean, squares = 0, np.zeros(width), np.zeros(width)
    for index in blocks(rows, x):
        gathered = to_numpy(xp.take(x, index, axis=0))
        for start in range(0, len(gathered), EXACT):
            block = gathered[start : start + EXACT]
            block_mean, block_squares = _mean_and_squares(block)
            step, part = block_mean - mean, len(block) / (n + len(block))
            squares += block_squares + step**2 * n * part
            mean += step * part
            n += len(block)
    variance = squares / n
    if pixels:
        variance[:] = np.mean(variance + (mean - mean.mean()) ** 2)
        mean[:] = mean.mean()
    deviation = np.sqrt(variance)
    constant = deviation <= 1e-12 * np.abs(mean)  # what is left is rounding
    return mean, np.where(constant, 1.0, deviation)


def _mean_and_squares(block: HostArray) -> tuple[HostArray, HostArray]:
    """The mean m of each column, and the sum of the squared deviations from it, in float64.

    Of bytes, which take a third of the time, it is  Σ (x - m)² = Σ x² - (Σ x)² / n:  both sums of
    `EXACT` rows are whole numbers below 2^24, so float32 has them exactly, in whatever order.
    """
    if block.dtype != np.uint8:
        x = block.astype(np.float64)
        mean = x.mean(axis=0)
        x -= mean
        return mean, np.einsum("ij,ij->j", x, x)
    n, x = len(block), block.astype(np.float32)
    ones = np.ones(n, dtype=np.float32)
    sums = (ones @ x).astype(np.float64)
    x *= x
    return sums / n, (ones @ x).astype(np.float64) - sums**2 / n
