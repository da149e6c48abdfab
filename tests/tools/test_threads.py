"""How many threads: from the cores, the batch and the widths alone."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from xpnet.builder import mlp
from xpnet.layers import Dense
from xpnet.network import Network
from xpnet.tools import threads

NETWORK = mlp(784, 128, 10).network


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in threads.VARIABLES:
        monkeypatch.delenv(name, raising=False)


def have_cores(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)


@pytest.mark.parametrize(
    ("rows", "cores", "expected"),
    [(1, 8, 1), (128, 8, 1), (334, 8, 1), (335, 8, 2), (1024, 8, 6), (1024, 2, 2), (10**6, 8, 8)],
)
def test_a_thread_for_so_many_multiplications_and_at_most_one_for_each_core(
    rows: int, cores: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    have_cores(monkeypatch, cores)
    assert threads.suited(NETWORK, rows) == expected


def test_the_widest_pair_of_layers_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    have_cores(monkeypatch, 8)
    layers = Dense(10, 2048), Dense(2048, 2048), Dense(2048, 10)
    assert threads.suited(Network(10, layers), 16) == 4


def test_the_cores_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    have_cores(monkeypatch, 3)
    assert threads.most() == 3
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert threads.most() == 5
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert threads.most() == 1


@pytest.mark.parametrize("name", threads.VARIABLES)
@pytest.mark.parametrize(("said", "expected"), [("2", 2), ("9", 4), ("0", 4), ("", 4), ("all", 4)])
def test_a_variable_of_the_users_bounds_them(
    name: str, said: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    have_cores(monkeypatch, 4)
    monkeypatch.setenv(name, said)
    assert threads.most() == expected


def blas_threads() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_they_are_given_back_even_after_an_error() -> None:
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        error = pytest.raises(ZeroDivisionError)
        with error, threads.limited(1) as taken:
            assert (taken, blas_threads()) == (1, [1] * len(before))
            raise ZeroDivisionError
        assert blas_threads() == before


def test_what_the_blas_cannot_take_is_not_said_to_be_taken() -> None:
    for asked in (10**6, 2**32 + 1, 10**20):
        with threads.limited(asked) as taken:
            assert taken == max(blas_threads(), default=1)
            assert taken > 1 or not blas_threads()


class Pools:
    """A process as threadpoolctl sees it, with pools of these threads by user_api."""

    def __init__(self, **threads: int) -> None:
        self.threads = threads

    @contextmanager
    def limit(self, *, limits: int, user_api: str) -> Iterator[None]:
        self.threads |= {name: limits for name in self.threads if name == user_api}
        yield

    def select(self, *, user_api: str) -> "Pools":
        return Pools(**{name: n for name, n in self.threads.items() if name == user_api})

    def info(self) -> list[dict[str, int]]:
        return [{"num_threads": n} for n in self.threads.values()]


def test_the_threads_of_others_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    pools = Pools(blas=4, openmp=8)
    monkeypatch.setattr("threadpoolctl.ThreadpoolController", lambda: pools)
    with threads.limited(3) as taken:
        assert (taken, pools.threads) == (3, {"blas": 3, "openmp": 8})


def test_an_unknown_blas_counts_as_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threadpoolctl.ThreadpoolController", lambda: Pools(openmp=8))
    with threads.limited(3) as taken:
        assert taken == 1


def test_after_a_failed_import_the_variable_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
        raise ImportError(name)

    monkeypatch.setattr(threads, "import_module", fail)
    monkeypatch.delitem(sys.modules, "numpy")
    with pytest.raises(ImportError, match="numpy"):
        threads.import_numpy()
    assert "OPENBLAS_NUM_THREADS" not in os.environ


def after_import(**setting: str) -> list[str]:
    """The variable afterwards, as repr gives it, and the threads of a fresh interpreter's BLAS."""
    code = (
        "import os, xpnet.tools.threads as t; t.import_numpy(); from threadpoolctl import *; print("
        "repr(os.getenv('OPENBLAS_NUM_THREADS')), *(p['num_threads'] for p in threadpool_info()))"
    )
    kept = {name: text for name, text in os.environ.items() if name not in threads.VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", code], env=kept | setting, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.skipif(
    not any(pool["internal_api"] == "openblas" for pool in threadpool_info()),
    reason="NumPy has another BLAS here",
)
def test_numpy_is_imported_with_one_thread_unless_the_user_says_otherwise() -> None:
    assert after_import() == ["None", "1"]
    assert after_import(OPENBLAS_NUM_THREADS="2") == ["'2'", "2"]
    assert after_import(OPENBLAS_NUM_THREADS="")[0] == "''"
    assert after_import(OMP_NUM_THREADS="2") == ["None", "2"]
