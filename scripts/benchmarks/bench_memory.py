"""How much memory training takes, beside what it has to remember.

    python scripts/benchmarks/bench_memory.py [--hidden 2500,2000,1500,1000,500] [--batch-size 128]

`fit` trains 784-...-10 in float32 on 1,280 random images for two epochs, with a sixth of them for
validation: each optimizer in a process of its own.  Measured is by how much the most memory that
the process ever had (its resident set) is above that before `fit`.  Beside it stands what cannot be
done without, P being the number of weights and biases, in four bytes each:

    P (2 + k)        the weights, their gradient, and the k numbers of each that the optimizer
                     remembers (1 of Nesterov, 2 of Adam)
    P max(1, k)      the best weights so far; in the first epoch, the k numbers as they began
    B (784 + 2 U)    a batch of B samples, scaled; each of its U units, and what its way back needs

The rest are blocks of the optimizer and of the validation, buffers of the BLAS, and the samples.
"""

import argparse
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

PROCESS = Path("/proc/self")
STATES = {"sgd": 0, "nesterov": 1, "adam": 2}


def resident(name: str) -> int:
    """VmRSS, now, or VmHWM, the most so far, of this process in bytes."""
    lines = (PROCESS / "status").read_text(encoding="ascii").splitlines()
    return int(dict(line.split(":", 1) for line in lines)[name].split()[0]) * 2**10


def measure(optimizer: str, widths: list[int], batch_size: int) -> int:
    """Bytes that `fit` takes at most."""
    import numpy as np

    import xpnet

    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (1280, widths[0]), dtype=np.uint8), rng.integers(0, 10, 1280)
    model = xpnet.mlp(*widths)
    (PROCESS / "clear_refs").write_text("5", encoding="ascii")  # forget the most so far
    before = resident("VmRSS")
    xpnet.fit(model, x, y, epochs=2, batch_size=batch_size, optimizer=optimizer, learning_rate=1e-4)
    return resident("VmHWM") - before


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hidden", default="2500,2000,1500,1000,500", help="widths")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--optimizers", default=",".join(STATES))
    parser.add_argument("--run", choices=STATES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not PROCESS.exists():
        parser.error("this needs /proc, which Linux has")
    n, widths = arguments.batch_size, [784, *map(int, arguments.hidden.split(",")), 10]
    if arguments.run:
        print(json.dumps(measure(arguments.run, widths, n)))
        return
    from benchmark import environment, machine, table

    P = sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(widths))
    rows = []
    for optimizer in arguments.optimizers.split(","):
        command = [sys.executable, __file__, *sys.argv[1:], "--run", optimizer]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, check=True, text=True, env=environment(1)
        )
        k = STATES[optimizer]
        needed = 4 * (P * (2 + k + max(1, k)) + n * (784 + 2 * sum(widths[1:])))
        measured = json.loads(done.stdout)
        sizes = [f"{size / 2**20:,.0f}" for size in (4 * P, needed, measured)]
        rows.append([optimizer, *sizes, f"{measured / needed:.2f}"])
    print(f"{machine()}\n{'-'.join(map(str, widths))}, batch {n}; MiB\n")
    print(table(["optimizer", "weights alone", "needed", "measured", "÷ needed"], rows))


if __name__ == "__main__":
    main()
