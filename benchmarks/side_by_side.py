"""Run rivals in turn, round by round, and print what may be claimed.

The rule is that of :mod:`aconcur.compare.figures`: a speed is the median of the rounds' ratios, and
it is claimed only if there are nine rounds or more and the 95 % interval excludes 1.
"""

from __future__ import annotations

__all__ = ("Cost", "Rival", "compare", "compare_costs")

import gc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from aconcur.compare.figures import (
    MIN_ROUNDS,
    Spread,
    interval,
    interval_text,
    number_text,
    ratios,
    speed_text,
    spread,
)

Rival: TypeAlias = Callable[[int], object]
"""Does the work as often as its argument says."""


def compare(title: str, rivals: Mapping[str, Rival], *, times: int, rounds: int) -> None:
    """Print a table: µs a time with quartiles, and the speed against the first rival."""
    names = list(rivals)
    took: dict[str, list[float]] = {name: [] for name in names}
    for rival in rivals.values():
        rival(max(times // 10, 1))
    for number in range(rounds):
        # Each round begins with another rival.
        for name in names[number % len(names) :] + names[: number % len(names)]:
            took[name].append(_seconds(rivals[name], times))
    print(f"\n{title}: {rounds} rounds of {times}\n")
    print(f"| {'':28} | µs, median (quartiles) | 95 % interval | against {names[0]} |")
    print("| :--- | ---: | ---: | ---: |")
    for name in names:
        us = spread([seconds / times * 1e6 for seconds in took[name]])
        low, middle, high = map(number_text, (us.low, us.middle, us.high))
        speed = ratios(took[names[0]], took[name])
        claim = "baseline" if name == names[0] else speed_text(speed)
        half = "" if name == names[0] else interval_text(speed)
        print(f"| {name:28} | {middle} ({low} – {high}) | {half} | {claim} |")


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a case."""

    each: Spread
    """The quartiles of the rounds' costs."""
    ratio: Spread
    """The median of the ratios to the first case's costs, and its 95 % interval."""

    @property
    def speed(self) -> str:
        """How many times as fast as the first case, or that no difference may be claimed."""
        low = 1 / self.ratio.low if self.ratio.low else math.inf
        return speed_text(Spread(1 / self.ratio.high, 1 / self.ratio.middle, low))


def compare_costs(
    title: str, cases: Mapping[str, Callable[[], float]], *, unit: str, rounds: int
) -> dict[str, Cost]:
    """Run cases that return their own cost in turn; print and return the costs.

    Args:
        title: the heading of the table.
        cases: functions that run a case once and return its cost; one that raises is left out.
        unit: the unit of these costs.
        rounds: how often each case runs, at least 2; below 9 no difference is claimed.

    Returns:
        The costs of those that did not raise; their ratios are to the first of them.
    """
    names = list(cases)
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        # Each round begins with another case.
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            if name not in found:
                continue
            gc.collect()
            try:
                found[name].append(cases[name]())
            except Exception as error:  # noqa: BLE001 - a peer's failure is a result
                del found[name]
                print(f"  ({name} is left out: {type(error).__name__}: {error})")
    print(f"\n{title}: {unit}, medians of {rounds} (quartiles), ratios to the first line")
    if rounds < MIN_ROUNDS:
        print(f"  of {rounds} rounds no difference is claimed: --rounds {MIN_ROUNDS} or more")
    base = next(iter(found.values()), [])
    compared: dict[str, Cost] = {}
    for name, costs in found.items():
        ratio = interval([cost / of for cost, of in zip(costs, base, strict=True)])
        compared[name] = Cost(spread(costs), ratio)
        print(f"  {name:<42} {_quartiles(compared[name].each)}   {_claim(ratio)}")
    return compared


def _seconds(rival: Rival, times: int) -> float:
    gc.collect()
    began = time.perf_counter()
    rival(times)
    return time.perf_counter() - began


def _claim(ratio: Spread) -> str:
    """Write how many times the first case's cost, or that no difference may be claimed."""
    text = speed_text(ratio)
    return f"× {ratio.middle:.3f} ({interval_text(ratio)})" if text.endswith("×") else text


def _quartiles(found: Spread) -> str:
    return f"{found.middle:8.3f} ({found.low:.3f}–{found.high:.3f})"
