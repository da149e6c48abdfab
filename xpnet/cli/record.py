"""What run.json records of a run of `xpnet train`, before it and of its results."""

import shlex
from datetime import UTC, datetime
from typing import Any

import click

from xpnet.cli import run_folder as runs
from xpnet.cli.shown_scores import in_json
from xpnet.cli.tasks import Task
from xpnet.data.origin import files_of, hashes_of, is_packed
from xpnet.data.sources import Samples
from xpnet.device.selection import Device, versions
from xpnet.fitting.evaluation import Evaluation
from xpnet.fitting.results import Result
from xpnet.losses import name_of


def manifest(
    context: click.Context,
    settled: dict[str, Any],
    samples: Samples,
    task: Task,
    device: Device,
) -> dict[str, Any]:
    """What run.json says before the results; `settled` are options as defaults and data decided."""
    configuration = {**context.params, **settled}
    del configuration["source"]  # the argument, which `data` names too
    loss = configuration["loss"]
    files = files_of(samples.source)
    unpacked = {"sha256_unpacked": hashes_of(files)} if any(map(is_packed, files)) else {}
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["xpnet", *context.obj]),
        "configuration": configuration,
        "versions": versions(device),
        "device": str(device),
        "device_reason": device.why,
        "seed": configuration["seed"],
        "task": task.name,
        "loss": loss or name_of(task.loss),
        "data": {
            "source": samples.source,
            **{name: configuration[name] for name in ("target", *runs.WRITTEN)},
            "sha256": dict(samples.files),
            **unpacked,
        },
    }


def results(result: Result, test: Evaluation, seconds: float) -> dict[str, Any]:
    """What run.json says of the results."""
    scores = {f"test_{name}": value for name, value in in_json(test).items()}
    scores["test_accuracy_interval"] = scores.pop("test_interval")
    return {
        **scores, "seconds": seconds, "epochs": len(result.history),
        "best_epoch": result.best_epoch,
    }  # fmt: skip
