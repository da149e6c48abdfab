"""xpnet beside scikit-learn's multilayer perceptron, with the same settings: scores of ten seeds.

A regression (diabetes: 442 patients, 10 columns), several labels a sample (a generated set of
1,000) and classes (1,797 digits of 8 x 8 pixels).  Both have the same split, standardised columns
and targets, network, Adam, batches and epochs, and neither holds out samples or stops early.
"""

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_digits, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, f1_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import xpnet

WIDTH, BATCH_SIZE, LEARNING_RATE = 32, 32, 0.003


def micro_f1(t: Any, y: Any) -> float:
    return f1_score(t, y, average="micro")


def labelled() -> tuple[Any, Any]:
    return make_multilabel_classification(n_samples=1000, n_classes=5, random_state=0)


SETS: dict[str, tuple[Callable[[], Any], Callable[[Any, Any], float], str, int]] = {
    "regression": (lambda: load_diabetes(return_X_y=True), r2_score, "R²", 20),
    "multilabel": (labelled, micro_f1, "micro F1", 20),
    "classification": (lambda: load_digits(return_X_y=True), accuracy_score, "accuracy", 20),
}


def ours(task: str, x: Any, t: Any, epochs: int, seed: int) -> Any:
    """A trained model of xpnet."""
    outputs = {"regression": 1, "multilabel": t.shape[-1]}.get(task, int(t.max()) + 1)
    model = xpnet.mlp(
        x.shape[1], WIDTH, outputs, activation="relu", initializer="glorot-uniform",
        output="identity" if task == "regression" else None, multilabel=task == "multilabel",
        seed=seed, dtype="float64",
    )  # fmt: skip
    optimizer = xpnet.Adam(LEARNING_RATE)
    return xpnet.fit(
        model, x, t, optimizer=optimizer, schedule="constant", batch_size=BATCH_SIZE,
        epochs=epochs, validation=0, seed=seed,
    ).model  # fmt: skip


def theirs(task: str, x: Any, t: Any, epochs: int, seed: int) -> Any:
    """A trained model of scikit-learn."""
    kind = MLPRegressor if task == "regression" else MLPClassifier
    network: Any = kind(
        hidden_layer_sizes=(WIDTH,), activation="relu", solver="adam", alpha=0.0,
        batch_size=BATCH_SIZE, learning_rate_init=LEARNING_RATE, max_iter=epochs,
        n_iter_no_change=epochs, tol=0.0, random_state=seed,
    )  # fmt: skip
    if task == "regression":
        network = TransformedTargetRegressor(network, transformer=StandardScaler())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is stopped on purpose
        return make_pipeline(StandardScaler(), network).fit(x, t)


def scores(task: str, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Ours and theirs on the test set, for each seed."""
    load, score, _, epochs = SETS[task]
    x, x_test, t, t_test = train_test_split(*load(), test_size=0.3, random_state=0)
    with warnings.catch_warnings():
        # Some pixels of digits are nearly always 0: their deviation is 0.03, and another number 1.
        warnings.filterwarnings("ignore", "the input is more than 20 deviations")
        found = [
            [
                score(t_test, train(task, x, t, epochs, seed).predict(x_test))
                for seed in range(seeds)
            ]
            for train in (ours, theirs)
        ]
    return np.asarray(found[0]), np.asarray(found[1])


def standard_error(a: np.ndarray, b: np.ndarray) -> float:
    """Of the difference of two means."""
    return float(np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="runs of each, from seed 0 (10)")
    parser.add_argument("--only", default=",".join(SETS), help=f"of {','.join(SETS)} (all)")
    arguments = parser.parse_args()
    if arguments.seeds < 2:
        parser.error("--seeds: expected 2 or more, for a standard error")
    tasks = arguments.only.split(",")
    for task in tasks:
        if task not in SETS:
            parser.error(f"--only {task}: expected some of {','.join(SETS)}")
    print("| task | score | xpnet | scikit-learn | difference | its standard error |")
    print("|---|---|--:|--:|--:|--:|")
    for task in tasks:
        a, b = scores(task, arguments.seeds)
        print(
            f"| {task} | {SETS[task][2]} | {a.mean():.4f} | {b.mean():.4f} | "
            f"{a.mean() - b.mean():+.4f} | {standard_error(a, b):.4f} |"
        )


if __name__ == "__main__":
    main()
