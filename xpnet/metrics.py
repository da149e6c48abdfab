"""Metrics of predictions, on whatever arrays they come in; results are 0-d arrays in kind."""

from math import sqrt

from xpnet.device import namespace
from xpnet.layers import Array, one_hot


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
