"""Show how far a run is while it runs: as bars in a terminal, as lines, or through a function.

Rule: the figures are read from reports, ten times a second; an item pays nothing for them.
"""

from __future__ import annotations

__all__ = ("ProgressDisplay", "ProgressLines", "Shown", "display", "showing")

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final, Protocol, TextIO, TypeAlias, final, runtime_checkable

import anyio

from aconcur.pipeline._report import PipelineReport, Recent, RecentWork, progress_text
from aconcur.pipeline._run import Background, Run

# Seconds between two updates: as often as an eye can follow.
_INTERVAL: Final = 0.1
# Seconds between two lines, where nothing can be overwritten: a guess.
_LINE_INTERVAL: Final = 5.0


@runtime_checkable
class ProgressDisplay(Protocol):
    """Shows how far a run is."""

    def update(self, report: PipelineReport) -> object:
        """Show the current state: called in the loop, ten times a second.

        An exception that it raises ends the run.
        """

    def close(self, report: PipelineReport) -> object:
        """Show the end: called once, also after an error or a cancellation.

        An exception that it raises is raised, or becomes a note of the run's own error.
        """


Shown: TypeAlias = bool | ProgressDisplay | Callable[[PipelineReport], object]
"""True for bars or lines on stderr, an object, or a function that is called with each report."""


@final
class ProgressLines:
    """Prints a line every five seconds, and one at the end.

    Args:
        file: where it prints; stderr.
        seconds: between two lines.
    """

    def __init__(self, file: TextIO | None = None, *, seconds: float = _LINE_INTERVAL) -> None:
        self._file, self._seconds = file or sys.stderr, seconds
        self._recent, self._next = Recent(), seconds

    def update(self, report: PipelineReport) -> None:
        """Print a line if it is time for one."""
        work = self._recent.add(report)
        if report.seconds >= self._next:
            self._next = report.seconds + self._seconds
            busiest = work.busiest
            self._print(report, work, f"; {busiest.name} {busiest.busy:.0%} busy")

    def close(self, report: PipelineReport) -> None:
        """Print the last line."""
        self._print(report, Recent().add(report), f" in {report.seconds:.1f} s")

    def _print(self, report: PipelineReport, work: RecentWork, rest: str) -> None:
        failed = f", {report.failed} failed" if report.failed else ""
        text = f"{progress_text(report)}, {work.rate:,.0f}/s{failed}{rest}"
        print(text, file=self._file, flush=True)


@final
@dataclass(frozen=True, slots=True)
class _Called:
    """Calls a function for each report."""

    function: Callable[[PipelineReport], object]

    def update(self, report: PipelineReport) -> None:
        self.function(report)

    close = update


def display(shown: Shown) -> ProgressDisplay | None:
    """Return the display that was asked for, or None.

    Raises:
        TypeError: ``shown`` cannot be one.
    """
    if shown is False:
        return None
    if shown is True and sys.stderr is None:  # such as under pythonw
        return None
    if shown is True:
        terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        if terminal and find_spec("rich") is not None:
            from aconcur.pipeline._shown.bars import ProgressBars

            return ProgressBars()
        return ProgressLines()
    if isinstance(shown, ProgressDisplay):
        return shown
    if callable(shown):
        return _Called(shown)
    raise TypeError(
        f"progress must be True, a function or an object with update() and close(), not {shown!r}"
    )


@asynccontextmanager
async def showing(progress: ProgressDisplay) -> AsyncIterator[Background]:
    """Yield a function that updates the display until it is cancelled; close it with the block."""
    runs: list[Run[Any]] = []

    async def show(run: Run[Any]) -> None:
        runs.append(run)
        while True:
            progress.update(run.report)
            await anyio.sleep(_INTERVAL)

    try:
        yield show
    except BaseException as error:
        try:
            _close(progress, runs)
        except Exception as another:  # noqa: BLE001 - the cause comes first
            error.add_note(f"and the end could not be shown: {another!r}")
        raise
    _close(progress, runs)


def _close(progress: ProgressDisplay, runs: list[Run[Any]]) -> None:
    if runs:
        progress.close(runs[0].report)
