"""Scores of logits, computed on the host in float64: the same whatever computed the logits.

Metrics depend neither on the unit of the targets nor on that of the weights.  The interval of the
accuracy, whether the baseline is beaten, and R² of one sample do: a weight counts samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import nan, sqrt
from typing import Any

import numpy as np

from xpnet import metric_formulas as formulas
from xpnet.arrays import HostArray
from xpnet.checks import choose
from xpnet.data.labels import Label
from xpnet.losses import Loss, Pinball
from xpnet.model import Model
from xpnet.prediction import predicted_columns
from xpnet.weights import weight_scale

LOWER_IS_BETTER = frozenset({"loss", "calibration_error", "mean_absolute_error"})
NUMBERS_AT_ONCE = 2**20  # of the logits that are computed with in float64
MOST_CLASSES = 20  # of a confusion matrix


class Metrics(dict[str, float]):
    """Numbers by name; a name that is not there is answered by those that are."""

    def __missing__(self, name: str) -> float:
        return self[choose("metric", name, self)]


@dataclass(frozen=True)
class Baseline:
    """What the best constant answer scores on the same samples.

    Attributes
    ----------
    answer : label, tuple of labels, or tuple of float
        The most frequent label, or set of labels; of numbers the means of the targets, one for each
        output; of quantiles theirs.
    metrics : mapping of str to float
        "accuracy"; of numbers "r2", 0 or of constant targets 1, and "mean_absolute_error"; of
        quantiles "loss".
    beaten : bool
        Whether the model is better beyond chance: its 95 % interval of the accuracy is above the
        accuracy here; of numbers, the 95 % interval of the mean difference of the squared errors is
        above 0; of quantiles, that of the losses.
    """

    answer: Label | tuple[Label, ...] | tuple[float, ...]
    metrics: Metrics
    beaten: bool


@dataclass(frozen=True)
class ClassScores:
    """How well one class, or one of several labels, was predicted.

    Attributes
    ----------
    label : int or str
    rows : int or float
        Its samples, or the sum of their weights.
    precision, recall, f1 : float
        As by `metrics.precision_recall_f1`.
    """

    label: Label
    rows: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Predictions:
    """Labels and what was predicted: columns (n,), or of several labels a sample 0 and 1 (n, m).

    Attributes
    ----------
    t, predicted : integer arrays
    w : float64 array (n,)
    m : int
        How many labels there are.
    """

    t: HostArray
    predicted: HostArray
    w: HostArray
    m: int

    @cached_property
    def correct(self) -> HostArray:
        """Whether each sample has its label, or all of its labels."""
        equal = self.t == self.predicted
        correct: HostArray = equal if equal.ndim == 1 else np.all(equal, axis=1)
        return correct

    @cached_property
    def counts(self) -> tuple[HostArray, ...]:
        """The true positives, the predicted positives and the support of each label."""
        t, predicted, w = self.t, self.predicted, self.w
        if t.ndim == 2:
            return formulas.counts(t, predicted, self.m, w)
        some = (t[self.correct], w[self.correct]), (predicted, w), (t, w)
        return tuple(np.bincount(columns, weights, self.m) for columns, weights in some)

    @property
    def confusion_matrix(self) -> HostArray:
        """How many samples of label i were predicted as label j, (m, m)."""
        pairs = np.bincount(self.t * self.m + self.predicted, self.w, self.m * self.m)
        return pairs.reshape(self.m, self.m)


@dataclass(frozen=True)
class Outputs:
    """What scores are computed of.

    Attributes
    ----------
    z : floating-point array (n, m)
        Logits.
    t : int32 array (n,), or float64 array (n, m)
        Columns of the labels, or targets.
    w : float64 array (n,), or None
        Weights above 0, divided by their unit.
    unit : float
    predictions : Predictions or None
        None of numbers, and where no answer is right or wrong: rows of softmax have a most probable
        label, other rows of probabilities have none.
    """

    z: HostArray
    t: HostArray
    w: HostArray | None
    unit: float
    predictions: Predictions | None

    @cached_property
    def weights(self) -> HostArray:
        """The weights, or ones."""
        return np.ones(len(self.z)) if self.w is None else self.w


def outputs_of(model: Model, z: HostArray, t: HostArray, w: HostArray | None) -> Outputs:
    """Return logits, targets and weights as scores are computed of them, and the predictions."""
    unit = 1.0 if w is None else weight_scale(w)
    w = None if w is None else w.astype(np.float64) / unit
    t = t if t.ndim == 1 else t.astype(np.float64)
    found = Outputs(z, t, w, unit, None)
    if not model.labels or (t.ndim == 2 and model.output == "sigmoid" and not model.multilabel):
        return found
    if model.multilabel:
        labels = (t > 0.5).astype(np.int32)
    else:
        labels = t if t.ndim == 1 else t.argmax(axis=1)
    predicted = predicted_columns(z, model.multilabel)
    return replace(
        found, predictions=Predictions(labels, predicted, found.weights, len(model.labels))
    )


def scores_of(
    model: Model, loss: Loss, z: HostArray, t: HostArray, w: HostArray | None = None
) -> Metrics:
    """Return the loss and all metrics by name, of logits z, targets t and weights w (`Outputs`).

    Returns
    -------
    Metrics
        "loss"; of classes and several labels "accuracy"; and those of `Evaluation.metrics`.
    """
    return metrics_of(model, loss, outputs_of(model, z, t, w))


def metrics_of(model: Model, loss: Loss, outputs: Outputs) -> Metrics:
    """Return `scores_of`."""
    found = Metrics(loss=_mean_loss(loss, outputs.z, outputs.t, outputs.w))
    if isinstance(loss, Pinball):
        return Metrics(found | _of_quantiles(loss, outputs))
    if not model.labels:
        return Metrics(found | _of_numbers(model, outputs))
    if outputs.predictions is None:
        return found
    found["accuracy"] = float(formulas.mean(outputs.predictions.correct, outputs.weights))
    if model.multilabel:
        h, p, a = outputs.predictions.counts
        for average in ("micro", "macro"):
            found[f"f1_{average}"] = float(formulas.averaged(h, p, a, average, True)[2])
        return found
    return Metrics(found | _of_classes(model, outputs.z, outputs.predictions))


def class_scores(model: Model, predictions: Predictions, unit: float) -> tuple[ClassScores, ...]:
    """Return the scores of each class, whose rows are counted in units of the weights."""
    counts = predictions.counts
    columns = zip(*(x.tolist() for x in formulas.precision_recall_f1(*counts)), strict=True)
    rows = zip(model.labels, whole(counts[2] * unit), columns, strict=True)
    return tuple(ClassScores(label, n, *means) for label, n, means in rows)


def whole(x: HostArray) -> Any:
    """Return numbers as lists, in which whole ones are of int."""
    exact = np.all(x == np.floor(x)) and np.all(np.abs(x) < 2**53)
    return (x.astype(np.int64) if exact else x).tolist()


def baseline_of_classes(model: Model, predictions: Predictions, low: float) -> Baseline:
    """Return the baseline of classes, given the lower end of the interval of the accuracy."""
    t, w = predictions.t, predictions.w
    if model.multilabel:
        packed = np.packbits(t.astype(bool), axis=1)  # sorted in less time
        _, first, which = np.unique(packed, axis=0, return_index=True, return_inverse=True)
        rows = np.bincount(which.reshape(-1), w)
        labels = zip(model.labels, t[first[rows.argmax()]], strict=True)
        answer: Any = tuple(label for label, yes in labels if yes)
    else:
        rows = predictions.counts[2]
        answer = model.labels[rows.argmax()]
    accuracy = float(rows.max() / rows.sum())
    return Baseline(answer, Metrics(accuracy=accuracy), low > accuracy)


def baseline_of_numbers(model: Model, loss: Loss, outputs: Outputs) -> Baseline:
    """Return the baseline of numbers: their means; of quantiles, the quantiles of the targets."""
    z, t, w, unit = outputs.z.astype(np.float64), outputs.t, outputs.weights, outputs.unit
    if isinstance(loss, Pinball):
        q = np.asarray(loss.quantiles)
        pairs = zip(t.T, np.broadcast_to(q, t.shape[1]), strict=True)
        answer = np.stack(
            [np.quantile(column, part, weights=w, method="inverted_cdf") for column, part in pairs]
        )
        errors = [np.mean(np.maximum(q * (t - y), (q - 1) * (t - y)), axis=1) for y in (answer, z)]
        metrics = Metrics(loss=float(formulas.mean(errors[0], w)))
        return Baseline(tuple(answer.tolist()), metrics, _above_0(errors[0] - errors[1], w, unit))
    y = model.probabilities(z)
    centre = t[0] + _column_means(t - t[0], w)  # of a constant column it is exact
    mean_absolute_error = float(formulas.mean_absolute_error(t, centre + 0 * t, w))
    met = bool(np.all(t == t[0]))  # the mean of constant targets is each of them
    metrics = Metrics(r2=float(met), mean_absolute_error=mean_absolute_error)
    return Baseline(tuple(centre.tolist()), metrics, _above_0(_explained(t, y, centre, w), w, unit))


def _mean_loss(loss: Loss, z: HostArray, t: HostArray, w: HostArray | None) -> float:
    """Return the mean of the loss, in float64."""
    total = 0.0
    for block, rows in _blocks(z):
        value, _ = loss.forward(block, t[rows], None if w is None else w[rows])
        total += float(value) * len(block)
    return total / (len(z) if w is None else float(w.sum()))


def _of_quantiles(loss: Pinball, outputs: Outputs) -> dict[str, float]:
    quantiles = loss.quantiles * (outputs.z.shape[1] // len(loss.quantiles))
    hit = (outputs.t < outputs.z).astype(np.float64)
    below = _column_means(hit, outputs.weights).tolist()
    return {f"below_{j}_{q:g}": x for j, (q, x) in enumerate(zip(quantiles, below, strict=True))}


def _of_numbers(model: Model, outputs: Outputs) -> dict[str, float]:
    t, w, y = outputs.t, outputs.weights, model.probabilities(outputs.z.astype(np.float64))
    one_sample = len(t) == 1 and w[0] * outputs.unit <= 1
    r2 = nan if one_sample else float(formulas.r2(t, y, w))
    return {"r2": r2, "mean_absolute_error": float(formulas.mean_absolute_error(t, y, w))}


def _of_classes(model: Model, z: HostArray, predictions: Predictions) -> dict[str, float]:
    t, w = predictions.t, predictions.w
    h, p, a = predictions.counts
    found = {"balanced_accuracy": float(formulas.balanced_accuracy(h, a))}
    means = formulas.averaged(h, p, a, "macro", False)
    found |= zip(("precision", "recall", "f1"), map(float, means), strict=True)
    confidence = np.concat([model.probabilities(block).max(axis=1) for block, _ in _blocks(z)])
    error = formulas.calibration_error(confidence, predictions.correct, w=w)
    found["calibration_error"] = float(error)
    if predictions.m == 2:
        s = z[:, -1].astype(np.float64) - (z[:, 0] if z.shape[1] == 2 else 0)
        found["roc_auc"] = float(formulas.roc_auc(t == 1, s, w))
        found["average_precision"] = float(formulas.average_precision(t == 1, s, w))
    return found


def _explained(t: HostArray, y: HostArray, centre: HostArray, w: HostArray) -> HostArray:
    """Return how much of each squared deviation y explains, (n,); its mean is R²."""
    deviation, d = t - centre, t - y
    unit = np.max(np.abs(deviation), axis=0)
    varies = unit > 0
    deviation, d = deviation[:, varies] / unit[varies], d[:, varies] / unit[varies]
    explained = (deviation**2 - d**2) / _column_means(deviation**2, w)
    return explained.mean(axis=1) if varies.any() else np.zeros(len(t))


def _above_0(d: HostArray, w: HostArray, unit: float) -> bool:
    """Whether the normal 95 % interval of the mean of d (n,) is above 0, for weights w * unit."""
    d = d / (np.max(np.abs(d)) or 1.0)
    n, mean = float(w.sum()) * unit, float(w @ d / w.sum())
    variance = float(w @ (d - mean) ** 2 / w.sum())  # times n/(n - 1): without bias
    return n > 1 and mean > formulas.Z * sqrt(variance / (n - 1))


def _column_means(x: HostArray, w: HostArray) -> HostArray:
    means: HostArray = (w @ x) / w.sum()
    return means


def _blocks(z: HostArray) -> Iterator[tuple[HostArray, slice]]:
    """Yield the logits in float64, some rows at a time, and which rows these are.

    Where they are few in a row, they lie in memory one column after another: a softmax needs the
    maximum and the sum of each row, and NumPy then takes those of all rows at once.
    """
    n = max(NUMBERS_AT_ONCE // z.shape[1], 1)
    for start in range(0, len(z), n):
        rows = slice(start, start + n)
        yield z[rows].astype(np.float64, order="F" if z.shape[1] <= 20 else "C"), rows
