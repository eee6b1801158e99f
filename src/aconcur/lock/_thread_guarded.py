"""A value that threads and tasks share, whatever loops the tasks run on.

Rule: the mutex is held for a few steps of the line, never while waiting or waking.
Rule: a wake-up goes through the event loop of the waiting task; only that loop touches its waiter.
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
from aconcur.lock._line import Turn

T = TypeVar("T")


@final
class ThreadGuarded(Base[T]):
    """A value that threads and tasks share; only the one who holds it can reach it.

    ::

        count = ThreadGuarded(0)

        with count as cell:  # in a thread
            cell.value += 1

        async with count as cell:  # in a task, on any event loop
            cell.value += await sensor()

    All wait in one line and get the value in the order in which they asked. A task that waits
    leaves its event loop free. While it holds the value threads wait for as long as it awaits:
    keep such blocks short.

    **Cancelled** while it waits: this task is out of the line, and a turn that it had just been
    given goes to the next one, task or thread. A thread that waits cannot be cancelled; Ctrl-C
    in the main thread takes it out of the line. **Cancelled** inside the block: what was assigned
    so far stays; use :meth:`update` for all or nothing.

    **Cost**: about 4 µs an uncontended :meth:`update` in a task, 5 µs an :meth:`update_sync` in a
    thread, ten times a plain ``threading.Lock`` (``python -m benchmarks.lock``): where only threads
    meet, that one is enough.

    A task must not wait for a thread that needs the value it holds: nothing can see that circle.

    Args:
        value: the first value; after this only cells, :meth:`update` and :meth:`update_sync`
            reach it.

    Raises:
        AlreadyHeldError: a task or thread asks for what it holds.
        BlockedLoopError: ``with`` or :meth:`update_sync` where an event loop runs.
        OtherLoopError: the value is held by a task whose loop was closed under it.
    """

    __slots__ = ("_mutex",)

    def __init__(self, value: T) -> None:
        super().__init__(value)
        # It can be taken twice by one thread: the garbage collector may close a waiting task,
        # which then leaves the line, while this thread is at the line itself.
        self._mutex: AbstractContextManager[object] = RLock()

    def statistics(self) -> GuardedStatistics:
        """Return who holds the value and how many wait, all at one moment."""
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
        """Replace the value by ``fn(value)`` from a thread: ``update`` without await.

        When ``fn`` raises, the value is as before and free for the next in line.

        Returns:
            The new value.

        Raises:
            AlreadyHeldError: this thread holds the value.
            BlockedLoopError: an event loop runs in this thread.
        """
        turn = self._enter_sync()
        try:
            new = self._line.value = fn(self._line.value)
            return new
        finally:
            self._leave(turn)

    async def _enter(self) -> Turn:
        task, loop = current_task_and_loop()
        turn = Turn(task, loop)
        if not self._take(turn):
            waiter = make_waiter()
            turn.wake = partial(wake_on, loop, waiter)
            try:
                if not self._join(turn):
                    await waiter
            except BaseException:
                # Not CancelledError alone: a task that is collected is closed by GeneratorExit.
                self._leave(turn)
                raise
        return turn

    def _enter_sync(self) -> Turn:
        if current_loop() is not None:
            raise BlockedLoopError
        turn = Turn(current_thread(), None)
        if not self._take(turn):
            gate = Lock()
            gate.acquire()

            def wake() -> bool:
                gate.release()
                return True

            turn.wake = wake
            try:
                if not self._join(turn):
                    gate.acquire()
            except BaseException:
                self._leave(turn)
                raise
        return turn

    def _take(self, turn: Turn) -> bool:
        with self._mutex:
            if self._line.take(turn):
                return True
            self._refuse_reentry(turn)
            self._refuse_lost()
            return False

    def _join(self, turn: Turn) -> bool:
        # By now the value may be free again: joining asks once more.
        with self._mutex:
            return self._line.join(turn)

    def _refuse_lost(self) -> None:
        holder = self._line.holder
        if holder is not None and holder.loop is not None and has_ended(holder.loop):
            raise OtherLoopError(holder.name, ended=True)

    def _leave(self, turn: Turn) -> None:
        while True:
            with self._mutex:
                following = self._line.leave(turn)
            if following is None or following.wake():
                return
            # It was cancelled, or its loop closed under it: it will never come, its turn is over.
            turn = following
