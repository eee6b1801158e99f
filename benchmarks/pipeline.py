"""Pipeline beside its peers: ``python -m benchmarks.pipeline`` from the project's root.

Peers that are not installed are left out: ``pip install 'aconcur[bench]'``.
"""

from __future__ import annotations

import argparse
import asyncio
import queue
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import anyio

from aconcur.pipeline import THREADS, Pipeline, StageOptions, stage
from benchmarks.side_by_side import compare_costs

END = object()


async def same(item: int) -> int:
    return item


def nothing(item: int) -> int:
    return item


def nap(item: int) -> int:
    time.sleep(0.001)
    return item


def timed(start: float, results: int, size: int) -> float:
    """Return µs an item; all must have come."""
    assert results == size, f"{results} of {size}"
    return (time.perf_counter() - start) / size * 1e6


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


async def trio_channels(workers: int, buffer: int, size: int) -> float:
    import trio

    channels = [trio.open_memory_channel[int](buffer) for _ in range(4)]
    results = 0

    async def work(
        source: trio.MemoryReceiveChannel[int], target: trio.MemorySendChannel[int]
    ) -> None:
        async with source, target:
            async for item in source:
                await target.send(await same(item))

    async def feed() -> None:
        async with channels[0][0] as target:
            for item in range(size):
                await target.send(item)

    start = time.perf_counter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed)
        for (_, source), (target, _) in pairwise(channels):
            for _ in range(workers):
                nursery.start_soon(work, source.clone(), target.clone())
            source.close()
            target.close()
        async with channels[3][1] as source:
            async for _ in source:
                results += 1
    return timed(start, results, size)


async def streamable(workers: int, size: int, *, as_completed: bool) -> float:
    peer = import_module("streamable")
    start = time.perf_counter()
    items = peer.stream(range(size))
    for _ in range(3):
        items = items.map(same, concurrency=workers, as_completed=as_completed)
    return timed(start, len([item async for item in items]), size)


async def aiostream(workers: int, size: int) -> float:
    peer = import_module("aiostream")
    start = time.perf_counter()
    items = peer.stream.range(size)
    for _ in range(3):
        items |= peer.pipe.map(same, ordered=True, task_limit=workers)
    async with items.stream() as results:
        return timed(start, len([item async for item in results]), size)


async def pypeln(workers: int, buffer: int, size: int) -> float:
    peer = import_module("pypeln").task
    start = time.perf_counter()
    items: Any = range(size)
    for _ in range(3):
        items = peer.map(same, items, workers=workers, maxsize=buffer)
    return timed(start, len([item async for item in items]), size)


async def pyper(workers: int, buffer: int, size: int) -> float:
    task = import_module("pyper").task

    async def source(size: int) -> Any:
        for item in range(size):
            yield item

    start = time.perf_counter()
    items = task(source, branch=True, throttle=buffer)
    for _ in range(3):
        items |= task(same, workers=workers, throttle=buffer)
    return timed(start, len([item async for item in items(size)]), size)


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
        "asyncio.Queue by hand": on("asyncio", by_hand, workers, buffer, size // 4),
        "Pipeline, unordered": on("asyncio", ours, three(**many, ordered=False), size),
        "Pipeline, ordered": on("asyncio", ours, three(**many), size),
        "Pipeline, ordered, timeout": on("asyncio", ours, three(**many, timeout=5), size),
        "Pipeline, unordered, trio": on("trio", ours, three(**many, ordered=False), size),
        "Pipeline, ordered, trio": on("trio", ours, three(**many), size),
        "trio channels by hand": on("trio", trio_channels, workers, buffer, few),
    }
    peers: dict[str, Callable[..., Awaitable[float]]] = {
        "streamable, ordered": partial(streamable, as_completed=False),
        "streamable, as completed": partial(streamable, as_completed=True),
        "aiostream, ordered": aiostream,
    }
    for name, peer in peers.items():
        if find_spec(name.partition(",")[0]):
            cases[name] = on("asyncio", peer, workers, few)
    for name, buffered in (("pypeln", pypeln), ("pyper", pyper)):
        if find_spec(name):
            cases[name] = on("asyncio", buffered, workers, buffer, few)
    return cases


def main() -> None:
    """Print tables: three stages of no work; a stage of blocking calls."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=100_000)
    options = parser.parse_args()
    size, rounds = options.size, options.rounds
    for workers, buffer in ((8, 64), (1, 16)):
        title = f"three stages of no work, {workers} workers, buffer {buffer}"
        compare_costs(title, stages(workers, buffer, size), unit="µs an item", rounds=rounds)
    for function, workers, count in (
        (nothing, 16, size // 10),
        (nap, 16, size // 50),
        (nap, 64, size // 20),
    ):
        pipeline = stage(function, workers=workers, via=THREADS, ordered=False)
        compare_costs(
            f"a blocking stage: {function.__name__}, {workers} threads",
            {
                "threads by hand": partial(raw_threads, function, workers, count),
                "Pipeline": on("asyncio", ours, pipeline, count),
                "Pipeline, trio": on("trio", ours, pipeline, count),
                "asyncio.to_thread": on("asyncio", to_thread, function, workers, count // 4),
            },
            unit="µs an item",
            rounds=rounds,
        )


if __name__ == "__main__":
    main()
