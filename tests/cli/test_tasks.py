"""What is to be predicted, found out from the targets."""

import numpy as np
import pytest

from xpnet import registry
from xpnet.cli.tasks import OUTPUTS_OF, choose_task, infer
from xpnet.data.sources import Samples
from xpnet.errors import DataError, UsageError
from xpnet.losses import (
    OUTPUTS,
    BinaryCrossEntropy,
    Hinge,
    Huber,
    Poisson,
    SoftmaxCrossEntropy,
    SquaredError,
    name_of,
)
from xpnet.registry import LOSSES


def samples(y, y_test=None, **options) -> Samples:
    y = np.asarray(y)
    x = np.zeros((len(y), 2))
    return Samples("some", x, y, x, y if y_test is None else np.asarray(y_test), {}, **options)


@pytest.mark.parametrize(
    ("y", "task", "why"),
    [
        (["a", "b"], "classification", "2 names"),
        ([0, 1, 2], "classification", "3 different whole numbers"),
        ([-1, 1, 1], "classification", "2 different whole numbers"),
        ([0.0, 1.0], "classification", "2 different whole numbers"),
        ([0.5, 1.0], "regression", "numbers that are not whole"),
        (np.arange(20), "classification", "20 different whole numbers"),
        (np.arange(21), "regression", "21 different whole numbers"),
        (np.arange(900) % 30, "classification", "30 different whole numbers"),
        (np.arange(900) % 31, "regression", "31 different whole numbers"),
        ([[0, 1], [1, 1]], "multilabel", "2 columns of 0 and 1"),
        ([[0, 2], [1, 1]], "regression", "2 numbers each"),
        ([[0], [1]], "classification", "2 different whole numbers"),
    ],
    ids=repr,
)
def test_the_task_is_what_the_targets_look_like(y, task: str, why: str) -> None:
    assert infer(np.asarray(y)) == (task, why)


def test_each_task_has_its_loss_outputs_and_labels() -> None:
    classes = choose_task(samples(["b", "a", "c"]))
    assert (classes.loss, classes.outputs, classes.labels) == (
        SoftmaxCrossEntropy(), 3, ("a", "b", "c"),
    )  # fmt: skip
    several = choose_task(samples([[0, 1], [1, 1]]))
    assert (several.loss, several.outputs, several.labels) == (BinaryCrossEntropy(), 2, (0, 1))
    assert choose_task(samples([[0, 1], [1, 1]]), names=["x", "y"]).labels == ("x", "y")
    assert choose_task(samples([[0, 1], [1, 1]]), names=["x"]).labels == (0, 1)
    numbers = choose_task(samples([0.5, 1.5]))
    assert (numbers.loss, numbers.outputs, numbers.labels) == (SquaredError(), 1, ())


def test_what_is_said_counts() -> None:
    assert choose_task(samples([0, 1, 2]), "regression").name == "regression"
    by_loss = choose_task(samples([0, 1, 2]), loss="poisson")
    assert (by_loss.name, by_loss.loss, by_loss.why) == (
        "regression", Poisson(), "as --loss poisson says",
    )  # fmt: skip
    assert choose_task(samples([0, 1, 2]), loss="hinge").loss == Hinge()
    assert choose_task(samples([0.5, 1.5]), loss="huber:2").loss == Huber(2.0)


def test_one_target_has_an_output_for_each_quantile() -> None:
    assert choose_task(samples([0.5, 1.5]), loss="pinball:0.1,0.5,0.9").outputs == 3
    assert choose_task(samples([[0.5, 2], [1.5, 3]]), loss="pinball:0.1,0.9").outputs == 2
    assert choose_task(samples([[0.5, 2], [1.5, 3]]), loss="pinball:0.5").outputs == 2


def test_classes_that_the_data_name_keep_their_order() -> None:
    named = samples(["z", "a"], labels=("z", "a", "never"))
    assert choose_task(named).labels == ("z", "a", "never")


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        (samples([0, 1]), {"task": "clasification"}, UsageError, "did you mean 'classification'"),
        (samples([0, 1]), {"loss": "hubre"}, UsageError, "did you mean 'huber'"),
        (
            samples([0, 1]), {"task": "regression", "loss": "hinge"}, UsageError,
            r"--loss hinge is not for regression \(as --task says\); expected one of squared-error",
        ),
        (samples(["a", "b"]), {"task": "regression"}, DataError, "targets are names such as 'a'"),
        (samples([0.5, 1]), {"task": "classification"}, DataError, "a label is 0.5; classificat"),
        (samples([0.0, 1], [0.5, 1]), {}, DataError, "a label is 0.5; classification"),
        (samples([1e17, 2e17]), {}, DataError, r"a label is 1e\+17; classification"),
        (samples([[0, 1], [1, 0]]), {"task": "classification"}, DataError, "2 targets each"),
        (samples([[0, 2], [1, 0]]), {"task": "multilabel"}, DataError, "a target is 2"),
        (samples([[0, 1]], [[0, 3]]), {}, DataError, "a target is 3; multilabel needs"),
        (samples([1, 1]), {}, DataError, "every training label is 1"),
        (samples([0, 1], [2]), {"task": "classification"}, DataError, "not one of training$"),
        (
            samples([0, 1], [2]), {}, DataError,
            r"test label 2 is out of range: it is not one of training \(taken for classes: 2 d",
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(data, options, error, message: str) -> None:
    with pytest.raises(error, match=message):
        choose_task(data, **options)


def test_every_loss_has_its_name_and_a_default_for_its_output() -> None:
    for name, kind in LOSSES.items():
        assert name_of(kind()) == name
        assert OUTPUTS[kind.output].output == kind.output


def test_every_task_has_outputs() -> None:
    assert tuple(OUTPUTS_OF) == registry.TASKS
