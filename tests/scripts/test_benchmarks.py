"""The benchmarks beside other libraries: that they compare the same things.

No test asserts a time; that each prints its table is in test_scripts.py.
"""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from helpers import SCRIPTS

import xpnet
from xpnet.optimizers import Optimizer

pytestmark = pytest.mark.scripts
BENCHMARKS = SCRIPTS / "benchmarks"
RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, size=(300, 20)).astype(np.uint8)
Y = RNG.integers(0, 10, size=300).astype(np.int32)
OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": xpnet.SGD(0.01, weight_decay=0.5),
    "nesterov": xpnet.SGD(0.01, weight_decay=0.5, momentum=0.9, nesterov=True),
    "adam": xpnet.Adam(0.01, weight_decay=0.5),
}


def script(name: str) -> Iterator[ModuleType]:
    """A module of the scripts, which import one another."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def benchmark() -> Iterator[ModuleType]:
    yield from script("benchmark")


@pytest.fixture
def by_hand() -> Iterator[ModuleType]:
    yield from script("by_hand")


@pytest.fixture
def start() -> Iterator[ModuleType]:
    yield from script("bench_start")


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(BENCHMARKS / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("activation", "smoothing"), [("relu", 0), ("relu", 0.3), ("sigmoid", 0)])
def test_the_step_by_hand_computes_what_xpnet_computes(
    by_hand: ModuleType, activation: str, smoothing: float, optimizer: str
) -> None:
    mean, deviation = float(X.mean()), float(X.std())
    step = by_hand.CarefulStep(
        X, Y, (16, 8), 32, optimizer, 0.01, 0.5, activation,
        mean=mean, deviation=deviation, smoothing=smoothing,
    )  # fmt: skip
    model, rule = xpnet.mlp(20, 16, 8, 10, activation=activation), OPTIMIZERS[optimizer]
    buffers = np.repeat(np.asarray([mean, deviation], dtype=np.float32), 20)
    theta, state, total = step.theta.copy(), rule.init(step.theta), 0.0
    step.steps = 995  # Adam's gradient starts again at its own size at 1000
    for i in range(10):
        rows, factor = step.next_rows().copy(), 1 + i / 10
        step.learning_rate = 0.01 * factor
        step(rows)
        scalars = np.asarray(rule.scalars(factor, 996 + i), dtype=np.float32)
        batch = X[rows], Y[rows], None
        theta, state, _, value = xpnet.train_step(
            model.network, xpnet.SoftmaxCrossEntropy(smoothing), rule, theta, state, buffers,
            batch, scalars,
        )  # fmt: skip
        total += float(value) * 32
    assert np.max(np.abs(step.theta - theta)) < 1e-4 * np.max(np.abs(theta))
    assert smoothing or step.total == pytest.approx(total, rel=1e-5)
    logits = model.network.infer(model.network.unpack(theta, buffers), X)
    assert np.mean(step.predict(X, chunk=70) == logits.argmax(axis=1)) > 0.99


def test_the_step_by_hand_sees_every_sample_once_an_epoch(by_hand: ModuleType) -> None:
    step = by_hand.CarefulStep(X, Y, (4,), 100)
    first, second = ([step.next_rows().copy() for _ in range(3)] for _ in range(2))
    assert sorted(np.concatenate(first)) == sorted(np.concatenate(second)) == list(range(300))
    assert not np.array_equal(first, second)


def test_a_peer_is_asked_in_turn_and_who_fails_is_named(
    benchmark: ModuleType, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "import os\n"
        "from benchmark import serve\n"
        "name = sys.argv[sys.argv.index('--peer') + 1]\n"
        "def make(case):\n"
        "    print('what a library prints')\n"
        "    if name == 'missing':\n"
        "        import nothing_of_this_name\n"
        "    if name == 'wrong' or case['n'] != 3 or os.environ['OMP_NUM_THREADS'] != '1':\n"
        "        raise ValueError(f'cannot do {case}')\n"
        "    if name == 'dying':\n"
        "        sys.exit('it is over')\n"
        "    return lambda calls: sum(range(1000 * calls)) and None\n"
        "serve(make)\n"
    )
    names = ["right", "missing", "wrong", "dying"]
    peers = [benchmark.Peer(str(program), name, 1) for name in names]
    try:
        times, left_out = benchmark.take_turns(peers, {"n": 3}, rounds=2, seconds=1e-3)
    finally:
        for peer in peers:
            peer.close()
    assert list(times) == ["right"]
    assert len(times["right"].wall) == 2
    assert left_out == {
        "missing": "no nothing_of_this_name",
        "wrong": "ValueError: cannot do {'n': 3}",
        "dying": "it is over",
    }


def test_a_block_gets_as_long_as_it_should(benchmark: ModuleType) -> None:
    peer, asked = object.__new__(benchmark.Peer), []
    answers = iter([2, (1000.0, 1.0), (500.0, 1.0), (2000.0, 1.0)])

    def ask(**question: object) -> object:
        asked.append(question.get("calls"))
        return next(answers)

    peer.ask = ask
    peer.prepare({}, 0.01)
    for _ in range(3):
        peer.block()
    assert [*asked[1:], peer.calls] == [2, 10, 20, 20]


def test_a_table_of_ratios_has_the_best_first(benchmark: ModuleType) -> None:
    times = {"a": benchmark.Times([4.0, 6.0], [4.0, 6.0]), "b": benchmark.Times([2.0], [1.0])}
    lines = benchmark.ratio_table(times, "b", "absent", samples=10).splitlines()
    assert lines[0] == "|  | µs, min | µs, median | ÷ b, min | ÷ b, median " + (
        "| samples/s, median | cores at work |"
    )
    assert lines[2:] == [
        "| b | 2.0 | 2.0 | 1.00 | 1.00 | 5,000,000 | 0.50 |",
        "| a | 4.0 | 5.0 | 2.00 | 2.50 | 2,000,000 | 1.00 |",
    ]


@pytest.mark.skipif(not hasattr(__import__("os"), "sched_setaffinity"), reason="Linux's")
def test_pinned_is_over_at_the_end(benchmark: ModuleType) -> None:
    import os

    before = os.sched_getaffinity(0)
    with benchmark.pinned(1):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize(
    ("name", "sides"),
    [
        ("bench_peers.py", ["NumPy by hand", "scikit-learn fit", "scikit-learn partial_fit"]),
        ("bench_predict.py", ["NumPy by hand", "xpnet model(x)", "scikit-learn", "onnxruntime"]),
    ],
)
def test_every_side_runs_or_is_left_out_by_name(name: str, sides: list[str]) -> None:
    out = run(name, "--quick", "--peers", ",".join(sides))
    assert [side for side in sides if f"| {side} |" in out or f"{side} (no " in out] == sides
    assert "| NumPy by hand |" in out


def test_a_side_that_predicts_otherwise_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in script("bench_predict"):
        monkeypatch.setitem(module.SIDES, "NumPy by hand", lambda case: lambda x: [11] * len(x))
        case = {"images": 10, "dtype": "uint8", "threads": 1}
        with pytest.raises(ValueError, match="10 of 10 labels differ"):
            module.make("NumPy by hand", case)
        module.make("xpnet model(x)", case)


def test_a_start_by_hand_learns(start: ModuleType) -> None:
    x, y, x_test, y_test = start.mnist(2000)
    assert [a.shape for a in (x, y, x_test, y_test)] == [
        (2000, 784), (2000,), (10_000, 784), (10_000,)
    ]  # fmt: skip
    assert start.floats(60_000)[0].mean(dtype=float) == pytest.approx(0, abs=1e-4)
    assert start.by_hand(2, 32, "adam", 4e-3, seed=0, threads=1, limit=2000) > 0.85
    factors = [start.factor(part) for part in (0.0, 0.1, 0.2, 0.6, 1.0)]
    assert factors == pytest.approx([0.04, 0.52, 1, 0.5, 0])


def test_a_start_that_fails_is_left_out_by_name() -> None:
    out = run("bench_start.py", "--quick", "--bars", "98", "--peers", "xpnet,Keras tensorflow")
    if "| Keras tensorflow |" not in out:
        assert "left out: Keras tensorflow (ModuleNotFoundError: No module named " in out
    (row,) = [line for line in out.splitlines() if line.startswith("| xpnet |")]
    assert row.split(" | ")[-2] == "0 of 1"  # a sixtieth of the images is too few
