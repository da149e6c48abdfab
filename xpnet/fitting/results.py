"""Where training stands, and what it gives: `Epoch`, `TrainingState`, `Progress`, `Result`."""

from dataclasses import dataclass, field
from typing import NamedTuple

from xpnet.arrays import Array, put, to_numpy
from xpnet.model import Model
from xpnet.optimizers import Optimizer, State


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Losses of a regression are in units of the targets' deviation (`layers.Rescale`): for the
    squared error the part of their variance that is left.

    Attributes
    ----------
    epoch : int
        From 1.
    loss : float
        Mean training loss over the epoch, as minimised (with label smoothing, if any).
    validation_loss, validation_accuracy : float or None
        After the epoch, with averaged weights, if any; None where there is nothing to validate on,
        or no classes.
    learning_rate : float
        Of the epoch's last step.
    seconds : float
        Of the whole epoch.
    """

    epoch: int
    loss: float
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    seconds: float


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


@dataclass(frozen=True)
class Result:
    """What `fit` gives.

    Attributes
    ----------
    model : Model
        The best of all epochs (`fit`), where x was; if there was none, the start with its scaling.
    history : tuple of Epoch
    best_epoch : int
        The epoch that `model` is of; 0 if there was none.
    progress : Progress or None
        Where it ended, for `fit(..., initial=result)`.
    """

    model: Model
    history: tuple[Epoch, ...] = ()
    best_epoch: int = 0
    progress: Progress | None = field(default=None, repr=False)
