"""What training prints: lines, on a terminal a bar below them, and the test in words."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from helpers import POSIX, QUICK, columns, command, refused

from xpnet.builder import mlp
from xpnet.cli import run
from xpnet.cli.report import Report
from xpnet.device import selection
from xpnet.fitting.evaluation import Evaluation
from xpnet.fitting.results import Epoch, Result
from xpnet.losses import SquaredError
from xpnet.model import load

# Lines


def test_lines_of_epochs_are_some_twenty_with_the_time_that_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here ten seconds an epoch, of 300 samples in two seconds; and the clock stands."""
    monkeypatch.setattr("xpnet.fitting.verbose.perf_counter", lambda: 1000.0)
    report = Report(mlp(25, 2), "some", samples=300, epochs=40, quiet=False)
    history = [Epoch(i, 1e5, None, 0.5, 0.1, 2.0) for i in range(1, 41)]
    for epoch in history:
        report.lines.begun = 1000.0 - 10 * epoch.epoch
        report.epoch(epoch)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 21
    assert lines[1] == "epoch   2/40   loss 1e+05  accuracy 50.00%  150 samples/s  380 s left"
    test = Evaluation(300, -2e5, None, None, {})
    result = Result(report.model, tuple(history), 40)
    report.end(result, test, SquaredError(), 80.0, selection.select_device("cpu"), Path("runs"))
    told = capsys.readouterr().out
    assert "test loss      -2e+05 (squared-error)\n" in told
    assert "time           80.0 s for 40 epochs, 150 samples/s, on cpu\n" in told


# With a terminal and without


ESCAPE = "\x1b"


@pytest.mark.parametrize(
    "setting",
    [
        {},
        *(
            pytest.param(setting, marks=pytest.mark.thorough)
            for setting in ({"NO_COLOR": "1"}, {"TERM": "dumb"})
        ),
    ],
    ids=str,
)
def test_lines_are_plain_where_there_is_no_terminal(setting: dict[str, str]) -> None:
    done = command(*QUICK, env=os.environ | {"TERM": "xterm-256color"} | setting)
    assert done.returncode == 0
    assert done.stderr == ""
    assert ESCAPE not in done.stdout
    assert "\r" not in done.stdout
    lines = done.stdout.splitlines()
    assert [len(lines[:12]), lines[12].split()[:2]] == [4 + 8, ["test", "accuracy"]]
    assert max(map(len, lines[4:])) <= 80


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


# The test, by kinds of targets


def test_numbers_are_shown_as_such(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data", columns(table, "a,b,far"), "--target", "far"]
    assert run(["train", *data, "--epochs", "300", "--output", "out"]) == 0
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


def test_quantiles_are_shown_by_what_is_below_them(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", columns(table, "a,b,far"), "--target", "far", "--loss", "pinball:0.1,0.9"]
    assert run(["train", *data, "--epochs", "1", "--output", "out"]) == 0
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
    assert run(["train", *data, "--epochs", "100", "--output", "out"]) == 0
    assert load("out").labels == ("first", "second")
    told = capsys.readouterr().out
    assert "task           multilabel (2 columns of 0 and 1)\n" in told
    assert "samples right in all labels (95 % interval" in told
    assert "over labels    F1" in told
    assert run(["predict", "out", "table.csv"]) == 0
    shown = {line.split("  ")[-1].strip() for line in capsys.readouterr().out.splitlines()[1:]}
    assert shown == {"none", "first", "second", "first, second"}
