"""Tasks: what is to be predicted of some data, found out from the targets unless it is said."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from xpnet.arrays import HostArray
from xpnet.checks import choose, construct
from xpnet.data.dataset import FEWEST, undivided
from xpnet.data.labels import OUT_OF_RANGE, different, is_one_hot, text_of
from xpnet.data.sources import Samples
from xpnet.data.tables import is_number
from xpnet.data.targets import labels_of_columns
from xpnet.data.tasks import classes_in
from xpnet.errors import DataError, UsageError
from xpnet.losses import CLASSES, OUTPUTS, VALUES, Loss, Pinball
from xpnet.registry import LOSSES, TASKS

OUTPUTS_OF = {"classification": CLASSES, "multilabel": ("sigmoid",), "regression": VALUES}


@dataclass(frozen=True)
class Task:
    """What is to be predicted.

    Attributes
    ----------
    name : {"classification", "multilabel", "regression"}
    why : str
        How it came to be chosen, in a few words.
    loss : Loss
    outputs : int
        Columns of the logits.
    labels : tuple of int or str
        The classes; empty for regression.
    """

    name: str
    why: str
    loss: Loss
    outputs: int
    labels: tuple[int | str, ...]


def given_task(task: str | None, loss: str | None) -> tuple[str | None, str]:
    """The task that --task or --loss says, and which of them; None and "" if neither does.

    Raises
    ------
    UsageError
        There is no such task or loss.
    """
    if task is not None:
        return choose("task", task, TASKS), "as --task says"
    if loss is not None and construct("loss", loss, LOSSES).output in OUTPUTS_OF["regression"]:
        return "regression", f"as --loss {loss} says"
    return None, ""


def choose_task(
    samples: Samples, task: str | None = None, loss: str | None = None, names: Sequence[str] = ()
) -> Task:
    """The task of a data set.

    Parameters
    ----------
    samples : Samples
    task : str, optional
        One of `registry.TASKS`; by default the one of the loss, or else of the samples.
    loss : str, optional
        One of `registry.LOSSES` by name; by default the first that fits the task.
    names : sequence of str
        Of the columns of the targets, if they have names.

    Raises
    ------
    UsageError
        There is no such task or loss, or they don't go together.
    DataError
        The targets don't go with the task.
    """
    given, why = given_task(task, loss)
    name, why = (given, why) if given else (samples.task, samples.why)
    chosen = OUTPUTS[OUTPUTS_OF[name][0]]() if loss is None else construct("loss", loss, LOSSES)
    if chosen.output not in OUTPUTS_OF[name]:
        fit = [key for key, kind in LOSSES.items() if kind.output in OUTPUTS_OF[name]]
        raise UsageError(
            f"--loss {loss} is not for {name} ({why}); expected one of {', '.join(fit)}"
        )
    if name == "classification":
        hint = "" if task else f" (taken for classes: {why}; --task regression takes numbers)"
        labels = _classes(samples, names, hint)
        return Task(name, why, chosen, len(labels), labels)
    _require_numbers(samples, name)
    columns = 1 if samples.y_train.ndim == 1 else samples.y_train.shape[1]
    if name == "multilabel":
        _check_indicators(samples)
        return Task(name, why, chosen, columns, labels_of_columns(columns, names))
    if isinstance(chosen, Pinball) and columns == 1:
        columns = len(chosen.quantiles)
    return Task(name, why, chosen, columns, ())


def _classes(samples: Samples, names: Sequence[str], hint: str) -> tuple[int | str, ...]:
    """The classes in their order; every label, of training and test, is one of them."""
    y, y_test, where = samples.y_train, samples.y_test, samples.name
    labels = samples.labels
    if y.ndim == 2:
        for part in (y, y_test):
            _check_one_hot(part, where)
        labels = labels_of_columns(y.shape[1], names)
        y, y_test = (np.asarray(labels)[np.argmax(part, axis=1)] for part in (y, y_test))
    if y.dtype == np.uint64:
        raise DataError(f"{where}: label {y.max()} {OUT_OF_RANGE}")
    if y.dtype.kind == "f":
        raise DataError(
            f"{where}: a label is {y.max()}, whose digits may be lost; classification needs "
            "integers, or names: store labels of more digits as texts"
        )
    classes = different(y)
    if len(classes) < 2:
        raise DataError(
            f"{where}: every training label is {classes[0].item()!r}; expected two classes at least"
        )
    unknown = y_test[~np.isin(y_test, classes)]
    if len(unknown):
        raise DataError(
            f"{where}: test label {unknown[0].item()!r} is out of range: "
            f"it is not one of training{hint}"
        )
    return labels or tuple(classes.tolist())


def _check_one_hot(y: HostArray, where: str) -> None:
    if not is_one_hot(y):
        wrong = np.flatnonzero((np.sum(y == 1, axis=1) != 1) | np.any((y != 0) & (y != 1), axis=1))
        raise DataError(
            f"{where}: {y.shape[1]} targets each, such as {y[wrong[0]].tolist()}; classification "
            "needs one label a sample, or one 1 in each row and else 0 (--task multilabel takes 0 "
            "and 1 for each)"
        )


def _require_numbers(samples: Samples, task: str) -> None:
    for y in (samples.y_train, samples.y_test):
        if y.dtype.kind == "U":
            odd = next(a for a in y.tolist() if not (is_number(a) and isfinite(float(a))))
            raise DataError(
                f"{samples.name}: targets are names such as {odd!r}; {task} needs numbers, and "
                "--task classification takes names"
            )


def about_the_test_set(samples: Samples, task: Task) -> str:
    """What to say of the samples that are held out for the test; "" if there is nothing."""
    n = len(samples.y_train)
    if samples.split == "none":
        few = f"fewer than {FEWEST} samples" if n < FEWEST else "no class has three samples"
        return f"{few}: no test set; scores are computed on the training samples"
    return _used_for_training(_rare_in_all(samples, task))


def about_validation(samples: Samples, task: Task, held: int) -> str:
    """What to say of the samples that are held out to validate on, besides what that one says."""
    n = len(samples.y_train)
    if not held:
        few = samples.split != "none" and n < FEWEST
        return f"fewer than {FEWEST} samples: none held out; the last epoch is kept" if few else ""
    told = _rare_in_all(samples, task)
    return _used_for_training([i for i in _rare_in(samples.classes, task) if i not in told])


def _rare_in_all(samples: Samples, task: Task) -> list[str]:
    """The classes that have too few samples to be in the test set, if one is held out."""
    if samples.split != "held out":
        return []
    return _rare_in(classes_in(np.concatenate([samples.y_train, samples.y_test]), task.name), task)


def _rare_in(classes: HostArray | None, task: Task) -> list[str]:
    """The labels of one or two of these numbers of classes (n,)."""
    return [] if classes is None else [text_of(task.labels[i]) for i in undivided(classes)]


def _used_for_training(rare: Sequence[str]) -> str:
    shown = ", ".join(rare[:10]) + (f" and {len(rare) - 10:,} more" if len(rare) > 10 else "")
    return f"classes with one or two samples are used for training only: {shown}" if rare else ""


def _check_indicators(samples: Samples) -> None:
    for y in (samples.y_train, samples.y_test):
        wrong = y[(y != 0) & (y != 1)]
        if len(wrong):
            raise DataError(
                f"{samples.name}: a target is {wrong[0]:g}; multilabel needs 0 or 1 for each label"
            )
