"""Sums and maxima: which nodes are such, and the statements that merge their parts."""

import numpy as np

from xpnet.fast.cuda.expressions import TYPES, refuse_float16
from xpnet.fast.nodes import OPERATION, CannotRecordError, Node


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


def merged(root: Node, a: str, b: str) -> str:
    """Two parts of a sum or maximum as one."""
    return f"maximum({a}, {b})" if root.function is np.max else f"{a} + {b}"


def begin(root: Node, name: str, declare: bool = True) -> str:
    """A sum or maximum of nothing."""
    refuse_float16(root.dtype)
    start = "-__int_as_float(0x7f800000)" if root.function is np.max else "0"  # minus infinity
    if root.function is np.max and root.dtype.kind != "f":
        raise CannotRecordError(f"a maximum of {root.dtype}")
    return f"{TYPES[root.dtype.name] + ' ' if declare else ''}{name} = {start}"


def through_memory(root: Node, name: str, apart: int, place: str) -> list[str]:
    """Merge what threads `apart` from one another have; afterwards all have what is at `place`."""
    kind = TYPES[root.dtype.name]
    mine, other = (f"(({kind}*)memory)[{where}]" for where in ("threadIdx.x", "threadIdx.x + s"))
    return [
        f"{mine} = {name};",
        f"for (unsigned s = blockDim.x / 2; s >= {apart}; s /= 2) {{",
        "    __syncthreads();",
        f"    if (threadIdx.x < s) {mine} = {merged(root, mine, other)};",
        "}",
        "__syncthreads();",
        f"{name} = (({kind}*)memory)[{place}];",
        "__syncthreads();",
    ]
