"""Prediction: logits of many samples in blocks, on a fast path where there is one, and labels."""

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from xpnet.arrays import Array, Arrays, HostArray, namespace
from xpnet.network import Network

MOST_AT_ONCE = 2**24  # numbers in the widest array of a block: 64 MB of float32


def infer_in_blocks(network: Network, params: Sequence[Arrays], x: Array) -> Array:
    """Return `network.infer(params, x)`, computed in blocks of rows that fit the memory."""
    rows = max(MOST_AT_ONCE // network.widest, 1)
    if x.shape[0] <= rows:
        return network.infer(params, x)
    starts = range(0, x.shape[0], rows)
    parts = [network.infer(params, x[i : min(i + rows, x.shape[0]), ...]) for i in starts]
    return namespace(x).concat(parts)


def infer_on_numpy(network: Network, params: Sequence[Arrays]) -> Callable[[HostArray], HostArray]:
    """Return `network.infer` with these NumPy arrays as a function of samples.

    The arrays must not be changed afterwards.
    """
    fast = fast_paths()
    return (
        fast.infer_on_numpy(network, params) if fast else partial(infer_in_blocks, network, params)
    )


def fast_paths() -> Any:
    """Return the module `xpnet.fast`, or None where it was removed: all works without it."""
    try:
        return importlib.import_module("xpnet.fast")
    except ModuleNotFoundError as error:
        if error.name != "xpnet.fast":
            raise
        return None


def predicted_columns(z: Array, multilabel: bool = False) -> Array:
    """Return the index of the label that each row of logits z (n, m) stands for.

    With `multilabel` it is 1 or 0 for each column.
    """
    if type(z) is np.ndarray and z.shape[1] > 1 and not multilabel:
        return z.argmax(axis=1)  # NumPy's function takes longer
    xp = namespace(z)
    if multilabel:
        return xp.astype(z > 0, xp.int32)
    if z.shape[1] == 1:
        return xp.astype(z[:, 0] > 0, xp.int32)
    return xp.argmax(z, axis=1)
