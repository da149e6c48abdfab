"""`xpnet train`: the run folder that it leaves, and how it ends."""

import csv
import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import (
    FILES,
    NEAR,
    POSIX,
    blas_threads,
    command,
    idx_folder,
    manifest,
    names,
    needs_blas,
    refused,
    small_set,
    train,
)
from threadpoolctl import threadpool_limits

from xpnet.builder import mlp
from xpnet.cli import run
from xpnet.data import sources
from xpnet.data.dataset import split
from xpnet.device import selection
from xpnet.fitting.evaluation import evaluate
from xpnet.fitting.results import Epoch
from xpnet.fitting.training import fit
from xpnet.model import load

X, Y, IMAGES = small_set()


# Training


def test_train_leaves_a_run_folder_that_tells_all(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "--device", "cpu", "--data", "tiny.npz", "--hidden", "8"]
    assert run([*arguments, "--epochs", "3", "--seed", "5"]) == 0
    assert names("runs/tiny-1") == FILES
    told = manifest("runs/tiny-1")
    assert told["status"] == "finished"
    assert told["command"] == shlex.join(["xpnet", *arguments, "--epochs", "3", "--seed", "5"])
    assert told["configuration"]["epochs"] == 3
    assert told["configuration"]["optimizer"] == "nesterov"
    assert {"python", "xpnet", "numpy"} == told["versions"].keys()
    assert (told["device"], told["device_reason"], told["seed"]) == ("cpu", "asked for", 5)
    assert told["threads"] >= 1
    assert told["data"]["source"] == str(Path("tiny.npz").resolve())
    assert list(told["data"]["sha256"]) == ["tiny.npz"]
    assert (told["epochs"], told["best_epoch"] in (1, 2, 3)) == (3, True)
    assert told["seconds"] > 0
    low, high = told["test_accuracy_interval"]
    assert 0 <= low <= told["test_accuracy"] <= high <= 1
    with Path("runs/tiny-1/history.csv").open(newline="") as stream:
        rows = [*csv.DictReader(stream)]
    assert [*rows[0]] == [field.name for field in fields(Epoch)]
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    printed = capsys.readouterr()
    assert printed.err == ""
    for piece in ("48 training and 12 test samples", "4-8-3", "cpu (asked for)", "epoch   3/3"):
        assert piece in printed.out
    assert f"test accuracy  {told['test_accuracy']:.2%} of 12 samples (95 % interval" in printed.out
    assert "runs/tiny-1: model.safetensors, history.csv, run.json" in printed.out.replace("\\", "/")


def test_train_takes_a_folder_of_idx_files(folder: Path) -> None:
    labels = Y.astype(np.uint8)
    idx_folder(folder / "set", x_train=IMAGES, y_train=labels, x_test=IMAGES, y_test=labels)
    assert train("--data", "set", "--epochs", "1") == 0
    assert names("runs/set-1") == FILES
    assert load("runs/set-1").input_shape == (5, 5)
    assert len(manifest("runs/set-1")["data"]["sha256"]) == 4


def test_train_takes_mnist_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["train", "--device", "cpu", "--epochs", "1", "--limit", "2000", "--hidden", "16"])
    assert code == 0
    assert names("runs/mnist-1") == FILES
    assert manifest("runs/mnist-1")["data"]["source"] == "mnist"
    assert manifest("runs/mnist-1")["test_accuracy"] > 0.5
    assert "60,000 training and 10,000 test samples of 28 x 28" in capsys.readouterr().out


def test_equal_seeds_give_equal_files_and_others_do_not() -> None:
    for output, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert train("--dropout", "0.2", "--seed", seed, "--output", output, "--epochs", "3") == 0
    a, b, c = (Path(name, "model.safetensors").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_the_model_is_that_of_the_best_epoch() -> None:
    assert train("--epochs", "6") == 0
    with Path("runs/tiny-1/history.csv").open(newline="") as stream:
        rows = [*csv.DictReader(stream)]
    best = max(
        rows, key=lambda row: (float(row["validation_accuracy"]), -float(row["validation_loss"]))
    )
    assert manifest("runs/tiny-1")["best_epoch"] == int(best["epoch"])


@pytest.mark.parametrize(
    "options",
    [
        ["--hidden", "none"],
        ["--hidden", "8,4", "--activation", "tanh,sigmoid", "--dropout", "0.5"],
        ["--optimizer", "adamw", "--weight-decay", "0.1", "--schedule", "cosine"],
        ["--dtype", "float64", "--label-smoothing", "0.1", "--batch-size", "7"],
        ["--loss", "softmax-squared-error"],
        ["--loss", "binary-cross-entropy"],
        ["--validation", "0"],
        ["--validation", "10", "--patience", "1", "--limit", "20"],
    ],
    ids=" ".join,
)
def test_every_option_trains(options: list[str]) -> None:
    assert train("--epochs", "2", *options) == 0
    told = manifest("runs/tiny-1")["configuration"]
    for name, value in zip(options[::2], options[1::2], strict=True):
        assert str(told[name[2:].replace("-", "_")]) in (value, f"{value}.0")


def test_the_loss_decides_what_the_outputs_are() -> None:
    for loss, output in (("softmax-squared-error", "softmax"), ("binary-cross-entropy", "sigmoid")):
        assert train("--epochs", "60", "--loss", loss, "--output", loss) == 0
        assert load(loss).output == output
        assert manifest(loss)["test_accuracy"] > 0.5


def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--quiet", "--epochs", "1") == 0
    assert capsys.readouterr() == ("", "")
    assert names("runs/tiny-1") == FILES


def test_a_path_with_spaces_and_other_letters(folder: Path) -> None:
    place = folder / "my däta 雪"
    place.mkdir()
    (folder / "tiny.npz").rename(place / "the set.npz")
    options = ["--data", f"{place}/the set.npz", "--output", f"{place}/a run", "--epochs", "1"]
    assert train(*options, "-q") == 0
    assert run(["evaluate", f"{place}/a run"]) == 0
    assert manifest(place / "a run")["data"]["source"] == str((place / "the set.npz").resolve())


def test_a_second_run_gets_the_next_number() -> None:
    assert train("--epochs", "1", "-q") == 0
    before = Path("runs/tiny-1/model.safetensors").read_bytes()
    assert train("--epochs", "1", "-q", "--seed", "1") == 0
    assert names("runs") == ["tiny-1", "tiny-2"]
    assert Path("runs/tiny-1/model.safetensors").read_bytes() == before


@pytest.mark.parametrize("line", ["tiny.npz", "--data tiny.npz", "tiny.npz --data tiny.npz"])
def test_the_data_may_be_an_argument(line: str, folder: Path) -> None:
    options = ["--device", "cpu", "--hidden", "8", "--epochs", "1", "-q"]
    assert run(["train", *line.split(), *options]) == 0
    told = manifest("runs/tiny-1")
    assert told["data"]["source"] == str(Path("tiny.npz").resolve())
    assert told["configuration"]["data"] == "tiny.npz"
    assert "source" not in told["configuration"]


# Wrong input


TRAIN = {
    "--data gone": (1, "gone"),
    "--data gone.npz": (1, "gone.npz"),
    "--data mnits": (1, NEAR + "'mnist'"),
    "--data notes.txt": (1, "notes.txt"),
    "--data cut": (1, "train-images-idx3-ubyte: truncated"),
    "--data magic": (1, "train-images-idx3-ubyte: not an IDX file"),
    "--data mislabelled": (1, "train-images-idx3-ubyte: holds labels"),
    "--data unlabelled": (1, "train-labels-idx1-ubyte"),
    "--data unequal": (1, "unequal: 60 samples in x"),
    "--data objects.npz": (1, "objects.npz: y: holds Python objects"),
    "--data unequal.npz": (1, "unequal.npz: 60 samples in x and 7 labels"),
    "--data damaged.npz": (1, "damaged.npz"),
    "--data nan.npz": (1, "nan.npz: x: element (0, 2)"),
    "--data label.npz": (1, "label: test label 3"),
    "--data one-class.npz": (1, "one-class"),
    "--hidden 0": (2, "--hidden 0"),
    "--hidden -5": (2, "--hidden -5"),
    "--hidden ten": (2, "--hidden ten"),
    "--hidden 8,,8": (2, "--hidden 8,,8"),
    "--hidden 99999999999999999999": (2, "99999999999999999999"),
    "--activation rleu": (2, NEAR + "'relu'"),
    "--activation relu,tahn --hidden 8,8": (2, NEAR + "'tanh'"),
    "--activation relu,tanh": (2, "--activation: got 2 for 1 hidden"),
    "--optimizer adma": (2, NEAR + "'adam'"),
    "--schedule one-cylce": (2, NEAR + "'one-cycle'"),
    "--loss softmax-cross-entrpy": (2, NEAR + "'softmax-cross-entropy'"),
    "--loss squared-error --task classification": (2, "squared-error is not for classification"),
    "--loss hinge:3": (2, "hinge takes no number"),
    "--loss softmax-squared-error --label-smoothing 0.1": (
        2,
        "--label-smoothing 0.1 is for --loss softmax-cross-entropy, and the loss is",
    ),
    "--task clasification": (2, "did you mean 'classification'"),
    "--task multilabel": (1, "a target is 2; multilabel needs 0 or 1"),
    "--normalization btach": (2, "did you mean 'batch'"),
    "--noise -1": (2, "--noise must be a number in [0, inf), got -1.0"),
    "--max-norm -1": (2, "--max-norm must be a number in [0, inf), got -1.0"),
    "--initializer he": (2, "unknown initializer 'he'"),
    "--initializer zeros,zeros,zeros": (2, "3 initializers for 2 dense layers"),
    "--activation leaky-relu:2": (2, "slope must be a number in (0, 1), got 2.0"),
    "--accumulate 0": (2, "--accumulate must be a whole number in [1, inf), got 0"),
    "--warmup 1": (2, "--warmup must be a number in [0, 1), got 1.0"),
    "--clip-norm 0": (2, "--clip-norm must be a number in (0, inf), got 0.0"),
    "--average emu": (2, "did you mean 'ema'"),
    "--average ema:1": (2, "decay must be a number in [0, 1), got 1.0"),
    "--class-weight equal": (2, "class_weight 'equal'"),
    "--schedule plateau --validation 0": (2, "schedule plateau needs samples to validate on"),
    "--loss softmax-cross-entropy:0.2 --label-smoothing 0.1": (
        2,
        "--label-smoothing 0.1 is for --loss softmax-cross-entropy, and the loss is",
    ),
    "--loss binary-cross-entropy --label-smoothing 0.1": (
        2,
        "--label-smoothing 0.1 is for --loss softmax-cross-entropy, and the loss is",
    ),
    "--dtype float23": (2, NEAR + "'float32'"),
    "--device cdua": (2, NEAR + "'cuda'"),
    "--device cuda:-1": (2, "cuda:-1"),
    "--epochs 0": (2, "--epochs must be a whole number in [1, inf), got 0"),
    "--epochs -3": (2, "--epochs must be"),
    "--epochs ten": (2, "--epochs"),
    "--batch-size 0": (2, "--batch-size must be a whole number in [1, inf), got 0"),
    "--batch-size -1": (2, "-1"),
    "--limit 0": (2, "--limit must be a whole number in [1, inf), got 0"),
    "--limit -5": (2, "--limit must be"),
    "--patience 0": (2, "--patience must be"),
    "--patience 2 --validation 0": (2, "patience"),
    "--seed -1": (2, "--seed must be"),
    "--seed 99999999999999999999": (2, "--seed must be"),
    "--dropout 1": (2, "--dropout must be a number in [0, 0.99999], got 1.0"),
    "--dropout -0.1": (2, "--dropout must be"),
    "--dropout nan": (2, "--dropout must be"),
    "--label-smoothing 1": (2, "--label-smoothing must be a number in [0, 1), got 1.0"),
    "--learning-rate 0": (2, "--learning-rate must be a number in (0, inf), got 0.0"),
    "--learning-rate nan": (2, "--learning-rate must be"),
    "--learning-rate 1e39": (2, "--learning-rate must be a number in (0, inf) that float32 holds"),
    "--schedule warm-restarts:1000000000000": (2, "cycles must be a whole number in [1, 10000]"),
    "--weight-decay -1": (2, "--weight-decay must be"),
    "--validation -0.1": (2, "--validation must"),
    "--validation 1.5": (2, "--validation must"),
    "--validation 48": (2, "--validation must"),
    "--validation nan": (2, "--validation must"),
    "--validation inf": (2, "--validation must"),
    "--validation -inf": (2, "--validation must"),
    "--epohcs 3": (2, "--epochs"),
    "extra": (2, "the argument extra and --data tiny.npz differ: give one of them"),
    "tiny.npz extra": (2, "extra"),
    "--data model.safetensors": (1, "model.safetensors: is a model, not data; test it by xpnet"),
    "--data photos": (1, "photos: pictures are not read yet; give arrays of 28 x 28 numbers. Put"),
    "--data a.xlsx": (1, "a.xlsx: xlsx files are not read yet"),
    "--output full": (2, "--output full"),
    "--output notes.txt": (2, "--output notes.txt"),
    "--output notes.txt/run": (1, "notes.txt"),
    "--output new/run --epochs 0": (2, "--epochs must be"),
}


@pytest.mark.parametrize("case", TRAIN)
def test_wrong_input_of_train_is_one_line_and_leaves_nothing(
    files: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    before = sorted(files.rglob("*"))
    refused(capsys, train("--epochs", "2", *case.split()), *TRAIN[case])
    assert sorted(files.rglob("*")) == before
    assert (files / "full/notes.txt").read_text() == "mine"


def test_an_empty_folder_that_was_given_stays(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the user made is not the run's to remove."""
    (folder / "mine").mkdir()
    refused(capsys, train("--output", "mine", "--epochs", "0"), 2, "epochs")
    assert names("mine") == []


needs_rights = pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="rights do not bind root, nor folders on Windows"
)


@needs_rights
def test_an_output_without_the_right_to_write(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "locked").mkdir(mode=0o500)
    refused(capsys, train("--output", "locked/run"), 1, "locked/run: Permission denied")
    refused(capsys, train("--output", "locked"), 1, "Permission denied")
    assert names("locked") == []


@needs_rights
def test_a_current_folder_without_the_right_to_write(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.chmod(0o500)
    try:
        refused(capsys, train(), 1, "runs")
        assert names(folder) == ["tiny.npz"]
    finally:
        folder.chmod(0o700)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc")
def test_a_current_folder_where_nothing_can_be_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the test above, for root too."""
    monkeypatch.chdir("/proc/self")
    refused(capsys, train("--data", str(folder / "tiny.npz")), 1, "runs")


# A disk that fills up


@pytest.mark.parametrize("writes", [0, 1, 2, 3, 4, 5, 6, 9])
def test_a_full_disk_is_one_line_and_nothing_is_half_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], writes: int
) -> None:
    """`writes` files are written before the disk is full."""
    done, fsync = [], os.fsync

    def fail(descriptor: int) -> None:
        if len(done) >= writes:
            raise OSError(errno.ENOSPC, "No space left on device")
        done.append(descriptor)
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", fail)
    monkeypatch.setattr("xpnet.cli.run_folder.SECONDS_BETWEEN_WRITES", -1.0)  # after every epoch
    refused(capsys, train("--epochs", "5", "-q"), 1, "No space left on device")
    if writes < 2:  # the manifest comes first, the model next
        assert not Path("runs").exists()
    else:
        load("runs/tiny-1")
        manifest("runs/tiny-1")
        assert {*names("runs/tiny-1")} <= {*FILES}


def test_a_full_disk_names_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    refused(capsys, train("-q"), 1, "run.json: No space left on device")


# Devices


@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
@pytest.mark.filterwarnings("default")
def test_a_gpu_that_cannot_be_used_costs_one_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    problem = selection.Problem("it is on the moon", "fetch it")
    monkeypatch.setattr(selection, "probe", lambda index: problem)
    assert train("--device", name, "--epochs", "1") == 0
    expected = f"{name} cannot be used, so the CPU is: it is on the moon; fetch it"
    assert capsys.readouterr().err == f"xpnet: warning: {expected}\n"
    told = manifest("runs/tiny-1")
    assert (told["device"], told["status"]) == ("cpu", "finished")
    assert told["device_reason"] == f"{name} cannot be used: it is on the moon"


@pytest.mark.parametrize("setting", [{}, {"PYTHONWARNINGS": "error"}, {"PYTHONWARNINGS": "ignore"}])
def test_the_warning_gives_the_true_reason_once(setting: dict[str, str]) -> None:
    problem = selection.probe(99)
    assert problem is not None
    arguments = ["--data", "tiny.npz", "--epochs", "1", "--device", "cuda:99"]
    done = command("train", *arguments, env=os.environ | setting)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("xpnet: warning: cuda:99 cannot be used")
    assert problem.reason in done.stderr
    assert names("runs/tiny-1") == FILES


def test_strict_device_exits_2_and_leaves_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = train("--device", "cuda:99", "--strict-device")
    refused(capsys, code, 2, "cuda:99 cannot be used")
    assert names(folder) == ["tiny.npz"]


# Ctrl-C


def interrupt(ready, *arguments: str) -> tuple[int, str]:
    """The exit code and stderr of a command that gets Ctrl-C once `ready(its stdout)` returns."""
    with subprocess.Popen(
        [sys.executable, "-m", "xpnet", *arguments, "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        ready(process.stdout)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@POSIX
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_in_the_first_epoch_keeps_nothing(folder: Path) -> None:
    n = 200_000  # an epoch of single samples takes many seconds
    np.savez("long.npz", x=np.tile(X, (n // 60, 1)), y=np.tile(Y, n // 60))

    def ready(_: object) -> None:
        end = time.monotonic() + 60
        while not Path("runs/long-1/run.json").exists() and time.monotonic() < end:
            time.sleep(0.01)
        assert manifest("runs/long-1")["status"] == "running"
        time.sleep(0.3)  # into the middle of the epoch

    code, errors = interrupt(ready, "train", "--data", "long.npz", "--batch-size", "1")
    assert code == 130
    assert errors == "xpnet: interrupted; nothing is kept\n"
    assert names(folder) == ["long.npz", "tiny.npz"]


@POSIX
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_after_some_epochs_keeps_the_best_model() -> None:
    def ready(stdout) -> None:
        assert any(line.startswith("epoch   1/") for line in stdout)

    options = ["--data", "tiny.npz", "--batch-size", "1", "--epochs", "1000000"]
    code, errors = interrupt(ready, "train", *options)
    assert code == 130
    assert re.fullmatch(
        r"xpnet: interrupted; runs/tiny-1 keeps the model of epoch \d+\n", errors
    ), errors
    assert names("runs/tiny-1") == FILES
    assert manifest("runs/tiny-1")["status"] == "interrupted"
    assert load("runs/tiny-1").labels == (0, 1, 2)
    assert len(Path("runs/tiny-1/history.csv").read_text().splitlines()) >= 2


# Divergence


def test_divergence_in_the_first_epoch_leaves_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = train("--learning-rate", "1e30")
    refused(capsys, code, 1, "in epoch 1; no epoch was good, so there is no model. Try a smaller")
    assert names(folder) == ["tiny.npz"]


def test_divergence_later_keeps_the_last_good_model(capsys: pytest.CaptureFixture[str]) -> None:
    # Each step multiplies the weights by 1 - 0.1 * 110 = -10, so they overflow in the 39th or so.
    options = "--hidden none --optimizer sgd --schedule constant --batch-size 1000 --epochs 60"
    code = train(*options.split(), "--learning-rate", "0.1", "--weight-decay", "110")
    errors = capsys.readouterr().err
    found = re.fullmatch(
        r"xpnet: the loss became (inf|nan) in epoch (\d+); the model of epoch (\d+) is kept\. "
        r"Try a smaller learning rate \(its peak was 0\.1\); see runs.tiny-1\n",
        errors,
    )
    assert found, errors
    assert code == 1
    assert 1 <= int(found[3]) < int(found[2])
    assert manifest("runs/tiny-1")["status"] == "diverged"
    assert len(Path("runs/tiny-1/history.csv").read_text().splitlines()) == int(found[2])
    assert np.all(np.isfinite(load("runs/tiny-1")(X)))


def test_divergence_in_the_last_step_without_validation_is_noticed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The loss of a batch is that before its step: only the next one would be NaN."""
    options = "--validation 0 --batch-size 1000 --epochs 1 --learning-rate 1e30"
    refused(capsys, train(*options.split()), 1, "epoch 1")
    assert names(folder) == ["tiny.npz"]


# Threads


@needs_blas
@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize(
    ("options", "threads"),
    [("--batch-size 128", 1), ("--batch-size 4000000", 4), ("--threads 3", 3)],
)
def test_the_blas_takes_as_many_threads_as_run_json_says(
    options: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def seeing(function: Callable[..., Any]) -> Callable[..., Any]:
        def see(*arguments: Any, **more: Any) -> Any:
            seen.append(blas_threads())
            return function(*arguments, **more)

        return see

    monkeypatch.setattr("xpnet.fitting.training.fit", seeing(fit))
    monkeypatch.setattr("xpnet.fitting.evaluation.evaluate", seeing(evaluate))
    with threadpool_limits(2, user_api="blas"):
        assert train("-q", "--epochs", "1", *options.split()) == 0
        assert blas_threads() == 2
    assert seen == [threads, threads]
    assert manifest("runs/tiny-1")["threads"] == threads


@needs_blas
def test_threads_are_given_back_after_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with threadpool_limits(2, user_api="blas"):
        refused(capsys, train("--threads", "1", "--learning-rate", "1e30"), 1, "Try a smaller")
        assert blas_threads() == 2


# Steps and seeds


def test_a_thousand_steps_are_of_the_samples_that_are_trained_on(folder: Path) -> None:
    """30 samples in steps of 16: two an epoch."""
    options = "--batch-size 8 --accumulate 2 --limit 30 --patience 1 --output out --quiet"
    assert train(*options.split()) == 0
    assert manifest("out")["configuration"]["epochs"] == 500


def test_a_limit_takes_the_first_training_samples_and_validates_on_all() -> None:
    """What lies behind the limit changes nothing but the test."""
    for name, shift in (("limited", 0.0), ("spoilt", 1e3)):
        x = np.random.default_rng(0).normal(size=(60, 4))
        y = (x[:, 0] > 0).astype(int)
        rows, held = split(60, 20, 0, y)
        x[rows[15:]] += shift
        np.savez(f"{name}.npz", x_train=x, y_train=y, x_test=x[:9], y_test=y[:9])
        options = "--limit 15 --validation 20 --epochs 3 --quiet --output"
        assert run(["train", "--data", f"{name}.npz", *options.split(), f"out-{name}"]) == 0
    assert load("out-limited") == load("out-spoilt")
    result = fit(
        mlp(4, 128, 2), x[rows[:15]], y[rows[:15]], epochs=3, validation_data=(x[held], y[held])
    )
    assert load("out-limited") == result.model


def test_every_file_of_the_same_seconds_gives_the_same_model(folder: Path) -> None:
    """Seconds since 1970 over ten minutes: as numbers of either type, in a table, and from 0."""
    seconds = np.arange(600)[:, None] + 1_732_000_000
    y = np.sin(seconds[:, 0] * np.pi / 300)
    np.savez("shifted.npz", x=seconds - 1_732_000_000.0, y=y)
    np.savez("int64.npz", x=seconds, y=y)
    np.savez("float64.npz", x=seconds.astype(float), y=y)
    rows = "\n".join(f"{x},{t!r}" for x, t in zip(seconds[:, 0].tolist(), y.tolist(), strict=True))
    (folder / "table.csv").write_text(f"seconds,wave\n{rows}\n", encoding="utf-8")
    models, loss = {}, {}
    for data in ("shifted.npz", "int64.npz", "float64.npz", "table.csv"):
        options = "--hidden 16 --epochs 20 --batch-size 32 --quiet --device cpu"
        options += " --target wave" * data.endswith(".csv")
        name = data.partition(".")[0]
        assert run(["train", "--data", data, *options.split(), "--output", name]) == 0
        models[name], loss[name] = load(name), manifest(name)["test_loss"]
    assert loss["int64"] == loss["float64"] == loss["table"]
    assert loss["table"] == pytest.approx(loss["shifted"], rel=1e-3)
    assert loss["shifted"] < 0.2
    for name in ("int64", "table"):
        assert np.array_equal(models[name].theta, models["float64"].theta)
        assert np.array_equal(models[name].buffers, models["float64"].buffers)


def test_an_error_in_the_test_says_so_and_where_the_model_is(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = sources.load("tiny.npz")
    x_test = data.x_test.astype(float)
    x_test[3] = [3e38, -3e38, 3e38, -3e38]
    np.savez("far.npz", x_train=data.x_train, y_train=data.y_train, x_test=x_test,
             y_test=data.y_test)  # fmt: skip
    assert run(["train", "--data", "far.npz", "--epochs", "1", "--output", "out"]) == 1
    error = capsys.readouterr().err
    assert "the test set: an output is not finite in row 3 (1 of 12)." in error
    assert "The model is in out" in error
    assert load("out").loss is not None


def test_train_is_fit_with_the_same_seed(folder: Path) -> None:
    assert train("--seed", "3", "--epochs", "3", "--output", "out", "--quiet") == 0
    data = sources.load("tiny.npz")
    x, y = data.x_train, data.y_train
    expected = fit(mlp(4, 8, 3, input_shape=(4,), seed=3), x, y, epochs=3, seed=3).model
    assert load("out") == expected


def test_small_sets_get_a_thousand_steps(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """64 samples are trained on less the sixth, in one step an epoch."""
    assert run(["train", "--data", "table.csv", "--target", "side", "--output", "out"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert manifest("out")["epochs"] == manifest("out")["configuration"]["epochs"] == 1000
    assert 20 <= len(lines) <= 23
    assert len(Path("out/history.csv").read_text().splitlines()) == 1001


# Tasks and small sets


def digits() -> tuple[np.ndarray, np.ndarray]:
    """300 rows of 10 classes, told apart by eye."""
    rng = np.random.default_rng(0)
    y = np.arange(300) % 10
    return 4 * np.eye(10)[y] + rng.normal(size=(300, 10)), y


def table(path: str, x: np.ndarray, y: np.ndarray | list, names: str) -> None:
    """A .csv with the columns of x, then those of y."""
    header = ",".join([*(f"x{i}" for i in range(x.shape[1])), names])
    rows = [
        ",".join(map(str, [*a.tolist(), *np.ravel(b).tolist()])) for a, b in zip(x, y, strict=True)
    ]
    Path(path).write_text("\n".join([header, *rows]))


@pytest.mark.parametrize("kind", ["npz", "csv"])
def test_one_hot_targets_are_classes(folder: Path, kind: str, capsys: Any) -> None:
    """As classes with their numbers: the same rows are held out, the same model comes out."""
    x, y = digits()
    np.savez("classes.npz", x=x, y=y)
    names = [*"abcdefghij"]
    if kind == "npz":
        np.savez("one-hot.npz", x=x, y=np.eye(10, dtype=bool)[y])
    else:
        table("one-hot.csv", x, np.eye(10, dtype=int)[y], ",".join(names))
    options = ["--epochs", "30", "--class-weight", "balanced", "--hidden", "16"]
    assert train("--data", "classes.npz", "-q", *options) == 0
    target = ["--target", ",".join(names)] if kind == "csv" else []
    assert train("--data", f"one-hot.{kind}", *target, *options) == 0
    assert "classification (one 1 in each row of 10 columns" in capsys.readouterr().out
    model, ours, theirs = (
        load("runs/one-hot-1"),
        manifest("runs/one-hot-1"),
        manifest("runs/classes-1"),
    )
    assert model.labels == (tuple(range(10)) if kind == "npz" else tuple(names))
    assert (model.output, ours["task"]) == ("softmax", "classification")
    assert ours["test_accuracy"] == theirs["test_accuracy"] > 0.8
    assert ours["test_metrics"] == pytest.approx(theirs["test_metrics"])


@pytest.mark.parametrize(
    ("y", "task", "labels"),
    [
        (np.arange(60) % 3, "regression", ()),
        (np.eye(3)[np.arange(60) % 3], "regression", ()),
        (np.eye(3)[np.arange(60) % 3], "multilabel", (0, 1, 2)),
        (np.arange(60) % 2, "multilabel", ("label",)),
        (np.arange(60) % 4 / 2, "classification", ("0.0", "0.5", "1.0", "1.5")),
        (np.arange(60) // 3, "classification", tuple(range(20))),
        ([f"{i % 12:03}" for i in range(60)], "regression", ()),
        ([f"{i % 3:03}" for i in range(60)], "classification", ("000", "001", "002")),
    ],
)
def test_the_task_overrules_and_evaluate_tests_the_same_rows(y, task: str, labels, capsys) -> None:
    table("set.csv", np.ravel(X[:, 0])[:, None], y, "label" if np.ndim(y) == 1 else "a,b,c")
    target = [] if np.ndim(y) == 1 else ["--target", "a,b,c"]
    options = ["--task", task, *target, "--hidden", "4", "--epochs", "2", "-q"]
    assert train("--data", "set.csv", *options) == 0
    told = manifest("runs/set-1")
    wanted = ("a", "b", "c") if labels == (0, 1, 2) else labels
    assert (told["task"], load("runs/set-1").labels) == (task, wanted)
    assert run(["evaluate", "runs/set-1", "--json", "--device", "cpu"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["accuracy"] == told["test_accuracy"]
    assert answer["loss"] == pytest.approx(told["test_loss"], rel=1e-5)
    assert answer["metrics"] == pytest.approx(told["test_metrics"], rel=1e-5)


@pytest.mark.parametrize(
    ("rows", "task"),
    [("0,0,0\n0,1,1\n1,0,1\n1,1,0\n", "classification"), ("0,0,no\n1,1,yes\n", "classification"),
     ("0,0,0.5\n1,1,1.5\n", "regression"), ("0,0,3\n0,1,8\n1,1,5\n", "regression")],
)  # fmt: skip
def test_the_smallest_tables_train_and_one_line_says_that_none_is_held_out(
    rows: str, task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    n = rows.count("\n")
    Path("xor.csv").write_text(f"a,b,label\n{rows}")
    assert train("--data", "xor.csv", "--hidden", "4", "--epochs", "2") == 0
    said = capsys.readouterr().out
    assert f"{n} training and {n} test samples" in said
    assert said.count("fewer than 10 samples: no test set; scores are computed on the") == 1
    assert manifest("runs/xor-1")["task"] == task
    assert run(["evaluate", "runs/xor-1", "--json", "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["samples"] == n


def test_xor_is_learnt_from_its_four_rows() -> None:
    Path("xor.csv").write_text("a,b,label\n0,0,0\n0,1,1\n1,0,1\n1,1,0\n")
    assert train("--data", "xor.csv", "--hidden", "16", "--epochs", "200", "-q") == 0
    assert manifest("runs/xor-1")["test_accuracy"] == 1


def test_one_line_names_the_classes_that_stay_in_training(capsys: Any) -> None:
    np.savez("rare.npz", x=X, y=["a"] * 30 + ["b"] * 27 + ["c"] * 2 + ["d"])
    assert train("--data", "rare.npz", "--epochs", "2") == 0
    said = capsys.readouterr().out
    assert said.count("classes with one or two samples are used for training only: c, d\n") == 1
    assert train("--data", "tiny.npz", "--epochs", "1") == 0
    assert "test set" not in capsys.readouterr().out


def test_labels_stay_as_they_are_to_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    """From the file by training, the model's file and evaluation to the answer."""
    x, y = digits()
    for name, given in {
        "names": np.asarray(["007", "7", "02134"])[y % 3].tolist(),
        "large": [9007199254740993 + int(i) for i in y % 3],
        "larger": [2**64 + int(i) for i in y % 3],
    }.items():
        table(f"{name}.csv", x[:, :2], given, "label")
        assert train("--data", f"{name}.csv", "--hidden", "4", "--epochs", "2", "-q") == 0
        labels = sorted(map(str, {*given})) if name != "large" else sorted({*given})
        assert load(f"runs/{name}-1").labels == tuple(labels)
        assert run(["evaluate", f"runs/{name}-1", "--data", f"{name}.csv", "--device", "cpu"]) == 0
        capsys.readouterr()
        assert run(["predict", f"runs/{name}-1", f"{name}.csv", "--json", "--device", "cpu"]) == 0
        assert {row["label"] for row in json.loads(capsys.readouterr().out)} <= {*labels}


def test_evaluate_takes_names_that_are_numbers_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Where a table has only some of the names that a model has, they may all look like numbers."""
    table("names.csv", X[:, :2], ["7", "1.0", "b"] * 20, "label")
    assert train("--data", "names.csv", "--hidden", "4", "--epochs", "1", "-q") == 0
    table("other.csv", X[:, :2], ["7", "1.0"] * 30, "label")
    assert run(["evaluate", "runs/names-1", "--data", "other.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 60


@pytest.mark.parametrize(
    ("command", "number"),
    [("train", "1e39"), ("train --dtype float64", "1e200"), ("explain", "-1e200")],
)
@pytest.mark.parametrize("row", [17, 20])
def test_a_number_too_large_is_named_by_its_line_before_training(
    capsys: pytest.CaptureFixture[str], command: str, number: str, row: int
) -> None:
    """Of these rows the first is trained on, and the second tested on."""
    rows = [f"{i},{i * i},{i % 2}" for i in range(30)]
    rows[row] = f"1,{number},0"
    Path("large.csv").write_text("\n".join(["a,b,label", *rows]))
    code = run([*command.split(), "--data", "large.csv"])
    dtype = "float32" if number == "1e39" else "float64"
    told = f"large.csv: line {row + 2}: column 'b' is {float(number):g}, too large for {dtype}"
    refused(capsys, code, 1, told)
    assert not Path("runs").exists()
