"""Kill the commands of a program that has died, however it died: SIGKILL, an OOM kill, a crash.

The guardian is one small shell process for each program that starts commands. It starts with the
first command and ends with the program.

The states of a slot in its table
    *free* → *starting* (:meth:`Guardian.reserve`, before the fork) → *watched*
    (:meth:`Guardian.watch`, the process id is known) → *free* (:meth:`Guardian.release`).

Invariants
    1. The guardian reads the table only after the program has died. It learns of the death by the
       end of a pipe whose writing end only the program holds; the kernel closes it in every case.
    2. A process that was started is in the table, as *starting* or as *watched*, from before its
       fork until it has been reaped. The program may therefore be killed at any instant.
    3. The guardian is not a child of the program: its own parent exits at once, so neither
       ``waitpid(-1)`` nor a list of children ever shows it. It has its own session, so no signal
       for the program's terminal or process group reaches it.

What the guardian does
    SIGTERM and SIGCONT to everything in the table, 0.2 s later SIGKILL. A slot in the state
    *starting* names no process yet: the guardian looks in ``/proc`` for a leader of a process
    group that became an orphan and is not older than the slot.

Cost
    About 10 µs a run, for three pwrite(2) calls: the table is a file in memory, which the guardian
    does not read while the program lives. Starting it takes 2 ms, once. It needs 2 MiB of memory,
    and the program keeps two descriptors.

Why not the obvious ways
    ``prctl(PR_SET_PDEATHSIG)`` does not reach grandchildren, is lost over a set-user-id program,
    and strikes when the *thread* that started the command ends. A message to the guardian for each
    run would wake it twice a run. One guardian for each command would double the cost of a start.

Limits
    Without ``/bin/sh`` there is no guardian. Without ``/proc`` (macOS, BSD) a command that was just
    being started, and a program in its own session on a terminal, are not found.

    A killed process is a zombie until its parent reaps it. When the program is dead, the parent is
    PID 1 or a subreaper above the program, and the system lets no other process reap it. Some do so
    at once, some every two seconds; until then ``kill(pid, 0)`` succeeds. If the program itself is
    PID 1 or a subreaper, the guardian is its child while it lives.
"""

from __future__ import annotations

__all__ = ("Guardian", "guardian")

import fcntl
import os
import subprocess
import tempfile
import time
from contextlib import suppress
from threading import Lock
from typing import Final, Literal, TypeAlias, final

Kind: TypeAlias = Literal[b"g", b"p", b"s"]
"""What a slot names: a process group, one process, or a session."""

# One line of the table: a letter, a number, spaces, a line end.
_WIDTH: Final = 24
# Descriptors below are left to the standard streams, even if the program has closed them.
_LEAST_FD: Final = 10

_FREE: Final = b" " * (_WIDTH - 1) + b"\n"
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_TICKS: Final = os.sysconf("SC_CLK_TCK")

_LAUNCH: Final = '/bin/sh -c "$0" "$@" &'
# stdout is the pipe and stderr the table: dash opens no descriptor above 9.
_SCRIPT: Final = r"""# aconcur: ends the commands of a program that has died
trap '' HUP INT QUIT TERM PIPE TSTP
exec 0<&1 3<&2 1>/dev/null 2>/dev/null
read -r _
home=$1 groups= sessions= oldest=
while read -r kind id; do
  case $kind in
    g) groups="$groups -$id" ;;
    p) groups="$groups $id" ;;
    s) sessions="$sessions $id " ;;
    n) [ -n "$oldest" ] && [ "$oldest" -le "$id" ] || oldest=$id ;;
  esac
done <&3
[ -n "$groups$sessions$oldest" ] || exit 0
read -r line </proc/self/stat && set -- ${line##*) } && reaper=$2
# A look takes 0.1 ms for each process of the machine, more on a busy one. So signals go to known
# groups before the look, and found processes are remembered.
look() {
  found=
  [ -n "$sessions$oldest" ] || return
  for stat in /proc/[0-9]*/stat; do
    read -r line <"$stat" || continue
    pid=${stat#/proc/} pid=${pid%/stat}
    set -- ${line##*) }
    case $sessions in *" $4 "*) found="$found $pid"; continue ;; esac
    [ -n "$oldest" ] && [ "$2" = "$reaper" ] && [ "$3" = "$pid" ] && [ "${20}" -ge "$oldest" ] &&
      { [ "$4" = "$home" ] || [ "$4" = "$pid" ]; } && found="$found -$pid"
  done
}
tell() {
  signal=$1
  shift
  for target; do kill -s "$signal" -- "$target"; done
}
tell TERM $groups
tell CONT $groups
look
tell TERM $found
tell CONT $found
sleep 0.2
tell KILL $groups $found
look
tell KILL $found
sleep 0.1
tell KILL $groups $found
look
tell KILL $found
"""


@final
class Guardian:
    """The processes that must not outlive this program. One for each process; any thread."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._lock = Lock()
        self._table = self._pipe = -1
        self._free: list[int] = []
        self._slots = 0
        self._unavailable = False

    def reserve(self) -> int:
        """Return a slot for a process that is about to be started; -1 if there is no guardian.

        Raises:
            OSError: no descriptor is free for the guardian's pipe.
        """
        with self._lock:
            if self._table < 0 and not self._unavailable:
                self._start()
            if self._unavailable:
                return -1
            if self._free:
                slot = self._free.pop()
            else:
                slot, self._slots = self._slots, self._slots + 1
        # The time as /proc/PID/stat gives the start of a process (proc(5)).
        ticks = int(time.clock_gettime(_CLOCK) * _TICKS)
        os.pwrite(self._table, b"n %-*d\n" % (_WIDTH - 3, ticks), slot * _WIDTH)
        return slot

    def watch(self, slot: int, kind: Kind, number: int) -> None:
        """Fill a slot: the process has started."""
        if slot >= 0:
            line = b"%b %-*d\n" % (kind, _WIDTH - 3, number)
            os.pwrite(self._table, line, slot * _WIDTH)

    def release(self, slot: int) -> None:
        """Free a slot: the process was reaped, or never started."""
        if slot >= 0:
            os.pwrite(self._table, _FREE, slot * _WIDTH)
            self._free.append(slot)

    def descriptors(self) -> frozenset[int]:
        """Return the descriptors that are kept open until the program ends."""
        return frozenset(fd for fd in (self._table, self._pipe) if fd >= 0)

    def forget(self) -> None:
        """Leave the guardian to the parent: called in the child after a fork.

        A child that starts commands starts a guardian of its own.
        """
        for fd in self.descriptors():
            with suppress(OSError):
                os.close(fd)
        self._reset()

    def _start(self) -> None:
        table = _memory_file()
        reading = pipe = -1
        try:
            reading, writing = os.pipe()
            pipe = _moved_up(writing)
            launcher = subprocess.Popen(
                ["/bin/sh", "-c", _LAUNCH, _SCRIPT, "aconcur-guardian", str(os.getsid(0))],
                stdin=subprocess.DEVNULL,
                stdout=reading,
                stderr=table,
                cwd="/",
                env={"PATH": os.defpath},
                start_new_session=True,
            )
        except BaseException as error:  # noqa: ASYNC103 - nothing here awaits
            for fd in (table, pipe):
                if fd >= 0:
                    os.close(fd)
            if not isinstance(error, FileNotFoundError | PermissionError):
                raise
            self._unavailable = True
        else:
            launcher.wait()
            self._table, self._pipe = table, pipe
        finally:
            if reading >= 0:
                os.close(reading)


def _memory_file() -> int:
    if hasattr(os, "memfd_create"):
        return _moved_up(os.memfd_create("aconcur guardian"))
    with tempfile.TemporaryFile() as file:
        return fcntl.fcntl(file.fileno(), fcntl.F_DUPFD_CLOEXEC, _LEAST_FD)


def _moved_up(fd: int) -> int:
    """Return a copy of a descriptor that leaves the lowest numbers free; close the original."""
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _LEAST_FD)
    finally:
        os.close(fd)


guardian: Final = Guardian()
os.register_at_fork(after_in_child=guardian.forget)
