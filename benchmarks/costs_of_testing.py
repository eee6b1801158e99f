"""What one run costs in each tool of aconcur.testing: ``python -m benchmarks.costs_of_testing``.

Two tasks, or threads, of two steps. Printed is processor time a schedule or a cancel, as medians
over the rounds with their quartiles: it is our own cost, so nothing stands beside it.
"""

from __future__ import annotations

__all__ = ("main",)

import gc
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from statistics import quantiles
from threading import Thread
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from aconcur.testing import cancel_everywhere, explore, explore_threads

TIMES = 300  # schedules a round


async def two_tasks() -> None:
    """Take two steps in each of two tasks."""
    async with anyio.create_task_group() as group:
        group.start_soon(checkpoint)
        group.start_soon(checkpoint)


def two_threads() -> None:
    """Count to 2 in two threads."""
    counts: list[int] = []

    def count() -> None:
        counts.append(len(counts))

    threads = [Thread(target=count) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def of_tasks(backend: Any) -> int:
    found = explore(two_tasks, backend=backend, strategy="random", schedules=TIMES)
    return found.check().schedules


def of_threads(grain: Any) -> int:
    found = explore_threads(two_threads, grain=grain, strategy="random", schedules=TIMES)
    return found.check().schedules


def of_cancels(backend: Any) -> int:
    sweep = cancel_everywhere(two_tasks, backend=backend)
    sweep.check()
    return sweep.cancels


TOOLS: dict[str, Callable[[], int]] = {
    "explore, asyncio": partial(of_tasks, "asyncio"),
    "explore, trio": partial(of_tasks, "trio"),
    "explore_threads, gil": partial(of_threads, "gil"),
    "explore_threads, opcode": partial(of_threads, "opcode"),
    "cancel_everywhere, asyncio": partial(of_cancels, "asyncio"),
    "cancel_everywhere, uvloop": partial(of_cancels, "uvloop"),
    "cancel_everywhere, trio": partial(of_cancels, "trio"),
}


def present() -> dict[str, Callable[[], int]]:
    """Return what can run here; name the others."""
    absent = [name for name in ("trio", "uvloop") if find_spec(name) is None]
    for name in absent:
        print(f"{name}: absent")
    return {tool: run for tool, run in TOOLS.items() if tool.rpartition(" ")[2] not in absent}


def milliseconds(run: Callable[[], int]) -> float:
    """Return the processor time that one schedule or cancel takes."""
    gc.collect()
    start = time.process_time()
    runs = run()
    return (time.process_time() - start) / runs * 1000


def main(rounds: int = 7) -> None:
    """Print a line for each tool and back-end."""
    print(f"Python {platform.python_version()}, {rounds} rounds; ms a run, median (quartiles)")
    tools = present()
    took: dict[str, list[float]] = {name: [] for name in tools}
    for _ in range(rounds):
        for name, run in tools.items():
            took[name].append(milliseconds(run))
    for name, each in took.items():
        low, middle, high = quantiles(each, n=4)
        print(f"  {name:28}{middle:.2f} ({low:.2f}–{high:.2f})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
