"""What explore() and replay() promise, on both back-ends."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import random
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import anyio
import anyio.from_thread
import pytest
import trio
import trio._core._run as trio_core
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from aconcur.testing import (
    CallIntoLoopError,
    Exploration,
    Livelock,
    NotReproducibleError,
    RealInputOutputError,
    explore,
    replay,
)
from aconcur.testing._explore.api import Backend, Scenario, Strategy
from aconcur.testing._explore.search import kind_of

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


async def fine() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(checkpoint)
        group.start_soon(checkpoint)


async def lost_update(increments: int = 2) -> None:
    count = 0

    async def increment() -> None:
        nonlocal count
        seen = count
        await checkpoint()
        count = seen + 1

    async with anyio.create_task_group() as group:
        for _ in range(increments):
            group.start_soon(increment)
    assert count == increments, f"{count} of {increments}"


def error_of(exploration: Exploration) -> BaseException:
    assert exploration.failure is not None, str(exploration)
    error = exploration.failure.error
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


# --- how many schedules there are


def two_tasks_of_two_steps(backend: str, library: str, orders: list[str]) -> Scenario:
    """Return a scenario with comb(4, 2) schedules: aabb, abab, …"""
    pauses: dict[str, Callable[[float], Awaitable[None]]] = {
        "anyio": anyio.sleep,
        "asyncio": asyncio.sleep,
        "trio": trio.sleep,
    }
    pause = pauses[library]

    async def scenario() -> None:
        order: list[str] = []

        async def go(name: str) -> None:
            order.append(name)
            await pause(0)
            order.append(name)

        if library == "anyio":
            async with anyio.create_task_group() as group:
                group.start_soon(go, "a")
                group.start_soon(go, "b")
        elif backend == "trio":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(go, "a")
                nursery.start_soon(go, "b")
        else:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(go("a"))
                tasks.create_task(go("b"))
        orders.append("".join(order))

    return scenario


@pytest.mark.parametrize(
    ("backend", "library"),
    [("asyncio", "asyncio"), ("asyncio", "anyio"), ("trio", "trio"), ("trio", "anyio")],
)
def test_every_order_comes_once_the_fewest_deviations_first(backend: Backend, library: str) -> None:
    orders: list[str] = []
    exploration = explore(
        two_tasks_of_two_steps(backend, library, orders), backend=backend, bound=9
    ).check()
    assert set(orders) == {"aabb", "abab", "abba", "baab", "baba", "bbaa"}
    assert orders[0] == "abab"
    assert exploration.exhausted
    # asyncio's task groups note each task's end in a callback, which may come later.
    assert exploration.schedules == (6 if backend == "trio" else 10)


@both
@pytest.mark.parametrize("bound", [0, 1, 2, 3])
def test_the_bound_limits_the_deviations(bound: int, backend: Backend) -> None:
    scenario = two_tasks_of_two_steps(backend, backend, [])
    exploration = explore(scenario, backend=backend, bound=bound)
    smaller = explore(scenario, backend=backend, bound=max(bound - 1, 0))
    assert exploration.schedules >= smaller.schedules
    assert (exploration.bound, exploration.completed) == (bound, bound)
    assert exploration.exhausted


@both
def test_a_limit_on_schedules_is_kept_and_said(backend: Backend) -> None:
    scenario = two_tasks_of_two_steps(backend, backend, [])
    exploration = explore(scenario, backend=backend, bound=9, schedules=4)
    assert (exploration.schedules, exploration.exhausted) == (4, False)
    assert "all" not in str(exploration)
    every = 6 if backend == "trio" else 10
    assert str(explore(scenario, backend=backend, bound=9)) == (
        f"{backend}, bounded: none of all {every} schedules with at most 9 deviations failed"
    )


# --- failures


@both
def test_a_failure_stops_the_search_unless_it_keeps_going(backend: Backend) -> None:
    first = explore(lost_update, backend=backend)
    assert (first.ok, first.failed, first.exhausted) == (False, 1, False)
    every = explore(lost_update, backend=backend, bound=9, keep_going=True)
    assert every.exhausted
    assert 1 < every.failed < every.schedules
    assert every.failure is not None
    assert first.failure is not None
    assert every.failure.token == first.failure.token


@both
def test_check_raises_the_scenarios_own_error_with_the_schedule_as_a_note(backend: Backend) -> None:
    exploration = explore(lost_update, backend=backend)
    for _ in range(2):
        with pytest.raises(AssertionError, match="1 of 2") as caught:
            exploration.check()
    (note,) = caught.value.__notes__
    assert note.startswith(f"{backend}, schedule 1, in the loop's own order, replay token 'fifo'")
    passing = explore(fine, backend=backend)
    assert passing.check() is passing


@both
def test_a_found_schedule_is_shrunk(backend: Backend) -> None:
    strategies: tuple[Strategy, ...] = ("random", "pct")
    scenario = partial(lost_update, 3)
    for strategy in strategies:
        for seed in range(5):
            found = explore(scenario, backend=backend, strategy=strategy, seed=seed)
            assert found.failure is not None
            assert 1 <= found.failure.deviations <= 2, found.failure.token
            assert found.bound is None


@both
@pytest.mark.parametrize("strategy", ["random", "pct"])
def test_a_seed_makes_lots_reproducible(strategy: Strategy, backend: Backend) -> None:
    def orders(seed: int) -> list[str]:
        seen: list[str] = []
        scenario = two_tasks_of_two_steps(backend, backend, seen)
        found = explore(scenario, backend=backend, strategy=strategy, schedules=40, seed=seed)
        assert found.schedules == 40
        return seen

    assert orders(1) == orders(1) != orders(2)


@both
def test_a_scenario_that_depends_on_more_than_its_schedule_is_an_error(backend: Backend) -> None:
    runs: list[int] = []

    async def remembers() -> None:
        runs.append(1)
        async with anyio.create_task_group() as group:
            for _ in range(max(2, 6 - len(runs))):
                group.start_soon(checkpoint)

    with pytest.raises(NotReproducibleError, match="a scenario must depend on nothing but"):
        explore(remembers, backend=backend)

    async def fails_once() -> None:
        runs.append(1)
        assert len(runs) != 10

    runs[:] = [0] * 9
    with pytest.raises(NotReproducibleError) as caught:
        explore(fails_once, backend=backend)
    assert isinstance(caught.value.__cause__, AssertionError)


@both
def test_random_numbers_are_noticed(backend: Backend) -> None:
    lot = random.Random(1)

    async def by_chance() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(lot.randrange(2, 9)):
                group.start_soon(checkpoint)

    with pytest.raises(NotReproducibleError):
        explore(by_chance, backend=backend, bound=3)


# --- replay


@both
def test_a_token_brings_the_failure_back(backend: Backend) -> None:
    exploration = replay(lost_update, "1=1", backend=backend)
    assert exploration.failure is not None
    assert str(error_of(exploration)).startswith("1 of 2")
    assert (exploration.strategy, exploration.schedules) == ("replay", 1)
    assert replay(lost_update, "base", backend=backend).ok


@both
@pytest.mark.parametrize("token", ["1=9", "50=1"])
def test_a_token_of_another_scenario_is_an_error(token: str, backend: Backend) -> None:
    with pytest.raises(NotReproducibleError, match="a token fits only the scenario"):
        replay(lost_update, token, backend=backend)


def test_what_is_no_token_is_refused() -> None:
    with pytest.raises(ValueError, match="not 'what'"):
        replay(lost_update, "what")


# --- wrong arguments


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"bound": -1}, "bound must be at least 0, not -1"),
        ({"schedules": 0}, "schedules must be at least 1, not 0"),
        ({"depth": 0}, "depth must be at least 1, not 0"),
        ({"max_steps": 0}, "max_steps must be at least 1, not 0"),
        ({"strategy": "dfs"}, "strategy must be 'mixed', 'bounded', 'random' or 'pct', not 'dfs'"),
        ({"backend": "curio"}, "backend must be 'asyncio' or 'trio', not 'curio'"),
    ],
)
def test_a_wrong_argument_is_named_with_its_value(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        explore(fine, **arguments)


def test_a_function_that_returns_a_coroutine_is_a_scenario_too() -> None:
    assert explore(lambda: fine()).check().exhausted


@pytest.mark.parametrize("scenario", [print, 3, None, lambda: 3])
def test_what_is_no_async_function_is_refused(scenario: Scenario) -> None:
    with pytest.raises(TypeError, match="scenario must be an async function without arguments"):
        explore(scenario)


async def one(x: int) -> None: ...


async def two(x: int, *rest: int, y: int, z: int = 3, **others: int) -> None: ...


@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        (one, "one takes arguments: x; give it a default or wrap one in a function"),
        (two, "two takes arguments: x, y; give them defaults or wrap two in a function"),
        (lambda x: one(x), "takes arguments: x"),
        (partial(two, 1), "takes arguments: y"),
    ],
)
def test_what_a_scenario_lacks_is_named(scenario: Scenario, said: str) -> None:
    for call in (explore, partial(replay, token="base")):
        with pytest.raises(TypeError, match=said):
            call(scenario)


# --- threads, real input and output


@both
@pytest.mark.parametrize("library", ["own", "anyio"])
def test_a_call_for_a_thread_is_a_step_that_ends_at_any_moment(
    backend: Backend, library: str
) -> None:
    seen: set[str] = set()

    async def scenario() -> None:
        order: list[str] = []

        async def call() -> None:
            order.append("asked")
            if library == "anyio":
                await anyio.to_thread.run_sync(order.append, "called")
            elif backend == "trio":
                await trio.to_thread.run_sync(order.append, "called")
            else:
                await asyncio.to_thread(order.append, "called")
            order.append("answered")

        async def other() -> None:
            order.append("other")

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            group.start_soon(other)
        seen.add(" ".join(order))

    assert explore(scenario, backend=backend, bound=3).check().exhausted
    assert seen == {
        "other asked called answered",
        "asked other called answered",
        "asked called other answered",
        "asked called answered other",
    }


@both
def test_a_call_for_a_thread_keeps_its_context_and_its_error(backend: Backend) -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name")

    def call() -> str:
        return name.get()

    def fail() -> None:
        raise LookupError("from the thread")

    async def scenario() -> None:
        name.set("mine")
        assert await anyio.to_thread.run_sync(call) == "mine"
        if backend == "asyncio":
            assert await asyncio.to_thread(call) == "mine"
            assert await asyncio.get_running_loop().run_in_executor(None, abs, -1) == 1
            with pytest.raises(LookupError):
                await asyncio.to_thread(fail)
        with pytest.raises(LookupError, match="from the thread"):
            await anyio.to_thread.run_sync(fail)

    explore(scenario, backend=backend).check()


async def answer() -> int:
    await checkpoint()
    return 41


async def ask_asyncio(call: str) -> None:
    loop = asyncio.get_running_loop()

    def ask() -> object:
        return getattr(asyncio.run_coroutine_threadsafe(answer(), loop), call)()

    await asyncio.to_thread(ask)


async def wait_for_an_event() -> None:
    loop = asyncio.get_running_loop()

    def ask() -> None:
        event = threading.Event()
        loop.call_soon_threadsafe(event.set)
        event.wait()

    await loop.run_in_executor(None, ask)


async def ask_trio(name: str, *args: Any) -> None:  # noqa: ANN401 - from_thread's own
    await trio.to_thread.run_sync(getattr(trio.from_thread, name), *args)


async def ask_portal() -> None:
    async with anyio.from_thread.BlockingPortal() as portal:
        await anyio.to_thread.run_sync(portal.call, answer)


@pytest.mark.parametrize(
    ("backend", "scenario", "said"),
    [
        ("asyncio", partial(ask_asyncio, "result"), "Future.result"),
        ("asyncio", partial(ask_asyncio, "exception"), "Future.exception"),
        *(
            (backend, partial(anyio.to_thread.run_sync, *call), f"anyio.from_thread.{said}")
            for backend in ("asyncio", "trio")
            for call, said in (
                ((anyio.from_thread.run, answer), "run"),
                ((anyio.from_thread.run_sync, abs, -1), "run_sync"),
                ((anyio.from_thread.check_cancelled,), "check_cancelled"),
            )
        ),
        ("asyncio", wait_for_an_event, "Event.wait"),
        ("asyncio", ask_portal, "BlockingPortal.start_task_soon"),
        ("trio", ask_portal, "BlockingPortal.start_task_soon"),
        *(
            ("trio", partial(ask_trio, *call), f"trio.from_thread.{said}")
            for call, said in (
                (("run", answer), "run"),
                (("run_sync", abs, -1), "run"),
                (("check_cancelled",), "check_cancelled"),
            )
        ),
    ],
)
@pytest.mark.timeout(10)
def test_a_call_for_a_thread_that_waits_for_the_loop_is_refused(
    scenario: Scenario, backend: Backend, said: str
) -> None:
    error = error_of(explore(scenario, backend=backend))
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, CallIntoLoopError)
    assert f"{said}() waits for the event loop" in str(error)
    assert "await what the call needs in the scenario itself" in str(error)


def test_a_call_for_a_thread_may_leave_work_to_the_loop() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        got: list[int] = []

        def leave() -> concurrent.futures.Future[int]:
            loop.call_soon_threadsafe(got.append, 1)
            return asyncio.run_coroutine_threadsafe(answer(), loop)

        future = await asyncio.to_thread(leave)
        assert await asyncio.wrap_future(future) == 41
        assert future.result() == 41
        assert got == [1]

    explore(scenario, bound=3).check()


def test_real_threads_beside_an_exploration_reach_their_own_loops() -> None:
    async def other() -> int:
        return await anyio.to_thread.run_sync(anyio.from_thread.run, answer)

    def elsewhere() -> None:
        with anyio.from_thread.start_blocking_portal() as portal:
            got.append(portal.call(answer))

    async def scenario() -> None:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    got: list[int] = []
    explore(scenario).check()
    assert set(got) == {41}
    assert anyio.run(other) == 41


@both
@pytest.mark.parametrize(
    "call",
    [
        partial(anyio.connect_tcp, "127.0.0.1", 9),
        partial(anyio.run_process, ["true"]),
        partial(anyio.to_process.run_sync, abs, 1),
    ],
    ids=["connect_tcp", "run_process", "to_process"],
)
def test_real_input_and_output_is_refused(
    call: Callable[[], Coroutine[Any, Any, object]], backend: Backend
) -> None:
    async def scenario() -> None:
        await call()

    error = error_of(explore(scenario, backend=backend))
    assert isinstance(error, RealInputOutputError)
    assert "put a stand-in into the scenario" in str(error)


def test_asyncios_own_input_and_output_is_refused() -> None:
    async def start_server() -> None:
        await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)

    async def spawn() -> None:
        await asyncio.create_subprocess_exec("true")

    async def add_reader() -> None:
        asyncio.get_running_loop().add_reader(0, print)

    for scenario in (start_server, spawn, add_reader):
        assert kind_of(error_of(explore(scenario))) is RealInputOutputError


def test_trios_own_input_and_output_is_refused() -> None:
    async def receive() -> None:
        mine, other = trio.socket.socketpair()
        with mine, other:
            await mine.recv(1)

    async def spawn() -> None:
        await trio.run_process(["true"])

    for scenario in (receive, spawn):
        assert kind_of(error_of(explore(scenario, backend="trio"))) is RealInputOutputError


# --- time


@both
def test_time_is_virtual_and_timers_fire_in_their_order(backend: Backend) -> None:
    async def scenario() -> None:
        woken: list[int] = []
        begun = anyio.current_time()

        async def sleep(hours: int) -> None:
            await anyio.sleep(hours * 3600)
            woken.append(hours)

        async with anyio.create_task_group() as group:
            for hours in (3, 1, 2):
                group.start_soon(sleep, hours)
        assert woken == [1, 2, 3]
        assert anyio.current_time() - begun == 3 * 3600

    exploration = explore(scenario, backend=backend, bound=3).check()
    assert exploration.seconds < 10


@both
def test_who_wakes_at_the_same_time_comes_in_any_order(backend: Backend) -> None:
    seen: set[str] = set()

    async def scenario() -> None:
        woken: list[str] = []

        async def sleep(name: str) -> None:
            await anyio.sleep(5)
            woken.append(name)

        async with anyio.create_task_group() as group:
            group.start_soon(sleep, "a")
            group.start_soon(sleep, "b")
        seen.add("".join(woken))

    explore(scenario, backend=backend).check()
    assert seen == {"ab", "ba"}


@both
def test_time_does_not_pass_while_a_task_is_ready(backend: Backend) -> None:
    async def scenario() -> None:
        with anyio.fail_after(0.001):
            for _ in range(100):
                await checkpoint()

    assert explore(scenario, backend=backend, timers="idle").check().schedules == 1


# --- runs without an end


@both
def test_a_livelock_is_cut_and_named(backend: Backend) -> None:
    async def scenario() -> None:
        ready = False

        async def poll() -> None:
            while not ready:
                await checkpoint()

        async with anyio.create_task_group() as group:  # noqa: ASYNC112
            group.start_soon(poll)

    exploration = explore(scenario, backend=backend, max_steps=300)
    error = error_of(exploration)
    assert isinstance(error, Livelock)
    assert error.steps == 300
    assert error.busy[0].startswith("poll#1 at test_explore.py:")
    assert "raise max_steps=" in str(error)


@both
def test_a_task_that_polls_does_not_starve_the_others(backend: Backend) -> None:
    async def scenario() -> None:
        ready = False

        async def poll() -> None:
            while not ready:
                await checkpoint()

        async def answer() -> None:
            nonlocal ready
            await checkpoint()
            ready = True

        async with anyio.create_task_group() as group:
            group.start_soon(poll)
            group.start_soon(answer)

    explore(scenario, backend=backend, bound=1).check()


@both
def test_a_scenario_that_refuses_to_be_cancelled_is_left_behind(backend: Backend) -> None:
    async def scenario() -> None:
        with anyio.CancelScope(shield=True):
            while True:
                await checkpoint()

    assert isinstance(error_of(explore(scenario, backend=backend, max_steps=50)), Exception)
    explore(fine, backend=backend).check()


# --- ends


def test_leftover_tasks_are_cancelled_and_awaited() -> None:
    ended: list[str] = []

    async def wait(name: str) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(1)
            ended.append(name)

    async def scenario() -> None:
        scenario.tasks = [asyncio.create_task(wait(name)) for name in "ab"]  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        await asyncio.sleep(1)

    assert explore(scenario, bound=0, allow=("task left",)).ok
    assert sorted(ended[:2]) == ["a", "b"]
    assert all(task.cancelled() for task in scenario.tasks)  # type: ignore[attr-defined]


@both
def test_async_generators_are_finalised(backend: Backend) -> None:
    closed: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append("numbers")

    async def scenario() -> None:
        generator = numbers()
        assert await anext(generator) == 1
        kept.append(generator)

    kept: list[object] = []
    found = explore(scenario, backend=backend, bound=0, allow=("generator left",)).check()
    assert (found.schedules, closed) == (1, ["numbers", "numbers"])  # run again, to compare


@both
@pytest.mark.parametrize("child", [True, False])
def test_an_interrupt_passes_through_and_leaves_nothing(backend: Backend, *, child: bool) -> None:
    ended: list[str] = []

    async def interrupt() -> None:
        await checkpoint()
        raise KeyboardInterrupt

    async def wait() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("waiter")

    async def scenario() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            if child:
                group.start_soon(interrupt)
            else:
                await checkpoint()
                await interrupt()

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - trio raises it in a group
        explore(scenario, backend=backend)
    assert kind_of(caught.value) is KeyboardInterrupt
    assert ended == ["waiter"]
    explore(fine, backend=backend).check()


@both
@pytest.mark.parametrize("child", [True, False])
def test_a_scenario_that_exits_the_program_has_failed(backend: Backend, *, child: bool) -> None:
    ended: list[str] = []

    async def leave() -> None:
        await checkpoint()
        sys.exit(3)

    async def wait() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("waiter")

    async def scenario() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            if child:
                group.start_soon(leave)
            else:
                await checkpoint()
                await leave()

    found = explore(scenario, backend=backend)
    error = error_of(found)
    assert kind_of(error) is SystemExit
    assert len(ended) >= found.schedules
    with pytest.raises(BaseException, match=r"exit") as caught:
        found.check()
    assert not isinstance(caught.value, SystemExit)


def test_check_never_exits_the_program() -> None:
    async def scenario() -> None:
        sys.exit(0)

    with pytest.raises(AssertionError, match=r"the scenario exits the program: SystemExit\(0\)"):
        explore(scenario).check()


@both
def test_the_scenarios_own_cancellation_is_a_failure_or_ends_it(backend: Backend) -> None:
    async def scenario() -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await checkpoint()

    explore(scenario, backend=backend).check()


def test_a_main_task_that_is_cancelled_has_failed() -> None:
    async def scenario() -> None:
        raise asyncio.CancelledError

    assert isinstance(error_of(explore(scenario)), asyncio.CancelledError)


# --- around it


async def test_inside_a_running_loop_it_is_an_error() -> None:
    for call in (partial(explore, fine), partial(replay, fine, "base")):
        with pytest.raises(RuntimeError, match="call it from a plain function"):
            call()


def state() -> tuple[object, ...]:
    asyncio_loop = asyncio._get_running_loop()
    hooks = sys.get_asyncgen_hooks()
    trio_state = trio_core._r, trio_core._ALLOW_DETERMINISTIC_SCHEDULING
    replaced = trio.to_thread.run_sync, asyncio.Lock.acquire, trio.lowlevel.open_process
    return gc.isenabled(), sys.gettrace(), asyncio_loop, hooks, trio_state, replaced


@both
@pytest.mark.parametrize("collecting", [True, False])
def test_nothing_is_left_changed(backend: Backend, *, collecting: bool) -> None:
    async def interrupt() -> None:
        raise KeyboardInterrupt

    was = gc.isenabled()
    (gc.enable if collecting else gc.disable)()
    try:
        before = state()
        assert not explore(lost_update, backend=backend).ok
        assert state() == before
        with pytest.raises(KeyboardInterrupt):
            explore(interrupt, backend=backend)
        assert state() == before
        with pytest.raises(NotReproducibleError):
            replay(fine, "99=1", backend=backend)
        assert state() == before
    finally:
        (gc.enable if was else gc.disable)()


@both
def test_nothing_of_a_run_is_kept(backend: Backend) -> None:
    class Thing:
        pass

    things: list[weakref.ref[Thing]] = []

    async def scenario() -> None:
        thing = Thing()
        things.append(weakref.ref(thing))
        await fine()

    explore(scenario, backend=backend).check()
    gc.collect()
    assert [thing for thing in things if thing() is not None] == []


@both
def test_a_scenario_may_have_parameters(backend: Backend) -> None:
    assert explore(partial(lost_update, 1), backend=backend).ok
    assert explore(partial(lost_update, increments=3), backend=backend).failed


@settings(max_examples=15, deadline=None)
@given(amounts=st.lists(st.integers(1, 9), min_size=1, max_size=3))
@both
def test_hypothesis_may_drive_the_inputs(backend: Backend, amounts: list[int]) -> None:
    async def scenario() -> None:
        total, lock = 0, anyio.Lock()

        async def add(amount: int) -> None:
            nonlocal total
            async with lock:
                seen = total
                await checkpoint()
                total = seen + amount

        async with anyio.create_task_group() as group:
            for amount in amounts:
                group.start_soon(add, amount)
        assert total == sum(amounts)

    assert explore(scenario, backend=backend, bound=1).check().exhausted


@both
def test_contexts_are_the_tasks_own(backend: Backend) -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")

    async def scenario() -> None:
        async def use(mine: str) -> None:
            name.set(mine)
            await checkpoint()
            assert name.get() == mine

        async with anyio.create_task_group() as group:
            group.start_soon(use, "a")
            group.start_soon(use, "b")
        assert name.get() == "nobody"

    explore(scenario, backend=backend, bound=3).check()


def test_asyncio_callbacks_futures_and_task_factories_work() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        made: list[str] = []

        def factory(
            loop: asyncio.AbstractEventLoop,
            coro: Coroutine[Any, Any, Any],
            **options: Any,  # noqa: ANN401 - asyncio's signature
        ) -> asyncio.Task[Any]:
            made.append("task")
            return asyncio.Task(coro, loop=loop, **options)

        assert loop.get_task_factory() is None
        loop.set_task_factory(factory)  # type: ignore[arg-type]
        future: asyncio.Future[int] = loop.create_future()
        loop.call_soon(future.set_result, 1)
        assert await future == 1
        task = asyncio.create_task(asyncio.sleep(1, "slept"))
        loop.call_later(0.5, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        timer = loop.call_at(loop.time() + 1, made.append, "timer")
        timer.cancel()
        await asyncio.sleep(2)
        loop.call_soon_threadsafe(made.append, "soon")
        await asyncio.sleep(0)
        assert (made, loop.time()) == (["task", "soon"], 2.5)
        assert loop.is_running()
        assert not loop.is_closed()
        loop.set_debug(True)
        assert not loop.get_debug()

    explore(scenario, bound=0).check()
