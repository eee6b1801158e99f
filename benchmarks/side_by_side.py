"""Run rivals in turn, round by round, and print what may be claimed.

Rule: a speed is the median of per-round ratios; where their middle half straddles 1 there is no
clear difference, and nothing else is said.
"""

from __future__ import annotations

__all__ = ("Rival", "compare")

import gc
import time
from collections.abc import Callable, Mapping
from typing import TypeAlias

from aconcur.compare.figures import number_text, ratios, speed_text, spread

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


def _seconds(rival: Rival, times: int) -> float:
    gc.collect()
    began = time.perf_counter()
    rival(times)
    return time.perf_counter() - began
