"""The loop over epochs.

Between the first and the last step of an epoch nothing is copied between host and device, and
nothing waits: the order of the samples, the table of each step's scalars and the keys of
layers that draw go up before the first, and the sums of loss and hits come down after the last.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from math import isfinite
from time import perf_counter

import numpy as np

from xpnet.arrays import (
    Array,
    HostArray,
    frozen_copy,
    namespace,
    put,
    to_numpy,
)
from xpnet.data.dataset import BLOCK, Dataset
from xpnet.device.gpu_errors import failures
from xpnet.errors import DeviceFailedError, DivergedError, UsageError
from xpnet.fitting.evaluation import counts_hits, outputs, sums
from xpnet.fitting.results import Epoch, Progress, Result
from xpnet.fitting.steps import Advance, Arrays, Tables, _advance
from xpnet.losses import Loss
from xpnet.model import Model, fast_paths
from xpnet.network import Network
from xpnet.optimizers import (
    Average,
    Optimizer,
)
from xpnet.random import Purpose, permutation, step_keys
from xpnet.schedules import ReduceOnPlateau, Schedule, Warmup
from xpnet.train import gradient, train_step, update

WORST = float("-inf")
FEW = 32  # samples that tell whether a model is spoilt


@dataclass(frozen=True)
class _Run:
    """All that `fit` is given, checked and in its place."""

    model: Model
    network: Network  # without the last scaling, in whose units it is trained
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

    def to_the_end(
        self,
        initial: Result | None,
        patience: int | None,
        on_step: Callable[[int], None] | None,
        on_epoch: Callable[[Epoch, Result], bool | None] | None,
    ) -> Result:
        result, progress = self.begin(initial)
        advance, in_place = self.advancing()
        validate = self.validating()
        kept: Callable[[Array], Array] = frozen_copy if in_place else (lambda array: array)
        first = progress.steps
        best = (WORST, WORST)
        if result.best_epoch:
            best = self.score(result.history[result.best_epoch - 1])
        for _ in range(self.epochs):
            start = perf_counter()
            factors = self.factors(progress.steps - first, result.history)
            steps = f"{progress.steps + 1} to {progress.steps + self.steps_per_epoch}"
            before = replace(result, progress=None) if in_place else result
            with self.failing(before, f"in epoch {progress.epochs + 1}, steps {steps}"):
                del before  # it holds the last best model
                progress, total = self.train_epoch(advance, progress, factors, first, on_step)
                theta, buffers = progress.average or (progress.theta, progress.buffers)
                xp = namespace(theta)
                total = total + 0 * xp.sum(progress.theta)  # 0, or NaN if θ isn't finite
                # Here, once per epoch, the device is waited for.
                numbers = to_numpy(xp.stack([total, *validate(theta, buffers)])).tolist()
            epoch = self.summary(progress.epochs, numbers, factors[-1], perf_counter() - start)
            if not all(isfinite(number) for number in numbers):
                result = replace(result, progress=None)
                raise DivergedError(self.diverged(epoch, result), result)
            score = self.score(epoch)
            if score > best or not len(self.validation_rows):
                best = score
                if isinstance(theta, np.ndarray):  # a GPU's error shall leave the last best one
                    result = replace(result, model=self.model)  # which is not held as well
                with self.failing(result, f"after epoch {epoch.epoch}"):
                    model = self.model_of(kept(theta), kept(buffers))
                result = replace(result, model=model, best_epoch=epoch.epoch)
                del model
            result = replace(result, history=(*result.history, epoch), progress=progress)
            if on_epoch is not None:
                with self.failing(result, f"after epoch {epoch.epoch}"):
                    arrays = tuple(map(kept, progress.arrays))  # the steps write over these
                    given = replace(result, progress=progress.with_arrays(arrays))
                    ends = on_epoch(epoch, given)
                if ends:
                    break
            if patience is not None and epoch.epoch - result.best_epoch >= patience:
                break
        return result

    @contextmanager
    def failing(self, result: Result, where: str) -> Iterator[None]:
        """Errors of a GPU, with where training stood: CUDA tells them late."""
        try:
            with failures("make batches smaller (--batch-size)"):
                yield
        except DeviceFailedError as error:
            raise DeviceFailedError(f"{where}: {error}", result) from error

    def begin(self, initial: Result | None) -> tuple[Result, Progress]:
        """The result so far, and where it goes on."""
        if initial is None or initial.progress is None:
            theta = self.model.theta
            buffers = self.model.buffers[: self.network.buffer_size]
            progress = Progress(theta, buffers, self.optimizer, self.optimizer.init(theta))
            result = Result(self.model)
        else:
            if type(initial.progress.optimizer) is not type(self.optimizer):
                raise UsageError(
                    f"initial was trained by {initial.progress.optimizer} and now by "
                    f"{self.optimizer}; expected the same kind of optimizer"
                )
            result, progress = initial, _moved(initial.progress, self.model.theta)
            if len(progress.state) != len(self.optimizer.init(progress.theta)):
                raise UsageError(f"initial has no state that {self.optimizer} could go on with")
            progress = replace(progress, optimizer=self.optimizer)
        if self.average is None:
            return result, replace(progress, average=None)
        start = progress.average or (progress.theta, progress.buffers)
        return result, replace(progress, average=start)

    def model_of(self, theta: Array, buffers: Array) -> Model:
        """The model with these arrays, and with the last scaling, if it has one."""
        rest = self.model.buffers[self.network.buffer_size :]
        whole = namespace(rest).concat([buffers, rest]) if rest.shape[0] else buffers
        return replace(self.model, theta=theta, buffers=whole)

    def factors(self, done: int, history: Sequence[Epoch]) -> list[float]:
        """The factor of the learning rate at each step of the next epoch."""
        parts = [(done + i) / self.steps for i in range(self.steps_per_epoch)]
        plateau = _plateau(self.schedule)
        losses = [e.validation_loss for e in history if e.validation_loss is not None]
        reduced = 1.0 if plateau is None else plateau.after(losses)
        return [float(self.schedule(part)) * reduced for part in parts]

    def advancing(self) -> tuple[Advance, bool]:
        """`advance` on the run's data, and whether it changes arrays in place."""
        constants = self.data.x, self.data.t, self.data.w
        fast = fast_paths() if self.fast else None
        if fast is not None and fast.can_fuse(
            constants, *self.network.layers, self.loss, self.optimizer
        ):
            # The sum of losses, theta and buffers; behind them the averages of the last two.
            unchanged = () if self.network.refreshing else (2, 4) if self.average else (2,)
            return fast.fuse(self.advance, constants, unchanged, self.capture), True
        return partial(_advance, self.advance, constants), False

    def train_epoch(
        self,
        advance: Advance,
        progress: Progress,
        factors: Sequence[float],
        first: int,
        on_step: Callable[[int], None] | None,
    ) -> tuple[Progress, Array]:
        """Every training sample once; the sum of their losses comes with where it ended."""
        tables = self.upload(progress, factors, first)
        arrays = 0 * namespace(tables.scalars).sum(tables.scalars[:1, :]), *progress.arrays
        for i in range(self.steps_per_epoch):
            arrays = advance(arrays, tables, i)
            if on_step is not None:
                on_step(progress.steps + i + 1)
        total, *after = arrays
        steps = progress.steps + self.steps_per_epoch
        return replace(
            progress.with_arrays(tuple(after)), steps=steps, epochs=progress.epochs + 1
        ), total

    def advance(
        self,
        data: tuple[Array, Array, Array | None],
        arrays: Arrays,
        rows: Array,
        scalars: Array,
        keys: Array | None,
    ) -> Arrays:
        """One update from the samples of these rows, in one batch or several.

        Arrays in, arrays out: the sum of losses so far, and those of `Progress.arrays`.  `rows`,
        `scalars` and `keys` are those of one step of `Tables`.
        """
        network, dataset, n = self.network, Dataset(*data), rows.shape[0]
        total, theta, buffers, *rest = arrays
        average, state = (rest[:2], tuple(rest[2:])) if self.average else ([], tuple(rest))
        if average:
            last = scalars.shape[0] - 1
            a, scalars = scalars[last], scalars[:last]
        if n <= self.batch_size:
            theta, state, buffers, value = train_step(
                network, self.loss, self.optimizer, theta, state, buffers, dataset.gather(rows),
                scalars, None if keys is None else keys[0, ...], self.clip_norm,
            )  # fmt: skip
        else:
            g, value = 0.0, 0.0
            for j, start in enumerate(range(0, n, self.batch_size)):
                batch = rows[start : min(start + self.batch_size, n)]
                part = batch.shape[0] / n
                g_j, buffers, value_j = gradient(
                    network, self.loss, theta, buffers, dataset.gather(batch),
                    None if keys is None else keys[j, ...],
                )  # fmt: skip
                g, value = g + part * g_j, value + part * value_j
            theta, state = update(network, self.optimizer, theta, g, state, scalars, self.clip_norm)
        if average:
            average[0] = average[0] + a * (theta - average[0])
            if network.refreshing:
                average[1] = average[1] + a * (buffers - average[1])
        return total + value * n, theta, buffers, *average, *state

    def upload(self, progress: Progress, factors: Sequence[float], first: int) -> Tables:
        """What the steps of the next epoch are given, where the data are."""
        number, x, average = progress.epochs, self.data.x, self.average
        order_key = step_keys(self.seed, Purpose.PERMUTATION, 0, range(number, number + 1))[0]
        order = self.rows[permutation(order_key, len(self.rows))].astype(np.int32)
        steps = range(progress.steps, progress.steps + len(factors))
        scalars: list[tuple[float, ...]] = [
            self.optimizer.scalars(factor, step + 1)
            for factor, step in zip(factors, steps, strict=True)
        ]
        if average is not None:
            weights = [average(step + 1 - first, self.steps, first) for step in steps]
            scalars = [(*row, a) for row, a in zip(scalars, weights, strict=True)]
        table = put(np.asarray(scalars, dtype=self.model.dtype), x)
        return Tables(put(order, x), table, self.keys(steps), self.samples_per_step)

    def keys(self, steps: range) -> Array | None:
        """A key for each step, batch of it, and layer that draws (`random.mask_units`)."""
        drawing = self.model.network.drawing
        if not drawing:
            return None
        batches = -(-min(len(self.rows), self.samples_per_step) // self.batch_size)
        keys = np.zeros((len(steps), batches, len(drawing), 3), dtype=np.int32)
        for i, layer in enumerate(drawing):
            keys[:, :, i, :2] = step_keys(self.seed, Purpose.UNITS, layer, steps)[:, np.newaxis]
        keys[..., 2] = np.arange(batches)[:, np.newaxis] * self.batch_size
        return put(keys, self.data.x)

    def validating(self) -> Callable[[Array, Array], Sequence[Array]]:
        """A function of theta and buffers: the sums of losses and hits over the validation samples.

        They stay on the device.  Without any such samples it takes a few of training: they tell
        whether the last step spoilt the model.
        """
        rows = self.validation_rows if len(self.validation_rows) else self.rows[:FEW]
        constants = self.data.x, self.data.t, None
        fast = fast_paths() if self.fast and not isinstance(self.data.x, np.ndarray) else None
        if fast is None or not fast.can_fuse(constants, *self.network.layers, self.validation_loss):
            return partial(self.validate, rows)
        blocks, dtype = -(-len(rows) // BLOCK), self.model.dtype
        place, no_scalars = put(rows.astype(np.int32), self.data.x), np.zeros((blocks, 1), dtype)
        tables = Tables(place, put(no_scalars, self.data.x), None, BLOCK)
        found = 1 + counts_hits(self.validation_loss, self.data.t, self.model.multilabel)
        measure = fast.fuse(self.measure, constants, (found, found + 1), capture=False, quiet=True)

        def validate(theta: Array, buffers: Array) -> Sequence[Array]:
            zero, these = 0 * theta[0], replace(tables)
            arrays = *([zero] * found), theta, buffers
            for i in range(blocks):
                arrays = measure(arrays, these, i)
            return arrays[:found]

        return validate

    def measure(
        self,
        data: tuple[Array, Array, None],
        arrays: Arrays,
        rows: Array,
        scalars: Array,
        keys: None,
    ) -> Arrays:
        """What `validate` finds in these rows, added to what was found; as `advance`."""
        *before, theta, buffers = arrays
        params = self.network.unpack(theta, buffers)
        x, t, w = Dataset(*data).gather(rows)
        z = self.network.infer(params, x)
        found = sums([(z, t, w)], self.validation_loss, self.model.multilabel)
        return *(a + b for a, b in zip(before, found, strict=True)), theta, buffers

    def validate(self, rows: HostArray, theta: Array, buffers: Array) -> Sequence[Array]:
        """The sums of losses and of hits over these rows, as it is written."""
        params = self.network.unpack(theta, buffers)
        found = outputs(self.network, params, replace(self.data, w=None), rows)
        return sums(found, self.validation_loss, self.model.multilabel)

    def summary(self, number: int, sums: Sequence[float], factor: float, seconds: float) -> Epoch:
        """The epoch's means, from the sums of `train_epoch` and `validate`."""
        n, held = len(self.rows), len(self.validation_rows)
        return Epoch(
            epoch=number,
            loss=sums[0] / n,
            validation_loss=sums[1] / held if held else None,
            validation_accuracy=min(sums[2] / held, 1.0) if held and len(sums) > 2 else None,
            learning_rate=self.optimizer.learning_rate * factor,
            seconds=seconds,
        )

    def score(self, epoch: Epoch) -> tuple[float, float]:
        """Greater is better; what was not validated is the worst."""
        loss, accuracy = epoch.validation_loss, epoch.validation_accuracy
        return WORST if accuracy is None else accuracy, WORST if loss is None else -loss

    def diverged(self, epoch: Epoch, result: Result) -> str:
        kept = f"the model of epoch {result.best_epoch} is kept" if result.best_epoch else (
            "no epoch was good, so there is no model"
        )  # fmt: skip
        bad = epoch.loss if not isfinite(epoch.loss) else epoch.validation_loss or "infinite"
        return (
            f"the loss became {bad} in epoch {epoch.epoch}; {kept}. Try a smaller learning rate "
            f"(its peak was {self.optimizer.learning_rate:g})"
        )


def _plateau(schedule: Schedule) -> ReduceOnPlateau | None:
    """The schedule, or what a warm-up leads to, if it depends on the validation losses."""
    if isinstance(schedule, Warmup):
        schedule = schedule.schedule
    return schedule if isinstance(schedule, ReduceOnPlateau) else None


def _moved(progress: Progress, like: Array) -> Progress:
    """The same, where `like` is."""
    return progress.with_arrays(tuple(put(to_numpy(a), like) for a in progress.arrays))
