"""``parallel.map`` over executors: any of them, lazily, in order, and honest about their ends."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeAlias

import anyio
import pytest
from anyio.lowlevel import checkpoint

from aconcur import parallel
from aconcur.parallel import COLLECT, SKIP, ExecutorBroken, Failure, RemoteError, RemoteTraceback
from aconcur.testing import cancel_everywhere, explore
from tests.support import item41_jobs as jobs
from tests.support import parallel_jobs as work
from tests.support.states import BOUND

pytestmark = pytest.mark.usefixtures("light_main_module")
Backend: TypeAlias = Literal["asyncio", "trio"]


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, get_context("spawn")) as executor:
        list(executor.map(abs, range(4)))
        yield executor


@pytest.fixture
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture(params=["threads", "processes"])
def executor(request: pytest.FixtureRequest, threads: Executor, processes: Executor) -> Executor:
    return threads if request.param == "threads" else processes


async def move(results: AsyncIterable[Any], into: list[Any]) -> None:
    """Keep what came, also when an error ends it."""
    async for one in results:
        into.append(one)  # noqa: PERF401


class Inline(Executor):
    """Calls in submit() itself: nothing is left to any schedule but the loop's."""

    def submit(self, fn: Callable[..., Any], /, *args: object, **options: object) -> Future[Any]:
        future = Future[Any]()
        try:
            future.set_result(fn(*args, **options))
        except BaseException as error:  # noqa: ASYNC103, BLE001 - as an executor does
            future.set_exception(error)
        return future


class Held(Executor):
    """Calls when it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: object, **options: object) -> Future[Any]:
        assert not args
        assert not options
        future = Future[Any]()
        self.calls.append((future, fn))
        return future

    def release(self) -> None:
        for future, call in [*self.calls]:
            self.calls.remove((future, call))
            if future.set_running_or_notify_cancel():
                future.set_result(call())


# --- what every executor gives


async def test_results_stand_in_the_order_of_the_items(executor: Executor) -> None:
    pairs = [(6 * n, 4 * n) for n in range(1, 3000)]
    found = [one async for one in parallel.map(work.gcd, pairs, executor=executor)]
    assert found == [math.gcd(*pair) for pair in pairs]


async def test_as_they_come_nothing_is_lost(executor: Executor) -> None:
    pairs = zip(range(1, 999), range(2, 1000), strict=True)
    results = parallel.map(work.gcd, pairs, executor=executor, ordered=False)
    assert await results.collect() == [1] * 998


async def test_no_items_no_results(executor: Executor) -> None:
    assert await parallel.map(work.gcd, [], executor=executor).collect() == []


async def test_an_early_result_waits_for_its_turn_or_does_not(
    executor: Executor, tmp_path: Path
) -> None:
    # The first call ends when the second has begun.
    for ordered in (True, False):
        first, second, go = (str(tmp_path / f"{name} {ordered}") for name in ("a", "b", "go"))
        came = []
        results = parallel.map(
            jobs.relay,
            [(first, go), (second, second)],
            executor=executor,
            ordered=ordered,
            chunk=1,
            progress=lambda *_: Path(go).touch(),  # noqa: B023 - called before the next turn
        )
        if ordered:
            Path(go).touch()
        async for one in results:
            came.append(one)
            Path(go).touch()
        assert came == ([first, second] if ordered else [second, first])


async def test_endless_input_is_drawn_as_results_are_taken(executor: Executor) -> None:
    numbers = itertools.count()
    async for one in parallel.map(abs, numbers, executor=executor, buffer=50):
        if one == 500:
            break
    # What is ahead, and the chunk that is being handed out.
    assert 500 < next(numbers) <= 601


async def test_nothing_is_drawn_before_it_is_asked_for(threads: Executor) -> None:
    numbers = iter(range(9))
    parallel.map(abs, numbers, executor=threads)
    await checkpoint()
    assert next(numbers) == 0


async def test_async_input_comes_item_by_item_and_is_closed(executor: Executor) -> None:
    closed = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for n in itertools.count():
                await checkpoint()
                yield n
        finally:
            closed.append(True)

    found = []
    async for one in parallel.map(abs, numbers(), executor=executor, buffer=20):
        found.append(one)
        if one == 99:
            break
    assert found == list(range(100))
    with anyio.fail_after(BOUND):
        while not closed:
            await checkpoint()


async def test_an_async_input_may_wait_for_a_result(executor: Executor) -> None:
    had = [0]

    async def answers_to_itself() -> AsyncIterator[int]:
        while had[-1] < 20:
            asked = had[-1] + 1
            yield asked
            with anyio.fail_after(BOUND):
                while had[-1] < asked:
                    await checkpoint()

    await move(parallel.map(abs, answers_to_itself(), executor=executor), had)
    assert had == list(range(21))


async def test_the_input_s_error_comes_after_what_came_before(executor: Executor) -> None:
    def two_then() -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("no third")

    found: list[int] = []
    with pytest.raises(LookupError, match="no third"):
        await move(parallel.map(abs, two_then(), executor=executor), found)
    assert found == [1, 2]


async def test_large_items_and_results_are_whole(executor: Executor) -> None:
    items = [bytes([n]) * 300_000 for n in range(6)]
    assert await parallel.map(work.doubled, items, executor=executor).collect() == [
        item + item for item in items
    ]


async def test_progress_hears_of_the_end(executor: Executor) -> None:
    heard: list[tuple[int, int | None]] = []
    results = parallel.map(
        abs, range(30), executor=executor, progress=lambda *said: heard.append(said)
    )
    await results.collect()
    assert heard[-1] == (30, 30)


# --- errors


async def test_an_error_keeps_type_and_attributes_and_names_its_item(executor: Executor) -> None:
    found: list[int] = []
    with pytest.raises(work.PickyError) as caught:
        await move(parallel.map(work.picky, range(40), executor=executor), found)
    assert found == list(range(13))
    assert (caught.value.args, caught.value.code) == (("thirteen",), 13)
    assert caught.value.__notes__ == ["in picky at item 13: 13"]
    if isinstance(executor, ProcessPoolExecutor):
        cause = caught.value.__cause__
        assert isinstance(cause, RemoteTraceback)
        assert (cause.index, cause.item) == (13, 13)
        assert "raise PickyError" in str(cause)


async def test_a_thread_s_error_is_the_object_itself(threads: Executor) -> None:
    error = ValueError("mine")

    def fail(_: int) -> NoReturn:
        raise error

    with pytest.raises(ValueError, match="mine") as caught:
        await parallel.map(fail, [1], executor=threads).collect()
    assert caught.value is error


async def test_failed_items_are_collected_or_skipped(executor: Executor) -> None:
    for reaction in (COLLECT, SKIP):
        results = parallel.map(work.odd_fails, range(100), executor=executor, on_error=reaction)
        assert await results.collect() == list(range(0, 100, 2))
        kept = [(one.item, one.index, str(one.error), one.attempts) for one in results.failures]
        odd = range(1, 100, 2) if reaction is COLLECT else ()
        assert sorted(kept) == [(n, n, f"{n} is odd", 1) for n in odd]
    assert all(isinstance(one, Failure) for one in results.failures)


async def test_a_failed_item_is_tried_again(executor: Executor, tmp_path: Path) -> None:
    paths = [str(tmp_path / str(n)) for n in range(5)]
    assert (
        await parallel.map(work.second_time, paths, executor=executor, retries=1).collect() == paths
    )
    with pytest.raises(FileNotFoundError):
        await parallel.map(work.second_time, [f"{paths[0]} new"], executor=executor).collect()


async def test_what_leaves_is_no_exit_here(executor: Executor) -> None:
    with pytest.raises(RemoteError, match="SystemExit: 3"):
        await parallel.map(sys.exit, [3], executor=executor).collect()


async def test_only_what_cannot_travel_fails(processes: Executor) -> None:
    items = [1, threading.Lock(), 3, lambda: None, work.Unreadable(), 6]
    results = parallel.map(work.kind, items, executor=processes, on_error=COLLECT)
    assert await results.collect() == ["int", "int", "int"]
    assert sorted(failure.index for failure in results.failures) == [1, 3, 4]
    # The executor is as good as before.
    assert await parallel.map(abs, [-1], executor=processes).collect() == [1]


async def test_only_results_that_cannot_travel_fail(processes: Executor) -> None:
    results = parallel.map(
        work.what, ["lock", "number", "unreadable"], executor=processes, on_error=COLLECT
    )
    assert await results.collect() == [7]
    assert sorted(failure.index for failure in results.failures) == [0, 2]


async def test_a_closure_goes_to_processes_too(processes: Executor) -> None:
    by = 3
    assert await parallel.map(lambda n: n * by, range(5), executor=processes).collect() == [
        0,
        3,
        6,
        9,
        12,
    ]


LOKY = """
import anyio, loky
from aconcur import parallel

async def main():
    print(*await parallel.map(abs, range(-9, 0), executor=executor).collect())

if __name__ == "__main__":
    executor = loky.ProcessPoolExecutor(2)
    anyio.run(main)
    executor.shutdown()
"""


def test_loky_s_executor_will_do() -> None:
    # In a process of its own: loky leaves a tracker behind.
    done = subprocess.run(
        [sys.executable, "-c", LOKY], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("9 8 7 6 5 4 3 2 1\n", "")


# --- the executor's end


async def test_a_dead_worker_is_an_error_that_says_what_was_in_flight() -> None:
    found: list[int] = []
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        results = parallel.map(work.deadly, range(20), executor=executor, chunk=1)
        with pytest.raises(ExecutorBroken) as caught:
            await move(results, found)
    error = caught.value
    assert isinstance(error, BrokenExecutor)
    assert found == list(range(13))
    assert error.delivered == 13
    assert error.in_flight[13] == 13
    assert min(error.in_flight) == 13
    assert "13 results were delivered" in str(error)
    assert "(13: 13" in str(error)
    assert "open_pool" in str(error)


async def test_an_executor_that_was_shut_down_says_so() -> None:
    with ThreadPoolExecutor(1) as executor:
        pass
    with pytest.raises(ExecutorBroken, match="after shutdown"):
        await parallel.map(abs, [1], executor=executor).collect()


async def test_calls_that_somebody_calls_off_end_the_map() -> None:
    executor = Held()

    async def collect() -> None:
        with pytest.raises(ExecutorBroken, match="cancelled a waiting call"):
            await parallel.map(abs, [1], executor=executor).collect()

    async with anyio.create_task_group() as group:
        group.start_soon(collect)
        with anyio.fail_after(BOUND):
            while not executor.calls:
                await checkpoint()
        future, _ = executor.calls[0]
        future.cancel()


async def test_the_executor_stays_open(executor: Executor) -> None:
    async for _ in parallel.map(abs, range(100), executor=executor):
        break
    assert executor.submit(abs, -1).result() == 1


# --- leaving


async def test_a_break_calls_off_what_has_not_begun() -> None:
    executor = Held()

    async def left() -> None:
        async for _ in parallel.map(abs, range(100), executor=executor, chunk=2, workers=2):
            break

    async with anyio.create_task_group() as group:
        group.start_soon(left)
        with anyio.fail_after(BOUND):
            while not executor.calls:
                await checkpoint()
        executor.calls[0][0].set_running_or_notify_cancel()
        executor.calls[0][0].set_result(executor.calls[0][1]())
        del executor.calls[0]
        await anyio.wait_all_tasks_blocked()
    assert executor.calls
    assert all(future.cancelled() for future, _ in executor.calls)


async def test_a_cancelled_map_calls_off_what_has_not_begun() -> None:
    executor = Held()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(parallel.map(abs, range(9), executor=executor, workers=3).collect)
            with anyio.fail_after(BOUND):
                while not executor.calls:
                    await checkpoint()
            scope.cancel()
    assert [future.cancelled() for future, _ in executor.calls] == [True] * len(executor.calls)


async def test_threads_begin_no_further_item_when_the_map_is_left() -> None:
    begun, go = threading.Event(), threading.Event()
    called = []

    def wait(item: int) -> int:
        called.append(item)
        begun.set()
        go.wait(20)
        return item

    with ThreadPoolExecutor(1) as executor, anyio.CancelScope() as scope:
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(parallel.map(wait, range(50), executor=executor, chunk=50).collect)
                await anyio.to_thread.run_sync(begun.wait)
                scope.cancel()
        finally:
            go.set()
    assert called == [0]


# --- what is refused


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"chunk": 0}, ValueError, "chunk must be at least 1, not 0"),
        ({"buffer": 0}, ValueError, "buffer must be at least 1, not 0"),
        ({"retries": -1}, ValueError, "retries must be at least 0, not -1"),
        ({"workers": 0}, ValueError, "workers must be at least 1, not 0"),
        ({"on_error": "skip"}, TypeError, "on_error must be RAISE, SKIP or COLLECT, not 'skip'"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        parallel.map(abs, [1], executor=Inline(), **options)


def test_a_coroutine_function_is_refused() -> None:
    async def fn(_: int) -> None: ...

    with pytest.raises(TypeError, match="is a coroutine function"):
        parallel.map(fn, [1], executor=Inline())


# --- every schedule, every cancellation


async def all_in_order() -> None:
    found = [one async for one in parallel.map(abs, range(5), executor=Inline(), chunk=2, buffer=4)]
    assert found == list(range(5))


async def fed_by_a_task() -> None:
    async def numbers() -> AsyncIterator[int]:
        for n in range(4):
            await checkpoint()
            yield n

    results = parallel.map(abs, numbers(), executor=Inline(), buffer=2, workers=1)
    assert await results.collect() == [0, 1, 2, 3]


async def released_by_another() -> None:
    executor = Held()
    found: list[int] = []

    async def consume() -> None:
        await move(parallel.map(abs, range(3), executor=executor, chunk=1, workers=2), found)

    async with anyio.create_task_group() as group:
        group.start_soon(consume)
        while len(found) < 3:
            await checkpoint()
            executor.release()
    assert found == [0, 1, 2]


async def failing_in_the_middle() -> None:
    found: list[int] = []
    with suppress(ValueError):
        await move(parallel.map(work.odd_fails, range(4), executor=Inline(), chunk=1), found)
    assert found == [0]


async def left_early() -> None:
    async for _ in parallel.map(abs, itertools.count(), executor=Inline(), buffer=4):
        break


async def over_threads() -> None:
    with ThreadPoolExecutor(2) as executor:
        results = parallel.map(abs, range(20), executor=executor, chunk=3)
        assert await results.collect() == list(range(20))


SCENARIOS = [all_in_order, fed_by_a_task, released_by_another, failing_in_the_middle, left_early]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_under_every_schedule(scenario: Any, backend: Backend) -> None:  # noqa: ANN401
    found = explore(scenario, backend=backend, bound=2, schedules=20_000)
    found.check()
    assert found.exhausted


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("scenario", [*SCENARIOS, over_threads])
def test_cancelled_at_any_step_nothing_is_left(scenario: Any, backend: Backend) -> None:  # noqa: ANN401
    # Nothing here takes time, but a busy machine may.
    cancel_everywhere(scenario, backend=backend, grace=1.0).check()
