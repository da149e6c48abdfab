"""What metrics accept as labels, probabilities and numbers, and what they refuse."""

import math
import re
from typing import Any

import numpy as np
import pytest
from helpers import Library, needed

import xpnet
from xpnet.arrays import to_numpy
from xpnet.errors import DataError, UsageError
from xpnet.metrics import (
    accuracy,
    balanced_accuracy,
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

OF_LABELS = (accuracy, balanced_accuracy, confusion_matrix, precision_recall_f1)
OF_COLUMNS = (log_loss, calibration_error, top_k_accuracy)
MORE: dict[str, tuple[Any, ...]] = {"top_k_accuracy": (1,), "pinball_loss": (0.5,)}
P = np.asarray([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0.25, 0.25, 0.5]])


# Labels

NAMES = ["gnu", "ox", "bee", "ant"]
T, PREDICTED = np.asarray([0, 1, 2, 2, 1, 0, 2]), np.asarray([0, 2, 2, 1, 1, 0, 0])
KINDS = {
    "U": np.asarray,
    "O": lambda names: np.asarray(names, dtype=object),
    "T": lambda names: np.asarray(names, dtype=np.dtypes.StringDType()),
    "list": list,
    "tuple": tuple,
}


@pytest.mark.parametrize("kind", KINDS)
def test_labels_may_be_names(kind: str) -> None:
    """In their order, the results are those of the numbers 2, 3 and 1."""
    t, predicted = ([NAMES[i] for i in each] for each in (T, PREDICTED))
    t, predicted = KINDS[kind](t), KINDS[kind](predicted)
    numbers = [np.asarray([2, 3, 1])[each] for each in (T, PREDICTED)]
    for metric in OF_LABELS:
        assert np.array_equal(metric(t, predicted), metric(*numbers))
    assert confusion_matrix(t, predicted).tolist() == [[1, 1, 1], [0, 2, 0], [1, 0, 1]]
    for labels in (NAMES, tuple(NAMES), np.asarray(NAMES)):
        matrix = confusion_matrix(t, predicted, labels)
        assert np.array_equal(matrix, confusion_matrix(T, PREDICTED, 4))
    p = np.exp(np.arange(28.0).reshape(7, 4) % 9)
    p /= p.sum(axis=1, keepdims=True)
    for metric in OF_COLUMNS:
        more = MORE.get(metric.__name__, ())
        assert metric(t, p, *more, labels=NAMES) == metric(T, p, *more)


@pytest.mark.parametrize("labels", [("b", "a", "c"), (7, -2, 3), (0, 1, 2)])
def test_what_a_model_predicts_is_measured(xp: Library, labels: tuple[Any, ...]) -> None:
    """Names as lists and of NumPy; other libraries predict positions in `labels`."""
    xp.needs_argmax()
    x = np.asarray([[3.0, 0.0], [0.0, 3.0], [2.0, 1.0], [-1.0, -1.0]])
    model = xpnet.mlp(2, 3, labels=labels, dtype=xp.dtype)
    predicted = model.predict(xp.array(x))
    if isinstance(labels[0], str) and not isinstance(predicted, np.ndarray):
        with pytest.raises(
            UsageError, match=r"t holds names and predicted numbers.* look the names"
        ):
            accuracy(["a"] * 4, predicted)
        predicted = [labels[i] for i in to_numpy(predicted)]
    host = predicted if isinstance(predicted, list) else to_numpy(predicted).tolist()
    t = [*host[:3], next(label for label in labels if label != host[3])]
    assert float(to_numpy(accuracy(t, predicted))) == 3 / 4
    matrix = to_numpy(confusion_matrix(t, predicted, model.labels))
    assert (matrix.sum(), matrix.trace()) == (4, 3)
    p = model.predict_proba(xp.array(x))
    expected = -np.mean(np.log([to_numpy(p)[i, labels.index(label)] for i, label in enumerate(t)]))
    assert float(to_numpy(log_loss(t, p, model.labels))) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("here", ["bool", "int8", "uint8", "uint16", "int32", "uint64"])
def test_labels_may_differ_in_type(xp: Library, here: str) -> None:
    """Where array-api-strict and PyTorch have no common type, too."""
    if here == "uint64" and xp.dtype == "float32":
        pytest.skip("it has no type of 64 bits")
    t, predicted = np.asarray([1, 0, 1, 1]), np.asarray([1, 0, 0, -1])
    given = xp.array(t.astype(here)), xp.array(predicted)
    assert float(to_numpy(accuracy(*given))) == 1 / 2
    assert to_numpy(confusion_matrix(*given)).tolist() == [[0, 0, 0], [0, 1, 0], [1, 1, 1]]


def test_labels_beyond_32_bits_are_not_truncated(xp: Library) -> None:
    t, predicted = [2**32 + 3, 2**63, -(2**40), 3], xp.array(np.asarray([3, 0, 0, 3]), "int32")
    assert float(to_numpy(accuracy(t[2:], predicted[2:]))) == 1 / 2
    assert float(to_numpy(accuracy(t[:1], predicted[:1]))) == 0
    assert float(to_numpy(accuracy(t[1:2], predicted[1:2]))) == 0


def test_labels_of_one_type_are_compared_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    strict = needed("array_api_strict")
    t = strict.asarray([1, 2], device=strict.Device("device1"))
    monkeypatch.setattr(type(t), "to_device", None)
    assert float(accuracy(t, t)) == 1


def test_jax_traces_metrics_that_read_no_value() -> None:
    """An array that is traced lies on no device that could differ from that of another."""
    jax = needed("jax")
    t, y = jax.numpy.asarray([1, 2]), jax.numpy.asarray([1.5, 4.5])
    assert float(jax.jit(lambda predicted: accuracy(t, predicted))(t)) == 1
    assert float(jax.jit(lambda x: mean_absolute_error(y, x))(y + 1)) == 1


@pytest.mark.parametrize("metric", [*OF_LABELS[1:], *OF_COLUMNS])
def test_a_label_that_is_not_accepted_is_named(xp: Library, metric: Any) -> None:
    more = MORE.get(metric.__name__, ())
    second = xp.array(P) if metric in OF_COLUMNS else xp.array(np.asarray([0, 2, 0]))

    def refused(t: list[Any], labels: Any, message: str) -> None:
        given = xp.array(np.asarray(t)) if isinstance(t[0], int) else t
        with pytest.raises(DataError, match=re.escape(message)):
            metric(given, second, *more, labels=labels)

    accepted = None if metric in OF_COLUMNS else 3
    refused([0, 3, 4], accepted, "t[1] is 3; expected one of the labels 0, 1, 2: correct it")
    refused([0, 0, -1], accepted, "t[2] is -1; expected one of the labels 0, 1, 2:")
    refused([5, 7, 0], (0, 2, 5), "t[1] is 7; expected one of the labels 0, 2, 5:")
    if metric in OF_COLUMNS:
        refused(["a", "b", "A"], ("a", "b", "c"), "t[2] is 'A'; expected one of the labels 'a', ")
        refused(["0", "1", "2"], None, "t[0] is '0'; expected one of the labels 0, 1, 2:")
        return
    with pytest.raises(
        DataError, match=re.escape("predicted[1] is 2; expected one of the labels 0, 1:")
    ):
        metric([0, 1, 0], second, labels=2)
    eleven = [*range(11, 0, -1)]
    with pytest.raises(
        DataError, match=r"labels 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, \.\.\.: correct it"
    ):
        metric([11, 11, 11], second, labels=eleven)


# Shapes

ROW, COLUMN, TABLE = np.ones(3), np.ones((3, 1)), np.ones((3, 2))
SAME = [(ROW, COLUMN), (COLUMN, ROW), (ROW[:1], ROW), (ROW, TABLE), (np.ones(()), np.ones(()))]
OF_EACH = [(ROW[:1], TABLE), (COLUMN, TABLE), (ROW, ROW[:2]), (ROW, np.ones((3, 2, 1)))]
OF_SCORES = [(ROW[:1], TABLE), (COLUMN, TABLE), (ROW, ROW[:2]), (ROW, np.ones((3, 3)))]
MISSHAPEN: dict[str, list[tuple[Any, Any]]] = {
    "accuracy": [*SAME, (TABLE, TABLE), (COLUMN, COLUMN)],
    "average_precision": OF_SCORES,
    "balanced_accuracy": [*SAME, (TABLE, TABLE), (COLUMN, COLUMN)],
    "calibration_error": OF_EACH,
    "confusion_matrix": [*SAME, (TABLE, TABLE), (COLUMN, COLUMN)],
    "log_loss": OF_EACH,
    "mean_absolute_error": SAME,
    "mean_squared_error": SAME,
    "pinball_loss": SAME,
    "precision_recall_f1": [*SAME, (TABLE, COLUMN), (TABLE, TABLE.T)],
    "r2": SAME,
    "roc_auc": OF_SCORES,
    "subset_accuracy": [*SAME, (ROW, ROW), (TABLE, COLUMN), (TABLE, TABLE.T)],
    "top_k_accuracy": [*OF_EACH, (ROW, ROW)],
}


def test_every_metric_has_shapes_that_do_not_fit() -> None:
    assert {*MISSHAPEN} == {*METRICS}


@pytest.mark.parametrize("name", MISSHAPEN)
def test_shapes_that_do_not_fit_are_refused(xp: Library, name: str) -> None:
    for given in MISSHAPEN[name]:
        dtypes = ["int32", xp.dtype] if METRICS[name] in OF_COLUMNS else ["int32"] * 2
        t, second = (xp.array(a, dtype) for a, dtype in zip(given, dtypes, strict=True))
        message = rf"t has shape {re.escape(str(given[0].shape))} and \w+ has shape "
        message += rf"{re.escape(str(given[1].shape))}; expected \(n"
        with pytest.raises(UsageError, match=message):
            METRICS[name](t, second, *MORE.get(name, ()))


@pytest.mark.parametrize("name", MISSHAPEN)
def test_empty_arrays_are_refused(xp: Library, name: str) -> None:
    for shape in ((0,), (0, 2), (3, 0)):
        empty = xp.array(np.zeros(shape), "int32")
        message = rf"t is empty, of shape {re.escape(str(shape))}; expected at least one sample"
        with pytest.raises(UsageError, match=message):
            METRICS[name](empty, empty, *MORE.get(name, ()))
    with pytest.raises(UsageError, match="t is empty"):
        METRICS[name]([], [], *MORE.get(name, ()))


# Types


@pytest.mark.parametrize("metric", [*OF_LABELS, *OF_COLUMNS])
def test_labels_of_another_type_are_refused(metric: Any) -> None:
    more = MORE.get(metric.__name__, ())
    second = P if metric in OF_COLUMNS else np.zeros(3, np.int64)
    for t, message in (
        (np.zeros(3), "t is float64; expected integers or names. Convert whole numbers"),
        (np.zeros(3, complex), "t is complex128"),
        (np.asarray([b"a"] * 3), r"t is \|S1"),
        ([None] * 3, "t is object"),
        (["a", 1, "a"], "t holds names and other values; expected names only"),
        ([[0], [0, 1], [0]], "t cannot be converted to an array"),
        ("abc", "str is no array that xpnet can compute with"),
        (3, "int is no array"),
        ({0, 1, 2}, "set is no array"),
    ):
        with pytest.raises(UsageError, match=message):
            metric(t, second, *more)


@pytest.mark.parametrize("metric", OF_LABELS)
def test_names_are_not_compared_with_numbers(metric: Any) -> None:
    with pytest.raises(UsageError, match="t holds names and predicted numbers; expected labels of"):
        metric(["0", "1"], np.asarray([0, 1]))
    with pytest.raises(UsageError, match="predicted holds names and t numbers"):
        metric([0, 1], ["0", "1"])


@pytest.mark.parametrize("name", ["log_loss", "mean_absolute_error", "subset_accuracy"])
def test_what_is_no_real_number_is_refused(name: str) -> None:
    for wrong in (np.ones((3, 2), complex), np.full((3, 2), "a"), np.full((3, 2), None)):
        with pytest.raises(UsageError, match=r"is (complex128|<U1|object); expected real numbers"):
            METRICS[name](np.ones(3, int) if name == "log_loss" else np.ones((3, 2)), wrong)


def test_numbers_of_integer_types_do_not_overflow(xp: Library) -> None:
    t, y = xp.array(np.asarray([0, 255]), "uint8"), xp.array(np.asarray([255, 1]), "uint8")
    assert float(to_numpy(mean_absolute_error(t, y))) == (255 + 254) / 2
    assert float(to_numpy(mean_squared_error(t, y))) == (255**2 + 254**2) / 2
    assert float(to_numpy(mean_absolute_error(t, xp.array(np.asarray([255.0, 1.0]))))) == 509 / 2


@pytest.mark.parametrize("kind", ["int32", "uint32", "int64", "float64"])
def test_numbers_of_a_wide_type_keep_their_digits(xp: Library, kind: str) -> None:
    """Around 1.7e9 float32 has one number in 128.  The narrow ones are integers of that kind too.

    Of libraries without float64 all numbers become float32.
    """
    rng, there = np.random.default_rng(0), xp.dtype if kind == "float64" else kind
    for n, spread in ((60, 60), (7, 1000)):
        wide = 1_700_000_000 + rng.integers(0, spread, size=n)
        narrow = np.full(n, 1_700_000_000, dtype=np.float32)
        for t, y in ((wide, narrow), (narrow, wide)):
            d = t.astype(float) - y
            expected = [np.mean(abs(d)), np.mean(d * d), np.mean(np.maximum(d / 4, -3 * d / 4))]
            variance = np.var(t.astype(float))
            expected.append(1 - expected[1] / variance if variance else 0)
            for given in (list, lambda a: a.astype(kind), lambda a: xp.array(a, there)):
                here = [given(a) if a is wide else xp.array(a, "float32") for a in (t, y)]
                found = [to_numpy(x) for x in (
                    mean_absolute_error(*here), mean_squared_error(*here),
                    pinball_loss(*here, 0.25), r2(*here),
                )]  # fmt: skip
                assert {str(x.dtype) for x in found} == {xp.dtype}
                if xp.dtype == "float64":
                    assert [float(x) for x in found] == pytest.approx(expected, rel=1e-12)


def test_narrow_numbers_stay_float32(xp: Library) -> None:
    y = xp.array(np.asarray([1.5, 4.5]), "float32")
    for t in (xp.array(np.asarray([1, 4]), "int16"), np.asarray([1, 4], np.uint8), y):
        assert str(to_numpy(r2(t, y)).dtype) == "float32"


def test_scores_of_wide_integers_are_ranked_exactly(xp: Library) -> None:
    if xp.dtype == "float64":
        scores = xp.array(2**40 + np.asarray([0, 1]), "int64")
        assert float(to_numpy(roc_auc([0, 1], scores))) == 1
        both = xp.array(2**40 + np.asarray([[0, 1], [1, 0]]), "int64")
        assert float(to_numpy(top_k_accuracy([1, 0], both, 1))) == 1


# The accepted labels


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (0, r"labels must be a whole number in \[1, 1000000\], got 0"),
        (True, "whole number in .* got True"),
        ((0, 1, 0), "labels holds 0 twice; expected different labels"),
        (("a", 0), "labels holds names and other values"),
        ((0.0, 1.0), "labels is float64; expected integers or names"),
        (((0, 1), (2, 3)), r"labels has shape \(2, 2\); expected one label for each column"),
        ((), r"labels is empty"),
        ("ab", "str is no array"),
    ],
)
def test_labels_that_make_no_sense_are_refused(labels: Any, message: str) -> None:
    for metric in OF_LABELS[1:]:
        with pytest.raises(UsageError, match=message):
            metric(T, PREDICTED, labels)
    if not isinstance(labels, int):
        with pytest.raises(UsageError, match=message):
            log_loss([0, 0, 0], P, labels)


def test_one_label_for_each_column() -> None:
    for metric in OF_COLUMNS:
        with pytest.raises(
            UsageError, match="labels holds 2 labels for 3 columns; expected one for each"
        ):
            metric([0, 1, 0], P, *MORE.get(metric.__name__, ()), labels=(0, 1))
    indicators = np.eye(3)
    assert precision_recall_f1(indicators, indicators, 3) == (1, 1, 1)
    assert precision_recall_f1(indicators, indicators, ["a", "b", "c"]) == (1, 1, 1)
    with pytest.raises(UsageError, match="labels holds 4 labels for 3 columns"):
        precision_recall_f1(indicators, indicators, 4)


# Values


def test_indicators_that_are_neither_0_nor_1_are_refused(xp: Library) -> None:
    right = np.asarray([[1.0, 0.0], [0.0, 1.0]])
    for metric in (precision_recall_f1, subset_accuracy):
        for wrong in (0.5, 2.0, -1.0, float("nan")):
            t = right.copy()
            t[1, 0] = wrong
            given = xp.array(t), xp.array(right)
            with pytest.raises(DataError, match=rf"t\[1, 0\] is {wrong}; expected 0 or 1"):
                metric(*given)
            with pytest.raises(DataError, match=rf"predicted\[1, 0\] is {wrong}; expected 0 or 1"):
                metric(*given[::-1])


def test_what_is_no_probability_is_refused(xp: Library) -> None:
    for metric in (log_loss, calibration_error):
        for wrong in (-0.25, 1.25, float("nan"), float("inf")):
            p = P.copy()
            p[2, 1] = wrong
            with pytest.raises(DataError, match=rf"p\[2, 1\] is {wrong}; expected a probability"):
                metric([0, 0, 0], xp.array(p))
            with pytest.raises(DataError, match=rf"p\[2\] is {wrong}; expected a probability"):
                metric([0, 0, 0], xp.array(p[:, 1]))


def test_rows_that_do_not_sum_to_one_are_refused(xp: Library) -> None:
    """Up to 1e-3 they are accepted: probabilities may have been rounded."""
    p = P.copy()
    p[1] += 0.0003
    assert float(to_numpy(log_loss([0, 0, 0], xp.array(p)))) > 0
    p[1] -= 0.0008
    message = r"p.sum\(axis=1\)\[1\] is 0.998.*; expected probabilities that sum to one"
    with pytest.raises(DataError, match=message):
        log_loss([0, 0, 0], xp.array(p))
    p[1] = 0.375
    with pytest.raises(DataError, match=r"p.sum\(axis=1\)\[1\] is 1.125;"):
        log_loss([0, 0, 0], xp.array(p))
    if not xp.name.startswith("strict-no_x64"):
        assert float(to_numpy(calibration_error([0, 0, 0], xp.array(p)))) > 0


# Parameters


@pytest.mark.parametrize("value", [0, -1, 10_001, 1.5, "3", None, True])
def test_bins_out_of_range_are_refused(value: Any) -> None:
    message = f"bins must be a whole number in [1, 10000], got {value!r}"
    with pytest.raises(UsageError, match=re.escape(message)):
        calibration_error([0, 0, 0], P, value)


@pytest.mark.parametrize("value", [0, -1, 4, 1.5, "3", None, True])
def test_k_out_of_range_is_refused(value: Any) -> None:
    message = f"k must be a whole number in [1, 3], got {value!r}"
    with pytest.raises(UsageError, match=re.escape(message)):
        top_k_accuracy([0, 0, 0], P, value)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.5", None, 0.5j])
def test_a_quantile_out_of_range_is_refused(value: Any) -> None:
    message = f"quantile must be a number in [0, 1], got {value!r}"
    with pytest.raises(UsageError, match=re.escape(message)):
        pinball_loss(ROW, ROW, value)


def test_an_average_of_another_name_is_refused() -> None:
    for average in ("mean", "none", "Macro"):
        message = f"average must be macro, micro, weighted or None, got {average!r}"
        with pytest.raises(UsageError, match=message):
            precision_recall_f1(T, PREDICTED, None, average)


def test_parameters_may_be_numbers_of_numpy() -> None:
    """A quantile of float64 leaves arrays of float32 as they are."""
    p, t = P.astype(np.float32), [0, 1, 2]
    assert calibration_error(t, p, np.int64(15)) == calibration_error(t, p)
    assert top_k_accuracy(t, p, np.int32(1)) == top_k_accuracy(t, p, 1)
    assert np.array_equal(
        confusion_matrix(T, PREDICTED, np.int64(3)), confusion_matrix(T, PREDICTED)
    )
    for quantile in (np.float64(0.25), np.float32(0.25)):
        assert pinball_loss(p, p + 1, quantile).dtype == np.float32


@pytest.mark.parametrize("name", METRICS)
def test_weights_are_checked(name: str) -> None:
    """There is one for each sample, whichever of the arrays is looked at."""
    two = name in ("roc_auc", "average_precision")
    second: Any = {
        "subset_accuracy": np.ones((3, 2)),
        "roc_auc": ROW,
        "average_precision": ROW,
    }.get(name, P if METRICS[name] in OF_COLUMNS else np.asarray([0, 1, 1]))
    t = np.ones((3, 2)) if name == "subset_accuracy" else np.asarray([0, 1, 1 if two else 2])
    for w, message in (
        ([1, 2], r"sample_weight has shape \(2,\); expected 3 numbers"),
        ([1, -1, 1], "0 or more"),
        ([0, 0, 0], "not all 0"),
        ([1, math.nan, 1], "finite"),
    ):
        with pytest.raises(DataError, match=message):
            METRICS[name](t, second, *MORE.get(name, ()), sample_weight=w)
