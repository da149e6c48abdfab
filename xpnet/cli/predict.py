"""`xpnet predict`: the answers of a model for samples in files."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from xpnet import registry
from xpnet.cli.options import EVERYDAY, AsJson, DeviceOption, Strict, Threads, begin
from xpnet.cli.parser import ARGUMENTS, option
from xpnet.errors import DataError, UsageError
from xpnet.tools import threads as blas

if TYPE_CHECKING:
    from xpnet.device.selection import Device
    from xpnet.model import Model

SAMPLES = ", ".join((*registry.FORMATS, *registry.FORMATS_WITHOUT_TARGETS))


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
