"""How many threads the BLAS takes: by a fixed rule, so that results are the same every time.

A timing would choose one number today and another tomorrow, and products in more threads are
rounded otherwise.  NumPy is imported by `import_numpy` only.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xpnet.network import Network

# A thread for so many multiplications of the largest product: half a millisecond of them.  A
# second thread brings a step of 784-128-10 a tenth at batches of 128, nearly half at 1024; and
# where another program wants its core, products wait for it many times as long as they take.
MULTIPLICATIONS = 2**24

MOST = 2**15  # threads that are asked for: a BLAS counts them in 32 bits and takes far fewer

# By which a user gives the BLAS its threads.
VARIABLES = (
    *("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS"),
    *("MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
)


def import_numpy() -> None:
    """Import NumPy, its BLAS with one thread; `limited` makes more where they are wanted.

    OpenBLAS otherwise makes one for each core before anything is computed, which takes as long
    as all the rest of NumPy's import.  What a variable of the user's says stays.
    """
    free = "numpy" not in sys.modules and not any(name in os.environ for name in VARIABLES)
    if free:
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
    try:
        import_module("numpy")
    finally:
        if free:
            del os.environ["OPENBLAS_NUM_THREADS"]


def most() -> int:
    """The cores that this process may use; fewer where a variable of the user's says so."""
    if hasattr(os, "sched_getaffinity"):  # on Linux
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    said = [os.environ.get(name, "") for name in VARIABLES]
    return min([cores, *(int(text) for text in said if text.isdecimal() and int(text))])


def suited(network: "Network", rows: int) -> int:
    """The threads for batches of so many rows, from the cores, the rows and the widths."""
    return min(most(), max(rows * max(network.weights) // MULTIPLICATIONS, 1))


@contextmanager
def limited(threads: int) -> Iterator[int]:
    """Within, the BLAS takes so many threads; gives how many it does take.

    More than the cores are slower, and give the numbers of a machine that has them.  A BLAS has a
    greatest number of its own, and one that threadpoolctl does not know counts as one thread.
    The number is the process's: one of its threads at a time may be within.
    """
    from threadpoolctl import ThreadpoolController

    controller = ThreadpoolController()
    with controller.limit(limits=min(threads, MOST), user_api="blas"):
        pools = controller.select(user_api="blas").info()
        yield max((pool["num_threads"] for pool in pools), default=1)
