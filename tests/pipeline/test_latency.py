"""Quantiles of calls: right to within a step, whoever measures and how many."""

from __future__ import annotations

import random
import statistics

import anyio
import pytest

from aconcur.pipeline import SKIP, THREADS, stage
from aconcur.pipeline import _stage as latency_module
from aconcur.pipeline._stage import Histogram, Sampled


@pytest.mark.parametrize("scale", [3e-7, 1e-3, 2.5, 4000])
def test_quantiles_are_those_of_the_values(scale: float) -> None:
    chance, histogram = random.Random(39), Histogram()
    values = [chance.lognormvariate(0, 1.5) * scale for _ in range(5000)]
    for value in values:
        histogram.add(value)
    found = histogram.latency()
    assert found is not None
    cuts = statistics.quantiles(values, n=100)
    for quantile, cut in ((found.p50, cuts[49]), (found.p90, cuts[89]), (found.p99, cuts[98])):
        assert quantile == pytest.approx(cut, rel=0.09)


def test_a_weight_is_that_many() -> None:
    histogram = Histogram()
    histogram.add(0.001, 99)
    histogram.add(1.0)
    found = histogram.latency()
    assert found is not None
    assert found.p99 == pytest.approx(0.001, rel=0.065)
    histogram.add(1.0, 100)
    found = histogram.latency()
    assert found is not None
    assert found.p50 == pytest.approx(1, rel=0.065)


def test_nothing_and_zero() -> None:
    histogram = Histogram()
    assert histogram.latency() is None
    histogram.add(0.0)
    assert histogram.latency() is not None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return what a call takes."""
    now, took = [0.0], [0.0]

    def tick() -> float:
        now[0] += took[0] / 2
        return now[0]

    monkeypatch.setattr(latency_module, "perf_counter", tick)
    return took


async def measured_of(count: int, seconds: float, clock: list[float]) -> int:
    """Return how many of so many spells of eight calls are measured."""
    calls = Sampled(_same, Histogram())
    clock[0] = 2 * seconds
    measured = 0
    for _ in range(count):
        call = calls.choose()
        measured += call == calls.measured
        for item in range(8):
            assert await call(item) == item
    return measured


async def _same(item: int) -> int:
    return item


async def test_all_long_calls_are_measured_and_few_short_ones(clock: list[float]) -> None:
    assert await measured_of(1000, 0.001, clock) == 1000
    assert await measured_of(4 + 5 * 128, 0.000_001, clock) == 4 + 5


@pytest.mark.parametrize("ordered", [False, True])
async def test_a_stage_tells_its_latency(ordered: bool) -> None:
    async def work(item: int) -> int:
        await anyio.sleep(0.02)
        if item == 3:
            raise ValueError
        return item

    pipeline = stage(work, workers=4, ordered=ordered, on_error=SKIP).batch(5).map(len, via=THREADS)
    report = await pipeline.run(range(20))
    slow, batches, quick = (account.latency for account in report.stages)
    assert slow is not None
    assert quick is not None
    assert slow.p50 >= 0.018
    assert slow.p50 <= slow.p90 <= slow.p99
    assert batches is None
    assert " ms" in str(report)
