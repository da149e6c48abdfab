"""`TrainingPlan`: the checked arguments of `fit`, with model and data in place."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan

from xpnet.arrays import Array, HostArray, namespace
from xpnet.bounds import shown
from xpnet.data.dataset import Dataset
from xpnet.errors import UsageError
from xpnet.fitting.monitoring import Monitor
from xpnet.fitting.results import Epoch
from xpnet.losses import Loss
from xpnet.model import Model
from xpnet.network import Network
from xpnet.optimizers import Average, Optimizer
from xpnet.schedules import ReduceOnPlateau, Schedule, Warmup

FEWEST_EPOCHS, FEWEST_STEPS = 10, 1000


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """What is trained, on what, and how; see `training.fit`.

    Attributes
    ----------
    model : Model
        The start, scaled to the data.
    network : Network
        The model's, without a last `Rescale`: it is trained in standard units.
    data : Dataset
        Targets in standard units.
    rows : integer array
        The samples to train on.
    validation_data : Dataset
        The samples to validate on are among these: `data` itself, or other samples.
    validation_rows : integer array
        The samples to validate on; the mean of their weights, if they have some, is one.
    monitor : Monitor
    loss : Loss
        `loss.measure` is the one to validate with.
    """

    model: Model
    network: Network
    data: Dataset
    rows: HostArray
    validation_data: Dataset
    validation_rows: HostArray
    monitor: Monitor
    loss: Loss
    optimizer: Optimizer
    schedule: Schedule
    clip_norm: float | None
    average: Average | None
    epochs: int
    batch_size: int
    accumulate: int
    seed: int
    fast: bool
    capture: bool | None

    @property
    def samples_per_step(self) -> int:
        return self.batch_size * self.accumulate

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.rows) // self.samples_per_step)

    @property
    def steps(self) -> int:
        return self.epochs * self.steps_per_epoch

    def averaging(self, step: int, before: int) -> float:
        """The weight of the parameters after this step, from 1, in their average."""
        assert self.average is not None
        return _number("average", self.average(step, self.steps, before))

    def factors(self, done: int, history: Sequence[Epoch]) -> list[float]:
        """The factor of the learning rate at each step of the next epoch, after `done` steps."""
        parts = [(done + i) / self.steps for i in range(self.steps_per_epoch)]
        plateau = plateau_of(self.schedule)
        losses = [e.validation_loss for e in history if e.validation_loss is not None]
        reduced = 1.0 if plateau is None else plateau.after(losses)
        return [_number("schedule", self.schedule(part)) * reduced for part in parts]

    def all_buffers(self, buffers: Array) -> Array:
        """The buffers of the network, and behind them those of the model's last `Rescale`."""
        rest = self.model.buffers[self.network.buffer_size :]
        return namespace(rest).concat([buffers, rest]) if rest.shape[0] else buffers


def enough_epochs(samples: int, samples_per_step: int) -> int:
    """Return 10, or more epochs if it takes more to make 1,000 steps."""
    return max(FEWEST_EPOCHS, -(-FEWEST_STEPS // -(-samples // samples_per_step)))


def _number(name: str, value: object) -> float:
    """Return what a function of the user returned, if it is a number that is not negative."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = nan
    if not (isfinite(number) and number >= 0):
        raise UsageError(f"{name} must return finite numbers, 0 or more, got {shown(value)}", name)
    return number


def plateau_of(schedule: Schedule) -> ReduceOnPlateau | None:
    """The schedule, or what a warm-up leads to, if it depends on the validation losses."""
    inner = schedule.schedule if isinstance(schedule, Warmup) else schedule
    return inner if isinstance(inner, ReduceOnPlateau) else None
