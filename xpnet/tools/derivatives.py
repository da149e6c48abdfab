"""Derivatives that need no formula: central differences, and automatic ones by JAX and PyTorch."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from xpnet.arrays import Array, Arrays, HostArray, to_numpy
from xpnet.errors import DataError, UsageError

Function = Callable[[Arrays], Array]  # L, a number, of arrays by name

STEP = 1e-4


def central_differences(function: Function, at: Arrays) -> dict[str, HostArray]:
    """∂L/∂a for each element a of each array, by four values of L around it.

    By Taylor's theorem, with h the step:

        L(a + h) - L(a - h)   = 2 h L' + h³ L'''/3 + O(h⁵)
        L(a + 2h) - L(a - 2h) = 4 h L' + 8 h³ L'''/3 + O(h⁵)

    and 8 times the first minus the second leaves neither L nor L''':

        L' = (8 (L(a + h) - L(a - h)) - (L(a + 2h) - L(a - 2h))) / 12h + h⁴ L⁽⁵⁾/30 + O(h⁶)

    Rounding adds about 2^-53 |L| / h, 1e-12 at h = 1e-4, and h⁴ leaves nothing; two values would
    leave 1e-11 at the best of steps.

    Source: Fornberg (1988), *Generation of finite difference formulas on arbitrarily spaced grids*,
    table 1.

    Parameters
    ----------
    function : callable
        Takes the arrays by name; gives L, a number.
    at : mapping of str to floating-point array
        Where; not written to.

    Returns
    -------
    dict of str to float64 array
        Of the shapes of `at`.

    Raises
    ------
    DataError
        L is not finite somewhere there.
    """
    gradients = {}
    for name, array in at.items():
        a = np.array(to_numpy(array), dtype=np.float64, order="C")
        flat, gradient = a.reshape(-1), np.zeros(a.size)
        for i, value in enumerate(flat.tolist()):
            L = {}
            for steps in (-2, -1, 1, 2):
                flat[i] = value + steps * STEP
                L[steps] = float(to_numpy(function({**at, name: a})))
            flat[i] = value
            gradient[i] = (8 * (L[1] - L[-1]) - (L[2] - L[-2])) / (12 * STEP)
        if not np.all(np.isfinite(gradient)):
            raise DataError(f"the loss is not finite close to the values of {name}")
        gradients[name] = gradient.reshape(a.shape)
    return gradients


def jax_gradients(function: Function, at: Arrays) -> dict[str, HostArray]:
    """∂L/∂a of each array by JAX's automatic differentiation, in float64."""
    with _extra("jax"):
        jax = importlib.import_module("jax")
    with jax.enable_x64(True):
        arrays = {name: jax.numpy.asarray(to_numpy(a)) for name, a in at.items()}
        return {name: to_numpy(g) for name, g in jax.grad(function)(arrays).items()}


def torch_gradients(function: Function, at: Arrays) -> dict[str, HostArray]:
    """∂L/∂a of each array by PyTorch's automatic differentiation, in float64."""
    with _extra("torch"):
        torch = importlib.import_module("torch")
    arrays = {name: torch.tensor(to_numpy(a), requires_grad=True) for name, a in at.items()}
    function(arrays).backward()
    return {name: to_numpy(a.grad) for name, a in arrays.items()}


@contextmanager
def _extra(library: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f'{library} is not installed: pip install "xpnet[{library}]" (in a clone: '
            f'".[{library}]")'
        ) from error
