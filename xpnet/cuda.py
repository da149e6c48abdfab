"""CUDA through CuPy: whether a GPU works, what it is, what went wrong on it, and what waits for it.

CuPy is imported when it is first wanted, never here.
"""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from xpnet.errors import DeviceError, DeviceFailedError, TransferError

if TYPE_CHECKING:
    from traceback import FrameSummary


@dataclass(frozen=True)
class Problem:
    """Why a device cannot be used, and what to do about it."""

    reason: str
    remedy: str
    passes: bool = False
    """Whether it may be over when one asks again."""

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}"


CUPY_PACKAGES = ("cupy", "cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x")
INSTALL = 'pip install "xpnet[cuda]" (in a clone: ".[cuda]")'


_probed: dict[int, Problem | None] = {}


def probe(index: int = 0) -> Problem | None:
    """None if GPU number `index` really computes; otherwise why not.

    Nothing is assumed: CuPy is imported, the devices are counted, and a small matrix product
    (cuBLAS) and a small kernel (the kernel compiler) are run and their result compared.
    """
    if _forked:
        return FORKED
    if index not in _probed:
        found = _probe(index)
        if found is not None and found.passes:
            return found
        _probed[index] = found
    return _probed[index]


def _probe(index: int) -> Problem | None:
    _keep_kernels()
    try:
        problem = _check_cupy() or _check_count(index)
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        remedy = f"set CUPY_CACHE_DIR to a folder that can be made, not {_kernel_folder()}"
        return Problem(f"CuPy cannot make its folder: {first_line(error)}", remedy)
    except Exception as error:  # whatever a broken installation raises is the reason
        return Problem(f"CuPy fails: {first_line(error)}", f"install it again: {INSTALL}")
    return problem or _check_computing(index)


def _keep_kernels() -> None:
    """Where compiled kernels cannot be kept, CuPy fails: let it compile them in memory then."""
    if not _is_writable(_kernel_folder()):
        os.environ.setdefault("CUPY_CACHE_IN_MEMORY", "1")


def _check_cupy() -> Problem | None:
    """CuPy is there, once, and new enough."""
    if sys.modules.get("cupy") is None and find_spec("cupy") is None:
        return Problem("CuPy is not installed", INSTALL)
    installed = [name for name in CUPY_PACKAGES if installed_version(name)]
    if len(installed) > 1:
        return Problem(
            f"{' and '.join(installed)} are both installed and overwrite one another",
            f"pip uninstall {' '.join(installed)}, then {INSTALL}",
        )
    cupy = importlib.import_module("cupy")
    if int(cupy.__version__.partition(".")[0]) < 14:
        return Problem(f"CuPy {cupy.__version__} is too old", f"CuPy 14 is needed: {INSTALL}")
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
        if "InitializationError" in str(error):
            return Problem(f"CUDA cannot start ({first_line(error)})", FORKED.remedy)
        return Problem(
            f"CUDA finds no device: {first_line(error)}",
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
            result = (a @ a.T + 1).tolist()
    except Exception as error:  # CuPy lets through whatever its loaders and CUDA raise
        text = first_line(error)
        if _lacks_memory(text):
            limit = os.environ.get("CUPY_GPU_MEMORY_LIMIT")
            remedy = "end the other programs that use it (nvidia-smi lists them)"
            if limit is not None:
                remedy = f"raise CUPY_GPU_MEMORY_LIMIT, which is {limit}"
            return Problem(f"no memory is left on cuda:{index} ({text})", remedy, passes=True)
        if "nvrtc" in f"{type(error).__name__} {error}".lower():
            return Problem(f"the kernel compiler NVRTC fails ({text})", INSTALL)
        broken = {kind.__name__ for kind in type(error).__mro__} & _CUDA_ERRORS
        remedy = "begin again in a new process; nvidia-smi tells how it is" if broken else (
            f"try {INSTALL}"
        )  # fmt: skip
        return Problem(f"a first product on cuda:{index} fails ({text})", remedy)
    if result != [[6.0, 15.0], [15.0, 51.0]]:
        return Problem(f"cuda:{index} computes wrong results", "do not use it")
    return None


def installed_version(package: str) -> str:
    """The version of a distribution; nothing if it is not installed."""
    from importlib import metadata  # late: with it come parsers of mail and of zip files

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def first_line(error: BaseException) -> str:
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


def details(index: int) -> list[str]:
    """What else there is to know of a GPU, and of CUDA there: a line each."""
    cupy = importlib.import_module("cupy")
    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(index)
    capability = f"{properties['major']}.{properties['minor']}"
    driver, built = _cuda(runtime.driverGetVersion()), _cuda(runtime.runtimeGetVersion())
    with cupy.cuda.Device(index):
        free, total = runtime.memGetInfo()
        nvrtc = _loads(lambda: "NVRTC {}.{}".format(*cupy.cuda.nvrtc.getVersion()), "NVRTC")
        cublas = _loads(lambda: f"cuBLAS {_cublas_version(cupy)}", "cuBLAS")
    precision = "on (CUPY_TF32=1): products round to 10 bits" if tf32() else "off"
    return [
        f"compute capability {capability}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free",
        f"driver for CUDA {driver}, CuPy {cupy.__version__} for CUDA {built}, {nvrtc}, {cublas}",
        f"TF32 {precision}; {_kernel_cache()}",
    ]


def _loads(version: Callable[[], str], name: str) -> str:
    try:
        return version()
    except Exception as error:  # whatever CuPy's loaders raise
        return f"{name} does not load ({first_line(error)})"


def _cublas_version(cupy: Any) -> str:
    """120901 is 12.9.1; since 12 these are five or six digits."""
    number = cupy.cuda.cublas.getVersion(cupy.cuda.get_cublas_handle())
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def tf32() -> bool:
    """Whether CuPy lets the GPU round the factors of products to 10 bits."""
    return os.environ.get("CUPY_TF32") == "1"


def _kernel_cache() -> str:
    """Where CuPy keeps compiled kernels, and whether it can."""
    folder = _kernel_folder()
    if not _is_writable(folder):
        return (
            f"kernels are compiled anew in each process, for {folder} cannot be written to: set "
            "CUPY_CACHE_DIR"
        )
    if os.environ.get("CUPY_CACHE_IN_MEMORY", "0") not in ("", "0"):
        return "kernels are compiled anew in each process (CUPY_CACHE_IN_MEMORY)"
    return f"compiled kernels are kept in {folder}"


def _kernel_folder() -> Path:
    given = os.environ.get("CUPY_CACHE_DIR")
    return Path("~/.cupy/kernel_cache").expanduser() if given is None else Path(given)


def _is_writable(folder: Path) -> bool:
    """Whether files can be put there, once it is made."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


# After a fork CUDA does not work in the child, if it had started in the parent.

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


def refuse_after_fork() -> None:
    """Raise a DeviceError where CUDA cannot work because of a fork."""
    if _forked:
        raise DeviceError(str(FORKED))


# What goes wrong while it computes.

_CUDA_ERRORS = {
    "CUDARuntimeError", "CUDADriverError", "CUBLASError", "CublasError", "OutOfMemoryError",
}  # fmt: skip


def _failure(error: BaseException, remedy: str) -> str | None:
    """What an error that CuPy raised means, and what to do; None if it is none of the GPU's."""
    kinds = type(error).__mro__
    libraries = {kind.__module__.partition(".")[0] for kind in kinds}
    if not libraries & {"cupy", "cupy_backends", "xpnet"}:
        return None  # PyTorch has errors of these names, too
    names, text = {kind.__name__ for kind in kinds}, first_line(error)
    if not names & _CUDA_ERRORS:
        return None
    if "OutOfMemoryError" in names or _lacks_memory(text):
        return _out_of_memory(str(error), remedy)
    if any(sign in text for sign in ("InsufficientDriver", "NoDevice", "InvalidDevice")):
        return f"there is no GPU that works ({text}): see xpnet devices"
    if "InitializationError" in text:
        return f"CUDA cannot start ({text}): {FORKED.remedy}"
    return (
        f"the GPU failed ({text}): what is on it is lost; begin again in a new process, or with "
        "--device cpu"
    )


def _lacks_memory(text: str) -> bool:
    """Whether an error of CuPy, CUDA or cuBLAS in a line means that memory does not suffice."""
    return any(sign in text for sign in ("OutOfMemory", "MemoryAllocation", "ALLOC_FAILED"))


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
        if _forked:
            raise DeviceError(str(FORKED)) from error
        raise DeviceFailedError(told) from error


# What waits for the device.

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
    inner = [f for f in frames if Path(f.filename).name not in ("cuda.py", "device.py")]
    outer = [f for f in inner if not _is_of(f, "xpnet")]
    lines = [f"{f.filename}:{f.lineno}: {f.line}" for f in (inner[-1:] + outer[-1:])]
    where = ", called at ".join(dict.fromkeys(lines))
    raise TransferError(f"{what}, within no_transfers, at {where}")


def _is_of(frame: "FrameSummary", *packages: str) -> bool:
    """Whether code is of one of these packages."""
    return bool({*packages} & {*Path(frame.filename).parts[:-1]})
