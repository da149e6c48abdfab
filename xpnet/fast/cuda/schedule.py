"""Scheduling: which arrays of a recording are stored, and which kernel or product makes each.

Stored are: results; matrix products and what goes into them; sums and maxima.  All else is
computed where it is read.  An array that consists of products and sums, as the gradient does, is
never joined: its parts are written where they belong.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import prod

import numpy as np

from xpnet.fast.cuda.expressions import MisalignedError
from xpnet.fast.cuda.groups import COLUMNS, MAP, ROWS, Group
from xpnet.fast.cuda.indices import Index, base_index, c_strides, divide, flat, named
from xpnet.fast.cuda.kernels import Writer
from xpnet.fast.cuda.reductions import is_reduction, reduced_axis
from xpnet.fast.cuda.source import Source
from xpnet.fast.nodes import (
    CONSTANT,
    OPERATION,
    VARIABLE,
    VIEW,
    CannotRecordError,
    Node,
    Shape,
    needed,
)
from xpnet.fast.record import concat

MOST_READ = 12  # arrays that one number is made of; what would need more is stored on the way
MOST_ARRAYS = 40  # arguments of a kernel: CUDA has room for 4 KB of them
REACH = 4  # launches back to where a kernel may be joined: what it stores waits there in memory

Strides = dict[Node, tuple[tuple[int, ...], int]]


@dataclass(frozen=True)
class Matrix:
    """How a stored array is read as a matrix: where it begins, and its strides in elements."""

    node: Node
    offset: int
    strides: tuple[int, int]
    shape: Shape


@dataclass(frozen=True)
class Product:
    """A matrix product: node = a b."""

    node: Node
    a: Matrix
    b: Matrix


@dataclass
class Schedule:
    """The kernels and products of a step, in their order.

    Parameters
    ----------
    results : sequence of Node
        What is computed.
    strides : mapping of Node to (tuple of int, int)
        As for `kernels.Writer`.

    Attributes
    ----------
    launches : list of Source or Product
    parts : mapping of Node to (Node, int)
        What is written into a part of a longer array, and where that begins.
    stored : set of Node
    """

    results: Sequence[Node]
    strides: Strides
    launches: list[Source | Product] = field(init=False)
    parts: dict[Node, tuple[Node, int]] = field(init=False, default_factory=dict)
    stored: set[Node] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        nodes = sorted(needed(self.results), key=lambda node: node.number)
        self._read: dict[Node, set[Node]] = {}  # the stored arrays of which a node is made
        self._factors: dict[Node, tuple[Matrix, Matrix]] = {}
        self._wholes: set[Node] = set()  # what consists of parts
        wanted = {node for node in self.results if node.kind not in (CONSTANT, VARIABLE)}
        self._choose(nodes, wanted)
        self._at: dict[Node, int] = {}  # the launch that computes a stored array
        self._groups: list[Group | Product] = []
        for node in nodes:
            if node in self.stored:
                self._schedule(node)
        self.launches = self._written()

    def whole(self, node: Node) -> Node:
        """The array in whose memory a stored one is: itself, or what it is a part of."""
        while node in self.parts:
            node, _ = self.parts[node]
        return node

    # What is stored

    def _choose(self, nodes: Sequence[Node], wanted: set[Node]) -> None:
        into_products = {
            base
            for node in nodes
            if node.function is np.matmul
            for base in map(_base, node.sources)
            if len(base.shape) <= 2
        }
        for node in nodes:
            if (
                node.kind == VARIABLE
                or node.function is np.matmul
                or is_reduction(node)
                or node in wanted
                or (node.kind == OPERATION and (node in into_products or self._is_assembled(node)))
            ):
                self.stored.add(node)
            read = self._sources(node)
            # Gradients of several batches are added up one by one, or all would be kept.
            many = len(read) > MOST_READ or len(read & self._wholes) > 1
            if node.kind == OPERATION and many:
                self.stored.add(node)
            self._read[node] = {node} if node in self.stored else read
        for node in nodes:
            if node.function is np.matmul:
                a, b = (self._matrix(source) for source in node.sources)
                self._factors[node] = a, b
        for node in nodes:  # anew, for factors that are stored since
            self._read[node] = {node} if node in self.stored else self._sources(node)

    def _sources(self, node: Node) -> set[Node]:
        """The stored arrays that are read to compute a node."""
        found: set[Node] = set()
        for source in node.sources if node.kind != VARIABLE else ():
            if source.kind != CONSTANT:
                found |= self._read[source]
        return found

    def _is_assembled(self, node: Node) -> bool:
        """Whether it is joined of products and sums, which are then parts of it."""
        if node.function is not concat or len(node.shape) != 1:
            return False
        parts = [_unshaped(part) for part in node.arguments]
        if len({*parts}) < len(parts) or any(part in self.parts for part in parts):
            return False
        if not all(self._can_be_placed(part) and part.dtype == node.dtype for part in parts):
            return False
        start = 0
        for part in parts:
            self.parts[part] = node, start
            start += prod(part.shape)
        self._wholes.add(node)
        return True

    def _can_be_placed(self, part: Node) -> bool:
        made = part.function is np.matmul or is_reduction(part)
        placed = made or part in self._wholes
        return part.kind == OPERATION and placed and part not in self.results

    def _matrix(self, node: Node) -> Matrix:
        """A factor of a product as it lies in memory; what does not lie so is stored anew."""
        index: tuple[Index, ...] = (named("i"), named("j"))
        bounds = dict(zip("ij", node.shape, strict=True))

        def split(place: Index, size: int) -> tuple[Index, Index]:
            quotient, rest, fits = divide(place, size, bounds)
            if not fits:
                raise MisalignedError
            return quotient, rest

        base = node
        try:
            while base not in self.stored and base.kind == VIEW:
                index, base = base_index(base, index, split), base.arguments[0]
            if base not in self.stored or base in self.strides:
                raise MisalignedError
            place = flat(index, c_strides(base.shape))
            factors = dict(place.terms)
            strides = factors.get("i", 0), factors.get("j", 0)
            if not _is_for_blas(strides, node.shape):
                raise MisalignedError
        except MisalignedError:
            self.stored.add(node)
            return Matrix(node, 0, (node.shape[1], 1), node.shape)
        return Matrix(base, place.constant, strides, node.shape)

    # Which kernel computes it

    def _schedule(self, node: Node) -> None:
        if node.kind == VARIABLE:
            self._at[node] = -1
        elif node in self._wholes:  # it is there when the last of its parts is
            parts = [part for part, (whole, _) in self.parts.items() if whole is node]
            self._at[node] = max(self._at[part] for part in parts) + 1
        elif node.function is np.matmul:
            self._add(node, Product(node, *self._factors[node]))
        else:
            self._join(node)

    def _add(self, node: Node, launch: Group | Product) -> None:
        self._groups.append(launch)
        self._at[node] = len(self._groups) - 1

    def _join(self, node: Node) -> None:
        """Into the first kernel that can compute it, or into one of its own."""
        after = max((self._at[source] for source in self._sources(node)), default=-1)
        first = max(after, len(self._groups) - REACH if node.shape else 0, 0)
        for i in range(first, len(self._groups)):
            group = self._groups[i]
            if isinstance(group, Group):
                larger = self._with(group, node)
                if larger is not None:
                    self._groups[i] = larger
                    self._at[node] = i
                    return
        shape = node.arguments[0].shape if is_reduction(node) else node.shape
        self._add(node, Group(_mode(node), shape, (node,)))
        if len(shape) > 2:
            raise CannotRecordError(f"an array of {len(shape)} axes")

    def _with(self, group: Group, node: Node) -> Group | None:
        """The group with one root more, if one kernel can compute all of them."""
        mine = self._sources(node) & {*group.roots}
        totals = any(is_reduction(a) and reduced_axis(a) is None for a in group.roots)
        mode = group.mode
        if is_reduction(node):
            mode = _mode(node)
            total = mode == MAP
            if group.shape != node.arguments[0].shape:
                return None
            if total:
                mode = group.mode
            if group.mode not in (MAP, mode) or (mode == COLUMNS and (total or totals)):
                return None
        elif node.shape != group.shape:
            n_lines = {ROWS: group.shape[:1], COLUMNS: group.shape[1:]}.get(mode, ())
            of_lines = n_lines and prod(node.shape) == n_lines[0] and _along(node.shape, mode)
            if not mine or not (of_lines or (node.shape == () and totals)):
                return None
        larger = Group(mode, group.shape, (*group.roots, node))
        try:
            source = self._write(larger)
        except MisalignedError:
            return None
        return larger if len(source.arrays) <= MOST_ARRAYS else None

    def _write(self, group: Group, wanted: set[Node] | None = None) -> Source:
        levels = dict.fromkeys(group.roots, 0)
        for root in group.roots:
            for source in self._sources(root) & {*group.roots}:
                later = is_reduction(source) and reduced_axis(source) is not None
                levels[root] = max(levels[root], levels[source] + later)
        return Writer(group, self.stored, self.strides, levels, wanted).write()

    def _written(self) -> list[Source | Product]:
        """All kernels as text, from the last, so that it is known what others read."""
        wanted = {*self.results, *self.parts}
        launches: list[Source | Product] = []
        for launch in reversed(self._groups):
            if isinstance(launch, Product):
                wanted |= {launch.a.node, launch.b.node}
                launches.append(launch)
            else:
                source = self._write(launch, wanted)
                wanted |= {*source.reads}
                launches.append(source)
        return launches[::-1]


def _base(node: Node) -> Node:
    """What a view is of."""
    while node.kind == VIEW:
        (node,) = node.arguments
    return node


def _unshaped(part: Node) -> Node:
    """An array in another shape, as it was before."""
    while (
        part.kind == VIEW
        and isinstance(part.function, partial)
        and part.function.func is np.reshape
    ):
        (part,) = part.arguments
    return part


def _is_for_blas(strides: tuple[int, int], shape: Shape) -> bool:
    """Whether the elements of a row, or of a column, lie one after another."""
    rows, columns = strides
    by_rows = (columns == 1 or shape[1] == 1) and (rows >= shape[1] or shape[0] == 1)
    by_columns = (rows == 1 or shape[0] == 1) and (columns >= shape[0] or shape[1] == 1)
    return by_rows or by_columns


def _mode(node: Node) -> str:
    """The mode of a kernel that computes a node alone."""
    if not is_reduction(node):
        return MAP
    return {None: MAP, 0: COLUMNS, 1: ROWS}[reduced_axis(node)]


def _along(shape: Shape, mode: str) -> bool:
    """Whether an array of this shape has a number for each line of a kernel in that mode."""
    if len(shape) == 1:
        return True
    return len(shape) == 2 and shape[1 if mode == ROWS else 0] == 1


def read_by(launch: Source | Product) -> Iterator[Node]:
    """The stored arrays that a launch reads."""
    if isinstance(launch, Product):
        yield from (launch.a.node, launch.b.node)
    else:
        yield from launch.reads


def written_by(launch: Source | Product) -> Iterator[Node]:
    """The stored arrays that a launch writes."""
    if isinstance(launch, Product):
        yield launch.node
    else:
        yield from launch.writes
