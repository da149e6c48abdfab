"""The whole network's derivatives, and the layout of its vectors."""

from dataclasses import dataclass
from math import prod

import numpy as np
import pytest
from helpers import Library, difference, needed

from xpnet import losses
from xpnet.activations import ReLU, Tanh
from xpnet.arrays import to_numpy
from xpnet.errors import UsageError
from xpnet.layers import Dense, Dropout, Noise, Rescale, Standardize
from xpnet.losses import Loss, SoftmaxCrossEntropy
from xpnet.network import Network, by_layer, named
from xpnet.normalization import BatchNorm, LayerNorm
from xpnet.registry import ACTIVATIONS

LAYERS = {
    **{
        name: (Standardize(5), Dense(5, 4), activation(), Dense(4, 3))
        for name, activation in ACTIVATIONS.items()
    },
    "dropout": (Dense(5, 8), Tanh(), Dropout(0.4), Dense(8, 3)),
    "no-bias": (Dense(5, 4, bias=False), Tanh(), Dense(4, 3, bias=False)),
    "deep": (Standardize(5), Dense(5, 7), Tanh(), Dense(7, 4, bias=False), ReLU(), Dense(4, 3)),
    "batch-norm": (Dense(5, 4, bias=False), BatchNorm(4), Tanh(), Dense(4, 3)),
    "layer-norm": (Dense(5, 4), LayerNorm(4), Tanh(), Dense(4, 3), Rescale(3)),
    "noise": (Standardize(5), Noise(0.3), Dense(5, 4), Tanh(), Dense(4, 3)),
}
LOSSES = {
    **{name: kind() for name, kind in losses.LOSSES.items()},
    "smoothed": SoftmaxCrossEntropy(0.1),
    "quantiles": losses.Pinball((0.1, 0.5, 0.8)),
}
# Every network with one loss, and every loss with one network.
EVERY = [(name, "softmax-cross-entropy") for name in LAYERS] + [("deep", name) for name in LOSSES]
every = pytest.mark.parametrize(("layers", "loss"), EVERY)


class Case:
    """A network, a loss, and arrays for both, on the host."""

    def __init__(self, layers: str, loss: str = "softmax-cross-entropy") -> None:
        self.network, self.loss = Network(5, LAYERS[layers]), LOSSES[loss]
        rng = np.random.default_rng(0)
        self.theta = rng.normal(size=self.network.size)
        self.buffers = rng.uniform(0.5, 2, size=self.network.buffer_size)
        self.keys = np.asarray([[3, 5, 0]] * len(self.network.drawing), dtype=np.int32)
        self.x = rng.normal(size=(6, 5))
        self.t = rng.integers(0, 3, size=6)
        self.w = rng.uniform(0.5, 2, size=6)

    def params(self, xp: Library, theta: np.ndarray):
        keys = xp.array(self.keys) if len(self.keys) else None
        return self.network.unpack(xp.array(theta), xp.array(self.buffers), keys)

    def value(self, xp: Library, theta: np.ndarray, x: np.ndarray) -> float:
        z, _ = self.network.forward(self.params(xp, theta), xp.array(x))
        value, _ = self.loss.forward(z, xp.array(self.t), xp.array(self.w))
        return float(to_numpy(value))

    def gradients(self, xp: Library):
        """∂L/∂θ and ∂L/∂x."""
        params = self.params(xp, self.theta)
        z, caches = self.network.forward(params, xp.array(self.x))
        _, cache = self.loss.forward(z, xp.array(self.t), xp.array(self.w))
        dx, grads = self.network.backward(params, caches, self.loss.backward(cache))
        return self.network.pack(grads), dx


def central_differences(function, at: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """The gradient of a function of an array, element by element, in float64."""
    gradient = np.zeros(at.size)
    for i in range(at.size):
        shift = np.zeros(at.size)
        shift[i] = step
        shift = shift.reshape(at.shape)
        gradient[i] = (function(at + shift) - function(at - shift)) / (2 * step)
    return gradient.reshape(at.shape)


NUMPY = Library("numpy", np)


@every
def test_gradients_are_the_central_differences(layers: str, loss: str) -> None:
    """1e-7: rounding of the difference is 1e-16 / 1e-5, its truncation 1e-10."""
    case = Case(layers, loss)
    for _ in range(20):  # a kink of ReLU within reach of a difference would spoil it
        params = case.params(NUMPY, case.theta)
        inputs = [case.x]
        for layer, p in zip(case.network.layers, params, strict=True):
            inputs.append(layer.forward(p, inputs[-1])[0])
        distances = [
            x - kink
            for x, layer in zip(inputs, case.network.layers, strict=False)
            for kink in getattr(layer, "kinks", ())
        ]
        of_the_loss = case.loss.kinks(inputs[-1], case.t)
        distances += [] if of_the_loss is None else [of_the_loss]
        if all(np.min(np.abs(distance)) > 1e-3 for distance in distances):
            break
        case.x = case.x + 0.01
    else:
        pytest.fail("no sample away from the kinks")
    dtheta, dx = case.gradients(NUMPY)
    expected = central_differences(lambda theta: case.value(NUMPY, theta, case.x), case.theta)
    assert difference(dtheta, expected) < 1e-7
    expected = central_differences(lambda x: case.value(NUMPY, case.theta, x), case.x)
    assert difference(dx, expected) < 1e-7


@every
def test_every_library_gives_the_same_gradients(xp: Library, layers: str, loss: str) -> None:
    """1e-12: some hundred operations, each rounded to 1e-16."""
    case = Case(layers, loss)
    dtheta, dx = case.gradients(xp)
    expected, expected_dx = case.gradients(NUMPY)
    assert difference(dtheta, expected) < xp.tolerance(1e-12)
    assert difference(dx, expected_dx) < xp.tolerance(1e-12)
    if xp.exact and xp.dtype == "float64":
        assert np.array_equal(to_numpy(dtheta), expected)


@every
def test_gradients_are_those_of_jax(layers: str, loss: str) -> None:
    jax = needed("jax")
    case = Case(layers, loss)

    def value(theta, x):
        params = case.network.unpack(theta, case.buffers, case.keys if len(case.keys) else None)
        params = [{k: jax.numpy.asarray(a) for k, a in p.items()} for p in params]
        z, _ = case.network.forward(params, x)
        return case.loss.forward(z, jax.numpy.asarray(case.t), jax.numpy.asarray(case.w))[0]

    with jax.enable_x64(True):
        arguments = jax.numpy.asarray(case.theta), jax.numpy.asarray(case.x)
        expected = jax.grad(value, argnums=(0, 1))(*arguments)
        for ours, theirs in zip(case.gradients(NUMPY), expected, strict=True):
            assert difference(ours, theirs) < 1e-12


@every
def test_gradients_are_those_of_torch(layers: str, loss: str) -> None:
    torch = needed("torch")
    case = Case(layers, loss)
    theta, x = (torch.tensor(a, requires_grad=True) for a in (case.theta, case.x))
    keys = torch.tensor(case.keys) if len(case.keys) else None
    z, _ = case.network.forward(case.network.unpack(theta, torch.tensor(case.buffers), keys), x)
    case.loss.forward(z, torch.tensor(case.t), torch.tensor(case.w))[0].backward()
    dtheta, dx = case.gradients(NUMPY)
    assert difference(dtheta, theta.grad) < 1e-12
    assert difference(dx, x.grad) < 1e-12


def test_infer_is_forward_without_dropout(xp: Library) -> None:
    case = Case("dropout")
    params = case.params(xp, case.theta)
    inferred = case.network.infer(params, xp.array(case.x))
    plain = Network(5, tuple(a for a in case.network.layers if not isinstance(a, Dropout)))
    params.pop(2)
    assert difference(inferred, plain.forward(params, xp.array(case.x))[0]) == 0


def test_each_dropout_layer_has_a_mask_of_its_own() -> None:
    network = Network(4, (Dropout(0.5), Dense(4, 4), Dropout(0.5)))
    keys = np.asarray([[1, 2, 0], [3, 4, 0]], dtype=np.int32)
    params = network.unpack(np.zeros(network.size), np.zeros(0), keys)
    assert [p["key"].tolist() for p in (params[0], params[2])] == keys.tolist()


def test_decayed_arrays_come_first() -> None:
    network = Network(5, LAYERS["deep"])
    names = [name for _, name, _ in network.slots]
    assert names == ["W", "W", "W", "b", "b"]
    assert network.decayed_size == 5 * 7 + 7 * 4 + 4 * 3
    assert network.size == network.decayed_size + 7 + 3
    assert network.buffer_size == 10


def test_pack_is_the_inverse_of_unpack(xp: Library) -> None:
    network = Network(5, LAYERS["deep"])
    theta = xp.array(np.arange(network.size, dtype=float))
    buffers = xp.array(np.arange(network.buffer_size, dtype=float))
    params = network.unpack(theta, buffers)
    assert difference(network.pack(params), theta) == 0
    assert difference(network.pack_buffers(params), buffers) == 0
    for i, name, shape in network.slots:
        assert tuple(params[i][name].shape) == shape
    assert sum(prod(a.shape) for p in params for a in p.values()) == network.size + 10


def test_one_array_is_packed_too() -> None:
    network = Network(2, (Dense(2, 1, bias=False),))
    assert network.pack([{"W": np.asarray([[3.0], [4.0]])}]).tolist() == [3, 4]


def test_named_and_by_layer_are_inverse() -> None:
    """`by_layer` leaves out the arrays that a file lacks."""
    network = Network(5, LAYERS["batch-norm"])
    params = network.unpack(np.arange(float(network.size)), np.arange(float(network.buffer_size)))
    arrays = named(network.slots + network.buffer_slots, params)
    assert {*arrays} == {
        *("layers.0.W", "layers.1.gamma", "layers.1.beta", "layers.1.mean", "layers.1.var"),
        *("layers.3.W", "layers.3.b"),
    }
    assert arrays["layers.1.gamma"] is params[1]["gamma"]
    assert by_layer(network, arrays) == params
    del arrays["layers.1.var"], params[1]["var"]
    assert by_layer(network, arrays) == params


def test_a_dense_layer_has_three_products_and_the_first_two() -> None:
    """Nothing needs the dx of the first."""
    network = Network(784, (Standardize(784), Dense(784, 128), ReLU(), Dense(128, 10)))
    assert str(network) == "784-128-10"
    assert network.weights == (100352, 1280)
    assert network.products == (5, 2 * 100352 + 3 * 1280)
    assert Network(7, (Dense(7, 3),)).products == (2, 2 * 21)
    assert Network(7, (ReLU(),)).products == (0, 0)


def test_a_step_refreshes_and_bounds_what_it_should(xp: Library) -> None:
    """Which layers are bounded, and running means move; nothing else changes."""
    bounded = (Dense(5, 4, max_norm=1.0), Tanh(), Dense(4, 4, max_norm=0.5), Dense(4, 3))
    network = Network(5, (Standardize(5), bounded[0], BatchNorm(4), *bounded[1:]))
    assert network.bounds == ((1, 1.0), (4, 0.5))
    assert network.refreshing
    plain = Network(5, LAYERS["deep"])
    assert not plain.bounds
    assert not plain.refreshing
    rng = np.random.default_rng(0)
    theta = xp.array(rng.normal(size=network.size))
    buffers = xp.array(rng.uniform(0.5, 2, size=network.buffer_size))
    params = network.unpack(theta, buffers)
    _, caches = network.forward(params, xp.array(rng.normal(size=(6, 5))))
    after = network.unpack(theta, network.refresh(params, caches))
    for i, name, _ in network.buffer_slots:
        same = difference(after[i][name], params[i][name]) == 0
        assert same == (i == 0)


def test_layers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="given 4 columns and expects 5"):
        Network(4, (Dense(5, 3),))
    with pytest.raises(UsageError, match="given 3 columns and expects 7"):
        Network(5, (Dense(5, 3), Dense(7, 2)))
    with pytest.raises(UsageError, match=r"^fan_out must be a whole number in \[1, inf\), got 0"):
        Network(5, (Dense(5, 0),))

    class Nothing(Tanh):
        def width(self, fan_in: int) -> int:
            return 0

    with pytest.raises(UsageError, match="at least one output, got 0"):
        Network(5, (Nothing(),))
    with pytest.raises(UsageError, match=r"^fan_in must be a whole number in \[1, inf\), got 0"):
        Network(0, (Tanh(),))


def test_what_is_no_layer_is_refused() -> None:
    with pytest.raises(UsageError, match=r"a layer is the class Tanh; write an instance$"):
        Network(5, (Dense(5, 3), Tanh))
    with pytest.raises(UsageError, match="a layer must be an instance of Layer, got 'relu'"):
        Network(5, (Dense(5, 3), "relu"))


def test_networks_compare_by_value() -> None:
    assert Network(5, LAYERS["deep"]) == Network(5, LAYERS["deep"])
    assert Network(5, LAYERS["deep"]) != Network(5, LAYERS["relu"])
    assert isinstance(hash(Network(5, LAYERS["deep"])), int)
    assert issubclass(type(LOSSES["hinge"]), Loss)


def test_a_bound_is_that_of_a_dense_layer() -> None:
    """Another layer may have a field of that name, and no W."""

    @dataclass(frozen=True)
    class Other(Tanh):
        max_norm: float = 2.0

    assert Network(2, (Dense(2, 2, max_norm=1.0), Other())).bounds == ((0, 1.0),)


def test_the_table_has_a_line_for_each_layer() -> None:
    network = Network(3, (Standardize(3), Dense(3, 4, max_norm=2.0), ReLU(), Dense(4, 2)))
    assert network.table().splitlines() == [
        "layer                      columns  parameters",
        "input                            3",
        "Standardize(3)                   3           0",
        "Dense(3, 4, max_norm=2.0)        4          16",
        "ReLU()                           4           0",
        "Dense(4, 2)                      2          10",
        "sum                                         26",
    ]


def test_vectors_of_another_network_are_refused() -> None:
    network = Network(2, (Standardize(2), Dense(2, 2)))
    theta, buffers = np.zeros(6), np.zeros(4)
    network.check(theta, buffers)
    network.check(theta.astype("float32"), buffers.astype("float32"))
    for given, message in (
        ((theta[1:], buffers), r"theta must have shape \(6,\) for 2-2, got \(5,\)"),
        ((theta, theta), r"buffers must have shape \(4,\)"),
        ((theta.astype("float16"), buffers), "theta must be float32 or float64, got float16"),
        ((theta, buffers.astype("float32")), "of one type, got float64 and float32"),
        ((theta.astype("float32"), buffers), "of one type, got float32 and float64"),
    ):
        with pytest.raises(UsageError, match=message):
            network.check(*given)
