"""A queue that can be closed, for tasks of asyncio and trio.

Rule 1: an item stands in the deque until the step in which its getter returns: none is handed over.
Rule 2: to wake a getter is to reserve an item, to wake a putter is to reserve a place. Newcomers
leave alone what is reserved; who is cancelled gives it back, and the next is woken.
Rule 3: a getter waits only if every item is reserved, a putter only if every place is.
Rule 4: whatever can be cancelled comes before the deque is touched.
"""

from __future__ import annotations

__all__ = ("Producer", "Queue", "QueueStatistics")

import sys
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from operator import length_hint
from typing import Final, Generic, Self, TypeVar, final

from aconcur._core.parking import Lot, new_waiter, pause, soon_caller
from aconcur.pipeline._errors import QueueClosed, QueueEmpty, QueueFull
from aconcur.pipeline._thread_end import ThreadEnd

T = TypeVar("T")

# Puts, or gets, between two yields to other tasks. Measured: at 256 the yields cost 5 % of a put
# and a get, at 64 15 %; 256 of them take less than 0.1 ms.
STRIDE: Final = 256


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """A snapshot of a queue."""

    size: int
    """Items in it."""
    maxsize: int
    """The most that put() leaves in it; 0: any number."""
    put: int
    """Items that were ever put."""
    got: int
    """Items that were ever taken out."""
    dropped: int
    """Items that shutdown(immediate=True) dropped."""
    unfinished: int
    """Items that join() waits for: put, and not task_done() yet."""
    waiting_to_put: int
    """Tasks that wait for room."""
    waiting_to_get: int
    """Tasks that wait for an item."""
    producers: int
    """producer() blocks that are open."""
    closed: bool
    """Whether nothing can be put any more."""


@final
class Queue(Generic[T]):
    """A queue with asyncio.Queue's names that can be closed, on asyncio and trio.

    First in, first out, for the items and for the tasks that wait. It is made anywhere, also
    before a loop runs, and may be used in one loop after another, but in one at a time; threads
    take part through :meth:`from_thread`. ::

        queue = Queue[int](maxsize=64)
        with queue.producer():
            await queue.put(1)
        async for item in queue:    # ends when the queue is closed and empty
            ...

    Different from asyncio.Queue: close(), iteration, put_many() and get_many(), and
    Python 3.13's shutdown() on every Python. put() and get() are no checkpoint when they need not
    wait, but every 256th of them lets other tasks run.

    Cancelled natively or by a scope, at any step: a put() that was cancelled has not put, a get()
    that was cancelled has taken nothing, and no other task waits in vain for it.

    Args:
        maxsize: the most items in it; 0: any number.

    Raises:
        ValueError: maxsize is negative.

    Cost: about 0.4 µs for a put and a get (asyncio.Queue: 0.7), 0.1 µs with put_many and
    get_many; a task that waits adds about 3 µs.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_done",
        "_dropped",
        "_ends",
        "_getters",
        "_high",
        "_items",
        "_joiners",
        "_limit",
        "_low",
        "_maxsize",
        "_owed",
        "_producers",
        "_promised",
        "_put",
        "_putters",
    )

    def __init__(self, maxsize: int = 0) -> None:
        if maxsize < 0:
            raise ValueError(f"maxsize must be at least 0, not {maxsize}")
        self._maxsize, self._limit = maxsize, maxsize or sys.maxsize
        self._items = deque[T]()
        self._getters, self._putters, self._joiners = Lot(), Lot(), Lot()
        self._owed = 0  # items reserved for getters that are woken and did not run yet
        self._promised = 0  # places reserved for putters alike
        # One comparison decides for the quick way: put() if there are fewer items than _high,
        # get() if there are more than _low. Both are on the safe side of what is reserved, and
        # nearer where the next yield is due.
        self._low, self._high = 0, min(self._limit, STRIDE)
        self._put = self._done = self._dropped = self._producers = 0
        self._closed = False
        self._ends: list[ThreadEnd[T]] = []

    # ------------------------------------------------------------------ put

    async def put(self, item: T) -> None:
        """Put an item at the end; wait while there is no room.

        **Cancelled**: the item was not put.

        Raises:
            QueueClosed: the queue is closed, or was while this waited. The item was not put.
        """
        if len(self._items) >= self._high:
            await self._until_room("put")
        self._items.append(item)
        self._put += 1
        if self._getters:
            self._reserve_item()

    def put_nowait(self, item: T) -> None:
        """Put an item at the end, if there is room now.

        Raises:
            QueueFull: there is none.
            QueueClosed: the queue is closed.
        """
        if self._closed:
            raise QueueClosed("put_nowait")
        if self._free() <= 0:
            raise QueueFull(self._maxsize)
        if len(self._items) >= self._high:
            self._mark()
        self._items.append(item)
        self._put += 1
        if self._getters:
            self._reserve_item()

    async def put_many(self, items: Iterable[T]) -> None:
        """Put items one after the other, as many at a time as there is room for.

        An item is drawn from ``items`` when it has a place, no earlier: what an iterator still
        holds after a cancellation or an error was not put. An iterator that cannot tell how many
        are left (a generator) is asked for its next item, or its end, when there is room for it.

        **Cancelled**: what was drawn from ``items`` so far was put, nothing else.

        Raises:
            QueueClosed: the queue is closed, or was meanwhile; as when cancelled.

        Cost: about 0.05 µs an item.
        """
        source = iter(items)
        while length_hint(source, 1):
            if len(self._items) >= self._high:
                await self._until_room("put_many")
            room = max(1, self._high - len(self._items))
            if self._fill(islice(source, room)) < room:
                return

    async def _until_room(self, operation: str) -> None:
        """Return when the caller may put one item, in this step."""
        if self._free() > 0 and not self._closed:
            await pause()
        while not self._closed and self._free() <= 0:
            if await self._parked(self._putters):
                self._promised -= 1
                break
        if self._closed:
            raise QueueClosed(operation)
        self._mark()

    def _mark(self) -> None:
        """Say when put() and get() are to yield next, from here."""
        size = len(self._items)
        self._high = min(self._limit - self._promised, size + STRIDE)
        self._low = max(self._owed, size - STRIDE)

    # ------------------------------------------------------------------ get

    async def get(self) -> T:
        """Take the first item out; wait while there is none.

        **Cancelled**: nothing was taken.

        Raises:
            QueueClosed: the queue is closed and empty.
        """
        if len(self._items) <= self._low:
            await self._until_item("get")
        item = self._items.popleft()
        if self._putters:
            self._reserve_places()
        return item

    def get_nowait(self) -> T:
        """Take the first item out, if there is one now.

        Raises:
            QueueEmpty: there is none that is not reserved for a task that waited for it.
            QueueClosed: the queue is closed and empty.
        """
        if len(self._items) <= self._owed:
            raise QueueClosed("get_nowait") if self._at_end() else QueueEmpty
        item = self._items.popleft()
        if self._putters:
            self._reserve_places()
        return item

    async def get_many(self, max_items: int = STRIDE) -> list[T]:
        """Take what is there, at least one item and at most ``max_items``; wait for the first.

        **Cancelled**: nothing was taken.

        Raises:
            QueueClosed: the queue is closed and empty.
            ValueError: ``max_items`` is less than 1.

        Cost: about 0.05 µs an item.
        """
        if max_items < 1:
            raise ValueError(f"max_items must be at least 1, not {max_items}")
        if len(self._items) <= self._low:
            await self._until_item("get_many")
        return self._take(min(max_items, len(self._items) - self._owed))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if len(self._items) <= self._low:
            try:
                await self._until_item("get")
            except QueueClosed:
                raise StopAsyncIteration from None
        item = self._items.popleft()
        if self._putters:
            self._reserve_places()
        return item

    async def _until_item(self, operation: str) -> None:
        """Return when the caller may take one item, in this step."""
        if len(self._items) > self._owed:
            await pause()
        while len(self._items) <= self._owed:
            if self._at_end():
                raise QueueClosed(operation)
            if await self._parked(self._getters):
                self._owed -= 1
                if self._items:
                    break
        if self._closed and len(self._items) == 1:
            self._getters.wake_all()  # the caller takes the last one
        self._low = max(self._owed, len(self._items) - STRIDE)

    # ----------------------------------------------------------- accounting

    def task_done(self) -> None:
        """Say that an item which was taken out is done with, as join() wants to know.

        Raises:
            ValueError: called more often than items were put.
        """
        if self._done >= self._put:
            raise ValueError("task_done() called more often than items were put")
        self._done += 1
        if self._done == self._put:
            self._joiners.wake_all(True)

    async def join(self) -> None:
        """Wait until task_done() was called for every item that was put.

        **Cancelled**: nothing has changed.
        """
        if self._done < self._put:
            await self._parked(self._joiners)

    @property
    def maxsize(self) -> int:
        """The most items in it; 0: any number."""
        return self._maxsize

    def qsize(self) -> int:
        """Return how many items are in it."""
        return len(self._items)

    def empty(self) -> bool:
        """Return whether no item is in it."""
        return not self._items

    def full(self) -> bool:
        """Return whether there is no room."""
        return len(self._items) >= self._limit

    def statistics(self) -> QueueStatistics:
        """Return what the queue holds and has held."""
        size = len(self._items)
        return QueueStatistics(
            size=size,
            maxsize=self._maxsize,
            put=self._put,
            got=self._put - self._dropped - size,
            dropped=self._dropped,
            unfinished=self._put - self._done,
            waiting_to_put=len(self._putters),
            waiting_to_get=len(self._getters),
            producers=self._producers,
            closed=self._closed,
        )

    def __repr__(self) -> str:
        shown = f"{len(self._items)}/{self._maxsize or '∞'}"
        for lot, what in ((self._getters, "waiting to get"), (self._putters, "waiting to put")):
            if lot:
                shown += f", {len(lot)} {what}"
        return f"<Queue {shown}{', closed' if self._closed else ''}>"

    # -------------------------------------------------------------- closing

    def producer(self) -> Producer:
        """Return a block at whose end the queue closes, unless another producer's block is open.

        It counts from the call on: call it for every producer before the first can end::

            for part in parts:
                group.start_soon(produce, part, queue.producer())   # with producer: ... in it
        """
        self._producers += 1
        return Producer(self._producer_left)

    def _producer_left(self) -> None:
        self._producers -= 1
        if not self._producers:
            self.close()

    def close(self) -> None:
        """Let nothing more be put; what is there can be got. Who waits in put() gets QueueClosed.

        Closing again does nothing.
        """
        if not self._closed:
            # First: a thread looks at it, under the lock that flush() takes.
            self._closed, self._high = True, -1
            for end in self._ends:
                end.flush()
            self._putters.wake_all()
            if not self._items:
                self._getters.wake_all()

    def shutdown(self, immediate: bool = False) -> None:
        """Close, as :meth:`asyncio.Queue.shutdown` of Python 3.13.

        Args:
            immediate: also drop all that is in the queue, and count it as done.
        """
        self.close()
        if immediate and self._items:
            self._dropped += len(self._items)
            self._done = min(self._put, self._done + len(self._items))
            self._items.clear()
            self._getters.wake_all()
            if self._done == self._put:
                self._joiners.wake_all(True)

    def from_thread(self) -> ThreadEnd[T]:
        """Return what threads put into this queue and get from it with, as long as its block runs.

        Called in a task, in the loop that uses the queue::

            with queue.from_thread() as end:
                await anyio.to_thread.run_sync(feed, end)     # end.put(item) in that thread
        """
        end = ThreadEnd(self, soon_caller())
        self._ends.append(end)
        return end

    # --------------------------------------------------- what is reserved

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

    async def _parked(self, lot: Lot) -> bool:
        """Wait to be woken; return whether something is reserved for the caller."""
        waiter = new_waiter()
        lot.append(waiter)
        try:
            return await waiter
        except BaseException:
            if lot.leave(waiter):
                self._give_back(lot)
            raise

    def _give_back(self, lot: Lot) -> None:
        if lot is self._getters:
            self._owed -= 1
            self._reserve_items()
        elif lot is self._putters:
            self._promised -= 1
            self._reserve_places()


@final
class Producer:
    """A producer's share in a queue, made by :meth:`Queue.producer`: ``with`` ends it, once."""

    __slots__ = ("_leave",)

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave: Callable[[], None] | None = leave

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._leave is not None:
            leave, self._leave = self._leave, None
            leave()
