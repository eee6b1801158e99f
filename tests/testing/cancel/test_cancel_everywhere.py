"""The specification of the sweep: every planted fault is found, and nothing that is not there."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

import anyio
import anyio.lowlevel
import pytest

from aconcur.errors import MissingRequirementError
from aconcur.testing import CancelSweep, CancelSweepFailed, Leak, cancel_everywhere

Scenario: TypeAlias = Callable[[], Awaitable[object]]
Backend: TypeAlias = Literal["asyncio", "uvloop", "trio"]

HERE = Path(__file__).name
checkpoint = anyio.lowlevel.checkpoint

on_each = pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
# A thread or child that stays costs a sweep 0.1 s a run: two back-ends will do.
on_both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def found(sweep: CancelSweep, kind: str) -> Leak:
    """Return the first leak of this kind."""
    assert not sweep.ok
    assert kind in {leak.kind for leak in sweep.leaks}, str(sweep)
    return next(leak for leak in sweep.leaks if leak.kind == kind)


# -- what is left behind ---------------------------------------------------------------------------


async def orphan_task() -> None:
    task = asyncio.create_task(asyncio.sleep(60), name="orphan")
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


def test_an_orphan_task_is_found_on_asyncio() -> None:
    leak = found(cancel_everywhere(orphan_task), "task")
    assert "task 'orphan'" in leak.what


def test_an_orphan_task_is_found_on_trio() -> None:
    import trio

    async def orphan_system_task() -> None:
        done = trio.Event()
        trio.lowlevel.spawn_system_task(done.wait, name="orphan")
        await checkpoint()
        done.set()
        await anyio.wait_all_tasks_blocked()

    leak = found(cancel_everywhere(orphan_system_task, backend="trio"), "task")
    assert "task 'orphan'" in leak.what


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    before = set(threading.enumerate())
    event = threading.Event()
    yield event
    event.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)


@on_both
def test_a_thread_is_found(backend: Backend, stop: threading.Event) -> None:
    async def thread_left() -> None:
        over = threading.Event()

        def wait() -> None:
            while not (over.is_set() or stop.is_set()):
                time.sleep(0.005)

        thread = threading.Thread(target=wait, name="planted")
        thread.start()
        await checkpoint()
        over.set()
        thread.join()

    leak = found(cancel_everywhere(thread_left, backend=backend, twice=False), "thread")
    assert leak.what == "planted"


@on_each
def test_a_descriptor_is_found_and_closed(backend: Backend) -> None:
    async def descriptor_left() -> None:
        descriptor = os.open(os.devnull, os.O_RDONLY)
        await checkpoint()
        os.close(descriptor)

    leak = found(cancel_everywhere(descriptor_left, backend=backend), "fd")
    assert leak.what == os.devnull


def test_a_descriptor_is_closed_through_the_object_that_owns_it() -> None:
    kept = []

    async def file_left() -> None:
        file = open(os.devnull, "rb")  # noqa: PTH123, SIM115, ASYNC230
        kept.append(file)
        await checkpoint()
        file.close()  # noqa: ASYNC232

    found(cancel_everywhere(file_left, how="native"), "fd")
    assert all(file.closed for file in kept)


@on_both
def test_a_child_is_found_and_killed(backend: Backend) -> None:
    pids = []

    async def child_left() -> None:
        with subprocess.Popen(["sleep", "60"]) as child:  # noqa: ASYNC220
            pids.append(child.pid)
            try:
                await checkpoint()
            except BaseException:
                child.returncode = 0  # __exit__ does not wait
                raise
            child.kill()

    leak = found(cancel_everywhere(child_left, backend=backend, twice=False), "child")
    assert leak.what.startswith("sleep, pid ")
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@on_both
def test_a_grandchild_is_found_after_its_shell_has_gone(backend: Backend) -> None:
    async def grandchild_left() -> None:
        with shell("sleep 60 >&- & echo; wait") as child:
            try:
                await checkpoint()
                os.killpg(child.pid, signal.SIGKILL)
            finally:
                child.kill()

    leak = found(cancel_everywhere(grandchild_left, backend=backend, twice=False), "child")
    assert leak.what.startswith("sleep, pid ")


def shell(script: str) -> subprocess.Popen[bytes]:
    """Start it, and return when it has written a line."""
    child = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout
    child.stdout.readline()
    return child


@on_each
def test_a_killed_family_is_no_leak(backend: Backend) -> None:
    async def killed() -> None:
        with shell("sleep 60 >&- & echo; wait") as child:
            try:
                await checkpoint()
            finally:
                os.killpg(child.pid, signal.SIGKILL)

    cancel_everywhere(killed, backend=backend).check()


@pytest.mark.skipif(sys.platform != "linux", reason="tells an orphan by its being adopted")
def test_a_dead_child_that_nobody_waited_for_is_found() -> None:
    kept = []

    async def zombie() -> None:
        child = subprocess.Popen(["true"], stdout=subprocess.PIPE)  # noqa: ASYNC220
        kept.append(child)
        assert child.stdout
        child.stdout.read()
        child.stdout.close()
        await checkpoint()
        child.wait()

    leak = found(cancel_everywhere(zombie, how="native", twice=False), "child")
    assert leak.what.startswith("true (dead, never waited for), pid ")
    for child in kept:
        child.poll()


@on_each
def test_a_temporary_file_is_found_and_deleted(backend: Backend) -> None:
    async def file_left() -> None:
        descriptor, path = tempfile.mkstemp(suffix=".part")
        os.close(descriptor)
        await checkpoint()
        Path(path).unlink()

    sweep = cancel_everywhere(file_left, backend=backend)
    leak = found(sweep, "temporary file")
    assert leak.what.endswith(".part")
    assert len(sweep.leaks) == len(sweep.hows), "names differ, the fault is one"


# -- what Python says ------------------------------------------------------------------------------


@on_each
def test_a_coroutine_never_awaited_is_found(backend: Backend) -> None:
    async def never_awaited() -> None:
        coroutine = checkpoint()
        await checkpoint()
        await coroutine

    leak = found(cancel_everywhere(never_awaited, backend=backend), "warning")
    assert leak.what == "RuntimeWarning: coroutine 'checkpoint' was never awaited"


def test_an_error_that_nobody_fetched_is_found() -> None:
    async def fail() -> None:
        raise LookupError("lost")

    async def never_fetched() -> None:
        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(LookupError):
            await task

    leak = found(cancel_everywhere(never_fetched), "warning")
    assert leak.what == "Task exception was never retrieved: LookupError('lost')"


@on_each
def test_an_error_in_a_thread_is_found(backend: Backend) -> None:
    async def failing_thread() -> None:
        fine = False

        def work() -> None:
            if not fine:
                raise LookupError("in a thread")

        try:
            await checkpoint()
            fine = True
        finally:
            thread = threading.Thread(target=work, name="planted")
            thread.start()
            thread.join()

    leak = found(cancel_everywhere(failing_thread, backend=backend), "warning")
    assert leak.what == "thread 'planted' failed: LookupError('in a thread')"


@on_each
def test_an_unraisable_error_is_found(backend: Backend) -> None:
    class Fussy:
        used = False

        def __del__(self) -> None:
            if not self.used:
                raise LookupError("dropped")

    async def dropped() -> None:
        fussy = Fussy()
        await checkpoint()
        fussy.used = True

    assert (
        "LookupError('dropped')"
        in found(cancel_everywhere(dropped, backend=backend), "warning").what
    )


# -- how it behaves --------------------------------------------------------------------------------


@on_each
def test_a_broken_invariant_is_found(backend: Backend) -> None:
    accounts = {"mine": 10, "yours": 0}

    async def transfer() -> None:
        accounts["mine"] -= 1
        await checkpoint()
        accounts["yours"] += 1

    def balanced() -> None:
        total = sum(accounts.values())
        accounts.update(mine=10, yours=0)
        assert total == 10, f"{total} of 10 are left"

    leak = found(cancel_everywhere(transfer, backend=backend, invariant=balanced), "invariant")
    assert leak.what.startswith("AssertionError: 9 of 10 are left")


def test_a_swallowed_cancel_is_found() -> None:
    async def swallows() -> None:
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        except asyncio.CancelledError:  # noqa: ASYNC103
            pass

    sweep = cancel_everywhere(swallows, how="native", twice=False)
    leak = found(sweep, "swallowed")
    # Just before a step all has happened that was waited for, so to end with it may be right.
    assert (sweep.steps, sweep.cancels, leak.cancels) == (3, 5, 2)
    assert (leak.step, leak.before) == (1, False)


@on_each
def test_an_error_in_place_of_the_cancel_is_found(backend: Backend) -> None:
    async def turns() -> None:
        try:
            await checkpoint()
        except anyio.get_cancelled_exc_class():
            raise LookupError("instead") from None  # noqa: ASYNC104

    assert (
        found(cancel_everywhere(turns, backend=backend), "error").what == "LookupError('instead')"
    )


@on_each
def test_a_hang_is_found_and_left(backend: Backend) -> None:
    async def hangs() -> None:
        try:
            await checkpoint()
        except anyio.get_cancelled_exc_class():  # noqa: ASYNC103
            with anyio.CancelScope(shield=True):
                await anyio.sleep_forever()

    sweep = cancel_everywhere(hangs, backend=backend, how="scope", limit=0.1)
    leak = found(sweep, "hung")
    assert leak.what.startswith("no end within limit=0.1 s; waiting: ")
    assert f"{HERE}:" in leak.what
    assert "`await anyio.sleep_forever()`" in leak.what
    assert [leak.kind for leak in sweep.leaks] == ["hung"]


@on_both
def test_a_task_that_cannot_be_cancelled_is_left_too(backend: Backend) -> None:
    async def stubborn() -> None:
        try:
            await checkpoint()
            await checkpoint()
        except anyio.get_cancelled_exc_class():  # noqa: ASYNC103
            for _ in range(50):
                with suppress(BaseException), anyio.CancelScope(shield=True):
                    await anyio.sleep_forever()

    sweep = cancel_everywhere(stubborn, backend=backend, limit=0.1)
    assert {leak.kind for leak in sweep.leaks} == {"hung"}
    assert sweep.unswept == "5 runs hung for 0.1 s each: mend that first"


def test_a_run_that_keeps_its_trio_loop_busy_is_left() -> None:
    async def busy() -> None:
        try:
            await checkpoint()
        except anyio.get_cancelled_exc_class():  # noqa: ASYNC103
            with anyio.CancelScope(shield=True):
                while True:
                    await checkpoint()

    found(cancel_everywhere(busy, backend="trio", limit=0.1), "hung")


@on_both
def test_a_slow_clean_up_is_found_and_can_be_granted(backend: Backend) -> None:
    async def slow() -> None:
        try:
            await checkpoint()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.3)
            raise

    once = partial(cancel_everywhere, slow, backend=backend, how="scope", twice=False, max_steps=1)
    sweep = once()
    assert "clean-up took 0.3" in found(sweep, "slow").what
    assert sweep.slowest_unwinding > 0.29
    once(grace=0.3).check()


# -- cancelled twice -------------------------------------------------------------------------------


async def clean_up_with_an_await() -> None:
    descriptor, path = tempfile.mkstemp()
    os.close(descriptor)
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        Path(path).unlink()
        raise
    Path(path).unlink()


def test_the_second_cancel_finds_an_await_in_the_clean_up() -> None:
    assert cancel_everywhere(clean_up_with_an_await, how="native", twice=False).ok
    leak = found(cancel_everywhere(clean_up_with_an_await, how="native"), "temporary file")
    assert leak.again == 1
    assert "again 1 moment(s) later" in str(leak)


def test_a_number_sends_the_second_cancel_further_into_the_clean_up() -> None:
    cancels = [
        cancel_everywhere(clean_up_with_an_await, how="native", twice=twice).cancels
        for twice in (0, 1, 2, 3)
    ]
    # 3 moments of 2 steps; the last two of them start a clean-up of at most 5 moments.
    assert cancels[0] == 3
    assert cancels == sorted(set(cancels)), "each moment further is a further set of runs"


# -- what is swept ---------------------------------------------------------------------------------


@on_each
def test_every_moment_of_every_step_is_hit(backend: Backend) -> None:
    passed: list[int] = []

    async def three_checkpoints() -> None:
        passed.append(0)
        for _ in range(3):
            await checkpoint()
            passed[-1] += 1

    sweep = cancel_everywhere(three_checkpoints, backend=backend, how="scope", twice=False)
    assert sweep.steps == 4
    assert sweep.cancels == 7, "before and after each step, and after the last is too late"
    assert passed[0] == 3
    assert passed[-1] == 3, "the run that ends the sweep is not cancelled any more"
    assert set(passed[1:]) == {0, 1, 2, 3}


@on_each
def test_the_steps_of_children_count(backend: Backend) -> None:
    async def family() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(checkpoint)

    sweep = cancel_everywhere(family, backend=backend, how="scope", twice=False)
    assert sweep.steps == 2 + 3 * 2
    assert sweep.cancels == 2 * sweep.steps - 1


def test_natively_the_awaited_result_may_be_there_already() -> None:
    """Between the result and the step that takes it: the moment that loses items."""
    lost = []

    async def take() -> None:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[int] = loop.create_future()
        loop.call_soon(lambda: None if waiter.cancelled() else waiter.set_result(1))
        try:
            await waiter
        except asyncio.CancelledError:
            lost.append(not waiter.cancelled())
            raise

    assert cancel_everywhere(take, how="native", twice=False).ok
    assert lost == [False, True], "cancelled while it waits; between the result and its step"


def test_max_steps_bounds_the_sweep_and_says_so() -> None:
    async def long() -> None:
        for _ in range(20):
            await checkpoint()

    sweep = cancel_everywhere(long, how="scope", twice=False, max_steps=5)
    assert sweep.cancels == 10
    assert sweep.unswept == "only the first max_steps=5 steps: raise it, or shorten"
    assert "not all was swept: only the first max_steps=5" in str(sweep)


def test_every_way_is_swept_by_default() -> None:
    assert cancel_everywhere(checkpoint).hows == ("scope", "native")
    assert cancel_everywhere(checkpoint, backend="uvloop").hows == ("scope", "native")
    assert cancel_everywhere(checkpoint, backend="trio").hows == ("scope",)


@on_each
def test_the_place_is_the_users_line(backend: Backend) -> None:
    async def inner() -> None:
        await checkpoint()  # the place

    async def outer() -> None:
        descriptor = os.open(os.devnull, os.O_RDONLY)
        await inner()
        os.close(descriptor)

    leak = found(cancel_everywhere(outer, backend=backend), "fd")
    assert leak.place
    assert Path(leak.place.file).name == HERE
    assert leak.place.source == "await checkpoint()  # the place"
    assert leak.place.function.endswith("inner")
    assert leak.place.task == "scenario"
    assert (leak.step, leak.before) == (1, True)


@on_each
def test_a_leak_without_any_cancel_is_told_apart(backend: Backend) -> None:
    async def always() -> None:
        await checkpoint()
        tempfile.mkdtemp()

    leak = found(cancel_everywhere(always, backend=backend), "temporary file")
    assert (leak.how, leak.step, leak.cancels) == (None, 0, 0)
    assert str(leak).endswith("without any cancel")


def test_what_only_the_first_run_leaves_is_the_processs_own() -> None:
    opened: list[int] = []

    async def opens_once() -> None:
        if not opened:
            opened.append(os.open(os.devnull, os.O_RDONLY))
        await checkpoint()

    try:
        cancel_everywhere(opens_once).check()
    finally:
        os.close(*opened)


# -- clean scenarios -------------------------------------------------------------------------------


async def task_groups() -> None:
    async with anyio.create_task_group() as outer, anyio.create_task_group() as inner:
        outer.start_soon(anyio.sleep, 0)
        inner.start_soon(checkpoint)


async def locks() -> None:
    lock = anyio.Lock()

    async def work() -> None:
        async with lock:
            await checkpoint()

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(work)


async def streams() -> None:
    send, receive = anyio.create_memory_object_stream[int](1)

    async def produce() -> None:
        with send:
            for item in range(3):
                await send.send(item)

    with send, receive:
        async with anyio.create_task_group() as group:
            group.start_soon(produce)
            async for _ in receive:
                await checkpoint()


async def threads() -> None:
    await anyio.to_thread.run_sync(int)


async def files() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with await anyio.open_file(Path(folder) / "it", "w") as file:
            await file.write("text")


async def sockets() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "socket"
        async with (
            await anyio.create_unix_listener(path) as listener,
            await anyio.connect_unix(path) as client,
            await listener.accept() as server,
        ):
            await client.send(b"hello")
            await server.receive()


async def killed_child() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:  # noqa: ASYNC220
        try:
            await checkpoint()
        finally:
            child.kill()


@pytest.mark.parametrize("scenario", [task_groups, locks, streams, threads, killed_child])
@on_each
def test_clean_scenarios_are_clean(scenario: Scenario, backend: Backend) -> None:
    sweep = cancel_everywhere(scenario, backend=backend)
    sweep.check()
    assert sweep.cancels > 2 * sweep.steps
    assert not sweep.unswept


@pytest.mark.parametrize("scenario", [files, sockets])
@on_both
def test_files_and_sockets_work_under_it(scenario: Scenario, backend: Backend) -> None:
    sweep = cancel_everywhere(scenario, backend=backend, how="scope", twice=False)
    assert sweep.cancels >= 5
    assert {leak.kind for leak in sweep.leaks} <= {"fd", "warning"}, str(sweep)


def test_it_works_in_a_thread() -> None:
    sweeps: list[CancelSweep] = []
    thread = threading.Thread(target=lambda: sweeps.append(cancel_everywhere(killed_child)))
    thread.start()
    thread.join()
    sweeps[0].check()


# -- known-dirty peers -----------------------------------------------------------------------------


async def communicate_with_a_grandchild() -> None:
    child = await asyncio.create_subprocess_shell(
        "sleep 0.25 & sleep 0.25; wait", stdout=subprocess.PIPE
    )
    await child.communicate()


def test_asyncios_communicate_leaves_its_children(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        sweep = cancel_everywhere(communicate_with_a_grandchild, how="native", twice=False)
    finally:
        # asyncio's threads hold the transports until the children have exited; without this the
        # transports would warn, and fail to close, in a later test.
        for thread in threading.enumerate():
            if thread.name.startswith("asyncio-waitpid-"):
                thread.join(20)
        monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
        with warnings.catch_warnings(action="ignore"):
            gc.collect()
    assert {"child", "fd", "warning"} <= {leak.kind for leak in sweep.leaks}
    assert sweep.dirty >= sweep.cancels // 3


# -- errors ----------------------------------------------------------------------------------------


@on_each
def test_a_scenario_that_fails_by_itself_raises(backend: Backend) -> None:
    async def fails() -> None:
        await checkpoint()
        raise LookupError("by itself")

    with pytest.raises(LookupError, match="by itself") as raised:
        cancel_everywhere(fails, backend=backend)
    assert raised.value.__notes__ == [
        "raised without any cancel: the sweep needs a scenario that succeeds"
    ]


def test_damage_that_shows_in_a_later_run_is_found() -> None:
    held = False

    async def holds() -> None:
        nonlocal held
        if held and len(runs) > 2:
            raise LookupError("still held")
        held = True
        runs.append(held)
        await checkpoint()
        held = False

    runs: list[bool] = []
    sweep = cancel_everywhere(holds, how="native", twice=False)
    assert ("error", None) in {(leak.kind, leak.how) for leak in sweep.leaks}


@pytest.mark.parametrize("backend", ["trio", "uvloop"])
def test_a_back_end_that_is_not_there(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aconcur.testing._cancel.backends.find_spec", lambda _: None)
    with pytest.raises(MissingRequirementError, match=f"^{backend} was not found: pip install"):
        cancel_everywhere(checkpoint, backend=backend)


def test_an_invariant_that_is_broken_anyway_raises() -> None:
    def broken() -> None:
        raise AssertionError("no balance")

    with pytest.raises(AssertionError, match="no balance"):
        cancel_everywhere(checkpoint, invariant=broken)


@on_each
def test_a_scenario_that_does_not_end_by_itself_raises(backend: Backend) -> None:
    with pytest.raises(TimeoutError, match=r"no end within limit=0.1 s; waiting: "):
        cancel_everywhere(anyio.sleep_forever, backend=backend, limit=0.1)


async def test_it_refuses_to_run_in_a_loop() -> None:
    with pytest.raises(RuntimeError, match="call it from a plain function"):
        cancel_everywhere(checkpoint)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "curio"}, "backend must be one of asyncio, uvloop, trio, not 'curio'"),
        (
            {"backend": "trio", "how": "native"},
            "how must be one of scope or None on trio, not 'native'",
        ),
        ({"twice": -1}, "twice must be False, True or a number of cancel points, not -1"),
        ({"grace": -0.1}, "grace must be at least 0 seconds, not -0.1"),
        ({"limit": 1, "grace": 1}, "limit must be more than grace=1 seconds, not 1"),
        ({"max_steps": 0}, "max_steps must be at least 1, not 0"),
    ],
)
def test_arguments_that_cannot_be(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        cancel_everywhere(checkpoint, **arguments)  # type: ignore[arg-type]


def test_ctrl_c_ends_the_sweep() -> None:
    async def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cancel_everywhere(interrupted)


def test_a_dirty_sweep_fails_its_check_with_the_report() -> None:
    sweep = cancel_everywhere(clean_up_with_an_await)
    with pytest.raises(CancelSweepFailed) as raised:
        sweep.check()
    assert raised.value.sweep is sweep
    assert str(raised.value) == str(sweep)
