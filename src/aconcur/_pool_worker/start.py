"""Become a worker: in a fresh interpreter, in a fork, or in a fork of a fresh interpreter.

Invariants
    1. A worker leads a session of its own, so terminal keys do not reach it and one signal to its
       process group also ends what it started.
    2. It ends with its parent, however the parent ends and whatever the worker does at that time.
    3. After a fork, code here takes no lock of the parent: another thread may have held it.
    4. Until the boot record has been read, the path holds the standard library before anything
       else: ``-P`` keeps the current folder out, and this package's folder is appended. A
       ``struct.py`` beside the program or an old back-port in site-packages breaks no start.
"""

from __future__ import annotations

__all__ = ("UNKNOWN", "Boot", "exec_main", "forked", "send_boot", "spawned")

import _pickle as pickle
import _signal as signal  # type: ignore[import-not-found]
import _socket as socket
import mmap
import os
import select
import sys
from _thread import start_new_thread
from contextlib import suppress
from contextvars import Context
from struct import Struct

from aconcur._pool_worker.codec import U64, SocketFile
from aconcur._pool_worker.inherited import receive
from aconcur._pool_worker.logs import Levels
from aconcur._pool_worker.main_module import Origin, install
from aconcur._pool_worker.on_import import on_import
from aconcur._pool_worker.serve import serve
from aconcur._pool_worker.task import Page, heed_interrupts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_PAGE: Final = 4096
_INT: Final = Struct("i")
# unix(7): SCM_MAX_FD.
_MOST_FDS: Final = 253
UNKNOWN: Final = 1 << 32
"""Not a wait status: another part of the program has reaped the process."""
# poll(2): the peer has closed its end (Linux). Elsewhere POLLHUP, which is always reported.
_HUNG_UP: Final = getattr(select, "POLLRDHUP", 0)


class Boot:
    """The first thing that a worker reads.

    Args:
        parent: the process id of the process that it ends with.
        path: ``sys.path``.
        argv: the parent's command line.
        main: the origin of the parent's ``__main__``.
        nice: added to its niceness.
        authkey: multiprocessing's, so that its managers accept the worker.
        levels: the levels of the parent's loggers; None: log records are not forwarded.
        initialized: whether an INITIALIZE frame follows.
        initializer: the initializer and its arguments, for a fork, which has them in memory.
        serves: this is the fork server, not a worker.
    """

    __slots__ = (
        "argv",
        "authkey",
        "initialized",
        "initializer",
        "levels",
        "main",
        "nice",
        "parent",
        "path",
        "serves",
    )

    def __init__(
        self,
        parent: int,
        path: list[str],
        argv: list[str],
        main: Origin,
        nice: int,
        authkey: bytes,
        levels: Levels | None,
        initialized: bool,
        serves: bool = False,
        initializer: tuple[Any, tuple[Any, ...]] | None = None,
    ) -> None:
        self.parent: int = parent
        self.path: list[str] = path
        self.argv: list[str] = argv
        self.main: Origin = main
        self.nice: int = nice
        self.authkey: bytes = authkey
        self.levels: Levels | None = levels
        self.initialized: bool = initialized
        self.initializer: tuple[Any, tuple[Any, ...]] | None = initializer
        self.serves: bool = serves

    def for_server(self) -> Boot:
        """Return the record for a fork server."""
        boot = Boot(*(getattr(self, name) for name in _FIELDS))
        boot.serves = True
        return boot

    def __reduce__(self) -> tuple[Any, ...]:
        return Boot, tuple(getattr(self, name) for name in _FIELDS)


_FIELDS: Final = (
    "parent",
    "path",
    "argv",
    "main",
    "nice",
    "authkey",
    "levels",
    "initialized",
    "serves",
)

_stopping = False


def send_boot(sock: socket.socket, boot: Boot) -> None:
    """Send the boot record to a fresh interpreter.

    Raises:
        OSError: the interpreter has ended.
    """
    data = pickle.dumps(boot, 5)
    sock.sendall(U64.pack(len(data)) + data)


def _receive_boot(sock: socket.socket) -> Boot:
    (size,) = U64.unpack(SocketFile(sock, b"", 8).read())
    boot: Boot = pickle.loads(SocketFile(sock, b"", size).read())
    return boot


def exec_main(fd: int) -> None:
    """Run as the main program of a fresh interpreter, which already leads a session."""
    sock = socket.socket(fileno=fd)
    try:
        boot = _receive_boot(sock)
        sys.path[:], sys.argv[:] = boot.path, boot.argv
        install(boot.main)
        on_import("multiprocessing.process", lambda module: _set_authkey(module, boot.authkey))
        if boot.serves:
            _fork_on_demand(sock, boot)
        else:
            _live(sock, boot)
    except (EOFError, ConnectionError):
        return
    finally:
        sock.detach()  # the process's end closes it, which tells the pool


def _set_authkey(module: Any, authkey: bytes) -> None:  # noqa: ANN401
    module.current_process().authkey = authkey


def spawned(connection: Any, boot: Boot) -> None:  # noqa: ANN401 - multiprocessing's Connection
    """Run as the target of a process of multiprocessing."""
    os.setsid()
    sock = socket.socket(fileno=os.dup(connection.fileno()))
    connection.close()
    # The parent starts it as a daemon, so as not to wait for it as the parent exits. A daemon may
    # not have children, but a task may use multiprocessing.
    process = sys.modules["multiprocessing.process"].current_process()
    process._config["daemon"] = False  # noqa: SLF001
    try:
        with suppress(EOFError, ConnectionError):
            _live(sock, boot)
    finally:
        sock.detach()


def forked(sock: socket.socket, boot: Boot) -> None:
    """Run to the end of this process. Called in the child of a fork; never returns."""
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        _forget_loops()
        _forget_children()
        with suppress(EOFError, ConnectionError):
            Context().run(_live, sock, boot)
        code = 0
    finally:
        if util := sys.modules.get("multiprocessing.util"):
            with suppress(Exception):
                util._exit_function()  # noqa: SLF001 - flushes queues
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # the stream is closed or None
                stream.flush()
        os._exit(code)


def _forget_loops() -> None:
    """Let a task run an event loop, although the fork was made inside one."""
    if asyncio := sys.modules.get("asyncio"):
        asyncio._set_running_loop(None)  # noqa: SLF001 - as asyncio does from Python 3.12 on
    if trio := sys.modules.get("trio._core._run"):
        trio.GLOBAL_RUN_CONTEXT.__dict__.clear()
        trio.sniffio_library.name = None


def _forget_children() -> None:
    """Do for multiprocessing what it does in its own forks: a queue needs a new feeding thread."""
    if util := sys.modules.get("multiprocessing.util"):
        sys.modules["multiprocessing.process"]._children = set()  # type: ignore[attr-defined]  # noqa: SLF001
        util._finalizer_registry.clear()  # noqa: SLF001
        util._run_after_forkers()  # noqa: SLF001


def _live(sock: socket.socket, boot: Boot) -> None:
    global _stopping
    _stopping = False
    # Handled rather than ignored: the children of a task would inherit "ignored".
    signal.signal(signal.SIGINT, _ignore_ctrl_c)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    sock.setblocking(True)
    page = _receive_page(sock)
    heed_interrupts(page)
    start_new_thread(_end_with_parent, (sock.fileno(), boot.parent))
    serve(
        sock,
        page,
        nice=boot.nice,
        initialized=boot.initialized,
        initializer=boot.initializer,
        levels=boot.levels,
    )
    _stopping = True


def _ignore_ctrl_c(number: int, frame: object) -> None:
    """Leave Ctrl-C to the parent."""


def _receive_fds(sock: socket.socket, size: int) -> tuple[bytes, list[int]]:
    """Do the work of ``socket.recv_fds`` without importing ``socket``."""
    data, ancillary, _, _ = sock.recvmsg(size, socket.CMSG_SPACE(_INT.size * _MOST_FDS))
    fds = [fd for _, kind, sent in ancillary if kind == socket.SCM_RIGHTS for fd in _ints(sent)]
    return data, fds


def _ints(data: bytes) -> list[int]:
    return [number for (number,) in _INT.iter_unpack(data)]


def _receive_page(sock: socket.socket) -> Page:
    data, fds = _receive_fds(sock, 1)
    if not data:
        raise EOFError
    page = mmap.mmap(fds[0], _PAGE)
    os.close(fds[0])
    receive(fds[1:])
    return memoryview(page).cast("q")


def _end_with_parent(fd: int, parent: int) -> None:
    """End this process when the pool's end of the socket is closed or the parent has ended."""
    # A signal that this thread took would not interrupt what the main thread waits for.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    poll = select.poll()
    poll.register(fd, _HUNG_UP)
    try:
        # A fork of the parent that is not a worker may hold the socket open.
        poll.register(os.pidfd_open(parent), select.POLLIN)
    except AttributeError:
        pass
    except ProcessLookupError:
        _end()
    except OSError:  # an older kernel, or a sandbox
        pass
    poll.poll()
    if not _stopping:
        _end()


def _end() -> None:
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


# ---------------------------------------------------------------- the fork server


def _fork_on_demand(sock: socket.socket, boot: Boot) -> None:
    """Fork a worker for each socket that arrives. This process has one thread and takes no lock.

    An ended worker stays a zombie until the pool asks for it, so that its process id is not reused.
    """
    signal.signal(signal.SIGINT, _ignore_ctrl_c)
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    with suppress(AttributeError, OSError):
        poll.register(os.pidfd_open(boot.parent), select.POLLIN)
    while any(fd == sock.fileno() for fd, _ in poll.poll()):
        data, fds = _receive_fds(sock, 8)
        if len(data) < 8:
            return
        if not fds:
            sock.sendall(U64.pack(_reap(*U64.unpack(data))))
            continue
        pid = os.fork()
        if not pid:
            sock.close()
            forked(socket.socket(fileno=fds[0]), boot)
        os.close(fds[0])
        sock.sendall(U64.pack(pid))


def _reap(pid: int) -> int:
    """Return the wait status of a worker that has ended."""
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:  # a worker of an earlier server
        return UNKNOWN
