"""Recording: what array code becomes, without numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import difference, evaluated

from xpnet.arrays import namespace
from xpnet.fast import nodes
from xpnet.fast.nodes import CannotRecordError
from xpnet.fast.record import Recorded, constant, variable
from xpnet.losses import SoftmaxCrossEntropy

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 5))


# What is refused


@pytest.mark.parametrize(
    "use",
    [
        bool,
        float,
        np.asarray,
        lambda a: a + np.ones(3),
        lambda a: np.ones(3) * a,
        lambda a: a[np.zeros(2, int)],
        lambda a: a[a > 0],
        lambda a: [*a],
        lambda a: namespace(a).sort(a),
    ],
)
def test_numbers_that_are_not_there_are_refused(use: Callable[[Any], Any]) -> None:
    with pytest.raises((CannotRecordError, TypeError)):
        use(variable(np.zeros(3)))


# What is computed


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_choice_is_exact(dtype: str) -> None:
    """Of NaN, infinities and zeros with a sign too."""
    special = np.asarray([np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-40, 3.0], dtype=dtype)
    a, b = (m.ravel() for m in np.meshgrid(special, special))
    for condition in (a > b, np.isnan(a), np.arange(49) % 2 == 0):
        chosen = evaluated(lambda c, a, b: namespace(a).where(c, a, b), condition, a, b)
        assert chosen.dtype == dtype
        assert chosen.tobytes() == np.where(condition, a, b).tobytes()


def test_powers_are_those_of_the_operator() -> None:
    x = RNG.uniform(0.1, 2, size=9).astype(np.float32)
    for exponent in (2, 2.0, 0.5, 3, 1.7, 0.0):
        assert np.array_equal(evaluated(lambda x, e=exponent: x**e, x), x**exponent)
    assert evaluated(lambda x: x**2.0, np.arange(3)).dtype == np.float64


def test_numbers_of_numpy_do_not_change_the_type() -> None:
    """Such as a momentum of np.float64(0.9) for weights in float32."""
    x = X.astype(np.float32)
    third = np.float64(1 / 3)
    for function in (lambda x: third * x, lambda x: x / third, lambda x: x + np.int64(2)):
        found = evaluated(function, x)
        assert found.dtype == np.float32
        assert difference(found, function(X)) < 1e-6


def test_constants_are_computed_once_and_equal_ones_are_one_number() -> None:
    a, b = constant(np.full((3, 4), 2.5)), constant(np.arange(4.0))
    assert a.node.uniform
    assert not b.node.uniform
    total = a + b
    assert total.node.kind == nodes.CONSTANT
    assert np.array_equal(total.node.value, np.full((3, 4), 2.5) + np.arange(4.0))
    assert (a * a).node.uniform
    assert (a * a).node.value[0, 0] == 6.25
    assert namespace(a).zeros_like(variable(np.ones((2, 2)))).node.uniform


def test_zeros_keep_their_sign() -> None:
    zeros = np.asarray([0.0, -0.0])
    assert np.signbit(constant(zeros).node.value).tolist() == [False, True]
    assert constant(-np.zeros(2)).node.uniform

    def least(x: Any) -> Any:  # of x and -0.0, of x and 0.0
        xp = namespace(x)
        minima = [xp.minimum(x, xp.full_like(x, zero)) for zero in (-0.0, 0.0)]
        return xp.stack(minima)

    assert np.signbit(evaluated(least, np.ones(2))).tolist() == [[True, True], [False, False]]


def test_zeros_keep_their_type() -> None:
    def greater(x: Any, i: Any) -> Any:
        xp = namespace(x)
        of_both = [xp.maximum(a, xp.zeros_like(a)) for a in (x, i)]
        return xp.stack(of_both)

    found = evaluated(greater, np.asarray([-1.5, 1.5]), np.asarray([-2, 2]))
    assert found.tolist() == [[0, 1.5], [0, 2]]


def test_a_quotient_by_a_constant_is_a_product_where_nothing_is_lost() -> None:
    x = variable(np.ones(3, np.float32))
    assert (x / 3).node.function is np.multiply
    assert (x / constant(np.float32([1, 2, 3]))).node.function is np.multiply
    for divisor in (1e-39, 1e38, 0.0, float("nan")):
        assert (x / constant(np.float32([1, 2, divisor]))).node.function is np.divide
    assert (variable(np.ones(3, int)) / 3).node.function is np.divide
    assert (variable(np.ones(3)) / constant(np.float32([1, 2, 3]))).node.function is np.divide
    assert (3 / x).node.function is np.divide


def test_nothing_is_unknown_to_it_that_numpy_does_to_shapes() -> None:
    x, y = RNG.normal(size=(4, 6)), RNG.normal(size=(6, 3))
    cases: list[tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = [
        (lambda x, y: x @ y, (x, y)),
        (lambda x: x.T @ x, (x,)),
        (lambda x: namespace(x).sum(x), (x,)),
        (lambda x: namespace(x).sum(x, axis=0), (x,)),
        (lambda x: namespace(x).sum(x, axis=1), (x,)),
        (lambda x: namespace(x).sum(x, axis=-1, keepdims=True), (x,)),
        (lambda x: namespace(x).sum(x, axis=0, keepdims=True), (x,)),
        (lambda x: namespace(x).sum(x.T[1:3], axis=1), (x,)),
        (lambda x: namespace(x).mean(x, axis=0), (x,)),
        (lambda x: namespace(x).mean(x, axis=1, keepdims=True), (x,)),
        (lambda x: namespace(x).mean(x), (x,)),
        (lambda x: namespace(x).max(x, axis=1, keepdims=True), (x,)),
        (lambda x: namespace(x).max(x, axis=1), (np.tile(x, 9),)),
        (lambda x: namespace(x).max(x), (x,)),
        (lambda x: x[1:3, 2], (x,)),
        (lambda x: x[..., -1] + 1, (x,)),
        (lambda x: namespace(x).stack([x, 2 * x, x], axis=-1), (x,)),
        (lambda x: namespace(x).stack([x + 1, 2 * x], axis=0), (x,)),
        (lambda x: namespace(x).concat([x + 1, x], axis=1), (x,)),
        (lambda x: namespace(x).concat([x, x, 3 * x]), (x,)),
        (lambda x: namespace(x).broadcast_to(x[0], (3, 6)) * 2, (x,)),
        (lambda x: namespace(x).reshape(x * 2, (2, 12)), (x,)),
        (lambda x: -namespace(x).maximum(x, namespace(x).zeros_like(x)), (x,)),
        (lambda x: namespace(x).minimum(namespace(x).full_like(x, 0.1), x), (x,)),
        (lambda x: namespace(x).astype(x > 0, namespace(x).int32) + 2, (x,)),
        (lambda x: (1 - x) / (2 + x * x), (x,)),
        (lambda x, i: namespace(x).take(x, i, axis=-1), (x, np.arange(3))),
        (lambda x: x @ namespace(x).ones_like(x).T, (x,)),
        (lambda x: namespace(x).stack([x[0, 0], x[0, 1] + 1]), (x,)),
        (lambda x: namespace(x).astype(9 * x, namespace(x).int32), (x,)),
        (lambda i: i * 0.5, (np.arange(5),)),
        (lambda x: namespace(x).sum(x, axis=0, dtype=namespace(x).float64), (np.float32(x),)),
    ]
    for i, (function, arrays) in enumerate(cases):
        found, expected = evaluated(function, *arrays), np.asarray(function(*arrays))
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype), i
        assert difference(found, expected) < 1e-14, i


def test_recorded_arrays_are_not_numbers() -> None:
    a = variable(np.zeros((2, 3)))
    assert isinstance(a, Recorded)
    assert a.shape == (2, 3)
    assert a.device == "cpu"
    assert namespace(a) is a.__array_namespace__()
    value, _ = SoftmaxCrossEntropy().forward(a, variable(np.zeros(2, np.int32)))
    assert value.shape == ()
