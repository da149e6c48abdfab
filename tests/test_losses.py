"""Losses: exact values and derivatives, stability, targets, weights, probabilities."""

import cmath
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest
from helpers import Library, difference, needed, unpaired

from xpnet.arrays import to_numpy
from xpnet.errors import UsageError
from xpnet.losses import (
    OUTPUTS,
    AbsoluteError,
    BinaryCrossEntropy,
    BinaryFocal,
    Focal,
    Hinge,
    Huber,
    Loss,
    Pinball,
    Poisson,
    SoftmaxCrossEntropy,
    SquaredError,
    dense_targets,
)
from xpnet.registry import LOSSES

Z = np.asarray([[1.0, 2.0, 0.5], [-1.0, 0.0, 3.0]])


def positive(x: complex) -> complex:
    """max(x, 0), with derivative 0 at the kink."""
    return x if x.real > 0 else 0.0


def log_sum(z: list[complex]) -> complex:
    """log Σ_k e^z_k."""
    top = max(v.real for v in z)
    return top + cmath.log(sum(cmath.exp(v - top) for v in z))


def log_softmax(z: list[complex]) -> list[complex]:
    return [v - log_sum(z) for v in z]


def softmax(z: list[complex]) -> list[complex]:
    return [cmath.exp(v) for v in log_softmax(z)]


def each(term: Callable[..., complex]) -> Callable[..., complex]:
    """The mean over the columns of one row, where `term` takes a logit and its target."""
    return lambda z, t, *parameter: (
        sum(term(z_j, t_j, *parameter) for z_j, t_j in zip(z, t, strict=True)) / len(z)
    )


def softmax_cross_entropy(z, t, smoothing=0.0):
    smooth = [(1 - smoothing) * t_c + smoothing / len(z) for t_c in t]
    return -sum(t_c * log_p for t_c, log_p in zip(smooth, log_softmax(z), strict=True))


def binary_cross_entropy(z, t):
    """-t log p - (1 - t) log(1 - p), p = 1 / (1 + e^-z)."""
    return t * log_sum([0.0, -z]) + (1 - t) * log_sum([0.0, z])


def hinge(z, t):
    s = sum(t_c * z_c for t_c, z_c in zip(t, z, strict=True))
    return sum((1 - t_c) * positive(1 + z_c - s) for t_c, z_c in zip(t, z, strict=True)) / len(z)


def focal(z, t, gamma=2.0):
    log_p, p = log_softmax(z), softmax(z)
    q = [sum(p[:c] + p[c + 1 :]) for c in range(len(z))]
    return -sum(t[c] * q[c] ** gamma * log_p[c] for c in range(len(z)))


def binary_focal(z, t, gamma=2.0):
    return focal([z, 0.0], [t, 1 - t], gamma)


def huber(z, t, delta=1.0):
    d = positive(z - t) + positive(t - z)
    return d * d / 2 if d.real <= delta else delta * (d - delta / 2)


def pinball(z, t, quantiles=(0.5,)):
    q = quantiles * len(z) if len(quantiles) == 1 else quantiles
    terms = zip(q, z, t, strict=True)
    return sum(a * positive(v - u) + (1 - a) * positive(u - v) for a, u, v in terms) / len(z)


EXACT = {
    "softmax-cross-entropy": softmax_cross_entropy,
    "softmax-squared-error": lambda z, t: sum(
        (p_c - t_c) ** 2 for p_c, t_c in zip(softmax(z), t, strict=True)
    ),
    "binary-cross-entropy": each(binary_cross_entropy),
    "squared-error": each(lambda z, t: (z - t) ** 2),
    "hinge": hinge,
    "focal": focal,
    "binary-focal": each(binary_focal),
    "absolute-error": each(lambda z, t: positive(z - t) + positive(t - z)),
    "huber": each(huber),
    "pinball": pinball,
    "poisson": each(lambda z, t: cmath.exp(z) - t * z),
}
"""The published loss of one row of logits z, complex for `compare`, and targets t."""
OTHERS = {
    "softmax-cross-entropy": [0.1],
    "focal": [0.0, 0.5],
    "binary-focal": [0.0, 0.5],
    "huber": [0.5],
    "pinball": [(0.1, 0.5, 0.9), (0.25,)],
}
"""Parameters other than the default; the default is that of the function in EXACT."""
LOGITS = [[1.0, 2.0, 0.5], [-1.0, 0.0, 3.0], [-6.0, 2.5, 1.5], [1.5, 0.5, 0.0]]
TARGETS = {  # hinge is at its kink in row 0, column 0
    "softmax": [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.25, 0.25, 0.5]],
    "sigmoid": [[1.0, 0.0, 0.25], [0.0, 1.0, 1.0], [0.0, 0.75, 1.0], [1.0, 0.5, 0.0]],
    # z - t is 0, and on both sides below, at and above 0.5 and 1
    "identity": [[1.0, 1.75, 0.75], [-1.5, 0.5, 2.25], [-7.0, 3.5, 2.25], [-2.5, 4.5, -0.125]],
    "exp": [[0.0, 1.0, 5.0], [2.0, 0.0, 30.0], [0.0, 12.0, 4.0], [3.0, 1.0, 1.0]],
}


def compare(xp: Library, name: str, z, t, *parameter, w=None, given=None) -> None:
    """L and ∂L/∂z for the targets `given` are those of EXACT for t, to a few roundings.

    A derivative is Im l(z + ih) / h (Squire & Trapp, 1998): no difference, so no cancellation.
    """
    loss, n, h = LOSSES[name](*parameter), len(z), 1e-30
    given = xp.array(t if given is None else given)
    value, cache = loss.forward(xp.array(z), given, w and xp.array(w))
    w, row = w or [1.0] * n, EXACT[name]
    L = sum(w[i] * row(z[i], t[i], *parameter) for i in range(n)) / n
    dz = np.zeros((n, len(z[0])))
    for i, j in np.ndindex(dz.shape):
        moved = [z_ik + (k == j) * h * 1j for k, z_ik in enumerate(z[i])]
        dz[i, j] = w[i] / n * row(moved, t[i], *parameter).imag / h
    assert float(to_numpy(value)) == pytest.approx(L.real, rel=xp.tolerance(1e-14))
    assert difference(loss.backward(cache), dz) < xp.tolerance(1e-14)


def test_every_loss_has_exact_values() -> None:
    """A loss that takes a parameter needs another value of it in OTHERS."""
    assert unpaired(EXACT, LOSSES) == ""
    assert unpaired(OTHERS, {name for name, loss in LOSSES.items() if fields(loss)}) == ""


@pytest.mark.parametrize(
    ("name", "parameter"),
    [(name, ()) for name in LOSSES] + [(name, (p,)) for name in OTHERS for p in OTHERS[name]],
)
def test_values_and_derivatives_are_exact(xp: Library, name: str, parameter: tuple) -> None:
    z, t = LOGITS, TARGETS[LOSSES[name].output]
    compare(xp, name, z, t, *parameter)
    compare(xp, name, z, t, *parameter, w=[0.5, 2.0, 1.0, 3.0])


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "poisson"])
def test_values_and_derivatives_are_exact_at_1e4(xp: Library, name: str) -> None:
    """But for e^10000, which is no number of any type; the last row is not shifted with others."""
    z, loss = [[1e4, -1e4], [-1e4, 1e4], [0.0, 1.0]], LOSSES[name]()
    compare(xp, name, z, [[1.0, 0.0]] * 3)
    if loss.output != "identity":
        p = to_numpy(loss.probabilities(xp.array(z)))
        assert p[:2].tolist() == [[1.0, 0.0], [0.0, 1.0]]


TORCHS = [
    (SoftmaxCrossEntropy(), "CrossEntropyLoss()", [1, 0]),
    (SoftmaxCrossEntropy(0.1), "CrossEntropyLoss(label_smoothing=0.1)", [1, 0]),
    (BinaryCrossEntropy(), "BCEWithLogitsLoss()", [[0.0, 1.0, 1.0], [0.0, 0.25, 1.0]]),
    (SquaredError(), "MSELoss()", Z * 2),
    (Hinge(), "MultiMarginLoss()", [1, 0]),
    (AbsoluteError(), "L1Loss()", Z * 2),
    (Huber(), "HuberLoss()", Z * 2),
    (Poisson(), "PoissonNLLLoss()", [[0.0, 1.0, 5.0], [2.0, 0.0, 3.0]]),
]


@pytest.mark.parametrize(("ours", "theirs", "t"), TORCHS, ids=[theirs for _, theirs, _ in TORCHS])
def test_values_and_gradients_are_torchs(ours: Loss, theirs: str, t) -> None:
    torch = needed("torch")
    t, z = np.asarray(t), torch.tensor(Z, requires_grad=True)
    expected = eval(f"torch.nn.{theirs}", {"torch": torch})(z, torch.tensor(t))
    expected.backward()
    value, cache = ours.forward(Z, t)
    assert value == pytest.approx(float(expected.detach()), rel=1e-14)
    assert difference(ours.backward(cache), z.grad) < 1e-14


def test_one_target_per_sample_serves_every_quantile(xp: Library) -> None:
    z, t = Z[:, :2].tolist(), [[0.7, 0.7], [-0.4, -0.4]]
    for given in ([[0.7], [-0.4]], [0.7, -0.4]):
        compare(xp, "pinball", z, t, (0.1, 0.9), given=given)


def test_pinball_with_a_wrong_number_of_quantiles_is_refused() -> None:
    with pytest.raises(UsageError, match="2 quantiles for 3 outputs"):
        Pinball((0.1, 0.9)).forward(Z, Z)


def test_focal_is_smooth_where_it_is_sure(xp: Library) -> None:
    """At p = 1 the factor 1 - p is 0, and a quotient of both would be NaN."""
    for loss in (Focal(0.5), BinaryFocal(0.5), Focal(), BinaryFocal()):
        value, cache = loss.forward(xp.array([[800.0, -800.0]]), xp.array([[1.0, 0.0]]))
        assert float(to_numpy(value)) == 0
        assert not np.any(to_numpy(loss.backward(cache)))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Huber(0.0),
        lambda: Huber(float("inf")),
        lambda: Focal(-1.0),
        lambda: BinaryFocal(float("nan")),
        lambda: Pinball(()),
        lambda: Pinball((0.5, 1.0)),
        lambda: Pinball((0.0,)),
    ],
)
def test_parameters_outside_are_refused(wrong) -> None:
    with pytest.raises(UsageError, match=r"^(delta|gamma|quantiles) must (be a|have one) number "):
        wrong()


def test_one_quantile_may_come_without_a_tuple() -> None:
    assert Pinball(0.5) == Pinball([0.5]) == Pinball((0.5,)) == Pinball()
    assert Pinball(np.float32(0.25)).quantiles == (0.25,)


def test_kinks_are_0_where_slopes_jump() -> None:
    """By 2 at d = 0 and by 1 - q + q; at |d| = δ the second derivative; where 1 + z = s."""
    z, t = np.asarray([[1.0, -2.5]]), np.asarray([[1.0, -2.0]])
    assert AbsoluteError().kinks(z, t).tolist() == Pinball().kinks(z, t).tolist() == [[0, -0.5]]
    assert Huber(0.5).kinks(z, t).tolist() == [[-0.5, 0]]
    assert Hinge().kinks(np.asarray([[1.0, 2.0]]), np.asarray([1])).tolist() == [[0, 1]]


def test_each_output_has_the_likelihoods_loss() -> None:
    assert {name: loss() for name, loss in OUTPUTS.items()} == {
        "softmax": SoftmaxCrossEntropy(),
        "sigmoid": BinaryCrossEntropy(),
        "identity": SquaredError(),
        "exp": Poisson(),
    }
    assert all(loss.output == name for name, loss in OUTPUTS.items())
    assert SquaredError().probabilities(Z) is Z
    assert difference(Poisson().probabilities(Z), np.exp(Z)) == 0
    assert [name for name, loss in LOSSES.items() if loss.spreads] == ["pinball"]


@pytest.mark.parametrize("name", [name for name in LOSSES if not LOSSES[name].spreads])
@pytest.mark.parametrize("dtype", ["int32", "uint8"])
def test_labels_and_one_hot_rows_mean_the_same(xp: Library, name: str, dtype: str) -> None:
    loss, one_hot = LOSSES[name](), xp.array([[0.0, 1, 0], [1, 0, 0]])
    z, labels = xp.array(Z), xp.array(np.asarray([1, 0]), dtype)
    assert difference(dense_targets(labels, z), one_hot) == 0
    assert float(loss.forward(z, labels)[0]) == float(loss.forward(z, one_hot)[0])


def test_a_single_output_takes_flat_targets(xp: Library) -> None:
    """Integers or not: with one column they are no labels."""
    for t in ([1, 0, 1], [1.0, 0.0, 0.25]):
        z = [[0.5], [-1.0], [2.0]]
        compare(xp, "binary-cross-entropy", z, [[t_i] for t_i in t], given=t)


@pytest.mark.parametrize("name", LOSSES)
def test_the_dtype_stays(xp: Library, name: str) -> None:
    z = xp.array(Z, "float32")
    value, cache = LOSSES[name]().forward(z, xp.array([1, 0]), xp.array([1.0, 2.0], "float32"))
    assert value.dtype == z.dtype
    assert LOSSES[name]().backward(cache).dtype == z.dtype
    assert LOSSES[name]().probabilities(z).dtype == z.dtype


@pytest.mark.parametrize("name", LOSSES)
def test_weights_of_another_type_leave_the_dtype(xp: Library, name: str) -> None:
    z, loss = xp.array(Z, "float32"), LOSSES[name]()
    for w in (xp.array([1.0, 2.0]), xp.array([1, 2])):
        value, cache = loss.forward(z, xp.array([1, 0]), w)
        assert value.dtype == loss.backward(cache).dtype == z.dtype


def test_the_measure_of_a_loss_is_without_smoothing() -> None:
    for name in LOSSES:
        assert LOSSES[name]().measure == LOSSES[name]()
    assert SoftmaxCrossEntropy(0.1).measure == SoftmaxCrossEntropy()
    assert Huber(0.5).measure == Huber(0.5)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_smoothing_outside_is_refused(smoothing: float) -> None:
    with pytest.raises(UsageError, match=r"^smoothing must be a number in \[0, 1\), got "):
        SoftmaxCrossEntropy(smoothing)


def test_targets_of_another_shape_are_refused() -> None:
    with pytest.raises(UsageError, match=r"targets of shape \(3, 2\) for logits of \(2, 3\)"):
        SquaredError().forward(Z, Z.T)


def test_flat_numbers_for_several_outputs_are_no_labels() -> None:
    """As labels 1.7 would be 1, and a target of 250.0 no column at all."""
    with pytest.raises(UsageError, match="labels of type float64; expected integers"):
        SquaredError().forward(Z[:, :2], Z[:, 0])
