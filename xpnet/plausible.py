"""Checks of predictions: outputs that are not finite, and samples unlike those of the training.

A network has an answer to everything.  `check` raises a DataError if an output is not a finite
number, and warns of samples far from those that the scaling of the input was found on.  If all is
well, that is one flag, for which the device is waited for once; `report` looks for what a message
says.  `Model.__call__` checks nothing.
"""

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnet.arrays import (
    Array,
    HostArray,
    device_of,
    has_float64,
    namespace,
    on_device_of,
    to_numpy,
    without_history,
)
from xpnet.data.dataset import BLOCK
from xpnet.data.frames import flattened
from xpnet.errors import DataError
from xpnet.limits import DARKNESS, DEVIATIONS, constants_of, contains, outputs_fit
from xpnet.prediction import infer_in_blocks

SQUARE = 1e150  # whose square is finite in float64
SHOWN = 3  # rows and columns that a message names


def checked_logits(model: Any, x: Any, name: str = "") -> Array:
    """Return the logits of samples x, as `model(x)` does, after `check`."""
    given, x = x, model.flatten(x)
    if isinstance(x, np.ndarray):
        infer, within = model.on_numpy
        if within(x):
            z = infer(x)
            if outputs_fit(model.limits, z):
                return z
        else:
            with _without_warnings():
                z = infer(x)
        report(model.like(x), x, z, name, given)
        return z
    with on_device_of(x), _without_warnings():
        model = model.like(x)
        z = infer_in_blocks(model.network, model.params, x)
        check(model, x, z, name, given)
        return z


def _without_warnings() -> np.errstate:
    """A context without NumPy's warnings of numbers too large, of which an error says more."""
    return np.errstate(over="ignore", invalid="ignore")


def checked_on_host(model: Any, x: Array, z: Array) -> HostArray:
    """Return the logits z of samples x on the host, after `check`; waits for the device once."""
    if isinstance(z, np.ndarray):
        check(model, x, z)
        return z
    xp = namespace(z)
    flag = xp.reshape(xp.astype(_fine(model, x, z), z.dtype), (1,))
    numbers = to_numpy(xp.concat([xp.reshape(z, (-1,)), flag]))
    if not numbers[-1]:
        report(model, x, z)
    return numbers[:-1].reshape(z.shape)


def check(model: Any, x: Array, z: Array, name: str = "", given: Any = None) -> None:
    """Raise an error or warn where logits z (n, m) of samples x (n, width) are not to be trusted.

    Waits for the device once.  Inside `jax.jit` nothing is checked.

    Parameters
    ----------
    model : Model
        With its arrays where x and z are (`Model.like`).
    x, z : arrays
    name : str, optional
        What the samples are called in front of a message, as in "digits.npy: ".
    given : array or list, optional
        The samples before `Model.flatten`, where that may have made large numbers infinite.

    Raises
    ------
    DataError
        An output, or a number of x, is not finite; it names the rows.

    Warns
    -----
    UserWarning
        Numbers of x are beyond 20 deviations from the mean that the model's `Standardize` has, or
        the maximum of an image is above 0 and below 1/50 of its scale.
    """
    if device_of(x) is not None and not bool(_fine(model, x, z)):
        report(model, x, z, name, given)


def _fine(model: Any, x: Array, z: Array) -> Any:
    """Return whether `check` finds nothing, as a 0-d bool array; of NumPy as a bool of Python."""
    xp, limits = namespace(x), model.limits
    if isinstance(x, np.ndarray):
        return model.on_numpy[1](x) and outputs_fit(limits, z)
    return xp.all(xp.isfinite(z) & (z <= limits.highest)) & contains(limits, x, z.dtype)


def report(model: Any, x: Array, z: Array, name: str = "", given: Any = None) -> None:
    """Raise the error or give the warning of `check`, if there is one; look at every number."""
    n, limits = x.shape[0], model.limits
    outputs = in_float64(z)
    wrong = ~np.all(np.isfinite(outputs) & (outputs <= limits.highest), axis=1)
    samples = _Samples(model, n)
    for start in range(0, n, BLOCK):
        samples.look(start, in_float64(x[start : min(start + BLOCK, n), ...]))
    rows = np.flatnonzero(wrong | ~samples.finite)
    if len(rows):
        subject = "an output is" if np.any(wrong) else "an input is"
        if np.all(samples.finite):
            why = _too_large(model, x, rows)
        else:
            why = f"The input {fault(model, x if given is None else given)}"
        raise DataError(f"{name}{subject} not finite in {_listed(rows, n)}. {why}")
    text = samples.text() if limits.scaled else ""
    if text:
        warnings.warn(f"{name}{text}", UserWarning, stacklevel=_level_of_caller())


class _Samples:
    """What is unlike the training samples in n samples, which are looked at in blocks.

    Parameters
    ----------
    model : Model
    n : int
    """

    def __init__(self, model: Any, n: int) -> None:
        self.model, self.n = model, n
        self.mean, self.scale = constants_of(model)
        self.low, self.high = to_numpy(model.limits.low), to_numpy(model.limits.high)
        width = len(self.mean)
        self.finite = np.ones(n, dtype=bool)
        self.top = np.zeros(n)  # the maximum of each sample
        self.far = np.zeros(n, dtype=bool)
        self.counts = np.zeros(width, dtype=np.int64)  # of each column, the numbers that are far
        self.rows = np.zeros(width, dtype=np.int64)  # the row of that which is farthest
        self.values = np.zeros(width)
        self.distances = np.zeros(width)

    def look(self, start: int, x: HostArray) -> None:
        """Look at samples x (rows, width), of which the first is sample `start`."""
        part, columns = slice(start, start + len(x)), np.arange(x.shape[1])
        self.finite[part] = np.all(np.isfinite(x), axis=1)
        self.top[part] = np.max(x, axis=1)
        beyond = (x < self.low) | (x > self.high)
        self.far[part] = np.any(beyond, axis=1)
        self.counts += np.sum(beyond, axis=0)
        distances = np.where(beyond, np.abs(x - self.mean) / self.scale, 0)
        row = np.argmax(distances, axis=0)
        farther = distances[row, columns] > self.distances
        for kept, found in (
            (self.rows, start + row), (self.values, x[row, columns]),
            (self.distances, distances[row, columns]),
        ):  # fmt: skip
            kept[farther] = found[farther]

    def text(self) -> str:
        """Return the text of the warning, or "" if all samples are like those of the training."""
        dark = self.model.limits.dark
        rows = np.flatnonzero((self.top > 0) & (self.top < dark))
        found = [self._far()] if np.any(self.far) else []
        if len(rows):
            found.append(
                f"{_of(len(rows), self.n)} images have a maximum above 0 and below 1/{DARKNESS} of "
                f"the scale of the training images, {dark * DARKNESS:.4g}: {self.top[rows[0]]:.4g} "
                f"in row {rows[0]}; were they divided by 255?"
            )
        if not found:
            return ""
        return f"{'; and '.join(found)} Give samples in the units of the training samples."

    def _far(self) -> str:
        """Return which columns have numbers that are far from the mean."""
        columns = np.argsort(-self.distances, kind="stable")[: np.count_nonzero(self.counts)]
        text = (
            f"the input is more than {DEVIATIONS} deviations from the mean of the training samples "
            f"in {_of(int(np.sum(self.far)), self.n)} rows: "
        )
        if isinstance(self.model.limits.low, float):  # pixels
            divided = np.max(self.scale) < 1
            question = "; were the training images divided by 255?" if divided else "."
            return f"{text}{self._worst(columns[0])}{question}"
        each = [
            f"column {column(self.model, j)} has {self._worst(j)} and is so in "
            f"{_of(int(self.counts[j]), self.n)} rows"
            for j in columns[:SHOWN]
        ]
        more = len(columns) - SHOWN
        return text + "; ".join(each) + (f"; and {more} more columns" if more > 0 else "") + "."

    def _worst(self, j: int) -> str:
        """Return the number of column j that is farthest from the mean."""
        return (
            f"{self.values[j]:.10g} in row {self.rows[j]} (mean {self.mean[j]:.10g}, deviation "
            f"{self.scale[j]:.4g})"
        )


def fault(model: Any, x: Any) -> str:
    """Return which numbers of samples x are not finite, or too large; and what to do about it.

    Samples are as they were given: `Model.flatten` may make large numbers infinite.
    """
    x = flattened(x, model.input_shape, model.network.fan_in, model.columns)
    numbers = in_float64(x)
    finite = np.isfinite(numbers)
    rows = np.flatnonzero(~np.all(finite, axis=1))
    if not len(rows):
        wrong = np.max(np.abs(numbers), axis=0) > np.finfo(model.dtype).max
        return unfit(numbers, model.dtype, wrong, model.columns)
    i = int(rows[0])
    j = int(np.flatnonzero(~finite[i])[0])
    return (
        f"holds NaN or infinite numbers in {_listed(rows, len(finite))}: column "
        f"{column(model, j)} of row {i} is {numbers[i, j]}. Fill the gaps, or remove these rows."
    )


def unfit(numbers: HostArray, dtype: str, wrong: HostArray, names: Sequence[str] = ()) -> str:
    """Return which columns of numbers (n, k) a model of this type cannot take, and what to do.

    Parameters
    ----------
    numbers : float64 array (n, k)
    dtype : str
        The model's.
    wrong : bool array (k,)
        The columns.
    names : sequence of str, optional
        Of all columns; by default their numbers.
    """
    columns, named = np.flatnonzero(wrong), len(names) == len(wrong)
    sizes = np.abs(numbers[:, columns])
    i, j = np.unravel_index(int(np.argmax(sizes)), sizes.shape)
    size, kind = sizes[i, j], np.finfo(dtype)
    what = "whose squares" if size <= kind.max / 2 else "whose differences"
    what = what if kind.tiny <= size <= kind.max else "that"
    listed = [repr(names[c]) if named else str(c) for c in columns[:SHOWN]]
    more = ", ..." if len(columns) > SHOWN else ""
    many = "s" * (len(columns) > 1)
    wider = ", or use float64" if dtype == "float32" and size < SQUARE else ""
    return (
        f"has numbers {what} {dtype} cannot hold in column{many} {', '.join(listed)}{more}: "
        f"{numbers[i, columns[j]]:.6g} in row {i}. Scale the column{many}{wider}."
    )


def _too_large(model: Any, x: Array, rows: HostArray) -> str:
    """Return why outputs of finite samples are not finite, and what to do."""
    if not np.all(np.isfinite(to_numpy(model.theta))):
        return "Parameters of the model are not finite: train it again, with a lower learning rate."
    i = int(rows[0])
    row = in_float64(x[i : i + 1, ...])[0]
    j = int(np.argmax(np.abs(row)))
    return (
        f"The input is finite, and numbers become too large for {model.dtype}: row {i} has "
        f"{row[j]:.6g} in column {column(model, j)}. Scale the input."
    )


def farthest(model: Any, x: Array) -> tuple[float, str]:
    """Return how many deviations from the mean a number of samples x is at most, and which it is.

    Without a `Standardize` in front of the model, the mean is 0 and the deviation 1.
    """
    mean, scale = constants_of(model)
    most, which = -1.0, ""
    for start in range(0, x.shape[0], BLOCK):
        numbers = in_float64(x[start : min(start + BLOCK, x.shape[0]), ...])
        with _without_warnings():
            distances = np.abs(numbers - mean) / scale
        i, j = divmod(int(np.argmax(distances)), numbers.shape[1])
        if distances[i, j] > most:
            most = float(distances[i, j])
            which = f"column {column(model, j)} has {numbers[i, j]:.6g} in row {start + i}"
    return most, which


def in_float64(x: Array) -> HostArray:
    """Return an array of any library and numeric type, such as bfloat16, on the host in float64."""
    if not isinstance(x, np.ndarray):
        xp = namespace(x)
        x = to_numpy(xp.astype(without_history(x), xp.float64 if has_float64(x) else xp.float32))
    with _without_warnings():
        found: HostArray = x.astype(np.float64)
    return found


def column(model: Any, j: int) -> str:
    """Return the name of a column of the input, or its number."""
    named = len(model.columns) == model.network.fan_in
    return repr(model.columns[j]) if named else str(j)


def _of(part: int, n: int) -> str:
    return f"{part:,} of {n:,}"


def _listed(rows: HostArray, n: int) -> str:
    """Return the first of these rows, and how many there are."""
    more = ", ..." if len(rows) > SHOWN else ""
    first = ", ".join(map(str, rows[:SHOWN].tolist()))
    return f"row{'s' * (len(rows) > 1)} {first}{more} ({_of(len(rows), n)})"


def _level_of_caller() -> int:
    """Return the stack level, for the function that asks, of the first caller outside of xpnet."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals["__name__"].partition(".")[0] == "xpnet":
        frame, level = frame.f_back, level + 1
    return level
