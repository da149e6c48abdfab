"""Evaluation: how good a model is on some samples."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xpnet.data import Dataset, blocks
from xpnet.device import namespace, on_device_of, to_numpy
from xpnet.layers import Array, Arrays
from xpnet.losses import OUTPUTS, Loss
from xpnet.metrics import correct, interval
from xpnet.model import Model, predicted_columns
from xpnet.network import Network
from xpnet.preparation import prepare

HostArray = npt.NDArray[Any]


@dataclass(frozen=True)
class Evaluation:
    """How good a model is on some samples.

    Attributes
    ----------
    samples : int
    loss : float
        Mean loss.
    accuracy : float or None
        Part of the samples whose label, or all of whose labels, were predicted; None for
        regression.
    interval : (float, float) or None
        Its 95 % confidence interval (`metrics.interval`).
    """

    samples: int
    loss: float
    accuracy: float | None
    interval: tuple[float, float] | None


def evaluate(model: Model, x: Any, y: Any, loss: Loss | None = None) -> Evaluation:
    """How good the model is on some samples, where x lies.

    Parameters
    ----------
    model : Model
    x, y : arrays or lists
        As for `train.fit`.
    loss : Loss, optional
        By default the one in `losses.OUTPUTS`: cross-entropy in nats, squared error in the
        targets' units, or that of counts.

    Raises
    ------
    UsageError, DataError
        x or y isn't what it should be.
    """
    loss = loss or OUTPUTS[model.output]()
    data, model = prepare(model, x, y, loss)
    n = data.x.shape[0]
    with on_device_of(data.x):
        found = outputs(model.network, model.params, data, np.arange(n))
        total, *hits = to_numpy(
            namespace(data.x).stack(sums(found, loss, model.multilabel))
        ).tolist()
    if not hits:
        return Evaluation(n, total / n, None, None)
    hit = min(round(hits[0]), n)  # above 2^24 samples float32 may have rounded up
    return Evaluation(n, total / n, hit / n, interval(hit, n))


def outputs(
    network: Network, params: Sequence[Arrays], data: Dataset, rows: HostArray
) -> Iterator[tuple[Array, Array, Array | None]]:
    """Logits, targets and weights of some rows, in blocks; nothing waits."""
    for index in blocks(rows, data.x):
        x, t, w = data.gather(index)
        yield network.infer(params, x), t, w


def sums(
    found: Iterable[tuple[Array, Array, Array | None]], loss: Loss, multilabel: bool
) -> list[Array]:
    """The sum of the losses and, where there are classes, of the hits; nothing waits.

    A sample with several labels is a hit where all of them are right.
    """
    total: Array = 0.0
    hits: Array = 0
    classes = False
    for z, t, w in found:
        value, _ = loss.forward(z, t, w)
        total = total + value * z.shape[0]
        labels = len(t.shape) == 1  # rows of softmax have a most probable label, others none
        classes = loss.output == "softmax" or (loss.output == "sigmoid" and (labels or multilabel))
        if classes:
            xp = namespace(z)
            predicted = predicted_columns(z, multilabel)
            if multilabel:
                right = xp.all(predicted == xp.astype(t > 0.5, xp.int32), axis=1)
                hits = hits + xp.sum(xp.astype(right, xp.int32), dtype=xp.int32)
            else:
                hits = hits + correct(t if labels else xp.argmax(t, axis=1), predicted)
    return [total, namespace(z).asarray(hits, dtype=total.dtype)] if classes else [total]
