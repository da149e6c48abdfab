"""Where arrays of NumPy are in memory: addresses, aligned memory, and what overlaps."""

from math import prod
from typing import Any

import numpy as np

from xpnet.arrays import HostArray


def address(array: HostArray) -> int:
    """Where its first element is."""
    return int(array.__array_interface__["data"][0])


def aligned(shape: tuple[int, ...], dtype: Any) -> HostArray:
    """A new array, at the beginning of a line of the processor's cache."""
    dtype = np.dtype(dtype)
    size = prod(shape) * dtype.itemsize
    memory = np.empty(size + 64, dtype=np.uint8)
    start = -address(memory) % 64
    array: HostArray = memory[start : start + size].view(dtype).reshape(shape)
    return array


def same(a: HostArray, b: HostArray) -> bool:
    """Whether two arrays are the same memory, read alike."""
    layout = (a.shape, a.strides, a.dtype) == (b.shape, b.strides, b.dtype)
    return layout and address(a) == address(b)


def owner(array: HostArray) -> Any:
    """The array whose memory it is part of."""
    return array if array.base is None else array.base


def overlap(a: HostArray, b: HostArray) -> bool:
    """Whether two arrays have an element in common; or may have, where that is hard to tell."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=1000)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True
