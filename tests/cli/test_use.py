"""`xpnet evaluate` and `devices`, and what `predict` shares with them."""

import gzip
import json
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import (
    blas_threads,
    columns,
    idx_folder,
    manifest,
    needs_blas,
    refused,
    small_set,
    train,
)

from xpnet.builder import mlp
from xpnet.cli import run
from xpnet.data import sources
from xpnet.model import load
from xpnet.network import Network

X, Y, IMAGES = small_set()


# Evaluating and predicting


def test_evaluate_says_what_training_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--epochs", "2", "-q") == 0
    told = manifest("runs/tiny-1")
    assert run(["evaluate", "runs/tiny-1", "--json", "--device", "cpu"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["accuracy"] == told["test_accuracy"]
    assert answer["interval"] == told["test_accuracy_interval"]
    assert answer["loss"] == pytest.approx(told["test_loss"], rel=1e-6)
    assert (answer["samples"], answer["device"]) == (12, "cpu")
    for name in ("baseline", "classes", "confusion_matrix"):
        assert answer[name] == told[f"test_{name}"]
    assert run(["evaluate", "runs/tiny-1", "--device", "cpu"]) == 0
    table = capsys.readouterr().out
    assert f"test accuracy  {told['test_accuracy']:.2%} of 12 samples" in table
    assert f"test loss      {told['test_loss']:.4f}" in table


def test_every_command_prints_the_notes_of_its_data(capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("tiny.npz", x=X, y=Y, ids=Y, notes=X)
    assert train("--epochs", "1") == 0
    header = capsys.readouterr().out.splitlines()[:4]
    assert header[0].startswith("data           tiny: ")
    assert header[1] == "note           arrays left out: ids, notes"
    assert run(["evaluate", "runs/tiny-1", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == header[1]
    assert run(["evaluate", "runs/tiny-1", "--device", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == ["arrays left out: ids, notes"]
    np.savez("x.npz", x=X, id=Y)
    assert run(["predict", "runs/tiny-1", "x.npz", "--device", "cpu", "--json"]) == 0
    out, err = capsys.readouterr()
    assert len(json.loads(out)) == len(X)
    assert err == "xpnet: note: x.npz: arrays left out: id\n"


def test_evaluate_takes_a_file_and_other_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--epochs", "1", "-q") == 0
    np.savez("other.npz", x_train=X, y_train=Y, x_test=X, y_test=Y)
    model = "runs/tiny-1/model.safetensors"
    assert run(["evaluate", model, "--data", "other.npz", "--json", "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 60


@pytest.mark.parametrize(
    "line",
    ["", "runs/tiny-1", "tiny.npz", "runs/tiny-1 tiny.npz", "tiny.npz runs/tiny-1",
     "runs/tiny-1 --data tiny.npz", "tiny.npz --data tiny.npz"],
)  # fmt: skip
def test_evaluate_takes_the_data_as_an_argument_and_finds_the_model(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--epochs", "1", "-q") == 0
    expected = manifest("runs/tiny-1")["test_accuracy"]
    assert run(["evaluate", *line.split(), "--json", "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert (answer["accuracy"], answer["samples"]) == (expected, 12)
    assert Path(answer["model"]) == Path("runs/tiny-1")
    found = f"xpnet: the model is {Path('runs/tiny-1')}\n"
    assert printed.err == ("" if "runs" in line else found)


def test_evaluate_finds_the_model_and_the_data_in_a_run_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--epochs", "1", "-q") == 0
    monkeypatch.chdir("runs/tiny-1")
    assert run(["evaluate", "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "xpnet: the model is model.safetensors\n"
    assert "of 12 samples" in printed.out


def test_evaluate_away_from_the_run_asks_for_data(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In place of a test on MNIST, which the model may never have seen."""
    assert train("--epochs", "1", "-q") == 0
    Path("away.safetensors").write_bytes(Path("runs/tiny-1/model.safetensors").read_bytes())
    code = run(["evaluate", "away.safetensors"])
    refused(capsys, code, 2, "away.safetensors is away from its run, whose run.json names the data")
    assert run(["evaluate", "away.safetensors", "--data", "tiny.npz", "--device", "cpu"]) == 0
    assert "test accuracy" in capsys.readouterr().out


def test_evaluate_takes_loss_and_target_from_the_model(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Away from the run too: its file has both."""
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},{a + b:.3f}" for a, b in rng.normal(size=(60, 2))]
    Path("table.csv").write_text("\n".join(["a,b,price", *rows]) + "\n")
    options = "--data table.csv --target price --loss pinball:0.1,0.9 --epochs 3 -q"
    assert run(["train", *options.split()]) == 0
    Path("away.safetensors").write_bytes(Path("runs/table-1/model.safetensors").read_bytes())
    assert load("away.safetensors").target == ("price",)
    for model in ("runs/table-1", "away.safetensors"):
        assert run(["evaluate", model, "--data", "table.csv", "--json", "--device", "cpu"]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert [*answer["metrics"]] == ["below_0_0.1", "below_1_0.9"]


def test_evaluate_finds_the_data_of_the_run_from_any_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    idx_folder(folder / "set", x_train=IMAGES, y_train=Y.astype(np.uint8))
    assert train("--data", "set", "--output", "out", "--epochs", "1", "-q") == 0
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert run(["evaluate", "../out", "--device", "cpu"]) == 0


@pytest.mark.parametrize("data", [(), ("--data", "mnist")], ids=["default", "folder"])
def test_a_folder_named_mnist_is_read_only_if_it_is_named(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    data: tuple[str, ...],
) -> None:
    """It has 60 images of 5 x 5, and the package, as patched here, 60 of 4 samples."""
    packaged = {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y}
    monkeypatch.setattr(sources, "read_packaged", lambda: (packaged, {"packaged": "hash"}))
    idx_folder(folder / "mnist", x_train=IMAGES, y_train=Y.astype(np.uint8))
    quick = ["--hidden", "none", "--epochs", "1", "--device", "cpu"]
    assert run(["train", *data, *quick, "--output", "out"]) == 0
    note = "note           the folder mnist is read, not the data set of that name\n"
    assert (note in capsys.readouterr().out) == bool(data)
    source = str(folder / "mnist") if data else "mnist"
    assert manifest("out")["data"]["source"] == source
    assert load("out").input_shape == ((5, 5) if data else (4,))
    for place in (folder, folder / "mnist"):
        monkeypatch.chdir(place)
        assert run(["evaluate", str(folder / "out"), "--device", "cpu", "--json"]) == 0
        out, err = capsys.readouterr()
        answer = json.loads(out)
        assert (answer["data"], answer["samples"], err) == (source, 12 if data else 60, "")
    monkeypatch.chdir(folder)
    if data:
        assert run(["evaluate", "out", *data, "--device", "cpu", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["samples"] == 12
    assert run(["explain", *data, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["layers"][0]
    assert first.startswith(f"Standardize(columns={25 if data else 4}, ")


def test_a_folder_that_is_read_instead_of_a_data_set_is_named_in_errors(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    packaged = {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y}
    monkeypatch.setattr(sources, "read_packaged", lambda: (packaged, {"packaged": "hash"}))
    options = ["--hidden", "none", "--epochs", "1", "-q"]
    assert run(["train", *options, "--output", "out"]) == 0
    idx_folder(folder / "mnist", x_train=IMAGES, y_train=Y.astype(np.uint8))
    code = run(["evaluate", "out", "mnist"])
    told = "(the folder mnist is read, not the data set of that name)"
    refused(capsys, code, 1, told)


@pytest.mark.parametrize("content", ["[]", '{"data": 5}', '{"data": {"source": 5}}', "{"])
def test_evaluate_of_a_run_with_a_damaged_manifest_says_so(
    capsys: pytest.CaptureFixture[str], content: str
) -> None:
    mlp(784, 10).save(Path("model.safetensors"))
    Path("run.json").write_text(content)
    code = run(["evaluate", ".", "--device", "cpu"])
    assert (code == 0) != capsys.readouterr().err.startswith("xpnet: ")


def test_samples_with_gaps_are_refused_by_their_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither label nor NaN is printed for them."""
    assert train("--epochs", "1", "-q") == 0
    gaps = np.where(np.arange(60)[:, None] == [7, -1, -1, -1], np.nan, X)
    np.save("gaps.npy", gaps)
    np.savez("gaps.npz", x_train=X, y_train=Y, x_test=gaps, y_test=Y)
    for command in (
        ["predict", "runs/tiny-1", "gaps.npy", "--json"],
        ["evaluate", "runs/tiny-1", "--data", "gaps.npz", "--json"],
        ["train", "--data", "gaps.npz", "--epochs", "1"],
    ):
        refused(capsys, run([*command, "--device", "cpu"]), 1, "element (7, 0) is nan")


def test_numbers_too_large_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    mlp(4, 3).save("model.safetensors")
    large = np.resize(np.asarray([3e38, -3e38], np.float32), (2, 4))
    np.save("large.npy", large)
    np.savez("large.npz", x_train=X, y_train=Y, x_test=large, y_test=Y[:2])
    expected = (
        "an output is not finite in rows 0, 1 (2 of 2). The input is finite, and numbers become"
    )
    code = run(["predict", "model.safetensors", "large.npy", "--json", "--device", "cpu"])
    refused(capsys, code, 1, f"large.npy: {expected}")
    data = ["--data", "large.npz", "--json", "--device", "cpu"]
    refused(capsys, run(["evaluate", "model.safetensors", *data]), 1, f"large.npz: {expected}")


@pytest.mark.filterwarnings("default")
def test_samples_unlike_the_training_are_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    """Once for each file, or each evaluation."""
    assert train("--epochs", "1", "-q") == 0
    far = np.where(np.arange(60)[:, None] == [7, 9, -1, -1], 1e4, X)
    np.save("far.npy", far)
    np.save("other.npy", far[9:])
    np.savez("far.npz", x_train=X, y_train=Y, x_test=far, y_test=Y)
    text = "the input is more than 20 deviations from the mean of the training samples in"
    assert run(["predict", "runs/tiny-1", "far.npy", "other.npy", "--json", "--device", "cpu"]) == 0
    out, errors = capsys.readouterr()
    assert len(json.loads(out)) == 111
    first, second = errors.splitlines()
    assert first.startswith(f"xpnet: warning: far.npy: {text} 2 of 60 rows: column ")
    assert second.startswith(
        f"xpnet: warning: other.npy: {text} 1 of 51 rows: column 1 has 10000 in row 0"
    )
    for command in (
        ["evaluate", "runs/tiny-1", "--data", "far.npz"],
        ["train", "--data", "far.npz", "--epochs", "1", "-q"],
    ):
        assert run([*command, "--device", "cpu"]) == 0
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"xpnet: warning: {text} 2 of 60 rows: column ")


def test_devices_names_the_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devices"]) == 0
    assert capsys.readouterr().out.startswith("cpu      works")


# Wrong input


OTHERS = {
    "trian": (2, "train"),
    "evaluate": (2, "model.safetensors is away from its run"),
    "evaluate gone": (1, "gone"),
    "evaluate full": (1, "full"),
    "evaluate notes.txt": (1, "notes.txt"),
    "evaluate cut.safetensors": (1, "cut.safetensors"),
    "evaluate model.safetensors --data wide.npz": (1, "wide"),
    "evaluate model.safetensors --data many.npz": (1, "many"),
    "evaluate model.safetensors --data gone.npz": (1, "gone.npz"),
    "evaluate model.safetensors tiny.npz --data other.npz": (2, "--data other.npz differ"),
    "evaluate model.safetensors tiny.npz more": (2, "unexpected extra argument (more)"),
    "evaluate photos": (
        1,
        "this model takes samples of 4 numbers (the model is model.safetensors)",
    ),
    "predict": (2, "FILE..."),
    "predict photos": (1, "photos: pictures are not read yet"),
    "predict a.xlsx": (1, "a.xlsx: xlsx files are not read yet"),
    "predict . full": (1, "full: is a folder; expected a file of samples"),
    "predict gone.npy": (1, "gone.npy: no such file (the model is model.safetensors)"),
    "predict model.safetensors": (2, "no file"),
    "predict model.safetensors gone.npy": (1, "gone.npy"),
    "predict model.safetensors right.npy gone.npy": (1, "gone.npy"),
    "predict model.safetensors wide.npy": (1, "wide.npy"),
    "predict model.safetensors notes.txt": (1, "notes.txt: expected a file of samples (npz, csv"),
    "predict model.safetensors object-samples.npz": (1, "object-samples.npz: x: holds"),
    "predict cut.safetensors right.npy": (1, "cut.safetensors"),
    "predict right.npy --model full": (1, "full"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_wrong_input_of_other_commands_is_one_line(
    files: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    refused(capsys, run(case.split()), *OTHERS[case])


# Of a model file, and threads


def test_evaluate_of_a_model_file_finds_the_data_of_its_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train("--output", "out", "--epochs", "1", "-q") == 0
    assert run(["evaluate", "out/model.safetensors", "--device", "cpu"]) == 0
    assert "tiny.npz" in capsys.readouterr().out


@needs_blas
@pytest.mark.parametrize("command", ["evaluate model.safetensors --data tiny.npz", "predict x.npy"])
@pytest.mark.usefixtures("four_cores")
def test_evaluate_and_predict_take_threads_too(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def infer(self: Network, params: Any, x: Any) -> Any:
        seen.append(blas_threads())
        return self.forward(params, x)[0]

    monkeypatch.setattr(Network, "infer", infer)
    monkeypatch.setattr("xpnet.fast.inference.KNOWN", set())  # so that it is called
    mlp(4, 3).save("model.safetensors")
    np.save("x.npy", X)
    model = [] if "evaluate" in command else ["--model", "model.safetensors"]
    assert run([*command.split(), *model, "--threads", "3"]) == 0
    assert run([*command.split(), *model]) == 0
    assert seen == [3, 1]


# Tables, and what they are evaluated on


def test_a_table_is_trained_evaluated_and_predicted(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", "table.csv", "--target", "side"]
    assert run(["train", *data, "--epochs", "100", "--output", "out"]) == 0
    told = capsys.readouterr().out
    assert "task           classification (2 names)\n" in told
    assert "over classes   precision" in told
    assert manifest("out")["task"] == "classification"
    assert manifest("out")["data"]["target"] == "side"
    assert manifest("out")["test_metrics"]["f1"] > 0.8
    assert run(["evaluate", "out"]) == 0
    assert "of 16 samples" in capsys.readouterr().out
    assert run(["predict", "out", columns(table, "far,b,a"), "--json"]) == 0
    other = json.loads(capsys.readouterr().out)
    assert run(["predict", "out", "table.csv", "--json"]) == 0
    labels = [row["label"] for row in json.loads(capsys.readouterr().out)]
    assert [row["label"] for row in other] == labels
    assert np.mean([a == b.split(",")[2] for a, b in zip(
        labels, table.read_text().splitlines()[1:], strict=True)]) > 0.9  # fmt: skip
    refused(capsys, run(["predict", "out", columns(table, "a,far")]), 1, "has no column 'b'")


def test_a_table_of_its_own_is_tested_as_a_whole(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", "table.csv", "--target", "side"]
    assert run(["train", *data, "--epochs", "1", "--output", "out", "-q"]) == 0
    other = columns(table, "b,side,far,a", slice(0, 30))
    assert run(["evaluate", "out", "--data", other]) == 0
    assert "of 30 samples" in capsys.readouterr().out
    assert run(["evaluate", "out", "--data", "./table.csv"]) == 0
    assert "of 16 samples" in capsys.readouterr().out


def of_csv(folder: Path, packed: bool = False) -> str:
    """A table without a header line, as its run has recorded it."""
    lines = [",".join(map(str, [*row, label])) for row, label in zip(X, Y, strict=True)]
    content = "\n".join(lines).encode()
    path = folder / ("set.csv.gz" if packed else "set.csv")
    path.write_bytes(gzip.compress(content) if packed else content)
    return f"{path.name} --no-header --target 4"


def of_npz(folder: Path) -> str:
    np.savez(folder / "set.npz", x=X, y=Y)
    return "set.npz"


def of_folder(folder: Path) -> str:
    idx_folder(folder / "set", x_train=IMAGES, y_train=Y.astype(np.uint8))
    return "set"


def moved(path: Path, target: Path) -> None:
    path.rename(target)


def copied(path: Path, target: Path) -> None:
    target.write_bytes(path.read_bytes())


def packed(path: Path, target: Path) -> None:
    target.write_bytes(gzip.compress(path.read_bytes(), mtime=5))


def unpacked(path: Path, target: Path) -> None:
    target.write_bytes(gzip.decompress(path.read_bytes()))


def packed_again(path: Path, target: Path) -> None:
    target.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=5))


def folder_packed(path: Path, target: Path) -> None:
    target.mkdir()
    for file in path.iterdir():
        packed(file, target / f"digits-{file.name}.gz")


MOVES = {
    "csv-moved": (of_csv, moved, "moved/other.csv"),
    "csv-linked": (of_csv, os.link, "moved/set.csv"),
    "csv-packed": (of_csv, packed, "moved/set.csv.gz"),
    "gz-moved": (partial(of_csv, packed=True), moved, "moved/set.csv.gz"),
    "gz-packed-again": (partial(of_csv, packed=True), packed_again, "t.csv.gz"),
    "gz-unpacked": (partial(of_csv, packed=True), unpacked, "moved/t.csv"),
    "npz-copied": (of_npz, copied, "moved/t.npz"),
    "npz-packed": (of_npz, packed, "t.npz.gz"),
    "folder-moved": (of_folder, moved, "moved/set"),
    "folder-copied": (of_folder, shutil.copytree, "moved/other"),
    "folder-packed": (of_folder, folder_packed, "moved/digits"),
}


@pytest.mark.parametrize("case", MOVES)
def test_the_data_of_the_run_are_known_wherever_they_are(
    folder: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    """The samples that were trained on are not tested on."""
    make, move, target = MOVES[case]
    (folder / "moved").mkdir()
    data, *options = make(folder).split()
    common = ["--hidden", "4", "--epochs", "3", "--device", "cpu", "-q"]
    assert run(["train", data, *options, *common, "--output", "out"]) == 0
    move(folder / data, folder / target)
    note = "the data are those of the run; what it held out is tested"
    assert run(["evaluate", "out", target, "--json", "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert (answer["samples"], answer["notes"], err) == (12, [note], "")
    assert answer["accuracy"] == manifest("out")["test_accuracy"]
    assert run(["evaluate", "out", target, "--device", "cpu"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == f"note           {note}"


def test_data_that_differ_from_those_of_the_run_are_tested_as_a_whole(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, *options = of_csv(folder).split()
    common = ["--hidden", "4", "--epochs", "1", "--device", "cpu", "-q"]
    assert run(["train", data, *options, *common, "--output", "out"]) == 0
    content = (folder / data).read_text()
    (folder / "other.csv").write_text(content + "\n")
    command = ["evaluate", "out", "other.csv", "--no-header", "--json", "--device", "cpu"]
    assert run(command) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["samples"], answer["notes"]) == (60, [])


def test_data_with_a_test_set_of_their_own_are_known_too(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez("four.npz", x_train=X, y_train=Y, x_test=X[:9], y_test=Y[:9])
    assert train("--data", "four.npz", "--epochs", "1", "-q", "--output", "out") == 0
    Path("four.npz").rename("other.npz")
    assert run(["evaluate", "out", "other.npz", "--json", "--device", "cpu"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["samples"], answer["notes"]) == (9, ["the data are those of the run"])


def test_a_part_of_the_files_of_the_run_is_tested_with_a_warning(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unless there is a test set."""
    y = Y.astype(np.uint8)
    arrays = {"x_train": IMAGES, "y_train": y, "x_test": IMAGES[:9], "y_test": y[:9]}
    idx_folder(folder / "set", **arrays)
    assert train("--data", "set", "--epochs", "1", "-q", "--output", "out") == 0
    idx_folder(folder / "part", x_train=IMAGES, y_train=y)
    idx_folder(folder / "with-test", **{**arrays, "x_test": IMAGES[9:18]})
    idx_folder(folder / "others", x_train=255 - IMAGES, y_train=y[::-1])
    for data, warned in {"part": 1, "with-test": 0, "others": 0}.items():
        assert run(["evaluate", "out", data, "--device", "cpu"]) == 0
        out, err = capsys.readouterr()
        assert "the data are those of the run" not in out
        told = "some files of part are those that this model was trained on or tested on: some of"
        assert (err.count("\n"), told in err) == (warned, bool(warned))


def test_a_table_that_has_changed_is_tested_with_a_warning(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", "table.csv", "--target", "side"]
    assert run(["train", *data, "--epochs", "1", "--output", "out", "-q"]) == 0
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([lines[0], *lines[2:]]), encoding="utf-8")
    capsys.readouterr()
    assert run(["evaluate", "out"]) == 0
    warned = capsys.readouterr().err
    assert len(warned.splitlines()) == 1
    assert "table.csv has changed since this model was trained on it" in warned


def test_what_is_no_number_is_null_in_json(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """R² of a single sample."""
    data = ["--data", columns(table, "a,b,far"), "--target", "far"]
    assert run(["train", *data, "--output", "out", "-q", "--epochs", "1"]) == 0
    one = columns(table, "a,b,far", slice(0, 1))
    one = str(Path(one).rename("one.csv"))
    assert run(["evaluate", "out", "--data", one, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["r2"] is None
