"""What is said of files that xpnet does not read."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import IMAGES, idx, idx_folder, needed

from xpnet.builder import mlp
from xpnet.data.conversions import advice, holds_data, refuse
from xpnet.data.sources import load, load_samples
from xpnet.errors import DataError

PICTURE = b"\x89PNG\r\n\x1a\n"
FOREIGN = {
    "seven.png": (PICTURE, "pictures are not read yet"),
    "seven.JPG": (b"\xff\xd8\xff\xe0", "pictures are not read yet"),
    "seven.jpeg": (b"", "pictures are not read yet"),
    "seven.gif": (b"GIF89a", "pictures are not read yet"),
    "seven.bmp": (b"BM\x36\0\0\0\0\0\0\0", "pictures are not read yet"),
    "seven.webp": (b"RIFF\x24\0\0\0WEBPVP8", "pictures are not read yet"),
    "seven.tif": (b"II*\0", "pictures are not read yet"),
    "seven": (PICTURE, "pictures are not read yet"),
    "table.csv": (b"PK\3\4..[Content_Types].xml", "xlsx files are not read yet; save the table as"),
    "page.pdf": (b"%PDF-1.7", "PDF files are not read; export the picture as a .png"),
    "photo.heic": (b"", "HEIC files are not read; export"),
    "a.xlsx": (b"PK\3\4", "pandas.read_excel('a.xlsx').to_csv('a.csv', index=False)"),
    "a.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "save the table as CSV (UTF-8), or with pandas"),
    "a.ods": (b"PK\3\4", "pandas.read_excel('a.ods')"),
    "a.parquet": (b"PAR1\x15\4", "pandas.read_parquet('a.parquet').to_csv('a.csv', index=False)"),
    "data": (b"PAR1\x15\4", "pandas.read_parquet('data').to_csv('data.csv'"),
    "a.feather": (b"ARROW1", "pandas.read_feather('a.feather')"),
    "a.json": (b"[]", "pandas.read_json('a.json').to_csv('a.csv', index=False)"),
    "digits.zip": (b"PK\3\4", "unpack it"),
    "a.safetensors": (b"", "is a model, not data; test it by xpnet evaluate a.safetensors"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_not_read_is_answered_with_how_to_convert_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content, told = FOREIGN[name]
    Path(name).write_bytes(content)
    for read in (load, load_samples):
        with pytest.raises(DataError, match=f"^{re.escape(name)}: .*{re.escape(told)}"):
            read(name)


@pytest.mark.parametrize("name", ["gone.png", "gone.xlsx"])
def test_a_file_that_is_not_there_is_not_to_be_converted(name: str) -> None:
    for read in (load, load_samples):
        with pytest.raises(DataError, match=f"{name}: no such file"):
            read(name)


def test_names_that_a_shell_would_read_otherwise_are_replaced() -> None:
    assert "Image.open('my seven.png')" in advice("my seven.png", b"")
    assert "np.save('my seven.npy'" in advice("my seven.png", b"")
    for name in ("it's 7.png", 'a"b.png', "$HOME.png", "`x`.png", "a\\b.png"):
        assert "Image.open('seven.png')" in advice(name, b"")


def code_in(message: str) -> str:
    """The Python code of the command in a message."""
    found = re.search(r'python -c "([^"]*)"', message)
    assert found
    return found[1]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures of black ink on white, in folders by class, and one of them in seven.png."""
    image = needed("PIL.Image")
    monkeypatch.chdir(tmp_path)
    paper = np.full((90, 60), 255, np.uint8)
    paper[20:70, 25:35] = 0
    for name in ("photos/one/a.png", "photos/one/b.JPG", "photos/two/a.png", "seven.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        image.fromarray(paper).save(name)
    return tmp_path


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((28, 28), (1, 28, 28)), ((7, 5), (1, 7, 5)), ((7, 5, 3), (1, 7, 5, 3)), ((64,), (1, 64))],
)
def test_the_command_makes_an_array_of_a_picture(
    photos: Path, shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    with pytest.raises(DataError, match="seven") as caught:
        refuse("seven.png", Path("seven.png"), shape)
    exec(code_in(str(caught.value)), {})
    found, _ = load_samples("seven.npy")
    assert (found.shape, found.dtype) == (expected, np.uint8)
    paper = found.reshape(-1)[0]
    assert paper == (255 if len(shape) == 3 else 0)
    assert np.any(np.abs(found.astype(int) - paper) > 128)


def test_the_command_makes_a_data_set_of_a_folder_of_pictures(photos: Path) -> None:
    with pytest.raises(DataError, match="photos: pictures are not read yet") as caught:
        load("photos")
    exec(code_in(str(caught.value)), {})
    found = load("photos.npz", whole=True)
    assert found.x_train.shape == (3, 28, 28)
    assert sorted(found.y_train.tolist()) == ["one", "one", "two"]
    with pytest.raises(DataError, match="photos: pictures are not read yet") as caught:
        load_samples("photos")
    exec(code_in(str(caught.value)), {})
    assert load_samples("photos.npy")[0].shape == (3, 28, 28)
    assert code_in(advice("seven.png", b"", training=True)).count("Path('photos')") == 1


@pytest.mark.parametrize("shape", [(4,), (50,), (28, 28, 4), (3, 28, 28), (2, 2, 2, 2)])
def test_no_picture_has_such_a_shape(shape: tuple[int, ...]) -> None:
    told = advice("seven.png", b"", shape)
    assert "arrays of 28 x 28 numbers as MNIST's" in told
    assert f"samples of {' x '.join(map(str, shape))} numbers" in told


def test_folders_that_hold_something_else_are_told(tmp_path: Path) -> None:
    digits = idx_folder(tmp_path / "digits", x_train=IMAGES)
    (digits / "preview.png").touch()
    with pytest.raises(
        DataError, match="is a folder; give a file in it, such as train-images-idx3"
    ):
        load_samples(str(digits))
    refuse("digits", digits, training=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: is a folder; expected a file of samples"):
        load_samples(str(tmp_path / "empty"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "photo.png").touch()
    assert holds_data(digits)
    assert holds_data(tmp_path / "run")
    mlp(4, 3).save(tmp_path / "run" / "model.safetensors")
    assert not holds_data(tmp_path / "run")
    with pytest.raises(DataError, match="is a run folder with a model, not data; test it by xpnet"):
        load(str(tmp_path / "run"))


def test_a_file_of_images_is_named_where_a_folder_is_given_to_predict(tmp_path: Path) -> None:
    digits = idx_folder(tmp_path / "digits", y_train=IMAGES[0, 0], x_test=IMAGES)
    (digits / "train-images-idx3-ubyte").mkdir()
    for name in ("._t10k-images-idx3-ubyte", "a-labels-idx1-ubyte.gz"):
        (digits / name).touch()
    with pytest.raises(DataError, match=r"a file in it, such as t10k-images-idx3-ubyte$"):
        load_samples(str(digits))
    (tmp_path / "__MACOSX").mkdir()
    for name in (".photo.png", "__MACOSX/photo.png", "__MACOSX/train-images-idx3-ubyte"):
        (tmp_path / name).touch()
    (digits / "t10k-images-idx3-ubyte").rename(tmp_path / "labels")
    for path in digits.glob("*-idx1-*"):
        path.unlink()
    assert not holds_data(tmp_path)


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "Test-Labels.IDX1-ubyte.GZ", "x.bin"])
@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_the_folder_is_named_where_one_of_its_files_is_given_to_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, pack: Callable[[bytes], bytes]
) -> None:
    (tmp_path / name).write_bytes(pack(idx(IMAGES)))
    expected = "is one file of a data set; give its folder {!r} with images and labels"
    with pytest.raises(DataError) as caught:
        load(str(tmp_path / name))
    assert str(caught.value) == f"{tmp_path / name}: {expected.format(str(tmp_path))}"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        load(name)
    assert str(caught.value) == f"{name}: {expected.format('.')}"


def test_the_name_of_a_data_set_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mnist").mkdir()
    Path("mnist/1.png").touch()
    refuse("mnist", Path("mnist"), training=True)


def test_a_file_is_not_converted_to_itself() -> None:
    assert "to_csv('old-converted.csv'" in advice("old.csv", b"PAR1\x15")
    assert "to_csv('old.csv'" in advice("old.parquet", b"PAR1\x15")


def test_pictures_of_standard_input_are_converted_from_a_file() -> None:
    assert "Image.open('seven.png')" in advice("standard input", PICTURE)


def test_runs_with_pictures_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "a-1").mkdir()
    (tmp_path / "a-1" / "curves.png").write_bytes(PICTURE)
    assert holds_data(tmp_path)
    mlp(2, 3).save(tmp_path / "a-1" / "model.safetensors")
    assert not holds_data(tmp_path)
    with pytest.raises(DataError, match="is a folder of runs, not data"):
        refuse("runs", tmp_path, training=True)
