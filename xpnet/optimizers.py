"""Optimizers on one flat vector: given θ and g = ∂L/∂θ, the next θ and state; averages of θ.

What changes from step to step and is the same for all of θ (learning
rate, bias corrections) is computed on the host in float64 by `scalars`, a row of a table that
goes to the device once per epoch; `update` is array code alone.  `decayed` is the length of the
first part of θ, to which weight decay applies (`Network.decayed_size`).

Weight decay λ is one of two things.  Either it is the gradient of (λ/2) Σ θ², added to g (L2); or,
`decoupled`, θ ← (1 - η λ) θ before the step, and g stays ∂L/∂θ.  For plain gradient descent both
are the same; where g is divided by its own size (Adam and the like), only the second pulls all
weights alike.

Source: Loshchilov & Hutter (2019), *Decoupled weight decay regularization*, algorithms 1 and 2,
with η λ for the product of schedule and decay, as in torch.

A comment marks the end of the first reading.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from math import sqrt
from typing import ClassVar

from xpnet.arrays import Array, namespace
from xpnet.bounds import Fraction, NotNegative, Positive, Share
from xpnet.checks import Settings, explained
from xpnet.errors import UsageError
from xpnet.network import Network

State = tuple[Array, ...]


@dataclass(frozen=True)
class Optimizer(Settings):
    """A rule for the next θ.

    Parameters
    ----------
    learning_rate : float, optional
        The peak of the learning rate, above 0; the schedule gives the factor at each step.  By
        default `standard_rate`, which `fit` adapts to the samples per step (`for_steps_of`).
    weight_decay : float, default 0.0
        λ, 0 or more; see the top of this module.
    decoupled : bool, default False
        Which of the two kinds of decay.

    Raises
    ------
    UsageError
        A number is out of its bounds.
    """

    learning_rate: Positive | None = None
    _: KW_ONLY
    weight_decay: NotNegative = 0.0
    decoupled: bool = False

    usual_rate: ClassVar[float] = 0.1

    @property
    def standard_rate(self) -> float:
        """The learning rate for steps of 128 samples or more, where none is given."""
        return self.usual_rate

    @property
    def rate(self) -> float:
        """The peak of the learning rate: the given one, or else `standard_rate`."""
        return self.standard_rate if self.learning_rate is None else self.learning_rate

    def init(self, theta: Array) -> State:
        """Return the state before the first step."""
        return ()

    @explained
    def scalars(self, factor: float, t: int) -> tuple[float, ...]:
        """The numbers that step t = 1, 2, ... needs, where the schedule gives `factor`."""
        if not self.decoupled:
            return self.rates(factor, t)
        return *self.rates(factor, t), 1 - self.rate * factor * self.weight_decay

    def rates(self, factor: float, t: int) -> tuple[float, ...]:
        """Those of `scalars` that the rule itself needs."""
        return (self.rate * factor,)

    @explained
    def update(
        self, theta: Array, g: Array, state: State, scalars: Array, decayed: int
    ) -> tuple[Array, State]:
        """The next θ and state; `scalars` is a 1-d array of what `scalars` gives."""
        if self.decoupled and self.weight_decay:
            kept = scalars[scalars.shape[0] - 1]
            theta = namespace(theta).concat([kept * theta[:decayed], theta[decayed:]])
        else:
            g = add_decay(g, theta, self.weight_decay, decayed)
        return self.descend(theta, g, state, scalars)

    @abstractmethod
    def descend(self, theta: Array, g: Array, state: State, scalars: Array) -> tuple[Array, State]:
        """Return the next θ and state, decay apart: the rule itself."""


def add_decay(g: Array, theta: Array, decay: float, decayed: int) -> Array:
    """The gradient of L + (decay/2) Σ θ_k² over the first `decayed` elements: g_k + decay θ_k."""
    if not decay:
        return g
    return namespace(g).concat([g[:decayed] + decay * theta[:decayed], g[decayed:]])


def clip_by_norm(g: Array, maximum: float) -> Array:
    """g, shortened to the length `maximum` if it is longer: g min(1, maximum / ‖g‖).

    Source: Pascanu, Mikolov & Bengio (2013), *On the difficulty of training recurrent neural
    networks*, algorithm 1.
    """
    xp = namespace(g)
    largest = xp.max(xp.abs(g))
    tiny = xp.full_like(largest, float(xp.finfo(g.dtype).smallest_normal))
    scale = xp.maximum(largest, tiny)  # squares of g / scale can neither overflow nor vanish
    norm = scale * xp.sqrt(xp.sum((g / scale) ** 2))
    return g * (maximum / xp.maximum(norm, xp.full_like(norm, maximum)))


def project(network: Network, theta: Array) -> Array:
    """Shorten the weights W_j into a unit to the bound c of its layer, if they are longer.

        W_j ← W_j min(1, c / ‖W_j‖)

    Source: Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov (2014), *Dropout*, section
    5.1; c is `Dense.max_norm`.
    """
    if not network.bounds:
        return theta
    params = network.unpack(theta)
    for i, c in network.bounds:
        W = params[i]["W"]
        xp = namespace(W)
        norm = xp.sqrt(xp.sum(W * W, axis=0, keepdims=True))
        params[i]["W"] = W * (c / xp.maximum(norm, xp.full_like(norm, c)))
    return network.pack(params)


@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum μ if it is not 0.

        plain                           θ ← θ - η g
        momentum      M ← μ M + g,      θ ← θ - η M
        nesterov      M ← μ M + g,      θ ← θ - η (g + μ M)

    The state is P = μ M, what a step leaves to the next: M = P + g, and P ← μ M.

    Sources: Polyak (1964); Nesterov (1983), by the change of variables of Bengio,
    Boulanger-Lewandowski & Pascanu (2013), *Advances in optimizing recurrent networks*, section
    3.5, with the learning rate outside the sum as in torch.

    Parameters
    ----------
    learning_rate : float, default 0.5, or 0.12 with momentum
    weight_decay : float, default 0.0
    momentum : float, default 0.0
        At least 0 and below 1.
    nesterov : bool, default False

    Raises
    ------
    UsageError
        A number is out of its bounds, or `nesterov` is given without momentum.
    """

    momentum: Fraction = 0.0
    nesterov: bool = False

    @property
    def standard_rate(self) -> float:
        return 0.12 if self.momentum else 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and not self.momentum:
            raise UsageError("nesterov needs a momentum above 0, as in SGD(momentum=0.9)")

    def init(self, theta: Array) -> State:
        return (namespace(theta).zeros_like(theta),) if self.momentum else ()

    def descend(self, theta: Array, g: Array, state: State, scalars: Array) -> tuple[Array, State]:
        eta, mu = scalars[0], self.momentum
        if not mu:
            return theta - eta * g, ()
        M = state[0] + g
        P = mu * M
        return theta - eta * (g + P if self.nesterov else M), (P,)


@dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """Kingma & Ba (2015), algorithm 1, with scaled moments.

        m ← β1 m + (1 - β1) g          v ← β2 v + (1 - β2) g²
        m̂ = m / (1 - β1^t)             v̂ = v / (1 - β2^t)           θ ← θ - η m̂ / (√v̂ + ε)

    The state is M = m / (1 - β1) and V = v / (1 - β2), so that M ← β1 M + g, V ← β2 V + g².
    With s = √((1 - β2) / (1 - β2^t)):  √v̂ = s √V  and  m̂ = (1 - β1) / (1 - β1^t) M, hence

        θ ← θ - a M / (√V + e),     a = η (1 - β1) / ((1 - β1^t) s),     e = ε / s

    and the corrections cost nothing per element.  With `amsgrad`, the largest V so far stands in
    the place of V: steps of one number never grow because its gradients became small.

    Source for `amsgrad`: Reddi, Kale & Kumar (2018), *On the convergence of Adam and beyond*,
    algorithm 2, with the corrections of Adam as in torch.

    Parameters
    ----------
    learning_rate : float, default 0.004
    weight_decay : float, default 0.0
    beta1, beta2 : float, default 0.9, 0.999
        At least 0 and below 1.
    eps : float, default 1e-8
        Above 0.
    amsgrad : bool, default False

    Raises
    ------
    UsageError
        A number is out of its bounds.
    """

    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    eps: Positive = 1e-8
    amsgrad: bool = False

    usual_rate: ClassVar[float] = 0.004

    def init(self, theta: Array) -> State:
        zeros = namespace(theta).zeros_like
        return tuple(zeros(theta) for _ in range(3 if self.amsgrad else 2))

    def rates(self, factor: float, t: int) -> tuple[float, ...]:
        s = sqrt((1 - self.beta2) / (1 - self.beta2**t))
        a = self.rate * factor * (1 - self.beta1) / ((1 - self.beta1**t) * s)
        return a, self.eps / s

    def descend(self, theta: Array, g: Array, state: State, scalars: Array) -> tuple[Array, State]:
        a, e, xp = scalars[0], scalars[1], namespace(g)
        M = self.beta1 * state[0] + g
        V = self.beta2 * state[1] + g * g
        if not self.amsgrad:
            return theta - a * M / (xp.sqrt(V) + e), (M, V)
        largest = xp.maximum(state[2], V)
        return theta - a * M / (xp.sqrt(largest) + e), (M, V, largest)


# The first reading ends here.


@dataclass(frozen=True, kw_only=True)
class Adagrad(Optimizer):
    """Each number's steps are divided by the size of all its gradients so far.

        V ← V + g²,      θ ← θ - η g / (√V + ε)

    Source: Duchi, Hazan & Singer (2011), *Adaptive subgradient methods*, section 1.1, with the
    diagonal only, and ε outside of the root as in torch.

    Parameters
    ----------
    learning_rate : float, default 0.1
    weight_decay : float, default 0.0
    eps : float, default 1e-10
        Above 0.

    Raises
    ------
    UsageError
        A number is out of its bounds.
    """

    eps: Positive = 1e-10

    def init(self, theta: Array) -> State:
        return (namespace(theta).zeros_like(theta),)

    def descend(self, theta: Array, g: Array, state: State, scalars: Array) -> tuple[Array, State]:
        V = state[0] + g * g
        return theta - scalars[0] * g / (namespace(V).sqrt(V) + self.eps), (V,)


@dataclass(frozen=True, kw_only=True)
class RMSprop(Optimizer):
    """Steps are divided by the size of the recent gradients.

        v ← β v + (1 - β) g²,      θ ← θ - η g / (√v + ε)

    The state is V = v / (1 - β), so that V ← β V + g².  With s = √(1 - β):  √v = s √V, hence

        θ ← θ - a g / (√V + e),     a = η / s,     e = ε / s

    With momentum μ:  M ← μ M + g / (√V + e),  θ ← θ - a M.

    Source: Tieleman & Hinton (2012), *Neural networks for machine learning*, lecture 6.5; ε outside
    of the root, and momentum, as in torch.

    Parameters
    ----------
    learning_rate : float, default 0.003
    weight_decay : float, default 0.0
    beta : float, default 0.99
        β (alpha in torch), at least 0 and below 1.
    eps : float, default 1e-8
        Above 0.
    momentum : float, default 0.0
        At least 0 and below 1.

    Raises
    ------
    UsageError
        A number is out of its bounds.
    """

    beta: Fraction = 0.99
    eps: Positive = 1e-8
    momentum: Fraction = 0.0

    usual_rate: ClassVar[float] = 0.003

    def init(self, theta: Array) -> State:
        zeros = namespace(theta).zeros_like
        return (zeros(theta), zeros(theta)) if self.momentum else (zeros(theta),)

    def rates(self, factor: float, t: int) -> tuple[float, ...]:
        s = sqrt(1 - self.beta)
        return self.rate * factor / s, self.eps / s

    def descend(self, theta: Array, g: Array, state: State, scalars: Array) -> tuple[Array, State]:
        a, e = scalars[0], scalars[1]
        V = self.beta * state[0] + g * g
        scaled = g / (namespace(V).sqrt(V) + e)
        if not self.momentum:
            return theta - a * scaled, (V,)
        M = self.momentum * state[1] + scaled
        return theta - a * M, (V, M)


@dataclass(frozen=True, kw_only=True)
class AdamW(Adam):
    """Adam with decoupled weight decay.

    Source: Loshchilov & Hutter (2019), *Decoupled weight decay regularization*, algorithm 2.

    Parameters
    ----------
    weight_decay : float, default 0.01
        The others are Adam's.
    """

    weight_decay: NotNegative = 0.01
    decoupled: bool = True


@dataclass(frozen=True, kw_only=True)
class Lion(Optimizer):
    """Steps of one size: only the sign of the moving gradient counts.

        c = β1 m + (1 - β1) g,      θ ← θ - η sign c,      m ← β2 m + (1 - β2) g

    Source: Chen et al. (2023), *Symbolic discovery of optimization algorithms*, algorithm 2, and
    section 5 for the defaults: every step has size η, so that η is some ten times smaller than
    AdamW's and λ ten times larger, and their product, the decay of a step, is about the same.

    Parameters
    ----------
    learning_rate : float, default 0.0003
    weight_decay : float, default 0.1
    beta1, beta2 : float, default 0.9, 0.99
        At least 0 and below 1.

    Raises
    ------
    UsageError
        A number is out of its bounds.
    """

    weight_decay: NotNegative = 0.1
    beta1: Fraction = 0.9
    beta2: Fraction = 0.99
    decoupled: bool = True

    usual_rate: ClassVar[float] = 0.0003

    def init(self, theta: Array) -> State:
        return (namespace(theta).zeros_like(theta),)

    def descend(self, theta: Array, g: Array, state: State, scalars: Array) -> tuple[Array, State]:
        (m,) = state
        c = self.beta1 * m + (1 - self.beta1) * g
        m = self.beta2 * m + (1 - self.beta2) * g
        return theta - scalars[0] * namespace(c).sign(c), (m,)


def for_steps_of(samples: int, optimizer: Optimizer) -> Optimizer:
    """Return the optimizer with a learning rate that suits steps of the given number of samples.

    A given learning rate stays.  The standard one, for 128 samples, is reduced for fewer.  SGD's
    steps are as long as the gradient: its rate is in proportion to n, so that an epoch leads as
    far.  The other optimizers divide by the size of the gradient, whose noise is in proportion to
    1/√n, and their rate is in proportion to √n.

    Sources: Goyal et al. (2017), *Accurate, large minibatch SGD*, section 2.1; for the others
    Malladi, Lyu, Panigrahi & Arora (2022), *On the SDEs and scaling rules for adaptive gradient
    algorithms*, section 5.
    """
    if optimizer.learning_rate is not None:
        return optimizer
    part = min(samples / 128, 1.0)
    factor = part if isinstance(optimizer, SGD) else sqrt(part)
    return replace(optimizer, learning_rate=optimizer.standard_rate * factor)


@dataclass(frozen=True)
class ExponentialAverage(Settings):
    """The average A of θ over the steps, the older the less: A ← A + a (θ - A).

    a = max(1 - d, 1/t) at step t = 1, 2, ... of all: a plain mean at first, so that the start does
    not count, and then weights that fall by d a step.

    Source: Polyak & Juditsky (1992), *Acceleration of stochastic approximation by averaging*, for
    averaging; Morales-Brotons, Vogels & Hendrikx (2024), *Exponential moving average of weights in
    deep learning*, for this form.

    Parameters
    ----------
    decay : float, default 0.999
        d, at least 0 and below 1.

    Raises
    ------
    UsageError
        `decay` is out of its bounds.
    """

    decay: Fraction = 0.999

    def __call__(self, step: int, steps: int, before: int = 0) -> float:
        return max(1 - self.decay, 1 / (before + step))


@dataclass(frozen=True)
class TailAverage(Settings):
    """The plain mean A of θ over the last part of a run; θ itself before it begins.

    A ← A + a (θ - A) with a = 1/k at step k = 1, 2, ... of that part, and a = 1 before.

    Source: Izmailov, Podoprikhin, Garipov, Vetrov & Wilson (2018), *Averaging weights leads to
    wider optima and better generalization*, algorithm 1, at every step.

    Parameters
    ----------
    part : float, default 0.25
        Of the run; above 0, at most 1.

    Raises
    ------
    UsageError
        `part` is out of its bounds.
    """

    part: Share = 0.25

    def __call__(self, step: int, steps: int, before: int = 0) -> float:
        start = steps - round(steps * self.part)
        return 1 / max(step - start, 1)


Average = Callable[[int, int, int], float]  # a at step 1, 2, ... of so many, after so many before
