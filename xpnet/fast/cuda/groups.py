"""Groups: what one kernel computes, in which way, and with how many threads."""

from dataclasses import dataclass
from math import prod

from xpnet.fast.nodes import Node, Shape

MAP, ROWS, COLUMNS = "map", "rows", "columns"
THREADS = 256  # of a block
MOST_THREADS = 1024  # of one that goes over long columns
WARP = 32
TILE = 8  # columns of a block: 32 bytes of float32, which memory gives at a time
MOST_BLOCKS = 1024


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


def blocks_of(group: Group) -> int:
    """How many blocks a kernel is launched with."""
    if not group.shape:
        return 1
    if group.mode == ROWS:
        blocks = -(-group.shape[0] // (THREADS // WARP))
    elif group.mode == COLUMNS:
        blocks = -(-group.shape[1] // TILE)
    else:
        blocks = -(-prod(group.shape) // THREADS)
    return max(1, min(blocks, MOST_BLOCKS))


def threads_of(group: Group) -> int:
    """How many threads a block has; many for few long columns, which wait for memory."""
    return MOST_THREADS if group.mode == COLUMNS and group.shape[0] >= MOST_THREADS else THREADS
