"""Wait for a state that another thread, another process or the kernel brings about."""

from __future__ import annotations

__all__ = ("BOUND", "until", "until_sync")

import time
from collections.abc import Callable

import anyio

# In seconds: what nothing here takes unless it hangs, also on a machine with much else to do.
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
