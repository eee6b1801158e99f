"""A blocking call in a coroutine: the fault.

Each call stops the event loop, and with it all other tasks.
"""

from __future__ import annotations

__all__ = ("log_in", "run")

import asyncio

from aconcur.lessons.alone import alone
from aconcur.lessons.item78_responsive.work import (
    digest,
    passwords,
)


async def log_in(password: str) -> str:  # noqa: ASYNC124
    """Return the hash of a password."""
    return digest(password)


async def run(inputs: list[str]) -> list[str]:
    """Log all users in at once."""
    async with asyncio.TaskGroup() as users:
        found = [
            users.create_task(log_in(password))
            for password in inputs
        ]
    return [task.result() for task in found]


async def main(size: int) -> None:
    """Log some users in."""
    with passwords(size, seed=78) as (inputs,):
        print(f"{len(await run(inputs))} users logged in")


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=40, unit="users"
    ) as size:
        asyncio.run(main(size))
