"""Check that the three paths of `xpnet.fit` on a GPU give NumPy's numbers, and time them.

    python scripts/gpu_paths.py [--limit 8192] [--device cuda]

Each path trains each network for two epochs of MNIST, in float32 and in float64.  A difference is
max |a - b| / max |b| of the parameters `theta`: "from NumPy", and "from fused", the fused path.
"again" is whether a second run gives the same bits.  A row is WRONG if

- `theta` in float64 differs from NumPy's by more than 1e-8, or the loss in float32 by more than
  1e-3: Adam divides each gradient by its size, and some gradients in float32 are rounding only;
- the captured path differs from the fused path in any bit;
- a second run differs from the first in any bit;
- xpnet warned that it did not use the path.

The exit code is 1 if a row is wrong, 2 if there is no usable GPU.
"""

import argparse
import sys
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

import xpnet
from xpnet.arrays import to_numpy
from xpnet.data.sources import load
from xpnet.device.selection import select_device
from xpnet.errors import DeviceError, UsageError

NETWORKS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "128": ((128,), {}),
    "256-128-64-32-16": ((256, 128, 64, 32, 16), {}),
    "256 batch norm, dropout": ((256,), {"normalization": "batch", "dropout": 0.3}),
    "256 layer norm, gelu, noise": (
        (256,),
        {"normalization": "layer", "activation": "gelu", "noise": 0.1},
    ),
}
PATHS: dict[str, dict[str, bool]] = {  # fused first: the others are compared with it
    "fused": {"capture": False},
    "captured": {"capture": True},
    "plain": {"fast": False},
}
FIT = {"epochs": 2, "batch_size": 100, "optimizer": "adam", "learning_rate": 1e-3}
TOLERANCES = {"float32": 1e-3, "float64": 1e-8}  # of the loss, of theta
HEAD = ("network", "type", "path", "loss", "from NumPy", "from fused", "again", "s")


@dataclass(frozen=True)
class Run:
    """The end of a training run.

    Attributes
    ----------
    theta : array
        The parameters, as a NumPy array.
    loss : float
        Mean loss of the last epoch.
    seconds : float
        Duration of the run, the compilation of kernels included.
    problems : tuple of str
        Warnings that the path was not used.
    """

    theta: np.ndarray
    loss: float
    seconds: float
    problems: tuple[str, ...]


def train(model: xpnet.Model, x: Any, y: Any, **path: bool) -> Run:
    """Train on the device that holds `x`."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.perf_counter()
        result = xpnet.fit(model, x, y, **FIT, **path)
        theta = to_numpy(result.model.theta)
        seconds = time.perf_counter() - start
    problems = tuple(str(w.message) for w in caught if w.category is RuntimeWarning)
    return Run(theta, result.history[-1].loss, seconds, problems)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """max |a - b| / max |b|."""
    return float(np.max(np.abs(a - b)) / np.max(np.abs(b)))


def check(name: str, dtype: str, x: Any, on_device: Any, y: Any) -> int:
    """Train one network by every path, print a row for each; return the number of wrong rows."""
    hidden, options = NETWORKS[name]
    model = xpnet.mlp(784, *hidden, 10, input_shape=(28, 28), dtype=dtype, **options)
    host, fused, wrong = train(model, x, y), None, 0
    for path, arguments in PATHS.items():
        run, second = (train(model, on_device, y, **arguments) for _ in range(2))
        fused = fused or run
        again = np.array_equal(second.theta, run.theta)
        from_numpy, from_fused = (difference(run.theta, other.theta) for other in (host, fused))
        error = abs(run.loss / host.loss - 1) if dtype == "float32" else from_numpy
        correct = error <= TOLERANCES[dtype] and again and not run.problems  # NaN is not correct
        if path == "captured":
            correct = correct and np.array_equal(run.theta, fused.theta)
        wrong += not correct
        cells = (
            name, dtype, path, f"{run.loss:.5f}", f"{from_numpy:.1e}", f"{from_fused:.1e}",
            "yes" if again else "NO", f"{run.seconds:.2f}",
        )  # fmt: skip
        remarks = " ".join(["" if correct else " WRONG", *run.problems])
        print(f"| {' | '.join(cells)} |{remarks}", flush=True)
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--limit", type=int, default=8192, help="Number of training samples. [%(default)s]"
    )
    parser.add_argument("--device", default="cuda", help="GPU to check. [%(default)s]")
    arguments = parser.parse_args()
    if arguments.limit < 100:
        parser.error(f"--limit {arguments.limit}: expected a whole number, 100 or more")
    try:
        device = select_device(arguments.device, strict=True)
    except (DeviceError, UsageError) as error:
        parser.exit(2, f"gpu_paths.py: {error}\n")
    samples = load("mnist")
    x, y = samples.x_train[: arguments.limit], samples.y_train[: arguments.limit]
    print(device.why)
    print(f"| {' | '.join(HEAD)} |\n|---|---|---|--:|--:|--:|---|--:|")
    on_device = device.put(x)
    wrong = sum(check(name, dtype, x, on_device, y) for name in NETWORKS for dtype in TOLERANCES)
    print(f"{wrong} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
