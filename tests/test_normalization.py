"""Batch and layer normalization by other means; their derivatives with the network's."""

import numpy as np
import pytest
from helpers import Library, difference, needed

import xpnet
from xpnet.arrays import to_numpy
from xpnet.errors import UsageError
from xpnet.normalization import NORMALIZATIONS, BatchNorm, LayerNorm

RNG = np.random.default_rng(0)
X, GAMMA, BETA = 3 + 2 * RNG.normal(size=(6, 4)), RNG.uniform(0.5, 2, size=4), RNG.normal(size=4)


def arrays(xp: Library) -> dict:
    return {
        "gamma": xp.array(GAMMA),
        "beta": xp.array(BETA),
        "mean": xp.array(np.zeros(4)),
        "var": xp.array(np.ones(4)),
    }


def test_columns_get_mean_beta_and_deviation_gamma(xp: Library) -> None:
    """The deviation is short of γ by ε / 2 var of it."""
    y, _ = BatchNorm(4).forward(arrays(xp), xp.array(X))
    assert difference(to_numpy(y).mean(axis=0), BETA) < xp.tolerance(1e-14)
    assert difference(to_numpy(y).std(axis=0), GAMMA * (1 - 5e-6 / X.var(axis=0))) < 1e-6


def test_rows_get_mean_0_and_deviation_1(xp: Library) -> None:
    p = {"gamma": xp.array(np.ones(4)), "beta": xp.array(np.zeros(4))}
    y, _ = LayerNorm(4).forward(p, xp.array(X))
    assert np.max(np.abs(to_numpy(y).mean(axis=1))) < xp.tolerance(1e-15)
    assert difference(to_numpy(y).std(axis=1), 1 - 5e-6 / X.var(axis=1)) < 1e-6
    assert difference(LayerNorm(4).infer(p, xp.array(X)), y) == 0


def test_running_statistics_are_torchs() -> None:
    """Four steps, the last of two samples, and then a prediction."""
    torch = needed("torch")
    theirs = torch.nn.BatchNorm1d(4, dtype=torch.float64)
    ours, p = BatchNorm(4), arrays(Library("numpy", np))
    p |= {"gamma": np.ones(4), "beta": np.zeros(4)}
    for batch in (X, X[:3] * 2, X[2:] - 5, X[:2]):
        theirs(torch.tensor(batch))
        _, cache = ours.forward(p, batch)
        p |= ours.refresh(p, cache)
    assert difference(p["mean"], theirs.running_mean) < 1e-14
    assert difference(p["var"], theirs.running_var) < 1e-14
    theirs.eval()
    assert difference(ours.infer(p, X), theirs(torch.tensor(X)).detach()) < 1e-14


def test_a_batch_of_one_teaches_nothing(xp: Library) -> None:
    p = arrays(xp)
    y, cache = BatchNorm(4).forward(p, xp.array(X[:1]))
    assert difference(y, to_numpy(p["beta"])[None]) == 0
    dx, grads = BatchNorm(4).backward(p, cache, y)
    assert np.all(to_numpy(dx) == 0)
    assert np.all(to_numpy(grads["gamma"]) == 0)
    after = BatchNorm(4).refresh(p, cache)
    assert difference(after["mean"], p["mean"]) == difference(after["var"], p["var"]) == 0


def test_at_a_rate_of_1_the_running_statistics_are_the_batchs() -> None:
    layer, p = BatchNorm(4, rate=1.0), arrays(Library("numpy", np))
    after = layer.refresh(p, layer.forward(p, X)[1])
    assert difference(after["mean"], X.mean(axis=0)) < 1e-14
    assert difference(after["var"], X.var(axis=0, ddof=1)) < 1e-14


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_before_training_only_the_mean_and_deviation_are_normalized(name: str) -> None:
    """In a network that is new: scales and variances are 1, shifts and means 0."""
    model = xpnet.mlp(4, 5, 2, normalization=name)
    (p,) = (p for p in model.params if "gamma" in p)
    ones, zeros = np.ones(5), np.zeros(5)
    new = {"gamma": ones, "beta": zeros, "mean": zeros, "var": ones}
    assert all(np.array_equal(a, new[key]) for key, a in p.items())


def test_constant_columns_give_finite_numbers(xp: Library) -> None:
    for layer in (BatchNorm(4), LayerNorm(4)):
        y, cache = layer.forward(arrays(xp), xp.array(np.full((5, 4), 7.0)))
        dx, _ = layer.backward(arrays(xp), cache, y)
        assert np.all(np.isfinite(to_numpy(y)))
        assert np.all(np.isfinite(to_numpy(dx)))


def test_only_weights_are_decayed() -> None:
    assert BatchNorm(4).decayed == LayerNorm(4).decayed == ()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: BatchNorm(4, eps=0.0),
        lambda: BatchNorm(4, rate=0.0),
        lambda: BatchNorm(4, rate=1.1),
        lambda: LayerNorm(4, eps=-1.0),
    ],
)
def test_numbers_outside_are_refused(wrong) -> None:
    with pytest.raises(UsageError, match="expected eps above 0"):
        wrong()
