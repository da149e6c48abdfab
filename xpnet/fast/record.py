"""Recording: the operations that array code performs, written down without performing them.

The core is called with arrays of type `Recorded`, which have a shape and a type but no numbers;
each operation on them becomes a `Node`.  What is built from the nodes computes the core's own
formulas, in its order: there is no second copy of them.

What depends on no variable is computed at once and is a constant.  What would need the numbers
(an `if` on an array, a function that is not listed here) raises `CannotRecordError`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from xpnet.arrays import HostArray, namespace
from xpnet.fast.nodes import CONSTANT, OPERATION, VARIABLE, VIEW, CannotRecordError, Node, Shape
from xpnet.random import mask_units, units_of

LARGEST_COMPARED = 2**20  # elements that are looked through, to see whether all are equal

Operator = Callable[["Recorded", Any], "Recorded"]


def _operator(function: np.ufunc) -> Operator:
    return lambda self, other: _record(function, self, other)


def _swapped(function: np.ufunc) -> Operator:
    return lambda self, other: _record(function, other, self)


class Recorded:
    """A stand-in for an array: what is done with it is written down."""

    __array_ufunc__ = None  # leave operators to this class

    __add__, __radd__ = _operator(np.add), _swapped(np.add)
    __sub__, __rsub__ = _operator(np.subtract), _swapped(np.subtract)
    __mul__, __rmul__ = _operator(np.multiply), _swapped(np.multiply)
    __truediv__, __rtruediv__ = _operator(np.divide), _swapped(np.divide)
    __matmul__ = _operator(np.matmul)
    __and__, __or__, __xor__ = map(_operator, (np.bitwise_and, np.bitwise_or, np.bitwise_xor))
    __lshift__, __rshift__ = _operator(np.left_shift), _operator(np.right_shift)
    __lt__, __le__ = _operator(np.less), _operator(np.less_equal)
    __gt__, __ge__ = _operator(np.greater), _operator(np.greater_equal)
    __eq__, __ne__ = _operator(np.equal), _operator(np.not_equal)  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, node: Node) -> None:
        self.node = node

    @property
    def shape(self) -> Shape:
        return self.node.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.node.dtype

    @property
    def device(self) -> str:
        return "cpu"  # of what `arange` makes: it takes any

    @property
    def T(self) -> "Recorded":  # noqa: N802 - the standard's name
        return _view(np.transpose, self)

    def __getitem__(self, key: Any) -> "Recorded":
        parts = key if isinstance(key, tuple) else (key,)
        if not all(isinstance(part, int | slice) or part is ... for part in parts):
            raise CannotRecordError(f"an index of type {type(key).__name__}")
        whole = parts if ... in parts else (*parts, ...)  # with ... it stays a view, never a number
        return _view(lambda array: array[whole], self)

    def __array_namespace__(self, api_version: str | None = None) -> "Namespace":
        return NAMESPACE

    def __neg__(self) -> "Recorded":
        return _record(np.negative, self)

    def __pow__(self, exponent: Any) -> "Recorded":
        if self.dtype.kind == "f" and exponent == 2:  # as NumPy's operator, not its function
            return _record(np.square, self)
        if exponent == 0.5:
            return _record(np.sqrt, self)
        return _record(np.power, self, exponent)

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise CannotRecordError("the numbers of an array that is being recorded")

    __bool__ = __int__ = __float__ = __index__ = __array__ = __iter__ = __setitem__ = _refuse
    __iadd__ = __isub__ = __imul__ = __itruediv__ = _refuse  # NumPy would write over what is read


def variable(like: Any, kind: type[Recorded] = Recorded) -> Recorded:
    """An array whose numbers are not known yet."""
    return kind(Node(VARIABLE, like.shape, like.dtype))


def constant(value: HostArray, kind: type[Recorded] = Recorded) -> Recorded:
    """An array whose numbers stay; where all are equal, one that is broadcast."""
    if 1 < value.size <= LARGEST_COMPARED:
        first, signs = value.flat[0], np.signbit(value)  # -0.0 == 0.0
        if np.all((value == first) & (signs == np.signbit(first))):
            value = np.broadcast_to(first, value.shape)
    return kind(Node(CONSTANT, value.shape, value.dtype, value=value))


class Namespace:
    """The functions of the array API standard that can be recorded, over `Recorded` arrays."""

    def __getattr__(self, name: str) -> Any:
        function = getattr(np, name)
        if isinstance(function, type) or name in _OF_TYPES:
            return function
        if isinstance(function, np.ufunc) and function.nout == 1:
            return lambda *arguments: _record(function, *arguments)
        raise CannotRecordError(f"the function {name}")

    def reshape(self, x: Recorded, shape: Shape) -> Recorded:
        return _view(partial(np.reshape, shape=shape), x)

    def broadcast_to(self, x: Recorded, shape: Shape) -> Recorded:
        return _view(lambda array: np.broadcast_to(array, shape), x)

    def astype(self, x: Recorded, dtype: Any, copy: bool = True) -> Recorded:
        return x if x.dtype == dtype else _record(cast, x, dtype=np.dtype(dtype))

    def take(self, x: Recorded, indices: Recorded, axis: int) -> Recorded:
        return _record(np.take, x, indices, axis=axis)

    def where(self, condition: Recorded, x1: Recorded, x2: Recorded) -> Recorded:
        """Chosen by bits, x2 ^ ((x1 ^ x2) & mask): NumPy's own function branches at each."""
        if condition.dtype != np.bool or x1.dtype != x2.dtype:
            raise CannotRecordError(f"a choice of {x1.dtype} or {x2.dtype} by {condition.dtype}")
        word = np.dtype(f"int{8 * x1.dtype.itemsize}")
        mask = -self.astype(_as_type(condition, np.int8), word)  # all bits, or none
        a, b = _as_type(x1, word), _as_type(x2, word)
        return _as_type(b ^ ((a ^ b) & mask), x1.dtype)

    def concat(self, arrays: Sequence[Recorded], axis: int = 0) -> Recorded:
        return arrays[0] if len(arrays) == 1 else _record(concat, *arrays, axis=axis)

    def stack(self, arrays: Sequence[Recorded], axis: int = 0) -> Recorded:
        return _record(stack, *arrays, axis=axis)

    def sum(
        self, x: Recorded, axis: Any = None, dtype: Any = None, keepdims: bool = False
    ) -> Recorded:
        return _record(np.sum, x, axis=axis, dtype=dtype, keepdims=keepdims)

    def max(self, x: Recorded, axis: int | None = None, keepdims: bool = False) -> Recorded:
        return _record(np.max, x, axis=axis, keepdims=keepdims)

    def mean(self, x: Recorded, axis: int | None = None, keepdims: bool = False) -> Recorded:
        total = self.sum(x, axis=axis, keepdims=keepdims)
        return total / (prod(x.shape) // prod(total.shape))

    def arange(self, stop: int, dtype: Any, device: Any = None) -> Recorded:
        return constant(np.arange(stop, dtype=dtype))

    def full_like(self, x: Recorded, fill_value: float) -> Recorded:
        value = np.asarray(fill_value, dtype=x.dtype)
        return constant(np.broadcast_to(value, x.shape), type(x))

    def zeros_like(self, x: Recorded) -> Recorded:
        return self.full_like(x, 0)

    def ones_like(self, x: Recorded) -> Recorded:
        return self.full_like(x, 1)


class KernelArray(Recorded):
    """A stand-in for an array of a GPU, of which kernels are made (`cuda.kernels`)."""

    def __array_namespace__(self, api_version: str | None = None) -> Namespace:
        return KERNEL_NAMESPACE

    def __matmul__(self, other: Recorded) -> Recorded:
        """A product of one type, as cuBLAS takes it."""
        dtype = np.result_type(self.dtype, other.dtype)
        if dtype not in (np.float32, np.float64):
            raise CannotRecordError(f"a product of {dtype}")
        xp = namespace(self)
        return _record(np.matmul, xp.astype(self, dtype), xp.astype(other, dtype))


class KernelNamespace(Namespace):
    """The same functions as kernels want them: plainly."""

    def where(self, condition: Recorded, x1: Recorded, x2: Recorded) -> Recorded:
        return _record(np.where, condition, x1, x2)

    def arange(self, stop: int, dtype: Any, device: Any = None) -> Recorded:
        return KernelArray(Node(OPERATION, (stop,), np.dtype(dtype), np.arange))

    def argmax(self, x: Recorded, axis: int) -> Recorded:
        """The first of the greatest in each row: where it is reached, the greatest m - 1 - j."""
        if len(x.shape) != 2 or axis != 1:
            raise CannotRecordError(f"argmax of {len(x.shape)} axes over {axis}")
        last, greatest = x.shape[1] - 1, self.max(x, axis=1, keepdims=True)
        from_the_end = self.astype(last - self.arange(x.shape[1], np.int32), x.dtype)
        reached = self.where(x == greatest, from_the_end, self.zeros_like(x))
        return last - self.astype(self.max(reached, axis=1), np.int32)

    def all(self, x: Recorded, axis: int) -> Recorded:
        """Whether no element is false: whether the greatest of [not x] is 0."""
        return self.max(1 - self.astype(x, np.float32), axis=axis) == 0

    def asarray(self, x: Recorded, dtype: Any) -> Recorded:
        return self.astype(x, dtype)


NAMESPACE, KERNEL_NAMESPACE = Namespace(), KernelNamespace()
_OF_TYPES = ("isdtype", "finfo", "iinfo")


@mask_units.register
def _drawn_ahead(key: Recorded, n: int, width: int) -> Recorded:
    """Random units that depend on the key alone, and so are drawn ahead (`host.draws`)."""
    return Recorded(Node(VARIABLE, (n, width), np.dtype(np.int32), units_of, (key.node,)))


mask_units.register(KernelArray, units_of)  # kernels draw them where they need them


def cast(x: HostArray, dtype: np.dtype[Any]) -> HostArray:
    """x in another type."""
    return x.astype(dtype)


def concat(*arrays: HostArray, axis: int) -> HostArray:
    """The arrays one after the other."""
    return np.concat(arrays, axis=axis)


def stack(*arrays: HostArray, axis: int) -> HostArray:
    """The arrays along a new axis."""
    return np.stack(arrays, axis=axis)


def _view(function: Callable[[HostArray], HostArray], x: Recorded) -> Recorded:
    base = x.node
    if base.kind == CONSTANT:
        return constant(function(base.value), type(x))
    seen = function(np.broadcast_to(np.zeros((), base.dtype), base.shape))  # takes no memory
    return type(x)(Node(VIEW, seen.shape, seen.dtype, function, (base,)))


def _as_type(x: Recorded, dtype: Any) -> Recorded:
    """The same bits, read as another type of that size."""
    return _view(lambda array: array.view(dtype), x)


def _record(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Recorded:
    kind = next(type(a) for a in arguments if isinstance(a, Recorded))
    nodes = [a.node if isinstance(a, Recorded) else a for a in arguments]
    nodes = [a.item() if isinstance(a, np.generic) else a for a in nodes]  # settings are numbers
    if any(isinstance(a, np.ndarray) for a in nodes):
        raise CannotRecordError("an array that was made elsewhere")
    if function is np.divide and (inverse := _inverse(*nodes)) is not None:
        function, nodes = np.multiply, [nodes[0], inverse]
    if all(a.kind == CONSTANT for a in nodes if isinstance(a, Node)):
        return constant(_computed(function, nodes, keywords), kind)
    shape = _shape(function, [a.shape if isinstance(a, Node) else () for a in nodes], keywords)
    tiny = [np.ones((1,) * len(a.shape), a.dtype) if isinstance(a, Node) else a for a in nodes]
    if function is np.take:
        tiny[1] = np.zeros_like(tiny[1])
    dtype = np.asarray(function(*tiny, **keywords)).dtype
    return kind(Node(OPERATION, shape, dtype, function, tuple(nodes), keywords))


def _inverse(x: Any, divisor: Any) -> Any:
    """1 / divisor where x / divisor may be computed as a product: it is a known number."""
    if not isinstance(x, Node) or x.kind == CONSTANT or x.dtype.kind != "f":
        return None
    if isinstance(divisor, Node):
        if divisor.kind != CONSTANT or divisor.dtype != x.dtype:
            return None
        value = divisor.value
    else:
        value = np.asarray(divisor, dtype=x.dtype)
    with np.errstate(all="ignore"):
        inverse = 1 / value
    if not np.all(np.isfinite(inverse)) or np.any(np.abs(inverse) < np.finfo(x.dtype).tiny):
        return None  # it would lose digits, or everything
    return constant(inverse).node


def _computed(function: Callable[..., Any], nodes: Sequence[Any], keywords: Any) -> HostArray:
    """What is made of constants alone."""
    with np.errstate(all="ignore"):
        if isinstance(function, np.ufunc) and all(n.uniform for n in nodes if isinstance(n, Node)):
            numbers = [n.value[(0,) * n.value.ndim] if isinstance(n, Node) else n for n in nodes]
            shape = np.broadcast_shapes(*(n.shape for n in nodes if isinstance(n, Node)))
            return np.broadcast_to(function(*numbers), shape)
        values = [n.value if isinstance(n, Node) else n for n in nodes]
        return np.asarray(function(*values, **keywords))


def _shape(function: Callable[..., Any], shapes: Sequence[Shape], keywords: Any) -> Shape:
    """The shape of what a function makes of arrays of these shapes."""
    axis = keywords.get("axis")
    if function is np.matmul:
        (rows, _), (_, columns) = shapes  # of matrices alone
        return rows, columns
    if function is np.take:
        axis %= len(shapes[0])
        return (*shapes[0][:axis], *shapes[1], *shapes[0][axis + 1 :])
    if function is concat:
        return _with(shapes[0], axis, [sum(shape[axis] for shape in shapes)])
    if function is stack:
        place = axis % (len(shapes[0]) + 1)
        return (*shapes[0][:place], len(shapes), *shapes[0][place:])
    if function in (np.sum, np.max):
        kept = [1] if keywords["keepdims"] else []
        if axis is None:
            return (1,) * len(shapes[0]) if kept else ()
        return _with(shapes[0], axis, kept)
    if function is cast:
        return shapes[0]
    return np.broadcast_shapes(*shapes)


def _with(shape: Shape, axis: int, sizes: Sequence[int]) -> Shape:
    """The shape with other sizes in the place of one axis."""
    axis %= len(shape)
    return (*shape[:axis], *sizes, *shape[axis + 1 :])
