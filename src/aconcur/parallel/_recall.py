"""Take back what a busy worker has not begun, when another has nothing to do.

A worker tells on the page that it shares with its pool which items it is about to begin; then it
looks whether they have been called off; then it begins them. Whoever takes items back calls them
off, waits until that is seen, and looks then what has been begun. So one of the two sees the other:
no item is begun twice, and no message is needed from a worker that is deep in its item.

Source: the order of writing and reading is that of Dekker's algorithm; the wait stands for its
memory barriers, for which Python has no word.
"""

from __future__ import annotations

__all__ = ("Recall",)

from collections.abc import Callable, Sequence
from typing import Final, final

import anyio

from aconcur._core.wait_queue import WaitQueue, wait_in
from aconcur.parallel._chunk import Chunk, Owner
from aconcur.parallel._statistics import Tally
from aconcur.parallel._worker import Worker

# Seconds for which nobody minds: half of a chunk's time, so most come back by themselves.
_PATIENCE: Final = 0.002
# Seconds after which one processor sees what another has written: some thousand times too many.
_SEEN: Final = 0.001


@final
class Recall:
    """Watches over workers that have too much while others have nothing.

    Args:
        workers: the crew's own list.
        tally: where items that come back are counted.
        pump: gives work to those who have none.
    """

    def __init__(self, workers: Sequence[Worker], tally: Tally, pump: Callable[[], None]) -> None:
        self._workers, self._tally, self._pump = workers, tally, pump
        self._concerned: dict[Worker, Owner] = {}
        self._lot = WaitQueue()
        self._wanted = False

    def concerns(self, worker: Worker) -> bool:
        """Whether it is to be given nothing, until it has answered for all that it has."""
        return worker in self._concerned

    def is_of(self, worker: Worker, owner: Owner) -> bool:
        """Whether items of this owner are being taken back from it, or of nobody."""
        return self._concerned.get(worker, owner) is owner

    def consider(self) -> None:
        """Take it that somebody has nothing to do."""
        if any(map(self._has_too_much, self._workers)):
            self._wanted = True
            self._lot.wake()

    def is_over(self, worker: Worker, *, dead: bool = False) -> None:
        """Take it that a worker has answered for all that it had, or is dead."""
        if self._concerned.pop(worker, None) is not None and not dead:
            worker.cancel(0)

    async def watch(self) -> None:
        """Take back, for ever."""
        while True:
            while not self._wanted:
                await wait_in(self._lot)
            await anyio.sleep(_PATIENCE)
            self._wanted = False
            if asked := self._ask():
                await anyio.sleep(_SEEN)
                for worker in asked:
                    self._take_back(worker)
                self._pump()

    def _has_too_much(self, worker: Worker) -> bool:
        flying = worker.flying
        if not flying or worker in self._concerned or not worker.usable:
            return False
        if len(flying) == 1 and len(flying[0].items) == 1:
            return False
        # The page calls off one map at a time, and perhaps another one is being left.
        return all(chunk.owner.open for chunk in flying)

    def _ask(self) -> list[Worker]:
        """Call off what has not been begun by those who have too much; return them."""
        if all(worker.flying for worker in self._workers):
            return []
        asked = [worker for worker in self._workers if self._has_too_much(worker)]
        for worker in asked:
            owner = worker.flying[-1].owner
            self._concerned[worker] = owner
            worker.cancel(owner.number)
        return asked

    def _take_back(self, worker: Worker) -> None:
        owner = self._concerned.get(worker)
        if owner is None or not owner.open or not worker.flying:
            return
        begun = _begun(worker, worker.flying[0])
        if not begun:
            return  # it is between two chunks: it will hand them back
        for place, chunk in enumerate(worker.flying):
            if chunk.owner is owner:
                count = owner.take_back(chunk, 0 if place else begun)
                self._tally.handed_back += count
                if worker.tasks is not None:
                    worker.tasks += count


def _begun(worker: Worker, chunk: Chunk) -> int:
    """Return how many items of the chunk under work have been begun; 0 if it is not under work."""
    before = worker.under_work(chunk)
    # It may have gone on to the next chunk while its page was read.
    return before[1] if worker.under_work(chunk) == before else 0
