"""Each activation: values, stability, what it remembers."""

import math

import numpy as np
import pytest
from conftest import Library

from xpnet.activations import ACTIVATIONS, ReLU, Sigmoid, Tanh
from xpnet.device import to_numpy
from xpnet.special import sigmoid

EXACT = {
    "identity": lambda x: x,
    "relu": lambda x: max(x, 0.0),
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)) if x > -700 else 0.0,
}
SLOPES = {
    "identity": lambda x: 1.0,
    "relu": lambda x: float(x > 0),
    "tanh": lambda x: 1 - math.tanh(x) ** 2,
    "sigmoid": lambda x: EXACT["sigmoid"](x) * (1 - EXACT["sigmoid"](x)),
}
FAR = [[-1e4, -100.0, -1.5, -1e-3, 0.0, 1e-3, 1.5, 100.0, 1e4]]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_slopes_up_to_1e4(xp: Library, name: str) -> None:
    """Warnings are errors in these tests, so nothing overflows on the way either."""
    layer, x = ACTIVATIONS[name](), xp.array(FAR)
    y, cache = layer.forward({}, x)
    dx, grads = layer.backward({}, cache, xp.array(np.ones((1, 9))))
    assert grads == {}
    exact = np.asarray([[EXACT[name](v) for v in to_numpy(x)[0].tolist()]])
    slopes = np.asarray([[SLOPES[name](v) for v in to_numpy(x)[0].tolist()]])
    # Values are right in every element, to a few roundings; e^-100 vanishes in float32.
    eps = np.finfo(to_numpy(y).dtype).eps
    np.testing.assert_allclose(to_numpy(y), exact, rtol=4 * eps, atol=1e-43)
    np.testing.assert_allclose(to_numpy(dx), slopes, rtol=0, atol=4 * eps)


def test_sigmoid_keeps_its_relative_precision_far_below_0(xp: Library) -> None:
    """Rounding of e^x grows with |x|: 50 units in the last place at -50."""
    x = np.linspace(-50, -1, 50)
    y = to_numpy(sigmoid(xp.array([x.tolist()])))[0]
    exact = np.exp(x) / (1 + np.exp(x))
    assert np.max(np.abs(y / exact - 1)) < 60 * np.finfo(y.dtype).eps


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_stays_nan(name: str) -> None:
    y, _ = ACTIVATIONS[name]().forward({}, np.asarray([[np.nan]]))
    assert np.isnan(y).all()


def test_relu_has_slope_0_at_the_kink() -> None:
    y, cache = ReLU().forward({}, np.zeros((1, 1)))
    assert ReLU().backward({}, cache, np.ones((1, 1)))[0].tolist() == [[0.0]]
    assert y.tolist() == [[0.0]]


@pytest.mark.parametrize("layer", [Sigmoid(), Tanh(), ReLU()])
def test_the_output_is_the_whole_cache(layer) -> None:
    y, cache = layer.forward({}, np.ones((2, 2)))
    assert cache is y
