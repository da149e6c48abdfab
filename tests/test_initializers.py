"""Initial weights: exact ones of given draws, their variance, and what they are for."""

import math

import numpy as np
import pytest

from xpnet.builder import mlp
from xpnet.errors import UsageError
from xpnet.random import Purpose, normal, step_keys, uniform
from xpnet.registry import INITIALIZERS

KEY = step_keys(0, Purpose.WEIGHTS, 1, range(1))[0]
VARIANCES = {"glorot": 2 / (400 + 100), "he": 2 / 400, "lecun": 1 / 400}


def at_right_angles(draws: list[float]) -> list[float]:
    """Gram-Schmidt: columns of length 1, of two columns a and b of three draws each.

    For weights of 2 inputs and 3 outputs they are the rows.
    """
    a, b = draws[0::2], draws[1::2]
    a = [v / math.hypot(*a) for v in a]
    along = sum(v * u for v, u in zip(a, b, strict=True))
    b = [v - along * u for v, u in zip(b, a, strict=True)]
    return a + [v / math.hypot(*b) for v in b]


# Of two inputs, three outputs and six draws, uniform in (0, 1) or normal: each weight, row by row.
EXACT = {
    "glorot-uniform": lambda u, z: [math.sqrt(6 / 5) * (2 * v - 1) for v in u],
    "glorot-normal": lambda u, z: [math.sqrt(2 / 5) * v for v in z],
    "he-uniform": lambda u, z: [math.sqrt(3) * (2 * v - 1) for v in u],
    "he-normal": lambda u, z: z,
    "lecun-uniform": lambda u, z: [math.sqrt(3 / 2) * (2 * v - 1) for v in u],
    "lecun-normal": lambda u, z: [math.sqrt(1 / 2) * v for v in z],
    "orthogonal": lambda u, z: at_right_angles(z),
    "zeros": lambda u, z: [0.0] * 6,
}


def test_every_initializer_has_exact_values() -> None:
    assert EXACT.keys() == INITIALIZERS.keys()


@pytest.mark.parametrize("name", INITIALIZERS)
def test_weights_are_exact(name: str) -> None:
    W = INITIALIZERS[name](KEY, 2, 3)
    expected = EXACT[name](uniform(KEY, 6).tolist(), normal(KEY, 6).tolist())
    assert W.shape == (2, 3)
    np.testing.assert_allclose(W.ravel(), expected, rtol=1e-13, atol=1e-15)


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
