"""`fit`: arguments checked, samples prepared, and the loop over them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from xpnet.arrays import on_device_of
from xpnet.bounds import Count, NotNegative, Positive, Seed, shown
from xpnet.checks import checked, function_of, instance
from xpnet.data.labels import Label
from xpnet.errors import UsageError
from xpnet.fitting.loop import OnStep, Training
from xpnet.fitting.plan import TrainingPlan, enough_epochs, plateau_of
from xpnet.fitting.results import Epoch, Result
from xpnet.fitting.resuming import begin, continued
from xpnet.fitting.samples import samples_of
from xpnet.fitting.scaling import scale
from xpnet.fitting.validation import monitor_of, note_on_validation
from xpnet.fitting.verbose import EpochLines, Printer
from xpnet.losses import Loss, loss_for
from xpnet.model import Model
from xpnet.normalization import BatchNorm
from xpnet.optimizers import Average, Optimizer, for_steps_of
from xpnet.registry import AVERAGES, OPTIMIZERS, SCHEDULES
from xpnet.schedules import Schedule


@checked
def fit(
    model: Model,
    x: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    class_weight: str | Mapping[Label, float] | None = None,
    epochs: Count | None = None,
    batch_size: Count = 128,
    accumulate: Count = 1,
    optimizer: str | Optimizer | None = None,
    learning_rate: Positive | None = None,
    weight_decay: NotNegative | None = None,
    schedule: str | Schedule = "one-cycle",
    clip_norm: Positive | None = None,
    average: str | Average | None = None,
    loss: str | Loss | None = None,
    validation: float | None = None,
    validation_data: tuple[Any, ...] | None = None,
    monitor: str | None = None,
    patience: Count | None = None,
    min_delta: NotNegative = 0.0,
    seed: Seed = 0,
    fast: bool = True,
    capture: bool | None = None,
    initial: Result | None = None,
    verbose: bool | int = False,
    on_step: Callable[[int], None] | None = None,
    on_epoch: Callable[[Epoch, Result], bool | None] | None = None,
) -> Result:
    """Train a model and return the trained one; the given model does not change.

    Training runs on the device that holds `x`: NumPy arrays and lists on the CPU, CuPy arrays on
    their GPU, other arrays by their library.  A scaling layer that is still the identity first gets
    its constants from the training samples: one mean and scale for all pixels of images (samples of
    more than one axis, or of uint8 with 64 columns or more), else one for each column.  So does the
    last layer of a regression, which scales the targets.

    Parameters
    ----------
    model : Model
        The model to begin with.
    x : array, list or frame (n, ...)
        Samples, of any numeric type and not scaled.  The shape of images, (n, rows, columns),
        becomes the `input_shape` of a model that was made without one.  The names of the columns of
        a frame (of pandas, Polars, Arrow or another library) become the model's `columns`.
    y : array, list, series or frame
        Labels or targets (`data.targets.encode_targets`).  Where the labels of the model are the
        default 0, 1, 2, ... and y has others, as many as the model has classes, those in y, sorted,
        become the labels of the trained model; of a frame with a column for each label, the names
        of its columns do.
    sample_weight : array, list or series (n,), optional
        How much each sample counts, in training, validation and scaling: a weight of k as much as k
        equal samples, and a sample of weight 0 as if it were not there, whatever it holds.
    class_weight : "balanced" or mapping of label to number, optional
        How much each class counts (`weights.class_weights`); multiplies sample weights.
        torch's losses divide by the sum of the weights in each batch, not over all samples.
    epochs : int, optional
        The number of passes over the training samples; by default 10, or more to make 1,000 steps.
    batch_size : int, default 128
        Samples per batch; the last batch of an epoch may be smaller.
    accumulate : int, default 1
        Batches per step, whose gradients are added up.  Up to rounding a step is that of one batch
        of `accumulate * batch_size` samples, in the memory of one of `batch_size`; but BatchNorm
        uses the statistics of each batch.
    optimizer : str or Optimizer, optional
        One of `registry.OPTIMIZERS` by name, or an `Optimizer` instance; by default "nesterov" for
        classes and "adam" for numbers.
    learning_rate, weight_decay : float, optional
        Replace those of the optimizer.  A learning rate that is given nowhere is the optimizer's
        standard one, reduced where a step has fewer than 128 samples (`optimizers.for_steps_of`).
    schedule : str or Schedule, default "one-cycle"
        The course of the learning rate: one of `registry.SCHEDULES` by name, or a function of the
        completed part of the run, 0 to 1, that returns the factor of the peak.  `Warmup` puts a
        rise in front.
    clip_norm : float, optional
        The greatest norm of the gradient: a longer gradient is shortened to it.
    average : str or function, optional
        Averaged weights are validated and returned (`registry.AVERAGES`): "ema" is an exponential
        average over the steps, "last" the mean over the last part of the run.  Running statistics
        are averaged likewise.  A function receives the number of the step in this run from 1, the
        number of steps of the run, and the number of steps before it, and returns a in
        A ← A + a (θ - A).
    loss : str or Loss, optional
        One of `registry.LOSSES` by name, or a `Loss` instance, that fits the model's output; by
        default the one in `losses.OUTPUTS`.
    validation : float or int, optional
        Samples held out to choose the best epoch: a part below 1, or a number; 0 for none.  The
        default is 1/6; none is held out of fewer than 10 samples, or where `validation_data` is
        given.  Where there are classes, the same part of each, but for classes of one or two
        samples, which stay in training.
    validation_data : (x, y) or (x, y, sample_weight), optional
        Samples, labels or targets, and weights to choose the best epoch by, on the device of x.
    monitor : str, optional
        The score of the validation samples that epochs are compared by: "loss", "accuracy", or
        another that `evaluate` gives for the model, such as "balanced_accuracy" or "r2", for which
        their logits are copied to the host after each epoch.  The default is "accuracy" where there
        are classes, else "loss", which for regression is that of scaled targets (`Epoch`).
    patience : int, optional
        Stop after this number of epochs without improvement, those before `initial` included.
    min_delta : float, default 0.0
        For `patience`, an epoch is an improvement if its score is better by more than this.  At 0
        an epoch of an equal score and a lower loss is an improvement, too.
    seed : int, default 0
        Random seed for the split, the order of the samples, dropout and noise.
    fast : bool, default True
        Compute the steps by the fast paths (`xpnet.fast`), where there is one.  Each step is the
        same up to rounding, whose effect grows in a long run.
    capture : bool, optional
        On a GPU, whether the fast path launches many steps together as CUDA graphs; by default
        where steps are short (`fast.cuda.step.LONG_STEP`).
    initial : Result, optional
        The result of another fit to continue from, with its weights, optimizer state, numbers of
        steps and epochs, history and best model; `model` must have the same network.  The schedule,
        and an average over the last part, run over the epochs that are added.  Scores are compared
        with those of before: use the same data, seed, validation and loss; of another monitor they
        are not compared, and the best model is one of this fit.
    verbose : bool or int, default False
        Print the loss and the validation accuracy: on a terminal in one line that is rewritten,
        elsewhere in a line for each epoch, or for about 20 of many.
    on_step : function, optional
        Called with the number of completed steps.
    on_epoch : function, optional
        Called with the `Epoch` and the result so far; training stops if it returns True.

    Returns
    -------
    Result
        Its model is that of the epoch with the best score (`monitor`; then the lower loss, then the
        earlier epoch), or of the last epoch without validation.

    Raises
    ------
    UsageError, DataError
        An argument is not what it should be.
    DivergedError
        The loss became NaN or infinite.
    DeviceFailedError
        A GPU has no memory left, or failed.  Arrays on a GPU that failed cannot be read any more:
        save the model in `on_epoch`, as `xpnet train` does.

    Warns
    -----
    UserWarning
        The first column of a frame looks like an index, or a column of x has the name of the series
        y (`data.frames.warn_of_columns`); samples are large, and the model does not scale them; or
        no sample can be held out.

    Notes
    -----
    Every error in the middle of training, and KeyboardInterrupt, has an attribute `result`: the
    best model so far, and the history up to the last completed epoch, for `initial`.
    """
    _check(fast, capture, verbose, on_step, on_epoch)
    if batch_size == 1 and any(isinstance(layer, BatchNorm) for layer in model.network.layers):
        raise UsageError("batch_size must be 2 or more for batch normalization, got 1")
    schedule = instance("schedule", schedule, SCHEDULES)
    function_of("schedule", schedule, "part of the run")
    if average is not None:
        average = instance("average", average, AVERAGES)
        function_of("average", average, "step", "steps", "steps before")
    loss = loss_for(model.output, loss)
    if initial is not None:
        model = continued(model, initial)
    samples, model = samples_of(
        model, x, y, loss, sample_weight, class_weight, validation, validation_data, seed
    )
    if not len(samples.validation_rows):
        _check_needs_no_validation(patience, schedule, monitor)
    samples_per_step = batch_size * accumulate
    n, x = len(samples.rows), samples.data.x
    epochs = enough_epochs(n, samples_per_step) if epochs is None else epochs
    optimizer = _choose_optimizer(
        model, optimizer, learning_rate, weight_decay, min(samples_per_step, n)
    )
    with on_device_of(x), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if initial is None or initial.progress is None:
            model = scale(model, samples.data, samples.rows, samples.weights)
        network, samples = samples.in_standard_units(model)
        plan = TrainingPlan(
            model=model, network=network, data=samples.data, rows=samples.rows,
            validation_data=samples.validation_data, validation_rows=samples.validation_rows,
            monitor=monitor_of(model, samples.validation_data, monitor), loss=loss,
            optimizer=optimizer, schedule=schedule, clip_norm=clip_norm, average=average,
            epochs=epochs, batch_size=batch_size, accumulate=accumulate, seed=seed, fast=fast,
            capture=capture,
        )  # fmt: skip
        training = Training(plan, *begin(plan, initial))
        with _printing(training, verbose, on_step) as (after_step, show):
            return training.run(patience, min_delta, after_step, on_epoch, show)


def _check(fast: bool, capture: bool | None, verbose: Any, on_step: Any, on_epoch: Any) -> None:
    """Raise a UsageError where an argument is something else."""
    if not isinstance(verbose, bool | int):
        raise UsageError(
            f"verbose must be True, False or a number, got {shown(verbose)}", "verbose"
        )
    if on_step is not None:
        function_of("on_step", on_step, "step")
    if on_epoch is not None:
        function_of("on_epoch", on_epoch, "epoch", "result")
    if capture and not fast:
        raise UsageError("capture needs the fast path: leave out fast=False (--no-fast)")


@contextmanager
def _printing(
    training: Training, verbose: bool | int, on_step: OnStep | None
) -> Iterator[tuple[OnStep | None, Callable[[Epoch], None] | None]]:
    """Yield the functions to call after each step and each epoch, which print with `verbose`."""
    if not verbose:
        yield on_step, None
        return
    plan, done = training.plan, training.progress.epochs
    unit = "images" if len(plan.model.input_shape) > 1 else "samples"
    if note := note_on_validation(plan):
        print(note)
    lines = EpochLines(done + 1, done + plan.epochs, len(plan.rows), unit)
    printer = Printer(lines, plan.steps_per_epoch, training.progress.steps)

    def after_step(step: int) -> None:
        printer.on_step(step)
        if on_step is not None:
            on_step(step)

    try:
        yield after_step if printer.in_place else on_step, printer.on_epoch
    finally:
        printer.end()


def _check_needs_no_validation(
    patience: int | None, schedule: Schedule, monitor: str | None
) -> None:
    needed = {"patience": patience, "schedule plateau": plateau_of(schedule), "monitor": monitor}
    for name, wanted in needed.items():
        if wanted is not None:
            raise UsageError(
                f"{name} needs samples to validate on: validation must be above 0, and where there "
                "are classes one must have three samples; or give validation_data"
            )


def default_optimizer(model: Model) -> str:
    """The name of the optimizer that suits classes, or numbers, whose errors have no bound."""
    return "nesterov" if model.labels else "adam"


def _choose_optimizer(
    model: Model,
    optimizer: str | Optimizer | None,
    learning_rate: float | None,
    weight_decay: float | None,
    samples_per_step: int,
) -> Optimizer:
    name_or_instance = default_optimizer(model) if optimizer is None else optimizer
    chosen = instance("optimizer", name_or_instance, OPTIMIZERS, Optimizer)
    if learning_rate is not None:
        chosen = replace(chosen, learning_rate=learning_rate)
    if weight_decay is not None:
        chosen = replace(chosen, weight_decay=weight_decay)
    return for_steps_of(samples_per_step, chosen)
