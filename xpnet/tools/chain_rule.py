"""The chain rule at one layer of one step: which products add up to a derivative.

    ∂L/∂a = Σ_k dy[k] ∂y[k]/∂a        over the elements k of y that depend on a

a is an element of x or of a trained array.  The layer's own `backward` gives the second factor:
with dy = 1 at k and 0 elsewhere, it returns ∂y[k]/∂x, and ∂y[k]/∂A for each trained array A.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np

from xpnet.arrays import HostArray
from xpnet.layers import Dense, Layer

Place = tuple[int, ...]  # of an element of an array


class Product(NamedTuple):
    """One of the products: k, and the factors dy[k] and ∂y[k]/∂a in the order of the formula."""

    k: Place
    factors: tuple[float, float]


@dataclass(frozen=True)
class LayerStep:
    """A layer, and what one step computes there, on the host.

    Attributes
    ----------
    layer : Layer
    arrays : mapping of str to float64 array
        The trained arrays and the buffers.
    inner : mapping of str to float64 array
        What the formulas of the layer name besides: m of `Dropout`, h of `BatchNorm`.
    x, y, dy : float64 arrays
    grads : mapping of str to float64 array
        dx, by the name x, and the gradients of the trained arrays.
    updated : mapping of str to float64 array
        The trained arrays after the step, and the buffers that it changed.
    backward : callable
        `grads`, of any dy (n, width).
    """

    layer: Layer
    arrays: Mapping[str, HostArray]
    inner: Mapping[str, HostArray]
    x: HostArray
    y: HostArray
    dy: HostArray
    grads: Mapping[str, HostArray]
    updated: Mapping[str, HostArray]
    backward: Callable[[HostArray], Mapping[str, HostArray]]

    @property
    def dense(self) -> bool:
        """Whether y is x W + b; a subclass may compute another."""
        return type(self.layer) is Dense

    def products(self, name: str, at: Place) -> list[Product]:
        """What adds up to the derivative of an element of x, or of a trained array.

        Where no element of y depends on it, one product, of slope 0.
        """
        if self.dense and name == "W":
            column = self.x[:, at[0]].tolist(), self.dy[:, at[1]].tolist()
            return [Product((i, at[1]), xdy) for i, xdy in enumerate(zip(*column, strict=True))]
        if self.dense and name == "x":
            slopes: dict[Place, float] = {
                (at[0], c): weight for c, weight in enumerate(self.arrays["W"][at[1]].tolist())
            }
        else:
            slopes = self._slopes(name, at) or {within(at, self.y): 0.0}
        return [Product(k, (float(self.dy[k]), slope)) for k, slope in slopes.items()]

    def _slopes(self, name: str, at: Place) -> dict[Place, float]:
        """∂y[k]/∂a for each k where it is not 0.

        To be quick, a random dy in one row, or one column, first finds those that matter.
        """
        n, width = self.y.shape
        random = np.random.default_rng(0).uniform(1, 2, (n, width))

        def derivative(dy: HostArray, *k: int | slice) -> float:
            one = np.zeros((n, width))
            one[k] = dy[k]
            return float(self.backward(one)[name][at])

        rows = [i for i in range(n) if derivative(random, i)]
        columns = [c for c in range(width) if derivative(random, slice(None), c)]
        ones = np.ones((n, width))
        slopes = {(i, c): derivative(ones, i, c) for i in rows for c in columns}
        return {k: slope for k, slope in slopes.items() if slope}

    def in_symbols(self, name: str, at: Place, ks: Iterable[Place]) -> str:
        """The sum of `products`, which are those of these k."""
        rows, columns = (sorted(set(numbers)) for numbers in zip(*ks, strict=True))
        i, c = rows[0], columns[0]
        if self.dense:
            return (
                f"Σ_c dy[{i}, c] W[{at[1]}, c]" if name == "x" else f"Σ_i x[i, {at[0]}] dy[i, {c}]"
            )
        if (name, at, len(rows), len(columns)) == ("x", (i, c), 1, 1):
            return f"dy{index(at)} · ∂y/∂x"
        row, column = "i" if len(rows) > 1 else i, "c" if len(columns) > 1 else c
        k = f"[{row}, {column}]"
        over = "".join(letter for letter in (row, column) if isinstance(letter, str))
        total, times = (f"Σ_{over} ", "") if over else ("", "· ")
        return f"{total}dy{k} {times}∂y{k}/∂{name}{index(at)}"

    def source(self, at: Place) -> Place:
        """The element of x in the place of this one of y, or the one that it depends on most."""
        if self.x.shape == self.y.shape:
            return at
        dy = np.zeros(self.y.shape)
        dy[at] = 1.0
        return largest(self.backward(dy)["x"])


def leading(products: Iterable[Product]) -> Place:
    """k of the largest product."""
    return max(products, key=lambda product: abs(prod(product.factors))).k


def largest(a: HostArray) -> Place:
    """The place of the element of the largest size."""
    return tuple(int(i) for i in np.unravel_index(np.argmax(np.abs(a)), a.shape))


def within(place: Place, array: HostArray) -> Place:
    """A place in the array: the last of these numbers, and 0 for those that are missing."""
    padded = (*[0] * array.ndim, *place)[len(place) :]
    return tuple(min(i, size - 1) for i, size in zip(padded, array.shape, strict=True))


def index(at: Place) -> str:
    """[0, 2]; nothing for an array of no axes."""
    return str([*at]) if at else ""
