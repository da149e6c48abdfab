"""Downloads, from a server on 127.0.0.1 that has small files under the published names."""

import gzip
import hashlib
import io
import logging
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from helpers import idx, needed

from xpnet.data import downloads
from xpnet.data.downloads import EMNIST_PARTS, MNIST_FILES, QMNIST_FILES
from xpnet.data.sources import Samples, load
from xpnet.errors import DataError
from xpnet.registry import DATA, DOWNLOADS

X_TRAIN = np.arange(6 * 3 * 4, dtype=np.uint8).reshape(6, 3, 4)
Y_TRAIN = np.asarray([5, 0, 1, 9, 2, 0], dtype=np.uint8)
X_TEST, Y_TEST = X_TRAIN[:2] + 100, Y_TRAIN[:2]
MNIST_ARRAYS = (X_TRAIN, Y_TRAIN, X_TEST, Y_TEST)
QMNIST_ARRAYS = tuple(
    array if array.ndim == 3 else np.stack([array, *[array + 1] * 7], axis=1).astype(np.int32)
    for array in MNIST_ARRAYS
)


class Server(ThreadingHTTPServer):
    """Serves `files` by path, and counts what it was asked for; `short` ones break off."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.short: set[str] = set()
        self.asked: list[str] = []

    def mirror(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = self.path.removeprefix("/")
        self.server.asked.append(path)
        content = self.server.files.get(path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if path in self.server.short else content)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(autouse=True)
def downloader() -> None:
    needed("pooch")
    needed("tqdm")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("XPNET_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=partial(running.serve_forever, poll_interval=0.01))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def packed(array: np.ndarray) -> bytes:
    return gzip.compress(idx(array), mtime=0)


def emnist_zip(split: str, arrays: tuple[np.ndarray, ...], **more: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for part, array in zip(EMNIST_PARTS, arrays, strict=True):
            archive.writestr(f"gzip/emnist-{split}-{part}-ubyte.gz", packed(array))
        for name, content in more.items():
            archive.writestr(f"../{name}", content)
    return stream.getvalue()


def publish(
    server: Server, patch: pytest.MonkeyPatch, name: str, files: dict[str, bytes]
) -> dict[str, bytes]:
    """Put files of a data set on two mirrors of the server, and their hashes into the table."""
    hashes = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    mirrors = (server.mirror("first"), server.mirror("second"))
    patch.setattr(
        f"xpnet.{DOWNLOADS.paths[name]}", replace(DOWNLOADS[name], files=hashes, mirrors=mirrors)
    )
    for mirror in ("first", "second"):
        server.files |= {f"{mirror}/{file}": content for file, content in files.items()}
    return files


@pytest.fixture
def fashion(server: Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    files = dict(zip(MNIST_FILES, map(packed, MNIST_ARRAYS), strict=True))
    return publish(server, monkeypatch, "fashion-mnist", files)


def cached(tmp_path: Path, folder: str = "fashion-mnist") -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache" / folder).iterdir())


def check(samples: Samples, labels: str = "Ankle boot") -> None:
    np.testing.assert_array_equal(samples.x_train, X_TRAIN)
    np.testing.assert_array_equal(samples.x_test, X_TEST)
    assert samples.y_train[3] == labels


# What is published


def test_the_table_is_complete() -> None:
    assert ("mnist", *DOWNLOADS) == DATA
    for name, published in DOWNLOADS.items():
        assert len(published.members or published.files) == 4, name
        assert len(published.mirrors) >= 2
        assert all(mirror.endswith("/") for mirror in published.mirrors)
        for sha256 in published.files.values():
            assert len(sha256) == 64
            assert set(sha256) <= set("0123456789abcdef")
        assert len(set(published.labels)) == len(published.labels)


def test_published_classes_have_names() -> None:
    assert {name: len(published.labels) for name, published in DOWNLOADS.items()} == {
        "fashion-mnist": 10,
        "kmnist": 10,
        "qmnist": 0,
        "emnist-balanced": 47,
        "emnist-digits": 0,
        "emnist-letters": 26,
    }
    balanced = DOWNLOADS["emnist-balanced"].labels
    assert balanced[9:12] == ("9", "A", "B")
    assert balanced[35:38] == ("Z", "a", "b")
    assert balanced[-1] == "t"


# Success


def test_a_data_set_is_downloaded_once(server: Server, fashion, tmp_path: Path) -> None:
    samples = load("fashion-mnist")
    check(samples)
    assert samples.name == "fashion-mnist"
    assert samples.labels == DOWNLOADS["fashion-mnist"].labels
    assert samples.y_train.tolist()[:3] == ["Sandal", "T-shirt/top", "Trouser"]
    published = DOWNLOADS["fashion-mnist"].files
    assert published.items() <= samples.files.items()
    inside = gzip.decompress(packed(X_TRAIN))
    assert samples.files["train-images-idx3-ubyte"] == hashlib.sha256(inside).hexdigest()
    assert len(samples.files) == 2 * len(published)
    assert server.asked == [f"first/{file}" for file in MNIST_FILES]
    assert cached(tmp_path) == sorted(MNIST_FILES)
    check(load("fashion-mnist"))
    assert len(server.asked) == 4


def test_the_folder_can_be_named(server: Server, fashion, tmp_path: Path) -> None:
    check(load("fashion-mnist", folder=str(tmp_path / "elsewhere")))
    assert len(list((tmp_path / "elsewhere" / "fashion-mnist").iterdir())) == 4
    assert not (tmp_path / "cache").exists()


def test_without_a_folder_it_is_the_users_cache(
    server: Server, fashion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pooch

    monkeypatch.delenv("XPNET_DATA")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "caches" / project)
    check(load("fashion-mnist"))
    assert len(list((tmp_path / "caches" / "xpnet" / "fashion-mnist").iterdir())) == 4


def test_without_a_home_the_folder_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import pooch

    def fail(project: str) -> None:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XPNET_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", fail)
    with pytest.raises(DataError, match=r"kmnist: you have no folder .* --data-dir or XPNET_DATA"):
        load("kmnist")


def test_files_put_there_by_hand_are_taken(server: Server, fashion, tmp_path: Path) -> None:
    place = tmp_path / "cache" / "fashion-mnist"
    place.mkdir(parents=True)
    for file, content in fashion.items():
        (place / file).write_bytes(content)
    check(load("fashion-mnist"))
    assert server.asked == []


def test_a_damaged_file_in_the_cache_is_downloaded_again(
    server: Server, fashion, tmp_path: Path
) -> None:
    load("fashion-mnist")
    (tmp_path / "cache" / "fashion-mnist" / MNIST_FILES[2]).write_bytes(b"damaged")
    check(load("fashion-mnist"))
    assert server.asked[4:] == [f"first/{MNIST_FILES[2]}"]


def test_two_at_once_both_get_it(server: Server, fashion, tmp_path: Path) -> None:
    both: list[Samples] = []
    threads = [
        threading.Thread(target=lambda: both.append(load("fashion-mnist"))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(both) == 2
    for samples in both:
        check(samples)
    assert cached(tmp_path) == sorted(MNIST_FILES)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_terminal_shows_progress_and_nothing_else_is_written(
    server, fashion, terminal: bool, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pooch

    # Its logger has a stream of its own, the standard error of when it was imported.
    monkeypatch.setattr(pooch.get_logger(), "level", logging.INFO)
    monkeypatch.setattr(pooch.get_logger(), "handlers", [logging.StreamHandler(sys.stderr)])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    load("fashion-mnist")
    written = capsys.readouterr()
    assert written.out == ""
    assert "Downloading" not in written.err
    assert ("100%" in written.err) == terminal
    assert terminal or written.err == ""


# A mirror fails


@pytest.mark.parametrize("fault", ["gone", "other", "short", "long", "unreachable"])
def test_the_next_mirror_is_tried(
    server: Server, fashion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    path = f"first/{MNIST_FILES[0]}"
    if fault == "gone":
        del server.files[path]
    elif fault == "other":
        server.files[path] = packed(X_TRAIN + 1)
    elif fault == "short":
        server.short.add(path)
    elif fault == "long":
        small = replace(DOWNLOADS["fashion-mnist"], most_bytes=max(map(len, fashion.values())))
        monkeypatch.setattr("xpnet.data.downloads.FASHION_MNIST", small)
        server.files[path] = bytes(small.most_bytes + 1)
    else:
        mirrors = ("http://127.0.0.1:9/", server.mirror("second"))
        first_down = replace(DOWNLOADS["fashion-mnist"], mirrors=mirrors)
        monkeypatch.setattr("xpnet.data.downloads.FASHION_MNIST", first_down)
    check(load("fashion-mnist"))
    assert f"second/{MNIST_FILES[0]}" in server.asked
    assert cached(tmp_path) == sorted(MNIST_FILES)


def test_no_more_is_downloaded_than_the_files_have(
    server: Server, fashion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(DOWNLOADS["fashion-mnist"], most_bytes=40)
    monkeypatch.setattr("xpnet.data.downloads.FASHION_MNIST", small)
    with pytest.raises(DataError, match=r"127\.0\.0\.1:\d+: more bytes than the file has"):
        load("fashion-mnist")
    assert not (tmp_path / "cache" / "fashion-mnist").exists()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("gone", "HTTP 404"),
        ("other", "another file than published"),
        ("short", "ChunkedEncodingError|another file"),
    ],
)
def test_where_all_mirrors_fail_one_sentence_says_what_to_do(
    server: Server, fashion, tmp_path: Path, fault: str, reason: str
) -> None:
    for mirror in ("first", "second"):
        path = f"{mirror}/{MNIST_FILES[1]}"
        if fault == "gone":
            del server.files[path]
        elif fault == "other":
            server.files[path] = b"a page that says hello"
        else:
            server.short.add(path)
    with pytest.raises(DataError, match=reason) as caught:
        load("fashion-mnist")
    message = str(caught.value)
    assert message.startswith(f"fashion-mnist: {MNIST_FILES[1]} cannot be downloaded (127.0.0.1:")
    assert (
        f"put {', '.join(MNIST_FILES[1:])} into {tmp_path / 'cache' / 'fashion-mnist'}" in message
    )
    assert message.endswith(f", for example from {server.mirror('first')}{MNIST_FILES[1]}")
    assert "\n" not in message
    assert cached(tmp_path) == [MNIST_FILES[0]]


def test_the_place_is_named_in_full(
    server: Server, fashion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files.clear()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        load("fashion-mnist", folder="near")
    assert f"into {tmp_path / 'near' / 'fashion-mnist'}, for" in str(caught.value)


def test_a_wrong_file_put_there_by_hand_is_told(server: Server, fashion, tmp_path: Path) -> None:
    server.files.clear()
    place = tmp_path / "cache" / "fashion-mnist"
    place.mkdir(parents=True)
    (place / MNIST_FILES[0]).write_bytes(b"another")
    with pytest.raises(DataError, match="in the cache is damaged or another one, and cannot be"):
        load("fashion-mnist")
    assert (place / MNIST_FILES[0]).read_bytes() == b"another"


def test_an_interrupted_download_leaves_nothing(
    server: Server, fashion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: downloads._Capped, chunk: bytes) -> None:
        self._stream.write(chunk[:10])
        self._stream.flush()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(downloads._Capped, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load("fashion-mnist")
    assert cached(tmp_path) == []
    check(load("fashion-mnist"))


def test_a_cache_that_cannot_be_written_is_named(server: Server, fashion, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "fashion-mnist").write_text("a file where a folder should be")
    with pytest.raises(DataError, match=r"fashion-mnist.*: cannot be (read|written)"):
        load("fashion-mnist")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (PermissionError("Pooch could not write"), "no permission"),
    ],
)
def test_what_the_disk_refuses_is_no_fault_of_the_mirror(
    server: Server, fashion, monkeypatch: pytest.MonkeyPatch, error: OSError, why: str
) -> None:
    def refused(self: downloads._Capped, chunk: bytes) -> None:
        raise error

    monkeypatch.setattr(downloads._Capped, "write", refused)
    with pytest.raises(DataError, match=rf"images-idx3-ubyte\.gz: cannot be written: {why}$"):
        load("fashion-mnist")
    assert len(server.asked) == 1


@pytest.mark.parametrize("library", ["pooch", "tqdm"])
def test_without_pooch_the_extra_is_named(
    server: Server, fashion, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(DataError, match=rf'{library} is needed: pip install "xpnet\[data\]"') as e:
        load("fashion-mnist")
    assert f"put {', '.join(MNIST_FILES)} from " in str(e.value)
    assert "into FOLDER/fashion-mnist and say --data-dir FOLDER" in str(e.value)
    assert server.asked == []


def test_what_is_in_a_named_folder_needs_no_pooch(
    server: Server, fashion, monkeypatch: pytest.MonkeyPatch
) -> None:
    load("fashion-mnist")
    monkeypatch.setitem(sys.modules, "pooch", None)
    check(load("fashion-mnist"))


# Each data set as MNIST has it


def test_kmnist_has_characters(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    files = dict(zip(MNIST_FILES, map(packed, MNIST_ARRAYS), strict=True))
    publish(server, monkeypatch, "kmnist", files)
    samples = load("kmnist")
    check(samples, "wo")
    assert samples.y_test.tolist() == ["ha", "o"]
    assert "".join(samples.labels).isascii()


def test_qmnist_is_the_first_column(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    files = dict(zip(QMNIST_FILES, map(packed, QMNIST_ARRAYS), strict=True))
    publish(server, monkeypatch, "qmnist", files)
    samples = load("qmnist")
    np.testing.assert_array_equal(samples.x_train, X_TRAIN)
    assert samples.y_train.tolist() == Y_TRAIN.tolist()
    assert samples.y_train.dtype.kind == "i"
    assert samples.labels == ()


@pytest.mark.parametrize(
    ("split", "y", "expected"),
    [
        ("letters", [1, 26, 2], ["A", "Z", "B"]),
        ("balanced", [0, 46, 35], ["0", "t", "Z"]),
        ("digits", [0, 9, 5], [0, 9, 5]),
    ],
)
def test_emnist_is_upright_and_has_its_characters(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, split: str, y, expected
) -> None:
    columns = np.ascontiguousarray(X_TRAIN[:3].swapaxes(1, 2))
    labels = np.asarray(y, dtype=np.uint8)
    content = emnist_zip(split, (columns, labels, columns[:1], labels[:1]), evil=b"outside")
    publish(server, monkeypatch, f"emnist-{split}", {"gzip.zip": content})
    samples = load(f"emnist-{split}")
    np.testing.assert_array_equal(samples.x_train, X_TRAIN[:3])
    assert samples.x_train.flags.c_contiguous
    assert samples.y_train.tolist() == expected
    assert samples.labels == DOWNLOADS[f"emnist-{split}"].labels
    assert next(iter(samples.files)) == "gzip.zip"
    assert len(samples.files) == 5
    assert cached(tmp_path, "emnist") == ["gzip.zip"]
    assert not list(tmp_path.rglob("evil"))


def test_parts_of_emnist_share_one_file(server: Server, monkeypatch, tmp_path: Path) -> None:
    stream = io.BytesIO(emnist_zip("digits", MNIST_ARRAYS))
    with zipfile.ZipFile(stream, "a") as archive:
        for part, array in zip(EMNIST_PARTS, MNIST_ARRAYS, strict=True):
            archive.writestr(f"gzip/emnist-balanced-{part}-ubyte.gz", packed(array))
    for name in ("emnist-digits", "emnist-balanced"):
        publish(server, monkeypatch, name, {"gzip.zip": stream.getvalue()})
        load(name)
    assert server.asked == ["first/gzip.zip"]


def test_contents_that_are_no_idx_file_are_refused(
    server: Server, fashion, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(server, monkeypatch, "fashion-mnist", fashion | {MNIST_FILES[0]: b"no IDX file"})
    with pytest.raises(DataError, match=rf"{MNIST_FILES[0]}: not an IDX file"):
        load("fashion-mnist")
