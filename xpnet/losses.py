"""Losses: the mean error L of logits z against targets t, and ∂L/∂z.

Every loss takes logits, the outputs of the last layer; `probabilities` maps them to what they
stand for.  z is (n, m).  t is either integer labels (n,), each a column of z, or an array of
z's shape; with m = 1 also (n,).  w (n,) weighs the samples; None is the same as all ones.  The
mean is over n, so weights should have a mean of one (`fit` sees to that).
"""

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
    """A mean error of logits; `output` names the map from logits to probabilities."""

    output: ClassVar[str]

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

    Since  log p_ic = z_ic - log Σ_k e^z_ik,

        ∂ log p_ic / ∂z_ij = δ_cj - p_ij
        ∂L/∂z_ij = -(w_i/n) Σ_c t_ic (δ_cj - p_ij) = (w_i/n) (p_ij - t_ij)

    Label smoothing replaces t by (1 - ε) t + ε / m, whose rows sum to one as well (Szegedy et al.
    (2016), *Rethinking the Inception architecture*, section 7).

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
        return namespace(z).exp(log_softmax(z))


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """L = -(1/nm) Σ_ij w_i (t_ij log p_ij + (1 - t_ij) log(1 - p_ij)),   p = σ(z);  in nats.

    With s = log(1 + e^z) = max(z, 0) + log(1 + e^-|z|):  log p = z - s  and  log(1 - p) = -s, so

        L = (1/nm) Σ_ij w_i (s_ij - t_ij z_ij)
        ∂s/∂z = e^z / (1 + e^z) = σ(z),   so   ∂L/∂z_ij = (w_i/nm) (p_ij - t_ij)
    """

    output: ClassVar[str] = "sigmoid"

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
    """L = (1/nm) Σ_ij w_i (z_ij - t_ij)²;   ∂L/∂z_ij = (2 w_i / nm) (z_ij - t_ij)."""

    output: ClassVar[str] = "identity"

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
    "softmax": SoftmaxCrossEntropy,
    "sigmoid": BinaryCrossEntropy,
    "identity": SquaredError,
}
"""The loss that fits each kind of output."""
