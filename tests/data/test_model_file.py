"""Model files: equal for equal models, and read with suspicion."""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from helpers import Bomb
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import xpnet
from xpnet.builder import mlp
from xpnet.data.model_file import FORMAT, read_arrays, write_arrays
from xpnet.errors import DataError, UsageError
from xpnet.layers import Dense, Layer
from xpnet.losses import Huber, Pinball, SoftmaxCrossEntropy
from xpnet.model import Model, load
from xpnet.registry import LOSSES


def model(**changes) -> Model:
    return mlp(4, 3, 2, dropout=0.2, labels=["no", "yes"], **changes)


def change(path: Path, arrays=None, **metadata) -> Path:
    """The model file with other arrays, or other metadata."""
    with safe_open(path, framework="numpy") as stream:
        described = json.loads(stream.metadata()["xpnet"])
    there = load_file(path)
    for name, array in (arrays or {}).items():
        there[name] = array
    there = {name: array for name, array in there.items() if array is not None}
    save_file(there, path, metadata={"xpnet": json.dumps(described | metadata)})
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a good model."""
    model().save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


# Round trips


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("labels", [None, [7, 3], [2**53 + 1, -(2**63)], ["nein", "007"]])
def test_a_model_comes_back_equal(tmp_path: Path, dtype: str, labels) -> None:
    before = mlp(4, 3, 2, dropout=0.2, bias=False, labels=labels, dtype=dtype, input_shape=(2, 2))
    before.save(tmp_path / "m.safetensors")
    after = load(tmp_path / "m.safetensors")
    assert after == before
    assert (after.labels, after.input_shape, after.dtype) == (before.labels, (2, 2), dtype)


def test_a_mean_in_two_parts_comes_back(tmp_path: Path) -> None:
    file, x = tmp_path / "m.safetensors", 1.7e9 + np.arange(240.0).reshape(60, 4)
    before = xpnet.fit(mlp(4, 3, 2), x, np.arange(60) % 2, epochs=1).model
    before.save(file)
    after = load(file)
    assert after == before == pickle.loads(pickle.dumps(before))
    assert np.any(after.params[0]["rest"] != 0)
    assert np.array_equal(after(x), before(x))
    refused(change(file, {"layers.0.rest": np.full(4, np.nan, np.float32)}), "NaN")
    refused(change(file, {"layers.0.rest": None}), "its arrays are not those of the network")


def test_a_folder_stands_for_its_model(path: Path) -> None:
    assert load(path.parent) == model()


def test_arrays_come_back_with_names_types_and_metadata(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3).T, "b": np.asarray([1, 2], dtype=np.int32)}
    write_arrays(tmp_path / "f", arrays, {"what": ["é", 1, None]})
    read, metadata = read_arrays(tmp_path / "f")
    assert metadata == {"format": FORMAT, "what": ["é", 1, None]}
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_equal_models_give_equal_bytes_in_any_process(tmp_path: Path) -> None:
    code = (
        "import sys; from xpnet import mlp; "
        "mlp(4, 3, 2, dropout=0.2, labels=['no', 'yes']).save(sys.argv[1])"
    )
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / f"{seed}.safetensors")],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
        )
    model().save(tmp_path / "here.safetensors")
    contents = {(tmp_path / f"{name}.safetensors").read_bytes() for name in ("1", "2", "here")}
    assert len(contents) == 1


def test_the_order_of_names_does_not_change_the_bytes(tmp_path: Path) -> None:
    arrays, metadata = {"a": np.zeros(2), "b": np.ones(2)}, {"x": 1, "y": {"p": 1, "q": 2}}
    write_arrays(tmp_path / "1", arrays, metadata)
    turned = {"y": {"q": 2, "p": 1}, "x": 1}
    write_arrays(tmp_path / "2", dict(reversed(arrays.items())), turned)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_other_weights_give_other_bytes(tmp_path: Path) -> None:
    for seed in (0, 1):
        model(seed=seed).save(tmp_path / f"{seed}.safetensors")
    assert (tmp_path / "0.safetensors").read_bytes() != (tmp_path / "1.safetensors").read_bytes()


# Files that are not written


@pytest.mark.parametrize("name", ["m.pkl", "m", "m.safetensors.bak", ".safetensors"])
def test_another_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"must end in \.safetensors, got .*" + name):
        model().save(tmp_path / name)
    assert [*tmp_path.iterdir()] == []


@dataclass(frozen=True)
class ReLU(xpnet.ReLU):
    """A layer of one's own, with a name of xpnet's."""


@dataclass(frozen=True)
class Linear(xpnet.ReLU):
    """A layer of one's own."""


@pytest.mark.parametrize("layer", [ReLU(), Linear()])
def test_a_layer_that_could_not_be_read_is_refused(tmp_path: Path, layer: Layer) -> None:
    spoilt = Model.from_layers(4, [Dense(4, 3), layer])
    with pytest.raises(UsageError, match=f"layer {type(layer).__name__} cannot be saved.* Pickle"):
        spoilt.save(tmp_path / "m.safetensors")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", LOSSES)
def test_target_and_loss_come_back(path: Path, name: str) -> None:
    loss = LOSSES[name]()
    given = mlp(4, 3, 2, output=loss.output)
    before = replace(given, loss=loss, target=("größe", "b"), columns=tuple("abcd"))
    before.save(path)
    after = load(path)
    assert after == before
    assert (after.loss, after.target, after.columns) == (loss, ("größe", "b"), tuple("abcd"))


def test_parameters_of_a_loss_come_back(path: Path) -> None:
    for loss in (Huber(0.3), Pinball((0.1, 0.9))):
        replace(mlp(4, 3, 2, output="identity"), loss=loss).save(path)
        assert load(path).loss == loss


def test_a_loss_of_ones_own_is_left_out_with_a_warning(path: Path) -> None:
    @dataclass(frozen=True)
    class Own(SoftmaxCrossEntropy):
        pass

    trained = replace(model(), loss=Own())
    with pytest.warns(UserWarning, match="the loss Own is not one of xpnet's and is not") as caught:
        trained.save(path)
    assert [w.filename for w in caught] == [__file__]
    assert load(path) == model()


# Files that are refused


def refused(path: Path, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load(path)
    assert path.name in str(caught.value)


def test_no_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "gone.safetensors", "no such file")
    refused(tmp_path, "no such file")


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(pickle.dumps(Bomb(tmp_path / "it-ran")))
    refused(path, "not a safetensors file, or damaged")
    assert not (tmp_path / "it-ran").exists()


def test_every_cut_of_a_model_is_refused(path: Path) -> None:
    content = path.read_bytes()
    for length in [*range(0, len(content), 20), len(content) - 1]:
        path.write_bytes(content[:length])
        refused(path, "not a safetensors file, or damaged")


def test_a_file_that_may_not_be_read_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", fail)
    refused(path, "cannot be read: Permission denied")


def test_a_safetensors_file_of_others_is_refused(path: Path) -> None:
    for metadata in (None, {"format": "pt"}, {"xpnet": "5"}, {"xpnet": "{}"}):
        save_file({"weight": np.ones(3)}, path, metadata=metadata)
        refused(path, "a safetensors file, and not one of xpnet")


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\ufeff"])
def test_metadata_that_is_no_json_is_refused(path: Path, text: str) -> None:
    save_file({}, path, metadata={"xpnet": text})
    refused(path, "damaged")


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "F8_E5M2", "I64", "BOOL", "F16"])
def test_arrays_of_other_types_are_refused(path: Path, dtype: str) -> None:
    size = {"BF16": 2, "F16": 2, "I64": 8}.get(dtype, 1)
    with safe_open(path, framework="numpy") as stream:
        header = {"__metadata__": stream.metadata()}
    start = 0
    for name, array in load_file(path).items():
        stop = start + array.size * size
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(start))
    refused(path, "damaged|expected float32")


def test_a_newer_format_asks_for_a_newer_xpnet(path: Path) -> None:
    refused(change(path, format=FORMAT + 1), "newer xpnet; upgrade")


DENSE = {"type": "Dense", "fan_in": 4, "fan_out": 2, "bias": True}
SCALE = {"type": "Standardize", "columns": 4}
NETWORKS = {
    "none": None,
    "text": "Dense",
    "no-layers": {"fan_in": 4},
    "no-fan-in": {"layers": [SCALE, DENSE]},
    "text-fan-in": {"fan_in": "4", "layers": [SCALE, DENSE]},
    "float-fan-in": {"fan_in": 4.0, "layers": [SCALE, DENSE]},
    "negative-fan-in": {"fan_in": -4, "layers": []},
    "unknown-layer": {"fan_in": 4, "layers": [SCALE, {"type": "Lambda", "code": "1"}]},
    "layer-of-python": {"fan_in": 4, "layers": [{"type": "Layer"}]},
    "module-path": {"fan_in": 4, "layers": [{"type": "os.system"}]},
    "list-for-type": {"fan_in": 4, "layers": [{"type": ["Dense"]}]},
    "no-type": {"fan_in": 4, "layers": [{"columns": 4}]},
    "text-layer": {"fan_in": 4, "layers": ["Dense"]},
    "text-parameter": {"fan_in": 4, "layers": [SCALE, DENSE | {"fan_out": "2"}]},
    "float-parameter": {"fan_in": 4, "layers": [SCALE, DENSE | {"fan_out": 2.0}]},
    "bool-parameter": {"fan_in": 4, "layers": [SCALE, DENSE | {"fan_out": True}]},
    "number-for-bool": {"fan_in": 4, "layers": [SCALE, DENSE | {"bias": 1}]},
    "text-for-bool": {"fan_in": 4, "layers": [SCALE | {"split_mean": "yes"}, DENSE]},
    "negative-parameter": {
        "fan_in": 4,
        "layers": [SCALE, DENSE | {"fan_out": -2}, DENSE | {"fan_in": -2}],
    },
    "unknown-parameter": {"fan_in": 4, "layers": [SCALE, DENSE | {"run": "me"}]},
    "missing-parameter": {"fan_in": 4, "layers": [SCALE, {"type": "Dense", "fan_in": 4}]},
    "dropout-of-all": {"fan_in": 4, "layers": [SCALE, {"type": "Dropout", "rate": 1.0}]},
    "dropout-nan": {"fan_in": 4, "layers": [SCALE, {"type": "Dropout", "rate": float("nan")}]},
    "layers-that-do-not-fit": {"fan_in": 5, "layers": [SCALE, DENSE]},
}


@pytest.mark.parametrize("case", NETWORKS)
def test_a_network_that_is_none_is_refused(path: Path, case: str) -> None:
    refused(change(path, network=NETWORKS[case]), "describes no network of xpnet")


@pytest.mark.parametrize(
    "arrays",
    [
        {"layers.1.W": np.zeros((3, 4), np.float32)},
        {"layers.1.W": np.zeros(12, np.float32)},
        {"layers.1.W": None},
        {"layers.9.W": np.zeros((4, 3), np.float32)},
        {"layers.0.rest": np.zeros(4, np.float32)},
    ],
    ids=["turned", "flat", "missing", "extra", "rest of a mean in one part"],
)
def test_arrays_that_do_not_fit_the_network_are_refused(path: Path, arrays) -> None:
    refused(change(path, arrays), "its arrays are not those of the network")


def test_arrays_of_two_types_are_refused(path: Path) -> None:
    arrays = {"layers.1.W": np.zeros((4, 3), np.float64)}
    refused(change(path, arrays), "its arrays are float32, float64")


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": None},
        {"labels": "no"},
        {"labels": ["no"]},
        {"labels": ["no", "no"]},
        {"labels": ["no", 1]},
        {"labels": [True, False]},
        {"labels": [0.0, 1.0]},
        {"labels": [0, 2**63]},
        {"labels": [["no"], ["yes"]]},
        {"input_shape": None},
        {"input_shape": [5]},
        {"input_shape": [-2, -2]},
        {"input_shape": [4.0]},
        {"output": None},
        {"output": "nothing"},
        {"output": "identity"},
        {"output": ["softmax"]},
        {"output": {}},
        {"multilabel": 1},
        {"columns": ["a"]},
        {"columns": [1, 2, 3, 4]},
        {"target": "kind"},
        {"target": [1]},
    ],
    ids=str,
)
def test_damaged_labels_shape_or_output_are_refused(path: Path, metadata) -> None:
    refused(change(path, **metadata), "damaged|labels")


SMOOTH = {"type": "SoftmaxCrossEntropy", "smoothing": 0.1}


@pytest.mark.parametrize(
    "loss",
    [
        "softmax-cross-entropy", 1, [], {}, {"type": "Own"}, {"type": ["Focal"]},
        {"smoothing": 0.1}, {"type": "Dense", "fan_in": 4, "fan_out": 2}, SMOOTH | {"run": "me"},
        SMOOTH | {"smoothing": "0.1"}, SMOOTH | {"smoothing": True}, SMOOTH | {"smoothing": 1.0},
        SMOOTH | {"smoothing": float("nan")}, {"type": "Huber", "delta": 1.0},
        {"type": "Pinball", "quantiles": 0.5}, {"type": "Pinball", "quantiles": ["a"]},
    ],
    ids=str,
)  # fmt: skip
def test_a_damaged_loss_is_refused(path: Path, loss) -> None:
    """The last three are also losses for another output."""
    refused(change(path, loss=loss), "its loss is damaged")


@pytest.mark.parametrize("quantiles", [[], [0.0], ["a"], [[0.5]], 0.5, None])
def test_damaged_quantiles_are_refused(path: Path, quantiles) -> None:
    mlp(4, 3, 2, output="identity").save(path)
    damaged = {"type": "Pinball", "quantiles": quantiles}
    refused(change(path, loss=damaged), "its loss is damaged")


def test_a_file_without_target_and_loss_loads(path: Path) -> None:
    """Such as xpnet wrote before it had them."""
    with safe_open(path, framework="numpy") as stream:
        described = json.loads(stream.metadata()["xpnet"])
    kept = {name: value for name, value in described.items() if name not in ("target", "loss")}
    save_file(load_file(path), path, metadata={"xpnet": json.dumps(kept)})
    assert load(path) == model()


@pytest.mark.parametrize(
    ("network", "arrays", "labels"),
    [
        (
            {"fan_in": 4, "layers": [DENSE]},
            {"layers.0.W": np.zeros((4, 2), np.float32), "layers.0.b": np.zeros(2, np.float32)},
            ["no", "yes"],
        ),
        (
            {"fan_in": 4, "layers": [SCALE]},
            {f"layers.0.{name}": np.ones(4, np.float32) for name in ("mean", "scale")},
            [0, 1, 2, 3],
        ),
        ({"fan_in": 4, "layers": [{"type": "ReLU"}]}, {}, [0, 1, 2, 3]),
        ({"fan_in": 4, "layers": []}, {}, [0, 1, 2, 3]),
    ],
    ids=["no-buffers", "nothing-to-train", "no-arrays", "no-layers"],
)
def test_a_network_without_some_arrays_loads_or_is_refused(
    path: Path, network, arrays, labels
) -> None:
    nothing = dict.fromkeys(load_file(path))
    change(path, nothing | arrays, network=network, labels=labels)
    try:
        loaded: Model | DataError = load(path)
    except DataError as error:
        loaded = error
    if isinstance(loaded, Model):
        assert loaded(np.zeros((1, 4), np.float32)).shape == (1, len(labels))
    else:
        assert path.name in str(loaded)
