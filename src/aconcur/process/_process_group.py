"""The processes of one pipe of commands: signals, statuses, and the end of the whole group.

The states of a stage
    *running* → *ended* (its exit descriptor is readable) → *reaped* (its status was taken).
    A stage that another user's program replaced (sudo, a set-user-id program) may stay *running*
    after SIGKILL: it is then *unkillable*, and a thread reaps it whenever it ends.

Invariants
    1. Reap last. The first stage leads the process group. Until it is reaped its process id, and
       with it the id of the group, is taken, so a late signal cannot reach another program.
    2. Signals go to the last stage first where they go to stages one by one. A stage must not see
       the end of its input because its writer was told earlier to end.
    3. The group is in the guardian's table from before the first fork until it has been reaped.
    4. A status that another part of the program has taken is unknown (None), never 0.

A process that starts a session of its own (setsid(2)) leaves the group on purpose and lives on. On
a terminal of its own the session is what counts, since a shell there puts each of its jobs into a
process group of its own.
"""

from __future__ import annotations

__all__ = ("ProcessGroup",)

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import Final, final

from aconcur._core.guardian import guardian
from aconcur._core.pidfd import open_exit_fd
from aconcur.process._pty import OurTerminal, session_members
from aconcur.process._redirect import close


@dataclass(frozen=True, slots=True)
class Exit:
    """What wait4(2) tells of a stage that has ended."""

    returncode: int | None
    """Its exit code, or ``-n`` if signal n ended it; None if it is unknown."""
    user_seconds: float = 0.0
    system_seconds: float = 0.0
    max_rss: int = 0
    """Bytes."""


_UNKNOWN: Final = Exit(None)
# Bytes: getrusage(2) counts KiB on Linux, bytes on macOS.
_RSS_UNIT: Final = 1 if sys.platform == "darwin" else 1024


@final
class ProcessGroup:
    """The processes that were started for one run."""

    __slots__ = (
        "_exits",
        "_killed",
        "_leaders",
        "_slots",
        "exit_fds",
        "own",
        "pids",
        "reaped",
        "session",
        "terminal",
    )

    def __init__(
        self, *, own: bool, session: bool = False, terminal: OurTerminal | None = None
    ) -> None:
        self.own: bool = own
        """Whether it is a process group of its own, and not this program's."""
        self.session: bool = session
        """Whether it is a session of its own, on a terminal of its own."""
        self.terminal: OurTerminal | None = terminal
        """This program's terminal, if it is lent to the stages."""
        self.pids: list[int] = []
        self.exit_fds: list[int] = []
        """Readable when the stage has ended; -1 when it was closed."""
        self._exits: dict[int, Exit] = {}
        self._leaders: list[int] = []
        self._slots: list[int] = []
        self._killed: set[int] = set()
        self.reaped: bool = False
        """Whether :meth:`reap` was called: from then on the id may belong to another group."""

    @property
    def id(self) -> int:
        """The id of the process group; 0 before it has a leader, or if it is not its own."""
        return self._leaders[0] if self._leaders else 0

    @property
    def needs_leaders(self) -> bool:
        """Whether each stage must lead a group of its own: nothing keeps the id of the first.

        That is so while SIGCHLD is ignored, since the system then reaps each stage as it ends.
        """
        return self.own and signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN

    def has_vanished(self) -> bool:
        """Return whether another part of the program has reaped the whole group."""
        try:
            os.killpg(self.id, 0)
        except ProcessLookupError:
            return bool(self.id)
        except PermissionError:
            pass
        return False

    def prepare(self, *, leader: bool) -> None:
        """Tell the guardian that a stage is about to be started.

        Args:
            leader: whether the stage leads a group or a session of its own even if it is not the
                first.

        Raises:
            OSError: no descriptor is free.
        """
        if not self.own or leader or not self._leaders:
            self._slots.append(guardian.reserve())

    def add(self, process: subprocess.Popen[bytes], *, leader: bool) -> None:
        """Add a stage that has started.

        Raises:
            OSError: no descriptor is free. The stage is in the group all the same.
        """
        pid = process.pid
        process.returncode = 0  # it is reaped here: Popen shall neither wait nor warn
        self.pids.append(pid)
        if not self.own:
            guardian.watch(self._slots[-1], b"p", pid)
        elif leader or not self._leaders:
            self._leaders.append(pid)
            guardian.watch(self._slots[-1], b"s" if self.session else b"g", pid)
        self.exit_fds.append(open_exit_fd(pid))

    def signal(self, number: int) -> None:
        """Send a signal to every process of the group that is left."""
        if self.session and self._leaders:
            self._signal_session(number)
        elif self.own:
            for leader in reversed(self._leaders):
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(leader, number)
        else:
            for place in reversed(range(len(self.pids))):
                self.signal_stage(number, place)

    def _signal_session(self, number: int) -> None:
        told: set[int] = set()
        # A process that is started while we look is found when we look again.
        while new := set(session_members(self.id)) - told:
            told |= new
            for pid in new:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        self._killed |= told

    def signal_stage(self, number: int, place: int) -> None:
        """Send a signal to one stage. Nothing happens if it was reaped."""
        if place not in self._exits:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.pids[place], number)

    def may_kill(self, place: int) -> bool:
        """Return whether the system lets us signal a stage: not one of another user."""
        try:
            os.kill(self.pids[place], 0)
        except PermissionError:
            return False
        except ProcessLookupError:
            pass
        return True

    def exit_of(self, place: int) -> Exit | None:
        """Return how a stage ended; None while it runs. Does not reap: waitid(2) with WNOWAIT."""
        if place in self._exits:
            return self._exits[place]
        try:
            found = os.waitid(os.P_PID, self.pids[place], os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # waitpid(-1) elsewhere, or SIGCHLD is ignored
            return _UNKNOWN
        if found is None:
            return None
        return Exit(found.si_status if found.si_code == os.CLD_EXITED else -found.si_status)

    def stop_signal(self, place: int) -> int | None:
        """Return the signal that stopped a stage since the last call, such as SIGTTIN, or None."""
        with suppress(ChildProcessError):
            found = os.waitid(os.P_PID, self.pids[place], os.WSTOPPED | os.WNOHANG)
            if found is not None:
                return found.si_status
        return None

    def reap(self, unkillable: frozenset[int] = frozenset()) -> None:
        """Kill everything that is left of the group, and take the statuses of the stages.

        Blocks until each stage has ended: at once, or when the kill has taken effect.

        Args:
            unkillable: the places of stages that a thread shall reap instead.
        """
        self.signal(signal.SIGKILL)
        self.reaped = True
        for place, pid in enumerate(self.pids):
            if place in unkillable:
                Thread(
                    target=_wait_for, args=(pid,), daemon=True, name=f"aconcur waits for {pid}"
                ).start()
                self._exits[place] = _UNKNOWN
            elif place not in self._exits:
                self._exits[place] = _wait_for(pid)
        for slot in self._slots:
            guardian.release(slot)
        self._slots = []
        if self.terminal is not None:
            killed = any((one.returncode or 0) < 0 for one in self._exits.values())
            self.terminal.take_back(modes=killed)

    def is_gone(self) -> bool:
        """Return whether nothing of the reaped group is left, not even a zombie.

        Zombies that are children of this process, since it is PID 1 or a subreaper, are reaped.
        """
        if self.session:
            return len(self._killed) <= 1 or self.is_dead()
        self._reap_adopted()
        for group in self._leaders:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, 0)
                return False
        return True

    def is_dead(self) -> bool:
        """Return whether only other processes' zombies are left, as far as /proc (proc(5)) tells.

        Zombies that are children of this process are reaped.
        """
        with suppress(OSError):
            names = os.listdir("/proc")  # noqa: PTH208 - quicker by half
            if any(name.isdigit() and self._is_alive(name) for name in names):
                return False
        self._reap_adopted()  # only now: they may have died since the last call
        return True

    def _reap_adopted(self) -> None:
        """Reap what the system handed to this process when its parents died."""
        for pid in self._killed - set(self.pids):
            with suppress(ChildProcessError):
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
        for group in () if self.session else self._leaders:
            with suppress(ChildProcessError):
                while os.waitid(os.P_PGID, group, os.WEXITED | os.WNOHANG) is not None:
                    pass

    def _is_alive(self, pid: str) -> bool:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - ten times a Path's speed
                fields = file.read().rpartition(b")")[2].split()
                state, _, group, session, threads = *fields[:4], fields[17]
        except (OSError, ValueError, IndexError):
            return False
        if int(session if self.session else group) not in self._leaders:
            return False
        # The first thread of a process that is being killed is a zombie before the others are gone.
        return state not in b"ZX" or int(threads) > 1

    def close(self) -> None:
        """Close the descriptors. Call it after :meth:`reap`."""
        for fd in self.exit_fds:
            if fd >= 0:
                close(fd)
        self.exit_fds = []
        for slot in self._slots:
            guardian.release(slot)
        self._slots = []


def _wait_for(pid: int) -> Exit:
    """Reap a process and return how it ended."""
    try:
        _, status, usage = os.wait4(pid, 0)
    except ChildProcessError:
        return _UNKNOWN
    code = os.waitstatus_to_exitcode(status)
    return Exit(code, usage.ru_utime, usage.ru_stime, usage.ru_maxrss * _RSS_UNIT)
