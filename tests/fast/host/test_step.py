"""The fast paths against the core, which is their oracle; what a step allocates; falling back."""

import random
import shutil
import subprocess
import sys
import tracemalloc
import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers import difference
from test_repertoire import anything, targets

import xpnet
from xpnet.activations import ACTIVATIONS
from xpnet.arrays import namespace
from xpnet.fast import can_fuse, nodes, record
from xpnet.fast.host import blocks, draws
from xpnet.fast.host.draws import Draws
from xpnet.fast.host.plan import Plan
from xpnet.fast.host.step import HostStep
from xpnet.fast.nodes import CannotRecordError, Node
from xpnet.fast.record import Recorded, constant, variable
from xpnet.fast.steps import leaves
from xpnet.fitting.results import Result
from xpnet.fitting.steps import Tables
from xpnet.fitting.training import fit
from xpnet.layers import Dropout, Layer
from xpnet.losses import LOSSES, SoftmaxCrossEntropy
from xpnet.optimizers import AVERAGES, OPTIMIZERS, Adam, Lion
from xpnet.random import mask_units

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 5))
Y = RNG.integers(0, 3, size=50)
PIXELS = RNG.integers(0, 256, size=(60, 4, 4), dtype=np.uint8)

# Steps


def both(model: Any, x: Any, y: Any, **options: Any) -> tuple[Result, Result]:
    """Trained by the fast path, and as it is written."""
    options = {"epochs": 2, "batch_size": 8, "validation": 0.2} | options
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # no falling back
        fast = fit(model, x, y, **options)
    return fast, fit(model, x, y, fast=False, **options)


def assert_same(fast: Result, plain: Result, tolerance: float) -> None:
    for ours, theirs in zip(leaves(fast.progress.state), leaves(plain.progress.state), strict=True):
        assert ours.dtype == theirs.dtype
        assert difference(ours, theirs) < tolerance
    for ours, theirs in zip(fast.history, plain.history, strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=tolerance)
        assert ours.validation_loss == pytest.approx(theirs.validation_loss, rel=tolerance)


@pytest.mark.parametrize("seed", range(60))
def test_every_combination_is_trained_as_it_is_written(seed: int) -> None:
    """Differences of rounding: 1e-10 was measured, where batches of few samples magnify them.

    Without Lion, whose steps depend on the signs of gradients that are but rounding.
    """
    model, loss = anything(seed)
    draw = random.Random(seed)
    optimizers = [name for name in OPTIMIZERS if name != "lion"]
    x = RNG.normal(size=(41, model.network.fan_in))
    fast, plain = both(
        model, x, targets(model, 41, RNG), loss=loss, learning_rate=0.01,
        optimizer=draw.choice(optimizers), average=draw.choice([None, *AVERAGES]),
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
    optimizer = Adam(0.01, 0.1, decoupled=decoupled)
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


def fused(model: Any, optimizer: str = "nesterov", n: int = 64, **options: Any) -> Any:
    """A function that makes one step after the other, and what it calls."""
    kept: dict[str, Any] = {}

    def watch(*arguments: Any) -> HostStep:
        kept["fused"] = HostStep(*arguments[:3])
        return kept["fused"]

    x = RNG.integers(0, 256, size=(4 * n, model.network.fan_in), dtype=np.uint8)
    y = np.arange(4 * n) % len(model.labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xpnet.fast.fuse", watch)
        options = {"epochs": 1, "batch_size": n, "validation": 0.0} | options
        fit(model, x, y, optimizer=optimizer, **options)
    return kept["fused"]


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


def test_a_step_makes_five_products_and_moves_no_gradient() -> None:
    """The gradient of the samples themselves is left out; the others are where they belong."""
    model = xpnet.mlp(784, 128, 10)
    prepared = next(iter(fused(model)._prepared.values()))
    calls = [(call.func, call.args) for call in prepared.plan._run]
    products = [args for function, args in calls if function is np.matmul and args[0].ndim == 2]
    assert len([args for args in products if args[1].ndim == 2]) == 5
    moved = [args[1].size for function, args in calls if function is np.copyto]
    assert max(moved, default=0) == 64 * 784  # the bytes of the batch, as numbers
    assert sum(size > 64 * 10 for size in moved) == 1 + 1  # and where units are above 0


@pytest.mark.parametrize("optimizer", ["nesterov", "adam"])
def test_memory_is_what_must_be_remembered(optimizer: str) -> None:
    """The gradient, the batch, two arrays of each layer's units, and blocks."""
    widths, n = (784, 500, 400, 300, 10), 256
    model = xpnet.mlp(*widths)
    (prepared,) = fused(model, optimizer, n)._prepared.values()
    size, units = model.network.size, n * sum(widths[1:])
    bound = 4 * size + n * 784 * 5 + 4 * 2 * units + n * max(widths[1:]) * 5
    assert sum(m.nbytes for m in prepared.plan.memory) < bound + 4 * 2 * blocks.BLOCK


@pytest.mark.parametrize(("optimizer", "states"), [("nesterov", 1), ("adam", 2)])
def test_fit_holds_the_weights_twice_the_gradient_and_the_state(
    optimizer: str, states: int
) -> None:
    """Twice: those in training and the latest; a smaller last batch takes no more."""
    model = xpnet.mlp(784, 300, 1500, 1000, 10)
    x = RNG.integers(0, 256, size=(200, 784)).astype(np.uint8)

    def on_step(steps: int) -> None:
        if steps == 8:  # the first epoch is over, and what it began with
            tracemalloc.reset_peak()

    tracemalloc.start()
    xpnet.fit(
        model, x, RNG.integers(0, 10, 200), optimizer=optimizer, learning_rate=1e-3, epochs=3,
        batch_size=32, validation=0, on_step=on_step,
    )  # fmt: skip
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < (3 + states + 0.8) * 4 * model.network.size


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


@pytest.mark.parametrize(
    "use",
    [
        bool,
        float,
        np.asarray,
        lambda a: a + np.ones(3),
        lambda a: np.ones(3) * a,
        lambda a: a[np.zeros(2, int)],
        lambda a: a[a > 0],
        lambda a: [*a],
        lambda a: namespace(a).sort(a),
    ],
)
def test_numbers_that_are_not_there_are_refused(use: Callable[[Any], Any]) -> None:
    with pytest.raises((CannotRecordError, TypeError)):
        use(variable(np.zeros(3)))


# Recording


def evaluated(function: Callable[..., Any], *arrays: np.ndarray) -> np.ndarray:
    """By a plan; the arrays are variables."""
    given = [a.copy() for a in arrays]
    nodes = [variable(a) for a in arrays]
    result = function(*nodes)
    out = np.full(result.shape, 77, dtype=result.dtype)
    pairs = [(a.node, place) for a, place in zip(nodes, given, strict=True)]
    Plan(pairs, [(result.node, out)])()
    return out


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_choice_is_exact(dtype: str) -> None:
    """Of NaN, infinities and zeros with a sign too."""
    special = np.asarray([np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-40, 3.0], dtype=dtype)
    a, b = (m.ravel() for m in np.meshgrid(special, special))
    for condition in (a > b, np.isnan(a), np.arange(49) % 2 == 0):
        chosen = evaluated(lambda c, a, b: namespace(a).where(c, a, b), condition, a, b)
        assert chosen.dtype == dtype
        assert chosen.tobytes() == np.where(condition, a, b).tobytes()


def test_powers_are_those_of_the_operator() -> None:
    x = RNG.uniform(0.1, 2, size=9).astype(np.float32)
    for exponent in (2, 2.0, 0.5, 3, 1.7, 0.0):
        assert np.array_equal(evaluated(lambda x, e=exponent: x**e, x), x**exponent)
    assert evaluated(lambda x: x**2.0, np.arange(3)).dtype == np.float64


def test_numbers_of_numpy_do_not_change_the_type() -> None:
    """Such as a momentum of np.float64(0.9) for weights in float32."""
    x = X.astype(np.float32)
    third = np.float64(1 / 3)
    for function in (lambda x: third * x, lambda x: x / third, lambda x: x + np.int64(2)):
        found = evaluated(function, x)
        assert found.dtype == np.float32
        assert difference(found, function(X)) < 1e-6


def test_constants_are_computed_once_and_equal_ones_are_one_number() -> None:
    a, b = constant(np.full((3, 4), 2.5)), constant(np.arange(4.0))
    assert a.node.uniform
    assert not b.node.uniform
    total = a + b
    assert total.node.kind == nodes.CONSTANT
    assert np.array_equal(total.node.value, np.full((3, 4), 2.5) + np.arange(4.0))
    assert (a * a).node.uniform
    assert (a * a).node.value[0, 0] == 6.25
    assert namespace(a).zeros_like(variable(np.ones((2, 2)))).node.uniform


def test_zeros_keep_their_sign() -> None:
    zeros = np.asarray([0.0, -0.0])
    assert np.signbit(constant(zeros).node.value).tolist() == [False, True]
    assert constant(-np.zeros(2)).node.uniform

    def least(x: Any) -> Any:  # of x and -0.0, of x and 0.0
        xp = namespace(x)
        minima = [xp.minimum(x, xp.full_like(x, zero)) for zero in (-0.0, 0.0)]
        return xp.stack(minima)

    assert np.signbit(evaluated(least, np.ones(2))).tolist() == [[True, True], [False, False]]


def test_zeros_keep_their_type() -> None:
    def greater(x: Any, i: Any) -> Any:
        xp = namespace(x)
        of_both = [xp.maximum(a, xp.zeros_like(a)) for a in (x, i)]
        return xp.stack(of_both)

    found = evaluated(greater, np.asarray([-1.5, 1.5]), np.asarray([-2, 2]))
    assert found.tolist() == [[0, 1.5], [0, 2]]


def test_a_quotient_by_a_constant_is_a_product_where_nothing_is_lost() -> None:
    x = variable(np.ones(3, np.float32))
    assert (x / 3).node.function is np.multiply
    assert (x / constant(np.float32([1, 2, 3]))).node.function is np.multiply
    for divisor in (1e-39, 1e38, 0.0, float("nan")):
        assert (x / constant(np.float32([1, 2, divisor]))).node.function is np.divide
    assert (variable(np.ones(3, int)) / 3).node.function is np.divide
    assert (variable(np.ones(3)) / constant(np.float32([1, 2, 3]))).node.function is np.divide
    assert (3 / x).node.function is np.divide


def test_nothing_is_unknown_to_it_that_numpy_does_to_shapes() -> None:
    x, y = RNG.normal(size=(4, 6)), RNG.normal(size=(6, 3))
    cases: list[tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = [
        (lambda x, y: x @ y, (x, y)),
        (lambda x: x.T @ x, (x,)),
        (lambda x: namespace(x).sum(x), (x,)),
        (lambda x: namespace(x).sum(x, axis=0), (x,)),
        (lambda x: namespace(x).sum(x, axis=1), (x,)),
        (lambda x: namespace(x).sum(x, axis=-1, keepdims=True), (x,)),
        (lambda x: namespace(x).sum(x, axis=0, keepdims=True), (x,)),
        (lambda x: namespace(x).sum(x.T[1:3], axis=1), (x,)),
        (lambda x: namespace(x).mean(x, axis=0), (x,)),
        (lambda x: namespace(x).mean(x, axis=1, keepdims=True), (x,)),
        (lambda x: namespace(x).mean(x), (x,)),
        (lambda x: namespace(x).max(x, axis=1, keepdims=True), (x,)),
        (lambda x: namespace(x).max(x, axis=1), (np.tile(x, 9),)),
        (lambda x: namespace(x).max(x), (x,)),
        (lambda x: x[1:3, 2], (x,)),
        (lambda x: x[..., -1] + 1, (x,)),
        (lambda x: namespace(x).stack([x, 2 * x, x], axis=-1), (x,)),
        (lambda x: namespace(x).stack([x + 1, 2 * x], axis=0), (x,)),
        (lambda x: namespace(x).concat([x + 1, x], axis=1), (x,)),
        (lambda x: namespace(x).concat([x, x, 3 * x]), (x,)),
        (lambda x: namespace(x).broadcast_to(x[0], (3, 6)) * 2, (x,)),
        (lambda x: namespace(x).reshape(x * 2, (2, 12)), (x,)),
        (lambda x: -namespace(x).maximum(x, namespace(x).zeros_like(x)), (x,)),
        (lambda x: namespace(x).minimum(namespace(x).full_like(x, 0.1), x), (x,)),
        (lambda x: namespace(x).astype(x > 0, namespace(x).int32) + 2, (x,)),
        (lambda x: (1 - x) / (2 + x * x), (x,)),
        (lambda x, i: namespace(x).take(x, i, axis=-1), (x, np.arange(3))),
        (lambda x: x @ namespace(x).ones_like(x).T, (x,)),
        (lambda x: namespace(x).stack([x[0, 0], x[0, 1] + 1]), (x,)),
        (lambda x: namespace(x).astype(9 * x, namespace(x).int32), (x,)),
        (lambda i: i * 0.5, (np.arange(5),)),
        (lambda x: namespace(x).sum(x, axis=0, dtype=namespace(x).float64), (np.float32(x),)),
    ]
    for i, (function, arrays) in enumerate(cases):
        found, expected = evaluated(function, *arrays), np.asarray(function(*arrays))
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype), i
        assert difference(found, expected) < 1e-14, i


def test_arrays_of_two_types_are_joined() -> None:
    def joined(i: Any, x: Any) -> Any:
        xp = namespace(i)
        more = i + 1
        return xp.concat([more, x]) + xp.concat([more >> 1, x])

    def joined_to_a_slice(short: Any, x: Any) -> Any:
        return namespace(x).concat([short[:3], x * 2]) + 1

    for function, first in ((joined, np.arange(3)), (joined_to_a_slice, np.ones(9, np.float32))):
        found, expected = evaluated(function, first, X[0]), function(first, X[0])
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)


def test_a_part_of_a_stack_may_be_read_in_another_shape() -> None:
    def step(x: Any) -> Any:
        xp = namespace(x)
        more = x + 1
        return xp.stack([more, x * xp.sum(xp.reshape(more, (-1,)))], axis=1)

    assert difference(evaluated(step, X), step(X)) < 1e-14


# Planning


def program(seed: int) -> Callable[..., Any]:
    """A random step: array code that makes new arrays of old ones."""

    def step(constants: Any, arrays: Any, rows: Any) -> tuple[Any, ...]:
        draw = random.Random(seed)
        xp, (data,) = namespace(arrays[0]), constants
        vectors, matrices = [*arrays[:3]], [arrays[3], xp.take(data, rows, axis=0)]

        def vector() -> Any:
            return draw.choice(vectors)

        def matrix() -> Any:
            return draw.choice(matrices)

        for _ in range(draw.randint(3, 25)):
            cut = draw.randint(1, 11)
            made = draw.choice([
                lambda: vector() + vector(),
                lambda: vector() * 0.5 - vector(),
                lambda: xp.maximum(vector(), vector() - 0.1),
                lambda: xp.where(vector() > vector(), vector(), -vector()),
                lambda cut=cut: xp.concat([vector()[:cut] * 0.9, vector()[cut:]]),
                lambda cut=cut: xp.concat([vector()[:cut] + vector()[:cut], vector()[cut:]]),
                lambda cut=cut: xp.concat([vector()[cut:], vector()[:cut] + 1]),
                lambda: xp.reshape(matrix() * 0.5, (-1,)),
                lambda: xp.reshape(matrix(), (-1,)) + vector(),
                lambda: xp.reshape(xp.stack([xp.sum(matrix(), axis=0)] * 3), (-1,)),
                lambda: xp.concat([xp.reshape(matrix()[:1] + 1, (-1,)), vector()[4:]]),
                lambda: xp.concat([xp.concat([v[:5] - 1, v[5:7] * 2]), (v := vector())[7:]])
                if (v := vector()) is not None else None,
            ])()  # fmt: skip
            vectors.append(made * 0.9)
            square = matrix() @ matrix().T
            matrices.append(draw.choice([
                lambda: matrix() + matrix(),
                lambda square=square: square @ matrix() * 0.1,
                lambda: xp.reshape(vector(), (3, 4)),
                lambda: matrix() * xp.sum(matrix(), axis=1, keepdims=True) * 0.1,
                lambda: matrix() - xp.max(matrix(), axis=1, keepdims=True),
                lambda: xp.stack([vector()[:4], vector()[4:8] + 1, vector()[8:]], axis=0),
                lambda: xp.reshape(xp.stack([vector()[:6] + 1, vector()[6:]], axis=-1), (3, 4)),
            ])() * 0.5)  # fmt: skip
        return vector(), vector(), draw.choice([vector(), arrays[2]]), matrix()

    return step


@pytest.mark.parametrize("seed", range(400))
def test_any_program_gives_the_same_step_after_step(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever its arrays are put; with vectors of 12 elements in blocks of 2 too."""
    if seed % 2:
        monkeypatch.setattr(blocks, "BLOCK", 2)
    step, rng = program(seed), np.random.default_rng(seed)
    data = rng.normal(size=(9, 4))
    arrays = (*(rng.normal(size=12) for _ in range(3)), rng.normal(size=(3, 4)))
    orders = rng.integers(0, 9, size=(4, 3))
    tables = [replace_rows(order) for order in orders]
    fast, ours, theirs = HostStep(step, (data,)), arrays, arrays
    for table, order in zip(tables, orders, strict=True):
        with np.errstate(all="ignore"):
            ours, theirs = fast(ours, table, 0), step((data,), theirs, order)
        for mine, right in zip(ours, theirs, strict=True):
            assert np.allclose(mine, right, rtol=1e-9, atol=1e-12, equal_nan=True)
    assert fast._prepared
    assert None not in fast._prepared.values()


def replace_rows(order: np.ndarray) -> Any:
    class Rows:
        keys = None

        def at(self, i: int) -> tuple[np.ndarray, ...]:
            return (order,)

    return Rows()


def test_arrays_may_change_places() -> None:
    fast = HostStep(lambda constants, arrays, rows: (arrays[1], arrays[0], arrays[2] + 1), ())
    arrays = np.zeros(3), np.ones(3), np.zeros(())
    for count in range(1, 4):
        arrays = fast(arrays, replace_rows(np.zeros(1)), 0)
        assert arrays[0][0] == count % 2
        assert arrays[1][0] == 1 - count % 2
        assert arrays[2] == count


@pytest.mark.parametrize(
    "move",
    [
        lambda a: a.T,
        lambda a: namespace(a).take(a, 2 - namespace(a).arange(3, dtype=np.int32), axis=0),
    ],
)
def test_elements_may_change_places(move: Callable[[Any], Any]) -> None:
    fast = HostStep(lambda constants, arrays, rows: (move(arrays[0]),), ())
    start = np.arange(9.0).reshape(3, 3)
    (found,) = fast((start,), replace_rows(np.zeros(1)), 0)
    assert np.array_equal(found, move(start))


def test_arrays_may_change_places_without_a_plan() -> None:
    def step(constants: Any, arrays: Any, rows: Any) -> tuple[Any, ...]:
        return arrays[1], arrays[0], namespace(arrays[2]).sort(arrays[2])

    fast = HostStep(step, ())
    with pytest.warns(RuntimeWarning, match="no fast path"):
        arrays = fast((np.zeros(3), np.ones(3), np.arange(3)), replace_rows(np.zeros(1)), 0)
    assert [a.tolist() for a in arrays] == [[1, 1, 1], [0, 0, 0], [0, 1, 2]]


class Pair(NamedTuple):
    """A state of two parts."""

    moves: Any
    stays: Any


def test_what_does_not_change_is_a_constant_until_it_is_given_anew() -> None:
    fast = HostStep(
        lambda constants, pair, rows: Pair(pair.moves * (2 * pair.stays), pair.stays),
        (), {"stays"},
    )  # fmt: skip
    rows, ones = replace_rows(np.zeros(1)), np.ones(3)
    first = fast(Pair(ones, ones), rows, 0)
    assert first[0].tolist() == [2, 2, 2]
    (prepared,) = fast._prepared.values()
    assert len(prepared.plan._run) == 1
    fast(Pair(ones, first.stays), rows, 0)
    assert prepared in fast._prepared.values()  # nothing to plan anew
    assert fast(Pair(ones, 3 * ones), rows, 0).moves.tolist() == [6, 6, 6]
    assert fast(Pair(ones, np.arange(3.0)), rows, 0).moves.tolist() == [0, 2, 4]


def test_a_snapshot_is_not_overwritten_and_takes_the_place_of_the_last() -> None:
    """Nested tuples come back as they were; what is kept is let go before it is copied anew."""

    def step(constants: Any, pair: Pair, rows: Any) -> Pair:
        return Pair(pair.moves + 1, (pair.stays[0] * 2,))

    fast, rows = HostStep(step, ()), replace_rows(np.zeros(1))
    state = fast(Pair(np.zeros(2), (np.ones(2),)), rows, 0)
    snapshot = fast.snapshot(state)
    assert fast.kept is None
    fast.keep(state)
    kept = weakref.ref(fast.kept.moves)
    assert fast(state, rows, 0) is state
    assert isinstance(snapshot, Pair)
    assert (snapshot.moves.tolist(), snapshot.stays[0].tolist()) == ([1, 1], [2, 2])
    assert (state.moves.tolist(), state.stays[0].tolist()) == ([2, 2], [4, 4])
    assert not snapshot.moves.flags.writeable
    copied = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast, "snapshot", lambda state: copied.append(kept()))
        fast.keep(state)
    assert copied == [None]


def test_a_view_that_would_be_a_copy_is_refused() -> None:
    with pytest.raises(CannotRecordError, match="a view that would be a copy"):
        evaluated(lambda x: namespace(x).reshape(x.T, (-1,)) + 1, X)


def test_long_vectors_are_worked_on_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 16)
    model = xpnet.mlp(5, 16, 3, dtype="float64")
    for optimizer in (Adam(0.01, 0.1), Lion(0.01, 0.1), "nesterov"):
        fast, plain = both(model, X, Y, optimizer=optimizer)
        assert_same(fast, plain, 1e-11)
    prepared = next(iter(fused(xpnet.mlp(5, 16, 3), "adam")._prepared.values()))
    sizes = [call.args[-1].size for call in prepared.plan._run if call.func is np.sqrt]
    assert sizes == [16] * 9 + [3]  # 147 numbers


def test_a_number_is_not_written_over_while_blocks_read_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such as the length of the gradient; to the bit what it is without blocks."""
    model = xpnet.mlp(4, 4, 4, 1, activation="leaky-relu", output="identity", dtype="float64")
    x, y = RNG.normal(size=(64, 4)), RNG.normal(size=64)
    options = {"epochs": 1, "optimizer": "sgd", "clip_norm": 0.1, "weight_decay": 0.01}
    thetas = []
    for size in (2, 2**26):
        monkeypatch.setattr(blocks, "BLOCK", size)
        thetas += [
            fit(model, x[:n], y[:n], batch_size=64, validation=0.0, **options).model.theta
            for n in range(36, 48)
        ]
    for ours, theirs in zip(thetas[:12], thetas[12:], strict=True):
        assert np.array_equal(ours, theirs)


def test_parts_of_one_memory_have_blocks_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 2)

    def step(constants: Any, arrays: Any, rows: Any) -> tuple[Any, ...]:
        joined = namespace(arrays[0]).concat([arrays[0] * 0.9, arrays[1] * 0.5])
        return joined[:20] + 1, joined[20:] + 1

    arrays = np.arange(20.0), np.arange(20.0, 40.0)
    expected = step((), arrays, None)
    for ours, theirs in zip(
        HostStep(step, ())(arrays, replace_rows(np.zeros(1)), 0), expected, strict=True
    ):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    "step",
    [
        lambda x, y, rows: (x * x[0], y),
        lambda x, y, rows: (x * 2 + y[:1], y),
        lambda x, y, rows: ((z := x * 2), y + z[::2]),
        lambda x, y, rows: (x + namespace(x).take(x * 2 + 1, rows, axis=0), y),
        lambda x, y, rows: (
            x * namespace(x).astype(namespace(x).astype(x, np.int64) * 0.5, np.int64),
            y,
        ),
    ],
)
def test_what_blocks_read_is_there(step: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 2)
    arrays, rows = (np.arange(24.0) - 7, np.arange(12.0)), np.arange(24)[::-1]
    fast = HostStep(lambda constants, arrays, rows: step(*arrays, rows), ())
    found = fast(arrays, replace_rows(rows), 0)
    for ours, theirs in zip(found, step(*arrays, rows), strict=True):
        assert np.array_equal(ours, theirs)


def test_blocks_of_elements_of_two_sizes_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Truths take the memory of a vector, and another vector takes it again."""
    monkeypatch.setattr(blocks, "BLOCK", 2)

    def step(x: Any, y: Any, total: Any) -> tuple[Any, ...]:
        xp = namespace(x)
        first = xp.sum(x * 3)
        positive = (x > 0) * x
        return x, positive, first + xp.sum(x + positive)

    arrays = np.arange(24.0) - 7, np.zeros(24), np.zeros(())
    found = HostStep(lambda constants, arrays, rows: step(*arrays), ())(
        arrays, replace_rows(np.zeros(1)), 0
    )
    for ours, theirs in zip(found, step(*arrays), strict=True):
        assert np.array_equal(ours, theirs)


# Drawing ahead


@pytest.mark.parametrize("at_a_time", [1, 40, 2**17])
def test_units_drawn_ahead_are_those_of_each_step(
    at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draws, "AT_A_TIME", at_a_time)
    keys = variable(np.zeros((2, 3, 3), np.int32))
    drawn = keys[1, ...][2, :]
    ahead = Draws(Node(nodes.VARIABLE, (3, 5), np.dtype(np.int32), mask_units, (drawn.node,)))
    for _ in range(2):  # epochs
        table = RNG.integers(-(2**31), 2**31, size=(7, 2, 3, 3)).astype(np.int32)
        for i in (0, 1, 2, 3, 4, 5, 6, 2):
            expected = mask_units(table[i, 1, 2], 3, 5)
            assert np.array_equal(ahead.at(table, i), expected)


def test_every_step_and_batch_draws_its_own_units() -> None:
    model = xpnet.mlp(5, 7, 6, 3, dropout=0.4, dtype="float64")
    assert sum(isinstance(layer, Dropout) for layer in model.network.layers) == 2
    for accumulate in (1, 2):
        assert_same(*both(model, X, Y, accumulate=accumulate, epochs=4), 1e-11)


def test_recorded_arrays_are_not_numbers() -> None:
    a = variable(np.zeros((2, 3)))
    assert isinstance(a, Recorded)
    assert a.shape == (2, 3)
    assert a.device == "cpu"
    assert namespace(a) is a.__array_namespace__()
    value, _ = SoftmaxCrossEntropy().forward(a, variable(np.zeros(2, np.int32)))
    assert value.shape == ()
