"""The steps of an epoch: what they read, what each does, and the fast or plain way to call them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from xpnet.arrays import Array, namespace, put
from xpnet.data.dataset import Dataset
from xpnet.fitting.plan import TrainingPlan
from xpnet.fitting.state import Progress, TrainingState
from xpnet.prediction import fast_paths
from xpnet.random import Purpose, permutation, step_keys
from xpnet.train import gradient, train_step, update

Constants = tuple[Array, Array, Array | None]  # x, t, w of a `Dataset`


@dataclass(frozen=True)
class Tables:
    """What the steps of an epoch read; it is uploaded before the first step.

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


def upload(plan: TrainingPlan, progress: Progress, factors: Sequence[float], first: int) -> Tables:
    """What the steps of the next epoch are given, where the data are.

    Parameters
    ----------
    plan : TrainingPlan
    progress : Progress
    factors : sequence of float
        Of the learning rate, for each step.
    first : int
        Steps that were done before this fit.
    """
    number, x = progress.epochs, plan.data.x
    order_key = step_keys(plan.seed, Purpose.PERMUTATION, 0, range(number, number + 1))[0]
    order = plan.rows[permutation(order_key, len(plan.rows))].astype(np.int32)
    steps = range(progress.steps, progress.steps + len(factors))
    scalars: list[tuple[float, ...]] = [
        plan.optimizer.scalars(factor, step + 1)
        for factor, step in zip(factors, steps, strict=True)
    ]
    if plan.average is not None:
        weights = [plan.averaging(step + 1 - first, first) for step in steps]
        scalars = [(*row, a) for row, a in zip(scalars, weights, strict=True)]
    table = put(np.asarray(scalars, dtype=plan.model.dtype), x)
    return Tables(put(order, x), table, layer_keys(plan, steps), plan.samples_per_step)


def layer_keys(plan: TrainingPlan, steps: range) -> Array | None:
    """A key for each step, batch of it, and layer that draws (`random.mask_units`)."""
    drawing = plan.network.drawing
    if not drawing:
        return None
    batches = -(-min(len(plan.rows), plan.samples_per_step) // plan.batch_size)
    keys = np.zeros((len(steps), batches, len(drawing), 3), dtype=np.int32)
    for i, layer in enumerate(drawing):
        keys[:, :, i, :2] = step_keys(plan.seed, Purpose.UNITS, layer, steps)[:, np.newaxis]
    keys[..., 2] = np.arange(batches)[:, np.newaxis] * plan.batch_size
    return put(keys, plan.data.x)


def advance(
    plan: TrainingPlan,
    constants: Constants,
    state: TrainingState,
    rows: Array,
    scalars: Array,
    keys: Array | None,
) -> TrainingState:
    """One update from the samples of these rows, in one batch or several.

    Arrays in, arrays out: `rows`, `scalars` and `keys` are those of one step of `Tables`.
    """
    data, n, average = Dataset(*constants), rows.shape[0], state.average
    if average:
        last = scalars.shape[0] - 1
        a, scalars = scalars[last], scalars[:last]
    if n <= plan.batch_size:
        theta, optimizer, buffers, loss = train_step(
            plan.network, plan.loss, plan.optimizer, state.theta, state.optimizer, state.buffers,
            data.gather(rows), scalars, None if keys is None else keys[0, ...], plan.clip_norm,
        )  # fmt: skip
    else:
        g, buffers, loss = _accumulated(plan, data, state, rows, keys)
        theta, optimizer = update(
            plan.network, plan.optimizer, state.theta, g, state.optimizer, scalars, plan.clip_norm
        )
    if average:
        latest = (theta, buffers)[: len(average)]
        average = tuple(A + a * (new - A) for A, new in zip(average, latest, strict=True))
    return TrainingState(state.loss + loss * n, theta, buffers, average, optimizer)


def _accumulated(
    plan: TrainingPlan, data: Dataset, state: TrainingState, rows: Array, keys: Array | None
) -> tuple[Array, Array, Array]:
    """The gradient of several batches, the next buffers, and the mean loss."""
    n, g, buffers, loss = rows.shape[0], 0.0, state.buffers, 0.0
    for j, start in enumerate(range(0, n, plan.batch_size)):
        batch = rows[start : min(start + plan.batch_size, n)]
        part = batch.shape[0] / n
        g_j, buffers, loss_j = gradient(
            plan.network, plan.loss, state.theta, buffers, data.gather(batch),
            None if keys is None else keys[j, ...],
        )  # fmt: skip
        g, loss = g + part * g_j, loss + part * loss_j
    return g, buffers, loss


class Step(Protocol):
    """A step of an epoch, ready to be called.

    Attributes
    ----------
    in_place : bool
        Whether a step writes over the arrays of the state that the one before gave.
    frees_first : bool
        Whether an old snapshot is to be let go before the next one is taken, so that memory for
        one is enough.  Not on a GPU, where there may be no memory for the next one.
    """

    in_place: bool
    frees_first: bool

    def __call__(self, state: Any, tables: Tables, i: int) -> Any:
        """Return the state after step i."""

    def snapshot(self, arrays: Any) -> Any:
        """Return the same arrays, or copies, which later steps do not overwrite."""


class PlainStep:
    """A step as it is written: each one makes new arrays."""

    in_place = frees_first = False

    def __init__(self, step: Callable[..., Any], constants: Constants) -> None:
        self._step, self._constants = step, constants

    def __call__(self, state: Any, tables: Tables, i: int) -> Any:
        """Return the state after step i."""
        return self._step(self._constants, state, *tables.at(i))

    def snapshot(self, arrays: Any) -> Any:
        """Return the arrays themselves: nothing writes to them."""
        return arrays


def training_step(plan: TrainingPlan) -> Step:
    """`advance` on the plan's data, by a fast path where there is one."""
    constants = plan.data.x, plan.data.t, plan.data.w
    step = partial(advance, plan)
    fast = fast_paths() if plan.fast else None
    if fast and fast.can_fuse(constants, *plan.network.layers, plan.loss, plan.optimizer):
        unchanged = () if plan.network.refreshing else ("buffers",)
        fused: Step = fast.fuse(step, constants, unchanged, plan.capture)
        return fused
    return PlainStep(step, constants)


def run_steps(
    plan: TrainingPlan,
    step: Step,
    progress: Progress,
    tables: Tables,
    on_step: Callable[[int], None] | None,
) -> Progress:
    """Every training sample once."""
    zero = 0 * namespace(tables.scalars).sum(tables.scalars[:1, :])
    state = progress.state._replace(loss=zero)
    for i in range(plan.steps_per_epoch):
        state = step(state, tables, i)
        if on_step is not None:
            on_step(progress.steps + i + 1)
    steps = progress.steps + plan.steps_per_epoch
    return Progress(state, plan.optimizer, steps, progress.epochs + 1)
