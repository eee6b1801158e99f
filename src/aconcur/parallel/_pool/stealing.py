"""Take back items that a busy worker has not begun, for a worker that is idle.

A worker writes on its page which items it is about to begin, then reads there whether its job is
cancelled, then begins them. To take items back, the pool writes the cancellation, waits until the
worker must see it, and then reads which items were begun. So at least one of the two sees what the
other wrote: no item is begun twice, and a worker that is deep in an item needs no message.

Source: this order of writes and reads is that of Dekker's algorithm. The wait stands for its memory
barriers, which Python cannot express.
"""

from __future__ import annotations

__all__ = ("Stealing",)

from collections.abc import Callable, Sequence
from typing import Final, final

import anyio

from aconcur._core.wait_queue import WaitQueue, wait_in
from aconcur.parallel._pool.statistics import Counters
from aconcur.parallel._pool.worker import Worker

# Seconds to wait before items are taken back. Half of a chunk's time: most come back by themselves.
_PATIENCE: Final = 0.002
# Seconds after which one processor sees what another wrote. It takes well under a microsecond.
_SEEN: Final = 0.001


@final
class Stealing:
    """Takes items back from workers that have too many while others have none.

    Args:
        workers: the supervisor's list.
        counters: where items that come back are counted.
        pump: gives work to idle workers.
    """

    def __init__(
        self, workers: Sequence[Worker], counters: Counters, pump: Callable[[], None]
    ) -> None:
        self._workers, self._counters, self._pump = workers, counters, pump
        self._waiters = WaitQueue()
        self._wanted = False

    def consider(self) -> None:
        """Look for items to take back, because a worker is idle."""
        if any(map(self._has_too_much, self._workers)):
            self._wanted = True
            self._waiters.wake()

    def release(self, worker: Worker) -> None:
        """Accept that a worker has answered for all that it had: it may get work again."""
        worker.set_victim_of(None)
        worker.cancel(0)

    async def run(self) -> None:
        """Take items back until cancelled."""
        while True:
            while not self._wanted:
                await wait_in(self._waiters)
            await anyio.sleep(_PATIENCE)
            self._wanted = False
            if asked := self._cancel_unbegun():
                await anyio.sleep(_SEEN)
                for worker in asked:
                    self._take_back(worker)
                self._pump()

    def _has_too_much(self, worker: Worker) -> bool:
        in_flight = worker.in_flight
        if not in_flight or worker.victim_of is not None or not worker.usable:
            return False
        if len(in_flight) == 1 and len(in_flight[0].items) == 1:
            return False
        # The page has room for one cancelled job, and another one may just be stopped.
        return all(chunk.owner.open for chunk in in_flight)

    def _cancel_unbegun(self) -> list[Worker]:
        """Cancel, on the pages of workers with too much, what they have not begun."""
        if all(worker.in_flight for worker in self._workers):
            return []
        asked = [worker for worker in self._workers if self._has_too_much(worker)]
        for worker in asked:
            owner = worker.in_flight[-1].owner
            worker.set_victim_of(owner)
            worker.cancel(owner.number)
        return asked

    def _take_back(self, worker: Worker) -> None:
        owner = worker.victim_of
        if owner is None or not owner.open or not worker.in_flight:
            return
        begun = worker.count_begun(worker.in_flight[0])
        if not begun:
            return  # it is between two chunks, and will hand them back itself
        for place, chunk in enumerate(worker.in_flight):
            if chunk.owner is owner:
                count = owner.take_back(chunk, 0 if place else begun)
                self._counters.handed_back += count
                worker.give_credit(count)
