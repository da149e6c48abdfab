"""What the benchmarks share; no script of its own.

`measure`, `machine` and `table` are those of `xpnet.bench`.  `CarefulStep` is the yardstick: a
training step as fast as plain NumPy could be made by hand.  `Peer` is a program that is measured in
a process of its own, and `serve` its other end.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.bench import (  # noqa: F401 (for the scripts)
    BLOCK_SECONDS,
    Steps,
    Times,
    block,
    calls_for,
    machine,
    measure,
    microseconds,
    products,
    repeat,
    step_by_step,
    table,
    version,
)

MEAN, DEVIATION = 33.318421, 78.567490  # of all pixels of MNIST's training images
MU, BETA1, BETA2 = 0.9, 0.9, 0.999

OPENMP = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
OTHERS_SPIN = 0.15  # seconds; OpenBLAS's threads were seen to spin for 0.1 after their work


class CarefulStep:
    """A training step of a multilayer perceptron, in NumPy, as fast as it could be made by hand.

    All trainable numbers are in one vector, weights first, and so is their gradient, into which the
    products write.  Every array is made beforehand and every call writes into one (`out=`).  Bytes
    are gathered by `np.take(mode="clip")`, which needs no buffer, then converted, scaled and
    shifted: faster, here, than to gather four times as many bytes that were scaled beforehand.
    Logits lie transposed, a row per class, so that maximum and sum over the classes are sums of
    long rows.  Labels are whole numbers: the gradient of the logits is softmax less 1 at one place.
    Sums over the batch are products with ones.  A part of the loss that is not asked for is not
    computed.

    What is left is bound by memory, so the optimizers take as few passes over the vector as there
    are (each 6 to 10 µs for 101,770 numbers).  Any factor of the gradient costs nothing: the
    gradient of the logits is divided by a number anyway.  Let g be the gradient times the learning
    rate η, then plain descent is one pass, θ ← θ - g; L2 decay λ one more over the weights, before,
    θ ← (1 - η λ) θ.  Nesterov's P = η μ M is four passes, where η stays as it is (else P is
    multiplied first); with decay six, where P takes up what the others do to θ:

        P ← μ (P + g)        θ ← θ - g - P
        P ← P + θ        θ ← (1 - η λ) θ - g        P ← μ (P - θ)        θ ← θ - P

    Adam's moments are kept scaled (see `xpnet.optimizers.Adam`), and g is the gradient times
    c = β2^(-t/2), so that c² V needs no decay: nine passes and not ten.  Every thousand steps it
    starts again at c = 1.

        M ← β1 β2^(-1/2) M + g        V ← V + g²        θ ← θ - a M / (√V + c e)

    ReLU is a product with its mask, which the way back needs too: `np.maximum` is slower.

    Tried, and slower or no faster: parts of the vector one after another that fit a cache,
    `np.where`, the sign in the place of a mask, a bias as one more column, other layouts.

    Parameters
    ----------
    x : uint8 array (n, width)
    y : integer array (n,)
    hidden : sequence of int
    batch_size : int
    optimizer : {"sgd", "nesterov", "adam"}
    learning_rate : float
    weight_decay : float
        L2, on the weights alone.
    activation : {"relu", "sigmoid"}
    loss : bool
        Whether to add up the loss, in `total`.
    seed : int
        Of the initial weights (He; Glorot for the sigmoid) and the order of the samples.
    mean, deviation : float
        Of the pixels.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        hidden: Sequence[int] = (128,),
        batch_size: int = 128,
        optimizer: str = "nesterov",
        learning_rate: float = 0.1,
        weight_decay: float = 0.0,
        activation: str = "relu",
        loss: bool = True,
        seed: int = 0,
        mean: float = MEAN,
        deviation: float = DEVIATION,
        classes: int = 10,
    ) -> None:
        f = np.float32
        self.x, self.y, self.batch_size, self.loss = x, np.asarray(y, np.intp), batch_size, loss
        self.rng = np.random.default_rng(seed)
        self.order, self.start = self.rng.permutation(len(x)), 0
        self.widths = (x.shape[1], *hidden, classes)
        self.learning_rate, self.relu, self.steps = learning_rate, activation == "relu", 0
        self.total = 0.0
        shapes = list(zip(self.widths, self.widths[1:], strict=False))
        self.weights = sum(rows * columns for rows, columns in shapes)
        size = self.weights + sum(self.widths[1:])
        self.theta, self.g = np.zeros(size, f), np.zeros(size, f)
        self.scratch, self.M, self.V = (np.zeros(size, f) for _ in range(3))
        self.Ws, self.bs = self.views(self.theta)
        self.dWs, self.dbs = self.views(self.g)
        for W in self.Ws:
            spread = 2 / W.shape[0] if self.relu else 2 / sum(W.shape)
            W[...] = self.rng.standard_normal(W.shape, dtype=f) * f(spread**0.5)
        self.scale, self.shift = f(1 / deviation), f(-mean / deviation)
        self.decay, self.optimizer = weight_decay, optimizer
        self.update = {"sgd": self.descend, "nesterov": self.nesterov, "adam": self.adam}[optimizer]
        self.before, self.grown = learning_rate, 1.0
        self.sizes: dict[int, tuple[Any, ...]] = {}

    def views(self, vector: Any) -> tuple[list[Any], list[Any]]:
        """The matrices and the biases in a vector."""
        matrices, biases, start = [], [], 0
        for rows, columns in zip(self.widths, self.widths[1:], strict=False):
            matrices.append(vector[start : start + rows * columns].reshape(rows, columns))
            start += rows * columns
        for width in self.widths[1:]:
            biases.append(vector[start : start + width])
            start += width
        return matrices, biases

    def arrays(self, n: int) -> tuple[Any, ...]:
        """What a batch of n needs, made once for each n."""
        if n not in self.sizes:
            f, classes = np.float32, self.widths[-1]
            hidden = [np.empty((n, width), f) for width in self.widths[1:-1]]
            self.sizes[n] = (
                np.empty((n, self.widths[0]), np.uint8), np.empty((n, self.widths[0]), f),
                hidden, [np.empty_like(h) for h in hidden],
                [np.empty(h.shape, bool if self.relu else f) for h in hidden],
                np.empty((classes, n), f), np.empty(n, f), np.empty(n, f),
                np.ones(n, f), np.arange(n), np.empty(n, np.intp), self.y * n,
            )  # fmt: skip
        return self.sizes[n]

    def next_rows(self) -> Any:
        """The next batch of a random order; a new order once too few are left."""
        if self.start + self.batch_size > len(self.order):
            self.rng.shuffle(self.order)
            self.start = 0
        self.start += self.batch_size
        return self.order[self.start - self.batch_size : self.start]

    def __call__(self, rows: Any = None) -> None:
        """One step, on these rows or the next ones."""
        rows = self.next_rows() if rows is None else rows
        n = len(rows)
        raw, x, hs, dhs, masks, z, top, part, ones, columns, place, y = self.arrays(n)
        dot, multiply, add, relu = np.dot, np.multiply, np.add, self.relu
        Ws, bs, dWs, dbs = self.Ws, self.bs, self.dWs, self.dbs
        np.take(self.x, rows, axis=0, out=raw, mode="clip")
        x[...] = raw
        multiply(x, self.scale, out=x)
        add(x, self.shift, out=x)
        h = x
        for W, b, out, mask in zip(Ws, bs, hs, masks, strict=False):
            dot(h, W, out=out)
            add(out, b, out=out)
            if relu:
                np.greater(out, 0, out=mask)
                multiply(out, mask, out=out)
            else:
                np.negative(out, out=out)
                np.exp(out, out=out)
                add(out, 1, out=out)
                np.reciprocal(out, out=out)
            h = out
        dot(Ws[-1].T, h.T, out=z)
        add(z, bs[-1][:, None], out=z)
        # Softmax, cross-entropy, and its gradient, in place.
        np.take(y, rows, out=place, mode="clip")
        add(place, columns, out=place)
        flat = z.reshape(-1)
        np.maximum.reduce(z, axis=0, out=top)
        np.subtract(z, top, out=z)
        if self.loss:
            np.take(flat, place, out=part, mode="clip")
        np.exp(z, out=z)
        np.add.reduce(z, axis=0, out=top)
        if self.loss:
            self.total -= float(part.sum())
            np.log(top, out=part)
            self.total += float(part.sum())
        factor = self.factor() / n
        multiply(top, 1 / factor, out=top)
        np.divide(z, top, out=z)
        flat[place] -= np.float32(factor)
        dot(z, ones, out=dbs[-1])
        dot(h.T, z.T, out=dWs[-1])
        dz, W = z.T, Ws[-1]
        for i in reversed(range(len(hs))):
            h, dh, mask = hs[i], dhs[i], masks[i]
            dot(dz, W.T, out=dh)
            if not relu:
                np.subtract(1, h, out=mask)
                multiply(mask, h, out=mask)
            multiply(dh, mask, out=dh)
            dot(ones, dh, out=dbs[i])
            dot((hs[i - 1] if i else x).T, dh, out=dWs[i])
            dz, W = dh, Ws[i]
        self.update()

    def factor(self) -> float:
        """What the gradient is multiplied by."""
        self.steps += 1
        if self.optimizer != "adam":
            return self.learning_rate
        if self.steps % 1000 == 0:
            np.multiply(self.M, np.float32(1 / self.grown), out=self.M)
            np.multiply(self.V, np.float32(1 / self.grown**2), out=self.V)
            self.grown = 1.0
        self.grown *= BETA2**-0.5
        return self.grown

    def descend(self) -> None:
        """θ ← (1 - η λ) θ - g."""
        theta, weights = self.theta, self.weights
        if self.decay:
            kept = np.float32(1 - self.learning_rate * self.decay)
            np.multiply(theta[:weights], kept, out=theta[:weights])
        np.subtract(theta, self.g, out=theta)

    def nesterov(self) -> None:
        """Nesterov's θ after the step."""
        theta, P = self.theta, self.M
        if self.learning_rate != self.before:
            np.multiply(P, np.float32(self.learning_rate / self.before), out=P)
            self.before = self.learning_rate
        np.add(P, theta if self.decay else self.g, out=P)
        self.descend()
        if self.decay:
            np.subtract(P, theta, out=P)
        np.multiply(P, np.float32(MU), out=P)
        np.subtract(theta, P, out=theta)

    def adam(self) -> None:
        """Adam's θ after the step."""
        theta, g, M, V, scratch = self.theta, self.g, self.M, self.V, self.scratch
        s = ((1 - BETA2) / (1 - BETA2**self.steps)) ** 0.5
        a = self.learning_rate * (1 - BETA1) / ((1 - BETA1**self.steps) * s)
        if self.decay:
            n = self.weights
            np.multiply(theta[:n], np.float32(self.decay * self.grown), out=scratch[:n])
            np.add(g[:n], scratch[:n], out=g[:n])
        np.multiply(M, np.float32(BETA1 * BETA2**-0.5), out=M)
        np.add(M, g, out=M)
        np.multiply(g, g, out=g)
        np.add(V, g, out=V)
        np.sqrt(V, out=scratch)
        np.add(scratch, np.float32(1e-8 * self.grown / s), out=scratch)
        np.divide(M, scratch, out=scratch)
        np.multiply(scratch, np.float32(a), out=scratch)
        np.subtract(theta, scratch, out=theta)

    def predict(self, x: Any, chunk: int = 1000) -> Any:
        """The class of each image (n, width), a chunk at a time."""
        found = []
        for start in range(0, len(x), chunk):
            h = x[start : start + chunk].astype(np.float32)
            h *= self.scale
            h += self.shift
            for i, (W, b) in enumerate(zip(self.Ws, self.bs, strict=True)):
                h = h @ W
                h += b
                if i < len(self.Ws) - 1:
                    h = np.maximum(h, 0, out=h) if self.relu else 1 / (1 + np.exp(-h))
            found.append(h.argmax(axis=1))
        return np.concatenate(found)


def cores(threads: int) -> list[int]:
    """The first so many cores that this process may use; none where the system cannot say."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    return sorted(os.sched_getaffinity(0))[:threads]


@contextmanager
def pinned(threads: int) -> Iterator[None]:
    """Keeps to so many cores, with all processes that are started meanwhile."""
    chosen = cores(threads)
    if not chosen:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def environment(threads: int, **more: str) -> dict[str, str]:
    """The variables of a process that computes with so many threads."""
    here = str(Path(__file__).parent.parent)  # this xpnet, not another that is installed
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    counts = dict.fromkeys(OPENMP, str(threads))
    flags = f"--xla_cpu_multi_thread_eigen={str(threads > 1).lower()}"
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    return {**os.environ, **counts, "XLA_FLAGS": flags, **quiet, "PYTHONPATH": path, **more}


def limit_keras(threads: int) -> None:
    """So many threads for the backend of Keras, where it has a say of its own in it."""
    backend = os.environ["KERAS_BACKEND"]
    if backend == "torch":
        import torch

        torch.set_num_threads(threads)
    elif backend == "tensorflow":
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(threads)


class LeftOutError(Exception):
    """A peer that cannot be measured, and why."""


class Peer:
    """A program that is measured in a process of its own, pinned to so many cores.

    Its other end is `serve`, in the script that is given, with the option `--peer NAME`.
    """

    def __init__(self, script: str, name: str, threads: int, **variables: str) -> None:
        self.name, self.calls, self.seconds, self.fastest = name, 0, 0.0, float("inf")
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (as long as the process)
        command = [sys.executable, script, "--peer", name, "--threads", str(threads)]
        with pinned(threads):
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                text=True, env=environment(threads, **variables),
            )  # fmt: skip

    def ask(self, **question: Any) -> Any:
        """The answer.

        Raises
        ------
        LeftOutError
            There is none.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(json.dumps(question), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.errors.seek(0)
            told = self.errors.read().strip().splitlines()
            raise LeftOutError(told[-1] if told else "it ended")
        answer = json.loads(line)
        if "error" in answer:
            raise LeftOutError(answer["error"])
        return answer["answer"]

    def prepare(self, case: Mapping[str, Any], seconds: float) -> None:
        """Get ready for a case, with blocks of so many seconds."""
        self.calls = self.ask(case=case, seconds=seconds)
        self.seconds, self.fastest = seconds, float("inf")

    def block(self) -> tuple[float, float]:
        """Microseconds per call, and those of the CPU; the next block's length follows."""
        wall, cpu = self.ask(calls=self.calls)
        self.fastest = min(self.fastest, wall)
        self.calls = max(1, round(self.seconds * 1e6 / self.fastest))
        return wall, cpu

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()
        self.errors.close()


def serve(make: Callable[[Mapping[str, Any]], Steps]) -> None:
    """Answer a `Peer` at the other end of standard input and output, until it has left.

    Parameters
    ----------
    make : callable
        Gives the steps of a case.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    steps: Steps | None = None
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if "case" in question:
                steps = None
                steps = make(question["case"])
                answer: Any = calls_for(steps, question["seconds"])
            else:
                assert steps is not None
                answer = block(steps, question["calls"])
            print(json.dumps({"answer": answer}), file=answers, flush=True)
        except ModuleNotFoundError as error:
            print(json.dumps({"error": f"no {error.name}"}), file=answers, flush=True)
        except Exception as error:
            traceback.print_exc()
            told = f"{type(error).__name__}: {error}".splitlines()[0]
            print(json.dumps({"error": told}), file=answers, flush=True)


def take_turns(
    peers: Sequence[Peer],
    case: Mapping[str, Any],
    rounds: int,
    seconds: float = BLOCK_SECONDS,
) -> tuple[dict[str, Times], dict[str, str]]:
    """The blocks of every peer in turn, in random order; and who was left out, and why.

    Where there are several threads, there is a pause between two blocks, so that those that wait
    for more work by turning round and round have given up before another peer is measured.
    """
    times, left_out = {}, {}
    pause = OTHERS_SPIN if case.get("threads", 1) > 1 else 0.0
    for peer in peers:
        try:
            peer.prepare(case, seconds)
            times[peer.name] = Times()
        except LeftOutError as error:
            left_out[peer.name] = str(error)
    ready = [peer for peer in peers if peer.name in times]
    for _ in range(rounds):
        for peer in random.sample(ready, len(ready)):
            time.sleep(pause)
            try:
                times[peer.name].add(*peer.block())
            except LeftOutError as error:
                ready.remove(peer)
                times.pop(peer.name)
                left_out[peer.name] = str(error)
    return times, left_out


def ratio_table(times: Mapping[str, Times], *floors: str, samples: int = 0) -> str:
    """Least and median microseconds of each, and both in parts of each floor's; best first."""
    floors = tuple(floor for floor in floors if floor in times)
    head = ["", "µs, min", "µs, median"]
    head += [f"÷ {floor}, {what}" for floor in floors for what in ("min", "median")]
    head += ["samples/s, median"] * bool(samples) + ["cores at work"]
    rows = []
    for name, t in sorted(times.items(), key=lambda item: item[1].median):
        row = [name, microseconds(t.min), microseconds(t.median)]
        for floor in floors:
            row += [f"{t.min / times[floor].min:.2f}", f"{t.median / times[floor].median:.2f}"]
        row += [f"{samples / t.median * 1e6:,.0f}"] * bool(samples) + [f"{t.cores:.2f}"]
        rows.append(row)
    return table(head, rows)


def compare(
    script: str,
    arguments: argparse.Namespace,
    threads: int,
    cases: Iterable[tuple[str, int, dict[str, Any]]],
    *floors: str,
) -> None:
    """The table of each case, with so many threads: its title, samples per call, and the case."""
    peers = [
        Peer(script, name, threads, KERAS_BACKEND=name.partition(" ")[2])
        for name in arguments.peers
    ]
    try:
        for title, samples, case in cases:
            case = {**case, "threads": threads}
            times, left_out = take_turns(peers, case, arguments.rounds, arguments.seconds)
            print(f"\n{heading(title, threads)}\n\n{ratio_table(times, *floors, samples=samples)}")
            if left_out:
                print(f"\n{one_line(left_out)}", flush=True)
    finally:
        for peer in peers:
            peer.close()


def heading(title: str, threads: int) -> str:
    """Of a table: what it is about, the threads, and how busy the machine is."""
    many = f"{threads} thread{'s' if threads > 1 else ''}"
    return f"**{title}, {many}** (load {os.getloadavg()[0]:.1f})"


def parser_of(description: str | None, sides: Iterable[str]) -> argparse.ArgumentParser:
    """A parser of what the comparisons beside other libraries are asked."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sides = list(sides)
    parser.add_argument("--threads", type=numbers, default=[1], help="1,2 for both; by default 1")
    parser.add_argument("--peers", type=names, default=sides, help=",".join(sides))
    parser.add_argument("--quick", action="store_true", help="to see that all works: no numbers")
    return parser


def add_blocks(parser: argparse.ArgumentParser) -> None:
    """What is asked of blocks that take turns; and `--peer`, by which a process is a peer."""
    parser.add_argument("--rounds", type=int, default=20, help="blocks of each")
    parser.add_argument("--seconds", type=float, default=BLOCK_SECONDS, help="of a block")
    parser.add_argument("--peer", help=argparse.SUPPRESS)


def refuse_unknown(
    parser: argparse.ArgumentParser, given: Iterable[str], known: Iterable[str]
) -> None:
    """End with an error if a name is none of those that are known."""
    if unknown := [name for name in given if name not in known]:
        parser.error(f"unknown: {', '.join(unknown)}")


def names(text: str) -> list[str]:
    """Those between the commas."""
    return text.split(",")


def numbers(text: str) -> list[int]:
    """Those between the commas."""
    return [int(number) for number in text.split(",")]


def one_line(left_out: Mapping[str, str]) -> str:
    """Who was left out, and why."""
    return "left out: " + "; ".join(f"{name} ({why})" for name, why in left_out.items())
