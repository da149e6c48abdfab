"""xpnet on CuPy: the numbers of NumPy, in kind, and what the device is asked for on the way."""

import csv
import importlib
import json
import pickle
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import difference

from xpnet import cli
from xpnet.data import BLOCK
from xpnet.device import to_numpy
from xpnet.errors import DataError, DivergedError, construct
from xpnet.evaluation import evaluate
from xpnet.losses import LOSSES
from xpnet.model import Model, mlp
from xpnet.optimizers import OPTIMIZERS
from xpnet.preparation import prepare
from xpnet.random import mask_units, threefry
from xpnet.schedules import SCHEDULES
from xpnet.train import FEW, Result, default_optimizer, fit

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


PLAIN = Case()
EVERYTHING = Case(
    model={"dropout": 0.3, "activation": ["sigmoid", "tanh"]},
    fit={"clip_norm": 0.1, "sample_weight": WEIGHTS, "label_smoothing": 0.1, "optimizer": "adamw"},
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
    "smoothed": Case(fit={"label_smoothing": 0.1}),
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


def assert_the_same(ours: Result, numpy: Result) -> None:
    """1e-10: after 20 steps in float64, each of whose operations rounds to 1e-16."""
    assert difference(ours.model.theta, numpy.model.theta) < 1e-10
    assert difference(ours.model.buffers, numpy.model.buffers) < 1e-10
    assert ours.best_epoch == numpy.best_epoch
    for a, b in zip(ours.history, numpy.history, strict=True):
        assert (a.epoch, a.learning_rate) == (b.epoch, b.learning_rate)
        assert a.validation_accuracy == b.validation_accuracy
        losses = [b.loss, b.validation_loss or 0.0]
        assert [a.loss, a.validation_loss or 0.0] == pytest.approx(losses, rel=1e-10)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_fit_gives_the_numbers_of_numpy(cupy: Any, case: Case) -> None:
    ours = case.trained(cupy.asarray(IMAGES))
    assert type(ours.model.theta) is cupy.ndarray
    assert type(ours.model.buffers) is cupy.ndarray
    assert ours.model.dtype == "float64"
    assert_the_same(ours, case.trained(IMAGES))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_gives_the_numbers_of_numpy(
    cupy: Any, optimizer: str, schedule: str
) -> None:
    """Weight decay too, whose slice of theta is a part of its own."""
    options = {"optimizer": optimizer, "schedule": schedule, "weight_decay": 0.01}
    ours = PLAIN.trained(cupy.asarray(IMAGES), **options)
    assert_the_same(ours, PLAIN.trained(IMAGES, **options))


def test_nothing_depends_on_the_memory_pool(cupy: Any) -> None:
    """Without it every array is an allocation of its own, and none is used again."""
    with cupy.cuda.using_allocator(None):
        ours = EVERYTHING.trained(cupy.asarray(IMAGES))
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
    loss = construct("loss", case.fit["loss"], LOSSES) if "loss" in case.fit else None
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


@pytest.mark.parametrize("dropout", ["0", "0.2"])
def test_train_gives_the_history_of_the_cpu(
    cupy: Any, tmp_path: Path, dropout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1e-4: 32 steps in float32.  An accuracy may differ by a sample or two that are close."""
    seen = []

    def watched(function: Any) -> Any:
        def watching(model: Model, x: Any, *args: Any, **options: Any) -> Any:
            seen.append((type(model.theta), type(x), x.dtype))
            return function(model, x, *args, **options)

        return watching

    monkeypatch.setattr("xpnet.train.fit", watched(fit))
    monkeypatch.setattr("xpnet.evaluation.evaluate", watched(evaluate))
    rows = {}
    for device in ("cpu", "cuda"):
        output = tmp_path / device
        arguments = ["train", "--limit", "4096", "--epochs", "1", "--dropout", dropout]
        assert cli.run([*arguments, "--device", device, "--output", str(output), "--quiet"]) == 0
        with (output / "history.csv").open() as file:
            [rows[device]] = csv.DictReader(file)
    assert seen == [(a, a, np.uint8) for a in (np.ndarray, np.ndarray, cupy.ndarray, cupy.ndarray)]
    assert json.loads((tmp_path / "cuda" / "run.json").read_text())["device"] == "cuda:0"
    ours, numpy = ({k: float(v) for k, v in row.items()} for row in rows.values())
    assert ours["learning_rate"] == numpy["learning_rate"]
    for name in ("loss", "validation_loss"):
        assert ours[name] == pytest.approx(numpy[name], rel=1e-4)
    assert abs(ours["validation_accuracy"] - numpy["validation_accuracy"]) <= 2.1 / 10000


# What the device is asked for.  Everything here is counted by the emulator.

NOTHING = ("d2h_copies", "h2d_copies", "synchronisations", "pageable_waits")
COUNTED = {**CASES, **{optimizer: Case(fit={"optimizer": optimizer}) for optimizer in OPTIMIZERS}}
counted = pytest.mark.parametrize("case", COUNTED.values(), ids=COUNTED)


@pytest.mark.emulator
@counted
def test_within_an_epoch_nothing_is_copied_and_nothing_waits(cupy: Any, case: Case) -> None:
    """From the end of an epoch's first step to the end of its last."""
    cudaemu = importlib.import_module("cudaemu")
    counts = []

    def on_step(step: int) -> None:
        if step % case.steps == 0:
            counts.append(cudaemu.stats())
        elif step % case.steps == 1:
            cudaemu.reset()

    case.trained(cupy.asarray(IMAGES), "float32", on_step=on_step)
    assert len(counts) == 2
    for count in counts:
        assert {name: count.get(name, 0) for name in NOTHING} == dict.fromkeys(NOTHING, 0)
        assert count["kernel_launches"] > 20 * (case.steps - 1)


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
    scalars = len(OPTIMIZERS[optimizer].scalars(1.0, 1)) + ("average" in case.fit)
    keys = len(result.model.network.drawing)
    one_label = bool(result.model.labels) and np.ndim(case.y) == 1
    hits = one_label or result.model.output == "softmax" or result.model.multilabel
    sums = 3 if hits else 2
    rows = N - case.held + (case.held or min(N, FEW))  # trained on, and looked at afterwards
    for count in counts[1:]:  # before the first epoch there is more to do
        # Rows as int32, the scalars of a step as float32, and three int32 for a key.
        assert count["h2d_bytes"] == 4 * (rows + case.steps * (scalars + 3 * keys))
        assert count["h2d_copies"] == 3 + bool(keys)
        assert count["d2h_copies"] == 1
        assert count["d2h_bytes"] == 4 * sums
        assert count["synchronisations"] == 1


@pytest.mark.emulator
def test_evaluation_uploads_labels_and_reads_once(cupy: Any) -> None:
    """However many blocks there are."""
    cudaemu = importlib.import_module("cudaemu")
    n = 3 * BLOCK + 5
    x, y = cupy.asarray(np.resize(IMAGES, (n, WIDTH))), np.resize(LABELS, n)
    model = PLAIN.untrained()
    evaluate(model, x, y)  # the model keeps its arrays there from now on
    cudaemu.reset()
    evaluate(model, x, y)
    count = cudaemu.stats()
    assert count["h2d_bytes"] == 4 * n
    assert count["d2h_copies"] == count["synchronisations"] == 1


@pytest.mark.emulator
def test_predicting_again_uploads_nothing(cupy: Any) -> None:
    cudaemu = importlib.import_module("cudaemu")
    model, x = PLAIN.untrained(), cupy.asarray(IMAGES)
    model(x)
    cudaemu.reset()
    model.predict_proba(x), model.predict(x)
    count = cudaemu.stats()
    assert {name: count.get(name, 0) for name in NOTHING} == dict.fromkeys(NOTHING, 0)
    assert count["kernel_launches"] > 0
