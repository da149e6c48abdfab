"""What tests share: array libraries, processes, files, models, a stand-in for CuPy, the command."""

import importlib
import json
import os
import random
import subprocess
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import xpnet
from xpnet.arrays import to_numpy
from xpnet.cli import run
from xpnet.fast.host.plan import Plan
from xpnet.fast.host.step import HostStep
from xpnet.fast.record import variable
from xpnet.fast.steps import leaves
from xpnet.fitting.results import Result
from xpnet.fitting.training import fit
from xpnet.losses import Loss
from xpnet.model import Model
from xpnet.registry import LOSSES

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "scripts"
IDX_CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}
IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
LABELS = np.asarray([1, 0], dtype=np.uint8)


@dataclass(frozen=True)
class Library:
    """An array library, and a device of it where it has several."""

    name: str
    xp: Any
    device: Any = None

    @property
    def dtype(self) -> str:
        """The widest floating-point type that it has there."""
        narrow = ("strict-no_float64", "strict-no_x64", "jax-32")
        return "float32" if self.name in narrow else "float64"

    @property
    def exact(self) -> bool:
        """Whether its results are NumPy's to the bit."""
        return self.name.startswith(("numpy", "strict"))

    def array(self, values: Any, dtype: str | None = None) -> Any:
        """Values as an array of this library; floating-point ones as `self.dtype`."""
        host = np.asarray(values)
        if dtype is None:
            dtype = self.dtype if host.dtype.kind == "f" else str(host.dtype)
        if dtype == "int64" and self.name in ("strict-no_x64", "jax-32"):
            dtype = "int32"
        host = host.astype(dtype)  # a copy: no library shares memory with another
        if self.name.startswith("numpy"):
            host.flags.writeable = self.name == "numpy"
            return host
        return self.xp.asarray(host, device=self.device)

    def needs_argmax(self) -> None:
        """Leave a test that array-api-strict 2.6 cannot run: its argmax gives int64 everywhere."""
        if self.name == "strict-no_x64":
            pytest.xfail("array-api-strict has no argmax on its device no_x64")

    def tolerance(self, float64: float) -> float:
        """`float64`, or 1e-5 where the library has float32 only."""
        return float64 if self.dtype == "float64" else 1e-5


# What a test may need: the name of the package, and the extra of xpnet that installs it, or "".
OPTIONAL = {
    "array_api_strict": ("array-api-strict", "test"),
    "cupy": ("CuPy", "cuda"),
    "hypothesis": ("Hypothesis", "test"),
    "jax": ("JAX", "jax"),
    "matplotlib": ("Matplotlib", "test"),
    "mypy": ("mypy", ""),
    "PIL": ("Pillow", "test"),  # which Matplotlib needs
    "pandas": ("pandas", "test"),
    "pooch": ("pooch", "test"),
    "sklearn": ("scikit-learn", "test"),
    "torch": ("PyTorch", "torch"),
    "tqdm": ("tqdm", "test"),
}


def needed(module: str) -> Any:
    """Import a module, or skip the test if its package is not installed."""
    name, extra = OPTIONAL[module.partition(".")[0]]
    with_extra = f'pip install "xpnet[{extra}]" (in a clone: ".[{extra}]")'
    install = with_extra if extra else f"pip install {module}"
    return pytest.importorskip(module, reason=f"{name} is not installed; {install}")


def library(name: str) -> Library:
    kind, _, device = name.partition("-")
    if kind == "numpy":
        return Library(name, np)
    if kind == "strict":
        strict = needed("array_api_strict")
        return Library(name, strict, strict.Device(device))
    if kind == "jax":
        return Library(name, needed("jax").numpy)
    if kind == "torch":
        needed("torch")
    return Library(name, importlib.import_module(f"array_api_compat.{kind}"))


def run_python(
    code: str, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Python code in a process of its own, with these variables beside ours."""
    command = [sys.executable, "-c", code]
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=cwd)


def printed(code: str, **environment: str) -> str:
    """What Python code prints that ends well."""
    done = run_python(code, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def difference(a: Any, b: Any) -> float:
    """max |a - b| / max |b|, and the shapes are equal."""
    a, b = np.asarray(to_numpy(a)), np.asarray(to_numpy(b))
    assert a.shape == b.shape
    scale = np.max(np.abs(b), initial=0.0)
    error = np.max(np.abs(a - b), initial=0.0)
    return float(error / scale) if scale else float(error)


# Tables of exact values


def unpaired(table: Collection[str], names: Collection[str]) -> str:
    """The parts without an entry in a table, and the entries without a part, in words."""
    missing = [f"no exact values of {name}" for name in names if name not in table]
    return "; ".join([*missing, *(f"no line for {name}" for name in table if name not in names)])


# Files


def idx(array: np.ndarray) -> bytes:
    """An array as an IDX file, written from the format's description."""
    head = bytes([0, 0, IDX_CODES[array.dtype.str[1:]], array.ndim])
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return head + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


def idx_folder(folder: Path, **arrays: np.ndarray) -> Path:
    """A folder with x_train, y_train, ... under the names that MNIST's files have."""
    folder.mkdir()
    for name, array in arrays.items():
        part = "train" if name.endswith("train") else "t10k"
        kind = "images-idx3" if name.startswith("x") else "labels-idx1"
        (folder / f"{part}-{kind}-ubyte").write_bytes(idx(array))
    return folder


def csv_file(folder: Path, content: str | bytes) -> str:
    path = folder / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


class Bomb:
    """Unpickled, it leaves a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


# Models


def small(**options) -> Model:
    """A model of images of 4 x 5, of three classes."""
    options = {"input_shape": (4, 5), "seed": 1, "dtype": "float64"} | options
    return xpnet.mlp(20, 8, 3, **options)


def blobs(n: int = 200, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Clouds of points around a centre for each class: easy to tell apart."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, size=n)
    centres = 4 * np.stack([np.cos(2 * np.arange(classes)), np.sin(2 * np.arange(classes))], axis=1)
    return centres[y] + rng.normal(size=(n, 2)), y


def model(**options) -> Model:
    """A small network for `blobs`."""
    return xpnet.mlp(2, 8, 3, **({"dtype": "float64"} | options))


# CuPy


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


# The command line

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals and terminals")
FILES = ["history.csv", "model.safetensors", "run.json"]
QUICK = ["train", "--data", "tiny.npz", "--hidden", "8", "--device", "cpu", "--epochs", "8"]
NEAR = "did you mean "


def small_set() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples of four columns, their three classes, and as many images."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = (rng.normal(size=(60, 4)) + 3 * y[:, None]).astype(np.float32)
    return x, y, rng.integers(0, 256, size=(60, 5, 5)).astype(np.uint8)


def train(*arguments: str) -> int:
    """Train on tiny.npz, which holds the `small_set`."""
    return run(["train", "--device", "cpu", "--data", "tiny.npz", "--hidden", "8", *arguments])


def command(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "xpnet", *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        **options,
    )


def manifest(folder: str | Path) -> dict:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    text = (Path(folder) / "run.json").read_text(encoding="utf-8")
    return json.loads(text, parse_constant=refuse)


def names(folder: str | Path) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def refused(capsys: pytest.CaptureFixture[str], code: int, expected: int, naming: str) -> None:
    """One line, that names the thing."""
    errors = capsys.readouterr().err
    assert len(errors.splitlines()) == 1, errors
    assert errors.startswith("xpnet: ")
    assert naming in errors, errors
    assert code == expected


def columns(path: Path, names: str, rows: slice = slice(None)) -> str:
    """Another table with these columns of a table."""
    lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    places = [lines[0].index(name) for name in names.split(",")]
    kept = [",".join(line[i] for i in places) for line in (lines[0], *lines[1:][rows])]
    other = path.with_name("other.csv")
    other.write_text("\n".join(kept), encoding="utf-8")
    return str(other)


def blas_threads() -> int:
    """Those that the BLAS takes now; 0 where threadpoolctl knows none."""
    pools = threadpool_info()
    return max((p["num_threads"] for p in pools if p["user_api"] == "blas"), default=0)


needs_blas = pytest.mark.skipif(not blas_threads(), reason="threadpoolctl does not know this BLAS")


# Cases


def thorough(*values: Any) -> Any:
    """A case that only `--thorough` runs."""
    return pytest.param(*values, marks=pytest.mark.thorough)


def quick(number: int, cases: Sequence[Any]) -> list[Any]:
    """All cases, of which those after the first `number` are `thorough`."""
    return [*cases[:number], *map(thorough, cases[number:])]


def pairs(rows: Iterable[Any], columns: Iterable[Any]) -> list[Any]:
    """All pairs, of which those are quick that are needed to have each row and each column."""
    rows, columns = list(rows), list(columns)
    return [
        pytest.param(a, b) if i % len(columns) == j % len(rows) else thorough(a, b)
        for i, a in enumerate(rows)
        for j, b in enumerate(columns)
    ]


# Any network

# Random cases draw from these names.  A new part is not added here, because it would change every
# case; the tests that take each part from its table (ACTIVATIONS, LOSSES, ...) cover it.
DRAWN = {
    "activation": (
        "relu", "tanh", "sigmoid", "identity", "scaled-tanh", "leaky-relu", "elu", "selu", "gelu",
        "gelu-tanh", "silu", "softplus", "hard-sigmoid",
    ),
    "normalization": ("batch", "layer"),
    "initializer": (
        "glorot-uniform", "glorot-normal", "he-uniform", "he-normal", "lecun-uniform",
        "lecun-normal", "orthogonal", "zeros",
    ),
    "loss": (
        "softmax-cross-entropy", "softmax-squared-error", "binary-cross-entropy", "squared-error",
        "hinge", "focal", "binary-focal", "absolute-error", "huber", "pinball", "poisson",
    ),
    "optimizer": (
        "nesterov", "momentum", "sgd", "adam", "adamw", "amsgrad", "rmsprop", "adagrad", "lion",
    ),
    "average": ("ema", "last"),
    "schedule": (
        "one-cycle", "cosine", "step", "constant", "exponential", "inverse-scaling", "polynomial",
        "warm-restarts", "plateau",
    ),
}  # fmt: skip


def anything(seed: int, dtype: str = "float64") -> tuple[Model, Loss]:
    """A network that the builder allows, and a loss for it."""
    draw = random.Random(seed)
    hidden = [draw.randint(1, 6) for _ in range(draw.randint(0, 3))]
    name = draw.choice(DRAWN["loss"])
    output = LOSSES[name].output
    outputs = draw.randint(2 if output == "softmax" else 1, 4)
    loss = LOSSES[name]()
    if name == "pinball" and draw.random() < 0.5:
        loss = LOSSES[name](tuple(draw.uniform(0.1, 0.9) for _ in range(outputs)))
    model = xpnet.mlp(
        draw.randint(1, 5),
        *hidden,
        outputs,
        activation=[draw.choice(DRAWN["activation"]) for _ in hidden],
        normalization=draw.choice([None, *DRAWN["normalization"]]),
        dropout=draw.choice([0.0, 0.3]),
        noise=draw.choice([0.0, 0.2]),
        max_norm=draw.choice([0.0, 0.7]),
        bias=draw.random() < 0.8,
        initializer=draw.choice([None, *DRAWN["initializer"]]),
        output=output,
        multilabel=output == "sigmoid" and draw.random() < 0.5,
        seed=seed,
        dtype=dtype,
    )
    return model, loss


def targets(model: Model, n: int, rng: np.random.Generator) -> Any:
    """Random ones, as such a model is trained on."""
    if not model.labels:
        return rng.poisson(2.0, size=(n, model.network.fan_out))
    if model.multilabel:
        return rng.integers(0, 2, size=(n, len(model.labels)))
    return rng.integers(0, len(model.labels), size=n)


# Steps of the fast paths


def both(model: Any, x: Any, y: Any, **options: Any) -> tuple[Result, Result]:
    """Trained by the fast path, and as it is written."""
    options = {"epochs": 2, "batch_size": 8, "validation": 0.2} | options
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # no falling back
        fast = fit(model, x, y, **options)
    return fast, fit(model, x, y, fast=False, **options)


def assert_same(fast: Result, plain: Result, tolerance: float) -> None:
    """State and history, but for rounding."""
    for ours, theirs in zip(leaves(fast.progress.state), leaves(plain.progress.state), strict=True):
        assert ours.dtype == theirs.dtype
        assert difference(ours, theirs) < tolerance
    for ours, theirs in zip(fast.history, plain.history, strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=tolerance)
        assert ours.validation_loss == pytest.approx(theirs.validation_loss, rel=tolerance)


def fused(model: Any, optimizer: str = "nesterov", n: int = 64, **options: Any) -> Any:
    """A function that makes one step after the other, and what it calls."""
    kept: dict[str, Any] = {}

    def watch(*arguments: Any) -> HostStep:
        kept["fused"] = HostStep(*arguments[:3])
        return kept["fused"]

    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, size=(4 * n, model.network.fan_in), dtype=np.uint8)
    y = np.arange(4 * n) % len(model.labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xpnet.fast.fuse", watch)
        options = {"epochs": 1, "batch_size": n, "validation": 0.0} | options
        fit(model, x, y, optimizer=optimizer, **options)
    return kept["fused"]


def replace_rows(order: np.ndarray) -> Any:
    """The tables of a step that takes its rows in this order."""

    class Rows:
        keys = None

        def at(self, i: int) -> tuple[np.ndarray, ...]:
            return (order,)

    return Rows()


def evaluated(function: Callable[..., Any], *arrays: np.ndarray) -> np.ndarray:
    """By a plan; the arrays are variables."""
    given = [a.copy() for a in arrays]
    nodes = [variable(a) for a in arrays]
    result = function(*nodes)
    out = np.full(result.shape, 77, dtype=result.dtype)
    pairs = [(a.node, place) for a, place in zip(nodes, given, strict=True)]
    Plan(pairs, [(result.node, out)])()
    return out


FRAMES = [
    "pandas",
    *(pytest.param(name, marks=pytest.mark.thorough) for name in ("polars", "pyarrow")),
]
"""Libraries of data frames; each may be missing."""


def frame_of(library: str, columns: dict[str, Any]) -> Any:
    """A frame of this library with these columns."""
    module = importlib.import_module(library)
    return module.table(columns) if library == "pyarrow" else module.DataFrame(columns)


def series_of(library: str, values: list[Any], name: str | None = None) -> Any:
    """A series of this library; Arrow's has no name."""
    module = importlib.import_module(library)
    return (
        module.chunked_array([values])
        if library == "pyarrow"
        else module.Series(values, name=name)
        if library == "pandas"
        else module.Series(name, values)
    )
