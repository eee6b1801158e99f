"""Become a worker: in a fresh interpreter, in a fork, or in a fork of a fresh interpreter.

Law 1: a worker is the leader of a session of its own. No key of the terminal reaches it, and what
it starts is ended with it.
Law 2: it ends with its parent, however that ends, also in the middle of an item.
Law 3: from a fork on, no lock of the parent is taken by what stands here.
"""

from __future__ import annotations

__all__ = ("UNKNOWN", "Boot", "exec_main", "forked", "receive_boot", "send_boot", "spawned")

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

from aconcur._worker.codec import U64, SocketFile, encode
from aconcur._worker.failures import pack
from aconcur._worker.frames import FAILED, READY
from aconcur._worker.main_module import Origin, install
from aconcur._worker.serve import send, serve
from aconcur._worker.work import Page

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_PAGE: Final = 4096
_INT: Final = Struct("i")
UNKNOWN: Final = 1 << 32
"""No wait status: nobody knows."""
# poll(2): the peer has closed its end (Linux); elsewhere POLLHUP, which is always told.
_HUNG_UP: Final = getattr(select, "POLLRDHUP", 0)


class Boot:
    """What a worker must know before anything else.

    Args:
        parent: the process with which it ends.
        path: where it finds modules.
        argv: the parent's command line.
        main: where the parent's ``__main__`` comes from.
        nice: added to its niceness.
        initializer: the pickle of a function and its arguments.
        serves: it is no worker: it forks them.
    """

    __slots__ = ("argv", "initializer", "main", "nice", "parent", "path", "serves")

    def __init__(
        self,
        parent: int,
        path: list[str],
        argv: list[str],
        main: Origin,
        nice: int,
        initializer: bytes | None,
        *,
        serves: bool = False,
    ) -> None:
        self.parent: int = parent
        self.path: list[str] = path
        self.argv: list[str] = argv
        self.main: Origin = main
        self.nice: int = nice
        self.initializer: bytes | None = initializer
        self.serves: bool = serves


_stopping = False


def send_boot(sock: socket.socket, boot: Boot, *, serves: bool = False) -> None:
    """Tell a fresh interpreter what it is: a worker, or what forks them."""
    told = boot.parent, boot.path, boot.argv, boot.main, boot.nice, boot.initializer
    data = pickle.dumps((told, serves), 5)
    sock.sendall(U64.pack(len(data)) + data)


def receive_boot(sock: socket.socket) -> Boot:
    """Hear from the pool what this interpreter is."""
    (size,) = U64.unpack(SocketFile(sock, b"", 8).read())
    told, serves = pickle.loads(SocketFile(sock, b"", size).read())
    return Boot(*told, serves=serves)


def exec_main(fd: int) -> None:
    """Be what the pool says: the program of a fresh interpreter. Its session is its own already."""
    sock = socket.socket(fileno=fd)
    try:
        boot = receive_boot(sock)
        sys.path[:], sys.argv[:] = boot.path, boot.argv
        install(boot.main)
        if boot.serves:
            _fork_on_demand(sock, boot)
        else:
            _live(sock, boot)
    except (EOFError, ConnectionError):
        return
    finally:
        sock.detach()  # the end of the process closes it, and so tells the pool


def spawned(connection: Any, boot: Boot) -> None:  # noqa: ANN401 - multiprocessing's Connection
    """Be a worker: the target of a process of multiprocessing."""
    os.setsid()
    sock = socket.socket(fileno=os.dup(connection.fileno()))
    connection.close()
    with suppress(EOFError, ConnectionError):
        _live(sock, boot)


def forked(sock: socket.socket, boot: Boot) -> None:
    """Be a worker, to the end of this process: called in the child of a fork. Never returns."""
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        _forget_loops()
        with suppress(EOFError, ConnectionError):
            Context().run(_live, sock, boot)
        code = 0
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # closed, or none at all
                stream.flush()
        os._exit(code)


def _forget_loops() -> None:
    """Let a task run a loop of its own, though the fork was made in one."""
    if asyncio := sys.modules.get("asyncio"):
        asyncio._set_running_loop(None)  # noqa: SLF001 - as asyncio itself, from Python 3.12 on
    if trio := sys.modules.get("trio._core._run"):
        trio.GLOBAL_RUN_CONTEXT.__dict__.clear()
        trio.sniffio_library.name = None


def _live(sock: socket.socket, boot: Boot) -> None:
    global _stopping
    _stopping = False
    # Not ignored: what a task starts would inherit that.
    signal.signal(signal.SIGINT, _nothing)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    sock.setblocking(True)
    page = _receive_page(sock)
    start_new_thread(_end_with_parent, (sock.fileno(), boot.parent))
    try:
        if boot.nice:
            os.nice(boot.nice)
        if boot.initializer is not None:
            initializer, arguments = pickle.loads(boot.initializer)
            initializer(*arguments)
            del initializer, arguments
    except BaseException as error:  # noqa: BLE001 - it travels
        send(sock, FAILED, encode(pack(error)))
        return
    send(sock, READY, encode(None))
    serve(sock, page)
    _stopping = True


def _nothing(number: int, frame: object) -> None:
    """Ctrl-C is the parent's business."""


def _receive_fds(sock: socket.socket, size: int) -> tuple[bytes, list[int]]:
    """Do as ``socket.recv_fds``."""
    data, ancillary, _, _ = sock.recvmsg(size, socket.CMSG_SPACE(_INT.size))
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
    return memoryview(page).cast("q")


def _end_with_parent(fd: int, parent: int) -> None:
    """End when the pool's end of the socket is closed, or the parent has ended."""
    poll = select.poll()
    poll.register(fd, _HUNG_UP)
    try:
        # A fork of the parent that is not ours may hold the socket open.
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
    """Fork a worker for each socket that comes. One thread, no lock but the interpreter's.

    An ended worker stays a zombie until it is asked for, so that nobody takes its process id.
    """
    signal.signal(signal.SIGINT, _nothing)
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
    except ChildProcessError:  # that of a server before this one
        return UNKNOWN
