"""in = out + filtered + failed + cancelled + inside, at every stage and at every moment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import anyio
import pytest
from anyio.lowlevel import checkpoint

from aconcur.pipeline import (
    COLLECT,
    SKIP,
    Latency,
    Pipeline,
    PipelineReport,
    Run,
    StageReport,
    stage,
)
from aconcur.testing import cancel_everywhere, explore

Backend: TypeAlias = Literal["asyncio", "uvloop", "trio"]


class Audit:
    """Knows by itself what a run was given and gave, and compares."""

    def __init__(self) -> None:
        self.run: Run[Any] | None = None
        self.drawn: list[int] = []
        self.worked: dict[int, int] = {}
        self.taken: list[Any] = []

    def source(self, size: int) -> Iterator[int]:
        for item in range(size):
            self.drawn.append(item)
            yield item
            self.check()

    def check(self, *, drawing: bool = True) -> None:
        if self.run is None:
            return
        report = self.run.report
        accounts = report.stages
        for one in accounts:
            done = one.out + one.filtered + one.failed + one.cancelled
            assert one.entered == done + one.inside, one
            assert min(one.entered, one.out, one.inside, one.depth, one.buffered) >= 0, one
        # A worker that draws is counted as one that holds an item.
        assert 0 <= accounts[0].entered - len(self.drawn) <= drawing
        for before, after in pairwise(accounts):
            assert before.emitted == after.entered
            assert before.buffered == after.depth
        assert report.delivered == len(self.taken)

    async def odd_fails(self, item: int) -> int:
        self.check()
        await checkpoint()
        self.check()
        if item % 2:
            raise ValueError(item)
        return item

    async def some(self, item: int) -> bool:
        await checkpoint()
        self.check()
        return item % 3 > 0

    async def twice(self, item: int) -> list[int]:
        await checkpoint()
        self.check()
        return [item, item]

    def pipeline(self, workers: int, ordered: bool) -> Pipeline[int, list[int]]:
        return (
            stage(self.odd_fails, workers=workers, ordered=ordered, on_error=SKIP, buffer=2)
            .filter(self.some, workers=workers, ordered=ordered, buffer=1)
            .flat_map(self.twice, workers=workers, ordered=ordered, buffer=3)
            .batch(3, buffer=1)
        )

    async def everything(self, size: int, workers: int, *, ordered: bool) -> None:
        self.__init__()  # type: ignore[misc]
        async with self.pipeline(workers, ordered).open(self.source(size)) as self.run:
            async for batch in self.run:
                self.taken.append(batch)
                self.check()
                await checkpoint()
                self.check()

    def final(self) -> None:
        """Hold after any end."""
        if self.run is not None:
            self.check(drawing=False)
            assert {account.inside for account in self.run.report.stages} == {0}


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("workers", [1, 3])
async def test_the_books_balance_at_every_moment(workers: int, ordered: bool) -> None:
    audit = Audit()
    await audit.everything(60, workers, ordered=ordered)
    audit.final()
    assert audit.run is not None
    expected = [item for item in range(60) if not item % 2 and item % 3 for _ in range(2)]
    assert sorted(item for batch in audit.taken for item in batch) == expected
    assert [s.failed + s.filtered for s in audit.run.report.stages] == [30, 10, 0, 0]
    assert {account.cancelled for account in audit.run.report.stages} == {0}


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_books_balance_under_every_schedule(
    backend: Literal["asyncio", "trio"], ordered: bool
) -> None:
    async def run() -> None:
        audit = Audit()

        async def consume() -> None:
            async for item in runs:
                audit.taken.append(item)
                audit.check()

        pipeline = stage(audit.odd_fails, workers=2, ordered=ordered, on_error=SKIP, buffer=1)
        async with pipeline.map(audit.twice, buffer=1).open(audit.source(4)) as runs:
            audit.run = runs
            await consume()
        audit.final()
        assert sorted(audit.taken) == [[0, 0], [2, 2]]

    found = explore(run, backend=backend, bound=3, schedules=50_000)
    found.check()
    assert found.exhausted


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_consumer_that_is_cancelled_takes_nothing(backend: Literal["asyncio", "trio"]) -> None:
    async def run() -> None:
        taken: list[int] = []
        scope = anyio.CancelScope()

        async def work(item: int) -> int:
            await checkpoint()
            return item

        async def consume() -> None:
            with scope:
                async for item in runs:
                    taken.append(item)

        async with stage(work, workers=2, buffer=1).open(range(3)) as runs:
            async with anyio.create_task_group() as group:
                group.start_soon(consume)
                await checkpoint()
                scope.cancel()
            taken += [item async for item in runs]
        assert taken == [0, 1, 2]

    found = explore(run, backend=backend, bound=3, schedules=50_000)
    found.check()
    assert found.exhausted


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_cancelled_at_every_step(backend: Backend, ordered: bool) -> None:
    audit = Audit()

    async def run() -> None:
        # Five items fill a batch; three are enough to see what a loop adds.
        await audit.everything(5 if ordered and backend != "uvloop" else 3, 2, ordered=ordered)

    cancel_everywhere(run, backend=backend, invariant=audit.final, grace=1.0).check()


async def test_an_error_ends_the_run_and_the_books_balance() -> None:
    audit = Audit()
    pipeline = stage(audit.some, workers=3).map(audit.odd_fails, workers=2)
    with suppress(ExceptionGroup):
        async with pipeline.open(audit.source(50)) as audit.run:
            async for item in audit.run:
                audit.taken.append(item)
    audit.final()
    assert audit.run is not None
    assert audit.run.report.failed >= 1
    assert {failure.item for failure in audit.run.failures} == {True}


# ------------------------------------------------------------------ reports


def account(name: str, *, starved: float, blocked: float, **counts: int) -> StageReport:
    zeros: dict[str, Any] = dict.fromkeys(
        [
            "entered",
            "out",
            "filtered",
            "failed",
            "cancelled",
            "inside",
            "emitted",
            "depth",
            "buffered",
        ],
        0,
    )
    return StageReport(
        name=name,
        workers=2,
        buffer=16,
        seconds=2.0,
        starved=starved,
        blocked=blocked,
        **(zeros | counts),
    )


FAST = replace(
    account("download", starved=0.1, blocked=0.8, entered=9, out=8, inside=1, emitted=8),
    latency=Latency(0.02, 0.5, 1.3),
)
SLOW = account("resize", starved=0.01, blocked=0.01, entered=8, out=7, failed=1, emitted=7)
IDLE = account("upload", starved=0.9, blocked=0.0, entered=7, out=6, inside=1, emitted=6)


def test_the_bottleneck_is_named() -> None:
    report = PipelineReport((FAST, SLOW, IDLE), 2.0)
    assert report.bottleneck == SLOW
    assert report.suggestion == (
        "resize is the bottleneck: 98% busy, upstream blocked, downstream starved; "
        "raise workers=2, or use an executor of processes if it computes"
    )
    assert (report.delivered, report.failed, SLOW.rate) == (6, 1, 3.5)


def test_a_stage_that_got_nothing_was_never_busy() -> None:
    # Its workers had not begun to wait when so short a run was over.
    nothing = account("keep", starved=0.1, blocked=0.0)
    assert nothing.busy == 0
    assert PipelineReport((FAST, nothing), 2.0).bottleneck is None


def test_the_source_or_the_consumer_may_be_the_bottleneck() -> None:
    starved = account("work", starved=0.9, blocked=0.0, entered=1)
    blocked = account("work", starved=0.0, blocked=0.9, entered=1)
    nothing = account("work", starved=0.0, blocked=0.0)
    assert PipelineReport((nothing,), 1.0).suggestion == "there was nothing to do"
    assert PipelineReport((starved,), 1.0).bottleneck is None
    assert "the source is the bottleneck" in PipelineReport((starved,), 1.0).suggestion
    assert "the consumer is the bottleneck" in PipelineReport((blocked,), 1.0).suggestion


def test_a_report_is_a_table_a_dict_and_json() -> None:
    report = PipelineReport((FAST, SLOW, IDLE), 2.0)
    head, first, second, _, last = str(report).splitlines()
    assert head.split()[:4] == ["stage", "workers", "in", "out"]
    assert " ".join(first.split()) == "download 2 9 8 0 0 0 1 4 10% 10% 80% 20 ms 1.3 s"
    assert " ".join(second.split()) == "resize 2 8 7 0 1 0 0 4 98% 1% 1%"
    assert last.startswith("6 results in 2.00 s; resize is the bottleneck")
    assert json.loads(report.to_json()) == report.to_dict()
    assert report.to_dict()["stages"][0]["latency"] == {"p50": 0.02, "p90": 0.5, "p99": 1.3}
    assert report.to_dict()["stages"][1]["latency"] is None
    assert report.to_dict()["stages"][1]["busy"] == pytest.approx(0.98)


async def test_shares_tell_who_waits_for_whom() -> None:
    async def quick(item: int) -> int:
        return item

    async def slow(item: int) -> int:
        await anyio.sleep(0.001)
        return item

    report = await stage(quick).map(slow).map(quick).run(range(100))
    first, second, third = report.stages
    assert first.blocked > first.starved
    assert second.busy > 0.5
    assert third.starved > 0.5
    assert report.bottleneck == second


async def test_a_run_reads_as_status() -> None:
    async def work(item: int) -> int:
        if item:
            await anyio.sleep_forever()
        return item

    async def fail(_: int) -> None:
        raise ValueError

    pipeline = stage(work, workers=4, name="resize").map(fail, on_error=COLLECT)
    async with pipeline.open(range(4)) as run:
        await anyio.wait_all_tasks_blocked()
        assert repr(run) == "<Run resize 3/4 busy | fail 0/1 busy, 1 failed → 0>"
    assert repr(run) == "<Run resize 0/4 busy | fail 0/1 busy, 1 failed → 0, ended>"
