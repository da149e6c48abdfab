"""`xpnet evaluate` and `devices`."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

from xpnet.checks import construct
from xpnet.cli.options import (
    DATA,
    EVERYDAY,
    AsJson,
    DataDir,
    DeviceOption,
    RunDelimiter,
    RunEncoding,
    RunHeader,
    Strict,
    Threads,
    begin,
    one_of,
)
from xpnet.cli.parser import ARGUMENTS, option
from xpnet.errors import DataError, UsageError
from xpnet.tools import threads as blas

if TYPE_CHECKING:
    from xpnet.cli import run_folder as runs
    from xpnet.data.sources import Samples
    from xpnet.device.selection import Device
    from xpnet.fitting.evaluation import Evaluation
    from xpnet.losses import Loss
    from xpnet.model import Model


def evaluate_command(
    model: Annotated[
        str | None,
        option(
            ARGUMENTS,
            "A run folder or a .safetensors file.",
            "[MODEL]",
            default="model.safetensors here, or else the newest in runs",
        ),
    ] = None,
    source: Annotated[
        str | None,
        option(ARGUMENTS, "As for train.", "[DATA]", default="the data of the run"),
    ] = None,
    data: Annotated[
        str | None, option(EVERYDAY, "The same as DATA.", default="the data of the run")
    ] = None,
    target: Annotated[str | None, option(DATA, "As for train.", default="the model's")] = None,
    delimiter: RunDelimiter = None,
    encoding: RunEncoding = None,
    header: RunHeader = None,
    data_dir: DataDir = None,
    loss: Annotated[
        str | None, option(EVERYDAY, "Of a regression, as for train.", default="the model's")
    ] = None,
    as_json: AsJson = False,
    device: DeviceOption = "auto",
    strict_device: Strict = False,
    threads: Threads = None,
) -> None:
    """Evaluate a model on a test set.

    xpnet evaluate table.csv takes the model in the current folder, or else the newest in runs.
    """
    begin(threads=threads)
    from xpnet.cli import models
    from xpnet.cli import run_folder as runs
    from xpnet.device.selection import select_device
    from xpnet.model import load

    named, source = models.in_order(model, source)
    data = one_of(source, data, None)
    model = models.choose(named)
    if model is None:
        raise models.missing("as in xpnet evaluate MODEL")
    with models.telling(model, named):
        loaded, run = load(model), runs.run_of(model)
        source = _source(model, run, data)
        begin(source)
        given = {"delimiter": delimiter, "encoding": encoding, "header": header}
        samples = _test_samples(loaded, run, source, data, target, data_dir, given)
        measured = _loss_to_measure(loaded, loss)
        chosen = select_device(device, strict_device)
        start = perf_counter()
        try:
            result = _evaluated(loaded, samples, measured, chosen, threads)
        except (UsageError, DataError) as error:
            told = "".join(f" ({note})" for note in samples.notes)
            raise DataError(f"{source}: {error}{told}") from None
        seconds = perf_counter() - start
    from xpnet.cli.shown_scores import in_json, line, shown

    if as_json:
        answer = {
            **in_json(result), "samples": result.samples, "seconds": seconds,
            "device": str(chosen), "model": model, "data": source, "notes": list(samples.notes),
        }  # fmt: skip
        print(runs.json_text(answer))
        return
    time = f"{seconds:.2f} s, on {chosen}"
    notes = (line("note", note) for note in samples.notes)
    scores = shown(loaded, result, measured)
    print(line("data", source), *notes, *scores, line("time", time), sep="\n")


def _source(model: str, run: "runs.Run | None", data: str | None) -> str:
    """Return the data to test on: the given data, or else those of the run."""
    source = data or (run.source if run else None)
    if source is None:
        raise UsageError(
            f"{model} is away from its run, whose run.json names the data; name the data to "
            "evaluate on by --data"
        )
    return source


def _test_samples(
    model: "Model",
    run: "runs.Run | None",
    source: str,
    data: str | None,
    target: str | None,
    folder: str | None,
    given: Mapping[str, Any],
) -> "Samples":
    """Load the data to test on; warn if it has changed since the run was trained on it."""
    from xpnet.cli.run_folder import written_as
    from xpnet.data.conversions import refuse
    from xpnet.data.files import expanded
    from xpnet.data.idx_folders import source_of
    from xpnet.data.sources import load

    refuse(source, expanded(source), model.input_shape, training=True)
    columns = target or model.target or (run.target if run else "label")
    known = source_of(source, folder, local=data is not None)
    in_place = data is None or (run is not None and known == run.source)
    try:
        shared = "all" if in_place else _shared_files(run, known)
        own = shared == "all"
        names = any(isinstance(label, str) for label in model.labels)
        samples = load(
            source, columns, folder, features=model.columns, whole=not own, task=model.task,
            names=names, local=data is not None, **written_as(run if own else None, given),
        )  # fmt: skip
    except DataError as error:
        if data is None:
            raise DataError(f"{error} (the data of that run; name other data by --data)") from None
        raise
    if own and not in_place:
        held = "; what it held out is tested" if samples.split == "held out" else ""
        note = f"the data are those of the run{held}"
        return replace(samples, notes=(note, *samples.notes))
    if own and run and run.hashes and run.hashes != samples.files:
        _warn(f"{source} has changed since this model was trained on it")
    if shared == "some" and samples.split != "given":
        _warn(f"some files of {source} are those that this model was trained on or tested on")
    return samples


def _shared_files(run: "runs.Run | None", source: str) -> str:
    """Whether the files of a data set hold what those of the run held: "all", "some" or "none"."""
    from xpnet.data.origin import files_of, hashes_of

    if run is None:
        return "none"
    found, expected = hashes_of(files_of(source)), [*run.unpacked] or sorted(run.hashes.values())
    if not {*found} & {*expected}:
        return "none"
    return "all" if found == expected else "some"


def _warn(why: str) -> None:
    print(
        f"xpnet: warning: {why}: some of the samples that it is tested on may have been trained on",
        file=sys.stderr,
    )


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
