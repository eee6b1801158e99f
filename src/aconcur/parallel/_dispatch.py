"""Work on its way: calls and maps in line, chunks to workers, answers back.

Law 1: calls go first, in the order in which they were made; maps take turns.
Law 2: a second chunk waits in a busy worker's socket only while nobody is idle, no call waits, and
what it waits for is known to be short.
"""

from __future__ import annotations

__all__ = ("Dispatch",)

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, final

from aconcur._worker.codec import Encoded, encode
from aconcur._worker.failures import Packed
from aconcur._worker.frames import CALL, FORGET, FUNCTION, ITEMS, UNREADABLE, Frame
from aconcur._worker.serve import EXACT, KEEP_GOING
from aconcur.parallel._call import Call
from aconcur.parallel._chunk import Chunk, Death, Owner
from aconcur.parallel._failing import rebuilt
from aconcur.parallel._job import Job
from aconcur.parallel._pace import MOST
from aconcur.parallel._recall import Recall
from aconcur.parallel._statistics import Tally
from aconcur.parallel._worker import Worker

Errors: TypeAlias = Mapping[int, Packed]


@final
class Dispatch:
    """What a pool has been asked for.

    Args:
        workers: those who do it; the crew's own list.
        tally: where it is counted.
        pump: the crew's.
    """

    def __init__(self, workers: Sequence[Worker], tally: Tally, pump: Callable[[], None]) -> None:
        self.calls = deque[Call]()
        """Calls that no worker has been given."""
        self.maps = deque[Job]()
        """Maps under way."""
        self.recall: Recall = Recall(workers, tally, pump)
        self._workers, self._tally = workers, tally
        self._functions: dict[int, Encoded] = {}

    # --------------------------------------------------------------- what is asked

    def add(self, job: Job, function: Encoded) -> None:
        """Take on a map."""
        self._functions[job.number] = function
        self.maps.append(job)

    def drop(self, job: Job) -> None:
        """Start no more of a map. What runs of it goes on."""
        self.maps.remove(job)
        self._functions.pop(job.number, None)
        for worker in self._workers:
            if job.number in worker.known:
                worker.known.discard(job.number)
                worker.send_nothing(FORGET, job=job.number)

    def owners(self) -> list[Owner]:
        """Return all that wait for something."""
        flying = [chunk.owner for worker in self._workers for chunk in worker.flying]
        return [*self.calls, *self.maps, *flying]

    # --------------------------------------------------------------- giving work

    def pump(self) -> None:
        """Give work to those who have none; if all have some, to those who will soon have none."""
        someone_idle = False
        for worker in self._workers:
            if not worker.flying and self._may_work(worker):
                self._give(worker)
                someone_idle = someone_idle or not worker.flying
        if someone_idle:
            self.recall.consider()
        elif not self.calls:
            for worker in self._workers:
                if len(worker.flying) == 1 and self._may_work(worker):
                    self._give_ahead(worker)

    def _may_work(self, worker: Worker) -> bool:
        return worker.usable and worker.tasks != 0 and not self.recall.concerns(worker)

    def _give(self, worker: Worker) -> None:
        if self.calls:
            self._give_call(worker, self.calls.popleft())
            return
        for _ in range(len(self.maps)):
            if self._give_next(worker, self._map_whose_turn_it_is()):
                return

    def _give_ahead(self, worker: Worker) -> None:
        if not worker.flying[0].owner.is_quick:
            return
        for _ in range(len(self.maps)):
            job = self._map_whose_turn_it_is()
            if job.is_quick and self._give_next(worker, job):
                return

    def _map_whose_turn_it_is(self) -> Job:
        job = self.maps[0]
        self.maps.rotate(-1)
        return job

    def _give_next(self, worker: Worker, job: Job) -> bool:
        most = MOST if worker.tasks is None else worker.tasks
        while (chunk := job.next_chunk(most)) is not None:
            if self._give_chunk(worker, job, chunk):
                return True
        return False

    def _give_chunk(self, worker: Worker, job: Job, chunk: Chunk) -> bool:
        try:
            message = encode(chunk.items)
        except Exception as error:  # noqa: BLE001 - an item's pickling
            job.unreadable(chunk, error)
            return False
        except BaseException as error:  # noqa: ASYNC103, BLE001 - the consumer raises it
            job.put_back(chunk)
            job.fail(error)
            return False  # noqa: ASYNC104
        if not job.fits(chunk, message.total):
            return False
        if job.number not in worker.known:
            worker.known.add(job.number)
            worker.line.send(FUNCTION, self._functions[job.number], job=job.number)
        flags = EXACT * chunk.exact + KEEP_GOING * job.keep_going
        self._fly(worker, chunk)
        worker.line.send(
            ITEMS,
            message,
            job=job.number,
            chunk=chunk.number,
            flags=flags,
            seconds=job.pace.budget,
        )
        return True

    def _give_call(self, worker: Worker, call: Call) -> None:
        self._fly(worker, call.chunk)
        worker.line.send(CALL, call.message, job=call.number, chunk=call.chunk.number)

    def _fly(self, worker: Worker, chunk: Chunk) -> None:
        worker.flying.append(chunk)
        self._tally.chunks += 1
        if worker.tasks is not None:
            worker.tasks -= len(chunk.items)

    # --------------------------------------------------------------- what comes back

    def land(
        self,
        worker: Worker,
        frame: Frame,
        value: Any,  # noqa: ANN401 - as sent
        unreadable: Exception | None,
    ) -> None:
        """Take what a worker says of a chunk, or of a map's function."""
        if not frame.chunk:
            for job in self.maps:
                if job.number == frame.job:
                    job.fail(rebuilt(value))
            return
        chunk = next(chunk for chunk in worker.flying if chunk.number == frame.chunk)
        worker.flying.remove(chunk)
        if frame.kind == UNREADABLE:
            unreadable = rebuilt(value)
        if unreadable is not None:
            chunk.owner.unreadable(chunk, unreadable)
        else:
            self._finish(worker, chunk, frame, *value)
        if not worker.flying:
            self.recall.is_over(worker)
            if worker.tasks == 0 and worker.usable:
                worker.stop()

    def _finish(
        self, worker: Worker, chunk: Chunk, frame: Frame, results: list[Any], errors: Errors
    ) -> None:
        back = chunk.owner.finish(chunk, results, errors, frame.seconds, frame.total)
        tally = self._tally
        tally.done += len(results)
        tally.seconds += frame.seconds
        tally.handed_back += back
        if worker.tasks is not None:
            worker.tasks += len(chunk.items) - len(results)

    def bury(self, worker: Worker, death: Death) -> None:
        """Give back what a worker had that has ended."""
        self.recall.is_over(worker, dead=True)
        for place, chunk in enumerate(worker.flying):
            if place or not worker.ready:
                chunk.owner.put_back(chunk)
            else:
                chunk.owner.crashed(chunk, *worker.last, death)
        worker.flying.clear()
