"""The run folder: what `xpnet train` leaves behind, each file whole at any moment.

model.safetensors   the best model so far
history.csv         a row per epoch
run.json            versions, command, configuration, device, threads, seed, data, results
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

from xpnet.data.files import expanded, write_atomically
from xpnet.errors import DataError, DeviceFailedError, DivergedError, UsageError, XpnetError
from xpnet.fitting.results import Epoch, Result

MODEL, HISTORY, MANIFEST = "model.safetensors", "history.csv", "run.json"
WRITTEN = ("delimiter", "encoding", "header")  # options that say how a table is written
SECONDS_BETWEEN_WRITES = 1.0  # where epochs are shorter: putting files on a disk takes longer


class RunInterruptedError(XpnetError):
    """Ctrl-C in training: what is kept."""

    exit_code = 130


class RunFolder:
    """A run of `xpnet train`, and what it leaves.

    Parameters
    ----------
    path : Path
        The folder.
    made : sequence of Path
        What had to be made for it, innermost first.
    manifest : mapping
        What run.json says, but for the status; results are added to it.

    Attributes
    ----------
    best : int
        The epoch of the model in the folder; 0 if it has none.
    """

    def __init__(self, path: Path, made: Sequence[Path], manifest: Mapping[str, Any]) -> None:
        self.path, self.made, self.manifest = path, made, dict(manifest)
        self.best = 0
        self._latest: Result | None = None
        self._written = 0.0  # when

    def on_epoch(self, epoch: Epoch, result: Result) -> None:
        """Take the result so far, and write it if the last write is a second ago."""
        self._latest = replace(result, progress=None)  # as large as the model, and more
        if perf_counter() - self._written > SECONDS_BETWEEN_WRITES:
            self.write()

    def write(self) -> None:
        """Write the best model, if it is another one, and the history."""
        if self._latest is not None:
            if self._latest.best_epoch > self.best:
                self._latest.model.save(self.path / MODEL)
                self.best = self._latest.best_epoch
            self._write_history(self._latest.history)
        self._written = perf_counter()

    def _write_history(self, history: Sequence[Epoch]) -> None:
        """A column for each attribute of `Epoch`, empty where there is no number."""
        text = io.StringIO()
        columns = [field.name for field in fields(Epoch)]
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(epoch) for epoch in history)
        write_atomically(self.path / HISTORY, text.getvalue().encode())

    def write_manifest(self, status: str) -> None:
        """Write run.json."""
        manifest = {"status": status, **self.manifest}
        text = json_text(manifest, indent=2, ensure_ascii=False) + "\n"
        text = re.sub(r"\[\n[^\[\]{}\"]*\]", lambda found: _in_one_line(found[0]), text)
        # A path that is no text comes as lone surrogates, which JSON writes as \udcxx.
        write_atomically(self.path / MANIFEST, text.encode(errors="backslashreplace"))

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Record how the run ends: its folder keeps the best model, or is removed without one.

        Errors say which model is kept.
        """
        status = "failed"
        try:
            yield
            status = "finished"
        except DivergedError as error:
            self.write()
            status = "diverged"
            kept = f"; see {self.path}" if self.best else ""
            raise DivergedError(f"{error}{kept}", error.result) from None
        except DeviceFailedError as error:
            with suppress(Exception):  # what is on a GPU that failed may be lost
                self.write()
            kept = f"; {self._kept}" if self.best else ""
            raise DeviceFailedError(f"{error}{kept}", error.result) from None
        except KeyboardInterrupt:
            self.write()
            status = "interrupted"
            kept = self._kept if self.best else "nothing is kept"
            raise RunInterruptedError(f"interrupted; {kept}") from None
        finally:
            if self.best:
                self.write_manifest(status)
            else:
                self.discard()

    @property
    def _kept(self) -> str:
        return f"{self.path} keeps the model of epoch {self.best}"

    def discard(self) -> None:
        """Remove a run that has no model, and the folders made for it that nobody else uses."""
        for name in (MANIFEST, HISTORY):
            with suppress(OSError):
                (self.path / name).unlink()
        for path in self.made:
            with suppress(OSError):
                path.rmdir()


def create(output: str | None, name: str, manifest: Mapping[str, Any]) -> RunFolder:
    """A new, empty folder: `output`, or runs/NAME-NUMBER with the first free number.

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
        return RunFolder(folder, made, manifest)
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
            return RunFolder(folder, made, manifest)


def _in_one_line(numbers: str) -> str:
    """Return a list of numbers in JSON, such as a row of a matrix, without line breaks."""
    return f"[{' '.join(numbers[1:-1].split())}]"


def _missing(folder: Path) -> list[Path]:
    return [path for path in (folder, *folder.parents) if not path.exists()]


def json_text(value: Any, **options: Any) -> str:
    """Return a value as JSON, without NaN and infinity (`finite`)."""
    return json.dumps(finite(value), allow_nan=False, **options)


def finite(x: Any) -> Any:
    """Return x with None in the place of NaN and infinity, which JSON does not have."""
    if isinstance(x, Mapping):
        return {name: finite(value) for name, value in x.items()}
    if isinstance(x, list | tuple):
        return [finite(value) for value in x]
    return None if isinstance(x, float) and not isfinite(x) else x


@dataclass(frozen=True)
class Run:
    """What a run was trained on and by, as far as `evaluate` needs it.

    `hashes` are those of the files as they were read, and `unpacked` those of what is in them, in
    order, if any was gzipped.
    """

    source: str
    target: str
    hashes: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict)
    unpacked: tuple[str, ...] = ()


def read_manifest(folder: Path) -> Run | None:
    """What run.json says, or None where there is none.

    Raises
    ------
    DataError
        It is damaged.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        data = manifest["data"]
        source, target = data["source"], data.get("target", "label")
        hashes = dict(data.get("sha256", {}))
        written = {name: data[name] for name in WRITTEN if name in data}
        unpacked = (*data.get("sha256_unpacked", ()),)
    except OSError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{folder / MANIFEST}: damaged ({error})") from None
    if not isinstance(source, str):
        raise DataError(f"{folder / MANIFEST}: damaged (its data is {source!r}); name it by --data")
    if not isinstance(target, str):
        raise DataError(f"{folder / MANIFEST}: damaged (its target is {target!r})")
    return Run(source, target, hashes, written, unpacked)


def run_of(model: str) -> Run | None:
    """Return the run of a model, a run folder or a file in it; None if it has no run.json."""
    path = Path(model)
    return read_manifest(path if path.is_dir() else path.parent)


def written_as(run: Run | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a table is written: as the options that are given say, or else as the run's."""
    said = {name: value for name, value in given.items() if value is not None}
    return {**(run.written if run else {}), **said}


def newest(folder: Path = Path("runs")) -> Path | None:
    """The run folder in `folder` whose model was written last."""
    models = [path for path in folder.glob(f"*/{MODEL}") if path.is_file()]
    return max(models, key=lambda path: path.stat().st_mtime).parent if models else None
