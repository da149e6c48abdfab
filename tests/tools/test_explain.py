"""One step in numbers: by hand for the tiny network, and the same as training's everywhere."""

import json
import math

import numpy as np
import pytest
from helpers import Library

from xpnet.activations import ACTIVATIONS
from xpnet.builder import mlp
from xpnet.data.sources import load
from xpnet.errors import UsageError
from xpnet.fitting.scaling import standardize
from xpnet.fitting.training import fit
from xpnet.layers import Dense, Dropout, Standardize
from xpnet.losses import LOSSES, SoftmaxSquaredError
from xpnet.model import Model
from xpnet.tools.explain import Explanation, explain, tiny
from xpnet.tools.gradcheck import check

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(3, 5)), np.asarray([2, 0, 3])


def named(found: Explanation) -> dict[tuple[str, int | None, str], np.ndarray]:
    values = {(q.part, q.layer, q.name): q.value for q in found.quantities}
    assert len(values) == len(found.quantities)
    return values


def model(*hidden: int, **options) -> Model:
    return mlp(5, *(hidden or (4,)), 4, **{"activation": "tanh", "dtype": "float64", **options})


def digits() -> Explanation:
    data = load("mnist")
    network = mlp(784, 3, 10, activation="sigmoid", input_shape=(28, 28), dtype="float64")
    network = standardize(network, network.flatten(data.x_train), np.arange(60000))
    return explain(network, data.x_train[:2], data.y_train[:2])


def test_the_tiny_step_by_hand() -> None:
    """x = (1, 0.5, 2); the label is 1.

    a = x W + b = (0.1 + 0.25 - 0.6 + 0.1, 0.4 - 0.1 + 0.4 - 0.1) = (-0.15, 0.6)
    z = h W + b = (0.2 h0 + 0.5 h1 + 0.1, -0.4 h0 + 0.3 h1),  h = σ(a)
    """
    h0, h1 = 1 / (1 + math.exp(0.15)), 1 / (1 + math.exp(-0.6))
    z0, z1 = 0.2 * h0 + 0.5 * h1 + 0.1, -0.4 * h0 + 0.3 * h1
    p = 1 / (1 + math.exp(z1 - z0))
    values = named(explain(*tiny()))
    assert values["forward", 0, "y"] == pytest.approx(np.asarray([[-0.15, 0.6]]), rel=1e-14)
    assert values["forward", 1, "y"] == pytest.approx(np.asarray([[h0, h1]]), rel=1e-14)
    assert values["forward", 2, "y"] == pytest.approx(np.asarray([[z0, z1]]), rel=1e-13)
    assert values["loss", None, "p"] == pytest.approx(np.asarray([[p, 1 - p]]), rel=1e-13)
    assert values["loss", None, "L"] == pytest.approx(-math.log(1 - p), rel=1e-13)
    # dz = (p, -p); dW = hᵀ dz; dh = dz Wᵀ = (0.2 p + 0.4 p, 0.5 p - 0.3 p) = (0.6 p, 0.2 p)
    assert values["loss", None, "dz"] == pytest.approx(np.asarray([[p, -p]]), rel=1e-13)
    dW = np.asarray([[h0 * p, -h0 * p], [h1 * p, -h1 * p]])
    assert values["backward", 2, "dW"] == pytest.approx(dW, rel=1e-13)
    assert values["backward", 2, "dx"] == pytest.approx(np.asarray([[0.6 * p, 0.2 * p]]), rel=1e-13)
    d0, d1 = 0.6 * p * h0 * (1 - h0), 0.2 * p * h1 * (1 - h1)
    dW = np.asarray([[d0, d1], [0.5 * d0, 0.5 * d1], [2 * d0, 2 * d1]])
    assert values["backward", 0, "dW"] == pytest.approx(dW, rel=1e-13)
    assert values["backward", 0, "db"] == pytest.approx(np.asarray([d0, d1]), rel=1e-13)
    W = np.asarray([[0.1, 0.4], [0.5, -0.2], [-0.3, 0.2]])
    assert values["update", 0, "W"] == pytest.approx(W - 0.5 * dW, rel=1e-13)


def test_the_tiny_text() -> None:
    text = explain(*tiny()).text()
    for line in (
        "FORWARD  layer 0, Dense(fan_in=3, fan_out=2, bias=True, max_norm=0.0)",
        "  y (1 x 2) = σ(x)",
        "           0.4626 0.6457",
        "  L = -(1/n) Σ_ic t_ic log p_ic = 0.978236",
        "  dx (1 x 2) = dy Wᵀ",
        "  dx (1 x 2) = dy ∘ y (1 - y)",
        "  dW (3 x 2) = xᵀ dy",
        "  W (3 x 2) ← W - 0.5 dW",
        "  dW[2, 0] = Σ_i x[i, 2] dy[i, 0]    (layer 0)",
        "      2 · 0.09308 = 0.186159",
        "L was 0.978236 before the step, and is 0.46325 after it.",
    ):
        assert line in text.splitlines()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_chain_leads_from_the_loss_to_the_weight(activation: str, loss: str) -> None:
    output = LOSSES[loss].output
    y = np.eye(4)[Y] if output in ("identity", "exp") else Y
    found = explain(model(4, 3, activation=activation, output=output), X, y, LOSSES[loss]())
    assert [link.layer for link in found.chain] == [None, 5, 4, 3, 2, 1]
    values = named(found)
    for link, following in zip(found.chain, found.chain[1:], strict=False):
        assert sum(a * b for a, b in following.terms) == pytest.approx(following.value, rel=1e-12)
        assert link.value in max(following.terms, key=lambda ab: abs(ab[0] * ab[1]))
    for link in found.chain[1:-1]:
        place = next(q.at for q in found.quantities if (q.name, q.layer) == ("dx", link.layer))
        assert values["backward", link.layer, "dx"][place] == link.value
    last = found.chain[-1]
    assert abs(last.value) == np.max(np.abs(values["backward", 1, "dW"]))
    assert last.value == pytest.approx(found.differences, rel=1e-6, abs=1e-11)


def test_the_step_is_that_of_training() -> None:
    """Of `fit`, which takes the samples in another order: sums are rounded differently."""
    start = standardize(model(), X, np.arange(3))
    found = explain(start, X, Y, learning_rate=0.3)
    options = {"optimizer": "sgd", "schedule": "constant", "validation": 0, "epochs": 1}
    trained = fit(start, X, Y, batch_size=3, learning_rate=0.3, **options)
    assert found.before == pytest.approx(trained.history[0].loss, rel=1e-14)
    values = named(found)
    for i, name, _ in start.network.slots:
        updated = values["update", i, name]
        np.testing.assert_allclose(updated, trained.model.params[i][name], rtol=0, atol=1e-15)
        by_hand = values["forward", i, name] - 0.3 * values["backward", i, f"d{name}"]
        np.testing.assert_allclose(updated, by_hand, rtol=0, atol=1e-15)
        assert np.max(np.abs(updated - values["forward", i, name])) > 1e-3


def test_the_numbers_are_the_same_on_every_library(xp: Library) -> None:
    expected = explain(model(), X, Y)
    found = explain(model(dtype=xp.dtype), xp.array(X), xp.array(Y))
    assert [q.name for q in found.quantities] == [q.name for q in expected.quantities]
    for ours, theirs in zip(found.quantities, expected.quantities, strict=True):
        np.testing.assert_allclose(ours.value, theirs.value, rtol=0, atol=xp.tolerance(1e-13))
    assert found.after == pytest.approx(expected.after, rel=xp.tolerance(1e-13))


def test_real_digits() -> None:
    found = digits()
    text = found.text()
    assert max(map(len, text.splitlines())) <= 80
    assert "%%%" in text.splitlines()[5]
    values = named(found)
    assert values["forward", 0, "x"].shape == (2, 784)
    assert values["loss", None, "t"].tolist() == np.eye(10)[[5, 0]].tolist()
    (k, j) = next(q.at for q in found.quantities if q.name == "dW" and q.layer == 1)
    assert f"[{k}] " in text
    assert f"dW[{k}, {j}] = Σ_i x[i, {k}] dy[i, {j}]" in text
    assert "\n  x (2 x 784) (11 of 784 columns)\n" in text
    assert "\n  W (784 x 3) (7 of 784 rows) ← W - 0.5 dW\n" in text
    assert "\n  W (3 x 10)\n" in text


def test_json_holds_every_array_in_full() -> None:
    found = digits()
    told = json.loads(json.dumps(found.json(), allow_nan=False))
    assert len(told["quantities"]) == len(found.quantities)
    for one, q in zip(told["quantities"], found.quantities, strict=True):
        assert one["shape"] == list(q.value.shape)
        assert np.array_equal(np.asarray(one["value"]), q.value)
    assert told["chain"][-1]["value"] == found.chain[-1].value
    assert (told["loss_before"], told["loss_after"]) == (found.before, found.after)


def test_small_and_large_numbers_are_shown_in_units() -> None:
    text = explain(model(), 1e-4 * X, Y).text()
    assert "in units of 1e-6" in text
    assert f"{100 * X[0, 0]:.4f} {100 * X[0, 1]:.4f}" in " ".join(text.split())
    assert "0.0000 0.0000 0.0000" not in text
    assert "in units of 1e3" in explain(model(), 1e4 * X, Y).text()


def test_many_columns_rows_and_terms_are_cut_to_those_around_the_chain() -> None:
    x, t = RNG.normal(size=(20, 40)), np.arange(20) % 12
    found = explain(mlp(40, 30, 12, dtype="float64"), x, t, SoftmaxSquaredError())
    text = found.text()
    assert max(map(len, text.splitlines())) <= 80
    assert "16 smaller" in text
    a, b = max(found.chain[-1].terms, key=lambda ab: abs(ab[0] * ab[1]))
    assert f"{a:.4g} · {b:.4g} + " in text
    row, column = next(q.at for q in found.quantities if q.part == "forward" and q.name == "x")
    assert f"[{row}]" in text
    assert f"[{column}]" in text
    assert f"[{column}]" in text.split("(7 of 20 rows, 10 of 40 columns)\n")[1].splitlines()[0]
    assert "\n      = p ∘ (e - Σ_c e_c p_c),  e = 2 (p - t) / n" in text


def test_every_layer_and_loss_has_its_formulas() -> None:
    layers = [Standardize(2), Dense(2, 2), Dense(2, 2, bias=False), Dropout(0.1)]
    for layer in [*layers, *(activation() for activation in ACTIVATIONS.values())]:
        assert {*layer.formulas} == {"y", "dx", *(f"d{name}" for name in layer.shapes)}
    assert Dense(2, 2, bias=False).formulas["y"] == "x W"
    for loss in LOSSES.values():
        assert {*loss.formulas} == {"p", "L", "dz"}


def test_a_network_without_hidden_layers() -> None:
    found = explain(mlp(5, 4, dtype="float64"), X, Y)
    assert [link.layer for link in found.chain] == [None, 1]
    assert found.chain[-1].value == pytest.approx(found.differences, rel=1e-9)


def test_the_tiny_network_is_right_and_takes_every_loss() -> None:
    for loss in LOSSES:
        network, x, y = tiny("tanh", loss)
        assert not any(c.wrong for c in check(network, LOSSES[loss]()))
        assert explain(network, x, y, LOSSES[loss]()).after > 0


def test_other_arguments_are_refused() -> None:
    with pytest.raises(UsageError, match="explain takes dense layers"):
        explain(model(dropout=0.5), X, Y)
    with pytest.raises(UsageError, match="is for output='identity'"):
        explain(model(), X, Y, LOSSES["squared-error"]())
    with pytest.raises(UsageError, match="choose a smaller learning rate"):
        explain(model(activation="identity"), X, Y, learning_rate=1e308)
    with pytest.raises(UsageError, match="learning rate"):
        explain(model(), X, Y, learning_rate=0)
    with pytest.raises(UsageError, match="did you mean 'tanh'"):
        tiny("tnah")
    with pytest.raises(UsageError, match="did you mean 'squared-error'"):
        tiny("tanh", "sqared-error")
