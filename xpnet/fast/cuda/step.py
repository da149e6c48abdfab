"""`CudaStep`: a training step on a GPU in place, launched one by one or as a CUDA graph.

A step is some ten launches, which Python makes one after another (fused), or which were captured
in a CUDA graph, several steps in one, and are launched together (captured).  Either way nothing is
allocated, copied to the host or waited for.

What changes from step to step lies in tables on the device.  A kernel reads the row of step
`*first + number`: in a graph `first` is a counter, which the graph itself moves on.
"""

import importlib
import warnings
from collections.abc import Collection
from math import prod
from typing import Any, NamedTuple

import numpy as np

from xpnet.arrays import Array
from xpnet.errors import UsageError
from xpnet.fast.cuda.cublas import Cublas, CublasError, CupyProducts
from xpnet.fast.cuda.indices import c_strides
from xpnet.fast.cuda.program import Program, compiled
from xpnet.fast.cuda.schedule import Strides
from xpnet.fast.nodes import CONSTANT, VARIABLE, CannotRecordError
from xpnet.fast.record import KernelArray, variable
from xpnet.fast.steps import (
    InPlaceStep,
    State,
    StepFunction,
    Tables,
    leaves,
    reason,
    warn_of_the_plain_path,
)

TOGETHER = 16  # steps in one graph
LONG_STEP = 2e10
"""Multiplications of a step up to which it is captured.  A launch takes Python 5 to 10 µs and a
graph's 1 to 2: of some ten launches that is 0.1 ms, a twentieth of the time that so many
multiplications take on a GPU of 20 TFLOP/s.  Beyond that capturing is not worth its own time."""

ADVANCE = """\
extern "C" __global__ void advance(int* first, int steps) { *first += steps; }
"""


class Prepared(NamedTuple):
    """A program, and the graphs of so many steps of it."""

    program: Program
    graphs: dict[int, Any]


class CudaStep(InPlaceStep):
    """A step on CuPy, as few launches.

    Parameters
    ----------
    step, constants, unchanged
        As for `InPlaceStep`.
    capture : bool, optional
        Whether steps are captured in CUDA graphs; by default where that pays (`LONG_STEP`).
    quiet : bool
        Whether nothing is said where the step has to be called as it is written.
    """

    def __init__(
        self,
        step: StepFunction,
        constants: tuple[Array | None, ...],
        unchanged: Collection[str],
        capture: bool | None,
        quiet: bool,
    ) -> None:
        super().__init__(step, constants, unchanged)
        self._cupy = importlib.import_module("cupy")
        self._capture, self._quiet = capture, quiet
        self._tables: Tables | None = None  # as they were given
        self._own: list[Array | None] = []  # what they are copied to
        self._memory: list[Array] = []
        self._prepared: dict[bool, Prepared | None] = {}  # for all steps but the last; for that
        self._zero, self._counter = (self._cupy.zeros(1, dtype=np.int32) for _ in range(2))
        self._counted: int | None = None  # what is in the counter
        self._samples = 0  # of a step
        self._full = 0  # how many steps have so many
        self._ahead = 0  # how many steps of the epoch are launched
        self._products: Cublas | CupyProducts
        try:
            self._products = Cublas()
        except CublasError as error:
            self._products = CupyProducts()
            self._stop_capturing(error)

    def __call__(self, state: State, tables: Tables, i: int) -> State:
        """The state after step i at least: always the same arrays, written over."""
        if state is not self._state:
            self._take(state)
        if tables is not self._tables:
            self._load(tables)
        if i < self._ahead:
            return self._state
        short = i >= self._full
        first_time = short not in self._prepared
        if first_time:
            self._prepared[short] = self._prepare(tables.at(i))
        prepared = self._prepared[short]
        if prepared is None:
            self._take(self._step(self._constants, self._state, *tables.at(i)))
            self._ahead = i + 1
            return self._state
        count, graph = 1, None
        if self._is_captured(prepared.program):
            count = 1 if short else (self._full - i) % TOGETHER or TOGETHER
            graph = None if first_time else self._graph(prepared, count)  # all has to run before
        if graph is None:
            self._products.use(self._cupy.cuda.get_current_stream())
            for number in range(i, i + count):
                prepared.program(self._zero, number)
        else:
            if self._counted != i:
                self._counter.fill(i)
            graph.launch()
            self._counted = i + count
        self._ahead = i + count
        return self._state

    def _take(self, state: State) -> None:
        """Let ours be equal to these."""
        if self._state is None:
            self._adopt(state, [self._cupy.array(a, order="C") for a in leaves(state)])
            return
        for _, mine, new in self._news(state):
            self._cupy.copyto(mine, new)

    def _load(self, tables: Tables) -> None:
        """Let ours be equal to these, where the kernels find them."""
        given = tables.rows, tables.scalars, tables.keys
        shapes = [None if a is None else a.shape for a in given]
        before = [None if a is None else a.shape for a in self._own]
        if before != shapes or tables.samples_per_step != self._samples:
            self._own = [None if a is None else self._cupy.empty_like(a) for a in given]
            self._prepared.clear()
        for mine, new in zip(self._own, given, strict=True):
            if mine is not None:
                self._cupy.copyto(mine, new)
        self._tables, self._ahead, self._counted = tables, 0, None
        self._full = len(tables.rows) // tables.samples_per_step
        self._samples = tables.samples_per_step

    def _prepare(self, arguments: tuple[Array | None, ...]) -> Prepared | None:
        """The program for arguments of these shapes; None if there can be none."""
        try:
            return Prepared(self._program(arguments), {})
        except self._cupy.cuda.memory.OutOfMemoryError:
            raise
        except UsageError:  # of the step itself
            raise
        except Exception as error:  # a fault of the step itself will show when it is called
            if not self._quiet:
                warn_of_the_plain_path(error)
            self._quiet = True
            return None

    def _program(self, arguments: tuple[Array | None, ...]) -> Program:
        def recorded(array: Array | None) -> KernelArray | None:
            return None if array is None else variable(array, KernelArray)  # type: ignore

        constants = tuple(map(recorded, self._constants))
        before, given = (tuple(map(recorded, arrays)) for arrays in (self._arrays, arguments))
        strides: Strides = {}
        for a, array in zip(constants, self._constants, strict=True):
            if a is not None and array is not None and not array.flags.c_contiguous:
                strides[a.node] = tuple(s // array.itemsize for s in array.strides), 0
        steps = self._samples, *(prod(a.shape[1:]) for a in self._own[1:] if a is not None)
        for a, step in zip((a for a in given if a is not None), steps, strict=True):
            strides[a.node] = c_strides(a.shape), step
        results = self._results(self._after(constants, before, given))
        if any(node.kind in (CONSTANT, VARIABLE) for node, _ in results):
            raise CannotRecordError("a result that is not computed")
        pairs = [
            *zip(constants, self._constants, strict=True),
            *zip(before, self._arrays, strict=True),
            *zip(given, self._own, strict=True),
        ]
        variables = [(a.node, place) for a, place in pairs if a is not None]
        return Program(results, variables, strides, self._products, self._memory)

    # CUDA graphs

    def _is_captured(self, program: Program) -> bool:
        if self._capture is None:
            return program.multiplications < LONG_STEP
        return self._capture

    def _graph(self, prepared: Prepared, count: int) -> Any:
        """So many steps as one graph; None if they cannot be captured."""
        if count not in prepared.graphs:
            try:
                prepared.graphs[count] = self._captured(prepared.program, count)
            except (RuntimeError, CublasError) as error:
                self._stop_capturing(error)
                return None
        return prepared.graphs[count]

    def _captured(self, program: Program, count: int) -> Any:
        stream = self._cupy.cuda.Stream(non_blocking=True)
        advance = compiled(ADVANCE, "advance", self._cupy.cuda.Device().id)
        advance((1,), (1,), (self._zero, np.int32(0)))  # no kernel is loaded while capturing
        with stream:
            self._products.use(stream)
            stream.begin_capture()
            try:
                for number in range(count):
                    program(self._counter, number)
                advance((1,), (1,), (self._counter, np.int32(count)))
            finally:
                graph = stream.end_capture()
        self._products.use(self._cupy.cuda.get_current_stream())
        return graph

    def _stop_capturing(self, error: Exception) -> None:
        """Go on without graphs, and say why."""
        if self._capture is not False:
            warnings.warn(
                f"steps are not captured in CUDA graphs ({reason(error)}): they are launched "
                "one kernel after another, with the same results",
                RuntimeWarning,
                stacklevel=2,
            )
        self._capture = False
