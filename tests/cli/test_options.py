"""Options that commands share."""

from pathlib import Path

import pytest
from helpers import names, refused, train

from xpnet.cli import run


@pytest.mark.filterwarnings("default")
def test_more_threads_than_may_be_used_are_warned_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xpnet.tools.threads.most", lambda: 2)
    assert train("--threads", "2", "--epochs", "1") == 0
    assert not capsys.readouterr().err
    assert train("--threads", "3", "--epochs", "1") == 0
    warned = "xpnet: warning: --threads 3: this process may use 2; more are slower\n"
    assert capsys.readouterr().err == warned


@pytest.mark.parametrize("command", ["train", "evaluate .", "predict x.npy"])
@pytest.mark.parametrize("threads", ["0", "-1"])
def test_less_than_a_thread_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str, threads: str
) -> None:
    code = run([*command.split(), "--threads", threads])
    refused(capsys, code, 2, f"--threads must be a whole number in [1, inf), got {threads}")
    assert names(folder) == ["tiny.npz"]
