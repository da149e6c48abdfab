"""Training: one step, many steps (`fit`), and how good the result is (`evaluate`).

Between the first and the last step of an epoch nothing is copied between host and device, and
nothing waits: the order of the samples, the table of each step's scalars and the keys of
dropout go up before the first, and the sums of loss and hits come down after the last.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from xpnet.data import (
    BLOCK,
    Dataset,
    blocks,
    encode_targets,
    encode_weights,
    split,
    standardization,
)
from xpnet.device import namespace, on_device_of, put, to_numpy, without_history
from xpnet.errors import DataError, DivergedError, UsageError, at_least, choose
from xpnet.layers import Array, Arrays, Standardize
from xpnet.losses import LOSSES, OUTPUTS, Loss, SoftmaxCrossEntropy
from xpnet.metrics import correct, interval
from xpnet.model import Model, check_seed, predicted_columns
from xpnet.network import Network
from xpnet.optimizers import OPTIMIZERS, Optimizer, State, clip_by_norm
from xpnet.random import Purpose, permutation, step_keys
from xpnet.schedules import SCHEDULES, Schedule

HostArray = npt.NDArray[Any]


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Attributes
    ----------
    epoch : int
        From 1.
    loss : float
        Mean training loss over the epoch, as minimised (with label smoothing, if any).
    validation_loss, validation_accuracy : float or None
        After the epoch; None where there is nothing to validate on, or no classes.
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
    """

    model: Model
    history: tuple[Epoch, ...] = ()
    best_epoch: int = 0


@dataclass(frozen=True)
class Evaluation:
    """How good a model is on some samples.

    Attributes
    ----------
    samples : int
    loss : float
        Mean loss: cross-entropy in nats, or squared error.
    accuracy : float or None
        Part of the samples whose label was predicted; None for regression.
    interval : (float, float) or None
        Its 95 % confidence interval (`metrics.interval`).
    """

    samples: int
    loss: float
    accuracy: float | None
    interval: tuple[float, float] | None


def train_step(
    network: Network,
    loss: Loss,
    optimizer: Optimizer,
    theta: Array,
    state: State,
    buffers: Array,
    batch: tuple[Array, Array, Array | None],
    scalars: Array,
    keys: Array | None = None,
    clip_norm: float | None = None,
) -> tuple[Array, State, Array]:
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
    theta, state, loss
        The next ones, and the loss of this batch before the update, a 0-d array.
    """
    x, t, w = batch
    params = network.unpack(theta, buffers, keys)
    z, caches = network.forward(params, x)
    value, cache = loss.forward(z, t, w)
    _, grads = network.backward(params, caches, loss.backward(cache))
    g = network.pack(grads)
    if clip_norm is not None:
        g = clip_by_norm(g, clip_norm)
    theta, state = optimizer.update(theta, g, state, scalars, network.decayed_size)
    return theta, state, value


def fit(
    model: Model,
    x: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    epochs: int = 10,
    batch_size: int = 128,
    optimizer: str | Optimizer = "nesterov",
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    schedule: str | Schedule = "one-cycle",
    clip_norm: float | None = None,
    loss: str | Loss | None = None,
    label_smoothing: float = 0.0,
    validation: float = 1 / 6,
    patience: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    on_step: Callable[[int], None] | None = None,
    on_epoch: Callable[[Epoch, Result], None] | None = None,
) -> Result:
    """Train a model; the one passed in stays as it is.

    Where x lies decides where it is computed: NumPy arrays and lists on the CPU, CuPy arrays on
    their GPU, others by their library.  A scaling layer that is still the identity first gets its
    constants from the training samples: one mean and scale for all pixels of images (samples of
    more than one axis, or of uint8), else one for each column.

    Parameters
    ----------
    model : Model
        The start.
    x : array or list (n, ...)
        Samples, as they come.
    y : array or list
        Labels or targets (`data.encode_targets`).
    sample_weight : array or list (n,), optional
        How much each sample counts in training; scaled to a mean of one over those trained on.
    epochs : int, default 10
        How often each sample is seen.
    batch_size : int, default 128
        Samples per step; an epoch's last batch may be smaller.
    optimizer : str or Optimizer, default "nesterov"
        One of `optimizers.OPTIMIZERS` by name, or one made to measure.
    learning_rate, weight_decay : float, optional
        Replace the optimizer's own.
    schedule : str or Schedule, default "one-cycle"
        The learning rate's course, by name (`schedules.SCHEDULES`) or as a function.
    clip_norm : float, optional
        Shorten longer gradients to this length.
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
        Of the split, the order of samples, and dropout.
    on_step : callable, optional
        Called with the number of steps done.
    on_epoch : callable, optional
        Called with the epoch's numbers and the result so far.

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
    """
    optimizer = _choose_optimizer(optimizer, learning_rate, weight_decay)
    if isinstance(schedule, str):
        schedule = SCHEDULES[choose("schedule", schedule, SCHEDULES)]()
    if clip_norm is not None and not 0 < clip_norm < float("inf"):
        raise UsageError(f"clip_norm {clip_norm}: expected a number above 0")
    counts = {"epochs": epochs, "batch_size": batch_size, "patience": patience, "limit": limit}
    for name, value in counts.items():
        if value is not None:
            at_least(name, value, 1)
    check_seed(seed)
    loss, validation_loss = _choose_losses(model.output, loss, label_smoothing)
    data, model = prepare(model, x, y)
    rows, validation_rows = split(data.x.shape[0], validation, seed)
    if patience is not None and not len(validation_rows):
        raise UsageError("patience needs samples to validate on; expected validation above 0")
    rows = rows[:limit]
    if sample_weight is not None:
        w = encode_weights(sample_weight, data.x.shape[0], rows)
        data = replace(data, w=put(w.astype(model.dtype), data.x))
    with on_device_of(data.x), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        run = _Run(
            standardize(model, data.x, rows), data, rows, validation_rows, loss, validation_loss,
            optimizer, schedule, clip_norm, epochs, batch_size, seed,
        )  # fmt: skip
        return run.to_the_end(patience, on_step, on_epoch)


@dataclass(frozen=True)
class _Run:
    """All that `fit` is given, checked and in its place."""

    model: Model
    data: Dataset
    rows: HostArray
    validation_rows: HostArray
    loss: Loss
    validation_loss: Loss
    optimizer: Optimizer
    schedule: Schedule
    clip_norm: float | None
    epochs: int
    batch_size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def to_the_end(
        self,
        patience: int | None,
        on_step: Callable[[int], None] | None,
        on_epoch: Callable[[Epoch, Result], None] | None,
    ) -> Result:
        theta, state = self.model.theta, self.optimizer.init(self.model.theta)
        result, best = Result(self.model), (float("-inf"), float("-inf"))
        for number in range(self.epochs):
            start = perf_counter()
            theta, state, total = self.train_epoch(number, theta, state, on_step)
            xp = namespace(theta)
            total = total + xp.sum(theta - theta)  # 0, or NaN if θ is no longer finite
            # Here, once per epoch, the device is waited for.
            sums = to_numpy(xp.stack([total, *self.validate(theta)])).tolist()
            epoch = self.summary(number, sums, perf_counter() - start)
            if not all(isfinite(s) for s in sums):
                raise DivergedError(self.diverged(epoch, result), result)
            score = self.score(epoch)
            if score > best or not len(self.validation_rows):
                best = score
                model = replace(self.model, theta=theta)
                result = Result(model, result.history, epoch.epoch)
            result = replace(result, history=(*result.history, epoch))
            if on_epoch is not None:
                on_epoch(epoch, result)
            if patience is not None and epoch.epoch - result.best_epoch >= patience:
                break
        return result

    def train_epoch(
        self, number: int, theta: Array, state: State, on_step: Callable[[int], None] | None
    ) -> tuple[Array, State, Array]:
        """Every training sample once; the sum of their losses comes with the new arrays."""
        network, steps = self.model.network, self.steps_per_epoch
        first = number * steps
        rows, table, keys = self.upload(number, range(first, first + steps))
        total: Array = 0.0
        for i in range(steps):
            start = i * self.batch_size
            batch_rows = rows[start : min(start + self.batch_size, len(self.rows))]
            theta, state, value = train_step(
                network, self.loss, self.optimizer, theta, state, self.model.buffers,
                self.data.gather(batch_rows), table[i, :], None if keys is None else keys[i, ...],
                self.clip_norm,
            )  # fmt: skip
            total = total + value * batch_rows.shape[0]
            if on_step is not None:
                on_step(first + i + 1)
        return theta, state, total

    def upload(self, number: int, steps: range) -> tuple[Array, Array, Array | None]:
        """The epoch's order of samples, each step's scalars and dropout keys, on the device."""
        order_key = step_keys(self.seed, Purpose.PERMUTATION, 0, range(number, number + 1))[0]
        order = self.rows[permutation(order_key, len(self.rows))].astype(np.int32)
        table = [self.scalars(step) for step in steps]
        scalars = np.asarray(table, dtype=self.model.dtype)
        drawing = self.model.network.drawing
        x = self.data.x
        if not drawing:
            return put(order, x), put(scalars, x), None
        words = [step_keys(self.seed, Purpose.UNITS, layer, steps) for layer in drawing]
        keys = np.zeros((len(steps), len(drawing), 3), dtype=np.int32)  # the batch's first row: 0
        keys[:, :, :2] = np.stack(words, axis=1)
        return put(order, x), put(scalars, x), put(keys, x)

    def scalars(self, step: int) -> tuple[float, ...]:
        part = step / (self.epochs * self.steps_per_epoch)
        return self.optimizer.scalars(float(self.schedule(part)), step + 1)

    def validate(self, theta: Array) -> Sequence[Array]:
        """The sums of losses and of hits over the validation samples, on the device.

        Without any, over some training samples: they tell whether the last step spoilt the model.
        """
        rows = self.validation_rows if len(self.validation_rows) else self.rows[:BLOCK]
        network = self.model.network
        params = network.unpack(theta, self.model.buffers)
        return _sums(network, self.validation_loss, params, replace(self.data, w=None), rows)

    def summary(self, number: int, sums: Sequence[float], seconds: float) -> Epoch:
        """The epoch's means, from the sums of `train_epoch` and `validate`."""
        n, held = len(self.rows), len(self.validation_rows)
        last = (number + 1) * self.steps_per_epoch - 1
        factor = float(self.schedule(last / (self.epochs * self.steps_per_epoch)))
        return Epoch(
            epoch=number + 1,
            loss=sums[0] / n,
            validation_loss=sums[1] / held if held else None,
            validation_accuracy=min(sums[2] / held, 1.0) if held and len(sums) > 2 else None,
            learning_rate=self.optimizer.learning_rate * factor,
            seconds=seconds,
        )

    def score(self, epoch: Epoch) -> tuple[float, float]:
        """Greater is better; without validation every epoch is as good as the last."""
        loss, accuracy = epoch.validation_loss, epoch.validation_accuracy
        return 0.0 if accuracy is None else accuracy, 0.0 if loss is None else -loss

    def diverged(self, epoch: Epoch, result: Result) -> str:
        kept = f"the model of epoch {result.best_epoch} is kept" if result.best_epoch else (
            "no epoch was good, so there is no model"
        )  # fmt: skip
        bad = epoch.loss if not isfinite(epoch.loss) else epoch.validation_loss or "infinite"
        return (
            f"the loss became {bad} in epoch {epoch.epoch}; {kept}. Try a smaller learning rate "
            f"(its peak was {self.optimizer.learning_rate:g})"
        )


def _choose_optimizer(
    optimizer: str | Optimizer, learning_rate: float | None, weight_decay: float | None
) -> Optimizer:
    if isinstance(optimizer, str):
        optimizer = OPTIMIZERS[choose("optimizer", optimizer, OPTIMIZERS)]
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
    if isinstance(loss, str):
        loss = LOSSES[choose("loss", loss, LOSSES)]()
    loss = loss or OUTPUTS[output]()
    if loss.output != output:
        raise UsageError(
            f"{loss} is for output={loss.output!r} and the model has output={output!r}"
        )
    if not label_smoothing:
        return loss, loss
    if loss != SoftmaxCrossEntropy():
        raise UsageError(f"label_smoothing is for SoftmaxCrossEntropy(), and the loss is {loss}")
    return SoftmaxCrossEntropy(label_smoothing), loss


def prepare(model: Model, x: Any, y: Any) -> tuple[Dataset, Model]:
    """Samples and targets where x is, checked; and the model with its arrays there.

    Raises
    ------
    UsageError, DataError
        x or y isn't what it should be.
    """
    x = without_history(model.flatten(x))
    n, xp = x.shape[0], namespace(x)
    t = encode_targets(y, model.output, model.labels, model.network.fan_out)
    if len(t) != n or not n:
        raise DataError(f"{n} samples in x and {len(t)} in y; expected as many, and at least one")
    if t.dtype != np.int32 and np.max(np.abs(t)) > np.finfo(model.dtype).max:
        raise DataError(f"y has numbers that {model.dtype} cannot hold; scale it, or use float64")
    with on_device_of(x):
        if xp.isdtype(x.dtype, "real floating") and not bool(xp.all(xp.isfinite(x))):
            raise DataError("x holds NaN or infinite numbers; expected finite ones")
        data = Dataset(x, put(t if t.dtype == np.int32 else t.astype(model.dtype), x))
        return data, model.like(x)


def standardize(model: Model, x: Array, rows: HostArray) -> Model:
    """The model with the constants of x in its scaling layer, if that is still the identity.

    Pixels share one mean and one scale: x is taken for pixels if the model's samples have more
    than one axis, or if x is of uint8.  Otherwise each column has its own.
    """
    network = model.network
    params = network.unpack(to_numpy(model.theta), to_numpy(model.buffers))
    if not network.layers or not isinstance(network.layers[0], Standardize):
        return model
    first = params[0]
    if np.any(first["mean"] != 0) or np.any(first["scale"] != 1):
        return model
    pixels = len(model.input_shape) > 1 or x.dtype == namespace(x).uint8
    mean, scale = (a.astype(model.dtype) for a in standardization(x, rows, pixels))
    if not (np.all(np.isfinite(mean)) and np.all(np.isfinite(scale)) and np.all(scale > 0)):
        raise DataError(f"x has numbers that {model.dtype} cannot hold; scale it, or use float64")
    params[0] = {"mean": mean, "scale": scale}
    return replace(model, buffers=put(network.pack_buffers(params), x))


def evaluate(model: Model, x: Any, y: Any) -> Evaluation:
    """How good the model is on some samples, where x lies.

    Raises
    ------
    UsageError, DataError
        x or y isn't what it should be.
    """
    data, model = prepare(model, x, y)
    n = data.x.shape[0]
    with on_device_of(data.x):
        sums = _sums(model.network, OUTPUTS[model.output](), model.params, data, np.arange(n))
        total, *hits = to_numpy(namespace(data.x).stack(sums)).tolist()
    if not hits:
        return Evaluation(n, total / n, None, None)
    hit = min(round(hits[0]), n)  # above 2^24 samples float32 may have rounded up
    return Evaluation(n, total / n, hit / n, interval(hit, n))


def _sums(
    network: Network, loss: Loss, params: Sequence[Arrays], data: Dataset, rows: HostArray
) -> list[Array]:
    """The sum of the losses and, for labels, of the hits over some rows; nothing waits."""
    total: Array = 0.0
    hits: Array = 0
    labels = len(data.t.shape) == 1  # rows of softmax have a most probable label, others none
    classes = loss.output == "softmax" or (loss.output == "sigmoid" and labels)
    for index in blocks(rows, data.x):
        x, t, w = data.gather(index)
        z = network.infer(params, x)
        value, _ = loss.forward(z, t, w)
        total = total + value * x.shape[0]
        if classes:
            label = t if labels else namespace(t).argmax(t, axis=1)
            hits = hits + correct(label, predicted_columns(z))
    return [total, namespace(z).asarray(hits, dtype=total.dtype)] if classes else [total]
