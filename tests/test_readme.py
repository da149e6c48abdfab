"""The README says what is true: its Python runs, and its table has the options that there are."""

import contextlib
import inspect
import io
import re
import runpy
from pathlib import Path
from typing import get_args

import numpy as np
from helpers import ROOT, SCRIPTS, idx_folder

import xpnet
from xpnet.cli import run
from xpnet.registry import (
    COMMANDS,
)
from xpnet.tools.formula_file import check_file

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_blocks_run(tmp_path, monkeypatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec("\n".join(blocks), {})
    assert printed.getvalue().startswith("epoch   1/3  loss 0.")
    assert "accuracy=0.9" in printed.getvalue()
    assert printed.getvalue().endswith("]] 40\n")
    assert (tmp_path / "digits.safetensors").is_file()


def test_the_commands_for_data_of_ones_own_run(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(40, 2, 2)).astype(np.uint8)
    idx_folder(tmp_path / "folder", x_train=images, y_train=np.arange(40, dtype=np.uint8) % 3)
    np.savez("my.npz", x=images, y=np.arange(40) % 3)
    rows = "\n".join(",".join(map(str, row)) for row in rng.normal(size=(40, 3)))
    (tmp_path / "table.csv").write_text(f"a,b,price\n{rows}\n")
    (tmp_path / "new.csv").write_text("b,a\n1,2\n3,4\n")
    block = re.search(r"```text\n(xpnet train  .*?)```", README, re.DOTALL)
    assert block
    lines = [re.split(r"  +", line)[0].split()[1:] for line in block[1].splitlines()]
    files = {path.name for path in tmp_path.iterdir()}
    own = [line for line in lines if files & {*line}]
    assert [line[0] for line in own] == ["train", "train", "train", "predict"]
    for line in own:
        assert run([*line, *(["--epochs", "1", "-q"] if line[0] == "train" else [])]) == 0
    assert Path("answers.csv").read_text().startswith("sample,price\n0,")


def test_the_example_of_formulas_is_checked(tmp_path: Path) -> None:
    (block,) = re.findall(r"```py\n(.*?)```", README, re.DOTALL)
    (tmp_path / "mine.py").write_text(block, encoding="utf-8")
    ((title, (comparison,)),) = check_file(str(tmp_path / "mine.py"))
    assert title == "my title"
    assert not comparison.wrong


def test_the_notebooks_table_names_its_variants() -> None:
    """The rows of the table are the script's variants, under the names that it prints."""
    rows = re.findall(r"^\| (\w+) \| ([^|]+) \| .*±", README, re.MULTILINE)
    variants = runpy.run_path(str(SCRIPTS / "notebook.py"))["VARIANTS"]
    assert rows == [(key, variant.name) for key, variant in variants.items()]


def test_the_table_has_every_option_of_train() -> None:
    lines = [line.split("|") for line in README.splitlines() if line.startswith("| `--")]
    table = [(line[1].strip(" `"), line[2].strip()) for line in lines]
    options = {
        f"--{name.replace('_', '-')}": (parameter.default, get_args(parameter.annotation)[1])
        for name, parameter in inspect.signature(COMMANDS["train"]).parameters.items()
        if name not in ("context", "source")
    }
    assert [name for name, _ in table] == list(options)
    for name, default in table:
        shown = default.strip("`").split("`")[0]
        given, said = options[name]
        if given is None or given is False:
            assert shown == said.default, name
        else:
            assert ("yes" if given is True else str(given)) in (shown, f"{shown}.0"), name


def test_options_are_the_arguments_of_fit_and_mlp() -> None:
    arguments = set(inspect.signature(xpnet.fit).parameters)
    arguments |= set(inspect.signature(xpnet.mlp).parameters)
    of_the_command_line = {
        "data", "source", "hidden", "device", "strict_device", "threads", "output", "quiet",
        "target", "features", "drop", "delimiter", "encoding", "header",
        "task", "data_dir", "context", "limit", "label_smoothing", "warmup",
    }  # fmt: skip
    options = set(inspect.signature(COMMANDS["train"]).parameters)
    assert options - of_the_command_line <= arguments


def test_the_reading_order_names_modules_that_are_there() -> None:
    source = Path(xpnet.__file__).parent
    for name in re.findall(r"`(\w+\.py)`", README):
        assert (source / name).is_file(), name
