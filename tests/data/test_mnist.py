"""The files of MNIST in the package, read in the foreground or ahead."""

import gzip
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread, current_thread, main_thread
from time import sleep

import numpy as np
import pytest

from xpnet import cli
from xpnet.data import mnist
from xpnet.data.sources import load
from xpnet.errors import DataError

FOLDER = mnist.FOLDER
SMALL = mnist.FILES[1:]  # the images to train on take longer


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fewer files; nothing that was read ahead is left by a test before, or for one after."""
    monkeypatch.setattr(mnist, "FILES", SMALL)
    mnist.read()
    yield
    with suppress(DataError):
        mnist.read()


def decompressed(monkeypatch: pytest.MonkeyPatch, wait: float = 0.0) -> list[bool]:
    """Whether each file that is unpacked from now on is unpacked in the main thread."""
    decompress, found = mnist.zlib_ng.decompress, []

    def watched(content: bytes, wbits: int, bufsize: int) -> bytes:
        found.append(current_thread() is main_thread())
        sleep(wait)
        return decompress(content, wbits=wbits, bufsize=bufsize)

    monkeypatch.setattr(mnist.zlib_ng, "decompress", watched)
    return found


@pytest.mark.parametrize("ahead", [False, True])
def test_files_are_unpacked_and_hashed(ahead: bool) -> None:
    if ahead:
        mnist.begin()
    for name, (content, digest) in mnist.read().items():
        packed = (FOLDER / name).read_bytes()
        assert content == gzip.decompress(packed)
        assert digest == hashlib.sha256(packed).hexdigest()


def test_what_was_read_ahead_is_taken_once_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    in_main = decompressed(monkeypatch)
    mnist.begin()
    assert list(mnist.read()) == list(SMALL)
    assert in_main == [False] * len(SMALL)
    assert list(mnist.read()) == list(SMALL)
    assert in_main == [False] * len(SMALL) + [True] * len(SMALL)


@pytest.mark.parametrize(
    ("arguments", "begun"),
    [
        ("train", True),
        ("train --epochs 1", True),
        ("train --data mine.npz", False),
        ("train --data=mine.npz", False),
        ("train --help", False),
        ("predict", False),
        ("", False),
        ("explain", True),
        ("explain --data mine.npz", False),
        ("explain --samples 0", False),
        ("explain --tiny", False),
        ("explain --tiny --samples 3", False),
        ("bench", True),
        ("bench --rounds 0", False),
        ("bench --hidden 0", False),
        ("train --threads 0 --data mnist", False),
    ],
)
def test_a_command_begins_where_it_will_read(
    arguments: str,
    begun: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def begin() -> None:
        raise DataError("it has begun")

    monkeypatch.setattr(mnist, "begin", begin)
    cli.run(arguments.split())
    assert ("it has begun" in capsys.readouterr().err) == begun


def test_without_another_thread_it_is_read_in_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", refuse)
    mnist.begin()
    assert list(mnist.read()) == list(SMALL)


def test_without_memory_in_the_other_thread_it_is_read_in_this_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decompress = mnist.zlib_ng.decompress

    def refuse(content: bytes, wbits: int, bufsize: int) -> bytes:
        if current_thread() is not main_thread():
            raise MemoryError
        return decompress(content, wbits=wbits, bufsize=bufsize)

    expected = mnist.read()
    monkeypatch.setattr(mnist.zlib_ng, "decompress", refuse)
    mnist.begin()
    assert mnist.read() == expected


def test_what_is_being_read_is_waited_for_and_not_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also after a second `begin`."""
    in_main = decompressed(monkeypatch, wait=0.05)
    mnist.begin()
    mnist.begin()
    assert list(mnist.read()) == list(SMALL)
    assert in_main == [False] * len(SMALL)


def test_the_end_of_the_process_does_not_wait_for_the_thread() -> None:
    code = """
from time import sleep
from xpnet.data import mnist
mnist.zlib_ng.decompress = lambda *arguments, **options: sleep(600)
mnist.begin()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_damaged_length_asks_for_no_more_than_the_most_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The length is a gzip file's last word."""
    rooms = []

    def decompress(content: bytes, wbits: int, bufsize: int) -> bytes:
        rooms.append(bufsize)
        return b""

    monkeypatch.setattr(mnist, "FOLDER", tmp_path)
    monkeypatch.setattr(mnist, "FILES", ("small", "damaged"))
    monkeypatch.setattr(mnist.zlib_ng, "decompress", decompress)
    (tmp_path / "small").write_bytes(b"\x07\x01\x00\x00")
    (tmp_path / "damaged").write_bytes(b"\xff\xff\xff\xff")
    mnist.read()
    assert rooms == [0x107, 2**26]


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("missing", "t10k-labels-idx1-ubyte.gz: cannot be read: No such file"),
        ("short", "t10k-labels-idx1-ubyte.gz: damaged"),
        ("empty", "t10k-labels-idx1-ubyte.gz: damaged"),
        ("another byte", "t10k-labels-idx1-ubyte.gz: damaged"),
        ("another length", "t10k-labels-idx1-ubyte.gz: damaged"),
    ],
)
def test_a_damaged_package_is_told_in_the_foreground(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, message: str, ahead: bool
) -> None:
    for name in SMALL:
        shutil.copy(FOLDER / name, tmp_path)
    file = tmp_path / "t10k-labels-idx1-ubyte.gz"
    content = file.read_bytes()
    if fault == "missing":
        file.unlink()
    elif fault == "short":
        file.write_bytes(content[:-9])
    elif fault == "empty":
        file.write_bytes(b"")
    elif fault == "another byte":
        file.write_bytes(content[:999] + bytes([content[999] ^ 1]) + content[1000:])
    else:
        file.write_bytes(content[:-4] + b"\xff\xff\xff\xff")
    monkeypatch.setattr(mnist, "FOLDER", tmp_path)
    if ahead:
        mnist.begin()
    with pytest.raises(DataError, match=f"{message}.*; install xpnet again"):
        mnist.read()


def test_the_data_are_the_same_read_ahead_and_from_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    mnist.begin()
    ahead, later, folder = load("mnist"), load("mnist"), load(str(FOLDER))
    assert ahead.x_train.shape == (60000, 28, 28)
    for other in (later, folder):
        assert ahead.files == other.files
        for part in ("x_train", "y_train", "x_test", "y_test"):
            assert np.array_equal(getattr(ahead, part), getattr(other, part))
