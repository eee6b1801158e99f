"""Commands that are told to end can end, and those that cannot be ended hold up nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from aconcur.process import Command, CommandNotEnded, CommandTimeout, run_many
from tests.support.commands import IGNORES_TERM, lives, noted_pids, python, sh
from tests.support.pseudo_terminal import open_pseudo_terminal
from tests.support.states import until, until_sync

# Says more good-byes than any pipe holds, on both streams, and then ends.
CHATTY = """
import os, signal, sys
def bye(*_):
    for fd in (1, 2):
        view = memoryview(b"bye " * 700_000)
        while view: view = view[os.write(fd, view):]
    os._exit(7)
signal.signal(signal.SIGTERM, bye)
os.write(1, b"ready\\n")
while True: signal.pause()
"""


@pytest.mark.parametrize("way", ["break", "raise", "cancel"])
async def test_a_good_bye_on_stdout_costs_no_grace(way: str) -> None:
    with anyio.CancelScope() as scope:
        try:
            async with python(CHATTY).open(grace=20) as running:
                assert await anext(running.lines()) == b"ready"
                began = time.perf_counter()
                if way == "raise":
                    raise KeyError
                if way == "cancel":
                    scope.cancel()
                    await anyio.sleep(1)
        except KeyError:
            pass
    assert running.returncodes == (7,)
    assert time.perf_counter() - began < 10


async def test_nothing_of_the_group_lives_when_the_call_returns(tmp_path: Path) -> None:
    many = f"for i in 1 2 3 4 5 6; do (: > {tmp_path}/pid.$(sh -c 'echo $PPID'); sleep 60) & done"
    for _ in range(10):
        with anyio.move_on_after(0.1):
            await sh(f"{many}; wait").run(grace=0)
        assert not any(map(lives, noted_pids(tmp_path)))
    await sh(many + " >/dev/null 2>&1").run(linger=0, check=False)
    assert not any(map(lives, noted_pids(tmp_path)))


# A last stage that ends the pipe


async def test_the_pipe_is_over_when_its_last_stage_is() -> None:
    source = sh("trap 'exit 3' TERM; echo noise; echo ready; while :; do sleep 0.05; done")
    pipe = source | Command("grep", "-m1", "ready")
    done = await pipe.run(until_last=True, timeout=20)
    assert (done.stdout, done.returncodes, done.ok) == (b"ready\n", (3, 0), True)
    with anyio.fail_after(20):
        async with pipe.open(until_last=True) as running:
            assert [line async for line in running.lines()] == [b"ready"]


async def test_a_stage_before_the_last_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    noted = sh(f"until ls {tmp_path}/pid.* >/dev/null 2>&1; do sleep 0.01; done")
    pipe = python(IGNORES_TERM, tmp_path) | noted
    done = await pipe.run(until_last=True, grace=0.1, timeout=20)
    assert (done.returncodes, done.ok) == ((-9, 0), True)


async def test_without_being_told_so_the_first_stage_is_waited_for() -> None:
    with pytest.raises(CommandTimeout):
        await (sh("exec sleep 60") | sh("exit 0")).run(timeout=0.2, grace=0)


async def test_many_commands_may_stop_at_the_first_failure(tmp_path: Path) -> None:
    from aconcur.process import RAISE, CommandFailed

    jobs = [sh(f": > {tmp_path}/pid.$$; sleep 60"), sh("sleep 0.1; exit 3"), Command("true")]
    with pytest.raises(CommandFailed, match="exited with 3"):  # noqa: PT012 - a block
        async with run_many(jobs, limit=2, on_error=RAISE, grace=0) as outcomes:
            async for outcome in outcomes:
                assert outcome.error is None
    assert not any(map(lives, noted_pids(tmp_path)))


# What cannot be killed


@pytest.fixture
def no_right_to_kill() -> Iterator[None]:
    real = os.kill, os.killpg

    def refuse(pid: int, _: int) -> None:
        raise PermissionError(1, "Operation not permitted", str(pid))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "kill", refuse)
        patch.setattr(os, "killpg", refuse)
        yield
    assert (os.kill, os.killpg) == real


@pytest.mark.usefixtures("no_right_to_kill")
@pytest.mark.parametrize("way", ["timeout", "cancel", "block"])
async def test_a_command_that_cannot_be_killed_is_told_after_the_grace(way: str) -> None:
    began = time.perf_counter()
    command = sh("exec sleep 1.5")
    told = r"sleep 1.5.* runs on, 0.2 s after.*sudo kill \d+"
    with pytest.raises(CommandNotEnded, match=told) as e:  # noqa: PT012 - several ways
        if way == "timeout":
            await command.run(timeout=0.1, grace=0.2)
        elif way == "cancel":
            with anyio.move_on_after(0.1):
                await command.run(grace=0.2)
        else:
            async with command.open(grace=0.2):
                pass
    assert time.perf_counter() - began < 1.2
    [pid] = e.value.pids
    assert e.value.completed.returncodes == (None,)
    await until(lambda: not Path(f"/proc/{pid}").exists())  # a thread reaps it


SUBREAPER = """
import ctypes, os, sys, anyio
from aconcur.process import Command, CommandNotFound
def zombies():
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try: fields = open(f"/proc/{name}/stat").read().rpartition(")")[2].split()
        except OSError: continue
        if fields[0] == "Z" and int(fields[1]) == os.getpid(): found.append(name)
    return found
async def main():
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    for grace in (0, 0.2, 2):
        with anyio.move_on_after(.1):
            await Command("sh", "-c", "sleep 60 & sleep 61 & wait").run(grace=grace)
        print(zombies())
    await Command("sh", "-c", "sleep 60 >/dev/null 2>&1 & exit 0").run()
    print(zombies())
    try:
        await (Command("sh", "-c", "sleep 60 & sleep 60 & wait") | Command("no-such")).run()
    except CommandNotFound:
        print(zombies())
    with anyio.move_on_after(.3):
        async with Command("bash", "--norc", "-i").open(pty=True, grace=0.1) as running:
            await running.write(b"set -m; sleep 60 & sleep 61 &\\n")
            await anyio.sleep(60)
    print(zombies())
anyio.run(main, backend=sys.argv[1])
"""


def test_as_pid_1_no_zombie_stays(anyio_backend_name: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SUBREAPER, anyio_backend_name], capture_output=True, check=False
    )
    assert (ran.stdout, ran.stderr) == (b"[]\n" * 6, b"")


IMPATIENT = """
import anyio, sys
from aconcur.process import Command
async def main():
    ignore = ": > $0/pid.$$; trap '' TERM INT; echo; while :; do sleep 1; done"
    stubborn = Command("sh", "-c", ignore, sys.argv[2])
    await stubborn.run(grace=60, output=lambda data: print("ready", flush=True))
anyio.run(main, backend=sys.argv[1])
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_pressing_ctrl_c_again_and_again_leaves_no_command(backend: str, tmp_path: Path) -> None:
    with open_pseudo_terminal(sys.executable, "-c", IMPATIENT, backend, str(tmp_path)) as terminal:
        terminal.wait_for_text("ready")
        stop = threading.Event()

        def press() -> None:
            while not stop.wait(0.2):
                terminal.press("\x03")

        thread = threading.Thread(target=press)
        thread.start()
        try:
            terminal.wait_for_end()
        finally:
            stop.set()
            thread.join()
    until_sync(lambda: not any(map(lives, noted_pids(tmp_path))), bound=1)
