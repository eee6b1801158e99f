"""The race for the explorer: two tasks, one counter.

``aconcur race`` runs each under every order of wake-ups.
"""

from __future__ import annotations

__all__ = ("with_lock", "without_lock")

import asyncio

from aconcur.lessons.item38_lock.rebuilt import (
    AnyCounter,
    Counter,
    LockingCounter,
)


async def sensor() -> int:
    """Take a sample; the other task may run meanwhile."""
    await asyncio.sleep(0)
    return 1


async def two_updates(counter: AnyCounter) -> None:
    """Let two tasks add 1 each, and count them."""
    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(counter.increment(sensor))
    assert counter.count == 2, f"{counter.count} of 2"


async def without_lock() -> None:
    """Lose an update."""
    await two_updates(Counter())


async def with_lock() -> None:
    """Lose none."""
    await two_updates(LockingCounter())
