"""What is printed of an evaluation: lines and tables; and what JSON has."""

import json
import math
import re

import numpy as np
import pytest

import xpnet
from xpnet.cli.run_folder import finite
from xpnet.cli.shown_scores import cut, in_json, line, shown
from xpnet.fitting.evaluation import default_loss, evaluate

RNG = np.random.default_rng(0)


def lines_of(labels: list[str], rows: list[int], **options: object) -> list[str]:
    """Return the lines of a model that always answers the first label; the numbers of the rows."""
    model = xpnet.mlp(2, len(labels), labels=labels, initializer="zeros")
    y = np.repeat(labels, rows)
    test = evaluate(model, RNG.normal(size=(len(y), 2)), y)
    return "\n".join(shown(model, test, default_loss(model))).split("\n")


def test_a_useless_model_is_called_so() -> None:
    lines = lines_of(["no", "yes"], [552, 48])
    assert lines == [
        "test accuracy  92.00% of 600 samples (95 % interval: 89.55% to 93.91%)",
        "baseline       92.00% (always no, the most frequent class)",
        "note           accuracy is not above the baseline, given its 95 % interval",
        "test loss      0.6931 (softmax-cross-entropy)",
        "over classes   precision 46.00%, recall 50.00%, F1 47.92% (macro)",
        "balanced       50.00% (balanced accuracy; classes of 48 to 552 rows)",
        "ranking        ROC-AUC 0.5000, average precision 0.0800 (of yes)",
        "confidence     42.00% (calibration error)",
        "per class      label  rows  precision   recall       F1",
        "               no      552     92.00%  100.00%   95.83%",
        "               yes      48      0.00%    0.00%    0.00%",
        "confusion      rows are labels, columns what was predicted",
        "                     no  yes",
        "               no   552    0",
        "               yes   48    0",
    ]


def test_a_model_worse_than_the_baseline_is_called_so() -> None:
    text = "\n".join(lines_of(["no", "yes"], [10, 90]))
    assert "note           accuracy is below the baseline" in text


def test_classes_of_similar_size_have_no_balanced_accuracy() -> None:
    for rows, there in (([30, 10], False), ([31, 10], True), ([10, 31], True)):
        assert any("balanced" in line for line in lines_of(["a", "b"], rows)) == there
    assert not any("balanced" in line for line in lines_of(["a", "b"], [7, 0]))
    assert not any("ranking" in line for line in lines_of(["a", "b"], [7, 0]))


def test_a_model_that_is_better_has_no_note() -> None:
    model = xpnet.mlp(2, 2, seed=1)
    x = RNG.normal(size=(100, 2))
    test = evaluate(model, x, model.predict(x))
    lines = shown(model, test, default_loss(model))
    assert lines[1].startswith("baseline ")
    assert lines[2].startswith("test loss ")


LONG = "a name that is long, of class {:02d}"


@pytest.mark.parametrize(
    ("labels", "rows", "heads"),
    [
        ([LONG.format(i) for i in range(20)], 99, "1  2  3  4"),
        ([f"c{i:03d}" for i in range(20)], 9, "1  2  3  4"),
        ([f"c{i:03d}" for i in range(12)], 999, "c000 c001 c002"),
        ([*map(str, range(20))], 99, "0  1  2  3"),
        ([*map(str, range(10))], 1234, "0     1     2"),
        (["\N{GREEK SMALL LETTER ALPHA}", "b"], 1, "b"),
    ],
)
def test_tables_fit_80_columns(labels: list[str], rows: int, heads: str) -> None:
    lines = lines_of(labels, [rows] * len(labels))
    assert max(map(len, lines)) <= 80
    start = next(i for i, line in enumerate(lines) if line.startswith("confusion"))
    assert heads in lines[start + 1]
    table = lines[start + 1 :]
    assert len(table) == len(labels) + 1
    assert len({len(line) for line in table}) == 1
    names = {re.sub(r"( +\d+)+$", "", line) for line in table[1:]}
    assert len(names) == len(labels) or labels[0].isdigit()


def test_of_21_classes_there_is_no_confusion_matrix() -> None:
    lines = lines_of([f"c{i}" for i in range(21)], [2] * 21)
    assert not any(line.startswith("confusion") for line in lines)
    assert sum("%" in line and line.startswith(" " * 15) for line in lines) == 21


def test_of_many_classes_those_with_the_lowest_f1_are_shown() -> None:
    """The first class has F1 above 0, the second is the largest without."""
    labels = [f"c{i:02d}" for i in range(51)]
    lines = lines_of(labels, [2, 9, *[1] * 49])
    start = next(i for i, line in enumerate(lines) if line.startswith("per class"))
    assert lines[start] == "per class      the 50 of 51 with the lowest F1; JSON has all"
    assert len(lines) == start + 2 + 50
    assert lines[start + 2].split()[:2] == ["c01", "9"]
    assert not any("c00" in line for line in lines[start:])


def test_of_many_classes_those_without_rows_are_not_shown() -> None:
    labels = [f"c{i:02d}" for i in range(61)]
    lines = lines_of(labels, [500, *[0] * 60])
    start = next(i for i, line in enumerate(lines) if line.startswith("per class"))
    assert lines[start] == "per class      the 1 of 61 that have rows; JSON has all"
    assert [line.split()[:2] for line in lines[start + 1 :]] == [["label", "rows"], ["c00", "500"]]


ALIKE = [f"class number {word} of twenty-one in a long list" for word in ("one", "two", "three")]


def test_long_names_are_shown_whole_or_have_numbers() -> None:
    """The table has names of up to 41 characters, and the numbers of the confusion matrix."""
    for length, margin in ((28, 15), (29, 2), (41, 2)):
        labels = [name[: length - 1] + "." for name in ALIKE]
        whole = lines_of(labels, [2, 2, 2])
        start = next(i for i, line in enumerate(whole) if line.startswith("confusion"))
        assert [line[margin:].split("  ")[0] for line in whole[start - 3 : start]] == [
            f"{i} {name}" for i, name in enumerate(labels, 1)
        ]
        assert [line[15:17] for line in whole[start + 2 :]] == ["1 ", "2 ", "3 "]
    assert whole[start - 5] == "per class      in the order of the labels"
    lines = lines_of([name + 9 * "." for name in ALIKE], [2, 2, 2])
    assert [line[2:45] for line in lines[-8:-5]] == [
        f"{i} {cut(name + 9 * '.', 41)}" for i, name in enumerate(ALIKE, 1)
    ]
    many = lines_of([f"{name}{i:02d}" for i in range(20) for name in ALIKE], [1, *[2] * 59])
    numbers = [line.split()[0] for line in many[-50:]]
    assert numbers == [str(i) for i in range(2, 52)]
    assert max(map(len, [*whole, *lines, *many])) <= 80


def test_the_baseline_names_its_class() -> None:
    text = "\n".join(lines_of(ALIKE, [1, 1, 2]))
    assert " ".join(text.split("baseline")[1].split()[1:12]) == f"(always {ALIKE[2]}, the"
    text = "\n".join(lines_of([name + "." * 40 for name in ALIKE], [1, 1, 2]))
    assert "(always 3 class" in text
    assert max(map(len, text.splitlines())) <= 80


def test_an_empty_name_is_shown_in_quotes() -> None:
    lines = lines_of(["", " ", "b"], [5, 1, 1])
    assert "(always '', the most frequent class)" in lines[1]
    start = next(i for i, line in enumerate(lines) if line.startswith("per class"))
    assert [line.split()[0] for line in lines[start + 1 : start + 4]] == ["''", "'", "b"]
    assert lines[-3].split()[:2] == ["''", "5"]


def test_long_lines_go_on_below() -> None:
    assert line("task", "a " * 30) == f"task           {'a ' * 30}"
    assert line("task", "word " * 20) == (
        f"task           {'word ' * 12}word\n{' ' * 15}{'word ' * 6}word"
    )
    assert line("data", "/" * 99) == f"data           {'/' * 99}"


def test_several_labels_have_a_table() -> None:
    model = xpnet.mlp(2, 2, multilabel=True, labels=("wet", "cold"), initializer="zeros")
    test = evaluate(model, np.zeros((4, 2)), [[1, 1], [1, 1], [0, 0], [1, 1]])
    lines = shown(model, test, default_loss(model))
    assert lines[1] == "baseline       75.00% (always wet, cold, the most frequent set)"
    assert lines[2].startswith("note           accuracy is below the baseline")
    assert lines[-3:] == [
        "per class      label  rows  precision   recall       F1",
        "               wet       3      0.00%    0.00%    0.00%",
        "               cold      3      0.00%    0.00%    0.00%",
    ]
    nothing = evaluate(model, np.zeros((4, 2)), np.zeros((4, 2)))
    assert "(always none," in shown(model, nothing, default_loss(model))[1]


@pytest.mark.parametrize("unit", [1.0, 1e-24, 1e18])
def test_numbers_have_the_mean_for_a_baseline(unit: float) -> None:
    model = xpnet.mlp(2, 1, output="identity", initializer="zeros")
    t = np.asarray([1.0, -1.0, 1.0, -1.0]) * unit
    lines = shown(model, evaluate(model, np.zeros((4, 2)), t), default_loss(model))
    assert lines[:3] == [
        "test R²        0.0000 of 4 samples",
        f"baseline       0 (always the mean; mean absolute error {unit:.4g})",
        "note           R² is not above the baseline, given its 95 % interval",
    ]
    squared = "1.0000" if unit == 1 else f"{unit**2:.4g}"
    assert lines[3] == f"test loss      {squared} (squared-error)"
    loss = xpnet.Pinball((0.5,))
    lines = shown(model, evaluate(model, np.zeros((4, 2)), t, loss), loss)
    assert lines[1].endswith(" (always the quantiles of the targets)")
    assert lines[2].startswith(
        "note           loss is not below the baseline, given its 95 % interval"
    )
    assert max(map(len, lines)) <= 80


def test_constant_targets_have_a_baseline_of_1() -> None:
    model = xpnet.mlp(2, 1, output="identity", initializer="zeros")
    lines = shown(model, evaluate(model, np.zeros((3, 2)), [5.0] * 3), default_loss(model))
    assert lines[0] == "test R²        0.0000 of 3 samples"
    assert lines[1] == "baseline       1 (always the mean; mean absolute error 0)"


def test_long_texts_lose_their_middle() -> None:
    assert cut("short", 5) == "short"
    assert cut("class number 17", 10) == "clas... 17"
    assert len(cut("x" * 99, 24)) == 24


def test_json_has_all_numbers_and_no_nan() -> None:
    model = xpnet.mlp(2, 2, labels=("a", "b"), initializer="zeros")
    found = in_json(evaluate(model, np.zeros((3, 2)), ["a", "a", "a"]))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["metrics"]["roc_auc"] is None
    assert found["baseline"] == {"answer": "a", "beaten": False, "accuracy": 1.0}
    assert found["classes"][1] == {
        "label": "b", "rows": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0
    }  # fmt: skip
    assert found["confusion_matrix"] == [[3, 0], [0, 0]]
    assert finite({"a": (1.0, math.inf), "b": [math.nan, "nan"]}) == {
        "a": [1.0, None], "b": [None, "nan"]
    }  # fmt: skip
    numbers = xpnet.mlp(2, 1, output="identity")
    found = in_json(evaluate(numbers, np.zeros((1, 2)), [1.0]))
    assert found["metrics"]["r2"] is None
    assert found["baseline"]["answer"] == [1.0]
    assert re.search(r"NaN", json.dumps(found)) is None
