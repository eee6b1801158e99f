"""How far a run has come, shown while it runs: bars in a terminal, or lines, or to a function.

Rule: what is shown is read from reports, a few times a second; items pay nothing for it.
"""

from __future__ import annotations

__all__ = ("Progress", "ProgressLines", "Recent", "Shown", "amount", "display", "showing")

import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final, Protocol, TextIO, TypeAlias, final, runtime_checkable

import anyio

from aconcur.pipeline._report import PipelineReport, StageReport
from aconcur.pipeline._run import Beside, Run

# Seconds between two looks: as often as an eye can follow.
_INTERVAL: Final = 0.1
# Seconds between two lines, where nothing can be overwritten: a guess.
_LINE_INTERVAL: Final = 5.0
# Looks of which a rate is told: 3 s.
_LOOKS: Final = 30


@runtime_checkable
class Progress(Protocol):
    """Something that shows how far a run has come."""

    def update(self, report: PipelineReport) -> object:
        """Show the run as it is: called in the loop, ten times a second. What it raises ends it."""

    def close(self, report: PipelineReport) -> object:
        """Show the end, whatever it was: called once, also after an error or a cancellation.

        What it raises is raised if the run had no error, else it is a note of that error.
        """


Shown: TypeAlias = bool | Progress | Callable[[PipelineReport], object]
"""Bars or lines on stderr, an object, or a function that is called with each report."""


@final
class ProgressLines:
    """A line every five seconds, and one at the end.

    Args:
        file: where to; stderr.
        seconds: between two lines.
    """

    def __init__(self, file: TextIO | None = None, *, seconds: float = _LINE_INTERVAL) -> None:
        self._file, self._seconds = file or sys.stderr, seconds
        self._recent, self._next = Recent(), seconds

    def update(self, report: PipelineReport) -> None:
        """Print a line if it is time for one."""
        now = self._recent.look(report)
        if report.seconds >= self._next:
            self._next = report.seconds + self._seconds
            busiest = max(now.stages, key=lambda stage: stage.busy)
            self._print(report, now, f"; {busiest.name} {busiest.busy:.0%} busy")

    def close(self, report: PipelineReport) -> None:
        """Print the last line."""
        self._print(report, Recent().look(report), f" in {report.seconds:.1f} s")

    def _print(self, report: PipelineReport, now: Now, rest: str) -> None:
        failed = f", {report.failed} failed" if report.failed else ""
        print(f"{amount(report)}, {now.rate:,.0f}/s{failed}{rest}", file=self._file, flush=True)


@final
@dataclass(frozen=True, slots=True)
class _Called:
    """Calls a function for each report."""

    function: Callable[[PipelineReport], object]

    def update(self, report: PipelineReport) -> None:
        self.function(report)

    close = update


def display(shown: Shown) -> Progress | None:
    """Return what shows a run, or None.

    Raises:
        TypeError: it is nothing that could.
    """
    if shown is False:
        return None
    if shown is True and sys.stderr is None:  # a process without one
        return None
    if shown is True:
        terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        if terminal and find_spec("rich") is not None:
            from aconcur.pipeline._progress_bars import ProgressBars

            return ProgressBars()
        return ProgressLines()
    if isinstance(shown, Progress):
        return shown
    if callable(shown):
        return _Called(shown)
    raise TypeError(
        f"progress must be True, a function or an object with update() and close(), not {shown!r}"
    )


@asynccontextmanager
async def showing(progress: Progress) -> AsyncIterator[Beside]:
    """Yield what shows a run until it is cancelled; close what shows with the block."""
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


def _close(progress: Progress, runs: list[Run[Any]]) -> None:
    if runs:
        progress.close(runs[0].report)


def amount(report: PipelineReport) -> str:
    """Return how many items of how many are finished."""
    of = "" if report.total is None else f"/{report.total:,}"
    return f"{report.finished:,}{of} items"


@dataclass(frozen=True, slots=True)
class StageNow:
    """What a stage did in the last seconds."""

    name: str
    rate: float
    """Items per second."""
    busy: float
    """The share of its workers' time, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Now:
    """What a run did in the last seconds."""

    rate: float
    """Items of the source that were finished, per second."""
    stages: tuple[StageNow, ...]


@final
class Recent:
    """Tells what a run does now from its reports, which tell what it did from the start."""

    def __init__(self) -> None:
        self._reports = deque[PipelineReport](maxlen=_LOOKS)

    def look(self, report: PipelineReport) -> Now:
        """Take a report; compare it with one of some seconds ago, or with the start."""
        before = self._reports[0] if len(self._reports) > 1 else None
        self._reports.append(report)
        seconds = report.seconds - (before.seconds if before else 0.0)
        finished = report.finished - (before.finished if before else report.recorded)
        olds = before.stages if before else (None,) * len(report.stages)
        return Now(
            finished / seconds if seconds > 0 else 0.0,
            tuple(_compared(new, old) for new, old in zip(report.stages, olds, strict=True)),
        )


def _compared(new: StageReport, old: StageReport | None) -> StageNow:
    if old is None:
        return StageNow(new.name, new.rate, new.busy)
    seconds = new.seconds - old.seconds
    if seconds <= 0:  # it has ended
        return StageNow(new.name, 0.0, 0.0)
    busy = (new.busy * new.seconds - old.busy * old.seconds) / seconds
    return StageNow(new.name, (new.out - old.out) / seconds, min(1.0, max(0.0, busy)))
