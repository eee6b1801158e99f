"""What callers, items, inputs and tasks may do wrong: each gets its error, and the pool goes on."""

from __future__ import annotations

import math
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from aconcur import parallel
from aconcur.parallel import COLLECT, Pool, PoolClosed, RemoteError, Results, open_pool
from tests.support import parallel_tasks as tasks
from tests.support.states import BOUND


async def usable(pool: Pool) -> bool:
    """Return whether a pool still does all that it is asked for."""
    with anyio.fail_after(60):
        return await pool.map(tasks.square, range(100)).collect() == [n * n for n in range(100)]


class Stop(BaseException):
    """No Exception."""


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, Stop])
async def test_an_input_that_raises_no_exception_raises_it_where_results_are_asked_for(
    pool: Pool, error: type[BaseException]
) -> None:
    def source() -> Iterator[int]:
        yield from range(20)
        raise error("mine")

    caught: list[BaseException] = []
    with anyio.fail_after(60):
        try:
            async for _ in pool.map(tasks.square, source(), buffer=5):
                pass
        except BaseException as raised:  # noqa: ASYNC103, BLE001 - looked at below
            caught.append(raised)
    assert [type(one) for one in caught] == [error]
    assert await usable(pool)


@pytest.mark.parametrize("function", [tasks.pid_of, tasks.return_later])
@pytest.mark.parametrize("error", [KeyboardInterrupt, Stop])
async def test_an_item_whose_pickling_raises_no_exception_ends_the_map(
    pool: Pool, error: type[BaseException], function: Callable[[object], Any]
) -> None:
    items = [*range(30), tasks.Interrupts(error("mine"))]
    caught: list[BaseException] = []
    with anyio.fail_after(60):
        try:
            await pool.map(function, items, on_error=COLLECT).collect()
        except BaseException as raised:  # noqa: ASYNC103, BLE001 - looked at below
            caught.append(raised)
    assert [type(one) for one in caught] == [error]
    assert await usable(pool)


async def test_over_an_executor_it_is_the_item_s_failure() -> None:
    items = [1, tasks.Interrupts(Stop("mine")), 3]
    with ProcessPoolExecutor(1, get_context("fork")) as executor, anyio.fail_after(60):
        results = parallel.map(tasks.pid_of, items, executor=executor, on_error=COLLECT)
        assert len(await results.collect()) == 2
        (failure,) = results.failures
        assert failure.index == 1
        assert isinstance(failure.error, RemoteError)


async def test_a_result_whose_pickling_raises_no_exception_fails_alone(pool: Pool) -> None:
    results = pool.map(tasks.make_interrupts, range(100), on_error=COLLECT)
    assert await results.collect() == [n for n in range(100) if n != 5]
    assert isinstance(results.failures[0].error, RemoteError)


@pytest.mark.parametrize("over", ["pool", "executor"])
async def test_results_that_cannot_be_pickled_fail_beside_items_that_raise(
    pool: Pool, over: str
) -> None:
    with ProcessPoolExecutor(1, get_context("fork")) as executor, anyio.fail_after(BOUND):
        results = parallel.map(
            tasks.return_a_lock_or_fail,
            range(12),
            executor=pool if over == "pool" else executor,
            chunk=12,
            on_error=COLLECT,
        )
        assert await results.collect() == [3, 5, 9, 11]
    failed = [(one.index, type(one.error)) for one in results.failures]
    assert failed == [
        (n, ValueError if n % 3 == 1 else TypeError) for n in range(12) if n not in {3, 5, 9, 11}
    ]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
async def test_a_task_that_raises_no_exception_fails_alone(
    pool: Pool, error: BaseException
) -> None:
    with pytest.raises(RemoteError, match=type(error).__name__):
        await pool.run(tasks.raise_it, error)
    results: Results[object] = pool.map(tasks.raise_it, [error], on_error=COLLECT)
    assert await results.collect() == []
    assert pool.statistics().died == 0
    assert await usable(pool)


async def test_an_error_whose_notes_are_no_list_arrives(pool: Pool) -> None:
    error = ValueError("mine")
    error.__notes__ = "no list"  # type: ignore[assignment]
    with pytest.raises(ValueError, match="mine"):
        await pool.run(tasks.raise_it, error)
    with pytest.raises(ValueError, match="mine"):
        await pool.map(tasks.raise_it, [error]).collect()
    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match="mine"):
        await parallel.map(tasks.raise_it, [error], executor=executor).collect()


async def test_an_error_of_progress_ends_the_map(pool: Pool) -> None:
    def progress(_: int, __: int | None) -> None:
        raise LookupError("no screen")

    with pytest.raises(LookupError, match="no screen"):
        await pool.map(tasks.square, range(10), progress=progress).collect()
    assert await usable(pool)


async def test_what_cannot_be_iterated_over_is_refused(pool: Pool) -> None:
    with pytest.raises(TypeError, match="not iterable"):
        await pool.map(tasks.square, 5).collect()  # type: ignore[call-overload]
    assert pool.statistics().maps == 0


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_map_under_way_ends_with_the_pool(is_async: bool) -> None:
    closed: list[bool] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            number = 0
            while True:
                await checkpoint()
                yield number
                number += 1
        finally:
            closed.append(True)

    async def consume(pool: Pool) -> None:
        items: Any = numbers() if is_async else iter(int, 1)
        with pytest.raises(PoolClosed):  # noqa: PT012 - the loop is what raises
            async for _ in pool.map(tasks.square, items):
                begun.set()

    async with anyio.create_task_group() as group:
        begun = anyio.Event()
        async with open_pool(1, start="fork") as pool:
            group.start_soon(consume, pool)
            await begun.wait()
    assert closed == [True] * is_async


async def test_results_asked_for_after_the_end_of_the_pool() -> None:
    async with open_pool(1, start="fork") as pool:
        results = pool.map(tasks.square, range(3))
    with pytest.raises(PoolClosed):
        await results.collect()


async def test_a_pool_in_a_worker(pool: Pool) -> None:
    assert await pool.run(tasks.map_inside, 5) == [0, 1, 4, 9, 16]


async def test_another_loop_is_refused(pool: Pool) -> None:
    said: list[str] = []

    def elsewhere() -> None:
        for use in (
            lambda: pool.run(math.gcd, 12, 18),
            lambda: pool.map(tasks.square, [1]).collect(),
        ):
            try:
                anyio.run(use)
            except RuntimeError as error:
                said.append(str(error))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    with anyio.fail_after(BOUND):
        while thread.is_alive():
            await anyio.sleep(0.005)
    assert [text.split()[0] for text in said] == ["run()", "map()"]
    assert await usable(pool)


async def test_a_thread_goes_through_the_loop(pool: Pool) -> None:
    def in_thread() -> int:
        return anyio.from_thread.run(pool.run, math.gcd, 12, 18)

    assert await anyio.to_thread.run_sync(in_thread) == 6


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        ({"buffer": 2.5}, TypeError, r"buffer must be a whole number, not 2\.5"),
        ({"chunk": "3"}, TypeError, "chunk must be a whole number, not '3'"),
        ({"timeout": math.nan}, ValueError, "timeout must be more than 0 seconds, not nan"),
        ({"timeout": "1"}, TypeError, "timeout must be a number of seconds, not '1'"),
        ({"retries": None}, TypeError, "retries must be a whole number, not None"),
    ],
)
async def test_options_of_the_wrong_kind(
    pool: Pool, wrong: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        pool.map(tasks.square, [], **wrong)


async def test_workers_of_the_wrong_kind() -> None:
    with pytest.raises(TypeError, match=r"workers must be a whole number, not 1\.5"):
        async with open_pool(1.5):  # type: ignore[arg-type]
            pass
