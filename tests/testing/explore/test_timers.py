"""A time limit may strike at any step; sleeps too, if they are asked to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Literal

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint

from aconcur.testing import Livelock, explore, replay

Backend = Literal["asyncio", "trio"]
both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def late_answer(*, mended: bool) -> Callable[[], Awaitable[None]]:
    """An answer comes for a request that has just been given up."""

    async def scenario() -> None:
        answer = asyncio.get_running_loop().create_future()
        pending = {1: answer}

        async def server() -> None:
            await asyncio.sleep(0.9)
            waiting = pending.pop(1, None) if mended else pending.pop(1)
            if waiting is not None and not waiting.done():
                waiting.set_result("answer")

        answering = asyncio.create_task(server())
        try:
            async with asyncio.timeout(1):
                await answer
        except TimeoutError:
            pending.pop(1, None)
        await answering

    return scenario


def lost_connection(*, mended: bool) -> Callable[[], Awaitable[None]]:
    """A pool hands a connection to who has given up: the connection is lost (as in aioredis)."""

    async def scenario() -> None:
        idle: deque[str] = deque()
        waiting: deque[asyncio.Future[str]] = deque()

        async def acquire() -> str:
            if idle:
                return idle.popleft()
            turn: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            waiting.append(turn)
            try:
                return await turn
            except asyncio.CancelledError:
                if mended and turn.done() and not turn.cancelled():
                    release(turn.result())
                raise

        def release(connection: str) -> None:
            while waiting:
                turn = waiting.popleft()
                if not turn.done():
                    turn.set_result(connection)
                    return
            idle.append(connection)

        async def impatient() -> None:
            try:
                async with asyncio.timeout(1):
                    connection = await acquire()
            except TimeoutError:
                return
            release(connection)

        async def busy() -> None:
            await asyncio.sleep(0.5)
            release("connection")

        await asyncio.gather(impatient(), busy())
        assert list(idle) == ["connection"]

    return scenario


def lost_item(*, mended: bool) -> Callable[[], Awaitable[None]]:
    """A consumer takes an item, is cut off by its limit, and nobody has the item."""

    async def scenario() -> None:
        stored: list[int] = []
        send, receive = anyio.create_memory_object_stream[int](2)
        with send, receive:
            for number in (1, 2):
                await send.send(number)
            while len(stored) < 2:
                with anyio.move_on_after(1):
                    item = await receive.receive()
                    with anyio.CancelScope(shield=mended):
                        await checkpoint()  # writes it somewhere
                        stored.append(item)
                if receive.statistics().current_buffer_used == 0:
                    break
        assert stored == [1, 2]

    return scenario


def nobody_looked(*, mended: bool) -> Callable[[], Awaitable[None]]:
    """What a limit may cut off is taken for done."""

    async def scenario() -> None:
        done = False
        with anyio.move_on_after(0.001) as scope:
            for _ in range(5):
                await checkpoint()
            done = True
        assert done or (mended and scope.cancelled_caught)

    return scenario


def ping_after_close(*, mended: bool) -> Callable[[], Awaitable[None]]:
    """A keep-alive timer strikes while the connection is being closed."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        is_open, errors = True, list[str]()

        def ping() -> None:
            if not is_open:
                errors.append("ping on a closed connection")

        timer = loop.call_later(30, ping)

        async def close() -> None:
            nonlocal is_open
            if mended:
                timer.cancel()
            is_open = False
            await checkpoint()  # sends good-bye
            timer.cancel()

        await close()
        assert not errors

    return scenario


def stale_token(*, mended: bool) -> Callable[[], Awaitable[None]]:
    """The refresh of a token overlaps the request that still uses the old one."""

    async def scenario() -> None:
        token, valid = "old", {"old"}

        async def refresh() -> None:
            nonlocal token
            await asyncio.sleep(60)
            valid.add("new")
            valid.discard("old")
            token = "new"

        async def request() -> bool:
            mine = token
            await checkpoint()
            return mine in valid

        async with asyncio.TaskGroup() as group:
            group.create_task(refresh())
            accepted = await request() or (mended and await request())
        assert accepted

    return scenario


@pytest.mark.parametrize(
    "model", [late_answer, lost_connection, lost_item, nobody_looked, ping_after_close]
)
def test_a_time_limit_races_by_default(model: Callable[..., Any]) -> None:
    found = explore(model(mended=False))
    assert found.failed == 1
    assert found.schedules <= 50
    assert found.failure is not None
    again = replay(model(mended=False), found.failure.token)
    assert again.failure is not None
    assert type(again.failure.error) is type(found.failure.error)
    assert explore(model(mended=True), schedules=3000).ok


@pytest.mark.parametrize("model", [lost_item, nobody_looked])
def test_a_deadline_of_trio_races_by_default(model: Callable[..., Any]) -> None:
    found = explore(model(mended=False), backend="trio")
    assert found.failed == 1
    assert found.schedules <= 50
    assert explore(model(mended=True), backend="trio", schedules=1000).ok


@pytest.mark.parametrize("model", [stale_token])
def test_other_timers_race_when_asked_to(model: Callable[..., Any]) -> None:
    assert explore(model(mended=False), bound=2).ok
    found = explore(model(mended=False), timers="explore")
    assert found.failed == 1
    assert found.schedules <= 50
    assert found.failure is not None
    assert not replay(model(mended=False), found.failure.token).ok
    assert explore(model(mended=True), timers="explore", schedules=3000).ok


@both
def test_a_sleep_of_trio_and_anyio_races_when_asked_to(backend: Backend) -> None:
    async def scenario() -> None:
        steps = 0

        async def look() -> None:
            await anyio.sleep(1)
            assert steps == 3

        async with anyio.create_task_group() as group:
            group.start_soon(look)
            for _ in range(3):
                await checkpoint()
                steps += 1

    assert explore(scenario, backend=backend, bound=2).ok
    assert explore(scenario, backend=backend, timers="explore").failed == 1


@both
def test_a_limit_that_the_scenario_sets_as_a_guard_is_no_failure(backend: Backend) -> None:
    async def scenario() -> None:
        async def work() -> None:
            with anyio.fail_after(5):
                await checkpoint()

        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(work)
                group.start_soon(work)

    assert explore(scenario, backend=backend, bound=2).ok


@both
def test_a_limit_that_is_really_over_is_a_failure(backend: Backend) -> None:
    async def scenario() -> None:
        with anyio.fail_after(5):
            await anyio.sleep(6)

    found = explore(scenario, backend=backend)
    assert found.failure is not None
    assert isinstance(found.failure.error, TimeoutError)


@pytest.mark.parametrize(
    ("now", "backend"),
    [
        (lambda: asyncio.get_running_loop().time(), "asyncio"),
        (anyio.current_time, "asyncio"),
        (anyio.current_time, "trio"),
        (trio.current_time, "trio"),
    ],
    ids=["loop.time", "anyio on asyncio", "anyio on trio", "trio"],
)
def test_a_scenario_that_reads_the_clock_means_what_its_sleeps_take(
    now: Callable[[], float], backend: Backend
) -> None:
    async def scenario() -> None:
        begun = now()
        with anyio.move_on_after(3) as scope:
            await anyio.sleep(2)
            for _ in range(3):
                await checkpoint()
        assert now() - begun == pytest.approx(2)
        assert not scope.cancelled_caught

    assert explore(scenario, backend=backend, bound=3).ok
    assert explore(scenario, backend=backend, timers="explore", bound=3).ok


@both
def test_no_timer_fires_early_when_they_are_idle(backend: Backend) -> None:
    assert explore(nobody_looked(mended=False), backend=backend, timers="idle").schedules == 1


@both
def test_a_heartbeat_that_races_does_not_keep_a_run_from_ending(backend: Backend) -> None:
    async def scenario() -> None:
        async def beat() -> None:
            for _ in count():
                await anyio.sleep(1)

        async with anyio.create_task_group() as group:
            group.start_soon(beat)
            for _ in range(3):
                await checkpoint()
            group.cancel_scope.cancel()

    done = explore(scenario, backend=backend, timers="explore", schedules=300)
    assert done.ok
    assert not isinstance(done.failure, Livelock)
