"""Validation after each epoch: what it measures, and what has no part in it."""

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


def test_validation_has_no_weights() -> None:
    w = np.linspace(0.1, 5, 200)
    result = fit(model(), X, Y, sample_weight=w, epochs=1, validation=0.25)
    _, held = split(200, 0.25, 0, Y)
    expected = evaluate(result.model, X[held], Y[held]).loss
    assert result.history[0].validation_loss == pytest.approx(expected, rel=1e-12)


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
