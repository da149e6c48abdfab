"""What the source promises about itself: imports, names, what an import costs."""

import ast
import subprocess
import sys
from functools import cache
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from types import ModuleType

import pytest

import xpnet

SOURCE = Path(xpnet.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in SOURCE.rglob("*.py")
)
FOLDERS = sorted(m.removesuffix(".__init__") for m in MODULES if m.endswith(".__init__"))
ROWS = (
    "registry errors habits bounds checks device arrays truths frames weights random special",
    "layers normalization activations losses initializers schedules",
    "metric_formulas metric_inputs metrics",
    "network optimizers",
    "train fast data prediction limits plausible model builder fitting",
    "tools cli __init__ __main__",
)
ORDER = [name for row in ROWS for name in row.split()]
"""Modules and folders: each imports only from those before it."""
USERS = {
    "array_api_compat": {"arrays"},
    "cupy": {"device", "fast"},
    "safetensors": {"data"},
    "click": {"cli"},
    "rich": {"cli"},
    "threadpoolctl": {"tools"},
    "zlib_ng": {"data"},
    "jax": {"tools"},
    "pooch": {"data"},
    "tqdm": {"data"},
    "narwhals": {"frames"},
    "torch": {"tools"},
}
LIBRARIES = {"numpy", "np", "cupy", "cupyx", "torch", "jax", "jnp", "array_api_compat",
             "array_api_strict"}  # fmt: skip


@cache
def parsed(module: str) -> ast.Module:
    path = SOURCE.joinpath(*module.split(".")).with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(module: str) -> set[str]:
    """Every module that a module imports, anywhere in it; of the registry, when it runs."""
    tree = parsed(module)
    if module == "registry":
        tree.body = [node for node in tree.body if not isinstance(node, ast.If)]
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
            if node.module == "xpnet":
                exported = [xpnet.registry.PUBLIC.get(alias.name) for alias in node.names]
                names |= {f"xpnet.{path.rpartition('.')[0]}" for path in exported if path}
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module":
            names |= {a.value for a in node.args if isinstance(a, ast.Constant)}
    return names


def ours(module: str) -> set[str]:
    """Those of `MODULES` that a module imports."""
    names = {n.removeprefix("xpnet.") for n in imports(module) if n.startswith("xpnet.")}
    packages = {f"{n}.__init__" for n in names}
    return (names | packages) & {*MODULES} - {"__init__"}


def test_the_order_has_every_module_and_folder() -> None:
    assert sorted(ORDER) == sorted({m.split(".")[0] for m in MODULES})


@pytest.mark.parametrize("module", [m for m in MODULES if m != "__init__"])
def test_imports_go_backwards_in_the_order(module: str) -> None:
    place = ORDER.index(module.split(".")[0])
    for imported in ours(module):
        assert ORDER.index(imported.split(".")[0]) <= place, imported


@pytest.mark.parametrize("folder", sorted({m.split(".")[0] for m in MODULES if "." in m}))
def test_the_modules_of_a_folder_have_no_cycle(folder: str) -> None:
    """But for the folder's own __init__, which comes with any of its modules."""
    inits = {f"{'.'.join(m.split('.')[:-1])}.__init__" for m in MODULES}
    waiting = {m: ours(m) - inits for m in MODULES if m.split(".")[0] == folder}
    while waiting:
        ready = {m for m, needed in waiting.items() if not needed & {*waiting} - {m}}
        assert ready, sorted(waiting)
        waiting = {m: needed for m, needed in waiting.items() if m not in ready}


def test_host_and_cuda_do_not_import_one_another() -> None:
    for here, there in (("host", "cuda"), ("cuda", "host")):
        modules = [m for m in MODULES if m.startswith(f"fast.{here}.")]
        assert modules
        for module in modules:
            assert not {m for m in ours(module) if m.startswith(f"fast.{there}")}, module


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_says_that_a_learner_can_skip_it(folder: str) -> None:
    first, _, _ = (ast.get_docstring(parsed(f"{folder}.__init__")) or "").partition("\n")
    assert first.startswith("Machinery that a learner can skip: ")


@pytest.mark.parametrize("folder", ["", *FOLDERS])
def test_no_module_is_named_like_an_exported_function(folder: str) -> None:
    """Importing it would take the function's place in the package."""
    package = import_module(f"xpnet.{folder}".rstrip("."))
    prefix = f"{folder}." if folder else ""
    names = {m.removeprefix(prefix) for m in MODULES if m.startswith(prefix)}
    modules = {name.removesuffix(".__init__") for name in names} - {"__init__"}
    exported = set(getattr(package, "__all__", ())) | {
        name for name, value in vars(package).items() if not isinstance(value, ModuleType)
    }
    assert not modules & exported


@pytest.mark.parametrize("library", USERS)
def test_each_library_is_imported_in_one_place(library: str) -> None:
    users = {
        m.split(".")[0] for m in MODULES if any(n.split(".")[0] == library for n in imports(m))
    }
    assert users == USERS[library]


@pytest.mark.parametrize(
    "module",
    [
        "special",
        "train",
        "layers",
        "normalization",
        "activations",
        "losses",
        "network",
        "optimizers",
        "metric_inputs",
        "metrics",
        "metric_formulas",
    ],
)
def test_the_core_names_no_array_library(module: str) -> None:
    tree = parsed(module)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    modules = {name.split(".")[0] for name in imports(module)}
    assert not (names | modules) & LIBRARIES


def test_the_public_names_are_there_and_sorted() -> None:
    assert xpnet.__all__ == sorted(xpnet.__all__)
    for name in xpnet.__all__:
        value = getattr(xpnet, name)
        assert value.__doc__
        assert value.__name__ == name
    assert set(xpnet.__all__) <= set(dir(xpnet))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = xpnet.nothing


@pytest.mark.parametrize("module", [m for m in MODULES if not m.endswith("__init__")])
def test_modules_are_attributes_without_an_import_of_their_own(module: str) -> None:
    assert import_module(f"xpnet.{module}") is attrgetter(module)(xpnet)


def test_modules_are_imported_when_they_are_first_accessed() -> None:
    code = "import xpnet; assert xpnet.tools.threads.suited and xpnet.data.sources.load"
    before = loaded("import xpnet", depth=3)
    assert loaded(code, depth=3) - before >= {"xpnet.tools.threads", "xpnet.data.sources"}
    for package in (xpnet, xpnet.tools, xpnet.fast.host):
        with pytest.raises(
            AttributeError, match=f"'{package.__name__}' has no attribute 'nothing'"
        ):
            _ = package.nothing


def loaded(code: str, depth: int = 1) -> set[str]:
    """The modules that are loaded after running some code in a fresh interpreter.

    Of their names no more than `depth` parts.
    """
    report = f"{code}\nimport sys; print('\\nMODULES', *sys.modules)"
    command = [sys.executable, "-c", report]
    done = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8")
    names = done.stdout.rpartition("\nMODULES ")[2].split()
    return {".".join(name.split(".")[:d]) for name in names for d in range(1, depth + 1)}


def test_import_takes_no_library() -> None:
    third_party = {"numpy", "click", "rich", "safetensors", "array_api_compat", "threadpoolctl"}
    assert not loaded("import xpnet") & (third_party | {"cupy", "torch", "jax", "sklearn"})


def test_training_on_numpy_takes_numpy_alone() -> None:
    code = "import xpnet; xpnet.fit(xpnet.mlp(2, 2), [[1., 2], [3, 4]], [0, 1], epochs=1)"
    optional = {"array_api_compat", "cupy", "torch", "jax", "click", "rich", "matplotlib"}
    optional |= {"narwhals", "decimal", "csv"}  # which take 50 ms and more
    optional |= {"threadpoolctl", "email"}  # by which importlib.metadata reads versions
    after = loaded(code)
    assert "numpy" in after
    assert not after & optional


def test_reading_takes_no_downloader() -> None:
    after = loaded("from xpnet.data.sources import load; load('mnist')")
    assert "numpy" in after
    assert not after & {"pooch", "requests", "tqdm"}


NOT_FOR_HELP = {"numpy", "safetensors", "array_api_compat", "threadpoolctl"}


@pytest.mark.parametrize(
    "arguments", ["--help", "train --help", "evaluate --help", "gradcheck --help", "--version", ""]
)
def test_help_takes_no_numpy(arguments: str) -> None:
    after = loaded(f"from xpnet.cli import run; run({arguments.split()})")
    assert "click" in after
    assert not after & NOT_FOR_HELP


def test_training_from_the_command_line_takes_what_it_needs(tmp_path: Path) -> None:
    options = ["--limit", "100", "--epochs", "1", "--output", str(tmp_path / "run"), "-q"]
    code = f"from xpnet.cli import run; assert run({['train', *options]}) == 0"
    after = loaded(code, depth=3)
    assert {"numpy", "threadpoolctl", "safetensors", "xpnet.fitting.training"} <= after
    unused = {"array_api_compat", "rich", "cupy", "torch", "jax", "pooch", "narwhals"}
    unused |= {"numpy.ma", "importlib.metadata"}  # 10 and 15 ms
    assert not after & (unused | {"xpnet.tools.gradcheck", "xpnet.tools.explain"})


def test_every_public_function_and_class_is_described() -> None:
    for module in MODULES:
        tree = parsed(module)
        assert ast.get_docstring(tree), module
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{module}.{node.name}"
