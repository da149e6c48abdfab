"""Time a training step on one GPU: xpnet, PyTorch and JAX, in one run.

    python scripts/gpu_bench_peers.py [--cases small:128,small:1024,large:128,large:4096]
        [--peers xpnet,torch,jax] [--rounds 7] [--seconds 0.1] [--tf32] [--budget 120]
        [--json FILE] [--logs FOLDER] [--device cpu]

The networks are 784-128-10 (small) and 784-2500-2000-1500-1000-500-10 (large) on MNIST, with ReLU,
softmax with cross-entropy and Adam, in float32.  Each library has its own process, so that it loads
its own CUDA libraries.  All sides take turns, block by block in random order, and only one computes
at a time.  After a warm-up, a block is the number of steps that lasts `--seconds`.  Times are
microseconds per step: between two CUDA events (xpnet, PyTorch), or on the clock until
`block_until_ready` returns (JAX, which does not give access to its streams).  A step includes
everything: gathering a random batch, forward and backward pass, update, and the sum of the losses.

xpnet plain, fused, captured   the three paths of `xpnet.fit`, with its work per epoch
torch eager          a module and Adam(fused=True); the order of the samples is on the device
torch compile        module and loss through torch.compile, the same Adam
torch graph          16 eager steps in one CUDA graph, Adam(capturable=True)
torch compile+graph  16 compiled steps in one CUDA graph
jax jit, jax scan    one jitted step with donated state; 16 of them in a lax.scan

A library that is not installed, fails or takes too long is left out and named.  TF32 is off in all
libraries, or with `--tf32` on in all of them.  On a CPU only the script can be tried: without CUDA
graphs, and with times that mean little.

The exit code is 1 if xpnet failed or nothing was measured, 2 if there is no usable GPU.
"""

import argparse
import importlib
import json
import math
import os
import queue
import random
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np

import xpnet
from xpnet.data.sources import load
from xpnet.device.selection import select_device
from xpnet.errors import DeviceError
from xpnet.tools.bench import TOGETHER, in_groups, microseconds, table, whole_graphs
from xpnet.tools.machine_description import machine
from xpnet.tools.timing import step_by_step

NETWORKS = {"small": (784, 128, 10), "large": (784, 2500, 2000, 1500, 1000, 500, 10)}
SIDES = {
    "xpnet": ("xpnet captured", "xpnet fused", "xpnet plain"),
    "torch": ("torch eager", "torch compile", "torch graph", "torch compile+graph"),
    "jax": ("jax jit", "jax scan"),
}
LIBRARY_OF = {side: library for library, sides in SIDES.items() for side in sides}
RATE = 1e-4
ROUNDS_BEFORE_THE_BUDGET = 3  # blocks of each side that are measured even if the budget is spent
NO_TIME = "no time was left"

Steps = Callable[[int], int]
"""Do at least the given number of steps; return the number of steps done."""
Made = tuple[Steps, Callable[[], float | None]]
"""The steps of a side, and a function that returns its mean loss, if it has one."""


# In the process of a library


class Library(Protocol):
    """What the process of a library does.

    Attributes
    ----------
    about : str
        Versions and device.
    """

    about: str

    def make(self, side: str, widths: Sequence[int], batch_size: int) -> Made:
        """Return the steps of a side and its mean loss."""

    def block(self, steps: Steps, n: int) -> float:
        """Return microseconds per step."""

    def free(self) -> None:
        """Release what `make` allocated."""


def scaled() -> tuple[np.ndarray, np.ndarray]:
    """Return the training images as float32 array (n, 784), and their labels as int64 array."""
    samples = load("mnist")
    x = samples.x_train.reshape(len(samples.x_train), -1).astype(np.float32)
    return (x / 255 - 0.1307) / 0.3081, np.asarray(samples.y_train, np.int64)


def on_the_clock(steps: Steps, n: int) -> float:
    """Return microseconds per step, for steps that wait for their results."""
    start = time.perf_counter()
    done = steps(n)
    return (time.perf_counter() - start) / done * 1e6


class Torch:
    """PyTorch."""

    def __init__(self, device: str, tf32: bool) -> None:
        import torch

        if device == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("torch.cuda.is_available() is False")
        self.torch, self.device = torch, torch.device(device)
        torch.backends.cuda.matmul.allow_tf32 = tf32
        self.x, self.y = (torch.from_numpy(a).to(self.device) for a in scaled())
        self.about = f"torch {torch.__version__}, CUDA {torch.version.cuda}"

    def make(self, side: str, widths: Sequence[int], batch_size: int) -> Made:
        torch, nn = self.torch, self.torch.nn
        graphed = side.endswith("graph")
        if graphed and self.device.type != "cuda":
            raise RuntimeError("a CPU has no CUDA graphs")
        torch.manual_seed(0)
        layers: list[Any] = []
        for fan_in, fan_out in pairwise(widths):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        model = nn.Sequential(*layers[:-1]).to(self.device)
        optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True, capturable=graphed)
        x, y = self.x, self.y
        n = len(x) // batch_size * batch_size
        order = torch.randperm(len(x), device=self.device)[:n].view(-1, batch_size)
        total = torch.zeros((), device=self.device)

        def loss_of(inputs: Any, labels: Any) -> Any:
            return nn.functional.cross_entropy(model(inputs), labels)

        if "compile" in side:
            torch._dynamo.reset()
            loss_of = torch.compile(loss_of, dynamic=False)

        def update(rows: Any) -> None:
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(x.index_select(0, rows), y.index_select(0, rows))
            loss.backward()
            optimizer.step()
            total.add_(loss.detach())

        if graphed:
            return self._graphed(update, order, total)
        done = 0

        def steps(n: int) -> int:
            nonlocal done
            for _ in range(n):
                update(order[done % len(order)])
                done += 1
            return n

        return steps, lambda: float(total) / max(done, 1)

    def _graphed(self, update: Callable[[Any], None], order: Any, total: Any) -> Made:
        """Return steps that replay a CUDA graph, after a warm-up on a stream of its own."""
        torch = self.torch
        together = min(TOGETHER, len(order))
        window = order[:together].clone()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(4):
                update(window[0])
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for rows in window:
                update(rows)
        total.zero_()
        windows, done = len(order) // together, 0

        def steps(n: int) -> int:
            nonlocal done
            times = -(-n // together)
            for _ in range(times):
                first = done // together % windows * together
                window.copy_(order[first : first + together])
                graph.replay()
                done += together
            return times * together

        return steps, lambda: float(total) / max(done, 1)

    def block(self, steps: Steps, n: int) -> float:
        if self.device.type == "cpu":
            return on_the_clock(steps, n)
        cuda = self.torch.cuda
        cuda.synchronize()
        start, end = (cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        done = steps(n)
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) * 1e3 / done

    def free(self) -> None:
        if self.device.type == "cuda":
            self.torch.cuda.empty_cache()


class Jax:
    """JAX."""

    def __init__(self, device: str, tf32: bool) -> None:
        import jax

        jax.config.update("jax_default_matmul_precision", "tensorfloat32" if tf32 else "highest")
        backend = jax.default_backend()
        if device == "cuda" and backend != "gpu":
            raise RuntimeError(f"this JAX computes on the {backend}")
        self.jax = jax
        x, y = scaled()
        self.x, self.y = jax.device_put(x), jax.device_put(y.astype("int32"))
        self.about = f"jax {jax.__version__}"

    def make(self, side: str, widths: Sequence[int], batch_size: int) -> Made:
        jax, jnp, lax = self.jax, self.jax.numpy, self.jax.lax
        rng = np.random.default_rng(0)
        params = []
        for fan_in, fan_out in pairwise(widths):
            W = rng.uniform(-1, 1, (fan_in, fan_out)) * (6 / fan_in) ** 0.5
            params.append((jnp.asarray(W, "float32"), jnp.zeros(fan_out, "float32")))
        m, v = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))
        batches = len(self.x) // batch_size
        order = jnp.asarray(rng.permutation(len(self.x))[: batches * batch_size].astype("int32"))

        def loss_of(params: Any, inputs: Any, labels: Any) -> Any:
            h = inputs
            for i, (W, b) in enumerate(params):
                h = h @ W + b
                if i + 1 < len(params):
                    h = jnp.maximum(h, 0)
            log_p = jax.nn.log_softmax(h)
            return -jnp.mean(jnp.take_along_axis(log_p, labels[:, None], axis=1))

        def one(carry: Any, x: Any, y: Any, order: Any) -> Any:
            params, m, v, t, total = carry
            rows = lax.dynamic_slice(order, (t % batches * batch_size,), (batch_size,))
            loss, g = jax.value_and_grad(loss_of)(params, x[rows], y[rows])
            t = t + 1
            m = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, m, g)
            v = jax.tree.map(lambda a, b: 0.999 * a + 0.001 * b * b, v, g)
            s = jnp.sqrt(1 - 0.999 ** t.astype("float32")) / (1 - 0.9 ** t.astype("float32"))
            params = jax.tree.map(
                lambda p, a, b: p - RATE * s * a / (jnp.sqrt(b) + 1e-8), params, m, v
            )
            return params, m, v, t, total + loss

        def several(carry: Any, x: Any, y: Any, order: Any) -> Any:
            return lax.scan(lambda c, _: (one(c, x, y, order), None), carry, length=TOGETHER)[0]

        scan = side.endswith("scan")
        step = jax.jit(several if scan else one, donate_argnums=0)
        carry = params, m, v, jnp.int32(0), jnp.float32(0)
        together = TOGETHER if scan else 1

        def steps(n: int) -> int:
            nonlocal carry
            times = -(-n // together)
            for _ in range(times):
                carry = step(carry, self.x, self.y, order)
            jax.block_until_ready(carry)
            return times * together

        return steps, lambda: float(carry[4]) / max(int(carry[3]), 1)

    def block(self, steps: Steps, n: int) -> float:
        return on_the_clock(steps, n)

    def free(self) -> None:
        self.jax.clear_caches()


class Xpnet:
    """`xpnet.fit`, which runs in its own thread and continues block by block."""

    PATHS: Mapping[str, dict[str, bool]] = {
        "xpnet plain": {"fast": False},
        "xpnet fused": {"capture": False},
        "xpnet captured": {"capture": True},
    }

    def __init__(self, device: str, tf32: bool) -> None:
        self.device, self.running = select_device(device, strict=True), ExitStack()
        samples = load("mnist")
        self.x, self.y = self.device.put(samples.x_train), samples.y_train
        self.about = f"xpnet {xpnet.__version__}, {self.device.why}"
        if device == "cuda":
            self.about += f", CuPy {importlib.import_module('cupy').__version__}"

    def make(self, side: str, widths: Sequence[int], batch_size: int) -> Made:
        together, limit = whole_graphs(batch_size, len(self.x))
        model = xpnet.mlp(*widths, input_shape=(28, 28))
        path = self.PATHS[side]
        if self.device.kind == "cpu" and "capture" in path:
            path = {}

        def train(on_step: Callable[..., None]) -> None:
            xpnet.fit(
                model, self.x[:limit], self.y[:limit], epochs=10**9, batch_size=batch_size,
                validation=0, optimizer="adam", learning_rate=RATE, schedule="constant",
                on_step=on_step, **path,
            )  # fmt: skip

        steps = self.running.enter_context(step_by_step(train))
        return in_groups(steps, together, lambda: None), lambda: None

    def block(self, steps: Steps, n: int) -> float:
        if self.device.kind == "cpu":
            return on_the_clock(steps, n)
        cuda = importlib.import_module("cupy").cuda
        cuda.Device().synchronize()
        start, end = cuda.Event(), cuda.Event()
        start.record()
        done = steps(n)
        end.record()
        end.synchronize()
        return float(cuda.get_elapsed_time(start, end)) * 1e3 / done

    def free(self) -> None:
        self.running.close()


LIBRARIES: dict[str, Callable[[str, bool], Library]] = {
    "torch": Torch,
    "jax": Jax,
    "xpnet": Xpnet,
}


class Server:
    """The process of a library: it answers the questions of a `Peer`."""

    def __init__(self, name: str, device: str, tf32: bool) -> None:
        self.library = LIBRARIES[name](device, tf32)
        self.made: dict[str, tuple[Steps, Callable[[], float | None], int]] = {}

    def start(self) -> dict[str, Any]:
        return {"about": self.library.about}

    def make(
        self, side: str, widths: Sequence[int], batch_size: int, seconds: float
    ) -> dict[str, Any]:
        """Prepare a side, warm it up, and determine the number of steps of its blocks."""
        start = time.perf_counter()
        steps, loss = self.library.make(side, widths, batch_size)
        self.library.block(steps, 4 * TOGETHER)
        first = time.perf_counter() - start
        us = min(self.library.block(steps, 2 * TOGETHER) for _ in range(2))
        self.made[side] = steps, loss, max(2 * TOGETHER, int(seconds * 1e6 / us))
        return {"first": first}

    def block(self, side: str) -> dict[str, Any]:
        steps, _, n = self.made[side]
        return {"us": self.library.block(steps, n)}

    def loss(self, side: str) -> dict[str, Any]:
        return {"loss": self.made[side][1]()}

    def free(self) -> dict[str, Any]:
        self.made.clear()
        self.library.free()
        return {}


def serve(name: str, device: str, tf32: bool) -> None:
    """Answer the questions on standard input, a line of JSON each, until it ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the output of a library is not an answer
    server: Server | None = None
    for line in sys.stdin:
        question = json.loads(line)
        try:
            server = server or Server(name, device, tf32)
            answer = getattr(server, question.pop("do"))(**question)
        except Exception as error:
            traceback.print_exc()
            lines = str(error).strip().splitlines() or [""]
            answer = {"error": f"{type(error).__name__}: {lines[0][:120]}"}
        print(json.dumps(answer), file=answers, flush=True)


# In the main process


class Peer:
    """The other end of a library's process.

    Parameters
    ----------
    name : str
        One of `LIBRARIES`.
    arguments : argparse.Namespace
    """

    def __init__(self, name: str, arguments: argparse.Namespace) -> None:
        self.name = name
        command = [sys.executable, __file__, "--serve", name, "--device", arguments.device]
        command += ["--tf32"] * arguments.tf32
        root = str(Path(__file__).resolve().parent.parent)  # this xpnet, not an installed one
        env = os.environ | {
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUPY_TF32": str(int(arguments.tf32)),
            "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
        }
        env.pop("NVIDIA_TF32_OVERRIDE", None)
        if arguments.device == "cpu":
            env["JAX_PLATFORMS"] = "cpu"
        self.errors = (Path(arguments.logs) / f"peer-{name}.txt").open("w", encoding="utf-8")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
            env=env,
        )  # fmt: skip
        self.lines = queue.Queue[str]()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def ask(self, patience: float, /, **question: Any) -> dict[str, Any]:
        """Return the answer, or {"error": reason} if there is none within `patience` seconds."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            line = self.lines.get(timeout=max(patience, 1))
        except queue.Empty:
            self.process.kill()
            return {"error": f"no answer in {patience:.0f} s"}
        except OSError:
            line = ""
        if not line:
            self.process.kill()  # has no effect if it has ended
            return {"error": f"its process ended (exit code {self.process.wait()})"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.close()
            self.process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.errors.close()


class Comparison:
    """The measurements of all cases.

    Parameters
    ----------
    arguments : argparse.Namespace

    Attributes
    ----------
    results : dict
        Of each case, by side: microseconds per step of each block (`us`), seconds until the warm-up
        was done (`first_seconds`), and mean losses (`loss`).
    left_out : dict
        Reasons, by side and case.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments, self.begun = arguments, time.monotonic()
        self.deadline = self.begun + arguments.budget
        self.results: dict[str, dict[str, dict[str, Any]]] = {}
        self.left_out: dict[str, str] = {}
        self.peers: dict[str, Peer] = {}

    def run(self) -> None:
        """Measure all cases."""
        self.peers = {name: Peer(name, self.arguments) for name in self.arguments.peers}
        started = [*self.peers.values()]
        try:
            for name in self.arguments.peers:
                answer = self._ask(name, do="start")
                if "error" in answer:
                    self.left_out |= dict.fromkeys(SIDES[name], answer["error"])
                    del self.peers[name]
                else:
                    print(answer["about"], flush=True)
            for network, batch_size in self.arguments.cases:
                if time.monotonic() > self.deadline - 10:
                    self.left_out[f"{network} {batch_size}"] = NO_TIME
                    continue
                self._measure(network, batch_size)
                if self.arguments.json:  # after each case, because the next may be stopped
                    text = json.dumps(self.results, indent=1)
                    Path(self.arguments.json).write_text(text, encoding="utf-8")
        finally:
            for peer in started:
                peer.close()

    def _ask(self, name: str, **question: Any) -> dict[str, Any]:
        """Ask a library's process; wait 5 seconds more than the budget at most."""
        left = self.deadline + 5 - time.monotonic()
        return self.peers[name].ask(min(self.arguments.patience, left), **question)

    def _measure(self, network: str, batch_size: int) -> None:
        """Measure a case, block by block, and print the medians."""
        case = f"{network} {batch_size}"
        first = self._prepare(network, batch_size)
        times: dict[str, list[float]] = {side: [] for side in first}
        for done in range(self.arguments.rounds):
            if done >= ROUNDS_BEFORE_THE_BUDGET and time.monotonic() > self.deadline:
                break
            for side in random.sample([*times], len(times)):
                answer = self._ask(LIBRARY_OF[side], do="block", side=side)
                if "error" in answer:
                    self.left_out[f"{side} ({case})"] = answer["error"]
                    del times[side]
                else:
                    times[side].append(answer["us"])
        losses = {
            side: self._ask(LIBRARY_OF[side], do="loss", side=side).get("loss") for side in times
        }
        for name in self.peers:
            self._ask(name, do="free")
        self.results[case] = {"us": times, "first_seconds": first, "loss": losses}
        medians = ", ".join(f"{side} {microseconds(median(t))}" for side, t in times.items() if t)
        print(f"{case}: {medians} (at {time.monotonic() - self.begun:.0f} s)", flush=True)

    def _prepare(self, network: str, batch_size: int) -> dict[str, float]:
        """Prepare the sides of a case; return the seconds until each had done its warm-up."""
        first = {}
        for name in self.peers:
            for side in SIDES[name]:
                where = f"{side} ({network} {batch_size})"
                if time.monotonic() > self.deadline - 5:
                    self.left_out[where] = NO_TIME
                    continue
                answer = self._ask(
                    name, do="make", side=side, widths=NETWORKS[network], batch_size=batch_size,
                    seconds=self.arguments.seconds,
                )  # fmt: skip
                if "error" in answer:
                    self.left_out[where] = answer["error"]
                else:
                    first[side] = answer["first"]
        return first

    def table(self) -> str:
        """Return the table of medians and minima."""
        cases = [case for case, found in self.results.items() if found["us"]]
        rows = []
        for side in (side for name in self.arguments.peers for side in SIDES[name]):
            cells = [self.results[case]["us"].get(side) for case in cases]
            if any(cells):
                rows.append(
                    [side]
                    + [f"{microseconds(median(t))} ({microseconds(min(t))})" if t else ""
                       for t in cells]
                )  # fmt: skip
        return table(["", *cases], rows)

    @property
    def failed(self) -> bool:
        """Whether a side of xpnet failed, or nothing was measured."""
        ours = any(
            side.startswith("xpnet") and why != NO_TIME for side, why in self.left_out.items()
        )
        return ours or not any(found["us"] for found in self.results.values())


def cases(text: str) -> list[tuple[str, int]]:
    """Parse "small:128,large:4096"."""
    found = []
    for case in text.split(","):
        network, _, number = case.partition(":")
        if network not in NETWORKS or not number.isdecimal() or not 1 <= int(number) <= 60_000:
            raise argparse.ArgumentTypeError(
                f"case '{case}': expected small:N or large:N, with a batch size N of 1 to 60000"
            )
        found.append((network, int(number)))
    return found


def peers(text: str) -> Collection[str]:
    """Parse "xpnet,torch,jax"."""
    for name in text.split(","):
        if name not in SIDES:
            raise argparse.ArgumentTypeError(
                f"unknown library '{name}'; the libraries are: {', '.join(SIDES)}"
            )
    return text.split(",")


def arguments_of_the_command() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    default = "small:128,small:1024,large:128,large:4096"
    add("--cases", type=cases, default=default, help="Networks and batch sizes. [%(default)s]")
    add("--peers", type=peers, default=",".join(SIDES), help="Libraries. [%(default)s]")
    add("--rounds", type=int, default=7, help="Number of blocks of each side. [%(default)s]")
    add("--seconds", type=float, default=0.1, help="Duration of a block. [%(default)s]")
    add("--budget", type=float, default=math.inf, help="Time limit in seconds. [none]")
    add("--patience", type=float, default=60, help="Time limit for one answer. [%(default)s]")
    add("--tf32", action="store_true", help="Let products round factors to 10 bits, on all sides.")
    add("--device", default="cuda", choices=("cuda", "cpu"), help="Device. [%(default)s]")
    add("--json", help="File for all times.")
    add("--logs", help="Folder for the output of the libraries. [a new temporary folder]")
    add("--serve", choices=LIBRARIES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds {arguments.rounds}: expected a whole number, 1 or more")
    if arguments.serve:
        return arguments
    if arguments.json and not Path(arguments.json).absolute().parent.is_dir():
        parser.error(f"--json {arguments.json}: there is no such folder")
    if arguments.logs and not Path(arguments.logs).is_dir():
        parser.error(f"--logs {arguments.logs}: there is no such folder")
    try:
        select_device(arguments.device, strict=True)
    except DeviceError as error:
        parser.exit(2, f"gpu_bench_peers.py: {error}\n")
    if arguments.logs is None:
        arguments.logs = tempfile.mkdtemp(prefix="gpu-bench-peers-")
    return arguments


def main() -> None:
    arguments = arguments_of_the_command()
    if arguments.serve:
        serve(arguments.serve, arguments.device, arguments.tf32)
        return
    print(f"{machine()}; output of the libraries: {arguments.logs}", flush=True)
    comparison = Comparison(arguments)
    comparison.run()
    for side, why in comparison.left_out.items():
        print(f"without {side}: {why}")
    precision = "TF32" if arguments.tf32 else "float32"
    print(
        f"\nµs per step, median (minimum), {precision}, ReLU, Adam; {arguments.rounds} blocks\n\n"
        f"{comparison.table()}",
        flush=True,
    )
    sys.exit(comparison.failed)


if __name__ == "__main__":
    main()
