"""What training gives: `Epoch`, a row of the history, and `Result`."""

from dataclasses import dataclass, field

from xpnet.fitting.state import Progress
from xpnet.model import Model


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
