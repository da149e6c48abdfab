"""The registry: every line is a part, and whatever lists parts reads them from it."""

import ast
import dataclasses
import inspect
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT, SCRIPTS, needed, printed

import xpnet
from xpnet import registry
from xpnet.activations import Activation
from xpnet.checks import construct
from xpnet.cli import run
from xpnet.layers import Layer
from xpnet.losses import Loss
from xpnet.optimizers import Optimizer
from xpnet.registry import Parts

ADDING = (SCRIPTS / "ADDING.md").read_text(encoding="utf-8")
NOT_METRICS = {"interval"}
KINDS = {name: table for name, table in vars(registry).items() if isinstance(table, Parts)}


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch):
    """The module scripts/generate.py."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return import_module("generate")


def test_it_imports_nothing() -> None:
    """But for Python's own library; what is for type checkers alone is not run."""
    tree = ast.parse((ROOT / "xpnet" / "registry.py").read_text(encoding="utf-8"))
    imported = {
        (node.module or "").split(".")[0] if isinstance(node, ast.ImportFrom) else alias.name
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported <= sys.stdlib_module_names
    loaded = printed("import xpnet.registry, sys; print(*sys.modules)").split()
    assert [name for name in loaded if name.startswith("xpnet")] == ["xpnet.registry", "xpnet"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_line_is_a_part_with_a_description(kind: str) -> None:
    for name, path in KINDS[kind].paths.items():
        part = registry.look_up(path)
        assert part.__doc__, name
        assert callable(KINDS[kind][name]) or kind == "DOWNLOADS"


MODULES = {
    "activations": Activation, "layers": Layer, "losses": Loss, "normalization": Layer,
    "optimizers": Optimizer,
}  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
def test_every_class_of_parts_has_a_line(module: str) -> None:
    source, base = import_module(f"xpnet.{module}"), MODULES[module]
    classes = {
        f"{module}.{name}"
        for name, kind in vars(source).items()
        if inspect.isclass(kind) and kind.__module__ == source.__name__
        if issubclass(kind, base) and not inspect.isabstract(kind)
    }
    paths = {path for table in KINDS.values() for path in table.paths.values()}
    assert classes
    assert classes <= paths


def test_every_schedule_and_average_has_a_line() -> None:
    """But for `Warmup`, which takes a schedule."""
    for module, kinds in (("schedules", ["SCHEDULES"]), ("optimizers", ["OPTIMIZERS", "AVERAGES"])):
        source = import_module(f"xpnet.{module}")
        classes = {
            f"{module}.{name}"
            for name, kind in vars(source).items()
            if dataclasses.is_dataclass(kind) and kind.__module__ == source.__name__
        }
        paths = {path for kind in kinds for path in KINDS[kind].paths.values()}
        assert (
            classes - paths == {"schedules.Warmup"} & classes | {"optimizers.Optimizer"} & classes
        )


@pytest.mark.parametrize(
    ("module", "others"), [("metrics", NOT_METRICS), ("initializers", {"initial_arrays"})]
)
def test_every_function_of_parts_has_a_line(module: str, others: set[str]) -> None:
    source = import_module(f"xpnet.{module}")
    functions = {
        f"{module}.{name}"
        for name, function in inspect.getmembers(source, inspect.isfunction)
        if function.__module__ == source.__name__ and name[0] != "_" and name not in others
    }
    assert functions == {*KINDS[module.upper()].paths.values()}


def test_names_are_known_before_the_part_is_imported() -> None:
    parts: Parts[Callable[[], None]] = Parts({"there": "nowhere.Part", "set": ("errors.E", {})})
    assert [*parts] == ["there", "set"]
    assert len(parts) == 2
    assert "there" in parts
    assert "elsewhere" not in parts
    with pytest.raises(ModuleNotFoundError):
        _ = parts["there"]


def test_settings_go_with_the_name() -> None:
    parts: Parts[Callable[..., dict]] = Parts({"a": ("registry._by_own_name", {})})
    assert parts["a"]("layers.Dense") == {"Dense": "layers.Dense"}
    nesterov = xpnet.SGD(weight_decay=1e-3, momentum=0.9, nesterov=True)
    assert registry.OPTIMIZERS["nesterov"]() == nesterov
    assert nesterov.rate == 0.12
    assert registry.OPTIMIZERS["nesterov"](momentum=0.5).momentum == 0.5


def test_parts_are_importable_from_the_top() -> None:
    for kind in ("LAYERS", "ACTIVATIONS", "NORMALIZATIONS", "LOSSES", "OPTIMIZERS", "AVERAGES"):
        for path in KINDS[kind].paths.values():
            assert getattr(xpnet, path.rpartition(".")[2]) is registry.look_up(path)
    assert xpnet.OneCycle is registry.SCHEDULES["one-cycle"]
    assert xpnet.__all__ == sorted(registry.PUBLIC)


def test_two_parts_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"two parts have one name: (schedules|model)\.Model"):
        registry._by_own_name("model.Model", "schedules.Model", "losses.Huber")


def test_a_number_takes_the_place_of_a_setting() -> None:
    parts = Parts({"cubic": ("schedules.Polynomial", {"power": 3.0})})
    assert construct("schedule", "cubic", parts) == xpnet.Polynomial(3.0)
    assert construct("schedule", "cubic:2", parts) == xpnet.Polynomial(2.0)


@pytest.mark.parametrize("kind", ["ACTIVATIONS", "NORMALIZATIONS", "LAYERS", "LOSSES"])
def test_parts_that_are_taken_as_classes_have_no_settings(kind: str) -> None:
    assert all(inspect.isclass(part) for part in KINDS[kind].values())


def test_a_table_prints_its_names() -> None:
    assert repr(registry.AVERAGES) == "Parts(ema, last)"


OPTIONS = {
    "--activation": "ACTIVATIONS", "--normalization": "NORMALIZATIONS",
    "--initializer": "INITIALIZERS", "--optimizer": "OPTIMIZERS", "--schedule": "SCHEDULES",
    "--average": "AVERAGES", "--loss": "LOSSES", "--data": "FORMATS",
}  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
def test_the_help_and_messages_list_every_part(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["train", "--help"])
    names = ", ".join(KINDS[OPTIONS[option]])
    assert "".join(names.split()) in "".join(capsys.readouterr().out.split())
    assert run(["train", option, "qqqq", "--device", "cpu", "--limit", "10"]) in (1, 2)
    assert names in capsys.readouterr().err


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    run(["--help"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert {*registry.COMMANDS} <= {line[0] for line in lines if line}
    assert run(["qqqq"]) == 2
    assert ", ".join(registry.COMMANDS) in capsys.readouterr().err


def test_the_stub_and_the_readme_are_current(generate) -> None:
    assert generate.stale() == [], "run python scripts/generate.py"


def test_the_stub_has_every_module_and_public_name(generate) -> None:
    """And of each the module that has it, so that an editor finds its docstring."""
    tree = ast.parse(generate.stub())
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    names = {alias.asname: f"{n.module}.{alias.name}" for n in imports for alias in n.names}
    public = {name: f"xpnet.{path}" for name, path in registry.PUBLIC.items()}
    modules = {n for n, at in names.items() if at == f"xpnet.{n}"} - {*public}
    assert {name: at for name, at in names.items() if name in public} == public
    found = {p.name for p in (ROOT / "xpnet").iterdir() if (p / "__init__.py").is_file()}
    found |= {p.stem for p in (ROOT / "xpnet").glob("*.py") if not p.stem.startswith("__")}
    assert modules == found


def test_what_is_stale_is_named_and_nothing_is_written(generate, monkeypatch, capsys) -> None:
    current = {path: path.read_text(encoding="utf-8") for path in generate.written()}
    monkeypatch.setattr(generate, "stub", lambda: "other\n")
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    assert generate.main() == 1
    assert "__init__.pyi is not current: run python scripts/generate.py" in capsys.readouterr().out
    assert {path: path.read_text(encoding="utf-8") for path in generate.written()} == current


def test_what_is_stale_is_written(generate, monkeypatch, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "xpnet", tmp_path / "xpnet")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (tmp_path / "README.md").write_text(readme.replace("| `mish` |", "").replace(", `selu`", ""))
    (tmp_path / "xpnet" / "__init__.pyi").unlink()
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["generate.py"])
    assert len(generate.stale()) == 2
    assert generate.main() == 0
    assert generate.stale() == []
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == readme
    (tmp_path / "README.md").write_text("| part | name |\n")
    with pytest.raises(SystemExit, match="expected one table"):
        generate.main()


def test_type_checkers_know_the_names(tmp_path) -> None:
    """Right names have their own types; a wrong one, and a wrong argument, are errors."""
    needed("mypy")
    code = "import xpnet\nreveal_type(xpnet.ReLU())\nxpnet.nothing\nxpnet.SGD(momentumm=0.9)\n"
    (tmp_path / "use.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", str(tmp_path / "use.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    lines = [line.partition(":")[2] for line in done.stdout.splitlines()]
    assert any('2: note: Revealed type is "xpnet.activations.ReLU"' in line for line in lines)
    assert any(line.startswith('3: error: Module has no attribute "nothing"') for line in lines)
    assert any(
        line.startswith('4: error: Unexpected keyword argument "momentumm"') for line in lines
    )


# scripts/ADDING.md


def test_the_example_of_a_new_part_is_right() -> None:
    """Its class has the values and slopes of its entry, and its line names the class."""
    whole, lines = re.findall(r"```python\n(.*?)```", ADDING, re.DOTALL)
    made = {**vars(import_module("xpnet.activations"))}
    exec(whole, made)
    (line,), (entry,) = (eval(f"{{{text}\n}}").values() for text in lines.splitlines())
    assert line == "activations.Softsign"
    layer, x = made["Softsign"](), np.asarray([[-1e4, -1.5, 0.0, 0.25, 3.0]])
    y, cache = layer.forward({}, x)
    dx, _ = layer.backward({}, cache, np.ones_like(x))
    for found, exact in zip((y, dx), entry, strict=True):
        assert found[0].tolist() == pytest.approx([exact(v) for v in x[0].tolist()], rel=1e-15)


def test_files_that_the_page_names_are_there() -> None:
    named = re.findall(r"(?:xpnet|tests|scripts)/[\w/]*\w+\.(?:pyi|py)", ADDING)
    assert named
    assert [path for path in named if not (ROOT / path).is_file()] == []
