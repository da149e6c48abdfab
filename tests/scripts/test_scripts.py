"""Each script runs in its small mode, and prints its table."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import SCRIPTS

SMALL = {
    "accuracy.py": ["--seeds", "2", "--epochs", "1", "--limit", "1000"],
    "notebook.py": ["--only", "b", "--seeds", "2", "--iterations", "20", "--device", "cpu"],
    "benchmarks/bench_step.py": [
        "--batch-sizes",
        "32,64",
        "--optimizers",
        "nesterov",
        "--rounds",
        "2",
    ],
    "benchmarks/bench_peers.py": ["--quick", "--peers", "products,xpnet"],
    "benchmarks/bench_memory.py": ["--hidden", "128", "--optimizers", "sgd,adam"],
    "benchmarks/bench_start.py": ["--quick", "--peers", "xpnet,NumPy by hand"],
    "benchmarks/bench_predict.py": ["--quick", "--peers", "products,xpnet"],
    "benchmarks/recipes.py": ["--seeds", "2", "--epochs", "1,2", "--limit", "1000"],
    "scikit_learn.py": ["--only", "regression,multilabel", "--seeds", "2"],
}

SHARED = {"benchmarks/benchmark.py", "benchmarks/by_hand.py"}  # what some of them import
ON_A_GPU = {"benchmarks/bench_gpu.py"}


def test_every_script_has_a_small_mode() -> None:
    assert {str(path.relative_to(SCRIPTS)) for path in SCRIPTS.rglob("*.py")} == {
        *SMALL,
        *SHARED,
        *ON_A_GPU,
    }


@pytest.mark.parametrize("script", SMALL)
def test_a_script_prints_a_table_with_two_rows(script: str) -> None:
    if script == "scikit_learn.py":
        pytest.importorskip("sklearn")
    command = [sys.executable, str(SCRIPTS / script), *SMALL[script]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == 3
    assert len({row.count("|") for row in rows}) == 1
    assert not done.stderr


@pytest.mark.parametrize("script", SMALL)
def test_a_script_says_what_it_is_for(script: str) -> None:
    if script == "scikit_learn.py":
        pytest.importorskip("sklearn")
    command = [sys.executable, str(SCRIPTS / script), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "usage:" in done.stdout


def test_the_benchmark_of_a_gpu_says_why_there_is_none() -> None:
    command = [sys.executable, str(SCRIPTS / "benchmarks/bench_gpu.py")]
    env = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if not done.returncode:
        pytest.skip("a GPU is there all the same")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("bench_gpu.py: cuda cannot be used: ")


@pytest.mark.emulator
def test_the_readme_has_the_counts_that_the_benchmark_prints() -> None:
    command = [sys.executable, str(SCRIPTS / "benchmarks/bench_gpu.py"), "--batch-sizes", "128"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(rows) == 5
    assert "\n".join(rows) in (SCRIPTS.parent / "README.md").read_text(encoding="utf-8")


def test_the_notebook_says_what_depends_on_the_iterations() -> None:
    command = [sys.executable, str(SCRIPTS / "notebook.py"), "--help"]
    told = " ".join(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    )
    assert "by default 5 " in told
    assert "by default 13000; c9, c10 and d change throughout, as their rate falls to 0" in told


def test_the_notebook_draws_its_curves(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "curves.png"
    options = ["--only", "c7", "--seeds", "1", "--iterations", "200", "--picture", str(picture)]
    command = [sys.executable, str(SCRIPTS / "notebook.py"), *options]
    subprocess.run(command, capture_output=True, text=True, check=True)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "b,x"], "unknown variant 'x'; expected one of these: (a, b, c1"),
        (["--seeds", "0"], "--seeds 0: expected a whole number, 1 or more"),
        (["--iterations", "-3"], "--iterations -3: expected"),
        (["--device", "cdua"], "did you mean 'cuda'"),
        (["--picture", "gone/x.png"], "--picture gone/x.png: there is no such folder"),
    ],
)
def test_the_notebook_answers_a_mistake_before_it_trains(options: list[str], message: str) -> None:
    if "--picture" in options:
        pytest.importorskip("matplotlib")
    command = [sys.executable, str(SCRIPTS / "notebook.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_notebook_falls_back_with_one_plain_line() -> None:
    options = ["--only", "b", "--seeds", "1", "--iterations", "1", "--device", "cuda"]
    command = [sys.executable, str(SCRIPTS / "notebook.py"), *options]
    env = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    (line,) = done.stderr.splitlines()
    assert line.startswith("warning: cuda cannot be used, so the CPU is")


@pytest.mark.parametrize("task", ["regression", "multilabel", "classification"])
def test_scores_reach_those_of_scikit_learn(task: str) -> None:
    """With the same settings, over ten seeds, within one standard error of the difference."""
    pytest.importorskip("sklearn")
    script = runpy.run_path(str(SCRIPTS / "scikit_learn.py"))
    ours, theirs = script["scores"](task, 10)
    assert ours.mean() >= theirs.mean() - script["standard_error"](ours, theirs)
    assert theirs.mean() > 0.3
