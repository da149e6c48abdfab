"""Booleans as labels, and the names that stand for them."""

import numpy as np
import pytest
from helpers import FRAMES, series_of

import xpnet
from xpnet.truths import booleans, standing_for

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 2))
T = X[:, 0] > 0
NAMES = np.where(T, "True", "False")
BY_NAMES = xpnet.fit(xpnet.mlp(2, 2), X, NAMES, epochs=1).model
BY_BOOLEANS = xpnet.fit(xpnet.mlp(2, 2), X, T, epochs=1).model


@pytest.mark.parametrize(
    ("y", "labels", "expected"),
    [
        ([True, False], ("False", "True"), ["True", "False"]),
        ([True, False], ("TRUE", "FALSE"), ["TRUE", "FALSE"]),
        ([True, False], ("false", "true", "unknown"), ["true", "false"]),
        ([True, False], ("True", "unknown"), ["True", "False"]),
        ([True, False], (0, 1), [True, False]),
        ([True, False], ("no", "yes"), [True, False]),
        (["True", "false"], (0, 1), [1, 0]),
        (["True", "false"], (1, 0), [1, 0]),
        (["True", "false"], (1, 2), ["True", "false"]),
        (["True", "false"], (0, 1, 2), ["True", "false"]),
        (["True", "other"], (0, 1), ["True", "other"]),
        (["TRUE", "false", "other"], ("False", "True", "other"), ["True", "False", "other"]),
        (["TRUE", "true"], ("true", "TRUE"), ["TRUE", "true"]),
        ([1, 0], ("False", "True"), [1, 0]),
    ],
)
def test_booleans_and_their_names_become_labels(y, labels, expected) -> None:
    assert standing_for(np.asarray(y), labels).tolist() == expected


def test_objects_that_are_booleans() -> None:
    assert booleans(np.asarray([True, np.False_], dtype=object)).dtype == np.bool_
    for others in ([True, None], [True, 1], []):
        assert booleans(np.asarray(others, dtype=object)).dtype == object


@pytest.mark.parametrize("library", FRAMES)
def test_a_model_of_names_is_evaluated_with_booleans(library: str) -> None:
    pytest.importorskip(library)
    expected = xpnet.evaluate(BY_NAMES, X, NAMES)
    for y in (
        T,
        T.tolist(),
        T.astype(object),
        np.char.upper(NAMES),
        series_of(library, T.tolist()),
    ):
        assert xpnet.evaluate(BY_NAMES, X, y) == expected
    again = xpnet.fit(BY_NAMES, X, T, epochs=1, validation_data=(X, T))
    other = xpnet.fit(BY_NAMES, X, NAMES, epochs=1, validation_data=(X, NAMES))
    assert again.model == other.model
    assert again.model.labels == ("False", "True")


def test_a_model_of_booleans_is_evaluated_with_names() -> None:
    expected = xpnet.evaluate(BY_BOOLEANS, X, T)
    for y in (NAMES, NAMES.tolist(), NAMES.astype(object), np.char.lower(NAMES)):
        assert xpnet.evaluate(BY_BOOLEANS, X, y) == expected
    again = xpnet.fit(BY_BOOLEANS, X, NAMES, epochs=1, validation_data=(X, NAMES)).model
    assert again == xpnet.fit(BY_BOOLEANS, X, T, epochs=1, validation_data=(X, T)).model


def test_nullable_booleans_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    y = pandas.Series(T).astype("boolean")
    assert xpnet.evaluate(BY_NAMES, X, y) == xpnet.evaluate(BY_NAMES, X, NAMES)
    with pytest.raises(xpnet.DataError, match="of sample 0 marks a missing value"):
        xpnet.evaluate(BY_NAMES, X, y.where(y.index > 0))


def test_other_names_are_out_of_range() -> None:
    with pytest.raises(xpnet.DataError, match=r"label .* of sample 0 is out of range"):
        xpnet.evaluate(BY_BOOLEANS, X, np.where(T, "no", "yes"))


def test_metrics_compare_booleans_with_their_names() -> None:
    flipped = np.where(np.arange(20) < 5, ~T, T)
    for names in (NAMES, np.char.lower(NAMES)):
        assert xpnet.metrics.accuracy(flipped, names) == 0.75
        assert xpnet.metrics.accuracy(names, flipped) == 0.75
    found = xpnet.metrics.confusion_matrix(flipped, NAMES)
    assert found.tolist() == xpnet.metrics.confusion_matrix(flipped, T).tolist()
    p = np.where(T, 0.9, 0.2)
    expected = xpnet.metrics.log_loss(T, p)
    assert xpnet.metrics.log_loss(T, p, labels=("False", "True")) == expected
    assert xpnet.metrics.log_loss(NAMES, p) == expected
    assert xpnet.metrics.roc_auc(T, p, labels=("False", "True")) == 1
    with pytest.raises(xpnet.UsageError, match="t holds names and predicted numbers"):
        xpnet.metrics.accuracy(np.where(T, "yes", "no"), T)
