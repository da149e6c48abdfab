"""Files: read as a whole with their hash, and written whole or not at all."""

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

import numpy as np

from xpnet.arrays import HostArray
from xpnet.errors import DataError

DEFAULT_TARGET = "label"
Names = str | Sequence[str] | None
"""Names of columns: a list of them, or as --target takes them, separated by commas; or none.

Frames may have others than texts, as 0 or ("a", "b"): these are compared as texts.
"""


@dataclass(frozen=True)
class ReadOptions:
    """What to take of a file of data, and how a table is written.

    Attributes
    ----------
    target : str or sequence of str, optional
        The columns of a table to predict; None for samples without targets.
    features : str or sequence of str, optional
        The columns to take as features, in this order; by default all but the targets.
    drop : str or sequence of str, optional
        Columns to leave out.
    delimiter : str, optional
        What separates the values of a table; by default it is found in the header line.
    encoding : str, optional
        Of a text, by its name in Python; by default UTF-8, or UTF-16 where a mark says so.
    header : bool
        Whether the first line of a table names its columns.
    """

    target: Names = None
    features: Names = None
    drop: Names = None
    delimiter: str | None = None
    encoding: str | None = None
    header: bool = True

    def __post_init__(self) -> None:
        """Make a tuple of names, or a text of a single one."""
        for name in ("target", "features", "drop"):
            given: Any = getattr(self, name)
            if given is not None and not isinstance(given, str):
                names = tuple(given) if hasattr(given, "__iter__") else str(given)
                object.__setattr__(self, name, names)


class Contents(NamedTuple):
    """What a file of data holds.

    Attributes
    ----------
    arrays : dict of str to array
        By name: x_train, y_train, x_test and y_test; or x and y; or x alone.
    columns, target : tuple of str
        The names of the features and of the targets, where the file is a table.
    written : array of str (n,), optional
        y as it is written, where the file is a text and has one target.
    notes : tuple of str
        What to tell the user, a line each: what was left out, and what was guessed.
    line_of : function, optional
        The line in a file of the row of this number, where the file is a table.
    narrow : bool
        Whether x are numbers of a table that are kept as bytes, to save memory: `widened` makes
        float64 of them, so that they are not taken for pixels.
    """

    arrays: dict[str, HostArray]
    columns: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    written: HostArray | None = None
    notes: tuple[str, ...] = ()
    line_of: Callable[[int], int] | None = None
    narrow: bool = False

    def widened(self, x: HostArray) -> HostArray:
        """Return rows of x in the type that they have outside of the reader."""
        return x.astype(np.float64) if self.narrow else x


Reader = Callable[[str, bytes, ReadOptions], Contents]
"""A data format: name of the file (for errors), bytes, options -> contents."""


def read_file(path: Path) -> tuple[bytes, dict[str, str]]:
    """The bytes of a file, and its name with their SHA-256."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    return content, {path.name: hashlib.sha256(content).hexdigest()}


def unpacked_name(name: str) -> str:
    """Return the name of a file without the ending of gzip."""
    return name[:-3] if name.lower().endswith(".gz") else name


def ending_of(name: str) -> str:
    """Return the ending of a name in small letters, without that of gzip, such as "csv"."""
    return Path(unpacked_name(name)).suffix.lower().removeprefix(".")


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is no data: hidden, or put in an archive by macOS."""
    return name.startswith(".") or name == "__MACOSX"


def write_atomically(path: Path, content: bytes) -> None:
    """Put `content` into the file, so that at any moment the old or the new one is there.

    It goes to a temporary file beside it, to the disk, and is renamed.

    Raises
    ------
    OSError
        It cannot be written; what was there stays.
    """
    try:
        _write_and_rename(path, content)
    except OSError as error:  # name the file that was asked for, not the temporary one
        raise OSError(error.errno, error.strerror, str(path)) from None


def _write_and_rename(path: Path, content: bytes) -> None:
    path = path.resolve()  # a link stays one
    temporary = path.with_name(f".{token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def expanded(path: str) -> Path:
    """`path` with the folder that ~ stands for; a DataError where there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise DataError(f"{path}: there is no such home folder") from None
