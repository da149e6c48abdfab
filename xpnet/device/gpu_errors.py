"""Errors of a GPU while it computes: what they mean, and what to do."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from xpnet.device.forks import FORKED, has_forked
from xpnet.device.problems import CUDA_ERRORS, first_line, lacks_memory
from xpnet.errors import DeviceError, DeviceFailedError


def _failure(error: BaseException, remedy: str) -> str | None:
    """What an error that CuPy raised means, and what to do; None if it is none of the GPU's."""
    kinds = type(error).__mro__
    libraries = {kind.__module__.partition(".")[0] for kind in kinds}
    if not libraries & {"cupy", "cupy_backends", "xpnet"}:
        return None  # PyTorch has errors of these names, too
    names, text = {kind.__name__ for kind in kinds}, first_line(error)
    if not names & CUDA_ERRORS:
        return None
    if "OutOfMemoryError" in names or lacks_memory(text):
        return _out_of_memory(str(error), remedy)
    if any(sign in text for sign in ("InsufficientDriver", "NoDevice", "InvalidDevice")):
        return f"there is no GPU that works ({text}): see xpnet devices"
    if "InitializationError" in text:
        return f"CUDA cannot start ({text}): {FORKED.remedy}"
    return (
        f"the GPU failed ({text}): what is on it is lost; begin again in a new process, or with "
        "--device cpu"
    )


def _out_of_memory(message: str, remedy: str) -> str:
    """CuPy's message begins "Out of memory allocating 1,024 bytes (allocated so far: ..."."""
    cupy = importlib.import_module("cupy")
    number = "".join(c for c in message.partition("allocating ")[2].partition(" ")[0] if c != ",")
    wanted = f"{_size(int(number))} more were wanted" if number.isdecimal() else "more was wanted"
    pool, device = cupy.get_default_memory_pool(), cupy.cuda.Device().id
    free, total = cupy.cuda.runtime.memGetInfo()
    held, limit = pool.total_bytes(), pool.get_limit()
    if limit:
        free, total = min(free, max(limit - held, 0)), min(total, limit)
    return (
        f"no memory is left on cuda:{device}: {wanted}, {_size(free)} of {_size(total)} are free "
        f"({_size(held)} are taken by this process); {remedy}, end other programs that use it, or "
        "take --device cpu"
    )


def _size(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"


@contextmanager
def failures(remedy: str = "give fewer samples at a time") -> Iterator[None]:
    """Within, errors of the GPU become DeviceFailedError, with what to do about them.

    Parameters
    ----------
    remedy : str
        What to do where memory does not suffice.
    """
    try:
        yield
    except Exception as error:
        told = _failure(error, remedy)
        if told is None:
            raise
        if has_forked():
            raise DeviceError(str(FORKED)) from error
        raise DeviceFailedError(told) from error


@contextmanager
def on_gpu(device: Any) -> Iterator[None]:
    """Make a device of CuPy the current one; its errors say what to do."""
    with failures():
        device.__enter__()
        try:
            yield
        except BaseException:
            with suppress(Exception):  # of a GPU that failed, whatever is asked of it
                device.__exit__(None, None, None)
            raise
        device.__exit__(None, None, None)
