"""Initializers: the initial weights W of a dense layer, drawn on the host, the same everywhere.

Each takes a key (int32 array (2,), from `random.step_keys`), fan_in and fan_out, and returns W, a
float64 array (fan_in, fan_out).  The variance is chosen so that signals (He, LeCun), or signals and
gradients alike (Glorot), keep their size from layer to layer.  Uniform weights lie within
±√(3 variance), which has that variance.  `initial_arrays` calls them for the layers of a network.
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import sqrt
from typing import Any

import numpy as np

from xpnet.activations import Activation, Identity
from xpnet.arrays import HostArray
from xpnet.bounds import shown
from xpnet.checks import choose, function_of
from xpnet.errors import UsageError
from xpnet.layers import Dense, Layer, Rescale
from xpnet.random import Purpose, normal, step_keys, uniform
from xpnet.registry import INITIALIZERS

Initializer = Callable[[HostArray, int, int], HostArray]


def glorot_uniform(key: HostArray, fan_in: int, fan_out: int) -> HostArray:
    """Uniform, of variance 2 / (fan_in + fan_out): for sigmoid, tanh and the identity.

    Source: Glorot & Bengio (2010), *Understanding the difficulty of training deep feedforward
    neural networks*, equations 12 and 16.
    """
    return _uniform(key, fan_in, fan_out, 2 / (fan_in + fan_out))


def glorot_normal(key: HostArray, fan_in: int, fan_out: int) -> HostArray:
    """Normal, of the variance of `glorot_uniform`."""
    return _normal(key, fan_in, fan_out, 2 / (fan_in + fan_out))


def he_uniform(key: HostArray, fan_in: int, fan_out: int, slope: float = 0.0) -> HostArray:
    """Uniform, of the variance of `he_normal`."""
    return _uniform(key, fan_in, fan_out, 2 / ((1 + slope**2) * fan_in))


def he_normal(key: HostArray, fan_in: int, fan_out: int, slope: float = 0.0) -> HostArray:
    """Normal, of variance 2 / ((1 + a²) fan_in), for ReLU and leaky ReLU.

    ReLU lets half of a signal's power through, and leaky ReLU with the slope a (1 + a²) / 2 of it.

    Source: He, Zhang, Ren & Sun (2015), *Delving deep into rectifiers*, equations 10 and 15.

    Parameters
    ----------
    key : int32 array (2,)
    fan_in, fan_out : int
    slope : float, default 0.0
        a, the slope of negative inputs; `initial_arrays` takes it from the activation.
    """
    return _normal(key, fan_in, fan_out, 2 / ((1 + slope**2) * fan_in))


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


def mean_field(key: HostArray, fan_in: int, fan_out: int) -> HostArray:
    """Uniform, of variance 1 / fan_in²: for the last layer of a regression.

    Its inputs have a mean square of about 1, so that the variance of the first outputs is about
    1 / fan_in: before training the output is nearly the mean of the scaled targets.  By
    `glorot_uniform` its variance is about 2, more than that of the targets.  Training on few
    samples removes this random function at the samples, and leaves the rest of it between them.

    Sources: Mei, Montanari & Nguyen (2018), *A mean field view of the landscape of two-layer neural
    networks*, equation 1; Yang & Hu (2021), *Feature learning in infinite-width neural networks*,
    section 5, for its place in deep networks.
    """
    return _uniform(key, fan_in, fan_out, 1 / fan_in**2)


def zeros(key: HostArray, fan_in: int, fan_out: int) -> HostArray:
    """All 0, for a last layer that is to begin with equal probabilities.

    The units of a hidden layer would all stay equal, as their gradients are.
    """
    return np.zeros((fan_in, fan_out))


def initial_arrays(
    layers: Sequence[Layer],
    initializer: str | Initializer | Sequence[str | Initializer] | None,
    seed: int,
    output: str,
) -> list[dict[str, HostArray]]:
    """Return the arrays of each layer before training.

    The weights of dense layers are drawn; every other array is constant (`Layer.initial`).

    Parameters
    ----------
    layers : sequence of Layer
    initializer : str or function, or a sequence of them, optional
        Of every dense layer, or of each; by default the one that suits the activation behind it,
        and `mean_field` for the last layer of a regression.
    seed : int
    output : str
        What the logits stand for, as in `Model`.

    Raises
    ------
    UsageError
        There is no such initializer, their number is not that of the dense layers, or a function
        returns no finite numbers of the weights' shape.
    """
    dense = [i for i, layer in enumerate(layers) if isinstance(layer, Dense)]
    behind = {i: _activation(layers[i + 1 :]) for i in dense}
    if initializer is None:
        given: list[Any] = [
            mean_field if _ends_in_numbers(layers, i, output) else behind[i].initializer
            for i in dense
        ]
    elif isinstance(initializer, list | tuple):
        given = [*initializer]
    else:
        given = [initializer] * len(dense)
    if len(given) != len(dense):
        raise UsageError(f"{len(given)} initializers for {len(dense)} dense layers")
    chosen = dict(zip(dense, map(_initializer, given), strict=True))
    arrays: list[dict[str, HostArray]] = []
    for i, layer in enumerate(layers):
        shapes = {**layer.shapes, **layer.buffers}
        p = {name: np.full(shape, layer.initial.get(name, 0.0)) for name, shape in shapes.items()}
        if isinstance(layer, Dense):
            key = step_keys(seed, Purpose.WEIGHTS, i, range(1))[0]
            draw, slope = chosen[i], getattr(behind[i], "slope", 0.0)
            if draw in (he_uniform, he_normal):
                draw = partial(draw, slope=slope)
            p["W"] = _checked(draw(key, layer.fan_in, layer.fan_out), layer)
        arrays.append(p)
    return arrays


def _ends_in_numbers(layers: Sequence[Layer], i: int, output: str) -> bool:
    """Return whether dense layer i is the last one of a regression."""
    behind = layers[i + 1 :]
    return output in ("identity", "exp") and all(isinstance(layer, Rescale) for layer in behind)


def _activation(layers: Sequence[Layer]) -> Activation:
    """Return the first activation in front of the next dense layer, or the identity."""
    for layer in layers:
        if isinstance(layer, Dense):
            break
        if isinstance(layer, Activation):
            return layer
    return Identity()


def _initializer(given: str | Initializer) -> Initializer:
    if isinstance(given, str):
        return INITIALIZERS[choose("initializer", given, INITIALIZERS)]
    if isinstance(given, type) or not callable(given):
        accepted = 'a name, as in "he-uniform", or a function'
        raise UsageError(f"initializer must be {accepted}, got {shown(given)}", "initializer")
    draw: Initializer = function_of("initializer", given, "key", "fan_in", "fan_out")
    return draw


def _checked(W: HostArray, layer: Dense) -> HostArray:
    W, expected = np.asarray(W), (layer.fan_in, layer.fan_out)
    if W.shape != expected or W.dtype.kind not in "iuf" or not np.all(np.isfinite(W)):
        raise UsageError(
            f"initializer must return finite numbers of shape {expected}, got {W.dtype} of shape "
            f"{W.shape}"
        )
    return W


def _uniform(key: HostArray, fan_in: int, fan_out: int, variance: float) -> HostArray:
    W = sqrt(3 * variance) * (2 * uniform(key, fan_in * fan_out) - 1)
    return W.reshape(fan_in, fan_out)


def _normal(key: HostArray, fan_in: int, fan_out: int, variance: float) -> HostArray:
    W = sqrt(variance) * normal(key, fan_in * fan_out)
    return W.reshape(fan_in, fan_out)
