"""Steps of an epoch, and the tables that they read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xpnet.arrays import (
    Array,
)

Arrays = tuple[Array, ...]
Advance = Callable[..., Arrays]


@dataclass(frozen=True)
class Tables:
    """What the steps of an epoch are given; it goes up before the first.

    Attributes
    ----------
    rows : int32 array (n,)
        The training samples in the epoch's order.
    scalars : floating-point array (steps, k)
        What `optimizer.scalars` gives, and behind it the weight in the average, if there is one.
    keys : int32 array (steps, batches, layers that draw, 3) or None
        For each step, batch of it, and layer that draws (`random.mask_units`).
    samples_per_step : int
    """

    rows: Array
    scalars: Array
    keys: Array | None
    samples_per_step: int

    def at(self, i: int) -> tuple[Array, Array, Array | None]:
        """Rows, scalars and keys of step i; the last may have fewer rows."""
        start = i * self.samples_per_step
        rows = self.rows[start : min(start + self.samples_per_step, self.rows.shape[0])]
        return rows, self.scalars[i, :], None if self.keys is None else self.keys[i, ...]


def _advance(step: Advance, constants: Any, arrays: Arrays, tables: Tables, i: int) -> Arrays:
    """Step i of an epoch, as it is written."""
    return step(constants, arrays, *tables.at(i))
