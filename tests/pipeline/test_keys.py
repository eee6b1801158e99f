"""Items of one key one at a time and in order, others in parallel."""

from __future__ import annotations

from collections import Counter
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aconcur.pipeline import COLLECT, SKIP, THREADS, Journal, Queue, Retry, Run, stage
from aconcur.testing import cancel_everywhere, explore
from tests.support.states import until


class Watched:
    """A function that notes which items of a key overlap, and in which order they begin."""

    def __init__(self, keys: int = 3) -> None:
        self.keys = keys
        self.active = Counter[int]()
        self.overlaps = 0
        self.most = 0
        self.begun: dict[int, list[int]] = {}

    def key(self, item: int) -> int:
        return item % self.keys

    async def __call__(self, item: int) -> int:
        key = self.key(item)
        self.begun.setdefault(key, []).append(item)
        self.active[key] += 1
        self.overlaps += self.active[key] > 1
        self.most = max(self.most, self.active.total())
        try:
            await anyio.lowlevel.checkpoint()
        finally:
            self.active[key] -= 1
        return item


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("workers", [1, 2, 8])
async def test_items_of_a_key_keep_their_order_and_do_not_overlap(
    ordered: bool, workers: int
) -> None:
    work = Watched()
    pipeline = stage(work, workers=workers, ordered=ordered, key=work.key)
    found = await pipeline.collect(range(60))
    assert sorted(found) == [*range(60)]
    assert not ordered or found == [*range(60)]
    assert work.overlaps == 0
    assert all(begun == sorted(begun) for begun in work.begun.values())
    assert work.most == min(workers, 3)


async def test_no_more_items_are_worked_on_than_there_are_workers() -> None:
    work = Watched(keys=50)
    await stage(work, workers=4, ordered=False, key=work.key).run(range(200))
    assert work.most == 4


async def test_a_slow_key_does_not_hold_up_the_others() -> None:
    release, done = anyio.Event(), list[int]()

    async def work(item: int) -> int:
        if item % 10 == 0:
            await release.wait()
        done.append(item)
        return item

    pipeline = stage(work, workers=4, ordered=False, key=lambda item: item % 10)
    async with anyio.create_task_group() as group:
        group.start_soon(pipeline.run, range(100))
        # The nine later items of the slow key wait for it without a worker.
        await until(lambda: len(done) == 90)
        assert all(item % 10 for item in done)
        release.set()
    assert [item for item in done if item % 10 == 0] == [*range(0, 100, 10)]


async def test_a_retry_comes_before_the_next_item_of_its_key() -> None:
    tried: list[int] = []

    async def work(item: int) -> int:
        tried.append(item)
        if tried.count(item) < 3:
            raise KeyError(item)
        return item

    pipeline = stage(work, workers=3, key=lambda _: 0, retry=Retry(3, delay=0.001))
    assert await pipeline.collect(range(3)) == [0, 1, 2]
    assert tried == [0, 0, 0, 1, 1, 1, 2, 2, 2]


async def test_a_failed_item_lets_the_next_one_of_its_key_begin() -> None:
    async def work(item: int) -> int:
        if item % 2:
            raise KeyError(item)
        return item

    pipeline = stage(work, workers=3, key=lambda _: 0, on_error=COLLECT)
    report = await pipeline.run(range(10))
    [account] = report.stages
    assert (account.out, account.failed, account.inside) == (5, 5, 0)
    assert [failure.item for failure in report.failures] == [1, 3, 5, 7, 9]


async def test_an_error_ends_the_run_once() -> None:
    async def work(item: int) -> int:
        if item == 2:
            raise LookupError(item)
        return item

    runs: list[Run[int]] = []

    async def consume() -> None:
        async with stage(work, workers=3, key=lambda _: 0).open(range(9), unwrap=True) as run:
            runs.append(run)
            async for _ in run:
                pass

    with pytest.raises(LookupError) as caught:
        await consume()
    [run] = runs
    assert caught.value.__notes__ == ["in stage 'work', item: 2"]
    assert run.report.stages[0].failed == 1
    assert run.report.stages[0].inside == 0


async def test_time_limits_count_from_the_items_turn() -> None:
    async def work(_: int) -> None:
        await anyio.sleep(0.03)

    pipeline = stage(work, workers=4, key=lambda _: 0, timeout=0.5, on_error=SKIP)
    report = await pipeline.run(range(20))
    [account] = report.stages
    assert (account.out, account.failed) == (20, 0)
    assert account.latency is not None
    assert account.latency.p50 < 0.1
    assert "wait for earlier items of the same key" in report.suggestion


async def test_threads_too() -> None:
    active: list[int] = []

    def work(item: int) -> int:
        assert item % 3 not in active
        active.append(item % 3)
        active.remove(item % 3)
        return item

    pipeline = stage(work, workers=4, via=THREADS, key=lambda item: item % 3)
    assert await pipeline.collect(range(40)) == [*range(40)]


async def test_with_a_journal_the_key_is_of_the_item(tmp_path: Any) -> None:  # noqa: ANN401
    work = Watched()
    pipeline = stage(work, workers=4, key=work.key, name="work")
    report = await pipeline.run(range(30), journal=Journal(tmp_path / "j"))
    assert report.delivered == 30
    assert work.overlaps == 0


async def test_a_queue_gives_no_more_items_than_there_are_workers() -> None:
    queue = Queue[int]()
    for item in range(20):
        queue.put_nowait(item)
    blocked = anyio.Event()

    async def work(_: int) -> None:
        await blocked.wait()

    async with anyio.create_task_group() as group:
        pipeline = stage(work, workers=3, ordered=False, key=lambda _: 0)
        group.start_soon(pipeline.run, queue)
        await anyio.wait_all_tasks_blocked()
        assert queue.qsize() == 17
        group.cancel_scope.cancel()


async def test_a_key_that_is_not_hashable_fails_its_item() -> None:
    work = Watched()
    key: Any = lambda item: [item]  # noqa: E731
    report = await stage(work, workers=2, key=key, on_error=COLLECT).run([1])
    assert str(report.failures[0].error).startswith("key= must return something hashable")
    with pytest.raises(TypeError, match="key must be a function, not 3"):
        stage(work, key=3)  # type: ignore[call-overload]


# -- schedules and cancellation --------------------------------------------------------------------


async def two_keys() -> None:
    work = Watched(keys=2)
    run = None
    try:
        async with stage(work, workers=2, ordered=False, key=work.key).open(range(4)) as run:
            async for _ in run:
                pass
    finally:
        assert work.overlaps == 0
        assert all(begun == sorted(begun) for begun in work.begun.values())
        if run is not None:
            [account] = run.report.stages
            assert account.inside == 0
            assert account.entered == account.out + account.cancelled


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_no_schedule_lets_items_of_a_key_overlap(backend: Any) -> None:  # noqa: ANN401
    explore(two_keys, backend=backend, bound=3, schedules=400).check()


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_cancelled_anywhere_the_accounts_add_up(backend: Any) -> None:  # noqa: ANN401
    cancel_everywhere(two_keys, backend=backend, grace=1.0).check()
