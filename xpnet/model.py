"""Model: a network with its arrays, labels and the shape of a sample; `load` reads one."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.arrays import (
    Array,
    Arrays,
    HostArray,
    device_of,
    float_name,
    frozen_copy,
    namespace,
    on_device_of,
    put,
    to_numpy,
)
from xpnet.data import model_file
from xpnet.data.dataset import as_array
from xpnet.data.targets import Label
from xpnet.device.selection import Device, select
from xpnet.errors import UsageError
from xpnet.losses import PROBABILITIES
from xpnet.network import Network, named

MOST_AT_ONCE = 2**24  # numbers that go through a network together: 64 MB of float32


@dataclass(frozen=True, eq=False)
class Model:
    """A network with its arrays: called with samples, it gives logits, in kind.

    Samples may be arrays of any library that xpnet supports, wherever they lie, or lists; the
    model keeps one copy of its arrays for each library and device that it met.

    Attributes
    ----------
    network : Network
    theta, buffers : floating-point arrays
        All trainable arrays; all others.  NumPy arrays that can be written to are copied; read-only
        ones and those of other libraries are not, and must stay as they are.
    labels : tuple of int or str
        The label of each class, by default 0, 1, 2, ...; empty for regression and counts.
    input_shape : tuple of int
        The shape of one sample; samples may also come flat.
    output : {"softmax", "sigmoid", "identity", "exp"}
        What logits stand for: one of several classes; yes or no for each output (a single one
        tells two classes apart); values; logarithms of expected counts.
    multilabel : bool
        Whether a sample may have any number of the labels ("sigmoid" only); else it has one.
    columns : tuple of str
        The names of the input's columns, where it comes from a table; else empty.
    """

    network: Network
    theta: Array = field(repr=False)
    buffers: Array = field(repr=False)
    labels: tuple[Label, ...]
    input_shape: tuple[int, ...]
    output: str = "softmax"
    multilabel: bool = False
    columns: tuple[str, ...] = ()
    _copies: dict[Any, "Model"] = field(default_factory=dict, repr=False, init=False)

    def __post_init__(self) -> None:
        """NumPy arrays become its own, read-only: what is made of them once relies on that."""
        for name in ("theta", "buffers"):
            array = getattr(self, name)
            if isinstance(array, np.ndarray) and array.flags.writeable:
                object.__setattr__(self, name, frozen_copy(array))

    def __call__(self, x: Any) -> Array:
        """The logits.

        Parameters
        ----------
        x : array or list (n, *input_shape), or flat (n, width)
            Of any numeric type, as it came (pixels 0 to 255): scaling is part of the network.

        Returns
        -------
        floating-point array (n, outputs), of x's library, on x's device

        Raises
        ------
        UsageError
            x is of another shape, or no array of numbers.
        """
        x = self.flatten(x)
        if isinstance(x, np.ndarray):
            return self._infer_on_numpy(x)
        with on_device_of(x):
            params, rows = self.like(x).params, max(MOST_AT_ONCE // self.network.fan_in, 1)
            if x.shape[0] <= rows:
                return self.network.infer(params, x)
            starts = range(0, x.shape[0], rows)
            parts = [self.network.infer(params, x[i : i + rows, ...]) for i in starts]
            return namespace(x).concat(parts)

    @cached_property
    def _infer_on_numpy(self) -> Callable[[HostArray], HostArray]:
        """`Network.infer` with its arrays on NumPy, prepared at the first call."""
        return infer_on_numpy(self.network, self.like(np.zeros(0)).params)

    def predict_proba(self, x: Any) -> Array:
        """The probability of each label (n, len(labels)), in kind; see `__call__`.

        With "sigmoid" and several outputs each is a probability by itself.

        Raises
        ------
        UsageError
            Also if the model is one for regression.
        """
        if not self.labels:
            raise UsageError("a model for regression has no probabilities; call predict")
        z = self(x)
        with on_device_of(z):
            return self.probabilities(z)

    def predict(self, x: Any) -> Array:
        """The most probable label of each sample (n,).

        Integer labels come back in kind.  Names come back as a NumPy array of names for NumPy, and
        as indices into `labels` for other libraries, which know no text.  With several labels a
        sample it is 1 or 0 for each of them, int32 (n, len(labels)); for regression and counts it
        is the values, (n,) or (n, outputs).
        """
        z = self(x)
        with on_device_of(z):
            if not self.labels:
                values = self.probabilities(z)
                return values[:, 0] if z.shape[1] == 1 else values
            index = predicted_columns(z, self.multilabel)
            if self.multilabel:
                return index
            if isinstance(index, np.ndarray):
                return self._labels_on_numpy[index]
            if isinstance(self.labels[0], str) or self.labels == tuple(range(len(self.labels))):
                return index
            return namespace(index).take(self.like(z)._label_array, index, axis=0)

    @cached_property
    def _labels_on_numpy(self) -> HostArray:
        """Its labels as an array of numbers or names."""
        return np.asarray(self.labels)

    @cached_property
    def _label_array(self) -> Array:
        """Labels that are numbers, as an int32 array where the model is."""
        return put(np.asarray(self.labels, dtype=np.int32), self.theta)

    def probabilities(self, z: Array) -> Array:
        """The probability of each label (n, len(labels)), from logits z (n, m); or the values."""
        p = PROBABILITIES[self.output](z)
        binary = self.output == "sigmoid" and z.shape[1] == 1 and not self.multilabel
        return namespace(p).concat([1 - p, p], axis=1) if binary else p

    @property
    def dtype(self) -> str:
        """The type of its arrays: "float32" or "float64"."""
        return float_name(self.theta)

    def flatten(self, x: Any) -> Array:
        """x as an array (n, width), checked."""
        if not (type(x) is np.ndarray and x.ndim > 1 and x.dtype.kind in "biuf"):
            x = as_array(x)  # which takes as long as a small product
        shape, width = tuple(x.shape), self.network.fan_in
        fits = shape[1:] == self.input_shape or shape[1:] == (width,)
        if not fits and (len(self.input_shape) > 1 or prod(shape[1:]) != width):
            raise UsageError(
                f"x has shape {shape}; this model expects (n, "
                f"{', '.join(map(str, self.input_shape))})"
            )
        return x if len(shape) == 2 else namespace(x).reshape(x, (shape[0], width))

    def like(self, x: Array) -> "Model":
        """The same model with its arrays of x's library, on x's device; made once for each."""
        key = namespace(x), str(device_of(x))
        if key in self._copies:
            return self._copies[key]
        theta, buffers = (_at(a, x) for a in (self.theta, self.buffers))
        if theta is self.theta and buffers is self.buffers:
            return self
        copy = replace(self, theta=theta, buffers=buffers)
        if device_of(theta) is not None:  # inside jax.jit it is a tracer, not to be kept
            self._copies[key] = copy
        return copy

    @cached_property
    def params(self) -> list[dict[str, Array]]:
        """Each layer's arrays by name (`Network.unpack`)."""
        return self.network.unpack(self.theta, self.buffers)

    def to(self, device: str | Device, strict: bool = False) -> "Model":
        """The same model with its arrays on a device; see `xpnet.device.select`."""
        chosen = device if isinstance(device, Device) else select(device, strict)
        theta, buffers = (chosen.put(to_numpy(a)) for a in (self.theta, self.buffers))
        return replace(self, theta=theta, buffers=buffers)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model to a safetensors file, whole or not at all.

        Raises
        ------
        OSError
            It cannot be written.
        """
        network = self.network
        params = network.unpack(to_numpy(self.theta), to_numpy(self.buffers))
        metadata = {
            "network": model_file.encode_network(network),
            "labels": list(self.labels),
            "input_shape": list(self.input_shape),
            "output": self.output,
            "multilabel": self.multilabel,
            "columns": list(self.columns),
        }
        arrays = named(network.slots + network.buffer_slots, params)
        model_file.write_arrays(Path(path), arrays, metadata)

    def __eq__(self, other: object) -> bool:
        """Equal architecture, labels and shape, and arrays equal to the bit, wherever they are."""
        if not isinstance(other, Model):
            return NotImplemented
        mine, theirs = (
            (m.network, m.labels, m.input_shape, m.output, m.multilabel, m.columns, m.dtype)
            for m in (self, other)
        )
        return mine == theirs and all(
            to_numpy(a).tobytes() == to_numpy(b).tobytes()
            for a, b in ((self.theta, other.theta), (self.buffers, other.buffers))
        )

    def __hash__(self) -> int:
        return hash((self.network, self.labels, self.input_shape, self.output))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles and copies hold NumPy arrays: they need no GPU and no other library."""
        arrays = (np.array(to_numpy(a)) for a in (self.theta, self.buffers))
        rest = self.labels, self.input_shape, self.output, self.multilabel, self.columns
        return Model, (self.network, *arrays, *rest)


def _at(array: Array, x: Array) -> Array:
    """`array` in x's library, on x's device."""
    if namespace(array) is namespace(x) and device_of(array) == device_of(x):
        return array
    copy = put(to_numpy(array), x)
    if copy.dtype != namespace(x).float64 and float_name(array) == "float64":
        raise UsageError(
            "the model is of float64, which x's library has switched off; make it with "
            'dtype="float32", or switch float64 on (jax.config.update("jax_enable_x64", True))'
        )
    return copy


def predicted_columns(z: Array, multilabel: bool = False) -> Array:
    """The index of the label that each row of logits z (n, m) stands for; or 1 and 0 for each."""
    xp = namespace(z)
    if multilabel:
        return xp.astype(z > 0, xp.int32)
    if z.shape[1] == 1:
        return xp.astype(z[:, 0] > 0, xp.int32)
    return z.argmax(axis=1) if xp is np else xp.argmax(z, axis=1)  # NumPy's function takes longer


def fast_paths() -> Any:
    """The module `xpnet.fast`; None where it was removed, for all works without it."""
    try:
        return importlib.import_module("xpnet.fast")
    except ModuleNotFoundError as error:
        if error.name != "xpnet.fast":
            raise
        return None


def infer_on_numpy(network: Network, params: Sequence[Arrays]) -> Callable[[HostArray], HostArray]:
    """`Network.infer` with these arrays of NumPy, as a function of samples; not to be changed."""
    fast = fast_paths()
    return fast.infer_on_numpy(network, params) if fast else partial(network.infer, params)


def load(path: str | PathLike[str]) -> Model:
    """The model in a file, or in a run folder, with its arrays on the host.

    Raises
    ------
    xpnet.DataError
        It isn't there, or isn't a model of xpnet.
    """
    file = Path(path)
    content = model_file.read_model(file / "model.safetensors" if file.is_dir() else file)
    theta, buffers = pack_on_host(content.network, content.arrays, content.dtype)
    return Model(content.network, theta, buffers, **content.attributes)


def pack_on_host(
    network: Network, arrays: list[dict[str, Array]], dtype: str
) -> tuple[HostArray, HostArray]:
    """theta and buffers from each layer's arrays; either may be empty."""
    theta = network.pack(arrays) if network.slots else np.zeros(0)
    buffers = network.pack_buffers(arrays) if network.buffer_slots else np.zeros(0)
    return theta.astype(dtype), buffers.astype(dtype)
