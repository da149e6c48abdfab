"""Expressions: the elements of what was recorded, in CUDA C++.

A value is asked for by its node and an index, and becomes a constant of the source, defined once,
in the outermost scope in which its index is known: what does not depend on the column of a loop
over columns stands before that loop.  Views cost nothing: they change the index.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xpnet.fast.cuda.indices import ZERO, Index, base_index, c_strides, divide, flat, named
from xpnet.fast.nodes import CONSTANT, VIEW, CannotRecordError, Node
from xpnet.fast.record import cast, concat, stack

STEP = "step"  # the number of the step, in an index
WORD = re.compile(r"[a-z]\w*")

TYPES = {
    "bool": "bool", "int8": "signed char", "uint8": "unsigned char", "int16": "short",
    "uint16": "unsigned short", "int32": "int", "uint32": "unsigned int", "int64": "long long",
    "uint64": "unsigned long long", "float16": "unsigned short", "float32": "float",
    "float64": "double",
}  # fmt: skip
INFIX = {
    np.add: "+", np.subtract: "-", np.multiply: "*", np.divide: "/", np.less: "<",
    np.less_equal: "<=", np.greater: ">", np.greater_equal: ">=", np.equal: "==",
    np.not_equal: "!=", np.bitwise_and: "&", np.bitwise_or: "|", np.bitwise_xor: "^",
    np.left_shift: "<<", np.right_shift: ">>",
}  # fmt: skip
WRAPPING = {np.add, np.subtract, np.multiply, np.left_shift}  # what signed integers of C++ may not
FUNCTIONS = {
    np.exp: "exp", np.expm1: "expm1", np.log: "log", np.log1p: "log1p", np.sqrt: "sqrt",
    np.tanh: "tanh", np.cos: "cos", np.sin: "sin", np.power: "pow", np.absolute: "fabs",
}  # fmt: skip
TEMPLATES = {np.maximum: "maximum", np.minimum: "minimum", np.sign: "sign"}
PLAIN_NUMBERS = (0.0, 0.5, 1.0, 2.0)  # that stand in the source; others are arguments

HEADER = """\
template <class T> __device__ T maximum(T a, T b) { return a >= b || a != a ? a : b; }
template <class T> __device__ T minimum(T a, T b) { return a <= b || a != a ? a : b; }
template <class T> __device__ T sign(T a) { return a > 0 ? 1 : a < 0 ? -1 : a; }
"""
FLOAT16 = """
__device__ float number_of_float16(unsigned short bits) {
    const int exponent = bits >> 10 & 31;
    const float fraction = bits & 1023;
    const float infinite = __int_as_float(0x7f800000);
    const float size = exponent == 0 ? ldexpf(fraction, -24)
        : exponent < 31 ? ldexpf(fraction + 1024, exponent - 25)
        : fraction == 0 ? infinite : infinite - infinite;
    return bits >> 15 ? -size : size;
}
"""


class MisalignedError(Exception):
    """A kernel would read what another of its threads computes."""


@dataclass(eq=False)
class Scope:
    """Statements between two braces, and what is known there.

    Attributes
    ----------
    parent : Scope or None
        The one around it.
    own : set of str
        Variables and constants that are known in it, and not around it.
    keeps : bool
        Whether all that is computed in it has to stay in it.
    lines : list of str
    values : mapping of what was asked for to the name of a constant
    """

    parent: "Scope | None" = None
    own: set[str] = field(default_factory=set)
    keeps: bool = False
    lines: list[str] = field(default_factory=list)
    values: dict[Any, str] = field(default_factory=dict)

    def know(self, key: Any, name: str) -> None:
        """What was asked for is the constant of this name, from here on."""
        self.values[key] = name
        self.own.add(name)

    def around(self) -> "Iterator[Scope]":
        """The scope and those around it, from the innermost."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent


class Expressions:
    """The values of a kernel, and what they are made of: arguments, sizes, numbers.

    Parameters
    ----------
    stored : set of Node
        What can be read from memory.
    strides : mapping of Node to (tuple of int, int)
        Of variables that do not lie as usual: strides, and elements from one step to the next.

    Attributes
    ----------
    reads : mapping of Node to set of Index
        The arrays that are read, and which of their elements.
    arrays, sizes, numbers : mappings
        The arguments by what they stand for.
    """

    def __init__(
        self, stored: set[Node], strides: Mapping[Node, tuple[tuple[int, ...], int]]
    ) -> None:
        self.stored, self.strides = set(stored), strides
        self.reads: dict[Node, set[Index]] = {}
        self.arrays: dict[Node, str] = {}
        self.sizes: dict[int, str] = {}
        self.numbers: dict[Any, tuple[str, Any]] = {}
        self.bounds: dict[str, int] = {}  # what variables are below
        self.uses_step = self.uses_float16 = False
        self.top = Scope()
        self.scope = self.top
        self._count = 0

    def fresh(self, letter: str) -> str:
        """A new name."""
        self._count += 1
        return f"{letter}{self._count}"

    def size(self, number: int) -> str:
        """A size as it stands in the source."""
        if -2 < number < 2:
            return str(number)
        return self.sizes.setdefault(number, f"n{len(self.sizes)}")

    def number(self, value: Any, dtype: np.dtype[Any]) -> str:
        """A number of this type as it stands in the source."""
        if dtype.kind == "b":
            return "true" if value else "false"
        if dtype.kind in "iu":
            return f"({TYPES[dtype.name]}){int(value)}" if value < 0 else str(int(value))
        exact = dtype.type(value)
        if abs(exact) in PLAIN_NUMBERS and not (exact == 0 and np.signbit(exact)):
            return f"({float(exact)}{'f' if dtype.itemsize == 4 else ''})"
        key, name = (exact.tobytes(), dtype), f"c{len(self.numbers)}"
        return self.numbers.setdefault(key, (name, exact))[0]

    def array(self, node: Node) -> str:
        """The name of an argument."""
        return self.arrays.setdefault(node, f"a{len(self.arrays)}")

    def text_of(self, index: Index) -> str:
        """An index as an expression."""
        self.uses_step = self.uses_step or STEP in index.names
        parts = [
            name if factor == 1 else f"{name} * {self.size(factor)}" for name, factor in index.terms
        ]
        if index.constant or not parts:
            parts.append(self.size(index.constant))
        return " + ".join(parts)

    # Scopes

    def _place(self, names: set[str]) -> Scope:
        """The outermost scope in which all these variables are known."""
        scopes = self.scope.around()
        return next(s for s in scopes if s.keeps or s.own & names or s.parent is None)

    def _known(self, key: Any) -> str | None:
        return next((s.values[key] for s in self.scope.around() if key in s.values), None)

    def _define(self, key: Any, kind: str, expression: str) -> str:
        """A new constant, as far outside as can be."""
        name, scope = self.fresh("v"), self._place({*WORD.findall(expression)})
        scope.lines.append(f"const {kind} {name} = {expression};")
        scope.know(key, name)
        return name

    def split(self, place: Index, size: int) -> tuple[Index, Index]:
        """place = quotient · size + rest, 0 <= rest < size."""
        quotient, rest, fits = divide(place, size, self.bounds)
        if fits:
            return quotient, rest
        text, parts = self.text_of(rest), []
        for sign in "/%":
            key = text, sign, size
            name = self._known(key) or self._define(
                key, "Int", f"({text}) {sign} {self.size(size)}"
            )
            parts.append(named(name))
            if sign == "%":
                self.bounds[name] = size
            elif all(a in self.bounds and factor > 0 for a, factor in rest.terms):
                most = rest.constant + sum(f * (self.bounds[a] - 1) for a, f in rest.terms)
                self.bounds[name] = most // size + 1
        return quotient + parts[0], parts[1]

    # Values

    def value(self, node: Node, index: Sequence[Index]) -> str:
        """One element, as an expression: mostly the name of a constant."""
        index = tuple(ZERO if n == 1 else i for i, n in zip(index, node.shape, strict=True))
        found = self._known((node, index))
        if found is not None:
            return found
        if node.kind == CONSTANT and node.uniform:
            return self.number(node.value[(0,) * node.value.ndim], node.dtype)
        if node in self.stored or node.kind == CONSTANT:
            return self._load(node, index)
        if node.kind == VIEW:
            return self.value(node.arguments[0], base_index(node, index, self.split))
        if node.function is np.arange:
            return f"({TYPES[node.dtype.name]})({self.text_of(index[0])})"
        if node.function is np.take:
            return self._taken(node, index)
        if node.function is stack:
            return self._chosen(node, index)
        if node.function is concat:
            return self._joined(node, index)
        return self._defined(node, index, self._operation(node, index))

    def _defined(self, node: Node, index: tuple[Index, ...], expression: str) -> str:
        refuse_float16(node.dtype)
        return self._define((node, index), TYPES[node.dtype.name], expression)

    def may_load(self, node: Node, index: tuple[Index, ...]) -> bool:
        """Whether an element is there: not so if another thread of the kernel computes it."""
        return True

    def _load(self, node: Node, index: tuple[Index, ...]) -> str:
        """An element of a stored array."""
        if not self.may_load(node, index):
            raise MisalignedError
        strides, step = self.strides.get(node, (c_strides(node.shape), 0))
        place = flat(index, strides) + Index(0, ((STEP, step),) if step else ())
        self.reads.setdefault(node, set()).add(place)
        element, kind = f"{self.array(node)}[{self.text_of(place)}]", TYPES[node.dtype.name]
        if node.dtype == np.float16:
            self.uses_float16 = True
            element, kind = f"number_of_float16({element})", "float"
        return self._define((node, index), kind, element)

    def _operation(self, node: Node, index: tuple[Index, ...]) -> str:
        """What an operation makes of its arguments."""
        function, arguments = node.function, node.arguments
        if function is cast:
            return f"({TYPES[node.dtype.name]}){self.operand(arguments[0], node, index)}"
        if function is np.where:
            condition, a, b = (self.operand(x, node, index) for x in arguments)
            return f"{condition} ? {a} : {b}"
        if not isinstance(function, np.ufunc):
            raise CannotRecordError(f"the function {function.__name__}")
        kinds = [a.dtype if isinstance(a, Node) else type(a) for a in arguments]
        types = function.resolve_dtypes((*kinds, None))
        given = zip(arguments, types, strict=False)
        return call(function, [self.operand(a, node, index, dtype) for a, dtype in given], types[0])

    def operand(
        self, x: Any, node: Node, index: tuple[Index, ...], dtype: np.dtype[Any] | None = None
    ) -> str:
        """An argument of an operation at the index to which it is broadcast, in this type."""
        if not isinstance(x, Node):
            return self.number(x, dtype or np.asarray(x).dtype)
        text = self.value(x, index[len(node.shape) - len(x.shape) :])
        return text if dtype in (None, x.dtype) else f"({TYPES[np.dtype(dtype).name]}){text}"

    def _taken(self, node: Node, index: tuple[Index, ...]) -> str:
        """An element of the rows, or columns, whose numbers are in another array."""
        x, numbers = node.arguments
        axis, n = node.keywords["axis"] % len(x.shape), len(numbers.shape)
        number = self.value(numbers, index[axis : axis + n])
        if not number.isalnum():
            number = self._defined(numbers, index[axis : axis + n], number)
        place = Index(int(number)) if number.isdecimal() else named(number)
        return self.value(x, (*index[:axis], place, *index[axis + n :]))

    def _chosen(self, node: Node, index: tuple[Index, ...]) -> str:
        """An element of stacked arrays: of which, its place along the axis tells."""
        axis = node.keywords["axis"] % len(node.shape)
        place, rest = self.text_of(index[axis]), (*index[:axis], *index[axis + 1 :])
        *parts, text = (self.value(part, rest) for part in node.arguments)
        for number, part in reversed([*enumerate(parts)]):
            text = f"{place} == {number} ? {part} : {text}"
        return self._defined(node, index, text)

    def _joined(self, node: Node, index: tuple[Index, ...]) -> str:
        """An element of joined arrays."""
        refuse_float16(node.dtype)
        axis, start = node.keywords["axis"] % len(node.shape), 0
        place, parts = index[axis], []
        for part in node.arguments:
            inside = (*index[:axis], place + Index(-start), *index[axis + 1 :])
            start += part.shape[axis]
            parts.append((part, inside, start))
        if not place.terms:
            return next(self.value(part, at) for part, at, end in parts if place.constant < end)
        before, name = self.scope, self.fresh("v")
        outer = self._place({name for i in index for name in i.names})
        lines: list[str] = []
        for part, at, end in parts:
            # What depends on the place along the axis stays in the scope of its part.
            self.scope = Scope(outer, set(place.names))
            text = f"{name} = {self.value(part, at)};"
            otherwise = "else " if lines else ""
            condition = f"if ({self.text_of(place)} < {self.size(end)}) " if end < start else ""
            lines += [f"{otherwise}{condition}{{", *indented([*self.scope.lines, text]), "}"]
        self.scope = before
        outer.lines += [f"{TYPES[node.dtype.name]} {name};", *lines]
        outer.know((node, index), name)
        return name


def refuse_float16(dtype: np.dtype[Any]) -> None:
    """Numbers of float16 are read, and computed with as float32, and no more."""
    if dtype == np.float16:
        raise CannotRecordError("computing in float16")


def call(function: np.ufunc, given: Sequence[str], dtype: np.dtype[Any]) -> str:
    """An operation on expressions of this type."""
    refuse_float16(dtype)
    if function in INFIX:
        a, b = given
        if function in WRAPPING and dtype.kind == "i":
            kind, word = TYPES[dtype.name], TYPES[f"u{dtype.name}"]
            return f"({kind})(({word}){a} {INFIX[function]} ({word}){b})"
        return f"{a} {INFIX[function]} {b}"
    if function in TEMPLATES:
        return f"{TEMPLATES[function]}<{TYPES[dtype.name]}>({', '.join(given)})"
    if function is np.square:
        return f"{given[0]} * {given[0]}"
    if function is np.negative:
        return f"-{given[0]}"
    if function in FUNCTIONS and dtype.kind == "f":
        return f"{FUNCTIONS[function]}{'f' if dtype.itemsize == 4 else ''}({', '.join(given)})"
    raise CannotRecordError(f"the function {function.__name__} of {dtype}")


def indented(lines: Sequence[str]) -> list[str]:
    """The lines of a block."""
    return [f"    {line}" for line in lines]
