"""What the best epoch is chosen by: a score on the validation samples."""

from dataclasses import dataclass

from xpnet.fitting.results import Epoch
from xpnet.fitting.scoring import LOWER_IS_BETTER

WORST = float("-inf")
IN_EVERY_EPOCH = "loss", "accuracy"  # what is measured whether or not it is monitored


@dataclass(frozen=True)
class Monitor:
    """The score that epochs are compared by; of equal ones the lower loss is better.

    Parameters
    ----------
    name : str
        "loss", "accuracy", or another of `scoring.scores_of`.
    """

    name: str

    @property
    def is_measured_apart(self) -> bool:
        """Whether it is a score that is measured because it is monitored."""
        return self.name not in IN_EVERY_EPOCH

    def score(self, epoch: Epoch) -> tuple[float, float]:
        """Return the score and the loss; greater is better, what was not validated is the worst."""
        loss = epoch.validation_loss
        if self.is_measured_apart:  # an epoch before `initial` may have another score
            value = epoch.validation_score if epoch.monitor == self.name else None
        else:
            value = loss if self.name == "loss" else epoch.validation_accuracy
        sign = -1 if self.name in LOWER_IS_BETTER else 1
        return WORST if value is None else sign * value, WORST if loss is None else -loss


class Improvement:
    """The last epoch that was better than all before it, for patience.

    With `min_delta`, better by more than that than the last such epoch.

    Parameters
    ----------
    monitor : Monitor
    min_delta : float

    Attributes
    ----------
    last : int
        Its number, 0 if there is none.
    """

    def __init__(self, monitor: Monitor, min_delta: float) -> None:
        self.monitor, self.min_delta = monitor, min_delta
        self.best, self.last = (WORST, WORST), 0

    def compare(self, epoch: Epoch) -> None:
        """Take the epoch, if it is better."""
        new = self.monitor.score(epoch)
        gained = new[0] - self.best[0]
        if (gained > self.min_delta) if self.min_delta else (new > self.best):
            self.best, self.last = new, epoch.epoch
