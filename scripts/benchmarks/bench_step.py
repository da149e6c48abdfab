"""What a training step costs, beside the best step by hand and its matrix products alone.

    python scripts/benchmarks/bench_step.py [--batch-sizes 32,128] [--optimizers nesterov,adam]

The network is 784-128-10 with ReLU in float32 on MNIST (`--hidden`, `--activation`, `--dropout`
change it), on the CPU.  Three sides take turns, block by block in random order:

xpnet       what `fit` does for each batch: gather it from bytes, scale it, forward,
            loss, backward, update, add up the loss; with the rate changing from step to step
by hand     `CarefulStep` in by_hand.py, which does the same, without dropout
products    those that no training can do without, on arrays of the same sizes that are there before

What is done once an epoch (the order of the samples, a look at the loss) falls into one block of
several.  Times are per step, in microseconds.  Read the ratios, and the minimum as what is possible
when nothing disturbs.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmark import (
    Steps,
    Times,
    machine,
    measure,
    microseconds,
    pinned,
    products,
    repeat,
    step_by_step,
    table,
)
from by_hand import CarefulStep
from threadpoolctl import threadpool_limits

import xpnet
from xpnet.data.sources import load
from xpnet.registry import OPTIMIZERS

SIDES = ("xpnet", "by hand", "products")


@contextmanager
def sides_of(samples: Any, case: argparse.Namespace, optimizer: str, n: int) -> Iterator[Any]:
    """The steps of each side."""
    widths = 784, *case.hidden, 10
    model = xpnet.mlp(
        *widths, input_shape=(28, 28), activation=case.activation, dropout=case.dropout
    )
    rule = OPTIMIZERS[optimizer]()
    # So slow that the loss stays far from 0 however long this takes.
    rate = 1e-5

    def train(on_step: Callable[..., None]) -> None:
        xpnet.fit(
            model, samples.x_train, samples.y_train, epochs=10**6, batch_size=n,
            optimizer=optimizer, learning_rate=rate, validation=0, on_step=on_step,
        )  # fmt: skip

    by_hand = CarefulStep(
        samples.x_train.reshape(-1, 784), samples.y_train, case.hidden, n, optimizer, rate,
        rule.weight_decay, case.activation,
    )  # fmt: skip
    with step_by_step(train) as ours:
        found: dict[str, Steps] = {
            "xpnet": ours,
            "by hand": repeat(by_hand),
            "products": repeat(products(*widths, batch_size=n)),
        }
        yield found


def row(optimizer: str, n: int, times: dict[str, Times]) -> list[str]:
    """A line of the table."""
    ours, by_hand, alone = (times[name] for name in SIDES)
    return [
        optimizer, str(n),
        *(f"{microseconds(t.min)} / {microseconds(t.median)}" for t in (ours, by_hand, alone)),
        *(f"{ours.min / t.min:.2f} / {ours.median / t.median:.2f}" for t in (alone, by_hand)),
        f"{n / ours.median * 1e6:,.0f}",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--batch-sizes", default="32,128,512,1024")
    parser.add_argument("--optimizers", default="nesterov,adam,sgd")
    parser.add_argument("--hidden", default="128", help="widths, as in 2500,2000,1500,1000,500")
    parser.add_argument("--activation", default="relu", choices=["relu", "sigmoid"])
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--rounds", type=int, default=40, help="blocks of each side")
    parser.add_argument("--threads", type=int, default=1, help="of the BLAS, and cores")
    case = parser.parse_args()
    case.hidden = [int(width) for width in case.hidden.split(",")]
    samples = load("mnist")
    rows = []
    with pinned(case.threads), threadpool_limits(case.threads):
        for optimizer in case.optimizers.split(","):
            for n in map(int, case.batch_sizes.split(",")):
                with sides_of(samples, case, optimizer, n) as sides:
                    rows.append(row(optimizer, n, measure(sides, case.rounds)))
        dropout = f", dropout {case.dropout}" if case.dropout else ""
        print(f"{machine()}; {case.threads} BLAS threads")
        print(
            f"784-{'-'.join(map(str, case.hidden))}-10, {case.activation}{dropout}; min / median\n"
        )
    head = ["optimizer", "batch", *(f"{name}, µs" for name in SIDES)]
    print(table([*head, "÷ products", "÷ by hand", "samples/s, median"], rows))


if __name__ == "__main__":
    main()
