"""Nodes: the arrays of a recording, and how each is made of others."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import prod
from typing import Any

import numpy as np

from xpnet.arrays import HostArray

Shape = tuple[int, ...]

VARIABLE, CONSTANT, VIEW, OPERATION = "variable", "constant", "view", "operation"

_numbers = count()


class CannotRecordError(Exception):
    """An operation that cannot be written down."""


@dataclass(eq=False, repr=False)  # it would be as long as the recording
class Node:
    """One array of a recording.

    Attributes
    ----------
    kind : {"variable", "constant", "view", "operation"}
    shape, dtype
        Of the array.
    function : callable
        The function of NumPy that makes it; of a view, what makes it of its base alone.
    arguments : tuple of Node and numbers
    keywords : mapping
    value : array
        A constant's numbers.
    number : int
        In the order of their making.
    """

    kind: str
    shape: Shape
    dtype: np.dtype[Any]
    function: Callable[..., Any] = np.positive
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    value: HostArray = field(default_factory=lambda: np.empty(0))
    number: int = field(default_factory=_numbers.__next__)

    @property
    def sources(self) -> Iterator["Node"]:
        """The arguments that are arrays."""
        return (a for a in self.arguments if isinstance(a, Node))

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize

    @property
    def uniform(self) -> bool:
        """Whether it is a constant of one number, broadcast to the shape."""
        return self.kind == CONSTANT and not any(self.value.strides)


def needed(results: Sequence[Node]) -> set[Node]:
    """The nodes that the results depend on: what else was recorded is left out."""
    found: set[Node] = set()
    waiting = list(results)
    while waiting:
        node = waiting.pop()
        if node.kind != CONSTANT and node not in found:
            found.add(node)
            waiting += node.sources if node.kind != VARIABLE else ()
    return found
