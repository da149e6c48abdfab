"""Fixtures: a process that has not probed yet, and CuPy as it may be found."""

import sys

import pytest
from helpers import PROBLEMS

from xpnet.device import probing, selection


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has neither probed nor warned."""
    monkeypatch.setattr(selection, "_warned", False)
    monkeypatch.setattr(probing, "_probed", {})


@pytest.fixture(params=PROBLEMS)
def problem(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A reason and a remedy; CuPy is as they say."""
    cupy, reason, remedy = PROBLEMS[request.param]
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return reason, remedy


@pytest.fixture
def no_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
