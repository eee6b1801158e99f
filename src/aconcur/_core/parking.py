"""Park a task until it is woken, on asyncio and trio: the cheapest way that each has.

Rule 1: nothing is handed to a parked task but a truth value; who is cancelled can own nothing.
Rule 2: who is woken was not cancelled before; it may be, natively, before it runs.
Rule 3: only its own loop touches a waiter: others, and threads, go through that loop.
Rule 4: trio is touched only where it runs already.
"""

from __future__ import annotations

__all__ = (
    "Bell",
    "Lot",
    "Soon",
    "Waiter",
    "in_trio",
    "new_waiter",
    "park",
    "pause",
    "soon_caller",
    "waiter_maker",
    "wake",
    "wake_on",
)

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Protocol, TypeAlias

from aconcur._core.loops import Loop, current_loop

Soon: TypeAlias = Callable[[Callable[[], object]], object]


class Bell(Protocol):
    """What stands in a lot: the part of :class:`asyncio.Future` that wakes."""

    def done(self) -> bool:
        """Return whether it was woken or cancelled."""

    def cancelled(self) -> bool:
        """Return whether it was cancelled before it was woken."""

    def result(self) -> bool:
        """Return what it was woken with."""

    def set_result(self, result: bool, /) -> object:
        """Wake it."""


class Waiter(Bell, Protocol):
    """One parked task."""

    def __await__(self) -> Generator[Any, Any, bool]:
        """Wait for the result."""


def wake(waiter: Bell, value: bool = True) -> bool:
    """Wake it, on its own loop; return False if it was woken or cancelled before."""
    if waiter.done():
        return False
    waiter.set_result(value)
    return True


def wake_on(loop: Loop, waiter: Bell) -> bool:
    """Wake a waiter of that loop: at once if the loop runs in this thread, else soon, from any.

    Returns:
        False if it is gone, as far as can be told here: it was cancelled, or its loop has ended.
    """
    if loop is current_loop():
        return wake(waiter)
    try:
        _soon(loop)(partial(wake, waiter))
    except RuntimeError:
        return False
    return True


class Lot(deque[Bell]):
    """Parked tasks, the first to come first."""

    __slots__ = ()

    def wake(self, value: bool = True) -> bool:
        """Wake the first that still waits; return whether there was one."""
        while self:
            if wake(self.popleft(), value):
                return True
        return False

    def wake_all(self, value: bool = False) -> None:
        """Wake them all, and none that parks meanwhile."""
        for _ in range(len(self)):
            self.wake(value)

    def leave(self, waiter: Bell) -> bool:
        """Take out a waiter whose task is cancelled.

        Returns:
            Whether it had been woken with True already: what that meant is to be given back.
        """
        if waiter.done() and not waiter.cancelled():
            return waiter.result()
        if waiter in self:
            self.remove(waiter)
        return False


def in_trio() -> bool:
    """Return whether the caller is a task of trio; a task of asyncio otherwise."""
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_task())


def new_waiter() -> Waiter:
    """Return what the running task can await.

    Raises:
        RuntimeError: no event loop runs.
    """
    return waiter_maker()()


async def park(lot: Lot) -> None:
    """Wait in the lot to be woken."""
    waiter = new_waiter()
    lot.append(waiter)
    try:
        await waiter
    finally:
        lot.leave(waiter)


def waiter_maker() -> Callable[[], Waiter]:
    """Return what makes waiters for tasks of the loop that runs here: cheaper where many are made.

    Raises:
        RuntimeError: no event loop runs.
    """
    if in_trio():
        from aconcur._core.trio_parking import TrioWaiter

        return TrioWaiter
    return asyncio.get_running_loop().create_future


async def pause() -> None:
    """Let others run.

    **Cancelled**: raises; nothing else happens here.
    """
    if in_trio():
        from trio.lowlevel import checkpoint

        await checkpoint()
    else:
        await asyncio.sleep(0)


def soon_caller() -> Soon:
    """Return what calls a function soon in the loop that runs here, from any thread.

    It raises RuntimeError when the loop has ended.

    Raises:
        RuntimeError: no event loop runs.
    """
    return _soon(current_loop() or asyncio.get_running_loop())


def _soon(loop: Loop) -> Soon:
    # Of an ended loop asyncio's raises RuntimeError, and trio's RunFinishedError, which is one.
    if isinstance(loop, asyncio.AbstractEventLoop):
        return loop.call_soon_threadsafe
    return loop.run_sync_soon
