"""`xpnet gradcheck` and `explain`."""

from dataclasses import replace
from typing import Annotated

import click

from xpnet import registry
from xpnet.checks import at_least, choose, construct
from xpnet.cli.options import (
    EVERYDAY,
    NETWORK,
    TRAINING,
    Activation,
    AsJson,
    Data,
    DeviceOption,
    Dropout,
    Hidden,
    Noise,
    Normalization,
    Source,
    Strict,
    Target,
    begin,
    build,
    each,
    one_of,
    or_none,
    refuse_others,
    widths,
)
from xpnet.cli.parser import ARGUMENTS, option
from xpnet.errors import UsageError


def gradcheck_command(
    context: click.Context,
    file: Annotated[
        str | None,
        option(
            ARGUMENTS,
            "Formulas of one's own in a Python file, as in scripts/notebook.py; it is run.",
            "[FILE]",
            default="those of xpnet, for the network below",
        ),
    ] = None,
    hidden: Hidden = "8",
    activation: Activation = "relu",
    normalization: Normalization = "none",
    dropout: Dropout = 0.0,
    noise: Noise = 0.0,
    inputs: Annotated[int, option(NETWORK, "Columns of the input.")] = 6,
    outputs: Annotated[int, option(NETWORK, "Columns of the output.")] = 4,
    loss: Annotated[
        str, option(NETWORK, f"{', '.join(registry.LOSSES)}.")
    ] = "softmax-cross-entropy",
    samples: Annotated[int, option(EVERYDAY, "Random ones, to try it on.")] = 5,
    against: Annotated[
        str, option(EVERYDAY, f"What is right: {', '.join(registry.REFERENCES)}.")
    ] = "differences",
    seed: Annotated[int, option(EVERYDAY, "Of weights and samples.")] = 0,
    as_json: AsJson = False,
    device: DeviceOption = "auto",
    strict_device: Strict = False,
) -> int:
    """Each derivative by its formula beside the right one; exit code 1 if one is wrong.

    error: the largest difference, in parts of the array's largest derivative. angle: between the
    formula's direction and the right one.
    """
    begin()
    from xpnet.builder import mlp
    from xpnet.cli.run_folder import json_text
    from xpnet.device.selection import select_device
    from xpnet.registry import LOSSES, REFERENCES
    from xpnet.tools.comparison_report import summary, table, verdict
    from xpnet.tools.formula_file import check_file
    from xpnet.tools.gradcheck import check

    if file is not None:
        if choose("reference", against, REFERENCES) != "differences":
            raise UsageError(
                f"--against {against}: formulas in a file are compared with differences only"
            )
        taken = "file", "as_json", "against"
        refuse_others(context, f"{file} brings its own network", *taken)
        checks = check_file(file)
    else:
        what = construct("loss", loss, LOSSES)
        if outputs == 1 and what.output == "softmax":
            raise UsageError(
                "--outputs 1: softmax over one output is always 1; try --loss binary-cross-entropy"
            )
        model = mlp(
            inputs, *widths(hidden), outputs, activation=each(activation),
            normalization=or_none(normalization), dropout=dropout, noise=noise,
            output=what.output, seed=seed, dtype="float64",
        )  # fmt: skip
        chosen = select_device(device, strict_device)
        title = f"{model.network}, {activation}, {loss}, {samples} samples, on {chosen}"
        found = check(model, what, samples, seed, against, chosen)
        checks = iter([(f"{title}, against {against}", found)])
    summaries = []
    for title, comparisons in checks:
        summaries.append(summary(title, comparisons))
        if not as_json:
            print(f"{title}\n{table(comparisons)}\n{verdict(comparisons)}\n", flush=True)
    if as_json:
        print(json_text(summaries))
    return 0 if all(one["right"] for one in summaries) else 1


def explain_command(
    context: click.Context,
    source: Source = None,
    tiny: Annotated[
        bool, option(EVERYDAY, "A network 3-2-2 and one sample, for pencil and paper.", "--tiny")
    ] = False,
    data: Data = None,
    target: Target = "label",
    samples: Annotated[
        int | None,
        option(
            EVERYDAY,
            "The first so many of the training set.",
            default="2, or 4 with batch normalization",
        ),
    ] = None,
    hidden: Hidden = "3",
    activation: Activation = "sigmoid",
    normalization: Normalization = "none",
    dropout: Dropout = 0.0,
    noise: Noise = 0.0,
    loss: Annotated[
        str | None,
        option(TRAINING, f"What is minimised: {', '.join(registry.LOSSES)}.", default="the task's"),
    ] = None,
    learning_rate: Annotated[
        float | None,
        option(NETWORK, "Of the step.", default="0.5; of a regression 0.5 / scale²"),
    ] = None,
    seed: Annotated[int, option(NETWORK, "Of the initial weights, dropout and noise.")] = 0,
    as_json: AsJson = False,
    device: DeviceOption = "auto",
    strict_device: Strict = False,
) -> None:
    """One training step in numbers: every array, every derivative, from the loss to a weight."""
    if tiny:
        taken = "tiny", "activation", "loss", "learning_rate", "as_json", "device", "strict_device"
        refuse_others(context, "--tiny has its own network and sample", *taken)
    else:
        few = 4 if normalization == "batch" else 2  # of two, all are one deviation from the mean
        samples = at_least("samples", few if samples is None else samples, 1)
    given, data = one_of(source, data, None), one_of(source, data, "mnist")
    begin("" if tiny else data)
    import numpy as np

    from xpnet.cli.run_folder import json_text
    from xpnet.cli.tasks import choose_task, given_task
    from xpnet.data.sources import load as load_data
    from xpnet.device.selection import select_device
    from xpnet.fitting.scaling import prepare, scale
    from xpnet.registry import LOSSES
    from xpnet.tools.explain import explain
    from xpnet.tools.explain import tiny as tiny_network

    if tiny:
        loss = loss or "softmax-cross-entropy"
        what = construct("loss", loss, LOSSES)
        model, x, y = tiny_network(activation, loss)
    else:
        local = given is not None  # the default is MNIST in the package
        wanted = given_task(None, loss)[0]
        known = load_data(data, target, task=wanted, local=local, dtype="float64")
        task = choose_task(known, loss=loss)
        what, rows = task.loss, np.arange(len(known.x_train))
        model = build(
            known, task, hidden, activation, "float64", seed,
            normalization=or_none(normalization), dropout=dropout, noise=noise,
        )  # fmt: skip
        whole, model = prepare(model, known.x_train, known.y_train, what)
        model = scale(replace(model, loss=what), whole, rows)
        x, y = known.x_train[:samples], known.y_train[:samples]
    chosen = select_device(device, strict_device)
    result = explain(model.to(chosen), chosen.put(x), y, what, learning_rate, seed)
    print(json_text(result.json()) if as_json else result.text())
