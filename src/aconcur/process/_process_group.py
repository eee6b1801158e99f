"""The processes of one pipe of commands, and the descriptors that lead to them.

Law: reap last. The first stage leads a process group of its own. Until it is reaped, its process
id and the group's are taken, so a signal cannot reach a stranger, however late it comes. A process
that leaves the group (setsid(2)) escapes, as it is meant to. On a terminal of its own it is the
session that counts, since a shell there puts its jobs into groups of their own.
"""

from __future__ import annotations

__all__ = ("Group",)

import os
import signal
import subprocess
from collections.abc import AsyncIterable, Callable
from contextlib import suppress
from time import perf_counter
from typing import Final, final

import anyio
from anyio.lowlevel import checkpoint

from aconcur._core.pipe_budget import DEFAULT_SIZE, PipeBudget
from aconcur.process._stdin import Feed
from aconcur.process._stage import Stage
from aconcur.process._pty import OurTerminal, session_members

# What Ctrl-D sends. A terminal takes it for the end only where a line begins; elsewhere it sends
# the line as it is (termios(3)).
_END_OF_INPUT: Final = b"\x04"


@final
class Group:
    """What :func:`~aconcur.process._spawn.spawn` has started. A descriptor of -1 is closed."""

    __slots__ = (
        "borrowed_input",
        "borrowed_output",
        "exits",
        "feed",
        "id",
        "in_line",
        "on_close",
        "own",
        "pipe_budget",
        "processes",
        "pty",
        "read_from",
        "source",
        "stages",
        "stderrs",
        "stdin",
        "stdin_size",
        "stdout",
        "terminal",
        "write_to",
    )

    def __init__(self, stages: tuple[Stage, ...], *, own: bool, pty: bool = False) -> None:
        self.stages: tuple[Stage, ...] = stages
        self.own: bool = own
        """Whether it is a process group of its own."""
        self.pty: bool = pty
        """Whether it is a session of its own too, on a terminal of its own."""
        self.terminal: OurTerminal | None = None
        """Our terminal, if it is lent to the stages."""
        self.id: int = 0
        self.processes: list[subprocess.Popen[bytes]] = []
        self.exits: list[int] = []
        self.stdin: int = -1
        self.stdin_size: int = DEFAULT_SIZE
        self.in_line: bool = False
        """Whether what was written last has no line end yet."""
        self.stdout: int = -1
        self.read_from: int = -1
        self.write_to: int = -1
        self.borrowed_input: int = -1
        self.borrowed_output: int = -1
        self.stderrs: dict[int, int] = {}
        self.feed: Feed | None = None
        self.source: AsyncIterable[bytes] | None = None
        self.pipe_budget: PipeBudget = PipeBudget()
        self.on_close: Callable[[], None] | None = None

    def add(self, process: subprocess.Popen[bytes]) -> None:
        """Take a stage in. From here on it is ours to end."""
        self.processes.append(process)
        self.id = self.id or process.pid

    def signal(self, number: int) -> None:
        """Send a signal to every process of the group that is left."""
        if self.pty and self.id:
            self._signal_session(number)
        elif self.own and self.id:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.id, number)
        else:
            for place in range(len(self.processes)):
                self.signal_stage(number, place)

    def _signal_session(self, number: int) -> None:
        told: set[int] = set()
        # Whoever starts a process while we look is found when we look again.
        while new := set(session_members(self.id)) - told:
            told |= new
            for pid in new:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)

    def signal_stage(self, number: int, place: int) -> None:
        """Send a signal to one stage; to one that has ended, in vain."""
        process = self.processes[place]
        if process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, number)

    def status(self, place: int) -> int | None:
        """Return what a stage exited with, or ``-n`` if signal n ended it; None while it runs.

        Does not reap: waitid(2) with WNOWAIT.
        """
        process = self.processes[place]
        if process.returncode is not None:
            return process.returncode
        found = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    async def write(self, view: memoryview) -> bool:
        """Write all of it to the first stage; return False if it cannot be, for it is closed.

        **Cancelled**: any part has been written.
        """
        await checkpoint()
        feed = Feed([view], self.stdin_size)
        if view:
            self.in_line = view[-1] not in b"\r\n"
        while self.stdin >= 0 and not feed.push(self.stdin):
            if feed.nap_until is None:
                with suppress(anyio.ClosedResourceError):  # while we waited
                    await anyio.wait_writable(self.stdin)
            else:
                await anyio.sleep(feed.nap_until - perf_counter())
        return self.stdin >= 0 and not feed.broken

    def close_stdin(self) -> None:
        """Give the first stage the end of its input: on a terminal, type Ctrl-D."""
        if self.stdin >= 0:
            if self.pty:
                with suppress(OSError):  # EAGAIN: nobody reads; EIO: it has hung up
                    os.write(self.stdin, _END_OF_INPUT * (2 if self.in_line else 1))
            os.close(self.stdin)
            self.stdin = -1

    def reap(self) -> None:
        """Kill what is left of the group, and take the statuses of the stages.

        Blocks until each stage has ended: at once, if they have, or a kill goes through.
        """
        self.signal(signal.SIGKILL)
        for process in self.processes:
            process.wait()
        if self.terminal is not None:
            killed = any(process.returncode < 0 for process in self.processes)
            self.terminal.take_back(modes=killed)
        self.id = 0

    def close(self) -> None:
        """Close every descriptor that is ours."""
        for fd in (self.stdin, self.stdout, self.read_from, self.write_to):
            if fd >= 0:
                os.close(fd)
        for fd in (*self.stderrs.values(), *self.exits):
            if fd >= 0:
                os.close(fd)
        self.stdin = self.stdout = self.read_from = self.write_to = -1
        self.stderrs, self.exits = {}, []
        self.pipe_budget.release()
        if self.on_close is not None:
            self.on_close()
            self.on_close = None

    def abort(self) -> None:
        """Leave nothing of a group that has only begun."""
        self.close()
        self.reap()
