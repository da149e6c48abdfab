"""Scaling of samples and targets, and what is refused."""

import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from helpers import Library, difference, library

import xpnet
from xpnet.arrays import float_name, to_numpy
from xpnet.data.dataset import Dataset
from xpnet.errors import DataError
from xpnet.fitting.evaluation import evaluate
from xpnet.fitting.scaling import in_standard_units, prepare, rescale, start_at_mean
from xpnet.losses import AbsoluteError, Huber, Loss, Pinball, SquaredError

RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(50, 3)), 100 + 7 * RNG.normal(size=(50, 2))
ROWS = np.arange(40)


def model(**options):
    return xpnet.mlp(3, 4, 2, output="identity", **({"dtype": "float64"} | options))


def test_targets_are_scaled_by_the_training_samples() -> None:
    scaled = rescale(model(), T, ROWS)
    p = scaled.params[-1]
    assert difference(p["mean"], T[:40].mean(axis=0)) < 1e-14
    assert difference(p["scale"], T[:40].std(axis=0)) < 1e-14
    inner, data = in_standard_units(scaled, Dataset(X, T))
    assert difference(data.t[:40].std(axis=0), np.ones(2)) < 1e-14
    assert np.max(np.abs(data.t[:40].mean(axis=0))) < 1e-13
    assert inner.network.layers == scaled.network.layers[:-1]
    assert difference(scaled(X), p["mean"] + p["scale"] * inner(X)) < 1e-14


@pytest.mark.parametrize("loss", [AbsoluteError(), Huber(), Pinball((0.5,))])
def test_targets_of_robust_losses_are_scaled_by_median_and_quartiles(loss: Loss) -> None:
    scaled = rescale(replace(model(), loss=loss), np.where(T > 110, 1e6, T), ROWS)
    low, median, high = np.sort(T[:40], axis=0)[[9, 19, 29]]
    p = scaled.params[-1]
    assert difference(p["mean"], median) < 1e-14
    assert difference(p["scale"], (high - low) / 1.3489795) < 1e-7
    plain = rescale(replace(model(), loss=SquaredError()), T, ROWS)
    assert difference(plain.params[-1]["mean"], T[:40].mean(axis=0)) < 1e-14


def test_constants_are_found_once() -> None:
    scaled = rescale(model(), T, ROWS)
    assert rescale(scaled, 10 * T, ROWS) is scaled


def test_a_model_of_classes_stays_as_it_is() -> None:
    classes, data = xpnet.mlp(3, 4, 2), Dataset(X, T)
    assert rescale(classes, T, ROWS) is classes
    assert in_standard_units(classes, data) == (classes, data)


def test_counts_are_not_scaled() -> None:
    counts = xpnet.mlp(3, 4, 2, output="exp")
    assert rescale(counts, T, ROWS) is counts


def test_counts_begin_at_their_mean() -> None:
    counts = np.abs(T) * [1e-6, 1e6]
    start = xpnet.mlp(3, 4, 2, output="exp", dtype="float64", initializer="zeros")
    begun = start_at_mean(start, counts, ROWS)
    assert difference(begun.predict(X), np.tile(counts[:40].mean(axis=0), (50, 1))) < 1e-13
    assert start_at_mean(begun, 2 * counts, ROWS) is begun
    assert np.all(np.isfinite(start_at_mean(start, 0 * counts, ROWS).theta))
    rare = start_at_mean(start, 1e-12 * counts, ROWS)
    assert difference(rare.predict(X[:1]), [1e-12 * counts[:40].mean(axis=0)]) < 1e-12
    weighed = start_at_mean(start, counts, ROWS, 1 + np.arange(50) % 2.0)
    expected = np.average(counts[:40], axis=0, weights=1 + np.arange(40) % 2)
    assert difference(weighed.predict(X[:1]), [expected]) < 1e-13
    classes = xpnet.mlp(3, 4, 2)
    assert start_at_mean(classes, counts, ROWS) is classes


def test_scaled_targets_stay_where_they_are(xp: Library) -> None:
    here = model(dtype=xp.dtype).like(xp.array(X))
    scaled = rescale(here, xp.array(T), ROWS)
    _, data = in_standard_units(scaled, Dataset(xp.array(X), xp.array(T)))
    assert type(data.t) is type(xp.array(T))
    assert difference(to_numpy(data.t)[:40].std(axis=0), np.ones(2)) < xp.tolerance(1e-13)


def test_one_target_serves_every_quantile() -> None:
    quantiles = Pinball((0.1, 0.9))
    data, _ = prepare(model(), X, T[:, 0], quantiles)
    assert np.array_equal(data.t, np.stack([T[:, 0]] * 2, axis=1))
    with pytest.raises(DataError, match=r"shape \(50,\); expected \(n, 2\)"):
        prepare(model(), X, T[:, 0])


@pytest.mark.parametrize(("deviation", "told"), [(10.0, True), (1e4, False), (0.0, False)])
def test_targets_that_the_type_cannot_tell_apart_are_refused(deviation: float, told: bool) -> None:
    """float32 rounds 1e9 to multiples of 64; a constant is none the worse for it."""
    t = 1e9 + 1 + deviation * RNG.normal(size=50)
    start = xpnet.mlp(3, 1, output="identity")
    if told:
        with pytest.raises(DataError, match="float32 cannot tell apart; subtract their mean, or"):
            prepare(start, X, t)
    else:
        data, begun = prepare(start, X, t)
        trained = rescale(begun, data.t, ROWS)
        few = X[:2], t[0] + np.asarray([0, 0.001])
        prepare(trained, *few, training=False)
        evaluate(trained, *few)
        with pytest.raises(DataError, match="float32 cannot tell apart"):
            prepare(trained, *few)
    prepare(model(), X, np.stack([t, t], axis=1))


def test_targets_too_large_for_the_type_are_refused() -> None:
    small = xpnet.mlp(3, 1, output="identity")
    with pytest.raises(DataError, match="y has numbers that float32 cannot hold"):
        prepare(small, X, np.full(50, 1e39))


PRICES = ("age", "price", "mass")
LAYERS = [xpnet.Dense(3, 4), xpnet.ReLU(), xpnet.Dense(4, 2)]
KINDS = {
    "scaled": lambda dtype: xpnet.mlp(3, 4, 2, dtype=dtype),
    "bare": lambda dtype: xpnet.Model.from_layers(3, LAYERS, dtype=dtype),
    "trained": lambda dtype: (
        xpnet.fit(xpnet.mlp(3, 4, 2, dtype=dtype), X, ROWS.repeat(2)[:50] % 2, epochs=1).model
    ),
}


def with_one(a: np.ndarray, place: tuple[int, ...], value: float) -> np.ndarray:
    a = a.astype(np.float64)
    a[place] = value
    return a


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("dtype", "value", "what"),
    [
        ("float32", 1e39, "that float32 cannot hold"),
        ("float32", -4e38, "that float32 cannot hold"),
        ("float32", 1e200, "that float32 cannot hold"),
    ],
)
def test_a_column_of_numbers_too_large_is_named(
    kind: str, dtype: str, value: float, what: str
) -> None:
    start = replace(KINDS[kind](dtype), columns=PRICES)
    y, x = ROWS.repeat(2)[:50] % 2, with_one(X, (7, 1), value)
    of_x = re.escape(f"{what} in column 'price': {value:g} in row 7. Scale the column")
    wider = ", or use float64" * (dtype == "float32" and abs(value) < 1e100) + "."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of numbers that are not scaled
        for given in (x, library("strict-CPU_DEVICE").array(x, "float64")):
            with pytest.raises(xpnet.XpnetError, match=of_x + wider) as caught:
                xpnet.fit(start, given, y, epochs=1)
            assert "learning rate" not in str(caught.value)
        with pytest.raises(DataError, match="^validation_data: x has numbers " + of_x):
            xpnet.fit(start, X, y, epochs=1, validation_data=(x, y))


@pytest.mark.parametrize("kind", ["bare", "trained"])
def test_a_column_that_lets_training_diverge_is_named(kind: str) -> None:
    start = replace(KINDS[kind]("float64"), columns=PRICES)
    how = "deviations from the mean" if kind == "trained" else "and is not scaled"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of numbers that are not scaled
        with pytest.raises(
            xpnet.DivergedError,
            match=rf"\. Scale x: column 'price' has -?\d.*e\+200 in row .*{how}",
        ) as caught:
            xpnet.fit(start, X * [1, 1e200, 1], ROWS.repeat(2)[:50] % 2, epochs=3)
    assert "learning rate" not in str(caught.value)


@pytest.mark.parametrize(("dtype", "value"), [("float32", 1e39), ("float64", 1e200)])
def test_a_target_that_is_too_large_is_named(dtype: str, value: float) -> None:
    start = xpnet.mlp(3, 2, output="identity", dtype=dtype)
    y = with_one(T, (7, 1), value)
    for target, column in ((("cost", "gain"), "'gain'"), ((), "1")):
        with pytest.raises(DataError, match=rf"{dtype} cannot hold in column {column}: 1e.* row 7"):
            xpnet.fit(replace(start, target=target), X, y, epochs=1)


@pytest.mark.parametrize(
    ("dtype", "value", "what"),
    [
        ("float32", 2.5e38, "differences float32"),
        ("float64", 1e200, "squares float64"),
        ("float64", 1.5e308, "differences float64"),
    ],
)
def test_a_column_that_cannot_be_scaled_is_named(dtype: str, value: float, what: str) -> None:
    """The difference from the mean, or the sum of squares, is infinite."""
    start, y = replace(KINDS["scaled"](dtype), columns=PRICES), ROWS.repeat(2)[:50] % 2
    x = X * [1, 0, 1] + [0, value, 0] * ((-1.0) ** np.arange(50))[:, None]
    expected = re.escape(f"{what} cannot hold in column 'price': {value:g} in row 0. Scale the c")
    with pytest.raises(DataError, match=f"^x has numbers whose {expected}"):
        xpnet.fit(start, x, y, validation=0.0)
    large = np.full((50, 3), value) if dtype == "float32" else X * 1e100
    xpnet.fit(start, large, y, epochs=1)


def test_columns_too_large_are_counted() -> None:
    start = xpnet.mlp(3, 2)
    with pytest.raises(DataError, match=r"in columns 0, 2: .*Scale the columns, or use float64"):
        xpnet.fit(start, np.where(np.arange(3) != 1, 1e39, X), ROWS.repeat(2)[:50] % 2)
    with pytest.raises(DataError, match=r"in columns 0, 1, 2, \.\.\.: "):
        xpnet.fit(xpnet.mlp(6, 2), np.full((50, 6), 1e39), ROWS.repeat(2)[:50] % 2)


def test_pixels_too_large_are_named() -> None:
    """They share a mean and a scale, which are infinite for all."""
    start = xpnet.mlp(4, 2, input_shape=(2, 2), dtype="float64")
    x = with_one(np.ones((50, 4)), (7, 3), 1e200).reshape(50, 2, 2)
    with pytest.raises(DataError, match=r"float64 cannot hold in column 3: 1e\+200 in row 7\. S"):
        xpnet.fit(start, x, ROWS.repeat(2)[:50] % 2)


@pytest.mark.parametrize("place", ["y", "validation_data"])
def test_a_target_that_lets_training_diverge_is_named(place: str) -> None:
    start = xpnet.Model.from_layers(3, LAYERS, output="identity", dtype="float64")
    y = with_one(T, (7, 0), 1e200)
    more = {} if place == "y" else {"validation_data": (X, y)}
    where = "" if place == "y" else "validation_data: "
    with pytest.raises(xpnet.DivergedError, match=rf"\. Scale y: {where}a target in row 7 is too"):
        xpnet.fit(start, X, T if more else y, epochs=1, **more)


def test_the_learning_rate_is_named_where_numbers_are_not_far() -> None:
    start = xpnet.mlp(3, 2, output="identity")
    with pytest.raises(xpnet.DivergedError, match=r"Try a smaller learning rate \(its peak was 1e"):
        xpnet.fit(start, X, T, epochs=9, optimizer="sgd", learning_rate=1e30)


def test_large_samples_that_are_not_scaled_are_warned_of() -> None:
    x = np.abs(X) + 250
    layers = [xpnet.Dense(3, 4), xpnet.ReLU(), xpnet.Dense(4, 2)]
    bare = xpnet.Model.from_layers(3, layers)
    with pytest.warns(
        UserWarning, match=r"numbers up to 25\d.*, in column \d, and .*; put Standardize\(3\) in"
    ) as caught:
        xpnet.fit(bare, x, ROWS.repeat(2)[:50] % 2, epochs=1)
    assert caught[0].filename == __file__
    xpnet.fit(bare, x / 10, ROWS.repeat(2)[:50] % 2, epochs=1)
    scaled = xpnet.Model.from_layers(3, [xpnet.Standardize(3), *layers])
    xpnet.fit(scaled, x, ROWS.repeat(2)[:50] % 2, epochs=1)


def test_a_model_that_does_not_scale_computes_in_its_own_type(xp: Library) -> None:
    """Samples of another type are converted first: nothing becomes float64, or is refused."""
    layers = [xpnet.Dense(3, 4), xpnet.Tanh(), xpnet.Dense(4, 2)]
    bare = xpnet.Model.from_layers(3, layers, output="identity")
    for dtype in ("uint8", "int32", xp.dtype):
        x = xp.array(np.asarray([[1, 2, 3], [4, 5, 6]]), dtype)
        assert float_name(bare(x)) == "float32"
        assert difference(bare(x), bare(np.asarray([[1, 2, 3], [4, 5, 6.0]]))) < 1e-6
        result = xpnet.fit(bare, x, [[0.0, 1.0], [1.0, 0.0]], validation=0, epochs=1)
        assert float_name(result.model.theta) == "float32"
