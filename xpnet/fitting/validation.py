"""Validation after each epoch: the sums of losses and hits over what is held out, by weight."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from xpnet.arrays import Array, device_of, is_numpy, namespace, put, to_numpy
from xpnet.checks import choose
from xpnet.data.dataset import BLOCK, FEWEST, Dataset, blocks, classes_of, undivided
from xpnet.errors import UsageError
from xpnet.fitting.evaluation import counts_hits, logits_of, tally
from xpnet.fitting.monitoring import Monitor
from xpnet.fitting.plan import TrainingPlan
from xpnet.fitting.scaling import in_units_of_targets
from xpnet.fitting.scoring import scores_of
from xpnet.fitting.steps import Constants, Tables
from xpnet.losses import VALUES
from xpnet.model import Model
from xpnet.prediction import fast_paths

FEW = 32  # samples, to see whether the model gives NaN or infinity
Sums = tuple[Array, ...]  # the sum of losses and, where there are classes, of hits
Validate = Callable[[Array, Array], Sums]


class ValidationState(NamedTuple):
    """The sums so far, and the arrays that the samples are validated with."""

    found: Sums
    theta: Array
    buffers: Array


def validation(plan: TrainingPlan) -> Validate:
    """Return a function of theta and buffers: the sums over the validation samples, on the device.

    Without validation samples, a few training samples show whether the model gives NaN or infinity.
    """
    data, rows = plan.validation_data, plan.validation_rows
    if not len(rows):
        data, rows = plan.data, plan.rows[:FEW]
    constants = data.x, data.t, data.w
    fast = fast_paths() if plan.fast and not is_numpy(data.x) else None
    if fast and fast.can_fuse(constants, *plan.network.layers, plan.loss.measure):
        measure = partial(_measured, plan)
        unchanged = "theta", "buffers"
        step = fast.fuse(measure, constants, unchanged, capture=False, quiet=True)
        n = -(-len(rows) // BLOCK)
        place, no_scalars = put(rows.astype(np.int32), data.x), np.zeros((n, 1), np.float32)
        tables = Tables(place, put(no_scalars, data.x), None, BLOCK)
        return partial(_validate_by_steps, plan, step, tables, n)
    return partial(_validate, plan, Dataset(*constants), rows)


def note_on_validation(plan: TrainingPlan) -> str:
    """Return what a user may not expect of the samples to validate on; "" if there is nothing."""
    if not len(plan.validation_rows):
        few = len(plan.rows) < FEWEST
        return f"fewer than {FEWEST} samples: none held out; the last epoch is kept" if few else ""
    t, labels = classes_of(plan.data), plan.model.labels
    if t is None or plan.validation_data is not plan.data:
        return ""
    rare = [str(labels[i]) for i in undivided(t)]
    return f"used for training only, with one or two samples: {', '.join(rare)}" if rare else ""


def monitor_of(model: Model, data: Dataset, name: str | None) -> Monitor:
    """Return what the best epoch is chosen by: by default the accuracy, or else the loss.

    Raises
    ------
    UsageError
        It is the accuracy, and there is none.
    """
    name = name.replace("-", "_") if isinstance(name, str) else name
    assert model.loss is not None
    hits = counts_hits(model.loss.measure, data.t, model.multilabel)
    if name == "accuracy" and not hits:
        raise UsageError("monitor 'accuracy' is for classes; expected loss, or r2", "monitor")
    return Monitor(name or ("accuracy" if hits else "loss"))


def measure_of_monitor(plan: TrainingPlan) -> Callable[[Array, Array], float]:
    """Return a function of theta and buffers: the monitored score of the validation samples.

    Their logits are copied to the host.

    Raises
    ------
    UsageError
        There is no such score of these samples.
    """
    data, rows, name = plan.validation_data, plan.validation_rows, plan.monitor.name
    place = put(rows.astype(np.int32), data.x)
    _, t, w = data.gather(place)
    w = None if w is None else to_numpy(w)
    t, scaled = to_numpy(t), partial(in_units_of_targets, plan.model)
    measure = partial(scores_of, plan.model, plan.loss.measure)
    t = t if len(t.shape) == 1 else scaled(t)
    known = measure(scaled(np.zeros((len(rows), plan.network.fan_out))), t, w)
    choose("monitor", name, [score for score in known if not score.startswith("below_")])
    if not isfinite(known[name]):
        raise UsageError(
            f"monitor {name!r} is not defined for the samples to validate on; hold out more, or "
            "name another score",
            "monitor",
        )

    def measured(theta: Array, buffers: Array) -> float:
        logits = logits_of(plan.network, plan.network.unpack(theta, buffers), data.x)
        parts = [logits(data.gather(block)[0]) for block in blocks(rows, data.x)]
        z = scaled(to_numpy(namespace(data.x).concat(parts)))
        return measure(z, t, w)[name]

    return measured


def _validate(plan: TrainingPlan, data: Dataset, rows: Any, theta: Array, buffers: Array) -> Sums:
    """Add up all blocks by the code as it is written."""
    logits = logits_of(plan.network, plan.network.unpack(theta, buffers), data.x)
    found = _zero_sums(plan, theta)
    for block in blocks(rows, data.x):
        found = _add_block(plan, found, data, logits, block)
    return found


def _validate_by_steps(
    plan: TrainingPlan, step: Any, tables: Tables, n: int, theta: Array, buffers: Array
) -> Sums:
    """Add up all blocks by a step of the fast paths."""
    state, tables = ValidationState(_zero_sums(plan, theta), theta, buffers), replace(tables)
    for i in range(n):
        state = step(state, tables, i)
    return state.found


def _measured(
    plan: TrainingPlan,
    constants: Constants,
    state: ValidationState,
    rows: Array,
    scalars: Array,
    keys: None,
) -> ValidationState:
    """Add one block to the state: what `fast.fuse` records."""
    params = plan.network.unpack(state.theta, state.buffers)
    infer = partial(plan.network.infer, params)
    return state._replace(found=_add_block(plan, state.found, Dataset(*constants), infer, rows))


def _add_block(
    plan: TrainingPlan, found: Sums, data: Dataset, logits: Callable[[Array], Array], rows: Array
) -> Sums:
    """Return the sums so far plus those over these rows."""
    x, t, w = data.gather(rows)
    z = logits(x)
    if in_float64(plan):
        xp = namespace(z)
        z, t = xp.astype(z, xp.float64), xp.astype(t, xp.float64)
    more = tally(z, t, w, plan.loss.measure, plan.model.multilabel)
    return tuple(a + b for a, b in zip(found, more, strict=True))


def in_float64(plan: TrainingPlan) -> bool:
    """Whether losses are added up in float64: of numbers on NumPy, where one may be enormous."""
    return plan.loss.output in VALUES and is_numpy(plan.data.x)


def _zero_sums(plan: TrainingPlan, theta: Array) -> Sums:
    """Return the sums before the first block."""
    xp, device = namespace(theta), device_of(theta)
    hits = counts_hits(plan.loss.measure, plan.validation_data.t, plan.model.multilabel)
    counted = xp.int32 if plan.validation_data.w is None else theta.dtype
    real = xp.float64 if in_float64(plan) else theta.dtype
    dtypes = (real, counted) if hits else (real,)
    return tuple(xp.zeros((), dtype=dtype, device=device) for dtype in dtypes)
