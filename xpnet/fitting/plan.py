"""`TrainingPlan`: the checked arguments of `fit`, with model and data in place."""

from collections.abc import Sequence
from dataclasses import dataclass

from xpnet.arrays import Array, HostArray, namespace
from xpnet.data.dataset import Dataset
from xpnet.fitting.results import Epoch
from xpnet.losses import Loss
from xpnet.model import Model
from xpnet.network import Network
from xpnet.optimizers import Average, Optimizer
from xpnet.schedules import ReduceOnPlateau, Schedule, Warmup


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
    rows, validation_rows : integer arrays
        The samples to train on, and to validate on.
    loss, validation_loss : Loss
        The second without label smoothing.
    """

    model: Model
    network: Network
    data: Dataset
    rows: HostArray
    validation_rows: HostArray
    loss: Loss
    validation_loss: Loss
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

    def factors(self, done: int, history: Sequence[Epoch]) -> list[float]:
        """The factor of the learning rate at each step of the next epoch, after `done` steps."""
        parts = [(done + i) / self.steps for i in range(self.steps_per_epoch)]
        plateau = plateau_of(self.schedule)
        losses = [e.validation_loss for e in history if e.validation_loss is not None]
        reduced = 1.0 if plateau is None else plateau.after(losses)
        return [float(self.schedule(part)) * reduced for part in parts]

    def all_buffers(self, buffers: Array) -> Array:
        """The buffers of the network, and behind them those of the model's last `Rescale`."""
        rest = self.model.buffers[self.network.buffer_size :]
        return namespace(rest).concat([buffers, rest]) if rest.shape[0] else buffers


def plateau_of(schedule: Schedule) -> ReduceOnPlateau | None:
    """The schedule, or what a warm-up leads to, if it depends on the validation losses."""
    if isinstance(schedule, Warmup):
        schedule = schedule.schedule
    return schedule if isinstance(schedule, ReduceOnPlateau) else None
