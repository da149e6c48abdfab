"""The array libraries that every test of array code runs on, and what `cuda` tests need."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from xpnet.device import probe, to_numpy

STRICT_DEVICES = ("CPU_DEVICE", "device1", "device2", "no_float64", "no_x64")
LIBRARIES = (
    "numpy",
    "numpy-readonly",
    *(f"strict-{device}" for device in STRICT_DEVICES),
    "torch",
    "jax",
    "jax-32",
    pytest.param("cupy", marks=pytest.mark.cuda),
)


@dataclass(frozen=True)
class Library:
    """An array library, and a device of it where it has several."""

    name: str
    xp: Any
    device: Any = None

    @property
    def dtype(self) -> str:
        """The widest floating-point type that it has there."""
        narrow = ("strict-no_float64", "strict-no_x64", "jax-32")
        return "float32" if self.name in narrow else "float64"

    @property
    def exact(self) -> bool:
        """Whether its results are NumPy's to the bit."""
        return self.name.startswith(("numpy", "strict"))

    def array(self, values: Any, dtype: str | None = None) -> Any:
        """Values as an array of this library; floating-point ones as `self.dtype`."""
        host = np.asarray(values)
        if dtype is None:
            dtype = self.dtype if host.dtype.kind == "f" else str(host.dtype)
        if dtype == "int64" and self.name in ("strict-no_x64", "jax-32"):
            dtype = "int32"
        host = host.astype(dtype)  # a copy: no library shares memory with another
        if self.name.startswith("numpy"):
            host.flags.writeable = self.name == "numpy"
            return host
        return self.xp.asarray(host, device=self.device)

    def needs_argmax(self) -> None:
        """Leave a test that array-api-strict 2.6 cannot run: its argmax gives int64 everywhere."""
        if self.name == "strict-no_x64":
            pytest.xfail("array-api-strict has no argmax on its device no_x64")

    def tolerance(self, float64: float) -> float:
        """`float64`, or 1e-5 where the library has float32 only."""
        return float64 if self.dtype == "float64" else 1e-5


def library(name: str) -> Library:
    kind, _, device = name.partition("-")
    if kind == "numpy":
        return Library(name, np)
    if kind == "strict":
        strict = pytest.importorskip("array_api_strict")
        return Library(name, strict, strict.Device(device))
    if kind == "jax":
        return Library(name, pytest.importorskip("jax").numpy)
    if kind == "torch":
        pytest.importorskip("torch")
    return Library(name, importlib.import_module(f"array_api_compat.{kind}"))


@pytest.fixture(scope="session", autouse=True)
def one_blas_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


@pytest.fixture(params=LIBRARIES)
def xp(request: pytest.FixtureRequest) -> Iterator[Library]:
    """Each array library; those that are not installed are shown as skipped."""
    chosen = library(request.param)
    wide = nullcontext()
    if chosen.name == "jax":
        wide = importlib.import_module("jax").enable_x64(True)
    with wide:
        yield chosen


def run_python(
    code: str, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Python code in a process of its own, with these variables beside ours."""
    command = [sys.executable, "-c", code]
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=cwd)


def printed(code: str, **environment: str) -> str:
    """What Python code prints that ends well."""
    done = run_python(code, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def difference(a: Any, b: Any) -> float:
    """max |a - b| / max |b|, and the shapes are equal."""
    a, b = np.asarray(to_numpy(a)), np.asarray(to_numpy(b))
    assert a.shape == b.shape
    scale = np.max(np.abs(b), initial=0.0)
    error = np.max(np.abs(a - b), initial=0.0)
    return float(error / scale) if scale else float(error)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--without-pool", action="store_true", help="each array of CuPy in its own allocation"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("without_pool"):
        importlib.import_module("cupy").cuda.set_allocator(None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Show every test that needs a device as skipped, with the probe's reason."""
    for item in items:
        if item.get_closest_marker("cuda") or item.get_closest_marker("emulator"):
            problem = probe(0)
            if problem is not None:
                item.add_marker(pytest.mark.skip(reason=f"no CUDA device: {problem}"))
            elif item.get_closest_marker("emulator") and not importlib.util.find_spec("cudaemu"):
                item.add_marker(pytest.mark.skip(reason="counts are the CUDA emulator's"))
