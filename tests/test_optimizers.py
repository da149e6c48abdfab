"""Optimizers: their textbook forms, torch, decay, clipping; the same on every library."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import Library, difference, needed

from xpnet.arrays import to_numpy
from xpnet.errors import UsageError
from xpnet.layers import Dense
from xpnet.network import Network
from xpnet.optimizers import (
    AVERAGES,
    OPTIMIZERS,
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

DECAYED = 7
EVERY = {
    **OPTIMIZERS,
    "sgd+decay": SGD(0.1, weight_decay=0.1),
    "nesterov+decay": SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam+decay": Adam(0.01, weight_decay=0.1),
    "adamw+decay": AdamW(0.01, weight_decay=0.1),
    "amsgrad+decay": Adam(0.01, weight_decay=0.1, beta2=0.9, amsgrad=True),
    "sgdw": SGD(0.1, momentum=0.9, weight_decay=0.1, decoupled=True),
    "rmsprop+decay": RMSprop(0.01, weight_decay=0.1),
    "rmsprop+momentum": RMSprop(0.01, momentum=0.9),
    "adagrad+decay": Adagrad(0.1, weight_decay=0.1),
    "lion+decay": Lion(0.01, weight_decay=0.1),
}
TORCHS = {
    SGD: lambda ours: {"momentum": ours.momentum, "nesterov": ours.nesterov},
    Adam: lambda ours: {"amsgrad": ours.amsgrad, "betas": (ours.beta1, ours.beta2)},
    AdamW: lambda ours: {"amsgrad": ours.amsgrad},
    RMSprop: lambda ours: {"momentum": ours.momentum},
    Adagrad: lambda ours: {},
}


def steps(optimizer: Optimizer, xp: Library, n: int = 50) -> np.ndarray:
    """θ after n steps on gradients that depend on θ a little, and become smaller."""
    rng = np.random.default_rng(0)
    theta = xp.array(rng.normal(size=10))
    state = optimizer.init(theta)
    for t in range(1, n + 1):
        g = xp.array(rng.normal(size=10) / t) + 0.1 * theta
        scalars = xp.array(np.asarray(optimizer.scalars(1 / t, t)))
        theta, state = optimizer.update(theta, g, state, scalars, DECAYED)
    return to_numpy(theta)


NUMPY = Library("numpy", np)


@pytest.mark.parametrize("name", EVERY)
def test_every_library_takes_the_same_steps(xp: Library, name: str) -> None:
    theta, expected = steps(EVERY[name], xp), steps(EVERY[name], NUMPY)
    assert difference(theta, expected) < xp.tolerance(1e-12)
    if xp.exact and xp.dtype == "float64":
        assert np.array_equal(theta, expected)


@pytest.mark.parametrize("name", [n for n, o in EVERY.items() if type(o) in TORCHS and n != "sgdw"])
def test_steps_are_torchs(name: str) -> None:
    torch = needed("torch")
    ours = EVERY[name]
    rng = np.random.default_rng(0)
    start = torch.tensor(rng.normal(size=10))
    groups = [
        {"params": [start[:DECAYED].clone()], "weight_decay": ours.weight_decay},
        {"params": [start[DECAYED:].clone()], "weight_decay": 0.0},
    ]
    kind = getattr(torch.optim, type(ours).__name__)
    theirs = kind(groups, lr=1.0, **TORCHS[type(ours)](ours))
    parts = [group["params"][0] for group in groups]
    for t in range(1, 51):
        g = torch.tensor(rng.normal(size=10) / t) + 0.1 * torch.cat(parts)
        parts[0].grad, parts[1].grad = g[:DECAYED], g[DECAYED:]
        for group in theirs.param_groups:
            group["lr"] = ours.learning_rate / t
        theirs.step()
    assert difference(steps(ours, NUMPY), torch.cat(parts)) < 1e-12


def test_adam_is_the_papers_algorithm() -> None:
    rng, adam = np.random.default_rng(0), Adam(0.01)
    theta = start = rng.normal(size=10)
    m = v = np.zeros(10)
    state = adam.init(start)
    for t in range(1, 101):
        g = rng.normal(size=10)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
        theta = theta - 0.01 * m_hat / (np.sqrt(v_hat) + 1e-8)
        scalars = np.asarray(adam.scalars(1.0, t))
        start, state = adam.update(start, g, state, scalars, 10)
    assert difference(start, theta) < 1e-13
    assert difference(0.1 * state[0], m) < 1e-13
    assert difference(0.001 * state[1], v) < 1e-13


@pytest.mark.parametrize("name", ["sgd+decay", "momentum", "nesterov+decay"])
def test_sgd_is_the_textbooks(name: str) -> None:
    sgd, rng = EVERY[name], np.random.default_rng(0)
    theta, M = rng.normal(size=10), np.zeros(10)
    decay = np.where(np.arange(10) < DECAYED, sgd.weight_decay, 0)
    for t in range(1, 51):
        g = rng.normal(size=10) / t + 0.1 * theta + decay * theta
        M = sgd.momentum * M + g
        theta = theta - sgd.learning_rate / t * (g + sgd.momentum * M if sgd.nesterov else M)
    assert difference(steps(sgd, NUMPY), theta) < 1e-13


def test_adamw_is_the_papers_algorithm() -> None:
    adamw, rng = EVERY["adamw+decay"], np.random.default_rng(0)
    theta, m, v = rng.normal(size=10), np.zeros(10), np.zeros(10)
    decay = np.where(np.arange(10) < DECAYED, 0.1, 0)
    for t in range(1, 51):
        g, eta = rng.normal(size=10) / t + 0.1 * theta, 0.01 / t
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        step = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        theta = theta - eta * decay * theta - eta * step
    assert difference(steps(adamw, NUMPY), theta) < 1e-13


def test_lion_is_the_papers_algorithm() -> None:
    lion, rng = EVERY["lion+decay"], np.random.default_rng(0)
    theta, m = rng.normal(size=10), np.zeros(10)
    decay = np.where(np.arange(10) < DECAYED, 0.1, 0)
    for t in range(1, 51):
        g, eta = rng.normal(size=10) / t + 0.1 * theta, 0.01 / t
        theta = theta - eta * (np.sign(0.9 * m + 0.1 * g) + decay * theta)
        m = 0.99 * m + 0.01 * g
    assert difference(steps(lion, NUMPY), theta) < 1e-13


def test_sgd_with_decoupled_decay_is_the_papers_algorithm() -> None:
    sgdw, rng = EVERY["sgdw"], np.random.default_rng(0)
    theta, M = rng.normal(size=10), np.zeros(10)
    decay = np.where(np.arange(10) < DECAYED, 0.1, 0)
    for t in range(1, 51):
        g, eta = rng.normal(size=10) / t + 0.1 * theta, 0.1 / t
        M = 0.9 * M + g
        theta = theta - eta * decay * theta - eta * M
    assert difference(steps(sgdw, NUMPY), theta) < 1e-13


def test_amsgrad_is_not_adam_where_gradients_become_small() -> None:
    amsgrad = EVERY["amsgrad+decay"]
    assert difference(steps(amsgrad, NUMPY), steps(replace(amsgrad, amsgrad=False), NUMPY)) > 1e-3


def averaged(average, thetas: list[float]) -> float:
    value = 0.0
    for t, theta in enumerate(thetas, start=1):
        value += average(t, len(thetas)) * (theta - value)
    return value


def test_an_average_of_the_tail_is_the_mean_of_the_last_part() -> None:
    thetas = np.random.default_rng(0).normal(size=40).tolist()
    assert averaged(TailAverage(0.25), thetas) == pytest.approx(np.mean(thetas[-10:]), rel=1e-13)
    assert averaged(TailAverage(1.0), thetas) == pytest.approx(np.mean(thetas), rel=1e-13)
    assert averaged(TailAverage(1e-9), thetas) == thetas[-1]
    assert [TailAverage(0.5)(t, 4) for t in (1, 2, 3, 4)] == [1, 1, 1, 0.5]
    assert [TailAverage(0.5)(t, 3) for t in (1, 2, 3)] == [1, 1, 0.5]  # the last 1.5, or 2


def test_an_exponential_average_forgets_its_start() -> None:
    thetas = np.random.default_rng(0).normal(size=40).tolist()
    assert averaged(ExponentialAverage(0.999), thetas) == pytest.approx(np.mean(thetas), rel=1e-13)
    by_hand = np.mean(thetas[:10])
    for theta in thetas[10:]:
        by_hand = 0.9 * by_hand + 0.1 * theta
    assert averaged(ExponentialAverage(0.9), thetas) == pytest.approx(by_hand, rel=1e-13)
    assert averaged(ExponentialAverage(0.0), thetas) == thetas[-1]
    assert ExponentialAverage(0.9)(1, 5, 3) == 0.25


def test_smaller_steps_have_smaller_rates() -> None:
    adam, sgd = OPTIMIZERS["adam"], OPTIMIZERS["sgd"]
    assert for_steps_of(8, sgd) == replace(sgd, learning_rate=sgd.learning_rate / 16)
    assert for_steps_of(8, adam) == replace(adam, learning_rate=adam.learning_rate / 4)
    assert for_steps_of(128, sgd) == for_steps_of(1024, sgd) == sgd


def test_names_stand_for_what_they_say() -> None:
    assert {
        "nesterov": SGD(0.12, 1e-3, 0.9, True),
        "momentum": SGD(0.12, 1e-3, 0.9, False),
        "sgd": SGD(0.5, 0.0, 0.0, False),
        "adam": Adam(0.004, 0.0, 0.9, 0.999, 1e-8),
        "adamw": AdamW(0.004, 0.01, 0.9, 0.999, 1e-8, decoupled=True),
        "amsgrad": Adam(0.004, 0.0, 0.9, 0.999, 1e-8, True),
        "rmsprop": RMSprop(0.003, 0.0, 0.99, 1e-8, 0.0),
        "adagrad": Adagrad(0.1, 0.0, 1e-10),
        "lion": Lion(0.0003, 0.0, 0.9, 0.99, decoupled=True),
    } == OPTIMIZERS
    averages = {name: average() for name, average in AVERAGES.items()}
    assert averages == {"ema": ExponentialAverage(0.999), "last": TailAverage(0.25)}


def test_decay_pulls_only_the_decayed_part() -> None:
    theta, g = np.ones(10), np.zeros(10)
    for optimizer in (SGD(0.1, weight_decay=0.5), AdamW(0.1, weight_decay=0.5)):
        state, scalars = optimizer.init(theta), np.asarray(optimizer.scalars(1.0, 1))
        after, _ = optimizer.update(theta, g, state, scalars, DECAYED)
        assert after.tolist() == [0.95] * 7 + [1.0] * 3


def test_adamw_without_decay_is_adam() -> None:
    plain = steps(AdamW(0.01, weight_decay=0.0), NUMPY)
    assert np.array_equal(plain, steps(Adam(0.01), NUMPY))


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
        optimizer.update(theta, g, state, np.asarray(optimizer.scalars(1.0, 1)), DECAYED)
        for array, kept in zip((theta, g, *state), before, strict=True):
            assert np.array_equal(array, kept)


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
    with pytest.raises(UsageError, match=next(iter(wrong)).replace("_", " ")):
        replace(OPTIMIZERS[name], **wrong)


def test_parameters_outside_are_refused() -> None:
    with pytest.raises(UsageError, match="momentum"):
        SGD(momentum=1.0)
    with pytest.raises(UsageError, match="nesterov needs a momentum"):
        SGD(nesterov=True)
    with pytest.raises(UsageError, match="momentum"):
        SGD(momentum=-0.1)
    for wrong in ({"beta1": 1.0}, {"beta1": -0.1}, {"beta2": 1.0}, {"beta2": -0.1}, {"eps": 0.0}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            Adam(**wrong)
    for make in (
        lambda: RMSprop(beta=1.0), lambda: RMSprop(eps=0.0), lambda: RMSprop(momentum=1.0),
        lambda: Adagrad(eps=0.0), lambda: Lion(beta1=1.0), lambda: Lion(beta2=-0.1),
        lambda: ExponentialAverage(1.0), lambda: TailAverage(0.0), lambda: TailAverage(1.1),
    ):  # fmt: skip
        with pytest.raises(UsageError, match="expected"):
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
