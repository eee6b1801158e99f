"""Which explorer finds the published faults of ``models`` and ``timeouts``, and how fast.

    python -m benchmarks.explore [SECONDS]

Each explorer gets as much time for each model (5 s by default), and its own default options
otherwise: what its user would do first. The peers take a scenario and a seed, and get 300 seeds. A
mended twin that fails is a false alarm. Peers that are not installed are named: ``pip install
simloop simloom``; both ask for Python 3.12. ``python -m benchmarks.explore.rates`` compares speed.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import NamedTuple

from aconcur.testing import explore
from benchmarks.explore import models, timeouts
from benchmarks.explore.models import Model

MODELS = models.MODELS | timeouts.TIMEOUTS
REFERENCES = models.REFERENCES | timeouts.REFERENCES

SEEDS = 300


class Outcome(NamedTuple):
    """Whether an explorer saw a failure, after how many schedules and seconds."""

    failed: bool
    schedules: int
    seconds: float


def ours(model: Model, mended: bool, seconds: float) -> Outcome:
    start = time.perf_counter()
    found = explore(partial(model, mended), seconds=seconds if mended else None)
    taken = time.perf_counter() - start
    return Outcome(not found.ok, found.schedules, taken)


def with_simloop(model: Model, mended: bool, seconds: float) -> Outcome:
    import simloop

    def run(seed: int) -> None:
        if simloop.explore(partial(model, mended), [seed]) is not None:
            raise AssertionError

    return _seeds(run, seconds)


def with_simloom(model: Model, mended: bool, seconds: float) -> Outcome:
    import simloom

    return _seeds(lambda seed: simloom.run(partial(model, mended), seed=seed), seconds)


def _seeds(run: Callable[[int], object], seconds: float) -> Outcome:
    start = time.perf_counter()
    for seed in range(SEEDS):
        try:
            run(seed)
        except Exception:  # noqa: BLE001 - any failure is a find
            return Outcome(True, seed + 1, time.perf_counter() - start)
        if time.perf_counter() - start > seconds:
            return Outcome(False, seed + 1, time.perf_counter() - start)
    return Outcome(False, SEEDS, time.perf_counter() - start)


EXPLORERS = {"aconcur": ours, "simloop": with_simloop, "simloom": with_simloom}


def main(seconds: float = 5.0) -> int:
    """Print a line for each model, and a summary; return 1 if ours missed or blamed one."""
    present = {name: run for name, run in EXPLORERS.items() if name == "aconcur" or find_spec(name)}
    absent = ", ".join(EXPLORERS.keys() - present.keys())
    print(f"Python {platform.python_version()}; {len(MODELS)} models, {seconds:g} s each")
    if absent:
        print(f"not installed: {absent}")
    found: dict[str, list[Outcome]] = {name: [] for name in present}
    alarms: dict[str, list[str]] = {name: [] for name in present}
    for name, model in MODELS.items():
        cells = []
        for explorer, run in present.items():
            outcome = run(model, False, seconds)
            found[explorer].append(outcome)
            if run(model, True, seconds).failed:
                alarms[explorer].append(name)
            text = f"{outcome.schedules:5} in {outcome.seconds:5.2f} s"
            cells.append(text if outcome.failed else f"{'-':>15}")
        print(f"{name:36}{'  '.join(cells)}  {REFERENCES[name]}", flush=True)
    for explorer, outcomes in found.items():
        hits = [outcome for outcome in outcomes if outcome.failed]
        print(
            f"{explorer}: {len(hits)} of {len(outcomes)} found, median "
            f"{median(hit.schedules for hit in hits):g} schedules, "
            f"{sum(hit.seconds for hit in hits):.2f} s in all; "
            f"false alarms: {', '.join(alarms[explorer]) or 'none'}"
        )
    missed = not all(outcome.failed for outcome in found["aconcur"])
    return int(missed or bool(alarms["aconcur"]))


if __name__ == "__main__":
    sys.exit(main(*map(float, sys.argv[1:])))
