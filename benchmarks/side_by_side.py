"""Run rivals in turn, round by round, and print what may be claimed.

Rule: a speed is the median of per-round ratios; where their middle half straddles 1 there is no
clear difference, and nothing else is said.
"""

from __future__ import annotations

__all__ = ("Cost", "Rival", "compare", "compare_costs")

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from aconcur.compare.figures import Spread, number_text, ratios, speed_text, spread

Rival: TypeAlias = Callable[[int], object]
"""Does the work so many times."""


def compare(title: str, rivals: Mapping[str, Rival], *, times: int, rounds: int) -> None:
    """Print a table: µs a time, and the speed against the first of the rivals."""
    names = list(rivals)
    took: dict[str, list[float]] = {name: [] for name in names}
    for rival in rivals.values():
        rival(max(times // 10, 1))
    for number in range(rounds):
        # Each round begins with another rival, so that none is always first.
        for name in names[number % len(names) :] + names[: number % len(names)]:
            took[name].append(_seconds(rivals[name], times))
    print(f"\n{title}: {rounds} rounds of {times}\n")
    print(f"| {'':28} | µs, median (middle half) | speeds, middle half | against {names[0]} |")
    print("| :--- | ---: | ---: | ---: |")
    for name in names:
        us = spread([seconds / times * 1e6 for seconds in took[name]])
        low, middle, high = map(number_text, (us.low, us.middle, us.high))
        speed = ratios(took[names[0]], took[name])
        claim = "baseline" if name == names[0] else speed_text(speed)
        half = "" if name == names[0] else f"{speed.low:.2f} – {speed.high:.2f}"
        print(f"| {name:28} | {middle} ({low} – {high}) | {half} | {claim} |")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a case costs."""

    each: Spread
    """The rounds' costs."""
    ratio: Spread
    """Their ratios to the first case's."""


def compare_costs(
    title: str, cases: Mapping[str, Callable[[], float]], *, unit: str, rounds: int
) -> dict[str, Cost]:
    """Do as :func:`compare`, for cases that tell what they cost; return the costs.

    Args:
        title: what is measured.
        cases: functions that run a case once and return its cost; one that raises is left out.
        unit: of what they return.
        rounds: how often each is run, at least 2.

    Returns:
        The costs of those that did not raise; their ratios are to the first of them.
    """
    names = list(cases)
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        # Each round begins with another case, so that none is always first.
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
    base = next(iter(found.values()), [])
    compared: dict[str, Cost] = {}
    for name, costs in found.items():
        ratio = spread([cost / of for cost, of in zip(costs, base, strict=True)])
        compared[name] = Cost(spread(costs), ratio)
        print(f"  {name:<42} {_quartiles(compared[name].each)}   × {_quartiles(ratio)}")
    return compared


def _seconds(rival: Rival, times: int) -> float:
    gc.collect()
    began = time.perf_counter()
    rival(times)
    return time.perf_counter() - began


def _quartiles(found: Spread) -> str:
    return f"{found.middle:8.3f} ({found.low:.3f}–{found.high:.3f})"
