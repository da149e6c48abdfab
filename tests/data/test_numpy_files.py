"""NumPy's files: how arrays are called, and which of them are read."""

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers import Bomb

from xpnet.data.sources import hold_out, load, load_samples
from xpnet.errors import DataError

X = np.arange(40, dtype=np.float32).reshape(10, 4)
Y = np.arange(10) % 2
X_TEST, Y_TEST = X[:3] + 100, Y[:3]
FOUR = dict(zip(("x_train", "y_train", "x_test", "y_test"), (X, Y, X_TEST, Y_TEST), strict=True))
UNREADABLE = b"no array at all"


def npz(path: Path, **arrays: np.ndarray | bytes) -> str:
    """An archive of these arrays, where bytes stand for the content of an entry."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            stream = io.BytesIO()
            if not isinstance(array, bytes):
                np.save(stream, array)
            archive.writestr(
                f"{name}.npy", array if isinstance(array, bytes) else stream.getvalue()
            )
    return str(path)


@pytest.mark.parametrize(
    "names",
    [
        "x_train y_train x_test y_test",
        "X_train y_train X_test y_test",
        "X_TRAIN Y_TRAIN X_TEST Y_TEST",
        "train_images train_labels test_images test_labels",
        "train_images y_train x_test test_labels",
    ],
)
def test_the_four_arrays_have_several_names(tmp_path: Path, names: str) -> None:
    arrays = dict(zip(names.split(), FOUR.values(), strict=True))
    samples = load(npz(tmp_path / "four.npz", **arrays))
    for name, array in FOUR.items():
        np.testing.assert_array_equal(getattr(samples, name), array)
    assert (samples.split, samples.notes) == ("given", ())


@pytest.mark.parametrize(
    "names",
    [
        *("x y", "X y", "X Y", "x Y", "X_train y_train", "train_images train_labels"),
        *("data target", "images labels", "Data Targets", "X labels", "images y"),
    ],
)
def test_x_and_y_have_several_names(tmp_path: Path, names: str) -> None:
    samples = load(npz(tmp_path / "two.npz", **dict(zip(names.split(), (X, Y), strict=True))))
    train, test = hold_out(10, Y)
    np.testing.assert_array_equal(samples.x_train, X[train])
    np.testing.assert_array_equal(samples.y_test, Y[test])
    assert (samples.split, samples.notes) == ("held out", ())


@pytest.mark.parametrize(
    ("more", "left_out"),
    [
        ({"notes": UNREADABLE}, "notes"),
        ({"ids": np.arange(10), "x_val": X, "y_val": UNREADABLE}, "ids, x_val, y_val"),
        ({"x": UNREADABLE, "y": Y}, "x, y"),
        ({"train_images": UNREADABLE}, "train_images"),
        ({"label_names": np.asarray([None, {}], dtype=object)}, "label_names"),
    ],
)
def test_other_arrays_are_not_read(tmp_path: Path, more, left_out: str) -> None:
    path = npz(tmp_path / "more.npz", **more, **FOUR)
    samples = load(path)
    np.testing.assert_array_equal(samples.x_test, X_TEST)
    assert samples.notes == (f"arrays left out: {left_out}",)


def test_other_arrays_beside_x_and_y_are_not_read(tmp_path: Path) -> None:
    """An object in one of them would be run if it was unpickled."""
    bomb = np.asarray([Bomb(tmp_path / "it-ran")], dtype=object)
    more = {"bomb": bomb, "x_test": UNREADABLE, "feature_names": np.asarray(["a", "b"])}
    samples = load(npz(tmp_path / "more.npz", x=X, y=Y, **more))
    np.testing.assert_array_equal(samples.y_train, Y[hold_out(10, Y)[0]])
    assert samples.notes == ("arrays left out: bomb, x_test, feature_names",)
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(
    ("more", "left_out"),
    [
        ({"data": X, "target": Y, "images": X.reshape(10, 2, 2)}, "images"),
        ({"x": X, "y": Y, "data": UNREADABLE, "labels": UNREADABLE}, "data, labels"),
        ({"x_train": X, "y_train": Y, "labels": np.asarray(["a", "b"])}, "labels"),
        ({**FOUR, "data": UNREADABLE, "target": UNREADABLE}, "data, target"),
    ],
)
def test_other_names_are_taken_only_without_those_of_xpnet(
    tmp_path: Path, more: dict[str, np.ndarray], left_out: str
) -> None:
    samples = load(npz(tmp_path / "more.npz", **more))
    expected = X if "x_test" in more else X[hold_out(10, Y)[0]]
    np.testing.assert_array_equal(samples.x_train, expected)
    assert samples.notes == (f"arrays left out: {left_out}",)


def test_two_arrays_without_names_are_x_and_y(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", X, Y)
    samples = load(str(tmp_path / "two.npz"))
    train, test = hold_out(10, Y)
    np.testing.assert_array_equal(samples.x_train, X[train])
    np.testing.assert_array_equal(samples.y_test, Y[test])
    assert samples.notes == ("arr_0 is taken as x and arr_1 as y, as they have no names",)
    x, notes = load_samples(str(tmp_path / "two.npz"))
    np.testing.assert_array_equal(x, X)
    assert notes == ("arrays left out: arr_1",)
    np.savez(tmp_path / "other.npz", X, X_TEST)
    with pytest.raises(DataError, match=r"other\.npz: holds arr_0, arr_1; expected x_train"):
        load(str(tmp_path / "other.npz"))
    np.savez(tmp_path / "three.npz", X, Y, Y)
    with pytest.raises(DataError, match=r"three\.npz: holds arr_0, arr_1, arr_2; expected x_train"):
        load(str(tmp_path / "three.npz"))


def test_gzipped_files_are_unpacked(tmp_path: Path) -> None:
    plain = Path(npz(tmp_path / "set.npz", x=X, y=Y))
    path = tmp_path / "packed.npz.GZ"
    path.write_bytes(gzip.compress(plain.read_bytes()))
    np.testing.assert_array_equal(load(str(path)).x_train, load(str(plain)).x_train)
    np.testing.assert_array_equal(load_samples(str(path))[0], X)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"packed\.npz\.GZ: its gzip data is damaged"):
        load(str(path))
    stream = io.BytesIO()
    np.save(stream, X)
    packed = gzip.compress(stream.getvalue())
    np.testing.assert_array_equal(load_samples("standard input", content=packed)[0], X)
    (tmp_path / "x.npy.gz").write_bytes(packed)
    np.testing.assert_array_equal(load_samples(str(tmp_path / "x.npy.gz"))[0], X)


@pytest.mark.parametrize("name", ["x", "X", "x_test", "X_test", "test_images", "data", "anything"])
def test_samples_to_predict_have_several_names(tmp_path: Path, name: str) -> None:
    x, notes = load_samples(npz(tmp_path / "x.npz", **{name: X}))
    np.testing.assert_array_equal(x, X)
    assert notes == ()
    if name != "anything":
        more = {"y": Y, "notes": UNREADABLE, "train_images": UNREADABLE, name: X}
        x, notes = load_samples(npz(tmp_path / "more.npz", **more))
        np.testing.assert_array_equal(x, X)
        assert notes == ("arrays left out: y, notes, train_images",)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X, "X": X, "y": Y}, "holds x and X; expected one of them, as x"),
        ({"x": X, "y": Y, "Y": Y}, "holds y and Y; expected one of them, as y"),
        ({**FOUR, "X_train": X}, "holds x_train and X_train; expected one of them, as x_train"),
        (
            {"x": X, "y": Y, "x_train": X, "y_train": Y},
            "holds x, y, x_train, y_train; leave out x and y, or x_train, y_train$",
        ),
        (
            {"X": X, "y": Y, "x_test": X, "y_test": Y},
            "holds X, y, x_test, y_test; call X and y x_train and y_train, or leave out x_test",
        ),
        ({"x": X, "y": Y, "X_train": Y}, "holds x, y, X_train; leave out X_train$"),
        ({"X": X, "x_train": X, "y_train": Y}, "holds X, x_train, y_train; leave out X$"),
        ({"x_train": X, "y_train": Y, "y_test": Y}, "holds x_train, y_train, y_test; expected x_"),
        (
            {"x_train": X, "y": Y},
            "holds x_train, y; expected x_train and y_train, with x_test and y_test or without; or",
        ),
        ({"pictures": X, "labels": Y}, "holds pictures, labels; expected x_train"),
        ({"data": X, "Data": X, "target": Y}, "holds data and Data; expected one of them, as x"),
    ],
)
def test_arrays_that_are_not_clear_are_refused(tmp_path: Path, arrays, message: str) -> None:
    with pytest.raises(DataError, match=f"^set.npz: {message}"):
        load(npz(tmp_path / "set.npz", **arrays))


# Names of classes

NAMES = np.asarray(["no", "yes"])[Y]


@pytest.mark.parametrize("name", ["y", "Y"])
def test_texts_that_would_be_unpickled_are_refused_with_the_remedy(
    tmp_path: Path, name: str
) -> None:
    path = npz(tmp_path / "set.npz", x=X, **{name: NAMES.astype(object)})
    with pytest.raises(
        DataError,
        match=rf"^set\.npz: {name}: holds Python objects.*save texts as {name}\.astype\(str\)",
    ):
        load(path)


@pytest.mark.parametrize("y", [NAMES.astype(object).astype(str), NAMES.astype("S"), NAMES])
def test_arrays_of_texts_are_names(tmp_path: Path, y) -> None:
    samples = load(npz(tmp_path / "set.npz", x=X, y=y))
    assert samples.y_train.tolist() == NAMES[hold_out(10, Y)[0]].tolist()
