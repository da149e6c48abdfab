"""The examples: each library does the job as well as xpnet does, and the table of names is true."""

import ast
import inspect
import os
import re
import runpy
import subprocess
import sys
from math import sqrt

import pytest
from helpers import SCRIPTS

import xpnet
from xpnet.habits import ARGUMENTS

SCRIPT = SCRIPTS / "examples" / "coming_from.py"
EXAMPLE = runpy.run_path(str(SCRIPT))
PARAMETERS = {*inspect.signature(xpnet.fit).parameters, *inspect.signature(xpnet.mlp).parameters}
TEST_SAMPLES = 1000
FLOOR = 0.8
"""A network that learned reaches it from 2,000 images; by chance it is 0.1."""


def example(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The script in a process of its own: Keras and PyTorch have seeds and threads for all."""
    command = [sys.executable, str(SCRIPT), *arguments]
    env = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def rows_of(text: str) -> list[list[str]]:
    """The cells of a Markdown table's rows, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def names_table() -> list[list[str]]:
    """The cells of the table in the script's docstring, a row for each thing."""
    lines = EXAMPLE["__doc__"].splitlines()
    rule = next(number for number, line in enumerate(lines) if line.startswith("----"))
    columns = [match.span() for match in re.finditer("-+", lines[rule])]
    rows = lines[rule + 1 : lines.index("", rule)]
    for line in rows:
        assert all(line[end : end + 2].strip() == "" for _, end in columns), line
    return [[line[start:end].strip() for start, end in columns] for line in rows]


def body_lines() -> dict[str, int]:
    """For each library the lines of its function's body that are not empty."""
    text = SCRIPT.read_text(encoding="utf-8")
    found = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("with_"):
            body = text.splitlines()[node.body[0].lineno - 1 : node.end_lineno]
            found[node.name.removeprefix("with_")] = sum(bool(line.strip()) for line in body)
    return found


def test_xpnet_needs_the_fewest_lines() -> None:
    lines = body_lines()
    assert lines == {name: EXAMPLE["lines_of"](f) for name, (*_, f) in EXAMPLE["LIBRARIES"].items()}
    assert lines["xpnet"] <= lines["sklearn"]
    assert min(lines.values()) == lines["xpnet"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("sklearn", marks=pytest.mark.scripts),
        pytest.param("keras", marks=pytest.mark.thorough),
        pytest.param("torch", marks=pytest.mark.thorough),
    ],
)
def test_a_library_and_xpnet_are_equally_good(name: str) -> None:
    """Test accuracies differ by at most 3 standard errors of a difference, about 4 points.

    An accuracy p of n independent samples has the standard error sqrt(p (1 - p) / n), and the
    difference of two such accuracies sqrt(2) times it.  Both libraries have the same test samples,
    and hit or miss many of them together: so the error of their difference is smaller, and what
    remains is for their different initial weights and validation samples.
    """
    title, packages, _ = EXAMPLE["LIBRARIES"][name]
    if not EXAMPLE["installed"](name):
        pytest.skip(f"{title} is not installed; pip install {packages}")
    done = example(name, "xpnet")
    assert done.returncode == 0, done.stderr
    (theirs, ours) = rows_of(done.stdout)
    lines = body_lines()
    assert theirs[:2] == [title, str(lines[name])]
    assert ours[:2] == ["xpnet", str(lines["xpnet"])]
    accuracies = [float(row[2].removesuffix("%")) / 100 for row in (theirs, ours)]
    p = sum(accuracies) / 2
    assert min(accuracies) >= FLOOR
    assert abs(accuracies[0] - accuracies[1]) <= 3 * sqrt(2 * p * (1 - p) / TEST_SAMPLES)
    assert theirs[3] == ours[3] == "seven, two, one"  # test images that no library misses


@pytest.mark.scripts
def test_a_library_that_is_not_installed_is_named() -> None:
    """By a process that finds neither Keras nor PyTorch; what is installed is run all the same."""
    code = """
import importlib.util, runpy, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name in ("keras", "torch") else find(name)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    command = [sys.executable, "-c", code, str(SCRIPT), "keras", "torch", "xpnet"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [row[0] for row in rows_of(done.stdout)] == ["xpnet"]
    assert "Keras is not installed: pip install keras jax\n" in done.stdout
    assert "PyTorch is not installed: pip install torch\n" in done.stdout


@pytest.mark.scripts
def test_an_unknown_library_is_rejected() -> None:
    done = example("xpnet", "tensorflow")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown library 'tensorflow'; expected some of keras torch sklearn xpnet" in done.stderr


def test_the_table_names_what_xpnet_has() -> None:
    """Each name in the column of xpnet is an argument, a public name or an attribute."""
    has = {*PARAMETERS, *xpnet.__all__, *dir(xpnet.Model), *dir(xpnet.Result)}
    has |= {*xpnet.Result.__annotations__, "model", "xpnet"}
    for *_, ours in names_table():
        if not ours.startswith(("none: ", "labels of any type")):
            words = re.findall(r"[A-Za-z_]{2,}", re.sub(r'"[^"]*"', "", ours))
            assert words, ours
            assert not {*words} - has, ours


def test_the_table_says_what_the_error_messages_say() -> None:
    """An argument of another library that `fit` and `mlp` reject, with a name in its place."""
    compared = 0
    for *theirs, ours in names_table():
        for word in re.findall(r"[a-z_]+", " ".join(theirs)):
            if word in ARGUMENTS and word not in PARAMETERS:
                said = ARGUMENTS[word]
                answers = [said] if isinstance(said, str) else said
                expected = re.findall(r"[a-z_]{2,}", ours)
                assert any(e in answer for e in expected for answer in answers), (word, ours)
                compared += 1
    assert compared >= 8
