"""Steps that write over their arrays: what those on NumPy (`fused`) and on CuPy (`gpu`) share."""

import warnings
from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

from xpnet.arrays import Array
from xpnet.device.problems import first_line
from xpnet.fast.record import CannotRecordError, Node, Recorded

Arrays = tuple[Array, ...]
Step = Callable[..., tuple[Any, ...]]


class Tables(Protocol):
    """What the steps of an epoch are given (`fitting.steps.Tables`)."""

    rows: Array
    scalars: Array
    keys: Array | None
    samples_per_step: int

    def at(self, i: int) -> tuple[Array, Array, Array | None]:
        """The arguments of step i."""


class InPlaceStep:
    """A step, and the arrays that it writes over.

    Parameters
    ----------
    step : callable
        step(constants, arrays, *arguments) gives the next arrays, of the same shapes and types, by
        array code alone.
    constants : tuple of array or None
        What never changes.
    unchanged : collection of int
        Which of the arrays the step gives back as they are.
    """

    def __init__(
        self, step: Step, constants: tuple[Array | None, ...], unchanged: Collection[int]
    ) -> None:
        self._step, self._constants, self._unchanged = step, constants, unchanged
        self._arrays: Arrays = ()

    def _news(self, arrays: Sequence[Array]) -> list[tuple[int, Array, Array]]:
        """Which of our arrays are not those given: their numbers, they, and what to write there."""
        ours = {id(a) for a in self._arrays}
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
