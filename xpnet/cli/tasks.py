"""Tasks: what is to be predicted of some data, found out from the targets unless it is said."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xpnet.arrays import HostArray
from xpnet.checks import choose, construct
from xpnet.data.sources import Samples
from xpnet.errors import DataError, UsageError
from xpnet.losses import CLASSES, OUTPUTS, VALUES, Loss, Pinball
from xpnet.registry import LOSSES, TASKS

OUTPUTS_OF = {"classification": CLASSES, "multilabel": ("sigmoid",), "regression": VALUES}
FEW = 20  # so many different whole numbers, or the root of the number of samples, may be classes


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


def choose_task(
    samples: Samples, task: str | None = None, loss: str | None = None, names: Sequence[str] = ()
) -> Task:
    """The task of a data set.

    Parameters
    ----------
    samples : Samples
    task : str, optional
        One of `registry.TASKS`; by default the one of the loss, or else of the targets (`infer`).
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
    chosen = None if loss is None else construct("loss", loss, LOSSES)
    if task is not None:
        name, why = choose("task", task, TASKS), "as --task says"
    elif chosen is not None and chosen.output in OUTPUTS_OF["regression"]:
        name, why = "regression", f"as --loss {loss} says"
    else:
        name, why = infer(samples.y_train)
    chosen = chosen or OUTPUTS[OUTPUTS_OF[name][0]]()
    if chosen.output not in OUTPUTS_OF[name]:
        fit = [key for key, kind in LOSSES.items() if kind.output in OUTPUTS_OF[name]]
        raise UsageError(
            f"--loss {loss} is not for {name} ({why}); expected one of {', '.join(fit)}"
        )
    y = samples.y_train
    if name == "classification":
        hint = "" if task else f" (taken for classes: {why}; --task regression takes numbers)"
        labels = _classes(samples, hint)
        return Task(name, why, chosen, len(labels), labels)
    if y.dtype.kind == "U":
        raise DataError(
            f"{samples.name}: targets are names such as {str(y[0])!r}; {name} needs numbers"
        )
    columns = 1 if y.ndim == 1 else y.shape[1]
    if name == "multilabel":
        _check_indicators(samples)
        labels = tuple(names) if len(names) == columns else tuple(range(columns))
        return Task(name, why, chosen, columns, labels)
    if isinstance(chosen, Pinball) and columns == 1:
        columns = len(chosen.quantiles)
    return Task(name, why, chosen, columns, ())


def infer(y: HostArray) -> tuple[str, str]:
    """The task that targets (n,) or (n, k) suggest, and why."""
    if y.ndim == 2 and y.shape[1] > 1:
        if np.all((y == 0) | (y == 1)):
            return "multilabel", f"{y.shape[1]} columns of 0 and 1"
        return "regression", f"{y.shape[1]} numbers each"
    if y.dtype.kind == "U":
        return "classification", f"{len(_different(y))} names"
    if y.dtype.kind == "f" and np.any(y != np.floor(y)):
        return "regression", "numbers that are not whole"
    different = len(_different(y))
    if different <= max(FEW, len(y) ** 0.5):
        return "classification", f"{different} different whole numbers"
    return "regression", f"{different:,} different whole numbers"


def _different(y: HostArray) -> HostArray:
    """The different values in their order; np.unique(y) alone would import numpy.ma, for 10 ms."""
    return np.unique(y, return_counts=True)[0]


def _classes(samples: Samples, hint: str) -> tuple[int | str, ...]:
    """The classes in their order; every label, of training and test, is one of them."""
    y, name = samples.y_train, samples.name
    if y.ndim == 2:
        raise DataError(
            f"{name}: {y.shape[1]} targets each; classification needs one label a sample "
            "(--task multilabel takes 0 and 1 for each)"
        )
    if y.dtype.kind == "f":
        label = next(a for a in (*y, *samples.y_test) if a != np.floor(a) or abs(a) >= 2**53)
        raise DataError(
            f"{name}: a label is {label:g}; classification needs whole numbers below 2^53 or names"
        )
    classes = _different(y)
    if len(classes) < 2:
        raise DataError(
            f"{name}: every training label is {classes[0].item()!r}; expected two classes at least"
        )
    unknown = samples.y_test[~np.isin(samples.y_test, classes)]
    if len(unknown):
        raise DataError(
            f"{name}: test label {unknown[0].item()!r} is out of range: "
            f"it is not one of training{hint}"
        )
    return samples.labels or tuple(classes.tolist())


def classes_in(samples: Samples, task: Task) -> HostArray | None:
    """Return the number of the class of each training sample; None if there are no classes."""
    if task.name != "classification":
        return None
    return np.unique(samples.y_train, return_inverse=True, return_counts=True)[1]


def _check_indicators(samples: Samples) -> None:
    for y in (samples.y_train, samples.y_test):
        wrong = y[(y != 0) & (y != 1)]
        if len(wrong):
            raise DataError(
                f"{samples.name}: a target is {wrong[0]:g}; multilabel needs 0 or 1 for each label"
            )
