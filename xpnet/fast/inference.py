"""Inference on NumPy: what `Network.infer` gives, to rounding, in fewer passes over the samples.

`Network.infer` is the textbook, for every library.  Here the same map is prepared once for given
arrays, in as few and as short calls as NumPy allows:

- samples are cast and multiplied block by block, in cache;
- scaling of the input and batch normalization become part of the product beside them;
- layers that leave x as it is (dropout and noise, when predicting) are left out;
- between two products, ReLU and the biases before it are one maximum;
- biases are added, and ReLU and tanh computed, in place, in arrays made here.

Calls share the arrays of the network alone, which nobody writes to: several may be under way.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from xpnet.activations import Identity, ReLU, Tanh
from xpnet.arrays import Arrays, HostArray
from xpnet.layers import Dense, Dropout, Layer, Noise, Rescale, Standardize
from xpnet.network import Network
from xpnet.normalization import BatchNorm, LayerNorm
from xpnet.registry import ACTIVATIONS

Map = Callable[[HostArray], HostArray]
LayerAndArrays = tuple[Layer, Arrays]

BLOCK = 1536
"""Samples at a time.  Of 784-128-10, blocks of 700 to 2,000 take the same time, and greater ones
more, for they leave the cache.  Few are better where the threads of a product wait for a core."""
GREATEST_BIAS = 8.0
"""Of units whose ReLU is folded: `_steps` says why."""
IDLE = {Dropout, Noise, Identity}  # y = x when predicting
KNOWN = {Standardize, Dense, BatchNorm, LayerNorm, Rescale, *IDLE, *ACTIVATIONS.values()}


def prepare(network: Network, params: Sequence[Arrays]) -> Map:
    """`network.infer` with these arrays, as a function of samples x (n, fan_in) of any numbers.

    Logits come in a new array, and differ from those of `network.infer(params, x)` by rounding.
    Networks that do not begin with `Standardize`, which settles the type, or that have layers of
    one's own, are left to `network.infer`.

    Parameters
    ----------
    network : Network
    params : sequence of mappings
        Each layer's arrays, of NumPy, by name (`Network.unpack`).  Not to be changed afterwards.
    """
    kinds = [type(layer) for layer in network.layers]
    if kinds[:1] != [Standardize] or not KNOWN.issuperset(kinds):
        return partial(network.infer, params)
    layers = zip(network.layers, params, strict=True)
    steps = _steps([(layer, p) for layer, p in layers if type(layer) not in IDLE])
    width, dtype = network.fan_out, params[0]["mean"].dtype

    def infer_block(x: HostArray) -> HostArray:
        for step in steps:
            x = step(x)
        return x

    def infer(x: HostArray) -> HostArray:
        n = x.shape[0]
        if n <= BLOCK:
            return infer_block(x)
        z = np.empty((n, width), dtype)
        for start in range(0, n, BLOCK):
            z[start : start + BLOCK] = infer_block(x[start : start + BLOCK])
        return z

    return infer


def _steps(layers: list[LayerAndArrays]) -> list[Map]:
    """The maps to apply one after another.

    Between two products ReLU is folded into them, a pass over the units less:

        max(x W + b, 0) W' + b' = (max(x W, -b) + b) W' + b' = max(x W, -b) W' + (b' + b W')

    A unit that is off is -b there, which b W' takes away again.  What is left is a rounding error
    of |b|, as of a unit that is on with |b|, where ReLU leaves none; so |b| must not be much more
    than the size of units that are on, about 1.  On MNIST it is 3.
    """
    first, *rest = layers
    step, rest = _scaling(first, rest)
    steps, carried = [step], None
    while rest:
        layer, p = rest.pop(0)
        if not isinstance(layer, Dense):
            steps.append(partial(layer.infer, p))
            continue
        if carried is not None:
            p = {**p, "b": p.get("b", 0) + carried}
        if rest and isinstance(rest[0][0], BatchNorm):
            p = _normalized(p, *rest.pop(0))
        carried = _carried(p.get("b"), rest)
        if carried is None:
            b, least = p.get("b"), np.zeros((), p["W"].dtype)
        else:
            b, least = None, -p["b"][np.newaxis]
        kind = type(rest[0][0]) if rest else Identity
        steps.append(_dense(p["W"], b, kind, least))
        if kind in (ReLU, Tanh):
            del rest[0]
    return steps


def _carried(b: HostArray | None, behind: list[LayerAndArrays]) -> HostArray | None:
    """b W' of the product after ReLU; None where ReLU or that is not next, or digits were lost."""
    if b is None or [type(layer) for layer, _ in behind[:2]] != [ReLU, Dense]:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        carried: HostArray = b @ behind[1][1]["W"]
    kept = np.max(np.abs(b)) <= GREATEST_BIAS and np.all(np.isfinite(carried))
    return carried if kept else None


def _scaling(
    standardize: LayerAndArrays, rest: list[LayerAndArrays]
) -> tuple[Map, list[LayerAndArrays]]:
    """The map from samples as they come to what the rest is given, and the rest.

    In front of a product, with s = scale and W' = W / s:

        ((x - mean) / s) W + b = (x - mean) W' + b = x W' + (b - mean W')

    The first step loses nothing: a rounding error for each weight takes the place of one for each
    x / s.  The second replaces rounding errors relative to |x - mean| / s, which is about 1, by
    errors relative to |x| / s and |mean| / s.  Where |mean| <= 4 s, as for pixels, these are a few
    times as large, whatever the type of x.  For seconds since 1970 all digits would be lost: there
    x - mean is computed, by the layer itself.  And so it is where layer normalization follows,
    which magnifies what is small: rows near the mean.
    """
    layer, p = standardize
    assert isinstance(layer, Standardize)
    mean, scale = p["mean"], p["scale"]
    if not (rest and isinstance(rest[0][0], Dense)):
        return partial(layer.infer, p), rest
    (dense, q), *behind = rest
    W = _scaled(q["W"], scale)
    if W is None:
        return partial(layer.infer, p), rest
    q = {**q, "W": W}
    magnified = any(isinstance(layer, LayerNorm) for layer, _ in rest)
    if magnified or layer.split_mean or np.any(np.abs(mean) / 4 > scale):
        return partial(_centred, layer, p), [(dense, q), *behind]
    q["b"] = q.get("b", 0) - mean @ q["W"]
    return partial(_cast, mean.dtype), [(dense, q), *behind]


def _scaled(W: HostArray, scale: HostArray) -> HostArray | None:
    """W / scale; None where a number becomes infinite or subnormal, which has fewer digits."""
    limits = np.finfo(W.dtype)
    with np.errstate(over="ignore"):
        scaled = W / scale[:, np.newaxis]
    size = np.abs(scaled)
    kept = (W == 0) | ((size >= limits.tiny) & (size <= limits.max))
    return scaled if np.all(kept) else None


def _cast(dtype: Any, x: HostArray) -> HostArray:
    return x if x.dtype == dtype else x.astype(dtype)


def _centred(layer: Standardize, p: Arrays, x: HostArray) -> HostArray:
    """`layer.centred(p, x)` in a shorter call: a third of the time for one sample."""
    mean = p["mean"]
    if x.dtype.kind != "f":
        x = x.astype(mean.dtype if x.dtype.itemsize <= 2 else np.float64)
    y: HostArray = x - mean
    if layer.split_mean:
        y -= p["rest"]
    return y.astype(mean.dtype, copy=False)


def _normalized(dense: Arrays, layer: Layer, p: Arrays) -> dict[str, Any]:
    """The arrays of a dense layer that is batch normalization, too.

    With u = x W + b, (u - mean) g + β = x (W g) + ((b - mean) g + β), where g = γ / √(var + ε).
    The errors of x W and of x (W g) are in the same ratio to the result: nothing is lost.
    """
    zero = np.zeros_like(p["mean"])
    g = layer.infer({**p, "mean": zero, "beta": zero}, np.ones_like(p["mean"]))
    return {"W": dense["W"] * g, "b": (dense.get("b", zero) - p["mean"]) * g + p["beta"]}


def _dense(W: HostArray, b: HostArray | None, activation: type[Layer], least: HostArray) -> Map:
    """The map x -> x W + b, followed by ReLU, which is `least` where it is off, or tanh."""
    row = None if b is None else b[np.newaxis]  # of the shape of a single y, for a shorter call
    rectified, tanh = activation is ReLU, activation is Tanh

    def dense(x: HostArray) -> HostArray:
        y: HostArray = x.dot(W)
        if row is not None:
            y += row
        if rectified:
            np.maximum(y, least, out=y)
        elif tanh:
            np.tanh(y, out=y)
        return y

    return dense
