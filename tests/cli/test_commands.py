"""Every command, as a user meets it: its help, and how it ends."""

import os
import subprocess
import sys
from importlib import metadata
from math import exp, log, log1p
from pathlib import Path

import numpy as np
import pytest
from helpers import POSIX, QUICK, command, refused, train, unpaired

from xpnet.builder import mlp
from xpnet.cli import run
from xpnet.layers import Dense
from xpnet.model import Model
from xpnet.network import Network
from xpnet.registry import COMMANDS


def sigma(x: float) -> float:
    return 1 / (1 + exp(-x))


# What the terminal sees


def test_no_arguments_print_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    printed = capsys.readouterr()
    text = printed.out + printed.err
    for name in ("train", "evaluate", "predict", "devices"):
        assert name in text
    assert "Traceback" not in text


def test_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"xpnet {metadata.version('xpnet')}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert run([name, "--help"]) == 0
    assert f"Usage: xpnet {name}" in capsys.readouterr().out


@POSIX
def test_a_reader_that_leaves_early_sees_no_traceback() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "xpnet", *QUICK], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode in (0, 141)


@POSIX
@pytest.mark.parametrize("arguments", [["train", "--help"], ["devices"], ["--version"]], ids=str)
def test_a_reader_that_has_left_before_sees_no_traceback(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "xpnet", *arguments],
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [
        ("devices", ""),
        *(
            pytest.param(line, unbuffered, marks=pytest.mark.thorough)
            for line in ("--help", "train --help", "--version", "", "devices")
            for unbuffered in ("", "1")
            if line + unbuffered != "devices"
        ),
    ],
)
def test_output_that_finds_no_room_is_told_in_a_line(arguments: str, unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "xpnet", *arguments.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            timeout=60,
        )
    assert done.stderr == b"xpnet: No space left on device\n"
    assert done.returncode == 1


# Wrong input


@pytest.mark.parametrize(
    "line",
    [
        "train --data ~nobody-here/x.npz",
        "train --data kmnist --data-dir ~nobody-here",
        "train --data tiny.npz --output ~nobody-here/x",
        "predict --model a.safetensors ~nobody-here/x.npy",
    ],
)
def test_a_home_that_is_not_there_is_one_line(
    line: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mlp(4, 3).save("a.safetensors")
    refused(capsys, run(line.split()), 1, "there is no such home folder")


def test_a_name_of_two_lines_is_told_in_one(capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, train("--data", "two\nlines"), 1, "two lines: no such file")


def test_wrong_input_prints_no_traceback_in_a_process_of_its_own() -> None:
    done = command("train", "--data", "mnits")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "xpnet: mnits: no such file or folder; did you mean 'mnist'?\n"


# Ctrl-C


@pytest.mark.parametrize(
    "place", ["data.sources.load", "device.selection.select_device", "fitting.evaluation.evaluate"]
)
def test_ctrl_c_anywhere_exits_130_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    mlp(4, 3).save("model.safetensors")
    monkeypatch.setattr(f"xpnet.{place}", interrupted)
    refused(capsys, run(["evaluate", "model.safetensors", "--data", "tiny.npz"]), 130, "interrupt")


# What each command prints

SQUARES = """
def gradchecks():
    a = {"a": np.asarray([1.0, 2.0])}
    yield "squares", lambda p: (p["a"] ** 2).sum(), lambda p: {"a": [2.0, 3.0]}, a
"""
# The line, the exit code, and parts of what it prints, by hand for the model and data of `line`.
EXACT: dict[str, tuple[str, int, list[str]]] = {
    # Weights of zero: each of two classes has probability 1/2, and the loss is log 2.
    "train": (
        "train --data line.npz --hidden none --initializer zeros --epochs 1 --device cpu",
        0,
        [
            "line: 2 training and 3 test samples of 2\n",
            "2-2, 6 parameters\n",
            f"loss {log(2):.4f} ",
        ],
    ),
    # Right are two of three; the logits of the right label exceed the other's by 2, 4 and -4.
    "evaluate": (
        "evaluate line.safetensors --data line.npz --device cpu",
        0,
        [
            "test accuracy  66.67% of 3 samples",
            f"test loss      {(log1p(exp(-2)) + log1p(exp(-4)) + log1p(exp(4))) / 3:.4f} (softmax",
            "precision 75.00%, recall 75.00%, F1 66.67% (macro)\n",
        ],
    ),
    "predict": (
        "predict line.npy --model line.safetensors --device cpu",
        0,
        [
            f"line.npy       0         a  {1 / (1 + exp(-2)):.4f}\n",
            f"line.npy       1         b  {1 / (1 + exp(-4)):.4f}\n",
            f"line.npy       2         a  {1 / (1 + exp(-4)):.4f}\n",
        ],
    ),
    "devices": ("devices", 0, ["cpu      works  ", "cuda", "--device auto takes "]),
    # Of Σ a² the derivatives are 2 a, (2, 4), and the file says (2, 3).
    "gradcheck": (
        "gradcheck squares.py",
        1,
        ["squares\n", " 1/2 ", " 3.000e+00  4.000e+00 ", "wrong"],
    ),
    # x = (1, ½, 2) through 3-2-2: the logits differ by z.
    "explain": (
        "explain --tiny",
        0,
        [
            "-0.1500  0.6000",
            f"{sigma(-0.15):.4f} {sigma(0.6):.4f}",
            f"= {log1p(exp(0.1 + 0.6 * sigma(-0.15) + 0.2 * sigma(0.6))):.6f}",
        ],
    ),
    "bench": (
        "bench --hidden 4 --rounds 1",
        0,
        ["784-4-10, nesterov, float32, MNIST, on the CPU\n", "| 1.00 | 1.00 |"],
    ),
}


def test_every_command_has_an_example() -> None:
    assert unpaired(EXACT, COMMANDS) == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_prints_what_it_should(
    line: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    arguments, code, parts = EXACT[name]
    assert arguments.split()[0] == name
    assert run(arguments.split()) == code
    printed = capsys.readouterr().out
    for part in parts:
        assert part in printed


@pytest.fixture
def line(folder: Path) -> Path:
    """A model with the logits (d, -d) for d = x_0 - x_1, and samples of classes a and b."""
    network = Network(2, (Dense(2, 2),))
    theta = network.pack([{"W": np.asarray([[1.0, -1.0], [-1.0, 1.0]]), "b": np.zeros(2)}])
    Model(network, theta, np.zeros(0), ("a", "b"), (2,), "softmax", False).save("line.safetensors")
    x = np.asarray([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
    np.save("line.npy", x)
    np.savez("line.npz", x_train=x[:2], y_train=["a", "b"], x_test=x, y_test=["a", "b", "b"])
    (folder / "squares.py").write_text(f"import numpy as np\n{SQUARES}", encoding="utf-8")
    return folder
