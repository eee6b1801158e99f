"""Three stages of no work, as the peers of Pipeline have them."""

from __future__ import annotations

__all__ = ("PEERS", "same", "timed")

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from importlib import import_module
from typing import Any, Final


async def same(item: int) -> int:
    return item


def timed(start: float, results: int, size: int) -> float:
    """Return µs an item; all must have come."""
    assert results == size, f"{results} of {size}"
    return (time.perf_counter() - start) / size * 1e6


async def streamable(workers: int, _: int, size: int, *, as_completed: bool) -> float:
    peer = import_module("streamable")
    start = time.perf_counter()
    items = peer.stream(range(size))
    for _ in range(3):
        items = items.map(same, concurrency=workers, as_completed=as_completed)
    return timed(start, len([item async for item in items]), size)


async def aiostream(workers: int, _: int, size: int) -> float:
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

    async def source(size: int) -> AsyncIterator[int]:
        for item in range(size):
            yield item

    start = time.perf_counter()
    items = task(source, branch=True, throttle=buffer)
    for _ in range(3):
        items |= task(same, workers=workers, throttle=buffer)
    return timed(start, len([item async for item in items(size)]), size)


async def spdl(workers: int, buffer: int, size: int) -> float:
    """It runs its stages in a loop of its own, in a thread; the results are iterated over here."""
    peer = import_module("spdl.pipeline")
    start = time.perf_counter()
    builder = peer.PipelineBuilder().add_source(range(size))
    for _ in range(3):
        builder = builder.pipe(same, concurrency=workers, output_order="input")
    pipeline = builder.add_sink(buffer).build(num_threads=1)
    with pipeline.auto_stop():
        return timed(start, len(list(pipeline)), size)


async def streamz(workers: int, buffer: int, size: int) -> float:
    source = import_module("streamz").Stream(asynchronous=True)
    results: list[int] = []
    items = source
    for _ in range(3):
        items = items.map_async(same, parallelism=workers).buffer(buffer)
    items.sink(results.append)
    start = time.perf_counter()
    for item in range(size):
        await source.emit(item)
    while len(results) < size:
        await asyncio.sleep(0)
    return timed(start, len(results), size)


PEERS: Final[dict[str, tuple[str, Callable[[int, int, int], Awaitable[float]], float]]] = {
    "streamable": ("streamable", partial(streamable, as_completed=False), 1 / 20),
    "streamable, unordered": ("streamable", partial(streamable, as_completed=True), 1 / 20),
    "python-pyper": ("pyper", pyper, 1 / 20),
    "pypeln": ("pypeln", pypeln, 1 / 50),
    "aiostream": ("aiostream", aiostream, 1 / 50),
    "streamz": ("streamz", streamz, 1 / 50),
    "spdl": ("spdl", spdl, 1 / 100),
}
"""By name: the module that it needs, the case, and the share of all items that it gets."""
