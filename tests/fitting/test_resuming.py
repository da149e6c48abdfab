"""Errors and interrupts that carry the result so far, and continuing from it."""

from typing import Any

import numpy as np
import pytest
from helpers import blobs, model

import xpnet
from xpnet.errors import DeviceFailedError
from xpnet.fitting.loop import Training
from xpnet.fitting.results import Epoch, Result
from xpnet.fitting.training import fit

X, Y = blobs()
OPTIONS: dict[str, Any] = {"epochs": 4, "batch_size": 50, "validation": 20}


class OwnError(Exception):
    """An error of a user's callback."""


class ClosedError(Exception):
    """An exception whose attribute cannot be set."""

    result = property(lambda self: None)


def interrupted(error: type[BaseException], **more: Any) -> Any:
    """The error that a fit ends in which is interrupted in its third epoch, or after it."""

    def raises(number: int) -> None:
        if number == 10:
            raise error("stop")

    def after(epoch: Epoch, result: Result) -> None:
        if epoch.epoch == 3:
            raise error("stop")

    where = {"step": {"on_step": raises}, "epoch": {"on_epoch": after}}[more.pop("at")]
    with pytest.raises(error) as caught:
        fit(model(), X, Y, **OPTIONS | more, **where)
    return caught.value


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OwnError, DeviceFailedError, MemoryError])
@pytest.mark.parametrize(("at", "done"), [("step", 2), ("epoch", 3)])
def test_every_error_carries_the_result_so_far(
    error: type[BaseException], at: str, done: int, fast: bool
) -> None:
    whole = fit(model(), X, Y, **OPTIONS, fast=fast, on_epoch=lambda e, r: e.epoch == done)
    result = interrupted(error, at=at, fast=fast).result
    assert [(e.epoch, e.loss) for e in result.history] == [(e.epoch, e.loss) for e in whole.history]
    assert result.best_epoch == whole.best_epoch
    assert result.model == whole.model


def test_a_traceback_tells_of_the_result() -> None:
    error = interrupted(KeyboardInterrupt, at="epoch")
    assert error.__notes__ == ["The result of 3 epochs is the attribute result of this error."]


def test_before_the_first_epoch_is_done_the_model_is_the_scaled_start() -> None:
    def interrupt(step: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        fit(model(), X, Y, **OPTIONS, on_step=interrupt)
    result = caught.value.result
    assert (result.history, result.best_epoch) == ((), 0)
    assert np.array_equal(result.model.theta, model().theta)
    assert not np.array_equal(result.model.buffers, model().buffers)


def test_an_exception_that_takes_no_attribute_is_raised_as_it_is() -> None:
    assert interrupted(ClosedError, at="epoch").result is None


def test_continuing_between_epochs_is_as_if_nothing_had_happened() -> None:
    options = OPTIONS | {"schedule": "constant"}
    result = interrupted(KeyboardInterrupt, at="epoch", **options).result
    more = fit(model(), X, Y, **options | {"epochs": 1}, initial=result)
    whole = fit(model(), X, Y, **options)
    assert more.model == whole.model
    assert [e.loss for e in more.history] == [e.loss for e in whole.history]


@pytest.mark.parametrize("optimizer", ["adam", "nesterov"])
def test_continuing_after_a_spoilt_epoch_keeps_history_and_best_epoch(optimizer: str) -> None:
    """Steps in place have written over the state: training continues from the best model."""
    result = interrupted(KeyboardInterrupt, at="step", optimizer=optimizer).result
    assert result.progress is None
    more = fit(
        model(), X, Y, **OPTIONS | {"epochs": 2}, initial=result, optimizer="sgd",
        learning_rate=1e-30,
    )  # fmt: skip
    assert [e.epoch for e in more.history] == [1, 2, 3, 4]
    assert more.history[:2] == result.history
    assert more.best_epoch == result.best_epoch
    best = result.history[result.best_epoch - 1]
    assert more.history[-1].validation_loss == pytest.approx(best.validation_loss, rel=1e-12)


def test_continuing_after_divergence_keeps_history_and_best_epoch() -> None:
    with pytest.raises(xpnet.DivergedError) as caught:
        fit(
            model(), X, Y, epochs=9, optimizer="sgd", learning_rate=0.01,
            schedule=lambda s: 1.0 if s < 5 / 9 else 1e300,
        )  # fmt: skip
    result = caught.value.result
    assert len(result.history) == 5
    more = fit(model(), X, Y, epochs=2, optimizer="sgd", learning_rate=0.01, initial=result)
    assert [e.epoch for e in more.history] == [*range(1, 8)]
    assert more.history[:5] == result.history
    assert more.best_epoch >= result.best_epoch > 0


@pytest.mark.parametrize("validation", [0, 20])
@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("place", ["latest", "keep_the_best", "snapshot", "result"])
def test_an_interrupt_between_epochs_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, place: str, fast: bool, validation: int
) -> None:
    """The second epoch is in the history, so it has competed for the best."""
    method, raised = getattr(Training, place), []

    def interrupt(self: Training, *arguments: Any) -> Any:
        if self.progress.epochs == 2 and self.between_epochs and not raised:
            raised.append(True)
            raise KeyboardInterrupt
        return method(self, *arguments)

    monkeypatch.setattr(Training, place, interrupt)
    options = OPTIONS | {"validation": validation, "fast": fast}
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(model(), X, Y, **options, on_epoch=lambda e, r: None)
    monkeypatch.undo()
    result = caught.value.result
    expected = fit(model(), X, Y, **options, on_epoch=lambda e, r: e.epoch == 2)
    assert (result.best_epoch, len(result.history)) == (expected.best_epoch, 2)
    assert result.model == expected.model
    assert result.progress.epochs == 2


def test_one_exception_of_two_fits_has_the_result_of_the_last() -> None:
    error = OwnError("stop")

    def stop(epoch: Epoch, result: Result) -> None:
        raise error

    for start in (model(), model(dropout=0.1)):
        with pytest.raises(OwnError):
            fit(start, X, Y, **OPTIONS, on_epoch=stop)
        assert error.result.model.network == start.network


def test_a_trained_model_keeps_its_labels() -> None:
    """Other labels in y are a mistake then, not the names of its classes."""
    first = fit(model(), X, Y, epochs=1)
    with pytest.raises(xpnet.DataError, match="label 3 of sample"):
        fit(first.model, X, Y + 1)
    with pytest.raises(xpnet.DataError, match="label 3 of sample"):
        fit(model(), X, Y + 1, initial=first)


def test_labels_that_were_found_in_y_are_found_again() -> None:
    y = np.asarray(["a", "b", "c"])[Y]
    first = fit(model(), X, y, epochs=1)
    assert first.model.labels == ("a", "b", "c")
    more = fit(model(), X, y, epochs=1, initial=first)
    assert more.model.labels == ("a", "b", "c")
    with pytest.raises(
        xpnet.UsageError, match="must have the network, labels and output of initial"
    ):
        fit(model(labels=("x", "y", "z")), X, y, initial=first)
