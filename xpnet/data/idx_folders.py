"""Folders of IDX files: the four files of MNIST, in the layouts in which they are distributed.

The files of a data set have the names of MNIST's, or names that end in those, as in
emnist-digits-train-images-idx3-ubyte.gz; what is in front is the name of the data set.  A file may
be in a folder of its own name, as in Kaggle's archive of MNIST, and all of them in a folder below
the one that is given, as in data/MNIST/raw of torchvision, or in several: train and test, or images
and labels.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from xpnet.arrays import HostArray
from xpnet.data.downloads import arrange, named_cache, published_as
from xpnet.data.files import expanded, is_hidden, read_file
from xpnet.data.idx import parse_idx
from xpnet.errors import DataError
from xpnet.registry import DATA, DOWNLOADS

DEPTH = 2  # of the folders that are searched below the one that is given
SHOWN = 8  # data sets that an error names
FILE = re.compile(
    r"(?P<name>|.*[^a-zA-Z0-9])(?P<part>train|t10k|test)-(?P<kind>images|labels)"
    r"(?P<dash>[-.])idx\d-(ubyte|int)(?P<packed>\.gz)?",
    re.IGNORECASE,
)
VALIDATION = re.compile(
    r"(?P<name>|.*[^a-zA-Z0-9])val(id|idation)?-(images|labels)[-.]idx\d-(ubyte|int)(\.gz)?",
    re.IGNORECASE,
)

Parts = dict[tuple[str, str], Path]
"""The file of each part ("train" or "test") and kind ("images" or "labels")."""
Sets = dict[tuple[Path, str], Parts]
"""The data sets by their folder and name; MNIST's own files have the name ""."""


@dataclass(frozen=True)
class IdxSet:
    """A data set of IDX files.

    Attributes
    ----------
    name : str
        What is in front of the names of the files, or else the name of the folder.
    arrays : dict of str to array
        x_train, y_train and, where their files are there, x_test and y_test.
    files : dict of str to str
        SHA-256 of each file by name.
    labels : tuple of str
        The classes in their order, where they have names.
    notes : tuple of str
        What to tell the user, a line each.
    """

    name: str
    arrays: dict[str, HostArray]
    files: dict[str, str]
    labels: tuple[str, ...]
    notes: tuple[str, ...]


def has_idx_files(path: Path) -> bool:
    """Whether `path` names IDX files as `read_idx_folder` takes them."""
    return bool(_sets_of(path))


def idx_files(path: Path) -> list[Path]:
    """The files of the data set that `read_idx_folder` reads; none if it would refuse."""
    sets = _sets_of(path)
    alone = [*sets.values()] if len(sets) == 1 else []
    return [*next(iter(alone), sets.get((path, ""), {})).values()]


def source_of(source: str, cache: str | None = None, local: bool = True) -> str:
    """What names a data set wherever one is: one of `registry.DATA`, or an absolute path.

    A folder of IDX files that is named as one of `registry.DATA` comes before that, unless
    downloaded files are kept in it.

    Parameters
    ----------
    source : str
        As `sources.load` takes it.
    cache : str, optional
        Where downloaded files are kept; by default the environment variable XPNET_DATA.
    local : bool, default True
        Whether such a folder is looked for.
    """
    path = expanded(source)
    if source in DATA and not (local and path.is_dir() and has_idx_files(path)):
        return source
    cache = named_cache(cache)
    if source in DOWNLOADS and cache:
        kept = expanded(cache) / DOWNLOADS[source].folder
        if kept.resolve() == path.resolve():
            return source
    return str(path.resolve())


def read_idx_folder(path: Path) -> IdxSet:
    """The data set of IDX files in a folder.

    Images that EMNIST stores column by column are transposed, and its classes get their names.

    Parameters
    ----------
    path : Path
        The folder, or a folder up to two levels above.  Of a folder with several data sets
        FOLDER/NAME means the files NAME-train-images-idx3-ubyte and so on.

    Raises
    ------
    DataError
        A file is missing or damaged, or the folder holds several data sets.
    """
    sets = _sets_of(path)
    notes = []
    if len(sets) > 1 and (path, "") in sets:
        others = ", ".join(sorted(name for _, name in sets if name))
        notes.append(f"files that begin with another name are left out: {others}")
        sets = {(path, ""): sets[path, ""]}
    if len(sets) > 1:
        names = sorted(str(folder / name) for folder, name in sets)
        more = f" or one of {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise DataError(
            f"{path}: holds {len(names)} data sets; give one of them: "
            f"{', '.join(names[:SHOWN])}{more}"
        )
    (folder, name), parts = next(iter(sets.items()), ((path, ""), {}))
    if folder not in (path, path.parent):
        notes.append(f"the files are in {folder}")
    if extra := _validation_files(folder, name):
        notes.append(
            f"files left out: {', '.join(extra)}; what is validated on is held out of the training "
            "samples"
        )
    arrays, hashes = _read(folder, name, parts)
    published = published_as(name)
    if published.transposed:
        notes.append("EMNIST stores images column by column; they are transposed")
    arrays = arrange(published, arrays, str(folder / name))
    own = folder.resolve()
    own = own.parent if own.name == "raw" else own
    return IdxSet(name or own.name, arrays, hashes, published.labels, tuple(notes))


def _read(folder: Path, name: str, parts: Parts) -> tuple[dict[str, HostArray], dict[str, str]]:
    """The arrays of a data set, and the hashes of its files."""
    arrays, hashes = {}, {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        for kind, axes in (("images", 3), ("labels", 1)):
            path = parts.get((part, kind))
            if path is not None:
                content, digest = read_file(path)
                hashes.update(digest)
                stem = path.name.lower().removesuffix(".gz")
                expected = "" if stem.endswith("-int") else kind
                letter = "x" if kind == "images" else "y"
                arrays[f"{letter}_{part}"] = parse_idx(content, path.name, expected)
            elif part == "train" or any(there == part for there, _ in parts):
                missing = f"{name}{'-' * bool(name)}{prefix}-{kind}-idx{axes}-ubyte"
                raise DataError(
                    f"{folder}: has no {part} {kind}; expected a file {missing} (or {missing}.gz)"
                )
    return arrays, hashes


def _sets_of(path: Path) -> Sets:
    """The data sets that a path names: those in the folder, or one of its parent by name."""
    if path.is_dir():
        return _sets_in(path, DEPTH)
    found = _sets_in(path.parent, 0) if path.name and path.parent.is_dir() else {}
    return {at: parts for at, parts in found.items() if at[1] == path.name}


def _sets_in(folder: Path, depth: int) -> Sets:
    """The data sets in a folder; if there is none, those in the folders below."""
    entries = _entries(folder)
    found: dict[tuple[str, str, str], list[tuple[tuple[bool, ...], Path]]] = {}
    for entry in entries:
        named = FILE.fullmatch(entry.name)
        if named is None:
            continue
        inside = entry.is_dir()
        for path in _entries(entry) if inside else [entry]:
            file = FILE.fullmatch(path.name)
            if file and _part_and_kind(file) == _part_and_kind(named) and path.is_file():
                part, kind = _part_and_kind(file)
                # An unpacked file comes before a packed one, t10k before test, -idx before .idx.
                order = (
                    bool(file["packed"]),
                    inside,
                    file["part"].lower() == "test",
                    file["dash"] == ".",
                )
                key = _of_set(file), part, kind
                found.setdefault(key, []).append((order, path))
    sets: Sets = {}
    for (name, part, kind), files in found.items():
        sets.setdefault((folder, name), {})[part, kind] = min(files)[1]
    if not sets and depth:
        for entry in entries:
            if entry.is_dir():
                with suppress(DataError):  # it cannot be read, and need not hold the data
                    sets |= _sets_in(entry, depth - 1)
        sets = _joined(folder, sets)
    return sets


def _joined(folder: Path, sets: Sets) -> Sets:
    """Sets in folders below, but as one those of the same name that have no file in common."""
    by_name: dict[str, Sets] = {}
    for (at, name), parts in sets.items():
        by_name.setdefault(name, {})[at, name] = parts
    joined: Sets = {}
    for name, same in by_name.items():
        together = {key: path for parts in same.values() for key, path in parts.items()}
        disjoint = len(together) == sum(map(len, same.values()))
        joined |= {(folder, name): together} if len(same) > 1 and disjoint else same
    return joined


def _validation_files(folder: Path, name: str) -> list[str]:
    """The files of a data set in a folder, or one below it, that are for validation."""
    paths = [inner for path in _entries(folder) for inner in (path, *_below(path))]
    found = ((VALIDATION.fullmatch(path.name), path) for path in paths if path.is_file())
    return [
        path.relative_to(folder).as_posix()
        for file, path in found
        if file and _of_set(file) == name
    ]


def _below(path: Path) -> list[Path]:
    with suppress(DataError):  # it cannot be read, and need not hold the data
        return _entries(path) if path.is_dir() else []
    return []


def _of_set(file: re.Match[str]) -> str:
    return file["name"].rstrip("-_. ")


def _part_and_kind(file: re.Match[str]) -> tuple[str, str]:
    part, kind = file["part"].lower(), file["kind"].lower()
    return "train" if part == "train" else "test", kind


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, but for hidden files and those that macOS adds to archives."""
    try:
        return sorted(path for path in folder.iterdir() if not is_hidden(path.name))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from None
