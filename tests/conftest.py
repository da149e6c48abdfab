"""Fixtures: the array libraries that array code is tested on; skips where there is no GPU."""

import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from helpers import Library, library
from threadpoolctl import threadpool_limits

from xpnet.device.probing import probe

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
