"""The samples of a fit: prepared, weighed, and divided into training and validation."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xpnet.arrays import HostArray, namespace, on_device_of, put, require_same_device
from xpnet.bounds import shown
from xpnet.data.dataset import Dataset, classes_of, split
from xpnet.data.labels import Label
from xpnet.errors import DataError, UsageError
from xpnet.fitting.scaling import adapted, in_standard_units, prepare
from xpnet.losses import Loss
from xpnet.model import Model
from xpnet.network import Network
from xpnet.weights import (
    class_weights,
    saying_what_was_removed,
    weight_scale,
    with_mean_1,
    without_weightless,
)

NOTHING = "no class has three samples, so that none is held out; give validation_data"

ClassWeight = str | Mapping[Label, float] | None


@dataclass(frozen=True)
class FitSamples:
    """What a fit trains and validates on.

    Attributes
    ----------
    data : Dataset
        Its weights have a mean of one over `rows`, and over `validation_rows` if these are of it.
    rows : integer array
        The samples to train on.
    weights : float64 array (n,) or None
        Those of samples times those of their classes, on the host; above 0.
    validation_data : Dataset
        The samples to validate on are among these: `data` itself, or other samples.
    validation_rows : integer array
    """

    data: Dataset
    rows: HostArray
    weights: HostArray | None
    validation_data: Dataset
    validation_rows: HostArray

    def in_standard_units(self, model: Model) -> tuple[Network, "FitSamples"]:
        """Return the network that is trained, and the samples with targets for it."""
        inner, data = in_standard_units(model, self.data)
        same, held = self.validation_data is self.data, self.validation_data
        held = data if same else in_standard_units(model, held)[1]
        return inner.network, replace(self, data=data, validation_data=held)


def samples_of(
    model: Model,
    x: Any,
    y: Any,
    loss: Loss,
    sample_weight: Any,
    class_weight: ClassWeight,
    validation: float | None,
    validation_data: Any,
    seed: int,
) -> tuple[FitSamples, Model]:
    """Return the samples of a fit, and the model with what it takes from them (`adapted`).

    Samples of weight 0 are removed before anything is computed.  Arguments are those of `fit`.
    """
    require_same_device(x, sample_weight, "sample_weight")
    kept, y, w = _without_weightless(x, y, sample_weight)
    with saying_what_was_removed(x, kept):
        model, x, y = adapted(model, kept, y)
        model = replace(model, loss=loss)
        data, w, model = _prepared(model, x, y, w, class_weight)
    if validation_data is None:
        rows, held_rows = split(data.x.shape[0], validation, seed, classes_of(data))
        if validation and not len(held_rows):
            warnings.warn(f"validation={shown(validation)}: {NOTHING}", stacklevel=4)
    elif validation is not None:
        raise UsageError("give either validation or validation_data, not both")
    else:
        held, held_w = _held_out(model, data, validation_data, class_weight)
        rows, held_rows = (np.arange(part.x.shape[0]) for part in (data, held))
    by_label = None
    if class_weight is not None:
        by_label = class_weights(class_weight, classes_of(data), model.labels, rows, w)
        by_label = by_label / weight_scale(by_label)
    w = _weights(data, w, by_label)
    if validation_data is None:
        data = held = _with_weights(data, w, model.dtype, rows, held_rows)
    else:
        held_w = _weights(held, held_w, by_label)
        data = _with_weights(data, w, model.dtype, rows)
        held = _with_weights(held, held_w, model.dtype, held_rows)
    return FitSamples(data, rows, w, held, held_rows), model


def _without_weightless(x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, HostArray | None]:
    """Return `without_weightless`, with weights whose sums and products are finite."""
    x, y, w = without_weightless(x, y, sample_weight)
    return x, y, None if w is None else w / weight_scale(w)


def _prepared(
    model: Model,
    x: Any,
    y: Any,
    w: HostArray | None,
    class_weight: ClassWeight,
    training: bool = True,
) -> tuple[Dataset, HostArray | None, Model]:
    """Return the samples without those of classes of weight 0, their weights, and the model."""
    data, model = prepare(model, x, y, model.loss, training)
    if not isinstance(class_weight, Mapping):
        return data, w, model
    t, n = classes_of(data), data.x.shape[0]
    by_label = class_weights(class_weight, t, model.labels, np.arange(n))
    kept = np.flatnonzero(by_label[t])
    if not len(kept):
        raise DataError("class_weight is 0 for every sample; expected one above 0")
    if len(kept) == n:
        return data, w, model
    with on_device_of(data.x):
        return data.of_rows(kept), None if w is None else w[kept], model


def _held_out(
    model: Model, data: Dataset, validation_data: Any, class_weight: ClassWeight
) -> tuple[Dataset, HostArray | None]:
    """Return the samples to validate on and their weights, as given by `validation_data`."""
    if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
        raise UsageError(
            "validation_data must be a pair (x, y) or (x, y, sample_weight), got "
            f"{shown(validation_data)}",
            "validation_data",
        )
    try:
        x, y, w = _without_weightless(*validation_data, *[None] * (3 - len(validation_data)))
        with saying_what_was_removed(validation_data[0], x):
            held, w, _ = _prepared(model, x, y, w, class_weight, training=False)
    except (UsageError, DataError) as error:
        raise type(error)(f"validation_data: {error}") from None
    if namespace(held.x) is not namespace(data.x):
        raise UsageError("validation_data must be arrays of the same library as x")
    require_same_device(data.x, held.x, "validation_data")
    return held, w


def _weights(data: Dataset, w: HostArray | None, by_label: HostArray | None) -> HostArray | None:
    """Return the weights of samples times those of their classes; None if there are neither."""
    if by_label is None:
        return w
    t = classes_of(data)
    if t is None:
        raise DataError("validation_data must have one label a sample, as y has, for class_weight")
    by_class: HostArray = by_label[t]
    return by_class if w is None else w * by_class


def _with_weights(data: Dataset, w: HostArray | None, dtype: str, *parts: HostArray) -> Dataset:
    """Return the data with weights that have a mean of one over the rows of each part."""
    if w is None:
        return data
    scaled = np.zeros_like(w)
    for rows in parts:
        if len(rows):
            scaled[rows] = with_mean_1(w[rows])
    with on_device_of(data.x):
        return replace(data, w=put(scaled.astype(dtype), data.x))
