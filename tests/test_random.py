"""The generator: published vectors, the same bits everywhere, sound distributions."""

import math

import numpy as np
import pytest
from helpers import Library

from xpnet.arrays import to_numpy
from xpnet.random import (
    PARITY,
    ROTATIONS,
    Purpose,
    mask_units,
    normal,
    normal_units,
    permutation,
    step_keys,
    threefry,
    uniform,
)

ONES = 0xFFFFFFFF
# Random123's known-answer vectors: key, counter, result; and the same for 13 rounds.
VECTORS = [
    (20, (0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    (20, (ONES, ONES), (ONES, ONES), (0x1CB996FC, 0xBB002BE7)),
    (20, (0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    (13, (0, 0), (0, 0), (0x9D1C5EC6, 0x8BD50731)),
    (13, (ONES, ONES), (ONES, ONES), (0xFD36D048, 0x2D17272C)),
    (13, (0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xBA3E4725, 0xF27D669E)),
]


def int32(*words: int) -> np.ndarray:
    return np.asarray(words, dtype=np.uint32).view(np.int32)


@pytest.mark.parametrize(("rounds", "key", "counter", "expected"), VECTORS)
def test_words_are_the_published_ones(xp: Library, rounds, key, counter, expected) -> None:
    c0, c1 = (xp.array(int32(c)) for c in counter)
    words = threefry(xp.array(int32(*key)), c0, c1, rounds)
    assert [int(to_numpy(w).view(np.uint32)[0]) for w in words] == list(expected)


def words(key: tuple[int, ...], c0: int, c1: int, rounds: int = 20) -> tuple[int, int]:
    """The two words of one counter, from `threefry`, which the vectors above pin."""
    a, b = threefry(int32(*key), int32(c0), int32(c1), rounds)
    return int(a.view(np.uint32)[0]), int(b.view(np.uint32)[0])


def counter(key: tuple[int, int], x0: int, x1: int) -> tuple[int, int]:
    """The counter that gives these words: undo each operation of `threefry`, the last first."""
    keys = (*key, key[0] ^ key[1] ^ PARITY)
    for i in reversed(range(20)):
        if i % 4 == 3:
            j = i // 4 + 1
            x0, x1 = x0 - keys[j % 3] & ONES, x1 - keys[(j + 1) % 3] - j & ONES
        x1, r = x0 ^ x1, ROTATIONS[i % 8]
        x1 = x1 >> r | x1 << (32 - r) & ONES
        x0 = x0 - x1 & ONES
    return x0 - keys[0] & ONES, x1 - keys[1] & ONES


def test_two_counters_never_give_the_same_words() -> None:
    """The counter follows from the words; so `permutation` never orders two equal numbers."""
    for key, at in (((0, 0), (0, 0)), ((1, ONES), (ONES, 7)), ((0x13198A2E, 5), (3, 1 << 31))):
        assert counter(key, *words(key, *at)) == at


def test_keys_are_those_of_the_docstring() -> None:
    """The seed's words are the key of purpose and layer; the result is the key of the step."""
    key = words((5, 7), Purpose.UNITS, 2)
    expected = [words(key, 3, 4), words(key, 4, 4)]
    steps = range(3 + (4 << 32), 5 + (4 << 32))
    keys = step_keys(5 + (7 << 32), Purpose.UNITS, 2, steps)
    assert keys.view(np.uint32).tolist() == [list(each) for each in expected]


def box_muller(u: float, v: float) -> tuple[float, float]:
    radius = math.sqrt(-2 * math.log(u))
    return radius * math.cos(2 * math.pi * v), radius * math.sin(2 * math.pi * v)


def test_draws_on_the_host_are_made_of_the_words_of_rows() -> None:
    key, rows = (9, 8), range(20)
    drawn = [words(key, row, 0) for row in rows]
    assert uniform(int32(*key), 20).tolist() == [high // 2**8 / 2**24 for high, _ in drawn]
    expected = [box_muller((a + 0.5) / 2**32, (b + 0.5) / 2**32)[0] for a, b in drawn]
    assert normal(int32(*key), 20).tolist() == pytest.approx(expected, rel=1e-13)
    assert permutation(int32(*key), 20).tolist() == sorted(rows, key=lambda row: drawn[row])


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 8])
def test_draws_for_a_batch_are_made_of_the_words_of_rows_and_blocks(width: int) -> None:
    """A block gives four units of 16 bits, or two normal numbers from 23 bits of each word."""
    units, numbers = [], []
    for row in (3, 4, 5):
        drawn = [words((9, 8), row, block, 13) for block in range(4)]
        units.append([half for pair in drawn for a in pair for half in (a % 2**16, a // 2**16)])
        uniforms = [[(a // 2**9 + 0.5) / 2**23 for a in pair] for pair in drawn]
        numbers.append([g for pair in uniforms for g in box_muller(*pair)])
    key, near = int32(9, 8, 3), pytest.approx
    assert mask_units(key, 3, width).tolist() == [row[:width] for row in units]
    found = normal_units(key, 3, width, np.dtype("float64"))
    assert found.tolist() == [near(row[:width], rel=1e-13) for row in numbers]


def test_masks_are_the_same_bits_on_every_library(xp: Library) -> None:
    key = int32(7, ONES - 3, 5)
    units = to_numpy(mask_units(xp.array(key), 9, 13))
    assert units.dtype == np.int32
    assert np.array_equal(units, mask_units(key, 9, 13))


def test_a_mask_does_not_depend_on_how_the_batch_is_split() -> None:
    whole = mask_units(int32(1, 2, 0), 10, 6)
    assert np.array_equal(whole[7:], mask_units(int32(1, 2, 7), 3, 6))
    assert np.array_equal(whole[:, :3], mask_units(int32(1, 2, 0), 10, 3))


def test_units_are_uniform_over_16_bits() -> None:
    units = mask_units(int32(1, 2, 0), 1000, 500)
    assert units.min() >= 0
    assert units.max() <= 65535
    counts = np.bincount(units.ravel() // 256, minlength=256)
    expected = units.size / 256
    # chi-squared of 255 degrees of freedom: mean 255, standard deviation 22.6; 6 of them
    assert np.sum((counts - expected) ** 2 / expected) < 255 + 6 * 22.6


def test_keys_differ_in_seed_purpose_layer_and_step() -> None:
    keys = [
        tuple(key)
        for seed in (0, 1, 2**32, 2**64 - 1)
        for purpose in Purpose
        for layer in (0, 1)
        for key in step_keys(seed, purpose, layer, range(3)).tolist()
    ]
    assert len(set(keys)) == len(keys) == 4 * len(Purpose) * 2 * 3


def test_a_key_does_not_depend_on_the_range_that_it_is_asked_in() -> None:
    every = step_keys(3, Purpose.UNITS, 1, range(10))
    assert np.array_equal(every[4:6], step_keys(3, Purpose.UNITS, 1, range(4, 6)))
    beyond = step_keys(3, Purpose.UNITS, 1, range(2**32, 2**32 + 1))
    assert not np.array_equal(every[:1], beyond)


def test_draws_are_frozen() -> None:
    """Were these to change, equal seeds would no longer give the networks that they gave."""
    assert [purpose.value for purpose in Purpose] == [0, 1, 2, 3, 4]
    key = step_keys(0, Purpose.WEIGHTS, 1, range(1))[0]
    assert (uniform(key, 3) * 2**24).tolist() == [8074309, 10065554, 13621376]
    assert permutation(key, 8).tolist() == [3, 0, 4, 6, 1, 5, 2, 7]
    assert mask_units(int32(1, 2, 3), 1, 5).tolist() == [[8309, 37385, 50018, 2507, 64494]]


def test_uniform_numbers_are_uniform() -> None:
    u = uniform(int32(1, 2), 100_000)
    assert u.min() >= 0
    assert u.max() < 1
    assert np.array_equal(u.astype(np.float32), u)
    counts = np.bincount((u * 100).astype(int), minlength=100)
    # chi-squared of 99 degrees of freedom: standard deviation 14.1; 6 of them
    assert np.sum((counts - 1000) ** 2 / 1000) < 99 + 6 * 14.1


@pytest.mark.parametrize("where", ["host", "batch"])
def test_normal_numbers_are_normal(where: str) -> None:
    """Moments and products of neighbours are within 6 standard deviations, in 100,000 draws."""
    if where == "host":
        g = normal(int32(1, 2), 100_000)
    else:
        g = normal_units(int32(1, 2, 0), 200, 500, np.dtype("float64")).ravel()
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(np.mean(g**power) - moment) < 6 * np.sqrt(variance / g.size)
    assert abs(np.mean(g[::2] * g[1::2])) < 6 / np.sqrt(g.size / 2)


def test_a_permutation_has_every_number_once() -> None:
    assert sorted(permutation(int32(1, 2), 1000)) == list(range(1000))
    assert permutation(int32(1, 2), 1).tolist() == [0]
    first = [permutation(key, 5)[0] for key in step_keys(0, Purpose.SPLIT, 0, range(1000))]
    counts = np.bincount(first, minlength=5)
    assert np.sum((counts - 200) ** 2 / 200) < 4 + 6 * np.sqrt(8)
