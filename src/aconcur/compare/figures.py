"""The one rule by which a difference is claimed, and how figures are written.

The rule
    Two versions run in turn, round by round, and each round gives one ratio. The claim is the
    median of these ratios, and only if its 95 % interval excludes 1. Of fewer than nine rounds
    nothing is claimed.

Why an interval of order statistics
    If two versions are equally fast, each ratio is as likely to be above 1 as below it, whatever
    the distribution of the times. The number of ratios above 1 is then binomial. The interval goes
    from the k-th smallest to the k-th largest ratio, with the largest k that keeps the chance of
    missing the median below 5 % (David and Nagaraja, Order Statistics, 3rd edition, section 7.1).
    With nine rounds k is 2: a difference is claimed if at least eight of the nine ratios lie on one
    side of 1. Two identical versions then get a figure in 3.9 % of all comparisons.

Why nine rounds
    With fewer than six no interval reaches 95 %. With nine a version that is truly 1.2 times as
    fast is found in more than 80 % of all cases at the noise of the recorded rounds (half of the
    records: a standard deviation of the ratio of 8 % or less). ``tests/compare/test_figures.py``
    simulates both rates.

Who uses it
    ``aconcur compare``, COMPARISON.md and everything in ``benchmarks/`` that prints a ratio.
"""

from __future__ import annotations

__all__ = (
    "ERROR_RATE",
    "MIN_ROUNDS",
    "Spread",
    "bytes_text",
    "interval",
    "interval_text",
    "number_text",
    "p99",
    "ratios",
    "seconds_text",
    "speed_text",
    "spread",
)

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

ERROR_RATE: Final = 0.05
"""How often, at most, two identical versions get a figure."""
MIN_ROUNDS: Final = 9
"""The fewest rounds of which a difference is claimed."""
MIN_FOR_P99: Final = 1000
NO_DIFFERENCE: Final = "no clear difference"


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, and the lower and upper end of what surrounds it."""

    low: float
    middle: float
    high: float


def spread(numbers: Sequence[float]) -> Spread:
    """Return the quartiles: how widely the numbers lie. A single number is its own spread."""
    if len(numbers) == 1:
        return Spread(numbers[0], numbers[0], numbers[0])
    low, middle, high = statistics.quantiles(numbers, n=4, method="inclusive")
    return Spread(low, middle, high)


def interval(numbers: Sequence[float]) -> Spread:
    """Return the median and its 95 % interval, from 0 to infinity if there are too few numbers."""
    middle = statistics.median(numbers)
    if len(numbers) < MIN_ROUNDS:
        return Spread(0.0, middle, math.inf)
    outside = _outside(len(numbers))
    ordered = sorted(numbers)
    return Spread(ordered[outside - 1], middle, ordered[-outside])


@cache
def _outside(rounds: int) -> int:
    """Return the largest k for which the k-th smallest to the k-th largest covers 95 %."""
    missed = 0.0
    for k in range(rounds):
        missed += 2 * math.comb(rounds, k) / 2**rounds
        if missed > ERROR_RATE:
            return k
    raise AssertionError("unreachable: all terms together are 2")


def ratios(baseline: Sequence[float], times: Sequence[float]) -> Spread:
    """Return how many times as fast as the baseline: the median of the rounds and its interval."""
    return interval([b / t for b, t in zip(baseline, times, strict=True)])


def speed_text(speed: Spread) -> str:
    """Write a speed, or that no difference may be claimed, as of too few rounds."""
    if speed.low <= 1 <= speed.high:
        return NO_DIFFERENCE
    return f"{number_text(speed.middle)} ×"


def interval_text(speed: Spread) -> str:
    """Write both ends of an interval; nothing if there were too few rounds for one."""
    return "" if math.isinf(speed.high) else f"{speed.low:.2f} – {speed.high:.2f}"


def number_text(number: float) -> str:
    """Write a number with two or three significant digits, never in powers of ten."""
    if math.isnan(number):
        return "–"
    size = abs(number)
    if size >= 100 or number == int(number):
        return f"{number:,.0f}".replace(",", " ")
    return f"{number:.1f}" if size >= 10 else f"{number:.2f}" if size >= 0.1 else f"{number:.2g}"


def p99(numbers: Sequence[float]) -> float:
    """Return the 99th percentile, or nan of fewer than 1 000 numbers: it would be the worst few."""
    if len(numbers) < MIN_FOR_P99:
        return math.nan
    return sorted(numbers)[len(numbers) * 99 // 100]


def seconds_text(seconds: float) -> str:
    """Write a duration in the unit that suits it."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def bytes_text(number: int) -> str:
    """Write an amount of memory in MiB."""
    return f"{number / 2**20:.1f} MiB"
