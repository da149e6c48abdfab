"""`mlp`: a multilayer perceptron, and its arrays before training."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from xpnet.activations import Activation
from xpnet.arrays import (
    Array,
)
from xpnet.checks import at_least, check_seed, choose, construct
from xpnet.data.targets import Label, check_labels, number_of_classes
from xpnet.errors import UsageError
from xpnet.layers import Dense, Dropout, Layer, Noise, Rescale, Standardize
from xpnet.losses import OUTPUTS
from xpnet.model import Model, pack_on_host
from xpnet.network import Network
from xpnet.normalization import BatchNorm
from xpnet.random import Purpose, step_keys
from xpnet.registry import ACTIVATIONS, INITIALIZERS, NORMALIZATIONS

MOST_PARAMETERS = 2**40


def mlp(
    *widths: int,
    activation: str | Sequence[str] = "relu",
    normalization: str | None = None,
    dropout: float = 0.0,
    noise: float = 0.0,
    max_norm: float = 0.0,
    bias: bool = True,
    initializer: str | Sequence[str] | None = None,
    output: str | None = None,
    multilabel: bool = False,
    labels: Sequence[Label] | None = None,
    input_shape: Sequence[int] | None = None,
    seed: int = 0,
    dtype: str = "float32",
) -> Model:
    """A multilayer perceptron with initial weights, on the host.

    Its layers are scaling of the input and noise; dense, normalization, activation and dropout
    for each hidden layer; dense; and for regression scaling of the output.

    Parameters
    ----------
    *widths : int
        Columns of the input, of each hidden layer, and of the output, as in `mlp(784, 128, 10)`.
    activation : str or sequence of str, default "relu"
        Of every hidden layer, or of each: one of `xpnet.registry.ACTIVATIONS`, some of which
        take a parameter, as in "leaky-relu:0.2".
    normalization : str, optional
        Of every hidden layer, before its activation: one of `xpnet.registry.NORMALIZATIONS`.  In
        front of "batch" there is no bias, which it would subtract again.
    dropout : float, default 0.0
        Part of each hidden layer's units that is dropped in a training step.
    noise : float, default 0.0
        Deviation of the noise that is added to the scaled input in a training step.
    max_norm : float, default 0.0
        The greatest length of the weights into a hidden unit; 0 for no bound.
    bias : bool, default True
    initializer : str or sequence of str, optional
        Of every dense layer, or of each, the last included: one of
        `xpnet.registry.INITIALIZERS`; by default the one that suits the activation.
    output : {"softmax", "sigmoid", "identity", "exp"}, optional
        What the logits stand for (see `Model`); "softmax" by default, "sigmoid" with `multilabel`.
        A single output needs it said: "sigmoid" for two classes, "identity" for regression, "exp"
        for counts.
    multilabel : bool, default False
        Whether a sample may have any number of the labels; else it has one.
    labels : sequence of int or str, optional
        The label of each class; 0, 1, 2, ... by default.
    input_shape : sequence of int, optional
        The shape of one sample, if it isn't flat, as in (28, 28).
    seed : int, default 0
        Of the initial weights.
    dtype : {"float32", "float64"}, default "float32"

    Raises
    ------
    UsageError
        An argument is not of that form.
    """
    if len(widths) < 2:
        raise UsageError(f"mlp{widths}: expected the widths of input and output at least")
    for width in widths:
        at_least("layer width", width, 1)
    if multilabel and output not in (None, "sigmoid"):
        raise UsageError(f'multilabel goes with output="sigmoid", not with {output!r}')
    if output is None and widths[-1] == 1 and not multilabel:
        raise UsageError(
            'a single output needs output="sigmoid" (two classes) or output="identity" (regression)'
        )
    output = choose("output", output or ("sigmoid" if multilabel else "softmax"), OUTPUTS)
    choose("dtype", dtype, ("float32", "float64"))
    layers = _layers(widths, activation, normalization, dropout, noise, max_norm, bias)
    scaling = (Rescale(widths[-1]),) if output == "identity" else ()
    network = Network(widths[0], (*layers, *scaling))
    classes = number_of_classes(output, widths[-1], multilabel)
    names = tuple(range(classes)) if labels is None else tuple(_plain(label) for label in labels)
    check_labels(names, output, widths[-1], multilabel)
    shape = (widths[0],) if input_shape is None else tuple(input_shape)
    if prod(shape) != widths[0]:
        raise UsageError(f"input_shape {shape} has {prod(shape)} elements; expected {widths[0]}")
    if network.size > MOST_PARAMETERS:
        raise UsageError(f"mlp{widths} has {network.size:,} parameters: too many for any memory")
    theta, buffers = pack_on_host(network, _initial_arrays(network, initializer, seed), dtype)
    return Model(network, theta, buffers, names, shape, output, multilabel)


def _layers(
    widths: tuple[int, ...],
    activation: str | Sequence[str],
    normalization: str | None,
    dropout: float,
    noise: float,
    max_norm: float,
    bias: bool,
) -> tuple[Layer, ...]:
    """Scaling and noise; dense, normalization, activation and dropout, repeated; dense."""
    hidden = len(widths) - 2
    names = [activation] if isinstance(activation, str) else activation
    activations = [construct("activation", name, ACTIVATIONS) for name in names]
    if isinstance(activation, str):
        activations *= hidden
    if len(activations) != hidden:
        raise UsageError(f"{len(activations)} activations for {hidden} hidden layers")
    normalize = None
    if normalization is not None:
        normalize = NORMALIZATIONS[choose("normalization", normalization, NORMALIZATIONS)]
    dropped, noisy, bounded = Dropout(dropout), Noise(noise), Dense(1, 1, max_norm=max_norm)
    layers: list[Layer] = [Standardize(widths[0])]
    if noise:
        layers.append(noisy)
    for fan_in, fan_out, layer in zip(widths, widths[1:-1], activations, strict=False):
        biased = bias and normalize is not BatchNorm
        layers.append(replace(bounded, fan_in=fan_in, fan_out=fan_out, bias=biased))
        if normalize:
            layers.append(normalize(fan_out))
        layers.append(layer)
        if dropout:
            layers.append(dropped)
    return *layers, Dense(widths[-2], widths[-1], bias)


def _initial_arrays(
    network: Network, initializer: str | Sequence[str] | None, seed: int
) -> list[dict[str, Array]]:
    """Each layer's arrays before training: drawn weights; the others are 0, or 1."""
    check_seed(seed)
    dense = [i for i, layer in enumerate(network.layers) if isinstance(layer, Dense)]
    if initializer is None:
        names = [_suited(network.layers[i + 1 :]) for i in dense]
    else:
        names = [initializer] * len(dense) if isinstance(initializer, str) else [*initializer]
    if len(names) != len(dense):
        raise UsageError(f"{len(names)} initializers for {len(dense)} dense layers")
    chosen = [INITIALIZERS[choose("initializer", name, INITIALIZERS)] for name in names]
    arrays: list[dict[str, Array]] = []
    for i, layer in enumerate(network.layers):
        p: dict[str, Array] = {}
        for name, shape in (*layer.shapes.items(), *layer.buffers.items()):
            p[name] = np.full(shape, layer.initial.get(name, 0.0))
        if isinstance(layer, Dense):
            key = step_keys(seed, Purpose.WEIGHTS, i, range(1))[0]
            p["W"] = chosen[dense.index(i)](key, layer.fan_in, layer.fan_out)
        arrays.append(p)
    return arrays


def _suited(behind: Sequence[Layer]) -> str:
    """The initializer that suits the activation behind a dense layer, before the next one."""
    for layer in behind:
        if isinstance(layer, Dense):
            break
        if isinstance(layer, Activation):
            return layer.initializer
    return Activation.initializer


def _plain(label: Any) -> Label:
    """A label as Python's int or str, as a file holds it."""
    if isinstance(label, str):
        return str(label)
    if isinstance(label, int | np.integer) and not isinstance(label, bool):
        return int(label)
    raise UsageError(f"label {label!r}: expected a whole number or a name")
