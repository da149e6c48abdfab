"""The files of a data set, and the hashes of what is in them."""

import gzip
import hashlib
from pathlib import Path

import pytest
from helpers import IMAGES, LABELS, idx_folder

from xpnet.data.origin import files_of, hashes_of, is_packed
from xpnet.errors import DataError


def test_files_of_a_source(tmp_path: Path) -> None:
    folder = idx_folder(tmp_path / "set", x_train=IMAGES, y_train=LABELS)
    (folder / "notes.txt").touch()
    expected = [folder / "train-images-idx3-ubyte", folder / "train-labels-idx1-ubyte"]
    assert sorted(files_of(str(folder))) == sorted(files_of(str(tmp_path))) == expected
    assert files_of(str(expected[0])) == expected[:1]
    assert files_of("mnist") == files_of(str(tmp_path / "gone")) == []
    for file in expected:
        file.with_name(f"b-{file.name}").touch()
    assert sorted(files_of(str(folder))) == expected
    for file in expected:
        file.rename(file.with_name(f"a-{file.name}"))
    assert files_of(str(folder)) == []  # two sets, which are refused


def test_hashes_are_of_what_is_unpacked(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.csv", "b.csv.gz", "c.csv")]
    for path, content in zip(paths, (b"a", gzip.compress(b"b"), gzip.compress(b"c")), strict=True):
        path.write_bytes(content)
    expected = sorted(hashlib.sha256(content).hexdigest() for content in (b"a", b"b", b"c"))
    assert hashes_of(paths) == expected
    assert [*map(is_packed, paths)] == [False, True, True]
    paths[1].write_bytes(gzip.compress(b"b")[:-3])
    with pytest.raises(DataError, match=r"b\.csv\.gz: its gzip data is damaged"):
        hashes_of(paths)
