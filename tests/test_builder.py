"""`mlp`: its layers, its arguments, its arrays before training."""

import numpy as np
import pytest
from helpers import small

import xpnet
from xpnet.activations import ReLU, Tanh
from xpnet.layers import Dense, Dropout, Standardize


def test_mlp_builds_what_was_asked_for() -> None:
    model = xpnet.mlp(6, 5, 4, 3, activation=("relu", "tanh"), dropout=0.25, bias=False)
    assert model.network.layers == (
        Standardize(6),
        Dense(6, 5, bias=False),
        ReLU(),
        Dropout(0.25),
        Dense(5, 4, bias=False),
        Tanh(),
        Dropout(0.25),
        Dense(4, 3, bias=False),
    )
    assert (model.dtype, model.labels, model.input_shape) == ("float32", (0, 1, 2), (6,))


def test_no_bias_is_in_front_of_batch_normalization() -> None:
    for normalization, biased in (("batch", False), ("layer", True)):
        layers = xpnet.mlp(6, 5, 3, normalization=normalization).network.layers
        assert [a.bias for a in layers if isinstance(a, Dense)] == [biased, True]


def test_initial_weights_suit_the_activation() -> None:
    """Bounds of He for the layer in front of ReLU, of Glorot in front of tanh and at the end."""
    model = xpnet.mlp(600, 200, 200, 10, activation=("relu", "tanh"))
    params = model.network.unpack(model.theta, model.buffers)
    bounds = {1: 6 / 600, 3: 6 / 400, 5: 6 / 210}
    for i, bound in bounds.items():
        assert 0.98 < np.max(np.abs(params[i]["W"])) / np.sqrt(bound) <= 1
        assert not np.any(params[i]["b"])


def test_an_initializer_that_is_named_is_taken() -> None:
    W = xpnet.mlp(600, 200, initializer="lecun-uniform").theta[: 600 * 200]
    assert 0.98 < np.max(np.abs(W)) / np.sqrt(3 / 600) <= 1


def test_equal_seeds_give_equal_models() -> None:
    assert small() == small()
    assert small() != small(seed=2)
    assert hash(small()) == hash(small())
    assert small() != small(labels="abc")
    assert small() != small(dtype="float32")
    assert small() != "a model"


def test_float32_weights_are_the_float64_ones_rounded() -> None:
    assert np.array_equal(small(dtype="float32").theta, small().theta.astype(np.float32))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": (5,)}, "widths of input and output"),
        ({"widths": (5, 0, 3)}, "layer width 0: expected a whole number, 1 or more"),
        ({"widths": (5, 2.5, 3)}, "layer width 2.5"),
        ({"widths": (5, 1)}, "a single output needs"),
        ({"widths": (5, 1), "output": "softmax"}, "softmax over one output"),
        ({"activation": "rleu"}, "did you mean 'relu'"),
        ({"activation": ("relu", "relu")}, "2 activations for 1 hidden"),
        ({"dropout": 1.0}, "expected 0 <= rate < 1"),
        ({"initializer": "magic"}, "unknown initializer 'magic'"),
        ({"dtype": "float16"}, "unknown dtype 'float16'"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 2**64}, r"below 2\^64"),
        ({"labels": "ab"}, "2 different labels for 3 classes"),
        ({"labels": "aab"}, "2 different labels for 3 classes"),
        ({"labels": (1, 2, "a")}, "expected all of one kind"),
        ({"labels": (1, 2, 2.5)}, "label 2.5"),
        ({"labels": (2, True, False)}, "label True: expected a whole number or a name"),
        ({"labels": (1, 2, 2**31)}, "outside of 32-bit"),
        ({"labels": ("a", "b", "\x1b[2J")}, "cannot be printed"),
        ({"labels": ("a", "b", "\ud800")}, "cannot be printed"),
        ({"widths": (5, 3), "activation": "rleu"}, "did you mean 'relu'"),
        ({"widths": (5, 3), "dropout": 7}, "expected 0 <= rate < 1"),
        ({"input_shape": (2, 3)}, "has 6 elements; expected 5"),
    ],
)
def test_other_arguments_are_refused(arguments: dict, message: str) -> None:
    options = dict(arguments)
    widths = options.pop("widths", (5, 4, 3))
    with pytest.raises(xpnet.UsageError, match=message):
        xpnet.mlp(*widths, **options)


def test_every_layer_has_weights_of_its_own() -> None:
    params = xpnet.mlp(6, 6, 6, activation="identity").params
    assert not np.array_equal(params[1]["W"], params[3]["W"])
