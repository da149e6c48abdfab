"""Losses: values by other means, stability, targets, weights, probabilities."""

import math

import numpy as np
import pytest
from helpers import Library, difference, needed

from xpnet.arrays import to_numpy
from xpnet.errors import UsageError
from xpnet.losses import (
    LOSSES,
    OUTPUTS,
    AbsoluteError,
    BinaryCrossEntropy,
    BinaryFocal,
    Focal,
    Hinge,
    Huber,
    Pinball,
    Poisson,
    SoftmaxCrossEntropy,
    SoftmaxSquaredError,
    SquaredError,
    dense_targets,
)

Z = np.asarray([[1.0, 2.0, 0.5], [-1.0, 0.0, 3.0]])


def test_softmax_cross_entropy_by_hand(xp: Library) -> None:
    value, _ = SoftmaxCrossEntropy().forward(xp.array(Z), xp.array([1, 0]))
    by_hand = -sum(
        math.log(math.exp(z[t]) / sum(math.exp(v) for v in z))
        for z, t in zip(Z.tolist(), (1, 0), strict=True)
    )
    assert float(to_numpy(value)) == pytest.approx(by_hand / 2, rel=xp.tolerance(1e-14))


def test_softmax_squared_error_by_hand(xp: Library) -> None:
    """z = (log 1, log 2, log 5), so p = (1, 2, 5) / 8; the label is 0.

    p - t = (-7, 2, 5) / 8                          L  = (49 + 4 + 25) / 64 = 78/64
    e = 2 (p - t) = (-14, 4, 10) / 8                Σ e_c p_c = (-14 + 8 + 50) / 64 = 44/64
    e - Σ e_c p_c = (-112, 32, 80) / 64 - 44/64     = (-156, -12, 36) / 64
    dz = p (e - Σ e_c p_c) = (-156, -24, 180) / 512
    """
    value, cache = SoftmaxSquaredError().forward(xp.array(np.log([[1.0, 2, 5]])), xp.array([0]))
    assert float(to_numpy(value)) == pytest.approx(78 / 64, rel=xp.tolerance(1e-14))
    expected = np.asarray([[-156, -24, 180]]) / 512
    assert difference(SoftmaxSquaredError().backward(cache), expected) < xp.tolerance(1e-14)


def test_binary_cross_entropy_by_hand(xp: Library) -> None:
    t = np.asarray([[1.0, 0, 1], [0, 0.25, 1]])
    value, _ = BinaryCrossEntropy().forward(xp.array(Z), xp.array(t))
    p = 1 / (1 + np.exp(-Z))
    by_hand = -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))
    assert float(to_numpy(value)) == pytest.approx(by_hand, rel=xp.tolerance(1e-14))


def test_squared_error_by_hand() -> None:
    value, cache = SquaredError().forward(Z, np.zeros((2, 3)))
    assert value == pytest.approx(np.mean(Z**2), rel=1e-15)
    assert SquaredError().backward(cache).tolist() == (2 * Z / 6).tolist()


@pytest.mark.parametrize(
    ("name", "t"),
    [
        ("CrossEntropyLoss", [1, 0]),
        ("BCEWithLogitsLoss", Z > 0),
        ("MSELoss", Z * 2),
        ("MultiMarginLoss", [1, 0]),
        ("L1Loss", Z * 2),
        ("HuberLoss", Z * 2),
        ("PoissonNLLLoss", [[0, 1, 5], [2, 0, 3]]),
    ],
)
def test_values_and_gradients_are_torchs(name: str, t) -> None:
    torch = needed("torch")
    ours = {
        "CrossEntropyLoss": SoftmaxCrossEntropy(),
        "BCEWithLogitsLoss": BinaryCrossEntropy(),
        "MSELoss": SquaredError(),
        "MultiMarginLoss": Hinge(),
        "L1Loss": AbsoluteError(),
        "HuberLoss": Huber(),
        "PoissonNLLLoss": Poisson(),
    }[name]
    t = np.asarray(t) if np.ndim(t) == 1 else np.asarray(t, dtype=float)
    z = torch.tensor(Z, requires_grad=True)
    expected = getattr(torch.nn, name)()(z, torch.tensor(t))
    expected.backward()
    value, cache = ours.forward(Z, t)
    assert value == pytest.approx(float(expected.detach()), rel=1e-14)
    assert difference(ours.backward(cache), z.grad) < 1e-14


def test_huber_by_hand() -> None:
    """d = 0.2 and -3 with δ = 0.5: ½ 0.04, and 0.5 (3 - 0.25)."""
    value, cache = Huber(0.5).forward(np.asarray([[1.2, -2.0]]), np.asarray([[1.0, 1.0]]))
    assert value == pytest.approx((0.02 + 1.375) / 2, rel=1e-14)
    assert difference(Huber(0.5).backward(cache), [[0.1, -0.25]]) < 1e-14


def test_pinball_is_scikit_learns(xp: Library) -> None:
    """A quantile for each output, all of them compared with the one target."""
    metrics = needed("sklearn.metrics")
    loss, t = Pinball((0.1, 0.5, 0.9)), [[0.7], [-0.4]]
    value, _ = loss.forward(xp.array(Z), xp.array(t))
    assert float(loss.forward(xp.array(Z), xp.array(np.ravel(t)))[0]) == float(value)
    each = [
        metrics.mean_pinball_loss(np.ravel(t), Z[:, j], alpha=q)
        for j, q in enumerate(loss.quantiles)
    ]
    assert float(to_numpy(value)) == pytest.approx(np.mean(each), rel=xp.tolerance(1e-14))


def test_pinball_at_its_minimum_has_gradient_0() -> None:
    """Of 101 targets, a tenth is below the 11th, if that counts as neither."""
    t = np.random.default_rng(0).permutation(np.arange(101.0))[:, None]
    loss = Pinball((0.1,))
    _, cache = loss.forward(np.full((101, 1), 10.0), t)
    assert abs(loss.backward(cache).sum()) * 101 == pytest.approx(0, abs=1e-12)


def test_pinball_with_a_wrong_number_of_quantiles_is_refused() -> None:
    with pytest.raises(UsageError, match="2 quantiles for 3 outputs"):
        Pinball((0.1, 0.9)).forward(Z, Z)


@pytest.mark.parametrize(
    ("focal", "plain"),
    [(Focal(0.0), SoftmaxCrossEntropy()), (BinaryFocal(0.0), BinaryCrossEntropy())],
)
def test_focal_with_gamma_0_is_the_cross_entropy(focal, plain) -> None:
    t = np.asarray([1, 0])
    (value, cache), (expected, expected_cache) = (a.forward(Z, t) for a in (focal, plain))
    assert value == pytest.approx(expected, rel=1e-14)
    assert difference(focal.backward(cache), plain.backward(expected_cache)) < 1e-14


def test_focal_by_hand() -> None:
    """p = (1, 2, 5) / 8, label 0: -(7/8)² log(1/8); of σ(0) = ½, yes: -¼ log ½."""
    value, _ = Focal().forward(np.log([[1.0, 2, 5]]), np.asarray([0]))
    assert value == pytest.approx(49 / 64 * math.log(8), rel=1e-14)
    value, _ = BinaryFocal().forward(np.zeros((1, 1)), np.ones((1, 1)))
    assert value == pytest.approx(0.25 * math.log(2), rel=1e-14)


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
    with pytest.raises(UsageError, match="expected"):
        wrong()


def test_label_smoothing_is_torchs() -> None:
    torch = needed("torch")
    expected = torch.nn.CrossEntropyLoss(label_smoothing=0.1)(torch.tensor(Z), torch.tensor([1, 0]))
    value, _ = SoftmaxCrossEntropy(0.1).forward(Z, np.asarray([1, 0]))
    assert value == pytest.approx(float(expected), rel=1e-14)


def test_rows_of_other_sizes_do_not_matter(xp: Library) -> None:
    """Each row is shifted by its own maximum: by that of all, the second would vanish."""
    z, t = xp.array([[2000.0, 2001.0], [0.0, 1.0]]), xp.array([0, 0])
    value, cache = SoftmaxCrossEntropy().forward(z, t)
    assert float(to_numpy(value)) == pytest.approx(math.log1p(math.e), rel=xp.tolerance(1e-14))
    dz = to_numpy(SoftmaxCrossEntropy().backward(cache))
    assert difference(dz[1], dz[0]) < xp.tolerance(1e-13)


def test_half_of_the_absolute_error_is_the_pinball_loss_of_the_median() -> None:
    (value, cache), (twice, twice_cache) = (a().forward(Z, 2 * Z) for a in (Pinball, AbsoluteError))
    assert value == pytest.approx(twice / 2, rel=1e-14)
    assert difference(Pinball().backward(cache), AbsoluteError().backward(twice_cache) / 2) < 1e-14


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


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "poisson"])
def test_nothing_overflows_at_1e4(xp: Library, name: str) -> None:
    """But for e^10000, which is no number of any type."""
    z, t = xp.array([[1e4, -1e4], [-1e4, 1e4]]), xp.array([0, 0])
    loss = LOSSES[name]()
    value, cache = loss.forward(z, t)
    assert np.isfinite(float(to_numpy(value)))
    assert np.all(np.isfinite(to_numpy(loss.backward(cache))))
    if loss.output != "identity":
        p = to_numpy(loss.probabilities(z))
        assert p.tolist() == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("name", [name for name in LOSSES if not LOSSES[name].spreads])
@pytest.mark.parametrize("dtype", ["int32", "uint8"])
def test_labels_and_one_hot_rows_mean_the_same(xp: Library, name: str, dtype: str) -> None:
    loss, one_hot = LOSSES[name](), xp.array([[0.0, 1, 0], [1, 0, 0]])
    z, labels = xp.array(Z), xp.array(np.asarray([1, 0]), dtype)
    assert difference(dense_targets(labels, z), one_hot) == 0
    assert float(loss.forward(z, labels)[0]) == float(loss.forward(z, one_hot)[0])


@pytest.mark.parametrize("name", LOSSES)
def test_a_weight_of_2_is_a_sample_twice(xp: Library, name: str) -> None:
    """The mean of two samples weighted 4/3 and 2/3 is that of three samples, one of them twice."""
    loss = LOSSES[name]()
    weighted, cache = loss.forward(xp.array(Z), xp.array([1, 0]), xp.array([4 / 3, 2 / 3]))
    twice, _ = loss.forward(xp.array(Z[[0, 0, 1]]), xp.array([1, 1, 0]))
    assert float(weighted) == pytest.approx(float(twice), rel=xp.tolerance(1e-14))
    plain = loss.backward(loss.forward(xp.array(Z), xp.array([1, 0]))[1])
    scaled = np.asarray([[4 / 3], [2 / 3]]) * to_numpy(plain)
    assert difference(loss.backward(cache), scaled) < xp.tolerance(1e-15)


def test_a_single_output_takes_flat_targets(xp: Library) -> None:
    z, t = xp.array([[0.5], [-1.0]]), xp.array([1, 0])
    value, cache = BinaryCrossEntropy().forward(z, t)
    expected = (math.log1p(math.exp(-0.5)) + math.log1p(math.exp(-1))) / 2
    assert float(to_numpy(value)) == pytest.approx(expected, rel=xp.tolerance(1e-14))
    assert tuple(BinaryCrossEntropy().backward(cache).shape) == (2, 1)


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


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_smoothing_outside_is_refused(smoothing: float) -> None:
    with pytest.raises(UsageError, match="expected 0 <= smoothing < 1"):
        SoftmaxCrossEntropy(smoothing)


def test_targets_of_another_shape_are_refused() -> None:
    with pytest.raises(UsageError, match=r"targets of shape \(3, 2\) for logits of \(2, 3\)"):
        SquaredError().forward(Z, Z.T)


def test_flat_numbers_for_several_outputs_are_no_labels() -> None:
    """As labels 1.7 would be 1, and a target of 250.0 no column at all."""
    with pytest.raises(UsageError, match="labels of type float64; expected integers"):
        SquaredError().forward(Z, Z[:, 0])
