"""Blocking functions: in threads, in executors; and plain code around a pipeline."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from multiprocessing import get_context
from typing import TypeAlias

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from aconcur.pipeline import COLLECT, THREADS, Via, _callers, stage
from tests.support.backends import on_asyncio
from tests.support.states import until

pytestmark = pytest.mark.timeout(60)
flavour = ContextVar("flavour", default="none")


@contextmanager
def threads_of_ours() -> Iterator[Via]:
    yield THREADS


@contextmanager
def a_pool_of_threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(3) as pool:
        yield pool


Way: TypeAlias = Callable[[], AbstractContextManager[Via]]
WAYS: list[Way] = [threads_of_ours, a_pool_of_threads]


def double(item: int) -> int:
    return 2 * item


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("workers", [1, 3])
async def test_every_item_passes_once(way: Way, ordered: bool, workers: int) -> None:
    with way() as via:
        pipeline = stage(double, via=via, workers=workers, ordered=ordered)
        pipeline = pipeline.map(double, via=via, workers=workers, ordered=ordered)
        results = await pipeline.collect(range(300))
    assert (results if ordered else sorted(results)) == [4 * item for item in range(300)]


async def test_in_processes() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        results = await stage(double, via=pool, workers=2).collect(range(10))
        # Away from the loop: joining the processes blocks.
    assert results == [2 * item for item in range(10)]


async def test_filter_and_flat_map_in_threads() -> None:
    pipeline = stage(double).filter(lambda item: item % 4 == 0, via=THREADS, workers=2)
    assert await pipeline.flat_map(range, via=THREADS, workers=2).collect(range(4)) == [0, 1, 2, 3]


async def test_as_many_threads_as_workers_and_none_afterwards() -> None:
    names: set[str] = set()
    meeting = threading.Barrier(3, timeout=30)

    def work(item: int) -> int:
        names.add(threading.current_thread().name)
        meeting.wait()
        return item

    assert await stage(work, via=THREADS, workers=3, name="meet").collect(range(30)) == [*range(30)]
    assert names == {"meet 1", "meet 2", "meet 3"}
    assert not any(thread.name in names for thread in threading.enumerate())


async def test_threads_see_the_context_of_the_run() -> None:
    def look(_: int) -> str:
        return flavour.get()

    token = flavour.set("vanilla")
    try:
        assert await stage(look, via=THREADS).collect([1]) == ["vanilla"]
    finally:
        flavour.reset(token)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", [ValueError, StopIteration, KeyError])
async def test_errors_come_back(way: Way, error: type[Exception]) -> None:
    def fail(item: int) -> int:
        if item == 3:
            raise error(item)
        return item

    with way() as via:
        pipeline = stage(fail, via=via, workers=2, on_error=COLLECT)
        async with pipeline.open(range(6)) as run:
            assert [item async for item in run] == [0, 1, 2, 4, 5]
    [failure] = run.failures
    # A coroutine cannot raise StopIteration (PEP 479).
    assert isinstance(failure.error, RuntimeError if error is StopIteration else error)


@pytest.mark.parametrize("way", WAYS)
async def test_leaving_waits_for_calls_that_run_and_makes_no_more(way: Way) -> None:
    go, called, ended = threading.Event(), list[int](), list[int]()

    def work(item: int) -> int:
        called.append(item)
        assert go.wait(30)
        ended.append(item)
        return item

    async def let_go() -> None:
        await anyio.sleep(0.02)
        go.set()

    with way() as via:
        async with anyio.create_task_group() as group:
            async with stage(work, via=via, workers=2).open(range(100)) as run:
                await until(lambda: len(called) == 2)
                group.start_soon(let_go)
            assert sorted(ended) == sorted(called)
            assert len(called) <= 4
    account = run.report.stages[0]
    assert (account.inside, account.out) == (0, 0)
    assert account.cancelled == account.entered


@on_asyncio
@pytest.mark.parametrize("way", WAYS)
async def test_cancelled_natively_and_twice_it_waits_for_its_threads(way: Way) -> None:
    go, called = threading.Event(), list[int]()

    def work(item: int) -> int:
        called.append(item)
        assert go.wait(30)
        return item

    with way() as via:
        task = asyncio.create_task(stage(work, via=via, workers=2).collect(range(100)))
        await until(lambda: len(called) == 2)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0.005)
            assert not task.done()
        go.set()
        await asyncio.wait([task], timeout=30)
    assert task.cancelled()


# -------------------------------------------------------------- plain code


async def add(item: int) -> int:
    await anyio.lowlevel.checkpoint()
    return item + 1


BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@BACKENDS
def test_run_sync(backend: str) -> None:
    assert stage(add, workers=2).run_sync(range(50), backend=backend).delivered == 50


@BACKENDS
@pytest.mark.parametrize("size", [0, 1, 64, 500])
def test_iter_sync(backend: str, size: int) -> None:
    results = stage(add, workers=2).iter_sync(range(size), backend=backend)
    assert list(results) == list(range(1, size + 1))


async def test_a_function_in_a_thread_may_run_a_loop_of_its_own() -> None:
    def total(size: int) -> int:
        report = stage(add).run_sync(range(size))
        return report.delivered + len(list(stage(add).iter_sync(range(size))))

    assert await stage(total, via=THREADS, workers=2).collect([1, 2, 3]) == [2, 4, 6]
    assert await anyio.to_thread.run_sync(total, 3) == 6


async def test_iter_sync_does_not_block_an_event_loop() -> None:
    with pytest.raises(RuntimeError, match=r"would block the event loop here: use open\(\)"):
        next(stage(add).iter_sync(range(3)))


@BACKENDS
def test_iter_sync_runs_ahead_no_further_than_it_may(backend: str) -> None:
    drawn: list[int] = []

    def source() -> Iterator[int]:
        for item in range(10_000):
            drawn.append(item)
            yield item

    results = stage(add).iter_sync(source(), backend=backend)
    assert next(results) == 1
    time.sleep(0.05)
    assert len(drawn) < 200 + 2 * 64
    results.close()  # type: ignore[attr-defined]
    assert "iter_sync" not in {thread.name for thread in threading.enumerate()}


@BACKENDS
def test_iter_sync_gives_what_came_before_an_error(backend: str) -> None:
    def fail(item: int) -> int:
        if item == 3:
            raise ValueError(item)
        return item

    results = stage(fail).iter_sync(range(10), backend=backend, unwrap=True)
    got: list[int] = []
    with pytest.raises(ValueError, match="3") as caught:
        got.extend(results)
    assert got in ([0, 1, 2], [0, 1], [0], [])
    assert caught.value.__notes__ == ["in stage 'fail', item: 3"]


async def test_threads_end_though_ctrl_c_came_as_one_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Interrupted(threading.Thread):
        def start(self) -> None:
            super().start()
            raise KeyboardInterrupt

    team = _callers.ThreadTeam(abs, 2, lambda _: None, "stage", True, print, print, print)
    with monkeypatch.context() as patched:
        patched.setattr(_callers, "Thread", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            team._start()
    team._start()
    team.close()
