"""Activations: layers that map each element by itself, y_ij = f(x_ij), so dx = dy f'(x).

Values are exact to rounding at any finite x: nothing overflows on the way.  Derivatives are taken
from the output, so where it saturates they are exact to the rounding of 1.  `initializer` names
the initial weights that suit the layer in front (`initializers`).
"""

from collections.abc import Mapping
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
    """An element-by-element map without arrays of its own.

    Attributes
    ----------
    initializer : str
        The initial weights that suit it.
    kinks : tuple of float
        Where f has no derivative.
    """

    initializer: ClassVar[str] = "glorot-uniform"
    kinks: ClassVar[tuple[float, ...]] = ()


@dataclass(frozen=True)
class Identity(Activation):
    """y = x.  dy/dx = 1, so dx = dy."""

    formulas: ClassVar[Mapping[str, str]] = {"y": "x", "dx": "dy"}

    def forward(self, p: Arrays, x: Array) -> tuple[Array, None]:
        return x, None

    def backward(self, p: Arrays, cache: None, dy: Array) -> tuple[Array, Arrays]:
        return dy, {}


@dataclass(frozen=True)
class Sigmoid(Activation):
    """y = σ(x) = 1 / (1 + e^-x).

    By the chain rule, with u = 1 + e^-x, of which du/dx = -e^-x:

        dy/dx = d(1/u)/du du/dx = -1/u² · (-e^-x) = e^-x / (1 + e^-x)²
              = 1 / (1 + e^-x) · e^-x / (1 + e^-x)
              = y (1 - y)                                 as e^-x / (1 + e^-x) = 1 - y
        dx    = dy y (1 - y)

    so the output is the whole cache.

    Source: Rumelhart, Hinton & Williams (1986), *Learning representations by back-propagating
    errors*, equations 2 and 5.
    """

    formulas: ClassVar[Mapping[str, str]] = {"y": "σ(x)", "dx": "dy ∘ y (1 - y)"}

    def forward(self, p: Arrays, x: Array) -> tuple[Array, Array]:
        y = sigmoid(x)
        return y, y

    def backward(self, p: Arrays, cache: Array, dy: Array) -> tuple[Array, Arrays]:
        y = cache
        return dy * (y * (1 - y)), {}


@dataclass(frozen=True)
class Tanh(Activation):
    """y = tanh x = s / c,  with s = e^x - e^-x,  c = e^x + e^-x.

    Since ds/dx = c and dc/dx = s, by the rule for quotients:

        dy/dx = (c · c - s · s) / c² = 1 - y²
        dx    = dy (1 - y²)

    so the output is the whole cache.

    Source: LeCun, Bottou, Orr & Müller (1998), *Efficient BackProp*, section 4.4, for its use.
    """

    formulas: ClassVar[Mapping[str, str]] = {"y": "tanh x", "dx": "dy ∘ (1 - y²)"}

    def forward(self, p: Arrays, x: Array) -> tuple[Array, Array]:
        y = namespace(x).tanh(x)
        return y, y

    def backward(self, p: Arrays, cache: Array, dy: Array) -> tuple[Array, Arrays]:
        y = cache
        return dy * (1 - y * y), {}


@dataclass(frozen=True)
class ReLU(Activation):
    """y = max(x, 0).

    Where x > 0, y = x and dy/dx = 1; where x < 0, y = 0 and dy/dx = 0.  At the kink x = 0 there is
    no derivative, and 0 is taken, one of the slopes between those of the two sides:

        dx = dy [y > 0]         [y > 0] = 1 where it is true, else 0

    y > 0 is the same as x > 0, so the output is the whole cache.

    Source: Glorot, Bordes & Bengio (2011), *Deep sparse rectifier neural networks*.
    """

    initializer: ClassVar[str] = "he-uniform"
    kinks: ClassVar[tuple[float, ...]] = (0.0,)
    formulas: ClassVar[Mapping[str, str]] = {"y": "max(x, 0)", "dx": "dy ∘ [y > 0]"}

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
