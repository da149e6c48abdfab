"""Metrics of predictions.

Functions take arrays of any library that xpnet supports, or lists:

- labels (n,): integers or names (NumPy arrays or lists of str), as `model.predict` returns them;
- indicators (n, m): 1 in the column of each label of a sample, else 0, in any numeric type;
- real numbers (n,) or (n, m): the mean is over all elements.

If t and the predictions differ in library or device, t is copied to the device of the predictions.
If only predicted labels, indicators or numbers are of NumPy, they are copied to the device of t.
A result is a 0-d array there: of float32 for labels and indicators, else of the predictions' type.

Arrays are not broadcast.  UsageError is raised if shapes differ (it names both), an array is empty,
or an argument is out of range; DataError if a value is not accepted (it names its position).
Functions of labels and indicators read values, and wait for the device; `correct` and functions
that are named unchecked check nothing and do not wait.

If scikit-learn has the function, the docstring names it, and says where results differ.  It was
compared with version 1.9, which refuses NaN and infinite numbers.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Any

from xpnet import metric_inputs as inputs
from xpnet.arrays import Array, device_of, namespace
from xpnet.bounds import Interval
from xpnet.errors import UsageError
from xpnet.special import one_hot

Columns = Sequence[int | str]  # the label of each column
Labels = int | Columns
BINS = 15  # of calibration_error


def accuracy(t: Any, predicted: Any) -> Array:
    """Return the share of labels t (n,) that `predicted` (n,) equals.

    scikit-learn's `accuracy_score(t, predicted)` of labels; of indicators see `subset_accuracy`.
    It waits for the device only if t and `predicted` differ in library, device or type.
    """
    t, predicted = inputs.comparable_labels(t, predicted)
    xp = namespace(predicted)
    return xp.mean(xp.astype(t == predicted, xp.float32))


def correct(t: Array, predicted: Array) -> Array:
    """Return how many of the labels t (n,) `predicted` (n,) equals, in int32; checks nothing."""
    xp = namespace(t)
    return xp.sum(xp.astype(t == predicted, xp.int32), dtype=xp.int32)


def interval(successes: int, n: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a probability, given `successes` in n trials.

    Wilson (1927), *Probable inference*: the p for which |successes/n - p| is within 1.96 standard
    deviations √(p (1 - p) / n).  With p̂ = successes / n and z = 1.96:

        (p̂ + z²/2n ± z √(p̂ (1 - p̂) / n + z²/4n²)) / (1 + z²/n)

    Examples
    --------
    >>> interval(9810, 10000)  # doctest: +ELLIPSIS
    (0.9781..., 0.9834...)
    """
    z = 1.959963984540054
    p, c = successes / n, z * z / n
    half = sqrt(p * (1 - p) * c + c * c / 4)
    return max(0.0, (p + c / 2 - half) / (1 + c)), min(1.0, (p + c / 2 + half) / (1 + c))


def log_loss(t: Any, p: Any, labels: Columns | None = None) -> Array:
    """Return -(1/n) Σ_i log p_i,t_i in nats, in the type of p.

    scikit-learn's `log_loss(t, p, labels=labels)`: p is clipped to [eps, 1 - eps], where eps is
    that of its type.  There `labels` are sorted, by default those in t, and rows that do not sum
    to one only give a warning.

    Parameters
    ----------
    t : labels (n,)
    p : floating-point array (n, m), (n, 1) or (n,)
        Probabilities; a single column is the probability of the second of two labels.
    labels : sequence of int or str, optional
        The label of each column of p, in their order; by default 0 to m - 1.

    Raises
    ------
    UsageError
        Shapes do not fit, or `labels` has not one label for each column.
    DataError
        A label is not accepted, a probability is outside [0, 1], or the sum of a row differs from
        one by more than the greater of 1e-3 and √eps.
    """
    t, p = inputs.columns_and_probabilities(t, p, labels)
    inputs.require_distributions(p)
    xp, eps = namespace(p), float(namespace(p).finfo(p.dtype).eps)
    chosen = xp.sum(p * xp.astype(one_hot(t, p.shape[1]), p.dtype), axis=1)
    low, high = xp.full_like(chosen, eps), xp.full_like(chosen, 1 - eps)
    return -xp.mean(xp.log(xp.minimum(xp.maximum(chosen, low), high)))


def confusion_matrix(t: Any, predicted: Any, labels: Labels | None = None) -> Array:
    """Return how many samples of label i were predicted as label j.

    scikit-learn's `confusion_matrix(t, predicted, labels=labels)`, which drops other labels.

    Parameters
    ----------
    t, predicted : labels (n,)
    labels : int or sequence of int or str, optional
        The accepted labels, in the order of rows and columns: 0 to m - 1 for an int m, or such as
        `model.labels`; by default the different labels in t and `predicted`, sorted.

    Returns
    -------
    int32 array (m, m)
        Rows are the labels in t, columns the predicted ones.

    Raises
    ------
    UsageError
        Shapes differ, or `labels` holds a label twice.
    DataError
        A label is not accepted.
    """
    t, predicted, m = inputs.label_columns(t, predicted, labels)
    return one_hot(t, m).T @ one_hot(predicted, m)


def top_k_accuracy(t: Any, z: Any, k: int, labels: Columns | None = None) -> Array:
    """Return the share of samples whose label is among the k columns of the highest scores.

    scikit-learn's `top_k_accuracy_score(t, z, k=k, labels=labels)`, ties included: of equal scores
    the one further right counts as higher.  There two labels have one column of scores, here two.
    NaN counts against the label.

    Parameters
    ----------
    t : labels (n,)
    z : array (n, m) of real numbers
        Scores: logits or probabilities.
    k : int
        From 1 to m.
    labels : sequence of int or str, optional
        The label of each column of z, in their order; by default 0 to m - 1.

    Raises
    ------
    UsageError, DataError
        As for `log_loss`, or if k is out of range.
    """
    t, z = inputs.columns_and_scores(t, z, labels)
    xp, m = namespace(z), z.shape[1]
    k = Interval(f"[1, {m}]").check("k", k, int)
    label, column = xp.reshape(t, (-1, 1)), xp.arange(m, dtype=xp.int32, device=device_of(z))
    chosen = xp.sum(xp.where(column == label, z, xp.zeros_like(z)), axis=1, keepdims=True)
    not_above = (z < chosen) | ((z == chosen) & (column <= label))  # among them the label
    hit = xp.sum(xp.astype(not_above, xp.int32), axis=1, dtype=xp.int32) > m - k
    return xp.mean(xp.astype(hit, xp.float32))


def precision_recall_f1(
    t: Any, predicted: Any, labels: Labels | None = None, average: str = "macro"
) -> tuple[Array, ...]:
    """Return precision, recall and F1, in this order, averaged over the labels.

    With the true positives h_j, the predicted p_j and the actual samples a_j of label j

        precision_j = h_j / p_j      recall_j = h_j / a_j      F1_j = 2 h_j / (p_j + a_j)

    where 0 / 0 counts as 0.  scikit-learn's `precision_recall_fscore_support(t, predicted,
    average=average, zero_division=0)`.  "macro" leaves out labels that are neither in t nor
    predicted, which scikit-learn counts as 0 if they are in `labels`, but no column of indicators.

    Parameters
    ----------
    t, predicted : labels (n,), or indicators (n, m)
    labels : int or sequence of int or str, optional
        The accepted labels, as for `confusion_matrix`; of indicators, those of the columns.
    average : {"macro", "micro", "weighted"}, default "macro"
        The mean over labels; the formulas of Σ_j h_j, Σ_j p_j, Σ_j a_j; the mean weighted by a_j.

    Raises
    ------
    UsageError, DataError
        As for `confusion_matrix`, or if `average` is none of these, or an indicator not 0 or 1.

    References
    ----------
    van Rijsbergen (1979), *Information Retrieval*, chapter 7, where F1 is 1 - E.
    """
    if average not in ("macro", "micro", "weighted"):
        raise UsageError(f"average must be macro, micro or weighted, got {average!r}")
    t, predicted, m = inputs.columns_or_indicators(t, predicted, labels)
    return unchecked_precision_recall_f1(t, predicted, m, average)


def unchecked_precision_recall_f1(
    t: Array, predicted: Array, m: int, average: str = "macro"
) -> tuple[Array, ...]:
    """Return `precision_recall_f1` of column numbers (n,) below m, or int32 indicators (n, m)."""
    xp = namespace(t)
    h, p, a = _counts(t, predicted, m)
    if average == "micro":
        h, p, a = (xp.sum(count, keepdims=True, dtype=xp.int32) for count in (h, p, a))
    counted = p + a > 0 if len(t.shape) == 1 else xp.ones_like(a)
    w = a if average == "weighted" else counted
    return tuple(_mean(x, w) for x in (_ratio(h, p), _ratio(h, a), _ratio(2 * h, p + a)))


def balanced_accuracy(t: Any, predicted: Any, labels: Labels | None = None) -> Array:
    """Return the mean recall (`precision_recall_f1`) of the labels that occur in t.

    scikit-learn's `balanced_accuracy_score(t, predicted)`.  Arguments and errors are those of
    `confusion_matrix`; which labels are accepted does not change the result.

    References
    ----------
    Brodersen, Ong, Stephan & Buhmann (2010), *The balanced accuracy and its posterior
    distribution*, for any number of labels.
    """
    return unchecked_balanced_accuracy(*inputs.label_columns(t, predicted, labels))


def unchecked_balanced_accuracy(t: Array, predicted: Array, m: int) -> Array:
    """Return `balanced_accuracy` of column numbers (n,) below m."""
    h, _, a = _counts(t, predicted, m)
    return _mean(_ratio(h, a), a > 0)


def subset_accuracy(t: Any, predicted: Any) -> Array:
    """Return the share of rows of indicators t (n, m) that `predicted` (n, m) equals throughout.

    scikit-learn's `accuracy_score(t, predicted)` of indicators.
    """
    t, predicted = inputs.indicators(t, predicted)
    xp = namespace(t)
    return xp.mean(xp.astype(xp.all(t == predicted, axis=1), xp.float32))


def calibration_error(t: Any, p: Any, bins: int = BINS, labels: Columns | None = None) -> Array:
    """Return the expected calibration error: how far confidence is from accuracy, bin by bin.

    A sample has the confidence c_i = max_j p_ij and r_i = 1 if that (of equal ones the first) is
    its label's, else 0.  It is in bin b of B equal ones if (b - 1) / B < c_i <= b / B.

        Σ_b n_b / n |mean_b r - mean_b c| = 1/n Σ_b |Σ_i (r_i - c_i)|, i in bin b

    scikit-learn has no such function; the bins are those of its `calibration_curve`.

    Parameters
    ----------
    t, p, labels
        As for `log_loss`, but rows of p need not sum to one.
    bins : int, default 15
        B, from 1 to 10,000.

    Raises
    ------
    UsageError, DataError
        As for `log_loss`, or if `bins` is out of range.

    References
    ----------
    Guo, Pleiss, Sun & Weinberger (2017), *On calibration of modern neural networks*, equation 3.
    """
    bins = Interval("[1, 10000]").check("bins", bins, int)
    return unchecked_calibration_error(*inputs.columns_and_probabilities(t, p, labels), bins)


def unchecked_calibration_error(t: Array, p: Array, bins: int = BINS) -> Array:
    """Return `calibration_error` of column numbers t (n,) of probabilities p (n, m)."""
    xp = namespace(p)
    c = xp.max(p, axis=1)
    r = xp.astype(t == xp.argmax(p, axis=1), p.dtype)
    edges = xp.arange(1, bins, dtype=p.dtype, device=device_of(p)) / bins
    bin_of = xp.sum(xp.astype(c > xp.reshape(edges, (-1, 1)), xp.int32), axis=0, dtype=xp.int32)
    within = xp.astype(one_hot(bin_of, bins, axis=0), p.dtype)
    return xp.sum(xp.abs(xp.sum(within * (r - c), axis=1))) / p.shape[0]


def mean_absolute_error(t: Any, y: Any) -> Array:
    """Return the mean of |t - y|: scikit-learn's `mean_absolute_error(t, y)`."""
    t, y = inputs.numbers(t, y)
    return namespace(t).mean(namespace(t).abs(t - y))


def mean_squared_error(t: Any, y: Any) -> Array:
    """Return the mean of (t - y)²: scikit-learn's `mean_squared_error(t, y)`."""
    t, y = inputs.numbers(t, y)
    d = t - y
    return namespace(d).mean(d * d)


def pinball_loss(t: Any, y: Any, quantile: float) -> Array:
    """Return the mean of max(q d, (q - 1) d), d = t - y: least if y is the q-quantile of t.

    scikit-learn's `mean_pinball_loss(t, y, alpha=q)`, where q is `quantile`, from 0 to 1.

    References
    ----------
    Koenker & Bassett (1978), *Regression quantiles*.
    """
    q, (t, y) = Interval("[0, 1]").check("quantile", quantile), inputs.numbers(t, y)
    xp, d = namespace(t), t - y
    return xp.mean(xp.maximum(q * d, (q - 1) * d))


def r2(t: Any, y: Any) -> Array:
    """Return the part of the variance of t that y explains, averaged over the columns.

        R²_j = 1 - Σ_i (t_ij - y_ij)² / Σ_i (t_ij - mean_j)²

    If t_j is constant, R²_j is 1 if y_j equals it and else 0; of one sample it is NaN.
    scikit-learn's `r2_score(t, y)`, where rounding the mean of a constant t_j, such as 0.1, can
    make the result negative and huge.
    """
    t, y = inputs.numbers(t, y)
    xp, d = namespace(t), t - y
    shifted = t - t[:1, ...]  # a constant column becomes 0 exactly
    deviation = shifted - xp.mean(shifted, axis=0)
    residual, total = xp.sum(d * d, axis=0), xp.sum(deviation * deviation, axis=0)
    imperfect = xp.astype(residual != 0, total.dtype)
    ratio = residual / xp.where(total == 0, xp.ones_like(total), total)
    mean = xp.mean(1 - xp.where(total == 0, imperfect, ratio))
    return mean if t.shape[0] > 1 else xp.full_like(mean, float("nan"))


def _counts(t: Array, predicted: Array, m: int) -> tuple[Array, Array, Array]:
    """Return the true positives, predicted and actual samples of each label, in int32."""
    xp, samples = namespace(t), 0
    if len(t.shape) == 1:
        t, predicted, samples = one_hot(t, m, axis=0), one_hot(predicted, m, axis=0), 1
    h, p, a = (xp.sum(each, axis=samples, dtype=xp.int32) for each in (t * predicted, predicted, t))
    return h, p, a


def _ratio(a: Array, b: Array) -> Array:
    """Return a / b in float32, for a count b; 0 where both are 0."""
    xp = namespace(a)
    return xp.astype(a, xp.float32) / xp.astype(xp.maximum(b, xp.ones_like(b)), xp.float32)


def _mean(x: Array, w: Array) -> Array:
    """Return Σ_j w_j x_j / Σ_j w_j, for counts w_j; 0 where all are 0."""
    xp = namespace(x)
    w = xp.astype(w, xp.float32)
    return _ratio(xp.sum(w * x), xp.sum(w))
