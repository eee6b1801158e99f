"""Sources: not read ahead more than asked, closed in time, and heard to the end when they fail."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest

from aconcur.pipeline import (
    THREADS,
    ItemCancelledError,
    Limiter,
    Pipeline,
    Queue,
    Retry,
    stage,
)
from aconcur.testing import cancel_everywhere, explore
from tests.support.states import BOUND, until


async def same(item: Any) -> Any:  # noqa: ANN401
    return item


async def step(item: int) -> int:
    await anyio.lowlevel.checkpoint()
    return item


def filled(count: int) -> Queue[int]:
    queue = Queue[int]()
    for item in range(count):
        queue.put_nowait(item)
    queue.close()
    return queue


# ------------------------------------------------------------------- a queue


@pytest.mark.parametrize(("workers", "ordered"), [(1, True), (3, True), (3, False)])
async def test_a_run_that_fails_leaves_in_the_queue_all_that_was_not_begun(
    workers: int, ordered: bool
) -> None:
    queue, begun = filled(200), list[int]()

    async def work(item: int) -> None:
        begun.append(item)
        await anyio.lowlevel.checkpoint()
        if item % 50 == 49:
            raise ValueError(item)

    while not queue.empty():
        try:
            await stage(work, workers=workers, ordered=ordered).run(queue)
        except* ValueError:
            pass
    assert sorted(begun) == list(range(200))


async def test_a_run_that_is_left_leaves_in_the_queue_all_that_was_not_begun() -> None:
    queue = filled(100)
    async with stage(same, buffer=1).open(queue) as run:
        assert await anext(run) == 0
    begun = run.report.stages[0].entered
    assert begun <= 3
    assert queue.qsize() == 100 - begun


async def test_two_pipelines_share_a_queue_evenly() -> None:
    queue, done = filled(20), [0, 0]

    async def consume(number: int) -> None:
        async def work(_: int) -> None:
            await anyio.sleep(0.005)
            done[number] += 1

        await stage(work, buffer=1).run(queue)

    async with anyio.create_task_group() as group:
        group.start_soon(consume, 0)
        group.start_soon(consume, 1)
    assert sum(done) == 20
    assert min(done) >= 4


@pytest.mark.parametrize("workers", [1, 3])
async def test_draining_stops_workers_that_wait_at_a_queue(workers: int) -> None:
    queue = Queue[int]()
    queue.put_nowait(1)
    async with stage(same, workers=workers).open(queue) as run:
        assert await anext(run) == 1
        await anyio.wait_all_tasks_blocked()
        run.drain()
        with anyio.fail_after(BOUND):
            assert [item async for item in run] == []
        assert queue.statistics().waiting_to_get == 0
    with queue.consumer():
        queue.put_nowait(2)
    assert queue.get_nowait() == 2


async def test_a_queue_merges_directly() -> None:
    queue = filled(50)
    async with stage(same).merge(queue, buffer=1).open([]) as run:
        assert await anext(run) == 0
    assert queue.qsize() >= 47


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_item_of_a_queue_is_begun_once_under_every_schedule(
    backend: Literal["asyncio", "trio"],
) -> None:
    async def run() -> None:
        queue, begun = Queue[int](), list[int]()

        async def work(item: int) -> int:
            begun.append(item)
            await anyio.lowlevel.checkpoint()
            return item

        async with stage(work, workers=2, buffer=1).open(queue) as running:
            with queue.producer():
                queue.put_nowait(1)
                await queue.put(2)
                await queue.put(3)
            assert [item async for item in running] == [1, 2, 3]
        assert sorted(begun) == [1, 2, 3]

    found = explore(run, backend=backend, bound=3, schedules=20_000)
    found.check()


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_cancelled_at_every_step_a_queue_loses_nothing_that_was_not_begun(
    backend: Literal["asyncio", "uvloop", "trio"],
) -> None:
    queue, begun = Queue[int](), list[int]()

    async def work(item: int) -> int:
        begun.append(item)
        await anyio.lowlevel.checkpoint()
        return item

    async def run() -> None:
        nonlocal queue
        begun.clear()
        queue = filled(5)
        async with stage(work, workers=2).open(queue) as running:
            async for _ in running:
                await anyio.lowlevel.checkpoint()

    def nothing_is_lost() -> None:
        left = list[int]()
        while not queue.empty():
            left.append(queue.get_nowait())
        assert sorted([*begun, *left]) in ([0, 1, 2, 3, 4], [])

    cancel_everywhere(run, backend=backend, invariant=nothing_is_lost, grace=1.0).check()


# ------------------------------------------------------------ an async source


@pytest.mark.parametrize(
    ("options", "ahead", "most"),
    [({"buffer": 1}, None, 1), ({}, 0, 1), ({}, 1, 2), ({}, 5, 6), ({}, None, 17)],
)
async def test_an_async_source_is_read_ahead_as_far_as_asked(
    options: dict[str, Any], ahead: int | None, most: int
) -> None:
    drawn = 0

    async def leases() -> AsyncIterator[int]:
        nonlocal drawn
        while True:
            drawn += 1
            yield drawn

    async def hold(_: int) -> None:
        await anyio.sleep_forever()

    pipeline: Pipeline[int, None] = stage(hold, **options)
    async with pipeline.open(leases(), ahead=ahead):
        await anyio.wait_all_tasks_blocked()
        assert drawn == most


async def test_all_items_come_without_reading_ahead() -> None:
    async def source() -> AsyncIterator[int]:
        for item in range(50):
            await anyio.lowlevel.checkpoint()
            yield item

    for workers in (1, 3):
        assert await stage(step, workers=workers).collect(source(), ahead=0) == list(range(50))


def test_a_wrong_ahead_is_refused() -> None:
    with pytest.raises(ValueError, match="ahead must be at least 0, not -1"):
        stage(same).open([], ahead=-1)
    with pytest.raises(TypeError, match="ahead must be a whole number"):
        stage(same).fed_by([], ahead="1")  # type: ignore[arg-type]


# -------------------------------------------------------------------- closing

log: list[str] = []


def rows(_: object = None) -> Iterator[int]:
    try:
        yield from range(1000)
    finally:
        log.append("closed")


async def pages(_: object = None) -> AsyncIterator[int]:
    async with connection():
        for item in range(1000):
            yield item  # noqa: ASYNC119 - the pipeline closes it


@asynccontextmanager
async def connection() -> AsyncIterator[None]:
    try:
        yield
    finally:
        # Not shielded.
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        log.append("closed")


@pytest.mark.parametrize("end", ["break", "error", "cancel"])
@pytest.mark.parametrize(
    ("make", "source"),
    [
        (lambda: stage(same), rows),
        (lambda: stage(same, workers=2), pages),
        (lambda: stage(same).merge(rows()), lambda: range(9)),
        (lambda: stage(same).merge(pages()), lambda: range(9)),
        (lambda: stage(same).flat_map(rows), lambda: [1]),
        (lambda: stage(same).flat_map(pages), lambda: [1]),
        (lambda: stage(same).flat_map(pages, workers=2, ordered=False), lambda: [1]),
    ],
    ids=["rows", "pages", "merged rows", "merged pages", "flat rows", "flat pages", "unordered"],
)
async def test_a_generator_is_closed_when_the_block_is_left(
    make: Callable[[], Pipeline[Any, Any]], source: Callable[[], Any], end: str
) -> None:
    log.clear()
    gc.disable()
    try:
        with anyio.CancelScope() as scope:
            try:
                async with make().open(source()) as run:
                    await anext(run)
                    await anyio.wait_all_tasks_blocked()
                    if end == "error":
                        raise KeyError
                    if end == "cancel":
                        scope.cancel()
                        await anyio.sleep_forever()
            except KeyError:
                pass
        assert log == ["closed"]
    finally:
        gc.enable()


async def test_an_iterator_of_the_callers_is_not_closed() -> None:
    class Cursor:
        closed = False

        def __iter__(self) -> Iterator[int]:
            return self

        def __next__(self) -> int:
            return 1

        def close(self) -> None:
            self.closed = True

    cursor = Cursor()
    async with stage(same).open(cursor) as run:
        await anext(run)
    assert not cursor.closed


# --------------------------------------------------------- a source that fails


class BrokenError(Exception):
    pass


def sync_broken() -> Iterator[int]:
    yield from range(6)
    raise BrokenError


async def async_broken() -> AsyncIterator[int]:
    for item in range(6):
        yield item
    raise BrokenError


@pytest.mark.parametrize("make", [sync_broken, async_broken])
@pytest.mark.parametrize(
    "pipeline",
    [
        stage(step),
        stage(step, workers=4),
        stage(step, workers=4, ordered=False, buffer=1),
        stage(step, workers=2).map(step).batch(1).flat_map(list[int]),
    ],
)
async def test_all_items_before_an_error_of_the_source_are_delivered(
    pipeline: Pipeline[int, int], make: Callable[[], Any]
) -> None:
    got: list[int] = []
    with pytest.raises(ExceptionGroup) as caught:  # noqa: ASYNC401, PT012
        async with pipeline.open(make()) as run:
            while taken := await run.take():
                got.extend(taken)
    assert sorted(got) == list(range(6))
    [error] = caught.value.exceptions
    assert isinstance(error, BrokenError)
    assert error.__notes__ == ["raised by the pipeline's source, after the items before it"]
    assert {account.cancelled for account in run.report.stages} == {0}


async def test_an_error_of_a_merged_source_names_it() -> None:
    pipeline = stage(step).merge([7], sync_broken(), name="join")
    with pytest.raises(BrokenError) as caught:  # noqa: ASYNC401
        await pipeline.run([8], unwrap=True)
    assert caught.value.__notes__ == [
        "raised by source 2 of stage 'join', after the items before it"
    ]


async def test_a_source_whose_own_task_was_cancelled_does_not_hang_the_run() -> None:
    async def source() -> AsyncIterator[int]:
        yield 1
        raise asyncio.CancelledError

    with anyio.fail_after(BOUND), pytest.raises(ItemCancelledError):
        await stage(step).run(source(), unwrap=True)


async def test_an_iterator_that_fails_and_goes_on_is_drawn_from_no_more() -> None:
    class Stubborn:
        drawn = 0

        def __iter__(self) -> Iterator[int]:
            return self

        def __next__(self) -> int:
            self.drawn += 1
            if self.drawn == 3:
                raise BrokenError
            if self.drawn > 50:
                raise StopIteration
            return self.drawn

    source, got = Stubborn(), list[int]()
    with pytest.raises(BrokenError):  # noqa: PT012
        async with stage(step, workers=3).open(source, unwrap=True) as run:
            async for item in run:
                got.append(item)
    assert got == [1, 2]
    assert source.drawn == 3


async def test_the_error_of_a_source_is_not_raised_if_the_consumer_leaves_before_it() -> None:
    async with stage(step).open(sync_broken()) as run:
        assert await anext(run) == 0


class Unreadable:
    def __iter__(self) -> Iterator[int]:
        raise OSError("no such table")


async def test_a_source_that_cannot_be_opened_fails_as_one_that_cannot_be_read() -> None:
    with pytest.raises(OSError, match="no such table") as caught:
        await stage(int).run(Unreadable(), unwrap=True)
    assert caught.value.__notes__ == ["raised by the pipeline's source, after the items before it"]
    with pytest.RaisesGroup(OSError):
        await stage(int).run(Unreadable())


async def test_the_errors_of_all_sources_are_raised() -> None:
    async def fail_later() -> AsyncIterator[int]:
        yield 1
        raise OSError

    results = list[int]()

    async def take_all() -> None:
        async with stage(int).merge(fail_later()).open(Unreadable()) as run:
            async for item in run:
                results.append(item)

    with pytest.RaisesGroup(OSError, OSError) as caught:
        await take_all()
    assert results == [1]
    assert sorted(error.__notes__[0][:18] for error in caught.value.exceptions) == [
        "raised by source 1",
        "raised by the pipe",
    ]


async def test_results_that_were_not_taken_are_missed_after_the_block() -> None:
    async with stage(int).open(range(5)) as run:
        await anext(run)
        await anyio.wait_all_tasks_blocked()
    for take in (run.take, run.__anext__):
        with pytest.raises(RuntimeError, match="iterate inside the block"):
            await take()
    assert run.report.delivered == 1


async def test_a_run_that_was_used_up_stays_at_its_end() -> None:
    async with stage(int).open(range(5)) as run:
        assert [item async for item in run] == list(range(5))
    assert await run.take() == []
    assert [item async for item in run] == []


class Unbegun:
    """Remembers which items its function was called with."""

    def __init__(self) -> None:
        self.called, self.may_end = list[int](), threading.Event()

    async def work(self, item: int) -> int:
        self.called.append(item)
        await anyio.sleep_forever()
        return item

    def block(self, item: int) -> int:
        self.called.append(item)
        self.may_end.wait(BOUND)
        return item


@pytest.mark.parametrize("kind", ["limiter", "rate", "key", "merge"])
async def test_what_was_not_begun_goes_back_to_the_queue_in_order(kind: str) -> None:
    queue, seen = filled(9), Unbegun()
    limiter = Limiter(2, per=1000)
    pipeline = {
        "limiter": stage(seen.work, workers=4, limiter=limiter),
        "rate": stage(seen.work, workers=4, limiter=limiter, key=lambda item: item, ordered=False),
        "key": stage(seen.work, workers=4, key=lambda item: item // 2),
        "merge": stage(step).merge(queue).map(seen.work, workers=2),
    }[kind]
    async with anyio.create_task_group() as group:
        group.start_soon(pipeline.run, [] if kind == "merge" else queue)
        await anyio.wait_all_tasks_blocked()
        assert len(seen.called) == 2
        group.cancel_scope.cancel()
    left = [queue.get_nowait() for _ in range(queue.qsize())]
    assert left == [item for item in range(9) if item not in seen.called]


async def test_what_no_worker_of_an_executor_has_begun_goes_back_to_the_queue() -> None:
    queue, seen = filled(9), Unbegun()
    with ThreadPoolExecutor(1) as executor:
        with anyio.CancelScope() as scope:
            async with stage(seen.block, workers=3, via=executor).open(queue):
                await until(lambda: seen.called)
                seen.may_end.set()
                scope.cancel()
        left = [queue.get_nowait() for _ in range(queue.qsize())]
    # While one worker is told of the cancel, the executor may begin the item of the next.
    assert sorted(seen.called + left) == list(range(9))
    assert left == sorted(left)


async def test_what_no_thread_has_begun_goes_back_to_the_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue, seen, cancelled = filled(9), Unbegun(), threading.Event()
    start = threading.Thread.start

    def start_late(thread: threading.Thread) -> None:
        """Start a thread of the stage when the run has been cancelled."""
        if thread.name.startswith("block"):
            later = threading.Thread(target=lambda: cancelled.wait(BOUND) and start(thread))
            start(later)
        else:
            start(thread)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start_late)
        async with anyio.create_task_group() as group:
            group.start_soon(stage(seen.block, workers=3, via=THREADS).run, queue)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await anyio.wait_all_tasks_blocked()  # each task waits for its thread
            cancelled.set()
    assert seen.called == []
    assert [queue.get_nowait() for _ in range(queue.qsize())] == list(range(9))


async def test_an_item_that_is_tried_again_does_not_go_back() -> None:
    async def fail(_: int) -> None:
        raise OSError

    queue = filled(3)
    again = stage(fail, limiter=Limiter(1, per=1000), retry=Retry(2, backoff=0))
    async with anyio.create_task_group() as group:
        group.start_soon(again.run, queue)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert [queue.get_nowait() for _ in range(queue.qsize())] == [1, 2]
