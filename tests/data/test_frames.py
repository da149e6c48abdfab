"""x and y of frames: their values, what is wrong with them, and the same as of their CSV file."""

import gzip
import io
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from helpers import FRAMES, frame_of, series_of

import xpnet
from xpnet.data.frames import as_samples, as_targets
from xpnet.data.sources import load

RNG = np.random.default_rng(0)
N = 30


@pytest.fixture(params=FRAMES)
def library(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return request.param


# Values


def test_columns_of_numbers_are_float64(library: str) -> None:
    columns = {
        **{kind: np.asarray([1, 0, 3], dtype=kind) for kind in ("int8", "uint16", "int64")},
        "large": np.asarray([2**53 + 1, -5, 2**63 - 1]),
        "float32": np.asarray([0.1, -1e30, 0], dtype=np.float32),
        "float64": np.asarray([0.1, 1e300, -0.0]),
        "bool": np.asarray([True, False, True]),
    }
    x, names = as_samples(frame_of(library, columns))
    assert names == (*columns,)
    assert (x.dtype, x.flags.c_contiguous) == (np.float64, True)
    expected = np.stack([column.astype(np.float64) for column in columns.values()], axis=1)
    assert x.tobytes() == expected.tobytes()


def test_columns_that_may_have_gaps_and_have_none(library: str) -> None:
    values = {"whole": [1, 2], "truth": [True, False], "decimal": [Decimal("0.1"), Decimal("2e-9")]}
    if library == "pandas":
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(values).astype({"whole": "Int64", "truth": "boolean"})
        frame["real"] = pandas.Series([1.5, 2]).astype("Float64")
        frame["mixed"] = pandas.Series([True, 2.5], dtype=object)
    else:
        frame = frame_of(library, values | {"real": [1.5, 2.0], "mixed": [1.0, 2.5]})
    x, _ = as_samples(frame)
    assert x.tolist() == [[1, 1, 0.1, 1.5, 1], [2, 0, 2e-9, 2, 2.5]]


def test_pixels_are_bytes_and_images(library: str) -> None:
    names = [f"{i}x{j}" for i in range(1, 9) for j in range(1, 9)]
    pixels = RNG.integers(0, 256, (5, 64), dtype=np.uint8)
    for kind in ("uint8", "int64"):
        x, found = as_samples(
            frame_of(library, dict(zip(names, pixels.T.astype(kind), strict=True)))
        )
        assert (x.dtype, x.shape, found) == (np.uint8, (5, 8, 8), (*names,))
        assert x.ravel().tolist() == pixels.ravel().tolist()
    x, _ = as_samples(frame_of(library, dict(zip(names, pixels.T / 255, strict=True))))
    assert (x.dtype, x.shape) == (np.float64, (5, 64))


def test_columns_are_taken_in_the_order_that_is_asked_for(library: str) -> None:
    frame = frame_of(library, {"a": [1.0, 2.0], "text": ["x", None], "b": [True, False]})
    x, names = as_samples(frame, ("b", "a"))
    assert (x.tolist(), names) == ([[1, 1], [0, 2]], ("b", "a"))


def test_arrays_and_lists_are_no_frames() -> None:
    x = np.eye(2)
    assert as_samples(x, ("a", "b"))[0] is x
    assert as_samples([[1, 2]])[1] == ()
    assert as_targets(x) == (x, ())


def test_an_empty_frame_has_no_rows(library: str) -> None:
    x, names = as_samples(frame_of(library, {"a": np.zeros(0), "b": np.zeros(0)}))
    assert (x.shape, names) == ((0, 2), ("a", "b"))
    with pytest.raises(xpnet.DataError, match="expected features"):
        as_samples(frame_of(library, {}))


def test_values_of_a_series(library: str) -> None:
    for values, kind in (
        ([1, 2**60 + 1], np.int64), ([True, False], np.bool_), ([0.5, 1.0], np.float64),
    ):  # fmt: skip
        y, _ = as_targets(series_of(library, values))
        assert (y.tolist(), y.dtype) == (values, kind)
    for values in (["a", "b"], ["a", None], [True, None], [Decimal("0.1"), None]):
        assert as_targets(series_of(library, values))[0].tolist() == values
    assert np.isnan(as_targets(series_of(library, [1, None]))[0][1])


# Faults


def test_all_that_is_wrong_is_told_at_once(library: str) -> None:
    columns = {
        "fine": [1.0, 2.0, 3.0],
        "whole": [1, None, None],
        "truth": [None, True, False],
        "text": ["1", "2", "3"],
        "day": [None, date(2024, 1, 2), date(2024, 1, 3)],
        "real": [None, float("inf"), 1.0],
        "parts": [[1], [2], [3]],
    }
    with pytest.raises(xpnet.DataError) as caught:
        as_samples(frame_of(library, columns))
    text = str(caught.value)
    assert text.startswith("x: has 7 faults\n")
    for line in (
        "row 1 (and 1 more): column 'whole' has no value; fill it in or leave the row out",
        "row 0: column 'truth' has no value",
        "row 0: column 'text' is '1' (",
        "row 1: column 'day' is 2024-01-02 (",
        "row 1: column 'real' is inf; expected a finite number",
        "row 0: column 'parts' is [1] (",
    ):
        assert line in text
    call = {"pandas": "x.drop(columns=", "polars": "x.drop(", "pyarrow": "x.drop_columns("}[library]
    assert (
        f"to leave these columns out: {call}['text', 'day', 'parts', 'whole', 'truth', 'real']"
        in text
    )


def test_what_a_model_needs_cannot_be_left_out(library: str) -> None:
    frame = frame_of(library, {"b": [1, None], "a": [1.0, 2.0]})
    with pytest.raises(xpnet.DataError) as caught:
        as_samples(frame, ("a", "b"))
    assert str(caught.value) == (
        "x: row 1: column 'b' has no value; fill it in or leave the row out"
    )


def test_categories_are_no_numbers_even_if_they_are_numbered() -> None:
    pandas = pytest.importorskip("pandas")
    for values in ([None, 3, 8], [None, "a", "b"]):
        frame = pandas.DataFrame({"c": pandas.Categorical(values), "a": 1.0})
        shown = repr(values[1])
        with pytest.raises(
            xpnet.DataError,
            match=rf"row 1: column 'c' is {shown}.* \(Categorical\).*; to leave this",
        ):
            as_samples(frame)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([1.5, "x", None], "row 1: column 'a' is 'x' "),
        (["1", 2, 3], "row 0: column 'a' is '1' "),
        ([1 + 2j, 1.0, 2.0], r"row 0: column 'a' is \(1\+2j\)"),
        ([None, None, None], r"row 0 \(and 2 more\): column 'a' has no value"),
    ],
)
def test_columns_of_objects_of_pandas(column, message: str) -> None:
    pandas = pytest.importorskip("pandas")
    for kind in (object, None):
        with pytest.raises(xpnet.DataError, match=message):
            as_samples(pandas.DataFrame({"a": pandas.Series(column, dtype=kind)}))


# The same as of a file


FRAMES_OF = {
    "mixed": {
        "real": RNG.normal(size=N),
        "negative": RNG.integers(-9, 0, N),
        "truth": RNG.random(N) > 0.5,
        "small": RNG.integers(0, 256, N, dtype=np.uint8),
        "label": RNG.choice(["no", "yes"], N).tolist(),
    },
    "pixels": {
        **{f"pixel{i}": RNG.integers(0, 256, N, dtype=np.uint8) for i in range(9)},
        "label": RNG.integers(0, 3, N),
    },
    "numbers": {"a": RNG.normal(size=N), "label": RNG.normal(size=N)},
    "truth": {"a": RNG.normal(size=N), "label": RNG.random(N) > 0.5},
}


def text_of(library: str, frame) -> bytes:
    """The frame as its library writes it as CSV."""
    if library == "pandas":
        return frame.to_csv(index=False).encode()
    if library == "polars":
        return frame.write_csv().encode()
    stream = io.BytesIO()
    pytest.importorskip("pyarrow.csv").write_csv(frame, stream)
    return stream.getvalue()


@pytest.mark.parametrize("case", FRAMES_OF)
def test_a_frame_its_file_and_the_packed_file_are_the_same(
    library: str, case: str, tmp_path: Path
) -> None:
    """The same arrays to the bit, the same file of the model, and the arrays of an npz."""
    frame = frame_of(library, FRAMES_OF[case])
    plain, packed = tmp_path / "plain.csv", tmp_path / "packed.csv.gz"
    plain.write_bytes(text_of(library, frame))
    packed.write_bytes(gzip.compress(text_of(library, frame)))
    samples = [load(source) for source in (frame, str(plain), str(packed))]
    files = []
    for i, one in enumerate(samples):
        for name in ("x_train", "y_train", "x_test", "y_test"):
            mine, first = getattr(one, name), getattr(samples[0], name)
            assert (mine.dtype, mine.shape) == (first.dtype, first.shape)
            assert mine.tobytes() == first.tobytes()
        assert (one.columns, one.target) == (samples[0].columns, ("label",))
        files.append(tmp_path / f"{i}.safetensors")
        width = one.x_train[0].size
        output = "softmax" if one.task == "classification" else "identity"
        outputs = 1 if output == "identity" else len(set(one.y_train.tolist()))
        model = xpnet.mlp(width, outputs, output=output)
        xpnet.fit(model, one.x_train, one.y_train, epochs=1).model.save(files[-1])
    assert len({file.read_bytes() for file in files}) == 1
    values = {
        name: getattr(samples[0], name) for name in ("x_train", "y_train", "x_test", "y_test")
    }
    np.savez(tmp_path / "values.npz", **values)
    again = load(str(tmp_path / "values.npz"))
    assert all(getattr(again, name).tobytes() == a.tobytes() for name, a in values.items())


@pytest.mark.parametrize("case", ["mixed", "pixels", "numbers"])
def test_fit_on_a_frame_is_fit_on_its_file(library: str, case: str, tmp_path: Path) -> None:
    columns = dict(FRAMES_OF[case])
    text = text_of(library, frame_of(library, columns))
    (tmp_path / "table.csv").write_bytes(text)
    file = load(str(tmp_path / "table.csv"), whole=True)
    label = np.asarray(columns.pop("label")).tolist()
    output = "softmax" if file.task == "classification" else "identity"
    outputs = 1 if output == "identity" else len(set(label))
    model = xpnet.mlp(len(columns), outputs, output=output)
    one = xpnet.fit(model, frame_of(library, columns), series_of(library, label, "label"), epochs=1)
    other = xpnet.fit(model, file.x_train, file.y_train, epochs=1)
    assert one.model.columns == file.columns
    assert one.model.theta.tobytes() == other.model.theta.tobytes()
    assert one.model.input_shape == other.model.input_shape


def test_a_frame_as_a_data_set(library: str) -> None:
    frame = frame_of(library, FRAMES_OF["truth"] | {"note": ["text"] * N})
    samples = load(frame, drop="note")
    assert (samples.name, samples.columns, samples.files) == ("frame", ("a",), {})
    assert samples.notes == ("left out: note",)
    names = {"False", "True"} if library == "pandas" else {"false", "true"}  # as in their CSV
    assert {*samples.y_train.tolist()} == names
    with pytest.raises(xpnet.DataError, match=r"frame: row 0: column 'note' .*: frame.drop"):
        load(frame)
    with pytest.raises(xpnet.UsageError, match="a series is no data set; give a frame"):
        load(series_of(library, [1.0, 2.0]))
    gap = frame_of(library, {"a": [1.0, 2.0, 3.0], "label": ["x", None, "y"]})
    with pytest.raises(xpnet.DataError, match="frame: row 1: column 'label' has no value"):
        load(gap)
    with pytest.raises(xpnet.DataError, match="frame: has no column 'lable' to predict, did you"):
        load(frame, "lable", drop="note")


# Values of unusual types


def test_values_with_parts_are_refused(library: str) -> None:
    """Structs of one field are an array (n, 1) in NumPy, and arrays of two numbers are (n, 2)."""
    values = {"struct": [{"p": 1}, {"p": 2}], "list": [[1, 2], [3, 4]], "bytes": [b"a", b"b"]}
    columns = {name: series_of(library, value) for name, value in values.items()}
    if library == "polars":
        polars = pytest.importorskip("polars")
        columns["array"] = polars.Series(values["list"], dtype=polars.Array(polars.Int64, 2))
    for series in columns.values():
        frame = frame_of(library, {"a": [1.0, 2.0], "label": series})
        with pytest.raises(xpnet.DataError, match=r"x: row 0: column 'label' is .*expected a numb"):
            as_samples(frame)
        with pytest.raises(
            xpnet.DataError, match=r"row 0: column 'label' is .* a number or a text"
        ):
            load(frame)
    for name in ("struct", "list"):
        for output in ("softmax", "identity"):
            with pytest.raises(xpnet.DataError, match=r"y.* is \{'p': 1\}|\{'p': 1\}|\[1, 2\]"):
                xpnet.fit(xpnet.mlp(2, 2, output=output), np.eye(2), columns[name], epochs=1)


def test_whole_numbers_of_128_bits() -> None:
    polars = pytest.importorskip("polars")
    if not hasattr(polars, "Int128"):
        pytest.skip("this version of Polars has no Int128")
    wide = polars.Series("label", [2**100, 1, 2], dtype=polars.Int128)
    x, _ = as_samples(polars.DataFrame({"a": wide}))
    assert x.tolist() == [[2.0**100], [1], [2]]
    small = polars.Series([3, 1, 2], dtype=polars.Int128)
    assert xpnet.fit(xpnet.mlp(3, 3), np.eye(3), small, epochs=1).model.labels == (1, 2, 3)
    assert xpnet.metrics.accuracy(small, [3, 1, 1]) == np.float32(2 / 3)
    with pytest.raises(xpnet.DataError, match=r"of sample 0 is out of range"):
        xpnet.fit(xpnet.mlp(3, 3), np.eye(3), wide, epochs=1)
    assert load(polars.DataFrame({"a": small, "label": small})).y_train.tolist() == [3, 1, 2]


@pytest.mark.parametrize("exponent", [400, 5000])
def test_whole_numbers_beyond_float64(exponent: int) -> None:
    pandas = pytest.importorskip("pandas")
    large = pandas.Series([10**exponent, 1, 2], dtype=object)
    frame = pandas.DataFrame({"a": large})
    with pytest.raises(xpnet.DataError, match=r"row 0: column 'a' is .* expected a number; to"):
        as_samples(frame)
    with pytest.raises(xpnet.DataError, match=r"row 0: column 'label' is .* expected a number or"):
        load(pandas.DataFrame({"a": [1, 2, 3], "label": large}))
    for output in ("softmax", "identity"):
        with pytest.raises(xpnet.DataError, match=r"of sample 0 is out of range|y: row 0 is"):
            xpnet.fit(xpnet.mlp(3, 3, output=output), np.eye(3), large, epochs=1)


# Names of columns


NUMBERED = np.c_[np.arange(12) % 2, RNG.normal(size=(12, 3))]


@pytest.mark.parametrize("target", [0, "0", [0], (0,), np.int64(0), np.asarray([0])])
def test_names_that_are_numbers_may_be_given_as_such(target) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(NUMBERED)
    samples = load(frame, target)
    assert (samples.columns, samples.target) == (("1", "2", "3"), ("0",))
    assert load(frame, target, features=[3, 1]).columns == ("3", "1")
    assert load(frame, target, features=frame.columns[1:3]).columns == ("1", "2")
    assert load(frame, target, drop=2).columns == ("1", "3")
    assert load(frame, 1, features=0).columns == ("0",)
    with pytest.raises(xpnet.DataError, match=r"has no column '5' to predict; it has 0, 1, 2, 3"):
        load(frame, 5)


def test_names_of_several_levels() -> None:
    pandas = pytest.importorskip("pandas")
    names = pandas.MultiIndex.from_tuples([("t", "y"), ("f", 0), ("f", 1), ("f", 2)])
    frame = pandas.DataFrame(NUMBERED, columns=names)
    for target in (("t", "y"), [("t", "y")], "('t', 'y')"):
        assert load(frame, target, drop=("f", 1)).columns == ("('f', 0)", "('f', 2)")
    assert load(frame, [("t", "y"), ("f", 0)]).target == ("('t', 'y')", "('f', 0)")


@pytest.mark.parametrize("target", [None, [], ()])
def test_a_frame_without_a_target_is_no_data_set(library: str, target) -> None:
    frame = frame_of(library, {"a": [1.0, 2.0], "label": [0, 1]})
    with pytest.raises(xpnet.UsageError, match=r"target must name the column to predict"):
        load(frame, target)


def test_blanks_around_names_do_not_matter(library: str, tmp_path: Path) -> None:
    """xpnet strips the names that a CSV file has, pandas does not."""
    path, n = tmp_path / "table.csv", 12
    rows = [f"{i % 5}, {i % 2}, {i % 3}, {i % 2}\n" for i in range(n)]
    path.write_text("a, b, c, y\n" + "".join(rows))
    values = {"a": 5, " b": 2, " c": 3, " y": 2}
    frame = frame_of(library, {name: np.arange(n) % k for name, k in values.items()})
    x, y = (frame_of(library, {k: np.arange(n) % values[k] for k in names}) for names in (
        ("a", " b", " c"), (" y",)))  # fmt: skip
    mine = xpnet.fit(xpnet.mlp(3, 2), x, y, epochs=1).model
    assert (mine.columns, mine.target) == (("a", " b", " c"), (" y",))
    file = load(str(path), mine.target, features=mine.columns, whole=True)
    assert (file.columns, file.target) == (("a", "b", "c"), ("y",))
    assert load(frame, "y", features="c,a,b").columns == (" c", "a", " b")
    found = as_samples(frame, ("c ", "b", "a"))[0]
    assert found.tolist() == file.x_test[:, ::-1].tolist()
    assert as_samples(frame, ("b", " c "))[0].tolist() == file.x_test[:, 1:].tolist()
    assert as_targets(frame, ("y",))[1] == (" y",)
    assert as_targets(frame, ("y", "c"))[1] == (" y", " c")


@pytest.mark.parametrize(("wanted", "names"), [(("b",), (" b", "b ")), ((" b", "b "), ("b", "c"))])
def test_names_that_blanks_make_equal_are_not_matched(library: str, wanted, names) -> None:
    frame = frame_of(library, {name: [1.0, 2.0] for name in names})
    with pytest.raises(xpnet.DataError, match=r"has no column"):
        as_samples(frame, wanted)
    exact = frame_of(library, {" b": [1.0], "b": [2.0]})
    assert as_samples(exact, ("b", " b"))[0].tolist() == [[2, 1]]


# Numbers in texts


def assert_converted(library: str, frame, column) -> None:
    """The message says how to make numbers of the column, and it is so."""
    call = {"pandas": "astype(float)", "polars": "cast(float)", "pyarrow": 'cast("float64")'}
    with pytest.raises(xpnet.DataError) as caught:
        as_samples(frame)
    text = str(caught.value)
    assert text.startswith("x: row 0: column 'b' is ")
    told = text.partition("expected a number: ")[2].partition(" converts the column; to leave")[0]
    assert told.endswith(call[library])
    numbers = eval(told, {"x": frame})  # as a user does
    assert as_samples(frame_of(library, {"b": numbers}))[0].tolist() == column


def test_numbers_in_texts_are_told_to_be_converted(library: str) -> None:
    texts, expected = ["10", "-2.5", "1e3"], [[10.0], [-2.5], [1000.0]]
    frame = frame_of(library, {"b": texts})
    assert_converted(library, frame, expected)
    if library == "pandas":
        for kind in ("category", "string", object):
            assert_converted(library, frame.astype(kind), expected)
        assert_converted(library, frame.astype(float).astype("category"), expected)
    elif library == "polars":
        assert_converted(library, frame.cast(pytest.importorskip("polars").Categorical), expected)
    else:
        column = frame["b"].dictionary_encode()
        assert_converted(library, frame_of(library, {"b": column}), expected)


@pytest.mark.parametrize("texts", [["1", "x"], ["1", " 2"], ["1_0", "2"], ["1", "2024-01-02"]])
def test_texts_that_are_no_numbers_are_not_told_to_be_converted(library: str, texts) -> None:
    with pytest.raises(xpnet.DataError, match=r"expected a number; to leave this column out"):
        as_samples(frame_of(library, {"b": texts}))


def test_a_text_may_be_the_target_that_is_not_named(library: str) -> None:
    frame = frame_of(library, {"a": [1, 2, 3], "b": ["x", "y", "x"]})
    with pytest.raises(xpnet.DataError) as caught:
        load(frame)
    assert "drop" not in str(caught.value).partition("--drop")[0]
    assert "columns that are no numbers: b; one of them may be the target" in str(caught.value)


def test_columns_of_bytes_that_are_no_pixels_are_float64(library: str) -> None:
    x, _ = as_samples(frame_of(library, {name: np.asarray([1, 2], np.uint8) for name in "ab"}))
    assert (x.dtype, x.tolist()) == (np.float64, [[1, 1], [2, 2]])
