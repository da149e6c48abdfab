"""Training: fit's promises and arguments on every library, going on, evaluation."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import Library, blobs, difference, model, needed, pairs

import xpnet
from xpnet.activations import LeakyReLU, ReLU
from xpnet.arrays import namespace, to_numpy
from xpnet.data.dataset import split
from xpnet.fast.steps import leaves
from xpnet.fitting.evaluation import evaluate
from xpnet.fitting.plan import enough_epochs
from xpnet.fitting.results import Result
from xpnet.fitting.training import fit
from xpnet.losses import OUTPUTS, BinaryCrossEntropy, Pinball, SoftmaxCrossEntropy
from xpnet.metrics import interval
from xpnet.registry import LOSSES, OPTIMIZERS
from xpnet.schedules import Constant, OneCycle, Warmup

X, Y = blobs()


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
    rule = OPTIMIZERS[optimizer]()
    numbers = {
        name: number(value) for name, value in vars(rule).items() if isinstance(value, float)
    } | {"weight_decay": np.int64(1)}
    network = replace(start.network, layers=tuple(layers))
    result = fit(
        replace(start, network=network), X.astype(np.float32), Y, epochs=1, fast=False,
        optimizer=replace(rule, **numbers), clip_norm=number(1), learning_rate=number(0.1),
        loss=SoftmaxCrossEntropy(number(0.1)),
    )  # fmt: skip
    assert result.progress is not None
    assert {str(a.dtype) for a in leaves(result.progress.state)} == {"float32"}


@pytest.mark.parametrize(("output", "optimizer"), pairs(OUTPUTS, OPTIMIZERS))
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
    first, again, other = (fit(start, X, Y, epochs=3, seed=seed).model for seed in (3, 3, 4))
    assert first == again
    assert first != other


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


def test_scaling_does_not_look_at_held_out_samples() -> None:
    rows, buffers = [], []
    for shift in (0, 1e6):
        x = X.copy()
        train, held = split(len(x), 0.25, 0, Y)
        x[held] += shift
        rows.append(train)
        buffers.append(fit(model(), x, Y, epochs=1, validation=0.25).model.buffers)
    assert np.array_equal(*rows)
    assert np.array_equal(*buffers)


def test_pixels_share_one_scale() -> None:
    x = np.random.default_rng(0).integers(0, 256, size=(50, 4)).astype(np.uint8)
    start, options = xpnet.mlp(4, 2, dtype="float64"), {"epochs": 1, "validation": 0.0}
    buffers = fit(start, x.reshape(50, 2, 2), x[:, 0] > 127, **options).model.buffers
    assert difference(buffers, [x.mean()] * 4 + [x.std()] * 4) < 1e-14
    many = np.tile(x, 16)
    flat = fit(xpnet.mlp(64, 2, dtype="float64"), many, x[:, 0] > 127, **options).model
    assert difference(flat.buffers, [x.mean()] * 64 + [x.std()] * 64) < 1e-14


def test_a_few_columns_of_bytes_are_no_pixels() -> None:
    """A column of 0 to 2 next to one of 0 to 255 is scaled as it is in any other type."""
    rng = np.random.default_rng(0)
    x = np.stack([rng.integers(0, 3, 300), rng.integers(0, 255, 300)], axis=1)
    found = [
        fit(xpnet.mlp(2, 8, 1, output="identity"), x.astype(dtype), 2.0 * x[:, 0], epochs=5).model
        for dtype in ("uint8", "int16", "float64")
    ]
    rows, _ = split(300, None, 0)
    assert found[0].theta.tobytes() == found[1].theta.tobytes() == found[2].theta.tobytes()
    assert found[0].buffers[2:4].tolist() == pytest.approx(x[rows].std(axis=0), rel=1e-6)


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


@pytest.mark.parametrize("labels", [("a", "b", "c"), (10, 20, 30)])
def test_labels_of_any_kind(labels: tuple) -> None:
    y = np.asarray(labels)[Y]
    named = fit(model(labels=labels), X, y.tolist(), epochs=3)
    plain = fit(model(), X, Y, epochs=3)
    assert np.array_equal(named.model.theta, plain.model.theta)
    assert named.model.predict(X).tolist() == np.asarray(labels)[plain.model.predict(X)].tolist()
    found, expected = evaluate(named.model, X, y), evaluate(plain.model, X, Y)
    assert (found.loss, found.metrics) == (expected.loss, expected.metrics)
    assert [each.label for each in found.classes] == [*labels]
    assert found.baseline.answer == labels[expected.baseline.answer]


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


def test_going_on_keeps_its_scaling() -> None:
    """Columns of mean 0 and deviation 1, whose scaling looks as if it had not been found yet."""
    x = np.tile([[-1.0, 1.0], [1.0, -1.0]], (20, 1))
    start = xpnet.mlp(2, 8, 1, output="identity", dtype="float64")
    options = {"validation": 0.0, "optimizer": xpnet.SGD(1e-30)}
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
    for other in (
        xpnet.mlp(2, 3, dtype="float64"),
        model(labels=("a", "b", "c")),
        model(output="sigmoid"),
    ):
        with pytest.raises(xpnet.UsageError, match="must have the network, labels and output"):
            fit(other, X, Y, initial=first)
    with pytest.raises(xpnet.UsageError, match="expected the same kind of optimizer"):
        fit(model(), X, Y, initial=first, optimizer="adam")
    with pytest.raises(xpnet.UsageError, match="no state that SGD"):
        fit(model(), X, Y, initial=first, optimizer="sgd")
    lion = fit(model(), X, Y, epochs=1, optimizer="lion")
    with pytest.raises(xpnet.UsageError, match="expected the same kind of optimizer"):
        fit(model(), X, Y, initial=lion, optimizer="momentum")


def test_batches_of_one_cannot_be_normalized() -> None:
    with pytest.raises(xpnet.UsageError, match="batch_size must be 2 or more"):
        fit(model(normalization="batch"), X, Y, batch_size=1, accumulate=2)


def test_a_result_without_progress_is_a_start_and_what_is_none_is_not() -> None:
    assert fit(model(), X, Y, epochs=1, initial=Result(model())).model.params[0]["scale"][0] != 1
    with pytest.raises(
        xpnet.UsageError, match="initial must be a Result, as fit returns it, got <Model"
    ):
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


@pytest.mark.parametrize("loss", ["huber", "absolute-error", "pinball"])
def test_outliers_do_not_spoil_a_robust_loss(loss: str) -> None:
    """Ten of 1,000 targets are 1,000; scaled by their deviation the rest was lost (R² -13.7)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 3))
    t = 2 * x[:, 0] + x[:, 1] ** 2
    y = np.where(np.arange(1000) % 100 == 5, 1000.0, t)
    start = xpnet.mlp(3, 32, 1, output="identity")
    result = fit(start, x, y, loss=loss, epochs=60, validation=0, learning_rate=0.01)
    usual = y != 1000
    assert xpnet.metrics.r2(t[usual], result.model.predict(x[usual])) > 0.9


def test_balance_is_in_the_loss_of_the_samples_that_are_trained_on() -> None:
    """A step size of nearly 0 shows the loss."""
    options = {"validation": 0.9, "epochs": 1, "optimizer": xpnet.SGD(1e-30)}
    result = fit(model(), X, Y, class_weight="balanced", **options)
    rows = split(200, 0.9, 0, Y)[0]
    losses = -np.log(result.model.predict_proba(X[rows])[np.arange(len(rows)), Y[rows]])
    by_class = np.mean([np.mean(losses[Y[rows] == c]) for c in np.unique(Y[rows])])
    assert result.history[0].loss == pytest.approx(by_class, rel=1e-12)


def test_a_warm_up_comes_before_the_schedule() -> None:
    result = fit(
        model(), X, Y, epochs=4, batch_size=1000, schedule=Warmup("constant", 0.5), optimizer="sgd"
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


def test_counts() -> None:
    rng = np.random.default_rng(0)
    t = rng.poisson(np.exp(0.3 * X[:, 0]))
    start = xpnet.mlp(2, 8, 1, output="exp", dtype="float64")
    result = fit(start, X, t, epochs=100, batch_size=32)
    predicted = result.model.predict(X)
    assert np.all(predicted > 0)
    assert np.mean(predicted) == pytest.approx(np.mean(t), rel=0.1)
    assert np.corrcoef(predicted, np.exp(0.3 * X[:, 0]))[0, 1] > 0.95


def test_a_regression_on_few_samples_keeps_no_random_function() -> None:
    """60 samples of 10 columns: R² was 0.55 to 0.77 where the first outputs had variance 2."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(560, 10))
    t = x @ np.arange(1.0, 11) + 5 * rng.normal(size=560)
    result = fit(xpnet.mlp(10, 128, 1, output="identity"), x[:60], t[:60], epochs=100)
    assert xpnet.evaluate(result.model, x[60:], t[60:]).metrics["r2"] > 0.8


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
        (
            {"validation": ([1], [2])},
            r"validation must be a part in \[0, 1\) or a whole number, got",
        ),
        ({"epochs": 0}, r"epochs must be a whole number in \[1, inf\), got 0"),
        ({"epochs": 2.5}, "epochs must be a whole number"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"patience": 0}, "patience must be"),
        ({"patience": 2, "min_delta": -0.1}, "min_delta must be"),
        ({"patience": 2, "validation": 0.0}, "patience needs samples"),
        ({"accumulate": 0}, "accumulate must be"),
        ({"average": 0.99}, r"average must be a name or a function, got 0\.99; the names are ema,"),
        ({"average": lambda *_: None}, "average must return finite numbers, 0 or more, got None"),
        ({"average": "emu"}, "did you mean 'ema'"),
        ({"class_weight": "equal"}, "class_weight 'equal'"),
        ({"class_weight": {7: 1.0}}, "class_weight: 7 is none of the model's labels"),
        ({"class_weight": {0: -1.0}}, "class_weight {0: -1.0}: expected finite numbers, 0 or more"),
        ({"class_weight": {0: float("nan")}}, "class_weight {0: nan}: expected finite"),
        ({"class_weight": {0: "rare"}}, "class_weight {0: 'rare'}: expected finite"),
        ({"class_weight": {0: [1, 2], 1: 1}}, r"class_weight {0: \[1, 2\], 1: 1}: expected finite"),
        ({"class_weight": {0: np.asarray([2.0])}}, "class_weight {0: array.*: expected finite"),
        ({"class_weight": {0: 0, 1: 0, 2: 0}}, "class_weight is 0 for every sample"),
        ({"class_weight": 3}, 'expected "balanced", or a weight by label'),
        ({"schedule": "plateau", "validation": 0}, "schedule plateau needs samples"),
        ({"seed": -1}, "seed must be"),
        ({"validation": -0.1}, "or a whole number, got -0.1"),
        ({"validation": 200}, "validation must leave samples to train on, got 200 of 200"),
        ({"validation": 1.0}, "or a whole number, got 1.0"),
        ({"validation": 1.5}, "or a whole number, got 1.5"),
        ({"validation": float("nan")}, "or a whole number, got nan"),
        ({"optimizer": "adm"}, "did you mean 'adam'"),
        ({"optimizer": xpnet.Adam}, "must be a name or an instance of Optimizer.*write Adam"),
        ({"sample_weight": [0] * 200}, "not all 0"),
        ({"schedule": "onecycle"}, "did you mean 'one-cycle'"),
        ({"schedule": OneCycle}, "must be a name or a function, got a class; write OneCycle"),
        (
            {"schedule": lambda s: "fast"},
            "schedule must return finite numbers, 0 or more, got 'fast'",
        ),
        ({"schedule": lambda s: -1}, "schedule must return finite numbers, 0 or more, got -1"),
        ({"schedule": lambda s: np.nan}, "schedule must return finite numbers, 0 or more, got nan"),
        ({"learning_rate": -1}, r"learning_rate must be a number in \(0, inf\), got -1"),
        ({"learning_rate": "fast"}, "got 'fast'; a course of the rate .* is the argument schedule"),
        ({"learning_rate": 10**400}, "learning_rate must be .* that float32 holds"),
        ({"weight_decay": -1}, "weight_decay must be"),
        ({"clip_norm": 0}, "clip_norm must be"),
        ({"clip_norm": 1e39}, "clip_norm must be a number in .* that float32 holds"),
        ({"loss": Pinball}, r"loss must be a name or an instance of Loss, got a class; write Pin"),
        ({"on_epoch": 3}, "on_epoch must be a function, got 3"),
        ({"on_step": [print]}, "on_step must be a function"),
        ({"initial": model()}, "initial must be a Result"),
        ({"validation_data": X}, r"validation_data must be a pair \(x, y\)"),
        ({"validation_data": (X, Y, Y, Y)}, r"pair \(x, y\) or \(x, y, sample_weight\)"),
        ({"validation_data": (X, Y, Y - 1)}, "validation_data: weights of samples: .* 0 or more"),
        ({"validation_data": (X, Y), "validation": 0.1}, "either validation or validation_data"),
        ({"validation_data": (X, Y[:9])}, "validation_data: 200 samples in x and 9 in y"),
        ({"validation_data": (X, Y + 1)}, "validation_data: label 3 of sample"),
        ({"loss": BinaryCrossEntropy()}, "is for output='sigmoid' and the model has output='soft"),
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
        (
            X,
            2 * np.arange(200),
            r"y has 200 different labels \(0, 2, .*\.\.\.\) and the model 3 cla",
        ),
        (X, np.where(Y == 2, 5, 0), r"y has 2 different labels \(0, 5\) and the model 3 classes"),
        (X, Y + 0.5, r"label \d.5 of sample"),
        (X, np.where(Y == 0, np.nan, Y), "label nan of sample"),
        (X, ["cat"] * 200, r"y has 1 different labels \(cat\) and the model 3"),
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
    torch = needed("torch")
    x = torch.tensor(X, requires_grad=True)
    result = fit(model(), x, Y, epochs=1)
    assert not result.model.theta.requires_grad


@pytest.mark.parametrize("scale", [1e39, 1e-50])
def test_numbers_that_float32_cannot_hold_are_told(scale: float) -> None:
    with pytest.raises(xpnet.DataError, match="x has numbers that float32 cannot hold"):
        fit(model(dtype="float32"), X * scale, Y)
    start = xpnet.mlp(2, 1, output="identity")
    with pytest.raises(xpnet.DataError, match="y has numbers that float32 cannot hold"):
        fit(start, X, X[:, 0] * 1e300)


# Classes, validation, epochs


@pytest.mark.parametrize(
    ("y", "labels"),
    [
        (np.asarray(["no", "yes", "maybe"])[Y], ("maybe", "no", "yes")),
        (np.asarray(["no", "yes", "maybe"], dtype=object)[Y], ("maybe", "no", "yes")),
        (np.asarray([b"x", b"y", b"z"])[Y], ("x", "y", "z")),
        (
            np.asarray([np.str_("no"), "yes", np.str_("maybe")], dtype=object)[Y][:, None],
            ("maybe", "no", "yes"),
        ),
        (np.asarray(["x", "y", "z"], dtype=np.dtypes.StringDType())[Y], ("x", "y", "z")),
        ((Y + 1).tolist(), (1, 2, 3)),
        (Y - 1, (-1, 0, 1)),
        (10.0 * Y, (0, 10, 20)),
        ((Y + 1)[:, None], (1, 2, 3)),
        (Y, (0, 1, 2)),
        (np.where(Y == 2, 0, Y), (0, 1, 2)),
    ],
    ids=[
        "names",
        "objects",
        "bytes",
        "numpy-texts",
        "strings",
        "list",
        "negative",
        "floats",
        "column",
        "default",
        "few",
    ],
)
def test_classes_are_found_in_y(y: Any, labels: tuple) -> None:
    """The numbers are those of labels 0, 1, 2."""
    result = fit(model(), X, y, epochs=3)
    assert result.model.labels == labels
    assert {type(label) for label in result.model.labels} <= {int, str}
    flat = np.asarray(y).reshape(-1)
    flat = np.char.decode(flat) if flat.dtype.kind == "S" else flat
    columns = np.asarray([labels.index(a) for a in flat.tolist()])
    plain = fit(model(), X, columns, epochs=3)
    assert np.array_equal(result.model.theta, plain.model.theta)
    assert evaluate(result.model, X, y).accuracy == evaluate(plain.model, X, columns).accuracy
    assert {*result.model.predict(X).tolist()} <= {*labels}


def test_two_classes_of_one_sigmoid_are_found_in_y() -> None:
    start = xpnet.mlp(2, 8, 1, output="sigmoid")
    assert fit(start, X, np.where(Y == 1, 1, -1), epochs=1).model.labels == (-1, 1)
    assert fit(start, X, Y == 1, epochs=1).model.labels == (0, 1)
    assert fit(start, X, [["no"], ["yes"]] * 100, epochs=1).model.labels == ("no", "yes")


def test_labels_that_were_given_are_not_replaced() -> None:
    with pytest.raises(xpnet.DataError, match="label 3 of sample"):
        fit(model(labels=(2, 1, 0)), X, Y + 1)


def test_classes_are_found_in_arrays_of_every_library(xp: Library) -> None:
    xp.needs_argmax()
    result = fit(model(dtype=xp.dtype), xp.array(X), xp.array(Y + 5), epochs=1)
    assert result.model.labels == (5, 6, 7)


def test_other_samples_may_be_validated_on(xp: Library) -> None:
    """As if they had been held out; none of x is."""
    xp.needs_argmax()
    rows, held = split(200, 0.25, 0, Y)
    x = X.astype(xp.dtype)
    options = {"epochs": 3, "batch_size": 16, "fast": False}
    pair = xp.array(x[held]), Y[held]
    result = fit(model(dtype=xp.dtype), xp.array(x[rows]), Y[rows], validation_data=pair, **options)
    expected = fit(model(dtype=xp.dtype), xp.array(x), Y, validation=0.25, **options)
    assert difference(result.model.theta, expected.model.theta) == 0
    assert result.best_epoch == expected.best_epoch
    tolerance = xp.tolerance(1e-12)
    for ours, theirs in zip(result.history, expected.history, strict=True):
        assert ours.validation_loss == pytest.approx(theirs.validation_loss, rel=tolerance)
        assert ours.validation_accuracy == theirs.validation_accuracy


@pytest.mark.parametrize("fast", [True, False])
def test_targets_to_validate_on_are_in_standard_units(fast: bool) -> None:
    t = 1e6 + 1e3 * X[:, :1]
    rows, held = split(200, 0.25, 0)
    start = xpnet.mlp(2, 8, 1, output="identity", dtype="float64")
    options = {"epochs": 3, "fast": fast}
    pair = [X[held].tolist(), t[held].tolist()]
    result = fit(start, X[rows], t[rows], validation_data=pair, **options)
    expected = fit(start, X, t, validation=0.25, **options)
    assert result.model == expected.model
    assert [e.validation_loss for e in result.history] == pytest.approx(
        [e.validation_loss for e in expected.history], rel=1e-9
    )


def test_samples_to_validate_on_are_of_the_library_of_x() -> None:
    strict = needed("array_api_strict")
    with pytest.raises(xpnet.UsageError, match="validation_data must be arrays of the same libr"):
        fit(model(), strict.asarray(X), Y, validation_data=(X, Y))


@pytest.mark.parametrize(
    ("samples", "samples_per_step", "epochs"),
    [(167, 128, 500), (200, 201, 1000), (167, 20, 112), (167, 1, 10), (50_000, 128, 10)],
)
def test_epochs_are_ten_or_more_to_make_a_thousand_steps(
    samples: int, samples_per_step: int, epochs: int
) -> None:
    assert enough_epochs(samples, samples_per_step) == epochs


@pytest.mark.parametrize(
    ("options", "epochs"), [({"batch_size": 10, "accumulate": 2}, 112), ({"batch_size": 1}, 10)]
)
def test_these_are_the_default(options: dict, epochs: int) -> None:
    """Of the 167 samples that are trained on."""
    assert len(fit(model(), X, Y, **options).history) == epochs


def test_a_small_table_is_learnt_with_all_defaults() -> None:
    """Iris: above 0.96 on its training samples, where ten epochs came to 0.85."""
    iris = needed("sklearn.datasets").load_iris()
    result = fit(xpnet.mlp(4, 32, 3), iris.data, iris.target)
    assert evaluate(result.model, iris.data, iris.target).accuracy > 0.96


def test_a_name_and_its_instance_are_one() -> None:
    options = {"epochs": 2, "batch_size": 16}
    for name, instance in (("sgd", xpnet.SGD()), ("adam", xpnet.Adam()), ("lion", xpnet.Lion())):
        by_name = fit(model(), X, Y, optimizer=name, **options)
        assert by_name.model == fit(model(), X, Y, optimizer=instance, **options).model
    for schedule in ("one-cycle", xpnet.OneCycle()):
        assert fit(model(), X, Y, schedule=schedule, **options).model == (
            fit(model(), X, Y, **options).model
        )
    average = fit(model(), X, Y, average=xpnet.ExponentialAverage(), **options).model
    assert average == fit(model(), X, Y, average="ema", **options).model


def test_the_trained_model_knows_its_loss() -> None:
    quantiles = Pinball((0.1, 0.9))
    start = xpnet.mlp(2, 8, 2, output="identity")
    result = fit(start, X, X[:, 0], loss=quantiles, epochs=1)
    assert result.model.loss == quantiles
    assert start.loss is None
    found = evaluate(result.model, X, X[:, 0])
    assert [*found.metrics] == ["below_0_0.1", "below_1_0.9"]
    assert found == evaluate(result.model, X, X[:, 0], quantiles)
    assert fit(model(), X, Y, epochs=1).model.loss == SoftmaxCrossEntropy()


def test_a_result_is_short_and_its_history_has_columns() -> None:
    result = fit(model(), X, Y, epochs=3)
    assert result.history["loss"] == [epoch.loss for epoch in result.history]
    assert result.history["epoch"] == [1, 2, 3]
    assert result.history[-1].epoch == 3
    assert result.history[:2] == tuple(result.history)[:2]
    with pytest.raises(xpnet.UsageError, match="did you mean 'validation_loss'"):
        _ = result.history["val_loss"]
    assert repr(result).startswith("<Result: 3 epochs, the best is ")
    assert len(repr(result)) < 200
    assert result == replace(result, progress=None)
    assert result != replace(result, best_epoch=0)


def test_the_shape_of_images_is_found_in_x() -> None:
    """Floats too share one scale then, and the trained model knows the shape."""
    x = np.random.default_rng(0).normal(size=(50, 2, 2)) * [[1, 2], [3, 4]]
    with_shape = xpnet.mlp(4, 2, input_shape=(2, 2), dtype="float64")
    for images in (x, x.tolist()):
        result = fit(xpnet.mlp(4, 2, dtype="float64"), images, [0, 1] * 25, epochs=1)
        assert result.model.input_shape == (2, 2)
        assert result.model == fit(with_shape, x, [0, 1] * 25, epochs=1).model
    flat = fit(with_shape, x.reshape(50, 4), [0, 1] * 25, epochs=1)
    assert flat.model == result.model
    assert fit(xpnet.mlp(4, 2), x.reshape(50, 4), [0, 1] * 25, epochs=1).model.input_shape == (4,)


def test_targets_may_be_objects_that_are_numbers() -> None:
    start = xpnet.mlp(2, 4, 1, output="identity", dtype="float64")
    as_objects = fit(start, X, X[:, 0].astype(object), epochs=1).model
    assert as_objects == fit(start, X, X[:, 0], epochs=1).model


@pytest.mark.parametrize("y", [Y[:10] * 2, ["a", "b"], X[:10, 0]], ids=["few", "names", "numbers"])
def test_a_wrong_number_of_targets_is_told_first(y: Any) -> None:
    with pytest.raises(xpnet.DataError, match=rf"200 samples in x and {len(y)} in y"):
        fit(model(), X, y)


def test_a_mistake_in_a_step_is_told_without_a_warning_of_the_fast_path() -> None:
    start = xpnet.mlp(2, 4, 1, output="identity")
    with pytest.raises(xpnet.UsageError, match="2 quantiles for 1 outputs"):
        fit(start, X, X[:, 0], loss=Pinball((0.1, 0.9)))


def test_the_rate_is_that_of_the_samples_there_are() -> None:
    """32 samples in a batch of 128 are steps of 32."""
    result = fit(model(), X[:32], Y[:32], epochs=1, validation=0, schedule="constant")
    assert result.history["learning_rate"] == pytest.approx([0.12 * 32 / 128])


def test_a_part_of_the_history_has_columns_too() -> None:
    result = fit(model(), X, Y, epochs=3)
    assert result.history[1:]["epoch"] == [2, 3]


@pytest.mark.parametrize("options", [{}, {"output": "sigmoid"}], ids=["softmax", "sigmoid"])
def test_rows_of_one_1_train_and_are_scored_as_labels(options: dict[str, str]) -> None:
    rows, start = np.eye(3)[Y], model(**options)
    settings = {"epochs": 2, "class_weight": "balanced"}
    ours, theirs = fit(start, X, rows.tolist(), **settings), fit(start, X, Y, **settings)
    assert ours.model == theirs.model
    assert ours.history["validation_accuracy"] == theirs.history["validation_accuracy"]
    assert xpnet.evaluate(ours.model, X, rows == 1) == xpnet.evaluate(ours.model, X, Y)


def test_rows_of_two_columns_are_labels_of_a_single_output() -> None:
    start = xpnet.mlp(2, 4, 1, output="sigmoid", dtype="float64")
    ours = fit(start, X, np.eye(2)[Y % 2], epochs=1)
    assert ours.model == fit(start, X, Y % 2, epochs=1).model


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["2", "nan", "7"], "label 'nan' of sample {1} marks a missing value"),
        ([2, 3, float("nan")], "label nan of sample {2} marks a missing value"),
        (["a", "b", 3], "labels must all be whole .*, y has 'b' in sample 1;"),
    ],
)
def test_a_label_that_is_missing_or_of_another_kind_is_named_with_its_sample(
    labels: Any, message: str
) -> None:
    wrong = [labels[i] for i in Y]
    good = ["2", "1", "7"] if isinstance(labels[0], str) else [2, 3, 4]
    right = [good[i] for i in Y]
    message = message.format(*(Y.tolist().index(i) for i in range(3)))
    with pytest.raises(xpnet.DataError, match=message):
        fit(model(), X, wrong, epochs=1)
    with pytest.raises(xpnet.DataError, match=message):
        fit(model(labels=good), X, right, validation_data=(X, wrong), epochs=1)
    with pytest.raises(xpnet.DataError, match=message):
        xpnet.evaluate(model(labels=good), X, wrong)


def test_labels_of_64_bits_are_found_in_y() -> None:
    labels = np.asarray([2**53 + 1, 2**53, -(2**63)])
    found = fit(model(), X, labels[Y], epochs=1).model
    assert found.labels == (-(2**63), 2**53, 2**53 + 1)
    assert {*found.predict(X).tolist()} <= {*labels.tolist()}
    assert found.predict(X).dtype == np.int64
