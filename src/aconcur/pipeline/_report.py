"""What a run of a pipeline did, in figures: for the eye, as a dict, as JSON."""

from __future__ import annotations

__all__ = ("PipelineReport", "StageReport")

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from aconcur.pipeline._latency import Latency

# Below this share of its time nobody is a bottleneck: a guess.
_BUSY: Final = 0.5
_HEADS: Final = (
    *("stage", "workers", "in", "out", "filtered", "failed", "cancelled", "inside"),
    *("items/s", "busy", "starved", "blocked", "p50", "p99"),
)


@dataclass(frozen=True, slots=True)
class StageReport:
    """The account of one stage: entered = out + filtered + failed + cancelled + inside."""

    name: str
    """The stage's name."""
    workers: int
    """Items that it works on at once, at most."""
    entered: int
    """Items that came: all that the stage before passed on, or that were drawn from the source."""
    out: int
    """Items that are done."""
    filtered: int
    """Items that a filter left out."""
    failed: int
    """Items that it failed on, after all attempts."""
    cancelled: int
    """Items that it had when the run was cancelled, left or ended by an error."""
    inside: int
    """Items that wait for it, that it works on, or whose result waits for its turn."""
    emitted: int
    """Results that it passed on: not ``out`` where one item becomes several, or several one."""
    depth: int
    """Items, of those inside, that wait for it."""
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
    """Whether it is there to hold items up: a rate limit."""
    latency: Latency | None = None
    """Quantiles of the seconds that its calls took; None if it made none."""

    @property
    def busy(self) -> float:
        """The share of its workers' time in which they had an item, 0 to 1."""
        if not (self.seconds and self.entered):
            return 0.0
        return max(0.0, 1.0 - self.starved - self.blocked)

    @property
    def rate(self) -> float:
        """Items per second that were done."""
        return self.out / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class PipelineReport:
    """The account of a run. ``print`` shows it as a table."""

    stages: tuple[StageReport, ...]
    """In the order in which items pass them."""
    seconds: float
    """From the start of the run to its end, or to now."""
    recorded: int = 0
    """Items that were passed over: the journal had them from earlier runs."""
    finished: int = 0
    """Items of the source that are through, filtered, failed or passed over. Where a stage makes
    several of one or one of several: those that the first stage is done with."""
    total: int | None = None
    """Items of the source, if it has a length."""
    ended: bool = False
    """Whether the run has ended."""

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
        """The stage that was busy longest; None where none was, for half of the run."""
        busiest = max(self.stages, key=lambda stage: stage.busy * stage.seconds)
        return busiest if busiest.busy * busiest.seconds >= _BUSY * self.seconds else None

    @property
    def suggestion(self) -> str:
        """What holds the run back, and what could be done."""
        found = self.bottleneck
        if not any(stage.entered for stage in self.stages):
            return "there was nothing to do"
        if found is None:
            first, last = self.stages[0], self.stages[-1]
            if last.blocked > first.starved:
                return "the consumer is the bottleneck: the last stage waits for it"
            return "the source is the bottleneck: the first stage waits for it"
        neighbours = ""
        number = self.stages.index(found)
        if number and self.stages[number - 1].blocked >= _BUSY:
            neighbours += ", upstream blocked"
        if number + 1 < len(self.stages) and self.stages[number + 1].starved >= _BUSY:
            neighbours += ", downstream starved"
        advice = f"raise workers={found.workers}, or use an executor of processes if it computes"
        if found.limits:
            advice = "it lets no more through"
        return f"{found.name} is the bottleneck: {found.busy:.0%} busy{neighbours}; {advice}"

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
            "suggestion": self.suggestion,
            "stages": [
                asdict(stage) | {"busy": stage.busy, "rate": stage.rate} for stage in self.stages
            ],
        }

    def to_json(self) -> str:
        """Return :meth:`to_dict` as JSON."""
        return json.dumps(self.to_dict())

    def __str__(self) -> str:
        rows = [_HEADS, *(_row(stage) for stage in self.stages)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) if number else cell.ljust(width)
                for number, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        before = f" ({self.recorded} items recorded before)" if self.recorded else ""
        ended = f"{self.delivered} results in {self.seconds:.2f} s{before}; {self.suggestion}"
        return "\n".join([*lines, ended])


def _row(stage: StageReport) -> tuple[str, ...]:
    counts = (stage.entered, stage.out, stage.filtered, stage.failed, stage.cancelled, stage.inside)
    shares = (stage.busy, stage.starved, stage.blocked)
    return (
        stage.name,
        str(stage.workers),
        *map(str, counts),
        f"{stage.rate:,.0f}",
        *(f"{share:.0%}" for share in shares),
        *_times(stage.latency),
    )


def _times(latency: Latency | None) -> tuple[str, str]:
    return ("", "") if latency is None else (_time(latency.p50), _time(latency.p99))


def _time(seconds: float) -> str:
    """Return two digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return (
                f"{seconds / size:.0f} {unit}"
                if seconds >= 10 * size
                else f"{seconds / size:.1f} {unit}"
            )
    return f"{seconds * 1e9:.0f} ns"
