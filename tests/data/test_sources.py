"""Reading data: what is taken, and what is refused in words."""

import gzip
import hashlib
import io
import pickle
import zipfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from helpers import IDX_CODES, idx, idx_folder

from xpnet.data.idx import parse_idx
from xpnet.data.sources import Samples, hold_out, load, load_samples
from xpnet.errors import DataError

MNIST = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
LABELS = np.asarray([1, 0], dtype=np.uint8)
X_TEN = np.arange(90, dtype=np.uint8).reshape(10, 3, 3)
Y_TEN = (np.arange(10) % 2).astype(np.uint8)
X = np.arange(40, dtype=np.float32).reshape(10, 4)
Y = np.arange(10) % 2


def npz(path: Path, **arrays: object) -> str:
    np.savez(path, **arrays)
    return str(path)


class Bomb:
    """Unpickled, it leaves a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


# IDX


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gz"])
@pytest.mark.parametrize("dtype", IDX_CODES)
def test_idx_of_every_type_is_read_in_native_order(dtype: str, pack) -> None:
    array = (np.arange(24).reshape(2, 3, 4) * 5).astype(dtype)
    read = parse_idx(pack(idx(array)), "file")
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, array)


RAW = idx(IMAGES)
BAD_IDX = {
    "empty": (b"", "images", "not an IDX file"),
    "three-bytes": (RAW[:3], "images", "not an IDX file"),
    "not-zero": (b"\1" + RAW[1:], "images", "not an IDX file"),
    "unknown-type": (b"\0\0\x0a" + RAW[3:], "images", "not an IDX file"),
    "no-axes": (b"\0\0\x08\0" + RAW[4:], "images", "not an IDX file"),
    "labels-for-images": (idx(LABELS), "images", "holds labels where images are expected"),
    "images-for-labels": (RAW, "labels", "holds images where labels are expected"),
    "cut-in-the-sizes": (RAW[:13], "images", "truncated"),
    "cut-in-the-elements": (RAW[:-1], "images", "truncated or damaged: 24 bytes expected, 23"),
    "too-long": (RAW + b"\0", "images", "24 bytes expected, more there"),
    "cut-gzip": (gzip.compress(RAW)[:-12], "images", "gzip data is damaged or truncated"),
    "no-gzip-trailer": (gzip.compress(RAW)[:-8], "images", "gzip data is damaged or truncated"),
    "damaged-gzip": (gzip.compress(RAW)[:10] + b"\xff" * 20, "images", "gzip data is damaged"),
    "gzip-of-text": (gzip.compress(b"hello world"), "images", "not an IDX file"),
    "none-of-a-huge-shape": (
        RAW[:4] + bytes(4) + b"\xff" * 8,
        "images",
        "impossible size|truncated",
    ),
    "huge": (RAW[:4] + b"\xff" * 12, "images", "impossible size|bytes expected"),
}


@pytest.mark.parametrize("case", BAD_IDX)
def test_a_bad_idx_file_is_named_with_what_is_wrong(case: str) -> None:
    content, kind, message = BAD_IDX[case]
    with pytest.raises(DataError, match=message) as caught:
        parse_idx(content, "some-file", kind)
    assert "some-file" in str(caught.value)


def test_a_checksum_that_does_not_fit_is_found() -> None:
    packed = bytearray(gzip.compress(RAW))
    packed[-5] ^= 1
    with pytest.raises(DataError, match="gzip data is damaged"):
        parse_idx(bytes(packed), "file")


# A folder of IDX files


def test_idx_folder_with_a_test_set(tmp_path: Path) -> None:
    folder = idx_folder(
        tmp_path / "set", x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:1] + 9, y_test=LABELS[:1]
    )
    samples = load(str(folder))
    assert samples.name == "set"
    for name, array in {
        "x_train": IMAGES,
        "y_train": LABELS,
        "x_test": IMAGES[:1] + 9,
        "y_test": LABELS[:1],
    }.items():
        np.testing.assert_array_equal(getattr(samples, name), array)
    assert samples.files == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()
    }


def test_idx_folder_without_a_test_set_holds_some_out(tmp_path: Path) -> None:
    samples = load(str(idx_folder(tmp_path / "set", x_train=X_TEN, y_train=Y_TEN)))
    train, test = hold_out(10)
    np.testing.assert_array_equal(samples.x_train, X_TEN[train])
    np.testing.assert_array_equal(samples.y_test, Y_TEN[test])


@pytest.mark.parametrize(
    ("present", "message"),
    [
        ({"x_train": IMAGES}, "no train labels; expected a file train-labels-idx1-ubyte"),
        ({"y_train": LABELS}, "no train images; expected a file train-images-idx3-ubyte"),
        ({}, "no train images"),
        ({"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES}, "no test labels"),
        ({"x_train": IMAGES, "y_train": LABELS, "y_test": LABELS}, "no test images"),
    ],
)
def test_a_file_that_the_folder_lacks_is_named(tmp_path: Path, present, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(str(idx_folder(tmp_path / "set", **present)))


def test_an_unpacked_file_comes_before_its_gzip(tmp_path: Path) -> None:
    folder = idx_folder(tmp_path / "set", x_train=X_TEN, y_train=Y_TEN)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(b"damaged")
    assert len(load(str(folder)).x_train) == 8


def test_a_gzip_alone_is_read(tmp_path: Path) -> None:
    folder = idx_folder(tmp_path / "set", x_train=X_TEN, y_train=Y_TEN)
    plain = folder / "train-images-idx3-ubyte"
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert load(str(folder)).x_train.shape == (8, 3, 3)


def test_labels_under_the_name_of_images_are_refused(tmp_path: Path) -> None:
    folder = idx_folder(tmp_path / "set", x_train=LABELS, y_train=LABELS)
    with pytest.raises(DataError, match="train-images-idx3-ubyte: holds labels where images"):
        load(str(folder))


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
    train, test = hold_out(10)
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
    "other-names": ({"images": X, "labels": Y}, "holds images, labels; expected x_train"),
    "half-a-test-set": ({"x_train": X, "y_train": Y, "x_test": X}, "expected x_train, y_train"),
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
        (Y.astype(">i8"), "i"),
        (np.asarray(["no", "yes"])[Y], "U"),
        (np.asarray([b"no", b"yes"])[Y], "U"),
    ],
    ids=["whole-floats", "half-floats", "bool", "big-endian", "names", "byte-names"],
)
def test_labels_become_integers_or_names(tmp_path: Path, y: np.ndarray, expected: str) -> None:
    samples = load(npz(tmp_path / "good.npz", x=X, y=y))
    assert samples.y_train.dtype.kind == expected
    assert samples.y_train.dtype.isnative
    train, _ = hold_out(10)
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
    np.testing.assert_array_equal(samples.y_train, y[hold_out(10)[0]])


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
    np.testing.assert_array_equal(samples.x_train, X[hold_out(10)[0]])


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


# CSV


def csv_file(folder: Path, content: str | bytes) -> str:
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def rows_of(samples: Samples, part: str) -> np.ndarray:
    """The rows of both parts of y or x in the order of the file."""
    train, test = hold_out(len(samples.x_train) + len(samples.x_test))
    both = np.concatenate([getattr(samples, f"{part}_train"), getattr(samples, f"{part}_test")])
    return both[np.argsort([*train, *test])]


TABLE = "age,label,height\n31,0,1.5\n27,1,-2e3\n45,1,0.1\n"
VARIANTS = {
    "plain": TABLE,
    "crlf": TABLE.replace("\n", "\r\n"),
    "cr": TABLE.replace("\n", "\r"),
    "bom": "\ufeff" + TABLE,
    "no-final-newline": TABLE.removesuffix("\n"),
    "quoted": TABLE.replace("age", '"age"').replace("31", '"31"').replace(",1,", ',"1",'),
    "spaces": TABLE.replace(",", " , "),
    "blank-lines": "\n" + TABLE.replace("\n", "\n\n"),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_table_is_read(tmp_path: Path, variant: str) -> None:
    path = csv_file(tmp_path, VARIANTS[variant])
    samples = load(path)
    assert samples.name == "table"
    assert samples.columns == ("age", "height")
    assert samples.labels == ()
    assert samples.files == {"table.csv": hashlib.sha256(Path(path).read_bytes()).hexdigest()}
    x, y = rows_of(samples, "x"), rows_of(samples, "y")
    assert (x.dtype, y.dtype) == (np.float64, np.int64)
    assert x.tolist() == [[31, 1.5], [27, -2000], [45, 0.1]]
    assert y.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("values", "y", "dtype"),
    [
        (["1", "-2", "1.0"], [1, -2, 1], "i8"),
        (["0.5", "1", "2"], [0.5, 1, 2], "f8"),
        (['"x, y"', '"the ""z"""', " x#1"], ["x, y", 'the "z"', "x#1"], "U7"),
        (["7", "8", "A"], ["7", "8", "A"], "U1"),
        (["1_2", "1_3"], ["1_2", "1_3"], "U3"),
    ],
    ids=["classes", "numbers", "names", "names-with-digits", "names-like-numbers"],
)
def test_a_target_is_classes_numbers_or_names(tmp_path: Path, values, y, dtype: str) -> None:
    rows = "".join(f"{i},{value}\n" for i, value in enumerate(values * 3))
    both = rows_of(load(csv_file(tmp_path, f"a,the class\n{rows}"), target="the class"), "y")
    assert both.dtype == np.dtype(dtype)
    assert both.tolist() == y * 3


@pytest.mark.parametrize(
    ("target", "y", "dtype"),
    [("a,b", [[1, 0.5], [-2, 1]], "f8"), ("c, a", [[3, 1], [4, -2]], "i8")],
)
def test_several_targets_are_columns_of_y_in_their_order(tmp_path, target, y, dtype: str) -> None:
    samples = load(csv_file(tmp_path, "a,b,x,c\n1,0.5,7,3\n-2,1,8,4\n"), target=target)
    both = rows_of(samples, "y")
    assert both.dtype == np.dtype(dtype)
    assert both.tolist() == y
    assert rows_of(samples, "x")[:, samples.columns.index("x")].tolist() == [7, 8]


@pytest.mark.parametrize(
    ("count", "last", "shape", "dtype"),
    [
        (4, "255", (2, 2), "u1"),
        (3, "255", (3,), "u1"),
        (4, "256", (4,), "f8"),
        (4, "-1", (4,), "f8"),
        (4, "0.5", (4,), "f8"),
    ],
)
def test_pixels_are_bytes_and_images(tmp_path: Path, count, last: str, shape, dtype: str) -> None:
    names = ",".join(f"pixel{i}" for i in range(count))
    row = ",".join([*map(str, range(count - 1)), last])
    samples = load(csv_file(tmp_path, f"label,{names}\n" + f"3,{row}\n" * 5))
    assert samples.x_train.dtype == np.dtype(dtype)
    assert samples.x_train.shape == (4, *shape)
    expected = [*range(count - 1), float(last)]
    assert samples.x_train[0].ravel().tolist() == expected


def test_other_bytes_than_pixels_stay_columns(tmp_path: Path) -> None:
    samples = load(csv_file(tmp_path, "label,pixel0,pixels,2020,b\n" + "1,2,3,4,5\n" * 5))
    assert samples.x_train.dtype == np.float64
    assert samples.x_train.shape == (4, 4)
    samples = load(csv_file(tmp_path, "label,pixels\n" + "1,2\n" * 5))
    assert samples.x_train.dtype == np.float64


BAD_CSV = {
    "empty": ("", "is empty; expected a line with the names of the columns"),
    "blank": ("\n\n", "is empty"),
    "no-header": ("1,2\n3,4\n", "line 1 holds numbers alone; expected the names"),
    "no-rows": ("label,a\n", "has no row after"),
    "blank-rows": ("label,a\n\n \n", "has no row after"),
    "latin": ("label,a\n1,2\n1,\xe9\n".encode("latin-1"), "line 3 is not UTF-8; save"),
    "same-names": ("label,a,a\n1,2,3\n", "two columns are named 'a'"),
    "no-name": (",label,a\n0,1,2\n", "column 1 has no name"),
    "target-alone": ("label\n1\n2\n", "has no column but those to predict"),
    "missing": ("label,a,b\n1,2,3\n1,,3\n", "line 3: column 'a' has no value"),
    "missing-target": ("label,a\n1,2\n ,3\n", "line 3: column 'label' has no value"),
    "text": ("label,a,b\n1,2,3\n\n1,2,x\n", "line 4: column 'b' is 'x'; expected a number"),
    "crlf-text": ("label,a\r\n1,2\r\n1,x\r\n", "line 3: column 'a' is 'x'"),
    "line-break": ('label,a\n"b\nc",2\nd,3\n', "line 3: column 'label' has a line break"),
    "nan": ("label,a\n1,nan\n", "line 2: column 'a' is nan; expected a finite number"),
    "inf": ("label,a\n1,3\n1,-inf\n", "line 3: column 'a' is -inf; expected a finite number"),
    "nan-target": ("label,a\n1,3\nNaN,1\n", "line 3: column 'label' is NaN; expected a finite"),
    "short": ("label,a,b\n1,2,3\n1,2\n", "line 3 has 2 values; expected 3, one for each column"),
    "long": ("label,a\n1,2\n1,2,3\n", "line 3 has 3 values; expected 2"),
    "all-long": ("label,a\n1,2,3\n1,2,3\n", "line 2 has 3 values; expected 2"),
    "all-short": ("a,label\n1\n2\n", "line 2 has 1 values; expected 2"),
    "open-quote": ('a,label\n1,2\n1,"2\n3,4\n', "line 4: unexpected end of data"),
    "open-quote-in-the-header": ('label,"a\n1,2\n', "unexpected end of data"),
    "underscore": ("label,a\n1,1_0\n", "line 2: column 'a' is '1_0'; expected a number"),
    "one-row": ("label,a\n1,2\n", "holds 1 sample"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_a_bad_table_is_named_with_what_is_wrong(tmp_path: Path, case: str) -> None:
    content, message = BAD_CSV[case]
    with pytest.raises(DataError, match=message) as caught:
        load(csv_file(tmp_path, content))
    assert str(caught.value).startswith("table")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("lable", r"has no column 'lable' to predict, did you mean 'label'\? it has a, label$"),
        ("label,b", "has no column 'b' to predict"),
        ("", "has no column '' to predict"),
        ("label,a", "has no column but those to predict"),
    ],
)
def test_a_target_that_is_no_column_is_named(tmp_path: Path, target: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(csv_file(tmp_path, "a,label\n1,2\n3,4\n"), target=target)


def test_of_many_columns_the_nearest_are_named(tmp_path: Path) -> None:
    names = ",".join(["digit", *(f"pixel{i}" for i in range(20))])
    with pytest.raises(
        DataError,
        match=r"'digits' to predict, did you mean 'digit'\? it has digit, pixel0, .* and 13 more$",
    ):
        load(csv_file(tmp_path, f"{names}\n" + "1," * 20 + "1\n"), target="digits")


def test_capitals_are_a_near_miss(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="did you mean 'Species'"):
        load(csv_file(tmp_path, "a,Species\n1,2\n3,4\n"), target="species")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a;b;label\n1;2;3\n", "its columns are separated by semicolons; expected commas"),
        ("a\tb\tlabel\n1\t2\t3\n", "its columns are separated by tabs; expected commas"),
        ("PK\x03\x04", r"is a packed file \(a workbook\?\), and no text"),
    ],
)
def test_what_is_no_comma_separated_text_is_named(
    tmp_path: Path, content: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load(csv_file(tmp_path, content))


def test_columns_that_are_not_taken_are_not_blamed(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "note,a,label\nold,1,1\nnew,2,nan\n")
    with pytest.raises(DataError, match="line 3: column 'label' is nan"):
        load(path, columns=("a",))


def test_names_of_files_may_be_in_capitals(tmp_path: Path) -> None:
    path = Path(csv_file(tmp_path, "a,label\n1,2\n3,4\n")).rename(tmp_path / "TABLE.CSV")
    assert load(str(path)).columns == ("a",)
    assert load_samples(str(path)).tolist() == [[1, 2], [3, 4]]


def test_a_set_that_nobody_trained_on_is_tested_as_a_whole(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "a,label\n1,0\n3,1\n5,1\n")
    samples = load(path, whole=True)
    assert samples.x_test.tolist() == [[1], [3], [5]]
    assert samples.y_test.tolist() == [0, 1, 1]
    assert load(csv_file(tmp_path, "a,label\n1,0\n"), whole=True).y_test.tolist() == [0]


def test_text_in_one_of_several_targets_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 3: column 'b' is 'x'; expected a number"):
        load(csv_file(tmp_path, "a,b,c\n1,2,3\n1,x,3\n"), target="a,b")


def test_samples_of_a_table_are_the_columns_that_are_named(tmp_path: Path) -> None:
    """In their order, whatever others hold; all where none is named."""
    path = csv_file(tmp_path, "a,label,b\n1,,2\n3,cat,4\n")
    assert load_samples(path, columns=("b", "a")).tolist() == [[2, 1], [4, 3]]
    with pytest.raises(DataError, match=r"table\.csv: line 2: column 'label' has no value"):
        load_samples(path)
    with pytest.raises(DataError, match="has no column 'c' that the model takes; it has"):
        load_samples(path, columns=("a", "c"))


def test_a_table_may_give_its_features_in_another_order(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "b,note,label,a\n1,x,0,2\n3,,1,4\n5,y,0,6\n")
    samples = load(path, columns=("a", "b"))
    assert samples.columns == ("a", "b")
    rows = np.concat([samples.x_train, samples.x_test]).tolist()
    assert sorted(rows) == [[2, 1], [4, 3], [6, 5]]


def test_a_fault_beside_an_unused_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 3: column 'b' is 'x'"):
        load_samples(csv_file(tmp_path, "label,b\n,1\n,x\n"), columns=("b",))


def test_samples_of_pixels_are_images(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "pixel0,pixel1,pixel2,pixel3\n0,1,2,3\n")
    samples = load_samples(path)
    assert samples.dtype == np.uint8
    assert samples.tolist() == [[[0, 1], [2, 3]]]


# Names


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("mnits", "mnits: no such file or folder; did you mean 'mnist'?"),
        ("nowhere", "nowhere: no such file or folder; --data takes mnist, .* or a .csv"),
        ("gone.npz", r"gone.npz: no such file"),
    ],
)
def test_what_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message.replace("?", r"\?")):
        load(source)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.xls"
    path.write_text("1,2\n")
    with pytest.raises(DataError, match=r"table\.xls: expected a folder of IDX files, an \.npz or"):
        load(str(path))


# The rule that holds a test set out


@pytest.mark.parametrize("n", [2, 5, 6, 10, 101])
def test_hold_out_takes_a_fifth_rounded_up(n: int) -> None:
    train, test = hold_out(n)
    assert len(test) == -(-n // 5)
    assert sorted([*train, *test]) == list(range(n))
    assert train.tolist() == sorted(train)


def test_hold_out_stays_what_it_is() -> None:
    """Other rows would make the test scores of saved models wrong."""
    assert hold_out(20)[1].tolist() == [5, 6, 7, 9]


def test_a_label_that_only_the_held_out_rows_have_is_refused_on_reading(tmp_path: Path) -> None:
    y = with_(np.arange(20) % 2 + 1, hold_out(20)[1][0], 0).astype(str)
    with pytest.raises(DataError, match="label '0'"):
        load(npz(tmp_path / "rare.npz", x=np.ones((20, 2)), y=y))


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
    np.testing.assert_array_equal(load_samples(str(path)), IMAGES)


@pytest.mark.parametrize("name", ["x", "x_test"])
def test_samples_are_the_array_x_of_several(tmp_path: Path, name: str) -> None:
    path = npz(tmp_path / "set.npz", **{name: X, "y": Y})
    np.testing.assert_array_equal(load_samples(path), X)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": X, "b": X}, "holds a, b; expected one array, named x"),
        ({"x": X, "x_test": X}, "holds x, x_test; expected one array"),
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
