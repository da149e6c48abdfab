"""A step of training: what it minimises, what decays, and jit."""

import numpy as np
import pytest
from helpers import Library, blobs, difference, model, needed

import xpnet
from xpnet.arrays import to_numpy
from xpnet.data.dataset import Dataset
from xpnet.fitting.scaling import in_standard_units
from xpnet.layers import Dense, Dropout
from xpnet.losses import SoftmaxCrossEntropy
from xpnet.network import Network
from xpnet.normalization import BatchNorm
from xpnet.train import gradient, train_step

X, Y = blobs()


def test_a_step_inside_jit_is_the_same() -> None:
    jax = needed("jax")
    start = model(dropout=0.5, activation="tanh")
    adam, loss = xpnet.Adam(), SoftmaxCrossEntropy()

    def step(theta, state, buffers, x, t, scalars, keys):
        return train_step(
            start.network, loss, adam, theta, state, buffers, (x, t, None), scalars, keys
        )

    arguments = [
        start.theta,
        adam.init(start.theta),
        start.buffers,
        X,
        Y,
        np.asarray(adam.scalars(1.0, 1)),
        np.asarray([[1, 2, 0]], dtype=np.int32),
    ]
    with jax.enable_x64(True):
        theta, _, _, value = jax.jit(step)(*arguments)
        expected, _, _, expected_value = step(*arguments)
        assert difference(theta, expected) < 1e-12
        assert float(value) == pytest.approx(float(expected_value), rel=1e-12)


def test_a_step_on_a_fitted_regression_minimises_what_the_model_predicts() -> None:
    """`train_step` takes raw targets, in whatever unit; `fit` trains in standard units."""
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(40, 3)), 1000 + 30 * rng.normal(size=(40, 1))
    model = xpnet.mlp(3, 4, 1, output="identity", dtype="float64")
    model = xpnet.fit(model, x, t, epochs=2, validation=0.0).model
    network, loss, optimizer = model.network, xpnet.SquaredError(), xpnet.SGD(0.1 / 30**2)
    scalars = np.asarray(optimizer.scalars(1.0, 1))
    theta, _, _, value = xpnet.train_step(
        network, loss, optimizer, model.theta, (), model.buffers, (x, t, None), scalars
    )
    assert value == pytest.approx(np.mean((model.predict(x) - t[:, 0]) ** 2), rel=1e-12)
    scale = float(model.params[-1]["scale"][0])
    inner, data = in_standard_units(model, Dataset(x, t))
    g, _, standard = gradient(
        inner.network, loss, inner.theta, inner.buffers, (x, data.t, None), None
    )
    assert value == pytest.approx(scale**2 * standard, rel=1e-12)
    moved = model.theta - optimizer.rate * scale**2 * g
    assert np.max(np.abs(theta - moved)) < 1e-12


# By hand: z = (6.5, 9), so d = z - t = (1, 1), L = 1, dz = d, and ∂L/∂(W, b) = (1, 2, 2), whose
# length is 3.  With the weights (2, 0), dz = (2, 0) and the gradient is (6, -2, 2).
SAMPLES, VALUES, START = [[3.0, -1.0], [-2.0, 3.0]], [[5.5], [8.0]], [3.5, 5.0, 1.0]
# Options of a step, and W and b after it.
STEPS = {
    "plain": ({}, [2.5, 3.0, -1.0]),
    "weighted": ({"w": [2.0, 0.0]}, [-2.5, 7.0, -1.0]),
    "decay of weights alone": ({"weight_decay": 0.5}, [0.75, 0.5, -1.0]),
    "clipped to half": ({"clip_norm": 1.5}, [3.0, 4.0, 0.0]),
    "not clipped": ({"clip_norm": 3.5}, [2.5, 3.0, -1.0]),
    "clipped before decay": ({"clip_norm": 1.5, "weight_decay": 0.5}, [1.25, 1.5, 0.0]),
    "bounded at the end": ({"clip_norm": 1.5, "max_norm": 2.5}, [1.5, 2.0, 0.0]),
}


@pytest.mark.parametrize(("options", "expected"), STEPS.values(), ids=STEPS)
def test_a_step_is_the_one_by_hand(xp: Library, options: dict, expected: list) -> None:
    """The first step with momentum μ moves by the gradient, and its state is μ times that."""
    w, decay = options.get("w"), options.get("weight_decay", 0.0)
    network = Network(2, (Dense(2, 1, max_norm=options.get("max_norm", 0.0)),))
    sgd, start = xpnet.SGD(1.0, momentum=0.5, weight_decay=decay), xp.array(START)
    batch = (xp.array(SAMPLES), xp.array(VALUES), None if w is None else xp.array(w))
    scalars, buffers = xp.array(np.asarray(sgd.scalars(1.0, 1))), xp.array(np.zeros(0))
    theta, state, after, value = train_step(
        network, xpnet.SquaredError(), sgd, start, sgd.init(start), buffers, batch, scalars,
        clip_norm=options.get("clip_norm"),
    )  # fmt: skip
    assert difference(theta, expected) < xp.tolerance(1e-15)
    assert float(to_numpy(value)) == 1  # before the update
    if "max_norm" not in options:
        assert difference(state[0], (np.asarray(START) - expected) / 2) < xp.tolerance(1e-15)
    assert after is buffers


def test_a_step_moves_running_statistics_and_draws_by_the_keys(xp: Library) -> None:
    """The masks of rows 6 and 7 turn (1, 5) into (2, 0): h = (1/2, -1/2), z = (1, -1), L = 2."""
    layers = (Dropout(0.5), BatchNorm(1, eps=3.0, rate=1.0), Dense(1, 1))
    start, buffers = xp.array([1.0, 2.0, 0.0, 0.0]), xp.array([7.0, 9.0])  # W, gamma, beta, b
    batch = (xp.array([[1.0], [5.0]]), xp.array([[1.0], [1.0]]), None)
    sgd, keys = xpnet.SGD(1.0), xp.array(np.asarray([[1, 2, 6]], dtype=np.int32))
    _, state, after, value = train_step(
        Network(1, layers), xpnet.SquaredError(), sgd, start, (), buffers, batch,
        xp.array(np.asarray(sgd.scalars(1.0, 1))), keys,
    )  # fmt: skip
    assert difference(value, 2.0) < xp.tolerance(1e-15)
    assert difference(after, [1, 2]) < xp.tolerance(1e-15)
    assert state == ()


def test_other_arguments_of_a_step_are_named() -> None:
    model, sgd = xpnet.mlp(2, 3), xpnet.SGD(0.1)
    for call, message in (
        (lambda: xpnet.train_step(model, sgd), "train_step needs "),
        (lambda: sgd.scalars(1.0), r"Optimizer\.scalars needs t"),
        (lambda: sgd.update(model.theta, model.theta, ()), r"Optimizer\.update needs scalars"),
    ):
        with pytest.raises(xpnet.UsageError, match=message):
            call()
