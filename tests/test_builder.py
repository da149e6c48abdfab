"""`mlp`: its layers, its arguments, its arrays before training."""

import numpy as np
import pytest
from helpers import small

import xpnet
from xpnet.activations import LeakyReLU, ReLU, Tanh
from xpnet.initializers import lecun_uniform
from xpnet.layers import Dense, Dropout, Standardize
from xpnet.normalization import BatchNorm, LayerNorm


class Zeros:
    """An initializer that was meant to be an instance."""

    def __call__(self, key: np.ndarray, fan_in: int, fan_out: int) -> np.ndarray:
        return np.zeros((fan_in, fan_out))


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
    for normalization, biased in (
        ("batch", False), (BatchNorm(5), False), (["batch"], False), ("layer", True),
    ):  # fmt: skip
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


def test_parts_may_be_instances_and_functions() -> None:
    layers = (LeakyReLU(0.2), Tanh())
    model = xpnet.mlp(6, 5, 4, 3, activation=layers, normalization=[LayerNorm(5), BatchNorm(4)])
    named = xpnet.mlp(
        6, 5, 4, 3, activation=["leaky-relu:0.2", "tanh"], normalization=["layer", "batch"]
    )
    assert model == named
    assert xpnet.mlp(6, 5, 4, 3, activation=Tanh()) == xpnet.mlp(6, 5, 4, 3, activation="tanh")
    named = xpnet.mlp(6, 5, 3, initializer=["zeros", "lecun-uniform"])
    assert xpnet.mlp(6, 5, 3, initializer=[Zeros(), lecun_uniform]) == named
    assert xpnet.mlp(6, 5, 3, initializer=Zeros()) == xpnet.mlp(6, 5, 3, initializer="zeros")


def test_equal_seeds_give_equal_models() -> None:
    assert small() == small()
    assert small() != small(seed=2)
    assert hash(small()) == hash(small())
    assert small() != small(labels=("a", "b", "c"))
    assert small() != small(dtype="float32")
    assert small() != "a model"


def test_float32_weights_are_the_float64_ones_rounded() -> None:
    assert np.array_equal(small(dtype="float32").theta, small().theta.astype(np.float32))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"widths": (5,)},
            r"widths of the input and the output, as in mlp\(784, 128, 10\), got \(5,\)$",
        ),
        ({"widths": (5, 0, 3)}, r"^layer width must be a whole number in \[1, inf\), got 0"),
        ({"widths": (5, 2.5, 3)}, r"^layer width must be a whole number in \[1, inf\), got 2\.5"),
        ({"widths": (5, 1)}, "^output must be given for a single column"),
        ({"widths": (5, 1), "output": "softmax"}, "softmax over one output"),
        ({"activation": "rleu"}, "did you mean 'relu'"),
        ({"activation": ("relu", "relu")}, "activation: got 2 for 1 hidden"),
        ({"dropout": 1.0}, r"^dropout must be a number in \[0, 0\.99999\], got 1\.0$"),
        ({"initializer": "magic"}, "unknown initializer 'magic'"),
        ({"dtype": "float16"}, "unknown dtype 'float16'"),
        ({"seed": -1}, r"^seed must be a whole number in \[0, 18446744073709551616\), got -1$"),
        ({"seed": 2**64}, r"^seed must be .*, 18446744073709551616\), got 18446744073709551616$"),
        (
            {"labels": ("a", "b")},
            "^labels must be 3 different ones, a label for each class, got 2$",
        ),
        (
            {"labels": (1, True, 0)},
            "^labels must be 3 different ones, a label for each class, got 2",
        ),
        ({"labels": "abc"}, r"""^labels must be a list, as in \["no", "yes"\], got 'abc'$"""),
        ({"labels": b"abc"}, "^labels must be a list"),
        ({"labels": (1, 2, "a")}, "^labels must all be numbers or all be names, got both$"),
        ({"labels": (1, 2, 2.5)}, r"^labels must be whole numbers or names, got 2\.5$"),
        ({"labels": (1, 2, np.nan)}, r"^labels must be whole numbers or names, got nan$"),
        ({"labels": (1, 2, 2.0**53)}, r"^labels must be whole numbers or names, got 90071992547"),
        (
            {"labels": np.float32([1, 2, 2**24])},
            r"^labels must be whole .* got np.float32",
        ),
        (
            {"labels": (1, 2, 2**63)},
            "is out of range: labels are signed 64-bit integers, .*; give larger ones as names",
        ),
        ({"labels": ("a", "b", "\x1b[2J")}, "cannot be printed"),
        ({"labels": ("a", "b", "\ud800")}, "cannot be printed"),
        ({"widths": (5, 3), "activation": "rleu"}, "did you mean 'relu'"),
        ({"widths": (5, 3), "dropout": 7}, r"^dropout must be a number in \[0, 0\.99999\], got 7$"),
        ({"widths": (5, 3), "normalization": "bach"}, "did you mean 'batch'"),
        ({"widths": (5, 3), "activation": ("relu",)}, "activation: got 1 for 0 hidden"),
        ({"activation": ReLU}, r"^activation must be a name or an instance of Layer, .* ReLU\(\)$"),
        ({"activation": max}, "^activation must be a name or an instance of Layer, got <built-in"),
        ({"normalization": BatchNorm(7)}, "is given 4 columns and expects 7"),
        ({"normalization": ["batch"] * 2}, "normalization: got 2 for 1 hidden"),
        ({"initializer": 3}, 'must be a name, as in "he-uniform", or a function, got 3$'),
        ({"initializer": Zeros}, 'must be a name, as in "he-uniform", or a function, got <'),
        ({"initializer": lambda key, m, n: np.zeros(m * n)}, r"shape \(5, 4\), got float64 of"),
        ({"initializer": lambda key, m, n: np.full((m, n), np.nan)}, "must return finite numbers"),
        ({"input_shape": (2, 3)}, r"^input_shape must have 5 elements, got \(2, 3\)$"),
    ],
)
def test_other_arguments_are_refused(arguments: dict, message: str) -> None:
    options = dict(arguments)
    widths = options.pop("widths", (5, 4, 3))
    with pytest.raises(xpnet.UsageError, match=message):
        xpnet.mlp(*widths, **options)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.unique([True, False]), (0, 1)),
        ([False, True], (0, 1)),
        (np.unique([2.0, 1.0]), (1, 2)),
        (np.float32([-1, 2**24 - 1]), (-1, 2**24 - 1)),
        (np.unique(np.uint8([7, 3])), (3, 7)),
        (np.unique(["b", "a"]), ("a", "b")),
        ([2**53 + 1, -(2**63)], (2**53 + 1, -(2**63))),
    ],
)
def test_labels_may_be_the_different_values_of_y(labels, expected: tuple) -> None:
    found = xpnet.mlp(5, 2, labels=labels).labels
    assert found == expected
    assert {type(label) for label in found} == {type(expected[0])}


def test_every_layer_has_weights_of_its_own() -> None:
    params = xpnet.mlp(6, 6, 6, activation="identity").params
    assert not np.array_equal(params[1]["W"], params[3]["W"])
