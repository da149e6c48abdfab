"""Break the formulas on purpose, one at a time: do the tests of their module fail?

    python tests/mutations.py                 200 mutations, two at a time
    python tests/mutations.py --list          print them, and run nothing

A mutation changes one expression of a module of formulas: its sign, a factor of two, an index, or
a number or a comparison by one.  `equivalent_mutations.txt` lists those that change no result, each
with the reason.  The exit code is 1 if a mutation survives that is not listed, or if one that is
listed is caught or is no longer there.

The choice is by a hash of the text, so that a change of the source replaces few of them.
"""

import argparse
import ast
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
MODULES = (
    "activations", "initializers", "layers", "losses", "metric_formulas", "metrics", "network",
    "normalization", "optimizers", "random", "schedules", "special",
)  # fmt: skip
KINDS = ("sign", "factor", "index", "off by one")
TESTS = {
    "metrics": ("tests/test_metrics.py", "tests/test_metric_inputs.py"),
    "metric_formulas": ("tests/test_metric_formulas.py", "tests/test_metrics.py"),
    "normalization": ("tests/test_normalization.py", "tests/test_layers.py"),
}
SECONDS = 120  # after which a mutation that never ends counts as caught
LISTED = Path(__file__).with_name("equivalent_mutations.txt")


class Mutation(NamedTuple):
    """One expression, from one offset in a module to another, and what takes its place."""

    module: str
    kind: str
    start: int
    end: int
    after: str
    name: str


class _Finder(ast.NodeVisitor):
    """Collect the mutations of a module; checks of arguments and messages are left alone."""

    def __init__(self, module: str, source: str) -> None:
        self.module, self.source = module, source
        self.lines = source.splitlines(keepends=True)
        self.offsets = [0]
        for line in self.lines:
            self.offsets.append(self.offsets[-1] + len(line))
        self.scope: list[str] = []
        self.inside: list[ast.AST] = []
        self.found: list[Mutation] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name == "__post_init__" or node.name.startswith(("_check", "require")):
            return
        self._within(node, [*node.args.defaults, *node.body])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._within(node, node.body)

    def _within(self, node: ast.FunctionDef | ast.ClassDef, children: list) -> None:
        self.scope.append(node.name)
        for child in children:
            self.visit(child)
        self.scope.pop()

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        pass

    visit_Assert = visit_JoinedStr = visit_Raise  # noqa: N815

    def generic_visit(self, node: ast.AST) -> None:
        if self.scope and isinstance(node, ast.expr):
            for kind, after in _changes(node, self.inside):
                self._add(node, kind, after)
        self.inside.append(node)
        super().generic_visit(node)
        self.inside.pop()

    def _add(self, node: ast.expr, kind: str, after: str) -> None:
        start = self._offset(node.lineno, node.col_offset)
        end = self._offset(node.end_lineno or 0, node.end_col_offset or 0)
        before = " ".join(self.source[start:end].split())
        line = " ".join(self.lines[node.lineno - 1].split())
        name = f"{'.'.join((self.module, *self.scope))}: {line}: {before} -> {after}"
        self.found.append(Mutation(self.module, kind, start, end, after, name))

    def _offset(self, line: int, column: int) -> int:
        """Where a position of `ast`, which counts bytes, is in the source."""
        return self.offsets[line - 1] + len(self.lines[line - 1].encode()[:column].decode())


SWAPPED = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">"}


def _changes(node: ast.expr, inside: list[ast.AST]) -> Iterator[tuple[str, str]]:
    """The kinds of mutation of one expression, and the text of each."""
    text = ast.unparse
    match node:
        case ast.BinOp(left, ast.Add(), right):
            yield "sign", f"({text(left)} - ({text(right)}))"
        case ast.BinOp(left, ast.Sub(), right):
            yield "sign", f"({text(left)} + ({text(right)}))"
        case ast.BinOp(_, ast.Mult() | ast.MatMult() | ast.Div(), _):
            yield "factor", f"(2 * ({text(node)}))"
        case ast.BinOp(left, ast.Pow(), right) if not isinstance(right, ast.Constant):
            yield "off by one", f"(({text(left)}) ** ({text(right)} + 1))"
        case ast.UnaryOp(ast.USub(), operand) if not isinstance(operand, ast.Constant):
            yield "sign", f"({text(operand)})"
        case ast.Constant(float(value)) if value and abs(value) != float("inf"):
            yield "factor", repr(2 * value)
        case ast.Constant(int(value)) if _is_number(value, inside):
            if _is_index(inside):
                yield "index", str(1 - value if value in (0, 1) else value + 1)
            else:
                yield "off by one", str(value + 1)
        case ast.Compare(left, [operator], [right]) if type(operator) in SWAPPED:
            yield "off by one", f"({text(left)} {SWAPPED[type(operator)]} {text(right)})"
        case ast.Slice(None, upper, None) if upper is not None:
            yield "index", f"{text(upper)}:"
        case ast.Slice(lower, None, None) if lower is not None:
            yield "index", f":{text(lower)}"


def _is_number(value: int, inside: list[ast.AST]) -> bool:
    """Whether a constant may change: it is no bool, and not the 1 in a size of -1 (or -2)."""
    return not isinstance(value, bool) and not isinstance(inside[-1], ast.UnaryOp)


def _is_index(inside: list[ast.AST]) -> bool:
    """Whether a number is an index, one of several, or an axis."""
    if isinstance(inside[-1], ast.Tuple):
        return isinstance(inside[-2], ast.Subscript)
    is_axis = isinstance(inside[-1], ast.keyword) and inside[-1].arg == "axis"
    return is_axis or isinstance(inside[-1], ast.Subscript)


def every_mutation() -> list[Mutation]:
    """All mutations of all modules; equal texts are numbered."""
    found: list[Mutation] = []
    for module in MODULES:
        source = (ROOT / "xpnet" / f"{module}.py").read_text(encoding="utf-8")
        finder = _Finder(module, source)
        finder.visit(ast.parse(source))
        found += finder.found
    times: Counter[str] = Counter()
    for i, mutation in enumerate(found):
        times[mutation.name] += 1
        if times[mutation.name] > 1:
            found[i] = mutation._replace(name=f"{mutation.name} #{times[mutation.name]}")
    return found


def chosen(count: int, seed: int) -> list[Mutation]:
    """Return `count` mutations, equally many of each kind where possible."""

    def order(mutation: Mutation) -> str:
        return hashlib.sha256(f"{seed} {mutation.name}".encode()).hexdigest()

    every = sorted(every_mutation(), key=order)
    each = -(-count // len(KINDS))
    return [m for kind in KINDS for m in [m for m in every if m.kind == kind][:each]]


def equivalent() -> dict[str, str]:
    """The mutations that are listed, and why each changes no result."""
    lines = LISTED.read_text(encoding="utf-8").splitlines()
    pairs = [line.partition(" ### ") for line in lines if line.strip()]
    return {name: reason for name, _, reason in pairs}


def is_caught(mutation: Mutation, root: Path) -> bool:
    """Whether the tests of its module fail in this copy of the source."""
    path = root / "xpnet" / f"{mutation.module}.py"
    source = path.read_text(encoding="utf-8")
    path.write_text(source[: mutation.start] + mutation.after + source[mutation.end :], "utf-8")
    try:
        return not passes(root, *TESTS.get(mutation.module, (f"tests/test_{mutation.module}.py",)))
    finally:
        path.write_text(source, encoding="utf-8")


def passes(root: Path, *tests: str) -> bool:
    """Whether tests pass in a copy of the source; not if they take too long."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    if done.returncode not in (0, 1, 2):  # failed tests, and modules that cannot be imported
        sys.exit(f"pytest ended with {done.returncode}: {done.stdout.decode()}")
    return done.returncode == 0


def run(mutations: list[Mutation], processes: int) -> dict[str, bool]:
    """Whether each mutation is caught, by name; in copies of the source."""
    copies: Queue[Path] = Queue()
    results: dict[str, bool] = {}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(processes) as pool:
        for i in range(processes):
            copy = Path(folder) / str(i)
            for part in ("xpnet", "tests"):
                shutil.copytree(ROOT / part, copy / part)
            for file in ("pyproject.toml", "README.md"):
                shutil.copy(ROOT / file, copy / file)
            copies.put(copy)

        def work(mutation: Mutation) -> None:
            copy = copies.get()
            try:
                results[mutation.name] = is_caught(mutation, copy)
            finally:
                copies.put(copy)
            result = "caught" if results[mutation.name] else "SURVIVED"
            print(f"{result:<8}  {mutation.kind:<10}  {mutation.name}", flush=True)

        whole = [test for module in MODULES for test in TESTS.get(module, ())]
        whole += [f"tests/test_{module}.py" for module in MODULES]
        if not passes(copies.queue[0], *whole):
            sys.exit("the tests fail, or take too long, without a mutation")
        list(pool.map(work, mutations))
    return results


def main() -> int:
    """Run the mutations; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=200, help="how many [200]")
    parser.add_argument("--seed", type=int, default=0, help="another choice")
    parser.add_argument("--processes", type=int, default=2, help="how many at a time [2]")
    parser.add_argument("--module", choices=MODULES, help="all mutations of this module")
    parser.add_argument("--list", action="store_true", help="print them, and run nothing")
    arguments = parser.parse_args()
    listed = equivalent()
    wrong = [f"no longer there: {n}" for n in {*listed} - {m.name for m in every_mutation()}]
    mutations = chosen(arguments.count, arguments.seed)
    if arguments.module:
        mutations = [m for m in every_mutation() if m.module == arguments.module]
    if arguments.list:
        print(*(f"{m.kind:<10}  {m.name}" for m in mutations), sep="\n")
        return 0
    names = [m.name for m in mutations]
    others = [m for m in every_mutation() if m.name in listed and m.name not in names]
    results = run([*mutations, *([] if arguments.module else others)], arguments.processes)
    for name, caught in results.items():
        if caught == (name in listed):
            wrong.append(f"listed, but caught: {name}" if caught else f"survived: {name}")
    print(*wrong, sep="\n")
    kept, caught = (
        sum(a in names for a in b) for b in (listed, [n for n in results if results[n]])
    )
    print(f"{caught} of {len(names)} mutations caught, {kept} are equivalent")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
