"""The blocking call found, and moved into a thread."""

from __future__ import annotations

__all__ = ("blocking_calls", "log_in", "run")

import asyncio
import logging
from collections.abc import Awaitable

from aconcur.lessons.alone import alone
from aconcur.lessons.item78_responsive.work import (
    digest,
    passwords,
)

SLOW = 0.003  # seconds that a step of a task may take


async def log_in(password: str) -> str:
    """Return the hash of a password."""
    return await asyncio.to_thread(
        digest, password)  # fmt: skip


async def run(inputs: list[str]) -> list[str]:
    """Log all users in at once.

    **Cancelled**: hashes that run in a thread go on there.
    """
    async with asyncio.TaskGroup() as users:
        found = [
            users.create_task(log_in(password))
            for password in inputs
        ]
    return [task.result() for task in found]


async def blocking_calls(
    work: Awaitable[object],
) -> list[str]:
    """Run the work; return asyncio's complaints about it.

    In debug mode asyncio logs each step of a task that
    takes longer than `slow_callback_duration`.
    """
    found: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    loop = asyncio.get_running_loop()
    logger, keep = logging.getLogger("asyncio"), Keep()
    before = loop.get_debug(), loop.slow_callback_duration
    logger.addHandler(keep)
    loop.set_debug(True)
    loop.slow_callback_duration = SLOW
    try:
        await work
        await asyncio.sleep(0)
    finally:
        loop.set_debug(before[0])
        loop.slow_callback_duration = before[1]
        logger.removeHandler(keep)
    return [line for line in found if "took" in line]


async def main(size: int) -> None:
    """Log some users in; say which steps were slow."""
    with passwords(size, seed=78) as (inputs,):
        slow = await blocking_calls(run(inputs))
        print(f"{size} users, {len(slow)} slow steps")


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=40, unit="users"
    ) as size:
        asyncio.run(main(size))
