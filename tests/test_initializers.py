"""Initial weights have the variance that they should, and are the same everywhere."""

import numpy as np
import pytest

from xpnet.errors import UsageError
from xpnet.initializers import INITIALIZERS, initial_weights
from xpnet.random import Purpose, step_keys

KEY = step_keys(0, Purpose.WEIGHTS, 1, range(1))[0]
VARIANCES = {"glorot": 2 / (400 + 100), "he": 2 / 400, "lecun": 1 / 400}


@pytest.mark.parametrize("name", [n for n in INITIALIZERS if "-" in n])
def test_mean_and_variance(name: str) -> None:
    """Within 6 standard deviations of 40,000 draws."""
    W = initial_weights(name, KEY, 400, 100)
    variance = VARIANCES[name.partition("-")[0]]
    kurtosis = 3 if name.endswith("normal") else 9 / 5
    assert W.shape == (400, 100)
    assert abs(W.mean()) < 6 * np.sqrt(variance / W.size)
    assert abs(W.var() - variance) < 6 * variance * np.sqrt((kurtosis - 1) / W.size)


@pytest.mark.parametrize("name", ["glorot-uniform", "he-uniform", "lecun-uniform"])
def test_uniform_weights_stay_within_their_bound(name: str) -> None:
    bound = np.sqrt(3 * VARIANCES[name.partition("-")[0]])
    assert np.max(np.abs(initial_weights(name, KEY, 400, 100))) <= bound


@pytest.mark.parametrize(("fan_in", "fan_out"), [(5, 5), (8, 3), (3, 8), (1, 4)])
def test_orthogonal_weights_keep_lengths(fan_in: int, fan_out: int) -> None:
    W = initial_weights("orthogonal", KEY, fan_in, fan_out)
    gram = W.T @ W if fan_in >= fan_out else W @ W.T
    assert W.shape == (fan_in, fan_out)
    assert np.max(np.abs(gram - np.eye(min(fan_in, fan_out)))) < 1e-14


def test_orthogonal_weights_have_no_favourite_direction() -> None:
    """The sign of each element is as often + as -; 6 standard deviations of 400 draws."""
    keys = step_keys(0, Purpose.WEIGHTS, 1, range(400))
    signs = np.mean([np.sign(initial_weights("orthogonal", key, 3, 3)) for key in keys], axis=0)
    assert np.max(np.abs(signs)) < 6 / np.sqrt(400)


def test_zeros_are_zeros() -> None:
    assert not np.any(initial_weights("zeros", KEY, 3, 4))


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'he-uniform'"):
        initial_weights("he-unifrom", KEY, 4, 4)
