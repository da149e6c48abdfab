"""Initial weights have the variance that they should, and are the same everywhere."""

import numpy as np
import pytest

from xpnet.errors import UsageError
from xpnet.initializers import INITIALIZERS, initial_weights
from xpnet.random import Purpose, step_keys

KEY = step_keys(0, Purpose.WEIGHTS, 1, range(1))[0]
VARIANCES = {"glorot": 2 / (400 + 100), "he": 2 / 400, "lecun": 1 / 400}


@pytest.mark.parametrize("name", INITIALIZERS)
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


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'he-uniform'"):
        initial_weights("he-unifrom", KEY, 4, 4)
