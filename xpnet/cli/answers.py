"""Predictions as `xpnet predict` prints and writes them: a table, JSON, .csv and .npy files."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnet.arrays import HostArray
from xpnet.cli.run_folder import json_text
from xpnet.data.labels import text_of
from xpnet.model import Model


@dataclass(frozen=True)
class Answers:
    """The predictions for the samples of one file.

    Attributes
    ----------
    file : str
        The name of the file; "-" for standard input.
    numbers : floating-point array (n, k)
        The probability of each of the model's labels, or the values of a regression.
    columns : int array (n,) or (n, k)
        The index of each sample's label; of several labels a sample 1 or 0 for each.
    """

    file: str
    numbers: HostArray
    columns: HostArray


def rows(model: Model, parts: Sequence[Answers]) -> Iterator[dict[str, Any]]:
    """For each sample: file, sample (its number from 0), and the answer.

    The answer is label and probabilities; labels and probabilities; or values.  Probabilities have
    the labels as keys, in the order of the model.
    """
    for part in parts:
        for i, (numbers, column) in enumerate(zip(part.numbers, part.columns, strict=True)):
            found = {"file": part.file, "sample": i}
            if not model.labels:
                yield {**found, "values": numbers.tolist()}
                continue
            probabilities = dict(zip(map(str, model.labels), numbers.tolist(), strict=True))
            if model.multilabel:
                labels = [a for a, yes in zip(model.labels, column, strict=True) if yes]
                yield {**found, "labels": labels, "probabilities": probabilities}
            else:
                yield {**found, "label": model.labels[column], "probabilities": probabilities}


def table(model: Model, parts: Sequence[Answers]) -> Iterator[str]:
    """Return the lines of a table for people: the answer, and how probable it is."""
    width = max(4, *(len(part.file) for part in parts))
    answer = "label" if model.labels else "value"
    what = "  probability" if model.labels and not model.multilabel else ""
    wide = max([8, *(len(text_of(label)) for label in model.labels)])
    yield f"{'file':<{width}}  {'sample':>6}  {answer:>{wide}}{what}"
    for row in rows(model, parts):
        yield f"{row['file']:<{width}}  {row['sample']:>6}  {_shown(row, wide)}"


def _shown(row: dict[str, Any], width: int) -> str:
    if "values" in row:
        return "  ".join(f"{value:8.6g}" for value in row["values"])
    if "labels" in row:
        return f"{', '.join(map(text_of, row['labels'])) or 'none':>{width}}"
    return f"{text_of(row['label']):>{width}}  {max(row['probabilities'].values()):.4f}"


def as_json(model: Model, parts: Sequence[Answers]) -> bytes:
    """Return `rows` as JSON."""
    return f"{json_text([*rows(model, parts)])}\n".encode()


def as_npy(model: Model, parts: Sequence[Answers]) -> bytes:
    """Return the probabilities (n, labels), or the values (n, outputs), as an .npy file."""
    content = io.BytesIO()
    np.save(content, np.concatenate([part.numbers for part in parts]))
    return content.getvalue()


def as_csv(model: Model, parts: Sequence[Answers]) -> bytes:
    """Return a table with a header line and a row for each sample, UTF-8.

    Its columns are `file`, if there are several files, and `sample`; then `label`, and
    `probability_NAME` for each label.  With several labels a sample they are `label_NAME` (1 or 0)
    for each label, and `probability_NAME`; of a regression the names of the targets if there are
    as many as outputs, or `value`, or `value_0`, `value_1`, ...
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    places = ["file", "sample"] if len(parts) > 1 else ["sample"]
    writer.writerow(places + _names(model))
    for part in parts:
        numbers, columns = part.numbers.tolist(), part.columns.tolist()
        for i, (row, column) in enumerate(zip(numbers, columns, strict=True)):
            place = [part.file, i] if len(parts) > 1 else [i]
            answer = column if model.multilabel else [model.labels[column]] if model.labels else []
            writer.writerow([*place, *answer, *row])
    return text.getvalue().encode(errors="backslashreplace")  # a file's name may be no text


def _names(model: Model) -> list[str]:
    """Return the names of the columns with the answer."""
    if model.labels:
        probabilities = [f"probability_{label}" for label in model.labels]
        labels = [f"label_{label}" for label in model.labels] if model.multilabel else ["label"]
        return labels + probabilities
    outputs = model.network.fan_out
    if len(model.target) == outputs and not {"file", "sample"} & {*model.target}:
        return [*model.target]
    return ["value"] if outputs == 1 else [f"value_{i}" for i in range(outputs)]


FORMS: dict[str, Callable[[Model, Sequence[Answers]], bytes]] = {
    ".csv": as_csv,
    ".npy": as_npy,
    ".json": as_json,
}
"""By the ending of the file."""
