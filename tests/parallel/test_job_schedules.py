"""The whole of a map, over a crew of tasks, under every schedule and every cancellation.

The schedules differ from the loop's own order in two places; in three on trio, where that takes no
more than a second. Three found nothing more in the long scenarios, and take ten times as long.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Literal, TypeAlias

import anyio
import pytest
from anyio.lowlevel import checkpoint

from aconcur.parallel import COLLECT, SKIP, Results, WorkerDied
from aconcur.parallel._map import results as _results
from aconcur.parallel._map import source as _source
from aconcur.testing import cancel_everywhere, explore
from tests.support.hands import hands

Backend: TypeAlias = Literal["asyncio", "trio"]
Scenario: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


def same(item: int) -> int:
    return item


def odd_fails(item: int) -> int:
    if item % 2:
        raise ValueError(item)
    return item


def second_time() -> Callable[[int], int]:
    """Return a function that fails for each item the first time."""
    seen = set[int]()

    def function(item: int) -> int:
        if item not in seen:
            seen.add(item)
            raise ValueError(item)
        return item

    return function


async def moved(results: Results[int], into: list[int]) -> None:
    async for one in results:
        into.append(one)  # noqa: PERF401 - what came before an error


async def in_order() -> None:
    async with hands() as crew:
        assert await crew.map(same, range(3), chunk=1).collect() == [0, 1, 2]
        assert set(crew.begun.values()) == {1}


async def as_they_come() -> None:
    async with hands() as crew:
        found = [one async for one in crew.map(same, iter(range(3)), chunk=1, ordered=False)]
        assert sorted(found) == [0, 1, 2]
        assert set(crew.begun.values()) == {1}


async def handed_back() -> None:
    async with hands(slow=[0, 2]) as crew:
        assert await crew.map(same, iter(range(4)), chunk=3).collect() == [0, 1, 2, 3]
        assert set(crew.begun.values()) == {1}


async def taken_back() -> None:
    async with hands() as crew, anyio.create_task_group() as group:
        group.start_soon(crew.take_back, 1)
        found: list[int] = []
        await moved(crew.map(same, iter(range(3)), chunk=3), found)
        assert found == [0, 1, 2]
        assert set(crew.begun.values()) == {1}


async def dead_over_an_item() -> None:
    async with hands(deadly={1: 9}) as crew:
        results = crew.map(same, range(3), chunk=3, on_error=COLLECT)
        assert await results.collect() == [0, 2]
        (failure,) = results.failures
        assert isinstance(failure.error, WorkerDied)
        assert (failure.index, failure.error.signal) == (1, 9)


async def dead_while_taken_back() -> None:
    async with hands(deadly={1: 9}) as crew, anyio.create_task_group() as group:
        group.start_soon(crew.take_back, 1)
        results = crew.map(same, iter(range(2)), chunk=2, on_error=COLLECT)
        found: list[int] = []
        await moved(results, found)
        assert found == [0]
        assert [failure.index for failure in results.failures] == [1]


async def dead_before_it_began() -> None:
    async with hands(unseen={0: 4}) as crew:
        results = crew.map(same, range(3), chunk=2, on_error=COLLECT)
        found = await results.collect()
        failed = [failure.index for failure in results.failures]
        assert sorted(found + failed) == [0, 1, 2]
        assert failed in ([], [0])


async def tried_again() -> None:
    async with hands() as crew:
        results = crew.map(second_time(), range(2), chunk=2, retries=1)
        assert await results.collect() == [0, 1]
        assert set(crew.begun.values()) == {2}


async def ended_by_an_item() -> None:
    found: list[int] = []
    async with hands() as crew:
        with pytest.raises(ValueError, match="1"):
            await moved(crew.map(odd_fails, range(4), chunk=1), found)
        assert found == [0]


async def failures_left_out() -> None:
    async with hands() as crew:
        results = crew.map(odd_fails, range(3), chunk=2, on_error=SKIP)
        assert await results.collect() == [0, 2]
        assert not results.failures


async def failures_kept() -> None:
    async with hands() as crew:
        results = crew.map(odd_fails, range(4), chunk=2, on_error=COLLECT)
        assert await results.collect() == [0, 2]
        assert [failure.index for failure in results.failures] == [1, 3]


async def fed_and_closed() -> None:
    closed: list[bool] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(2):
                await checkpoint()
                yield number
        finally:
            closed.append(True)

    async with hands() as crew:
        assert await crew.map(same, numbers(), chunk=1, buffer=1).collect() == [0, 1]
    assert closed == [True]


async def fed_until_it_fails() -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 0
        await checkpoint()
        yield 1
        raise LookupError("no third")

    found: list[int] = []
    async with hands() as crew:
        with pytest.raises(LookupError, match="no third"):
            await moved(crew.map(same, numbers(), chunk=1), found)
    assert found == [0, 1]


async def within_the_buffer() -> None:
    drawn, taken = 0, 0

    def source() -> Iterator[int]:
        nonlocal drawn
        while drawn < 3:
            drawn += 1
            # The consumer counts one as taken when it asks for the next.
            assert drawn - taken <= 2
            yield drawn

    async with hands() as crew:
        async for one in crew.map(same, source(), chunk=1, buffer=1):
            await checkpoint()
            taken = one
    assert taken == 3


async def left_by_a_break() -> None:
    async with hands() as crew:
        async for one in crew.map(same, range(9), chunk=1, buffer=3):
            assert one == 0
            break
        assert not crew.job.open
        assert crew.job.next_chunk() is None


async def cancelled_by_another() -> None:
    closed = anyio.Event()

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(2):
                yield number
                await checkpoint()
        finally:
            closed.set()

    found: list[int] = []
    async with hands() as crew:
        async with anyio.create_task_group() as group:
            group.start_soon(moved, crew.map(same, numbers(), chunk=1, buffer=2), found)
            await checkpoint()
            group.cancel_scope.cancel()
        if hasattr(crew, "job"):
            assert not crew.job.open
            assert found == list(range(len(found)))


SCENARIOS: list[Scenario] = [
    in_order,
    as_they_come,
    handed_back,
    taken_back,
    dead_over_an_item,
    dead_while_taken_back,
    dead_before_it_began,
    tried_again,
    ended_by_an_item,
    failures_left_out,
    failures_kept,
    fed_and_closed,
    fed_until_it_fails,
    within_the_buffer,
    left_by_a_break,
    cancelled_by_another,
]

SHORT = [in_order, failures_left_out, failures_kept, fed_and_closed, within_the_buffer]


@pytest.fixture(autouse=True)
def no_turn_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody pause because time has passed: a schedule must not depend on the clock."""
    monkeypatch.setattr(_source, "_PULL", 1e9)
    monkeypatch.setattr(_results, "_HOLD", 1e9)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_under_every_schedule(scenario: Scenario, backend: Backend) -> None:
    found = explore(
        scenario, backend=backend, bound=3 if backend == "trio" and scenario in SHORT else 2
    )
    found.check()
    assert found.exhausted


# uvloop runs these tasks as asyncio does: nothing here waits for the system.
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    "scenario",
    [
        handed_back,
        taken_back,
        dead_over_an_item,
        tried_again,
        ended_by_an_item,
        fed_and_closed,
        within_the_buffer,
        cancelled_by_another,
    ],
)
def test_cancelled_at_any_step_nothing_is_left(scenario: Scenario, backend: Backend) -> None:
    # Nothing here takes time, but a busy machine may.
    cancel_everywhere(scenario, backend=backend, grace=1.0).check()
