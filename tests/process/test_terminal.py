"""Interactive programs keep the terminal: its input, and its Ctrl-C."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAM = """
import anyio, os, sys
from aconcur.process import INHERIT, Command, CommandFailed

async def main():
    greet = Command("sh", "-c", 'read line; echo "read $line"; exec sleep 60')
    try:
        await greet.run(input=INHERIT, output=INHERIT)
    except CommandFailed as error:
        print(error.completed.returncodes)

try:
    anyio.run(main, backend=sys.argv[1])
except KeyboardInterrupt:
    print("interrupted")
"""

SHELL = "import os; os.execvp('bash', ['bash', '--norc', '-i'])"

STOPPED = """
import anyio, sys
from aconcur.process import INHERIT, Command

async def main():
    greet = Command("sh", "-c", "echo waiting; read line; echo read $line")
    await greet.run(input=INHERIT, output=INHERIT)
    print("done")

anyio.run(main, backend=sys.argv[1])
"""


def _until(leader: int, text: bytes) -> bytes:
    screen = b""
    while text not in screen:
        assert select.select([leader], [], [], 20)[0], screen
        try:
            screen += os.read(leader, 4096)
        except OSError:  # EIO: the last writer has gone
            break
    return screen


TAKER = """
import os, signal, time, tty
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
os.setpgid(0, 0)
os.tcsetpgrp(0, os.getpgrp())
tty.setraw(0)
print("taken", flush=True)
time.sleep(60)
"""

LENDER = """
import anyio, os, sys, termios
from aconcur.process import INHERIT, Command, CommandTimeout

async def main():
    taker = Command(sys.executable, "-ISc", sys.argv[2])
    with anyio.move_on_after(3600) as scope:
        def heard(data):
            scope.cancel()
        await taker.run(input=INHERIT, output=heard, grace=0)
    print("ours again", os.tcgetpgrp(0) == os.getpgrp())
    print("with echo", bool(termios.tcgetattr(0)[3] & termios.ECHO))
    await Command("stty", "-echo").run(input=INHERIT)
    print("as left", not termios.tcgetattr(0)[3] & termios.ECHO)
    print("read", input())

anyio.run(main, backend=sys.argv[1])
"""


@contextmanager
def on_a_terminal(*args: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run Python with a new terminal in control of it; yield it and our end of the terminal."""
    leader, follower = pty.openpty()

    def take_the_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [sys.executable, "-c", *args],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        preexec_fn=take_the_terminal,
    )
    os.close(follower)
    try:
        yield process, leader
    finally:
        process.kill()
        process.wait()
        os.close(leader)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_child_reads_from_the_terminal_and_hears_its_ctrl_c(backend: str) -> None:
    with on_a_terminal(PROGRAM, backend) as (process, leader):
        os.write(leader, b"hello\n")
        _until(leader, b"read hello\r\n")
        os.write(leader, b"\x03")
        screen = _until(leader, b"\n")
        assert process.wait(30) == 0
        assert b"interrupted" in screen + _until(leader, b"interrupted")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_a_killed_child_did_to_the_terminal_is_undone(backend: str) -> None:
    with on_a_terminal(LENDER, backend, TAKER) as (process, leader):
        screen = _until(leader, b"as left")
        os.write(leader, b"hello\n")
        screen += _until(leader, b"read")
        assert b"ours again True" in screen
        assert b"with echo True" in screen
        assert process.wait(20) == 0
        screen += _until(leader, b"hello")
        assert b"as left True" in screen
        assert screen.rstrip().endswith(b"read hello")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ctrl_z_stops_the_child_and_us_and_both_go_on(tmp_path: Path, backend: str) -> None:
    with on_a_terminal(SHELL) as (_, leader):
        program = tmp_path / "program"
        program.write_text(STOPPED)
        os.write(leader, f"{sys.executable} {program} {backend}\n".encode())
        _until(leader, b"waiting\r\n")
        os.write(leader, b"\x1a")
        _until(leader, b"Stopped")
        os.write(leader, b"fg\n")
        os.write(leader, b"hello\n")
        assert b"read hello\r\n" in _until(leader, b"done\r\n")
