"""Checks of arguments: each returns what is valid, or raises an error that says what is.

Their messages name what was given, what is accepted and what to do.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from difflib import get_close_matches
from operator import index
from pathlib import Path
from typing import Any, TypeVar

from xpnet.errors import DataError, UsageError

T = TypeVar("T")


def choose(kind: str, name: str, valid: Collection[str]) -> str:
    """`name`, if it is one of `valid`; otherwise a UsageError that names the nearest one.

    Examples
    --------
    >>> choose("activation", "rleu", ["relu", "tanh"])
    Traceback (most recent call last):
    xpnet.errors.UsageError: unknown activation 'rleu', did you mean 'relu'? (relu, tanh)
    """
    if name in valid:
        return name
    near = get_close_matches(str(name).lower(), valid, n=1)
    hint = f", did you mean '{near[0]}'?" if near else "; expected one of these:"
    raise UsageError(f"unknown {kind} {name!r}{hint} ({', '.join(valid)})")


def construct(kind: str, spec: str, table: Mapping[str, Callable[..., T]]) -> T:
    """What `NAME` or `NAME:NUMBER` stands for, such as `leaky-relu:0.2` or `pinball:0.1,0.9`.

    Parameters
    ----------
    kind : str
        What it is, for errors.
    spec : str
        A name in `table`, and after a colon the numbers that its first parameter takes.
    table : mapping of str to dataclass
        By name.

    Raises
    ------
    UsageError
        There is no such name, what follows is no number, or it takes none.
    """
    name, colon, given = str(spec).partition(":")
    make = table[choose(kind, name, table)]
    if not colon:
        return make()
    kind_of_part: Any = getattr(make, "func", make)  # of a line with settings, a partial
    parameters = [field for field in fields(kind_of_part) if field.init]
    if not parameters:
        raise UsageError(f"{kind} {spec!r}: {name} takes no number; write {name} alone")
    parameter, default = parameters[0].name, parameters[0].default
    try:
        numbers = tuple(float(number) for number in given.split(","))
    except ValueError:
        numbers = ()
    if isinstance(default, tuple) and numbers:
        return make(**{parameter: numbers})
    whole = isinstance(default, int)
    if len(numbers) != 1 or (whole and not numbers[0].is_integer()):
        example = default[0] if isinstance(default, tuple) else default
        what = "a whole number" if whole else "a number"
        raise UsageError(
            f"{kind} {spec!r}: expected {what} ({parameter}) after the colon, "
            f"as in {name}:{example}"
        )
    return make(**{parameter: int(numbers[0]) if whole else numbers[0]})


def at_least(name: str, value: int, minimum: int) -> int:
    """`value`, if it is a whole number of at least `minimum`; otherwise a UsageError."""
    try:
        whole = index(value)
    except TypeError:
        whole = minimum - 1
    if isinstance(value, bool) or whole < minimum:
        raise UsageError(f"{name} {value!r}: expected a whole number, {minimum} or more")
    return whole


def to_python_numbers(settings: Any) -> None:
    """Make NumPy's numbers, and arrays of no dimension, in the fields of a dataclass Python's own.

    Theirs would make float64 of the float32 arrays that they meet.
    """
    for field in fields(settings):
        value = getattr(settings, field.name)
        if getattr(value, "ndim", None) == 0:
            object.__setattr__(settings, field.name, value.item())


def expanded(path: str) -> Path:
    """`path` with the folder that ~ stands for; a DataError where there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise DataError(f"{path}: there is no such home folder") from None


def check_seed(seed: int) -> int:
    """`seed`, if the generator takes it."""
    if at_least("seed", seed, 0) >= 2**64:
        raise UsageError(f"seed {seed}: expected a number below 2^64")
    return seed
