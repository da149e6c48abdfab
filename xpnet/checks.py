"""Checks of arguments, whose errors say what was given, what is accepted and what to do.

`Settings`, the base of all parts, checks the fields of an instance when it is made; `checked` does
the same for the arguments of a function.  Both explain an argument that they do not have.
"""

import sys
from abc import ABCMeta
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import partial, wraps
from inspect import Parameter, Signature, signature
from typing import Any, ParamSpec, TypeVar, cast

from xpnet.bounds import Interval, bounds_of, plain, shown, signature_of, within, without_types
from xpnet.errors import UsageError, WrongAttributeError, WrongNameError
from xpnet.registry import PUBLIC, look_up

T = TypeVar("T")
P = ParamSpec("P")


class _Explaining(ABCMeta):
    """The type of classes that answer a wrong argument with a UsageError."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except TypeError:
            _explain(cls, args, kwargs)
            raise

    @property
    def __signature__(cls) -> Signature:
        """The parameters of `__init__`; Python's own would be those of `__call__` above."""
        return without_types(signature(cls.__init__), skip=1)  # type: ignore[misc]

    def __dir__(cls) -> list[str]:
        """The attributes that there are, for `help` and for completion."""
        own = {name: value for base in cls.__mro__[::-1] for name, value in vars(base).items()}
        return sorted(name for name, value in own.items() if not isinstance(value, _Elsewhere))


class _Elsewhere:
    """An attribute that other libraries' classes have; to ask for it is answered.

    A method `__getattr__` of the class could do the same, but makes all attributes slower.
    """

    def __init__(self, name: str, hint: str) -> None:
        self.name, self.hint = name, hint

    def __get__(self, instance: object, owner: type) -> Any:
        raise WrongAttributeError(f"{owner.__name__} has no attribute {self.name!r}{self.hint}")


class Hinting(metaclass=_Explaining):
    """A base of classes that answer the habits of other libraries by what to write here.

    They are attributes that the class does not have, its use as a function or a sequence, and
    names in the module that defines it.
    """

    __slots__ = ()
    _hints: Mapping[str, str] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__ == __name__:
            return  # so that the command line needs no habits to print its help
        answer_names_elsewhere(cls.__module__)
        from xpnet.habits import ATTRIBUTES, instead

        tables = [ATTRIBUTES.get(base.__name__, {}) for base in cls.__mro__[::-1]]
        hints = {name: instead(text) for table in tables for name, text in table.items()}
        cls._hints = {name: hint for name, hint in hints.items() if not name.isidentifier()}
        for name in hints.keys() - cls._hints.keys():
            if not any(name in vars(base) for base in cls.__mro__):
                setattr(cls, name, _Elsewhere(name, hints[name]))

    def __dir__(self) -> list[str]:
        return sorted({*dir(type(self)), *getattr(self, "__dict__", ())})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise UsageError(f"{type(self).__name__} is no function{self._hints.get('()', '')}")

    def __getitem__(self, key: Any) -> Any:
        raise UsageError(f"{type(self).__name__} has no items{self._hints.get('[]', '')}")


@dataclass(frozen=True)
class Settings(Hinting):
    """The base of all parts: frozen dataclasses whose fields are checked when they are made."""

    def __post_init__(self) -> None:
        """Convert numbers of NumPy, which promote float32 to float64, and check the bounds."""
        bounds = bounds_of(type(self))
        for field in fields(self):
            name, given = field.name, getattr(self, field.name)
            value = within(name, given, bounds[name]) if name in bounds else plain(given)
            if value is not given:
                object.__setattr__(self, name, value)


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function: check its arguments by their annotations, and explain wrong names."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            bound = signature_of(function).bind(*args, **kwargs)
        except TypeError:
            _explain(function, args, kwargs)
            raise
        for name, bounds in bounds_of(function).items():
            if name in bound.arguments:
                bound.arguments[name] = within(name, bound.arguments[name], bounds)
        return function(*bound.args, **bound.kwargs)

    call.__signature__ = without_types(signature(function))  # type: ignore[attr-defined]
    return call


def explained(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function that must be quick: explain wrong names only."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except TypeError:
            _explain(function, args, kwargs)
            raise

    return call


def _explain(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise a UsageError where a function does not have these arguments."""
    own = signature_of(function)
    name = function.__qualname__
    parameters = [p for p in own.parameters.values() if p.name not in ("self", "cls")]
    unknown = [key for key in kwargs if key not in own.parameters]
    if unknown and not any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
        accepted = [p.name for p in parameters]
        each = [f"{key!r}{_instead(function.__name__, key, accepted)}" for key in unknown]
        raise UsageError(f"{name} has no argument {'; and no '.join(each)}")
    try:
        own.bind(*args, **kwargs)
    except TypeError as error:
        placed = [p.name for p in parameters if p.kind is Parameter.POSITIONAL_OR_KEYWORD]
        named = [p.name for p in parameters if p.kind is Parameter.KEYWORD_ONLY]
        if "too many positional" in str(error):
            order = f"takes {', '.join(placed) or 'no argument'} by position"
            others = f"; write the others by name{_listed(named)}" if named else ""
            raise UsageError(f"{name} {order}, and is given more{others}") from None
        argument = next(p.name for p in parameters if f"'{p.name}'" in str(error))
        if "multiple values" in str(error):
            raise UsageError(f"{name} is given {argument} twice") from None
        from xpnet.habits import INSTEAD_OF

        hint = INSTEAD_OF.get(argument) or _listed(placed)
        raise UsageError(f"{name} needs {argument}{hint}") from None


def _listed(names: Sequence[str]) -> str:
    return f" ({', '.join(names)})" if names else ""


def _instead(function: str, name: str, accepted: Sequence[str]) -> str:
    """Return what to write in the place of an unknown argument of a function."""
    from xpnet.habits import ARGUMENTS, OWNERS, instead

    known = ARGUMENTS.get(f"{function}.{name}") or ARGUMENTS.get(name, ())
    for text in known:
        argument = text.partition("=")[0]
        if argument in accepted or not argument.isidentifier():
            return instead(text)
    for text in (name, *known):
        for owner in OWNERS:
            if text.partition("=")[0] in signature_of(look_up(PUBLIC[owner])).parameters:
                return instead(f"{text} of xpnet.{owner}")
    near = get_close_matches(name, accepted, n=1)
    listed = _listed(accepted) or " none"
    return f"; did you mean {near[0]!r}?" if near else f"; it takes{listed}"


def name_elsewhere(module: str, name: str) -> Any:
    """Answer a name that a module does not have: of another library, by what to write."""
    if name[:1] != "_":  # as in __path__, which each import asks for
        from xpnet.habits import TOP, instead

        if name in TOP:
            raise WrongNameError(f"{module} has no {name}{instead(TOP[name])}")
    raise AttributeError(f"module {module!r} has no attribute {name!r}")


def answer_names_elsewhere(module: str) -> None:
    """Let a module of xpnet answer the names of other libraries; type checkers do not see it."""
    if module.startswith("xpnet."):
        vars(sys.modules[module])["__getattr__"] = partial(name_elsewhere, module)


def choose(kind: str, name: str, valid: Collection[str]) -> str:
    """`name`, if it is one of `valid`; otherwise a UsageError that names the nearest one.

    Examples
    --------
    >>> choose("activation", "rleu", ["relu", "tanh"])
    Traceback (most recent call last):
    xpnet.errors.UsageError: unknown activation 'rleu', did you mean 'relu'? (relu, tanh)
    """
    if isinstance(name, str) and name in valid:
        return name
    from xpnet.habits import NAMES

    text = name if isinstance(name, str) else shown(name)
    key = text.lower().replace("_", "-").replace(" ", "-")
    same = [other for other in NAMES.get(key, ()) if other in valid]
    near = same or get_close_matches(key, valid, n=1)
    hint = f", did you mean '{near[0]}'?" if near else "; expected one of these:"
    given = repr(name) if isinstance(name, str) else text
    raise UsageError(f"unknown {kind} {given}{hint} ({', '.join(valid)})", kind)


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
        raise UsageError(f"{kind} {spec!r}: {name} takes no number; write {name} alone", kind)
    parameter, default = parameters[0].name, cast(Any, parameters[0].default)
    try:
        numbers = tuple(float(number) for number in given.split(","))
    except ValueError:
        numbers = ()
    whole = isinstance(default, int)
    single = not isinstance(default, tuple)
    if not numbers or (single and len(numbers) > 1) or (whole and not numbers[0].is_integer()):
        example = default if single else default[0]
        what = "a whole number" if whole else "a number"
        raise UsageError(
            f"{kind} {spec!r}: expected {what} ({parameter}) after the colon, "
            f"as in {name}:{example}",
            kind,
        )
    value = numbers if not single else int(numbers[0]) if whole else numbers[0]
    try:
        return make(**{parameter: value})
    except UsageError as error:
        raise UsageError(f"{kind} {spec!r}: {error}", kind) from None


def instance(
    kind: str, given: Any, table: Mapping[str, Callable[..., T]], base: type[T] | None = None
) -> T:
    """Return an instance as it is, and make one of a name (`construct`).

    Parameters
    ----------
    kind : str
        What it is, for errors.
    given : str, or an instance of `base`
        Where there is no `base`, any function.
    table : mapping of str to class
        By name.
    base : type, optional

    Raises
    ------
    UsageError
        It is neither; of a class the message says how to write an instance.
    """
    if isinstance(given, str):
        return construct(kind, given, table)
    if isinstance(given, base) if base else _is_function(given):
        return cast(T, given)
    expected = f"an instance of {base.__name__}" if base else "a function"
    accepted = f"{kind} must be a name or {expected}"
    if isinstance(given, type):
        raise UsageError(f"{accepted}, got a class; write {_written(kind, given, table)}", kind)
    from xpnet.habits import INSTEAD_OF

    hint = f"; the names are {', '.join(table)}{INSTEAD_OF.get(kind, '')}"
    raise UsageError(f"{accepted}, got {shown(given)}{hint}", kind)


def _written(kind: str, given: type, table: Mapping[str, Callable[..., Any]]) -> str:
    """Return how to write an instance of a class, or its name if it needs arguments."""
    parameters = signature_of(given).parameters.values()
    if not any(p.default is p.empty for p in parameters):
        return f"{given.__name__}()"
    names = [name for name in table if getattr(table[name], "func", None) is given]
    return f'{kind}="{names[0]}"' if names else f"{given.__name__}(...)"


def function_of(name: str, given: Any, *parameters: str) -> Any:
    """Return `given`, if it is a function that can be called with these parameters.

    Raises
    ------
    UsageError
        It is something else, or takes other parameters.
    """
    if not _is_function(given):
        raise UsageError(f"{name} must be a function, got {shown(given)}", name)
    try:
        own = signature(given)
    except (TypeError, ValueError):  # of some functions in C
        return given
    try:
        own.bind(*parameters)
    except TypeError as error:
        taken = f"a function of ({', '.join(parameters)})"
        raise UsageError(f"{name} must be {taken}, got {shown(given)}: {error}", name) from None
    return given


def _is_function(given: Any) -> bool:
    """Whether it can be called; every part has a `__call__`, that of most raises an error."""
    refuses = getattr(type(given), "__call__", None) is Hinting.__call__  # noqa: B004
    return callable(given) and not isinstance(given, type) and not refuses


def at_least(name: str, value: int, minimum: int) -> int:
    """`value`, if it is a whole number of at least `minimum`; otherwise a UsageError."""
    return int(Interval(f"[{minimum}, inf)").check(name, value, int))
