"""Turn raw rounds into what may be claimed.

Rule: a speed is the median of per-round ratios, shown with their middle half; when that half
straddles 1 there is no clear difference, and nothing else is said.
"""

from __future__ import annotations

__all__ = ("Spread", "bytes_text", "number_text", "ratios", "seconds_text", "speed_text", "spread")

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

NO_DIFFERENCE = "no clear difference"


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle half of some numbers, and their median."""

    low: float
    middle: float
    high: float


def spread(numbers: Sequence[float]) -> Spread:
    """Return the quartiles; one number is its own spread."""
    if len(numbers) == 1:
        return Spread(numbers[0], numbers[0], numbers[0])
    low, middle, high = statistics.quantiles(numbers, n=4, method="inclusive")
    return Spread(low, middle, high)


def ratios(baseline: Sequence[float], times: Sequence[float]) -> Spread:
    """Return how many times as fast as the baseline, round by round."""
    return spread([b / t for b, t in zip(baseline, times, strict=True)])


def speed_text(speed: Spread) -> str:
    """Say a speed, or that there is no clear difference."""
    if speed.low <= 1 <= speed.high:
        return NO_DIFFERENCE
    return f"{number_text(speed.middle)} ×"


def number_text(number: float) -> str:
    """Write a number with two or three significant digits, never in powers of ten."""
    if math.isnan(number):
        return "–"
    size = abs(number)
    if size >= 100 or number == int(number):
        return f"{number:,.0f}".replace(",", " ")
    return f"{number:.1f}" if size >= 10 else f"{number:.2f}" if size >= 0.1 else f"{number:.2g}"


def seconds_text(seconds: float) -> str:
    """Write a duration in the unit that suits it."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def bytes_text(number: int) -> str:
    """Write an amount of memory in MiB."""
    return f"{number / 2**20:.1f} MiB"
