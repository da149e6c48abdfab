"""Random units that are drawn ahead."""

import numpy as np
import pytest
from helpers import assert_same, both

import xpnet
from xpnet.fast import nodes
from xpnet.fast.host import draws
from xpnet.fast.host.draws import Draws
from xpnet.fast.nodes import Node
from xpnet.fast.record import variable
from xpnet.layers import Dropout
from xpnet.random import mask_units

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 5))
Y = RNG.integers(0, 3, size=50)


@pytest.mark.parametrize("at_a_time", [1, 40, 2**17])
def test_units_drawn_ahead_are_those_of_each_step(
    at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draws, "AT_A_TIME", at_a_time)
    keys = variable(np.zeros((2, 3, 3), np.int32))
    drawn = keys[1, ...][2, :]
    ahead = Draws(Node(nodes.VARIABLE, (3, 5), np.dtype(np.int32), mask_units, (drawn.node,)))
    for _ in range(2):  # epochs
        table = RNG.integers(-(2**31), 2**31, size=(7, 2, 3, 3)).astype(np.int32)
        for i in (0, 1, 2, 3, 4, 5, 6, 2):
            expected = mask_units(table[i, 1, 2], 3, 5)
            assert np.array_equal(ahead.at(table, i), expected)


def test_every_step_and_batch_draws_its_own_units() -> None:
    model = xpnet.mlp(5, 7, 6, 3, dropout=0.4, dtype="float64")
    assert sum(isinstance(layer, Dropout) for layer in model.network.layers) == 2
    for accumulate in (1, 2):
        assert_same(*both(model, X, Y, accumulate=accumulate, epochs=4), 1e-11)
