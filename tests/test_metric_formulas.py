"""Formulas on checked arrays: what `test_metrics` does not see."""

import numpy as np
import pytest
from helpers import Library

from xpnet.arrays import to_numpy
from xpnet.metric_formulas import balanced_accuracy, counts, interval, mean, r2, total

T, PREDICTED = [0, 1, 2, 2], [0, 2, 2, 1]
WEIGHTS = [0.5, 1.0, 2.0, 0.25]


def test_counts_are_exact_without_weights_and_else_of_their_type(xp: Library) -> None:
    """In float32 sums of more than 2^24 ones would be rounded."""
    t, predicted = (xp.array(np.asarray(a), "int32") for a in (T, PREDICTED))
    found = [to_numpy(a) for a in counts(t, predicted, 3)]
    assert [a.tolist() for a in found] == [[1, 0, 1], [1, 1, 2], [1, 1, 2]]
    assert {str(a.dtype) for a in found} == {"int32"}
    weighted = [to_numpy(a) for a in counts(t, predicted, 3, xp.array(WEIGHTS))]
    expected = [[0.5, 0, 2], [0.5, 0.25, 3], [0.5, 1, 2.25]]
    assert [a.tolist() for a in weighted] == expected
    assert {str(a.dtype) for a in weighted} == {xp.dtype}
    assert str(to_numpy(total(t == predicted)).dtype) == "int32"
    shares = balanced_accuracy(found[0], found[2]), balanced_accuracy(weighted[0], weighted[2])
    assert [float(a) for a in shares] == pytest.approx([(1 + 0.5) / 3, (1 + 2 / 2.25) / 3])
    assert (shares[0].dtype, shares[1].dtype) == (np.float32, xp.dtype)


def test_means_are_of_the_type_of_numbers_or_weights(xp: Library) -> None:
    right = xp.array(np.asarray([True, False, True, True]))
    share, weighted = to_numpy(mean(right)), to_numpy(mean(right, xp.array(WEIGHTS)))
    assert (float(share), str(share.dtype)) == (0.75, "float32")
    assert (float(weighted), str(weighted.dtype)) == (pytest.approx(2.75 / 3.75), xp.dtype)


def test_equal_targets_are_met_or_not(xp: Library) -> None:
    """Also by weights, and where an output is off by less than any unit of the targets."""
    t, w = xp.array(np.full((3, 1), 0.1)), xp.array([1.0, 2.0, 3.0])
    off = xp.array([[0.1], [0.1], [0.1 + 1e-6]])
    for weights in (None, w):
        assert float(to_numpy(r2(t, t, weights))) == 1
        assert float(to_numpy(r2(t, off, weights))) == 0


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # scipy.stats.binomtest(successes, n).proportion_ci(method="wilson")
    [
        (9810, 10000, 0.978134, 0.983497),
        (0, 10, 0.0, 0.277533),
        (10, 10, 0.722467, 1.0),
        (1, 2, 0.094531, 0.905469),
    ],
)
def test_interval_is_wilsons(successes: int, n: int, low: float, high: float) -> None:
    assert interval(successes, n) == pytest.approx((low, high), abs=1e-6)


def test_the_interval_is_within_0_and_1_however_it_is_rounded() -> None:
    assert interval(11, 11)[1] == 1  # by the formula alone 1 + 2e-16
    assert interval(0, 11)[0] == 0


def test_the_interval_covers_the_truth_in_about_95_of_100() -> None:
    rng, p, n = np.random.default_rng(0), 0.9, 500
    draws = rng.binomial(n, p, size=4000)
    covered = np.mean([low <= p <= high for low, high in (interval(int(s), n) for s in draws)])
    assert 0.93 < covered < 0.97
