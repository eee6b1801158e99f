"""Launch worker processes in four ways.

Invariants
    1. Nothing here awaits, so no cancellation can strike between a process's start and its record.
    2. A process is reaped last. Until then its id is its own, and a signal hits no other process.
    3. No fork of ours keeps the parent's end of a worker's socket: that worker would not notice
       that the parent has ended.
"""

from __future__ import annotations

__all__ = ("Child", "Launcher", "StartMethod", "check_main_for_spawn", "new_launcher")

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import spawn
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeAlias, final
from weakref import WeakSet

import aconcur
from aconcur._core.pidfd import open_exit_fd
from aconcur._pool_worker.codec import U64
from aconcur._pool_worker.start import UNKNOWN, Boot, forked, send_boot, spawned
from aconcur.parallel._errors import WorkerStartError
from aconcur.parallel._map.chunk import Death
from aconcur.parallel._pickling import has_guard

StartMethod: TypeAlias = Literal["exec", "forkserver", "fork", "spawn"]
"""How the workers of a pool are started: see :func:`open_pool`."""

# The folder that holds this package. A worker appends it to the path that it starts with: in front
# of the standard library it would let a back-port in site-packages break the start.
_HOME: Final = str(Path(aconcur.__file__).parents[1])
_PROGRAM: Final = (
    "import sys; sys.path.append({home!r})\n"
    "from aconcur._pool_worker.start import exec_main; exec_main({fd})"
)

# The send buffer of each socket; the system may allow less. With it a sender and a receiver of
# 8 MiB wake each other some 10 times instead of 60. Measured: 1.3 to 1.5 times as fast.
_BUFFER: Final = 2 << 20

# How often a fork server may end before it serves until the pool gives up; a guess.
_SERVER_STARTS: Final = 20

# The parent's ends of the sockets of all pools, which every fork must close.
_OURS: Final[WeakSet[socket.socket]] = WeakSet()


class Child(Protocol):
    """A process that was started."""

    @property
    def pid(self) -> int:
        """Its process id."""

    @property
    def exit_fd(self) -> int:
        """A descriptor that is readable when it has ended."""

    def reap(self) -> Death:
        """Reap the process, which has ended; return how it ended."""


class Launcher(Protocol):
    """A way to launch workers."""

    @property
    def blocks(self) -> bool:
        """Whether :meth:`launch` waits for another process, and so must run in a thread."""

    def launch(self) -> tuple[Child, socket.socket]:
        """Start a worker; return it and the socket that is connected to it.

        Raises:
            OSError: the operating system starts no process.
        """

    def close(self) -> None:
        """Free what was held. All workers have been reaped."""


def new_launcher(method: StartMethod, boot: Boot) -> Launcher:
    """Return a way to launch workers.

    Raises:
        ValueError: there is no such method.
        WorkerStartError: the method cannot work in this process.
    """
    if getattr(sys, "frozen", False) and _is_run_by_multiprocessing():
        raise WorkerStartError(
            "a worker of multiprocessing runs the frozen program again, which would open pools "
            "without end: call multiprocessing.freeze_support() first in __main__"
        )
    if method in {"exec", "forkserver"}:
        _check_executable(method)
    if method == "exec":
        return _ExecLauncher(boot)
    if method == "forkserver":
        return _ForkServerLauncher(boot)
    if method == "fork":
        return _ForkLauncher(boot)
    if method == "spawn":
        check_main_for_spawn("start='spawn'", "Use start='exec'")
        return _SpawnLauncher(boot)
    raise ValueError(f"start must be 'exec', 'forkserver', 'fork' or 'spawn', not {method!r}")


def _is_run_by_multiprocessing() -> bool:
    """Return whether multiprocessing has started this program as its worker or its helper."""
    helper = sys.argv[-2:-1] == ["-c"] and sys.argv[-1].startswith("from multiprocessing.")
    return helper or spawn.is_forking(sys.argv)


def _check_executable(method: StartMethod) -> None:
    """Refuse to start ``sys.executable`` where that is not a Python interpreter."""
    if getattr(sys, "frozen", False):
        raise WorkerStartError(
            f"start={method!r} would start this program again instead of a worker: "
            "sys.executable of a frozen program is the program itself. Use start='spawn' and call "
            "multiprocessing.freeze_support() first in __main__, or use start='fork'"
        )
    if not sys.executable:
        raise WorkerStartError(
            f"start={method!r} cannot find a Python interpreter: sys.executable is "
            f"{sys.executable!r}. Set it to one, or use start='fork'"
        )


def check_main_for_spawn(what: str, remedy: str) -> None:
    """Refuse to let multiprocessing run a ``__main__`` that cannot be run, or would open pools.

    Args:
        what: the feature that cannot work then, for the message.
        remedy: what to use instead.

    Raises:
        WorkerStartError: it has no guard, or is not a file.
    """
    if getattr(sys, "frozen", False):  # it runs what is packed in the program
        return
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if getattr(main, "__spec__", None) is None and file and not Path(file).exists():
        why = f"it was read from {file}, which is not a file"
    elif not has_guard():
        why = f"{file} has no if __name__ == '__main__', so it would do all its work again"
    else:
        return
    raise WorkerStartError(
        f"{what} cannot work: multiprocessing runs __main__ in each worker, but {why}. "
        f"{remedy}, or put what the program does under if __name__ == '__main__' in a file"
    )


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    _OURS.add(ours)
    for sock in (ours, theirs):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    return ours, theirs


def _death(status: int) -> Death:
    """Return what a wait status means (wait(2))."""
    if status == UNKNOWN:
        return Death()
    code = os.waitstatus_to_exitcode(status)
    return Death(signal=-code) if code < 0 else Death(exit_code=code)


@final
class _Process:
    """A child of this process.

    Args:
        pid: its id.
        popen: the object that must not wait for it as well.
    """

    def __init__(self, pid: int, popen: subprocess.Popen[bytes] | None = None) -> None:
        self.pid, self._popen = pid, popen
        self.exit_fd: int = open_exit_fd(pid)

    def reap(self) -> Death:
        os.close(self.exit_fd)
        try:
            _, status = os.waitpid(self.pid, 0)
        except ChildProcessError:  # another part of the program has reaped it
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
            "-P",
            "-c",
            _PROGRAM.format(home=_HOME, fd=fd),
        ],
        pass_fds=[fd],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


@final
class _ExecLauncher:
    """A fresh interpreter for each worker. Safe whatever threads and locks the parent has."""

    blocks: bool = False

    def __init__(self, boot: Boot) -> None:
        self._boot = boot

    def launch(self) -> tuple[Child, socket.socket]:
        ours, theirs = _socket_pair()
        try:
            with theirs:
                popen = _exec(theirs)
            child = _Process(popen.pid, popen)
        except BaseException:
            ours.close()
            raise
        with suppress(OSError):  # it has ended already, which its exit_fd shows
            send_boot(ours, self._boot)
        return child, ours

    def close(self) -> None:
        """Do nothing."""


@final
class _ForkLauncher:
    """A copy of this process for each worker. A lock that another thread holds stays locked."""

    blocks: bool = False

    def __init__(self, boot: Boot) -> None:
        self._boot = boot

    def launch(self) -> tuple[Child, socket.socket]:
        ours, theirs = _socket_pair()
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # the stream is closed or None
                stream.flush()
        try:
            with _ctrl_c_blocked(), warnings.catch_warnings():
                # Python 3.12 warns of threads, but the caller has asked for a fork.
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
        """Do nothing."""


@final
class _ForkServerLauncher:
    """Forks of one fresh interpreter, which has a single thread. The first worker starts it."""

    blocks: bool = True

    def __init__(self, boot: Boot) -> None:
        self._boot = boot.for_server()
        self._popen: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._lock = threading.Lock()  # workers are launched in a thread and reaped in the loop

    def launch(self) -> tuple[Child, socket.socket]:
        for _ in range(_SERVER_STARTS):
            with suppress(ConnectionError):
                return self._fork_one()
            self.close()
        raise ConnectionError(f"the fork server ended {_SERVER_STARTS} times in a row")

    def _fork_one(self) -> tuple[Child, socket.socket]:
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
        send_boot(ours, self._boot)

    def _ask(self, question: bytes, *sent: socket.socket) -> int:
        with self._lock:
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
        """Let the server reap a worker that has ended."""
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

    def __init__(self, pid: int, server: _ForkServerLauncher) -> None:
        self.pid, self._server = pid, server
        self.exit_fd: int = os.pidfd_open(pid)

    def reap(self) -> Death:
        os.close(self.exit_fd)
        return self._server.reap(self.pid)


@final
class _SpawnLauncher:
    """Processes of multiprocessing, which run ``__main__`` first and share its resource tracker."""

    blocks: bool = True

    def __init__(self, boot: Boot) -> None:
        self._boot = boot

    def launch(self) -> tuple[Child, socket.socket]:
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
        """Do nothing."""


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
    """Block Ctrl-C in a child until it has a session of its own."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
