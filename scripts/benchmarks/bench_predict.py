"""What predicting costs, 10,000 images at once or one alone, beside other libraries.

    python scripts/benchmarks/bench_predict.py [--threads 1,2] [--rounds 20]

The network is 784-128-10 with ReLU in float32, trained a little on MNIST, on the CPU; images come
as bytes, or as floats of 0 to 255.  Every side has the same weights, is a process of its own, with
so many threads and pinned to as many cores, and all are asked in turn, in random order.  Each
gives the labels as a NumPy array, and these are compared with xpnet's before anything is measured.
One image alone is another one each time.  Times are per call, in microseconds.

xpnet subtracts the mean of the pixels and divides by their deviation, as its first layer.  All
others have this in their first weights and biases, W' = W / s and b' = b - (m / s) Σ W, where it
costs nothing: the best that can be done.  Bytes are converted to floats by each side, in its own
best way, and that counts.

xpnet predict      `model.predict(x)`
xpnet model(x)     `model(x)`: logits, no labels
NumPy by hand      x W1, + b1, max, W2, + b2, argmax, in place, on 1,000 images at a time; one image
                   alone as a vector
products alone     the two matrix products on arrays made beforehand
onnxruntime        a graph of Cast, Gemm, Relu, Gemm, ArgMax
PyTorch            a module in `inference_mode`
JAX                one jitted function, bytes converted by NumPy: XLA took twice as long for them
Keras ...          `predict_on_batch`, and argmax
thinc              `Model.predict`, and argmax, with NumPy's products (not blis)
scikit-learn       `MLPClassifier.predict`

Those that are not installed, or fail, are left out and named.
"""

import argparse
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
from benchmark import (
    Steps,
    add_blocks,
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
)

Case = Mapping[str, Any]  # images, dtype, threads
Predict = Callable[[Any], Any]  # images (n, 784) to labels
LIBRARIES = (
    "onnxruntime", "torch", "jax", "keras", "tensorflow-cpu", "tensorflow", "thinc", "scikit-learn"
)  # fmt: skip
CHUNK = 1000


@cache
def trained() -> tuple[Any, Any]:
    """A model of xpnet, and the test images (10,000, 784)."""
    import xpnet
    from xpnet.data.sources import load

    samples = load("mnist")
    start = xpnet.mlp(784, 128, 10, input_shape=(28, 28))
    x, y = samples.x_train[:12_800], samples.y_train[:12_800]
    model = xpnet.fit(start, x, y, epochs=1, validation=0).model
    return model, samples.x_test.reshape(-1, 784)


def folded() -> tuple[Any, Any, Any, Any]:
    """W1, b1, W2, b2 for pixels of 0 to 255."""
    arrays = trained()[0].params
    scaling, dense = arrays[0], [p for p in arrays if "W" in p]
    W1 = dense[0]["W"] / scaling["scale"][:, None]
    b1 = dense[0]["b"] - scaling["mean"] @ W1
    return tuple(np.ascontiguousarray(a, np.float32) for a in (W1, b1, *dense[1].values()))


def xpnet_predict(case: Case) -> Predict:
    return trained()[0].predict


def by_hand(case: Case) -> Predict:
    W1, b1, W2, b2 = folded()
    f, add, dot, matmul, maximum = np.float32, np.add, np.dot, np.matmul, np.maximum
    if case["images"] == 1:
        v, h, z = np.empty(784, f), np.empty(128, f), np.empty(10, f)

        def one(x: Any) -> Any:
            v[...] = x[0]
            dot(v, W1, out=h)
            add(h, b1, out=h)
            maximum(h, 0, out=h)
            dot(h, W2, out=z)
            add(z, b2, out=z)
            return z.argmax(keepdims=True)

        return one
    X, H, Z = (np.empty((CHUNK, width), f) for width in (784, 128, 10))

    def many(x: Any) -> Any:
        labels = np.empty(len(x), np.intp)
        for start in range(0, len(x), CHUNK):
            part = x[start : start + CHUNK]
            n = len(part)
            if part.dtype != f:
                X[:n] = part
                part = X[:n]
            h, z = H[:n], Z[:n]
            matmul(part, W1, out=h)
            add(h, b1, out=h)
            maximum(h, 0, out=h)
            matmul(h, W2, out=z)
            add(z, b2, out=z)
            z.argmax(axis=1, out=labels[start : start + n])
        return labels

    return many


def onnxruntime(case: Case) -> Predict:
    import onnxruntime as runtime
    from onnx import TensorProto, helper, numpy_helper

    constants = zip(("W1", "b1", "W2", "b2"), folded(), strict=True)
    cast = helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT)
    bytes_come = case["dtype"] == "uint8"
    nodes = [
        *[cast] * bytes_come,
        helper.make_node("Gemm", ["f" if bytes_come else "x", "W1", "b1"], ["a"]),
        helper.make_node("Relu", ["a"], ["h"]),
        helper.make_node("Gemm", ["h", "W2", "b2"], ["z"]),
        helper.make_node("ArgMax", ["z"], ["label"], axis=1, keepdims=0),
    ]
    kind = TensorProto.UINT8 if bytes_come else TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, "digits",
        [helper.make_tensor_value_info("x", kind, ["n", 784])],
        [helper.make_tensor_value_info("label", TensorProto.INT64, ["n"])],
        [numpy_helper.from_array(array, name) for name, array in constants],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = case["threads"], 1
    session = runtime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})[0]


def pytorch(case: Case) -> Predict:
    import torch

    torch.set_num_threads(case["threads"])
    W1, b1, W2, b2 = map(torch.from_numpy, folded())
    model = torch.nn.Sequential(
        torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10)
    )
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), (W1.T, b1, W2.T, b2), strict=True):
            parameter.copy_(value)

    def predict(x: Any) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(x).float()).argmax(dim=1).numpy()

    return predict


def jax_jit(case: Case) -> Predict:
    import jax

    W1, b1, W2, b2 = map(jax.device_put, folded())

    def labels(x: Any) -> Any:
        h = jax.nn.relu(x @ W1 + b1)
        return (h @ W2 + b2).argmax(axis=1)

    jitted = jax.jit(labels)
    return lambda x: np.asarray(jitted(x.astype(np.float32, copy=False)))


def keras_predict(case: Case) -> Predict:
    import keras

    limit_keras(case["threads"])
    layers = keras.layers
    model = keras.Sequential([layers.Input((784,)), layers.Dense(128, "relu"), layers.Dense(10)])
    model.set_weights(folded())
    return lambda x: model.predict_on_batch(x.astype(np.float32, copy=False)).argmax(axis=1)


def thinc(case: Case) -> Predict:
    from thinc import api

    api.set_current_ops(api.NumpyOps(use_blis=False))
    W1, b1, W2, b2 = folded()
    model = api.chain(api.Relu(128, 784), api.Linear(10, 128))
    model.initialize()
    for layer, W, b in zip(model.layers, (W1, W2), (b1, b2), strict=True):
        layer.set_param("W", np.ascontiguousarray(W.T))
        layer.set_param("b", b)
    return lambda x: model.predict(x.astype(np.float32, copy=False)).argmax(axis=1)


def scikit_learn(case: Case) -> Predict:
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")  # it has not converged
    W1, b1, W2, b2 = folded()
    classifier = MLPClassifier((128,), max_iter=1, batch_size=10)
    classifier.fit(np.zeros((10, 784), np.float32), np.arange(10))
    classifier.coefs_, classifier.intercepts_ = [W1, W2], [b1, b2]
    return lambda x: classifier.predict(x.astype(np.float32, copy=False))


SIDES: dict[str, Callable[[Case], Predict]] = {
    "xpnet": xpnet_predict,
    "xpnet model(x)": lambda case: trained()[0],
    "NumPy by hand": by_hand,
    "onnxruntime": onnxruntime,
    "PyTorch": pytorch,
    "JAX": jax_jit,
    "Keras jax": keras_predict,
    "Keras torch": keras_predict,
    "Keras tensorflow": keras_predict,
    "thinc": thinc,
    "scikit-learn": scikit_learn,
}
NAMES = ("products", *SIDES)


def make(name: str, case: Case) -> Steps:
    """The calls of a side, in its own process, after a look at what it predicts."""
    n = case["images"]
    if name == "products":
        return repeat(products(784, 128, 10, batch_size=n, backward=False))
    model, images = trained()
    x = images.astype(case["dtype"])
    predict = SIDES[name](case)
    for start in range(0, min(20 * n, len(x)), n):
        some = x[start : start + n]
        found, right = np.asarray(predict(some)), model.predict(some)
        found = found.argmax(axis=1) if found.ndim == 2 else found
        if np.mean(found != right) > 1e-3:
            raise ValueError(f"{np.sum(found != right)} of {n} labels differ from xpnet's")
    start = 0

    def step() -> None:
        nonlocal start
        predict(x[start : start + n])
        start = (start + n) % len(x)

    return repeat(step)


def cases(arguments: argparse.Namespace) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """For each table its title, the images of a call, and what is measured."""
    for n in arguments.images:
        for dtype in arguments.types:
            yield f"{n:,} image{'s' if n > 1 else ''}, {dtype}", n, {"images": n, "dtype": dtype}


def main() -> None:
    parser = parser_of(__doc__, NAMES)
    parser.add_argument("--images", type=numbers, default=[10_000, 1])
    parser.add_argument("--types", type=names, default=["uint8", "float32"], help="of the images")
    add_blocks(parser)
    arguments = parser.parse_args()
    if arguments.peer:
        serve(lambda case: make(arguments.peer, case))
        return
    refuse_unknown(parser, arguments.peers, NAMES)
    if arguments.quick:
        arguments.images, arguments.types = [1], ["uint8"]
        arguments.rounds, arguments.seconds = 2, 0.001
    print(machine(*LIBRARIES))
    for threads in arguments.threads:
        compare(__file__, arguments, threads, cases(arguments), "NumPy by hand", "xpnet")


if __name__ == "__main__":
    main()
