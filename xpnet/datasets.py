"""Readers: the MNIST in the package, folders of IDX files, .npz and .npy files.

All give arrays on the host, and check them once: sizes, labels, finite numbers.  No reader
unpickles anything.
"""

import gzip
import hashlib
import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.abc import Traversable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xpnet.errors import DataError
from xpnet.random import Purpose, permutation, step_keys

HostArray = npt.NDArray[Any]
NAMED = ("mnist",)

MOST_SAMPLES = 2**31 - 1  # rows are counted in int32

# Third byte of the magic number: the type of the elements, big-endian in the file.
IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


@dataclass(frozen=True)
class Samples:
    """A data set on the host, checked.

    Attributes
    ----------
    name : str
        Short, for people and for the name of a run folder.
    x_train, x_test : numeric arrays (n, ...)
        A sample per row; images keep their shape.
    y_train, y_test : integer or string arrays (n,)
        The labels.
    files : mapping
        SHA-256 of each file that was read, as it lies there, by name.
    """

    name: str
    x_train: HostArray
    y_train: HostArray
    x_test: HostArray
    y_test: HostArray
    files: Mapping[str, str]


def load(source: str) -> Samples:
    """The data set that `--data` names.

    Parameters
    ----------
    source : str
        `mnist`; a folder of IDX files, gzipped or not, named as MNIST's are; or an .npz file with
        `x_train, y_train, x_test, y_test`, or with `x, y`.  Where there is no test set, every
        fifth sample of a fixed random order becomes it (`hold_out`).

    Raises
    ------
    DataError
        It isn't there, or is not what it should be.
    """
    path = Path(source).expanduser()
    if source in NAMED:
        name, arrays, hashes = source, *_read_idx_folder(files("xpnet") / source)
    elif path.is_dir():
        name, arrays, hashes = path.resolve().name, *_read_idx_folder(path)
    elif path.suffix == ".npz":
        content, hashes = _read(path)
        name, arrays = path.stem, _read_npz(path.name, content)
    elif path.exists():
        raise DataError(f"{source}: expected a folder of IDX files or an .npz file")
    else:
        near = get_close_matches(source, NAMED, n=1)
        hint = f"did you mean '{near[0]}'?" if near else "--data takes mnist, a folder or an .npz"
        raise DataError(f"{source}: no such file or folder; {hint}")
    return _checked(name, arrays, hashes)


def load_samples(source: str) -> HostArray:
    """Unlabelled samples to predict, from an .npy, .npz or IDX file.

    Parameters
    ----------
    source : str
        An .npy file; an .npz with one array, or with one named `x` or `x_test`; or an IDX file of
        images, gzipped or not.

    Returns
    -------
    numeric array (n, ...)

    Raises
    ------
    DataError
        It isn't there, or is not what it should be.
    """
    path = Path(source).expanduser()
    content, _ = _read(path)
    if path.suffix == ".npz":
        arrays = _read_npz(source, content)
        names = [name for name in arrays if name in ("x", "x_test")] or list(arrays)
        if len(names) != 1:
            there = ", ".join(arrays) or "no array"
            raise DataError(f"{source}: holds {there}; expected one array, named x")
        x = arrays[names[0]]
    elif path.suffix == ".npy":
        x = _read_npy(source, io.BytesIO(content))
    else:
        x = parse_idx(content, source)
    return _check_x(x, source)


def _read(path: Path | Traversable) -> tuple[bytes, dict[str, str]]:
    """The bytes of a file, and its name with their SHA-256."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    return content, {path.name: hashlib.sha256(content).hexdigest()}


def parse_idx(content: bytes, name: str, kind: str = "") -> HostArray:
    """The array of an IDX file: magic number, sizes, elements, all big-endian.

    The format is described with MNIST (LeCun, Cortes & Burges, 1998): two zero bytes, one for the
    type, one for the number of axes, a 32-bit size for each, the elements.

    Parameters
    ----------
    content : bytes
        The file, gzipped or not.
    name : str
        Its name, for errors.
    kind : {"images", "labels", ""}
        What it should hold: images have more than one axis, labels have one.

    Raises
    ------
    DataError
        It is no IDX file, of another kind, truncated or too long.
    """
    stream: Any = io.BytesIO(content)
    if content[:2] == b"\x1f\x8b":
        stream = gzip.GzipFile(fileobj=stream)
    magic = _take(stream, 4, name)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_TYPES or not magic[3]:
        raise DataError(f"{name}: not an IDX file (it begins with {magic.hex(' ')!r})")
    if kind and (kind == "labels") != (magic[3] == 1):
        raise DataError(
            f"{name}: holds {'labels' if magic[3] == 1 else 'images'} where {kind} are expected "
            f"(magic number {int.from_bytes(magic)})"
        )
    sizes = _take(stream, 4 * magic[3], name)
    if len(sizes) < 4 * magic[3]:
        raise DataError(f"{name}: truncated within its header")
    dtype, shape = np.dtype(IDX_TYPES[magic[2]]), np.frombuffer(sizes, dtype=">u4").tolist()
    size = math.prod(shape) * dtype.itemsize
    # Not more than expected is unpacked; one byte more, so that what is too long shows.
    data = _take(stream, size + 1, name)
    if len(data) != size or max(shape) > MOST_SAMPLES:
        there = "more" if len(data) > size else f"{len(data)}"
        raise DataError(f"{name}: truncated or damaged: {size} bytes expected, {there} there")
    array = np.frombuffer(data, dtype=dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _take(stream: Any, size: int, name: str) -> bytes:
    """Up to `size` bytes of a stream."""
    try:
        return bytes(stream.read(size))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{name}: its gzip data is damaged or truncated ({error})") from None
    except (OverflowError, MemoryError):
        raise DataError(f"{name}: its header gives an impossible size") from None


def _read_idx_folder(folder: Path | Traversable) -> tuple[dict[str, HostArray], dict[str, str]]:
    """x_train, y_train and, where they are there, x_test, y_test; and the files' hashes."""
    try:
        there = {entry.name: entry for entry in folder.iterdir()}
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from None
    arrays, hashes = {}, {}
    for part, prefixes in (("train", ("train",)), ("test", ("t10k", "test"))):
        found = {
            kind: _find(there, prefixes, kind, axes)
            for kind, axes in (("images", 3), ("labels", 1))
        }
        for kind, name in found.items():
            other = found["labels" if kind == "images" else "images"]
            if not name and (other or part == "train"):
                missing = f"{prefixes[0]}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"
                raise DataError(
                    f"{folder}: has no {part} {kind}; expected a file {missing} (or {missing}.gz)"
                )
            if name:
                content, digest = _read(there[name])
                hashes.update(digest)
                letter = "x" if kind == "images" else "y"
                arrays[f"{letter}_{part}"] = parse_idx(content, name, kind)
    return arrays, hashes


def _find(there: Mapping[str, object], prefixes: tuple[str, ...], kind: str, axes: int) -> str:
    """The file of a kind, such as train-images-idx3-ubyte.gz, or ""; unpacked ones first."""
    for end in ("", ".gz"):
        for prefix in prefixes:
            for dash in "-.":
                name = f"{prefix}-{kind}{dash}idx{axes}-ubyte{end}"
                if name in there:
                    return name
    return ""


def _read_npy(name: str, stream: Any) -> HostArray:
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


def _read_npz(name: str, content: bytes) -> dict[str, HostArray]:
    """Every array of an .npz file by name."""
    arrays = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.namelist():
                if entry.endswith(".npy"):
                    with archive.open(entry) as stream:
                        key = entry.removesuffix(".npy")
                        arrays[key] = _read_npy(f"{name}: {key}", stream)
    except DataError:
        raise
    except Exception as error:  # a damaged archive makes zipfile raise almost anything
        raise DataError(f"{name}: not an .npz file, or damaged ({error})") from None
    return arrays


def hold_out(n: int) -> tuple[HostArray, HostArray]:
    """The rows to train on and the rows to test on, where a set comes without a test set.

    Of a fixed random order (seed 0) the first fifth, rounded up, is for the test: the same for
    every run, whatever its seed, so that a model can be evaluated later on the same file.
    """
    order = permutation(step_keys(0, Purpose.SPLIT, 1, range(1))[0], n)
    held = -(-n // 5)
    return np.sort(order[held:]), np.sort(order[:held])


def _checked(name: str, arrays: Mapping[str, HostArray], hashes: Mapping[str, str]) -> Samples:
    """The data set, if sizes, labels and numbers are in order."""
    if "x_train" in arrays and not {"x_test", "y_test"} & set(arrays):
        arrays = {key.removesuffix("_train"): array for key, array in arrays.items()}
    if {"x_train", "y_train", "x_test", "y_test"} <= set(arrays):
        x_train, y_train = _check_pair(arrays["x_train"], arrays["y_train"], name, "_train")
        x_test, y_test = _check_pair(arrays["x_test"], arrays["y_test"], name, "_test")
    elif {"x", "y"} <= set(arrays):
        x, y = _check_pair(arrays["x"], arrays["y"], name, "")
        if len(x) < 2:
            raise DataError(f"{name}: holds 1 sample; expected at least 2")
        train, test = hold_out(len(x))
        x_train, y_train, x_test, y_test = x[train], y[train], x[test], y[test]
    else:
        raise DataError(
            f"{name}: holds {', '.join(arrays) or 'no array'}; expected x_train, y_train, "
            "x_test and y_test, or x and y"
        )
    if x_train.shape[1:] != x_test.shape[1:]:
        raise DataError(
            f"{name}: training samples of shape {x_train.shape[1:]} and test samples of shape "
            f"{x_test.shape[1:]}; expected the same"
        )
    unknown = y_test
    if (y_test.dtype.kind == "U") == (y_train.dtype.kind == "U"):
        unknown = y_test[~np.isin(y_test, y_train)]
    if len(unknown):
        raise DataError(
            f"{name}: test label {unknown[0].item()!r} is out of range: it is not one of training"
        )
    return Samples(name, x_train, y_train, x_test, y_test, hashes)


def _check_pair(x: HostArray, y: HostArray, name: str, part: str) -> tuple[HostArray, HostArray]:
    x = _check_x(x, f"{name}: x{part}")
    where = f"{name}: y{part}"
    if y.ndim != 1:
        raise DataError(f"{where} has shape {y.shape}; expected one label per sample, (n,)")
    if len(x) != len(y):
        raise DataError(f"{name}: {len(x)} samples in x{part} and {len(y)} labels in y{part}")
    if y.dtype.kind == "S":
        try:
            y = np.char.decode(y, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: a label is no text in UTF-8 ({error})") from None
    if y.dtype.kind == "U":
        return x, y
    if y.dtype.kind == "f" and np.all(np.abs(y) < 2**53) and np.all(y == np.floor(y)):
        y = y.astype(np.int64)
    if y.dtype.kind not in "iub":
        raise DataError(f"{where} is {y.dtype}; expected whole numbers or names as labels")
    y = y.astype(np.uint8) if y.dtype.kind == "b" else y.astype(y.dtype.newbyteorder("="))
    if y.min() < 0:
        raise DataError(f"{where}: label {y.min()} is out of range; expected 0 or more")
    return x, y


def _check_x(x: HostArray, where: str) -> HostArray:
    if x.dtype.kind not in "biuf":
        raise DataError(f"{where} is {x.dtype}; expected numbers")
    if x.ndim < 2:
        raise DataError(f"{where} has shape {x.shape}; expected a sample per row, (n, ...)")
    if 0 in x.shape:
        raise DataError(f"{where} has shape {x.shape}: it is empty")
    x = x.astype(x.dtype.newbyteorder("="), copy=False)
    if x.dtype.kind == "f" and not np.all(finite := np.isfinite(x)):
        first = tuple(np.argwhere(~finite)[0].tolist())
        raise DataError(f"{where}: element {first} is {x[first]}; expected finite numbers")
    return x
