"""Fusing: steps of the core as plans, which change their arrays in place."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from xpnet.device import remember
from xpnet.fast.plan import Plan, aligned
from xpnet.fast.record import (
    NAMESPACE,
    CannotRecordError,
    HostArray,
    Recorded,
    constant,
    variable,
)

Arrays = tuple[HostArray, ...]
Step = Callable[..., tuple[Any, ...]]

remember(Recorded, NAMESPACE)


def can_fuse(constants: tuple[Any, ...], *parts: Any) -> bool:
    """Whether steps on these arrays, of these layers, losses and optimizers, can be recorded.

    Arrays of NumPy can, and what is of xpnet's own classes: others may do what no recording sees,
    such as drawing numbers.
    """
    return all(type(a) is np.ndarray for a in constants if a is not None) and all(
        type(part).__module__.partition(".")[0] == "xpnet" for part in parts
    )


class Fused:
    """A step, and the plans for what it is called with.

    Parameters
    ----------
    step : callable
        step(constants, arrays, *arguments) gives the next arrays, of the same shapes and types, by
        array code alone.
    constants : tuple of array or None
        What never changes.
    """

    def __init__(self, step: Step, constants: tuple[HostArray | None, ...]) -> None:
        self._step, self._constants = step, constants
        self._arrays: Arrays = ()
        self._unchanged: set[int] = set()
        self._plans: dict[Any, tuple[Plan, list[HostArray | None]] | None] = {}

    def __call__(self, arrays: Arrays, *arguments: HostArray | None) -> Arrays:
        """The next arrays: always the same, written over; those that are given stay as they are.

        Arguments may have other numbers each time; for each of their shapes there is a plan.
        """
        if arrays is not self._arrays:
            self._take(arrays)
        shapes = tuple([None if a is None else a.shape for a in arguments])
        if shapes not in self._plans:
            self._plans[shapes] = self._plan(arguments)
        planned = self._plans[shapes]
        if planned is None:
            self._take(self._step(self._constants, self._arrays, *arguments))
            return self._arrays
        plan, places = planned
        for place, given in zip(places, arguments, strict=True):
            if place is not None:
                np.copyto(place, given)
        plan()
        return self._arrays

    def _take(self, arrays: tuple[Any, ...]) -> None:
        """Let ours be equal to these."""
        if not self._arrays:
            given = [np.asarray(a) for a in arrays]
            self._arrays = tuple(aligned(a.shape, a.dtype) for a in given)
        for i, (mine, given) in enumerate(zip(self._arrays, arrays, strict=True)):
            if mine is not given:
                np.copyto(mine, given)
                if i in self._unchanged:  # it may be part of what plans take for constants
                    self._plans.clear()

    def _plan(
        self, arguments: tuple[HostArray | None, ...]
    ) -> tuple[Plan, list[HostArray | None]] | None:
        """For arguments of these shapes the plan, and where it reads them; or None."""
        places = [None if a is None else aligned(a.shape, a.dtype) for a in arguments]
        try:
            before, given, after = self._record(arguments)
            self._unchanged = {i for i, a in enumerate(before) if a is after[i]}
            if self._unchanged:
                before, given, after = self._record(arguments)
            pairs = [*zip(before, self._arrays, strict=True), *zip(given, places, strict=True)]
            plan = Plan(
                [(a.node, place) for a, place in pairs if a is not None and place is not None],
                [(a.node, place) for a, place in zip(after, self._arrays, strict=True)],
            )
        except CannotRecordError as error:
            warnings.warn(
                f"there is no fast path for this network ({error}): the results are the same, and "
                "take longer",
                RuntimeWarning,
                stacklevel=2,
            )
            return None
        return plan, places

    def _record(
        self, arguments: tuple[HostArray | None, ...]
    ) -> tuple[list[Recorded], list[Recorded | None], tuple[Recorded, ...]]:
        """The arrays before a step, its arguments and the arrays after it, as they are recorded."""
        before = [
            constant(a) if i in self._unchanged else variable(a) for i, a in enumerate(self._arrays)
        ]
        given = [None if a is None else variable(a) for a in arguments]
        constants = tuple(None if a is None else constant(a) for a in self._constants)
        return before, given, self._step(constants, tuple(before), *given)


def fuse(step: Step, constants: tuple[HostArray | None, ...]) -> Callable[..., Arrays]:
    """The same step, faster; it changes its arrays in place.  See `Fused`."""
    return Fused(step, constants)
