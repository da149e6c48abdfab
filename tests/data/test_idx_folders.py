"""Folders of IDX files: as MNIST, EMNIST and others come, and what is refused in words."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
from helpers import IMAGES, LABELS, idx, idx_folder

from xpnet.data.idx_folders import source_of
from xpnet.data.sources import hold_out, load
from xpnet.errors import DataError

X_TEN = np.arange(90, dtype=np.uint8).reshape(10, 3, 3)
Y_TEN = (np.arange(10) % 2).astype(np.uint8)


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
    train, test = hold_out(10, Y_TEN)
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


# Layouts

MNIST = {
    "train-images-idx3-ubyte": X_TEN,
    "train-labels-idx1-ubyte": Y_TEN,
    "t10k-images-idx3-ubyte": X_TEN[:3] + 7,
    "t10k-labels-idx1-ubyte": Y_TEN[:3],
}
KAGGLE = {
    **{name.replace("-idx", ".idx"): array for name, array in MNIST.items()},
    **{f"{name}/{name}": array for name, array in MNIST.items()},
}


def write(folder: Path, files: dict[str, np.ndarray]) -> Path:
    """IDX files by their path in a folder; gzipped where that ends in .gz."""
    for name, array in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        packed = name.lower().endswith(".gz")
        path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    return folder


def named(prefix: str, end: str = "") -> dict[str, np.ndarray]:
    """MNIST's files with something in front of their names and at the end."""
    return {f"{prefix}{name}{end}": array for name, array in MNIST.items()}


LAYOUTS = {
    "kaggle": (KAGGLE, "", ()),
    "kaggle-folders-alone": ({n: a for n, a in KAGGLE.items() if "/" in n}, "", ()),
    "kaggle-dots-in-folders": (
        {f"{n}/{n.replace('-idx', '.idx')}": array for n, array in MNIST.items()}, "", ()
    ),
    "empty-folders-of-these-names": (
        {**MNIST, **{f"{name}.gz/notes-idx": X_TEN for name in MNIST}}, "", ()
    ),
    "prefix": (named("kmnist-"), "", ()),
    "prefix-gz": (named("digits_of.mine_", ".gz"), "", ()),
    "prefix-by-name": (named("kmnist-"), "kmnist", ()),
    "prefix-of-several": ({**named("a-"), **named("b-b-")}, "b-b", ()),
    "test-for-t10k": ({n.replace("t10k", "test"): a for n, a in MNIST.items()}, "", ()),
    "raw": (named("MNIST/raw/"), "MNIST/raw", ()),
    "above-raw": (named("MNIST/raw/"), "MNIST", ("the files are in {}/MNIST/raw",)),
    "above-that": (
        {**named("MNIST/raw/"), **named("MNIST/raw/", ".gz"), "MNIST/processed/x.pt": X_TEN},
        "", ("the files are in {}/MNIST/raw",),
    ),
    "above-kaggle": (
        {f"archive/{name}": array for name, array in KAGGLE.items()},
        "", ("the files are in {}/archive",),
    ),
    "a-folder-for-each-part": (
        {f"{'train' if 'train' in n else 'test'}/{n}": a for n, a in MNIST.items()}, "", ()
    ),
    "a-folder-for-each-kind": (
        {f"{'images' if 'images' in n else 'labels'}/kmnist-{n}.gz": a for n, a in MNIST.items()},
        "", ()
    ),
    "folders-of-folders": (
        {f"{n.split('-')[0]}/{n.split('-')[1]}/{n}": a for n, a in MNIST.items()}, "", ()
    ),
    "above-a-folder-for-each-part": (
        {f"MNIST/{n[:4]}/raw{n[:2]}/{n}.gz": a for n, a in MNIST.items()},
        "MNIST", ()
    ),
    "a-folder-below-for-each-part": (
        {f"MNIST/{n[:4]}/{n}": a for n, a in MNIST.items()}, "", ("the files are in {}/MNIST",),
    ),
    "validation": (
        {**MNIST, "val-images-idx3-ubyte": X_TEN, "validation-labels.idx1-ubyte.gz": Y_TEN},
        "",
        ("files left out: val-images-idx3-ubyte, validation-labels.idx1-ubyte.gz; what is "
         "validated on is held out of the training samples",),
    ),
    "validation-of-another": (
        {**named("a-"), "b-val-images-idx3-ubyte": X_TEN, "val-images-idx3-ubyte": X_TEN}, "", ()
    ),
    "validation-below": (
        {f"{n[:5]}/a_{n}": a for n, a in (MNIST | {"valid-images-idx3-ubyte": X_TEN}).items()},
        "",
        ("files left out: valid/a_valid-images-idx3-ubyte; what is validated on is held out of the "
         "training samples",),
    ),
    "copied-by-macos": (
        {
            **MNIST,
            **{f"._{name}": X_TEN for name in MNIST},
            **{f"__MACOSX/{name}": X_TEN for name in MNIST},
        },
        "", ()
    ),
    "unpacked-by-macos": (
        {**named("set/"), **named("__MACOSX/set/._"), **named("__MACOSX/set/"), ".git/x": X_TEN},
        "", ("the files are in {}/set",),
    ),
    "macos-in-folders": (
        {**{f"{n}/._{n}": X_TEN for n in MNIST}, **{f"{n}/{n}": a for n, a in MNIST.items()}},
        "", ()
    ),
    "hidden-beside-prefix": ({**named("a-"), **named("._a-")}, "", ()),
    "capitals": ({n.upper() + ".GZ": a for n, a in MNIST.items()}, "", ()),
    "some-capitals": (
        {n.title().replace("T10K", "Test"): a for n, a in named("Digits-").items()}, "Digits", ()
    ),
    "mine-and-others": (
        {**MNIST, **named("b-"), **named("a-")},
        "", ("files that begin with another name are left out: a, b",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYOUTS)
def test_a_layout_of_mnist_is_read(tmp_path: Path, case: str) -> None:
    files, below, notes = LAYOUTS[case]
    samples = load(str(write(tmp_path / "data", files) / below))
    for name, array in zip(("x_train", "y_train", "x_test", "y_test"), MNIST.values(), strict=True):
        np.testing.assert_array_equal(getattr(samples, name), array)
    assert samples.notes == tuple(note.format(tmp_path / "data") for note in notes)
    assert len(samples.files) == 4
    assert samples.labels == ()


@pytest.mark.parametrize(
    ("case", "name"),
    [("raw", "MNIST"), ("kaggle", "data"), ("prefix", "kmnist"), ("prefix-gz", "digits_of.mine")],
)
def test_a_set_is_named_by_its_files_or_its_folder(tmp_path: Path, case: str, name: str) -> None:
    files, below, _ = LAYOUTS[case]
    assert load(str(write(tmp_path / "data", files) / below)).name == name


SEVERAL = {
    "prefixes": ({**named("emnist-digits-"), **named("emnist-letters-", ".gz")}, "",
                 "holds 2 data sets; give one of them: {0}/emnist-digits, {0}/emnist-letters"),
    "folders": ({**named("MNIST/raw/"), **named("FashionMNIST/raw/")}, "",
                "holds 2 data sets; give one of them: {0}/FashionMNIST/raw, {0}/MNIST/raw"),
    "many": ({f"{i}/{name}": a for i in range(10) for name, a in MNIST.items()}, "",
             "holds 10 data sets; give one of them: {0}/0, .*, {0}/7 or one of 2 more$"),
    "no-such-prefix": ({**named("a-"), **named("b-")}, "c", "c: no such file or folder"),
    "deeper": (named("a/b/c/"), "", "{0}: has no train images; expected a file train-images-idx3"),
    "half": ({n: a for n, a in named("a-").items() if "t10k-l" not in n}, "",
             "has no test labels; expected a file a-t10k-labels-idx1-ubyte "),
    "parts-of-others": (
        {f"{n[:4]}/{n[:2]}-{n}": a for n, a in MNIST.items()}, "",
        "holds 2 data sets; give one of them: {0}/t10k/t1, {0}/trai/tr",
    ),
    "parts-twice": (
        {f"{n[:4]}/{n}": a for n, a in MNIST.items()} | {"old/t10k-labels-idx1-ubyte": Y_TEN}, "",
        "holds 3 data sets; give one of them: {0}/old, {0}/t10k, {0}/trai",
    ),
    "part-that-lacks": (
        {f"{n[:4]}/{n}": a for n, a in MNIST.items() if n[:2] + n[5] != "t1l"}, "",
        "data: has no test labels; expected a file t10k-labels-idx1-ubyte ",
    ),
    "word": (named("re"), "", "has no train images; expected a file train-images-idx3-ubyte"),
}  # fmt: skip


@pytest.mark.parametrize("case", SEVERAL)
def test_several_sets_and_none_are_refused(tmp_path: Path, case: str) -> None:
    files, below, message = SEVERAL[case]
    with pytest.raises(DataError, match=message.format(tmp_path / "data")):
        load(str(write(tmp_path / "data", files) / below))


# EMNIST and QMNIST, which are stored in another way


@pytest.mark.parametrize(
    ("prefix", "y", "expected"),
    [
        ("emnist-letters", [1, 26, 2], ["A", "Z", "B"]),
        ("emnist-balanced", [0, 46, 35], ["0", "t", "Z"]),
        ("emnist-bymerge", [0, 46, 36], ["0", "t", "a"]),
        ("emnist-byclass", [61, 36, 9], ["z", "a", "9"]),
        ("emnist-digits", [0, 9, 5], [0, 9, 5]),
        ("emnist-mnist", [0, 9, 5], [0, 9, 5]),
    ],
)
def test_files_of_emnist_become_upright(tmp_path: Path, prefix: str, y, expected) -> None:
    stored, labels = X_TEN[:3].swapaxes(1, 2), np.asarray(y, dtype=np.uint8)
    files = {
        f"{prefix}-train-images-idx3-ubyte.gz": stored,
        f"{prefix}-train-labels-idx1-ubyte.gz": labels,
        f"{prefix}-test-images-idx3-ubyte.gz": stored,
        f"{prefix}-test-labels-idx1-ubyte.gz": labels,
    }
    samples = load(str(write(tmp_path / "gzip", files)))
    np.testing.assert_array_equal(samples.x_train, X_TEN[:3])
    np.testing.assert_array_equal(samples.x_test, X_TEN[:3])
    assert samples.x_train.flags.c_contiguous
    assert samples.y_train.tolist() == samples.y_test.tolist() == expected
    assert {*samples.y_train.tolist()} <= {*(samples.labels or range(10))}
    assert samples.notes == ("EMNIST stores images column by column; they are transposed",)
    assert samples.name == prefix


@pytest.mark.parametrize("wrong", [0, 27])
def test_a_label_that_emnist_has_not_is_refused(tmp_path: Path, wrong: int) -> None:
    files = named("emnist-letters-") | {"emnist-letters-train-labels-idx1-ubyte": Y_TEN + 1}
    files["emnist-letters-t10k-labels-idx1-ubyte"] = np.asarray([1, wrong, 2], dtype=np.uint8)
    with pytest.raises(
        DataError, match=f"letters: label {wrong} of sample 1 in y_test .*; expected 1 to 26"
    ):
        load(str(write(tmp_path / "set", files)))


def test_labels_of_qmnist_are_the_first_column(tmp_path: Path) -> None:
    y = np.stack([Y_TEN, *[Y_TEN + 1] * 7], axis=1).astype(np.int32)
    files = {"qmnist-train-images-idx3-ubyte": X_TEN, "qmnist-train-labels-idx2-int": y}
    files |= {name.replace("train", "test"): array[:3] for name, array in files.items()}
    samples = load(str(write(tmp_path / "QMNIST" / "raw", files)))
    assert samples.y_train.tolist() == Y_TEN.tolist()
    assert samples.y_test.tolist() == Y_TEN[:3].tolist()


# A folder that is named like a data set


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize("below", ["", "raw/"])
def test_a_folder_named_like_a_data_set_is_read_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, below: str
) -> None:
    folder = write(tmp_path / name, named(below))
    monkeypatch.chdir(tmp_path)
    samples = load(name)
    np.testing.assert_array_equal(samples.x_train, X_TEN)
    assert samples.notes[0] == f"the folder {name} is read, not the data set of that name"
    assert samples.source == source_of(name) == str(folder)


def test_a_folder_without_idx_files_is_not_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, named("mnist-"))
    monkeypatch.chdir(tmp_path)
    assert source_of("mnist") == "mnist"
    (tmp_path / "mnist" / "runs").mkdir(parents=True)
    (tmp_path / "mnist" / "notes.txt").write_text("mine")
    assert source_of("mnist") == "mnist"
    write(tmp_path / "mnist", MNIST)
    assert source_of("mnist", local=False) == "mnist"
    assert source_of("mnist") == str(tmp_path / "mnist")


def test_the_cache_is_no_such_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are read as they were published, with the names of the classes."""
    write(tmp_path / "kmnist", named("", ".gz"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XPNET_DATA", raising=False)
    assert source_of("kmnist") == str(tmp_path / "kmnist")
    assert source_of("kmnist", ".") == "kmnist"
    monkeypatch.setenv("XPNET_DATA", str(tmp_path))
    assert source_of("kmnist") == "kmnist"
