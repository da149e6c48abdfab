"""The files of a data set, and what is in them: to know it again wherever they are."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from xpnet.data.files import expanded, read_file
from xpnet.data.idx_folders import idx_files
from xpnet.data.texts import GZIP, unpacked
from xpnet.registry import DATA


def files_of(source: str) -> list[Path]:
    """The file, or the IDX files in the folder, that `sources.source_of` gives; none of a name."""
    path = expanded(source)
    if source in DATA:
        return []
    return [path] if path.is_file() else idx_files(path)


def hashes_of(files: Sequence[Path]) -> list[str]:
    """SHA-256 of what each file holds, unpacked if it is gzipped, in order of the hashes.

    Raises
    ------
    DataError
        A file cannot be read, or its gzip data is damaged.
    """
    contents = (unpacked(path.name, read_file(path)[0]) for path in files)
    return sorted(hashlib.sha256(content).hexdigest() for content in contents)


def is_packed(path: Path) -> bool:
    """Whether a file is gzipped."""
    with path.open("rb") as stream:
        return stream.read(len(GZIP)) == GZIP
