"""Kernels: CUDA source made of what was recorded, in one pass over memory where that is possible.

Each kernel is written from the core's own formulas, as `record` has them: for every activation,
loss and optimizer there is one generator, and no second copy.  A value is computed where it is
needed; what a kernel reads from memory are arrays that are stored, and what it writes are its
`roots`.  A kernel goes over the elements of one shape in one of three ways:

    map       a thread for an element
    rows      a warp for a row: its lanes take the columns, and a sum or maximum over them is
              exchanged between lanes, after which a further pass over the row may follow
    columns   a block for eight columns: its threads take the rows, and sums go through shared memory

A sum over everything is collected by each block; the block that finishes last adds up those of all
blocks, in their order, so that the result is the same every time.

Sizes and floating-point settings are arguments: the source is the same for batches of any size.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from xpnet.fast.record import (
    CONSTANT,
    OPERATION,
    VIEW,
    CannotRecordError,
    Node,
    Shape,
    cast,
    concat,
    stack,
)

MAP, ROWS, COLUMNS = "map", "rows", "columns"
THREADS = 256  # of a block
WARP = 32
TILE = 8  # columns of a block: 32 bytes of float32, which memory gives at a time
MOST_BLOCKS = 1024
STEP = "step"  # the number of the step, in an index

HEADER = """\
#define INFINITE __int_as_float(0x7f800000)

template <class T> __device__ T maximum(T a, T b) { return a >= b || a != a ? a : b; }
template <class T> __device__ T minimum(T a, T b) { return a <= b || a != a ? a : b; }

__device__ float half(unsigned short bits) {  // a float16 as float
    const int exponent = bits >> 10 & 31;
    const float fraction = bits & 1023;
    float size = exponent == 0 ? ldexpf(fraction, -24)
        : exponent < 31 ? ldexpf(fraction + 1024, exponent - 25)
        : fraction == 0 ? INFINITE : INFINITE - INFINITE;
    return bits >> 15 ? -size : size;
}
"""

TYPES = {
    "bool": "bool", "int8": "signed char", "uint8": "unsigned char", "int16": "short",
    "uint16": "unsigned short", "int32": "int", "uint32": "unsigned int", "int64": "long long",
    "uint64": "unsigned long long", "float16": "unsigned short", "float32": "float",
    "float64": "double",
}  # fmt: skip
INFIX = {
    np.add: "+", np.subtract: "-", np.multiply: "*", np.divide: "/", np.less: "<",
    np.less_equal: "<=", np.greater: ">", np.greater_equal: ">=", np.equal: "==",
    np.not_equal: "!=", np.bitwise_and: "&", np.bitwise_or: "|", np.bitwise_xor: "^",
    np.left_shift: "<<", np.right_shift: ">>",
}  # fmt: skip
WRAPPING = {np.add, np.subtract, np.multiply, np.left_shift}  # what signed integers of C++ may not
FUNCTIONS = {
    np.exp: "exp", np.expm1: "expm1", np.log: "log", np.log1p: "log1p", np.sqrt: "sqrt",
    np.tanh: "tanh", np.cos: "cos", np.sin: "sin", np.power: "pow", np.absolute: "fabs",
}  # fmt: skip
WITHIN = {np.maximum: "maximum", np.minimum: "minimum"}
PLAIN_NUMBERS = (0.0, 0.5, 1.0, 2.0)  # that stand in the source; others are arguments


class MisalignedError(Exception):
    """A kernel would read what another of its threads computes."""


@dataclass(frozen=True)
class Index:
    """A whole number of which variables are known within a kernel: constant + Σ factor · name."""

    constant: int = 0
    terms: tuple[tuple[str, int], ...] = ()

    def __add__(self, other: "Index") -> "Index":
        factors = dict(self.terms)
        for name, factor in other.terms:
            factors[name] = factors.get(name, 0) + factor
        terms = tuple(sorted((name, factor) for name, factor in factors.items() if factor))
        return Index(self.constant + other.constant, terms)

    def times(self, factor: int) -> "Index":
        terms = tuple((name, factor * f) for name, f in self.terms) if factor else ()
        return Index(factor * self.constant, terms)

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.terms}


ZERO = Index()
Split = Callable[[Index, int], tuple[Index, Index]]


def named(name: str) -> Index:
    """The index that a variable is."""
    return Index(0, ((name, 1),))


def flat(index: Sequence[Index], strides: Sequence[int], offset: int = 0) -> Index:
    """The place in memory of an element."""
    place = Index(offset)
    for i, stride in zip(index, strides, strict=True):
        place = place + i.times(stride)
    return place


def c_strides(shape: Shape) -> tuple[int, ...]:
    """The strides, in elements, of an array whose last axis runs along memory."""
    strides = [1]
    for size in shape[:0:-1]:
        strides.append(strides[-1] * max(size, 1))
    return tuple(reversed(strides[: len(shape)]))


@cache
def layout(view: Node) -> tuple[int, tuple[int, ...]]:
    """Where in its base, counted in elements, a view begins, and its strides."""
    base = np.empty(view.arguments[0].shape, np.int8)  # takes no memory until it is touched
    seen = view.function(base)
    start = seen.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    return start, seen.strides


def base_index(view: Node, index: Sequence[Index], split: Split) -> tuple[Index, ...]:
    """The index in its base of an element of a view."""
    offset, strides = layout(view)
    place, found = flat(index, strides, offset), list[Index]()
    shape = view.arguments[0].shape
    for size in shape[:0:-1]:
        place, rest = split(place, size)
        found.append(rest)
    return (*([place] if shape else []), *reversed(found))


def divide(place: Index, size: int, bounds: Mapping[str, int]) -> tuple[Index, Index, bool]:
    """place as quotient · size + rest; and whether the rest is known to be below size.

    `bounds` has what variables are below; none of them is negative.
    """
    if size == 1:
        return place, ZERO, True
    q, r = divmod(place.constant, size) if place.constant >= 0 else (0, place.constant)
    whole = [(name, factor) for name, factor in place.terms if factor % size == 0]
    rest = Index(r, tuple(term for term in place.terms if term not in whole))
    known = all(name in bounds for name in rest.names)
    reach = [factor * (bounds[name] - 1) for name, factor in rest.terms] if known else []
    least = r + sum(min(a, 0) for a in reach)
    if least < 0 or not known:
        known = False
        if whole and least < 0:
            return ZERO, place, False
    fits = known and r + sum(max(a, 0) for a in reach) < size
    return Index(q, tuple((name, factor // size) for name, factor in whole)), rest, fits


@dataclass(eq=False)
class Scope:
    """Statements between two braces, and the values and variables that are known there."""

    parent: "Scope | None" = None
    own: set[str] = field(default_factory=set)
    keeps: bool = False  # whether what is computed in it has to stay in it
    lines: list[str] = field(default_factory=list)
    values: dict[Any, str] = field(default_factory=dict)

    def around(self) -> "Iterator[Scope]":
        """This one, and those around it, from the innermost."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent


@dataclass
class Source:
    """A kernel as text, and what it is called with.

    Attributes
    ----------
    name, text : str
    mode : str
        The group's.
    reads, writes : mapping of Node to set of Index
        The stored arrays, and which of their elements.
    arrays : list of Node
        In the order of the arguments; then come sizes, and numbers.
    sizes : list of int
    numbers : list of number of NumPy
    collected : list of dtype
        Of the sums over everything, which need memory for a number from each block.
    blocks : int
    """

    name: str
    text: str
    mode: str
    reads: dict[Node, set[Index]]
    writes: dict[Node, set[Index]]
    arrays: list[Node]
    sizes: list[int]
    numbers: list[Any]
    collected: list[Any]
    blocks: int


@dataclass(frozen=True)
class Group:
    """What one kernel computes.

    Attributes
    ----------
    mode : {"map", "rows", "columns"}
    shape : tuple of int
        Of the elements that it goes over.
    roots : tuple of Node
        What it computes, in the order of their making.
    """

    mode: str
    shape: Shape
    roots: tuple[Node, ...]


def is_reduction(node: Node) -> bool:
    """Whether it is a sum or a maximum of elements."""
    return node.kind == OPERATION and node.function in (np.sum, np.max)


def reduced_axis(node: Node) -> int | None:
    """The axis of a matrix over which a reduction goes; None if it is over everything."""
    (operand,) = node.arguments
    axis = node.keywords["axis"]
    if axis is None or len(operand.shape) == 1:
        return None
    if len(operand.shape) != 2 or not isinstance(axis, int):
        raise CannotRecordError(f"a reduction of {len(operand.shape)} axes over {axis}")
    return axis % 2


class Writer:
    """Writes the source of one group.

    Parameters
    ----------
    group : Group
    stored : collection of Node
        What can be read from memory: variables, and the roots of all groups.
    strides : mapping of Node to (tuple of int, int)
        Of variables that do not lie as usual: strides, and elements from one step to the next.
    levels : mapping of Node to int
        The pass in which each root of the group is computed.
    wanted : collection of Node, optional
        Which reductions others read.
    """

    def __init__(
        self,
        group: Group,
        stored: "set[Node]",
        strides: Mapping[Node, tuple[tuple[int, ...], int]],
        levels: Mapping[Node, int],
        wanted: "set[Node] | None" = None,
    ) -> None:
        self.group, self.stored, self.strides = group, set(stored), strides
        self.levels, self.wanted = levels, wanted
        self.local = set(group.roots)
        self.reads: dict[Node, set[Index]] = {}
        self.writes: dict[Node, set[Index]] = {}
        self.arrays: dict[Node, str] = {}
        self.sizes: dict[int, str] = {}
        self.numbers: dict[Any, tuple[str, Any]] = {}
        self.bounds: dict[str, int] = {}
        self.uses_step = False
        self.count = 0
        self.top = Scope()
        self.scope = self.top
        self.stores: list[str] = []
        self.collected: list[tuple[Node, str]] = []

    # Names

    def fresh(self, letter: str) -> str:
        self.count += 1
        return f"{letter}{self.count}"

    def size(self, number: int) -> str:
        """A size as it stands in the source."""
        if -2 < number < 2:
            return str(number)
        return self.sizes.setdefault(number, f"n{len(self.sizes)}")

    def number(self, value: Any, dtype: np.dtype[Any]) -> str:
        """A number of this type as it stands in the source."""
        if dtype.kind == "b":
            return "true" if value else "false"
        if dtype.kind in "iu":
            return f"({TYPES[dtype.name]}){int(value)}" if value < 0 else str(int(value))
        exact = dtype.type(value)
        if abs(exact) in PLAIN_NUMBERS and not (exact == 0 and np.signbit(exact)):
            return f"({float(exact)}{'f' if dtype.itemsize == 4 else ''})"
        name, _ = self.numbers.setdefault(
            (exact.tobytes(), dtype), (f"c{len(self.numbers)}", exact)
        )
        return name

    def array(self, node: Node) -> str:
        """The name of an argument."""
        return self.arrays.setdefault(node, f"a{len(self.arrays)}")

    def text_of(self, index: Index) -> str:
        """An index as an expression."""
        parts = []
        for name, factor in index.terms:
            self.uses_step = self.uses_step or name == STEP
            parts.append(name if factor == 1 else f"{name} * {self.size(factor)}")
        if index.constant or not parts:
            parts.append(self.size(index.constant))
        return " + ".join(parts)

    # Scopes

    def place(self, names: set[str]) -> Scope:
        """The outermost scope in which all these variables are known."""
        for scope in self.scope.around():
            if scope.keeps or scope.own & names or scope.parent is None:
                return scope
        raise AssertionError

    def known(self, key: Any) -> str | None:
        return next((s.values[key] for s in self.scope.around() if key in s.values), None)

    def define(self, key: Any, names: set[str], kind: str, expression: str, letter: str) -> str:
        """A new constant, as far outside as can be."""
        scope, name = self.place(names), self.fresh(letter)
        scope.lines.append(f"const {kind} {name} = {expression};")
        scope.values[key] = name
        if letter == "k":
            scope.own.add(name)
        return name

    def split(self, place: Index, size: int) -> tuple[Index, Index]:
        """place = quotient · size + rest, 0 <= rest < size."""
        quotient, rest, fits = divide(place, size, self.bounds)
        if fits:
            return quotient, rest
        text = self.text_of(rest)
        names = []
        for sign in "/%":
            key = text, sign, size
            name = self.known(key)
            if name is None:
                expression = f"({text}) {sign} {self.size(size)}"
                name = self.define(key, rest.names, "Int", expression, "k")
                if sign == "%":
                    self.bounds[name] = size
                elif all(a in self.bounds and f > 0 for a, f in rest.terms):
                    most = rest.constant + sum(f * (self.bounds[a] - 1) for a, f in rest.terms)
                    self.bounds[name] = most // size + 1
            names.append(name)
        return quotient + named(names[0]), named(names[1])

    # Values

    def value(self, node: Node, index: Sequence[Index]) -> str:
        """An expression of one element: the name of a constant, or a number."""
        index = tuple(ZERO if n == 1 else i for i, n in zip(index, node.shape, strict=True))
        if node.kind == CONSTANT and node.uniform:
            return self.number(node.value[(0,) * node.value.ndim], node.dtype)
        key = node, index
        found = self.known(key)
        if found is not None:
            return found
        names = {name for i in index for name in i.names}
        if node in self.stored or node.kind == CONSTANT:
            return self.load(node, index, names)
        if node.kind == VIEW:
            return self.value(node.arguments[0], base_index(node, index, self.split))
        if node.function in (concat, stack):
            return self.chosen(node, index, names)
        kind = TYPES[node.dtype.name]
        if node.dtype == np.float16:
            raise CannotRecordError("computing in float16")
        return self.define(key, names, kind, self.expression(node, index), "v")

    def load(self, node: Node, index: tuple[Index, ...], names: set[str]) -> str:
        """An element of a stored array."""
        if node in self.local and not self.is_mine(node, index):
            raise MisalignedError
        strides, step = self.strides.get(node, (c_strides(node.shape), 0))
        place = flat(index, strides) + Index(0, ((STEP, step),) if step else ())
        self.reads.setdefault(node, set()).add(place)
        element = f"{self.array(node)}[{self.text_of(place)}]"
        kind = TYPES[node.dtype.name]
        if node.dtype == np.float16:
            kind, element = "float", f"half({element})"
        return self.define((node, index), names, kind, element, "v")

    def is_mine(self, node: Node, index: tuple[Index, ...]) -> bool:
        """Whether this element of a root was written by the same thread in an earlier pass."""
        over_all = node.shape == self.group.shape and not is_reduction(node)
        return over_all and self.group.mode != MAP and index == self.canonical(node)

    def expression(self, node: Node, index: tuple[Index, ...]) -> str:
        """What an operation makes of its arguments."""
        function, arguments = node.function, node.arguments
        if function is np.arange:
            return self.text_of(index[0])
        if function is cast:
            (x,) = arguments
            return f"({TYPES[node.dtype.name]}){self.operand(x, node, index)}"
        if function is np.take:
            x, rows = arguments
            axis, n = node.keywords["axis"] % len(x.shape), len(rows.shape)
            row = self.value(rows, index[axis : axis + n])
            place = named(self.as_variable(row, x.shape[axis]))
            return self.value(x, (*index[:axis], place, *index[axis + n :]))
        if function is np.where:
            condition, a, b = (self.operand(x, node, index) for x in arguments)
            return f"{condition} ? {a} : {b}"
        if not isinstance(function, np.ufunc):
            raise CannotRecordError(f"the function {function.__name__}")
        kinds = [a.dtype if isinstance(a, Node) else type(a) for a in arguments]
        kinds = [a if a is not bool else np.dtype(bool) for a in kinds]
        *types, _ = function.resolve_dtypes((*kinds, None))
        given = [
            self.operand(a, node, index, dtype) for a, dtype in zip(arguments, types, strict=True)
        ]
        return call(function, given, types[0])

    def operand(
        self, x: Any, node: Node, index: tuple[Index, ...], dtype: np.dtype[Any] | None = None
    ) -> str:
        """An argument of an operation at the index that it is broadcast to, in this type."""
        if not isinstance(x, Node):
            return self.number(x, dtype or np.asarray(x).dtype)
        text = self.value(x, index[len(node.shape) - len(x.shape) :])
        return text if dtype in (None, x.dtype) else f"({TYPES[dtype.name]}){text}"

    def as_variable(self, name: str, size: int) -> str:
        """A value, such as the number of a row, as a variable of indices."""
        self.bounds[name] = size
        for scope in self.scope.around():
            if name in scope.values.values():
                scope.own.add(name)
        return name

    def chosen(self, node: Node, index: tuple[Index, ...], names: set[str]) -> str:
        """An element of joined arrays: of which, its place along the axis tells."""
        axis = node.keywords["axis"] % len(node.shape)
        place, kind = index[axis], TYPES[node.dtype.name]
        ends, start = [], 0
        for part in node.arguments:
            ends.append((part, start, start + (part.shape[axis] if node.function is concat else 1)))
            start = ends[-1][2]
        if node.function is stack:
            parts = [self.value(a, (*index[:axis], *index[axis + 1 :])) for a in node.arguments]
            text = parts[-1]
            for number, part in reversed([*enumerate(parts[:-1])]):
                text = f"{self.text_of(place)} == {number} ? {part} : {text}"
            return self.define((node, index), names, kind, text, "v")

        def at(start: int) -> tuple[Index, ...]:
            return (*index[:axis], place + Index(-start), *index[axis + 1 :])

        if not place.terms:
            part, start, _ = next(a for a in ends if a[1] <= place.constant < a[2])
            return self.value(part, at(start))
        outer, name = self.place(names), self.fresh("v")
        lines = [f"{kind} {name};"]
        before, inside = self.scope, place.names
        for number, (part, start, end) in enumerate(ends):
            last = number == len(ends) - 1
            text = "" if last else f"if ({self.text_of(place)} < {self.size(end)}) "
            # In the scope around: what is computed for one part must not be moved in front of it.
            self.scope = Scope(outer, set(inside))
            value = self.value(part, at(start))
            branch = [*self.scope.lines, f"{name} = {value};"]
            lines += [f"{'else ' if number else ''}{text}{{", *indented(branch), "}"]
        self.scope = before
        outer.lines += lines
        outer.values[node, index] = name
        return name

    # The kernel

    def canonical(self, node: Node) -> tuple[Index, ...]:
        """The index at which a root is computed."""
        group, shape = self.group, node.shape
        if shape == group.shape:
            index = tuple(map(named, ("i", "j")[: len(shape)]))
        elif group.mode == ROWS:
            index = (named("i"), ZERO)[: len(shape)]
        elif group.mode == COLUMNS:
            index = (ZERO, named("j"))[-len(shape) :]
        else:
            index = ()
        return tuple(ZERO if n == 1 else i for i, n in zip(index, shape, strict=True))

    def store(self, root: Node, name: str) -> str:
        """The statement that writes a root to memory."""
        place = flat(self.canonical(root), c_strides(root.shape))
        self.writes.setdefault(root, set()).add(place)
        return f"{self.array(root)}[{self.text_of(place)}] = {name};"

    def compute(self, root: Node) -> None:
        """One element of a root that is no reduction."""
        index = self.canonical(root)
        self.stored.discard(root)  # here it is computed, not read
        name = self.value(root, index)
        self.stored.add(root)
        self.scope.values[root, index] = name
        self.stores.append(self.store(root, name))

    def accumulate(self, root: Node, name: str) -> str:
        """The statement that adds an element to a reduction."""
        (operand,) = root.arguments
        index = tuple(map(named, ("i", "j")[: len(operand.shape)]))
        value = self.operand(operand, operand, index, root.dtype)
        return f"{name} = {merged(root, name, value)};"

    def is_total(self, root: Node) -> bool:
        return is_reduction(root) and reduced_axis(root) is None

    def is_last(self, root: Node) -> bool:
        """Whether it is a number that depends on sums over everything."""
        return root.shape == () and self.group.shape != () and not is_reduction(root)

    def write(self) -> Source:
        group = self.group
        roots = [root for root in group.roots if not self.is_last(root)]
        if not group.shape:
            body = self.single(roots)
        elif group.mode == MAP:
            body = self.map(roots)
        else:
            body = self.lines(roots)
        if self.collected:
            body += self.finish([root for root in group.roots if self.is_last(root)])
        return self.source(body)

    def single(self, roots: Sequence[Node]) -> list[str]:
        """A single thread: numbers."""
        self.scope = Scope(self.top, keeps=True)
        for root in roots:
            self.compute(root)
        return [*self.scope.lines, *self.stores]

    def map(self, roots: Sequence[Node]) -> list[str]:
        """A thread for an element."""
        shape = self.group.shape
        self.bounds |= dict(zip("ij", shape, strict=False))
        self.scope = Scope(self.top, {"i", "j"})
        sums = self.pass_over(roots)
        if len(shape) == 1:
            head, first = each("i", self.size(shape[0])), []
        else:
            elements, width = (self.size(n) for n in (shape[0] * shape[1], shape[1]))
            head = each("e", elements)
            first = [f"const Int i = e / {width}, j = e % {width};"]
        inner = [*first, *self.scope.lines, *sums, *self.stores]
        self.scope, self.stores = self.top, []
        return [f"{head} {{", *indented(inner), "}"]

    def pass_over(self, roots: Sequence[Node]) -> list[str]:
        """Compute the elements of the roots; gives the statements that add to the sums."""
        sums = []
        for root in roots:
            if not is_reduction(root):
                self.compute(root)
            elif self.is_total(root):
                name = self.fresh("t")
                self.top.lines.append(f"{begin(root, name)};")
                self.collected.append((root, name))
                sums.append(self.accumulate(root, name))
        return sums

    def lines(self, roots: Sequence[Node]) -> list[str]:
        """A warp for a row, or a block for some columns; several passes over each."""
        n, m = self.group.shape
        rows = self.group.mode == ROWS
        self.bounds |= {"i": n, "j": m}
        outer, inner = ("i", "j") if rows else ("j", "i")
        line = Scope(self.top, {outer})
        for level in range(1 + max(self.levels[root] for root in roots)):
            now = [root for root in roots if self.levels[root] == level]
            self.scope = line
            for root in now:
                if root.shape != self.group.shape and not is_reduction(root):
                    self.compute(root)
            line.lines += self.by_one_lane()
            self.one_pass(line, inner, [a for a in now if self.goes_over(a)])
        self.scope = self.top
        if rows:
            first = "(blockIdx.x * blockDim.x + threadIdx.x) / 32"
            loop = f"for (Int i = {first}; i < {self.size(n)}; i += gridDim.x * blockDim.x / 32) {{"
            return ["const Int lane = threadIdx.x % 32;", loop, *indented(line.lines), "}"]
        # Threads of columns that there are not do the last one again.
        last = f"{self.size(m)} - 1"
        column = f"const Int j = minimum<Int>(tile + threadIdx.x % {TILE}, {last});"
        tiles = f"for (Int tile = blockIdx.x * {TILE}; tile <= {last}; tile += gridDim.x * {TILE}) {{"
        return [
            "__shared__ double memory[256];",
            f"const Int lane = threadIdx.x / {TILE};",
            *[tiles, *indented([column, *line.lines]), "}"],
        ]

    def goes_over(self, root: Node) -> bool:
        return is_reduction(root) or root.shape == self.group.shape

    def by_one_lane(self) -> list[str]:
        """The statements that write numbers of a line."""
        stores, self.stores = self.stores, []
        return ["if (lane == 0) {", *indented(stores), "}"] if stores else []

    def one_pass(self, line: Scope, inner: str, roots: Sequence[Node]) -> None:
        """A loop over the elements of a line, and the exchange of what was summed."""
        if not roots:
            return
        self.scope = Scope(line, {inner})
        along = [root for root in roots if is_reduction(root) and not self.is_total(root)]
        sums = self.pass_over([root for root in roots if root not in along])
        names = {}
        for root in along:
            names[root] = self.fresh("r")
            line.lines.append(f"{begin(root, names[root])};")
            sums.append(self.accumulate(root, names[root]))
        stores, self.stores = self.stores, []
        length = self.size(self.group.shape[inner == "j"])
        lanes = WARP if self.group.mode == ROWS else THREADS // TILE
        line.lines += [
            f"for (Int {inner} = lane; {inner} < {length}; {inner} += {lanes}) {{",
            *indented([*self.scope.lines, *sums, *stores]),
            "}",
        ]
        self.scope = line
        for root, name in names.items():
            line.lines += self.exchange(root, name)
            line.values[root, self.canonical(root)] = name
            if self.wanted is None or root in self.wanted:
                self.stores.append(self.store(root, name))
        line.lines += self.by_one_lane()

    def exchange(self, root: Node, name: str) -> list[str]:
        """Merge what the lanes of a line have found; afterwards each has it."""
        if self.group.mode == ROWS:
            other = f"__shfl_xor_sync(0xffffffffu, {name}, s)"
            return [f"for (int s = 16; s > 0; s /= 2) {name} = {merged(root, name, other)};"]
        return through_memory(root, name, TILE, f"threadIdx.x % {TILE}")

    def finish(self, last: Sequence[Node]) -> list[str]:
        """Sums over everything: of a block, and by the block that is last those of all blocks."""
        lines = [] if self.group.mode == COLUMNS else ["__shared__ double memory[256];"]
        lines += ["__shared__ bool last;"]
        for number, (root, name) in enumerate(self.collected):
            lines += through_memory(root, name, 1, "0")
            lines.append(f"if (threadIdx.x == 0) p{number}[blockIdx.x] = {name};")
        lines += [
            "if (threadIdx.x == 0) {",
            "    __threadfence();",
            "    last = atomicAdd(finished, 1u) == gridDim.x - 1;",
            "}",
            "__syncthreads();",
            "if (!last) return;",
        ]
        self.scope = Scope(self.top, keeps=True)
        for number, (root, name) in enumerate(self.collected):
            part = f"((volatile {TYPES[root.dtype.name]}*)p{number})[b]"
            lines += [
                f"{begin(root, name, declare=False)};",
                f"for (unsigned b = threadIdx.x; b < gridDim.x; b += {THREADS}) "
                f"{name} = {merged(root, name, part)};",
                *through_memory(root, name, 1, "0"),
            ]
            self.scope.values[root, self.canonical(root)] = name
            if self.wanted is None or root in self.wanted:
                self.stores.append(self.store(root, name))
        for root in last:
            self.compute(root)
        final = [*self.scope.lines, *self.stores, "*finished = 0;"]
        return [*lines, "if (threadIdx.x == 0) {", *indented(final), "}"]

    def source(self, body: list[str]) -> Source:
        """The kernel around its body."""
        top = self.top.lines
        if self.uses_step:
            top = ["const Int step = *first + number;", *top]
        group = self.group
        written = set(self.writes)
        pointers = [
            f"{'' if node in written else 'const '}{TYPES[node.dtype.name]}* {name}"
            for node, name in self.arrays.items()
        ]
        partial = [
            f"{TYPES[root.dtype.name]}* p{number}" for number, (root, _) in enumerate(self.collected)
        ]
        arguments = [
            "const int* first", "int number", *pointers, *partial,
            *(["unsigned* finished"] if partial else []),
            *(f"Int {name}" for name in self.sizes.values()),
            *(f"{TYPES[value.dtype.name]} {name}" for name, value in self.numbers.values()),
        ]  # fmt: skip
        name = "_".join([group.mode, *(_word(root) for root in group.roots)])[:60].strip("_")
        large = any(_extent(node) >= 2**30 for node in self.arrays)
        text = "\n".join(
            [
                f"typedef {'long long' if large else 'int'} Int;",
                HEADER,
                f'extern "C" __global__ __launch_bounds__({THREADS})',
                f"void {name}({', '.join(arguments)}) {{",
                *indented([*top, *body]),
                "}\n",
            ]
        )
        return Source(
            name, text, group.mode, self.reads, self.writes, list(self.arrays), list(self.sizes),
            [value for _, value in self.numbers.values()],
            [root.dtype for root, _ in self.collected], blocks_of(group),
        )  # fmt: skip


def blocks_of(group: Group) -> int:
    """How many blocks a kernel is launched with."""
    if not group.shape:
        return 1
    if group.mode == ROWS:
        blocks = -(-group.shape[0] // (THREADS // WARP))
    elif group.mode == COLUMNS:
        blocks = -(-group.shape[1] // TILE)
    else:
        blocks = -(-int(np.prod(group.shape, dtype=np.int64)) // THREADS)
    return max(1, min(blocks, MOST_BLOCKS))


def call(function: np.ufunc, given: Sequence[str], dtype: np.dtype[Any]) -> str:
    """An operation on expressions of this type."""
    if dtype == np.float16:
        raise CannotRecordError("computing in float16")
    if function in INFIX:
        a, b = given
        if function in WRAPPING and dtype.kind == "i":
            kind, word = TYPES[dtype.name], TYPES[f"u{dtype.name}"]
            return f"({kind})(({word}){a} {INFIX[function]} ({word}){b})"
        return f"{a} {INFIX[function]} {b}"
    if function in WITHIN:
        return f"{WITHIN[function]}<{TYPES[dtype.name]}>({', '.join(given)})"
    if function is np.square:
        return f"{given[0]} * {given[0]}"
    if function is np.negative:
        return f"-{given[0]}"
    if function in FUNCTIONS and dtype.kind == "f":
        return f"{FUNCTIONS[function]}{'f' if dtype.itemsize == 4 else ''}({', '.join(given)})"
    raise CannotRecordError(f"the function {function.__name__} of {dtype}")


def merged(root: Node, a: str, b: str) -> str:
    """Two parts of a sum or maximum as one."""
    return f"maximum({a}, {b})" if root.function is np.max else f"{a} + {b}"


def begin(root: Node, name: str, declare: bool = True) -> str:
    """A sum or maximum of nothing."""
    start = "-INFINITE" if root.function is np.max else "0"
    if root.function is np.max and root.dtype.kind != "f":
        raise CannotRecordError(f"a maximum of {root.dtype}")
    return f"{TYPES[root.dtype.name] + ' ' if declare else ''}{name} = {start}"


def through_memory(root: Node, name: str, apart: int, place: str) -> list[str]:
    """Merge what threads `apart` from one another have; afterwards all have what is at `place`."""
    kind = TYPES[root.dtype.name]
    mine, other = (f"(({kind}*)memory)[{where}]" for where in ("threadIdx.x", "threadIdx.x + s"))
    return [
        f"{mine} = {name};",
        f"for (unsigned s = {THREADS // 2}; s >= {apart}; s /= 2) {{",
        "    __syncthreads();",
        f"    if (threadIdx.x < s) {mine} = {merged(root, mine, other)};",
        "}",
        "__syncthreads();",
        f"{name} = (({kind}*)memory)[{place}];",
        "__syncthreads();",
    ]


def each(name: str, length: str) -> str:
    """The head of a loop that goes over all elements with all threads."""
    first, every = "blockIdx.x * blockDim.x + threadIdx.x", "gridDim.x * blockDim.x"
    return f"for (Int {name} = {first}; {name} < {length}; {name} += {every})"


def indented(lines: Sequence[str]) -> list[str]:
    """The lines of a block."""
    return [f"    {line}" for line in lines]


def _word(node: Node) -> str:
    name = getattr(node.function, "__name__", "copy")
    return name if node.kind == OPERATION else "copy"


def _extent(node: Node) -> int:
    return int(np.prod(node.shape, dtype=np.int64))
