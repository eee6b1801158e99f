"""What fails a run besides the scenario's own errors, and what is named instead of guessed."""

from __future__ import annotations

import asyncio
import datetime
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
import trio

from aconcur.testing import (
    BackgroundError,
    Deadlock,
    Exploration,
    Livelock,
    NotReproducibleError,
    RealInputOutputError,
    UncontrolledError,
    UncontrolledWaitError,
    UnsupportedLoopCallError,
    explore,
    replay,
)

BOUND = 5.0  # seconds


def error_of(found: Exploration) -> BaseException:
    assert found.failure is not None, str(found)
    return found.failure.error


def kinds_of(found: Exploration) -> set[str]:
    error = error_of(found)
    assert isinstance(error, BackgroundError), error
    return {report.kind for report in error.reports}


# --- what asyncio would report


async def callback_that_raises() -> None:
    asyncio.get_running_loop().call_soon(int, "x")
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def task_that_dies() -> None:
    async def die() -> None:
        raise KeyError("died")

    task = asyncio.create_task(die())
    await asyncio.wait([task])


async def future_never_retrieved() -> None:
    asyncio.get_running_loop().create_future().set_exception(LookupError("it"))


async def task_left() -> None:
    kept.append(asyncio.create_task(asyncio.sleep(60)))


async def generator_left() -> None:
    async def numbers() -> Any:  # noqa: ANN401 - an async generator
        yield 1
        yield 2

    kept.append(numbers())
    await anext(kept[-1])


async def warns_of_a_resource() -> None:
    warnings.warn("unclosed thing", ResourceWarning, stacklevel=1)


kept: list[Any] = []
REPORTED = {
    "callback error": callback_that_raises,
    "task error": task_that_dies,
    "future error": future_never_retrieved,
    "task left": task_left,
    "generator left": generator_left,
    "resource": warns_of_a_resource,
}


@pytest.mark.parametrize("kind", REPORTED)
def test_a_report_fails_the_exploration_unless_it_is_allowed(kind: Any) -> None:  # noqa: ANN401
    found = explore(REPORTED[kind])
    assert kinds_of(found) == {kind}
    assert f"allow=('{kind}',)" in str(error_of(found))
    explore(REPORTED[kind], allow=[kind]).check()
    assert replay(REPORTED[kind], "fifo", allow=[kind]).ok
    kept.clear()


def test_a_dead_task_is_named_with_its_error() -> None:
    (report,) = error_of(explore(task_that_dies)).reports  # type: ignore[attr-defined]
    assert "die#1 ended with an error that nothing awaited: KeyError('died')" in report.text
    assert isinstance(report.error, KeyError)


def test_the_scenarios_own_handler_receives_the_errors_instead() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: seen.append(context["message"]))
        assert loop.get_exception_handler() is not None
        await callback_that_raises()

    seen: list[str] = []
    explore(scenario).check()
    assert seen[0].startswith("Exception in callback")


def test_tasks_that_are_about_to_end_are_not_left() -> None:
    async def scenario() -> None:
        async def linger() -> None:
            for _ in range(3):
                await asyncio.sleep(0)

        kept.append(asyncio.create_task(linger()))

    explore(scenario, bound=3).check()
    kept.clear()


@pytest.mark.parametrize("allow", ["task left", ("everything",)])
def test_what_cannot_be_allowed_is_named(allow: Any) -> None:  # noqa: ANN401
    with pytest.raises((TypeError, ValueError), match="allow must"):
        explore(task_left, allow=allow)


# --- what no schedule decides


def in_a_thread(function: Callable[[], object]) -> None:
    threading.Thread(target=function, name="of the scenario", daemon=True).start()


async def answered_by_a_thread() -> None:
    loop, answer = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
    in_a_thread(lambda: loop.call_soon_threadsafe(answer.set_result, 42))
    assert await answer == 42


async def waits_for_a_thread() -> None:
    in_a_thread(lambda: time.sleep(0.5))
    await asyncio.get_running_loop().create_future()


async def trio_waits_for_a_thread() -> None:
    token, event = trio.lowlevel.current_trio_token(), trio.Event()
    in_a_thread(lambda: token.run_sync_soon(event.set))
    await event.wait()


@pytest.mark.parametrize(
    ("scenario", "backend"),
    [
        (answered_by_a_thread, "asyncio"),
        (waits_for_a_thread, "asyncio"),
        (trio_waits_for_a_thread, "trio"),
    ],
)
def test_a_thread_that_may_answer_is_named_and_not_a_deadlock(scenario: Any, backend: Any) -> None:  # noqa: ANN401
    error = error_of(explore(scenario, backend=backend))
    assert isinstance(error, UncontrolledWaitError)
    assert "of the scenario" in str(error)
    for thread in threading.enumerate():
        if thread.name == "of the scenario":
            thread.join(BOUND)


def test_a_thread_that_has_ended_makes_a_deadlock_a_deadlock_again() -> None:
    async def scenario() -> None:
        in_a_thread(int)
        await asyncio.get_running_loop().create_future()

    assert isinstance(error_of(explore(scenario)), Deadlock)


def test_real_input_is_the_verdict_whatever_the_scenario_makes_of_it() -> None:
    async def scenario() -> None:
        for _ in range(2):
            try:
                await asyncio.open_connection("127.0.0.1", 9)
            except Exception:  # noqa: BLE001 - as a client that retries
                await asyncio.sleep(0)
        raise AssertionError("no connection")

    assert isinstance(error_of(explore(scenario)), RealInputOutputError)


@pytest.mark.parametrize(
    "name", ["stop", "close", "run_forever", "add_signal_handler", "add_reader", "remove_writer"]
)
def test_what_the_loop_does_not_offer_is_named(name: str) -> None:
    async def scenario() -> None:
        getattr(asyncio.get_running_loop(), name)()

    error = error_of(explore(scenario))
    assert isinstance(error, UncontrolledError)
    assert f"loop.{name}()" in str(error)
    assert isinstance(error, UnsupportedLoopCallError) == (name in ("stop", "close", "run_forever"))


def test_the_whole_documented_interface_is_there_or_named() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        for name in dir(asyncio.AbstractEventLoop):
            if not name.startswith("_"):
                method = getattr(type(loop), name)
                assert method is not getattr(asyncio.AbstractEventLoop, name), name
        assert loop.is_running()
        assert not loop.is_closed()
        loop.slow_callback_duration = 1
        loop.set_default_executor(ThreadPoolExecutor())
        await loop.shutdown_asyncgens()
        await loop.shutdown_default_executor()

    explore(scenario).check()


# --- runs that do not end


def test_a_deadlock_beside_a_periodic_timer_is_a_livelock_soon() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()

        def beat() -> None:
            loop.call_later(30, beat)

        beat()
        await loop.create_future()

    start = time.perf_counter()
    assert isinstance(error_of(explore(scenario, max_steps=200)), Livelock)
    assert time.perf_counter() - start < BOUND


def test_a_callback_that_starts_itself_again_is_a_livelock() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()

        def again() -> None:
            loop.call_soon(again)

        again()
        await loop.create_future()

    assert isinstance(error_of(explore(scenario, max_steps=200)), Livelock)


@pytest.mark.parametrize("strategy", ["mixed", "bounded", "random", "pct"])
def test_a_task_that_polls_for_a_timer_gets_it(strategy: Any) -> None:  # noqa: ANN401
    async def scenario() -> None:
        done: list[int] = []
        asyncio.get_running_loop().call_later(1, done.append, 1)
        for _ in range(100_000):
            if done:
                return
            await asyncio.sleep(0)
        raise AssertionError("the timer never fired")

    explore(scenario, strategy=strategy, schedules=20, max_steps=400).check()


@pytest.mark.parametrize("strategy", ["mixed", "random", "pct"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_polling_loops_are_served_fairly(strategy: Any, backend: Any) -> None:  # noqa: ANN401
    pause = asyncio.sleep if backend == "asyncio" else trio.sleep

    async def scenario() -> None:
        done: list[int] = []

        async def poll() -> None:
            while not done:
                await pause(0)

        async def work() -> None:
            for _ in range(3):
                await pause(0)
            done.append(1)

        if backend == "asyncio":
            await asyncio.gather(poll(), poll(), work())
        else:
            async with trio.open_nursery() as nursery:
                for one in (poll, poll, work):
                    nursery.start_soon(one)

    explore(scenario, backend=backend, strategy=strategy, schedules=300, max_steps=1000).check()


# --- one virtual time


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_every_clock_shows_the_loops_time(backend: Any) -> None:  # noqa: ANN401
    sleep = asyncio.sleep if backend == "asyncio" else trio.sleep

    async def scenario() -> None:
        clocks = [time.time, time.monotonic, time.perf_counter]
        clocks += [lambda: datetime.datetime.now(datetime.UTC).timestamp()]
        clocks += [lambda: time.monotonic_ns() / 1e9]
        before = [clock() for clock in clocks]
        today = datetime.date.today()  # noqa: DTZ011 - is what is asked
        await sleep(86_400)
        assert [round(c() - b) for c, b in zip(clocks, before, strict=True)] == [86_400] * 5
        assert datetime.date.today() - today == datetime.timedelta(days=1)  # noqa: DTZ011
        assert isinstance(datetime.datetime.now(), datetime.datetime)  # noqa: DTZ005
        time.sleep(5)  # noqa: ASYNC251 - moves the time, too
        assert round(clocks[1]() - before[1]) == 86_405

    real = datetime.datetime.now(datetime.UTC)
    start = time.perf_counter()
    explore(scenario, backend=backend).check()
    assert time.perf_counter() - start < BOUND
    assert abs((datetime.datetime.now(datetime.UTC) - real).total_seconds()) < 60


def test_other_threads_read_the_real_clocks_meanwhile() -> None:
    async def scenario() -> None:
        thread = threading.Thread(target=lambda: seen.append(time.time()))
        thread.start()
        thread.join()

    seen: list[float] = []
    before = time.time()
    explore(scenario).check()
    assert all(before <= one <= time.time() for one in seen)


# --- runs that differ


def test_state_kept_in_a_module_is_noticed() -> None:
    async def scenario() -> None:
        async def use() -> None:
            if "it" not in cache:
                await asyncio.sleep(0)
                cache["it"] = 1

        await asyncio.gather(use(), use())

    cache: dict[str, int] = {}
    with pytest.raises(NotReproducibleError, match=r"step \d+ of the first schedule was .* is "):
        explore(scenario)


def test_a_failure_that_comes_once_is_noticed() -> None:
    async def scenario() -> None:
        assert next(runs) != 0, "the first time"

    runs = count()
    with pytest.raises(NotReproducibleError, match="schedule 1 failed with AssertionError"):
        explore(scenario)


def test_a_first_run_that_passes_and_then_fails_is_noticed() -> None:
    async def scenario() -> None:
        assert next(runs) == 0, "not the first time"

    runs = count()
    with pytest.raises(NotReproducibleError, match="the first schedule passed, and ends with"):
        explore(scenario)


# --- how far the search goes, and how small a failure becomes


async def three_clients(slots: int = 1) -> None:
    used, line = 0, list[asyncio.Future[None]]()

    async def client() -> None:
        nonlocal used
        if used >= slots:
            line.append(asyncio.get_running_loop().create_future())
            await line[-1]
        used += 1
        assert used <= slots, "too many"
        await asyncio.sleep(0)
        used -= 1
        if line:
            line.pop(0).set_result(None)

    await asyncio.gather(client(), client(), client())


def test_the_search_goes_on_beyond_bound_2_and_says_what_is_complete() -> None:
    async def scenario() -> None:
        async def step() -> None:
            for _ in range(4):
                await asyncio.sleep(0)

        await asyncio.gather(*(step() for _ in range(4)))

    found = explore(scenario, schedules=5000).check()
    assert found.completed is not None
    assert found.completed >= 2
    said = f"; every one with at most {found.completed} deviations was run"
    assert found.summary().endswith(said)
    assert not explore(three_clients).ok


def test_seconds_are_a_limit() -> None:
    async def scenario() -> None:
        async def step() -> None:
            for _ in range(9):
                await asyncio.sleep(0)

        await asyncio.gather(*(step() for _ in range(5)))

    found = explore(scenario, seconds=0.2).check()
    assert 0.2 <= found.seconds < BOUND
    with pytest.raises(ValueError, match="seconds must be more than 0, not 0"):
        explore(scenario, seconds=0)


def test_a_long_random_failure_is_shrunk_within_its_time() -> None:
    async def scenario() -> None:
        order: list[str] = []

        async def step(name: str) -> None:
            for _ in range(150):
                order.append(name)
                await asyncio.sleep(0)

        await asyncio.gather(step("a"), step("b"), step("c"))
        assert "ba" not in "".join(order), "b went before a"

    start = time.perf_counter()
    found = explore(scenario, strategy="random", schedules=5)
    assert found.failure is not None
    assert time.perf_counter() - start < 4 * BOUND
    assert found.failure.deviations < 60
