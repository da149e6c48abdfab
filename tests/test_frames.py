"""Frames and series where arrays go: in fit, in a model, and in metrics."""

from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from helpers import FRAMES, frame_of, series_of

import xpnet
from xpnet.data.sources import load

RNG = np.random.default_rng(0)
N = 40
COLUMNS = {
    "height": RNG.normal(size=N),
    "steps": RNG.integers(-9, 9, N),
    "member": RNG.random(N) > 0.5,
}
X = np.stack([*COLUMNS.values()], axis=1)
NAMES = np.where(X[:, 0] > 0, "yes", "no")
MODEL = xpnet.mlp(3, 4, 2)


@pytest.fixture(params=FRAMES)
def library(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return request.param


def trained(x=X, y=NAMES, model=MODEL, **options):
    return xpnet.fit(model, x, y, epochs=1, **options).model


def test_fit_on_a_frame_and_a_series(library: str) -> None:
    """The same model as of the arrays, and it knows the names."""
    found = trained(frame_of(library, COLUMNS), series_of(library, NAMES.tolist(), "kind"))
    assert found.columns == ("height", "steps", "member")
    assert found.target == (() if library == "pyarrow" else ("kind",))  # whose series have no name
    assert found.labels == ("no", "yes")
    np.testing.assert_array_equal(found.theta, trained().theta)


def test_columns_are_matched_by_name(library: str) -> None:
    model = trained(frame_of(library, COLUMNS))
    backwards = {"note": ["text"] * N} | {name: COLUMNS[name] for name in reversed(COLUMNS)}
    frame = frame_of(library, backwards)
    for function in (model, model.predict, model.predict_proba):
        np.testing.assert_array_equal(function(frame), function(X))
    scores = xpnet.evaluate(model, frame, series_of(library, NAMES.tolist(), "other"))
    assert scores == xpnet.evaluate(model, X, NAMES)
    again = trained(frame, model=model)
    np.testing.assert_array_equal(again.theta, trained(X, model=model).theta)
    assert again.columns == model.columns


def test_a_model_without_columns_takes_a_frame_by_position(library: str) -> None:
    model = trained()
    assert model.columns == ()
    frame = frame_of(library, {f"column {i}": column for i, column in enumerate(X.T)})
    np.testing.assert_array_equal(model(frame), model(X))
    with pytest.raises(xpnet.UsageError, match=r"x has shape \(40, 2\); this model expects"):
        model(frame_of(library, {"a": X[:, 0], "b": X[:, 1]}))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("height", "steps", "Member"), "has no column 'member' .*, did you mean 'Member'"),
        (("height", "a", "b"), "has no columns steps, member that the model takes; it has height"),
        (("a", "b", "c"), r"none of the columns .* are height, steps, member; .*x.to_numpy\(\)"),
    ],
)
def test_columns_that_are_missing_are_named(library: str, names, message: str) -> None:
    frame = frame_of(library, dict(zip(names, X.T, strict=True)))
    with pytest.raises(xpnet.DataError, match=message):
        trained(frame_of(library, COLUMNS)).predict(frame)


def test_validation_data_and_weights(library: str) -> None:
    """Rows of weight 0 may hold anything; the others count as those of arrays."""
    w = np.where(np.arange(N) % 7, 1.0 + np.arange(N), 0.0)
    held = frame_of(library, {name: COLUMNS[name] for name in reversed(COLUMNS)})
    height = [None if weight == 0 else each for each, weight in zip(X[:, 0], w, strict=True)]
    frame, y = frame_of(library, COLUMNS | {"height": height}), series_of(library, NAMES.tolist())
    weights = series_of(library, w.tolist())
    one = xpnet.fit(
        MODEL, frame, y, epochs=1, sample_weight=weights, validation_data=(held, y, weights)
    )
    other = xpnet.fit(MODEL, X, NAMES, epochs=1, sample_weight=w, validation_data=(X, NAMES, w))
    np.testing.assert_array_equal(one.model.theta, other.model.theta)
    assert one.history["validation_loss"] == other.history["validation_loss"]
    scores = xpnet.evaluate(one.model, frame, y, sample_weight=weights)
    assert scores == xpnet.evaluate(other.model, X, NAMES, sample_weight=w)


def test_weights_that_are_none_are_refused(library: str) -> None:
    frame, y = frame_of(library, COLUMNS), frame_of(library, {"kind": NAMES.tolist()})
    with pytest.raises(xpnet.DataError, match="weights of samples: expected finite numbers"):
        trained(frame, y, sample_weight=series_of(library, [None, *range(1, N)]))
    with pytest.raises(xpnet.DataError, match=r"sample_weight has shape \(40, 2\)"):
        trained(frame, y, sample_weight=frame_of(library, {"w": np.ones(N), "v": np.ones(N)}))
    with pytest.raises(xpnet.DataError, match=r"sample_weight is object; expected 40 numbers"):
        trained(frame, y, sample_weight=series_of(library, ["1"] * N))


def test_weights_of_other_types(library: str) -> None:
    w = np.arange(1, N + 1)
    expected = trained(sample_weight=w)
    decimals = [*map(Decimal, w.tolist())]
    for weights in (frame_of(library, {"w": w}), series_of(library, decimals), w.astype(object)):
        assert trained(sample_weight=weights) == expected
    if library == "pandas":
        series = pytest.importorskip("pandas").Series(w, dtype=object)
        assert trained(sample_weight=series) == expected
        series[0] = 10**400
        with pytest.raises(xpnet.DataError, match=r"sample_weight is object"):
            trained(sample_weight=series)


def test_whole_decimals_are_labels(library: str) -> None:
    labels = np.where(NAMES == "yes", 8, 3)
    y = series_of(library, [Decimal(label) for label in labels.tolist()])
    assert trained(y=y) == trained(y=labels)
    for odd in (Decimal("1.5"), Decimal("1e30"), Decimal("inf")):
        with pytest.raises(xpnet.DataError, match=r"must all be whole numbers .* in sample 0"):
            trained(y=[odd] * N)


def test_arrays_of_arrow_are_series() -> None:
    arrow = pytest.importorskip("pyarrow")
    y, w = arrow.array(NAMES.tolist()), arrow.array(np.arange(N) / 1.0)
    model = trained(sample_weight=np.arange(N))
    assert trained(y=y, sample_weight=w) == model
    assert xpnet.evaluate(model, X, y, sample_weight=w).samples == N - 1
    flipped = arrow.array(np.roll(NAMES, 1).tolist())
    expected = xpnet.metrics.accuracy(NAMES, np.roll(NAMES, 1), sample_weight=np.arange(N))
    assert xpnet.metrics.accuracy(y, flipped, sample_weight=w) == expected
    with pytest.raises(xpnet.UsageError, match=r"x is a series of shape \(40,\)"):
        model(arrow.array(X[:, 0]))
    with pytest.raises(xpnet.DataError, match="of sample 1 marks a missing value"):
        trained(y=arrow.array([True, None] * (N // 2)))


def test_one_row_of_a_frame_says_how_to_keep_it_one() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(COLUMNS)
    model = trained(frame)
    for function in (model, model.predict, model.predict_proba):
        with pytest.raises(xpnet.UsageError, match=r"x is one row of a frame; .*df.iloc\[\[0\]\]"):
            function(frame.assign(note="text").iloc[0])
        with pytest.raises(xpnet.UsageError, match=r"x is a series of shape \(40,\)"):
            function(frame["steps"])


def test_the_name_of_a_column_is_no_target() -> None:
    message = r"y is the text 'kind'; give the targets, as by df\['kind'\]"
    with pytest.raises(xpnet.UsageError, match=message):
        trained(X, "kind")
    with pytest.raises(xpnet.UsageError, match=message):
        xpnet.evaluate(trained(), X, "kind")
    with pytest.raises(xpnet.UsageError, match=f"validation_data: {message}"):
        trained(X, NAMES, validation_data=(X, "kind"))


def test_several_targets_are_matched_by_name(library: str) -> None:
    targets = {"area": X[:, 0] * 2, "count": X[:, 1]}
    y = np.stack([*targets.values()], axis=1)
    regression = xpnet.mlp(3, 2, output="identity")
    model = trained(X, frame_of(library, targets), regression)
    assert model.target == ("area", "count")
    np.testing.assert_array_equal(model.theta, trained(X, y, regression).theta)
    backwards = {"count": y[:, 1], "area": y[:, 0], "note": NAMES.tolist()}
    found = xpnet.evaluate(model, X, frame_of(library, backwards))
    assert found == xpnet.evaluate(model, X, y)
    with pytest.raises(xpnet.DataError, match=r"y: has no column 'area' .*, did you mean 'areas'"):
        xpnet.evaluate(model, X, frame_of(library, {"count": y[:, 1], "areas": y[:, 0]}))
    with pytest.raises(xpnet.DataError, match=r"y has none of .*y.to_numpy\(\)"):
        xpnet.evaluate(model, X, frame_of(library, {"a": y[:, 1], "b": y[:, 0]}))


def test_one_target_may_be_a_frame_of_a_column(library: str) -> None:
    model = trained(X, frame_of(library, {"kind": NAMES.tolist()}))
    assert (model.target, model.labels) == (("kind",), ("no", "yes"))
    frame = frame_of(library, {"note": [date(2020, 1, 2)] * N, "kind": NAMES.tolist()})
    assert xpnet.evaluate(model, X, frame) == xpnet.evaluate(model, X, NAMES)


def test_metrics_of_series(library: str) -> None:
    predicted = np.roll(NAMES, 1)
    accuracy = xpnet.metrics.accuracy(NAMES, predicted)
    given, answers = (series_of(library, y.tolist()) for y in (NAMES, predicted))
    assert xpnet.metrics.accuracy(given, answers) == accuracy
    assert xpnet.metrics.accuracy(given, predicted) == accuracy
    w = RNG.random(N)
    weighted = xpnet.metrics.accuracy(NAMES, predicted, sample_weight=w)
    found = xpnet.metrics.accuracy(given, answers, sample_weight=series_of(library, w.tolist()))
    assert found == weighted
    numbers = frame_of(library, {"a": X[:, 0], "b": X[:, 1]})
    assert xpnet.metrics.r2(numbers, X[:, :2] / 2) == xpnet.metrics.r2(X[:, :2], X[:, :2] / 2)


def test_a_series_for_x_is_refused(library: str) -> None:
    with pytest.raises(xpnet.UsageError, match=r'x is a series of shape \(40,\).*\(?\["a"\]'):
        MODEL(series_of(library, X[:, 0].tolist(), "a"))


def test_lazy_frames_say_how_to_compute_them() -> None:
    polars = pytest.importorskip("polars")
    lazy = polars.LazyFrame({"a": [1.0]})
    with pytest.raises(xpnet.UsageError, match=r"x is a lazy frame of polars; give x.collect\(\)"):
        MODEL(lazy)
    with pytest.raises(xpnet.UsageError, match=r"y is a lazy frame of polars; give y.collect\(\)"):
        trained(X, lazy)


def test_streams_of_columns_are_frames() -> None:
    """Whatever has them by Arrow's interface, as a record batch."""
    arrow = pytest.importorskip("pyarrow")
    (batch,) = arrow.table(COLUMNS).to_batches()
    np.testing.assert_array_equal(trained(batch).theta, trained().theta)


def test_names_that_are_no_texts_and_equal_names() -> None:
    pandas = pytest.importorskip("pandas")
    model = trained(pandas.DataFrame(X, columns=[0, 1, "b"]), pandas.Series(NAMES, name=7))
    assert (model.columns, model.target) == (("0", "1", "b"), ("7",))
    assert model(pandas.DataFrame(X[:, ::-1], columns=["b", "1", 0])).tolist() == model(X).tolist()
    for names in (["a", "a", "b"], ["1", 1, "b"]):
        with pytest.raises(xpnet.DataError, match=r"x has columns of the same name \((a|1)\); ren"):
            model(pandas.DataFrame(X, columns=names))


def test_equal_names_of_columns_that_are_not_needed() -> None:
    pandas, arrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    model = trained(pandas.DataFrame(COLUMNS), pandas.DataFrame({"kind": NAMES}))
    names, w = [*COLUMNS, "n", "n", "7", 7, "kind"], np.arange(N) % 3
    values = [*COLUMNS.values(), *X.T, w, NAMES]
    frame = pandas.concat([pandas.Series(value) for value in values], axis=1)
    frame.columns = names
    table = arrow.Table.from_arrays([*map(arrow.array, values)], [*map(str, names)])
    expected = xpnet.evaluate(model, X, NAMES, sample_weight=w)
    for given in (frame, table):
        assert model.predict(given).tolist() == model.predict(X).tolist()
        assert xpnet.evaluate(model, given, given, sample_weight=w) == expected
        with pytest.raises(xpnet.DataError, match=r"x has columns of the same name \(n, 7\)"):
            trained(given, model=xpnet.mlp(8, 2))
        with pytest.raises(xpnet.DataError, match=r"x has columns of the same name \(n, 7\)"):
            trained(given, sample_weight=w, model=xpnet.mlp(8, 2))
        with pytest.raises(xpnet.DataError, match=r"y has columns of the same name"):
            trained(y=given)
        samples = load(given, "kind", features="steps,height")
        assert samples.columns == ("steps", "height")
    with pytest.raises(xpnet.DataError, match=r"frame has columns of the same name"):
        load(frame, "kind")
    frame.columns = ["height", "steps", "member", "member", *"abcd"]
    with pytest.raises(xpnet.DataError, match=r"x has columns of the same name \(member\)"):
        model.predict(frame)


def test_a_column_without_a_name_says_how_to_leave_it_out(library: str) -> None:
    frame = frame_of(library, dict(zip(("", "b", "label"), X.T, strict=True)))
    call = {"pandas": r"drop\(columns=", "polars": r"drop\(", "pyarrow": r"drop_columns\("}[library]
    for name, given in (("x", trained), ("frame", lambda frame: load(frame, features=["", "b"]))):
        match = rf"column 1 has no name; name it, or leave it out: {name}\.{call}\[''\]\)$"
        with pytest.raises(xpnet.DataError, match=match):
            given(frame)
    assert load(frame).columns == ("b",)  # an index, as of its CSV file


def test_the_index_does_not_matter() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(COLUMNS, index=RNG.permutation(N))
    y = pandas.Series(NAMES, index=RNG.permutation(N))
    w = pandas.Series(np.arange(N), index=RNG.permutation(N))
    found = trained(frame, y, sample_weight=w)
    assert found.theta.tolist() == trained(sample_weight=np.arange(N)).theta.tolist()


def test_a_frame_of_mixed_types_as_an_array() -> None:
    pandas = pytest.importorskip("pandas")
    x = pandas.DataFrame(COLUMNS).to_numpy()
    assert x.dtype == object
    np.testing.assert_array_equal(trained(x).theta, trained().theta)
    x[3, 1] = pandas.NA
    with pytest.raises(xpnet.DataError, match=r"column 1 of row 3 is nan\. Fill the gaps"):
        trained(x)


def test_sparse_columns_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(COLUMNS).astype({"steps": pandas.SparseDtype(int)})
    np.testing.assert_array_equal(trained(frame).theta, trained().theta)
    y = pandas.Series(NAMES == "yes").astype(int)
    assert trained(frame, y.astype(pandas.SparseDtype(int))) == trained(frame, y)
    kinds = pandas.get_dummies(pandas.Series(["a", "b"] * (N // 2)), sparse=True)
    dense = kinds.assign(number=X[:, 0]).astype(float)
    assert trained(kinds.assign(number=X[:, 0]), y) == trained(dense, y)
    gaps = pandas.DataFrame({"a": pandas.arrays.SparseArray([0, np.nan, 2])})
    with pytest.raises(xpnet.DataError, match="row 1: column 'a' has no value"):
        MODEL(gaps)


def test_sparse_matrices_say_how_to_make_them_dense() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(xpnet.UsageError, match=r"csr_array is no array .*toarray\(\) makes one"):
        MODEL(sparse.csr_array(X))


@pytest.mark.parametrize(
    ("labels", "kind", "expected"),
    [
        ([True, False], "bool", (0, 1)),
        ([True, False], "boolean", (0, 1)),
        ([3, 8], "Int64", (3, 8)),
        ([3, 8], "uint8", (3, 8)),
        ([3.0, 8.0], "float32", (3, 8)),
        ([3, 8], "category", (3, 8)),
        (["a", "b"], "category", ("a", "b")),
        (["a", "b"], "string", ("a", "b")),
        (["a", "b"], "object", ("a", "b")),
        (["a", "b"], "str", ("a", "b")),
        ([3, 8], "int64[pyarrow]", (3, 8)),
        (["a", "b"], "string[pyarrow]", ("a", "b")),
    ],
)
def test_labels_of_every_type_of_pandas(labels, kind: str, expected) -> None:
    pandas = pytest.importorskip("pandas")
    if "pyarrow" in kind:
        pytest.importorskip("pyarrow")
    y = pandas.Series(labels * (N // 2)).astype(kind)
    assert trained(y=y).labels == expected
    assert trained(y=y).theta.tolist() == trained(y=np.asarray(labels * (N // 2))).theta.tolist()


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ([True, None], "boolean"),
        ([3, None], "Int64"),
        (["a", None], "category"),
        (["a", None], "string"),
        (["a", None], "object"),
        ([3.0, None], "float"),
    ],
)
def test_gaps_in_labels_of_pandas(labels, kind: str) -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(xpnet.DataError, match="of sample 1 marks a missing value"):
        trained(y=pandas.Series(labels * (N // 2)).astype(kind))


def test_labels_of_types_of_other_libraries() -> None:
    arrow, polars = pytest.importorskip("pyarrow"), pytest.importorskip("polars")
    names = NAMES.tolist()
    for y in (
        arrow.chunked_array([names]).dictionary_encode(),
        arrow.array(names),
        polars.Series(names, dtype=polars.Categorical),
        polars.Series(names, dtype=polars.Enum(["yes", "no"])),
    ):
        assert trained(y=y).theta.tolist() == trained().theta.tolist()
    for gaps in ([True, None], [1, None], ["a", None]):
        for y in (arrow.chunked_array([gaps * (N // 2)]), polars.Series(gaps * (N // 2))):
            with pytest.raises(xpnet.DataError, match="of sample 1 marks a missing value"):
                trained(y=y)


def test_frames_of_indicators_are_labels() -> None:
    """As `pandas.get_dummies` makes them: one of them in each row."""
    pandas = pytest.importorskip("pandas")
    y = pandas.get_dummies(pandas.Series(NAMES))
    model = trained(y=y)
    assert (model.target, model.labels) == (("no", "yes"), ("no", "yes"))
    assert model.theta.tolist() == trained().theta.tolist()
    assert xpnet.evaluate(model, X, y) == xpnet.evaluate(model, X, NAMES)
    assert xpnet.evaluate(model, X, y[["yes", "no"]]) == xpnet.evaluate(model, X, NAMES)


def test_columns_of_indicators_are_named_labels(library: str) -> None:
    kinds = np.eye(3)[np.arange(N) % 3].T
    frame = frame_of(library, dict(zip(["z", "x", "y"], kinds.astype(int), strict=True)))
    model = trained(y=frame, model=xpnet.mlp(3, 3))
    assert model.labels == ("z", "x", "y")
    assert set(model.predict(X)) <= {"x", "y", "z"}
    assert trained(y=frame, model=xpnet.mlp(3, 3, multilabel=True)).labels == ("z", "x", "y")
    assert trained(y=frame, model=xpnet.mlp(3, 3, labels=["a", "b", "c"])).labels == ("a", "b", "c")
    assert trained(y=frame, model=xpnet.mlp(3, 3, output="identity")).labels == ()
    digits = frame_of(library, dict(zip(["3", "8", "10"], kinds, strict=True)))
    model = trained(y=digits, model=xpnet.mlp(3, 3))
    assert model.labels == (3, 8, 10)
    assert xpnet.evaluate(model, X, digits) == xpnet.evaluate(model, X, [3, 8, 10] * 13 + [3])


def test_an_index_among_the_features_is_warned_of(library: str) -> None:
    names = ("Unnamed: 0", "steps", "member")
    frame = frame_of(library, dict(zip(names, COLUMNS.values(), strict=True)))
    call = {"pandas": r"drop\(columns=", "polars": r"drop\(", "pyarrow": r"drop_columns\("}[library]
    match = rf"looks like an index .*: x\.{call}\['Unnamed: 0'\]\)$"
    with pytest.warns(UserWarning, match=match) as caught:
        model = trained(frame)
    assert model.columns == names
    assert caught[0].filename == __file__
    trained(frame, model=model)  # which was told
    later = frame_of(library, {"steps": X[:, 1], "member": X[:, 2], "Unnamed: 0": X[:, 0]})
    trained(later)


def test_a_target_among_the_features_is_warned_of() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(COLUMNS)
    with pytest.warns(UserWarning, match=r"x has a column 'steps', as y is named: the target is"):
        trained(frame, frame["steps"], xpnet.mlp(3, 1, output="identity"))
    trained(frame, frame, xpnet.mlp(3, 3, output="identity"))  # as of an autoencoder
    trained(frame, frame[["steps"]], xpnet.mlp(3, 1, output="identity"))
    trained(X, frame["steps"], xpnet.mlp(3, 1, output="identity"))
    trained(frame, frame["steps"].rename("other"), xpnet.mlp(3, 1, output="identity"))
