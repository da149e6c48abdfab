"""Which model `evaluate` and `predict` use: the one that is named, or else one that is found."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xpnet.cli.run_folder import MODEL, newest
from xpnet.data.conversions import holds_data
from xpnet.data.files import expanded
from xpnet.data.model_file import SUFFIX
from xpnet.errors import DataError, UsageError
from xpnet.registry import DATA


def is_model(argument: str) -> bool:
    """Whether an argument is meant as a model: a .safetensors file, or a folder without data."""
    path = expanded(argument)
    return path.suffix == SUFFIX or (path.is_dir() and not holds_data(path))


def is_data(argument: str) -> bool:
    """Whether an argument is meant as data: a name, another file, or a folder with data."""
    path = expanded(argument)
    if argument in DATA:
        return not (path / MODEL).is_file()
    return path.exists() and not is_model(argument)


def in_order(first: str | None, second: str | None) -> tuple[str | None, str | None]:
    """Return the model and the data among the arguments of `evaluate`, in whatever order."""
    if first is not None and is_data(first) and (second is None or is_model(second)):
        return second, first
    return first, second


def choose(model: str | None) -> str | None:
    """Return the path of the model to use; None if none is named and none is there.

    Parameters
    ----------
    model : str or None
        The model's path if one is named.  By default it is the model in the current folder, or
        else the newest in runs.

    Raises
    ------
    DataError
        It is a folder without a model.
    """
    if model is None:
        path = Path(MODEL) if Path(MODEL).is_file() else newest()
        return None if path is None else str(path)
    folder = expanded(model)
    if folder.is_dir() and not (folder / MODEL).is_file():
        inner = newest(folder)
        hint = f"; the newest run in it is {inner}" if inner else ""
        raise DataError(f"{model}: the folder holds no {MODEL}{hint}")
    return model


def missing(how: str) -> UsageError:
    """Return the error where no model is named and none is there; `how` says how to name one."""
    return UsageError(
        f"no model is named, and there is neither {MODEL} in the current folder nor "
        f"runs/*/{MODEL}; name a model {how} (xpnet train makes one)"
    )


@contextmanager
def telling(path: str, named: str | None) -> Iterator[None]:
    """Say which model was used where none was named: in an error within, or else on stderr."""
    try:
        yield
    except DataError as error:
        if named is None:
            error.args = (f"{error} (the model is {path})",)
        raise
    if named is None:
        print(f"xpnet: the model is {path}", file=sys.stderr)
