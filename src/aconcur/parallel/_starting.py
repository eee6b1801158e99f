"""Start worker processes, in four ways, and hear of their end.

Law 1: nothing here awaits, so no cancellation falls between a process and its record.
Law 2: a process is reaped last: until then its id is its own, and a signal reaches no stranger.
Law 3: no fork of ours keeps the parent's end of a worker's socket, or that worker would not hear
that the parent has gone.
"""

from __future__ import annotations

__all__ = ("Child", "Method", "Starter", "new_starter")

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeAlias, final
from weakref import WeakSet

import aconcur
from aconcur._core.pidfd import open_exit_fd
from aconcur._worker.codec import U64
from aconcur._worker.start import UNKNOWN, Boot, forked, send_boot, spawned
from aconcur.parallel._chunk import Death

Method: TypeAlias = Literal["exec", "forkserver", "fork", "spawn"]

# The folder that holds this package: a worker finds it there before it has the parent's path.
_HOME: Final = str(Path(aconcur.__file__).parents[1])
_PROGRAM: Final = (
    "import sys; sys.path.insert(0, {home!r})\n"
    "from aconcur._worker.start import exec_main; exec_main({fd})"
)

# Bytes that may lie in a socket; the system may allow less. Those who send and read 8 MiB then wake
# one another some ten times, not 60. Measured with half of it: 1.3 to 1.5 × as fast.
_LYING: Final = 2 << 20

# All that a fork must close, of every pool.
_OURS: Final[WeakSet[socket.socket]] = WeakSet()


class Child(Protocol):
    """A process that was started."""

    @property
    def pid(self) -> int:
        """Its process id."""

    @property
    def exit_fd(self) -> int:
        """Readable when it has ended."""

    def reap(self) -> Death:
        """Let it go; tell how it ended. It has."""


class Starter(Protocol):
    """A way to start workers."""

    def start(self) -> tuple[Child, socket.socket]:
        """Start one; return it and the socket to speak with it."""

    def close(self) -> None:
        """Start no more. All that was started has been reaped."""


def new_starter(method: Method, boot: Boot) -> Starter:
    """Return a way to start workers.

    Raises:
        ValueError: there is no such method.
    """
    if method == "exec":
        return _Exec(boot)
    if method == "forkserver":
        return _ForkServer(boot)
    if method == "fork":
        return _Fork(boot)
    if method == "spawn":
        return _Spawn(boot)
    raise ValueError(f"start must be 'exec', 'forkserver', 'fork' or 'spawn', not {method!r}")


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    _OURS.add(ours)
    for sock in (ours, theirs):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LYING)
    return ours, theirs


def _death(status: int) -> Death:
    """Return what a wait status says (wait(2))."""
    if status == UNKNOWN:
        return Death()
    code = os.waitstatus_to_exitcode(status)
    return Death(signal=-code) if code < 0 else Death(exit_code=code)


@final
class _Process:
    """A child of this process.

    Args:
        pid: its id.
        popen: who must not be left to wait for it as well.
    """

    def __init__(self, pid: int, popen: subprocess.Popen[bytes] | None = None) -> None:
        self.pid, self._popen = pid, popen
        self.exit_fd: int = open_exit_fd(pid)

    def reap(self) -> Death:
        os.close(self.exit_fd)
        try:
            _, status = os.waitpid(self.pid, 0)
        except ChildProcessError:  # somebody waited for all children
            return Death()
        finally:
            if self._popen is not None:
                self._popen.returncode = 0
        return _death(status)


def _exec(sock: socket.socket) -> subprocess.Popen[bytes]:
    fd = sock.fileno()
    return subprocess.Popen(
        [
            sys.executable,
            *subprocess._args_from_interpreter_flags(),  # type: ignore[attr-defined]  # noqa: SLF001
            "-c",
            _PROGRAM.format(home=_HOME, fd=fd),
        ],
        pass_fds=[fd],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


@final
class _Exec:
    """A fresh interpreter for each worker. Safe whatever threads and locks there are."""

    def __init__(self, boot: Boot) -> None:
        self._boot = boot

    def start(self) -> tuple[Child, socket.socket]:
        ours, theirs = _socket_pair()
        try:
            with theirs:
                popen = _exec(theirs)
            child = _Process(popen.pid, popen)
        except BaseException:
            ours.close()
            raise
        send_boot(ours, self._boot)
        return child, ours

    def close(self) -> None:
        """Nothing is held."""


@final
class _Fork:
    """Copies of this process as it stands. What other threads do in it stops in the middle."""

    def __init__(self, boot: Boot) -> None:
        self._boot = boot

    def start(self) -> tuple[Child, socket.socket]:
        ours, theirs = _socket_pair()
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # closed, or none at all
                stream.flush()
        try:
            with _ctrl_c_blocked(), warnings.catch_warnings():
                # Python 3.12 warns of threads: who asks for a fork knows.
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
                if not pid:
                    for sock in _OURS:
                        sock.close()
                    forked(theirs, self._boot)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return _Process(pid), ours

    def close(self) -> None:
        """Nothing is held."""


@final
class _ForkServer:
    """Forks of one fresh interpreter, which has a single thread. Begun with the first worker."""

    def __init__(self, boot: Boot) -> None:
        self._boot = boot
        self._popen: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None

    def start(self) -> tuple[Child, socket.socket]:
        if self._popen is None or self._popen.poll() is not None:
            self.close()
            self._begin()
        ours, theirs = _socket_pair()
        try:
            with theirs:
                pid = self._ask(b"fork one", theirs)
            return _Grandchild(pid, self), ours
        except BaseException:
            ours.close()
            raise

    def _begin(self) -> None:
        ours, theirs = _socket_pair()
        self._sock = ours
        with theirs:
            self._popen = _exec(theirs)
        send_boot(ours, self._boot, serves=True)

    def _ask(self, question: bytes, *sent: socket.socket) -> int:
        sock = self._sock
        if sock is None:
            raise ConnectionError("the fork server has ended")
        socket.send_fds(sock, [question], [each.fileno() for each in sent])
        answer = sock.recv(8, socket.MSG_WAITALL)
        if len(answer) < 8:
            raise ConnectionError("the fork server has ended")
        (number,) = U64.unpack(answer)
        return int(number)

    def reap(self, pid: int) -> Death:
        """Let the server wait for a worker that has ended."""
        try:
            return _death(self._ask(U64.pack(pid)))
        except OSError:
            return Death()

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()
            self._popen = None


@final
class _Grandchild:
    """A child of the fork server, a zombie there until it is reaped."""

    def __init__(self, pid: int, server: _ForkServer) -> None:
        self.pid, self._server = pid, server
        self.exit_fd: int = os.pidfd_open(pid)

    def reap(self) -> Death:
        os.close(self.exit_fd)
        return self._server.reap(self.pid)


@final
class _Spawn:
    """Processes of multiprocessing, which run ``__main__`` first and share its resource tracker."""

    def __init__(self, boot: Boot) -> None:
        self._boot = boot

    def start(self) -> tuple[Child, socket.socket]:
        context = multiprocessing.get_context("spawn")
        ours, theirs = _socket_pair()
        try:
            with theirs, Connection(os.dup(theirs.fileno())) as connection:
                process = context.Process(
                    target=spawned, args=(connection, self._boot), daemon=True
                )
                with _ctrl_c_blocked():
                    process.start()
        except BaseException:
            ours.close()
            raise
        return _Spawned(process), ours

    def close(self) -> None:
        """Nothing is held."""


@final
class _Spawned:
    def __init__(self, process: Any) -> None:  # noqa: ANN401 - SpawnProcess
        assert process.pid is not None
        self.pid: int = process.pid
        self.exit_fd: int = process.sentinel
        self._process = process

    def reap(self) -> Death:
        self._process.join()
        code = self._process.exitcode
        self._process.close()
        return Death(signal=-code) if code < 0 else Death(exit_code=code)


@contextmanager
def _ctrl_c_blocked() -> Iterator[None]:
    """Let a child be born deaf to Ctrl-C, until it has a session of its own."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
