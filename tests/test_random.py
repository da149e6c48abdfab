"""The generator: published vectors, the same bits everywhere, sound distributions."""

import numpy as np
import pytest
from helpers import Library

from xpnet.arrays import to_numpy
from xpnet.random import (
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
    key = step_keys(0, Purpose.WEIGHTS, 1, range(1))[0]
    assert (uniform(key, 3) * 2**24).tolist() == [8074309, 10065554, 13621376]
    assert permutation(key, 8).tolist() == [3, 0, 4, 6, 1, 5, 2, 7]


def test_uniform_numbers_are_uniform() -> None:
    u = uniform(int32(1, 2), 100_000)
    assert u.min() >= 0
    assert u.max() < 1
    assert np.array_equal(u.astype(np.float32), u)
    counts = np.bincount((u * 100).astype(int), minlength=100)
    # chi-squared of 99 degrees of freedom: standard deviation 14.1; 6 of them
    assert np.sum((counts - 1000) ** 2 / 1000) < 99 + 6 * 14.1


def test_normal_numbers_are_normal() -> None:
    """Moments within 6 standard deviations of 100,000 draws."""
    g, n = normal(int32(1, 2), 100_000), 100_000
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(np.mean(g**power) - moment) < 6 * np.sqrt(variance / n)


def test_a_permutation_has_every_number_once() -> None:
    assert sorted(permutation(int32(1, 2), 1000)) == list(range(1000))
    assert permutation(int32(1, 2), 1).tolist() == [0]
    first = [permutation(key, 5)[0] for key in step_keys(0, Purpose.SPLIT, 0, range(5000))]
    counts = np.bincount(first, minlength=5)
    assert np.sum((counts - 1000) ** 2 / 1000) < 4 + 6 * np.sqrt(8)


def test_a_permutation_of_equal_numbers_is_stable(monkeypatch: pytest.MonkeyPatch) -> None:
    low = np.arange(1000, dtype=np.int32) % 3
    monkeypatch.setattr("xpnet.random._counted", lambda key, n: (np.zeros_like(low), low))
    expected = [*range(0, 1000, 3), *range(1, 1000, 3), *range(2, 1000, 3)]
    assert permutation(int32(1, 2), 1000).tolist() == expected


def test_masks_normal_draws_and_purposes_are_frozen() -> None:
    assert mask_units(int32(1, 2, 3), 1, 5).tolist() == [[8309, 37385, 50018, 2507, 64494]]
    expected = [-1.8799731808206679, -0.22600856665795235]
    assert normal(int32(1, 2), 2).tolist() == pytest.approx(expected, rel=1e-12)
    u = ((8309 | 37385 << 16) >> 9) * 2.0**-23 + 2.0**-24  # two halves of a word of the mask
    v = ((50018 | 2507 << 16) >> 9) * 2.0**-23 + 2.0**-24
    pair = [np.sqrt(-2 * np.log(u)) * f(2 * np.pi * v) for f in (np.cos, np.sin)]
    units = normal_units(int32(1, 2, 3), 1, 2, np.dtype("float64"))
    assert units[0].tolist() == pytest.approx(pair, rel=1e-14)
    assert [purpose.value for purpose in Purpose] == [0, 1, 2, 3, 4]
