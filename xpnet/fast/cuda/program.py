"""Programs: a schedule on arrays that are there already, as launches one after another.

Results take the place of what they are made from where nothing is lost by it; all else has memory
of its own, which is used again as soon as nobody reads it any more.  So a step allocates nothing.
"""

import importlib
from collections.abc import Callable, Sequence
from functools import cache, partial
from math import prod
from typing import Any

import numpy as np

from xpnet.arrays import Array
from xpnet.fast.cuda.cublas import Cublas, CupyProducts
from xpnet.fast.cuda.groups import MAP
from xpnet.fast.cuda.schedule import Matrix, Product, Schedule, Strides, read_by, written_by
from xpnet.fast.cuda.source import Source
from xpnet.fast.nodes import Node


@cache
def compiled(text: str, name: str, device: int) -> Any:
    """A kernel, compiled for the current device."""
    return importlib.import_module("cupy").RawModule(code=text).get_function(name)


class Program:
    """The launches of one step.

    Parameters
    ----------
    results : sequence of (Node, array)
        What is computed, and where it is afterwards: a variable's array, or another.
    variables : sequence of (Node, array)
        Where the numbers of each variable are.
    strides : mapping of Node to (tuple of int, int)
        As for `kernels.Writer`.
    products : Cublas or CupyProducts
    memory : list of uint8 array
        For intermediate results, as that of another program, if they run one after another; what
        is needed beside is added.

    Attributes
    ----------
    multiplications : int
        Of the products.
    """

    def __init__(
        self,
        results: Sequence[tuple[Node, Array]],
        variables: Sequence[tuple[Node, Array]],
        strides: Strides,
        products: Cublas | CupyProducts,
        memory: list[Array],
    ) -> None:
        self._cupy = importlib.import_module("cupy")
        schedule = Schedule([node for node, _ in results], strides)
        launches = schedule.launches
        self.multiplications = sum(
            prod(a.node.shape) * a.a.shape[1] for a in launches if isinstance(a, Product)
        )
        self._places = dict(variables)
        copies = self._put_results(results, launches)
        self._allocate(schedule, [node for node, _ in copies], memory)
        device = self._cupy.cuda.Device().id
        self._launches: list[Callable[[Any, Any], Any]] = []
        for launch in launches:
            if isinstance(launch, Product):
                self._launches.append(_alone(self._product(launch, products)))
            else:
                self._launches.append(self._kernel(launch, device))
        for node, array in copies:
            self._launches.append(_alone(partial(self._cupy.copyto, array, self._places[node])))

    def __call__(self, first: Array, number: int) -> None:
        """Step `*first + number`."""
        for launch in self._launches:
            launch(first, np.int32(number))

    def _put_results(
        self, results: Sequence[tuple[Node, Array]], launches: Sequence[Source | Product]
    ) -> list[tuple[Node, Array]]:
        """Results take the place of their variable where nothing is lost; the others are copied."""
        of_array = {id(array): node for node, array in self._places.items()}
        copies = []
        for node, array in results:
            variable = of_array.get(id(array))
            if node in self._places or not _can_replace(node, variable, launches):
                copies.append((node, array))
            else:
                self._places[node] = array
        return copies

    def _allocate(self, schedule: Schedule, kept: Sequence[Node], memory: list[Array]) -> None:
        """Memory for all else: what nobody reads any more is used again."""
        last: dict[Node, int] = {}
        for i, launch in enumerate(schedule.launches):
            for node in (*read_by(launch), *written_by(launch)):
                last[schedule.whole(node)] = i
        last |= dict.fromkeys(kept, len(schedule.launches))
        free, taken = list(memory), dict[Node, Array]()
        for i, launch in enumerate(schedule.launches):
            for node in written_by(launch):
                self._place(node, schedule, free, taken, memory)
            for node in [node for node in taken if last[node] <= i]:
                free.append(taken.pop(node))
        for launch in schedule.launches:
            for node in read_by(launch):
                if node not in self._places:  # a constant, or joined of parts
                    self._places[node] = self._cupy.asarray(np.ascontiguousarray(node.value))

    def _place(
        self,
        node: Node,
        schedule: Schedule,
        free: list[Array],
        taken: dict[Node, Array],
        memory: list[Array],
    ) -> None:
        if node in self._places:
            return
        if node in schedule.parts:
            whole, start = schedule.parts[node]
            self._place(whole, schedule, free, taken, memory)
            part = self._places[whole][start : start + prod(node.shape)]
            self._places[node] = part.reshape(node.shape)
            return
        size = max(node.nbytes, 1)
        fitting = [a for a in free if a.nbytes >= size]
        if fitting:
            found = min(fitting, key=lambda a: a.nbytes)
            free[:] = [a for a in free if a is not found]
        else:
            found = self._cupy.empty(size, dtype=np.uint8)
            memory.append(found)
        taken[node] = found
        self._places[node] = found[: node.nbytes].view(node.dtype).reshape(node.shape)

    def _kernel(self, source: Source, device: int) -> Callable[[Any, Any], Any]:
        """A function that launches a kernel."""
        function = compiled(source.text, source.name, device)
        size = np.int64 if source.text.startswith("typedef long long") else np.int32
        collected = [self._cupy.empty(source.blocks, dtype) for dtype in source.collected]
        arguments = (
            *(self._places[node] for node in source.arrays),
            *collected,
            *([self._cupy.zeros(1, dtype=np.uint32)] if collected else []),
            *map(size, source.sizes),
            *source.numbers,
        )
        grid, block = (source.blocks,), (source.threads,)

        def launch(first: Any, number: Any) -> None:
            function(grid, block, (first, number, *arguments))

        return launch

    def _product(self, product: Product, products: Cublas | CupyProducts) -> Callable[[], None]:
        a, b = (self._matrix(factor) for factor in (product.a, product.b))
        return products.product(self._places[product.node], a, b)

    def _matrix(self, matrix: Matrix) -> Array:
        """The array that a factor is."""
        base = self._places[matrix.node].reshape(-1)[matrix.offset :]
        strides = tuple(stride * base.itemsize for stride in matrix.strides)
        return self._cupy.lib.stride_tricks.as_strided(base, matrix.shape, strides)


def _alone(function: Callable[[], Any]) -> Callable[[Any, Any], Any]:
    """A launch that is the same in every step."""
    return lambda first, number: function()


def _can_replace(node: Node, variable: Node | None, launches: Sequence[Source | Product]) -> bool:
    """Whether a result may be written over what it takes the place of, and nothing is lost."""
    writer = next((i for i, a in enumerate(launches) if node in written_by(a)), None)
    if writer is None or variable is None:
        return writer is not None
    if any(variable in read_by(launch) for launch in launches[writer + 1 :]):
        return False
    launch = launches[writer]
    if isinstance(launch, Product):
        return variable not in read_by(launch)
    if variable not in launch.reads or (node.shape == () and launch.collected):
        return True
    return launch.mode == MAP and launch.reads[variable] == launch.writes[node]
