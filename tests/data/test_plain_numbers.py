"""Plain numbers: both readers give what Python reads, and give way where a value is unusual."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from helpers import csv_file

from xpnet.data import csv_files, plain_numbers
from xpnet.data.plain_numbers import Wanted, read_plain_numbers
from xpnet.data.sources import load

READERS = ["numpy", "pyarrow"]


@pytest.fixture(params=READERS)
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """One of the readers, which reads files of any size, a few bytes at a time."""
    if request.param == "pyarrow" and importlib.util.find_spec("pyarrow") is None:
        pytest.skip('pyarrow is not installed; pip install "xpnet[tables]"')
    large = 0 if request.param == "pyarrow" else 2**40
    for name, value in {"LARGE": large, "MANY": 0, "PIECE": 16}.items():
        monkeypatch.setattr(plain_numbers, name, value)
    return request.param


NUMBERS = [
    "1",
    "-2.5",
    "1e-7",
    "12345678901234567890",
    "0.1",
    "7.",
    " 3 ",
    "-0",
    "9007199254740993",
]


def test_numbers_are_those_of_python(reader: str) -> None:
    lines = "".join(f"{number},x{i} ,{i}\n" for i, number in enumerate(NUMBERS))
    blank = "\n" * 40
    content = f"a,b,c\n{blank}{lines}{blank}".encode()
    numbers, texts = read_plain_numbers(content, ",", Wanted(1, 3, [2, 0], 1))
    assert numbers.dtype == np.float64
    expected = [[i, float(number)] for i, number in enumerate(NUMBERS)]
    assert numbers.tobytes() == np.asarray(expected).tobytes()
    assert texts == [f"x{i}" for i in range(len(NUMBERS))]


def test_bytes_stay_bytes(reader: str) -> None:
    content = b"a;b\r\n0;255\r\n7;8\r\n" + b"9;1\r\n" * 9
    numbers, texts = read_plain_numbers(content, ";", Wanted(1, 2, [0, 1], None))
    assert numbers.dtype == np.uint8
    assert numbers[:3].tolist() == [[0, 255], [7, 8], [9, 1]]
    assert (len(numbers), texts) == (11, [])
    for other in (b"256", b"-1", b"0.5"):
        numbers, _ = read_plain_numbers(content + other + b";1", ";", Wanted(1, 2, [0, 1], None))
        assert numbers.dtype == np.float64
        assert numbers[-1].tolist() == [float(other), 1]


@pytest.mark.parametrize(
    "value",
    ["", "x", "1_0", "0x10", "nan", "inf", "1e999", "True", '"1"', "1,2", "1\r2", "１"],
)
def test_a_reader_gives_way_to_what_is_unusual(reader: str, value: str) -> None:
    content = f"a,b\n1,2\n{value},4\n".encode()
    assert read_plain_numbers(content, ",", Wanted(1, 2, [0, 1], None)) is None


@pytest.mark.parametrize(
    "content", [b"a,b\n1,2,3\n4,5,6\n", b"a,b\n1,2\n3\n", b"a,b\n1\n2\n", b"a,b\r1,2\n3,4\n"]
)
def test_a_reader_gives_way_to_uneven_lines(reader: str, content: bytes) -> None:
    assert read_plain_numbers(content, ",", Wanted(1, 2, [0, 1], None)) is None


def test_a_column_that_is_not_taken_may_hold_anything(reader: str) -> None:
    content = "a,b\n1,é\n2,\n3,1_0\n".encode()
    numbers, _ = read_plain_numbers(content, ",", Wanted(1, 2, [0], None))
    assert numbers.tolist() == [[1], [2], [3]]


def test_the_line_of_a_fault_is_found_later(tmp_path: Path, reader: str) -> None:
    """The numbers are plain; a label is missing."""
    path = csv_file(tmp_path, "a,b,label\n1,2,x\n\n3,4,y\n5,6,nan\n")
    with pytest.raises(csv_files.DataError, match="line 5: column 'label' is nan: no value"):
        load(path)


def test_ctrl_c_is_no_unusual_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy makes a ValueError of what a converter raises."""

    def interrupted(value: str) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(plain_numbers, "_nothing", interrupted)
    with pytest.raises(KeyboardInterrupt):
        read_plain_numbers(b"a,b\n1,2\n", ",", Wanted(1, 2, [0], None))
