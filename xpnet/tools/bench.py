"""How fast this machine is: a training step and a prediction beside their matrix products alone.

    print(table(*bench(batch_size=128)))

The matrix products are what no implementation can do without, so the ratio says how much all the
rest costs, on any machine.  What is compared takes turns, block by block in random order, so that
whatever else the machine does meets all alike: read the ratios, and the minimum as what is possible
when nothing disturbs.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

import xpnet
from xpnet.data.sources import load
from xpnet.tools.timing import BLOCK_SECONDS, Steps, measure, repeat, step_by_step

MANY = 10_000
TOGETHER = 16  # steps that a GPU launches together (`fast.cuda.step`, which may be absent)


def products(*widths: int, batch_size: int, backward: bool = True) -> Callable[[], None]:
    """A function that does the matrix products of a step alone, or those of a prediction.

    For each layer X W; and backwards Xᵀ dZ, and dZ Wᵀ but for the first.  All arrays, of float32,
    are made beforehand.
    """
    rng = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> Any:
        return rng.standard_normal((rows, columns), dtype=np.float32)

    xs = [matrix(batch_size, width) for width in widths]
    dzs = [matrix(batch_size, width) for width in widths]
    Ws = [matrix(*shape) for shape in pairwise(widths)]
    dWs = [np.empty_like(W) for W in Ws]
    zs = [np.empty_like(x) for x in xs]  # results, so that what is multiplied stays as it is
    tasks = [(xs[i], W, zs[i + 1]) for i, W in enumerate(Ws)]
    if backward:
        for i in reversed(range(len(Ws))):
            tasks.append((xs[i].T, dzs[i + 1], dWs[i]))
            if i:
                tasks.append((dzs[i + 1], Ws[i].T, zs[i]))
    matmul = np.matmul

    def run() -> None:
        for a, b, out in tasks:
            matmul(a, b, out=out)

    return run


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table in Markdown: the first column to the left, the others to the right."""
    first, *others = [f"| {' | '.join(map(str, line))} |" for line in (head, *rows)]
    return "\n".join([first, f"|---|{'--:|' * (len(head) - 1)}", *others])


def microseconds(number: float) -> str:
    """With three digits at least."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}"


HEAD = (
    "", "µs, min", "µs, median", "÷ products, min", "÷ products, median", "samples/s, median",
    "cores at work",
)  # fmt: skip


def bench(
    hidden: Sequence[int] = (128,),
    batch_size: int = 128,
    optimizer: str = "nesterov",
    rounds: int = 20,
    seconds: float = BLOCK_SECONDS,
) -> tuple[Sequence[str], list[list[str]]]:
    """Head and rows of a table: a training step on MNIST, prediction, and their products.

    The step is what `fit` does for each batch, all included; what it does once for each epoch falls
    into a few of the blocks.

    Parameters
    ----------
    hidden : sequence of int
        Widths of the hidden layers.
    batch_size : int
        Samples per step.
    optimizer : str
        One of `registry.OPTIMIZERS`.
    rounds : int
        Blocks of each.
    seconds : float
        What a block lasts.

    Raises
    ------
    UsageError
        A batch would have more samples than there are.
    """
    samples = _samples(batch_size)
    x, many = samples.x_train, samples.x_test[:MANY]
    model = xpnet.mlp(784, *hidden, 10, input_shape=(28, 28))
    widths = 784, *hidden, 10
    train = partial(_train, model, x, samples.y_train, batch_size, optimizer)
    rows: list[list[str]] = []

    def compare(what: str, n: int, ours: Steps, alone: Callable[[], None]) -> None:
        count = f"{n:,} sample{'' if n == 1 else 's'}"
        times = measure({what: ours, "products": repeat(alone)}, rounds, seconds)
        for name, t in times.items():
            floor = times["products"]
            rows.append([
                f"{name}, {count}" if name == what else "its matrix products alone",
                microseconds(t.min), microseconds(t.median), f"{t.min / floor.min:.2f}",
                f"{t.median / floor.median:.2f}", f"{n / t.median * 1e6:,.0f}", f"{t.cores:.2f}",
            ])  # fmt: skip

    with step_by_step(train) as steps:
        compare("training step", batch_size, steps, products(*widths, batch_size=batch_size))
    for n in (len(many), 1):
        alone = products(*widths, batch_size=n, backward=False)
        compare("prediction", n, repeat(partial(model.predict, many[:n])), alone)
    return HEAD, rows


def _samples(batch_size: int) -> Any:
    """MNIST, if a batch has no more samples than it."""
    samples = load("mnist")
    n = len(samples.x_train)
    if batch_size > n:
        raise xpnet.UsageError(f"batch size {batch_size}: MNIST has {n:,} training samples")
    return samples


def _train(
    model: xpnet.Model, x: Any, y: Any, batch_size: int, optimizer: str,
    on_step: Callable[..., None], limit: int | None = None,
) -> None:  # fmt: skip
    """Train for long.

    So slowly that the loss stays far from 0 however long it takes: no number gets so small that
    the processor is slow with it.
    """
    xpnet.fit(
        model, x[:limit, ...], y[:limit], epochs=10**9, batch_size=batch_size, optimizer=optimizer,
        learning_rate=1e-5, schedule="constant", validation=0, on_step=on_step,
    )  # fmt: skip


COMPARED = ("", "µs, min", "µs, median", "÷ CPU, min", "÷ CPU, median", "samples/s, median")


def compare_devices(
    device: xpnet.Device,
    hidden: Sequence[int] = (128,),
    batch_sizes: Sequence[int] = (128,),
    optimizer: str = "nesterov",
    rounds: int = 20,
    seconds: float = BLOCK_SECONDS,
) -> tuple[Sequence[str], list[list[str]]]:
    """Head and rows of a table: a training step on MNIST on the CPU and on a GPU, in turns.

    Parameters
    ----------
    device : Device
        The GPU (`xpnet.select_device`).
    hidden, optimizer, rounds, seconds
        As for `bench`.
    batch_sizes : sequence of int

    Raises
    ------
    UsageError
        A batch would have more samples than there are.
    """
    samples = _samples(max(batch_sizes))
    model = xpnet.mlp(784, *hidden, 10, input_shape=(28, 28))
    rows: list[list[str]] = []
    for batch_size in batch_sizes:
        with ExitStack() as running:
            sides: dict[str, Steps] = {}
            for place in (xpnet.select_device("cpu"), device):
                x, wait = place.put(samples.x_train), place.synchronize
                together, limit = whole_graphs(batch_size, len(samples.x_train))
                train = partial(
                    _train, model, x, samples.y_train, batch_size, optimizer, limit=limit
                )
                steps = running.enter_context(step_by_step(train))
                sides[str(place)] = in_groups(steps, together, wait)
            times = measure(sides, rounds, seconds)
        for name, t in times.items():
            cpu = times["cpu"]
            rows.append([
                f"{name}, {batch_size:,} samples", microseconds(t.min), microseconds(t.median),
                f"{t.min / cpu.min:.2f}", f"{t.median / cpu.median:.2f}",
                f"{batch_size / t.median * 1e6:,.0f}",
            ])  # fmt: skip
    return COMPARED, rows


def whole_graphs(batch_size: int, n: int) -> tuple[int, int]:
    """So many steps a GPU launches together; and samples that make nothing but such groups.

    A block that ended within a group would have done other steps than those that it counts.
    """
    full = max(n // batch_size, 1)
    together = min(full, TOGETHER)
    return together, full // together * together * batch_size


def in_groups(steps: Steps, together: int, wait: Callable[[], None]) -> Steps:
    """Steps in groups of so many, and the wait for the last of them."""

    def rounded(calls: int) -> int:
        calls = -(-calls // together) * together
        steps(calls)
        wait()
        return calls

    return rounded
