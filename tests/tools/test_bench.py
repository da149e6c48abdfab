"""`xpnet.tools.bench`: that it compares what it says.  No test asserts a time."""

from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet.data.sources import load
from xpnet.fast.cuda import step as gpu
from xpnet.tools import bench

ROWS = ["training step", "its matrix products", "prediction, 10,000", "its matrix products",
        "prediction, 1 sample", "its matrix products"]  # fmt: skip


@pytest.mark.parametrize(
    ("backward", "shapes"),
    [
        (False, [(5, 4, 3), (5, 3, 2)]),
        (True, [(5, 4, 3), (5, 3, 2), (3, 5, 2), (5, 2, 3), (4, 5, 3)]),
    ],
)
def test_the_products_are_those_of_a_step(
    backward: bool, shapes: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    product = np.matmul

    def matmul(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        seen.append((*a.shape, b.shape[1]))
        product(a, b, out=out)

    monkeypatch.setattr(np, "matmul", matmul)
    bench.products(4, 3, 2, batch_size=5, backward=backward)()
    assert seen == shapes


def test_a_table_is_markdown() -> None:
    assert (
        bench.table(["", "a"], [["b", 1], ["c", 2]]) == "|  | a |\n|---|--:|\n| b | 1 |\n| c | 2 |"
    )


def test_bench_compares_with_the_products() -> None:
    head, rows = bench.bench([4], batch_size=32, rounds=2, seconds=1e-3)
    assert len({len(head), *map(len, rows)}) == 1
    assert [row[0].startswith(start) for row, start in zip(rows, ROWS, strict=True)] == [True] * 6
    assert [row[3:5] for row in rows[1::2]] == [["1.00", "1.00"]] * 3


def test_bench_trains_what_it_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    fit = xpnet.fit

    def spy(model, x, y, **options):
        seen.append((str(model.network), len(x), options["batch_size"], options["optimizer"]))
        return fit(model, x, y, **options)

    monkeypatch.setattr(xpnet, "fit", spy)
    bench.bench([5, 4], batch_size=64, optimizer="adam", rounds=1, seconds=1e-3)
    assert seen == [("784-5-4-10", len(load("mnist").x_train), 64, "adam")]


def test_the_last_step_is_waited_for() -> None:
    asked: list[Any] = []
    steps = bench.in_groups(asked.append, 16, lambda: asked.append("wait"))
    assert (steps(16), steps(17)) == (16, 32)
    assert asked == [16, "wait", 32, "wait"]


@pytest.mark.parametrize(
    ("batch_size", "expected"),
    [
        (128, (16, 29 * 16 * 128)),
        (4096, (14, 14 * 4096)),
        (8192, (7, 7 * 8192)),
        (60_000, (1, 60_000)),
    ],
)
def test_epochs_are_made_of_whole_groups(batch_size: int, expected: tuple[int, int]) -> None:
    """As many steps as a graph has, or as an epoch has; no short batch."""
    assert bench.TOGETHER == gpu.TOGETHER
    together, limit = bench.whole_graphs(batch_size, 60_000)
    assert (together, limit) == expected
    assert limit % (batch_size * together) == 0
