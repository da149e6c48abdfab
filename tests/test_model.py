"""Models: calling with any arrays, files, pickles, comparison."""

import copy
import dataclasses
import gc
import pickle
import weakref

import numpy as np
import pytest
from helpers import Library, difference, needed, small

import xpnet
from xpnet.arrays import namespace, to_numpy
from xpnet.model import Model

PIXELS = np.random.default_rng(0).integers(0, 256, size=(9, 4, 5)).astype(np.uint8)


@pytest.mark.parametrize("kind", ["uint8", "float32", "int32"])
def test_a_model_predicts_in_kind_on_every_library(xp: Library, kind: str) -> None:
    """Within 1e-5: the model is of float32."""
    model, x = small(dtype="float32"), xp.array(PIXELS, kind)
    expected = model(PIXELS)
    for result, right in (
        (model(x), expected),
        (model.predict_proba(x), model.predict_proba(PIXELS)),
    ):
        assert namespace(result) is namespace(x)
        assert result.dtype == namespace(x).float32
        assert difference(result, right) < 1e-5
    xp.needs_argmax()
    assert to_numpy(model.predict(x)).tolist() == model.predict(PIXELS).tolist()
    assert namespace(model.predict(x)) is namespace(x)


def test_a_model_computes_with_its_own_arrays() -> None:
    """What is prepared for the first call goes neither into a copy nor into another model."""
    model = small()
    z, labels = model(PIXELS), model.predict(PIXELS)
    doubled = dataclasses.replace(model, theta=model.theta * 2)
    renamed = dataclasses.replace(model, labels=("cat", "dog", "bird"))
    assert difference(doubled(PIXELS), z) > 0.5
    assert renamed.predict(PIXELS).tolist() == [renamed.labels[i] for i in labels]
    assert np.array_equal(pickle.loads(pickle.dumps(model))(PIXELS), z)


def test_what_predict_gives_is_the_callers() -> None:
    """Each call gives arrays of its own; labels that are numbers are int64 on NumPy."""
    for model in (small(), small(labels=(7, 3, 5)), small(labels=("cat", "dog", "bird"))):
        first, second = model.predict(PIXELS), model.predict(PIXELS)
        kept = second.copy()
        first[:] = first[::-1].copy()
        assert np.array_equal(model.predict(PIXELS), kept)
        assert np.array_equal(second, kept)
        assert first.dtype == np.asarray(model.labels).dtype


def test_predict_is_the_most_probable_label() -> None:
    p = small().predict_proba(PIXELS)
    assert np.allclose(p.sum(axis=1), 1, atol=1e-15)
    assert np.array_equal(small().predict(PIXELS), p.argmax(axis=1))
    assert np.array_equal(small()(PIXELS).argmax(axis=1), p.argmax(axis=1))


def test_names_come_back_as_names_on_numpy_and_as_indices_elsewhere(xp: Library) -> None:
    model = small(labels=("cat", "dog", "bird"), dtype=xp.dtype)
    xp.needs_argmax()
    index = small().predict(PIXELS)
    predicted = model.predict(xp.array(PIXELS, "uint8"))
    if xp.name.startswith("numpy"):
        assert predicted.tolist() == [model.labels[i] for i in index]
    else:
        assert to_numpy(predicted).tolist() == index.tolist()


def test_numbers_as_labels_come_back_in_kind(xp: Library) -> None:
    xp.needs_argmax()
    predicted = small(labels=(7, 3, 5), dtype=xp.dtype).predict(xp.array(PIXELS, "uint8"))
    assert to_numpy(predicted).tolist() == [(7, 3, 5)[i] for i in small().predict(PIXELS)]


def test_labels_of_64_bits_come_back_in_kind_or_not_at_all(xp: Library) -> None:
    """JAX without 64 bits would cut them off."""
    xp.needs_argmax()
    labels = (2**53 + 1, -(2**40), 2**62)
    model, x = small(labels=labels, dtype=xp.dtype), xp.array(PIXELS, "uint8")
    if xp.name == "jax-32":
        with pytest.raises(
            xpnet.UsageError, match="label 4611686018427387904 needs 64-bit integer"
        ):
            model.predict(x)
        return
    predicted = to_numpy(model.predict(x)).tolist()
    assert predicted == [labels[i] for i in small().predict(PIXELS)]


OPTIONS = [
    {
        "labels": ("a", "b", "c"),
        "seed": 3,
        "dtype": "float64",
        "initializer": ["zeros", "lecun-normal"],
    },
    {"output": "identity"},
    {"multilabel": True, "input_shape": (2, 3)},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_a_model_of_the_layers_of_mlp_is_that_of_mlp(options: dict) -> None:
    model = xpnet.mlp(6, 5, 3, normalization="batch", dropout=0.5, **options)
    assert Model.from_layers(6, model.network.layers, **options) == model
    assert Model.from_layers(6, iter(model.network.layers), **options) == model


def test_layers_come_as_they_are() -> None:
    model = Model.from_layers(2, [xpnet.Dense(2, 3)])
    assert model.network.layers == (xpnet.Dense(2, 3),)
    assert (model.labels, model.output, model.loss, model.target) == (
        (0, 1, 2),
        "softmax",
        None,
        (),
    )
    assert difference(model([[1, 2]]), np.float32([[1, 2]]) @ model.params[0]["W"]) < 1e-6


@pytest.mark.parametrize("kind", ["uint8", "int32", "float32"])
def test_samples_of_any_type_need_no_standardize(xp: Library, kind: str) -> None:
    few = PIXELS.reshape(9, 20) // 64
    model = Model.from_layers(20, [xpnet.Dense(20, 8), xpnet.ReLU(), xpnet.Dense(8, 3)])
    x, y = xp.array(few, kind), [0, 1, 2] * 3
    expected = model(few.astype("float32"))
    assert model(x).dtype == namespace(x).float32
    assert difference(model(x), expected) < 1e-5
    xp.needs_argmax()
    trained = xpnet.fit(model, x, y, epochs=2, validation=0.0, learning_rate=0.1).model
    assert trained.dtype == "float32"
    assert difference(trained.theta, model.theta) > 0


@dataclasses.dataclass(frozen=True)
class Square(xpnet.layers.Layer):
    """A layer of one's own."""

    def forward(self, p, x):
        return x * x, x

    def backward(self, p, cache, dy):
        return 2 * cache * dy, {}


def test_a_layer_of_ones_own_predicts_and_is_copied(xp: Library, tmp_path) -> None:
    """It cannot be saved: a file says which layers of the registry there are."""
    model = Model.from_layers(20, [xpnet.Dense(20, 3), Square()], input_shape=(4, 5), seed=1)
    expected = (PIXELS.reshape(9, 20) @ model.params[0]["W"]) ** 2
    x = xp.array(PIXELS, "uint8")
    assert difference(model(x), expected) < 1e-5
    xp.needs_argmax()
    assert to_numpy(model.predict(x)).tolist() == expected.argmax(axis=1).tolist()
    assert pickle.loads(pickle.dumps(model)) == model.to("cpu") == model
    with pytest.raises(xpnet.UsageError, match="with the layer Square cannot be saved"):
        model.save(tmp_path / "m.safetensors")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("fan_in", "layers", "options", "message"),
    [
        (0, [xpnet.ReLU()], {}, r"^fan_in must be a whole number in \[1, inf\), got 0"),
        (4, [xpnet.Dense(4, 3), xpnet.ReLU], {}, "a layer is the class ReLU; write an instance"),
        (4, [xpnet.Dense(4, 3), "relu"], {}, "a layer must be an instance of Layer, got 'relu'"),
        (4, [xpnet.Dense(5, 3)], {}, r"Dense\(fan_in=5.* is given 4 columns and expects 5"),
        (4, [xpnet.Dense(4, 1)], {}, "^output must be given for a single column"),
        (4, [xpnet.Dense(4, 1)], {"output": "sigmod"}, "did you mean 'sigmoid'"),
        (4, [xpnet.Dense(4, 2)], {"labels": ("a", "b", "c")}, "^labels must be 2 different ones"),
        (4, [xpnet.Dense(4, 2)], {"input_shape": (5,)}, "^input_shape must have 4 elements"),
        (4, [xpnet.Dense(4, 2)], {"initializer": ["zeros"] * 2}, "2 initializers for 1 dense"),
        (4, [xpnet.Dense(4, 2)], {"dtype": "float16"}, "unknown dtype 'float16'"),
        (4, [xpnet.Dense(4, 2)], {"seed": -1}, "^seed must be a whole number in "),
        (4, [xpnet.Dense(4, 2)], {"multilabel": True, "output": "exp"}, "^multilabel needs output"),
        (
            4,
            [xpnet.Dense(4, 2)],
            {"activation": "relu"},
            "no argument 'activation'; use activation of xpnet.mlp",
        ),
        (2**30, [xpnet.Dense(2**30, 2**30)], {}, "numbers: too many for any memory"),
    ],
)
def test_other_layers_and_arguments_are_refused(fan_in, layers, options, message: str) -> None:
    with pytest.raises(xpnet.UsageError, match=message):
        Model.from_layers(fan_in, layers, **options)


def test_two_classes_by_one_sigmoid(xp: Library) -> None:
    model = xpnet.mlp(20, 8, 1, output="sigmoid", labels=("no", "yes"))
    x = xp.array(PIXELS // 8, "uint8")
    z, p = to_numpy(model(x))[:, 0], to_numpy(model.predict_proba(x))
    assert p.shape == (9, 2)
    assert np.allclose(p[:, 1], 1 / (1 + np.exp(-z)), atol=1e-6)
    assert np.allclose(p.sum(axis=1), 1, atol=1e-6)
    assert model.predict(PIXELS // 8).tolist() == ["yes" if v > 0 else "no" for v in z]


def test_regression_predicts_values() -> None:
    model = xpnet.mlp(20, 8, 1, output="identity")
    assert model.predict(PIXELS).tolist() == model(PIXELS)[:, 0].tolist()
    assert xpnet.mlp(20, 2, output="identity").predict(PIXELS).shape == (9, 2)
    with pytest.raises(xpnet.UsageError, match="no probabilities"):
        model.predict_proba(PIXELS)


def test_samples_may_be_flat_lists_strided_or_read_only(tmp_path) -> None:
    model = small()
    expected = model(PIXELS)
    flat = PIXELS.reshape(9, 20)
    wide = np.zeros((9, 40))
    wide[:, ::2] = flat
    frozen = flat.copy()
    frozen.flags.writeable = False
    mapped = np.memmap(tmp_path / "x", np.uint8, "w+", shape=flat.shape)
    mapped[:] = flat
    every = (flat, flat.tolist(), PIXELS.tolist(), np.asfortranarray(flat), wide[:, ::2], frozen)
    for x in (*every, mapped):
        assert difference(model(x), expected) < 1e-15
        assert type(model(x)) is np.ndarray
    assert difference(model(flat[:1]), expected[:1]) < 1e-15
    assert model(flat[:0]).shape == (0, 3)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((9, 21)), r"x has shape \(9, 21\); this model expects \(n, 4, 5\)"),
        (np.zeros((9, 5, 4)), "this model expects"),
        (np.zeros((4, 5)), "this model expects"),
        (np.zeros(20), r"a single sample is x\[None, ...\]"),
        (np.zeros((9, 20), dtype=complex), "complex128; expected numbers"),
        (np.ma.masked_equal(PIXELS, 0), "a masked array"),
        ([[1.0, 2.0], [1.0]], "a list that makes no array"),
        ({"a": 1}, "no array that xpnet can compute with"),
        (None, "NoneType is no array"),
    ],
)
def test_samples_of_another_form_are_refused(x, message: str) -> None:
    with pytest.raises(xpnet.UsageError, match=message):
        small()(x)


@pytest.mark.parametrize(
    "model",
    [
        small(),
        dataclasses.replace(small(), target=("kind",), loss=xpnet.SoftmaxCrossEntropy(0.1)),
        small(labels=("ü", "b", "c"), dropout=0.5, activation="tanh"),
        xpnet.mlp(20, 1, output="sigmoid"),
        xpnet.mlp(20, 4, 2, output="identity"),
    ],
)
def test_files_pickles_and_copies_give_the_model_back(model: Model, tmp_path) -> None:
    model.save(tmp_path / "a b.safetensors")
    model(PIXELS.reshape(9, 20))
    for twin in (
        xpnet.load(tmp_path / "a b.safetensors"),
        pickle.loads(pickle.dumps(model)),
        copy.copy(model),
        copy.deepcopy(model),
    ):
        assert twin == model
        assert np.array_equal(twin(PIXELS.reshape(9, 20)), model(PIXELS.reshape(9, 20)))


def test_a_model_with_arrays_elsewhere_equals_and_pickles_as_numpy(xp: Library) -> None:
    model = small(dtype=xp.dtype)
    theta, buffers = (xp.array(a) for a in (model.theta, model.buffers))
    there = Model(model.network, theta, buffers, model.labels, model.input_shape)
    assert there == model
    assert type(pickle.loads(pickle.dumps(there)).theta) is np.ndarray
    assert difference(there(PIXELS), model(PIXELS)) == 0
    assert type(there(PIXELS)) is type(there.predict(PIXELS)) is np.ndarray


def test_a_model_works_inside_jit() -> None:
    jax = needed("jax")
    model = small(dtype="float32")
    x = jax.numpy.asarray(PIXELS)
    for _ in range(2):  # nothing of the trace is kept
        assert difference(jax.jit(lambda x: model(x))(x), model(PIXELS)) < 1e-5
        assert difference(model(x), model(PIXELS)) < 1e-5
    gradient = jax.grad(lambda x: model(x)[0, 0])(x.astype("float32"))
    assert np.all(np.isfinite(gradient))


def test_a_float64_model_is_refused_where_there_is_no_float64() -> None:
    jax = needed("jax")
    with pytest.raises(xpnet.UsageError, match="float64"):
        small()(jax.numpy.asarray(PIXELS))


def test_the_summary_has_columns_and_parameters_of_each_layer(capsys) -> None:
    model = xpnet.mlp(784, 128, 10, normalization="batch", activation="leaky-relu:0.2", dropout=0.5)
    model.summary()
    assert (
        capsys.readouterr().out
        == """\
layer                        columns  parameters
input                            784
Standardize(784)                 784           0
Dense(784, 128, bias=False)      128     100,352
BatchNorm(128)                   128         256
LeakyReLU(slope=0.2)             128           0
Dropout(0.5)                     128           0
Dense(128, 10)                    10       1,290
sum                                      101,898
<Model 784-128-10: classification by softmax, 10 labels, 101,898 parameters, float32>
"""
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"output": "identity"}, "<Model 4-2: regression by identity, 10 parameters, float32>"),
        ({"output": "exp"}, "<Model 4-2: regression by exp, 10 parameters, float32>"),
        (
            {"multilabel": True, "dtype": "float64"},
            "<Model 4-2: multilabel by sigmoid, 2 labels, 10 parameters, float64>",
        ),
    ],
)
def test_a_model_prints_in_a_line(options: dict, text: str) -> None:
    assert repr(xpnet.mlp(4, 2, **options)) == text


def test_to_gives_the_same_model() -> None:
    assert small().to("cpu") == small()


def test_arrays_cannot_be_changed_behind_the_models_back(tmp_path) -> None:
    model = small()
    model.save(tmp_path / "a.safetensors")
    for twin in (model, xpnet.load(tmp_path / "a.safetensors"), pickle.loads(pickle.dumps(model))):
        with pytest.raises(ValueError, match="read-only"):
            twin.theta[0] = 1
        with pytest.raises(ValueError, match="read-only"):
            twin.buffers[0] = 1


def test_a_model_does_not_follow_arrays_that_are_changed_later() -> None:
    model = small(normalization="batch")
    theta, buffers = np.array(model.theta), np.array(model.buffers)
    twin = dataclasses.replace(model, theta=theta, buffers=buffers)
    theta[:], buffers[:] = 7, 3
    assert twin == model
    assert np.array_equal(twin(PIXELS), model(PIXELS))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: {"theta": m.theta[:-1]},
            r"^theta must have shape \(195,\) for 20-8-3, got \(194,",
        ),
        (
            lambda m: {"buffers": m.buffers[:, None]},
            r"^buffers must have shape \(40,\) .*\(40, 1\)$",
        ),
        (
            lambda m: {"theta": m.theta.astype("float16")},
            "^theta must be float32 or .*, got float16$",
        ),
        (
            lambda m: {"buffers": m.buffers.astype(int)},
            "^buffers must be float32 or .*, got int64$",
        ),
        (lambda m: {"buffers": m.buffers.astype("float32")}, "one type, got float64 and float32$"),
        (
            lambda m: {"theta": m.theta.tolist()},
            "a builtins.list is no array that xpnet can compute with",
        ),
    ],
)
def test_arrays_of_another_form_are_refused(change, message: str) -> None:
    with pytest.raises(xpnet.UsageError, match=message):
        dataclasses.replace(small(), **change(small()))


def test_read_only_arrays_are_not_copied() -> None:
    model = small()
    twin = dataclasses.replace(model, labels=("a", "b", "c"))
    assert twin.theta is model.theta
    assert twin.buffers is model.buffers


def test_what_is_prepared_for_numpy_is_prepared_once() -> None:
    model = small()
    assert model.on_numpy is model.on_numpy


def test_a_copy_for_torch_is_a_copy() -> None:
    torch = needed("torch")
    model = small()
    before = model.theta[0]
    model.like(torch.zeros(1)).theta[0] = 99
    assert model.theta[0] == before


def test_models_compare_by_all_that_they_are() -> None:
    model = small()
    other = np.array(model.buffers)
    other[0] = 7
    assert dataclasses.replace(model, buffers=other) != model
    assert dataclasses.replace(model, output="sigmoid") != model
    assert dataclasses.replace(model, input_shape=(20,)) != model
    assert dataclasses.replace(model, columns=tuple("abcdefghijklmnopqrst")) != model
    assert dataclasses.replace(model, target=("kind",)) != model
    assert dataclasses.replace(model, loss=xpnet.Focal()) != model
    spoilt = dataclasses.replace(model, theta=model.theta * np.nan)
    assert spoilt == spoilt
    assert hash(small(labels=("a", "b", "c"))) != hash(model)


def test_a_logit_of_0_is_no() -> None:
    model = xpnet.mlp(2, 1, output="sigmoid", labels=("no", "yes"))
    assert model.predict([[0, 0]]).tolist() == ["no"]
    little = dataclasses.replace(model, theta=np.asarray([0, 0, 1e-6], dtype=np.float32))
    assert little.predict([[0, 0]]).tolist() == ["yes"]


def test_a_single_label_of_several_has_one_probability() -> None:
    model = xpnet.mlp(2, 1, multilabel=True, labels=("loud",))
    p = model.predict_proba([[1, 2], [-1, -2]])
    assert p.shape == (2, 1)
    assert model.predict([[1, 2], [-1, -2]]).tolist() == (p > 0.5).tolist()


def test_a_model_that_was_called_is_freed_when_it_is_dropped() -> None:
    model = small()
    model(PIXELS)
    gc.disable()
    try:
        alive = weakref.ref(model), weakref.ref(model.params[3]["W"])
        del model
        assert [a() for a in alive] == [None, None]
    finally:
        gc.enable()


def test_copies_are_made_once(xp: Library) -> None:
    model, x = small(dtype=xp.dtype), xp.array(PIXELS, "uint8")
    assert model.like(x) is model.like(x)
    assert model.like(PIXELS) is model


@pytest.mark.parametrize(
    "spoil",
    [
        {"layers.1.W": np.full((20, 8), np.nan)},
        {"layers.0.scale": np.zeros(20)},
        {"layers.0.mean": np.full(20, np.inf)},
    ],
)
def test_a_file_with_numbers_that_cannot_be_is_refused(spoil: dict, tmp_path) -> None:
    model = small()
    params = model.network.unpack(np.array(model.theta), np.array(model.buffers))
    for name, array in spoil.items():
        _, layer, key = name.split(".")
        params[int(layer)][key] = array
    theta, buffers = model.network.pack(params), model.network.pack_buffers(params)
    dataclasses.replace(model, theta=theta, buffers=buffers).save(tmp_path / "a.safetensors")
    with pytest.raises(xpnet.DataError, match="NaN, infinity or a scale"):
        xpnet.load(tmp_path / "a.safetensors")
