"""CuPy's namespace without copies and waits, by a stand-in over NumPy."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from xpnet.device.cupy_namespace import JOINED, without_transfers


@pytest.fixture
def joined() -> list[int]:
    """How many arrays were joined by each call."""
    return []


@pytest.fixture
def xp(joined: list[int]) -> ModuleType:
    def concat(arrays: Any, *, axis: int | None = 0) -> np.ndarray:
        joined.append(len(arrays))
        return np.concat(arrays, axis=axis)

    stand_in = ModuleType("cupy")
    vars(stand_in).update({name: getattr(np, name) for name in ("where", "ones_like", "exp")})
    vars(stand_in).update(concat=concat, sign=None)
    return without_transfers(stand_in)


@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("n", [1, JOINED, JOINED + 1, 20, 65])
def test_few_arrays_are_joined_at_a_time(
    xp: ModuleType, joined: list[int], n: int, axis: int | None
) -> None:
    arrays = [np.arange(6.0).reshape(2, 3) + i for i in range(n)]
    assert np.array_equal(xp.concat(arrays, axis=axis), np.concat(arrays, axis=axis))
    assert max(joined) <= JOINED


def test_sign_has_three_values_and_nan(xp: ModuleType) -> None:
    x = np.asarray([-np.inf, -2.5, -0.0, 0.0, 1e-300, np.nan])
    np.testing.assert_array_equal(xp.sign(x), [-1, -1, 0, 0, 1, np.nan])


def test_all_else_is_as_it_was(xp: ModuleType) -> None:
    assert xp.exp is np.exp
    assert xp.__name__ == "cupy"
