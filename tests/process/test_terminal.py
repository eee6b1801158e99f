"""Interactive programs keep the terminal: its input, and its Ctrl-C."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios

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


def _until(leader: int, text: bytes) -> bytes:
    screen = b""
    while text not in screen:
        assert select.select([leader], [], [], 20)[0], screen
        try:
            screen += os.read(leader, 4096)
        except OSError:  # EIO: the last writer has gone
            break
    return screen


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_child_reads_from_the_terminal_and_hears_its_ctrl_c(backend: str) -> None:
    leader, follower = pty.openpty()

    def take_the_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, backend],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        preexec_fn=take_the_terminal,
    )
    os.close(follower)
    try:
        os.write(leader, b"hello\n")
        _until(leader, b"read hello\r\n")
        os.write(leader, b"\x03")
        screen = _until(leader, b"\n")
        assert process.wait(30) == 0
        assert b"interrupted" in screen + _until(leader, b"interrupted")
    finally:
        process.kill()
        process.wait()
        os.close(leader)
