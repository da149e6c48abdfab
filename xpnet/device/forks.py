"""Forks: CUDA does not work in a child process if it had started in the parent."""

import os
import sys
from contextlib import suppress

from xpnet.device.problems import Problem
from xpnet.errors import DeviceError

FORKED = Problem(
    "CUDA had started before this process was forked from another, and cannot be used in it",
    'start processes anew, as by multiprocessing.set_start_method("spawn")',
)
_started = _forked = False


def _before_fork() -> None:
    global _started
    cupy = sys.modules.get("cupy")
    _started = _forked
    if cupy is not None:
        with suppress(Exception):  # no driver, or CUDA has not started: the driver refuses
            cupy.cuda.driver.ctxGetCurrent()
            _started = True


def _after_fork() -> None:
    global _forked
    _forked = _started


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)


def has_forked() -> bool:
    """Whether this process was forked from one in which CUDA had started."""
    return _forked


def refuse_after_fork() -> None:
    """Raise a DeviceError where CUDA cannot work because of a fork."""
    if _forked:
        raise DeviceError(str(FORKED))
