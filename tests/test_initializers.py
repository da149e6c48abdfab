"""Initial weights: exact ones of given draws, their variance, and what they are for."""

import math

import numpy as np
import pytest
from helpers import unpaired

from xpnet.activations import LeakyReLU, ReLU
from xpnet.builder import mlp
from xpnet.errors import UsageError
from xpnet.initializers import he_normal
from xpnet.layers import Dense
from xpnet.model import Model
from xpnet.random import Purpose, normal, step_keys, uniform
from xpnet.registry import INITIALIZERS

KEY = step_keys(0, Purpose.WEIGHTS, 1, range(1))[0]
VARIANCES = {"glorot": 2 / (400 + 100), "he": 2 / 400, "lecun": 1 / 400}


def at_right_angles(draws: list[float], fan_in: int, fan_out: int) -> list[float]:
    """Gram-Schmidt: the columns of the draws made orthogonal and of length 1, one by one.

    They are the columns of W, or its rows where it has fewer rows than columns.
    """
    fewer = min(fan_in, fan_out)
    columns: list[list[float]] = []
    for j in range(fewer):
        column = draws[j::fewer]
        for other in columns:
            along = sum(a * b for a, b in zip(column, other, strict=True))
            column = [a - along * b for a, b in zip(column, other, strict=True)]
        columns.append([a / math.hypot(*column) for a in column])
    return [
        a for row in (zip(*columns, strict=True) if fan_in >= fan_out else columns) for a in row
    ]


# Of uniform draws u in (0, 1) and normal ones z: each weight, row by row, for m inputs, n outputs.
EXACT = {
    "glorot-uniform": lambda u, z, m, n: [math.sqrt(6 / (m + n)) * (2 * v - 1) for v in u],
    "glorot-normal": lambda u, z, m, n: [math.sqrt(2 / (m + n)) * v for v in z],
    "he-uniform": lambda u, z, m, n: [math.sqrt(6 / m) * (2 * v - 1) for v in u],
    "he-normal": lambda u, z, m, n: [math.sqrt(2 / m) * v for v in z],
    "lecun-uniform": lambda u, z, m, n: [math.sqrt(3 / m) * (2 * v - 1) for v in u],
    "lecun-normal": lambda u, z, m, n: [math.sqrt(1 / m) * v for v in z],
    "orthogonal": lambda u, z, m, n: at_right_angles(z, m, n),
    "mean-field": lambda u, z, m, n: [math.sqrt(3) / m * (2 * v - 1) for v in u],
    "zeros": lambda u, z, m, n: [0.0] * (m * n),
}


def test_every_initializer_has_exact_values() -> None:
    assert unpaired(EXACT, INITIALIZERS) == ""


@pytest.mark.parametrize(("fan_in", "fan_out"), [(2, 3), (3, 2), (3, 3)])
@pytest.mark.parametrize("name", INITIALIZERS)
def test_weights_are_exact(name: str, fan_in: int, fan_out: int) -> None:
    W = INITIALIZERS[name](KEY, fan_in, fan_out)
    draws = (draw(KEY, fan_in * fan_out).tolist() for draw in (uniform, normal))
    assert W.shape == (fan_in, fan_out)
    expected = EXACT[name](*draws, fan_in, fan_out)
    np.testing.assert_allclose(W.ravel(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", [n for n in INITIALIZERS if n.partition("-")[0] in VARIANCES])
def test_mean_and_variance(name: str) -> None:
    """Within 6 standard deviations of 40,000 draws."""
    W = INITIALIZERS[name](KEY, 400, 100)
    variance = VARIANCES[name.partition("-")[0]]
    kurtosis = 3 if name.endswith("normal") else 9 / 5
    assert abs(W.mean()) < 6 * np.sqrt(variance / W.size)
    assert abs(W.var() - variance) < 6 * variance * np.sqrt((kurtosis - 1) / W.size)
    if name.endswith("uniform"):
        assert np.max(np.abs(W)) <= np.sqrt(3 * variance)


@pytest.mark.parametrize("name", ["he-uniform", "he-normal"])
def test_a_slope_below_0_makes_weights_smaller(name: str) -> None:
    """The variance is 2 / ((1 + a²) fan_in): exactly 1 / (1 + a²) of that for ReLU."""
    W = INITIALIZERS[name](KEY, 40, 30)
    np.testing.assert_allclose(INITIALIZERS[name](KEY, 40, 30, 0.75) * 1.25, W, rtol=1e-14)
    options = {"initializer": name, "dtype": "float64"}
    relu = mlp(40, 30, 20, 10, **options).params
    leaky = mlp(40, 30, 20, 10, activation=["relu", LeakyReLU(0.75)], **options).params
    for i, factor in ((1, 1.0), (3, 1.25), (5, 1.0)):
        np.testing.assert_allclose(leaky[i]["W"] * factor, relu[i]["W"], rtol=1e-14)


@pytest.mark.parametrize("initializer", [None, "he-normal", he_normal])
@pytest.mark.parametrize("slope", [0.01, 0.3, 0.8])
def test_signals_keep_their_size_through_20_layers(slope: float, initializer) -> None:
    """Of 256 units, within a factor of 2: with the variance for ReLU 0.8 would make them 140."""
    layers = [layer for _ in range(20) for layer in (Dense(256, 256), LeakyReLU(slope))]
    model = Model.from_layers(256, layers, initializer=initializer)
    x = np.random.default_rng(0).normal(size=(100, 256)).astype(np.float32)
    assert 0.5 < np.sqrt(np.mean(model(x) ** 2)) < 2


@pytest.mark.parametrize("output", ["identity", "exp"])
def test_a_regression_begins_near_the_mean_of_its_targets(output: str) -> None:
    """Variance of the logits 1 / 128; by glorot-uniform, as for classes, it is about 2."""
    x = np.random.default_rng(0).normal(size=(1000, 10)).astype(np.float32)
    assert np.var(mlp(10, 128, 1, output=output)(x)) < 2 / 128
    assert np.var(mlp(10, 128, 1, output=output, initializer="he-uniform")(x)) > 0.5
    assert np.var(mlp(10, 128, 1, output="sigmoid")(x)) > 0.5
    layers = [Dense(10, 128), ReLU(), Dense(128, 1), ReLU()]  # as small, half its units might die
    assert np.var(Model.from_layers(10, layers, output=output)(x)) > 0.1


@pytest.mark.parametrize(("fan_in", "fan_out"), [(5, 5), (8, 3), (3, 8), (1, 4)])
def test_orthogonal_weights_keep_lengths(fan_in: int, fan_out: int) -> None:
    W = INITIALIZERS["orthogonal"](KEY, fan_in, fan_out)
    gram = W.T @ W if fan_in >= fan_out else W @ W.T
    assert W.shape == (fan_in, fan_out)
    assert np.max(np.abs(gram - np.eye(min(fan_in, fan_out)))) < 1e-14


def test_orthogonal_weights_have_no_favourite_direction() -> None:
    """The sign of each element is as often + as -; 6 standard deviations of 400 draws."""
    keys = step_keys(0, Purpose.WEIGHTS, 1, range(400))
    draws = [INITIALIZERS["orthogonal"](key, 3, 3) for key in keys]
    assert np.max(np.abs(np.mean(np.sign(draws), axis=0))) < 6 / np.sqrt(400)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'he-uniform'"):
        mlp(2, 2, initializer="he-unifrom")
