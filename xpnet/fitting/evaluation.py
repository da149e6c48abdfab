"""Evaluation: how good a model is on some samples."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from xpnet.arrays import Array, Arrays, HostArray, namespace, on_device_of, to_numpy
from xpnet.checks import Hinting, checked, choose
from xpnet.data.dataset import BLOCK, Dataset
from xpnet.fitting.scaling import prepare
from xpnet.losses import Loss, Pinball, loss_for
from xpnet.metrics import (
    interval,
    mean_absolute_error,
    r2,
    unchecked_balanced_accuracy,
    unchecked_calibration_error,
    unchecked_precision_recall_f1,
)
from xpnet.model import Model
from xpnet.network import Network
from xpnet.prediction import infer_on_numpy, predicted_columns


class Metrics(dict[str, float]):
    """Numbers by name; a name that is not there is answered by those that are."""

    def __missing__(self, name: str) -> float:
        return self[choose("metric", name, self)]


@dataclass(frozen=True)
class Evaluation(Hinting):
    """How good a model is on some samples.

    Attributes
    ----------
    samples : int
    loss : float
        Mean loss.
    accuracy : float or None
        Part of the samples whose label, or all of whose labels, were predicted; None for
        regression.
    interval : (float, float) or None
        Its 95 % confidence interval (`metrics.interval`).
    metrics : mapping of str to float
        By the names of `xpnet.metrics`: of classes balanced_accuracy, calibration_error, and
        precision, recall and f1, means over the classes; of several labels a sample f1_micro and
        f1_macro; of numbers r2 and mean_absolute_error; and of quantiles, by the loss "pinball",
        below_J_Q, the part of the targets that is below output J, which is meant to be Q.
    """

    samples: int
    loss: float
    accuracy: float | None
    interval: tuple[float, float] | None
    metrics: Mapping[str, float]


@checked
def evaluate(model: Model, x: Any, y: Any, loss: str | Loss | None = None) -> Evaluation:
    """Evaluate a model on samples, on the device that holds x.

    Parameters
    ----------
    model : Model
    x, y : arrays or lists
        As for `fit`.
    loss : str or Loss, optional
        By name or an instance, as for `fit`.  By default that of `default_loss`: cross-entropy in
        nats for classes; for a regression the loss that the model was trained with, in the units of
        the targets.

    Raises
    ------
    UsageError, DataError
        x or y isn't what it should be, or the loss is for other outputs.
    """
    loss = default_loss(model) if loss is None else loss_for(model.output, loss)
    data, model = prepare(model, x, y, loss)
    n = data.x.shape[0]
    with on_device_of(data.x):
        logits = logits_of(model.network, model.params, data.x)
        found = [(logits(x), t, w) for x, t, w in in_order(data)]
        xp = namespace(data.t)
        z = xp.concat([z for z, _, _ in found])
        tallies = [tally(*block, loss, model.multilabel) for block in found]
        total, *hits = (sum(parts) for parts in zip(*tallies, strict=True))
        measured = _measure(model, loss, z, data.t)
        rest = [xp.astype(a, z.dtype) for a in (*hits, *measured.values())]
        numbers = xp.stack([xp.asarray(total), *rest])
        # Here, once, the device is waited for.
        total, *rest = to_numpy(numbers).tolist()
    values = Metrics(zip(measured, rest[len(hits) :], strict=True))
    if not hits:
        return Evaluation(n, total / n, None, None, values)
    hit = min(round(rest[0]), n)  # above 2^24 samples float32 may have rounded up
    return Evaluation(n, total / n, hit / n, interval(hit, n), values)


def default_loss(model: Model) -> Loss:
    """Return the loss that a model is evaluated with, if no other is named.

    Classes are evaluated with the cross-entropy of their output, so that models that were trained
    with different losses can be compared; a regression with the loss that it was trained with.
    """
    return loss_for(model.output, None if model.labels or model.loss is None else model.loss)


def _measure(model: Model, loss: Loss, z: Array, t: Array) -> dict[str, Array]:
    """Return the metrics of logits z (n, m) and targets t, each a 0-d array.

    No value is checked: `evaluate` waits for the device once, at its end.
    """
    xp, classes = namespace(z), len(model.labels)
    if isinstance(loss, Pinball):
        below = xp.astype(t < z, z.dtype)
        quantiles = loss.quantiles * (z.shape[1] // len(loss.quantiles))
        means = [xp.mean(below[:, j]) for j in range(z.shape[1])]
        return {
            f"below_{j}_{q:g}": mean
            for j, (q, mean) in enumerate(zip(quantiles, means, strict=True))
        }
    if not classes:
        y = model.probabilities(z)
        return {"r2": r2(t, y), "mean_absolute_error": mean_absolute_error(t, y)}
    predicted = predicted_columns(z, model.multilabel)
    if model.multilabel:
        t = xp.astype(t > 0.5, xp.int32)
        averages = ("micro", "macro")
        scores = [unchecked_precision_recall_f1(t, predicted, classes, a) for a in averages]
        return {f"f1_{a}": f1 for a, (_, _, f1) in zip(averages, scores, strict=True)}
    if len(t.shape) == 2:
        if model.output == "sigmoid":
            return {}  # rows of probabilities, with no most probable label
        t = xp.argmax(t, axis=1)
    precision, recall, f1 = unchecked_precision_recall_f1(t, predicted, classes)
    return {
        "balanced_accuracy": unchecked_balanced_accuracy(t, predicted, classes),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "calibration_error": unchecked_calibration_error(t, model.probabilities(z)),
    }


def logits_of(network: Network, params: Sequence[Arrays], x: Array) -> Callable[[Array], Array]:
    """`network.infer` with these arrays, as a function of samples such as x; nothing waits."""
    if not isinstance(x, np.ndarray):
        return partial(network.infer, params)
    infer = infer_on_numpy(network, params)
    return lambda samples: _by_columns(infer(samples))


def in_order(data: Dataset) -> Iterator[tuple[Array, Array, Array | None]]:
    """All samples in blocks, as slices: nothing is gathered."""
    for start in range(0, data.x.shape[0], BLOCK):
        part = slice(start, min(start + BLOCK, data.x.shape[0])), ...
        yield data.x[part], data.t[part], None if data.w is None else data.w[part]


def _by_columns(z: HostArray) -> HostArray:
    """The same logits, where they are few in a row, in memory one column after another.

    A softmax needs the maximum and the sum of each row.  NumPy takes them one row at a time, or,
    of such an array, of all rows at once: of ten columns in a tenth of the time.
    """
    return np.asfortranarray(z) if z.shape[1] <= 20 else z


def tally(z: Array, t: Array, w: Array | None, loss: Loss, multilabel: bool) -> tuple[Array, ...]:
    """The sum of the losses of logits z and, where there are classes, the number of hits.

    A sample with several labels is a hit where all of them are right.
    """
    xp = namespace(z)
    value, _ = loss.forward(z, t, w)
    total = value * z.shape[0]
    if not counts_hits(loss, t, multilabel):
        return (total,)
    predicted = predicted_columns(z, multilabel)
    if multilabel:
        right = xp.all(predicted == xp.astype(t > 0.5, xp.int32), axis=1)
    else:
        right = predicted == (t if _are_labels(t) else xp.argmax(t, axis=1))
    if w is not None:
        return total, xp.sum(xp.astype(right, w.dtype) * w)
    return total, xp.sum(xp.astype(right, xp.int32), dtype=xp.int32)


def counts_hits(loss: Loss, t: Array, multilabel: bool) -> bool:
    """Whether a prediction is right or wrong.

    Rows of softmax have a most probable label, others none.
    """
    return loss.output == "softmax" or (loss.output == "sigmoid" and (_are_labels(t) or multilabel))


def _are_labels(t: Array) -> bool:
    return len(t.shape) == 1
