"""Interactive programs keep the terminal: its input, and its Ctrl-C."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.pseudo_terminal import open_pseudo_terminal

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

STOPPED = """
import anyio, sys
from aconcur.process import INHERIT, Command

async def main():
    greet = Command("sh", "-c", "echo waiting; read line; echo read $line")
    await greet.run(input=INHERIT, output=INHERIT)
    print("done")

anyio.run(main, backend=sys.argv[1])
"""

# A group of its own may not read the terminal: the system stops it.
OUTSIDER = """
import anyio, sys
from aconcur.process import Command, CommandStopped

async def main():
    asks = Command("sh", "-c", "sleep 60 & read password </dev/tty; sleep 60")
    try:
        if sys.argv[2] == "run":
            await asks.run()
        else:
            async with asks.open() as running:
                await running.wait()
    except CommandStopped as error:
        print(error)

anyio.run(main, backend=sys.argv[1])
"""

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


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_child_reads_from_the_terminal_and_hears_its_ctrl_c(backend: str) -> None:
    with open_pseudo_terminal(sys.executable, "-c", PROGRAM, backend) as terminal:
        terminal.press("hello\n")
        terminal.wait_for_text("read hello\r\n")
        terminal.press("\x03")
        assert terminal.wait_for_end() == 0
        assert "interrupted" in terminal.screen


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_a_killed_child_did_to_the_terminal_is_undone(backend: str) -> None:
    with open_pseudo_terminal(sys.executable, "-c", LENDER, backend, TAKER) as terminal:
        terminal.wait_for_text("as left")
        terminal.press("hello\n")
        assert terminal.wait_for_end() == 0
        for line in ("ours again True", "with echo True", "as left True"):
            assert line in terminal.screen
        assert terminal.screen.rstrip().endswith("read hello")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ctrl_z_stops_the_child_and_us_and_both_go_on(tmp_path: Path, backend: str) -> None:
    with open_pseudo_terminal("bash", "--norc", "-i", columns=1000, PS1="ready> ") as terminal:
        program = tmp_path / "program"
        program.write_text(STOPPED)
        # What is typed while the shell takes or gives the terminal may be lost, or the shell's.
        terminal.wait_for_text("ready> ")
        terminal.press(f"{sys.executable} {program} {backend}\n")
        terminal.wait_for_text("waiting\r\n")
        terminal.press("\x1a")
        terminal.wait_for(lambda: "ready> " in terminal.screen.partition("Stopped")[2])
        stopped = len(terminal.screen)
        # The first key after a job has stopped may be lost, or be the job's: a space harms none.
        terminal.press(" fg\n")
        terminal.wait_for(lambda: f"{program} {backend}\r\n" in terminal.screen[stopped:])
        terminal.press("hello\n")
        terminal.wait_for_text("done\r\n")
        assert "read hello\r\n" in terminal.screen


@pytest.mark.parametrize("way", ["run", "open"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_command_that_asks_on_our_terminal_is_told_and_ended(backend: str, way: str) -> None:
    with open_pseudo_terminal(
        sys.executable, "-c", OUTSIDER, backend, way, columns=1000
    ) as terminal:
        assert terminal.wait_for_end() == 0
    assert "was stopped by SIGTTIN, since it wants the terminal: lend it with" in terminal.screen
