"""A value that threads and tasks share, whatever loops the tasks run on.

Invariants
    1. The mutex protects the wait queue. It is held for a few steps, never while waiting or waking.
    2. A wake-up goes through the event loop of the waiting task: only that loop touches its waiter.
    3. A waiter that cannot be woken (it was cancelled, or its loop is closed) passes the value on.
"""

from __future__ import annotations

__all__ = ("ThreadGuarded",)

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from threading import Lock, RLock, current_thread
from types import TracebackType
from typing import TypeVar, final

from aconcur._core.loops import current_loop, current_task_and_loop, has_ended
from aconcur._core.wait_queue import make_waiter, wake_on
from aconcur.lock._base import Base, Cell, GuardedStatistics
from aconcur.lock._errors import BlockedLoopError, OtherLoopError
from aconcur.lock._wait_queue import Entry

T = TypeVar("T")


@final
class ThreadGuarded(Base[T]):
    """A value that threads and tasks share and that can only be reached while its lock is held.

    ::

        count = ThreadGuarded(0)

        with count as cell:  # in a thread
            cell.value += 1

        async with count as cell:  # in a task, on any event loop
            cell.value += await sensor()

    Threads and tasks wait in one queue and get the value in the order in which they asked for it.
    A waiting task leaves its event loop free. While a task holds the value, waiting threads are
    blocked for as long as the task awaits: keep such blocks short.

    **Cancelled** while it waits: the task leaves the wait queue, and if it had just been given the
    value, the next task or thread gets it. A waiting thread cannot be cancelled, but Ctrl-C in the
    main thread makes it leave the queue. **Cancelled** inside the block: assignments made so far
    stay; use :meth:`update` for all or nothing.

    **Cost**: about 4 µs an uncontended :meth:`update` in a task, 5 µs an :meth:`update_sync` in a
    thread, ten times a plain ``threading.Lock`` (``python -m benchmarks.lock``): if only threads
    share the value, ``threading.Lock`` is enough.

    A task that holds the value must not wait for a thread that asks for it: that deadlock cannot be
    detected.

    Args:
        value: the first value; afterwards only cells, :meth:`update` and :meth:`update_sync`
            reach it.

    Raises:
        AlreadyHeldError: a task or thread asks for a value that it holds.
        BlockedLoopError: ``with`` or :meth:`update_sync` in the thread of an event loop.
        NotHeldError: a block is left twice, or in another task or thread than it was entered in.
        OtherLoopError: the value is held by a task whose event loop was closed.
    """

    __slots__ = ("_mutex",)

    def __init__(self, value: T) -> None:
        super().__init__(value)
        # Re-entrant: the garbage collector may close a waiting task while this thread changes the
        # queue, and that task then leaves the queue in this thread.
        self._mutex: AbstractContextManager[object] = RLock()

    def statistics(self) -> GuardedStatistics:
        """Return a consistent snapshot: holder, number of waiters, how often it was taken."""
        with self._mutex:
            return super().statistics()

    def __enter__(self) -> Cell[T]:
        return self._cell(self._enter_sync())

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        self._leave_block()

    def update_sync(self, fn: Callable[[T], T], /) -> T:
        """Replace the value by ``fn(value)`` from a thread, as :meth:`update` does from a task.

        If ``fn`` raises, the value is unchanged and goes to the next waiter.

        Returns:
            The new value.

        Raises:
            AlreadyHeldError: this thread already holds the value.
            BlockedLoopError: an event loop runs in this thread.
        """
        entry = self._enter_sync()
        try:
            new = self._queue.value = fn(self._queue.value)
            return new
        finally:
            self._leave(entry)

    def _current(self) -> object:
        if current_loop() is None:
            return current_thread()
        return super()._current()

    async def _enter(self) -> Entry:
        task, loop = current_task_and_loop()
        entry = Entry(task, loop)
        if not self._take(entry):
            waiter = make_waiter()
            entry.wake = partial(wake_on, loop, waiter)
            try:
                if not self._join(entry):
                    await waiter
            except BaseException:
                # Not only CancelledError: collecting a task closes it with GeneratorExit.
                self._leave(entry)
                raise
        return entry

    def _enter_sync(self) -> Entry:
        if current_loop() is not None:
            raise BlockedLoopError
        entry = Entry(current_thread(), None)
        if not self._take(entry):
            gate = Lock()
            gate.acquire()

            def wake() -> bool:
                gate.release()
                return True

            entry.wake = wake
            try:
                if not self._join(entry):
                    gate.acquire()
            except BaseException:
                self._leave(entry)
                raise
        return entry

    def _take(self, entry: Entry) -> bool:
        with self._mutex:
            if self._queue.take(entry):
                return True
            self._refuse_reentry(entry)
            self._refuse_lost()
            return False

    def _join(self, entry: Entry) -> bool:
        # The value may have become free since _take: join() looks again.
        with self._mutex:
            return self._queue.join(entry)

    def _refuse_lost(self) -> None:
        holder = self._queue.holder
        if holder is not None and holder.loop is not None and has_ended(holder.loop):
            raise OtherLoopError(holder.name, ended=True)

    def _leave(self, entry: Entry) -> None:
        while True:
            with self._mutex:
                following = self._queue.leave(entry)
            if following is None or following.wake():
                return
            # It was cancelled or its loop is closed: pass the value on.
            entry = following
