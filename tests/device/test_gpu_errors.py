"""Errors of a GPU while it computes: what they become, and what is left alone."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
from helpers import NO_MEMORY, CUDARuntimeError, OutOfMemoryError, stand_in

from xpnet.device.gpu_errors import failures
from xpnet.errors import DeviceFailedError, UsageError


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
