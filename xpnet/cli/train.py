"""`xpnet train`: read the data, train and test a model, leave a run folder."""

from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import click

from xpnet import registry
from xpnet.bounds import Interval
from xpnet.checks import at_least
from xpnet.cli.options import (
    DATA,
    EVERYDAY,
    NETWORK,
    TRAINING,
    Activation,
    Data,
    DataDir,
    Delimiter,
    DeviceOption,
    Drop,
    Dropout,
    Encoding,
    Features,
    Header,
    Hidden,
    Noise,
    Normalization,
    Source,
    Strict,
    Target,
    Threads,
    begin,
    build,
    one_of,
    or_none,
    reading,
)
from xpnet.cli.parser import option
from xpnet.errors import DataError, UsageError
from xpnet.tools import threads as blas

if TYPE_CHECKING:
    from xpnet.cli.report import Report
    from xpnet.cli.run_folder import RunFolder
    from xpnet.data.sources import Samples
    from xpnet.device.selection import Device
    from xpnet.fitting.results import Epoch, Result
    from xpnet.losses import Loss
    from xpnet.model import Model
    from xpnet.schedules import Schedule


def train(
    context: click.Context,
    source: Source = None,
    data: Data = None,
    hidden: Hidden = "128",
    epochs: Annotated[
        int | None,
        option(
            EVERYDAY,
            "How often each sample is seen.",
            default="10, or more to make 1,000 steps",
        ),
    ] = None,
    device: DeviceOption = "auto",
    strict_device: Strict = False,
    threads: Threads = None,
    limit: Annotated[
        int | None, option(EVERYDAY, "A quick try: train on the first N training samples.")
    ] = None,
    output: Annotated[
        str | None,
        option(EVERYDAY, "The run folder, new or empty.", default="runs/NAME-NUMBER"),
    ] = None,
    quiet: Annotated[bool, option(EVERYDAY, "Print nothing.", "--quiet", "-q")] = False,
    target: Target = "label",
    features: Features = None,
    drop: Drop = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    header: Header = True,
    task: Annotated[
        str | None,
        option(DATA, f"{', '.join(registry.TASKS)}.", default="what the targets look like"),
    ] = None,
    data_dir: DataDir = None,
    activation: Activation = "relu",
    normalization: Normalization = "none",
    dropout: Dropout = 0.0,
    noise: Noise = 0.0,
    max_norm: Annotated[
        float, option(NETWORK, "Bound of the weights into a hidden unit; 0 for none.")
    ] = 0.0,
    initializer: Annotated[
        str | None,
        option(
            NETWORK,
            f"One for all dense layers, or one each: {', '.join(registry.INITIALIZERS)}.",
            default="the activation's; mean-field in the last layer of a regression",
        ),
    ] = None,
    dtype: Annotated[str, option(NETWORK, "float32 or float64.")] = "float32",
    batch_size: Annotated[int, option(TRAINING, "Samples per batch.")] = 128,
    accumulate: Annotated[int, option(TRAINING, "Batches per step.")] = 1,
    optimizer: Annotated[
        str | None,
        option(
            TRAINING,
            f"{', '.join(registry.OPTIMIZERS)}.",
            default="nesterov for classes, adam for numbers",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None, option(TRAINING, "Its peak.", default="the optimizer's")
    ] = None,
    schedule: Annotated[
        str, option(TRAINING, f"The learning rate's course: {', '.join(registry.SCHEDULES)}.")
    ] = "one-cycle",
    warmup: Annotated[
        float, option(TRAINING, "Part of the run in which the learning rate rises first.")
    ] = 0.0,
    weight_decay: Annotated[
        float | None, option(TRAINING, "Pulls the weights towards 0.", default="the optimizer's")
    ] = None,
    clip_norm: Annotated[
        float | None, option(TRAINING, "Shorten longer gradients to this length.")
    ] = None,
    average: Annotated[
        str,
        option(TRAINING, f"Of the weights over the steps: none, {', '.join(registry.AVERAGES)}."),
    ] = "none",
    loss: Annotated[
        str | None,
        option(TRAINING, f"What is minimised: {', '.join(registry.LOSSES)}.", default="the task's"),
    ] = None,
    label_smoothing: Annotated[
        float, option(TRAINING, "Of softmax-cross-entropy; at least 0, below 1.")
    ] = 0.0,
    class_weight: Annotated[
        str, option(TRAINING, "none, or balanced: rare classes count as much as others.")
    ] = "none",
    validation: Annotated[
        float | None,
        option(
            TRAINING,
            "Samples held out to choose the best epoch: a part below 1, or a number.",
            default="a sixth",
        ),
    ] = None,
    monitor: Annotated[
        str | None,
        option(
            TRAINING,
            "The score that chooses the best epoch: loss, accuracy, balanced_accuracy, f1, r2, ...",
            default="accuracy, or loss of numbers",
        ),
    ] = None,
    patience: Annotated[
        int | None, option(TRAINING, "Stop after so many epochs without a better one.")
    ] = None,
    seed: Annotated[int, option(TRAINING, "Of all that is random.")] = 0,
    fast: Annotated[
        bool,
        option(TRAINING, "Compute steps by the fast paths, or as written."),
    ] = True,
    capture: Annotated[
        bool | None,
        option(
            TRAINING,
            "On a GPU, launch the steps of the fast path as CUDA graphs.",
            default="where they are short",
        ),
    ] = None,
) -> None:
    """Train a network; by default 784-128-10 on the MNIST in the package.

    Names such as leaky-relu, huber or ema may bring a number: leaky-relu:0.2.
    """
    data = one_of(source, data, "mnist")
    begin(data, threads)
    from xpnet.cli import record
    from xpnet.cli import run_folder as runs
    from xpnet.cli.report import Report
    from xpnet.cli.tasks import choose_task, given_task
    from xpnet.data.dataset import split
    from xpnet.data.sources import load
    from xpnet.device.selection import select_device
    from xpnet.fitting.plan import enough_epochs
    from xpnet.fitting.training import default_optimizer

    validation = _part_or_number(validation)
    _check_counts(batch_size=batch_size, accumulate=accumulate, limit=limit)
    chosen = select_device(device, strict_device)
    samples = load(data, target, data_dir, task=given_task(task, loss)[0], **reading(context))
    found = choose_task(samples, task, loss, samples.target)
    model = build(
        samples, found, hidden, activation, dtype, seed, normalization=or_none(normalization),
        dropout=dropout, noise=noise, max_norm=max_norm, initializer=initializer,
    )  # fmt: skip
    rows, held = split(len(samples.x_train), validation, seed, samples.classes)
    n = len(rows[:limit])
    epochs = enough_epochs(n, batch_size * accumulate) if epochs is None else epochs
    report = Report(model, samples.name, n, epochs, quiet)
    report.start(samples, found, chosen, len(held))
    _advise(report, model, chosen, batch_size, fast)
    optimizer = optimizer or default_optimizer(model)
    settled = {"data": data, "epochs": epochs, "optimizer": optimizer}
    manifest = record.manifest(context, settled, samples, found, chosen)
    options = {
        "epochs": epochs, "batch_size": batch_size, "accumulate": accumulate,
        "optimizer": optimizer, "learning_rate": learning_rate, "weight_decay": weight_decay,
        "schedule": _warmed_up(schedule, warmup), "loss": _smoothed(found.loss, label_smoothing),
        "clip_norm": clip_norm, "average": or_none(average),
        "class_weight": or_none(class_weight), "validation": validation, "monitor": monitor,
        "patience": patience, "seed": seed, "fast": fast, "capture": capture,
    }  # fmt: skip
    run = runs.create(output, samples.name, manifest)
    _fit_and_test(run, report, model, samples, limit, chosen, threads, options)


def _part_or_number(validation: float | None) -> float | None:
    """Return what --validation gives as a number of samples where it is a whole one above 1."""
    if validation is None or not 1 < validation < 2**63 or not validation.is_integer():
        return validation
    return int(validation)


def _check_counts(**counts: int | None) -> None:
    for name, count in counts.items():
        if count is not None:
            at_least(name, count, 1)


def _warmed_up(schedule: str, warmup: float) -> "str | Schedule":
    """Return the schedule with --warmup in front of it."""
    from xpnet.schedules import Warmup

    return Warmup(schedule, Interval("[0, 1)").check("warmup", warmup)) if warmup else schedule


def _smoothed(loss: "Loss", smoothing: float) -> "Loss":
    """Return the loss with --label-smoothing."""
    from xpnet.losses import SoftmaxCrossEntropy, name_of

    if not smoothing:
        return loss
    if loss != SoftmaxCrossEntropy():
        raise UsageError(
            f"--label-smoothing {smoothing:g} is for --loss softmax-cross-entropy, and the loss is "
            f"{name_of(loss)}"
        )
    return SoftmaxCrossEntropy(Interval("[0, 1)").check("label_smoothing", smoothing))


def _advise(
    report: "Report", model: "Model", device: "Device", batch_size: int, fast: bool
) -> None:
    """Say where a CPU may be faster than the GPU that was chosen."""
    from xpnet.cli.advice import cpu_is_faster

    products, multiplications = model.network.products
    if device.kind == "cuda" and cpu_is_faster(multiplications * batch_size, products, fast):
        report.say("hint", "such small steps may be faster by --device cpu: xpnet bench --compare")


def _fit_and_test(
    run: "RunFolder",
    report: "Report",
    model: "Model",
    samples: "Samples",
    limit: int | None,
    device: "Device",
    threads: int | None,
    options: dict[str, Any],
) -> None:
    """Train, test the best model, and leave both in the run folder."""
    from xpnet.cli import record
    from xpnet.data.dataset import split
    from xpnet.fitting.evaluation import default_loss, evaluate
    from xpnet.fitting.training import fit

    def on_epoch(epoch: "Epoch", result: "Result") -> None:
        run.on_epoch(epoch, result)
        report.epoch(epoch)

    batch_size = options["batch_size"]
    with run.under_way(), blas.limited(threads or blas.suited(model.network, batch_size)) as taken:
        run.manifest["threads"] = taken
        run.write_manifest("running")
        start = perf_counter()
        with report.live(batch_size * options["accumulate"]) as on_step:
            x, y = samples.x_train, samples.y_train
            if limit is not None:  # the samples to validate on stay those of the whole
                rows, held = split(len(x), options["validation"], options["seed"], samples.classes)
                if len(held):
                    options["validation_data"] = device.put(x[held]), y[held]
                    options["validation"] = None
                x, y = x[rows[:limit]], y[rows[:limit]]
            result = fit(
                model.to(device), device.put(x), y, on_step=on_step, on_epoch=on_epoch, **options
            )
        run.write()
        seconds = perf_counter() - start
        try:
            test = evaluate(result.model, device.put(samples.x_test), samples.y_test)
        except DataError as error:
            raise DataError(f"the test set: {error} The model is in {run.path}") from None
        run.manifest |= record.results(result, test, seconds)
    report.end(result, test, default_loss(result.model), seconds, device, run.path)
