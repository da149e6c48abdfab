"""A step of training: what it minimises, what decays, and jit."""

import numpy as np
import pytest
from helpers import blobs, difference, model, needed

import xpnet
from xpnet.data.dataset import Dataset
from xpnet.fitting.scaling import in_standard_units
from xpnet.losses import SoftmaxCrossEntropy
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
    moved = model.theta - optimizer.learning_rate * scale**2 * g
    assert np.max(np.abs(theta - moved)) < 1e-12


def test_biases_do_not_decay() -> None:
    start, decay = model(), xpnet.SGD(0.1, weight_decay=0.5)
    zero = SoftmaxCrossEntropy()
    theta = np.ones(start.network.size)
    w = np.zeros(200)
    scalars = np.asarray(decay.scalars(1.0, 1))
    after, _, _, _ = train_step(
        start.network, zero, decay, theta, (), start.buffers, (X, Y, w), scalars
    )
    decayed = start.network.decayed_size
    assert np.all(after[:decayed] == 0.95)
    assert np.all(after[decayed:] == 1)
