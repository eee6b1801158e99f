"""A timer strikes while tasks could go on: what is found so, and what is not blamed."""

from __future__ import annotations

import asyncio
import time
import types
from contextlib import suppress
from functools import partial
from typing import Any, Literal

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint

from aconcur.testing import Deadlock, explore, replay
from benchmarks.explore.timeouts import TIMEOUTS

Backend = Literal["asyncio", "trio"]
both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@pytest.mark.parametrize("name", TIMEOUTS)
def test_a_published_race_of_a_timer_is_found_by_default(name: str) -> None:
    found = explore(partial(TIMEOUTS[name], False))
    assert found.failure is not None
    assert found.schedules <= 50
    again = replay(partial(TIMEOUTS[name], False), found.failure.token)
    assert type(again.failure and again.failure.error) is type(found.failure.error)


@pytest.mark.parametrize("name", TIMEOUTS)
def test_its_mended_twin_passes(name: str) -> None:
    explore(partial(TIMEOUTS[name], True), schedules=300).check()


def test_there_are_twelve_at_least() -> None:
    assert len(TIMEOUTS) >= 12


async def lost_by_a_timeout() -> None:
    done: list[int] = []
    with anyio.move_on_after(10):
        await checkpoint()
        done.append(1)
    assert done


@both
def test_a_timeout_strikes_before_a_task_that_is_ready(backend: Backend) -> None:
    found = explore(lost_by_a_timeout, backend=backend)
    assert found.failure is not None
    assert found.failure.deviations == 1
    struck = [step for step in found.failure.timeline if step.task == "timer"]
    assert [(step.code, step.where) for step in struck] == [("the next timer strikes, at 10 s", "")]
    assert "> timer " in str(found.failure)
    assert replay(lost_by_a_timeout, found.failure.token, backend=backend).failed == 1


@both
def test_no_timer_strikes_early_where_timers_are_idle(backend: Backend) -> None:
    explore(lost_by_a_timeout, backend=backend, timers="idle").check()


@types.coroutine
def watched(awaitable: Any) -> Any:  # noqa: ANN401 - as libraries wrap what they measure
    stepped = awaitable.__await__()
    answer = None
    while True:
        try:
            request = stepped.send(answer)
        except StopIteration as end:
            return end.value
        answer = yield request


async def started_by_sleeping() -> None:
    started = False

    async def worker() -> None:
        nonlocal started
        await checkpoint()
        started = True

    async with anyio.create_task_group() as group:
        group.start_soon(worker)
        await watched(anyio.sleep(0.1))
        assert started


@both
def test_a_sleep_gives_others_time_by_default(backend: Backend) -> None:
    explore(started_by_sleeping, backend=backend).check()


@both
def test_a_sleep_strikes_early_on_request_and_its_token_says_so(backend: Backend) -> None:
    found = explore(started_by_sleeping, backend=backend, timers="explore")
    assert found.failure is not None
    assert found.failure.token.startswith("timers=explore,")
    assert replay(started_by_sleeping, found.failure.token, backend=backend).failed == 1


def test_a_timer_that_only_ends_a_wait_is_a_sleep() -> None:
    async def scenario() -> None:
        loop, event, done = asyncio.get_running_loop(), asyncio.Event(), list[int]()
        over = loop.create_future()

        async def work() -> None:
            await asyncio.sleep(0)
            done.append(1)

        task = asyncio.create_task(work())
        loop.call_later(1, over.set_result, None)
        loop.call_later(2, event.set)
        await over
        await event.wait()
        assert done
        await task

    explore(scenario).check()
    assert explore(scenario, timers="explore").failed


# --- what is not blamed


@both
def test_a_guard_around_the_scenario_that_strikes_early_is_no_failure(backend: Backend) -> None:
    async def scenario() -> None:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(checkpoint)
                group.start_soon(checkpoint)

    assert explore(scenario, backend=backend, schedules=100).check().schedules > 5


def test_trios_own_guard_is_none_either() -> None:
    async def scenario() -> None:
        with trio.fail_after(5):
            for _ in range(3):
                await trio.lowlevel.checkpoint()

    assert explore(scenario, backend="trio").check().schedules > 2


@pytest.mark.parametrize("guard", ["timeout", "wait_for"])
def test_asyncios_guards_are_none_either(guard: str) -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def scenario() -> None:
        if guard == "timeout":
            async with asyncio.timeout(5):
                await work()
        else:
            await asyncio.wait_for(work(), 5)

    assert explore(scenario).check().schedules > 2


def test_a_librarys_own_error_for_a_timeout_is_no_failure() -> None:
    class PoolTimeout(Exception):  # noqa: N818 - httpx's name
        pass

    async def scenario() -> None:
        try:
            async with asyncio.timeout(5):
                await asyncio.sleep(0)
        except TimeoutError as error:
            raise PoolTimeout from error

    assert explore(scenario).check().schedules > 1


@both
def test_an_error_in_handling_a_timeout_is_a_failure(backend: Backend) -> None:
    async def scenario() -> None:
        pending = {1: "request"}

        async def answer() -> None:
            await checkpoint()
            pending.pop(1, None)

        async with anyio.create_task_group() as group:
            group.start_soon(answer)
            try:
                with anyio.fail_after(1):
                    await checkpoint()
                    await checkpoint()
            except TimeoutError:
                await checkpoint()
                del pending[1]

    assert explore(scenario, backend=backend).failed


@both
def test_a_hang_that_an_early_timeout_leads_to_is_a_failure(backend: Backend) -> None:
    async def scenario() -> None:
        lock = anyio.Lock()

        async def take() -> None:
            await lock.acquire()
            await checkpoint()
            lock.release()

        with anyio.move_on_after(1):
            await take()
        if lock.locked():
            await anyio.sleep_forever()

    found = explore(scenario, backend=backend)
    assert isinstance(found.failure and found.failure.error, Deadlock)


def test_a_guard_that_ends_a_hang_in_its_time_is_a_failure() -> None:
    async def scenario() -> None:
        lock = asyncio.Lock()
        async with asyncio.timeout(60):
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await lock.acquire()
                    await asyncio.sleep(0)
                    lock.release()
            await lock.acquire()

    found = explore(scenario)
    assert type(found.failure and found.failure.error) is TimeoutError


@pytest.mark.parametrize("clock", ["loop", "monotonic", "anyio"])
def test_a_time_that_is_measured_is_not_judged_where_a_timer_has_struck(clock: str) -> None:
    def now() -> float:
        if clock == "loop":
            return asyncio.get_running_loop().time()
        return time.monotonic() if clock == "monotonic" else anyio.current_time()

    async def scenario() -> None:
        begun = now()
        with anyio.move_on_after(30):
            await checkpoint()
        elapsed = now() - begun
        assert elapsed < 1

    assert explore(scenario, schedules=100).check().schedules > 1


def test_random_schedules_let_timers_strike_too() -> None:
    for strategy in ("random", "pct"):
        found: Any = explore(lost_by_a_timeout, strategy=strategy, schedules=500)
        assert found.failed
        assert "timer" not in found.failure.token


def test_unknown_timers_are_refused() -> None:
    with pytest.raises(ValueError, match="'timeouts', 'explore' or 'idle', not 'all'"):
        explore(lost_by_a_timeout, timers="all")  # type: ignore[arg-type]
