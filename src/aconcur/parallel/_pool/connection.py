"""The pool's end of the socket to one worker.

Short frames are read and written directly in the event loop. Long ones go through a thread, which
copies without holding the interpreter lock, so that the loop goes on.
"""

from __future__ import annotations

__all__ = ("Connection", "OnFrame")

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias, final

import anyio
import anyio.to_thread

from aconcur._core.wait_queue import WaitQueue, in_trio, wait_in
from aconcur._pool_worker.codec import (
    INLINE,
    Buffer,
    Encoded,
    Frame,
    Inbox,
    SocketFile,
    decode,
    header,
    load,
    send_all,
)

OnFrame: TypeAlias = Callable[[Frame, Any, Exception | None], None]


@final
class Connection:
    """A connection to a worker.

    Args:
        sock: a blocking socket; :meth:`close` closes it.
        on_frame: called in the loop with each frame and its value, or the error of its unpickling.
        limiter: limits the threads.
    """

    def __init__(
        self, sock: socket.socket, on_frame: OnFrame, limiter: anyio.CapacityLimiter
    ) -> None:
        self._sock, self._on_frame, self._limiter = sock, on_frame, limiter
        self._inbox = Inbox(sock)
        self._queue = deque[list[Buffer]]()
        self._senders, self._receivers = WaitQueue(), WaitQueue()
        self._sending = self._ended = self._hung_up = False
        self._long: Frame | None = None

    def close(self) -> None:
        """Close the socket. No task of this connection may run any more."""
        self._sock.close()

    # ----------------------------------------------------------------- sending

    def send(
        self,
        kind: int,
        message: Encoded,
        job: int = 0,
        chunk: int = 0,
        flags: int = 0,
        seconds: float = 0,
    ) -> None:
        """Send a frame, at once or after those before it."""
        first = header(kind, message, job, chunk, flags, seconds)
        if self._queue or self._sending or message.total > INLINE:
            self._enqueue([first, *message.parts])
            return
        data = b"".join((first, *message.parts))
        try:
            sent = self._sock.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:  # the worker has ended, which the receiving task will notice
            return
        if sent < len(data):
            self._enqueue([memoryview(data)[sent:]])

    def _enqueue(self, parts: list[Buffer]) -> None:
        self._queue.append(parts)
        self._senders.wake()

    async def send_queued(self) -> None:
        """Send the frames that could not be sent at once, until the worker has ended."""
        while True:
            while not self._queue:
                await wait_in(self._senders)
            self._sending = True
            try:
                call = partial(_send_and_forget, self._sock, self._queue.popleft())
                await anyio.to_thread.run_sync(call, limiter=self._limiter)
            except OSError:
                return
            finally:
                self._sending = False

    # --------------------------------------------------------------- receiving

    async def receive(self) -> None:
        """Read until the worker has ended."""
        if in_trio():
            from trio.lowlevel import wait_readable

            while not self._ended:
                await wait_readable(self._sock)
                self._read()
                if self._long is not None:
                    await self._read_long()
            return
        loop = asyncio.get_running_loop()
        while not self._ended:
            # One reader serves all frames; anyio.wait_readable would add and remove one for each.
            loop.add_reader(self._sock.fileno(), self._read)
            # libuv sets O_NONBLOCK, but the threads need a blocking socket. Reads in the loop pass
            # MSG_DONTWAIT instead.
            self._sock.setblocking(True)
            try:
                if not self._hung_up:
                    await wait_in(self._receivers)
            finally:
                loop.remove_reader(self._sock.fileno())
            self._read_to_the_end()
            await self._read_long()

    def hang_up(self) -> None:
        """Read the bytes that have arrived and no more: the worker has ended.

        A process that it started may still hold its end of the socket open.
        """
        self._hung_up = True
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._receivers.wake()

    def _read_to_the_end(self) -> None:
        while self._hung_up and not self._ended and self._long is None:
            self._read()

    def _read(self) -> None:
        try:
            self._ended = not self._inbox.receive(socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            self._ended = True
        self._hand_out()
        if self._ended or self._long is not None:
            self._receivers.wake()

    def _hand_out(self) -> None:
        while self._long is None and (frame := self._inbox.next()) is not None:
            if frame.total > INLINE:
                self._long = frame
                return
            value, unreadable = None, None
            try:
                value = load(frame.body, frame.sizes)
            except Exception as error:  # noqa: BLE001 - raised by unpickling a result
                unreadable = error
            self._on_frame(frame, value, unreadable)

    async def _read_long(self) -> None:
        while (frame := self._long) is not None:
            file = SocketFile(self._sock, bytes(frame.body), frame.total)
            try:
                call = partial(_decoded, file, frame.sizes)
                value, error = await anyio.to_thread.run_sync(call, limiter=self._limiter)
            except (EOFError, OSError):
                self._ended = True
                return
            finally:
                self._long = None
            self._on_frame(frame, value, error)
            self._hand_out()


def _send_and_forget(sock: socket.socket, parts: list[Buffer]) -> None:
    """Send, and drop the references: a thread keeps its arguments until its next call."""
    try:
        send_all(sock, parts)
    finally:
        parts.clear()


def _decoded(file: SocketFile, sizes: Sequence[int]) -> tuple[Any, Exception | None]:
    try:
        return decode(file, sizes), None
    except Exception as error:  # noqa: BLE001 - of an item, unless the rest does not come
        file.skip()
        return None, error
