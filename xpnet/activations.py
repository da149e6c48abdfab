"""Activations: layers that map each element by itself, y_ij = f(x_ij), so dx = dy f'(x).

Values are exact to rounding at any finite x: nothing overflows on the way.  Derivatives that are
taken from the output are exact to the rounding of 1 where it saturates.  `initializer` names the
initial weights that suit the layer in front (`initializers`).  A name in
`registry.ACTIVATIONS` may bring a parameter: `leaky-relu:0.2` (`checks.construct`).

A comment marks the end of the first reading.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import pi, sqrt
from typing import ClassVar

from xpnet.arrays import Array, Arrays, namespace
from xpnet.bounds import Inside, Positive
from xpnet.layers import Layer
from xpnet.special import normal_cdf, sigmoid, softplus, within


@dataclass(frozen=True)
class Activation(Layer):
    """An element-by-element map without arrays of its own.

    Attributes
    ----------
    initializer : str
        The initial weights that suit it.
    kinks : tuple of float
        Where f has no derivative, or none of second order (`gradcheck` stays away from them).
    """

    initializer: ClassVar[str] = "glorot-uniform"
    kinks: ClassVar[tuple[float, ...]] = ()


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


# The first reading ends here.


@dataclass(frozen=True)
class Identity(Activation):
    """y = x.  dy/dx = 1, so dx = dy."""

    formulas: ClassVar[Mapping[str, str]] = {"y": "x", "dx": "dy"}

    def forward(self, p: Arrays, x: Array) -> tuple[Array, None]:
        return x, None

    def backward(self, p: Arrays, cache: None, dy: Array) -> tuple[Array, Arrays]:
        return dy, {}


@dataclass(frozen=True)
class ScaledTanh(Activation):
    """y = a tanh(b x) with a = 1.7159, b = 2/3: f(±1) = ±1, and slopes between are 0.76 to 1.14.

    With tanh(b x) = y/a and the derivative of tanh (`Tanh`):

        dy/dx = a b (1 - (y/a)²) = b (a - y²/a)        dx = dy b (a - y²/a)

    so the output is the whole cache.

    Source: LeCun, Bottou, Orr & Müller (1998), *Efficient BackProp*, section 4.4; the initial
    weights that fit it are in section 4.6.
    """

    A: ClassVar[float] = 1.7159
    B: ClassVar[float] = 2 / 3
    initializer: ClassVar[str] = "lecun-uniform"
    formulas: ClassVar[Mapping[str, str]] = {
        "y": "1.7159 tanh(2x/3)",
        "dx": "dy ∘ 2/3 (1.7159 - y²/1.7159)",
    }

    def forward(self, p: Arrays, x: Array) -> tuple[Array, Array]:
        y = self.A * namespace(x).tanh(self.B * x)
        return y, y

    def backward(self, p: Arrays, cache: Array, dy: Array) -> tuple[Array, Arrays]:
        y = cache
        return dy * (self.B * (self.A - y * y / self.A)), {}


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """y = x where x > 0, else a x.

        dy/dx = 1 where x > 0, else a        dx = dy dy/dx

    As a > 0, y > 0 is the same as x > 0, and the output is the whole cache.

    Source: Maas, Hannun & Ng (2013), *Rectifier nonlinearities improve neural network acoustic
    models*, equation 3.

    Parameters
    ----------
    slope : float, default 0.01
        a, above 0 and below 1.  The He initializers choose the variance for this slope.

    Raises
    ------
    UsageError
        `slope` is out of its bounds.
    """

    slope: Inside = 0.01

    initializer: ClassVar[str] = "he-uniform"
    kinks: ClassVar[tuple[float, ...]] = (0.0,)
    formulas: ClassVar[Mapping[str, str]] = {
        "y": "x [x > 0] + a x [x <= 0]",
        "dx": "dy ∘ ([y > 0] + a [y <= 0])",
    }

    def forward(self, p: Arrays, x: Array) -> tuple[Array, Array]:
        y = namespace(x).maximum(x, self.slope * x)
        return y, y

    def backward(self, p: Arrays, cache: Array, dy: Array) -> tuple[Array, Arrays]:
        y = cache
        return namespace(dy).where(y > 0, dy, self.slope * dy), {}


@dataclass(frozen=True)
class ELU(Activation):
    """y = x where x > 0, else a (e^x - 1).

    Below 0, dy/dx = a e^x = y + a; above, 1.  As y > 0 is the same as x > 0, the output is the
    whole cache:

        dx = dy where y > 0, else dy (y + a)

    Source: Clevert, Unterthiner & Hochreiter (2016), *Fast and accurate deep network learning by
    exponential linear units*, equation 15.

    Parameters
    ----------
    alpha : float, default 1.0
        a, above 0.

    Raises
    ------
    UsageError
        `alpha` is out of its bounds.
    """

    alpha: Positive = 1.0

    initializer: ClassVar[str] = "he-uniform"
    kinks: ClassVar[tuple[float, ...]] = (0.0,)
    formulas: ClassVar[Mapping[str, str]] = {
        "y": "x [x > 0] + a (e^x - 1) [x <= 0]",
        "dx": "dy ∘ ([y > 0] + (y + a) [y <= 0])",
    }

    def forward(self, p: Arrays, x: Array) -> tuple[Array, Array]:
        xp = namespace(x)
        y = xp.where(x > 0, x, self.alpha * xp.expm1(xp.minimum(x, xp.zeros_like(x))))
        return y, y

    def backward(self, p: Arrays, cache: Array, dy: Array) -> tuple[Array, Arrays]:
        y = cache
        return namespace(dy).where(y > 0, dy, dy * (y + self.alpha)), {}


@dataclass(frozen=True)
class SELU(Activation):
    """y = λ ELU(x) with a = 1.6732...: λ and a keep mean 0 and variance 1 from layer to layer.

    Below 0, dy/dx = λ a e^x = y + λ a; above, λ.  So

        dx = dy λ where y > 0, else dy (y + λ a)

    Source: Klambauer, Unterthiner, Mayr & Hochreiter (2017), *Self-normalizing neural networks*,
    equations 2 and 14.
    """

    SCALE: ClassVar[float] = 1.0507009873554805  # λ
    ALPHA: ClassVar[float] = 1.6732632423543772  # a
    initializer: ClassVar[str] = "lecun-normal"
    kinks: ClassVar[tuple[float, ...]] = (0.0,)
    formulas: ClassVar[Mapping[str, str]] = {
        "y": "λ (x [x > 0] + a (e^x - 1) [x <= 0])",
        "dx": "dy ∘ (λ [y > 0] + (y + λ a) [y <= 0])",
    }

    def forward(self, p: Arrays, x: Array) -> tuple[Array, Array]:
        xp = namespace(x)
        below = self.SCALE * self.ALPHA * xp.expm1(xp.minimum(x, xp.zeros_like(x)))
        y = xp.where(x > 0, self.SCALE * x, below)
        return y, y

    def backward(self, p: Arrays, cache: Array, dy: Array) -> tuple[Array, Arrays]:
        y = cache
        below = dy * (y + self.SCALE * self.ALPHA)
        return namespace(dy).where(y > 0, dy * self.SCALE, below), {}


@dataclass(frozen=True)
class GELU(Activation):
    """y = x Φ(x), with Φ the distribution function of the standard normal (`normal_cdf`).

    Its derivative is the density φ(x) = e^(-x²/2) / √2π, so by the rule for products

        dy/dx = Φ(x) + x φ(x)        dx = dy (Φ(x) + x φ(x))

    The cache is x and Φ(x).

    Source: Hendrycks & Gimpel (2016), *Gaussian error linear units*, section 2; torch's GELU.
    """

    initializer: ClassVar[str] = "he-uniform"
    formulas: ClassVar[Mapping[str, str]] = {"y": "x ∘ Φ(x)", "dx": "dy ∘ (Φ(x) + x φ(x))"}

    def forward(self, p: Arrays, x: Array) -> tuple[Array, tuple[Array, Array]]:
        cdf = normal_cdf(x)
        return x * cdf, (x, cdf)

    def backward(self, p: Arrays, cache: tuple[Array, Array], dy: Array) -> tuple[Array, Arrays]:
        x, cdf = cache
        c = within(x, 40.0)  # φ(40) is 0, and 40² no overflow
        density = namespace(x).exp(-0.5 * (c * c)) / sqrt(2 * pi)
        return dy * (cdf + x * density), {}


@dataclass(frozen=True)
class TanhGELU(Activation):
    """y = x s with s = ½ (1 + tanh u),  u = √(2/π) (x + 0.044715 x³):  within 5e-4 of `GELU`.

    With du/dx = √(2/π) (1 + 3 · 0.044715 x²) and d tanh u/du = 1 - tanh² u, where
    1 - tanh² u = 1 - (2 s - 1)² = 4 s (1 - s):

        ds/dx = ½ · 4 s (1 - s) du/dx = 2 s (1 - s) du/dx
        dy/dx = s + x ds/dx              dx = dy (s + 2 x s (1 - s) du/dx)

    s is computed as σ(2u), the same, without cancellation far below 0.  The cache is x and s.

    Source: Hendrycks & Gimpel (2016), *Gaussian error linear units*, section 2; torch's GELU with
    approximate="tanh".
    """

    initializer: ClassVar[str] = "he-uniform"
    formulas: ClassVar[Mapping[str, str]] = {
        "y": "x s,  s = ½ (1 + tanh(√(2/π) (x + 0.044715 x³)))",
        "dx": "dy ∘ (s + 2 √(2/π) x s (1 - s) (1 + 0.134145 x²))",
    }

    def forward(self, p: Arrays, x: Array) -> tuple[Array, tuple[Array, Array]]:
        c = within(x, 40.0)  # where s is 0 or 1 in every type: x³ cannot overflow
        s = sigmoid(2 * sqrt(2 / pi) * (c + 0.044715 * (c * c * c)))
        return x * s, (x, s)

    def backward(self, p: Arrays, cache: tuple[Array, Array], dy: Array) -> tuple[Array, Arrays]:
        x, s = cache
        c = within(x, 40.0)
        slope = sqrt(2 / pi) * (1 + 3 * 0.044715 * (c * c))
        return dy * (s + 2 * c * (s * (1 - s)) * slope), {}


@dataclass(frozen=True)
class SiLU(Activation):
    """y = x s with s = σ(x), also named swish.

    As ds/dx = s (1 - s) (`Sigmoid`), by the rule for products

        dy/dx = s + x s (1 - s) = s + y (1 - s)        dx = dy (s + y (1 - s))

    The cache is y and s.

    Source: Elfwing, Uchibe & Doya (2018), *Sigmoid-weighted linear units for neural network
    function approximation in reinforcement learning*.
    """

    initializer: ClassVar[str] = "he-uniform"
    formulas: ClassVar[Mapping[str, str]] = {
        "y": "x s,  s = σ(x)",
        "dx": "dy ∘ (s + y (1 - s))",
    }

    def forward(self, p: Arrays, x: Array) -> tuple[Array, tuple[Array, Array]]:
        s = sigmoid(x)
        y = x * s
        return y, (y, s)

    def backward(self, p: Arrays, cache: tuple[Array, Array], dy: Array) -> tuple[Array, Arrays]:
        y, s = cache
        return dy * (s + y * (1 - s)), {}


@dataclass(frozen=True)
class Softplus(Activation):
    """y = log(1 + e^x), a smooth ReLU; computed as max(x, 0) + log(1 + e^-|x|).

        dy/dx = e^x / (1 + e^x) = σ(x)        dx = dy σ(x)

    The cache is x.  torch's Softplus differs: beyond x = 20 it takes y = x, which is 2e-9 less.

    Source: Dugas, Bengio, Bélisle, Nadeau & Garcia (2001), *Incorporating second-order functional
    knowledge for better option pricing*, section 3.
    """

    initializer: ClassVar[str] = "he-uniform"
    formulas: ClassVar[Mapping[str, str]] = {"y": "log(1 + e^x)", "dx": "dy ∘ σ(x)"}

    def forward(self, p: Arrays, x: Array) -> tuple[Array, Array]:
        return softplus(x), x

    def backward(self, p: Arrays, cache: Array, dy: Array) -> tuple[Array, Arrays]:
        return dy * sigmoid(cache), {}


@dataclass(frozen=True)
class Mish(Activation):
    """y = x u with u = tanh(v),  v = log(1 + e^x).

    With du/dv = 1 - u² (`Tanh`) and dv/dx = σ(x) (`Softplus`), by the chain rule
    du/dx = (1 - u²) σ(x), and by the rule for products

        dy/dx = u + x du/dx        dx = dy (u + x (1 - u²) σ(x))

    The cache is x and u.

    Source: Misra (2019), *Mish: a self regularized non-monotonic activation function*, equation 1;
    torch's Mish.
    """

    initializer: ClassVar[str] = "he-uniform"
    formulas: ClassVar[Mapping[str, str]] = {
        "y": "x u,  u = tanh(log(1 + e^x))",
        "dx": "dy ∘ (u + x (1 - u²) σ(x))",
    }

    def forward(self, p: Arrays, x: Array) -> tuple[Array, tuple[Array, Array]]:
        u = namespace(x).tanh(softplus(x))
        return x * u, (x, u)

    def backward(self, p: Arrays, cache: tuple[Array, Array], dy: Array) -> tuple[Array, Arrays]:
        x, u = cache
        return dy * (u + x * ((1 - u * u) * sigmoid(x))), {}


@dataclass(frozen=True)
class HardSigmoid(Activation):
    """y = min(max(x/6 + ½, 0), 1): a sigmoid of three straight lines.

        dy/dx = 1/6 where -3 < x < 3, else 0        dx = dy/6 where 0 < y < 1, else 0

    so the output is the whole cache; at the kinks 0 is taken.

    Source: Howard et al. (2019), *Searching for MobileNetV3*, section 5.2; torch's Hardsigmoid.
    """

    kinks: ClassVar[tuple[float, ...]] = (-3.0, 3.0)
    formulas: ClassVar[Mapping[str, str]] = {
        "y": "min(max(x/6 + ½, 0), 1)",
        "dx": "dy/6 ∘ [0 < y < 1]",
    }

    def forward(self, p: Arrays, x: Array) -> tuple[Array, Array]:
        y = within(x, 3.0) / 6 + 0.5
        return y, y

    def backward(self, p: Arrays, cache: Array, dy: Array) -> tuple[Array, Arrays]:
        y = cache
        inside = namespace(dy).astype((y > 0) & (y < 1), dy.dtype)
        return dy / 6 * inside, {}
