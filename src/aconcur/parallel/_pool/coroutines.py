"""Coroutine functions in the event loops of workers: calls, and maps of one message an item.

A worker runs many coroutines at once, beside its other work. If it dies with several of them, none
is known to be at fault: items of maps are done again, each alone in a worker, and only then is one
blamed.
"""

from __future__ import annotations

__all__ = ("Coroutines",)

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, final

from aconcur._pool_worker.codec import (
    ASYNC_CALL,
    ASYNC_ITEM,
    CANCEL,
    NOTHING,
    UNREADABLE,
    Encoded,
    Frame,
)
from aconcur._pool_worker.serve import STAR
from aconcur.parallel._errors import rebuilt
from aconcur.parallel._map.chunk import Chunk, Death
from aconcur.parallel._map.job import Job
from aconcur.parallel._pickling import Sender
from aconcur.parallel._pool.call import Call
from aconcur.parallel._pool.cancel import Spawn
from aconcur.parallel._pool.encoding import encode_items
from aconcur.parallel._pool.statistics import Counters
from aconcur.parallel._pool.timeouts import with_timeouts
from aconcur.parallel._pool.worker import Worker

# How many items of maps a worker runs at once; a guess, twice that of aiomultiprocess.
_MOST: Final = 32


@final
class Coroutines:
    """Gives coroutines to the workers that run the fewest. A Runner for maps.

    Args:
        workers: the supervisor's list.
        size: how many workers the pool keeps.
        counters: the pool's figures.
        sender: pickles what is sent.
        spawn: runs a task in the background.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        size: int,
        counters: Counters,
        sender: Sender,
        spawn: Spawn,
    ) -> None:
        self.size: int = size
        self.spawn: Spawn = spawn
        """Run a task in the background."""
        self.maps: deque[Job] = deque()
        """The maps under way."""
        self.waiting: deque[Call] = deque()
        """The calls that have no worker yet."""
        self._workers, self._counters, self._sender = workers, counters, sender
        self._functions: dict[int, Encoded] = {}
        self._suspects = deque[Chunk]()  # they wait for a worker that runs nothing else
        self._alone = set[Worker]()  # workers that run a suspect

    # ------------------------------------------------------------- what it is asked for

    def call(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> Call:
        """Start a call."""
        message = self._sender.encode_call(function, (function, arguments, options))
        call = Call(function, arguments, message, None, 0.0, self._send_call)
        self._send_call(call)
        return call

    def end_call(self, call: Call) -> None:
        """Accept that a call has ended, or cancel it."""
        if call.open:
            call.abandon()
            self._cancel(lambda chunk: chunk is call.chunk)

    def add(self, job: Job, function: Encoded) -> None:
        """Start a map."""
        self._functions[job.number] = function
        self.maps.append(job)

    def dismiss(self, job: Job) -> None:
        """Cancel the coroutines of a map whose results are no longer wanted."""
        if job not in self.maps:
            return
        self.maps.remove(job)
        self._functions.pop(job.number, None)
        self._suspects = deque(chunk for chunk in self._suspects if chunk.owner is not job)
        self._cancel(lambda chunk: chunk.owner is job)
        for worker in self._workers:
            worker.forget(job.number)

    def _cancel(self, concerned: Callable[[Chunk], bool]) -> None:
        for worker in self._workers:
            for number, chunk in worker.coroutines.items():
                if concerned(chunk):
                    worker.connection.send(CANCEL, NOTHING, number)

    # --------------------------------------------------------------- giving work

    def _candidates(self) -> list[Worker]:
        return [one for one in self._workers if one.usable and one not in self._alone]

    def _send_call(self, call: Call) -> None:
        """Send a call to the worker that runs the fewest coroutines, or let it wait for one."""
        if not (candidates := self._candidates()):
            self.waiting.append(call)
            return
        worker = min(candidates, key=_load)
        worker.coroutines[call.chunk.number] = call.chunk
        worker.connection.send(ASYNC_CALL, call.message, call.number, call.chunk.number)

    def pump(self) -> None:
        """Start as many coroutines of maps as there is room for; maps take turns."""
        for _ in range(len(self.waiting)):
            call = self.waiting.popleft()
            if call.open:
                self._send_call(call)
        without = 0
        while without < len(self.maps) and not self._suspects_wait():
            job = self.maps[0]
            self.maps.rotate(-1)
            without = 0 if self._give_item(job) else without + 1

    def _suspects_wait(self) -> bool:
        """Send suspects to workers that run nothing; return whether others still wait for one."""
        while self._suspects:
            worker = next((one for one in self._candidates() if not one.coroutines), None)
            if worker is None:
                return True  # nothing else is started until a worker has ended what it runs
            self._alone.add(worker)
            self._send_item(worker, self._suspects.popleft())
        return False

    def _give_item(self, job: Job) -> bool:
        if job.exhausted or not (candidates := self._candidates()):
            return False
        worker = min(candidates, key=_load)
        # The first worker that has started does not get all of a few items.
        share = -(-job.total // self.size) if job.total else _MOST
        if len(worker.coroutines) >= min(_MOST, share) or (chunk := job.next_chunk(1)) is None:
            return False
        if chunk.deaths:
            self._suspects.append(chunk)
        else:
            self._send_item(worker, chunk)
        return True

    def _send_item(self, worker: Worker, chunk: Chunk) -> None:
        job = chunk.owner
        assert isinstance(job, Job)
        message = encode_items(self._sender, job, chunk, chunk.items[0])
        if message is None:
            self._alone.discard(worker)
            return
        chunk.bytes = message.total
        worker.learn(job.number, self._functions[job.number])
        worker.coroutines[chunk.number] = chunk
        self._counters.chunks += 1
        timeout = 0.0 if job.timeout is None else job.timeout
        worker.connection.send(
            ASYNC_ITEM, message, job.number, chunk.number, STAR * job.star, timeout
        )

    # --------------------------------------------------------------- what comes back

    def on_answer(
        self,
        worker: Worker,
        frame: Frame,
        value: Any,  # noqa: ANN401 - as sent
        unreadable: Exception | None,
    ) -> None:
        """Accept the answer of a coroutine."""
        chunk = worker.coroutines.pop(frame.chunk)
        self._alone.discard(worker)
        if frame.kind == UNREADABLE:
            unreadable = rebuilt(value)
        if unreadable is not None:
            chunk.owner.unreadable(chunk, unreadable)
        else:
            results, errors = value
            errors = with_timeouts(chunk, errors) if errors else errors
            chunk.owner.finish(chunk, results, errors, frame.seconds, frame.total)
            self._counters.done += 1
        self.pump()

    def on_death(self, worker: Worker, death: Death) -> None:
        """Give back the coroutines of a worker that has ended."""
        self._alone.discard(worker)
        chunks = [*worker.coroutines.values()]
        worker.coroutines.clear()
        for chunk in chunks:
            owner = chunk.owner
            if not worker.ready:
                owner.put_back(chunk)
            elif isinstance(owner, Call) or (len(chunks) == 1 and not worker.in_flight):
                owner.crashed(chunk, 0, 1, death)
            else:
                chunk.deaths += 1
                owner.put_back(chunk)


def _load(worker: Worker) -> int:
    return len(worker.coroutines)
