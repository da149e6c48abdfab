"""IDX files, the format of MNIST, gzipped or not."""

import gzip
import io
import math
import zlib
from typing import Any

import numpy as np

from xpnet.arrays import HostArray
from xpnet.data.files import Contents, ReadOptions
from xpnet.errors import DataError

MOST_SAMPLES = 2**31 - 1  # rows are counted in int32

# Third byte of the magic number: the type of the elements, big-endian in the file.
IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def parse_idx(content: bytes, name: str, kind: str = "") -> HostArray:
    """The array of an IDX file: magic number, sizes, elements, all big-endian.

    The format is described with MNIST (LeCun, Cortes & Burges, 1998): two zero bytes, one for the
    type, one for the number of axes, a 32-bit size for each, the elements.

    Parameters
    ----------
    content : bytes
        The file, gzipped or not.
    name : str
        Its name, for errors.
    kind : {"images", "labels", ""}
        What it should hold: images have more than one axis, labels have one.

    Raises
    ------
    DataError
        It is no IDX file, of another kind, truncated or too long.
    """
    stream: Any = io.BytesIO(content)
    packed = content[:2] == b"\x1f\x8b"
    if packed:
        stream = gzip.GzipFile(fileobj=stream)
    magic = _take(stream, 4, name)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_TYPES or not magic[3]:
        raise DataError(f"{name}: not an IDX file (it begins with {magic.hex(' ')!r})")
    if kind and (kind == "labels") != (magic[3] == 1):
        raise DataError(
            f"{name}: holds {'labels' if magic[3] == 1 else 'images'} where {kind} are expected "
            f"(magic number {int.from_bytes(magic)})"
        )
    sizes = _take(stream, 4 * magic[3], name)
    if len(sizes) < 4 * magic[3]:
        raise DataError(f"{name}: truncated within its header")
    dtype, shape = np.dtype(IDX_TYPES[magic[2]]), np.frombuffer(sizes, dtype=">u4").tolist()
    size = math.prod(shape) * dtype.itemsize
    # Not more than expected is unpacked; one byte more, so that what is too long shows.
    if packed:
        data = memoryview(_take(stream, size + 1, name))
    else:
        data = memoryview(content)[4 + 4 * magic[3] :][: size + 1]  # and nothing is copied
    if len(data) != size or max(shape) > MOST_SAMPLES:
        there = "more" if len(data) > size else f"{len(data)}"
        raise DataError(f"{name}: truncated or damaged: {size} bytes expected, {there} there")
    array = np.frombuffer(data, dtype=dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _take(stream: Any, size: int, name: str) -> bytes:
    """Up to `size` bytes of a stream."""
    try:
        return bytes(stream.read(size))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{name}: its gzip data is damaged or truncated ({error})") from None
    except (OverflowError, MemoryError):
        raise DataError(f"{name}: its header gives an impossible size") from None


def read_idx(name: str, content: bytes, options: ReadOptions) -> Contents:
    """The array of one IDX file as x, samples without targets."""
    return Contents({"x": parse_idx(content, name)})
