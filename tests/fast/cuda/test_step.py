"""xpnet on CuPy: the numbers of NumPy, in kind, and what the device is asked for on the way."""

import csv
import importlib
import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers import difference, printed, run_python

import xpnet
from xpnet import cli
from xpnet.arrays import namespace, to_numpy
from xpnet.builder import mlp
from xpnet.data.dataset import BLOCK, split
from xpnet.data.sources import load as load_data
from xpnet.device.transfers import no_transfers
from xpnet.errors import DataError, DeviceFailedError, DivergedError, TransferError, UsageError
from xpnet.fast.cuda.cublas import CublasError
from xpnet.fast.cuda.expressions import FUNCTIONS
from xpnet.fast.steps import leaves
from xpnet.fitting.evaluation import evaluate
from xpnet.fitting.results import Result
from xpnet.fitting.scaling import prepare
from xpnet.fitting.steps import Tables
from xpnet.fitting.training import default_optimizer, fit
from xpnet.layers import Dense
from xpnet.losses import SoftmaxCrossEntropy
from xpnet.model import Model, load
from xpnet.network import Network
from xpnet.random import mask_units, threefry
from xpnet.registry import ACTIVATIONS, OPTIMIZERS, SCHEDULES

pytestmark = pytest.mark.cuda

N, WIDTH, CLASSES = 200, 20, 10
HELD, BATCH = 40, 16  # 160 samples are 10 steps an epoch, all batches full
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, size=(N, WIDTH)).astype(np.uint8)
LABELS = RNG.integers(0, CLASSES, size=N)
VALUES = RNG.normal(size=(N, 3))
WEIGHTS = RNG.uniform(0.5, 2, size=N)


@pytest.fixture
def cupy() -> Any:
    return importlib.import_module("cupy")


@dataclass(frozen=True, eq=False)
class Case:
    """What is trained: targets, options of the model, options of `fit`."""

    y: np.ndarray = field(default_factory=lambda: LABELS)
    outputs: int = CLASSES
    model: dict[str, Any] = field(default_factory=dict)
    fit: dict[str, Any] = field(default_factory=dict)

    def untrained(self, dtype: str = "float32") -> Model:
        hidden = [16] * len(self.model.get("activation", ["relu"]))
        return mlp(WIDTH, *hidden, self.outputs, **self.model, dtype=dtype)

    def trained(self, x: Any, dtype: str = "float64", **options: Any) -> Result:
        """20 steps, if the options don't say otherwise."""
        given = {"epochs": 2, "batch_size": BATCH, "validation": HELD, **self.fit, **options}
        return fit(self.untrained(dtype), x, self.y, **given)

    @property
    def held(self) -> int:
        return self.fit.get("validation", HELD)

    @property
    def steps(self) -> int:
        """Of an epoch."""
        batch = self.fit.get("batch_size", BATCH) * self.fit.get("accumulate", 1)
        return -(-(N - self.held) // batch)


PLAIN, SMOOTHED = Case(), SoftmaxCrossEntropy(smoothing=0.1)
EVERYTHING = Case(
    model={"dropout": 0.3, "activation": ["sigmoid", "tanh"]},
    fit={"clip_norm": 0.1, "sample_weight": WEIGHTS, "loss": SMOOTHED, "optimizer": "adamw"},
)
CASES = {
    "plain": PLAIN,
    "everything": EVERYTHING,
    "no-validation": Case(fit={"validation": 0}),
    "uneven-batches": Case(fit={"batch_size": 24}),
    "deep": Case(model={"activation": ["tanh"] * 20}),
    "no-hidden-layer": Case(model={"activation": []}),
    "dropout": Case(model={"dropout": 0.3}),
    "clipped": Case(fit={"clip_norm": 0.1}),
    "weighted": Case(fit={"sample_weight": WEIGHTS}),
    "smoothed": Case(fit={"loss": SMOOTHED}),
    "distributions": Case(np.eye(CLASSES)[LABELS]),
    "yes-or-no": Case(LABELS % 2, 1, {"output": "sigmoid"}),
    "several-yes-or-no": Case(VALUES > 0, 3, {"output": "sigmoid"}),
    "regression": Case(VALUES, 3, {"output": "identity"}, {"learning_rate": 0.01}),
    "absolute": Case(VALUES, 3, {"output": "identity"}, {"loss": "absolute-error"}),
    "quantiles": Case(VALUES[:, 0], 3, {"output": "identity"}, {"loss": "pinball:0.1,0.5,0.9"}),
    "counts": Case(np.abs(np.round(VALUES)), 3, {"output": "exp"}),
    "several-labels": Case(VALUES > 0, 3, {"multilabel": True}),
    "hinge": Case(fit={"loss": "hinge"}),
    "focal": Case(fit={"loss": "focal"}),
    "batch-normalized": Case(model={"normalization": "batch", "activation": ["gelu", "selu"]}),
    "layer-normalized": Case(model={"normalization": "layer", "noise": 0.2, "max_norm": 1.0}),
    "averaged": Case(model={"normalization": "batch"}, fit={"average": "ema:0.9"}),
    "accumulated": Case(fit={"accumulate": 3}),
}


PATHS = {"plain": {"fast": False}, "fused": {"capture": False}, "captured": {"capture": True}}
paths = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)


# After 20 steps in float64, each of whose operations rounds to 1e-16; a device also joins a product
# and a sum in one rounding.
ROUNDING = 1e-10 if importlib.util.find_spec("cudaemu") else 1e-9


def assert_the_same(ours: Result, numpy: Result) -> None:
    assert difference(ours.model.theta, numpy.model.theta) < ROUNDING
    assert difference(ours.model.buffers, numpy.model.buffers) < ROUNDING
    assert ours.best_epoch == numpy.best_epoch
    for a, b in zip(ours.history, numpy.history, strict=True):
        assert (a.epoch, a.learning_rate) == (b.epoch, b.learning_rate)
        accuracy = b.validation_accuracy  # by weight, a sum of numbers
        assert a.validation_accuracy == (accuracy and pytest.approx(accuracy, rel=ROUNDING))
        losses = [b.loss, b.validation_loss or 0.0]
        assert [a.loss, a.validation_loss or 0.0] == pytest.approx(losses, rel=ROUNDING)


@paths
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_fit_gives_the_numbers_of_numpy(cupy: Any, case: Case, path: dict[str, bool]) -> None:
    ours = case.trained(cupy.asarray(IMAGES), **path)
    assert type(ours.model.theta) is cupy.ndarray
    assert type(ours.model.buffers) is cupy.ndarray
    assert ours.model.dtype == "float64"
    assert_the_same(ours, case.trained(IMAGES))


@pytest.mark.parametrize("kind", ["uint8", "float16", "float32"])
def test_a_network_without_scaling_computes_in_the_wider_type(cupy: Any, kind: str) -> None:
    """Its first product is of two types."""
    network = Network(WIDTH, (Dense(WIDTH, CLASSES),))
    start = np.random.default_rng(0).normal(size=network.size) / 100
    model = Model(network, start, np.zeros(0), tuple(range(CLASSES)), (WIDTH,))
    x = (IMAGES / 10).astype(kind)
    options = {"epochs": 2, "batch_size": BATCH, "learning_rate": 0.001}
    assert_the_same(
        fit(model, cupy.asarray(x), LABELS, **options), fit(model, x, LABELS, **options)
    )


@paths
@pytest.mark.parametrize("kind", ["int64", "uint64", "float64"])
def test_columns_far_from_0_give_the_numbers_of_numpy(
    cupy: Any, kind: str, path: dict[str, bool]
) -> None:
    """Pixels in seconds since 1970; 1e-4 is the effect of rounding in float32 after 20 steps."""
    x, model = IMAGES.astype(kind) + np.asarray(1_732_000_000, kind), mlp(WIDTH, CLASSES)
    options: dict[str, Any] = {"epochs": 2, "batch_size": BATCH, "validation": HELD}
    ours = fit(model, cupy.asarray(x), LABELS, **options, **path).model
    numpy = fit(model, x, LABELS, **options).model
    assert np.any(cupy.asnumpy(ours.params[0]["rest"]) != 0)
    assert difference(ours.theta, numpy.theta) < 1e-4
    assert difference(ours(cupy.asarray(x)), numpy(x)) < 1e-4


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_gives_the_numbers_of_numpy(
    cupy: Any, optimizer: str, schedule: str
) -> None:
    """Weight decay too, whose slice of theta is a part of its own."""
    options = {"optimizer": optimizer, "schedule": schedule, "weight_decay": 0.01}
    ours = PLAIN.trained(cupy.asarray(IMAGES), **options)
    assert_the_same(ours, PLAIN.trained(IMAGES, **options))


@paths
def test_nothing_depends_on_the_memory_pool(cupy: Any, path: dict[str, bool]) -> None:
    """Without it every array is an allocation of its own, and none is used again."""
    with cupy.cuda.using_allocator(None):
        ours = EVERYTHING.trained(cupy.asarray(IMAGES), **path)
        assert_the_same(ours, EVERYTHING.trained(IMAGES))


def test_targets_and_weights_may_lie_anywhere(cupy: Any) -> None:
    x, w = cupy.asarray(IMAGES), cupy.asarray(WEIGHTS)
    model = PLAIN.untrained()
    there = fit(model, x, cupy.asarray(LABELS), sample_weight=w, epochs=1)
    here = fit(model, x, LABELS.tolist(), sample_weight=WEIGHTS.tolist(), epochs=1)
    assert difference(there.model.theta, here.model.theta) == 0


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_model_made_on_numpy_computes_on_cupy_in_kind(cupy: Any, case: Case) -> None:
    """1e-5: some 20 products are summed in float32, whose rounding is 6e-8."""
    model, x = case.untrained(), cupy.asarray(IMAGES)
    # Pixels as they come would saturate; and a scaling that differs by column is seen to count.
    scale = np.linspace(100, 200, WIDTH)
    buffers = np.concat([scale, scale / 2, model.buffers[2 * WIDTH :]]).astype(np.float32)
    model = replace(model, buffers=buffers)
    outputs = [model(x), model.predict(x)]
    expected = [model(IMAGES), model.predict(IMAGES)]
    if model.labels:
        outputs.append(model.predict_proba(x))
        expected.append(model.predict_proba(IMAGES))
    for a, b in zip(outputs, expected, strict=True):
        assert type(a) is cupy.ndarray
        assert difference(a, b) < 1e-5
    assert type(model.theta) is np.ndarray
    loss = case.fit.get("loss")
    ours, numpy = (evaluate(model, samples, case.y, loss) for samples in (x, IMAGES))
    assert ours.loss == pytest.approx(numpy.loss, rel=1e-5)
    assert ours.metrics == pytest.approx(numpy.metrics, rel=1e-4)
    assert (ours.samples, ours.accuracy, ours.interval) == (
        numpy.samples,
        numpy.accuracy,
        numpy.interval,
    )


def test_labels_come_back_in_kind(cupy: Any) -> None:
    x = cupy.asarray(IMAGES)
    numbers = mlp(WIDTH, 3, labels=[30, 10, 20])
    assert np.array_equal(to_numpy(numbers.predict(x)), numbers.predict(IMAGES))
    names = mlp(WIDTH, 3, labels=["c", "a", "b"])
    indices = to_numpy(names.predict(x))
    assert np.array_equal(np.asarray(names.labels)[indices], names.predict(IMAGES))


def test_images_stay_uint8_where_they_are(cupy: Any) -> None:
    x = cupy.asarray(IMAGES.reshape(N, 4, 5))
    model = mlp(WIDTH, CLASSES, input_shape=(4, 5))
    data, moved = prepare(model, x, LABELS)
    assert data.x.dtype == np.uint8
    assert data.x.data.ptr == x.data.ptr
    assert data.t.dtype == np.int32
    assert all(type(a) is cupy.ndarray for a in (data.t, moved.theta, moved.buffers))
    batch, _, _ = data.gather(cupy.arange(3))
    assert batch.dtype == np.uint8


def test_a_model_moves_there_and_back(cupy: Any) -> None:
    model = mlp(WIDTH, CLASSES, dtype="float64")
    there = model.to("cuda", strict=True)
    assert type(there.theta) is cupy.ndarray
    assert there == model
    assert there.to("cpu").theta.tobytes() == model.theta.tobytes()


def test_a_pickle_needs_no_cupy(cupy: Any, tmp_path: Path) -> None:
    model = PLAIN.trained(cupy.asarray(IMAGES), epochs=1).model
    content = pickle.dumps(model)
    assert b"cupy" not in content
    (tmp_path / "model.pickle").write_bytes(content)
    np.save(tmp_path / "x.npy", IMAGES)
    code = """
import sys
sys.modules["cupy"] = None
import pickle
import numpy
model = pickle.load(open("model.pickle", "rb"))
print(model.predict(numpy.load("x.npy")).tolist())
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == model.predict(IMAGES).tolist()


def test_samples_that_are_not_finite_are_refused_there(cupy: Any) -> None:
    x = cupy.asarray(IMAGES, dtype="float32")
    x[3, 4] = float("nan")
    with pytest.raises(DataError, match="NaN or infinite"):
        fit(PLAIN.untrained(), x, LABELS)


def test_divergence_is_noticed_there_and_the_good_model_kept(cupy: Any) -> None:
    def late(s: float) -> float:
        return 1e-3 if s < 0.5 else 1e30

    with pytest.raises(DivergedError, match="epoch 2; the model of epoch 1 is kept") as caught:
        PLAIN.trained(cupy.asarray(IMAGES), "float32", epochs=2, schedule=late)
    kept = caught.value.result
    assert len(kept.history) == 1
    assert bool(cupy.isfinite(kept.model.theta).all())


@pytest.mark.parametrize("rounds", [13, 20])
def test_random_words_are_those_of_numpy(cupy: Any, rounds: int) -> None:
    key = np.asarray([-(2**31), 2**31 - 1, 7], dtype=np.int32)
    counters = np.arange(-500, 500, dtype=np.int32) * 4294967  # all over the 32 bits
    words = threefry(cupy.asarray(key), cupy.asarray(counters), cupy.asarray(counters), rounds)
    for ours, numpy in zip(words, threefry(key, counters, counters, rounds), strict=True):
        assert ours.dtype == np.int32
        assert np.array_equal(to_numpy(ours), numpy)


@pytest.mark.parametrize("width", [1, 128, 129])
def test_dropout_masks_are_those_of_numpy(cupy: Any, width: int) -> None:
    key = np.asarray([-5, 3, 1000], dtype=np.int32)
    ours = mask_units(cupy.asarray(key), 100, width)
    assert type(ours) is cupy.ndarray
    assert np.array_equal(to_numpy(ours), mask_units(key, 100, width))


# A few thousand images of MNIST


def history(path: Path) -> dict[str, float]:
    with (path / "history.csv").open() as file:
        [row] = csv.DictReader(file)
    return {name: float(value) for name, value in row.items() if value}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("flag", ["--no-fast", "--no-capture", "--capture"])
def test_train_gives_the_history_of_the_cpu(
    cupy: Any, tmp_path: Path, flag: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 steps of which each is another sum's rounding; and the predictions, where they are sure.

    An accuracy may differ by a sample or two that are close.
    """
    seen = []

    def watched(function: Any) -> Any:
        def watching(model: Model, x: Any, *args: Any, **options: Any) -> Any:
            seen.append((type(model.theta), type(x), x.dtype))
            return function(model, x, *args, **options)

        return watching

    monkeypatch.setattr("xpnet.fitting.training.fit", watched(fit))
    monkeypatch.setattr("xpnet.fitting.evaluation.evaluate", watched(evaluate))
    options = ["--limit", "2048", "--epochs", "1", "--dtype", dtype, "--validation", "500", "-q"]
    for device in ("cpu", "cuda"):
        output = ["--device", device, "--output", str(tmp_path / device)]
        assert cli.run(["train", *options, flag, *output]) == 0
    assert seen == [(a, a, np.uint8) for a in (np.ndarray, np.ndarray, cupy.ndarray, cupy.ndarray)]
    manifest = json.loads((tmp_path / "cuda" / "run.json").read_text())
    assert manifest["device"] == "cuda:0"
    ours, numpy = history(tmp_path / "cuda"), history(tmp_path / "cpu")
    assert ours["learning_rate"] == numpy["learning_rate"]
    for name in ("loss", "validation_loss"):
        assert ours[name] == pytest.approx(numpy[name], rel=1e-4 if dtype == "float32" else 1e-9)
    assert abs(ours["validation_accuracy"] - numpy["validation_accuracy"]) <= 2.1 / 500
    assert_the_same_predictions(load(tmp_path / "cuda"), load(tmp_path / "cpu"))


def assert_the_same_predictions(ours: Model, numpy: Model) -> None:
    """Wherever the two largest logits differ by more than 1e-4."""
    x = load_data("mnist").x_test[:1000]
    z, expected = ours(x), numpy(x)
    second, first = np.sort(expected, axis=1)[:, -2:].T
    sure = first - second > 1e-4
    assert sure.mean() > 0.99
    assert np.array_equal(z.argmax(axis=1)[sure], expected.argmax(axis=1)[sure])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("options", "path"),
    [
        *(({"activation": name}, "captured") for name in ACTIVATIONS),
        *(({"optimizer": name}, "fused") for name in OPTIMIZERS),
    ],
    ids=str,
)
def test_images_are_learned_alike(
    cupy: Any, options: dict[str, str], path: str, dtype: str
) -> None:
    data = load_data("mnist")
    x, y = data.x_train[:2500], data.y_train[:2500]
    model = mlp(784, 32, 10, activation=options.get("activation", "relu"), dtype=dtype)
    given = {"epochs": 1, "validation": 500, "optimizer": options.get("optimizer")}
    ours = fit(model, cupy.asarray(x), y, **given, **PATHS[path])
    numpy = fit(model, x, y, **given)
    for a, b in zip(ours.history, numpy.history, strict=True):
        losses = [b.loss, b.validation_loss]
        tolerance = 1e-4 if dtype == "float32" else 1e-9
        assert [a.loss, a.validation_loss] == pytest.approx(losses, rel=tolerance)
    assert_the_same_predictions(ours.model.to("cpu"), numpy.model)


# The captured path


def test_a_graph_is_launched_for_many_steps(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At first some are launched one by one, to be captured; then as many as there are."""
    launched = watch_graphs(cupy, monkeypatch)
    result = PLAIN.trained(cupy.asarray(IMAGES), epochs=3, batch_size=4, capture=True)
    assert launched == [16, 16, *[8, 16, 16] * 2]
    assert_the_same(result, PLAIN.trained(IMAGES, epochs=3, batch_size=4))


def watch_graphs(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps of each graph that is launched from now on."""
    gpu = importlib.import_module("xpnet.fast.cuda.step")
    made, launched = gpu.CudaStep._graph, []

    def watched(self: Any, prepared: Any, count: int) -> Any:
        graph = made(self, prepared, count)
        if graph is not None:
            launched.append(count)
        return graph

    monkeypatch.setattr(gpu.CudaStep, "_graph", watched)
    return launched


def test_long_steps_are_not_captured_unless_one_asks(
    cupy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched = watch_graphs(cupy, monkeypatch)
    PLAIN.trained(cupy.asarray(IMAGES), capture=False)
    assert launched == []
    PLAIN.trained(cupy.asarray(IMAGES))
    assert launched
    monkeypatch.setattr("xpnet.fast.cuda.step.LONG_STEP", 100)
    launched.clear()
    PLAIN.trained(cupy.asarray(IMAGES))
    assert launched == []
    PLAIN.trained(cupy.asarray(IMAGES), capture=True)
    assert launched


def test_where_cublas_cannot_be_called_steps_are_fused(
    cupy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By CuPy's own products, with one line that says so."""

    def refuse(self: Any) -> None:
        raise CublasError("libcublas.so.99: no such file")

    monkeypatch.setattr("xpnet.fast.cuda.cublas.Cublas.__init__", refuse)
    with pytest.warns(RuntimeWarning, match="not captured in CUDA graphs .*so.99") as caught:
        ours = PLAIN.trained(cupy.asarray(IMAGES))
    assert len(caught) == 1
    assert_the_same(ours, PLAIN.trained(IMAGES))
    ours = PLAIN.trained(cupy.asarray(IMAGES), capture=False)  # nobody asked for graphs
    assert_the_same(ours, PLAIN.trained(IMAGES))


@pytest.mark.parametrize("where", ["begin_capture", "end_capture"])
def test_where_capture_is_refused_steps_are_fused(
    cupy: Any, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    stream = cupy.cuda.Stream
    end = stream.end_capture

    def refuse(self: Any, *_: Any) -> None:
        if where == "end_capture":
            end(self)
        raise RuntimeError("capture is not supported")

    monkeypatch.setattr(stream, where, refuse)
    with pytest.warns(RuntimeWarning, match="not captured .*capture is not supported") as caught:
        ours = EVERYTHING.trained(cupy.asarray(IMAGES), capture=True)
    assert len(caught) == 1
    assert_the_same(ours, EVERYTHING.trained(IMAGES))


def test_a_kernel_that_fails_to_compile_leaves_the_plain_path(
    cupy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES["uneven-batches"]  # of which there would be two programs
    monkeypatch.setitem(FUNCTIONS, np.exp, "no_such_function")
    with pytest.warns(RuntimeWarning, match="no fast path .*CompileException") as caught:
        ours = case.trained(cupy.asarray(IMAGES))
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    assert_the_same(ours, case.trained(IMAGES))


@pytest.mark.parametrize("non_blocking", [True, False])
@paths
def test_the_callers_stream_is_used(cupy: Any, path: dict[str, bool], non_blocking: bool) -> None:
    x = cupy.asarray(IMAGES)
    expected = EVERYTHING.trained(IMAGES)
    with cupy.cuda.Stream(non_blocking=non_blocking) as stream:
        ours = EVERYTHING.trained(x, **path)
        assert_the_same(ours, expected)
        assert cupy.cuda.get_current_stream() == stream
    assert_the_same(ours, expected)


@paths
def test_a_fit_goes_on_where_another_ended(cupy: Any, path: dict[str, bool]) -> None:
    x, case = cupy.asarray(IMAGES), EVERYTHING
    first, numpy = case.trained(x, **path), case.trained(IMAGES)
    assert_the_same(case.trained(x, initial=first, **path), case.trained(IMAGES, initial=numpy))


@paths
def test_what_a_callback_keeps_is_not_written_over(cupy: Any, path: dict[str, bool]) -> None:
    kept: list[Result] = []
    case = CASES["averaged"]
    case.trained(
        cupy.asarray(IMAGES), epochs=3, on_epoch=lambda epoch, result: kept.append(result), **path
    )
    numpy: list[Result] = []
    case.trained(IMAGES, epochs=3, on_epoch=lambda epoch, result: numpy.append(result))
    for ours, theirs in zip(kept, numpy, strict=True):
        for a, b in zip(leaves(ours.progress.state), leaves(theirs.progress.state), strict=True):
            assert difference(a, b) < 1e-10
        assert difference(ours.model.theta, theirs.model.theta) < 1e-10


def test_one_fit_within_another(cupy: Any) -> None:
    x = cupy.asarray(IMAGES)
    inner: list[Result] = []

    def on_epoch(*_: Any) -> None:
        inner.append(EVERYTHING.trained(x, capture=True))

    ours = PLAIN.trained(x, capture=True, on_epoch=on_epoch)
    assert_the_same(ours, PLAIN.trained(IMAGES))
    assert_the_same(inner[-1], EVERYTHING.trained(IMAGES))


def test_samples_in_any_order_of_memory(cupy: Any) -> None:
    columns = cupy.asfortranarray(cupy.asarray(IMAGES))
    every_second = cupy.asarray(np.repeat(IMAGES, 2, axis=1))[:, ::2]
    for x in (columns, every_second):
        assert not x.flags.c_contiguous
        assert_the_same(PLAIN.trained(x), PLAIN.trained(IMAGES))


def test_a_run_is_the_same_to_the_bit(cupy: Any) -> None:
    x = cupy.asarray(IMAGES)
    thetas = {EVERYTHING.trained(x, "float32").model.theta.get().tobytes() for _ in range(3)}
    assert len(thetas) == 1


def tables(cupy: Any, rows: int, per_step: int, first: float = 1.0) -> Tables:
    steps = -(-rows // per_step)
    scalars = first + cupy.arange(steps, dtype=np.float64).reshape(-1, 1)
    return Tables(cupy.arange(rows, dtype=np.int32), scalars, None, per_step)


@pytest.mark.parametrize("capture", [False, True])
def test_steps_follow_the_tables_that_they_are_given(cupy: Any, capture: bool) -> None:
    """New numbers, other sizes, other steps; and arrays that are not those of the last step."""
    gpu = importlib.import_module("xpnet.fast.cuda.step")
    x = cupy.arange(100.0).reshape(50, 2)

    def step(constants: Any, arrays: Any, rows: Any, scalars: Any, keys: Any) -> Any:
        xp = namespace(arrays[0])
        batch = xp.take(constants[0], rows, axis=0)
        return (arrays[0] + scalars[0] * xp.sum(batch, axis=0),)

    fused = gpu.CudaStep(step, (x,), (), capture, False)
    arrays: Any = (cupy.zeros(2),)
    for given in (
        tables(cupy, 50, 7), tables(cupy, 50, 7, 5.0), tables(cupy, 50, 26), tables(cupy, 50, 30),
        tables(cupy, 33, 2), tables(cupy, 50, 50),
    ):  # fmt: skip
        for start in (arrays, (cupy.ones(2),)):
            arrays, expected = start, start
            given = replace(given)
            for i in range(len(given.scalars)):
                arrays = fused(arrays, given, i)
            for i in range(len(given.scalars)):
                expected = step((x,), expected, *given.at(i))
            if start[0] is not arrays[0]:  # else it was written over
                assert difference(arrays[0], expected[0]) < 1e-12


def test_arrays_may_change_places(cupy: Any) -> None:
    """Which no kernel does: that step is called as it is written."""
    gpu = importlib.import_module("xpnet.fast.cuda.step")
    fused = gpu.CudaStep(lambda _, arrays, *__: (arrays[1], arrays[0]), (), (), True, False)
    arrays = cupy.zeros(3), cupy.ones(3)
    with pytest.warns(RuntimeWarning, match="a result that is not computed"):
        arrays = fused(arrays, tables(cupy, 4, 2), 0)
    assert [float(a[0]) for a in arrays] == [1, 0]


def test_memory_that_lacks_is_no_reason_for_the_plain_path(
    cupy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise cupy.cuda.memory.OutOfMemoryError(512, 0)

    monkeypatch.setattr("xpnet.fast.cuda.step.Program", fail)
    with pytest.raises(
        DeviceFailedError, match=r"epoch 1, steps 1 to 10: no memory .*--batch-size"
    ):
        PLAIN.trained(cupy.asarray(IMAGES))


# What goes wrong


SMALL = """
import cupy, numpy as np, xpnet
from xpnet.errors import DeviceFailedError
x, y = cupy.zeros((1000, 20), dtype="uint8"), np.arange(1000) % 10
model = xpnet.mlp(20, 16, 10)
"""


@pytest.mark.parametrize("options", ["", ", fast=False"])
def test_no_memory_left_says_what_was_wanted_and_what_to_do(cupy: Any, options: str) -> None:
    """And gives what there was before."""
    code = f"""{SMALL}
def late(epoch, result):
    cupy.get_default_memory_pool().set_limit(cupy.get_default_memory_pool().used_bytes() + 1000)
    cupy.get_default_memory_pool().free_all_blocks()
try:
    xpnet.fit(model, x, y, epochs=5, batch_size=300, on_epoch=late{options})
except DeviceFailedError as error:
    print(error)
    print(len(error.result.history), error.result.best_epoch, error.result.progress is None)
    print(error.exit_code, xpnet.evaluate(error.result.model.to("cpu"), x.get(), y).samples)
"""
    told, epochs, end = printed(code).splitlines()
    where, _, what = told.partition(": ")
    number = int(where.removeprefix("in ").removeprefix("after ").split()[1].rstrip(","))
    assert number in (2, 3)  # when what callbacks were given is let go
    assert where in (f"in epoch {number}, steps {3 * number - 2} to {3 * number}",
                     f"after epoch {number}")  # fmt: skip
    assert what.startswith("no memory is left on cuda:0: ")
    assert "more were wanted, " in told
    assert "are free (" in told
    assert "make batches smaller (--batch-size)" in told
    assert "--device cpu" in told
    done_before, best, is_lost = epochs.split()
    assert int(done_before) == number - where.startswith("in")
    assert int(best) <= int(done_before)
    assert is_lost == str(where.startswith("in") and not options)
    assert end == "1 1000"


def test_the_command_tells_that_no_memory_is_left(cupy: Any, tmp_path: Path) -> None:
    """60,000 images are 47 MB."""
    command = [sys.executable, "-m", "xpnet", "train", "--device", "cuda", "--output", "run"]
    env = {**os.environ, "CUPY_GPU_MEMORY_LIMIT": str(40 * 2**20)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=env, cwd=tmp_path
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("xpnet: no memory is left on cuda:0: 45 MiB more were wanted, ")
    assert not (tmp_path / "run").exists()


def test_a_run_that_fails_keeps_what_it_has(cupy: Any, tmp_path: Path) -> None:
    """The best model so far, where it can still be read; and the command says which it is."""
    code = """
import sys
import cupy
from xpnet import cli
from xpnet.fitting import training
fit = training.fit
def fail(*arguments, on_epoch, **options):
    def then_fill(epoch, result):
        on_epoch(epoch, result)
        if epoch.epoch == 2:
            pool = cupy.get_default_memory_pool()
            pool.free_all_blocks()
            pool.set_limit(pool.total_bytes())
    return fit(*arguments, on_epoch=then_fill, **options)
training.fit = fail
options = ["--limit", "512", "--validation", "100", "--epochs", "4", "--no-fast"]
sys.exit(cli.run(["train", "--device", "cuda", "--output", "run", "-q", *options]))
"""
    done = run_python(code, cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("xpnet: in epoch 3, steps 9 to 12: no memory is left on cuda:0")
    assert line.endswith("run keeps the model of epoch 2")
    assert load(tmp_path / "run").network.size == 101_770
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"


@pytest.mark.parametrize("call", ["model(x)", "model.predict(x)", "xpnet.evaluate(model, x, y)"])
def test_no_memory_to_predict_says_so(cupy: Any, call: str) -> None:
    code = f"""{SMALL}
{call}
pool = cupy.get_default_memory_pool()
pool.free_all_blocks()
pool.set_limit(pool.used_bytes())
try:
    {call}
except DeviceFailedError as error:
    print(error)
"""
    told = printed(code)
    assert told.startswith("no memory is left on cuda:0: ")
    assert "give fewer samples at a time" in told


def test_many_samples_go_through_in_blocks(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = EVERYTHING.untrained("float64"), cupy.asarray(IMAGES)
    whole = model(x)
    monkeypatch.setattr("xpnet.prediction.MOST_AT_ONCE", 7 * WIDTH)
    assert difference(model(x), whole) < 1e-14
    monkeypatch.setattr("xpnet.prediction.MOST_AT_ONCE", 1)
    assert difference(model(x[:20]), whole[:20]) < 1e-14


def test_an_error_that_comes_late_is_told_with_the_steps(cupy: Any) -> None:
    """A kernel that reads where nothing is; CUDA tells when it is next waited for."""
    code = f"""{SMALL}
bad = cupy.RawKernel('extern "C" __global__ void bad(int* p) {{ *(p + (1ll << 40)) = 1; }}', "bad")
def spoil(step):
    if step == 5:
        bad((1,), (1,), (cupy.zeros(1, dtype="int32"),))
try:
    xpnet.fit(model, x, y, epochs=5, batch_size=300, on_step=spoil)
except DeviceFailedError as error:
    print(error)
    print(len(error.result.history))
"""
    told, epochs = printed(code).splitlines()
    assert told.startswith("in epoch 2, steps 4 to 6: the GPU failed (")
    assert "an illegal memory access was encountered" in told
    assert "begin again in a new process" in told
    assert epochs == "1"


FORK = """
import os, sys
import cupy
from xpnet.device import Device, select_device
from xpnet.device.probing import probe
import xpnet
x = cupy.zeros((10, 3))
model = xpnet.mlp(3, 2).to("cuda")
{before}
if os.fork() == 0:
    try:
        {child}
    except Exception as error:
        print(type(error).__name__, error)
    sys.stdout.flush()
    os._exit(0)
os.wait()
print("parent", probe(0))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize(
    "child",
    [
        "model.predict([[1, 2, 3]])",
        "model.save('model.safetensors')",
        "xpnet.fit(xpnet.mlp(3, 2), [[1, 2, 3], [3, 2, 1]], x[:2, 0])",
        "xpnet.evaluate(model, x, [0, 1] * 5)",
        "select_device('cuda', strict=True)",
        "xpnet.mlp(3, 2)(x)",
        "xpnet.fit(xpnet.mlp(3, 2), x, [0, 1] * 5)",
        "Device('cuda').put(__import__('numpy').zeros(3))",
    ],
)
@pytest.mark.parametrize("before", ["", "probe(0)"])
def test_a_forked_process_is_told_why_cuda_does_not_work(
    cupy: Any, child: str, before: str
) -> None:
    told, parent = printed(FORK.format(child=child, before=before)).splitlines()
    assert told.startswith("DeviceError ")
    assert "CUDA had started before this process was forked" in told
    assert 'multiprocessing.set_start_method("spawn")' in told
    assert parent == "parent None"


def test_arrays_of_two_devices_are_refused(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one device here; the other is pretended."""
    x, y = cupy.asarray(IMAGES), cupy.asarray(LABELS)
    monkeypatch.setattr(
        "xpnet.arrays.device_of",
        lambda a: cupy.cuda.Device(0) if a is not y else SimpleNamespace(id=1),
    )
    with pytest.raises(UsageError, match="x is on cuda:0 and y on cuda:1; expected both on one"):
        fit(PLAIN.untrained(), x, y)
    with pytest.raises(UsageError, match="and sample_weight on cuda:1"):
        fit(PLAIN.untrained(), x, LABELS, sample_weight=y)
    with pytest.raises(UsageError, match="and y on cuda:1"):
        evaluate(PLAIN.untrained(), x, y)


# The guard

WAITING: dict[str, Callable[[Any, Any], Any]] = {
    "float": lambda cupy, x: float(x.sum()),
    "int": lambda cupy, x: int(x.sum()),
    "if": lambda cupy, x: 1 if x.sum() > 0 else 0,
    "item": lambda cupy, x: x.sum().item(),
    "get": lambda cupy, x: x.get(),
    "asnumpy": lambda cupy, x: cupy.asnumpy(x),
    "mask": lambda cupy, x: x[x > 1],
    "print": lambda cupy, x: str(x),
    "format": lambda cupy, x: f"{x.sum()}",
    "to_numpy": lambda cupy, x: to_numpy(x),
    "stream": lambda cupy, x: cupy.cuda.get_current_stream().synchronize(),
    "event": lambda cupy, x: cupy.cuda.Event().synchronize(),
    "runtime": lambda cupy, x: cupy.cuda.runtime.deviceSynchronize(),
}


@pytest.mark.parametrize("name", WAITING)
def test_within_the_guard_what_waits_names_its_line(cupy: Any, name: str) -> None:
    x = cupy.arange(5.0)
    with pytest.raises(TransferError) as caught, no_transfers():
        WAITING[name](cupy, x)
    assert "within no_transfers, at " in str(caught.value)
    assert "test_step.py:" in str(caught.value)
    WAITING[name](cupy, x)  # outside it does what it did


def test_the_guard_lets_the_device_work_and_ends(cupy: Any) -> None:
    before = vars(cupy.ndarray).get("get"), vars(cupy.cuda.Event)["synchronize"]
    with no_transfers(), no_transfers():
        x = cupy.asarray(IMAGES)
        y = PLAIN.untrained()(x) * 2
        seen = []
        other = Thread(target=lambda: seen.append(float(y.sum())))  # it guards its own thread
        other.start()
        other.join()
    assert seen == [float(y.sum())]
    assert before == (vars(cupy.ndarray).get("get"), vars(cupy.cuda.Event)["synchronize"])


@paths
def test_the_guard_finds_nothing_within_an_epoch(cupy: Any, path: dict[str, bool]) -> None:
    guard = ExitStack()

    def on_step(step: int) -> None:
        if step % EVERYTHING.steps == 1:
            guard.enter_context(no_transfers())
        elif step % EVERYTHING.steps == 0:
            guard.close()

    result = EVERYTHING.trained(cupy.asarray(IMAGES), on_step=on_step, **path)
    assert len(result.history) == 2


# The rest of the package without xpnet/fast


def test_without_the_fast_paths_there_is_the_plain_one(cupy: Any, tmp_path: Path) -> None:
    source = Path(xpnet.__file__).parent
    ignored = shutil.ignore_patterns("fast", "__pycache__")
    shutil.copytree(source, tmp_path / "xpnet", ignore=ignored)
    command = [
        *[sys.executable, "-m", "xpnet", "train", "--device", "cuda", "--limit", "512"],
        *["--validation", "100", "--epochs", "1", "--output", "run"],
    ]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=env, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "cuda:0" in done.stdout
    data = load_data("mnist")
    model = mlp(784, 128, 10, input_shape=(28, 28))
    rows, held = split(len(data.x_train), 100, 0, data.y_train)
    samples, validation_data = (
        (cupy.asarray(data.x_train[chosen]), data.y_train[chosen]) for chosen in (rows[:512], held)
    )
    ours = fit(model, *samples, validation_data=validation_data, epochs=1)
    assert history(tmp_path / "run")["loss"] == pytest.approx(ours.history[0].loss, rel=1e-5)


# What the device is asked for.  Everything here is counted by the emulator.

NOTHING = ("d2h_copies", "h2d_copies", "synchronisations", "pageable_waits")
COUNTED = {**CASES, **{optimizer: Case(fit={"optimizer": optimizer}) for optimizer in OPTIMIZERS}}
counted = pytest.mark.parametrize("case", COUNTED.values(), ids=COUNTED)


@pytest.mark.emulator
@counted
@paths
def test_within_an_epoch_nothing_is_copied_and_nothing_waits(
    cupy: Any, case: Case, path: dict[str, bool]
) -> None:
    """From the end of an epoch's first step to the end of its last."""
    cudaemu = importlib.import_module("cudaemu")
    counts = []

    def on_step(step: int) -> None:
        if step % case.steps == 0:
            counts.append(cudaemu.stats())
        elif step % case.steps == 1:
            cudaemu.reset()

    case.trained(cupy.asarray(IMAGES), "float32", on_step=on_step, **path)
    assert len(counts) == 2
    for count in counts:
        assert {name: count.get(name, 0) for name in NOTHING} == dict.fromkeys(NOTHING, 0)
        steps, launches = case.steps - 1, count["kernel_launches"]
        if path == PATHS["plain"]:
            assert launches > 20 * steps
        elif path == PATHS["fused"]:
            assert 3 * steps < launches < 100 * steps
        else:  # a graph of all of them, after what it was captured from; or of one short step
            assert launches <= 2 + (count is counts[0]) * 100
            assert count["graph_launches"] <= 2


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("path", "calls"), [("plain", 60), ("fused", 12), ("captured", 1.2)], ids=PATHS
)
def test_a_step_is_so_many_launches(cupy: Any, path: str, calls: float) -> None:
    """784-128-10, ReLU, Adam, batches of 128: all that the host asks for between the first and
    the last step of an epoch, memsets and copies on the device among it.
    """
    cudaemu = importlib.import_module("cudaemu")
    x, y = cupy.asarray(np.resize(IMAGES, (128 * 40, 784))), np.resize(LABELS, 128 * 40)
    counts: dict[str, int] = {}

    def on_step(step: int) -> None:
        if step == 41:
            cudaemu.reset()
        elif step == 80:
            counts.update(cudaemu.stats())

    model = mlp(784, 128, 10)
    fit(model, x, y, epochs=2, validation=0, optimizer="adam", on_step=on_step, **PATHS[path])
    assert {name: counts.get(name, 0) for name in NOTHING} == dict.fromkeys(NOTHING, 0)
    asked = ("kernel_launches", "cublas_calls", "memsets", "d2d_copies", "graph_launches")
    total = sum(counts.get(name, 0) for name in asked)
    assert 0 < total <= calls * 39
    if path == "fused":
        assert total == 11 * 39
        assert counts["cublas_calls"] == 5 * 39
    if path == "captured":
        assert total == counts["graph_launches"] <= 39 / 10


@pytest.mark.emulator
def test_an_epoch_of_graphs_is_a_tenth_of_the_calls(cupy: Any) -> None:
    """From the upload of its order to its last step, and none of them waits."""
    cudaemu = importlib.import_module("cudaemu")
    x, y = cupy.asarray(np.resize(IMAGES, (16 * 50 + 5, 64))), np.resize(LABELS, 16 * 50 + 5)
    totals = {}
    for path, options in PATHS.items():
        counts: dict[str, int] = {}

        def on_step(step: int, counts: dict[str, int] = counts) -> None:
            if step == 3 * 51:
                counts.update(cudaemu.stats())

        fit(
            mlp(64, 16, 10), x, y, epochs=3, batch_size=16, validation=0, on_step=on_step,
            on_epoch=lambda *_: cudaemu.reset(), **options,
        )  # fmt: skip
        asked = ("kernel_launches", "cublas_calls", "memsets", "d2d_copies", "h2d_copies")
        totals[path] = sum(counts.get(name, 0) for name in (*asked, "graph_launches"))
        assert not counts.get("synchronisations")
    assert totals["fused"] < totals["plain"] / 3
    assert totals["captured"] <= totals["fused"] / 10


@pytest.mark.emulator
def test_memory_is_the_images_and_little_else(cupy: Any, tmp_path: Path) -> None:
    """The peak of what CuPy's pool takes, of a run of the command: 47 MB are the images."""
    code = """
import cupy, sys
from xpnet import cli
options = ["--batch-size", "1024", "--epochs", "2", "--optimizer", "adam"]
status = cli.run(["train", "--device", "cuda", "--output", "run", "-q", *options])
print(status, cupy.get_default_memory_pool().total_bytes())
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    status, peak = map(int, done.stdout.split())
    assert status == 0
    assert 47e6 < peak <= 70e6


@pytest.mark.emulator
@counted
def test_an_epoch_uploads_its_order_and_tables_and_reads_its_sums_once(
    cupy: Any, case: Case
) -> None:
    cudaemu = importlib.import_module("cudaemu")
    counts = []

    def on_epoch(*_: Any) -> None:
        counts.append(cudaemu.stats())
        cudaemu.reset()

    result = case.trained(cupy.asarray(IMAGES), "float32", epochs=3, on_epoch=on_epoch)
    optimizer = case.fit.get("optimizer", default_optimizer(result.model))
    scalars = len(OPTIMIZERS[optimizer]().scalars(1.0, 1)) + ("average" in case.fit)
    keys = len(result.model.network.drawing)
    one_label = bool(result.model.labels) and np.ndim(case.y) == 1
    hits = one_label or result.model.output == "softmax" or result.model.multilabel
    sums = 3 if hits else 2
    rows = N - case.held  # those looked at afterwards went up before the first epoch
    for count in counts[1:]:  # before the first epoch there is more to do
        # Rows as int32, the scalars of a step as float32, and three int32 for a key.
        assert count["h2d_bytes"] == 4 * (rows + case.steps * (scalars + 3 * keys))
        assert count["h2d_copies"] == 2 + bool(keys)
        assert count["d2h_copies"] == 1
        assert count["d2h_bytes"] == 4 * sums
        assert count["synchronisations"] == 1


@pytest.mark.emulator
def test_evaluation_uploads_nothing_and_reads_logits_once(cupy: Any) -> None:
    """However many blocks there are."""
    cudaemu = importlib.import_module("cudaemu")
    n = 3 * BLOCK + 5
    x, y = cupy.asarray(np.resize(IMAGES, (n, WIDTH))), np.resize(LABELS, n)
    model = PLAIN.untrained()
    evaluate(model, x, y)  # the model keeps its arrays there from now on
    cudaemu.reset()
    evaluate(model, x, y)
    count = cudaemu.stats()
    assert count.get("h2d_bytes", 0) == 0
    assert count["d2h_copies"] == count["synchronisations"] == 1
    assert count["d2h_bytes"] == 4 * (n * len(model.labels) + 1)  # with the flag of the checks


@pytest.mark.emulator
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_predicting_again_uploads_nothing_and_reads_one_flag(cupy: Any, dtype: str) -> None:
    """The flag of the checks of `predict`; of `model(x)` nothing is read."""
    cudaemu = importlib.import_module("cudaemu")
    plain, x = PLAIN.untrained(), cupy.asarray(IMAGES.astype(dtype))
    columns = np.linspace(100, 150, len(plain.buffers)).astype(plain.dtype)
    for model in (plain, replace(plain, buffers=columns)):
        model.predict(x)
        cudaemu.reset()
        model(x)
        count = cudaemu.stats()
        assert {name: count.get(name, 0) for name in NOTHING} == dict.fromkeys(NOTHING, 0)
        assert count["kernel_launches"] > 0
        for call in (model.predict, model.predict_proba):
            cudaemu.reset()
            call(x)
            count = cudaemu.stats()
            assert count.get("h2d_copies", 0) == 0
            assert count["d2h_copies"] == count["d2h_bytes"] == count["synchronisations"] == 1
