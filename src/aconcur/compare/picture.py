"""A plot as SVG: all rounds as dots on logarithmic axes, legible on light and dark pages.

SVG is written by hand, not by matplotlib, because only a style sheet inside the file can follow the
reader's colour scheme, and because the same figures then always give the same bytes.
"""

from __future__ import annotations

__all__ = ("picture",)

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from aconcur.compare.document import Plot
from aconcur.compare.figures import number_text, seconds_text, spread

WIDTH: Final = 720
HEIGHT: Final = 320
LEFT: Final = 70
RIGHT: Final = 20
TOP: Final = 64
BOTTOM: Final = 46
# Okabe and Ito's colours, which colour-blind readers can tell apart, as (light, dark).
COLOURS: Final = (
    ("#57606a", "#9198a1"),
    ("#0969da", "#4493f8"),
    ("#d55e00", "#f0883e"),
    ("#007a5a", "#3fb950"),
    ("#a04080", "#db8bc3"),
    ("#8a6d00", "#d4b106"),
)
STYLE: Final = """\
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 15px }
.note { font-size: 11px; fill: #57606a }
.grid { stroke: #d0d7de; stroke-width: 1 }
"""
DARK: Final = """\
text { fill: #e6edf3 }
.note { fill: #9198a1 }
.grid { stroke: #3d444d }
"""


def picture(block: Plot) -> str:
    """Return the plot as an SVG document.

    The x axis is the size, the y axis the time; both are logarithmic. A line joins the medians.
    """
    sizes = list(next(iter(block.series.values())))
    seconds = [t for row in block.series.values() for rounds in row.values() for t in rounds]
    low, high = min(seconds) / 1.2, max(seconds) * 1.2
    across = math.log(sizes[-1] / sizes[0]) or 1.0
    up = math.log(high / low)

    def x(size: float) -> float:
        return LEFT + 20 + (WIDTH - LEFT - RIGHT - 40) * math.log(size / sizes[0]) / across

    def y(time: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * math.log(time / low) / up

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"',
        f'width="{WIDTH}" height="{HEIGHT}"><title>{escape(block.title)}</title>',
        f"<style>{_style(len(block.series))}</style>",
        f'<text class="title" x="8" y="20">{escape(block.title)}</text>',
        *_legend(list(block.series)),
    ]
    for tick in _ticks(low, high):
        parts.append(f'<path class="grid" d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(
            f'<text class="note" x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">'
            f"{seconds_text(tick)}</text>"
        )
    parts += (
        f'<text class="note" x="{x(size):.1f}" y="{HEIGHT - BOTTOM + 18}" '
        f'text-anchor="middle">{number_text(size)}</text>'
        for size in sizes
    )
    parts.append(
        f'<text class="note" x="{WIDTH / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">'
        f"{escape(block.unit)}; each dot is one round</text>"
    )
    for number, row in enumerate(block.series.values()):
        points = " ".join(
            f"{x(size):.1f},{y(spread(times).middle):.1f}" for size, times in row.items()
        )
        parts.append(f'<polyline class="s{number}" points="{points}"/>')
        parts += (
            f'<circle class="s{number}" cx="{x(size):.1f}" cy="{y(time):.1f}" r="2.5"/>'
            for size, times in row.items()
            for time in times
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _style(series: int) -> str:
    def colours(dark: bool) -> Iterator[str]:
        for number in range(series):
            colour = COLOURS[number % len(COLOURS)][dark]
            yield f".s{number} {{ fill: {colour}; stroke: {colour} }}"

    lines = "\n".join(colours(dark=False))
    dark_lines = "\n".join(colours(dark=True))
    return (
        f"\n{STYLE}{lines}\npolyline {{ fill: none !important; stroke-width: 1.5 }}\n"
        f"circle {{ stroke: none !important; fill-opacity: 0.6 }}\n"
        f"@media (prefers-color-scheme: dark) {{\n{DARK}{dark_lines}\n}}\n"
    )


def _legend(names: Sequence[str]) -> Iterator[str]:
    at = 8
    for number, name in enumerate(names):
        yield f'<circle class="s{number}" cx="{at + 4}" cy="40" r="4"/>'
        yield f'<text x="{at + 14}" y="44">{escape(name)}</text>'
        at += 30 + 7 * len(name)


def _ticks(low: float, high: float) -> Iterator[float]:
    """Yield the powers of ten in a range, with 2 and 5 times them if the range is small."""
    steps = (1, 2, 5) if high / low < 100 else (1,)
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for step in steps:
            if low <= (tick := step * 10.0**power) <= high:
                yield tick
