"""Where training begins: at a new model, or where another fit ended."""

from dataclasses import replace

from xpnet.arrays import device_of, namespace
from xpnet.errors import UsageError
from xpnet.fitting.plan import TrainingPlan
from xpnet.fitting.results import Result
from xpnet.fitting.state import Progress, TrainingState
from xpnet.model import Model


def continued(model: Model, initial: Result) -> Model:
    """Return the model to continue with: that of `initial`, if `model` is like it."""
    if initial.model.dtype != model.dtype:
        raise UsageError(f"initial is a fit in {initial.model.dtype} and the model {model.dtype}")
    before, now = ((m.network, m.output, m.multilabel) for m in (initial.model, model))
    default = model.labels == tuple(range(len(model.labels)))  # others may have been found in y
    if before != now or (model.labels != initial.model.labels and not default):
        raise UsageError(
            "model must have the network, labels and output of initial, which is a fit of "
            f"{initial.model!r}, got {model!r}"
        )
    return initial.model


def begin(plan: TrainingPlan, initial: Result | None) -> tuple[Progress, Result]:
    """Return the state to begin with, and the result before it."""
    if initial is None or initial.progress is None:
        result = Result(plan.model) if initial is None else replace(initial, model=plan.model)
        theta, buffers = plan.model.theta, plan.model.buffers[: plan.network.buffer_size]
        xp = namespace(theta)
        loss = xp.zeros((), dtype=theta.dtype, device=device_of(theta))
        state = TrainingState(loss, theta, buffers, (), plan.optimizer.init(theta))
        progress = Progress(state, plan.optimizer, epochs=len(result.history))
    else:
        result, before = initial, initial.progress
        if type(before.optimizer) is not type(plan.optimizer):
            raise UsageError(
                f"initial was trained by {before.optimizer} and now by {plan.optimizer}; expected "
                "the same kind of optimizer"
            )
        state = before.state.to_library(plan.model.theta)
        if len(state.optimizer) != len(plan.optimizer.init(state.theta)):
            raise UsageError(f"initial has no state that {plan.optimizer} could go on with")
        progress = replace(before, state=state, optimizer=plan.optimizer)
    averaged = (state.theta, state.buffers)[: 2 if plan.network.refreshing else 1]
    average = () if plan.average is None else state.average or averaged
    return replace(progress, state=state._replace(average=average)), result
