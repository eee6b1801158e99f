"""Run a scenario once under trio, and cancel it at one step.

Rule: trio is imported only here, and only when somebody asks for it.
Rule: nothing waits without end here. A run that does is left through its clock, the one part of
trio's scheduler that it lets its caller supply: what the clock raises ends the run.
"""

from __future__ import annotations

__all__ = ("run_on_trio",)

import time
from collections.abc import Awaitable, Callable
from typing import final

import anyio
import trio

from aconcur.testing._cancel.plan import CancelPlan, Outcome, Steps
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
) -> Outcome:
    """Run ``scenario()`` once under trio and cancel it as ``plan`` says."""
    return _Run(scenario, plan).run(limit, captured)


@final
class _Run(trio.abc.Instrument):
    def __init__(self, scenario: Callable[[], Awaitable[object]], plan: CancelPlan) -> None:
        self._scenario = scenario
        self._steps = Steps(plan, self._cancel)
        self._main: trio.lowlevel.Task | None = None
        self._scopes = trio.CancelScope(), trio.CancelScope()

    def run(self, limit: float, captured: CapturedWarnings) -> Outcome:
        seen, clock = self._steps.outcome, _Clock(limit)
        try:
            trio.run(self._watched, clock=clock, instruments=[self])
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
            self._steps.outcome.tasks = [describe(task.coro, task.name or "?") for task in left]

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


@final
class _Clock(trio.abc.Clock):
    """Real time, which ends ``limit`` seconds after the run has begun."""

    def __init__(self, limit: float) -> None:
        self._limit, self._end = limit, 0.0

    def start_clock(self) -> None:
        self._end = time.perf_counter() + self._limit

    def current_time(self) -> float:
        now = time.perf_counter()
        if now >= self._end and _in_scheduler():
            raise _AbandonedError
        return now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        now = self.current_time()
        return min(deadline, self._end) - now


def _in_scheduler() -> bool:
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return True
    return False
