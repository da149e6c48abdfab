"""Equal numbers of any type give equal predictions, as far as the type holds them exactly."""

import warnings
from typing import Any

import numpy as np
import pytest
from helpers import Library, difference, needed

import xpnet
from xpnet.arrays import float_name, has_float64, namespace, subtraction_type, to_numpy
from xpnet.fitting.scaling import standardize
from xpnet.model import Model

NARROW = ("bool", "int8", "uint8", "int16", "uint16", "float16", "float32")
KINDS = (*NARROW, "int32", "uint32", "int64", "uint64", "float64")
SECONDS = 1_732_000_000 + np.arange(600)  # ten minutes of seconds since 1970
WAVE = np.sin(SECONDS * np.pi / 300)


def model_of(x: np.ndarray, dtype: str = "float32") -> Model:
    """A model with the constants of scaling of x."""
    start = xpnet.mlp(x.shape[1], 4, 2, dtype=dtype, activation="tanh")
    return standardize(start, x.astype(np.float64), np.arange(len(x)))


def exact(model: Model, x: np.ndarray) -> np.ndarray:
    """The logits, computed in float64 from the constants of the model."""
    params = [{name: a.astype(np.float64) for name, a in p.items()} for p in model.params]
    return np.asarray(model.network.infer(params, x.astype(np.float64)))


def holds(kind: str, x: np.ndarray) -> bool:
    """Whether numbers of this type can be those of x."""
    with warnings.catch_warnings(action="ignore"):
        there = x.astype(kind)
        return bool(np.all(there == x)) and bool(np.all(there.astype(x.dtype) == x))


def types_of(xp: Library) -> list[str]:
    """The names of `KINDS` that the library has on its device."""
    wide = ("float64", "int64", "uint64")
    kinds = [kind for kind in KINDS if xp.dtype == "float64" or kind not in wide]
    return [kind for kind in kinds if xp.name.startswith("numpy") or hasattr(xp.xp, kind)]


def test_the_type_of_the_subtraction_is_exact(xp: Library) -> None:
    """Float64, if the type may have digits that float32 lacks, and the device has float64."""
    like, there = xp.array([1.0], "float32"), xp.dtype == "float64"
    assert has_float64(like) == there
    for kind in types_of(xp):
        x, expected = xp.array([[0, 1]], kind), like.dtype
        if kind not in NARROW and there:
            expected = namespace(x).float64
        assert subtraction_type(x, like.dtype) == expected


def test_jax_may_switch_float64_on_and_compiles_the_choice() -> None:
    jax = needed("jax")
    x = SECONDS[:60, None]
    model = model_of(x)
    for wide in (False, True, False):
        with jax.enable_x64(wide):
            there = jax.numpy.asarray(x.astype(np.int32))
            assert has_float64(there) == wide
            assert len(np.unique(to_numpy(jax.jit(model)(there))[:, 0])) == (60 if wide else 1)


@pytest.mark.parametrize("kind", ["int32", "uint32", "int64", "uint64", "float64"])
@pytest.mark.parametrize("fast", [True, False])
def test_a_wave_over_ten_minutes_is_learned_from_every_type(kind: str, fast: bool) -> None:
    """As from the seconds of these minutes alone."""
    start, shift = xpnet.mlp(1, 16, 1, output="identity"), SECONDS[:, None] - SECONDS[0]
    options: dict[str, Any] = {"epochs": 10, "batch_size": 32, "fast": fast}
    x = SECONDS[:, None].astype(kind)
    model = xpnet.fit(start, x, WAVE, **options).model
    expected = xpnet.fit(start, shift, WAVE, **options).model
    assert difference(model.theta, expected.theta) < 1e-4
    held = x[::6].tolist(), WAVE[::6]
    if kind != "float64":
        held = x[::6].astype(np.float64), WAVE[::6]
    checked = xpnet.fit(start, x, WAVE, validation_data=held, **options)
    r2 = xpnet.evaluate(checked.model, x, WAVE).metrics["r2"]
    assert r2 == xpnet.evaluate(checked.model, SECONDS[:, None].tolist(), WAVE).metrics["r2"] > 0.5


def test_a_fit_goes_on_from_a_mean_in_two_parts() -> None:
    start = xpnet.mlp(1, 16, 1, output="identity")
    x = SECONDS[:, None]
    first = xpnet.fit(start, x, WAVE, epochs=1)
    longer = xpnet.fit(start, x, WAVE, epochs=1, initial=first)
    assert len(longer.history) == 2
    assert longer.model.network.layers[0].split_mean  # type: ignore[attr-defined]
    assert difference(longer.model.params[0]["rest"], first.model.params[0]["rest"]) == 0


def test_every_second_of_a_minute_has_its_own_prediction(xp: Library) -> None:
    """Where there is no float64, all of them are the same number of float32."""
    x = 1_700_000_000 + np.arange(60)[:, None]
    model = model_of(x)
    assert np.array_equal(model(x.tolist()), model(x))
    for kind in [kind for kind in types_of(xp) if kind not in NARROW]:
        there = xp.array(x, kind)
        for z in (model(there), model.network.infer(model.like(there).params, there)):
            assert float_name(z) == "float32"
            assert len(np.unique(to_numpy(z)[:, 0])) == (60 if xp.dtype == "float64" else 1)
            assert xp.dtype == "float32" or difference(z, exact(model, x)) < 1e-5


def test_unsigned_numbers_of_64_bits_do_not_wrap_around(xp: Library) -> None:
    """Numbers below the mean, on both sides of 2^63."""
    x = np.uint64(2**63) + (np.arange(-30, 30)[:, None] * 2**30).astype(np.uint64)
    model = model_of(x)
    for kind in {"uint64", "float64"} & {*types_of(xp)}:
        given = xp.array(x, kind)
        for z in (model(given), model.network.infer(model.like(given).params, given)):
            assert difference(z, exact(model, x)) < 1e-5


@pytest.mark.parametrize("fast", [True, False])
def test_a_column_that_is_nearly_constant_does_not_spoil_the_others(fast: bool) -> None:
    """As a column of noise of an ordinary size would: the fits are the same up to rounding."""
    noise, shift = np.random.default_rng(0).normal(size=(600, 1)), SECONDS[:, None] - SECONDS[0]
    start = xpnet.mlp(2, 16, 1, output="identity")
    options: dict[str, Any] = {"epochs": 10, "batch_size": 32, "fast": fast}
    usual = xpnet.fit(start, np.hstack([shift, noise]), WAVE, **options).model
    found = xpnet.fit(start, np.hstack([shift, 14.62 + 1e-10 * noise]), WAVE, **options).model
    assert difference(found.theta, usual.theta) < 1e-2


@pytest.mark.parametrize("number", [1e20, -3.3e15, 1_700_000_000.3, 0.1])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_a_constant_column_becomes_0(number: float, kind: str) -> None:
    """So does one whose numbers are neighbours in float64, which is taken for rounding."""
    neighbour = np.where(np.arange(301)[:, np.newaxis] % 2, number, np.nextafter(number, 0))
    for x in (np.full((301, 1), number).astype(kind), neighbour):
        model = model_of(x)
        y = model.network.layers[0].infer(model.params[0], x)
        assert np.max(np.abs(y)) < 0.5
        assert np.max(np.abs(model(x) - exact(model, x))) < 1e-6


def test_numbers_of_any_type_predict_the_same() -> None:
    """On NumPy by the fast path and as it is written, and on two devices of array-api-strict.

    That without float64 takes numbers that float32 holds.
    """
    hypothesis, strict = needed("hypothesis"), needed("array_api_strict")
    some = hypothesis.strategies
    wide, narrow = strict.Device("CPU_DEVICE"), strict.Device("no_float64")

    def agree(base: int, power: int, steps: list[list[int]]) -> None:
        numbers = (base + np.asarray(steps)) * 2.0**power
        kinds = [kind for kind in KINDS if holds(kind, numbers)]
        model = model_of(numbers)
        expected = exact(model, numbers)
        bound = 1e-5 * max(1.0, float(np.max(np.abs(expected))))
        for kind in kinds:
            x = numbers.astype(kind)
            found = [model(x), model.network.infer(model.params, x), model(x.tolist())]
            if kind != "float16":
                found.append(to_numpy(model(strict.asarray(x, device=wide))))
            if kind not in ("float16", "float64") and "float32" in kinds:
                found.append(to_numpy(model(strict.asarray(x, device=narrow))))
            assert np.max(np.abs(np.asarray(found) - expected)) < bound, kind

    base = some.sampled_from([1_732_000_000, 2**40, -(2**40), 2**31 - 1000, -30_000, 100, 0])
    row = some.lists(some.integers(0, 1000), min_size=2, max_size=2)
    steps = some.lists(row, min_size=2, max_size=8)
    given = hypothesis.given(base, some.sampled_from([0, 3, 22, -8]), steps)
    quick = hypothesis.settings(derandomize=True, deadline=None, database=None, max_examples=15)
    quick(given(agree))()
