"""A worker's loop: read a frame, do what it asks for, answer; until STOP or the pool's end."""

from __future__ import annotations

__all__ = ("EXACT", "KEEP_GOING", "STAR", "serve")

import _socket as socket
import os
import sys
from _thread import allocate_lock
from contextlib import suppress

from aconcur._pool_worker.codec import (
    ANSWER,
    ASYNC_CALL,
    ASYNC_ITEM,
    CALL,
    CANCEL,
    FAILED,
    FORGET,
    FUNCTION,
    INITIALIZE,
    INLINE,
    LOG,
    READY,
    SHARE,
    STOP,
    UNREADABLE,
    UNSHARE,
    Encoded,
    Frame,
    Inbox,
    SocketFile,
    decode,
    encode,
    header,
    load,
    send_all,
)
from aconcur._pool_worker.event_loop import EventLoop
from aconcur._pool_worker.failures import pack
from aconcur._pool_worker.kept import drop, keep
from aconcur._pool_worker.logs import Levels, forward_logs
from aconcur._pool_worker.main_module import sealed
from aconcur._pool_worker.task import Page, Task
from aconcur._pool_worker.work import Answer, encode_answer, work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

EXACT: Final = 1
"""A flag of ITEMS: report on the page before each item, so that a death is blamed on one."""
KEEP_GOING: Final = 2
"""A flag of ITEMS: go on after an item that failed."""
STAR: Final = 4
"""A flag of ITEMS: an item is a tuple of arguments."""


def serve(
    sock: socket.socket,
    page: Page,
    *,
    nice: int,
    initialized: bool,
    initializer: tuple[Any, tuple[Any, ...]] | None,
    levels: Levels | None,
) -> None:
    """Serve until STOP, or until the initializer has failed.

    Args:
        sock: the connection to the pool.
        page: the shared page.
        nice: added to this process's niceness.
        initialized: whether an INITIALIZE frame comes before all others.
        initializer: the initializer and its arguments, if they need not be sent.
        levels: the levels of the parent's loggers; None: log records are not forwarded.

    Raises:
        EOFError: the pool's end was closed.
        OSError: the connection is broken.
    """
    worker = _Worker(sock, page)
    if levels is not None:
        forward_logs(worker.log, levels)
    if worker.start(nice, initialized, initializer):
        worker.run()


def _call(call: tuple[Any, tuple[Any, ...], dict[str, Any]]) -> Any:  # noqa: ANN401 - the function's
    function, arguments, options = call
    return function(*arguments, **options)


class _Worker:
    """Holds what the pool has sent: the functions of its open maps."""

    def __init__(self, sock: socket.socket, page: Page) -> None:
        self._sock, self._page, self._pid = sock, page, os.getpid()
        self._inbox = Inbox(sock)
        self._functions: dict[int, Any] = {}
        self._lock = allocate_lock()  # threads of a task may send log records
        self._resource: Any = None
        self._loop = EventLoop(self._reply)

    def log(self, message: Encoded) -> None:
        """Send a log record. Callable in any thread."""
        if os.getpid() == self._pid:
            self._send(LOG, message)

    def start(
        self, nice: int, initialized: bool, initializer: tuple[Any, tuple[Any, ...]] | None
    ) -> bool:
        """Run the initializer and say READY; return False if it failed, after saying FAILED."""
        try:
            if nice:
                os.nice(nice)
            if initialized:
                frame = self._next()
                assert frame.kind == INITIALIZE
                initializer = self._value(frame)
            if initializer is not None:
                function, arguments = initializer
                self._resource = function(*arguments)
                if hasattr(self._resource, "send"):  # a generator: it ends when the worker does
                    next(self._resource)
                del initializer, function, arguments
        except (EOFError, OSError) as error:
            if not self._connected():
                raise
            self._send(FAILED, encode(pack(error)))
            return False
        except BaseException as error:  # noqa: BLE001 - it travels
            self._send(FAILED, encode(pack(error)))
            return False
        self._send(READY, encode(None))
        return True

    def run(self) -> None:
        """Serve until STOP; then end the initializer, if it is a generator."""
        while (frame := self._next()).kind != STOP:
            if frame.kind == FORGET:
                self._functions.pop(frame.job, None)
                continue
            if frame.kind == UNSHARE:
                drop(frame.job)
                continue
            if frame.kind == CANCEL:
                self._loop.cancel(frame.job)
                continue
            try:
                value = self._value(frame)
            except (EOFError, OSError) as error:
                if not self._connected():
                    raise
                self._unreadable(frame, error)
            except BaseException as error:  # noqa: BLE001 - it travels
                self._unreadable(frame, error)
            else:
                self._do(frame, value)
                del value
        if hasattr(self._resource, "send"):
            next(self._resource, None)

    def _next(self) -> Frame:
        while (frame := self._inbox.next()) is None:
            if not self._inbox.receive():
                raise EOFError
        return frame

    def _value(self, frame: Frame) -> Any:  # noqa: ANN401
        if frame.total <= INLINE:
            return load(frame.body, frame.sizes)
        file = SocketFile(self._sock, frame.body, frame.total)
        try:
            return decode(file, frame.sizes)
        finally:
            file.skip()

    def _connected(self) -> bool:
        """Return whether an EOFError or OSError came from user code and not from the socket."""
        with suppress(OSError):
            try:
                return bool(self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
            except BlockingIOError:
                return True
        return False

    def _unreadable(self, frame: Frame, error: BaseException) -> None:
        if frame.kind == SHARE:
            keep(frame.job, None, error)
            return
        message = encode(pack(error, skip=3))
        self._send(UNREADABLE, message, frame.job, frame.chunk)

    def _do(self, frame: Frame, value: Any) -> None:  # noqa: ANN401
        if frame.kind == SHARE:
            keep(frame.job, value)
        elif frame.kind == FUNCTION:
            self._functions[frame.job] = value
        elif frame.kind == ASYNC_CALL:
            self._loop.call(frame.job, frame.chunk, value)
        elif frame.kind == ASYNC_ITEM and frame.job in self._functions:
            arguments = value if frame.flags & STAR else (value,)
            function = self._functions[frame.job]
            self._loop.call(frame.job, frame.chunk, (function, arguments, {}), frame.seconds)
        elif frame.kind == CALL:
            self._work(frame, _call, (value,), EXACT, skip=2)
        elif frame.job in self._functions:
            self._work(frame, self._functions[frame.job], value, frame.flags)
        else:
            self._unreadable(frame, LookupError("the map's function could not be unpickled"))

    def _work(
        self,
        frame: Frame,
        function: Any,  # noqa: ANN401
        items: Any,  # noqa: ANN401
        flags: int,
        skip: int = 1,
    ) -> None:
        task = Task(self._page, frame.job, frame.chunk)
        task.begin()
        answer, seconds = work(
            function,
            items,
            frame.seconds,
            task,
            exact=bool(flags & EXACT),
            keep_going=bool(flags & KEEP_GOING),
            star=bool(flags & STAR),
            failed=pack if skip == 1 else lambda error: pack(error, skip=skip),
        )
        task.end()
        self._reply(frame.job, frame.chunk, answer, seconds)

    def _reply(self, job: int, chunk: int, answer: Answer, seconds: float = 0) -> None:
        if os.getpid() != self._pid:
            os._exit(0)  # a fork that the function made and did not end
        with sealed():
            message = encode_answer(answer)
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # the stream is closed or None
                stream.flush()
        self._send(ANSWER, message, job, chunk, seconds=seconds)

    def _send(
        self, kind: int, message: Encoded, job: int = 0, chunk: int = 0, seconds: float = 0
    ) -> None:
        first = header(kind, message, job, chunk, seconds=seconds)
        with self._lock:
            if message.total <= INLINE:
                self._sock.sendall(b"".join((first, *message.parts)))
            else:
                send_all(self._sock, [first, *message.parts])
