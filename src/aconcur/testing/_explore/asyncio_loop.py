"""Runs a scenario on asyncio under a given schedule.

:class:`_Loop` is an event loop without a clock, a selector or a thread. It holds what is ready and
asks the schedule which goes next:

- *Tasks.* asyncio steps and wakes a task by passing a method of the task to ``call_soon``; the loop
  recognises these and keeps such tasks as candidates, in the order of the calls.
- *Callbacks.* All other callbacks keep their order among themselves, because asyncio documents that
  order and code relies on it. The oldest of them is one candidate. It may overtake tasks, but a
  task that became ready after it does not overtake it: anyio, for one, relies on a callback that a
  task has passed to ``call_soon`` running before the task itself goes on.
- *Timers.* Time passes when nothing is ready: it moves to the next timer, whose callback then is
  pending like any other. Where only tasks are ready, the next timer is a candidate, too (see
  ``timers``). A task that polls never lets the loop become idle, so time also passes after half of
  the steps that a run may take.

Every candidate that is picked counts as a step, so no timer or callback that starts itself again
can keep a run from ending.

The order in which a *set* is walked changes from run to run, and asyncio and anyio cancel tasks by
walking sets. Tasks that one step has woken by cancelling are therefore taken in the order of their
creation; all others in the order in which they were really woken.

After the scenario has ended the loop runs on, without letting time pass, until nothing is ready:
what is then left waits for something and is reported, as are errors that no caller received.
"""

from __future__ import annotations

__all__ = ("run",)

import asyncio
import heapq
import sys
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context
from inspect import CORO_CREATED, getcoroutinestate, iscoroutine
from itertools import count
from math import inf
from threading import get_ident
from types import FrameType
from typing import Any, Final, Literal, NoReturn, TypeVar, TypeVarTuple, Unpack
from weakref import WeakKeyDictionary, WeakSet

from aconcur.testing._explore.deadlock import explain
from aconcur.testing._explore.environment import Environment
from aconcur.testing._explore.errors import (
    BackgroundError,
    Deadlock,
    RealInputOutputError,
    Report,
    Reported,
    UncontrolledError,
    UncontrolledThreadError,
    UnsupportedLoopCallError,
    interrupts,
)
from aconcur.testing._explore.inline_threads import in_call, note_callback
from aconcur.testing._explore.schedule import CALLBACK, Schedule
from aconcur.testing._explore.timers import is_sleep
from aconcur.testing._explore.trace import Log
from aconcur.testing._explore.uncontrolled import refused, take_refusal
from aconcur.testing._frames import frames_of, where

T = TypeVar("T")
Args = TypeVarTuple("Args")
Step = tuple[Callable[..., object], tuple[Any, ...], Context]

# What stands for callbacks and for a timer in a schedule's trail, beside the numbers of tasks.
_CALLBACK: Final = -1
_TIMER: Final = -2
# Steps that end a scenario's tasks after it has ended, before they are given up. A guess.
_UNWINDING: Final = 10_000
# Steps after the scenario's end, in which tasks and callbacks may finish. A guess.
_FINISHING: Final = 2_000
# Callbacks in a row without a task that is ready, after which time passes. A guess.
_IDLE: Final = 100
# Seconds for which a thread that is alive may end, where nothing but it could go on. A guess.
_ENDING: Final = 0.2


def run(
    scenario: Callable[[], Coroutine[Any, Any, object]],
    environment: Environment,
    schedule: Schedule,
    recorder: Log | None = None,
) -> BaseException | None:
    """Run once; return the error that the scenario ended with.

    Tasks that are left over are cancelled and run to their end, as :func:`asyncio.run` does.
    """
    take_refusal()
    environment.begin_run()
    # Only typeshed calls the base class abstract.
    loop = _Loop(schedule, recorder, environment)  # type: ignore[abstract]
    with loop.running():
        main = loop.create_task(scenario(), name="main")
        try:
            if recorder is None:
                loop.run_to_the_end_of(main)
            else:
                with _holders_noted(loop.holders, wanted=recorder.explains):
                    loop.run_recorded(main, recorder)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a deadlock or another scenario
            found: BaseException | None = error
            loop.start_all()
        else:
            found = _error_of(main)
            if found is not None and interrupts(found):
                raise found
            if found is None:
                found = loop.reported(environment.allow)
            elif environment.struck.explains(found):
                found = None
        finally:
            loop.unwind()
    return loop.refusal or take_refusal() or found


def _error_of(main: asyncio.Task[object]) -> BaseException | None:
    return asyncio.CancelledError() if main.cancelled() else main.exception()


class _Loop(asyncio.AbstractEventLoop):
    """An event loop for one run.

    Invariant: callbacks with a number below ``_due`` were pending when the last task had made its
    step. The base order runs these first and leaves later ones until a task has gone on: anyio, for
    one, repeats a callback until the task that it cancels has ended.

    Invariant: ``_ready``, ``_steps`` and ``_arrived`` are parallel: a task that is ready, what
    steps it, and a number that grows with each ``call_soon``. ``_callbacks`` has such numbers, too.
    """

    slow_callback_duration: float = 0.1

    def __init__(self, schedule: Schedule, recorder: Log | None, environment: Environment) -> None:
        self._schedule, self._recorder = schedule, recorder
        self._environment = environment
        self._ident = get_ident()
        self._arrivals = 0
        self._due = 0
        self._idle_callbacks = 0
        self._callbacks: deque[tuple[int, asyncio.Handle]] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer_number = count()
        self._ready: list[asyncio.Task[Any]] = []
        self._steps: list[Step] = []
        self._arrived: list[int] = []
        self._cancelled: list[asyncio.Task[Any]] = []
        self._patience = schedule.max_steps // 2
        self._numbers: dict[asyncio.Task[Any], int] = {}
        self._futures: list[asyncio.Future[Any]] = []
        self._factory: Callable[..., Any] | None = None
        self._generators: WeakSet[AsyncGenerator[Any, Any]] = WeakSet()
        self._handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None
        self._reports: list[Report] = []
        self._ending = self._over = False
        self._step_handle = asyncio.Handle(_nothing, (), self, Context())
        self.holders: WeakKeyDictionary[object, object] = WeakKeyDictionary()
        self.refusal: UncontrolledError | None = None
        """Another thread called into this loop."""

    # --- one run

    @contextmanager
    def running(self) -> Iterator[None]:
        hooks = sys.get_asyncgen_hooks()
        asyncio._set_running_loop(self)
        sys.set_asyncgen_hooks(self._generators.add, self._end_generator)
        try:
            yield
        finally:
            self._over = True
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(None)

    def run_to_the_end_of(self, main: asyncio.Task[object]) -> None:
        while not main.done():
            self._turn()
            if self.refusal is not None:
                raise self.refusal

    def run_recorded(self, main: asyncio.Task[object], recorder: Log) -> None:
        try:
            with recorder.recording():
                self.run_to_the_end_of(main)
        except Deadlock:
            raise explain(
                [(task, self._name(task), task.get_coro()) for task in self._left()], self.holders
            ) from None

    def start_all(self) -> None:
        """Give each new task its first step, in a run that is given up in the middle.

        Cancelled before it, a task would never await the coroutine that a library has wrapped in
        its own; trio does not cancel before the first step either.
        """
        self._recorder = None
        for _ in range(_UNWINDING):
            index = next((i for i, task in enumerate(self._ready) if _is_new(task)), None)
            if index is None:
                return
            self._step(index)

    def reported(self, allow: Collection[Reported]) -> BackgroundError | None:
        """Return what the scenario left behind or never noticed, after it has ended normally."""
        if self._recorder is not None:
            self._recorder.stop()
        self._recorder = None
        self._schedule = Schedule({}, max_steps=_FINISHING, order="fifo")
        with suppress(AssertionError):  # a task that never ends is among those that are left
            while self._ready or self._callbacks:
                self._turn()
        reports = [*self._reports, *self._unnoticed(), *self._environment.take_reports()]
        reports = [report for report in reports if report.kind not in allow]
        return BackgroundError(tuple(reports)) if reports else None

    def _unnoticed(self) -> Iterator[Report]:
        for task in self._numbers:
            if not task.done():
                at = where(frames_of(task.get_coro()))
                yield Report("task left", f"{self._name(task)} still waits at {at}")
            elif _never_retrieved(task):
                error = task.exception()
                text = f"{self._name(task)} ended with an error that nothing awaited: {error!r}"
                yield Report("task error", text, error)
        for future in self._futures:
            if future.done() and _never_retrieved(future):
                error = future.exception()
                yield Report(
                    "future error", f"a future's error was never retrieved: {error!r}", error
                )
        for generator in self._generators:
            frame: FrameType | None = generator.ag_frame  # type: ignore[attr-defined]
            if frame is not None:
                name = getattr(generator, "__qualname__", "an async generator")
                yield Report("generator left", f"{name} was neither exhausted nor closed")

    def unwind(self) -> None:
        """Cancel the tasks that are left, and let them end."""
        self._recorder, self._ending = None, True
        self._schedule = Schedule({}, max_steps=_UNWINDING)
        interrupt: KeyboardInterrupt | None = None
        while True:
            for task in self._left():
                task.cancel()
            for generator in list(self._generators):
                self._end_generator(generator)
            self._generators.clear()
            left = self._left()
            if not left:
                break
            try:
                while self._left():
                    self._turn()
            except SystemExit:  # asyncio raises it through the loop; the task is done
                continue
            except KeyboardInterrupt as error:
                interrupt = error
            except (AssertionError, UncontrolledError):  # it goes on although cancelled: drop it
                for task in left:
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    _close(task.get_coro())
                break
        for future in (*self._futures, *self._numbers):
            future._log_traceback = False
        if interrupt is not None:
            raise interrupt

    def _turn(self) -> None:
        """Run one candidate: a task's step or the oldest callback. Let time pass without any."""
        callbacks, ready = self._callbacks, self._ready
        if self._cancelled:
            self._sort_cancelled()
        schedule = self._schedule
        if schedule.steps >= self._patience:
            self._let_time_pass()
        if callbacks:
            arrived, handle = callbacks[0]
            if schedule.order == "run-on" and arrived <= self._due and _runs_at_once(handle):
                before = 0
            else:
                before = bisect_left(self._arrived, arrived)
            schedule.callback_first = arrived <= self._due
            index = schedule.pick([*ready[:before], CALLBACK] if before else (CALLBACK,))
            if index == before:
                self._run_callback(alone=not ready)
                return
        elif ready:
            index = schedule.pick(ready, timer=bool(self._timers) and self._may_strike())
            if index == len(ready):
                self._strike()
                return
        else:
            self._pass_time()
            return
        if self._recorder is not None:
            task = ready[index]
            self._recorder.turn(self._name(task), schedule.at, schedule.deviates, task.get_coro())
        self._step(index)

    def _step(self, index: int) -> None:
        self._schedule.trail.append(self._numbers[self._ready.pop(index)])
        del self._arrived[index]
        callback, args, context = self._steps.pop(index)
        context.run(callback, *args)
        self._due = self._arrivals

    def _run_callback(self, *, alone: bool) -> None:
        _, handle = self._callbacks.popleft()
        self._schedule.trail.append(_CALLBACK)
        self._idle_callbacks = self._idle_callbacks + 1 if alone else 0
        if self._idle_callbacks >= _IDLE:
            self._let_time_pass()
            self._idle_callbacks = 0
        if handle.cancelled():
            return
        if self._recorder is not None:
            schedule = self._schedule
            self._recorder.turn("callback", schedule.at, schedule.deviates)
        handle._run()

    def _sort_cancelled(self) -> None:
        """Put the tasks that the last step has woken by cancelling into the order of creation."""
        if len(self._cancelled) > 1:
            woken = {id(task) for task in self._cancelled}
            places = [i for i, task in enumerate(self._ready) if id(task) in woken]
            order = sorted(places, key=lambda i: self._number(self._ready[i]))
            pairs = [(self._ready[i], self._steps[i]) for i in order]
            for place, (task, step) in zip(places, pairs, strict=True):
                self._ready[place], self._steps[place] = task, step
        self._cancelled.clear()

    def _let_time_pass(self) -> None:
        """Let the next timer fire although tasks are ready: they may poll for what it brings."""
        self._patience += max(self._schedule.max_steps // 100, 10)
        with suppress(Deadlock):
            self._pass_time()

    def _may_strike(self) -> bool:
        """Return whether the next timer may strike while tasks are ready."""
        kind = self._schedule.timers
        if kind == "idle" or self._next_timer() is None:
            return False
        first = self._timers[0][0]
        return kind == "explore" or not any(
            when == first and is_sleep(handle) for when, _, handle in self._timers
        )

    def _strike(self) -> None:
        self._schedule.trail.append(_TIMER)
        clock, struck = self._environment.clock, self._environment.struck
        before = clock.now
        for handle in self._pass_time():
            struck.add_handle(handle)
        struck.jumped += clock.now - before
        if self._recorder is not None:
            self._recorder.strike(self._schedule.at, clock.now)

    def _next_timer(self) -> asyncio.TimerHandle | None:
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        return timers[0][2] if timers else None

    def _pass_time(self) -> list[asyncio.TimerHandle]:
        """Move to the next timer; return those that are pending now."""
        timers = self._timers
        if self._next_timer() is None:
            if not self._ready and not self._ending:
                self._refuse_to_wait_for_threads()
            raise Deadlock
        clock = self._environment.clock
        clock.now = max(clock.now, timers[0][0])
        pending: list[asyncio.TimerHandle] = []
        while timers and timers[0][0] <= clock.now:
            pending.append(heapq.heappop(timers)[2])
            self._callbacks.append((self._next_arrival(), pending[-1]))
        self._due = self._arrivals
        struck = self._environment.struck
        if struck.jumped and (
            len(pending) > 1 or (timers and timers[0][0] <= clock.now + struck.jumped)
        ):
            for handle in pending:
                struck.add_handle(handle)
        return pending

    def _refuse_to_wait_for_threads(self) -> None:
        """Raise where a thread of the scenario's may still wake a task."""
        for thread in self._environment.threads_since():
            thread.join(_ENDING)
            if self.refusal is not None:
                raise self.refusal
            if thread.is_alive():
                frame = sys._current_frames().get(thread.ident or 0)
                at = f" at {where([frame])}" if frame is not None else ""
                raise refused(
                    UncontrolledThreadError(
                        f"every task waits, while thread {thread.name!r} is alive{at} and may "
                        "wake one"
                    )
                )

    def _next_arrival(self) -> int:
        self._arrivals += 1
        return self._arrivals

    def _left(self) -> list[asyncio.Task[Any]]:
        # Not asyncio.all_tasks(), which walks through the garbage of earlier runs too.
        return [task for task in self._numbers if not task.done()]

    def _number(self, task: asyncio.Task[Any]) -> int:
        return self._numbers.setdefault(task, len(self._numbers))

    def _name(self, task: asyncio.Task[Any]) -> str:
        number, name = self._number(task), task.get_name()
        if not number:
            return name
        if name.startswith("Task-"):
            name = getattr(task.get_coro(), "__qualname__", name)
        return f"{name.rpartition('.')[2]}#{number}"

    def _end_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        if not self._over:
            self.create_task(_aclose(generator))

    # --- what asyncio asks of a loop

    def call_soon(
        self,
        callback: Callable[[Unpack[Args]], object],
        *args: *Args,
        context: Context | None = None,
    ) -> asyncio.Handle:
        task = getattr(callback, "__self__", None)
        # A task's step and its wake-up are nameless or private; `call_soon(task.cancel)` is not.
        if isinstance(task, asyncio.Task) and not hasattr(
            asyncio.Task, getattr(callback, "__name__", "")
        ):
            self._number(task)
            if args and args[0].cancelled():  # type: ignore[attr-defined]
                self._cancelled.append(task)
            self._ready.append(task)
            self._steps.append((callback, args, context or copy_context()))
            self._arrived.append(self._next_arrival())
            return self._step_handle
        handle = asyncio.Handle(callback, args, self, context)
        self._callbacks.append((self._next_arrival(), handle))
        return handle

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Args]], object],
        *args: *Args,
        context: Context | None = None,
    ) -> asyncio.Handle:
        if get_ident() != self._ident:
            if not self._over:
                name = threading.current_thread().name
                called = getattr(callback, "__qualname__", repr(callback))
                self.refusal = UncontrolledThreadError(
                    f"thread {name!r} called loop.call_soon_threadsafe({called})"
                )
            return self._step_handle
        note_callback(callback, args)
        return self.call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Args]], object],
        *args: *Args,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if when < inf:  # anyio sleeps for ever until then
            heapq.heappush(self._timers, (when, next(self._timer_number), handle))
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Args]], object],
        *args: *Args,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer stays in the heap until its time."""

    def time(self) -> float:
        self._environment.struck.note_reader()
        return self._environment.clock.now

    def create_future(self) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.Future(loop=self)
        self._futures.append(future)
        return future

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        if self._factory is not None:
            made: asyncio.Task[Any] = self._factory(self, coro, **options)
        else:
            made = asyncio.Task(coro, loop=self, **options)
        self._number(made)
        return made

    def set_task_factory(self, factory: Callable[..., Any] | None) -> None:
        self._factory = factory

    def get_task_factory(self) -> Callable[..., Any] | None:
        return self._factory

    def run_in_executor(
        self, executor: object, func: Callable[[Unpack[Args]], T], *args: *Args
    ) -> asyncio.Future[T]:
        """Run the call as one step of a task of its own: its answer comes at any moment."""
        del executor
        answer: asyncio.Future[T] = asyncio.Future(loop=self)
        name = f"thread {getattr(func, '__name__', 'call')}"
        self.create_task(_call(answer, func, args), name=name)
        return answer

    def set_default_executor(self, executor: object) -> None:
        """Calls for an executor run as a step, so there is nothing to set."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Calls for an executor run as a step, so there is nothing to wait for."""

    async def shutdown_asyncgens(self) -> None:
        """Close the async generators that are suspended."""
        left = list(self._generators)
        self._generators.clear()
        await asyncio.gather(*(one.aclose() for one in left), return_exceptions=True)

    def get_debug(self) -> bool:
        return False

    def set_debug(self, enabled: bool) -> None:
        """Debugging looks at the real clock and changes nothing that a schedule decides."""

    def is_running(self) -> bool:
        return not self._over

    def is_closed(self) -> bool:
        return self._over

    def get_exception_handler(self) -> Any:
        return self._handler

    def set_exception_handler(self, handler: Any) -> None:
        """Let the scenario's own handler have the errors; they do not fail the exploration then."""
        if handler is not None and not callable(handler):
            raise TypeError(f"A callable object or None is expected, got {handler!r}")
        self._handler = handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Report an error that no task receives, which fails the exploration."""
        message, error = str(context.get("message")), context.get("exception")
        if error is not None and interrupts(error):
            raise error
        kind: Reported = "callback error" if "handle" in context else "other"
        if "never retrieved" in message:
            kind = "task error" if message.startswith("Task") else "future error"
        text = f"{message}: {error!r}" if error is not None else message
        self._reports.append(Report(kind, text, error))

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self._handler is None:
            self.default_exception_handler(context)
            return
        try:
            self._handler(self, context)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001, ASYNC103 - as asyncio does
            self.default_exception_handler(
                {"message": "Unhandled error in exception handler", "exception": error}
            )


def _refuse(name: str, error: Callable[[], UncontrolledError]) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise refused(error())

    refuse.__name__ = name
    return refuse


_REAL: Final = """
    add_reader remove_reader add_writer remove_writer add_signal_handler remove_signal_handler
    connect_accepted_socket connect_read_pipe connect_write_pipe create_connection
    create_datagram_endpoint create_server create_unix_connection create_unix_server getaddrinfo
    getnameinfo sendfile sock_accept sock_connect sock_recv sock_recv_into sock_recvfrom
    sock_recvfrom_into sock_sendall sock_sendfile sock_sendto start_tls subprocess_exec
    subprocess_shell
"""
_OWNERS: Final = {
    "run_forever": "the exploration runs the loop: await the work in the scenario",
    "run_until_complete": "the exploration runs the loop: await the work in the scenario",
    "stop": "the exploration ends the loop: return from the scenario",
    "close": "the exploration closes the loop: return from the scenario",
}
for _name in _REAL.split():
    setattr(
        _Loop,
        _name,
        _refuse(_name, lambda name=_name: RealInputOutputError(f"loop.{name}")),  # type: ignore[misc]
    )
for _name, _remedy in _OWNERS.items():
    setattr(
        _Loop,
        _name,
        _refuse(
            _name,
            lambda name=_name, remedy=_remedy: UnsupportedLoopCallError(f"loop.{name}", remedy),  # type: ignore[misc]
        ),
    )


# By which task groups, gather() and wait() learn that a task has ended.
_COMPLETIONS: Final = {
    "TaskGroup._on_task_done",
    "TaskGroup._spawn.<locals>.task_done",
    "gather.<locals>._done_callback",
    "_wait.<locals>._on_completion",
}


def _runs_at_once(handle: asyncio.Handle) -> bool:
    """Return whether the base order runs a callback at once, without a choice.

    One that only counts a task that has ended well can do nothing but make the task ready that
    waits for the last such end, and that task may go on late by a choice of its own. anyio repeats
    a cancellation in each turn of the loop until the cancelled tasks have ended: without this
    rule nearly all choices would be about these repetitions.
    """
    callback, args = handle._callback, handle._args  # type: ignore[attr-defined]
    name = getattr(callback, "__qualname__", "")
    if name == "CancelScope._deliver_cancellation":
        return True
    if name not in _COMPLETIONS or len(args) != 1:
        return False
    future = args[0]
    return bool(future.done()) and not future.cancelled() and future._exception is None


def _never_retrieved(future: asyncio.Future[Any]) -> bool:
    return bool(future._log_traceback) and not future.cancelled()


def _nothing() -> None:
    """The callback of the handle that stands for every step of a task."""


async def _aclose(generator: AsyncGenerator[Any, Any]) -> None:
    await generator.aclose()


async def _call(  # noqa: ASYNC124 - a task of its own, so that a schedule decides when it runs
    answer: asyncio.Future[T], func: Callable[..., T], args: tuple[Any, ...]
) -> None:
    try:
        with in_call():
            value = func(*args)
    except BaseException as error:  # noqa: ASYNC103 - it is the caller's: nothing awaits here
        if not answer.done():
            answer.set_exception(error)
        if not isinstance(error, Exception):
            raise
    else:
        if not answer.done():
            answer.set_result(value)


def _is_new(task: asyncio.Task[Any]) -> bool:
    coroutine = task.get_coro()
    return iscoroutine(coroutine) and getcoroutinestate(coroutine) == CORO_CREATED


def _close(coroutine: Any) -> None:
    with suppress(BaseException):  # it refuses to end, and nothing waits for it any more
        coroutine.close()


@contextmanager
def _holders_noted(holders: WeakKeyDictionary[object, object], *, wanted: bool) -> Iterator[None]:
    """Note which task holds each asyncio.Lock, which does not remember it."""
    if not wanted:
        yield
        return
    really = asyncio.Lock.acquire, asyncio.Lock.release

    async def acquire(self: asyncio.Lock) -> Literal[True]:
        done = await really[0](self)
        holders[self] = asyncio.current_task()
        return done

    def release(self: asyncio.Lock) -> None:
        holders.pop(self, None)
        really[1](self)

    # A class's methods are replaced for one run.
    asyncio.Lock.acquire, asyncio.Lock.release = acquire, release  # type: ignore[method-assign]
    try:
        yield
    finally:
        asyncio.Lock.acquire, asyncio.Lock.release = really  # type: ignore[method-assign]
