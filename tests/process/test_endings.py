"""However a run ends, nothing of it is left: no process, no zombie, no descriptor."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from aconcur.process import PIPE, Command, CommandFailed, CommandTimeout
from tests.support.backends import on_asyncio
from tests.support.commands import IGNORES_TERM, descriptors, lives, noted_pids, python, sh
from tests.support.states import until

BIG = bytes(1 << 20)
DEFAULT_GRACE = 2.0


def stubborn(folder: Path) -> Command:
    return python(IGNORES_TERM, folder)


def family(folder: Path) -> Command:
    """Return a shell with children of its own, of which one ignores SIGTERM."""
    script = (
        f"(: > {folder}/pid.$$; sh -c ': > {folder}/pid.$$; sleep 60') & "
        f"sh -c 'trap \"\" TERM; : > {folder}/pid.$$; while :; do sleep 60; done' & wait"
    )
    return sh(script)


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 5000
        await anyio.lowlevel.checkpoint()


# Timeout


async def test_a_timeout_is_told_with_what_was_read() -> None:
    with pytest.raises(CommandTimeout, match=r"sh -c .* was ended after 0.8 s: allow") as caught:
        await sh("echo early; echo why >&2; exec sleep 60").run(timeout=0.8)
    done = caught.value.completed
    assert (done.stdout, done.returncodes) == (b"early\n", (-signal.SIGTERM,))
    assert done.stages[0].stderr == b"why\n"
    assert isinstance(caught.value, TimeoutError)
    assert pickle.loads(pickle.dumps(caught.value)).completed == done


@pytest.mark.parametrize("timeout", [0, -1, 0.01])
async def test_no_time_is_too_little(timeout: float) -> None:
    with pytest.raises(CommandTimeout):
        await Command("sleep", "60").run(timeout=timeout)


async def test_enough_time_changes_nothing() -> None:
    assert (await Command("echo", "x").run(timeout=20)).stdout == b"x\n"


async def test_who_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    began = anyio.current_time()
    with pytest.raises(CommandTimeout) as caught:
        await (stubborn(tmp_path) | stubborn(tmp_path)).run(timeout=1, grace=0.2)
    assert caught.value.completed.returncodes == (-9, -9)
    assert 1.2 <= anyio.current_time() - began < 1 + DEFAULT_GRACE


async def test_the_grace_is_for_good_byes() -> None:
    polite = python(
        "import signal, sys, time\n"
        "def bye(*_):\n"
        "    sys.stderr.write('bye ' * 50_000); sys.stdout.write('o' * 200_000); sys.exit(5)\n"
        "signal.signal(signal.SIGTERM, bye)\n"
        "sys.stderr.write('ready'); sys.stderr.flush()\n"
        "while True: time.sleep(1)"
    )
    with pytest.raises(CommandTimeout) as caught:
        await polite.run(timeout=1, grace=20)
    [stage] = caught.value.completed.stages
    assert (stage.returncode, stage.stderr[-4:]) == (5, b"bye ")


async def test_a_stopped_process_is_ended() -> None:
    with pytest.raises(CommandTimeout) as caught:
        await sh("kill -STOP $$").run(timeout=0.1, grace=20)
    assert caught.value.completed.returncodes == (-signal.SIGTERM,)


@pytest.mark.parametrize("given", [b"", b"x", BIG], ids=["none", "small", "big"])
async def test_who_ignores_the_end_of_its_input_is_ended(given: bytes) -> None:
    deaf = python(
        "import sys, time\n"
        "while True:\n"
        "    read = sys.stdin.buffer.read()\n"
        "    if read: print(len(read), flush=True)\n"
        "    time.sleep(0.01)"
    )
    with pytest.raises(CommandTimeout) as caught:
        await (Command("cat") | deaf).run(input=given, timeout=0.5)
    assert caught.value.completed.returncodes == (0, -signal.SIGTERM)
    assert caught.value.completed.stdout == (b"%d\n" % len(given) if given else b"")
    with anyio.move_on_after(0.3):
        async with deaf.open(input=PIPE) as running:
            running.close_input()
            await running.wait()
    assert running.returncodes == (-signal.SIGTERM,)


@pytest.mark.parametrize("program", ["yes", "cat /dev/zero"])
async def test_a_flood_is_ended(program: str) -> None:
    with pytest.raises(CommandTimeout):
        await (sh(program) | Command("cat")).run(timeout=0.1, output=len)


# Cancellation


async def cancel_by_scope(command: Command, folder: Path, count: int, **options: object) -> None:
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def run() -> None:
                await command.run(**options)  # type: ignore[arg-type]

            tasks.start_soon(run)
            await until(lambda: len(noted_pids(folder)) >= count)
            scope.cancel()


@pytest.mark.parametrize("source", [b"", BIG, "endless"], ids=["none", "bytes", "async"])
async def test_a_cancelled_run_takes_grandchildren_along(
    tmp_path: Path, source: bytes | str
) -> None:
    given = endless() if source == "endless" else source
    began = anyio.current_time()
    await cancel_by_scope(family(tmp_path), tmp_path, 2, input=given, grace=0.1)
    assert anyio.current_time() - began < 10
    await until(lambda: not any(map(lives, noted_pids(tmp_path))))


@on_asyncio
@pytest.mark.parametrize("again", [0, 1, 5])
async def test_a_native_cancellation_ends_within_the_grace(tmp_path: Path, again: int) -> None:
    task = asyncio.ensure_future(stubborn(tmp_path).run(input=BIG, grace=0.2))
    await until(lambda: noted_pids(tmp_path))
    began = anyio.current_time()
    task.cancel()
    for _ in range(again):
        await asyncio.sleep(0.02)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 0.2 <= anyio.current_time() - began < DEFAULT_GRACE
    assert not lives(noted_pids(tmp_path)[0])


@on_asyncio
async def test_asyncio_timeout_and_task_group_end_it(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await stubborn(tmp_path).run(input=endless(), grace=0.1)

    before = len(noted_pids(tmp_path))

    async def fail() -> None:
        await until(lambda: len(noted_pids(tmp_path)) > before)
        raise LookupError

    with pytest.RaisesGroup(LookupError):
        async with asyncio.TaskGroup() as group:
            group.create_task(stubborn(tmp_path).run(grace=0.1))
            group.create_task(fail())
    assert not any(map(lives, noted_pids(tmp_path)))


@on_asyncio
async def test_cancelled_while_a_timeout_cleans_up(tmp_path: Path) -> None:
    hears = sh(
        f"trap ': > {tmp_path}/term' TERM; : > {tmp_path}/pid.$$; while :; do sleep 0.05; done"
    )
    task = asyncio.ensure_future(hears.run(timeout=1, grace=0.4))
    await until((tmp_path / "term").exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not lives(noted_pids(tmp_path)[0])


async def test_a_second_cancel_from_outside_changes_nothing(tmp_path: Path) -> None:
    with anyio.CancelScope() as outer, anyio.CancelScope() as inner:
        async with anyio.create_task_group() as tasks:

            async def run() -> None:
                await stubborn(tmp_path).run(grace=0.2)

            tasks.start_soon(run)
            await until(lambda: noted_pids(tmp_path))
            inner.cancel()
            outer.cancel()
    assert not lives(noted_pids(tmp_path)[0])


@pytest.mark.parametrize("steps", [*range(12), 20, 40])
async def test_cancelled_after_any_number_of_steps(steps: int) -> None:
    await Command("true").run()
    before = descriptors()
    pipe = Command("cat") | Command("cat") | sh("cat; sleep 60")
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            for given in (b"", BIG, endless()):

                async def run(given: object = given) -> None:
                    await pipe.run(input=given)  # type: ignore[arg-type]

                tasks.start_soon(run)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            scope.cancel()
    assert descriptors() == before


@on_asyncio
@pytest.mark.parametrize("steps", [*range(12), 20, 40])
async def test_natively_cancelled_after_any_number_of_steps(steps: int) -> None:
    await Command("true").run()
    before = descriptors()
    pipe = Command("cat") | Command("cat") | sh("cat; sleep 60")
    for given in (b"", BIG, endless()):
        task = asyncio.ensure_future(pipe.run(input=given))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        while not task.done():
            await asyncio.sleep(0)
            task.cancel()
        assert task.cancelled()
    assert descriptors() == before


# What stages leave behind


async def test_what_a_stage_left_in_the_background_ends_with_the_run(tmp_path: Path) -> None:
    done = await sh(f"(: > {tmp_path}/pid.$$; exec sleep 60) >&- 2>&- & wait_for=$!; echo $!").run()
    pid = int(done.stdout)
    await until(lambda: not lives(pid))


async def test_who_makes_a_session_of_its_own_lives_on() -> None:
    daemon = python(
        "import os, sys, time\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid(); print(os.getpid(), flush=True)\n"
        "for fd in range(3): os.close(fd)\n"
        "time.sleep(60)"
    )
    pid = int((await daemon.run()).stdout)
    assert lives(pid)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not lives(pid))


async def test_an_orphan_that_holds_the_output_is_given_up_after_linger() -> None:
    began = anyio.current_time()
    done = await sh("sleep 60 & echo $!").run(linger=0.1, check=False)
    assert (done.held, done.cut_off, done.ok) == (True, True, False)
    assert 0.1 <= anyio.current_time() - began < 2
    pid = int(done.stdout)
    await until(lambda: not lives(pid))


async def test_linger_counts_from_the_last_byte() -> None:
    script = "for i in 1 2 3 4 5 6; do sleep 0.1; echo $i; done"
    done = await sh(f"({script}) & exit 0").run(linger=1)
    assert (done.stdout.split(), done.held) == ([b"1", b"2", b"3", b"4", b"5", b"6"], False)


async def test_a_failure_leaves_no_group(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed):
        await sh(f"sh -c ': > {tmp_path}/pid.$$; exec sleep 60' & exit 3").run(linger=0.1)
    await until(lambda: not any(map(lives, noted_pids(tmp_path))))
