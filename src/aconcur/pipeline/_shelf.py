"""The items of a queue, and the tasks that wait for one, or for room.

Rule 1: an item stands in the deque until the step in which its getter returns: none is handed over.
Rule 2: to wake a getter is to reserve an item, to wake a putter is to reserve a place. Newcomers
leave alone what is reserved.
Rule 3: what was reserved for one who is cancelled is free, and the next is woken to look: whoever
comes first has it. Were it reserved again, it would go round for ever among those whose time is
always over when they are woken.
Rule 4: a getter waits only if every item is reserved or somebody is on the way to look; likewise a
putter. Who looks in vain waits in front.
Rule 5: whatever can be cancelled comes before the deque is touched.
"""

from __future__ import annotations

__all__ = ("STRIDE", "Shelf")

from collections import deque
from collections.abc import Iterable
from typing import Final, Generic, TypeVar

from aconcur._core.wait_queue import WaitQueue, Wakeable, make_waiter, yield_to_others
from aconcur.pipeline._errors import QueueClosed

T = TypeVar("T")

# Puts, or gets, between two yields to other tasks. Measured: at 256 the yields cost 5 % of a put
# and a get, at 64 15 %; 256 of them take less than 0.1 ms.
STRIDE: Final = 256


class Shelf(Generic[T]):
    """The part of a queue that makes it exact.

    Args:
        limit: the most items on it.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_getters",
        "_high",
        "_items",
        "_limit",
        "_low",
        "_owed",
        "_promised",
        "_put",
        "_putters",
    )

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items = deque[T]()
        self._getters, self._putters = WaitQueue(), WaitQueue()
        self._owed = 0  # items reserved for getters that are woken and did not run yet
        self._promised = 0  # places reserved for putters alike
        # One comparison decides for the quick way: put() if there are fewer items than _high,
        # get() if there are more than _low. Both are on the safe side of what is reserved, and
        # nearer where the next yield is due.
        self._low, self._high = 0, min(limit, STRIDE)
        self._put = 0
        self._closed = False

    async def _until_room(self, operation: str) -> None:
        """Return when the caller may put one item, in this step."""
        if self._free() > 0 and not self._closed:
            # First: who is cancelled here may put when it comes again.
            self._mark_put()
            await yield_to_others()
        again = False
        while not self._closed and self._free() <= 0:
            if await self._parked(self._putters, again):
                self._promised -= 1
                break
            again = True
        if self._closed:
            raise QueueClosed(operation)
        self._mark_put()

    def _mark_put(self) -> None:
        """Say when put() is to yield next, from here."""
        self._high = min(self._limit - self._promised, len(self._items) + STRIDE)
        self._low = max(self._owed, len(self._items) - STRIDE)

    async def _until_item(self, operation: str) -> None:
        """Return when the caller may take one item, in this step."""
        if len(self._items) > self._owed:
            self._mark_get()
            await yield_to_others()
        again = False
        while len(self._items) <= self._owed:
            if self._at_end():
                self._getters.wake_all()
                raise QueueClosed(operation)
            if await self._parked(self._getters, again):
                self._owed -= 1
                if self._items:
                    break
            again = True
        if self._closed and len(self._items) == 1:
            self._getters.wake_all()  # the caller takes the last one
        self._mark_get()

    def _mark_get(self) -> None:
        """Say when get() is to yield next, from here."""
        self._low = max(self._owed, len(self._items) - STRIDE)

    def _at_end(self) -> bool:
        return self._closed and not self._items

    def _free(self) -> int:
        """Return how many places are neither taken nor promised."""
        return self._limit - len(self._items) - self._promised

    def _reserve_item(self) -> bool:
        """Wake a getter for an item that was added."""
        if not self._getters.wake(True):
            return False
        self._owed += 1
        self._low = max(self._low, self._owed)
        return True

    def _reserve_items(self) -> None:
        """Wake a getter for every item that is free."""
        while self._getters and len(self._items) > self._owed and self._reserve_item():
            pass
        if self._getters and self._at_end():
            self._getters.wake_all()

    def _reserve_places(self) -> None:
        """Wake a putter for every place that is free."""
        while self._putters and self._free() > 0 and self._putters.wake(True):
            self._promised += 1
            self._high = min(self._high, self._limit - self._promised)

    def _fill(self, items: Iterable[T]) -> int:
        """Add items; return how many. Those that came before an error are added too."""
        drawn: list[T] = []
        try:
            drawn.extend(items)
        finally:
            self._items.extend(drawn)
            self._put += len(drawn)
            self._reserve_items()
        return len(drawn)

    def _take(self, count: int) -> list[T]:
        """Take out this many items, none of them reserved."""
        items = self._items
        if count == len(items):
            taken = list(items)
            items.clear()
        else:
            taken = [items.popleft() for _ in range(count)]
        if self._putters:
            self._reserve_places()
        return taken

    async def _parked(self, lot: WaitQueue, again: bool = False) -> bool:
        """Wait to be woken; return whether something is reserved for the caller.

        Args:
            lot: where.
            again: in front of the others: the caller has waited before.
        """
        waiter = make_waiter()
        if again:
            lot.appendleft(waiter)
        else:
            lot.append(waiter)
        try:
            return await waiter
        except BaseException:
            self._left(lot, waiter)
            raise

    def _left(self, lot: WaitQueue, waiter: Wakeable) -> None:
        """Let others have what was reserved for one who is gone: see rule 3."""
        reserved = lot.leave(waiter)
        if lot is self._getters:
            self._owed -= reserved
            self._mark_get()
            if len(self._items) > self._owed or self._at_end():
                lot.wake(False)
        elif lot is self._putters:
            self._promised -= reserved
            if not self._closed:
                self._mark_put()
                if self._free() > 0:
                    lot.wake(False)
