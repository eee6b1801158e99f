"""How often and how many at once: limits that stages, runs and plain code share."""

from __future__ import annotations

import random
from bisect import bisect_left
from itertools import accumulate
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from aconcur.pipeline import SKIP, THREADS, KeyedLimiter, Limiter, Retry, stage
from aconcur.testing import cancel_everywhere, explore
from tests.support.states import until


def most_in_any_window(log: list[tuple[float, float]], seconds: float) -> float:
    """Return the largest sum of weights admitted in [t, t + seconds), for any t."""
    times = [when for when, _ in log]
    sums = [0.0, *accumulate(weight for _, weight in log)]
    # A sum of two clock readings is exact to the last bit only.
    ends = [bisect_left(times, when + seconds - 1e-9) for when in times]
    return max(sums[end] - sums[first] for first, end in enumerate(ends))


# -- the rate --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_no_window_admits_more_than_its_amount(seed: int) -> None:
    draw = random.Random(seed)
    limiter = Limiter(20, windows=[(300, 60), (7, 0.1)])
    log: list[tuple[float, float]] = []
    tries = 3000

    async def main() -> None:
        async def ask(weight: float) -> None:
            await limiter.acquire(weight)
            log.append((trio.current_time(), weight))

        # The nursery ends when all are admitted: time passes by itself.
        async with trio.open_nursery() as nursery:
            for _ in range(tries):
                nursery.start_soon(ask, draw.choice((1, 1, 2, 5)))
                if draw.random() < 0.2:
                    await trio.sleep(draw.expovariate(1))

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert len(log) == tries
    assert 18 <= most_in_any_window(log, 1) <= 20
    assert 250 <= most_in_any_window(log, 60) <= 300
    assert most_in_any_window(log, 0.1) <= 7


def test_all_that_is_allowed_is_admitted() -> None:
    async def main() -> list[float]:
        limiter, times = Limiter(5, per=10), []
        for _ in range(13):
            await limiter.acquire()
            times.append(trio.current_time())
        return [when - times[0] for when in times]

    times = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert times == pytest.approx([0] * 5 + [10] * 5 + [20] * 3)


@given(
    gap=st.floats(1e-3, 10),
    burst=st.integers(1, 5),
    # Seconds that pass before each one asks.
    delays=st.lists(st.floats(0, 20), min_size=2, max_size=30),
)
def test_no_more_than_the_burst_and_the_rate_are_admitted(
    gap: float, burst: int, delays: list[float]
) -> None:
    async def main() -> list[float]:
        limiter, taken = Limiter(1, per=gap, burst=burst), list[float]()
        for delay in delays:
            await trio.sleep(delay)
            await limiter.acquire()
            taken.append(trio.current_time())
        return taken

    taken = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    for first, start in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + (taken[last] - start) / gap + 1e-6


@given(gap=st.floats(1e-3, 10), burst=st.integers(1, 5), size=st.integers(1, 20))
def test_with_a_burst_no_time_is_lost(gap: float, burst: int, size: int) -> None:
    async def main() -> float:
        limiter, began = Limiter(1, per=gap, burst=burst), trio.current_time()
        for _ in range(size):
            await limiter.acquire()
        assert limiter.statistics().used[0] == pytest.approx(min(size, burst), abs=1e-5)
        return trio.current_time() - began

    seconds = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert seconds == pytest.approx(max(0, size - burst) * gap, abs=1e-6)


async def test_tasks_are_admitted_in_the_order_in_which_they_came() -> None:
    limiter, admitted = Limiter(3, per=0.05), list[int]()

    async def ask(number: int, weight: float) -> None:
        await limiter.acquire(weight)
        admitted.append(number)

    async with anyio.create_task_group() as group:
        for number, weight in enumerate((3, 1, 3, 1, 1)):
            group.start_soon(ask, number, weight)
            await anyio.wait_all_tasks_blocked()
    assert admitted == [0, 1, 2, 3, 4]


def test_what_was_admitted_on_one_loop_counts_on_the_next() -> None:
    limiter = Limiter(2, per=1000)

    async def take() -> bool:
        return limiter.try_acquire()

    backends: list[Any] = ["asyncio", "trio", "asyncio"]
    assert [anyio.run(take, backend=backend) for backend in backends] == [True, True, False]


# -- concurrency -----------------------------------------------------------------------------------


async def test_no_more_run_at_once_than_allowed() -> None:
    limiter, running, most = Limiter(concurrency=3), 0, 0

    async def call() -> None:
        nonlocal running, most
        async with limiter:
            running += 1
            most = max(most, running)
            await anyio.lowlevel.checkpoint()
            running -= 1

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(call)
    assert most == 3
    assert limiter.statistics().running == limiter.statistics().waiting == 0


async def test_a_call_that_fails_makes_room() -> None:
    limiter = Limiter(concurrency=1)
    for _ in range(3):
        with pytest.raises(KeyError):
            async with limiter(weight=7):
                raise KeyError
    assert limiter.try_acquire()
    assert not limiter.try_acquire()
    limiter.release()


async def test_a_cancelled_wait_takes_nothing_and_wakes_the_next() -> None:
    limiter, admitted = Limiter(concurrency=1), list[str]()
    await limiter.acquire()

    async def ask(name: str) -> None:
        async with limiter:
            admitted.append(name)

    async with anyio.create_task_group() as outer:
        async with anyio.create_task_group() as inner:
            inner.start_soon(ask, "cancelled")
            await anyio.wait_all_tasks_blocked()
            outer.start_soon(ask, "next")
            await anyio.wait_all_tasks_blocked()
            inner.cancel_scope.cancel()
        assert limiter.statistics().waiting == 1
        limiter.release()
        await until(lambda: admitted)
    assert admitted == ["next"]
    assert limiter.statistics().running == 0


async def test_other_tasks_run_although_nobody_waits() -> None:
    limiter, turns, done = Limiter(10**9), 0, False

    async def tick() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        for _ in range(12_800):
            await limiter.acquire()
        done = True
    assert 95 <= turns <= 110


# -- in a stage ------------------------------------------------------------------------------------


async def test_every_attempt_counts_and_runs_share_the_limit() -> None:
    limiter, log = Limiter(10, per=0.1), list[tuple[float, float]]()
    failed: set[int] = set()

    async def get(item: int) -> int:
        log.append((anyio.current_time(), 1))
        if item not in failed:
            failed.add(item)
            raise ConnectionError
        return item

    pipeline = stage(get, workers=8, limiter=limiter, retry=Retry(2, delay=0))
    async with anyio.create_task_group() as group:
        group.start_soon(pipeline.run, range(20))
        group.start_soon(pipeline.run, range(20, 40))
    assert len(log) == 80
    # The call begins a moment after its admission.
    assert most_in_any_window(log, 0.08) <= 10


async def test_items_have_weights() -> None:
    limiter, log = Limiter(100, per=0.05), list[tuple[float, float]]()

    async def send(data: bytes) -> None:
        log.append((anyio.current_time(), len(data)))

    await stage(send, workers=4, limiter=limiter, weight=len).run([b"x" * 40] * 10)
    assert most_in_any_window(log, 0.04) <= 100
    assert limiter.statistics().running == 0


async def test_each_key_has_its_own_limit() -> None:
    running: dict[str, int] = {}
    most: dict[str, int] = {}

    async def fetch(url: str) -> None:
        host = url[0]
        running[host] = running.get(host, 0) + 1
        most[host] = max(most.get(host, 0), running[host])
        await anyio.lowlevel.checkpoint()
        running[host] -= 1

    per_host = KeyedLimiter[str](lambda url: url[0], concurrency=2)
    await stage(fetch, workers=12, limiter=per_host).run([host + "/" for host in "aabbaabbcc" * 4])
    assert most == {"a": 2, "b": 2, "c": 2}


async def test_limiters_of_idle_keys_are_forgotten() -> None:
    keyed = KeyedLimiter[int](lambda item: item, concurrency=1)
    async with keyed(-1):
        for item in range(5000):
            async with keyed(item):
                pass
        assert not keyed.of(-1).try_acquire()
    assert int(repr(keyed).split()[2]) <= 1001


async def test_waiting_for_the_limit_is_no_part_of_an_attempts_time() -> None:
    async def quick(item: int) -> int:
        return item

    limiter = Limiter(1, per=0.05)
    pipeline = stage(quick, workers=4, limiter=limiter, timeout=0.04, on_error=SKIP)
    report = await pipeline.run(range(4))
    [account] = report.stages
    assert (account.out, account.failed) == (4, 0)
    assert account.latency is not None
    assert account.latency.p99 < 0.04


async def test_the_report_names_the_limit_as_the_bottleneck() -> None:
    async def quick(item: int) -> int:
        return item

    report = await stage(quick, workers=4, limiter=Limiter(1, per=0.02)).run(range(15))
    assert report.stages[0].limited > 0.5
    assert "quick waits for its limiter" in report.suggestion
    assert "more workers do not help" in report.suggestion


async def test_threads_are_limited_too() -> None:
    limiter = Limiter(concurrency=1)
    active: list[int] = []

    def work(item: int) -> int:
        active.append(item)
        assert len(active) == 1
        active.remove(item)
        return item

    assert await stage(work, via=THREADS, workers=4, limiter=limiter).collect(range(9)) == [
        *range(9)
    ]


# -- misuse ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: Limiter(), ValueError, "a Limiter limits something: give rate="),
        (lambda: Limiter(0), ValueError, "rate must be more than 0, not 0"),
        (lambda: Limiter(1, per=0), ValueError, "per must be more than 0 seconds, not 0"),
        (lambda: Limiter("5"), TypeError, "rate must be a number, not '5'"),  # type: ignore[arg-type]
        (lambda: Limiter(concurrency=0), ValueError, "concurrency must be at least 1, not 0"),
        (lambda: KeyedLimiter(3, 5), TypeError, "key must be a function, not 3"),  # type: ignore[arg-type]
        (lambda: stage(str, limiter=5), TypeError, "limiter must be a Limiter"),  # type: ignore[call-overload]
        (lambda: stage(str, weight=len), ValueError, "weight= is for a limiter: give limiter= too"),
    ],
)
def test_wrong_arguments_are_named(make: Any, error: type[Exception], said: str) -> None:  # noqa: ANN401
    with pytest.raises(error, match=said):
        make()


async def test_a_weight_that_never_passes_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"weight must be at most 5, not 6: .* never admit it"):
        await Limiter(5).acquire(6)
    with pytest.raises(ValueError, match="weight must be at least 0, not -1"):
        await Limiter(5).acquire(-1)


async def test_release_without_a_call_is_refused() -> None:
    with pytest.raises(RuntimeError, match="no call runs"):
        Limiter(concurrency=1).release()
    with pytest.raises(RuntimeError, match="no concurrency= to give back"):
        Limiter(1).release()


def test_without_a_loop_it_says_so() -> None:
    with pytest.raises(RuntimeError, match="no event loop runs here"):
        Limiter(1).try_acquire()


# -- schedules and cancellation --------------------------------------------------------------------


async def three_share_two_places() -> None:
    limiter, running = Limiter(5, per=1, concurrency=2), list[int]()

    async def call(number: int) -> None:
        async with limiter:
            running.append(number)
            assert len(running) <= 2
            await anyio.lowlevel.checkpoint()
            running.remove(number)

    try:
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(call, number)
    finally:
        found = limiter.statistics()
        assert (found.waiting, found.running) == (0, 0)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_no_schedule_admits_too_many_or_forgets_one(backend: Any) -> None:  # noqa: ANN401
    explore(three_share_two_places, backend=backend, bound=3, schedules=400).check()


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_cancelled_anywhere_it_gives_back_what_it_has(backend: Any) -> None:  # noqa: ANN401
    cancel_everywhere(three_share_two_places, backend=backend, grace=1.0).check()
