"""Fixtures of the command line: a folder with data, and what a process is given."""

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers import idx_folder, small_set

from xpnet.builder import mlp
from xpnet.device import selection

DISTURBING = (
    *("NO_COLOR", "FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TTY_COMPATIBLE", "COLUMNS"),
    *("PYTHONUNBUFFERED", "PYTHONWARNINGS", "PYTHONIOENCODING", "PYTHONUTF8"),
)
X, Y, IMAGES = small_set()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a small data set in it."""
    monkeypatch.chdir(tmp_path)
    for name in DISTURBING:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(selection, "_warned", False)
    np.savez("tiny.npz", x=X, y=Y)
    return tmp_path


@pytest.fixture
def files(folder: Path) -> Path:
    """Data and models that are wrong, each in its own way."""
    y = Y.astype(np.uint8)
    idx_folder(folder / "set", x_train=IMAGES, y_train=y)
    idx_folder(folder / "unlabelled", x_train=IMAGES)
    idx_folder(folder / "mislabelled", x_train=y, y_train=y)
    idx_folder(folder / "unequal", x_train=IMAGES, y_train=y[1:])
    for name, change in {
        "cut": lambda content: content[:-1],
        "magic": lambda content: b"\x7fELF" + content[4:],
    }.items():
        part = idx_folder(folder / name, x_train=IMAGES, y_train=y) / "train-images-idx3-ubyte"
        part.write_bytes(change(part.read_bytes()))
    np.savez("objects.npz", x=X, y=np.asarray([{}] * 60, dtype=object))
    np.savez("object-samples.npz", x=X.astype(object))
    np.savez("unequal.npz", x=X, y=Y[:7])
    np.savez("nan.npz", x=np.where(np.arange(4) == 2, np.nan, X), y=Y)
    np.savez("label.npz", x_train=X, y_train=Y, x_test=X, y_test=Y + 1)
    np.savez("one-class.npz", x=X, y=Y * 0)
    np.savez("wide.npz", x=np.ones((60, 9)), y=Y)
    np.savez("many.npz", x=X, y=np.arange(60) % 5)
    np.save("wide.npy", np.ones((2, 9)))
    np.save("right.npy", X)
    content = Path("tiny.npz").read_bytes()
    Path("damaged.npz").write_bytes(content[:200] + content[201:])
    Path("notes.txt").write_text("some text")
    Path("full").mkdir()
    Path("full/notes.txt").write_text("mine")
    Path("photos").mkdir()
    Path("photos/seven.png").touch()
    Path("a.xlsx").touch()
    mlp(4, 3).save("model.safetensors")
    Path("cut.safetensors").write_bytes(Path("model.safetensors").read_bytes()[:-9])
    return folder


@pytest.fixture
def table(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 2))
    y = np.where(x[:, 0] > x[:, 1], "left", "right-hand")
    lines = ["a,b,side,far", *(f"{a},{b},{c},{a + 10 * b}" for (a, b), c in zip(x, y, strict=True))]
    path = folder / "table.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Where this process ignores Ctrl-C, as jobs in the background do, its children would too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xpnet.tools.threads.most", lambda: 4)
