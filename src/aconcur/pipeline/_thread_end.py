"""The end of a queue that threads hold: items cross to the loop and back in batches.

Rule 1: only the loop touches the queue; a thread touches the two boxes here, under the lock.
Rule 2: nothing polls: a thread waits on the condition, the loop is called when there is work.
Rule 3: towards the queue this is one more putter and one more getter, and waits its turn.
"""

# ruff: noqa: SLF001 - the other half of Queue, in a file of its own

from __future__ import annotations

__all__ = ("ThreadEnd",)

from collections import deque
from collections.abc import Iterable
from threading import Condition
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar, final

from aconcur.pipeline._errors import QueueClosed

if TYPE_CHECKING:
    from collections.abc import Callable

    from aconcur._core.wait_queue import CallSoon, WaitQueue
    from aconcur.pipeline._queue import Queue

T = TypeVar("T")

# Items that one call of the loop moves, at most. A guess: waking the loop takes some 20 µs, which
# 64 items share.
BATCH: Final = 64


@final
class _Turn:
    """A place in the queue's line of putters or getters that calls back when it is its turn."""

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
class ThreadEnd(Generic[T]):
    """The end of a :class:`Queue` that threads hold. Made by :meth:`Queue.from_thread`.

    Leave its block in the loop's task that entered it. Then what threads have put is in the
    queue, what they were to get and did not is at the queue's front again, and a thread that
    waits here gets QueueClosed. Any number of threads may call it at once.

    Up to 64 items are on their way in each direction, beside what is in the queue.

    Cost: about 2 µs an item in either direction.
    """

    def __init__(self, queue: Queue[T], soon: CallSoon) -> None:
        self._queue, self._soon = queue, soon
        self._changed = Condition()
        self._inbox, self._outbox = deque[T](), deque[T]()
        self._wanting = self._finished = 0
        self._called = self._shut = self._ended = False
        self._putter: _Turn | None = None
        self._getter: _Turn | None = None

    # ------------------------------------------------------- for threads

    def put(self, item: T) -> None:
        """Put an item; block while the queue is full and 64 others wait.

        Items of one thread keep their order.

        Raises:
            QueueClosed: the queue, this end or the loop has ended. The item was not put.
        """
        with self._changed:
            self._wait_for_room()
            self._inbox.append(item)
            try:
                self._call_loop()
            except QueueClosed:
                self._inbox.pop()
                raise

    def put_many(self, items: Iterable[T]) -> None:
        """Put items one after the other.

        Raises:
            QueueClosed: as :meth:`put`. The item that was last drawn from ``items`` was not put.
        """
        for item in items:
            self.put(item)

    def get(self) -> T:
        """Take the queue's first item out; block while there is none.

        Raises:
            QueueClosed: the queue is closed and empty, or this end or the loop has ended.
        """
        with self._changed:
            while not self._outbox:
                if self._shut or self._ended:
                    raise QueueClosed("get")
                self._wanting += 1
                try:
                    self._call_loop()
                    self._changed.wait()
                finally:
                    self._wanting -= 1
            return self._outbox.popleft()

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

    def _wait_for_room(self) -> None:
        while len(self._inbox) >= BATCH and not self._shut and not self._queue._closed:
            self._changed.wait()
        if self._shut or self._queue._closed:
            raise QueueClosed("put")

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
        queue = self._queue
        with self._changed:
            self._shut = True
            self.flush()
            self._leave(self._putter, queue._putters)
            self._leave(self._getter, queue._getters)
            self._putter = self._getter = None
            queue._items.extendleft(reversed(self._outbox))
            self._outbox.clear()
            queue._reserve_items()
            queue._ends.remove(self)
            self._changed.notify_all()

    def flush(self) -> None:
        """Put into the queue what threads have put here, room or not."""
        with self._changed:
            self._report_finished()
            self._queue._fill(self._inbox)
            self._inbox.clear()
            self._changed.notify_all()

    def _move(self) -> None:
        with self._changed:
            self._called = False
            if not self._shut:
                self._move_in()
                self._move_out()
                self._report_finished()
                self._changed.notify_all()

    def _move_in(self) -> None:
        queue = self._queue
        if self._putter is not None:
            if not self._putter.done():
                return
            queue._promised -= self._putter.result()
            self._putter = None
        room = min(len(self._inbox), queue._free())
        if room > 0:
            queue._fill([self._inbox.popleft() for _ in range(room)])
        if self._inbox:
            self._putter = self._stand_in(queue._putters)
        queue._reserve_places()

    def _move_out(self) -> None:
        queue = self._queue
        if self._getter is not None:
            if not self._getter.done():
                return
            queue._owed -= self._getter.result()
            self._getter = None
        if self._wanting:
            count = min(BATCH, len(queue._items) - queue._owed)
            if count > 0:
                self._outbox.extend(queue._take(count))
            elif queue._at_end():
                self._ended = True
            else:
                self._getter = self._stand_in(queue._getters)
        queue._reserve_items()

    def _report_finished(self) -> None:
        for _ in range(self._finished):
            self._queue.task_done()
        self._finished = 0

    def _stand_in(self, lot: WaitQueue) -> _Turn:
        turn = _Turn(self._turn_came)
        lot.append(turn)
        return turn

    def _turn_came(self) -> None:
        with self._changed:
            self._call_loop()

    def _leave(self, turn: _Turn | None, lot: WaitQueue) -> None:
        if turn is not None:
            self._queue._left(lot, turn)
