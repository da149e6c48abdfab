"""What `xpnet train` prints; its scores by `shown_scores`.  The one user of rich."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from xpnet.cli import run_folder as runs
from xpnet.cli.shown_scores import line, shown
from xpnet.cli.tasks import Task, about_the_test_set, about_validation
from xpnet.data.labels import text_of
from xpnet.data.sources import Samples
from xpnet.device.selection import Device
from xpnet.fitting.evaluation import Evaluation
from xpnet.fitting.results import Epoch, Result
from xpnet.fitting.verbose import EpochLines, status
from xpnet.losses import Loss
from xpnet.model import Model


class Report:
    """Lines, and on a terminal a bar below them.

    Parameters
    ----------
    model : Model
    name : str
        Of the data.
    samples : int
        How many are trained on.
    epochs : int
    quiet : bool
        Print nothing.
    """

    def __init__(self, model: Model, name: str, samples: int, epochs: int, quiet: bool) -> None:
        self.model, self.name, self.samples = model, name, samples
        self.epochs, self.quiet = epochs, quiet
        self.unit = "images" if len(model.input_shape) > 1 else "samples"
        self.lines = EpochLines(1, epochs, samples, self.unit)
        self.status = ""

    def say(self, what: str, text: str) -> None:
        """A line: what it is about, and the text."""
        if not self.quiet:
            print(line(what, text), flush=True)

    def start(self, samples: Samples, task: Task, device: Device, held: int) -> None:
        """Data, of which `held` samples are validated on, task, network and device."""
        train, test = len(samples.x_train), len(samples.x_test)
        shape = " x ".join(map(str, self.model.input_shape))
        self.say("data", f"{self.name}: {train:,} training and {test:,} test samples of {shape}")
        for note in samples.notes:
            self.say("note", note)
        if held_out := about_the_test_set(samples, task):
            self.say("test set", held_out)
        if kept := about_validation(samples, task, held):
            self.say("validation", kept)
        self.say("task", f"{task.name} ({task.why})")
        if samples.labels:
            self.say("classes", ", ".join(map(text_of, samples.labels)))
        network = self.model.network
        self.say("network", f"{network}, {network.size:,} parameters")
        self.say("device", f"{device} ({device.why})")

    @contextmanager
    def live(self, batch_size: int) -> Iterator[Callable[[int], None] | None]:
        """Shows the progress within epochs; gives the function to call after each step."""
        self.lines = EpochLines(1, self.epochs, self.samples, self.unit)
        if self.quiet or sys.stdout is None or not sys.stdout.isatty():
            yield None
            return
        from rich.console import Console  # here, since importing it takes longer than a short run
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console()
        if not console.is_terminal or console.is_dumb_terminal:
            yield None
            return
        steps = -(-self.samples // max(batch_size, 1))
        columns = (TextColumn("{task.description}"), BarColumn(20), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("epoch 1", total=max(steps * self.epochs, 1))
            shown = 0.0

            def on_step(step: int) -> None:
                nonlocal shown
                if perf_counter() - shown > 0.1 or step % steps == 0:
                    shown = perf_counter()
                    number = min(1 + step // steps, self.epochs)
                    text = f"epoch {number}/{self.epochs}  {self.status}"
                    progress.update(task, completed=step, description=text)

            yield on_step

    def epoch(self, epoch: Epoch) -> None:
        """Print the line of an epoch, within 80 columns, if it is due."""
        self.status = status(epoch)
        if self.lines.is_due(epoch):
            self.say(self.lines.number(epoch.epoch), self.lines.text(epoch))

    def end(
        self,
        result: Result,
        test: Evaluation,
        loss: Loss,
        seconds: float,
        device: Device,
        folder: Path,
    ) -> None:
        """What it came to, and where it is."""
        if not self.quiet:
            print(*shown(self.model, test, loss), sep="\n", flush=True)
        epochs = len(result.history)
        speed = self.samples * epochs / sum(epoch.seconds for epoch in result.history)
        took = f"{seconds:.1f} s for {epochs} epochs"
        self.say("time", f"{took}, {speed:,.0f} {self.unit}/s, on {device}")
        self.say("best epoch", f"{result.best_epoch} of {epochs}")
        self.say("files", f"{folder}: {runs.MODEL}, {runs.HISTORY}, {runs.MANIFEST}")
