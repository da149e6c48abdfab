"""`xpnet predict`."""

import csv
import errno
import gzip
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers import idx, idx_folder, names, refused, small_set, train

from xpnet.builder import mlp
from xpnet.cli import run
from xpnet.model import Model, load

X, Y, IMAGES = small_set()


def saved_samples() -> np.ndarray:
    np.save("samples.npy", X[:5])
    return load("runs/tiny-1").predict_proba(X[:5])


@pytest.mark.parametrize(
    "arguments",
    [
        ["runs/tiny-1", "samples.npy"],
        ["runs/tiny-1/model.safetensors", "samples.npy"],
        ["samples.npy", "--model", "runs/tiny-1"],
        ["samples.npy"],
    ],
    ids=["folder-first", "file-first", "model-option", "newest"],
)
def test_predict_gives_a_label_and_probabilities(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert train("--epochs", "2", "-q") == 0
    expected = saved_samples()
    assert run(["predict", *arguments, "--json", "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    rows = json.loads(printed.out)
    assert [row["sample"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["label"] for row in rows] == expected.argmax(axis=1).tolist()
    assert [*rows[0]["probabilities"]] == ["0", "1", "2"]
    found = [[*row["probabilities"].values()] for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(np.sum(found, axis=1), 1, rtol=1e-5)
    assert ("tiny-1" in printed.err) == (arguments == ["samples.npy"])
    assert run(["predict", *arguments, "--device", "cpu"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["file", "sample", "label", "probability"]
    assert [line.split()[2] for line in table[1:]] == [str(row["label"]) for row in rows]
    assert table[1].split()[3] == f"{expected[0].max():.4f}"


def test_predict_takes_several_files_and_the_labels_by_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.savez("named.npz", x=X, y=np.asarray(["null", "één", "雪"])[Y])
    assert train("--data", "named.npz", "--epochs", "20", "-q") == 0
    np.save("a.npy", X[:3])
    np.savez("b.npz", X[3:5])
    code = run(["predict", "runs/named-1", "a.npy", "b.npz", "--json", "--device", "cpu"])
    assert code == 0
    rows = json.loads(capsys.readouterr().out)
    places = [("a.npy", 0), ("a.npy", 1), ("a.npy", 2), ("b.npz", 0), ("b.npz", 1)]
    assert [(row["file"], row["sample"]) for row in rows] == places
    expected = load("runs/named-1").predict(X[:5])
    assert [row["label"] for row in rows] == expected.tolist()


def test_predict_gives_the_label_of_the_greatest_logit(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the probabilities of several are rounded to 1, as float32 does from 17 on."""
    start = mlp(4, 3, output="sigmoid", initializer="zeros")
    theta = np.concat([np.zeros(12), [20, 30, 25]]).astype(np.float32)
    replace(start, theta=theta).save("sure.safetensors")
    np.save("samples.npy", X[:1])
    assert run(["predict", "sure.safetensors", "samples.npy", "--json", "--device", "cpu"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["probabilities"] == {"0": 1, "1": 1, "2": 1}
    assert row["label"] == load("sure.safetensors").predict(X[:1])[0] == 1


def test_predict_takes_the_newest_run(capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2, 3):
        assert train("--epochs", "1", "-q") == 0
        path = Path(f"runs/tiny-{number}/model.safetensors")
        os.utime(path, (number % 3, number % 3))
    saved_samples()
    assert run(["predict", "samples.npy", "--device", "cpu"]) == 0
    assert "tiny-2" in capsys.readouterr().err


def test_predict_takes_one_image_without_an_axis_for_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    idx_folder(folder / "set", x_train=IMAGES, y_train=Y.astype(np.uint8))
    assert train("--data", "set", "--epochs", "1", "-q") == 0
    np.save("one.npy", IMAGES[0])
    assert run(["predict", "one.npy", "--json", "--device", "cpu"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("cp1252", marks=pytest.mark.thorough)])
def test_labels_that_the_terminal_has_no_letters_for_are_still_printed(encoding: str) -> None:
    np.savez("named.npz", x=X, y=np.asarray(["雪", "ü", "a"])[Y])
    assert train("--data", "named.npz", "--epochs", "1", "-q") == 0
    np.save("samples.npy", X)
    done = subprocess.run(
        [sys.executable, "-m", "xpnet", "predict", "samples.npy", "--device", "cpu"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 61


# Predictions in files

NAMED = ("a", "b, c", "雪")


def named_model(**options: Any) -> Model:
    """A model of `small_set` whose labels are names, saved as model.safetensors."""
    model = mlp(4, 3, **({"labels": list(NAMED)} | options))
    model.save("model.safetensors")
    np.save("samples.npy", X[:5])
    return model


def predicted(*arguments: str) -> int:
    return run(["predict", "--device", "cpu", *arguments])


def table_of(name: str) -> list[list[str]]:
    with Path(name).open(encoding="utf-8", newline="") as stream:
        return [*csv.reader(stream)]


@pytest.mark.parametrize("output", ["out.csv", "out.npy", "out.json", "OUT.CSV"])
def test_predictions_go_to_a_file(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same numbers to the bit in every format; standard output has one line."""
    model = named_model()
    p = model.predict_proba(X[:5])
    assert predicted("samples.npy", "--output", output) == 0
    assert capsys.readouterr().out == f"file           {output}: 5 predictions\n"
    if output == "out.npy":
        found = np.load(output)
        assert found.dtype == np.float32
    elif output == "out.json":
        rows = json.loads(Path(output).read_text(encoding="utf-8"))
        assert [(row["file"], row["sample"]) for row in rows] == [
            ("samples.npy", i) for i in range(5)
        ]
        assert [row["label"] for row in rows] == model.predict(X[:5]).tolist()
        assert [*rows[0]["probabilities"]] == [*NAMED]
        found = np.asarray([[*row["probabilities"].values()] for row in rows])
    else:
        head, *rows = table_of(output)
        assert head == ["sample", "label", *(f"probability_{name}" for name in NAMED)]
        assert [row[:2] for row in rows] == [
            [str(i), label] for i, label in enumerate(model.predict(X[:5]))
        ]
        found = np.asarray([row[2:] for row in rows], dtype=float)
    np.testing.assert_array_equal(found, p)


def test_several_files_are_told_apart_in_a_table() -> None:
    named_model()
    np.savez("b.npz", X[5:7])
    assert predicted("samples.npy", "b.npz", "--output", "out.csv") == 0
    head, *rows = table_of("out.csv")
    assert head[:3] == ["file", "sample", "label"]
    places = [("samples.npy", str(i)) for i in range(5)] + [("b.npz", "0"), ("b.npz", "1")]
    assert [tuple(row[:2]) for row in rows] == places
    assert predicted("samples.npy", "b.npz", "--output", "out.npy") == 0
    assert np.load("out.npy").shape == (7, 3)


@pytest.mark.skipif(os.name == "nt", reason="names on Windows are Unicode")
def test_a_name_that_is_no_text_can_be_written(folder: Path) -> None:
    named_model()
    name = os.fsdecode(b"\xff.npy")
    Path("samples.npy").rename(name)
    for output in ("out.csv", "out.json"):
        assert predicted(name, name, "--output", output) == 0
        assert "\\udcff.npy" in Path(output).read_text(encoding="utf-8")


def test_several_labels_a_sample_are_columns_of_0_and_1() -> None:
    model = named_model(output="sigmoid", multilabel=True)
    assert predicted("samples.npy", "--output", "out.csv") == 0
    head, *rows = table_of("out.csv")
    expected = [f"{kind}_{name}" for kind in ("label", "probability") for name in NAMED]
    assert head == ["sample", *expected]
    found = np.asarray([row[1:4] for row in rows], dtype=int)
    np.testing.assert_array_equal(found, model.predict(X[:5]))


@pytest.mark.parametrize(
    ("target", "outputs", "names"),
    [
        (("price",), 1, ["price"]),
        (("x, y", "z"), 2, ["x, y", "z"]),
        ((), 1, ["value"]),
        ((), 2, ["value_0", "value_1"]),
        (("price",), 3, ["value_0", "value_1", "value_2"]),
        (("sample",), 1, ["value"]),
    ],
)
def test_values_have_the_names_of_the_targets(
    target: tuple[str, ...], outputs: int, names: list[str]
) -> None:
    model = replace(mlp(4, outputs, output="identity"), target=target)
    model.save("model.safetensors")
    np.save("samples.npy", X[:5])
    assert predicted("samples.npy", "--output", "out.csv") == 0
    head, *rows = table_of("out.csv")
    assert head == ["sample", *names]
    values = np.asarray([row[1:] for row in rows], dtype=float)
    np.testing.assert_array_equal(values, model.predict(X[:5]).reshape(5, outputs))
    assert predicted("samples.npy", "--output", "out.npy") == 0
    np.testing.assert_array_equal(np.load("out.npy"), values)


def test_a_probability_has_its_label_even_if_one_output_tells_two_apart() -> None:
    mlp(4, 1, output="sigmoid", labels=["no", "yes"]).save("model.safetensors")
    np.save("samples.npy", X[:5])
    assert predicted("samples.npy", "--output", "out.csv") == 0
    head, *rows = table_of("out.csv")
    assert head == ["sample", "label", "probability_no", "probability_yes"]
    for _, label, no, yes in rows:
        assert label == ("yes" if float(yes) > float(no) else "no")
        assert float(no) + float(yes) == pytest.approx(1)


def test_a_file_that_is_there_is_replaced_whole_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    named_model()
    Path("out.csv").write_text("mine")
    np.save("wide.npy", np.ones((2, 9)))
    refused(capsys, predicted("samples.npy", "wide.npy", "--output", "out.csv"), 1, "wide.npy")

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        code = predicted("samples.npy", "--model", "model.safetensors", "--output", "out.csv")
        refused(capsys, code, 1, "out.csv: No space left on device")
    assert Path("out.csv").read_text() == "mine"
    assert names(folder) == ["model.safetensors", "out.csv", "samples.npy", "tiny.npz", "wide.npy"]
    assert predicted("samples.npy", "--output", "out.csv") == 0
    assert len(table_of("out.csv")) == 6


OUTPUTS = {
    "--output out.txt": "expected a file ending in .csv, .npy, .json",
    "--output out": "expected a file ending in .csv, .npy, .json",
    "--output gone/out.csv": "there is no folder gone",
    "--output folder.csv": "is a folder",
    "--output samples.npy": "is a file to predict",
    "--output ./samples.npy": "is a file to predict",
    "--output out.csv --json": "--json and --output out.csv: give one of them",
}


@pytest.mark.parametrize("options", OUTPUTS)
def test_an_output_that_cannot_be_written_is_refused_before_predicting(
    options: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named_model()
    Path("folder.csv").mkdir()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    refused(capsys, predicted("samples.npy", *options.split()), 2, OUTPUTS[options])
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_json_may_be_written_and_asked_for() -> None:
    named_model()
    assert predicted("samples.npy", "--json", "--output", "out.json") == 0
    assert len(json.loads(Path("out.json").read_text())) == 5


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc")
def test_a_folder_where_nothing_can_be_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named_model()
    monkeypatch.chdir("/proc/self")
    options = ["--model", str(folder / "model.safetensors"), "--output", "out.csv"]
    refused(capsys, predicted(str(folder / "samples.npy"), *options), 1, "out.csv: ")


def test_ctrl_c_writes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    named_model()
    monkeypatch.setattr("xpnet.plausible.checked_logits", interrupted)
    refused(capsys, predicted("samples.npy", "--output", "out.csv"), 130, "interrupted")
    assert not (folder / "out.csv").exists()


# Standard input


def content_of(kind: str) -> bytes:
    """The first five samples of `small_set` in a format."""
    stream = io.BytesIO()
    if kind == "npy":
        np.save(stream, X[:5])
    elif kind == "npz":
        np.savez(stream, x=X[:5])
    elif kind.startswith("idx"):
        stream.write(idx(X[:5]))
    else:
        rows = "\n".join(",".join(map(repr, row)) for row in X[:5].tolist())
        stream.write(f"a,b,c,d\n{rows}\n".encode("utf-16" if kind == "csv in UTF-16" else "utf-8"))
    content = stream.getvalue()
    return gzip.compress(content) if kind.endswith("gz") else content


def give(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Let standard input have this content."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


@pytest.mark.parametrize("kind", ["npy", "npz", "idx", "idx.gz", "csv", "csv.gz", "csv in UTF-16"])
def test_standard_input_is_recognised_by_its_content(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = named_model()
    give(monkeypatch, content_of(kind))
    assert predicted("-", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in rows] == ["-"] * 5
    assert [row["label"] for row in rows] == model.predict(X[:5]).tolist()


def test_standard_input_goes_with_a_model_and_an_output(monkeypatch: pytest.MonkeyPatch) -> None:
    named_model()
    give(monkeypatch, content_of("csv"))
    assert predicted("model.safetensors", "samples.npy", "-", "--output", "out.csv") == 0
    assert [row[0] for row in table_of("out.csv")[1:]] == ["samples.npy"] * 5 + ["-"] * 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "standard input: is empty"),
        (b"\x7fELF\0\0", "standard input: not an IDX file"),
        (b"a,b,c\n1,2,3\n", "standard input: "),
        (b"\x89PNG\r\n\x1a\n", "standard input: pictures are not read yet"),
        (content_of("csv.gz")[:-9], "standard input: its gzip data is damaged"),
    ],
)
def test_what_is_wrong_with_standard_input_is_told(
    content: bytes, message: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    named_model()
    give(monkeypatch, content)
    refused(capsys, predicted("-", "--model", "model.safetensors"), 1, message)


def test_standard_input_that_cannot_be_read_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named_model()
    refused(capsys, predicted("-", "-"), 2, "standard input (-) can be read once only")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(closed=False, isatty=lambda: True))
    refused(capsys, predicted("-"), 2, "standard input is a terminal; give it a file")
    monkeypatch.setattr("sys.stdin", None)
    refused(capsys, predicted("-"), 2, "standard input is closed")
    for command in ("train", "evaluate model.safetensors", "explain"):
        refused(capsys, run([*command.split(), "-"]), 2, "only predict reads standard input")


# Other formats


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (None, "28 x 28 numbers. With Pillow: python -c"),
        ((4, 1), "give arrays of 4 x 1 numbers. With Pillow"),
        ((4,), "28 x 28 numbers as MNIST's, and this model takes samples of 4 numbers"),
    ],
)
def test_a_picture_is_answered_with_the_shape_of_the_model(
    shape: tuple[int, ...] | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where there is no model."""
    if shape:
        mlp(4, 3, input_shape=shape).save("model.safetensors")
    Path("seven.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    refused(capsys, predicted("seven.png"), 1, message)
