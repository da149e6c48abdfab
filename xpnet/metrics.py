"""Metrics of predictions, on whatever arrays they come in; results are 0-d arrays in kind.

Of classes, t are the labels, integers from 0, and shares are in float32.  Of numbers, t are the
targets and y the outputs, floating-point arrays of one shape, (n,) or (n, m), and the mean is
over all elements; UsageError is raised where the shapes differ, for (n,) and (n, 1) would become
(n, n).  Where scikit-learn has a function, the result is equal to its.
"""

from math import sqrt

from xpnet.arrays import Array, device_of, namespace
from xpnet.errors import UsageError
from xpnet.special import one_hot


def accuracy(t: Array, predicted: Array) -> Array:
    """The part of labels t (n,) that `predicted` (n,) equals, in float32."""
    xp = namespace(t)
    return xp.mean(xp.astype(t == predicted, xp.float32))


def correct(t: Array, predicted: Array) -> Array:
    """How many of the labels t (n,) `predicted` (n,) equals."""
    xp = namespace(t)
    return xp.sum(xp.astype(t == predicted, xp.int32), dtype=xp.int32)


def interval(successes: int, n: int) -> tuple[float, float]:
    """The 95 % confidence interval of a probability of which `successes` of n were seen.

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


def log_loss(t: Array, p: Array) -> Array:
    """-(1/n) Σ_i log p_i,t_i, in nats: how surprising the labels are.

    Parameters
    ----------
    t : integer array (n,)
        Columns of p.
    p : floating-point array (n, m)
        Probabilities.  0 counts as the type's smallest normal number, so that the result is finite.
    """
    xp = namespace(p)
    chosen = xp.sum(p * xp.astype(one_hot(t, p.shape[1]), p.dtype), axis=1)
    tiny = xp.full_like(chosen, float(xp.finfo(p.dtype).smallest_normal))
    return -xp.mean(xp.log(xp.maximum(chosen, tiny)))


def confusion_matrix(t: Array, predicted: Array, classes: int) -> Array:
    """How many samples of class i were taken for class j.

    Parameters
    ----------
    t, predicted : integer arrays (n,)
        From 0 to classes - 1.
    classes : int

    Returns
    -------
    int32 array (classes, classes)
        Rows are the true classes, columns the predicted ones.
    """
    return one_hot(t, classes).T @ one_hot(predicted, classes)


def top_k_accuracy(t: Array, z: Array, k: int) -> Array:
    """The part of samples whose label is among the k columns of the highest scores.

    scikit-learn's `top_k_accuracy_score(t, z, k=k, labels=range(m))`, ties included: of equal
    scores the one further right counts as higher.  Other than there, two classes have two columns
    too, and NaN, which it refuses, counts against the label.

    Parameters
    ----------
    t : integer array (n,)
        Columns of z.
    z : floating-point array (n, m)
        Scores: logits or probabilities.
    k : int
        1 or more.
    """
    xp, m = namespace(z), z.shape[1]
    label = xp.reshape(xp.astype(t, xp.int32), (-1, 1))
    column = xp.arange(m, dtype=xp.int32, device=device_of(z))
    chosen = xp.sum(xp.where(column == label, z, xp.zeros_like(z)), axis=1, keepdims=True)
    not_above = (z < chosen) | ((z == chosen) & (column <= label))  # among them the label
    hit = xp.sum(xp.astype(not_above, xp.int32), axis=1, dtype=xp.int32) > m - k
    return xp.mean(xp.astype(hit, xp.float32))


def precision_recall_f1(
    t: Array, predicted: Array, classes: int, average: str = "macro"
) -> tuple[Array, ...]:
    """Precision, recall and F1, in this order, averaged over the classes.

    With the true positives h_j, the predicted p_j and the actual samples a_j of class j

        precision_j = h_j / p_j      recall_j = h_j / a_j      F1_j = 2 h_j / (p_j + a_j)

    where 0 / 0 counts as 0.  scikit-learn's `precision_recall_fscore_support(t, predicted,
    average=average, zero_division=0)`: of labels, "macro" leaves out the classes that are neither
    in t nor predicted (its default `labels`); of indicators, none.

    Source: van Rijsbergen (1979), *Information Retrieval*, chapter 7, where F1 is 1 - E.

    Parameters
    ----------
    t, predicted : arrays (n,) or (n, classes)
        Labels from 0 to classes - 1, or indicators: 1 for each class of the sample, else 0.
    classes : int
    average : {"macro", "micro", "weighted"}, default "macro"
        The mean over classes; the formulas of Σ_j h_j, Σ_j p_j, Σ_j a_j; the mean weighted by a_j.

    Raises
    ------
    UsageError
        `average` is none of these.
    """
    if average not in ("macro", "micro", "weighted"):
        raise UsageError(f"average {average!r}: expected macro, micro or weighted")
    return unchecked_precision_recall_f1(t, predicted, classes, average)


def unchecked_precision_recall_f1(
    t: Array, predicted: Array, classes: int, average: str = "macro"
) -> tuple[Array, ...]:
    """`precision_recall_f1`, whose arguments are not checked."""
    xp = namespace(t)
    h, p, a = _counts(t, predicted, classes)
    if average == "micro":
        h, p, a = (xp.sum(count, keepdims=True, dtype=xp.int32) for count in (h, p, a))
    counted = p + a > 0 if len(t.shape) == 1 else xp.ones_like(a)
    w = a if average == "weighted" else counted
    return tuple(_mean(x, w) for x in (_ratio(h, p), _ratio(h, a), _ratio(2 * h, p + a)))


def balanced_accuracy(t: Array, predicted: Array, classes: int) -> Array:
    """The mean recall (`precision_recall_f1`) of those classes that occur in t (n,).

    scikit-learn's `balanced_accuracy_score(t, predicted)`.

    Source: Brodersen, Ong, Stephan & Buhmann (2010), *The balanced accuracy and its posterior
    distribution*, for any number of classes.
    """
    return unchecked_balanced_accuracy(t, predicted, classes)


def unchecked_balanced_accuracy(t: Array, predicted: Array, classes: int) -> Array:
    """`balanced_accuracy`, whose arguments are not checked."""
    h, _, a = _counts(t, predicted, classes)
    return _mean(_ratio(h, a), a > 0)


def subset_accuracy(t: Array, predicted: Array) -> Array:
    """The part of rows of t (n, m) that `predicted` (n, m) equals throughout.

    scikit-learn's `accuracy_score(t, predicted)` of indicators.
    """
    xp = namespace(t)
    return xp.mean(xp.astype(xp.all(t == predicted, axis=1), xp.float32))


def calibration_error(t: Array, p: Array, bins: int = 15) -> Array:
    """The expected calibration error: how far confidence is from accuracy, bin by bin.

    A sample has the confidence c_i = max_j p_ij and r_i = 1 if that (of equal ones the first) is
    its label's, else 0.  It is in bin b of B equal ones if (b - 1) / B < c_i <= b / B.

        Σ_b n_b / n |mean_b r - mean_b c| = 1/n Σ_b |Σ_i (r_i - c_i)|, i in bin b

    Source: Guo, Pleiss, Sun & Weinberger (2017), *On calibration of modern neural networks*,
    equation 3.  scikit-learn has no such function; the bins are those of its `calibration_curve`.

    Parameters
    ----------
    t : integer array (n,)
        Columns of p.
    p : floating-point array (n, m)
        Probabilities.
    bins : int, default 15
        B, 1 or more.
    """
    return unchecked_calibration_error(t, p, bins)


def unchecked_calibration_error(t: Array, p: Array, bins: int = 15) -> Array:
    """`calibration_error`, whose arguments are not checked."""
    xp = namespace(p)
    c = xp.max(p, axis=1)
    r = xp.astype(t == xp.argmax(p, axis=1), p.dtype)
    edges = xp.arange(1, bins, dtype=p.dtype, device=device_of(p)) / bins
    bin_of = xp.sum(xp.astype(c > xp.reshape(edges, (-1, 1)), xp.int32), axis=0, dtype=xp.int32)
    within = xp.astype(one_hot(bin_of, bins, axis=0), p.dtype)
    return xp.sum(xp.abs(xp.sum(within * (r - c), axis=1))) / p.shape[0]


def mean_absolute_error(t: Array, y: Array) -> Array:
    """The mean of |t - y|: scikit-learn's `mean_absolute_error(t, y)`."""
    xp = namespace(t)
    return xp.mean(xp.abs(_difference(t, y)))


def mean_squared_error(t: Array, y: Array) -> Array:
    """The mean of (t - y)²: scikit-learn's `mean_squared_error(t, y)`."""
    d = _difference(t, y)
    return namespace(t).mean(d * d)


def pinball_loss(t: Array, y: Array, quantile: float) -> Array:
    """The mean of max(q d, (q - 1) d), d = t - y, which is least where y is the q-quantile of t.

    scikit-learn's `mean_pinball_loss(t, y, alpha=q)`, where q is `quantile`, from 0 to 1.

    Source: Koenker & Bassett (1978), *Regression quantiles*.
    """
    xp, d = namespace(t), _difference(t, y)
    return xp.mean(xp.maximum(quantile * d, (quantile - 1) * d))


def r2(t: Array, y: Array) -> Array:
    """The part of the variance of t that y explains, averaged over the columns.

        R²_j = 1 - Σ_i (t_ij - y_ij)² / Σ_i (t_ij - mean_j)²

    Where t_j is constant, 1 if y_j equals it and else 0; of one sample, NaN.  scikit-learn's
    `r2_score(t, y)`, except that there the mean of a constant t_j such as 0.1 may be rounded, so
    that t_j seems to vary and the result is negative and huge.
    """
    xp, d = namespace(t), _difference(t, y)
    shifted = t - t[:1, ...]  # a constant column becomes 0 exactly
    deviation = shifted - xp.mean(shifted, axis=0)
    residual, total = xp.sum(d * d, axis=0), xp.sum(deviation * deviation, axis=0)
    imperfect = xp.astype(residual != 0, total.dtype)
    ratio = residual / xp.where(total == 0, xp.ones_like(total), total)
    mean = xp.mean(1 - xp.where(total == 0, imperfect, ratio))
    return mean if t.shape[0] > 1 else xp.full_like(mean, float("nan"))


def _counts(t: Array, predicted: Array, classes: int) -> tuple[Array, Array, Array]:
    """True positives, predicted and actual samples of each class, in int32."""
    xp = namespace(t)
    if len(t.shape) == 1:
        t, predicted = (one_hot(each, classes, axis=0) for each in (t, predicted))
        samples = 1
    else:
        t, predicted, samples = xp.astype(t, xp.int32), xp.astype(predicted, xp.int32), 0
    h, p, a = (xp.sum(each, axis=samples, dtype=xp.int32) for each in (t * predicted, predicted, t))
    return h, p, a


def _ratio(a: Array, b: Array) -> Array:
    """a / b in float32, for a count b; 0 where both are 0."""
    xp = namespace(a)
    return xp.astype(a, xp.float32) / xp.astype(xp.maximum(b, xp.ones_like(b)), xp.float32)


def _mean(x: Array, w: Array) -> Array:
    """Σ_j w_j x_j / Σ_j w_j, for counts w_j; 0 where all are 0."""
    xp = namespace(x)
    w = xp.astype(w, xp.float32)
    return _ratio(xp.sum(w * x), xp.sum(w))


def _difference(t: Array, y: Array) -> Array:
    if tuple(t.shape) != tuple(y.shape):
        raise UsageError(f"targets of shape {tuple(t.shape)} for outputs of {tuple(y.shape)}")
    return t - y
