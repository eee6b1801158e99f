"""The work of a pool: its calls and maps, and which worker gets what.

Calls are started first, in the order in which they were made; maps take turns. A second chunk waits
in a busy worker's socket only while no worker is idle, no call waits, and the work in front of it
is known to be short.
"""

from __future__ import annotations

__all__ = ("Scheduler",)

import asyncio
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, final

from aconcur._core.loops import current_loop
from aconcur._core.wait_queue import get_call_soon_threadsafe
from aconcur._pool_worker.codec import (
    CALL,
    ITEMS,
    LOG,
    NOTHING,
    READY,
    SHARE,
    UNREADABLE,
    UNSHARE,
    Encoded,
    Frame,
)
from aconcur._pool_worker.serve import EXACT, KEEP_GOING, STAR
from aconcur._pool_worker.shared import Shared
from aconcur.parallel._errors import rebuilt
from aconcur.parallel._map.chunk import Death, Owner
from aconcur.parallel._map.chunk_size import MOST
from aconcur.parallel._map.job import Job
from aconcur.parallel._pickling import Sender
from aconcur.parallel._pool.call import Call
from aconcur.parallel._pool.cancel import Canceller, Spawn
from aconcur.parallel._pool.coroutines import Coroutines
from aconcur.parallel._pool.encoding import encode_items
from aconcur.parallel._pool.logs import handle_record
from aconcur.parallel._pool.statistics import Counters
from aconcur.parallel._pool.stealing import Stealing
from aconcur.parallel._pool.timeouts import Timeouts, with_timeouts
from aconcur.parallel._pool.worker import Worker


@final
class Scheduler:
    """Gives work to workers and results to those who wait for them.

    Args:
        workers: the supervisor's list.
        size: how many workers the pool keeps.
        counters: the pool's figures.
        sender: pickles what is sent.
        spawn: runs a task in the background.
        on_start: called with a worker, and its error if its initializer has failed.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        size: int,
        counters: Counters,
        sender: Sender,
        spawn: Spawn,
        on_start: Callable[[Worker, Exception | None], None],
    ) -> None:
        self.size: int = size
        self.sender: Sender = sender
        self.spawn: Spawn = spawn
        """Run a task in the background."""
        self.timeouts: Timeouts = Timeouts(workers)
        self.stealing: Stealing = Stealing(workers, counters, self.pump)
        self.coroutines: Coroutines = Coroutines(workers, size, counters, sender, spawn)
        self._canceller = Canceller(workers, spawn)
        self._workers, self._counters, self._on_start = workers, counters, on_start
        self._calls = deque[Call]()
        self._maps = deque[Job]()
        self._functions: dict[int, Encoded] = {}
        self._shared: dict[int, Encoded] = {}
        self._refusal: Callable[[str], Exception] | None = None
        self._loop = current_loop()
        self._call_soon = get_call_soon_threadsafe()

    @property
    def waiting(self) -> int:
        """How many calls have no worker yet."""
        return len(self._calls)

    @property
    def maps(self) -> int:
        """How many maps are under way."""
        return len(self._maps) + len(self.coroutines.maps)

    # ------------------------------------------------------------- what it is asked for

    def check(self, operation: str, *, in_loop: bool = True) -> None:
        """Refuse work that would not be done.

        Args:
            operation: what the caller calls, for the message.
            in_loop: demand that the pool's event loop runs here.

        Raises:
            PoolClosed: the pool's block has ended.
            WorkerStartError: no worker can be started.
            RuntimeError: another event loop runs here, or none.
        """
        if self._refusal is not None:
            raise self._refusal(operation)
        if not in_loop or asyncio._get_running_loop() is self._loop:  # noqa: SLF001 - cheapest
            return
        if current_loop() is not self._loop:
            raise RuntimeError(
                f"{operation} was called outside of the event loop that opened the pool: open a "
                "pool in this loop, or go through anyio.from_thread.run()"
            )

    def end(self, refusal: Callable[[str], Exception]) -> None:
        """Take no more work, and end all that is under way.

        Args:
            refusal: makes the error, given the operation that is refused.
        """
        if self._refusal is None:
            self._refusal = refusal
        chunks = [
            chunk
            for worker in self._workers
            for chunk in (*worker.in_flight, *worker.coroutines.values())
        ]
        coroutines = self.coroutines
        waiting: list[Owner] = [*self._calls, *self._maps, *coroutines.waiting, *coroutines.maps]
        for owner in [*waiting, *(chunk.owner for chunk in chunks)]:
            if owner.open:
                owner.fail(refusal("run() and map()"))
        self._calls.clear()

    def add(self, job: Job, function: Encoded) -> None:
        """Start a map."""
        self._functions[job.number] = function
        self._maps.append(job)
        if job.timeout is not None:
            self.timeouts.watch(job)

    def dismiss(self, job: Job) -> None:
        """Stop the chunks of a map whose results are no longer wanted."""
        if job not in self._maps:
            return
        self._maps.remove(job)
        self._functions.pop(job.number, None)
        if job.timeout is not None:
            self.timeouts.unwatch(job)
        busy = False
        for worker in self._workers:
            worker.forget(job.number)
            busy = busy or bool(worker.in_flight)
        if busy:
            self._canceller.stop(job, at_once=False)

    def call(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        options: dict[str, Any],
        *,
        timeout: float | None,
        grace: float,
    ) -> Call:
        """Start a call of a function in a worker."""
        message = self.sender.encode_call(function, (function, arguments, options))
        call = Call(function, arguments, message, timeout, grace, self._calls.appendleft)
        self._calls.append(call)
        if timeout is not None:
            self.timeouts.watch(call)
        self.pump()
        return call

    def end_call(self, call: Call) -> None:
        """Accept that a call has ended, or stop it: it is not begun, or its worker is killed."""
        if call.timeout is not None:
            self.timeouts.unwatch(call)
        if call.open:
            call.abandon()
            self.stop_call(call)

    def stop_call(self, call: Call) -> None:
        """Stop the work of a call: it is not begun, or its worker is killed."""
        if call in self._calls:
            self._calls.remove(call)
        elif self._refusal is None:
            self._canceller.stop(call, at_once=True)

    def share(self, value: Any) -> Shared[Any]:  # noqa: ANN401
        """Send a value to all workers, including those that start later."""
        message = self.sender.encode_value(value)
        shared = Shared(value)
        number = shared.number
        assert isinstance(number, int)
        self._shared[number] = message
        for worker in self._workers:
            if worker.usable:
                worker.connection.send(SHARE, message, number)
        # Called wherever the last reference to the handle goes, perhaps in another thread.
        weakref.finalize(shared, self._unshare_soon, number).atexit = False
        return shared

    def _unshare_soon(self, number: int) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._call_soon(partial(self._unshare, number))

    def _unshare(self, number: int) -> None:
        if self._refusal is None and self._shared.pop(number, None) is not None:
            for worker in self._workers:
                if worker.usable:
                    worker.connection.send(UNSHARE, NOTHING, number)

    def welcome(self, worker: Worker) -> None:
        """Send a new worker the shared values, and the calls that wait for one."""
        for number, message in self._shared.items():
            worker.connection.send(SHARE, message, number)
        self.coroutines.pump()

    # --------------------------------------------------------------- giving work

    def pump(self) -> None:
        """Give work to idle workers; if there is none, to those that will soon be idle."""
        if self._refusal is not None:
            return
        idle = surplus = False
        for worker in self._workers:
            in_flight = worker.in_flight
            if not in_flight and worker.accepts:
                self._give(worker)
                idle = idle or not in_flight
            elif len(in_flight) > 1 or (in_flight and len(in_flight[0].items) > 1):
                surplus = True
        if idle:
            if surplus:
                self.stealing.consider()
        elif self._maps and not self._calls:
            self._give_ahead()

    def _give(self, worker: Worker) -> None:
        if self._calls:
            call = self._calls.popleft()
            worker.assign(call.chunk)
            self._counters.chunks += 1
            worker.connection.send(CALL, call.message, call.number, call.chunk.number)
            return
        for _ in range(len(self._maps)):
            if self._give_chunk(worker, self._maps[0]):
                return

    def _give_ahead(self) -> None:
        """Send a second chunk to workers whose first one is short."""
        maps = [job for job in self._maps if not job.exhausted and job.is_quick]
        if not maps:
            return
        for worker in self._workers:
            in_flight = worker.in_flight
            if len(in_flight) != 1 or not in_flight[0].owner.is_quick:
                continue
            if worker.accepts:
                any(self._give_chunk(worker, job) for job in maps)

    def _give_chunk(self, worker: Worker, job: Job) -> bool:
        """Give a worker the next chunk of a map, and let other maps go first next time."""
        if self._maps[0] is job:
            self._maps.rotate(-1)
        most = MOST if worker.tasks is None else worker.tasks
        while not job.exhausted and (chunk := job.next_chunk(most)) is not None:
            message = encode_items(self.sender, job, chunk, chunk.items)
            if message is None or not job.fits(chunk, message.total):
                continue
            worker.learn(job.number, self._functions[job.number])
            worker.assign(chunk)
            self._counters.chunks += 1
            flags = EXACT * chunk.exact + KEEP_GOING * job.keep_going + STAR * job.star
            worker.connection.send(ITEMS, message, job.number, chunk.number, flags, job.budget)
            return True
        return False

    # --------------------------------------------------------------- what comes back

    def on_frame(
        self,
        worker: Worker,
        frame: Frame,
        value: Any,  # noqa: ANN401 - as sent
        unreadable: Exception | None,
    ) -> None:
        """Accept what a worker sends: its answer for a chunk, or that it has started."""
        if not frame.chunk:
            self._on_frame_of_no_chunk(worker, frame, value)
            return
        if frame.chunk in worker.coroutines:
            self.coroutines.on_answer(worker, frame, value, unreadable)
            return
        in_flight = worker.in_flight
        chunk = in_flight[0]
        if chunk.number != frame.chunk:
            chunk = next(one for one in in_flight if one.number == frame.chunk)
        in_flight.remove(chunk)
        if frame.kind == UNREADABLE:
            unreadable = rebuilt(value)
        if unreadable is not None:
            chunk.owner.unreadable(chunk, unreadable)
        else:
            results, errors = value
            if errors and worker.interrupted == chunk.number:
                errors = with_timeouts(chunk, errors)
            counters = self._counters
            counters.handed_back += chunk.owner.finish(
                chunk, results, errors, frame.seconds, frame.total
            )
            counters.done += len(results)
            counters.seconds += frame.seconds
            if worker.tasks is not None:
                worker.give_credit(len(chunk.items) - len(results))
        if not in_flight:
            if worker.victim_of is not None:
                self.stealing.release(worker)
            if worker.tasks == 0 and worker.usable:
                worker.stop()
        self.pump()

    def _on_frame_of_no_chunk(self, worker: Worker, frame: Frame, value: Any) -> None:  # noqa: ANN401
        if frame.kind == LOG:
            handle_record([*worker.in_flight, *worker.coroutines.values()], *value)
            return
        if frame.kind == UNREADABLE:  # the function of a map
            for job in (*self._maps, *self.coroutines.maps):
                if job.number == frame.job:
                    job.fail(rebuilt(value))
        else:
            self._on_start(worker, None if frame.kind == READY else rebuilt(value))
        self.pump()

    def on_death(self, worker: Worker, death: Death) -> None:
        """Give back the work of a worker that has ended."""
        self.coroutines.on_death(worker, death)
        for place, chunk in enumerate(worker.in_flight):
            if place or not worker.ready:
                chunk.owner.put_back(chunk)
            else:
                chunk.owner.crashed(chunk, *worker.last, death)
        worker.in_flight.clear()
