"""Start processes one after the other, so that the loop stays awake while many are asked for.

Starting takes about 1 ms a process and cannot be awaited. Inline and one a tick, 16 at a time, the
loop is 3 to 4 ms late (p99); in a thread 2 ms, but each start costs 0.2 ms more, and much more
while the main thread computes. Hence inline, as long as starts are quick.
"""

from __future__ import annotations

__all__ = ("in_turn",)

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Final, final

import anyio
from anyio.lowlevel import RunVar, checkpoint

from aconcur._core.waiting import in_worker_thread
from aconcur.process._group import Group

# Seconds. A guess: what a loop may be late before anybody notices.
_SLOW: Final = 0.005
# Threads that start processes. More than two only wait for the kernel's locks.
_THREADS: Final = 2


@final
class _Turn:
    """One loop's starts."""

    def __init__(self) -> None:
        self.lock = anyio.Lock(fast_acquire=True)
        self.limiter = anyio.CapacityLimiter(_THREADS)
        self.recent = 0.0

    def timed(self, start: Callable[[], Group]) -> Group:
        began = perf_counter()
        group = start()
        # The mean of about the last four.
        self.recent += (perf_counter() - began - self.recent) / 4
        return group


_turn: RunVar[_Turn] = RunVar("aconcur.process turn")


async def in_turn(start: Callable[[], Group]) -> Group:
    """Return what ``start()`` returns, called on a tick of its own.

    **Cancelled** before the start: nothing was started. After it: what was started is killed and
    reaped.
    """
    try:
        turn = _turn.get()
    except LookupError:
        turn = _Turn()
        _turn.set(turn)
    if turn.recent > _SLOW:
        return await _in_a_thread(turn, start)
    async with turn.lock:
        await checkpoint()
        return turn.timed(start)


async def _in_a_thread(turn: _Turn, start: Callable[[], Group]) -> Group:
    groups: list[Group] = []
    try:
        await in_worker_thread(partial(_append, groups, turn, start), turn.limiter)
    except BaseException as error:
        for group in groups:
            group.abort()
        if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            raise error.exceptions[0] from None  # noqa: ASYNC104 - what the start raised
        raise
    return groups[0]


def _append(groups: list[Group], turn: _Turn, start: Callable[[], Group]) -> None:
    groups.append(turn.timed(start))
