"""Names and parameters of the command line, and their errors."""

from collections.abc import Callable

import numpy as np
import pytest

from xpnet.activations import LeakyReLU, Tanh
from xpnet.builder import mlp
from xpnet.checks import at_least, construct
from xpnet.errors import UsageError
from xpnet.fitting.training import fit
from xpnet.losses import Huber, Pinball
from xpnet.registry import ACTIVATIONS, LOSSES, SCHEDULES
from xpnet.schedules import WarmRestarts


def test_a_name_may_bring_its_parameter() -> None:
    assert construct("activation", "tanh", ACTIVATIONS) == Tanh()
    assert construct("activation", "leaky-relu:0.2", ACTIVATIONS) == LeakyReLU(0.2)
    assert construct("loss", "huber:0.5", LOSSES) == Huber(0.5)
    assert construct("loss", "pinball:0.1,0.9", LOSSES) == Pinball((0.1, 0.9))
    assert construct("schedule", "warm-restarts:5", SCHEDULES) == WarmRestarts(5)


@pytest.mark.parametrize(
    ("kind", "spec", "table", "message"),
    [
        ("loss", "hubre:1", LOSSES, "did you mean 'huber'"),
        ("loss", "huber:", LOSSES, r"expected a number \(delta\) after the colon, as in huber:1.0"),
        ("loss", "huber:x", LOSSES, "expected a number"),
        ("loss", "huber:1,2", LOSSES, "expected a number"),
        ("loss", "pinball:", LOSSES, "as in pinball:0.5"),
        (
            "loss",
            "huber:-1",
            LOSSES,
            r"^loss 'huber:-1': delta must be a number in \(0, inf\), got -1\.0$",
        ),
        ("activation", "tanh:2", ACTIVATIONS, "tanh takes no number; write tanh alone"),
        ("schedule", "warm-restarts:inf", SCHEDULES, r"expected a whole number \(cycles\)"),
        ("schedule", "warm-restarts:2.5", SCHEDULES, r"expected a whole number \(cycles\)"),
    ],
)
def test_a_mistake_is_answered(kind: str, spec: str, table: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        construct(kind, spec, table)


def test_a_whole_number_is_one_of_any_type() -> None:
    assert at_least("epochs", 1, 1) == at_least("epochs", np.int64(1), 1) == 1


@pytest.mark.parametrize("value", [0, True, 1.0, "1", None])
def test_anything_else_than_a_whole_number_is_answered(value: object) -> None:
    with pytest.raises(UsageError, match=r"^epochs must be a whole number in \[1, inf\), got "):
        at_least("epochs", value, 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: Huber(0.1, delta=0.2),
        lambda: fit(mlp(2, 2), [[1, 2]], [0], model=mlp(2, 2)),
        lambda: mlp(2, 2).predict([[1, 2]], x=[[1, 2]]),
    ],
)
def test_an_argument_that_is_given_twice_is_named(call: Callable[[], object]) -> None:
    with pytest.raises(UsageError, match=r"is given (delta|model|x) twice"):
        call()
