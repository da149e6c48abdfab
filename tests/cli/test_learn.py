"""`xpnet gradcheck` and `explain`."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers import NEAR, SCRIPTS, refused, small_set

from xpnet.cli import run
from xpnet.layers import Dropout
from xpnet.random import Purpose, step_keys

NOTEBOOK = SCRIPTS / "notebook.py"
X, Y, _ = small_set()


def test_gradcheck_says_what_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    options = "--hidden 7,3 --activation tanh,relu --dropout 0.1 --inputs 4 --outputs 2"
    assert run(["gradcheck", *options.split(), "--loss", "squared-error", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("4-7-3-2, tanh,relu, squared-error, 5 samples, on cpu, against differ")
    assert "\nright: the largest relative error is " in out
    assert "layers.1.W        4 x 7      0/28" in out
    assert run(["gradcheck", "--dropout", "0.9", "--seed", "3", "--device", "cpu"]) == 0
    assert "layers.1.W        6 x 8 not tested: " in capsys.readouterr().out


def test_gradcheck_finds_what_is_wrong_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gradcheck", str(NOTEBOOK)]) == 1
    out = capsys.readouterr().out
    assert out.count("\nwrong: ") == 6
    assert out.count("\nright: ") == 8
    assert run(["gradcheck", str(NOTEBOOK), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [one["right"] for one in told] == [False] * 6 + [True] * 8
    assert told[0]["arrays"][0]["angle"] > 10
    assert told[0]["title"] == "(a) the notebook as it stands: dL/dz"


def test_explain_shows_digits_and_the_tiny_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "--device", "cpu", "--samples", "3", "--hidden", "4"]) == 0
    out = capsys.readouterr().out
    assert "W (784 x 4)" in out
    assert "x (3 x 784)" in out
    assert run(["explain", "--tiny", "--activation", "relu", "--learning-rate", "0.1"]) == 0
    assert "W (3 x 2) ← W - 0.1 dW" in capsys.readouterr().out
    assert run(["explain", "--device", "cpu", "--json"]) == 0
    (t,) = (q for q in json.loads(capsys.readouterr().out)["quantities"] if q["name"] == "t")
    assert t["value"] == np.eye(10)[[5, 0]].tolist()  # the labels of the first training images
    assert run(["explain", "--tiny", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["chain"][-1]["value"] == pytest.approx(told["differences"], rel=1e-9)


def test_explain_shows_normalization_dropout_and_noise(capsys: pytest.CaptureFixture[str]) -> None:
    line = "explain --device cpu --normalization batch --dropout 0.5 --noise 0.1"
    assert run(line.split()) == 0
    out = capsys.readouterr().out
    for row in (
        "  s ε (4 x 784) (",
        "  h (4 x 3)\n",
        "  m (4 x 3)\n",
        "  dgamma (3) = Σ_i dy_i h_i",
    ):
        assert row in out
    told = []
    for more in ("--normalization layer --seed 1", "--seed 2 --dropout 0.5", "--seed 2"):
        assert run(["explain", "--device", "cpu", "--json", *more.split()]) == 0
        told.append(json.loads(capsys.readouterr().out))
        assert told[-1]["chain"][-1]["value"] == pytest.approx(told[-1]["differences"], rel=1e-6)
        assert told[-1]["quantities"][0]["shape"] == [2, 784]
    assert told[0]["layers"][2].startswith("LayerNorm(columns=3")
    assert told[1]["loss_before"] != told[2]["loss_before"]
    (m,) = (q["value"] for q in told[1]["quantities"] if q["name"] == "m")
    key = np.asarray([*step_keys(2, Purpose.UNITS, 3, range(1))[0], 0], dtype=np.int32)
    assert np.array_equal(m, Dropout(0.5).forward({"key": key}, np.ones((2, 3)))[0])


def test_explain_takes_a_regression_in_its_own_units(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{a[0]},{a[1]},{1000 + 300 * a[0] - 100 * a[1]}" for a in X]
    (folder / "prices.csv").write_text("\n".join(["a,b,price", *rows]), encoding="utf-8")
    line = ["explain", "--data", "prices.csv", "--target", "price", "--device", "cpu"]
    assert run([*line, "--json", "--samples", "20"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert 100 < next(q for q in told["quantities"] if q["name"] == "t")["value"][0][0] < 2000
    assert told["loss_after"] < 0.95 * told["loss_before"]
    assert run(line) == 0
    assert f"W - {told['learning_rate']:g} dW" in capsys.readouterr().out


def test_explain_takes_data_with_names(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("named.npz", x=X, y=np.asarray(["ant", "bee", "cat"])[Y])
    for loss in ("softmax-squared-error", "binary-cross-entropy"):
        assert run(["explain", "--data", "named.npz", "--device", "cpu", "--loss", loss]) == 0
        assert "t (2 x 3)" in capsys.readouterr().out


def test_explain_begins_where_training_does(folder: Path, capsys: pytest.CaptureFixture) -> None:
    """Of counts with the logarithm of their mean as the last bias."""
    np.savez("counts.npz", x=X, y=np.full(len(X), 100))
    arguments = "explain --data counts.npz --loss poisson --learning-rate 0.001 --device cpu --json"
    assert run(arguments.split()) == 0
    quantities = json.loads(capsys.readouterr().out)["quantities"]
    last = [q["value"] for q in quantities if (q["part"], q["name"]) == ("forward", "b")][-1]
    assert last == pytest.approx([np.log(100)], rel=1e-15)


LEARNERS = {
    "gradcheck gone.py": (1, "gone.py: no such file"),
    "gradcheck notes.txt": (1, "notes.txt"),
    "gradcheck notes.txt --hidden 3": (2, "--hidden has no effect"),
    "gradcheck --hidden 0": (2, "--hidden 0"),
    "gradcheck --inputs 0": (2, "layer width must be"),
    "gradcheck notes.txt --against jax": (2, "compared with differences only"),
    "gradcheck notes.txt --against differences": (1, "notes.txt, line 1: SyntaxError: invalid"),
    "gradcheck .": (1, ". is a folder"),
    "gradcheck --outputs 1": (2, "try --loss binary-cross-entropy"),
    "gradcheck --samples 0": (2, "--samples must be"),
    "gradcheck --loss squared-eror": (2, NEAR + "'squared-error'"),
    "gradcheck --activation rleu": (2, NEAR + "'relu'"),
    "gradcheck --against numpy": (2, "unknown reference 'numpy'"),
    "gradcheck --seed -1": (2, "--seed must be"),
    "explain --samples 0": (2, "--samples must be"),
    "explain --loss squared": (2, "unknown loss"),
    "explain --tiny --loss squared": (2, "unknown loss"),
    "explain --tiny --hidden 4": (2, "--hidden has no effect"),
    "explain --tiny --samples 3": (2, "--samples has no effect"),
    "explain --tiny --dropout 0.5": (2, "--dropout has no effect"),
    "explain --tiny --noise 0.5": (2, "--noise has no effect"),
    "explain --tiny --normalization batch": (2, "--normalization has no effect"),
    "explain --normalization bach": (2, NEAR + "'batch'"),
    "explain --dropout 1": (2, "--dropout must be"),
    "explain --seed -1": (2, "--seed must be"),
    "explain --tiny --learning-rate 0": (2, "--learning-rate must be"),
    "explain --data gone.npz": (1, "gone.npz"),
    "explain --hidden none,3": (2, "--hidden none,3"),
}


@pytest.mark.parametrize("line", LEARNERS)
def test_a_learners_mistake_is_answered_in_a_line(
    line: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "notes.txt").write_text("not Python, I think", encoding="utf-8")
    code, message = LEARNERS[line]
    assert run(line.split()) == code
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_explain_takes_the_data_as_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for data in (["tiny.npz"], ["--data", "tiny.npz"]):
        assert run(["explain", *data, "--device", "cpu"]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != ""
    refused(capsys, run(["explain", "tiny.npz", "--tiny"]), 2, "DATA has no effect here")
