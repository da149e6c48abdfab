"""Habits of Keras, PyTorch, optax and scikit-learn: each works, or an error says what to write."""

import copy
import pickle
import pydoc
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet import habits, registry
from xpnet.errors import DataError, UsageError
from xpnet.fitting.results import Epoch, History
from xpnet.losses import OUTPUTS
from xpnet.model import DTYPES
from xpnet.tools.explain import explain
from xpnet.tools.gradcheck import check

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
Y = np.arange(60) % 3
MODEL = xpnet.mlp(4, 8, 3)
RESULT = xpnet.fit(MODEL, X, Y, epochs=2)


def short_fit(*args: Any, **options: Any) -> xpnet.Result:
    """`fit` for an epoch, if nothing else is given."""
    return xpnet.fit(*args, **({"epochs": 1} | options))


NAMES: dict[str, Any] = {
    **{name: getattr(xpnet, name) for name in xpnet.__all__},
    "xpnet": xpnet, "np": np, "fit": short_fit, "x": X, "y": Y, "x_val": X[:9], "t": X[:, 0],
    "model": MODEL, "result": RESULT, "number": xpnet.mlp(4, 8, 1, output="identity"),
    "names": np.array(["a", "b", "c"])[Y], "one_hot": np.eye(3)[Y],
    "evaluation": xpnet.evaluate(RESULT.model, X, Y), "optimizer": xpnet.Adam(),
}  # fmt: skip

KERAS = """
xpnet.Sequential([Dense(128, "relu")]) => use xpnet.Model.from_layers, or xpnet.mlp
Dense(128, "relu") => a layer has both widths, as in Dense(784, 128)
Dense(784, 128, "relu") => an activation is a layer behind it, as in [Dense(784, 128), ReLU()]
Dense(units=8, input_dim=4) => use fan_out
Dense(4, 8, kernel_initializer="he_normal") => use initializer of xpnet.mlp
xpnet.BatchNormalization() => use xpnet.BatchNorm
BatchNorm(8, epsilon=1e-3) => use eps
xpnet.LayerNormalization() => use xpnet.LayerNorm
xpnet.Flatten() => a model flattens its samples
xpnet.Softmax() => use output="softmax", the default of xpnet.mlp
LeakyReLU(negative_slope=0.1) => use slope
xpnet.GaussianNoise(0.1) => use xpnet.Noise
xpnet.layers.Linear(4, 8) => use xpnet.Dense
xpnet.optimizers.adam(1e-3) => use xpnet.Adam
xpnet.utils.to_categorical(y) => xpnet.fit takes arrays x and y
xpnet.datasets.mnist.load_data() => use xpnet.data.sources.load
model.fit(x, y) => use xpnet.fit(model, x, y), which returns a result with a new model
model.evaluate(x, y) => use xpnet.evaluate(model, x, y)
model(x, training=False) => a model that is called predicts
model(x, training=True) => a model that is called predicts
model.save("m.keras") => the path of a model's file must end in .safetensors, got m.keras
model.save("m") => the path of a model's file must end in .safetensors, got m
model.save_weights("m.h5") => use model.save(path), or model.params
model.set_weights([]) => use xpnet.load(path)
model.count_params() => use model.network.size
model.optimizer => xpnet.fit takes loss, optimizer and schedule
model.build((None, 4)) => use xpnet.mlp(..., seed=0), which has initial weights
model.train_on_batch(x, y) => use xpnet.train_step
fit(model, x, y, validation_split=0.1) => use validation
fit(model, x, y, validation_data=x_val) => validation_data must be a pair (x, y) or
fit(model, x, y, verbose=None) => verbose must be True, False or a number, got None
fit(model, x, y, callbacks=[1]) => use on_epoch, a function of the epoch's numbers and the result
fit(model, x, y, class_weight=[1.0, 2.0, 3.0]) => class_weight [1.0, 2.0, 3.0]: expected
fit(model, x, y, class_weight={0: -1.0}) => class_weight {0: -1.0}: expected finite numbers, 0 or
fit(model, x, y, class_weight={0: None}) => class_weight {0: None}: expected finite numbers, 0 or
fit(model, x, y, sample_weight=1.0) => expected 60 numbers
fit(model, x, y, initial_epoch=3) => use initial=result
fit(model, x, y, validation_freq=3) => every epoch is validated
fit(model, x, y, workers=3) => the threads are those of the BLAS
fit(model, x, y, epochs=10.0) => leave it out for 10, or more to make 1,000 steps
fit(model, x, y, 32, 10) => fit takes model, x, y by position, and is given more; write the
fit(model, x, y, batch_size="auto") => leave it out for 128
fit(x, y) => fit needs y (model, x, y)
fit(model, X=x, y=y) => use x
fit(model, x, None) => expected (n,) or (n, 3)
fit(model, x[0], y[0]) => expected a sample per row, (n, ...): a single sample is x[None, ...]
fit(model, x, y, loss="mse") => did you mean 'squared-error'
fit(model, x, y, loss="sparse_categorical_crossentropy") => did you mean 'softmax-cross-entropy'
fit(model, x, y, loss=Huber) => write Huber()
fit(model, x, y, loss=SoftmaxCrossEntropy) => write SoftmaxCrossEntropy()
fit(number, x, t, loss="mse") => did you mean 'squared-error'
fit(number, x, t, loss="mae") => did you mean 'absolute-error'
fit(number, x, t, loss=Huber) => write Huber()
fit(model, x, y, optimizer="Adam") => did you mean 'adam'
fit(model, x, y, optimizer="RMSProp") => did you mean 'rmsprop'
fit(model, x, y, optimizer={"name": "adam"}) => optimizer must be a name or an instance of
fit(model, x, y, learning_rate=Cosine()) => a course of the rate over the run is the argument
result.history.history["loss"] => use result.history["loss"]
result.history["accuracy"] => did you mean 'validation_accuracy'
result.history["lr"] => did you mean 'learning_rate'
result.history.epoch => use result.history["epoch"]
result.predict(x) => use result.model.predict(x)
a, b = evaluate(model, x, y) => use its attributes loss, accuracy, interval and metrics
evaluate(model, x, y, metrics=["accuracy"]) => use xpnet.evaluate(model, x, y), which has all of
evaluate(result, x, y) => use result.model of a result
evaluate(model, x, y).r2 => use evaluation.metrics["r2"]
"""
PYTORCH = """
xpnet.nn.Linear(4, 8) => use xpnet.Dense, xpnet.ReLU and the others at the top of xpnet
xpnet.Linear(4, 8) => use xpnet.Dense
from xpnet import Linear => use xpnet.Dense
xpnet.manual_seed(0) => use xpnet.fit(..., seed=0)
xpnet.save(model, "a.pt") => use model.save(path)
xpnet.no_grad() => xpnet.fit and xpnet.train_step compute gradients
xpnet.nn.Sequential(Dense(4, 8), ReLU(), Dense(8, 3)) => use xpnet.Dense, xpnet.ReLU and the
Dense(4, 8, device="cuda") => use model.to("cuda"), and arrays x of that device
Dropout(p=0.5) => use rate
Dropout(0.5, inplace=True) => a layer makes a new array
BatchNorm(8, affine=True) => BatchNorm has no argument 'affine'; it takes (columns, eps, rate)
xpnet.Conv2d(3, 16, 3) => use xpnet.Dense: layers are dense alone
SoftmaxCrossEntropy(label_smoothing=0.1) => use smoothing
SoftmaxCrossEntropy(reduction="sum") => every loss is a mean over samples
SoftmaxCrossEntropy()(model(x), y) => use xpnet.evaluate(model, x, y).loss
SoftmaxCrossEntropy(from_logits=True) => every loss takes logits
Focal(2, 0.25) => Focal takes gamma by position, and is given more
Pinball(0.1, 0.9) => Pinball takes quantiles by position, and is given more
SGD(model.parameters(), lr=0.1) => use model.params, the arrays of each layer
SGD(model.params, lr=0.1) => use learning_rate
SGD(model.theta, 0.1) => SGD takes learning_rate by position, and is given more; write the others
SGD(0.1, 0.9) => SGD takes learning_rate by position, and is given more; write the others by name
SGD(0.1, nesterov=True) => nesterov needs a momentum above 0, as in SGD(momentum=0.9)
SGD(0.1, momentum=0.9, nesterov="yes") => nesterov must be True or False, got 'yes'
Adam(1e-3, 0.9) => Adam takes learning_rate by position, and is given more; write the others by
Adam(1e-3, 0.9, 0.999) => Adam takes learning_rate by position, and is given more; write the
Adam(lr=1e-3) => use learning_rate
Adam(1e-3, beta_1=0.9) => use beta1
Adam(1e-3, decay=1e-3) => use schedule="inverse-scaling" of xpnet.fit
Adam(learning_rate=Cosine()) => a course of the rate over the run is the argument schedule
RMSprop(1e-3, alpha=0.99) => use beta
Adam(1e-3).zero_grad() => gradients are not accumulated
Adam(1e-3).state_dict() => use result.progress of the result that xpnet.fit returns
xpnet.StepLR(SGD(), 30, 0.1) => use xpnet.Step
Exponential(gamma=0.95) => use final
Cosine(100) => Cosine takes no argument by position, and is given more
OneCycle(pct_start=0.3) => use warmup
ReduceOnPlateau(factor=0.5, patience=5, threshold=1e-4) => use min_delta of xpnet.fit
ReduceOnPlateau(monitor="val_loss") => use monitor of xpnet.fit
Warmup(0.1, "cosine") => schedule must be a name or a function, got 0.1; the names are one-cycle,
Warmup(Cosine, 0.1) => write Cosine()
Warmup(warmup_steps=100) => use part
model.to("float64") => expected auto, cpu, cuda or cuda:N
model.to(None) => device must be a name: auto, cpu, cuda or cuda:N, got None
model.to(0) => device must be a name: auto, cpu, cuda or cuda:N, got 0
model.cpu() => use model.to("cpu")
model.forward(x) => use model(x)
model[0] => use model.network.layers[i], and len(model.network.layers)
model(x, x) => Model.__call__ takes x by position, and is given more
fit(model, x, y, scheduler="cosine") => use schedule
fit(model, x, y, num_epochs=3) => use epochs
fit(model, x, y, optimizer=Adam(lr=0.1)) => use learning_rate
fit(model, x, y, schedule=OneCycle) => write OneCycle()
fit(model, x, y, schedule=None) => schedule must be a name or a function, got None; the names are
fit(model, x, y, schedule="linear") => did you mean 'polynomial'
fit(model, x, y, schedule=lambda: 1) => schedule must be a function of (part of the run)
fit(model, x, y, average=0.99) => average must be a name or a function, got 0.99; the names are
fit(model, x, y, average=True) => average must be a name or a function, got True; the names are
fit(model, x, y, average="swa") => did you mean 'last'
fit(model, x, y, average="EMA") => did you mean 'ema'
fit(model, x, y, average=lambda a: a) => average must be a function of (step, steps, steps
fit(model, x, y, seed=None) => the same seed gives the same numbers
fit(model, x, y, amp=True) => use dtype="float64" of xpnet.mlp
fit(model, x, y, capture="no") => capture must be True or False, got 'no'
fit(model, x, y, on_epoch=lambda: None) => on_epoch must be a function of (epoch, result)
fit(model, x, y, initial=model) => initial must be a Result, as fit returns it, got <Model
"""
SKLEARN = """
xpnet.MLPClassifier(hidden_layer_sizes=(100,)) => use xpnet.mlp and xpnet.fit
xpnet.MLPRegressor() => use xpnet.mlp(..., output="identity") and xpnet.fit
xpnet.train_test_split(x, y) => use xpnet.fit(..., validation=0.1)
mlp(hidden_layer_sizes=(100,)) => use widths by position, as in mlp(784, 128, 10)
mlp((100,)) => write the widths one after another, as in mlp(784, 128, 10)
mlp() => mlp needs the widths of the input and the output, as in mlp(784, 128, 10), got ()
mlp([784, 128, 10]) => write the widths one after another, as in mlp(784, 128, 10)
mlp(4, 8, 3, activation="ReLU") => did you mean 'relu'
mlp(4, 8, 3, activation="leaky_relu") => did you mean 'leaky-relu'
mlp(4, 8, 3, activation="linear") => did you mean 'identity'
mlp(4, 8, 3, activation=ReLU) => write ReLU()
mlp(4, 8, 3, activation=np.tanh) => activation must be a name or an instance of Layer, got <ufunc
mlp(4, 8, 3, normalization=True) => normalization must be a name or an instance of Layer
mlp(4, 8, 3, normalization=BatchNorm) => write normalization="batch"
mlp(4, 8, 3, normalization="batch_norm") => did you mean 'batch'
mlp(4, 8, 3, normalization="none") => expected one of these: (batch, layer)
mlp(4, 8, 3, dropout=None) => it is a part of the units, 0 for none
mlp(4, 8, 3, initializer="kaiming") => did you mean 'he-uniform'
mlp(4, 8, 3, initializer=0.01) => must be a name, as in "he-uniform", or a function, got 0.01
mlp(4, 8, 3, output="logits") => expected one of these: (softmax, sigmoid, identity, exp)
mlp(4, 8, 3, labels=3) => labels must be a list, as in ["no", "yes"], got 3
mlp(4, 8, 3, labels=[True, False, True]) => labels must be 3 different ones
mlp(4, 8, 3, labels="abc") => labels must be a list, as in ["no", "yes"], got 'abc'
mlp(4, 8, 3, labels=["a", "b"]) => labels must be 3 different ones, a label for each class, got 2
mlp(4, 8, 3, seed=None) => the same seed gives the same numbers
mlp(4, 8, 3, random_state=0) => use seed
mlp(4, 8, 3, dtype=np.dtype("float32")) => did you mean 'float32'
mlp(4, 8, 3, solver="adam") => use optimizer of xpnet.fit
mlp(4, 8, 3, early_stopping=True) => use patience=10, a number of epochs of xpnet.fit
mlp(4, 8, 3, loss="mse") => use loss of xpnet.fit
mlp(input_size=4, hidden_size=8, output_size=3) => use widths by position, as in mlp(784, 128,
mlp(4, 8, 3, init="uniform") => use initializer
Model.from_layers(4, Dense(4, 3), ReLU()) => Model.from_layers takes fan_in, layers by position,
Model.from_layers(4, [Dense]) => write an instance
Model.from_layers(4, [Dense(4, 8), np.tanh, Dense(8, 3)]) => a layer must be an instance of
Model.from_layers(4, None) => layers must be a list, as in [Dense(784, 128), ReLU(), Dense(128,
fit(model, x, y, learning_rate="adaptive") => a course of the rate over the run is the argument
fit(model, x, y, tol=1e-4) => use min_delta
fit(model, x, y, n_iter_no_change=10) => use patience
fit(model, x, y, solver="adam") => use optimizer
fit(model, x, y, optimizer="lbfgs") => did you mean 'adam'
fit(model, x, y, momentum=0.9) => use optimizer=SGD(momentum=0.9), or optimizer="momentum"
fit(model, x, y, beta_1=0.9) => use beta1 of xpnet.Adam
fit(model, x, y, classes=[0, 1, 2]) => use labels of xpnet.mlp
fit(model, x, y, validation=True) => validation must be a part in [0, 1) or a whole number
fit(model, x, y, validation=60) => validation must leave samples to train on, got 60 of 60
fit(model, x, y, validation=float("nan")) => validation must be a part in [0, 1) or a whole
fit(model, x, y, patience=5, validation=0) => patience needs samples to validate on: validation
model.predict_log_proba(x) => use model.predict_proba(x), and its logarithm
model.partial_fit(x, y) => use xpnet.fit(model, x, y, epochs=1, initial=result)
model.n_iter_ => use result.history["loss"] of the result that xpnet.fit returns
model.n_features_in_ => use model.network.fan_in
model.out_activation_ => use model.output
result.best_estimator_ => use result.model
result.n_iter_ => use len(result.history)
a, b = fit(model, x, y) => use result.model and result.history
evaluate(model, x, y).metrics["accuracy"] => did you mean 'balanced_accuracy'
evaluate(model, x, y, loss="mse") => did you mean 'squared-error'
"""
OPTAX = """
xpnet.adam(1e-3) => use xpnet.Adam
xpnet.sgd(0.1, momentum=0.9) => use xpnet.SGD
xpnet.adamw(1e-3) => use xpnet.AdamW
xpnet.lion(1e-3) => use xpnet.Lion
xpnet.chain(xpnet.clip_by_global_norm) => use xpnet.fit(..., optimizer, schedule, clip_norm)
xpnet.clip_by_global_norm(1.0) => use xpnet.fit(..., clip_norm=1.0)
xpnet.add_decayed_weights(1e-4) => use xpnet.fit(..., weight_decay=1e-4)
xpnet.ema(0.99) => use xpnet.fit(..., average="ema:0.99")
xpnet.MultiSteps(1, 2) => use xpnet.fit(..., accumulate=4)
xpnet.sigmoid_binary_cross_entropy(1, 2) => use xpnet.BinaryCrossEntropy
xpnet.huber_loss(1, 2) => use xpnet.Huber
xpnet.cosine_decay_schedule(1e-3, 100) => use xpnet.Cosine
xpnet.constant_schedule(1e-3) => use xpnet.Constant
xpnet.linear_onecycle_schedule(1, 2) => use xpnet.OneCycle
xpnet.join_schedules([], []) => use xpnet.Warmup("cosine", 0.1)
xpnet.exponential_decay(1, 2, 3) => use xpnet.Exponential
xpnet.sgdr_schedule([]) => use xpnet.WarmRestarts
Adam(1e-3, mu_dtype=None) => Adam has no argument 'mu_dtype'; it takes (learning_rate,
Adam(1e-3, nesterov=True) => use nesterov of xpnet.SGD
Constant(0.1) => Constant takes no argument by position, and is given more
Step(scale=0.1) => use factor
"""
DATA = """
fit(model, x, [10**400] * 60) => of sample 0 is out of range: labels are signed 64-bit integers
fit(model, x, y, class_weight={0: 10**5000}) => class_weight a number of thousands of digits
fit(model, x, [None] * 60) => label None of sample 0 marks a missing value; leave such
fit(model, x, np.array([0.5, 1.0, 2.0] * 20, dtype=object)).model.labels => label 0.5 of sample 0
fit(model, x, np.array([None, "a", "b"] * 20, dtype=object)).model.labels => marks a missing value
fit(model, x, [{}] * 60) => labels must all be whole numbers or all be names, y has {}
fit(model, x, range(60)) => make a model of as many outputs, or name all classes by labels
fit(number, x, ["a"] * 60) => y: row 0 is 'a'; expected numbers for a model with output='identity'
fit(number, [[None] * 4] * 60, t) => Fill the gaps
fit(model, x, y, class_weight={"0": 2.0}) => class_weight: '0' is none of the model's labels
fit(model, x, y, validation_data=(x, y), validation=0.1) => give either validation or
mlp(4, 3, labels=[2**70, 1, 2]) => is out of range: labels are signed 64-bit integers
mlp(4, 3, initializer=ReLU()) => initializer must be a function, got ReLU()
mlp(4, 8, 3, activation="leaky-relu:1e400") => activation 'leaky-relu:1e400': slope must be a
mlp(4, 8, 3, activation="leaky-relu:nan") => activation 'leaky-relu:nan': slope must be a number
fit(model, x, y, schedule="step:") => schedule 'step:': expected a number (factor) after the
Model.from_layers(4, [Dense(4, 3)], input_shape=4) => input_shape must be a list, as in (28, 28),
xpnet.tools.explain.explain(None, x, y) => use result.model of a result
xpnet.tools.explain.explain(model, x, y, loss=Huber) => write Huber()
xpnet.tools.gradcheck.check(model, "softmax-cross-entropy", against="autograd") => expected one
xpnet.tools.gradcheck.check(model, "softmax-cross-entropy", device="cuda") => device must be a
load(3) => path must be a text or a Path, got 3
model.to("cpu", 3) => strict must be True or False, got 3
model.to("cpu", strict="yes") => strict must be True or False, got 'yes'
SGD(betas=(0.9, 0.99)) => use beta1=0.9, beta2=0.999 of xpnet.Adam
mlp(4, 3, momentum=0.9) => use momentum of xpnet.SGD
"""
WORKS = """
fit(model, x, y[:, None]).model == fit(model, x, y).model => True
fit(model, x, y.astype(float)).model == fit(model, x, y).model => True
fit(model, x, one_hot).model.labels => (0, 1, 2)
fit(model, x.tolist(), y.tolist()).model == fit(model, x, y).model => True
fit(model, x, y + 1).model.labels => (1, 2, 3)
fit(mlp(4, 8, 10), x, np.arange(60) % 10 + 1).model.labels => (*range(1, 11),)
fit(model, x, names).model.labels => ("a", "b", "c")
fit(model, x, names.astype(object)).model.labels => ("a", "b", "c")
fit(model, x, np.array([0.0, 1.0, 2.0] * 20, dtype=object)).model.labels => (0, 1, 2)
fit(model, x, names).model.predict(x[:1])[0] in ("a", "b", "c") => True
fit(mlp(4, 8, 2), x, y > 1).model.labels => (0, 1)
fit(mlp(4, 8, 1, output="sigmoid"), x, y > 1).model.predict(x).shape => (60,)
fit(number, x, t[:, None]).model == fit(number, x, t).model => True
fit(model, x, y, validation_data=(x_val, y[:9])).best_epoch => 1
fit(model, x, y, verbose=0).best_epoch => 1
fit(model, x, y, class_weight={0: 1.0, 1: 2.0}).best_epoch => 1
fit(model, x, y, class_weight="balanced").best_epoch => 1
fit(model, x, y, sample_weight=np.ones(60)).best_epoch => 1
fit(model, x, y, validation=0.1, seed=np.int64(3)).best_epoch => 1
fit(model, x, y, loss=None, optimizer=None, validation=None).best_epoch => 1
fit(model, x, y, schedule=lambda s: 1 - s).history["loss"][0] > 0 => True
fit(model, x, y, on_epoch=lambda epoch, result: True, epochs=9).history["epoch"] => [1]
result.history["loss"][-1] => result.history[-1].loss
SGD(0.1, momentum=0.9, nesterov=True).rate => 0.1
Step(0.1, [0.5, 0.75]) => Step()
Pinball(np.array([0.1, 0.9])).quantiles => (0.1, 0.9)
mlp(4, 8, 3, labels=np.array(["a", "b", "c"])).labels => ("a", "b", "c")
mlp(4, 8, 3, labels=np.arange(3)).labels => (0, 1, 2)
Model.from_layers(4, iter([Dense(4, 3)])) => Model.from_layers(4, [Dense(4, 3)])
Network(4, [Dense(4, 3)]) => Network(4, (Dense(4, 3),))
model.save("m.safetensors") => None
model.to("cpu") == model => True
model([[1, 2, 3, 4]]).shape => (1, 3)
"""


def lines(*tables: str) -> list[tuple[str, str]]:
    rows = [line.partition(" => ") for table in tables for line in table.strip().splitlines()]
    return [(code, text) for code, _, text in rows]


def run(code: str) -> Any:
    """Run a line, and return its value if it is an expression."""
    try:
        compiled = compile(code, "<line>", "eval")
    except SyntaxError:
        return exec(code, {**NAMES})
    return eval(compiled, {**NAMES})


@pytest.mark.parametrize(("code", "text"), lines(KERAS, PYTORCH, SKLEARN, OPTAX, DATA))
def test_a_habit_is_told_what_to_write(
    code: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UsageError, DataError)) as caught:
        run(code)
    assert text in str(caught.value)


@pytest.mark.parametrize(("code", "same"), lines(WORKS))
def test_a_habit_works(
    code: str, same: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found, expected = run(code), run(same)
    assert type(found) is type(expected)
    assert np.all(found == expected)


def test_names_are_looked_up_as_ever() -> None:
    for name in ("fit", "_fit", "anything", "__wrapped__"):
        assert not hasattr(MODEL, name)
        assert not hasattr(RESULT, name)
        assert not hasattr(xpnet.SGD(), name)
    for module in (xpnet, xpnet.layers, xpnet.losses):
        for name in ("anything", "__wrapped__", "_linear", "", "a b", "linear"):
            assert not hasattr(module, name), name
    with pytest.raises(ImportError, match="cannot import name 'anything'"):
        run("from xpnet.layers import anything")


@dataclass(frozen=True)
class Twice(xpnet.ReLU):
    """A layer of one's own, without fields; `Thrice` is no dataclass by itself."""


class Thrice(Twice):
    """See `Twice`."""


def parts() -> Iterator[Any]:
    needed = {"fan_in": 4, "fan_out": 3, "columns": 4, "rate": 0.5, "deviation": 0.1,
              "schedule": "cosine", "part": 0.5}  # fmt: skip
    kinds = (registry.LAYERS, registry.LOSSES, registry.OPTIMIZERS, registry.AVERAGES,
             registry.SCHEDULES)  # fmt: skip
    classes = [part for kind in kinds for part in kind.values()]
    for make in (*classes, xpnet.Warmup, Twice, Thrice):
        wanted = [p for p in signature(make).parameters.values() if p.default is p.empty]
        yield make(**{p.name: needed[p.name] for p in wanted})


@pytest.mark.parametrize("value", [*parts(), MODEL, RESULT, RESULT.history, NAMES["evaluation"]])
def test_a_value_is_copied_pickled_printed_and_described(value: Any) -> None:
    for other in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert other == value or isinstance(value, xpnet.Result)
        assert type(other) is type(value)
        assert repr(other) == repr(value)
    assert type(value).__name__ in pydoc.render_doc(type(value))
    if type(value) is not History:
        assert not {"args", "kwargs"} & {*signature(type(value)).parameters}


CALLED = (xpnet.fit, xpnet.mlp, xpnet.evaluate, xpnet.load, xpnet.select_device, explain, check,
          MODEL.predict, MODEL.save, MODEL.from_layers)  # fmt: skip


@pytest.mark.parametrize("function", CALLED)
def test_a_function_has_its_signature_and_its_help(function: Any) -> None:
    assert not {"args", "kwargs"} & {*signature(function).parameters}
    assert function.__name__ in pydoc.render_doc(function)
    with pytest.raises(UsageError, match=f"{function.__name__} has no argument 'nothing'"):
        function(nothing=1)


def test_the_package_and_the_command_line_do_without_habits() -> None:
    code = "import sys, xpnet, xpnet.cli; xpnet.cli.run(['train', '--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = done.stdout.splitlines()[-1].split()
    assert "xpnet.checks" in modules
    assert "xpnet.habits" not in modules


def test_names_elsewhere_are_not_listed() -> None:
    for value in (MODEL, RESULT, RESULT.history, NAMES["evaluation"], xpnet.SGD()):
        elsewhere = {name for table in habits.ATTRIBUTES.values() for name in table}
        assert not {name for name in elsewhere if not hasattr(value, name)} & {*dir(value)}
        assert not {name for name in dir(value) if not hasattr(value, name)}
        assert "__class__" in dir(value)
    assert {"network", "predict", "params"} <= {*dir(MODEL)}
    assert "partial_fit" not in pydoc.render_doc(xpnet.Model)


KINDS = {"optimizer": registry.OPTIMIZERS, "schedule": registry.SCHEDULES, "average":
         registry.AVERAGES, "activation": registry.ACTIVATIONS, "output": OUTPUTS,
         "normalization": registry.NORMALIZATIONS, "dtype": dict.fromkeys(DTYPES)}  # fmt: skip
FUNCTIONS = {**{n: getattr(xpnet, n) for n in xpnet.__all__}, "predict": MODEL.predict,
             "from_layers": MODEL.from_layers}  # fmt: skip
PARAMETERS = {
    name
    for function in (*FUNCTIONS.values(), MODEL.save)
    if not (isinstance(function, type) and issubclass(function, Exception))
    for name in signature(function).parameters
}
TEXTS = [
    *(text for texts in habits.ARGUMENTS.values() for text in texts),
    *(text for table in habits.ATTRIBUTES.values() for text in table.values()),
    *habits.TOP.values(),
    *habits.INSTEAD_OF.values(),
]


@pytest.mark.parametrize("text", dict.fromkeys(TEXTS))
def test_every_text_names_what_there_is(text: str) -> None:
    assert not text.isidentifier() or text in PARAMETERS
    for path in re.findall(r"\bxpnet\.[\w.]*\w", text):
        eval(path, {**NAMES})
    for name, value in re.findall(r"\b(\w+)=(\"[^\"]+\")?", text):
        assert name in PARAMETERS
        if value and name in KINDS:
            assert value.strip('"').partition(":")[0] in KINDS[name]
    for made in re.findall(r"\b[A-Z]\w+\([^()]*\)", text):
        eval(made, {**NAMES})
    own = r"\b(?:result|model|evaluation|optimizer)\.[\w.]*\w(?:\[\"\w+\"\])?"
    for expression in re.findall(own, text.replace("[i]", "[0]")):
        eval(expression, {**NAMES, "evaluation": NUMBERS if "r2" in text or "mean" in text else
                          NAMES["evaluation"]})  # fmt: skip


NUMBERS = xpnet.evaluate(NAMES["number"], X, X[:, 0])


def test_every_name_here_exists_and_those_elsewhere_do_not() -> None:
    here = {name for kind in (*KINDS.values(), registry.LOSSES, registry.INITIALIZERS)
            for name in kind} | {*Epoch.__annotations__, *NUMBERS.metrics}  # fmt: skip
    assert {name for names in habits.NAMES.values() for name in names} <= here
    assert not {*habits.TOP} & {*xpnet.__all__}
    classes = {"Model": MODEL, "Result": RESULT, "History": RESULT.history,
               "Evaluation": NUMBERS, "Optimizer": xpnet.Adam(), "Layer": xpnet.ReLU(),
               "Loss": xpnet.Huber(), "Settings": xpnet.Cosine()}  # fmt: skip
    assert classes.keys() == habits.ATTRIBUTES.keys()
    for name, table in habits.ATTRIBUTES.items():
        assert not [one for one in table if hasattr(classes[name], one)], name
    owners = {name.partition(".")[0] for name in habits.ARGUMENTS if "." in name}
    assert owners <= FUNCTIONS.keys()
    for owner in habits.OWNERS:
        assert signature(FUNCTIONS[owner]).parameters
