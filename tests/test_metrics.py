"""Metrics by other means."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import Library, needed

from xpnet.arrays import to_numpy
from xpnet.errors import UsageError
from xpnet.metrics import (
    accuracy,
    balanced_accuracy,
    calibration_error,
    confusion_matrix,
    correct,
    interval,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    pinball_loss,
    precision_recall_f1,
    r2,
    subset_accuracy,
    top_k_accuracy,
)

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


def sklearn(name: str, *args: Any, **options: Any) -> Any:
    """What a function of sklearn.metrics gives, without its warnings of undefined scores."""
    metrics = needed("sklearn.metrics")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(metrics, name)(*args, **options)


def number(x: Any, dtype: str = "float32") -> float:
    """A 0-d array of that type as a float."""
    host = to_numpy(x)
    assert (host.shape, str(host.dtype)) == ((), dtype)
    return float(host)


RNG = np.random.default_rng(7)
# Of five classes: 3 is never in t, 2 never predicted, 4 neither.
LABELS = {
    "random": (RNG.integers(0, 3, 80), RNG.choice([0, 1, 3], 80)),
    "all right": (T, T),
    "all wrong": (T, (T + 1) % 3),
    "one, right": (T[:1], T[:1]),
    "one, wrong": (T[:1], T[:1] + 1),
    "one class": (np.asarray([1, 1, 1]), np.asarray([1, 1, 1])),
}
# Of five columns: 3 is never in t, 2 never predicted, 4 neither.
INDICATORS = {
    "random": (
        RNG.integers(0, 2, (80, 5)) * np.asarray([1, 1, 1, 0, 0]),
        RNG.integers(0, 2, (80, 5)) * np.asarray([1, 1, 0, 1, 0]),
    ),
    "all right": (np.eye(5, dtype=int), np.eye(5, dtype=int)),
    "all wrong": (np.eye(5, dtype=int), 1 - np.eye(5, dtype=int)),
    "one, partly right": (np.asarray([[1, 1, 0, 0, 0]]), np.asarray([[1, 0, 0, 1, 0]])),
    "none in t": (np.zeros((3, 5), dtype=int), np.ones((3, 5), dtype=int)),
    "none at all": (np.zeros((3, 5), dtype=int), np.zeros((3, 5), dtype=int)),
}


@pytest.mark.parametrize(
    ("t", "predicted"),
    [*LABELS.values(), *INDICATORS.values()],
    ids=[*(f"labels: {name}" for name in LABELS), *(f"indicators: {name}" for name in INDICATORS)],
)
def test_precision_recall_and_f1_are_scikit_learns(xp: Library, t: Any, predicted: Any) -> None:
    for average in ("macro", "micro", "weighted"):
        options = {"average": average, "zero_division": 0}
        expected = sklearn("precision_recall_fscore_support", t, predicted, **options)
        scores = precision_recall_f1(xp.array(t), xp.array(predicted), 5, average)
        assert [number(x) for x in scores] == pytest.approx(expected[:3], rel=1e-6), average


def test_precision_recall_and_f1_of_two_classes_by_hand(xp: Library) -> None:
    t, predicted = xp.array([0, 0, 0, 1]), xp.array([0, 1, 1, 1])
    precision, recall, f1 = precision_recall_f1(t, predicted, 2)
    assert number(precision) == pytest.approx((1 + 1 / 3) / 2)
    assert number(recall) == pytest.approx((1 / 3 + 1) / 2)
    assert number(f1) == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_an_average_of_another_name_is_refused() -> None:
    with pytest.raises(UsageError, match="'mean': expected macro, micro or weighted"):
        precision_recall_f1(T, PREDICTED, 3, "mean")


def test_indicators_may_be_floating_point_or_boolean(xp: Library) -> None:
    t, predicted = INDICATORS["random"]
    expected = [number(x) for x in precision_recall_f1(xp.array(t), xp.array(predicted), 5)]
    for dtype in (xp.dtype, "bool", "uint8"):
        scores = precision_recall_f1(xp.array(t, dtype), xp.array(predicted, dtype), 5)
        assert [number(x) for x in scores] == expected


@pytest.mark.parametrize(("t", "predicted"), LABELS.values(), ids=LABELS)
def test_balanced_accuracy_is_scikit_learns(xp: Library, t: Any, predicted: Any) -> None:
    expected = sklearn("balanced_accuracy_score", t, predicted)
    balanced = balanced_accuracy(xp.array(t), xp.array(predicted), 5)
    assert number(balanced) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("t", "predicted"), INDICATORS.values(), ids=INDICATORS)
def test_subset_accuracy_is_scikit_learns(xp: Library, t: Any, predicted: Any) -> None:
    expected = sklearn("accuracy_score", t, predicted)
    part = subset_accuracy(xp.array(t), xp.array(predicted))
    assert number(part) == pytest.approx(expected, rel=1e-6)


SCORES = {
    "random": RNG.normal(size=(80, 5)),
    "ties": RNG.integers(0, 3, (80, 5)) / 2,
    "all equal": np.zeros((80, 5)),
    "very large": np.where(RNG.random((80, 5)) < 0.5, 3e38, -3e38),
}


@pytest.mark.parametrize("z", SCORES.values(), ids=SCORES)
def test_top_k_accuracy_is_scikit_learns(xp: Library, z: Any) -> None:
    t = LABELS["random"][0]
    for k in (1, 2, 4, 5, 9):
        expected = sklearn("top_k_accuracy_score", t, z, k=k, labels=range(5))
        found = number(top_k_accuracy(xp.array(t), xp.array(z), k))
        assert found == pytest.approx(expected, rel=1e-6), k


def test_top_k_accuracy_ranks_infinities_and_nan(xp: Library) -> None:
    z = xp.array([[1.0, -math.inf, math.inf], [1.0, -math.inf, math.inf], [math.nan] * 3])
    assert [number(top_k_accuracy(xp.array([2, 0, 1]), z, k)) for k in (1, 2, 9)] == pytest.approx(
        [1 / 3, 2 / 3, 1]
    )


def test_top_1_of_uint8_labels_and_one_sample(xp: Library) -> None:
    t, z = xp.array([1], "uint8"), xp.array([[0.2, 0.7, 0.1]])
    assert number(top_k_accuracy(t, z, 1)) == 1
    assert number(top_k_accuracy(t, -z, 2)) == 0


def softmax(z: Any) -> Any:
    return np.exp(z) / np.sum(np.exp(z), axis=1, keepdims=True)


def calibration_error_in_loops(t: Any, p: Any, bins: int) -> float:
    """Guo et al. (2017), equation 3, bin by bin and sample by sample."""
    total = 0.0
    for b in range(1, bins + 1):
        members = []
        for label, row in zip(t.tolist(), p.tolist(), strict=True):
            if (b - 1) / bins < max(row) <= b / bins:
                members.append((row.index(max(row)) == label, max(row)))
        if members:
            accuracy = sum(right for right, _ in members) / len(members)
            confidence = sum(c for _, c in members) / len(members)
            total += len(members) / len(t) * abs(accuracy - confidence)
    return total


@pytest.mark.parametrize("bins", [1, 2, 15, 40])
def test_calibration_error_is_that_of_loops(xp: Library, bins: int) -> None:
    xp.needs_argmax()
    t, p = LABELS["random"][0], softmax(2 * SCORES["random"])
    found = number(calibration_error(xp.array(t), xp.array(p), bins), xp.dtype)
    expected = calibration_error_in_loops(t, p, bins)
    assert found == pytest.approx(expected, rel=xp.tolerance(1e-12))


def test_calibration_error_of_two_classes_is_that_of_the_calibration_curve(xp: Library) -> None:
    xp.needs_argmax()
    calibration = needed("sklearn.calibration")
    t, p = np.minimum(LABELS["random"][0], 1), softmax(SCORES["random"][:, :2])
    c, right = np.max(p, axis=1), np.argmax(p, axis=1) == t
    accuracy, confidence = calibration.calibration_curve(right, c, n_bins=15)
    counts, _ = np.histogram(c, np.linspace(0, 1, 16))
    expected = np.sum(counts[counts > 0] / len(t) * np.abs(accuracy - confidence))
    found = number(calibration_error(xp.array(t), xp.array(p)), xp.dtype)
    assert found == pytest.approx(expected, rel=xp.tolerance(1e-12))


def test_calibration_error_by_hand(xp: Library) -> None:
    """Confidences 0.6 and 0.8, the upper ends of two of five bins, and 1; a tie, the first wins."""
    xp.needs_argmax()
    p = [[0.6, 0.4], [0.4, 0.6], [0.8, 0.2], [0.0, 1.0], [0.5, 0.5]]
    # in (0.4, 0.6]: 0.6 right, 0.6 right, 0.5 wrong; in (0.6, 0.8]: right; in (0.8, 1]: right
    expected = (abs(2 - 1.7) + abs(1 - 0.8) + 0) / 5
    found = number(calibration_error(xp.array([0, 1, 0, 1, 1]), xp.array(p), 5), xp.dtype)
    assert found == pytest.approx(expected, rel=1e-6)


def test_calibration_error_of_certainty(xp: Library) -> None:
    xp.needs_argmax()
    p = xp.array(np.eye(3))
    assert number(calibration_error(xp.array([0, 1, 2]), p), xp.dtype) == 0
    assert number(calibration_error(xp.array([1, 2, 0]), p), xp.dtype) == 1
    assert number(calibration_error(xp.array([0]), p[:1, ...]), xp.dtype) == 0


TARGETS = {
    "one column": (RNG.normal(size=60), RNG.normal(size=60)),
    "three columns": (RNG.normal(size=(60, 3)), RNG.normal(size=(60, 3)) * np.arange(1, 4)),
    "perfect": (np.arange(6.0).reshape(3, 2), np.arange(6.0).reshape(3, 2)),
    "constant": (np.full(8, 0.5), np.linspace(0, 1, 8)),
    "constant, perfect": (np.full(8, 0.5), np.full(8, 0.5)),
    "one constant column": (
        np.stack([np.full(9, 2.0), np.full(9, 2.0), np.arange(9.0)], axis=1),
        np.stack([np.full(9, 2.0), np.arange(9.0), np.ones(9)], axis=1),
    ),
    "far from 0": (1000 + RNG.normal(size=60), 1000 + RNG.normal(size=60)),
}
REGRESSION = {
    "mean_absolute_error": (mean_absolute_error, {}),
    "mean_squared_error": (mean_squared_error, {}),
    "r2_score": (r2, {}),
    "mean_pinball_loss": (lambda t, y: pinball_loss(t, y, 0.9), {"alpha": 0.9}),
}


@pytest.mark.parametrize("name", REGRESSION)
@pytest.mark.parametrize(("t", "y"), TARGETS.values(), ids=TARGETS)
def test_metrics_of_numbers_are_scikit_learns(xp: Library, name: str, t: Any, y: Any) -> None:
    metric, options = REGRESSION[name]
    t, y = t.astype(xp.dtype), y.astype(xp.dtype)
    expected = sklearn(name, t.astype(float), y.astype(float), **options)
    found = number(metric(xp.array(t), xp.array(y)), xp.dtype)
    assert found == pytest.approx(expected, rel=xp.tolerance(1e-12), abs=1e-12)


@pytest.mark.parametrize("quantile", [0.0, 0.1, 0.5, 1.0])
def test_pinball_loss_is_scikit_learns(xp: Library, quantile: float) -> None:
    t, y = TARGETS["one column"]
    expected = sklearn("mean_pinball_loss", t, y, alpha=quantile)
    found = number(pinball_loss(xp.array(t), xp.array(y), quantile), xp.dtype)
    assert found == pytest.approx(expected, rel=xp.tolerance(1e-12))


def test_metrics_of_one_number(xp: Library) -> None:
    t, y = xp.array([3.0]), xp.array([1.0])
    found = [number(metric(t, y), xp.dtype) for metric, _ in REGRESSION.values()]
    assert found == pytest.approx([2, 4, math.nan, 1.8], rel=1e-6, nan_ok=True)
    assert math.isnan(number(r2(t, t), xp.dtype))


@pytest.mark.parametrize("value", [0.1, 0.3, 1.1])
def test_r2_of_a_constant_is_0_however_its_mean_is_rounded(xp: Library, value: float) -> None:
    for n in (3, 6, 7, 10, 11):
        assert number(r2(xp.array([value] * n), xp.array([0.0] * n)), xp.dtype) == 0, n


@pytest.mark.parametrize("metric", [metric for metric, _ in REGRESSION.values()], ids=REGRESSION)
def test_a_column_against_a_row_is_refused(metric: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match=r"targets of shape \(3,\) for outputs of \(3, 1\)"):
        metric(np.ones(3), np.ones((3, 1)))


def test_float32_stays_float32(xp: Library) -> None:
    t, y = (xp.array(each, "float32") for each in TARGETS["three columns"])
    for metric, _ in REGRESSION.values():
        number(metric(t, y), "float32")
    z, labels = xp.array(SCORES["random"], "float32"), xp.array(LABELS["random"][0])
    number(top_k_accuracy(labels, z, 2), "float32")
    xp.needs_argmax()
    number(calibration_error(labels, z), "float32")
