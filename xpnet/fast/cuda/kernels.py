"""Kernels: CUDA source made of what was recorded, in one pass over memory where that is possible.

Each kernel is written from the core's own formulas, as `record` has them: for every activation,
loss and optimizer there is one generator, and no second copy.  A value is computed where it is
needed; what a kernel reads from memory are arrays that are stored, and what it writes are its
`roots`.  A kernel goes over the elements of one shape in one of three ways:

    map       a thread for an element
    rows      a warp for a row: its lanes take the columns, and a sum or maximum over them is
              exchanged between lanes, after which a further pass over the row may follow
    columns   a block for eight columns: its threads take the rows, and exchange sums through
              shared memory

A sum over everything is collected by each block; the block that finishes last adds up those of all
blocks, in their order, so that the result is the same every time.

Sizes and floating-point settings are arguments: the source is the same for batches of any size.
"""

from collections.abc import Mapping, Sequence

from xpnet.fast.cuda.expressions import TYPES, Expressions, Scope, indented, refuse_float16
from xpnet.fast.cuda.groups import COLUMNS, MAP, MOST_THREADS, ROWS, THREADS, TILE, WARP, Group
from xpnet.fast.cuda.indices import ZERO, Index, c_strides, flat, named
from xpnet.fast.cuda.reductions import begin, is_reduction, merged, reduced_axis, through_memory
from xpnet.fast.cuda.source import Source, source_of
from xpnet.fast.nodes import Node


class Writer(Expressions):
    """Writes the source of one group.

    Parameters
    ----------
    group : Group
    stored, strides
        As for `Expressions`; stored are variables, and the roots of all groups.
    levels : mapping of Node to int
        The pass in which each root of the group is computed.
    wanted : set of Node, optional
        Which reductions others read; by default all.
    """

    def __init__(
        self,
        group: Group,
        stored: set[Node],
        strides: Mapping[Node, tuple[tuple[int, ...], int]],
        levels: Mapping[Node, int],
        wanted: set[Node] | None = None,
    ) -> None:
        super().__init__(stored, strides)
        self.group, self.levels, self.wanted = group, levels, wanted
        self.level = 0  # the pass that is being written
        self.writes: dict[Node, set[Index]] = {}
        self.stores: list[str] = []
        self.collected: list[tuple[Node, str]] = []

    def may_load(self, node: Node, index: tuple[Index, ...]) -> bool:
        """Of its roots only what the same thread wrote in an earlier pass."""
        if node not in self.group.roots:
            return True
        over_all = node.shape == self.group.shape and not is_reduction(node)
        mine = over_all and index == self.canonical(node) and any(i.names for i in index)
        return mine and self.levels[node] < self.level

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
            index = (ZERO,) * len(shape)
        return tuple(ZERO if n == 1 else i for i, n in zip(index, shape, strict=True))

    def store(self, root: Node, name: str) -> str:
        """The statement that writes a root to memory."""
        refuse_float16(root.dtype)
        place = flat(self.canonical(root), c_strides(root.shape))
        self.writes.setdefault(root, set()).add(place)
        return f"{self.array(root)}[{self.text_of(place)}] = {name};"

    def compute(self, root: Node) -> None:
        """One element of a root that is no reduction."""
        index = self.canonical(root)
        self.stored.discard(root)  # here it is computed, not read
        name = self.value(root, index)
        self.stored.add(root)
        self.scope.know((root, index), name)
        self.stores.append(self.store(root, name))

    def accumulate(self, root: Node, name: str) -> str:
        """The statement that adds an element to a reduction."""
        (operand,) = root.arguments
        index = tuple(map(named, ("i", "j")[: len(operand.shape)]))
        value = self.operand(operand, operand, index, root.dtype)
        return f"{name} = {merged(root, name, value)};"

    def is_total(self, root: Node) -> bool:
        """Whether it is a sum or maximum of everything."""
        return is_reduction(root) and reduced_axis(root) is None

    def is_last(self, root: Node) -> bool:
        """Whether it is a number that depends on sums over everything."""
        return root.shape == () and self.group.shape != () and not is_reduction(root)

    def write(self) -> Source:
        group = self.group
        roots = [root for root in group.roots if not self.is_last(root)]
        if not group.shape:
            body = self.by_one_thread(roots)
        elif group.mode == MAP:
            body = self.by_elements(roots)
        else:
            body = self.by_lines(roots)
        if self.collected:
            body += self.finish([root for root in group.roots if self.is_last(root)])
        return source_of(self, group, body, self.writes, self.collected)

    def by_one_thread(self, roots: Sequence[Node]) -> list[str]:
        """Numbers, by a single thread."""
        self.scope = Scope(self.top, keeps=True)
        for root in roots:
            self.compute(root)
        return ["if (threadIdx.x == 0) {", *indented([*self.scope.lines, *self.stores]), "}"]

    def by_elements(self, roots: Sequence[Node]) -> list[str]:
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

    def by_lines(self, roots: Sequence[Node]) -> list[str]:
        """A warp for a row, or a block for some columns; several passes over each."""
        n, m = self.group.shape
        rows = self.group.mode == ROWS
        self.bounds |= {"i": n, "j": m}
        outer, inner = ("i", "j") if rows else ("j", "i")
        line = Scope(self.top, {outer})
        for self.level in range(1 + max(self.levels[root] for root in roots)):
            now = [root for root in roots if self.levels[root] == self.level]
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
        tiles = (
            f"for (Int tile = blockIdx.x * {TILE}; tile <= {last}; tile += gridDim.x * {TILE}) {{"
        )
        return [
            f"__shared__ double memory[{MOST_THREADS}];",
            f"const Int lane = threadIdx.x / {TILE};",
            *[tiles, *indented([column, *line.lines]), "}"],
        ]

    def goes_over(self, root: Node) -> bool:
        """Whether it is computed from every element of a line."""
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
        lanes = WARP if self.group.mode == ROWS else f"blockDim.x / {TILE}"
        line.lines += [
            f"for (Int {inner} = lane; {inner} < {length}; {inner} += {lanes}) {{",
            *indented([*self.scope.lines, *sums, *stores]),
            "}",
        ]
        self.scope = line
        for root, name in names.items():
            line.lines += self.exchange(root, name)
            line.know((root, self.canonical(root)), name)
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
        lines = [f"__shared__ double memory[{THREADS}];", "__shared__ bool last;"]
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
            "__threadfence();",
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
            self.scope.know((root, self.canonical(root)), name)
            if self.wanted is None or root in self.wanted:
                self.stores.append(self.store(root, name))
        for root in last:
            self.compute(root)
        final = [*self.scope.lines, *self.stores, "*finished = 0;"]
        return [*lines, "if (threadIdx.x == 0) {", *indented(final), "}"]


def each(name: str, length: str) -> str:
    """The head of a loop that goes over all elements with all threads."""
    first, every = "blockIdx.x * blockDim.x + threadIdx.x", "gridDim.x * blockDim.x"
    return f"for (Int {name} = {first}; {name} < {length}; {name} += {every})"
