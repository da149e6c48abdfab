"""Write the stub of the package and the README's table of parts from `xpnet/registry.py`.

    python scripts/generate.py            after a change of the registry
    python scripts/generate.py --check    write nothing; exit code 1 if a file is not current

Names at the top of xpnet are imported when they are first used, which editors and type checkers
cannot follow: they read them from the stub, `xpnet/__init__.pyi`.
"""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the registry of this clone, whatever is installed

from xpnet import registry  # noqa: E402

TABLE = re.compile(r"(?<=\| part \| names \|\n\|---\|---\|\n)(\|.*\|\n)+")


def stub() -> str:
    """The text of `xpnet/__init__.pyi`: every module, and every public name from its module."""
    modules = {
        path.stem if path.name != "__init__.py" else path.parent.name
        for path in (*(ROOT / "xpnet").glob("*.py"), *(ROOT / "xpnet").glob("*/__init__.py"))
    } - {"__init__", "__main__", "xpnet"}
    lines = [f"from xpnet import {name} as {name}" for name in sorted(modules)]
    public = [(path.rpartition(".")[0], name) for name, path in registry.PUBLIC.items()]
    for module, name in sorted(public, key=_as_ruff_sorts):
        lines.append(f"from xpnet.{module} import {name} as {name}")
    return "\n".join(
        [
            "# Written by scripts/generate.py from xpnet/registry.py.",
            "from typing import Any",
            "",
            *lines,
            "",
            "__version__: str",
            "__all__: list[str]",
            "",
            "def submodule(package: str, name: str) -> Any: ...",
            "",
        ]
    )


def _as_ruff_sorts(public: tuple[str, str]) -> tuple[str, bool, bool, str]:
    module, name = public
    return module, not name.isupper(), name[0].islower(), name.lower()


def parts() -> dict[str, list[str]]:
    """The names of each kind of part, as the README lists them."""
    layers = [n for n, at in registry.LAYERS.paths.items() if not at.startswith("activations.")]
    outputs = {name: loss.output for name, loss in registry.LOSSES.items()}
    return {
        "layers": layers,
        "activations": [*registry.ACTIVATIONS],
        "normalizations": [*registry.NORMALIZATIONS],
        "initializers": [*registry.INITIALIZERS],
        "losses of one of several classes": [n for n, o in outputs.items() if o == "softmax"],
        "losses of yes or no for each class": [n for n, o in outputs.items() if o == "sigmoid"],
        "losses of numbers": [n for n, o in outputs.items() if o in ("identity", "exp")],
        "optimizers": [*registry.OPTIMIZERS],
        "averages": [*registry.AVERAGES],
        "schedules": [*registry.SCHEDULES],
        "metrics": [*registry.METRICS],
        "data formats": [*registry.FORMATS],
        "data formats of samples to predict": [*registry.FORMATS_WITHOUT_TARGETS],
        "data sets": [*registry.DATA],
        "commands": [*registry.COMMANDS],
    }


def table() -> str:
    """The rows of the README's table of parts."""
    rows = ((kind, ", ".join(f"`{name}`" for name in names)) for kind, names in parts().items())
    return "".join(f"| {kind} | {names} |\n" for kind, names in rows)


def written() -> dict[Path, str]:
    """What each file should hold."""
    readme = ROOT / "README.md"
    text, tables = TABLE.subn(lambda _: table(), readme.read_text(encoding="utf-8"))
    if tables != 1:
        sys.exit("README.md: expected one table with the head | part | names |")
    return {ROOT / "xpnet" / "__init__.pyi": stub(), readme: text}


def stale() -> list[Path]:
    """The files that are not current."""
    return [
        path
        for path, text in written().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; say what is stale")
    arguments = parser.parse_args()
    texts, old = written(), stale()
    for path in old:
        if arguments.check:
            print(f"{path.relative_to(ROOT)} is not current: run python scripts/generate.py")
        else:
            try:
                path.write_text(texts[path], encoding="utf-8")
            except OSError as error:
                sys.exit(f"{path}: cannot be written: {error.strerror}")
            print(f"wrote {path.relative_to(ROOT)}")
    return int(arguments.check and bool(old))


if __name__ == "__main__":
    sys.exit(main())
