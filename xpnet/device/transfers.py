"""`no_transfers`: a guard against copies from a GPU and waits for it."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from xpnet.errors import TransferError

if TYPE_CHECKING:
    from traceback import FrameSummary

_watched: ContextVar[bool] = ContextVar("_watched", default=False)
_watching = Lock()
_watchers = 0
_replaced: list[tuple[Any, str, Any]] = []


@contextmanager
def no_transfers() -> Iterator[None]:
    """Within, what copies from a GPU to the host, or waits for it, raises `TransferError`.

    `float(loss)`, `if loss < best`, `x[mask]` and `print(x)` do so for arrays of CuPy, and cost
    the time of all that is still to be computed.  Not seen is what CuPy does without a function of
    its own in Python, as in `cupy.cuda.Device().synchronize()`; nor are copies to the device.

    Raises
    ------
    TransferError
        It names the line.

    Examples
    --------
    ::

        with xpnet.device.no_transfers():
            loss = training_step(batch)
    """
    global _watchers
    try:
        cupy = importlib.import_module("cupy")
    except Exception:  # there is none that works, so there are no arrays of it
        yield
        return
    with _watching:
        _watchers += 1
        if _watchers == 1:
            _watch(cupy)
    token = _watched.set(True)
    try:
        yield
    finally:
        _watched.reset(token)
        with _watching:
            _watchers -= 1
            if not _watchers:
                while _replaced:
                    owner, name, function = _replaced.pop()
                    _put_back(owner, name, function)


def _watch(cupy: Any) -> None:
    """Put a check in front of what copies and waits."""
    cuda = cupy.cuda
    functions = [
        (cupy.ndarray, "get", "a copy to the host"),
        (cuda.stream._BaseStream, "synchronize", "a wait"),
        (cuda.Event, "synchronize", "a wait"),
        *((cuda.runtime, f"{a}Synchronize", "a wait") for a in ("device", "stream", "event")),
        (cuda.runtime, "memcpy", "a copy that waits"),
    ]
    for owner, name, what in functions:
        _replaced.append((owner, name, vars(owner).get(name)))
        setattr(owner, name, _checked(getattr(owner, name), what))


def _put_back(owner: Any, name: str, function: Any) -> None:
    if function is None:  # it was inherited
        delattr(owner, name)
    else:
        setattr(owner, name, function)


def _checked(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    def checked(*arguments: Any, **keywords: Any) -> Any:
        refuse_wait(what)
        return function(*arguments, **keywords)

    return checked


def refuse_wait(what: str) -> None:
    """Within `no_transfers` raise, with the lines that lead to what copies or waits."""
    if not _watched.get():
        return
    import traceback  # late: it takes long

    frames = [f for f in traceback.extract_stack() if not _is_of(f, "cupy", "cupyx")]
    inner = [f for f in frames if not _copies(f)]
    outer = [f for f in inner if not _is_of(f, "xpnet")]
    lines = [f"{f.filename}:{f.lineno}: {f.line}" for f in (inner[-1:] + outer[-1:])]
    where = ", called at ".join(dict.fromkeys(lines))
    raise TransferError(f"{what}, within no_transfers, at {where}")


def _is_of(frame: "FrameSummary", *packages: str) -> bool:
    """Whether code is of one of these packages."""
    return bool({*packages} & {*Path(frame.filename).parts[:-1]})


def _copies(frame: "FrameSummary") -> bool:
    """Whether code is of this folder or of `arrays`, which others ask to copy and to wait."""
    file = Path(frame.filename)
    return (
        file.parent == Path(__file__).parent or file == Path(__file__).parent.parent / "arrays.py"
    )
