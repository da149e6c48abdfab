"""`xpnet bench`: the table that it prints, and its mistakes."""

import pytest

import xpnet
from xpnet.cli import run
from xpnet.tools import bench


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--hidden", "4", "--rounds", "1", "--optimizer", "sgd"]) == 0
    first, machine, _, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("784-4-10, sgd, float32")
    assert machine.endswith("threads of the BLAS: 1")
    assert len(lines) == 8


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--threads", "0"], "--threads must be a whole number"),
        (["--optimizer", "adma"], "did you mean 'adam'"),
        (["--batch-size", "60001"], "MNIST has 60,000 training samples"),
        (["--hidden", "x"], "--hidden x: expected widths"),
        (["--compare", "--device", "cpu"], "--device cpu: expected a GPU to compare"),
        (["--compare", "--device", "cuda:99"], "cuda:99 cannot be used: "),
        (["--device", "cuda:1"], "--device cuda:1 has no effect without --compare"),
    ],
)
def test_the_command_answers_a_mistake(
    option: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", *option]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.cuda
def test_a_step_on_the_cpu_is_compared_with_one_on_a_gpu(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--hidden", "4", "--rounds", "1", "--batch-size", "16", "--optimizer", "sgd"]
    assert run(["bench", "--compare", *options]) == 0
    first, _, _, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("784-4-10, sgd, float32, MNIST, on the CPU and on cuda:0 (asked for: ")
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        "| cpu, 16 samples",
        "| cuda:0, 16 samples",
    ]
    assert lines[2].count(" 1.00 ") == 2
    with pytest.raises(xpnet.UsageError, match="MNIST has 60,000"):
        bench.compare_devices(xpnet.select_device("cuda"), batch_sizes=[60_001])
