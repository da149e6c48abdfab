"""Masked arrays: each argument that takes an array refuses them, for NumPy drops their masks."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import blobs, model

import xpnet
from xpnet import metrics

X, Y = blobs(20)
MASK = np.arange(20) == 3
ROWS = np.repeat(MASK[:, None], 2, axis=1)
P = np.full((20, 2), 0.5)


def masked(values: Any, mask: Any = MASK) -> Any:
    return np.ma.masked_array(values, mask)


def fit(**options: Any) -> Any:
    return xpnet.fit(model(), X, options.pop("y", Y), epochs=1, **options)


NUMBERS = xpnet.mlp(2, 1, output="identity")
REFUSED: dict[str, Callable[[], Any]] = {
    "x": lambda: model()(masked(X, ROWS)),
    "x of predict": lambda: model().predict([[1.0, np.ma.masked]]),
    "x of rows": lambda: xpnet.fit(model(), [*masked(X, ROWS)], Y, epochs=1),
    "y": lambda: fit(y=masked(Y)),
    "y without a masked element": lambda: fit(y=masked(Y, False)),
    "y of a list": lambda: fit(y=[np.ma.masked, *Y[1:].tolist()]),
    "y of objects": lambda: fit(y=np.asarray([np.ma.masked, *Y[1:].tolist()], dtype=object)),
    "y of evaluate": lambda: xpnet.evaluate(model(), X, masked(Y)),
    "y of names": lambda: xpnet.evaluate(
        model(labels=[*"abc"]), X, masked(np.asarray([*"abc"])[Y])
    ),
    "y of numbers": lambda: xpnet.evaluate(NUMBERS, X, masked(X[:, 0])),
    "y of a column": lambda: xpnet.fit(NUMBERS, X, masked(X[:, :1], ROWS[:, :1]), epochs=1),
    "sample_weight": lambda: fit(sample_weight=masked(np.ones(20))),
    "sample_weight of a list": lambda: fit(sample_weight=[1.0] * 19 + [np.ma.masked]),
    "class_weight": lambda: fit(class_weight={0: np.ma.masked}),
    "validation_data: y": lambda: fit(validation_data=(X, masked(Y))),
    "validation_data: x": lambda: fit(validation_data=(masked(X, ROWS), Y)),
    "labels": lambda: model(labels=masked([1, 2, 3], [0, 0, 1])),
    "t": lambda: metrics.accuracy(masked(Y), Y),
    "predicted": lambda: metrics.accuracy(Y, masked(Y)),
    "t of a list": lambda: metrics.confusion_matrix([*Y[1:].tolist(), np.ma.masked], Y),
    "t of numbers": lambda: metrics.mean_absolute_error(masked(X[:, 0]), X[:, 0]),
    "t of indicators": lambda: metrics.subset_accuracy(masked(ROWS * 1, ROWS), ROWS * 1),
    "p": lambda: metrics.log_loss(Y % 2, masked(P, ROWS)),
    "labels of a metric": lambda: metrics.log_loss(Y % 2, P, labels=masked([0, 1], [0, 1])),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_mask_is_refused_with_what_to_do(name: str) -> None:
    what = name.partition(" of ")[0].partition(" without ")[0]
    kinds = "(is a masked array; remove its masked|holds masked elements; replace them)"
    with pytest.raises(xpnet.UsageError, match=f"^{what} {kinds}"):
        REFUSED[name]()


def test_without_its_masked_rows_the_same_data_is_taken() -> None:
    y, weights = masked(Y), masked(np.ones(20))
    kept = ~y.mask
    fitted = xpnet.fit(model(), X[kept], y[kept].filled(0), sample_weight=weights.filled(0)[kept])
    assert xpnet.evaluate(fitted.model, X[kept], y.data[kept].tolist()).samples == 19
