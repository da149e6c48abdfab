"""Optimizers on one flat vector: given θ and g = ∂L/∂θ, the next θ and state.

In order of complexity.  What changes from step to step and is the same for all of θ (learning
rate, bias corrections) is computed on the host in float64 by `scalars`, a row of a table that
goes to the device once per epoch; `update` is array code alone.  `decayed` is the length of the
first part of θ, to which weight decay applies (`Network.decayed_size`).
"""

from dataclasses import dataclass
from math import sqrt

from xpnet.device import namespace
from xpnet.errors import UsageError
from xpnet.layers import Array

State = tuple[Array, ...]


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


def add_decay(g: Array, theta: Array, decay: float, decayed: int) -> Array:
    """The gradient of L + (decay/2) Σ θ_k² over the first `decayed` elements: g_k + decay θ_k."""
    if not decay:
        return g
    return namespace(g).concat([g[:decayed] + decay * theta[:decayed], g[decayed:]])


@dataclass(frozen=True)
class Optimizer:
    """A rule for the next θ.

    Parameters
    ----------
    learning_rate : float
        Its peak; the schedule gives the factor at each step.
    weight_decay : float, default 0.0

    Raises
    ------
    UsageError
        `learning_rate` is not above 0, or `weight_decay` is below 0, or one is not finite.
    """

    learning_rate: float = 0.1
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < float("inf"):
            raise UsageError(f"learning rate {self.learning_rate}: expected a number above 0")
        if not 0 <= self.weight_decay < float("inf"):
            raise UsageError(f"weight decay {self.weight_decay}: expected 0 or more")

    def init(self, theta: Array) -> State:
        """The state before the first step."""
        raise NotImplementedError

    def scalars(self, factor: float, t: int) -> tuple[float, ...]:
        """The numbers that step t = 1, 2, ... needs, where the schedule gives `factor`."""
        raise NotImplementedError

    def update(
        self, theta: Array, g: Array, state: State, scalars: Array, decayed: int
    ) -> tuple[Array, State]:
        """The next θ and state; `scalars` is a 1-d array of what `scalars` gives."""
        raise NotImplementedError


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum μ if it is not 0.

        plain                           θ ← θ - η g
        momentum      M ← μ M + g,      θ ← θ - η M
        nesterov      M ← μ M + g,      θ ← θ - η (g + μ M)

    Sources: Polyak (1964); Nesterov (1983), by the change of variables of Bengio,
    Boulanger-Lewandowski & Pascanu (2013), *Advances in optimizing recurrent networks*, section
    3.5, with the learning rate outside the sum as in torch.  Weight decay λ is the gradient of
    (λ/2) Σ θ², added to g.

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
        if not 0 <= self.momentum < 1:
            raise UsageError(f"momentum {self.momentum} is outside; expected 0 <= momentum < 1")
        if self.nesterov and not self.momentum:
            raise UsageError("nesterov needs a momentum above 0, as in SGD(momentum=0.9)")

    def init(self, theta: Array) -> State:
        return (namespace(theta).zeros_like(theta),) if self.momentum else ()

    def scalars(self, factor: float, t: int) -> tuple[float, ...]:
        return (self.learning_rate * factor,)

    def update(
        self, theta: Array, g: Array, state: State, scalars: Array, decayed: int
    ) -> tuple[Array, State]:
        eta, mu = scalars[0], self.momentum
        g = add_decay(g, theta, self.weight_decay, decayed)
        if not mu:
            return theta - eta * g, ()
        M = mu * state[0] + g
        return theta - eta * (g + mu * M if self.nesterov else M), (M,)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Kingma & Ba (2015), algorithm 1, with scaled moments.

        m ← β1 m + (1 - β1) g          v ← β2 v + (1 - β2) g²
        m̂ = m / (1 - β1^t)             v̂ = v / (1 - β2^t)           θ ← θ - η m̂ / (√v̂ + ε)

    The state is M = m / (1 - β1) and V = v / (1 - β2), so that M ← β1 M + g, V ← β2 V + g².
    With s = √((1 - β2) / (1 - β2^t)):  √v̂ = s √V  and  m̂ = (1 - β1) / (1 - β1^t) M, hence

        θ ← θ - a M / (√V + e),     a = η (1 - β1) / ((1 - β1^t) s),     e = ε / s

    and the corrections cost nothing per element.  Weight decay λ is the gradient of
    (λ/2) Σ θ², added to g.

    Parameters
    ----------
    learning_rate : float, default 0.004
    weight_decay : float, default 0.0
    beta1, beta2 : float, default 0.9, 0.999
        At least 0 and below 1.
    eps : float, default 1e-8
        Above 0.

    Raises
    ------
    UsageError
        A number is outside.
    """

    learning_rate: float = 0.004
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1 and self.eps > 0):
            raise UsageError(f"{self}: expected 0 <= beta1 < 1, 0 <= beta2 < 1, eps > 0")

    def init(self, theta: Array) -> State:
        zeros = namespace(theta).zeros_like
        return zeros(theta), zeros(theta)

    def scalars(self, factor: float, t: int) -> tuple[float, ...]:
        s = sqrt((1 - self.beta2) / (1 - self.beta2**t))
        a = self.learning_rate * factor * (1 - self.beta1) / ((1 - self.beta1**t) * s)
        return a, self.eps / s

    def update(
        self, theta: Array, g: Array, state: State, scalars: Array, decayed: int
    ) -> tuple[Array, State]:
        return self._descend(theta, add_decay(g, theta, self.weight_decay, decayed), state, scalars)

    def _descend(self, theta: Array, g: Array, state: State, scalars: Array) -> tuple[Array, State]:
        (M, V), a, e = state, scalars[0], scalars[1]
        M = self.beta1 * M + g
        V = self.beta2 * V + g * g
        return theta - a * M / (namespace(V).sqrt(V) + e), (M, V)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: θ ← (1 - η λ) θ first, and g stays ∂L/∂θ.

    Source: Loshchilov & Hutter (2019), *Decoupled weight decay regularization*, algorithm 2, with
    η λ for the product of schedule and decay, as in torch.

    Parameters
    ----------
    weight_decay : float, default 0.01
        The others are Adam's.
    """

    weight_decay: float = 0.01

    def scalars(self, factor: float, t: int) -> tuple[float, ...]:
        return *super().scalars(factor, t), 1 - self.learning_rate * factor * self.weight_decay

    def update(
        self, theta: Array, g: Array, state: State, scalars: Array, decayed: int
    ) -> tuple[Array, State]:
        theta = namespace(theta).concat([scalars[2] * theta[:decayed], theta[decayed:]])
        return self._descend(theta, g, state, scalars)


OPTIMIZERS: dict[str, Optimizer] = {
    "nesterov": SGD(learning_rate=0.1, weight_decay=5e-4, momentum=0.9, nesterov=True),
    "momentum": SGD(learning_rate=0.1, weight_decay=5e-4, momentum=0.9),
    "sgd": SGD(learning_rate=0.5),
    "adam": Adam(),
    "adamw": AdamW(),
}
"""Each with the settings that its name stands for."""
