"""The steps of an epoch: order of the samples, accumulation, averages, running statistics."""

import numpy as np
import pytest
from helpers import blobs, difference, model

import xpnet
from xpnet.fast.host.step import HostStep
from xpnet.fitting.evaluation import evaluate
from xpnet.fitting.training import fit

X, Y = blobs()


def test_every_sample_is_seen_once_an_epoch() -> None:
    """With a step size of nearly 0 the mean of the batches' losses is the loss of all."""
    tiny = xpnet.SGD(learning_rate=1e-30)
    for batch_size in (1, 7, 64, 200, 1000):
        result = fit(model(), X, Y, epochs=1, batch_size=batch_size, validation=0.0, optimizer=tiny)
        loss = evaluate(result.model, X, Y).loss
        assert result.history[0].loss == pytest.approx(loss, rel=1e-12)


OPTIONS = {"epochs": 3, "validation": 0.0, "seed": 1}


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_accumulated_batches_are_one_of_their_size(dropout: float) -> None:
    """Masks too: a unit's depends on its row in the step, not in the batch."""
    start = model(dropout=dropout, noise=dropout)
    w = np.linspace(0.5, 2, 200)
    whole = fit(start, X, Y, batch_size=48, sample_weight=w, **OPTIONS)
    parts = fit(start, X, Y, batch_size=16, accumulate=3, sample_weight=w, **OPTIONS)
    assert difference(parts.model.theta, whole.model.theta) < 1e-12
    assert parts.history[-1].loss == pytest.approx(whole.history[-1].loss, rel=1e-12)
    assert fit(start, X, Y, batch_size=16, **OPTIONS).model != whole.model


def test_each_accumulated_batch_moves_the_running_statistics() -> None:
    """With a step size of nearly 0 it is all the same how many batches make a step."""
    start, tiny = model(normalization="batch"), xpnet.SGD(1e-30)
    single, several = (
        fit(start, X, Y, batch_size=50, accumulate=a, optimizer=tiny, **OPTIONS) for a in (1, 4)
    )
    assert difference(several.model.buffers, single.model.buffers) < 1e-14


def test_more_batches_than_there_are_take_no_memory() -> None:
    options = {"batch_size": 100, **OPTIONS}
    start = model(dropout=0.4)
    whole = fit(start, X, Y, accumulate=2, **options)
    assert fit(start, X, Y, accumulate=10**12, **options).model == whole.model


def test_steps_are_counted_by_updates() -> None:
    steps: list[int] = []
    fit(model(), X, Y, epochs=2, batch_size=10, accumulate=7, validation=0.0, on_step=steps.append)
    assert steps == [1, 2, 3, 4, 5, 6]  # 70, 70 and 60 samples


def test_averaged_weights_are_given_back_and_validated() -> None:
    """By hand: the mean of the weights after each of the last half of the steps."""
    thetas = []
    options = {"batch_size": 50, "epochs": 4, "validation": 0.0, "optimizer": "sgd"}
    fit(
        model(), X, Y, on_epoch=lambda epoch, so_far: thetas.append(so_far.model.theta),
        **(options | {"batch_size": 1000}),
    )  # fmt: skip
    last = fit(model(), X, Y, average="last:0.5", **(options | {"batch_size": 1000}))
    assert difference(last.model.theta, np.mean(thetas[-2:], axis=0)) < 1e-14
    assert np.array_equal(last.progress.state.theta, thetas[-1])


def test_running_statistics_are_averaged_with_the_weights() -> None:
    seen = []
    options = {"batch_size": 1000, "epochs": 4, "validation": 0.0, "optimizer": "sgd"}
    start = model(normalization="batch")
    fit(start, X, Y, on_epoch=lambda e, so_far: seen.append(so_far.model.buffers), **options)
    last = fit(start, X, Y, average="last:0.5", **options)
    assert difference(last.model.buffers, np.mean(seen[-2:], axis=0)) < 1e-14


def test_running_statistics_follow_the_batches() -> None:
    """After one step of all samples, shifted: a tenth of the way to theirs."""
    start = fit(model(normalization="batch"), X, Y, epochs=1, validation=0.0).model
    trained = fit(start, X + 5, Y, epochs=1, batch_size=200, validation=0.0).model
    p, before = trained.params, start.params
    h = (X + 5 - X.mean(axis=0)) / X.std(axis=0) @ before[1]["W"]
    mean, var = h.mean(axis=0), h.var(axis=0, ddof=1)
    assert difference(p[2]["mean"], 0.9 * before[2]["mean"] + 0.1 * mean) < 1e-12
    assert difference(p[2]["var"], 0.9 * before[2]["var"] + 0.1 * var) < 1e-12
    assert difference(p[0]["mean"], X.mean(axis=0)) < 1e-14


@pytest.mark.parametrize(("normalization", "averaged"), [(None, 1), ("batch", 2)])
def test_buffers_are_averaged_where_steps_change_them(
    normalization: str | None, averaged: int
) -> None:
    start = model(normalization=normalization)
    result = fit(start, X, Y, epochs=2, average="ema", validation=0.0)
    assert len(result.progress.state.average) == averaged
    more = fit(start, X, Y, epochs=1, average="ema", validation=0.0, initial=result)
    assert len(more.progress.state.average) == averaged


@pytest.mark.parametrize(("normalization", "changed"), [(None, False), ("batch", True)])
def test_buffers_that_no_step_changes_are_constants_of_it(
    normalization: str | None, changed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    monkeypatch.setattr(
        "xpnet.fast.fuse", lambda step, constants, unchanged, *_: made.append(unchanged) or
        HostStep(step, constants, unchanged),
    )  # fmt: skip
    fit(model(normalization=normalization), X, Y, epochs=1)
    assert made == [() if changed else ("buffers",)]
