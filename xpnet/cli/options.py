"""What commands share: options that several of them take, and what several of them begin with.

To be quick with the help, this module and those of the commands import NumPy, and what needs it,
within functions only.
"""

import math
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import click

from xpnet import registry
from xpnet.checks import at_least
from xpnet.cli.parser import ARGUMENTS, option
from xpnet.data import mnist
from xpnet.errors import UsageError
from xpnet.tools import threads as blas

if TYPE_CHECKING:
    from xpnet.cli.tasks import Task
    from xpnet.data.sources import Samples
    from xpnet.model import Model

T = TypeVar("T", str, None)
EVERYDAY, DATA, NETWORK, TRAINING = "Everyday", "Data", "Network", "Training"


Source = Annotated[
    str | None,
    option(
        ARGUMENTS,
        f"{', '.join(registry.DATA)}; a folder of IDX files; or a file "
        f"({', '.join(registry.FORMATS)}).",
        "[DATA]",
        default="mnist",
    ),
]
Data = Annotated[str | None, option(EVERYDAY, "The same as DATA.", default="mnist")]
Target = Annotated[
    str, option(DATA, "The column of a table to predict, or several: height,weight.")
]
Features = Annotated[
    str | None,
    option(DATA, "The columns to learn from: age,income.", default="all others"),
]
Drop = Annotated[str | None, option(DATA, "Columns of a table to leave out: id,date.")]
Delimiter = Annotated[
    str | None,
    option(
        DATA,
        "The character between the columns of a table; tab for a tab.",
        default="found in the first line",
    ),
]
Encoding = Annotated[
    str | None,
    option(
        DATA, "The encoding of a table, such as latin-1.", default="UTF-8, or UTF-16 by its mark"
    ),
]
Header = Annotated[
    bool,
    option(
        DATA,
        "The first line of a table names its columns; without it, they are numbered from 0.",
    ),
]
AS_IN_TRAINING = "of a table as in training, or found"
RunDelimiter = Annotated[str | None, option(DATA, "As for train.", default=AS_IN_TRAINING)]
RunEncoding = Annotated[str | None, option(DATA, "As for train.", default=AS_IN_TRAINING)]
RunHeader = Annotated[bool | None, option(DATA, "As for train.", default=AS_IN_TRAINING)]
DataDir = Annotated[
    str | None,
    option(DATA, "Where downloaded data sets are kept.", default="the user's cache, or XPNET_DATA"),
]
DeviceOption = Annotated[str, option(EVERYDAY, "auto, cpu, cuda or cuda:N.")]
Strict = Annotated[
    bool,
    option(
        EVERYDAY, "Fail where the GPU asked for cannot be used: no fall-back.", "--strict-device"
    ),
]
AsJson = Annotated[bool, option(EVERYDAY, "Print JSON.", "--json")]
Hidden = Annotated[str, option(EVERYDAY, "Widths of the hidden layers, as in 128,64; or none.")]
Activation = Annotated[
    str,
    option(NETWORK, f"One for all hidden layers, or one each: {', '.join(registry.ACTIVATIONS)}."),
]
Normalization = Annotated[
    str, option(NETWORK, f"Before each activation: none, {', '.join(registry.NORMALIZATIONS)}.")
]
Threads = Annotated[
    int | None,
    option(
        EVERYDAY,
        "Of the BLAS, on the CPU. More than the cores are slower.",
        default="from cores, batch and widths",
    ),
]
Dropout = Annotated[float, option(NETWORK, "Part of the hidden units dropped per step.")]
Noise = Annotated[float, option(NETWORK, "Deviation of noise on the scaled input, per step.")]


def one_of(source: str | None, data: str | None, default: T) -> str | T:
    """Return the data that the argument DATA or --data names, or the default.

    Raises
    ------
    UsageError
        They name different data; or standard input, which only predict reads.
    """
    if source is not None and data is not None and source != data:
        raise UsageError(f"the argument {source} and --data {data} differ: give one of them")
    chosen = data if source is None else source
    if chosen == "-":
        raise UsageError("-: only predict reads standard input; save the data in a file")
    return default if chosen is None else chosen


def reading(context: click.Context) -> dict[str, Any]:
    """Return how a command reads its data, as arguments of `load`."""
    given = context.params
    names = ("features", "drop", "delimiter", "encoding", "header", "dtype")
    local = (given["source"], given["data"]) != (None, None)  # not by default
    return {"local": local, **{name: given[name] for name in names}}


def begin(data: str = "", threads: int | None = None) -> None:
    """What a command that computes does first: import NumPy, while MNIST is unpacked beside it."""
    if threads is not None:
        at_least("--threads", threads, 1)
        most = blas.most()
        if threads > most:
            warnings.warn(
                f"--threads {threads}: this process may use {most}; more are slower", stacklevel=2
            )
    if data == "mnist":
        mnist.begin()
    blas.import_numpy()


def widths(hidden: str) -> list[int]:
    """The widths that --hidden gives."""
    if hidden.strip().lower() == "none":
        return []
    try:
        given = [int(width) for width in hidden.split(",")]
    except ValueError:
        given = [0]
    if min(given) < 1:
        raise UsageError(
            f"--hidden {hidden}: expected widths above 0, as in 128 or 128,64; or none"
        )
    return given


def build(
    samples: "Samples",
    task: "Task",
    hidden: str,
    activation: str,
    dtype: str,
    seed: int,
    initializer: str | None = None,
    **options: Any,
) -> "Model":
    """The network for these samples, with initial weights; `options` as for `mlp`."""
    from xpnet.builder import mlp

    shape = samples.x_train.shape[1:]
    model = mlp(
        math.prod(shape), *widths(hidden), task.outputs, activation=each(activation),
        initializer=None if initializer is None else each(initializer),
        output=task.loss.output, multilabel=task.name == "multilabel",
        labels=task.labels or None, input_shape=shape, seed=seed, dtype=dtype, **options,
    )  # fmt: skip
    return replace(model, columns=samples.columns, target=samples.target)


def each(given: str) -> str | list[str]:
    """One name for all layers, or a list of one each."""
    return given.split(",") if "," in given else given


def or_none(name: str) -> str | None:
    """The name, or None for "none"."""
    return None if name.strip().lower() == "none" else name


def refuse_others(context: click.Context, why: str, *taken: str) -> None:
    """Refuse options that would have no effect."""
    for one in context.command.params:
        name = str(one.name)
        source = context.get_parameter_source(name)
        if name not in taken and source is not None and source.name == "COMMANDLINE":
            option = f"--{name.replace('_', '-')}"
            shown = option if isinstance(one, click.Option) else str(one.metavar).strip("[]")
            raise UsageError(f"{shown} has no effect here: {why}")
