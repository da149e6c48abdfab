"""Everything that the builder can combine: derivatives, every library, torch, the command line."""

import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import (
    DRAWN,
    Library,
    anything,
    difference,
    needed,
    quick,
    targets,
)

import xpnet
from xpnet import schedules
from xpnet.arrays import to_numpy
from xpnet.cli import run
from xpnet.fitting.training import fit
from xpnet.layers import Dense
from xpnet.model import Model
from xpnet.network import named
from xpnet.normalization import BatchNorm, LayerNorm
from xpnet.optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from xpnet.registry import (
    ACTIVATIONS,
    AVERAGES,
    INITIALIZERS,
    LOSSES,
    NORMALIZATIONS,
    OPTIMIZERS,
    SCHEDULES,
)
from xpnet.schedules import Schedule
from xpnet.tools.gradcheck import check, compare
from xpnet.tools.random_case import Case
from xpnet.train import train_step

# Any network

ZEROS = (134, 148)  # networks of `anything` whose weights are 0, as are all their derivatives


@pytest.mark.parametrize("seed", quick(24, range(120)))
def test_every_combination_passes_the_gradient_check(seed: int) -> None:
    model, loss = anything(seed)
    found = check(model, loss, samples=7, seed=seed)
    wrong = {c.name: c.error for c in found if c.wrong}
    assert not wrong, (model.network, loss)
    assert len(found) == len(model.network.slots) + 2


@pytest.mark.parametrize("seed", [*range(16), *ZEROS])
def test_every_combination_trains_a_step_on_every_library(xp: Library, seed: int) -> None:
    """Four steps, the last of them of another size; to the bit between NumPy and strict.

    Within 1e-10 in float64.  In float32 1e-3, for batches of three samples and units that are
    nearly constant magnify rounding when they are normalized; 1e-5 is usual.
    """
    model, loss = anything(seed, xp.dtype)
    if model.labels and not model.multilabel and model.network.fan_out > 1:
        xp.needs_argmax()
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(11, model.network.fan_in)).astype(xp.dtype), targets(model, 11, rng)
    options = {
        "loss": loss, "epochs": 1, "batch_size": 3, "validation": 0.0, "optimizer": "sgd",
        "learning_rate": 0.05, "average": "ema", "clip_norm": 1.0,
        "sample_weight": rng.uniform(0.5, 1.5, size=11).tolist(), "fast": False,
    }  # fmt: skip
    result, expected = fit(model, xp.array(x), y, **options), fit(model, x, y, **options)
    tolerance = 1e-10 if xp.dtype == "float64" else 1e-3
    for ours, theirs in zip(parts(result.model), parts(expected.model), strict=True):
        assert difference(ours, theirs) < tolerance
        if xp.exact and xp.dtype == "float64":
            assert np.array_equal(ours, theirs) or model.network.drawing
    moved = [np.any(to_numpy(r.model.theta) != model.theta) for r in (result, expected)]
    assert moved[0] == moved[1]


@pytest.mark.parametrize("seed", quick(8, [*ZEROS, *range(120)]))
def test_a_step_moves_theta_exactly_if_the_loss_depends_on_it(seed: int) -> None:
    """By differences; of some networks whose weights are all zero it does not.

    Four samples: outputs that are the median of three are where the absolute error is least.
    """
    model, loss = anything(seed)
    case = Case(model, loss, samples=3, seed=seed)
    at = case.at | named(model.network.slots, model.params)
    found = compare(case.loss_of_network, case.gradients, at)
    depends = any(c.tested for c in found if c.name != "x")
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(4, model.network.fan_in)), targets(model, 4, rng)
    result = fit(model, x, y, loss=loss, epochs=2, validation=0.0, learning_rate=0.05)
    assert np.any(result.model.theta != model.theta) == depends


def parts(model: Model) -> list[np.ndarray]:
    return [to_numpy(model.theta), to_numpy(model.buffers)]


# torch

BATCHES, SIZE = 50, 16
TORCH_ACTIVATIONS = {
    "relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid", "identity": "Identity",
    "leaky-relu": "LeakyReLU", "elu": "ELU", "selu": "SELU", "gelu": "GELU", "silu": "SiLU",
    "softplus": "Softplus",
}  # fmt: skip
TORCH_LOSSES = {
    "softmax-cross-entropy": "CrossEntropyLoss", "binary-cross-entropy": "BCEWithLogitsLoss",
    "squared-error": "MSELoss", "absolute-error": "L1Loss", "huber": "HuberLoss",
    "poisson": "PoissonNLLLoss", "hinge": "MultiMarginLoss",
}  # fmt: skip
TORCH_OPTIMIZERS = {
    "sgd": (SGD(0.1, weight_decay=0.01), "SGD", {}),
    "momentum": (SGD(0.05, weight_decay=0.01, momentum=0.9), "SGD", {"momentum": 0.9}),
    "nesterov": (
        SGD(0.05, weight_decay=0.01, momentum=0.9, nesterov=True),
        "SGD",
        {"momentum": 0.9, "nesterov": True},
    ),
    "adam": (Adam(0.01, weight_decay=0.01), "Adam", {}),
    "amsgrad": (Adam(0.01, weight_decay=0.01, amsgrad=True), "Adam", {"amsgrad": True}),
    "adamw": (AdamW(0.01, weight_decay=0.1), "AdamW", {}),
    "rmsprop": (RMSprop(0.01, weight_decay=0.01), "RMSprop", {}),
    "rmsprop-momentum": (RMSprop(0.01, momentum=0.9), "RMSprop", {"momentum": 0.9}),
    "adagrad": (Adagrad(0.05, weight_decay=0.01), "Adagrad", {}),
}
TORCH_SCHEDULES = {
    "cosine": (schedules.Cosine(), "CosineAnnealingLR", {"T_max": BATCHES}),
    "exponential": (schedules.Exponential(), "ExponentialLR", {"gamma": 0.01 ** (1 / BATCHES)}),
    "polynomial": (schedules.Polynomial(), "PolynomialLR", {"total_iters": BATCHES}),
    "step": (schedules.Step(), "MultiStepLR", {"milestones": [25, 38], "gamma": 0.1}),
    "warm-restarts": (
        schedules.WarmRestarts(5, 1.0), "CosineAnnealingWarmRestarts", {"T_0": BATCHES // 5},
    ),
}  # fmt: skip


def torchs(model: Model) -> Any:
    """The same network in torch, with the same arrays."""
    torch = needed("torch")
    modules = []
    for layer, p in zip(model.network.layers, model.params, strict=True):
        arrays = {name: torch.tensor(a) for name, a in p.items()}
        if isinstance(layer, Dense):
            module = torch.nn.Linear(layer.fan_in, layer.fan_out, layer.bias, dtype=torch.float64)
            module.weight.data = arrays["W"].T.contiguous()
            if layer.bias:
                module.bias.data = arrays["b"]
        elif isinstance(layer, BatchNorm):
            module = torch.nn.BatchNorm1d(layer.columns, dtype=torch.float64)
        elif isinstance(layer, LayerNorm):
            module = torch.nn.LayerNorm(layer.columns, dtype=torch.float64)
        else:
            names = {type(ACTIVATIONS[n]()): t for n, t in TORCH_ACTIVATIONS.items()}
            name = names.get(type(layer), "Identity")  # scaling is the identity, still
            module = getattr(torch.nn, name)()
        modules.append(module)
    return torch.nn.Sequential(*modules)


def fifty_steps(
    model: Model,
    loss: str,
    optimizer: tuple[Optimizer, str, dict[str, Any]],
    schedule: tuple[Schedule, str, dict[str, Any]] | None = None,
) -> float:
    """The largest difference of outputs, relative to them, after 50 steps of both."""
    torch = needed("torch")
    rng, network = np.random.default_rng(0), model.network
    ours, kind, options = optimizer
    theirs = torchs(model)
    groups = {True: [], False: []}
    for name, parameter in theirs.named_parameters():
        is_weight = parameter.ndim == 2
        assert is_weight == (name.endswith("weight") and parameter.ndim == 2)
        groups[is_weight].append(parameter)
    decays = ((True, ours.weight_decay), (False, 0.0))
    torch_optimizer = getattr(torch.optim, kind)(
        [{"params": groups[w], "weight_decay": decay} for w, decay in decays if groups[w]],
        lr=ours.rate, **options,
    )  # fmt: skip
    course, course_kind, course_options = schedule or (
        schedules.Constant(),
        "ConstantLR",
        {"factor": 1},
    )
    torch_course = getattr(torch.optim.lr_scheduler, course_kind)(torch_optimizer, **course_options)
    criterion, our_loss = getattr(torch.nn, TORCH_LOSSES[loss])(), LOSSES[loss]()
    theta, buffers, state = model.theta, model.buffers, ours.init(model.theta)
    for step in range(BATCHES):
        x = rng.normal(size=(SIZE, network.fan_in))
        t = {
            "softmax": rng.integers(0, network.fan_out, size=SIZE),
            "sigmoid": rng.integers(0, 2, size=(SIZE, network.fan_out)).astype(float),
            "exp": rng.poisson(2.0, size=(SIZE, network.fan_out)).astype(float),
            "identity": np.sin(x[:, : network.fan_out]) + x[:, -1:],
        }[our_loss.output]
        scalars = np.asarray(ours.scalars(course(step / BATCHES), step + 1))
        theta, state, buffers, _ = train_step(
            network, our_loss, ours, theta, state, buffers, (x, t, None), scalars
        )
        torch_optimizer.zero_grad()
        criterion(theirs(torch.tensor(x)), torch.tensor(t)).backward()
        torch_optimizer.step()
        torch_course.step()
    theirs.eval()
    x = rng.normal(size=(100, network.fan_in))
    expected = theirs(torch.tensor(x)).detach().numpy()
    start = network.infer(model.params, x)
    assert difference(start, expected) > 1e-3  # it has learnt something
    return difference(network.infer(network.unpack(theta, buffers), x), expected)


def small(loss: str = "softmax-cross-entropy", **options: Any) -> Model:
    output = LOSSES[loss].output
    return xpnet.mlp(
        6, 9, 7, 3, output=output, dtype="float64", **({"activation": "tanh"} | options)
    )


@pytest.mark.parametrize("activation", TORCH_ACTIVATIONS)
def test_50_steps_are_torchs_for_each_activation(activation: str) -> None:
    model = small(activation=activation)
    assert fifty_steps(model, "softmax-cross-entropy", TORCH_OPTIMIZERS["nesterov"]) < 1e-10


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
def test_50_steps_are_torchs_for_each_normalization(normalization: str, activation: str) -> None:
    model = small(activation=activation, normalization=normalization)
    assert fifty_steps(model, "softmax-cross-entropy", TORCH_OPTIMIZERS["nesterov"]) < 1e-10


@pytest.mark.parametrize("loss", TORCH_LOSSES)
def test_50_steps_are_torchs_for_each_loss(loss: str) -> None:
    assert fifty_steps(small(loss), loss, TORCH_OPTIMIZERS["momentum"]) < 1e-10


@pytest.mark.parametrize("optimizer", TORCH_OPTIMIZERS)
def test_50_steps_are_torchs_for_each_optimizer(optimizer: str) -> None:
    chosen = TORCH_OPTIMIZERS[optimizer]
    assert fifty_steps(small(), "softmax-cross-entropy", chosen) < 1e-10


@pytest.mark.parametrize("schedule", TORCH_SCHEDULES)
def test_50_steps_are_torchs_for_each_schedule(schedule: str) -> None:
    chosen = TORCH_SCHEDULES[schedule]
    assert fifty_steps(small(), "squared-error", TORCH_OPTIMIZERS["adam"], chosen) < 1e-10


# The command line

VALUES: dict[str, list[str]] = {
    "--data": ["classes.npz", "numbers.npz", "several.npz", "table.csv"],
    "--task": ["classification", "multilabel", "regression"],
    "--hidden": ["none", "5", "4,3"],
    "--activation": ["relu", "leaky-relu:0.2", "tanh,gelu", *DRAWN["activation"]],
    "--normalization": ["none", *DRAWN["normalization"]],
    "--dropout": ["0", "0.5"],
    "--noise": ["0", "0.1"],
    "--max-norm": ["0", "2"],
    "--initializer": [*DRAWN["initializer"], "zeros,orthogonal"],
    "--dtype": ["float32", "float64"],
    "--batch-size": ["1", "7", "1000"],
    "--accumulate": ["1", "3"],
    "--optimizer": [*DRAWN["optimizer"]],
    "--learning-rate": ["0.001", "0.1"],
    "--schedule": [*DRAWN["schedule"], "step:0.5", "exponential:0.1"],
    "--warmup": ["0", "0.3"],
    "--weight-decay": ["0", "0.01"],
    "--clip-norm": ["1"],
    "--average": ["none", *DRAWN["average"], "ema:0.9"],
    "--loss": [*DRAWN["loss"], "huber:0.3", "pinball:0.1,0.9", "focal:1"],
    "--label-smoothing": ["0", "0.1"],
    "--class-weight": ["none", "balanced"],
    "--validation": ["0", "0.3", "5"],
    "--patience": ["1"],
    "--limit": ["1", "30"],
    "--seed": ["0", "7"],
    "--epochs": ["1", "2"],
}
RARE = ("--task", "--loss", "--initializer", "--patience", "--limit", "--label-smoothing")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4))
    np.savez("classes.npz", x=x, y=rng.integers(0, 3, size=60))
    np.savez("numbers.npz", x=x, y=x[:, 0] + 100)
    np.savez("several.npz", x=x, y=rng.integers(0, 2, size=(60, 3)))
    lines = ["a,b,label", *(f"{a:.3f},{b:.3f},{'cat' if a > b else 'dog'}" for a, b in x[:, :2])]
    Path("table.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("part", quick(1, range(4)))
def test_every_combination_of_options_trains_or_refuses_in_a_line(
    data: Path, capsys: pytest.CaptureFixture[str], part: int
) -> None:
    """Sixty combinations each; of those without the rare options three in four shall train."""
    draw = random.Random(part)
    trained, plain = 0, 0
    for number in range(60):
        names = [n for n in VALUES if draw.random() < (0.1 if n in RARE else 0.4)]
        options = list(itertools.chain(*((n, draw.choice(VALUES[n])) for n in names)))
        if "--data" not in names:
            options += ["--data", "classes.npz"]
        if "--epochs" not in names:
            options += ["--epochs", "2"]
        code = run(["train", "--quiet", "--device", "cpu", "--output", str(number), *options])
        out, err = capsys.readouterr()
        assert out == ""
        assert code in (0, 1, 2), options
        assert len(err.splitlines()) == bool(code), (options, err)
        assert Path(str(number)).exists() == (code == 0), (options, err)
        trained += code == 0
        plain += not set(names) & set(RARE)
        if code == 0:
            assert run(["evaluate", str(number)]) == 0
            capsys.readouterr()
    assert trained >= 0.75 * plain


PARTS = {
    "activation": ACTIVATIONS, "normalization": NORMALIZATIONS, "initializer": INITIALIZERS,
    "loss": LOSSES, "optimizer": OPTIMIZERS, "average": AVERAGES, "schedule": SCHEDULES,
}  # fmt: skip


@pytest.mark.parametrize(("option", "name"), [(o, n) for o, table in PARTS.items() for n in table])
def test_every_part_trains(data: Path, option: str, name: str) -> None:
    output = LOSSES[name].output if option == "loss" else "softmax"
    files = {"softmax": "classes.npz", "sigmoid": "several.npz"}
    options = ["--data", files.get(output, "numbers.npz"), f"--{option}", name, "--epochs", "1"]
    assert run(["train", "--quiet", "--device", "cpu", *options]) == 0
