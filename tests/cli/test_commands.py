"""The command, as a user meets it: what it prints, what it leaves, and how it ends."""

import csv
import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import click
import numpy as np
import pytest
from helpers import SCRIPTS, idx_folder
from threadpoolctl import threadpool_info, threadpool_limits

from xpnet.builder import mlp
from xpnet.cli import COMMANDS, parser, run
from xpnet.cli.parser import ARGUMENTS, option
from xpnet.cli.report import Report
from xpnet.data import sources
from xpnet.device import selection
from xpnet.fitting.evaluation import Evaluation, evaluate
from xpnet.fitting.results import Epoch, Result
from xpnet.fitting.training import fit
from xpnet.layers import Dropout
from xpnet.losses import SquaredError
from xpnet.model import load
from xpnet.network import Network
from xpnet.random import Purpose, step_keys

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals and terminals")
NOTEBOOK = SCRIPTS / "notebook.py"
FILES = ["history.csv", "model.safetensors", "run.json"]
DISTURBING = (
    *("NO_COLOR", "FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TTY_COMPATIBLE", "COLUMNS"),
    *("PYTHONUNBUFFERED", "PYTHONWARNINGS", "PYTHONIOENCODING", "PYTHONUTF8"),
)
RNG = np.random.default_rng(0)
Y = np.arange(60) % 3
X = (RNG.normal(size=(60, 4)) + 3 * Y[:, None]).astype(np.float32)
IMAGES = RNG.integers(0, 256, size=(60, 5, 5)).astype(np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a small data set in it."""
    monkeypatch.chdir(tmp_path)
    for name in DISTURBING:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(selection, "_warned", False)
    np.savez("tiny.npz", x=X, y=Y)
    return tmp_path


def train(*arguments: str) -> int:
    return run(["train", "--device", "cpu", "--data", "tiny.npz", "--hidden", "8", *arguments])


def command(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "xpnet", *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        **options,
    )


def manifest(folder: str | Path) -> dict:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    text = (Path(folder) / "run.json").read_text(encoding="utf-8")
    return json.loads(text, parse_constant=refuse)


def names(folder: str | Path) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


# Training


def test_train_leaves_a_run_folder_that_tells_all(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "--device", "cpu", "--data", "tiny.npz", "--hidden", "8"]
    assert run([*arguments, "--epochs", "3", "--seed", "5"]) == 0
    assert names("runs/tiny-1") == FILES
    told = manifest("runs/tiny-1")
    assert told["status"] == "finished"
    assert told["command"] == shlex.join(["xpnet", *arguments, "--epochs", "3", "--seed", "5"])
    assert told["configuration"]["epochs"] == 3
    assert told["configuration"]["optimizer"] == "nesterov"
    assert {"python", "xpnet", "numpy"} == told["versions"].keys()
    assert (told["device"], told["device_reason"], told["seed"]) == ("cpu", "asked for", 5)
    assert told["threads"] >= 1
    assert told["data"]["source"] == str(Path("tiny.npz").resolve())
    assert list(told["data"]["sha256"]) == ["tiny.npz"]
    assert (told["epochs"], told["best_epoch"] in (1, 2, 3)) == (3, True)
    assert told["seconds"] > 0
    low, high = told["test_accuracy_interval"]
    assert 0 <= low <= told["test_accuracy"] <= high <= 1
    with Path("runs/tiny-1/history.csv").open(newline="") as stream:
        rows = [*csv.DictReader(stream)]
    columns = "epoch loss validation_loss validation_accuracy learning_rate seconds"
    assert [*rows[0]] == columns.split()
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    printed = capsys.readouterr()
    assert printed.err == ""
    for piece in ("48 training and 12 test samples", "4-8-3", "cpu (asked for)", "epoch   3/3"):
        assert piece in printed.out
    assert f"test accuracy  {told['test_accuracy']:.2%} of 12 samples (95 % interval" in printed.out
    assert "runs/tiny-1: model.safetensors, history.csv, run.json" in printed.out.replace("\\", "/")


def test_train_takes_a_folder_of_idx_files(folder: Path) -> None:
    labels = Y.astype(np.uint8)
    idx_folder(folder / "set", x_train=IMAGES, y_train=labels, x_test=IMAGES, y_test=labels)
    assert train("--data", "set", "--epochs", "1") == 0
    assert names("runs/set-1") == FILES
    assert load("runs/set-1").input_shape == (5, 5)
    assert len(manifest("runs/set-1")["data"]["sha256"]) == 4


def test_lines_of_epochs_are_some_twenty_with_the_time_that_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here ten seconds an epoch, of 300 samples in two seconds; and the clock stands."""
    monkeypatch.setattr("xpnet.cli.report.perf_counter", lambda: 1000.0)
    report = Report(mlp(25, 2), "some", samples=300, epochs=40, quiet=False)
    history = [Epoch(i, 1e5, None, 0.5, 0.1, 2.0) for i in range(1, 41)]
    for epoch in history:
        report.begun = 1000.0 - 10 * epoch.epoch
        report.epoch(epoch)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 21
    assert lines[1] == "epoch   2/40   loss 1e+05  accuracy 50.00%  150 samples/s  380 s left"
    test = Evaluation(300, -2e5, None, None, {})
    result = Result(report.model, tuple(history), 40)
    report.end(result, test, SquaredError(), 80.0, selection.select("cpu"), Path("runs"))
    told = capsys.readouterr().out
    assert "test loss      -2e+05 (squared-error)\n" in told
    assert "time           80.0 s for 40 epochs, 150 samples/s, on cpu\n" in told


def test_train_takes_mnist_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["train", "--device", "cpu", "--epochs", "1", "--limit", "2000", "--hidden", "16"])
    assert code == 0
    assert names("runs/mnist-1") == FILES
    assert manifest("runs/mnist-1")["data"]["source"] == "mnist"
    assert manifest("runs/mnist-1")["test_accuracy"] > 0.5
    assert "60,000 training and 10,000 test samples of 28 x 28" in capsys.readouterr().out


def test_equal_seeds_give_equal_files_and_others_do_not() -> None:
    for output, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert train("--dropout", "0.2", "--seed", seed, "--output", output, "--epochs", "3") == 0
    a, b, c = (Path(name, "model.safetensors").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_the_model_is_that_of_the_best_epoch() -> None:
    assert train("--epochs", "6") == 0
    with Path("runs/tiny-1/history.csv").open(newline="") as stream:
        rows = [*csv.DictReader(stream)]
    best = max(
        rows, key=lambda row: (float(row["validation_accuracy"]), -float(row["validation_loss"]))
    )
    assert manifest("runs/tiny-1")["best_epoch"] == int(best["epoch"])


@pytest.mark.parametrize(
    "options",
    [
        ["--hidden", "none"],
        ["--hidden", "8,4", "--activation", "tanh,sigmoid", "--dropout", "0.5"],
        ["--optimizer", "adamw", "--weight-decay", "0.1", "--schedule", "cosine"],
        ["--dtype", "float64", "--label-smoothing", "0.1", "--batch-size", "7"],
        ["--loss", "softmax-squared-error"],
        ["--loss", "binary-cross-entropy"],
        ["--validation", "0"],
        ["--validation", "10", "--patience", "1", "--limit", "20"],
    ],
    ids=" ".join,
)
def test_every_option_trains(options: list[str]) -> None:
    assert train("--epochs", "2", *options) == 0
    told = manifest("runs/tiny-1")["configuration"]
    for name, value in zip(options[::2], options[1::2], strict=True):
        assert str(told[name[2:].replace("-", "_")]) in (value, f"{value}.0")


def test_the_loss_decides_what_the_outputs_are() -> None:
    for loss, output in (("softmax-squared-error", "softmax"), ("binary-cross-entropy", "sigmoid")):
        assert train("--epochs", "60", "--loss", loss, "--output", loss) == 0
        assert load(loss).output == output
        assert manifest(loss)["test_accuracy"] > 0.5


def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--quiet", "--epochs", "1") == 0
    assert capsys.readouterr() == ("", "")
    assert names("runs/tiny-1") == FILES


def test_a_path_with_spaces_and_other_letters(folder: Path) -> None:
    place = folder / "my däta 雪"
    place.mkdir()
    (folder / "tiny.npz").rename(place / "the set.npz")
    assert train("--data", f"{place}/the set.npz", "--output", f"{place}/a run", "-q") == 0
    assert run(["evaluate", f"{place}/a run"]) == 0
    assert manifest(place / "a run")["data"]["source"] == str((place / "the set.npz").resolve())


def test_a_second_run_gets_the_next_number() -> None:
    assert train("--epochs", "1", "-q") == 0
    before = Path("runs/tiny-1/model.safetensors").read_bytes()
    assert train("--epochs", "1", "-q", "--seed", "1") == 0
    assert names("runs") == ["tiny-1", "tiny-2"]
    assert Path("runs/tiny-1/model.safetensors").read_bytes() == before


# Evaluating and predicting


def test_evaluate_says_what_training_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--epochs", "2", "-q") == 0
    told = manifest("runs/tiny-1")
    assert run(["evaluate", "runs/tiny-1", "--json", "--device", "cpu"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["accuracy"] == told["test_accuracy"]
    assert answer["interval"] == told["test_accuracy_interval"]
    assert answer["loss"] == pytest.approx(told["test_loss"], rel=1e-6)
    assert (answer["samples"], answer["device"]) == (12, "cpu")
    assert run(["evaluate", "runs/tiny-1", "--device", "cpu"]) == 0
    table = capsys.readouterr().out
    assert f"test accuracy  {told['test_accuracy']:.2%} of 12 samples" in table
    assert f"test loss      {told['test_loss']:.4f}" in table


def test_evaluate_takes_a_file_and_other_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--epochs", "1", "-q") == 0
    np.savez("other.npz", x_train=X, y_train=Y, x_test=X, y_test=Y)
    model = "runs/tiny-1/model.safetensors"
    assert run(["evaluate", model, "--data", "other.npz", "--json", "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 60


def test_evaluate_finds_the_data_of_the_run_from_any_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    idx_folder(folder / "set", x_train=IMAGES, y_train=Y.astype(np.uint8))
    assert train("--data", "set", "--output", "out", "--epochs", "1", "-q") == 0
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert run(["evaluate", "../out", "--device", "cpu"]) == 0


@pytest.mark.parametrize("content", ["[]", '{"data": 5}', '{"data": {"source": 5}}', "{"])
def test_evaluate_of_a_run_with_a_damaged_manifest_says_so(
    capsys: pytest.CaptureFixture[str], content: str
) -> None:
    mlp(784, 10).save(Path("model.safetensors"))
    Path("run.json").write_text(content)
    code = run(["evaluate", ".", "--device", "cpu"])
    assert (code == 0) != capsys.readouterr().err.startswith("xpnet: ")


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


def test_help_has_the_everyday_options_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--help"]) == 0
    text = capsys.readouterr().out
    panels = [text.index(name) for name in ("Everyday", "Network", "Training")]
    assert panels == sorted(panels)
    everyday, network, training = (
        re.findall(r"(--[a-z-]+)", part)
        for part in re.split(r"\n(?:Everyday|Network|Training):\n", text)[1:]
    )
    assert {"--data", "--hidden", "--epochs", "--device", "--limit"} <= {*everyday}
    assert {"--activation", "--dropout"} <= {*network}
    assert {"--optimizer", "--learning-rate", "--seed"} <= {*training}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert run([name, "--help"]) == 0
    assert f"Usage: xpnet {name}" in capsys.readouterr().out


def test_the_usage_says_what_may_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    for name, place in (("evaluate", "MODEL"), ("predict", "FILE..."), ("gradcheck", "[FILE]")):
        assert run([name, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"Usage: xpnet {name} [OPTIONS] {place}\n")


def take(
    context: click.Context,
    files: Annotated[tuple[str, ...], option(ARGUMENTS, "Some files: 100 % of them.", "FILE...")],
    whole_number: Annotated[int, option("Numbers", "Whole.")] = 0,
    part: Annotated[float | None, option("Numbers", "A part.", default="the half")] = None,
    as_json: Annotated[bool, option("Text", "In JSON.", "--json", "-j")] = False,
    text: Annotated[str, option("Text", "Any.")] = "x",
    sure: Annotated[bool, option("Text", "Be sure.")] = True,
) -> int:
    """Take what is given.

    And show it.
    """
    assert context.params == {
        "files": files, "whole_number": whole_number, "part": part, "as_json": as_json,
        "text": text, "sure": sure,
    }  # fmt: skip
    print(sorted(context.params.items()))
    return 7


def one(
    file: Annotated[str | None, option(ARGUMENTS, "A file.", "[FILE]", default="all")] = None,
) -> None:
    """Take one."""
    print(file)


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other commands in the place of those that there are."""
    commands = parser.Commands({"take": take, "one": one, "none": lambda: None}, "About.")
    monkeypatch.setattr("xpnet.cli.program", commands)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ("a", {"files": ("a",)}),
        ("a b --json c", {"as_json": True, "files": ("a", "b", "c")}),
        ("-j a", {"as_json": True, "files": ("a",)}),
        ("--whole-number -3 a", {"files": ("a",), "whole_number": -3}),
        ("--part=-1e-3 a", {"files": ("a",), "part": -1e-3}),
        ("--part -1e-3 a", {"files": ("a",), "part": -1e-3}),
        ("a --part nan --part 2", {"files": ("a",), "part": 2.0}),
        ("a --json -- --json -- b", {"as_json": True, "files": ("a", "--json", "--", "b")}),
        ("--text --sure a", {"files": ("a",), "text": "--sure"}),
        ("--text= a", {"files": ("a",), "text": ""}),
        ("a --no-sure", {"files": ("a",), "sure": False}),
        ("a --sure", {"files": ("a",)}),
    ],
)
def test_a_line_gives_the_parameters_of_a_command(
    others: None, line: str, given: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    defaults = {"whole_number": 0, "part": None, "as_json": False, "text": "x", "sure": True}
    assert run(["take", *line.split()]) == 7
    assert capsys.readouterr().out == f"{sorted((defaults | given).items())}\n"


def test_what_has_no_name_may_be_left_out(others: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert (run(["one"]), run(["one", "a"])) == (0, 0)
    assert capsys.readouterr().out == "None\na\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("take", "Missing argument 'FILE...'. (xpnet take --help)"),
        ("take a --whole-number 1.5", "'1.5' is not a valid integer. (xpnet take --help)"),
        ("take a --part=0,5", "'0,5' is not a valid float. (xpnet take --help)"),
        ("take a --part", "Option '--part' requires an argument. (xpnet take --help)"),
        ("take --whole-nunber=5", "--whole-number"),
        ("take a --json=yes", "Option '--json' does not take a value. (xpnet take --help)"),
        ("takes", "unknown command 'takes', did you mean 'take'? (take, one, none)"),
        ("--json take", "(xpnet --help)"),
        ("one a b", "unexpected extra argument (b) (xpnet one --help)"),
        ("none a", "unexpected extra argument (a) (xpnet none --help)"),
    ],
)
def test_a_line_that_is_wrong_is_refused(
    others: None, line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, run(line.split()), 2, message)


def test_the_help_is_made_of_the_function(others: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["take", "-h"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("Usage: xpnet take [OPTIONS] FILE...\n\n  Take what is given.\n\n  And")
    assert "\nArguments:\n  FILE...  Some files: 100 % of them.\n\nNumbers:\n" in told
    assert "  --whole-number INTEGER  Whole.  [default: 0]\n" in told
    assert "  --part FLOAT            A part.  [default: (the half)]\n\nText:\n" in told
    assert "\n  -j, --json          In JSON.\n  --text TEXT         Any.  [default: x]\n" in told
    assert "  --sure / --no-sure  Be sure.  [default: sure]\n" in told
    assert run(["one", "--help"]) == 0
    assert "  [FILE]  A file.  [default: (all)]\n" in capsys.readouterr().out
    assert run([]) == 2
    told = capsys.readouterr().out
    assert "\n\n  About.\n\n" in told
    assert "\nCommands:\n  take  Take what is given.\n  one   Take one.\n  none\n" in told


def test_devices_names_the_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devices"]) == 0
    assert capsys.readouterr().out.startswith("cpu      works")


ESCAPE = "\x1b"
QUICK = ["train", "--data", "tiny.npz", "--hidden", "8", "--device", "cpu", "--epochs", "8"]


@pytest.mark.parametrize("setting", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_lines_are_plain_where_there_is_no_terminal(setting: dict[str, str]) -> None:
    done = command(*QUICK, env=os.environ | {"TERM": "xterm-256color"} | setting)
    assert done.returncode == 0
    assert done.stderr == ""
    assert ESCAPE not in done.stdout
    assert "\r" not in done.stdout
    assert len(done.stdout.splitlines()) == 4 + 8 + 7


def start_on_terminal(*arguments: str, **setting: str) -> tuple[subprocess.Popen[bytes], int]:
    """A process on a pseudo terminal, and the descriptor that gives what it prints."""
    pty = pytest.importorskip("pty", reason="there are no pseudo terminals here")
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "xpnet", *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=os.environ | {"TERM": "xterm-256color"} | setting,
    )
    os.close(slave)
    return process, master


def read_to_end(master: int) -> bytes:
    content = b""
    with suppress(OSError):  # what Linux raises when the other end is closed
        while part := os.read(master, 65536):
            content += part
    os.close(master)
    return content


def on_terminal(*arguments: str, **setting: str) -> tuple[int, str]:
    """The exit code and all that a pseudo terminal got."""
    process, master = start_on_terminal(*arguments, **setting)
    content = read_to_end(master)
    return process.wait(60), content.decode()


@POSIX
@pytest.mark.parametrize(
    ("setting", "moves", "colours"),
    [({}, True, True), ({"NO_COLOR": "1"}, True, False), ({"TERM": "dumb"}, False, False)],
    ids=["colour", "NO_COLOR", "dumb"],
)
def test_a_terminal_sees_the_progress(setting, moves: bool, colours: bool) -> None:
    code, seen = on_terminal(*QUICK, **setting)
    assert code == 0
    assert "epoch   8/8" in seen
    assert "test accuracy" in seen
    assert "Traceback" not in seen
    assert (ESCAPE in seen) == moves
    assert bool(re.search(r"\x1b\[(\d+;)*(3|4|9|10)\d", seen)) == colours


@POSIX
def test_a_terminal_that_is_told_to_be_quiet_sees_nothing() -> None:
    assert on_terminal(*QUICK, "--quiet") == (0, "")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_labels_that_the_terminal_has_no_letters_for_are_still_printed(encoding: str) -> None:
    np.savez("named.npz", x=X, y=np.asarray(["雪", "ü", "a"])[Y])
    assert train("--data", "named.npz", "-q") == 0
    np.save("samples.npy", X)
    done = subprocess.run(
        [sys.executable, "-m", "xpnet", "predict", "samples.npy", "--device", "cpu"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 61


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
    assert process.returncode in (0, 1)


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
    assert done.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("arguments", ["--help", "train --help", "--version", "", "devices"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
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
    mlp(4, 3).save("model.safetensors")
    Path("cut.safetensors").write_bytes(Path("model.safetensors").read_bytes()[:-9])
    return folder


NEAR = "did you mean "
TRAIN = {
    "--data gone": (1, "gone"),
    "--data gone.npz": (1, "gone.npz"),
    "--data mnits": (1, NEAR + "'mnist'"),
    "--data notes.txt": (1, "notes.txt"),
    "--data cut": (1, "train-images-idx3-ubyte: truncated"),
    "--data magic": (1, "train-images-idx3-ubyte: not an IDX file"),
    "--data mislabelled": (1, "train-images-idx3-ubyte: holds labels"),
    "--data unlabelled": (1, "train-labels-idx1-ubyte"),
    "--data unequal": (1, "unequal: 60 samples in x"),
    "--data objects.npz": (1, "objects.npz: y: holds Python objects"),
    "--data unequal.npz": (1, "unequal.npz: 60 samples in x and 7 labels"),
    "--data damaged.npz": (1, "damaged.npz"),
    "--data nan.npz": (1, "nan.npz: x: element (0, 2)"),
    "--data label.npz": (1, "label: test label 3"),
    "--data one-class.npz": (1, "one-class"),
    "--hidden 0": (2, "--hidden 0"),
    "--hidden -5": (2, "--hidden -5"),
    "--hidden ten": (2, "--hidden ten"),
    "--hidden 8,,8": (2, "--hidden 8,,8"),
    "--hidden 99999999999999999999": (2, "99999999999999999999"),
    "--activation rleu": (2, NEAR + "'relu'"),
    "--activation relu,tahn --hidden 8,8": (2, NEAR + "'tanh'"),
    "--activation relu,tanh": (2, "2 activations for 1 hidden"),
    "--optimizer adma": (2, NEAR + "'adam'"),
    "--schedule one-cylce": (2, NEAR + "'one-cycle'"),
    "--loss softmax-cross-entrpy": (2, NEAR + "'softmax-cross-entropy'"),
    "--loss squared-error --task classification": (2, "squared-error is not for classification"),
    "--loss hinge:3": (2, "hinge takes no number"),
    "--loss softmax-squared-error --label-smoothing 0.1": (
        2,
        "label smoothing is for softmax-cross-entropy",
    ),
    "--task clasification": (2, "did you mean 'classification'"),
    "--task multilabel": (1, "a target is 2; multilabel needs 0 or 1"),
    "--normalization btach": (2, "did you mean 'batch'"),
    "--noise -1": (2, "noise -1.0"),
    "--max-norm -1": (2, "max_norm -1.0"),
    "--initializer he": (2, "unknown initializer 'he'"),
    "--initializer zeros,zeros,zeros": (2, "3 initializers for 2 dense layers"),
    "--activation leaky-relu:2": (2, "expected 0 < slope < 1"),
    "--accumulate 0": (2, "accumulate 0"),
    "--warmup 1": (2, "warmup 1.0 is outside"),
    "--clip-norm 0": (2, "clip_norm 0.0"),
    "--average emu": (2, "did you mean 'ema'"),
    "--average ema:1": (2, "decay 1.0 is outside"),
    "--class-weight equal": (2, "class_weight 'equal'"),
    "--schedule plateau --validation 0": (2, "schedule plateau needs samples to validate on"),
    "--loss binary-cross-entropy --label-smoothing 0.1": (
        2,
        "label smoothing is for softmax-cross-entropy",
    ),
    "--dtype float23": (2, NEAR + "'float32'"),
    "--device cdua": (2, NEAR + "'cuda'"),
    "--device cuda:-1": (2, "cuda:-1"),
    "--epochs 0": (2, "epochs 0"),
    "--epochs -3": (2, "epochs -3"),
    "--epochs ten": (2, "--epochs"),
    "--batch-size 0": (2, "batch"),
    "--batch-size -1": (2, "-1"),
    "--limit 0": (2, "limit 0"),
    "--limit -5": (2, "limit -5"),
    "--patience 0": (2, "patience 0"),
    "--patience 2 --validation 0": (2, "patience"),
    "--seed -1": (2, "seed -1"),
    "--seed 99999999999999999999": (2, "seed 99999999999999999999"),
    "--dropout 1": (2, "dropout 1.0"),
    "--dropout -0.1": (2, "dropout -0.1"),
    "--dropout nan": (2, "dropout nan"),
    "--label-smoothing 1": (2, "label smoothing 1.0"),
    "--learning-rate 0": (2, "learning rate 0"),
    "--learning-rate nan": (2, "learning rate nan"),
    "--weight-decay -1": (2, "weight decay -1"),
    "--validation -0.1": (2, "validation -0.1"),
    "--validation 1.5": (2, "validation 1.5"),
    "--validation 48": (2, "validation 48"),
    "--validation nan": (2, "validation nan"),
    "--validation inf": (2, "validation inf"),
    "--validation -inf": (2, "validation -inf"),
    "--epohcs 3": (2, "--epochs"),
    "extra": (2, "extra"),
    "--output full": (2, "--output full"),
    "--output notes.txt": (2, "--output notes.txt"),
    "--output notes.txt/run": (1, "notes.txt"),
    "--output new/run --epochs 0": (2, "epochs 0"),
}
OTHERS = {
    "trian": (2, "train"),
    "evaluate": (2, "MODEL"),
    "evaluate gone": (1, "gone"),
    "evaluate full": (1, "full"),
    "evaluate notes.txt": (1, "notes.txt"),
    "evaluate cut.safetensors": (1, "cut.safetensors"),
    "evaluate model.safetensors --data wide.npz": (1, "wide"),
    "evaluate model.safetensors --data many.npz": (1, "many"),
    "evaluate model.safetensors --data gone.npz": (1, "gone.npz"),
    "predict": (2, "FILE..."),
    "predict right.npy": (2, "--model"),
    "predict model.safetensors": (2, "no file"),
    "predict model.safetensors gone.npy": (1, "gone.npy"),
    "predict model.safetensors right.npy gone.npy": (1, "gone.npy"),
    "predict model.safetensors wide.npy": (1, "wide.npy"),
    "predict model.safetensors notes.txt": (1, "notes.txt: not an IDX file"),
    "predict model.safetensors objects.npz": (1, "objects.npz"),
    "predict cut.safetensors right.npy": (1, "cut.safetensors"),
    "predict right.npy --model full": (1, "full"),
}


def refused(capsys: pytest.CaptureFixture[str], code: int, expected: int, naming: str) -> None:
    """One line, that names the thing."""
    errors = capsys.readouterr().err
    assert len(errors.splitlines()) == 1, errors
    assert errors.startswith("xpnet: ")
    assert naming in errors
    assert code == expected


@pytest.mark.parametrize("case", TRAIN)
def test_wrong_input_of_train_is_one_line_and_leaves_nothing(
    files: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    before = sorted(files.rglob("*"))
    refused(capsys, train("--epochs", "2", *case.split()), *TRAIN[case])
    assert sorted(files.rglob("*")) == before
    assert (files / "full/notes.txt").read_text() == "mine"


@pytest.mark.parametrize("case", OTHERS)
def test_wrong_input_of_other_commands_is_one_line(
    files: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    refused(capsys, run(case.split()), *OTHERS[case])


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


def test_an_empty_folder_that_was_given_stays(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the user made is not the run's to remove."""
    (folder / "mine").mkdir()
    refused(capsys, train("--output", "mine", "--epochs", "0"), 2, "epochs")
    assert names("mine") == []


needs_rights = pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="rights do not bind root, nor folders on Windows"
)


@needs_rights
def test_an_output_without_the_right_to_write(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "locked").mkdir(mode=0o500)
    refused(capsys, train("--output", "locked/run"), 1, "locked/run: Permission denied")
    refused(capsys, train("--output", "locked"), 1, "Permission denied")
    assert names("locked") == []


@needs_rights
def test_a_current_folder_without_the_right_to_write(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.chmod(0o500)
    try:
        refused(capsys, train(), 1, "runs")
        assert names(folder) == ["tiny.npz"]
    finally:
        folder.chmod(0o700)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc")
def test_a_current_folder_where_nothing_can_be_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the test above, for root too."""
    monkeypatch.chdir("/proc/self")
    refused(capsys, train("--data", str(folder / "tiny.npz")), 1, "runs")


# A disk that fills up


@pytest.mark.parametrize("writes", [0, 1, 2, 3, 4, 5, 6, 9])
def test_a_full_disk_is_one_line_and_nothing_is_half_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], writes: int
) -> None:
    """`writes` files are written before the disk is full."""
    done, fsync = [], os.fsync

    def fail(descriptor: int) -> None:
        if len(done) >= writes:
            raise OSError(errno.ENOSPC, "No space left on device")
        done.append(descriptor)
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", fail)
    monkeypatch.setattr("xpnet.cli.run_folder.SECONDS_BETWEEN_WRITES", -1.0)  # after every epoch
    refused(capsys, train("--epochs", "5", "-q"), 1, "No space left on device")
    if writes < 2:  # the manifest comes first, the model next
        assert not Path("runs").exists()
    else:
        load("runs/tiny-1")
        manifest("runs/tiny-1")
        assert {*names("runs/tiny-1")} <= {*FILES}


def test_a_full_disk_names_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    refused(capsys, train("-q"), 1, "run.json: No space left on device")


# Devices


@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
@pytest.mark.filterwarnings("default")
def test_a_gpu_that_cannot_be_used_costs_one_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    problem = selection.Problem("it is on the moon", "fetch it")
    monkeypatch.setattr(selection, "probe", lambda index: problem)
    assert train("--device", name, "--epochs", "1") == 0
    expected = f"{name} cannot be used, so the CPU is: it is on the moon; fetch it"
    assert capsys.readouterr().err == f"xpnet: warning: {expected}\n"
    told = manifest("runs/tiny-1")
    assert (told["device"], told["status"]) == ("cpu", "finished")
    assert told["device_reason"] == f"{name} cannot be used: it is on the moon"


@pytest.mark.parametrize("setting", [{}, {"PYTHONWARNINGS": "error"}, {"PYTHONWARNINGS": "ignore"}])
def test_the_warning_gives_the_true_reason_once(setting: dict[str, str]) -> None:
    problem = selection.probe(99)
    assert problem is not None
    arguments = ["--data", "tiny.npz", "--epochs", "1", "--device", "cuda:99"]
    done = command("train", *arguments, env=os.environ | setting)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("xpnet: warning: cuda:99 cannot be used")
    assert problem.reason in done.stderr
    assert names("runs/tiny-1") == FILES


def test_strict_device_exits_2_and_leaves_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = train("--device", "cuda:99", "--strict-device")
    refused(capsys, code, 2, "cuda:99 cannot be used")
    assert names(folder) == ["tiny.npz"]


# Ctrl-C


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Where this process ignores Ctrl-C, as jobs in the background do, its children would too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt(ready, *arguments: str) -> tuple[int, str]:
    """The exit code and stderr of a command that gets Ctrl-C once `ready(its stdout)` returns."""
    with subprocess.Popen(
        [sys.executable, "-m", "xpnet", *arguments, "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        ready(process.stdout)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@POSIX
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_in_the_first_epoch_keeps_nothing(folder: Path) -> None:
    n = 200_000  # an epoch of single samples takes many seconds
    np.savez("long.npz", x=np.tile(X, (n // 60, 1)), y=np.tile(Y, n // 60))

    def ready(_: object) -> None:
        end = time.monotonic() + 60
        while not Path("runs/long-1/run.json").exists() and time.monotonic() < end:
            time.sleep(0.01)
        assert manifest("runs/long-1")["status"] == "running"
        time.sleep(0.3)  # into the middle of the epoch

    code, errors = interrupt(ready, "train", "--data", "long.npz", "--batch-size", "1")
    assert code == 130
    assert errors == "xpnet: interrupted; nothing is kept\n"
    assert names(folder) == ["long.npz", "tiny.npz"]


@POSIX
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_after_some_epochs_keeps_the_best_model() -> None:
    def ready(stdout) -> None:
        assert any(line.startswith("epoch   1/") for line in stdout)

    options = ["--data", "tiny.npz", "--batch-size", "1", "--epochs", "1000000"]
    code, errors = interrupt(ready, "train", *options)
    assert code == 130
    assert re.fullmatch(
        r"xpnet: interrupted; runs/tiny-1 keeps the model of epoch \d+\n", errors
    ), errors
    assert names("runs/tiny-1") == FILES
    assert manifest("runs/tiny-1")["status"] == "interrupted"
    assert load("runs/tiny-1").labels == (0, 1, 2)
    assert len(Path("runs/tiny-1/history.csv").read_text().splitlines()) >= 2


@POSIX
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_on_a_terminal_ends_the_progress() -> None:
    process, master = start_on_terminal(*QUICK, "--epochs", "1000000")
    content = b""
    while b"epoch   1/" not in content:
        content += os.read(master, 65536)
    process.send_signal(signal.SIGINT)
    content += read_to_end(master)
    assert process.wait(60) == 130
    assert b"Traceback" not in content
    assert b"xpnet: interrupted; runs/tiny-1 keeps the model" in content
    # The cursor, hidden while the bar is drawn, is there again.
    assert content.rindex(b"\x1b[?25h") > content.rindex(b"\x1b[?25l")


@pytest.mark.parametrize(
    "place", ["data.sources.load", "device.selection.select", "fitting.evaluation.evaluate"]
)
def test_ctrl_c_anywhere_exits_130_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    mlp(4, 3).save("model.safetensors")
    monkeypatch.setattr(f"xpnet.{place}", interrupted)
    refused(capsys, run(["evaluate", "model.safetensors", "--data", "tiny.npz"]), 130, "interrupt")


# Divergence


def test_divergence_in_the_first_epoch_leaves_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = train("--learning-rate", "1e30")
    refused(capsys, code, 1, "in epoch 1; no epoch was good, so there is no model. Try a smaller")
    assert names(folder) == ["tiny.npz"]


def test_divergence_later_keeps_the_last_good_model(capsys: pytest.CaptureFixture[str]) -> None:
    # Each step multiplies the weights by 1 - 0.1 * 110 = -10, so they overflow in the 39th or so.
    options = "--hidden none --optimizer sgd --schedule constant --batch-size 1000 --epochs 60"
    code = train(*options.split(), "--learning-rate", "0.1", "--weight-decay", "110")
    errors = capsys.readouterr().err
    found = re.fullmatch(
        r"xpnet: the loss became (inf|nan) in epoch (\d+); the model of epoch (\d+) is kept\. "
        r"Try a smaller learning rate \(its peak was 0\.1\); see runs.tiny-1\n",
        errors,
    )
    assert found, errors
    assert code == 1
    assert 1 <= int(found[3]) < int(found[2])
    assert manifest("runs/tiny-1")["status"] == "diverged"
    assert len(Path("runs/tiny-1/history.csv").read_text().splitlines()) == int(found[2])
    assert np.all(np.isfinite(load("runs/tiny-1")(X)))


def test_divergence_in_the_last_step_without_validation_is_noticed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The loss of a batch is that before its step: only the next one would be NaN."""
    options = "--validation 0 --batch-size 1000 --epochs 1 --learning-rate 1e30"
    refused(capsys, train(*options.split()), 1, "epoch 1")
    assert names(folder) == ["tiny.npz"]


def test_evaluate_of_a_model_file_finds_the_data_of_its_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train("--output", "out", "--epochs", "1", "-q") == 0
    assert run(["evaluate", "out/model.safetensors", "--device", "cpu"]) == 0
    assert "tiny.npz" in capsys.readouterr().out


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xpnet.tools.threads.most", lambda: 4)


def blas_threads() -> int:
    """Those that the BLAS takes now; 0 where threadpoolctl knows none."""
    pools = threadpool_info()
    return max((p["num_threads"] for p in pools if p["user_api"] == "blas"), default=0)


needs_blas = pytest.mark.skipif(not blas_threads(), reason="threadpoolctl does not know this BLAS")


@needs_blas
@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize(
    ("options", "threads"),
    [("--batch-size 128", 1), ("--batch-size 4000000", 4), ("--threads 3", 3)],
)
def test_the_blas_takes_as_many_threads_as_run_json_says(
    options: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def seeing(function: Callable[..., Any]) -> Callable[..., Any]:
        def see(*arguments: Any, **more: Any) -> Any:
            seen.append(blas_threads())
            return function(*arguments, **more)

        return see

    monkeypatch.setattr("xpnet.fitting.training.fit", seeing(fit))
    monkeypatch.setattr("xpnet.fitting.evaluation.evaluate", seeing(evaluate))
    with threadpool_limits(2, user_api="blas"):
        assert train("-q", "--epochs", "1", *options.split()) == 0
        assert blas_threads() == 2
    assert seen == [threads, threads]
    assert manifest("runs/tiny-1")["threads"] == threads


@needs_blas
@pytest.mark.parametrize("command", ["evaluate model.safetensors --data tiny.npz", "predict x.npy"])
@pytest.mark.usefixtures("four_cores")
def test_evaluate_and_predict_take_threads_too(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def infer(self: Network, params: Any, x: Any) -> Any:
        seen.append(blas_threads())
        return self.forward(params, x)[0]

    monkeypatch.setattr(Network, "infer", infer)
    monkeypatch.setattr("xpnet.fast.inference.KNOWN", set())  # so that it is called
    mlp(4, 3).save("model.safetensors")
    np.save("x.npy", X)
    model = [] if "evaluate" in command else ["--model", "model.safetensors"]
    assert run([*command.split(), *model, "--threads", "3"]) == 0
    assert run([*command.split(), *model]) == 0
    assert seen == [3, 1]


@needs_blas
def test_threads_are_given_back_after_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with threadpool_limits(2, user_api="blas"):
        refused(capsys, train("--threads", "1", "--learning-rate", "1e30"), 1, "Try a smaller")
        assert blas_threads() == 2


@pytest.mark.filterwarnings("default")
def test_more_threads_than_may_be_used_are_warned_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xpnet.tools.threads.most", lambda: 2)
    assert train("--threads", "2") == 0
    assert not capsys.readouterr().err
    assert train("--threads", "3") == 0
    warned = "xpnet: warning: --threads 3: this process may use 2; more are slower\n"
    assert capsys.readouterr().err == warned


@pytest.mark.parametrize("command", ["train", "evaluate .", "predict x.npy"])
@pytest.mark.parametrize("threads", ["0", "-1"])
def test_less_than_a_thread_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str, threads: str
) -> None:
    code = run([*command.split(), "--threads", threads])
    refused(capsys, code, 2, f"--threads {threads}: expected a whole number, 1 or more")
    assert names(folder) == ["tiny.npz"]


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
    "gradcheck --inputs 0": (2, "layer width 0"),
    "gradcheck notes.txt --against jax": (2, "compared with differences only"),
    "gradcheck notes.txt --against differences": (1, "notes.txt, line 1: SyntaxError: invalid"),
    "gradcheck .": (1, ". is a folder"),
    "gradcheck --outputs 1": (2, "try --loss binary-cross-entropy"),
    "gradcheck --samples 0": (2, "samples 0"),
    "gradcheck --loss squared-eror": (2, NEAR + "'squared-error'"),
    "gradcheck --activation rleu": (2, NEAR + "'relu'"),
    "gradcheck --against numpy": (2, "unknown reference 'numpy'"),
    "gradcheck --seed -1": (2, "seed -1"),
    "explain --samples 0": (2, "samples 0"),
    "explain --loss squared": (2, "unknown loss"),
    "explain --tiny --loss squared": (2, "unknown loss"),
    "explain --tiny --hidden 4": (2, "--hidden has no effect"),
    "explain --tiny --samples 3": (2, "--samples has no effect"),
    "explain --tiny --dropout 0.5": (2, "--dropout has no effect"),
    "explain --tiny --noise 0.5": (2, "--noise has no effect"),
    "explain --tiny --normalization batch": (2, "--normalization has no effect"),
    "explain --normalization bach": (2, NEAR + "'batch'"),
    "explain --dropout 1": (2, "dropout 1.0"),
    "explain --seed -1": (2, "seed -1"),
    "explain --tiny --learning-rate 0": (2, "learning rate 0"),
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


# Tables, and what they are evaluated on


@pytest.fixture
def table(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 2))
    y = np.where(x[:, 0] > x[:, 1], "left", "right-hand")
    lines = ["a,b,side,far", *(f"{a},{b},{c},{a + 10 * b}" for (a, b), c in zip(x, y, strict=True))]
    path = folder / "table.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def columns(path: Path, names: str, rows: slice = slice(None)) -> str:
    """Another table with these columns of a table."""
    lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    places = [lines[0].index(name) for name in names.split(",")]
    kept = [",".join(line[i] for i in places) for line in (lines[0], *lines[1:][rows])]
    other = path.with_name("other.csv")
    other.write_text("\n".join(kept), encoding="utf-8")
    return str(other)


def test_a_table_is_trained_evaluated_and_predicted(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "--data", "table.csv", "--target", "side", "--output", "out"]) == 0
    told = capsys.readouterr().out
    assert "task           classification (2 names)\n" in told
    assert "over classes   precision" in told
    assert manifest("out")["task"] == "classification"
    assert manifest("out")["data"]["target"] == "side"
    assert manifest("out")["test_metrics"]["f1"] > 0.8
    assert run(["evaluate", "out"]) == 0
    assert "of 16 samples" in capsys.readouterr().out
    assert run(["predict", "out", columns(table, "far,b,a"), "--json"]) == 0
    other = json.loads(capsys.readouterr().out)
    assert run(["predict", "out", "table.csv", "--json"]) == 0
    labels = [row["label"] for row in json.loads(capsys.readouterr().out)]
    assert [row["label"] for row in other] == labels
    assert np.mean([a == b.split(",")[2] for a, b in zip(
        labels, table.read_text().splitlines()[1:], strict=True)]) > 0.9  # fmt: skip
    refused(capsys, run(["predict", "out", columns(table, "a,far")]), 1, "has no column 'b'")


def test_a_table_of_its_own_is_tested_as_a_whole(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "--data", "table.csv", "--target", "side", "--output", "out", "-q"]) == 0
    other = columns(table, "b,side,far,a", slice(0, 30))
    assert run(["evaluate", "out", "--data", other]) == 0
    assert "of 30 samples" in capsys.readouterr().out
    assert run(["evaluate", "out", "--data", "./table.csv"]) == 0
    assert "of 16 samples" in capsys.readouterr().out


def test_a_table_that_has_changed_is_tested_with_a_warning(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "--data", "table.csv", "--target", "side", "--output", "out", "-q"]) == 0
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([lines[0], *lines[2:]]), encoding="utf-8")
    capsys.readouterr()
    assert run(["evaluate", "out"]) == 0
    warned = capsys.readouterr().err
    assert len(warned.splitlines()) == 1
    assert "table.csv has changed since this model was trained on it" in warned


def test_numbers_are_shown_as_such(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data", columns(table, "a,b,far"), "--target", "far"]
    assert run(["train", *data, "--output", "out"]) == 0
    told = capsys.readouterr().out
    assert "task           regression (numbers that are not whole)\n" in told
    assert re.search(r"^test R²        0\.9\d+ of 16 samples$", told, re.MULTILINE)
    assert re.search(r"^test loss      \d\S* \(squared-error\)$", told, re.MULTILINE)
    assert re.search(r"^test error     \d\S* \(mean absolute\)$", told, re.MULTILINE)
    assert run(["predict", "out", "other.csv"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["file", "sample", "value"]
    refused(capsys, run(["evaluate", "out", "--loss", "hinge"]), 2, "--loss hinge has no effect")
    assert run(["evaluate", "out", "--loss", "absolute-error"]) == 0
    assert "(absolute-error)" in capsys.readouterr().out


def test_what_is_no_number_is_null_in_json(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """R² of a single sample."""
    data = ["--data", columns(table, "a,b,far"), "--target", "far"]
    assert run(["train", *data, "--output", "out", "-q", "--epochs", "1"]) == 0
    one = columns(table, "a,b,far", slice(0, 1))
    one = str(Path(one).rename("one.csv"))
    assert run(["evaluate", "out", "--data", one, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["r2"] is None


def test_quantiles_are_shown_by_what_is_below_them(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", columns(table, "a,b,far"), "--target", "far"]
    assert run(["train", *data, "--loss", "pinball:0.1,0.9", "--output", "out"]) == 0
    capsys.readouterr()
    assert run(["evaluate", "out"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"^quantile 0.9   \d+\.\d% of targets below output 1$", told, re.MULTILINE)
    assert "R²" not in told


def test_several_labels_are_shown_by_name(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 2))
    rows = [f"{a},{b},{int(a > 0)},{int(b > 0)}" for a, b in x]
    table.write_text("\n".join(["a,b,first,second", *rows]), encoding="utf-8")
    data = ["--data", "table.csv", "--target", "first, second,first"]
    assert run(["train", *data, "--output", "out"]) == 0
    assert load("out").labels == ("first", "second")
    told = capsys.readouterr().out
    assert "task           multilabel (2 columns of 0 and 1)\n" in told
    assert "samples right in all labels (95 % interval" in told
    assert "over labels    F1" in told
    assert run(["predict", "out", "table.csv"]) == 0
    shown = {line.split("  ")[-1].strip() for line in capsys.readouterr().out.splitlines()[1:]}
    assert shown == {"none", "first", "second", "first, second"}


def test_a_thousand_steps_are_of_the_samples_that_are_trained_on(folder: Path) -> None:
    """30 samples in steps of 16: two an epoch."""
    options = "--batch-size 8 --accumulate 2 --limit 30 --patience 1 --output out --quiet"
    assert train(*options.split()) == 0
    assert manifest("out")["configuration"]["epochs"] == 500


def test_train_is_fit_with_the_same_seed(folder: Path) -> None:
    assert train("--seed", "3", "--epochs", "3", "--output", "out", "--quiet") == 0
    data = sources.load("tiny.npz")
    x, y = data.x_train, data.y_train
    expected = fit(mlp(4, 8, 3, input_shape=(4,), seed=3), x, y, epochs=3, seed=3).model
    assert load("out") == expected


def test_small_sets_get_a_thousand_steps(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """64 samples are trained on less the sixth, in one step an epoch."""
    assert run(["train", "--data", "table.csv", "--target", "side", "--output", "out"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert manifest("out")["epochs"] == manifest("out")["configuration"]["epochs"] == 1000
    assert 20 <= len(lines) <= 23
    assert len(Path("out/history.csv").read_text().splitlines()) == 1001


@pytest.mark.parametrize(
    ("flag", "value"), [([], None), (["--capture"], True), (["--no-capture"], False)]
)
def test_a_flag_may_be_left_open(flag: list[str], value: bool | None, tmp_path: Path) -> None:
    output = str(tmp_path / "run")
    options = ["--limit", "64", "--epochs", "1", "--hidden", "2", "-q", "--device", "cpu"]
    assert run(["train", *options, "--output", output, *flag]) == 0
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    assert manifest["configuration"]["capture"] is value
