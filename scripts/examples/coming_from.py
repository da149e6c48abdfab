"""The same classification in Keras, PyTorch, scikit-learn and xpnet, for readers who know one.

    python scripts/examples/coming_from.py [keras torch sklearn xpnet]

Keras                   PyTorch                scikit-learn              xpnet
----------------------  ---------------------  ------------------------  ---------------------------
Sequential([...])       nn.Sequential(...)     MLPClassifier             mlp, Model.from_layers
Dense(64, "relu")       nn.Linear(784, 64)     hidden_layer_sizes=(64,)  mlp(784, 64, 10)
Rescaling(1 / 255)      x / 255                MinMaxScaler()            none: mlp scales x
sparse labels           class indices          labels of any type        labels of any type
compile("adam")         optim.Adam             solver="adam"             optimizer="adam"
learning_rate           lr                     learning_rate_init        learning_rate
LearningRateSchedule    lr_scheduler           learning_rate, of "sgd"   schedule
weight_decay            weight_decay           alpha / batch size        weight_decay
global_clipnorm         clip_grad_norm_        none                      clip_norm
Dropout(0.2)            nn.Dropout(0.2)        none                      dropout=0.2
BatchNormalization()    nn.BatchNorm1d(64)     none                      normalization="batch"
batch_size              batch_size             batch_size                batch_size
epochs                  a loop                 max_iter                  epochs
model.fit(x, y)         a loop                 model.fit(x, y)           fit(model, x, y).model
validation_split        random_split           validation_fraction       validation
EarlyStopping           an if in the loop      n_iter_no_change, tol     patience, min_delta
callbacks               the loop               none                      on_epoch
set_random_seed(1)      manual_seed(1)         random_state=1            seed=1
history["loss"]         a list                 loss_curve_               fit(...).history["loss"]
model.predict(x)        softmax(model(x), 1)   model.predict_proba(x)    model.predict_proba(x)
argmax of predict(x)    model(x).argmax(1)     model.predict(x)          model.predict(x)
model.evaluate(x, y)    a loop                 model.score(x, y)         evaluate(model, x, y)
model.save("a.keras")   save(state_dict(), f)  joblib.dump(model, f)     model.save("a.safetensors")
models.load_model       load_state_dict        joblib.load               xpnet.load

Defaults of xpnet that differ: `fit` does not change the given model, and returns a result with a
trained one.  A sixth of the samples is held out, and the trained model is that of the best epoch.
The learning rate follows the schedule "one-cycle", and the random seed is 0.

The job: 2,000 images of MNIST as rows of 784 pixels from 0 to 255, and the names of the digits as
labels.  The network has one hidden layer of 64 units and ReLU.  The learning rate of Adam is 0.001
and constant, and a batch has 32 samples.  Training takes 20 epochs, or stops after 5 epochs without
improvement on the validation samples, and the model of the best epoch is kept.  The model is then
saved, loaded, tested on 1,000 other images, and predicts the names of three.  Each function is
written as is usual with its library, so initial weights, validation samples and the measure of
improvement differ.  The scripts in `scripts/benchmarks/` compare times.
"""

import argparse
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from xpnet.data.sources import load

DIGITS = np.asarray(
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
)
BACKENDS = ("jax", "torch", "tensorflow")


def with_keras(x_train: Any, y_train: Any, x_test: Any, y_test: Any, folder: Path) -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    names, t_train = np.unique(y_train, return_inverse=True)
    t_test = np.searchsorted(names, y_test)
    model = keras.Sequential(
        [
            keras.Input((784,)),
            layers.Rescaling(1 / 255),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    early_stopping = keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)
    model.fit(
        x_train, t_train, batch_size=32, epochs=20, validation_split=0.1,
        callbacks=[early_stopping], verbose=0,
    )  # fmt: skip
    model.save(folder / "digits.keras")
    model = keras.models.load_model(folder / "digits.keras")
    _, accuracy = model.evaluate(x_test, t_test, verbose=0)
    return accuracy, names[model.predict(x_test[:3], verbose=0).argmax(axis=1)]


def with_torch(x_train: Any, y_train: Any, x_test: Any, y_test: Any, folder: Path) -> Any:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset, random_split

    torch.manual_seed(0)
    names, t_train = np.unique(y_train, return_inverse=True)
    t_test = torch.tensor(np.searchsorted(names, y_test))
    x_train = torch.tensor(x_train, dtype=torch.float32) / 255
    x_test = torch.tensor(x_test, dtype=torch.float32) / 255
    train_set, validation_set = random_split(
        TensorDataset(x_train, torch.tensor(t_train)), [0.9, 0.1]
    )
    loader = DataLoader(train_set, batch_size=32, shuffle=True)
    x_validation, t_validation = validation_set[:]
    model = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    best_loss, epochs_without_improvement = float("inf"), 0
    for _ in range(20):
        model.train()
        for x, t in loader:
            optimizer.zero_grad()
            loss = criterion(model(x), t)
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            validation_loss = criterion(model(x_validation), t_validation).item()
        epochs_without_improvement += 1
        if validation_loss < best_loss:
            best_loss, epochs_without_improvement = validation_loss, 0
            torch.save(model.state_dict(), folder / "digits.pt")
        if epochs_without_improvement == 5:
            break
    model.load_state_dict(torch.load(folder / "digits.pt"))
    with torch.no_grad():
        predicted = model(x_test).argmax(dim=1)
    return (predicted == t_test).float().mean().item(), names[predicted[:3]]


def with_sklearn(x_train: Any, y_train: Any, x_test: Any, y_test: Any, folder: Path) -> Any:
    import joblib
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    network = MLPClassifier(
        hidden_layer_sizes=(64,), batch_size=32, max_iter=20, early_stopping=True,
        n_iter_no_change=5, random_state=0,
    )  # fmt: skip
    model = make_pipeline(MinMaxScaler(), network)
    model.fit(x_train, y_train)
    joblib.dump(model, folder / "digits.joblib")
    model = joblib.load(folder / "digits.joblib")
    return model.score(x_test, y_test), model.predict(x_test[:3])


def with_xpnet(x_train: Any, y_train: Any, x_test: Any, y_test: Any, folder: Path) -> Any:
    import xpnet

    model = xpnet.mlp(784, 64, 10)
    result = xpnet.fit(
        model, x_train, y_train, optimizer=xpnet.Adam(1e-3), schedule="constant", batch_size=32,
        epochs=20, validation=0.1, patience=5,
    )  # fmt: skip
    result.model.save(folder / "digits.safetensors")
    model = xpnet.load(folder / "digits.safetensors")
    return xpnet.evaluate(model, x_test, y_test).accuracy, model.predict(x_test[:3])


# For each module: the name of the library, the packages to install, and the function.
LIBRARIES: dict[str, tuple[str, str, Callable[..., tuple[float, Sequence[str]]]]] = {
    "keras": ("Keras", "keras jax", with_keras),
    "torch": ("PyTorch", "torch", with_torch),
    "sklearn": ("scikit-learn", "scikit-learn", with_sklearn),
    "xpnet": ("xpnet", ".", with_xpnet),
}


def lines_of(function: Callable[..., Any]) -> int:
    """Return the number of lines of a function's body, without empty lines.

    The head of the function has one line.
    """
    return sum(bool(line.strip()) for line in inspect.getsource(function).splitlines()[1:])


def installed(name: str) -> bool:
    """Whether a library is installed; for Keras, choose a backend that is installed as well."""
    if name != "keras":
        return find_spec(name) is not None
    found = [backend for backend in BACKENDS if find_spec(backend)]
    if found:
        os.environ.setdefault("KERAS_BACKEND", found[0])
    return bool(found) and find_spec("keras") is not None


def run(name: str) -> tuple[float, list[str]]:
    """Return the test accuracy of a library, and the predicted names of three test images."""
    data = load("mnist")
    x_train, x_test = data.x_train[:2000].reshape(-1, 784), data.x_test[:1000].reshape(-1, 784)
    y_train, y_test = DIGITS[data.y_train[:2000]], DIGITS[data.y_test[:1000]]
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        # scikit-learn warns if early stopping did not end the training before `max_iter`.
        warnings.filterwarnings("ignore", "Stochastic Optimizer: Maximum iterations")
        accuracy, names = LIBRARIES[name][2](x_train, y_train, x_test, y_test, Path(folder))
    return accuracy, [str(name) for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="The table at the top of this file says what each library calls each thing.",
    )
    parser.add_argument(
        "names", nargs="*", metavar="LIBRARY", help=f"of {' '.join(LIBRARIES)} (all)"
    )
    names = parser.parse_args().names or list(LIBRARIES)
    for name in names:
        if name not in LIBRARIES:
            parser.error(f"unknown library {name!r}; expected some of {' '.join(LIBRARIES)}")
    found = [name for name in names if installed(name)]
    if found:
        print("| library | lines | test accuracy | first three test images |\n|---|--:|--:|---|")
    for name in found:
        accuracy, digits = run(name)
        title, _, function = LIBRARIES[name]
        print(f"| {title} | {lines_of(function)} | {accuracy:.1%} | {', '.join(digits)} |")
        sys.stdout.flush()
    for name in names:
        if name not in found:
            title, package, _ = LIBRARIES[name]
            print(f"\n{title} is not installed: pip install {package}")


if __name__ == "__main__":
    main()
