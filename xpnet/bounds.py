"""Bounds of parameters: the values that each type of parameter accepts.

Bounds are part of a parameter's type, as in `momentum: Fraction = 0.0`.  They are checked when a
part is made (`checks.Settings`) and when a function with such parameters is called
(`checks.checked`); so are parameters that are True or False, or an instance of a class of xpnet.
"""

import sys
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from dataclasses import fields
from functools import cache
from inspect import Parameter, Signature, signature
from pathlib import Path
from reprlib import repr as shortened
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from xpnet.errors import UsageError

HELD: dict[type, tuple[float, float, str]] = {
    float: (1.1754944e-38, 3.4028234e38, "float32 holds (1.2e-38 to 3.4e38)"),
    int: (1, 2**64 - 1, "64 bits hold (below 1.8e19)"),
}
"""The size of the numbers other than 0 that arrays and counters hold: least, greatest, in words."""


class Interval:
    """The numbers that a parameter accepts, as in `Interval("[0, 1)")`.

    A number other than 0 must also be one of `HELD`.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.low, self.high = (float(end) for end in text[1:-1].split(","))

    def __repr__(self) -> str:
        return self.text

    def __contains__(self, value: float) -> bool:
        above = self.low < value if self.text[0] == "(" else self.low <= value
        below = value < self.high if self.text[-1] == ")" else value <= self.high
        return above and below

    def check(self, name: str, value: Any, kind: type = float) -> Any:
        """Return `value` as a number of Python, of this kind.

        Parameters
        ----------
        name : str
            Of the parameter.
        value : int or float, of Python or NumPy, or an array of no dimension
        kind : {float, int}, default float
            An int must be given as one.

        Raises
        ------
        UsageError
            It is no such number, or outside of the interval.
        """
        number = plain(value)
        wanted = (int,) if kind is int else (int, float)
        accepted = f"a {'whole ' if kind is int else ''}number in {self}"
        if not isinstance(number, wanted) or isinstance(number, bool):
            raise refusal(name, accepted, value)
        if number not in self:
            raise UsageError(f"{name} must be {accepted}, got {shown(number)}", name)
        smallest, largest, those = HELD[kind]
        if number and not smallest <= abs(number) <= largest:
            raise UsageError(f"{name} must be {accepted} that {those}, got {shown(number)}", name)
        return kind(number)


class Truth:
    """True or False, of Python or NumPy."""

    def check(self, name: str, value: Any, kind: type = bool) -> Any:
        """Return `value` as Python's; a UsageError if it is neither."""
        found = plain(value)
        if not isinstance(found, bool):
            raise refusal(name, "True or False", value)
        return found


class Instance:
    """An instance of a class of xpnet; an error says where there is one, as in `example`."""

    def __init__(self, example: str = "") -> None:
        self.example = example

    def check(self, name: str, value: Any, kind: type = object) -> Any:
        """Return `value`; a UsageError if it is no instance of `kind`."""
        if not isinstance(value, kind):
            raise refusal(name, f"a {kind.__name__}{self.example}", value)
        return value


Positive = Annotated[float, Interval("(0, inf)")]
NotNegative = Annotated[float, Interval("[0, inf)")]
Fraction = Annotated[float, Interval("[0, 1)")]
Share = Annotated[float, Interval("(0, 1]")]
Unit = Annotated[float, Interval("[0, 1]")]
Inside = Annotated[float, Interval("(0, 1)")]
DropRate = Annotated[float, Interval("[0, 0.99999]")]
Growth = Annotated[float, Interval("[1, inf)")]
Count = Annotated[int, Interval("[1, inf)")]
Few = Annotated[int, Interval("[1, 10000]")]  # of which arrays are made, or lists
Seed = Annotated[int, Interval("[0, 18446744073709551616)")]


Bounds = tuple[Interval | Truth | Instance, type, bool]
"""What is accepted, the kind that it becomes or is, and whether None is accepted as well."""


def plain(value: Any) -> Any:
    """Return a scalar of NumPy, or an array of no dimension, as Python's; all else as it is."""
    scalar = getattr(value, "ndim", None) == 0 and hasattr(value, "item")
    return value.item() if scalar else value


def refusal(name: str, accepted: str, value: Any) -> UsageError:
    """Return the error about a value of another type than a parameter's."""
    from xpnet.habits import INSTEAD_OF

    return UsageError(
        f"{name} must be {accepted}, got {shown(value)}{INSTEAD_OF.get(name, '')}", name
    )


def several(name: str, given: Any, example: str) -> tuple[Any, ...]:
    """Return what a list, a tuple or an array holds, as a tuple.

    Raises
    ------
    UsageError
        It is none of these, or has a mask.
    """
    refuse_mask(name, given)
    try:
        if isinstance(given, Mapping | Set):
            raise TypeError
        return tuple(given)
    except (TypeError, UsageError):
        message = f"{name} must be a list, as in {example}, got {shown(given)}"
        raise UsageError(message, name) from None


def refuse_mask(name: str, given: Any) -> None:
    """Raise a UsageError if an array of NumPy has a mask, or a list holds masked elements.

    NumPy drops the mask where it makes a plain array, and masked elements become numbers.
    """
    masked = getattr(sys.modules.get("numpy.ma"), "MaskedArray", None)  # the import takes 10 ms
    if masked is None:
        return
    remedy = f"remove its masked rows, or fill them first, as by {name}.filled(0)"
    if isinstance(given, masked):
        raise UsageError(f"{name} is a masked array; {remedy}", name)
    if _holds(given, masked):
        remedy = "replace them, or remove their rows"
        raise UsageError(f"{name} holds masked elements; {remedy}", name)


def _holds(given: Any, kind: type) -> bool:
    """Whether a list, at any depth, or an array of objects holds an instance of a class."""
    if getattr(getattr(given, "dtype", None), "kind", "") == "O":
        given = given.tolist()
    if not isinstance(given, list | tuple):
        return False
    kinds = {*map(type, given)}
    if any(issubclass(each, kind) for each in kinds):
        return True
    nested = any(issubclass(each, list | tuple) for each in kinds)
    return nested and any(_holds(each, kind) for each in given)


def shape_of(name: str, given: Any) -> tuple[int, ...]:
    """Return the shape of an array or of a sample, as a tuple of whole numbers."""
    sizes = several(name, given, "(28, 28)")
    return tuple(Interval("[1, inf)").check(name, size, int) for size in sizes)


def path_of(given: Any) -> Path:
    """Return a path of a text or a path; a UsageError where it is neither."""
    try:
        return Path(given)
    except TypeError:
        raise UsageError(f"path must be a text or a Path, got {shown(given)}", "path") from None


def shown(value: Any) -> str:
    """Return a short text of a value, for a message."""
    try:
        return shortened(value)
    except ValueError:  # more digits than Python converts
        return "a number of thousands of digits"


@cache
def signature_of(function: Callable[..., Any]) -> Signature:
    """Return the signature of a function or class, computed once."""
    return signature(function)


def without_types(own: Signature, skip: int = 0) -> Signature:
    """Return a signature as `help` should print it: types and bounds are in the docstring."""
    parameters = [*own.parameters.values()][skip:]
    return Signature([p.replace(annotation=Parameter.empty) for p in parameters])


@cache
def bounds_of(function: Callable[..., Any]) -> dict[str, Bounds]:
    """Return the bounds of each parameter of a function, or field of a class, that has any."""
    needed: list[str] = []
    if isinstance(function, type):
        annotations = {field.name: field.type for field in fields(function)}
    else:
        annotations = {**function.__annotations__}
        parameters = signature(function).parameters.values()
        needed = [p.name for p in parameters if p.default is p.empty]
    if any(isinstance(annotation, str) for annotation in annotations.values()):
        with suppress(NameError):  # of a name that is for type checkers alone
            annotations = {**annotations, **get_type_hints(function, include_extras=True)}
    call = f", as in {function.__name__}({', '.join(needed)})"
    examples = dict.fromkeys(needed, call) | {"initial": ", as fit returns it"}
    found = {name: _bounds(kind, examples.get(name, "")) for name, kind in annotations.items()}
    return {name: bounds for name, bounds in found.items() if bounds and name != "return"}


def _bounds(annotation: Any, call: str) -> Bounds | None:
    """Return the bounds that a type stands for: of `T` or `T | None`, but of no other union."""
    union = get_origin(annotation) in (Union, UnionType)
    types = [*get_args(annotation)] if union else [annotation]
    *kinds, last = sorted(types, key=lambda kind: kind is not NoneType)
    if len(types) > 2 or kinds not in ([], [NoneType]):
        return None
    if get_origin(last) is Annotated:
        kind, *marks = get_args(last)
        intervals = [mark for mark in marks if isinstance(mark, Interval)]
        return (intervals[0], kind, bool(kinds)) if intervals else None
    if last is bool:
        return Truth(), bool, bool(kinds)
    ours = isinstance(last, type) and last.__module__.startswith("xpnet.")
    protocol = getattr(last, "_is_protocol", False)
    return (Instance(call), last, bool(kinds)) if ours and not protocol else None


def kind_of(annotation: Any) -> Any:
    """Return the type in an annotation, without its bounds."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def within(name: str, value: Any, bounds: Bounds) -> Any:
    """Return a value as Python's, or as a tuple of numbers, if it is within its bounds."""
    accepted, kind, optional = bounds
    if value is None and optional:
        return None
    if get_origin(kind) is not tuple:
        return accepted.check(name, value, kind)
    if getattr(value, "ndim", None) == 1 and hasattr(value, "tolist"):
        value = value.tolist()
    numbers = value if isinstance(value, list | tuple) else [value]
    if not numbers:
        raise UsageError(f"{name} must have one number at least, got none", name)
    return tuple(accepted.check(name, number) for number in numbers)
