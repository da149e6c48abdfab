"""Initial weights, drawn on the host so that they are the same everywhere.

The variance is chosen so that signals (He, LeCun), or signals and gradients alike (Glorot),
keep their size from layer to layer:

    glorot  2 / (fan_in + fan_out)  for sigmoid, tanh, identity  Glorot & Bengio (2010)
    he      2 / fan_in              for ReLU                     He, Zhang, Ren & Sun (2015)
    lecun   1 / fan_in              for scaled tanh, SELU        LeCun, Bottou, Orr & Müller (1998)

Uniform weights lie within ±√(3 variance), normal ones have that variance.  Two more:

    orthogonal  columns (or rows, if they are fewer) of length 1 at right angles to one another:
                x W is as long as x wherever fan_out >= fan_in, which no independent draws do.
                Saxe, McClelland & Ganguli (2014)
    zeros       for a last layer that shall begin with equal probabilities.  In a hidden layer all
                units would stay equal, as their gradients are.
"""

from math import sqrt

import numpy as np

from xpnet.arrays import HostArray
from xpnet.checks import choose
from xpnet.random import normal, uniform

INITIALIZERS = (
    *(f"{k}-{d}" for k in ("glorot", "he", "lecun") for d in ("uniform", "normal")),
    "orthogonal",
    "zeros",
)


def initial_weights(name: str, key: HostArray, fan_in: int, fan_out: int) -> HostArray:
    """The initial W of a dense layer.

    Parameters
    ----------
    name : str
        One of INITIALIZERS.
    key : int32 array (2,)
        From `random.step_keys`.
    fan_in, fan_out : int

    Returns
    -------
    float64 array (fan_in, fan_out)

    Raises
    ------
    UsageError
        There is no initializer of that name.
    """
    kind, _, distribution = choose("initializer", name, INITIALIZERS).partition("-")
    if kind == "zeros":
        return np.zeros((fan_in, fan_out))
    if kind == "orthogonal":
        return _orthogonal(normal(key, fan_in * fan_out), fan_in, fan_out)
    variance = {"glorot": 2 / (fan_in + fan_out), "he": 2 / fan_in, "lecun": 1 / fan_in}[kind]
    n = fan_in * fan_out
    if distribution == "normal":
        W = sqrt(variance) * normal(key, n)
    else:
        W = sqrt(3 * variance) * (2 * uniform(key, n) - 1)
    return W.reshape(fan_in, fan_out)


def _orthogonal(draws: HostArray, fan_in: int, fan_out: int) -> HostArray:
    """Q of the QR decomposition of normal draws, the diagonal of R made positive.

    Without the signs Q would not be uniform among the orthogonal matrices: Mezzadri (2007), *How
    to generate random matrices from the classical compact groups*, section 5.
    """
    tall = draws.reshape(max(fan_in, fan_out), min(fan_in, fan_out))
    Q, R = np.linalg.qr(tall)
    Q = Q * np.where(np.diag(R) < 0, -1.0, 1.0)
    return Q if fan_in >= fan_out else Q.T
