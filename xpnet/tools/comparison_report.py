"""Comparisons of derivatives for a reader, as a table and a verdict; and for a machine."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnet.tools.comparison import Comparison, angle

SHOWN = 3  # wrong entries of an array that are printed


def summary(title: str, comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """What `table` and `verdict` say, for a machine; NaN and infinity as None."""
    arrays = [
        {
            "name": c.name,
            "shape": list(c.formula.shape),
            "tested": c.tested,
            "wrong": len(c.wrong),
            "error": _finite(c.error),
            "at": list(c.worst),
            "formula": _finite(c.formula[c.worst]),
            "true": _finite(c.reference[c.worst]),
            "angle": _finite(c.angle),
        }
        for c in comparisons
    ]
    return {"title": title, "right": not any(c.wrong for c in comparisons), "arrays": arrays}


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def table(comparisons: Sequence[Comparison]) -> str:
    """A line for each array, in at most 80 columns, and below the elements that are wrong."""
    lines = [
        f"{'array':<12} {'shape':>10} {'wrong':>9} {'error':>7} "
        f"{'at':>9} {'formula':>10} {'true':>10} {'angle':>6}"
    ]
    wrong = []
    for c in comparisons:
        shape = " x ".join(map(str, c.formula.shape))
        if not c.tested:
            lines.append(f"{c.name:<12} {shape:>10} not tested: all its derivatives are 0")
            continue
        degrees = f"{c.angle:.1f}°" if np.isfinite(c.angle) else "-"
        lines.append(
            f"{c.name:<12} {shape:>10} {f'{len(c.wrong)}/{c.formula.size}':>9} {c.error:7.0e} "
            f"{_index(c.worst):>9} {c.formula[c.worst]:10.3e} {c.reference[c.worst]:10.3e} "
            f"{degrees:>6}"
        )
        for place in c.wrong[:SHOWN]:
            formula, true = c.formula[place], c.reference[place]
            wrong.append(
                f"  wrong: {c.name}[{_index(place)}] = {formula:.4g}, right: {true:.4g}, "
                f"off by {formula - true:.4g}"
            )
        if len(c.wrong) > SHOWN:
            wrong.append(f"  and {len(c.wrong) - SHOWN} more of {c.name}")
    return "\n".join(lines + wrong)


def verdict(comparisons: Sequence[Comparison]) -> str:
    """Right or wrong, in a line."""
    bad = [c for c in comparisons if c.wrong]
    tested = [c for c in comparisons if c.tested]
    told = []
    if bad:
        names = [c.name + " (the formula gives only zeros)" * c.only_zeros for c in bad]
        told += [f"wrong: {', '.join(names)}", *_all_together(comparisons)]
    elif tested:
        worst = max(tested, key=lambda c: c.error)
        told += [
            f"right: the largest relative error is {worst.error:.1e}, in {worst.name} "
            f"({worst.tolerance:.0e} would pass)"
        ]
    untested = [c.name for c in comparisons if not c.tested]
    if untested:
        told += [
            f"not tested: {', '.join(untested)} (all {'their' if untested[1:] else 'its'} "
            "derivatives are 0 here; try another --seed, or other values)"
        ]
    return "; ".join(told)


def _all_together(comparisons: Sequence[Comparison]) -> list[str]:
    """How far off the direction and the length are; nothing if there is none."""
    formulas, references = (
        np.concat([np.ravel(a) for a in arrays])
        for arrays in zip(*((c.formula, c.reference) for c in comparisons), strict=True)
    )
    degrees = angle(formulas, references)
    if not np.isfinite(degrees):
        return []
    ratio = np.linalg.norm(formulas) / np.linalg.norm(references)
    return [
        f"all together the direction is off by {degrees:.1f}°, "
        f"and its length is {ratio:.3g} of the right one"
    ]


def _index(place: tuple[int, ...]) -> str:
    return ", ".join(map(str, place))
