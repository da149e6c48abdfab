"""`xpnet train`."""

import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import click

from xpnet.cli import names
from xpnet.cli.options import (
    DATA,
    EVERYDAY,
    NETWORK,
    TRAINING,
    Activation,
    Data,
    DataDir,
    DeviceOption,
    Dropout,
    Hidden,
    Noise,
    Normalization,
    Strict,
    Target,
    Threads,
    begin,
    build,
    or_none,
)
from xpnet.cli.parser import option
from xpnet.errors import DeviceFailedError, DivergedError, XpnetError
from xpnet.tools import threads as blas

if TYPE_CHECKING:
    from xpnet.cli.tasks import Task
    from xpnet.data.sources import Samples
    from xpnet.device.selection import Device
    from xpnet.fitting.results import Epoch, Result

FEWEST_EPOCHS, FEWEST_STEPS = 10, 1000
SECONDS_BETWEEN_WRITES = 1.0  # where epochs are shorter: putting files on a disk takes longer


class _InterruptedError(XpnetError):
    """Ctrl-C in training: what is kept."""

    exit_code = 130


def train(
    context: click.Context,
    data: Data = "mnist",
    hidden: Hidden = "128",
    epochs: Annotated[
        int | None,
        option(
            EVERYDAY,
            "How often each sample is seen.",
            default=f"10, or more to make {FEWEST_STEPS:,} steps",
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
    task: Annotated[
        str | None, option(DATA, f"{', '.join(names.TASKS)}.", default="what the targets look like")
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
            f"One for all dense layers, or one each: {', '.join(names.INITIALIZERS)}.",
            default="the activation's",
        ),
    ] = None,
    dtype: Annotated[str, option(NETWORK, "float32 or float64.")] = "float32",
    batch_size: Annotated[int, option(TRAINING, "Samples per batch.")] = 128,
    accumulate: Annotated[int, option(TRAINING, "Batches per step.")] = 1,
    optimizer: Annotated[
        str | None,
        option(
            TRAINING,
            f"{', '.join(names.OPTIMIZERS)}.",
            default="nesterov for classes, adam for numbers",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None, option(TRAINING, "Its peak.", default="the optimizer's")
    ] = None,
    schedule: Annotated[
        str, option(TRAINING, f"The learning rate's course: {', '.join(names.SCHEDULES)}.")
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
        str, option(TRAINING, f"Of the weights over the steps: none, {', '.join(names.AVERAGES)}.")
    ] = "none",
    loss: Annotated[
        str | None,
        option(TRAINING, f"What is minimised: {', '.join(names.LOSSES)}.", default="the task's"),
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
    begin(data, threads)
    from xpnet.cli import run_folder as runs
    from xpnet.cli.advice import cpu_is_faster
    from xpnet.cli.report import Report
    from xpnet.cli.tasks import choose_task, loss_to_test
    from xpnet.data.dataset import split
    from xpnet.data.sources import load as load_data
    from xpnet.data.tables import names_of
    from xpnet.device.selection import select, versions
    from xpnet.fitting.evaluation import evaluate
    from xpnet.fitting.training import default_optimizer, fit

    validation = 1 / 6 if validation is None else validation
    chosen = select(device, strict_device)
    samples = load_data(data, target, data_dir)
    found = choose_task(samples, task, loss, names_of(target) if samples.columns else ())
    model = build(
        samples, found, hidden, activation, dtype, seed, normalization=or_none(normalization),
        dropout=dropout, noise=noise, max_norm=max_norm, initializer=initializer,
    )  # fmt: skip
    rows, _ = split(len(samples.x_train), validation, seed)
    if epochs is None:
        steps = -(-len(rows[:limit]) // max(batch_size * accumulate, 1))
        epochs = max(FEWEST_EPOCHS, -(-FEWEST_STEPS // max(steps, 1)))
    report = Report(model, samples.name, len(rows[:limit]), epochs, quiet)
    report.start(samples, found, chosen)
    products, multiplications = model.network.products
    if chosen.kind == "cuda" and cpu_is_faster(multiplications * batch_size, products, fast):
        report.say("hint", "such small steps may be faster by --device cpu: xpnet bench --compare")
    folder, made = runs.create(output, samples.name)
    optimizer = optimizer or default_optimizer(model)
    configuration = {**context.params, "epochs": epochs, "optimizer": optimizer}
    manifest = _manifest(context, configuration, samples, found, chosen, versions(chosen))
    best, written = 0, 0.0
    latest: Result | None = None

    def save(epoch: "Epoch", result: "Result") -> None:
        nonlocal latest
        latest = replace(result, progress=None)  # as large as the model, and more
        if perf_counter() - written > SECONDS_BETWEEN_WRITES:
            write()
        report.epoch(epoch)

    def write() -> None:
        nonlocal best, written
        if latest is not None:
            if latest.best_epoch > best:
                runs.write_model(folder, latest.model)
                best = latest.best_epoch
            runs.write_history(folder, latest.history)
        written = perf_counter()

    status = "failed"
    try:
        with blas.limited(threads or blas.suited(model.network, batch_size)) as taken:
            manifest["threads"] = taken
            runs.write_manifest(folder, manifest)
            start = perf_counter()
            with report.live(batch_size * accumulate) as on_step:
                result = fit(
                    model.to(chosen), chosen.put(samples.x_train), samples.y_train, epochs=epochs,
                    batch_size=batch_size, accumulate=accumulate, optimizer=optimizer,
                    learning_rate=learning_rate, schedule=schedule, warmup=warmup,
                    weight_decay=weight_decay, clip_norm=clip_norm, average=or_none(average),
                    loss=found.loss, label_smoothing=label_smoothing,
                    class_weight=or_none(class_weight), validation=validation, patience=patience,
                    limit=limit, seed=seed, fast=fast, capture=capture, on_step=on_step,
                    on_epoch=save,
                )  # fmt: skip
            write()
            seconds = perf_counter() - start
            measured = loss_to_test(result.model, found.loss)
            test = evaluate(result.model, chosen.put(samples.x_test), samples.y_test, measured)
        status = "finished"
        manifest |= {
            "test_accuracy": test.accuracy,
            "test_accuracy_interval": test.interval,
            "test_loss": runs.finite(test.loss),
            "test_metrics": {name: runs.finite(a) for name, a in test.metrics.items()},
            "seconds": seconds,
            "epochs": len(result.history),
            "best_epoch": result.best_epoch,
        }
    except DivergedError as error:
        write()
        status = "diverged"
        kept = f"; see {folder}" if best else ""
        raise DivergedError(f"{error}{kept}", error.result) from None
    except DeviceFailedError as error:
        with suppress(Exception):  # what is on a GPU that failed may be lost
            write()
        kept = f"; {folder} keeps the model of epoch {best}" if best else ""
        raise DeviceFailedError(f"{error}{kept}", error.result) from None
    except KeyboardInterrupt:
        write()
        status = "interrupted"
        kept = f"{folder} keeps the model of epoch {best}" if best else "nothing is kept"
        raise _InterruptedError(f"interrupted; {kept}") from None
    finally:
        if best:
            runs.write_manifest(folder, manifest | {"status": status})
        else:
            runs.discard(folder, made)
    report.end(result, test, measured, seconds, chosen, folder)


def _manifest(
    context: click.Context,
    configuration: dict[str, Any],
    samples: "Samples",
    task: "Task",
    device: "Device",
    versions: Mapping[str, str],
) -> dict[str, Any]:
    """What run.json says before the results."""
    from xpnet.cli import run_folder as runs
    from xpnet.losses import name_of

    data, loss = configuration["data"], configuration["loss"]
    return {
        "status": "running",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["xpnet", *context.obj]),
        "configuration": configuration,
        "versions": versions,
        "device": str(device),
        "device_reason": device.why,
        "seed": configuration["seed"],
        "task": task.name,
        "loss": loss or name_of(task.loss),
        "data": {
            "source": runs.source_of(data),
            "target": configuration["target"],
            "sha256": dict(samples.files),
        },
    }
