"""Bounds of parameters: what every parameter of every part and function accepts and refuses."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from inspect import signature
from math import inf, isfinite, nan, nextafter
from typing import Annotated, Any, get_args, get_origin

import numpy as np
import pytest

import xpnet
from xpnet import registry
from xpnet.bounds import HELD, Fraction, Instance, Interval, bounds_of, plain, shown, within
from xpnet.checks import Settings, checked
from xpnet.errors import DataError, DivergedError, UsageError
from xpnet.tools.explain import explain
from xpnet.tools.gradcheck import check

KINDS = ("LAYERS", "LOSSES", "OPTIMIZERS", "AVERAGES", "SCHEDULES")
NAMED = {kind: [*getattr(registry, kind).values()] for kind in KINDS}
CLASSES = {kind: [getattr(part, "func", part) for part in parts] for kind, parts in NAMED.items()}
CLASSES["SCHEDULES"].append(xpnet.Warmup)
PARTS = list(dict.fromkeys(part for parts in CLASSES.values() for part in parts))
NEEDED = {"fan_in": 4, "fan_out": 4, "columns": 4, "rate": 0.5, "deviation": 0.1,
          "schedule": "cosine", "part": 0.5}  # fmt: skip
MODEL = xpnet.mlp(4, 4, 3)
X = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
Y = np.arange(40) % 3
FUNCTIONS: dict[Any, tuple[Any, ...]] = {
    xpnet.fit: (MODEL, X, Y),
    xpnet.mlp: (4, 4, 3),
    xpnet.Model.from_layers: ((xpnet.Dense(4, 3),)),
    xpnet.evaluate: (MODEL, X, Y),
    explain: (MODEL, X, Y),
    check: (MODEL, "softmax-cross-entropy"),
}
OTHERWISE = {
    "fit": {"class_weight", "validation", "verbose"},
    "mlp": {"widths", "labels", "input_shape"},
    "from_layers": {"labels", "input_shape"},
}
"""Parameters with numbers that have no bounds: the functions check them in their own words."""


def make(part: Any, /, **settings: Any) -> Any:
    """Make a part with these settings, and with others that it needs."""
    parameters = signature(part).parameters.values()
    needed = {p.name: NEEDED[p.name] for p in parameters if p.default is p.empty}
    return part(**{**needed, **settings})


def numbers_of(function: Any) -> dict[str, Any]:
    return {n: b for n, b in bounds_of(function).items() if isinstance(b[0], Interval)}


def call(function: Any, name: str, value: Any) -> Any:
    if isinstance(function, type):
        extra = {"momentum": 0.5} if name == "nesterov" else {}
        return make(function, **{**extra, name: value})
    if function == xpnet.Model.from_layers:
        return function(**{"fan_in": 4, "layers": FUNCTIONS[function], name: value})
    short = {"epochs": 1} if function is xpnet.fit else {}
    return function(*FUNCTIONS[function], **{**short, name: value})


def cases(bounds: Callable[[Any], dict[str, Any]]) -> list[Any]:
    return [
        pytest.param(function, name, *found, id=f"{function.__name__}-{name}")
        for function in (*PARTS, *FUNCTIONS)
        for name, found in bounds(function).items()
    ]


def accepted(interval: Interval, kind: Any) -> list[Any]:
    """The least number that an interval accepts, one inside, and the greatest."""
    whole, (smallest, largest, _) = kind is int, HELD[int if kind is int else float]
    least, most = interval.low, min(interval.high, largest)
    if interval.text[0] == "(":
        least = max(smallest, nextafter(least, inf))
    if interval.text[-1] == ")" and most == interval.high:
        most = most - 1 if whole else nextafter(most, 0)
    if whole:
        return [int(least), int(least) + 1, 2**64 - 1 if most > 1e19 else int(most)]
    return [least, least + (min(most, least + 1) - least) / 2, most]


def refused(interval: Interval, kind: Any) -> Iterator[Any]:
    """Numbers just outside of an interval, and what is no number."""
    step = (lambda a, b: int(a) + (1 if b > a else -1)) if kind is int else nextafter
    yield interval.low if interval.text[0] == "(" else step(interval.low, -inf)
    if isfinite(interval.high):
        yield interval.high if interval.text[-1] == ")" else step(interval.high, inf)
    yield from (nan, inf, -inf, 10**400, -(10**400), 10**5000, 1e39, 1e-60, True, False, "fast")
    yield from (np.float64(nan), np.array("a"), object(), b"1", 1j, {}, np.bool_(1))


@pytest.mark.parametrize(("function", "name", "interval", "kind", "optional"), cases(numbers_of))
def test_ends_and_a_number_inside_are_accepted(
    function: Any, name: str, interval: Interval, kind: Any, optional: bool
) -> None:
    several, one = get_origin(kind) is tuple, int if kind is int else float
    for value in accepted(interval, kind):
        for given in (value, np.asarray(value)[()], np.asarray(value)):
            found = within(name, given, (interval, kind, optional))
            if isinstance(function, type):
                assert getattr(call(function, name, given), name) == found
            (found,) = found if several else (found,)
            assert found == value
            assert type(found) is one
    if optional:
        assert within(name, None, (interval, kind, optional)) is None


@pytest.mark.parametrize(("function", "name", "interval", "kind", "optional"), cases(numbers_of))
def test_all_else_is_refused_by_name_with_the_interval_and_the_value(
    function: Any, name: str, interval: Interval, kind: Any, optional: bool
) -> None:
    what = f"{name} must be a {'whole ' if kind is int else ''}number in {interval}"
    unlike = [*([] if optional else [None]), *([0.5] if kind is int else [])]
    for value in (*refused(interval, kind), *unlike):
        with pytest.raises(UsageError) as caught:
            call(function, name, value)
        text = str(caught.value)
        assert text.startswith(what)
        assert f", got {shown(value)}" in text or f", got {shown(plain(value))}" in text
        assert caught.value.argument == name
    for value in ([], np.zeros((1, 1))):
        with pytest.raises(UsageError, match=f"^{name} must (be|have) "):
            call(function, name, value)


def truths(function: Any) -> dict[str, Any]:
    return {n: (b[2],) for n, b in bounds_of(function).items() if b[1] is bool}


@pytest.mark.parametrize(("function", "name", "optional"), cases(truths))
def test_true_or_false_is_neither_a_text_nor_a_number(
    function: Any, name: str, optional: bool
) -> None:
    for given in (np.bool_(False), np.array(False), False):
        found = call(function, name, given)
        assert not isinstance(function, type) or getattr(found, name) is False
    for value in (0, 1, 1.0, "no", "relu", [], object(), *([] if optional else [None])):
        with pytest.raises(UsageError, match=f"^{name} must be True or False, got "):
            call(function, name, value)


def instances(function: Any) -> dict[str, Any]:
    return {n: (b[1],) for n, b in bounds_of(function).items() if isinstance(b[0], Instance)}


@pytest.mark.parametrize(("function", "name", "kind"), cases(instances))
def test_an_instance_is_of_its_class(function: Any, name: str, kind: type) -> None:
    arguments = dict(zip(signature(function).parameters, FUNCTIONS[function], strict=False))
    for value in (0, "a", [], object(), kind, kind.__name__):
        with pytest.raises(UsageError, match=rf"^{name} must be a {kind.__name__}(, as .*)?, got "):
            function(**{**arguments, name: value})


def numeric(annotation: Any) -> bool:
    """Whether a type has numbers in it that are not bounded."""
    if get_origin(annotation) in (Annotated, Callable):
        return False
    return annotation in (int, float) or any(numeric(inner) for inner in get_args(annotation))


@pytest.mark.parametrize("function", [*PARTS, *FUNCTIONS], ids=lambda f: f.__name__)
def test_every_number_has_bounds(function: Any) -> None:
    if isinstance(function, type):
        types = {one.name: one.type for one in fields(function)}
    else:
        types = {n: t for n, t in function.__annotations__.items() if n != "return"}
    found = {name for name, annotation in types.items() if numeric(annotation)}
    assert found == OTHERWISE.get(function.__name__, set())


EXACT: dict[Callable[[], Any], str] = {
    lambda: xpnet.Dropout(1): "rate must be a number in [0, 0.99999], got 1",
    lambda: xpnet.SGD(0): "learning_rate must be a number in (0, inf), got 0",
    lambda: xpnet.Adam(1e39): "learning_rate must be a number in (0, inf) that float32 holds "
    "(1.2e-38 to 3.4e38), got 1e+39",
    lambda: xpnet.Adam(eps=1e-60): "eps must be a number in (0, inf) that float32 holds "
    "(1.2e-38 to 3.4e38), got 1e-60",
    lambda: xpnet.Dense(2**64, 1): "fan_in must be a whole number in [1, inf) that 64 bits hold "
    "(below 1.8e19), got 18446744073709551616",
    lambda: xpnet.Huber(10**5000): "delta must be a number in (0, inf) that float32 holds "
    "(1.2e-38 to 3.4e38), got a number of thousands of digits",
    lambda: xpnet.WarmRestarts(10001): "cycles must be a whole number in [1, 10000], got 10001",
    lambda: xpnet.Pinball((0.1, 1)): "quantiles must be a number in (0, 1), got 1",
    lambda: xpnet.Pinball(()): "quantiles must have one number at least, got none",
    lambda: xpnet.mlp(4, 2**64, 3): "layer width must be a whole number in [1, inf) that 64 bits "
    "hold (below 1.8e19), got 18446744073709551616",
    lambda: xpnet.mlp(4, 3, seed=2**64): "seed must be a whole number in "
    "[0, 18446744073709551616), got 18446744073709551616",
    lambda: xpnet.mlp(4, 2**50): "4-1125899906842624 has 6,755,399,441,055,752 numbers: "
    "too many for any memory",
    lambda: xpnet.Model.from_layers(2**60, [xpnet.Standardize(2**60)]): "1152921504606846976 has "
    "3,458,764,513,820,540,928 numbers: too many for any memory",
    lambda: xpnet.fit(MODEL, X, Y, validation=True): "validation must be a part in [0, 1) or a "
    "whole number, got True",
    lambda: xpnet.fit(MODEL, X, Y, validation=10**5000): "validation must leave samples to train "
    "on, got a number of thousands of digits of 40 samples",
    lambda: xpnet.fit(MODEL, X, Y, verbose="auto"): "verbose must be True, False or a number, "
    "got 'auto'",
    lambda: xpnet.mlp(4, 3, input_shape=4): "input_shape must be a list, as in (28, 28), got 4",
    lambda: xpnet.mlp(4, 3, input_shape=(-2, -2)): "input_shape must be a whole number in "
    "[1, inf), got -2",
    lambda: xpnet.mlp(4, 3, input_shape=(2.0, 2)): "input_shape must be a whole number in "
    "[1, inf), got 2.0",
    lambda: xpnet.mlp(4, 3, labels=3): 'labels must be a list, as in ["no", "yes"], got 3',
    lambda: xpnet.mlp(4, 3, labels={1, 2, 3}): 'labels must be a list, as in ["no", "yes"], '
    "got {1, 2, 3}",
}  # fmt: skip


@pytest.mark.parametrize(("mistake", "message"), EXACT.items(), ids=EXACT.values())
def test_a_message_has_the_name_the_interval_and_the_value(
    mistake: Callable[[], Any], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        mistake()
    assert str(caught.value) == message


def at_the_ends(kind: str) -> list[Any]:
    """Parts of a kind with each number at its ends; layers only as wide as they are tried."""
    return [
        make(part, **{name: value})
        for part in dict.fromkeys(CLASSES[kind])
        for name, (interval, numbers, _) in numbers_of(part).items()
        for value in accepted(interval, numbers)
        if name not in ("fan_in", "fan_out", "columns")
    ]


def trained(model: xpnet.Model, y: Any, **options: Any) -> None:
    """Train, which ends in a result, or says that the loss became infinite or NaN."""
    with suppress(DivergedError, DataError):
        xpnet.fit(model, X, y, **{"epochs": 1, "batch_size": 16, **options})


@pytest.mark.parametrize(("kind", "argument"), [
    ("OPTIMIZERS", "optimizer"), ("AVERAGES", "average"), ("SCHEDULES", "schedule"),
])  # fmt: skip
def test_training_ends_with_any_part_that_is_accepted(kind: str, argument: str) -> None:
    for part in at_the_ends(kind):
        trained(MODEL, Y, **{argument: part})


def test_training_ends_with_any_loss_that_is_accepted() -> None:
    for loss in at_the_ends("LOSSES"):
        outputs = 1 if loss.output in ("identity", "sigmoid") else 3
        model = xpnet.mlp(4, 4, outputs, output=loss.output)
        trained(model, Y % 2 if outputs == 1 else Y, loss=loss)


def test_training_ends_with_any_layer_that_is_accepted() -> None:
    for layer in at_the_ends("LAYERS"):
        trained(xpnet.Model.from_layers(4, [layer, xpnet.Dense(4, 3)]), Y)


def test_training_ends_with_any_argument_that_is_accepted() -> None:
    for name, (interval, kind, _) in numbers_of(xpnet.fit).items():
        for value in accepted(interval, kind):
            trained(MODEL, Y, **{"on_epoch": lambda epoch, result: True, name: value})


@pytest.mark.parametrize("function", [xpnet.mlp, xpnet.Model.from_layers, explain, check])
def test_a_function_ends_with_any_argument_that_is_accepted(function: Any) -> None:
    for name, (interval, kind, _) in numbers_of(function).items():
        for value in accepted(interval, kind):
            if (name, value) != ("samples", 10000):  # which takes seconds
                try:
                    call(function, name, value)
                except UsageError as error:  # a step of `explain` is too large, or layers differ
                    assert re.search("learning rate|columns|too many", str(error))  # noqa: PT017


def test_a_schedule_gives_finite_factors_at_its_ends() -> None:
    for schedule in at_the_ends("SCHEDULES"):
        assert all(0 <= schedule(s) <= 1 for s in (0.0, 1e-9, 0.5, 1 - 1e-9))


def test_numbers_of_numpy_become_those_of_python() -> None:
    model = xpnet.mlp(np.int64(4), np.array(5), 3, dropout=np.float32(0.5), seed=np.uint8(7))
    assert type(model.network.fan_in) is int
    assert repr(model.network) == repr(xpnet.mlp(4, 5, 3, dropout=0.5, seed=7).network)
    assert xpnet.Pinball(np.array([0.1, 0.9])) == xpnet.Pinball([0.1, 0.9])
    assert xpnet.mlp(4, 3, input_shape=np.array([2, 2])).input_shape == (2, 2)


def test_a_part_of_ones_own_has_the_bounds_of_its_annotations() -> None:
    @dataclass(frozen=True)
    class Mine(Settings):
        part: "Fraction" = 0.5
        other: "Fraction | None" = None
        anything: Any = field(default=None)

    assert [*bounds_of(Mine)] == ["part", "other"]
    with pytest.raises(UsageError, match=r"^part must be a number in \[0, 1\), got 1"):
        Mine(1)
    assert replace(Mine(), anything=np.float32(2)).anything == 2

    @checked
    def function(part: Fraction) -> float:
        return part

    with pytest.raises(UsageError, match=r"^part must be a number in \[0, 1\), got 1"):
        function(1)
