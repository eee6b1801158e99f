"""Items through stages: order, errors, back-pressure, and the end of the workers."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator

import anyio
import pytest

from aconcur.lessons.item39_queue import original, rebuilt, work
from aconcur.lessons.item39_queue.work import BUFFER, Failure
from tests.support.item39 import (
    Call,
    Job,
)
from tests.support.states import until_sync

LESSON = "item39_queue"
pytestmark = pytest.mark.timeout(60)


@pytest.mark.entry("passed_along")
@pytest.mark.parametrize("size", [0, 1, 2, BUFFER, BUFFER + 1, 300])
async def test_all_items_come_out_in_order(call: Call, size: int) -> None:
    with work.numbers(size, seed=1) as (items,):
        assert await call(items) == items


def half(item: int) -> int:
    if item % 2:
        raise ValueError(f"{item} is odd")
    return item // 2


@pytest.mark.entry("run")
async def test_an_error_is_a_result_and_its_worker_goes_on(
    call: Call, job: Callable[[Job], Job]
) -> None:
    results = await call(range(8), [(job(half), 1), (job(half), 1)])
    assert results == [
        0,
        Failure(1, "half", "ValueError: 1 is odd"),
        Failure(1, "half", "ValueError: 1 is odd"),
        Failure(3, "half", "ValueError: 3 is odd"),
        1,
        Failure(5, "half", "ValueError: 5 is odd"),
        Failure(3, "half", "ValueError: 3 is odd"),
        Failure(7, "half", "ValueError: 7 is odd"),
    ]


@pytest.mark.entry("run")
@pytest.mark.parametrize("workers", [1, 3, 20])
async def test_no_item_is_lost_with_several_workers(
    call: Call, job: Callable[[Job], Job], workers: int
) -> None:
    def same(item: int) -> int:
        return item

    results = await call(range(200), [(job(same), workers)] * 3)
    assert sorted(results) == list(range(200))


class UnreadableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.entry("run")
@pytest.mark.parametrize(
    "error",
    [UnreadableError(), StopIteration(), asyncio.CancelledError(), TimeoutError()],
    ids=repr,
)
async def test_no_error_of_a_job_ends_its_worker(
    call: Call, job: Callable[[Job], Job], error: BaseException
) -> None:
    def failing(_: int) -> None:
        raise error

    results = await call(range(3), [(job(failing), 1)])
    assert [(result.item, result.stage) for result in results] == [(n, "failing") for n in range(3)]


@pytest.mark.entry("run")
@pytest.mark.parametrize("after", [0, 1, 100])
async def test_an_error_of_the_caller_comes_out(
    call: Call, job: Callable[[Job], Job], after: int
) -> None:
    def items() -> Iterator[int]:
        yield from range(after)
        raise ValueError("the caller's")

    def same(item: int) -> int:
        return item

    with pytest.RaisesGroup(
        pytest.RaisesExc(ValueError, match="the caller's"), allow_unwrapped=True
    ):
        await call(items(), [(job(same), 2)] * 3)


class Feed:
    """Items that watch how far they are ahead of the last stage."""

    def __init__(self, bound: int, full: Callable[[], None]) -> None:
        self.bound, self.full = bound, full
        self.taken = self.finished = self.most = 0

    def __iter__(self) -> Iterator[int]:
        for item in range(500):
            self.taken += 1
            self.most = max(self.most, self.taken - self.finished)
            if self.taken == self.bound:
                self.full()
            yield item


# Both queues are full, both workers and the caller have an item in hand.
ALL_FULL = 2 * BUFFER + 3


def test_a_slow_stage_holds_back_the_threads() -> None:
    go = threading.Event()
    feed = Feed(ALL_FULL, go.set)

    def same(item: int) -> int:
        return item

    def slow(item: int) -> int:
        assert go.wait(30)
        feed.finished += 1
        return item

    assert len(original.run(feed, [(same, 1), (slow, 1)])) == 500
    assert feed.most == ALL_FULL


@pytest.mark.asyncio_only
async def test_a_slow_stage_holds_back_the_tasks() -> None:
    go = asyncio.Event()
    feed = Feed(ALL_FULL, lambda: None)

    async def slow(item: int) -> int:
        await go.wait()
        feed.finished += 1
        return item

    running = asyncio.create_task(rebuilt.run(feed, [(rebuilt.same, 1), (slow, 1)]))
    for _ in range(10 * ALL_FULL):  # turns of the loop: more than it takes until nobody can move
        await asyncio.sleep(0)
    assert feed.taken == ALL_FULL
    go.set()
    with anyio.fail_after(30):
        assert len(await running) == 500
    assert feed.most == ALL_FULL


def test_a_job_that_exits_is_a_failure_to_a_thread_and_ends_the_loop() -> None:
    def leave(_: int) -> None:
        raise SystemExit(3)

    async def leave_async(_: int) -> None:
        raise SystemExit(3)

    assert original.run([1], [(leave, 1)]) == [Failure(1, "leave", "SystemExit: 3")]
    with pytest.raises(SystemExit):
        asyncio.run(rebuilt.run([1], [(leave_async, 1)]))


@pytest.mark.parametrize("workers", [1, 3])
def test_after_ctrl_c_nobody_waits_for_the_threads(workers: int) -> None:
    busy, go = threading.Barrier(workers + 1), threading.Event()
    asked: list[int] = []

    def stuck(item: int) -> int:
        asked.append(item)
        busy.wait(30)
        assert go.wait(30)
        return item

    def items() -> Iterator[int]:
        # Enough to keep workers waiting in put() when the queue behind them is full.
        yield from range(workers + BUFFER)
        busy.wait(30)
        raise KeyboardInterrupt

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        original.run(items(), [(stuck, workers), (work.same, 1)])
    left = set(threading.enumerate()) - before
    assert len([thread for thread in left if thread.name == "stuck"]) == workers
    go.set()
    for thread in left:
        thread.join(30)
        assert not thread.is_alive()
    assert sorted(asked) == list(range(workers))


def test_workers_that_wait_in_put_are_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them wait in put() than the queue has places."""
    go = threading.Event()
    abandoned: list[int] = []
    waiting = 3 * BUFFER

    def stuck(item: int) -> int:
        assert go.wait(30)
        return item

    def in_put(thread: threading.Thread) -> bool:
        frame = sys._current_frames().get(thread.ident or 0)
        while frame and frame.f_code.co_name != "put":
            frame = frame.f_back
        return frame is not None

    def items() -> Iterator[int]:
        yield from range(1 + BUFFER + waiting)
        first_stage = [each for each in threading.enumerate() if each.name == "same"]
        until_sync(lambda: all(map(in_put, first_stage)))
        raise ValueError("the caller's")

    def abandon(queue: original.ClosableQueue, workers: int) -> None:
        really(queue, workers)
        abandoned.append(workers)
        if len(abandoned) == 2:
            go.set()

    really = original.abandon
    monkeypatch.setattr(original, "abandon", abandon)
    with pytest.raises(ValueError, match="the caller's"):
        original.run(items(), [(work.same, waiting), (stuck, 1)])
    assert abandoned == [waiting, 1]
