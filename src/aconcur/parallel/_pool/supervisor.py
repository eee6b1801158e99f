"""The processes of a pool: launched, listened to, reaped, replaced, and stopped at the end."""

from __future__ import annotations

__all__ = ("Supervisor",)

import os
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context, copy_context
from dataclasses import asdict, replace
from socket import socket
from typing import Any, Final, final

import anyio
from anyio.abc import TaskGroup

from aconcur._core.background_task import BackgroundTask
from aconcur._core.ctrl_c import let_interrupt, protected
from aconcur._core.shielded import run_in_thread_to_end, wait_readable_catching_cancel
from aconcur._core.wait_queue import WaitQueue, wait_in, yield_to_others
from aconcur._pool_worker.codec import INITIALIZE, Encoded
from aconcur.parallel._errors import PoolClosed, WorkerStartError, describe_end
from aconcur.parallel._map.chunk import Death
from aconcur.parallel._map.source import Source
from aconcur.parallel._pickling import Sender
from aconcur.parallel._pool.launch import Child, Launcher
from aconcur.parallel._pool.scheduler import Scheduler
from aconcur.parallel._pool.statistics import Counters, PoolStatistics
from aconcur.parallel._pool.worker import REPEAT, Worker

# Seconds in which idle workers may run their exit handlers (atexit) when the pool closes; a guess.
_SHUTDOWN_GRACE: Final = 1.0
# Workers in a row that end before they are ready, after which the pool gives up; a guess.
_STARTUP_FAILURES: Final = 20


@final
class Supervisor:
    """Keeps the workers of a pool, from :meth:`start` to :meth:`close`.

    Args:
        size: how many.
        launcher: starts them.
        sender: pickles what is sent to them.
        initializer: the message with the function that each calls first, and its arguments.
        fds: descriptors that each worker gets; the supervisor closes them.
        tasks_each: items after which a worker is replaced; None: never.
        grace: seconds in which tasks may clean up at the end.
    """

    def __init__(
        self,
        size: int,
        launcher: Launcher,
        sender: Sender,
        initializer: Encoded | None,
        fds: Sequence[int],
        tasks_each: int | None,
        grace: float,
    ) -> None:
        self.open: bool = True
        self._size, self._launcher, self._tasks_each = size, launcher, tasks_each
        self._initializer, self._fds, self._grace = initializer, fds, grace
        self._counters = Counters()
        self._workers: list[Worker] = []
        self.scheduler: Scheduler = Scheduler(
            self._workers, size, self._counters, sender, self._spawn, self._on_start
        )
        self._scope = anyio.CancelScope()
        self._wanted = deque[tuple[Callable[[], Coroutine[Any, Any, None]], Context]]()
        self._spawners = WaitQueue()
        self._limiter = anyio.CapacityLimiter(2 * size)
        self._launching = anyio.Lock()
        self._broken = False
        self._startup_failures = 0
        self._task: BackgroundTask

    # ------------------------------------------------------------- from start to end

    def start(self) -> None:
        """Start the background task."""
        let_interrupt(Source.pull)
        self._task = BackgroundTask(self._run, "parallel: pool")

    async def close(self, *, gently: bool) -> None:
        """Stop all workers and the background task.

        Args:
            gently: let idle workers end by themselves; the others are killed.

        **Cancelled** natively: kills the workers, waits for their end, and raises.
        """
        await protected(self._close)(gently)

    def stop(self) -> None:
        """Kill all workers. Callable wherever the loop runs."""
        if self.open:
            self._stop(gently=False)

    async def stopped(self) -> None:
        """Wait after :meth:`stop` for the end of all workers."""
        await self._task.ended(self._kill_all)

    async def _close(self, gently: bool) -> None:
        self._stop(gently)
        await self._task.ended(self._kill_all)
        if self._task.error is not None:
            raise self._task.error

    def _stop(self, gently: bool) -> None:
        self.open = False
        for worker in self._workers:
            if gently and worker.ready and not worker.busy:
                worker.stop()
            elif self._grace and worker.in_flight:
                worker.interrupt(worker.in_flight[0])
                worker.stop()
            else:
                worker.kill()
        self.scheduler.end(PoolClosed)
        self._scope.cancel()

    def _kill_all(self) -> None:
        for worker in self._workers:
            worker.kill()

    async def _run(self) -> None:
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    start = tasks.start_soon
                    start(protected(self.scheduler.timeouts.run), name="parallel: timeouts")
                    start(protected(self.scheduler.stealing.run), name="parallel: stealing")
                    for number in range(self._size):
                        start(protected(self._keep), name=f"parallel: worker {number + 1}")
                    await self._run_spawned(tasks)
        except Exception as error:
            self.scheduler.end(lambda _, cause=error: _defect(cause))  # type: ignore[misc]
            raise
        finally:
            if self.open:  # the event loop ends before the pool's block
                self._stop(gently=False)
            await self._reap_all()  # noqa: ASYNC102 - shields itself

    async def _reap_all(self) -> None:
        """Wait for the end of all workers. No other task of the pool runs any more.

        **Cancelled** natively: kills them, waits, and raises.
        """
        cancelled = None
        ends = time.monotonic() + max(_SHUTDOWN_GRACE, self._grace)
        with anyio.CancelScope(shield=True):
            while cancelled is None and time.monotonic() < ends:
                if not (deaf := [worker for worker in self._workers if worker.is_deaf]):
                    break
                for worker in deaf:
                    worker.interrupt(worker.in_flight[0])
                cancelled = await wait_readable_catching_cancel(deaf[0].child.exit_fd, REPEAT)
            for worker in self._workers:
                left = max(0.0, ends - time.monotonic())
                cancelled = await worker.ended_despite_cancel(left) or cancelled
        self._workers.clear()
        self._launcher.close()
        for fd in self._fds:
            os.close(fd)
        if cancelled is not None:
            raise cancelled

    def _spawn(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a task in the pool's task group, in the context of the caller.

        Callable wherever the loop runs.
        """
        # In a callback of asyncio, where no task is current, TaskGroup.start_soon raises.
        self._wanted.append((task, copy_context()))
        self._spawners.wake()

    async def _run_spawned(self, tasks: TaskGroup) -> None:
        try:
            while True:
                while self._wanted:
                    task, context = self._wanted.popleft()
                    context.run(tasks.start_soon, protected(task))
                await wait_in(self._spawners)
        finally:
            # They are cancelled at their first await, but their clean-up runs.
            while self._wanted:
                task, context = self._wanted.popleft()
                context.run(tasks.start_soon, task)

    # ------------------------------------------------------------- one place in the pool

    async def _keep(self) -> None:
        """Keep one worker alive, and replace it when it ends."""
        while self.open and not self._broken:
            try:
                worker = await self._launch()
            except OSError as error:
                self._give_up(str(error), error)
                return
            if worker is None:
                return
            self.scheduler.pump()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(protected(worker.connection.send_queued))
                tasks.start_soon(protected(worker.hang_up_at_exit))
                await worker.connection.receive()
                tasks.cancel_scope.cancel()
            self._on_end(worker, await worker.ended(_SHUTDOWN_GRACE))
            await yield_to_others()

    async def _launch(self) -> Worker | None:
        """Launch a worker; return None if the pool was closed meanwhile.

        One at a time, so that many launches do not hold the loop.

        **Cancelled**: the worker, if it was started, is in the list and will be reaped.
        """
        async with self._launching:
            if not self.open or self._broken:
                return None
            launched: list[tuple[Child, socket]] = []
            failed: list[OSError] = []

            def launch() -> None:
                try:
                    launched.append(self._launcher.launch())
                except OSError as error:
                    failed.append(error)

            try:
                if self._launcher.blocks:
                    await run_in_thread_to_end(launch, self._limiter)
                else:
                    launch()
            finally:
                worker = self._admit(*launched[0]) if launched else None
            if failed:
                raise failed[0]
            await yield_to_others()
            return worker

    def _admit(self, child: Child, sock: socket) -> Worker:
        worker = Worker(
            child, sock, self.scheduler.on_frame, self._limiter, self._tasks_each, self._fds
        )
        self._counters.started += 1
        self._workers.append(worker)
        if not self.open:
            worker.kill()
        elif self._initializer is not None:
            worker.connection.send(INITIALIZE, self._initializer)
        self.scheduler.welcome(worker)
        return worker

    def _on_start(self, worker: Worker, failure: Exception | None) -> None:
        if failure is None:
            worker.ready = True
            self._startup_failures = 0
        else:
            worker.leave()
            self._give_up(f"its initializer raised {type(failure).__name__}: {failure}", failure)

    def _on_end(self, worker: Worker, death: Death) -> None:
        self._workers.remove(worker)
        if worker.killed:
            self._counters.killed += 1
        elif not worker.leaving:
            self._counters.died += 1
            self._startup_failures += not worker.ready
        self.scheduler.on_death(worker, replace(death, timed_out=worker.timed_out))
        if self._startup_failures >= _STARTUP_FAILURES:
            end = describe_end(death.exit_code, death.signal)
            self._give_up(
                f"{_STARTUP_FAILURES} in a row ended before they were ready; the last {end}"
            )

    def _give_up(self, why: str, cause: Exception | None = None) -> None:
        """Launch no more workers, and end all work."""
        self._broken = True
        error = WorkerStartError(f"no worker can be started: {why}")
        error.__cause__ = cause
        self.scheduler.end(lambda _: error)

    # ------------------------------------------------------------------------ figures

    def statistics(self) -> PoolStatistics:
        """Return the current figures."""
        return PoolStatistics(
            workers=self._size,
            ready=sum(worker.ready for worker in self._workers),
            busy=sum(worker.busy for worker in self._workers),
            waiting=self.scheduler.waiting,
            maps=self.scheduler.maps,
            pids=tuple(worker.child.pid for worker in self._workers),
            **asdict(self._counters),
        )


def _defect(cause: Exception) -> RuntimeError:
    error = RuntimeError(f"the pool failed: {cause!r}")
    error.__cause__ = cause
    return error
