"""Files unpacked by gzip, and texts in UTF-8 whatever their encoding."""

import gzip
import zlib

from xpnet.errors import DataError

GZIP = b"\x1f\x8b"
MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
"""What a file may begin with, to say how it is encoded."""


def utf8(name: str, content: bytes, encoding: str | None = None) -> bytes:
    """Return a text in UTF-8, without a mark, of a file that may be gzipped.

    Parameters
    ----------
    name : str
        The file's, for errors.
    content : bytes
    encoding : str, optional
        By its name in Python; by default what the mark says, or UTF-8.

    Raises
    ------
    DataError
        The file is no text, or is encoded otherwise.
    """
    if content[:2] == b"PK":
        raise DataError(
            f"{name}: is a packed file (a workbook or a zip archive) and no text; save the table "
            "as CSV, or unpack it"
        )
    content = unpacked(name, content)
    mark = next((mark for mark in MARKS if content.startswith(mark)), b"")
    known = encoding or MARKS.get(mark, "utf-8")
    if known == "utf-8" and content.isascii() and b"\0" not in content:
        return content  # soon
    try:
        text = content.decode(known).removeprefix("\ufeff")
        plain = content if known == "utf-8" and not mark else text.encode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{name}: line {line} is not {known.upper()}; save the table as UTF-8, or name its "
            "encoding, as by --encoding latin-1"
        ) from None
    except (LookupError, ValueError):  # encodings of Python that are none of texts
        raise DataError(
            f"{name}: there is no encoding {encoding!r}; --encoding takes utf-8, utf-16, latin-1, "
            "cp1252 and others that Python knows"
        ) from None
    zero = text.find("\0")
    if zero >= 0:
        raise DataError(
            f"{name}: line {text.count(chr(10), 0, zero) + 1} has a zero byte: this is no text, or "
            f"one of another encoding, as of --encoding utf-16-{'le' if zero % 2 else 'be'}"
        )
    return plain


def unpacked(name: str, content: bytes) -> bytes:
    """Return the bytes that are gzipped, or those that are not."""
    if content[:2] != GZIP:
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{name}: its gzip data is damaged or truncated ({error})") from None
