"""The test accuracy on MNIST with the default settings, over several seeds.

    python scripts/accuracy.py [--seeds 5] [--epochs 10]

784-128-10 on 50,000 training images, without distortion; 10,000 are held out to choose the
epoch, and the 10,000 test images are used once per seed.  The BLAS takes the threads that it takes
for `xpnet train`, whose results these are.
"""

import argparse
from statistics import mean, stdev
from time import perf_counter

import xpnet
from xpnet.data.sources import load
from xpnet.tools.threads import limited, suited


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--limit", type=int, help="train on the first so many samples")
    arguments = parser.parse_args()
    samples = load("mnist")
    print("| seed | test accuracy | test loss | best epoch | seconds |\n|--:|--:|--:|--:|--:|")
    accuracies = []
    for seed in range(arguments.seeds):
        start = perf_counter()
        model = xpnet.mlp(784, 128, 10, input_shape=(28, 28), seed=seed)
        with limited(suited(model.network, 128)):
            result = xpnet.fit(
                model, samples.x_train[: arguments.limit], samples.y_train[: arguments.limit],
                epochs=arguments.epochs, seed=seed,
            )  # fmt: skip
            seconds = perf_counter() - start
            test = xpnet.evaluate(result.model, samples.x_test, samples.y_test)
        accuracies.append(test.accuracy or 0.0)
        print(
            f"| {seed} | {test.accuracy:.2%} | {test.loss:.4f} | {result.best_epoch} "
            f"| {seconds:.1f} |",
            flush=True,
        )
    spread = f" (standard deviation {stdev(accuracies):.2%})" if len(accuracies) > 1 else ""
    print(f"\nmean test accuracy {mean(accuracies):.2%}{spread}")


if __name__ == "__main__":
    main()
