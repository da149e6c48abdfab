"""IDX files: what is read, and what is refused in words."""

import gzip

import numpy as np
import pytest
from helpers import IDX_CODES, IMAGES, LABELS, idx

from xpnet.data.idx import parse_idx
from xpnet.errors import DataError

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
