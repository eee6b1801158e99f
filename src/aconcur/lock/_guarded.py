"""A value that tasks of one event loop share."""

from __future__ import annotations

__all__ = ("Guarded",)

from functools import partial
from typing import TypeVar

from aconcur._core.loops import current_task_and_loop, has_ended
from aconcur._core.wait_queue import make_waiter, wake
from aconcur.lock._base import Base
from aconcur.lock._errors import OtherLoopError
from aconcur.lock._line import Turn

T = TypeVar("T")


class Guarded(Base[T]):
    """A value that only the one who holds it can reach.

    There is no value without the lock, so nobody forgets the lock::

        count = Guarded(0)
        async with count as cell:
            cell.value += await sensor()

    Tasks get it in the order in which they asked. It is made anywhere, also at the top of a
    module, and serves one event loop after another, asyncio and trio; for several at once, and
    for threads, there is :class:`ThreadGuarded`. A value whose updates never await in their
    middle needs no guard at all: on one loop nobody can come in between.

    **Cancelled** while it waits: this task is out of the line, and a turn that it had just been
    given goes to the next one. This holds for anyio's and trio's cancel scopes and for asyncio's
    own ``Task.cancel()``. **Cancelled** inside the block: what was assigned so far stays; use
    :meth:`update` for all or nothing.

    **Cost**: about 3 µs an uncontended :meth:`update` on asyncio and on trio, where the plain locks
    take 1.2 and 11 µs, and 4 µs a block; nothing else runs meanwhile. A turn that is waited for
    costs about as much as one of ``asyncio.Lock``, 15 to 30 µs (``python -m benchmarks.lock``).

    The line is our own and not :class:`anyio.Lock`, which is exact too but stays with the kind of
    loop that used it first, keeps silent when two loops use it at once, and pauses at every
    acquire unless told otherwise.

    Args:
        value: the first value; after this only the cell and :meth:`update` reach it.

    Raises:
        AlreadyHeldError: a task asks for what it holds.
        OtherLoopError: the value is held on another event loop.
    """

    __slots__ = ()

    async def _enter(self) -> Turn:
        task, loop = current_task_and_loop()
        turn = Turn(task, loop)
        if not self._line.take(turn):
            self._refuse_reentry(turn)
            self._refuse_other_loop(turn)
            await self._wait(turn)
        return turn

    async def _wait(self, turn: Turn) -> None:
        waiter = make_waiter()
        turn.wake = partial(wake, waiter)
        self._line.join(turn)
        try:
            await waiter
        except BaseException:
            # Not CancelledError alone: a task that is collected is closed by GeneratorExit.
            self._leave(turn)
            raise

    def _refuse_other_loop(self, turn: Turn) -> None:
        holder = self._line.holder
        if holder is not None and holder.loop is not None and holder.loop is not turn.loop:
            raise OtherLoopError(holder.name, ended=has_ended(holder.loop))

    def _leave(self, turn: Turn) -> None:
        if following := self._line.leave(turn):
            following.wake()
