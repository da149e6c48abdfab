"""Arrays of any library: their types, namespace, device, and copies from and to NumPy.

With `device` and `fast` the one place that names array libraries; each is imported when first
wanted.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from xpnet.device.cupy_namespace import without_transfers
from xpnet.device.forks import refuse_after_fork
from xpnet.device.gpu_errors import failures, on_gpu
from xpnet.errors import UsageError

Array = Any  # an array of any array-API library
Arrays = Mapping[str, Array]  # by name
HostArray = npt.NDArray[Any]

WRAPPED = {"cupy", "torch", "jax", "jaxlib", "dask", "ndonnx", "sparse"}
"""Libraries whose arrays array-api-compat wraps, or recognizes so that they can be refused."""

_namespaces: dict[type, Any] = {np.ndarray: np}
_NOTHING = nullcontext()


def namespace(x: Array) -> Any:
    """Return the array-API namespace of `x`, remembered by its type.

    NumPy conforms by itself, and so do arrays that say so (`__array_namespace__`); array-api-compat
    supplies what CuPy, PyTorch and JAX lack.

    Raises
    ------
    UsageError
        `x` is no array of a library that xpnet supports.
    """
    try:
        return _namespaces[type(x)]
    except KeyError:
        pass
    if isinstance(x, np.ndarray | np.generic):
        xp: Any = np
    elif _conforms(x):
        xp = x.__array_namespace__()
    else:
        xp = _wrapped_namespace(x)
    _namespaces[type(x)] = xp
    return xp


def is_real(value: Any) -> bool:
    """Whether a value is a real number or a boolean of Python or NumPy, or a decimal."""
    return isinstance(value, Real | np.bool_) or type(value).__name__ == "Decimal"


def is_array(x: Any) -> bool:
    """Whether `x` is of an array library; others than those of xpnet are refused later."""
    library = _library(x)
    known = type(x) in _namespaces or isinstance(x, np.ndarray | np.generic) or _conforms(x)
    return known or (library in WRAPPED and library != "dask")  # which has frames, too


def _conforms(x: Array) -> bool:
    """Whether the library of `x` follows the standard by itself."""
    return hasattr(type(x), "__array_namespace__") and _library(x) not in WRAPPED


def _library(x: Array) -> str:
    return type(x).__module__.partition(".")[0]


def _wrapped_namespace(x: Array) -> Any:
    """Return the namespace that array-api-compat has for `x`."""
    import array_api_compat as compat

    lazy = compat.is_dask_array(x) or compat.is_ndonnx_array(x)
    try:
        xp = None if lazy else compat.array_namespace(x)
    except TypeError:
        xp = None
    if xp is None or compat.is_pydata_sparse_array(x):
        dense = "; its method toarray() makes one" if hasattr(x, "toarray") else ""
        raise UsageError(
            f"a {type(x).__module__}.{type(x).__qualname__} is no array that xpnet can "
            f"compute with; give one of NumPy, CuPy, PyTorch, JAX or array-api-strict{dense}"
        )
    return without_transfers(xp) if is_cupy(x) else xp


def device_of(x: Array) -> Any:
    """Return the device of `x` in its own library's terms; None for a tracer of JAX."""
    if isinstance(x, np.ndarray):
        return "cpu"
    if _conforms(x):
        return x.device
    import array_api_compat as compat

    return compat.device(x)


def on_device_of(x: Array) -> AbstractContextManager[Any]:
    """A context in which new arrays of `x`'s library are made on `x`'s device.

    CuPy's functions work on the current device, whatever their arguments' devices; for the
    other libraries there is nothing to do.
    """
    if isinstance(x, np.ndarray) or not is_cupy(x):
        return _NOTHING
    refuse_after_fork()
    return on_gpu(device_of(x))


def put(array: HostArray, like: Array) -> Array:
    """`array` of the host as an array of `like`'s library, on its device."""
    if isinstance(like, np.ndarray):
        return array
    plain = array.flags.writeable and array.flags.aligned and array.flags.c_contiguous
    if not (plain and array.dtype.isnative):  # PyTorch warns of a read-only one
        array = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    return namespace(like).asarray(array, device=device_of(like))


def moved(array: Array, x: Array) -> Array:
    """Return `array`, floating-point, as an array of x's library on x's device.

    Raises
    ------
    UsageError
        It is float64, which x's library does not have or has switched off.
    """
    if namespace(array) is namespace(x) and device_of(array) == device_of(x):
        return array
    copy = put(to_numpy(array), x)
    if copy.dtype != namespace(x).float64 and float_name(array) == "float64":
        raise UsageError(
            "the model is of float64, which x's library has switched off; make it with "
            'dtype="float32", or switch float64 on (jax.config.update("jax_enable_x64", True))'
        )
    return copy


def to_numpy(x: Array) -> HostArray:
    """`x` as a NumPy array; from a GPU a copy, for which the device is waited for."""
    if isinstance(x, np.ndarray):
        return x
    if is_cupy(x):
        refuse_after_fork()
        with failures():
            return x.get()  # type: ignore[no-any-return]
    library = _library(x)
    if library == "torch":
        return x.detach().cpu().numpy()  # type: ignore[no-any-return]
    if library == "array_api_strict":
        x = x.to_device(namespace(x).Device("CPU_DEVICE"))
    return np.asarray(x)


def frozen_copy(x: Array) -> Array:
    """A copy of `x` where it is; of NumPy one that cannot be written to."""
    copy = namespace(x).asarray(x, copy=True)
    if isinstance(copy, np.ndarray):
        copy.flags.writeable = False
    return copy


def require_same_device(x: Array, other: Array, name: str) -> None:
    """Raise a UsageError where `other`, an array of x's library, lies on another device than x."""
    if isinstance(x, np.ndarray) or type(other) is not type(x) or not is_array(x):
        return
    here, there = device_of(x), device_of(other)
    if here is not None and there is not None and here != there:
        raise UsageError(
            f"x is on {_shown(here)} and {name} on {_shown(there)}; expected both on one device"
        )


def _shown(device: Any) -> str:
    """A device's name; CuPy prints it as <CUDA Device 1>."""
    return f"cuda:{device.id}" if hasattr(device, "id") else str(device)


def without_history(x: Array) -> Array:
    """`x`, cut off from PyTorch's record of how it was computed."""
    return x.detach() if hasattr(x, "detach") else x


def float_name(x: Array) -> str:
    """The name of the floating-point type of `x`: "float32" or "float64"."""
    return f"float{namespace(x).finfo(x.dtype).bits}"


def as_type(x: Array, name: str) -> Array:
    """Return `x` in the type of this name: itself, or a converted copy; too large is infinite."""
    xp = namespace(x)
    with np.errstate(over="ignore"):
        return xp.astype(x, getattr(xp, name), copy=False)


def times(x: Array, factor: float) -> Array:
    """Return x * factor, multiplied in float64 on the host; what is too large is infinite."""
    with np.errstate(over="ignore"):
        return put((to_numpy(x).astype(np.float64) * factor).astype(float_name(x)), x)


def is_wide(x: Array) -> bool:
    """Whether the type of `x` has digits that float32 lacks: float64, integers above 16 bits."""
    return _precision(namespace(x), x.dtype)[0]


def has_float64(x: Array) -> bool:
    """Whether the library of `x` has float64 on the device of `x`; nothing waits for the device."""
    if isinstance(x, np.ndarray):
        return True
    info = namespace(x).__array_namespace_info__()
    return "float64" in info.dtypes(device=device_of(x), kind="real floating")


def subtraction_type(x: Array, dtype: Any) -> Any:
    """Return the type to convert `x` to before a constant is subtracted.

    Float64 and integers of more than 16 bits may have digits that float32 lacks: they become
    float64 where the library and the device of `x` have it.  Otherwise the type is `dtype`, that of
    the constant.
    """
    xp = namespace(x)
    wide, real = _precision(xp, x.dtype)
    return xp.float64 if wide and (real or has_float64(x)) else dtype


@cache
def _precision(xp: Any, dtype: Any) -> tuple[bool, bool]:
    """Whether a type may have digits that float32 lacks, and whether it is of real numbers."""
    if xp.isdtype(dtype, "real floating"):
        return xp.finfo(dtype).bits > 32, True
    return xp.isdtype(dtype, "integral") and xp.iinfo(dtype).bits > 16, False


def is_numpy(x: Array) -> bool:
    """Whether it is an array of NumPy, and of no subclass."""
    return type(x) is np.ndarray


def is_cupy(x: Array) -> bool:
    """Whether it is an array of CuPy."""
    return _library(x) == "cupy"
