"""The end of a queue that threads hold: items cross to the loop and back in batches.

Rule 1: only the loop touches the queue's state. A thread touches the two boxes here, under the
lock. (It reads the state's size and flags, which is safe and may be a moment old.)
Rule 2: nothing polls. A thread waits on the condition, the loop is called when there is work.
Rule 3: towards the queue this is one more putter and one more getter, and waits in line.
Rule 4: a thread is sent no more items than it will use at once: see ``_Appetite``.
"""

from __future__ import annotations

__all__ = ("BATCH", "ThreadEnd")

import sys
from collections import deque
from collections.abc import Callable, Iterable
from threading import Condition
from time import perf_counter
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar, final

from aconcur._core.validation import check_seconds
from aconcur.pipeline._errors import QueueClosed, QueueEmpty, QueueFull

if TYPE_CHECKING:
    from aconcur._core.wait_queue import CallSoon, WaitQueue
    from aconcur.pipeline._queue.state import QueueState

T = TypeVar("T")

# Items that one call of the loop moves, at most. A guess: waking the loop takes some 20 µs, which
# 64 items share.
BATCH: Final = 64
# Seconds an item up to which a thread is sent more of them at a time. A batch of 64 is then used up
# within 2 ms, so other getters hardly miss it.
_QUICK: Final = 30e-6


@final
class _LineEntry:
    """A place in the queue's line of putters or getters that calls back when its turn comes."""

    __slots__ = ("_call", "_done", "_result")

    def __init__(self, call: Callable[[], None]) -> None:
        self._call, self._result = call, False
        self._done = False

    def done(self) -> bool:
        return self._done

    def cancelled(self) -> bool:
        return False

    def result(self) -> bool:
        return self._result

    def set_result(self, result: bool, /) -> None:
        self._done, self._result = True, result
        self._call()


@final
class _Appetite:
    """How many items to send to the threads at a time: one, or more while they use them quickly.

    Items that were sent cannot be taken by other getters. A thread that works 10 ms on each gets
    one at a time; one that takes them as fast as they come gets up to 64.
    """

    def __init__(self) -> None:
        self.items, self._sent, self._since = 1, 0, 0.0

    def sent(self, count: int) -> None:
        """Note that this many were sent."""
        self._sent, self._since = count, perf_counter()

    def used_up(self) -> None:
        """Note that the threads have used all that was sent, and ask for more."""
        if self._sent:
            quick = perf_counter() - self._since < _QUICK * (self._sent + 2)
            self.items = min(BATCH, 2 * self.items) if quick else 1
            self._sent = 0


@final
class ThreadEnd(Generic[T]):
    """The end of a :class:`Queue` that threads hold. Made by :meth:`Queue.from_thread`.

    Leave its block in the task that entered it. Then the items that threads have put are in
    the queue, those that were sent to them and not taken are at its front again, and a thread that
    waits here gets QueueClosed. Any number of threads may use it at once.

    A bounded queue may have up to 64 more items on their way from threads. On the way to threads
    there is one item for each that waits, and up to 64 while they take them within microseconds.

    Cost: about 2 µs an item in either direction where threads do nothing else.
    """

    def __init__(
        self,
        state: QueueState[T],
        soon: CallSoon,
        task_done: Callable[[], None],
        leave: Callable[[ThreadEnd[T]], None],
    ) -> None:
        self._state, self._soon = state, soon
        self._task_done, self._leave_queue = task_done, leave
        self._changed = Condition()
        self._inbox, self._outbox = deque[T](), deque[T]()
        self._appetite = _Appetite()
        self._wanting = self._finished = self._moves = 0
        self._called = self._shut = self._ended = False
        self._putter: _LineEntry | None = None
        self._getter: _LineEntry | None = None

    # ------------------------------------------------------- for threads

    def put(self, item: T, timeout: float | None = None) -> None:
        """Put an item; block while the queue is full and 64 others wait.

        On a queue without a bound it never blocks. Items of one thread keep their order.

        Args:
            item: the item.
            timeout: the most seconds to block; None: any.

        Raises:
            QueueClosed: the queue, this end or the loop has ended, or the last consumer has left.
                The item was not put.
            QueueFull: there was no room within ``timeout``. The item was not put.
        """
        if timeout is not None:
            check_seconds("timeout", timeout)
        with self._changed:
            if not self._changed.wait_for(self._has_room_or_is_shut, timeout):
                raise QueueFull(self._state.limit)
            self._add(item, "put")

    def put_nowait(self, item: T) -> None:
        """Put an item, if there is room now.

        Raises:
            QueueFull: there is no room. The item was not put.
            QueueClosed: as for :meth:`put`.
        """
        with self._changed:
            # An item that was put may be counted twice while the loop moves it: too full for a
            # moment, but never too empty.
            full = len(self._inbox) + len(self._state.items) >= self._state.limit
            if full and not self._is_shut():
                raise QueueFull(self._state.limit)
            self._add(item, "put_nowait")

    def put_many(self, items: Iterable[T]) -> None:
        """Put items one after the other.

        Raises:
            QueueClosed: as for :meth:`put`. The item that was last drawn from ``items`` was not
                put.
        """
        for item in items:
            self.put(item)

    def get(self, timeout: float | None = None) -> T:
        """Take the queue's first item out; block while there is none.

        Args:
            timeout: the most seconds to block; None: any.

        Raises:
            QueueClosed: the queue is closed and empty, or this end or the loop has ended.
            QueueEmpty: no item came within ``timeout``.
        """
        if timeout is not None:
            check_seconds("timeout", timeout)
        deadline = None if timeout is None else perf_counter() + timeout
        with self._changed:
            while not self._outbox:
                self._check_open_to_get()
                left = None if deadline is None else deadline - perf_counter()
                if left is not None and left <= 0:
                    raise QueueEmpty
                self._ask(left)
            return self._outbox.popleft()

    def get_nowait(self) -> T:
        """Take the queue's first item out, if there is one now.

        It waits for the loop's answer, but not for an item.

        Raises:
            QueueEmpty: there is none.
            QueueClosed: as for :meth:`get`.
        """
        with self._changed:
            if not self._outbox:
                self._check_open_to_get()
                answered = self._moves
                while not self._outbox and self._moves == answered:
                    self._check_open_to_get()
                    self._ask(None)
            if self._outbox:
                return self._outbox.popleft()
            self._check_open_to_get()
            raise QueueEmpty

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        try:
            return self.get()
        except QueueClosed:
            raise StopIteration from None

    def task_done(self) -> None:
        """Call the queue's :meth:`Queue.task_done`, soon."""
        with self._changed:
            self._finished += 1
            self._call_loop()

    def _is_shut(self) -> bool:
        return self._shut or not self._state.accepts()

    def _has_room_or_is_shut(self) -> bool:
        unbounded = self._state.limit == sys.maxsize
        return unbounded or len(self._inbox) < BATCH or self._is_shut()

    def _add(self, item: T, operation: str) -> None:
        if self._shut:
            raise QueueClosed(operation)
        if not self._state.accepts():
            raise self._state.refuse(operation)
        self._inbox.append(item)
        try:
            self._call_loop()
        except QueueClosed:
            self._inbox.pop()
            raise

    def _check_open_to_get(self) -> None:
        if self._shut or self._ended:
            raise QueueClosed("get")

    def _ask(self, seconds: float | None) -> None:
        """Have the loop send items; wait for its next answer."""
        self._appetite.used_up()
        self._wanting += 1
        try:
            self._call_loop()
            self._changed.wait(seconds)
        finally:
            self._wanting -= 1

    def _call_loop(self) -> None:
        """Have :meth:`_move` called by the loop, unless it is to be already."""
        if not self._called:
            try:
                self._soon(self._move)
            except RuntimeError as error:
                self._shut = True
                self._changed.notify_all()
                raise QueueClosed("put") from error
            self._called = True

    # ------------------------------------------------------ for the loop

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        state = self._state
        with self._changed:
            self._shut = True
            self.flush()
            self._leave(self._putter, state.putters)
            self._leave(self._getter, state.getters)
            self._putter = self._getter = None
            state.give_back(reversed(self._outbox))
            self._outbox.clear()
            self._leave_queue(self)
            self._changed.notify_all()

    def flush(self) -> None:
        """Put into the queue what threads have put here, room or not."""
        with self._changed:
            self._report_finished()
            self._state.fill(self._inbox)
            self._inbox.clear()
            self._changed.notify_all()

    def _move(self) -> None:
        with self._changed:
            self._called = False
            self._moves += 1
            if not self._shut:
                self._move_in()
                self._move_out()
                self._report_finished()
                self._changed.notify_all()

    def _move_in(self) -> None:
        state = self._state
        if self._putter is not None:
            if not self._putter.done():
                return
            state.reserved_slots -= self._putter.result()
            self._putter = None
        room = min(len(self._inbox), state.free())
        if room > 0:
            state.fill([self._inbox.popleft() for _ in range(room)])
        if self._inbox:
            self._putter = self._stand_in(state.putters)
        state.reserve_slots()

    def _move_out(self) -> None:
        state = self._state
        if self._getter is not None:
            if not self._getter.done():
                return
            state.reserved_items -= self._getter.result()
            self._getter = None
        if self._wanting and not self._outbox:
            wanted = max(self._wanting, self._appetite.items)
            count = min(wanted, len(state.items) - state.reserved_items)
            if count > 0:
                self._outbox.extend(state.take(count))
                self._appetite.sent(count)
            elif state.at_end():
                self._ended = True
            else:
                self._getter = self._stand_in(state.getters)
        state.reserve_items()

    def _report_finished(self) -> None:
        for _ in range(self._finished):
            self._task_done()
        self._finished = 0

    def _stand_in(self, lot: WaitQueue) -> _LineEntry:
        self._state.enter_thread()
        entry = _LineEntry(self._turn_came)
        lot.append(entry)
        return entry

    def _turn_came(self) -> None:
        with self._changed:
            self._call_loop()

    def _leave(self, entry: _LineEntry | None, lot: WaitQueue) -> None:
        if entry is not None:
            self._state.leave(lot, entry)
