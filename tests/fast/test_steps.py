"""Steps that write over their arrays: what does not change, and what is kept."""

from typing import Any, NamedTuple

import numpy as np
from helpers import replace_rows

from xpnet.fast.host.step import HostStep


class Pair(NamedTuple):
    """A state of two parts."""

    moves: Any
    stays: Any


def test_what_does_not_change_is_a_constant_until_it_is_given_anew() -> None:
    fast = HostStep(
        lambda constants, pair, rows: Pair(pair.moves * (2 * pair.stays), pair.stays),
        (), {"stays"},
    )  # fmt: skip
    rows, ones = replace_rows(np.zeros(1)), np.ones(3)
    first = fast(Pair(ones, ones), rows, 0)
    assert first[0].tolist() == [2, 2, 2]
    (prepared,) = fast._prepared.values()
    assert len(prepared.plan._run) == 1
    fast(Pair(ones, first.stays), rows, 0)
    assert prepared in fast._prepared.values()  # nothing to plan anew
    assert fast(Pair(ones, 3 * ones), rows, 0).moves.tolist() == [6, 6, 6]
    assert fast(Pair(ones, np.arange(3.0)), rows, 0).moves.tolist() == [0, 2, 4]


def test_a_snapshot_is_not_overwritten() -> None:
    """Nested tuples come back as they were."""

    def step(constants: Any, pair: Pair, rows: Any) -> Pair:
        return Pair(pair.moves + 1, (pair.stays[0] * 2,))

    fast, rows = HostStep(step, ()), replace_rows(np.zeros(1))
    state = fast(Pair(np.zeros(2), (np.ones(2),)), rows, 0)
    snapshot = fast.snapshot(state)
    assert fast(state, rows, 0) is state
    assert isinstance(snapshot, Pair)
    assert (snapshot.moves.tolist(), snapshot.stays[0].tolist()) == ([1, 1], [2, 2])
    assert (state.moves.tolist(), state.stays[0].tolist()) == ([2, 2], [4, 4])
    assert not snapshot.moves.flags.writeable
