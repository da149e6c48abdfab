"""Each layer by itself; their derivatives are tested with the network's."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers import Library, difference, unpaired

import xpnet
from xpnet.activations import Activation
from xpnet.arrays import to_numpy
from xpnet.errors import UsageError
from xpnet.layers import Dense, Dropout, Layer, Noise, Rescale, Standardize
from xpnet.network import Network
from xpnet.normalization import BatchNorm, LayerNorm
from xpnet.registry import LAYERS, NORMALIZATIONS

NAMES = {name for name, layer in LAYERS.items() if not issubclass(layer, Activation)}


class Exact(NamedTuple):
    """A layer with arrays p, x and dy; and y, dx and the gradients, worked out by hand.

    `inferred` is y when predicting, if it differs from y; `refreshed` holds the next buffers, if a
    step changes them.
    """

    layer: Layer
    p: dict[str, Any]
    x: Any
    y: Any
    dy: Any
    dx: Any
    grads: dict[str, Any]
    inferred: Any = None
    refreshed: dict[str, Any] | None = None


# The random 16 bits of each unit of rows 3 and 4, from the key (1, 2): see `test_random`.
KEY = [1, 2, 3]
UNITS = [
    [8309, 37385, 50018, 2507, 64494, 34301, 45451, 14021],
    [27786, 18082, 34901, 49528, 7786, 3495, 37061, 58042],
]
KEPT = 65536 / (65536 - 37385)  # at the rate 37385 / 65536 the second unit is just kept


def normal_pair(a: int, b: int, c: int, d: int) -> tuple[float, float]:
    """Two normal numbers by Box and Muller's method, from the upper 23 bits of ba and of dc."""
    u, v = (((low | high << 16) // 512 + 0.5) / 2**23 for low, high in ((a, b), (c, d)))
    radius = math.sqrt(-2 * math.log(u))
    return radius * math.cos(2 * math.pi * v), radius * math.sin(2 * math.pi * v)


EPSILON = [[*normal_pair(*row[:4]), normal_pair(*row[4:])[0]] for row in UNITS]

EXACT = {
    "Standardize": [
        Exact(
            Standardize(2),
            {"mean": [1, 2], "scale": [2, 4]},
            x=[[5, 0], [-3, 12], [1, 3]],
            y=[[2, -1 / 2], [-2, 5 / 2], [0, 1 / 4]],
            dy=[[1, 2], [3, -1], [-4, 6]],
            dx=[[1 / 2, 1 / 2], [3 / 2, -1 / 4], [-2, 3 / 2]],
            grads={},
        ),
        Exact(
            Standardize(2, split_mean=True),
            {"mean": [1, 2], "scale": [2, 4], "rest": [1 / 2, -1]},
            x=[[5, 0], [-3, 12]],
            y=[[7 / 4, -1 / 4], [-9 / 4, 11 / 4]],
            dy=[[1, 2], [3, -1]],
            dx=[[1 / 2, 1 / 2], [3 / 2, -1 / 4]],
            grads={},
        ),
    ],
    "Rescale": [
        Exact(
            Rescale(2),
            {"mean": [1, 2], "scale": [3, 4]},
            x=[[1, -1], [2, 5]],
            y=[[4, -2], [7, 22]],
            dy=[[1, 2], [-3, 5]],
            dx=[[3, 8], [-9, 20]],
            grads={},
        )
    ],
    "Noise": [
        Exact(
            Noise(2.0),
            {"key": KEY},
            x=[[1, 2, 3], [-4, 5, 6]],
            y=[
                [1 + 2 * EPSILON[0][0], 2 + 2 * EPSILON[0][1], 3 + 2 * EPSILON[0][2]],
                [-4 + 2 * EPSILON[1][0], 5 + 2 * EPSILON[1][1], 6 + 2 * EPSILON[1][2]],
            ],
            dy=[[1, 2, 3], [4, 5, -6]],
            dx=[[1, 2, 3], [4, 5, -6]],
            grads={},
            inferred=[[1, 2, 3], [-4, 5, 6]],
        ),
        Exact(Noise(0.0), {"key": KEY}, x=[[1, 2]], y=[[1, 2]], dy=[[3, 4]], dx=[[3, 4]], grads={}),
    ],
    "Dense": [
        Exact(
            Dense(2, 3),
            {"W": [[1, 2, 3], [4, 5, 6]], "b": [10, 20, 30]},
            x=[[1, 2], [3, -1]],
            y=[[19, 32, 45], [9, 21, 33]],
            dy=[[1, 0, -1], [2, 1, 0]],
            dx=[[-2, -2], [4, 13]],
            grads={"W": [[7, 3, -1], [0, -1, -2]], "b": [3, 1, -1]},
        ),
        Exact(
            Dense(2, 3, bias=False),
            {"W": [[1, 2, 3], [4, 5, 6]]},
            x=[[1, 2], [3, -1]],
            y=[[9, 12, 15], [-1, 1, 3]],
            dy=[[1, 0, -1], [2, 1, 0]],
            dx=[[-2, -2], [4, 13]],
            grads={"W": [[7, 3, -1], [0, -1, -2]]},
        ),
    ],
    "Dropout": [
        Exact(
            Dropout(37385 / 65536),
            {"key": KEY},
            x=[[1, 2, 3, 4, 5], [-6, 7, 8, -9, 1]],
            y=[[0, 2 * KEPT, 3 * KEPT, 0, 5 * KEPT], [0, 0, 0, -9 * KEPT, 0]],
            dy=[[5, 4, 3, 2, 1], [1, 1, 2, 2, 3]],
            dx=[[0, 4 * KEPT, 3 * KEPT, 0, KEPT], [0, 0, 0, 2 * KEPT, 0]],
            grads={},
            inferred=[[1, 2, 3, 4, 5], [-6, 7, 8, -9, 1]],
        )
    ],
    "BatchNorm": [
        # Means 2, 7 and 5, variances 2, 6 and 0, r = 2/3, 2/5 and 2;
        # h = -4/3, 2/3, 2/3; -6/5, 0, 6/5; 0, 0, 0 by columns.
        Exact(
            BatchNorm(3, eps=1 / 4, rate=1 / 4),
            {"gamma": [3, 5, 2], "beta": [1, -2, 4], "mean": [4, 8, 1], "var": [6, 12, 2]},
            x=[[0, 4, 5], [3, 7, 5], [3, 10, 5]],
            y=[[-3, -8, 4], [3, -2, 4], [3, 4, 4]],
            dy=[[0, 1, 6], [1, 1, 0], [2, 2, 0]],
            dx=[[-2 / 9, 22 / 75, 16], [-8 / 9, -2 / 3, -8], [10 / 9, 28 / 75, -8]],
            grads={"gamma": [2, 6 / 5, 0], "beta": [3, 4, 6]},
            inferred=[
                [-19 / 5, -54 / 7, 28 / 3],
                [-1 / 5, -24 / 7, 28 / 3],
                [-1 / 5, 6 / 7, 28 / 3],
            ],
            refreshed={"mean": [7 / 2, 31 / 4, 2], "var": [21 / 4, 45 / 4, 3 / 2]},
        ),
        # The variance 1 of two samples counts as 2; a rate of 1 replaces the running statistics.
        Exact(
            BatchNorm(1, eps=3.0, rate=1.0),
            {"gamma": [4], "beta": [1], "mean": [5], "var": [13]},
            x=[[1], [3]],
            y=[[-1], [3]],
            dy=[[1], [2]],
            dx=[[-3 / 4], [3 / 4]],
            grads={"gamma": [1 / 2], "beta": [3]},
            inferred=[[-3], [-1]],
            refreshed={"mean": [2], "var": [2]},
        ),
        # A single sample has no variance, and the running statistics stay.
        Exact(
            BatchNorm(2, eps=1 / 4),
            {"gamma": [3, 5], "beta": [1, -2], "mean": [4, 8], "var": [6, 12]},
            x=[[7, 9]],
            y=[[1, -2]],
            dy=[[2, 5]],
            dx=[[0, 0]],
            grads={"gamma": [0, 0], "beta": [2, 5]},
            inferred=[[23 / 5, -4 / 7]],
        ),
    ],
    "LayerNorm": [
        # The rows are the columns above, with the same r and h.
        Exact(
            LayerNorm(3, eps=1 / 4),
            {"gamma": [3, 5, 2], "beta": [1, -2, 4]},
            x=[[0, 3, 3], [4, 7, 10], [5, 5, 5]],
            y=[[-3, 4 / 3, 16 / 3], [-13 / 5, -2, 32 / 5], [1, -2, 4]],
            dy=[[0, 1, 2], [1, 1, 2], [6, 0, 0]],
            dx=[[-2 / 9, 4 / 9, -2 / 9], [-26 / 125, 2 / 5, -24 / 125], [24, -12, -12]],
            grads={"gamma": [-6 / 5, 2 / 3, 56 / 15], "beta": [7, 2, 4]},
        )
    ],
}
EVERY = [pytest.param(e, id=f"{name}-{i}") for name in EXACT for i, e in enumerate(EXACT[name])]


def test_every_layer_has_exact_values() -> None:
    assert unpaired(EXACT, NAMES) == ""


def test_every_entry_is_of_its_layer() -> None:
    assert all(type(e.layer).__name__ == name for name, entries in EXACT.items() for e in entries)


@pytest.mark.parametrize("exact", EVERY)
def test_layers_give_exact_values(xp: Library, exact: Exact) -> None:
    """Every array is right up to the rounding of a few operations."""
    layer, near = exact.layer, xp.tolerance(1e-14)
    p = {
        name: xp.array(np.asarray(a, "int32" if name == "key" else float))
        for name, a in exact.p.items()
    }
    x, dy = (xp.array(np.asarray(a, float)) for a in (exact.x, exact.dy))
    y, cache = layer.forward(p, x)
    dx, grads = layer.backward(p, cache, dy)
    assert y.dtype == dx.dtype == x.dtype
    assert difference(y, exact.y) < near
    assert difference(dx, exact.dx) < near
    assert grads.keys() == exact.grads.keys() == layer.shapes.keys()
    assert all(difference(a, exact.grads[name]) < near for name, a in grads.items())
    expected = exact.y if exact.inferred is None else exact.inferred
    assert difference(layer.infer(p, x), expected) < near
    expected = {name: p[name] for name in layer.buffers} | (exact.refreshed or {})
    refreshed = layer.refresh(p, cache)
    assert refreshed.keys() == expected.keys()
    assert all(difference(a, expected[name]) < near for name, a in refreshed.items())


@pytest.mark.parametrize("exact", EVERY)
def test_a_layer_says_which_arrays_it_reads(exact: Exact) -> None:
    layer, p = exact.layer, exact.p
    shapes = {name: np.shape(a) for name, a in p.items() if name != "key"}
    assert {**layer.shapes, **layer.buffers} == shapes
    assert not set(layer.shapes) & set(layer.buffers)
    assert layer.draws == ("key" in p)
    assert layer.decayed == (("W",) if "W" in p else ())
    assert layer.width(np.shape(exact.x)[1]) == np.shape(exact.y)[1]


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_before_training_scales_are_1_and_shifts_0(name: str) -> None:
    """In a new network `Standardize` and `Rescale` are the identity; only weights are drawn."""
    for p in xpnet.mlp(4, 5, 2, normalization=name, output="identity").params:
        for key, a in p.items():
            assert key == "W" or np.all(a == (key in ("scale", "gamma", "var")))


def test_standardize_takes_pixels_and_gives_the_models_dtype(xp: Library) -> None:
    p = {"mean": xp.array([1.0, 2.0]), "scale": xp.array([2.0, 4.0])}
    y, _ = Standardize(2).forward(p, xp.array(np.asarray([[255, 0]], dtype=np.uint8)))
    assert y.dtype == p["mean"].dtype
    assert to_numpy(y).tolist() == [[127.0, -0.5]]


@pytest.mark.parametrize("kind", ["int32", "uint32", "int64", "uint64", "float64"])
def test_standardize_keeps_the_digits_of_wide_types(kind: str) -> None:
    """Neighbours in float32 are 128 apart at 1.7e9, which is one of them times 128."""
    p = {"mean": np.float32([13281250 * 128]), "scale": np.float32([2.0])}
    x = (1_700_000_000 + np.asarray([[-50], [0], [3]])).astype(kind)
    y, _ = Standardize(1).forward(p, x)
    assert y.dtype == np.float32
    assert y.tolist() == [[-25.0], [0.0], [1.5]]
    y, _ = Standardize(1, split_mean=True).forward({**p, "rest": np.float32([1.0])}, x)
    assert y.dtype == np.float32
    assert y.tolist() == [[-25.5], [-0.5], [1.0]]


def test_dropout_keeps_the_part_it_should() -> None:
    """The kept part is within 6 standard deviations of a binomial; kept units are scaled up."""
    x = np.ones((200, 500))
    y, _ = Dropout(0.3).forward({"key": np.asarray([1, 2, 0], dtype=np.int32)}, x)
    rounded = round(0.3 * 65536) / 65536
    assert set(np.unique(y)) == {0, 1 / (1 - rounded)}
    assert abs(np.mean(y > 0) - (1 - rounded)) < 6 * np.sqrt(0.21 / x.size)


def test_dropout_of_0_keeps_everything() -> None:
    p = {"key": np.asarray([1, 2, 0], dtype=np.int32)}
    x = np.ones((1000, 1000))  # some of a million random units are 0, the least there is
    assert np.array_equal(Dropout(0.0).forward(p, x)[0], x)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, 0.999999, float("nan"), float("inf")])
def test_dropout_outside_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match=r"^rate must be a number in \[0, 0\.99999\], got "):
        Dropout(rate)


@pytest.mark.parametrize("deviation", [-0.1, float("nan"), float("inf")])
def test_noise_outside_is_refused(deviation: float) -> None:
    with pytest.raises(UsageError, match=r"^deviation must be a number in \[0, inf\), got "):
        Noise(deviation)


@dataclass(frozen=True)
class Double(Layer):
    """A layer of one's own, with the two members that it must have."""

    def forward(self, p: Any, x: Any) -> tuple[Any, None]:
        return 2 * x, None

    def backward(self, p: Any, cache: None, dy: Any) -> tuple[Any, dict[str, Any]]:
        return 2 * dy, {}


def test_a_layer_needs_forward_and_backward_alone(xp: Library) -> None:
    layer = Double()
    assert (layer.shapes, layer.buffers, layer.decayed, layer.draws) == ({}, {}, (), False)
    network = Network(3, (Dense(3, 2), layer, Dense(2, 1)))
    theta, x = xp.array(np.linspace(-1, 1, network.size)), xp.array(np.ones((4, 3)))
    params = network.unpack(theta)
    z, caches = network.forward(params, x)
    dx, _ = network.backward(params, caches, z)
    plain = Network(3, (Dense(3, 2), Dense(2, 1)))
    twice = [params[0], {**params[2], "W": 2 * params[2]["W"]}]
    expected, kept = plain.forward(twice, x)
    assert difference(z, expected) < xp.tolerance(1e-15)
    assert difference(network.infer(params, x), expected) < xp.tolerance(1e-15)
    assert difference(dx, plain.backward(twice, kept, z)[0]) < xp.tolerance(1e-15)


def test_a_layer_without_a_derivative_is_none() -> None:
    class NoBackward(Layer):
        def forward(self, p: Any, x: Any) -> tuple[Any, None]:
            return x, None

    with pytest.raises(TypeError, match="backward"):
        NoBackward()  # type: ignore[abstract]


@pytest.mark.parametrize("bound", [-1.0, float("nan"), float("inf")])
def test_a_max_norm_outside_is_refused(bound: float) -> None:
    with pytest.raises(UsageError, match=r"^max_norm must be a number in \[0, inf\), got "):
        Dense(2, 2, max_norm=bound)


@pytest.mark.parametrize("layer", [Standardize(2), Rescale(2), BatchNorm(2), LayerNorm(2)])
def test_another_number_of_columns_is_refused(layer: Layer) -> None:
    assert layer.width(2) == 2
    with pytest.raises(UsageError, match="is given 3 columns and expects 2"):
        layer.width(3)


def test_layers_are_values() -> None:
    assert Dense(2, 3) == Dense(2, 3) != Dense(2, 3, bias=False)
    assert hash(Dropout(0.5)) == hash(Dropout(0.5))


def test_a_mean_in_two_parts_is_no_other_layer() -> None:
    """Like the constants, it comes from the data."""
    assert Standardize(2) == Standardize(2, split_mean=True) != Standardize(3, split_mean=True)
    assert hash(Standardize(2)) == hash(Standardize(2, split_mean=True))
