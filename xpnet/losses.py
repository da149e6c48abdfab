"""Losses: the mean error L of logits z against targets t, and ∂L/∂z.

Every loss takes logits, the outputs of the last layer; `probabilities` maps them to what they
stand for.  z is (n, m).  t is either integer labels (n,), each a column of z, or an array of
z's shape; with m = 1, and for `Pinball`, also (n,).  w (n,) weighs the samples; None is the same
as all ones.  The mean is over n, so weights should have a mean of one (`fit` sees to that).

A comment marks the end of the first reading.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from xpnet.arrays import Array, namespace
from xpnet.bounds import Fraction, Interval, NotNegative, Positive
from xpnet.checks import Settings, instance
from xpnet.errors import UsageError
from xpnet.registry import LOSSES
from xpnet.special import one_hot, sigmoid, softplus, within


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


@dataclass(frozen=True)
class Loss(Settings):
    """A mean error of logits; `output` names the map from logits to probabilities.

    Attributes
    ----------
    output : str
        One of PROBABILITIES.
    formulas : mapping of str to str
        p, L and dz = ∂L/∂z in a line each, without weights of samples: what `xpnet explain` shows.
    spreads : bool
        Whether one target per sample serves every output.
    robust : bool
        Whether a few targets far away change little: then targets are scaled by their median and
        quartiles, which they do not change either (`data.statistics`).
    """

    output: ClassVar[str]
    formulas: ClassVar[Mapping[str, str]] = {}
    spreads: ClassVar[bool] = False
    robust: ClassVar[bool] = False

    @abstractmethod
    def forward(self, z: Array, t: Array, w: Array | None = None) -> tuple[Array, Any]:
        """Return L, a 0-d array, and the cache for `backward`."""

    @abstractmethod
    def backward(self, cache: Any) -> Array:
        """Return ∂L/∂z (n, m)."""

    def probabilities(self, z: Array) -> Array:
        """What the logits stand for."""
        return PROBABILITIES[self.output](z)

    @property
    def measure(self) -> "Loss":
        """The loss to validate with: without what only helps to train, such as smoothed labels."""
        return self

    def kinks(self, z: Array, t: Array) -> Array | None:
        """Numbers that are 0 where L has no derivative, or none of second order (`gradcheck`)."""
        return None


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
        `smoothing` is out of its bounds.
    """

    smoothing: Fraction = 0.0

    output: ClassVar[str] = "softmax"
    formulas: ClassVar[Mapping[str, str]] = {
        "p": "softmax(z)",
        "L": "-(1/n) Σ_ic t_ic log p_ic",
        "dz": "(p - t) / n",
    }

    @property
    def measure(self) -> Loss:
        return SoftmaxCrossEntropy()

    def forward(self, z: Array, t: Array, w: Array | None = None) -> tuple[Array, Any]:
        t = dense_targets(t, z)
        if self.smoothing:
            t = (1 - self.smoothing) * t + self.smoothing / z.shape[1]
        log_p = log_softmax(z)
        return -_row_mean(t * log_p, w), (log_p, t, w)

    def backward(self, cache: Any) -> Array:
        log_p, t, w = cache
        return _weighted((namespace(t).exp(log_p) - t) / t.shape[0], w)


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
        return _mean(d * d, w), (d, w)

    def backward(self, cache: Any) -> Array:
        d, w = cache
        return _weighted(d * (2 / _size(d)), w)


def dense_targets(t: Array, z: Array) -> Array:
    """t in the shape and type of z (n, m): labels become one-hot rows.

    Raises
    ------
    UsageError
        t is neither (n,) nor of z's shape, or is (n,) and not integer where m > 1.
    """
    xp = namespace(z)
    if len(t.shape) == 1:
        if z.shape[1] > 1 and namespace(t).isdtype(t.dtype, "real floating"):
            raise UsageError(f"labels of type {t.dtype}; expected integers, each a column of z")
        t = one_hot(t, z.shape[1]) if z.shape[1] > 1 else _column(t)
    if tuple(t.shape) != tuple(z.shape):
        raise UsageError(f"targets of shape {tuple(t.shape)} for logits of {tuple(z.shape)}")
    return xp.astype(t, z.dtype, copy=False)


def _column(w: Array) -> Array:
    return namespace(w).reshape(w, (-1, 1))


def _weighted(terms: Array, w: Array | None) -> Array:
    if w is None:
        return terms
    return terms * namespace(terms).astype(_column(w), terms.dtype, copy=False)


def _mean(terms: Array, w: Array | None) -> Array:
    """(1/nm) Σ_ij w_i terms_ij."""
    return namespace(terms).mean(_weighted(terms, w))


def _row_mean(terms: Array, w: Array | None) -> Array:
    """(1/n) Σ_i w_i Σ_j terms_ij."""
    return namespace(terms).sum(_weighted(terms, w)) / terms.shape[0]


def _size(z: Array) -> int:
    return int(z.shape[0] * z.shape[1])


# The first reading ends here.


CLASSES, VALUES = ("softmax", "sigmoid"), ("identity", "exp")  # outputs of either kind
PROBABILITIES: dict[str, Callable[[Array], Array]] = {
    "softmax": softmax,
    "sigmoid": sigmoid,
    "identity": lambda z: z,
    "exp": lambda z: namespace(z).exp(z),
}
"""What logits stand for, by the name of the output."""


def _indicator(condition: Array, like: Array) -> Array:
    """[condition]: 1 where it is true, else 0, in the type of `like`."""
    return namespace(like).astype(condition, like.dtype)


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
        return _row_mean(d * d, w), (p, d, w)

    def backward(self, cache: Any) -> Array:
        p, d, w = cache
        e = d * (2 / d.shape[0])
        return _weighted(p * (e - namespace(p).sum(e * p, axis=1, keepdims=True)), w)


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
        t = dense_targets(t, z)
        terms = softplus(z) - t * z
        return _mean(terms, w), (z, t, w)

    def backward(self, cache: Any) -> Array:
        z, t, w = cache
        return _weighted((sigmoid(z) - t) / _size(t), w)


@dataclass(frozen=True)
class AbsoluteError(Loss):
    """L = (1/nm) Σ_ij w_i |z_ij - t_ij|: its minimum is the median, not the mean.

    With d = z - t, of which ∂d/∂z = 1, and d|d|/dd = sign d, 0 being taken at the kink d = 0:

        ∂L/∂z_ij = (w_i/nm) sign d_ij

    Source: Bishop (2006), *Pattern recognition and machine learning*, section 1.5.5, with q = 1;
    torch's L1Loss.
    """

    output: ClassVar[str] = "identity"
    robust: ClassVar[bool] = True
    formulas: ClassVar[Mapping[str, str]] = {
        "p": "z",
        "L": "(1/nm) Σ_ij |z_ij - t_ij|",
        "dz": "sign(z - t) / nm",
    }

    def forward(self, z: Array, t: Array, w: Array | None = None) -> tuple[Array, Any]:
        d = z - dense_targets(t, z)
        return _mean(namespace(d).abs(d), w), (d, w)

    def backward(self, cache: Any) -> Array:
        d, w = cache
        return _weighted(namespace(d).sign(d) / _size(d), w)

    def kinks(self, z: Array, t: Array) -> Array:
        return z - dense_targets(t, z)


@dataclass(frozen=True)
class Huber(Loss):
    """Squared error near 0 and absolute error far from it, so that outliers pull less.

    L = (1/nm) Σ_ij w_i h(z_ij - t_ij),   h(d) = ½ d² where |d| <= δ, else δ (|d| - ½ δ).

    dh/dd is d near 0 and δ sign d far from it; both are min(max(d, -δ), δ) = c, and

        h = c (d - ½ c)        for c = d it is ½ d², for c = ±δ it is δ (|d| - ½ δ)

        ∂L/∂z_ij = (w_i/nm) c_ij

    Source: Huber (1964), *Robust estimation of a location parameter*, section 4; torch's HuberLoss.

    Parameters
    ----------
    delta : float, default 1.0
        δ, above 0; where `fit` scales the targets, in units of that scale
        (`statistics.robust_standardization`).

    Raises
    ------
    UsageError
        `delta` is out of its bounds.
    """

    delta: Positive = 1.0

    output: ClassVar[str] = "identity"
    robust: ClassVar[bool] = True
    formulas: ClassVar[Mapping[str, str]] = {
        "p": "z",
        "L": "(1/nm) Σ_ij c (d - ½ c),  d = z - t,  c = min(max(d, -δ), δ)",
        "dz": "c / nm",
    }

    def forward(self, z: Array, t: Array, w: Array | None = None) -> tuple[Array, Any]:
        d = z - dense_targets(t, z)
        c = within(d, self.delta)
        return _mean(c * (d - 0.5 * c), w), (c, w)

    def backward(self, cache: Any) -> Array:
        c, w = cache
        return _weighted(c / _size(c), w)

    def kinks(self, z: Array, t: Array) -> Array:
        return namespace(z).abs(z - dense_targets(t, z)) - self.delta


@dataclass(frozen=True)
class Pinball(Loss):
    """L = (1/nm) Σ_ij w_i l_ij, whose minimum is the quantile q_j of the targets, given x.

    With d = t - z, of which ∂d/∂z = -1, a target above is q/(1 - q) times as dear as one below:

        l     = q d where d > 0, else (q - 1) d
        dl/dz = -q  where d > 0,  1 - q where d < 0;  at the kink 0 is taken

        ∂L/∂z_ij = (w_i/nm) ([d_ij < 0] (1 - q_j) - [d_ij > 0] q_j)

    Where a sample has one target, t (n,) or (n, 1), every output is compared with it: a quantile
    each.  Outputs are fitted one by one, so that close quantiles may cross.

    Source: Koenker & Bassett (1978), *Regression quantiles*, equation 3.2;
    scikit-learn's mean_pinball_loss.

    Parameters
    ----------
    quantiles : float or sequence of float, default (0.5,)
        q, each above 0 and below 1: one for every output, or one each.

    Raises
    ------
    UsageError
        A quantile is out of its bounds, or their number is not that of the outputs.
    """

    quantiles: Annotated[tuple[float, ...], Interval("(0, 1)")] = (0.5,)

    output: ClassVar[str] = "identity"
    spreads: ClassVar[bool] = True
    robust: ClassVar[bool] = True
    formulas: ClassVar[Mapping[str, str]] = {
        "p": "z",
        "L": "(1/nm) Σ_ij (q [d > 0] + (q - 1) [d <= 0]) d,  d = t - z",
        "dz": "([d < 0] (1 - q) - [d > 0] q) / nm",
    }

    def forward(self, z: Array, t: Array, w: Array | None = None) -> tuple[Array, Any]:
        d = self._targets(t, z) - z
        above, below = _indicator(d > 0, z), _indicator(d < 0, z)
        slope = below * self._columns(z, 1) - above * self._columns(z, 0)
        return _mean(-slope * d, w), (slope, w)

    def backward(self, cache: Any) -> Array:
        slope, w = cache
        return _weighted(slope / _size(slope), w)

    def kinks(self, z: Array, t: Array) -> Array:
        return z - self._targets(t, z)

    def _targets(self, t: Array, z: Array) -> Array:
        t = _column(t) if len(t.shape) == 1 else t
        return dense_targets(namespace(t).broadcast_to(t, z.shape) if t.shape[1] == 1 else t, z)

    def _columns(self, z: Array, side: int) -> Array:
        """q (side 0) or 1 - q (side 1) of each output, (1, m)."""
        m = z.shape[1]
        if len(self.quantiles) not in (1, m):
            raise UsageError(f"{len(self.quantiles)} quantiles for {m} outputs; expected one each")
        xp = namespace(z)
        values = [1 - q if side else q for q in self.quantiles]
        columns = [xp.full_like(z[:1, :1], value) for value in values]
        return columns[0] if len(columns) == 1 else xp.concat(columns, axis=1)


@dataclass(frozen=True)
class Poisson(Loss):
    """L = (1/nm) Σ_ij w_i (e^z_ij - t_ij z_ij), for counts t whose expected number is p = e^z.

    The probability of t is e^-p p^t / t!; minus its logarithm is p - t log p + log t!, of which the
    last does not depend on z and is left out.  With p = e^z and log p = z:

        ∂L/∂z_ij = (w_i/nm) (e^z_ij - t_ij) = (w_i/nm) (p_ij - t_ij)

    Source: McCullagh & Nelder (1989), *Generalized linear models*, section 6.2; torch's
    PoissonNLLLoss.
    """

    output: ClassVar[str] = "exp"
    formulas: ClassVar[Mapping[str, str]] = {
        "p": "e^z",
        "L": "(1/nm) Σ_ij (e^z_ij - t_ij z_ij)",
        "dz": "(p - t) / nm",
    }

    def forward(self, z: Array, t: Array, w: Array | None = None) -> tuple[Array, Any]:
        t, p = dense_targets(t, z), self.probabilities(z)
        return _mean(p - t * z, w), (p, t, w)

    def backward(self, cache: Any) -> Array:
        p, t, w = cache
        return _weighted((p - t) / _size(t), w)


@dataclass(frozen=True)
class Hinge(Loss):
    """L = (1/nm) Σ_i w_i Σ_c (1 - t_ic) max(0, 1 + z_ic - s_i),   s_i = Σ_k t_ik z_ik.

    s is the logit of the true class: every other has to be lower by 1.  With
    h_ic = (1 - t_ic) [1 + z_ic - s_i > 0], in which z_ij is once as z_ic, and in s_i:

        ∂(z_ic - s_i)/∂z_ij = δ_cj - t_ij

        ∂L/∂z_ij = (w_i/nm) Σ_c h_ic (δ_cj - t_ij) = (w_i/nm) (h_ij - t_ij Σ_c h_ic)

    The largest logit is the answer; the softmax of these logits is no calibrated probability.

    Source: Weston & Watkins (1999), *Support vector machines for multi-class pattern recognition*,
    section 3; torch's MultiMarginLoss.
    """

    output: ClassVar[str] = "softmax"
    formulas: ClassVar[Mapping[str, str]] = {
        "p": "softmax(z)",
        "L": "(1/nm) Σ_ic (1 - t_ic) max(0, 1 + z_ic - s_i),  s = Σ_k t_k z_k",
        "dz": "(h - t Σ_c h_c) / nm,  h = (1 - t) [1 + z - s > 0]",
    }

    def forward(self, z: Array, t: Array, w: Array | None = None) -> tuple[Array, Any]:
        t = dense_targets(t, z)
        excess = self.kinks(z, t)
        h = (1 - t) * _indicator(excess > 0, z)
        return _mean(h * excess, w), (h, t, w)

    def backward(self, cache: Any) -> Array:
        h, t, w = cache
        return _weighted((h - t * namespace(h).sum(h, axis=1, keepdims=True)) / _size(h), w)

    def kinks(self, z: Array, t: Array) -> Array:
        return 1 + z - namespace(z).sum(dense_targets(t, z) * z, axis=1, keepdims=True)


@dataclass(frozen=True)
class Focal(Loss):
    """L = -(1/n) Σ_i w_i Σ_c t_ic (1 - p_ic)^γ log p_ic,   p = softmax(z).

    The factor (1 - p)^γ fades out what is recognised already; γ = 0 is the cross-entropy.  With
    q = 1 - p, f = -q^γ log p and the Jacobian ∂p_c/∂z_j = p_c (δ_cj - p_j) of
    `SoftmaxCrossEntropy`:

        df/dp    = γ q^(γ-1) log p - q^γ / p
        a_c      = t_c p_c df_c/dp_c = t_c q_c^γ (γ p_c log p_c / q_c - 1)

        ∂L/∂z_ij = (w_i/n) Σ_c a_ic (δ_cj - p_ij) = (w_i/n) (a_ij - p_ij Σ_c a_ic)

    q is computed from log p without cancellation.

    Source: Lin, Goyal, Girshick, He & Dollár (2017), *Focal loss for dense object detection*,
    equation 4, for several classes.

    Parameters
    ----------
    gamma : float, default 2.0
        γ, 0 or more.

    Raises
    ------
    UsageError
        `gamma` is out of its bounds.
    """

    gamma: NotNegative = 2.0

    output: ClassVar[str] = "softmax"
    formulas: ClassVar[Mapping[str, str]] = {
        "p": "softmax(z)",
        "L": "-(1/n) Σ_ic t_ic (1 - p_ic)^γ log p_ic",
        "dz": "(a - p Σ_c a_c) / n,  a = t q^γ (γ p log p / q - 1),  q = 1 - p",
    }

    def forward(self, z: Array, t: Array, w: Array | None = None) -> tuple[Array, Any]:
        t, log_p = dense_targets(t, z), log_softmax(z)
        q = -namespace(z).expm1(log_p)
        return -_row_mean(t * q**self.gamma * log_p, w), (log_p, q, t, w)

    def backward(self, cache: Any) -> Array:
        log_p, q, t, w = cache
        xp = namespace(q)
        p = xp.exp(log_p)
        tiny = xp.full_like(q, float(xp.finfo(q.dtype).smallest_normal))
        a = t * q**self.gamma * (self.gamma * p * log_p / xp.maximum(q, tiny) - 1)
        return _weighted((a - p * xp.sum(a, axis=1, keepdims=True)) / t.shape[0], w)


@dataclass(frozen=True)
class BinaryFocal(Loss):
    """L = (1/nm) Σ_ij w_i (t_ij f(p_ij) + (1 - t_ij) f(q_ij)),   p = σ(z),  q = 1 - p = σ(-z).

    f(p) = -(1 - p)^γ log p, as in `Focal`; γ = 0 is the binary cross-entropy.  As dp/dz = p q
    (`activations.Sigmoid`) and dq/dz = -p q:

        df(p)/dz = (γ q^(γ-1) log p - q^γ / p) p q = q^γ (γ p log p - q)
        df(q)/dz = -p^γ (γ q log q - p)

        ∂L/∂z_ij = (w_i/nm) (t q^γ (γ p log p - q) - (1 - t) p^γ (γ q log q - p))

    log p and log q are computed as in `BinaryCrossEntropy`.

    Source: Lin, Goyal, Girshick, He & Dollár (2017), *Focal loss for dense object detection*,
    equation 4; torchvision's sigmoid_focal_loss without alpha.

    Parameters
    ----------
    gamma : float, default 2.0
        γ, 0 or more.

    Raises
    ------
    UsageError
        `gamma` is out of its bounds.
    """

    gamma: NotNegative = 2.0

    output: ClassVar[str] = "sigmoid"
    formulas: ClassVar[Mapping[str, str]] = {
        "p": "σ(z)",
        "L": "-(1/nm) Σ_ij (t q^γ log p + (1 - t) p^γ log q),  q = 1 - p",
        "dz": "(t q^γ (γ p log p - q) - (1 - t) p^γ (γ q log q - p)) / nm",
    }

    def forward(self, z: Array, t: Array, w: Array | None = None) -> tuple[Array, Any]:
        t, p, q = dense_targets(t, z), sigmoid(z), sigmoid(-z)
        log_p, log_q = -softplus(-z), -softplus(z)
        terms = t * q**self.gamma * log_p + (1 - t) * p**self.gamma * log_q
        return -_mean(terms, w), (p, q, log_p, log_q, t, w)

    def backward(self, cache: Any) -> Array:
        p, q, log_p, log_q, t, w = cache
        yes = q**self.gamma * (self.gamma * p * log_p - q)
        no = p**self.gamma * (self.gamma * q * log_q - p)
        return _weighted((t * yes - (1 - t) * no) / _size(t), w)


OUTPUTS: dict[str, type[Loss]] = {
    "softmax": SoftmaxCrossEntropy,
    "sigmoid": BinaryCrossEntropy,
    "identity": SquaredError,
    "exp": Poisson,
}
"""The loss that fits each kind of output."""


def loss_for(output: str, loss: str | Loss | None = None) -> Loss:
    """A loss for models of this output: by name, an instance, or the one in OUTPUTS.

    Raises
    ------
    UsageError
        There is no loss of that name, or it is for another output.
    """
    loss = OUTPUTS[output]() if loss is None else instance("loss", loss, LOSSES, Loss)
    if loss.output != output:
        fitting = ", ".join(name for name, kind in LOSSES.items() if kind.output == output)
        raise UsageError(
            f"loss {loss} is for output={loss.output!r} and the model has output={output!r}, whose "
            f"losses are {fitting}"
        )
    return loss


def name_of(loss: Loss) -> str:
    """Return the name of a loss in `registry.LOSSES`, or the repr of a loss of one's own."""
    return next((name for name, kind in LOSSES.items() if kind is type(loss)), repr(loss))
