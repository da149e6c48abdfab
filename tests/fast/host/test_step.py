"""Steps on NumPy against the core, which is their oracle; what they cost; falling back."""

import random
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import (
    DRAWN,
    anything,
    assert_same,
    both,
    fused,
    quick,
    replace_rows,
    targets,
)

import xpnet
from xpnet.arrays import namespace
from xpnet.fast import can_fuse, record
from xpnet.fast.host.step import HostStep
from xpnet.fast.nodes import CannotRecordError
from xpnet.fast.steps import leaves
from xpnet.fitting.results import Result
from xpnet.fitting.steps import Tables
from xpnet.fitting.training import fit
from xpnet.layers import Layer
from xpnet.optimizers import Adam
from xpnet.registry import ACTIVATIONS, AVERAGES, LOSSES, OPTIMIZERS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 5))
Y = RNG.integers(0, 3, size=50)
PIXELS = RNG.integers(0, 256, size=(60, 4, 4), dtype=np.uint8)


# Steps


@pytest.mark.parametrize("seed", quick(20, range(60)))
def test_every_combination_is_trained_as_it_is_written(seed: int) -> None:
    """Differences of rounding: 1e-10 was measured, where batches of few samples magnify them.

    Without Lion, whose steps depend on the signs of gradients that are rounding errors.
    """
    model, loss = anything(seed)
    draw = random.Random(seed)
    optimizers = [name for name in DRAWN["optimizer"] if name != "lion"]
    x = RNG.normal(size=(41, model.network.fan_in))
    fast, plain = both(
        model, x, targets(model, 41, RNG), loss=loss, learning_rate=0.01,
        optimizer=draw.choice(optimizers), average=draw.choice([None, *DRAWN["average"]]),
        clip_norm=draw.choice([None, 0.5]), accumulate=draw.choice([1, 3]),
        weight_decay=draw.choice([0.0, 0.01]), seed=seed,
        sample_weight=draw.choice([None, RNG.uniform(0.5, 1.5, size=41)]),
    )  # fmt: skip
    assert_same(fast, plain, 1e-9)


@pytest.mark.parametrize("average", [None, *AVERAGES])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_is_the_same(optimizer: str, average: str | None) -> None:
    model = xpnet.mlp(5, 7, 3, dtype="float64")
    for decay in (0.0, 0.01):
        options = {"weight_decay": decay, "learning_rate": 0.01, "average": average}
        assert_same(*both(model, X, Y, optimizer=optimizer, **options), 1e-11)


@pytest.mark.parametrize("decoupled", [False, True])
def test_decay_of_weights_alone_is_the_same_in_both_kinds(decoupled: bool) -> None:
    model = xpnet.mlp(5, 7, 3, dtype="float64")
    optimizer = Adam(0.01, weight_decay=0.1, decoupled=decoupled)
    assert_same(*both(model, X, Y, optimizer=optimizer), 1e-11)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_the_same(name: str) -> None:
    loss = LOSSES[name]()
    model = xpnet.mlp(5, 7, 3, output=loss.output, dtype="float64")
    y = {"identity": X[:, :3], "exp": np.abs(np.round(X[:, :3]))}.get(loss.output, Y)
    if loss.output == "sigmoid":
        y = np.eye(3)[Y]
    assert_same(*both(model, X, y, loss=loss, learning_rate=0.01), 1e-11)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_the_same(name: str) -> None:
    model = xpnet.mlp(5, 7, 7, 3, activation=name, dtype="float64")
    assert_same(*both(model, X, Y), 1e-11)


@pytest.mark.parametrize(
    "x",
    [
        PIXELS,
        PIXELS.astype(np.float32),
        PIXELS > 100,
        PIXELS.astype(np.int64),
        np.asfortranarray(PIXELS.astype(np.float64)),
        PIXELS[:, ::-1],
        np.repeat(PIXELS, 2, axis=0)[::2],
    ],
    ids=["uint8", "float32", "bool", "int64", "fortran", "reversed", "strided"],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_samples_of_every_kind_are_taken(x: np.ndarray, dtype: str) -> None:
    """In float32 the bound is 1e-5 of a gradient's rounding (2^-24 for each of some 100 steps)."""
    x.flags.writeable = False
    model = xpnet.mlp(16, 9, 3, input_shape=(4, 4), dtype=dtype)
    y = np.arange(60) % 3
    assert_same(*both(model, x, y), 1e-11 if dtype == "float64" else 1e-5)


def test_seconds_since_1970_keep_their_digits() -> None:
    x = 1.7e9 + np.arange(50.0)[:, None]
    model = xpnet.mlp(1, 4, 3)
    assert_same(*both(model, x, Y), 1e-5)


def test_columns_of_almost_nothing_are_scaled_as_written() -> None:
    """1 / scale would be infinite in float32."""
    x = X[:, :2].astype(np.float32) * np.float32(1e-39)
    assert_same(*both(xpnet.mlp(2, 4, 3), x, Y), 1e-5)


def test_the_same_to_the_bit_from_run_to_run_and_going_on() -> None:
    model = xpnet.mlp(5, 7, 3, dropout=0.2, normalization="batch")
    options = {"epochs": 4, "batch_size": 8, "schedule": "constant", "average": "ema"}
    whole, again = fit(model, X, Y, **options), fit(model, X, Y, **options)
    half = fit(model, X, Y, **options | {"epochs": 2})
    saved = [a.copy() for a in leaves(half.progress.state)]
    rest = fit(half.model, X, Y, **options | {"epochs": 2}, initial=half)
    for result in (again, rest):
        assert result.model == whole.model
        for ours, theirs in zip(
            leaves(result.progress.state), leaves(whole.progress.state), strict=True
        ):
            assert np.array_equal(ours, theirs)
    for ours, before in zip(leaves(half.progress.state), saved, strict=True):
        assert np.array_equal(ours, before)  # what was handed out is not written to


def test_what_callbacks_are_given_stays_as_it_is() -> None:
    seen: list[Result] = []
    model = xpnet.mlp(5, 7, 3, normalization="batch")
    theta = model.theta.copy()
    options = {"epochs": 3, "batch_size": 8, "validation": 0.0}
    result = fit(model, X, Y, on_epoch=lambda epoch, so_far: seen.append(so_far), **options)
    assert np.array_equal(model.theta, theta)
    for epoch, so_far in enumerate(seen, start=1):
        expected = fit(model, X, Y, **options | {"epochs": epoch}, schedule="constant")
        assert so_far.progress.epochs == epoch
        assert np.array_equal(so_far.model.theta, so_far.progress.state.theta)
        assert len({a.tobytes() for a in (s.progress.state.theta for s in seen)}) == 3
        assert len(expected.history) == epoch
    assert np.array_equal(seen[-1].progress.state.theta, result.progress.state.theta)


# What a step costs


@pytest.mark.parametrize("options", [{}, {"dropout": 0.5}, {"normalization": "batch"}])
@pytest.mark.parametrize("optimizer", ["nesterov", "adam"])
def test_a_step_allocates_nothing_after_the_first(options: dict, optimizer: str) -> None:
    model = xpnet.mlp(400, 300, 10, **options)
    step = fused(model, optimizer, 512)
    rows = np.arange(512, dtype=np.int32)
    keys = np.zeros((1, 1, len(model.network.drawing), 3), dtype=np.int32)
    tables = Tables(rows, np.ones((1, 3), np.float32)[:, : 1 if optimizer == "nesterov" else 2],
                    keys if model.network.drawing else None, 512)  # fmt: skip
    arrays = step(step._state, tables, 0)
    tracemalloc.start()
    for _ in range(3):
        arrays = step(arrays, tables, 0)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(3):
        arrays = step(arrays, tables, 0)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    # NumPy converts types through a buffer of 8,192 numbers; a batch takes 600,000 bytes or more.
    assert peak < 100_000
    assert step._state is arrays


@pytest.mark.parametrize(
    ("optimizer", "states"),
    [("nesterov", 1), pytest.param("adam", 2, marks=pytest.mark.thorough)],
)
def test_fit_holds_the_weights_twice_the_gradient_and_the_state(
    optimizer: str, states: int
) -> None:
    """Twice: those in training and the latest; a smaller last batch takes no more.

    The lesser peak of two fits: what Python keeps for itself, such as the table of its strings,
    grows by up to a megabyte at moments of its own.
    """
    model = xpnet.mlp(784, 300, 1500, 1000, 10)
    x = RNG.integers(0, 256, size=(200, 784)).astype(np.uint8)
    y = RNG.integers(0, 10, 200)

    def on_step(steps: int) -> None:
        if steps == 8:  # the first epoch is over, and what it began with
            tracemalloc.reset_peak()

    def peak() -> int:
        tracemalloc.start()
        xpnet.fit(
            model, x, y, optimizer=optimizer, learning_rate=1e-3, epochs=3, batch_size=32,
            validation=0, on_step=on_step,
        )  # fmt: skip
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert min(peak(), peak()) < (3 + states + 0.8) * 4 * model.network.size


# Falling back


@dataclass(frozen=True)
class Doubled(Layer):
    """A layer of a user's own."""

    def forward(self, p: Any, x: Any) -> tuple[Any, None]:
        return 2 * x, None

    def backward(self, p: Any, cache: None, dy: Any) -> tuple[Any, dict]:
        return 2 * dy, {}


def test_layers_of_ones_own_are_trained_as_they_are_written() -> None:
    model = xpnet.mlp(5, 7, 3)
    layers = (*model.network.layers, Doubled())
    model = replace(model, network=replace(model.network, layers=layers))
    assert not can_fuse((X, None), *layers)
    assert can_fuse((X, None), *layers[:-1])
    assert not can_fuse((X.tolist(),))
    assert not can_fuse((np.ma.asarray(X),))
    fast, plain = both(model, X, Y)
    assert fast.model == plain.model


def test_what_cannot_be_recorded_falls_back_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise CannotRecordError("no taking")

    monkeypatch.setattr(record.Namespace, "take", refuse)
    model = xpnet.mlp(5, 7, 3, dtype="float64")
    options = {"epochs": 2, "batch_size": 50, "validation": 0.0}
    with pytest.warns(RuntimeWarning, match=r"no fast path for this network \(no taking\)"):
        fast = fit(model, X, Y, **options)
    assert fast.model == fit(model, X, Y, fast=False, **options).model


def increased(a: Any) -> Any:
    a += 1
    return a


@pytest.mark.parametrize(
    "change",
    [
        abs,
        increased,
        lambda a: 2**a,
        lambda a: a * (a[0, :, 0] @ a[0, :, 0]),
        lambda a: a @ a,
        lambda a: a + namespace(a).modf(a)[0],
        lambda a: namespace(a).where(namespace(a).astype(2 * a, namespace(a).int8), a, -a),
        lambda a: namespace(a).where(a > 0, a, 0.0),
        lambda a: namespace(a).where(a > 0, a, namespace(a).astype(a > 1, namespace(a).int64)),
        lambda a: a - namespace(a).sum(a, axis=(0, 1)),
        lambda a: a[0, ...],
        lambda a: namespace(a).astype(a, namespace(a).float32),
    ],
)
def test_whatever_recording_lacks_falls_back(change: Callable[[Any], Any]) -> None:
    fast = HostStep(lambda constants, arrays, rows: (change(arrays[0]),), ())
    start = np.linspace(-1.0, 2.0, 27).reshape(3, 3, 3)
    with pytest.warns(RuntimeWarning, match="no fast path"):
        (found,) = fast((start,), replace_rows(np.zeros(1)), 0)
    assert np.array_equal(found, np.broadcast_to(change(start.copy()), start.shape))


def test_without_the_folder_training_works(tmp_path: Path) -> None:
    """On NumPy; to the bit what it is with `fast=False`."""
    source = Path(xpnet.__file__).parent
    ignored = shutil.ignore_patterns("fast", "mnist", "__pycache__")
    shutil.copytree(source, tmp_path / "xpnet", ignore=ignored)
    code = (
        "import numpy as np, xpnet; x = np.arange(60.).reshape(20, 3) ** 0.5;"
        "result = xpnet.fit(xpnet.mlp(3, 4, 2), x, np.arange(20) % 2, epochs=3{});"
        "print(xpnet.__file__); print(result.model.theta.tobytes().hex())"
    )
    run = [sys.executable, "-c"]
    without = subprocess.run(
        [*run, code.format("")], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    plain = subprocess.run(
        [*run, code.format(", fast=False")], cwd=source.parent, capture_output=True, text=True,
        check=True,
    ).stdout.splitlines()  # fmt: skip
    assert without[0].startswith(str(tmp_path))
    assert without[1] == plain[1]


def test_arrays_may_change_places_without_a_plan() -> None:
    def step(constants: Any, arrays: Any, rows: Any) -> tuple[Any, ...]:
        return arrays[1], arrays[0], namespace(arrays[2]).sort(arrays[2])

    fast = HostStep(step, ())
    with pytest.warns(RuntimeWarning, match="no fast path"):
        arrays = fast((np.zeros(3), np.ones(3), np.arange(3)), replace_rows(np.zeros(1)), 0)
    assert [a.tolist() for a in arrays] == [[1, 1, 1], [0, 0, 0], [0, 1, 2]]
