"""xpnet and scikit-learn's multilayer perceptron with their defaults, on five small data sets.

    python scripts/defaults.py [--seeds 5] [--folds 5] [--only iris,diabetes]

Scores are the accuracy and, for diabetes, R²: the mean over the folds, then mean ± standard
deviation over the seeds, each of which divides the samples anew and sets the initial weights.
scikit-learn is trained on the raw columns, and (scaled) on standardized columns and targets, as its
documentation advises; xpnet standardizes by default.  Seconds are those of all trainings and
predictions on one BLAS thread; these were printed on a machine with other work:

    | data set | rows | columns | xpnet | seconds | scikit-learn | seconds | scaled | seconds |
    |---|--:|--:|--:|--:|--:|--:|--:|--:|
    | iris | 150 | 4 | 0.933 ± 0.016 | 42.4 | 0.972 ± 0.003 | 5.6 | 0.945 ± 0.003 | 6.6 |
    | wine | 178 | 13 | 0.975 ± 0.012 | 47.4 | 0.781 ± 0.134 | 2.2 | 0.973 ± 0.010 | 3.9 |
    | cancer | 569 | 30 | 0.971 ± 0.005 | 16.4 | 0.930 ± 0.004 | 8.9 | 0.974 ± 0.005 | 13.9 |
    | digits | 1,797 | 64 | 0.975 ± 0.003 | 12.6 | 0.974 ± 0.003 | 26.1 | 0.979 ± 0.002 | 27.9 |
    | diabetes | 442 | 10 | 0.468 ± 0.020 | 12.1 | -3.059 ± 0.109 | 6.5 | 0.440 ± 0.012 | 5.4 |

xpnet holds out a sixth of the training samples to choose the epoch, and scikit-learn none.
"""

import argparse
import warnings
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import xpnet
from xpnet.tools.threads import limited

SETS: dict[str, Callable[..., Any]] = {
    "iris": load_iris, "wine": load_wine, "cancer": load_breast_cancer,
    "digits": load_digits, "diabetes": load_diabetes,
}  # fmt: skip
WIDTH = 128  # of the hidden layer, as `xpnet train` has it by default


def is_numbers(t: Any) -> bool:
    return t.dtype.kind == "f"


def ours(x: Any, t: Any, seed: int) -> Any:
    """A trained model of xpnet."""
    outputs, output = (1, "identity") if is_numbers(t) else (int(t.max()) + 1, None)
    model = xpnet.mlp(x.shape[1], WIDTH, outputs, output=output, seed=seed)
    return xpnet.fit(model, x, t, seed=seed).model


def raw(x: Any, t: Any, seed: int) -> Any:
    """A trained model of scikit-learn."""
    kind = MLPRegressor if is_numbers(t) else MLPClassifier
    return kind(random_state=seed).fit(x, t)


def scaled(x: Any, t: Any, seed: int) -> Any:
    """A trained model of scikit-learn, which standardizes columns and targets."""
    if is_numbers(t):
        network: Any = TransformedTargetRegressor(
            MLPRegressor(random_state=seed), transformer=StandardScaler()
        )
    else:
        network = MLPClassifier(random_state=seed)
    return make_pipeline(StandardScaler(), network).fit(x, t)


TRAINERS = {"xpnet": ours, "scikit-learn": raw, "scaled": scaled}


def folds(x: Any, t: Any, number: int, seed: int) -> Iterator[tuple[Any, Any]]:
    """The rows to train on and to test on."""
    kind = KFold if is_numbers(t) else StratifiedKFold
    return kind(number, shuffle=True, random_state=seed).split(x, t)


def results(
    train: Callable[..., Any], x: Any, t: Any, seeds: int, number: int
) -> tuple[Any, float]:
    """The mean score of each seed, and the seconds of all."""
    score = r2_score if is_numbers(t) else accuracy_score
    start = perf_counter()
    means = [
        np.mean([
            score(t[test], train(x[rows], t[rows], seed).predict(x[test]))
            for rows, test in folds(x, t, number, seed)
        ])
        for seed in range(seeds)
    ]  # fmt: skip
    return np.asarray(means), perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="runs of each, from seed 0 (5)")
    parser.add_argument("--folds", type=int, default=5, help="parts, each tested on once (5)")
    parser.add_argument("--only", default=",".join(SETS), help=f"of {','.join(SETS)} (all)")
    arguments = parser.parse_args()
    for name in ("seeds", "folds"):
        if getattr(arguments, name) < 2:
            parser.error(f"--{name}: expected 2 or more")
    names = arguments.only.split(",")
    for name in names:
        if name not in SETS:
            parser.error(f"--only {name}: expected some of {','.join(SETS)}")
    warnings.simplefilter("ignore", ConvergenceWarning)  # its defaults end before that
    # Some pixels of digits are nearly always 0: their deviation is 0.03, and another number 1.
    warnings.filterwarnings("ignore", "the input is more than 20 deviations")
    print("| data set | rows | columns | " + " | seconds | ".join(TRAINERS) + " | seconds |")
    print("|---|--:|--:|" + "--:|--:|" * len(TRAINERS))
    for name in names:
        x, t = SETS[name](return_X_y=True)
        cells = [name, f"{x.shape[0]:,}", str(x.shape[1])]
        for train in TRAINERS.values():
            with limited(1):
                means, seconds = results(train, x, t, arguments.seeds, arguments.folds)
            cells += [f"{means.mean():.3f} ± {means.std(ddof=1):.3f}", f"{seconds:.1f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
