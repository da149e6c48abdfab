"""Prediction in blocks whose size depends on the widest layer."""

import numpy as np
import pytest
from helpers import Library, difference, small

import xpnet
from xpnet.network import Network

PIXELS = np.random.default_rng(0).integers(0, 256, size=(9, 4, 5)).astype(np.uint8)
PLAIN = xpnet.Model.from_layers(20, [xpnet.Dense(20, 8), xpnet.ReLU(), xpnet.Dense(8, 3)])
WIDEST = [(PLAIN, 20), (xpnet.mlp(20, 50, 3), 50), (xpnet.mlp(20, 4, 70), 70)]


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of samples of each block, as it is computed; blocks are of 160 numbers."""
    found, infer = [], Network.infer

    def counted(self, params, x):
        found.append(x.shape[0])
        return infer(self, params, x)

    monkeypatch.setattr(Network, "infer", counted)
    monkeypatch.setattr("xpnet.prediction.MOST_AT_ONCE", 160)
    monkeypatch.setattr("xpnet.prediction.fast_paths", lambda: None)  # NumPy's has its own blocks
    return found


def blocks(n: int, widest: int) -> list[int]:
    size = 160 // widest
    return [min(size, n - i) for i in range(0, n, size)]


@pytest.mark.parametrize(("model", "widest"), WIDEST, ids=["input", "hidden", "output"])
def test_blocks_depend_on_the_widest_layer(
    xp: Library, rows: list[int], model: xpnet.Model, widest: int
) -> None:
    model, x = model.to("cpu"), xp.array(PIXELS.reshape(9, 20), "uint8")
    z = model(x)
    assert rows == blocks(9, widest)
    assert difference(z, model.network.infer(model.like(x).params, model.flatten(x))) < 1e-5


def test_a_layer_wider_than_a_block_computes_sample_by_sample(rows: list[int], monkeypatch) -> None:
    monkeypatch.setattr("xpnet.prediction.MOST_AT_ONCE", 1)
    assert small()(PIXELS).shape == (9, 3)
    assert rows == [1] * 9
