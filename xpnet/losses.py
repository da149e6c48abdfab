"""Losses: the mean error L of logits z against targets t, and ∂L/∂z.

Every loss takes logits, the outputs of the last layer; `probabilities` maps them to what they
stand for.  z is (n, m).  t is either integer labels (n,), each a column of z, or an array of
z's shape; with m = 1 also (n,).  w (n,) weighs the samples; None is the same as all ones.  The
mean is over n, so weights should have a mean of one (`fit` sees to that).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xpnet.activations import sigmoid
from xpnet.device import namespace
from xpnet.errors import UsageError
from xpnet.layers import Array, one_hot


def log_softmax(z: Array) -> Array:
    """log softmax(z)_ic = z_ic - log Σ_k e^z_ik, shifted by the row's maximum.

    The shift cancels, and keeps every exponent at or below 0: nothing overflows.
    """
    xp = namespace(z)
    z = z - xp.max(z, axis=1, keepdims=True)
    return z - xp.log(xp.sum(xp.exp(z), axis=1, keepdims=True))


def softmax(z: Array) -> Array:
    """p_ic = e^z_ic / Σ_k e^z_ik, each row a distribution over the columns."""
    return namespace(z).exp(log_softmax(z))


def dense_targets(t: Array, z: Array) -> Array:
    """t in the shape and type of z (n, m): labels become one-hot rows.

    Raises
    ------
    UsageError
        t is neither (n,) nor of z's shape.
    """
    xp = namespace(z)
    if len(t.shape) == 1:
        t = one_hot(t, z.shape[1]) if z.shape[1] > 1 else _column(t)
    if tuple(t.shape) != tuple(z.shape):
        raise UsageError(f"targets of shape {tuple(t.shape)} for logits of {tuple(z.shape)}")
    return xp.astype(t, z.dtype)


def _column(w: Array) -> Array:
    return namespace(w).reshape(w, (-1, 1))


@dataclass(frozen=True)
class Loss:
    """A mean error of logits; `output` names the map from logits to probabilities.

    Attributes
    ----------
    output : str
        "softmax", "sigmoid" or "identity".
    formulas : mapping of str to str
        p, L and dz = ∂L/∂z in a line each, without weights of samples: what `xpnet explain` shows.
    """

    output: ClassVar[str]
    formulas: ClassVar[Mapping[str, str]]

    def forward(self, z: Array, t: Array, w: Array | None = None) -> tuple[Array, Any]:
        """L, a 0-d array, and the cache for `backward`."""
        raise NotImplementedError

    def backward(self, cache: Any) -> Array:
        """∂L/∂z (n, m)."""
        raise NotImplementedError

    def probabilities(self, z: Array) -> Array:
        """What the logits stand for."""
        raise NotImplementedError


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Loss):
    """L = -(1/n) Σ_i w_i Σ_c t_ic log p_ic,   p = softmax(z),  Σ_c t_ic = 1;  in nats.

    p_ic = e^z_ic / Σ_k e^z_ik  depends on every logit of its row, and on no other row.  Its
    logarithm is the simpler way to the derivative (δ_cj is 1 where c = j, else 0):

        log p_ic           = z_ic - log Σ_k e^z_ik
        ∂ log p_ic / ∂z_ij = δ_cj - e^z_ij / Σ_k e^z_ik = δ_cj - p_ij

        ∂L/∂z_ij = -(w_i/n) Σ_c t_ic ∂ log p_ic / ∂z_ij
                 = -(w_i/n) Σ_c t_ic (δ_cj - p_ij)
                 = -(w_i/n) (t_ij - p_ij Σ_c t_ic)
                 = (w_i/n) (p_ij - t_ij)                       as Σ_c t_ic = 1

    The way through p gives the same, if it takes the whole Jacobian of softmax, every c for each j:

        ∂L/∂p_ic    = -(w_i/n) t_ic / p_ic
        ∂p_ic/∂z_ij = p_ic ∂ log p_ic / ∂z_ij = p_ic (δ_cj - p_ij)
        ∂L/∂z_ij    = Σ_c ∂L/∂p_ic ∂p_ic/∂z_ij = -(w_i/n) Σ_c t_ic (δ_cj - p_ij)

    Label smoothing replaces t by (1 - ε) t + ε / m, whose rows sum to one as well.

    Sources: Bridle (1990), *Training stochastic model recognition algorithms as networks can lead
    to maximum mutual information estimation of parameters*; Bishop (2006), *Pattern recognition
    and machine learning*, equations 4.104 to 4.109; for the smoothing Szegedy et al. (2016),
    *Rethinking the Inception architecture*, section 7.

    Parameters
    ----------
    smoothing : float, default 0.0
        ε, at least 0 and below 1.

    Raises
    ------
    UsageError
        `smoothing` is outside.
    """

    smoothing: float = 0.0

    output: ClassVar[str] = "softmax"
    formulas: ClassVar[Mapping[str, str]] = {
        "p": "softmax(z)",
        "L": "-(1/n) Σ_ic t_ic log p_ic",
        "dz": "(p - t) / n",
    }

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise UsageError(
                f"label smoothing {self.smoothing} is outside; expected 0 <= smoothing < 1"
            )

    def forward(self, z: Array, t: Array, w: Array | None = None) -> tuple[Array, Any]:
        n, m = z.shape
        t = dense_targets(t, z)
        if self.smoothing:
            t = (1 - self.smoothing) * t + self.smoothing / m
        log_p = log_softmax(z)
        terms = t * log_p if w is None else _column(w) * (t * log_p)
        return -namespace(z).sum(terms) / n, (log_p, t, w)

    def backward(self, cache: Any) -> Array:
        log_p, t, w = cache
        dz = (namespace(t).exp(log_p) - t) / t.shape[0]
        return dz if w is None else dz * _column(w)

    def probabilities(self, z: Array) -> Array:
        return softmax(z)


@dataclass(frozen=True)
class SoftmaxSquaredError(Loss):
    """L = (1/n) Σ_i w_i Σ_c (p_ic - t_ic)²,   p = softmax(z).

    Logit z_ij moves every p_ic of its row, so that all of them lead from z_ij to L (for the
    Jacobian of softmax see `SoftmaxCrossEntropy`; δ_cj is 1 where c = j, else 0):

        e_ic        = ∂L/∂p_ic = (2 w_i / n) (p_ic - t_ic)
        ∂p_ic/∂z_ij = p_ic (δ_cj - p_ij)

        ∂L/∂z_ij = Σ_c e_ic p_ic (δ_cj - p_ij)
                 = e_ij p_ij - p_ij Σ_c e_ic p_ic
                 = p_ij (e_ij - Σ_c e_ic p_ic)

    Taking the diagonal of the Jacobian alone, c = j, gives e_ij p_ij (1 - p_ij): the derivative of
    (σ(z) - t)², and of no loss of a softmax (`scripts/notebook.py` shows what it costs).

    Where a sample is wrong and sure of it, p is close to 0 and 1, and so dz is close to 0: it
    learns slowly from its worst mistakes.  The cross-entropy has no such factor p.

    Sources: Brier (1950), *Verification of forecasts expressed in terms of probability*, for the
    score; Bishop (2006), equation 4.106, for the Jacobian.
    """

    output: ClassVar[str] = "softmax"
    formulas: ClassVar[Mapping[str, str]] = {
        "p": "softmax(z)",
        "L": "(1/n) Σ_ic (p_ic - t_ic)²",
        "dz": "p ∘ (e - Σ_c e_c p_c),  e = 2 (p - t) / n",
    }

    def forward(self, z: Array, t: Array, w: Array | None = None) -> tuple[Array, Any]:
        t = dense_targets(t, z)
        p = softmax(z)
        d = p - t
        terms = d * d if w is None else _column(w) * (d * d)
        return namespace(z).sum(terms) / z.shape[0], (p, d, w)

    def backward(self, cache: Any) -> Array:
        p, d, w = cache
        e = d * (2 / d.shape[0])
        dz = p * (e - namespace(p).sum(e * p, axis=1, keepdims=True))
        return dz if w is None else dz * _column(w)

    def probabilities(self, z: Array) -> Array:
        return softmax(z)


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """L = -(1/nm) Σ_ij w_i (t_ij log p_ij + (1 - t_ij) log(1 - p_ij)),   p = σ(z);  in nats.

    Each output is a yes or no of its own.  By hand, through p (for dp/dz see
    `activations.Sigmoid`), with l the error of one output:

        l     = -t log p - (1 - t) log(1 - p)
        dl/dp = -t / p + (1 - t) / (1 - p) = (p - t) / (p (1 - p))
        dp/dz = p (1 - p)
        dl/dz = dl/dp dp/dz = p - t

        ∂L/∂z_ij = (w_i/nm) (p_ij - t_ij)

    l itself is computed without p, which may round to 0 or 1.  With
    s = log(1 + e^z) = max(z, 0) + log(1 + e^-|z|):

        log p = log(e^z / (1 + e^z)) = z - s,   log(1 - p) = log(1 / (1 + e^z)) = -s
        l     = -t (z - s) + (1 - t) s = s - t z

    Source: Bishop (2006), *Pattern recognition and machine learning*, equations 4.88 to 4.91.
    """

    output: ClassVar[str] = "sigmoid"
    formulas: ClassVar[Mapping[str, str]] = {
        "p": "σ(z)",
        "L": "-(1/nm) Σ_ij (t_ij log p_ij + (1 - t_ij) log(1 - p_ij))",
        "dz": "(p - t) / nm",
    }

    def forward(self, z: Array, t: Array, w: Array | None = None) -> tuple[Array, Any]:
        xp = namespace(z)
        t = dense_targets(t, z)
        s = xp.maximum(z, xp.zeros_like(z)) + xp.log1p(xp.exp(-xp.abs(z)))
        terms = s - t * z if w is None else _column(w) * (s - t * z)
        return xp.mean(terms), (z, t, w)

    def backward(self, cache: Any) -> Array:
        z, t, w = cache
        dz = (sigmoid(z) - t) / (t.shape[0] * t.shape[1])
        return dz if w is None else dz * _column(w)

    def probabilities(self, z: Array) -> Array:
        return sigmoid(z)


@dataclass(frozen=True)
class SquaredError(Loss):
    """L = (1/nm) Σ_ij w_i (z_ij - t_ij)².

    With d = z - t, of which ∂d_ij/∂z_ij = 1:

        ∂L/∂z_ij = (w_i/nm) ∂(d_ij²)/∂d_ij ∂d_ij/∂z_ij = (2 w_i / nm) d_ij

    Source: Rumelhart, Hinton & Williams (1986), *Learning representations by back-propagating
    errors*, equations 3 and 4, which have the sum halved in place of the mean.
    """

    output: ClassVar[str] = "identity"
    formulas: ClassVar[Mapping[str, str]] = {
        "p": "z",
        "L": "(1/nm) Σ_ij (z_ij - t_ij)²",
        "dz": "2 (z - t) / nm",
    }

    def forward(self, z: Array, t: Array, w: Array | None = None) -> tuple[Array, Any]:
        d = z - dense_targets(t, z)
        terms = d * d if w is None else _column(w) * (d * d)
        return namespace(z).mean(terms), (d, w)

    def backward(self, cache: Any) -> Array:
        d, w = cache
        dz = d * (2 / (d.shape[0] * d.shape[1]))
        return dz if w is None else dz * _column(w)

    def probabilities(self, z: Array) -> Array:
        return z


LOSSES: dict[str, type[Loss]] = {
    "softmax-cross-entropy": SoftmaxCrossEntropy,
    "softmax-squared-error": SoftmaxSquaredError,
    "binary-cross-entropy": BinaryCrossEntropy,
    "squared-error": SquaredError,
}
"""Every loss by name."""
OUTPUTS: dict[str, type[Loss]] = {
    "softmax": SoftmaxCrossEntropy,
    "sigmoid": BinaryCrossEntropy,
    "identity": SquaredError,
}
"""The loss that fits each kind of output."""
