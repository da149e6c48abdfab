"""Evaluation: how good a model is on some samples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import isfinite
from typing import Any

import numpy as np

from xpnet.arrays import (
    Array,
    Arrays,
    HostArray,
    namespace,
    on_device_of,
    require_same_device,
)
from xpnet.checks import Hinting, checked
from xpnet.data.dataset import BLOCK
from xpnet.errors import DataError
from xpnet.fitting.scaling import checked_samples
from xpnet.fitting.scoring import (
    MOST_CLASSES,
    Baseline,
    ClassScores,
    baseline_of_classes,
    baseline_of_numbers,
    class_scores,
    metrics_of,
    outputs_of,
    whole,
)
from xpnet.losses import Loss, loss_for
from xpnet.metric_formulas import interval
from xpnet.model import Model
from xpnet.network import Network
from xpnet.plausible import checked_on_host
from xpnet.prediction import infer_on_numpy, predicted_columns
from xpnet.weights import saying_what_was_removed, without_weightless


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
        precision, recall and f1, macro means over the classes; of two classes also roc_auc and
        average_precision; of several labels a sample f1_micro and f1_macro; of numbers r2 and
        mean_absolute_error; and of quantiles, by the loss "pinball", below_J_Q, the part of the
        targets that is below output J, which is meant to be Q.
    baseline : Baseline or None
        What the best constant answer scores; None for rows of probabilities.
    classes : tuple of ClassScores
        Rows, precision, recall and F1 of each class, or of each of several labels.
    confusion_matrix : tuple of tuples of int or float, or None
        How many samples of each class (rows) were predicted as each class (columns); for up to 20
        classes (for more see `metrics.confusion_matrix`).
    """

    samples: int
    loss: float
    accuracy: float | None
    interval: tuple[float, float] | None
    metrics: Mapping[str, float]
    baseline: Baseline | None = None
    classes: tuple[ClassScores, ...] = field(default=(), repr=False)
    confusion_matrix: tuple[tuple[float, ...], ...] | None = field(default=None, repr=False)


@checked
def evaluate(
    model: Model, x: Any, y: Any, loss: str | Loss | None = None, sample_weight: Any = None
) -> Evaluation:
    """Evaluate a model on samples, on the device that holds x.

    Logits are computed there, and scores of them on the host in float64.

    Parameters
    ----------
    model : Model
    x, y : arrays, lists, frames or series
        As for `fit`; columns of a frame are found by the names that the model has.
    loss : str or Loss, optional
        By name or an instance, as for `fit`.  By default that of `default_loss`: cross-entropy in
        nats for classes; for a regression the loss that the model was trained with, in the units of
        the targets.
    sample_weight : array, list or series (n,), optional
        How much each sample counts in every score: one of weight k as k samples, one of weight 0 as
        if it were not there, whatever it holds.

    Returns
    -------
    Evaluation

    Raises
    ------
    UsageError, DataError
        x, y or `sample_weight` isn't what it should be, the loss is for other outputs, or outputs
        or the loss are not finite.

    Warns
    -----
    UserWarning
        Samples are far from those of the training (`plausible.check`).
    """
    loss = default_loss(model) if loss is None else loss_for(model.output, loss)
    require_same_device(x, sample_weight, "sample_weight")
    kept, y, w = without_weightless(x, y, sample_weight)
    quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")
    with saying_what_was_removed(x, kept):
        x, t, model = checked_samples(model, kept, y, loss)
        with on_device_of(x), quiet:
            logits, n = logits_of(model.network, model.params, x), x.shape[0]
            parts = [x[start : min(start + BLOCK, n), ...] for start in range(0, n, BLOCK)]
            # Here, once, the device is waited for.
            z = checked_on_host(model, x, namespace(x).concat([logits(part) for part in parts]))
            found = _evaluation_of(model, loss, z, t, w)
    if not isfinite(found.loss):
        raise DataError(
            f"the loss is {found.loss}, for outputs as large as {np.max(np.abs(z)):.4g}; scale the "
            "input and the targets"
        )
    return found


def _evaluation_of(
    model: Model, loss: Loss, z: HostArray, t: HostArray, w: HostArray | None
) -> Evaluation:
    """Return the evaluation of logits on the host."""
    outputs = outputs_of(model, z, t, w)
    metrics, predictions, unit = metrics_of(model, loss, outputs), outputs.predictions, outputs.unit
    n, value = len(z), metrics.pop("loss")
    if not model.labels:
        baseline = baseline_of_numbers(model, loss, outputs)
        return Evaluation(n, value, None, None, metrics, baseline)
    if predictions is None:
        return Evaluation(n, value, None, None, metrics)
    accuracy, total = metrics.pop("accuracy"), float(outputs.weights.sum())
    between = interval(float(outputs.weights @ predictions.correct) * unit, total * unit)
    matrix = None
    if not model.multilabel and predictions.m <= MOST_CLASSES:
        matrix = tuple(map(tuple, whole(predictions.confusion_matrix * unit)))
    return Evaluation(
        n, value, accuracy, between, metrics, baseline_of_classes(model, predictions, between[0]),
        class_scores(model, predictions, unit), matrix,
    )  # fmt: skip


def default_loss(model: Model) -> Loss:
    """Return the loss that a model is evaluated with, if no other is named.

    Classes are evaluated with the cross-entropy of their output, so that models that were trained
    with different losses can be compared; a regression with the loss that it was trained with.
    """
    return loss_for(model.output, None if model.labels or model.loss is None else model.loss)


def logits_of(network: Network, params: Sequence[Arrays], x: Array) -> Callable[[Array], Array]:
    """`network.infer` with these arrays, as a function of samples such as x; nothing waits."""
    if not isinstance(x, np.ndarray):
        return partial(network.infer, params)
    infer = infer_on_numpy(network, params)
    return lambda samples: _by_columns(infer(samples))


def _by_columns(z: HostArray) -> HostArray:
    """The same logits, where they are few in a row, in memory one column after another.

    A softmax needs the maximum and the sum of each row.  NumPy takes them one row at a time, or,
    of such an array, of all rows at once: of ten columns in a tenth of the time.
    """
    return np.asfortranarray(z) if z.shape[1] <= 20 else z


def tally(z: Array, t: Array, w: Array | None, loss: Loss, multilabel: bool) -> tuple[Array, ...]:
    """The sum of the losses of logits z and, where there are classes, the number of hits.

    Both are of the weights w; without, the number is of int32.  A sample with several labels is a
    hit where all of them are right.
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
        right = (t if _are_labels(t) else xp.argmax(t, axis=1)) == predicted
    if w is None:
        return total, xp.sum(xp.astype(right, xp.int32), dtype=xp.int32)
    return total, xp.sum(xp.astype(right, w.dtype) * w)


def counts_hits(loss: Loss, t: Array, multilabel: bool) -> bool:
    """Whether a prediction is right or wrong.

    Rows of softmax have a most probable label, others none.
    """
    return loss.output == "softmax" or (loss.output == "sigmoid" and (_are_labels(t) or multilabel))


def _are_labels(t: Array) -> bool:
    return len(t.shape) == 1
