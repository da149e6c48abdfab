"""Time and memory of reading tables, compared with pandas.

    python scripts/benchmarks/bench_read.py [--rounds 5] [--tables pixels,whole,wide]

Each reading is a process of its own, one at a time and in random order.  The clock runs from the
call to its end, without imports; memory is the greatest of the process, with imports.

pixels   42,000 rows: a label and 784 columns of whole numbers named as pixels, 77 MB
whole    the same numbers with other names, which become float64
wide     6 rows of 20,000 numbers with their digits, 2 MB

xpnet          `load`, which also hashes the file, finds the task and splits off the test set
xpnet[tables]  the same with pyarrow
pandas         `read_csv`
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

SIDES = ("xpnet", "xpnet[tables]", "pandas")


def read(side: str, path: str) -> None:
    """Read a file, and print the seconds."""
    if side == "pandas":
        from pandas import read_csv as reader
    else:
        import xpnet.data.csv_files  # noqa: F401 (`load` imports it when it needs it)
        from xpnet.data.sources import load as reader

        if side == "xpnet":
            sys.modules["pyarrow"] = None  # so that it cannot be imported
        else:
            import pyarrow.csv  # noqa: F401
    start = perf_counter()
    reader(path)
    print(perf_counter() - start)


def write_files(folder: str, rows: str, columns: str) -> None:
    """Write the tables, in a process of its own, since others would begin with its memory."""
    import numpy as np

    rows, columns = int(rows), int(columns)

    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (rows, 784)) * (rng.random((rows, 784)) < 0.19)
    lines = [f"{i % 10}," + ",".join(map(str, row.tolist())) for i, row in enumerate(x)]
    numbers = [
        f"{i % 2}," + ",".join(map(repr, rng.normal(size=columns).tolist())) for i in range(6)
    ]
    tables = {
        "pixels": ("pixel", 784, lines),
        "whole": ("c", 784, lines),
        "wide": ("c", columns, numbers),
    }
    for name, (prefix, width, body) in tables.items():
        header = ",".join(["label", *(f"{prefix}{i}" for i in range(width))])
        path = Path(folder) / f"{name}.csv"
        path.write_text("\n".join([header, *body, ""]), encoding="ascii")


def measured(side: str, path: Path) -> tuple[float, float]:
    """Return the seconds of one reading, and the greatest memory of its process in MiB."""
    command = [sys.executable, __file__, "--read", side, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    seconds = process.stdout.read()
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{side} cannot read {path.name}")
    return float(seconds), usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    if sys.argv[1:2] in (["--read"], ["--write"]):
        {"--read": read, "--write": write_files}[sys.argv[1]](*sys.argv[2:])
        return
    from benchmark import machine, table

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tables", default="pixels,whole,wide")
    parser.add_argument("--sides", default=",".join(SIDES), help="pandas is needed")
    parser.add_argument("--quick", action="store_true", help="small files, to see that all works")
    arguments = parser.parse_args()
    rounds = 1 if arguments.quick else arguments.rounds
    print(machine("pandas", "pyarrow"), end="\n\n")
    with tempfile.TemporaryDirectory() as folder:
        sizes = ("200", "100") if arguments.quick else ("42000", "20000")
        subprocess.run([sys.executable, __file__, "--write", folder, *sizes], check=True)
        sides = arguments.sides.split(",")
        found = {(name, side): [] for name in arguments.tables.split(",") for side in sides}
        for _ in range(rounds):
            for name, side in random.sample([*found], len(found)):
                found[name, side].append(measured(side, Path(folder) / f"{name}.csv"))
    rows = []
    for (name, side), results in found.items():
        seconds = [result[0] for result in results]
        # Each round's ratio: both sides of it were measured in the same minute.
        peers = [result[0] for result in found[name, "pandas"]]
        ratio = median(a / b for a, b in zip(seconds, peers, strict=True))
        memory = max(result[1] for result in results)
        times = f"{min(seconds):.2f}", f"{median(seconds):.2f}", f"{ratio:.2f}"
        rows.append([name, side, *times, f"{memory:,.0f}"])
    print(table(["table", "", "s, min", "s, median", "÷ pandas", "memory, MiB"], rows))


if __name__ == "__main__":
    main()
