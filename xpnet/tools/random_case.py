"""A network, a loss and random arrays for both, at which every derivative exists."""

import numpy as np

from xpnet.arrays import Array, Arrays, HostArray, put, to_numpy
from xpnet.errors import UsageError
from xpnet.losses import Loss
from xpnet.model import Model
from xpnet.network import by_layer, named
from xpnet.normalization import BatchNorm, LayerNorm
from xpnet.random import Purpose, step_keys, uniform
from xpnet.tools.derivatives import STEP

FLAT = 300 * STEP
MARGIN = 10 * STEP  # two steps of W move a unit by less where x is below 5; it grows with x


class Case:
    """A network with a loss, and arrays for both, drawn on the host."""

    def __init__(self, model: Model, loss: Loss, samples: int, seed: int) -> None:
        self.network, self.loss = model.network, loss
        self.seed, self.drawn = seed, 0
        network, n = self.network, samples
        self.buffers = self.draw(1, 2, network.buffer_size)
        self.keys = np.asarray([[seed % 2**31, i, 0] for i in network.drawing], dtype=np.int32)
        self.w = self.draw(0.5, 1.5, n)
        self.t = self.draw(0, 1, n, network.fan_out)
        if loss.output == "softmax":
            self.t /= self.t.sum(axis=1, keepdims=True)
        for shift in np.linspace(0.1, 1, 10).tolist():
            theta = to_numpy(model.theta) + self.draw(-shift, shift, network.size)
            self.at = named(network.slots[::-1], network.unpack(theta, self.buffers))
            self.at["x"] = self.draw(-1, 1, n, network.fan_in)
            for _ in range(100):
                bad = self.near_a_kink()
                if not np.any(bad):
                    return
                self.at["x"][bad] = self.draw(-1, 1, int(bad.sum()), network.fan_in)
        raise UsageError(
            "found no inputs at which every unit is away from the kinks of its activation, where "
            "there is no derivative; try fewer or smaller layers, more samples, or tanh"
        )

    def draw(self, low: float, high: float, *shape: int) -> HostArray:
        """Uniform numbers; other ones with each call."""
        key = step_keys(self.seed, Purpose.CHECK, 0, range(self.drawn, self.drawn + 1))[0]
        self.drawn += 1
        return (low + (high - low) * uniform(key, int(np.prod(shape)))).reshape(shape)

    def params(self, at: Arrays) -> list[dict[str, Array]]:
        x, network = at["x"], self.network
        keys = put(self.keys, x) if network.drawing else None
        theta = put(np.zeros(network.size), x)  # each piece of it is replaced
        params = network.unpack(theta, put(self.buffers, x), keys)
        trained = by_layer(network, at)
        return [{**p, **own} for p, own in zip(params, trained, strict=True)]

    def near_a_kink(self) -> HostArray:
        """Which rows have a unit within reach of a kink, of its activation or of the loss.

        Or are nearly constant where they are normalized: there a small step is a large one.  A unit
        just on a kink stays there, and units that are all the same stay so: all that leads to them
        is dropped, or 0.
        """
        x = self.at["x"]
        near, margin = np.zeros(len(x), dtype=bool), MARGIN
        for layer, p in zip(self.network.layers, self.params(self.at), strict=True):
            for kink in getattr(layer, "kinks", ()):
                distance = np.abs(x - kink)
                near |= np.any((distance > 0) & (distance < margin), axis=1)
            margin = max(margin, MARGIN * float(np.max(np.abs(x))) / 2)
            axis = {BatchNorm: 0, LayerNorm: 1}.get(type(layer))
            if axis is not None and x.shape[axis] > 1:
                deviation = np.std(x, axis=axis)
                flat = (deviation > 0) & (deviation < FLAT)
                near |= flat if axis else np.any(flat)
                margin /= min(1.0, max(float(np.min(deviation)), FLAT))
            x, _ = layer.forward(p, x)
        distances = self.loss.kinks(x, self.t)
        return near if distances is None else near | np.any(np.abs(distances) < margin, axis=1)

    def logits(self, at: Arrays) -> Array:
        return self.network.forward(self.params(at), at["x"])[0]

    def loss_of_network(self, at: Arrays) -> Array:
        return self.loss_of_logits({"logits": self.logits(at)})

    def loss_of_logits(self, at: Arrays) -> Array:
        z = at["logits"]
        return self.loss.forward(z, put(self.t, z), put(self.w, z))[0]

    def loss_gradients(self, at: Arrays) -> Arrays:
        z = at["logits"]
        _, cache = self.loss.forward(z, put(self.t, z), put(self.w, z))
        return {"logits": self.loss.backward(cache)}

    def gradients(self, at: Arrays) -> Arrays:
        params = self.params(at)
        z, caches = self.network.forward(params, at["x"])
        dz = self.loss_gradients({"logits": z})["logits"]
        dx, grads = self.network.backward(params, caches, dz)
        return {**named(self.network.slots, grads), "x": dx}
