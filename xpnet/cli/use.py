"""`xpnet evaluate`, `predict` and `devices`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

from xpnet import registry
from xpnet.checks import construct
from xpnet.cli.options import (
    DATA,
    EVERYDAY,
    AsJson,
    DataDir,
    DeviceOption,
    Strict,
    Threads,
    begin,
)
from xpnet.cli.parser import ARGUMENTS, option
from xpnet.errors import DataError, UsageError
from xpnet.tools import threads as blas

SAMPLES = ", ".join((*registry.FORMATS, *registry.FORMATS_WITHOUT_TARGETS))

if TYPE_CHECKING:
    from xpnet.cli import run_folder as runs
    from xpnet.data.sources import Samples
    from xpnet.device.selection import Device
    from xpnet.fitting.evaluation import Evaluation
    from xpnet.losses import Loss
    from xpnet.model import Model


def evaluate_command(
    model: Annotated[str, option(ARGUMENTS, "A run folder or a .safetensors file.", "MODEL")],
    data: Annotated[
        str | None,
        option(EVERYDAY, "As for train.", default="the data of the run"),
    ] = None,
    target: Annotated[str | None, option(DATA, "As for train.", default="the model's")] = None,
    data_dir: DataDir = None,
    loss: Annotated[
        str | None, option(EVERYDAY, "Of a regression, as for train.", default="the model's")
    ] = None,
    as_json: AsJson = False,
    device: DeviceOption = "auto",
    strict_device: Strict = False,
    threads: Threads = None,
) -> None:
    """How good a model is on the test set of some data."""
    begin(threads=threads)
    from xpnet.cli import run_folder as runs
    from xpnet.model import load

    loaded, path = load(model), Path(model)
    run = runs.read_manifest(path if path.is_dir() else path.parent)
    source = data or (run.source if run else None)
    if source is None:
        raise UsageError(
            f"{model} is away from its run, whose run.json names the data; name the data to "
            "evaluate on by --data"
        )
    begin(source)
    from xpnet.cli.shown_scores import in_json, line, shown
    from xpnet.device.selection import select_device

    samples = _test_samples(loaded, run, source, data, target, data_dir)
    measured = _loss_to_measure(loaded, loss)
    chosen = select_device(device, strict_device)
    start = perf_counter()
    try:
        result = _evaluated(loaded, samples, measured, chosen, threads)
    except (UsageError, DataError) as error:
        raise DataError(f"{source}: {error}") from None
    seconds = perf_counter() - start
    if as_json:
        answer = {
            **in_json(result), "samples": result.samples, "seconds": seconds,
            "device": str(chosen), "model": model, "data": source,
        }  # fmt: skip
        print(runs.json_text(answer))
        return
    time = f"{seconds:.2f} s, on {chosen}"
    lines = line("data", source), *shown(loaded, result, measured), line("time", time)
    print(*lines, sep="\n")


def _test_samples(
    model: "Model",
    run: "runs.Run | None",
    source: str,
    data: str | None,
    target: str | None,
    folder: str | None,
) -> "Samples":
    """Load the data to test on; warn if it has changed since the run was trained on it."""
    from xpnet.cli import run_folder as runs
    from xpnet.data.sources import load

    columns = target or model.target or (run.target if run else "label")
    own = data is None or (run is not None and runs.source_of(data) == run.source)
    try:
        names = any(isinstance(label, str) for label in model.labels)
        samples = load(
            source, columns, folder, features=model.columns, whole=not own, task=model.task,
            names=names,
        )  # fmt: skip
    except DataError as error:
        if data is None:
            raise DataError(f"{error} (the data of that run; name other data by --data)") from None
        raise
    if own and run and run.hashes and run.hashes != samples.files:
        print(
            f"xpnet: warning: {source} has changed since this model was trained on it: some of the "
            "samples that it is tested on may have been trained on",
            file=sys.stderr,
        )
    return samples


def _loss_to_measure(model: "Model", loss: str | None) -> "Loss":
    """Return the loss to evaluate with; refuse one that the model cannot be evaluated with."""
    from xpnet.fitting.evaluation import default_loss
    from xpnet.registry import LOSSES

    usual = default_loss(model)
    if loss is None:
        return usual
    wanted = construct("loss", loss, LOSSES)
    if model.labels and wanted != usual:
        raise UsageError(f"--loss {loss} has no effect: classes are evaluated by cross-entropy")
    if wanted.output != model.output:
        raise UsageError(f"--loss {loss} has no effect: the model's outputs are {model.output!r}")
    return wanted


def _evaluated(
    model: "Model", samples: "Samples", loss: "Loss", device: "Device", threads: int | None
) -> "Evaluation":
    """Evaluate a model on the test samples, on a device."""
    from xpnet.data.dataset import BLOCK
    from xpnet.fitting.evaluation import evaluate

    with blas.limited(threads or blas.suited(model.network, min(BLOCK, len(samples.x_test)))):
        return evaluate(model, device.put(samples.x_test), samples.y_test, loss)


def predict(
    files: Annotated[
        tuple[str, ...],
        option(
            ARGUMENTS,
            f"Samples ({SAMPLES}); a run folder or .safetensors first is the model.",
            "FILE...",
        ),
    ],
    model: Annotated[
        str | None,
        option(EVERYDAY, "A run folder or .safetensors file.", default="the newest in runs"),
    ] = None,
    as_json: AsJson = False,
    device: DeviceOption = "auto",
    strict_device: Strict = False,
    threads: Threads = None,
) -> None:
    """The label of each sample, and how probable it is; of a regression its values."""
    begin(threads=threads)
    from xpnet.cli import run_folder as runs
    from xpnet.data.labels import text_of
    from xpnet.device.selection import select_device
    from xpnet.model import load

    first = files[0]
    if model is None and (Path(first).is_dir() or first.endswith(".safetensors")):
        model, files = first, files[1:]
    if not files:
        raise UsageError("predict: no file of samples is given")
    if model is None:
        newest = runs.newest()
        if newest is None:
            raise UsageError(
                "no model: give one by --model (runs holds none; xpnet train makes one)"
            )
        model = str(newest)
        print(f"xpnet: the model is {model}", file=sys.stderr)
    loaded = load(model)
    chosen = select_device(device, strict_device)
    rows = [row for file in files for row in _predict_file(loaded, file, chosen, threads)]
    if as_json:
        print(runs.json_text(rows))
        return
    width = max(len(str(row["file"])) for row in rows)
    answer = "label" if loaded.labels else "value"
    what = "  probability" if loaded.labels and not loaded.multilabel else ""
    wide = max([8, *(len(text_of(label)) for label in loaded.labels)])
    print(f"{'file':<{width}}  {'sample':>6}  {answer:>{wide}}{what}")
    for row in rows:
        print(f"{row['file']:<{width}}  {row['sample']:>6}  {_shown_answer(row, wide)}")


def _predict_file(
    model: "Model", file: str, device: "Device", threads: int | None
) -> Iterator[dict[str, Any]]:
    """For each sample of a file: file, sample (its number from 0), and the answer.

    The answer is label and probabilities; labels and probabilities; or values.
    """
    import numpy as np

    from xpnet.arrays import on_device_of, to_numpy
    from xpnet.data.sources import load_samples
    from xpnet.plausible import checked_logits
    from xpnet.prediction import predicted_columns

    x = load_samples(file, model.columns)
    if x.shape == model.input_shape:
        x = x[np.newaxis]
    try:
        with blas.limited(threads or blas.suited(model.network, len(x))):
            z = checked_logits(model, device.put(x), f"{file}: ")
    except UsageError as error:
        raise DataError(f"{file}: {error}") from None
    with on_device_of(z):
        p = to_numpy(model.probabilities(z))
        predicted = to_numpy(predicted_columns(z, model.multilabel))
    for i, (row, column) in enumerate(zip(p, predicted, strict=True)):
        found = {"file": file, "sample": i}
        if not model.labels:
            yield {**found, "values": row.tolist()}
        elif model.multilabel:
            labels = [a for a, yes in zip(model.labels, column, strict=True) if yes]
            yield {**found, "labels": labels, "probabilities": row.tolist()}
        else:
            yield {**found, "label": model.labels[column], "probabilities": row.tolist()}


def _shown_answer(row: dict[str, Any], width: int) -> str:
    from xpnet.data.labels import text_of

    if "values" in row:
        return "  ".join(f"{value:8.6g}" for value in row["values"])
    if "labels" in row:
        return f"{', '.join(map(text_of, row['labels'])) or 'none':>{width}}"
    return f"{text_of(row['label']):>{width}}  {max(row['probabilities']):.4f}"


def devices() -> None:
    """What xpnet can compute on here; if there is no GPU, why, and what to do about it."""
    begin()
    from xpnet.device.selection import inventory, select_device

    for name, (description, *more), problem in inventory():
        if problem is None:
            print(f"{name:<8} works  {description}")
        else:
            print(f"{name:<8} cannot be used: {problem.reason}  {description}".rstrip())
            print(f"{'':<8} what to do: {problem.remedy}")
        for line in more:
            print(f"{'':<15} {line}")
    print(f"{'':<8} --device auto takes {select_device('auto')}")
