"""What a training step costs, beside its matrix products alone.

    python scripts/bench_step.py [--batch-sizes 32,128,512,1024] [--optimizer nesterov]

The network is 784-128-10 with ReLU in float32 on MNIST, on the CPU.  The step is what `fit` does
for each batch: gather it from uint8, `train_step`, add up the loss.  The products are the five
that no training can do without (two forward, two for the weights, one back through the second
layer), on arrays of the same sizes, into arrays made beforehand.  Both sides take turns, block by
block in random order; a block lasts about 20 ms.  Times are per step, in microseconds.
"""

import argparse
import os
import platform
import random
from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

import xpnet
from xpnet.data import Dataset
from xpnet.datasets import load
from xpnet.losses import SoftmaxCrossEntropy
from xpnet.optimizers import OPTIMIZERS
from xpnet.train import train_step

BLOCK_SECONDS = 0.02


def step_of(dataset: Dataset, optimizer_name: str, batch_size: int) -> Callable[[], None]:
    """One training step on the next batch of a fixed order."""
    model, loss = xpnet.mlp(784, 128, 10), SoftmaxCrossEntropy()
    optimizer = OPTIMIZERS[optimizer_name]
    order = np.random.default_rng(0).permutation(len(dataset.t)).astype(np.int32)
    scalars = np.asarray(optimizer.scalars(1e-3, 1), dtype=np.float32)
    theta, state, total, start = model.theta, optimizer.init(model.theta), 0.0, 0

    def step() -> None:
        nonlocal theta, state, total, start
        batch = dataset.gather(order[start : start + batch_size])
        start = (start + batch_size) % (len(order) - batch_size)
        theta, state, _, value = train_step(
            model.network, loss, optimizer, theta, state, model.buffers, batch, scalars
        )
        total = total + value * batch_size

    return step


def products_of(batch_size: int) -> Callable[[], None]:
    """The five products of a step."""
    rng = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return rng.normal(size=(rows, columns)).astype(np.float32)

    x, h, dz = matrix(batch_size, 784), matrix(batch_size, 128), matrix(batch_size, 10)
    W1, W2 = matrix(784, 128), matrix(128, 10)
    outs = [np.empty_like(a) for a in (h, dz, W2, h, W1)]

    def products() -> None:
        np.matmul(x, W1, out=outs[0])
        np.matmul(h, W2, out=outs[1])
        np.matmul(h.T, dz, out=outs[2])
        np.matmul(dz, W2.T, out=outs[3])
        np.matmul(x.T, h, out=outs[4])

    return products


def block(function: Callable[[], None], calls: int) -> float:
    """Microseconds per call."""
    start = perf_counter()
    for _ in range(calls):
        function()
    return (perf_counter() - start) / calls * 1e6


def measure(sides: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """The blocks of each side, taken in turns."""
    calls = {}
    for name, side in sides.items():
        block(side, 3)
        calls[name] = max(1, round(BLOCK_SECONDS / (block(side, 3) / 1e6)))
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name in random.sample(list(sides), len(sides)):
            times[name].append(block(sides[name], calls[name]))
    return times


def machine() -> str:
    """What the numbers were measured on, and how busy it was."""
    load_now = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    blas = ", ".join(f"{pool['internal_api']} {pool['version']}" for pool in threadpool_info())
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, load {load_now}; Python "
        f"{platform.python_version()}, NumPy {np.__version__}, {blas}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--batch-sizes", default="32,128,512,1024")
    parser.add_argument("--optimizer", default="nesterov", choices=list(OPTIMIZERS))
    parser.add_argument("--rounds", type=int, default=40, help="blocks of each side")
    parser.add_argument("--threads", type=int, default=1, help="threads of the BLAS")
    arguments = parser.parse_args()
    samples = load("mnist")
    dataset = Dataset(samples.x_train.reshape(-1, 784), samples.y_train.astype(np.int32))
    with threadpool_limits(arguments.threads):
        print(f"{machine()}; {arguments.threads} BLAS threads; {arguments.optimizer}\n")
        print(
            "| batch | step, min | step, median | products, min | products, median "
            "| ratio, min | ratio, median | images/s, median |"
        )
        print("|--:|--:|--:|--:|--:|--:|--:|--:|")
        for batch_size in map(int, arguments.batch_sizes.split(",")):
            sides = {
                "step": step_of(dataset, arguments.optimizer, batch_size),
                "products": products_of(batch_size),
            }
            times = measure(sides, arguments.rounds)
            step, products = times["step"], times["products"]
            print(
                f"| {batch_size} | {min(step):.0f} | {median(step):.0f} | {min(products):.0f} "
                f"| {median(products):.0f} | {min(step) / min(products):.2f} "
                f"| {median(step) / median(products):.2f} "
                f"| {batch_size / median(step) * 1e6:,.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
