"""What a run of a pipeline did, in figures: as a table, as HTML, as a dict, as JSON."""

from __future__ import annotations

__all__ = ("Latency", "PipelineReport", "Recent", "RecentWork", "StageReport", "progress_text")

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from aconcur.pipeline._errors import Failure

# A stage that is busy for less than this share of the time is not a bottleneck: a guess.
_BUSY: Final = 0.5
_HEADS: Final = (
    *("stage", "workers", "in", "out", "filtered", "failed", "cancelled", "inside", "retried"),
    *("items/s", "busy", "starved", "blocked", "p50", "p99", "queued p50", "held loop"),
)
# Seconds from which on the table shows how long a call held the loop: other tasks notice it.
_LONG_HOLD: Final = 0.01
# Seconds from which on a call is worth sending to a process, which costs 0.1 ms: a guess.
_LONG_CALL: Final = 0.0005
# Seconds below which a call costs less than what surrounds it.
_SHORT_CALL: Final = 50e-6
_FEWER_ITEMS: Final = "more workers do not help; make the items larger, such as lists"
# Reports from which a current rate is computed: 3 s of them.
_LOOKS: Final = 30


@dataclass(frozen=True, slots=True)
class Latency:
    """Quantiles in seconds, exact to within 6 %.

    Each attempt counts by itself, and a cancelled one with the time that it had. Of calls shorter
    than 50 µs about one in 128 is measured.
    """

    p50: float
    """Half of the calls took no longer."""
    p90: float
    """Nine of ten took no longer."""
    p99: float
    """99 of 100 took no longer."""


@dataclass(frozen=True, slots=True)
class StageReport:
    """The account of one stage: entered = out + filtered + failed + cancelled + inside."""

    name: str
    """The stage's name."""
    workers: int
    """Items that it works on at once, at most."""
    entered: int
    """Items that it received: from the stage before, or from the source."""
    out: int
    """Items that are done."""
    filtered: int
    """Items that a filter did not keep."""
    failed: int
    """Items that it failed on, after all attempts."""
    cancelled: int
    """Items that it held when the run was cancelled, left or ended by an error."""
    inside: int
    """Items that wait for it, that it works on, or whose result waits for its turn."""
    emitted: int
    """Results that it passed on. It differs from ``out`` in flat_map and batch stages."""
    depth: int
    """The items inside that wait in front of it."""
    buffered: int
    """Results that wait for the next stage."""
    buffer: int
    """Results that may wait."""
    seconds: float
    """From the start of the run to the end of the stage, or to now."""
    starved: float
    """The share of its workers' time in which they waited for items, 0 to 1."""
    blocked: float
    """The share in which they waited for room behind them, 0 to 1."""
    limits: bool = False
    """Whether its task is to hold items up: a rate limit."""
    latency: Latency | None = None
    """Quantiles of the seconds that its calls took; None if it made none. In other processes the
    time counts in which a call waited for a worker."""
    queueing: Latency | None = None
    """Quantiles of the seconds that calls waited for a thread; None outside of threads."""
    retried: int = 0
    """Attempts that failed and were followed by another one."""
    backed_off: float = 0.0
    """The share of its workers' time in which they waited before another attempt, 0 to 1."""
    limited: float = 0.0
    """The share of its workers' time in which they waited for its limiter, 0 to 1."""
    serialised: float = 0.0
    """Items that waited for earlier ones of their key, on average and for each worker, 0 to 1."""
    held_loop: float = 0.0
    """The share of the time in which its calls held the event loop, 0 to 1. Short calls are
    sampled, as for ``latency``."""
    longest_hold: float = 0.0
    """The most seconds for which a call held the event loop without letting other tasks run."""
    executor_size: int | None = None
    """Calls that its executor or pool makes at once; None: unknown, or as many as workers."""

    @property
    def busy(self) -> float:
        """The share of its workers' time in which they had an item, 0 to 1."""
        if not (self.seconds and self.entered):
            return 0.0
        return max(0.0, 1.0 - self.starved - self.blocked - self.backed_off - self.limited)

    @property
    def rate(self) -> float:
        """Items per second that were done."""
        return self.out / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class PipelineReport:
    """The account of a run. ``print()`` shows it as a table, and so does a notebook."""

    stages: tuple[StageReport, ...]
    """In the order in which items pass them."""
    seconds: float
    """From the start of the run to its end, or to now."""
    recorded: int = 0
    """Items that were left out, because the journal has them from earlier runs."""
    finished: int = 0
    """Items of the source that left the last stage, were filtered, failed or were left out. With
    flat_map, batch or merge an estimate."""
    total: int | None = None
    """Items of the source, if it has a length."""
    ended: bool = False
    """Whether the run has ended."""
    failures: Sequence[Failure] = ()
    """The failed items of stages with ``on_error=COLLECT``, and the one that ended the run."""
    source_held: float = 0.0
    """The share of the time in which sources held the event loop, 0 to 1. Of a quick iterator only
    the first items are measured."""
    source_longest_hold: float = 0.0
    """The most seconds for which a source held the event loop without letting other tasks run."""

    @property
    def delivered(self) -> int:
        """Results that the consumer took."""
        return self.stages[-1].emitted - self.stages[-1].buffered

    @property
    def failed(self) -> int:
        """Items that failed, in all stages."""
        return sum(stage.failed for stage in self.stages)

    @property
    def bottleneck(self) -> StageReport | None:
        """The stage that was busy longest; None if none was busy for half of the run."""
        busiest = max(self.stages, key=lambda stage: stage.busy * stage.seconds)
        return busiest if busiest.busy * busiest.seconds >= _BUSY * self.seconds else None

    @property
    def suggestion(self) -> str:
        """What limits the speed of the run, and what to do about it."""
        found = self.bottleneck
        if not any(stage.entered for stage in self.stages):
            return "there was nothing to do"
        if self.source_held >= _BUSY:
            return (
                f"the source holds the event loop, up to {_time(self.source_longest_hold)} at a "
                "time, and all else waits: read it in a thread, via=THREADS"
            )
        held = sum(stage.held_loop * stage.seconds for stage in self.stages)
        # So short a time for each item leaves none for which a task could have waited.
        rushed = self.seconds < _SHORT_CALL * sum(stage.entered for stage in self.stages)
        if held >= _BUSY * self.seconds or (found is None and rushed):
            return _advice_of_a_busy_loop(self.stages)
        for stage in self.stages:
            if stage.serialised >= _BUSY and stage.busy < _BUSY:
                return (
                    f"{stage.name} has items that wait for earlier items of the same key, and "
                    "workers without one: more workers do not help"
                )
            if stage.limited >= _BUSY and not (found is not None and found.limits):
                return (
                    f"{stage.name} waits for its limiter for {stage.limited:.0%} of the time: more "
                    "workers do not help"
                )
            if stage.backed_off >= _BUSY:
                tries = stage.retried + stage.out + stage.filtered + stage.failed
                return (
                    f"{stage.name} waits before another attempt for {stage.backed_off:.0%} of the "
                    f"time: {stage.retried} of {tries} attempts failed; raise workers="
                    f"{stage.workers}, or mend the cause"
                )
        if found is None:
            first, last = self.stages[0], self.stages[-1]
            waited = all(stage.seconds < _BUSY * self.seconds for stage in self.stages)
            if waited or last.blocked > first.starved:
                return "the consumer is the bottleneck: the last stage waits for it"
            return "the source is the bottleneck: the first stage waits for it"
        neighbours = ""
        number = self.stages.index(found)
        if number and self.stages[number - 1].blocked >= _BUSY:
            neighbours += ", upstream blocked"
        if number + 1 < len(self.stages) and self.stages[number + 1].starved >= _BUSY:
            neighbours += ", downstream starved"
        return (
            f"{found.name} is the bottleneck: {found.busy:.0%} busy{neighbours}; {_advice(found)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all figures, as JSON has them."""
        return {
            "seconds": self.seconds,
            "delivered": self.delivered,
            "failed": self.failed,
            "recorded": self.recorded,
            "finished": self.finished,
            "total": self.total,
            "ended": self.ended,
            "source_held": self.source_held,
            "source_longest_hold": self.source_longest_hold,
            "suggestion": self.suggestion,
            "failures": [
                {
                    "item": repr(one.item),
                    "stage": one.stage,
                    "error": repr(one.error),
                    "attempts": one.attempts,
                }
                for one in self.failures
            ],
            "stages": [
                asdict(stage) | {"busy": stage.busy, "rate": stage.rate} for stage in self.stages
            ],
        }

    def to_json(self) -> str:
        """Return :meth:`to_dict` as JSON."""
        return json.dumps(self.to_dict())

    def _rows(self) -> list[tuple[str, ...]]:
        rows = [_HEADS, *(_row(stage) for stage in self.stages)]
        # Columns that say nothing here are left out.
        shown = [
            number
            for number, head in enumerate(_HEADS)
            if head not in _OPTIONAL or any(row[number] not in ("", "0") for row in rows[1:])
        ]
        return [tuple(row[number] for number in shown) for row in rows]

    def _summary(self) -> str:
        before = f" ({self.recorded} items recorded before)" if self.recorded else ""
        return f"{self.delivered} results in {self.seconds:.2f} s{before}; {self.suggestion}"

    def __str__(self) -> str:
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) if number else cell.ljust(width)
                for number, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        return "\n".join([*lines, self._summary()])

    def __repr__(self) -> str:
        stages = " | ".join(stage.name for stage in self.stages)
        failed = f", {self.failed} failed" if self.failed else ""
        state = "" if self.ended else ", running"
        return (
            f"<PipelineReport {stages}: {self.delivered} results{failed} "
            f"in {self.seconds:.2f} s{state}>"
        )

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        head, *rows = self._rows()
        cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
        )
        return (
            f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"
            f"<p>{escape(self._summary())}</p>"
        )


def _advice_of_a_busy_loop(stages: Sequence[StageReport]) -> str:
    """Return what to do if the event loop is the bottleneck: no number of workers helps there."""
    found = max(stages, key=lambda stage: stage.held_loop * stage.seconds)
    share = found.held_loop * found.seconds / max(1, found.entered + found.retried)
    if share >= _LONG_CALL:
        return (
            f"{found.name} holds the event loop, up to {_time(found.longest_hold)} at a time, and "
            "all else waits: make it a plain function and run it via=THREADS if it blocks, or via= "
            "a pool of processes if it computes"
        )
    return (
        f"the event loop is the bottleneck, most of all in {found.name}, whose calls take "
        f"{_time(share)}: {_FEWER_ITEMS}"
    )


def _advice(found: StageReport) -> str:
    """Return what to do about a stage that is the bottleneck."""
    if found.limits:
        return "it lets no more through"
    if found.latency is not None and found.latency.p90 < _SHORT_CALL:
        return f"its calls take {_time(found.latency.p50)}: {_FEWER_ITEMS}"
    if found.executor_size is None:
        return f"raise workers={found.workers}, or use an executor of processes if it computes"
    if found.executor_size > found.workers:
        return (
            f"raise workers={found.workers}: its executor makes {found.executor_size} calls at once"
        )
    return (
        f"its executor makes {found.executor_size} calls at once: give it more; more workers would "
        "only wait"
    )


_OPTIONAL: Final = ("retried", "queued p50", "held loop")


def _row(stage: StageReport) -> tuple[str, ...]:
    counts = (stage.entered, stage.out, stage.filtered, stage.failed, stage.cancelled, stage.inside)
    shares = (stage.busy, stage.starved, stage.blocked)
    latency, queueing = stage.latency, stage.queueing
    return (
        stage.name,
        str(stage.workers),
        *map(str, counts),
        str(stage.retried),
        f"{stage.rate:,.0f}",
        *(f"{share:.0%}" for share in shares),
        "" if latency is None else _time(latency.p50),
        "" if latency is None else _time(latency.p99),
        "" if queueing is None else _time(queueing.p50),
        "" if stage.longest_hold < _LONG_HOLD else _time(stage.longest_hold),
    )


def _time(seconds: float) -> str:
    """Return two digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            digits = 0 if seconds >= 10 * size else 1
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds * 1e9:.0f} ns"


# ------------------------------------------------------------- the last seconds


def progress_text(report: PipelineReport) -> str:
    """Return how many items are finished, and of how many."""
    of = "" if report.total is None else f"/{report.total:,}"
    return f"{report.finished:,}{of} items"


@dataclass(frozen=True, slots=True)
class RecentStage:
    """What a stage did in the last seconds."""

    name: str
    rate: float
    """Items per second."""
    busy: float
    """The share of its workers' time, 0 to 1."""


@dataclass(frozen=True, slots=True)
class RecentWork:
    """What a run did in the last seconds."""

    rate: float
    """Items of the source that were finished, per second."""
    stages: tuple[RecentStage, ...]

    @property
    def busiest(self) -> RecentStage:
        """The stage that was busy longest."""
        return max(self.stages, key=lambda stage: stage.busy)


@final
class Recent:
    """Compares reports, each of which counts from the start of the run."""

    def __init__(self) -> None:
        self._reports = deque[PipelineReport](maxlen=_LOOKS)

    def add(self, report: PipelineReport) -> RecentWork:
        """Compare a report with one of some seconds ago, or with the start of the run."""
        before = self._reports[0] if len(self._reports) > 1 else None
        self._reports.append(report)
        seconds = report.seconds - (before.seconds if before else 0.0)
        finished = report.finished - (before.finished if before else report.recorded)
        olds = before.stages if before else (None,) * len(report.stages)
        return RecentWork(
            finished / seconds if seconds > 0 else 0.0,
            tuple(
                _compared(new, old, seconds) for new, old in zip(report.stages, olds, strict=True)
            ),
        )


def _compared(new: StageReport, old: StageReport | None, seconds: float) -> RecentStage:
    """Return what a stage did in an interval of the run, in part of which it may have ended."""
    if seconds <= 0:
        return RecentStage(new.name, 0.0, 0.0)
    out, busy = new.out, 0.0 if new.limits else new.busy * new.seconds
    if old is not None:
        out -= old.out
        busy -= 0.0 if old.limits else old.busy * old.seconds
    return RecentStage(new.name, out / seconds, min(1.0, max(0.0, busy / seconds)))
