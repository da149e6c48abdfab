"""The device selector: its grammar, what it takes, and falling back to the CPU."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import INSTALL, stand_in

import xpnet
from xpnet.arrays import to_numpy
from xpnet.cli import run
from xpnet.device import selection
from xpnet.device.probing import probe
from xpnet.device.selection import Device, inventory, parse, select_device
from xpnet.errors import DeviceError, DeviceFallbackWarning, UsageError

HOST = np.arange(24).reshape(4, 6) - 3


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


def test_auto_takes_the_cpu_silently_and_knows_why(problem: tuple[str, str]) -> None:
    """A warning would be an error here."""
    chosen = select_device("auto")
    assert chosen == Device("cpu")
    assert chosen.why.startswith("auto: ")
    assert problem[0] in chosen.why
    assert select_device("auto", strict=True) == Device("cpu")


def test_cuda_falls_back_with_one_warning(problem: tuple[str, str]) -> None:
    with pytest.warns(DeviceFallbackWarning) as caught:
        chosen = select_device("cuda")
    assert len(caught) == 1
    for part in ("cuda cannot be used", *problem):
        assert part in str(caught[0].message)
    assert caught[0].filename == __file__
    assert chosen == Device("cpu")
    assert problem[0] in chosen.why
    assert select_device("cuda") == Device("cpu")  # in silence: warnings are errors


def test_strict_is_an_error_instead(problem: tuple[str, str]) -> None:
    with pytest.raises(DeviceError) as caught:
        select_device("cuda:0", strict=True)
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
    chosen = select_device("auto", strict=True)
    assert chosen == Device("cuda", 0)
    assert chosen.why == "auto: Stand-in, 80 GiB"
    assert select_device("cuda:1").why == "asked for: Stand-in, 81 GiB"
    assert str(select_device("cuda:1")) == "cuda:1"
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


def test_a_number_too_high_is_answered_with_those_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", stand_in(count=2))
    with pytest.warns(DeviceFallbackWarning, match="there is no cuda:2; choose one of: cuda:0, c"):
        assert select_device("cuda:2") == Device("cpu")
    with pytest.raises(DeviceError, match="cuda:2 cannot be used: there is no cuda:2"):
        select_device("cuda:2", strict=True)


def test_the_cpu_is_taken_without_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "probe", lambda index: pytest.fail("probed"))
    assert select_device("cpu") == Device("cpu")
    assert select_device("cpu", strict=True).why == "asked for"


def test_devices_compare_by_what_they_are() -> None:
    assert Device("cuda", 1, "auto") == Device("cuda", 1, "asked for")
    assert Device("cuda", 1) != Device("cuda", 0)


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


# What follows asks the real CuPy.


@pytest.mark.cuda
def test_a_real_device_is_named_and_taken() -> None:
    assert probe(0) is None
    chosen = select_device("auto")
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
        assert select_device("cuda:99") == Device("cpu")
    with pytest.raises(DeviceError, match="there is no cuda:99"):
        select_device("cuda:99", strict=True)
