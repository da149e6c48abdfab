"""Microseconds per call: of blocks of calls that take turns, and of a training loop's steps."""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from threading import Semaphore, Thread
from time import perf_counter, process_time
from typing import Any

BLOCK_SECONDS = 0.03
WARM_UP = 0.1  # part of a block that runs before the clock does, to wake threads and fill caches

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


class _Training:
    """A training loop in a thread, which waits wherever the steps that were asked for are done."""

    def __init__(self, train: Callable[[Callable[..., None]], Any]) -> None:
        self.train = train
        self.go, self.done = Semaphore(0), Semaphore(0)
        self.left, self.errors, self.over = 0, list[BaseException](), False
        self.thread = Thread(target=self.run, daemon=True)

    def on_step(self, *_: Any, **__: Any) -> None:
        self.left -= 1
        if self.left <= 0:
            self.done.release()
            self.go.acquire()
            if self.over:
                raise _EndedError

    def run(self) -> None:
        self.go.acquire()
        try:
            if not self.over:
                self.train(self.on_step)
                raise RuntimeError("the training ended")
        except _EndedError:
            pass
        except BaseException as error:
            self.errors.append(error)
            self.done.release()

    def steps(self, calls: int) -> None:
        self.left = calls
        self.go.release()
        self.done.acquire()
        if self.errors:
            raise self.errors[0]

    def end(self) -> None:
        self.over = True
        self.go.release()
        self.thread.join()


@contextmanager
def step_by_step(train: Callable[[Callable[..., None]], Any]) -> Iterator[Steps]:
    """The steps of a training loop that is not ours, some at a time.

    Parameters
    ----------
    train : callable
        Trains for long, and calls the function that it is given after every step.  It runs in a
        thread of its own, which waits wherever the steps that were asked for are done.
    """
    training = _Training(train)
    training.thread.start()
    try:
        yield training.steps
    finally:
        training.end()
