"""How long a stage's calls take: quantiles, at next to no cost.

Rule: where calls are long all of them are measured; where they are short, some. Who measures is
chosen where a worker has just waited, so that what is not measured pays nothing.
"""

from __future__ import annotations

__all__ = ("Histogram", "Latency", "Sampled")

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import frexp, ldexp
from time import perf_counter
from typing import Any, Final, TypeAlias, final

Call: TypeAlias = Callable[[Any], Awaitable[Any]]
# Seconds from which on the 0.5 µs of a measurement do not count.
_LONG: Final = 50e-6
# Calls that a worker measures before it knows whether they are long.
_FIRST: Final = 32
# Of so many spells of short calls, between two waits of a worker, one is measured.
_SPELLS: Final = 128
_STEPS: Final = 8


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds that a stage's calls took, each attempt by itself: to within 6 %.

    Of calls shorter than 50 µs about one in 128 is measured. What was cancelled counts with
    the time that it had.
    """

    p50: float
    """Half of the calls took no longer."""
    p90: float
    """Nine of ten took no longer."""
    p99: float
    """99 of 100 took no longer."""


@final
class Histogram:
    """Counts durations, eight steps to an octave."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts = Counter[int]()

    def add(self, seconds: float, weight: int = 1) -> None:
        """Count one, as that many."""
        mantissa, exponent = frexp(seconds)
        self._counts[exponent * _STEPS + int(mantissa * 2 * _STEPS)] += weight

    def latency(self) -> Latency | None:
        """Return the quantiles; None if there is nothing to tell them from."""
        if not self._counts:
            return None
        return Latency(self._quantile(0.5), self._quantile(0.9), self._quantile(0.99))

    def _quantile(self, share: float) -> float:
        missing = share * self._counts.total()
        for step in sorted(self._counts):
            missing -= self._counts[step]
            if missing <= 0:
                break
        exponent, place = divmod(step - _STEPS, _STEPS)
        return ldexp((place + _STEPS + 0.5) / (2 * _STEPS), exponent)


@final
class Sampled:
    """A worker's call, some of the time measured.

    Args:
        call: what is called.
        histogram: of the stage.
    """

    __slots__ = ("_add", "_call", "_left", "_measured", "_short", "_total", "_weight")

    def __init__(self, call: Call, histogram: Histogram) -> None:
        self._call, self._add = call, histogram.add
        self._left, self._weight = _SPELLS, 1
        self._measured, self._total, self._short = 0, 0.0, False

    def choose(self) -> Call:
        """Return what to call until the worker has waited again."""
        if self._short:
            self._left -= 1
            if self._left:
                return self._call
            self._left, self._weight = _SPELLS, _SPELLS
        return self.measured

    async def measured(self, item: Any) -> Any:  # noqa: ANN401
        """Call, and note how long it takes, whatever comes of it."""
        began = perf_counter()
        try:
            return await self._call(item)
        finally:
            seconds = perf_counter() - began
            self._measured += 1
            self._total += seconds
            self._short = self._measured >= _FIRST and self._total < _LONG * self._measured
            self._add(seconds, self._weight if self._short else 1)
