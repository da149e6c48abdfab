"""Whether a GPU works: `probe` runs a small product and a small kernel, and says why one fails.

CuPy is imported when it is first wanted, never here.
"""

import importlib
import os
import sys
from importlib.util import find_spec

from xpnet.device.description import (
    CUPY_PACKAGES,
    cuda_version,
    installed_version,
    is_writable,
    kernel_folder,
)
from xpnet.device.forks import FORKED, has_forked
from xpnet.device.problems import CUDA_ERRORS, INSTALL, Problem, first_line, lacks_memory

_probed: dict[int, Problem | None] = {}


def probe(index: int = 0) -> Problem | None:
    """None if GPU number `index` really computes; otherwise why not.

    Nothing is assumed: CuPy is imported, the devices are counted, and a small matrix product
    (cuBLAS) and a small kernel (the kernel compiler) are run and their result compared.
    """
    if has_forked():
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
        remedy = f"set CUPY_CACHE_DIR to a folder that can be made, not {kernel_folder()}"
        return Problem(f"CuPy cannot make its folder: {first_line(error)}", remedy)
    except Exception as error:  # whatever a broken installation raises is the reason
        return Problem(f"CuPy fails: {first_line(error)}", f"install it again: {INSTALL}")
    return problem or _check_computing(index)


def _keep_kernels() -> None:
    """Where compiled kernels cannot be kept, CuPy fails: let it compile them in memory then."""
    if not is_writable(kernel_folder()):
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
                f"the NVIDIA driver is for CUDA {cuda_version(driver)} and this CuPy needs "
                f"CUDA {cuda_version(needed)}",
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
        if lacks_memory(text):
            limit = os.environ.get("CUPY_GPU_MEMORY_LIMIT")
            remedy = "end the other programs that use it (nvidia-smi lists them)"
            if limit is not None:
                remedy = f"raise CUPY_GPU_MEMORY_LIMIT, which is {limit}"
            return Problem(f"no memory is left on cuda:{index} ({text})", remedy, passes=True)
        if "nvrtc" in f"{type(error).__name__} {error}".lower():
            return Problem(f"the kernel compiler NVRTC fails ({text})", INSTALL)
        broken = {kind.__name__ for kind in type(error).__mro__} & CUDA_ERRORS
        remedy = "begin again in a new process; nvidia-smi tells how it is" if broken else (
            f"try {INSTALL}"
        )  # fmt: skip
        return Problem(f"a first product on cuda:{index} fails ({text})", remedy)
    if result != [[6.0, 15.0], [15.0, 51.0]]:
        return Problem(f"cuda:{index} computes wrong results", "do not use it")
    return None
