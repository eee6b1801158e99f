"""A value that tasks of one event loop share."""

from __future__ import annotations

__all__ = ("Guarded",)

from functools import partial
from typing import TypeVar

from aconcur._core.loops import current_task_and_loop, has_ended
from aconcur._core.wait_queue import make_waiter, wake
from aconcur.lock._base import Base
from aconcur.lock._errors import OtherLoopError
from aconcur.lock._wait_queue import Entry

T = TypeVar("T")


class Guarded(Base[T]):
    """A value that can only be reached while its lock is held.

    The value is inside the lock, so the lock cannot be forgotten::

        count = Guarded(0)
        async with count as cell:
            cell.value += await sensor()

    Tasks get the value in the order in which they asked for it. A ``Guarded`` can be made anywhere,
    also at the top of a module. It serves one event loop after another, asyncio or trio; use
    :class:`ThreadGuarded` to share a value between threads or between loops that run at once.
    You do not need a guard for an update that never awaits between reading and writing: no other
    task of the loop can run in between.

    **Cancelled** while it waits: the task leaves the wait queue, and if it had just been given the
    value, the next task gets it. This holds for the cancel scopes of anyio and trio and for
    asyncio's ``Task.cancel()``. **Cancelled** inside the block: assignments made so far stay; use
    :meth:`update` for all or nothing.

    **Cost**: about 3 µs an uncontended :meth:`update` on asyncio and on trio, where the plain locks
    take 1.2 and 11 µs, and 4 µs a block; no other task runs meanwhile. A contended one costs about
    as much as with ``asyncio.Lock``, 15 to 30 µs (``python -m benchmarks.lock``).

    Args:
        value: the first value; afterwards only the cell and :meth:`update` reach it.

    Raises:
        AlreadyHeldError: a task asks for a value that it holds.
        NotHeldError: a block is left twice, or in another task than it was entered in.
        OtherLoopError: the value is held on another event loop.
    """

    __slots__ = ()

    async def _enter(self) -> Entry:
        task, loop = current_task_and_loop()
        entry = Entry(task, loop)
        if not self._queue.take(entry):
            self._refuse_reentry(entry)
            self._refuse_other_loop(entry)
            await self._wait(entry)
        return entry

    async def _wait(self, entry: Entry) -> None:
        waiter = make_waiter()
        entry.wake = partial(wake, waiter)
        self._queue.join(entry)
        try:
            await waiter
        except BaseException:
            # Not only CancelledError: collecting a task closes it with GeneratorExit.
            self._leave(entry)
            raise

    def _refuse_other_loop(self, entry: Entry) -> None:
        holder = self._queue.holder
        if holder is not None and holder.loop is not None and holder.loop is not entry.loop:
            raise OtherLoopError(holder.name, ended=has_ended(holder.loop))

    def _leave(self, entry: Entry) -> None:
        if following := self._queue.leave(entry):
            following.wake()
