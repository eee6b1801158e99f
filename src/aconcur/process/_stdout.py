"""Read the output of a pipe of commands on behalf of a block.

Law: an iterator holds nothing. What was read and not yet handed out stays with the reader, so an
iterator can be left anywhere, cancelled or not, and another one goes on.
"""

from __future__ import annotations

__all__ = ("Batches", "Chunks", "Lines", "OutputReader")

import errno
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from time import perf_counter
from typing import Final, final

import anyio
from anyio.lowlevel import checkpoint

from aconcur._core.pipe_budget import DEFAULT_SIZE
from aconcur.process._driver import Driver
from aconcur.process._line_buffer import LineBuffer

# Bytes in one read of a stream that has filled a whole pipe before.
_LARGE_READ: Final = 1 << 18
# Reads that found data at once, before other tasks get their turn: about 1 ms.
_READS: Final = 16


@final
class OutputReader:
    """Reads what the last stage writes."""

    def __init__(self, driver: Driver, *, readable: bool) -> None:
        self._driver: Driver = driver
        self._read_size: int = DEFAULT_SIZE
        self._reads: int = 0
        self._given_up: bool = False
        self._heard: float = perf_counter()
        self.buffer: LineBuffer = LineBuffer()
        self.at_end: bool = not readable
        """Whether all has been read that will ever come."""
        self.busy: bool = False
        """Whether somebody reads."""

    async def read(self) -> bytes:
        """Return what there is of the output, ``b""`` at its end.

        **Cancelled**: nothing was read.
        """
        self.busy = True
        try:
            while not self.at_end:
                self._reads += 1
                if self._reads % _READS == 0:
                    await checkpoint()
                data = await self._attempt()
                if data:
                    return data
        finally:
            self.busy = False
        await checkpoint()
        return b""

    async def fill(self) -> LineBuffer:
        """Return the buffer when it has a line.

        Raises:
            StopAsyncIteration: there is none any more.
        """
        while not self.buffer.ready:
            data = await self.read()
            if data:
                self.buffer.feed(data)
            elif not self.buffer.end():
                raise StopAsyncIteration
        return self.buffer

    async def give_up(self, linger: float) -> bool:
        """End the output when nothing has come for so long; return whether that was needed."""
        while not self.at_end:
            left = self._heard + linger - perf_counter()
            if left <= 0:
                self._given_up = True
                anyio.notify_closing(self._driver.group.stdout)
                return True
            await anyio.sleep(left)
        return False

    async def _attempt(self) -> bytes:
        """Read once; if there is nothing yet, wait and return ``b""``."""
        fd = self._driver.group.stdout
        if fd < 0:
            raise RuntimeError("the output can be read only inside of its block")
        try:
            data = os.read(fd, self._read_size)
        except BlockingIOError:
            self._reads = 0
            if self._given_up:
                self.at_end = True
            else:
                with suppress(anyio.ClosedResourceError):  # it has been given up meanwhile
                    await anyio.wait_readable(fd)
            return b""
        except OSError as error:
            if error.errno != errno.EIO:  # how a terminal says that its last user has gone
                raise
            data = b""
        self.at_end = not data
        self._driver.received += len(data)
        self._heard = perf_counter()
        if len(data) == self._read_size == DEFAULT_SIZE:
            self._read_size = _LARGE_READ
            self._driver.group.pipe_budget.enlarge(fd)
        return data


@final
class Chunks(AsyncIterator[bytes]):
    """Pieces as they come."""

    def __init__(self, reader: OutputReader) -> None:
        self._reader = reader

    async def __anext__(self) -> bytes:
        data = self._reader.buffer.rest() or await self._reader.read()
        if not data:
            raise StopAsyncIteration
        return data


@final
class Lines(AsyncIterator[bytes]):
    """One line after the other."""

    __slots__ = ("_pop", "_reader")

    def __init__(self, reader: OutputReader) -> None:
        self._reader = reader
        self._pop = reader.buffer.ready.pop

    if sys.version_info < (3, 12):

        def __aiter__(self) -> AsyncIterator[bytes]:  # noqa: PYI034 - not itself
            # There ``async for`` takes 0.75 of the time over a generator; later, 1.4 of it.
            return _unwatched(_lines(self._reader))

    async def __anext__(self) -> bytes:  # noqa: ASYNC910 - a checkpoint a line would cost 20 µs
        try:
            return self._pop()
        except IndexError:
            await self._reader.fill()
        return self._pop()


async def _lines(reader: OutputReader) -> AsyncGenerator[bytes]:
    yield b""  # for _unwatched
    pop = reader.buffer.ready.pop
    while True:
        try:
            while True:
                yield pop()
        except IndexError:
            pass
        try:
            await reader.fill()
        except StopAsyncIteration:
            return


def _unwatched(lines: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Take the first item, without the event loop's hooks for generators that are left early.

    They would have a task close it, and trio would warn; but there is nothing to clean up.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        with suppress(StopIteration):
            lines.asend(None).send(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)
    return lines


@final
class Batches(AsyncIterator[list[bytes]]):
    """All lines that have come."""

    def __init__(self, reader: OutputReader) -> None:
        self._reader = reader

    async def __anext__(self) -> list[bytes]:
        buffer = self._reader.buffer
        while not buffer.ready:
            data = await self._reader.read()
            if lines := buffer.split(data):
                return lines
            if not data and not buffer.end():
                raise StopAsyncIteration
        return buffer.batch()
