"""What a training step costs on a GPU: as written, fused and captured, beside other libraries.

    python scripts/benchmarks/bench_gpu.py [--batch-sizes 32,128,512,2048,8192] [--rounds 20]

Networks are 784-128-10 and 784-2500-2000-1500-1000-500-10, in float32 on MNIST, which lies on the
device as bytes (for PyTorch and JAX as floats scaled beforehand); softmax with cross-entropy, ReLU,
Adam.  All sides take turns, block by block in random order; a block is some 100 ms of steps between
two CUDA events, after a warm-up.  Rates are small and constant.  Times are per step, in
microseconds; an epoch of xpnet is 50,000 images and their order, then 10,000 to validate on.

xpnet plain        `xpnet.fit(..., fast=False)`: the core, as it is written
xpnet fused        `capture=False`: some ten launches a step
xpnet captured     `capture=True`: 16 steps in one CUDA graph
PyTorch            a module, and Adam with `fused=True`; TF32 is off, as in the others
PyTorch compile    the same with the module and its loss through `torch.compile`
PyTorch graph      all of a step in a `torch.cuda.CUDAGraph`
JAX jit, JAX scan  as in bench_peers.py, with products in full precision

Those that are not installed, or fail, are left out and named.  Under an emulator of CUDA times mean
nothing: what is printed there is what the device is asked for in an epoch, from the upload of its
order to its last step.
"""

import argparse
import importlib
import os
import random
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cache
from typing import Any

import bench_peers
import numpy as np
from benchmark import Steps, Times, machine, microseconds, numbers, step_by_step, table

import xpnet
from xpnet.data.sources import load
from xpnet.device.selection import select_device
from xpnet.tools.bench import in_groups, whole_graphs

NETWORKS = {"784-128-10": (128,), "784-2500-2000-1500-1000-500-10": (2500, 2000, 1500, 1000, 500)}
PATHS: dict[str, dict[str, Any]] = {
    "xpnet plain": {"fast": False},
    "xpnet fused": {"capture": False},
    "xpnet captured": {"capture": True},
}
RATE = 1e-5
COUNTED = {
    "kernels": ("kernel_launches",), "cuBLAS": ("cublas_calls",), "memsets": ("memsets",),
    "graphs": ("graph_launches",), "copies on the device": ("d2d_copies",),
    "to the device": ("h2d_copies",), "to the host": ("d2h_copies",),
    "waits": ("synchronisations", "pageable_waits"),
}  # fmt: skip
"""The columns of the table of counts, and the counts of the emulator that they add up."""


@cache
def images() -> tuple[Any, Any]:
    """The training images on the device, and their labels."""
    samples = load("mnist")
    return select_device("cuda", strict=True).put(samples.x_train), samples.y_train


def train(
    hidden: tuple[int, ...], path: str, limit: int | None = None, **options: Any
) -> xpnet.Result:
    """Train on the first `limit` images by one of the paths."""
    x, y = (a[:limit] for a in images())
    model = xpnet.mlp(784, *hidden, 10, input_shape=(28, 28))
    plain = {"optimizer": "adam", "learning_rate": RATE, "schedule": "constant"}
    return xpnet.fit(model, x, y, **plain, **PATHS[path], **options)


# Under the emulator


def counts(hidden: tuple[int, ...], path: str, batch_size: int, limit: int) -> Mapping[str, int]:
    """What is asked of the device in the third epoch, up to its last step."""
    emulator = importlib.import_module("cudaemu")
    seen: dict[str, int] = {}
    steps = -(-limit // batch_size)

    def on_epoch(*_: Any) -> None:
        emulator.reset()

    def on_step(step: int) -> None:
        if step == 3 * steps:
            seen.update(emulator.stats())

    train(
        hidden, path, epochs=3, batch_size=batch_size, limit=limit, validation=0, on_step=on_step,
        on_epoch=on_epoch,
    )  # fmt: skip
    return {name: sum(seen.get(key, 0) for key in keys) for name, keys in COUNTED.items()}


def print_counts(arguments: argparse.Namespace) -> None:
    for batch_size in arguments.batch_sizes:
        steps = -(-arguments.limit // batch_size)
        rows = []
        for path in PATHS:
            found = counts(NETWORKS["784-128-10"], path, batch_size, arguments.limit)
            *asked, waits = found.values()
            rows.append([path, *asked, waits, sum(asked), f"{sum(asked) / steps:.2f}"])
        print(f"\n784-128-10, ReLU, Adam, batches of {batch_size}: an epoch of {steps} steps\n")
        print(table(["", *COUNTED, "in all", "per step"], rows), flush=True)


# On a device


def ours(hidden: tuple[int, ...], batch_size: int, path: str, running: ExitStack) -> Steps:
    """The steps of xpnet."""
    together, limit = whole_graphs(batch_size, 60_000)

    def run(on_step: Callable[..., None]) -> None:
        train(
            hidden, path, epochs=10**9, batch_size=batch_size, validation=0, limit=limit,
            on_step=on_step,
        )  # fmt: skip

    steps = running.enter_context(step_by_step(run))
    return in_groups(steps, together, lambda: None)  # an event is waited for


def pytorch(hidden: tuple[int, ...], batch_size: int, how: str = "") -> Steps:
    """The steps of PyTorch: called, through its compiler, or in a graph."""
    import torch
    from torch import nn

    device = torch.device("cuda")
    x, y = (torch.from_numpy(a).to(device) for a in bench_peers.scaled())
    widths = 784, *hidden
    layers: list[nn.Module] = []
    for fan_in, fan_out in zip(widths, hidden, strict=False):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(widths[-1], 10)).to(device)
    graphed = how == "graph"
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True, capturable=graphed)
    total = torch.zeros((), device=device)
    taken = torch.zeros(batch_size, dtype=torch.int64, device=device)
    order, start = torch.randperm(len(x), device=device), 0

    def loss_of(inputs: Any, labels: Any) -> Any:
        return nn.functional.cross_entropy(model(inputs), labels)

    if how == "compile":
        torch._dynamo.reset()
        loss_of = torch.compile(loss_of, dynamic=False)

    def update() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(x.index_select(0, taken), y.index_select(0, taken))
        loss.backward()
        optimizer.step()
        total.add_(loss.detach())

    if graphed:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                update()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            update()
        update = graph.replay

    def steps(calls: int) -> None:
        nonlocal start
        for _ in range(calls):
            start = start + batch_size if start + 2 * batch_size <= len(x) else 0
            taken.copy_(order[start : start + batch_size])
            update()

    return steps


def jax(hidden: tuple[int, ...], batch_size: int, scan: int) -> Steps:
    """The steps of JAX, of the smaller network only."""
    if hidden != (128,):
        raise NotImplementedError("only 784-128-10")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # or it takes most memory
    library = importlib.import_module("jax")
    if library.default_backend() != "gpu":
        raise RuntimeError(f"this JAX computes on its {library.default_backend()}")
    library.config.update("jax_default_matmul_precision", "highest")
    case = {"batch_size": batch_size, "activation": "relu", "optimizer": "adam"}
    return bench_peers.jax_jit(case, scan)


def sides(hidden: tuple[int, ...], batch_size: int, running: ExitStack) -> dict[str, Steps]:
    """All that work."""
    every: dict[str, Callable[[], Steps]] = {
        path: lambda path=path: ours(hidden, batch_size, path, running) for path in PATHS
    }
    for name, how in (("PyTorch", ""), ("PyTorch compile", "compile"), ("PyTorch graph", "graph")):
        every[name] = lambda how=how: pytorch(hidden, batch_size, how)
    for name, scan in (("JAX jit", 1), ("JAX scan", 16)):
        every[name] = lambda scan=scan: jax(hidden, batch_size, scan)
    found = {}
    for name, make in every.items():
        try:
            found[name] = make()
            found[name](20)
        except Exception as error:
            if name in PATHS:
                raise
            found.pop(name, None)
            print(f"without {name}: {type(error).__name__}: {str(error).splitlines()[:1]}")
    return found


def block(steps: Steps, calls: int) -> float:
    """Microseconds per step, between two events."""
    cuda = importlib.import_module("cupy").cuda
    start, end = cuda.Event(), cuda.Event()
    start.record()
    done = steps(calls) or calls
    end.record()
    end.synchronize()
    return float(cuda.get_elapsed_time(start, end)) * 1e3 / done


def print_times(arguments: argparse.Namespace) -> None:
    for network, hidden in NETWORKS.items():
        for batch_size in arguments.batch_sizes:
            with ExitStack() as running:
                chosen = sides(hidden, batch_size, running)
                calls = {}
                for name, steps in chosen.items():
                    block(steps, 32)
                    calls[name] = max(16, int(arguments.seconds * 1e6 / block(steps, 32)))
                times = {name: Times() for name in chosen}
                for _ in range(arguments.rounds):
                    for name in random.sample([*chosen], len(chosen)):
                        times[name].add(block(chosen[name], calls[name]), 0.0)
            best = times["xpnet captured"]
            rows = []
            for name, t in times.items():
                epoch = ""
                if name in PATHS:
                    history = train(hidden, name, epochs=3, batch_size=batch_size).history
                    epoch = f"{min(e.seconds for e in history[1:]):.3f}"
                rows.append([
                    name, microseconds(t.min), microseconds(t.median), f"{t.min / best.min:.2f}",
                    f"{t.median / best.median:.2f}", f"{batch_size / t.median * 1e6:,.0f}", epoch,
                ])  # fmt: skip
            head = ["", "µs, min", "µs, median", "÷ captured, min", "÷ captured, median",
                    "samples/s, median", "epoch, s"]  # fmt: skip
            print(f"\n{network}, ReLU, Adam, batches of {batch_size}\n\n{table(head, rows)}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch-sizes", type=numbers, default=[32, 128, 512, 2048, 8192])
    parser.add_argument("--rounds", type=int, default=20, help="blocks of each; default 20")
    parser.add_argument("--seconds", type=float, default=0.1, help="of a block; default 0.1")
    parser.add_argument(
        "--limit", type=int, default=8192, help="images of an epoch that is counted; default 8192"
    )
    arguments = parser.parse_args()
    for value in (*arguments.batch_sizes, arguments.rounds, arguments.limit):
        if value < 1:
            parser.error(f"{value}: expected whole numbers, 1 or more")
    try:
        device = select_device("cuda", strict=True)
    except xpnet.DeviceError as error:
        parser.exit(2, f"bench_gpu.py: {error}\n")
    if "cudaemu" in sys.modules:
        print("an emulator, on which times mean nothing; what the device is asked for:")
        print_counts(arguments)
        return
    np.seterr(all="ignore")
    print(f"{device.why}; {machine('cupy-cuda12x', 'cupy-cuda13x', 'torch', 'jax')}")
    print_times(arguments)


if __name__ == "__main__":
    main()
