"""One training step in numbers: each array, each derivative, the chain from the loss to a weight.

    print(explain(model, x, y).text())

The step is one of plain gradient descent, by the map of training: with dropout, noise and the
statistics of the batch (`explain_step`).
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from xpnet.arrays import HostArray, on_device_of, to_numpy
from xpnet.bounds import Positive, Seed
from xpnet.checks import checked, instance
from xpnet.errors import UsageError
from xpnet.fitting.scaling import prepare
from xpnet.layers import Dense, Layer, Rescale
from xpnet.losses import VALUES, Loss, loss_for
from xpnet.model import Model
from xpnet.network import Network
from xpnet.normalization import BatchNorm
from xpnet.optimizers import SGD
from xpnet.registry import ACTIVATIONS, LOSSES
from xpnet.tools import explain_text
from xpnet.tools.explain_step import Link, Quantity, take_step

RATE = 0.5  # of the step, in standard units


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
        From the loss to that weight of the first dense layer which has the largest derivative;
        without a dense layer, of the first array that is trained.
    differences : float
        The same derivative by `derivatives.central_differences`.
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
        images = [] if self.images is None else [*explain_text.drawing(self.images), ""]
        found, before, after = map(explain_text.number, (self.differences, self.before, self.after))
        lines = [
            *images,
            *explain_text.LEGEND,
            *explain_text.arrays(self.quantities, self.network.layers),
            "",
            *explain_text.chain(self.chain, self.loss),
            f"  and by central differences of L it is {found}",
            "",
            f"L was {before} before the step, and is {after} after it.",
        ]
        return "\n".join(lines)


@checked
def explain(
    model: Model,
    x: Any,
    y: Any,
    loss: str | Loss | None = None,
    learning_rate: Positive | None = None,
    seed: Seed = 0,
) -> Explanation:
    """One step of gradient descent, in numbers.

    Parameters
    ----------
    model : Model
        Of any layers; at least one of them is trained.
    x : array or list (n, ...)
        Samples, a few.
    y : array or list
        Labels or targets (`data.targets.encode_targets`).
    loss : str or Loss, optional
        By default the one that fits the model's output.
    learning_rate : float, optional
        By default 0.5.  Where the network ends with `Rescale`, 0.5 / max(scale)²: L and its
        derivatives are in the unit of the targets there, and for the squared error of one output
        this is exactly the step of rate 0.5 in standard units.
    seed : int, default 0
        Of dropout and noise; `fit` with this seed draws the same in its first step.

    Raises
    ------
    UsageError, DataError
        An argument isn't what it should be, or the step is too large.
    """
    network, loss = model.network, loss_for(model.output, loss)
    if not network.size:
        raise UsageError("no layer of the model is trained; explain takes one with weights")
    rate = _default_rate(model) if learning_rate is None else learning_rate
    optimizer = SGD(rate)
    data, model = prepare(model, x, y, loss)
    if data.x.shape[0] == 1 and any(isinstance(layer, BatchNorm) for layer in network.layers):
        raise UsageError("batch normalization needs 2 samples at least, got 1 (--samples)")
    with on_device_of(data.x), np.errstate(over="ignore", invalid="ignore"):
        step = take_step(model, loss, optimizer, data.x, data.t, seed)
        if not np.isfinite(step.after):
            raise UsageError(f"after the step L is {step.after}; choose a smaller learning rate")
        quantities = step.quantities()
        if not all(np.all(np.isfinite(q.value)) for q in quantities):
            raise UsageError(
                "a number of the step is infinite or NaN; choose smaller samples or noise"
            )
        x = step.layers[0].x
        return Explanation(
            network, loss, rate,
            x.reshape(-1, *model.input_shape) if len(model.input_shape) == 2 else None,
            quantities, step.chain(), step.differences(), step.before, step.after,
        )  # fmt: skip


def _default_rate(model: Model) -> float:
    """0.5 in standard units: a unit of the targets squared is a unit of L."""
    if not isinstance(model.network.layers[-1], Rescale):
        return RATE
    scale = float(np.max(to_numpy(model.params[-1]["scale"])))
    return RATE / scale / scale


def tiny(
    activation: str | Layer = "sigmoid", loss: str | Loss = "softmax-cross-entropy"
) -> tuple[Model, Any, Any]:
    """A network 3-2-2, one sample and its target, for pencil and paper.

    Raises
    ------
    UsageError
        There is no such activation or loss.
    """
    hidden: Layer = instance("activation", activation, ACTIVATIONS, Layer)
    output = instance("loss", loss, LOSSES, Loss).output
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
