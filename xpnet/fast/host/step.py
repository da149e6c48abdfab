"""`HostStep`: a training step on NumPy arrays in place, by a plan of calls."""

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from xpnet.arrays import HostArray
from xpnet.errors import UsageError
from xpnet.fast.host.draws import Draws
from xpnet.fast.host.memory import aligned
from xpnet.fast.host.plan import Plan
from xpnet.fast.nodes import VARIABLE, needed
from xpnet.fast.record import constant, variable
from xpnet.fast.steps import (
    InPlaceStep,
    State,
    StepFunction,
    Tables,
    leaves,
    warn_of_the_plain_path,
)
from xpnet.random import units_of


class Prepared(NamedTuple):
    """A plan, where it reads its arguments, and where the units are that were drawn for it."""

    plan: Plan
    places: list[HostArray | None]
    draws: list[tuple[Draws, HostArray]]


class HostStep(InPlaceStep):
    """A step on NumPy, and the plans for the shapes that it is called with."""

    frees_first = True

    def __init__(
        self,
        step: StepFunction,
        constants: tuple[HostArray | None, ...],
        unchanged: Collection[str] = (),
    ) -> None:
        super().__init__(step, constants, unchanged)
        self._memory: list[HostArray] = []  # of all plans
        self._prepared: dict[Any, Prepared | None] = {}

    def __call__(self, state: State, tables: Tables, i: int) -> State:
        """The state after step i: always the same arrays, written over; not those given."""
        if state is not self._state:
            self._take(state)
        arguments = tables.at(i)
        shapes = tuple([None if a is None else a.shape for a in arguments])
        if shapes not in self._prepared:
            self._prepared[shapes] = self._prepare(arguments)
        prepared = self._prepared[shapes]
        if prepared is None:
            self._take(self._step(self._constants, self._state, *arguments))
            return self._state
        for place, given in zip(prepared.places, arguments, strict=True):
            if place is not None and given is not None:
                np.copyto(place, given)
        for draws, place in prepared.draws:
            assert tables.keys is not None
            np.copyto(place, draws.at(tables.keys, i))
        prepared.plan()
        return self._state

    def _take(self, state: State) -> None:
        """Let ours be equal to these."""
        if self._state is None:
            given = [np.asarray(a) for a in leaves(state)]
            self._adopt(state, [aligned(a.shape, a.dtype) for a in given])
        for i, mine, new in self._news(state):
            np.copyto(mine, new)
            if i in self._unchanged:  # it may be part of what plans take for constants
                self._prepared.clear()

    def _prepare(self, arguments: tuple[HostArray | None, ...]) -> Prepared | None:
        """The plan for arguments of these shapes; None if the step cannot be recorded."""
        places = [None if a is None else aligned(a.shape, a.dtype) for a in arguments]
        before = [
            constant(a) if i in self._unchanged else variable(a) for i, a in enumerate(self._arrays)
        ]
        given = [None if a is None else variable(a) for a in arguments]
        constants = tuple(None if a is None else constant(a) for a in self._constants)
        try:
            results = self._results(self._after(constants, before, given))
            drawn = [
                (node, aligned(node.shape, node.dtype))
                for node in needed([node for node, _ in results])
                if node.kind == VARIABLE and node.function is units_of
            ]
            pairs = [*zip(before, self._arrays, strict=True), *zip(given, places, strict=True)]
            read = [(a.node, place) for a, place in pairs if a is not None and place is not None]
            plan = Plan([*read, *drawn], results, self._memory)
            self._memory = plan.memory
            draws = [(Draws(node), place) for node, place in drawn]
        except UsageError:  # of the step itself
            raise
        except Exception as error:  # a fault of the step itself will show when it is called
            warn_of_the_plain_path(error)
            return None
        return Prepared(plan, places, draws)
