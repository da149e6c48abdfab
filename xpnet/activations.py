"""Activations: layers that map each element by itself, y_ij = f(x_ij), so dx = dy f'(x).

Values are exact to rounding at any finite x: nothing overflows on the way.  Derivatives are taken
from the output, so where it saturates they are exact to the rounding of 1.  `initializer` names
the initial weights that suit the layer in front (`initializers`).
"""

from dataclasses import dataclass
from typing import ClassVar

from xpnet.device import namespace
from xpnet.layers import Array, Arrays, Layer


def sigmoid(x: Array) -> Array:
    """σ(x) = 1 / (1 + e^-x), element by element.

    With e = e^-|x| <= 1, which cannot overflow:  σ(x) = 1 / (1 + e) for x >= 0, and
    e / (1 + e) for x < 0.
    """
    xp = namespace(x)
    e = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, xp.ones_like(e), e) / (1 + e)


@dataclass(frozen=True)
class Activation(Layer):
    """An element-by-element map without arrays of its own."""

    initializer: ClassVar[str] = "glorot-uniform"


@dataclass(frozen=True)
class Identity(Activation):
    """y = x.  dx = dy."""

    def forward(self, p: Arrays, x: Array) -> tuple[Array, None]:
        return x, None

    def backward(self, p: Arrays, cache: None, dy: Array) -> tuple[Array, Arrays]:
        return dy, {}


@dataclass(frozen=True)
class Sigmoid(Activation):
    """y = σ(x) = 1 / (1 + e^-x).

        dy/dx = e^-x / (1 + e^-x)² = σ(x) (1 - σ(x)) = y (1 - y)

    so the output is the whole cache.
    """

    def forward(self, p: Arrays, x: Array) -> tuple[Array, Array]:
        y = sigmoid(x)
        return y, y

    def backward(self, p: Arrays, cache: Array, dy: Array) -> tuple[Array, Arrays]:
        y = cache
        return dy * (y * (1 - y)), {}


@dataclass(frozen=True)
class Tanh(Activation):
    """y = tanh x.  dy/dx = 1 - tanh²x = 1 - y², so the output is the whole cache."""

    def forward(self, p: Arrays, x: Array) -> tuple[Array, Array]:
        y = namespace(x).tanh(x)
        return y, y

    def backward(self, p: Arrays, cache: Array, dy: Array) -> tuple[Array, Arrays]:
        y = cache
        return dy * (1 - y * y), {}


@dataclass(frozen=True)
class ReLU(Activation):
    """y = max(x, 0).  dy/dx = 1 where y > 0, else 0 (at the kink too); y is the whole cache.

    Source: Glorot, Bordes & Bengio (2011), *Deep sparse rectifier neural networks*.
    """

    initializer: ClassVar[str] = "he-uniform"

    def forward(self, p: Arrays, x: Array) -> tuple[Array, Array]:
        xp = namespace(x)
        y = xp.maximum(x, xp.zeros_like(x))
        return y, y

    def backward(self, p: Arrays, cache: Array, dy: Array) -> tuple[Array, Arrays]:
        y = cache
        return dy * namespace(dy).astype(y > 0, dy.dtype), {}


ACTIVATIONS: dict[str, type[Activation]] = {
    "relu": ReLU,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
    "identity": Identity,
}
