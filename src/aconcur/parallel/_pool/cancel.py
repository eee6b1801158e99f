"""Stop work that is no longer wanted.

The worker of a map may finish the item that it works on within a moment, so that leaving a map of
short items costs no process. A worker of a call, or one that does not finish in time, is killed. If
the call or map has a grace period, TaskCancelled is raised in the task first, and a worker whose
task has cleaned up by then goes on living.
"""

from __future__ import annotations

__all__ = ("Canceller", "Spawn")

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, final

import anyio

from aconcur.parallel._map.chunk import Owner
from aconcur.parallel._pool.worker import REPEAT, Worker

Spawn: TypeAlias = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]
"""Runs a task in the background."""

# Seconds in which the worker of a map that was left may finish its item; a guess.
_PATIENCE: Final = 0.1
# Seconds between two looks at a task that cleans up; the looks are cheap.
_LONGEST: Final = 1.0


@final
class Canceller:
    """Stops work.

    Args:
        workers: the supervisor's list.
        spawn: runs a task in the background.
    """

    def __init__(self, workers: Sequence[Worker], spawn: Spawn) -> None:
        self._workers, self._spawn = workers, spawn

    def stop(self, owner: Owner, *, at_once: bool) -> None:
        """Stop the owner's work after the current items, or ``at_once``."""
        concerned = [worker for worker in self._workers if worker.works_for(owner)]
        for worker in concerned:
            # The page has room for one cancelled job.
            if worker.victim_of in (None, owner):
                worker.cancel(owner.number)
        if not concerned:
            return
        if at_once and not owner.grace:
            self._kill_workers_of(owner)
        self._spawn(partial(self._stop_late, owner, 0 if at_once and owner.grace else _PATIENCE))

    async def _stop_late(self, owner: Owner, patience: float) -> None:
        await anyio.sleep(patience)
        if owner.grace:
            with anyio.move_on_after(owner.grace):
                await self._interrupt_workers_of(owner)
        while self._kill_workers_of(owner):  # noqa: ASYNC110 - it waits for a time, not a state
            await anyio.sleep(_PATIENCE)

    async def _interrupt_workers_of(self, owner: Owner) -> None:
        """Let the tasks of the owner clean up, until all have ended."""
        pause = REPEAT
        while any(worker.works_for(owner) for worker in self._workers):
            for worker in self._workers:
                if worker.in_flight and worker.in_flight[0].owner is owner and not worker.killed:
                    worker.interrupt(worker.in_flight[0])
            await anyio.sleep(pause)
            pause = min(2 * pause, _LONGEST)

    def _kill_workers_of(self, owner: Owner) -> bool:
        """Kill the workers that work for the owner; return whether any still has work of it."""
        left = False
        for worker in self._workers:
            if worker.in_flight and worker.in_flight[0].owner is owner and not worker.killed:
                worker.kill()
            left = left or worker.works_for(owner)
        return left
