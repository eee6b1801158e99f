"""Runs a scenario on trio under a given schedule.

trio runs itself; two of its hooks are used. It shuffles each batch of ready tasks through a source
of random numbers that Hypothesis may replace: the one here keeps one task in the batch and puts the
others back. And its clock may be replaced: time passes when no task is ready (or after half of the
steps that a run may take, since a polling task never lets trio become idle), and if no time is
waited for either, that is a deadlock. Where tasks are ready, the next deadline is a candidate, too
(see ``timers``): then the batch is left empty, and trio looks at its deadlines before the next.

trio itself runs each batch in the order in which its tasks became ready or from its end, at random.
Both are orders that an exploration includes (``"fifo"`` and ``"reversed"``). Tasks that one step
has made ready are taken in the order of their creation, because trio wakes them from sets.
"""

from __future__ import annotations

__all__ = ("run",)

import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext, suppress
from math import inf
from threading import get_ident
from traceback import walk_tb
from typing import Any, Final, NoReturn
from weakref import WeakSet

import trio
import trio._core._entry_queue as entry_queue
import trio._core._run as core

from aconcur.testing._explore.deadlock import explain
from aconcur.testing._explore.environment import Environment
from aconcur.testing._explore.errors import (
    BackgroundError,
    Deadlock,
    Livelock,
    RealInputOutputError,
    UncontrolledError,
    UncontrolledThreadError,
    interrupts,
)
from aconcur.testing._explore.schedule import Schedule
from aconcur.testing._explore.trace import Log
from aconcur.testing._explore.uncontrolled import refused, take_refusal
from aconcur.testing._frames import where

# Steps for a scenario that is cancelled because it cannot end, before it is given up. A guess.
_UNWINDING: Final = 10_000
# How often trio may wait after the scenario has ended, each time for so many seconds. A guess.
_IDLE_TURNS: Final = 100
_IDLE: Final = 0.02
# Seconds for which a thread that is alive may end, where nothing but it could go on. A guess.
_ENDING: Final = 0.2


def run(
    scenario: Callable[[], Coroutine[Any, Any, object]],
    environment: Environment,
    schedule: Schedule,
    recorder: Log | None = None,
) -> BaseException | None:
    """Run once; return the error that the scenario ended with."""
    take_refusal()
    environment.begin_run()
    one = _Run(schedule, recorder, environment)

    async def main() -> None:
        with one.going(), recorder.recording() if recorder else nullcontext():
            await scenario()

    found: BaseException | None = None
    with _in_charge(one):
        try:
            trio.run(main, clock=one)
        except BaseException as error:  # noqa: ASYNC103 - whatever the scenario raises
            _end_broken_run(error)
            if interrupts(error):
                raise
            found = error
        finally:
            one.bury()
    if environment.struck.explains(found):
        found = None
    elif found is None and one.verdict is None:
        reports = [one for one in environment.take_reports() if one.kind not in environment.allow]
        found = BackgroundError(tuple(reports)) if reports else None
    return one.refusal or take_refusal() or one.verdict or found


def _end_broken_run(error: BaseException) -> None:
    """End a run that an exception of a signal handler broke inside trio: a test's time limit."""
    for frame, _ in walk_tb(error.__traceback__):
        if frame.f_code is trio.run.__code__ and "gen" in frame.f_locals:
            with suppress(BaseException):  # it complains of being broken
                frame.f_locals["gen"].close()
    core.GLOBAL_RUN_CONTEXT.__dict__.clear()


@contextmanager
def _in_charge(one: _Run) -> Iterator[None]:
    before = core._r, core._ALLOW_DETERMINISTIC_SCHEDULING
    # trio means these for Hypothesis: one is final there, the other a random.Random.
    core._r, core._ALLOW_DETERMINISTIC_SCHEDULING = one, True  # type: ignore[misc, assignment]
    really = [getattr(owner, name) for owner, name in _REAL]
    for owner, name in _REAL:
        setattr(owner, name, _refuse(name, getattr(owner, name)))
    soon = entry_queue.EntryQueue.run_sync_soon

    def run_sync_soon(self: Any, fn: Any, *args: Any, idempotent: bool = False) -> None:
        if not one.foreign_call(fn):
            soon(self, fn, *args, idempotent=idempotent)

    entry_queue.EntryQueue.run_sync_soon = run_sync_soon  # type: ignore[method-assign, assignment]
    # trio.sleep_until() waits by this name, in a scope of its own.
    sleep_forever = trio._timeouts.sleep_forever

    async def sleep_forever_noted() -> NoReturn:
        one.sleeps.add(core.GLOBAL_RUN_CONTEXT.task._cancel_status._scope)
        await sleep_forever()

    trio._timeouts.sleep_forever = sleep_forever_noted
    try:
        yield
    finally:
        trio._timeouts.sleep_forever = sleep_forever
        entry_queue.EntryQueue.run_sync_soon = soon  # type: ignore[method-assign]
        for (owner, name), before_it in zip(_REAL, really, strict=True):
            setattr(owner, name, before_it)
        core._r, core._ALLOW_DETERMINISTIC_SCHEDULING = before  # type: ignore[misc]


# What waits for the world outside: for a descriptor, or for the end of a process.
_REAL: Final[tuple[tuple[Any, str], ...]] = (
    (core.TheIOManager, "wait_readable"),  # type: ignore[attr-defined]
    (core.TheIOManager, "wait_writable"),  # type: ignore[attr-defined]
    (trio.lowlevel, "open_process"),
    (trio._subprocess, "_open_process"),
)


def _refuse(name: str, really: Callable[..., Coroutine[Any, Any, object]]) -> Callable[..., Any]:
    async def refuse(*args: object, **options: object) -> object:
        runner, task = core.GLOBAL_RUN_CONTEXT.runner, core.GLOBAL_RUN_CONTEXT.task
        nursery = task.parent_nursery
        if nursery and nursery.parent_task is runner.init_task and task is not runner.main_task:
            return await really(*args, **options)  # trio's own, to be woken by a signal
        raise refused(RealInputOutputError(f"trio.lowlevel.{name.lstrip('_')}"))

    return refuse


class _Run(trio.abc.Clock):
    """One run: trio's clock, and its source of chance."""

    def __init__(self, schedule: Schedule, recorder: Log | None, environment: Environment) -> None:
        self._schedule, self._recorder = schedule, recorder
        self._environment, self._clock = environment, environment.clock
        self._ident = get_ident()
        self._patience = schedule.max_steps // 2
        self._numbers: dict[trio.lowlevel.Task, int] = {}
        self._since: dict[trio.lowlevel.Task, int] = {}
        self._turns = 0
        self._goes = True
        self._idle_turns = 0
        self._scope = trio.CancelScope()
        self._abandoned: list[trio.lowlevel.Task] = []
        self.sleeps: WeakSet[trio.CancelScope] = WeakSet()
        """The scopes that sleeping tasks are in."""
        self.verdict: Exception | None = None
        """Why the run was ended before the scenario had."""
        self.refusal: UncontrolledError | None = None
        """Another thread called into this run."""

    @contextmanager
    def going(self) -> Iterator[None]:
        """Hold the scenario, which can be cancelled if it cannot end."""
        try:
            with self._scope:
                yield
        finally:
            self._goes = False

    # --- the source of chance

    def shuffle(self, batch: list[trio.lowlevel.Task]) -> None:
        """Leave in the batch the one task that goes on; put the others back."""
        if not batch:
            return
        chosen = self._system_task(batch) or self._choose(batch)
        runner = core.GLOBAL_RUN_CONTEXT.runner
        runner.runq.extendleft(task for task in reversed(batch) if task is not chosen)
        batch[:] = [chosen] if chosen else []

    def random(self) -> float:
        return 0.0

    def _system_task(self, batch: list[trio.lowlevel.Task]) -> trio.lowlevel.Task | None:
        init = core.GLOBAL_RUN_CONTEXT.runner.init_task
        for task in batch:
            if task is init or task.name == "<TrioToken.run_sync_soon task>":
                return task
        return None

    def _choose(self, batch: list[trio.lowlevel.Task]) -> trio.lowlevel.Task | None:
        """Return the task that goes on; None: the next deadline comes instead."""
        # trio hands the batch over in the order of creation: so who was woken by one step is
        # ready in that order, whatever sets it was kept in.
        self._turns += 1
        for task in batch:
            self._numbers.setdefault(task, len(self._numbers))
            self._since.setdefault(task, self._turns)
        batch.sort(key=self._since.__getitem__)
        if self._schedule.steps >= self._patience:
            self._let_time_pass()
        try:
            index = self._schedule.pick(batch, timer=self._may_strike())
            if index == len(batch):
                self._strike()
                return None
            task = batch[index]
        except Exception as error:  # noqa: BLE001 - a livelock or another scenario
            task = batch[0]
            self._give_up(error)
        del self._since[task]
        self._schedule.trail.append(self._numbers[task])
        if self._recorder is not None:
            schedule = self._schedule
            self._recorder.turn(self._name(task), schedule.at, schedule.deviates, task.coro)
        return task

    def _may_strike(self) -> bool:
        """Return whether the next deadline may come while tasks are ready."""
        kind = self._schedule.timers
        if kind == "idle" or not self._goes or self.verdict is not None:
            return False
        if self._next_deadline() == inf:
            return False
        return kind == "explore" or not any(scope in self.sleeps for scope in self._next_scopes())

    def _next_deadline(self) -> float:
        return core.GLOBAL_RUN_CONTEXT.runner.deadlines.next_deadline()

    def _next_scopes(self) -> list[trio.CancelScope]:
        """Return the scopes that have the next deadline."""
        deadline = self._next_deadline()
        return [
            scope
            for when, _, scope in core.GLOBAL_RUN_CONTEXT.runner.deadlines._heap
            if when == deadline == scope._registered_deadline
        ]

    def _strike(self) -> None:
        self._schedule.trail.append(-1)
        struck, now = self._environment.struck, max(self._clock.now, self._next_deadline())
        for scope in self._next_scopes():
            struck.add(scope)
        struck.jumped += now - self._clock.now
        self._clock.now = now
        if self._recorder is not None:
            self._recorder.strike(self._schedule.at, now)

    def _note_overtaking(self, deadline: float) -> None:
        """Note the scopes that end ahead of others because a timer has struck early."""
        struck, heap = self._environment.struck, core.GLOBAL_RUN_CONTEXT.runner.deadlines._heap
        if struck.jumped and sum(when <= deadline + struck.jumped for when, _, _ in heap) > 1:
            for scope in self._next_scopes():
                struck.add(scope)

    def _let_time_pass(self) -> None:
        """Let the next deadline come although tasks are ready: they may poll for what it brings."""
        self._patience += max(self._schedule.max_steps // 100, 10)
        deadline = core.GLOBAL_RUN_CONTEXT.runner.deadlines.next_deadline()
        if deadline < inf:
            self._clock.now = max(self._clock.now, deadline)

    def _name(self, task: trio.lowlevel.Task) -> str:
        number = self._numbers[task]
        return f"{task.name.rpartition('.')[2]}#{number}" if number else "main"

    def _give_up(self, error: Exception) -> None:
        if self.verdict is not None:
            self._abandon(error)
        self.verdict = error
        if self._recorder is not None:
            self._recorder.stop()
            self._recorder = None
        self._schedule = Schedule({}, max_steps=_UNWINDING)
        self._scope.cancel()

    def _abandon(self, error: Exception) -> NoReturn:
        """Give up a scenario that is cancelled and still does not end: trio breaks down."""
        self._abandoned = list(core.GLOBAL_RUN_CONTEXT.runner.tasks)
        raise error

    def bury(self) -> None:
        """Close what was abandoned, or it complains when it is collected."""
        for task in self._abandoned:
            for nursery in task.child_nurseries:
                nursery._children.clear()
        for task in self._abandoned:
            with suppress(BaseException):  # it has no loop to end in
                task.coro.close()
        self._abandoned.clear()

    # --- the clock

    def start_clock(self) -> None:
        """Time stands still but for jumps."""

    def current_time(self) -> float:
        self._environment.struck.note_reader()
        return self._clock.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Jump to the deadline: trio asks when no task is ready."""
        if core.GLOBAL_RUN_CONTEXT.runner.waiting_for_idle:
            return inf  # trio is about to wake who waits for this moment
        if not self._goes:
            # trio is about to end, unless a signal handler's exception has broken it.
            self._idle_turns += 1
            if self._idle_turns > _IDLE_TURNS:
                self._abandon(Livelock(self._schedule.max_steps))
            return _IDLE
        queue = core.GLOBAL_RUN_CONTEXT.runner.entry_queue
        if queue.queue or queue.idempotent_queue:
            return 0  # a call through run_sync_soon() is on its way
        if deadline < inf:
            self._clock.now = max(self._clock.now, deadline)
            self._note_overtaking(deadline)
        elif self.verdict is None:
            self._give_up(self._waits_for_a_thread() or self._deadlock())
        else:
            self._abandon(Livelock(_UNWINDING))
        return 0

    def foreign_call(self, fn: object) -> bool:
        """Note a call from another thread, which makes the run one that no schedule decides."""
        if get_ident() == self._ident:
            return False
        name = threading.current_thread().name
        self.refusal = UncontrolledThreadError(
            f"thread {name!r} called run_sync_soon({getattr(fn, '__qualname__', repr(fn))})"
        )
        return True

    def _waits_for_a_thread(self) -> UncontrolledError | None:
        """Return an error where a thread of the scenario's may still wake a task."""
        for thread in self._environment.threads_since():
            thread.join(_ENDING)
            if self.refusal is None and thread.is_alive():
                frame = sys._current_frames().get(thread.ident or 0)
                at = f" at {where([frame])}" if frame is not None else ""
                self.refusal = UncontrolledThreadError(
                    f"every task waits, while thread {thread.name!r} is alive{at} and may wake one"
                )
        return self.refusal

    def _deadlock(self) -> Deadlock:
        if self._recorder is None or not self._recorder.explains:
            return Deadlock()
        left = sorted(self._numbers, key=self._numbers.__getitem__)
        alive = core.GLOBAL_RUN_CONTEXT.runner.tasks
        return explain([(t, self._name(t), t.coro) for t in left if t in alive], {})
