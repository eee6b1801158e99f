"""Runs a scenario's threads one at a time, under given choices.

Rule: when a run is over, each thread that is left is unwound in its turn, so none outlives it.

An OS thread is started when its first turn comes, and a schedule's threads end with it: kept ones
would spare 25 µs each (13 µs against 40) but would carry ``threading.local`` from run to run.
"""

from __future__ import annotations

__all__ = ("Engine", "Scenario", "engine_here")

import re
import threading
from _thread import allocate_lock, get_ident, start_new_thread
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from types import AsyncGeneratorType, CodeType, CoroutineType, GeneratorType
from typing import Any, Final, TypeAlias

from aconcur.testing._choices import Choices
from aconcur.testing._errors import UncontrolledWaitError
from aconcur.testing._frames import waited_for, where
from aconcur.testing._thread_state import Abandoned, State, frames_of_thread
from aconcur.testing._thread_turns import FAIR, Turns
from aconcur.testing._timeline import Recorder

Scenario: TypeAlias = Callable[[], object]

# Real seconds without a step after which a thread is taken to wait for what nothing controls. A
# guess: no step of a test is a computation that long.
STALL: float = 5.0

_AUTOMATIC: Final = re.compile(r"Thread-\d+")


class Engine(Turns):
    """Runs one scenario, any number of times."""

    def __init__(self, scenario: Scenario, grain: str, kind: Callable[[CodeType], str]) -> None:
        super().__init__(grain, kind)
        self._scenario = scenario
        self._refused: TypeError | None = None

    def run(self, choices: Choices, recorder: Recorder | None = None) -> BaseException | None:
        """Run once; return the error that the scenario ended with."""
        self.renew(recorder)
        choices.fair = FAIR
        self._choices = choices
        self._context = copy_context()
        self._over = allocate_lock()
        self._over.acquire()
        caller = threading.current_thread()
        main = self._add("main", caller)
        self.current = main
        choices.pick(self.ready)
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
            if self._choices.steps == before:
                self._stalled()
                return
            before = self._choices.steps

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

    def _add(self, name: str, thread: threading.Thread) -> State:
        state = self.states[id(thread)] = State(name, thread)
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

    def materialise(self, state: State) -> None:
        """Give a thread its OS thread, which has the number that the scenario asks for."""
        if not state.started:
            state.started = True
            begun = allocate_lock()
            begun.acquire()
            start_new_thread(self._body, (state, begun))
            begun.acquire()

    def _resume(self, state: State) -> None:
        if state.started:
            state.gate.release()
        else:
            state.started = True
            start_new_thread(self._body, (state, None))

    def _body(self, state: State, begun: Any) -> None:
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

    def _end(self, state: State) -> None:
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
