"""`fit`: arguments checked, samples prepared, and the loop over them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from xpnet.arrays import (
    HostArray,
    device_of,
    namespace,
    on_device_of,
    put,
    require_same_device,
    to_numpy,
)
from xpnet.checks import at_least, check_seed, choose, construct
from xpnet.data.dataset import Dataset, split
from xpnet.data.targets import Label, class_weights, encode_weights
from xpnet.errors import UsageError
from xpnet.fitting.loop import Training
from xpnet.fitting.plan import TrainingPlan, plateau_of
from xpnet.fitting.results import Epoch, Result
from xpnet.fitting.scaling import in_standard_units, prepare, scale
from xpnet.fitting.state import Progress, TrainingState
from xpnet.losses import Loss, SoftmaxCrossEntropy, loss_for
from xpnet.model import Model
from xpnet.normalization import BatchNorm
from xpnet.optimizers import Average, Optimizer, for_steps_of
from xpnet.registry import AVERAGES, OPTIMIZERS, SCHEDULES
from xpnet.schedules import Schedule, Warmup


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
        One of `registry.OPTIMIZERS` by name, or an `Optimizer` instance; by default "nesterov" for
        classes and "adam" for numbers.
    learning_rate, weight_decay : float, optional
        Replace the optimizer's own; that of one by name is for steps of 128 samples, and is
        smaller for smaller ones (`optimizers.for_steps_of`).
    schedule : str or Schedule, default "one-cycle"
        The learning rate's course, by name (`registry.SCHEDULES`) or as a function of the part
        of the run that is over, 0 to 1, which gives the factor of the peak.
    warmup : float, default 0.0
        The first part of the run, in which the learning rate rises (`schedules.Warmup`).
    clip_norm : float, optional
        Shorten longer gradients to this length.
    average : str or callable, optional
        Averaged weights are validated and given back (`registry.AVERAGES`): "ema" over the
        steps, the older the less; "last" over the last part of the run.  Running statistics are
        averaged likewise.  A function is given the number of the step in this run from 1, how
        many there are, and how many were before, and gives a in A ← A + a (θ - A).
    loss : str or Loss, optional
        One of `registry.LOSSES` by name, or a `Loss` instance, that fits the model's output; by
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
    schedule, average = _choose_schedule(schedule, warmup), _choose_average(average)
    if capture and not fast:
        raise UsageError("capture needs the fast path: leave out fast=False (--no-fast)")
    if clip_norm is not None and not 0 < clip_norm < float("inf"):
        raise UsageError(f"clip_norm {clip_norm}: expected a number above 0")
    _check_counts(
        epochs=epochs, batch_size=batch_size, accumulate=accumulate, patience=patience, limit=limit
    )
    if batch_size == 1 and any(isinstance(layer, BatchNorm) for layer in model.network.layers):
        raise UsageError("batch normalization needs batches of 2 samples at least, not of 1")
    check_seed(seed)
    loss, validation_loss = _choose_losses(model.output, loss, label_smoothing)
    if initial is not None:
        model = _continued(model, initial)
    data, model = prepare(model, x, y, loss)
    rows, validation_rows = split(data.x.shape[0], validation, seed)
    rows = rows[:limit]
    if not len(validation_rows):
        _check_needs_no_validation(patience, schedule)
    samples_per_step = min(batch_size * accumulate, len(rows))
    optimizer = _choose_optimizer(model, optimizer, learning_rate, weight_decay, samples_per_step)
    with on_device_of(data.x), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        data = _weigh(data, model, rows, sample_weight, class_weight)
        if initial is None or initial.progress is None:
            model = scale(model, data, rows)
        inner, data = in_standard_units(model, data)
        plan = TrainingPlan(
            model=model, network=inner.network, data=data, rows=rows,
            validation_rows=validation_rows, loss=loss, validation_loss=validation_loss,
            optimizer=optimizer, schedule=schedule, clip_norm=clip_norm, average=average,
            epochs=epochs, batch_size=batch_size, accumulate=accumulate, seed=seed, fast=fast,
            capture=capture,
        )  # fmt: skip
        training = Training(plan, *_begin(plan, initial))
        return training.run(patience, on_step, on_epoch)


def _check_counts(**counts: int | None) -> None:
    for name, value in counts.items():
        if value is not None:
            at_least(name, value, 1)


def _check_needs_no_validation(patience: int | None, schedule: Schedule) -> None:
    for name, wanted in (("patience", patience), ("schedule plateau", plateau_of(schedule))):
        if wanted is not None:
            raise UsageError(f"{name} needs samples to validate on; expected validation above 0")


def _begin(plan: TrainingPlan, initial: Result | None) -> tuple[Progress, Result]:
    """Where training begins, and what there is so far."""
    if initial is None or initial.progress is None:
        result, theta = Result(plan.model), plan.model.theta
        buffers = plan.model.buffers[: plan.network.buffer_size]
        xp = namespace(theta)
        loss = xp.zeros((), dtype=theta.dtype, device=device_of(theta))
        state = TrainingState(loss, theta, buffers, (), plan.optimizer.init(theta))
        progress = Progress(state, plan.optimizer)
    else:
        result, before = initial, initial.progress
        if type(before.optimizer) is not type(plan.optimizer):
            raise UsageError(
                f"initial was trained by {before.optimizer} and now by {plan.optimizer}; expected "
                "the same kind of optimizer"
            )
        state = before.state.to_library(plan.model.theta)
        if len(state.optimizer) != len(plan.optimizer.init(state.theta)):
            raise UsageError(f"initial has no state that {plan.optimizer} could go on with")
        progress = replace(before, state=state, optimizer=plan.optimizer)
    averaged = (state.theta, state.buffers)[: 2 if plan.network.refreshing else 1]
    average = () if plan.average is None else state.average or averaged
    return replace(progress, state=state._replace(average=average)), result


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


def _choose_schedule(schedule: str | Schedule, warmup: float) -> Schedule:
    if isinstance(schedule, str):
        schedule = construct("schedule", schedule, SCHEDULES)
    return Warmup(schedule, warmup) if warmup else schedule


def _choose_average(average: str | Average | None) -> Average | None:
    return construct("average", average, AVERAGES) if isinstance(average, str) else average


def _choose_optimizer(
    model: Model,
    optimizer: str | Optimizer | None,
    learning_rate: float | None,
    weight_decay: float | None,
    samples_per_step: int,
) -> Optimizer:
    optimizer = optimizer or default_optimizer(model)
    if isinstance(optimizer, str):
        optimizer = for_steps_of(
            samples_per_step, OPTIMIZERS[choose("optimizer", optimizer, OPTIMIZERS)]()
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
