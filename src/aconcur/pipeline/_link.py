"""The buffer between two stages, and who waits at its ends.

Rule 1: room is looked for before an item is taken: a result never waits in anybody's hands.
Rule 2: one searcher: of those who wait at an end at most one is woken at a time; whoever leaves
work behind wakes the next. A burst for eight idle workers costs one or two switches, not eight.
"""

from __future__ import annotations

__all__ = ("END", "GONE", "PENDING", "Inlet", "Link")

from collections import deque
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from aconcur._core.wait_queue import Waiter, WaitQueue, waiter_factory


class _Mark:
    __slots__ = ()


END: Final = _Mark()
"""In place of an item: none will come."""
GONE: Final = _Mark()
"""In place of a result: none leaves the stage."""
PENDING: Final = _Mark()
"""In place of a result that is not there yet."""


class Link:
    """Results of one stage on their way to the next.

    Args:
        capacity: results, and places kept for results, up to which there is room.
        writers: how many workers fill it; it is closed when all have left.
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

    def __init__(self, capacity: int, writers: int) -> None:
        self.items = deque[Any]()
        # Of an ordered stage: a place for each item under work behind the first, in order.
        self.slots = deque[list[Any]]()
        self.capacity, self.writers = capacity, writers
        self.getters, self.putters = WaitQueue(), WaitQueue()
        self.getter_woken = self.putter_woken = self.closed = False
        self.make_waiter = waiter_factory()

    def has_room(self) -> bool:
        """Return whether one more item may be taken by those who write here."""
        return len(self.items) + len(self.slots) < self.capacity

    async def until_item(self) -> bool:
        """Wait for an item; return False if none will come.

        **Cancelled**: nothing was taken, and another who waits is woken instead.
        """
        again = False
        while not self.items:
            if self.closed:
                return False
            waiter = self._parked(self.getters, again)
            try:
                await waiter
            except BaseException:
                self._left(self.getters, waiter)
                raise
            self.getter_woken, again = False, True
        return True

    async def until_room(self) -> None:
        """Wait for room."""
        again = False
        while not self.has_room():
            waiter = self._parked(self.putters, again)
            try:
                await waiter
            except BaseException:
                self._left(self.putters, waiter)
                raise
            self.putter_woken, again = False, True

    def _parked(self, lot: WaitQueue, again: bool) -> Waiter:
        """Return what to await in line; first in line if one was woken in vain."""
        waiter = self.make_waiter()
        if again:
            lot.appendleft(waiter)
        else:
            lot.append(waiter)
        return waiter

    def _left(self, lot: WaitQueue, waiter: Waiter) -> None:
        """Wake another in place of one who was woken and cancelled."""
        if lot.leave(waiter):
            self._pass_on(lot)

    def _pass_on(self, lot: WaitQueue) -> None:
        if lot is self.getters:
            self.getter_woken = bool(self.items) and lot.wake()
        else:
            self.putter_woken = self.has_room() and lot.wake()

    def wake_getter(self) -> None:
        """Wake one who waits for an item, unless one is on its way."""
        if not self.getter_woken:
            self.getter_woken = self.getters.wake()

    def wake_putter(self) -> None:
        """Wake one who waits for room, unless one is on its way or there is none."""
        if not self.putter_woken and self.has_room():
            self.putter_woken = self.putters.wake()

    def writer_left(self) -> None:
        """Close when the last writer leaves."""
        self.writers -= 1
        if not self.writers:
            self.closed = True
            self.getters.wake_all()


Inlet: TypeAlias = Link | Iterator[Any]
"""Where a stage takes its items from."""
