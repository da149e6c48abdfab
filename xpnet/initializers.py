"""Initializers: the initial weights W of a dense layer, drawn on the host, the same everywhere.

Each takes a key (int32 array (2,), from `random.step_keys`), fan_in and fan_out, and returns W, a
float64 array (fan_in, fan_out).  The variance is chosen so that signals (He, LeCun), or signals and
gradients alike (Glorot), keep their size from layer to layer.  Uniform weights lie within
±√(3 variance), which has that variance.
"""

from math import sqrt

import numpy as np

from xpnet.arrays import HostArray
from xpnet.random import normal, uniform


def glorot_uniform(key: HostArray, fan_in: int, fan_out: int) -> HostArray:
    """Uniform, of variance 2 / (fan_in + fan_out): for sigmoid, tanh and the identity.

    Source: Glorot & Bengio (2010), *Understanding the difficulty of training deep feedforward
    neural networks*, equations 12 and 16.
    """
    return _uniform(key, fan_in, fan_out, 2 / (fan_in + fan_out))


def glorot_normal(key: HostArray, fan_in: int, fan_out: int) -> HostArray:
    """Normal, of the variance of `glorot_uniform`."""
    return _normal(key, fan_in, fan_out, 2 / (fan_in + fan_out))


def he_uniform(key: HostArray, fan_in: int, fan_out: int) -> HostArray:
    """Uniform, of the variance of `he_normal`."""
    return _uniform(key, fan_in, fan_out, 2 / fan_in)


def he_normal(key: HostArray, fan_in: int, fan_out: int) -> HostArray:
    """Normal, of variance 2 / fan_in: for ReLU, which lets half of a signal's power through.

    Source: He, Zhang, Ren & Sun (2015), *Delving deep into rectifiers*, equation 10.
    """
    return _normal(key, fan_in, fan_out, 2 / fan_in)


def lecun_uniform(key: HostArray, fan_in: int, fan_out: int) -> HostArray:
    """Uniform, of variance 1 / fan_in: for the scaled tanh.

    Source: LeCun, Bottou, Orr & Müller (1998), *Efficient BackProp*, equation 16.
    """
    return _uniform(key, fan_in, fan_out, 1 / fan_in)


def lecun_normal(key: HostArray, fan_in: int, fan_out: int) -> HostArray:
    """Normal, of the variance of `lecun_uniform`: for SELU."""
    return _normal(key, fan_in, fan_out, 1 / fan_in)


def orthogonal(key: HostArray, fan_in: int, fan_out: int) -> HostArray:
    """Columns (or rows, if they are fewer) of length 1 at right angles to one another.

    x W is as long as x wherever fan_out >= fan_in, which no independent draws do.  W is Q of the
    QR decomposition of normal draws, the diagonal of R made positive: without the signs Q would
    not be uniform among the orthogonal matrices.

    Sources: Saxe, McClelland & Ganguli (2014), *Exact solutions to the nonlinear dynamics of
    learning in deep linear neural networks*; Mezzadri (2007), *How to generate random matrices from
    the classical compact groups*, section 5.
    """
    draws = normal(key, fan_in * fan_out)
    Q, R = np.linalg.qr(draws.reshape(max(fan_in, fan_out), min(fan_in, fan_out)))
    Q = Q * np.where(np.diag(R) < 0, -1.0, 1.0)
    return Q if fan_in >= fan_out else Q.T


def zeros(key: HostArray, fan_in: int, fan_out: int) -> HostArray:
    """All 0, for a last layer that is to begin with equal probabilities.

    The units of a hidden layer would all stay equal, as their gradients are.
    """
    return np.zeros((fan_in, fan_out))


def _uniform(key: HostArray, fan_in: int, fan_out: int, variance: float) -> HostArray:
    W = sqrt(3 * variance) * (2 * uniform(key, fan_in * fan_out) - 1)
    return W.reshape(fan_in, fan_out)


def _normal(key: HostArray, fan_in: int, fan_out: int, variance: float) -> HostArray:
    W = sqrt(variance) * normal(key, fan_in * fan_out)
    return W.reshape(fan_in, fan_out)
