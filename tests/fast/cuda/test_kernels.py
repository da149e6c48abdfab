"""The kernels of `xpnet.fast`: which there are, and that each gives what NumPy gives.

Kernels are made of what is recorded, so the oracle of each is the same code called with NumPy.
"""

import ctypes
import importlib
import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import difference

import xpnet
from xpnet.activations import Activation
from xpnet.arrays import namespace
from xpnet.data.dataset import Dataset
from xpnet.fast.cuda.cublas import Cublas, CublasError, CupyProducts
from xpnet.fast.cuda.expressions import call
from xpnet.fast.cuda.groups import COLUMNS, MAP, ROWS
from xpnet.fast.cuda.indices import Index, base_index, divide, named
from xpnet.fast.cuda.program import Program
from xpnet.fast.cuda.schedule import Product, Schedule
from xpnet.fast.cuda.source import Source
from xpnet.fast.nodes import VIEW, CannotRecordError, Node
from xpnet.fast.record import KernelArray, Recorded, variable
from xpnet.layers import Dense, Dropout, Noise, Standardize
from xpnet.losses import Loss, Pinball
from xpnet.network import Network
from xpnet.optimizers import Optimizer, clip_by_norm, project
from xpnet.random import normal_units
from xpnet.registry import ACTIVATIONS, LOSSES, NORMALIZATIONS, OPTIMIZERS
from xpnet.train import train_step

Step = Callable[..., Sequence[Any]]
RNG = np.random.default_rng(0)
SIZES = (1, 7, 127, 129, 1000)
SHAPES = [(1, 1), (1, 129), (1000, 1), (7, 127), (127, 7), (129, 1000)]
DTYPES = ("float32", "float64")
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
dtypes = pytest.mark.parametrize("dtype", DTYPES)
ROUNDING = {"float32": 2e-5, "float64": 1e-13}


def recorded(*arrays: np.ndarray) -> list[Recorded]:
    return [variable(a, KernelArray) for a in arrays]


def schedule(step: Step, *arrays: np.ndarray) -> list[Source | Product]:
    """The launches of a step."""
    return Schedule([a.node for a in step(*recorded(*arrays))], {}).launches


def on_device(step: Step, *arrays: np.ndarray, products: Any = None) -> list[np.ndarray]:
    """The results of a step, computed by its kernels."""
    cupy = importlib.import_module("cupy")
    stand_ins = recorded(*arrays)
    # Each array without its reserve from the pool: what is read past its end is seen.
    with cupy.cuda.using_allocator(None):
        places = [(a.node, cupy.asarray(b)) for a, b in zip(stand_ins, arrays, strict=True)]
        results = [(a.node, cupy.empty(a.shape, a.dtype)) for a in step(*stand_ins)]
        products = products or Cublas()
        program = Program(results, places, {}, products, [])
        products.use(cupy.cuda.get_current_stream())
        program(cupy.zeros(1, dtype=np.int32), 0)
        return [place.get() for _, place in results]


def assert_the_same(step: Step, *arrays: np.ndarray, tolerance: float | None = None) -> None:
    """To rounding: sums are taken in another order, and functions are another library's."""
    ours = on_device(step, *arrays)
    with np.errstate(all="ignore"):
        numpy = step(*arrays)
    assert len(ours) == len(numpy)
    for a, b in zip(ours, numpy, strict=True):
        assert a.dtype == b.dtype
        assert difference(a, b) <= (tolerance or ROUNDING.get(b.dtype.name, 0))


def normal(*shape: int, dtype: str = "float64", scale: float = 1.0) -> np.ndarray:
    return (scale * RNG.normal(size=shape)).astype(dtype)


# Which launches there are


def launches_of(model: xpnet.Model, optimizer: Optimizer, n: int = 128) -> list[Source | Product]:
    """Those of a training step, from its gathering to its update."""
    network, loss = model.network, xpnet.SoftmaxCrossEntropy()
    x = np.zeros((1000, network.fan_in), np.uint8)
    keys = np.zeros((max(1, len(network.drawing)), 3), np.int32)
    scalars = np.zeros(len(optimizer.scalars(1.0, 1)), np.float32)
    state = optimizer.init(model.theta)

    def step(x: Any, t: Any, rows: Any, theta: Any, buffers: Any, total: Any, *rest: Any) -> Any:
        scalars, keys, *state = rest
        batch = Dataset(x, t).gather(rows)
        theta, state, buffers, value = train_step(
            network, loss, optimizer, theta, tuple(state), buffers, batch, scalars, keys
        )
        return total + value * n, theta, *state, *([buffers] if network.refreshing else [])

    t, rows = np.zeros(1000, np.int32), np.zeros(n, np.int32)
    total = np.zeros((), np.float32)
    return schedule(step, x, t, rows, model.theta, model.buffers, total, scalars, keys, *state)


def modes(launches: Sequence[Source | Product]) -> list[str]:
    return ["product" if isinstance(a, Product) else a.mode for a in launches]


ELEVEN = [
    MAP, "product", MAP, "product",  # gather, x W, bias + activation, h W
    ROWS,  # softmax, cross-entropy, its gradient, the sum of losses
    "product", COLUMNS, "product",  # dW, bias gradient, dh
    COLUMNS, "product",  # activation gradient + bias gradient, dW
    MAP,  # optimizer
]  # fmt: skip


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_step_is_eleven_launches(activation: str) -> None:
    model = xpnet.mlp(784, 128, 10, activation=activation)
    found = modes(launches_of(model, OPTIMIZERS["adam"]()))
    assert sorted(found) == sorted(ELEVEN)
    assert found[:5] == ELEVEN[:5]
    assert found[-1] == MAP


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("options", [{}, {"dropout": 0.5}], ids=str)
def test_every_optimizer_is_one_launch_and_dropout_none(optimizer: str, options: Any) -> None:
    model = xpnet.mlp(784, 128, 10, **options)
    assert sorted(modes(launches_of(model, OPTIMIZERS[optimizer]()))) == sorted(ELEVEN)


def test_normalization_is_in_the_launches_that_are_there() -> None:
    """Over rows, and the sums dγ and dβ in that of the bias; or over columns, and one more for the
    running statistics.
    """
    layer = launches_of(xpnet.mlp(784, 128, 10, normalization="layer"), OPTIMIZERS["adam"]())
    assert sorted(modes(layer)) == sorted([MAP, MAP, *[ROWS] * 3, *[COLUMNS] * 2, *["product"] * 5])
    batch = launches_of(xpnet.mlp(784, 128, 10, normalization="batch"), OPTIMIZERS["adam"]())
    assert sorted(modes(batch)) == sorted([*[MAP] * 3, ROWS, *[COLUMNS] * 3, *["product"] * 5])
    assert modes(batch)[:3] == [MAP, "product", COLUMNS]


def test_the_source_is_the_same_for_batches_of_any_size() -> None:
    """So that each kernel is compiled once."""
    model = xpnet.mlp(784, 128, 10, dropout=0.5)
    texts = [
        [a.text for a in launches_of(model, OPTIMIZERS["adamw"](), n) if isinstance(a, Source)]
        for n in (100, 77)
    ]
    assert texts[0] == texts[1]


def test_all_gradients_are_written_where_they_belong() -> None:
    def step(x: Any, theta: Any) -> Any:
        network = xpnet.mlp(20, 10, 3, bias=False).network
        params = network.unpack(theta, theta[:40])
        _, caches = network.forward(params, x)
        grads = network.backward(params, caches, x[:, :3])[1]
        return (theta - network.pack(grads),)

    arrays = recorded(normal(5, 20), normal(230))
    found = Schedule([a.node for a in step(*arrays)], {})
    joined = {whole for whole, _ in found.parts.values()}
    assert len(joined) == 1
    assert sorted(start for _, start in found.parts.values()) == [0, 200]


def test_what_would_read_too_many_arrays_is_stored_on_the_way() -> None:
    arrays = [normal(100) for _ in range(100)]

    def add(*given: Any) -> Any:
        total = given[0] * 2
        for array in given[1:]:
            total = total + array
        return (total,)

    found = schedule(add, *arrays)
    assert len(found) > 1
    assert all(len(a.arrays) <= 40 for a in found if isinstance(a, Source))


@pytest.mark.parametrize("size", [2, 3, 10])
@pytest.mark.parametrize("constant", [0, 5, 24])
def test_indices_are_divided_as_numbers_are(size: int, constant: int) -> None:
    """Where the rest is known to be below the size, whatever the variables are."""
    bounds = {"i": 4, "j": 2}
    for factors in ((10, 1), (3, 3), (6, 2), (20, 5)):
        place = Index(constant) + named("i").times(factors[0]) + named("j").times(factors[1])
        quotient, rest, fits = divide(place, size, bounds)

        def at(index: Index, i: int, j: int) -> int:
            return index.constant + sum({"i": i, "j": j}[a] * f for a, f in index.terms)

        for i in range(4):
            for j in range(2):
                assert at(quotient, i, j) * size + at(rest, i, j) == at(place, i, j)
                if fits:
                    assert 0 <= at(rest, i, j) < size


def test_an_index_that_may_be_negative_is_not_split() -> None:
    place = named("i").times(6) + Index(-3)
    assert (
        divide(place, 3, {"i": 5}) == (Index(), place, False) or not divide(place, 3, {"i": 5})[2]
    )


@pytest.mark.parametrize(
    ("shape", "view"),
    [
        ((6, 4), lambda a: a.T),
        ((6, 4), lambda a: a[1:5, ::2]),
        ((6, 4), lambda a: np.reshape(a, (-1,))),
        ((6, 4), lambda a: np.reshape(a[2:, ...], (2, 8))),
        ((24,), lambda a: np.reshape(a, (2, 3, 4))),
        ((6, 4), lambda a: a[3]),
        ((2, 3, 4), lambda a: np.reshape(a, (2, 12))[..., :7]),
        ((1, 4), lambda a: np.broadcast_to(a, (5, 4))),
    ],
)
def test_views_change_the_index(shape: tuple[int, ...], view: Callable[[Any], Any]) -> None:
    array = np.arange(np.prod(shape)).reshape(shape)
    seen = view(array)
    (base,) = recorded(array)

    node = Node(VIEW, seen.shape, seen.dtype, view, (base.node,))

    def split(place: Index, size: int) -> tuple[Index, Index]:
        q, r = divmod(place.constant, size)
        return Index(q), Index(r)

    for index in np.ndindex(seen.shape):
        found = base_index(node, [Index(i) for i in index], split)
        assert array[tuple(i.constant for i in found)] == seen[index]


def test_a_function_that_has_no_kernel_is_refused() -> None:
    with pytest.raises(CannotRecordError, match="the function arctan of float32"):
        call(np.arctan, ["x"], np.dtype("float32"))
    with pytest.raises(CannotRecordError, match="computing in float16"):
        call(np.add, ["x", "y"], np.dtype("float16"))


# That NVIDIA's compiler takes them


@pytest.fixture(scope="session")
def compiler() -> ctypes.CDLL:
    """NVRTC from its wheel, which needs no device."""
    if importlib.util.find_spec("nvidia") is None:
        pytest.skip("NVRTC is not installed (pip install nvidia-cuda-nvrtc-cu12)")
    folders = [Path(folder) for folder in importlib.import_module("nvidia").__path__]
    found = [path for folder in folders for path in folder.glob("cuda_nvrtc/lib/libnvrtc.so.1?")]
    if not found:
        pytest.skip("NVRTC is not installed (pip install nvidia-cuda-nvrtc-cu12)")
    return ctypes.CDLL(str(found[0]))


def compile_for(nvrtc: ctypes.CDLL, text: str, architecture: str) -> str:
    """What NVRTC says of a source, warnings and errors, if it is compiled as CuPy does it."""
    program = ctypes.c_void_p()
    status = nvrtc.nvrtcCreateProgram(
        ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None
    )
    assert status == 0
    given = [f"--gpu-architecture={architecture}".encode(), b"-ftz=true"]
    status = nvrtc.nvrtcCompileProgram(program, len(given), (ctypes.c_char_p * len(given))(*given))
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    said = log.value.decode().strip()
    return said if status == 0 else said or f"status {status}"


def one_loss(loss: Loss, z: Any, t: Any, total: Any) -> Any:
    value, cache = loss.forward(z, t)
    return total + value, loss.backward(cache)


@pytest.mark.parametrize("architecture", ["sm_75", "sm_90"])
def test_nvidias_compiler_takes_every_kernel(compiler: ctypes.CDLL, architecture: str) -> None:
    """Of all activations, normalizations and optimizers, losses and types of samples."""
    launches: list[Source | Product] = []
    for activation in ACTIVATIONS:
        for normalization in (None, "batch", "layer"):
            options = {"activation": activation, "normalization": normalization}
            model = xpnet.mlp(20, 16, 10, dropout=0.3, noise=0.1, max_norm=1.0, **options)
            launches += launches_of(model, OPTIMIZERS["adam"]())
    for optimizer in (make() for make in OPTIMIZERS.values()):
        launches += launches_of(xpnet.mlp(20, 16, 10, dtype="float64"), optimizer)
    for kind in LOSSES.values():
        step = partial(one_loss, kind())
        launches += schedule(step, normal(7, 3), normal(7, 3), np.asarray(0.0))
    for dtype in ("bool", "int16", "float16", "float64"):
        x = np.zeros((9, 3), dtype)
        launches += schedule(lambda x: (namespace(x).astype(x, np.float32) * 0.1,), x)
    texts = {a.text: a for a in launches if isinstance(a, Source)}
    assert len(texts) > 100
    said = {a.name: compile_for(compiler, text, architecture) for text, a in texts.items()}
    assert {name: log for name, log in said.items() if log} == {}


def test_the_compiler_would_say_so(compiler: ctypes.CDLL) -> None:
    assert "undefined" in compile_for(compiler, "__global__ void f() { x = 1; }", "sm_90")


# That they give what NumPy gives

cuda = pytest.mark.cuda


@cuda
@dtypes
@shapes
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str, shape: tuple[int, int], dtype: str) -> None:
    """Bias and activation; and its gradient with that of the bias."""
    layer: Activation = ACTIVATIONS[name]()

    def step(u: Any, b: Any, dy: Any) -> Any:
        y, cache = layer.forward({}, u + b)
        dx, _ = layer.backward({}, cache, dy)
        return y, dx, namespace(dx).sum(dx, axis=0)

    n, m = shape
    # Within ±3: near saturation 1 - y² is rounding.
    u, b = RNG.uniform(-2, 2, shape), RNG.uniform(-1, 1, m)
    dy = np.abs(normal(n, m, dtype=dtype))  # of one sign, or their sum is rounding
    assert_the_same(step, u.astype(dtype), b.astype(dtype), dy)


@cuda
@dtypes
@pytest.mark.parametrize("shape", [(1, 3), (7, 10), (129, 127), (1000, 3)], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str, shape: tuple[int, int], dtype: str, weighted: bool) -> None:
    """The loss, its gradient, and the sum of losses so far."""
    loss: Loss = Pinball((0.1, 0.5, 0.9)[: shape[1]] if shape[1] == 3 else (0.3,))
    loss = loss if name == "pinball" else LOSSES[name]()
    n, m = shape
    z, w = normal(n, m, dtype=dtype, scale=2), RNG.uniform(0.5, 2, n).astype(dtype)
    if loss.output == "softmax":
        t: np.ndarray = RNG.integers(0, m, n).astype(np.int32)
    else:
        t = RNG.uniform(0, 1, (n, m)).astype(dtype)

    def step(z: Any, t: Any, w: Any, total: Any) -> Any:
        value, cache = loss.forward(z, t, w if weighted else None)
        return total + value * n, loss.backward(cache)

    assert_the_same(step, z, t, w, np.asarray(3, dtype))


@cuda
@dtypes
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name: str, size: int, dtype: str) -> None:
    """All of the flat vector, decay of its first part included, and a clipped gradient."""
    optimizer = OPTIMIZERS[name]()
    if not optimizer.weight_decay:
        optimizer = type(optimizer)(**{**vars(optimizer), "weight_decay": 0.01})
    scalars = np.asarray(optimizer.scalars(0.5, 7), dtype)
    theta, g = normal(size, dtype=dtype), normal(size, dtype=dtype)
    state = [np.abs(normal(size, dtype=dtype)) for _ in optimizer.init(theta)]

    def step(theta: Any, g: Any, scalars: Any, *state: Any) -> Any:
        after, state = optimizer.update(
            theta, clip_by_norm(g, 0.5), tuple(state), scalars, size // 3
        )
        return after, *state

    assert_the_same(step, theta, g, scalars, *state)


@cuda
@dtypes
@shapes
@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_normalizations(name: str, shape: tuple[int, int], dtype: str) -> None:
    n, m = shape
    layer = NORMALIZATIONS[name](m)
    buffers = [np.abs(normal(m, dtype=dtype)) for _ in layer.buffers]

    def step(x: Any, dy: Any, gamma: Any, beta: Any, *rest: Any) -> Any:
        p = {"gamma": gamma, "beta": beta, **dict(zip(layer.buffers, rest, strict=True))}
        y, cache = layer.forward(p, x)
        dx, grads = layer.backward(p, cache, dy)
        return y, dx, *grads.values(), *(layer.refresh(p, cache).values() if n > 1 else ())

    arrays = normal(n, m, dtype=dtype), normal(n, m, dtype=dtype)
    # A batch of one, or a row of one column, has no variance: h is noise, divided by √ε.
    tolerance = 1e-4 if dtype == "float32" else 1e-11
    assert_the_same(
        step, *arrays, normal(m, dtype=dtype), normal(m, dtype=dtype), *buffers, tolerance=tolerance
    )


@cuda
@pytest.mark.parametrize(
    "kind",
    ["bool", "uint8", "int16", "int32", "int64", "uint64", "float16", "float32", "float64"],
)
@pytest.mark.parametrize("shape", [(1, 7), (7, 1), (129, 127), (1000, 7)], ids=str)
@dtypes
def test_samples_of_any_type_are_gathered_and_scaled(
    kind: str, shape: tuple[int, int], dtype: str
) -> None:
    n, m = shape
    x = (normal(1000, m) * 50 + 100).clip(0, 255).astype(kind)
    rows = RNG.integers(0, 1000, n).astype(np.int32)
    layer = Standardize(m)

    def step(x: Any, rows: Any, mean: Any, scale: Any) -> Any:
        batch = namespace(x).take(x, rows, axis=0)
        return (layer.forward({"mean": mean, "scale": scale}, batch)[0],)

    assert_the_same(step, x, rows, normal(m, dtype=dtype), 1 + np.abs(normal(m, dtype=dtype)))


@cuda
@pytest.mark.parametrize("kind", ["int32", "uint64", "float64", "float32"])
def test_a_mean_in_two_parts_is_subtracted(kind: str) -> None:
    """Of seconds since 1970 float32 has no digits; the other types keep all."""
    x = (1_732_000_000 + np.arange(600)[:, None]).astype(kind)
    rows = RNG.integers(0, 600, 64).astype(np.int32)

    def step(x: Any, rows: Any, mean: Any, scale: Any, rest: Any) -> Any:
        p, batch = {"mean": mean, "scale": scale, "rest": rest}, namespace(x).take(x, rows, axis=0)
        return (Standardize(1, split_mean=True).forward(p, batch)[0],)

    p = [np.float32([number]) for number in (1_732_000_256, 173.2, 43.5)]
    assert_the_same(step, x, rows, *p)
    if kind != "float32":
        exact = (rows[:, None] - 299.5) / 173.2
        assert difference(on_device(step, x, rows, *p)[0], exact) < 1e-6


@cuda
def test_every_float16_is_read_as_the_number_it_is() -> None:
    x = np.arange(2**16).astype(np.uint16).view(np.float16)
    ours = on_device(lambda x: (namespace(x).astype(x, np.float64),), x)[0]
    assert np.array_equal(ours, x.astype(np.float64), equal_nan=True)


@cuda
@dtypes
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (127, 129), (100, 1000)], ids=str)
def test_dropout_is_what_numpy_draws(shape: tuple[int, int], dtype: str) -> None:
    key = np.asarray([-5, 2**31 - 1, 1000], np.int32)

    def step(key: Any, x: Any) -> Any:
        return Dropout(0.3).forward({"key": key}, x)

    _, m = on_device(step, key, normal(*shape, dtype=dtype))
    assert np.array_equal(m, Dropout(0.3).forward({"key": key}, normal(*shape, dtype=dtype))[1])
    assert_the_same(step, key, normal(*shape, dtype=dtype))


@cuda
@dtypes
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (127, 129)], ids=str)
def test_noise_is_what_numpy_draws(shape: tuple[int, int], dtype: str) -> None:
    key = np.asarray([77, -(2**31), 5], np.int32)

    def step(key: Any, x: Any) -> Any:
        n, width = x.shape
        return Noise(0.5).forward({"key": key}, x)[0], normal_units(key, n, width, x.dtype)

    assert_the_same(step, key, normal(*shape, dtype=dtype))


@cuda
@dtypes
@shapes
def test_weights_are_kept_within_their_bound(shape: tuple[int, int], dtype: str) -> None:
    network = Network(shape[0], (Dense(*shape, max_norm=0.5),))
    assert_the_same(lambda theta: (project(network, theta),), normal(network.size, dtype=dtype))


@cuda
@dtypes
@shapes
def test_sums_and_maxima(shape: tuple[int, int], dtype: str) -> None:
    """Over rows, columns and everything, one upon another, in as many kernels as they need."""

    def step(x: Any) -> Any:
        xp = namespace(x)
        centred = x - xp.max(x, axis=1, keepdims=True)
        over_rows = xp.sum(xp.exp(centred), axis=1)
        over_columns = xp.sum(centred * centred, axis=0)
        total = xp.sum(centred)
        return over_rows, over_columns, total, xp.max(xp.abs(x)), total / (1 + xp.sum(over_columns))

    assert_the_same(step, normal(*shape, dtype=dtype))


@cuda
@dtypes
@pytest.mark.parametrize("where", [0, 500, 999])
def test_nan_and_infinity_go_on(dtype: str, where: int) -> None:
    """So that a loss that is spoilt is seen, as with NumPy's maximum."""
    x = normal(1000, dtype=dtype)
    x[where] = np.nan

    def step(x: Any) -> Any:
        xp = namespace(x)
        y, _ = xpnet.activations.ReLU().forward({}, x)
        return y, xp.max(x), xp.sum(y), xp.sign(x)

    y, most, total, signs = on_device(step, x)
    assert np.isnan(y[where])
    assert np.isnan(y).sum() == 1
    np.testing.assert_array_equal(signs, np.sign(x))
    assert np.isnan(most)
    assert np.isnan(total)
    x[where] = -np.inf
    assert on_device(lambda x: (namespace(x).max(x * x),), x)[0] == np.inf


@cuda
@pytest.mark.parametrize("n", [1, 255, 257, 10_000, 3_000_000])
def test_a_sum_over_everything_is_the_same_every_time(n: int) -> None:
    """Blocks end in any order, and are added up in theirs."""
    x = normal(n, dtype="float32")
    sums = {on_device(lambda x: (namespace(x).sum(x),), x)[0].tobytes() for _ in range(3)}
    assert len(sums) == 1
    found = np.frombuffer(sums.pop(), np.float32)[0]
    assert abs(found - x.sum(dtype=np.float64)) < 1e-6 * np.abs(x).sum()


@cuda
@dtypes
@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("m", SIZES)
@pytest.mark.parametrize("n", SIZES)
def test_products(n: int, m: int, dtype: str, direct: bool) -> None:
    """Of all transpositions, and of parts of longer arrays."""
    k = 129 if n * m < 100_000 else 7

    def step(a: Any, b: Any, at: Any, bt: Any, flat: Any) -> Any:
        xp = namespace(a)
        part = xp.reshape(flat[3 : 3 + k * m], (k, m))
        return a @ b, at.T @ b, a @ bt.T, at.T @ bt.T, a @ part

    arrays = [
        normal(*shape, dtype=dtype) for shape in ((n, k), (k, m), (k, n), (m, k), (5 + k * m,))
    ]
    made = (Cublas if direct else CupyProducts)()
    for ours, theirs in zip(on_device(step, *arrays, products=made), step(*arrays), strict=True):
        assert difference(ours, theirs) < (1e-5 if dtype == "float32" else 1e-13)


@cuda
@pytest.mark.parametrize(
    ("a", "b"),
    [("uint8", "float32"), ("float32", "float64"), ("float16", "float32"), ("int32", "float64")],
)
def test_products_of_two_types_are_of_the_wider(a: str, b: str) -> None:
    """As NumPy has it; cuBLAS takes one type."""
    x, y = (normal(9, 7) * 10).astype(a), normal(7, 5).astype(b)
    assert_the_same(lambda x, y: (x @ y, y.T @ x.T), x, y)


@pytest.mark.parametrize("dtype", ["int64", "float16"])
def test_products_that_cublas_is_not_asked_for_are_refused(dtype: str) -> None:
    with pytest.raises(CannotRecordError, match=f"a product of {dtype}"):
        schedule(lambda x: (x @ x,), np.ones((3, 3), dtype))


@pytest.mark.parametrize(
    "step",
    [
        lambda x: (x.T + 0,),
        lambda x: (namespace(x).sum(x, axis=0),),
        lambda x: (namespace(x).max(x),),
        lambda x: (namespace(x).concat([x, x]) * np.float32(2),),
        lambda x: (x[:, 1:],),
    ],
)
def test_nothing_is_computed_or_stored_in_float16(step: Step) -> None:
    with pytest.raises(CannotRecordError, match="computing in float16"):
        schedule(step, np.ones((3, 4), np.float16))


@cuda
def test_steps_backwards_through_other_views() -> None:
    def step(x: Any) -> Any:
        xp = namespace(x)
        turned = xp.reshape(x.T, (-1,))[::-1]
        joined = xp.concat([x, x + 1], axis=1)
        return turned * 2, xp.reshape(joined, (-1,))[::-1] + 0, xp.reshape(x.T, (-1,))[::-2] + 0

    assert_the_same(step, normal(2, 3))
    assert_the_same(step, normal(5, 4))


@cuda
def test_parts_of_another_type_are_converted() -> None:
    def step(x: Any, y: Any) -> Any:
        xp = namespace(x)
        return (xp.concat([xp.reshape(x @ x, (-1,)), xp.sum(y, axis=0)]) * 2,)

    assert_the_same(step, normal(3, 3, dtype="float32"), normal(4, 5), tolerance=1e-6)


@cuda
def test_rows_by_numbers_that_are_computed() -> None:
    def step(x: Any, rows: Any) -> Any:
        xp = namespace(x)
        joined = xp.concat([x, x + 1])
        counted = xp.astype(rows * 2, xp.int32)
        return xp.take(joined, xp.arange(4, dtype=xp.int32), axis=0) * 2, xp.take(
            joined, counted, axis=0
        )

    assert_the_same(step, normal(5), np.asarray([0, 3, 1], np.int32))


def test_data_with_gaps_may_need_long_indices() -> None:
    """Few elements, far apart."""
    x, rows = recorded(np.zeros((30, 10), np.uint8), np.zeros(5, np.int32))
    for apart, kind in ((100, "int"), (10**8, "long long")):
        result = namespace(x).take(x, rows, axis=0) * 2
        (launch,) = Schedule([result.node], {x.node: ((apart, 1), 0)}).launches
        assert isinstance(launch, Source)
        assert launch.text.startswith(f"typedef {kind} Int;")


@cuda
@dtypes
@pytest.mark.parametrize("n", [1023, 1024, 5000])
def test_long_columns_have_more_threads(n: int, dtype: str) -> None:
    def step(x: Any) -> Any:
        xp = namespace(x)
        centred = x - xp.mean(x, axis=0)
        return centred, xp.sum(centred * centred, axis=0)

    assert_the_same(step, normal(n, 10, dtype=dtype))


@cuda
@pytest.mark.parametrize("tf32", ["0", "1"])
def test_tf32_is_as_cupy_has_it(tf32: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    call = Cublas._call

    def watched(self: Any, name: str, *arguments: Any) -> None:
        called.append(name)
        call(self, name, *arguments)

    monkeypatch.setattr(Cublas, "_call", watched)
    monkeypatch.setenv("CUPY_TF32", tf32)
    Cublas()
    assert ("cublasSetMathMode" in called) == (tf32 == "1")


@cuda
def test_cublas_that_is_not_found_or_refuses_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = importlib.import_module("cupy")
    a = cupy.zeros((3, 3))
    product = Cublas().product(a, a, a)
    product()
    name, handle, *rest = product.args
    with pytest.raises(CublasError, match="cublasDgemm_v2 gives status 7"):
        product.func(name, handle, *rest[:2], -1, *rest[3:])
    monkeypatch.setattr(cupy.cuda.runtime, "runtimeGetVersion", lambda: 99000)
    with pytest.raises(CublasError, match=r"libcublas.so.99|cublas64_99"):
        Cublas()


@cuda
@dtypes
def test_a_factor_that_is_no_matrix_in_memory_is_stored_anew(dtype: str) -> None:
    def step(a: Any, b: Any) -> Any:
        return a[:, ::2] @ b, (a + 1) @ namespace(b).concat([b, b])

    assert_the_same(step, normal(7, 20, dtype=dtype), normal(10, 5, dtype=dtype))


@cuda
def test_results_take_the_place_of_what_they_are_made_from() -> None:
    """And where a number is needed again, they do not."""
    cupy = importlib.import_module("cupy")
    x, y, z = normal(100), normal(10, 10), normal(10, 10)
    stand_ins = recorded(x, y, z)

    def step(x: Any, y: Any, z: Any) -> Any:
        """Backwards, transposed, and with products at the end, which need memory."""
        return x[::-1] * 2, y.T / 2, ((y @ z) @ (z @ y)) / 100

    places = [cupy.asarray(a) for a in (x, y, z)]
    after = step(*stand_ins)
    results = [(a.node, place) for a, place in zip(after, places, strict=True)]
    variables = [(a.node, place) for a, place in zip(stand_ins, places, strict=True)]
    memory: list[Any] = []
    program = Program(results, variables, {}, CupyProducts(), memory)
    expected: Any = (x, y, z)
    for _ in range(3):
        program(cupy.zeros(1, dtype=np.int32), 0)
        expected = step(*expected)
        for ours, numpy in zip(places, expected, strict=True):
            assert difference(ours, numpy) < 1e-12


def test_batches_that_are_added_up_are_not_kept() -> None:
    """The gradients of all but one are over before the next, and so is what is made of samples."""
    (x, W, rows) = recorded(normal(1000, 50), normal(50, 50), np.zeros(80, np.int32))

    def step(x: Any, W: Any, rows: Any) -> Any:
        xp, total = namespace(x), 0.0
        for start in range(0, 80, 10):
            batch = xp.take(x, rows[start : start + 10], axis=0) / 3
            g = xp.concat([xp.reshape(batch.T @ (batch @ W), (-1,)), xp.sum(batch, axis=0)])
            total = total + 0.125 * g
        return (total,)

    launches = Schedule([a.node for a in step(x, W, rows)], {}).launches
    assert modes(launches).count("product") == 16
    for i, launch in enumerate(launches):
        for node in launch.writes if isinstance(launch, Source) else [launch.node]:
            readers = [
                j
                for j, other in enumerate(launches)
                if node
                in (other.reads if isinstance(other, Source) else (other.a.node, other.b.node))
            ]
            assert all(j - i <= 6 for j in readers)


@cuda
def test_a_number_is_changed_by_one_thread() -> None:
    """Though a block has many: or some would read what others have written."""
    (launch,) = schedule(lambda x: (x + 1,), np.asarray(1.0))
    assert isinstance(launch, Source)
    assert "if (threadIdx.x == 0) {" in launch.text
    assert_the_same(lambda x: (x + 1,), np.asarray(1.0))


@cuda
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (7, 7)], ids=str)
def test_what_a_later_pass_needs_is_there(shape: tuple[int, int]) -> None:
    """Results that are read again by the same kernel, and numbers that keep their axes."""

    def step(x: Any, y: Any) -> Any:
        xp = namespace(x)
        z = x * y
        greatest = xp.max(z, axis=1, keepdims=True)
        every = xp.sum(z, keepdims=True)
        centred = z - greatest
        return z, centred, xp.sum(centred * z, axis=1), every, every + greatest, z + every

    assert_the_same(step, normal(*shape), normal(*shape))


@cuda
def test_a_joined_array_is_read_when_all_parts_are_there() -> None:
    """By another kernel than that of its parts."""

    def step(x: Any) -> Any:
        xp = namespace(x)
        sums = [xp.reshape(xp.sum(a), (1,)) for a in (x, x * x)]
        return (x * xp.concat(sums),)

    assert_the_same(step, normal(2))


@cuda
@pytest.mark.parametrize("shape", [(7, 1), (1, 7), (1, 1)], ids=str)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_kernel_does_not_read_what_it_has_not_written(shape: tuple[int, int], axis: int) -> None:
    """Where an array has one row or column, its shape tells nothing of who computes it."""

    def step(x: Any) -> Any:
        xp = namespace(x)
        y = x * xp.sum(x, axis=axis, keepdims=True)
        flat = xp.reshape(y, (-1,))
        return y, flat * 2, xp.reshape(flat, shape) + xp.max(y, axis=axis, keepdims=True)

    assert_the_same(step, normal(*shape))


@cuda
def test_memory_is_used_again() -> None:
    cupy = importlib.import_module("cupy")
    (x,) = recorded(np.zeros((64, 64)))
    y = x
    for _ in range(20):
        y = (y + 1) @ (y + 2)
    memory: list[Any] = []
    places = [(x.node, cupy.zeros((64, 64)))]
    Program([(y.node, cupy.zeros((64, 64)))], places, {}, CupyProducts(), memory)
    assert 2 <= len(memory) <= 4


@cuda
def test_numbers_beyond_32_bits_have_their_index() -> None:
    """A kernel on an array of 2^30 elements counts in 64 bits; smaller ones in 32."""
    rows = np.asarray([0, 2**24 - 1], np.int32)

    def step(x: Any, rows: Any) -> Any:
        return (namespace(x).take(x, rows, axis=0) * 2,)

    small = schedule(step, np.broadcast_to(np.zeros((), np.float32), (2**20, 64)), rows)
    large = schedule(step, np.broadcast_to(np.zeros((), np.float32), (2**24, 64)), rows)
    assert [a.text.splitlines()[0] for a in small + large] == [
        "typedef int Int;", "typedef long long Int;",
    ]  # fmt: skip
    x = np.zeros((2**24, 64), np.uint8)
    x[-1, -1] = 77
    assert (
        on_device(lambda x, rows: (namespace(x).take(x, rows, axis=0) + 0,), x, rows)[0].max() == 77
    )
