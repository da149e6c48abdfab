"""The counter-based random generator: the same draws on every array library and device.

What is drawn depends on (seed, purpose, layer, step, row) alone, not on the library, the
device, or how a batch is split.  Every draw is the value of a fixed function of a key and a
counter, Threefry-2x32 (Salmon, Moraes, Dror & Shaw, *Parallel random numbers: as easy as
1, 2, 3*, SC 2011), so there is no state to keep, to copy or to lose:

    key      = threefry((seed's low word, high word), (purpose, layer))
    step key = threefry(key, (step's low word, high word))
    words    = threefry(step key, (row, block))

Words are int32 in two's complement, which every array library has and wraps alike; read them
as bits.  Weights, permutations and keys are drawn on the host with NumPy; masks are drawn
where the batch lies.
"""

from enum import IntEnum
from functools import singledispatch
from math import pi
from typing import Any

import numpy as np

from xpnet.arrays import Array, HostArray, device_of, namespace

ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
PARITY = 0x1BD11BDA  # C240 of Threefish, reduced to 32 bits (Salmon et al., section 4.2)


class Purpose(IntEnum):
    """What a number is drawn for; equal seeds give unrelated numbers for each."""

    WEIGHTS = 0
    SPLIT = 1
    PERMUTATION = 2
    UNITS = 3  # masks and noise
    CHECK = 4


def threefry(key: Array, c0: Array, c1: Array, rounds: int = 20) -> tuple[Array, Array]:
    """Two random words for each counter: Threefry-2x32.

    Parameters
    ----------
    key : int32 array (2,)
        The key.
    c0, c1 : int32 arrays, of shapes that broadcast to one another
        The two words of the counters.
    rounds : int, default 20
        The authors' choice is 20; 13 is the fewest that pass their tests.

    Returns
    -------
    (int32 array, int32 array), both of the broadcast shape
    """
    # Slices, not elements: NumPy warns when a scalar wraps, and not when an array does.
    k0, k1 = key[0:1], key[1:2]
    keys = (k0, k1, k0 ^ k1 ^ PARITY)
    x0, x1 = c0 + k0, c1 + k1
    for i in range(rounds):
        r = ROTATIONS[i % 8]
        x0 = x0 + x1
        # >> copies the sign bit in from the left; the mask takes it away again.
        x1 = x0 ^ ((x1 << r) | ((x1 >> (32 - r)) & ((1 << r) - 1)))
        if i % 4 == 3:
            j = i // 4 + 1
            x0, x1 = x0 + keys[j % 3], x1 + keys[(j + 1) % 3] + j
    return x0, x1


def _int32(words: Any) -> HostArray:
    """Unsigned integers, of which the low 32 bits are kept, as int32."""
    return (np.asarray(words, dtype=np.uint64) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def step_keys(seed: int, purpose: Purpose, layer: int, steps: range) -> HostArray:
    """The key of each step; see the module's docstring.

    Parameters
    ----------
    seed : int
        From 0 to 2^64 - 1.
    purpose : Purpose
    layer : int
        The layer's index in the network; 0 where there is none.
    steps : range
        The numbers of the steps (or epochs), from 0.

    Returns
    -------
    int32 array (len(steps), 2)
    """
    low, high = _int32([seed & 0xFFFFFFFF]), _int32([seed >> 32])
    words = threefry(np.concat([low, high]), _int32([purpose]), _int32([layer]))
    number = np.asarray(steps, dtype=np.uint64)
    keys = threefry(np.concat(words), _int32(number), _int32(number >> np.uint64(32)))
    return np.stack(keys, axis=1)


def _counted(key: HostArray, n: int) -> tuple[HostArray, HostArray]:
    """The two words of rows 0 to n - 1, block 0."""
    return threefry(key, np.arange(n, dtype=np.int32), np.zeros(1, dtype=np.int32))


def uniform(key: HostArray, n: int) -> HostArray:
    """n uniform numbers in [0, 1), multiples of 2^-24: exact in float32.  On the host.

    Returns
    -------
    float64 array (n,)
    """
    word, _ = _counted(key, n)
    return (word.view(np.uint32) >> 8) * 2.0**-24


def normal(key: HostArray, n: int) -> HostArray:
    """n standard normal numbers, by Box & Muller (1958), in float64 on the host.

    With u, v uniform in (0, 1), here (word + ½) 2^-32:  √(-2 ln u) cos 2πv  is standard normal.

    Returns
    -------
    float64 array (n,)
    """
    u, v = ((word.view(np.uint32) + 0.5) * 2.0**-32 for word in _counted(key, n))
    draws: HostArray = np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v)
    return draws


def permutation(key: HostArray, n: int) -> HostArray:
    """A permutation of 0 to n - 1: the order of n random 64-bit numbers.  On the host.

    No two of them are equal: `threefry` can be undone, so that other counters give other words.

    Returns
    -------
    int64 array (n,)
    """
    high, low = (word.view(np.uint32).astype(np.uint64) for word in _counted(key, n))
    return np.argsort((high << np.uint64(32)) | low)


def _block_words(key: Array, n: int, blocks: int) -> tuple[Array, Array]:
    """The two words (n, blocks) of each block of each row; blocks do not straddle rows.

    13 rounds; `key` as for `units_of`.
    """
    xp, device = namespace(key), device_of(key)
    rows = xp.reshape(xp.arange(n, dtype=xp.int32, device=device), (n, 1)) + key[2:3]
    block = xp.reshape(xp.arange(blocks, dtype=xp.int32, device=device), (1, blocks))
    return threefry(key, rows, block, rounds=13)


@singledispatch
def mask_units(key: Array, n: int, width: int) -> Array:
    """16 random bits for each unit of each row of a batch, where the key lies.

    A block of two words serves four units.  Arrays of other types may be given another function
    that draws the same bits (`functools.singledispatch`).

    Parameters
    ----------
    key : int32 array (3,)
        The step key of the layer, and the number of the batch's first row.
    n, width : int
        Rows of the batch and units of the layer.

    Returns
    -------
    int32 array (n, width)
        From 0 to 65535.
    """
    return units_of(key, n, width)


def units_of(key: Array, n: int, width: int) -> Array:
    """What `mask_units` gives, for one step or for several.

    Parameters
    ----------
    key : int32 array (3,) or (3, steps, 1, 1)
    n, width : int

    Returns
    -------
    int32 array (n, width) or (1, steps, n, width)
    """
    xp, blocks = namespace(key), (width + 3) // 4
    a, b = _block_words(key, n, blocks)
    units = xp.stack([a & 0xFFFF, (a >> 16) & 0xFFFF, b & 0xFFFF, (b >> 16) & 0xFFFF], axis=-1)
    return xp.reshape(units, (*a.shape[:-1], 4 * blocks))[..., :width]


def normal_units(key: Array, n: int, width: int, dtype: Any) -> Array:
    """Standard normal numbers for each unit of each row of a batch, where the key lies.

    Box & Muller (1958): with u, v uniform in (0, 1), √(-2 ln u) cos 2πv and √(-2 ln u) sin 2πv
    are two of them.  u and v are (23 bits + ½) 2^-23: exact in float32, and no more than 5.8
    standard deviations come out.  A block of two words serves two units.

    Parameters
    ----------
    key : int32 array (3,)
        As for `mask_units`.
    n, width : int
        Rows of the batch and units of the layer.
    dtype : floating-point type
        Of the result.

    Returns
    -------
    floating-point array (n, width)
        The same on every library up to the rounding of its ln, cos and sin.
    """
    xp, blocks = namespace(key), (width + 1) // 2
    words = _block_words(key, n, blocks)
    u, v = (xp.astype((word >> 9) & 0x7FFFFF, dtype) * 2.0**-23 + 2.0**-24 for word in words)
    radius, angle = xp.sqrt(-2 * xp.log(u)), 2 * pi * v
    pairs = xp.stack([radius * xp.cos(angle), radius * xp.sin(angle)], axis=-1)
    return xp.reshape(pairs, (n, 2 * blocks))[:, :width]
