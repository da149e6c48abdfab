"""What is to be predicted, found out from the targets."""

import numpy as np
import pytest

from xpnet import registry
from xpnet.cli.tasks import (
    OUTPUTS_OF,
    about_the_test_set,
    about_validation,
    choose_task,
    given_task,
)
from xpnet.data.sources import Samples
from xpnet.data.tasks import infer
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
    x, (task, why) = np.zeros((len(y), 2)), infer(y)
    y_test = y if y_test is None else np.asarray(y_test)
    return Samples("some", x, y, x, y_test, {}, **({"task": task, "why": why} | options))


def test_each_task_has_its_loss_outputs_and_labels() -> None:
    classes = choose_task(samples(["b", "a", "c"]))
    assert (classes.loss, classes.outputs, classes.labels) == (
        SoftmaxCrossEntropy(), 3, ("a", "b", "c"),
    )  # fmt: skip
    several = choose_task(samples([[0, 1], [1, 1]]))
    assert (several.loss, several.outputs, several.labels) == (BinaryCrossEntropy(), 2, (0, 1))
    assert choose_task(samples([[0, 1], [1, 1]]), names=["x", "y"]).labels == ("x", "y")
    assert choose_task(samples([[0, 1], [1, 1]]), names=["x"]).labels == (0, 1)
    one_hot = choose_task(samples(np.eye(3)))
    assert (one_hot.loss, one_hot.labels) == (SoftmaxCrossEntropy(), (0, 1, 2))
    assert choose_task(samples(np.eye(3)), names=["x", "y", "z"]).labels == ("x", "y", "z")
    assert choose_task(samples([[1, 0, 0], [0, 1, 0]])).labels == (0, 1, 2)
    numbers = choose_task(samples([0.5, 1.5]))
    assert (numbers.loss, numbers.outputs, numbers.labels) == (SquaredError(), 1, ())


def test_what_is_said_counts() -> None:
    assert choose_task(samples([0, 1, 2]), "regression").name == "regression"
    by_loss = choose_task(samples([0, 1, 2]), loss="poisson")
    assert given_task(None, "poisson") == ("regression", "as --loss poisson says")
    assert given_task("multilabel", "poisson") == ("multilabel", "as --task says")
    assert given_task(None, "hinge") == given_task(None, None) == (None, "")
    assert (by_loss.name, by_loss.loss, by_loss.why) == (
        "regression", Poisson(), "as --loss poisson says",
    )  # fmt: skip
    assert choose_task(samples([0, 1, 2] * 2), loss="hinge").loss == Hinge()
    assert choose_task(samples([0.5, 1.5]), loss="huber:2").loss == Huber(2.0)


def test_the_task_that_is_said_overrules_what_targets_look_like() -> None:
    assert choose_task(samples(np.eye(3)), "regression").outputs == 3
    assert choose_task(samples(np.eye(3)), "multilabel").labels == (0, 1, 2)
    assert choose_task(samples([0, 1]), "multilabel").labels == (0,)
    assert choose_task(samples([0, 1]), "multilabel", names=["loud"]).labels == ("loud",)
    assert choose_task(samples(np.arange(30)), "classification").outputs == 30


def test_what_is_not_tested_is_said() -> None:
    y = ["a", "a", "a", "b", "c"]
    held = samples(y, ["a"], split="held out")
    said = "classes with one or two samples are used for training only: b, c"
    assert about_the_test_set(held, choose_task(held)) == said
    one_hot = samples(np.eye(2)[[0, 0, 0, 1]], np.eye(2)[[0]], split="held out")
    task = choose_task(one_hot, names=["x", "y"])
    assert about_the_test_set(one_hot, task).endswith("training only: y")
    many = samples([0] * 3 + [*range(1, 15)] * 2, [0], split="held out", task="classification")
    assert about_the_test_set(many, choose_task(many)).endswith(
        ": 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 4 more"
    )
    few = samples([0, 1, 1, 0], split="none")
    said = "fewer than 10 samples: no test set; scores are computed on the training samples"
    assert about_the_test_set(few, choose_task(few)) == said
    pairs = samples(np.arange(20) // 2, split="none")
    assert about_the_test_set(pairs, choose_task(pairs)).startswith(
        "no class has three samples: no test set"
    )
    for quiet in (samples(y), samples([0.5, 1.5], [2.5], split="held out")):
        assert about_the_test_set(quiet, choose_task(quiet)) == ""


def test_what_is_not_validated_is_said() -> None:
    """And not twice: of a class that the test set lacks as well nothing more is said."""
    y = ["a"] * 9 + ["b", "c", "c"]
    given = samples(y)
    task = choose_task(given)
    said = "classes with one or two samples are used for training only: b, c"
    assert about_validation(given, task, held=2) == said
    held = samples(y, ["c"], split="held out")
    assert about_validation(held, task, held=2) == said.replace("b, c", "c")
    few = samples([0, 1, 1, 0], [1], split="held out")
    said = "fewer than 10 samples: none held out; the last epoch is kept"
    assert about_validation(few, choose_task(few), held=0) == said
    untested = samples([0, 1, 1, 0], split="none")
    numbers = samples(np.arange(30) / 7)
    for quiet in (untested, numbers, samples(y * 2)):
        assert about_validation(quiet, choose_task(quiet), held=0) == ""
    assert about_validation(numbers, choose_task(numbers), held=5) == ""


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
        (samples(["1", "b"]), {"task": "multilabel"}, DataError, "targets are names such as 'b'"),
        (samples(["1", "inf"]), {"task": "regression"}, DataError, "such as 'inf'; .* needs num"),
        (samples([1e17, 2e17]), {}, DataError, r"a label is 2e\+17, whose digits may be lost"),
        (samples(np.uint64([0, 2**63])), {}, DataError, "label 9223372036854775808 is out of ran"),
        (
            samples([[0, 1], [1, 1]]), {"task": "classification"}, DataError,
            r"2 targets each, such as \[1, 1\]; .* or one 1 in each row and else 0 \(--task mult",
        ),
        (samples([[0, 0.5], [0, 1]]), {"task": "classification"}, DataError, r"as \[0.0, 0.5\]"),
        (samples([[0, 1], [0, 1]]), {}, DataError, "every training label is 1; expected two"),
        (samples([[0, 1, 0], [1, 0, 0]], [[0, 0, 1]]), {}, DataError, "test label 2 is out of"),
        (samples([[0, 2], [1, 0]]), {"task": "multilabel"}, DataError, "a target is 2"),
        (samples([[1, 1]], [[0, 3]]), {}, DataError, "a target is 3; multilabel needs"),
        (samples([0, 2]), {"task": "multilabel"}, DataError, "a target is 2; multilabel needs"),
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
