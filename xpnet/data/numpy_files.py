"""NumPy's files: .npz archives and .npy arrays, gzipped or not.  Nothing is unpickled.

Of an archive only the arrays that are asked for are read.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xpnet.arrays import HostArray
from xpnet.data.files import Contents, ReadOptions
from xpnet.data.texts import unpacked
from xpnet.errors import DataError

NAMES = {
    "x_train": ("x_train", "train_images"),
    "y_train": ("y_train", "train_labels"),
    "x_test": ("x_test", "test_images"),
    "y_test": ("y_test", "test_labels"),
    "x": ("x",),
    "y": ("y",),
}
"""What the arrays of samples and targets are called, in small letters or capitals."""
OTHERS = {"x": ("data", "images"), "y": ("target", "targets", "labels")}
"""What they are called in archives that have none of these names, as of scikit-learn and OpenML."""
UNNAMED = ("arr_0", "arr_1")  # by np.savez(file, x, y)

TRAINING, TEST, WHOLE = {"x_train", "y_train"}, {"x_test", "y_test"}, {"x", "y"}


def read_npz(name: str, content: bytes, options: ReadOptions) -> Contents:
    """The arrays of samples and targets; without targets x, x_test or the only array.

    They are called as in `NAMES` or `OTHERS`, of which the first that is there is taken; or they
    are the only two arrays, without names.  Where there are training and test samples, x and y are
    not read.
    """
    content = unpacked(name, content)
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
    notes = []
    if wanted.get("y") == UNNAMED[1]:
        if arrays["x"].shape[:1] != arrays["y"].shape[:1]:
            raise _unclear(name, [*entries], {})
        notes.append(f"{UNNAMED[0]} is taken as x and {UNNAMED[1]} as y, as they have no names")
    if others := [key for key in entries if key not in wanted.values()]:
        notes.append(f"arrays left out: {', '.join(others)}")
    return Contents(arrays, notes=(*notes,))


def _wanted(name: str, stored: Sequence[str], targets: bool) -> Mapping[str, str]:
    """The stored array of each part; the parts are x_train, y_train, ... with targets, else x."""
    found = _named(name, stored, [*NAMES] if targets else ["x", "x_test"], NAMES)
    if not {*found} & (TRAINING | TEST):
        found = _named(name, stored, ["x", "y"] if targets else ["x"], OTHERS) | found
    if not found and sorted(stored) == [*UNNAMED]:
        found = dict(zip("xy", UNNAMED, strict=True) if targets else [("x", UNNAMED[0])])
    if not targets:
        usable = [*found.values()] or [*stored]
        if len(usable) != 1:
            held = ", ".join(stored) or "no array"
            raise DataError(f"{name}: holds {held}; expected one array, named x")
        return {"x": usable[0]}
    parts = {*found}
    for needed, refused in (
        (TRAINING | TEST, set()), (TRAINING, TEST | WHOLE), (WHOLE, TRAINING | {"y_test"})
    ):  # fmt: skip
        if needed <= parts and not refused & parts:
            return {part: key for part, key in found.items() if part in needed}
    raise _unclear(name, stored, found)


def _named(
    name: str, stored: Sequence[str], parts: Sequence[str], names: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """The stored arrays of those parts for which there is one with a name of the part."""
    found: dict[str, str] = {}
    for part in parts:
        fits = [[key for key in stored if key.lower() == one] for one in names[part]]
        fit = next(filter(None, fits), [])
        if len(fit) > 1:
            raise DataError(f"{name}: holds {' and '.join(fit)}; expected one of them, as {part}")
        if fit:
            found[part] = fit[0]
    return found


def _unclear(name: str, stored: Sequence[str], found: Mapping[str, str]) -> DataError:
    """The error where the arrays of an archive are no data set, or more than one."""
    whole = [key for part, key in found.items() if part in WHOLE]
    both = " and ".join(whole)
    others = ", ".join(key for key in found.values() if key not in whole)
    if whole and {*found} >= TRAINING:
        told = f"leave out {both}" + (f", or {others}" if len(whole) == 2 else "")
    elif len(whole) == 2:
        rename = "" if TRAINING & {*found} else f"call {both} x_train and y_train, or "
        told = f"{rename}leave out {others}"
    else:
        told = "expected x_train and y_train, with x_test and y_test or without; or x and y"
    return DataError(f"{name}: holds {', '.join(stored) or 'no array'}; {told}")


def read_npy(name: str, content: bytes, options: ReadOptions) -> Contents:
    """The array of the file as x, samples without targets."""
    return Contents({"x": _read_array(name, "x", io.BytesIO(unpacked(name, content)))})


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
