"""Long vectors block by block."""

from typing import Any

import numpy as np
import pytest
from helpers import assert_same, both, fused, replace_rows

import xpnet
from xpnet.arrays import namespace
from xpnet.fast.host import blocks
from xpnet.fast.host.step import HostStep
from xpnet.fitting.training import fit
from xpnet.optimizers import Adam, Lion

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 5))
Y = RNG.integers(0, 3, size=50)


def test_long_vectors_are_worked_on_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 16)
    model = xpnet.mlp(5, 16, 3, dtype="float64")
    for optimizer in (Adam(0.01, weight_decay=0.1), Lion(0.01, weight_decay=0.1), "nesterov"):
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
