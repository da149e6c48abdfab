"""The device selector: its grammar, copies, and every reason to fall back to the CPU."""

import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers import printed

import xpnet
from xpnet.arrays import to_numpy
from xpnet.cli import run
from xpnet.device import probing, selection
from xpnet.device.description import details
from xpnet.device.gpu_errors import failures
from xpnet.device.probing import probe
from xpnet.device.selection import Device, inventory, parse, select, versions
from xpnet.device.transfers import no_transfers
from xpnet.errors import DeviceError, DeviceFailedError, DeviceFallbackWarning, UsageError

HOST = np.arange(24).reshape(4, 6) - 3


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has neither probed nor warned."""
    monkeypatch.setattr(selection, "_warned", False)
    monkeypatch.setattr(probing, "_probed", {})


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("auto", ("auto", 0)),
        ("cpu", ("cpu", 0)),
        ("cuda", ("cuda", 0)),
        ("cuda:0", ("cuda", 0)),
        ("cuda:17", ("cuda", 17)),
    ],
)
def test_devices_are_named(spec: str, expected: tuple[str, int]) -> None:
    assert parse(spec) == expected


@pytest.mark.parametrize(("kind", "index", "name"), [("cpu", 0, "cpu"), ("cuda", 17, "cuda:17")])
def test_the_name_of_a_device_is_one_that_names_it(kind: str, index: int, name: str) -> None:
    assert str(Device(kind, index)) == name
    assert parse(name) == (kind, index)


@pytest.mark.parametrize(
    "spec",
    ["", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:x", "cuda: 1", "cuda:1:2", "cuda:²", "cuda:١",
     "cpu:0", "cpu:", "auto:1", " cpu"],
)  # fmt: skip
def test_other_names_are_refused(spec: str) -> None:
    with pytest.raises(UsageError, match="expected auto, cpu, cuda or cuda:N") as caught:
        parse(spec)
    assert repr(spec) in str(caught.value)


class CUDARuntimeError(RuntimeError):
    """Named as CuPy's; `test_the_stand_in_is_named_as_cupy_is` compares them."""


class OutOfMemoryError(MemoryError):
    """As above."""


OutOfMemoryError.__module__ = "cupy.cuda.memory"
CUDARuntimeError.__module__ = "cupy_backends.cuda.api.runtime"


class DynamicLibNotFoundError(RuntimeError):
    """As above, of cuda.pathfinder, which loads CUDA's libraries for CuPy."""


def stand_in(
    version: str = "14.2.0",
    count: int | Exception = 1,
    driver: int = 12090,
    needed: int = 12090,
    compute: Callable[..., np.ndarray] | Exception = np.arange,
) -> ModuleType:
    """A module with the part of CuPy that the probe asks; it computes with NumPy."""

    def get_device_count() -> int:
        if isinstance(count, Exception):
            raise count
        return count

    def arange(*args: Any, **kwargs: Any) -> np.ndarray:
        if isinstance(compute, Exception):
            raise compute
        return compute(*args, **kwargs)

    cupy: Any = ModuleType("cupy")
    cupy.__version__ = version
    cupy.arange, cupy.reshape = arange, np.reshape
    cupy.cuda = SimpleNamespace(
        Device=lambda index: nullcontext(),
        memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        nvrtc=SimpleNamespace(getVersion=lambda: (12, 9)),
        cublas=SimpleNamespace(getVersion=lambda handle: 120904),
        get_cublas_handle=lambda: 1,
        runtime=SimpleNamespace(
            CUDARuntimeError=CUDARuntimeError,
            getDeviceCount=get_device_count,
            getDeviceProperties=lambda i: {
                "name": b"Stand-in",
                "totalGlobalMem": (80 + i) << 30,
                "major": 9,
                "minor": 0,
            },
            memGetInfo=lambda: (79 << 30, 80 << 30),
            driverGetVersion=lambda: driver,
            runtimeGetVersion=lambda: needed,
        ),
    )
    return cupy


INSUFFICIENT = CUDARuntimeError(
    "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version"
)
NO_DEVICE = CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
NO_MEMORY = CUDARuntimeError("cudaErrorMemoryAllocation: out of memory")
NO_NVRTC = DynamicLibNotFoundError('Failure finding "libnvrtc.so.12": No such file: libnvrtc.so.12')
NO_CUBLAS = ImportError('Failure finding "libcublas.so.12": No such file: libcublas.so.12')
INSTALL = 'pip install "xpnet[cuda]" (in a clone: ".[cuda]")'
# CuPy as it is imported, the reason, and the remedy.
PROBLEMS: dict[str, tuple[ModuleType | None, str, str]] = {
    "absent": (None, "CuPy is not installed", INSTALL),
    "too-old": (stand_in("13.6.0"), "CuPy 13.6.0 is too old", "CuPy 14 is needed"),
    "no-driver": (
        stand_in(count=INSUFFICIENT, driver=0),
        "no NVIDIA driver is loaded",
        "install its driver",
    ),
    "old-driver": (
        stand_in(count=INSUFFICIENT, driver=11080),
        "the NVIDIA driver is for CUDA 11.8 and this CuPy needs CUDA 12.9",
        "update the NVIDIA driver",
    ),
    "no-device": (stand_in(count=NO_DEVICE), "CUDA finds no device: CUDARuntimeError: "
                  "cudaErrorNoDevice: no CUDA-capable device is detected", "nvidia-smi"),
    "forked": (
        stand_in(count=CUDARuntimeError("cudaErrorInitializationError: initialization error")),
        "CUDA cannot start (CUDARuntimeError: cudaErrorInitializationError",
        'start_method("spawn")',
    ),
    "failed": (
        stand_in(compute=CUDARuntimeError("cudaErrorIllegalAddress: an illegal access")),
        "a first product on cuda:0 fails (CUDARuntimeError: cudaErrorIllegalAddress",
        "begin again in a new process",
    ),
    "none-counted": (stand_in(count=0), "CUDA finds no device", "nvidia-smi"),
    "no-compiler": (
        stand_in(compute=NO_NVRTC), "kernel compiler NVRTC fails (Dyn", INSTALL
    ),
    "no-cublas": (
        stand_in(compute=NO_CUBLAS), "a first product on cuda:0 fails (ImportError: Failure "
        'finding "libcublas.so.12"', INSTALL,
    ),
    "no-memory": (
        stand_in(compute=OutOfMemoryError("Out of memory allocating 512 bytes")),
        "no memory is left on cuda:0", "end the other programs that use it",
    ),
    "no-memory-for-cuda-itself": (
        stand_in(compute=NO_MEMORY), "no memory is left on cuda:0", "end the other programs",
    ),
    "no-memory-for-cublas": (
        stand_in(compute=RuntimeError("CUBLAS_STATUS_ALLOC_FAILED")),
        "no memory is left on cuda:0", "end the other programs",
    ),
    "wrong-result": (
        stand_in(compute=lambda *a, **k: np.arange(*a, **k) + 1),
        "cuda:0 computes wrong results", "do not use it",
    ),
    "no-folder": (
        stand_in(count=PermissionError(13, "Permission denied", "/kernels")),
        "CuPy cannot make its folder: PermissionError: [Errno 13]",
        "set CUPY_CACHE_DIR to a folder",
    ),
    "broken": (
        stand_in(count=OSError("libcuda.so.1: file too short")),
        "CuPy fails: OSError: libcuda.so.1: file too short", INSTALL,
    ),
}  # fmt: skip


@pytest.fixture(params=PROBLEMS)
def problem(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A reason and a remedy; CuPy is as they say."""
    cupy, reason, remedy = PROBLEMS[request.param]
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return reason, remedy


@pytest.fixture
def no_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)


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


def test_auto_takes_the_cpu_silently_and_knows_why(problem: tuple[str, str]) -> None:
    """A warning would be an error here."""
    chosen = select("auto")
    assert chosen == Device("cpu")
    assert chosen.why.startswith("auto: ")
    assert problem[0] in chosen.why
    assert select("auto", strict=True) == Device("cpu")


def test_cuda_falls_back_with_one_warning(problem: tuple[str, str]) -> None:
    with pytest.warns(DeviceFallbackWarning) as caught:
        chosen = select("cuda")
    assert len(caught) == 1
    for part in ("cuda cannot be used", *problem):
        assert part in str(caught[0].message)
    assert caught[0].filename == __file__
    assert chosen == Device("cpu")
    assert problem[0] in chosen.why
    assert select("cuda") == Device("cpu")  # in silence: warnings are errors


def test_strict_is_an_error_instead(problem: tuple[str, str]) -> None:
    with pytest.raises(DeviceError) as caught:
        select("cuda:0", strict=True)
    for part in ("cuda:0 cannot be used", *problem):
        assert part in str(caught.value)
    assert caught.value.exit_code == 2


def test_devices_says_what_is_there_and_what_to_do(
    problem: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    reason, remedy = problem
    assert run(["devices"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("cpu      works ")
    assert f"NumPy {np.__version__}" in lines[0]
    assert lines[1].startswith("cuda")
    assert "cannot be used: " in lines[1]
    assert reason in lines[1]
    assert "what to do: " in lines[2]
    assert remedy in lines[2]
    assert lines[3].endswith("--device auto takes cpu")


def test_a_device_that_works_is_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", stand_in(count=2))
    assert probe(1) is None
    chosen = select("auto", strict=True)
    assert chosen == Device("cuda", 0)
    assert chosen.why == "auto: Stand-in, 80 GiB"
    assert select("cuda:1").why == "asked for: Stand-in, 81 GiB"
    assert str(select("cuda:1")) == "cuda:1"
    monkeypatch.setenv("CUPY_CACHE_DIR", "kernels")
    monkeypatch.setenv("CUPY_TF32", "0")
    assert [(name, lines[0], problem) for name, lines, problem in inventory()][1:] == [
        ("cuda:0", "Stand-in, 80 GiB", None),
        ("cuda:1", "Stand-in, 81 GiB", None),
    ]
    assert run(["devices"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[5:] == [
        "cuda:1   works  Stand-in, 81 GiB",
        "                compute capability 9.0, 79.0 of 80.0 GiB free",
        "                driver for CUDA 12.9, CuPy 14.2.0 for CUDA 12.9, NVRTC 12.9, "
        "cuBLAS 12.9.4",
        "                TF32 off; compiled kernels are kept in kernels",
        "         --device auto takes cuda:0",
    ]


def test_devices_tells_what_is_amiss_with_a_gpu_that_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cupy = stand_in()
    cupy.cuda.cublas.getVersion = lambda handle: 1 / 0
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setenv("CUPY_TF32", "1")
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "there" / "kernels"))
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    _, libraries, rest = details(0)
    assert libraries.endswith("cuBLAS does not load (ZeroDivisionError: division by zero)")
    assert rest.startswith("TF32 on (CUPY_TF32=1): products round to 10 bits; ")
    assert "kernels are compiled anew in each process, for " in rest
    assert rest.endswith("kernels cannot be written to: set CUPY_CACHE_DIR")
    monkeypatch.delenv("CUPY_CACHE_IN_MEMORY", raising=False)
    assert probe(0) is None
    assert os.environ.pop("CUPY_CACHE_IN_MEMORY") == "1"  # without it CuPy fails
    monkeypatch.setenv("CUPY_CACHE_IN_MEMORY", "1")
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path.parent))
    assert details(0)[-1].endswith("compiled anew in each process (CUPY_CACHE_IN_MEMORY)")


def test_a_number_too_high_is_answered_with_those_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", stand_in(count=2))
    with pytest.warns(DeviceFallbackWarning, match="there is no cuda:2; choose one of: cuda:0, c"):
        assert select("cuda:2") == Device("cpu")
    with pytest.raises(DeviceError, match="cuda:2 cannot be used: there is no cuda:2"):
        select("cuda:2", strict=True)


def test_the_cpu_is_taken_without_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "probe", lambda index: pytest.fail("probed"))
    assert select("cpu") == Device("cpu")
    assert select("cpu", strict=True).why == "asked for"


def test_devices_compare_by_what_they_are() -> None:
    assert Device("cuda", 1, "auto") == Device("cuda", 1, "asked for")
    assert Device("cuda", 1) != Device("cuda", 0)


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


def full(free: int, total: int, held: int, limit: int) -> ModuleType:
    """CuPy on a GPU of which so much is free, and taken by its pool."""
    cupy = stand_in()
    pool = SimpleNamespace(total_bytes=lambda: held, get_limit=lambda: limit)
    cupy.get_default_memory_pool = lambda: pool
    cupy.cuda.Device = lambda: SimpleNamespace(id=1)
    cupy.cuda.runtime.memGetInfo = lambda: (free, total)
    return cupy


@pytest.mark.parametrize(
    ("error", "limit", "expected"),
    [
        (
            OutOfMemoryError("Out of memory allocating 3,221,225,472 bytes (allocated so far: 512"),
            0, "3.0 GiB more were wanted, 1.5 GiB of 8.0 GiB are free (64 MiB are taken by this",
        ),
        (
            OutOfMemoryError("Out of memory allocating 512 bytes (allocated so far: 1 bytes)."),
            2**27, "512 bytes more were wanted, 64 MiB of 128 MiB are free (64 MiB are",
        ),
        (NO_MEMORY, 0, "more was wanted, 1.5 GiB of 8.0 GiB are free"),
        (CUDARuntimeError("CUBLAS_STATUS_ALLOC_FAILED"), 0, "more was wanted, 1.5 GiB of"),
    ],
)  # fmt: skip
def test_no_memory_is_told_with_what_there_is(
    error: Exception, limit: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", full(3 * 2**29, 2**33, 2**26, limit))
    with pytest.raises(DeviceFailedError) as caught, failures():
        raise error
    told = str(caught.value)
    assert told.startswith(f"no memory is left on cuda:1: {expected}")
    assert "; give fewer samples at a time, end other programs" in told
    assert caught.value.__cause__ is error
    assert caught.value.exit_code == 1


def test_other_errors_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", full(1, 2, 3, 0))
    of_torch = type("OutOfMemoryError", (RuntimeError,), {"__module__": "torch.cuda"})
    for error in (ValueError("x"), UsageError("x"), KeyError("CUDA"), of_torch("CUDA: 3 GiB")):
        with pytest.raises(type(error)) as caught, failures():
            raise error
        assert caught.value is error
    for text, expected in (
        (
            "cudaErrorIllegalAddress: an illegal access",
            r"the GPU failed \(.*IllegalAddress.*is lost",
        ),
        (
            "cudaErrorInsufficientDriver: too old",
            r"no GPU that works \(.*Driver.*see xpnet devices",
        ),
        ("cudaErrorInitializationError: no", r'cannot start \(.*set_start_method\("spawn"\)'),
    ):
        with pytest.raises(DeviceFailedError, match=expected), failures():
            raise CUDARuntimeError(text)


def test_the_guard_needs_no_cupy(no_cupy: None) -> None:
    with no_transfers():
        assert float(np.ones(1)[0]) == 1


@pytest.mark.usefixtures("no_cupy")
def test_a_model_falls_back_too() -> None:
    model = xpnet.mlp(3, 2)
    with pytest.warns(DeviceFallbackWarning, match="CuPy is not installed"):
        moved = model.to("cuda")
    assert type(moved.theta) is np.ndarray
    assert moved == model
    with pytest.raises(DeviceError, match="CuPy is not installed"):
        model.to("cuda", strict=True)


def xpnet_without_cupy(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own that has no CuPy."""
    code = "import sys; sys.modules['cupy'] = None; from xpnet.cli import run; sys.exit(run())"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


TRAIN = ("train", "--epochs", "1", "--limit", "256", "--hidden", "none", "--device", "cuda")


def test_train_falls_back_with_one_line(tmp_path: Path) -> None:
    done = xpnet_without_cupy(tmp_path, *TRAIN, "--output", "run")
    assert done.returncode == 0
    assert done.stderr == (
        "xpnet: warning: cuda cannot be used, so the CPU is: CuPy is not installed; "
        f"{INSTALL}\n"
    )  # fmt: skip
    assert "cpu (cuda cannot be used: CuPy is not installed)" in done.stdout
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_train_with_a_strict_device_exits_2_and_leaves_nothing(tmp_path: Path) -> None:
    done = xpnet_without_cupy(tmp_path, *TRAIN, "--strict-device")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"xpnet: cuda cannot be used: CuPy is not installed; {INSTALL}\n"
    assert list(tmp_path.iterdir()) == []


# What follows asks the real CuPy, or its real absence.


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="CuPy is installed")
def test_where_cupy_is_absent_the_probe_says_so() -> None:
    assert str(probe(0)) == f"CuPy is not installed; {INSTALL}"


def test_where_no_driver_is_the_probe_says_so() -> None:
    cupy = pytest.importorskip("cupy")
    if cupy.cuda.runtime.driverGetVersion():
        pytest.skip("an NVIDIA driver, or the emulator's, is loaded")
    assert str(probe(0)).startswith("no NVIDIA driver is loaded; if this machine")
    assert [name for name, _, _ in inventory()] == ["cpu", "cuda"]
    # The messages of the stand-ins, in NVIDIA's words (the emulator knows fewer).
    for status, fake_error in ((35, INSUFFICIENT), (100, NO_DEVICE), (2, NO_MEMORY)):
        assert str(cupy.cuda.runtime.CUDARuntimeError(status)) == str(fake_error)


def test_the_stand_in_is_named_as_cupy_is() -> None:
    cupy, fake = pytest.importorskip("cupy"), stand_in()
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
def test_a_real_device_is_named_and_taken() -> None:
    assert probe(0) is None
    chosen = select("auto")
    assert chosen == Device("cuda")
    assert chosen.why.endswith(" GiB")
    name, lines, problem = [*inventory()][1]
    assert (name, lines[0], problem) == ("cuda:0", chosen.why.removeprefix("auto: "), None)
    for library in ("NVRTC ", "cuBLAS "):
        assert lines[2].partition(library)[2][0].isdecimal()
    name = type(chosen.put(HOST)).__module__
    assert name.startswith("cupy")
    swapped = HOST.astype(">f4")  # as some files hold their numbers
    assert np.array_equal(to_numpy(chosen.put(swapped)), HOST)


@pytest.mark.cuda
def test_a_real_device_number_too_high_falls_back() -> None:
    with pytest.warns(DeviceFallbackWarning, match="there is no cuda:99; choose one of: cuda:0"):
        assert select("cuda:99") == Device("cpu")
    with pytest.raises(DeviceError, match="there is no cuda:99"):
        select("cuda:99", strict=True)


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
