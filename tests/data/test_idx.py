"""IDX files: what is read, and what is refused in words."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
from helpers import IDX_CODES, IMAGES, LABELS, idx, idx_folder

from xpnet.data.idx import parse_idx
from xpnet.data.sources import hold_out, load
from xpnet.errors import DataError

X_TEN = np.arange(90, dtype=np.uint8).reshape(10, 3, 3)
Y_TEN = (np.arange(10) % 2).astype(np.uint8)


# A file


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
