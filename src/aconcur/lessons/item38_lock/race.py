"""The race for the explorers: two workers, one counter.

``aconcur race`` runs each under every order of turns.
"""

from __future__ import annotations

__all__ = (
    "tasks_with_lock",
    "tasks_without_lock",
    "threads_checked",
    "threads_with_lock",
    "threads_without_lock",
)

import asyncio
from threading import Thread

from aconcur.lessons.item38_lock import original, rebuilt


async def sensor() -> int:
    """Take a sample; the other task may run meanwhile."""
    await asyncio.sleep(0)
    return 1


async def two_tasks(counter: rebuilt.AnyCounter) -> None:
    """Let two tasks add 1 each, and look at the sum."""
    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(counter.increment(sensor))
    assert counter.count == 2, f"{counter.count} of 2"


async def tasks_without_lock() -> None:
    """Lose an update."""
    await two_tasks(rebuilt.Counter())


async def tasks_with_lock() -> None:
    """Lose none."""
    await two_tasks(rebuilt.LockingCounter())


def two_threads(counter: original.AnyCounter) -> None:
    """Let two threads add 1 each, and look at the sum."""
    threads = [
        Thread(target=counter.increment, args=(1,))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.count == 2, f"{counter.count} of 2"


def threads_without_lock() -> None:
    """Lose an update, where a thread may lose its turn."""
    two_threads(original.Counter())


def threads_checked() -> None:
    """Lose one: a call stands in the update's middle."""
    two_threads(original.CheckedCounter(abs))


def threads_with_lock() -> None:
    """Lose none."""
    two_threads(original.LockingCounter())
