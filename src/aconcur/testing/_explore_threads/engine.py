"""The engine of :func:`explore_threads`: runs one scenario's threads one at a time.

One thread runs; all others are parked, each at a gate of its own (a lock that it waits for). A
parked thread stands at a switch point or in a controlled wait, and nowhere else: so the engine
always knows which threads could go on, and a schedule is the list of who went on at each point.

The engine owns the state of a run; the watcher (``instrumentation``) and the controlled primitives
call into it:

- :meth:`Engine.point`: the running thread is at a switch point; another thread may go first.
- :meth:`Engine.block` and :meth:`Engine.wake`: the running thread waits; a lock is free again.
- :meth:`Engine.before` and :meth:`Engine.after`: a controlled operation begins or has ended;
  whether that is a switch point depends on the grain and on the caller.

An OS thread is started at its first turn and ends with its schedule. Keeping threads for the next
schedule would save 25 µs each (13 µs instead of 40) but would carry ``threading.local`` values from
run to run.

When a run is over, the threads that are left are unwound one after the other by an exception that
``except Exception`` does not catch. No thread outlives the exploration.
"""

from __future__ import annotations

__all__ = ("Engine", "Scenario", "engine_here")

import re
import threading
from _thread import allocate_lock, get_ident, start_new_thread
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType
from typing import Any, Final, TypeAlias

from aconcur.testing._explore.deadlock import explain_frames
from aconcur.testing._explore.errors import Livelock, NotReproducibleError, UncontrolledWaitError
from aconcur.testing._explore.schedule import Schedule
from aconcur.testing._explore.trace import Recorder
from aconcur.testing._explore_threads.thread_state import (
    Abandoned,
    ThreadState,
    Watcher,
    frames_of_thread,
    is_idle_worker,
)
from aconcur.testing._frames import is_users, waited_for, where

Scenario: TypeAlias = Callable[[], object]

# Real seconds without a step after which a thread is taken to wait for something that the engine
# does not control. A guess: no step of a test computes that long.
STALL: float = 5.0
# Points in a row that the base order gives to one thread: enough for any loop body, small enough
# that a spinning thread lets the others run. A guess.
FAIR: Final = 500
# Points that a thread may still reach while it is unwound before it is stopped at every
# instruction; three times as many before it is given up. A guess: a finally clause does less.
PATIENCE: Final = 1_000

_AUTOMATIC: Final = re.compile(r"Thread-\d+")


class Engine:
    """Runs one scenario, any number of times."""

    watcher: Watcher
    current: ThreadState
    _schedule: Schedule

    def __init__(self, scenario: Scenario, grain: str, kind: Callable[[CodeType], str]) -> None:
        self._scenario = scenario
        self._refused: TypeError | None = None
        self.kind = kind
        """Says of code whether it is "traced", "ours", the "library"'s or "other"."""
        self.gil: bool = grain == "gil"
        self.changing: frozenset[str] = frozenset()
        """Variables that one traced file may change in another."""
        self.states: dict[int, ThreadState] = {}
        self.renew(None)

    def renew(self, recorder: Recorder | None) -> None:
        """Begin a run."""
        self.recorder = recorder
        self.ready: list[ThreadState] = []
        self.states.clear()
        self.now = 0.0
        self.ident = self.stuck = 0
        self.closing = self.everywhere = self.fresh = False
        self._alone = 0
        self._failure: BaseException | None = None
        self._pending: tuple[FrameType, int] | None = None

    # -- one run

    def run(self, schedule: Schedule, recorder: Recorder | None = None) -> BaseException | None:
        """Run once; return the error that the scenario ended with."""
        self.renew(recorder)
        schedule.fair = FAIR
        self._schedule = schedule
        self._context = copy_context()
        self._over = allocate_lock()
        self._over.acquire()
        caller = threading.current_thread()
        main = self._add("main", caller)
        self.current = main
        schedule.pick(self.ready)
        _active.engine = self
        try:
            self._resume(main)
            self._supervise()
        finally:
            _active.engine = None
            self.ident = self.stuck = 0
            threading._active[get_ident()] = caller  # type: ignore[attr-defined]
            for state in self.states.values():
                threading._limbo.pop(state.thread, None)  # type: ignore[attr-defined]
        if self._refused is not None:
            raise self._refused
        return self._failure

    def _supervise(self) -> None:
        before = -1
        while True:
            try:
                if self._over.acquire(timeout=STALL):
                    return
            except BaseException:  # Ctrl-C
                self._close(None)
                self._over.acquire(timeout=STALL)
                raise
            if self._schedule.steps == before:
                self._stalled()
                return
            before = self._schedule.steps

    def _stalled(self) -> None:
        state = self.current
        frames = frames_of_thread(state)
        on = waited_for(frames)
        self._close(None)
        self.stuck = state.ident
        self._unwind_next()
        # It gets the lock that it waits for once the holder is unwound, and then ends, too.
        self._over.acquire(timeout=STALL)
        raise UncontrolledWaitError(state.name, where(frames), STALL, on)

    def _add(self, name: str, thread: threading.Thread) -> ThreadState:
        state = self.states[id(thread)] = ThreadState(name, thread)
        self.ready.append(state)
        return state

    def spawn(self, thread: threading.Thread) -> None:
        """Add a thread that may have its first turn at the next point."""
        if self.closing:
            raise Abandoned
        self._add(self._name(thread), thread)
        threading._limbo[thread] = thread  # type: ignore[attr-defined]

    def _name(self, thread: threading.Thread) -> str:
        name = thread.name
        if _AUTOMATIC.match(name):
            target = getattr(thread, "_target", None)
            name = getattr(target, "__name__", type(thread).__name__)
        elif all(state.name != name for state in self.states.values()):
            return name
        return f"{name}#{len(self.states)}"

    def materialise(self, state: ThreadState) -> None:
        """Give a thread its OS thread, which has the number that the scenario asks for."""
        if not state.started:
            state.started = True
            begun = allocate_lock()
            begun.acquire()
            start_new_thread(self._body, (state, begun))
            begun.acquire()

    def _resume(self, state: ThreadState) -> None:
        if state.started:
            state.gate.release()
        else:
            state.started = True
            start_new_thread(self._body, (state, None))

    def _body(self, state: ThreadState, begun: Any) -> None:
        thread = state.thread
        state.ident = ident = get_ident()
        main = state.name == "main" and len(self.states) == 1
        if not main:
            thread._set_ident()  # type: ignore[attr-defined]
            thread._set_native_id()  # type: ignore[attr-defined]
        else:
            threading._active.pop(thread.ident, None)  # type: ignore[attr-defined]
        threading._active[ident] = thread  # type: ignore[attr-defined]
        threading._limbo.pop(thread, None)  # type: ignore[attr-defined]
        try:
            if begun is not None:
                begun.release()
                state.gate.acquire()
            self.ident = ident
            if not self.closing:
                self._turn(state)
                self.watcher.begin()
                try:
                    if main:
                        self._check(self._context.run(self._scenario))
                    else:
                        thread.run()
                finally:
                    self.watcher.end()
        except Abandoned:
            pass
        except SystemExit as error:
            if main:
                self._close(error)
        except BaseException as error:  # noqa: BLE001, ASYNC103 - it is the schedule's outcome
            self._uncaught(thread, error, main)
        finally:
            threading._active.pop(ident, None)  # type: ignore[attr-defined]
            self._end(state)

    def _check(self, returned: object) -> None:
        """Refuse a scenario of which nothing ran: no schedule could fail."""
        if not isinstance(returned, CoroutineType | GeneratorType | AsyncGeneratorType):
            return
        if isinstance(returned, AsyncGeneratorType):
            kind = "an async generator"  # one that has not begun needs no end
        else:
            kind = f"a {type(returned).__name__}"
            returned.close()
        self._refused = TypeError(
            f"scenario {self._scenario!r} returned {kind}, of which nothing ran: use explore() "
            "for async functions, and for threads a plain function that does all itself"
        )
        self._close(None)

    def _uncaught(self, thread: threading.Thread, error: BaseException, main: bool) -> None:
        hook = threading.excepthook
        if main or self.closing or hook is self.excepthook:
            self._close(error)
        else:
            kind = type(error)
            hook(threading.ExceptHookArgs((kind, error, error.__traceback__, thread)))

    @staticmethod
    def excepthook(_: Any) -> None:
        """Stand for "none of the scenario's own" in :data:`threading.excepthook`."""

    def _end(self, state: ThreadState) -> None:
        """Hand over for good."""
        self._flush()
        if self.states.get(id(state.thread)) is not state:
            return  # it was given up, runs ago
        state.done = True
        if self.stuck == state.ident:
            left = [other for other in self.states.values() if other.started and not other.done]
            if not left:
                with suppress(RuntimeError):
                    self._over.release()
            return
        if state in self.ready:
            self.ready.remove(state)
        self.wake(state.waiters)
        if self._is_over():
            self._close(None)
        if not self.closing:
            following = self._next()
            if following is not None:
                self.current, self.ident = following, following.ident
                self._resume(following)
                return
        self._unwind_next()

    def _unwind_next(self) -> None:
        left = [state for state in self.states.values() if state.started and not state.done]
        for state in left:
            if state.ident != self.stuck:
                self.current, self.ident = state, state.ident
                state.gate.release()
                return
        if not left:
            with suppress(RuntimeError):  # the stuck thread has said it, too
                self._over.release()

    # -- turns

    def point(self) -> None:
        """Let another thread go first, if the schedule says so."""
        if self.closing:
            self._unwound(self.everywhere)
            return
        me = self.current
        self._alone += 1
        if self._alone > FAIR:
            self._pass_time()
        following = self._next()
        if following is None:
            raise Abandoned
        if following is me:
            self._flush()
        else:
            self._hand_over(me, following)
        self.fresh = True

    def block(self, until: float | None = None) -> bool:
        """Park the running thread until it is woken; return False if the time came first."""
        if self.closing:
            self._unwound(True)
        me = self.current
        self._flush()
        self.ready.remove(me)
        me.until, me.timed_out = until, False
        following = self._next()
        if following is None:
            raise Abandoned
        if following is not me:
            self._hand_over(me, following)
        me.until = None
        self.fresh = False
        return not me.timed_out

    def wake(self, waiters: list[ThreadState]) -> None:
        """Make threads ready."""
        for state in waiters:
            if state not in self.ready and not state.done:
                self.ready.append(state)

    def unready(self, waiters: list[ThreadState]) -> None:
        """Take back a wake-up: another thread was faster."""
        for state in waiters:
            if state in self.ready and not state.timed_out:
                self.ready.remove(state)

    def _next(self) -> ThreadState | None:
        """Return whose turn it is; None if the run has failed."""
        try:
            if not self.ready:
                if self._is_over():
                    self._close(None)
                    return None
                if not self._pass_time():
                    self._close(self._deadlock())
                    return None
            return self.ready[self._schedule.pick(self.ready)]
        except (Livelock, NotReproducibleError) as error:
            self._close(error)
            return None

    def _hand_over(self, me: ThreadState, following: ThreadState) -> None:
        self._pending, self._alone = None, 0
        self.current, self.ident = following, following.ident
        self._resume(following)
        me.gate.acquire()
        self.ident = me.ident
        if self.closing:
            raise Abandoned
        self._turn(me)

    def _pass_time(self) -> bool:
        """Move the clock to the next moment for which a thread waits."""
        sleepers = [
            state
            for state in self.states.values()
            if state.until is not None and not state.done and state not in self.ready
        ]
        self._alone = 0
        if not sleepers:
            return False
        self.now = max(self.now, min(state.until or 0.0 for state in sleepers))
        for state in sleepers:
            if (state.until or 0.0) <= self.now:
                state.timed_out = True
                self.ready.append(state)
        return True

    def _is_over(self) -> bool:
        """Return whether none is left that Python's exit would wait for without an end."""
        return all(
            state.done
            or (state.thread.daemon and number > 0)  # main counts, whoever explores
            or (state not in self.ready and state.until is None and is_idle_worker(state))
            for number, state in enumerate(self.states.values())
        )

    def _deadlock(self) -> BaseException:
        left = [state for state in self.states.values() if not state.done]
        ended = {id(one): f"{one.name} (ended)" for one in self.states.values() if one.done}
        holders: dict[object, object] = {state.thread: state for state in left}
        waits = [(state, state.name, frames_of_thread(state)) for state in left]
        return explain_frames(waits, holders, ended)

    # -- the end of a run

    def _close(self, error: BaseException | None) -> None:
        if self.closing:
            return
        self._failure, self.closing = error, True
        if self.recorder is not None:
            self._flush()
            self.recorder.stop()

    def _unwound(self, must_stop: bool) -> None:
        """Count what a thread does although its run is over."""
        me = self.current
        me.unwinding += 1
        if me.unwinding > PATIENCE and not self.everywhere:
            self.everywhere = True
            self.watcher.stop_everywhere()
        if me.unwinding > 3 * PATIENCE:
            place = where(frames_of_thread(me))
            self._failure = RuntimeError(
                f"{me.name} catches BaseException at {place} and goes on for ever, so its thread "
                "cannot be ended: let BaseException pass, or catch Exception"
            )
            me.done = True
            self._unwind_next()
            while True:  # never runs again
                me.gate.acquire()
        if must_stop:
            raise Abandoned

    # -- what a replay shows

    def line(self, frame: FrameType) -> None:
        """Note that the running thread has come to a line."""
        self._flush()
        self._pending = frame, frame.f_lineno

    def _flush(self) -> None:
        if self._pending is not None and self.recorder is not None:
            self.recorder.line(*self._pending)
            self._pending = None

    def _turn(self, state: ThreadState) -> None:
        if self.recorder is not None:
            self.recorder.turn(state.name, self._schedule.at, self._schedule.deviates)
            mine = [
                frame
                for frame in frames_of_thread(state)
                if self.kind(frame.f_code) == "traced" or is_users(frame)
            ]
            if mine:
                self.recorder.line(mine[-1], mine[-1].f_lineno)

    # -- where a controlled operation is a point

    def before(self, caller: CodeType, *, python: bool = False) -> None:
        """Be a point before an operation, unless the caller's own instruction was one.

        Under the GIL nothing is looked at before a function in C; a library's code, and what is
        Python in the standard library, looks when it is entered.
        """
        kind = self.kind(caller)
        if self.gil:
            needed = (kind != "traced" or python) and not (kind == "library" and self.fresh)
        else:
            needed = kind == "other" or (kind == "library" and not self.fresh)
        if needed:
            self.point()
        self.fresh = False

    def after(self) -> None:
        """Be a point behind an operation: calls of C functions end with a look at the breaker."""
        if self.gil:
            self.point()


class _Active:
    engine: Engine | None = None


_active = _Active()


def engine_here() -> Engine | None:
    """Return the engine that runs the calling thread; None for any other thread."""
    engine = _active.engine
    if engine is None:
        return None
    ident = get_ident()
    if engine.ident == ident:
        return engine
    if engine.stuck == ident:
        raise Abandoned
    return None
