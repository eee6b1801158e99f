"""Schedules a second on small scenarios, beside simloop and frontrun.

    python -m benchmarks.explore [ROUNDS]

Each round runs every explorer once on every scenario, in turn, so that a machine that slows down
slows all of them. Printed are medians over the rounds with their quartiles, and the ratios of the
rounds. A peer that is not installed is named as absent: ``pip install frontrun simloop``; simloop
asks for Python 3.12.
"""

from __future__ import annotations

import asyncio
import gc
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from itertools import count
from statistics import quantiles
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from aconcur.testing import explore

SCHEDULES = 600  # a round: long enough to measure, short enough for many rounds


class Counter:
    """What the tasks of a scenario share."""

    def __init__(self) -> None:
        self.done = 0


async def step(counter: Counter) -> None:
    """Take two steps."""
    await asyncio.sleep(0)
    counter.done += 1


async def on_asyncio(tasks: int) -> None:
    counter = Counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(step(counter))
    assert counter.done == tasks


async def on_anyio(tasks: int) -> None:
    counter = Counter()

    async def one() -> None:
        await checkpoint()
        counter.done += 1

    async with anyio.create_task_group() as group:
        for _ in range(tasks):
            group.start_soon(one)
    assert counter.done == tasks


def ours(backend: Any, tasks: int, library: str = "asyncio") -> int:
    """Explore random schedules, as the peers do; return how many."""
    scenario = partial(on_asyncio if library == "asyncio" else on_anyio, tasks)
    done = explore(scenario, backend=backend, strategy="random", schedules=SCHEDULES).check()
    return done.schedules


def bounded(tasks: int) -> int:
    """Explore every schedule within a bound, again and again."""
    done = 0
    while done < SCHEDULES:
        done += explore(partial(on_asyncio, tasks), schedules=SCHEDULES - done).check().schedules
    return done


def with_simloop(tasks: int) -> int:
    import simloop

    assert simloop.explore(partial(on_asyncio, tasks), range(SCHEDULES // 4)) is None
    return SCHEDULES // 4


def with_frontrun(tasks: int) -> int:
    import frontrun

    async def attempts() -> int:
        found = 0
        for seed in count():
            if found >= SCHEDULES // 2:
                break
            result = await frontrun.explore(
                setup=Counter,
                workers=[step] * tasks,
                invariant=lambda counter: counter.done == tasks,
                strategy="random",
                max_attempts=SCHEDULES // 2,
                seed=seed,
            )
            found += result.num_explored
        return found

    return asyncio.run(attempts())


EXPLORERS: dict[str, Callable[[int], int]] = {
    "aconcur, asyncio": partial(ours, "asyncio"),
    "aconcur, asyncio, bounded": bounded,
    "aconcur, asyncio through anyio": partial(ours, "asyncio", library="anyio"),
    "aconcur, trio through anyio": partial(ours, "trio", library="anyio"),
    "simloop": with_simloop,
    "frontrun, random": with_frontrun,
}
PEERS = ("simloop", "frontrun, random")
REFERENCE = "aconcur, asyncio"


def present() -> dict[str, Callable[[int], int]]:
    """Return the explorers that are installed; name the others."""
    found = dict(EXPLORERS)
    for peer in PEERS:
        if find_spec(peer.partition(",")[0]) is None:
            print(f"{peer}: absent")
            del found[peer]
    return found


def rate(run: Callable[[int], int], tasks: int) -> float:
    """Return schedules a second of processor time: all explorers run in one thread."""
    gc.collect()
    start = time.process_time()
    schedules = run(tasks)
    return schedules / (time.process_time() - start)


def text(values: list[float], form: str) -> str:
    low, middle, high = quantiles(values, n=4)
    return f"{middle:{form}} ({low:{form}}–{high:{form}})"


def main(rounds: int = 7) -> None:
    """Print a table for each number of tasks."""
    print(f"Python {platform.python_version()}, {rounds} rounds, median (quartiles)")
    explorers = present()
    for tasks in (2, 3):
        rates: dict[str, list[float]] = {name: [] for name in explorers}
        for _ in range(rounds):
            for name, run in explorers.items():
                rates[name].append(rate(run, tasks))
        print(f"\n{tasks} tasks of two steps: schedules a second; how much faster ours is")
        for name, found in rates.items():
            ratios = [mine / other for mine, other in zip(rates[REFERENCE], found, strict=True)]
            print(f"  {name:32}{text(found, '6.0f'):24}{text(ratios, '.2f')}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
