"""Metrics by other means."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from helpers import Library, library, needed, unpaired

from xpnet.arrays import device_of, namespace, to_numpy
from xpnet.errors import DataError, UsageError
from xpnet.metrics import (
    average_precision,
    calibration_error,
    confusion_matrix,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    pinball_loss,
    precision_recall_f1,
    r2,
    roc_auc,
    subset_accuracy,
    top_k_accuracy,
)
from xpnet.registry import METRICS

T, PREDICTED = [0, 1, 2, 2, 1, 0, 2], [0, 2, 2, 1, 1, 0, 0]
# Labels that are not column numbers; sorted they are -3, 7, 8, 9.
ANY, ANY_PREDICTED = [9, 7, 9, -3, -3], [9, 7, 8, 9, -3]
# t and the predictions of five classes: 4 is nowhere, 3 is not in t, 2 is not predicted.
# Counts by class: right 1, 1, 0, 0, 0; predicted 1, 3, 0, 1, 0; actual 3, 1, 1, 0, 0.
FIVE = ([0, 0, 0, 1, 2], [0, 1, 1, 1, 3], 5)
# The same as indicators of four classes: 3 is nowhere, 2 is not in t, 1 is not predicted.
# Counts by column: right 1, 0, 0, 0; predicted 1, 0, 2, 0; actual 3, 1, 0, 0.
COLUMNS = (
    [[1, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]],
    [[1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 1, 0]],
    4,
)
NOTHING = ([[0, 0]], [[0, 0]], 2)
# Of equal scores the one further right counts as higher.
TIES = [[0.1, 0.5, 0.2], [0.5, 0.5, 0.1], [0.5, 0.5, 0.5]]
INFINITE = [[1.0, -math.inf, math.inf], [1.0, -math.inf, math.inf], [math.nan] * 3]
# Confidences 0.6 and 0.8 are the upper ends of bins; of two equal ones the first counts.
PROBABILITIES = [[0.6, 0.4], [0.4, 0.6], [0.8, 0.2], [0.0, 1.0], [0.5, 0.5]]
BINARY = ([0.75, 0.125], [[0.75], [0.125]])
SURE = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
# Columns: perfect; with total 2 and residual 4; constant, with an error; constant and perfect.
TARGETS = [[1.0, 1.0, 7.0, 0.1], [5.0, 2.0, 7.0, 0.1], [3.0, 3.0, 7.0, 0.1]]
OUTPUTS = [[1.0, 1.0, 7.0, 0.1], [5.0, 2.0, 9.0, 0.1], [3.0, 5.0, 7.0, 0.1]]

# The arguments of a metric, and its value worked out by hand.
EXACT: dict[str, list[tuple[tuple[Any, ...], Any]]] = {
    "accuracy": [
        ((T, PREDICTED), 4 / 7),
        (([1], [0]), 0),
        ((ANY, ANY_PREDICTED), 3 / 5),
    ],
    "average_precision": [
        # At 0.8 one of one is right, at 0.5 two of four: the two equal ones count together.
        (([1, 0, 1, 0, 0], [0.8, 0.5, 0.5, 0.5, 0.125]), (1 / 1 + 2 / 4) / 2),
        (([1, 0, 1, 0], [[0.75, 0.25], [0.5, 0.5], [0.5, 0.5], [1.0, 0.0]]), (2 / 3 + 1 / 2) / 2),
        ((["no", "yes"], [[-math.inf], [math.inf]], ("no", "yes")), 1),
        (([1, 1], [0.5, 0.25]), 1),
        (([0, 0], [0.5, 0.25]), math.nan),
    ],
    "balanced_accuracy": [
        ((ANY, ANY_PREDICTED), (1 / 2 + 1 + 1 / 2) / 3),
        ((ANY, ANY_PREDICTED, (9, 7, -3, 8)), (1 / 2 + 1 + 1 / 2) / 3),
        (([0, 0, 0, 1, 2, 2], [0, 1, 1, 1, 3, 2], 5), (1 / 3 + 1 + 1 / 2) / 3),
        (([1, 1], [1, 1], 3), 1),
        (([1, 1], [0, 2], 3), 0),
    ],
    "calibration_error": [
        # In the bin up to 0.6 two of three are right; the samples of 0.8 and 1 are right.
        (([0, 1, 0, 1, 1], PROBABILITIES, 5), (abs(2 - 1.7) + abs(1 - 0.8) + abs(1 - 1)) / 5),
        (([0, 1, 0, 1, 1], PROBABILITIES, 2), (abs(0 - 0.5) + abs(4 - 3)) / 5),
        (([0, 1, 0, 1, 1], PROBABILITIES, 1), abs(4 - 3.5) / 5),
        # By default there are 15 bins, and both are in (9/15, 10/15]; not so with 14 or 16.
        (([0, 1], [[0.61, 0.39], [0.65, 0.35]]), (0.61 + 0.65 - 1) / 2),
        (([0, 1, 2], SURE), 0),
        (([1, 2, 0], SURE), 1),
        (([2], [[0.2, 0.1, 0.7]]), 0.3),
        (([-5], [[0.2, 0.1, 0.7]], 15, (8, 3, -5)), 0.3),
        # Of a single column, the probability of the second label: confidences 0.75 and 0.875.
        *((([1, 1], p), abs(1 - 0.75) / 2 + abs(0 - 0.875) / 2) for p in BINARY),
    ],
    "confusion_matrix": [
        ((T, PREDICTED, 4), [[2, 0, 0, 0], [0, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]),
        ((T, PREDICTED), [[2, 0, 0], [0, 1, 1], [1, 1, 1]]),
        ((ANY, ANY_PREDICTED), [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]]),
        (
            (ANY, ANY_PREDICTED, (9, 7, 2, -3, 8)),
            [
                [1, 0, 0, 0, 1],
                [0, 1, 0, 0, 0],
                [0, 0, 0, 0, 0],
                [1, 0, 0, 1, 0],
                [0, 0, 0, 0, 0],
            ],
        ),
    ],
    "log_loss": [
        (([0, 1, 0], [[0.5, 0.5], [0.1, 0.9], [0.8, 0.2]]), -math.log(0.5 * 0.9 * 0.8) / 3),
        (([3, -1], [[0.5, 0.5], [0.1, 0.9]], (-1, 3)), -math.log(0.5 * 0.1) / 2),
        (([3, -1], [[0.5, 0.5], [0.1, 0.9]], (3, -1)), -math.log(0.5 * 0.9) / 2),
        *((([1, 0], p), -math.log(0.75 * (1 - 0.125)) / 2) for p in BINARY),
    ],
    "mean_absolute_error": [
        (([1.0, 2.0, 4.0], [2.0, 2.0, 1.0]), 4 / 3),
        (([1, 2, 4], [2.0, 2.0, 1.0]), 4 / 3),
        ((TARGETS, OUTPUTS), (2 + 2) / 12),
    ],
    "mean_squared_error": [
        (([1.0, 2.0, 4.0], [2.0, 2.0, 1.0]), 10 / 3),
        ((TARGETS, OUTPUTS), (4 + 4) / 12),
    ],
    "pinball_loss": [
        (([3.0, 1.0], [1.0, 2.0], 0.75), (0.75 * 2 + 0.25 * 1) / 2),
        (([3.0, 1.0], [1.0, 2.0], 0.0), 1 / 2),
        (([3.0, 1.0], [1.0, 2.0], 1.0), 2 / 2),
        ((TARGETS, OUTPUTS, 0.25), 0.75 * (2 + 2) / 12),
    ],
    "precision_recall_f1": [
        (FIVE[:2], ((1 + 1 / 3) / 4, (1 / 3 + 1) / 4, (2 / 4 + 2 / 4) / 4)),
        (FIVE, ((1 + 1 / 3) / 4, (1 / 3 + 1) / 4, (2 / 4 + 2 / 4) / 4)),
        ((*FIVE, "macro"), ((1 + 1 / 3) / 4, (1 / 3 + 1) / 4, (2 / 4 + 2 / 4) / 4)),
        ((*FIVE, "micro"), (2 / 5, 2 / 5, 4 / 10)),
        ((*FIVE, "weighted"), ((3 + 1 / 3) / 5, (3 * 1 / 3 + 1) / 5, (3 * 2 / 4 + 2 / 4) / 5)),
        ((*COLUMNS, "macro"), (1 / 4, 1 / 3 / 4, 2 / 4 / 4)),
        ((*COLUMNS, "micro"), (1 / 3, 1 / 4, 2 / 7)),
        ((*COLUMNS, "weighted"), (3 / 4, 3 * 1 / 3 / 4, 3 * 2 / 4 / 4)),
        *(((*NOTHING, average), (0, 0, 0)) for average in ("macro", "micro", "weighted")),
        (
            (*FIVE, None),
            ([1, 1 / 3, 0, 0, 0], [1 / 3, 1, 0, 0, 0], [2 / 4, 2 / 4, 0, 0, 0], [3, 1, 1, 0, 0]),
        ),
    ],
    "r2": [
        (([1.0, 3.0], [1.0, 2.0]), 1 - 1 / 2),
        ((TARGETS, OUTPUTS), (1 + (1 - 4 / 2) + 0 + 1) / 4),
        (([3.0], [1.0]), math.nan),
        (([3.0], [3.0]), math.nan),
    ],
    "roc_auc": [
        # Of six pairs the higher score is the positive one's in four, and two are equal.
        (([1, 0, 1, 0, 0], [0.8, 0.5, 0.5, 0.5, 0.125]), (4 + 2 / 2) / 6),
        (([1, 0, 1, 0], [[0.75, 0.25], [0.5, 0.5], [0.5, 0.5], [1.0, 0.0]]), (2 + 1 / 2) / 4),
        (([1, 0, 1, 0], [[0.25], [0.5], [0.5], [0.0]]), (2 + 1 / 2) / 4),
        ((["no", "yes"], [math.inf, -math.inf], ("no", "yes")), 0),
        ((["no", "yes"], [1.0, 1.0], ("no", "yes")), 1 / 2),
        ((["no", "yes"], [1.0, 2.0], ("yes", "no")), 0),
        (([1, 1], [0.5, 0.25]), math.nan),
        (([0, 0], [0.5, 0.25]), math.nan),
    ],
    "subset_accuracy": [
        (([[1, 0], [1, 1], [0, 0]], [[1, 0], [1, 0], [0, 0]]), 2 / 3),
        (([[1, 0]], [[0, 1]]), 0),
    ],
    "top_k_accuracy": [
        (([2, 0, 2], TIES, 1), 1 / 3),
        (([2, 0, 1], TIES, 2), 1),
        (([0, 2, 0], TIES, 2), 0),
        (([0, 2, 0], TIES, 3), 1),
        (([-2, 5, -2], TIES, 2, (-2, 0, 5)), 0),
        (([1, 0, 1], [[1, 3], [3, 1], [3, 1]], 1), 2 / 3),
        *((([2, 0, 1], INFINITE, k), right / 3) for k, right in ((1, 1), (2, 2), (3, 2))),
    ],
}
# The type of a value, if it differs from that of the arguments.
DTYPES = {
    "accuracy": "float32", "balanced_accuracy": "float32", "confusion_matrix": "int32",
    "precision_recall_f1": "float32", "subset_accuracy": "float32", "top_k_accuracy": "float32",
}  # fmt: skip


OF_COLUMNS = (
    "average_precision", "calibration_error", "log_loss", "roc_auc", "top_k_accuracy",
)  # fmt: skip


def test_every_metric_has_exact_values() -> None:
    assert unpaired(EXACT, METRICS) == ""


def array(xp: Library, values: Any, dtype: str) -> Any:
    """Integers as they are, other numbers of that type."""
    host = np.asarray(values)
    return xp.array(host, dtype if host.dtype.kind == "f" else None)


@pytest.mark.parametrize("name", EXACT)
def test_metrics_give_exact_values(xp: Library, name: str) -> None:
    """Values have the right type, and are right up to the rounding of a few operations."""
    if name == "calibration_error":
        xp.needs_argmax()
    for dtype in {"float32", xp.dtype}:
        for given, expected in EXACT[name]:
            arguments = [
                array(xp, a, dtype) if isinstance(a, list) and not isinstance(a[0], str) else a
                for a in given
            ]
            value = METRICS[name](*arguments)
            found = [to_numpy(a) for a in (value if isinstance(value, tuple) else (value,))]
            kinds = {str(a.dtype) for a in found[:3]}
            whole = name.startswith("mean") and isinstance(given[0][0], int)
            assert kinds == {DTYPES.get(name, xp.dtype if whole else dtype)}
            expected = expected if isinstance(expected, tuple) else (expected,)
            eps = np.finfo(dtype if name not in DTYPES else "float32").eps
            np.testing.assert_allclose(np.stack(found), expected, rtol=8 * eps, atol=eps)


def test_log_loss_clips_probabilities_0_and_1_by_eps_of_their_type(xp: Library) -> None:
    for dtype, bits in {"float32": 23, xp.dtype: 23 if xp.dtype == "float32" else 52}.items():
        p = xp.array([[1.0, 0.0]], dtype)
        assert float(to_numpy(log_loss([1], p))) == pytest.approx(bits * math.log(2), rel=1e-6)
        assert float(to_numpy(log_loss([0], p))) == pytest.approx(2.0**-bits, rel=1e-6)


def test_labels_of_uint8_may_have_more_than_256_classes(xp: Library) -> None:
    t, predicted = xp.array([43, 2], "uint8"), xp.array([299, 2], "int32")
    matrix = to_numpy(confusion_matrix(t, predicted, 300))
    assert np.argwhere(matrix).tolist() == [[2, 2], [43, 299]]
    z = np.zeros((2, 300))
    z[0, 43] = z[1, 2] = 1
    assert float(to_numpy(top_k_accuracy(t, xp.array(z), 1))) == 1


def test_indicators_may_be_floating_point_or_boolean(xp: Library) -> None:
    t, predicted, m = COLUMNS
    for dtype in (xp.dtype, "bool", "uint8"):
        given = [xp.array(np.asarray(each), dtype) for each in (t, predicted)]
        scores = [to_numpy(score) for score in precision_recall_f1(*given, m)]
        np.testing.assert_allclose(scores, (1 / 4, 1 / 12, 1 / 8), rtol=1e-6)
        assert float(to_numpy(subset_accuracy(given[0], given[0]))) == 1
        assert float(to_numpy(subset_accuracy(*given))) == 0


@pytest.mark.parametrize("value", [0.1, 0.3, 1.1])
def test_r2_of_a_constant_is_0_however_its_mean_is_rounded(xp: Library, value: float) -> None:
    for n in (3, 6, 7, 10, 11):
        assert float(to_numpy(r2(xp.array([value] * n), xp.array([0.0] * n)))) == 0, n


def parts(name: str, given: Sequence[Any]) -> tuple[Any, ...]:
    """Return the arrays that a metric returns: one, or several."""
    value = METRICS[name](*given)
    return value if isinstance(value, tuple) else (value,)


@pytest.mark.parametrize("name", EXACT)
def test_lists_are_taken_as_arrays_of_numpy(name: str) -> None:
    for given, expected in EXACT[name]:
        found = np.stack(parts(name, given))
        np.testing.assert_allclose(found, np.reshape(expected, found.shape), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", EXACT)
def test_t_may_be_a_list_or_an_array_of_another_library(xp: Library, name: str) -> None:
    """A result lies where the predictions lie; or where t lies, if only these are of NumPy.

    Labels are always taken to the probabilities or scores whose columns they name.
    """
    if name == "calibration_error":
        xp.needs_argmax()
    for (t, predicted, *rest), expected in EXACT[name]:
        here, there = array(xp, predicted, xp.dtype), np.asarray(predicted)
        cases = [(t, here, here), (np.asarray(t), here, here)]
        if isinstance(t[0], str):
            continue
        columns = name in OF_COLUMNS
        cases.append((array(xp, t, xp.dtype), there, there if columns else here))
        if xp.name.startswith("strict"):
            cases.append((array(library("strict-device1"), t, xp.dtype), here, here))
        for *given, like in cases:
            found = parts(name, (*given, *rest))
            for part in found:
                assert namespace(part) is namespace(like)
                assert device_of(part) == device_of(like)
            values = np.stack([to_numpy(part) for part in found])
            right = np.reshape(expected, values.shape)
            np.testing.assert_allclose(values, right, rtol=1e-5, atol=1e-6)


RNG = np.random.default_rng(7)
MANY, FOUND = RNG.integers(0, 3, 80), RNG.choice([0, 1, 3], 80)
INDICATORS = (
    RNG.integers(0, 2, (80, 5)) * np.asarray([1, 1, 1, 0, 0]),
    RNG.integers(0, 2, (80, 5)) * np.asarray([1, 1, 0, 1, 0]),
)
SCORES = (
    RNG.normal(size=(80, 5)),
    RNG.integers(0, 3, (80, 5)) / 2,  # ties
    np.where(RNG.random((80, 5)) < 0.5, 3e38, -3e38),
)
NUMBERS = (
    (RNG.normal(size=60), RNG.normal(size=60)),
    (RNG.normal(size=(60, 3)), RNG.normal(size=(60, 3)) * np.arange(1, 4)),
    (1000 + RNG.normal(size=60), 1000 + RNG.normal(size=60)),
)
P = np.exp(SCORES[0]) / np.sum(np.exp(SCORES[0]), axis=1, keepdims=True)
AVERAGES = ("macro", "micro", "weighted")
WEIGHTS = RNG.uniform(0.1, 3, 80)
# Probabilities that are clipped: of each of five labels, and of the second of two.
CERTAIN = np.eye(5)[RNG.integers(0, 5, 80)]
SINGLE = RNG.choice([0.0, 1.0, 0.25, 1e-20], 80)
LABELS, NAMES = np.asarray([-7, 0, 3, 9, 200]), np.asarray(["ant", "bee", "gnu", "ox", "yak"])
# A metric and its arguments; scikit-learn's function and its options.
SKLEARN: list[tuple[str, tuple[Any, ...], str, dict[str, Any]]] = [
    ("subset_accuracy", INDICATORS, "accuracy_score", {}),
    ("log_loss", (MANY, P), "log_loss", {"labels": range(5)}),
    *(
        ("top_k_accuracy", (MANY, z, 2), "top_k_accuracy_score", {"labels": range(5)})
        for z in SCORES
    ),
    ("confusion_matrix", (MANY, FOUND, 5), "confusion_matrix", {"labels": range(5)}),
]
for given in ((MANY, FOUND), (LABELS[MANY], LABELS[FOUND]), (NAMES[MANY], NAMES[FOUND])):
    SKLEARN += [
        ("accuracy", given, "accuracy_score", {}),
        ("balanced_accuracy", given, "balanced_accuracy_score", {}),
        ("confusion_matrix", given, "confusion_matrix", {}),
    ]
for labels in (range(5), LABELS, LABELS[[3, 0, 4, 2, 1]], NAMES, NAMES[::-1]):
    t, found = np.asarray(labels)[MANY], np.asarray(labels)[FOUND]
    options: dict[str, Any] = {"labels": np.asarray(labels)}
    SKLEARN.append(("confusion_matrix", (t, found, labels), "confusion_matrix", options))
for average in ("macro", "micro", "weighted", None):
    options = {"average": average, "zero_division": 0}
    function = "precision_recall_fscore_support"
    for given in ((MANY, FOUND), INDICATORS, (NAMES[MANY], NAMES[FOUND])):
        SKLEARN.append(("precision_recall_f1", (*given, None, average), function, options))
    options = options if average else {**options, "labels": range(5)}
    SKLEARN.append(("precision_recall_f1", (MANY, FOUND, 5, average), function, options))
for labels in (range(5), LABELS, NAMES):
    t, options = np.asarray(labels)[MANY], {"labels": labels}
    for p in (P, P.astype(np.float32), CERTAIN, CERTAIN.astype(np.float32)):
        SKLEARN.append(("log_loss", (t, p, labels), "log_loss", options))
    for k in (1, 2, 4):
        options = {"k": k, "labels": labels}
        for z in SCORES:
            SKLEARN.append(("top_k_accuracy", (t, z, k, labels), "top_k_accuracy_score", options))
for labels in (range(2), LABELS[:2], NAMES[:2]):
    t, options = np.asarray(labels)[np.minimum(MANY, 1)], {"labels": labels}
    for p in (SINGLE, SINGLE[:, None], SINGLE.astype(np.float32)):
        SKLEARN.append(("log_loss", (t, p, labels), "log_loss", options))
for scores in (P[:, 0], np.round(P[:, 0], 1), SCORES[0][:, 0], np.round(P[:, :1], 1)):
    t = np.asarray(LABELS)[np.minimum(MANY, 1)]
    SKLEARN.append(("roc_auc", (t, scores, LABELS[:2]), "roc_auc_score", {}))
    options = {"pos_label": LABELS[1]}
    given = (t, scores, LABELS[:2])
    SKLEARN.append(("average_precision", given, "average_precision_score", options))
for t, y in NUMBERS:
    SKLEARN.append(("r2", (t, y), "r2_score", {}))
    SKLEARN += [(name, (t, y), name, {}) for name in ("mean_absolute_error", "mean_squared_error")]
    for q in (0.1, 0.5):
        SKLEARN.append(("pinball_loss", (t, y, q), "mean_pinball_loss", {"alpha": q}))


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize("name", dict.fromkeys(case[0] for case in SKLEARN))
def test_metrics_are_scikit_learns(name: str) -> None:
    sklearn = needed("sklearn.metrics")
    for _, given, function, options in (case for case in SKLEARN if case[0] == name):
        narrow = name in DTYPES or given[1].dtype == np.float32
        tolerance = 1e-6 if narrow else 1e-12
        w = WEIGHTS[: len(given[0])]
        for weights in ({}, {"sample_weight": w}, {"sample_weight": w * 1e30}):
            expected = getattr(sklearn, function)(*given[:2], **options, **weights)
            found = METRICS[name](*given, **weights)
            if isinstance(expected, tuple):
                expected = np.stack(expected[: len(found)])  # only None gives the support
                found = np.stack(found)
            np.testing.assert_allclose(found, expected, rtol=tolerance)


def test_calibration_error_is_that_of_scikit_learns_curve() -> None:
    """The error of two classes follows from the points of the curve and the counts of its bins."""
    calibration = needed("sklearn.calibration")
    t, p = np.minimum(MANY, 1), P[:, :2] / np.sum(P[:, :2], axis=1, keepdims=True)
    c, right = np.max(p, axis=1), np.argmax(p, axis=1) == t
    accuracy, confidence = calibration.calibration_curve(right, c, n_bins=15)
    counts, _ = np.histogram(c, np.linspace(0, 1, 16))
    expected = np.sum(counts[counts > 0] / len(t) * np.abs(accuracy - confidence))
    assert calibration_error(t, p) == pytest.approx(expected, rel=1e-12)


REPEATS = np.asarray([2, 0, 1, 3, 0, 1, 2, 1])


@pytest.mark.parametrize("name", EXACT)
def test_a_whole_weight_is_a_number_of_equal_samples(xp: Library, name: str) -> None:
    """Also in float32, and in whatever unit; an array on the device or a list."""
    if name == "calibration_error":
        xp.needs_argmax()
    for given, _ in EXACT[name]:
        arguments = [np.asarray(a) if isinstance(a, list) else a for a in given]
        n = len(arguments[0])
        k = np.resize(REPEATS, n) if n > 1 else np.asarray([2])
        if name in ("r2", "roc_auc", "average_precision") and n < 3:
            k = k + 1
        rows = np.repeat(np.arange(n), k)
        more = arguments[2:]
        expected = parts(name, [*(a[rows] for a in arguments[:2]), *more])
        here = [a if a.dtype.kind == "U" else array(xp, a, xp.dtype) for a in arguments[:2]]
        for w in (k.tolist(), xp.array(k.astype("float32"))):
            value = METRICS[name](*here, *more, sample_weight=w)
            found = np.stack(
                [to_numpy(a) for a in (value if isinstance(value, tuple) else (value,))]
            )
            np.testing.assert_allclose(found, np.stack(expected), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", EXACT)
def test_a_sample_of_weight_0_is_not_looked_at(name: str) -> None:
    """Neither its label nor its number is one."""
    (t, predicted, *more), _ = EXACT[name][0]
    odd = ([99], [np.full_like(np.asarray(predicted[0], float), np.nan)])
    if name in ("accuracy", "balanced_accuracy", "confusion_matrix", "precision_recall_f1"):
        odd = ([99], [98])
    elif name == "subset_accuracy":
        odd = ([[7, 7]], [[7, 7]])
    elif np.ndim(t) == 1 and name in ("r2", *(n for n in EXACT if n.endswith(("error", "loss")))):
        odd = ([np.nan], odd[1]) if name not in OF_COLUMNS else odd
    n = len(t)
    expected = METRICS[name](t, predicted, *more, sample_weight=[0.1] * n)
    w = [0.1] * n + [0]
    found = METRICS[name](t + odd[0], [*predicted, *odd[1]], *more, sample_weight=w)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("unit", [1e-300, 0.1, 1e300])
def test_sums_of_weights_are_those_of_any_unit(xp: Library, unit: float) -> None:
    """In float64, or where there is none as float32 rounds them: to 0 or infinity."""
    t, predicted, w = [0, 1, 1, 1], [0, 0, 1, 1], np.asarray([3, 1, 1, 2]) * unit
    given = [xp.array(np.asarray(a), "int32") for a in (t, predicted)]
    matrix = to_numpy(confusion_matrix(*given, sample_weight=w))
    support = to_numpy(precision_recall_f1(*given, average=None, sample_weight=w)[3])
    assert (str(matrix.dtype), str(support.dtype)) == (xp.dtype, xp.dtype)
    if xp.dtype == "float64":
        np.testing.assert_allclose(matrix, np.asarray([[3, 0], [1, 3]]) * unit, rtol=1e-15)
        np.testing.assert_allclose(support, np.asarray([3, 4]) * unit, rtol=1e-15)
    else:
        size = {1e-300: 0.0, 0.1: 0.3, 1e300: math.inf}[unit]
        assert matrix[0].tolist() == [np.float32(size), 0]


def test_one_sample_has_no_r2_unless_it_weighs_more_than_1(xp: Library) -> None:
    t, y = xp.array(np.asarray([3.0])), xp.array(np.asarray([1.0]))
    for w, expected in ((0.5, math.nan), (1, math.nan), (2, 0.0)):
        found = float(to_numpy(r2(t, y, sample_weight=[w])))
        assert found == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("unit", [1e-30, 1e-24, 1e18, 1e30])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scores_of_numbers_do_not_depend_on_their_unit(
    xp: Library, unit: float, dtype: str
) -> None:
    """Squares of such numbers are 0 or infinite in float32."""
    if dtype == "float64" and xp.dtype == "float32":
        pytest.skip("it has no float64")
    t, y = np.asarray(TARGETS)[:, :2] - 2, np.asarray(OUTPUTS)[:, :2] - 2
    there = [xp.array(unit * a, dtype) for a in (t, y)]
    value = float(to_numpy(r2(*there)))
    assert value == pytest.approx((1 + (1 - 4 / 2)) / 2, abs=1e-6)
    assert float(to_numpy(mean_absolute_error(*there))) == pytest.approx(unit * 2 / 6, rel=1e-6)
    assert float(to_numpy(pinball_loss(*there, 0.5))) == pytest.approx(unit / 6, rel=1e-6)
    assert float(to_numpy(r2(*there, sample_weight=[1, 1, 1]))) == pytest.approx(value, abs=1e-6)


def test_a_mean_is_finite_where_the_sum_is_not(xp: Library) -> None:
    t, y = xp.array(np.full(99, 1e37), "float32"), xp.array(np.zeros(99), "float32")
    assert float(to_numpy(mean_absolute_error(t, y))) == pytest.approx(1e37, rel=1e-6)
    t = xp.array(np.full(99, 1.5e19), "float32")
    assert float(to_numpy(mean_squared_error(t, y))) == pytest.approx(2.25e38, rel=1e-6)
    assert float(to_numpy(mean_squared_error(t, t))) == 0


def test_probabilities_of_two_labels_are_checked() -> None:
    for metric in (roc_auc, average_precision):
        with pytest.raises(DataError, match=r"p\[0, 0\] is -1.0; expected a probability"):
            metric([0, 1], [[-1.0, 2.0], [0.5, 0.5]])  # logits: which column counts?
        with pytest.raises(DataError, match=r"p\[1\] is nan; expected a number"):
            metric([0, 1], [0.5, math.nan])
        with pytest.raises(UsageError, match=r"\(n,\), \(n, 1\) or \(n, 2\)"):
            metric([0, 1], np.ones((2, 3)) / 3)
        with pytest.raises(UsageError, match="3 labels for 2 columns"):
            metric([0, 1], [0.5, 0.25], (0, 1, 2))
