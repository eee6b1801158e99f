"""Progress bars in a terminal, drawn by rich."""

from __future__ import annotations

__all__ = ("ProgressBars",)

from datetime import timedelta
from typing import final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from aconcur.pipeline._report import PipelineReport, Recent, RecentWork, progress_text


@final
class ProgressBars:
    """A bar for the run and a line for each stage: its rate, its queue, how busy it is.

    Text that the program prints meanwhile appears above. The last state stays on the screen.

    Args:
        console: where it draws; stderr.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._live = Live(console=console or Console(stderr=True), auto_refresh=False)
        self._recent = Recent()

    def update(self, report: PipelineReport) -> None:
        """Draw the current state."""
        if not self._live.is_started:
            self._live.start()
        self._live.update(_picture(report, self._recent.add(report)), refresh=True)

    def close(self, report: PipelineReport) -> None:
        """Draw the last state, and restore the terminal."""
        try:
            if self._live.is_started:
                self._live.update(_picture(report, Recent().add(report)), refresh=True)
        finally:
            self._live.stop()


def _picture(report: PipelineReport, work: RecentWork) -> RenderableType:
    whole = Table.grid(padding=(0, 1), expand=True)
    whole.add_column(ratio=1)
    whole.add_column(justify="right", no_wrap=True)
    bar = ProgressBar(
        total=report.total,
        completed=report.finished,
        pulse=report.total is None and not report.ended,
        animation_time=report.seconds,
    )
    whole.add_row(bar, f"{progress_text(report)}  {work.rate:,.0f}/s  {_time(report, work)}")
    stages = Table.grid(padding=(0, 2))
    stages.add_column(no_wrap=True, overflow="ellipsis", max_width=24)
    for _ in range(5):
        stages.add_column(justify="right", no_wrap=True)
    for stage, its in zip(report.stages, work.stages, strict=True):
        stages.add_row(
            stage.name,
            f"{stage.out:,}",
            f"{its.rate:,.0f}/s",
            f"{stage.depth} queued",
            f"{its.busy:.0%} of {stage.workers} busy",
            f"[red]{stage.failed} failed[/]" if stage.failed else "",
        )
    return Group(whole, stages)


def _time(report: PipelineReport, work: RecentWork) -> str:
    if report.ended or report.total is None or not work.rate:
        return str(timedelta(seconds=int(report.seconds)))
    left = (report.total - report.finished) / work.rate
    return f"{timedelta(seconds=int(left))} left" if left < 8640000 else ""
