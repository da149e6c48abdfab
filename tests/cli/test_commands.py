"""Every command, as a user meets it: its help, and how it ends."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from helpers import POSIX, QUICK, command, refused, train

from xpnet.builder import mlp
from xpnet.cli import COMMANDS, run

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
