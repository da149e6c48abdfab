"""The numbers stay: models of five commands are the same file, to the bit, from change to change.

A change that alters numbers or metadata on purpose records the hashes anew, and its commit says
why.  Bits depend on the versions and on the kernels of the BLAS, so that elsewhere than where they
were recorded the test is skipped.
"""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from xpnet.cli import run

RECORDED_WITH = "NumPy 2.4.6, openblas 0.3.31.188.0 SkylakeX"
MNIST = "--limit 3000 --epochs 2 --batch-size 64"
HASHES = {
    f"{MNIST} --optimizer momentum --activation tanh --dropout 0.2 --normalization batch": (
        "f1d89b10749d1f34"
    ),
    f"{MNIST} --optimizer rmsprop --normalization batch --accumulate 2 --average ema": (
        "374a5baf370be9c9"
    ),
    f"{MNIST} --optimizer adagrad --noise 0.1 --max-norm 2": "b5a308f753d8a5d6",
    "--data regression.npz --epochs 20 --loss pinball:0.1,0.5,0.9 --normalization layer "
    "--average ema": "e033dbe347f351ec",
    "--data labels.npz --epochs 20 --loss binary-focal --accumulate 2 --average last": (
        "2eb0d8ba82124c56"
    ),
}


def machine() -> str:
    """What the bits depend on."""
    blas = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    kernels = [f"{a['internal_api']} {a['version']} {a.get('architecture')}" for a in blas]
    return f"NumPy {np.__version__}, {', '.join(kernels)}"


def write_data(folder: Path) -> None:
    """Regression with three features, and three labels a sample."""
    i = np.arange(600)
    x = np.stack([np.sin(i * 0.7), np.cos(i * 1.3), (i * 37 % 101) / 50.0], axis=1)
    y = 1000 + 300 * x[:, 0] * x[:, 1] + 50 * x[:, 2]
    labels = np.stack([x[:, 0] > 0.2, x[:, 1] > 0, x[:, 2] > 1], axis=1).astype(int)
    np.savez(folder / "regression.npz", x=x, y=y)
    np.savez(folder / "labels.npz", x=x, y=labels)


@pytest.mark.skipif(machine() != RECORDED_WITH, reason=f"hashes are of {RECORDED_WITH}")
@pytest.mark.parametrize("options", HASHES)
def test_a_model_is_the_same_file_as_ever(
    options: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)
    fixed = ["--threads", "1", "--device", "cpu", "--quiet", "--output", "run"]
    assert run(["train", *options.split(), *fixed]) == 0
    content = Path("run/model.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest()[:16] == HASHES[options]
