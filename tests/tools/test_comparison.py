"""Comparisons of derivatives: how far off a formula is."""

import numpy as np
import pytest

from xpnet.tools.comparison import angle


def test_angles() -> None:
    assert angle(np.asarray([1.0, 0]), np.asarray([3.0, 3.0])) == pytest.approx(45, rel=1e-14)
    assert angle(np.asarray([1.0, 0]), np.asarray([-2.0, 0])) == pytest.approx(180, rel=1e-14)
    assert angle(np.asarray([1.0, 1e-9]), np.asarray([1.0, 0])) == pytest.approx(
        np.degrees(1e-9), rel=1e-6
    )
    assert np.isnan(angle(np.zeros(2), np.ones(2)))
