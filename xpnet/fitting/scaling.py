"""The scaling of a model to its training samples; before it, samples and targets are checked."""

import warnings
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from xpnet.arrays import (
    Array,
    HostArray,
    namespace,
    on_device_of,
    put,
    require_same_device,
    to_numpy,
    without_history,
)
from xpnet.data.dataset import Dataset
from xpnet.data.frames import as_samples, as_targets, warn_of_columns
from xpnet.data.statistics import FEWEST_PIXELS, ROUNDING, robust_standardization, standardization
from xpnet.data.targets import encode_targets, labels_in, labels_of_columns
from xpnet.errors import DataError
from xpnet.layers import Rescale, Standardize
from xpnet.losses import OUTPUTS, Loss
from xpnet.model import Model
from xpnet.plausible import column, fault, in_float64, unfit
from xpnet.weights import length

LARGE = 30.0  # standardized samples are seldom larger
LEAST_COUNT = 1e-6  # the mean to begin with where no training sample has a count
COARSE = 2.0**-10  # deviations that rounding may move a mean by


def adapted(model: Model, x: Any, y: Any) -> tuple[Model, Array, Any]:
    """Return the model with what `fit` finds out from the samples, and x and y without frames.

    Samples of more than one axis are images: their shape becomes the model's `input_shape`, if that
    is flat.  If the model's labels are the default 0, 1, 2, ... and y has others, its different
    labels, sorted, become the model's; so do the names of its columns, if y is a frame of one for
    each label.  The names of columns of frames, and of a series y, become its `columns` and
    `target`.  A model that was trained stays as it is.

    Raises
    ------
    DataError
        They are not as many as the model has classes.
    """
    given = x, y
    x, columns = as_samples(x, model.columns)
    y, target = as_targets(y, model.target)
    if model.loss is not None:
        return model, x, y
    warn_of_columns(*given, columns, target)
    model = replace(model, columns=columns or model.columns, target=target or model.target)
    shape, labels = tuple(x.shape[1:]), model.labels
    if len(model.input_shape) == 1 and len(shape) > 1 and prod(shape) == model.network.fan_in:
        model = replace(model, input_shape=shape)
    default = labels and labels == tuple(range(len(labels)))
    if not default or length(y) != x.shape[0]:
        return model, x, y
    if len(target) == len(labels):
        return replace(model, labels=labels_of_columns(len(labels), target)), x, y
    if model.multilabel:
        return model, x, y
    found = labels_in(y)
    if found is None or {*found} <= {*labels}:
        return model, x, y
    if len(found) != len(labels):
        first = ", ".join(map(str, found[:10])) + (", ..." if len(found) > 10 else "")
        raise DataError(
            f"y has {len(found)} different labels ({first}) and the model {len(labels)} classes; "
            "make a model of as many outputs, or name all classes by labels"
        )
    return replace(model, labels=found), x, y


def prepare(
    model: Model, x: Any, y: Any, loss: Loss | None = None, training: bool = True
) -> tuple[Dataset, Model]:
    """Samples and targets where x is, and the model with its arrays there: `checked_samples`.

    Raises
    ------
    DataError
        They are trained on, and y has numbers that the type of the model cannot tell apart.
    """
    x, t, model = checked_samples(model, x, y, loss)
    if training and model.output == "identity" and _rounded_away(t, model.dtype):
        raise DataError(
            f"y has numbers that {model.dtype} cannot tell apart; subtract their mean, or use "
            "float64"
        )
    with on_device_of(x):
        return Dataset(x, put(t if t.dtype == np.int32 else t.astype(model.dtype), x)), model


def checked_samples(
    model: Model, x: Any, y: Any, loss: Loss | None = None
) -> tuple[Array, HostArray, Model]:
    """Samples, checked; targets on the host, encoded; and the model with its arrays where x is.

    Parameters
    ----------
    model : Model
    x, y : arrays, lists, frames or series
        As for `fit`.
    loss : Loss, optional
        What the targets are for; by default the one that fits the model's output.

    Raises
    ------
    UsageError, DataError
        x or y isn't what it should be.
    """
    loss = loss or OUTPUTS[model.output]()
    given, x = x, without_history(model.flatten(x))
    y, _ = as_targets(y, model.target)
    n, xp = x.shape[0], namespace(x)
    require_same_device(x, y, "y")
    if length(y) not in (n, None) or not n:
        raise DataError(
            f"{n} samples in x and {length(y)} in y; expected as many, and at least one"
        )
    t = encode_targets(
        y, model.output, model.labels, model.network.fan_out, model.multilabel, loss.spreads
    )
    if len(t) != n:
        raise DataError(f"{n} samples in x and {len(t)} in y; expected as many")
    largest = float(np.finfo(model.dtype).max)
    if t.dtype != np.int32 and np.any(wrong := np.max(np.abs(t), axis=0) > largest):
        raise DataError(f"y {unfit(t, model.dtype, wrong, model.target)}")
    with on_device_of(x):
        if xp.isdtype(x.dtype, "real floating") and not bool(xp.all(_hold(x, largest))):
            raise DataError(f"x {fault(model, given)}")
        return x, t, model.like(x)


def _hold(x: Array, largest: float) -> Array:
    """Whether numbers x are finite, also in a type with this largest number."""
    xp = namespace(x)
    return xp.abs(x) <= largest if float(xp.finfo(x.dtype).max) > largest else xp.isfinite(x)


def scale(model: Model, data: Dataset, rows: HostArray, w: HostArray | None = None) -> Model:
    """Return the model with all that it takes from its training samples before the first step.

    Parameters
    ----------
    model : Model
    data : Dataset
    rows : integer array
        The training samples.
    w : float64 array (n,), optional
        Weights of the samples, above 0: a weight of k is as good as k equal samples.

    Warns
    -----
    UserWarning
        The model has no `Standardize` in front, and samples are large.
    """
    if not model.network.standardizes:
        _warn_of_large(model, data.x)
    model = rescale(standardize(model, data.x, rows, w), data.t, rows, w)
    return start_at_mean(model, data.t, rows, w)


def _warn_of_large(model: Model, x: Array) -> None:
    xp = namespace(x)
    sizes = to_numpy(xp.max(xp.abs(x), axis=0))
    j = int(np.argmax(sizes))
    if sizes[j] > LARGE:
        warnings.warn(
            f"x has numbers up to {sizes[j]:g}, in column {column(model, j)}, and the model does "
            f"not scale them, so that it learns slowly; put Standardize({x.shape[1]}) in front of "
            "its layers, or scale x",
            stacklevel=5,
        )


def standardize(model: Model, x: Array, rows: HostArray, w: HostArray | None = None) -> Model:
    """The model with the constants of x in its scaling layer, if that is still the identity.

    Pixels share one mean and one scale: x is taken for pixels if the model's samples have more
    than one axis, or if x is of uint8 and has at least 64 columns.  Otherwise each column has its
    own.

    Parameters
    ----------
    model : Model
    x : numeric array (n, width)
    rows, w
        As for `scale`.
    """
    if not _is_identity(model, 0, Standardize):
        return model
    image = x.dtype == namespace(x).uint8 and x.shape[1] >= FEWEST_PIXELS
    pixels = image or len(model.input_shape) > 1
    mean, scale = standardization(x, rows, pixels, w)
    _check_constants(model, "x", x, mean, scale)
    return _with_constants(model, 0, mean, scale)


def rescale(model: Model, t: Array, rows: HostArray, w: HostArray | None = None) -> Model:
    """The model with the constants of targets t in its last layer, if that is an idle `Rescale`.

    They are mean and deviation or, if the model's loss is `robust`, median and quartiles.

    Parameters
    ----------
    model : Model
    t : floating-point array (n, outputs)
    rows, w
        As for `scale`.
    """
    if not _is_identity(model, -1, Rescale):
        return model
    if model.loss is not None and model.loss.robust:
        constants = robust_standardization(to_numpy(t), rows, w)
    else:
        constants = standardization(t, rows, pixels=False, w=w)
    _check_constants(model, "y", t, *constants)
    return _with_constants(model, -1, *constants)


def start_at_mean(model: Model, t: Array, rows: HostArray, w: HostArray | None = None) -> Model:
    """A model of counts, with the logarithms of the means as its last biases, if these are 0.

    So its first outputs are the mean counts, whatever their unit, and not 1.
    """
    if model.output != "exp" or "b" not in model.network.layers[-1].shapes:
        return model
    params = [*model.params]
    if np.any(to_numpy(params[-1]["b"]) != 0):
        return model
    mean, _ = standardization(t, rows, pixels=False, w=w)
    b = np.log(np.where(mean > 0, mean, LEAST_COUNT)).astype(model.dtype)
    params[-1] = {**params[-1], "b": put(b, model.theta)}
    return replace(model, theta=model.network.pack(params))


def in_standard_units(model: Model, data: Dataset) -> tuple[Model, Dataset]:
    """Return the model without a `Rescale` at its end, and the data with targets scaled by it.

    Where there is none, both stay as they are.
    """
    network = model.network
    if not network.layers or not isinstance(network.layers[-1], Rescale):
        return model, data
    p, inner = model.params[-1], replace(network, layers=network.layers[:-1])
    model = replace(model, network=inner, buffers=model.buffers[: inner.buffer_size])
    return model, replace(data, t=(data.t - p["mean"]) / p["scale"])


def in_units_of_targets(model: Model, z: HostArray) -> HostArray:
    """Return numbers in standard units on the host in those of the targets, in float64.

    Without a `Rescale` at the end of the model they stay as they are.
    """
    last = model.network.layers[-1] if model.network.layers else None
    if not isinstance(last, Rescale):
        return z
    p = {name: to_numpy(a).astype(np.float64) for name, a in model.params[-1].items()}
    found: HostArray = last.infer(p, z)
    return found


def _is_identity(model: Model, i: int, kind: type[Standardize] | type[Rescale]) -> bool:
    """Whether layer i is of this kind, with mean 0 and scale 1."""
    if not model.network.layers or not isinstance(model.network.layers[i], kind):
        return False
    mean, scale = (to_numpy(model.params[i][name]) for name in ("mean", "scale"))
    return bool(np.all(mean == 0) and np.all(scale == 1))


def _rounded_away(t: HostArray, dtype: str) -> bool:
    """Whether rounding moves a column of t (n, outputs) by more than a tenth of its deviation.

    A tenth, as noise, would cost a hundredth of the variance.
    """
    error = np.max(np.abs(t - t.astype(dtype)), axis=0)
    varies = np.ptp(t, axis=0) > ROUNDING * np.max(np.abs(t), axis=0)
    with np.errstate(over="ignore"):  # numbers that are too large are refused later, by name
        return bool(np.any(varies & (error > 0.1 * np.std(t, axis=0))))


def _check_constants(
    model: Model, name: str, numbers: Array, mean: HostArray, scale: HostArray
) -> None:
    """Refuse x or y with constants, or differences from the mean, that the type cannot hold."""
    largest = float(np.finfo(model.dtype).max)
    reach = scale * np.sqrt(numbers.shape[0])  # no difference from the mean is larger
    wrong = ~(np.abs(mean) + reach <= largest) | (scale.astype(model.dtype) == 0)
    if not np.any(wrong):
        return
    n = in_float64(numbers)
    top = np.max(np.abs(n), axis=0)
    wrong &= ~np.isfinite(reach) | (top > largest / 2) | (scale.astype(model.dtype) == 0)
    if np.all(wrong):  # as of pixels, if one is too large
        wrong = top == np.max(top)
    if np.any(wrong):
        names = model.columns if name == "x" else model.target
        raise DataError(f"{name} {unfit(n, model.dtype, wrong, names)}")


def _with_constants(model: Model, i: int, mean: HostArray, scale: HostArray) -> Model:
    """The model with these constants in layer i.

    Where rounding would move a mean by more than `COARSE`, `Standardize` keeps it in two parts.
    The rounding of a constant column does not become large, either: of 1e20 it is 1e4.
    """
    scale = np.maximum(scale, ROUNDING * np.abs(mean))
    p = {"mean": mean.astype(model.dtype), "scale": scale.astype(model.dtype)}
    rest, network = mean - p["mean"], model.network
    layers, params = [*network.layers], [*model.params]
    layer = layers[i]
    if isinstance(layer, Standardize) and np.any(np.abs(rest) > COARSE * scale):
        layers[i] = replace(layer, split_mean=True)
        network = replace(network, layers=tuple(layers))
    p["rest"] = rest.astype(model.dtype)  # which a layer that does not split its mean leaves out
    params[i] = {**params[i], **{name: put(a, model.theta) for name, a in p.items()}}
    return replace(model, network=network, buffers=network.pack_buffers(params))
