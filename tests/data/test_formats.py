"""Formats by their ending and their content."""

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import IMAGES, idx

from xpnet.data.formats import format_of
from xpnet.data.sources import load, load_samples
from xpnet.errors import DataError, UsageError

TABLE = b"a,b\n1,2\n3,4\n"


def saved(save: Any) -> bytes:
    stream = io.BytesIO()
    save(stream, IMAGES)
    return stream.getvalue()


CONTENTS = {
    "npy": saved(np.save),
    "npz": saved(np.savez),
    "idx": idx(IMAGES),
    "idx, gzipped": gzip.compress(idx(IMAGES)),
    "csv": TABLE,
    "csv, gzipped": gzip.compress(TABLE),
    "csv, UTF-16": TABLE.decode().encode("utf-16"),
    "csv that begins as a bitmap": b"BMI,age\n1,2\n",
    "csv that begins as Parquet": b"PAR1,b\n1,2\n",
    "csv that begins as a zip": b"a,PK\n1,2\n",
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_the_content_shows_the_format(kind: str) -> None:
    expected = kind.partition(",")[0].partition(" ")[0]
    assert format_of("name", None, CONTENTS[kind], None) == expected


def test_the_ending_comes_first_and_a_delimiter_makes_a_table(tmp_path: Path) -> None:
    assert format_of("a.npy", "npy", TABLE, None) == "npy"
    assert format_of("a.npy", "npy", TABLE, ";") == "npy"
    assert format_of("a.dat", "dat", TABLE, ";") == "csv"
    assert format_of("images", "", CONTENTS["npy"], None) == "npy"
    path = tmp_path / "a.dat"
    path.write_bytes(b"a;label\n1;0\n2;1\n")
    assert load_samples(str(path), ("a",), delimiter=";")[0].tolist() == [[1], [2]]
    found = load(str(path), delimiter=";")
    assert (found.name, found.x_train.tolist()) == ("a", [[1], [2]])


@pytest.mark.parametrize("name", ["notes.txt", "a.dat", "table"])
def test_a_text_without_a_known_ending_is_no_format(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(TABLE)
    for read in (load, load_samples):
        with pytest.raises(DataError, match=f"{name}: expected .*give its separator, as by --del"):
            read(str(tmp_path / name))


def test_a_target_is_refused_where_the_data_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, x=np.ones((4, 2)), y=np.arange(4) % 2)
    with pytest.raises(UsageError, match=r"--target has no effect: .*set\.npz is no table"):
        load(str(path), "price")
    assert load(str(path), ("price",), whole=True).x_test.shape == (4, 2)  # of a model
