"""Compare the kernels of random programs with NumPy on a GPU.

    python scripts/gpu_fuzz.py [--first 0] [--programs 200] [--seconds 60]

A program is a random sequence of the operations that a training step may use, on vectors (12,),
matrices (5, 12) and numbers.  Its seed determines it.  Each program runs twice: once into new
arrays, and twice in a row over its own arguments, as a training step does.  The results have to
agree with NumPy's to 1e-9; the seed of a program that differs or fails is printed.  A program is
refused if it cannot be recorded.

The exit code is 1 if a program failed or none was compared, 2 if there is no usable GPU.
"""

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np

from xpnet.arrays import namespace
from xpnet.device.selection import select_device
from xpnet.errors import DeviceError
from xpnet.fast.cuda.cublas import CupyProducts
from xpnet.fast.cuda.program import Program
from xpnet.fast.nodes import CannotRecordError
from xpnet.fast.record import KernelArray, variable

ROWS, COLUMNS = 5, 12
SHOWN = 3  # refusals that are printed
Step = Callable[..., Sequence[Any]]


class State:
    """The arrays that a random program has computed so far, and the choice among them.

    Parameters
    ----------
    seed : int
        Determines all choices, for arrays of any library.
    arguments : sequence of array
        Two vectors, two matrices, indices of rows, and a number of shape ().

    Attributes
    ----------
    cut, start : int
        Where an operation divides an axis; the first element that it takes.
    """

    def __init__(self, seed: int, arguments: Sequence[Any]) -> None:
        self.random, self.xp = Random(seed), namespace(arguments[0])
        self.vectors, self.matrices = [*arguments[:2]], [*arguments[2:4]]
        self.rows, self.numbers = arguments[4], [arguments[5]]
        self.cut = self.start = 1

    def v(self) -> Any:
        """Return one of the vectors."""
        return self.random.choice(self.vectors)

    def m(self) -> Any:
        """Return one of the matrices."""
        return self.random.choice(self.matrices)

    def s(self) -> Any:
        """Return one of the numbers."""
        return self.random.choice(self.numbers)

    def extend(self) -> None:
        """Compute one more vector, matrix and number."""
        self.cut, self.start = self.random.randint(1, COLUMNS - 1), self.random.randint(0, 11)
        self.vectors.append(self.random.choice(VECTORS)(self) * 0.9)
        self.matrices.append(self.random.choice(MATRICES)(self) * 0.8)
        self.numbers.append(self.random.choice(NUMBERS)(self))


Operation = Callable[[State], Any]

VECTORS: tuple[Operation, ...] = (
    lambda p: p.v() * 0.5 - p.v(),
    lambda p: p.xp.maximum(p.v(), p.v() - 0.1),
    lambda p: p.xp.where(p.v() > p.v(), p.v(), -p.v()),
    lambda p: p.xp.concat([p.v()[: p.cut] * 0.9, p.v()[p.cut :]]),
    lambda p: p.xp.concat([p.v()[p.cut :], p.v()[: p.cut] + 1]),
    lambda p: p.v()[::-1] * 0.7,
    lambda p: p.xp.sum(p.m(), axis=0),
    lambda p: p.xp.max(p.m(), axis=0) * 0.5,
    lambda p: p.xp.mean(p.m() * p.m(), axis=0),
    lambda p: p.v() * p.s() * 0.3,
    lambda p: p.xp.reshape(p.m(), (-1,))[p.start : p.start + COLUMNS],
    lambda p: p.xp.reshape(p.m().T, (-1,))[3 * p.cut : 3 * p.cut + COLUMNS],
    lambda p: p.v() / (1 + p.xp.abs(p.v())),
)
MATRICES: tuple[Operation, ...] = (
    lambda p: p.m() + p.m(),
    lambda p: p.m() * p.v(),
    lambda p: p.m() - p.xp.max(p.m(), axis=1, keepdims=True),
    lambda p: p.m() * p.xp.sum(p.m(), axis=1, keepdims=True) * 0.1,
    lambda p: p.m() - p.xp.mean(p.m(), axis=0),
    lambda p: p.xp.take(p.m(), p.rows, axis=0),
    lambda p: (p.m() @ p.m().T) @ p.m() * 0.02,
    lambda p: p.m()[::-1, :],
    lambda p: p.m()[:, ::-1] * 0.5,
    lambda p: p.xp.broadcast_to(p.xp.reshape(p.v(), (1, COLUMNS)), (ROWS, COLUMNS)) * 0.4 + p.m(),
    lambda p: p.xp.concat([p.m()[:2, :], p.m()[2:, :] * 2], axis=0),
    lambda p: p.xp.concat([p.m()[:, : p.cut], p.m()[:, p.cut :] * 0.5], axis=1),
    lambda p: p.xp.stack([p.v(), p.v() + 1, p.v() * 2, p.v(), p.v()], axis=0),
    lambda p: p.xp.exp(-p.xp.abs(p.m())),
    lambda p: p.m() * p.s() * 0.2,
    lambda p: p.m() / p.xp.sqrt(p.xp.sum(p.m() * p.m(), axis=1, keepdims=True) + 1),
)
NUMBERS: tuple[Operation, ...] = (
    lambda p: p.xp.sum(p.m()) * 0.05,
    lambda p: p.xp.max(p.xp.abs(p.v())),
    lambda p: p.s() * 0.5 + p.xp.sum(p.v()) * 0.1,
    lambda p: p.xp.max(p.m()) * 0.3,
    lambda p: p.s() / (1 + p.xp.abs(p.s())),
)


def program(seed: int) -> Step:
    """Return the random program of a seed: six arrays in; two vectors, two matrices, a number."""

    def step(*arguments: Any) -> Sequence[Any]:
        state = State(seed, arguments)
        for _ in range(state.random.randint(2, 9)):
            state.extend()
        v, m = state.v, state.m
        return v() * 1, v() + 0, m() + 0, m() * 1, state.numbers[-1] + 0

    return step


def random_arguments(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [
        rng.normal(size=COLUMNS),
        rng.normal(size=COLUMNS),
        rng.normal(size=(ROWS, COLUMNS)),
        rng.normal(size=(ROWS, COLUMNS)),
        rng.integers(0, ROWS, ROWS).astype(np.int32),
        np.asarray(rng.normal()),
    ]


def compare(seed: int, in_place: bool) -> str:
    """Run the program of a seed on the GPU and in NumPy; return what differs, or an empty string.

    Parameters
    ----------
    seed : int
    in_place : bool
        Whether the results replace the arguments, in two steps, or are written to new arrays.

    Raises
    ------
    CannotRecordError
        The program is refused.
    """
    cupy = importlib.import_module("cupy")
    step, host = program(seed), random_arguments(seed)
    stand_ins = [variable(a, KernelArray) for a in host]
    after = step(*stand_ins)
    with cupy.cuda.using_allocator(None):  # each array in its own allocation
        places = [cupy.asarray(a) for a in host]
        results = [cupy.empty(a.shape, a.dtype) for a in after]
        if in_place:
            results = [*places[:4], places[5]]
        kernels = Program(
            [(a.node, result) for a, result in zip(after, results, strict=True)],
            [(a.node, place) for a, place in zip(stand_ins, places, strict=True)],
            {}, CupyProducts(), [],
        )  # fmt: skip
        for number in range(2 if in_place else 1):
            kernels(cupy.zeros(1, np.int32), 0)
            with np.errstate(all="ignore"):
                expected = [np.array(a) for a in step(*host)]
            if in_place:
                host = [*expected[:4], host[4], expected[4]]
            for i, (result, numpy) in enumerate(zip(results, expected, strict=True)):
                ours = result.get()
                if not np.allclose(ours, numpy, rtol=1e-9, atol=1e-11, equal_nan=True):
                    error = np.max(np.abs(ours - numpy))
                    return f"step {number}, result {i}: max |a - b| is {error:.1e}"
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--first", type=int, default=0, help="First seed. [%(default)s]")
    parser.add_argument("--programs", type=int, default=200, help="Number of seeds. [%(default)s]")
    parser.add_argument("--seconds", type=float, default=60, help="Time limit. [%(default)s]")
    arguments = parser.parse_args()
    if arguments.first < 0 or arguments.programs < 1:
        parser.error("expected --first of 0 or more, and --programs of 1 or more")
    try:
        device = select_device("cuda", strict=True)
    except DeviceError as error:
        parser.exit(2, f"gpu_fuzz.py: {error}\n")
    print(device.why)
    start = time.perf_counter()
    compared = failed = refused = 0
    for seed in range(arguments.first, arguments.first + arguments.programs):
        for in_place in (False, True):
            try:
                problem = compare(seed, in_place)
                compared += 1
            except CannotRecordError as error:
                problem, refused = "", refused + 1
                if refused <= SHOWN:
                    print(f"seed {seed} is refused: {error}")
            except Exception as error:  # any error of a kernel, a compiler or CUDA is a finding
                problem = f"{type(error).__name__}: {str(error)[:300]}"
            if problem:
                failed += 1
                where = ", in place" if in_place else ""
                print(f"seed {seed}{where}: {problem}", flush=True)
        if time.perf_counter() - start > arguments.seconds:
            print(f"stopped after seed {seed}: the time limit is {arguments.seconds:g} s")
            break
    seconds = time.perf_counter() - start
    print(f"{compared} compared, {failed} failed, {refused} refused, {seconds:.0f} s")
    sys.exit(bool(failed) or not compared)


if __name__ == "__main__":
    main()
