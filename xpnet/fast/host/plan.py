"""`Plan`: a recorded step as a list of NumPy calls on arrays that exist already.

A `Plan` gives each array of a recording its place in memory, once, and is then a list of calls
that write where they should (`out=`): a step makes no array, looks none up and asks for no shape.
Places are chosen in this order:

1. where the numbers are needed: in the variable that they become, or in their part of a longer
   array (so the products of `backward` write into the flat gradient);
2. over an argument that is not read again (in place);
3. over any other array that is not read again, and only then in new memory.

What remains is what has to be remembered: variables, the gradient, activations.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from xpnet.arrays import HostArray
from xpnet.fast.host.blocks import in_blocks
from xpnet.fast.host.calls import Call, is_elementwise, maximum_of, sum_of
from xpnet.fast.host.memory import address, aligned, overlap, owner, same
from xpnet.fast.nodes import CONSTANT, OPERATION, VIEW, CannotRecordError, Node, needed
from xpnet.fast.record import cast, concat, stack

Pairs = Sequence[tuple[Node, HostArray]]

ALWAYS = 2**62  # a result is read after every operation
SMALL = 2**15  # elements up to which a constant is written out in full


class Plan:
    """Calls that compute the results of a recording.

    Parameters
    ----------
    variables : sequence of (Node, array)
        Where the numbers of each variable are when the plan is called.  They may be written over.
    results : sequence of (Node, array)
        What is computed, and the variable's array in which it is afterwards.
    memory : sequence of uint8 array
        For intermediate results, as that of another plan, if only one of them is called at a time.

    Raises
    ------
    CannotRecordError
        A view would have to be a copy.

    Attributes
    ----------
    memory : list of uint8 array
        What was given, and what it needs beside.
    """

    def __init__(self, variables: Pairs, results: Pairs, memory: Sequence[HostArray] = ()) -> None:
        places = _Places(variables, results, memory)
        calls, self.memory = in_blocks(places.calls, places.memory)
        self._run = [call.bound for call in calls]

    def __call__(self) -> None:
        for call in self._run:
            call()


class _Places:
    """The calls of a plan, and the memory that they take; needed while it is made only."""

    def __init__(self, variables: Pairs, results: Pairs, memory: Sequence[HostArray]) -> None:
        self.memory = list(memory)
        self._filled: dict[Any, HostArray] = {}
        self._at: dict[Node, HostArray] = {}
        self._in: dict[int, list[Node]] = {}  # the nodes in each piece of memory, by its `id`
        self._wanted = dict(results)
        nodes = sorted(needed([node for node, _ in results]), key=lambda node: node.number)
        self._views, self._last, self._slots = _uses(nodes)
        self._last |= {node: ALWAYS for node, _ in results}
        for node, array in variables:
            if node in self._views:
                self._put(node, array)
        self.calls: list[Call] = []
        for node in nodes:
            if node.kind == OPERATION:
                self.calls += self._calls(node)
        self.calls += self._copies(results)

    def _put(self, node: Node, array: HostArray) -> None:
        """The node is at `array`; and so its views."""
        self._at[node] = array
        self._in.setdefault(id(owner(array)), []).append(node)
        for view in self._views[node]:
            seen = view.function(array)
            if seen.size and not np.may_share_memory(seen, array):
                raise CannotRecordError("a view that would be a copy")
            self._put(view, seen)

    def _place(self, node: Node) -> HostArray:
        """Give the result of an operation its place."""
        for array, around in self._candidates(node):
            if self._is_free(array, node, node.number, around):
                self._put(node, array)
                break
        else:
            self._put(node, self._new(node, node.number))
        return self._at[node]

    def _candidates(self, node: Node) -> Iterator[tuple[HostArray, set[Node]]]:
        """Places for it, and what they are part of by intention."""
        if node in self._wanted:
            yield self._wanted[node], set()
        if node in self._slots:
            whole, i = self._slots[node]
            self._settle(whole, node.number)
            yield _part(whole, i, self._at[whole]).reshape(node.shape), self._wholes(node)
        for source in node.sources:
            alike = (source.shape, source.dtype) == (node.shape, node.dtype)
            if alike and source.kind != CONSTANT and self._at[source].flags.carray:
                yield self._at[source], set()

    def _settle(self, whole: Node, now: int) -> None:
        """Give a joined array its place, when the first of its parts is computed."""
        if whole in self._at:
            return
        candidates = [(self._wanted[whole], set[Node]())] if whole in self._wanted else []
        if whole in self._slots:
            outer, i = self._slots[whole]
            self._settle(outer, now)
            place = _part(outer, i, self._at[outer]).reshape(whole.shape)
            candidates.append((place, self._wholes(whole)))
        candidates += [(array, set()) for array in self._around(whole)]
        for array, around in candidates:
            if self._is_free(array, whole, now, around):
                self._put(whole, array)
                return
        self._put(whole, self._new(whole, now))

    def _around(self, whole: Node) -> Iterator[HostArray]:
        """Where a part of it could stay: in the vector of which it is a slice."""
        if whole.function is not concat or len(whole.shape) != 1:
            return
        start = 0
        for part in whole.sources:
            base = part
            while base.kind == VIEW:
                (base,) = base.arguments
            if base is not part and base in self._at and self._at[base].ndim == 1:
                vector, size = self._at[base], whole.shape[0]
                first = (address(self._at[part]) - address(vector)) // vector.itemsize - start
                if first >= 0 and first + size <= vector.size and vector.dtype == whole.dtype:
                    yield vector[first : first + size]
            start += part.shape[0]

    def _wholes(self, node: Node) -> set[Node]:
        """The joined arrays that the node is a part of, and their views."""
        wholes: set[Node] = set()
        while node in self._slots:
            node, _ = self._slots[node]
            waiting = [node]
            while waiting:
                wholes.add(waiting[-1])
                waiting += self._views[waiting.pop()]
        return wholes

    def _is_free(self, array: HostArray, node: Node, now: int, around: set[Node]) -> bool:
        """Whether the node may be written there at that time, and nothing is lost."""
        if self._views[node] and not array.flags.c_contiguous:
            return False  # a view might have to be a copy
        for other in self._live(array, now):
            there = self._at[other]
            if other in around or not overlap(there, array):
                continue
            if self._last[other] > now:
                if not (node.function in (concat, stack) and self._stays(other, node, array)):
                    return False
            elif other in node.arguments and not (
                is_elementwise(node.function) and same(there, array)
            ):
                return False
        return True

    def _live(self, array: HostArray, now: int) -> list[Node]:
        """The nodes in the same memory that are read then or later."""
        there = self._in.get(id(owner(array)), [])
        there[:] = [node for node in there if self._last[node] >= now]  # the others are over
        return there

    def _stays(self, part: Node, whole: Node, array: HostArray) -> bool:
        """Whether a part is already where it belongs if the joined array is at `array`."""
        return any(
            source is part and same(self._at[part], _part(whole, i, array))
            for i, source in enumerate(whole.sources)
        )

    def _new(self, node: Node, now: int) -> HostArray:
        """Memory that nothing is read from any more, or new memory."""
        free = [
            memory
            for memory in self.memory
            if memory.nbytes >= node.nbytes and not self._live(memory, now)
        ]
        memory = min(free, key=lambda memory: memory.nbytes, default=None)
        if memory is None:
            memory = aligned((node.nbytes,), np.uint8)
            self.memory.append(memory)
        return memory[: node.nbytes].view(node.dtype).reshape(node.shape)

    def _calls(self, node: Node) -> Iterator[Call]:
        """An operation, on the arrays where they are."""
        if node.function in (concat, stack):
            self._settle(node, node.number)
            for i, part in enumerate(node.sources):
                there, place = self._value(part), _part(node, i, self._at[node])
                if place.size and not same(there, place):
                    yield Call(np.copyto, (place, there))
            return
        out = self._place(node)
        arguments = [self._argument(a, node) for a in node.arguments]
        if isinstance(node.function, np.ufunc):
            yield Call(node.function, tuple(arguments), out)
        elif node.function is cast:
            yield Call(np.copyto, (out, arguments[0], "unsafe"))
        elif node.function is np.take:  # "clip" saves a copy; rows and labels were checked
            yield Call(arguments[0].take, (arguments[1], node.keywords["axis"], out, "clip"))
        elif node.function is np.sum:
            yield sum_of(arguments[0], node.keywords, out)
        elif node.function is np.max:
            yield from maximum_of(arguments[0], node.keywords, out)
        else:
            raise CannotRecordError(f"the function {node.function.__name__}")

    def _value(self, node: Node) -> HostArray:
        return node.value if node.kind == CONSTANT else self._at[node]

    def _argument(self, argument: Any, node: Node) -> Any:
        """An argument as the call takes it: numbers as arrays of the right type, not of Python."""
        others = [a for a in node.sources if a is not argument]
        if isinstance(argument, Node) and not argument.uniform:
            return self._value(argument)
        if isinstance(argument, Node):
            number = argument.value[(0,) * argument.value.ndim]
        elif others[0].dtype.kind in ("f" if isinstance(argument, float) else "fi"):
            number = np.asarray(argument, dtype=others[0].dtype)[()]
        else:
            return argument
        if node.function in (np.maximum, np.minimum):
            return self._filled_with(number, node)
        return np.asarray(number) if is_elementwise(node.function) else argument.value

    def _filled_with(self, number: Any, node: Node) -> HostArray:
        """Many times a number: NumPy's maximum of arrays is faster than of array and number."""
        shape = node.shape if prod(node.shape) <= SMALL else node.shape[-1:]
        key = number.tobytes(), number.dtype, shape  # -0.0 == 0.0
        if key not in self._filled:
            self._filled[key] = np.full(shape, number)
        return self._filled[key]

    def _copies(self, results: Pairs) -> Iterator[Call]:
        """The results that are not where they should be."""
        moves = [(self._value(node), array) for node, array in results]
        moves = [(there, array) for there, array in moves if not same(there, array)]
        for i, (there, array) in enumerate(moves):
            if any(overlap(there, other) for _, other in moves):  # as if two were exchanged
                saved = np.empty_like(there)
                yield Call(np.copyto, (saved, there))
                moves[i] = saved, array
        for there, array in moves:
            yield Call(np.copyto, (array, there))


def _uses(
    nodes: Sequence[Node],
) -> tuple[dict[Node, list[Node]], dict[Node, int], dict[Node, tuple[Node, int]]]:
    """The views of each node, its last reader's number, and what it is a part of."""
    views: dict[Node, list[Node]] = {node: [] for node in nodes}
    last = dict.fromkeys(nodes, -1)
    slots: dict[Node, tuple[Node, int]] = {}
    for node in nodes:
        if node.kind == VIEW:
            views[node.arguments[0]].append(node)
        elif node.kind == OPERATION:
            last |= dict.fromkeys(node.sources, node.number)
            if node.function in (concat, stack):
                for i, part in enumerate(node.sources):
                    made = _made(part)
                    if made is not None and made.dtype == node.dtype:
                        slots.setdefault(made, (node, i))
    return views, last, slots


def _made(part: Node) -> Node | None:
    """The operation whose result, perhaps in another shape, is this part of a joined array."""
    reshaped = isinstance(part.function, partial) and part.function.func is np.reshape
    made = part.arguments[0] if part.kind == VIEW and reshaped else part
    return made if made.kind == OPERATION else None


def _part(whole: Node, i: int, array: HostArray) -> HostArray:
    """The place of part i in a joined array."""
    axis = whole.keywords["axis"]
    if whole.function is stack:
        return np.moveaxis(array, axis, 0)[i, ...]
    sizes = [part.shape[axis] for part in whole.sources]
    start = sum(sizes[:i])
    return np.moveaxis(np.moveaxis(array, axis, 0)[start : start + sizes[i]], 0, axis)
