"""The command line.  The one user of typer.

Exit codes: 0; 2 for wrong usage and for a device that was demanded and isn't there; 1 for
failure; 130 after Ctrl-C.  A mistake of the user's is answered in one line.
"""

import io
import json
import os
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer
from threadpoolctl import threadpool_info, threadpool_limits
from typer.exceptions import TyperException

from xpnet import run as runs
from xpnet.activations import ACTIVATIONS
from xpnet.data import split
from xpnet.datasets import NAMED, Samples, load_samples
from xpnet.datasets import load as load_data
from xpnet.device import Device, inventory, select, to_numpy, versions
from xpnet.errors import (
    DataError,
    DeviceFallbackWarning,
    DivergedError,
    UsageError,
    XpnetError,
    at_least,
    choose,
)
from xpnet.evaluation import evaluate
from xpnet.explain import explain
from xpnet.explain import tiny as tiny_network
from xpnet.gradcheck import REFERENCES, check, check_file, summary, table, verdict
from xpnet.losses import LOSSES
from xpnet.model import Model, load, mlp
from xpnet.optimizers import OPTIMIZERS
from xpnet.preparation import standardize
from xpnet.report import Report, show_accuracy, show_loss
from xpnet.schedules import SCHEDULES
from xpnet.train import Epoch, Result, fit

app = typer.Typer(
    name="xpnet",
    help="A neural network from scratch: train it, evaluate it, predict with it.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

EVERYDAY, NETWORK, TRAINING = "Everyday", "Network", "Training"
CLASSIFIERS = [name for name, loss in LOSSES.items() if loss.output != "identity"]
SMALL_PRODUCT = 2**25  # multiplications; 784 x 128 weights reach it at batches of 335


def _option(panel: str, text: str, *names: str, default: str = "") -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, show_default=default or True)


Data = Annotated[
    str, _option(EVERYDAY, "mnist, a folder of IDX files, or an .npz (x_train, ..., or x, y).")
]
DeviceOption = Annotated[str, _option(EVERYDAY, "auto, cpu, cuda or cuda:N.")]
Strict = Annotated[
    bool,
    _option(
        EVERYDAY, "Fail where the GPU asked for cannot be used: no fall-back.", "--strict-device"
    ),
]
AsJson = Annotated[bool, _option(EVERYDAY, "Print JSON.", "--json")]
Hidden = Annotated[str, _option(EVERYDAY, "Widths of the hidden layers, as in 128,64; or none.")]
Activation = Annotated[
    str, _option(NETWORK, f"One for all hidden layers, or one each: {', '.join(ACTIVATIONS)}.")
]
Dropout = Annotated[float, _option(NETWORK, "Part of the hidden units dropped per step.")]
LossOption = Annotated[str, _option(TRAINING, f"What is minimised: {', '.join(CLASSIFIERS)}.")]


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a label may have letters that a terminal lacks
            stream.reconfigure(errors="backslashreplace")
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        warnings.simplefilter("always", DeviceFallbackWarning)
        try:
            code = app(args=arguments, prog_name="xpnet", standalone_mode=False, obj=arguments)
            if sys.stdout is not None:
                sys.stdout.flush()
            # Typer turns Ctrl-C into 130; train says itself what it keeps.
            return _fail("interrupted", 130) if code == 130 else int(code or 0)
        except XpnetError as error:
            return _fail(str(error), error.exit_code)
        except TyperException as error:
            if type(error).__name__ == "NoArgsIsHelpError":
                print(error.format_message())
                return 2
            return _fail(f"{error.format_message()} (xpnet --help)", error.exit_code)
        except KeyboardInterrupt:
            return _fail("interrupted", 130)
        except MemoryError as error:
            return _fail(f"out of memory ({error}); try a smaller --batch-size or network", 1)
        except BrokenPipeError:
            # Whoever read our output has left; keep the interpreter's last flush from complaining.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            return _fail(f"{where}{error.strerror or error}", 1)


class _InterruptedError(XpnetError):
    """Ctrl-C in training: what is kept."""

    exit_code = 130


def _fail(message: str, code: int) -> int:
    print(f"xpnet: {' '.join(message.split())}", file=sys.stderr)
    return code


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"xpnet: warning: {message}", file=sys.stderr)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"xpnet {versions()['xpnet']}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    pass


@app.command()
def train(
    context: typer.Context,
    data: Data = "mnist",
    hidden: Hidden = "128",
    epochs: Annotated[int, _option(EVERYDAY, "How often each image is seen.")] = 10,
    device: DeviceOption = "auto",
    strict_device: Strict = False,
    limit: Annotated[
        int | None, _option(EVERYDAY, "A quick try: train on the first N training samples.")
    ] = None,
    output: Annotated[
        str | None,
        _option(EVERYDAY, "The run folder, new or empty.", default="runs/NAME-NUMBER"),
    ] = None,
    quiet: Annotated[bool, _option(EVERYDAY, "Print nothing.", "--quiet", "-q")] = False,
    activation: Activation = "relu",
    dropout: Dropout = 0.0,
    dtype: Annotated[str, _option(NETWORK, "float32 or float64.")] = "float32",
    batch_size: Annotated[int, _option(TRAINING, "Samples per step.")] = 128,
    optimizer: Annotated[str, _option(TRAINING, f"{', '.join(OPTIMIZERS)}.")] = "nesterov",
    learning_rate: Annotated[
        float | None, _option(TRAINING, "Its peak.", default="the optimizer's")
    ] = None,
    schedule: Annotated[
        str, _option(TRAINING, f"The learning rate's course: {', '.join(SCHEDULES)}.")
    ] = "one-cycle",
    weight_decay: Annotated[
        float | None, _option(TRAINING, "Pulls the weights towards 0.", default="the optimizer's")
    ] = None,
    loss: LossOption = "softmax-cross-entropy",
    label_smoothing: Annotated[
        float, _option(TRAINING, "Of softmax-cross-entropy; at least 0, below 1.")
    ] = 0.0,
    validation: Annotated[
        float | None,
        _option(
            TRAINING,
            "Samples held out to choose the best epoch: a part below 1, or a number.",
            default="a sixth",
        ),
    ] = None,
    patience: Annotated[
        int | None, _option(TRAINING, "Stop after so many epochs without a better one.")
    ] = None,
    seed: Annotated[int, _option(TRAINING, "Of all that is random.")] = 0,
) -> None:
    """Train a network; by default 784-128-10 on the MNIST in the package."""
    validation = 1 / 6 if validation is None else validation
    widths = _widths(hidden)
    chosen = select(device, strict_device)
    samples = load_data(data)
    model = _build(samples, widths, activation, dropout, loss, dtype, seed)
    rows, _ = split(len(samples.x_train), validation, seed)
    report = Report(model, samples.name, len(rows[:limit]), epochs, quiet)
    report.start(samples, chosen)
    folder, made = runs.create(output, samples.name)
    threads = _threads(model, batch_size)
    manifest = _manifest(context, samples, chosen, threads)
    best = 0

    def save(epoch: Epoch, result: Result) -> None:
        nonlocal best
        if result.best_epoch > best:
            runs.write_model(folder, result.model)
            best = result.best_epoch
        runs.write_history(folder, result.history)
        report.epoch(epoch)

    status = "failed"
    try:
        runs.write_manifest(folder, manifest)
        start = perf_counter()
        x = chosen.put(samples.x_train)
        limit_threads = threadpool_limits(threads, user_api="blas")
        with limit_threads, report.live(batch_size) as on_step:
            result = fit(
                model.to(chosen), x, samples.y_train, epochs=epochs, batch_size=batch_size,
                optimizer=optimizer, learning_rate=learning_rate, schedule=schedule,
                weight_decay=weight_decay, loss=loss, label_smoothing=label_smoothing,
                validation=validation, patience=patience, limit=limit, seed=seed,
                on_step=on_step, on_epoch=save,
            )  # fmt: skip
        seconds = perf_counter() - start
        test = evaluate(result.model, chosen.put(samples.x_test), samples.y_test)
        status = "finished"
        manifest |= {
            "test_accuracy": test.accuracy,
            "test_accuracy_interval": test.interval,
            "test_loss": test.loss,
            "seconds": seconds,
            "epochs": len(result.history),
            "best_epoch": result.best_epoch,
        }
    except DivergedError as error:
        status = "diverged"
        kept = f"; see {folder}" if best else ""
        raise DivergedError(f"{error}{kept}", error.result) from None
    except KeyboardInterrupt:
        status = "interrupted"
        kept = f"{folder} keeps the model of epoch {best}" if best else "nothing is kept"
        raise _InterruptedError(f"interrupted; {kept}") from None
    finally:
        if best:
            runs.write_manifest(folder, manifest | {"status": status})
        else:
            runs.discard(folder, made)
    report.end(result, test, seconds, chosen, folder)


def _threads(model: Model, batch_size: int) -> int:
    """Threads of the BLAS for training: one where the largest product is small.

    A second thread gains little there, and where another program wants its core the products wait
    for it, many times as long as they take.  A rule, not a timing, so that results are the same.
    """
    shapes = [shape for _, name, shape in model.network.slots if name == "W"]
    if batch_size * max(rows * columns for rows, columns in shapes) < SMALL_PRODUCT:
        return 1
    return max((pool["num_threads"] for pool in threadpool_info()), default=1)


def _manifest(
    context: typer.Context, samples: Samples, device: Device, threads: int
) -> dict[str, Any]:
    """What run.json says before the results."""
    data = context.params["data"]
    return {
        "status": "running",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["xpnet", *context.obj]),
        "configuration": dict(context.params),
        "versions": versions(),
        "device": str(device),
        "device_reason": device.why,
        "threads": threads,
        "seed": context.params["seed"],
        "data": {
            "source": data if data in NAMED else str(Path(data).expanduser().resolve()),
            "sha256": dict(samples.files),
        },
    }


def _widths(hidden: str) -> list[int]:
    if hidden.strip().lower() == "none":
        return []
    try:
        widths = [int(width) for width in hidden.split(",")]
    except ValueError:
        widths = [0]
    if min(widths) < 1:
        raise UsageError(
            f"--hidden {hidden}: expected widths above 0, as in 128 or 128,64; or none"
        )
    return widths


def _build(
    samples: Samples,
    widths: list[int],
    activation: str,
    dropout: float,
    loss: str,
    dtype: str,
    seed: int,
) -> Model:
    """The network for these samples, with initial weights."""
    labels = np.unique(samples.y_train).tolist()
    if len(labels) < 2:
        raise DataError(
            f"{samples.name}: every training label is {labels[0]!r}; expected two classes at least"
        )
    shape = samples.x_train.shape[1:]
    return mlp(
        int(np.prod(shape)), *widths, len(labels), activation=_each(activation),
        dropout=dropout, output=LOSSES[choose("loss", loss, CLASSIFIERS)].output, labels=labels,
        input_shape=shape, seed=seed, dtype=dtype,
    )  # fmt: skip


def _each(names: str) -> str | list[str]:
    return names.split(",") if "," in names else names


@app.command("evaluate")
def evaluate_command(
    model: Annotated[str, typer.Argument(help="A run folder or a .safetensors file.")],
    data: Annotated[
        str | None,
        _option(EVERYDAY, "As for train.", default="what the run was trained on, or mnist"),
    ] = None,
    as_json: AsJson = False,
    device: DeviceOption = "auto",
    strict_device: Strict = False,
) -> None:
    """Accuracy and loss of a model on the test set of some data."""
    loaded = load(model)
    if data is None:
        path = Path(model)
        data = runs.data_source(path if path.is_dir() else path.parent) or "mnist"
        try:
            samples = load_data(data)
        except DataError as error:
            raise DataError(f"{error} (the data of that run; name other data by --data)") from None
    else:
        samples = load_data(data)
    chosen = select(device, strict_device)
    start = perf_counter()
    try:
        result = evaluate(loaded, chosen.put(samples.x_test), samples.y_test)
    except (UsageError, DataError) as error:
        raise DataError(f"{data}: {error}") from None
    seconds = perf_counter() - start
    if as_json:
        answer = {
            "accuracy": result.accuracy, "interval": result.interval, "loss": result.loss,
            "samples": result.samples, "seconds": seconds, "device": str(chosen),
            "model": model, "data": data,
        }  # fmt: skip
        print(json.dumps(answer))
        return
    print(f"data           {data}")
    print(f"test accuracy  {show_accuracy(result)}")
    print(f"test loss      {show_loss(result.loss)}")
    print(f"time           {seconds:.2f} s, on {chosen}")


@app.command()
def predict(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Images as .npy, .npz or IDX; a run folder or .safetensors first is the model.",
        ),
    ],
    model: Annotated[
        str | None,
        _option(EVERYDAY, "A run folder or .safetensors file.", default="the newest in runs"),
    ] = None,
    as_json: AsJson = False,
    device: DeviceOption = "auto",
    strict_device: Strict = False,
) -> None:
    """The label of each image, and how probable it is."""
    is_model = Path(files[0]).is_dir() or files[0].endswith(".safetensors")
    if model is None and is_model:
        model, *files = files
    if not files:
        raise UsageError("predict: no file of images is given")
    if model is None:
        newest = runs.newest()
        if newest is None:
            raise UsageError(
                "no model: give one by --model (runs holds none; xpnet train makes one)"
            )
        model = str(newest)
        print(f"xpnet: the model is {model}", file=sys.stderr)
    loaded = load(model)
    chosen = select(device, strict_device)
    rows = [row for file in files for row in _predict_file(loaded, file, chosen)]
    if as_json:
        print(json.dumps(rows))
        return
    width = max(len(str(row["file"])) for row in rows)
    print(f"{'file':<{width}}  {'image':>6}  {'label':>8}  probability")
    for row in rows:
        print(
            f"{row['file']:<{width}}  {row['image']:>6}  {row['label']:>8}  "
            f"{max(row['probabilities']):.4f}"
        )


def _predict_file(model: Model, file: str, device: Device) -> Iterator[dict[str, Any]]:
    """For each image of a file: file, image (its number from 0), label, probabilities."""
    x = load_samples(file)
    if x.shape == model.input_shape and len(x.shape) > 1:
        x = x[np.newaxis]
    try:
        p = to_numpy(model.predict_proba(device.put(x)))
    except UsageError as error:
        raise DataError(f"{file}: {error}") from None
    for i, row in enumerate(p):
        label = model.labels[int(np.argmax(row))]
        yield {"file": file, "image": i, "label": label, "probabilities": row.tolist()}


@app.command()
def devices() -> None:
    """What xpnet can compute on here; if there is no GPU, why, and what to do about it."""
    for name, description, problem in inventory():
        if problem is None:
            print(f"{name:<8} works  {description}")
        else:
            print(f"{name:<8} cannot be used: {problem.reason}  {description}".rstrip())
            print(f"{'':<8} what to do: {problem.remedy}")
    print(f"{'':<8} --device auto takes {select('auto')}")


@app.command("gradcheck")
def gradcheck_command(
    context: typer.Context,
    file: Annotated[
        str | None,
        typer.Argument(
            help="Formulas of one's own in a Python file, as in scripts/notebook.py; it is run.",
            show_default="those of xpnet, for the network below",
        ),
    ] = None,
    hidden: Hidden = "8",
    activation: Activation = "relu",
    dropout: Dropout = 0.0,
    inputs: Annotated[int, _option(NETWORK, "Columns of the input.")] = 6,
    outputs: Annotated[int, _option(NETWORK, "Columns of the output.")] = 4,
    loss: Annotated[str, _option(NETWORK, f"{', '.join(LOSSES)}.")] = "softmax-cross-entropy",
    samples: Annotated[int, _option(EVERYDAY, "Random ones, to try it on.")] = 5,
    against: Annotated[
        str, _option(EVERYDAY, f"What is right: {', '.join(REFERENCES)}.")
    ] = "differences",
    seed: Annotated[int, _option(EVERYDAY, "Of weights and samples.")] = 0,
    as_json: AsJson = False,
    device: DeviceOption = "auto",
    strict_device: Strict = False,
) -> int:
    """Each derivative by its formula beside the right one; exit code 1 if one is wrong.

    error: the largest difference, in parts of the array's largest derivative. angle: between the
    formula's direction and the right one.
    """
    if file is not None:
        if choose("reference", against, REFERENCES) != "differences":
            raise UsageError(
                f"--against {against}: formulas in a file are compared with differences only"
            )
        taken = "file", "as_json", "against"
        _refuse_others(context, f"{file} brings its own network", *taken)
        checks = check_file(file)
    else:
        output = LOSSES[choose("loss", loss, LOSSES)].output
        if outputs == 1 and output == "softmax":
            raise UsageError(
                "--outputs 1: softmax over one output is always 1; try --loss binary-cross-entropy"
            )
        model = mlp(
            inputs, *_widths(hidden), outputs, activation=_each(activation), dropout=dropout,
            output=output, seed=seed, dtype="float64",
        )  # fmt: skip
        chosen = select(device, strict_device)
        title = f"{model.network}, {activation}, {loss}, {samples} samples, on {chosen}"
        found = check(model, LOSSES[loss](), samples, seed, against, chosen)
        checks = iter([(f"{title}, against {against}", found)])
    summaries = []
    for title, comparisons in checks:
        summaries.append(summary(title, comparisons))
        if not as_json:
            print(f"{title}\n{table(comparisons)}\n{verdict(comparisons)}\n", flush=True)
    if as_json:
        print(json.dumps(summaries))
    return 0 if all(one["right"] for one in summaries) else 1


@app.command("explain")
def explain_command(
    context: typer.Context,
    tiny: Annotated[
        bool, _option(EVERYDAY, "A network 3-2-2 and one sample, for pencil and paper.", "--tiny")
    ] = False,
    data: Data = "mnist",
    samples: Annotated[int, _option(EVERYDAY, "The first so many of the training set.")] = 2,
    hidden: Hidden = "3",
    activation: Activation = "sigmoid",
    loss: LossOption = "softmax-cross-entropy",
    learning_rate: Annotated[float, _option(NETWORK, "Of the step.")] = 0.5,
    seed: Annotated[int, _option(NETWORK, "Of the initial weights.")] = 0,
    as_json: AsJson = False,
    device: DeviceOption = "auto",
    strict_device: Strict = False,
) -> None:
    """One training step in numbers: every array, every derivative, from the loss to a weight."""
    if tiny:
        taken = "tiny", "activation", "loss", "learning_rate", "as_json", "device", "strict_device"
        _refuse_others(context, "--tiny has its own network and sample", *taken)
        model, x, y = tiny_network(activation, choose("loss", loss, CLASSIFIERS))
    else:
        at_least("samples", samples, 1)
        known = load_data(data)
        model = _build(known, _widths(hidden), activation, 0.0, loss, "float64", seed)
        rows = np.arange(len(known.x_train))
        model = standardize(model, model.flatten(known.x_train), rows)
        x, y = known.x_train[:samples], known.y_train[:samples]
    chosen = select(device, strict_device)
    result = explain(model.to(chosen), chosen.put(x), y, LOSSES[loss](), learning_rate)
    print(json.dumps(result.json()) if as_json else result.text())


def _refuse_others(context: typer.Context, why: str, *taken: str) -> None:
    """Refuse options that would have no effect."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in taken and source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"--{name.replace('_', '-')} has no effect here: {why}")
