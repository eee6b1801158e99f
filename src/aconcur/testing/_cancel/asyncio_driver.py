"""Run a scenario once on a fresh asyncio loop, and cancel it at one step.

Rule: a loop runs each step of a task as a callback that it was given through ``call_soon``, so
wrapping those callbacks is enough to stand right before and right after every step, outside the
task, where a real cancel comes from.
Rule: nothing waits without end here. A run that does is left by ``loop.stop()``.
"""

from __future__ import annotations

__all__ = ("run_on_asyncio",)

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context
from typing import Any, Final

import anyio

from aconcur.testing._cancel.plan import CancelPlan, Outcome, Steps
from aconcur.testing._cancel.virtual import SkippedTime
from aconcur.testing._leaks.cleanup import SETTLE
from aconcur.testing._leaks.warnings_capture import CapturedWarnings
from aconcur.testing._locations import Place, describe, place_of

# Guesses: a task that is cancelled this often, and lives, is given up.
_ROUNDS: Final = 10
_ROUND: Final = 0.01

_Task = asyncio.Task[Any]


def run_on_asyncio(
    scenario: Callable[[], Awaitable[object]],
    plan: CancelPlan,
    *,
    limit: float,
    captured: CapturedWarnings,
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    after: Callable[[], Awaitable[object]] | None = None,
    skipped: SkippedTime,
) -> Outcome:
    """Run ``scenario()`` once, cancel it as ``plan`` says, and close the loop."""
    loop = new_loop()
    loop.set_exception_handler(captured.note_loop_error)
    # Our own, so that a thread that is stuck in it need not be waited for.
    executor = ThreadPoolExecutor(thread_name_prefix="asyncio")
    loop.set_default_executor(executor)
    try:
        with skipped.of_loop(loop):
            return _Run(loop, scenario, plan, after).run(limit, captured)
    finally:
        _end_tasks(loop)
        _drive(loop, loop.shutdown_asyncgens(), _ROUND * _ROUNDS)
        executor.shutdown(wait=False)
        loop.close()


class _Run:
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        scenario: Callable[[], Awaitable[object]],
        plan: CancelPlan,
        after: Callable[[], Awaitable[object]] | None,
    ) -> None:
        self._loop, self._scenario, self._plan, self._after = loop, scenario, plan, after
        self._steps = Steps(plan, self._cancel, later=loop.call_later, now=loop.time)
        self._scopes: list[anyio.CancelScope] = []
        self._early = False
        self._watch_steps()

    def run(self, limit: float, captured: CapturedWarnings) -> Outcome:
        loop, seen = self._loop, self._steps.outcome
        self._main: _Task = loop.create_task(self._scoped(), name="scenario")
        self._main.add_done_callback(lambda _: loop.stop())
        timer = loop.call_later(limit, loop.stop)
        loop.run_forever()
        timer.cancel()
        if not self._main.done():
            captured.muted = True
            seen.waiting = [_describe(task) for task in self._pending()]
            self._steps.end()
            return seen
        if not self._steps.over:
            self._steps.end()  # cancelled before its first step, it has not come to its own end()
        self._settle()
        seen.tasks = [_describe(task) for task in self._pending()]
        self._judge()
        if self._after is not None:
            self._run_after(self._after, limit)
        return seen

    def _pending(self) -> list[_Task]:
        return [task for task in asyncio.all_tasks(self._loop) if not task.done()]

    def _settle(self) -> None:
        """Give callbacks and tasks that are about to end as much time as threads have."""
        loop = self._loop
        loop.call_soon(loop.stop)
        loop.run_forever()
        left = set(self._pending())
        if not left:
            return
        timer = loop.call_later(SETTLE, loop.stop)

        def ended(task: _Task) -> None:
            left.discard(task)
            if not left:
                loop.stop()

        for task in list(left):
            task.add_done_callback(ended)
        loop.run_forever()
        timer.cancel()
        for task in left:
            task.remove_done_callback(ended)

    def _run_after(self, after: Callable[[], Awaitable[object]], limit: float) -> None:
        loop, seen = self._loop, self._steps.outcome

        async def call() -> None:
            await after()

        task = loop.create_task(call(), name="after")
        task.add_done_callback(lambda _: loop.stop())
        timer = loop.call_later(limit, loop.stop)
        loop.run_forever()
        timer.cancel()
        if not task.done():
            seen.after_error = f"after() did not end within limit={limit} s; {_describe(task)}"
        elif task.cancelled():
            seen.after_error = "after() was cancelled, though no cancel came any more"
        elif error := task.exception():
            seen.after_error = f"{type(error).__name__}: {error}".rstrip(": ")

    async def _scoped(self) -> None:
        if self._plan.how == "native":
            await self._to_the_end()
            return
        with anyio.CancelScope() as outer, anyio.CancelScope() as inner:
            self._scopes += inner, outer
            if self._early:
                inner.cancel()
            await self._to_the_end()

    async def _to_the_end(self) -> None:
        try:
            await self._scenario()
        finally:
            self._steps.end()

    def _watch_steps(self) -> None:
        call_soon = self._loop.call_soon

        def watched(
            callback: Callable[..., object], *args: object, context: Context | None = None
        ) -> asyncio.Handle:
            if (task := _stepping(callback)) is None:
                return call_soon(callback, *args, context=context)

            def step(*args: object) -> None:
                self._steps.cancel_point(lambda: self._place(task))
                callback(*args)
                self._steps.cancel_point(lambda: self._place(task))

            return call_soon(step, *args, context=context)

        self._loop.call_soon = watched  # type: ignore[method-assign]

    def _place(self, task: _Task) -> Place | None:
        return _place(task) or _place(self._main)

    def _cancel(self, number: int) -> None:
        if self._plan.how == "native":
            self._main.cancel()
        elif self._scopes:
            self._scopes[number].cancel()
        else:
            self._early = True

    def _judge(self) -> None:
        seen, native = self._steps.outcome, self._plan.how == "native"
        if self._main.cancelled():
            # asyncio.gather() raises the CancelledError of its children anew, without the message
            # by which anyio's scope knows its own: so one that leaves the scope may be its own.
            if not seen.fired:
                seen.error = asyncio.CancelledError("left the scenario, though nobody cancelled it")
        elif error := self._main.exception():
            seen.error = error
        elif native and seen.fired:
            # A scope cancels again at the next await, so only a native cancel can get lost.
            seen.swallowed = not self._steps.ended_in_the_due_step


def _stepping(callback: object) -> _Task | None:
    """Return the task whose step this callback is, if it is one."""
    task = getattr(callback, "__self__", None)
    if not isinstance(task, asyncio.Task):
        return None
    name: str = getattr(callback, "__name__", type(callback).__name__).lower()
    return task if "step" in name or "wakeup" in name else None


def _place(task: _Task) -> Place | None:
    return place_of(task.get_coro(), task.get_name())


def _describe(task: _Task) -> str:
    return describe(task.get_coro(), task.get_name())


def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    for _ in range(_ROUNDS):
        left = [task for task in asyncio.all_tasks(loop) if not task.done()]
        if not left:
            return
        for task in left:
            task.cancel()
        loop.call_later(_ROUND, loop.stop)
        loop.run_forever()
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        with suppress(RuntimeError):
            if coroutine := task.get_coro():
                coroutine.close()


def _drive(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None], seconds: float
) -> None:
    task = loop.create_task(work)
    task.add_done_callback(lambda _: loop.stop())
    timer = loop.call_later(seconds, loop.stop)
    loop.run_forever()
    timer.cancel()
    _end_tasks(loop)
