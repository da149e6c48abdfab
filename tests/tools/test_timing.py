"""`xpnet.tools.timing`: that it measures what it says.  No test asserts a time."""

import threading
from collections.abc import Callable

import pytest

from xpnet.tools import timing


def test_every_side_is_measured_as_often() -> None:
    calls = {"a": 0, "b": 0}

    def side(name: str) -> Callable[[], None]:
        def function() -> None:
            calls[name] += 1

        return function

    sides = {name: timing.repeat(side(name)) for name in calls}
    times = timing.measure(sides, rounds=3, seconds=1e-4)
    assert {name: len(t.wall) for name, t in times.items()} == {"a": 3, "b": 3}
    assert all(t.min > 0 and len(t.cpu) == 3 for t in times.values())
    assert all(calls.values())


def test_a_time_is_per_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock advances by 0.25 ms a step, and the time of two cores by twice that."""
    asked = []

    def steps(calls: int) -> int:
        asked.append(calls)
        return 1000  # it could do no less

    monkeypatch.setattr(timing, "perf_counter", lambda: 5 + 0.25 * len(asked))
    monkeypatch.setattr(timing, "process_time", lambda: 2 + 0.5 * len(asked))
    assert timing.block(steps, 20) == (250, 500)
    assert asked == [2, 20]  # a tenth of the calls first, which are not measured


def test_cores_are_the_time_of_the_processor_by_that_of_the_clock() -> None:
    times = timing.Times([10.0, 30.0, 20.0], [20.0, 60.0, 40.0])
    assert (times.min, times.median, times.cores) == (10, 20, 2)


def test_a_training_goes_some_steps_at_a_time() -> None:
    done, before = [], {*threading.enumerate()}

    def train(on_step: Callable[..., None]) -> None:
        while True:
            done.append(None)
            on_step(len(done))

    with timing.step_by_step(train) as steps:
        counts = [steps(n) or len(done) for n in (1, 5, 2)]
    assert counts == [1, 6, 8]
    assert not {*threading.enumerate()} - before


def test_what_goes_wrong_in_a_training_is_told() -> None:
    def train(on_step: Callable[..., None]) -> None:
        raise ValueError("no such thing")

    with (
        timing.step_by_step(train) as steps,
        pytest.raises(ValueError, match="no such thing"),
    ):
        steps(1)
