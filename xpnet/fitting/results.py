"""Where training stands, and what it gives: `Epoch`, `Progress`, `Result`."""

from dataclasses import dataclass, field, replace

from xpnet.arrays import (
    Array,
)
from xpnet.model import Model
from xpnet.optimizers import (
    Optimizer,
    State,
)

Arrays = tuple[Array, ...]


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


@dataclass(frozen=True)
class Progress:
    """Where training stands: all that a step changes.

    Attributes
    ----------
    theta, buffers : floating-point arrays
        After the last step; buffers without those of a last `Rescale`, which stay.
    optimizer : Optimizer
    state : tuple of arrays
        The optimizer's.
    average : (array, array) or None
        The averages of theta and buffers, where they are asked for.
    steps, epochs : int
        How many are done.
    """

    theta: Array
    buffers: Array
    optimizer: Optimizer
    state: State
    average: tuple[Array, Array] | None = None
    steps: int = 0
    epochs: int = 0

    @property
    def arrays(self) -> Arrays:
        """All of them: theta, buffers, their averages where there are any, the state."""
        return self.theta, self.buffers, *(self.average or ()), *self.state

    def with_arrays(self, arrays: Arrays) -> "Progress":
        """The same with others, in the order of `arrays`."""
        theta, buffers, *rest = arrays
        average, state = (tuple(rest[:2]), rest[2:]) if self.average else (None, rest)
        return replace(self, theta=theta, buffers=buffers, state=tuple(state), average=average)


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
