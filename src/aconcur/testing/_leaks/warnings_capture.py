"""What Python says on the side: warnings, errors that nobody can catch or fetched.

Rule: the hooks are the process's, so they are restored when the block ends.
"""

from __future__ import annotations

__all__ = ("CapturedWarnings", "capture_warnings")

import logging
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

# Something was left open, or a coroutine was never awaited. Others (deprecations) leave nothing.
_TELLING: Final = (ResourceWarning, RuntimeWarning)


@final
class CapturedWarnings:
    """What was said in a :func:`capture_warnings` block. ``muted`` makes it hear nothing more."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.muted: bool = False

    def note(self, what: str) -> None:
        """Note ``what``."""
        if not self.muted:
            self.messages.append(what)

    def note_loop_error(self, _: object, context: Mapping[str, object]) -> None:
        """Stand in for an asyncio loop's exception handler."""
        error = context.get("exception")
        message = str(context.get("message"))
        self.note(f"{message}: {error!r}" if error else message)

    def note_warning(
        self, message: Warning | str, category: type[Warning], *_: object, **__: object
    ) -> None:
        """Stand in for :func:`warnings.showwarning`."""
        if issubclass(category, _TELLING):
            self.note(f"{category.__name__}: {message}")

    def note_unraisable(self, unraisable: UnraisableHookArgs, /) -> None:
        """Stand in for :func:`sys.unraisablehook`."""
        name = getattr(unraisable.object, "__qualname__", type(unraisable.object).__qualname__)
        error = unraisable.exc_value or unraisable.exc_type
        self.note(f"{unraisable.err_msg or 'exception ignored'} in {name}: {error!r}")

    def note_failed_thread(self, failed: threading.ExceptHookArgs, /) -> None:
        """Stand in for :func:`threading.excepthook`."""
        error = failed.exc_value or failed.exc_type
        self.note(f"thread {failed.thread.name if failed.thread else '?'!r} failed: {error!r}")


class _Handler(logging.Handler):
    def __init__(self, captured: CapturedWarnings) -> None:
        super().__init__(logging.WARNING)
        self._captured = captured

    def emit(self, record: logging.LogRecord) -> None:
        self._captured.note(record.getMessage())


@contextmanager
def capture_warnings() -> Iterator[CapturedWarnings]:
    """Note warnings that tell of a leak, unraisable errors and failed threads, and print none.

    So it does with what asyncio logs as a warning or worse.

    ``messages`` is complete when the block has ended.
    """
    captured = CapturedWarnings()
    hooks = sys.unraisablehook, threading.excepthook
    log = logging.getLogger("asyncio")
    handler, propagate = _Handler(captured), log.propagate
    log.addHandler(handler)
    log.propagate = False
    try:
        sys.unraisablehook, threading.excepthook = (
            captured.note_unraisable,
            captured.note_failed_thread,
        )
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            warnings.showwarning = captured.note_warning
            yield captured
    finally:
        sys.unraisablehook, threading.excepthook = hooks
        log.removeHandler(handler)
        log.propagate = propagate
