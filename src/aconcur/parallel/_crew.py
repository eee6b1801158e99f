"""A pool's workers: started, listened to, buried, replaced, and stopped in the end.

Law 1: each worker has one task that starts it, listens to it, buries it and starts the next.
Law 2: what a dead one had is given back, once.
Law 3: tasks that others ask for are started by one that runs in the pool's own block.
"""

from __future__ import annotations

__all__ = ("WorkerCrew",)

import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import asdict, replace
from typing import Any, Final, TypeVar, final

import anyio
from anyio.abc import TaskGroup

from aconcur._core.loops import current_loop
from aconcur._core.shielded import wait_readable
from aconcur._core.wait_queue import WaitQueue, wait_in, yield_to_others
from aconcur._worker.codec import Encoded
from aconcur._worker.frames import FAILED, READY, SHARE, Frame
from aconcur._worker.shared import Shared
from aconcur.parallel._call import Call
from aconcur.parallel._chunk import Death
from aconcur.parallel._dispatch import Dispatch
from aconcur.parallel._errors import PoolClosed, WorkerStartError, describe_end
from aconcur.parallel._failing import rebuilt
from aconcur.parallel._job import Job
from aconcur.parallel._leaving import Leaving
from aconcur.parallel._limits import TimeLimits
from aconcur.parallel._sending import encode_arguments, encode_function
from aconcur.parallel._starting import Starter
from aconcur.parallel._statistics import PoolStatistics, Tally
from aconcur.parallel._worker import Worker

T = TypeVar("T")

# Seconds in which idle workers may run what they registered for their exit; a guess.
_FAREWELL: Final = 1.0
# Workers in a row that end before they are ready, after which no other is started; a guess.
_STILLBORN: Final = 20


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
        self.open: bool = True
        self._starter, self._tasks_each = starter, tasks_each
        self._tally = Tally()
        self._workers: list[Worker] = []
        self._dispatch = Dispatch(self._workers, self._tally, self.pump)
        self._limits = TimeLimits(self._workers)
        self._leaving = Leaving(self._workers, self._dispatch.recall, self.spawn)
        self._shared: dict[int, Encoded] = {}
        self._loop = current_loop()
        self._life = anyio.CancelScope()
        self._wanted = deque[Callable[[], Coroutine[Any, Any, None]]]()
        self._spawners = WaitQueue()
        self._limiter = anyio.CapacityLimiter(2 * size)
        self._broken: WorkerStartError | None = None
        self._stillborn = 0

    # ------------------------------------------------------------- life and tasks

    async def live(self) -> None:
        """Keep the workers, until :meth:`close`."""
        with self._life:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._limits.watch, name="parallel: time limits")
                tasks.start_soon(self._dispatch.recall.watch, name="parallel: recall")
                for number in range(self.size):
                    tasks.start_soon(self._keep, name=f"parallel: worker {number + 1}")
                await self._spawn_all(tasks)

    def spawn(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a task of the pool's own; callable wherever its loop runs."""
        # Not start_soon here: in a callback of asyncio, anyio finds no loop.
        self._wanted.append(task)
        self._spawners.wake()

    async def settled(self) -> None:
        """A map's tasks end with the pool's block."""

    async def _spawn_all(self, tasks: TaskGroup) -> None:
        while True:
            while self._wanted:
                tasks.start_soon(self._wanted.popleft())
            await wait_in(self._spawners)

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
            await yield_to_others()

    def _start_worker(self) -> Worker:
        child, sock = self._starter.start()
        worker = Worker(child, sock, self._heard, self._limiter, self._tasks_each)
        self._tally.started += 1
        self._workers.append(worker)
        for number, message in self._shared.items():
            worker.line.send(SHARE, message, job=number)
        return worker

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
        else:
            self._dispatch.land(worker, frame, value, unreadable)
        self.pump()

    def _bury(self, worker: Worker, death: Death) -> None:
        self._workers.remove(worker)
        if worker.killed:
            self._tally.killed += 1
        elif not worker.leaving:
            self._tally.died += 1
            self._stillborn += not worker.ready
        self._dispatch.bury(worker, replace(death, timed_out=worker.timed_out))
        if self._stillborn >= _STILLBORN:
            end = describe_end(death.exit_code, death.signal)
            self._give_up(f"{_STILLBORN} in a row ended before they were ready; the last {end}")

    # ---------------------------------------------------------------------- its end

    def _give_up(self, why: str, cause: Exception | None = None) -> None:
        """Start no more workers; end all that waits for them."""
        self._broken = WorkerStartError(f"no worker can be started: {why}")
        self._broken.__cause__ = cause
        self._end_all(self._broken)

    def _end_all(self, error: Exception) -> None:
        for owner in self._dispatch.owners():
            if owner.open:
                owner.fail(error)
        self._dispatch.calls.clear()

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

    def check_loop(self, operation: str) -> None:
        """Refuse the loops of others, and threads without one.

        Raises:
            RuntimeError: this is not the loop in which the pool was opened.
        """
        if current_loop() is not self._loop:
            raise RuntimeError(
                f"{operation} was called outside of the event loop that opened the pool: open a "
                "pool in this loop, or go through anyio.from_thread.run()"
            )

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

    # ---------------------------------------------------------------- what it can do

    def pump(self) -> None:
        """Give work to those who have room for it."""
        if self.open and self._broken is None:
            self._dispatch.pump()

    def adopt(self, job: Job, function: Encoded) -> None:
        """Take on a map."""
        self._dispatch.add(job, function)
        self._limits.heed(job)

    def dismiss(self, job: Job) -> None:
        """Stop what runs of a map that nobody wants any more."""
        if self.open:
            self._dispatch.drop(job)
            self._limits.forget(job)
            self._leaving.leave(job, at_once=False)

    async def call(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        seconds: float | None,
    ) -> Any:  # noqa: ANN401 - the function's
        """Have a function called, and return its result.

        **Cancelled**: not begun, or its worker is killed.
        """
        message = encode_arguments(function, arguments)
        call = Call(function, arguments, message, seconds, self._dispatch.calls.appendleft)
        self._dispatch.calls.append(call)
        self._limits.heed(call)
        self.pump()
        try:
            return await call.answer()
        finally:
            self._limits.forget(call)
            if call.open:
                self._abandon(call)

    def _abandon(self, call: Call) -> None:
        call.open = False
        if call in self._dispatch.calls:
            self._dispatch.calls.remove(call)
        elif self.open:
            self._leaving.leave(call, at_once=True)

    def share(self, value: T) -> Shared[T]:
        """Send a value to all workers, those to come included."""
        message = encode_function(value)
        shared = Shared(value)
        self._shared[shared.number] = message
        for worker in self._workers:
            if worker.usable:
                worker.line.send(SHARE, message, job=shared.number)
        return shared

    # ---------------------------------------------------------------- its account

    def statistics(self) -> PoolStatistics:
        """Return the figures of now."""
        return PoolStatistics(
            workers=self.size,
            ready=sum(worker.ready for worker in self._workers),
            busy=sum(bool(worker.flying) for worker in self._workers),
            waiting=len(self._dispatch.calls),
            maps=len(self._dispatch.maps),
            pids=tuple(worker.child.pid for worker in self._workers),
            **asdict(self._tally),
        )


async def _hang_up_at_its_end(worker: Worker) -> None:
    await wait_readable(worker.child.exit_fd)
    worker.line.hang_up()
