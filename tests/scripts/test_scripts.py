"""Each script runs in its small mode, and prints its table."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import SCRIPTS, needed, printed

pytestmark = pytest.mark.scripts
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
    "benchmarks/bench_read.py": ["--quick", "--tables", "wide", "--sides", "xpnet,pandas"],
    "benchmarks/recipes.py": ["--seeds", "2", "--epochs", "1,2", "--limit", "1000"],
    "examples/coming_from.py": ["sklearn", "xpnet"],
    "defaults.py": ["--only", "wine,diabetes", "--seeds", "2", "--folds", "2"],
    "scikit_learn.py": ["--only", "regression,multilabel", "--seeds", "2"],
}
NEEDS = {
    "defaults.py": "sklearn", "examples/coming_from.py": "sklearn", "scikit_learn.py": "sklearn",
    "benchmarks/bench_read.py": "pandas",
}  # fmt: skip

SHARED = {"benchmarks/benchmark.py", "benchmarks/by_hand.py"}  # what some of them import
ON_A_GPU = {
    "benchmarks/bench_gpu.py": [],
    "gpu_bench_peers.py": ["--peers", "xpnet", "--cases", "small:32", "--rounds", "1"],
    "gpu_fuzz.py": ["--programs", "3"],
    "gpu_midcapture.py": [],
    "gpu_paths.py": ["--limit", "100"],
}
PARTS = ["environment", "tests", "train", "paths", "fuzz", "midcapture", "bench_gpu", "peers"]


def test_every_script_has_a_small_mode() -> None:
    assert {str(path.relative_to(SCRIPTS)) for path in SCRIPTS.rglob("*.py")} == {
        *SMALL,
        *SHARED,
        *ON_A_GPU,
        "generate.py",  # see `test_registry`
    }


@pytest.mark.parametrize("script", SMALL)
def test_a_script_prints_a_table_with_two_rows(script: str) -> None:
    if script in NEEDS:
        needed(NEEDS[script])
    command = [sys.executable, str(SCRIPTS / script), *SMALL[script]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == 3
    assert len({row.count("|") for row in rows}) == 1
    assert not done.stderr


@pytest.mark.parametrize("script", SMALL)
def test_a_script_says_what_it_is_for(script: str) -> None:
    if script in NEEDS:
        needed(NEEDS[script])
    command = [sys.executable, str(SCRIPTS / script), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "usage:" in done.stdout


@pytest.fixture(scope="module")
def no_gpu() -> None:
    """Skip where CUDA_VISIBLE_DEVICES does not hide the device, as under the emulator."""
    code = "from xpnet.device.probing import probe; print(probe(0))"
    if printed(code, CUDA_VISIBLE_DEVICES="").strip() == "None":
        pytest.skip("a GPU is there all the same")


@pytest.mark.parametrize("script", ON_A_GPU)
def test_a_script_for_a_gpu_explains_its_options_without_cupy(script: str) -> None:
    code = """
import runpy, sys
sys.modules["cupy"] = None
sys.path.insert(0, sys.argv[1].rpartition("/")[0])
sys.argv = [sys.argv[1], "--help"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    command = [sys.executable, "-c", code, str(SCRIPTS / script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"usage: {Path(script).name} [-h]" in done.stdout
    assert f"python scripts/{script}" in done.stdout


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("script", ON_A_GPU)
def test_a_script_for_a_gpu_says_why_there_is_none(script: str) -> None:
    command = [sys.executable, str(SCRIPTS / script), *ON_A_GPU[script]]
    env = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{Path(script).name}: cuda cannot be used: ")


@pytest.mark.emulator
@pytest.mark.parametrize("script", [name for name in ON_A_GPU if name.startswith("gpu_")])
def test_a_script_for_a_gpu_succeeds_on_the_emulator(script: str) -> None:
    command = [sys.executable, str(SCRIPTS / script), *ON_A_GPU[script]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout
    assert not done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["gpu_bench_peers.py", "--cases", "tiny:128"], "case 'tiny:128': expected small:N"),
        (["gpu_bench_peers.py", "--cases", "small:0"], "a batch size N of 1 to 60000"),
        (["gpu_bench_peers.py", "--peers", "numpy"], "the libraries are: xpnet, torch, jax"),
        (["gpu_bench_peers.py", "--rounds", "0"], "--rounds 0: expected a whole number"),
        (["gpu_bench_peers.py", "--json", "gone/x.json"], "--json gone/x.json: there is no such"),
        (["gpu_bench_peers.py", "--logs", "gone"], "--logs gone: there is no such folder"),
        (["gpu_fuzz.py", "--programs", "0"], "--programs of 1 or more"),
        (
            ["gpu_midcapture.py", "--faults", "cublas,x"],
            "unknown fault 'x'; the faults are: cublas",
        ),
        (["gpu_paths.py", "--limit", "99"], "--limit 99: expected a whole number, 100 or more"),
    ],
)
def test_a_script_for_a_gpu_rejects_a_wrong_option(options: list[str], message: str) -> None:
    command = [sys.executable, str(SCRIPTS / options[0]), *options[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def gpu_check(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run gpu_check.sh from another folder, without a GPU."""
    env = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHON": sys.executable, "OUT": "results"}
    command = ["bash", str(SCRIPTS / "gpu_check.sh"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=folder)


def test_gpu_check_explains_its_parts(tmp_path: Path) -> None:
    done = gpu_check(tmp_path, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert listed == PARTS
    page = (SCRIPTS / "GPU.md").read_text(encoding="utf-8")
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert rows == PARTS
    assert not [*tmp_path.iterdir()]


def test_gpu_check_rejects_an_unknown_part(tmp_path: Path) -> None:
    done = gpu_check(tmp_path, "paths", "speed")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line == f"gpu_check.sh: unknown part 'speed'; the parts are: {' '.join(PARTS)}"
    assert not [*tmp_path.iterdir()]


@pytest.mark.usefixtures("no_gpu")
def test_gpu_check_reports_each_part_that_fails(tmp_path: Path) -> None:
    """In the order of the list, after the environment, with a log in the caller's folder."""
    done = gpu_check(tmp_path, "peers", "fuzz", "bench_gpu", "train")
    assert (done.returncode, done.stderr) == (1, "")
    heads = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("== ")]
    assert heads == ["environment", "train", "fuzz", "bench_gpu", "peers", "end"]
    assert done.stdout.count("cuda cannot be used: ") == 4
    assert done.stdout.count("!! exit code 2: ") == 4
    assert "gpu_check.sh: line" not in done.stdout  # an error of bash
    last = done.stdout.splitlines()[-1]
    assert last.startswith("failed: ")
    assert last.endswith("train fuzz bench_gpu peers")
    assert (tmp_path / "results" / "log").read_text(encoding="utf-8") == done.stdout


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
    needed("matplotlib")
    picture = tmp_path / "curves.png"
    options = ["--only", "c7", "--seeds", "1", "--iterations", "200", "--picture", str(picture)]
    command = [sys.executable, str(SCRIPTS / "notebook.py"), *options]
    subprocess.run(command, capture_output=True, text=True, check=True)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "b,x"], "unknown variant 'x'; expected one of these: (a, b, c1"),
        (["--seeds", "0"], "--seeds must be a whole number in [1, inf), got 0"),
        (["--iterations", "-3"], "--iterations must be a whole number in [1, inf), got -3"),
        (["--device", "cdua"], "did you mean 'cuda'"),
        (["--picture", "gone/x.png"], "--picture gone/x.png: there is no such folder"),
    ],
)
def test_the_notebook_answers_a_mistake_before_it_trains(options: list[str], message: str) -> None:
    if "--picture" in options:
        needed("matplotlib")
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
    needed("sklearn")
    script = runpy.run_path(str(SCRIPTS / "scikit_learn.py"))
    ours, theirs = script["scores"](task, 10)
    assert ours.mean() >= theirs.mean() - script["standard_error"](ours, theirs)
    assert theirs.mean() > 0.3
