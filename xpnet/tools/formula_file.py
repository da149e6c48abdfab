"""Formulas in a file of Python, such as one's own, compared with differences."""

import runpy
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xpnet.arrays import Arrays
from xpnet.errors import DataError, XpnetError
from xpnet.tools.comparison import Comparison
from xpnet.tools.derivatives import Function
from xpnet.tools.gradcheck import Gradients, compare, kinds

YIELDED = "a title, a function of arrays by name, its gradients by hand, and arrays"


def check_file(path: str) -> Iterator[tuple[str, list[Comparison]]]:
    """The formulas in a file of Python, against differences.  The file is executed.

    Parameters
    ----------
    path : str
        A file with a function `gradchecks()` that gives, one after another, a title and the
        `function`, `gradients` and `at` of `compare` (`scripts/notebook.py` has one).

    Yields
    ------
    (str, list of Comparison)
        The title, and a comparison for each array.

    Raises
    ------
    DataError
        There is no such file or function, it yields something else, or the file's code fails:
        with the line.
    """
    if Path(path).is_dir():
        raise DataError(f"{path} is a folder; expected a Python file with gradchecks()")
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file; expected one of Python, with gradchecks()")
    with _blamed(path):
        sys.path.insert(0, str(Path(path).resolve().parent))  # as `python FILE` has it
        try:
            definitions = runpy.run_path(path, run_name="formulas")
        finally:
            del sys.path[0]
        gradchecks = definitions.get("gradchecks")
        if not callable(gradchecks):
            raise DataError(f"has no function gradchecks(); expected one that yields {YIELDED}")
        found = gradchecks()
        if not isinstance(found, Iterator | list):
            raise DataError(f"gradchecks() returns {kinds(found)}; expected it to yield {YIELDED}")
        empty = True
        for one in found:
            title, function, gradients, at = _four(one)
            yield title, compare(function, gradients, at)
            empty = False
        if empty:
            raise DataError("gradchecks() yields nothing to check")


def _four(one: Any) -> tuple[str, Function, Gradients, Arrays]:
    """What `gradchecks()` yielded, if it is what `compare` takes; otherwise a DataError."""
    match one:
        case [title, function, gradients, Mapping() as at] if (
            callable(function)
            and callable(gradients)
            and all(hasattr(a, "shape") for a in at.values())
        ):
            return title, function, gradients, at
    raise DataError(f"gradchecks() yields {kinds(one)}; expected {YIELDED}")


@contextmanager
def _blamed(path: str) -> Iterator[None]:
    """Whatever is raised inside becomes a DataError that names the file, and the line in it."""
    try:
        yield
    except XpnetError as error:
        raise DataError(f"{path}: {error}") from error
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == path]
        message = str(error)
        if isinstance(error, SyntaxError) and error.filename == path:
            lines, message = [error.lineno], error.msg
        where = f"{path}, line {lines[-1]}" if lines else path
        raise DataError(f"{where}: {type(error).__name__}: {message}") from error
