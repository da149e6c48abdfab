"""NumPy's files: .npz archives and .npy arrays.  Nothing is unpickled."""

import io
import zipfile
from typing import Any

import numpy as np

from xpnet.arrays import HostArray
from xpnet.data.files import Contents, ReadOptions
from xpnet.errors import DataError


def read_npz(name: str, content: bytes, options: ReadOptions) -> Contents:
    """Every array by its name; of samples without targets the array x, x_test or the only one."""
    arrays = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.namelist():
                if entry.endswith(".npy"):
                    with archive.open(entry) as stream:
                        key = entry.removesuffix(".npy")
                        arrays[key] = _read_array(f"{name}: {key}", stream)
    except DataError:
        raise
    except Exception as error:  # a damaged archive makes zipfile raise almost anything
        raise DataError(f"{name}: not an .npz file, or damaged ({error})") from None
    if options.target is not None:
        return Contents(arrays)
    names = [key for key in arrays if key in ("x", "x_test")] or list(arrays)
    if len(names) != 1:
        held = ", ".join(arrays) or "no array"
        raise DataError(f"{name}: holds {held}; expected one array, named x")
    return Contents({"x": arrays[names[0]]})


def read_npy(name: str, content: bytes, options: ReadOptions) -> Contents:
    """The array of the file as x, samples without targets."""
    return Contents({"x": _read_array(name, io.BytesIO(content))})


def _read_array(name: str, stream: Any) -> HostArray:
    """One array of an .npy stream; never an object."""
    try:
        return np.lib.format.read_array(stream, allow_pickle=False)
    except MemoryError:
        raise DataError(f"{name}: is larger than the memory") from None
    except Exception as error:  # a damaged file makes NumPy raise almost anything
        if "allow_pickle" in str(error):
            raise DataError(
                f"{name}: holds Python objects, which are not read; save plain numbers"
            ) from None
        raise DataError(f"{name}: not a NumPy array, or damaged ({error})") from None
