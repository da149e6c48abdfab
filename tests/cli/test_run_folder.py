"""The run folder: numbered, never overwritten, taken away when it holds no model."""

import csv
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from xpnet.builder import mlp
from xpnet.cli import run_folder as run
from xpnet.errors import DataError, UsageError
from xpnet.fitting.results import Epoch
from xpnet.model import load


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_folders_are_numbered_by_name() -> None:
    made = [run.create(None, name)[0] for name in ("mnist", "mnist", "iris", "mnist")]
    assert made == [Path("runs") / name for name in ("mnist-1", "mnist-2", "iris-1", "mnist-3")]
    assert all(path.is_dir() for path in made)


def test_a_gap_in_the_numbers_is_filled_and_nothing_overwritten() -> None:
    kept = Path("runs/mnist-1/model.safetensors")
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"mine")
    Path("runs/mnist-3").mkdir()
    assert run.create(None, "mnist")[0] == Path("runs/mnist-2")
    assert run.create(None, "mnist")[0] == Path("runs/mnist-4")
    assert kept.read_bytes() == b"mine"


def test_runs_that_start_at_once_get_folders_of_their_own() -> None:
    together = Barrier(8)

    def create(_: int) -> list[Path]:
        together.wait()
        return [run.create(None, "mnist")[0] for _ in range(10)]

    with ThreadPoolExecutor(8) as pool:
        made = [path for paths in pool.map(create, range(8)) for path in paths]
    assert len(set(made)) == 80


def test_output_is_made_with_its_parents_and_may_be_there_empty() -> None:
    assert run.create("a/b", "mnist") == (Path("a/b"), [Path("a/b"), Path("a")])
    Path("empty").mkdir()
    assert run.create("empty", "mnist") == (Path("empty"), [])
    assert not Path("runs").exists()


def test_an_output_is_taken_by_one_run_alone() -> None:
    run.create("race", "mnist")
    with pytest.raises(UsageError, match="--output race: is there already"):
        run.create("race", "mnist")


def test_of_two_runs_that_find_an_output_empty_one_takes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(()))
    run.create("race", "mnist")
    with pytest.raises(UsageError, match="--output race: another run has just begun there"):
        run.create("race", "mnist")


def test_output_that_holds_something_is_refused() -> None:
    Path("full").mkdir()
    Path("full/notes.txt").write_text("mine")
    Path("file").write_text("mine")
    for name in ("full", "file"):
        with pytest.raises(UsageError, match=f"--output {name}: is there already"):
            run.create(name, "mnist")
    assert Path("full/notes.txt").read_text() == Path("file").read_text() == "mine"


def test_output_below_a_file_cannot_be_made() -> None:
    Path("file").write_text("mine")
    with pytest.raises(OSError, match="file"):
        run.create("file/run", "mnist")


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
        run.create(None, "mnist")


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need a right on Windows")
@pytest.mark.usefixtures("few_tries")
def test_a_link_named_runs_to_nowhere_is_told() -> None:
    Path("runs").symlink_to("nowhere")
    with pytest.raises((UsageError, OSError), match="runs"):
        run.create(None, "mnist")


@pytest.mark.parametrize("output", [None, "a", "a/b/c"])
def test_discard_takes_all_away_that_was_made(folder: Path, output: str | None) -> None:
    made = run.create(output, "mnist")
    run.write_manifest(made[0], {})
    run.write_history(made[0], [])
    run.discard(*made)
    assert [*folder.iterdir()] == []


def test_discard_leaves_what_is_not_its_own() -> None:
    mine, other = run.create(None, "mnist"), run.create(None, "mnist")
    run.write_manifest(mine[0], {})
    (mine[0] / "notes.txt").write_text("mine")
    run.discard(*mine)
    assert [path.name for path in mine[0].iterdir()] == ["notes.txt"]
    run.discard(*other)
    assert not other[0].exists()
    assert (mine[0] / "notes.txt").read_text() == "mine"


def test_discard_leaves_the_folders_that_were_there() -> None:
    Path("mine").mkdir()
    run.discard(*run.create("mine/run", "mnist"))
    run.discard(*run.create("mine", "mnist"))
    assert [*Path("mine").iterdir()] == []


ROWS = [Epoch(1, 0.5, 0.25, 0.75, 0.1, 2.0), Epoch(2, 0.125, None, None, 0.01, 3.0)]


def test_history_has_a_row_per_epoch(folder: Path) -> None:
    run.write_history(folder, ROWS)
    with (folder / "history.csv").open(newline="") as stream:
        rows = [*csv.reader(stream)]
    assert rows == [
        ["epoch", "loss", "validation_loss", "validation_accuracy", "learning_rate", "seconds"],
        ["1", "0.5", "0.25", "0.75", "0.1", "2.0"],
        ["2", "0.125", "", "", "0.01", "3.0"],
    ]
    assert b"\r" not in (folder / "history.csv").read_bytes()


def test_model_is_one_that_loads(folder: Path) -> None:
    model = mlp(3, 2)
    run.write_model(folder, model)
    assert load(folder) == model


@pytest.mark.parametrize("source", ["/tmp/ü 雪", "mnist", "a\nb", "/tmp/\udcff.npz"])
def test_manifest_comes_back(folder: Path, source: str) -> None:
    """A name on POSIX may be no Unicode; Python then keeps its bytes as lone surrogates."""
    manifest = {"data": {"source": source}, "validation": None, "seed": 2**64 - 1}
    run.write_manifest(folder, manifest)
    assert json.loads((folder / "run.json").read_text(encoding="utf-8")) == manifest
    assert run.read_manifest(folder) == run.Run(source, "label", None)


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
        b'{"data": {"source": "a"}, "loss": 5}',
    ],
    ids=repr,
)
def test_a_damaged_manifest_is_told(folder: Path, content: bytes) -> None:
    (folder / "run.json").write_bytes(content)
    with pytest.raises(DataError, match=r"run\.json: damaged"):
        run.read_manifest(folder)


def test_target_and_loss_are_read(folder: Path) -> None:
    data = {"source": "a.csv", "target": "price"}
    run.write_manifest(folder, {"data": data, "loss": "huber:0.5"})
    assert run.read_manifest(folder) == run.Run("a.csv", "price", "huber:0.5")


def test_the_hashes_of_the_data_are_read(folder: Path) -> None:
    run.write_manifest(folder, {"data": {"source": "a.csv", "sha256": {"a.csv": "12"}}})
    assert run.read_manifest(folder) == run.Run("a.csv", "label", None, {"a.csv": "12"})


def test_newest_is_the_model_written_last() -> None:
    assert run.newest() is None
    for name, when in (("b", 300), ("c", 100), ("a", 200)):
        folder, _ = run.create(f"runs/{name}", "")
        run.write_model(folder, mlp(3, 2))
        os.utime(folder / run.MODEL, (when, when))
    run.create("runs/without-a-model", "")
    assert run.newest() == Path("runs/b")
