"""Whose turn it is: the part of a run that its threads call.

Rule 1: one thread runs, all others are parked, each at its own gate.
Rule 2: who is parked is parked at a point or in a controlled wait, and nowhere else.
"""

from __future__ import annotations

__all__ = ("FAIR", "Turns")

from collections.abc import Callable
from types import CodeType, FrameType
from typing import Final

from aconcur.testing._choices import Choices
from aconcur.testing._errors import Livelock, NotReproducibleError
from aconcur.testing._frames import is_users, where
from aconcur.testing._thread_state import (
    Abandoned,
    State,
    Watcher,
    frames_of_thread,
    is_idle_worker,
)
from aconcur.testing._timeline import Recorder
from aconcur.testing._waits import explain_frames

# Points in a row that the base order gives to one thread: enough for any body of a loop, small
# enough that a spinning thread lets go. A guess.
FAIR: Final = 500
# What a thread may still do while it is unwound before it is stopped at every instruction, and
# before it is given up. Guesses: a finally clause does less.
PATIENCE: Final = 1_000


class Turns:
    """Hands the turn from thread to thread."""

    watcher: Watcher
    current: State
    _choices: Choices

    def __init__(self, grain: str, kind: Callable[[CodeType], str]) -> None:
        self.kind = kind
        """Says of code whether it is "traced", "ours", the "library"'s or "other"."""
        self.gil: bool = grain == "gil"
        self.changing: frozenset[str] = frozenset()
        """Variables that one traced file may change in another."""
        self.states: dict[int, State] = {}
        self.renew(None)

    def renew(self, recorder: Recorder | None) -> None:
        """Begin a run."""
        self.recorder = recorder
        self.ready: list[State] = []
        self.states.clear()
        self.now = 0.0
        self.ident = self.stuck = 0
        self.closing = self.everywhere = self.fresh = False
        self._alone = 0
        self._failure: BaseException | None = None
        self._pending: tuple[FrameType, int] | None = None

    def _resume(self, state: State) -> None:
        raise NotImplementedError

    def _unwind_next(self) -> None:
        raise NotImplementedError

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

    def wake(self, waiters: list[State]) -> None:
        """Make threads ready."""
        for state in waiters:
            if state not in self.ready and not state.done:
                self.ready.append(state)

    def unready(self, waiters: list[State]) -> None:
        """Take back a wake-up: another thread was faster."""
        for state in waiters:
            if state in self.ready and not state.timed_out:
                self.ready.remove(state)

    def _next(self) -> State | None:
        """Return whose turn it is; None if the run has failed."""
        try:
            if not self.ready:
                if self._is_over():
                    self._close(None)
                    return None
                if not self._pass_time():
                    self._close(self._deadlock())
                    return None
            return self.ready[self._choices.pick(self.ready)]
        except (Livelock, NotReproducibleError) as error:
            self._close(error)
            return None

    def _hand_over(self, me: State, following: State) -> None:
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

    def _turn(self, state: State) -> None:
        if self.recorder is not None:
            self.recorder.turn(state.name, self._choices.at, self._choices.deviates)
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
