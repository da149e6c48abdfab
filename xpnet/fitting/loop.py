"""The loop over epochs: the best one is kept, patience ends it, divergence is an error.

Between the first and the last step of an epoch nothing is copied between host and device, and
nothing waits: the order of the samples, the table of each step's scalars and the keys of
layers that draw go up before the first, and the sums of loss and hits come down after the last.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from math import isfinite
from time import perf_counter
from typing import NamedTuple

import numpy as np

from xpnet.arrays import namespace, to_numpy
from xpnet.device.gpu_errors import failures
from xpnet.errors import DeviceFailedError, DivergedError, XpnetError
from xpnet.fitting.monitoring import WORST, Improvement
from xpnet.fitting.plan import TrainingPlan
from xpnet.fitting.results import Epoch, History, Result
from xpnet.fitting.state import Progress
from xpnet.fitting.steps import run_steps, training_step, upload
from xpnet.fitting.validation import measure_of_monitor, validation
from xpnet.model import Model
from xpnet.plausible import farthest

FAR = 1e6  # deviations from the mean that no learning rate copes with
OnStep = Callable[[int], None]
OnEpoch = Callable[[Epoch, Result], bool | None]


class Best(NamedTuple):
    """The best epoch so far: its model (None while it is exchanged), score and number."""

    model: Model | None
    score: tuple[float, float]
    epoch: int


class Training:
    """The epochs of a fit, and the best of them so far.

    Parameters
    ----------
    plan : TrainingPlan
    progress : Progress
        Where to begin.
    before : Result
        The best model and the history before this fit.
    """

    def __init__(self, plan: TrainingPlan, progress: Progress, before: Result) -> None:
        self.plan, self.progress = plan, progress
        self.first = progress.steps
        self.step, self.validate = training_step(plan), validation(plan)
        self.measure = measure_of_monitor(plan) if plan.monitor.is_measured_apart else None
        self.history, number = before.history, before.best_epoch
        worst = WORST, WORST
        best = plan.monitor.score(self.history[number - 1]) if number else worst
        self.best = Best(before.model, best, number)
        self.between_epochs = self.compared = True

    def run(
        self,
        patience: int | None,
        min_delta: float,
        on_step: OnStep | None,
        on_epoch: OnEpoch | None,
        show: Callable[[Epoch], None] | None,
    ) -> Result:
        """Run the epochs to the end, or until a callback or patience ends them.

        Every error, and KeyboardInterrupt, carries the result so far as its attribute `result`.
        """
        try:
            improvement = Improvement(self.plan.monitor, min_delta)
            for epoch in self.history:
                improvement.compare(epoch)
            for _ in range(self.plan.epochs):
                epoch = self.run_epoch(on_step)
                improvement.compare(epoch)
                with self.failing(f"after epoch {epoch.epoch}"):
                    self.keep_the_best(epoch)
                    if show is not None:
                        show(epoch)
                    ends = on_epoch is not None and _is_true(on_epoch(epoch, self.snapshot()))
                if ends or (patience and epoch.epoch - improvement.last >= patience):
                    break
            return self.result(self.progress)
        except BaseException as error:
            self.attach_result(error)
            raise

    def attach_result(self, error: BaseException) -> None:
        """Give an error the result so far, if it has none from this fit, and say so in a note."""
        if isinstance(error, XpnetError) and getattr(error, "result", None) is not None:
            return
        result = self.result_so_far()
        with suppress(AttributeError):  # an exception that takes no attribute
            error.result = result  # type: ignore[attr-defined]
            error.add_note(
                f"The result of {len(result.history)} epochs is the attribute result of this error."
            )

    def run_epoch(self, on_step: OnStep | None) -> Epoch:
        """Train on every sample once, and validate."""
        start, plan, progress = perf_counter(), self.plan, self.progress
        self.between_epochs = False
        factors = plan.factors(progress.steps - self.first, self.history)
        steps = f"{progress.steps + 1} to {progress.steps + plan.steps_per_epoch}"
        where = f"in epoch {progress.epochs + 1}, steps {steps}"
        with self.failing(where):
            tables = upload(plan, progress, factors, self.first)
            progress = run_steps(plan, self.step, progress, tables, on_step)
            state = progress.state
            xp = namespace(state.theta)
            loss = state.loss + 0 * xp.sum(state.theta)  # 0, or NaN if θ isn't finite
            total, *hits = self.validate(*state.weights)
            sums = [loss, total, *hits]
            # Here, once per epoch, the device is waited for.
            numbers = to_numpy(xp.stack([xp.astype(a, total.dtype) for a in sums])).tolist()
            finite = all(map(isfinite, numbers))
            measured = self.measure(*state.weights) if self.measure and finite else None
        seconds = perf_counter() - start
        epoch = self.summary(progress.epochs, numbers, measured, factors[-1], seconds)
        if not finite:
            raise DivergedError(self.diverged(epoch), self.result(None))
        self.compared = False
        self.progress, self.history = progress, History((*self.history, epoch))
        self.between_epochs = True
        return epoch

    def summary(
        self,
        number: int,
        sums: Sequence[float],
        measured: float | None,
        factor: float,
        seconds: float,
    ) -> Epoch:
        """The epoch's means, from the sums over training and validation samples."""
        n, held = len(self.plan.rows), len(self.plan.validation_rows)
        return Epoch(
            epoch=number,
            loss=sums[0] / n,
            validation_loss=sums[1] / held if held else None,
            validation_accuracy=min(sums[2] / held, 1.0) if held and len(sums) > 2 else None,
            learning_rate=self.plan.optimizer.rate * factor,
            seconds=seconds,
            validation_score=measured,
            monitor="" if measured is None else self.plan.monitor.name,
        )

    def keep_the_best(self, epoch: Epoch) -> None:
        """Keep the model of this epoch if it is better, or if there is no validation."""
        new, number = self.plan.monitor.score(epoch), epoch.epoch
        if new > self.best.score or not len(self.plan.validation_rows):
            if self.step.frees_first:
                self.best = Best(None, new, number)
            self.best = Best(self.latest(), new, number)
        self.compared = True

    def latest(self) -> Model:
        """Return the model of the last epoch."""
        theta, buffers = self.step.snapshot(self.progress.state.weights)
        return replace(self.plan.model, theta=theta, buffers=self.plan.all_buffers(buffers))

    def snapshot(self) -> Result:
        """The result so far, which later steps do not change."""
        state = self.step.snapshot(self.progress.state)
        return self.result(replace(self.progress, state=state))

    def result(self, progress: Progress | None) -> Result:
        """Return the best model so far, the history, and the state to continue from."""
        model = self.latest() if self.best.model is None else self.best.model
        return Result(model, self.history, self.best.epoch, progress)

    def result_so_far(self) -> Result:
        """Return the result up to the last whole epoch, after an error.

        In the middle of an epoch, steps in place have written over the state after the last one.
        """
        if self.between_epochs and not self.compared:
            with suppress(Exception):  # of a device that failed; then the best is one before it
                self.keep_the_best(self.history[-1])
        whole = self.between_epochs or not self.step.in_place
        return self.result(self.progress if whole else None)

    @contextmanager
    def failing(self, where: str) -> Iterator[None]:
        """Say where training stood when a GPU failed, and attach the result so far."""
        try:
            with failures("make batches smaller (--batch-size)"):
                yield
        except DeviceFailedError as error:
            raise DeviceFailedError(f"{where}: {error}", self.result_so_far()) from error

    def diverged(self, epoch: Epoch) -> str:
        kept = f"the model of epoch {self.best.epoch} is kept" if self.best.epoch else (
            "no epoch was good, so there is no model"
        )  # fmt: skip
        bad = epoch.loss if not isfinite(epoch.loss) else epoch.validation_loss or "infinite"
        return f"the loss became {bad} in epoch {epoch.epoch}; {kept}. {self.remedy()}"

    def remedy(self) -> str:
        """What to do about a loss that is not finite: about numbers that are far off, if any are.

        Of n samples that a model is scaled to, none is more than √n deviations from the mean.
        """
        plan, held = self.plan, self.plan.validation_data
        others = [] if held is plan.data else [("validation_data: ", held)]
        for where, data in [("", plan.data), *others]:
            distance, which = farthest(plan.model, data.x)
            if distance > FAR:
                scaled = plan.model.network.standardizes
                how = f"{distance:.2g} deviations from the mean" if scaled else "and is not scaled"
                return f"Scale x: {where}{which}, {how}"
            if plan.model.output == "identity":
                sizes = np.max(np.abs(to_numpy(data.t)), axis=1)
                if np.max(sizes) > FAR:
                    return f"Scale y: {where}a target in row {np.argmax(sizes)} is too large"
        return f"Try a smaller learning rate (its peak was {plan.optimizer.rate:g})"


def _is_true(answer: object) -> bool:
    """Whether it is True, of Python or NumPy: a callback may return anything else."""
    return answer is True or (isinstance(answer, np.bool_) and bool(answer))
