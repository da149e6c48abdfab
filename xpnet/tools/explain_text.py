"""The numbers of a step as text for a terminal of 80 columns."""

from collections.abc import Sequence
from math import floor, log10
from textwrap import wrap

import numpy as np

from xpnet.arrays import HostArray
from xpnet.layers import Layer
from xpnet.losses import Loss
from xpnet.tools.explain_step import Link, Quantity

WIDTH = 80
MARGIN = 10  # in front of the numbers of an array
ROWS = 7  # of an array that has more, so many are printed
TERMS = 4  # of a sum that has more, so many are printed
SHADES = " .:-=+*#%@"  # from black to white
LEGEND = [
    "y of a layer is x of the next, the last y is z; dx of a layer is dy of the one",
    "before; xᵀ is x transposed; ∘ multiplies element by element.  Of a large array",
    "the part around the chain is printed; [180] is row or column 180, from 0.",
]


def drawing(images: HostArray) -> list[str]:
    """As many images as fit beside one another, in characters; one is as high as two rows."""
    height, width = images.shape[1:]
    fit = images[: max(WIDTH // (width + 2), 1), : height - height % 2, : WIDTH - 2]
    gray = (fit[:, ::2] + fit[:, 1::2]) / max(2 * float(np.max(images)), 1.0)
    marks = np.asarray(list(SHADES))[(gray.clip(0, 1) * (len(SHADES) - 1)).astype(int)]
    return [
        "  ".join("".join(image[row]) for image in marks).rstrip() for row in range(height // 2)
    ]


def arrays(quantities: Sequence[Quantity], layers: Sequence[Layer]) -> list[str]:
    """Every array below a heading for its layer; of a large one the part around the chain."""
    lines, heading = [], ""
    for q in quantities:
        where = "" if q.layer is None else f"  layer {q.layer}, {layers[q.layer]}"
        if heading != (heading := f"{q.part.upper()}{where}"):
            lines += ["", *_wrapped(heading, 0)]
        lines += _block(q)
    return lines


def chain(links: Sequence[Link], loss: Loss) -> list[str]:
    """Each derivative from the loss to the weight: its formula, and the sum in numbers."""
    lines = [f"CHAIN  from the loss to {links[-1].name}, the largest of its array"]
    for link in links:
        where = f"loss, {loss}" if link.layer is None else f"layer {link.layer}"
        lines += _lines(f"  {link.name} = {link.formula}", f"    ({where})")
        total = f"{_sum(link.terms)} = " if link.terms else ""
        lines += _wrapped(f"{total}{number(link.value)}", 6)
    return lines


def number(value: float) -> str:
    """Six digits; 0 without a sign."""
    return f"{value + 0.0:.6g}"


def _sum(terms: Sequence[tuple[float, float]]) -> str:
    """a · b + c · d, of many terms the largest ones."""
    shown = (
        terms if len(terms) <= TERMS else sorted(terms, key=lambda ab: -abs(ab[0] * ab[1]))[:TERMS]
    )
    more = f" + {len(terms) - TERMS} smaller" if len(terms) > TERMS else ""
    return " + ".join(f"{a + 0.0:.4g} · {b + 0.0:.4g}" for a, b in shown) + more


def _lines(start: str, end: str) -> list[str]:
    """One line, or several if it is too long."""
    if len(start + end) <= WIDTH:
        return [start + end]
    return [*_wrapped(start.strip(), 2), *_wrapped(end.strip(), 6)]


def _wrapped(line: str, indent: int) -> list[str]:
    return wrap(
        line, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (indent + 2),
        break_on_hyphens=False,
    )  # fmt: skip


def _block(q: Quantity) -> list[str]:
    """A heading with name, shape and formula, and the numbers around the chain below it."""
    shape = " x ".join(map(str, q.value.shape))
    formula = f" {'←' if q.part == 'update' else '='} {q.formula}" if q.formula else ""
    if not shape:
        return _lines(f"  {q.name}", f"{formula} = {number(float(q.value))}")
    a = q.value.reshape(-1, q.value.shape[-1])
    row = int(np.ravel_multi_index((0, *q.at[:-1]), (1, *q.value.shape[:-1])))
    exponent = _exponent(a)
    a = a / 10.0**exponent + 0.0  # 0 without a sign
    decimals, width = _format(a)
    fits = (WIDTH - MARGIN) // width
    if fits < a.shape[1]:
        width = max(width, len(f"[{a.shape[1]}]") + 1)
        fits = (WIDTH - MARGIN) // width
    rows, columns = _window(len(a), ROWS, row), _window(a.shape[1], fits, q.at[-1])
    axes = (len(rows), len(a), "rows"), (len(columns), a.shape[1], "columns")
    cut = ", ".join(f"{some} of {every} {axis}" for some, every, axis in axes if some < every)
    part = f" ({cut})" if cut else ""
    unit = f"    in units of 1e{exponent}" if exponent else ""
    lines = _lines(f"  {q.name} ({shape}){part}", f"{formula}{unit}")
    if len(columns) < a.shape[1]:
        lines.append(" " * MARGIN + "".join(f"{f'[{c}]':>{width}}" for c in columns))
    for r in rows:
        label = f"[{r}]" if len(rows) < len(a) else ""
        lines.append(
            f"{label:>{MARGIN}}" + "".join(f"{a[r, c]:{width}.{decimals}f}" for c in columns)
        )
    return lines


def _exponent(a: HostArray) -> int:
    """0, or a multiple of 3 that brings the largest number between 1 and 1000."""
    largest = float(np.max(np.abs(a)))
    if largest == 0 or 0.01 <= largest < 10000:
        return 0
    return 3 * floor(log10(largest) / 3)


def _format(a: HostArray) -> tuple[int, int]:
    """Decimals and width of each number: as many decimals as fit, 4 at most, 3 at least."""
    width = WIDTH
    for decimals in (0,) if np.all(a == np.round(a)) else (4, 3):
        width = 1 + max(len(f"{v:.{decimals}f}") for v in (float(np.min(a)), float(np.max(a))))
        if width * a.shape[1] <= WIDTH - MARGIN:
            break
    return decimals, width


def _window(length: int, most: int, place: int) -> range:
    """At most `most` of the numbers from 0 to `length` - 1, with `place` in the middle."""
    start = min(max(place - most // 2, 0), max(length - most, 0))
    return range(start, min(start + most, length))
