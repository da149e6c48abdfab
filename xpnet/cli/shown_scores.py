"""The scores of a model in lines and tables, and in JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

from xpnet.cli.run_folder import finite
from xpnet.fitting.evaluation import Evaluation
from xpnet.fitting.scoring import Baseline, ClassScores
from xpnet.fitting.verbose import show_loss
from xpnet.losses import Loss, Pinball, name_of
from xpnet.model import Model

WIDTH = 80  # columns of a line, where numbers allow it
MARGIN = 15  # of the text of a line
MOST_LINES = 50  # of the table of classes
UNEVEN = 3  # from where on the balanced accuracy is shown: largest class over smallest


def line(what: str, text: str) -> str:
    """Return a line: what it is about, and the text."""
    return f"{what:<{MARGIN - 1}} {text}"


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
    lines = [line("test accuracy", accuracy), *_of_baseline(test), of_loss]
    means = _of_labels(test) if model.multilabel else _of_classes(model, test)
    lines += [line(what, text) for what, text in means]
    return lines + _table_of_classes(test.classes) + _confusion(model, test)


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
            lines += [line("baseline", constant), *_unbeaten(base, "these quantiles", "losses")]
        for name, part in metrics.items():
            output, quantile = name.split("_")[1:]
            text = f"{part:.1%} of targets below output {output}"
            lines.append(line(f"quantile {quantile}", text))
        return lines
    if "r2" not in metrics or base is None:
        return [of_loss]
    error = f"{metrics['mean_absolute_error']:.4g} (mean absolute)"
    constant = f"0 (always the mean; mean absolute error {base.metrics['mean_absolute_error']:.4g})"
    return [
        line("test R²", f"{metrics['r2']:.4f} of {test.samples:,} samples"),
        line("baseline", constant),
        *_unbeaten(base, "the mean", "squared errors"),
        of_loss,
        line("test error", error),
    ]


def _unbeaten(base: Baseline, answer: str, error: str) -> list[str]:
    if base.beaten:
        return []
    text = f"not better than always {answer} (95 % interval of {error})"
    return [line("note", text)]


def _of_baseline(test: Evaluation) -> list[str]:
    """Return the line of the baseline, and one if the model is not better."""
    base = test.baseline
    if base is None or test.interval is None:
        return []
    several = isinstance(base.answer, tuple)
    names = base.answer if isinstance(base.answer, tuple) else (base.answer,)
    answer = cut(", ".join(map(str, names)) or "none", 20)
    accuracy = base.metrics["accuracy"]
    what = "the most frequent set" if several else "the most frequent class"
    lines = [line("baseline", f"{accuracy:.2%} (always {answer}, {what})")]
    if not base.beaten:
        place = "within" if accuracy <= test.interval[1] else "above"
        text = f"not better than always {answer} ({place} the interval)"
        lines.append(line("note", text))
    return lines


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
        label = cut(str(model.labels[1]), 24)
        text = f"ROC-AUC {auc:.4f}, average precision {precision:.4f} (of {label})"
        lines.append(("ranking", text))
    calibration = f"{metrics['calibration_error']:.2%} (calibration error)"
    return [*lines, ("confidence", calibration)]


def _table_of_classes(classes: Sequence[ClassScores]) -> list[str]:
    """Return a table of rows, precision, recall and F1, of not too many classes."""
    title, first = "per class", ""
    if len(classes) > MOST_LINES:
        some = sorted((each for each in classes if each.rows), key=lambda c: (c.f1, -c.rows))
        first = f"{min(MOST_LINES, len(some))} of {len(classes):,}: the lowest F1; JSON has all"
        classes = some[:MOST_LINES]
    names = ["label", *(cut(str(each.label), 24) for each in classes)]
    rows = ["rows", *(_number(each.rows) for each in classes)]
    scores = ["precision   recall       F1"]
    scores += [f"{a.precision:9.2%}  {a.recall:7.2%}  {a.f1:7.2%}" for a in classes]
    name, number = (max(map(len, column)) for column in (names, rows))
    columns = zip(names, rows, scores, strict=True)
    lines = [f"{a:<{name}}  {b:>{number}}  {c}" for a, b, c in columns]
    return _under(title, [first, *lines] if first else lines)


def _confusion(model: Model, test: Evaluation) -> list[str]:
    """Return the confusion matrix; where labels are long, columns have numbers for names."""
    if test.confusion_matrix is None:
        return []
    cells = [[_number(n, "") for n in row] for row in test.confusion_matrix]
    labels = [*map(str, model.labels)]
    digits = max(len(cell) for row in cells for cell in row)
    widest, m = max(map(len, labels)), len(labels)
    heads, names = labels, [cut(label, 14) for label in labels]
    if widest > digits and (widest > 5 or min(widest, 14) + m * (widest + 1) > WIDTH - MARGIN):
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


def _under(what: str, lines: Sequence[str]) -> list[str]:
    return [line(what, lines[0]), *(line("", text) for text in lines[1:])]


def _number(n: float, comma: str = ",") -> str:
    """Return a number of rows, or a sum of weights."""
    return f"{n:{comma}}" if isinstance(n, int) else f"{n:{comma}.6g}"


def cut(text: str, width: int) -> str:
    """Return a text of no more characters than `width`; a longer one without its middle."""
    if len(text) <= width:
        return text
    end = (width - 3) // 2
    return f"{text[: width - 3 - end]}...{text[len(text) - end :]}"
