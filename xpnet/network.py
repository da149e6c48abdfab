"""Network: layers one after another, and their arrays in three flat vectors.

`theta` holds every trainable array, those that weight decay applies to first; `buffers` every
array that is not trained; the gradient has the order of `theta`.  So the optimizer, clipping
and whatever comes later see one vector, and decay is one slice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from math import prod
from typing import Any

from xpnet.arrays import Array, Arrays, float_name, namespace
from xpnet.bounds import Count, several, shown
from xpnet.checks import Settings
from xpnet.errors import UsageError
from xpnet.layers import Dense, Layer, Shapes, Standardize

MOST_NUMBERS = 2**40
Slot = tuple[int, str, tuple[int, ...]]  # number of the layer, name of the array, shape


@dataclass(frozen=True)
class Network(Settings):
    """An architecture.  It holds no array: these are arguments.

    Parameters
    ----------
    fan_in : int
        Columns of the input.
    layers : tuple of Layer

    Raises
    ------
    UsageError
        A layer does not fit the one before it.
    """

    fan_in: Count
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        layers = several("layers", self.layers, "[Dense(784, 128), ReLU(), Dense(128, 10)]")
        object.__setattr__(self, "layers", layers)
        for layer in self.layers:
            if isinstance(layer, type):
                raise UsageError(f"a layer is the class {layer.__name__}; write an instance")
            if not isinstance(layer, Layer):
                raise UsageError(f"a layer must be an instance of Layer, got {shown(layer)}")
        numbers = self.size + self.buffer_size + self.widest
        if numbers > MOST_NUMBERS:
            raise UsageError(f"{self} has {numbers:,} numbers: too many for any memory")
        if self.fan_out < 1:
            raise UsageError(f"a network needs at least one output, got {self.fan_out}")

    def __str__(self) -> str:
        """The widths of input and dense layers, as in 784-128-10."""
        widths = [layer.fan_out for layer in self.layers if hasattr(layer, "fan_out")]
        return "-".join(map(str, [self.fan_in, *widths]))

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """The number of columns of the input, and of the output of each layer."""
        widths = [self.fan_in]
        for layer in self.layers:
            widths.append(layer.width(widths[-1]))
        return tuple(widths)

    @property
    def fan_out(self) -> int:
        """Columns of the output."""
        return self.widths[-1]

    @cached_property
    def standardizes(self) -> bool:
        """Whether the first layer is a `Standardize`, which takes x of any type."""
        return bool(self.layers) and isinstance(self.layers[0], Standardize)

    @property
    def widest(self) -> int:
        """Columns of the widest array that a sample becomes."""
        return max(self.widths)

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """The arrays of `theta`, in its order: decayed ones first, then the others."""
        every = self._slots(lambda layer: layer.shapes)
        return tuple(sorted(every, key=lambda slot: slot[1] not in self.layers[slot[0]].decayed))

    @cached_property
    def buffer_slots(self) -> tuple[Slot, ...]:
        """The arrays of `buffers`, in its order."""
        return self._slots(lambda layer: layer.buffers)

    def _slots(self, shapes: Callable[[Layer], Shapes]) -> tuple[Slot, ...]:
        return tuple(
            (i, name, shape)
            for i, layer in enumerate(self.layers)
            for name, shape in shapes(layer).items()
        )

    @cached_property
    def size(self) -> int:
        """The length of `theta`."""
        return sum(prod(shape) for _, _, shape in self.slots)

    @cached_property
    def buffer_size(self) -> int:
        """The length of `buffers`."""
        return sum(prod(shape) for _, _, shape in self.buffer_slots)

    @cached_property
    def decayed_size(self) -> int:
        """The length of the first part of `theta`, that weight decay applies to."""
        return sum(prod(shape) for i, name, shape in self.slots if name in self.layers[i].decayed)

    @cached_property
    def weights(self) -> tuple[int, ...]:
        """How many there are in each dense layer: the multiplications of its product, by sample."""
        return tuple(prod(shape) for _, name, shape in self.slots if name == "W")

    @cached_property
    def products(self) -> tuple[int, int]:
        """The matrix products of a training step, and their multiplications for each sample.

        For each dense layer there are three, and two for the first, whose dx nobody needs.
        """
        sizes = self.weights
        return max(3 * len(sizes) - 1, 0), 3 * sum(sizes) - sum(sizes[:1])

    @cached_property
    def drawing(self) -> tuple[int, ...]:
        """The numbers of the layers that read a random key."""
        return tuple(i for i, layer in enumerate(self.layers) if layer.draws)

    def check(self, theta: Array, buffers: Array) -> None:
        """Raise a UsageError where these are not the vectors of this network."""
        for name, array, size in (
            ("theta", theta, self.size), ("buffers", buffers, self.buffer_size)
        ):  # fmt: skip
            xp = namespace(array)
            if tuple(array.shape) != (size,):
                raise UsageError(
                    f"{name} must have shape ({size},) for {self}, got {tuple(array.shape)}"
                )
            if array.dtype not in (xp.float32, xp.float64):
                raise UsageError(f"{name} must be float32 or float64, got {array.dtype}")
        types = float_name(theta), float_name(buffers)
        if self.size and self.buffer_size and types[0] != types[1]:
            raise UsageError(f"theta and buffers must be of one type, got {' and '.join(types)}")

    def unpack(
        self, theta: Array, buffers: Array | None = None, keys: Array | None = None
    ) -> list[dict[str, Array]]:
        """The arrays of each layer by name: views of the vectors, where slices are views.

        Parameters
        ----------
        theta : floating-point array (size,)
        buffers : floating-point array (buffer_size,), optional
            Left out, the arrays that are not trained are left out.
        keys : int32 array (len(drawing), 3), optional
            The key of each layer that draws; not needed when predicting.
        """
        params: list[dict[str, Array]] = [{} for _ in self.layers]
        for slots, vector in ((self.slots, theta), (self.buffer_slots, buffers)):
            if vector is None:
                continue
            start = 0
            for i, name, shape in slots:
                stop = start + prod(shape)
                params[i][name] = namespace(vector).reshape(vector[start:stop], shape)
                start = stop
        if keys is not None:
            for row, i in enumerate(self.drawing):
                params[i]["key"] = keys[row, :]
        return params

    def pack(self, grads: Sequence[Arrays]) -> Array:
        """The gradients of each layer's arrays, in the order of `theta`."""
        return self._pack(self.slots, grads)

    def pack_buffers(self, arrays: Sequence[Arrays]) -> Array:
        """Each layer's buffers, in the order of `buffers`."""
        return self._pack(self.buffer_slots, arrays)

    def _pack(self, slots: tuple[Slot, ...], arrays: Sequence[Arrays]) -> Array:
        flat = [arrays[i][name] for i, name, _ in slots]
        xp = namespace(flat[0])
        return xp.concat([xp.reshape(a, (-1,)) for a in flat])

    def forward(self, params: Sequence[Arrays], x: Array) -> tuple[Array, list[Any]]:
        """The logits while training, and each layer's cache."""
        caches = []
        for layer, p in zip(self.layers, params, strict=True):
            x, cache = layer.forward(p, x)
            caches.append(cache)
        return x, caches

    def backward(
        self, params: Sequence[Arrays], caches: Sequence[Any], dy: Array
    ) -> tuple[Array, list[Arrays]]:
        """∂L/∂x and each layer's gradients, from dy = ∂L/∂logits: the chain rule, from the end."""
        grads: list[Arrays] = []
        for layer, p, cache in zip(self.layers[::-1], params[::-1], caches[::-1], strict=True):
            dy, grad = layer.backward(p, cache, dy)
            grads.append(grad)
        return dy, grads[::-1]

    @cached_property
    def refreshing(self) -> bool:
        """Whether a step changes buffers."""
        return any(type(layer).refresh is not Layer.refresh for layer in self.layers)

    def refresh(self, params: Sequence[Arrays], caches: Sequence[Any]) -> Array:
        """The next `buffers`, after a step whose `forward` gave these caches."""
        layers = zip(self.layers, params, caches, strict=True)
        return self.pack_buffers([layer.refresh(p, cache) for layer, p, cache in layers])

    @cached_property
    def bounds(self) -> tuple[tuple[int, float], ...]:
        """The number of each layer whose weights are bounded, and its bound (`Dense.max_norm`)."""
        dense = [(i, layer) for i, layer in enumerate(self.layers) if isinstance(layer, Dense)]
        return tuple((i, layer.max_norm) for i, layer in dense if layer.max_norm)

    def table(self) -> str:
        """Return a text with a line for each layer: columns of the output, and parameters."""
        sizes = [sum(map(prod, layer.shapes.values())) for layer in self.layers]
        names = [brief(layer) for layer in self.layers]
        wide = max(5, *map(len, names))
        lines = [f"{'layer':<{wide}}  columns  parameters", f"{'input':<{wide}}  {self.fan_in:7,}"]
        for name, columns, size in zip(names, self.widths[1:], sizes, strict=True):
            lines.append(f"{name:<{wide}}  {columns:7,}  {size:10,}")
        return "\n".join([*lines, f"{'sum':<{wide}}           {self.size:10,}"])

    def infer(self, params: Sequence[Arrays], x: Array) -> Array:
        """The logits when predicting."""
        for layer, p in zip(self.layers, params, strict=True):
            x = layer.infer(p, x)
        return x


def brief(layer: Layer) -> str:
    """Return a layer as one writes it: without the parameters that have their default."""
    given = [(field, getattr(layer, field.name)) for field in fields(layer)]
    texts = [
        repr(value) if field.default is MISSING else f"{field.name}={value!r}"
        for field, value in given
        if value != field.default
    ]
    return f"{type(layer).__name__}({', '.join(texts)})"


def named(slots: Sequence[Slot], params: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """The arrays of `slots` under the names that a file gives them, as in `layers.1.W`."""
    return {_name(i, name): params[i][name] for i, name, _ in slots}


def by_layer(network: Network, arrays: Mapping[str, Array]) -> list[dict[str, Array]]:
    """The arrays of each layer by name, from those under the names of a file: undoes `named`."""
    slots = network.slots + network.buffer_slots
    params: list[dict[str, Array]] = [{} for _ in network.layers]
    for i, name, _ in slots:
        if _name(i, name) in arrays:
            params[i][name] = arrays[_name(i, name)]
    return params


def _name(layer: int, array: str) -> str:
    return f"layers.{layer}.{array}"
