"""What the best epoch is chosen by."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import Library, blobs, model

import xpnet
from xpnet.data.dataset import split
from xpnet.errors import UsageError
from xpnet.fitting.evaluation import evaluate
from xpnet.fitting.monitoring import WORST, Improvement, Monitor
from xpnet.fitting.results import Epoch
from xpnet.fitting.training import fit

X, Y = blobs()


# Scores and improvements


def test_the_score_is_the_one_that_is_named() -> None:
    epoch = Epoch(1, 1.0, 0.5, 0.75, 0.1, 1.0, 0.25, "f1")
    assert Monitor("accuracy").score(epoch) == (0.75, -0.5)
    assert Monitor("loss").score(epoch) == (-0.5, -0.5)
    assert Monitor("f1").score(epoch) == (0.25, -0.5)
    error = replace(epoch, monitor="mean_absolute_error")
    assert Monitor("mean_absolute_error").score(error) == (-0.25, -0.5)
    assert Monitor("r2").score(Epoch(1, 1.0, None, None, 0.1, 1.0)) == (WORST, WORST)
    assert Monitor("roc_auc").score(epoch) == (WORST, -0.5)


def test_scores_of_different_names_are_not_compared() -> None:
    """After a fit by F1, another by an error, whose lowest is best, has a best epoch of its own."""
    first = fit(model(), X, Y, epochs=2, monitor="f1")
    result = fit(model(), X, Y, epochs=3, monitor="calibration_error", initial=first)
    assert result.history["monitor"] == ["f1"] * 2 + ["calibration_error"] * 3
    assert result.best_epoch == 3 + np.argmin(result.history["validation_score"][2:])


def last_improvement(history: list[Epoch], min_delta: float, name: str = "accuracy") -> int:
    improvement = Improvement(Monitor(name), min_delta)
    for epoch in history:
        improvement.compare(epoch)
    return improvement.last


@pytest.mark.parametrize(
    ("min_delta", "last"),
    [(0.0, 6), (0.05, 5), (0.15, 5), (0.5, 1)],
)
def test_an_improvement_is_by_more_than_min_delta(min_delta: float, last: int) -> None:
    """Accuracies compared with the last improvement, not with the last epoch."""
    accuracies = [0.5, 0.6, 0.625, 0.625, 0.7, 0.71]
    history = [Epoch(i + 1, 1.0, 1 - a, a, 0.1, 1.0) for i, a in enumerate(accuracies)]
    assert last_improvement(history, min_delta) == last


def test_without_min_delta_a_lower_loss_of_equal_accuracy_is_an_improvement() -> None:
    history = [Epoch(i + 1, 1.0, loss, 0.5, 0.1, 1.0) for i, loss in enumerate([1.0, 0.9, 0.95])]
    assert last_improvement(history, 0.0) == 2
    assert last_improvement(history, 1e-9) == 1


def test_an_improvement_of_numbers_is_in_their_loss() -> None:
    losses = [1.0, 0.8, 0.75, 0.65]
    history = [Epoch(i + 1, 1.0, loss, None, 0.1, 1.0) for i, loss in enumerate(losses)]
    assert last_improvement(history, 0.1, "loss") == 4
    assert last_improvement(history, 0.3, "loss") == 4
    assert last_improvement(history[:3], 0.1, "loss") == 2
    assert last_improvement([], 0.1) == 0


# In a fit


CASES = {
    "loss": {}, "balanced_accuracy": {}, "precision": {}, "f1": {}, "calibration_error": {},
    "roc_auc": {"classes": 2}, "average_precision": {"classes": 2}, "r2": {"classes": 1},
    "mean_absolute_error": {"classes": 1},
}  # fmt: skip


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("monitor", CASES)
def test_the_best_epoch_is_that_of_the_monitored_score(monitor: str, fast: bool) -> None:
    """It is what `evaluate` says of that model and the samples that were held out."""
    classes = CASES[monitor].get("classes", 3)
    y = 1e3 * X[:, 0] if classes == 1 else Y % classes
    options = {"output": "identity"} if classes == 1 else {}
    start = xpnet.mlp(2, 4, classes, dtype="float64", **options)
    w = np.linspace(1, 3, 200)
    result = fit(
        start, X, y, sample_weight=w, epochs=6, monitor=monitor, fast=fast, validation=0.25,
        schedule=lambda s: 1 + 20 * s,
    )  # fmt: skip
    _, held = split(200, 0.25, 0, None if classes == 1 else y)
    best = evaluate(result.model, X[held], y[held], sample_weight=w[held])
    epoch = result.history[result.best_epoch - 1]
    if monitor == "loss":
        assert epoch.validation_score is None
        assert result.best_epoch == 1 + np.argmin(result.history["validation_loss"])
        return
    scores = result.history["validation_score"]
    lower = monitor in ("calibration_error", "mean_absolute_error")
    assert epoch.validation_score == (min if lower else max)(scores)
    assert len({*scores}) > 1
    assert epoch.validation_score == pytest.approx(best.metrics[monitor], rel=1e-9)


def test_any_library_has_monitored_scores(xp: Library) -> None:
    xp.needs_argmax()
    x = X.astype(xp.dtype)
    start = model(dtype=xp.dtype)
    options = {"epochs": 2, "monitor": "f1", "fast": False}
    found = fit(start, xp.array(x), Y, **options).history["validation_score"]
    assert found == pytest.approx(fit(start, x, Y, **options).history["validation_score"], abs=1e-6)


def test_a_score_is_named_with_dashes_or_lines() -> None:
    options = {"epochs": 2, "validation": 0.25}
    named = [fit(model(), X, Y, monitor=f"balanced{c}accuracy", **options) for c in "-_"]
    assert named[0].history["validation_score"] == named[1].history["validation_score"]


def test_patience_waits_for_the_monitored_score() -> None:
    result = fit(model(), X, Y, epochs=50, patience=2, min_delta=2.0, monitor="f1")
    assert len(result.history) == 3


def test_classes_that_weigh_the_same_choose_the_epoch() -> None:
    """Of one percent positives accuracy is best where none is found."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 4))
    y = (x[:, 0] + 0.5 * rng.normal(size=2000) > 2.6).astype(int)
    assert 0.005 < y.mean() < 0.02
    options = {"epochs": 12, "batch_size": 512, "validation": 0.3}
    start = xpnet.mlp(4, 8, 2)
    result = fit(start, x, y, class_weight="balanced", **options)
    _, held = split(2000, 0.3, 0, y)
    epoch = result.history[result.best_epoch - 1]
    balanced = evaluate(result.model, x[held], y[held]).metrics["balanced_accuracy"]
    assert balanced > 0.8
    rows, _ = split(2000, 0.3, 0, y)
    share = y[rows].mean()
    expected = np.average(
        result.model.predict(x[held]) == y[held],
        weights=np.where(y[held] == 1, 1 / share, 1 / (1 - share)),
    )
    assert epoch.validation_accuracy == pytest.approx(expected, abs=1e-6)
    assert epoch.validation_accuracy == max(result.history["validation_accuracy"])


@pytest.mark.parametrize(
    ("monitor", "options", "message"),
    [
        ("balanced", {}, "unknown monitor 'balanced', did you mean 'balanced_accuracy'"),
        (3, {}, "unknown monitor 3"),
        ("val_f1", {}, r"\(loss, accuracy, balanced_accuracy, precision, recall, f1, calib"),
        ("r2", {}, "unknown monitor 'r2'"),
        ("f1", {"validation": 0}, "monitor needs samples to validate on"),
        ("roc_auc", {"validation_data": (X[:9], [0] * 9)}, "monitor 'roc_auc' is not defined for"),
    ],
)
def test_a_monitor_that_cannot_be_is_refused(monitor: str, options: dict, message: str) -> None:
    start = xpnet.mlp(2, 4, 2) if monitor == "roc_auc" else model()
    y = Y % 2 if monitor == "roc_auc" else Y
    with pytest.raises(UsageError, match=message):
        fit(start, X, y, epochs=1, monitor=monitor, **options)


def test_a_share_below_a_quantile_is_no_score_to_monitor() -> None:
    start = xpnet.mlp(2, 4, 1, output="identity")
    options = {"loss": "pinball:0.1", "epochs": 1, "monitor": "below_0_0.1"}
    with pytest.raises(UsageError, match=r"unknown monitor 'below_0_0.1'; .* \(loss\)"):
        fit(start, X, X[:, 0], **options)


def test_errors_of_several_outputs_are_monitored_in_their_own_units() -> None:
    y = np.stack([X[:, 0], 1e4 * X[:, 1] ** 2], axis=1)
    start = xpnet.mlp(2, 4, 2, output="identity", dtype="float64")
    result = fit(start, X, y, epochs=3, monitor="mean_absolute_error", validation=0.25)
    _, held = split(200, 0.25, 0)
    best = evaluate(result.model, X[held], y[held]).metrics["mean_absolute_error"]
    assert min(result.history["validation_score"]) == pytest.approx(best, rel=1e-9)


def test_numbers_have_no_accuracy_to_monitor() -> None:
    start = xpnet.mlp(2, 4, 1, output="identity")
    with pytest.raises(UsageError, match="monitor 'accuracy' is for classes"):
        fit(start, X, X[:, 0], epochs=1, monitor="accuracy")
