"""The description of a GPU."""

import os
import sys
from pathlib import Path

import pytest
from helpers import stand_in

from xpnet.device.description import details
from xpnet.device.probing import probe


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
