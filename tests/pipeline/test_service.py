"""A pipeline that serves callers: each item's result or error comes to its caller."""

from __future__ import annotations

from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest

from aconcur.pipeline import COLLECT, THREADS, Limiter, Retry, Service, ServiceClosed, stage
from aconcur.testing import cancel_everywhere, explore
from tests.support.states import BOUND, until


async def double(item: int) -> int:
    await anyio.lowlevel.checkpoint()
    return 2 * item


async def minus(item: int) -> int:
    if item == 6:
        raise KeyError(item)
    return -item


async def submitted(service: Service[int, int], items: list[int]) -> dict[int, int | Exception]:
    """Submit all at once; return what came of each."""
    found: dict[int, int | Exception] = {}

    async def submit(item: int) -> None:
        try:
            found[item] = await service.submit(item)
        except Exception as error:  # noqa: BLE001 - compared by the tests
            found[item] = error

    async with anyio.create_task_group() as group:
        for item in items:
            group.start_soon(submit, item)
    return found


@pytest.mark.parametrize("workers", [1, 3])
async def test_each_caller_gets_its_own_result(workers: int) -> None:
    pipeline = stage(double, workers=workers).map(str, via=THREADS, workers=2).map(int)
    async with pipeline.serve() as service:
        found = await submitted(service, [*range(50)])
    assert found == {item: 2 * item for item in range(50)}
    assert [account.out for account in service.report.stages] == [50, 50, 50]
    assert service.waiting == 0


async def test_an_error_is_its_callers_and_the_run_goes_on() -> None:
    async with stage(double, workers=2).map(minus, retry=Retry(2, delay=0.001)).serve() as service:
        found = await submitted(service, [1, 3, 5])
        assert (found[1], found[5]) == (-2, -10)
        error = found[3]
        assert isinstance(error, KeyError)
        assert error.__notes__ == ["in stage 'minus' at attempt 2, item: 6"]
        assert await service.submit(2) == -4
    account = service.report.stages[1]
    assert (account.out, account.failed, account.inside) == (3, 1, 0)


async def test_what_else_is_to_be_done_with_a_failure_is_done() -> None:
    async with stage(minus, on_error=COLLECT).serve() as service:
        with pytest.raises(KeyError):
            await service.submit(6)
        assert [failure.item for failure in service.failures] == [6]


async def test_a_slow_item_does_not_hold_up_the_others() -> None:
    release = anyio.Event()

    async def work(item: int) -> int:
        if item == 0:
            await release.wait()
        return item

    async with (
        stage(work, workers=2).map(double).serve() as service,
        anyio.create_task_group() as group,
    ):
        group.start_soon(service.submit, 0)
        await until(lambda: service.waiting == 1)
        with anyio.move_on_after(BOUND / 4) as others:
            assert await service.submit(1) == 2
        release.set()
        assert not others.cancelled_caught


async def test_an_item_that_is_given_up_is_not_begun_or_goes_no_further() -> None:
    release, begun, ended = anyio.Event(), list[int](), list[int]()

    async def work(item: int) -> int:
        begun.append(item)
        await release.wait()
        return item

    async def end(item: int) -> int:
        ended.append(item)
        return item

    async with stage(work).map(end).serve() as service:
        async with anyio.create_task_group() as group:
            for item in range(3):
                group.start_soon(service.submit, item)
            await until(lambda: begun)
            await until(lambda: service.waiting == 3)
            group.cancel_scope.cancel()
        assert service.waiting == 0
        release.set()
        assert await service.submit(7) == 7
    assert len(begun) == 2
    assert ended == [7]
    first, last = service.report.stages
    assert (first.out, first.cancelled) == (2, 0)
    assert (last.out, last.cancelled, last.inside) == (1, 1, 0)


async def test_draining_finishes_what_was_submitted_and_takes_no_more() -> None:
    release, found = anyio.Event(), list[int]()

    async def work(item: int) -> int:
        await release.wait()
        return item

    async def submit(service: Service[int, int], item: int) -> None:
        found.append(await service.submit(item))

    async with stage(work).serve() as service, anyio.create_task_group() as group:
        for item in range(3):
            group.start_soon(submit, service, item)
        await until(lambda: service.waiting == 3)
        group.start_soon(service.drain)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(ServiceClosed, match=r"drain\(\) was called"):
            await service.submit(4)
        release.set()
    assert sorted(found) == [0, 1, 2]


async def test_who_waits_is_told_when_the_run_ends() -> None:
    errors = list[ServiceClosed]()

    async def submit(service: Service[int, Any]) -> None:
        try:
            await service.submit(1)
        except ServiceClosed as error:
            errors.append(error)

    async def work(_: int) -> None:
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group, stage(work).serve() as service:
        group.start_soon(submit, service)
        await until(lambda: service.waiting == 1)
    assert [str(error) for error in errors] == ["the run ended before this item was done"]
    with pytest.raises(ServiceClosed, match="the run has ended"):
        await service.submit(2)


async def test_limits_count_for_all_callers() -> None:
    running = most = 0

    async def work(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.lowlevel.checkpoint()
        running -= 1
        return item

    limited = stage(work, workers=8, limiter=Limiter(concurrency=2), key=lambda item: item)
    async with limited.serve() as service:
        assert len(await submitted(service, [*range(20)])) == 20
    assert most == 2


def test_stages_without_one_result_for_each_item_are_refused() -> None:
    for pipeline in (
        stage(double).filter(bool),
        stage(double).flat_map(range),
        stage(double).batch(2),
        stage(double).merge([1]),
        stage(double).rate_limit(5),
    ):
        with pytest.raises(ValueError, match="returns one result for each item, and stage"):
            pipeline.serve()


# -- schedules and cancellation --------------------------------------------------------------------


async def two_callers() -> None:
    service = None
    try:
        async with stage(minus, workers=2).serve() as service:
            found = await submitted(service, [2, 6])
            assert found[2] == -2
            assert isinstance(found[6], KeyError)
            await service.drain()
    finally:
        if service is not None:
            for account in service.report.stages:
                assert account.inside == 0
                done = account.out + account.failed + account.cancelled
                assert account.entered == done


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_each_caller_gets_its_own_under_every_schedule(
    backend: Literal["asyncio", "trio"],
) -> None:
    explore(two_callers, backend=backend, bound=3, schedules=80).check()


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_cancelled_anywhere_the_accounts_add_up(
    backend: Literal["asyncio", "uvloop", "trio"],
) -> None:
    cancel_everywhere(two_callers, backend=backend, grace=1.0).check()
