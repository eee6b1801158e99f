"""Pipeline beside its peers: ``python -m benchmarks.pipeline`` from the project's root.

Peers that are not installed are named and left out: ``pip install 'aconcur[bench]'``.
``--figure benchmarks/pipeline.svg`` draws the README's figure anew.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio

from aconcur.pipeline import THREADS, Pipeline, StageOptions, stage
from benchmarks.bar_chart import Bar, bar_chart
from benchmarks.pipeline_peers import PEERS, same, timed
from benchmarks.side_by_side import Cost, compare_costs

END = object()
BY_HAND = "asyncio.Queue by hand"


def nothing(item: int) -> int:
    return item


def nap(item: int) -> int:
    time.sleep(0.001)
    return item


def three(**options: Any) -> Pipeline[int, int]:
    one: Pipeline[int, int] = stage(same, **options)
    return one | one | one


async def ours(pipeline: Pipeline[int, int], size: int) -> float:
    start = time.perf_counter()
    return timed(start, len(await pipeline.collect(range(size))), size)


async def by_hand(workers: int, buffer: int, size: int) -> float:
    """Workers around asyncio.Queue, as one writes them."""
    queues = [asyncio.Queue[Any](buffer) for _ in range(4)]
    results: list[int] = []

    async def work(source: asyncio.Queue[Any], target: asyncio.Queue[Any], left: list[int]) -> None:
        while (item := await source.get()) is not END:
            await target.put(await same(item))
        left.pop()
        await (source if left else target).put(END)

    async def feed() -> None:
        for item in range(size):
            await queues[0].put(item)
        await queues[0].put(END)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        group.create_task(feed())
        for source, target in pairwise(queues):
            left = [0] * workers
            for _ in range(workers):
                group.create_task(work(source, target, left))
        while (item := await queues[3].get()) is not END:
            results.append(item)
    return timed(start, len(results), size)


async def two_ended(make: Callable[[], tuple[Any, Any]], workers: int, size: int) -> float:
    """The same on channels with two ends: anyio's memory object streams, trio's memory channels."""
    channels = [make() for _ in range(4)]
    results = 0

    async def work(source: Any, target: Any) -> None:
        async with source, target:
            async for item in source:
                await target.send(await same(item))

    async def feed() -> None:
        async with channels[0][0] as target:
            for item in range(size):
                await target.send(item)

    start = time.perf_counter()
    async with anyio.create_task_group() as group:
        group.start_soon(feed)
        for (_, source), (target, _) in pairwise(channels):
            for _ in range(workers):
                group.start_soon(work, source.clone(), target.clone())
            source.close()
            target.close()
        async with channels[3][1] as source:
            async for _ in source:
                results += 1
    return timed(start, results, size)


async def anyio_streams(workers: int, buffer: int, size: int) -> float:
    return await two_ended(lambda: anyio.create_memory_object_stream(buffer), workers, size)


async def trio_channels(workers: int, buffer: int, size: int) -> float:
    import trio

    return await two_ended(lambda: trio.open_memory_channel(buffer), workers, size)


def raw_threads(function: Callable[[int], int], workers: int, size: int) -> float:
    """Threads between two queues: the least that it can cost."""
    todo, done = queue.SimpleQueue[Any](), queue.SimpleQueue[int]()

    def work() -> None:
        while (item := todo.get()) is not END:
            done.put(function(item))

    start = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for item in [*range(size), *[END] * workers]:
        todo.put(item)
    results = [done.get() for _ in range(size)]
    for thread in threads:
        thread.join()
    return timed(start, len(results), size)


async def to_thread(function: Callable[[int], int], workers: int, size: int) -> float:
    """``asyncio.to_thread`` from as many tasks."""
    items = iter(range(size))
    results = 0

    async def work() -> None:
        nonlocal results
        for item in items:
            await asyncio.to_thread(function, item)
            results += 1

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
    return timed(start, results, size)


def on(backend: str, case: Callable[..., Awaitable[float]], *args: Any) -> Callable[[], float]:
    return partial(anyio.run, case, *args, backend=backend)


def stages(workers: int, buffer: int, size: int) -> dict[str, Callable[[], float]]:
    many: StageOptions = {"workers": workers, "buffer": buffer}
    few = size // 20
    cases = {
        BY_HAND: on("asyncio", by_hand, workers, buffer, size // 4),
        "Pipeline, unordered": on("asyncio", ours, three(**many, ordered=False), size),
        "Pipeline": on("asyncio", ours, three(**many), size),
        "Pipeline, timeout": on("asyncio", ours, three(**many, timeout=5), size),
        "Pipeline, unordered, trio": on("trio", ours, three(**many, ordered=False), size),
        "Pipeline, trio": on("trio", ours, three(**many), size),
        "Pipeline, timeout, trio": on("trio", ours, three(**many, timeout=5), size),
        "trio channels by hand": on("trio", trio_channels, workers, buffer, few),
        "anyio streams by hand": on("asyncio", anyio_streams, workers, buffer, few // 2),
        "anyio streams by hand, trio": on("trio", anyio_streams, workers, buffer, few // 2),
    }
    for name, (needed, peer, share) in PEERS.items():
        if find_spec(needed):
            cases[name] = on("asyncio", peer, workers, buffer, max(1, int(size * share)))
    return cases


def blocking(function: Callable[[int], int], workers: int, size: int, rounds: int) -> None:
    pipeline = stage(function, workers=workers, via=THREADS, ordered=False)
    compare_costs(
        f"a blocking stage: {function.__name__}, {workers} threads",
        {
            "threads by hand": partial(raw_threads, function, workers, size),
            "Pipeline": on("asyncio", ours, pipeline, size),
            "Pipeline, trio": on("trio", ours, pipeline, size),
            "asyncio.to_thread": on("asyncio", to_thread, function, workers, size // 4),
        },
        unit="µs an item",
        rounds=rounds,
    )


def draw(costs: Mapping[str, Cost]) -> str:
    """Return the figure of the README."""
    bars = [
        Bar(name, cost.each.low, cost.each.middle, cost.each.high, ours=name.startswith("Pipeline"))
        for name, cost in costs.items()
    ]
    python = ".".join(platform.python_version_tuple()[:2])
    return bar_chart(
        sorted(bars, key=lambda bar: bar.middle),
        title="Three stages that do nothing, 8 workers each: µs an item",
        note=f"Shorter is better; logarithmic. Lines: the middle half. CPython {python}",
    )


def main() -> None:
    """Print tables: three stages of no work; a stage of blocking calls."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--figure", type=Path, help="write the first table as SVG to this path")
    options = parser.parse_args()
    size, rounds = options.size, options.rounds
    absent = sorted({needed for needed, *_ in PEERS.values() if not find_spec(needed)})
    print(f"absent: {', '.join(absent)}" if absent else "all peers are here")
    unit = "µs an item"
    title = "three stages of no work, 8 workers, buffer 64"
    costs = compare_costs(title, stages(8, 64, size), unit=unit, rounds=rounds)
    if options.figure is not None:
        options.figure.write_text(draw(costs), encoding="utf-8")
    title = "three stages of no work, 1 worker, buffer 16"
    compare_costs(title, stages(1, 16, size), unit=unit, rounds=rounds)
    blocking(nothing, 16, size // 10, rounds)
    blocking(nap, 16, size // 50, rounds)
    blocking(nap, 64, size // 20, rounds)


if __name__ == "__main__":
    main()
