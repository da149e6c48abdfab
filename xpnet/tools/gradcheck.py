"""Derivatives against differences: is a gradient that was worked out by hand right?

Whatever can be computed can be differentiated by trying: move one number a little, and see how far
the loss moves.  That is too slow to train by, and is all that it takes to check a formula.

    compare(function, gradients, at)    any function of arrays, and any formulas
    check(model, loss)                  a network of xpnet with every array of it
    check_file(path)                    the formulas in a file of Python, such as one's own
"""

import importlib
import runpy
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xpnet.arrays import Array, Arrays, HostArray, on_device_of, put, to_numpy
from xpnet.checks import at_least, choose
from xpnet.device.selection import Device
from xpnet.errors import DataError, UsageError, XpnetError
from xpnet.losses import Loss
from xpnet.model import Model
from xpnet.network import by_layer, named
from xpnet.normalization import BatchNorm, LayerNorm
from xpnet.random import Purpose, step_keys, uniform

Function = Callable[[Arrays], Array]  # L, a number, of arrays by name
Gradients = Callable[[Arrays], Arrays]  # ∂L/∂a of each of them, by the same names

STEP = 1e-4
FLAT = 300 * STEP
MARGIN = 10 * STEP  # two steps of W move a unit by less where x is below 5; it grows with x
SHOWN = 3  # wrong entries of an array that are printed
YIELDED = "a title, a function of arrays by name, its gradients by hand, and arrays"


def central_differences(function: Function, at: Arrays) -> dict[str, HostArray]:
    """∂L/∂a for each element a of each array, by four values of L around it.

    By Taylor's theorem, with h the step:

        L(a + h) - L(a - h)   = 2 h L' + h³ L'''/3 + O(h⁵)
        L(a + 2h) - L(a - 2h) = 4 h L' + 8 h³ L'''/3 + O(h⁵)

    and 8 times the first minus the second leaves neither L nor L''':

        L' = (8 (L(a + h) - L(a - h)) - (L(a + 2h) - L(a - 2h))) / 12h + h⁴ L⁽⁵⁾/30 + O(h⁶)

    Rounding adds about 2^-53 |L| / h, 1e-12 at h = 1e-4, and h⁴ leaves nothing; two values would
    leave 1e-11 at the best of steps.

    Source: Fornberg (1988), *Generation of finite difference formulas on arbitrarily spaced grids*,
    table 1.

    Parameters
    ----------
    function : callable
        Takes the arrays by name; gives L, a number.
    at : mapping of str to floating-point array
        Where; not written to.

    Returns
    -------
    dict of str to float64 array
        Of the shapes of `at`.

    Raises
    ------
    DataError
        L is not finite somewhere there.
    """
    gradients = {}
    for name, array in at.items():
        a = np.array(to_numpy(array), dtype=np.float64, order="C")
        flat, gradient = a.reshape(-1), np.zeros(a.size)
        for i, value in enumerate(flat.tolist()):
            L = {}
            for steps in (-2, -1, 1, 2):
                flat[i] = value + steps * STEP
                L[steps] = float(to_numpy(function({**at, name: a})))
            flat[i] = value
            gradient[i] = (8 * (L[1] - L[-1]) - (L[2] - L[-2])) / (12 * STEP)
        if not np.all(np.isfinite(gradient)):
            raise DataError(f"the loss is not finite close to the values of {name}")
        gradients[name] = gradient.reshape(a.shape)
    return gradients


def jax_gradients(function: Function, at: Arrays) -> dict[str, HostArray]:
    """∂L/∂a of each array by JAX's automatic differentiation, in float64."""
    with _extra("jax"):
        jax = importlib.import_module("jax")
    with jax.enable_x64(True):
        arrays = {name: jax.numpy.asarray(to_numpy(a)) for name, a in at.items()}
        return {name: to_numpy(g) for name, g in jax.grad(function)(arrays).items()}


def torch_gradients(function: Function, at: Arrays) -> dict[str, HostArray]:
    """∂L/∂a of each array by PyTorch's automatic differentiation, in float64."""
    with _extra("torch"):
        torch = importlib.import_module("torch")
    arrays = {name: torch.tensor(to_numpy(a), requires_grad=True) for name, a in at.items()}
    function(arrays).backward()
    return {name: to_numpy(a.grad) for name, a in arrays.items()}


@contextmanager
def _extra(library: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f'{library} is not installed: pip install "xpnet[{library}]" (in a clone: '
            f'".[{library}]")'
        ) from error


REFERENCES: dict[str, tuple[Callable[[Function, Arrays], dict[str, HostArray]], float]] = {
    "differences": (central_differences, 1e-7),
    "jax": (jax_gradients, 1e-10),
    "torch": (torch_gradients, 1e-10),
}
"""What derivatives are compared with, and the relative error that passes."""


@dataclass(frozen=True)
class Comparison:
    """The derivatives of one array: those of a formula, and those that should be.

    Attributes
    ----------
    name : str
    formula, reference : float64 arrays of one shape
    scale : float
        What errors are relative to: max |reference|, or a ten-thousandth of |L| if that is
        more, below which differences are not good to `tolerance`.
    tolerance : float
        The relative error that passes.
    """

    name: str
    formula: HostArray
    reference: HostArray
    scale: float
    tolerance: float

    @property
    def errors(self) -> HostArray:
        """|formula - reference| / scale, element by element."""
        errors: HostArray = np.abs(self.formula - self.reference) / (self.scale or 1.0)
        return errors

    @property
    def error(self) -> float:
        """The largest of `errors`."""
        return float(np.max(self.errors, initial=0.0))

    @property
    def wrong(self) -> list[tuple[int, ...]]:
        """The elements whose error does not pass, NaN and the worst first."""
        errors = self.errors
        places = [tuple(place) for place in np.argwhere(~(errors <= self.tolerance)).tolist()]
        return sorted(places, key=lambda place: errors[place] if errors[place] >= 0 else np.inf)[
            ::-1
        ]

    @property
    def tested(self) -> bool:
        """Whether a derivative is more than 0, by either; where all are 0, any factor passes."""
        largest = np.max(np.abs([self.formula, self.reference]))
        return not largest <= self.tolerance * self.scale  # NaN counts

    @property
    def only_zeros(self) -> bool:
        """Whether the formula is 0 everywhere, and should not be."""
        return bool(self.wrong) and not np.any(self.formula)

    @property
    def worst(self) -> tuple[int, ...]:
        """The element with the largest error."""
        return tuple(int(i) for i in np.unravel_index(np.argmax(self.errors), self.errors.shape))

    @property
    def angle(self) -> float:
        """Between the two directions, in degrees (`angle`)."""
        return angle(self.formula, self.reference)


def angle(a: HostArray, b: HostArray) -> float:
    """The angle between two arrays as vectors, in degrees; NaN if one of them is 0.

    With unit vectors u and v it is 2 atan(|u - v| / |u + v|), exact for small angles too.

    Source: Kahan (2006), *How futile are mindless assessments of roundoff in floating-point
    computation?*, section 12.
    """
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    if not all(lengths):
        return 0.0 if lengths[0] == lengths[1] else float("nan")
    u, v = a / lengths[0], b / lengths[1]
    return float(np.degrees(2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v))))


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
    reference, tolerance = REFERENCES[choose("reference", against, REFERENCES)]
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
        raise UsageError(f"the gradients are {_kinds(given)}; expected a dict of arrays by name")
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


def check(
    model: Model,
    loss: Loss,
    samples: int = 5,
    seed: int = 0,
    against: str = "differences",
    device: Device | None = None,
) -> list[Comparison]:
    """Every derivative of a network and a loss, at random inputs, targets and sample weights.

    Parameters
    ----------
    model : Model
        The network, and weights to start from: all are moved a little, so that no bias is 0.
    loss : Loss
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
    case = _Case(model, loss, at_least("samples", samples, 1), seed)
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


def check_file(path: str) -> Iterator[tuple[str, list[Comparison]]]:
    """The formulas in a file of Python, against differences.  The file is executed.

    Parameters
    ----------
    path : str
        A file with a function `gradchecks()` that gives, one after another, a title and the
        `function`, `gradients` and `at` of `compare` (`scripts/notebook.py` has one).

    Yields
    ------
    (str, list of Comparison)
        The title, and a comparison for each array.

    Raises
    ------
    DataError
        There is no such file or function, it yields something else, or the file's code fails:
        with the line.
    """
    if Path(path).is_dir():
        raise DataError(f"{path} is a folder; expected a Python file with gradchecks()")
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file; expected one of Python, with gradchecks()")
    with _blamed(path):
        sys.path.insert(0, str(Path(path).resolve().parent))  # as `python FILE` has it
        try:
            definitions = runpy.run_path(path, run_name="formulas")
        finally:
            del sys.path[0]
        gradchecks = definitions.get("gradchecks")
        if not callable(gradchecks):
            raise DataError(f"has no function gradchecks(); expected one that yields {YIELDED}")
        found = gradchecks()
        if not isinstance(found, Iterator | list):
            raise DataError(f"gradchecks() returns {_kinds(found)}; expected it to yield {YIELDED}")
        empty = True
        for one in found:
            title, function, gradients, at = _four(one)
            yield title, compare(function, gradients, at)
            empty = False
        if empty:
            raise DataError("gradchecks() yields nothing to check")


def _four(one: Any) -> tuple[str, Function, Gradients, Arrays]:
    """What `gradchecks()` yielded, if it is what `compare` takes; otherwise a DataError."""
    match one:
        case [title, function, gradients, Mapping() as at] if (
            callable(function)
            and callable(gradients)
            and all(hasattr(a, "shape") for a in at.values())
        ):
            return title, function, gradients, at
    raise DataError(f"gradchecks() yields {_kinds(one)}; expected {YIELDED}")


def _kinds(one: Any) -> str:
    """The type of an object, with those of the parts."""
    if isinstance(one, tuple):
        return f"({', '.join(map(_kinds, one))})"
    if isinstance(one, dict):
        return f"dict of {', '.join(map(_kinds, one.values())) or 'nothing'}"
    return type(one).__name__


@contextmanager
def _blamed(path: str) -> Iterator[None]:
    """Whatever is raised inside becomes a DataError that names the file, and the line in it."""
    try:
        yield
    except XpnetError as error:
        raise DataError(f"{path}: {error}") from error
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == path]
        message = str(error)
        if isinstance(error, SyntaxError) and error.filename == path:
            lines, message = [error.lineno], error.msg
        where = f"{path}, line {lines[-1]}" if lines else path
        raise DataError(f"{where}: {type(error).__name__}: {message}") from error


def summary(title: str, comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """What `table` and `verdict` say, for a machine; NaN and infinity as None."""
    arrays = [
        {
            "name": c.name,
            "shape": list(c.formula.shape),
            "tested": c.tested,
            "wrong": len(c.wrong),
            "error": _finite(c.error),
            "at": list(c.worst),
            "formula": _finite(c.formula[c.worst]),
            "true": _finite(c.reference[c.worst]),
            "angle": _finite(c.angle),
        }
        for c in comparisons
    ]
    return {"title": title, "right": not any(c.wrong for c in comparisons), "arrays": arrays}


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def table(comparisons: Sequence[Comparison]) -> str:
    """A line for each array, in at most 80 columns, and below the elements that are wrong."""
    lines = [
        f"{'array':<12} {'shape':>10} {'wrong':>9} {'error':>7} "
        f"{'at':>9} {'formula':>10} {'true':>10} {'angle':>6}"
    ]
    wrong = []
    for c in comparisons:
        shape = " x ".join(map(str, c.formula.shape))
        if not c.tested:
            lines.append(f"{c.name:<12} {shape:>10} not tested: all its derivatives are 0")
            continue
        degrees = f"{c.angle:.1f}°" if np.isfinite(c.angle) else "-"
        lines.append(
            f"{c.name:<12} {shape:>10} {f'{len(c.wrong)}/{c.formula.size}':>9} {c.error:7.0e} "
            f"{_index(c.worst):>9} {c.formula[c.worst]:10.3e} {c.reference[c.worst]:10.3e} "
            f"{degrees:>6}"
        )
        for place in c.wrong[:SHOWN]:
            formula, true = c.formula[place], c.reference[place]
            wrong.append(
                f"  wrong: {c.name}[{_index(place)}] = {formula:.4g}, right: {true:.4g}, "
                f"off by {formula - true:.4g}"
            )
        if len(c.wrong) > SHOWN:
            wrong.append(f"  and {len(c.wrong) - SHOWN} more of {c.name}")
    return "\n".join(lines + wrong)


def verdict(comparisons: Sequence[Comparison]) -> str:
    """Right or wrong, in a line."""
    bad = [c for c in comparisons if c.wrong]
    tested = [c for c in comparisons if c.tested]
    told = []
    if bad:
        names = [c.name + " (the formula gives only zeros)" * c.only_zeros for c in bad]
        told += [f"wrong: {', '.join(names)}", *_all_together(comparisons)]
    elif tested:
        worst = max(tested, key=lambda c: c.error)
        told += [
            f"right: the largest relative error is {worst.error:.1e}, in {worst.name} "
            f"({worst.tolerance:.0e} would pass)"
        ]
    untested = [c.name for c in comparisons if not c.tested]
    if untested:
        told += [
            f"not tested: {', '.join(untested)} (all {'their' if untested[1:] else 'its'} "
            "derivatives are 0 here; try another --seed, or other values)"
        ]
    return "; ".join(told)


def _all_together(comparisons: Sequence[Comparison]) -> list[str]:
    """How far off the direction and the length are; nothing if there is none."""
    formulas, references = (
        np.concat([np.ravel(a) for a in arrays])
        for arrays in zip(*((c.formula, c.reference) for c in comparisons), strict=True)
    )
    degrees = angle(formulas, references)
    if not np.isfinite(degrees):
        return []
    ratio = np.linalg.norm(formulas) / np.linalg.norm(references)
    return [
        f"all together the direction is off by {degrees:.1f}°, "
        f"and its length is {ratio:.3g} of the right one"
    ]


def _index(place: tuple[int, ...]) -> str:
    return ", ".join(map(str, place))


class _Case:
    """A network with a loss, and arrays for both, drawn on the host."""

    def __init__(self, model: Model, loss: Loss, samples: int, seed: int) -> None:
        self.network, self.loss = model.network, loss
        self.seed, self.drawn = seed, 0
        network, n = self.network, samples
        self.buffers = self.draw(1, 2, network.buffer_size)
        self.keys = np.asarray([[seed % 2**31, i, 0] for i in network.drawing], dtype=np.int32)
        self.w = self.draw(0.5, 1.5, n)
        self.t = self.draw(0, 1, n, network.fan_out)
        if loss.output == "softmax":
            self.t /= self.t.sum(axis=1, keepdims=True)
        for shift in np.linspace(0.1, 1, 10).tolist():
            theta = to_numpy(model.theta) + self.draw(-shift, shift, network.size)
            self.at = named(network.slots[::-1], network.unpack(theta, self.buffers))
            self.at["x"] = self.draw(-1, 1, n, network.fan_in)
            for _ in range(100):
                bad = self.near_a_kink()
                if not np.any(bad):
                    return
                self.at["x"][bad] = self.draw(-1, 1, int(bad.sum()), network.fan_in)
        raise UsageError(
            "found no inputs at which every unit is away from the kinks of its activation, where "
            "there is no derivative; try fewer or smaller layers, more samples, or tanh"
        )

    def draw(self, low: float, high: float, *shape: int) -> HostArray:
        """Uniform numbers; other ones with each call."""
        key = step_keys(self.seed, Purpose.CHECK, 0, range(self.drawn, self.drawn + 1))[0]
        self.drawn += 1
        return (low + (high - low) * uniform(key, int(np.prod(shape)))).reshape(shape)

    def params(self, at: Arrays) -> list[dict[str, Array]]:
        x, network = at["x"], self.network
        keys = put(self.keys, x) if network.drawing else None
        theta = put(np.zeros(network.size), x)  # each piece of it is replaced
        params = network.unpack(theta, put(self.buffers, x), keys)
        trained = by_layer(network, at)
        return [{**p, **own} for p, own in zip(params, trained, strict=True)]

    def near_a_kink(self) -> HostArray:
        """Which rows have a unit within reach of a kink, of its activation or of the loss.

        Or are nearly constant where they are normalized: there a small step is a large one.  A unit
        just on a kink stays there, and units that are all the same stay so: all that leads to them
        is dropped, or 0.
        """
        x = self.at["x"]
        near, margin = np.zeros(len(x), dtype=bool), MARGIN
        for layer, p in zip(self.network.layers, self.params(self.at), strict=True):
            for kink in getattr(layer, "kinks", ()):
                distance = np.abs(x - kink)
                near |= np.any((distance > 0) & (distance < margin), axis=1)
            margin = max(margin, MARGIN * float(np.max(np.abs(x))) / 2)
            axis = {BatchNorm: 0, LayerNorm: 1}.get(type(layer))
            if axis is not None and x.shape[axis] > 1:
                deviation = np.std(x, axis=axis)
                flat = (deviation > 0) & (deviation < FLAT)
                near |= flat if axis else np.any(flat)
                margin /= min(1.0, max(float(np.min(deviation)), FLAT))
            x, _ = layer.forward(p, x)
        distances = self.loss.kinks(x, self.t)
        return near if distances is None else near | np.any(np.abs(distances) < margin, axis=1)

    def logits(self, at: Arrays) -> Array:
        return self.network.forward(self.params(at), at["x"])[0]

    def loss_of_network(self, at: Arrays) -> Array:
        return self.loss_of_logits({"logits": self.logits(at)})

    def loss_of_logits(self, at: Arrays) -> Array:
        z = at["logits"]
        return self.loss.forward(z, put(self.t, z), put(self.w, z))[0]

    def loss_gradients(self, at: Arrays) -> Arrays:
        z = at["logits"]
        _, cache = self.loss.forward(z, put(self.t, z), put(self.w, z))
        return {"logits": self.loss.backward(cache)}

    def gradients(self, at: Arrays) -> Arrays:
        params = self.params(at)
        z, caches = self.network.forward(params, at["x"])
        dz = self.loss_gradients({"logits": z})["logits"]
        dx, grads = self.network.backward(params, caches, dz)
        return {**named(self.network.slots, grads), "x": dx}
