"""Limiter beside aiolimiter: ``python -m benchmarks.limiter`` from the project's root."""

from __future__ import annotations

import argparse
import asyncio
import time
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import anyio

from aconcur.pipeline import Limiter
from benchmarks.side_by_side import compare_costs

RATE = 1e9


async def enter(limiter: AbstractAsyncContextManager[Any], size: int) -> float:
    """Return µs for a block that need not wait."""
    start = time.perf_counter()
    for _ in range(size):
        async with limiter:
            pass
    return (time.perf_counter() - start) / size * 1e6


async def of_aiolimiter(size: int) -> float:
    from aiolimiter import AsyncLimiter

    return await enter(AsyncLimiter(RATE, 1), size)


async def of_ours(size: int) -> float:
    return await enter(Limiter(RATE), size)


async def of_ours_concurrency(size: int) -> float:
    return await enter(Limiter(concurrency=5), size)


async def of_anyio(size: int) -> float:
    return await enter(anyio.CapacityLimiter(5), size)


async def of_asyncio(size: int) -> float:
    return await enter(asyncio.Semaphore(5), size)


def main() -> None:
    """Print two tables: a rate, and a number at once."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--size", type=int, default=50_000)
    options = parser.parse_args()
    run = partial(partial, anyio.run)
    compare_costs(
        "a rate, without waits",
        {
            "aiolimiter.AsyncLimiter": run(of_aiolimiter, options.size),
            "Limiter(rate)": run(of_ours, options.size),
        },
        unit="µs a block",
        rounds=options.rounds,
    )
    compare_costs(
        "a number at once, without waits",
        {
            "anyio.CapacityLimiter": run(of_anyio, options.size // 10),
            "asyncio.Semaphore": run(of_asyncio, options.size),
            "Limiter(concurrency=)": run(of_ours_concurrency, options.size),
        },
        unit="µs a block",
        rounds=options.rounds,
    )


if __name__ == "__main__":
    main()
