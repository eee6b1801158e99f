"""Kill who takes too long for an item."""

from __future__ import annotations

__all__ = ("TimeLimits",)

import time
from collections.abc import Sequence
from typing import final

import anyio

from aconcur._core.wait_queue import WaitQueue, wait_in
from aconcur.parallel._chunk import Owner
from aconcur.parallel._worker import Worker

_NEVER = float("inf")


@final
class TimeLimits:
    """The time limits of a pool's calls and maps.

    Args:
        workers: the crew's own list.
    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers
        self._limits: dict[int, float] = {}
        self._horizon = _NEVER
        self._watchers = WaitQueue()

    def heed(self, owner: Owner) -> None:
        """Watch over the items of an owner, if it has a limit."""
        if owner.timeout is not None:
            self._limits[owner.number] = owner.timeout
            if time.monotonic() + owner.timeout < self._horizon:
                self._watchers.wake()

    def forget(self, owner: Owner) -> None:
        """Watch over it no more."""
        self._limits.pop(owner.number, None)

    async def watch(self) -> None:
        """Watch, for ever."""
        while True:
            left = self._kill_the_late()
            self._horizon = time.monotonic() + left
            with anyio.move_on_after(left):
                await wait_in(self._watchers)

    def _kill_the_late(self) -> float:
        """Return the seconds until the next one can be late."""
        # What begins from now on is not late before.
        soonest = min(self._limits.values(), default=_NEVER)
        now = time.monotonic_ns()
        for worker in self._workers:
            if not worker.flying or worker.killed:
                continue
            chunk = worker.flying[0]
            if (limit := chunk.owner.timeout) is None or not (since := worker.since(chunk)):
                continue
            left = limit - (now - since) / 1e9
            if left > 0:
                soonest = min(soonest, left)
            else:
                worker.timed_out = True
                worker.kill()
        return soonest
