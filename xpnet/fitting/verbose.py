"""What training prints: a line for each epoch, rewritten in place on a terminal."""

import os
import shutil
import sys
from time import perf_counter
from typing import TextIO

from xpnet.fitting.results import Epoch

LINES = 20  # where epochs are short
SECONDS_BETWEEN_LINES = 5.0
SECONDS_BETWEEN_STEPS = 0.1


class EpochLines:
    """The line of each epoch, and whether it is due.

    Parameters
    ----------
    first, last : int
        Numbers of the first epoch of this fit and of its last.
    samples : int
        Samples of an epoch.
    unit : str
        What they are called.
    """

    def __init__(self, first: int, last: int, samples: int, unit: str) -> None:
        self.first, self.last, self.samples, self.unit = first, last, samples, unit
        self.begun = self.printed = perf_counter()

    def number(self, epoch: int) -> str:
        """Return which epoch it is, as in "epoch   3/10"."""
        return f"epoch {epoch:>3}/{self.last}"

    def text(self, epoch: Epoch) -> str:
        """Return the numbers of an epoch, its speed and the time left."""
        done = epoch.epoch - self.first + 1
        left = (perf_counter() - self.begun) / done * (self.last - epoch.epoch)
        speed = f"{self.samples / epoch.seconds:,.0f} {self.unit}/s"
        return f"{status(epoch)}  {speed}  {left:.0f} s left"

    def is_due(self, epoch: Epoch) -> bool:
        """Whether to print its line: the first, the last, some 20 others, and every few seconds."""
        every = -(-(self.last - self.first + 1) // LINES)
        due = epoch.epoch in (self.first, self.last) or not epoch.epoch % every
        if due or perf_counter() - self.printed >= SECONDS_BETWEEN_LINES:
            self.printed = perf_counter()
            return True
        return False


def status(epoch: Epoch) -> str:
    """Return the training loss, and of validation the monitored score, accuracy or else loss."""
    text = f"loss {show_loss(epoch.loss)}"
    if epoch.validation_score is not None:
        return f"{text}  {epoch.monitor} {epoch.validation_score:.4g}"
    if epoch.validation_accuracy is not None:
        return f"{text}  accuracy {epoch.validation_accuracy:.2%}"
    if epoch.validation_loss is not None:
        return f"{text}  validation {show_loss(epoch.validation_loss)}"
    return text


def show_loss(loss: float) -> str:
    """Return four decimals, or four digits of a large or small loss."""
    return f"{loss:.4f}" if 1e-3 <= abs(loss) < 1e4 or loss == 0 else f"{loss:.4g}"


class Printer:
    """What `fit(verbose=True)` prints.

    On a terminal one line is rewritten after steps and epochs; elsewhere it is a line for each
    epoch that is due.

    Parameters
    ----------
    lines : EpochLines
    steps : int
        Steps of an epoch.
    before : int
        Steps that were done before this fit.
    """

    def __init__(self, lines: EpochLines, steps: int, before: int) -> None:
        self.lines, self.steps, self.before = lines, steps, before
        self.stream: TextIO | None = sys.stdout
        self.in_place = is_terminal(self.stream)
        self.latest, self.shown, self.width = "", 0.0, 0

    def on_step(self, step: int) -> None:
        """Rewrite the line, some times a second: how much of the epoch is done."""
        now = perf_counter()
        if not self.in_place or now - self.shown < SECONDS_BETWEEN_STEPS:
            return
        self.shown = now
        epochs, rest = divmod(step - self.before, self.steps)
        number = self.lines.number(min(self.lines.first + epochs, self.lines.last))
        self._rewrite(f"{number}  {rest / self.steps:>4.0%}  {self.latest}")

    def on_epoch(self, epoch: Epoch) -> None:
        """Rewrite the line, or print one if it is due."""
        self.latest = status(epoch)
        line = f"{self.lines.number(epoch.epoch)}  {self.lines.text(epoch)}"
        if self.in_place:
            self._rewrite(line)
        elif self.lines.is_due(epoch):
            print(line, file=self.stream, flush=True)

    def end(self) -> None:
        """End the line that was rewritten."""
        if self.in_place and self.width:
            print(file=self.stream, flush=True)
            self.width = 0

    def _rewrite(self, line: str) -> None:
        line = line[: shutil.get_terminal_size().columns - 1]
        print(f"\r{line:<{self.width}}", end="", file=self.stream, flush=True)
        self.width = len(line)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a line on this stream can be rewritten."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
