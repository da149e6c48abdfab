"""The source of a kernel: the text around its body, and what it is called with."""

from dataclasses import dataclass
from math import prod
from typing import Any

from xpnet.fast.cuda.expressions import FLOAT16, HEADER, TYPES, Expressions, indented
from xpnet.fast.cuda.groups import COLUMNS, MOST_THREADS, THREADS, Group, blocks_of, threads_of
from xpnet.fast.cuda.indices import Index, c_strides
from xpnet.fast.nodes import OPERATION, Node


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
    blocks, threads : int
        How many it is launched with; the latter of a block.
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
    threads: int


def source_of(
    values: Expressions,
    group: Group,
    body: list[str],
    writes: dict[Node, set[Index]],
    collected: list[tuple[Node, str]],
) -> Source:
    """The kernel around its body."""
    top = values.top.lines
    if values.uses_step:
        top = ["const Int step = *first + number;", *top]
    most = MOST_THREADS if group.mode == COLUMNS else THREADS
    name = "_".join([group.mode, *(_word(root) for root in group.roots)])[:60].strip("_")
    extents = [_extent(values, node) for node in values.arrays]
    large = max([prod(group.shape), *extents]) >= 2**30
    text = "\n".join(
        [
            f"typedef {'long long' if large else 'int'} Int;",
            HEADER + (FLOAT16 if values.uses_float16 else ""),
            f'extern "C" __global__ __launch_bounds__({most})',
            f"void {name}({', '.join(_arguments(values, {*writes}, collected))}) {{",
            *indented([*top, *body]),
            "}\n",
        ]
    )
    return Source(
        name, text, group.mode, values.reads, writes, list(values.arrays), list(values.sizes),
        [value for _, value in values.numbers.values()],
        [root.dtype for root, _ in collected], blocks_of(group), threads_of(group),
    )  # fmt: skip


def _arguments(
    values: Expressions, written: set[Node], collected: list[tuple[Node, str]]
) -> list[str]:
    """Declare the arguments: steps, arrays, partial sums, sizes, numbers."""
    pointers = [
        f"{'' if node in written else 'const '}{TYPES[node.dtype.name]}* {name}"
        for node, name in values.arrays.items()
    ]
    partial = [f"{TYPES[root.dtype.name]}* p{number}" for number, (root, _) in enumerate(collected)]
    return [
        "const int* first", "int number", *pointers, *partial,
        *(["unsigned* finished"] if partial else []),
        *(f"Int {name}" for name in values.sizes.values()),
        *(f"{TYPES[value.dtype.name]} {name}" for name, value in values.numbers.values()),
    ]  # fmt: skip


def _extent(values: Expressions, node: Node) -> int:
    """From the first element of an array to its last, both counted."""
    strides, _ = values.strides.get(node, (c_strides(node.shape), 0))
    return 1 + sum((n - 1) * abs(s) for n, s in zip(node.shape, strides, strict=True))


def _word(node: Node) -> str:
    name = getattr(node.function, "__name__", "copy")
    return name if node.kind == OPERATION else "copy"
