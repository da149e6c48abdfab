"""Optimizers and averages: their exact steps, torch, clipping; the same on every library."""

from collections.abc import Iterator
from dataclasses import replace
from math import sqrt
from statistics import fmean

import numpy as np
import pytest
from helpers import Library, difference, needed, unpaired

from xpnet.arrays import to_numpy
from xpnet.errors import UsageError
from xpnet.layers import Dense
from xpnet.network import Network
from xpnet.optimizers import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    ExponentialAverage,
    Lion,
    Optimizer,
    RMSprop,
    TailAverage,
    clip_by_norm,
    for_steps_of,
    project,
)
from xpnet.registry import AVERAGES, OPTIMIZERS

DECAYED = 7
FACTORS = [1.0, 0.8, 1.0, 0.5, 0.3, 0.9, 0.2, 0.1]
SCALES = np.asarray([0, 1e-8, 1, 1, 1, 1, 1, 1e-8, 1, 1])  # no gradient, and some of eps's size
SIZES = np.asarray([1, 3, 1, 0.1, 1e-2, 1e-3, 1e-4, 1e-5])  # they fall, for AMSGrad
THETA = np.random.default_rng(0).normal(size=10) * (SCALES == 1)
NOISE = np.random.default_rng(1).normal(size=(8, 10)) * SIZES[:, None] * SCALES
"""The gradient at step t is row t - 1, plus 0.01 θ."""


def by_hand(rule, learning_rate: float, l2=0.0, decoupled=0.0, **settings):
    """A published algorithm θ ← θ - η d with its settings, on one number θ in plain Python.

    `rule` takes the gradients and gives d for each; `l2` is a weight decay that is added to the
    gradient, `decoupled` one that shortens θ.
    """

    def path(theta: float, noise: list[float], decayed: bool) -> Iterator[float]:
        def gradients() -> Iterator[float]:
            for noise_t in noise:
                yield noise_t + 0.01 * theta + decayed * l2 * theta

        for factor, d in zip(FACTORS, rule(gradients(), **settings), strict=True):
            eta = learning_rate * factor
            theta = theta - eta * decayed * decoupled * theta - eta * d
            yield theta

    return path


def sgd(gradients, mu=0.0, nesterov=False):
    M = 0.0
    for g in gradients:
        M = mu * M + g
        yield g + mu * M if nesterov else M


def adam(gradients, beta1=0.9, beta2=0.999, eps=1e-8, amsgrad=False):
    m = v = largest = 0.0
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        largest = max(largest, v) if amsgrad else v
        m_hat, v_hat = m / (1 - beta1**t), largest / (1 - beta2**t)
        yield m_hat / (sqrt(v_hat) + eps)


def rmsprop(gradients, beta=0.99, eps=1e-8, mu=0.0):
    v = M = 0.0
    for g in gradients:
        v = beta * v + (1 - beta) * g**2
        M = mu * M + g / (sqrt(v) + eps)
        yield M


def adagrad(gradients, eps=1e-10):
    V = 0.0
    for g in gradients:
        V += g**2
        yield g / (sqrt(V) + eps)


def lion(gradients, beta1=0.9, beta2=0.99):
    m = 0.0
    for g in gradients:
        c = beta1 * m + (1 - beta1) * g
        m = beta2 * m + (1 - beta2) * g
        yield (c > 0) - (c < 0)


EXACT = {
    "nesterov": by_hand(sgd, 0.12, l2=1e-3, mu=0.9, nesterov=True),
    "momentum": by_hand(sgd, 0.12, l2=1e-3, mu=0.9),
    "sgd": by_hand(sgd, 0.5),
    "adam": by_hand(adam, 0.004),
    "adamw": by_hand(adam, 0.004, decoupled=0.01),
    "amsgrad": by_hand(adam, 0.004, amsgrad=True),
    "rmsprop": by_hand(rmsprop, 0.003),
    "adagrad": by_hand(adagrad, 0.1),
    "lion": by_hand(lion, 0.0003, decoupled=0.1),
}
OTHERS = {
    "sgd+decay": (SGD(weight_decay=0.1), by_hand(sgd, 0.5, l2=0.1)),
    "sgdw": (
        SGD(0.1, momentum=0.8, weight_decay=0.1, decoupled=True),
        by_hand(sgd, 0.1, mu=0.8, decoupled=0.1),
    ),
    "adam+decay": (
        Adam(0.01, weight_decay=0.1, beta1=0.8, beta2=0.9, eps=0.1),
        by_hand(adam, 0.01, l2=0.1, beta1=0.8, beta2=0.9, eps=0.1),
    ),
    "amsgrad+decay": (
        Adam(0.01, weight_decay=0.1, beta2=0.9, amsgrad=True),
        by_hand(adam, 0.01, l2=0.1, beta2=0.9, amsgrad=True),
    ),
    "adamw-decay": (AdamW(0.01, weight_decay=0.0), by_hand(adam, 0.01)),
    "rmsprop+decay": (
        RMSprop(0.01, weight_decay=0.1, beta=0.9, eps=0.1),
        by_hand(rmsprop, 0.01, l2=0.1, beta=0.9, eps=0.1),
    ),
    "rmsprop+momentum": (RMSprop(0.01, momentum=0.9), by_hand(rmsprop, 0.01, mu=0.9)),
    "adagrad+decay": (
        Adagrad(0.1, weight_decay=0.1, eps=0.1),
        by_hand(adagrad, 0.1, l2=0.1, eps=0.1),
    ),
    "lion+decay": (
        Lion(0.01, weight_decay=0.1, beta1=0.8, beta2=0.6),
        by_hand(lion, 0.01, decoupled=0.1, beta1=0.8, beta2=0.6),
    ),
}
EVERY = {name: make() for name, make in OPTIMIZERS.items()} | {
    name: optimizer for name, (optimizer, _) in OTHERS.items()
}
NUMPY = Library("numpy", np)
TORCHS = {
    SGD: lambda ours: {"momentum": ours.momentum, "nesterov": ours.nesterov},
    Adam: lambda ours: {
        "amsgrad": ours.amsgrad, "betas": (ours.beta1, ours.beta2), "eps": ours.eps
    },
    AdamW: lambda ours: {"amsgrad": ours.amsgrad},
    RMSprop: lambda ours: {"momentum": ours.momentum, "alpha": ours.beta, "eps": ours.eps},
    Adagrad: lambda ours: {"eps": ours.eps},
}  # fmt: skip


def path(optimizer: Optimizer, xp: Library) -> np.ndarray:
    """θ after each step, a row each."""
    theta, found = xp.array(THETA), []
    state = optimizer.init(theta)
    for t, (factor, noise) in enumerate(zip(FACTORS, NOISE, strict=True), start=1):
        g = xp.array(noise) + 0.01 * theta
        scalars = xp.array(np.asarray(optimizer.scalars(factor, t)))
        theta, state = optimizer.update(theta, g, state, scalars, DECAYED)
        found.append(to_numpy(theta))
    return np.stack(found)


def test_every_optimizer_has_exact_values() -> None:
    assert unpaired(EXACT, OPTIMIZERS) == ""


@pytest.mark.parametrize("name", EVERY)
def test_steps_are_exact(xp: Library, name: str) -> None:
    """To a few roundings those of the paper; of NumPy and array-api-strict the same to the bit."""
    exact = OTHERS[name][1] if name in OTHERS else EXACT[name]
    expected = [
        list(exact(float(THETA[k]), NOISE[:, k].tolist(), k < DECAYED)) for k in range(THETA.size)
    ]
    found = path(EVERY[name], xp)
    assert difference(found.T, expected) < xp.tolerance(1e-14)
    if xp.exact and xp.dtype == "float64":
        assert np.array_equal(found, path(EVERY[name], NUMPY))


@pytest.mark.parametrize("name", [n for n, o in EVERY.items() if type(o) in TORCHS and n != "sgdw"])
def test_steps_are_torchs(name: str) -> None:
    torch = needed("torch")
    ours = EVERY[name]
    groups = [
        {"params": [torch.tensor(THETA[:DECAYED])], "weight_decay": ours.weight_decay},
        {"params": [torch.tensor(THETA[DECAYED:])], "weight_decay": 0.0},
    ]
    kind = getattr(torch.optim, type(ours).__name__)
    theirs = kind(groups, lr=1.0, **TORCHS[type(ours)](ours))
    parts = [group["params"][0] for group in groups]
    for factor, noise in zip(FACTORS, NOISE, strict=True):
        g = torch.tensor(noise) + 0.01 * torch.cat(parts)
        parts[0].grad, parts[1].grad = g[:DECAYED], g[DECAYED:]
        for group in theirs.param_groups:
            group["lr"] = ours.rate * factor
        theirs.step()
    assert difference(path(ours, NUMPY)[-1], torch.cat(parts)) < 1e-13


def test_adams_state_is_that_of_its_docstring() -> None:
    """M = m / (1 - β1) and V = v / (1 - β2), so that states saved by older versions are valid."""
    adam, theta = Adam(beta1=0.5, beta2=0.75), np.zeros(1)
    state = adam.init(theta)
    for t, g in enumerate([3.0, -1.0, 2.0], start=1):
        scalars = np.asarray(adam.scalars(1.0, t))
        theta, state = adam.update(theta, np.asarray([g]), state, scalars, 1)
    assert [a.tolist() for a in state] == [[3 / 4 - 1 / 2 + 2], [9 * 9 / 16 + 3 / 4 + 4]]


def test_amsgrad_is_not_adam_where_gradients_become_small() -> None:
    """The gradients of `path` become so small that the difference is seen."""
    amsgrad, adam = (path(OPTIMIZERS[name](), NUMPY) for name in ("amsgrad", "adam"))
    assert difference(amsgrad, adam) > 1e-6


def ema(thetas: list[float], decay=0.999) -> float:
    """The plain mean of the first 1 / (1 - d) numbers, then A ← d A + (1 - d) θ."""
    plain = round(1 / (1 - decay))
    A = fmean(thetas[:plain])
    for theta in thetas[plain:]:
        A = decay * A + (1 - decay) * theta
    return A


EXACT_AVERAGES = {
    "ema": lambda before, thetas, decay=0.999: ema(before + thetas, decay),
    "last": lambda before, thetas, part=0.25: fmean(thetas[-max(round(part * len(thetas)), 1) :]),
}
"""The average of a run's numbers, with those of the runs that it continues."""
OTHER_AVERAGES = [
    ("ema", (0.9,)),
    ("ema", (0.0,)),
    ("last", (0.5,)),
    ("last", (1.0,)),
    ("last", (1e-9,)),
]


def test_every_average_has_exact_values() -> None:
    assert unpaired(EXACT_AVERAGES, AVERAGES) == ""


@pytest.mark.parametrize(("name", "parameter"), [*((n, ()) for n in AVERAGES), *OTHER_AVERAGES])
@pytest.mark.parametrize("steps", [1, 2, 3, 40, 1500])
def test_averages_are_exact(name: str, parameter: tuple[float, ...], steps: int) -> None:
    """Of a run, and of a second one that continues it."""
    average, A, before = AVERAGES[name](*parameter), 0.0, []
    for thetas in np.random.default_rng(0).normal(size=(2, steps)).tolist():
        earlier = (len(before),) if before else ()
        for step, theta in enumerate(thetas, start=1):
            A += average(step, steps, *earlier) * (theta - A)
        exact = EXACT_AVERAGES[name](before, thetas, *parameter)
        assert pytest.approx(exact, rel=1e-13, abs=1e-14) == A
        before += thetas


def test_smaller_steps_have_smaller_rates() -> None:
    adam, sgd = OPTIMIZERS["adam"](), OPTIMIZERS["sgd"]()
    assert for_steps_of(8, sgd) == replace(sgd, learning_rate=0.5 / 16)
    assert for_steps_of(8, adam) == replace(adam, learning_rate=0.004 / 4)
    for samples in (128, 1024):
        assert for_steps_of(samples, sgd) == replace(sgd, learning_rate=0.5)


def test_a_rate_that_is_given_stays_for_any_steps() -> None:
    for optimizer in (SGD(0.5), SGD(0.12, momentum=0.9), Adam(0.004)):
        assert for_steps_of(8, optimizer) == optimizer


@pytest.mark.parametrize(
    ("name", "settings", "rate"),
    [("sgd", {}, 0.5), ("momentum", {"momentum": 0.9, "weight_decay": 1e-3}, 0.12)],
)
def test_a_name_and_its_class_have_one_rate(
    name: str, settings: dict[str, float], rate: float
) -> None:
    assert OPTIMIZERS[name]() == SGD(**settings)
    assert SGD(**settings).learning_rate is None
    assert SGD(**settings).rate == rate
    assert SGD(1.0, **settings).rate == 1.0
    assert for_steps_of(32, SGD(**settings)).rate == rate / 4


def test_only_the_learning_rate_is_taken_by_position() -> None:
    for kind in (SGD, Adam, AdamW, Adagrad, RMSprop, Lion):
        assert kind(0.25).rate == 0.25
        with pytest.raises(UsageError, match="takes learning_rate by position, and is given more"):
            kind(0.25, 0.9)


def test_clipping_shortens_only_what_is_too_long(xp: Library) -> None:
    g = xp.array([3.0, 4.0])
    assert difference(clip_by_norm(g, 10.0), g) == 0
    assert difference(clip_by_norm(g, 1.0), [0.6, 0.8]) < xp.tolerance(1e-15)
    huge, small = (xp.array([v, 0.0], "float32") for v in (1e30, 1e-30))
    assert difference(clip_by_norm(huge, 1.0), [1.0, 0.0]) < 1e-6
    assert difference(clip_by_norm(small, 1.0), small) == 0
    zero = xp.array([0.0, 0.0])
    assert difference(clip_by_norm(zero, 1.0), zero) == 0


def test_arguments_are_not_written_to() -> None:
    """Read-only arrays would raise; states are made inside and so are checked here."""
    for optimizer in EVERY.values():
        theta, g = np.ones(10), np.ones(10)
        state = optimizer.init(theta)
        before = [theta.copy(), g.copy(), *(s.copy() for s in state)]
        _, after = optimizer.update(theta, g, state, np.asarray(optimizer.scalars(1.0, 1)), DECAYED)
        for array, kept in zip((theta, g, *state), before, strict=True):
            assert np.array_equal(array, kept)
        assert [array.shape for array in after] == [array.shape for array in state]


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0.0},
        {"learning_rate": -1.0},
        {"learning_rate": float("nan")},
        {"learning_rate": float("inf")},
        {"weight_decay": -0.1},
        {"weight_decay": float("inf")},
    ],
)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_numbers_outside_are_refused(name: str, wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"^{next(iter(wrong))} must be a number in "):
        replace(OPTIMIZERS[name](), **wrong)


def test_parameters_outside_are_refused() -> None:
    with pytest.raises(UsageError, match=r"^momentum must be a number in \[0, 1\), got 1\.0$"):
        SGD(momentum=1.0)
    with pytest.raises(UsageError, match="nesterov needs a momentum"):
        SGD(nesterov=True)
    with pytest.raises(UsageError, match=r"^momentum must be a number in \[0, 1\), got -0\.1$"):
        SGD(momentum=-0.1)
    for wrong in ({"beta1": 1.0}, {"beta1": -0.1}, {"beta2": 1.0}, {"beta2": -0.1}, {"eps": 0.0}):
        with pytest.raises(UsageError, match=f"^{next(iter(wrong))} must be a number in "):
            Adam(**wrong)
    for make in (
        lambda: RMSprop(beta=1.0), lambda: RMSprop(eps=0.0), lambda: RMSprop(momentum=1.0),
        lambda: Adagrad(eps=0.0), lambda: Lion(beta1=1.0), lambda: Lion(beta2=-0.1),
        lambda: ExponentialAverage(1.0), lambda: TailAverage(0.0), lambda: TailAverage(1.1),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=r" must be a number in [\[(]0, "):
            make()


def test_max_norm_shortens_the_weights_into_a_unit(xp: Library) -> None:
    """Each of two bounded layers is shortened to its bound, and nothing else changes."""
    network = Network(2, (Dense(2, 2, max_norm=1.0), Dense(2, 2), Dense(2, 1, max_norm=0.5)))
    W, b = [[3.0, 0.3], [4.0, 0.4]], [9.0, 9.0]
    arrays = [{"W": W, "b": b}, {"W": W, "b": b}, {"W": [[0.0], [2.0]], "b": [9.0]}]
    params = [{name: xp.array(a) for name, a in p.items()} for p in arrays]
    after = network.unpack(project(network, network.pack(params)))
    expected = [
        {**params[0], "W": [[0.6, 0.3], [0.8, 0.4]]}, params[1],
        {**params[2], "W": [[0.0], [0.5]]},
    ]  # fmt: skip
    for found, wanted in zip(after, expected, strict=True):
        for name, a in wanted.items():
            assert difference(found[name], a) < xp.tolerance(1e-15)


def test_weights_of_0_stay_0_within_a_bound() -> None:
    network = Network(2, (Dense(2, 2, max_norm=1.0),))
    assert not np.any(project(network, np.zeros(network.size)))


def test_without_a_bound_nothing_is_done() -> None:
    network, theta = Network(2, (Dense(2, 2),)), np.ones(6)
    assert project(network, theta) is theta
