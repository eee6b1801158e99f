"""Waits that a sweep skips, waits that it cancels while they go on, and what follows a run."""

from __future__ import annotations

import asyncio
import datetime
import threading
import time

import anyio
import anyio.to_thread
import pytest
import trio
from anyio.lowlevel import checkpoint

from aconcur.testing import CancelSweepFailed, cancel_everywhere

BOUND = 5.0  # seconds of real time that a sweep of skipped waits stays far below


async def sleeps() -> None:
    for _ in range(3):
        await anyio.sleep(20)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_waits_for_timers_alone_are_skipped(backend: str) -> None:
    start = time.perf_counter()
    cancel_everywhere(sleeps, backend=backend, limit=100).check()  # type: ignore[arg-type]
    assert time.perf_counter() - start < BOUND


def test_every_clock_follows_skipped_waits() -> None:
    async def scenario() -> None:
        clocks = (time.time, time.monotonic, time.perf_counter, asyncio.get_running_loop().time)
        before = [clock() for clock in clocks]
        date = datetime.datetime.now(datetime.UTC)
        await asyncio.sleep(50)
        for clock, then in zip(clocks, before, strict=True):
            assert 50 <= clock() - then < 60
        assert 50 <= (datetime.datetime.now(datetime.UTC) - date).total_seconds() < 60

    real = time.monotonic()
    cancel_everywhere(scenario, limit=100).check()
    assert time.monotonic() - real < 50


def test_a_slow_clean_up_is_slow_although_its_wait_is_skipped() -> None:
    async def scenario() -> None:
        try:
            await asyncio.sleep(1)
        finally:
            await asyncio.sleep(2)

    with pytest.raises(CancelSweepFailed, match=r"slow: clean-up took 2\.\d+ s; grace is 0"):
        cancel_everywhere(scenario, twice=False).check()
    cancel_everywhere(scenario, twice=False, grace=2).check()


def test_a_shell_that_has_started_children_is_cancelled_too() -> None:
    async def scenario() -> None:
        shell = await asyncio.create_subprocess_shell("sleep 0.3 & sleep 0.4; wait")
        try:
            await shell.wait()
        finally:
            if shell.returncode is None:
                shell.kill()
                await shell.wait()

    sweep = cancel_everywhere(scenario, how="native", twice=False, limit=10)
    late = [leak for leak in sweep.leaks if leak.kind == "child"]
    assert late
    assert any("sleep" in leak.what for leak in late)


def test_a_call_that_runs_in_a_thread_is_waited_for_in_real_time() -> None:
    async def scenario() -> None:
        await anyio.to_thread.run_sync(call)

    def call() -> None:
        time.sleep(0.02)
        threads.append(1)

    threads: list[int] = []
    sweep = cancel_everywhere(scenario, backend="trio", twice=False)
    sweep.check()
    assert len(threads) > 1


def test_code_without_anyio_is_cancelled_natively_alone() -> None:
    async def plain() -> None:
        first = asyncio.create_task(asyncio.sleep(0))
        first.cancel()
        tasks = (first, asyncio.sleep(0), asyncio.create_task(asyncio.sleep(0)))
        await asyncio.gather(*tasks, return_exceptions=True)

    assert cancel_everywhere(plain).hows == ("native",)
    assert cancel_everywhere(checkpoint).hows == ("scope", "native")
    cancel_everywhere(plain).check()
    cancel_everywhere(plain, how="scope").check()


def test_tasks_and_callbacks_may_finish_shortly_after_the_scenario() -> None:
    async def scenario() -> None:
        late = asyncio.create_task(asyncio.sleep(0.01))
        late.add_done_callback(kept.discard)
        kept.add(late)
        await asyncio.sleep(0)

    kept: set[asyncio.Task[None]] = set()
    cancel_everywhere(scenario).check()
    assert not kept

    async def too_late() -> None:
        kept.add(asyncio.create_task(asyncio.sleep(1)))
        await asyncio.sleep(0)

    with pytest.raises(CancelSweepFailed, match="task: "):
        cancel_everywhere(too_late).check()
    kept.clear()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_comes_after_on_the_same_loop_is_asked(backend: str) -> None:
    async def scenario() -> None:
        locks.append(anyio.Semaphore(1))
        await locks[-1].acquire()
        await checkpoint()
        locks[-1].release()

    async def after() -> None:
        while locks:  # none where the scenario was cancelled before it began
            with anyio.fail_after(1):
                await locks.pop().acquire()

    locks: list[anyio.Semaphore] = []
    sweep = cancel_everywhere(scenario, backend=backend, after=after)  # type: ignore[arg-type]
    assert {leak.kind for leak in sweep.leaks} == {"after"}
    assert "after: TimeoutError" in str(sweep)

    async def mended() -> None:
        locks.append(anyio.Semaphore(1))
        async with locks[-1]:
            await checkpoint()

    cancel_everywhere(mended, backend=backend, after=after).check()  # type: ignore[arg-type]


def test_known_faults_are_ignored_with_a_reason_that_is_reported() -> None:
    async def scenario() -> None:
        kept.append(asyncio.create_task(asyncio.sleep(9)))
        await asyncio.sleep(0)

    kept: list[asyncio.Task[None]] = []
    sweep = cancel_everywhere(scenario, ignore={"^task: .*sleep": "meant: a timer of the app"})
    sweep.check()
    assert sweep.ignored[0][0] == "meant: a timer of the app"
    assert "runs: meant: a timer of the app" in str(sweep)
    kept.clear()


@pytest.mark.parametrize(
    ("ignore", "said"), [({"(": "why"}, r"'\(' is not one"), ({"x": ""}, "give a reason for 'x'")]
)
def test_what_cannot_be_ignored_is_named(ignore: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        cancel_everywhere(checkpoint, ignore=ignore)


def test_reports_keep_to_80_columns() -> None:
    async def scenario() -> None:
        kept.append(asyncio.create_task(asyncio.sleep(9)))
        await asyncio.sleep(0)

    kept: list[asyncio.Task[None]] = []
    for line in str(cancel_everywhere(scenario)).splitlines():
        assert len(line) <= 80 or "/" in line
    kept.clear()


def test_trio_sleeps_are_skipped_beside_an_idle_thread() -> None:
    async def scenario() -> None:
        await trio.to_thread.run_sync(int)
        await trio.sleep(3)

    start = time.perf_counter()
    cancel_everywhere(scenario, backend="trio", twice=False).check()
    assert time.perf_counter() - start < BOUND


def test_a_call_that_has_ended_and_told_trio_nothing_yet_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tell = trio.lowlevel.TrioToken.run_sync_soon

    def tell_late(token: trio.lowlevel.TrioToken, *args: object, **options: object) -> None:
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.02)
        tell(token, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(trio.lowlevel.TrioToken, "run_sync_soon", tell_late)

    async def scenario() -> None:
        await anyio.to_thread.run_sync(int)

    cancel_everywhere(scenario, backend="trio", limit=20, grace=1).check()
