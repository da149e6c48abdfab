"""Published data sets as arrays: MNIST in the package, and those that are downloaded."""

import gzip
import hashlib
from pathlib import Path

from xpnet.arrays import HostArray
from xpnet.data import mnist
from xpnet.data.downloads import PARTS, arrange, fetch
from xpnet.data.idx import parse_idx
from xpnet.registry import DOWNLOADS


def read_packaged() -> tuple[dict[str, HostArray], dict[str, str]]:
    """The arrays of MNIST in the package, and the files' hashes."""
    arrays, hashes = {}, {}
    for part, (name, (content, digest)) in zip(PARTS, mnist.read().items(), strict=True):
        arrays[part] = parse_idx(content, name, "images" if part.startswith("x") else "labels")
        hashes[name] = digest
    return arrays, hashes


def read_published(name: str, folder: str | None) -> tuple[dict[str, HostArray], dict[str, str]]:
    """The arrays of a data set that is downloaded; hashes of its files and what is inside."""
    arrays, hashes = {}, dict(DOWNLOADS[name].files)
    for part, (file, content) in fetch(name, folder).items():
        arrays[part] = parse_idx(content, file, "images" if part.startswith("x") else "")
        hashes[Path(file).stem] = hashlib.sha256(gzip.decompress(content)).hexdigest()
    return arrange(DOWNLOADS[name], arrays, name), hashes
