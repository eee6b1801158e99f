"""``parallel.map`` over a cluster of Dask's, beside the cluster's own map cut by hand.

``python -m benchmarks.parallel_cluster [--rounds N] [--workers N]``

A scheduler and its workers are started on loopback, one thread each. The last part kills one of the
workers in the middle of a map, and says what became of the items.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from aconcur import parallel
from aconcur.parallel import Cluster, cluster
from benchmarks.parallel_executor import CASES, Items
from benchmarks.side_by_side import Rival, compare

SIZES = (1, 4, 256, 1024, 4096)


@contextmanager
def dask_cluster(workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Start a scheduler and workers; yield the address, and the workers' processes."""
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        there = folder / "scheduler.json"

        def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "dask", *map(str, arguments), "--no-dashboard"]
            process = stack.enter_context(subprocess.Popen(command, **quiet))
            stack.callback(process.kill)
            return process

        here = ("--host", "127.0.0.1", "--scheduler-file", there)
        start("scheduler", *here, "--port", "0")
        own = ("--no-nanny", "--nthreads", "1", "--local-directory", folder)
        processes = [start("worker", *here, *own) for _ in range(workers)]
        address = None
        while address is None:
            time.sleep(0.02)
            with suppress(OSError, ValueError):  # not there yet, or half of it
                address = json.loads(there.read_text())["address"]
        yield address, processes


def in_turn(fn: Callable[[Any], Any], items: Items) -> list[Any]:
    return [fn(item) for item in items]


def by_hand(executor: Cluster, fn: Callable[[Any], Any], items: Items, size: int) -> None:
    """Do what a user of the executor would: cut, submit, gather."""
    parts = [items[at : at + size] for at in range(0, len(items), size)]
    calls = [executor.submit(in_turn, fn, part) for part in parts]
    found = [result for call in calls for result in call.result()]
    assert len(found) == len(items)


def best_size(executor: Cluster, fn: Callable[[Any], Any], items: Items) -> int:
    took: dict[int, float] = {}
    for size in SIZES:
        if len(items) / size > 200 or size > len(items):
            continue
        began = time.perf_counter()
        by_hand(executor, fn, items, size)
        took[size] = time.perf_counter() - began
    return min(took, key=took.__getitem__)


async def mapped(executor: Cluster, fn: Callable[[Any], Any], items: Items) -> None:
    assert len(await parallel.map(fn, items, executor=executor).collect()) == len(items)


def rivals(
    executor: Cluster, fn: Callable[[Any], Any], make: Callable[[int], Items], count: int
) -> dict[str, Rival]:
    size = best_size(executor, fn, make(count))
    return {
        f"by hand, {size} a call": lambda times: by_hand(executor, fn, make(times), size),
        "parallel.map": lambda times: anyio.run(mapped, executor, fn, make(times)),
    }


def nap(number: int) -> int:
    time.sleep(0.01)
    return number


async def bereaved(executor: Cluster, victim: subprocess.Popen[bytes] | None) -> None:
    """Map in order; kill a worker after a quarter."""
    count = 400
    found: list[int] = []
    began = time.perf_counter()
    async for number in parallel.map(nap, range(count), executor=executor):
        found.append(number)
        if victim is not None and len(found) == count // 4:
            victim.send_signal(signal.SIGKILL)
    took = time.perf_counter() - began
    lost, order = count - len({*found}), "kept" if found == sorted(found) else "LOST"
    what = "one of them killed" if victim else "all alive"
    print(f"{count} × 10 ms, {what}: {took:.2f} s, {lost} lost, order {order}")


async def measure(rounds: int, workers: int) -> None:
    with dask_cluster(workers) as (address, processes):
        async with cluster(address, timeout=60) as executor:
            while executor.workers < workers:
                await anyio.sleep(0.05)
            # Fewer than elsewhere: Dask looks for futures in every argument, item by item.
            for case, count in (("book", 60), ("tiny", 40_000)):
                fn, make, _ = CASES[case]
                run = partial(rivals, executor, fn, make, count)
                ways = await anyio.to_thread.run_sync(run)
                table = partial(compare, f"{case}, on {workers} workers", ways)
                await anyio.to_thread.run_sync(partial(table, times=count, rounds=rounds))
            print()
            await bereaved(executor, None)
            await bereaved(executor, processes[0])


def main() -> None:
    """Measure, and print a table a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    anyio.run(measure, chosen.rounds, chosen.workers)


if __name__ == "__main__":
    main()
