"""Training: one step, and many steps (`fit`).

Between the first and the last step of an epoch nothing is copied between host and device, and
nothing waits: the order of the samples, the table of each step's scalars and the keys of
layers that draw go up before the first, and the sums of loss and hits come down after the last.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from math import isfinite
from time import perf_counter
from typing import Any

import numpy as np

from xpnet.arrays import (
    Array,
    HostArray,
    frozen_copy,
    namespace,
    on_device_of,
    put,
    require_same_device,
    to_numpy,
)
from xpnet.checks import at_least, check_seed, choose, construct
from xpnet.data.dataset import BLOCK, Dataset, split
from xpnet.data.targets import Label, class_weights, encode_weights
from xpnet.device.gpu_errors import failures
from xpnet.errors import DeviceFailedError, DivergedError, UsageError
from xpnet.evaluation import counts_hits, outputs, sums
from xpnet.losses import Loss, SoftmaxCrossEntropy, loss_for
from xpnet.model import Model, fast_paths
from xpnet.network import Network
from xpnet.normalization import BatchNorm
from xpnet.optimizers import (
    AVERAGES,
    OPTIMIZERS,
    Average,
    Optimizer,
    State,
    clip_by_norm,
    for_steps_of,
)
from xpnet.preparation import in_standard_units, prepare, scale
from xpnet.random import Purpose, permutation, step_keys
from xpnet.schedules import SCHEDULES, ReduceOnPlateau, Schedule, Warmup

Batch = tuple[Array, Array, Array | None]  # x, t, w
Arrays = tuple[Array, ...]
Advance = Callable[..., Arrays]
WORST = float("-inf")
FEW = 32  # samples that tell whether a model is spoilt


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
        After the last step.
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


def train_step(
    network: Network,
    loss: Loss,
    optimizer: Optimizer,
    theta: Array,
    state: State,
    buffers: Array,
    batch: Batch,
    scalars: Array,
    keys: Array | None = None,
    clip_norm: float | None = None,
) -> tuple[Array, State, Array, Array]:
    """One update from one batch: arrays in, arrays out.

    Parameters
    ----------
    network, loss, optimizer
        What to compute; they hold no arrays.
    theta, state, buffers
        The network's trainable arrays, the optimizer's state, the network's other arrays.
    batch : (x, t, w)
        Samples, targets, and weights or None (`losses`).
    scalars : floating-point array (k,)
        What `optimizer.scalars` gives for this step.
    keys : int32 array (len(network.drawing), 3), optional
        The key of each layer that draws.
    clip_norm : float, optional
        The greatest length of the gradient.

    Returns
    -------
    theta, state, buffers, loss
        The next ones, and the loss of this batch before the update, a 0-d array.
    """
    g, next_buffers, value = gradient(network, loss, theta, buffers, batch, keys)
    theta, state = update(network, optimizer, theta, g, state, buffers, scalars, clip_norm)
    return theta, state, next_buffers, value


def gradient(
    network: Network, loss: Loss, theta: Array, buffers: Array, batch: Batch, keys: Array | None
) -> tuple[Array, Array, Array]:
    """∂L/∂θ of one batch, the next buffers, and L; see `train_step`."""
    x, t, w = batch
    params = network.unpack(theta, buffers, keys)
    z, caches = network.forward(params, x)
    value, cache = loss.forward(z, t, w)
    _, grads = network.backward(params, caches, loss.backward(cache))
    if network.refreshing:
        buffers = network.refresh(params, caches)
    return network.pack(grads), buffers, value


def update(
    network: Network,
    optimizer: Optimizer,
    theta: Array,
    g: Array,
    state: State,
    buffers: Array,
    scalars: Array,
    clip_norm: float | None,
) -> tuple[Array, State]:
    """The next θ, within its bounds, and state; see `train_step`."""
    if clip_norm is not None:
        g = clip_by_norm(g, float(clip_norm))
    theta, state = optimizer.update(theta, g, state, scalars, network.decayed_size)
    return (network.constrain(theta, buffers) if network.constrained else theta), state


def fit(
    model: Model,
    x: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    class_weight: str | Mapping[Label, float] | None = None,
    epochs: int = 10,
    batch_size: int = 128,
    accumulate: int = 1,
    optimizer: str | Optimizer | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    schedule: str | Schedule = "one-cycle",
    warmup: float = 0.0,
    clip_norm: float | None = None,
    average: str | Average | None = None,
    loss: str | Loss | None = None,
    label_smoothing: float = 0.0,
    validation: float = 1 / 6,
    patience: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    fast: bool = True,
    capture: bool | None = None,
    initial: Result | None = None,
    on_step: Callable[[int], None] | None = None,
    on_epoch: Callable[[Epoch, Result], bool | None] | None = None,
) -> Result:
    """Train a model; the one passed in stays as it is.

    Where x lies decides where it is computed: NumPy arrays and lists on the CPU, CuPy arrays on
    their GPU, others by their library.  A scaling layer that is still the identity first gets its
    constants from the training samples: one mean and scale for all pixels of images (samples of
    more than one axis, or of uint8), else one for each column.  So does one for the targets of a
    regression, which is the last layer.

    Parameters
    ----------
    model : Model
        The start.
    x : array or list (n, ...)
        Samples, as they come.
    y : array or list
        Labels or targets (`data.targets.encode_targets`).
    sample_weight : array or list (n,), optional
        How much each sample counts in training; scaled to a mean of one over those trained on.
    class_weight : "balanced" or mapping of label to number, optional
        How much each class counts (`data.targets.class_weights`); multiplies sample weights.
        torch's losses divide by the sum of the weights in each batch, not over all samples.
    epochs : int, default 10
        How often each sample is seen.
    batch_size : int, default 128
        Samples per batch; an epoch's last batch may be smaller.
    accumulate : int, default 1
        Batches per step: their gradients are added up.  Up to rounding it is a batch of so many
        times the size, in the memory of one; but BatchNorm sees one batch at a time.
    optimizer : str or Optimizer, optional
        One of `optimizers.OPTIMIZERS` by name, or one made to measure; by default "nesterov" for
        classes and "adam" for numbers.
    learning_rate, weight_decay : float, optional
        Replace the optimizer's own; that of one by name is for steps of 128 samples, and is
        smaller for smaller ones (`optimizers.for_steps_of`).
    schedule : str or Schedule, default "one-cycle"
        The learning rate's course, by name (`schedules.SCHEDULES`) or as a function of the part
        of the run that is over, 0 to 1, which gives the factor of the peak.
    warmup : float, default 0.0
        The first part of the run, in which the learning rate rises (`schedules.Warmup`).
    clip_norm : float, optional
        Shorten longer gradients to this length.
    average : str or callable, optional
        Averaged weights are validated and given back (`optimizers.AVERAGES`): "ema" over the
        steps, the older the less; "last" over the last part of the run.  Running statistics are
        averaged likewise.  A function is given the number of the step in this run from 1, how
        many there are, and how many were before, and gives a in A ← A + a (θ - A).
    loss : str or Loss, optional
        One of `losses.LOSSES` by name, or one made to measure, that fits the model's output; by
        default the one in `losses.OUTPUTS`.
    label_smoothing : float, default 0.0
        For softmax with cross-entropy.
    validation : float or int, default 1/6
        Samples held out to choose the best epoch by: a part below 1, or a number; 0 for none.
    patience : int, optional
        Stop after this many epochs without a better one.
    limit : int, optional
        Train on the first so many of the training samples only.
    seed : int, default 0
        Of the split, the order of samples, and what layers draw.
    fast : bool, default True
        Compute the steps by the fast paths (`xpnet.fast`), where there is one.  Each step is the
        same up to rounding; what rounding does grows in a long run, by this path or any other.
    capture : bool, optional
        On a GPU, whether the fast path launches its steps as CUDA graphs, many together; by default
        where they are short (`fast.cuda.step.LONG_STEP`).
    initial : Result, optional
        Go on from where this fit ended, with its weights, optimizer state, numbers of steps and
        epochs, history and best model; `model` has to be of its network.  The schedule, and an
        average over the last part, run over the epochs that are added.  Scores are compared with
        those of before: give the same data, seed, validation and loss.
    on_step : callable, optional
        Called with the number of steps done.
    on_epoch : callable, optional
        Called with the epoch's numbers and the result so far; if it gives True, training ends.

    Returns
    -------
    Result
        Its model is of the epoch with the best validation accuracy (the lower loss, then the
        earlier among equals; for regression the lowest loss), or of the last epoch without
        validation.

    Raises
    ------
    UsageError, DataError
        An argument isn't what it should be.
    DivergedError
        The loss became NaN or infinite; holds the last good result.
    DeviceFailedError
        A GPU has no memory left, or failed; holds the last good result, to go on with.  What is on
        a GPU that failed cannot be read any more: keep what matters by `on_epoch`, as `xpnet train`
        does.
    """
    if isinstance(schedule, str):
        schedule = construct("schedule", schedule, SCHEDULES)
    if warmup:
        schedule = Warmup(schedule, warmup)
    if isinstance(average, str):
        average = construct("average", average, AVERAGES)
    if capture and not fast:
        raise UsageError("capture needs the fast path: leave out fast=False (--no-fast)")
    if clip_norm is not None and not 0 < clip_norm < float("inf"):
        raise UsageError(f"clip_norm {clip_norm}: expected a number above 0")
    counts = {
        "epochs": epochs, "batch_size": batch_size, "accumulate": accumulate,
        "patience": patience, "limit": limit,
    }  # fmt: skip
    for name, value in counts.items():
        if value is not None:
            at_least(name, value, 1)
    if batch_size == 1 and any(isinstance(layer, BatchNorm) for layer in model.network.layers):
        raise UsageError("batch normalization needs batches of 2 samples at least, not of 1")
    check_seed(seed)
    loss, validation_loss = _choose_losses(model.output, loss, label_smoothing)
    if initial is not None:
        model = _continued(model, initial)
    data, model = prepare(model, x, y, loss)
    rows, validation_rows = split(data.x.shape[0], validation, seed)
    for name, wanted in (("patience", patience), ("schedule plateau", _plateau(schedule))):
        if wanted is not None and not len(validation_rows):
            raise UsageError(f"{name} needs samples to validate on; expected validation above 0")
    rows = rows[:limit]
    optimizer = _choose_optimizer(
        optimizer or default_optimizer(model),
        learning_rate,
        weight_decay,
        min(batch_size * accumulate, len(rows)),
    )
    with on_device_of(data.x), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        data = _weigh(data, model, rows, sample_weight, class_weight)
        if initial is None or initial.progress is None:
            model = scale(model, data, rows)
        inner, data = in_standard_units(model, data)
        run = _Run(
            model, inner.network, data, rows, validation_rows, loss, validation_loss, optimizer,
            schedule, clip_norm, average, epochs, batch_size, accumulate, seed, fast, capture,
        )  # fmt: skip
        return run.to_the_end(initial, patience, on_step, on_epoch)


@dataclass(frozen=True)
class Tables:
    """What the steps of an epoch are given; it goes up before the first.

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


def _advance(step: Advance, constants: Any, arrays: Arrays, tables: Tables, i: int) -> Arrays:
    """Step i of an epoch, as it is written."""
    return step(constants, arrays, *tables.at(i))


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
                    model = replace(self.model, theta=kept(theta), buffers=kept(buffers))
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
            theta, buffers = self.model.theta, self.model.buffers
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
        network, dataset, n = self.model.network, Dataset(*data), rows.shape[0]
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
            theta, state = update(
                network, self.optimizer, theta, g, state, buffers, scalars, self.clip_norm
            )
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
        params = self.network.unpack(theta, buffers[: self.network.buffer_size])
        x, t, w = Dataset(*data).gather(rows)
        z = self.network.infer(params, x)
        found = sums([(z, t, w)], self.validation_loss, self.model.multilabel)
        return *(a + b for a, b in zip(before, found, strict=True)), theta, buffers

    def validate(self, rows: HostArray, theta: Array, buffers: Array) -> Sequence[Array]:
        """The sums of losses and of hits over these rows, as it is written."""
        params = self.network.unpack(theta, buffers[: self.network.buffer_size])
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


def _continued(model: Model, initial: Result) -> Model:
    """The model to go on with, checked."""
    if not isinstance(initial, Result):
        raise UsageError(f"initial is a {type(initial).__name__}; expected what fit gave, a Result")
    if initial.model.dtype != model.dtype:
        raise UsageError(f"initial is a fit in {initial.model.dtype} and the model {model.dtype}")
    before, now = ((m.network, m.labels, m.output, m.multilabel) for m in (initial.model, model))
    if before != now:
        raise UsageError(
            f"initial is a fit of {initial.model.network} and the model is {model.network}; "
            "expected the same network, labels and output"
        )
    return initial.model


def _weigh(
    data: Dataset,
    model: Model,
    rows: HostArray,
    sample_weight: Any,
    class_weight: str | Mapping[Label, float] | None,
) -> Dataset:
    """The data with the weight of each sample, if any is given."""
    if sample_weight is None and class_weight is None:
        return data
    n = data.x.shape[0]
    require_same_device(data.x, sample_weight, "sample_weight")
    w = np.ones(n) if sample_weight is None else encode_weights(sample_weight, n, rows)
    if class_weight is not None:
        by_class = class_weights(class_weight, to_numpy(data.t), model.labels, rows)
        w = encode_weights(w * by_class, n, rows)
    return replace(data, w=put(w.astype(model.dtype), data.x))


def default_optimizer(model: Model) -> str:
    """The name of the optimizer that suits classes, or numbers, whose errors have no bound."""
    return "nesterov" if model.labels else "adam"


def _choose_optimizer(
    optimizer: str | Optimizer,
    learning_rate: float | None,
    weight_decay: float | None,
    samples_per_step: int,
) -> Optimizer:
    if isinstance(optimizer, str):
        optimizer = for_steps_of(
            samples_per_step, OPTIMIZERS[choose("optimizer", optimizer, OPTIMIZERS)]
        )
    if not isinstance(optimizer, Optimizer):
        raise UsageError(f"optimizer {optimizer!r}: expected a name or an optimizer, as in Adam()")
    if learning_rate is not None:
        optimizer = replace(optimizer, learning_rate=float(learning_rate))
    if weight_decay is not None:
        optimizer = replace(optimizer, weight_decay=float(weight_decay))
    return optimizer


def _choose_losses(
    output: str, loss: str | Loss | None, label_smoothing: float
) -> tuple[Loss, Loss]:
    """What is minimised, and what is validated with: the same without smoothing."""
    loss = loss_for(output, loss)
    if not label_smoothing:
        return loss, loss
    if loss != SoftmaxCrossEntropy():
        raise UsageError(f"label smoothing is for softmax-cross-entropy, and the loss is {loss}")
    return SoftmaxCrossEntropy(label_smoothing), loss
