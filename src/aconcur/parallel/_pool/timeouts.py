"""Kill workers that exceed an item's timeout."""

from __future__ import annotations

__all__ = ("Timeouts", "with_timeouts")

import time
from collections.abc import Sequence
from typing import Any, Final, final

import anyio

from aconcur._core.wait_queue import WaitQueue, wait_in
from aconcur._pool_worker.task import TaskCancelled
from aconcur.parallel._map.chunk import Chunk, Owner
from aconcur.parallel._pool.worker import REPEAT, Worker

_NEVER: Final = float("inf")
_CANCELLED: Final = f"{TaskCancelled.__module__}.{TaskCancelled.__qualname__}"


def with_timeouts(chunk: Chunk, errors: dict[int, Any]) -> dict[int, Any]:
    """Return the errors, with those of tasks that ended because of their timeout replaced."""
    owner = chunk.owner
    if owner.timeout is None:
        return errors
    return {
        at: owner.expired(chunk, at) if packed[1] == _CANCELLED else packed
        for at, packed in errors.items()
    }


@final
class Timeouts:
    """Watches the items of the calls and maps that have a timeout.

    Args:
        workers: the supervisor's list.
    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers
        self._limits: dict[int, float] = {}
        self._next_look = _NEVER
        self._watchers = WaitQueue()

    def watch(self, owner: Owner) -> None:
        """Watch the items of an owner, if it has a timeout."""
        if owner.timeout is not None:
            self._limits[owner.number] = owner.timeout
            if time.monotonic() + owner.timeout < self._next_look:
                self._watchers.wake()

    def unwatch(self, owner: Owner) -> None:
        """Stop watching the items of an owner."""
        self._limits.pop(owner.number, None)

    async def run(self) -> None:
        """Kill late workers until cancelled."""
        while True:
            left = self._kill_late_workers()
            self._next_look = time.monotonic() + left
            with anyio.move_on_after(left):
                await wait_in(self._watchers)

    def _kill_late_workers(self) -> float:
        """Return the seconds until another worker can be late."""
        # An item that begins from now on cannot be late before the shortest timeout has passed.
        soonest = min(self._limits.values(), default=_NEVER)
        now = time.monotonic_ns()
        for worker in self._workers:
            if not worker.in_flight or worker.killed:
                continue
            chunk = worker.in_flight[0]
            if (limit := chunk.owner.timeout) is None or not (since := worker.busy_since(chunk)):
                continue
            grace = chunk.owner.grace
            left = limit - (now - since) / 1e9
            if left <= 0 < left + grace:
                left += grace
                if not worker.interrupt(chunk):
                    left = min(left, REPEAT)
            if left > 0:
                soonest = min(soonest, left)
            else:
                worker.kill(timed_out=True)
        return soonest
