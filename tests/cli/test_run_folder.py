"""The run folder: numbered, never overwritten, taken away when it holds no model."""

import csv
import json
import os
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from xpnet.builder import mlp
from xpnet.cli import run_folder as run
from xpnet.cli.run_folder import RunInterruptedError
from xpnet.errors import DataError, DeviceFailedError, DivergedError, UsageError, XpnetError
from xpnet.fitting.results import Epoch, Result
from xpnet.fitting.state import Progress, TrainingState
from xpnet.model import load
from xpnet.optimizers import Adam


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def create(output: str | None, name: str, manifest: dict[str, Any] | None = None) -> run.RunFolder:
    return run.create(output, name, manifest or {})


def test_folders_are_numbered_by_name() -> None:
    made = [create(None, name).path for name in ("mnist", "mnist", "iris", "mnist")]
    assert made == [Path("runs") / name for name in ("mnist-1", "mnist-2", "iris-1", "mnist-3")]
    assert all(path.is_dir() for path in made)


def test_a_gap_in_the_numbers_is_filled_and_nothing_overwritten() -> None:
    kept = Path("runs/mnist-1/model.safetensors")
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"mine")
    Path("runs/mnist-3").mkdir()
    assert create(None, "mnist").path == Path("runs/mnist-2")
    assert create(None, "mnist").path == Path("runs/mnist-4")
    assert kept.read_bytes() == b"mine"


def test_runs_that_start_at_once_get_folders_of_their_own() -> None:
    together = Barrier(8)

    def several(_: int) -> list[Path]:
        together.wait()
        return [create(None, "mnist").path for _ in range(10)]

    with ThreadPoolExecutor(8) as pool:
        made = [path for paths in pool.map(several, range(8)) for path in paths]
    assert len(set(made)) == 80


def test_output_is_made_with_its_parents_and_may_be_there_empty() -> None:
    made = create("a/b", "mnist")
    assert (made.path, made.made) == (Path("a/b"), [Path("a/b"), Path("a")])
    Path("empty").mkdir()
    found = create("empty", "mnist")
    assert (found.path, found.made) == (Path("empty"), [])
    assert not Path("runs").exists()


def test_an_output_is_taken_by_one_run_alone() -> None:
    create("race", "mnist")
    with pytest.raises(UsageError, match="--output race: is there already"):
        create("race", "mnist")


def test_of_two_runs_that_find_an_output_empty_one_takes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(()))
    create("race", "mnist")
    with pytest.raises(UsageError, match="--output race: another run has just begun there"):
        create("race", "mnist")


def test_output_that_holds_something_is_refused() -> None:
    Path("full").mkdir()
    Path("full/notes.txt").write_text("mine")
    Path("file").write_text("mine")
    for name in ("full", "file"):
        with pytest.raises(UsageError, match=f"--output {name}: is there already"):
            create(name, "mnist")
    assert Path("full/notes.txt").read_text() == Path("file").read_text() == "mine"


def test_output_below_a_file_cannot_be_made() -> None:
    Path("file").write_text("mine")
    with pytest.raises(OSError, match="file"):
        create("file/run", "mnist")


@pytest.fixture
def few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where `create` would try one number after another for ever."""
    tries = []
    mkdir = Path.mkdir

    def counted(*arguments, **options) -> None:
        tries.append(arguments)
        assert len(tries) < 100
        mkdir(*arguments, **options)

    monkeypatch.setattr(Path, "mkdir", counted)


@pytest.mark.usefixtures("few_tries")
def test_a_file_named_runs_is_told() -> None:
    Path("runs").write_text("mine")
    with pytest.raises((UsageError, OSError), match="runs"):
        create(None, "mnist")


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need a right on Windows")
@pytest.mark.usefixtures("few_tries")
def test_a_link_named_runs_to_nowhere_is_told() -> None:
    Path("runs").symlink_to("nowhere")
    with pytest.raises((UsageError, OSError), match="runs"):
        create(None, "mnist")


@pytest.mark.parametrize("output", [None, "a", "a/b/c"])
def test_discard_takes_all_away_that_was_made(folder: Path, output: str | None) -> None:
    made = create(output, "mnist")
    made.write_manifest("running")
    made.on_epoch(ROWS[0], Result(mlp(3, 2), (ROWS[0],)))
    assert sorted(path.name for path in made.path.iterdir()) == ["history.csv", "run.json"]
    made.discard()
    assert [*folder.iterdir()] == []


def test_discard_leaves_what_is_not_its_own() -> None:
    mine, other = create(None, "mnist"), create(None, "mnist")
    mine.write_manifest("running")
    (mine.path / "notes.txt").write_text("mine")
    mine.discard()
    assert [path.name for path in mine.path.iterdir()] == ["notes.txt"]
    other.discard()
    assert not other.path.exists()
    assert (mine.path / "notes.txt").read_text() == "mine"


def test_discard_leaves_the_folders_that_were_there() -> None:
    Path("mine").mkdir()
    create("mine/run", "mnist").discard()
    create("mine", "mnist").discard()
    assert [*Path("mine").iterdir()] == []


ROWS = [Epoch(1, 0.5, 0.25, 0.75, 0.1, 2.0), Epoch(2, 0.125, None, None, 0.01, 3.0)]


def test_history_has_a_row_per_epoch() -> None:
    made = create("run", "")
    folder = made.path
    made.on_epoch(ROWS[1], Result(mlp(3, 2), tuple(ROWS)))
    with (folder / "history.csv").open(newline="") as stream:
        rows = [*csv.reader(stream)]
    assert rows == [
        [field.name for field in fields(Epoch)],
        ["1", "0.5", "0.25", "0.75", "0.1", "2.0", "", ""],
        ["2", "0.125", "", "", "0.01", "3.0", "", ""],
    ]
    assert b"\r" not in (folder / "history.csv").read_bytes()


def results(*seeds: int) -> list[tuple[Epoch, Result]]:
    """Of epochs that are each better than the one before."""
    rows = [Epoch(i, 1 / i, 1 / i, None, 0.1, 1.0) for i, _ in enumerate(seeds, start=1)]
    return [
        (row, Result(mlp(3, 2, seed=seed), tuple(rows[: row.epoch]), row.epoch))
        for row, seed in zip(rows, seeds, strict=True)
    ]


def test_the_best_model_is_written_when_it_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "SECONDS_BETWEEN_WRITES", -1.0)
    made, (first, second) = create("run", ""), results(0, 1)
    made.on_epoch(*first)
    assert (load("run"), made.best) == (first[1].model, 1)
    made.on_epoch(second[0], replace(second[1], best_epoch=1))  # no better
    assert (load("run"), made.best) == (first[1].model, 1)
    assert len(Path("run/history.csv").read_text().splitlines()) == 3
    made.on_epoch(*second)
    assert (load("run"), made.best) == (second[1].model, 2)


def test_the_state_of_training_is_not_held() -> None:
    """It is as large as the model, and more."""
    made, (epoch, result) = create("run", ""), results(0)[0]
    progress = Progress(TrainingState(0.0, 0.0, 0.0, (), ()), Adam())
    held = weakref.ref(progress)
    made.on_epoch(epoch, replace(result, progress=progress))
    del progress
    assert held() is None


def test_between_writes_a_second_passes_and_the_last_is_not_lost() -> None:
    made, (first, second) = create("run", ""), results(0, 1)
    made.on_epoch(*first)
    made.on_epoch(*second)
    assert load("run") == first[1].model
    made.write()
    assert load("run") == second[1].model


KEPT = "run keeps the model of epoch 2"


@pytest.mark.parametrize(
    ("error", "raised", "status", "message"),
    [
        (DivergedError("NaN", None), DivergedError, "diverged", "NaN; see run"),
        (DeviceFailedError("full"), DeviceFailedError, "failed", f"full; {KEPT}"),
        (KeyboardInterrupt(), RunInterruptedError, "interrupted", f"interrupted; {KEPT}"),
        (OSError("disk"), OSError, "failed", "disk"),
        (None, None, "finished", ""),
    ],
)  # fmt: skip
def test_however_a_run_ends_its_folder_says_so(
    error: BaseException | None, raised: type[Exception] | None, status: str, message: str
) -> None:
    """And holds what was not written yet."""
    made = create("run", "", {"seed": 5})
    with pytest.raises(raised, match=f"^{message}$") if raised else nullcontext(), made.under_way():
        for epoch in results(0, 1):
            made.on_epoch(*epoch)
        if error is not None:
            raise error
    assert made.best == (1 if raised in (OSError, None) else 2)  # of these the caller writes
    assert json.loads(Path("run/run.json").read_text()) == {"status": status, "seed": 5}


@pytest.mark.parametrize("error", [DivergedError("NaN", None), KeyboardInterrupt()])
def test_a_run_that_ends_without_a_model_leaves_nothing(error: BaseException, folder: Path) -> None:
    made = create("run", "")
    kept = "nothing is kept" if isinstance(error, KeyboardInterrupt) else "NaN$"
    made.write_manifest("running")
    with pytest.raises(XpnetError, match=kept), made.under_way():
        raise error
    assert [*folder.iterdir()] == []


@pytest.mark.parametrize("source", ["/tmp/ü 雪", "mnist", "a\nb", "/tmp/\udcff.npz"])
def test_manifest_comes_back(folder: Path, source: str) -> None:
    """A name on POSIX may be no Unicode; Python then keeps its bytes as lone surrogates."""
    manifest = {"data": {"source": source}, "validation": None, "seed": 2**64 - 1}
    create("run", "", manifest).write_manifest("running")
    content = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))
    assert content == manifest | {"status": "running"}
    assert run.read_manifest(folder / "run") == run.Run(source, "label")


def test_the_data_of_a_folder_without_a_manifest_are_unknown(folder: Path) -> None:
    assert run.read_manifest(folder) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"{}",
        b"[]",
        b"5",
        b'{"data": 5}',
        b'{"data": {"source": 5}}',
        b'{"data": {"source": "a", "target": 5}}',
    ],
    ids=repr,
)
def test_a_damaged_manifest_is_told(folder: Path, content: bytes) -> None:
    (folder / "run.json").write_bytes(content)
    with pytest.raises(DataError, match=r"run\.json: damaged"):
        run.read_manifest(folder)


def test_the_target_is_read(folder: Path) -> None:
    data = {"source": "a.csv", "target": "price"}
    create("run", "", {"data": data}).write_manifest("running")
    assert run.read_manifest(folder / "run") == run.Run("a.csv", "price")


def test_the_hashes_of_the_data_are_read(folder: Path) -> None:
    data = {"source": "a.csv", "sha256": {"a.csv": "12"}}
    create("run", "", {"data": data}).write_manifest("running")
    assert run.read_manifest(folder / "run") == run.Run("a.csv", "label", {"a.csv": "12"})


def test_the_hashes_of_unpacked_data_are_read(folder: Path) -> None:
    data = {"source": "a.gz", "sha256": {"a.gz": "12"}, "sha256_unpacked": ["34"]}
    create("run", "", {"data": data}).write_manifest("running")
    expected = run.Run("a.gz", "label", {"a.gz": "12"}, {}, ("34",))
    assert run.read_manifest(folder / "run") == expected


def test_newest_is_the_model_written_last() -> None:
    assert run.newest() is None
    for name, when in (("b", 300), ("c", 100), ("a", 200)):
        folder = create(f"runs/{name}", "").path
        mlp(3, 2).save(folder / run.MODEL)
        os.utime(folder / run.MODEL, (when, when))
    create("runs/without-a-model", "")
    assert run.newest() == Path("runs/b")


def test_json_has_null_where_there_is_no_number() -> None:
    value = {"a": [1.5, float("nan")], "b": (float("inf"), None), "c": {"d": -float("inf"), "e": 2}}
    assert json.loads(run.json_text(value)) == {
        "a": [1.5, None], "b": [None, None], "c": {"d": None, "e": 2}
    }  # fmt: skip
