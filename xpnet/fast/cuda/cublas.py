"""Matrix products by cuBLAS, called directly: so they can be captured in a CUDA graph.

CuPy refuses every call of cuBLAS while a stream is captured (its issue 6290), though cuBLAS itself
allows it.  Here its C interface is called by `ctypes`, in the library that CuPy has loaded, with a
handle and a workspace of our own: calls captured in one graph do not share theirs with others.

cuBLAS reads matrices by columns.  A matrix that lies by rows is the transposed one to it, so

    C = A B   is computed as   Cᵀ = Bᵀ Aᵀ

Source: NVIDIA, *cuBLAS library*, `cublas<t>gemm` and section 2.1.4 on CUDA graphs.
"""

import ctypes
import importlib
import sys
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from xpnet.device.description import tf32

WORKSPACE = 2**22  # bytes: what cuBLAS takes by itself on most devices
NO, TRANSPOSED = 0, 1  # cublasOperation_t
TF32 = 3  # CUBLAS_TF32_TENSOR_OP_MATH
ALLOC_FAILED = 3
Strides = tuple[int, int]


class CublasError(Exception):
    """cuBLAS cannot be called directly, or refuses."""


class Cublas:
    """A handle of cuBLAS on the current device.

    Raises
    ------
    CublasError
        The library that CuPy uses is not found, or gives no handle.
    """

    def __init__(self) -> None:
        cupy = importlib.import_module("cupy")
        cupy.cuda.get_cublas_handle()  # CuPy loads its library
        self._library = _loaded(cupy.cuda.runtime.runtimeGetVersion() // 1000)
        handle = ctypes.c_void_p()
        self._call("cublasCreate_v2", ctypes.byref(handle))
        self._handle = handle
        weakref.finalize(self, self._library.cublasDestroy_v2, handle)
        if tf32():  # as CuPy's own products
            self._call("cublasSetMathMode", handle, TF32)
        self._workspace = cupy.empty(WORKSPACE, dtype=np.uint8)
        self._stream: int | None = None

    def use(self, stream: Any) -> None:
        """Let the products that follow go to this stream of CuPy."""
        if stream.ptr != self._stream:
            self._call("cublasSetStream_v2", self._handle, ctypes.c_void_p(stream.ptr))
            # A new stream brings the handle's own workspace back.
            place = ctypes.c_void_p(self._workspace.data.ptr)
            self._call("cublasSetWorkspace_v2", self._handle, place, ctypes.c_size_t(WORKSPACE))
            self._stream = stream.ptr

    def product(self, c: Any, a: Any, b: Any) -> Callable[[], None]:
        """A function that computes c = a b.

        Parameters
        ----------
        c : CuPy array (m, n), float32 or float64
            Contiguous by rows.
        a, b : CuPy arrays (m, k) and (k, n) of its type
            Contiguous by rows or by columns, perhaps with gaps between these.  Their memory has to
            stay as long as the function is used.
        """
        single = c.dtype == np.float32
        name, kind = ("cublasSgemm_v2", ctypes.c_float) if single else (
            "cublasDgemm_v2", ctypes.c_double
        )  # fmt: skip
        (m, n), k = c.shape, a.shape[1]
        transpose_a, lda = _as_columns(a)
        transpose_b, ldb = _as_columns(b)
        one, zero = (ctypes.byref(kind(number)) for number in (1, 0))
        pa, pb, pc = (ctypes.c_void_p(x.data.ptr) for x in (a, b, c))
        return partial(
            self._call, name, self._handle, transpose_b, transpose_a, n, m, k,
            one, pb, ldb, pa, lda, zero, pc, n,
        )  # fmt: skip

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status:
            why = " (CUBLAS_STATUS_ALLOC_FAILED)" if status == ALLOC_FAILED else ""
            raise CublasError(f"{name} gives status {status}{why}")


class CupyProducts:
    """Products by CuPy's own function: where cuBLAS cannot be called directly."""

    def use(self, stream: Any) -> None:
        """CuPy's products go to the current stream by themselves."""

    def product(self, c: Any, a: Any, b: Any) -> Callable[[], None]:
        """A function that computes c = a b."""
        cupy = importlib.import_module("cupy")
        return partial(cupy.matmul, a, b, out=c)


def _as_columns(x: Any) -> tuple[int, int]:
    """Which operation makes xᵀ of the matrix that cuBLAS sees, and how far its columns are apart.

    An axis of one element may have any stride.
    """
    (rows, columns), (by_row, by_column) = x.shape, (s // x.itemsize for s in x.strides)
    if by_column == 1 or columns == 1:
        return NO, by_row if rows > 1 else columns
    return TRANSPOSED, by_column


def _loaded(version: int) -> ctypes.CDLL:
    """The library that CuPy has loaded, by its name."""
    if sys.platform == "win32":
        name = f"cublas64_{version}.dll"
    else:
        name = f"libcublas.so.{version}"
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        raise CublasError(str(error)) from None
