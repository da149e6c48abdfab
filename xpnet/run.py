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
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from xpnet.checkpoint import write_atomically
from xpnet.errors import DataError, UsageError
from xpnet.model import Model
from xpnet.train import Epoch

MODEL, HISTORY, MANIFEST = "model.safetensors", "history.csv", "run.json"


def create(output: str | None, name: str) -> Path:
    """A new, empty folder: `output`, or runs/NAME-NUMBER with the first free number.

    Raises
    ------
    UsageError
        `output` is there and not an empty folder: no run is overwritten.
    OSError
        It cannot be made.
    """
    if output is not None:
        folder = Path(output).expanduser()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(
                f"--output {output}: is there already and is not an empty folder; name a new one"
            )
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    number = 1
    while True:
        folder = Path("runs") / f"{name}-{number}"
        try:
            # Making the folder is what reserves the number, should two runs start at once.
            folder.mkdir(parents=True)
        except FileExistsError:
            if Path("runs").is_file():
                raise UsageError("runs: is a file; give the folder by --output") from None
            number += 1
        else:
            return folder


def discard(folder: Path) -> None:
    """Remove a run that has no model, and `runs` if nothing else is in it."""
    for name in (MANIFEST, HISTORY):
        with suppress(OSError):
            (folder / name).unlink()
    with suppress(OSError):
        folder.rmdir()
    if folder.parent == Path("runs"):
        with suppress(OSError):
            folder.parent.rmdir()


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
    write_atomically(folder / MANIFEST, text.encode())


def read_manifest(folder: Path) -> dict[str, Any]:
    """run.json, or nothing where there is none.

    Raises
    ------
    DataError
        It is damaged.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except OSError:
        return {}
    except ValueError as error:
        raise DataError(f"{folder / MANIFEST}: damaged ({error})") from None
    return manifest if isinstance(manifest, dict) else {}


def newest() -> Path | None:
    """The folder in `runs` whose model was written last."""
    models = [path for path in Path("runs").glob(f"*/{MODEL}") if path.is_file()]
    return max(models, key=lambda path: path.stat().st_mtime).parent if models else None
