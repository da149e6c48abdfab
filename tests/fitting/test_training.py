"""Training: steps on every library, fit's promises, evaluation."""

from dataclasses import replace
from math import log
from typing import Any

import numpy as np
import pytest
from helpers import Library, difference

import xpnet
from xpnet.activations import LeakyReLU, ReLU
from xpnet.arrays import namespace, to_numpy
from xpnet.data.dataset import Dataset, split
from xpnet.data.targets import class_weights
from xpnet.fast.steps import leaves
from xpnet.fitting.evaluation import evaluate
from xpnet.fitting.results import Epoch, Result
from xpnet.fitting.scaling import in_standard_units
from xpnet.fitting.training import fit
from xpnet.losses import LOSSES, OUTPUTS, BinaryCrossEntropy, Pinball, SoftmaxCrossEntropy
from xpnet.metrics import interval
from xpnet.optimizers import OPTIMIZERS
from xpnet.schedules import Constant, ReduceOnPlateau
from xpnet.train import gradient, train_step


def blobs(n: int = 200, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Clouds of points around a centre for each class: easy to tell apart."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, size=n)
    centres = 4 * np.stack([np.cos(2 * np.arange(classes)), np.sin(2 * np.arange(classes))], axis=1)
    return centres[y] + rng.normal(size=(n, 2)), y


X, Y = blobs()


def model(**options):
    return xpnet.mlp(2, 8, 3, **({"dtype": "float64"} | options))


def test_fit_learns() -> None:
    result = fit(model(), X, Y, epochs=20, batch_size=16)
    assert result.history[-1].loss < 0.2 < result.history[0].loss
    x, y = blobs(seed=1)
    assert evaluate(result.model, x, y).accuracy > 0.95


@pytest.mark.parametrize("number", [np.float64, np.asarray], ids=["float64", "0-d array"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_settings_that_are_numbers_of_numpy_leave_float32(optimizer: str, number: Any) -> None:
    start = model(
        dtype="float32", dropout=number(0.1), noise=number(0.1), max_norm=np.int64(2),
        normalization="batch",
    )  # fmt: skip
    layers = [LeakyReLU(number(0.1)) if a == ReLU() else a for a in start.network.layers]
    rule = OPTIMIZERS[optimizer]
    numbers = {
        name: number(value) for name, value in vars(rule).items() if isinstance(value, float)
    } | {"weight_decay": np.int64(1)}
    network = replace(start.network, layers=tuple(layers))
    result = fit(
        replace(start, network=network), X.astype(np.float32), Y, epochs=1, fast=False,
        optimizer=replace(rule, **numbers), clip_norm=number(1), label_smoothing=number(0.1),
    )  # fmt: skip
    assert result.progress is not None
    assert {str(a.dtype) for a in leaves(result.progress.state)} == {"float32"}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("output", OUTPUTS)
def test_20_steps_are_the_same_on_every_library(xp: Library, optimizer: str, output: str) -> None:
    """To the bit between NumPy and strict; elsewhere within 1e-10 in float64.

    In float32 1e-5, where 1.3e-7 was measured.
    """
    y = {"identity": X, "exp": np.abs(np.round(X))}.get(output, Y)
    if y is Y:
        xp.needs_argmax()
    start = xpnet.mlp(2, 6, 3 if y is Y else 2, dtype=xp.dtype, output=output,
                      dropout=0.3, activation="tanh")  # fmt: skip
    options = {
        "optimizer": optimizer, "epochs": 2, "batch_size": 20, "validation": 0.0, "clip_norm": 0.5,
        "sample_weight": np.linspace(0.5, 2, 200).tolist(),
    }  # fmt: skip
    x = X.astype(xp.dtype)
    expected = fit(start, x, y, fast=False, **options)
    result = fit(start, xp.array(x), y, fast=False, **options)
    tolerance = xp.tolerance(1e-10)
    assert difference(result.model.theta, expected.model.theta) < tolerance
    assert result.history[1].loss == pytest.approx(expected.history[1].loss, rel=tolerance)
    assert namespace(result.model.theta) is namespace(xp.array(x))
    if xp.exact:
        assert np.array_equal(to_numpy(result.model.theta), expected.model.theta)


def test_a_step_inside_jit_is_the_same() -> None:
    jax = pytest.importorskip("jax")
    start = model(dropout=0.5, activation="tanh")
    adam, loss = xpnet.Adam(), SoftmaxCrossEntropy()

    def step(theta, state, buffers, x, t, scalars, keys):
        return train_step(
            start.network, loss, adam, theta, state, buffers, (x, t, None), scalars, keys
        )

    arguments = [
        start.theta,
        adam.init(start.theta),
        start.buffers,
        X,
        Y,
        np.asarray(adam.scalars(1.0, 1)),
        np.asarray([[1, 2, 0]], dtype=np.int32),
    ]
    with jax.enable_x64(True):
        theta, _, _, value = jax.jit(step)(*arguments)
        expected, _, _, expected_value = step(*arguments)
        assert difference(theta, expected) < 1e-12
        assert float(value) == pytest.approx(float(expected_value), rel=1e-12)


def test_nothing_that_is_passed_in_is_changed() -> None:
    start, x, y = model(), X.copy(), Y.copy()
    theta, buffers = start.theta.copy(), start.buffers.copy()
    fit(start, x, y, epochs=1)
    assert np.array_equal(x, X)
    assert np.array_equal(y, Y)
    assert np.array_equal(start.theta, theta)
    assert np.array_equal(start.buffers, buffers)


def test_equal_seeds_give_equal_bits() -> None:
    start = model(dropout=0.2)
    assert fit(start, X, Y, seed=3).model == fit(start, X, Y, seed=3).model
    assert fit(start, X, Y, seed=3).model != fit(start, X, Y, seed=4).model


def test_scaling_is_found_on_the_training_samples_once() -> None:
    x = X * 100 + 7
    first = fit(model(), x, Y, epochs=1, validation=0.0).model
    mean, scale = (
        first.network.unpack(first.theta, first.buffers)[0][k] for k in ("mean", "scale")
    )
    assert difference(mean, x.mean(axis=0)) < 1e-14
    assert difference(scale, x.std(axis=0)) < 1e-14
    again = fit(first, x + 1000, Y, epochs=1).model
    assert np.array_equal(again.buffers, first.buffers)


def test_scaling_does_not_look_at_held_out_or_limited_samples() -> None:
    rows, buffers = [], []
    for shift in (0, 1e6):
        x = X.copy()
        train, held = split(len(x), 0.25, 0)
        x[held] += shift
        x[train[100:]] += shift
        rows.append(train)
        buffers.append(fit(model(), x, Y, epochs=1, validation=0.25, limit=100).model.buffers)
    assert np.array_equal(*rows)
    assert np.array_equal(*buffers)


def test_pixels_share_one_scale() -> None:
    x = np.random.default_rng(0).integers(0, 256, size=(50, 4)).astype(np.uint8)
    start = xpnet.mlp(4, 2, dtype="float64")
    buffers = fit(start, x, x[:, 0] > 127, epochs=1, validation=0.0).model.buffers
    assert difference(buffers, [x.mean()] * 4 + [x.std()] * 4) < 1e-14


def test_the_history_is_of_the_model_at_that_moment() -> None:
    """Losses by hand: full batches, no momentum, so each step can be written out."""
    seen: list[Epoch] = []
    result = fit(
        model(), X, Y, epochs=3, batch_size=1000, validation=0.25, schedule="constant",
        optimizer="sgd", on_epoch=lambda epoch, so_far: seen.append(epoch),
    )  # fmt: skip
    rows, held = split(200, 0.25, 0)
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


def test_a_limit_takes_the_first_training_samples() -> None:
    rows, _ = split(200, 0.25, 0)
    limited = fit(model(), X, Y, limit=40, validation=0.25, epochs=2)
    spoilt = X.copy()
    spoilt[rows[40:]] = 1e3
    assert fit(model(), spoilt, Y, limit=40, validation=0.25, epochs=2).model == limited.model


def test_every_sample_is_seen_once_an_epoch() -> None:
    """With a step size of nearly 0 the mean of the batches' losses is the loss of all."""
    tiny = xpnet.SGD(learning_rate=1e-300)
    for batch_size in (1, 7, 64, 200, 1000):
        result = fit(model(), X, Y, epochs=1, batch_size=batch_size, validation=0.0, optimizer=tiny)
        loss = evaluate(result.model, X, Y).loss
        assert result.history[0].loss == pytest.approx(loss, rel=1e-12)


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
            schedule=lambda s: 1.0 if s < 2 / 9 else float("inf"),
        )  # fmt: skip
    assert "Try a smaller learning rate" in str(e.value)
    assert len(e.value.result.history) == 2
    assert e.value.result.progress is None  # steps that went wrong have written over its arrays
    assert np.all(np.isfinite(e.value.result.model(X)))


def test_a_loss_that_diverges_at_once_leaves_no_model() -> None:
    with pytest.raises(xpnet.DivergedError, match="in epoch 1; no epoch was good") as e:
        fit(model(), X, Y, optimizer="sgd", schedule=lambda s: float("inf"))
    assert e.value.result.best_epoch == 0


def test_a_loss_that_is_infinite_in_validation_alone_is_told() -> None:
    x = X.copy()
    x[split(200, 0.25, 0)[1]] = 1e200
    start = xpnet.mlp(2, 2, output="identity", dtype="float64")
    with pytest.raises(xpnet.DivergedError, match="the loss became inf in epoch 1"):
        fit(start, x, X, validation=0.25)


@pytest.mark.parametrize("rate", [float("inf"), 1e200])
def test_a_last_step_that_spoils_the_model_is_seen(rate: float) -> None:
    """Its loss was finite still, for it comes from before the step; nothing is validated."""
    with pytest.raises(xpnet.DivergedError, match="in epoch 2; the model of epoch 1 is kept") as e:
        fit(
            model(), X, Y, epochs=2, batch_size=200, validation=0.0, optimizer="sgd",
            schedule=lambda s: rate if s else 0.1,
        )  # fmt: skip
    assert np.all(np.isfinite(e.value.result.model.theta))


def test_a_weight_of_0_is_a_sample_left_out() -> None:
    """Full batches: the mean over all with weights of mean one is the mean over the others."""
    w = np.ones(200)
    w[150:] = 0
    options = {"epochs": 5, "batch_size": 200, "validation": 0.0, "optimizer": "sgd"}
    start = fit(model(), X, Y, epochs=1).model  # its scaling is found
    weighted = fit(start, X, Y, sample_weight=w, **options)
    without = fit(start, X[:150], Y[:150], **options)
    assert difference(weighted.model.theta, without.model.theta) < 1e-12


@pytest.mark.parametrize("name", ["softmax-cross-entropy", "softmax-squared-error"])
def test_a_loss_by_name_is_what_is_minimised(name: str) -> None:
    by_name = fit(model(), X, Y, epochs=2, loss=name)
    assert by_name.model == fit(model(), X, Y, epochs=2, loss=LOSSES[name]()).model
    assert (by_name.model == fit(model(), X, Y, epochs=2).model) == (
        name == "softmax-cross-entropy"
    )


def test_label_smoothing_is_in_training_and_not_in_validation() -> None:
    result = fit(model(), X, Y, epochs=40, label_smoothing=0.2, batch_size=16)
    floor = -(1 - 0.2 * 2 / 3) * log(1 - 0.2 * 2 / 3) - 0.4 / 3 * log(0.2 / 3)
    assert result.history[-1].loss > floor
    assert result.history[-1].validation_loss < floor


@pytest.mark.parametrize("labels", [("a", "b", "c"), (10, 20, 30)])
def test_labels_of_any_kind(labels: tuple) -> None:
    y = np.asarray(labels)[Y]
    named = fit(model(labels=labels), X, y.tolist(), epochs=3)
    plain = fit(model(), X, Y, epochs=3)
    assert np.array_equal(named.model.theta, plain.model.theta)
    assert named.model.predict(X).tolist() == np.asarray(labels)[plain.model.predict(X)].tolist()
    assert evaluate(named.model, X, y) == evaluate(plain.model, X, Y)


@pytest.mark.parametrize("kind", [float, np.uint8, np.int16, "one-hot", "column"])
def test_targets_of_any_type(kind) -> None:
    y = {"one-hot": np.eye(3)[Y], "column": Y[:, None]}.get(kind)
    y = Y.astype(kind) if y is None else y
    result = fit(model(), X, y, epochs=2)
    assert result.model == fit(model(), X, Y, epochs=2).model
    assert result.history[1].validation_accuracy is not None


def test_targets_may_be_of_the_samples_library(xp: Library) -> None:
    xp.needs_argmax()
    result = fit(model(dtype=xp.dtype), xp.array(X), xp.array(Y), epochs=2, validation=0.0)
    expected = fit(model(dtype=xp.dtype), X.astype(xp.dtype), Y, epochs=2, validation=0.0)
    assert difference(result.model.theta, expected.model.theta) < xp.tolerance(1e-10)


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
    start, tiny = model(normalization="batch"), xpnet.SGD(1e-300)
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


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adamw"},
        {"optimizer": "nesterov", "average": "ema:0.9"},
        {"optimizer": "lion", "patience": 50},
    ],
)
def test_going_on_is_as_if_it_had_not_stopped(options: dict) -> None:
    """With a constant schedule, to the bit: five epochs, and two and three."""
    start = model(dropout=0.3, normalization="batch")
    options |= {"schedule": "constant", "batch_size": 16}
    whole = fit(start, X, Y, epochs=5, **options)
    first = fit(start, X, Y, epochs=2, **options)
    rest = fit(first.model, X, Y, epochs=3, initial=first, **options)
    assert rest.model == whole.model
    assert rest.best_epoch == whole.best_epoch
    assert [replace(e, seconds=0) for e in rest.history] == [
        replace(e, seconds=0) for e in whole.history
    ]
    assert np.array_equal(rest.progress.state.theta, whole.progress.state.theta)
    assert (rest.progress.steps, rest.progress.epochs) == (whole.progress.steps, 5)


def test_going_on_the_schedule_and_the_last_part_are_of_what_is_added() -> None:
    """By hand: the mean of the weights after the last half of the steps that are added."""
    options = {"batch_size": 1000, "validation": 0.0}
    first = fit(model(), X, Y, epochs=3, average="ema", **options)
    thetas = []
    plain = fit(
        first.model, X, Y, epochs=4, initial=first, **options,
        on_epoch=lambda epoch, so_far: thetas.append(so_far.model.theta),
    )  # fmt: skip
    fresh = fit(model(), X, Y, epochs=4, **options)
    rates = [[e.learning_rate for e in r.history] for r in (first, plain, fresh)]
    assert rates[1] == rates[0] + rates[2]
    assert not plain.progress.state.average
    last = fit(first.model, X, Y, epochs=4, initial=first, average="last:0.5", **options)
    assert difference(last.model.theta, np.mean(thetas[-2:], axis=0)) < 1e-14


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


def test_going_on_keeps_its_scaling() -> None:
    """Columns of mean 0 and deviation 1, whose scaling looks as if it had not been found yet."""
    x = np.tile([[-1.0, 1.0], [1.0, -1.0]], (20, 1))
    start = xpnet.mlp(2, 8, 1, output="identity", dtype="float64")
    options = {"validation": 0.0, "optimizer": xpnet.SGD(1e-300)}
    first = fit(start, x, x[:, 0], epochs=1, **options)
    result = fit(start, 3 * x + 1, 5 * x[:, 0] + 100, epochs=1, initial=first, **options)
    assert np.array_equal(result.model.buffers, start.buffers)
    loss = evaluate(start, 3 * x + 1, 5 * x[:, 0] + 100).loss
    assert result.history[1].loss == pytest.approx(loss, rel=1e-12)


def test_going_on_elsewhere_moves_what_there_is(xp: Library) -> None:
    xp.needs_argmax()
    start = model(dtype=xp.dtype)
    options = {"optimizer": "adam", "average": "ema", "batch_size": 50, "schedule": "constant"}
    first = fit(start, X.astype(xp.dtype), Y, epochs=1, **options)
    here, there = (
        fit(start, x, Y, epochs=1, initial=first, **options)
        for x in (X.astype(xp.dtype), xp.array(X))
    )
    assert difference(there.model.theta, here.model.theta) < xp.tolerance(1e-10)


def test_going_on_with_something_else_is_refused() -> None:
    first = fit(model(), X, Y, epochs=1)
    for other in (xpnet.mlp(2, 3, dtype="float64"), model(labels="abc"), model(output="sigmoid")):
        with pytest.raises(xpnet.UsageError, match="expected the same network, labels and output"):
            fit(other, X, Y, initial=first)
    with pytest.raises(xpnet.UsageError, match="expected the same kind of optimizer"):
        fit(model(), X, Y, initial=first, optimizer="adam")
    with pytest.raises(xpnet.UsageError, match="no state that SGD"):
        fit(model(), X, Y, initial=first, optimizer="sgd")
    lion = fit(model(), X, Y, epochs=1, optimizer="lion")
    with pytest.raises(xpnet.UsageError, match="expected the same kind of optimizer"):
        fit(model(), X, Y, initial=lion, optimizer="momentum")


def test_batches_of_one_cannot_be_normalized() -> None:
    with pytest.raises(xpnet.UsageError, match="needs batches of 2 samples at least"):
        fit(model(normalization="batch"), X, Y, batch_size=1, accumulate=2)


def test_a_result_without_progress_is_a_start_and_what_is_none_is_not() -> None:
    assert fit(model(), X, Y, epochs=1, initial=Result(model())).model.params[0]["scale"][0] != 1
    with pytest.raises(xpnet.UsageError, match="initial is a Model; expected what fit gave"):
        fit(model(), X, Y, initial=model())
    first = fit(model(dtype="float32"), X, Y, epochs=1)
    with pytest.raises(xpnet.UsageError, match="in float32 and the model float64"):
        fit(model(), X, Y, initial=first)


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_small_batches_learn_with_the_defaults(batch_size: int) -> None:
    result = fit(model(), X, Y, batch_size=batch_size, epochs=5)
    assert result.history[-1].validation_accuracy > 0.9


def test_a_rate_that_is_given_stays_as_it_is() -> None:
    options = {"epochs": 1, "batch_size": 4, "schedule": "constant"}
    rates = [
        fit(model(), X, Y, **options, **more).history[0].learning_rate
        for more in (
            {},
            {"learning_rate": 0.3},
            {"optimizer": xpnet.SGD(0.2)},
            {"optimizer": "adam"},
        )
    ]
    assert rates == pytest.approx([0.12 / 32, 0.3, 0.2, 0.004 / np.sqrt(32)])
    numbers = fit(xpnet.mlp(2, 8, 2, output="identity"), X, X, **options)
    assert numbers.history[0].learning_rate == pytest.approx(0.004 / np.sqrt(32))


def test_a_callback_may_end_it() -> None:
    result = fit(model(), X, Y, epochs=9, on_epoch=lambda epoch, so_far: epoch.epoch == 4)
    assert len(result.history) == 4


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


def test_weights_stay_within_their_bound() -> None:
    result = fit(model(max_norm=0.5), X, Y, epochs=2, batch_size=16)
    lengths = np.linalg.norm(result.model.params[1]["W"], axis=0)
    assert np.all(lengths <= 0.5 * (1 + 1e-14))
    assert np.max(lengths) > 0.499
    free = fit(model(), X, Y, epochs=2, batch_size=16).model.params[1]["W"]
    assert np.max(np.linalg.norm(free, axis=0)) > 0.6


def test_balanced_classes_weigh_the_same() -> None:
    rare = np.flatnonzero(Y != 2).tolist() + np.flatnonzero(Y == 2)[:9].tolist()
    x, y = X[rare], Y[rare]
    counts = np.bincount(y)
    options = {"epochs": 3, "validation": 0.0, "optimizer": "sgd"}
    by_name = fit(model(), x, y, class_weight="balanced", **options)
    w = len(y) / (3 * counts[y])
    assert (
        difference(by_name.model.theta, fit(model(), x, y, sample_weight=w, **options).model.theta)
        < 1e-13
    )
    by_label = {label: len(y) / (3 * counts[label]) for label in range(3)}
    given = fit(model(), x, y, class_weight=by_label, **options)
    assert difference(given.model.theta, by_name.model.theta) < 1e-13
    both = fit(model(), x, y, class_weight={0: 3.0}, sample_weight=np.full(len(y), 2.0), **options)
    single = fit(model(), x, y, sample_weight=np.where(y == 0, 3.0, 1.0), **options)
    assert difference(both.model.theta, single.model.theta) < 1e-13


def test_balance_is_of_the_samples_that_are_trained_on() -> None:
    """A class that is only elsewhere counts for nothing; a step size of nearly 0 shows the loss."""
    t = np.asarray([0, 0, 0, 2, 1, 1], dtype=np.int32)
    expected = [4 / (2 * 3)] * 3 + [4 / 2]
    assert class_weights("balanced", t, (5, 6, 7), np.arange(4))[:4].tolist() == expected
    options = {"validation": 0.25, "limit": 20, "epochs": 1, "optimizer": xpnet.SGD(1e-300)}
    result = fit(model(), X, Y, class_weight="balanced", **options)
    rows = split(200, 0.25, 0)[0][:20]
    losses = -np.log(result.model.predict_proba(X[rows])[np.arange(20), Y[rows]])
    by_class = np.mean([np.mean(losses[Y[rows] == c]) for c in np.unique(Y[rows])])
    assert result.history[0].loss == pytest.approx(by_class, rel=1e-12)


def test_a_plateau_lowers_the_rate_between_epochs() -> None:
    """A rate so small that nothing gets better: each second epoch a tenth of it."""
    schedule = ReduceOnPlateau(0.1, 2)
    result = fit(
        model(), X, Y, epochs=7, optimizer="sgd", learning_rate=1e-12, schedule=schedule, warmup=0.0
    )
    rates = [epoch.learning_rate / 1e-12 for epoch in result.history]
    assert rates == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_a_plateau_is_seen_behind_a_warm_up() -> None:
    result = fit(
        model(), X, Y, epochs=4, optimizer="sgd", learning_rate=1e-12, warmup=0.25,
        schedule=ReduceOnPlateau(0.1, 2), batch_size=1000,
    )  # fmt: skip
    rates = [epoch.learning_rate / 1e-12 for epoch in result.history]
    assert rates[1:] == pytest.approx([1, 1, 0.1])


def test_a_warm_up_comes_before_the_schedule() -> None:
    result = fit(
        model(), X, Y, epochs=4, batch_size=1000, warmup=0.5, schedule="constant", optimizer="sgd"
    )
    rates = [epoch.learning_rate / 0.5 for epoch in result.history]
    assert rates == pytest.approx([0.04, 0.52, 1, 1])


def test_several_labels_a_sample() -> None:
    y = np.stack([X[:, 0] > 0, X[:, 1] > 0, X.sum(axis=1) > 0], axis=1).astype(int)
    start = xpnet.mlp(2, 16, 3, multilabel=True, labels=("a", "b", "c"), dtype="float64")
    result = fit(start, X, y, epochs=60, batch_size=16)
    predicted = result.model.predict(X)
    assert predicted.shape == (200, 3)
    found = evaluate(result.model, X, y)
    assert found.accuracy == np.mean(np.all(predicted == y, axis=1)) > 0.9
    assert result.history[-1].validation_accuracy > 0.8


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_targets_of_any_unit_are_learnt_alike(unit: float) -> None:
    t = np.stack([X[:, 0] ** 2 / 10 + X[:, 1], X[:, 0]], axis=1)
    start = xpnet.mlp(2, 32, 2, output="identity", dtype="float64")
    scaled = fit(start, X, 5 * unit + unit * t, epochs=40, batch_size=32)
    plain = fit(start, X, t, epochs=40, batch_size=32)
    assert scaled.history[-1].loss == pytest.approx(plain.history[-1].loss, rel=1e-6)
    assert difference(scaled.model(X), unit * (5 + plain.model(X))) < 1e-6
    assert evaluate(scaled.model, X, 5 * unit + unit * t).metrics["r2"] > 0.9


def test_a_step_on_a_fitted_regression_minimises_what_the_model_predicts() -> None:
    """`train_step` takes raw targets, in whatever unit; `fit` trains in standard units."""
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(40, 3)), 1000 + 30 * rng.normal(size=(40, 1))
    model = xpnet.mlp(3, 4, 1, output="identity", dtype="float64")
    model = xpnet.fit(model, x, t, epochs=2, validation=0.0).model
    network, loss, optimizer = model.network, xpnet.SquaredError(), xpnet.SGD(0.1 / 30**2)
    scalars = np.asarray(optimizer.scalars(1.0, 1))
    theta, _, _, value = xpnet.train_step(
        network, loss, optimizer, model.theta, (), model.buffers, (x, t, None), scalars
    )
    assert value == pytest.approx(np.mean((model.predict(x) - t[:, 0]) ** 2), rel=1e-12)
    scale = float(model.params[-1]["scale"][0])
    inner, data = in_standard_units(model, Dataset(x, t))
    g, _, standard = gradient(
        inner.network, loss, inner.theta, inner.buffers, (x, data.t, None), None
    )
    assert value == pytest.approx(scale**2 * standard, rel=1e-12)
    moved = model.theta - optimizer.learning_rate * scale**2 * g
    assert np.max(np.abs(theta - moved)) < 1e-12


def test_counts() -> None:
    rng = np.random.default_rng(0)
    t = rng.poisson(np.exp(0.3 * X[:, 0]))
    start = xpnet.mlp(2, 8, 1, output="exp", dtype="float64")
    result = fit(start, X, t, epochs=100, batch_size=32)
    predicted = result.model.predict(X)
    assert np.all(predicted > 0)
    assert np.mean(predicted) == pytest.approx(np.mean(t), rel=0.1)
    assert np.corrcoef(predicted, np.exp(0.3 * X[:, 0]))[0, 1] > 0.95


def test_quantiles_hold_their_part_of_the_targets() -> None:
    """Within 6 standard deviations of a binomial of 2,000."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(2000, 1))
    y = x[:, 0] + rng.normal(size=2000) * (1.5 + x[:, 0])
    loss = Pinball((0.1, 0.5, 0.9))
    start = xpnet.mlp(1, 16, 3, output="identity", dtype="float64")
    predicted = fit(start, x, y, loss=loss, epochs=60, validation=0.0).model.predict(x)
    below = np.mean(y[:, None] < predicted, axis=0)
    for part, q in zip(below, loss.quantiles, strict=True):
        assert abs(part - q) < 6 * np.sqrt(q * (1 - q) / 2000)


def test_two_classes_by_one_sigmoid() -> None:
    start = xpnet.mlp(2, 8, 1, output="sigmoid", labels=("no", "yes"))
    y = np.asarray(["no", "yes"])[(Y == 1).astype(int)]
    result = fit(start, X, y, epochs=20)
    assert evaluate(result.model, X, y).accuracy > 0.95


def test_regression() -> None:
    t = X[:, 0] ** 2 / 10 + X[:, 1]
    start = xpnet.mlp(2, 32, 1, output="identity", dtype="float64")
    result = fit(start, X, t, epochs=200, optimizer="adam", batch_size=32)
    evaluation = evaluate(result.model, X, t)
    assert evaluation.loss < 0.05 * np.var(t)
    assert (evaluation.accuracy, evaluation.interval) == (None, None)
    assert result.model.predict(X).shape == (200,)
    assert result.history[0].validation_accuracy is None


def test_evaluation_is_by_blocks_and_by_hand() -> None:
    x, y = blobs(2500)
    trained = fit(model(), X, Y, epochs=3).model
    result = evaluate(trained, x, y)
    p = trained.predict_proba(x)
    assert result.samples == 2500
    assert result.loss == pytest.approx(-np.mean(np.log(p[np.arange(2500), y])), rel=1e-12)
    assert result.accuracy == np.mean(trained.predict(x) == y)
    low, high = result.interval
    assert low < result.accuracy < high


def test_the_dtype_stays_float32() -> None:
    options = {"optimizer": "adamw", "clip_norm": 1.0, "sample_weight": np.ones(200)}
    result = fit(model(dtype="float32"), X, Y, epochs=1, **options)
    assert result.model.theta.dtype == result.model.buffers.dtype == np.float32


def test_one_sample_one_feature() -> None:
    start = xpnet.mlp(1, 2, dtype="float64")
    result = fit(start, [[3.0]], [1], validation=0.0, epochs=2)
    assert np.all(np.isfinite(result.model([[3.0]])))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"capture": True, "fast": False}, "capture needs the fast path"),
        ({"validation": ([1], [2])}, "expected a part below 1 or a whole number"),
        ({"epochs": 0}, "epochs 0: expected a whole number, 1 or more"),
        ({"epochs": 2.5}, "epochs 2.5"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"patience": 0}, "patience 0"),
        ({"patience": 2, "validation": 0.0}, "patience needs samples"),
        ({"limit": 0}, "limit 0"),
        ({"accumulate": 0}, "accumulate 0"),
        ({"warmup": 1.0}, "warmup 1.0 is outside"),
        ({"average": "emu"}, "did you mean 'ema'"),
        ({"class_weight": "equal"}, "class_weight 'equal'"),
        ({"class_weight": {7: 1.0}}, "class_weight: 7 is none of the model's labels"),
        ({"class_weight": {0: -1.0}}, "class_weight {0: -1.0}: expected finite numbers, 0 or more"),
        ({"class_weight": {0: float("nan")}}, "class_weight {0: nan}: expected finite"),
        ({"class_weight": {0: "rare"}}, "class_weight {0: 'rare'}: expected finite"),
        ({"class_weight": {0: 0, 1: 0, 2: 0}}, "weights of samples: .* not all 0 where"),
        ({"class_weight": 3}, 'expected "balanced", or a weight by label'),
        ({"schedule": "plateau", "validation": 0}, "schedule plateau needs samples"),
        ({"seed": -1}, "seed -1"),
        ({"validation": -0.1}, "validation -0.1: expected a part below 1"),
        ({"validation": 200}, "leaves nothing to train on: there are 200"),
        ({"validation": 1.5}, "validation 1.5: expected"),
        ({"validation": float("nan")}, "validation nan"),
        ({"optimizer": "adm"}, "did you mean 'adam'"),
        ({"optimizer": xpnet.Adam}, "expected a name or an optimizer"),
        ({"sample_weight": [0] * 200}, "not all 0"),
        ({"schedule": "onecycle"}, "did you mean 'one-cycle'"),
        ({"learning_rate": -1}, "learning rate -1"),
        ({"weight_decay": -1}, "weight decay -1"),
        ({"clip_norm": 0}, "clip_norm 0"),
        ({"label_smoothing": 1.0}, "expected 0 <= smoothing < 1"),
        ({"loss": BinaryCrossEntropy()}, "is for output='sigmoid' and the model has output='soft"),
        (
            {"loss": "softmax-squared-error", "label_smoothing": 0.1},
            "label smoothing is for softmax",
        ),
        ({"loss": SoftmaxCrossEntropy(0.2), "label_smoothing": 0.1}, "the loss is SoftmaxCrossEnt"),
        ({"loss": "softmax-squared"}, "did you mean 'softmax-squared-error'"),
        ({"loss": "squared-error"}, "is for output='identity' and the model has output='softmax'"),
        ({"sample_weight": [1.0]}, "sample_weight has shape"),
    ],
)
def test_other_arguments_are_refused(options: dict, message: str) -> None:
    with pytest.raises((xpnet.UsageError, xpnet.DataError), match=message):
        fit(model(), X, Y, **options)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:0], Y[:0], "at least one"),
        (X[:0], np.eye(3)[Y[:0]], "at least one"),
        (X, Y[:-1], "200 samples in x and 199 in y"),
        (X, Y + 1, "label 3 of sample"),
        (X, Y - 1, "label -1 of sample"),
        (X, Y + 0.5, r"label \d.5 of sample"),
        (X, np.where(Y == 0, np.nan, Y), "label nan of sample"),
        (X, ["cat"] * 200, "label 'cat' of sample 0 is out of range"),
        (X, np.ones((200, 2)), r"y has shape \(200, 2\); expected \(n,\) or \(n, 3\)"),
        (X, np.ones((200, 3)), "no distribution"),
        (np.where(X > 5, np.nan, X), Y, "x holds NaN or infinite numbers"),
        (X[:, :1], Y, "this model expects"),
    ],
)
def test_other_samples_are_refused(x, y, message: str) -> None:
    with pytest.raises((xpnet.UsageError, xpnet.DataError), match=message):
        fit(model(), x, y)


def test_a_schedule_may_be_a_function() -> None:
    by_name = fit(model(), X, Y, epochs=2, schedule="constant").model
    assert fit(model(), X, Y, epochs=2, schedule=lambda s: 1.0).model == by_name
    assert fit(model(), X, Y, epochs=2, schedule=Constant()).model == by_name


def test_a_step_of_fit_by_hand() -> None:
    """Adam's first step has the size of the learning rate, wherever the gradient is not tiny."""
    start = fit(model(), X, Y, epochs=1).model
    options = {"epochs": 1, "batch_size": 200, "validation": 0.0, "schedule": "constant"}
    after = fit(start, X, Y, optimizer=xpnet.Adam(0.01), **options).model
    assert np.median(np.abs(after.theta - start.theta)) == pytest.approx(0.01, rel=1e-5)
    clipped = fit(start, X, Y, optimizer="sgd", clip_norm=1e-3, **options).model
    length = np.linalg.norm(clipped.theta - start.theta)
    assert length == pytest.approx(0.5 * 1e-3, rel=1e-9)


def test_biases_do_not_decay() -> None:
    start, decay = model(), xpnet.SGD(0.1, weight_decay=0.5)
    zero = SoftmaxCrossEntropy()
    theta = np.ones(start.network.size)
    w = np.zeros(200)
    scalars = np.asarray(decay.scalars(1.0, 1))
    after, _, _, _ = train_step(
        start.network, zero, decay, theta, (), start.buffers, (X, Y, w), scalars
    )
    decayed = start.network.decayed_size
    assert np.all(after[:decayed] == 0.95)
    assert np.all(after[decayed:] == 1)


def test_validation_has_no_weights() -> None:
    w = np.linspace(0.1, 5, 200)
    result = fit(model(), X, Y, sample_weight=w, epochs=1, validation=0.25)
    _, held = split(200, 0.25, 0)
    expected = evaluate(result.model, X[held], Y[held]).loss
    assert result.history[0].validation_loss == pytest.approx(expected, rel=1e-12)


def test_the_learning_rate_in_the_history_is_of_the_last_step() -> None:
    result = fit(model(), X, Y, epochs=2, batch_size=100, validation=0.0, schedule="cosine",
                 optimizer=xpnet.SGD(1.0))  # fmt: skip
    assert [epoch.learning_rate for epoch in result.history] == pytest.approx(
        [(1 + np.cos(np.pi * s)) / 2 for s in (0.25, 0.75)], rel=1e-12
    )


def test_the_interval_is_of_the_hits() -> None:
    result = evaluate(fit(model(), X, Y, epochs=2).model, X, Y)
    assert result.interval == interval(round(result.accuracy * 200), 200)


def test_a_sixth_is_held_out() -> None:
    sizes = []
    fit(model(), X, Y, epochs=1, batch_size=1, on_step=sizes.append)
    assert len(sizes) == 200 - 33


@pytest.mark.parametrize("place", [0, 2], ids=["mean", "scale"])
def test_scaling_with_one_constant_alone_is_not_found_again(place: int) -> None:
    start = model()
    buffers = np.array(start.buffers)
    buffers[place] = 5.0
    start = replace(start, buffers=buffers)
    assert np.array_equal(fit(start, X, Y, epochs=1).model.buffers, buffers)


def test_images_of_floats_share_one_scale() -> None:
    start = xpnet.mlp(4, 2, input_shape=(2, 2), dtype="float64")
    x = np.random.default_rng(0).normal(size=(50, 2, 2)) * [[1, 2], [3, 4]]
    buffers = fit(start, x, [0, 1] * 25, epochs=1, validation=0.0).model.buffers
    assert difference(buffers, [x.mean()] * 4 + [x.std()] * 4) < 1e-13


def test_samples_with_a_history_in_torch_are_cut_off_from_it() -> None:
    torch = pytest.importorskip("torch")
    x = torch.tensor(X, requires_grad=True)
    result = fit(model(), x, Y, epochs=1)
    assert not result.model.theta.requires_grad


def test_infinite_weights_behind_a_relu_are_seen() -> None:
    """-inf into ReLU gives 0 and finite logits; the model is spoilt all the same."""
    start = xpnet.mlp(1, 2, 2, dtype="float64")
    theta = np.array(start.theta)
    theta[:2] = -np.inf
    start = replace(start, theta=theta, buffers=np.asarray([-1.0, 1.0]))
    with pytest.raises(xpnet.DivergedError):
        fit(start, [[1.0], [2.0]], [0, 1], epochs=1, validation=0.0, optimizer="sgd")


def test_several_yes_or_no_targets_have_no_accuracy() -> None:
    start = xpnet.mlp(2, 8, 3, output="sigmoid")
    result = fit(start, X, np.eye(3)[Y], epochs=2)
    assert result.history[0].validation_accuracy is None
    assert evaluate(result.model, X, np.eye(3)[Y]).accuracy is None
    assert evaluate(result.model, X, Y).accuracy is not None


def test_patience_does_not_wait_on_ties() -> None:
    tiny = xpnet.SGD(1e-300)
    result = fit(model(), X, Y, epochs=50, patience=2, optimizer=tiny)
    assert (result.best_epoch, len(result.history)) == (1, 3)


@pytest.mark.parametrize("scale", [1e39, 1e-50])
def test_numbers_that_float32_cannot_hold_are_told(scale: float) -> None:
    with pytest.raises(xpnet.DataError, match="x has numbers that float32 cannot hold"):
        fit(model(dtype="float32"), X * scale, Y)
    start = xpnet.mlp(2, 1, output="identity")
    with pytest.raises(xpnet.DataError, match="y has numbers that float32 cannot hold"):
        fit(start, X, X[:, 0] * 1e300)
