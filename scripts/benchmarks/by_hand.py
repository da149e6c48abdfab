"""The yardstick of the benchmarks; no script of its own.

A training step as fast as plain NumPy could be made by hand.  NumPy alone is imported.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

MEAN, DEVIATION = 33.318421, 78.567490  # of all pixels of MNIST's training images
MU, BETA1, BETA2 = 0.9, 0.9, 0.999


class CarefulStep:
    """A training step of a multilayer perceptron, in NumPy, as fast as it could be made by hand.

    All trainable numbers are in one vector, weights first, and so is their gradient, into which the
    products write.  Every array is made beforehand and every call writes into one (`out=`).  Bytes
    are gathered by `np.take(mode="clip")`, which needs no buffer, then converted, scaled and
    shifted: faster, here, than to gather four times as many bytes that were scaled beforehand.
    Logits lie transposed, a row per class, so that maximum and sum over the classes are sums of
    long rows.  Labels are whole numbers: the gradient of the logits is softmax less 1 at one place.
    Sums over the batch are products with ones.  A part of the loss that is not asked for is not
    computed.

    What is left is bound by memory, so the optimizers take as few passes over the vector as there
    are (each 6 to 10 µs for 101,770 numbers).  Any factor of the gradient costs nothing: the
    gradient of the logits is divided by a number anyway.  Let g be the gradient times the learning
    rate η, then plain descent is one pass, θ ← θ - g; L2 decay λ one more over the weights, before,
    θ ← (1 - η λ) θ.  Nesterov's P = η μ M is four passes, where η stays as it is (else P is
    multiplied first); with decay six, where P takes up what the others do to θ:

        P ← μ (P + g)        θ ← θ - g - P
        P ← P + θ        θ ← (1 - η λ) θ - g        P ← μ (P - θ)        θ ← θ - P

    Adam's moments are kept scaled (see `xpnet.optimizers.Adam`), and g is the gradient times
    c = β2^(-t/2), so that c² V needs no decay: nine passes and not ten.  Every thousand steps it
    starts again at c = 1.

        M ← β1 β2^(-1/2) M + g        V ← V + g²        θ ← θ - a M / (√V + c e)

    ReLU is a product with its mask, which the way back needs too: `np.maximum` is slower.

    Tried, and slower or no faster: parts of the vector one after another that fit a cache,
    `np.where`, the sign in the place of a mask, a bias as one more column, other layouts.

    Parameters
    ----------
    x : uint8 array (n, width)
    y : integer array (n,)
    hidden : sequence of int
    batch_size : int
    optimizer : {"sgd", "nesterov", "adam"}
    learning_rate : float
    weight_decay : float
        L2, on the weights alone.
    activation : {"relu", "sigmoid"}
    loss : bool
        Whether to add up the loss, in `total`.
    seed : int
        Of the initial weights (He; Glorot for the sigmoid) and the order of the samples.
    mean, deviation : float
        Of the pixels.
    classes : int
    smoothing : float
        Of the labels, in the gradient; the loss that is added up has none.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        hidden: Sequence[int] = (128,),
        batch_size: int = 128,
        optimizer: str = "nesterov",
        learning_rate: float = 0.1,
        weight_decay: float = 0.0,
        activation: str = "relu",
        loss: bool = True,
        seed: int = 0,
        mean: float = MEAN,
        deviation: float = DEVIATION,
        classes: int = 10,
        smoothing: float = 0.0,
    ) -> None:
        f = np.float32
        self.x, self.y, self.batch_size, self.loss = x, np.asarray(y, np.intp), batch_size, loss
        self.rng = np.random.default_rng(seed)
        self.order, self.start = self.rng.permutation(len(x)), 0
        self.widths = (x.shape[1], *hidden, classes)
        self.learning_rate, self.relu, self.steps = learning_rate, activation == "relu", 0
        self.total = 0.0
        shapes = list(zip(self.widths, self.widths[1:], strict=False))
        self.weights = sum(rows * columns for rows, columns in shapes)
        size = self.weights + sum(self.widths[1:])
        self.theta, self.g = np.zeros(size, f), np.zeros(size, f)
        self.scratch, self.M, self.V = (np.zeros(size, f) for _ in range(3))
        self.Ws, self.bs = self.views(self.theta)
        self.dWs, self.dbs = self.views(self.g)
        for W in self.Ws:
            spread = 2 / W.shape[0] if self.relu else 2 / sum(W.shape)
            W[...] = self.rng.standard_normal(W.shape, dtype=f) * f(spread**0.5)
        self.scale, self.shift = f(1 / deviation), f(-mean / deviation)
        self.decay, self.optimizer, self.smoothing = weight_decay, optimizer, smoothing
        self.update = {"sgd": self.descend, "nesterov": self.nesterov, "adam": self.adam}[optimizer]
        self.before, self.grown = learning_rate, 1.0
        self.sizes: dict[int, tuple[Any, ...]] = {}

    def views(self, vector: Any) -> tuple[list[Any], list[Any]]:
        """The matrices and the biases in a vector."""
        matrices, biases, start = [], [], 0
        for rows, columns in zip(self.widths, self.widths[1:], strict=False):
            matrices.append(vector[start : start + rows * columns].reshape(rows, columns))
            start += rows * columns
        for width in self.widths[1:]:
            biases.append(vector[start : start + width])
            start += width
        return matrices, biases

    def arrays(self, n: int) -> tuple[Any, ...]:
        """What a batch of n needs, made once for each n."""
        if n not in self.sizes:
            f, classes = np.float32, self.widths[-1]
            hidden = [np.empty((n, width), f) for width in self.widths[1:-1]]
            self.sizes[n] = (
                np.empty((n, self.widths[0]), np.uint8), np.empty((n, self.widths[0]), f),
                hidden, [np.empty_like(h) for h in hidden],
                [np.empty(h.shape, bool if self.relu else f) for h in hidden],
                np.empty((classes, n), f), np.empty(n, f), np.empty(n, f),
                np.ones(n, f), np.arange(n), np.empty(n, np.intp), self.y * n,
            )  # fmt: skip
        return self.sizes[n]

    def next_rows(self) -> Any:
        """The next batch of a random order; a new order once too few are left."""
        if self.start + self.batch_size > len(self.order):
            self.rng.shuffle(self.order)
            self.start = 0
        self.start += self.batch_size
        return self.order[self.start - self.batch_size : self.start]

    def __call__(self, rows: Any = None) -> None:
        """One step, on these rows or the next ones."""
        rows = self.next_rows() if rows is None else rows
        n = len(rows)
        raw, x, hs, dhs, masks, z, top, part, ones, columns, place, y = self.arrays(n)
        dot, multiply, add, relu = np.dot, np.multiply, np.add, self.relu
        Ws, bs, dWs, dbs = self.Ws, self.bs, self.dWs, self.dbs
        np.take(self.x, rows, axis=0, out=raw, mode="clip")
        x[...] = raw
        multiply(x, self.scale, out=x)
        add(x, self.shift, out=x)
        h = x
        for W, b, out, mask in zip(Ws, bs, hs, masks, strict=False):
            dot(h, W, out=out)
            add(out, b, out=out)
            if relu:
                np.greater(out, 0, out=mask)
                multiply(out, mask, out=out)
            else:
                np.negative(out, out=out)
                np.exp(out, out=out)
                add(out, 1, out=out)
                np.reciprocal(out, out=out)
            h = out
        dot(Ws[-1].T, h.T, out=z)
        add(z, bs[-1][:, None], out=z)
        # Softmax, cross-entropy, and its gradient, in place.
        np.take(y, rows, out=place, mode="clip")
        add(place, columns, out=place)
        flat = z.reshape(-1)
        np.maximum.reduce(z, axis=0, out=top)
        np.subtract(z, top, out=z)
        if self.loss:
            np.take(flat, place, out=part, mode="clip")
        np.exp(z, out=z)
        np.add.reduce(z, axis=0, out=top)
        if self.loss:
            self.total -= float(part.sum())
            np.log(top, out=part)
            self.total += float(part.sum())
        factor = self.factor() / n
        multiply(top, 1 / factor, out=top)
        np.divide(z, top, out=z)
        if self.smoothing:
            np.subtract(z, np.float32(factor * self.smoothing / len(z)), out=z)
        flat[place] -= np.float32(factor * (1 - self.smoothing))
        dot(z, ones, out=dbs[-1])
        dot(h.T, z.T, out=dWs[-1])
        dz, W = z.T, Ws[-1]
        for i in reversed(range(len(hs))):
            h, dh, mask = hs[i], dhs[i], masks[i]
            dot(dz, W.T, out=dh)
            if not relu:
                np.subtract(1, h, out=mask)
                multiply(mask, h, out=mask)
            multiply(dh, mask, out=dh)
            dot(ones, dh, out=dbs[i])
            dot((hs[i - 1] if i else x).T, dh, out=dWs[i])
            dz, W = dh, Ws[i]
        self.update()

    def factor(self) -> float:
        """What the gradient is multiplied by."""
        self.steps += 1
        if self.optimizer != "adam":
            return self.learning_rate
        if self.steps % 1000 == 0:
            np.multiply(self.M, np.float32(1 / self.grown), out=self.M)
            np.multiply(self.V, np.float32(1 / self.grown**2), out=self.V)
            self.grown = 1.0
        self.grown *= BETA2**-0.5
        return self.grown

    def descend(self) -> None:
        """θ ← (1 - η λ) θ - g."""
        theta, weights = self.theta, self.weights
        if self.decay:
            kept = np.float32(1 - self.learning_rate * self.decay)
            np.multiply(theta[:weights], kept, out=theta[:weights])
        np.subtract(theta, self.g, out=theta)

    def nesterov(self) -> None:
        """Nesterov's θ after the step."""
        theta, P = self.theta, self.M
        if self.learning_rate != self.before:
            np.multiply(P, np.float32(self.learning_rate / self.before), out=P)
            self.before = self.learning_rate
        np.add(P, theta if self.decay else self.g, out=P)
        self.descend()
        if self.decay:
            np.subtract(P, theta, out=P)
        np.multiply(P, np.float32(MU), out=P)
        np.subtract(theta, P, out=theta)

    def adam(self) -> None:
        """Adam's θ after the step."""
        theta, g, M, V, scratch = self.theta, self.g, self.M, self.V, self.scratch
        s = ((1 - BETA2) / (1 - BETA2**self.steps)) ** 0.5
        a = self.learning_rate * (1 - BETA1) / ((1 - BETA1**self.steps) * s)
        if self.decay:
            n = self.weights
            np.multiply(theta[:n], np.float32(self.decay * self.grown), out=scratch[:n])
            np.add(g[:n], scratch[:n], out=g[:n])
        np.multiply(M, np.float32(BETA1 * BETA2**-0.5), out=M)
        np.add(M, g, out=M)
        np.multiply(g, g, out=g)
        np.add(V, g, out=V)
        np.sqrt(V, out=scratch)
        np.add(scratch, np.float32(1e-8 * self.grown / s), out=scratch)
        np.divide(M, scratch, out=scratch)
        np.multiply(scratch, np.float32(a), out=scratch)
        np.subtract(theta, scratch, out=theta)

    def predict(self, x: Any, chunk: int = 1000) -> Any:
        """The class of each image (n, width), a chunk at a time."""
        found = []
        for start in range(0, len(x), chunk):
            h = x[start : start + chunk].astype(np.float32)
            h *= self.scale
            h += self.shift
            for i, (W, b) in enumerate(zip(self.Ws, self.bs, strict=True)):
                h = h @ W
                h += b
                if i < len(self.Ws) - 1:
                    h = np.maximum(h, 0, out=h) if self.relu else 1 / (1 + np.exp(-h))
            found.append(h.argmax(axis=1))
        return np.concatenate(found)
