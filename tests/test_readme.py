"""The README says what is true: its Python runs, and its table has the options that there are."""

import contextlib
import inspect
import io
import re
from pathlib import Path
from typing import get_args

import pytest
from helpers import ROOT, SCRIPTS

import xpnet
from xpnet import metrics
from xpnet.activations import ACTIVATIONS, Activation
from xpnet.cli import COMMANDS
from xpnet.data.model_file import LAYERS
from xpnet.initializers import INITIALIZERS
from xpnet.losses import LOSSES
from xpnet.optimizers import AVERAGES, OPTIMIZERS
from xpnet.schedules import SCHEDULES
from xpnet.tools.formula_file import check_file

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_blocks_run(tmp_path, monkeypatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec("\n".join(blocks), {})
    assert "accuracy=0.9" in printed.getvalue()
    assert printed.getvalue().endswith("]] 40\n")
    assert (tmp_path / "digits.safetensors").is_file()


def test_the_example_of_formulas_is_checked(tmp_path: Path) -> None:
    (block,) = re.findall(r"```py\n(.*?)```", README, re.DOTALL)
    (tmp_path / "mine.py").write_text(block, encoding="utf-8")
    ((title, (comparison,)),) = check_file(str(tmp_path / "mine.py"))
    assert title == "my title"
    assert not comparison.wrong


def test_the_notebooks_table_names_its_variants() -> None:
    """Each row of the table is one of the script's, under the name that it prints."""
    rows = re.findall(r"^\| (\w+) \| ([^|]+) \| .*±", README, re.MULTILINE)
    script = (SCRIPTS / "notebook.py").read_text(encoding="utf-8")
    assert len(rows) == 13
    for key, name in rows[1:]:
        assert f'("{key}", "{name}",' in script


def test_the_table_has_every_option_of_train() -> None:
    lines = [line.split("|") for line in README.splitlines() if line.startswith("| `--")]
    table = [(line[1].strip(" `"), line[2].strip()) for line in lines]
    options = {
        f"--{name.replace('_', '-')}": (parameter.default, get_args(parameter.annotation)[1])
        for name, parameter in inspect.signature(COMMANDS["train"]).parameters.items()
        if name != "context"
    }
    assert [name for name, _ in table] == list(options)
    for name, default in table:
        shown = default.strip("`").split("`")[0]
        given, said = options[name]
        if given is None or given is False:
            assert shown == said.default, name
        else:
            assert ("yes" if given is True else str(given)) in (shown, f"{shown}.0"), name


def repertoire(part: str) -> list[str]:
    """The names in a row of the table of all parts."""
    (row,) = re.findall(rf"^\| {part} \| (.*) \|$", README, re.MULTILINE)
    return re.findall(r"`([\w-]+)`", row)


def test_the_repertoire_is_all_there_is() -> None:
    words = {"max_norm", "decoupled", "warmup"}
    listed = {
        "activations": ACTIVATIONS, "initializers": INITIALIZERS, "optimizers": OPTIMIZERS,
        "averages": AVERAGES, "schedules": SCHEDULES,
    }  # fmt: skip
    for part, names in listed.items():
        assert [n for n in repertoire(part) if n not in words] == list(names), part
    layers = {name for name, kind in LAYERS.items() if not issubclass(kind, Activation)}
    assert {*repertoire("layers")} - words == layers
    classes, numbers = repertoire("losses of classes"), repertoire("losses of numbers")
    assert {*classes} == {n for n, loss in LOSSES.items() if loss.output in ("softmax", "sigmoid")}
    assert {*numbers} == {n for n, loss in LOSSES.items() if loss.output in ("identity", "exp")}


def test_the_metrics_are_all_there_are() -> None:
    functions = inspect.getmembers(metrics, inspect.isfunction)
    ours = {n for n, f in functions if f.__module__ == metrics.__name__ and n[0] != "_"}
    assert {*repertoire("metrics")} == ours - {"correct", "interval"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_named(command: str) -> None:
    assert f"\nxpnet {command}" in README


def test_options_are_the_arguments_of_fit_and_mlp() -> None:
    arguments = set(inspect.signature(xpnet.fit).parameters)
    arguments |= set(inspect.signature(xpnet.mlp).parameters)
    of_the_command_line = {
        "data", "hidden", "device", "strict_device", "threads", "output", "quiet", "target", "task",
        "data_dir", "context",
    }  # fmt: skip
    options = set(inspect.signature(COMMANDS["train"]).parameters)
    assert options - of_the_command_line <= arguments


def test_the_reading_order_names_modules_that_are_there() -> None:
    source = Path(xpnet.__file__).parent
    for name in re.findall(r"`(\w+\.py)`", README):
        assert (source / name).is_file(), name
