"""What all runs of one exploration share, and what is kept away from them.

During an exploration no real thread starts through the loop, no garbage is collected at a moment of
its own, every clock is virtual, and warnings of resources that were not closed are collected.
"""

from __future__ import annotations

__all__ = ("Clock", "Environment", "prepared")

import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any, Final, final

from aconcur.testing._explore.errors import Report, Reported
from aconcur.testing._explore.inline_threads import calls_inline
from aconcur.testing._explore.timers import Struck
from aconcur.testing._isolation import no_collections, refuse_in_a_loop
from aconcur.testing._virtual_time import virtual_time

_real_sleep: Final = time.sleep

# anyio's memory streams warn like this when they are collected unclosed, but hold no resource.
_HARMLESS: Final = "Unclosed <MemoryObject"


@final
class Clock:
    """The virtual time of a run, in seconds since its start."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0.0


@final
class Environment:
    """Belongs to one exploration, in one thread.

    Args:
        allow: the kinds of reports that do not fail a run.
    """

    def __init__(self, allow: Collection[Reported] = ()) -> None:
        self.clock: Clock = Clock()
        self.struck: Struck = Struck()
        """The timeouts that the run has let strike early."""
        self.allow: Collection[Reported] = allow
        self._ident = get_ident()
        self._threads: set[threading.Thread] = set()
        self._reports: list[Report] = []

    def begin_run(self) -> None:
        """Start at time 0, with no reports."""
        self.clock.now = 0.0
        self.struck = Struck()
        self._reports.clear()
        self._threads = set(threading.enumerate())

    def threads_since(self) -> list[threading.Thread]:
        """Return the threads that the run has started and that are alive."""
        return [one for one in threading.enumerate() if one not in self._threads]

    def take_reports(self) -> list[Report]:
        """Return the resource warnings since the last call."""
        reports, self._reports = self._reports, []
        return reports

    def now(self) -> float | None:
        """Return the virtual time, for the thread of the exploration."""
        if get_ident() != self._ident:
            return None
        self.struck.note_reader()
        return self.clock.now

    def sleep(self, seconds: float, /) -> None:
        """Do as :func:`time.sleep`: no task goes on meanwhile, but time passes."""
        if get_ident() != self._ident:
            _real_sleep(seconds)
            return
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        self.clock.now += seconds

    @contextmanager
    def catching_resource_warnings(self) -> Iterator[None]:
        """Collect these warnings in the block; all others go where they would go anyway."""
        with warnings.catch_warnings():
            show: Callable[..., Any] = warnings.showwarning

            def note(
                message: Warning | str, category: type[Warning], *args: Any, **options: Any
            ) -> None:
                if not issubclass(category, ResourceWarning):
                    show(message, category, *args, **options)
                elif not str(message).startswith(_HARMLESS):
                    self._reports.append(Report("resource", str(message)))

            warnings.simplefilter("always", ResourceWarning)
            warnings.showwarning = note
            yield


@contextmanager
def prepared(backend: str, allow: Collection[Reported]) -> Iterator[Environment]:
    """Keep away what no schedule decides: real threads and clocks, garbage, another loop.

    Raises:
        RuntimeError: an event loop runs in this thread.
    """
    refuse_in_a_loop("explore")
    environment = Environment(allow)
    with (
        no_collections(),
        calls_inline(backend),
        virtual_time(environment.now, sleep=environment.sleep),
        environment.catching_resource_warnings(),
    ):
        yield environment
