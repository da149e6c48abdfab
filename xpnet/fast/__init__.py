"""Machinery that a learner can skip: the core's numbers, to rounding, in less time.

None of it is needed: without this folder xpnet is slower.  Training steps are recorded once, by
calling the core's own code (`record`), and become either calls of NumPy on arrays that exist
already (`host`), or CUDA kernels and products by cuBLAS (`cuda`).  `inference` is the fast way to
predict on NumPy.

Its modules are imported when they are first needed.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from xpnet import submodule
from xpnet.arrays import Arrays, HostArray, is_cupy, is_numpy
from xpnet.network import Network


def can_fuse(constants: tuple[Any, ...], *parts: Any) -> bool:
    """Whether steps on these arrays, of these layers, losses and optimizers, can be recorded.

    Arrays of NumPy and CuPy can, and what is of xpnet's own classes: others may do what no
    recording sees, such as drawing numbers.
    """
    arrays = [a for a in constants if a is not None]
    return (all(map(is_numpy, arrays)) or all(map(is_cupy, arrays))) and all(
        type(part).__module__.partition(".")[0] == "xpnet" for part in parts
    )


def fuse(
    step: Callable[..., Any],
    constants: tuple[Any, ...],
    unchanged: Collection[str] = (),
    capture: bool | None = None,
    quiet: bool = False,
) -> Any:
    """The same step, faster, called with a state, tables and i; see `steps.InPlaceStep`.

    On arrays of CuPy `cuda.step.CudaStep`, which `capture` and `quiet` are for.
    """
    if all(is_numpy(a) for a in constants if a is not None):
        from xpnet.fast.host.step import HostStep

        return HostStep(step, constants, unchanged)
    from xpnet.fast.cuda.step import CudaStep

    return CudaStep(step, constants, unchanged, capture, quiet)


def infer_on_numpy(network: Network, params: Sequence[Arrays]) -> Callable[[HostArray], HostArray]:
    """`network.infer` with these arrays, as a function of samples; see `inference.prepare`."""
    from xpnet.fast.inference import prepare

    return prepare(network, params)


__getattr__ = partial(submodule, __name__)
