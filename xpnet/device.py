"""Where arrays live: the namespace of an array, the choice of a device, copies between them.

With `cuda` the one module of the core that names array libraries; each is imported when first
wanted.
"""

import importlib
import os
import platform
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt

from xpnet import __version__
from xpnet.cuda import (
    CUPY_PACKAGES,
    Problem,
    details,
    failures,
    gpu_name,
    installed_version,
    probe,
    refuse_after_fork,
    refuse_wait,
)
from xpnet.cuda import no_transfers as no_transfers
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
    if not is_cupy(x):
        return _NOTHING
    refuse_after_fork()
    return _current(device_of(x))


@contextmanager
def _current(device: Any) -> Iterator[None]:
    """A device of CuPy as the current one; its errors say what to do."""
    with failures():
        device.__enter__()
        try:
            yield
        except BaseException:
            with suppress(Exception):  # of a GPU that failed, whatever is asked of it
                device.__exit__(None, None, None)
            raise
        device.__exit__(None, None, None)


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
    if is_cupy(x):
        refuse_after_fork()
        with failures():
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


def require_same_device(x: Array, other: Array, name: str) -> None:
    """Raise a UsageError where `other`, an array of x's library, lies on another device than x."""
    if isinstance(x, np.ndarray) or type(other) is not type(x):
        return
    here, there = device_of(x), device_of(other)
    if here is not None and there is not None and here != there:
        raise UsageError(
            f"x is on {_shown(here)} and {name} on {_shown(there)}; expected both on one device"
        )


def _shown(device: Any) -> str:
    """A device's name; CuPy prints it as <CUDA Device 1>."""
    return f"cuda:{device.id}" if hasattr(device, "id") else str(device)


def without_history(x: Array) -> Array:
    """`x`, cut off from PyTorch's record of how it was computed."""
    return x.detach() if hasattr(x, "detach") else x


def float_name(x: Array) -> str:
    """The name of the floating-point type of `x`: "float32" or "float64"."""
    return f"float{namespace(x).finfo(x.dtype).bits}"


def is_cupy(x: Array) -> bool:
    """Whether it is an array of CuPy."""
    return type(x).__module__.partition(".")[0] == "cupy"


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
        refuse_after_fork()
        cupy = importlib.import_module("cupy")
        with _current(cupy.cuda.Device(self.index)):
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
