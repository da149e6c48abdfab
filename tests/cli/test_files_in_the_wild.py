"""Ten files as people have them: each trains with one command, which says what was left out."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import manifest

from xpnet.cli import run

ROWS = 24


def digit_recogniser() -> bytes:
    """Kaggle's: the label and 784 pixels by name."""
    names = ",".join(f"pixel{i}" for i in range(784))
    rows = (f"{i % 2}," + ",".join([str(100 + i % 2)] * 784) for i in range(ROWS))
    return "\n".join([f"label,{names}", *rows, ""]).encode()


def bank() -> bytes:
    """A bank's: semicolons, quoted texts, many of them in the columns."""
    rows = (f'{30 + i};"clerk";{i * 10};"may";"{"yes" if i % 3 else "no"}"' for i in range(ROWS))
    return "\n".join(['"age";"job";"balance";"month";"y"', *rows, ""]).encode()


def spreadsheet() -> bytes:
    """A European spreadsheet's export: a mark, semicolons, decimal commas, Windows' line ends."""
    rows = (f"{i},5;{i * 3};{i},25" for i in range(ROWS))
    return "\r\n".join(["\ufeffLänge;Breite;Preis", *rows, ""]).encode()


def frame_with_index() -> bytes:
    """scikit-learn's iris, written by pandas with its index, and class numbers."""
    rows = (f"{i},{5 + i % 3}.1,{3 - i % 3}.5,{i % 3}" for i in range(ROWS))
    names = ",sepal length (cm),sepal width (cm),target"
    return "\n".join([names, *rows, ""]).encode()


def r_export() -> bytes:
    """R's write.csv: names of rows and texts in quotes."""
    rows = (
        f'"{i + 1}",{5 + i % 2}.1,{i % 5},"{"setosa" if i % 2 else "other, kind"}"'
        for i in range(ROWS)
    )
    return "\n".join(['"","Sepal.Length","Petal.Width","Species"', *rows, ""]).encode()


def tabs_with_date() -> bytes:
    rows = (f"2024-01-{i + 1:02}\t{i / 4}\t{i % 7}\t{i * 2.5}" for i in range(ROWS))
    return "\n".join(["date\twind\tcloud\tpower", *rows, ""]).encode()


def gzipped_with_truth() -> bytes:
    rows = (f"c{i},{i % 2 == 0},{i % 5},{'True' if i % 3 else 'False'}" for i in range(ROWS))
    return gzip.compress("\n".join(["customer,paper,calls,Churn", *rows, ""]).encode())


def without_names() -> bytes:
    """UCI's iris.data."""
    rows = (
        f"{5 + i % 2}.1,3.5,{i % 5}.4,Iris-{'setosa' if i % 2 else 'virginica'}"
        for i in range(ROWS)
    )
    return "\n".join([*rows, "", ""]).encode()


def mnist_without_names() -> bytes:
    """MNIST as a table: the label first, no names."""
    rows = (f"{i % 2 + 3}," + ",".join([str(50 * (i % 2))] * 784) for i in range(ROWS))
    return "\n".join(rows).encode()


def old_western() -> bytes:
    """A program's export in Latin-1, with a comma in a name."""
    rows = (f"é{i},{i % 6},{i * 0.5}" for i in range(ROWS))
    return "\n".join(['Straße,n,"Größe, cm"', *rows, ""]).encode("latin-1")


INDEX = "the first column, which has no name (an index)"
WILD: dict[str, tuple[Callable[[], bytes], str, str, tuple[int, ...], str]] = {
    "train.csv": (digit_recogniser, "", "classification", (28, 28), ""),
    "bank-full.csv": (bank, "--target y --drop job,month", "classification", (2,), "job, month"),
    "export.csv": (spreadsheet, "--target Preis", "regression", (2,), ""),
    "iris.csv": (frame_with_index, "--target target", "classification", (2,), INDEX),
    "r.csv": (r_export, "--target Species", "classification", (2,), INDEX),
    "wind.tsv": (tabs_with_date, "--target power --drop date", "regression", (2,), "date"),
    "churn.csv.gz": (
        gzipped_with_truth,
        "--target Churn --features paper,calls",
        "classification",
        (2,),
        "customer",
    ),
    "iris.data": (
        without_names,
        "--delimiter , --no-header --target 3",
        "classification",
        (3,),
        "",
    ),
    "mnist_train.csv": (mnist_without_names, "--no-header", "classification", (28, 28), ""),
    "alt.csv": (
        old_western,
        "--encoding latin-1 --drop Straße --target",
        "regression",
        (1,),
        "Straße",
    ),
}


@pytest.mark.parametrize("name", WILD)
def test_a_file_in_the_wild_trains_with_one_command(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    content, options, task, shape, left_out = WILD[name]
    (folder / name).write_bytes(content())
    words = options.split() + (["Größe, cm"] if options.endswith("--target") else [])
    common = ["--epochs", "1", "--hidden", "2", "--device", "cpu", "--output", "run"]
    assert run(["train", name, *words, *common]) == 0
    told = capsys.readouterr().out
    assert [line[15:] for line in told.splitlines() if "left out" in line] == (
        [f"left out: {left_out}"] if left_out else []
    )
    assert manifest("run")["task"] == task
    assert f"of {' x '.join(map(str, shape))}\n" in told
    assert run(["evaluate", "run", "--device", "cpu"]) == 0
    assert run(["predict", "run", name, "--output", "answers.csv", "--device", "cpu"]) == 0
    assert len((folder / "answers.csv").read_text().splitlines()) == 1 + ROWS


def test_all_that_is_wrong_is_told_in_a_line_each(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the remedy works as it is typed."""
    (folder / "t.csv").write_text('id,"first name",age,label\n1,Bob,2,x\n2,Ann,,y\n3,Cy,3,x\n')
    assert run(["train", "t.csv", "--device", "cpu"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "xpnet: t.csv: has 2 faults",
        "  line 2 (and 2 more): column 'first name' is 'Bob'; expected a number",
        "  line 3: column 'age' has no value; fill it in or leave the row out",
        "  to leave these columns out: --drop 'first name,age'",
    ]
    assert (
        run(
            ["train", "t.csv", "--device", "cpu", "--drop", "first name,age", "--epochs", "1", "-q"]
        )
        == 0
    )


def test_predict_reads_a_table_as_the_run_did_unless_it_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "t.csv").write_text("1|2|a\n3|4|b\n5|6|a\n")
    line = (
        "train t.csv --no-header --delimiter | --target 2 --epochs 1 -q --device cpu --output run"
    )
    assert run(line.split()) == 0
    (folder / "new.csv").write_text("1|2\n3|4\n")
    (folder / "named.csv").write_text("a,b\n1,2\n")
    np.save("new.npy", [[1.0, 2.0]])
    for name, rows in {"new.csv": 2, "new.npy": 1}.items():
        assert run(["predict", "run", name, "--json", "--device", "cpu"]) == 0
        assert capsys.readouterr().out.count('"sample"') == rows
    line = "predict run named.csv --header --delimiter , --device cpu"
    assert run(line.split()) == 1
    told = capsys.readouterr().err
    assert "has no columns 0 of 3, 1 of 3 that the model takes; it has a, b" in told
