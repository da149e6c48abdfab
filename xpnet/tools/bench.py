"""How fast this machine is: a training step and a prediction beside their matrix products alone.

    print(table(*bench(batch_size=128)))

The matrix products are what no implementation can do without, so the ratio says how much all the
rest costs, on any machine.  What is compared takes turns, block by block in random order, so that
whatever else the machine does meets all alike: read the ratios, and the minimum as what is possible
when nothing disturbs.
"""

import importlib.metadata
import os
import platform
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from threading import Semaphore, Thread
from time import perf_counter, process_time
from typing import Any

import numpy as np

import xpnet
from xpnet.data.sources import load

BLOCK_SECONDS = 0.03
WARM_UP = 0.1  # part of a block that runs before the clock does, to wake threads and fill caches
MANY = 10_000
TOGETHER = 16  # steps that a GPU launches together (`fast.cuda.step`, which may be absent)

Steps = Callable[[int], int | None]
"""Does so many calls and waits for the last; if it had to do another number, it gives that."""


@dataclass(frozen=True)
class Times:
    """Microseconds per call, one of each block.

    Attributes
    ----------
    wall : list of float
        As on a clock at the wall.
    cpu : list of float
        Of all threads of the process together.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def min(self) -> float:
        """Of the block that was disturbed least."""
        return min(self.wall)

    @property
    def median(self) -> float:
        """What one meets."""
        return median(self.wall)

    @property
    def cores(self) -> float:
        """How many cores were at work, in the mean."""
        return sum(self.cpu) / sum(self.wall)

    def add(self, wall: float, cpu: float) -> None:
        """One more block."""
        self.wall.append(wall)
        self.cpu.append(cpu)


def repeat(function: Callable[[], Any]) -> Steps:
    """Calls of a function, one after another."""

    def steps(calls: int) -> None:
        for _ in range(calls):
            function()

    return steps


def block(steps: Steps, calls: int) -> tuple[float, float]:
    """Microseconds per call, and those of the CPU, after a short warm-up."""
    steps(max(1, round(calls * WARM_UP)))
    cpu, start = process_time(), perf_counter()
    done = steps(calls) or calls
    seconds = perf_counter() - start
    return seconds / done * 1e6, (process_time() - cpu) / done * 1e6


def calls_for(steps: Steps, seconds: float = BLOCK_SECONDS) -> int:
    """How many calls make a block of this length."""
    calls = 1
    while True:
        wall, _ = block(steps, calls)
        if wall * calls >= seconds * 1e6 / 4:
            return max(1, round(seconds * 1e6 / wall))
        calls *= 2


def measure(
    sides: Mapping[str, Steps], rounds: int, seconds: float = BLOCK_SECONDS
) -> dict[str, Times]:
    """The blocks of each side, taken in turns.

    Parameters
    ----------
    sides : mapping of name to steps
    rounds : int
        Blocks of each.
    seconds : float
        What a block should last.
    """
    calls = {name: calls_for(side, seconds) for name, side in sides.items()}
    times = {name: Times() for name in sides}
    for _ in range(rounds):
        for name in random.sample(list(sides), len(sides)):
            times[name].add(*block(sides[name], calls[name]))
    return times


class _EndedError(Exception):
    pass


@contextmanager
def step_by_step(train: Callable[[Callable[..., None]], Any]) -> Iterator[Steps]:
    """The steps of a training loop that is not ours, some at a time.

    Parameters
    ----------
    train : callable
        Trains for long, and calls the function that it is given after every step.  It runs in a
        thread of its own, which waits wherever the steps that were asked for are done.
    """
    go, done = Semaphore(0), Semaphore(0)
    left, errors, over = 0, list[BaseException](), False

    def on_step(*_: Any, **__: Any) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            done.release()
            go.acquire()
            if over:
                raise _EndedError

    def run() -> None:
        go.acquire()
        try:
            if not over:
                train(on_step)
                raise RuntimeError("the training ended")
        except _EndedError:
            pass
        except BaseException as error:
            errors.append(error)
            done.release()

    def steps(calls: int) -> None:
        nonlocal left
        left = calls
        go.release()
        done.acquire()
        if errors:
            raise errors[0]

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        yield steps
    finally:
        over = True
        go.release()
        thread.join()


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


def machine(*distributions: str) -> str:
    """What was measured on, how busy it is, and versions: Python, NumPy, its BLAS, and others."""
    from threadpoolctl import threadpool_info

    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count()
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    blas = [
        " ".join(filter(None, (p["internal_api"], p["version"], p.get("architecture"))))
        for p in threadpool_info()
        if p["user_api"] == "blas"
    ]
    others = [f"{name} {version(name)}" for name in distributions if version(name)]
    return ", ".join(
        [f"{_processor()}, {cores} cores, load {load}; Python {platform.python_version()}",
         f"NumPy {np.__version__}", *blas, *others]
    )  # fmt: skip


def version(distribution: str) -> str:
    """The version of what is installed, or nothing."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return f"{names[0]} ({platform.machine()})" if names else platform.machine()


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
        One of `optimizers.OPTIMIZERS`.
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
        model, x, y, epochs=10**9, batch_size=batch_size, optimizer=optimizer, learning_rate=1e-5,
        schedule="constant", validation=0, limit=limit, on_step=on_step,
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
        The GPU (`xpnet.select`).
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
            for place in (xpnet.select("cpu"), device):
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
