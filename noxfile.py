"""The checks: `nox` runs the tests that the README names, `nox -l` lists the others."""

import re
import shutil
import zipfile
from pathlib import Path

import nox

nox.options.sessions = ["tests"]
nox.options.error_on_missing_interpreters = True

HERE = Path(__file__).parent
EMULATOR = HERE.parent / "shared" / "cuda-emulator"
# Without TensorFlow: where it is, Keras imports it for its other backends too, and is slower.
PEERS = ["torch==2.13.0", "jax", "optax", "keras", "thinc", "scikit-learn", "onnx", "onnxruntime"]
LOWEST = [
    "numpy==2.1.0; python_version < '3.14'",
    "array-api-compat==1.12.0",
    "safetensors==0.5.0",
    "threadpoolctl==3.5.0",
    "click==8.1.0",
    "rich==13.9.0",
    "zlib-ng==0.5.0",
    "narwhals==2.0.1",
]


# Tests run in two processes, and a process without tests takes over half of the other's.
PROCESSES = ("-n", "2", "--dist", "worksteal")


@nox.session
def tests(session: nox.Session) -> None:
    """Quick tests on a CPU: NumPy and array-api-strict, a minute; `-- --thorough` for all cases."""
    session.install("-e", ".[test]")
    session.run("pytest", *PROCESSES, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Format and lint all Python files."""
    session.install("ruff")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the static types of the package, and that type checkers know its names."""
    session.install("-e", ".[test]", "mypy")
    session.run("mypy")
    session.run("pytest", "-q", "tests/test_registry.py", "-k", "type_checkers")


@nox.session
def minimal(session: nox.Session) -> None:
    """Quick tests with the lowest versions of the core dependencies, and no other library."""
    session.install("-e", ".", "pytest", "pytest-xdist", *LOWEST)
    session.run("pytest", "-q", *PROCESSES, *session.posargs)


@nox.session
def backends(session: nox.Session) -> None:
    """All cases of all tests on every strict device, PyTorch and JAX, and examples of peers."""
    session.install("torch==2.13.0", "jax", "keras", "-e", ".[test]")
    session.run("pytest", "-q", "--thorough", *PROCESSES, *session.posargs)


@nox.session
def scripts(session: nox.Session) -> None:
    """Run every script in its small mode, and compare scores with those of scikit-learn."""
    session.install("-e", ".[test]")
    session.run("pytest", "-q", "-m", "scripts and not slow", *PROCESSES, *session.posargs)


@nox.session
def mutations(session: nox.Session) -> None:
    """Break 200 formulas, one at a time: the tests of each module must fail."""
    session.install("-e", ".[test]")
    session.run("python", "tests/mutations.py", *session.posargs)


@nox.session
def notebook(session: nox.Session) -> None:
    """Reproduce the notebook with its full number of iterations: minutes."""
    session.install("-e", ".[test]")
    session.run("pytest", "-q", "-m", "slow")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure times next to those of other libraries; `-- --quick` to see that all works."""
    session.install("-e", ".[test]")
    for peer in PEERS:
        # Whoever is not to be had is named in the tables.
        session.install(peer, success_codes=[0, 1])
    session.run("xpnet", "bench")
    session.run(
        "python", "scripts/benchmarks/bench_step.py", *(["--rounds", "2"] * bool(session.posargs))
    )
    session.run("python", "scripts/benchmarks/bench_memory.py")
    for script in ("bench_peers.py", "bench_predict.py", "bench_start.py", "bench_read.py"):
        session.run("python", f"scripts/benchmarks/{script}", *session.posargs)


@nox.session
def cuda(session: nox.Session) -> None:
    """All cases of CuPy's tests: on a device, else under the emulator if it is there."""
    # Without [ctk]: a device's machine has CUDA, and the emulator brings its own.
    session.install("cupy-cuda12x>=14", "nvidia-cuda-nvrtc-cu12", "-e", ".[test]")
    code = "from xpnet.device.probing import probe; print(probe(0) or 'works')"
    tests = ("-m", "pytest", "-q", "--thorough", "-m", "cuda or emulator")
    if str(session.run("python", "-c", code, silent=True)).strip() == "works":
        session.run("python", *tests)
        session.run("python", "scripts/benchmarks/bench_gpu.py", *session.posargs)
        return
    session.run("pytest", "-q", "tests/device", "tests/fast/cuda/test_kernels.py")
    if not EMULATOR.is_dir():
        session.warn("no CUDA device, and no emulator: the CUDA tests were not run")
        return
    session.run(str(EMULATOR / "install"), session.virtualenv.location, external=True)
    run = (str(EMULATOR / "run"), "python")
    session.run(*run, *tests, external=True)
    paths = ("tests/fast/cuda",)
    # Nothing is done before it is waited for, so that what is read too early is seen; and then
    # without a pool, so that what is read or written past the end of an array is seen.
    session.run(*run, *tests, *paths, external=True, env={"CUDAEMU_ASYNC": "lazy"})
    session.run(*run, *tests, *paths, "--without-pool", external=True)


@nox.session
def readme(session: nox.Session) -> None:
    """Run the README's first command, word for word, in a fresh clone."""
    text = (HERE / "README.md").read_text(encoding="utf-8")
    command = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)[0]
    clone = Path(session.create_tmp()).resolve() / "a clone"
    shutil.rmtree(clone, ignore_errors=True)
    session.run("git", "clone", "-q", str(HERE), str(clone), external=True)
    with session.chdir(clone):
        session.run("bash", "-euo", "pipefail", "-c", command, external=True)
        if not (clone / "runs" / "mnist-1" / "model.safetensors").is_file():
            session.error("the README's first command left no model")


@nox.session
def build(session: nox.Session) -> None:
    """Build a wheel from the sdist, install it and try it from another folder."""
    session.install("build")
    out = Path(session.create_tmp()).resolve()
    shutil.rmtree(out, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(out), ".")
    (wheel,) = out.glob("*.whl")
    (sdist,) = out.glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "xpnet/py.typed",
        "xpnet/__init__.pyi",
        "licenses/LICENSE",
        "licenses/xpnet/data/mnist/LICENSE",
    ):
        if not any(name.endswith(needed) for name in names):
            session.error(f"{wheel.name} lacks {needed}")
    for package in (wheel, sdist):
        session.install("--force-reinstall", "--no-deps", str(package))
        session.install(str(package))
        with session.chdir(out):
            session.run("xpnet", "train", "--epochs", "1", "--output", f"run-{package.suffix}")
            session.run("xpnet", "evaluate", f"run-{package.suffix}")
            session.run("python", "-m", "xpnet", "devices")
