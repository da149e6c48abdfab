"""Inference on NumPy beside `Network.infer`, its oracle.

The two round differently: here they are up to 18 eps of the greatest logit apart (measured), and
LIMIT leaves nearly a factor of two.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pytest
from helpers import difference

import xpnet
from xpnet.activations import ReLU
from xpnet.arrays import Arrays
from xpnet.fast.inference import BLOCK, prepare
from xpnet.fitting.scaling import standardize
from xpnet.layers import Dense, Layer, Standardize
from xpnet.model import Model
from xpnet.network import Network
from xpnet.normalization import LayerNorm
from xpnet.registry import ACTIVATIONS

LIMIT = 32  # times eps
WIDTH = 20
PIXELS = np.random.default_rng(0).integers(0, 256, size=(BLOCK + 1, WIDTH)).astype(np.uint8)
NETWORKS: dict[str, dict[str, Any]] = {
    **{name: {"activation": name} for name in ACTIVATIONS},
    "batch": {"normalization": "batch"},
    "layer": {"normalization": "layer", "activation": "tanh"},
    "drawing": {"dropout": 0.3, "noise": 0.2},
    "no bias": {"bias": False},
    "no bias, batch": {"bias": False, "normalization": "batch"},
    "regression": {"output": "identity"},
}


def trained(dtype: str = "float32", x: np.ndarray = PIXELS, **options: Any) -> Model:
    """A network with two hidden layers, scaling of x, and no other array as it is drawn."""
    model = standardize(xpnet.mlp(WIDTH, 16, 12, 3, dtype=dtype, **options), x, np.arange(len(x)))
    rng = np.random.default_rng(1)
    params = [dict(p) for p in model.params]
    for layer, p in zip(model.network.layers, params, strict=True):
        for name, a in p.items():
            if name != "W" and not isinstance(layer, Standardize):
                p[name] = (a + rng.uniform(0.1, 0.5, size=a.shape)).astype(dtype)
    network = model.network
    rest = model.labels, model.input_shape, model.output
    return Model(network, network.pack(params), network.pack_buffers(params), *rest)


def errors(model: Model, x: np.ndarray) -> float:
    """How many eps of the greatest logit there are between the model and `Network.infer`."""
    z, expected = model(x), model.network.infer(model.params, x)
    assert z.dtype == expected.dtype == model.dtype
    return difference(z, expected) / float(np.finfo(z.dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_every_network_gives_what_infer_gives(options: dict[str, Any], dtype: str) -> None:
    model = trained(dtype, **options)
    assert not isinstance(prepare(model.network, model.params), partial)
    for n in (1, 2, BLOCK + 1):
        assert errors(model, PIXELS[:n]) < LIMIT


@pytest.mark.parametrize("kind", ["bool", "uint8", "int16", "int64", "uint64", "float16", "float32",
                                  "float64", "longdouble", ">i4", ">f4", ">f8"])  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_samples_may_be_of_every_type(kind: str, dtype: str) -> None:
    x = (PIXELS > 127 if kind == "bool" else PIXELS).astype(kind)
    for model in (trained(dtype), trained(dtype, x + np.full(WIDTH, 1000, ">f8"))):
        assert errors(model, x[:3]) < LIMIT
        assert errors(model, x) < LIMIT


@pytest.mark.parametrize("bias", [-1e6, -9.0, -7.0, 7.0, 9.0, 1e6])
def test_units_that_are_off_leave_nothing(bias: float) -> None:
    """Whatever their bias: of -1e6 a rounding error would be a tenth."""
    model = trained(activation="relu")
    params = [dict(p) for p in model.params]
    for p in params[1], params[3]:
        p["b"] = np.where(np.arange(len(p["b"])) == 2, np.float32(bias), p["b"])
    assert errors(replace(model, theta=model.network.pack(params)), PIXELS[:100]) < LIMIT


@pytest.mark.parametrize(
    "behind",
    [(), (LayerNorm(12), Dense(12, 3)), (ReLU(), Dense(12, 3)), (Dense(12, 3), ReLU())],
    ids=["last", "normalized", "twice", "last and before"],
)
def test_relu_may_stand_anywhere(behind: tuple[Layer, ...]) -> None:
    network = Network(WIDTH, (Standardize(WIDTH), Dense(WIDTH, 12), ReLU(), *behind))
    rng = np.random.default_rng(2)
    theta = rng.uniform(-1, 1, network.size).astype(np.float32)
    params = network.unpack(theta, np.repeat(np.float32([128, 70]), WIDTH))
    z, expected = prepare(network, params)(PIXELS), network.infer(params, PIXELS)
    assert difference(z, expected) / np.finfo(np.float32).eps < LIMIT


class Recorded(np.ndarray):
    """Samples that record the passes over them and over what is computed from them.

    These are the ufuncs; products are not among them.
    """

    passes: ClassVar[list[str]] = []

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        self.passes.append(ufunc.__name__)
        out = options.pop("out", None)
        if out is not None:
            options["out"] = tuple(np.asarray(a) for a in out)
        result = getattr(ufunc, method)(*map(np.asarray, inputs), **options)
        return result.view(Recorded) if out is None else out[0]


def passes(network: Network, params: list[dict[str, np.ndarray]]) -> list[str]:
    """The passes over samples of float32 when predicting."""
    x = PIXELS.astype(np.float32).view(Recorded)
    Recorded.passes.clear()
    prepare(network, params)(x[:9])
    return [*Recorded.passes]


def test_relu_and_the_bias_before_it_are_one_pass() -> None:
    """The bias of the second layer is too large for that in the end."""
    model = trained(x=PIXELS.astype(np.float32) - 128)
    assert passes(model.network, model.params) == ["maximum", "maximum", "add"]
    params = [dict(p) for p in model.params]
    params[3]["b"] = params[3]["b"] - 9
    assert passes(model.network, params) == ["maximum", "add", "maximum", "add"]


def test_a_unit_that_is_off_may_have_any_weights_behind_it() -> None:
    """Beside them its bias would be infinite."""
    model = trained(activation="relu")
    params = [dict(p) for p in model.params]
    params[1]["W"] = params[1]["W"] * np.float32(0)
    params[1]["b"] = np.full(16, -7, np.float32)
    params[3]["W"] = np.full((16, 12), 1e38, np.float32)
    expected = model.network.infer(params, PIXELS[:3])
    assert np.all(np.isfinite(expected))
    assert difference(prepare(model.network, params)(PIXELS[:3]), expected) < 1e-6


@pytest.mark.parametrize("n", [0, 1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1])
def test_blocks_are_of_any_number_of_samples(n: int) -> None:
    x = np.resize(PIXELS, (n, WIDTH))
    assert trained()(x).shape == (n, 3)
    assert errors(trained(), x) < LIMIT


def test_samples_may_lie_in_memory_in_any_way() -> None:
    model = trained()
    for kind in ("uint8", "float32", "float64"):
        x = PIXELS.astype(kind)
        wide = np.zeros((2 * len(x), 2 * WIDTH), kind)
        wide[::2, ::2] = x
        packed = np.zeros(len(x), dtype=[("odd", "i1"), ("x", kind, WIDTH)])
        packed["x"] = x
        frozen = x.copy()
        frozen.flags.writeable = False
        for same in (np.asfortranarray(x), wide[::2, ::2], packed["x"], frozen, x[::-1, ::-1]):
            before = same.copy()
            assert errors(model, same) < LIMIT
            assert np.array_equal(same, before)


def test_columns_far_from_0_keep_the_digits_in_which_they_differ() -> None:
    """Seconds since 1970 within a week; float32 tells minutes apart at best.

    Beside the same network in float64, the errors are those of numbers of size 1.
    """
    x = 1.7e9 + np.random.default_rng(0).uniform(0, 6e5, size=(50, WIDTH))
    model = trained("float32", x)
    params = [{name: a.astype(np.float64) for name, a in p.items()} for p in model.params]
    exact = model.network.infer(params, x)
    assert difference(model(x), exact) < LIMIT * np.finfo(np.float32).eps
    for kind in ("float64", "float32", "int32", "int64", "uint64", "longdouble", ">f8", ">i8"):
        assert errors(model, x.astype(kind)) < LIMIT


@pytest.mark.parametrize("mean", [0.0, 1e6])
def test_a_mean_may_be_in_two_parts(mean: float) -> None:
    network = Network(WIDTH, (Standardize(WIDTH, split_mean=True), Dense(WIDTH, 12), ReLU()))
    theta = np.random.default_rng(2).uniform(-1, 1, network.size).astype(np.float32)
    params = network.unpack(theta, np.repeat(np.float32([mean, 70, 5]), WIDTH))
    for kind in ("uint8", "float32", "float64", "int64"):
        x = (PIXELS.astype("float64") + mean).clip(0, 255 if kind == "uint8" else None).astype(kind)
        z, expected = prepare(network, params)(x), network.infer(params, x)
        assert z.dtype == np.float32
        assert difference(z, expected) / np.finfo(np.float32).eps < LIMIT


@pytest.mark.parametrize("offset", [0.0, 1.0, -3.9, 4.1, -100.0])
def test_a_mean_becomes_part_of_the_bias_only_where_little_is_lost(offset: float) -> None:
    """Beside the same network in float64, as `Network.infer` is."""
    x = (np.random.default_rng(0).normal(size=(500, WIDTH)) + offset).astype(np.float32)
    model = trained("float32", x)
    params = [{name: a.astype(np.float64) for name, a in p.items()} for p in model.params]
    exact = model.network.infer(params, x.astype(np.float64))
    assert difference(model(x), exact) < LIMIT * np.finfo(np.float32).eps


def test_rows_near_the_mean_keep_their_digits_for_layer_normalization() -> None:
    """Against float64: rounding of the plain path is 3e-7 of the greatest logit here."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(2000, WIDTH)) + 3).astype(np.float32)
    model = standardize(xpnet.mlp(WIDTH, 16, 3, normalization="layer"), x, np.arange(len(x)))
    wide = Model(
        model.network, model.theta.astype(np.float64), model.buffers.astype(np.float64),
        model.labels, model.input_shape,
    )  # fmt: skip
    mean = model.params[0]["mean"]
    near = (mean + 1e-4 * rng.normal(size=(100, WIDTH))).astype(np.float32)
    exact = wide.network.infer(wide.params, near.astype(np.float64))
    assert difference(model(near), exact) < 1e-5


@pytest.mark.parametrize("unit", [1e-39, 1e-31, 1e-29, 1e-10, 1e10, 1e29, 1e31, 1e37])
def test_columns_may_be_in_any_unit(unit: float) -> None:
    x = np.random.default_rng(0).normal(size=(50, WIDTH))
    for offset in (0, 5):
        samples = (x + offset) * unit
        assert errors(trained("float32", samples), samples.astype(np.float32)) < LIMIT


@pytest.mark.parametrize("unit", [1e-39, 1e-31, 1e31])
def test_a_single_column_may_be_in_any_unit(unit: float) -> None:
    x = np.random.default_rng(0).normal(size=(50, WIDTH))
    x[:, 3] *= unit
    assert errors(trained("float32", x), x) < LIMIT


@pytest.mark.parametrize(
    ("weight", "scale"),
    [(1e-3, 1e37), (1e-9, 1e38), (100, 2e38), (1e9, 1e-30)],
    ids=["subnormal", "zero", "scale that cannot be quadrupled", "infinite"],
)
def test_weights_divided_by_the_scale_lose_no_digits(weight: float, scale: float) -> None:
    """In the unit of the scale, samples are about 1."""
    model = xpnet.mlp(2, 3)
    theta = (model.theta * weight).astype(np.float32)
    buffers = np.asarray([0, 0, scale, 1], np.float32)
    model = Model(model.network, theta, buffers, model.labels, model.input_shape)
    x = np.asarray([[1.2, 0.3], [-0.4, 0], [0.7, -1e-3]]) * [scale, 1]
    assert errors(model, x) < 4


@pytest.mark.parametrize("weight", [1, -1, 0])
def test_weights_of_any_sign_and_0_take_the_scaling(weight: float) -> None:
    """No pass is left for it: the one that is left adds the bias."""
    network = Network(WIDTH, (Standardize(WIDTH), Dense(WIDTH, 3)))
    theta = np.full(network.size, weight, np.float32)
    params = network.unpack(theta, np.repeat(np.float32([1, 2]), WIDTH))
    assert passes(network, params) == ["add"]


def test_equal_columns_beside_others() -> None:
    x = PIXELS.copy()
    x[:, :5] = 0
    x[:, 5] = 255
    model = trained("float32", x.astype(np.float64))
    assert set(model.params[0]["scale"][:6]) == {1.0}
    assert errors(model, x) < LIMIT


def test_logits_are_new_arrays_and_nothing_is_written_to() -> None:
    """The scaling is the identity: samples of float32 go into the product as they are."""
    for network in (xpnet.mlp(WIDTH, 3).network, Network(WIDTH, (Standardize(WIDTH), ReLU()))):
        theta = np.ones(network.size, np.float32)
        buffers = np.repeat(np.asarray([0, 1], np.float32), WIDTH)
        infer = prepare(network, network.unpack(theta, buffers))
        x = -PIXELS[:4].astype(np.float32)
        before = x.copy()
        first, second = infer(x), infer(x)
        kept = second.copy()
        first[...] = 7
        for a in (x, theta, buffers, second):
            assert not np.shares_memory(first, a)
        assert np.array_equal(x, before)
        assert np.array_equal(second, kept)


def test_calls_may_be_under_way_at_once() -> None:
    model = trained(normalization="batch")
    batches = [np.roll(PIXELS, i, axis=0) for i in range(16)]
    expected = [model(x) for x in batches]
    with ThreadPoolExecutor(4) as pool:
        for z, right in zip(pool.map(model, batches), expected, strict=True):
            assert np.array_equal(z, right)


@dataclass(frozen=True)
class Centre(Layer):
    """A layer of one's own, which looks at all samples at once."""

    def forward(self, p: Arrays, x: np.ndarray) -> tuple[np.ndarray, None]:
        return x - x.mean(axis=0), None

    def backward(self, p: Arrays, cache: None, dy: np.ndarray) -> tuple[np.ndarray, Arrays]:
        return dy - dy.mean(axis=0), {}


@pytest.mark.parametrize(
    "layers",
    [(Standardize(WIDTH), Centre(), Dense(WIDTH, 3)), (Dense(WIDTH, 3),), ()],
    ids=["own", "unscaled", "none"],
)
def test_other_networks_are_computed_by_infer(layers: tuple[Layer, ...]) -> None:
    network = Network(WIDTH, layers)
    params = network.unpack(np.ones(network.size, np.float32), np.ones(40, np.float32))
    for x in (PIXELS, PIXELS / 3):
        z, expected = prepare(network, params)(x), network.infer(params, x)
        assert z.dtype == expected.dtype
        assert np.array_equal(z, expected)
