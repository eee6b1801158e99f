"""How late the loop wakes other tasks, before and after."""

from __future__ import annotations

__all__ = ("measured",)

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

from aconcur.lessons.item78_responsive import (
    original,
    rebuilt,
    toolkit,
    work,
)

Run = Callable[[list[str]], Awaitable[object]]
EACH = 0.001


async def late(run: Run, inputs: list[str]) -> list[float]:
    """Run it; return by how many ms each nap was late."""
    naps: list[float] = []

    async def nap() -> None:
        while True:
            due = time.perf_counter() + EACH
            await asyncio.sleep(EACH)
            naps.append(1e3 * (time.perf_counter() - due))

    napping = asyncio.create_task(nap())
    await asyncio.sleep(2 * EACH)
    await run(inputs)
    await asyncio.sleep(2 * EACH)
    napping.cancel()
    return naps


def measured(
    size: int, seed: int
) -> dict[str, dict[str, float]]:
    """Measure lateness; count the slow steps named."""
    rows: dict[str, dict[str, float]] = {}
    ways: dict[str, Run] = {
        "blocking call in the loop": original.run,
        "to_thread": rebuilt.run,
        "aconcur": toolkit.run,
    }
    with work.passwords(size, seed) as (inputs,):
        for name, run in ways.items():
            naps = asyncio.run(late(run, inputs))
            slow = asyncio.run(named(run, inputs))
            rows[name] = {
                "median ms": statistics.median(naps),
                "worst ms": max(naps),
                "slow steps named": len(slow),
            }
    return rows


async def named(run: Run, inputs: list[str]) -> list[str]:
    """Return asyncio's complaints about a run."""
    return await rebuilt.blocking_calls(run(inputs))
