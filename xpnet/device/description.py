"""What a GPU is: name, memory, versions, and where CuPy keeps compiled kernels."""

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xpnet.device.problems import first_line

CUPY_PACKAGES = ("cupy", "cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x")


def installed_version(package: str) -> str:
    """The version of a distribution; nothing if it is not installed."""
    from importlib import metadata  # late: with it come parsers of mail and of zip files

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def cuda_version(version: int) -> str:
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
    driver, built = (
        cuda_version(runtime.driverGetVersion()),
        cuda_version(runtime.runtimeGetVersion()),
    )
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
    folder = kernel_folder()
    if not is_writable(folder):
        return (
            f"kernels are compiled anew in each process, for {folder} cannot be written to: set "
            "CUPY_CACHE_DIR"
        )
    if os.environ.get("CUPY_CACHE_IN_MEMORY", "0") not in ("", "0"):
        return "kernels are compiled anew in each process (CUPY_CACHE_IN_MEMORY)"
    return f"compiled kernels are kept in {folder}"


def kernel_folder() -> Path:
    """Where CuPy keeps compiled kernels."""
    given = os.environ.get("CUPY_CACHE_DIR")
    return Path("~/.cupy/kernel_cache").expanduser() if given is None else Path(given)


def is_writable(folder: Path) -> bool:
    """Whether files can be put there, once it is made."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
