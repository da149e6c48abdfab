"""Derivatives against differences: right ones pass, wrong ones are found, with how far off."""

import json
import sys

import numpy as np
import pytest
from helpers import needed, pairs

from xpnet.activations import Sigmoid
from xpnet.builder import mlp
from xpnet.device.selection import select_device
from xpnet.errors import UsageError
from xpnet.losses import SoftmaxCrossEntropy, SoftmaxSquaredError
from xpnet.model import Model
from xpnet.registry import ACTIVATIONS, LOSSES, REFERENCES
from xpnet.tools.comparison_report import summary, table, verdict
from xpnet.tools.gradcheck import check, compare

A = np.asarray([[1.0, -2.0], [0.5, 3.0]])


def model(loss: str = "softmax-cross-entropy", *hidden: int, **options) -> Model:
    return mlp(5, *(hidden or (6,)), 3, output=LOSSES[loss].output, **options)


def test_a_wrong_element_is_found() -> None:
    """d/da Σ a² = 2 a, of which one element is given as 0.1 too large; scale: 2 · 3."""
    wrong = 2 * A
    wrong[1, 0] += 0.1
    (found,) = compare(lambda p: np.sum(p["a"] ** 2), lambda p: {"a": wrong}, {"a": A})
    assert found.wrong == [(1, 0)]
    assert found.worst == (1, 0)
    assert found.error == pytest.approx(0.1 / 6, rel=1e-9)
    assert verdict([found]).startswith("wrong: a; ")
    assert "a[1, 0] = 1.1, right: 1, off by 0.1" in table([found])
    told = summary("mine", [found])
    assert (told["right"], told["arrays"][0]["wrong"], told["arrays"][0]["at"]) == (
        False,
        1,
        [1, 0],
    )


def test_what_is_right_passes() -> None:
    found = compare(lambda p: np.sum(p["a"] ** 2), lambda p: {"a": 2 * p["a"]}, {"a": A})
    assert found[0].wrong == []
    assert found[0].angle < 1e-5
    assert verdict(found).startswith("right: ")
    assert summary("mine", found)["right"]


def test_an_error_just_above_the_tolerance_is_wrong() -> None:
    for factor, expected in ((1 + 2e-7, 1), (1 + 0.5e-7, 0)):
        (found,) = compare(
            lambda p: p["a"] ** 2,
            lambda p, factor=factor: {"a": 2 * p["a"] * factor},
            {"a": np.asarray(1.5)},
        )
        assert len(found.wrong) == expected


def test_nan_in_a_formula_is_wrong() -> None:
    (found,) = compare(lambda p: np.sum(p["a"]), lambda p: {"a": A * np.nan}, {"a": A})
    assert len(found.wrong) == 4
    assert json.dumps(summary("x", [found]), allow_nan=False)
    assert verdict([found]) == "wrong: a"
    assert table([found]).splitlines()[1].endswith(" -")


def test_a_derivative_of_0_is_right_where_the_formula_gives_0() -> None:
    (found,) = compare(lambda p: np.asarray(3.0), lambda p: {"a": 0 * A}, {"a": A})
    assert (found.wrong, found.angle, found.tested) == ([], 0.0, False)


def test_what_is_0_by_both_is_not_tested() -> None:
    """With the one unit dropped nothing behind it has a derivative but the last bias."""
    found = check(model("softmax-cross-entropy", 1, dropout=0.9), SoftmaxCrossEntropy(), seed=1)
    tested = {"logits", "layers.4.b"}
    assert {c.name for c in found if c.tested} == tested
    told = verdict(found)
    assert told.startswith("right: ")
    assert "; not tested: layers.1.b, layers.4.W, layers.1.W, x (all their derivatives" in told
    assert "not tested" in table(found).splitlines()[3]
    assert {a["name"] for a in summary("x", found)["arrays"] if a["tested"]} == tested


def test_rounding_is_no_test() -> None:
    """a / |a| has length 1, up to rounding; a formula of zeros would pass whatever its mistake."""

    def length_of_unit_vector(p):
        return np.linalg.norm(p["a"] / np.linalg.norm(p["a"]))

    (found,) = compare(length_of_unit_vector, lambda p: {"a": 0 * A}, {"a": A})
    assert np.any(found.reference)
    assert verdict([found]).startswith("not tested: a (all its derivatives are 0 here; try")


@pytest.mark.parametrize(("activation", "loss"), pairs(ACTIVATIONS, LOSSES))
def test_every_derivative_of_xpnet_is_right(activation: str, loss: str) -> None:
    found = check(model(loss, 6, 4, activation=activation, dropout=0.3), LOSSES[loss]())
    names = ["logits", *(f"layers.{i}.{a}" for a in "bW" for i in (7, 4, 1)), "x"]
    assert sorted(c.name for c in found) == sorted(names)
    for c in found:
        assert c.error < 1e-7
        assert not c.wrong
        assert np.max(np.abs(c.reference)) > 1e-4


@pytest.mark.parametrize("against", ["jax", "torch"])
@pytest.mark.parametrize("loss", LOSSES)
def test_it_is_right_by_automatic_derivatives_too(against: str, loss: str) -> None:
    needed(against)
    options = {"activation": ["relu", "tanh"], "dropout": 0.2}
    found = check(model(loss, 6, 4, **options), LOSSES[loss](), against=against)
    assert len(found) == 8
    assert max(c.error for c in found) < 1e-12


@pytest.mark.parametrize("against", REFERENCES)
def test_a_broken_layer_is_found_and_what_is_behind_it_passes(
    against: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """dy y in place of dy y (1 - y): wrong in front of the sigmoid, right behind it."""
    if against != "differences":
        needed(against)
    monkeypatch.setattr(Sigmoid, "backward", lambda self, p, y, dy: (dy * y, {}))
    found = check(model(activation="sigmoid"), SoftmaxCrossEntropy(), against=against)
    wrong = {c.name for c in found if c.wrong}
    assert wrong == {"layers.1.W", "layers.1.b", "x"}
    assert verdict(found).startswith("wrong: layers.1.b, layers.1.W, x;")


def test_a_broken_loss_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The diagonal of the Jacobian alone."""

    def diagonal(self, cache):
        p, d, _ = cache
        return 2 * d / len(d) * p * (1 - p)

    monkeypatch.setattr(SoftmaxSquaredError, "backward", diagonal)
    found = check(model("softmax-squared-error"), SoftmaxSquaredError())
    assert all(c.wrong for c in found)
    assert found[0].angle > 5


@pytest.mark.cuda
def test_formulas_are_computed_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    loss = SoftmaxCrossEntropy()
    backward = SoftmaxCrossEntropy.backward

    def spy(self, cache):
        seen.append(type(cache[0]).__module__.partition(".")[0])
        return backward(self, cache)

    monkeypatch.setattr(SoftmaxCrossEntropy, "backward", spy)
    found = check(model(dropout=0.2), loss, device=select_device("cuda", strict=True))
    assert verdict(found).startswith("right")
    assert set(seen) == {"cupy"}


@pytest.mark.parametrize("library", ["jax", "torch"])
def test_a_library_that_is_missing_is_named_with_its_extra(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UsageError, match=rf'pip install "xpnet\[{library}\]"'):
        check(model(), SoftmaxCrossEntropy(), against=library)


def test_other_arguments_are_refused() -> None:
    with pytest.raises(
        UsageError, match=r"^samples must be a whole number in \[1, 10000\], got 0$"
    ):
        check(model(), SoftmaxCrossEntropy(), samples=0)
    with pytest.raises(UsageError, match="did you mean 'torch'"):
        check(model(), SoftmaxCrossEntropy(), against="troch")
