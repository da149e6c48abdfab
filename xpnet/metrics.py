"""Metrics of predictions.

Functions take arrays of any library that xpnet supports, lists, or series and frames:

- labels (n,): integers or names (NumPy arrays or lists of str), as `model.predict` returns them;
- indicators (n, m): 1 in the column of each label of a sample, else 0, in any numeric type;
- real numbers (n,) or (n, m): the mean is over all elements.

If t and the predictions differ in library or device, t is copied to the device of the predictions.
If only predicted labels, indicators or numbers are of NumPy, they are copied to the device of t.
A result is a 0-d array there.  Its type is float32 for labels and indicators, with weights float64;
that of scores and probabilities; and the wider one of numbers t and y: float64 if one is float64 or
integers of more than 16 bits.  Without float64, as in JAX by default, it is float32.

`sample_weight` (n,), of finite numbers >= 0, not all 0, weighs the samples, as in scikit-learn.  A
sample of weight k counts as k samples; one of weight 0 is removed before all else.

Arrays are not broadcast.  UsageError is raised if shapes differ (it names both), an array is empty,
or an argument is out of range; DataError if a value is not accepted (it names its position).
Functions of labels and indicators read values and wait for the device, and so do all with weights.
The formulas are in `xpnet.metric_formulas`, and `interval` too.

If scikit-learn has the function, the docstring names it, and says where results differ.  It was
compared with version 1.9, which refuses NaN and infinite numbers.
"""

from collections.abc import Callable, Sequence
from typing import Any

from xpnet import metric_formulas as formulas
from xpnet import metric_inputs as inputs
from xpnet.arrays import Array, device_of, float_name, namespace, put, to_numpy
from xpnet.bounds import Interval
from xpnet.errors import UsageError
from xpnet.metric_formulas import BINS
from xpnet.metric_formulas import interval as interval
from xpnet.special import one_hot

Columns = Sequence[int | str]  # the label of each column
Labels = int | Columns


def accuracy(t: Any, predicted: Any, *, sample_weight: Any = None) -> Array:
    """Return the share of labels t (n,) that `predicted` (n,) equals.

    scikit-learn's `accuracy_score(t, predicted)` of labels; of indicators see `subset_accuracy`.
    It waits for the device only if there are weights, or t and `predicted` differ in library,
    device or type.
    """
    t, predicted, w = inputs.weighted(inputs.comparable_labels, t, predicted, sample_weight)
    return formulas.mean(t == predicted, w)


def log_loss(t: Any, p: Any, labels: Columns | None = None, *, sample_weight: Any = None) -> Array:
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
    t, p, w = inputs.weighted(inputs.columns_and_probabilities, t, p, sample_weight, labels)
    inputs.require_distributions(p)
    xp, eps = namespace(p), float(namespace(p).finfo(p.dtype).eps)
    chosen = xp.sum(p * xp.astype(one_hot(t, p.shape[1]), p.dtype), axis=1)
    low, high = xp.full_like(chosen, eps), xp.full_like(chosen, 1 - eps)
    log_p = xp.log(xp.minimum(xp.maximum(chosen, low), high))
    return -formulas.mean(log_p, w)


def confusion_matrix(
    t: Any, predicted: Any, labels: Labels | None = None, *, sample_weight: Any = None
) -> Array:
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
    int32 array (m, m), with weights float64
        Rows are the labels in t, columns the predicted ones.

    Raises
    ------
    UsageError
        Shapes differ, or `labels` holds a label twice.
    DataError
        A label is not accepted.
    """
    t, predicted, m, w = inputs.weighted(inputs.label_columns, t, predicted, sample_weight, labels)
    return inputs.in_their_unit(formulas.confusion_matrix(t, predicted, m, w), sample_weight)


def top_k_accuracy(
    t: Any, z: Any, k: int, labels: Columns | None = None, *, sample_weight: Any = None
) -> Array:
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
    t, z, w = inputs.weighted(inputs.columns_and_scores, t, z, sample_weight, labels)
    xp, m = namespace(z), z.shape[1]
    k = Interval(f"[1, {m}]").check("k", k, int)
    label, column = xp.reshape(t, (-1, 1)), xp.arange(m, dtype=xp.int32, device=device_of(z))
    chosen = xp.sum(xp.where(column == label, z, xp.zeros_like(z)), axis=1, keepdims=True)
    not_above = (z < chosen) | ((z == chosen) & (column <= label))  # among them the label
    hit = xp.sum(xp.astype(not_above, xp.int32), axis=1, dtype=xp.int32) > m - k
    return formulas.mean(hit, w)


def precision_recall_f1(
    t: Any,
    predicted: Any,
    labels: Labels | None = None,
    average: str | None = "macro",
    *,
    sample_weight: Any = None,
) -> tuple[Array, ...]:
    """Return precision, recall and F1, in this order, averaged over the labels.

    With the true positives h_j, the predicted positives p_j and the support a_j of label j

        precision_j = h_j / p_j      recall_j = h_j / a_j      F1_j = 2 h_j / (p_j + a_j)

    where 0 / 0 counts as 0.  With `average` None they are arrays (m,) of each label, and a_j comes
    fourth.  scikit-learn's `precision_recall_fscore_support(t, predicted, average=average,
    zero_division=0)`.  "macro" leaves out labels that are neither in t nor
    predicted, which scikit-learn counts as 0 if they are in `labels`, but no column of indicators.

    Parameters
    ----------
    t, predicted : labels (n,), or indicators (n, m)
    labels : int or sequence of int or str, optional
        The accepted labels, as for `confusion_matrix`; of indicators, those of the columns.
    average : {"macro", "micro", "weighted", None}, default "macro"
        The mean over labels; the formulas of Σ_j h_j, Σ_j p_j, Σ_j a_j; the mean weighted by a_j;
        no mean.

    Raises
    ------
    UsageError, DataError
        As for `confusion_matrix`, or if `average` is none of these, or an indicator not 0 or 1.

    References
    ----------
    van Rijsbergen (1979), *Information Retrieval*, chapter 7, where F1 is 1 - E.
    """
    if average not in ("macro", "micro", "weighted", None):
        raise UsageError(f"average must be macro, micro, weighted or None, got {average!r}")
    t, predicted, m, w = inputs.weighted(
        inputs.columns_or_indicators, t, predicted, sample_weight, labels
    )
    h, p, a = formulas.counts(t, predicted, m, w)
    if average is not None:
        return formulas.averaged(h, p, a, average, len(t.shape) == 2)
    return *formulas.precision_recall_f1(h, p, a), inputs.in_their_unit(a, sample_weight)


def balanced_accuracy(
    t: Any, predicted: Any, labels: Labels | None = None, *, sample_weight: Any = None
) -> Array:
    """Return the mean recall (`precision_recall_f1`) of the labels that occur in t.

    scikit-learn's `balanced_accuracy_score(t, predicted)`.  Arguments and errors are those of
    `confusion_matrix`; which labels are accepted does not change the result.

    References
    ----------
    Brodersen, Ong, Stephan & Buhmann (2010), *The balanced accuracy and its posterior
    distribution*, for any number of labels.
    """
    t, predicted, m, w = inputs.weighted(inputs.label_columns, t, predicted, sample_weight, labels)
    h, _, a = formulas.counts(t, predicted, m, w)
    return formulas.balanced_accuracy(h, a)


def subset_accuracy(t: Any, predicted: Any, *, sample_weight: Any = None) -> Array:
    """Return the share of rows of indicators t (n, m) that `predicted` (n, m) equals throughout.

    scikit-learn's `accuracy_score(t, predicted)` of indicators.
    """
    t, predicted, w = inputs.weighted(inputs.indicators, t, predicted, sample_weight)
    return formulas.mean(namespace(t).all(t == predicted, axis=1), w)


def calibration_error(
    t: Any, p: Any, bins: int = BINS, labels: Columns | None = None, *, sample_weight: Any = None
) -> Array:
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
    t, p, w = inputs.weighted(inputs.columns_and_probabilities, t, p, sample_weight, labels)
    xp = namespace(p)
    correct = t == xp.argmax(p, axis=1)
    return formulas.calibration_error(xp.max(p, axis=1), correct, bins, w)


def roc_auc(t: Any, p: Any, labels: Columns | None = None, *, sample_weight: Any = None) -> Array:
    """Return the area under the ROC curve: how well scores p separate two labels.

    The probability that a random sample of the second label has a higher score than one of the
    first, where equal scores count 1/2; NaN if t has only one of both.  scikit-learn's
    `roc_auc_score(t, p)`.  It is computed on the host.

    Parameters
    ----------
    t : labels (n,)
    p : array (n,), (n, 1) or (n, 2) of real numbers
        The scores of the second label, such as its probabilities or logits; or the probabilities
        of both.
    labels : sequence of two int or str, default (0, 1)

    Raises
    ------
    UsageError, DataError
        As for `log_loss`, or if p holds NaN or has two columns that are no probabilities.

    References
    ----------
    Hanley & McNeil (1982), *The meaning and use of the area under a receiver operating
    characteristic (ROC) curve*.
    """
    return _of_two(formulas.roc_auc, t, p, labels, sample_weight)


def average_precision(
    t: Any, p: Any, labels: Columns | None = None, *, sample_weight: Any = None
) -> Array:
    """Return the average precision of scores p of the second of two labels.

    Σ_k (R_k - R_k-1) P_k, where P_k and R_k are precision and recall of the second label if the
    samples of the k highest different scores are predicted to be of it; NaN if t has none of it,
    where scikit-learn's `average_precision_score(t, p)` is 0.  It is computed on the host.

    Arguments and errors are those of `roc_auc`.
    """
    return _of_two(formulas.average_precision, t, p, labels, sample_weight)


def _of_two(
    formula: Callable[..., Array], t: Any, p: Any, labels: Columns | None, sample_weight: Any
) -> Array:
    """Return a formula of two labels in float64 on the host, as an array of the type of p."""
    t, p, w = inputs.weighted(inputs.second_label_and_scores, t, p, sample_weight, labels)
    host = to_numpy(p).astype("float64")
    w = namespace(host).ones_like(host) if w is None else to_numpy(w).astype("float64")
    return put(to_numpy(formula(to_numpy(t), host, w)).astype(float_name(p)), p)


def mean_absolute_error(t: Any, y: Any, *, sample_weight: Any = None) -> Array:
    """Return the mean of |t - y|: scikit-learn's `mean_absolute_error(t, y)`."""
    return formulas.mean_absolute_error(*inputs.weighted(inputs.numbers, t, y, sample_weight))


def mean_squared_error(t: Any, y: Any, *, sample_weight: Any = None) -> Array:
    """Return the mean of (t - y)²: scikit-learn's `mean_squared_error(t, y)`."""
    return formulas.mean_squared_error(*inputs.weighted(inputs.numbers, t, y, sample_weight))


def pinball_loss(t: Any, y: Any, quantile: float, *, sample_weight: Any = None) -> Array:
    """Return the mean of max(q d, (q - 1) d), d = t - y: least if y is the q-quantile of t.

    scikit-learn's `mean_pinball_loss(t, y, alpha=q)`, where q is `quantile`, from 0 to 1.

    References
    ----------
    Koenker & Bassett (1978), *Regression quantiles*.
    """
    q, (t, y, w) = (
        Interval("[0, 1]").check("quantile", quantile),
        inputs.weighted(inputs.numbers, t, y, sample_weight),
    )
    return formulas.pinball_loss(t, y, q, w)


def r2(t: Any, y: Any, *, sample_weight: Any = None) -> Array:
    """Return the part of the variance of t that y explains, averaged over the columns.

        R²_j = 1 - Σ_i (t_ij - y_ij)² / Σ_i (t_ij - mean_j)²

    If t_j is constant, R²_j is 1 if y_j equals it and else 0; of one sample it is NaN.
    scikit-learn's `r2_score(t, y)`, where rounding the mean of a constant t_j, such as 0.1, can
    make the result negative and huge.
    """
    t, y, w = inputs.weighted(inputs.numbers, t, y, sample_weight)
    value = formulas.r2(t, y, w)
    one = t.shape[0] == 1 and (w is None or float(inputs.in_their_unit(w, sample_weight)[0]) <= 1)
    return namespace(t).full_like(value, float("nan")) if one else value
