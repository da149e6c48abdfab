"""Each layer by itself; their derivatives are tested with the network's."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from helpers import Library, difference

from xpnet.arrays import to_numpy
from xpnet.errors import UsageError
from xpnet.layers import Dense, Dropout, Layer, Noise, Rescale, Standardize
from xpnet.network import Network
from xpnet.normalization import BatchNorm, LayerNorm
from xpnet.random import normal_units


def test_dense_is_the_formula_written_out() -> None:
    x, W, b = np.asarray([[1.0, 2.0]]), np.asarray([[1.0, 2, 3], [4, 5, 6]]), np.ones(3)
    y, cache = Dense(2, 3).forward({"W": W, "b": b}, x)
    assert y.tolist() == [[10, 13, 16]]
    dx, grads = Dense(2, 3).backward({"W": W, "b": b}, cache, np.asarray([[1.0, 0, -1]]))
    assert dx.tolist() == [[-2, -2]]
    assert grads["W"].tolist() == [[1, 0, -1], [2, 0, -2]]
    assert grads["b"].tolist() == [1, 0, -1]


def test_dense_without_bias_has_no_b() -> None:
    layer = Dense(2, 3, bias=False)
    p = {"W": np.ones((2, 3))}
    y, cache = layer.forward(p, np.ones((4, 2)))
    assert list(layer.shapes) == list(layer.backward(p, cache, y)[1]) == ["W"]
    assert y.tolist() == [[2.0] * 3] * 4


def test_standardize_takes_pixels_and_gives_the_models_dtype(xp: Library) -> None:
    p = {"mean": xp.array([1.0, 2.0]), "scale": xp.array([2.0, 4.0])}
    y, _ = Standardize(2).forward(p, xp.array(np.asarray([[255, 0]], dtype=np.uint8)))
    assert y.dtype == p["mean"].dtype
    assert to_numpy(y).tolist() == [[127.0, -0.5]]


def test_standardize_keeps_the_digits_of_float64() -> None:
    """Neighbours in float32 are 128 apart at 1.7e9, which is one of them times 128."""
    p = {"mean": np.float32([13281250 * 128]), "scale": np.float32([2.0])}
    y, _ = Standardize(1).forward(p, 1.7e9 + np.asarray([[-50.0], [0], [3]]))
    assert y.dtype == np.float32
    assert y.tolist() == [[-25.0], [0.0], [1.5]]


def test_dropout_keeps_the_part_it_should_and_scales_it(xp: Library) -> None:
    layer, n, width = Dropout(0.3), 200, 500
    p = {"key": xp.array(np.asarray([1, 2, 0], dtype=np.int32))}
    y, cache = layer.forward(p, xp.array(np.ones((n, width))))
    y = to_numpy(y)
    rounded = round(0.3 * 65536) / 65536
    assert set(np.unique(y)) == {0, y.max()}
    assert y.max() == pytest.approx(1 / (1 - rounded), rel=1e-7)
    kept = np.mean(y > 0)
    # 6 standard deviations of a binomial of n * width
    assert abs(kept - (1 - rounded)) < 6 * np.sqrt(0.21 / (n * width))
    dx, grads = layer.backward(p, cache, xp.array(np.ones((n, width))))
    assert difference(dx, y) == 0
    assert grads == {}


def test_dropout_masks_are_the_same_bits_on_every_library(xp: Library) -> None:
    key = np.asarray([1, 2, 0], dtype=np.int32)
    y, _ = Dropout(0.5).forward({"key": xp.array(key)}, xp.array(np.ones((5, 7))))
    expected, _ = Dropout(0.5).forward({"key": key}, np.ones((5, 7)))
    assert difference(y, expected) == 0


def test_dropout_of_0_keeps_everything() -> None:
    p = {"key": np.asarray([1, 2, 0], dtype=np.int32)}
    x = np.ones((1000, 1000))  # some of a million random units are 0, the least there is
    assert np.array_equal(Dropout(0.0).forward(p, x)[0], x)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, 0.999999, float("nan"), float("inf")])
def test_dropout_outside_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="expected 0 <= rate < 1"):
        Dropout(rate)


def test_noise_has_the_deviation_it_should(xp: Library) -> None:
    """Within 6 standard deviations of the estimates from 100,000 draws; 0 when predicting."""
    layer, n, width = Noise(0.5), 200, 501
    p = {"key": xp.array(np.asarray([1, 2, 0], dtype=np.int32))}
    x = xp.array(np.full((n, width), 3.0))
    y, cache = layer.forward(p, x)
    noise = (to_numpy(y) - 3.0) / 0.5
    assert y.dtype == x.dtype
    assert abs(noise.mean()) < 6 / np.sqrt(noise.size)
    assert abs(noise.std() - 1) < 6 / np.sqrt(2 * noise.size)
    assert abs(np.mean(noise**4) - 3) < 6 * np.sqrt(96 / noise.size)
    assert abs(np.corrcoef(noise[:, 0:500:2].ravel(), noise[:, 1:500:2].ravel())[0, 1]) < 0.03
    dx, grads = layer.backward(p, cache, y)
    assert difference(dx, y) == 0
    assert grads == {}
    assert layer.infer(p, x) is x


def test_noise_is_the_same_on_every_library(xp: Library) -> None:
    """To the rounding of cos at 2π and of the root of a logarithm: 1e-5 in float32."""
    key, x = np.asarray([1, 2, 7], dtype=np.int32), np.zeros((5, 7))
    y, _ = Noise(1.0).forward({"key": xp.array(key)}, xp.array(x))
    expected, _ = Noise(1.0).forward({"key": key}, x)
    assert difference(y, expected) < xp.tolerance(1e-13)


def test_noise_of_a_row_does_not_depend_on_the_batch() -> None:
    whole, _ = Noise(1.0).forward({"key": np.asarray([1, 2, 0], dtype=np.int32)}, np.zeros((6, 3)))
    part, _ = Noise(1.0).forward({"key": np.asarray([1, 2, 4], dtype=np.int32)}, np.zeros((2, 3)))
    assert np.array_equal(part, whole[4:])


def test_noise_is_added() -> None:
    x, key = np.full((2, 3), 4.0), np.asarray([1, 2, 0], dtype=np.int32)
    y, _ = Noise(0.5).forward({"key": key}, x)
    assert np.array_equal(y, x + 0.5 * normal_units(key, 2, 3, x.dtype))
    assert np.array_equal(Noise(0.0).forward({"key": key}, x)[0], x)


@pytest.mark.parametrize("deviation", [-0.1, float("nan"), float("inf")])
def test_noise_outside_is_refused(deviation: float) -> None:
    with pytest.raises(UsageError, match="expected a standard deviation, 0 or more"):
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
    with pytest.raises(UsageError, match="expected a number above 0"):
        Dense(2, 2, max_norm=bound)


def test_rescale_maps_deviations_to_the_units_of_the_targets(xp: Library) -> None:
    p = {"mean": xp.array([1.0, 2.0]), "scale": xp.array([3.0, 4.0])}
    x = xp.array([[1.0, -1.0]])
    assert to_numpy(Rescale(2).forward(p, x)[0]).tolist() == [[4.0, -2.0]]
    assert to_numpy(Rescale(2).infer(p, x)).tolist() == [[4.0, -2.0]]
    assert to_numpy(Rescale(2).backward(p, None, x)[0]).tolist() == [[3.0, -4.0]]


@pytest.mark.parametrize("layer", [Standardize(2), Rescale(2), BatchNorm(2), LayerNorm(2)])
def test_another_number_of_columns_is_refused(layer: Layer) -> None:
    assert layer.width(2) == 2
    with pytest.raises(UsageError, match="is given 3 columns and expects 2"):
        layer.width(3)


def test_layers_are_values() -> None:
    assert Dense(2, 3) == Dense(2, 3) != Dense(2, 3, bias=False)
    assert hash(Dropout(0.5)) == hash(Dropout(0.5))


@pytest.mark.parametrize("layer", [Dense(2, 3), Standardize(2), Dropout(0.5)])
def test_decayed_and_gradients_are_names_of_shapes(layer: Layer) -> None:
    assert set(layer.decayed) <= set(layer.shapes)
    assert not set(layer.shapes) & set(layer.buffers)
