"""A resource for each worker: opened once, in its task, and closed on every way out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest

from aconcur.pipeline import COLLECT, THREADS, Journal, Queue, Retry, stage
from aconcur.testing import cancel_everywhere, explore
from tests.support.states import until

Backend = Literal["asyncio", "uvloop", "trio"]


class Session:
    """What a worker holds: it notes the task that opened it, and whether it is used at once."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.task = anyio.get_current_task().id
        self.in_use = False
        self.closed = False

    async def fetch(self, item: int) -> int:
        assert not self.closed
        assert not self.in_use
        assert anyio.get_current_task().id == self.task
        self.in_use = True
        try:
            await anyio.lowlevel.checkpoint()
        finally:
            self.in_use = False
        return item


class Sessions:
    """Opens sessions; each takes a step to open and two to close."""

    def __init__(self) -> None:
        self.all: list[Session] = []

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Session]:
        await anyio.lowlevel.checkpoint()
        session = Session(len(self.all))
        self.all.append(session)
        try:
            yield session
        finally:
            assert anyio.get_current_task().id == session.task
            assert not session.in_use
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            session.closed = True

    def check(self, count: int) -> None:
        assert len(self.all) == count
        assert all(session.closed for session in self.all)


async def fetch(session: Session, item: int) -> int:
    return await session.fetch(item)


@pytest.mark.parametrize(("workers", "ordered"), [(1, True), (3, True), (3, False)])
async def test_each_worker_opens_one_and_closes_it_at_the_end(workers: int, ordered: bool) -> None:
    sessions = Sessions()
    pipeline = stage(fetch, workers=workers, ordered=ordered, resource=sessions)
    assert sorted(await pipeline.collect(range(40))) == [*range(40)]
    sessions.check(workers)
    # A second run opens its own.
    assert sorted(await pipeline.collect(range(4))) == [*range(4)]
    sessions.check(2 * workers)


async def test_all_are_closed_when_the_block_is_left() -> None:
    sessions = Sessions()
    async with stage(fetch, workers=3, resource=sessions).open(range(1000)) as run:
        assert await anext(run) == 0
    sessions.check(3)
    assert run.report.stages[0].inside == 0


async def test_all_are_closed_when_an_item_ends_the_run() -> None:
    sessions, seen = Sessions(), list[BaseException]()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Session]:
        async with sessions() as session:
            try:
                yield session
            except Exception as error:
                seen.append(error)  # as a transaction does, which rolls back
                raise

    async def work(session: Session, item: int) -> int:
        if item == 5:
            raise LookupError(item)
        return await session.fetch(item)

    with pytest.raises(LookupError) as caught:
        await stage(work, workers=3, resource=opened).run(range(100), unwrap=True)
    sessions.check(3)
    assert seen == [caught.value]
    assert caught.value.__notes__ == ["in stage 'work', item: 5"]


async def test_a_failed_item_or_a_retry_keeps_the_resource() -> None:
    sessions, tried = Sessions(), list[int]()

    async def work(session: Session, item: int) -> int:
        tried.append(item)
        if item == 1:
            raise KeyError(item)
        return await session.fetch(item)

    retry = Retry(2, delay=0.001)
    report = await stage(work, retry=retry, on_error=COLLECT, resource=sessions).run(range(4))
    assert (report.stages[0].out, report.stages[0].failed) == (3, 1)
    assert tried == [0, 1, 1, 2, 3]
    sessions.check(1)


async def test_plain_functions_filters_and_generators_get_it_too() -> None:
    sessions = Sessions()

    async def is_even(session: Session, item: int) -> bool:
        return await session.fetch(item) % 2 == 0

    async def twice(session: Session, item: int) -> AsyncIterator[int]:
        yield await session.fetch(item)
        yield item

    def add(session: Session, item: int) -> int:
        return item + session.number * 0

    pipeline = (
        stage(add, resource=sessions)
        .filter(is_even, resource=sessions)
        .flat_map(twice, resource=sessions)
        .map(fetch, resource=sessions, timeout=5, context="item")
    )
    assert await pipeline.collect(range(4)) == [0, 0, 2, 2]
    sessions.check(4)


async def test_an_error_of_opening_ends_the_run_and_no_item_is_taken() -> None:
    queue, closed = Queue[int](), list[bool]()
    queue.put_nowait(1)

    @asynccontextmanager
    async def opened() -> AsyncIterator[int]:
        await anyio.lowlevel.checkpoint()
        if closed:
            raise ConnectionError("refused")
        yield 1

    async def work(_: int, item: int) -> int:
        return item

    closed.append(True)
    with pytest.raises(ConnectionError) as caught:
        await stage(work, resource=opened).run(queue, unwrap=True)
    assert caught.value.__notes__ == ["raised by opening the resource of stage 'work'"]
    assert queue.qsize() == 1


async def test_an_error_of_closing_ends_the_run() -> None:
    @asynccontextmanager
    async def opened() -> AsyncIterator[int]:
        yield 1
        raise ConnectionError("lost")

    async def work(_: int, item: int) -> int:
        return item

    with pytest.raises(ConnectionError) as caught:
        await stage(work, resource=opened).run(range(3), unwrap=True)
    assert caught.value.__notes__ == ["raised by closing the resource of stage 'work'"]


async def test_a_resource_that_suppresses_errors_does_not_make_a_run_look_complete() -> None:
    @asynccontextmanager
    async def opened() -> AsyncIterator[int]:
        with suppress(LookupError):
            yield 1

    async def work(_: int, item: int) -> int:
        if item == 2:
            raise LookupError(item)
        return item

    with pytest.raises(LookupError):
        await stage(work, resource=opened).run(range(9), unwrap=True)


async def test_a_resource_that_cancels_its_own_scope_does_not_end_the_run_in_silence() -> None:
    @asynccontextmanager
    async def opened() -> AsyncIterator[anyio.CancelScope]:
        with anyio.CancelScope() as scope:
            await anyio.lowlevel.checkpoint()
            yield scope

    async def work(scope: anyio.CancelScope, item: int) -> int:
        if item == 1:
            scope.cancel()
        await anyio.lowlevel.checkpoint()
        return item

    with pytest.raises(RuntimeError, match="own cancel scope was cancelled while a worker used"):
        await stage(work, resource=opened).collect(range(4), unwrap=True)


async def test_it_may_hold_a_task_group() -> None:
    beats = 0

    @asynccontextmanager
    async def opened() -> AsyncIterator[int]:
        async def beat() -> None:
            nonlocal beats
            while True:
                beats += 1
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            group.start_soon(beat)
            yield 1
            group.cancel_scope.cancel()

    async def work(_: int, item: int) -> int:
        begun = beats
        await until(lambda: beats > begun)
        return item

    assert await stage(work, workers=2, resource=opened).collect(range(4)) == [*range(4)]
    async with stage(work, workers=2, resource=opened).open(range(50)) as run:
        await anext(run)


async def test_with_a_journal_the_function_gets_the_item(tmp_path: Any) -> None:  # noqa: ANN401
    sessions = Sessions()
    pipeline = stage(fetch, workers=2, resource=sessions)
    report = await pipeline.run(range(9), journal=Journal(tmp_path / "j"))
    assert report.delivered == 9
    sessions.check(2)


def test_what_cannot_be_a_resource_is_refused() -> None:
    async def coroutine_function() -> Session:
        raise AssertionError

    def work(_: object, item: int) -> int:
        return item

    sessions: Any = Sessions()
    wrong: Any = 3
    with pytest.raises(TypeError, match="must be a function that returns an async context manager"):
        stage(work, resource=wrong)
    wrong = coroutine_function
    with pytest.raises(TypeError, match="decorate it with contextlib"):
        stage(work, resource=wrong)
    with pytest.raises(ValueError, match="resource= is opened in the event loop"):
        stage(work, resource=sessions, via=THREADS)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="resource= and key= exclude each other"):
        stage(work, resource=sessions, key=lambda item: item)


async def test_a_function_that_returns_no_context_manager_is_named() -> None:
    opened: Any = lambda: 3  # noqa: E731
    work: Callable[[object, int], Awaitable[int]] = fetch  # type: ignore[assignment]
    with pytest.raises(TypeError, match="must return an async context manager, and returned 3"):
        await stage(work, resource=opened).run([1], unwrap=True)


# -- schedules and cancellation --------------------------------------------------------------------


async def two_workers() -> None:
    sessions, run = Sessions(), None
    try:
        async with stage(fetch, workers=2, ordered=False, resource=sessions).open(range(3)) as run:
            assert sorted([item async for item in run]) == [0, 1, 2]
    finally:
        sessions.check(len(sessions.all))
        if run is not None:
            [account] = run.report.stages
            assert account.inside == 0
            assert account.entered == account.out + account.cancelled


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_no_schedule_leaves_one_open(backend: Literal["asyncio", "trio"]) -> None:
    explore(two_workers, backend=backend, bound=3, schedules=150).check()


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_cancelled_anywhere_all_are_closed(backend: Backend) -> None:
    cancel_everywhere(two_workers, backend=backend, grace=1.0).check()
