"""What the benchmarks share; no script of its own.

`measure`, `machine` and `table` are those of `xpnet.tools` (`timing`, `machine_description`,
`bench`).  `Peer` is a program that is measured in a process of its own, and `serve` its other end.
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

from xpnet.tools.bench import microseconds, products, table  # noqa: F401 (for the scripts)
from xpnet.tools.machine_description import machine, version  # noqa: F401 (for the scripts)
from xpnet.tools.timing import (  # noqa: F401 (for the scripts)
    BLOCK_SECONDS,
    Steps,
    Times,
    block,
    calls_for,
    measure,
    repeat,
    step_by_step,
)

OPENMP = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
OTHERS_SPIN = 0.15  # seconds; OpenBLAS's threads were seen to spin for 0.1 after their work


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
    here = str(Path(__file__).parents[2])  # this xpnet, not another that is installed
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    counts = dict.fromkeys(OPENMP, str(threads))
    flags = f"--xla_cpu_multi_thread_eigen={str(threads > 1).lower()}"
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    found = {**os.environ, **counts, "XLA_FLAGS": flags, **quiet, "PYTHONPATH": path, **more}
    found.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed is compiled once
    return found


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


def at_once() -> dict[str, int]:
    """What `compile` of Keras is told, so that 16 steps are one program; torch refuses it."""
    return {} if os.environ["KERAS_BACKEND"] == "torch" else {"steps_per_execution": 16}


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
