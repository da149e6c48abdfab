"""Which model `evaluate` and `predict` use."""

import os
from pathlib import Path

import numpy as np
import pytest
from helpers import idx_folder, refused, small_set

from xpnet.builder import mlp
from xpnet.cli import models, run

X, Y, IMAGES = small_set()
MISSING = "neither model.safetensors in the current folder nor runs/*/model.safetensors"


def saved(path: str, when: int = 1) -> None:
    """A model of `small_set`."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    mlp(4, 3).save(path)
    os.utime(path, (when, when))


def test_the_model_of_the_current_folder_comes_before_the_newest_run(folder: Path) -> None:
    assert models.choose(None) is None
    saved("runs/a/model.safetensors", 2)
    saved("runs/b/model.safetensors", 1)
    assert models.choose(None) == str(Path("runs/a"))
    saved("model.safetensors", 0)
    assert models.choose(None) == "model.safetensors"
    assert models.choose("runs/b") == "runs/b"


@pytest.mark.parametrize("place", [".", "runs/a"], ids=["newest", "current folder"])
def test_a_model_that_is_found_is_told(
    place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved("runs/a/model.safetensors")
    np.save("x.npy", X)
    np.save("wide.npy", np.ones((2, 9)))
    up = Path.cwd()
    monkeypatch.chdir(place)
    found = "model.safetensors" if place != "." else str(Path("runs/a"))
    for line in (f"predict {up}/x.npy", f"evaluate {up}/tiny.npz"):
        assert run([*line.split(), "--device", "cpu"]) == 0
        assert capsys.readouterr().err == f"xpnet: the model is {found}\n"
    code = run(["predict", f"{up}/wide.npy", "--device", "cpu"])
    refused(capsys, code, 1, f"(the model is {found})")


@pytest.mark.parametrize(
    ("line", "how"),
    [
        ("predict x.npy", "name a model by --model"),
        ("evaluate", "name a model as in xpnet evaluate MODEL"),
        ("evaluate tiny.npz", "name a model as in xpnet evaluate MODEL"),
    ],
)
def test_where_no_model_is_there_the_places_are_named(
    line: str, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("x.npy", X)
    code = run(line.split())
    errors = capsys.readouterr().err
    assert code == 2
    assert MISSING in errors
    assert how in errors


@pytest.mark.parametrize(
    "line", ["evaluate runs", "predict runs x.npy", "predict x.npy --model runs"]
)
def test_a_folder_of_runs_is_no_model(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    saved("runs/a/model.safetensors")
    expected = f"runs: the folder holds no model.safetensors; the newest run in it is runs{os.sep}a"
    refused(capsys, run(line.split()), 1, expected)


def test_arguments_are_told_apart(folder: Path) -> None:
    saved("runs/a/model.safetensors")
    saved("mnist/model.safetensors")
    idx_folder(folder / "digits", x_train=IMAGES, y_train=Y.astype(np.uint8))
    Path("photos").mkdir()
    Path("photos/1.PNG").touch()
    Path("empty").mkdir()
    Path("notes.txt").touch()
    data = {"tiny.npz", "digits", "photos", "notes.txt", "kmnist"}
    for argument in (*data, "mnist", "runs/a", "runs/a/model.safetensors", "empty", "gone"):
        assert models.is_data(argument) == (argument in data), argument
        assert models.is_model(argument) == (argument not in (*data, "gone")), argument
    assert models.in_order("tiny.npz", "runs/a") == ("runs/a", "tiny.npz")
    assert models.in_order("runs/a", "tiny.npz") == ("runs/a", "tiny.npz")
    assert models.in_order("tiny.npz", None) == (None, "tiny.npz")
    assert models.in_order("runs/a", None) == ("runs/a", None)
