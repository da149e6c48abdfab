"""Layers: pure functions with explicit caches.

A layer is a frozen dataclass of hyperparameters.  `forward` maps a batch x (n, width) to y and
gives a cache, which is all that `backward` must remember; `backward` takes dy = ∂L/∂y and gives
dx = ∂L/∂x and the gradient of each trainable array.  `infer` is the map when predicting.
Arrays arrive in `p`, by name; nothing writes to an argument.

All derivatives come from one rule.  Where a number a reaches the loss L through y alone,

    ∂L/∂a = Σ_ij ∂L/∂y_ij ∂y_ij/∂a        the chain rule: every way from a to L counts, and adds

so a layer needs dy from the layer behind it, and its own ∂y/∂a: nothing else of the network.

A comment marks the end of the first reading; the layers after it are not needed to follow how
784-128-10 learns.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from xpnet.arrays import Array, Arrays, namespace, subtraction_type
from xpnet.bounds import Count, DropRate, NotNegative
from xpnet.checks import Settings
from xpnet.errors import UsageError
from xpnet.random import mask_units, normal_units

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Layer(Settings):
    """A map y = f(p, x), where p holds every array that the layer reads besides x.

    A layer defines `forward` and `backward`; every other member has a default.

    Attributes
    ----------
    draws : bool
        Whether `forward` reads a random key, `p["key"]`: an int32 array (3,), the two words of the
        key and the number of the batch's first row (`random.mask_units`).
    initial : mapping of str to float
        What an array is before training, if it is not 0 (the weights of `Dense` are drawn).
    """

    draws: ClassVar[bool] = False
    initial: ClassVar[Mapping[str, float]] = {}

    @abstractmethod
    def forward(self, p: Arrays, x: Array) -> tuple[Array, Any]:
        """Return y while training, and the cache for `backward`."""

    @abstractmethod
    def backward(self, p: Arrays, cache: Any, dy: Array) -> tuple[Array, Arrays]:
        """Return ∂L/∂x, and ∂L/∂a for each trainable array a."""

    def infer(self, p: Arrays, x: Array) -> Array:
        """Return y when predicting."""
        return self.forward(p, x)[0]

    @property
    def shapes(self) -> Shapes:
        """Name and shape of each trainable array."""
        return {}

    @property
    def decayed(self) -> tuple[str, ...]:
        """Those of `shapes` that weight decay applies to."""
        return ()

    @property
    def buffers(self) -> Shapes:
        """Name and shape of each array that is not trained."""
        return {}

    def width(self, fan_in: int) -> int:
        """The number of columns of y, where x has `fan_in`.

        Raises
        ------
        UsageError
            The layer takes another number of columns.
        """
        return fan_in

    def refresh(self, p: Arrays, cache: Any) -> Arrays:
        """The next values of the buffers, after a step whose `forward` gave this cache."""
        return {name: p[name] for name in self.buffers}

    @property
    def formulas(self) -> Mapping[str, str]:
        """y, dx and the gradient dA of each trainable array A, as `xpnet explain` prints them.

        And, under its own name, the next value of each buffer that `refresh` changes.  xᵀ is x
        transposed; ∘ multiplies element by element.
        """
        return {}


@dataclass(frozen=True)
class Dense(Layer):
    """y = x W + b, that is y_ij = Σ_k x_ik W_kj + b_j.

    With dy = ∂L/∂y (n, fan_out), by the chain rule.  x_ik is in every output of its row i, W_kj in
    column j of every row, and so is b_j:

        ∂y_ij/∂x_ik = W_kj       dx_ik = Σ_j dy_ij W_kj       dx = dy Wᵀ          (n, fan_in)
        ∂y_ij/∂W_kj = x_ik       dW_kj = Σ_i dy_ij x_ik       dW = xᵀ dy          (fan_in, fan_out)
        ∂y_ij/∂b_j  = 1          db_j  = Σ_i dy_ij            db, sums of columns (fan_out,)

    The cache is x.

    Source: Rumelhart, Hinton & Williams (1986), *Learning representations by back-propagating
    errors*, equations 1, 6 and 7, for a batch.

    Parameters
    ----------
    fan_in, fan_out : int
        Columns of x and of y.
    bias : bool, default True
        Whether there is a b.
    max_norm : float, default 0.0
        The greatest length of the weights into a unit after a step (`optimizers.project`); 0 for
        no bound.

    Raises
    ------
    UsageError
        A number is out of its bounds.
    """

    fan_in: Count
    fan_out: Count
    bias: bool = True
    max_norm: NotNegative = 0.0

    @property
    def formulas(self) -> Mapping[str, str]:
        product = {"y": "x W", "dx": "dy Wᵀ", "dW": "xᵀ dy"}
        return {**product, "y": "x W + b", "db": "Σ_i dy_i"} if self.bias else product

    @property
    def shapes(self) -> Shapes:
        W = {"W": (self.fan_in, self.fan_out)}
        return {**W, "b": (self.fan_out,)} if self.bias else W

    @property
    def decayed(self) -> tuple[str, ...]:
        return ("W",)

    def width(self, fan_in: int) -> int:
        require_width(self, fan_in, self.fan_in)
        return self.fan_out

    def forward(self, p: Arrays, x: Array) -> tuple[Array, Array]:
        y = x @ p["W"]
        return (y + p["b"] if self.bias else y), x

    def backward(self, p: Arrays, cache: Array, dy: Array) -> tuple[Array, Arrays]:
        x = cache
        grads = {"W": x.T @ dy}
        if self.bias:
            grads["b"] = namespace(dy).sum(dy, axis=0)
        return dy @ p["W"].T, grads


@dataclass(frozen=True)
class Dropout(Layer):
    """While training, each unit is dropped with probability r, and the others are scaled up.

        y_ij = m_ij x_ij,       m_ij = 0 with probability r, else 1 / (1 - r)
        E[y_ij] = r · 0 + (1 - r) · x_ij / (1 - r) = x_ij

    m does not depend on x, so

        ∂y_ij/∂x_ij = m_ij      dx_ij = dy_ij m_ij

    When predicting, y = x.  r is `rate` rounded to a multiple of 2^-16, for 16 random bits decide
    about a unit.  The cache is m.

    Source: Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov (2014), *Dropout*; the
    scaling while training ("inverted") is in its section 10.

    Parameters
    ----------
    rate : float
        From 0 to 0.99999.

    Raises
    ------
    UsageError
        `rate` is out of its bounds.
    """

    rate: DropRate

    draws: ClassVar[bool] = True
    formulas: ClassVar[Mapping[str, str]] = {"y": "m ∘ x", "dx": "dy ∘ m"}

    @property
    def _threshold(self) -> int:
        return round(self.rate * 65536)

    def forward(self, p: Arrays, x: Array) -> tuple[Array, Array]:
        kept = mask_units(p["key"], *x.shape) >= self._threshold
        m = namespace(x).astype(kept, x.dtype) * (65536 / (65536 - self._threshold))
        return x * m, m

    def backward(self, p: Arrays, cache: Array, dy: Array) -> tuple[Array, Arrays]:
        return dy * cache, {}

    def infer(self, p: Arrays, x: Array) -> Array:
        return x


def require_width(layer: Layer, given: int, expected: int) -> int:
    """`given`, if it is the number of columns that a layer expects."""
    if given != expected:
        raise UsageError(f"{layer} is given {given} columns and expects {expected}")
    return given


# The first reading ends here.


@dataclass(frozen=True)
class Standardize(Layer):
    """Shift and scale each column by constants: y_ij = (x_ij - mean_j) / scale_j.

    The constants are buffers, found on the training data (`data.statistics`); before, mean
    0 and scale 1 make it the identity.  x may be of any numeric type, such as uint8 pixels; y is
    of the type of the constants.

        ∂y_ij/∂x_ij = 1 / scale_j         dx_ij = dy_ij / scale_j

    The mean is subtracted before digits are lost.  Seconds since 1970 differ in digits that float32
    lacks, so that from x of float64, or of integers of more than 16 bits, the mean is subtracted in
    float64, if the library and the device of x have it.  And of a column whose deviation is less
    than a thousand roundings of its mean, one number of float32 is too coarse for the mean: it is
    then kept as the sum of two, mean + rest.

    Source: LeCun, Bottou, Orr & Müller (1998), *Efficient BackProp*, section 4.3.

    Parameters
    ----------
    columns : int
        Of x and of y.
    split_mean : bool, default False
        Whether there is a `rest`.  `fit` decides it with the constants; like these, it is not part
        of the comparison of two layers.
    """

    columns: Count
    split_mean: bool = field(default=False, compare=False)

    initial: ClassVar[Mapping[str, float]] = {"scale": 1.0}

    @property
    def formulas(self) -> Mapping[str, str]:
        mean = "mean - rest" if self.split_mean else "mean"
        return {"y": f"(x - {mean}) / scale", "dx": "dy / scale"}

    @property
    def buffers(self) -> Shapes:
        names = ("mean", "scale", "rest") if self.split_mean else ("mean", "scale")
        return dict.fromkeys(names, (self.columns,))

    def width(self, fan_in: int) -> int:
        return require_width(self, fan_in, self.columns)

    def centred(self, p: Arrays, x: Array) -> Array:
        """Return x - mean, in the type of the constants."""
        xp, mean = namespace(x), p["mean"]
        x = xp.astype(x, subtraction_type(x, mean.dtype), copy=False) - mean
        if self.split_mean:
            x = x - p["rest"]
        return xp.astype(x, mean.dtype, copy=False)

    def forward(self, p: Arrays, x: Array) -> tuple[Array, None]:
        return self.centred(p, x) / p["scale"], None

    def backward(self, p: Arrays, cache: None, dy: Array) -> tuple[Array, Arrays]:
        return dy / p["scale"], {}


@dataclass(frozen=True)
class Rescale(Layer):
    """The last layer of a regression: y_ij = mean_j + scale_j x_ij.

    The constants are buffers: the mean and the standard deviation of each column of the targets
    over the training samples, or for robust losses median and quartiles (`data.statistics`);
    before, mean 0 and scale 1 make it the identity.  So the layers before it compute in units of
    standard deviations, whatever those of the targets.

        ∂y_ij/∂x_ij = scale_j         dx_ij = dy_ij scale_j

    `fit` leaves this layer out and standardises the targets instead, t' = (t - mean) / scale: the
    same model, and one learning rate suits targets of any unit.

    Source: LeCun, Bottou, Orr & Müller (1998), *Efficient BackProp*, section 4.3, applied to the
    other end.

    Parameters
    ----------
    columns : int
        Of x and of y.
    """

    columns: Count

    initial: ClassVar[Mapping[str, float]] = {"scale": 1.0}
    formulas: ClassVar[Mapping[str, str]] = {"y": "mean + scale x", "dx": "dy scale"}

    @property
    def buffers(self) -> Shapes:
        return {"mean": (self.columns,), "scale": (self.columns,)}

    def width(self, fan_in: int) -> int:
        return require_width(self, fan_in, self.columns)

    def forward(self, p: Arrays, x: Array) -> tuple[Array, None]:
        return p["mean"] + p["scale"] * x, None

    def backward(self, p: Arrays, cache: None, dy: Array) -> tuple[Array, Arrays]:
        return dy * p["scale"], {}


@dataclass(frozen=True)
class Noise(Layer):
    """While training, noise is added to each unit: y_ij = x_ij + s ε_ij, ε standard normal.

    ε does not depend on x, so ∂y_ij/∂x_ij = 1 and dx = dy.  When predicting, y = x.  On the inputs
    of a network it acts as a penalty on how steep its outputs are.

    Source: Bishop (1995), *Training with noise is equivalent to Tikhonov regularization*.

    Parameters
    ----------
    deviation : float
        s, 0 or more; behind `Standardize` in units of the inputs' standard deviation.

    Raises
    ------
    UsageError
        `deviation` is out of its bounds.
    """

    deviation: NotNegative

    draws: ClassVar[bool] = True
    formulas: ClassVar[Mapping[str, str]] = {"y": "x + s ε", "dx": "dy"}

    def forward(self, p: Arrays, x: Array) -> tuple[Array, None]:
        n, width = x.shape
        return x + self.deviation * normal_units(p["key"], n, width, x.dtype), None

    def backward(self, p: Arrays, cache: None, dy: Array) -> tuple[Array, Arrays]:
        return dy, {}

    def infer(self, p: Arrays, x: Array) -> Array:
        return x
