"""Bars on a logarithmic scale, as SVG that fits light and dark pages."""

from __future__ import annotations

__all__ = ("Bar", "bar_chart")

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from aconcur.compare.figures import number_text

WIDTH: Final = 720
LEFT: Final = 210
RIGHT: Final = 70
ROW: Final = 24
TOP: Final = 44
STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 15px }
.note { font-size: 11px; fill: #57606a }
.bar { fill: #8c959f }
.ours { fill: #0969da }
.half { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .note { fill: #9198a1 }
  .bar { fill: #656c76 }
  .ours { fill: #4493f8 }
  .half { stroke: #e6edf3 }
}
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar: its name, and the quartiles of what it shows, more than 0."""

    name: str
    low: float
    middle: float
    high: float
    ours: bool = False


def bar_chart(bars: Sequence[Bar], *, title: str, note: str) -> str:
    """Return the picture of the bars, from top to bottom."""
    first = 10 ** math.floor(math.log10(min(bar.low for bar in bars) / 2))
    last = max(bar.high for bar in bars)
    scale = (WIDTH - LEFT - RIGHT) / math.log10(last / first)
    height = TOP + ROW * len(bars) + 26

    def at(value: float) -> float:
        return LEFT + scale * math.log10(value / first)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"',
        f'width="{WIDTH}" height="{height}"><title>{escape(title)}</title>',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="8" y="22">{escape(title)}</text>',
    ]
    for number, bar in enumerate(bars):
        top = TOP + ROW * number
        middle, baseline = top + ROW / 2 - 2, top + ROW / 2 + 2
        name, value = escape(bar.name), number_text(bar.middle)
        shown = "bar ours" if bar.ours else "bar"
        width, end = at(bar.middle) - LEFT, at(bar.high)
        parts += [
            f'<text x="{LEFT - 8}" y="{baseline:.0f}" text-anchor="end">{name}</text>',
            f'<rect class="{shown}" x="{LEFT}" y="{top}" rx="2" height="{ROW - 5}"',
            f'width="{width:.1f}"/>',
            f'<path class="half" d="M{at(bar.low):.1f} {middle:.1f}H{end:.1f}"/>',
            f'<text x="{end + 6:.1f}" y="{baseline:.0f}">{value}</text>',
        ]
    parts.append(f'<text class="note" x="8" y="{height - 8}">{escape(note)}</text></svg>')
    return "\n".join(parts) + "\n"
