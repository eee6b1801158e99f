"""Measure cases in turn, round after round, so that what disturbs one disturbs all."""

from __future__ import annotations

__all__ = ("compare",)

import gc
from collections.abc import Callable, Mapping
from statistics import median, quantiles


def compare(
    title: str, cases: Mapping[str, Callable[[], float]], *, unit: str, rounds: int
) -> dict[str, float]:
    """Run the cases, print them beside each other, and return each one's ratio to the first.

    Args:
        title: what is measured.
        cases: functions that run a case once and return its cost; one that raises is left out.
        unit: of what they return.
        rounds: how often each is run, at least 2.
    """
    found: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            gc.collect()
            try:
                found[name].append(case())
            except Exception as error:  # noqa: BLE001 - a peer's failure is a result
                print(f"  ({name}: {type(error).__name__}: {error})")
    base = next(iter(found.values()))
    print(f"\n{title}: {unit}, medians of {rounds} (quartiles), ratios to the first line")
    ratios: dict[str, float] = {}
    for name, costs in found.items():
        if len(costs) < rounds:
            continue
        each = [cost / of for cost, of in zip(costs, base, strict=True)]
        ratios[name] = median(each)
        print(f"  {name:<42} {_shown(costs)}   × {_shown(each)}")
    return ratios


def _shown(values: list[float]) -> str:
    low, _, high = quantiles(values, method="inclusive")
    return f"{median(values):8.3f} ({low:.3f}–{high:.3f})"
