"""Tasks: what targets are for, as they look, and targets in the type that a task takes."""

import numpy as np

from xpnet.arrays import HostArray
from xpnet.data.labels import different, is_exact, is_one_hot
from xpnet.data.tables import is_number

FEW = 20  # so many different whole numbers, or the root of the number of samples, may be classes


def infer(y: HostArray) -> tuple[str, str]:
    """The task that targets (n,) or (n, k) suggest, and why, in a few words."""
    if y.ndim == 2 and y.shape[1] > 1:
        if is_one_hot(y):
            why = (
                f"one 1 in each row of {y.shape[1]} columns; --task multilabel takes several labels"
            )
            return "classification", why
        if np.all((y == 0) | (y == 1)):
            return "multilabel", f"{y.shape[1]} columns of 0 and 1"
        return "regression", f"{y.shape[1]} numbers each"
    if y.dtype.kind == "U":
        return "classification", f"{len(different(y))} names"
    if y.dtype.kind == "f" and np.any(y != np.floor(y)):
        return "regression", "numbers that are not whole"
    n = len(different(y))
    why = f"{n:,} different whole numbers"
    if n <= max(FEW, len(y) ** 0.5) and (n <= 2 or 2 * n <= len(y)):
        return "classification", why
    return "regression", f"{why} in {len(y):,} rows; --task classification takes them as classes"


def classes_in(y: HostArray, task: str) -> HostArray | None:
    """Return the class of each row of targets, from 0; None if the task has no classes."""
    if task != "classification":
        return None
    if y.ndim == 2:
        return np.argmax(y, axis=1) if is_one_hot(y) else None
    return np.unique(y, return_inverse=True, return_counts=True)[1]


def targets_for(
    task: str, y: HostArray, written: HostArray | None = None, names: bool = False
) -> HostArray:
    """Targets y (n,) in the type that a task takes.

    Parameters
    ----------
    task : str
        For a classification, numbers that are not whole become names; for all other tasks, names
        that are all numbers become numbers.
    y : numeric or string array (n,) or (n, k)
        All else stays as it is.
    written : array of str (n,), optional
        y as it is written in a file: the names that numbers become.
    names : bool, default False
        Whether the labels of a classification are names, even if y is whole numbers.
    """
    if y.ndim > 1:
        return y
    if task != "classification":
        return _numbers(y) if y.dtype.kind == "U" else y
    if y.dtype.kind == "U" or not (names or y.dtype.kind == "f"):
        return y
    if written is not None:
        return written
    if y.dtype.kind == "f" and not np.all(is_exact(y) | (y != np.floor(y))):
        return y  # whose digits are lost
    return np.asarray([str(number).removesuffix(".0") for number in y])


def _numbers(texts: HostArray) -> HostArray:
    """Return texts that are all finite numbers as float64; others as they are."""
    values = texts.tolist()
    if not all(map(is_number, values)):
        return texts
    numbers = np.asarray([*map(float, values)])
    return numbers if np.all(np.isfinite(numbers)) else texts
