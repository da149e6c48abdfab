"""Derivatives against differences: is a gradient that was worked out by hand right?

Whatever can be computed can be differentiated by trying: move one number a little, and see how far
the loss moves.  That is too slow to train by, and is all that it takes to check a formula.

    compare(function, gradients, at)    any function of arrays, and any formulas
    check(model, loss)                  a network of xpnet with every array of it
    check_file(path)                    the formulas in a file of Python (`formula_file`)
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from xpnet.arrays import Arrays, on_device_of, to_numpy
from xpnet.bounds import Few, Seed
from xpnet.checks import checked, choose
from xpnet.device.selection import Device
from xpnet.errors import DataError, UsageError
from xpnet.losses import Loss, loss_for
from xpnet.model import Model
from xpnet.registry import REFERENCES
from xpnet.tools.comparison import Comparison
from xpnet.tools.derivatives import Function, central_differences
from xpnet.tools.random_case import Case

BY_DIFFERENCES, AUTOMATIC = 1e-7, 1e-10  # the relative error that passes
Gradients = Callable[[Arrays], Arrays]  # ∂L/∂a of each array, by the same names


def compare(
    function: Function, gradients: Gradients, at: Arrays, against: str = "differences"
) -> list[Comparison]:
    """Each array's derivatives by a formula, beside those that they should be.

    Parameters
    ----------
    function : callable
        Takes arrays by name; gives L, a number.
    gradients : callable
        Takes the same; gives the formula's ∂L/∂a for each array a, by the same names.
    at : mapping of str to float64 array
        Where.
    against : {"differences", "jax", "torch"}, default "differences"
        For the last two, `function` has to take their arrays.

    Raises
    ------
    UsageError
        The library is not installed, L is no number, an array is empty, or `gradients` gives other
        names or shapes.
    DataError
        L is not finite.
    """
    reference = REFERENCES[choose("reference", against, REFERENCES)]
    tolerance = BY_DIFFERENCES if reference is central_differences else AUTOMATIC
    value = to_numpy(function(at))
    if value.shape or value.dtype == object:
        raise UsageError(
            f"the loss has shape {value.shape} and type {value.dtype}; expected one number"
        )
    L = float(value)
    if not np.isfinite(L):
        raise DataError(f"the loss is {L}; expected a finite number to differentiate")
    given = gradients(at)
    if not isinstance(given, Mapping):
        raise UsageError(f"the gradients are {kinds(given)}; expected a dict of arrays by name")
    found = {name: np.asarray(to_numpy(g), dtype=np.float64) for name, g in given.items()}
    shapes = {name: tuple(a.shape) for name, a in at.items()}
    if not shapes:
        raise UsageError("no array is given; expected one at least, by name")
    if {name: g.shape for name, g in found.items()} != shapes:
        theirs = {name: g.shape for name, g in found.items()}
        raise UsageError(f"the formulas give arrays {theirs}; expected one for each of {shapes}")
    for name, shape in shapes.items():
        if 0 in shape:
            raise UsageError(f"{name} has no elements; expected one at least")
    expected = reference(function, at)
    return [
        Comparison(
            name, found[name], expected[name],
            max(float(np.max(np.abs(expected[name]), initial=0.0)), 1e-4 * abs(L)), tolerance,
        )
        for name in at
    ]  # fmt: skip


def kinds(one: Any) -> str:
    """The type of an object, with those of the parts."""
    if isinstance(one, tuple):
        return f"({', '.join(map(kinds, one))})"
    if isinstance(one, dict):
        return f"dict of {', '.join(map(kinds, one.values())) or 'nothing'}"
    return type(one).__name__


@checked
def check(
    model: Model,
    loss: str | Loss,
    samples: Few = 5,
    seed: Seed = 0,
    against: str = "differences",
    device: Device | None = None,
) -> list[Comparison]:
    """Every derivative of a network and a loss, at random inputs, targets and sample weights.

    Parameters
    ----------
    model : Model
        The network, and weights to start from: all are moved a little, so that no bias is 0.
    loss : str or Loss
        By name (`registry.LOSSES`) or an instance.
    samples : int, default 5
    seed : int, default 0
    against : {"differences", "jax", "torch"}, default "differences"
    device : Device, optional
        Where the formulas are computed, in float64; the CPU by default, as the reference always is.

    Returns
    -------
    list of Comparison
        From the loss backwards: logits, the arrays of each layer, x.

    Raises
    ------
    UsageError
        An argument is not of that form, or no inputs are found where all derivatives exist.
    """
    case = Case(model, loss_for(model.output, loss), samples, seed)
    device = device or Device("cpu")

    def there(gradients: Gradients) -> Gradients:
        def on_the_device(at: Arrays) -> Arrays:
            moved = {name: device.put(a) for name, a in at.items()}
            with on_device_of(next(iter(moved.values()))):
                return gradients(moved)

        return on_the_device

    z = {"logits": case.logits(case.at)}
    return [
        *compare(case.loss_of_logits, there(case.loss_gradients), z, against),
        *compare(case.loss_of_network, there(case.gradients), case.at, against),
    ]
