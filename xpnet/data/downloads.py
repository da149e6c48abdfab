"""Published data sets, downloaded once: Fashion-MNIST, KMNIST, QMNIST and parts of EMNIST.

Mirrors are tried in order, and a file is taken, from a mirror or from the cache, only if it has the
SHA-256 that is known for it.  So nothing unknown is ever unpacked, and what is inside needs no
checksum of its own.
"""

import hashlib
import importlib
import os
import sys
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from xpnet.arrays import HostArray
from xpnet.data.files import expanded
from xpnet.data.mnist import FILES as MNIST_FILES
from xpnet.errors import DataError
from xpnet.registry import DOWNLOADS

PARTS = ("x_train", "y_train", "x_test", "y_test")
SECONDS = 30  # without a byte, until the next mirror is tried
MIB = 2**20

QMNIST_FILES = (
    "qmnist-train-images-idx3-ubyte.gz",
    "qmnist-train-labels-idx2-int.gz",
    "qmnist-test-images-idx3-ubyte.gz",
    "qmnist-test-labels-idx2-int.gz",
)
EMNIST_PARTS = ("train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1")
EMNIST_LABELS = {  # those of digits and mnist are the digits themselves
    "balanced": f"{digits}{ascii_uppercase}abdefghnqrt",
    "bymerge": f"{digits}{ascii_uppercase}abdefghnqrt",
    "byclass": f"{digits}{ascii_uppercase}{ascii_lowercase}",
    "letters": ascii_uppercase,
}


@dataclass(frozen=True)
class Published:
    """Where a data set is, and how it differs from MNIST.

    Attributes
    ----------
    folder : str
        Its folder in the cache.
    mirrors : tuple of str
        Addresses to which the name of a file is appended.
    files : mapping
        The SHA-256 of each file by name.
    most_bytes : int
        No file has more: a download that goes on is broken off.
    members : tuple of str
        Where there is one file, a zip: the names in it of the four IDX files, in the order of
        `PARTS`.  Otherwise `files` has that order.
    labels : tuple of str
        Names of the classes, in the order of the labels in the files.
    first_label : int
        The label of the first name.
    transposed : bool
        Images are stored column by column.
    """

    folder: str
    mirrors: tuple[str, ...]
    files: Mapping[str, str]
    most_bytes: int = 64 * MIB
    members: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    first_label: int = 0
    transposed: bool = False


def _hashes(files: tuple[str, ...], *hashes: str) -> dict[str, str]:
    return dict(zip(files, hashes, strict=True))


def _emnist(split: str) -> Published:
    return Published(
        folder="emnist",
        mirrors=(
            "https://biometrics.nist.gov/cs_links/EMNIST/",
            "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/",
        ),
        # As TensorFlow Datasets and MLDatasets.jl have it.
        files={"gzip.zip": "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"},
        most_bytes=600 * MIB,
        members=tuple(f"gzip/emnist-{split}-{part}-ubyte.gz" for part in EMNIST_PARTS),
        labels=tuple(EMNIST_LABELS.get(split, "")),
        first_label=1 if split == "letters" else 0,
        transposed=True,
    )


FASHION_MNIST = Published(
    folder="fashion-mnist",
    mirrors=(
        "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
        "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/",
    ),
    files=_hashes(
        MNIST_FILES,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
    labels=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
)
KMNIST = Published(
    folder="kmnist",
    mirrors=(
        "https://storage.googleapis.com/kuzushiji-mnist/",
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    ),
    files=_hashes(
        MNIST_FILES,
        "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
        "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
        "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
    ),
    # Romanised: every terminal shows these, not every one has kana.
    labels=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
)
QMNIST = Published(
    folder="qmnist",
    mirrors=(
        "https://raw.githubusercontent.com/facebookresearch/qmnist/master/",
        "https://github.com/facebookresearch/qmnist/raw/master/",
    ),
    files=_hashes(
        QMNIST_FILES,
        "9e26a7bf1683614e065d7b76460ccd52807165b3f22561fb782bd9f38c52b51d",
        "2c05dc77f6b916b38e455e97ab129a42a444f3dbef09b278a366f82904e0dd9f",
        "43fc22bf7498b8fc98de98369d72f752d0deabc280a43a7bcc364ab19e57b375",
        "9fbcbe594c3766fdf4f0b15c5165dc0d1e57ac604e01422608bb72c906030d06",
    ),
)
EMNIST_BALANCED = _emnist("balanced")
EMNIST_DIGITS = _emnist("digits")
EMNIST_LETTERS = _emnist("letters")


def fetch(name: str, folder: str | None = None) -> dict[str, tuple[str, bytes]]:
    """The four IDX files of a data set, downloaded where the cache has not got them.

    Parameters
    ----------
    name : str
        One of `registry.DOWNLOADS`.
    folder : str, optional
        The cache; by default the environment variable XPNET_DATA, or else the user's folder for
        caches.  The data set has a folder in it.

    Returns
    -------
    dict
        For each of `PARTS`, the name of the file and its bytes, gzipped.

    Raises
    ------
    DataError
        No mirror has a file, the cache cannot be read or written, or pooch is not installed.
    """
    published = DOWNLOADS[name]
    cache = named_cache(folder) or _user_cache(name)
    place = expanded(cache).absolute() / published.folder
    for file in published.files:
        if not _is_whole(name, place / file):
            _download(name, file, place)
    if not published.members:
        files = {file: (place / file).read_bytes() for file in published.files}
    else:
        (file,) = published.files
        with zipfile.ZipFile(place / file) as archive:
            files = {member: archive.read(member) for member in published.members}
    return dict(zip(PARTS, files.items(), strict=True))


def named_cache(folder: str | None) -> str | None:
    """The folder for caches that is given, by an argument or the environment."""
    return folder or os.environ.get("XPNET_DATA")


def published_as(name: str) -> Published:
    """How data sets differ from MNIST whose files begin with this name, such as emnist-digits."""
    kind, _, split = name.lower().replace("_", "-").partition("-")
    return _emnist(split) if kind == "emnist" else Published("", (), {})


def arrange(
    published: Published, arrays: Mapping[str, HostArray], where: str
) -> dict[str, HostArray]:
    """The arrays of a data set's IDX files as MNIST has them: upright, a class for each image.

    Parameters
    ----------
    published : Published
        How they differ from MNIST's.
    arrays : mapping
        Images (n, height, width) and labels (n,) or (n, k), the first the class, by part.
    where : str
        What the data set is called, for errors.

    Returns
    -------
    dict
        Images (n, height, width), and classes (n,): numbers, or names where there are names.

    Raises
    ------
    DataError
        A label is none of the data set's.
    """
    arranged, names = {}, np.asarray(published.labels)
    for part, array in arrays.items():
        if part.startswith("x"):
            upright = array.swapaxes(1, 2) if published.transposed and array.ndim > 2 else array
            arranged[part] = np.ascontiguousarray(upright)
            continue
        classes = array if array.ndim == 1 else array[:, 0]
        if len(names):
            columns = classes.astype(np.int64) - published.first_label
            wrong = np.flatnonzero((columns < 0) | (columns >= len(names)))
            if len(wrong):
                last = published.first_label + len(names) - 1
                raise DataError(
                    f"{where}: label {classes[wrong[0]]} of sample {wrong[0]} in {part} is out of "
                    f"range; expected {published.first_label} to {last}"
                )
            classes = names[columns]
        arranged[part] = classes
    return arranged


def _is_whole(name: str, path: Path) -> bool:
    """Whether a file is in the cache, and is the one that was published."""
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    return digest == DOWNLOADS[name].files[path.name]


def _download(name: str, file: str, place: Path) -> None:
    """One file into the cache, under its name only when it is whole and verified."""
    pooch, published = _pooch(name), DOWNLOADS[name]
    pooch.get_logger().setLevel("WARNING")
    get = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(), chunk_size=MIB // 16, timeout=SECONDS
    )

    def get_no_more(url: str, path: str, caller: object) -> None:
        with Path(path).open("wb") as stream:
            get(url, _Capped(stream, published.most_bytes), caller)

    reasons = []
    for mirror in published.mirrors:
        try:
            place.mkdir(parents=True, exist_ok=True)
            pooch.retrieve(
                mirror + file, published.files[file], file, place, downloader=get_no_more
            )
            return
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None) or isinstance(error, PermissionError):
                why = getattr(error, "strerror", None) or "no permission"
                raise DataError(f"{place / file}: cannot be written: {why}") from None
            reasons.append(f"{urlsplit(mirror).netloc}: {_reason(error)}")
    with suppress(OSError):
        place.rmdir()  # if nothing is in it
    missing = [other for other in published.files if not _is_whole(name, place / other)]
    damaged = "in the cache is damaged or another one, and " if (place / file).exists() else ""
    raise DataError(
        f"{name}: {file} {damaged}cannot be downloaded ({', '.join(reasons)}); put "
        f"{', '.join(missing)} into {place}, for example from {published.mirrors[0]}{missing[0]}"
    )


class _Capped:
    """A stream that takes no more than so many bytes."""

    def __init__(self, stream: Any, most_bytes: int) -> None:
        self._stream, self._left = stream, most_bytes

    def write(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        if self._left < 0:
            raise DataError("more bytes than the file has")
        self._stream.write(chunk)

    def flush(self) -> None:
        self._stream.flush()


def _reason(error: Exception) -> str:
    """Why a mirror failed, in a few words."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status:
        return f"HTTP {status}"
    if isinstance(error, DataError):
        return str(error)
    return type(error).__name__ if isinstance(error, OSError) else "another file than published"


def _user_cache(name: str) -> str:
    pooch = _pooch(name)
    try:
        return str(pooch.os_cache("xpnet"))
    except RuntimeError:  # an account without a home
        raise DataError(
            f"{name}: you have no folder for caches here; name one by --data-dir or XPNET_DATA"
        ) from None


def _pooch(name: str) -> Any:
    try:
        importlib.import_module("tqdm")
        return importlib.import_module("pooch")
    except ImportError as error:
        published = DOWNLOADS[name]
        raise DataError(
            f'{name}: to download it, {error.name} is needed: pip install "xpnet[data]" (in a '
            f'clone: ".[data]"); or put {", ".join(published.files)} from {published.mirrors[0]} '
            f"into FOLDER/{published.folder} and say --data-dir FOLDER"
        ) from None
