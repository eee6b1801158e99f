"""What the event loop feels while other processes compute.

Law: a task asks to be woken every millisecond; how late it
is woken is what any other task of the program would feel.
"""

from __future__ import annotations

__all__ = ("felt",)

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import wait
from contextlib import suppress

from aconcur import parallel
from aconcur.lessons.item41_futures import rebuilt
from aconcur.lessons.item41_futures.costs import (
    pairs_of,
    ready,
)
from aconcur.lessons.item41_futures.pool import (
    WORKERS,
    ProcessPool,
)
from aconcur.lessons.item41_futures.work import Pair, gcd
from aconcur.parallel import Pool, open_pool

Way = Callable[[], Awaitable[object]]
EACH = 0.001


async def lateness(way: Way) -> list[float]:
    """Run it; return how late the loop was, in ms."""
    late: list[float] = []

    async def tick() -> None:
        while True:
            due = time.perf_counter() + EACH
            await asyncio.sleep(EACH)
            late.append(1e3 * (time.perf_counter() - due))

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    try:
        await way()
        # A loop that was kept all along wakes it but now.
        await asyncio.sleep(2 * EACH)
    finally:
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking
    return sorted(late)


def ways(
    pairs: list[Pair], executor: ProcessPool, pool: Pool
) -> Iterator[tuple[str, Way]]:
    """Yield the rows."""

    async def idle() -> None:
        await asyncio.sleep(0.1)

    async def standing_still() -> None:  # noqa: ASYNC124
        chunk = len(pairs) // (4 * WORKERS) + 1
        list(executor.map(gcd, pairs, chunksize=chunk))

    yield "nothing to do", idle
    yield "pool.map in the loop's thread", standing_still
    yield (
        "awaited one by one",
        lambda: rebuilt.mapped(pairs, executor),
    )
    yield (
        "parallel.map over the same pool",
        parallel.map(gcd, pairs, executor=executor).collect,
    )
    yield "aconcur's pool", pool.map(gcd, pairs).collect


def felt(
    size: int, seed: int
) -> dict[str, dict[str, float]]:
    """Measure lateness while `size` calls of 50 µs run."""
    del seed
    return asyncio.run(felt_in(pairs_of(50, size)))


async def felt_in(
    pairs: list[Pair],
) -> dict[str, dict[str, float]]:
    """Measure each way in one loop, with pools ready."""
    rows: dict[str, dict[str, float]] = {}
    with ProcessPool() as executor:
        wait(executor.starting)
        list(executor.map(gcd, [(1, 1)] * 8))
        async with open_pool(WORKERS) as pool:
            await ready(pool)
            for name, way in ways(pairs, executor, pool):
                late = await lateness(way)
                rows[name] = {
                    "ms, median": late[len(late) // 2],
                    "ms, worst": late[-1],
                }
    return rows
