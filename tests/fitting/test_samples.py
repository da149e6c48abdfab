"""The samples of a fit: weights, and the division into training and validation."""

from typing import Any

import numpy as np
import pytest
from helpers import Library, difference

import xpnet
from xpnet.arrays import to_numpy
from xpnet.data.dataset import split
from xpnet.fitting.training import fit

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)) * [1, 10, 0.1] + [0, 100, 5]
OUTPUTS = {
    "classes": (3, {}, np.arange(40) % 3),
    "numbers": (1, {"output": "identity"}, X[:, 0] + 0.01 * X[:, 1] ** 2),
    "counts": (1, {"output": "exp"}, np.floor(np.abs(3 * X[:, :1]))),
    "labels": (2, {"multilabel": True}, (X[:, :2] > [0, 100]).astype(int)),
}
LOSSES = {"huber": "numbers", "absolute-error": "numbers", "pinball": "numbers"}


def trained(what: str, x: Any, y: Any, **options: Any) -> xpnet.Model:
    columns, kind, _ = OUTPUTS[what]
    start = xpnet.mlp(3, 5, columns, **{"dtype": "float64"} | kind)
    return fit(start, x, y, **{"epochs": 3, "learning_rate": 0.01} | options).model


# Weights of 0


@pytest.mark.parametrize("what", OUTPUTS)
@pytest.mark.parametrize("fast", [True, False])
def test_a_sample_of_weight_0_is_as_if_it_were_not_there(what: str, fast: bool) -> None:
    """To the bit: it takes part in no constant, no split and no order."""
    y = OUTPUTS[what][2]
    w = np.arange(40) % 5 / 2
    x = np.where(w[:, None] == 0, 1e9, X)
    spoilt = np.where(np.reshape(w == 0, (40, *[1] * (y.ndim - 1))), -9999, y)
    found = trained(what, x, spoilt, sample_weight=w, fast=fast, batch_size=8)
    kept = w > 0
    expected = trained(what, X[kept], y[kept], sample_weight=w[kept], fast=fast, batch_size=8)
    assert np.array_equal(found.theta, expected.theta)
    assert np.array_equal(found.buffers, expected.buffers)


def test_a_sample_of_weight_0_may_hold_anything(xp: Library) -> None:
    start = xpnet.mlp(3, 5, 1, output="identity", dtype=xp.dtype)
    x, y = X.astype(xp.dtype), OUTPUTS["numbers"][2].astype(xp.dtype)
    bad = np.isin(np.arange(40), (0, 7))
    w = np.where(bad, 0.0, 1.0)
    spoilt = np.where(bad[:, None], np.nan, x), np.where(bad, np.inf, y)
    options = {"epochs": 2, "batch_size": 16}
    found = fit(start, *map(xp.array, spoilt), sample_weight=xp.array(w), **options)
    expected = fit(start, xp.array(x[~bad]), xp.array(y[~bad]), **options)
    assert difference(to_numpy(found.model.theta), to_numpy(expected.model.theta)) < 1e-6
    lists = [None if off else row for off, row in zip(bad, x.tolist(), strict=True)]
    found = fit(start, lists, y.tolist(), sample_weight=w.tolist(), **options)
    assert difference(found.model.theta, to_numpy(expected.model.theta)) < 1e-5


def test_an_error_says_that_rows_of_weight_0_are_not_counted() -> None:
    x, w = X.copy(), np.where(np.arange(40) < 3, 0.0, 1.0)
    x[9, 1] = np.nan
    y = OUTPUTS["classes"][2]
    start = xpnet.mlp(3, 5, 3)
    message = r"row 6 .* \(rows are counted without the 3 of weight 0\)"
    for refused in (
        lambda: fit(start, x, y, sample_weight=w),
        lambda: fit(start, X, y, validation_data=(x, y, w)),
        lambda: xpnet.evaluate(start, x, y, sample_weight=w),
    ):
        with pytest.raises(xpnet.DataError, match=message):
            refused()
    with pytest.raises(
        xpnet.DataError, match=r"column 1 of row 9 is nan. Fill the gaps, or remove these rows.$"
    ):
        fit(start, x, y, sample_weight=np.ones(40))


def test_targets_of_weight_0_do_not_spoil_the_scale_of_the_others() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 3))
    t = 2 * x[:, 0] + x[:, 1] ** 2
    off = np.arange(600) % 20 == 0
    y, w = np.where(off, -9999.0, t), (~off).astype(float)
    start = xpnet.mlp(3, 32, 1, output="identity")
    result = fit(start, x, y, sample_weight=w, epochs=60, validation=0)
    assert xpnet.evaluate(result.model, x[~off], t[~off]).metrics["r2"] > 0.95


def test_a_class_of_weight_0_is_as_if_it_were_not_there() -> None:
    y, w = OUTPUTS["classes"][2], np.linspace(1, 2, 40)
    x, kept = np.where(y[:, None] == 1, 1e9, X), y != 1
    found = trained("classes", x, y, sample_weight=w, class_weight={1: 0, 2: 3})
    expected = trained(
        "classes", X[kept], y[kept], sample_weight=w[kept], class_weight={2: 3}
    )  # fmt: skip
    assert np.array_equal(found.theta, expected.theta)
    assert np.array_equal(found.buffers, expected.buffers)


# A weight of k is k samples


@pytest.mark.parametrize("what", [*OUTPUTS, *LOSSES])
@pytest.mark.parametrize("fast", [True, False])
def test_a_weight_of_k_is_k_equal_samples(what: str, fast: bool) -> None:
    """One batch per epoch, a given rate, and validation data that is weighed likewise."""
    hypothesis = pytest.importorskip("hypothesis")
    given = hypothesis.strategies.lists(hypothesis.strategies.integers(0, 4), min_size=40)
    loss = {"loss": what} if what in LOSSES else {}
    what = LOSSES.get(what, what)
    y = OUTPUTS[what][2]

    @hypothesis.settings(derandomize=True, deadline=None, database=None, max_examples=3)
    @hypothesis.given(given)
    def holds(numbers: list[int]) -> None:
        k = np.asarray(numbers[:40])
        hypothesis.assume(min(np.count_nonzero(k[:30]), np.count_nonzero(k[30:])) >= 5)
        x, held = X[:30], X[30:]
        options = {"batch_size": 1000, "fast": fast, **loss}
        if what == "classes":
            options["class_weight"] = "balanced"
        weighed = trained(
            what, x, y[:30], sample_weight=k[:30], validation_data=(held, y[30:], k[30:]),
            **options,
        )  # fmt: skip
        repeated = trained(
            what, np.repeat(x, k[:30], axis=0), np.repeat(y[:30], k[:30], axis=0),
            validation_data=tuple(np.repeat(a[30:], k[30:], axis=0) for a in (X, y)), **options,
        )  # fmt: skip
        assert difference(weighed.buffers, repeated.buffers) < 1e-12
        assert difference(weighed.theta, repeated.theta) < 1e-9

    holds()


def test_class_weights_and_sample_weights_multiply() -> None:
    y, k = OUTPUTS["classes"][2], 1 + np.arange(40) % 2
    options = {"batch_size": 1000, "validation": 0}
    both = trained("classes", X, y, sample_weight=k, class_weight={0: 3}, **options)
    number = k * np.where(y == 0, 3, 1)
    repeated = trained("classes", np.repeat(X, number, axis=0), np.repeat(y, number), **options)
    assert difference(both.theta, repeated.theta) < 1e-9
    assert difference(both.buffers, repeated.buffers) < 1e-12


# Validation


@pytest.mark.parametrize("w", [None, np.linspace(0.1, 5, 20)])
def test_samples_to_validate_on_are_weighed_by_class(w: np.ndarray | None) -> None:
    y, weights = OUTPUTS["classes"][2], np.ones(20) if w is None else w
    pair = (X[20:], y[20:]) if w is None else (X[20:], y[20:], w)
    options = {"class_weight": {0: 2, 2: 0.5}, "optimizer": xpnet.SGD(1e-30), "epochs": 1}
    start = xpnet.mlp(3, 5, 3, dtype="float64")
    result = fit(start, X[:20], y[:20], validation_data=pair, **options)
    losses = -np.log(result.model.predict_proba(X[20:])[np.arange(20), y[20:]])
    expected = np.average(losses, weights=weights * np.asarray([2, 1, 0.5])[y[20:]])
    assert result.history[0].validation_loss == pytest.approx(expected, rel=1e-12)


def test_the_samples_to_validate_on_are_stratified() -> None:
    """One in 25 is rare; a class of one sample is trained on."""
    y = (np.arange(100) % 25 == 0).astype(int)
    y[7] = 2
    x = RNG.normal(size=(100, 2))
    rows, held = split(100, 0.5, 0, y)
    assert np.bincount(y[held], minlength=3).tolist() == [48, 2, 0]
    found = fit(xpnet.mlp(2, 3), x, y, validation=0.5, epochs=2)
    expected = fit(xpnet.mlp(2, 3), x[rows], y[rows], validation_data=(x[held], y[held]), epochs=2)
    assert np.array_equal(found.model.theta, expected.model.theta)
    assert np.array_equal(found.model.buffers, expected.model.buffers)


@pytest.mark.parametrize(
    "kinds", [("soft", "soft"), ("soft", "hot"), ("hot", "soft"), ("hot", "hot")]
)
@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_training_and_validation_targets_may_be_of_different_kinds(output: str, kinds) -> None:
    rows = {"hot": np.eye(3)[np.arange(20) % 3], "soft": np.full((20, 3), 1 / 3)}
    start = xpnet.mlp(3, 5, 3, output=output, dtype="float64")
    y, held = (rows[kind] for kind in kinds)
    result = fit(start, X[:20], y, validation_data=(X[20:], held), epochs=1)
    measured = xpnet.evaluate(result.model, X[20:], held)
    assert result.history[0].validation_loss == pytest.approx(measured.loss, rel=1e-12)
    assert result.history[0].validation_accuracy == measured.accuracy
    if kinds == ("hot", "soft"):
        with pytest.raises(xpnet.DataError, match="validation_data must have one label a sample"):
            fit(start, X[:20], y, validation_data=(X[20:], held), class_weight="balanced")


def test_a_huge_weight_that_is_held_out_spoils_nothing() -> None:
    y = OUTPUTS["classes"][2]
    w = np.ones(40)
    rows, held = split(40, 0.25, 0, y)
    w[held[0]] = 1e40
    found = fit(xpnet.mlp(3, 5, 3), X, y, sample_weight=w, validation=0.25, epochs=2)
    expected = fit(xpnet.mlp(3, 5, 3), X[rows], y[rows], validation=0, epochs=2)
    assert found.history["loss"] == pytest.approx(expected.history["loss"], rel=1e-6)


@pytest.mark.parametrize("size", [1e-300, 1.7e308])
@pytest.mark.parametrize("what", ["classes", "huber"])
def test_the_size_of_the_weights_does_not_matter(what: str, size: float) -> None:
    loss = {"loss": "huber"} if what == "huber" else {"class_weight": "balanced"}
    what = LOSSES.get(what, what)
    y, w = OUTPUTS[what][2], np.where(np.arange(40) % 2, 1, 0.5)
    found = trained(what, X, y, sample_weight=size * w, **loss)
    assert difference(found.theta, trained(what, X, y, sample_weight=w, **loss).theta) < 1e-12


def test_weights_of_classes_of_any_size_are_taken() -> None:
    y = OUTPUTS["classes"][2]
    by_label = {0: 1.7e308, 1: 1.7e308, 2: 1e-300}
    found = trained("classes", X, y, class_weight=by_label, sample_weight=np.full(40, 1.9))
    assert np.all(np.isfinite(found.theta))


def test_samples_of_classes_that_are_not_divided_cannot_be_held_out() -> None:
    x, y = np.asarray([[0.0, 0], [0, 1], [1, 0], [1, 1]]), [0, 1, 1, 0]
    with pytest.warns(UserWarning, match=r"validation=0.5: no class has three samples") as warned:
        fit(xpnet.mlp(2, 4, 2), x, y, validation=0.5, epochs=1)
    assert warned[0].filename == __file__


def test_nothing_is_held_out_of_a_few_samples() -> None:
    x, y = np.asarray([[0.0, 0], [0, 1], [1, 0], [1, 1]]), [0, 1, 1, 0]
    result = fit(xpnet.mlp(2, 16, 2), x, y, epochs=200)
    assert result.history[0].validation_loss is None
    assert result.model.predict(x).tolist() == y
