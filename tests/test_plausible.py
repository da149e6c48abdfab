"""Predictions that are refused, or that come with a warning."""

import re
import warnings
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from helpers import Library, needed, small

import xpnet
from xpnet.arrays import to_numpy
from xpnet.data.sources import load
from xpnet.model import Model
from xpnet.plausible import farthest

NAN = float("nan")
TABLE = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
NUMBERS = xpnet.mlp(3, 4, 1, output="identity")


def scaled(model: Model, mean: Any, scale: Any) -> Model:
    """The model with these constants in its `Standardize`."""
    constants = {"mean": mean, "scale": scale}
    p = {name: np.full(model.network.fan_in, a, model.dtype) for name, a in constants.items()}
    params = [{**model.params[0], **p}, *model.params[1:]]
    return replace(model, buffers=model.network.pack_buffers(params))


def table(**options: Any) -> Model:
    """Three columns of their own mean and scale."""
    options = {"columns": ("age", "size", "mass")} | options
    model = scaled(xpnet.mlp(3, 4, 2), np.asarray([0, 1, 2.0]), np.asarray([1, 2, 0.5]))
    return replace(model, **options)


def images(dtype: str = "float32", **options: Any) -> Model:
    return scaled(small(dtype=dtype, **options), 33, 78)


PIXELS = np.random.default_rng(0).integers(0, 256, size=(30, 20)).astype(np.uint8)
PLAIN = Model.from_layers(3, [xpnet.Dense(3, 4), xpnet.ReLU(), xpnet.Dense(4, 2)], seed=4)
PLAIN = replace(PLAIN, theta=PLAIN.theta * 4)
SATURATED = Model.from_layers(3, [xpnet.Dense(3, 4), xpnet.Tanh(), xpnet.Dense(4, 2)])


@pytest.fixture(params=["fast", "plain"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy with its fast path, and as it is written."""
    if request.param == "plain":
        monkeypatch.setattr("xpnet.prediction.fast_paths", lambda: None)


def with_values(x: np.ndarray, values: dict[tuple[int, int], float]) -> np.ndarray:
    x = x.copy()
    for place, value in values.items():
        x[place] = value
    return x


def warned(function: Any, *arguments: Any) -> list[str]:
    """The texts of the warnings of a call."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        function(*arguments)
    assert {w.category for w in found} <= {UserWarning}
    assert {w.filename for w in found} <= {__file__}
    return [str(w.message) for w in found]


# Outputs that are not finite

GAPS = "The input holds NaN or infinite numbers in "
LARGE = "The input is finite, and numbers become too large for float32: row "
NOT_FINITE: dict[str, tuple[dict[tuple[int, int], float], str, str]] = {
    "a gap": ({(4, 1): NAN}, r"row 4 \(1 of 6\)", GAPS + r"row 4 .*: column 1 of row 4 is nan"),
    "gaps": (
        {(i, 0): NAN for i in range(1, 6)}, r"rows 1, 2, 3, ... \(5 of 6\)", GAPS + "rows 1, 2, 3,"
    ),
    "infinite": ({(0, 2): -np.inf}, r"row 0 \(1 of 6\)", GAPS + r".* column 2 of row 0 is -inf"),
    "too large": (
        {(5, 0): 3e38, (5, 1): -3e38, (5, 2): 3e38}, r"row 5 \(1 of 6\)",
        LARGE + r"5 has 3e\+38 in column 0\. Scale",
    ),
}  # fmt: skip


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("case", NOT_FINITE)
@pytest.mark.parametrize("model", [xpnet.mlp(3, 4, 2), PLAIN, NUMBERS, table(columns=())])
def test_outputs_that_are_not_finite_are_refused_on_numpy(model: Model, case: str) -> None:
    values, rows, why = NOT_FINITE[case]
    model = replace(model)  # which prepares nothing before the test
    x = with_values(TABLE, values)
    y = [0, 1] * 3
    calls = [model.predict, lambda x: xpnet.evaluate(model, x, y)]
    calls += [model.predict_proba] if model.labels else []
    for call in calls:
        with pytest.raises(xpnet.DataError, match=f"not finite in {rows}. {why}|^x (holds|has) "):
            call(x)
    with np.errstate(all="ignore"):
        assert not np.all(np.isfinite(model(x)))  # which checks nothing


@pytest.mark.parametrize("case", NOT_FINITE)
def test_outputs_that_are_not_finite_are_refused(xp: Library, case: str) -> None:
    xp.needs_argmax()
    values, rows, why = NOT_FINITE[case]
    x = xp.array(with_values(TABLE, values), "float32")
    for model in (xpnet.mlp(3, 4, 2), table(columns=())):
        for call in (model.predict, model.predict_proba):
            with pytest.raises(xpnet.DataError, match=f"not finite in {rows}. {why}"):
                call(x)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", ">f4"])
@pytest.mark.parametrize("values", [[NAN], [0, NAN], [0, -np.inf, 0]])
def test_one_row_alone_is_checked_too(dtype: str, values: list[float]) -> None:
    x = np.resize(np.asarray(values), (1, 20)).astype(dtype)
    for model in (images(), small(), images(input_shape=(20,)), images("float64")):
        with pytest.raises(xpnet.DataError, match=r"in row 0 \(1 of 1\)"):
            model.predict(x)


def test_an_infinite_input_is_refused_where_the_output_is_finite() -> None:
    x = [[0, 0, 0], [np.inf, 0, 0]]
    with np.errstate(all="ignore"):
        assert np.all(np.isfinite(SATURATED(x)))
    with pytest.raises(xpnet.DataError, match=r"^an input is not finite in row 1 \(1 of 2\)"):
        SATURATED.predict(x)
    with pytest.raises(xpnet.DataError, match=r"^an input is not finite in row 0"):
        SATURATED.predict([[1e300, 0, 0]])  # infinite in float32


@pytest.mark.parametrize("size", [1e39, 1e300])
@pytest.mark.parametrize("model", [table(), replace(PLAIN, columns=("age", "size", "mass"))])
def test_the_column_of_numbers_too_large_is_named(model: Model, size: float) -> None:
    x = with_values(TABLE.astype(np.float64), {(4, 1): size})
    value = re.escape(f"{size:.6g}")
    for given in (x, x.tolist()):
        with pytest.raises(xpnet.DataError, match=rf"in row 4 .*{value}.*Scale the ") as caught:
            model.predict(given)
        assert "column 'size'" in str(caught.value)
        assert "Fill" not in str(caught.value)
        with pytest.raises(
            xpnet.DataError, match=rf"^x has .* column 'size': {value} in row 4\. S"
        ):
            xpnet.evaluate(model, given, [0, 1] * 3)


def test_the_column_of_a_gap_is_named() -> None:
    with pytest.raises(xpnet.DataError, match=r"column 'size' of row 2 is nan\. Fill "):
        table().predict(with_values(TABLE, {(2, 1): NAN}))
    y = [0, 1] * 3
    with pytest.raises(xpnet.DataError, match=r"^x holds .* row 2 \(1 of 6\): column 'size'"):
        xpnet.evaluate(table(), with_values(TABLE, {(2, 1): NAN}), y)


def test_parameters_that_are_not_finite_are_named() -> None:
    model = replace(table(), theta=np.full_like(table().theta, NAN))
    with pytest.raises(xpnet.DataError, match=r"\(6 of 6\). Parameters of the model are not finit"):
        model.predict(TABLE)


def test_counts_that_are_infinite_are_refused(xp: Library) -> None:
    """exp(z) of finite logits."""
    model = Model.from_layers(1, [xpnet.Dense(1, 1)], output="exp")
    model = replace(model, theta=np.asarray([1, 0], np.float32))
    x = xp.array([[1.0], [89.0], [2.0]], "float32")
    with pytest.raises(xpnet.DataError, match=r"an output is not finite in row 1 \(1 of 3\)"):
        model.predict(x)
    with pytest.raises(xpnet.DataError, match="an output is not finite in row 0"):
        model.predict(x[1:2, ...])
    assert to_numpy(model.predict(x[:1, ...])).tolist() == [pytest.approx(np.e, rel=1e-6)]


def test_a_loss_that_is_not_finite_is_refused() -> None:
    model = Model.from_layers(1, [xpnet.Dense(1, 1)], output="identity", dtype="float64")
    model = replace(model, theta=np.asarray([1.0, 0.0]))
    with pytest.raises(xpnet.DataError, match=r"the loss is inf, for outputs as large as 1e\+200"):
        xpnet.evaluate(model, [[1e200], [0]], [0, 1])


def test_no_row_is_no_error() -> None:
    for model in (images(), table(), xpnet.mlp(3, 4, 2)):
        assert len(model.predict(np.zeros((0, model.network.fan_in)))) == 0


# Samples unlike those of the training


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("kind", ["float32", "float64", "uint8", "bool", "int64", "list"])
def test_images_divided_by_255_are_warned_of_on_numpy(kind: str) -> None:
    model, x = images(), PIXELS / 255
    if kind in ("uint8", "bool", "int64"):
        x = x > 0.5
    x = x.tolist() if kind == "list" else x.astype(kind)
    expected = "{} of {} images have a maximum above 0 and below 1/50 of the scale of the"
    for rows in (30, 1):
        (text,) = warned(model.predict, x[:rows])
        assert text.startswith(expected.format(rows, rows))
        assert "training images, 78: " in text
        assert "were they divided by 255?" in text
    assert warned(model, x) == []
    if kind != "bool":
        assert warned(model.predict, PIXELS.astype("int64" if kind == "list" else kind)) == []


def test_1000_images_of_mnist_divided_by_255_are_warned_of() -> None:
    samples = load("mnist")
    x, y = samples.x_test[:1000], samples.y_test[:1000]
    model = scaled(xpnet.mlp(784, 10, input_shape=(28, 28)), 33.3, 78.6)
    for call in (model.predict, model.predict_proba, lambda x: xpnet.evaluate(model, x, y)):
        (text,) = warned(call, x / 255)
        assert text.startswith("1,000 of 1,000 images have a maximum above 0 and below 1/50")
        assert warned(call, x) == warned(call, x.astype(np.float32)) == []


def test_black_images_are_no_dark_images() -> None:
    """Each image counts: black ones do not, and one dark image among others does."""
    x = PIXELS.copy()
    x[3:7] = 0
    for kind in ("uint8", "float32", "float64"):
        for few in (x, x[3:4], x[3:7]):
            assert warned(images().predict, few.astype(kind)) == []
    x[5, 19] = 1
    for kind in ("uint8", "float32", "float64", "int32"):
        for few, n in ((x, 30), (x[5:6], 1)):
            (text,) = warned(images().predict, few.astype(kind))
            assert text.startswith(f"1 of {n} images have a maximum above 0")
            assert f": 1 in row {5 if n == 30 else 0};" in text


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_images_are_warned_of(xp: Library, kind: str) -> None:
    xp.needs_argmax()
    model, dark = images(), (PIXELS > 99).astype(kind)
    assert warned(model.predict, xp.array(PIXELS, kind)) == []
    (text,) = warned(model.predict, xp.array(dark, kind))
    assert text.startswith("30 of 30 images have a maximum")
    divided = scaled(small(dtype="float32"), 0.13, 0.31)
    (text,) = warned(divided.predict_proba, xp.array(PIXELS, kind))
    assert re.match(
        r"the input is more than 20 .* in 30 of 30 rows: 255 in row \d+ \(mean 0.1", text
    )
    assert "were the training images divided by 255?" in text


FAR = (
    "the input is more than 20 deviations from the mean of the training samples in 2 of 6 rows: "
    "column 'mass' has 77 in row 3 (mean 2, deviation 0.5) and is so in 2 of 6 rows; "
    "column 'age' has -30 in row 1 (mean 0, deviation 1) and is so in 1 of 6 rows."
)


@pytest.mark.parametrize("kind", ["float32", "int32"])
def test_numbers_far_from_the_mean_are_named(xp: Library, kind: str) -> None:
    xp.needs_argmax()
    x = xp.array(with_values(TABLE, {(1, 0): -30, (1, 2): 70, (3, 2): 77}), kind)
    (text,) = warned(table().predict, x)
    assert text == f"{FAR} Give samples in the units of the training samples."
    assert warned(table().predict, xp.array(TABLE, kind)) == []
    (text,) = warned(table().predict, x[1:2, ...])
    assert "in 1 of 1 rows: column 'mass' has 70 in row 0" in text
    (text,) = warned(replace(table(), columns=()).predict, x)
    assert "column 2 has 77 in row 3" in text


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("model", [table(), replace(table(), output="sigmoid", multilabel=True)])
def test_20_deviations_are_the_limit(model: Model) -> None:
    for kind in ("float32", "float64"):
        for column, (low, high) in enumerate([(-20, 20), (-39, 41), (-8, 12)]):
            for value, far in ((low, 0), (high, 0), (low - 0.01, 1), (high + 0.01, 1)):
                x = with_values(TABLE, {(2, column): value}).astype(kind)
                assert [len(warned(model.predict, a)) for a in (x, x[2:3])] == [far, far]


def test_a_regression_is_warned_of_once_in_each_call() -> None:
    x = np.asarray([[25.0], [1.0], [26.0]])
    result = xpnet.fit(
        xpnet.mlp(1, 4, 1, output="identity"), np.linspace(-1, 1, 40)[:, None], np.arange(40.0),
        epochs=1, validation=0,
    )  # fmt: skip
    for call in (result.model.predict, lambda x: xpnet.evaluate(result.model, x, [1, 2, 3.0])):
        (text,) = warned(call, x)
        assert "in 2 of 3 rows: column 0 has 26 in row 2 (mean " in text
    assert warned(result.model, x) == []


def test_many_columns_are_shortened() -> None:
    model = scaled(xpnet.mlp(9, 2), np.arange(9), np.ones(9))
    (text,) = warned(model.predict, np.full((2, 9), 99.0))
    assert text.count("column ") == 3
    assert "; and 6 more columns." in text


def test_without_constants_nothing_is_far() -> None:
    for model in (xpnet.mlp(3, 4, 2), PLAIN, NUMBERS, SATURATED):
        assert warned(model.predict, TABLE * np.float32(1e6)) == []
        assert warned(model.predict, np.full((1, 3), 1e-6)) == []
        assert warned(model.predict, np.full((2, 3), 10**9)) == []


def test_a_mean_that_is_rounded_is_not_far() -> None:
    """Seconds since 1970, of which float32 has no digit below 128."""
    model = scaled(xpnet.mlp(1, 2), 1_732_000_000.0, 0.1)
    x = 1_732_000_000 + np.arange(60.0)[:, None]
    assert warned(model.predict, x) == []
    assert len(warned(model.predict, x + 3600)) == 1


def test_far_and_dark_images_are_one_warning() -> None:
    x = PIXELS.astype(np.float32)
    x[0], x[1] = 0.5, 1e5
    (text,) = warned(images().predict, x)
    assert "100000 in row 1 (mean 33" in text
    assert "1 of 30 images have a maximum" in text


def test_inside_jit_nothing_is_checked() -> None:
    jax = needed("jax")
    x = jax.numpy.asarray(with_values(TABLE, {(0, 0): NAN, (1, 1): 1e6}))
    assert jax.jit(lambda x: table().predict(x))(x).shape == (6,)
    assert jax.jit(lambda x: table().predict_proba(x))(x).shape == (6, 2)


def test_a_mean_in_two_parts_is_exact() -> None:
    """Deviations that float32 cannot tell apart: 1 second, of seconds since 1970."""
    x = 1_732_000_000 + np.random.default_rng(0).normal(size=(200, 1))
    model = xpnet.fit(xpnet.mlp(1, 2), x, np.arange(200) % 2, epochs=1, validation=0).model
    assert "rest" in model.params[0]
    assert warned(model.predict, x) == warned(model.predict, x[:1]) == []
    for far in (1_732_000_030, 1_731_999_970):
        (text,) = warned(model.predict, np.asarray([[float(far)]]))
        assert f"{far} in row 0 (mean 1732000000" in text or "(mean 1731999999." in text


@pytest.mark.parametrize("columns", [1, 3])
def test_columns_of_mean_0_and_deviation_1_are_checked(columns: int) -> None:
    """As training leaves them; a model that was not trained has the same constants."""
    signs = [-1.0, 1.0]
    x = np.asarray([*product(signs, repeat=columns)] * (8 // 2**columns * 2))
    start = xpnet.mlp(columns, 4, 1, output="identity")
    model = xpnet.fit(start, x, x[:, 0], epochs=1, validation=0).model
    assert model.params[0]["scale"].tolist() == [1] * columns
    far = [[1000.0, *signs][:columns]]
    with pytest.warns(UserWarning, match="column 0 has 1000 in row 0"):
        model.predict(far)
    start.predict(far)


def test_a_table_whose_columns_are_alike_is_no_image() -> None:
    x = np.asarray([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    model = xpnet.fit(xpnet.mlp(2, 4, 2), x, [0, 1, 1, 0], epochs=1).model
    model.predict([[0.001, 0.002]])
    with pytest.warns(UserWarning, match="column 1 has 100 in row 0"):
        model.predict([[0, 100.0]])


def test_numbers_far_from_zero_are_shown_with_the_digits_that_tell_them_apart() -> None:
    x = 1_732_000_000 + np.arange(60)[:, np.newaxis]
    model = xpnet.fit(xpnet.mlp(1, 2), x, np.arange(60) % 2, epochs=1).model
    with pytest.warns(
        UserWarning, match=r"1732003600 in row 0 \(mean 17320000\d\d.*, deviation 1\d"
    ):
        model.predict([[1_732_003_600]])


def test_the_farthest_number_is_found_in_any_block() -> None:
    model = xpnet.mlp(2, 3, output="identity")
    x = np.zeros((2500, 2))
    x[[7, 2400], [0, 1]] = -3.0, 5.0
    assert farthest(model, x) == (5, "column 1 has 5 in row 2400")
    x[7, 0] = -6
    assert farthest(model, x) == (6, "column 0 has -6 in row 7")
