"""Between epochs: history, the best epoch, patience, callbacks, rates, divergence."""

import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import blobs, model

import xpnet
from xpnet.data.dataset import split
from xpnet.errors import DeviceFailedError
from xpnet.fast.host.step import HostStep
from xpnet.fitting.evaluation import evaluate
from xpnet.fitting.results import Epoch
from xpnet.fitting.training import fit
from xpnet.model import Model
from xpnet.schedules import ReduceOnPlateau, Warmup

X, Y = blobs()


def test_the_history_is_of_the_model_at_that_moment() -> None:
    """Losses by hand: full batches, no momentum, so each step can be written out."""
    seen: list[Epoch] = []
    result = fit(
        model(), X, Y, epochs=3, batch_size=1000, validation=0.25, schedule="constant",
        optimizer="sgd", on_epoch=lambda epoch, so_far: seen.append(epoch),
    )  # fmt: skip
    rows, held = split(200, 0.25, 0, Y)
    assert tuple(seen) == result.history
    assert [epoch.epoch for epoch in seen] == [1, 2, 3]
    loss = evaluate(replace(model(), buffers=result.model.buffers), X[rows], Y[rows]).loss
    assert seen[0].loss == pytest.approx(loss, rel=1e-12)
    best = evaluate(result.model, X[held], Y[held])
    assert seen[result.best_epoch - 1].validation_loss == pytest.approx(best.loss, rel=1e-12)
    assert seen[result.best_epoch - 1].validation_accuracy == best.accuracy
    assert all(epoch.learning_rate == 0.5 and epoch.seconds > 0 for epoch in seen)


def test_the_best_epoch_is_kept() -> None:
    """A learning rate that grows ruins what was learnt; the best of before comes back."""
    models = []
    result = fit(
        model(), X, Y, epochs=6, optimizer="sgd", schedule=lambda s: 1.0 if s < 0.5 else 1e3,
        on_epoch=lambda epoch, so_far: models.append(so_far.model),
    )  # fmt: skip
    scores = [(e.validation_accuracy, -e.validation_loss) for e in result.history]
    assert result.best_epoch == 1 + max(range(6), key=lambda i: scores[i]) < 6
    assert result.model == models[result.best_epoch - 1]


def test_the_best_epoch_is_the_most_accurate_before_the_one_of_least_loss() -> None:
    """At a rate that makes it sure of its mistakes, too."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 2)), rng.integers(0, 3, size=200)
    history = (result := fit(model(), x, y, epochs=30, batch_size=16, schedule="constant")).history
    best = max(history, key=lambda e: (e.validation_accuracy, -e.validation_loss, -e.epoch))
    assert result.best_epoch == best.epoch
    assert best.validation_loss > min(epoch.validation_loss for epoch in history)


def test_without_validation_the_last_epoch_counts() -> None:
    result = fit(model(), X, Y, epochs=3, validation=0.0)
    assert result.best_epoch == 3
    assert result.history[0].validation_loss is None
    assert result.history[0].validation_accuracy is None


def test_patience_stops() -> None:
    result = fit(model(), X, Y, epochs=500, patience=3, schedule="constant")
    assert len(result.history) == result.best_epoch + 3 < 500


def test_on_step_counts() -> None:
    steps: list[int] = []
    fit(model(), X, Y, epochs=2, batch_size=50, validation=0.0, on_step=steps.append)
    assert steps == list(range(1, 9))


def test_a_loss_that_diverges_stops_with_the_last_good_model() -> None:
    with pytest.raises(
        xpnet.DivergedError, match=r"in epoch 3; the model of epoch [12] is kept"
    ) as e:
        fit(
            model(), X, Y, epochs=9, optimizer="sgd", learning_rate=0.01,
            schedule=lambda s: 1.0 if s < 2 / 9 else 1e300,
        )  # fmt: skip
    assert "Try a smaller learning rate" in str(e.value)
    assert len(e.value.result.history) == 2
    assert e.value.result.progress is None  # steps that went wrong have written over its arrays
    assert np.all(np.isfinite(e.value.result.model(X)))


def test_a_loss_that_diverges_at_once_leaves_no_model() -> None:
    with pytest.raises(xpnet.DivergedError, match="in epoch 1; no epoch was good") as e:
        fit(model(), X, Y, optimizer="sgd", schedule=lambda s: 1e300)
    assert e.value.result.best_epoch == 0


def test_a_loss_that_is_infinite_in_validation_alone_is_told() -> None:
    x = X.copy()
    x[split(200, 0.25, 0)[1]] = 1e200
    start = xpnet.mlp(2, 2, output="identity", dtype="float64")
    with pytest.raises(xpnet.DivergedError, match="the loss became inf in epoch 1"):
        fit(start, x, X, validation=0.25)


@pytest.mark.parametrize("rate", [1e300, 1e200])
def test_a_last_step_that_spoils_the_model_is_seen(rate: float) -> None:
    """Its loss was finite still, for it comes from before the step; nothing is validated."""
    with pytest.raises(xpnet.DivergedError, match="in epoch 2; the model of epoch 1 is kept") as e:
        fit(
            model(), X, Y, epochs=2, batch_size=200, validation=0.0, optimizer="sgd",
            schedule=lambda s: rate if s else 0.1,
        )  # fmt: skip
    assert np.all(np.isfinite(e.value.result.model.theta))


def test_going_on_keeps_the_best_model_so_far() -> None:
    good = fit(model(), X, Y, epochs=20, batch_size=16)
    worse = fit(
        good.model, X, Y, epochs=2, initial=good, optimizer="nesterov", learning_rate=1e-9,
        weight_decay=0.0, schedule=lambda s: 1e12,
    )  # fmt: skip
    assert worse.best_epoch == good.best_epoch
    assert worse.model == good.model
    assert len(worse.history) == 22


@pytest.mark.parametrize("output", ["identity", "sigmoid"])
def test_what_was_not_validated_is_not_the_best_of_what_is(output: str) -> None:
    t = np.eye(3)[Y][:, :2]
    start = xpnet.mlp(2, 8, 2, output=output, dtype="float64")
    first = fit(start, X, t, epochs=1, validation=0.0)
    result = fit(start, X, t, epochs=5, initial=first)
    losses = [epoch.validation_loss for epoch in result.history[1:]]
    assert result.best_epoch == 2 + losses.index(min(losses))


def test_a_callback_may_end_it() -> None:
    result = fit(model(), X, Y, epochs=9, on_epoch=lambda epoch, so_far: epoch.epoch == 4)
    assert len(result.history) == 4


def test_a_plateau_lowers_the_rate_between_epochs() -> None:
    """A rate so small that nothing gets better: each second epoch a tenth of it."""
    schedule = ReduceOnPlateau(0.1, 2)
    result = fit(model(), X, Y, epochs=7, optimizer="sgd", learning_rate=1e-12, schedule=schedule)
    rates = [epoch.learning_rate / 1e-12 for epoch in result.history]
    assert rates == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_a_plateau_is_seen_behind_a_warm_up() -> None:
    result = fit(
        model(), X, Y, epochs=4, optimizer="sgd", learning_rate=1e-12,
        schedule=Warmup(ReduceOnPlateau(0.1, 2), 0.25), batch_size=1000,
    )  # fmt: skip
    rates = [epoch.learning_rate / 1e-12 for epoch in result.history]
    assert rates[1:] == pytest.approx([1, 1, 0.1])


def test_the_learning_rate_in_the_history_is_of_the_last_step() -> None:
    result = fit(model(), X, Y, epochs=2, batch_size=100, validation=0.0, schedule="cosine",
                 optimizer=xpnet.SGD(1.0))  # fmt: skip
    assert [epoch.learning_rate for epoch in result.history] == pytest.approx(
        [(1 + np.cos(np.pi * s)) / 2 for s in (0.25, 0.75)], rel=1e-12
    )


def test_infinite_weights_behind_a_relu_are_seen() -> None:
    """-inf into ReLU gives 0 and finite logits; the model is spoilt all the same."""
    start = xpnet.mlp(1, 2, 2, dtype="float64")
    theta = np.array(start.theta)
    theta[:2] = -np.inf
    start = replace(start, theta=theta, buffers=np.asarray([-1.0, 1.0]))
    with pytest.raises(xpnet.DivergedError):
        fit(start, [[1.0], [2.0]], [0, 1], epochs=1, validation=0.0, optimizer="sgd")


def test_patience_does_not_wait_on_ties() -> None:
    tiny = xpnet.SGD(1e-30)
    result = fit(model(), X, Y, epochs=50, patience=2, optimizer=tiny)
    assert (result.best_epoch, len(result.history)) == (1, 3)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(
    ("step", "epoch", "where", "done"),
    [
        (2, None, "in epoch 1, steps 1 to 4: ", 0),
        (10, None, "in epoch 3, steps 9 to 12: ", 2),
        (None, 2, "after epoch 2: ", 2),
    ],
)
def test_a_device_that_fails_leaves_the_result_so_far(
    step: int | None, epoch: int | None, where: str, done: int, fast: bool
) -> None:
    """With where to go on, unless a step has written over it."""

    def fail(number: int, at: int | None) -> None:
        if number == at:
            raise DeviceFailedError("a fault")

    options = {"epochs": 4, "batch_size": 50, "validation": 20, "fast": fast}
    with pytest.raises(DeviceFailedError, match=f"^{where}a fault$") as caught:
        fit(
            model(), X, Y, **options, on_step=lambda number: fail(number, step),
            on_epoch=lambda row, so_far: fail(row.epoch, epoch),
        )  # fmt: skip
    result = caught.value.result
    assert [row.epoch for row in result.history] == [*range(1, done + 1)]
    assert 0 <= result.best_epoch <= done
    is_lost = fast and step is not None
    assert (result.progress is None) == is_lost
    if result.progress is not None:
        assert (result.progress.epochs, result.progress.steps) == (done, 4 * done)
        more = fit(result.model, X, Y, initial=result, **options | {"epochs": 1})
        assert [row.epoch for row in more.history] == [*range(1, done + 2)]


@pytest.mark.parametrize("fast", [True, False])
def test_the_best_model_is_made_once(fast: bool) -> None:
    """So that what it has prepared for predictions is not prepared anew each epoch."""
    models = []
    result = fit(
        model(), X, Y, epochs=6, fast=fast, learning_rate=0.01,
        on_epoch=lambda row, so_far: models.append((so_far.best_epoch, so_far.model)),
    )  # fmt: skip
    by_epoch = {best: {id(a) for b, a in models if b == best} for best, _ in models}
    assert all(len(found) == 1 for found in by_epoch.values())
    assert result.model is models[-1][1]


@pytest.mark.parametrize("fast", [True, False])
def test_of_two_best_models_one_is_in_memory_on_the_host(fast: bool) -> None:
    """A snapshot lets the one before go first."""
    seen: list[weakref.ref[Model]] = []
    taken = []
    snapshot = HostStep.snapshot

    def watched(self: HostStep, arrays: Any) -> Any:
        if len(arrays) == 2:  # theta and buffers
            taken.append([ref() is None for ref in seen])
        return snapshot(self, arrays)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HostStep, "snapshot", watched)
        fit(
            model(), X, Y, epochs=3, validation=0.0, fast=fast,
            on_epoch=lambda row, so_far: seen.append(weakref.ref(so_far.model)),
        )  # fmt: skip
    assert taken == ([[], [True], [True, True]] if fast else [])


@pytest.mark.parametrize("answer", [True, np.True_])
def test_true_of_python_or_numpy_ends_the_training(answer: object) -> None:
    assert len(fit(model(), X, Y, epochs=3, on_epoch=lambda epoch, so_far: answer).history) == 1


@pytest.mark.parametrize("answer", [1, "go on", 0.5, None, [True], object(), np.False_])
def test_only_true_ends_the_training(answer: object) -> None:
    assert len(fit(model(), X, Y, epochs=3, on_epoch=lambda epoch, so_far: answer).history) == 3


def test_patience_counts_epochs_without_such_an_improvement() -> None:
    result = fit(model(), X, Y, epochs=50, patience=2, min_delta=2.0)
    assert len(result.history) == 3
    assert result.best_epoch == max(
        result.history, key=lambda e: (e.validation_accuracy, -e.validation_loss, -e.epoch)
    ).epoch  # fmt: skip
