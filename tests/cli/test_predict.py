"""`xpnet predict`."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import idx_folder, small_set, train

from xpnet.builder import mlp
from xpnet.cli import run
from xpnet.model import load

X, Y, IMAGES = small_set()


def saved_samples() -> np.ndarray:
    np.save("samples.npy", X[:5])
    return load("runs/tiny-1").predict_proba(X[:5])


@pytest.mark.parametrize(
    "arguments",
    [
        ["runs/tiny-1", "samples.npy"],
        ["runs/tiny-1/model.safetensors", "samples.npy"],
        ["samples.npy", "--model", "runs/tiny-1"],
        ["samples.npy"],
    ],
    ids=["folder-first", "file-first", "model-option", "newest"],
)
def test_predict_gives_a_label_and_probabilities(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert train("--epochs", "2", "-q") == 0
    expected = saved_samples()
    assert run(["predict", *arguments, "--json", "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    rows = json.loads(printed.out)
    assert [row["sample"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["label"] for row in rows] == expected.argmax(axis=1).tolist()
    np.testing.assert_allclose([row["probabilities"] for row in rows], expected, rtol=1e-5)
    np.testing.assert_allclose([sum(row["probabilities"]) for row in rows], 1, rtol=1e-5)
    assert ("tiny-1" in printed.err) == (arguments == ["samples.npy"])
    assert run(["predict", *arguments, "--device", "cpu"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["file", "sample", "label", "probability"]
    assert [line.split()[2] for line in table[1:]] == [str(row["label"]) for row in rows]
    assert table[1].split()[3] == f"{expected[0].max():.4f}"


def test_predict_takes_several_files_and_the_labels_by_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.savez("named.npz", x=X, y=np.asarray(["null", "één", "雪"])[Y])
    assert train("--data", "named.npz", "--epochs", "20", "-q") == 0
    np.save("a.npy", X[:3])
    np.savez("b.npz", X[3:5])
    code = run(["predict", "runs/named-1", "a.npy", "b.npz", "--json", "--device", "cpu"])
    assert code == 0
    rows = json.loads(capsys.readouterr().out)
    places = [("a.npy", 0), ("a.npy", 1), ("a.npy", 2), ("b.npz", 0), ("b.npz", 1)]
    assert [(row["file"], row["sample"]) for row in rows] == places
    expected = load("runs/named-1").predict(X[:5])
    assert [row["label"] for row in rows] == expected.tolist()


def test_predict_gives_the_label_of_the_greatest_logit(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the probabilities of several are rounded to 1, as float32 does from 17 on."""
    start = mlp(4, 3, output="sigmoid", initializer="zeros")
    theta = np.concat([np.zeros(12), [20, 30, 25]]).astype(np.float32)
    replace(start, theta=theta).save("sure.safetensors")
    np.save("samples.npy", X[:1])
    assert run(["predict", "sure.safetensors", "samples.npy", "--json", "--device", "cpu"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["probabilities"] == [1, 1, 1]
    assert row["label"] == load("sure.safetensors").predict(X[:1])[0] == 1


def test_predict_takes_the_newest_run(capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2, 3):
        assert train("--epochs", "1", "-q") == 0
        path = Path(f"runs/tiny-{number}/model.safetensors")
        os.utime(path, (number % 3, number % 3))
    saved_samples()
    assert run(["predict", "samples.npy", "--device", "cpu"]) == 0
    assert "tiny-2" in capsys.readouterr().err


def test_predict_takes_one_image_without_an_axis_for_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    idx_folder(folder / "set", x_train=IMAGES, y_train=Y.astype(np.uint8))
    assert train("--data", "set", "--epochs", "1", "-q") == 0
    np.save("one.npy", IMAGES[0])
    assert run(["predict", "one.npy", "--json", "--device", "cpu"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_labels_that_the_terminal_has_no_letters_for_are_still_printed(encoding: str) -> None:
    np.savez("named.npz", x=X, y=np.asarray(["雪", "ü", "a"])[Y])
    assert train("--data", "named.npz", "--epochs", "1", "-q") == 0
    np.save("samples.npy", X)
    done = subprocess.run(
        [sys.executable, "-m", "xpnet", "predict", "samples.npy", "--device", "cpu"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 61
