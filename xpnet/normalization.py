"""Normalization: layers that give their inputs mean 0 and variance 1, and then learn both anew."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xpnet.arrays import Array, Arrays, namespace
from xpnet.bounds import Count, Positive, Share
from xpnet.layers import Layer, Shapes, require_width


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Normalise each column over the batch, then scale and shift: y = γ h + β, h = (x - μ) r.

    μ = mean_i x_i,  r = (var_i x_i + ε)^(-1/2),  var the mean squared deviation (1/n).

    Write g = dy γ = ∂L/∂h.  By columns: x_i reaches L through its own h_i, and through μ and r
    through every h_k.  With δ_ik = 1 where i = k, else 0, and Σ_k (x_k - μ) = 0:

        ∂μ/∂x_i   = 1/n
        ∂var/∂x_i = (2/n) (x_i - μ)
        ∂r/∂x_i   = -½ r³ ∂var/∂x_i = -(1/n) r³ (x_i - μ) = -(1/n) r² h_i
        ∂h_k/∂x_i = r (δ_ik - 1/n) + (x_k - μ) ∂r/∂x_i
                  = r (δ_ik - 1/n - h_k h_i / n)

        dx_i = Σ_k g_k ∂h_k/∂x_i = r (g_i - mean_k g_k - h_i mean_k(g_k h_k))
        dγ   = Σ_i dy_i h_i          dβ = Σ_i dy_i

    When predicting, μ and var are running means over the steps, `mean` and `var`; each step they
    move by `rate` towards the batch's (var there with 1/(n - 1), as the paper has it).  A batch of
    one sample has no variance: its y is β, dx and dγ are 0, and the running means stay.

    A bias in front would be subtracted again with μ.  Its gradient, 0, would come out as rounding
    noise, and Adam divides by the size of it: leave the bias out (`Dense(bias=False)`).

    Source: Ioffe & Szegedy (2015), *Batch normalization*, section 3 and algorithm 2, with the
    three ways from x to L summed.  torch's BatchNorm1d is the same, but refuses a batch of one.

    Parameters
    ----------
    columns : int
        Of x and of y.
    eps : float, default 1e-5
        ε, above 0.
    rate : float, default 0.1
        Of the running means; above 0, at most 1.

    Raises
    ------
    UsageError
        A number is out of its bounds.
    """

    columns: Count
    eps: Positive = 1e-5
    rate: Share = 0.1

    initial: ClassVar[Mapping[str, float]] = {"gamma": 1.0, "var": 1.0}
    formulas: ClassVar[Mapping[str, str]] = {
        "y": "γ h + β,  h = (x - mean_i x_i) r,  r = (var_i x_i + ε)^(-1/2)",
        "dx": "r (g - mean_i g_i - h mean_i(g_i h_i)),  g = dy γ",
        "dgamma": "Σ_i dy_i h_i",
        "dbeta": "Σ_i dy_i",
        "mean": "mean + rate (mean_i x_i - mean)",
        "var": "var + rate (n/(n - 1) var_i x_i - var)",
    }

    @property
    def shapes(self) -> Shapes:
        return {"gamma": (self.columns,), "beta": (self.columns,)}

    @property
    def buffers(self) -> Shapes:
        return {"mean": (self.columns,), "var": (self.columns,)}

    def width(self, fan_in: int) -> int:
        return require_width(self, fan_in, self.columns)

    def forward(self, p: Arrays, x: Array) -> tuple[Array, Any]:
        xp = namespace(x)
        mean = xp.mean(x, axis=0)
        d = x - mean
        var = xp.mean(d * d, axis=0)
        r = 1 / xp.sqrt(var + self.eps)
        h = d * r
        return h * p["gamma"] + p["beta"], (h, r, mean, var)

    def backward(self, p: Arrays, cache: Any, dy: Array) -> tuple[Array, Arrays]:
        h, r, _, _ = cache
        xp = namespace(dy)
        g = dy * p["gamma"]
        dx = r * (g - xp.mean(g, axis=0) - h * xp.mean(g * h, axis=0))
        return dx, {"gamma": xp.sum(dy * h, axis=0), "beta": xp.sum(dy, axis=0)}

    def refresh(self, p: Arrays, cache: Any) -> Arrays:
        h, _, mean, var = cache
        n = h.shape[0]
        if n == 1:
            return super().refresh(p, cache)
        batch = {"mean": mean, "var": var * (n / (n - 1))}
        return {name: p[name] + self.rate * (a - p[name]) for name, a in batch.items()}

    def infer(self, p: Arrays, x: Array) -> Array:
        r = 1 / namespace(x).sqrt(p["var"] + self.eps)
        return (x - p["mean"]) * (r * p["gamma"]) + p["beta"]


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Normalise each row over its columns, then scale and shift: y = γ h + β, h = (x - μ) r.

    μ = mean_j x_j,  r = (var_j x_j + ε)^(-1/2),  both of one sample: batches play no part, and
    predicting is the same.  Write g = dy γ = ∂L/∂h; along a row it is what `BatchNorm` is along a
    column:

        dx_j = r (g_j - mean_k g_k - h_j mean_k(g_k h_k))
        dγ_j = Σ_i dy_ij h_ij        dβ_j = Σ_i dy_ij

    Source: Ba, Kiros & Hinton (2016), *Layer normalization*, equation 3.

    Parameters
    ----------
    columns : int
        Of x and of y.
    eps : float, default 1e-5
        ε, above 0.

    Raises
    ------
    UsageError
        A number is out of its bounds.
    """

    columns: Count
    eps: Positive = 1e-5

    initial: ClassVar[Mapping[str, float]] = {"gamma": 1.0}
    formulas: ClassVar[Mapping[str, str]] = {
        "y": "γ h + β,  h = (x - mean_j x_j) r,  r = (var_j x_j + ε)^(-1/2)",
        "dx": "r (g - mean_j g_j - h mean_j(g_j h_j)),  g = dy γ",
        "dgamma": "Σ_i dy_i h_i",
        "dbeta": "Σ_i dy_i",
    }

    @property
    def shapes(self) -> Shapes:
        return {"gamma": (self.columns,), "beta": (self.columns,)}

    def width(self, fan_in: int) -> int:
        return require_width(self, fan_in, self.columns)

    def forward(self, p: Arrays, x: Array) -> tuple[Array, Any]:
        xp = namespace(x)
        d = x - xp.mean(x, axis=1, keepdims=True)
        r = 1 / xp.sqrt(xp.mean(d * d, axis=1, keepdims=True) + self.eps)
        h = d * r
        return h * p["gamma"] + p["beta"], (h, r)

    def backward(self, p: Arrays, cache: Any, dy: Array) -> tuple[Array, Arrays]:
        h, r = cache
        xp = namespace(dy)
        g = dy * p["gamma"]
        mean_g, mean_gh = (xp.mean(a, axis=1, keepdims=True) for a in (g, g * h))
        dx = r * (g - mean_g - h * mean_gh)
        return dx, {"gamma": xp.sum(dy * h, axis=0), "beta": xp.sum(dy, axis=0)}
