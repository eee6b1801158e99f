"""What holds for every guarded value, whoever shares it; and what only Guarded promises."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import FrozenInstanceError
from itertools import count
from typing import Any, TypeAlias

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aconcur import AconcurError
from aconcur.lock import (
    AlreadyHeldError,
    CellClosedError,
    Guarded,
    GuardedStatistics,
    NotHeldError,
    OtherLoopError,
    ThreadGuarded,
)
from tests.support.backends import on_asyncio
from tests.support.states import BOUND
from tests.support.threads import Threads

AnyGuarded: TypeAlias = Guarded[Any] | ThreadGuarded[Any]
Kind: TypeAlias = type[Guarded[Any]] | type[ThreadGuarded[Any]]

every_kind = pytest.mark.parametrize("kind", [Guarded, ThreadGuarded])


class BrokenUpdateError(Exception):
    """An error of the test's own."""


def add_one(number: int) -> int:
    return number + 1


async def add_one_slowly(number: int) -> int:
    await checkpoint()
    return number + 1


def broken(_: int) -> int:
    raise BrokenUpdateError


async def broken_slowly(_: int) -> int:
    await checkpoint()
    raise BrokenUpdateError


class Holder:
    """A task that holds the value until it is told to leave."""

    def __init__(self, guarded: AnyGuarded) -> None:
        self._guarded, self._leave = guarded, anyio.Event()

    async def run(self) -> None:
        async with self._guarded:
            await self._leave.wait()

    def leave(self) -> None:
        self._leave.set()


@asynccontextmanager
async def held(guarded: AnyGuarded) -> AsyncIterator[tuple[anyio.abc.TaskGroup, Holder]]:
    """A task group in which another task holds the value; it leaves at the end, at the latest."""
    holder = Holder(guarded)
    with anyio.fail_after(BOUND):
        async with anyio.create_task_group() as group:
            group.start_soon(holder.run, name="the holder")
            await anyio.wait_all_tasks_blocked()
            assert guarded.statistics().holder == "the holder"
            yield group, holder
            holder.leave()


async def assert_free(guarded: AnyGuarded) -> None:
    assert guarded.statistics().holder is None
    assert guarded.statistics().waiting == 0
    with anyio.fail_after(BOUND):
        async with guarded:
            pass


# --- the value and its cell ---


@every_kind
async def test_the_cell_reads_and_writes_the_value(kind: Kind) -> None:
    guarded = kind(1)
    async with guarded as cell:
        assert cell.value == 1
        cell.value += 1
        assert cell.value == 2
    async with guarded as cell:
        assert cell.value == 2


@every_kind
async def test_a_closed_cell_neither_reads_nor_writes(kind: Kind) -> None:
    guarded = kind(1)
    async with guarded as cell:
        pass
    remedy = "^the cell's block has ended: read and write its value inside the block$"
    with pytest.raises(CellClosedError, match=remedy):
        _ = cell.value
    with pytest.raises(CellClosedError, match=remedy):
        cell.value = 5
    assert repr(cell) == "<Cell: closed>"
    assert await guarded.update(add_one) == 2


@every_kind
async def test_a_cell_stays_closed_while_another_is_open(kind: Kind) -> None:
    guarded = kind(1)
    async with guarded as old:
        pass
    async with guarded as new:
        with pytest.raises(CellClosedError):
            old.value = 5
        assert new.value == 1
        assert repr(new) == "<Cell: 1>"


@every_kind
async def test_an_error_in_the_block_frees_the_value_and_closes_the_cell(kind: Kind) -> None:
    guarded = kind(1)
    cells = []

    async def break_off() -> None:
        async with guarded as cell:
            cells.append(cell)
            cell.value = 2
            raise BrokenUpdateError

    with pytest.raises(BrokenUpdateError):
        await break_off()
    with pytest.raises(CellClosedError):
        _ = cells[0].value
    await assert_free(guarded)
    # A block is not a transaction; update() is.
    assert await guarded.update(add_one) == 3


# --- update ---


@every_kind
@pytest.mark.parametrize("fn", [add_one, add_one_slowly])
async def test_update_returns_the_new_value(kind: Kind, fn: Callable[[int], Any]) -> None:
    guarded = kind(1)
    assert await guarded.update(fn) == 2
    assert await guarded.update(fn) == 3
    await assert_free(guarded)


@every_kind
@pytest.mark.parametrize("fn", [broken, broken_slowly])
async def test_an_update_that_raises_changes_nothing(kind: Kind, fn: Callable[[int], Any]) -> None:
    guarded = kind(1)
    with pytest.raises(BrokenUpdateError):
        await guarded.update(fn)
    await assert_free(guarded)
    assert await guarded.update(add_one) == 2


@every_kind
async def test_a_cancelled_update_changes_nothing(kind: Kind) -> None:
    guarded = kind(1)

    async def never(number: int) -> int:
        await anyio.sleep_forever()
        return number + 100

    async with anyio.create_task_group() as group:
        group.start_soon(guarded.update, never)
        await anyio.wait_all_tasks_blocked()
        assert guarded.statistics().holder is not None
        group.cancel_scope.cancel()
    await assert_free(guarded)
    assert await guarded.update(add_one) == 2


@every_kind
async def test_an_update_is_stored_only_when_it_is_whole(kind: Kind) -> None:
    guarded: AnyGuarded = kind(1)
    middle, go_on = anyio.Event(), anyio.Event()

    async def slow(number: int) -> int:
        middle.set()
        await go_on.wait()
        return number + 100

    async with anyio.create_task_group() as group:
        group.start_soon(guarded.update, slow)
        await middle.wait()
        assert guarded._queue.value == 1
        group.start_soon(guarded.update, add_one)
        await anyio.wait_all_tasks_blocked()
        assert guarded._queue.value == 1
        go_on.set()
    assert guarded._queue.value == 102


@every_kind
async def test_updates_that_await_in_their_middle_lose_nothing(kind: Kind) -> None:
    guarded = kind(0)

    async def worker() -> None:
        for _ in range(10):
            await guarded.update(add_one_slowly)

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(worker)
    assert await guarded.update(add_one) == 101
    assert guarded.statistics().taken == 101


# --- the line ---


@every_kind
async def test_one_at_a_time_first_come_first_served(kind: Kind) -> None:
    guarded = kind(())
    inside = 0

    async def append(name: int) -> None:
        nonlocal inside
        async with guarded as cell:
            inside += 1
            assert inside == 1
            await checkpoint()
            cell.value += (name,)
            inside -= 1

    async with held(guarded) as (group, _):
        for name in range(5):
            group.start_soon(append, name)
            await anyio.wait_all_tasks_blocked()
            assert guarded.statistics().waiting == name + 1
    async with guarded as cell:
        assert cell.value == (0, 1, 2, 3, 4)


@every_kind
async def test_who_has_just_left_does_not_push_in(kind: Kind) -> None:
    guarded = kind(())

    async def append(name: str) -> None:
        await guarded.update(lambda names: (*names, name))

    with anyio.fail_after(BOUND):
        async with anyio.create_task_group() as group:
            async with guarded:
                group.start_soon(append, "waited")
                await anyio.wait_all_tasks_blocked()
            await append("came back")
    async with guarded as cell:
        assert cell.value == ("waited", "came back")


@every_kind
async def test_a_free_value_is_taken_without_a_pause(kind: Kind) -> None:
    guarded = kind(0)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await guarded.update(add_one)
        async with guarded as cell:
            cell.value += 1
        await checkpoint()
        pytest.fail("the cancellation comes at the next await")
    assert await guarded.update(add_one) == 3


# --- cancelled while it waits ---


@every_kind
@pytest.mark.parametrize("victim", range(3))
async def test_who_is_cancelled_leaves_the_line_and_nobody_else_does(
    kind: Kind, victim: int
) -> None:
    guarded = kind(())
    scopes = [anyio.CancelScope() for _ in range(3)]

    async def append(name: int) -> None:
        with scopes[name]:
            await guarded.update(lambda names: (*names, name))

    async with held(guarded) as (group, _):
        for name in range(3):
            group.start_soon(append, name)
            await anyio.wait_all_tasks_blocked()
        scopes[victim].cancel()
        await anyio.wait_all_tasks_blocked()
        assert guarded.statistics().waiting == 2
    async with guarded as cell:
        assert cell.value == tuple(name for name in range(3) if name != victim)


@every_kind
@pytest.mark.parametrize("leave_first", [True, False])
async def test_a_turn_given_to_who_is_cancelled_in_the_same_step_goes_on(
    kind: Kind, *, leave_first: bool
) -> None:
    guarded = kind(())
    scope = anyio.CancelScope()

    async def append(name: str) -> None:
        with scope if name == "victim" else anyio.CancelScope():
            async with guarded as cell:
                await checkpoint()
                cell.value += (name,)

    with anyio.fail_after(BOUND):
        async with anyio.create_task_group() as group:
            async with guarded:
                for name in ("victim", "next"):
                    group.start_soon(append, name)
                    await anyio.wait_all_tasks_blocked()
                if not leave_first:
                    scope.cancel()
            scope.cancel()
    async with guarded as cell:
        assert cell.value == ("next",)
    await assert_free(guarded)


async def sweep(
    enter: Callable[[], AbstractAsyncContextManager[Any]],
    tasks: int,
    cancels: list[tuple[int, int]],
) -> list[bool]:
    """Cancel natively the victims after so many turns of the loop; return who was cancelled."""
    inside, entered = 0, 0

    async def run() -> None:
        nonlocal inside, entered
        async with enter():
            inside += 1
            assert inside == 1
            entered += 1
            try:
                await asyncio.sleep(0)
            finally:
                inside -= 1

    running = [asyncio.create_task(run()) for _ in range(tasks)]
    for turns, victim in cancels:
        for _ in range(turns):
            await asyncio.sleep(0)
        running[victim % tasks].cancel()
    with anyio.fail_after(BOUND):
        await asyncio.wait(running)
        await run()
    for task in running:
        assert task.cancelled() or task.exception() is None
    cancelled = [task.cancelled() for task in running]
    assert entered > cancelled.count(False)
    return cancelled


# Guarded could stand on anyio's lock as far as this goes: the sweep holds that claim as well.
LOCKS: dict[str, Callable[[], Any]] = {
    "Guarded": lambda: Guarded(0),
    "ThreadGuarded": lambda: ThreadGuarded(0),
    "anyio.Lock": anyio.Lock,
}
every_lock = pytest.mark.parametrize("make", LOCKS.values(), ids=LOCKS)


@every_lock
@on_asyncio
@pytest.mark.parametrize("victim", range(3))
async def test_a_native_cancel_at_every_await_leaves_the_value_free(
    make: Callable[[], Any], victim: int
) -> None:
    hit = []
    for turns in range(20):
        lock = make()
        hit.append((await sweep(lambda: lock, 3, [(turns, victim)]))[victim])  # noqa: B023
    # The sweep starts before the first step and ends after the last: it met every await.
    assert hit == sorted(hit, reverse=True)
    assert hit[0]
    assert not hit[-1]


@every_lock
@on_asyncio
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    tasks=st.integers(1, 6),
    cancels=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), max_size=6),
)
async def test_any_native_cancels_at_any_time_leave_the_value_free(
    make: Callable[[], Any], tasks: int, cancels: list[tuple[int, int]]
) -> None:
    lock = make()
    await sweep(lambda: lock, tasks, cancels)


@every_kind
@on_asyncio
async def test_a_turn_given_to_who_is_cancelled_natively_in_the_same_step_goes_on(
    kind: Kind,
) -> None:
    guarded = kind(())

    async def append(name: str) -> None:
        await guarded.update(lambda names: (*names, name))

    with anyio.fail_after(BOUND):
        async with guarded:
            tasks = [asyncio.create_task(append(name)) for name in ("victim", "next")]
            await anyio.wait_all_tasks_blocked()
        tasks[0].cancel()
        assert guarded.statistics().holder == tasks[0].get_name()
        await asyncio.wait(tasks)
    assert tasks[0].cancelled()
    async with guarded as cell:
        assert cell.value == ("next",)


@every_kind
@on_asyncio
async def test_a_native_timeout_in_the_middle_of_an_update_changes_nothing(kind: Kind) -> None:
    guarded = kind(1)

    async def never(number: int) -> int:
        await asyncio.get_running_loop().create_future()
        return number + 100

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await guarded.update(never)
    await assert_free(guarded)
    assert await guarded.update(add_one) == 2


# --- re-entry ---


@every_kind
async def test_a_task_that_holds_the_value_is_told_so_instead_of_waiting_for_itself(
    kind: Kind,
) -> None:
    guarded = kind(1)
    name = anyio.get_current_task().name
    told = "already holds this value and would wait for itself: use the cell"

    async def again(number: int) -> int:
        await guarded.update(add_one)
        return number

    with anyio.fail_after(BOUND):
        async with guarded as cell:
            with pytest.raises(AlreadyHeldError, match=told) as caught:
                await guarded.update(add_one)
            with pytest.raises(AlreadyHeldError, match=told):
                async with guarded:
                    pytest.fail("it is held")
            cell.value += 1
            assert guarded.statistics() == GuardedStatistics(name, 0, 1)
    assert str(caught.value).startswith(repr(name))
    assert isinstance(caught.value, AconcurError)
    with pytest.raises(AlreadyHeldError, match=told):
        await guarded.update(again)
    await assert_free(guarded)
    assert await guarded.update(add_one) == 3


# --- what it says of itself ---


@every_kind
async def test_repr_and_statistics_are_its_status(kind: Kind) -> None:
    guarded = kind(1)
    name = kind.__name__
    assert repr(guarded) == f"<{name} int: free>"
    assert guarded.statistics() == GuardedStatistics(None, 0, 0)
    async with held(guarded) as (group, _):
        group.start_soon(guarded.update, add_one)
        await anyio.wait_all_tasks_blocked()
        assert repr(guarded) == f"<{name} int: held by 'the holder', 1 waiting>"
        assert guarded.statistics() == GuardedStatistics("the holder", 1, 1)
    assert guarded.statistics() == GuardedStatistics(None, 0, 2)
    with pytest.raises(FrozenInstanceError):
        guarded.statistics().waiting = 5  # type: ignore[misc]


@every_kind
def test_without_a_task_it_says_so(kind: Kind) -> None:
    entering: Awaitable[Any] = kind(1).__aenter__()
    with pytest.raises(RuntimeError):
        entering.__await__().send(None)


# --- loops ---


async def contend(guarded: AnyGuarded) -> int:
    """Count ten more, waiting in line."""
    async with held(guarded) as (group, _):
        for _ in range(10):
            group.start_soon(guarded.update, add_one_slowly)
    async with guarded as cell:
        counted: int = cell.value
        return counted


@every_kind
def test_one_value_serves_loop_after_loop(kind: Kind) -> None:
    guarded = kind(0)
    counts = count(10, 10)
    for backend in ("asyncio", "asyncio", "trio", "trio", "asyncio"):
        assert anyio.run(contend, guarded, backend=backend) == next(counts)


@every_kind
def test_a_run_that_is_cancelled_leaves_the_value_free_for_the_next(kind: Kind) -> None:
    guarded = kind(0)

    async def give_up() -> None:
        async with held(guarded) as (group, _):
            group.start_soon(guarded.update, add_one)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()

    for backend in ("asyncio", "trio"):
        anyio.run(give_up, backend=backend)
        assert guarded.statistics().holder is None
    assert anyio.run(contend, guarded) == 10


async def test_a_value_held_on_another_loop_is_an_error_that_names_the_remedy() -> None:
    guarded = Guarded(0)

    async def ask() -> str:
        with pytest.raises(OtherLoopError) as caught:
            await guarded.update(add_one)
        return str(caught.value)

    async with guarded:
        name = anyio.get_current_task().name
        for backend in ("asyncio", "trio"):
            with Threads() as threads:
                answer = threads.start(anyio.run, ask)
            assert answer.result() == (
                f"{name!r} holds this value on another event loop: "
                "use a ThreadGuarded to share a value between loops"
            ), backend
    assert await guarded.update(add_one) == 1


@every_kind
def test_a_value_held_by_a_task_whose_loop_was_closed_is_an_error(kind: Kind) -> None:
    guarded = kind(0)
    loop = asyncio.new_event_loop()

    async def hold() -> None:
        async with guarded:
            await loop.create_future()

    async def ask() -> None:
        async with asyncio.timeout(BOUND):
            await guarded.update(add_one)

    task = loop.create_task(hold(), name="lost")
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    with pytest.raises(OtherLoopError, match="'lost' held this value when its event loop was clo"):
        asyncio.run(ask())
    # Whoever is collected leaves: then the value is free again.
    del task
    gc.collect()
    assert guarded.statistics().holder is None
    assert asyncio.run(contend_on_asyncio(guarded)) == 10


async def contend_on_asyncio(guarded: AnyGuarded) -> int:
    return await contend(guarded)


@every_kind
def test_a_waiting_task_that_is_collected_leaves_the_line(kind: Kind) -> None:
    guarded = kind(0)
    loop = asyncio.new_event_loop()

    async def start() -> list[asyncio.Task[Any]]:
        async with guarded:
            waiting = [asyncio.create_task(guarded.update(add_one), name="lost")]
            await asyncio.sleep(0)
            assert guarded.statistics().waiting == 1
        # It has been given its turn, but never runs again.
        assert guarded.statistics().holder == "lost"
        return waiting

    tasks = loop.run_until_complete(start())
    tasks[0]._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    tasks.clear()
    gc.collect()
    assert guarded.statistics() == GuardedStatistics(None, 0, 2)


@every_kind
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("held", [False, True])
async def test_there_is_no_second_one_of_it(
    kind: Kind, duplicate: Callable[[object], object], held: bool
) -> None:
    guarded = kind([1])
    pattern = f"a {kind.__name__} cannot be copied or pickled"
    if held:
        async with guarded:
            with pytest.raises(TypeError, match=pattern):
                duplicate(guarded)
    with pytest.raises(TypeError, match=pattern):
        duplicate({"one": guarded} if duplicate is not copy.copy else guarded)
    assert await guarded.update(lambda value: [*value, 2]) == [1, 2]


# --- leaving ---


@every_kind
async def test_a_block_that_is_left_twice_raises(kind: Kind) -> None:
    guarded = kind(0)
    await guarded.__aenter__()
    await guarded.__aexit__(None, None, None)
    with pytest.raises(NotHeldError, match="this value is not held: leave each block once"):
        await guarded.__aexit__(None, None, None)
    assert await guarded.update(add_one) == 1


@every_kind
async def test_leaving_a_block_of_another_running_task_raises_and_takes_nothing(kind: Kind) -> None:
    guarded, let_go = kind(0), anyio.Event()

    async def hold() -> None:
        async with guarded as cell:
            await let_go.wait()
            cell.value += 1

    async with anyio.create_task_group() as group:
        group.start_soon(hold, name="holder")
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(NotHeldError, match=r"is held by .*holder.*, which still runs"):
            await guarded.__aexit__(None, None, None)
        let_go.set()
    assert await guarded.update(add_one) == 2


def running_task() -> object:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return trio.lowlevel.current_task()


@every_kind
async def test_a_block_may_be_left_after_its_task_has_ended(kind: Kind) -> None:
    guarded = kind(0)

    kept: list[object] = []

    async def enter() -> None:
        # Not collected yet: it has ended all the same.
        kept.append(running_task())
        await guarded.__aenter__()

    async with anyio.create_task_group() as group:  # noqa: ASYNC112 - enter() runs as another task
        group.start_soon(enter)
    await guarded.__aexit__(None, None, None)
    assert guarded.statistics().holder is None
