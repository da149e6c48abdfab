"""The choice of a device: `auto`, `cpu`, `cuda`, `cuda:N`; without a usable GPU the CPU."""

import importlib
import os
import platform
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt

from xpnet import __version__
from xpnet.bounds import shown
from xpnet.checks import checked
from xpnet.device.description import CUPY_PACKAGES, details, gpu_name, installed_version
from xpnet.device.forks import refuse_after_fork
from xpnet.device.gpu_errors import failures, on_gpu
from xpnet.device.probing import probe
from xpnet.device.problems import Problem
from xpnet.device.transfers import refuse_wait
from xpnet.errors import DeviceError, DeviceFallbackWarning, UsageError


@dataclass(frozen=True)
class Device:
    """A device that works: the CPU, or a GPU that has been probed.

    Attributes
    ----------
    kind : {"cpu", "cuda"}
    index : int
        The number of the GPU; 0 for the CPU.
    why : str
        How it came to be chosen.  Does not count in comparisons.
    """

    kind: str
    index: int = 0
    why: str = field(default="", compare=False)

    def __str__(self) -> str:
        return "cpu" if self.kind == "cpu" else f"cuda:{self.index}"

    def put(self, array: npt.NDArray[Any]) -> Any:
        """`array` on this device: itself on the CPU, a CuPy array on a GPU."""
        if self.kind == "cpu":
            return array
        refuse_after_fork()
        cupy = importlib.import_module("cupy")
        with on_gpu(cupy.cuda.Device(self.index)):
            return cupy.asarray(array)

    def synchronize(self) -> None:
        """Wait until all that it was asked for is computed; a CPU's is already."""
        if self.kind == "cuda":
            refuse_wait("a wait")
            with failures():
                importlib.import_module("cupy").cuda.Device(self.index).synchronize()


def parse(spec: str) -> tuple[str, int]:
    """("auto" | "cpu" | "cuda", index) of `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises
    ------
    UsageError
        It is none of these.
    """
    if not isinstance(spec, str):
        raise UsageError(f"device must be a name: auto, cpu, cuda or cuda:N, got {shown(spec)}")
    kind, colon, number = spec.partition(":")
    if spec in ("auto", "cpu", "cuda"):
        return spec, 0
    if kind == "cuda" and colon and number.isascii() and number.isdecimal() and len(number) < 6:
        return kind, int(number)
    wanted = "cuda" if kind.lower() in ("gpu", "nvidia") else kind.lower()
    near = get_close_matches(wanted, ("auto", "cpu", "cuda"), n=1)
    hint = f", did you mean '{near[0]}'?" if near else ";"
    raise UsageError(f"unknown device {spec!r}{hint} expected auto, cpu, cuda or cuda:N")


_warned = False


@checked
def select_device(spec: str = "auto", strict: bool = False) -> Device:
    """The device that `spec` asks for, if it works; otherwise the CPU, and why.

    Parameters
    ----------
    spec : str, default "auto"
        `auto` (a GPU where one works), `cpu`, `cuda` (the first GPU) or `cuda:N`.
    strict : bool, default False
        Raise where `cuda` would fall back to the CPU.

    Warns
    -----
    DeviceFallbackWarning
        Once per process: a GPU was asked for and cannot be used.

    Raises
    ------
    UsageError
        `spec` is not of that form.
    DeviceError
        With `strict`: the GPU cannot be used.
    """
    global _warned
    kind, index = parse(spec)
    if kind == "cpu":
        return Device("cpu", why="asked for")
    problem = probe(index)
    if problem is None:
        why = f"{'auto' if kind == 'auto' else 'asked for'}: {gpu_name(index)}"
        return Device("cuda", index, why)
    if kind == "auto":
        return Device("cpu", why=f"auto: {problem.reason}")
    if strict:
        raise DeviceError(f"{spec} cannot be used: {problem}")
    if not _warned:
        _warned = True
        warnings.warn(
            f"{spec} cannot be used, so the CPU is: {problem}", DeviceFallbackWarning, stacklevel=3
        )
    return Device("cpu", why=f"{spec} cannot be used: {problem.reason}")


def inventory() -> Iterator[tuple[str, list[str], Problem | None]]:
    """For each device there is, and `cuda` where there is none: name, what it is, problem."""
    yield "cpu", [f"{platform.machine()}, {os.cpu_count()} cores, NumPy {np.__version__}"], None
    problem = probe(0)
    try:
        count = importlib.import_module("cupy").cuda.runtime.getDeviceCount()
    except Exception:  # no CuPy, or no driver: `problem` says which
        count = 0
    if count == 0:
        yield "cuda", [""], problem
    for i in range(count):
        problem = probe(i)
        more = details(i) if problem is None else []
        yield f"cuda:{i}", [gpu_name(i), *more], problem


def versions(device: Device) -> dict[str, str]:
    """The versions that a result depends on: Python, xpnet, NumPy; on a GPU those of CuPy too."""
    found = {"python": platform.python_version(), "xpnet": __version__, "numpy": np.__version__}
    if device.kind == "cuda":
        packages = ("array-api-compat", *CUPY_PACKAGES)
        found |= {name: version for name in packages if (version := installed_version(name))}
    return found
