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

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import sqrt

from xpnet.arrays import Array, namespace
from xpnet.checks import to_python_numbers
from xpnet.errors import UsageError
from xpnet.network import Network

State = tuple[Array, ...]


@dataclass(frozen=True)
class Optimizer(ABC):
    """A rule for the next θ.

    Parameters
    ----------
    learning_rate : float
        Its peak; the schedule gives the factor at each step.
    weight_decay : float, default 0.0
        λ; see the top of this module.
    decoupled : bool, default False
        Which of the two kinds of decay; by name only.

    Raises
    ------
    UsageError
        `learning_rate` is not above 0, or `weight_decay` is below 0, or one is not finite.
    """

    learning_rate: float = 0.1
    weight_decay: float = 0.0
    decoupled: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        to_python_numbers(self)
        if not 0 < self.learning_rate < float("inf"):
            raise UsageError(f"learning rate {self.learning_rate}: expected a number above 0")
        if not 0 <= self.weight_decay < float("inf"):
            raise UsageError(f"weight decay {self.weight_decay}: expected 0 or more")

    def init(self, theta: Array) -> State:
        """Return the state before the first step."""
        return ()

    def scalars(self, factor: float, t: int) -> tuple[float, ...]:
        """The numbers that step t = 1, 2, ... needs, where the schedule gives `factor`."""
        if not self.decoupled:
            return self.rates(factor, t)
        return *self.rates(factor, t), 1 - self.learning_rate * factor * self.weight_decay

    def rates(self, factor: float, t: int) -> tuple[float, ...]:
        """Those of `scalars` that the rule itself needs."""
        return (self.learning_rate * factor,)

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


@dataclass(frozen=True)
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
    learning_rate : float, default 0.1
    weight_decay : float, default 0.0
    momentum : float, default 0.0
        At least 0 and below 1.
    nesterov : bool, default False

    Raises
    ------
    UsageError
        A number is outside, or `nesterov` without momentum.
    """

    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_below_1(momentum=self.momentum)
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


@dataclass(frozen=True)
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
        A number is outside.
    """

    learning_rate: float = 0.004
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    amsgrad: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_below_1(beta1=self.beta1, beta2=self.beta2)
        _check_eps(self.eps)

    def init(self, theta: Array) -> State:
        zeros = namespace(theta).zeros_like
        return tuple(zeros(theta) for _ in range(3 if self.amsgrad else 2))

    def rates(self, factor: float, t: int) -> tuple[float, ...]:
        s = sqrt((1 - self.beta2) / (1 - self.beta2**t))
        a = self.learning_rate * factor * (1 - self.beta1) / ((1 - self.beta1**t) * s)
        return a, self.eps / s

    def descend(self, theta: Array, g: Array, state: State, scalars: Array) -> tuple[Array, State]:
        a, e, xp = scalars[0], scalars[1], namespace(g)
        M = self.beta1 * state[0] + g
        V = self.beta2 * state[1] + g * g
        if not self.amsgrad:
            return theta - a * M / (xp.sqrt(V) + e), (M, V)
        largest = xp.maximum(state[2], V)
        return theta - a * M / (xp.sqrt(largest) + e), (M, V, largest)


def _check_below_1(**numbers: float) -> None:
    for name, value in numbers.items():
        if not 0 <= value < 1:
            raise UsageError(f"{name} {value} is outside; expected 0 <= {name} < 1")


def _check_eps(eps: float) -> None:
    if not 0 < eps < float("inf"):
        raise UsageError(f"eps {eps}: expected a number above 0, as in 1e-8")


# The first reading ends here.


@dataclass(frozen=True)
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
        A number is outside.
    """

    learning_rate: float = 0.1
    eps: float = 1e-10

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_eps(self.eps)

    def init(self, theta: Array) -> State:
        return (namespace(theta).zeros_like(theta),)

    def descend(self, theta: Array, g: Array, state: State, scalars: Array) -> tuple[Array, State]:
        V = state[0] + g * g
        return theta - scalars[0] * g / (namespace(V).sqrt(V) + self.eps), (V,)


@dataclass(frozen=True)
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
        A number is outside.
    """

    learning_rate: float = 0.003
    beta: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_below_1(beta=self.beta, momentum=self.momentum)
        _check_eps(self.eps)

    def init(self, theta: Array) -> State:
        zeros = namespace(theta).zeros_like
        return (zeros(theta), zeros(theta)) if self.momentum else (zeros(theta),)

    def rates(self, factor: float, t: int) -> tuple[float, ...]:
        s = sqrt(1 - self.beta)
        return self.learning_rate * factor / s, self.eps / s

    def descend(self, theta: Array, g: Array, state: State, scalars: Array) -> tuple[Array, State]:
        a, e = scalars[0], scalars[1]
        V = self.beta * state[0] + g * g
        scaled = g / (namespace(V).sqrt(V) + e)
        if not self.momentum:
            return theta - a * scaled, (V,)
        M = self.momentum * state[1] + scaled
        return theta - a * M, (V, M)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay.

    Source: Loshchilov & Hutter (2019), *Decoupled weight decay regularization*, algorithm 2.

    Parameters
    ----------
    weight_decay : float, default 0.01
        The others are Adam's.
    """

    weight_decay: float = 0.01
    decoupled: bool = field(default=True, kw_only=True)


@dataclass(frozen=True)
class Lion(Optimizer):
    """Steps of one size: only the sign of the moving gradient counts.

        c = β1 m + (1 - β1) g,      θ ← θ - η sign c,      m ← β2 m + (1 - β2) g

    Source: Chen et al. (2023), *Symbolic discovery of optimization algorithms*, algorithm 2.  As
    steps have size η everywhere, η is some ten times smaller than Adam's, and the decoupled decay
    as many times larger.

    Parameters
    ----------
    learning_rate : float, default 0.0003
    weight_decay : float, default 0.0
    beta1, beta2 : float, default 0.9, 0.99
        At least 0 and below 1.

    Raises
    ------
    UsageError
        A number is outside.
    """

    learning_rate: float = 0.0003
    beta1: float = 0.9
    beta2: float = 0.99
    decoupled: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_below_1(beta1=self.beta1, beta2=self.beta2)

    def init(self, theta: Array) -> State:
        return (namespace(theta).zeros_like(theta),)

    def descend(self, theta: Array, g: Array, state: State, scalars: Array) -> tuple[Array, State]:
        (m,) = state
        c = self.beta1 * m + (1 - self.beta1) * g
        m = self.beta2 * m + (1 - self.beta2) * g
        return theta - scalars[0] * namespace(c).sign(c), (m,)


def for_steps_of(samples: int, optimizer: Optimizer) -> Optimizer:
    """Return an optimizer with the learning rate that suits steps of the given number of samples.

    The noise in the gradient of n samples is in proportion to 1/√n.  SGD's steps are as long as
    the gradient: the rate falls with n, so that an epoch leads as far.  The others divide by its
    size, and their rate falls with √n.

    Sources: Goyal et al. (2017), *Accurate, large minibatch SGD*, section 2.1; for the others
    Krizhevsky (2014), *One weird trick for parallelizing convolutional neural networks*, section 5.
    """
    part = min(samples / 128, 1.0)
    factor = part if isinstance(optimizer, SGD) else sqrt(part)
    return replace(optimizer, learning_rate=optimizer.learning_rate * factor)


@dataclass(frozen=True)
class ExponentialAverage:
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
        `decay` is outside.
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        _check_below_1(decay=self.decay)

    def __call__(self, step: int, steps: int, before: int = 0) -> float:
        return max(1 - self.decay, 1 / (before + step))


@dataclass(frozen=True)
class TailAverage:
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
        `part` is outside.
    """

    part: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.part <= 1:
            raise UsageError(f"average over the last {self.part}: expected 0 < part <= 1")

    def __call__(self, step: int, steps: int, before: int = 0) -> float:
        start = steps - round(steps * self.part)
        return 1 / max(step - start, 1)


Average = Callable[[int, int, int], float]  # a at step 1, 2, ... of so many, after so many before
