"""Readers: MNIST in the package, downloads, folders of IDX files, .npz, .npy and .csv files.

All give arrays on the host, and check them once: sizes, labels, finite numbers.  No reader
unpickles anything.
"""

import csv
import gzip
import hashlib
import io
import math
import re
import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.abc import Traversable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xpnet.downloads import PUBLISHED, arrange, fetch
from xpnet.errors import DataError
from xpnet.random import Purpose, permutation, step_keys

HostArray = npt.NDArray[Any]
NAMED = ("mnist", *PUBLISHED)

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
    y_train, y_test : integer, floating-point or string arrays (n,), or numeric arrays (n, k)
        A class or a number for each sample, or k of them.
    files : mapping
        SHA-256 of each file that was read, as it lies there, by name.
    columns : tuple of str
        The names of the features, where the data set is a table.
    labels : tuple of int or str
        The classes in their own order, where the data set names them.
    """

    name: str
    x_train: HostArray
    y_train: HostArray
    x_test: HostArray
    y_test: HostArray
    files: Mapping[str, str]
    columns: tuple[str, ...] = ()
    labels: tuple[int | str, ...] = ()


def load(source: str, target: str = "label", folder: str | None = None) -> Samples:
    """The data set that `--data` names.

    Parameters
    ----------
    source : str
        `mnist`; another of `NAMED`, which is downloaded once; a folder of IDX files, gzipped or
        not, named as MNIST's are; an .npz file with `x_train, y_train, x_test, y_test`, or with
        `x, y`; or a .csv file with a header line.
        Where there is no test set, every fifth sample of a fixed random order becomes it
        (`hold_out`).
    target : str
        The column of a .csv file to predict, or several, separated by commas.  All other columns
        are features, of numbers; those named pixel0, pixel1, ... are bytes, and where their number
        is a square, images.
    folder : str, optional
        Where downloaded files are kept; by default the environment variable XPNET_DATA, or else
        the user's folder for caches.

    Raises
    ------
    DataError
        It isn't there, or is not what it should be.
    """
    path = Path(source).expanduser()
    columns: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    if source == "mnist":
        name, arrays, hashes = source, *_read_idx_folder(files("xpnet") / source)
    elif source in PUBLISHED:
        name, (arrays, hashes) = source, _read_published(source, folder)
        labels = PUBLISHED[source].labels
    elif path.is_dir():
        name, arrays, hashes = path.resolve().name, *_read_idx_folder(path)
    elif path.suffix == ".npz":
        content, hashes = _read(path)
        name, arrays = path.stem, _read_npz(path.name, content)
    elif path.suffix == ".csv":
        content, hashes = _read(path)
        name, (arrays, columns) = path.stem, _read_csv(path.name, content, target)
    elif path.exists():
        raise DataError(f"{source}: expected a folder of IDX files, an .npz or a .csv file")
    else:
        near = get_close_matches(source, NAMED, n=1)
        takes = f"--data takes {', '.join(NAMED)}, a folder, an .npz or a .csv"
        hint = f"did you mean '{near[0]}'?" if near else takes
        raise DataError(f"{source}: no such file or folder; {hint}")
    return _checked(name, arrays, hashes, columns, labels)


def load_samples(source: str, drop: Collection[str] = ("label",)) -> HostArray:
    """Unlabelled samples to predict, from an .npy, .npz, .csv or IDX file.

    Parameters
    ----------
    source : str
        An .npy file; an .npz with one array, or with one named `x` or `x_test`; a .csv with a
        header line; or an IDX file of images, gzipped or not.
    drop : collection of str
        Columns of the .csv that are not read, where it has them: those to be predicted.

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
            held = ", ".join(arrays) or "no array"
            raise DataError(f"{source}: holds {held}; expected one array, named x")
        x = arrays[names[0]]
    elif path.suffix == ".npy":
        x = _read_npy(source, io.BytesIO(content))
    elif path.suffix == ".csv":
        table = _open_table(source, content)
        there = [column for column in drop if column in table.columns]
        x, _ = _features(table, _parse(table, there, needed=False)[0], there)
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


def _read_published(name: str, folder: str | None) -> tuple[dict[str, HostArray], dict[str, str]]:
    """The arrays of a data set that is downloaded, and its files' hashes."""
    arrays = {
        part: parse_idx(content, file, "images" if part.startswith("x") else "")
        for part, (file, content) in fetch(name, folder).items()
    }
    return arrange(name, arrays), dict(PUBLISHED[name].files)


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


@dataclass(frozen=True)
class _Table:
    """A CSV file, not yet read beyond its header: `rows` follow after so many lines."""

    name: str
    columns: list[str]
    rows: str
    lines: int


def _read_csv(
    name: str, content: bytes, target: str
) -> tuple[dict[str, HostArray], tuple[str, ...]]:
    """x and y of a table, and the names of the features."""
    table = _open_table(name, content)
    targets = list(dict.fromkeys(part.strip() for part in target.split(",")))
    for column in targets:
        if column not in table.columns:
            near = get_close_matches(column, table.columns, n=8, cutoff=0)
            more = len(table.columns) - len(near)
            raise DataError(
                f"{name}: has no column {column!r} to predict; it has {', '.join(near)}"
                + (f" and {more} more" if more else "")
            )
    if len(targets) == 1:
        numbers, texts = _parse(table, targets)
        y = _classes_or_numbers(texts[targets[0]])
        if y.dtype.kind == "f" and not np.all(np.isfinite(y)):
            raise _fault(table, ())
    else:
        numbers, _ = _parse(table, ())
        y = _whole(numbers[:, [table.columns.index(column) for column in targets]])
    x, features = _features(table, numbers, targets)
    return {"x": x, "y": y}, features


def _open_table(name: str, content: bytes) -> _Table:
    """A table, if it has a header line with a name for each column, and rows."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{name}: line {line} is not UTF-8; save the table as UTF-8") from None
    stream = io.StringIO(text, newline="")
    reader = csv.reader(stream, strict=True)
    try:
        columns = [column.strip() for column in next(filter(None, reader), [])]
    except csv.Error as error:
        raise DataError(f"{name}: line {reader.line_num}: {error}") from None
    if not columns:
        raise DataError(f"{name}: is empty; expected a line with the names of the columns")
    if all(map(_is_number, columns)):
        raise DataError(
            f"{name}: line {reader.line_num} holds numbers alone; expected the names of the columns"
        )
    for i, column in enumerate(columns):
        if not column:
            raise DataError(f"{name}: column {i + 1} has no name; name it or leave it out")
        if column in columns[:i]:
            raise DataError(f"{name}: two columns are named {column!r}; expected different names")
    rows = stream.read()
    if not rows.strip():
        raise DataError(f"{name}: has no row after the names of the columns")
    return _Table(name, columns, rows, reader.line_num)


def _parse(
    table: _Table, aside: Collection[str], needed: bool = True
) -> tuple[HostArray, dict[str, list[str]]]:
    """All columns as float64 (n, columns), but for those set aside as text, which are 0 there.

    float64 keeps every digit that a table has; a model turns its input into its own dtype.
    """
    texts: dict[str, list[str]] = {column: [] for column in aside}

    def keeper(column: str) -> Callable[[str], float]:
        def keep(value: str) -> float:
            texts[column].append(value.strip())
            return 0.0

        return keep

    try:
        numbers = np.loadtxt(
            io.StringIO(table.rows, newline=""),
            delimiter=",",
            quotechar='"',
            comments=None,
            converters={table.columns.index(column): keeper(column) for column in aside},
            ndmin=2,
        )
    except ValueError:
        numbers = np.empty((0, 0))
    kept = [text for column in texts.values() for text in column]
    bad = needed and not all(text and "\n" not in text for text in kept)
    if bad or numbers.shape[1] != len(table.columns) or not np.all(np.isfinite(numbers)):
        raise _fault(table, aside, needed)
    return numbers, texts


def _fault(table: _Table, aside: Collection[str], needed: bool = True) -> DataError:
    """The first thing that is wrong with a table.  loadtxt is fast, but counts no lines."""
    reader = csv.reader(io.StringIO(table.rows, newline=""), strict=True)
    try:
        for row in filter(None, reader):
            where = f"{table.name}: line {table.lines + reader.line_num}"
            if len(row) != len(table.columns):
                return DataError(
                    f"{where} has {len(row)} values; expected {len(table.columns)}, "
                    "one for each column"
                )
            for column, value in zip(table.columns, row, strict=True):
                if column in aside and not needed:
                    continue
                if not value.strip():
                    wrong = "has no value; fill it in or leave the row out"
                elif "\n" in value.strip():
                    wrong = "has a line break in its value; is a quote missing?"
                elif column in aside:
                    continue
                elif not _is_number(value):
                    wrong = f"is {value[:40]!r}; expected a number"
                elif not math.isfinite(float(value)):
                    wrong = f"is {value.strip()}; expected a finite number"
                else:
                    continue
                return DataError(f"{where}: column {column!r} {wrong}")
    except csv.Error as error:
        return DataError(f"{table.name}: line {table.lines + reader.line_num}: {error}")
    return DataError(f"{table.name}: cannot be read as a table of numbers")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _classes_or_numbers(texts: list[str]) -> HostArray:
    """Numbers, if all of them are; otherwise names."""
    return np.asarray([*map(float, texts)] if all(map(_is_number, texts)) else texts)


def _whole(y: HostArray) -> HostArray:
    """int64, if every number is whole; otherwise y."""
    whole = y.dtype.kind == "f" and np.all(np.abs(y) < 2**53) and np.all(y == np.floor(y))
    return y.astype(np.int64) if whole else y


def _features(
    table: _Table, numbers: HostArray, aside: Collection[str]
) -> tuple[HostArray, tuple[str, ...]]:
    """The columns that are not set aside, as bytes or images if they are pixels; their names."""
    places = [i for i, column in enumerate(table.columns) if column not in aside]
    names = tuple(table.columns[i] for i in places)
    if not names:
        raise DataError(f"{table.name}: has no column but {', '.join(aside)}; expected features")
    x = numbers[:, places]
    pixels = all(re.fullmatch(r"pixel\d+", name) for name in names)
    if pixels and np.all((x >= 0) & (x <= 255) & (x == np.floor(x))):
        side = math.isqrt(len(names))
        shape = (side, side) if side**2 == len(names) else (len(names),)
        x = x.astype(np.uint8).reshape(-1, *shape)
    return x, names


def hold_out(n: int) -> tuple[HostArray, HostArray]:
    """The rows to train on and the rows to test on, where a set comes without a test set.

    Of a fixed random order (seed 0) the first fifth, rounded up, is for the test: the same for
    every run, whatever its seed, so that a model can be evaluated later on the same file.
    """
    order = permutation(step_keys(0, Purpose.SPLIT, 1, range(1))[0], n)
    held = -(-n // 5)
    return np.sort(order[held:]), np.sort(order[:held])


def _checked(
    name: str,
    arrays: Mapping[str, HostArray],
    hashes: Mapping[str, str],
    columns: tuple[str, ...] = (),
    labels: tuple[str, ...] = (),
) -> Samples:
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
    for what, train_part, test_part in (("samples", x_train, x_test), ("labels", y_train, y_test)):
        if train_part.shape[1:] != test_part.shape[1:]:
            raise DataError(
                f"{name}: training {what} of shape {train_part.shape[1:]} and test {what} of shape "
                f"{test_part.shape[1:]}; expected the same"
            )
    kinds = {y_train.dtype.kind, y_test.dtype.kind}
    if "U" in kinds:
        unknown = y_test if len(kinds) == 2 else y_test[~np.isin(y_test, y_train)]
        if len(unknown):
            raise DataError(
                f"{name}: test label {unknown[0].item()!r} is out of range: "
                "it is not one of training"
            )
    elif "f" in kinds:
        dtype = np.result_type(y_train, y_test)
        y_train, y_test = y_train.astype(dtype), y_test.astype(dtype)
    return Samples(name, x_train, y_train, x_test, y_test, hashes, columns, labels)


def _check_pair(x: HostArray, y: HostArray, name: str, part: str) -> tuple[HostArray, HostArray]:
    x = _check_x(x, f"{name}: x{part}")
    where = f"{name}: y{part}"
    if y.ndim not in (1, 2) or 0 in y.shape[1:]:
        raise DataError(f"{where} has shape {y.shape}; expected (n,), or (n, k) for k numbers each")
    if len(x) != len(y):
        raise DataError(f"{name}: {len(x)} samples in x{part} and {len(y)} labels in y{part}")
    if y.dtype.kind == "S":
        try:
            y = np.char.decode(y, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: a label is no text in UTF-8 ({error})") from None
    if y.dtype.kind == "U" and y.ndim == 1:
        return x, y
    if y.dtype.kind not in "iufb":
        raise DataError(
            f"{where} is {y.dtype} of shape {y.shape}; expected numbers, or a name for each sample"
        )
    _check_finite(y, where)
    y = y.astype(np.uint8) if y.dtype.kind == "b" else y.astype(y.dtype.newbyteorder("="))
    return x, _whole(y) if y.ndim == 1 else y


def _check_x(x: HostArray, where: str) -> HostArray:
    if x.dtype.kind not in "biuf":
        raise DataError(f"{where} is {x.dtype}; expected numbers")
    if x.ndim < 2:
        raise DataError(f"{where} has shape {x.shape}; expected a sample per row, (n, ...)")
    if 0 in x.shape:
        raise DataError(f"{where} has shape {x.shape}: it is empty")
    _check_finite(x, where)
    return x.astype(x.dtype.newbyteorder("="), copy=False)


def _check_finite(array: HostArray, where: str) -> None:
    if array.dtype.kind == "f" and not np.all(finite := np.isfinite(array)):
        first = tuple(np.argwhere(~finite)[0].tolist())
        raise DataError(f"{where}: element {first} is {array[first]}; expected finite numbers")
