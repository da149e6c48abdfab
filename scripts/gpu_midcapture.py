"""Provoke faults during the capture of a CUDA graph, and check what `xpnet.fit` makes of them.

    python scripts/gpu_midcapture.py [--faults cublas,memory,stream,device,handle,error]

`fit` captures training steps in a CUDA graph; the third matrix product of the capture fails:

cublas   cuBLAS returns an error
memory   CuPy finds no memory
stream   the stream is synchronized, which CUDA refuses during a capture
device   the device is synchronized, which CUDA refuses too
handle   a cuBLAS handle is created and destroyed
error    a ValueError is raised

After `memory` and `error`, `fit` has to raise DeviceFailedError and ValueError.  After the others
it has to return NumPy's numbers, and to warn that it launches steps without graphs (after `handle`
the warning may be absent: the capture may succeed).  In all cases the GPU has to work afterwards.
Each fault has its own process, because a fault may leave CUDA unusable.

The exit code is 1 if an outcome is another, 2 if there is no usable GPU.
"""

import argparse
import importlib
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import xpnet
from xpnet.arrays import to_numpy
from xpnet.device.selection import select_device
from xpnet.errors import DeviceError
from xpnet.fast.cuda.cublas import Cublas, CublasError

TOLERANCE = 1e-9  # of theta in float64, after 20 steps
FAILING_PRODUCT = 3
PATIENCE = 20  # seconds for one fault


def fail_cublas(cupy: Any) -> None:
    raise CublasError("status 14, provoked")


def fail_memory(cupy: Any) -> None:
    raise cupy.cuda.memory.OutOfMemoryError(1, 1)


def synchronize_stream(cupy: Any) -> None:
    cupy.cuda.get_current_stream().synchronize()


def synchronize_device(cupy: Any) -> None:
    cupy.cuda.Device().synchronize()


def destroy_handle(cupy: Any) -> None:
    Cublas()


def fail_otherwise(cupy: Any) -> None:
    raise ValueError("provoked")


FAULTS: dict[str, tuple[Callable[[Any], None], str]] = {
    "cublas": (fail_cublas, "warning"),
    "memory": (fail_memory, "DeviceFailedError"),
    "stream": (synchronize_stream, "warning"),
    "device": (synchronize_device, "warning"),
    "handle": (destroy_handle, "any"),
    "error": (fail_otherwise, "ValueError"),
}
"""The function that fails, and what has to follow: a warning, the name of an error, or any path."""


def provoke(fault: Callable[[Any], None], cupy: Any) -> list[int]:
    """Let one product fail during a capture; return a list that gets one element when it does."""
    product, calls, provoked = Cublas.product, [0], list[int]()

    def failing_product(self: Cublas, c: Any, a: Any, b: Any) -> Callable[[], None]:
        run = product(self, c, a, b)

        def failing() -> None:
            if cupy.cuda.get_current_stream().is_capturing():
                calls[0] += 1
                if calls[0] == FAILING_PRODUCT:
                    provoked.append(FAILING_PRODUCT)
                    fault(cupy)
            run()

        return failing

    Cublas.product = failing_product  # type: ignore[method-assign]
    return provoked


def train(x: Any, y: np.ndarray) -> np.ndarray:
    """Train for 20 steps; return the parameters."""
    model = xpnet.mlp(x.shape[1], 16, 10, dtype="float64")
    result = xpnet.fit(model, x, y, epochs=2, batch_size=16, validation=0, capture=True)
    return to_numpy(result.model.theta)


def outcome(name: str) -> tuple[str, bool]:
    """Provoke a fault in this process; return a description and whether the outcome is right."""
    cupy = importlib.import_module("cupy")
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (160, 20)).astype(np.uint8), rng.integers(0, 10, 160)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = train(x, y)
    fault, ending = FAULTS[name]
    provoked = provoke(fault, cupy)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            theta = train(cupy.asarray(x), y)
        except Exception as error:
            right = type(error).__name__ == ending
            said = f"{type(error).__name__}: {str(error)[:200]}"
        else:
            difference = np.max(np.abs(theta - expected)) / np.max(np.abs(expected))
            told = [str(w.message)[:120] for w in caught if w.category is RuntimeWarning]
            right = bool(difference <= TOLERANCE) and ending in ("any", "warning")
            right = right and (bool(told) or ending == "any")
            said = f"{difference:.1e} from NumPy; {'; '.join(told) or 'no warning'}"
    if not provoked:
        right, said = False, f"the fault was not reached; {said}"
    if cupy.cuda.get_current_stream() != cupy.cuda.Stream.null:
        right, said = False, f"{said}; the current stream is still that of the capture"
    try:
        works = float(cupy.arange(5.0).sum()) == 10
    except Exception as error:
        works, said = False, f"{said}; then {type(error).__name__}: {str(error)[:100]}"
    return (said if works else f"{said}; the GPU does not work any more"), right and works


def check(name: str) -> bool:
    """Provoke a fault in a new process, print the outcome, and return whether it is right."""
    command = [sys.executable, __file__, "--provoke", name]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        print(f"{name}: WRONG: no end after {PATIENCE} s", flush=True)
        return False
    said = (done.stdout.strip() or done.stderr.strip() or "no output").splitlines()[-1]
    right = done.returncode == 0
    print(f"{name}: {'' if right else f'WRONG (exit code {done.returncode}): '}{said}", flush=True)
    return right


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", default=",".join(FAULTS), help="Faults to provoke. [all]")
    parser.add_argument("--provoke", choices=FAULTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    names = [arguments.provoke] if arguments.provoke else arguments.faults.split(",")
    for name in names:
        if name not in FAULTS:
            parser.error(f"unknown fault '{name}'; the faults are: {', '.join(FAULTS)}")
    try:
        device = select_device("cuda", strict=True)
    except DeviceError as error:
        parser.exit(2, f"gpu_midcapture.py: {error}\n")
    if arguments.provoke:
        said, right = outcome(arguments.provoke)
        print(said.replace("\n", " "))
        sys.exit(not right)
    print(device.why, flush=True)
    wrong = sum(not check(name) for name in names)
    print(f"{wrong} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
