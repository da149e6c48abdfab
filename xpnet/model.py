"""Model: a network with its arrays, labels and the shape of a sample; `load` reads one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from os import PathLike
from typing import Any

import numpy as np

from xpnet.arrays import (
    Array,
    HostArray,
    as_type,
    device_of,
    float_name,
    frozen_copy,
    moved,
    namespace,
    on_device_of,
    to_numpy,
)
from xpnet.bounds import Count, Seed, path_of, shape_of
from xpnet.checks import Hinting, checked, choose, explained
from xpnet.data import model_file
from xpnet.data.frames import flattened
from xpnet.data.labels import Label, label_array, labels_for
from xpnet.data.targets import check_labels, number_of_classes, output_for
from xpnet.device.selection import Device, select_device
from xpnet.errors import UsageError
from xpnet.initializers import Initializer, initial_arrays
from xpnet.layers import Layer
from xpnet.limits import Limits, limits_of, within_on_numpy
from xpnet.losses import PROBABILITIES, VALUES, Loss
from xpnet.network import Network
from xpnet.plausible import checked_logits
from xpnet.prediction import infer_in_blocks, infer_on_numpy, predicted_columns

DTYPES = ("float32", "float64")


@dataclass(frozen=True, eq=False, repr=False)
class Model(Hinting):
    """A network with its arrays: a function of samples that returns logits.

    Samples may be arrays of any library that xpnet supports, on any device, lists, or frames.  The
    model keeps one copy of its arrays for each library and device that it was called with.

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
    columns, target : tuple of str
        The names of the columns of the input and of the targets, if the data is a table; else
        empty.
    loss : Loss or None
        The loss that the model was trained with, None before training.

    Raises
    ------
    UsageError
        The attributes do not fit together.
    """

    network: Network
    theta: Array = field(repr=False)
    buffers: Array = field(repr=False)
    labels: tuple[Label, ...]
    input_shape: tuple[int, ...]
    output: str = "softmax"
    multilabel: bool = False
    columns: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    loss: Loss | None = None
    _copies: dict[Any, "Model"] = field(default_factory=dict, repr=False, init=False)

    def __post_init__(self) -> None:
        """Check the arrays; NumPy arrays become the model's own, read-only."""
        self.network.check(self.theta, self.buffers)
        for name in ("theta", "buffers"):
            array = getattr(self, name)
            if isinstance(array, np.ndarray) and array.flags.writeable:
                object.__setattr__(self, name, frozen_copy(array))
        shape, width = shape_of("input_shape", self.input_shape), self.network.fan_in
        object.__setattr__(self, "input_shape", shape)
        if prod(shape) != width:
            raise UsageError(f"input_shape must have {width} elements, got {shape}")
        check_labels(self.labels, self.output, self.network.fan_out, self.multilabel)

    @classmethod
    @checked
    def from_layers(
        cls,
        fan_in: Count,
        layers: Sequence[Layer],
        *,
        output: str | None = None,
        multilabel: bool = False,
        labels: Sequence[Label] | None = None,
        input_shape: Sequence[int] | None = None,
        initializer: str | Initializer | Sequence[str | Initializer] | None = None,
        seed: Seed = 0,
        dtype: str = "float32",
    ) -> "Model":
        """Return a model of these layers with initial weights, on the host.

        No layer is added.  `fit` scales the samples in a `Standardize` in front, and the targets of
        a regression in a `Rescale` at the end, if the model has them.

        Parameters
        ----------
        fan_in : int
            Columns of the input.
        layers : sequence of Layer
            As in `[Standardize(784), Dense(784, 128), ReLU(), Dense(128, 10)]`.
        output, multilabel, labels, input_shape, initializer, seed, dtype
            As for `mlp`.

        Raises
        ------
        UsageError
            An argument is not of that form, or a layer does not fit the one in front of it.
        """
        network = Network(fan_in, layers)  # type: ignore[arg-type]  # which makes a tuple of them
        output = output_for(output, network.fan_out, multilabel)
        choose("dtype", dtype, DTYPES)
        names = labels_for(labels, number_of_classes(output, network.fan_out, multilabel))
        arrays = initial_arrays(network.layers, initializer, seed, output)
        theta, buffers = model_file.vectors(network, arrays, dtype)
        shape: Any = (fan_in,) if input_shape is None else input_shape
        return cls(network, theta, buffers, names, shape, output, multilabel)

    @explained
    def __call__(self, x: Any) -> Array:
        """The logits.

        Parameters
        ----------
        x : array or list (n, *input_shape), or flat (n, width), or a frame with the `columns`
            Of any numeric type, as it came (pixels 0 to 255): scaling is part of the network.

        Returns
        -------
        floating-point array (n, outputs), of x's library, on x's device; of NumPy for a frame

        Raises
        ------
        UsageError, DataError
            x is of another shape, or not of numbers; a frame lacks columns or has gaps.
        """
        x = self.flatten(x)
        if isinstance(x, np.ndarray):
            return self.on_numpy[0](x)
        with on_device_of(x):
            return infer_in_blocks(self.network, self.like(x).params, x)

    @cached_property
    def on_numpy(self) -> tuple[Callable[[HostArray], HostArray], Callable[[HostArray], bool]]:
        """`Network.infer` and `limits.contains` for NumPy, prepared at the first call."""
        model = self.like(np.zeros(0))
        return infer_on_numpy(self.network, model.params), within_on_numpy(model.limits)

    @cached_property
    def limits(self) -> Limits:
        """Between which numbers samples are expected."""
        return limits_of(self)

    @explained
    def predict_proba(self, x: Any) -> Array:
        """Return the probability of each label (n, len(labels)), in x's library; see `__call__`.

        With "sigmoid" and several outputs each is a probability by itself.  Raises a UsageError if
        the model is one for regression; x and the outputs are checked (`plausible.check`).
        """
        if not self.labels:
            raise UsageError("a model for regression has no probabilities; call predict")
        with on_device_of(z := checked_logits(self, x)):
            return self.probabilities(z)

    @explained
    def predict(self, x: Any) -> Array:
        """The most probable label of each sample (n,).

        Integer labels come back in kind.  Names come back as a NumPy array of names for NumPy, and
        as indices into `labels` for other libraries, which know no text.  With several labels a
        sample it is 1 or 0 for each of them, int32 (n, len(labels)); for regression and counts it
        is the values, (n,) or (n, outputs).  x and the outputs are checked (`plausible.check`).
        """
        z = checked_logits(self, x)
        if type(z) is np.ndarray and self._labels_on_numpy is None:
            return z.argmax(axis=1)
        with on_device_of(z):
            if not self.labels:
                values = self.probabilities(z)
                return values[:, 0] if z.shape[1] == 1 else values
            index = predicted_columns(z, self.multilabel)
            labels = None if self.multilabel else self._labels_on_numpy
            if labels is not None and isinstance(index, np.ndarray):
                return labels[index]
            if labels is None or labels.dtype.kind == "U":
                return index
            return namespace(index).take(self.like(z)._label_array, index, axis=0)

    @cached_property
    def _labels_on_numpy(self) -> HostArray | None:
        """Its labels as an array of numbers or names; None if argmax gives them."""
        argmax = self.labels == (*range(self.network.fan_out),) and not self.multilabel
        return None if argmax else np.asarray(self.labels)

    @cached_property
    def _label_array(self) -> Array:
        """Labels that are numbers, as an integer array where the model is."""
        return label_array(self.labels, self.theta)

    def probabilities(self, z: Array) -> Array:
        """The probability of each label (n, len(labels)), from logits z (n, m); or the values."""
        p = PROBABILITIES[self.output](z)
        single = self.output == "sigmoid" and z.shape[1] == 1 and not self.multilabel
        return namespace(p).concat([1 - p, p], axis=1) if single else p

    @property
    def task(self) -> str:
        """What the model predicts: "classification", "multilabel" or "regression"."""
        classes = "multilabel" if self.multilabel else "classification"
        return "regression" if self.output in VALUES else classes

    @property
    def dtype(self) -> str:
        """The type of its arrays: "float32" or "float64"."""
        return float_name(self.theta)

    @cached_property
    def _shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of a sample that `flatten` takes without more checks, if there are any."""
        return ((self.network.fan_in,), self.input_shape) if self.network.standardizes else ()

    def flatten(self, x: Any) -> Array:
        """Return x as an array (n, width); without `Standardize` in front in the model's type."""
        if type(x) is np.ndarray and x.shape[1:] in self._shapes and x.dtype.kind in "biuf":
            return x if x.ndim == 2 else x.reshape(x.shape[0], self.network.fan_in)  # soon
        x = flattened(x, self.input_shape, self.network.fan_in, self.columns)
        return x if self.network.standardizes else as_type(x, self.dtype)

    def like(self, x: Array) -> "Model":
        """The same model with its arrays of x's library, on x's device; made once for each."""
        key = namespace(x), str(device_of(x))
        if key in self._copies:
            return self._copies[key]
        theta, buffers = (moved(a, x) for a in (self.theta, self.buffers))
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

    @checked
    def to(self, device: str | Device, strict: bool = False) -> "Model":
        """The same model with its arrays on a device; see `xpnet.device.select_device`."""
        chosen = device if isinstance(device, Device) else select_device(device, strict)
        theta, buffers = (chosen.put(to_numpy(a)) for a in (self.theta, self.buffers))
        return replace(self, theta=theta, buffers=buffers)

    @explained
    def save(self, path: str | PathLike[str]) -> None:
        """Write the model to a safetensors file, whole or not at all.

        A loss that is not one of `registry.LOSSES` is not written, which a warning says.

        Parameters
        ----------
        path : str or path
            It must end in `.safetensors`.

        Raises
        ------
        UsageError
            The path has another ending, or a layer is not one of `registry.LAYERS`: the file could
            not be read again.
        OSError
            The file cannot be written.
        """
        params = self.network.unpack(to_numpy(self.theta), to_numpy(self.buffers))
        attributes = {name: getattr(self, name) for name in model_file.ATTRIBUTES}
        content = model_file.Content(self.network, params, self.dtype, attributes)
        model_file.write_model(path_of(path), content)

    def summary(self) -> None:
        """Print the layers, the columns of their outputs and the numbers of their parameters."""
        print(self.network.table(), self, sep="\n")

    def __repr__(self) -> str:
        what = f"{self.task} by {self.output}" + f", {len(self.labels)} labels" * bool(self.labels)
        if self.loss is not None:
            what += f", trained with {self.loss}"
        return f"<Model {self.network}: {what}, {self.network.size:,} parameters, {self.dtype}>"

    def __eq__(self, other: object) -> bool:
        """Equal architecture, labels and shape, and arrays equal to the bit, wherever they are."""
        if not isinstance(other, Model):
            return NotImplemented
        mine, theirs = (
            [getattr(m, name) for name in ("network", "dtype", *model_file.ATTRIBUTES)]
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
        attributes = [getattr(self, name) for name in model_file.ATTRIBUTES]
        return Model, (self.network, *arrays, *attributes)


@explained
def load(path: str | PathLike[str]) -> Model:
    """The model in a file, or in a run folder, with its arrays on the host.

    Raises
    ------
    xpnet.DataError
        It isn't there, or isn't a model of xpnet.
    """
    file = path_of(path)
    content = model_file.read_model(file / "model.safetensors" if file.is_dir() else file)
    theta, buffers = model_file.vectors(content.network, content.arrays, content.dtype)
    return Model(content.network, theta, buffers, **content.attributes)
