"""Arguments of metrics: lists and arrays of any library, checked and copied to one device.

Functions raise UsageError if an array is empty or its shape or type is not accepted, and DataError
if a value is not accepted.  They read values, and wait for the device; `comparable_labels` and
`numbers` do so only if the libraries, devices or types of their arguments differ.
"""

from collections.abc import Callable, Sequence
from math import sqrt
from numbers import Integral
from typing import Any

from xpnet.arrays import (
    Array,
    as_type,
    device_of,
    float_name,
    has_float64,
    is_numpy,
    is_wide,
    namespace,
    put,
    times,
    to_numpy,
)
from xpnet.bounds import Interval, refuse_mask
from xpnet.errors import DataError, UsageError
from xpnet.frames import plain_array
from xpnet.truths import standing_for
from xpnet.weights import length, weight_scale, weights_on_host, without_weightless

Label = int | str


def require_distributions(p: Array) -> None:
    """Raise a DataError if the sum of a row of p (n, m) differs from one by more than rounding."""
    xp = namespace(p)
    total, eps = xp.sum(p, axis=1), float(xp.finfo(p.dtype).eps)
    near_1 = xp.abs(total - 1) <= max(1e-3, sqrt(eps))
    _require_values(total, near_1, "p.sum(axis=1)", "probabilities that sum to one")


def comparable_labels(t: Any, predicted: Any) -> tuple[Array, Array]:
    """Return labels t and `predicted` (n,) as arrays that == compares element by element.

    If the libraries, devices or types of t and `predicted` differ, the arrays are column numbers.
    """
    t, predicted = _label_pair(t, predicted)
    if _same_place(t, predicted) and (is_numpy(t) or t.dtype == predicted.dtype):
        return t, predicted
    return label_columns(t, predicted, None)[:2]


def label_columns(
    t: Any, predicted: Any, labels: int | Sequence[Label] | None
) -> tuple[Array, Array, int]:
    """Return labels t and `predicted` (n,) as column numbers (int32 arrays) below m, and m.

    Parameters
    ----------
    t, predicted : labels (n,)
    labels : int or sequence of int or str, optional
        The label of each column: 0 to m - 1 for an int m; by default the different labels in t and
        `predicted`, sorted.
    """
    t, predicted = _label_pair(t, predicted)
    here, there = to_numpy(t).tolist(), to_numpy(predicted).tolist()
    accepted = sorted({*here, *there}) if labels is None else _accepted(labels)
    like = t if is_numpy(predicted) else predicted
    t, predicted = _encode(here, accepted, "t", like), _encode(there, accepted, "predicted", like)
    return t, predicted, len(accepted)


def columns_or_indicators(
    t: Any, predicted: Any, labels: int | Sequence[Label] | None
) -> tuple[Array, Array, int]:
    """Return `label_columns`; if t is (n, m), `indicators` and m, the number of `labels`."""
    t, predicted = _array(t, "t"), _array(predicted, "predicted")
    if len(t.shape) != 2:
        return label_columns(t, predicted, labels)
    t, predicted = indicators(t, predicted)
    if labels is not None:
        _require_one_each(_accepted(labels), t.shape[1])
    return t, predicted, t.shape[1]


def indicators(t: Any, predicted: Any) -> tuple[Array, Array]:
    """Return t and `predicted` (n, m), of 0 and 1 in any numeric type, as int32 arrays."""
    t, predicted = _real(t, "t"), _real(predicted, "predicted")
    fits = _shape(t) == _shape(predicted) and len(t.shape) == 2
    _require_shapes(fits, t, predicted, "predicted", "(n, m) for both")
    for x, name in ((t, "t"), (predicted, "predicted")):
        if not namespace(x).isdtype(x.dtype, "bool"):
            _require_values(x, (x == 0) | (x == 1), name, "0 or 1")
    t, predicted = (namespace(x).astype(x, namespace(x).int32) for x in (t, predicted))
    return _together(t, predicted)


def columns_and_scores(t: Any, z: Any, labels: Sequence[Label] | None) -> tuple[Array, Array]:
    """Return labels t (n,) as columns (int32 array) of scores z (n, m), real numbers; and z."""
    t, z = _labels(t, "t"), _real(z, "z")
    fits = _shape(t) == _shape(z)[:1] and len(z.shape) == 2
    _require_shapes(fits, t, z, "z", "(n,) and (n, m)")
    return _columns_of(t, z, labels), _floating(z, z)


def columns_and_probabilities(
    t: Any, p: Any, labels: Sequence[Label] | None
) -> tuple[Array, Array]:
    """Return labels t (n,) as columns (int32 array) of p, and p as floating-point array (n, m).

    p (n,) or (n, 1) is the probability of the second of two labels.
    """
    t, p = _labels(t, "t"), _real(p, "p")
    fits = _shape(t) == _shape(p)[:1] and len(p.shape) <= 2
    _require_shapes(fits, t, p, "p", "(n,) and (n, m)")
    p, xp = _floating(p, p), namespace(p)
    _require_values(p, (p >= 0) & (p <= 1), "p", "a probability, from 0 to 1")
    p = xp.reshape(p, (-1, 1)) if len(p.shape) == 1 else p
    p = xp.concat([1 - p, p], axis=1) if p.shape[1] == 1 else p
    return _columns_of(t, p, labels), p


def second_label_and_scores(t: Any, p: Any, labels: Sequence[Label] | None) -> tuple[Array, Array]:
    """Return which labels t (n,) are the second of two, and its scores (n,), on the device of p.

    p is (n,) or (n, 1), or (n, 2) of the probabilities of both labels.
    """
    t, p = _labels(t, "t"), _real(p, "p")
    fits = _shape(t) == _shape(p)[:1] and (len(p.shape) == 1 or _shape(p)[1:] in ((1,), (2,)))
    _require_shapes(fits, t, p, "p", "(n,) and (n,), (n, 1) or (n, 2)")
    p = _floating(p, p)
    _require_values(p, ~namespace(p).isnan(p), "p", "a number")
    if _shape(p)[1:] == (2,):
        _require_values(p, (p >= 0) & (p <= 1), "p", "a probability, from 0 to 1")
        require_distributions(p)
    accepted = _accepted(2 if labels is None else labels)
    _require_one_each(accepted, 2)
    positive = _encode(to_numpy(t).tolist(), accepted, "t", p) == 1
    return positive, p if len(p.shape) == 1 else p[:, -1]


def weighted(
    accept: Callable[..., tuple[Any, ...]], t: Any, predicted: Any, sample_weight: Any, *more: Any
) -> tuple[Any, ...]:
    """Return what `accept` returns for t, `predicted` and `more`, and the weights or None.

    Rows of weight 0 are removed first.  The others are divided by their unit (`in_their_unit`);
    they are in the type of the second accepted array.  If that is no floating-point type, they are
    float64, or float32 where the library has no float64.
    """
    t, predicted, w = without_weightless(t, predicted, sample_weight)
    accepted = accept(t, predicted, *more)
    if w is None:
        return *accepted, None
    like = accepted[1]
    real = namespace(like).isdtype(like.dtype, "real floating")
    widest = "float64" if has_float64(like) else "float32"
    scaled = (w / weight_scale(w)).astype(float_name(like) if real else widest)
    return *accepted, put(scaled, like)


def in_their_unit(sums: Array, sample_weight: Any) -> Array:
    """Return sums of the weights that `weighted` returns as sums of those that were given."""
    if sample_weight is None:
        return sums
    return times(sums, weight_scale(weights_on_host(sample_weight, length(sample_weight) or 0)))


def numbers(t: Any, y: Any) -> tuple[Array, Array]:
    """Return t and y, real numbers (n,) or (n, m), as floating-point arrays.

    If one is float64 or of integers of more than 16 bits, both become float64 where there is one.
    """
    t, y = _real(t, "t"), _real(y, "y")
    fits = _shape(t) == _shape(y) and len(t.shape) in (1, 2)
    _require_shapes(fits, t, y, "y", "(n,) for both or (n, m) for both")
    like = t if is_numpy(y) else y
    if (is_wide(t) or is_wide(y)) and has_float64(like):
        return _as_float64(t, like), _as_float64(y, like)
    t, y = _together(t, y)
    return _floating(t, y), _floating(y, t)


def _array(x: Any, name: str) -> Array:
    """Return x as an array that is not empty.

    Lists, series, frames and arrays of Python objects become NumPy arrays of numbers or of names.
    """
    refuse_mask(name, x)
    x = plain_array(x, name)
    if getattr(getattr(x, "dtype", None), "kind", "") in ("O", "T"):
        x = x.tolist()
    if isinstance(x, Sequence) and not isinstance(x, str):
        given = x
        try:
            x = to_numpy(given)
        except (ValueError, TypeError) as error:
            raise UsageError(f"{name} cannot be converted to an array: {error}") from None
        if _are_names(x) and not all(isinstance(each, str) for each in given):
            raise UsageError(f"{name} holds names and other values; expected names only")
    namespace(x)  # a UsageError if x is no array
    if 0 in x.shape:
        raise UsageError(f"{name} is empty, of shape {_shape(x)}; expected at least one sample")
    return x


def _labels(x: Any, name: str) -> Array:
    """Return x as an array of integers or bool, or a NumPy array of names."""
    x = _array(x, name)
    if not _are_names(x) and not namespace(x).isdtype(x.dtype, ("bool", "integral")):
        raise UsageError(
            f"{name} is {x.dtype}; expected integers or names. Convert whole numbers to integers."
        )
    return x


def _label_pair(t: Any, predicted: Any) -> tuple[Array, Array]:
    """Return labels t and `predicted` (n,) as arrays, both of numbers or both of names."""
    t, predicted = _labels(t, "t"), _labels(predicted, "predicted")
    fits = _shape(t) == _shape(predicted) and len(t.shape) == 1
    _require_shapes(fits, t, predicted, "predicted", "(n,) for both")
    if _are_names(t) and not _are_names(predicted):
        predicted = standing_for(to_numpy(predicted), t.tolist())
    elif _are_names(predicted) and not _are_names(t):
        t = standing_for(to_numpy(t), predicted.tolist())
    if _are_names(t) != _are_names(predicted):
        names, other = ("t", "predicted") if _are_names(t) else ("predicted", "t")
        raise UsageError(
            f"{names} holds names and {other} numbers; expected labels of one kind. Outside of "
            "NumPy, model.predict returns positions in model.labels: look the names up there."
        )
    return t, predicted


def _real(x: Any, name: str) -> Array:
    """Return x as an array of real numbers, of any numeric type."""
    x = _array(x, name)
    if not namespace(x).isdtype(x.dtype, ("bool", "integral", "real floating")):
        raise UsageError(f"{name} is {x.dtype}; expected real numbers")
    return x


def _are_names(x: Array) -> bool:
    return getattr(x.dtype, "kind", "") == "U"


def _shape(x: Array) -> tuple[int, ...]:
    return tuple(x.shape)


def _require_shapes(fits: bool, t: Array, other: Array, name: str, expected: str) -> None:
    if not fits:
        raise UsageError(
            f"t has shape {_shape(t)} and {name} has shape {_shape(other)}; expected {expected}"
        )


def _require_values(x: Array, accepted: Array, name: str, expected: str) -> None:
    """Raise a DataError that names the first element of x where `accepted`, bool, is False."""
    if bool(namespace(accepted).all(accepted)):
        return
    refused = (~to_numpy(accepted)).nonzero()
    place = tuple(int(axis[0]) for axis in refused)
    value = to_numpy(x)[place].item()
    raise DataError(f"{name}[{', '.join(map(str, place))}] is {value!r}; expected {expected}")


def _accepted(labels: Any) -> list[Label]:
    """Return the label of each column."""
    if isinstance(labels, Integral):
        return [*range(Interval("[1, 1000000]").check("labels", labels, int))]
    given = _labels(labels, "labels")
    if len(given.shape) != 1:
        raise UsageError(f"labels has shape {_shape(given)}; expected one label for each column")
    accepted: list[Label] = to_numpy(given).tolist()
    if len({*accepted}) < len(accepted):
        twice = next(label for label in accepted if accepted.count(label) > 1)
        raise UsageError(f"labels holds {twice!r} twice; expected different labels")
    return accepted


def _require_one_each(accepted: list[Label], columns: int) -> None:
    if len(accepted) != columns:
        raise UsageError(
            f"labels holds {len(accepted)} labels for {columns} columns; expected one for each"
        )


def _columns_of(t: Array, p: Array, labels: Sequence[Label] | None) -> Array:
    """Return labels t as column numbers, by default 0 to m - 1, on the device of p (n, m)."""
    accepted = _accepted(p.shape[1] if labels is None else labels)
    _require_one_each(accepted, p.shape[1])
    return _encode(to_numpy(t).tolist(), accepted, "t", p)


def _encode(given: list[Label], accepted: list[Label], name: str, like: Array) -> Array:
    """Return the column number of each given label, as an int32 array on the device of `like`."""
    if given and isinstance(given[0], bool | str):
        given = standing_for(to_numpy(given), accepted).tolist()
    place = {label: column for column, label in enumerate(accepted)}
    columns = [place.get(label, -1) for label in given]
    if -1 in columns:
        i = columns.index(-1)
        shown = ", ".join(map(repr, accepted[:10])) + (", ..." if len(accepted) > 10 else "")
        raise DataError(
            f"{name}[{i}] is {given[i]!r}; expected one of the labels {shown}: correct it, or pass "
            "all labels as `labels`"
        )
    return put(to_numpy(columns).astype("int32"), like)


def _same_place(t: Array, y: Array) -> bool:
    """Return whether t and y are of one library, on one device."""
    here, there = device_of(t), device_of(y)  # None for a JAX tracer
    return namespace(t) is namespace(y) and (here == there or None in (here, there))


def _together(t: Array, y: Array) -> tuple[Array, Array]:
    """Return t and y on the device of y; or of t, if only y is a NumPy array."""
    if _same_place(t, y):
        return t, y
    return (t, _moved(y, t)) if is_numpy(y) else (_moved(t, y), y)


def _moved(x: Array, like: Array) -> Array:
    """Return x on the device of `like`: int32 arrays unchanged, others in its `_floating` type."""
    host = to_numpy(x)
    if host.dtype != "int32":
        host = host.astype(float_name(_floating(like, like)))
    return put(host, like)


def _as_float64(x: Array, like: Array) -> Array:
    """Return x as float64 on the device of `like`."""
    if _same_place(x, like):
        return as_type(x, "float64")
    return put(to_numpy(x).astype("float64"), like)


def _floating(x: Array, like: Array) -> Array:
    """Return x as it is if floating-point; else in the type of `like`, or the default type."""
    xp = namespace(x)
    if xp.isdtype(x.dtype, "real floating"):
        return x
    real = xp.isdtype(like.dtype, "real floating")
    if is_wide(x) and has_float64(x):
        return as_type(x, "float64")
    return xp.astype(x, like.dtype if real else xp.zeros(1, device=device_of(x)).dtype)
