"""Indices: which element of which array, in numbers and variables that a kernel knows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from xpnet.fast.nodes import Node, Shape


@dataclass(frozen=True)
class Index:
    """A whole number of which variables are known within a kernel: constant + Σ factor · name."""

    constant: int = 0
    terms: tuple[tuple[str, int], ...] = ()

    def __add__(self, other: "Index") -> "Index":
        factors = dict(self.terms)
        for name, factor in other.terms:
            factors[name] = factors.get(name, 0) + factor
        terms = tuple(sorted((name, factor) for name, factor in factors.items() if factor))
        return Index(self.constant + other.constant, terms)

    def times(self, factor: int) -> "Index":
        terms = tuple((name, factor * f) for name, f in self.terms) if factor else ()
        return Index(factor * self.constant, terms)

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.terms}


ZERO = Index()
Split = Callable[[Index, int], tuple[Index, Index]]


def named(name: str) -> Index:
    """The index that a variable is."""
    return Index(0, ((name, 1),))


def flat(index: Sequence[Index], strides: Sequence[int], offset: int = 0) -> Index:
    """The place in memory of an element."""
    place = Index(offset)
    for i, stride in zip(index, strides, strict=True):
        place = place + i.times(stride)
    return place


def c_strides(shape: Shape) -> tuple[int, ...]:
    """The strides, in elements, of an array whose last axis runs along memory."""
    strides = [1]
    for size in shape[:0:-1]:
        strides.append(strides[-1] * max(size, 1))
    return tuple(reversed(strides[: len(shape)]))


@cache
def layout(view: Node) -> tuple[int, tuple[int, ...]]:
    """Where in its base, counted in elements, a view begins, and its strides."""
    base = np.empty(view.arguments[0].shape, np.int8)  # takes no memory until it is touched
    seen = view.function(base)
    start = seen.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    return start, seen.strides


def base_index(view: Node, index: Sequence[Index], split: Split) -> tuple[Index, ...]:
    """The index in its base of an element of a view."""
    offset, strides = layout(view)
    place, found = flat(index, strides, offset), list[Index]()
    shape = view.arguments[0].shape
    for size in shape[:0:-1]:
        place, rest = split(place, size)
        found.append(rest)
    return (*([place] if shape else []), *reversed(found))


def divide(place: Index, size: int, bounds: Mapping[str, int]) -> tuple[Index, Index, bool]:
    """place as quotient · size + rest; and whether the rest is known to be below size.

    `bounds` has what variables are below; none of them is negative.
    """
    if size == 1:
        return place, ZERO, True
    q, r = divmod(place.constant, size) if place.constant >= 0 else (0, place.constant)
    whole = [(name, factor) for name, factor in place.terms if factor % size == 0]
    rest = Index(r, tuple(term for term in place.terms if term not in whole))
    known = all(name in bounds for name in rest.names)
    reach = [factor * (bounds.get(name, 1) - 1) for name, factor in rest.terms]
    rises = known or all(factor > 0 for _, factor in rest.terms)
    if not rises or r + sum(min(a, 0) for a in reach) < 0:
        return ZERO, place, False  # C rounds towards 0; of the place as a whole it does not matter
    fits = known and r + sum(max(a, 0) for a in reach) < size
    return Index(q, tuple((name, factor // size) for name, factor in whole)), rest, fits
