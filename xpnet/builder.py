"""`mlp`: a multilayer perceptron from the widths of its layers."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from xpnet.bounds import DropRate, NotNegative, Seed
from xpnet.checks import at_least, checked, instance
from xpnet.data.labels import Label
from xpnet.errors import UsageError
from xpnet.initializers import Initializer
from xpnet.layers import Dense, Dropout, Layer, Noise, Rescale, Standardize
from xpnet.model import Model
from xpnet.normalization import BatchNorm
from xpnet.registry import ACTIVATIONS, NORMALIZATIONS


@checked
def mlp(
    *widths: int,
    activation: str | Layer | Sequence[str | Layer] = "relu",
    normalization: str | Layer | Sequence[str | Layer] | None = None,
    dropout: DropRate = 0.0,
    noise: NotNegative = 0.0,
    max_norm: NotNegative = 0.0,
    bias: bool = True,
    initializer: str | Initializer | Sequence[str | Initializer] | None = None,
    output: str | None = None,
    multilabel: bool = False,
    labels: Sequence[Label] | None = None,
    input_shape: Sequence[int] | None = None,
    seed: Seed = 0,
    dtype: str = "float32",
) -> Model:
    """A multilayer perceptron with initial weights, on the host.

    Its layers are scaling of the input and noise; dense, normalization, activation and dropout
    for each hidden layer; dense; and for regression scaling of the output.

    Parameters
    ----------
    *widths : int
        Columns of the input, of each hidden layer, and of the output, as in `mlp(784, 128, 10)`.
    activation : str or Layer, or a sequence of them, default "relu"
        Of every hidden layer, or of each: one of `xpnet.registry.ACTIVATIONS`, some of which
        take a parameter, as in "leaky-relu:0.2"; or a layer, as in `LeakyReLU(0.2)`.
    normalization : str or Layer, or a sequence of them, optional
        Of every hidden layer, or of each, before its activation: one of
        `xpnet.registry.NORMALIZATIONS`, or a layer of that width.  In front of "batch" there is no
        bias, which it would subtract again.
    dropout : float, default 0.0
        Part of each hidden layer's units that is dropped in a training step.
    noise : float, default 0.0
        Deviation of the noise that is added to the scaled input in a training step.
    max_norm : float, default 0.0
        The greatest length of the weights into a hidden unit; 0 for no bound.
    bias : bool, default True
    initializer : str or function, or a sequence of them, optional
        Of every dense layer, or of each, the last included: one of
        `xpnet.registry.INITIALIZERS`, or a function of key, fan_in and fan_out like those in
        `xpnet.initializers`; by default the one that suits the activation, and "mean-field" for
        the last layer of a regression, whose outputs begin near the mean of the targets.
    output : {"softmax", "sigmoid", "identity", "exp"}, optional
        What the logits stand for (see `Model`); "softmax" by default, "sigmoid" with `multilabel`.
        A single output needs it said: "sigmoid" for two classes, "identity" for regression, "exp"
        for counts.
    multilabel : bool, default False
        Whether a sample may have any number of the labels; else it has one.
    labels : sequence of int or str, optional
        The label of each class, as in `np.unique(y)`; 0, 1, 2, ... by default.  Whole floats become
        integers, False and True 0 and 1.  Integers have at most 64 bits.
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
    widths = tuple(at_least("layer width", width, 1) for width in widths)
    if len(widths) < 2:
        raise UsageError(
            f"mlp needs the widths of the input and the output, as in mlp(784, 128, 10), got "
            f"{widths}"
        )
    layers = _layers(widths, activation, normalization, dropout, noise, max_norm, bias)
    scaling = (Rescale(widths[-1]),) if output == "identity" else ()
    return Model.from_layers(
        widths[0], (*layers, *scaling), output=output, multilabel=multilabel, labels=labels,
        input_shape=input_shape, initializer=initializer, seed=seed, dtype=dtype,
    )  # fmt: skip


def _layers(
    widths: tuple[int, ...],
    activation: str | Layer | Sequence[str | Layer],
    normalization: str | Layer | Sequence[str | Layer] | None,
    dropout: float,
    noise: float,
    max_norm: float,
    bias: bool,
) -> tuple[Layer, ...]:
    """Scaling and noise; dense, normalization, activation and dropout, repeated; dense."""
    hidden = widths[1:-1]
    activations = _each("activation", activation, hidden, lambda width: ACTIVATIONS)
    normalizations: list[Layer | None] = [None] * len(hidden)
    if normalization is not None:
        normalizations = [*_each("normalization", normalization, hidden, _normalizations)]
    layers: list[Layer] = [Standardize(widths[0])]
    if noise:
        layers.append(Noise(noise))
    each = zip(widths, hidden, normalizations, activations, strict=False)
    for fan_in, fan_out, normalize, activate in each:
        biased = bias and not isinstance(normalize, BatchNorm)
        layers.append(Dense(fan_in, fan_out, biased, max_norm))
        if normalize:
            layers.append(normalize)
        layers.append(activate)
        if dropout:
            layers.append(Dropout(dropout))
    return *layers, Dense(widths[-2], widths[-1], bias)


def _normalizations(width: int) -> Mapping[str, Callable[..., Layer]]:
    return {name: partial(NORMALIZATIONS[name], width) for name in NORMALIZATIONS}


def _each(
    kind: str,
    given: str | Layer | Sequence[str | Layer],
    hidden: Sequence[int],
    table_for: Callable[[int], Mapping[str, Callable[..., Layer]]],
) -> list[Layer]:
    """Return a layer for each hidden layer: of one name or instance for all, or of one each.

    `table_for` returns the classes by name for a hidden layer of some width.
    """
    if isinstance(given, list | tuple):
        several: list[Any] = [*given]
    else:
        instance(kind, given, table_for(1), Layer)  # a wrong name, even without hidden layers
        several = [given] * len(hidden)
    if len(several) != len(hidden):
        raise UsageError(f"{kind}: got {len(several)} for {len(hidden)} hidden layers", kind)
    pairs = zip(several, hidden, strict=True)
    return [instance(kind, one, table_for(width), Layer) for one, width in pairs]
