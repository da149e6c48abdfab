"""Formats of samples: which one a file has, by its ending or its content."""

from xpnet.data.conversions import HEAD, advice, unpacked_head
from xpnet.data.files import DEFAULT_TARGET, Contents, ReadOptions
from xpnet.data.texts import MARKS
from xpnet.errors import DataError, UsageError
from xpnet.registry import FORMATS, FORMATS_WITHOUT_TARGETS

AS_TABLE = "; for a table in a file of another ending give its separator, as by --delimiter ';'"


def format_of(name: str, ending: str | None, content: bytes, delimiter: str | None) -> str:
    """Return the format of samples, as the registry names it.

    Parameters
    ----------
    name : str
        The file's, for errors.
    ending : str or None
        The ending of the file's name; None for content without a name, which is a table if it is
        a text.
    content : bytes
        Its first bytes show the format if the ending does not.
    delimiter : str or None
        If it is given, a file with another ending than those of the registry is a table.

    Raises
    ------
    DataError
        xpnet does not read the file: the message says how to convert it.
    """
    if told := advice(name, content[:HEAD]):
        raise DataError(f"{name}: {told}")
    if ending and (ending in FORMATS or ending in FORMATS_WITHOUT_TARGETS):
        return ending
    found = "csv" if delimiter is not None else _format_in(content)
    if found == "csv" and delimiter is None and ending is not None:
        raise DataError(
            f"{name}: expected a file of samples ({', '.join((*FORMATS, *FORMATS_WITHOUT_TARGETS))}"
            f"){AS_TABLE}"
        )
    return found


def _format_in(content: bytes) -> str:
    """Return the format that the first bytes show; IDX, whose reader says more, if none."""
    head = unpacked_head(content[:HEAD])
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"PK"):
        return "npz"
    is_text = b"\0" not in head or any(head.startswith(mark) for mark in MARKS)
    return "csv" if is_text else "idx"


def require_table(source: str, contents: Contents, options: ReadOptions) -> None:
    """Refuse options that would have no effect, since the data is no table."""
    features = isinstance(options.features, str) and options.features
    given = {
        "features": features, "drop": options.drop, "delimiter": options.delimiter,
        "encoding": options.encoding, "no-header": not options.header,
    }  # fmt: skip
    if isinstance(options.target, str) and options.target != DEFAULT_TARGET:
        given["target"] = options.target
    for name, value in given.items():
        if value and not contents.columns:
            raise UsageError(f"--{name} has no effect: {source} is no table", name)
