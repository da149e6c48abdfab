"""Limits of samples: between which numbers a model expects them, and whether they are there.

They are found from the constants of the model's `Standardize`.  `contains` is written for every
array library; the rest is for NumPy, where an image alone is checked in about a microsecond.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, isfinite, log
from typing import Any

import numpy as np

from xpnet.arrays import Array, HostArray, namespace, put, to_numpy
from xpnet.data.statistics import FEWEST_PIXELS

DEVIATIONS = 20  # from the mean, beyond which a number is far from the training samples
DARKNESS = 50  # an image whose maximum is below the scale divided by this is too dark


@dataclass(frozen=True)
class Limits:
    """Between which numbers a model expects its samples.

    Attributes
    ----------
    low, high : float, or floating-point array (columns,), of float64 on NumPy
        20 deviations from the mean of the model's `Standardize`; numbers if the columns share one
        mean and one scale.  If nothing is scaled, beyond them products may overflow.
    dark : float
        An image whose maximum is above 0 and below this is too dark; 0 if samples are no images.
    scaled : bool
        Whether the model has a `Standardize` with constants of training samples.
    highest : float
        The largest logit.
    exponential : bool
        Whether that is the one whose `exp` is finite.
    """

    low: Any
    high: Any
    dark: float
    scaled: bool
    highest: float
    exponential: bool


def limits_of(model: Any) -> Limits:
    """Return the limits of a model, as arrays where the model is."""
    largest = float(np.finfo(model.dtype).max)
    exponential = model.output == "exp"
    highest = log(largest) if exponential else largest
    mean, scale = constants_of(model)
    idle = model.loss is None and np.all(mean == 0) and np.all(scale == 1)  # not trained
    if idle or not model.network.standardizes:
        return Limits(-(largest**0.5), largest**0.5, 0.0, False, highest, exponential)
    on_host = isinstance(model.theta, np.ndarray)
    exact = on_host and "rest" in model.params[0]  # else the mean is rounded, as samples may be
    reach = DEVIATIONS * scale + (0 if exact else np.abs(mean) * np.finfo(model.dtype).eps)
    low, high = (np.clip(a, -largest, largest) for a in (mean - reach, mean + reach))
    shared = bool(np.all(mean == mean[0]) and np.all(scale == scale[0]))
    images = len(model.input_shape) > 1 or (shared and len(mean) >= FEWEST_PIXELS)
    dark = float(np.max(scale)) / DARKNESS if images else 0.0
    if images and shared:
        return Limits(float(low[0]), float(high[0]), dark, True, highest, exponential)
    if not on_host:
        low, high = (put(a.astype(model.dtype), model.theta) for a in (low, high))
    return Limits(low, high, dark, True, highest, exponential)


def constants_of(model: Any) -> tuple[HostArray, HostArray]:
    """Return the mean and the scale of each column, in float64; 0 and 1 if nothing is scaled."""
    if not model.network.standardizes:
        return np.zeros(model.network.fan_in), np.ones(model.network.fan_in)
    p = {name: to_numpy(a).astype(np.float64) for name, a in model.params[0].items()}
    return p["mean"] + p.get("rest", 0), p["scale"]


def contains(limits: Limits, x: Array, dtype: Any) -> Array:
    """Return whether all samples x (n, width) are within the limits, as a 0-d bool array.

    They are compared in `dtype`.  It takes one pass over x for the maxima and one for the minima.
    """
    xp, columns = namespace(x), not isinstance(limits.low, float)
    if xp.isdtype(x.dtype, "bool"):
        x = xp.astype(x, xp.uint8)
    if not x.shape[0]:
        return xp.all(xp.astype(x, xp.bool))
    top = xp.astype(xp.max(x, axis=0 if columns else 1), dtype)
    inside = xp.all(top <= limits.high)
    if columns or not _all_above(xp, x.dtype, limits.low):
        bottom = xp.astype(xp.min(x, axis=0 if columns else 1), dtype)
        inside = inside & xp.all(bottom >= limits.low)
    if limits.dark:
        top = xp.astype(xp.max(x, axis=1), dtype) if columns else top
        inside = inside & xp.all((top <= 0) | (top >= limits.dark))
    return inside


def _all_above(xp: Any, dtype: Any, low: float) -> bool:
    """Whether no number of a type is below `low`."""
    return bool(xp.isdtype(dtype, "integral")) and xp.iinfo(dtype).min >= low


def outputs_fit(limits: Limits, z: HostArray) -> bool:
    """Return whether logits z (n, m), of NumPy, are finite and not too large for `exp`."""
    if len(z) > 1 or limits.exponential:
        return bool(np.all(np.isfinite(z)) and np.all(z <= limits.highest))
    return not len(z) or isfinite(sum(z.tolist()[0]))  # sooner than two functions of NumPy


def within_on_numpy(limits: Limits) -> Callable[[HostArray], bool]:
    """Return a function that returns whether samples are within the limits.

    It takes half a microsecond for one image, of the ten that its prediction takes, and one pass
    over many.  The bits of floating-point numbers of 0 or more are in their order, and those of
    others are larger: the maximum of the bits tells that no number is negative, too large or NaN.
    """
    return _pixels_within(limits) if isinstance(limits.low, float) else _columns_within(limits)


def _pixels_within(limits: Limits) -> Callable[[HostArray], bool]:
    """Return `within_on_numpy` if all columns have the same limits."""
    words = _words(limits)
    few = bytes(range(min(ceil(limits.dark), 256)))  # the bytes that are too dark
    if limits.low <= 0 and limits.high >= 255:
        words[np.dtype(np.uint8)] = (np.dtype(np.uint8), len(few), 255)

    def within(x: HostArray) -> bool:
        known = words.get(x.dtype)
        if known is None:
            return bool(contains(limits, x, np.float64))
        word, least, most = known
        if len(x) != 1:
            top = x.view(word).max(axis=1)
            others = np.flatnonzero((top < least) | (top > most))
            return not len(others) or bool(contains(limits, x[others], np.float64))
        if most == 255:
            if not few or x.tobytes()[x.size // 2 :].lstrip(few):  # seldom dark from the middle on
                return True
        else:
            bits = x.getfield(word)
            if least <= bits.item(bits.argmax()) <= most:
                return True
        return bool(contains(limits, x, np.float64))

    return within


def _columns_within(limits: Limits) -> Callable[[HostArray], bool]:
    """Return `within_on_numpy` if each column has its own limits."""
    words = _words(limits)
    rows = {}
    for real in (np.float32, np.float64):
        largest = float(np.finfo(real).max)
        ends = (np.clip(a, -largest, largest) for a in (limits.low, limits.high))
        rows[np.dtype(real)] = tuple(a.astype(real)[np.newaxis] for a in ends)

    def within(x: HostArray) -> bool:
        if len(x) == 1 and x.dtype in rows and not limits.dark:
            low, high = rows[x.dtype]
            clipped: HostArray = np.minimum(np.maximum(x, low), high)
            return clipped.tobytes() == x.tobytes()
        if len(x) > 1 and x.dtype in words and not limits.dark:
            word, _, most = words[x.dtype]
            if np.all(x.view(word).max(axis=0) <= most):
                return True
        return bool(contains(limits, x, np.float64))

    return within


def _words(limits: Limits) -> dict[Any, tuple[Any, Any, Any]]:
    """Return, by type, the type of the bits, and the bits of `dark` and of the high limits.

    There is none if a limit is above 0.
    """
    found = {}
    for real, word in ((np.float32, np.uint32), (np.float64, np.uint64)):
        largest = float(np.finfo(real).max)
        ends = (np.asarray(a, np.float64) for a in (limits.dark, limits.high))
        least, most = (np.minimum(a, largest).astype(real).view(word)[()] for a in ends)
        found[np.dtype(real)] = (np.dtype(word), least, most)
    return {} if np.any(limits.low > 0) else found
