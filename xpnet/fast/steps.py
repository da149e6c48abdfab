"""`InPlaceStep`: a step that writes over its arrays, on the host or on a GPU."""

import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Protocol

from xpnet.arrays import Array, frozen_copy
from xpnet.device.problems import first_line
from xpnet.fast.nodes import CannotRecordError, Node
from xpnet.fast.record import Recorded

State = Any  # a tuple of arrays and of such tuples, named or not
StepFunction = Callable[..., State]


class Tables(Protocol):
    """What the steps of an epoch are given (`fitting.steps.Tables`)."""

    rows: Array
    scalars: Array
    keys: Array | None
    samples_per_step: int

    def at(self, i: int) -> tuple[Array, Array, Array | None]:
        """The arguments of step i."""


def leaves(state: State) -> Iterator[Array]:
    """The arrays of a state, in their order."""
    for part in state:
        if isinstance(part, tuple):
            yield from leaves(part)
        else:
            yield part


def rebuilt(like: State, arrays: Iterator[Array]) -> State:
    """The state of these arrays, with the tuples of `like`."""
    parts = [rebuilt(part, arrays) if isinstance(part, tuple) else next(arrays) for part in like]
    return type(like)(*parts) if hasattr(like, "_fields") else tuple(parts)


class InPlaceStep:
    """A step, and the arrays that it writes over.

    Parameters
    ----------
    step : callable
        step(constants, state, *arguments) gives the next state, of arrays of the same shapes and
        types, by array code alone.
    constants : tuple of array or None
        What never changes.
    unchanged : collection of str
        Fields of the state that the step gives back as they are, each an array.

    Attributes
    ----------
    in_place, frees_first : bool
        As in `fitting.steps.Step`.
    """

    in_place = True
    frees_first = False

    def __init__(
        self, step: StepFunction, constants: tuple[Array | None, ...], unchanged: Collection[str]
    ) -> None:
        self._step, self._constants, self._names = step, constants, unchanged
        self._arrays: tuple[Array, ...] = ()
        self._unchanged: set[int] = set()  # places in `_arrays`
        self._state: State = None  # of `_arrays`

    def snapshot(self, arrays: State) -> State:
        """Return copies, which later steps do not overwrite, in the same tuples."""
        return rebuilt(arrays, map(frozen_copy, leaves(arrays)))

    def _adopt(self, state: State, arrays: Sequence[Array]) -> None:
        """Write over these arrays from now on, for states of the same structure as this one."""
        self._arrays, self._state = tuple(arrays), rebuilt(state, iter(arrays))
        places = {id(a): i for i, a in enumerate(self._arrays)}
        self._unchanged = {places[id(getattr(self._state, name))] for name in self._names}

    def _after(
        self, constants: Sequence[Any], before: Sequence[Any], arguments: Sequence[Any]
    ) -> list[Recorded]:
        """What a step makes of recorded arrays."""
        state = rebuilt(self._state, iter(before))
        return [*leaves(self._step(constants, state, *arguments))]

    def _news(self, state: State) -> list[tuple[int, Array, Array]]:
        """Which of our arrays are not those given: their numbers, they, and what to write there."""
        arrays, ours = leaves(state), {id(a) for a in self._arrays}
        return [
            (i, mine, given.copy() if id(given) in ours else given)  # some may change places
            for i, (mine, given) in enumerate(zip(self._arrays, arrays, strict=True))
            if mine is not given
        ]

    def _results(self, after: Sequence[Recorded]) -> list[tuple[Node, Array]]:
        """What a recording computes, and the array in which it is to be afterwards."""
        results = [
            (a.node, place)
            for i, (a, place) in enumerate(zip(after, self._arrays, strict=True))
            if i not in self._unchanged
        ]
        for node, place in results:
            if (node.shape, node.dtype) != (place.shape, place.dtype):
                raise CannotRecordError(
                    f"{place.dtype} {place.shape} becomes {node.dtype} {node.shape}"
                )
        return results


def warn_of_the_plain_path(error: Exception) -> None:
    """Say why a step is called as it is written."""
    warnings.warn(
        f"there is no fast path for this network ({reason(error)}): the results are the same, and "
        "take longer",
        RuntimeWarning,
        stacklevel=3,
    )


def reason(error: Exception) -> str:
    """An error in a line; a compiler's is long."""
    return str(error) if isinstance(error, CannotRecordError) else first_line(error)
