"""Items that fail: retried, raised, skipped, collected, handed on; on time or not."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aconcur.pipeline import COLLECT, SKIP, Failure, ItemCancelledError, Queue, Retry, stage
from tests.support.states import until


async def same(item: int) -> int:
    return item


async def half(item: int) -> int:
    await anyio.lowlevel.checkpoint()
    if item % 2:
        raise ValueError(f"{item} is odd")
    return item // 2


@pytest.mark.parametrize("workers", [1, 3])
async def test_the_original_error_with_item_and_stage(workers: int) -> None:
    with pytest.raises(ExceptionGroup) as caught:  # noqa: ASYNC401
        await stage(same).map(half, workers=workers, name="halve").collect([2, 4, 5])
    [error] = caught.value.exceptions
    assert isinstance(error, ValueError)
    assert error.__notes__ == ["in stage 'halve', item: 5"]
    assert error.__traceback__ is not None


async def test_a_single_error_can_come_bare() -> None:
    with pytest.raises(ValueError, match="1 is odd"):
        await stage(half).collect([1], unwrap=True)


@pytest.mark.parametrize("unwrap", [False, True])
async def test_simultaneous_errors_all_come(unwrap: bool) -> None:
    begun: list[int] = []

    async def fail(item: int) -> int:
        begun.append(item)
        try:
            await until(lambda: len(begun) == 3)
            if item:
                await anyio.sleep_forever()
        finally:
            raise ValueError(item)

    with pytest.raises(ExceptionGroup) as caught:  # noqa: ASYNC401
        await stage(fail, workers=3).collect(range(3), unwrap=unwrap)
    assert sorted(error.args[0] for error in caught.value.exceptions) == [0, 1, 2]


async def test_an_item_whose_repr_fails() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    def fail(_: object) -> None:
        raise KeyError

    with pytest.raises(KeyError) as caught:
        await stage(fail).collect([Broken()], unwrap=True)
    assert "Broken" in caught.value.__notes__[0]


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("ordered", [False, True])
async def test_skip(workers: int, ordered: bool) -> None:
    pipeline = stage(half, workers=workers, ordered=ordered, on_error=SKIP)
    async with pipeline.open(range(100)) as run:
        assert sorted([item async for item in run]) == list(range(50))
    account = run.report.stages[0]
    assert (account.entered, account.out, account.failed, run.failures) == (100, 50, 50, ())


@pytest.mark.parametrize("workers", [1, 4])
async def test_collect(workers: int) -> None:
    async with stage(half, workers=workers, on_error=COLLECT).open(range(10)) as run:
        assert [item async for item in run] == list(range(5))
    assert sorted(failure.item for failure in run.failures) == [1, 3, 5, 7, 9]
    assert {failure.stage for failure in run.failures} == {"half"}
    assert {failure.attempts for failure in run.failures} == {1}
    assert {type(failure.error) for failure in run.failures} == {ValueError}


async def test_a_function_that_is_told() -> None:
    told: list[Any] = []

    async def tell(failure: Failure) -> None:
        await anyio.lowlevel.checkpoint()
        told.append(failure.item)

    for reaction in (lambda failure: told.append(failure.item), tell):
        assert await stage(half, workers=2, on_error=reaction).collect(range(6)) == [0, 1, 2]
    assert sorted(told) == [1, 1, 3, 3, 5, 5]


async def test_a_function_that_fails_itself_ends_the_run() -> None:
    def fail(_: Failure) -> None:
        raise KeyError("told")

    with pytest.raises(KeyError):
        await stage(half, on_error=fail).collect([1], unwrap=True)


async def test_a_queue_of_failures() -> None:
    dead = Queue[Failure]()
    assert await stage(half, workers=2, on_error=dead).collect(range(6)) == [0, 1, 2]
    assert sorted(failure.item for failure in await dead.get_many()) == [1, 3, 5]


async def test_failures_count_while_a_full_queue_holds_the_worker() -> None:
    dead = Queue[Failure](1)
    async with stage(half, on_error=dead).open([1, 3, 5, 2]) as run:
        later = dead.consumer()
        await anyio.wait_all_tasks_blocked()
        account = run.report.stages[0]
        assert (account.failed, account.inside) == (1, 1)
        assert (await dead.get()).item == 1
        assert (await dead.get()).item == 3
        assert (await dead.get()).item == 5
        with later:
            pass
        assert [item async for item in run] == [1]


# ----------------------------------------------------------------- retries


async def test_tried_again_until_it_works() -> None:
    tries: dict[int, int] = {}

    async def work(item: int) -> int:
        tries[item] = tries.get(item, 0) + 1
        if tries[item] <= item:
            raise OSError(item)
        return item

    retry = Retry(4, backoff=0.0001)
    async with stage(work, workers=2, retry=retry, on_error=COLLECT).open(range(6)) as run:
        assert [item async for item in run] == [0, 1, 2, 3]
    assert tries == {0: 1, 1: 2, 2: 3, 3: 4, 4: 4, 5: 4}
    assert {(f.item, f.attempts) for f in run.failures} == {(4, 4), (5, 4)}


async def test_not_every_error_is_tried_again() -> None:
    tried: list[int] = []

    async def work(item: int) -> int:
        tried.append(item)
        raise KeyError(item)

    with pytest.raises(KeyError) as caught:
        await stage(work, retry=Retry(on=OSError)).collect([1], unwrap=True)
    assert tried == [1]
    assert caught.value.__notes__ == ["in stage 'work', item: 1"]


async def test_the_note_says_how_often() -> None:
    with pytest.raises(ValueError, match="1 is odd") as caught:
        await stage(half, retry=Retry(2, backoff=0)).collect([1], unwrap=True)
    assert caught.value.__notes__ == ["in stage 'half' at attempt 2, item: 1"]


# ---------------------------------------------------------------- timeouts


async def slow_if_odd(item: int) -> int:
    if item % 2:
        await anyio.sleep_forever()
    return item


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("ordered", [False, True])
async def test_an_item_that_takes_too_long_fails(workers: int, ordered: bool) -> None:
    pipeline = stage(
        slow_if_odd, workers=workers, ordered=ordered, timeout=0.01, on_error=COLLECT
    ).map(same)
    async with pipeline.open(range(10)) as run:
        assert sorted([item async for item in run]) == [0, 2, 4, 6, 8]
    assert sorted(failure.item for failure in run.failures) == [1, 3, 5, 7, 9]
    assert {type(failure.error) for failure in run.failures} == {TimeoutError}
    assert run.report.stages[0].cancelled == 0


async def test_late_and_tried_again() -> None:
    tried: list[int] = []

    async def work(item: int) -> int:
        tried.append(item)
        if len(tried) == 1:
            await anyio.sleep_forever()
        return item

    pipeline = stage(work, timeout=0.01, retry=Retry(2, backoff=0))
    assert await pipeline.collect([7]) == [7]
    assert tried == [7, 7]


async def test_who_ignores_the_timeout_has_a_result() -> None:
    async def work(item: int) -> int:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.05)
        return item

    assert await stage(work, timeout=0.01, on_error=SKIP).map(same).collect([1, 2]) in ([1, 2], [])


async def test_who_makes_an_error_of_the_timeout_has_that_error() -> None:
    async def work(_: int) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise KeyError("mine")

    async with stage(work, timeout=0.01, on_error=COLLECT).open([1, 2]) as run:
        assert [item async for item in run] == []
    assert [type(failure.error) for failure in run.failures] == [KeyError, KeyError]


async def test_a_group_of_tasks_that_takes_too_long() -> None:
    async def work(item: int) -> int:
        async with anyio.create_task_group() as group:
            if item:
                group.start_soon(anyio.sleep_forever)
        return item

    pipeline = stage(work, timeout=0.01, workers=2, retry=Retry(2, backoff=0), on_error=COLLECT)
    async with pipeline.open([1, 0, 1, 0]) as run:
        assert [item async for item in run] == [0, 0]
    assert {type(failure.error) for failure in run.failures} == {TimeoutError}


async def test_cancelled_while_it_times() -> None:
    for steps in range(20):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(cancel_after, steps, scope)
                await stage(slow_if_odd, timeout=60, workers=2).collect(range(10))
            pytest.fail("it cannot end")
        assert scope.cancelled_caught


async def cancel_after(steps: int, scope: anyio.CancelScope) -> None:
    for _ in range(steps):
        await anyio.lowlevel.checkpoint()
    scope.cancel()


async def test_no_timeout_for_what_cannot_be_stopped() -> None:
    from aconcur.pipeline import THREADS

    with pytest.raises(ValueError, match="cannot stop a blocking function"):
        stage(str, via=THREADS, timeout=1)


# ----------------------------------------------- cancellations of others


@pytest.mark.parametrize("workers", [1, 3])
async def test_what_was_cancelled_by_others_is_a_failure(workers: int) -> None:
    async def work(item: int) -> int:
        await anyio.lowlevel.checkpoint()
        if item == 1:
            raise asyncio.CancelledError
        return item

    async with stage(work, workers=workers, on_error=COLLECT).open(range(3)) as run:
        assert [item async for item in run] == [0, 2]
    [failure] = run.failures
    assert isinstance(failure.error, ItemCancelledError)
    assert isinstance(failure.error.__cause__, asyncio.CancelledError)
