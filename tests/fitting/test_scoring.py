"""Scores of logits: weights, units, and what a constant answer scores."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from helpers import Library, library, needed

import xpnet
from xpnet.arrays import to_numpy
from xpnet.fitting import scoring
from xpnet.fitting.evaluation import Evaluation, default_loss, evaluate, tally
from xpnet.fitting.scaling import rescale
from xpnet.fitting.scoring import LOWER_IS_BETTER, scores_of
from xpnet.losses import BinaryCrossEntropy, SoftmaxCrossEntropy
from xpnet.metrics import interval
from xpnet.model import Model

RNG = np.random.default_rng(0)
TASKS = ("two", "one column", "three", "labels", "numbers", "counts", "quantiles")


def case(task: str, n: int = 40, seed: int = 0) -> tuple[Model, Any, Any, str | None]:
    """Return a model, samples, targets and the loss to evaluate by."""
    rng = np.random.default_rng(seed)
    x, outputs = rng.normal(size=(n, 3)), {"two": 2, "one column": 1, "counts": 1}.get(task, 3)
    output = {"one column": "sigmoid", "numbers": "identity", "counts": "exp",
              "quantiles": "identity"}.get(task)  # fmt: skip
    model = xpnet.mlp(3, 4, outputs, output=output, multilabel=task == "labels", dtype="float64")
    y: Any = rng.integers(0, max(outputs, 2), size=n)
    if task == "labels":
        y = rng.integers(0, 2, size=(n, 3))
    elif task == "numbers":
        y = rng.normal(size=(n, 3))
    return model, x, y, "pinball:0.1,0.5,0.9" if task == "quantiles" else None


def flat(x: Any) -> list[Any]:
    """Return the numbers and names in an evaluation, but for the number of samples."""
    if isinstance(x, Evaluation):
        x = {**asdict(x), "samples": None}
    if isinstance(x, dict):
        return [number for value in x.values() for number in flat(value)]
    return [number for each in x for number in flat(each)] if isinstance(x, list | tuple) else [x]


def assert_same(found: Evaluation, expected: Evaluation, rel: float = 1e-10) -> None:
    for a, b in zip(flat(found), flat(expected), strict=True):
        assert a == (pytest.approx(b, rel=rel, abs=rel, nan_ok=True) if type(b) is float else b)


# Weights


def test_samples_of_weight_0_have_no_part_in_a_score() -> None:
    x = RNG.normal(size=(2000, 3))
    t = 2 * x[:, 0] + x[:, 1] ** 2
    off = np.arange(2000) % 20 == 0
    model = rescale(xpnet.mlp(3, 8, 1, output="identity"), t[:, None], np.flatnonzero(~off))
    expected = evaluate(model, x[~off], t[~off])
    found = evaluate(model, x, np.where(off, -9999.0, t), sample_weight=(~off).astype(float))
    assert found == expected
    assert found.samples == 1900


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", ["numpy", "strict-device1"])
def test_a_whole_weight_is_a_number_of_equal_rows(
    task: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hypothesis = pytest.importorskip("hypothesis")
    draw, there = hypothesis.strategies, library(name)
    plain = draw.booleans() if name == "numpy" else draw.just(True)

    @hypothesis.settings(derandomize=True, deadline=None, database=None, max_examples=10)
    @hypothesis.given(draw.lists(draw.integers(0, 3), min_size=2, max_size=12).filter(any),
                      draw.integers(0, 99), plain)  # fmt: skip
    def check(k: list[int], seed: int, plain: bool) -> None:
        model, x, y, loss = case(task, len(k), seed)
        rows = np.repeat(np.arange(len(k)), k)
        odd = np.where(np.asarray(k)[:, None] == 0, np.nan, x)
        y_odd = np.where(np.reshape(k, (-1,) + (1,) * (y.ndim - 1)) == 0, 99, y)
        with monkeypatch.context() as patch:
            if plain:
                patch.setattr("xpnet.prediction.fast_paths", lambda: None)
            found = evaluate(model, there.array(odd), y_odd, loss, sample_weight=k)
            expected = evaluate(model, there.array(x[rows]), y[rows], loss)
        assert_same(found, expected)
        assert found.samples == np.count_nonzero(k)

    check()


@pytest.mark.parametrize("unit", [1e-300, 1e-30, 0.5, 1e30, 1e300])
@pytest.mark.parametrize("task", TASKS)
def test_only_counts_and_intervals_depend_on_the_unit_of_weights(task: str, unit: float) -> None:
    model, x, y, loss = case(task)
    w = RNG.uniform(0.1, 3, size=len(x))
    found, expected = (evaluate(model, x, y, loss, weights) for weights in (w * unit, w))
    assert found.loss == pytest.approx(expected.loss, rel=1e-12)
    assert found.metrics == pytest.approx(expected.metrics, rel=1e-12)
    assert [a.f1 for a in found.classes] == pytest.approx([a.f1 for a in expected.classes])
    for each in found.classes:
        assert type(each.rows) is float


def test_weighted_scores_are_scikit_learns() -> None:
    metrics = needed("sklearn.metrics")
    w = RNG.uniform(0, 3, size=40) * (RNG.random(40) < 0.8)
    for task in ("two", "one column", "three"):
        model, x, y, _ = case(task)
        found, p, predicted = (
            evaluate(model, x, y, None, w),
            model.predict_proba(x),
            model.predict(x),
        )
        functions = [("balanced_accuracy", "balanced_accuracy_score", predicted)]
        if task != "three":
            functions += [
                ("roc_auc", "roc_auc_score", p[:, 1]),
                ("average_precision", "average_precision_score", p[:, 1]),
            ]
        for name, function, answer in functions:
            expected = getattr(metrics, function)(y, answer, sample_weight=w)
            assert found.metrics[name] == pytest.approx(expected, rel=1e-12), name
        columns = metrics.precision_recall_fscore_support(
            y, predicted, sample_weight=w, zero_division=0
        )
        rows = [(a.precision, a.recall, a.f1, a.rows) for a in found.classes]
        np.testing.assert_allclose(rows, np.transpose(columns), rtol=1e-12)
        matrix = metrics.confusion_matrix(y, predicted, sample_weight=w)
        np.testing.assert_allclose(found.confusion_matrix, matrix, rtol=1e-12)
        assert found.accuracy == pytest.approx(
            metrics.accuracy_score(y, predicted, sample_weight=w), rel=1e-12
        )
        assert found.loss == pytest.approx(metrics.log_loss(y, p, sample_weight=w), rel=1e-12)
        hits, n = w @ (y == predicted), w.sum()
        assert found.interval == pytest.approx(interval(hits, n), rel=1e-12)
    model, x, y, _ = case("numbers")
    found = evaluate(model, x, y, sample_weight=w)
    for name, function in (("r2", "r2_score"), ("mean_absolute_error", "mean_absolute_error")):
        expected = getattr(metrics, function)(y, model.predict(x), sample_weight=w)
        assert found.metrics[name] == pytest.approx(expected, rel=1e-12)
    expected = metrics.mean_squared_error(y, model.predict(x), sample_weight=w)
    assert found.loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("w", "message"),
    [
        ([1.0] * 39, r"shape \(39,\); expected 40"),
        ([0] * 40, "not all 0"),
        ([-1] * 40, "0 or more"),
    ],
)
def test_weights_are_checked(w: list[float], message: str) -> None:
    model, x, y, _ = case("three")
    with pytest.raises(xpnet.DataError, match=message):
        evaluate(model, x, y, sample_weight=w)


def test_hits_are_weighted_where_there_are_weights(xp: Library) -> None:
    """Else they are a number of int32."""
    xp.needs_argmax()
    z = xp.array([[1.0, 2.0], [2.0, 1.0], [0.0, 1.0]])
    labels, w = xp.array([1, 1, 1], "int32"), xp.array([0.5, 1.0, 2.0])
    rows = xp.array([[0.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    for loss, t, several in (
        (SoftmaxCrossEntropy(), labels, False), (BinaryCrossEntropy(), rows, True)
    ):  # fmt: skip
        count = to_numpy(tally(z, t, None, loss, several)[1])
        weighted = to_numpy(tally(z, t, w, loss, several)[1])
        expected = (2, 3.0) if several else (2, 2.5)
        assert (int(count), float(weighted)) == expected
        assert (str(count.dtype), str(weighted.dtype)) == ("int32", xp.dtype)


# Units


@pytest.mark.parametrize("unit", [1e-30, 1e-24, 1e18, 1e30])
@pytest.mark.parametrize("output", ["identity", "pinball"])
def test_scores_do_not_depend_on_the_unit_of_targets(xp: Library, unit: float, output: str) -> None:
    """Squares of such numbers are 0 or infinite in float32, of which the model is."""
    loss = "pinball:0.5" if output == "pinball" else None
    x, t = RNG.normal(size=(50, 3)), RNG.normal(size=(50, 1))
    found, one = (evaluated(xp, "float32", x, t, by, loss) for by in (unit, 1.0))
    assert_same_numbers(found, one, unit, loss is None)
    if loss is None:
        y = to_numpy(scaled("float32", t, unit)(x.astype("float32"))) / unit
        assert found.metrics["r2"] == pytest.approx(1 - np.mean((t - y) ** 2) / t.var(), rel=1e-4)


def test_scores_do_not_depend_on_any_unit() -> None:
    hypothesis = pytest.importorskip("hypothesis")
    draw = hypothesis.strategies

    @hypothesis.settings(derandomize=True, deadline=None, database=None, max_examples=20)
    @hypothesis.given(draw.floats(-30, 30), draw.floats(-3, 3), draw.integers(0, 99),
                      draw.sampled_from(["numpy", "strict-no_float64"]))  # fmt: skip
    def check(exponent: float, far: float, seed: int, name: str) -> None:
        rng, there = np.random.default_rng(seed), library(name)
        x, t = rng.normal(size=(20, 3)), rng.normal(size=(20, 1)) + far
        unit = 10.0**exponent
        found, one = (evaluated(there, "float32", x, t, by, None) for by in (unit, 1.0))
        assert_same_numbers(found, one, unit, squares=True)

    check()


def evaluated(xp: Library, dtype: str, x: Any, t: Any, unit: float, loss: str | None) -> Evaluation:
    """Return the evaluation of the same model, scaled to targets of this unit."""
    return evaluate(scaled(dtype, t, unit), xp.array(x, dtype), unit * t, loss)


def scaled(dtype: str, t: Any, unit: float) -> Model:
    model = xpnet.mlp(3, 4, 1, output="identity", dtype=dtype, seed=1)
    return rescale(model, unit * t, np.arange(len(t)))


def assert_same_numbers(found: Evaluation, one: Evaluation, unit: float, squares: bool) -> None:
    assert found.loss / unit / (unit if squares else 1) == pytest.approx(one.loss, rel=1e-4)
    assert found.baseline.beaten == one.baseline.beaten
    for ours, right in ((found, one), (found.baseline, one.baseline)):
        for name, value in right.metrics.items():
            scale = unit if name in ("mean_absolute_error", "loss") else 1
            assert ours.metrics[name] / scale == pytest.approx(value, rel=1e-4, abs=1e-4), name


# A constant answer


def test_the_most_frequent_class_is_the_baseline() -> None:
    """Of two as frequent ones the first; and a model that always answers it is not better."""
    always = xpnet.mlp(2, 2, labels=("no", "yes"), initializer="zeros")
    y = np.asarray(["no"] * 92 + ["yes"] * 8)
    found = evaluate(always, RNG.normal(size=(100, 2)), y)
    base = found.baseline
    assert (base.answer, base.metrics, base.beaten) == ("no", {"accuracy": 0.92}, False)
    assert found.accuracy == 0.92
    assert found.metrics["roc_auc"] == 0.5
    assert [each.rows for each in found.classes] == [92, 8]
    assert found.confusion_matrix == ((92, 0), (8, 0))
    tie = evaluate(always, np.zeros((4, 2)), ["yes", "yes", "no", "no"]).baseline
    assert (tie.answer, tie.metrics["accuracy"]) == ("no", 0.5)
    weighted = evaluate(always, np.zeros((3, 2)), ["no", "no", "yes"], sample_weight=[1, 1, 3])
    assert (weighted.baseline.answer, weighted.baseline.metrics["accuracy"]) == ("yes", 0.6)


@pytest.mark.parametrize(("wrong", "beaten"), [(0, True), (8, True), (25, False), (90, False)])
def test_a_baseline_is_beaten_if_it_is_below_the_interval(wrong: int, beaten: bool) -> None:
    """The model answers by the sign of x; 70 of 100 samples are of class 1."""
    x = np.where(np.arange(100) < 70, 1.0, -1.0)[:, None]
    y = (x[:, 0] > 0).astype(int)
    x[:wrong] *= -1
    model = xpnet.mlp(1, 1, output="sigmoid", dtype="float64")
    sign = np.sign(model(np.ones((1, 1)))[0, 0])
    found = evaluate(model, x * sign, y)
    assert found.accuracy == pytest.approx(1 - wrong / 100)
    low, _ = found.interval
    assert (found.baseline.metrics["accuracy"], found.baseline.beaten) == (0.7, beaten)
    assert beaten == (low > 0.7)


def test_the_most_frequent_set_is_the_baseline_of_several_labels() -> None:
    model = xpnet.mlp(2, 3, multilabel=True, labels=("a", "b", "c"))
    y = [[0, 1, 1]] * 3 + [[1, 0, 0]] * 2
    base = evaluate(model, np.zeros((5, 2)), y).baseline
    assert (base.answer, base.metrics) == (("b", "c"), {"accuracy": 0.6})
    assert evaluate(model, np.zeros((2, 2)), [[0, 0, 0]] * 2).baseline.answer == ()


def test_the_mean_is_the_baseline_of_numbers() -> None:
    model = xpnet.mlp(1, 1, output="identity", dtype="float64")
    x = np.arange(11.0)[:, None]
    t = model(x)
    base = evaluate(model, x, t).baseline
    assert base.answer == pytest.approx((t.mean(),))
    assert base.metrics == pytest.approx(
        {"r2": 0, "mean_absolute_error": np.abs(t - t.mean()).mean()}
    )
    assert base.beaten
    assert not evaluate(model, x, -t).baseline.beaten
    assert not evaluate(model, x, np.full(11, 0.1)).baseline.beaten
    quantiles = evaluate(model, x, t, "pinball:0.5").baseline
    assert quantiles.answer == pytest.approx((np.median(t),))
    middle = np.abs(t - quantiles.answer[0]).mean() / 2
    assert quantiles.metrics == pytest.approx({"loss": middle})


@pytest.mark.parametrize("w", [[1.0, 1, 1, 1], [1, 2, 1, 3], [0.25, 2.5, 0.5, 0.5]])
@pytest.mark.parametrize("unit", [1.0, 2.0])
def test_a_mean_is_above_0_if_its_interval_is(w: list[float], unit: float) -> None:
    """The interval is mean ± 1.959964 √(variance / (n - 1)), where n is the sum of the weights."""
    weights, noise = np.asarray(w), np.asarray([-3.0, 1.0, 2.0, -1.0])
    noise -= np.average(noise, weights=weights)
    n = sum(w) * unit
    half = 1.959964 * np.sqrt(np.average(noise**2, weights=weights) / (n - 1))
    assert not scoring._above_0(noise + half * 0.9999, weights, unit)
    assert scoring._above_0(noise + half * 1.0001, weights, unit)


def test_of_one_sample_no_mean_is_above_0() -> None:
    assert not scoring._above_0(np.ones(1), np.ones(1), 1.0)
    assert not scoring._above_0(np.ones(2), np.full(2, 0.5), 1.0)
    assert scoring._above_0(np.ones(2), np.full(2, 0.5), 3.0)


def test_equal_targets_are_met_by_their_mean() -> None:
    model = xpnet.mlp(1, 2, output="identity", dtype="float64")
    base = evaluate(model, np.ones((3, 1)), np.full((3, 2), 0.1)).baseline
    assert (base.answer, base.metrics["r2"], base.beaten) == ((0.1, 0.1), 1.0, False)
    assert base.metrics["mean_absolute_error"] == 0


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_two_outputs_are_ranked_by_their_difference(output: str) -> None:
    """The second alone puts none of 4 pairs in order, the difference 3."""
    model = xpnet.mlp(2, 2, output=output, dtype="float64")
    z, t = np.asarray([[5.0, 3.0], [1.0, 2.0], [-4.0, 1.0], [0.0, 0.0]]), np.asarray([0, 0, 1, 1])
    scores = scores_of(model, default_loss(model), z, t)
    assert scores["roc_auc"] == 3 / 4
    assert scores["average_precision"] == pytest.approx((1 + 2 / 3) / 2)


# Scores by name


@pytest.mark.parametrize("task", TASKS[:-1])
def test_scores_by_name_are_those_of_evaluation(task: str) -> None:
    model, x, y, _ = case(task)
    found = evaluate(model, x, y)
    t = y.astype(np.int32) if y.ndim == 1 and model.labels else np.reshape(y, (len(x), -1))
    scores = scores_of(model, default_loss(model), model(x), t)
    expected = {"loss": found.loss, **found.metrics}
    if found.accuracy is not None:
        expected["accuracy"] = found.accuracy
    assert scores == pytest.approx(expected, rel=1e-12)
    lower = {name for name in scores if "loss" in name or "error" in name}
    assert {*scores} & LOWER_IS_BETTER == lower
    assert all(type(value) is float for value in scores.values())


def test_one_sample_has_no_r2() -> None:
    model, x, y, _ = case("numbers", n=1)
    assert np.isnan(evaluate(model, x, y).metrics["r2"])
    for w in (0.5, 1):
        assert np.isnan(evaluate(model, x, y, sample_weight=[w]).metrics["r2"])
    twice = evaluate(model, x[[0, 0]], y[[0, 0]]).metrics
    assert evaluate(model, x, y, sample_weight=[2]).metrics == pytest.approx(twice)


def test_classes_that_are_not_there_have_no_rows() -> None:
    model = xpnet.mlp(2, 3, initializer="zeros")
    found = evaluate(model, np.zeros((2, 2)), [0, 0])
    assert [each.rows for each in found.classes] == [2, 0, 0]
    assert np.isnan(evaluate(xpnet.mlp(2, 2), np.zeros((2, 2)), [0, 0]).metrics["roc_auc"])
    assert evaluate(xpnet.mlp(2, 21), np.zeros((2, 2)), [0, 20]).confusion_matrix is None


def test_the_mean_of_what_is_explained_is_r2() -> None:
    """Of columns in different units, one of them constant and met, with weights."""
    t = RNG.normal(size=(30, 3)) * [1.0, 1e-24, 0.0]
    y, w = t + RNG.normal(size=(30, 3)) * [0.5, 2e-24, 0.0], RNG.uniform(0.1, 3, size=30)
    found = w @ scoring._explained(t, y, (w @ t) / w.sum(), w) / w.sum()
    assert found == pytest.approx(float(xpnet.metrics.r2(t[:, :2], y[:, :2], sample_weight=w)))
