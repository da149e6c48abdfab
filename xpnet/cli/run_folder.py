"""The run folder: what `xpnet train` leaves behind, each file whole at any moment.

model.safetensors   the best model so far
history.csv         a row per epoch
run.json            versions, command, configuration, device, threads, seed, data, results
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from pathlib import Path
from typing import Any

from xpnet.checks import expanded
from xpnet.data.model_file import write_atomically
from xpnet.data.sources import NAMED
from xpnet.errors import DataError, UsageError
from xpnet.fitting.results import Epoch
from xpnet.model import Model

MODEL, HISTORY, MANIFEST = "model.safetensors", "history.csv", "run.json"


def create(output: str | None, name: str) -> tuple[Path, list[Path]]:
    """A new, empty folder: `output`, or runs/NAME-NUMBER with the first free number.

    Returns
    -------
    (Path, list of Path)
        The folder; and what had to be made for it, innermost first, for `discard`.

    Raises
    ------
    UsageError
        `output` is there and not an empty folder: no run is overwritten.
    OSError
        It cannot be made.
    """
    if output is not None:
        folder = expanded(output)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(
                f"--output {output}: is there already and is not an empty folder; name a new one"
            )
        made = _missing(folder)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            (folder / MANIFEST).touch(exist_ok=False)  # reserves it, should two runs start at once
        except FileExistsError:
            raise UsageError(f"--output {output}: another run has just begun there") from None
        return folder, made
    number = 1
    while True:
        folder = Path("runs") / f"{name}-{number}"
        made = _missing(folder)
        try:
            # Making the folder is what reserves the number, should two runs start at once.
            folder.mkdir(parents=True)
        except (FileExistsError, NotADirectoryError):
            if not Path("runs").is_dir():
                raise UsageError("runs: is no folder; give another by --output") from None
            number += 1
        else:
            return folder, made


def _missing(folder: Path) -> list[Path]:
    return [path for path in (folder, *folder.parents) if not path.exists()]


def discard(folder: Path, made: Sequence[Path]) -> None:
    """Remove a run that has no model, and the folders made for it that nobody else uses."""
    for name in (MANIFEST, HISTORY):
        with suppress(OSError):
            (folder / name).unlink()
    for path in made:
        with suppress(OSError):
            path.rmdir()


def write_history(folder: Path, history: Sequence[Epoch]) -> None:
    """history.csv: a column for each attribute of `Epoch`, empty where there is no number."""
    text = io.StringIO()
    columns = [field.name for field in fields(Epoch)]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(epoch) for epoch in history)
    write_atomically(folder / HISTORY, text.getvalue().encode())


def write_model(folder: Path, model: Model) -> None:
    """model.safetensors."""
    model.save(folder / MODEL)


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """run.json."""
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    # A path that is no text comes as lone surrogates, which JSON writes as \udcxx.
    write_atomically(folder / MANIFEST, text.encode(errors="backslashreplace"))


def finite(number: float | None) -> float | None:
    """The number, or None for NaN and infinity, which JSON has no word for."""
    return number if number is not None and isfinite(number) else None


def source_of(data: str) -> str:
    """What --data names, wherever one is: a name stays, a path becomes absolute."""
    return data if data in NAMED else str(expanded(data).resolve())


@dataclass(frozen=True)
class Run:
    """What a run was trained on and by, as far as `evaluate` needs it."""

    source: str
    target: str
    loss: str | None
    hashes: Mapping[str, str] = field(default_factory=dict)


def read_manifest(folder: Path) -> Run | None:
    """What run.json says, or None where there is none.

    Raises
    ------
    DataError
        It is damaged.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        data, loss = manifest["data"], manifest.get("loss")
        source, target = data["source"], data.get("target", "label")
        hashes = dict(data.get("sha256", {}))
    except OSError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{folder / MANIFEST}: damaged ({error})") from None
    if not isinstance(source, str):
        raise DataError(f"{folder / MANIFEST}: damaged (its data is {source!r}); name it by --data")
    if not isinstance(target, str) or not isinstance(loss, str | None):
        raise DataError(f"{folder / MANIFEST}: damaged (target {target!r}, loss {loss!r})")
    return Run(source, target, loss, hashes)


def newest() -> Path | None:
    """The folder in `runs` whose model was written last."""
    models = [path for path in Path("runs").glob(f"*/{MODEL}") if path.is_file()]
    return max(models, key=lambda path: path.stat().st_mtime).parent if models else None
