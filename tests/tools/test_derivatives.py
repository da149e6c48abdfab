"""Central differences: as exact as their fifth derivative is small."""

import numpy as np
import pytest
from helpers import difference

from xpnet.tools.derivatives import central_differences

A = np.asarray([[1.0, -2.0], [0.5, 3.0]])


def test_differences_of_a_quartic_are_exact() -> None:
    """No fifth derivative, so rounding is left: some 1e-16 · 81 / 1e-4."""
    at = {"a": A, "b": np.asarray(2.0)}
    found = central_differences(lambda p: np.sum(p["a"] ** 4) * p["b"], at)
    assert difference(found["a"], 8 * A**3) < 1e-11
    assert found["b"] == pytest.approx(np.sum(A**4), rel=1e-11)
    assert A.tolist() == [[1, -2], [0.5, 3]]


def test_arrays_may_lie_in_any_order() -> None:
    fortran, strided = np.asfortranarray(A), np.ones((4, 4))[::2, ::2]
    strided.flags.writeable = False
    for a in (fortran, strided):
        found = central_differences(lambda p: np.sum(p["a"] ** 2), {"a": a})
        assert difference(found["a"], 2 * a) < 1e-11


def test_the_error_of_differences_is_that_of_the_fifth_derivative(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For a⁵ it is h⁴ 120/30: with h = 1e-3, where rounding hides nothing, 4e-12."""
    monkeypatch.setattr("xpnet.tools.derivatives.STEP", 1e-3)
    found = central_differences(lambda p: p["a"] ** 5, {"a": np.asarray(0.01)})
    assert 5 * 0.01**4 - found["a"] == pytest.approx(4e-12, rel=1e-3)
