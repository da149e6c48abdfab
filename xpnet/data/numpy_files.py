"""NumPy's files: .npz archives and .npy arrays.  Nothing is unpickled.

Of an archive only the arrays that are asked for are read.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xpnet.arrays import HostArray
from xpnet.data.files import Contents, ReadOptions
from xpnet.errors import DataError

# What the arrays of samples and targets are called, in small letters or capitals.
NAMES = {
    "x_train": ("x_train", "train_images"),
    "y_train": ("y_train", "train_labels"),
    "x_test": ("x_test", "test_images"),
    "y_test": ("y_test", "test_labels"),
    "x": ("x",),
    "y": ("y",),
}

TRAINING, TEST, WHOLE = {"x_train", "y_train"}, {"x_test", "y_test"}, {"x", "y"}


def read_npz(name: str, content: bytes, options: ReadOptions) -> Contents:
    """The arrays of samples and targets; without targets x, x_test or the only array.

    They are called as in `NAMES`, of which the first that is there is taken.  Where there are
    training and test samples, x and y are not read.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = {
                entry.removesuffix(".npy"): entry
                for entry in archive.namelist()
                if entry.endswith(".npy")
            }
            try:
                wanted = _wanted(name, [*entries], options.target is not None)
            except DataError:
                for entry in entries.values():
                    archive.open(entry).close()  # the name of a damaged one may be wrong
                raise
            arrays = {}
            for key, stored in wanted.items():
                with archive.open(entries[stored]) as stream:
                    arrays[key] = _read_array(f"{name}: {stored}", stored, stream)
    except DataError:
        raise
    except Exception as error:  # a damaged archive makes zipfile raise almost anything
        raise DataError(f"{name}: not an .npz file, or damaged ({error})") from None
    others = [key for key in entries if key not in wanted.values()]
    return Contents(arrays, notes=(f"arrays left out: {', '.join(others)}",) * bool(others))


def _wanted(name: str, stored: Sequence[str], targets: bool) -> Mapping[str, str]:
    """The stored array of each part; the parts are x_train, y_train, ... with targets, else x."""
    found: dict[str, str] = {}
    for part in NAMES if targets else ("x", "x_test"):
        fits = [[key for key in stored if key.lower() == one] for one in NAMES[part]]
        fit = next(filter(None, fits), [])
        if len(fit) > 1:
            raise DataError(f"{name}: holds {' and '.join(fit)}; expected one of them, as {part}")
        if fit:
            found[part] = fit[0]
    held, parts = ", ".join(stored) or "no array", {*found}
    if not targets:
        usable = [*found.values()] or [*stored]
        if len(usable) != 1:
            raise DataError(f"{name}: holds {held}; expected one array, named x")
        return {"x": usable[0]}
    for needed, refused in (
        (TRAINING | TEST, set()), (TRAINING, TEST | WHOLE), (WHOLE, TRAINING | {"y_test"})
    ):  # fmt: skip
        if needed <= parts and not refused & parts:
            return {part: key for part, key in found.items() if part in needed}
    raise DataError(
        f"{name}: holds {held}; expected x_train, y_train, x_test and y_test, or x and y"
    )


def read_npy(name: str, content: bytes, options: ReadOptions) -> Contents:
    """The array of the file as x, samples without targets."""
    return Contents({"x": _read_array(name, "x", io.BytesIO(content))})


def _read_array(where: str, name: str, stream: Any) -> HostArray:
    """One array of an .npy stream; never an object."""
    try:
        return np.lib.format.read_array(stream, allow_pickle=False)
    except MemoryError:
        raise DataError(f"{where}: is larger than the memory") from None
    except Exception as error:  # a damaged file makes NumPy raise almost anything
        if "allow_pickle" in str(error):
            raise DataError(
                f"{where}: holds Python objects, which are not unpickled; save texts as "
                f"{name}.astype(str), and numbers as {name}.astype(float)"
            ) from None
        raise DataError(f"{where}: not a NumPy array, or damaged ({error})") from None
