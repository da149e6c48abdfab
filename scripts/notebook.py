"""The notebook that xpnet began with, reproduced, and corrected step by step.

784-128-10 on MNIST in plain array code, to be read from top to bottom; --help has the options.  The
original is MNIST_only_numpy.ipynb and, finished, Mnist_nums_numpy_only.ipynb, of
github.com/afaale/ML, after the guide "MNIST handwritten digits classification from scratch using
Python numpy" on towardsdatascience.  What they do is done again here; none of it is copied.

    h = hidden(x l1 + b1)     z = h l2 + b2     y = output(z)     L = loss(y, t)

x (n, 784) are images, t (n, 10) their targets; on a GPU they are CuPy's, and np.exp works there.
"""

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from xpnet.checks import at_least, choose
from xpnet.data.sources import load
from xpnet.device.selection import select_device


# Outputs y (n, 10) of the logits z.
def softmax_over_the_batch(z):
    """The notebook's: each column sums to one, so the images compete for each class."""
    e = np.exp(z - z.max())
    return e / e.sum(axis=0)


def softmax(z):
    """Each row sums to one: the classes compete for each image."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@np.errstate(over="ignore")  # where e^-z is beyond the largest number, σ(z) is 0
def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# Losses, and what is taken for their derivatives dL/dz.
LOSSES = {
    "squared error": lambda y, t: ((y - t) ** 2).sum() / len(y),
    "cross-entropy": lambda y, t: -(t * np.log(y)).sum() / len(y),
    "binary cross-entropy": lambda y, t: -(t * np.log(y) + (1 - t) * np.log(1 - y)).sum() / len(y),
}


def diagonal(y, t):
    """The notebook's: dL/dy times y (1 - y), which is the diagonal of softmax's Jacobian alone."""
    return 2 * (y - t) / len(y) * y * (1 - y)


def full_jacobian(y, t):
    """With e = dL/dy and dy_c/dz_j = y_c (δ_cj - y_j), summed over c: y_j (e_j - Σ_c e_c y_c)."""
    e = 2 * (y - t) / len(y)
    return y * (e - (e * y).sum(axis=1, keepdims=True))


def difference(y, t):
    """Of softmax with cross-entropy; and of sigmoids with binary cross-entropy, as by hand."""
    # dL/dy = (y - t) / (y (1 - y)) / n  and  dy/dz = y (1 - y),  hence  dL/dz = (y - t) / n
    return (y - t) / len(y)


# What is compared: each variant is the one before it with one change; c8, c9, d also its rate.
@dataclass(frozen=True)
class Variant:
    """One way to do it; the defaults are the notebook as it stands."""

    name: str = "the notebook as it stands"
    first_row_only: bool = True  # image 0 gets a 1 at every label of the batch, the others none
    output: Callable = softmax_over_the_batch
    loss: str = "squared error"
    derivative: Callable = diagonal
    standardized: bool = False  # pixels of mean 0 and deviation 1, not 0 to 255
    glorot: bool = False  # weights that keep the size of signals (Glorot & Bengio 2010)
    learning_rate: float = 0.001
    biases: bool = False
    relu: bool = False  # hidden units max(a, 0), not σ(a)
    momentum: float = 0.0
    falling: bool = False  # the learning rate falls to 0
    weight_decay: float = 0.0


VARIANTS = {"a": Variant()}
for key, name, change in [
    ("b", "finished: a target per image", {"first_row_only": False}),
    ("c1", "softmax over the classes", {"output": softmax}),
    ("c2", "its full Jacobian", {"derivative": full_jacobian}),
    ("c3", "cross-entropy: y - t", {"loss": "cross-entropy", "derivative": difference}),
    ("c4", "pixels standardized", {"standardized": True}),
    ("c5", "Glorot's initial weights", {"glorot": True}),
    ("c6", "learning rate 0.5", {"learning_rate": 0.5}),
    ("c7", "biases", {"biases": True}),
    ("c8", "ReLU, rate 0.1", {"relu": True, "learning_rate": 0.1}),
    ("c9", "momentum 0.9, falling rate", {"momentum": 0.9, "falling": True}),
    ("c10", "weight decay 0.0005", {"weight_decay": 0.0005}),
    ("d", "ten sigmoids by hand, rate 0.03",
     {"output": sigmoid, "loss": "binary cross-entropy", "learning_rate": 0.03}),
]:  # fmt: skip
    VARIANTS[key] = replace(list(VARIANTS.values())[-1], name=name, **change)


def initial(v, rng, sizes):
    w = {}
    for name, rows, columns in ("l1", *sizes[:2]), ("l2", *sizes[1:]):
        limit = np.sqrt(6 / (rows + columns)) if v.glorot else 1 / np.sqrt(rows * columns)
        w[name] = rng.uniform(-1, 1, (rows, columns)) * limit
    return {**w, "b1": np.zeros(sizes[1]), "b2": np.zeros(sizes[2])} if v.biases else w


def targets(v, labels, identity):
    t = identity[labels]
    if v.first_row_only:
        t = np.zeros_like(t)
        t[0, labels] = 1
    return t


def forward(v, w, x):
    """h (n, 128) and y (n, 10)."""
    a = x @ w["l1"] + w.get("b1", 0)
    h = np.maximum(a, 0) if v.relu else sigmoid(a)
    return h, v.output(h @ w["l2"] + w.get("b2", 0))


def gradients(v, w, x, t):
    """dL/dw of each array in w: the chain rule, from the end."""
    h, y = forward(v, w, x)
    dz = v.derivative(y, t)
    da = dz @ w["l2"].T * (h > 0 if v.relu else h * (1 - h))
    g = {"l1": x.T @ da, "l2": h.T @ dz, "b1": da.sum(axis=0), "b2": dz.sum(axis=0)}
    return {name: g[name] for name in w}


def train(v, x, labels, seed, iterations, device):
    """The weights after each iteration.  The host draws what is random: the same for any device."""
    rng, dtype = np.random.default_rng(seed), str(x.dtype)
    w = {k: device.put(a.astype(dtype)) for k, a in initial(v, rng, (784, 128, 10)).items()}
    m, identity = dict.fromkeys(w, 0), device.put(np.eye(10, dtype=dtype))
    for i, rows in enumerate(device.put(rng.integers(0, len(x), (iterations, 128)))):
        g = gradients(v, w, x[rows], targets(v, labels[rows], identity))
        rate = v.learning_rate * (1 - i / iterations if v.falling else 1)
        for k in w:
            m[k] = v.momentum * m[k] + g[k] + v.weight_decay * (w[k].ndim > 1) * w[k]  # not of b
            w[k] = w[k] - rate * m[k]
        yield w


def accuracy(v, w, x, labels):
    """In %, of the largest output per image; softmax over the batch is over all of x here."""
    return 100 * float((forward(v, w, x)[1].argmax(axis=1) == labels).mean())


def gradchecks():
    """For `xpnet gradcheck`: a title, L, what is taken for its derivatives, where to try it."""

    def check(title, v):
        rng = np.random.default_rng(0)
        x, z, labels = rng.normal(size=(6, 5)), rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
        w, t, loss = initial(v, rng, (5, 3, 4)), targets(v, labels, np.eye(4)), LOSSES[v.loss]
        yield (f"{title}: dL/dz", lambda p: loss(v.output(p["z"]), t),
               lambda p: {"z": v.derivative(v.output(p["z"]), t)}, {"z": z})  # fmt: skip
        yield (f"{title}: the network", lambda w: loss(forward(v, w, x)[1], t),
               lambda w: gradients(v, w, x, t), w)  # fmt: skip

    for key in ("a", "b", "c1", "c2", "c3", "c8", "d"):
        yield from check(f"({key}) {VARIANTS[key].name}", VARIANTS[key])


# The table and the picture.  What the finished notebook prints: validation and test accuracy, in %.
TRACE = {500: 62.57, 1000: 70.58, 2000: 76.31, 3000: 79.06, 5000: 81.62, 7500: 82.81,
         10000: 83.27, 12500: 83.24}  # fmt: skip
TEST = "82.14; saved weights 83.15"
EVERY = 100  # iterations between two points of a curve; the notebook has 20


def images(v, device, dtype="float32"):
    """50,000 images with labels to train on, 10,000 to validate on, 10,000 to test on."""
    data = load("mnist")
    x = np.concatenate([data.x_train, data.x_test]).reshape(-1, 784).astype(dtype)
    labels = np.concatenate([data.y_train, data.y_test]).astype(np.int64)
    x = (x - x[:50000].mean()) / x[:50000].std() if v.standardized else x
    parts = slice(0, 50000), slice(50000, 60000), slice(60000, 70000)
    return [(device.put(x[part]), device.put(labels[part])) for part in parts]


def draw(curves, shown, path):
    from matplotlib.figure import Figure

    axes = Figure(figsize=(9, 7), layout="constrained").subplots(subplot_kw={"yscale": "logit"})
    axes.set(xlabel="iteration", ylabel="validation accuracy (logit scale)", ylim=(0.05, 0.99))
    axes.set_yticks(ticks := [0.1, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98], [f"{y:.0%}" for y in ticks])
    axes.minorticks_off()
    for number, (key, runs) in enumerate(curves.items()):
        i, style = EVERY * np.arange(1, runs.shape[1] + 1), "-" if number < 10 else "--"
        axes.plot(i, runs.mean(axis=0) / 100, style, label=f"({key}) {VARIANTS[key].name}")
        axes.fill_between(i, runs.min(axis=0) / 100, runs.max(axis=0) / 100, alpha=0.2)
    axes.plot(shown, [TRACE[i] / 100 for i in shown], "k.", label="the notebook's trace")
    axes.figure.legend(loc="outside lower center", ncols=3, fontsize="small")
    axes.figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default=",".join(VARIANTS), help="variants, as in b,c10")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each variant, by default 5")
    parser.add_argument("--iterations", type=int, default=13000, help="of a run, by default 13000; "
        "c9, c10 and d change throughout, as their rate falls to 0 by the last")  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--picture", help="draw the curves into it; pip install '.[plots]' for it")
    given = parser.parse_args()
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    try:
        keys = [choose("variant", key, VARIANTS) for key in given.only.split(",")]
        seeds = range(at_least("--seeds", given.seeds, 1))
        shown = [i for i in TRACE if i <= at_least("--iterations", given.iterations, 1)]
        device, curves = select_device(given.device), {}
        if given.picture:
            draw(curves, shown, given.picture)  # what could fail fails now, not after the training
    except (ImportError, ValueError, OSError) as error:
        no_folder = f"--picture {given.picture}: there is no such folder"
        parser.error(f"{no_folder if isinstance(error, FileNotFoundError) else error}; see --help")
    print("|", "validation accuracy in % after iteration", *shown, "test |", sep=" | ")
    print("|---|---", "--:|" * (len(shown) + 1), sep="|")
    print("|", "the notebook's own trace", *[TRACE[i] for i in shown], f"{TEST} |", sep=" | ")
    for key in keys:
        v, tests = VARIANTS[key], []
        curves[key] = runs = np.zeros((given.seeds, given.iterations // EVERY))
        fitted, held, test = images(v, device)
        for seed in seeds:
            for i, w in enumerate(train(v, *fitted, seed, given.iterations, device), start=1):
                if i % EVERY == 0:
                    runs[seed, i // EVERY - 1] = accuracy(v, w, *held)
            tests.append(accuracy(v, w, *test))
        cells = [*(runs[:, i // EVERY - 1] for i in shown), np.asarray(tests)]
        spread = [f" ± {c.std(ddof=1):.2f}" if given.seeds > 1 else "" for c in cells]
        texts = [f"{c.mean():.2f}{s}" for c, s in zip(cells, spread, strict=True)]
        print(f"| {key}", v.name, *texts, sep=" | ", end=" |\n", flush=True)
        if given.picture:
            draw(curves, shown, given.picture)


if __name__ == "__main__":
    with threadpool_limits(1):  # rounding, and so every digit, does not depend on the cores
        main()
