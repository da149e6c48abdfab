"""Files that xpnet does not read: how to convert pictures, spreadsheets and others.

They are recognised by their first bytes, or else by their ending.
"""

import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from math import isqrt
from pathlib import Path

from xpnet.data.files import is_hidden
from xpnet.data.texts import GZIP
from xpnet.errors import DataError
from xpnet.registry import DATA

DIGITS = (28, 28)  # the shape of MNIST's images
PICTURES = ("png", "jpg", "jpeg", "gif", "bmp", "webp", "tif", "tiff")
DRAWINGS = ("pdf", "svg", "heic", "heif", "avif")  # not read by Pillow alone
FRAMES = {
    "xlsx": "excel", "xlsm": "excel", "xls": "excel", "ods": "excel", "parquet": "parquet",
    "feather": "feather", "json": "json", "dta": "stata",
}  # fmt: skip
"""Endings, and pandas' function that reads such files: read_excel, ..."""
ARCHIVES = ("zip", "tar", "tgz", "7z", "rar")
BEGINNINGS = {
    rb"\x89PNG": "png", rb"\xff\xd8\xff": "jpg", rb"GIF8": "gif", rb"BM.{4}\0{4}": "bmp",
    rb"RIFF.{4}WEBP": "webp", rb"II\*\0|MM\0\*": "tif", rb"%PDF-": "pdf", rb"PAR1\x15": "parquet",
    rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "xls", rb"PK.*\[Content_Types\]\.xml": "xlsx",
    rb"PK.*application/vnd\.oasis": "ods",
}  # fmt: skip
HEAD = 4096  # bytes within which a format shows
IDX_FILE = re.compile(r"idx\d-(ubyte|int)(\.gz)?$", re.IGNORECASE)
IDX_HEAD = re.compile(rb"\0\0[\x08\x09\x0b-\x0e][\1-\4]")
STANDARD_INPUT = "standard input"  # as messages name it
MOST_ENTRIES = 10_000  # of a folder that are looked at


def refuse(
    source: str, path: Path, shape: Sequence[int] = DIGITS, *, training: bool = False
) -> None:
    """Raise a DataError that says how to convert a file or folder, if xpnet does not read it.

    Nothing is done where the file does not exist, or may be of a format that xpnet reads, or has
    the name of a data set to train on.

    Parameters
    ----------
    source : str
        The name as the user wrote it.
    path : Path
    shape : sequence of int, default (28, 28)
        The shape of one sample.
    training : bool, default False
        Whether the data is to be trained or tested on, and needs labels.
    """
    if training and source in DATA:
        return
    if path.is_dir():
        told = _of_folder(source, path, shape, training)
    elif path.is_file():
        head = b""
        with suppress(OSError), path.open("rb") as stream:  # whoever reads it all says why
            head = stream.read(HEAD)
        told = advice(source, head, shape, training=training)
    else:
        return
    if told:
        raise DataError(f"{source}: {told}")


def advice(
    source: str, head: bytes, shape: Sequence[int] = DIGITS, *, training: bool = False
) -> str:
    """Return how to convert a file with this name and first bytes; "" if xpnet may read it."""
    found = [kind for begin, kind in BEGINNINGS.items() if re.match(begin, head, re.DOTALL)]
    ending = Path(source).suffix.lower().removeprefix(".")
    kind = found[0] if found else ending
    if kind in PICTURES:
        if training:
            return _of_pictures("photos", (f".{kind}",), shape, training=True)
        return _of_picture(source, shape)
    if kind in DRAWINGS:
        return f"{kind.upper()} files are not read; export the picture as a .png file first"
    if kind in FRAMES:
        table = f"pandas.read_{FRAMES[kind]}({_name(source, f'table.{kind}')!r})"
        target = _stem(source, "table") + ("-converted.csv" if ending == "csv" else ".csv")
        save = "save the table as CSV (UTF-8), or with pandas: " if FRAMES[kind] == "excel" else ""
        code = f"import pandas; {table}.to_csv({target!r}, index=False)"
        with_pandas = "" if save else "with pandas: "
        return f'{kind} files are not read yet; {save}{with_pandas}python -c "{code}"'
    if kind in ARCHIVES:
        return "an archive is not read; unpack it and give the file or folder that it holds"
    if training and (IDX_FILE.search(source) or IDX_HEAD.match(unpacked_head(head))):
        folder = str(Path(source).parent)
        return f"is one file of a data set; give its folder {folder!r} with images and labels"
    if kind == "safetensors":
        return f"is a model, not data{_uses_of_model(source)}"
    return ""


def holds_data(folder: Path) -> bool:
    """Whether a folder holds IDX files or pictures, and no model: runs may have pictures too."""
    return not any(folder.rglob("model.safetensors")) and bool(_idx_in(folder) or _kinds(folder))


def _of_folder(source: str, folder: Path, shape: Sequence[int], training: bool) -> str:
    if (folder / "model.safetensors").is_file():
        return f"is a run folder with a model, not data{_uses_of_model(source)}"
    if any(folder.rglob("model.safetensors")):
        return "is a folder of runs, not data"
    if _idx_in(folder):
        return "" if training else "is a folder; give a file in it, such as " + _idx_in(folder)
    if kinds := _kinds(folder):
        return _of_pictures(source, kinds, shape, training)
    return "" if training else "is a folder; expected a file of samples"


def _uses_of_model(source: str) -> str:
    return f"; test it by xpnet evaluate {source}, predict with it by xpnet predict {source} FILE"


def _of_picture(source: str, shape: Sequence[int]) -> str:
    """Say how to convert one picture to predict."""
    array = _array(repr(_name(source, "seven.png")), shape)
    if not array:
        return _not_a_picture(shape)
    target = _stem(source, "seven") + ".npy"
    return _converted(shape, "", f"np.save({target!r}, [{array}])", target)


def _of_pictures(folder: str, kinds: Sequence[str], shape: Sequence[int], training: bool) -> str:
    """Say how to convert a folder of pictures."""
    array = _array("f", shape)
    if not array:
        return _not_a_picture(shape)
    name = _name(folder, "photos").rstrip("/")
    files = f"sorted(Path({name!r}).rglob('*')) if f.suffix.lower() in {[*kinds]}"
    code = f"from pathlib import Path; p = [f for f in {files}]; "
    arrays = f"[{array} for f in p]"
    if not training:
        target = _stem(name, "photos") + ".npy"
        return _converted(shape, "", f"{code}np.save({target!r}, {arrays})", target)
    target = _stem(name, "photos") + ".npz"
    code += f"np.savez({target!r}, x={arrays}, y=[f.parent.name for f in p])"
    order = f" Put the pictures of each class in a folder with its name: {name}/cat, {name}/dog."
    return _converted(shape, order, code, target)


def _converted(shape: Sequence[int], order: str, code: str, target: str) -> str:
    ink = (
        ". The 255 - turns dark ink on white into white on black, as MNIST has it; leave it out "
        "for pictures that are white on black"
    )
    return (
        f"pictures are not read yet; give arrays of {_sizes(shape)} numbers.{order} With Pillow: "
        f'python -c "import numpy as np; from PIL import Image; {code}" and then give {target}'
        f"{ink if '255 - ' in code else ''}"
    )


def _array(file: str, shape: Sequence[int]) -> str:
    """Return the code that makes an array of a picture; "" if no picture has this shape."""
    colours, flat = len(shape) == 3 and shape[2] == 3, len(shape) == 1
    height, width = (isqrt(shape[0]), isqrt(shape[0])) if flat else shape[:2]
    if len(shape) > 2 + colours or (flat and not (height >= 8 and height**2 == shape[0])):
        return ""
    mode = "RGB" if colours else "L"
    resized = f"np.asarray(Image.open({file}).convert('{mode}').resize(({width}, {height})))"
    return f"{'' if colours else '255 - '}{resized}{'.reshape(-1)' if flat else ''}"


def _not_a_picture(shape: Sequence[int]) -> str:
    return (
        f"pictures are not read yet; they come as arrays of {_sizes(DIGITS)} numbers as MNIST's, "
        f"and this model takes samples of {_sizes(shape)} numbers"
    )


def _sizes(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _name(source: str, otherwise: str) -> str:
    """Return a name for a command line, or another one if its characters need quoting there."""
    plain = re.fullmatch(r"[\w./~ :-]+", source) and source != STANDARD_INPUT
    return source if plain else otherwise


def _stem(source: str, otherwise: str) -> str:
    return Path(_name(source, otherwise)).stem or otherwise


def unpacked_head(head: bytes) -> bytes:
    """Return the first bytes of a file, or what they are packed of by gzip."""
    if head.startswith(GZIP):
        with suppress(zlib.error):
            return zlib.decompressobj(wbits=31).decompress(head, HEAD)
    return head


def _kinds(folder: Path) -> list[str]:
    """Return the endings of the pictures in a folder and those below it, such as .png."""
    endings = {path.suffix.lower() for path in _entries(folder)}
    return sorted(endings & {f".{kind}" for kind in PICTURES})


def _idx_in(folder: Path) -> str:
    """Return the name of an IDX file in a folder, of images if there is one, or ""."""
    found = (path for path in _entries(folder) if IDX_FILE.search(path.name))
    names = [str(path) for path in found if (folder / path).is_file()]
    return min(names, key=lambda name: ("images" not in name.lower(), name), default="")


def _entries(folder: Path) -> Iterator[Path]:
    """What is in a folder and those below it, by its path in there."""
    for path in islice(folder.rglob("*"), MOST_ENTRIES):
        inner = path.relative_to(folder)
        if not any(map(is_hidden, inner.parts)):
            yield inner
