"""A rival in a process of its own, kept warm, told over a socket to run one round after the other.

Rule 1: a rival shares no thread, no lock, no fork and no signal handler with another one.
Rule 2: one that does not answer in time is killed, with all that it has started, and named.
Rule 3: what a rival prints stays out of the table; its end is shown when the rival fails.
"""

from __future__ import annotations

__all__ = ("Rival", "RivalError", "RivalProcess", "Rivals", "serve")

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

Rival: TypeAlias = Callable[[], AbstractContextManager[Callable[[], float]]]
"""Opens what is measured; gives a function that runs a round of it and returns what that cost."""
Rivals: TypeAlias = Mapping[str, Rival]

# Seconds without an answer after which a rival hangs: every round here is a few seconds at most.
BOUND: Final = 60.0
_SHOWN: Final = 400


class RivalError(RuntimeError):
    """Raised for a rival that raised, died, hung or is not installed."""

    def __init__(self, what: str, printed: str = "") -> None:
        printed = printed.strip()[-_SHOWN:]
        super().__init__(f"{what}; it printed last: {printed}" if printed else what)


class RivalProcess:
    """A fresh interpreter that holds one rival.

    Args:
        where: the module and the attribute that hold rivals by table and name: "module:attribute".
        table: the table's key.
        name: the rival's.
        bound: seconds in which it must answer.
    """

    def __init__(self, where: str, table: str, name: str, *, bound: float = BOUND) -> None:
        self._bound = bound
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._sock, theirs = socket.socketpair()
        with theirs:
            fd = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.rival", str(fd), where, table, name],
                pass_fds=[fd],
                stdin=subprocess.DEVNULL,
                stdout=self._printed,
                stderr=self._printed,
                start_new_session=True,
            )
        self._ended = os.pidfd_open(self._process.pid)
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Wait until it is open and has run a first round, which does not count.

        Raises:
            RivalError: it has not; it is killed.
        """
        self._answer("to open")

    def round(self) -> float:
        """Let it run a round; return what that cost.

        Raises:
            RivalError: it did not; it is killed.
        """
        if self._closed:
            raise RivalError("is closed")
        with suppress(OSError):  # it has died: the missing answer tells
            self._sock.sendall(b"\n")
        return self._answer("to run a round")

    def _answer(self, what: str) -> float:
        ends, heard = time.monotonic() + self._bound, b""
        while not heard.endswith(b"\n"):
            left = max(0.0, ends - time.monotonic())
            ready, _, _ = select.select([self._sock.fileno(), self._ended], [], [], left)
            if self._sock.fileno() in ready and (more := self._sock.recv(1 << 16)):
                heard += more
                continue
            self._fail("dies" if ready else f"hangs: it took more than {self._bound:g} s {what}")
        answer = json.loads(heard)
        if isinstance(answer, str):
            self._fail(answer)
        return float(answer)

    def _fail(self, what: str) -> None:
        raise RivalError(what, self.close())

    def close(self) -> str:
        """End it and all that it has started; return what it printed."""
        if self._closed:
            return ""
        self._closed = True
        _kill_all_of(self._process.pid)
        self._process.wait()
        os.close(self._ended)
        self._sock.close()
        with self._printed as printed:
            printed.seek(0)
            return printed.read().decode(errors="replace")


def _kill_all_of(leader: int) -> None:
    """Kill a process, its descendants, and all of their sessions."""
    known = {leader}
    while found := _related_to(known) - known:
        known |= found
    for pid in known:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _related_to(known: set[int]) -> set[int]:
    related: set[int] = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            # proc(5): pid (comm) state ppid pgrp session
            _, parent, _, session = entry.read_text().rpartition(")")[2].split()[:4]
            if int(parent) in known or int(session) in known:
                related.add(int(entry.parent.name))
    return related


def serve(fd: int, where: str, table: str, name: str) -> None:
    """Be a rival: open it, run a round for each line that comes, answer with its cost."""
    os.set_inheritable(fd, False)
    sock = socket.socket(fileno=fd)
    try:
        module, _, attribute = where.partition(":")
        rivals: Mapping[str, Any] = getattr(import_module(module), attribute)
        with rivals[table].rivals[name]() as run:
            run()
            _say(sock, 0.0)
            while sock.recv(1):
                gc.collect()
                _say(sock, run())
    except ImportError as error:
        _say(sock, f"is not installed: {error}")
    except Exception as error:
        _say(sock, f"raises {type(error).__name__}: {error}")
        raise


def _say(sock: socket.socket, answer: float | str) -> None:
    sock.sendall(json.dumps(answer).encode() + b"\n")
