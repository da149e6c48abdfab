"""Reading data: what is taken, and what is refused in words."""

import gzip
import hashlib
import io
import pickle
import struct
import zipfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from helpers import IMAGES, LABELS, Bomb, csv_file, idx, unpaired

from xpnet.data.sources import hold_out, load, load_samples
from xpnet.errors import DataError, UsageError
from xpnet.registry import FORMATS, FORMATS_WITHOUT_TARGETS

MNIST = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
X = np.arange(40, dtype=np.float32).reshape(10, 4)
Y = np.arange(10) % 2
RAW = idx(IMAGES)


def npz(path: Path, **arrays: object) -> str:
    np.savez(path, **arrays)
    return str(path)


# MNIST


def test_mnist_is_the_published_one() -> None:
    for name, expected in MNIST.items():
        packed = (files("xpnet.data") / "mnist" / f"{name}.gz").read_bytes()
        assert hashlib.sha256(gzip.decompress(packed)).hexdigest() == expected


def test_mnist_has_its_sizes_labels_and_hashes() -> None:
    samples = load("mnist")
    assert samples.x_train.shape == (60_000, 28, 28)
    assert samples.x_test.shape == (10_000, 28, 28)
    assert samples.x_train.dtype == samples.x_test.dtype == np.uint8
    assert np.unique(samples.y_train).tolist() == np.unique(samples.y_test).tolist() == [*range(10)]
    assert samples.y_train[:5].tolist() == [5, 0, 4, 1, 9]
    assert sorted(samples.files) == sorted(f"{name}.gz" for name in MNIST)


# .npz


def test_npz_with_all_four_arrays(tmp_path: Path) -> None:
    path = npz(tmp_path / "four.npz", x_train=X, y_train=Y, x_test=X[:3], y_test=Y[:3])
    samples = load(path)
    assert samples.name == "four"
    assert (len(samples.x_train), len(samples.x_test)) == (10, 3)
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert samples.files == {"four.npz": digest}


@pytest.mark.parametrize("names", [("x", "y"), ("x_train", "y_train")])
def test_npz_without_a_test_set_holds_some_out(tmp_path: Path, names) -> None:
    samples = load(npz(tmp_path / "two.npz", **dict(zip(names, (X, Y), strict=True))))
    train, test = hold_out(10, Y)
    np.testing.assert_array_equal(samples.x_train, X[train])
    np.testing.assert_array_equal(samples.y_test, Y[test])


def with_(array: np.ndarray, at, value) -> np.ndarray:
    changed = array.copy()
    changed[at] = value
    return changed


FOUR = {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y}
BAD_NPZ = {
    "unequal-lengths": ({"x": X, "y": Y[:9]}, "10 samples in x and 9 labels in y"),
    "unequal-test": ({**FOUR, "y_test": Y[:4]}, "10 samples in x_test and 4 labels in y_test"),
    "nan": ({"x": with_(X, (3, 1), np.nan), "y": Y}, r"x: element \(3, 1\) is nan"),
    "inf": ({**FOUR, "x_test": with_(X, (0, 2), np.inf)}, r"x_test: element \(0, 2\) is inf"),
    "nan-label": ({"x": X, "y": with_(Y * 1.0, 2, np.nan)}, r"y: element \(2,\) is nan"),
    "inf-label": ({"x": X, "y": with_(np.eye(2)[Y], (3, 1), np.inf)}, r"element \(3, 1\) is inf"),
    "complex-label": ({"x": X, "y": Y * 1j}, "y is complex128 .* expected numbers, or a name"),
    "nan-name": (
        {"x": X, "y": np.asarray(["a", "nan"])[Y]},
        "y: label 'nan' of sample 1 marks a missing value; leave such samples out",
    ),
    "nan-test-name": (
        {**FOUR, "y_train": np.asarray(["a", "b"])[Y], "y_test": np.asarray([b"a", b"<NA>"])[Y]},
        "y_test: label '<NA>' of sample 1 marks a missing value",
    ),
    "latin-label": ({"x": X, "y": np.asarray([b"\xe9", b"a"])[Y]}, "y"),
    "two-names": ({"x": X, "y": np.full((10, 2), "a")}, r"\(10, 2\); expected .* a name for each"),
    "labels-of-three-axes": ({"x": X, "y": np.zeros((10, 1, 1))}, r"y has shape \(10, 1, 1\)"),
    "labels-of-no-axis": ({"x": X, "y": np.float64(3)}, r"y has shape \(\)"),
    "no-labels-each": ({"x": X, "y": np.zeros((10, 0))}, r"y has shape \(10, 0\); expected \(n,\)"),
    "other-label-shape": ({**FOUR, "y_test": np.eye(2)[Y]}, r"labels of shape \(\) and .* \(2,\)"),
    "unknown-test-name": (
        {**FOUR, "y_train": Y.astype(str), "y_test": with_(Y, 0, 7).astype(str)},
        "test label '7' is out of range",
    ),
    "other-test-kind": ({**FOUR, "y_test": Y.astype(str)}, "test label '0' is out of range"),
    "other-test-kind-of-many": (
        {name: np.tile(array, 30) for name, array in FOUR.items() if name[0] == "y"}
        | {"x_train": np.ones((300, 1)), "x_test": np.ones((300, 1))}
        | {"y_test": np.tile(Y, 30).astype(str)},
        "test label '0' is out of range",
    ),
    "flat-x": ({"x": X[:, 0], "y": Y}, r"x has shape \(10,\); expected a sample per row"),
    "no-samples": ({"x": X[:0], "y": Y[:0]}, "it is empty"),
    "no-columns": ({"x": X[:, :0], "y": Y}, "it is empty"),
    "one-sample": ({"x": X[:1], "y": Y[:1]}, "holds 1 sample"),
    "text-for-x": ({"x": X.astype(str), "y": Y}, "x is <U.*; expected numbers"),
    "complex-x": ({"x": X * 1j, "y": Y}, "x is complex64; expected numbers"),
    "other-test-shape": ({**FOUR, "x_test": X[:, :3]}, r"\(4,\) and test samples of shape \(3,\)"),
    "other-names": ({"a": X, "b": Y}, "holds a, b; expected x_train"),
    "half-a-test-set": ({"x_train": X, "y_train": Y, "x_test": X}, "expected x_train and y_train"),
    "no-array": ({}, "holds no array"),
}


@pytest.mark.parametrize("case", BAD_NPZ)
def test_a_bad_npz_is_named_with_what_is_wrong(tmp_path: Path, case: str) -> None:
    arrays, message = BAD_NPZ[case]
    with pytest.raises(DataError, match=message) as caught:
        load(npz(tmp_path / "bad-one.npz", **arrays))
    assert str(caught.value).startswith("bad-one.npz: ")


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (Y.astype(np.float32), "i"),
        (Y.astype(np.float16), "i"),
        (Y.astype(bool), "u"),
        (Y.astype(np.uint64), "i"),
        (Y.astype(">i8"), "i"),
        (np.asarray(["no", "yes"])[Y], "U"),
        (np.asarray([b"no", b"yes"])[Y], "U"),
    ],
    ids=["whole-floats", "half-floats", "bool", "uint64", "big-endian", "names", "byte-names"],
)
def test_labels_become_integers_or_names(tmp_path: Path, y: np.ndarray, expected: str) -> None:
    samples = load(npz(tmp_path / "good.npz", x=X, y=y))
    assert samples.y_train.dtype.kind == expected
    assert samples.y_train.dtype.isnative
    train, _ = hold_out(10, Y)
    same = y[train].astype(str) if expected == "U" else y[train]
    np.testing.assert_array_equal(samples.y_train, same)


@pytest.mark.parametrize(
    ("y", "dtype"),
    [
        (Y + 0.5, "f8"),
        ((Y - 7.25).astype(">f4"), "f4"),
        (with_(Y, 4, -3), "i8"),
        (Y * 1e30, "f8"),
        (np.eye(2)[Y], "f8"),
        (np.eye(2, dtype=bool)[Y], "u1"),
        (np.eye(3, dtype=np.int16)[Y] - 5, "i2"),
    ],
    ids=["halves", "big-endian", "negative", "huge", "floats-of-two", "flags", "integers-of-three"],
)
def test_numbers_to_predict_stay_as_they_are(tmp_path: Path, y: np.ndarray, dtype: str) -> None:
    samples = load(npz(tmp_path / "good.npz", x=X, y=y))
    assert samples.y_train.dtype == np.dtype(dtype)
    every = np.concatenate([samples.y_train, samples.y_test]).tolist()
    assert sorted(every) == sorted(y.tolist())


@pytest.mark.parametrize("whole", ["y_train", "y_test"])
def test_numbers_to_predict_are_of_one_type_in_both_parts(tmp_path: Path, whole: str) -> None:
    arrays = {**FOUR, "y_train": Y / 2, "y_test": Y / 2, whole: Y}
    samples = load(npz(tmp_path / "four.npz", **arrays))
    assert samples.y_train.dtype == samples.y_test.dtype == np.float64
    np.testing.assert_array_equal(getattr(samples, whole), Y)


@pytest.mark.parametrize("dtype", [">f8", ">f4", ">i2", ">u4"])
def test_big_endian_samples_are_turned(tmp_path: Path, dtype: str) -> None:
    samples = load(npz(tmp_path / "big.npz", x=X.astype(dtype), y=Y))
    assert samples.x_train.dtype.isnative
    np.testing.assert_array_equal(samples.x_train, X[hold_out(10, Y)[0]])


@pytest.mark.parametrize("place", ["x", "y"])
def test_objects_in_an_npz_are_refused_and_never_run(tmp_path: Path, place: str) -> None:
    trace = tmp_path / "it-ran"
    bomb = np.asarray([Bomb(trace)] * 10, dtype=object)
    path = npz(tmp_path / "bomb.npz", **{"x": X, "y": Y, place: bomb})
    with pytest.raises(DataError, match=rf"bomb\.npz: {place}: holds Python objects"):
        load(path)
    assert not trace.exists()


@pytest.mark.parametrize("end", [".npy", ".npz", ".gz"])
def test_a_pickle_is_no_array_and_never_run(tmp_path: Path, end: str) -> None:
    trace, path = tmp_path / "it-ran", tmp_path / f"samples{end}"
    path.write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(DataError, match="samples"):
        load_samples(str(path))
    assert not trace.exists()


def saved(method: int) -> bytes:
    """A small .npz, packed by a method of zip."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, array in {"x": X, "y": Y}.items():
            with archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, array)
    return stream.getvalue()


METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


@pytest.mark.parametrize("method", METHODS)
def test_every_damage_of_an_npz_is_a_data_error(tmp_path: Path, method: int) -> None:
    good, path = saved(method), tmp_path / "damaged.npz"
    cut_short = [good[:i] for i in range(0, len(good), 20)]
    with_a_gap = [good[:i] + good[i + 1 :] for i in range(0, len(good), 7)]
    with_a_flip = [
        good[:i] + bytes([good[i] ^ 0xFF]) + good[i + 1 :] for i in range(0, len(good), 4)
    ]
    messages = []
    for content in cut_short + with_a_gap + with_a_flip:
        path.write_bytes(content)
        try:
            load(str(path))
        except DataError as error:
            messages.append(str(error))
    # Some bytes, such as dates, say nothing of the data; no shortened file is whole.
    assert len(messages) >= len(cut_short) + len(with_a_gap)
    assert all("damaged" in message for message in messages)


@pytest.mark.parametrize("old", [b"(", b")", b"{", b"}", b"'", b","])
def test_a_damaged_header_of_an_npy_is_a_data_error(tmp_path: Path, old: bytes) -> None:
    path = tmp_path / "damaged.npy"
    np.save(path, X)
    path.write_bytes(path.read_bytes().replace(old, b" ", 1))
    with pytest.raises(DataError, match=r"damaged\.npy"):
        load_samples(str(path))


# Tables


def test_names_of_files_may_be_in_capitals(tmp_path: Path) -> None:
    path = Path(csv_file(tmp_path, "a,label\n1,2\n3,4\n")).rename(tmp_path / "TABLE.CSV")
    assert load(str(path)).columns == ("a",)
    assert load_samples(str(path))[0].tolist() == [[1, 2], [3, 4]]


def test_a_set_that_nobody_trained_on_is_tested_as_a_whole(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "a,label\n1,0\n3,1\n5,1\n")
    samples = load(path, whole=True)
    assert samples.x_test.tolist() == [[1], [3], [5]]
    assert samples.y_test.tolist() == [0, 1, 1]
    assert load(csv_file(tmp_path, "a,label\n1,0\n"), whole=True).y_test.tolist() == [0]


# Names


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("mnits", "mnits: no such file or folder; did you mean 'mnist'?"),
        ("nowhere", "nowhere: no such file or folder; --data takes mnist, .* or a file"),
        ("gone.npz", r"gone.npz: no such file"),
        ("./mnits", "./mnits: no such file or folder; --data takes mnist, .* or a file"),
        ("/fashion-mnist", "/fashion-mnist: no such file or folder; --data takes mnist, "),
    ],
)
def test_what_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message.replace("?", r"\?")):
        load(source)


@pytest.mark.parametrize("source", [np.eye(3), [[1, 2]], {"a": 1}, None, 3, b"mnist"])
def test_what_is_no_name_is_refused(source) -> None:
    with pytest.raises(UsageError, match=r"source must be a frame, or the name .*fit\(model, x, y"):
        load(source)


def test_a_file_may_be_named_by_a_path(tmp_path: Path) -> None:
    path = Path(csv_file(tmp_path, "a,0\n1,0\n2,1\n"))
    assert load(path, 0).target == ("0",)
    with pytest.raises(UsageError, match="target must name the column to predict"):
        load(path, None)
    with pytest.raises(DataError, match=r"mnits: no such file or folder; did you mean 'mnist'\?"):
        load(Path("mnits"))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.odd"
    path.write_text("1,2\n")
    with pytest.raises(DataError, match=r"table\.odd: expected a folder of IDX files, or a file"):
        load(str(path))


# The rule that holds a test set out


@pytest.mark.parametrize("n", [10, 11, 101])
def test_hold_out_takes_a_fifth_rounded_up(n: int) -> None:
    train, test = hold_out(n)
    assert len(test) == -(-n // 5)
    assert sorted([*train, *test]) == list(range(n))
    assert train.tolist() == sorted(train)


def test_hold_out_stays_what_it_is() -> None:
    """Other rows would make the test scores of saved models wrong."""
    assert hold_out(20)[1].tolist() == [5, 6, 7, 9]


@pytest.mark.parametrize("n", [2, 4, 9])
def test_of_fewer_than_10_rows_all_are_for_training_and_for_the_test(tmp_path: Path, n) -> None:
    assert [rows.tolist() for rows in hold_out(n)] == [[*range(n)]] * 2
    samples = load(npz(tmp_path / "few.npz", x=X[:n], y=Y[:n]))
    assert samples.split == "none"
    np.testing.assert_array_equal(samples.x_train, X[:n])
    np.testing.assert_array_equal(samples.y_test, Y[:n])


def test_hold_out_takes_a_fifth_of_each_class() -> None:
    classes = np.repeat([0, 1, 2, 3, 4], [50, 40, 5, 2, 1])
    train, test = hold_out(98, classes)
    assert np.bincount(classes[test]).tolist() == [10, 8, 1]
    assert sorted([*train, *test]) == [*range(98)]


@pytest.mark.parametrize(
    "y",
    [
        np.arange(100) % 25 == 0,
        np.where(np.arange(100) % 25 == 0, "yes", "no"),
        np.eye(2, dtype=int)[(np.arange(100) % 25 == 0).astype(int)],
        (np.arange(100) % 25 == 0) * 1.0,
    ],
    ids=["bools", "names", "one-hot", "whole-floats"],
)
def test_the_test_set_has_a_fifth_of_each_class(tmp_path: Path, y) -> None:
    samples = load(npz(tmp_path / "rare.npz", x=np.ones((100, 1)), y=y))
    assert samples.task == "classification"
    assert samples.split == "held out"
    assert np.unique(samples.y_test, axis=0, return_counts=True)[1].tolist() in ([19, 1], [1, 19])


def test_the_task_decides_what_is_held_out(tmp_path: Path) -> None:
    """Told or inferred, a task gives the same rows: so a model is tested on what it never saw."""
    path = npz(tmp_path / "set.npz", x=np.arange(30.0)[:, None], y=np.arange(30) % 3)
    inferred = load(path)
    told = load(path, task="classification")
    numbers = load(path, task="regression")
    assert (
        inferred.x_test.tolist()
        == told.x_test.tolist()
        == [[float(row)] for row in hold_out(30, np.arange(30) % 3)[1]]
    )
    assert numbers.x_test.tolist() == [[float(row)] for row in hold_out(30)[1]]


@pytest.mark.parametrize(
    ("y", "rare"),
    [
        (["a"] * 12 + ["b"] * 2 + ["c"], ["b", "c"]),
        ([7] * 12 + [5] + [9], [5, 9]),
    ],
)
def test_a_class_of_one_or_two_rows_stays_in_training(tmp_path: Path, y, rare) -> None:
    samples = load(npz(tmp_path / "rare.npz", x=np.ones((len(y), 1)), y=y))
    assert {*rare} <= {*samples.y_train.tolist()}
    assert not {*rare} & {*samples.y_test.tolist()}


def test_where_no_class_can_be_divided_all_rows_are_tested(tmp_path: Path) -> None:
    path = npz(tmp_path / "ids.npz", x=np.ones((20, 1)), y=np.arange(20) // 2)
    samples = load(path, task="classification")
    assert (len(samples.y_train), len(samples.y_test), samples.split) == (20, 20, "none")


def test_targets_of_both_parts_get_the_type_that_the_task_takes(tmp_path: Path) -> None:
    parts = {**FOUR, "y_train": np.arange(10) / 2, "y_test": np.arange(10) % 5}
    samples = load(npz(tmp_path / "four.npz", **parts), task="classification")
    assert samples.y_train[:3].tolist() == ["0", "0.5", "1"]
    assert samples.y_test[:3].tolist() == ["0", "1", "2"]
    texts = {name: array.astype(str) for name, array in FOUR.items() if name[0] == "y"}
    texts["y_test"] = (Y + 5).astype(str)
    samples = load(npz(tmp_path / "four.npz", **FOUR | texts), task="regression")
    assert (samples.y_train.tolist(), samples.y_test.tolist()) == (Y.tolist(), (Y + 5).tolist())


def test_the_task_is_inferred_from_both_parts(tmp_path: Path) -> None:
    both = np.eye(2)[Y], np.ones((10, 2))
    for y_train, y_test in (both, both[::-1]):
        samples = load(npz(tmp_path / "four.npz", **FOUR | {"y_train": y_train, "y_test": y_test}))
        assert (samples.task, samples.split) == ("multilabel", "given")


# Samples without labels


@pytest.mark.parametrize("end", [".npy", ".npz", "", ".gz"])
def test_samples_are_read_from_every_format(tmp_path: Path, end: str) -> None:
    path = tmp_path / f"images{end}"
    content = io.BytesIO()
    if end == ".npy":
        np.save(content, IMAGES)
    elif end == ".npz":
        np.savez(content, anything=IMAGES)
    else:
        content.write(gzip.compress(RAW) if end else RAW)
    path.write_bytes(content.getvalue())
    np.testing.assert_array_equal(load_samples(str(path))[0], IMAGES)


@pytest.mark.parametrize("name", ["x", "x_test"])
def test_samples_are_the_array_x_of_several(tmp_path: Path, name: str) -> None:
    path = npz(tmp_path / "set.npz", **{name: X, "y": Y})
    np.testing.assert_array_equal(load_samples(path)[0], X)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": X, "b": X}, "holds a, b; expected one array, named x"),
        ({"x": X, "x_test": X}, "holds x, x_test; expected one array"),
        ({"x": X, "X": X}, "holds x and X; expected one of them, as x"),
        ({}, "holds no array"),
        ({"x": X[0]}, "expected a sample per row"),
        ({"x": with_(X, (1, 2), -np.inf)}, r"element \(1, 2\) is -inf"),
    ],
)
def test_samples_that_are_none_are_refused(tmp_path: Path, arrays, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_samples(npz(tmp_path / "set.npz", **arrays))
    assert "set.npz" in str(caught.value)


def test_samples_that_are_labels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ones"
    path.write_bytes(idx(LABELS))
    with pytest.raises(DataError, match=r"ones has shape \(2,\); expected a sample per row"):
        load_samples(str(path))


def test_samples_from_nowhere_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.npy: no such file"):
        load_samples(str(tmp_path / "gone.npy"))


# Formats


def npy(text: str) -> bytes:
    """An .npy file of float64 numbers, a row a line, from the description of the format."""
    rows = [[float(number) for number in line.split()] for line in text.splitlines()]
    shape = f"({len(rows)}, {len(rows[0])})" if len(rows[0]) > 1 else f"({len(rows)},)"
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    head += " " * (-(10 + len(head) + 1) % 64) + "\n"
    numbers = [number for row in rows for number in row]
    return (
        b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode()
        + struct.pack(f"<{len(numbers)}d", *numbers)
    )  # fmt: skip


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


SAMPLES, TARGETS = [[1.0, 2.0], [3.0, 4.5], [5.0, -6.0]], [0, 1, 1]
# Of each format: a file with these samples and targets, or with these samples alone.
EXACT = {
    "npz": (
        zipped(x=npy("1 2\n3 4.5\n5 -6"), y=npy("0\n1\n1")),
        zipped(x=npy("1 2\n3 4.5\n5 -6")),
    ),
    "csv": (b"a,label,b\n1,0,2\n3,1,4.5\n5,1,-6\n", b"a,b\n1,2\n3,4.5\n5,-6\n"),
    "tsv": (b"a\tlabel\tb\n1\t0\t2\n3\t1\t4.5\n5\t1\t-6\n", b"a\tb\n1\t2\n3\t4.5\n5\t-6\n"),
    "npy": (None, npy("1 2\n3 4.5\n5 -6")),
    "idx": (
        None,
        b"\0\0\x0e\x02" + struct.pack(">II6d", 3, 2, 1, 2, 3, 4.5, 5, -6),
    ),
}


def test_every_format_has_exact_values() -> None:
    assert unpaired(EXACT, {*FORMATS, *FORMATS_WITHOUT_TARGETS}) == ""


@pytest.mark.parametrize("name", [*FORMATS, *FORMATS_WITHOUT_TARGETS])
def test_samples_of_a_format_are_exact(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"three.{name}"
    path.write_bytes(EXACT[name][1])
    assert load_samples(str(path))[0].tolist() == SAMPLES


@pytest.mark.parametrize("name", FORMATS)
def test_samples_and_targets_of_a_format_are_exact(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"three.{name}"
    path.write_bytes(EXACT[name][0])
    samples = load(str(path), whole=True)
    assert samples.x_test.tolist() == SAMPLES
    assert samples.y_test.tolist() == TARGETS
