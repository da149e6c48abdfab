"""The model's file: named arrays with metadata as safetensors, written whole or not at all.

The one user of safetensors.  A file is data: reading one runs nothing, and what it says of
layers is taken from a list of known ones.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, fields
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from xpnet.arrays import Array, HostArray
from xpnet.bounds import kind_of
from xpnet.data.files import write_atomically
from xpnet.data.targets import check_labels
from xpnet.errors import DataError, UsageError
from xpnet.layers import Layer
from xpnet.losses import OUTPUTS, Loss, loss_for
from xpnet.network import Network, by_layer, named
from xpnet.registry import LAYERS, LOSSES

T = TypeVar("T")
FORMAT = 1
SUFFIX = ".safetensors"
_JSON: dict[Any, tuple[type, ...]] = {
    int: (int,), float: (int, float), bool: (bool,), tuple[float, ...]: (list,)
}  # fmt: skip
MOST_LAYERS = 10_000


def write_arrays(path: Path, arrays: Mapping[str, HostArray], metadata: Mapping[str, Any]) -> None:
    """Write named arrays and metadata, atomically.

    The metadata is one JSON text under one key: safetensors does not keep the order of several,
    and equal models shall give equal files.

    Parameters
    ----------
    path : Path
    arrays : mapping of name to array
    metadata : mapping
        What JSON can hold.
    """
    text = json.dumps({"format": FORMAT, **metadata}, sort_keys=True, ensure_ascii=False)
    contiguous = {name: np.ascontiguousarray(a) for name, a in arrays.items()}
    write_atomically(path, save(contiguous, metadata={"xpnet": text}))


def read_arrays(path: Path) -> tuple[dict[str, HostArray], dict[str, Any]]:
    """The named arrays and the metadata of a file.

    Raises
    ------
    DataError
        The file isn't there, isn't safetensors, isn't of xpnet, or is of a newer format.
    """
    try:
        if not path.is_file():
            raise DataError(f"{path}: no such file")
        path.open("rb").close()  # safetensors says "No such file" of a file that is not ours
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        with safe_open(path, framework="numpy") as stream:
            metadata = json.loads((stream.metadata() or {}).get("xpnet", "null"))
            _check_format(metadata, path)
            arrays = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    except DataError:
        raise
    except MemoryError:
        raise DataError(f"{path}: is larger than the memory") from None
    except (SafetensorError, OSError, ValueError, TypeError, RecursionError, AttributeError) as e:
        raise DataError(f"{path}: not a safetensors file, or damaged ({e})") from None
    return arrays, metadata


def _check_format(metadata: Any, path: Path) -> None:
    number = metadata.get("format") if isinstance(metadata, dict) else None
    if type(number) is not int or number < 1:
        raise DataError(f"{path}: a safetensors file, and not one of xpnet")
    if number > FORMAT:
        raise DataError(f"{path}: written by a newer xpnet; upgrade: pip install --upgrade xpnet")


def encode_network(network: Network) -> dict[str, Any]:
    """Return the architecture as JSON can hold it.

    Raises
    ------
    UsageError
        A layer is not one of `registry.LAYERS`, from which it could be made again.
    """
    for layer in network.layers:
        name = type(layer).__name__
        if name not in LAYERS or LAYERS[name] is not type(layer):
            raise UsageError(
                f"a model with the layer {name} cannot be saved: its file may hold xpnet's layers "
                "only. Pickle the model, or add the layer to xpnet/registry.py"
            )
    layers = [_encode(layer) for layer in network.layers]
    return {"fan_in": network.fan_in, "layers": layers}


def encode_loss(loss: Loss | None) -> dict[str, Any] | None:
    """Return a loss as JSON can hold it; None, with a warning, if xpnet does not have it."""
    if loss is None or any(kind is type(loss) for kind in LOSSES.values()):
        return None if loss is None else _encode(loss)
    warnings.warn(
        f"the loss {type(loss).__name__} is not one of xpnet's and is not written to the model's "
        "file: name a loss in evaluate",
        stacklevel=5,
    )
    return None


def _encode(settings: Layer | Loss) -> dict[str, Any]:
    return {"type": type(settings).__name__, **asdict(settings)}


def decode_network(description: Any, where: str) -> Network:
    """The architecture that `encode_network` described.

    Raises
    ------
    DataError
        A layer is unknown, or its parameters are not what they should be.
    """
    try:
        fan_in, described = description["fan_in"], description["layers"]
        if type(fan_in) is not int or fan_in < 1 or not 1 <= len(described) <= MOST_LAYERS:
            raise ValueError(f"fan_in = {fan_in!r}, {len(described)} layers")
        network = Network(fan_in, tuple(_decode(layer, LAYERS) for layer in described))
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise DataError(f"{where}: describes no network of xpnet ({error})") from None
    return network


def _decode(description: Mapping[str, Any], table: Mapping[str, type[T]]) -> T:
    """Return the instance that `_encode` described, of one of the classes in `table`."""
    parameters = {**description}
    make: Any = table[parameters.pop("type")]
    types = {field.name: _JSON[kind_of(field.type)] for field in fields(make)}
    for name, value in parameters.items():
        if type(value) not in types[name]:
            raise ValueError(f"{name} = {value!r}")
    return cast(T, make(**parameters))


ATTRIBUTES = (
    "labels", "input_shape", "output", "multilabel", "columns", "target", "loss"
)  # fmt: skip
"""The attributes of a model but its network and arrays, in the order of `Model`."""


class Content(NamedTuple):
    """What a model's file holds.

    Attributes
    ----------
    network : Network
    arrays : list of dict of str to array
        The arrays of each layer by name.
    dtype : str
        Theirs.
    attributes : dict
        The `ATTRIBUTES` of the model.
    """

    network: Network
    arrays: list[dict[str, HostArray]]
    dtype: str
    attributes: dict[str, Any]


def write_model(path: Path, content: Content) -> None:
    """Write a model's file, whole or not at all.

    Raises
    ------
    UsageError
        The path does not end in `.safetensors`, or a layer is not one of `registry.LAYERS`.
    OSError
        The file cannot be written.
    """
    if path.suffix != SUFFIX:
        raise UsageError(
            f"the path of a model's file must end in {SUFFIX}, got {path}; write "
            f"{path.with_suffix(SUFFIX)}"
        )
    network = content.network
    metadata = {
        **content.attributes,
        "network": encode_network(network),
        "loss": encode_loss(content.attributes["loss"]),
    }
    write_arrays(path, named(network.slots + network.buffer_slots, content.arrays), metadata)


def read_model(file: Path) -> Content:
    """Read and check a model's file.

    Raises
    ------
    DataError
        It isn't there, or isn't a model of xpnet.
    """
    arrays, metadata = read_arrays(file)
    network = decode_network(metadata.get("network"), str(file))
    dtype = _check_arrays(file, arrays, network)
    attributes = _check_attributes(file, metadata, network)
    return Content(network, by_layer(network, arrays), dtype, attributes)


def _check_arrays(file: Path, arrays: Mapping[str, HostArray], network: Network) -> str:
    """The type of the arrays, which are those of the network, finite and in range."""
    slots = network.slots + network.buffer_slots
    expected = named(slots, [{**layer.shapes, **layer.buffers} for layer in network.layers])
    if {name: a.shape for name, a in arrays.items()} != expected:
        raise DataError(f"{file}: its arrays are not those of the network that it describes")
    dtypes = {str(a.dtype) for a in arrays.values()}
    if dtypes not in ({"float32"}, {"float64"}):
        raise DataError(f"{file}: its arrays are {', '.join(sorted(dtypes))}; expected float32")
    positive = [(name, a) for name, a in arrays.items() if name.endswith((".scale", ".var"))]
    if not all(np.all(np.isfinite(a)) for a in arrays.values()) or any(
        np.any(a < 0) or (np.any(a == 0) and name.endswith(".scale")) for name, a in positive
    ):
        raise DataError(f"{file}: its arrays hold NaN, infinity or a scale that is not above 0")
    return dtypes.pop()


def _check_attributes(file: Path, metadata: Mapping[str, Any], network: Network) -> dict[str, Any]:
    """Return the attributes of a model but its network and arrays, checked."""
    labels, shape = metadata.get("labels"), metadata.get("input_shape")
    output, multilabel = metadata.get("output"), metadata.get("multilabel", False)
    columns, target = metadata.get("columns", []), metadata.get("target", [])
    if (
        not isinstance(labels, list)
        or not all(type(label) in (int, str) for label in labels)
        or not isinstance(shape, list)
        or not all(type(size) is int and size > 0 for size in shape)
        or prod(shape) != network.fan_in
        or output not in tuple(OUTPUTS)
        or type(multilabel) is not bool
        or not isinstance(columns, list)
        or not isinstance(target, list)
        or not all(type(column) is str for column in (*columns, *target))
        or len(columns) not in (0, network.fan_in)
    ):
        raise DataError(f"{file}: its labels, input shape, output or columns are damaged")
    try:
        check_labels(tuple(labels), output, network.fan_out, multilabel)
    except UsageError as error:
        raise DataError(f"{file}: {error}") from None
    return {
        "labels": tuple(labels), "input_shape": tuple(shape), "output": output,
        "multilabel": multilabel, "columns": tuple(columns), "target": tuple(target),
        "loss": _decode_loss(metadata.get("loss"), output, file),
    }  # fmt: skip


def _decode_loss(description: Any, output: str, file: Path) -> Loss | None:
    if description is None:
        return None
    try:
        loss = _decode(description, {kind.__name__: kind for kind in LOSSES.values()})
        return loss_for(output, loss)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file}: its loss is damaged ({error})") from None


def vectors(
    network: Network, arrays: list[dict[str, Array]], dtype: str
) -> tuple[HostArray, HostArray]:
    """Return theta and buffers of NumPy from each layer's arrays; either may be empty."""
    theta = network.pack(arrays) if network.slots else np.zeros(0)
    buffers = network.pack_buffers(arrays) if network.buffer_slots else np.zeros(0)
    return theta.astype(dtype), buffers.astype(dtype)
