"""Run a scenario once under trio, and cancel it at one step.

Rule: trio is imported only here, and only when somebody asks for it.
Rule: nothing waits without end here. A run that does is left through its clock, the one part of
trio's scheduler that it lets its caller supply: what the clock raises ends the run.
"""

from __future__ import annotations

__all__ = ("run_on_trio",)

import threading
from collections.abc import Awaitable, Callable
from typing import Final, final

import anyio
import trio
import trio._core._run as core
import trio.testing

from aconcur.testing._cancel.plan import CancelPlan, Outcome, Steps
from aconcur.testing._cancel.virtual import SkippedTime
from aconcur.testing._leaks.warnings_capture import CapturedWarnings
from aconcur.testing._locations import Place, describe, place_of


class _AbandonedError(BaseException):
    """Nothing in a scenario sees it: it is raised in the scheduler only."""


def run_on_trio(
    scenario: Callable[[], Awaitable[object]],
    plan: CancelPlan,
    *,
    limit: float,
    captured: CapturedWarnings,
    after: Callable[[], Awaitable[object]] | None = None,
    skipped: SkippedTime,
) -> Outcome:
    """Run ``scenario()`` once under trio and cancel it as ``plan`` says."""
    return _Run(scenario, plan, after, _Clock(limit, skipped)).run(captured, limit)


@final
class _Run(trio.abc.Instrument):
    def __init__(
        self,
        scenario: Callable[[], Awaitable[object]],
        plan: CancelPlan,
        after: Callable[[], Awaitable[object]] | None,
        clock: _Clock,
    ) -> None:
        self._scenario, self._after, self._clock = scenario, after, clock
        self._steps = Steps(plan, self._cancel, later=_later, now=clock.now)
        self._main: trio.lowlevel.Task | None = None
        self._scopes = trio.CancelScope(), trio.CancelScope()

    def run(self, captured: CapturedWarnings, limit: float) -> Outcome:
        seen = self._steps.outcome
        self._limit = limit
        try:
            trio.run(self._watched, clock=self._clock, instruments=[self])
        except trio.TrioInternalError as error:
            if not isinstance(error.__cause__, _AbandonedError):
                raise
            captured.muted = True
            self._steps.end()
            seen.waiting = self._waiting()
        except BaseException as error:  # noqa: BLE001, ASYNC103 - the sweep judges it
            seen.error = error
        return seen

    async def _watched(self) -> None:
        before = {task.id for task in anyio.get_running_tasks()}
        self._main = trio.lowlevel.current_task()
        self._main.name = "scenario"
        self.before_task_step(self._main)
        inner, outer = self._scopes
        try:
            with outer, inner:
                try:
                    await self._scenario()
                finally:
                    self._steps.end()
        finally:
            left = [task for task in anyio.get_running_tasks() if task.id not in before]
            self._steps.outcome.tasks = [
                describe(task.coro, task.name or "?") for task in left if task.name != _LATER
            ]
        if self._after is not None:
            await self._run_after(self._after)

    async def _run_after(self, after: Callable[[], Awaitable[object]]) -> None:
        seen = self._steps.outcome
        try:
            with trio.fail_after(self._limit / 2):
                await after()
        except trio.TooSlowError:
            seen.after_error = f"after() did not end within {self._limit / 2:g} s"
        except Exception as error:  # noqa: BLE001 - reported
            seen.after_error = f"{type(error).__name__}: {error}".rstrip(": ")

    def _cancel(self, number: int) -> None:
        self._scopes[number].cancel()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._within(task):
            self._steps.cancel_point(lambda: self._place(task))

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._within(task):
            self._steps.cancel_point(lambda: self._place(task))

    def _place(self, task: trio.lowlevel.Task) -> Place | None:
        place = place_of(task.coro, task.name)
        return place or (place_of(self._main.coro, self._main.name) if self._main else None)

    def _within(self, task: trio.lowlevel.Task) -> bool:
        """Whether the task is the scenario's: trio's own hang from other nurseries."""
        if self._main is None:
            return False
        above: trio.lowlevel.Task | None = task
        while above is not None and above is not self._main:
            above = above.parent_nursery.parent_task if above.parent_nursery else None
        return above is not None

    def _waiting(self) -> list[str]:
        tasks, waiting = [self._main] if self._main else [], list[str]()
        while tasks:
            task = tasks.pop(0)
            waiting.append(describe(task.coro, task.name))
            tasks += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
        return waiting


_LATER: Final = "aconcur cancels later"


def _later(seconds: float, function: Callable[[], None]) -> None:
    async def wait() -> None:
        await trio.sleep(seconds)
        function()

    trio.lowlevel.spawn_system_task(wait, name=_LATER)


@final
class _Clock(trio.abc.Clock):
    """Real time less skipped waits, which ends ``limit`` seconds after the run has begun."""

    def __init__(self, limit: float, skipped: SkippedTime) -> None:
        self._limit, self._end, self._skipped = limit, 0.0, skipped

    def start_clock(self) -> None:
        self._end = self._skipped.now() + self._limit

    def now(self) -> float:
        """Return the time, though the run may be over."""
        return self._skipped.now()

    def current_time(self) -> float:
        now = self.now()
        if self._end and now >= self._end and _in_scheduler():
            raise _AbandonedError
        return now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        wait = min(deadline, self._end) - self.current_time()
        if wait <= 0:
            return 0
        io = trio.lowlevel.current_statistics().io_statistics
        # trio's own task waits to be woken by other threads and by signals.
        watched = getattr(io, "tasks_waiting_read", 2) + getattr(io, "tasks_waiting_write", 0)
        if watched > 1 or _threads_work() or not self._skipped.may_skip():
            return wait
        runner = core.GLOBAL_RUN_CONTEXT.runner
        queue = runner.entry_queue
        if runner.waiting_for_idle or queue.queue or queue.idempotent_queue:
            return wait  # a task is about to be woken
        self._skipped.skip(wait)
        return 0


def _threads_work() -> bool:
    """Return whether one of trio's threads runs a call, or has run it and not told trio yet."""
    if trio.testing.active_thread_count():
        return True
    # Threads that were not started by trio.to_thread; trio keeps idle ones under the same name.
    named = sum(thread.name.startswith("Trio thread ") for thread in threading.enumerate())
    return named > len(trio._core._thread_cache.THREAD_CACHE._idle_workers)


def _in_scheduler() -> bool:
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return True
    return False
