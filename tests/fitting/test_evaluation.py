"""Evaluation by hand and by scikit-learn, for each kind of output."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import Library, needed

import xpnet
from xpnet.arrays import to_numpy
from xpnet.data.dataset import BLOCK
from xpnet.fitting.evaluation import default_loss, evaluate, logits_of
from xpnet.fitting.scaling import standardize
from xpnet.losses import AbsoluteError, Hinge, Pinball, SoftmaxCrossEntropy, SquaredError
from xpnet.metrics import calibration_error

RNG = np.random.default_rng(0)
N = 2500  # more than two blocks
X = RNG.normal(size=(N, 4))


def test_classes_have_the_metrics_of_scikit_learn() -> None:
    metrics = needed("sklearn.metrics")
    model, y = xpnet.mlp(4, 8, 3, dtype="float64"), RNG.integers(0, 3, size=N)
    found, predicted = evaluate(model, X, y), model.predict(X)
    means = metrics.precision_recall_fscore_support(y, predicted, average="macro")
    names = ("precision", "recall", "f1")
    assert [found.metrics[n] for n in names] == pytest.approx(means[:3], rel=1e-6)
    expected = metrics.balanced_accuracy_score(y, predicted)
    assert found.metrics["balanced_accuracy"] == pytest.approx(expected, rel=1e-6)
    assert found.loss == pytest.approx(metrics.log_loss(y, model.predict_proba(X)), rel=1e-12)
    assert found.accuracy == metrics.accuracy_score(y, predicted)


def test_several_labels_count_where_all_are_right() -> None:
    metrics = needed("sklearn.metrics")
    model = xpnet.mlp(4, 8, 3, multilabel=True, dtype="float64")
    y = RNG.integers(0, 2, size=(N, 3))
    found, predicted = evaluate(model, X, y), model.predict(X)
    assert found.accuracy == metrics.accuracy_score(y, predicted)
    for average in ("micro", "macro"):
        expected = metrics.f1_score(y, predicted, average=average)
        assert found.metrics[f"f1_{average}"] == pytest.approx(expected, rel=1e-6)
    p = model.predict_proba(X)
    expected = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    assert found.loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("output", ["identity", "exp"])
def test_numbers_have_the_metrics_of_scikit_learn(output: str) -> None:
    metrics = needed("sklearn.metrics")
    model = xpnet.mlp(4, 8, 2, output=output, dtype="float64")
    y = RNG.poisson(2.0, size=(N, 2))
    found, predicted = evaluate(model, X, y), model.predict(X)
    assert found.metrics["r2"] == pytest.approx(metrics.r2_score(y, predicted), rel=1e-10)
    expected = metrics.mean_absolute_error(y, predicted)
    assert found.metrics["mean_absolute_error"] == pytest.approx(expected, rel=1e-12)
    assert (found.accuracy, found.interval) == (None, None)
    if output == "identity":
        assert found.loss == pytest.approx(np.mean((y - predicted) ** 2), rel=1e-12)
        by_name = evaluate(model, X, y, AbsoluteError())
        assert by_name.loss == pytest.approx(expected, rel=1e-12)


def test_quantiles_are_measured_by_what_is_below_them() -> None:
    model = xpnet.mlp(4, 8, 2, output="identity", dtype="float64")
    y = RNG.normal(size=N)
    found = evaluate(model, X, y, "pinball:0.1,0.9")
    below = np.mean(y[:, None] < model.predict(X), axis=0)
    assert found.metrics == pytest.approx({"below_0_0.1": below[0], "below_1_0.9": below[1]})
    one = evaluate(model, X, np.stack([y, y], axis=1), "pinball:0.5")
    assert one.metrics == pytest.approx({"below_0_0.5": below[0], "below_1_0.5": below[1]})
    with pytest.raises(xpnet.UsageError, match="3 quantiles for 2 outputs"):
        evaluate(model, X, y, "pinball:0.1,0.5,0.9")


def test_what_is_equal_is_not_below() -> None:
    zeros = xpnet.mlp(4, 1, output="identity", initializer="zeros")
    found = evaluate(zeros, X, np.arange(N) % 5 - 1.0, "pinball:0.2")
    assert found.metrics == {"below_0_0.2": pytest.approx(0.2)}


def test_rows_of_a_distribution_are_measured_by_their_greatest() -> None:
    model, y = xpnet.mlp(4, 8, 3, dtype="float64"), RNG.integers(0, 3, size=N)
    found, expected = evaluate(model, X, np.eye(3)[y]), evaluate(model, X, y)
    assert found.metrics == expected.metrics
    assert found.accuracy == expected.accuracy


def test_a_loss_of_ones_own_is_measured() -> None:
    model, y = xpnet.mlp(4, 3, dtype="float64"), RNG.integers(0, 3, size=N)
    z = model(X)
    margins = np.maximum(0, 1 + z - z[np.arange(N), y][:, None])
    margins[np.arange(N), y] = 0
    assert evaluate(model, X, y, Hinge()).loss == pytest.approx(margins.mean(), rel=1e-12)
    with pytest.raises(xpnet.UsageError, match="is for output='identity'"):
        evaluate(model, X, y, SquaredError())


def test_rows_of_probabilities_have_no_hits() -> None:
    model = xpnet.mlp(4, 3, output="sigmoid", dtype="float64")
    found = evaluate(model, X, RNG.uniform(size=(N, 3)))
    assert found.accuracy is None
    assert found.metrics == {}


@pytest.mark.parametrize("task", ["classes", "labels", "numbers", "quantiles"])
def test_evaluation_reads_the_device_once(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device of array-api-strict, with every way to read an array counted."""
    strict, read = needed("array_api_strict"), []
    x = strict.asarray(RNG.integers(0, 9, size=(N, 4)), device=strict.Device("device1"))
    y = RNG.integers(0, 2, size=(N, 3))
    labels = {"classes": y[:, 0], "labels": y}.get(task, y + 0.5)
    output = "identity" if task in ("numbers", "quantiles") else None
    model = xpnet.mlp(4, 8, 3, multilabel=task == "labels", output=output)
    loss = "pinball:0.1,0.5,0.9" if task == "quantiles" else None
    evaluate(model, x, labels, loss)  # the model keeps its arrays on the device from now on
    for name in ("to_device", "__bool__", "__float__", "__index__", "__int__"):
        original = getattr(type(x), name)

        def counted(self, *arguments, name=name, original=original):
            read.append(name)
            return original(self, *arguments)

        monkeypatch.setattr(type(x), name, counted)
    evaluate(model, x, labels, loss)
    assert read == ["to_device"]


def test_every_library_gives_the_same_numbers(xp: Library) -> None:
    xp.needs_argmax()
    y = RNG.integers(0, 3, size=N)
    model = xpnet.mlp(4, 8, 3, dtype=xp.dtype)
    found, expected = (evaluate(model, x, y) for x in (xp.array(X), X.astype(xp.dtype)))
    assert found.loss == pytest.approx(expected.loss, rel=xp.tolerance(1e-12))
    assert found.metrics == pytest.approx(expected.metrics, rel=1e-2)
    assert all(type(value) is float for value in found.metrics.values())
    assert to_numpy(model.theta).dtype == xp.dtype


@pytest.mark.parametrize("classes", [2, 20, 21, 47])  # of few, logits lie column by column
@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_evaluation_is_that_of_the_logits(classes: int, kind: str) -> None:
    """Loss and accuracy in plain NumPy, in float64; 1e-6: the model is of float32."""
    x = (X * 50 + 100).clip(0, 255).astype(kind)
    model = standardize(xpnet.mlp(4, 8, classes), x, np.arange(N))
    y = RNG.integers(0, classes, size=N)
    z = model.network.infer(model.params, x).astype(np.float64)
    log_p = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
    found = evaluate(model, x, y)
    assert found.loss == pytest.approx(-log_p[np.arange(N), y].mean(), rel=1e-6)
    assert found.accuracy == np.mean(z.argmax(axis=1) == y)
    error = calibration_error(y, np.exp(log_p))
    assert found.metrics["calibration_error"] == pytest.approx(error, rel=1e-5)
    assert evaluate(model, x, y) == found


def test_few_logits_of_a_row_lie_in_memory_column_by_column() -> None:
    """What is computed does not depend on it, but a softmax of ten columns takes half the time."""
    for classes, by_columns in ((20, True), (21, False)):
        model = xpnet.mlp(4, classes)
        z = logits_of(model.network, model.params, X)(X)
        assert z.flags.f_contiguous == by_columns
        assert z.flags.c_contiguous != by_columns


def test_logits_are_computed_in_blocks_which_are_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is gathered."""
    blocks = []

    def watched(network, params, x):
        logits = logits_of(network, params, x)
        return lambda samples: blocks.append(samples) or logits(samples)

    monkeypatch.setattr("xpnet.fitting.evaluation.logits_of", watched)
    evaluate(xpnet.mlp(4, 3, dtype="float64"), X, np.zeros(N, int))
    assert [len(block) for block in blocks] == [BLOCK, BLOCK, N - 2 * BLOCK]
    assert all(np.shares_memory(block, X) for block in blocks)


def test_classes_are_evaluated_by_cross_entropy_and_numbers_by_the_loss_of_training() -> None:
    classes = xpnet.mlp(2, 2)
    assert default_loss(replace(classes, loss=Hinge())) == SoftmaxCrossEntropy()
    assert default_loss(replace(classes, loss=SoftmaxCrossEntropy(0.2))) == SoftmaxCrossEntropy()
    numbers = xpnet.mlp(2, 2, output="identity")
    quantiles = Pinball((0.1, 0.9))
    assert default_loss(replace(numbers, loss=quantiles)) == quantiles
    assert default_loss(numbers) == SquaredError()


@pytest.mark.parametrize("wrong", [X, "model.safetensors", xpnet.Model])
def test_something_else_than_a_model_is_refused(wrong: object) -> None:
    with pytest.raises(xpnet.UsageError, match="model must be a Model, as in evaluate"):
        evaluate(wrong, X, X)


def test_a_result_in_the_place_of_a_model_is_pointed_to_its_model() -> None:
    result = xpnet.Result(xpnet.mlp(4, 2))
    with pytest.raises(xpnet.UsageError, match=r"got <Result: 0 ep.*; use result\.model"):
        evaluate(result, X, X)
    with pytest.raises(xpnet.UsageError, match=r"; use result\.model"):
        xpnet.fit(result, X, X)
    with pytest.raises(xpnet.UsageError, match=r"use result\.model and result\.history"):
        _, _ = result
