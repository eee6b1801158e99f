"""A queue of suspended tasks, on asyncio and trio, at the lowest cost that each allows.

The states of a waiter
    *waiting* → *woken* (with True or False) or → *cancelled*. Both end states are final.

Invariants
    1. Waking carries a truth value and nothing else. A cancelled task therefore never owns an item
       that would have to be given back.
    2. Only a waiter that was not cancelled can be woken. On asyncio ``Task.cancel()`` may still
       strike between the wake-up and the task's next step; ``WaitQueue.leave`` tells the caller,
       who then passes the wake-up on.
    3. A waiter is touched only in the thread of its own event loop. Everyone else goes through
       ``call_soon_threadsafe`` (asyncio) or ``run_sync_soon`` (trio): see ``wake_on``.
    4. ``trio`` is imported only where trio already runs.

Who calls whom
    Queue, stage, pool and lock code appends a waiter to a ``WaitQueue``, awaits it, and calls
    ``leave`` when the wait was cancelled. The side that makes progress calls ``wake``.

Why not ``asyncio.Event``, ``anyio.Event`` or ``trio.ParkingLot``
    An event wakes everyone, and each then has to look again. anyio's primitives cost 5 to 10 µs a
    wait, a bare future about 1 µs (``python -m benchmarks.queue``). trio has no future that can be
    woken before it is awaited: ``TrioWaiter`` is one, made of ``wait_task_rescheduled``.
"""

from __future__ import annotations

__all__ = (
    "CallSoon",
    "WaitQueue",
    "Waiter",
    "Wakeable",
    "get_call_soon_threadsafe",
    "in_trio",
    "make_waiter",
    "wait_in",
    "waiter_factory",
    "wake",
    "wake_on",
    "yield_to_others",
)

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Protocol, TypeAlias

from aconcur._core.loops import Loop, current_loop

CallSoon: TypeAlias = Callable[[Callable[[], object]], object]
"""Schedules a call on one event loop, from any thread."""


class Wakeable(Protocol):
    """What a wait queue holds: the part of :class:`asyncio.Future` that wakes a task."""

    def done(self) -> bool:
        """Return whether it was woken or cancelled."""

    def cancelled(self) -> bool:
        """Return whether it was cancelled before it was woken."""

    def result(self) -> bool:
        """Return the value that it was woken with."""

    def set_result(self, result: bool, /) -> object:
        """Wake the task."""


class Waiter(Wakeable, Protocol):
    """One suspended task."""

    def __await__(self) -> Generator[Any, Any, bool]:
        """Wait for the result."""


def wake(waiter: Wakeable, value: bool = True) -> bool:
    """Wake a task on its own loop; return False if it was already woken or cancelled."""
    if waiter.done():
        return False
    waiter.set_result(value)
    return True


def wake_on(loop: Loop, waiter: Wakeable) -> bool:
    """Wake a task of the given loop, from any thread.

    If that loop runs in this thread the task is woken at once, otherwise at the loop's next turn.

    Returns:
        False if the waiter is known to be gone: it was cancelled, or its loop has ended.
    """
    if loop is current_loop():
        return wake(waiter)
    try:
        _call_soon_of(loop)(partial(wake, waiter))
    except RuntimeError:
        return False
    return True


class WaitQueue(deque[Wakeable]):
    """Suspended tasks, first in, first out."""

    __slots__ = ()

    def wake(self, value: bool = True) -> bool:
        """Wake the first task that still waits; return whether there was one."""
        while self:
            if not (waiter := self.popleft()).done():
                waiter.set_result(value)
                return True
        return False

    def wake_all(self, value: bool = False) -> None:
        """Wake every task that waits now, but none that joins meanwhile."""
        for _ in range(len(self)):
            self.wake(value)

    def leave(self, waiter: Wakeable) -> bool:
        """Remove a waiter whose task is cancelled.

        Returns:
            Whether it had already been woken with True. The caller must then pass that wake-up on.
        """
        if waiter.done() and not waiter.cancelled():
            return waiter.result()
        if waiter in self:
            self.remove(waiter)
        return False


def in_trio() -> bool:
    """Return True if the caller is a trio task, False if it is an asyncio task."""
    trio = sys.modules.get("trio")
    # Another thread may be half-way through importing trio: then no trio loop runs here yet.
    lowlevel = getattr(trio, "lowlevel", None)
    in_trio_task = getattr(lowlevel, "in_trio_task", None)
    return in_trio_task is not None and bool(in_trio_task())


def make_waiter() -> Waiter:
    """Return an object that the running task can await.

    Raises:
        RuntimeError: no event loop runs.
    """
    return waiter_factory()()


async def wait_in(queue: WaitQueue) -> None:
    """Join the queue and wait to be woken.

    **Cancelled**: the queue is left.
    """
    waiter = make_waiter()
    queue.append(waiter)
    try:
        await waiter
    finally:
        queue.leave(waiter)


def waiter_factory() -> Callable[[], Waiter]:
    """Return the function that makes waiters for the running loop: cheaper if many are made.

    Raises:
        RuntimeError: no event loop runs.
    """
    if in_trio():
        from aconcur._core.trio_wait_queue import TrioWaiter

        return TrioWaiter
    return asyncio.get_running_loop().create_future


async def yield_to_others() -> None:
    """Let the other tasks run once.

    **Cancelled**: raises; nothing else happens here.
    """
    if in_trio():
        from trio.lowlevel import checkpoint

        await checkpoint()
    else:
        await asyncio.sleep(0)


def get_call_soon_threadsafe() -> CallSoon:
    """Return the function that schedules a call on the loop that runs here, from any thread.

    That function raises RuntimeError once the loop has ended.

    Raises:
        RuntimeError: no event loop runs.
    """
    return _call_soon_of(current_loop() or asyncio.get_running_loop())


def _call_soon_of(loop: Loop) -> CallSoon:
    # After the loop's end asyncio raises RuntimeError and trio its subclass RunFinishedError.
    if isinstance(loop, asyncio.AbstractEventLoop):
        return loop.call_soon_threadsafe
    return loop.run_sync_soon
