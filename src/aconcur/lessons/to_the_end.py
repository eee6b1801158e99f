"""Wait for what cannot be stopped, however often cancelled.

A child that starts, a thread that computes: cancellation
reaches neither, and who goes on without it leaves it with
no owner.
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
