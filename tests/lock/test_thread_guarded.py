"""What ThreadGuarded adds: threads, and tasks on several loops, in one line.

What it shares with Guarded is held by test_guarded.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import textwrap
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from aconcur._core.loops import current_loop
from aconcur.lock import (
    AlreadyHeldError,
    BlockedLoopError,
    CellClosedError,
    GuardedStatistics,
    ThreadGuarded,
)
from aconcur.lock._wait_queue import Entry
from tests.support.extras import skip_without
from tests.support.states import BOUND, until, until_sync
from tests.support.threads import Threads

# Threads that nothing ends cannot be left behind by an exception: only the process can end.
pytestmark = pytest.mark.timeout(60, method="thread")

Names = ThreadGuarded[tuple[str, ...]]


class BrokenUpdateError(Exception):
    """An error of the test's own."""


@contextlib.contextmanager
def held_by_a_thread(guarded: ThreadGuarded[Any]) -> Iterator[tuple[Threads, Callable[[], None]]]:
    """A block during which a thread holds the value, until the block ends or it is told to go."""
    end = threading.Event()

    def hold() -> None:
        with guarded:
            assert end.wait(BOUND)

    with Threads() as threads:
        try:
            holding = threads.start(hold)
            until_sync(lambda: guarded.statistics().holder == "thread 0")

            def let_go() -> None:
                end.set()
                holding.result(BOUND)

            yield threads, let_go
        finally:
            end.set()


def append(names: Names, name: str) -> None:
    names.update_sync(lambda before: (*before, name))


async def append_here(names: Names, name: str) -> None:
    await names.update(lambda before: (*before, name))


def run_append(names: Names, name: str, backend: str) -> None:
    anyio.run(append_here, names, name, backend=backend)


def read(guarded: ThreadGuarded[Any]) -> Any:  # noqa: ANN401 - whatever it guards
    with Threads() as threads:
        return threads.start(guarded.update_sync, lambda value: value).result(BOUND)


# --- threads ---


def test_the_cell_of_a_thread_reads_writes_and_closes() -> None:
    guarded = ThreadGuarded(1)
    with guarded as cell:
        cell.value += 1
        assert guarded.statistics() == GuardedStatistics(threading.current_thread().name, 0, 1)
    with pytest.raises(CellClosedError):
        _ = cell.value
    assert guarded.update_sync(lambda value: value + 1) == 3
    assert guarded.statistics() == GuardedStatistics(None, 0, 2)


def test_an_update_of_a_thread_that_raises_changes_nothing() -> None:
    guarded = ThreadGuarded(1)

    def broken(_: int) -> int:
        raise BrokenUpdateError

    with pytest.raises(BrokenUpdateError):
        guarded.update_sync(broken)
    assert guarded.statistics().holder is None
    assert guarded.update_sync(lambda value: value + 1) == 2


def test_a_thread_that_holds_the_value_is_told_so() -> None:
    guarded = ThreadGuarded(1)
    name = threading.current_thread().name
    with guarded as cell:
        with pytest.raises(AlreadyHeldError, match=f"^'{name}' already holds this value"):
            guarded.update_sync(lambda value: value + 1)
        cell.value += 1
    assert guarded.update_sync(lambda value: value + 1) == 3


def test_threads_lose_nothing_and_are_served_in_the_order_in_which_they_asked() -> None:
    names: Names = ThreadGuarded(())
    with held_by_a_thread(names) as (threads, _):
        for number in range(5):
            threads.start(append, names, str(number))
            until_sync(lambda: names.statistics().waiting == number + 1)  # noqa: B023
    assert read(names) == ("0", "1", "2", "3", "4")


# --- an event loop is never stopped ---


async def test_a_thread_s_way_of_waiting_is_refused_where_a_loop_runs() -> None:
    guarded = ThreadGuarded(1)
    told = "^an event loop runs in this thread and would stop: use 'async with' or 'await update"
    with pytest.raises(BlockedLoopError, match=told):
        guarded.update_sync(lambda value: value + 1)
    with pytest.raises(BlockedLoopError, match=told):
        guarded.__enter__()
    assert guarded.statistics() == GuardedStatistics(None, 0, 0)


def test_it_is_refused_in_a_callback_too() -> None:
    guarded = ThreadGuarded(1)
    refused: list[BaseException] = []

    def callback() -> None:
        try:
            guarded.update_sync(lambda value: value + 1)
        except BlockedLoopError as error:
            refused.append(error)

    async def main() -> None:
        asyncio.get_running_loop().call_soon(callback)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert len(refused) == 1


async def test_while_a_task_waits_for_a_thread_its_loop_serves_others() -> None:
    guarded: Names = ThreadGuarded(())
    with anyio.fail_after(BOUND), held_by_a_thread(guarded) as (_, let_go):
        async with anyio.create_task_group() as group:
            group.start_soon(append_here, guarded, "task")
            await anyio.wait_all_tasks_blocked()
            for _ in range(5):
                await checkpoint()
            assert guarded.statistics().waiting == 1
            let_go()
    async with guarded as cell:
        assert cell.value == ("task",)


async def test_a_worker_thread_waits_for_a_task() -> None:
    guarded: Names = ThreadGuarded(())
    with Threads() as threads:
        async with guarded as cell:
            thread = threads.start(append, guarded, "thread")
            await until(lambda: guarded.statistics().waiting == 1)
            await checkpoint()
            assert not thread.done()
            cell.value = ("task",)
    async with guarded as cell:
        assert cell.value == ("task", "thread")


# --- many loops ---


@skip_without("trio")
def test_threads_and_tasks_of_several_loops_stand_in_one_line() -> None:
    names: Names = ThreadGuarded(())
    with held_by_a_thread(names) as (threads, _):
        for number in range(9):
            if number % 3 == 0:
                threads.start(append, names, str(number))
            else:
                backend = "trio" if number % 3 == 1 else "asyncio"
                threads.start(run_append, names, str(number), backend)
            until_sync(lambda: names.statistics().waiting == number + 1)  # noqa: B023
    assert read(names) == tuple("012345678")


def test_threads_and_loops_that_read_wait_and_write_lose_nothing() -> None:
    guarded, times, workers = ThreadGuarded(0), 20, 3

    def in_thread() -> None:
        for _ in range(times):
            with guarded as cell:
                before = cell.value
                threading.Event().wait(0)  # lets go of the GIL in the middle
                cell.value = before + 1

    async def worker() -> None:
        for _ in range(times):
            async with guarded as cell:
                before = cell.value
                await checkpoint()
                cell.value = before + 1

    async def tasks() -> None:
        with anyio.fail_after(BOUND):
            async with anyio.create_task_group() as group:
                for _ in range(workers):
                    group.start_soon(worker)

    with Threads() as threads:
        for _ in range(workers):
            threads.start(in_thread)
        for backend in ("asyncio", "trio", "asyncio"):
            threads.start(lambda b: anyio.run(tasks, backend=b), backend)
    assert read(guarded) == times * workers * 4
    assert guarded.statistics().holder is None


# --- cancelled while it waits ---


async def test_a_cancelled_task_leaves_the_line_of_threads() -> None:
    names: Names = ThreadGuarded(())
    with held_by_a_thread(names) as (threads, let_go):
        async with anyio.create_task_group() as group:
            group.start_soon(append_here, names, "cancelled")
            await anyio.wait_all_tasks_blocked()
            threads.start(append, names, "thread")
            await until(lambda: names.statistics().waiting == 2)
            group.cancel_scope.cancel()
        assert names.statistics().waiting == 1
        let_go()
    async with names as cell:
        assert cell.value == ("thread",)


async def test_a_turn_that_a_thread_gave_to_a_cancelled_task_goes_on() -> None:
    """The wake-up is under way, but its loop has not run yet when the task is cancelled."""
    names: Names = ThreadGuarded(())
    with held_by_a_thread(names) as (threads, let_go):
        async with anyio.create_task_group() as group:
            group.start_soon(append_here, names, "cancelled", name="the victim")
            await anyio.wait_all_tasks_blocked()
            threads.start(append, names, "thread")
            await until(lambda: names.statistics().waiting == 2)
            # From here to the end of the block this loop stands still.
            let_go()
            assert names.statistics().holder == "the victim"
            group.cancel_scope.cancel()
        until_sync(lambda: names.statistics().holder is None)
    async with names as cell:
        assert cell.value == ("thread",)


@pytest.mark.parametrize("debug", [True, False])
def test_the_same_for_a_native_cancel(*, debug: bool) -> None:
    names: Names = ThreadGuarded(())

    async def main() -> None:
        with held_by_a_thread(names) as (threads, let_go):
            victim = asyncio.create_task(append_here(names, "cancelled"), name="the victim")
            await anyio.wait_all_tasks_blocked()
            threads.start(append, names, "thread")
            await until(lambda: names.statistics().waiting == 2)
            let_go()
            assert names.statistics().holder == "the victim"
            victim.cancel()
            await asyncio.wait([victim])
            assert victim.cancelled()

    asyncio.run(main(), debug=debug)
    assert read(names) == ("thread",)


async def test_a_wake_up_that_comes_after_the_cancel_does_no_harm() -> None:
    names: Names = ThreadGuarded(())
    for _ in range(3):
        with held_by_a_thread(names) as (_, let_go):
            async with anyio.create_task_group() as group:
                group.start_soon(append_here, names, "cancelled")
                await anyio.wait_all_tasks_blocked()
                group.cancel_scope.cancel()
                let_go()
    await append_here(names, "last")
    async with names as cell:
        assert cell.value == ("last",)


def test_ctrl_c_takes_the_main_thread_out_of_the_line() -> None:
    code = """
        import signal, threading
        from aconcur.lock import ThreadGuarded

        guarded, holds, end = ThreadGuarded(0), threading.Event(), threading.Event()

        def hold():
            with guarded:
                holds.set()
                while not guarded.statistics().waiting:
                    end.wait(0.001)
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                end.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        holds.wait()
        try:
            with guarded:
                print("got it")
        except KeyboardInterrupt:
            print("interrupted", guarded.statistics().waiting)
        end.set()
        thread.join()
        print(guarded)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["interrupted 0", "<ThreadGuarded int: free>"]


# --- loops that end ---


def forget(loop: asyncio.AbstractEventLoop, waiting: Coroutine[Any, Any, Any]) -> object:
    """Start a task, then close its loop without ending it: what asyncio.run never does."""
    task = loop.create_task(waiting, name="forgotten")
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    return task


def test_who_waits_on_a_closed_loop_is_passed_over() -> None:
    names: Names = ThreadGuarded(())
    loop = asyncio.new_event_loop()
    with held_by_a_thread(names) as (threads, _):
        kept = forget(loop, append_here(names, "never"))
        threads.start(append, names, "thread")
        until_sync(lambda: names.statistics().waiting == 2)
    assert read(names) == ("thread",)
    del kept


def test_the_last_in_line_on_a_closed_loop_leaves_the_value_free() -> None:
    names: Names = ThreadGuarded(())
    with held_by_a_thread(names):
        kept = forget(asyncio.new_event_loop(), append_here(names, "never"))
    assert names.statistics().holder is None
    del kept


# --- the mutex ---


class Collecting(deque[Entry]):
    """A line in which the garbage collector ends a waiting task in the middle of a step."""

    def __init__(self, guarded: ThreadGuarded[Any], lost: Entry) -> None:
        super().__init__([lost])
        self._guarded, self._lost = guarded, lost

    def append(self, turn: Entry) -> None:
        super().append(turn)
        self._guarded._leave(self._lost)


@pytest.mark.timeout(60, method="thread")
def test_a_task_that_is_collected_while_the_line_is_changed_does_not_stop_it() -> None:
    names: Names = ThreadGuarded(())
    with held_by_a_thread(names) as (threads, _):
        lost = Entry(threading.current_thread(), None)
        names._queue.waiting = Collecting(names, lost)
        threads.start(append, names, "thread")
        until_sync(lambda: list(names._queue.waiting) != [lost])
        assert len(names._queue.waiting) == 1
    assert read(names) == ("thread",)


def test_a_value_given_back_just_before_one_joins_the_line_is_not_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names: Names = ThreadGuarded(())
    join = ThreadGuarded._join
    with held_by_a_thread(names) as (threads, let_go):

        def join_late(guarded: ThreadGuarded[Any], turn: Entry) -> bool:
            let_go()
            return join(guarded, turn)

        monkeypatch.setattr(ThreadGuarded, "_join", join_late)
        threads.start(append, names, "thread")
    assert read(names) == ("thread",)


async def test_the_same_for_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    names: Names = ThreadGuarded(())
    join = ThreadGuarded._join
    with anyio.fail_after(BOUND), held_by_a_thread(names) as (_, let_go):

        def join_late(guarded: ThreadGuarded[Any], turn: Entry) -> bool:
            let_go()
            return join(guarded, turn)

        monkeypatch.setattr(ThreadGuarded, "_join", join_late)
        await append_here(names, "task")
    async with names as cell:
        assert cell.value == ("task",)


async def test_a_wake_up_of_a_task_goes_through_its_loop() -> None:
    """An event set from another thread would not wake a loop that sleeps."""
    names: Names = ThreadGuarded(())
    own = current_loop()
    with held_by_a_thread(names) as (_, let_go):
        async with anyio.create_task_group() as group:
            group.start_soon(append_here, names, "task")
            await anyio.wait_all_tasks_blocked()
            (waiting,) = names._queue.waiting
            assert waiting.loop is own
            let_go()
            # It has the turn, but runs only when its loop does.
            assert names.statistics().taken == 2
            assert names._queue.value == ()
    assert names._queue.value == ("task",)
