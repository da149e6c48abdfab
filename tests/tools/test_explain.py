"""One step in numbers: by hand for the tiny network, and the same as training's everywhere."""

import json
import math
import re
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
from helpers import Library, difference

from xpnet.builder import mlp
from xpnet.data.sources import load
from xpnet.errors import UsageError
from xpnet.fitting.scaling import in_standard_units, prepare, rescale, standardize
from xpnet.fitting.training import fit
from xpnet.layers import Dense, Dropout, Layer, Noise, Rescale, Standardize
from xpnet.losses import Loss, SoftmaxCrossEntropy, SoftmaxSquaredError
from xpnet.model import Model
from xpnet.network import Network
from xpnet.normalization import BatchNorm, LayerNorm
from xpnet.optimizers import SGD
from xpnet.random import Purpose, step_keys
from xpnet.registry import ACTIVATIONS, LOSSES, NORMALIZATIONS
from xpnet.tools.explain import Explanation, explain, tiny
from xpnet.tools.gradcheck import check
from xpnet.train import train_step

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(3, 5)), np.asarray([2, 0, 3])


def named(found: Explanation) -> dict[tuple[str, int | None, str], np.ndarray]:
    values = {(q.part, q.layer, q.name): q.value for q in found.quantities}
    assert len(values) == len(found.quantities)
    return values


def model(*hidden: int, **options) -> Model:
    return mlp(5, *(hidden or (4,)), 4, **{"activation": "tanh", "dtype": "float64", **options})


def check_chain(found: Explanation, name: str) -> None:
    """Each sum is the derivative, and its largest product has the one before as a factor."""
    values = named(found)
    for link, following in zip(found.chain, found.chain[1:], strict=False):
        terms = sum(a * b for a, b in following.terms)
        assert terms == pytest.approx(following.value, rel=1e-12, abs=1e-15)
        assert link.value in max(following.terms, key=lambda ab: abs(ab[0] * ab[1]))
    for link in found.chain[1:-1]:
        place = next(q.at for q in found.quantities if (q.name, q.layer) == ("dx", link.layer))
        assert values["backward", link.layer, "dx"][place] == link.value
        assert link.name == f"dx{[*place]}"
    last = found.chain[-1]
    q = next(q for q in found.quantities if (q.name, q.layer) == (name, last.layer))
    assert (last.name, last.value) == (f"{name}{[*q.at]}", q.value[q.at])
    assert abs(last.value) == np.max(np.abs(values["backward", last.layer, name]))
    assert last.value == pytest.approx(found.differences, rel=1e-6, abs=1e-11)


@dataclass(frozen=True)
class Own(Layer):
    """Layers of one's own define two members, and no formulas."""

    columns: int = 4


class Double(Own):
    def forward(self, p: Any, x: Any) -> tuple[Any, None]:
        return 2 * x, None

    def backward(self, p: Any, cache: None, dy: Any) -> tuple[Any, dict[str, Any]]:
        return 2 * dy, {}


class Huge(Own):
    def forward(self, p: Any, x: Any) -> tuple[Any, None]:
        return 1e300 * x, None

    def backward(self, p: Any, cache: None, dy: Any) -> tuple[Any, dict[str, Any]]:
        return 1e300 * dy, {}


class Turn(Own):
    """The columns in the opposite order."""

    def forward(self, p: Any, x: Any) -> tuple[Any, None]:
        return x[:, ::-1], None

    def backward(self, p: Any, cache: None, dy: Any) -> tuple[Any, dict[str, Any]]:
        return dy[:, ::-1], {}


class Share(Own):
    """Every element times the mean of all: each y depends on each x."""

    def forward(self, p: Any, x: Any) -> tuple[Any, Any]:
        return x * np.mean(x), x

    def backward(self, p: Any, cache: Any, dy: Any) -> tuple[Any, dict[str, Any]]:
        x = cache
        return dy * np.mean(x) + np.mean(dy * x), {}


class Centre(Own):
    """Without the mean of the column: the derivatives of a column add up to 0."""

    def forward(self, p: Any, x: Any) -> tuple[Any, None]:
        return x - np.mean(x, axis=0), None

    def backward(self, p: Any, cache: None, dy: Any) -> tuple[Any, dict[str, Any]]:
        return dy - np.mean(dy, axis=0), {}


class Halve(Own):
    """The sum of each two columns."""

    def width(self, fan_in: int) -> int:
        return fan_in // 2

    def forward(self, p: Any, x: Any) -> tuple[Any, None]:
        return x[:, ::2] + x[:, 1::2], None

    def backward(self, p: Any, cache: None, dy: Any) -> tuple[Any, dict[str, Any]]:
        return np.repeat(dy, 2, axis=1), {}


class Gain(Own):
    """Trained arrays of three kinds: a number, one for each column, and three axes."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"gain": (self.columns,), "shift": (), "stack": (2, 1, self.columns)}

    def forward(self, p: Any, x: Any) -> tuple[Any, Any]:
        return x * (1 + p["gain"]) + p["shift"] + p["stack"][0] - p["stack"][1], x

    def backward(self, p: Any, cache: Any, dy: Any) -> tuple[Any, dict[str, Any]]:
        sums = np.sum(dy, axis=0)
        stack = np.stack([sums, -sums])[:, None, :]
        gain = np.sum(dy * cache, axis=0)
        return dy * (1 + p["gain"]), {"gain": gain, "shift": np.sum(dy), "stack": stack}


class Squares(Dense):
    """A dense layer with another y than `Dense`."""

    def forward(self, p: Any, x: Any) -> tuple[Any, Any]:
        return super().forward(p, x * x)[0], x

    def backward(self, p: Any, cache: Any, dy: Any) -> tuple[Any, dict[str, Any]]:
        dx, grads = super().backward(p, cache * cache, dy)
        return 2 * cache * dx, grads


class Count(Own):
    """It reads a buffer, and changes it."""

    @property
    def buffers(self) -> dict[str, tuple[int, ...]]:
        return {"steps": ()}

    def forward(self, p: Any, x: Any) -> tuple[Any, Any]:
        return x / (1 + p["steps"]), None

    def backward(self, p: Any, cache: Any, dy: Any) -> tuple[Any, dict[str, Any]]:
        return dy / (1 + p["steps"]), {}

    def refresh(self, p: Any, cache: Any) -> dict[str, Any]:
        return {"steps": p["steps"] + 1}


def network_of(*layers: Layer, width: int = 5, output: str = "softmax") -> Model:
    """A model of these layers with random arrays, all of them far from 0."""
    network, rng = Network(width, layers), np.random.default_rng(1)
    theta = rng.uniform(0.2, 1, network.size) * rng.choice([-1, 1], network.size)
    labels = () if output == "identity" else range(network.fan_out)
    buffers = rng.uniform(0.5, 1, network.buffer_size)
    return Model(network, theta, buffers, tuple(labels), (width,), output)


def between(*layers: Layer) -> Model:
    """A network with these layers between the first dense layer and its activation."""
    return network_of(Dense(5, 4), *layers, ACTIVATIONS["tanh"](), Dense(4, 4))


# The layer in question, and what its link of the chain says.
EVERY_LAYER = {
    "dropout": (between(Dropout(0.3)), 1, " · ∂y/∂x"),
    "noise": (between(Noise(0.5)), 1, " · ∂y/∂x"),
    "batch": (between(BatchNorm(4)), 1, "Σ_i dy[i, "),
    "layer": (between(LayerNorm(4)), 1, ", c] ∂y["),
    "double": (between(Double()), 1, " · ∂y/∂x"),
    "centre": (between(Centre()), 1, "Σ_i dy[i, "),
    "turn": (between(Turn()), 1, "] · ∂y["),
    "share": (between(Share()), 1, "Σ_ic dy[i, c] ∂y[i, c]/∂x["),
    "halve": (network_of(Dense(5, 8), Halve(), Dense(4, 4)), 1, "] · ∂y["),
    "gain": (between(Gain()), 1, " · ∂y/∂x"),
    "count": (between(Count()), 1, " · ∂y/∂x"),
    "squares": (between(Dense(4, 4), Squares(4, 4)), 2, ", c] ∂y["),
    "first": (network_of(Squares(5, 4), Dense(4, 4)), 0, ", 1]/∂W["),
    "in front": (network_of(Halve(), Gain(3), Dense(3, 4), width=6), 2, "Σ_i x[i, "),
    "without dense": (network_of(Gain(5)), 0, "/∂gain["),
    "a bound": (between(Dense(4, 4, max_norm=0.7)), 1, ", c] W["),
    "all": (
        network_of(
            Standardize(5), Noise(0.2), Dense(5, 4, bias=False), BatchNorm(4), Share(),
            ACTIVATIONS["tanh"](), Dropout(0.3), Dense(4, 4), LayerNorm(4), Gain(), Dense(4, 2),
            Rescale(2), output="identity",
        ),
        11, " · ∂y/∂x",
    ),
}  # fmt: skip


def by_hand(start: Model, x: Any, t: Any, loss: Loss, rate: float, seed: int) -> tuple[Any, ...]:
    """Weights and buffers after `train_step`, and the loss of these samples before and after."""
    network, optimizer = start.network, SGD(rate)
    keys = None
    if network.drawing:
        drawn = [step_keys(seed, Purpose.UNITS, i, range(1))[0] for i in network.drawing]
        keys = np.asarray([[*words, 0] for words in drawn], dtype=np.int32)
    scalars = np.asarray(optimizer.scalars(1.0, 1))
    theta, _, buffers, before = train_step(
        network, loss, optimizer, start.theta, (), start.buffers, (x, t, None), scalars, keys
    )
    z, _ = network.forward(network.unpack(theta, start.buffers, keys), x)
    return network.unpack(theta, buffers), before, loss.forward(z, t)[0]


@pytest.mark.parametrize("name", EVERY_LAYER)
def test_every_layer_is_explained(name: str) -> None:
    start, place, formula = EVERY_LAYER[name]
    x = np.random.default_rng(3).normal(size=(5, start.network.fan_in))
    y = np.asarray([0, 1, 1, 0, 1]) if start.network.fan_out > 2 else x[:, :2] + 10
    found = explain(start, x, y, learning_rate=0.1, seed=7)
    check_chain(found, "dgain" if name == "without dense" else "dW")
    (link,) = (link for link in found.chain if link.layer == place)
    assert formula in link.formula
    data, _ = prepare(start, x, y)
    updated, before, after = by_hand(start, x, data.t, found.loss, 0.1, 7)
    assert found.before == before
    assert found.after == after
    values = named(found)
    for i, name_, _ in start.network.slots:
        assert np.array_equal(values["update", i, name_], updated[i][name_])
        if start.network.bounds and name_ == "W":
            continue
        stepped = values["forward", i, name_] - 0.1 * values["backward", i, f"d{name_}"]
        np.testing.assert_allclose(values["update", i, name_], stepped, rtol=0, atol=1e-15)
    for i, name_, _ in start.network.buffer_slots:
        assert np.array_equal(values["forward", i, name_], start.params[i][name_])
        if isinstance(start.network.layers[i], BatchNorm | Count):
            assert np.array_equal(values["update", i, name_], updated[i][name_])
            assert np.any(values["forward", i, name_] != updated[i][name_])
        else:
            assert ("update", i, name_) not in values
    assert max(map(len, found.text().splitlines())) <= 80
    assert json.loads(json.dumps(found.json(), allow_nan=False))["learning_rate"] == 0.1


def test_the_weight_of_an_own_dense_layer_is_its_largest_derivative() -> None:
    """Which need not be where y depends most on x."""
    for seed in range(5):
        x = np.random.default_rng(seed).normal(size=(3, 5))
        check_chain(explain(EVERY_LAYER["first"][0], x, [0, 1, 1]), "dW")


def test_what_a_layer_drew_or_normalized_is_printed() -> None:
    start = between(Noise(0.5), BatchNorm(4), Dropout(0.4), LayerNorm(4))
    values = named(explain(start, X, Y))
    x, y = values["forward", 0, "y"], values["forward", 1, "y"]
    assert np.array_equal(values["forward", 1, "s ε"], y - x)
    assert 0.1 < np.std(y - x) < 1
    h, r = values["forward", 2, "h"], values["forward", 2, "r"]
    assert difference(h, (y - y.mean(axis=0)) * r) < 1e-12
    assert (
        difference(
            values["forward", 2, "y"], h * start.params[2]["gamma"] + start.params[2]["beta"]
        )
        < 1e-12
    )
    m = values["forward", 3, "m"]
    assert {*np.unique(m)} == {0, 1 / (1 - round(0.4 * 65536) / 65536)}
    assert np.array_equal(values["forward", 3, "y"], values["forward", 2, "y"] * m)
    assert np.array_equal(values["backward", 3, "dx"], values["backward", 4, "dx"] * m)
    assert values["forward", 4, "r"].shape == (3, 1)
    text = explain(start, X, Y).text()
    for line in ("  m (3 x 4)", "  y (3 x 4) = m ∘ x", "  s ε (3 x 4)", "  y (3 x 4) = x + s ε"):
        assert line in text.splitlines()


def test_a_layer_and_a_loss_without_formulas_are_named() -> None:
    class OwnLoss(SoftmaxCrossEntropy):
        formulas: ClassVar[dict[str, str]] = {}

    start = between(Double(), Gain(), Count())
    found = explain(start, X, Y, OwnLoss())
    text = found.text().splitlines()
    for line in (
        "  y (3 x 4) = Double.forward(x)",
        "  dx (3 x 4) = Double.backward(dy)",
        "  dstack (2 x 1 x 4) = Gain.backward(dy)",
        f"  steps ← Count.refresh(cache) = {start.params[3]['steps'] + 1:.6g}",
        "  p (3 x 4) = OwnLoss.probabilities(z)",
        f"  L = OwnLoss.forward(z, t) = {found.before:.6g}",
        "  dz (3 x 4) = OwnLoss.backward(cache)",
    ):
        assert line in text


def test_the_products_through_batch_normalization_are_those_of_its_derivation() -> None:
    """∂y_k/∂x_i = γ r (δ_ik - 1/n - h_k h_i / n), in one column."""
    start = between(BatchNorm(4, eps=1e-30))
    found, n = explain(start, X, Y), len(X)
    (link,) = (link for link in found.chain if link.layer == 1)
    i, c = next(q.at for q in found.quantities if (q.name, q.layer) == ("dx", 1))
    values = named(found)
    h, r = values["forward", 1, "h"][:, c], values["forward", 1, "r"][c]
    slopes = start.params[1]["gamma"][c] * r * ((np.arange(n) == i) - 1 / n - h * h[i] / n)
    dy = values["backward", 2, "dx"][:, c]
    assert difference([b for _, b in link.terms], slopes) < 1e-12
    assert [a for a, _ in link.terms] == dy.tolist()


def test_a_wide_layer_asks_few_derivatives_of_backward() -> None:
    calls = []

    class Counted(Centre):
        def backward(self, p: Any, cache: None, dy: Any) -> tuple[Any, dict[str, Any]]:
            calls.append(1)
            return super().backward(p, cache, dy)

    explain(network_of(Dense(5, 300), Counted(), Dense(300, 4)), X, Y)
    assert len(calls) == 2 + 3 + 300 + 3  # train_step and the same again; rows, columns, elements


def test_a_chain_of_zeros_still_leads_to_a_weight() -> None:
    """Where every unit is dropped."""
    found = explain(between(Dropout(0.99)), X[:1], Y[:1])
    assert found.chain[-1].name == "dW[0, 0]"
    assert (found.chain[-1].value, found.differences) == (0, 0)
    check_chain(found, "dW")
    assert found.chain[-2].formula == "dy[0, 0] · ∂y/∂x"
    assert found.chain[-2].terms == ((found.chain[-3].value, 0.0),)
    assert found.after < found.before
    text = found.text()
    assert " · 0 = 0" in text
    assert not {"-0", "-0.0000"} & {*text.split()}


def test_one_sample_cannot_be_normalized_over_the_batch() -> None:
    with pytest.raises(UsageError, match="needs 2 samples at least, got 1"):
        explain(between(BatchNorm(4)), X[:1], Y[:1])


def test_numbers_that_are_too_large_on_the_way_are_refused() -> None:
    start = between(Huge(), BatchNorm(4))
    with np.errstate(all="ignore"), pytest.raises(UsageError, match="infinite or NaN"):
        explain(start, X, Y)


def test_the_part_around_the_chain_is_in_reach_of_the_weight() -> None:
    """Of a layer with other columns than x, those of x that its y depends on."""
    x = np.random.default_rng(3).normal(size=(5, 6))
    found = explain(EVERY_LAYER["in front"][0], x, [0, 1, 1, 0, 1])
    places = {q.name: q.at for q in found.quantities if (q.part, q.layer) == ("forward", 0)}
    assert places["x"][0] == places["y"][0]
    assert places["x"][1] // 2 == places["y"][1]
    k = int(re.findall(r"\d+", found.chain[-1].name)[0])
    assert places["y"][1] == k > 0


def test_long_formulas_are_broken_into_lines() -> None:
    class Long(Double):
        formulas: ClassVar[dict[str, str]] = {"y": " + ".join(["x / 10"] * 20), "dx": "2 dy"}

    text = explain(between(Long(), BatchNorm(4)), 1e-4 * X, Y).text()
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert text.count("x / 10") == 20
    assert any(line.startswith("  dx (3 x 4) = 2 dy") for line in lines)


def test_a_bound_of_weights_is_told() -> None:
    text = explain(EVERY_LAYER["a bound"][0], X, Y).text()
    assert "  W (4 x 4) ← W - 0.5 dW,  columns shortened to 0.7" in text.splitlines()


def test_fit_draws_the_same_in_its_first_step() -> None:
    start = model(6, dropout=0.3, noise=0.2)
    options = {"optimizer": "sgd", "schedule": "constant", "validation": 0, "epochs": 1}
    updates = []
    for seed in (5, 6):
        trained = fit(start, X[:1], Y[:1], batch_size=1, learning_rate=0.3, seed=seed, **options)
        # fit finds the constants of its samples, and one sample has none
        start_ = replace(start, buffers=trained.model.buffers)
        values = named(explain(start_, X[:1], Y[:1], learning_rate=0.3, seed=seed))
        for i, name, _ in start.network.slots:
            assert difference(values["update", i, name], trained.model.params[i][name]) < 1e-14
        updates.append(values["update", 5, "W"])
    assert difference(*updates) > 1e-3


@pytest.mark.parametrize("unit", [1000.0, 0.001])
def test_a_regression_is_explained_in_the_units_of_its_targets(unit: float) -> None:
    """By default the step is that of rate 0.5 in standard units."""
    x = np.random.default_rng(4).normal(size=(20, 5))
    t = unit * (x[:, :1] + 7)
    start = mlp(5, 2, 1, activation="sigmoid", output="identity", dtype="float64")
    start = rescale(start, t, np.arange(20))
    found = explain(start, x, t)
    scale = float(start.params[-1]["scale"][0])
    assert found.learning_rate == pytest.approx(0.5 / scale**2, rel=1e-14)
    check_chain(found, "dW")
    values = named(found)
    assert np.array_equal(values["loss", None, "t"], t)
    assert difference(values["forward", 4, "y"], start(x)) < 1e-14
    assert found.before == pytest.approx(np.mean((start(x) - t) ** 2), rel=1e-13)
    assert found.after < 0.999 * found.before
    data, _ = prepare(start, x, t)
    inner, data = in_standard_units(start, data)
    standard = explain(inner, x, data.t)
    assert standard.learning_rate == 0.5
    assert found.before == pytest.approx(scale**2 * standard.before, rel=1e-12)
    for key, value in named(standard).items():
        if key[0] == "update":
            assert difference(values[key], value) < 1e-12
    assert "layer 4, Rescale(columns=1)" in found.text()
    assert explain(start, x, t, learning_rate=0.01 / scale**2).after > found.after


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
    last = 6 if output == "identity" else 5
    assert [link.layer for link in found.chain] == [None, *range(last, 0, -1)]
    check_chain(found, "dW")


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


@pytest.mark.parametrize("more", [{}, {"normalization": "batch", "dropout": 0.3, "noise": 0.1}])
def test_the_numbers_are_the_same_on_every_library(xp: Library, more: dict[str, Any]) -> None:
    expected = explain(model(**more), X, Y)
    found = explain(model(dtype=xp.dtype, **more), xp.array(X), xp.array(Y))
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
    assert re.search(rf"^ +\[{k}\] +-?\d", text, re.MULTILINE)
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
    layers = [
        Standardize(2),
        Standardize(2, split_mean=True),
        Dense(2, 2),
        Dense(2, 2, bias=False),
        Dropout(0.1),
        Noise(0.1),
    ]
    layers += [Rescale(2), *(kind(2) for kind in NORMALIZATIONS.values())]
    for layer in [*layers, *(activation() for activation in ACTIVATIONS.values())]:
        changed = layer.buffers if type(layer).refresh is not Layer.refresh else ()
        expected = {"y", "dx", *(f"d{name}" for name in layer.shapes), *changed}
        assert {*layer.formulas} == expected
    assert Dense(2, 2, bias=False).formulas["y"] == "x W"
    assert Standardize(2, split_mean=True).formulas["y"] == "(x - mean - rest) / scale"
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
    with pytest.raises(UsageError, match="no layer of the model is trained"):
        explain(network_of(Double()), X, Y)
    with pytest.raises(
        UsageError, match=r"^seed must be a whole number in \[0, 18446744073709551616\), got -1$"
    ):
        explain(model(dropout=0.5), X, Y, seed=-1)
    with pytest.raises(UsageError, match="is for output='identity'"):
        explain(model(), X, Y, LOSSES["squared-error"]())
    with pytest.raises(UsageError, match="choose a smaller learning rate"):
        explain(mlp(5, 4, 4, activation="identity"), X, Y, learning_rate=3e38)
    with pytest.raises(UsageError, match=r"^learning_rate must be a number in \(0, inf\), got 0$"):
        explain(model(), X, Y, learning_rate=0)
    with pytest.raises(UsageError, match="did you mean 'tanh'"):
        tiny("tnah")
    with pytest.raises(UsageError, match="did you mean 'squared-error'"):
        tiny("tanh", "sqared-error")
