"""What `fit(verbose=True)` prints: a line rewritten on a terminal, plain lines elsewhere."""

import io
import os
import re
import subprocess
import sys
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from helpers import POSIX, blobs, model, run_python

import xpnet
from xpnet.fitting.results import Epoch
from xpnet.fitting.training import fit
from xpnet.fitting.verbose import EpochLines, show_loss, status

X, Y = blobs()
LINE = r"epoch +\d+/\d+  loss \d\.\d{4}  accuracy \d+\.\d\d%  [\d,]+ samples/s  \d+ s left"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_fit_prints_nothing_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    fit(model(), X, Y, epochs=2)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("verbose", [True, 1, 2])
def test_elsewhere_than_on_a_terminal_there_is_a_line_for_each_epoch(
    capsys: pytest.CaptureFixture[str], verbose: Any
) -> None:
    fit(model(), X, Y, epochs=3, verbose=verbose)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(re.fullmatch(LINE, line) for line in lines)
    assert lines[2].startswith("epoch   3/3  loss")


def test_of_many_epochs_some_twenty_lines_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    fit(model(), X, Y, epochs=100, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:11] for line in (lines[0], lines[-1])] == ["epoch   1/1", "epoch 100/1"]
    assert 20 <= len(lines) <= 23


def test_epochs_are_counted_on_after_another_fit(capsys: pytest.CaptureFixture[str]) -> None:
    first = fit(model(), X, Y, epochs=2)
    fit(model(), X, Y, epochs=2, initial=first, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:11] for line in lines] == ["epoch   3/4", "epoch   4/4"]


@pytest.mark.parametrize(("term", "in_place"), [("xterm", True), ("dumb", False)])
def test_a_terminal_sees_one_line(
    monkeypatch: pytest.MonkeyPatch, term: str, in_place: bool
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr("xpnet.fitting.verbose.SECONDS_BETWEEN_STEPS", 0.0)
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    fit(model(), X, Y, epochs=3, batch_size=50, verbose=True)
    text = terminal.getvalue()
    assert ("\r" in text) == in_place
    assert text.count("\n") == (1 if in_place else 3)
    assert text.endswith("\n")
    if in_place:
        assert re.search(r"\repoch   2/3   50%  loss \d\.\d{4}  accuracy", text)
        *_, last = text.rstrip().split("\r")
        assert re.fullmatch(LINE, last.rstrip())


def test_a_line_is_no_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    fit(model(), X, Y, epochs=1, verbose=True)
    assert max(len(part) for part in terminal.getvalue().rstrip("\n").split("\r")) == 29


def test_an_interrupt_ends_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model(), X, Y, epochs=3, verbose=True, on_epoch=interrupt)
    assert terminal.getvalue().endswith(" left\n")


def test_callbacks_are_called_as_well() -> None:
    steps: list[int] = []
    result = fit(
        model(), X, Y, epochs=9, batch_size=1000, validation=0, verbose=True,
        on_step=steps.append, on_epoch=lambda epoch, so_far: epoch.epoch == 2,
    )  # fmt: skip
    assert steps == [1, 2]
    assert len(result.history) == 2


def test_verbose_copies_no_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a callback would get: copies of all arrays after each epoch."""
    monkeypatch.delattr("xpnet.fitting.loop.Training.snapshot")
    assert len(fit(model(), X, Y, epochs=2, verbose=True).history) == 2


def test_the_line_is_rewritten_some_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """In 80 quick steps once, and after each of two epochs."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("xpnet.fitting.verbose.perf_counter", lambda: 1000.0)
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    fit(model(), X, Y, epochs=2, batch_size=5, validation=0, verbose=True)
    assert terminal.getvalue().count("\r") == 3


def test_verbose_changes_no_number() -> None:
    assert fit(model(), X, Y, epochs=2, verbose=True).model == fit(model(), X, Y, epochs=2).model


def test_the_time_left_is_that_of_the_epochs_of_this_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds an epoch; the first of this fit is epoch 5."""
    monkeypatch.setattr("xpnet.fitting.verbose.perf_counter", lambda: 100.0)
    lines = EpochLines(5, 8, 60, "images")
    lines.begun = 80.0
    assert lines.text(Epoch(6, 0.5, 0.25, None, 0.1, 10.0)) == (
        "loss 0.5000  validation 0.2500  6 images/s  20 s left"
    )


def test_numbers_are_short() -> None:
    assert status(Epoch(1, 0.5, None, None, 0.1, 1.0)) == "loss 0.5000"
    assert status(Epoch(1, 0.5, 0.1, 0.25, 0.1, 1.0)) == "loss 0.5000  accuracy 25.00%"
    assert [show_loss(a) for a in (1.0, -123456.0)] == ["1.0000", "-1.235e+05"]


def test_rich_is_not_needed() -> None:
    code = (
        "import sys; sys.modules['rich'] = None\n"
        "import xpnet\n"
        "xpnet.fit(xpnet.mlp(1, 2), [[0.0], [1.0]], [0, 1], epochs=1, verbose=True)\n"
    )
    assert run_python(code).stdout.splitlines()[1].startswith("epoch   1/1  loss")


@POSIX
def test_a_pseudo_terminal_sees_one_line() -> None:
    pty = pytest.importorskip("pty", reason="there are no pseudo terminals here")
    code = (
        "import xpnet\n"
        "xpnet.fit(xpnet.mlp(1, 2), [[0.0], [1.0]], [0, 1], epochs=3, validation=0, verbose=True)\n"
    )
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=slave, env=os.environ | {"TERM": "xterm"}
    ) as process:
        os.close(slave)
        seen = b""
        with suppress(OSError):  # what Linux raises when the other end is closed
            while part := os.read(master, 4096):
                seen += part
        os.close(master)
        assert process.wait(60) == 0
    assert seen.count(b"\n") == 2
    assert seen.count(b"\r") >= 3


def test_images_are_called_images(capsys: pytest.CaptureFixture[str]) -> None:
    start = xpnet.mlp(4, 2, input_shape=(2, 2))
    fit(start, np.eye(4).reshape(4, 2, 2), [0, 1, 0, 1], epochs=1, validation=0, verbose=True)
    assert " images/s" in capsys.readouterr().out
