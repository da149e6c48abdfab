"""What `xpnet train` prints.  The one user of rich."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from xpnet import run as runs
from xpnet.datasets import Samples
from xpnet.device import Device
from xpnet.evaluation import Evaluation
from xpnet.model import Model
from xpnet.train import Epoch, Result


class Report:
    """Lines, and on a terminal a bar below them.

    Parameters
    ----------
    model : Model
    name : str
        Of the data.
    images : int
        How many are trained on.
    epochs : int
    quiet : bool
        Print nothing.
    """

    def __init__(self, model: Model, name: str, images: int, epochs: int, quiet: bool) -> None:
        self.model, self.name, self.images = model, name, images
        self.epochs, self.quiet = epochs, quiet
        self.begun, self.status = perf_counter(), ""

    def say(self, what: str, text: str) -> None:
        """A line: what it is about, and the text."""
        if not self.quiet:
            print(f"{what:<14} {text}", flush=True)

    def start(self, samples: Samples, device: Device) -> None:
        """Data, network and device."""
        train, test = len(samples.x_train), len(samples.x_test)
        shape = " x ".join(map(str, self.model.input_shape))
        self.say(
            "data",
            f"{self.name}: {train:,} training and {test:,} test samples of {shape}, "
            f"{len(self.model.labels)} classes",
        )
        network = self.model.network
        self.say("network", f"{network}, {network.size:,} parameters")
        self.say("device", f"{device} ({device.why})")

    @contextmanager
    def live(self, batch_size: int) -> Iterator[Callable[[int], None] | None]:
        """Shows the progress within epochs; gives the function to call after each step."""
        self.begun = perf_counter()
        console = Console()
        if self.quiet or not console.is_terminal or console.is_dumb_terminal:
            yield None
            return
        steps = -(-self.images // max(batch_size, 1))
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
        """One line, within 80 columns."""
        left = (perf_counter() - self.begun) / epoch.epoch * (self.epochs - epoch.epoch)
        self.status = f"loss {show_loss(epoch.loss)}"
        if epoch.validation_accuracy is not None:
            self.status += f"  accuracy {epoch.validation_accuracy:.2%}"
        elif epoch.validation_loss is not None:
            self.status += f"  validation {show_loss(epoch.validation_loss)}"
        speed = f"{self.images / epoch.seconds:,.0f} images/s"
        number = f"epoch {epoch.epoch:>3}/{self.epochs}"
        self.say(number, f"{self.status}  {speed}  {left:.0f} s left")

    def end(
        self, result: Result, test: Evaluation, seconds: float, device: Device, folder: Path
    ) -> None:
        """What it came to, and where it is."""
        self.say("test accuracy", show_accuracy(test))
        self.say("test loss", show_loss(test.loss))
        epochs = len(result.history)
        speed = self.images * epochs / sum(epoch.seconds for epoch in result.history)
        self.say("time", f"{seconds:.1f} s for {epochs} epochs, {speed:,.0f} images/s, on {device}")
        self.say("best epoch", f"{result.best_epoch} of {epochs}")
        self.say("files", f"{folder}: {runs.MODEL}, {runs.HISTORY}, {runs.MANIFEST}")


def show_loss(loss: float) -> str:
    """Four decimals; four digits of a huge one."""
    return f"{loss:.4f}" if abs(loss) < 1e4 else f"{loss:.4g}"


def show_accuracy(evaluation: Evaluation) -> str:
    """In per cent, of how many samples, with its interval."""
    if evaluation.accuracy is None or evaluation.interval is None:
        return "none: the model has no classes"
    low, high = evaluation.interval
    return (
        f"{evaluation.accuracy:.2%} of {evaluation.samples:,} samples "
        f"(95 % interval: {low:.2%} to {high:.2%})"
    )
