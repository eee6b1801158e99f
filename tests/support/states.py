"""Wait for a state that another thread, another process or the kernel brings about."""

from __future__ import annotations

__all__ = ("BOUND", "until", "until_sync")

import time
from collections.abc import Callable

import anyio

# Seconds. Far more than any state here takes, also on a busy machine.
BOUND = 20.0


async def until(reached: Callable[[], object]) -> None:
    """Wait in a task."""
    with anyio.fail_after(BOUND):
        while not reached():
            await anyio.sleep(0.001)


def until_sync(reached: Callable[[], object]) -> None:
    """Wait in a thread."""
    end = time.monotonic() + BOUND
    while not reached():
        assert time.monotonic() < end, "the state was never reached"
        time.sleep(0.001)
