"""One training step, layer by layer: from the samples to the loss, back, and to new weights.

The new weights are those of `train.train_step`; keys of layers that draw are those of `fit` at its
first step.  Everything is of one map: the step, the loss before and after it, and differences.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from xpnet.arrays import Array, Arrays, HostArray, float_name, put, to_numpy
from xpnet.layers import Dense, Dropout, Layer, Noise
from xpnet.losses import Loss, dense_targets
from xpnet.model import Model
from xpnet.network import Network
from xpnet.normalization import BatchNorm, LayerNorm
from xpnet.optimizers import SGD
from xpnet.random import Purpose, step_keys
from xpnet.tools.chain_rule import LayerStep, Place, Product, index, largest, leading, within
from xpnet.tools.derivatives import central_differences
from xpnet.train import train_step


@dataclass(frozen=True)
class Quantity:
    """One array of the step.

    Attributes
    ----------
    part : {"forward", "loss", "backward", "update"}
    layer : int or None
        The number of its layer, from 0; None for the loss.
    name : str
        As in the docstring of the layer or the loss: x, W, y, p, dz, dW, ...
    formula : str
        What it is computed by; empty for what is given.
    value : float64 array
    at : tuple of int
        The element that the chain goes through.
    """

    part: str
    layer: int | None
    name: str
    formula: str
    value: HostArray
    at: Place


@dataclass(frozen=True)
class Link:
    """One derivative of the chain, a sum of products.

    Attributes
    ----------
    layer : int or None
        None for the loss.
    name : str
        Of the element, as in dx[0, 2].
    formula : str
    terms : tuple of (float, float)
        The factors of each product; empty for the loss, whose derivative is not taken apart.
    value : float
        Their sum.
    """

    layer: int | None
    name: str
    formula: str
    terms: tuple[tuple[float, float], ...]
    value: float


@dataclass(frozen=True)
class Step:
    """Every array of one step, on the host.

    Attributes
    ----------
    network : Network
    loss : Loss
    learning_rate : float
    t : array
    before, after : float
        L before the step and after it.
    layers : tuple of LayerStep
    params : list of dict
        What the layers read, in float64, with their keys.
    """

    network: Network
    loss: Loss
    learning_rate: float
    t: HostArray
    before: float
    after: float
    layers: tuple[LayerStep, ...]
    params: list[dict[str, HostArray]]

    @property
    def z(self) -> HostArray:
        return self.layers[-1].y

    @property
    def dz(self) -> HostArray:
        return self.layers[-1].dy

    @cached_property
    def first(self) -> int:
        """The number of the layer that the chain leads to.

        The first dense one; where there is none, the first that is trained.
        """
        layers = [*enumerate(self.network.layers)]
        dense = [i for i, layer in layers if isinstance(layer, Dense)]
        return (dense or [i for i, layer in layers if layer.shapes])[0]

    @cached_property
    def weight(self) -> tuple[str, Place]:
        """The array that the chain leads to, and its element of the largest derivative."""
        one = self.layers[self.first]
        name = "W" if isinstance(one.layer, Dense) else next(iter(one.layer.shapes))
        return name, largest(one.grads[name])

    @cached_property
    def sums(self) -> list[list[Product]]:
        """The sum at each layer from `first` on: each leads on through its largest product."""
        one, *behind = self.layers[self.first :]
        sums = [one.products(*self.weight)]
        for one in behind:
            sums.append(one.products("x", leading(sums[-1])))
        return sums

    @cached_property
    def places(self) -> list[Place]:
        """The element of each layer's x that the chain goes through, and of z."""
        first, (_, weight) = self.layers[self.first], self.weight
        behind = [leading(products) for products in self.sums]
        sample = behind[0][0]
        places = [(sample, weight[0]) if first.dense else first.source(behind[0])]
        for one in self.layers[: self.first][::-1]:
            places.insert(0, one.source(places[0]))
        return places + behind

    def place(self, i: int, name: str, array: HostArray) -> Place:
        """The element of an array of layer i that the chain goes through."""
        if (i, name) == (self.first, self.weight[0]):
            return self.weight[1]
        return within((self.places[i][1], self.places[i + 1][1]), array)

    def chain(self) -> tuple[Link, ...]:
        """From the loss backwards, each derivative as a sum of products."""
        at = self.places[-1]
        name, formula = f"dz{index(at)}", _formula(self.loss, "dz")
        links = [Link(None, name, formula, (), float(self.dz[at]))]
        for i in range(len(self.layers) - 1, self.first - 1, -1):
            one, products = self.layers[i], self.sums[i - self.first]
            name, at = self.weight if i == self.first else ("x", self.places[i])
            formula = one.in_symbols(name, at, [product.k for product in products])
            terms, value = tuple(product.factors for product in products), one.grads[name][at]
            links.append(Link(i, f"d{name}{index(at)}", formula, terms, float(value)))
        return tuple(links)

    def differences(self) -> float:
        """The last derivative of the chain by central differences."""
        name, at = self.weight
        A = self.params[self.first][name]

        def moved(arrays: Arrays) -> Array:
            params = [{**p} for p in self.params]
            params[self.first][name] = A.copy()
            params[self.first][name][at] = arrays["a"]
            z, _ = self.network.forward(params, self.layers[0].x)
            return self.loss.forward(z, self.t)[0]

        return float(central_differences(moved, {"a": A[at]})["a"])

    def quantities(self) -> tuple[Quantity, ...]:
        """Every array, in the order in which it is computed."""
        return *self._forward(), *self._loss(), *self._backward(), *self._update()

    def _forward(self) -> list[Quantity]:
        found = [Quantity("forward", 0, "x", "", self.layers[0].x, self.places[0])]
        for i, one in enumerate(self.layers):
            for name, a in one.arrays.items():
                running = isinstance(one.layer, BatchNorm) and name in one.layer.buffers
                formula = "running, used when predicting" if running else ""
                found.append(Quantity("forward", i, name, formula, a, self.place(i, name, a)))
            at = self.places[i + 1]
            for name, a in one.inner.items():
                found.append(Quantity("forward", i, name, "", a, within(at, a)))
            found.append(Quantity("forward", i, "y", _formula(one.layer, "y"), one.y, at))
        return found

    def _loss(self) -> list[Quantity]:
        at, z = self.places[-1], self.z
        computed = {"p": self.loss.probabilities(z), "L": np.asarray(self.before), "dz": self.dz}
        found = [Quantity("loss", None, "t", "", dense_targets(self.t, z), at)]
        for name, a in computed.items():
            formula = _formula(self.loss, name)
            found.append(Quantity("loss", None, name, formula, a, within(at, a)))
        return found

    def _backward(self) -> list[Quantity]:
        found = []
        lowest = min(i for i, one in enumerate(self.layers) if one.layer.shapes)
        for i in range(len(self.layers) - 1, lowest - 1, -1):
            one = self.layers[i]
            names = [*one.layer.shapes, *(["x"] if i > lowest else [])]
            for name in names:
                a, formula = one.grads[name], _formula(one.layer, f"d{name}")
                at = self.places[i] if name == "x" else self.place(i, name, a)
                found.append(Quantity("backward", i, f"d{name}", formula, a, at))
        return found

    def _update(self) -> list[Quantity]:
        found, bounds = [], dict(self.network.bounds)
        for i, one in enumerate(self.layers):
            for name, a in one.updated.items():
                formula = f"{name} - {self.learning_rate:g} d{name}"
                if name == "W" and i in bounds:
                    formula += f",  columns shortened to {bounds[i]:g}"
                if name not in one.layer.shapes:
                    formula = _formula(one.layer, name)
                found.append(Quantity("update", i, name, formula, a, self.place(i, name, a)))
        return found


def take_step(model: Model, loss: Loss, optimizer: SGD, x: Array, t: Array, seed: int) -> Step:
    """Take the step and return every array of it.

    Parameters
    ----------
    model : Model
    loss : Loss
    optimizer : SGD
    x, t : arrays
        Samples and targets, as `fitting.scaling.prepare` returns them.
    seed : int
        Of the keys.
    """
    network, keys = model.network, _keys(model.network, seed)
    there = None if keys is None else put(keys, x)
    scalars = put(np.asarray(optimizer.scalars(1.0, 1), dtype=model.dtype), x)
    theta, _, buffers, _ = train_step(
        network, loss, optimizer, model.theta, (), model.buffers, (x, t, None), scalars, there
    )
    z, _ = network.forward(network.unpack(theta, model.buffers, there), x)
    after, _ = loss.forward(z, t)
    params = network.unpack(model.theta, model.buffers, there)
    xs, caches = [x], []
    for layer, p in zip(network.layers, params, strict=True):
        y, cache = layer.forward(p, xs[-1])
        xs.append(y)
        caches.append(cache)
    before, cache = loss.forward(xs[-1], t)
    dy, updated = _host(loss.backward(cache)), network.unpack(theta, buffers)
    layers: list[LayerStep] = []
    for i in range(len(xs) - 2, -1, -1):
        passed = caches[i], xs[i], xs[i + 1]
        layers.insert(0, _layer_step(network.layers[i], params[i], updated[i], *passed, dy))
        dy = layers[0].grads["x"]
    return Step(
        network, loss, optimizer.rate, to_numpy(t), float(before), float(after),
        tuple(layers), network.unpack(_host(model.theta), _host(model.buffers), keys),
    )  # fmt: skip


def _keys(network: Network, seed: int) -> HostArray | None:
    """The keys of `fit` at its first step (`random.mask_units`)."""
    if not network.drawing:
        return None
    keys = np.zeros((len(network.drawing), 3), dtype=np.int32)
    for row, layer in enumerate(network.drawing):
        keys[row, :2] = step_keys(seed, Purpose.UNITS, layer, range(1))[0]
    return keys


def _layer_step(
    layer: Layer, p: Arrays, new: Arrays, cache: Any, x: Array, y: Array, dy: HostArray
) -> LayerStep:
    """The arrays of a layer, on the host."""
    changed = layer.buffers if type(layer).refresh is not Layer.refresh else ()
    dtype = float_name(y)

    def backward(dy: HostArray) -> dict[str, HostArray]:
        dx, grads = layer.backward(p, cache, put(dy.astype(dtype), y))
        return {"x": _host(dx), **{name: _host(a) for name, a in grads.items()}}

    return LayerStep(
        layer, {name: _host(p[name]) for name in (*layer.shapes, *layer.buffers)},
        _inner(layer, cache, x, y), _host(x), _host(y), dy, backward(dy),
        {name: _host(new[name]) for name in (*layer.shapes, *changed)}, backward,
    )  # fmt: skip


def _inner(layer: Layer, cache: Any, x: Array, y: Array) -> dict[str, HostArray]:
    """What the formulas of a layer name besides its arrays, x and y."""
    kind = type(layer)
    if kind is Dropout:
        return {"m": _host(cache)}
    if kind is Noise:
        return {"s ε": _host(y - x)}
    if kind in (BatchNorm, LayerNorm):
        return {"h": _host(cache[0]), "r": _host(cache[1])}
    return {}


def _host(array: Array) -> HostArray:
    return np.asarray(to_numpy(array), dtype=np.float64)


def _formula(owner: Layer | Loss, name: str) -> str:
    """How an array is computed: in the owner's words, or by which of its methods."""
    if isinstance(owner, Layer):
        method = {"y": "forward(x)", **dict.fromkeys(owner.buffers, "refresh(cache)")}
        called = method.get(name, "backward(dy)")
    else:
        method = {"p": "probabilities(z)", "L": "forward(z, t)"}
        called = method.get(name, "backward(cache)")
    return owner.formulas.get(name, f"{type(owner).__name__}.{called}")
