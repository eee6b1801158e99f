"""The buffer between two stages, where back-pressure is decided.

Rule 1: a worker looks for room before it takes an item, so a finished result always has a place.
Rule 2: of the tasks that wait at one end, at most one is woken at a time. A task that leaves work
behind wakes the next one. A burst for eight idle workers costs one or two switches, not eight.
"""

from __future__ import annotations

__all__ = ("DROPPED", "END", "PENDING", "Buffer", "HandoverBuffer")

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from aconcur._core.wait_queue import Waiter, WaitQueue


class _Mark:
    __slots__ = ()


END: Final = _Mark()
"""In place of an item: no more items will come."""
DROPPED: Final = _Mark()
"""In place of a result: the item was filtered, failed, or passed on already."""
PENDING: Final = _Mark()
"""In place of a result that is not there yet."""


class Buffer:
    """Results of one stage that wait for the next, in order.

    Args:
        capacity: results, and slots kept for results, up to which there is room.
        writers: how many workers fill it; it is closed when all have left.
        make_waiter: makes what a task of the running loop can await.
    """

    __slots__ = (
        "capacity",
        "closed",
        "getter_woken",
        "getters",
        "items",
        "make_waiter",
        "putter_woken",
        "putters",
        "slots",
        "writers",
    )

    def __init__(self, capacity: int, writers: int, make_waiter: Callable[[], Waiter]) -> None:
        self.items: deque[Any] = deque()
        # Of an ordered stage: a slot for each item under work behind the first, in order.
        self.slots: deque[list[Any]] = deque()
        self.capacity: int = capacity
        self.writers: int = writers
        self.getters: WaitQueue = WaitQueue()
        self.putters: WaitQueue = WaitQueue()
        self.getter_woken: bool = False
        self.putter_woken: bool = False
        self.closed: bool = False
        self.make_waiter: Callable[[], Waiter] = make_waiter

    def has_room(self) -> bool:
        """Return whether a worker that writes here may take one more item."""
        return len(self.items) + len(self.slots) < self.capacity

    async def until_item(self) -> bool:
        """Wait for an item; return False if none will come.

        **Cancelled**: nothing was taken, and another waiting task is woken instead.
        """
        again = False
        while not self.items:
            if self.closed:
                return False
            waiter = self._park(self.getters, again)
            try:
                await waiter
            except BaseException:
                if self.getters.leave(waiter):
                    self.getter_woken = bool(self.items) and self.getters.wake()
                raise
            self.getter_woken, again = False, True
        return True

    async def until_room(self) -> None:
        """Wait for room.

        **Cancelled**: another waiting task is woken instead.
        """
        again = False
        while not self.has_room():
            waiter = self._park(self.putters, again)
            try:
                await waiter
            except BaseException:
                if self.putters.leave(waiter):
                    self.putter_woken = self.has_room() and self.putters.wake()
                raise
            self.putter_woken, again = False, True

    def _park(self, lot: WaitQueue, again: bool) -> Waiter:
        """Join a line, in front if the caller was woken and found nothing; return what to await."""
        waiter = self.make_waiter()
        if again:
            lot.appendleft(waiter)
        else:
            lot.append(waiter)
        return waiter

    def wake_getter(self) -> None:
        """Wake one task that waits for an item, unless one is woken already."""
        if not self.getter_woken:
            self.getter_woken = self.getters.wake()

    def wake_putter(self) -> None:
        """Wake one task that waits for room, unless one is woken already or there is none."""
        if not self.putter_woken and self.has_room():
            self.putter_woken = self.putters.wake()

    def writer_left(self) -> None:
        """Close when the last writer leaves."""
        self.writers -= 1
        if not self.writers:
            self.closed = True
            if self.getters:
                self.getters.wake_all()


class HandoverBuffer(Buffer):
    """Has room for its capacity, and for one more item for each task that waits for one."""

    __slots__ = ()

    def has_room(self) -> bool:
        return len(self.items) < self.capacity + len(self.getters)

    def _park(self, lot: WaitQueue, again: bool) -> Waiter:
        waiter = super()._park(lot, again)
        if lot is self.getters:
            self.wake_putter()
        return waiter
