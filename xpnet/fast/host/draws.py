"""Random units for several steps at a time: they depend on keys alone, which are there before.

Drawing takes a hundred operations; on the units of one batch each costs mostly its call.
"""

from typing import Any

import numpy as np

from xpnet.arrays import HostArray
from xpnet.fast.host.memory import aligned
from xpnet.fast.host.plan import Plan
from xpnet.fast.nodes import VARIABLE, Node
from xpnet.fast.record import variable
from xpnet.random import units_of

AT_A_TIME = 2**17  # units


class Draws:
    """The units that one layer draws for one batch of each step.

    Parameters
    ----------
    node : Node
        What `mask_units` recorded: a variable that depends on the key.
    """

    def __init__(self, node: Node) -> None:
        n, width = node.shape
        self._words = _words(node.arguments[0])
        self._steps = max(1, AT_A_TIME // (n * width))
        self._keys = np.zeros((3, self._steps, 1, 1), dtype=np.int32)
        self._units = aligned((1, self._steps, n, width), np.int32)
        key = variable(self._keys)
        units = units_of(key, n, width)
        self._plan = Plan([(key.node, self._keys)], [(units.node, self._units)])
        self._table: HostArray | None = None
        self._first = 0

    def at(self, table: HostArray, i: int) -> HostArray:
        """The units (n, width) of step i, of an epoch with this table of keys."""
        if table is not self._table or not self._first <= i < self._first + self._steps:
            keys = table.reshape(len(table), -1)[i : i + self._steps, self._words]
            self._keys[:, : len(keys), 0, 0] = keys.T
            self._plan()
            self._table, self._first = table, i
        units: HostArray = self._units[0, i - self._first]
        return units


def _words(key: Node) -> Any:
    """Which numbers of a step's keys a key consists of."""
    if key.kind == VARIABLE:
        return np.arange(np.prod(key.shape)).reshape(key.shape)
    return key.function(_words(key.arguments[0]))
