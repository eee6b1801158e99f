"""Timers that strike while something is ready: which may, and which failures say nothing then.

In reality a step may take long: the machine is busy, or a page is swapped in. So the next timer may
strike although tasks could go on, and correct code stands that. Three uses of time do not:

- A *sleep* that gives others time to get somewhere, as tests do ("let the worker start"). So by
  default sleeps pass only when nothing is ready, and a timer that comes after a sleep waits for it.
- A *guard*, a generous timeout around a test or a request so that it cannot hang. Struck early it
  raises TimeoutError, which is all that it is for. So a run that ends with the TimeoutError of a
  timeout that the schedule has let strike early has not failed. Nor has one whose timeout ended in
  its time, but ahead of a sleep that would have ended before it if no timer had struck early.
- A *measurement*: ``assert loop.time() - begun < 2``. It holds of the virtual time of a run in
  which no step takes any. So where a timer has struck early, an assertion that fails in a function
  that has read a clock since is no failure either.
"""

from __future__ import annotations

__all__ = ("Struck", "is_sleep")

import asyncio
import sys
from collections.abc import Iterator
from inspect import CO_COROUTINE
from types import CodeType, TracebackType
from typing import Any, Final

from aconcur.testing._frames import is_users

# Sets the future that asyncio.sleep() waits for.
_END_OF_SLEEP: Final = asyncio.futures._set_result_unless_cancelled  # type: ignore[attr-defined]
# Where anyio keeps trio's scope.
_ORIGINAL: Final = "_CancelScope__original"
# Functions through which a clock is read.
_CLOCKS: Final = frozenset(
    [
        "note_reader",
        "time",
        "current_time",
        "now",
        "read",
        "_now",
        "_utcnow",
        "_today",
        "current_effective_time",
    ]
)


def is_sleep(handle: asyncio.TimerHandle) -> bool:
    """Return whether a timer only ends a wait: asyncio.sleep(), or ``call_later(1, event.set)``."""
    callback = handle._callback  # type: ignore[attr-defined]
    if callback is _END_OF_SLEEP:
        return True
    return isinstance(getattr(callback, "__self__", None), asyncio.Future | asyncio.Event) and (
        not isinstance(callback.__self__, asyncio.Task)
    )


class Struck:
    """The timeouts that one run has let strike early, and who has read a clock since."""

    __slots__ = ("_readers", "_scopes", "jumped")

    def __init__(self) -> None:
        self.jumped: float = 0.0
        """Seconds by which timers have struck before they would have."""
        self._scopes: list[object] = []
        self._readers: set[CodeType] = set()

    def add(self, scope: object) -> None:
        """Note a timeout, a cancel scope or a future that a timer has ended."""
        self._scopes.append(scope)

    def add_handle(self, handle: asyncio.Handle) -> None:
        """Note what a timer of asyncio's belongs to, unless it was cancelled."""
        if handle.cancelled():
            return
        self.add(getattr(handle._callback, "__self__", handle))  # type: ignore[attr-defined]
        for arg in handle._args:
            self.add(arg)

    def note_reader(self) -> None:
        """Note which function of the user's reads a clock now, where a timer has struck."""
        if not self._scopes:
            return
        frame = sys._getframe()
        while frame.f_code.co_name in _CLOCKS and frame.f_back is not None:
            frame = frame.f_back
        while is_users(frame) and frame.f_back is not None:
            self._readers.add(frame.f_code)
            if frame.f_code.co_flags & CO_COROUTINE:
                return
            frame = frame.f_back  # what a plain function reads, it reads for its caller

    def explains(self, error: BaseException | None) -> bool:
        """Return whether an error says no more than that a timer has struck early."""
        if error is None or not self._scopes:
            return False
        if isinstance(error, BaseExceptionGroup):
            return all(self.explains(one) for one in error.exceptions)
        if isinstance(error, AssertionError):
            return _code_of(error) in self._readers
        return self._guarded(error)

    def _guarded(self, error: BaseException) -> bool:
        """Return whether the error comes from the end of a timeout, as itself or as its cause."""
        left: BaseException | None = error
        while left is not None:
            if _is_timeout(left) and self._ended(left):
                return True
            left = left.__cause__ or (left.__context__ if _is_timeout(left) else None)
        return False

    def _ended(self, error: BaseException) -> bool:
        return any(
            one is not None and one is scope
            for value in _locals_of(error)
            for one in (value, getattr(value, _ORIGINAL, None))
            for scope in self._scopes
        )


def _is_timeout(error: BaseException) -> bool:
    """Return whether an error is one of a timeout, be it of a library's own class."""
    name = type(error).__name__
    return isinstance(error, TimeoutError) or name.endswith(
        ("Timeout", "TimeoutError", "TooSlowError")
    )


def _code_of(error: BaseException) -> CodeType | None:
    """Return the function that has raised an error."""
    code = None
    for traceback in _tracebacks(error):
        code = traceback.tb_frame.f_code
    return code


def _locals_of(error: BaseException) -> Iterator[Any]:
    for traceback in _tracebacks(error):
        yield from traceback.tb_frame.f_locals.values()


def _tracebacks(error: BaseException) -> Iterator[TracebackType]:
    traceback = error.__traceback__
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next
