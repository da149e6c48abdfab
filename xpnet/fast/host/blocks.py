"""Calls of NumPy on long vectors, made block by block.

One operation after the other would fetch each vector from memory for each; a block stays in the
cache through all of them.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from xpnet.arrays import HostArray
from xpnet.fast.host.calls import Call, is_elementwise
from xpnet.fast.host.memory import address, aligned

BLOCK = 2**15  # elements of a long vector that go through all operations before the next


def in_blocks(
    calls: Sequence[Call], memory: Sequence[HostArray]
) -> tuple[list[Call], list[HostArray]]:
    """The calls, those on long vectors by blocks.

    Parameters
    ----------
    calls : sequence of Call
    memory : sequence of uint8 array
        Where results of the calls are that nothing else needs.

    Returns
    -------
    (list of Call, list of uint8 array)
        The calls; and the memory that they need: what is read within blocks alone needs but that
        of one.
    """
    made: list[Call] = []
    scratch: dict[int, HostArray] = {}  # in the place of which memory
    for start, stop in _runs(calls):
        run, others = calls[start:stop], [*calls[:start], *calls[stop:]]
        if not _is_long(run[0]):
            made += run
            continue
        mine = {
            i: aligned((BLOCK * 8,), np.uint8)
            for i, m in enumerate(memory)
            if _begin_at(run, m) and not any(_touches(call, m) for call in others)
        }
        scratch |= mine
        made += _blocks(run, [(memory[i], small) for i, small in mine.items()])
    return made, [scratch.get(i, m) for i, m in enumerate(memory)]


def _runs(calls: Sequence[Call]) -> Iterator[tuple[int, int]]:
    """Start and stop of the calls that go together: on long vectors many, others alone."""
    start = 0
    for i in range(1, len(calls) + 1):
        if i == len(calls) or not _continues(calls[start:i], calls[i]):
            yield start, i
            start = i


def _is_long(call: Call) -> bool:
    """Whether it is element by element on vectors of many blocks."""
    out = call.out
    return (
        is_elementwise(call.function)
        and out is not None
        and out.ndim == 1
        and out.size >= 4 * BLOCK
        and all(isinstance(a, np.ndarray) for a in call.arguments)
        and all(a.shape in ((), out.shape) and a.flags.c_contiguous for a in call.arguments)
    )


def _continues(run: Sequence[Call], call: Call) -> bool:
    """Whether a call may join the run: nothing in it is read too late, or written too early."""
    if not (_is_long(run[0]) and _is_long(call)):
        return False
    there = [a for other in run for a in other.arrays]
    return all(_may_meet(a, b) for a in call.arrays for b in there)


def _may_meet(a: HostArray, b: HostArray) -> bool:
    """Whether two arrays can be in one run: block i of one has no part in block j of the other.

    A number, which every block reads, must not be written over by a vector.
    """
    if not np.may_share_memory(a, b):
        return True
    return a.ndim == b.ndim and (address(a), a.itemsize) == (address(b), b.itemsize)


def _touches(call: Call, memory: HostArray) -> bool:
    return any(np.may_share_memory(a, memory) for a in call.arrays)


def _begin_at(run: Sequence[Call], memory: HostArray) -> bool:
    """Whether the vectors of the run that are in the memory begin where it does."""
    there = [a for call in run for a in call.arrays if np.may_share_memory(a, memory)]
    return bool(there) and all(address(a) == address(memory) for a in there)


def _blocks(run: Sequence[Call], scratch: Sequence[tuple[HostArray, HostArray]]) -> Iterator[Call]:
    """The calls of a run on the first block of each vector, on the second, and so on."""

    def part(array: HostArray, start: int, stop: int) -> HostArray:
        if not array.ndim:
            return array
        for memory, small in scratch:
            if np.may_share_memory(array, memory):
                return small[: (stop - start) * array.itemsize].view(array.dtype)
        return array[start:stop]

    outs = [call.out for call in run if call.out is not None]
    sizes = {out.size for out in outs}
    for start, stop in pairwise(sorted({*range(0, max(sizes), BLOCK), *sizes})):
        for call, out in zip(run, outs, strict=True):
            if stop <= out.size:
                arguments = tuple(part(a, start, stop) for a in call.arguments)
                yield Call(call.function, arguments, part(out, start, stop))
