"""Plans: where arrays are put, in which order, and what that costs."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import difference, evaluated, fused, quick, replace_rows

import xpnet
from xpnet.arrays import namespace
from xpnet.fast.host import blocks
from xpnet.fast.host.step import HostStep
from xpnet.fast.nodes import CannotRecordError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 5))


# What a step costs


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


# Places


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


@pytest.mark.parametrize("seed", quick(40, range(400)))
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


def test_a_view_that_would_be_a_copy_is_refused() -> None:
    with pytest.raises(CannotRecordError, match="a view that would be a copy"):
        evaluated(lambda x: namespace(x).reshape(x.T, (-1,)) + 1, X)
