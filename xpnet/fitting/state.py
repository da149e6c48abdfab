"""Where training stands: `TrainingState`, all arrays that a step changes, and `Progress`."""

from dataclasses import dataclass
from typing import NamedTuple

from xpnet.arrays import Array, put, to_numpy
from xpnet.optimizers import Optimizer, State


class TrainingState(NamedTuple):
    """All arrays that a step changes.

    Attributes
    ----------
    loss : 0-d array
        The sum of the losses of this epoch's samples so far.
    theta, buffers : floating-point arrays
        Of the network; buffers without those of a last `Rescale`, which stay.
    average : tuple of arrays
        The averages of theta, and of buffers if steps change them; empty if none are asked for.
    optimizer : tuple of arrays
        The optimizer's state.
    """

    loss: Array
    theta: Array
    buffers: Array
    average: tuple[Array, ...]
    optimizer: State

    def to_library(self, like: Array) -> "TrainingState":
        """The same arrays where `like` is."""

        def moved(a: Array) -> Array:
            return put(to_numpy(a), like)

        loss, theta, buffers = map(moved, (self.loss, self.theta, self.buffers))
        average, optimizer = (tuple(map(moved, part)) for part in (self.average, self.optimizer))
        return TrainingState(loss, theta, buffers, average, optimizer)

    @property
    def weights(self) -> tuple[Array, Array]:
        """The theta and buffers to validate and to keep: the averages, where there are any."""
        theta, *buffers = self.average or (self.theta,)
        return theta, buffers[0] if buffers else self.buffers


@dataclass(frozen=True)
class Progress:
    """Where training stands, to go on from.

    Attributes
    ----------
    state : TrainingState
        After the last step.
    optimizer : Optimizer
    steps, epochs : int
        How many are done.
    """

    state: TrainingState
    optimizer: Optimizer
    steps: int = 0
    epochs: int = 0
