"""From the start of a process to a trained network: MNIST at 97 % and at 98 %, beside others.

    python scripts/benchmarks/bench_start.py [--seeds 5] [--threads 1] [--bars 97,98]

Each run is a process of its own: it starts the interpreter, imports what it needs, reads the four
gzipped files of MNIST, trains 784-128-10 (ReLU, float32, on the CPU) on all 60,000 images by a
recipe that was fixed beforehand, looks at the 10,000 test images once, and ends.  The clock runs
from before the process is made to after its end.  One run at a time, in random order, on all cores
of the machine; `--threads` is what each side may take for its products (xpnet's own rule takes one
for this network).  Before the clock runs each does it once with 1,000 images, so that modules are
compiled and files are in memory.

The recipes are in `RECIPES`: epochs, batch size, optimizer and the peak of its learning rate, which
rises over the first fifth of all steps and falls to 0 as a cosine ("one-cycle").  Labels are
smoothed by 0.05, which saves an epoch; scikit-learn cannot do that.  PyTorch, JAX and Keras take
xpnet's recipe, which serves them as well.  Each recipe was chosen, once, as the quickest found by
which nearly all seeds reach the bar, and so knows a little of the test set; how many seeds reach
the bar is in the table.

xpnet              `python -m xpnet train`, which also writes model, history and run.json
NumPy by hand      `CarefulStep` in by_hand.py, without the loss
Nesterov by hand   the same with xpnet's recipe
PyTorch            floats scaled beforehand, `index_select`, fused optimizer; `OneCycleLR`
JAX                an epoch is one jitted `lax.scan`; optax
Keras ...          `fit` by that backend, with the schedule as a `LearningRateSchedule`
thinc              floats, NumPy's products, a schedule as a generator
scikit-learn       `MLPClassifier`, whose Adam has no schedule: `fit` for each epoch, going on, with
                   rates that fall from epoch to epoch

Those that are not installed, or fail, are left out and named.
"""

# Nothing else is imported here: a peer's process begins in this file.
import sys

RECIPES = {
    # bar: recipe: epochs, batch size, optimizer, peak of the learning rate
    "97": {
        "xpnet": (1, 192, "nesterov", 0.2),
        "Adam": (1, 64, "adam", 6e-3),
        "scikit-learn": (2, 64, "adam", 2e-3),
    },
    "98": {
        "xpnet": (3, 256, "nesterov", 0.3),
        "Adam": (4, 128, "adam", 6e-3),
        "scikit-learn": (16, 200, "adam", 2.5e-3),
    },
}
RECIPE_OF = {"NumPy by hand": "Adam", "thinc": "Adam", "scikit-learn": "scikit-learn"}
MU, DECAY = 0.9, 1e-3  # of "nesterov"; the decay is of the weights alone, and L2
SMOOTHING = 0.05  # of the labels
TRAINING, TEST, MEAN, DEVIATION = 60_000, 10_000, 33.318421, 78.567490
LIBRARIES = (
    "torch", "jax", "optax", "keras", "tensorflow-cpu", "tensorflow", "thinc", "scikit-learn"
)  # fmt: skip


def mnist(limit):
    """Images as bytes (n, 784) and labels, of the training set and of the test set."""
    import zlib
    from pathlib import Path

    import numpy as np

    folder, arrays = Path(__file__).parents[2] / "xpnet" / "data" / "mnist", []
    for part in ("train", "t10k"):
        for kind, header in (("images-idx3", 16), ("labels-idx1", 8)):
            content = zlib.decompress((folder / f"{part}-{kind}-ubyte.gz").read_bytes(), 31)
            array = np.frombuffer(content, np.uint8, offset=header)
            arrays.append(array.reshape(-1, 784) if header == 16 else array)
    x, y, x_test, y_test = arrays
    return x[:limit], y[:limit], x_test, y_test


def floats(limit):
    """As `mnist`, with images of mean 0 and deviation 1 and labels of 64 bits."""
    import numpy as np

    found = []
    for array in mnist(limit):
        if array.ndim == 1:
            found.append(array.astype(np.int64))
        else:
            x = array.astype(np.float32)
            x *= np.float32(1 / DEVIATION)
            x -= np.float32(MEAN / DEVIATION)
            found.append(x)
    return found


def factor(part):
    """Of the learning rate, where this part of the run is over: one-cycle."""
    from math import cos, pi

    if part < 0.2:
        return 0.04 + 0.96 * part / 0.2
    return 0.5 + 0.5 * cos(pi * (part - 0.2) / 0.8)


def by_hand(epochs, batch_size, optimizer, rate, seed, threads, limit):
    from by_hand import CarefulStep

    x, y, x_test, y_test = mnist(limit)
    decay = DECAY if optimizer == "nesterov" else 0.0
    step = CarefulStep(
        x, y, (128,), batch_size, optimizer, rate, decay, loss=False, seed=seed, smoothing=SMOOTHING
    )
    steps = epochs * (len(x) // batch_size)
    for i in range(steps):
        step.learning_rate = rate * factor(i / steps)
        step()
    return (step.predict(x_test) == y_test).mean()


def pytorch(epochs, batch_size, optimizer, rate, seed, threads, limit):
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    x, y, x_test, y_test = map(torch.from_numpy, floats(limit))
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    weights, biases = ([p for p in model.parameters() if p.ndim == n] for n in (2, 1))
    groups = [{"params": weights, "weight_decay": DECAY}, {"params": biases}]
    optimizer = torch.optim.SGD(groups, rate, MU, nesterov=True, fused=True)
    per_epoch = len(x) // batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, epochs * per_epoch, pct_start=0.2, cycle_momentum=False
    )
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for i in range(per_epoch):
            rows = order[i * batch_size : (i + 1) * batch_size]
            z = model(x.index_select(0, rows))
            labels = y.index_select(0, rows)
            nn.functional.cross_entropy(z, labels, label_smoothing=SMOOTHING).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
    with torch.inference_mode():
        return (model(x_test).argmax(dim=1) == y_test).float().mean().item()


def jax_scan(epochs, batch_size, optimizer, rate, seed, threads, limit):
    import jax
    import numpy as np
    import optax

    x, y, x_test, y_test = floats(limit)
    x, y, x_test = (jax.device_put(a) for a in (x, y, x_test))
    rng, per_epoch = np.random.default_rng(seed), len(x) // batch_size
    factors = np.asarray([factor(i / (epochs * per_epoch)) for i in range(epochs * per_epoch)])
    factors = rate * factors.astype(np.float32).reshape(epochs, per_epoch)
    shapes = {"W1": (784, 128), "b1": (128,), "W2": (128, 10), "b2": (10,)}
    params = {
        name: rng.standard_normal(shape, np.float32) * (2 / shape[0]) ** 0.5 * (name[0] == "W")
        for name, shape in shapes.items()
    }
    weights = {name: name[0] == "W" for name in shapes}
    rule = optax.chain(
        optax.add_decayed_weights(DECAY, mask=weights), optax.trace(MU, nesterov=True)
    )

    def logits(p, inputs):
        return jax.nn.relu(inputs @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]

    def loss_of(p, inputs, labels):
        t = optax.smooth_labels(jax.nn.one_hot(labels, 10), SMOOTHING)
        return optax.softmax_cross_entropy(logits(p, inputs), t).mean()

    def epoch(carry, rows, etas, x, y):
        def step(carry, now):
            p, state = carry
            taken, eta = now
            g = jax.grad(loss_of)(p, x[taken], y[taken])
            updates, state = rule.update(g, state, p)
            return (jax.tree.map(lambda a, u: a - eta * u, p, updates), state), None

        return jax.lax.scan(step, carry, (rows, etas))[0]

    epoch = jax.jit(epoch, donate_argnums=0)
    carry = (jax.device_put(params), rule.init(params))
    for i in range(epochs):
        rows = rng.permutation(len(x)).astype(np.int32)[: per_epoch * batch_size]
        carry = epoch(carry, rows.reshape(per_epoch, batch_size), factors[i], x, y)
    predicted = jax.jit(lambda p, x: logits(p, x).argmax(axis=1))(carry[0], x_test)
    return (np.asarray(predicted) == y_test).mean()


def keras_fit(epochs, batch_size, optimizer, rate, seed, threads, limit):
    import keras
    import numpy as np
    from benchmark import at_once, limit_keras

    limit_keras(threads)
    keras.utils.set_random_seed(seed)
    x, y, x_test, y_test = floats(limit)
    steps = epochs * -(-len(x) // batch_size)

    class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            part = keras.ops.cast(step, "float32") / steps
            falling = 0.5 + 0.5 * keras.ops.cos(np.pi * (part - 0.2) / 0.8)
            return rate * keras.ops.where(part < 0.2, 0.04 + 0.96 * part / 0.2, falling)

    layers, decay = keras.layers, keras.regularizers.L2(DECAY / 2)
    hidden = layers.Dense(128, "relu", kernel_initializer="he_normal", kernel_regularizer=decay)
    outputs = layers.Dense(10, kernel_regularizer=decay)
    model = keras.Sequential([layers.Input((784,)), hidden, outputs])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=SMOOTHING)
    rule = keras.optimizers.SGD(OneCycle(), MU, nesterov=True)
    model.compile(rule, loss, **at_once())
    t = np.eye(10, dtype=np.float32)[y]
    model.fit(x, t, batch_size=batch_size, epochs=epochs, verbose=0)
    z = model.predict(x_test, batch_size=1000, verbose=0)
    return (z.argmax(axis=1) == y_test).mean()


def thinc(epochs, batch_size, optimizer, rate, seed, threads, limit):
    import numpy as np
    from thinc import api

    api.set_current_ops(api.NumpyOps(use_blis=False))
    api.fix_random_seed(seed)
    x, y, x_test, y_test = floats(limit)
    targets = ((1 - SMOOTHING) * np.eye(10, dtype=np.float32) + SMOOTHING / 10)[y]
    model = api.chain(api.Relu(128), api.Softmax(10))
    model.initialize(x[:2], targets[:2])
    per_epoch, rng = len(x) // batch_size, np.random.default_rng(seed)
    rates = (rate * factor(i / (epochs * per_epoch)) for i in range(epochs * per_epoch + 1))
    rule = api.Adam(rates, L2=0.0, grad_clip=0.0, use_averages=False)
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for i in range(per_epoch):
            rows = order[i * batch_size : (i + 1) * batch_size]
            p, backward = model.begin_update(np.take(x, rows, axis=0, mode="clip"))
            p -= targets[rows]
            p /= batch_size
            backward(p)
            model.finish_update(rule)
            rule.step_schedules()
    return (model.predict(x_test).argmax(axis=1) == y_test).mean()


def scikit_learn(epochs, batch_size, optimizer, rate, seed, threads, limit):
    import warnings

    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")  # it has not converged
    x, y, x_test, y_test = floats(limit)
    model = MLPClassifier(
        (128,), batch_size=batch_size, max_iter=1, warm_start=True, alpha=0.0, random_state=seed
    )
    for epoch in range(epochs):
        model.set_params(learning_rate_init=rate * (1 - epoch / epochs) ** 1.5)
        model.fit(x, y)
    return model.score(x_test, y_test)


SIDES = {
    "NumPy by hand": by_hand,
    "Nesterov by hand": by_hand,
    "PyTorch": pytorch,
    "JAX": jax_scan,
    "Keras jax": keras_fit,
    "Keras torch": keras_fit,
    "Keras tensorflow": keras_fit,
    "thinc": thinc,
    "scikit-learn": scikit_learn,
}
NAMES = ("xpnet", *SIDES)


def run(name, bar, seed, threads, limit):
    """One run: seconds, accuracy, and the greatest memory in MiB; or why there is none."""
    import json
    import os
    import subprocess
    import tempfile
    from pathlib import Path
    from time import perf_counter

    from benchmark import environment

    recipe = recipe_of(name, bar)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as told:
        if name == "xpnet":
            output = str(Path(folder) / "run")
            command = [sys.executable, "-m", "xpnet", "train", *options(recipe).split()]
            command += ["--label-smoothing", str(SMOOTHING)]
            command += ["--device", "cpu", "--seed", str(seed), "--output", output]
            command += ["--limit", str(limit)] * (limit < TRAINING)
        else:
            arguments = repr((name, *recipe, seed, threads, limit))
            command = [sys.executable, __file__, "--run", arguments]
        variables = environment(threads, KERAS_BACKEND=name.partition(" ")[2])
        start = perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=told, text=True, env=variables
        )
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = perf_counter() - start
        process.stdout.close()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            told.seek(0)
            lines = told.read().strip().splitlines()
            return lines[-1] if lines else f"exit code {process.returncode}"
        if name == "xpnet":
            text = (Path(output) / "run.json").read_text(encoding="utf-8")
            accuracy = json.loads(text)["test_accuracy"]
        else:
            accuracy = float(out.splitlines()[-1])
    return seconds, accuracy, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def recipe_of(name, bar):
    """The recipe of a side: its own, or xpnet's."""
    return RECIPES[bar][RECIPE_OF.get(name, "xpnet")]


def options(recipe):
    """A recipe of Nesterov as options of `xpnet train`."""
    epochs, batch_size, _, rate = recipe
    return f"--validation 0 --epochs {epochs} --batch-size {batch_size} --learning-rate {rate:g}"


def shown(name, bar):
    """The recipe of a side in words."""
    recipe = recipe_of(name, bar)
    if name == "xpnet":
        return f"`{options(recipe)}`"
    epochs, batch_size, optimizer, rate = recipe
    return f"{epochs} x {batch_size}, {optimizer} {rate:g}"


def compare(names, bar, seeds, threads, limit):
    """The table of one bar."""
    import random
    from statistics import median

    from benchmark import heading, one_line, table

    results, left_out = {name: [] for name in names}, {}
    for name in names:
        run(name, bar, 0, threads, 1000)  # once before: what is compiled once, and kept, is there
    for seed in range(seeds):
        for name in random.sample(names, len(names)):
            if name in left_out:
                continue
            result = run(name, bar, seed, threads, limit)
            if isinstance(result, str):
                left_out[name] = result
            else:
                results[name].append(result)
    rows = []
    measured = {name: list(zip(*found, strict=True)) for name, found in results.items() if found}
    ours = measured.get("xpnet")
    for name, (seconds, accuracies, memory) in sorted(
        measured.items(), key=lambda item: median(item[1][0])
    ):
        reached = sum(accuracy >= int(bar) / 100 for accuracy in accuracies)
        rows.append([
            name, shown(name, bar), f"{min(seconds):.2f}", f"{median(seconds):.2f}",
            f"{median(seconds) / median(ours[0]):.2f}" if ours else "",
            ", ".join(f"{accuracy:.2%}"[:-1] for accuracy in accuracies),
            f"{reached} of {len(accuracies)}", f"{max(memory):,.0f}",
        ])  # fmt: skip
    print(f"\n{heading(f'To {bar} %', threads)}\n")
    head = [
        "", "recipe", "s, min", "s, median", "÷ xpnet, median", "test accuracy of each seed, %",
        "reached", "memory, MiB",
    ]  # fmt: skip
    print(table(head, rows))
    if left_out:
        print(f"\n{one_line(left_out)}")
    sys.stdout.flush()


def main():
    if sys.argv[1:2] == ["--run"]:
        from ast import literal_eval

        name, *recipe = literal_eval(sys.argv[2])
        print(SIDES[name](*recipe))
        return
    from benchmark import machine, names, parser_of, refuse_unknown

    parser = parser_of(__doc__, NAMES)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--bars", type=names, default=list(RECIPES), help=",".join(RECIPES))
    arguments = parser.parse_args()
    refuse_unknown(parser, arguments.peers, NAMES)
    refuse_unknown(parser, arguments.bars, RECIPES)
    limit = TRAINING
    if arguments.quick:
        arguments.seeds, arguments.bars, limit = 1, arguments.bars[:1], 1000
    print(machine(*LIBRARIES))
    for threads in arguments.threads:
        for bar in arguments.bars:
            compare(arguments.peers, bar, arguments.seeds, threads, limit)


if __name__ == "__main__":
    main()
