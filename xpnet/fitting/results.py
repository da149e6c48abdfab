"""What training gives: `Epoch`, a row of the history, and `Result`."""

from dataclasses import dataclass, field, fields
from typing import Any

from xpnet.checks import Hinting, choose
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
    validation_score : float or None
        The metric that `monitor` names, on the validation samples; None where that is the loss or
        the accuracy.
    monitor : str
        Which metric that is; "" for None.
    """

    epoch: int
    loss: float
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    seconds: float
    validation_score: float | None = None
    monitor: str = ""


class History(tuple[Epoch, ...], Hinting):
    """The epochs in their order; `history["loss"]` is the list of their losses."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        """Return an epoch, some of them, or of all epochs the attribute of this name."""
        if isinstance(key, str):
            name = choose("attribute of an epoch", key, [field.name for field in fields(Epoch)])
            return [getattr(epoch, name) for epoch in self]
        found = super().__getitem__(key)
        return History(found) if isinstance(key, slice) else found


@dataclass(frozen=True, repr=False)
class Result(Hinting):
    """What `fit` returns.

    Attributes
    ----------
    model : Model
        The best of all epochs (`fit`), where x was; if there was none, the start with its scaling.
    history : History
        An `Epoch` for each epoch; `history["loss"]` has the losses of all epochs.
    best_epoch : int
        The epoch that `model` is of; 0 if there was none.
    progress : Progress or None
        The state after the last step, for `fit(..., initial=result)`.  None after an error in the
        middle of an epoch: then training continues from the best model, with a new state of the
        optimizer.
    """

    model: Model
    history: History = field(default_factory=History)
    best_epoch: int = 0
    progress: Progress | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        epochs = f"{len(self.history)} epochs, the best is {self.best_epoch}"
        return f"<Result: {epochs}, {self.model!r}>"
