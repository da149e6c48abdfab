"""Advice of `xpnet train`: where a CPU may be faster than the GPU that was chosen."""

# Orders of magnitude, not measured here but for the last (README).
LAUNCH = 3e-6  # seconds that a kernel takes at least, within a CUDA graph
LAUNCH_FROM_PYTHON = 10e-6  # as CuPy's developers give it
CPU = 5e10  # multiplications in a second, of one core


def cpu_is_faster(multiplications: int, products: int, fast: bool = True) -> bool:
    """Whether a training step may well take less time on a CPU than on a GPU.

    However small a kernel is, to launch it takes time: a step is about twice as many launches as it
    has matrix products, or, as it is written, ten times as many.  In that time a CPU can do the
    products of a small step.  On a machine with a GPU `xpnet bench --compare` measures both.

    Parameters
    ----------
    multiplications : int
        Of a step's matrix products.
    products : int
        How many there are.
    fast : bool, default True
        Whether the fast path is taken.
    """
    launching = 2 * products * LAUNCH if fast else 10 * products * LAUNCH_FROM_PYTHON
    return multiplications / CPU < launching
