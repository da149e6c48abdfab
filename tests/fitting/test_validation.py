"""Validation after each epoch: what it measures, and what has no part in it."""

from dataclasses import replace
from math import log

import numpy as np
import pytest
from helpers import blobs, model

import xpnet
from xpnet.data.dataset import split
from xpnet.fitting.evaluation import evaluate
from xpnet.fitting.training import fit
from xpnet.losses import Loss

X, Y = blobs()


@pytest.mark.parametrize(
    "loss", ["softmax-cross-entropy:0.2", xpnet.SoftmaxCrossEntropy(smoothing=0.2)]
)
def test_label_smoothing_is_in_training_and_not_in_validation(loss: str | Loss) -> None:
    result = fit(model(), X, Y, epochs=40, loss=loss, batch_size=16)
    floor = -(1 - 0.2 * 2 / 3) * log(1 - 0.2 * 2 / 3) - 0.4 / 3 * log(0.2 / 3)
    assert result.history[-1].loss > floor
    assert result.history[-1].validation_loss < floor


@pytest.mark.parametrize("fast", [True, False])
def test_validation_has_the_weights_of_training(fast: bool) -> None:
    """By hand: weighted means of the samples' losses and hits."""
    w, by_class = np.linspace(0.1, 5, 200), {0: 3.0, 1: 0.5}
    options = {"sample_weight": w, "class_weight": by_class, "epochs": 1, "fast": fast}
    result = fit(model(), X, Y, validation=0.25, optimizer=xpnet.SGD(0.01), **options)
    _, held = split(200, 0.25, 0, Y)
    x, y = X[held], Y[held]
    w = w[held] * np.asarray([3.0, 0.5, 1.0])[y]
    losses = -np.log(result.model.predict_proba(x)[np.arange(len(y)), y])
    epoch = result.history[0]
    assert epoch.validation_loss == pytest.approx(np.average(losses, weights=w), rel=1e-12)
    right = result.model.predict(x) == y
    assert 0 < np.mean(right) < 1
    assert epoch.validation_accuracy == pytest.approx(np.average(right, weights=w), rel=1e-12)
    x, y = np.concat([x, x[:5] + np.nan]), np.concat([y, y[:5]])
    again = fit(
        model(), X, Y, validation_data=(x, y, np.append(w, [0] * 5)), epochs=1,
        optimizer=xpnet.SGD(1e-30),
    )  # fmt: skip
    losses = -np.log(again.model.predict_proba(X[held])[np.arange(50), Y[held]])
    epoch, right = again.history[0], again.model.predict(X[held]) == Y[held]
    assert epoch.validation_loss == pytest.approx(np.average(losses, weights=w), rel=1e-12)
    assert epoch.validation_accuracy == pytest.approx(np.average(right, weights=w), rel=1e-12)


@pytest.mark.parametrize("fast", [True, False])
def test_an_enormous_outlier_does_not_choose_the_epoch(fast: bool) -> None:
    """In float32 the sum of a loss of 1e10 and losses of 1 has the digits of the first alone."""
    y = X[:, 0] + np.where(np.arange(200) % 40 == 3, 1e12, 0)
    start = xpnet.mlp(2, 4, 1, output="identity")
    options = {"epochs": 3, "loss": "huber", "validation": 0.5, "fast": fast}
    result = fit(start, X, y, **options)
    theta, buffers = start.theta.astype(float), start.buffers.astype(float)
    exact = fit(replace(start, theta=theta, buffers=buffers), X, y, **options)
    found, expected = (np.diff(a.history["validation_loss"]) for a in (result, exact))
    np.testing.assert_allclose(found, expected, rtol=1e-2)


def test_several_yes_or_no_targets_have_no_accuracy() -> None:
    start = xpnet.mlp(2, 8, 3, output="sigmoid")
    two_of_three = 1 - np.eye(3)[Y]
    result = fit(start, X, two_of_three, epochs=2)
    assert result.history[0].validation_accuracy is None
    assert evaluate(result.model, X, two_of_three).accuracy is None
    assert evaluate(result.model, X, Y).accuracy is not None


def test_blocks_of_validation_samples_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"epochs": 1, "validation": 0.25}
    whole = fit(model(), X, Y, **options).history[0]
    monkeypatch.setattr("xpnet.data.dataset.BLOCK", 7)
    parts = fit(model(), X, Y, **options).history[0]
    assert parts.validation_accuracy == whole.validation_accuracy
    assert parts.validation_loss == pytest.approx(whole.validation_loss, rel=1e-12)
