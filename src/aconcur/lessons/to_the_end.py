"""Wait for work that cannot be stopped.

Cancellation reaches neither a child that starts nor a
thread that computes. A task that went on without waiting
would leave it without an owner.
"""

from __future__ import annotations

__all__ = ("to_the_end",)

import asyncio
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def to_the_end(work: asyncio.Future[T]) -> T:
    """Wait for the work, then return or be cancelled.

    `asyncio.shield()` lets the work live but goes on
    without it. This waits, however often it is cancelled.
    """
    try:
        await asyncio.wait([work])
    except asyncio.CancelledError:
        while not work.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # seen, or asyncio logs it
        raise
    return work.result()
