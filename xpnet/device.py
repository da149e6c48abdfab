"""Where arrays live: the namespace of an array, the choice of a device, copies between them.

The one module of the core that names array libraries; each is imported when first wanted.
"""

import importlib
import os
import platform
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from xpnet import __version__
from xpnet.errors import DeviceError, DeviceFallbackWarning, UsageError

Array = Any

_namespaces: dict[type, Any] = {np.ndarray: np}
_of_the_host: set[type] = set()
_NOTHING = nullcontext()


def namespace(x: Array) -> Any:
    """The array-API namespace of `x`, remembered by its type.

    NumPy conforms by itself; array-api-compat supplies what CuPy, PyTorch and JAX lack.

    Raises
    ------
    UsageError
        `x` is no array of a library that xpnet supports.
    """
    try:
        return _namespaces[type(x)]
    except KeyError:
        pass
    if isinstance(x, np.ndarray | np.generic):
        xp: Any = np
    else:
        import array_api_compat as compat

        lazy = compat.is_dask_array(x) or compat.is_ndonnx_array(x)
        try:
            xp = None if lazy else compat.array_namespace(x)
        except TypeError:
            xp = None
        if xp is None or compat.is_pydata_sparse_array(x):
            raise UsageError(
                f"a {type(x).__module__}.{type(x).__qualname__} is no array that xpnet can "
                "compute with; give one of NumPy, CuPy, PyTorch, JAX or array-api-strict"
            )
    _namespaces[type(x)] = xp
    return xp


def remember(kind: type, xp: Any) -> None:
    """Let `namespace` give `xp` for this type, which stands for arrays of the host."""
    _namespaces[kind] = xp
    _of_the_host.add(kind)


def device_of(x: Array) -> Any:
    """The device of `x` in its own library's terms; None for a tracer of JAX."""
    if isinstance(x, np.ndarray) or type(x) in _of_the_host:
        return "cpu"
    import array_api_compat as compat

    return compat.device(x)


def on_device_of(x: Array) -> AbstractContextManager[Any]:
    """A context in which new arrays of `x`'s library are made on `x`'s device.

    CuPy's functions work on the current device, whatever their arguments' devices; for the
    other libraries there is nothing to do.
    """
    return device_of(x) if _is_cupy(x) else _NOTHING


def put(array: npt.NDArray[Any], like: Array) -> Array:
    """`array` of the host as an array of `like`'s library, on its device."""
    if isinstance(like, np.ndarray):
        return array
    plain = array.flags.writeable and array.flags.aligned and array.flags.c_contiguous
    if not (plain and array.dtype.isnative):  # PyTorch warns of a read-only one
        array = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    return namespace(like).asarray(array, device=device_of(like))


def to_numpy(x: Array) -> npt.NDArray[Any]:
    """`x` as a NumPy array; from a GPU a copy, for which the device is waited for."""
    if isinstance(x, np.ndarray):
        return x
    if _is_cupy(x):
        return x.get()  # type: ignore[no-any-return]
    library = type(x).__module__.partition(".")[0]
    if library == "torch":
        return x.detach().cpu().numpy()  # type: ignore[no-any-return]
    if library == "array_api_strict":
        x = x.to_device(namespace(x).Device("CPU_DEVICE"))
    return np.asarray(x)


def frozen_copy(x: Array) -> Array:
    """A copy of `x` where it is; of NumPy one that cannot be written to."""
    copy = namespace(x).asarray(x, copy=True)
    if isinstance(copy, np.ndarray):
        copy.flags.writeable = False
    return copy


def without_history(x: Array) -> Array:
    """`x`, cut off from PyTorch's record of how it was computed."""
    return x.detach() if hasattr(x, "detach") else x


def float_name(x: Array) -> str:
    """The name of the floating-point type of `x`: "float32" or "float64"."""
    return f"float{namespace(x).finfo(x.dtype).bits}"


def _is_cupy(x: Array) -> bool:
    return type(x).__module__.partition(".")[0] == "cupy"


@dataclass(frozen=True)
class Problem:
    """Why a device cannot be used, and what to do about it."""

    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}"


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

    def put(self, array: npt.NDArray[Any]) -> Array:
        """`array` on this device: itself on the CPU, a CuPy array on a GPU."""
        if self.kind == "cpu":
            return array
        cupy = importlib.import_module("cupy")
        with cupy.cuda.Device(self.index):
            return cupy.asarray(array)


def parse(spec: str) -> tuple[str, int]:
    """("auto" | "cpu" | "cuda", index) of `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises
    ------
    UsageError
        It is none of these.
    """
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


def select(spec: str = "auto", strict: bool = False) -> Device:
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
            f"{spec} cannot be used, so the CPU is: {problem}", DeviceFallbackWarning, stacklevel=2
        )
    return Device("cpu", why=f"{spec} cannot be used: {problem.reason}")


_CUPY_PACKAGES = ("cupy", "cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x")
_ON_CUDA = ("array-api-compat", *_CUPY_PACKAGES)
_INSTALL = 'pip install "xpnet[cuda]" (in a clone: ".[cuda]")'


@cache
def probe(index: int = 0) -> Problem | None:
    """None if GPU number `index` really computes; otherwise why not.

    Nothing is assumed: CuPy is imported, the devices are counted, and a small matrix product
    (cuBLAS) and a small kernel (the kernel compiler) are run and their result compared.
    """
    try:
        problem = _check_cupy() or _check_count(index)
    except Exception as error:  # whatever a broken installation raises is the reason
        return Problem(f"CuPy fails: {_first_line(error)}", f"install it again: {_INSTALL}")
    return problem or _check_computing(index)


def _check_cupy() -> Problem | None:
    """CuPy is there, once, and new enough."""
    if sys.modules.get("cupy") is None and find_spec("cupy") is None:
        return Problem("CuPy is not installed", _INSTALL)
    installed = [name for name in _CUPY_PACKAGES if _version(name)]
    if len(installed) > 1:
        return Problem(
            f"{' and '.join(installed)} are both installed and overwrite one another",
            f"pip uninstall {' '.join(installed)}, then {_INSTALL}",
        )
    cupy = importlib.import_module("cupy")
    if int(cupy.__version__.partition(".")[0]) < 14:
        return Problem(f"CuPy {cupy.__version__} is too old", f"CuPy 14 is needed: {_INSTALL}")
    return None


def _check_count(index: int) -> Problem | None:
    """There is a driver, new enough, and a device of that number."""
    runtime = importlib.import_module("cupy").cuda.runtime
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        driver, needed = runtime.driverGetVersion(), runtime.runtimeGetVersion()
        if driver == 0:
            return Problem(
                "no NVIDIA driver is loaded",
                "if this machine has an NVIDIA GPU, install its driver",
            )
        if driver < needed:
            return Problem(
                f"the NVIDIA driver is for CUDA {_cuda(driver)} and this CuPy needs "
                f"CUDA {_cuda(needed)}",
                "update the NVIDIA driver",
            )
        return Problem(
            f"CUDA finds no device: {_first_line(error)}",
            "see what nvidia-smi and CUDA_VISIBLE_DEVICES say of the GPU",
        )
    if count == 0:
        return Problem(
            "CUDA finds no device", "see what nvidia-smi and CUDA_VISIBLE_DEVICES say of the GPU"
        )
    if index >= count:
        there = ", ".join(f"cuda:{i}" for i in range(count))
        return Problem(f"there is no cuda:{index}", f"choose one of: {there}")
    return None


def _check_computing(index: int) -> Problem | None:
    """A matrix product and a kernel run there, and give what they should."""
    cupy = importlib.import_module("cupy")
    try:
        with cupy.cuda.Device(index):
            a = cupy.reshape(cupy.arange(6, dtype="float32"), (2, 3))
            result = to_numpy(a @ a.T + 1)
    except Exception as error:  # CuPy lets through whatever its loaders and CUDA raise
        text = _first_line(error)
        if any(sign in text for sign in ("OutOfMemory", "MemoryAllocation", "ALLOC_FAILED")):
            return Problem(
                f"no memory is left on cuda:{index} ({text})",
                "end the other programs that use it (nvidia-smi lists them)",
            )
        if "nvrtc" in f"{type(error).__name__} {error}".lower():
            return Problem(f"the kernel compiler NVRTC fails ({text})", _INSTALL)
        return Problem(f"a first product on cuda:{index} fails ({text})", f"try {_INSTALL}")
    if result.tolist() != [[6.0, 15.0], [15.0, 51.0]]:
        return Problem(f"cuda:{index} computes wrong results", "do not use it")
    return None


def _version(package: str) -> str:
    from importlib import metadata  # late: with it come parsers of mail and of zip files

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _first_line(error: BaseException) -> str:
    """The error in a line: its cause's, if that has one; CuPy frames its messages with = and *."""
    error = error.__cause__ or error
    lines = [line.strip(" =*") for line in str(error).splitlines()]
    return f"{type(error).__name__}: {next(filter(None, lines), '')}"


def _cuda(version: int) -> str:
    """12040 is CUDA 12.4."""
    return f"{version // 1000}.{version % 1000 // 10}"


def gpu_name(index: int) -> str:
    """The name and memory of a GPU that works, such as "NVIDIA H100 80GB HBM3, 79 GiB"."""
    runtime = importlib.import_module("cupy").cuda.runtime
    properties = runtime.getDeviceProperties(index)
    return f"{properties['name'].decode()}, {properties['totalGlobalMem'] / 2**30:.0f} GiB"


def inventory() -> Iterator[tuple[str, str, Problem | None]]:
    """For each device there is, and `cuda` where there is none: name, description, problem."""
    yield "cpu", f"{platform.machine()}, {os.cpu_count()} cores, NumPy {np.__version__}", None
    problem = probe(0)
    try:
        count = importlib.import_module("cupy").cuda.runtime.getDeviceCount()
    except Exception:  # no CuPy, or no driver: `problem` says which
        count = 0
    if count == 0:
        yield "cuda", "", problem
    for i in range(count):
        yield f"cuda:{i}", gpu_name(i), probe(i)


def versions(device: Device) -> dict[str, str]:
    """The versions that a result depends on: Python, xpnet, NumPy; on a GPU those of CuPy too."""
    found = {"python": platform.python_version(), "xpnet": __version__, "numpy": np.__version__}
    if device.kind == "cuda":
        found |= {name: version for name in _ON_CUDA if (version := _version(name))}
    return found
