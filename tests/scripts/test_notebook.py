"""The script that corrects the notebook: its formulas by hand, its steps beside xpnet's."""

import importlib.util
import math
import sys
from types import ModuleType

import numpy as np
import pytest
from helpers import SCRIPTS, difference, needed

from xpnet.activations import ReLU, Sigmoid
from xpnet.arrays import to_numpy
from xpnet.device.selection import Device, select_device
from xpnet.layers import Dense
from xpnet.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy, SoftmaxSquaredError
from xpnet.network import Network
from xpnet.optimizers import SGD, Optimizer
from xpnet.train import train_step

pytestmark = pytest.mark.scripts
SCRIPT = SCRIPTS / "notebook.py"
HOST = Device("cpu")


@pytest.fixture(scope="module")
def notebook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notebook", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["notebook"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# z = log of     1 2      so e^z / 4 (the largest is 4) =  1/4 2/4
#                3 4                                       3/4  1
LOGITS = np.log([[1.0, 2.0], [3.0, 4.0]])


def test_softmax_over_the_batch(notebook: ModuleType) -> None:
    """Columns sum to one: 1 / (1 + 3), 2 / (2 + 4); 3 / (1 + 3), 4 / (2 + 4)."""
    y = notebook.softmax_over_the_batch(LOGITS)
    assert y == pytest.approx(np.asarray([[1 / 4, 1 / 3], [3 / 4, 2 / 3]]), rel=1e-15)


def test_softmax_over_the_batch_shifts_by_the_largest_of_all(notebook: ModuleType) -> None:
    """Class 0 lies 800 below: e^-800 is 0, and its column 0/0. Column 1: 1 / (1 + e), ..."""
    with np.errstate(invalid="ignore"):
        y = notebook.softmax_over_the_batch(np.asarray([[0.0, 800.0], [0.0, 801.0]]))
    assert np.isnan(y[:, 0]).all()
    assert y[:, 1] == pytest.approx([1 / (1 + math.e), math.e / (1 + math.e)], rel=1e-15)


def test_softmax_over_the_classes(notebook: ModuleType) -> None:
    """Rows sum to one: 1 / (1 + 2), 2 / (1 + 2); 3 / (3 + 4), 4 / (3 + 4)."""
    y = notebook.softmax(LOGITS)
    assert y == pytest.approx(np.asarray([[1 / 3, 2 / 3], [3 / 7, 4 / 7]]), rel=1e-15)


def test_the_diagonal_alone(notebook: ModuleType) -> None:
    """2 (y - t) / n · y (1 - y), n = 2:

    (1/4 - 1) 1/4 · 3/4 = -9/64       (1/2 - 0) 1/2 · 1/2 = 1/8
    (3/4 - 0) 3/4 · 1/4 =  9/64       (1/2 - 1) 1/2 · 1/2 = -1/8
    """
    y, t = np.asarray([[0.25, 0.5], [0.75, 0.5]]), np.asarray([[1.0, 0], [0, 1]])
    assert notebook.diagonal(y, t).tolist() == [[-9 / 64, 1 / 8], [9 / 64, -1 / 8]]


def test_the_full_jacobian(notebook: ModuleType) -> None:
    """e = 2 (y - t) / n, n = 1: (2 (1/4 - 1), 2 · 3/4) = (-3/2, 3/2)

    Σ e y = -3/8 + 9/8 = 3/4        y (e - Σ e y) = (1/4 · -9/4, 3/4 · 3/4) = (-9/16, 9/16)
    """
    y, t = np.asarray([[0.25, 0.75]]), np.asarray([[1.0, 0]])
    assert notebook.full_jacobian(y, t).tolist() == [[-9 / 16, 9 / 16]]


def test_what_was_derived_on_paper(notebook: ModuleType) -> None:
    """(y - t) / (y (1 - y)) times y (1 - y) is y - t: 1/4 - 1 and 1/2 - 0, over n = 1."""
    y, t = np.asarray([[0.25, 0.5]]), np.asarray([[1.0, 0]])
    assert notebook.difference(y, t).tolist() == [[-0.75, 0.5]]
    assert ((y - t) / (y * (1 - y)) * (y * (1 - y))).tolist() == [[-0.75, 0.5]]


def test_targets(notebook: ModuleType) -> None:
    """Labels 2, 0, 2: at first row 0 has a 1 in columns 0 and 2; then each row has its own."""
    labels, identity = np.asarray([2, 0, 2]), np.eye(3)
    first = notebook.targets(notebook.VARIANTS["a"], labels, identity)
    assert first.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0]]
    finished = notebook.targets(notebook.VARIANTS["b"], labels, identity)
    assert finished.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1]]
    assert identity.tolist() == np.eye(3).tolist()


def test_the_gradients_of_the_finished_notebook(notebook: ModuleType) -> None:
    """Two images of one pixel, two hidden units, two classes; worked out in the comments."""
    w = {"l1": np.asarray([[0.0, math.log(3)]]), "l2": np.asarray([[1.0, 2.0], [-2.0, 0.0]])}
    x, t = np.asarray([[0.0], [1.0]]), np.asarray([[1.0, 0], [0, 1]])
    v = notebook.VARIANTS["b"]
    h, y = notebook.forward(v, w, x)
    # a = x l1 = (0, 0), (0, log 3); h = σ(a) = (1/2, 1/2), (1/2, 3/4).
    assert h == pytest.approx(np.asarray([[1 / 2, 1 / 2], [1 / 2, 3 / 4]]), rel=1e-15)
    # z = h l2 = (1/2 - 1, 1), (1/2 - 3/2, 1) = (-1/2, 1), (-1, 1); y by columns:
    # y_00 = 1 / (1 + e^-1/2), y_10 = 1 - y_00; y_01 = y_11 = 1/2.
    p = 1 / (1 + math.exp(-0.5))
    assert y == pytest.approx(np.asarray([[p, 1 / 2], [1 - p, 1 / 2]]), rel=1e-14)
    # dz = 2 (y - t)/2 · y (1 - y), with q = p (1 - p):
    #      (p - 1) q,  1/2 · 1/4 = 1/8
    #      (1 - p) q, -1/8                     so with s = (1 - p) q: (-s, 1/8), (s, -1/8)
    s = (1 - p) * p * (1 - p)
    g = notebook.gradients(v, w, x, t)
    # l2 = hᵀ dz: row 0: 1/2 (-s + s) = 0, 0;  row 1: -s/2 + 3s/4 = s/4, 1/16 - 3/32 = -1/32.
    assert g["l2"] == pytest.approx(np.asarray([[0, 0], [s / 4, -1 / 32]]), rel=1e-14, abs=1e-16)
    # Only image 1 has x ≠ 0.  Its dh = dz l2ᵀ = (s - 2/8, -2 s); h (1 - h) = 1/4, 3/16.
    assert g["l1"] == pytest.approx(np.asarray([[(s - 1 / 4) / 4, -2 * s * 3 / 16]]), rel=1e-14)


def test_initial_weights(notebook: ModuleType) -> None:
    """Uniform within 1 / √(rows · columns), and within √(6 / (rows + columns))."""
    for key, limits in {
        "b": (1 / math.sqrt(784 * 128), 1 / math.sqrt(1280)),
        "c5": (math.sqrt(6 / 912), math.sqrt(6 / 138)),
    }.items():
        w = notebook.initial(notebook.VARIANTS[key], np.random.default_rng(0), (784, 128, 10))
        assert [*w] == ["l1", "l2"]
        for array, limit in zip(w.values(), limits, strict=True):
            assert 0.99 * limit < np.max(np.abs(array)) <= limit
            assert abs(np.mean(array)) < 0.1 * limit


def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.normal(size=(300, 784)), rng.integers(0, 10, size=300)


CORRECTED: dict[str, tuple[Loss, Optimizer]] = {
    "c2": (SoftmaxSquaredError(), SGD(0.001)),
    "c3": (SoftmaxCrossEntropy(), SGD(0.001)),
    "c7": (SoftmaxCrossEntropy(), SGD(0.5)),
    "c10": (SoftmaxCrossEntropy(), SGD(0.1, weight_decay=0.0005, momentum=0.9)),
    # xpnet's mean is over images and outputs, the derivation's over images: 10 times the rate.
    "d": (BinaryCrossEntropy(), SGD(0.3, weight_decay=0.00005, momentum=0.9)),
}


@pytest.mark.parametrize("key", CORRECTED)
def test_20_corrected_steps_are_those_of_xpnet(notebook: ModuleType, key: str) -> None:
    """Weights and biases within 1e-12, relative to the largest of each array."""
    v, (loss, optimizer), iterations = notebook.VARIANTS[key], CORRECTED[key], 20
    hidden = ReLU() if v.relu else Sigmoid()
    network = Network(784, (Dense(784, 128, v.biases), hidden, Dense(128, 10, v.biases)))
    x, labels = batch()
    *_, w = notebook.train(v, x, labels, 3, iterations, HOST)
    rng = np.random.default_rng(3)  # draws the weights, then all batches, as the script does
    start = notebook.initial(v, rng, (784, 128, 10))
    names = {"l1": (0, "W"), "l2": (2, "W"), "b1": (0, "b"), "b2": (2, "b")}
    arrays: list[dict[str, np.ndarray]] = [{}, {}, {}]
    for name, a in start.items():
        arrays[names[name][0]][names[name][1]] = a
    theta, buffers = network.pack(arrays), np.zeros(0)
    state = optimizer.init(theta)
    for i, rows in enumerate(rng.integers(0, len(x), (iterations, 128))):
        scalars = np.asarray(optimizer.scalars(1 - i / iterations if v.falling else 1.0, i + 1))
        theta, state, _, _ = train_step(
            network, loss, optimizer, theta, state, buffers, (x[rows], labels[rows], None), scalars
        )
    ours = network.unpack(theta, buffers)
    assert {*w} == {*start}
    for name, a in w.items():
        layer, array = names[name]
        assert difference(a, ours[layer][array]) < 1e-12
        assert np.max(np.abs(a - start[name])) > 0


def test_the_picture_has_the_trace_as_far_as_the_curves(
    notebook: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = needed("matplotlib.figure").Figure
    drawn = []
    monkeypatch.setattr(figure, "savefig", lambda self, path: drawn.append(self))
    notebook.draw({"b": np.full((2, 10), 60.0)}, [500, 1000], "curves.png")
    (axes,) = drawn[0].axes
    curve, trace = axes.lines
    assert curve.get_xdata().tolist() == list(range(100, 1001, 100))
    assert [*trace.get_xdata()] == [500, 1000]
    assert [*trace.get_ydata()] == [0.6257, 0.7058]
    assert (axes.get_yscale(), axes.get_ylabel()) == ("logit", "validation accuracy (logit scale)")


@pytest.mark.cuda
@pytest.mark.parametrize("key", ["a", "b", "c1", "c3", "c7", "c10", "d"])
def test_300_iterations_on_cupy_are_those_on_numpy(notebook: ModuleType, key: str) -> None:
    """In float64 to 1e-8: 300 steps carry rounding of 1e-16 on, in a softmax over exponents."""
    v, weights = notebook.VARIANTS[key], {}
    for device in (HOST, select_device("cuda", strict=True)):
        (x, labels), *_ = notebook.images(v, device, "float64")
        for w in notebook.train(v, x, labels, 0, 300, device):
            weights[str(device)] = w
    host, there = weights.values()
    for name in host:
        assert type(there[name]).__module__.startswith("cupy")
        assert difference(to_numpy(there[name]), host[name]) < 1e-8


@pytest.mark.slow
def test_the_finished_notebook_follows_the_authors_trace(notebook: ModuleType) -> None:
    """The mean of five seeds lies within 3 points of it, at each iteration that was printed."""
    v = notebook.VARIANTS["b"]
    fitted, held, _ = notebook.images(v, HOST)
    found: dict[int, list[float]] = {i: [] for i in notebook.TRACE}
    for seed in range(5):
        for i, w in enumerate(notebook.train(v, *fitted, seed, 12500, HOST), start=1):
            if i in found:
                found[i].append(notebook.accuracy(v, w, *held))
    for i, expected in notebook.TRACE.items():
        assert abs(np.mean(found[i]) - expected) < 3, i


@pytest.mark.slow
@pytest.mark.parametrize("key", ["c10", "d"])
def test_the_last_rows_are_above_98(notebook: ModuleType, key: str) -> None:
    v = notebook.VARIANTS[key]
    fitted, held, test = notebook.images(v, HOST)
    found = []
    for seed in range(3):
        *_, w = notebook.train(v, *fitted, seed, 13000, HOST)
        found.append([notebook.accuracy(v, w, *part) for part in (held, test)])
    validation, tested = np.mean(found, axis=0)
    assert min(validation, tested) > 98.0
