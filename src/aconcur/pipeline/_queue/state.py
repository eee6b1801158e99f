"""The items of a queue, the tasks that wait for one or for a slot, and the reservations.

The invariants are those of this folder's ``__init__``.
"""

from __future__ import annotations

__all__ = ("STRIDE", "QueueClient", "QueueState")

import asyncio
import sys
from collections import deque
from collections.abc import Iterable
from threading import get_ident
from typing import Final, Generic, TypeVar, final

from aconcur._core.wait_queue import WaitQueue, Wakeable, make_waiter, yield_to_others
from aconcur.pipeline._errors import QueueClosed

T = TypeVar("T")

# Puts and gets between two yields to other tasks. Measured: at 256 the yields cost 5 % of a put
# and a get, at 64 15 %; 256 of them take less than 0.1 ms.
STRIDE: Final = 256
_LEAST: Final = 64


@final
class QueueClient:
    """A group of getters that can be told to stop waiting: the workers of one pipeline."""

    def __init__(self) -> None:
        self.stopped: bool = False
        self.waiters: set[Wakeable] = set()

    def stop(self) -> None:
        """Let every getter of the group return without an item."""
        self.stopped = True
        for waiter in tuple(self.waiters):
            if not waiter.done():
                waiter.set_result(False)


@final
class QueueState(Generic[T]):
    """The exact state of a queue.

    Args:
        maxsize: the most items in it; 0: any number.
    """

    __slots__ = (
        "_thread",
        "_turn_put",
        "_turn_size",
        "abandoned",
        "closed",
        "getters",
        "high",
        "items",
        "joiners",
        "limit",
        "low",
        "mark",
        "put",
        "putters",
        "reserved_items",
        "reserved_slots",
    )

    def __init__(self, maxsize: int) -> None:
        self.limit: int = maxsize or sys.maxsize
        self.items: deque[T] = deque()
        self.getters: WaitQueue = WaitQueue()
        self.putters: WaitQueue = WaitQueue()
        self.joiners: WaitQueue = WaitQueue()
        self.reserved_items: int = 0
        self.reserved_slots: int = 0
        self.put: int = 0  # items that were ever put
        self.closed: bool = False
        self.abandoned: bool = False
        self._thread = 0  # of the loop whose tasks wait
        self._turn_put = self._turn_size = 0
        self.low: int = 0
        self.high: int = 0
        self.mark: int = 0
        self.set_bounds()

    # ------------------------------------------------------------- the turn

    def _turn_left(self) -> int:
        """Return how many puts and gets may still succeed before a yield."""
        put = self.put - self._turn_put
        got = put - (len(self.items) - self._turn_size)
        return STRIDE - put - got

    def _begin_turn(self) -> None:
        self._turn_put, self._turn_size = self.put, len(self.items)

    def set_bounds(self) -> None:
        """Set the bounds of the quick path, from here."""
        left, size = self._turn_left(), len(self.items)
        self.high = self.limit - self.reserved_slots if self.accepts() else -1
        # Half: each item that is put may be got before the next slow path. Not much less than a
        # quarter of a turn: the slow path costs as much as two puts.
        self.mark = self.put + (left >> 1 if left > _LEAST else _LEAST)
        low = size - left if left > 1 else size - 1
        self.low = max(self.reserved_items, low)

    def note_backlog(self) -> None:
        """Let the next get() look whether the turn is over: puts that cannot yield came before."""
        self.low = max(self.reserved_items, len(self.items) - 1)

    async def _yield_if_due(self) -> None:
        if self._turn_left() <= 0:
            # First: a task that is cancelled at the yield must find a new turn when it comes back,
            # or it would never get past this point.
            self._begin_turn()
            await yield_to_others()

    # ------------------------------------------------------------- putting

    def accepts(self) -> bool:
        """Return whether items may be put, room or not."""
        return not (self.closed or self.abandoned)

    def free(self) -> int:
        """Return how many slots are neither taken nor reserved."""
        return self.limit - len(self.items) - self.reserved_slots

    def refuse(self, operation: str) -> QueueClosed:
        """Return the error of an operation for which it is too late."""
        return QueueClosed(operation, abandoned=self.abandoned and not self.closed)

    def may_put(self) -> bool:
        """Return whether there is room and the turn is not over; set the bounds if so."""
        if len(self.items) < self.high and self._turn_left() > 0:
            self.set_bounds()
            return True
        return False

    async def until_room(self, operation: str) -> None:
        """Return when the caller may put one item, in this step."""
        if self.accepts() and self.free() > 0:
            await self._yield_if_due()
        again = False
        while self.accepts() and self.free() <= 0:
            if await self._park(self.putters, again):
                self.reserved_slots -= 1
                break
            again = True
        if not self.accepts():
            raise self.refuse(operation)
        self.set_bounds()

    def add_and_wake(self, item: T) -> None:
        """Put an item while tasks wait to get one."""
        self.check_thread()
        self.items.append(item)
        self.put += 1
        self._reserve_item()

    def fill(self, items: Iterable[T]) -> int:
        """Add items; return how many. Those drawn before an error of ``items`` are added too."""
        if self.getters:
            self.check_thread()
        drawn: list[T] = []
        try:
            drawn.extend(items)
        finally:
            self.items.extend(drawn)
            self.put += len(drawn)
            if self.put >= self.mark:
                self.note_backlog()
            self.reserve_items()
        return len(drawn)

    # ------------------------------------------------------------- getting

    def at_end(self) -> bool:
        """Return whether nothing is left and nothing can come."""
        return self.closed and not self.items

    async def until_item(self, operation: str, client: QueueClient | None = None) -> None:
        """Return when the caller may take one item, in this step.

        Raises:
            QueueClosed: none will come, or the client was stopped.
        """
        if len(self.items) > self.reserved_items:
            await self._yield_if_due()
        again = False
        while len(self.items) <= self.reserved_items:
            if self.at_end():
                self.getters.wake_all()
                raise self.refuse(operation)
            if client is None:
                reserved = await self._park(self.getters, again)
            elif client.stopped:
                raise self.refuse(operation)
            else:
                reserved = await self._park_client(again, client)
            if reserved:
                self.reserved_items -= 1
                if self.items:
                    break
            again = True
        if self.closed and len(self.items) == 1:
            self.getters.wake_all()  # the caller takes the last one
        self.set_bounds()

    def take_and_wake(self) -> T:
        """Take the first item while tasks wait for room."""
        self.check_thread()
        item = self.items.popleft()
        self.reserve_slots()
        return item

    def take(self, count: int) -> list[T]:
        """Take out this many items, none of them reserved."""
        if self.putters:
            self.check_thread()
        items = self.items
        if count == len(items):
            taken = list(items)
            items.clear()
        else:
            taken = [items.popleft() for _ in range(count)]
        if self.putters:
            self.reserve_slots()
        return taken

    def give_back(self, items: Iterable[T]) -> None:
        """Return items that were taken and not used, the last first, to the front."""
        self.items.extendleft(items)
        self.reserve_items()

    # ------------------------------------------------------------- waking

    def _wake(self, line: WaitQueue) -> bool:
        """Wake the first task of a line, for which the caller then reserves; return whether any."""
        try:
            return line.wake(True)
        except RuntimeError:  # its loop was closed while it waited
            self._drop_stale_waiters()
            return line.wake(True)

    def _reserve_item(self) -> bool:
        """Wake a getter for an item that was added."""
        if not self._wake(self.getters):
            return False
        self.reserved_items += 1
        self.low = max(self.low, self.reserved_items)
        return True

    def reserve_items(self) -> None:
        """Wake a getter for every item that is free."""
        while self.getters and len(self.items) > self.reserved_items and self._reserve_item():
            pass
        if self.getters and self.at_end():
            self.getters.wake_all()

    def reserve_slots(self) -> None:
        """Wake a putter for every slot that is free."""
        while self.putters and self.free() > 0 and self._wake(self.putters):
            self.reserved_slots += 1
            self.high = min(self.high, self.limit - self.reserved_slots)

    def close(self) -> None:
        """Refuse further items; wake the tasks that this concerns."""
        self._check_waiters()
        self.closed, self.high = True, -1
        self.putters.wake_all()
        if not self.items:
            self.getters.wake_all()

    def abandon(self) -> None:
        """Refuse further items until :meth:`adopt`."""
        self._check_waiters()
        self.abandoned, self.high = True, -1
        self.putters.wake_all()

    def adopt(self) -> None:
        """Take items again: a consumer has come."""
        self.abandoned = False
        self.set_bounds()

    # ------------------------------------------------------------- waiting

    async def _park(self, lot: WaitQueue, again: bool) -> bool:
        """Wait to be woken; return whether something is reserved for the caller.

        Args:
            lot: where.
            again: in front of the others: the caller has waited before.
        """
        self.enter_thread()
        waiter = make_waiter()
        if again:
            lot.appendleft(waiter)
        else:
            lot.append(waiter)
        try:
            reserved = await waiter
        except BaseException:
            self.leave(lot, waiter)
            raise
        self._turn_put, self._turn_size = self.put, len(self.items)
        return reserved

    async def _park_client(self, again: bool, client: QueueClient) -> bool:
        """Wait for an item like :meth:`_park`, in a group that can be told to stop."""
        self.enter_thread()
        waiter = make_waiter()
        if again:
            self.getters.appendleft(waiter)
        else:
            self.getters.append(waiter)
        client.waiters.add(waiter)
        try:
            reserved = await waiter
        except BaseException:
            self.leave(self.getters, waiter)
            raise
        finally:
            client.waiters.discard(waiter)
        # stop() wakes a waiter that is still in the line.
        if client.stopped and waiter in self.getters:
            self.getters.remove(waiter)
        self._turn_put, self._turn_size = self.put, len(self.items)
        return reserved

    def leave(self, lot: WaitQueue, waiter: Wakeable) -> None:
        """Drop what was reserved for a waiter that is gone: invariant 3."""
        reserved = lot.leave(waiter)
        if lot is self.getters:
            self.reserved_items -= reserved
            self.set_bounds()
            if len(self.items) > self.reserved_items or self.at_end():
                lot.wake(False)
        else:
            self.reserved_slots -= reserved
            self.set_bounds()
            if self.accepts() and self.free() > 0:
                lot.wake(False)

    # ----------------------------------------------------------- the thread

    def check_thread(self) -> None:
        """Refuse to wake tasks of a loop that does not run in this thread.

        Raises:
            RuntimeError: they are of another thread's loop, which would not notice.
        """
        if get_ident() != self._thread:
            self._drop_stale_waiters()
            if self.getters or self.putters or self.joiners:
                raise RuntimeError(
                    "this queue is used in the event loop of another thread: call from_thread() "
                    "there, and use its result here"
                )

    def wake_joiners(self) -> None:
        """Wake the tasks that wait for the end of the work on all items."""
        if self.joiners:
            self._check_waiters()
            self.joiners.wake_all(True)

    def _check_waiters(self) -> None:
        if self.getters or self.putters or self.joiners:
            self.check_thread()
            self._drop_stale_waiters()

    def enter_thread(self) -> None:
        """Note the thread of the task that waits now; refuse the tasks of a second one."""
        if (thread := get_ident()) != self._thread:
            if self.getters or self.putters or self.joiners:
                self.check_thread()
            self._thread = thread

    def _drop_stale_waiters(self) -> None:
        """Drop tasks whose loop was closed while they waited: no one else will ever wake them."""
        for line in (self.getters, self.putters, self.joiners):
            while line and _is_stale(line[0]):
                line.popleft()


def _is_stale(waiter: Wakeable) -> bool:
    return isinstance(waiter, asyncio.Future) and waiter.get_loop().is_closed()
