"""Each activation: values, stability, what it remembers."""

import math

import numpy as np
import pytest
from helpers import Library, difference, needed, unpaired

from xpnet.activations import ELU, SELU, HardSigmoid, LeakyReLU, ReLU, ScaledTanh, Sigmoid, Tanh
from xpnet.arrays import to_numpy
from xpnet.errors import UsageError
from xpnet.random import Purpose, step_keys
from xpnet.registry import ACTIVATIONS, INITIALIZERS


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def tanh_gelu(x: float) -> float:
    """s of the docstring; far below 0 by e^2u, without cancellation."""
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return sigma(2 * u)


def tanh_gelu_slope(x: float) -> float:
    s, du = tanh_gelu(x), math.sqrt(2 / math.pi) * (1 + 0.134145 * x * x)
    return s + 2 * x * s * (1 - s) * du


LAMBDA, ALPHA = 1.0507009873554805, 1.6732632423543772
EXACT = {
    "identity": (lambda x: x, lambda x: 1.0),
    "relu": (lambda x: max(x, 0.0), lambda x: float(x > 0)),
    "tanh": (math.tanh, lambda x: 1 - math.tanh(x) ** 2),
    "sigmoid": (sigma, lambda x: sigma(x) * (1 - sigma(x))),
    "scaled-tanh": (
        lambda x: 1.7159 * math.tanh(2 * x / 3),
        lambda x: 1.7159 * 2 / 3 * (1 - math.tanh(2 * x / 3) ** 2),
    ),
    "leaky-relu": (lambda x: x if x > 0 else 0.01 * x, lambda x: 1.0 if x > 0 else 0.01),
    "elu": (lambda x: x if x > 0 else math.expm1(x), lambda x: math.exp(min(x, 0.0))),
    "selu": (
        lambda x: LAMBDA * (x if x > 0 else ALPHA * math.expm1(x)),
        lambda x: LAMBDA * (1 if x > 0 else ALPHA * math.exp(x)),
    ),
    "gelu": (
        lambda x: x * cdf(x),
        lambda x: cdf(x) + x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi),
    ),
    "gelu-tanh": (lambda x: x * tanh_gelu(x), tanh_gelu_slope),
    "silu": (lambda x: x * sigma(x), lambda x: sigma(x) + x * sigma(x) * (1 - sigma(x))),
    "softplus": (softplus, sigma),
    "mish": (
        lambda x: x * math.tanh(softplus(x)),
        lambda x: math.tanh(softplus(x)) + x * (1 - math.tanh(softplus(x)) ** 2) * sigma(x),
    ),
    "hard-sigmoid": (
        lambda x: min(max(x / 6 + 0.5, 0.0), 1.0),
        lambda x: 1 / 6 if -3 < x < 3 else 0.0,
    ),
}
"""y = f(x) and its slope dy/dx of each activation."""
FAR = [[-1e4, -100.0, -1.5, -1e-3, 0.0, 1e-3, 1.5, 100.0, 1e4]]


def test_every_activation_has_exact_values() -> None:
    assert unpaired(EXACT, ACTIVATIONS) == ""


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_slopes_up_to_1e4(xp: Library, name: str) -> None:
    """Warnings are errors in these tests, so nothing overflows on the way either."""
    layer, x = ACTIVATIONS[name](), xp.array(FAR)
    y, cache = layer.forward({}, x)
    dx, grads = layer.backward({}, cache, xp.array(np.ones((1, 9))))
    assert grads == {}
    exact, slopes = ([[f(v) for v in to_numpy(x)[0].tolist()]] for f in EXACT[name])
    # Values are right in every element, to a few roundings; 100 e^-100 vanishes in float32.
    eps = np.finfo(to_numpy(y).dtype).eps
    np.testing.assert_allclose(to_numpy(y), exact, rtol=8 * eps, atol=1e-41)
    np.testing.assert_allclose(to_numpy(dx), slopes, rtol=0, atol=8 * eps)


TORCHS = {
    "relu": "ReLU()", "tanh": "Tanh()", "sigmoid": "Sigmoid()", "leaky-relu": "LeakyReLU()",
    "elu": "ELU()", "selu": "SELU()", "gelu": "GELU()", "gelu-tanh": "GELU('tanh')",
    "silu": "SiLU()", "softplus": "Softplus()", "hard-sigmoid": "Hardsigmoid()",
}  # fmt: skip


@pytest.mark.parametrize("name", TORCHS)
def test_values_and_slopes_are_torchs(name: str) -> None:
    """Of torch's Hardsigmoid the slope is a sixth in single precision, 5e-9 too large."""
    torch = needed("torch")
    x = np.linspace(-6, 6, 1001)
    theirs = torch.tensor(x, requires_grad=True)
    y = eval(f"torch.nn.{TORCHS[name]}", {"torch": torch})(theirs)
    y.sum().backward()
    ours, cache = ACTIVATIONS[name]().forward({}, x)
    dx, _ = ACTIVATIONS[name]().backward({}, cache, np.ones_like(x))
    assert difference(ours, y.detach()) < 1e-14
    assert difference(dx, theirs.grad) < (1e-14 if name != "hard-sigmoid" else 5e-8)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_suitable_initial_weights_keep_the_size_of_signals(name: str) -> None:
    """After ten layers of 256 units; the bounds are wide: weights are drawn once."""
    width, layer = 256, ACTIVATIONS[name]()
    x = np.random.default_rng(0).normal(size=(100, width))
    for i in range(10):
        key = step_keys(0, Purpose.WEIGHTS, i, range(1))[0]
        x, _ = layer.forward({}, x @ INITIALIZERS[layer.initializer](key, width, width))
    size = float(np.sqrt(np.mean(x * x)))
    assert 0.1 < size < 10, f"choose another initializer for {name} than {layer.initializer}"


@pytest.mark.parametrize(
    "wrong",
    [lambda: LeakyReLU(0.0), lambda: LeakyReLU(1.0), lambda: ELU(0.0), lambda: ELU(math.inf)],
)
def test_parameters_outside_are_refused(wrong) -> None:
    with pytest.raises(UsageError, match=r"^(slope|alpha) must be a number in \(0, "):
        wrong()


def test_a_parameter_is_the_slope_below_0() -> None:
    y, cache = LeakyReLU(0.2).forward({}, np.asarray([[-2.0, 3.0]]))
    assert y.tolist() == [[-0.4, 3.0]]
    assert LeakyReLU(0.2).backward({}, cache, np.ones((1, 2)))[0].tolist() == [[0.2, 1.0]]
    y, cache = ELU(2.0).forward({}, np.asarray([[-1.0, 0.0, 3.0]]))
    assert y.tolist() == [[2 * math.expm1(-1), 0.0, 3.0]]
    dx, _ = ELU(2.0).backward({}, cache, np.ones((1, 3)))
    assert dx[0].tolist() == pytest.approx([2 * math.exp(-1), 2.0, 1.0], rel=1e-14)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_jump_nowhere_but_at_kinks(name: str) -> None:
    """Between neighbours 1e-3 apart by 2e-3 at most: no second derivative here is above 2."""
    layer, x = ACTIVATIONS[name](), np.linspace(-6, 6, 12001)[None] + 5e-4
    dx, _ = layer.backward({}, layer.forward({}, x)[1], np.ones_like(x))
    jumps = x[0, :-1][np.abs(np.diff(dx[0])) > 2e-3] + 5e-4
    assert all(any(abs(jump - kink) < 1e-3 for kink in layer.kinks) for jump in jumps.tolist())


def test_initializers_are_those_of_the_papers() -> None:
    """LeCun's for what keeps the size of signals by itself, He's for rectifiers, else Glorot's."""
    names = {"scaled-tanh": "lecun-uniform", "selu": "lecun-normal"}
    names |= dict.fromkeys(["tanh", "sigmoid", "identity", "hard-sigmoid"], "glorot-uniform")
    names |= dict.fromkeys(["relu", "leaky-relu", "elu", "gelu", "gelu-tanh"], "he-uniform")
    names |= dict.fromkeys(["silu", "softplus", "mish"], "he-uniform")
    assert {name: ACTIVATIONS[name].initializer for name in names} == names


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_stays_nan(name: str) -> None:
    y, _ = ACTIVATIONS[name]().forward({}, np.asarray([[np.nan]]))
    assert np.isnan(y).all()


def test_relu_has_slope_0_at_the_kink() -> None:
    y, cache = ReLU().forward({}, np.zeros((1, 1)))
    assert ReLU().backward({}, cache, np.ones((1, 1)))[0].tolist() == [[0.0]]
    assert y.tolist() == [[0.0]]


@pytest.mark.parametrize(
    "layer",
    [Sigmoid(), Tanh(), ReLU(), ScaledTanh(), LeakyReLU(), ELU(), SELU(), HardSigmoid()],
)
def test_the_output_is_the_whole_cache(layer) -> None:
    y, cache = layer.forward({}, np.ones((2, 2)))
    assert cache is y
