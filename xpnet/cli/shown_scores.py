"""The scores of a model in lines and tables, and in JSON."""

from dataclasses import asdict
from math import isfinite
from textwrap import wrap
from typing import Any

from xpnet.cli.run_folder import finite
from xpnet.data.labels import Label, text_of
from xpnet.fitting.evaluation import Evaluation
from xpnet.fitting.scoring import Baseline
from xpnet.fitting.verbose import show_loss
from xpnet.losses import Loss, Pinball, name_of
from xpnet.model import Model

WIDTH = 80  # columns of a line, where numbers allow it
MARGIN = 15  # of the text of a line
NAME = 60  # most characters of a label in a line
NAME_IN_MATRIX = 14
SCORES = "precision   recall       F1"
ORDER = "in the order of the labels"
MOST_LINES = 50  # of the table of classes
UNEVEN = 3  # from where on the balanced accuracy is shown: largest class over smallest


def line(what: str, text: str) -> str:
    """Return a line: what it is about, and the text, which goes on in lines below if it is long."""
    first = f"{what:<{MARGIN - 1}} "
    if len(first + text) <= WIDTH:
        return first + text
    rows = wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=" " * MARGIN,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return "\n".join(rows)


def shown(model: Model, test: Evaluation, loss: Loss) -> list[str]:
    """Return the lines that say what a model scores on a test set, the most important first."""
    of_loss = line("test loss", f"{show_loss(test.loss)} ({name_of(loss)})")
    if test.accuracy is None or test.interval is None:
        return _of_numbers(test, loss, of_loss)
    low, high = test.interval
    what = " right in all labels" if model.multilabel else ""
    accuracy = (
        f"{test.accuracy:.2%} of {test.samples:,} samples{what} "
        f"(95 % interval: {low:.2%} to {high:.2%})"
    )
    lines = [line("test accuracy", accuracy), *_of_baseline(model, test), of_loss]
    means = _of_labels(test) if model.multilabel else _of_classes(model, test)
    lines += [line(what, text) for what, text in means]
    return lines + _table_of_classes(test) + _confusion(model, test)


def in_json(test: Evaluation) -> dict[str, Any]:
    """Return an evaluation as JSON has it, but for the number of samples; None for NaN."""
    found = finite(asdict(test))
    del found["samples"]
    if test.baseline:
        numbers = found["baseline"].pop("metrics")
        found["baseline"] |= numbers
    return dict(found)


def _of_numbers(test: Evaluation, loss: Loss, of_loss: str) -> list[str]:
    """Return the lines of a regression."""
    metrics, base = test.metrics, test.baseline
    if isinstance(loss, Pinball):
        lines = [of_loss]
        if base:
            constant = f"{show_loss(base.metrics['loss'])} (always the quantiles of the targets)"
            lines += [
                line("baseline", constant),
                *_note(base, "loss is not below"),
            ]
        for name, part in metrics.items():
            output, quantile = name.split("_")[1:]
            text = f"{part:.1%} of targets below output {output}"
            lines.append(line(f"quantile {quantile}", text))
        return lines
    if "r2" not in metrics or base is None:
        return [of_loss]
    error = f"{metrics['mean_absolute_error']:.4g} (mean absolute)"
    constant = (
        f"{base.metrics['r2']:g} (always the mean; "
        f"mean absolute error {base.metrics['mean_absolute_error']:.4g})"
    )
    return [
        line("test R²", f"{metrics['r2']:.4f} of {test.samples:,} samples"),
        line("baseline", constant),
        *_note(base, "R² is not above"),
        of_loss,
        line("test error", error),
    ]


def _note(base: Baseline, what: str) -> list[str]:
    """Return a line if the model is not better, where `what` says by which score."""
    return [] if base.beaten else [line("note", f"{what} the baseline, given its 95 % interval")]


def _of_baseline(model: Model, test: Evaluation) -> list[str]:
    """Return the line of the baseline, and one if the model is not better."""
    base = test.baseline
    if base is None or test.interval is None:
        return []
    if isinstance(base.answer, tuple):
        answer = cut(", ".join(text_of(str(each)) for each in base.answer) or "none", NAME)
        what = "the most frequent set"
    else:
        answer, what = _named(model, base.answer), "the most frequent class"
    accuracy = base.metrics["accuracy"]
    text = f"{accuracy:.2%} (always {answer}, {what})"
    if accuracy > test.interval[1]:
        return [line("baseline", text), line("note", "accuracy is below the baseline")]
    return [line("baseline", text), *_note(base, "accuracy is not above")]


def _named(model: Model, label: Label) -> str:
    """Return a label as a line shows it; a long one is cut and has its number in front."""
    text = text_of(label)
    return text if len(text) <= NAME else f"{model.labels.index(label) + 1} {cut(text, NAME)}"


def _of_labels(test: Evaluation) -> list[tuple[str, str]]:
    means = f"F1 {test.metrics['f1_micro']:.2%} (micro), {test.metrics['f1_macro']:.2%} (macro)"
    return [("over labels", means)]


def _of_classes(model: Model, test: Evaluation) -> list[tuple[str, str]]:
    metrics, rows = test.metrics, [each.rows for each in test.classes if each.rows]
    means = (
        f"precision {metrics['precision']:.2%}, recall {metrics['recall']:.2%}, "
        f"F1 {metrics['f1']:.2%} (macro)"
    )
    lines = [("over classes", means)]
    if max(rows) > UNEVEN * min(rows):
        sizes = f"classes of {_number(min(rows))} to {_number(max(rows))} rows"
        text = f"{metrics['balanced_accuracy']:.2%} (balanced accuracy; {sizes})"
        lines.append(("balanced", text))
    if isfinite(metrics.get("roc_auc", float("nan"))):
        auc, precision = metrics["roc_auc"], metrics["average_precision"]
        label = _named(model, model.labels[1])
        text = f"ROC-AUC {auc:.4f}, average precision {precision:.4f} (of {label})"
        lines.append(("ranking", text))
    calibration = f"{metrics['calibration_error']:.2%} (calibration error)"
    return [*lines, ("confidence", calibration)]


def _table_of_classes(test: Evaluation) -> list[str]:
    """Return a table of rows, precision, recall and F1, of not too many classes.

    If a name is cut, here or in the confusion matrix, all have the numbers that they have there.
    """
    first, classes = "", [*enumerate(test.classes, 1)]
    if len(classes) > MOST_LINES:
        some = sorted((c for c in classes if c[1].rows), key=lambda c: (c[1].f1, -c[1].rows))
        why = "with the lowest F1" if len(some) > MOST_LINES else "that have rows"
        first = f"the {min(MOST_LINES, len(some))} of {len(classes):,} {why}; JSON has all"
        classes = some[:MOST_LINES]
    rows = ["rows", *(_number(each.rows) for _, each in classes)]
    number, digits = max(map(len, rows)), len(str(max(i for i, _ in classes)))
    labels = [text_of(each.label) for _, each in classes]
    widest, width = max(map(len, labels)), WIDTH - len(SCORES) - 4 - number
    numbered = widest > (NAME_IN_MATRIX if test.confusion_matrix else width - MARGIN)
    head = digits + 1 if numbered else 0
    margin = MARGIN if head + widest <= width - MARGIN else 2
    names = [cut(label, width - margin - head) for label in labels]
    if numbered:
        names = [f"{i:>{digits}} {name}" for (i, _), name in zip(classes, names, strict=True)]
    names, scores = ["label", *names], [SCORES]
    scores += [f"{a.precision:9.2%}  {a.recall:7.2%}  {a.f1:7.2%}" for _, a in classes]
    name = max(map(len, names))
    columns = zip(names, rows, scores, strict=True)
    table = [f"{a:<{name}}  {b:>{number}}  {c}" for a, b, c in columns]
    if margin == MARGIN and not first:
        first, *table = table
    return [line("per class", first or ORDER), *(" " * margin + row for row in table)]


def _confusion(model: Model, test: Evaluation) -> list[str]:
    """Return the confusion matrix; where labels are long, columns have numbers for names."""
    if test.confusion_matrix is None:
        return []
    cells = [[_number(n, "") for n in row] for row in test.confusion_matrix]
    labels = [*map(text_of, model.labels)]
    digits = max(len(cell) for row in cells for cell in row)
    widest, m = max(map(len, labels)), len(labels)
    heads, names = labels, [cut(label, NAME_IN_MATRIX) for label in labels]
    if widest > digits and (
        widest > 5 or min(widest, NAME_IN_MATRIX) + m * (widest + 1) > WIDTH - MARGIN
    ):
        heads = [str(i) for i in range(1, m + 1)]
        names = [f"{i:>{len(heads[-1])}} {name}" for i, name in zip(heads, names, strict=True)]
    name, cell = max(map(len, names)), max(digits, *map(len, heads))
    needed = name + m * (cell + 1)
    gap = 2 if needed + m + MARGIN <= WIDTH else 1
    margin = MARGIN if needed + MARGIN <= WIDTH else 2
    table = [
        f"{a:<{name}}" + "".join(f"{b:>{cell + gap}}" for b in row)
        for a, row in zip(["", *names], [heads, *cells], strict=True)
    ]
    title = "rows are labels, columns what was predicted"
    return [line("confusion", title), *(" " * margin + row for row in table)]


def _number(n: float, comma: str = ",") -> str:
    """Return a number of rows, or a sum of weights."""
    return f"{n:{comma}}" if isinstance(n, int) else f"{n:{comma}.6g}"


def cut(text: str, width: int) -> str:
    """Return a text of no more characters than `width`; a longer one without its middle."""
    if len(text) <= width:
        return text
    end = (width - 3) // 2
    return f"{text[: width - 3 - end]}...{text[len(text) - end :]}"
