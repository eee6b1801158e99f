"""Stop what runs of a map or a call that nobody wants any more.

Law: a worker of a map may end the item at hand, within a moment; after that it is killed, with a
signal that cannot be caught, so nothing is waited for. A worker of a call is killed at once.
"""

from __future__ import annotations

__all__ = ("Leaving",)

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, final

import anyio

from aconcur.parallel._chunk import Owner
from aconcur.parallel._recall import Recall
from aconcur.parallel._worker import Worker

Spawn: TypeAlias = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]

# Seconds in which the worker of a map that is left may come to the end of its item; a guess.
_GRACE: Final = 0.1


@final
class Leaving:
    """The stopping of work.

    Args:
        workers: the crew's own list.
        recall: which may have called off something else on a worker's page.
        spawn: runs a task of the crew's.
    """

    def __init__(self, workers: Sequence[Worker], recall: Recall, spawn: Spawn) -> None:
        self._workers, self._recall, self._spawn = workers, recall, spawn

    def leave(self, owner: Owner, *, at_once: bool) -> None:
        """Stop what runs of it after the items at hand, or ``at_once``."""
        concerned = [worker for worker in self._workers if _works_for(worker, owner)]
        for worker in concerned:
            if self._recall.is_of(worker, owner):
                worker.cancel(owner.number)
        if concerned:
            if at_once:
                self._kill_those_at(owner)
            self._spawn(partial(self._kill_late, owner))

    async def _kill_late(self, owner: Owner) -> None:
        await anyio.sleep(_GRACE)
        while self._kill_those_at(owner):  # noqa: ASYNC110 - what it waits for is a time
            await anyio.sleep(_GRACE)

    def _kill_those_at(self, owner: Owner) -> bool:
        """Kill those at work for the owner; return whether any have work of it left."""
        left = False
        for worker in self._workers:
            if worker.flying and worker.flying[0].owner is owner and not worker.killed:
                worker.kill()
            left = left or _works_for(worker, owner)
        return left


def _works_for(worker: Worker, owner: Owner) -> bool:
    return any(chunk.owner is owner for chunk in worker.flying)
