"""One training step in numbers: each array, each derivative, the chain from the loss to a weight.

    print(explain(model, x, y).text())

The step is one of plain gradient descent.  It is walked through layer by layer, from the samples
to the loss and back; the new weights are those of `train.train_step`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import floor, log10
from textwrap import wrap
from typing import Any

import numpy as np

from xpnet.activations import ACTIVATIONS
from xpnet.arrays import Array, Arrays, HostArray, namespace, on_device_of, put, to_numpy
from xpnet.checks import construct
from xpnet.errors import UsageError
from xpnet.fitting.scaling import in_standard_units, prepare
from xpnet.layers import Dense
from xpnet.losses import LOSSES, VALUES, Loss, dense_targets, loss_for
from xpnet.model import Model
from xpnet.network import Network
from xpnet.normalization import BatchNorm, LayerNorm
from xpnet.optimizers import SGD
from xpnet.tools.derivatives import central_differences
from xpnet.train import train_step

WIDTH = 80  # of a terminal
MARGIN = 10  # in front of the numbers of an array
ROWS = 7  # of an array that has more, so many are printed
TERMS = 4  # of a sum that has more, so many are printed
SHADES = " .:-=+*#%@"  # from black to white


@dataclass(frozen=True)
class Quantity:
    """One array of the step.

    Attributes
    ----------
    part : {"forward", "loss", "backward", "update"}
    layer : int or None
        The number of its layer, from 0; None for the loss.
    name : str
        As in the docstring of the layer or the loss: x, W, y, p, dz, dW, ...
    formula : str
        What it is computed by; empty for what is given.
    value : float64 array
    at : tuple of int
        The element that the chain goes through.
    """

    part: str
    layer: int | None
    name: str
    formula: str
    value: HostArray
    at: tuple[int, ...]


@dataclass(frozen=True)
class Link:
    """One derivative of the chain, a sum of products.

    Attributes
    ----------
    layer : int or None
        None for the loss.
    name : str
        Of the element, as in dx[0, 2].
    formula : str
    terms : tuple of (float, float)
        The factors of each product; empty for the loss, whose derivative is not taken apart.
    value : float
        Their sum.
    """

    layer: int | None
    name: str
    formula: str
    terms: tuple[tuple[float, float], ...]
    value: float


@dataclass(frozen=True)
class Explanation:
    """One training step.

    Attributes
    ----------
    network : Network
    loss : Loss
    learning_rate : float
    images : array (n, height, width) or None
        The samples, where they are images.
    quantities : tuple of Quantity
        Every array, in the order in which it is computed.
    chain : tuple of Link
        From the loss to that weight of the first dense layer which has the largest derivative.
    differences : float
        The same derivative by `gradcheck.central_differences`.
    before, after : float
        L of these samples, before the step and after it.
    """

    network: Network
    loss: Loss
    learning_rate: float
    images: HostArray | None
    quantities: tuple[Quantity, ...]
    chain: tuple[Link, ...]
    differences: float
    before: float
    after: float

    def json(self) -> dict[str, Any]:
        """All of it, each array in full."""
        return {
            "layers": [repr(layer) for layer in self.network.layers],
            "loss": repr(self.loss),
            "learning_rate": self.learning_rate,
            "quantities": [
                {**asdict(q), "shape": list(q.value.shape), "value": q.value.tolist()}
                for q in self.quantities
            ],
            "chain": [asdict(link) for link in self.chain],
            "differences": self.differences,
            "loss_before": self.before,
            "loss_after": self.after,
        }

    def text(self) -> str:
        """For a terminal of 80 columns; of a large array the part that the chain goes through."""
        lines = [] if self.images is None else [*_drawing(self.images), ""]
        lines += [
            "y of a layer is x of the next, the last y is z; dx of a layer is dy of the one",
            "before; xᵀ is x transposed; ∘ multiplies element by element.  Of a large array",
            "the part around the chain is printed; [180] is row or column 180, from 0.",
        ]
        heading = ""
        for q in self.quantities:
            where = "" if q.layer is None else f"  layer {q.layer}, {self.network.layers[q.layer]}"
            if heading != (heading := f"{q.part.upper()}{where}"):
                lines += ["", heading]
            lines += _block(q)
        lines += ["", f"CHAIN  from the loss to {self.chain[-1].name}, the largest of its layer"]
        for link in self.chain:
            where = f"loss, {self.loss}" if link.layer is None else f"layer {link.layer}"
            lines += _lines(f"  {link.name} = {link.formula}", f"    ({where})")
            number = (
                f"{_sum(link.terms)} = {_number(link.value)}"
                if link.terms
                else f"{_number(link.value)}"
            )
            lines += wrap(number, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 8)
        lines += [f"  and by central differences of L it is {_number(self.differences)}", ""]
        lines += [
            f"L was {_number(self.before)} before the step, and is {_number(self.after)} after it."
        ]
        return "\n".join(lines)


def explain(
    model: Model, x: Any, y: Any, loss: Loss | None = None, learning_rate: float = 0.5
) -> Explanation:
    """One step of gradient descent, in numbers.

    Parameters
    ----------
    model : Model
        With a dense layer; without dropout, noise and normalization.
    x : array or list (n, ...)
        Samples, a few.
    y : array or list
        Labels or targets (`data.targets.encode_targets`).
    loss : Loss, optional
        By default the one that fits the model's output.
    learning_rate : float, default 0.5

    Raises
    ------
    UsageError, DataError
        An argument isn't what it should be, or the step is too large.
    """
    network, loss = model.network, loss_for(model.output, loss)
    normalized = any(isinstance(layer, BatchNorm | LayerNorm) for layer in network.layers)
    if network.drawing or normalized or not any(isinstance(a, Dense) for a in network.layers):
        raise UsageError("explain takes dense layers, one at least, scaling and activations alone")
    data, model = prepare(model, x, y, loss)
    model, data = in_standard_units(model, data)
    network = model.network
    with on_device_of(data.x), np.errstate(over="ignore", invalid="ignore"):
        step = _take(model, loss, SGD(learning_rate), data.x, data.t)
    if not np.isfinite(step.after):
        raise UsageError(f"after the step L is {step.after}; choose a smaller learning rate")
    images = step.xs[0].reshape(-1, *model.input_shape) if len(model.input_shape) == 2 else None
    return Explanation(
        network, loss, learning_rate, images, step.quantities(), step.chain(), step.differences(),
        step.before, step.after,
    )  # fmt: skip


@dataclass(frozen=True)
class _Step:
    """Every array of one step, on the host."""

    network: Network
    loss: Loss
    learning_rate: float
    t: HostArray
    before: float
    after: float
    params: list[dict[str, HostArray]]
    updated: list[dict[str, HostArray]]
    grads: list[dict[str, HostArray]]
    xs: list[HostArray]  # x of each layer, then the logits
    dxs: list[HostArray]  # ∂L/∂x of each layer, then ∂L/∂z
    slopes: list[HostArray]  # ∂y/∂x of each layer that maps element by element

    @cached_property
    def first(self) -> int:
        """The number of the first dense layer."""
        layers = enumerate(self.network.layers)
        return next(i for i, layer in layers if isinstance(layer, Dense))

    @cached_property
    def places(self) -> list[tuple[int, int]]:
        """The element of each of `xs` that the chain goes through: always the largest product."""
        first = self.first
        k, j = _largest(self.grads[first]["W"])
        (sample,) = _largest(self.xs[first][:, k] * self.dxs[first + 1][:, j])
        columns = [k] * (first + 1) + [j]
        for i in range(first + 1, len(self.network.layers)):
            column = columns[-1]
            if isinstance(self.network.layers[i], Dense):
                (column,) = _largest(self.dxs[i + 1][sample] * self.params[i]["W"][column])
            columns.append(column)
        return [(sample, column) for column in columns]

    @property
    def weight(self) -> tuple[int, int]:
        """The place in W that the chain leads to."""
        return self.places[self.first][1], self.places[self.first + 1][1]

    def chain(self) -> tuple[Link, ...]:
        """From the loss backwards, each derivative as a sum of products."""
        layers, first = self.network.layers, self.first
        at = self.places[-1]
        links = [Link(None, f"dz{[*at]}", self.loss.formulas["dz"], (), float(self.dxs[-1][at]))]
        for i in range(len(layers) - 1, first, -1):
            at, dy = self.places[i], self.dxs[i + 1]
            sample, j = at
            if isinstance(layers[i], Dense):
                formula = f"Σ_c dy[{sample}, c] W[{j}, c]"
                terms = _pairs(dy[sample], self.params[i]["W"][j])
            else:
                formula = f"dy{[*at]} · ∂y/∂x"
                terms = _pairs(dy[at], self.slopes[i][at])
            links.append(Link(i, f"dx{[*at]}", formula, terms, float(self.dxs[i][at])))
        k, j = self.weight
        formula = f"Σ_i x[i, {k}] dy[i, {j}]"
        terms = _pairs(self.xs[first][:, k], self.dxs[first + 1][:, j])
        derivative = float(self.grads[first]["W"][k, j])
        return *links, Link(first, f"dW[{k}, {j}]", formula, terms, derivative)

    def differences(self) -> float:
        """The last derivative of the chain by central differences."""
        W = self.params[self.first]["W"]

        def moved(at: Arrays) -> Array:
            params = [{**p} for p in self.params]
            params[self.first]["W"] = W.copy()
            params[self.first]["W"][self.weight] = at["w"]
            return self.loss.forward(self.network.infer(params, self.xs[0]), self.t)[0]

        return float(central_differences(moved, {"w": W[self.weight]})["w"])

    def quantities(self) -> tuple[Quantity, ...]:
        """Every array, in the order in which it is computed."""
        layers, formulas = self.network.layers, self.loss.formulas
        z, dz = self.xs[-1], self.dxs[-1]
        found = [Quantity("forward", 0, "x", "", self.xs[0], self.places[0])]
        for i, layer in enumerate(layers):
            for name, a in self.params[i].items():
                found.append(Quantity("forward", i, name, "", a, self.place(i, a)))
            found.append(
                Quantity("forward", i, "y", layer.formulas["y"], self.xs[i + 1], self.places[i + 1])
            )
        p, at = self.loss.probabilities(z), self.places[-1]
        found += [
            Quantity("loss", None, "t", "", dense_targets(self.t, z), at),
            Quantity("loss", None, "p", formulas["p"], p, at),
            Quantity("loss", None, "L", formulas["L"], np.asarray(self.before), ()),
            Quantity("loss", None, "dz", formulas["dz"], dz, at),
        ]
        for i in range(len(layers) - 1, self.first - 1, -1):
            for name, a in self.grads[i].items():
                formula = layers[i].formulas[f"d{name}"]
                found.append(Quantity("backward", i, f"d{name}", formula, a, self.place(i, a)))
            if i > self.first:
                formula = layers[i].formulas["dx"]
                found.append(Quantity("backward", i, "dx", formula, self.dxs[i], self.places[i]))
        for i, layer in enumerate(layers):
            for name in layer.shapes:
                a, formula = self.updated[i][name], f"{name} - {self.learning_rate:g} d{name}"
                found.append(Quantity("update", i, name, formula, a, self.place(i, a)))
        return tuple(found)

    def place(self, i: int, array: HostArray) -> tuple[int, ...]:
        """The element of an array of layer i that the chain goes through."""
        return (self.places[i][1], self.places[i + 1][1])[-array.ndim :]


def _take(model: Model, loss: Loss, optimizer: SGD, x: Array, t: Array) -> _Step:
    """One step, layer by layer."""
    network, params = model.network, model.params
    xs, caches = [x], []
    for layer, p in zip(network.layers, params, strict=True):
        y, cache = layer.forward(p, xs[-1])
        xs.append(y)
        caches.append(cache)
    before, cache = loss.forward(xs[-1], t)
    dxs, grads, slopes = [loss.backward(cache)], [], []
    for layer, p, cache, y in zip(
        *(a[::-1] for a in (network.layers, params, caches, xs[1:])), strict=True
    ):
        slopes.append(layer.backward(p, cache, namespace(y).ones_like(y))[0])
        dx, grad = layer.backward(p, cache, dxs[-1])
        dxs.append(dx)
        grads.append(grad)
    scalars = put(np.asarray(optimizer.scalars(1.0, 1), dtype=model.dtype), x)
    theta, _, _, _ = train_step(
        network, loss, optimizer, model.theta, (), model.buffers, (x, t, None), scalars
    )
    updated = network.unpack(theta, model.buffers)
    after, _ = loss.forward(network.infer(updated, x), t)
    return _Step(
        network, loss, optimizer.learning_rate, to_numpy(t), float(before), float(after),
        _by_name(params), _by_name(updated), _by_name(grads[::-1]),
        _host(xs), _host(dxs[::-1]), _host(slopes[::-1]),
    )  # fmt: skip


def _host(arrays: Sequence[Array]) -> list[HostArray]:
    return [np.asarray(to_numpy(a), dtype=np.float64) for a in arrays]


def _by_name(arrays: Sequence[Arrays]) -> list[dict[str, HostArray]]:
    return [dict(zip(p, _host([*p.values()]), strict=True)) for p in arrays]


def _largest(a: HostArray) -> tuple[int, ...]:
    """The place of the element of the largest size."""
    return tuple(int(i) for i in np.unravel_index(np.argmax(np.abs(a)), a.shape))


def _pairs(a: HostArray, b: HostArray) -> tuple[tuple[float, float], ...]:
    return tuple(zip(np.ravel(a).tolist(), np.ravel(b).tolist(), strict=True))


def tiny(
    activation: str = "sigmoid", loss: str = "softmax-cross-entropy"
) -> tuple[Model, Any, Any]:
    """A network 3-2-2, one sample and its target, for pencil and paper.

    Raises
    ------
    UsageError
        There is no such activation or loss.
    """
    hidden = construct("activation", activation, ACTIVATIONS)
    output = construct("loss", loss, LOSSES).output
    network = Network(3, (Dense(3, 2), hidden, Dense(2, 2)))
    arrays = [
        {"W": [[0.1, 0.4], [0.5, -0.2], [-0.3, 0.2]], "b": [0.1, -0.1]},
        {},
        {"W": [[0.2, -0.4], [0.5, 0.3]], "b": [0.1, 0.0]},
    ]
    theta = network.pack([{k: np.asarray(a) for k, a in p.items()} for p in arrays])
    labels = () if output in VALUES else (0, 1)
    model = Model(network, theta, np.zeros(0), labels, (3,), output)
    return model, np.asarray([[1.0, 0.5, 2.0]]), np.asarray([[0.0, 1.0]])


def _drawing(images: HostArray) -> list[str]:
    """As many images as fit beside one another, in characters; one is as high as two rows."""
    height, width = images.shape[1:]
    fit = images[: max(WIDTH // (width + 2), 1), : height - height % 2, : WIDTH - 2]
    gray = (fit[:, ::2] + fit[:, 1::2]) / max(2 * float(np.max(images)), 1.0)
    marks = np.asarray(list(SHADES))[(gray.clip(0, 1) * (len(SHADES) - 1)).astype(int)]
    return [
        "  ".join("".join(image[row]) for image in marks).rstrip() for row in range(height // 2)
    ]


def _number(value: float) -> str:
    """Six digits; 0 without a sign."""
    return f"{value + 0.0:.6g}"


def _sum(terms: Sequence[tuple[float, float]]) -> str:
    """a · b + c · d, of many terms the largest ones."""
    shown = (
        terms if len(terms) <= TERMS else sorted(terms, key=lambda ab: -abs(ab[0] * ab[1]))[:TERMS]
    )
    more = f" + {len(terms) - TERMS} smaller" if len(terms) > TERMS else ""
    return " + ".join(f"{a + 0.0:.4g} · {b + 0.0:.4g}" for a, b in shown) + more


def _lines(start: str, end: str) -> list[str]:
    """One line, or two if it is too long."""
    return [start + end] if len(start + end) <= WIDTH else [start, f"     {end}"]


def _block(q: Quantity) -> list[str]:
    """A heading with name, shape and formula, and the numbers around the chain below it."""
    shape = " x ".join(map(str, q.value.shape))
    formula = f" {'←' if q.part == 'update' else '='} {q.formula}" if q.formula else ""
    if not shape:
        return [f"  {q.name}{formula} = {_number(float(q.value))}"]
    a = np.atleast_2d(q.value)
    row, column = (0, *q.at)[-2:]
    exponent = _exponent(a)
    a = a / 10.0**exponent
    decimals, width = _format(a)
    fits = (WIDTH - MARGIN) // width
    if fits < a.shape[1]:
        width = max(width, len(f"[{a.shape[1]}]") + 1)
        fits = (WIDTH - MARGIN) // width
    rows, columns = _window(len(a), ROWS, row), _window(a.shape[1], fits, column)
    axes = (len(rows), len(a), "rows"), (len(columns), a.shape[1], "columns")
    cut = ", ".join(f"{some} of {every} {axis}" for some, every, axis in axes if some < every)
    part = f" ({cut})" if cut else ""
    unit = f"    in units of 1e{exponent}" if exponent else ""
    lines = _lines(f"  {q.name} ({shape}){part}", f"{formula}{unit}")
    if len(columns) < a.shape[1]:
        lines.append(" " * MARGIN + "".join(f"{f'[{c}]':>{width}}" for c in columns))
    for r in rows:
        label = f"[{r}]" if len(rows) < len(a) else ""
        lines.append(
            f"{label:>{MARGIN}}" + "".join(f"{a[r, c]:{width}.{decimals}f}" for c in columns)
        )
    return lines


def _exponent(a: HostArray) -> int:
    """0, or a multiple of 3 that brings the largest number between 1 and 1000."""
    largest = float(np.max(np.abs(a)))
    if largest == 0 or 0.01 <= largest < 10000:
        return 0
    return 3 * floor(log10(largest) / 3)


def _format(a: HostArray) -> tuple[int, int]:
    """Decimals and width of each number: as many decimals as fit, 4 at most, 3 at least."""
    width = WIDTH
    for decimals in (0,) if np.all(a == np.round(a)) else (4, 3):
        width = 1 + max(len(f"{v:.{decimals}f}") for v in (float(np.min(a)), float(np.max(a))))
        if width * a.shape[1] <= WIDTH - MARGIN:
            break
    return decimals, width


def _window(length: int, most: int, place: int) -> range:
    """At most `most` of the numbers from 0 to `length` - 1, with `place` in the middle."""
    start = min(max(place - most // 2, 0), max(length - most, 0))
    return range(start, min(start + most, length))
