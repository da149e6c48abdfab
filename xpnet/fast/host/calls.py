"""Calls of NumPy: a function with its arguments, and the faster forms of sums and maxima."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from xpnet.arrays import HostArray
from xpnet.fast.host.memory import aligned

FEW_COLUMNS = 32  # up to which NumPy's maximum of each row is slower than that of each column


class Call(NamedTuple):
    """A call of NumPy: a function, its arguments, and `out` where that is not one of them."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    out: HostArray | None = None

    @property
    def bound(self) -> Callable[[], Any]:
        """The call as a function without arguments."""
        if self.out is None:
            return partial(self.function, *self.arguments)
        if not isinstance(self.function, np.ufunc) or self.function in (np.maximum, np.minimum):
            return partial(self.function, *self.arguments, out=self.out)  # these want it named
        return partial(self.function, *self.arguments, self.out)

    @property
    def arrays(self) -> list[HostArray]:
        """All that it reads and writes."""
        owner = getattr(self.function, "__self__", None)  # of a method
        every = (*self.arguments, self.out, owner)
        return [a for a in every if isinstance(a, np.ndarray)]


def is_elementwise(function: Callable[..., Any]) -> bool:
    """Whether element by element it makes one array of one or two."""
    return isinstance(function, np.ufunc) and function is not np.matmul


def sum_of(x: HostArray, keywords: Any, out: HostArray) -> Call:
    """Sums; of rows or columns as a product with ones, which is faster."""
    axis = keywords["axis"]
    if x.ndim == 2 and x.dtype == out.dtype and axis in (0, 1, -1):
        ones = np.ones(x.shape[axis], dtype=x.dtype)
        flat = out.reshape(-1)
        return Call(np.matmul, (ones, x, flat) if axis == 0 else (x, ones, flat))
    return Call(partial(np.add.reduce, **keywords), (x,), out)


def maximum_of(x: HostArray, keywords: Any, out: HostArray) -> Iterator[Call]:
    """The greatest; of short rows by columns, which is faster."""
    if x.ndim == 2 and keywords["axis"] in (1, -1) and x.shape[1] <= FEW_COLUMNS:
        columns = aligned((x.shape[1], x.shape[0]), x.dtype)
        yield Call(np.copyto, (columns, x.T))
        yield Call(partial(np.maximum.reduce, axis=0), (columns,), out.reshape(-1))
    else:
        yield Call(partial(np.maximum.reduce, **keywords), (x,), out)
