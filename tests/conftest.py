"""The array libraries that array code is tested on, and which tests a run selects and skips."""

import importlib
import importlib.util
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
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
# These libraries compute every case, the others one case of each test unless --thorough is given.
# Of the strict devices no_float64 rejects the most: implicit copies, other devices and float64.
EVERY_CASE = ("numpy", "numpy-readonly", "strict-no_float64")
NOT_SELECTED = pytest.StashKey[int]()


@pytest.fixture(scope="session", autouse=True)
def one_blas_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True)
def same_numbers(request: pytest.FixtureRequest) -> None:
    """Restart the RNG of the test's module: no test depends on those that ran before it."""
    module = getattr(request, "module", None)
    if hasattr(module, "RNG"):
        module.RNG.bit_generator.state = np.random.default_rng(1).bit_generator.state


@pytest.fixture(params=LIBRARIES)
def xp(request: pytest.FixtureRequest) -> Iterator[Library]:
    """Each array library; the test is skipped if the library is not installed."""
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
    parser.addoption(
        "--thorough", action="store_true", help="every case of every test on every array library"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("without_pool"):
        importlib.import_module("cupy").cuda.set_allocator(None)


@pytest.hookimpl(trylast=True)  # after -m and -k
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Select the quick tests; skip every test whose device is absent, with the probe's reason."""
    named = any("::" in argument and "[" in argument for argument in config.args)
    if not (config.getoption("thorough") or named):
        select_quick(config, items)
    for item in items:
        if item.get_closest_marker("cuda") or item.get_closest_marker("emulator"):
            problem = probe(0)
            if problem is not None:
                item.add_marker(pytest.mark.skip(reason=f"no CUDA device: {problem}"))
            elif item.get_closest_marker("emulator") and not importlib.util.find_spec("cudaemu"):
                item.add_marker(pytest.mark.skip(reason="counts are the CUDA emulator's"))


def select_quick(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the cases that are marked `thorough`, and most cases of most libraries."""
    selected, others = [], []
    seen = set()
    for item in items:
        library = getattr(item, "callspec", None) and item.callspec.params.get("xp")
        test = item.nodeid.partition("[")[0], library
        thorough = item.get_closest_marker("thorough") is not None
        more = library is not None and library not in EVERY_CASE and test in seen
        (others if thorough or more else selected).append(item)
        if not thorough:
            seen.add(test)
    items[:] = selected
    config.hook.pytest_deselected(items=others)
    config.stash[NOT_SELECTED] = len(others)
    if hasattr(config, "workeroutput"):  # a process of pytest-xdist, which sends it to the first
        config.workeroutput["not_selected"] = len(others)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[NOT_SELECTED] = getattr(node, "workeroutput", {}).get("not_selected", 0)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print one line for each reason to skip tests, and one for the tests that were deselected."""
    reports = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in reports)
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} skipped: {reason}")
    if count := config.stash.get(NOT_SELECTED, 0):
        terminalreporter.write_line(f"{count} deselected: `pytest --thorough` runs them as well")
