"""Each script runs in its small mode, and prints its table."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"
SMALL = {
    "accuracy.py": ["--seeds", "2", "--epochs", "1", "--limit", "1000"],
    "bench_step.py": ["--batch-sizes", "32,64", "--rounds", "2"],
}


def test_every_script_has_a_small_mode() -> None:
    assert {path.name for path in SCRIPTS.glob("*.py")} == set(SMALL)


@pytest.mark.parametrize("script", SMALL)
def test_a_script_prints_a_table_with_two_rows(script: str) -> None:
    command = [sys.executable, str(SCRIPTS / script), *SMALL[script]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == 3
    assert len({row.count("|") for row in rows}) == 1
    assert not done.stderr


@pytest.mark.parametrize("script", SMALL)
def test_a_script_says_what_it_is_for(script: str) -> None:
    command = [sys.executable, str(SCRIPTS / script), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "usage:" in done.stdout
