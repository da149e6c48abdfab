"""The probe of a GPU: each reason why one cannot be used, and what to do about it."""

import importlib.util
import platform
import sys
from importlib import metadata
from pathlib import Path

import pytest
from helpers import (
    INSTALL,
    INSUFFICIENT,
    NO_DEVICE,
    NO_MEMORY,
    PROBLEMS,
    CUDARuntimeError,  # noqa: F401 - these three are looked up by name
    DynamicLibNotFoundError,  # noqa: F401
    OutOfMemoryError,  # noqa: F401
    needed,
    printed,
    stand_in,
)

from xpnet.device.probing import probe
from xpnet.device.selection import Device, inventory, versions


def test_memory_that_is_free_again_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUPY_GPU_MEMORY_LIMIT", "1000")
    monkeypatch.setitem(sys.modules, "cupy", PROBLEMS["no-memory"][0])
    problem = probe(0)
    assert problem is not None
    assert problem.remedy == "raise CUPY_GPU_MEMORY_LIMIT, which is 1000"
    monkeypatch.setitem(sys.modules, "cupy", stand_in())
    assert probe(0) is None


def test_the_probe_gives_reason_and_remedy(problem: tuple[str, str]) -> None:
    reason, remedy = problem
    found = probe(0)
    assert found is not None
    assert reason in found.reason
    assert remedy in found.remedy
    assert str(found) == f"{found.reason}; {found.remedy}"
    assert "\n" not in str(found)


def installed(folder: Path, name: str, version: str) -> None:
    """Leave what pip leaves to say that a distribution is installed."""
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir()
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (metadata / "METADATA").write_text(text)


def test_two_cupys_are_one_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, "cupy", "14.0.0")
    installed(tmp_path, "cupy-cuda13x", "14.1.0")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setitem(sys.modules, "cupy", stand_in())
    found = probe(0)
    assert found is not None
    assert found.reason.startswith("cupy and cupy-cuda1")
    assert found.reason.endswith("cupy-cuda13x are both installed and overwrite one another")
    assert found.remedy.startswith("pip uninstall cupy cupy-cuda1")
    assert found.remedy.endswith(f"cupy-cuda13x, then {INSTALL}")
    told = versions(Device("cuda"))
    assert told["cupy-cuda13x"] == "14.1.0"
    assert told["array-api-compat"] == metadata.version("array-api-compat")
    assert versions(Device("cpu")) == {
        "python": platform.python_version(),
        "xpnet": metadata.version("xpnet"),
        "numpy": metadata.version("numpy"),
    }


# How CuPy begins its messages: with an empty line.
IMPORT_ERROR = '''
try:
    raise ImportError("libcudart.so.12: cannot open shared object file")
except ImportError as exc:
    raise ImportError(f"""
================================================================
Failed to import CuPy.

Original error:
  {type(exc).__name__}: {exc}
================================================================
""") from exc
'''
UNSUPPORTED = '''raise AssertionError("""
*** The requested function is not supported in the current version of
*** the toolkit installed in your environment.
""")'''


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import cupy_backends_missing", "No module named 'cupy_backends_missing'"),
        (IMPORT_ERROR, "libcudart.so.12: cannot open shared object file"),
        (UNSUPPORTED, "The requested function is not supported"),
        ("x = 1", "has no attribute '__version__'"),
    ],
)
def test_a_cupy_that_fails_to_import_is_told_from_none(
    source: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cupy").mkdir()
    (tmp_path / "cupy" / "__init__.py").write_text(source)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setitem(sys.modules, "cupy", None)  # so that it is put back as it was
    del sys.modules["cupy"]
    found = probe(0)
    assert found is not None
    assert found.reason.startswith("CuPy fails: ")
    assert reason in found.reason
    assert found.remedy == f"install it again: {INSTALL}"


# What follows asks the real CuPy, or its real absence.


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="CuPy is installed")
def test_where_cupy_is_absent_the_probe_says_so() -> None:
    assert str(probe(0)) == f"CuPy is not installed; {INSTALL}"


def test_where_no_driver_is_the_probe_says_so() -> None:
    cupy = needed("cupy")
    if cupy.cuda.runtime.driverGetVersion():
        pytest.skip("an NVIDIA driver, or the emulator's, is loaded")
    assert str(probe(0)).startswith("no NVIDIA driver is loaded; if this machine")
    assert [name for name, _, _ in inventory()] == ["cpu", "cuda"]
    # The messages of the stand-ins, in NVIDIA's words (the emulator knows fewer).
    for status, fake_error in ((35, INSUFFICIENT), (100, NO_DEVICE), (2, NO_MEMORY)):
        assert str(cupy.cuda.runtime.CUDARuntimeError(status)) == str(fake_error)


def test_the_stand_in_is_named_as_cupy_is() -> None:
    cupy, fake = needed("cupy"), stand_in()
    pathfinder = pytest.importorskip("cuda.pathfinder")
    assert int(cupy.__version__.split(".")[0]) == int(fake.__version__.split(".")[0])
    for name in ("CUDARuntimeError", "OutOfMemoryError", "DynamicLibNotFoundError"):
        real = next(
            getattr(module, name)
            for module in (cupy.cuda.runtime, cupy.cuda.memory, pathfinder)
            if hasattr(module, name)
        )
        assert real.__name__ == name
        assert real.__bases__ == globals()[name].__bases__
    for name in ("getDeviceCount", "getDeviceProperties", "driverGetVersion", "runtimeGetVersion"):
        assert callable(getattr(cupy.cuda.runtime, name))
    assert cupy.cuda.runtime.runtimeGetVersion() >= 12000


@pytest.mark.cuda
def test_a_real_device_that_is_full_says_so() -> None:
    """CuPy's own limit on its memory pool raises what a full device raises."""
    code = "from xpnet.device.probing import probe; print(probe(0))"
    found = printed(code, CUPY_GPU_MEMORY_LIMIT="1")
    assert found.startswith("no memory is left on cuda:0 (OutOfMemoryError: Out of memory alloc")


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("library", "reason"),
    [
        ("nvrtc", "the kernel compiler NVRTC fails (DynamicLibNotFoundError: "),
        ("cublas", "a first product on cuda:0 fails ("),
    ],
)
def test_a_library_of_cuda_that_is_missing_is_named(library: str, reason: str) -> None:
    """The emulator has them all loaded; so hide one where CuPy looks for it."""
    code = f"""
from cuda import pathfinder
load = pathfinder.load_nvidia_dynamic_lib
def hide(name):
    if name == {library!r}:
        raise pathfinder.DynamicLibNotFoundError(f'Failure finding "lib{{name}}.so.12"')
    return load(name)
pathfinder.load_nvidia_dynamic_lib = hide
from xpnet.device.probing import probe
print(probe(0))
"""
    found = printed(code)
    assert found.startswith(reason)
    assert f'Failure finding "lib{library}.so.12"' in found
    assert INSTALL in found
