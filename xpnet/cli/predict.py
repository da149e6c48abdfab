"""`xpnet predict`: the answers of a model for samples in files."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from xpnet import registry
from xpnet.cli.options import (
    EVERYDAY,
    AsJson,
    DeviceOption,
    RunDelimiter,
    RunEncoding,
    RunHeader,
    Strict,
    Threads,
    begin,
)
from xpnet.cli.parser import ARGUMENTS, option
from xpnet.errors import DataError, UsageError
from xpnet.tools import threads as blas

if TYPE_CHECKING:
    from xpnet.arrays import HostArray
    from xpnet.cli.answers import Answers
    from xpnet.cli.run_folder import Run
    from xpnet.device.selection import Device
    from xpnet.model import Model

SAMPLES = ", ".join((*registry.FORMATS, *registry.FORMATS_WITHOUT_TARGETS))
STANDARD_INPUT = "-"
ENDINGS = (".csv", ".npy", ".json")


def predict(
    files: Annotated[
        tuple[str, ...],
        option(
            ARGUMENTS,
            f"Samples ({SAMPLES}; - is standard input); a run folder or .safetensors first is the "
            "model.",
            "FILE...",
        ),
    ],
    model: Annotated[
        str | None,
        option(
            EVERYDAY,
            "A run folder or .safetensors file.",
            default="model.safetensors here, or else the newest in runs",
        ),
    ] = None,
    output: Annotated[
        str | None,
        option(EVERYDAY, "Write the predictions to a file (.csv, .npy or .json) instead."),
    ] = None,
    as_json: AsJson = False,
    delimiter: RunDelimiter = None,
    encoding: RunEncoding = None,
    header: RunHeader = None,
    device: DeviceOption = "auto",
    strict_device: Strict = False,
    threads: Threads = None,
) -> None:
    """Predict the label of each sample with probabilities, or the values of a regression.

    --json and --output write the probability of every label, under its name. A .csv file has the
    columns sample and label, and probability_NAME for each label; with several labels a sample
    label_NAME (1 or 0) and probability_NAME; of a regression the targets by name. Where there are
    several files, the column file comes first. An .npy file has an array (samples, labels) of
    probabilities in the order of the labels, or (samples, targets) of values.
    """
    begin(threads=threads)
    from xpnet.cli import models
    from xpnet.cli.answers import FORMS, table
    from xpnet.cli.run_folder import run_of
    from xpnet.cli.shown_scores import line
    from xpnet.data.conversions import DIGITS, refuse
    from xpnet.data.files import expanded, write_atomically
    from xpnet.device.selection import select_device
    from xpnet.model import load

    if model is None and models.is_model(files[0]):
        model, files = files[0], files[1:]
    if not files:
        raise UsageError("predict: no file of samples is given")
    if files.count(STANDARD_INPUT) > 1:
        raise UsageError("predict: standard input (-) can be read once only")
    if output is not None:
        _check_output(output, files, as_json)
    path = models.choose(model)
    loaded = load(path) if path else None
    for file in (one for one in files if one != STANDARD_INPUT):
        refuse(file, expanded(file), loaded.input_shape if loaded else DIGITS)
    if path is None or loaded is None:
        raise models.missing("by --model")
    with models.telling(path, model):
        chosen = select_device(device, strict_device)
        given, run = {"delimiter": delimiter, "encoding": encoding, "header": header}, run_of(path)
        parts = [
            _answers(loaded, file, _written(file, run, given), chosen, threads) for file in files
        ]
    if output is not None:
        write_atomically(expanded(output), FORMS[_ending(output)](loaded, parts))
        n = sum(len(part.numbers) for part in parts)
        print(line("file", f"{output}: {n:,} prediction{'s' * (n > 1)}"))
    elif as_json:
        print(FORMS[".json"](loaded, parts).decode(), end="")
    else:
        print(*table(loaded, parts), sep="\n")


def _ending(output: str) -> str:
    return Path(output).suffix.lower()


def _check_output(output: str, files: Sequence[str], as_json: bool) -> None:
    """Refuse an output that cannot be written, before anything is computed.

    Raises
    ------
    UsageError
        Its ending is none of `ENDINGS`; it is a folder, in a folder that is not there, or one of
        the files to predict; or --json asks for another format.
    """
    from xpnet.data.files import expanded

    path = expanded(output)
    if _ending(output) not in ENDINGS:
        raise UsageError(f"--output {output}: expected a file ending in {', '.join(ENDINGS)}")
    if as_json and _ending(output) != ".json":
        raise UsageError(
            f"--json and --output {output}: give one of them, or a file ending in .json"
        )
    if path.is_dir():
        raise UsageError(f"--output {output}: is a folder; name a file in it")
    if not path.parent.is_dir():
        raise UsageError(f"--output {output}: there is no folder {path.parent}; make it first")
    if any(path.exists() and expanded(file).resolve() == path.resolve() for file in files):
        raise UsageError(f"--output {output}: is a file to predict; name another one")


def _answers(
    model: "Model",
    file: str,
    written: Mapping[str, Any],
    device: "Device",
    threads: int | None,
) -> "Answers":
    """Predict the samples of a file."""
    import numpy as np

    from xpnet.arrays import on_device_of, to_numpy
    from xpnet.cli.answers import Answers
    from xpnet.plausible import checked_logits
    from xpnet.prediction import predicted_columns

    name, x = _samples(file, model, written)
    if x.shape == model.input_shape:
        x = x[np.newaxis]
    try:
        with blas.limited(threads or blas.suited(model.network, len(x))):
            z = checked_logits(model, device.put(x), f"{name}: ")
    except UsageError as error:
        raise DataError(f"{name}: {error}") from None
    with on_device_of(z):
        p = to_numpy(model.probabilities(z))
        return Answers(file, p, to_numpy(predicted_columns(z, model.multilabel)))


def _written(file: str, run: "Run | None", given: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a file is written: as the options say, or else a table as that of the run."""
    from xpnet.cli.run_folder import written_as
    from xpnet.data.files import ending_of

    endings = {"csv", "tsv", ending_of(run.source)} if run else set()
    return written_as(run if ending_of(file) in endings else None, given)


def _samples(file: str, model: "Model", written: Mapping[str, Any]) -> "tuple[str, HostArray]":
    """Return the name of a file in messages, and its samples; "-" is standard input."""
    from xpnet.data.sources import load_samples

    name, content = file, None
    if file == STANDARD_INPUT:
        name, content = "standard input", _standard_input()
    x, notes = load_samples(name, model.columns, content=content, **written)
    for note in notes:
        print(f"xpnet: note: {name}: {note}", file=sys.stderr)
    return name, x


def _standard_input() -> bytes:
    """Return the bytes of standard input.

    Raises
    ------
    UsageError
        It is closed, a terminal, or empty.
    """
    stream = sys.stdin
    if stream is None or stream.closed:
        raise UsageError("predict -: standard input is closed")
    if stream.isatty():
        raise UsageError(
            "predict -: standard input is a terminal; give it a file, as in xpnet predict - < x.csv"
        )
    content = stream.buffer.read()
    if not content:
        raise DataError("standard input: is empty")
    return content
