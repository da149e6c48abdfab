"""Every part by name: one line each.

A part is a class or a function in its module, and a line here: its name, and its path below
`xpnet`.  This module defines the names at the top (`xpnet.ReLU`), the choices in help texts and
messages, the layers that a model's file may hold, the README's table of parts, and the parts of
which the tests demand exact values.  It imports nothing: a part is imported when its name is looked
up.  `scripts/ADDING.md` says how to add one.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from xpnet.activations import Activation
    from xpnet.arrays import Arrays, HostArray
    from xpnet.cli.parser import Command
    from xpnet.data.downloads import Published
    from xpnet.data.files import Reader
    from xpnet.layers import Layer
    from xpnet.losses import Loss
    from xpnet.normalization import BatchNorm, LayerNorm
    from xpnet.optimizers import Average, Optimizer
    from xpnet.schedules import Schedule
    from xpnet.tools.derivatives import Function

T = TypeVar("T")


def look_up(path: str) -> Any:
    """Return what a path below `xpnet` names, such as "activations.ReLU", imported if need be."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(f"xpnet.{module}"), name)


class Parts(Mapping[str, T]):
    """The parts of one kind by name, each imported when it is looked up.

    Parameters
    ----------
    lines : mapping
        For each name the path below `xpnet`; or, of optimizers, averages and schedules, the path
        and the settings that the name stands for, keyword arguments of the class.
    """

    def __init__(self, lines: Mapping[str, str | tuple[str, dict[str, Any]]]) -> None:
        self._lines = {n: (at, {}) if isinstance(at, str) else at for n, at in lines.items()}

    @property
    def paths(self) -> dict[str, str]:
        """The path below `xpnet` of each part by name."""
        return {name: path for name, (path, _) in self._lines.items()}

    def __getitem__(self, name: str) -> T:
        path, settings = self._lines[name]
        part = look_up(path)
        return cast(T, partial(part, **settings) if settings else part)

    def __contains__(self, name: object) -> bool:
        return name in self._lines

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def __repr__(self) -> str:
        return f"Parts({', '.join(self)})"


def _by_own_name(*paths: str) -> dict[str, str]:
    named = {path.rpartition(".")[2]: path for path in paths}
    if {*named.values()} != {*paths}:
        raise ValueError(f"two parts have one name: {({*paths} - {*named.values()}).pop()}")
    return named


ACTIVATIONS: "Parts[type[Activation]]" = Parts(
    {
        "relu": "activations.ReLU",
        "tanh": "activations.Tanh",
        "sigmoid": "activations.Sigmoid",
        "identity": "activations.Identity",
        "scaled-tanh": "activations.ScaledTanh",
        "leaky-relu": "activations.LeakyReLU",
        "elu": "activations.ELU",
        "selu": "activations.SELU",
        "gelu": "activations.GELU",
        "gelu-tanh": "activations.TanhGELU",
        "silu": "activations.SiLU",
        "softplus": "activations.Softplus",
        "mish": "activations.Mish",
        "hard-sigmoid": "activations.HardSigmoid",
    }
)
"""For `mlp(activation=...)`."""
NORMALIZATIONS: "Parts[type[BatchNorm | LayerNorm]]" = Parts(
    {
        "batch": "normalization.BatchNorm",
        "layer": "normalization.LayerNorm",
    }
)
"""For `mlp(normalization=...)`."""
LAYERS: "Parts[type[Layer]]" = Parts(
    _by_own_name(
        "layers.Standardize",
        "layers.Noise",
        "layers.Dense",
        "layers.Dropout",
        "layers.Rescale",
        *NORMALIZATIONS.paths.values(),
        *ACTIVATIONS.paths.values(),
    )
)
"""By the name of the class: all that a model's file may hold."""
INITIALIZERS: "Parts[Callable[[HostArray, int, int], HostArray]]" = Parts(
    {
        "glorot-uniform": "initializers.glorot_uniform",
        "glorot-normal": "initializers.glorot_normal",
        "he-uniform": "initializers.he_uniform",
        "he-normal": "initializers.he_normal",
        "lecun-uniform": "initializers.lecun_uniform",
        "lecun-normal": "initializers.lecun_normal",
        "orthogonal": "initializers.orthogonal",
        "mean-field": "initializers.mean_field",
        "zeros": "initializers.zeros",
    }
)
LOSSES: "Parts[type[Loss]]" = Parts(
    {
        "softmax-cross-entropy": "losses.SoftmaxCrossEntropy",
        "softmax-squared-error": "losses.SoftmaxSquaredError",
        "binary-cross-entropy": "losses.BinaryCrossEntropy",
        "squared-error": "losses.SquaredError",
        "hinge": "losses.Hinge",
        "focal": "losses.Focal",
        "binary-focal": "losses.BinaryFocal",
        "absolute-error": "losses.AbsoluteError",
        "huber": "losses.Huber",
        "pinball": "losses.Pinball",
        "poisson": "losses.Poisson",
    }
)
OPTIMIZERS: "Parts[Callable[..., Optimizer]]" = Parts(
    {
        "nesterov": (
            "optimizers.SGD",
            {"weight_decay": 1e-3, "momentum": 0.9, "nesterov": True},
        ),
        "momentum": (
            "optimizers.SGD",
            {"weight_decay": 1e-3, "momentum": 0.9},
        ),
        "sgd": "optimizers.SGD",
        "adam": "optimizers.Adam",
        "adamw": "optimizers.AdamW",
        "amsgrad": ("optimizers.Adam", {"amsgrad": True}),
        "rmsprop": "optimizers.RMSprop",
        "adagrad": "optimizers.Adagrad",
        "lion": "optimizers.Lion",
    }
)
"""With the settings that a name stands for."""
AVERAGES: "Parts[Callable[..., Average]]" = Parts(
    {
        "ema": "optimizers.ExponentialAverage",
        "last": "optimizers.TailAverage",
    }
)
SCHEDULES: "Parts[Callable[..., Schedule]]" = Parts(
    {
        "one-cycle": "schedules.OneCycle",
        "cosine": "schedules.Cosine",
        "step": "schedules.Step",
        "constant": "schedules.Constant",
        "exponential": "schedules.Exponential",
        "inverse-scaling": "schedules.InverseScaling",
        "polynomial": "schedules.Polynomial",
        "warm-restarts": "schedules.WarmRestarts",
        "plateau": "schedules.ReduceOnPlateau",
    }
)
METRICS: "Parts[Callable[..., Any]]" = Parts(
    _by_own_name(
        "metrics.accuracy",
        "metrics.top_k_accuracy",
        "metrics.balanced_accuracy",
        "metrics.subset_accuracy",
        "metrics.precision_recall_f1",
        "metrics.confusion_matrix",
        "metrics.log_loss",
        "metrics.calibration_error",
        "metrics.roc_auc",
        "metrics.average_precision",
        "metrics.r2",
        "metrics.mean_absolute_error",
        "metrics.mean_squared_error",
        "metrics.pinball_loss",
    )
)
FORMATS: "Parts[Reader]" = Parts(
    {
        "npz": "data.numpy_files.read_npz",
        "csv": "data.csv_files.read_csv",
        "tsv": "data.csv_files.read_csv",
    }
)
"""By the ending of the files: samples with targets, to train on."""
FORMATS_WITHOUT_TARGETS: "Parts[Reader]" = Parts(
    {
        "npy": "data.numpy_files.read_npy",
        "idx": "data.idx.read_idx",
    }
)
"""The same, of samples to predict; IDX files have no common ending."""
DOWNLOADS: "Parts[Published]" = Parts(
    {
        "fashion-mnist": "data.downloads.FASHION_MNIST",
        "kmnist": "data.downloads.KMNIST",
        "qmnist": "data.downloads.QMNIST",
        "emnist-balanced": "data.downloads.EMNIST_BALANCED",
        "emnist-digits": "data.downloads.EMNIST_DIGITS",
        "emnist-letters": "data.downloads.EMNIST_LETTERS",
    }
)
DATA = ("mnist", *DOWNLOADS)
COMMANDS: "Parts[Command]" = Parts(
    {
        "train": "cli.train.train",
        "evaluate": "cli.use.evaluate_command",
        "predict": "cli.predict.predict",
        "devices": "cli.use.devices",
        "gradcheck": "cli.learn.gradcheck_command",
        "explain": "cli.learn.explain_command",
        "bench": "cli.bench.bench_command",
    }
)
TASKS = ("classification", "multilabel", "regression")
REFERENCES: "Parts[Callable[[Function, Arrays], dict[str, HostArray]]]" = Parts(
    {
        "differences": "tools.derivatives.central_differences",
        "jax": "tools.derivatives.jax_gradients",
        "torch": "tools.derivatives.torch_gradients",
    }
)
"""What `gradcheck` compares derivatives with."""

PUBLIC = _by_own_name(
    "builder.mlp",
    "device.selection.Device",
    "device.selection.select_device",
    "errors.DataError",
    "errors.DeviceError",
    "errors.DeviceFailedError",
    "errors.DeviceFallbackWarning",
    "errors.DivergedError",
    "errors.UsageError",
    "errors.XpnetError",
    "fitting.evaluation.evaluate",
    "fitting.results.Result",
    "fitting.training.fit",
    "model.Model",
    "model.load",
    "network.Network",
    "schedules.Warmup",
    "train.train_step",
    *LAYERS.paths.values(),
    *LOSSES.paths.values(),
    *OPTIMIZERS.paths.values(),
    *AVERAGES.paths.values(),
    *SCHEDULES.paths.values(),
)
"""The path below `xpnet` of each name at its top."""
