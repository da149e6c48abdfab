"""Derivatives against differences: right ones pass, wrong ones are found, with how far off."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import SCRIPTS, difference

from xpnet.activations import ACTIVATIONS, Sigmoid
from xpnet.builder import mlp
from xpnet.device.selection import select
from xpnet.errors import DataError, UsageError
from xpnet.losses import LOSSES, SoftmaxCrossEntropy, SoftmaxSquaredError
from xpnet.model import Model
from xpnet.tools import gradcheck
from xpnet.tools.gradcheck import (
    REFERENCES,
    YIELDED,
    angle,
    central_differences,
    check,
    check_file,
    compare,
    summary,
    table,
    verdict,
)

NOTEBOOK = str(SCRIPTS / "notebook.py")
A = np.asarray([[1.0, -2.0], [0.5, 3.0]])


def model(loss: str = "softmax-cross-entropy", *hidden: int, **options) -> Model:
    return mlp(5, *(hidden or (6,)), 3, output=LOSSES[loss].output, **options)


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
    monkeypatch.setattr("xpnet.tools.gradcheck.STEP", 1e-3)
    found = central_differences(lambda p: p["a"] ** 5, {"a": np.asarray(0.01)})
    assert 5 * 0.01**4 - found["a"] == pytest.approx(4e-12, rel=1e-3)


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


def test_a_formula_of_zeros_is_named() -> None:
    (found,) = compare(lambda p: np.sum(p["a"] ** 2), lambda p: {"a": 0 * p["a"]}, {"a": A})
    assert verdict([found]) == "wrong: a (the formula gives only zeros)"
    assert table([found]).splitlines()[1].endswith(" -")


def test_a_wrong_length_is_said() -> None:
    (found,) = compare(lambda p: np.sum(p["a"] ** 3), lambda p: {"a": 2 * p["a"] ** 2}, {"a": A})
    told = "wrong: a; all together the direction is off by 0.0°, and its length is 0.667 of the"
    assert verdict([found]).startswith(told)


def test_angles() -> None:
    assert angle(np.asarray([1.0, 0]), np.asarray([3.0, 3.0])) == pytest.approx(45, rel=1e-14)
    assert angle(np.asarray([1.0, 0]), np.asarray([-2.0, 0])) == pytest.approx(180, rel=1e-14)
    assert angle(np.asarray([1.0, 1e-9]), np.asarray([1.0, 0])) == pytest.approx(
        np.degrees(1e-9), rel=1e-6
    )
    assert np.isnan(angle(np.zeros(2), np.ones(2)))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_derivative_of_xpnet_is_right(activation: str, loss: str) -> None:
    found = check(model(loss, 6, 4, activation=activation, dropout=0.3), LOSSES[loss]())
    names = ["logits", *(f"layers.{i}.{a}" for a in "bW" for i in (7, 4, 1)), "x"]
    assert sorted(c.name for c in found) == sorted(names)
    for c in found:
        assert c.error < 1e-7
        assert not c.wrong
        assert np.max(np.abs(c.reference)) > 1e-4


@pytest.mark.parametrize("seed", range(20))
def test_no_seed_meets_a_kink(seed: int) -> None:
    found = check(model(seed=seed, activation="relu"), SoftmaxCrossEntropy(), seed=seed)
    assert verdict(found).startswith("right")


@pytest.mark.parametrize("against", ["jax", "torch"])
@pytest.mark.parametrize("loss", LOSSES)
def test_it_is_right_by_automatic_derivatives_too(against: str, loss: str) -> None:
    pytest.importorskip(against)
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
        pytest.importorskip(against)
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
    found = check(model(dropout=0.2), loss, device=select("cuda", strict=True))
    assert verdict(found).startswith("right")
    assert set(seen) == {"cupy"}


def test_the_notebooks_wrong_derivatives_are_found_and_the_others_pass() -> None:
    """Softmax's Jacobian is not diagonal: dL/dz is wrong everywhere, and so is all before it."""
    told = dict(check_file(NOTEBOOK))
    assert len(told) == 14
    for title, comparisons in told.items():
        if title.startswith(("(a)", "(b)", "(c1)")):
            for c in comparisons:
                assert len(c.wrong) == c.formula.size, title
                assert c.error > 0.1
            if title.endswith("dL/dz"):
                assert comparisons[0].angle > 10
        else:
            assert max(c.error for c in comparisons) < 1e-7, title
            assert not any(c.wrong for c in comparisons)


def test_tables_fit_a_terminal() -> None:
    for _, comparisons in check_file(NOTEBOOK):
        assert max(map(len, table(comparisons).splitlines())) <= 80
    wide = check(mlp(100, 12, 10), SoftmaxCrossEntropy(), samples=1)
    assert max(map(len, table(wide).splitlines())) <= 80


FILES = {
    "": "has no function gradchecks",
    "x = 1 / 0": "line 1: ZeroDivisionError",
    "x = (": r"mine.py, line 1: SyntaxError: '\(' was never closed$",
    "gradchecks = 3": "has no function gradchecks",
    "def gradchecks():\n    yield 1": f"yields int; expected {YIELDED}",
    "def gradchecks():\n    yield 't', abs, abs": r"yields \(str, builtin_function_or_method, bu",
    "def gradchecks():\n    yield 't', abs, abs, [1.0]": f"method, list\\); expected {YIELDED}",
    "def gradchecks():\n    yield 't', abs, 2, {'a': 2.0}": r"od, int, dict of float\); expected",
    "def gradchecks():\n    yield 't', abs, abs, {'a': 2.0}": "dict of float",
    "def gradchecks():\n    yield 'four'": "yields str; expected",
    "def gradchecks():\n    return 't', abs, 2, {}": f"returns .*expected it to yield {YIELDED}",
    "def gradchecks():\n    pass": "returns NoneType; expected it to yield",
    "def gradchecks():\n    yield 't', abs, abs, {}\n": "TypeError",
    "def gradchecks():\n    return []": "yields nothing",
    "raise SystemExit(3)": "line 1: SystemExit",
    "def gradchecks():\n    yield 't', lambda p: 1.0, lambda p: {}, {}": "no array is given",
    "import numpy as np\ndef gradchecks():\n"
    "    yield 't', lambda p: p['a'], lambda p: {'b': 1.0}, {'a': np.asarray(1.0)}": "one for each",
    "import numpy as np\ndef gradchecks():\n"
    "    yield 't', lambda p: p['a'], lambda p: p['a'], {'a': np.asarray(1.0)}": "a dict of arrays",
    "import numpy as np\ndef gradchecks():\n"
    "    yield 't', lambda p: None, lambda p: p, {'a': np.asarray(1.0)}": "object; expected one",
    "import numpy as np\ndef gradchecks():\n"
    "    yield 't', lambda p: p['a'] * np.inf, lambda p: p, {'a': np.asarray(1.0)}": "loss is inf",
    "import numpy as np\ndef gradchecks():\n"
    "    yield 't', lambda p: p['a'].sum(), lambda p: p, {'a': np.zeros(0)}": "has no elements",
    "import numpy as np\ndef gradchecks():\n"
    "    yield 't', lambda p: p['a'], lambda p: p, {'a': np.zeros(2)}": "expected one number",
}


@pytest.mark.parametrize("code", FILES)
def test_a_file_that_is_wrong_is_named_with_the_line(code: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(code, encoding="utf-8")
    with pytest.raises(DataError, match=FILES[code]) as caught:
        list(check_file(str(file)))
    assert "mine.py" in str(caught.value)


def test_a_file_may_import_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "own_network.py").write_text("SLOPE = 2.0", encoding="utf-8")
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\nfrom own_network import SLOPE\ndef gradchecks():\n"
        "    yield 't', lambda p: SLOPE * p['a'], lambda p: {'a': SLOPE}, {'a': np.asarray(1.0)}",
        encoding="utf-8",
    )
    before = [*sys.path]
    ((title, (comparison,)),) = check_file(str(file))
    assert (title, comparison.wrong) == ("t", [])
    assert sys.path == before


def test_no_file() -> None:
    with pytest.raises(DataError, match="no such file"):
        list(check_file("gone.py"))
    with pytest.raises(DataError, match="is a folder; expected a Python file with gradchecks"):
        list(check_file("."))


@pytest.mark.parametrize("library", ["jax", "torch"])
def test_a_library_that_is_missing_is_named_with_its_extra(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UsageError, match=rf'pip install "xpnet\[{library}\]"'):
        check(model(), SoftmaxCrossEntropy(), against=library)


def test_other_arguments_are_refused() -> None:
    with pytest.raises(UsageError, match="samples 0"):
        check(model(), SoftmaxCrossEntropy(), samples=0)
    with pytest.raises(UsageError, match="did you mean 'torch'"):
        check(model(), SoftmaxCrossEntropy(), against="troch")


def test_inputs_all_close_to_kinks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradcheck, "MARGIN", 1e3)
    with pytest.raises(UsageError, match="found no inputs"):
        check(model(activation="relu"), SoftmaxCrossEntropy())


def test_rows_that_are_dropped_as_a_whole_do_not_matter() -> None:
    """Without biases they are 0 whatever comes in, and no inputs would make them vary."""
    model = mlp(3, 2, 2, 2, activation="tanh", normalization="layer", dropout=0.5, bias=False)
    assert not any(c.wrong for c in check(model, SoftmaxCrossEntropy(), samples=10))
