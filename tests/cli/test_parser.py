"""Commands from functions: what a line gives them, what is refused, the help."""

import json
import re
from pathlib import Path
from typing import Annotated, Any

import click
import pytest
from helpers import refused

from xpnet.cli import parser, run
from xpnet.cli.parser import ARGUMENTS, option


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


def test_the_usage_says_what_may_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    places = {
        "train": "[DATA]", "evaluate": "[MODEL] [DATA]", "predict": "FILE...", "gradcheck": "[FILE]"
    }  # fmt: skip
    for name, place in places.items():
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


@pytest.mark.parametrize(
    ("flag", "value"), [([], None), (["--capture"], True), (["--no-capture"], False)]
)
def test_a_flag_may_be_left_open(flag: list[str], value: bool | None, tmp_path: Path) -> None:
    output = str(tmp_path / "run")
    options = ["--limit", "64", "--epochs", "1", "--hidden", "2", "-q", "--device", "cpu"]
    assert run(["train", *options, "--output", output, *flag]) == 0
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    assert manifest["configuration"]["capture"] is value
