"""A worker's life: do what comes, until the pool says stop or is gone."""

from __future__ import annotations

__all__ = ("EXACT", "KEEP_GOING", "send", "serve")

import _socket as socket
import os
import sys
from contextlib import suppress
from operator import methodcaller

from aconcur._worker.codec import INLINE, Encoded, SocketFile, decode, encode, load, send_all
from aconcur._worker.failures import pack
from aconcur._worker.frames import (
    ANSWER,
    CALL,
    FORGET,
    FUNCTION,
    ITEMS,
    SHARE,
    STOP,
    UNREADABLE,
    Frame,
    Inbox,
    head,
)
from aconcur._worker.kept import keep
from aconcur._worker.main_module import sealed
from aconcur._worker.work import Answer, Page, encode_answer, work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

EXACT: Final = 1
"""A flag of ITEMS: tell before each item where the work is."""
KEEP_GOING: Final = 2
"""A flag of ITEMS: go on after an item that fails."""


def send(sock: socket.socket, kind: int, message: Encoded, **fields: Any) -> None:  # noqa: ANN401
    """Send a frame, however long."""
    first = head(kind, message, **fields)
    if message.total <= INLINE:
        sock.sendall(b"".join((first, *message.parts)))
    else:
        send_all(sock, [first, *message.parts])


def serve(sock: socket.socket, page: Page) -> None:
    """Do what comes until STOP.

    Raises:
        EOFError: the pool has gone.
        OSError: the pool has gone.
    """
    _Service(sock, page).run()


class _Service:
    def __init__(self, sock: socket.socket, page: Page) -> None:
        self._sock, self._page, self._pid = sock, page, os.getpid()
        self._inbox = Inbox(sock)
        self._functions: dict[int, Any] = {}

    def run(self) -> None:
        while (frame := self._next()).kind != STOP:
            if frame.kind == FORGET:
                self._functions.pop(frame.job, None)
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
        """Return whether the error is the message's own, and not that of the connection."""
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
        send(self._sock, UNREADABLE, message, job=frame.job, chunk=frame.chunk)

    def _do(self, frame: Frame, value: Any) -> None:  # noqa: ANN401
        if frame.kind == SHARE:
            keep(frame.job, value)
        elif frame.kind == FUNCTION:
            self._functions[frame.job] = value
        elif frame.kind == ITEMS and frame.job in self._functions:
            self._answer(
                frame,
                *work(
                    self._functions[frame.job],
                    value,
                    frame.seconds,
                    self._page,
                    job=frame.job,
                    chunk=frame.chunk,
                    exact=bool(frame.flags & EXACT),
                    keep_going=bool(frame.flags & KEEP_GOING),
                ),
            )
        elif frame.kind == ITEMS:
            self._unreadable(frame, LookupError("its function could not be read"))
        elif frame.kind == CALL:
            function, arguments = value
            self._answer(
                frame,
                *work(
                    methodcaller("__call__", *arguments),
                    (function,),
                    frame.seconds,
                    self._page,
                    job=frame.job,
                    chunk=frame.chunk,
                    exact=True,
                    keep_going=False,
                ),
            )

    def _answer(self, frame: Frame, answer: Answer, seconds: float) -> None:
        if os.getpid() != self._pid:
            os._exit(0)  # a fork that the function has made, and has not ended
        with sealed():
            message = encode_answer(answer)
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # closed, or none at all
                stream.flush()
        send(self._sock, ANSWER, message, job=frame.job, chunk=frame.chunk, seconds=seconds)
