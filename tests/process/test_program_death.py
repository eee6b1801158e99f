"""If the program dies, however it dies, its commands die within a second."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.commands import lives, noted_pids
from tests.support.states import until_sync

LOOPS = ("asyncio", "uvloop", "trio")

# Every process of the group notes its pid: a shell, a child that ignores SIGTERM, and a sleep.
FAMILY = """
: > $0/pid.$$
sh -c ': > $0/pid.$$; trap "" TERM HUP; while :; do sleep 60; done' $0 &
sh -c ': > $0/pid.$$; exec sleep 60' $0
"""

HEAD = """
import sys, anyio
from aconcur.process import PIPE, Command, run_many
family = Command("sh", "-c", sys.argv[2], sys.argv[3])
options = {"use_uvloop": True} if sys.argv[1] == "uvloop" else {}
backend = "trio" if sys.argv[1] == "trio" else "asyncio"
def start(main): anyio.run(main, backend=backend, backend_options=options)
"""

RUN = "start((family | Command('cat')).run)"

OPEN = """
async def main():
    async with family.open(input=PIPE) as running:
        await running.wait()
start(main)
"""

TERMINAL = """
async def main():
    async with Command("bash", "--norc", "-i").open(pty=True) as running:
        await running.write(b"set -m; sh -c '" + sys.argv[2].replace("'", "'\\\\''").encode()
            + b"' " + sys.argv[3].encode() + b" &\\n")
        async for _ in running.chunks(): pass
start(main)
"""

MANY = """
async def main():
    async with run_many([family] * 3, limit=3) as outcomes:
        async for outcome in outcomes: pass
start(main)
"""

THREADS = """
import threading
for _ in range(3): threading.Thread(target=start, args=(family.run,)).start()
"""


@contextmanager
def program(code: str, loop: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HEAD + code, loop, FAMILY, str(folder)],
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
        for pid in noted_pids(folder):
            if lives(pid):
                os.kill(pid, signal.SIGKILL)


def dead(folder: Path) -> Callable[[], bool]:
    return lambda: not any(map(lives, noted_pids(folder)))


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_killed_while_it_runs_commands_none_lives_a_second_later(
    number: int, loop: str, tmp_path: Path
) -> None:
    with program(RUN, loop, tmp_path) as process:
        until_sync(lambda: len(noted_pids(tmp_path)) == 3)
        process.send_signal(number)
        process.wait()
        until_sync(dead(tmp_path), bound=1)


@pytest.mark.parametrize(
    ("code", "families"), [(OPEN, 1), (MANY, 3), (THREADS, 3)], ids=["open", "many", "threads"]
)
def test_killed_however_the_commands_were_started(code: str, families: int, tmp_path: Path) -> None:
    with program(code, "asyncio", tmp_path) as process:
        until_sync(lambda: len(noted_pids(tmp_path)) == 3 * families)
        process.kill()
        process.wait()
        until_sync(dead(tmp_path), bound=1)


def test_killed_with_a_shell_on_a_terminal_its_jobs_die_too(tmp_path: Path) -> None:
    with program(TERMINAL, "asyncio", tmp_path) as process:
        until_sync(lambda: len(noted_pids(tmp_path)) == 3)
        process.kill()
        process.wait()
        until_sync(dead(tmp_path), bound=1)


STARTING = """
import os, subprocess
from aconcur._core.guardian import guardian
guardian.reserve()
child = subprocess.Popen(["sh", "-c", sys.argv[2], sys.argv[3]], process_group=0)
child.wait()
"""


def test_killed_between_a_start_and_its_note_the_command_dies(tmp_path: Path) -> None:
    with program(STARTING, "asyncio", tmp_path) as process:
        until_sync(lambda: len(noted_pids(tmp_path)) == 3)
        process.kill()
        process.wait()
        until_sync(dead(tmp_path), bound=1)


def test_a_program_that_ends_by_itself_leaves_daemons_and_no_guardian(tmp_path: Path) -> None:
    # The stage ends when its daemon is in a session of its own: before that it is one of its group.
    daemon = (
        "async def main():\n"
        '    await Command("sh", "-c", "setsid sh -c \': > $0/pid.$$; exec sleep 60\' $0 '
        "</dev/null >/dev/null 2>&1 & "
        'until ls $0/pid.* >/dev/null 2>&1; do sleep 0.01; done", sys.argv[3]).run()\n'
        "start(main)"
    )
    with program(daemon, "asyncio", tmp_path) as process:
        assert process.wait() == 0
        assert lives(noted_pids(tmp_path)[0])
        until_sync(lambda: not guardians(process.pid))


def guardians(session: int) -> list[int]:
    """Return the guardians of the programs of a session, which is their last argument."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[-3:-1] == [b"aconcur-guardian", b"%d" % session]:
            found.append(int(folder.name))
    return found


def test_the_guardian_is_no_child_of_the_program(tmp_path: Path) -> None:
    with program(RUN, "asyncio", tmp_path) as process:
        until_sync(lambda: len(noted_pids(tmp_path)) == 3)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 2  # the stages
        assert len(guardians(process.pid)) == 1


FORKED = """
import os, signal, time
async def main(): await Command("true").run()
start(main)
if os.fork() == 0:
    # Holds copies of what the parent had open, and must not keep its commands alive.
    signal.alarm(20); time.sleep(60)
start(family.run)
"""


def test_a_forked_child_does_not_keep_the_commands_alive(tmp_path: Path) -> None:
    with program(FORKED, "asyncio", tmp_path) as process:
        until_sync(lambda: len(noted_pids(tmp_path)) == 3)
        process.kill()
        process.wait()
        try:
            until_sync(dead(tmp_path), bound=1)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


NO_SHELL = """
import subprocess
from aconcur._core import guardian
class Refusing(subprocess.Popen):
    def __init__(self, args, **how):
        if args[0] == "/bin/sh": raise FileNotFoundError(2, "No such file", "/bin/sh")
        super().__init__(args, **how)
guardian.subprocess.Popen = Refusing
start(Command("true").run)
print(guardian.guardian.descriptors())
"""


def test_without_a_shell_commands_run_all_the_same() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", HEAD + NO_SHELL, "asyncio", "", ""], capture_output=True, check=False
    )
    assert (ran.stdout, ran.stderr) == (b"frozenset()\n", b"")
