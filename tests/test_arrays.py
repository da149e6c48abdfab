"""Arrays of every library: namespace, device, copies from and to NumPy."""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from helpers import Library, needed

import xpnet
from xpnet.arrays import device_of, float_name, is_array, namespace, put, to_numpy
from xpnet.device import Device
from xpnet.errors import UsageError

HOST = np.arange(24).reshape(4, 6) - 3
LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "plain": lambda a: a,
    "strided": lambda a: a[::2, 1::3],
    "reversed": lambda a: a[::-1, ::-1],
    "Fortran": np.asfortranarray,
    "repeated": lambda a: np.broadcast_to(a[0], (3, 6)),  # read-only
    "empty": lambda a: a[:0],
    "zero-dimensional": lambda a: a[0, 0].reshape(()),
    "unaligned": lambda a: np.frombuffer(b"-" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
}


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float32", "widest"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_array_comes_back_as_it_was_put(xp: Library, layout: str, dtype: str) -> None:
    host = LAYOUTS[layout](HOST.astype(xp.dtype if dtype == "widest" else dtype))
    before, like = host.copy(), xp.array([0.0])
    there = put(host, like)
    assert namespace(there) is namespace(like)
    assert device_of(there) == device_of(like)
    back = to_numpy(there)
    assert type(back) is np.ndarray
    assert back.dtype == before.dtype
    assert np.array_equal(back, before)
    assert np.array_equal(host, before)


def test_an_array_is_where_it_was_made(xp: Library) -> None:
    x = xp.array([[1.0, 2.0]])
    assert xp.device in (None, device_of(x))
    assert device_of(namespace(x).zeros(3, device=device_of(x))) == device_of(x)


def test_numpy_stays_numpy() -> None:
    assert namespace(HOST) is np
    assert namespace(np.float32(1)) is np
    assert namespace(np.ma.array([1])) is np
    assert device_of(HOST) == "cpu"
    assert put(HOST, HOST) is HOST
    assert to_numpy(HOST) is HOST
    assert Device("cpu").put(HOST) is HOST


def test_the_floating_point_type_is_named(xp: Library) -> None:
    assert float_name(xp.array([1.0], dtype="float32")) == "float32"
    assert float_name(xp.array([1.0])) == xp.dtype


def test_arrays_are_told_from_frames(xp: Library) -> None:
    """Of dask only by what reads frames: it has both."""
    assert is_array(xp.array([1.0]))
    for module, there in (("torch.nested", True), ("dask.dataframe", False), ("pandas", False)):
        assert is_array(type("Frame", (), {"__module__": module})()) is there


def test_a_tensor_with_a_gradient_can_be_read() -> None:
    torch = needed("torch")
    assert to_numpy(torch.ones(2, requires_grad=True)).tolist() == [1, 1]


def test_a_tracer_of_jax_has_no_device() -> None:
    jax = needed("jax")
    seen = []
    jax.jit(lambda x: (seen.append(device_of(x)), x)[1])(jax.numpy.ones(2))
    assert seen == [None]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ([1.0], "builtins.list"),
        (1.0, "builtins.float"),
        (None, "builtins.NoneType"),
        ("abc", "builtins.str"),
        (memoryview(b"abc"), "builtins.memoryview"),
        (np.ndarray, "builtins.type"),
    ],
)
def test_what_is_no_array_is_refused_by_its_name(value: Any, name: str) -> None:
    with pytest.raises(UsageError, match=f"a {name} is no array that xpnet can compute with"):
        namespace(value)


@pytest.mark.parametrize(
    ("library", "kind"), [("dask.array", "Array"), ("ndonnx", "Array"), ("sparse", "SparseArray")]
)
def test_arrays_of_unsupported_libraries_are_refused(
    library: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By stand-ins that array-api-compat takes for the library's own arrays."""
    array = type(kind, (), {"__module__": library, "__array_namespace__": lambda self, **_: np})
    module = ModuleType(library)
    setattr(module, kind, array)
    monkeypatch.setitem(sys.modules, library, module)
    with pytest.raises(UsageError, match=f"a {library}.{kind} is no array that xpnet can"):
        namespace(array())


@pytest.mark.parametrize("name", ["y", "sample_weight"])
def test_arrays_of_two_devices_are_refused(name: str) -> None:
    strict = needed("array_api_strict")
    first, second = strict.Device("CPU_DEVICE"), strict.Device("device1")
    x = strict.ones((4, 3), device=first)
    y = strict.asarray([0, 1, 0, 1], device=second if name == "y" else first)
    w = strict.ones(4, device=second)
    with pytest.raises(UsageError, match=f"x is on .* and {name} on .*; expected both on one"):
        xpnet.fit(xpnet.mlp(3, 2), x, y, sample_weight=w if name != "y" else None)


@pytest.mark.parametrize("n", [1, 8, 9, 16, 17, 65])
def test_any_number_of_arrays_is_joined(xp: Library, n: int) -> None:
    arrays = [xp.array(np.arange(i, i + 2.0)) for i in range(n)]
    joined = namespace(arrays[0]).concat(arrays)
    assert to_numpy(joined).tolist() == [a for i in range(n) for a in (i, i + 1.0)]


def test_sign_has_three_values_and_nan(xp: Library) -> None:
    x = xp.array([-2.5, -0.0, 0.0, 1e-30, np.inf, np.nan])
    np.testing.assert_array_equal(to_numpy(namespace(x).sign(x)), [-1, 0, 0, 1, 1, np.nan])


def test_arrays_that_say_how_they_are_computed_with_need_no_wrapper() -> None:
    """The standard's own protocol: a namespace, and a device."""

    class Conforming:
        device = "here"

        def __array_namespace__(self) -> str:
            return "a namespace"

    assert namespace(Conforming()) == "a namespace"
    assert device_of(Conforming()) == "here"
