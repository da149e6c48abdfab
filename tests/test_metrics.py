"""Metrics by other means."""

import math

import numpy as np
import pytest
from conftest import Library

from xpnet.device import to_numpy
from xpnet.metrics import accuracy, confusion_matrix, correct, interval, log_loss

T, PREDICTED = np.asarray([0, 1, 2, 2, 1, 0, 2]), np.asarray([0, 2, 2, 1, 1, 0, 0])


def test_accuracy_counts_equal_labels(xp: Library) -> None:
    t, predicted = xp.array(T), xp.array(PREDICTED)
    assert int(to_numpy(correct(t, predicted))) == 4
    assert float(to_numpy(accuracy(t, predicted))) == pytest.approx(4 / 7, rel=1e-6)


def test_confusion_matrix_has_true_classes_as_rows(xp: Library) -> None:
    matrix = to_numpy(confusion_matrix(xp.array(T), xp.array(PREDICTED), 4))
    expected = np.zeros((4, 4), dtype=int)
    for t, p in zip(T, PREDICTED, strict=True):
        expected[t, p] += 1
    assert matrix.tolist() == expected.tolist()


def test_log_loss_is_the_mean_surprise(xp: Library) -> None:
    p = np.asarray([[0.5, 0.5], [0.1, 0.9], [1.0, 0.0]])
    value = float(to_numpy(log_loss(xp.array([0, 1, 0]), xp.array(p))))
    assert value == pytest.approx(-(math.log(0.5) + math.log(0.9)) / 3, rel=1e-6)


def test_log_loss_of_probability_0_is_finite(xp: Library) -> None:
    assert 80 < float(to_numpy(log_loss(xp.array([1]), xp.array([[1.0, 0.0]])))) < 710


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


def test_the_interval_covers_the_truth_in_about_95_of_100() -> None:
    rng, p, n = np.random.default_rng(0), 0.9, 500
    draws = rng.binomial(n, p, size=4000)
    covered = np.mean([low <= p <= high for low, high in (interval(int(s), n) for s in draws)])
    assert 0.93 < covered < 0.97


def test_labels_of_uint8_may_have_more_than_256_classes() -> None:
    matrix = confusion_matrix(np.asarray([43, 2], dtype=np.uint8), np.asarray([299, 2]), 300)
    assert np.argwhere(matrix).tolist() == [[2, 2], [43, 299]]
