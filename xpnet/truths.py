"""Booleans as labels, and the names that files have for them: "False" and "True"."""

from collections.abc import Sequence

import numpy as np

from xpnet.arrays import HostArray

Label = int | str
TRUTHS = {"false": False, "true": True}


def booleans(y: HostArray) -> HostArray:
    """Return an array of objects that are all booleans as one of booleans; all else as it is."""
    if y.dtype.kind == "O" and y.size and all(isinstance(a, bool | np.bool_) for a in y.flat):
        return y.astype(np.bool_)
    return y


def standing_for(y: HostArray, labels: Sequence[Label]) -> HostArray:
    """Return booleans, and their names, as the labels that stand for them; all else as it is.

    Parameters
    ----------
    y : array (n,)
    labels : sequence of int or str
        Of these the names "False" and "True", in any capitals, stand for booleans; and 0 and 1, if
        there are no others.
    """
    numbers = {*labels} == {0, 1}
    standing: dict[bool | None, Label] = {False: 0, True: 1} if numbers else _named(labels)
    if not standing or y.dtype.kind not in "bU":
        return y
    if y.dtype.kind == "b":
        if numbers:
            return y
        return np.where(y, standing.get(True, "True"), standing.get(False, "False"))
    names, place = np.unique(y, return_inverse=True)
    known = {*labels}
    found = [a if a in known else standing.get(TRUTHS.get(a.lower()), a) for a in names.tolist()]
    return np.asarray(found)[place] if len({*map(type, found)}) == 1 else y


def _named(labels: Sequence[Label]) -> dict[bool | None, Label]:
    """Return the labels that are names of booleans, by these."""
    names = [label for label in labels if isinstance(label, str)]
    return {TRUTHS[name.lower()]: name for name in names if name.lower() in TRUTHS}
