"""Lets a run skip its waits, as long as nothing outside of the loop is waited for.

A sweep runs a scenario hundreds of times, and a ``sleep(0.9)`` in it would be slept in nearly every
run. When the loop is about to wait for a timer alone, its time is moved on instead. It does wait in
reality while a descriptor is watched, a thread of the run is alive or a child process runs: any of
these may end the wait. So real time passes where real input and output is used, and only there.

The clocks of :mod:`time` and :mod:`datetime` follow: they show real time and what was skipped.
"""

from __future__ import annotations

__all__ = ("SkippedTime",)

import asyncio
import selectors
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from time import monotonic
from typing import Any, Final, final

from aconcur.testing._leaks.snapshot import Snapshot
from aconcur.testing._virtual_time import virtual_time

# The loop's own: the pipe or socket pair by which other threads and signals wake it.
_OWN: Final = 1

_real_time, _real_sleep = time.time, time.sleep


@final
class SkippedTime:
    """Real time and what the runs of one sweep have skipped of it."""

    def __init__(self) -> None:
        self._skipped = 0.0
        self._ident = get_ident()
        self._before: Snapshot | None = None

    @contextmanager
    def on_all_clocks(self) -> Iterator[None]:
        """Let the clocks of this thread follow in the block."""
        epoch = _real_time() - monotonic()
        with virtual_time(self._here, sleep=_real_sleep, epoch=epoch):
            yield

    def _here(self) -> float | None:
        return self.now() if get_ident() == self._ident else None

    def now(self) -> float:
        """Return the time in seconds, from an arbitrary moment on."""
        return monotonic() + self._skipped

    def begin_run(self, before: Snapshot) -> None:
        """Note what the process holds before a run."""
        self._before = before

    def may_skip(self) -> bool:
        """Return whether no thread and no child of the run can end a wait.

        One that has just ended may have woken the loop: look for that afterwards, not before.
        """
        return self._before is not None and not self._before.is_busier_now()

    def skip(self, seconds: float) -> None:
        """Move on by so much."""
        self._skipped += seconds

    @contextmanager
    def of_loop(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """Let an asyncio loop skip its waits in the block; uvloop cannot, and waits."""
        selector: selectors.BaseSelector | None = getattr(loop, "_selector", None)
        if selector is None:
            yield
            return
        really = selector.select

        def select(timeout: float | None = None) -> Any:
            if timeout is None or timeout <= 0:
                return really(timeout)
            if events := really(0):
                return events
            if len(selector.get_map()) > _OWN or not self.may_skip():
                return really(timeout)
            if events := really(0):
                return events
            self.skip(timeout)
            return events

        selector.select = select  # type: ignore[method-assign]
        loop.time = self.now  # type: ignore[method-assign]
        try:
            yield
        finally:
            selector.select = really  # type: ignore[method-assign]
