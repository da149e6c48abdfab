"""The formulas of metrics, for arrays that are checked already; no device is waited for.

w (n,), positive, weighs the samples: the results are those of w_i copies of sample i.  None is the
same as all ones.  Counts are of int32, and their ratios of float32; with weights both are of the
type of w.
"""

from math import sqrt

from xpnet.arrays import Array, device_of, namespace
from xpnet.special import one_hot

BINS = 15  # of calibration_error
Z = 1.959963984540054  # standard deviations on each side of a normal 95 % interval


def interval(successes: float, n: float) -> tuple[float, float]:
    """Return the 95 % confidence interval of a probability, given `successes` in n trials.

    Both may be sums of weights, where a trial of weight k counts as k trials.

    Wilson (1927), *Probable inference*: the p for which |successes/n - p| is within 1.96 standard
    deviations √(p (1 - p) / n).  With p̂ = successes / n and z = 1.96:

        (p̂ + z²/2n ± z √(p̂ (1 - p̂) / n + z²/4n²)) / (1 + z²/n)

    Examples
    --------
    >>> interval(9810, 10000)  # doctest: +ELLIPSIS
    (0.9781..., 0.9834...)
    """
    p, c = successes / n, Z * Z / n
    half = sqrt(p * (1 - p) * c + c * c / 4)
    return max(0.0, (p + c / 2 - half) / (1 + c)), min(1.0, (p + c / 2 + half) / (1 + c))


def total(x: Array, w: Array | None = None) -> Array:
    """Return Σ_i w_i x_i of a condition or of counts x (..., n), over its last axis."""
    xp = namespace(x)
    if w is None:
        return xp.sum(xp.astype(x, xp.int32), axis=-1, dtype=xp.int32)
    return xp.sum(xp.astype(x, w.dtype) * w, axis=-1)


def mean(x: Array, w: Array | None = None) -> Array:
    """Return the mean of a condition or of numbers x (n,) or (n, m), over all elements."""
    xp = namespace(x)
    if xp.isdtype(x.dtype, "bool"):
        x = xp.astype(x, xp.float32 if w is None else w.dtype)
    if w is None:
        return xp.mean(x)
    rows = x if len(x.shape) == 1 else xp.mean(x, axis=1)
    return xp.sum(w * rows) / xp.sum(w)


def counts(t: Array, predicted: Array, m: int, w: Array | None = None) -> tuple[Array, ...]:
    """Return the true positives, the predicted positives and the support of each label, (m,) each.

    t and predicted are column numbers (n,) below m, or int32 indicators (n, m).
    """
    if len(t.shape) == 1:
        t, predicted = one_hot(t, m, axis=0), one_hot(predicted, m, axis=0)
    else:
        t, predicted = t.T, predicted.T
    return total(t * predicted, w), total(predicted, w), total(t, w)


def confusion_matrix(t: Array, predicted: Array, m: int, w: Array | None = None) -> Array:
    """Return how many samples of column i were predicted as column j, (m, m)."""
    t, predicted, xp = one_hot(t, m).T, one_hot(predicted, m), namespace(t)
    if w is None:
        return t @ predicted
    return (w * xp.astype(t, w.dtype)) @ xp.astype(predicted, w.dtype)


def precision_recall_f1(h: Array, p: Array, a: Array) -> tuple[Array, ...]:
    """Return precision, recall and F1 of each label, of its `counts`."""
    return _ratio(h, p), _ratio(h, a), _ratio(2 * h, p + a)


def averaged(h: Array, p: Array, a: Array, average: str, indicators: bool) -> tuple[Array, ...]:
    """Return the averages of `precision_recall_f1`: "macro", "micro" or "weighted".

    "macro" leaves out labels that are neither in t nor predicted, but no column of indicators.
    """
    xp = namespace(h)
    if average == "micro":
        h, p, a = (xp.sum(count, keepdims=True, dtype=count.dtype) for count in (h, p, a))
    counted = xp.ones_like(a) if indicators else p + a > 0
    w = a if average == "weighted" else counted
    return tuple(_mean(x, w) for x in precision_recall_f1(h, p, a))


def balanced_accuracy(h: Array, a: Array) -> Array:
    """Return the mean recall of the labels with support, of the `counts` h and a."""
    return _mean(_ratio(h, a), a > 0)


def calibration_error(c: Array, correct: Array, bins: int = BINS, w: Array | None = None) -> Array:
    """Return the expected calibration error of confidences c (n,), and whether each was correct."""
    xp = namespace(c)
    r = xp.astype(correct, c.dtype)
    edges = xp.arange(1, bins, dtype=c.dtype, device=device_of(c)) / bins
    bin_of = xp.sum(xp.astype(c > xp.reshape(edges, (-1, 1)), xp.int32), axis=0, dtype=xp.int32)
    within = xp.astype(one_hot(bin_of, bins, axis=0), c.dtype)
    w = xp.ones_like(c) if w is None else w
    return xp.sum(xp.abs(xp.sum(within * (w * (r - c)), axis=1))) / xp.sum(w)


def roc_auc(positive: Array, s: Array, w: Array) -> Array:
    """Return the area under the ROC curve of scores s (n,); NaN if all or none are positive.

    Of all pairs of a positive and a negative sample, the share in which the positive one has the
    higher score; a pair of equal scores counts 1/2.
    """
    xp = namespace(s)
    p, q = _split(positive, w)
    low, high = _places(s)
    negatives = _sums(q, s)
    lower = (xp.take(negatives, low) + xp.take(negatives, high)) / 2
    return xp.sum(p * lower) / (_or_nan(xp.sum(p)) * _or_nan(xp.sum(q)))


def average_precision(positive: Array, s: Array, w: Array) -> Array:
    """Return the average precision of scores s (n,); NaN if no sample is positive.

    The mean over the positive samples of the precision, if all samples with the same or a higher
    score are predicted positive: Σ_k (R_k - R_k-1) P_k over the different scores.
    """
    xp = namespace(s)
    p, q = _split(positive, w)
    low, _ = _places(s)
    true, false = (sums[-1] - xp.take(sums, low) for sums in (_sums(p, s), _sums(q, s)))
    return xp.sum(p * true / (true + false)) / _or_nan(xp.sum(p))


def mean_absolute_error(t: Array, y: Array, w: Array | None = None) -> Array:
    """Return the mean of |t - y|."""
    d, unit = _in_its_unit(t - y)
    return mean(namespace(t).abs(d), w) * unit


def mean_squared_error(t: Array, y: Array, w: Array | None = None) -> Array:
    """Return the mean of (t - y)²."""
    d, unit = _in_its_unit(t - y)
    return mean(d * d, w) * unit * unit


def pinball_loss(t: Array, y: Array, q: float, w: Array | None = None) -> Array:
    """Return the mean of max(q d, (q - 1) d), d = t - y."""
    d, unit = _in_its_unit(t - y)
    return mean(namespace(t).maximum(q * d, (q - 1) * d), w) * unit


def r2(t: Array, y: Array, w: Array | None = None) -> Array:
    """Return R² averaged over the columns: of a constant one 1 if it is met and else 0.

    Each column is computed in units of its greatest deviation, whose squares are no 0 or infinity.
    """
    xp = namespace(t)
    d, shifted = t - y, t - t[:1, ...]  # a constant column becomes 0 exactly
    _, unit = _in_its_unit(shifted, axis=0)
    d, shifted = d / unit, shifted / unit
    w = xp.ones_like(t[:, ...]) if w is None else xp.reshape(w, (-1,) + (1,) * (len(t.shape) - 1))
    deviation = shifted - xp.sum(w * shifted, axis=0) / xp.sum(w, axis=0)
    residual, variation = xp.sum(w * d * d, axis=0), xp.sum(w * deviation * deviation, axis=0)
    imperfect = xp.astype(xp.any(t != y, axis=0), t.dtype)
    ratio = residual / xp.where(variation == 0, xp.ones_like(variation), variation)
    return xp.mean(1 - xp.where(variation == 0, imperfect, ratio))


def _ratio(a: Array, b: Array) -> Array:
    """Return a / b of counts; 0 where both are 0."""
    xp = namespace(a)
    a, b = (x if xp.isdtype(x.dtype, "real floating") else xp.astype(x, xp.float32) for x in (a, b))
    return a / xp.where(b > 0, b, xp.ones_like(b))


def _mean(x: Array, w: Array) -> Array:
    """Return Σ_j w_j x_j / Σ_j w_j; 0 where all w_j are 0."""
    xp = namespace(x)
    w = xp.astype(w, x.dtype)
    return _ratio(xp.sum(w * x), xp.sum(w))


def _in_its_unit(d: Array, axis: int | None = None) -> tuple[Array, Array]:
    """Return d / u and u, the greatest |d|, or 1 where that is 0 or not finite."""
    xp = namespace(d)
    u = xp.max(xp.abs(d), axis=axis)
    u = xp.where((u > 0) & xp.isfinite(u), u, xp.ones_like(u))
    return d / u, u


def _split(positive: Array, w: Array) -> tuple[Array, Array]:
    """Return the weights of the positive samples, else 0, and those of the negative ones."""
    p = namespace(w).astype(positive, w.dtype) * w
    return p, w - p


def _places(s: Array) -> tuple[Array, Array]:
    """Return for each score how many are below, and how many are not above."""
    xp = namespace(s)
    ordered = xp.sort(s)
    return xp.searchsorted(ordered, s), xp.searchsorted(ordered, s, side="right")


def _sums(w: Array, s: Array) -> Array:
    """Return the sums of the weights of the 0, 1, 2, ..., n samples of the lowest scores."""
    xp = namespace(s)
    return xp.cumulative_sum(xp.take(w, xp.argsort(s)), include_initial=True)


def _or_nan(x: Array) -> Array:
    """Return x, or NaN where it is 0."""
    xp = namespace(x)
    return xp.where(x > 0, x, xp.full_like(x, float("nan")))
