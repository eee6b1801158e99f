"""A pool's workers: kept alive, given chunks and calls, watched.

Law 1: each worker has one task that starts it, listens to it, buries it and starts the next.
Law 2: an item is given to one worker at a time; what a dead one had is given back, once.
Law 3: whoever is killed is killed with a signal that cannot be caught, so nothing is waited for.
"""

from __future__ import annotations

__all__ = ("WorkerCrew",)

import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Final, TypeVar, final

import anyio
from anyio.abc import TaskGroup

from aconcur._core.parking import Lot, pause
from aconcur._core.waiting import until_readable
from aconcur._worker.codec import Encoded, encode
from aconcur._worker.frames import (
    CALL,
    FAILED,
    FORGET,
    FUNCTION,
    ITEMS,
    READY,
    SHARE,
    UNREADABLE,
    Frame,
)
from aconcur._worker.serve import EXACT, KEEP_GOING
from aconcur._worker.shared import Shared
from aconcur.parallel._call import Call
from aconcur.parallel._errors import PoolClosed, WorkerStartError, describe_end
from aconcur.parallel._failing import rebuilt
from aconcur.parallel._job import Chunk, Death, Job, Owner
from aconcur.parallel._line import park
from aconcur.parallel._sending import encode_function
from aconcur.parallel._starting import Starter
from aconcur.parallel._statistics import PoolStatistics, Tally
from aconcur.parallel._worker import Worker

T = TypeVar("T")

# Seconds in which the worker of a map that is left may come to the end of its item; a guess.
_GRACE: Final = 0.1
# Seconds in which idle workers may run what they registered for their exit; a guess.
_FAREWELL: Final = 1.0
# Workers in a row that end before they are ready, after which no other is started; a guess.
_STILLBORN: Final = 20
_ANY: Final = 1 << 30


@final
class WorkerCrew:
    """The workers of a pool.

    Args:
        size: how many.
        starter: how they are started.
        tasks_each: items after which a worker is replaced; None: never.
    """

    def __init__(self, size: int, starter: Starter, tasks_each: int | None) -> None:
        self.size: int = size
        self.tally: Tally = Tally()
        self.open: bool = True
        self._starter, self._tasks_each = starter, tasks_each
        self._workers: list[Worker] = []
        self._calls = deque[Call]()
        self._jobs = deque[Job]()
        self._functions: dict[int, Encoded] = {}
        self._shared: dict[int, Encoded] = {}
        self._timed: dict[int, Owner] = {}
        self._life = anyio.CancelScope()
        self._wanted = deque[Callable[[], Coroutine[Any, Any, None]]]()
        self._spawners, self._watchers = Lot(), Lot()
        self._horizon = float("inf")
        self._limiter = anyio.CapacityLimiter(2 * size)
        self._broken: WorkerStartError | None = None
        self._stillborn = 0

    # ------------------------------------------------------------- life and tasks

    async def live(self) -> None:
        """Keep the workers, until :meth:`close`."""
        with self._life:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch, name="parallel: time limits")
                for number in range(self.size):
                    tasks.start_soon(self._keep, name=f"parallel: worker {number + 1}")
                await self._spawn_all(tasks)

    def spawn(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a task of the pool's own; callable wherever its loop runs."""
        # Not start_soon here: in a callback of asyncio, anyio finds no loop.
        self._wanted.append(task)
        self._spawners.wake()

    async def settled(self, job: Job) -> None:
        """A map's tasks end with the pool's block."""

    async def _spawn_all(self, tasks: TaskGroup) -> None:
        while True:
            while self._wanted:
                tasks.start_soon(self._wanted.popleft())
            await park(self._spawners)

    async def _keep(self) -> None:
        """Keep one worker alive."""
        while self.open and self._broken is None:
            try:
                worker = self._start_worker()
            except OSError as error:
                self._give_up(str(error), error)
                return
            self.pump()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(worker.line.send_queued)
                tasks.start_soon(_hang_up_at_its_end, worker)
                await worker.line.receive()
                tasks.cancel_scope.cancel()
            self._bury(worker, await worker.ended(_FAREWELL))
            await pause()

    def _start_worker(self) -> Worker:
        child, sock = self._starter.start()
        worker = Worker(child, sock, self._heard, self._limiter, self._tasks_each)
        self.tally.started += 1
        self._workers.append(worker)
        for number, message in self._shared.items():
            worker.line.send(SHARE, message, job=number)
        return worker

    def _bury(self, worker: Worker, death: Death) -> None:
        """Give back what a worker had."""
        self._workers.remove(worker)
        if worker.killed:
            self.tally.killed += 1
        elif not worker.leaving:
            self.tally.died += 1
            self._stillborn += not worker.ready
        death = replace(death, timed_out=worker.timed_out)
        for place, chunk in enumerate(worker.flying):
            if place or not chunk.job.open or not worker.ready:
                chunk.job.put_back(chunk)
            else:
                chunk.job.crashed(chunk, *worker.last, death)
            if isinstance(chunk.job, Call) and chunk.job.open:
                self._calls.appendleft(chunk.job)
        worker.flying.clear()
        if self._stillborn >= _STILLBORN:
            end = describe_end(death.exit_code, death.signal)
            self._give_up(f"{_STILLBORN} in a row ended before they were ready; the last {end}")

    def _give_up(self, why: str, cause: Exception | None = None) -> None:
        """Start no more workers; end all that waits for them."""
        self._broken = WorkerStartError(f"no worker can be started: {why}")
        self._broken.__cause__ = cause
        self._end_all(self._broken)

    def _end_all(self, error: Exception) -> None:
        flying = [chunk.job for worker in self._workers for chunk in worker.flying]
        owners: list[Owner] = [*self._calls, *self._jobs, *flying]
        for owner in owners:
            if owner.open:
                owner.fail(error)
        self._calls.clear()

    def check(self, operation: str) -> None:
        """Refuse work that nobody would do.

        Raises:
            PoolClosed: the pool's block has ended.
            WorkerStartError: no worker can be started.
        """
        if not self.open:
            raise PoolClosed(operation)
        if self._broken is not None:
            raise self._broken

    def close(self, *, gently: bool) -> None:
        """Stop idle workers, or none; kill the others; end all tasks."""
        self.open = False
        self._life.cancel()
        for worker in self._workers:
            if gently and worker.ready and not worker.flying:
                worker.stop()
            else:
                worker.kill()
        self._end_all(PoolClosed("run() and map()"))

    async def bury_all(self) -> None:
        """Wait for the end of all workers. No task of the crew runs any more.

        **Cancelled**, natively too: kills them, waits, and raises then.
        """
        cancelled = None
        ends = time.monotonic() + _FAREWELL
        with anyio.CancelScope(shield=True):
            for worker in self._workers:
                left = max(0.0, ends - time.monotonic())
                cancelled = await worker.ended_at_all_costs(left) or cancelled
        self._workers.clear()
        self._starter.close()
        if cancelled is not None:
            raise cancelled

    # --------------------------------------------------------------- giving work

    def adopt(self, job: Job, function: Encoded) -> None:
        """Take on a map."""
        self._functions[job.number] = function
        self._jobs.append(job)
        self._heed_time_of(job)

    async def call(self, call: Call) -> Any:  # noqa: ANN401 - the function's
        """Have a call done, and return its result.

        **Cancelled**: not begun, or its worker is killed.
        """
        self._calls.append(call)
        self._heed_time_of(call)
        self.pump()
        try:
            return await call.answer()
        finally:
            if call.open:
                self._abandon(call)
            self._timed.pop(call.number, None)

    def share(self, value: T) -> Shared[T]:
        """Send a value to all workers, those to come included."""
        message = encode_function(value)
        shared = Shared(value)
        self._shared[shared.number] = message
        for worker in self._workers:
            if worker.usable:
                worker.line.send(SHARE, message, job=shared.number)
        return shared

    def pump(self) -> None:
        """Give work to those who have none, then to those who will soon."""
        if not self.open or self._broken is not None:
            return
        for depth in (1, 2):
            for worker in self._workers:
                if len(worker.flying) < depth and worker.usable and worker.tasks != 0:
                    self._give(worker, soon=depth == 2)

    def _give(self, worker: Worker, *, soon: bool) -> None:
        if self._calls and (not soon or _is_short(worker.flying[0].job)):
            self._give_call(worker, self._calls.popleft())
            return
        most = _ANY if worker.tasks is None else worker.tasks
        for _ in range(len(self._jobs)):
            job = self._jobs[0]
            self._jobs.rotate(-1)
            if soon and not job.prefetches:
                continue
            while (chunk := job.next_chunk(most)) is not None:
                if self._give_chunk(worker, job, chunk):
                    return

    def _give_chunk(self, worker: Worker, job: Job, chunk: Chunk) -> bool:
        try:
            message = encode(chunk.items)
        except Exception as error:  # noqa: BLE001 - an item's pickling
            job.unreadable(chunk, error)
            return False
        if not job.measured(chunk, message.total):
            return False
        if job.number not in worker.known:
            worker.known.add(job.number)
            worker.line.send(FUNCTION, self._functions[job.number], job=job.number)
        flags = EXACT * chunk.exact + KEEP_GOING * job.keep_going
        self._fly(worker, chunk)
        worker.line.send(
            ITEMS, message, job=job.number, chunk=chunk.number, flags=flags, seconds=job.budget
        )
        return True

    def _give_call(self, worker: Worker, call: Call) -> None:
        self._fly(worker, call.chunk)
        worker.line.send(CALL, call.message, job=call.number, chunk=call.chunk.number)

    def _fly(self, worker: Worker, chunk: Chunk) -> None:
        worker.flying.append(chunk)
        self.tally.chunks += 1
        if worker.tasks is not None:
            worker.tasks -= len(chunk.items)

    # --------------------------------------------------------------- what is heard

    def _heard(
        self,
        worker: Worker,
        frame: Frame,
        value: Any,  # noqa: ANN401 - as sent
        unreadable: Exception | None,
    ) -> None:
        if frame.kind == READY:
            worker.ready, self._stillborn = True, 0
        elif frame.kind == FAILED:
            worker.leaving = True
            cause = rebuilt(value)
            self._give_up(f"its initializer raised {type(cause).__name__}: {cause}", cause)
        elif not frame.chunk:
            for job in self._jobs:
                if job.number == frame.job:
                    job.fail(rebuilt(value))
        else:
            self._land(worker, frame, value, unreadable)
        self.pump()

    def _land(
        self,
        worker: Worker,
        frame: Frame,
        value: Any,  # noqa: ANN401 - as sent
        unreadable: Exception | None,
    ) -> None:
        chunk = next(chunk for chunk in worker.flying if chunk.number == frame.chunk)
        worker.flying.remove(chunk)
        if frame.kind == UNREADABLE:
            unreadable = rebuilt(value)
        if unreadable is not None:
            chunk.job.unreadable(chunk, unreadable)
        else:
            results, errors = value
            back = chunk.job.finish(chunk, results, errors, frame.seconds, frame.total)
            self.tally.done += len(results)
            self.tally.seconds += frame.seconds
            self.tally.handed_back += back
            if worker.tasks is not None:
                worker.tasks += len(chunk.items) - len(results)
        if worker.tasks == 0 and not worker.flying and worker.usable:
            worker.stop()

    # ------------------------------------------------------------------- stopping

    def dismiss(self, job: Job) -> None:
        """Stop what runs of a map that nobody wants any more."""
        if not self.open:
            return
        self._jobs.remove(job)
        self._timed.pop(job.number, None)
        self._functions.pop(job.number, None)
        for worker in self._workers:
            if job.number in worker.known:
                worker.known.discard(job.number)
                worker.send_nothing(FORGET, job=job.number)
        if self._cancel(job):
            self.spawn(partial(self._kill_late, job))

    def _abandon(self, call: Call) -> None:
        call.open = False
        if not self.open:
            return
        if call in self._calls:
            self._calls.remove(call)
        elif self._cancel(call):
            self._kill_those_at(call)
            self.spawn(partial(self._kill_late, call))

    def _cancel(self, owner: Owner) -> bool:
        """Ask those who work for the owner to stop after the item at hand; return if any do."""
        concerned = [worker for worker in self._workers if _works_for(worker, owner)]
        for worker in concerned:
            worker.cancel(owner.number)
        return bool(concerned)

    async def _kill_late(self, owner: Owner) -> None:
        await anyio.sleep(_GRACE)
        while self._kill_those_at(owner):  # noqa: ASYNC110 - what it waits for is a time
            await anyio.sleep(_GRACE)

    def _kill_those_at(self, owner: Owner) -> bool:
        """Kill those at work for the owner; return whether any have work of it left."""
        left = False
        for worker in self._workers:
            if worker.flying and worker.flying[0].job is owner and not worker.killed:
                worker.kill()
            left = left or _works_for(worker, owner)
        return left

    def _heed_time_of(self, owner: Owner) -> None:
        if owner.timeout is not None:
            self._timed[owner.number] = owner
            if time.monotonic() + owner.timeout < self._horizon:
                self._watchers.wake()

    async def _watch(self) -> None:
        """Kill those who take too long for an item."""
        while True:
            left = self._kill_the_late()
            self._horizon = time.monotonic() + left
            with anyio.move_on_after(left):
                await park(self._watchers)

    def _kill_the_late(self) -> float:
        """Return the seconds until the next one can be late."""
        # What begins from now on is not late before.
        soonest = min((owner.timeout or 0 for owner in self._timed.values()), default=float("inf"))
        now = time.monotonic_ns()
        for worker in self._workers:
            if not worker.flying or worker.killed:
                continue
            chunk = worker.flying[0]
            if (limit := chunk.job.timeout) is None or not (since := worker.since(chunk)):
                continue
            left = limit - (now - since) / 1e9
            if left > 0:
                soonest = min(soonest, left)
            else:
                worker.timed_out = True
                worker.kill()
        return soonest

    # ---------------------------------------------------------------- its account

    def statistics(self) -> PoolStatistics:
        """Return the figures of now."""
        return PoolStatistics(
            workers=self.size,
            ready=sum(worker.ready for worker in self._workers),
            busy=sum(bool(worker.flying) for worker in self._workers),
            waiting=len(self._calls),
            maps=len(self._jobs),
            pids=tuple(worker.child.pid for worker in self._workers),
            **asdict(self.tally),
        )


async def _hang_up_at_its_end(worker: Worker) -> None:
    await until_readable(worker.child.exit_fd)
    worker.line.hang_up()


def _is_short(owner: Owner) -> bool:
    return isinstance(owner, Job) and owner.prefetches


def _works_for(worker: Worker, owner: Owner) -> bool:
    return any(chunk.job is owner for chunk in worker.flying)
