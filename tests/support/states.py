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


def until_sync(reached: Callable[[], object], bound: float = BOUND) -> None:
    """Wait in a thread, at most ``bound`` seconds."""
    end = time.monotonic() + bound
    while not reached():
        assert time.monotonic() < end, f"the state was not reached within {bound:g} s"
        time.sleep(0.001)
