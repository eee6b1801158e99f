"""What each Python brings to the lessons, measured with its standard library: run it on each.

``python3.15 -m benchmarks.pythons`` prints the rows for one column of docs/pythons.md. It needs no
package, so that it runs on every interpreter that is there. Each figure is a ratio within one
Python, the median of several rounds taken in turn; above 1 is faster than the first of the pair.
"""

from __future__ import annotations

__all__ = ("main",)

import asyncio
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from statistics import median
from typing import Any, Final

ROUNDS: Final = 7
JOBS: Final = 4
LOOPS: Final = 300_000

Probe = Callable[[], object]


def work(loops: int) -> int:
    """Compute in Python code."""
    total = 0
    for number in range(loops):
        total += number * number
    return total


def speeds(probes: Mapping[str, Probe]) -> Iterator[tuple[str, float]]:
    """Run probes in turn; yield the speed of each beside the first."""
    took: dict[str, list[float]] = {name: [] for name in probes}
    for probe in probes.values():
        probe()
    for _ in range(ROUNDS):
        for name, probe in probes.items():
            begin = time.perf_counter()
            probe()
            took[name].append(time.perf_counter() - begin)
    first = next(iter(took.values()))
    for name, seconds in took.items():
        yield name, median(a / b for a, b in zip(first, seconds, strict=True))


def mapped(executor: Executor) -> Probe:
    """Return a probe that maps the work."""
    return lambda: list(executor.map(work, [LOOPS] * JOBS))


def executors(stack: ExitStack) -> dict[str, Probe]:
    """Return the work one after the other, and on each kind of executor with two workers."""
    probes: dict[str, Probe] = {"serial": lambda: [work(LOOPS) for _ in range(JOBS)]}
    probes["threads"] = mapped(stack.enter_context(ThreadPoolExecutor(2)))
    probes["processes"] = mapped(stack.enter_context(ProcessPoolExecutor(2)))
    kind: Any = getattr(futures, "InterpreterPoolExecutor", None)
    if kind is not None:
        probes["interpreters"] = mapped(stack.enter_context(kind(2)))
    return probes


def starts() -> dict[str, Probe]:
    """Return the first call of a new process pool, and of a new pool of interpreters."""

    def first_call(kind: Any) -> Probe:
        def call() -> None:
            with kind(1) as executor:
                executor.submit(int).result()

        return call

    probes = {"process": first_call(ProcessPoolExecutor)}
    kind = getattr(futures, "InterpreterPoolExecutor", None)
    if kind is not None:
        probes["interpreter"] = first_call(kind)
    return probes


async def _many(tasks: int) -> None:
    async def nothing() -> None:
        pass

    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(nothing())


def tasks() -> dict[str, Probe]:
    """Return many tasks that never wait, scheduled and (from 3.12 on) eager."""

    def run(factory: Any) -> Probe:
        async def main() -> None:
            asyncio.get_running_loop().set_task_factory(factory)
            await _many(2000)

        return lambda: asyncio.run(main())

    probes = {"scheduled": run(None)}
    factory = getattr(asyncio, "eager_task_factory", None)
    if factory is not None:
        probes["eager"] = run(factory)
    return probes


def lost_updates(counter: Any, times: int = 200_000, threads: int = 4) -> int:
    """Return how many of all updates of ``counter.count`` by threads without a lock are lost."""

    def add() -> None:
        for _ in range(times):
            counter.count += 1

    several = [threading.Thread(target=add) for _ in range(threads)]
    for thread in several:
        thread.start()
    for thread in several:
        thread.join()
    return times * threads - int(counter.count)


class Plain:
    """A counter with a plain attribute."""

    count = 0


class Checked:
    """A counter whose attribute is a property."""

    def __init__(self) -> None:
        self._count = 0

    @property
    def count(self) -> int:
        """The count."""
        return self._count

    @count.setter
    def count(self, value: int) -> None:
        self._count = value


def import_seconds(statement: str, *options: str) -> float:
    """Return what an import adds to the start of this interpreter, the best of five."""

    def seconds(code: str) -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, *options, "-c", code], check=True)
        return time.perf_counter() - begin

    return min(seconds(statement) for _ in range(5)) - min(seconds("pass") for _ in range(5))


def has(owner: object, name: str) -> str:
    """Return whether an object has an attribute."""
    return "yes" if hasattr(owner, name) else "no"


def main() -> None:
    """Print the rows."""
    print(f"python: {sys.version.split()[0]}, {os.cpu_count()} processors")
    print("37/41 two workers against serial:")
    with ExitStack() as stack:
        print(*(f"  {name} {speed:.2f}" for name, speed in speeds(executors(stack))), sep="\n")
    print("41 start and first call of one worker:")
    print(*(f"  {name} {speed:.2f}" for name, speed in speeds(starts())), sep="\n")
    print("38 lost updates of 800 000:")
    print(f"  plain attribute {lost_updates(Plain())}, property {lost_updates(Checked())}")
    print("40 tasks that never wait:")
    print(*(f"  {name} {speed:.2f}" for name, speed in speeds(tasks())), sep="\n")
    print(f"39 queue.Queue.shutdown: {has(queue.Queue, 'shutdown')}")
    print(f"39 asyncio.Queue.shutdown: {has(asyncio.Queue, 'shutdown')}")
    print(f"37 asyncio.TaskGroup.cancel: {has(asyncio.TaskGroup, 'cancel')}")
    print(f"37 asyncio.print_call_graph: {has(asyncio, 'print_call_graph')}")
    lazily = 1000 * import_seconds("lazy import asyncio") if sys.version_info >= (3, 15) else None
    print(f"import asyncio: {1000 * import_seconds('import asyncio'):.0f} ms", end="")
    print("" if lazily is None else f", lazy {lazily:.1f} ms")


if __name__ == "__main__":
    main()
