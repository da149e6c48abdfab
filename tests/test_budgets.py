"""How long the source may be: all budgets in one place."""

import ast
from pathlib import Path

import pytest

import xpnet

SOURCE = Path(xpnet.__file__).parent
FILES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))

FIRST_READING = 1500
"""Lines, docstrings among them, of these modules together, each up to its mark."""
READING = ("layers.py", "activations.py", "losses.py", "network.py", "optimizers.py", "train.py")
MARK = "# The first reading ends here.\n"
NO_MARK = {"network.py", "train.py"}  # which are read to the end

FILE = 350
"""Lines of a file, but for those of derivations."""
DERIVATIONS = {"layers.py", "activations.py", "losses.py", "optimizers.py"}

FUNCTION = 40
"""Lines of a function's body without its docstring."""
MAP = 12
"""The same of `forward` and `backward`."""


def text(file: str) -> str:
    return (SOURCE / file).read_text(encoding="utf-8")


def functions(file: str) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(text(file))) if isinstance(node, ast.FunctionDef)]


def body_lines(function: ast.FunctionDef) -> int:
    """From the first statement behind the docstring to the end."""
    first = function.body[1:2] if ast.get_docstring(function) is not None else function.body
    return (function.end_lineno or 0) - first[0].lineno + 1 if first else 0


def test_the_first_reading_is_one_of_an_afternoon() -> None:
    parts = [text(file).partition(MARK) for file in READING]
    assert [bool(mark) for _, mark, _ in parts] == [file not in NO_MARK for file in READING]
    assert sum(part.count("\n") for part, _, _ in parts) <= FIRST_READING


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_short(file: str) -> None:
    assert file in DERIVATIONS or text(file).count("\n") <= FILE


@pytest.mark.parametrize("file", FILES)
def test_functions_are_short(file: str) -> None:
    long = {f.name: n for f in functions(file) if (n := body_lines(f)) > FUNCTION}
    assert not long


@pytest.mark.parametrize(
    "file", ["layers.py", "activations.py", "losses.py", "normalization.py", "network.py"]
)
def test_maps_and_their_derivatives_fit_on_a_screen(file: str) -> None:
    maps = [f for f in functions(file) if f.name in ("forward", "backward")]
    assert maps
    assert not {f.name: body_lines(f) for f in maps if body_lines(f) > MAP}
