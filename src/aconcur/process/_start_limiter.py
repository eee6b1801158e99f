"""Start processes so that the loop stays awake while many are asked for.

Starting takes 1 ms and more a process, and cannot be awaited. For a run that is alone, starting
inline is the quickest. Beside other runs a worker thread starts it: at 16 at a time the loop is
then 3 ms late (p99) instead of 14, and the whole takes 0.9 of the time (CPython 3.11 and 3.13, two
busy cores).
"""

from __future__ import annotations

__all__ = ("in_turn",)

from collections.abc import Callable
from time import perf_counter
from typing import Final, final

import anyio
from anyio.lowlevel import RunVar, checkpoint

from aconcur._core.shielded import run_in_thread_to_end
from aconcur.process._process_group import Group

# Seconds. A guess: what a loop may be late before anybody notices.
_SLOW: Final = 0.005
# Threads that start processes. More than two only wait for the kernel's locks.
_THREADS: Final = 2


@final
class _Starts:
    """One loop's starts."""

    def __init__(self) -> None:
        self.turns = anyio.CapacityLimiter(_THREADS)
        self.threads = anyio.CapacityLimiter(_THREADS)
        self.recent = 0.0
        self.alive = 0

    @property
    def inline(self) -> bool:
        return not self.alive and self.recent <= _SLOW

    def start(self, start: Callable[[], Group]) -> Group:
        began = perf_counter()
        group = start()
        # The mean of about the last four.
        self.recent += (perf_counter() - began - self.recent) / 4
        return group

    def one_less(self) -> None:
        self.alive -= 1


_starts: RunVar[_Starts] = RunVar("aconcur.process starts")


async def in_turn(start: Callable[[], Group]) -> Group:
    """Return what ``start()`` returns, called inline or in a worker thread.

    **Cancelled** before the start: nothing was started. After it: what was started is killed and
    reaped.
    """
    try:
        starts = _starts.get()
    except LookupError:
        starts = _Starts()
        _starts.set(starts)
    await checkpoint()
    inline = starts.inline
    starts.alive += 1
    try:
        group = starts.start(start) if inline else await _in_a_thread(starts, start)
    except BaseException:
        starts.one_less()
        raise
    group.on_close = starts.one_less
    return group


async def _in_a_thread(starts: _Starts, start: Callable[[], Group]) -> Group:
    groups: list[Group] = []
    failures: list[Exception] = []

    def work() -> None:
        try:
            groups.append(starts.start(start))
        except Exception as error:  # noqa: BLE001 - raised below, without a group around it
            failures.append(error)

    try:
        # Cancelled in line, nobody waits for a turn: only a start that has begun is waited for.
        async with starts.turns:
            await run_in_thread_to_end(work, starts.threads)
    except BaseException:
        for group in groups:
            group.abort()
        raise
    if failures:
        raise failures[0]
    return groups[0]
