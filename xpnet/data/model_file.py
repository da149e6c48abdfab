"""Files: named arrays with metadata as safetensors, written whole or not at all.

The one user of safetensors.  A file is data: reading one runs nothing, and what it says of
layers is taken from a list of known ones.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from xpnet.activations import ACTIVATIONS
from xpnet.arrays import HostArray
from xpnet.errors import DataError, UsageError
from xpnet.layers import Dense, Dropout, Layer, Noise, Rescale, Standardize
from xpnet.network import Network
from xpnet.normalization import NORMALIZATIONS

FORMAT = 1
LAYERS: dict[str, type[Layer]] = {
    layer.__name__: layer
    for layer in (
        Standardize,
        Noise,
        Dense,
        Dropout,
        Rescale,
        *NORMALIZATIONS.values(),
        *ACTIVATIONS.values(),
    )
}
_NUMBER: dict[Any, tuple[type, ...]] = {int: (int,), float: (int, float), bool: (bool,)}
MOST_LAYERS = 10_000


def write_atomically(path: Path, content: bytes) -> None:
    """Put `content` into the file, so that at any moment the old or the new one is there.

    It goes to a temporary file beside it, to the disk, and is renamed.

    Raises
    ------
    OSError
        It cannot be written; what was there stays.
    """
    try:
        _write_and_rename(path, content)
    except OSError as error:  # name the file that was asked for, not the temporary one
        raise OSError(error.errno, error.strerror, str(path)) from None


def _write_and_rename(path: Path, content: bytes) -> None:
    path = path.resolve()  # a link stays one
    temporary = path.with_name(f".{token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


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
    """The architecture as JSON can hold it."""
    layers = [{"type": type(layer).__name__, **asdict(layer)} for layer in network.layers]
    return {"fan_in": network.fan_in, "layers": layers}


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
        network = Network(fan_in, tuple(_decode_layer(layer) for layer in described))
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise DataError(f"{where}: describes no network of xpnet ({error})") from None
    return network


def _decode_layer(description: Mapping[str, Any]) -> Layer:
    parameters = {**description}
    layer = LAYERS[parameters.pop("type")]
    types = {field.name: _NUMBER[field.type] for field in fields(layer)}
    for name, value in parameters.items():
        if type(value) not in types[name] or (isinstance(value, int) and value < 0):
            raise ValueError(f"{name} = {value!r}")
    return layer(**parameters)
