"""What a training step costs, beside other libraries.

    python scripts/benchmarks/bench_peers.py [--threads 1,2] [--batch-sizes 32,128] [--rounds 20]

The network is 784-128-10 in float32 on MNIST, on the CPU; softmax with cross-entropy; ReLU and
Adam, or sigmoid and plain gradient descent.  Every side is a process of its own, with so many
threads and pinned to as many cores, and all are asked in turn, in random order, for a block of
steps (30 ms).  A step draws the next batch of a random order, takes the images from memory, scales
them, and updates the weights.  Learning rates are small and constant, so that no number gets so
small that a processor is slow with it.  Times are per step, in microseconds; "cores at work" is the
time of the processor by that of the clock.

Each side as its own best script would be:

xpnet fit          `xpnet.fit` on bytes; what it does once an epoch falls into one block of several
xpnet train_step   `xpnet.train_step` on gathered bytes, and the loss added up
NumPy by hand      `CarefulStep` in by_hand.py, on bytes
products alone     the five matrix products that no step can do without, on arrays made beforehand
PyTorch            a module, on floats scaled beforehand and taken by `index_select`; its Adam
PyTorch fused      the same with `fused=True`
PyTorch compile    that, with the module and its loss through `torch.compile`
JAX jit            one jitted function for all of a step; floats scaled beforehand and taken within;
                   optax; weights and state donated
JAX scan           the same in a `lax.scan` over 16 steps
Keras ...          `fit` by that backend on floats scaled beforehand, 16 steps at a time but for
                   torch, which refuses; a block is at least an epoch of 30,720 images, and what
                   `fit` does once for each call is part of it
thinc              `chain` and `Model.begin_update`, on floats, with NumPy's products (not blis)
scikit-learn fit   `MLPClassifier.fit`, going on, for an epoch of 30,720 images on floats
scikit-learn partial_fit   a call for each batch

Those that are not installed, or fail, are left out and named.
"""

import argparse
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from typing import Any

import numpy as np
from benchmark import (
    Steps,
    add_blocks,
    at_once,
    compare,
    limit_keras,
    machine,
    names,
    numbers,
    parser_of,
    products,
    refuse_unknown,
    repeat,
    serve,
    step_by_step,
)
from by_hand import DEVIATION, MEAN, CarefulStep

Case = Mapping[str, Any]  # batch_size, activation, optimizer, threads, epoch
RATES = {"adam": 1e-4, "sgd": 1e-2}
NETWORKS = {"relu-adam": ("relu", "adam"), "sigmoid-sgd": ("sigmoid", "sgd")}
EPOCH = 30_720  # where a library knows nothing shorter; a multiple of all batch sizes
LIBRARIES = (
    "torch", "jax", "optax", "keras", "tensorflow-cpu", "tensorflow", "thinc", "scikit-learn"
)  # fmt: skip
SLOW_TO_START = ("PyTorch compile",)
RUNNING = ExitStack()  # what a case has started and the next one ends


@cache
def images() -> tuple[Any, Any]:
    """The training images as bytes, and their labels."""
    from xpnet.data.sources import load

    samples = load("mnist")
    return samples.x_train, samples.y_train


@cache
def scaled() -> tuple[Any, Any]:
    """The training images (n, 784) as floats of mean 0 and deviation 1, and their labels."""
    x, y = images()
    return (x.reshape(-1, 784).astype(np.float32) - MEAN) / DEVIATION, y.astype(np.int64)


def batches(case: Case, steps: int = 1) -> Callable[[], Any]:
    """A function that gives the rows of the next batch; or of the next batches, one below another.

    They are whole numbers of 64 bits, a view of a random order of all samples.
    """
    rng, n = np.random.default_rng(0), case["batch_size"] * steps
    order, start = rng.permutation(60_000), 0

    def rows() -> Any:
        nonlocal start
        if start + n > len(order):
            rng.shuffle(order)
            start = 0
        start += n
        batch = order[start - n : start]
        return batch if steps == 1 else batch.reshape(steps, -1)

    return rows


def xpnet_model(case: Case) -> tuple[Any, Any]:
    import xpnet

    model = xpnet.mlp(784, 128, 10, activation=case["activation"], input_shape=(28, 28))
    make = {"adam": xpnet.Adam, "sgd": xpnet.SGD}[case["optimizer"]]
    return model, make(learning_rate=RATES[case["optimizer"]])


def xpnet_fit(case: Case) -> Steps:
    import xpnet

    x, y = images()
    model, optimizer = xpnet_model(case)

    def train(on_step: Callable[..., None]) -> None:
        xpnet.fit(
            model, x, y, epochs=10**9, batch_size=case["batch_size"], optimizer=optimizer,
            schedule="constant", validation=0, on_step=on_step,
        )  # fmt: skip

    return RUNNING.enter_context(step_by_step(train))


def xpnet_train_step(case: Case) -> Steps:
    import xpnet
    from xpnet.fitting.scaling import standardize

    x, y = images()
    model, optimizer = xpnet_model(case)
    x, t = x.reshape(-1, 784), y.astype(np.int32)
    model, loss = standardize(model, x, np.arange(len(x))), xpnet.SoftmaxCrossEntropy()
    scalars = np.asarray(optimizer.scalars(1.0, 1000), dtype=np.float32)
    theta, state, total = model.theta, optimizer.init(model.theta), 0.0
    rows = batches(case)

    def step() -> None:
        nonlocal theta, state, total
        taken = rows()
        batch = np.take(x, taken, axis=0), np.take(t, taken), None
        theta, state, _, value = xpnet.train_step(
            model.network, loss, optimizer, theta, state, model.buffers, batch, scalars
        )
        total = total + value

    return repeat(step)


def by_hand(case: Case) -> Steps:
    x, y = images()
    step = CarefulStep(
        x.reshape(-1, 784), y, (128,), case["batch_size"], case["optimizer"],
        RATES[case["optimizer"]], activation=case["activation"],
    )  # fmt: skip
    return repeat(step)


def products_alone(case: Case) -> Steps:
    return repeat(products(784, 128, 10, batch_size=case["batch_size"]))


def pytorch(case: Case, fused: bool | None = None, compiled: bool = False) -> Steps:
    import torch
    from torch import nn

    torch.set_num_threads(case["threads"])
    x, y = map(torch.from_numpy, scaled())
    hidden = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}[case["activation"]]()
    model = nn.Sequential(nn.Linear(784, 128), hidden, nn.Linear(128, 10))
    make = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[case["optimizer"]]
    optimizer = make(model.parameters(), lr=RATES[case["optimizer"]], fused=fused)
    rows, total = batches(case), torch.zeros(())

    def loss_of(inputs: Any, labels: Any) -> Any:
        return nn.functional.cross_entropy(model(inputs), labels)

    if compiled:
        torch._dynamo.reset()
        loss_of = torch.compile(loss_of, dynamic=False)

    def step() -> None:
        nonlocal total
        taken = torch.from_numpy(rows())
        loss = loss_of(x.index_select(0, taken), y.index_select(0, taken))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        total += loss.detach()

    return repeat(step)


def jax_jit(case: Case, scan: int = 1) -> Steps:
    import jax
    import optax

    numpy = jax.numpy
    x, y = (jax.device_put(a) for a in scaled())
    make = {"adam": optax.adam, "sgd": optax.sgd}[case["optimizer"]]
    optimizer = make(RATES[case["optimizer"]])
    activation = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid}[case["activation"]]
    rng = np.random.default_rng(0)
    shapes = {"W1": (784, 128), "b1": (128,), "W2": (128, 10), "b2": (10,)}
    params = {k: numpy.asarray(rng.normal(size=s) * 0.05, "float32") for k, s in shapes.items()}

    def loss_of(p: Any, inputs: Any, labels: Any) -> Any:
        h = activation(inputs @ p["W1"] + p["b1"])
        z = h @ p["W2"] + p["b2"]
        return optax.softmax_cross_entropy_with_integer_labels(z, labels).mean()

    def one(carry: Any, taken: Any, x: Any, y: Any) -> Any:
        p, state, total = carry
        loss, g = jax.value_and_grad(loss_of)(p, x[taken], y[taken])
        updates, state = optimizer.update(g, state, p)
        return optax.apply_updates(p, updates), state, total + loss

    def several(carry: Any, taken: Any, x: Any, y: Any) -> Any:
        return jax.lax.scan(lambda c, rows: (one(c, rows, x, y), None), carry, taken)[0]

    step = jax.jit(one if scan == 1 else several, donate_argnums=0)
    carry, rows = (params, optimizer.init(params), numpy.float32(0)), batches(case, scan)

    def steps(calls: int) -> int:
        nonlocal carry
        times = -(-calls // scan)
        for _ in range(times):
            carry = step(carry, rows().astype(np.int32), x, y)
        jax.block_until_ready(carry)
        return times * scan

    return steps


def keras_fit(case: Case) -> Steps:
    import keras

    limit_keras(case["threads"])
    n = case["epoch"]
    x, y = (a[:n] for a in scaled())
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((784,)), layers.Dense(128, case["activation"]), layers.Dense(10)]
    )
    make = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}[case["optimizer"]]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(make(RATES[case["optimizer"]]), loss, **at_once())
    batch_size = case["batch_size"]

    def steps(calls: int) -> int:
        epochs = -(-calls * batch_size // n)
        model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0)
        return epochs * n // batch_size

    return steps


def thinc(case: Case) -> Steps:
    from thinc import api

    api.set_current_ops(api.NumpyOps(use_blis=False))
    x, y = scaled()
    targets = np.eye(10, dtype=np.float32)[y]
    hidden = {"relu": api.Relu, "sigmoid": api.Sigmoid}[case["activation"]](128)
    model = api.chain(hidden, api.Softmax(10))
    model.initialize(x[:2], targets[:2])
    plain = {"L2": 0.0, "grad_clip": 0.0, "use_averages": False}
    make = {"adam": api.Adam, "sgd": api.SGD}[case["optimizer"]]
    optimizer = make(RATES[case["optimizer"]], **plain)
    rows = batches(case)

    def step() -> None:
        taken = rows()
        p, backward = model.begin_update(np.take(x, taken, axis=0, mode="clip"))
        p -= targets[taken]
        p /= len(taken)
        backward(p)
        model.finish_update(optimizer)

    return repeat(step)


def scikit_learn(case: Case, whole: bool) -> Steps:
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")  # it has not converged
    n, (x, y) = case["epoch"], scaled()
    adam = case["optimizer"] == "adam"
    plain = {} if adam else {"momentum": 0.0, "nesterovs_momentum": False}
    classifier = MLPClassifier(
        (128,), activation="relu" if case["activation"] == "relu" else "logistic",
        solver=case["optimizer"], learning_rate_init=RATES[case["optimizer"]], alpha=0.0,
        batch_size=case["batch_size"], max_iter=1, warm_start=whole, random_state=0, **plain,
    )  # fmt: skip
    if whole:

        def steps(calls: int) -> int:
            epochs = -(-calls * case["batch_size"] // n)
            for _ in range(epochs):
                classifier.fit(x[:n], y[:n])
            return epochs * n // case["batch_size"]

        return steps
    rows, classes = batches(case), np.arange(10)

    def step() -> None:
        taken = rows()
        classifier.partial_fit(np.take(x, taken, axis=0, mode="clip"), y[taken], classes=classes)

    return repeat(step)


SIDES: dict[str, Callable[[Case], Steps]] = {
    "products": products_alone,
    "xpnet": xpnet_fit,
    "xpnet train_step": xpnet_train_step,
    "NumPy by hand": by_hand,
    "PyTorch": pytorch,
    "PyTorch fused": lambda case: pytorch(case, fused=True),
    "PyTorch compile": lambda case: pytorch(case, fused=True, compiled=True),
    "JAX jit": jax_jit,
    "JAX scan": lambda case: jax_jit(case, scan=16),
    "Keras jax": keras_fit,
    "Keras torch": keras_fit,
    "Keras tensorflow": keras_fit,
    "thinc": thinc,
    "scikit-learn fit": lambda case: scikit_learn(case, whole=True),
    "scikit-learn partial_fit": lambda case: scikit_learn(case, whole=False),
}


def make(name: str, case: Case) -> Steps:
    """The steps of a side, in its own process; those of the case before end."""
    RUNNING.close()
    return SIDES[name](case)


def cases(arguments: argparse.Namespace) -> Iterator[tuple[str, int, Case]]:
    """For each table its title, the samples of a step, and what is measured."""
    for network in arguments.networks:
        activation, optimizer = NETWORKS[network]
        for batch_size in arguments.batch_sizes:
            title = f"{activation}, {optimizer}, batches of {batch_size}"
            yield title, batch_size, {
                "batch_size": batch_size, "activation": activation, "optimizer": optimizer,
                "epoch": arguments.epoch,
            }  # fmt: skip


def main() -> None:
    parser = parser_of(__doc__, SIDES)
    parser.add_argument("--batch-sizes", type=numbers, default=[32, 128, 512, 1024])
    parser.add_argument("--networks", type=names, default=list(NETWORKS), help=",".join(NETWORKS))
    add_blocks(parser)
    arguments = parser.parse_args()
    if arguments.peer:
        serve(lambda case: make(arguments.peer, case))
        return
    refuse_unknown(parser, arguments.peers, SIDES)
    refuse_unknown(parser, arguments.networks, NETWORKS)
    arguments.epoch = EPOCH
    if arguments.quick:
        arguments.epoch = 1024
        arguments.batch_sizes, arguments.networks = [32], ["relu-adam"]
        arguments.rounds, arguments.seconds = 2, 0.001
        arguments.peers = [name for name in arguments.peers if name not in SLOW_TO_START]
    print(machine(*LIBRARIES))
    for threads in arguments.threads:
        compare(__file__, arguments, threads, cases(arguments), "products", "xpnet")


if __name__ == "__main__":
    main()
