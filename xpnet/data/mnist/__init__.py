"""Machinery that a learner can skip: MNIST, its files beside this one.

They can be unpacked in a thread while NumPy is imported.

zlib-ng takes 60 ms where Python's zlib takes 100, and lets go of the interpreter's lock, so that
with a second core they come at no cost in time.
"""

import hashlib
from contextlib import suppress
from pathlib import Path
from threading import Thread

from zlib_ng import zlib_ng

from xpnet.errors import DataError

FOLDER = Path(__file__).parent
FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)

MOST_BYTES = 2**26  # in one file, unpacked

_reader: "_Reader | None" = None


class _Reader(Thread):
    def __init__(self) -> None:
        super().__init__(daemon=True)  # an error elsewhere does not wait for it
        self.found: dict[str, tuple[bytes, str]] = {}

    def run(self) -> None:
        try:
            for name in FILES:
                self.found[name] = _unpacked(name)
        except (DataError, MemoryError):
            pass  # `read` will meet it again, where it can be told


def begin() -> None:
    """Begin to read, in a thread, if that has not begun and one can be had."""
    global _reader
    if _reader is None:
        reader = _Reader()
        with suppress(RuntimeError):  # no more threads: `read` does it all
            reader.start()
            _reader = reader


def read() -> dict[str, tuple[bytes, str]]:
    """The content of each of `FILES`, unpacked, and the SHA-256 of the file as it lies there.

    Raises
    ------
    DataError
        A file isn't there, or is damaged.
    """
    global _reader
    found: dict[str, tuple[bytes, str]] = {}
    if _reader is not None:
        _reader.join()
        found, _reader = _reader.found, None  # what has been read is not kept
    return {name: found.get(name) or _unpacked(name) for name in FILES}


def _unpacked(name: str) -> tuple[bytes, str]:
    path = FOLDER / name
    try:
        content = path.read_bytes()
        size = int.from_bytes(content[-4:], "little")  # gzip's last word: room for just as much
        # The checksum in the stream is of all that is unpacked; bytes behind it change nothing.
        unpacked = zlib_ng.decompress(content, wbits=31, bufsize=min(size, MOST_BYTES))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; install xpnet again") from None
    except zlib_ng.error as error:  # type: ignore[misc]  # its stub says: an instance
        raise DataError(f"{path}: damaged ({error}); install xpnet again") from None
    return unpacked, hashlib.sha256(content).hexdigest()
