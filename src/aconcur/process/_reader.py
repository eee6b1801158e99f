r"""Read an output of a pipe of commands on behalf of a block: pieces, lines, frames, events.

Where data waits
    The bytes that were read and not yet handed out are in one of two buffers: as lines
    (``_lines``, for ``lines()`` and ``line_batches()`` with ``b"\n"``, the fastest), or as they
    came (``_raw``, for all other ways). The ways may alternate: each moves what it finds in the
    other buffer first.

Invariants
    1. An iterator holds nothing. An iterator can be left anywhere, cancelled or not, and another
       one goes on with the next byte.
    2. Nothing awaits between a read and the storing of its data, so a cancellation loses
       nothing.
    3. When the reader has run on for 2 ms without waiting, the other tasks run.
"""

from __future__ import annotations

__all__ = ("Ends", "MergedLines", "OutputLine", "Pattern", "StreamReader")

import re
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Final, Literal, NamedTuple, TypeAlias, final

import anyio
from anyio.lowlevel import checkpoint

from aconcur._core.generators import start_unhooked
from aconcur.process._driver import OutputStream
from aconcur.process._errors import OutputEnded
from aconcur.process._line_buffer import LineBuffer

Ends: TypeAlias = bytes | Collection[bytes]
"""One line end, or several alternatives."""

Pattern: TypeAlias = bytes | re.Pattern[bytes]
"""Bytes to find as they are, or a regular expression of bytes."""

# Seconds without a wait before other tasks get their turn.
_TURN: Final = 0.002


class OutputLine(NamedTuple):
    """One line of one stream of one stage."""

    stage: int
    """The place of its command in the pipe, from 0."""
    stream: Literal["stdout", "stderr"]
    line: bytes
    """Without its ``b"\n"``."""


def _first(found: tuple[int, int, int]) -> tuple[int, int]:
    return found[0], found[2]


@final
class StreamReader:
    """Reads one stream. One task at a time."""

    def __init__(self, stream: OutputStream | None, args: tuple[str, ...]) -> None:
        self.stream: OutputStream | None = stream
        self.at_end: bool = stream is None
        """Whether all was read that will ever come."""
        self.cut_off: bool = False
        """Whether it ended because an orphan that holds it was silent for ``linger``."""
        self.busy: bool = False
        """Whether a task reads."""
        self.lines: LineBuffer = LineBuffer()
        self._args: tuple[str, ...] = args
        self._raw: bytearray = bytearray()
        self._rest_of_end: bytes = b""
        self._given_up: bool = False
        self._waited: float = perf_counter()

    # Reading

    async def read(self) -> bytes:
        """Return data that has come from the stream, ``b""`` at its end.

        **Cancelled**: nothing was read.
        """
        self.busy = True
        try:
            while not self.at_end:
                await self.let_others_run()
                if (data := self.read_now()) is not None:
                    return data
                await self._wait()
        finally:
            self.busy = False
        await checkpoint()
        return b""

    def read_now(self) -> bytes | None:
        """Read once without waiting: None if nothing has come."""
        stream = self.stream
        if stream is None or stream.fd < 0:
            if self.at_end:
                return b""
            raise RuntimeError("the output can be read only inside of its block")
        data = stream.read()
        if data is None and self._given_up:
            self.cut_off, data = True, b""
        self.at_end = data == b""
        return data

    async def let_others_run(self) -> None:  # noqa: ASYNC910 - a checkpoint a call costs 20 µs
        """Let other tasks run if this one has not waited for 2 ms."""
        if perf_counter() - self._waited > _TURN:
            await checkpoint()
            self._waited = perf_counter()

    async def _wait(self) -> None:
        assert self.stream is not None
        with suppress(anyio.ClosedResourceError):  # it was given up meanwhile
            await anyio.wait_readable(self.stream.fd)
        self._waited = perf_counter()

    async def give_up(self, linger: float) -> None:
        """Wait until nothing has come for ``linger`` seconds; then end the stream where it is."""
        stream = self.stream
        while not self.at_end and stream is not None and stream.fd >= 0:
            left = stream.heard + linger - perf_counter()
            if left <= 0:
                self._given_up = True
                anyio.notify_closing(stream.fd)
                return
            await anyio.sleep(left)

    def prepare_lines(self) -> bool:
        """Make lines ready without waiting, if data has come; return whether there are any."""
        lines = self.lines
        self._move_to_lines()
        if lines.ready or lines.refill():
            return True
        while not self.at_end:
            data = self.read_now()
            if data is None:
                return False
            if data:
                lines.feed(data)
                if lines.ready:
                    return True
        return lines.end()

    def waited_with(self, other: StreamReader | None) -> None:
        """Count the time since the last wait from that of another reader, or from this moment."""
        self._waited = perf_counter() if other is None else other._waited  # noqa: SLF001 - its kind

    def mark_read(self) -> None:
        """Treat the stream as read to its end."""
        self.at_end = True

    # Lines

    async def fill(self) -> LineBuffer:
        """Return the line buffer when it has a line ready.

        Raises:
            StopAsyncIteration: there is none any more.
        """
        lines = self.lines
        self._move_to_lines()
        while not lines.ready:
            await self.let_others_run()
            if lines.refill():
                break
            data = await self.read()
            if data:
                lines.feed(data)
            elif not lines.end():
                raise StopAsyncIteration
        return lines

    def pending(self) -> list[bytes]:
        """Take the complete lines that were read."""
        self._move_to_lines()
        return self.lines.batch()

    def iterate_lines(self, ends: Ends) -> AsyncIterator[bytes]:
        """Iterate over lines without their ends."""
        return _Lines(self) if ends == b"\n" else _SplitLines(self, _Finder(ends))

    def iterate_batches(self) -> AsyncIterator[list[bytes]]:
        """Iterate over lists of lines."""
        return _Batches(self)

    def iterate_chunks(self) -> AsyncIterator[bytes]:
        """Iterate over data as it comes."""
        return _Chunks(self)

    # Frames

    async def read_exactly(self, count: int) -> bytes:
        """Return so many bytes.

        Raises:
            OutputEnded: the stream ends before.
        """
        self._move_to_raw()
        while len(self._raw) < count:
            if not (data := await self.read()):
                raise OutputEnded(self._args, f"{count} bytes", bytes(self._raw))
            self._raw += data
        await self.let_others_run()
        return self._take(count)

    async def read_until(self, patterns: Sequence[Pattern]) -> tuple[int, bytes]:
        """Return the index of the pattern that matches first, and everything up to its match.

        Of patterns that match at the same place the first one counts.

        Raises:
            OutputEnded: the stream ends before.
        """
        finders = [*map(_Finder, patterns)]
        self._move_to_raw()
        await self.let_others_run()
        starts = [0] * len(finders)
        while True:
            found = [
                (*span, index)
                for index, finder in enumerate(finders)
                if (span := finder.find(self._raw, starts[index]))
            ]
            if found:
                _, end, index = min(found, key=_first)
                return index, self._take(end)
            starts = [
                0 if finder.overlap is None else max(0, len(self._raw) - finder.overlap)
                for finder in finders
            ]
            if not (data := await self.read()):
                wanted = " or ".join(finder.shown for finder in finders)
                raise OutputEnded(self._args, wanted, bytes(self._raw))
            self._raw += data

    async def take_until(self, finder: _Finder) -> tuple[bytes, int]:
        """Take everything up to a match; return it, and how long the match is.

        Raises:
            OutputEnded: the stream ends before.
        """
        self._move_to_raw()
        await self.let_others_run()
        start = 0
        while True:
            self._drop_rest_of_end()
            if span := finder.find(self._raw, start):
                break
            start = 0 if finder.overlap is None else max(0, len(self._raw) - finder.overlap)
            if not (data := await self.read()):
                raise OutputEnded(self._args, finder.shown, bytes(self._raw))
            self._raw += data
        text = self._take(span[1])
        if not self._raw:
            self._rest_of_end = finder.longer.get(text[span[0] :], b"")
        return text, span[1] - span[0]

    def _drop_rest_of_end(self) -> None:
        """Drop the line feed after a carriage return that came alone and was taken for an end."""
        if self._raw and self._rest_of_end:
            if self._raw.startswith(self._rest_of_end):
                del self._raw[: len(self._rest_of_end)]
            self._rest_of_end = b""

    def _take(self, count: int) -> bytes:
        data = bytes(memoryview(self._raw)[:count])
        del self._raw[:count]
        self._rest_of_end = b""
        return data

    def take_all(self, most: int | None = None) -> bytes:
        """Take the data that was read and not handed out, or at most that many bytes of it."""
        self._move_to_raw()
        return self._take(len(self._raw) if most is None else min(most, len(self._raw)))

    def put_back(self, data: bytes) -> None:
        """Let data be read again, before everything else."""
        self._move_to_raw()
        self._raw[:0] = data

    def _move_to_raw(self) -> None:
        if self.lines:
            self._raw[:0] = self.lines.rest()

    def _move_to_lines(self) -> None:
        if self._raw:
            self._drop_rest_of_end()
            data = self.lines.rest() + bytes(self._raw)
            self._raw.clear()
            self.lines.feed(data)


@final
class _Finder:
    """Finds where a line end or a pattern stands first."""

    def __init__(self, wanted: Pattern | Collection[bytes]) -> None:
        self.overlap: int | None = None
        """How many bytes before new data may belong to a match; None: any number."""
        self.longer: dict[bytes, bytes] = {}
        """An alternative that begins another one, to the rest of that one: a CR to the LF."""
        if isinstance(wanted, re.Pattern):
            if not isinstance(wanted.pattern, bytes):
                raise TypeError(f"a pattern must be of bytes, as re.compile(b'…'), not {wanted!r}")
            self._regex = wanted
            self.shown = repr(wanted.pattern)
            return
        several = (wanted,) if isinstance(wanted, bytes) else tuple(wanted)
        for one in several:
            if not isinstance(one, bytes):
                raise TypeError(f"bytes or a compiled pattern of bytes are needed, not {one!r}")
        if not several or not all(several):
            raise ValueError(f"{wanted!r} must not be empty")
        longest_first = sorted(several, key=len, reverse=True)
        self._regex = re.compile(b"|".join(map(re.escape, longest_first)))
        self.longer = {
            one: longer[len(one) :]
            for longer in several
            for one in several
            if longer.startswith(one) and longer != one
        }
        self.overlap = len(longest_first[0]) - 1
        self.shown = " or ".join(map(repr, several))

    def find(self, data: bytearray, start: int) -> tuple[int, int] | None:
        """Return the span of the first match at or after ``start``."""
        match = self._regex.search(data, start)
        return match.span() if match else None


@final
class _Lines(AsyncIterator[bytes]):
    """One line after the other."""

    __slots__ = ("_pop", "_reader")

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader
        self._pop = reader.lines.ready.pop

    if sys.version_info < (3, 12):

        def __aiter__(self) -> AsyncIterator[bytes]:  # noqa: PYI034 - not itself
            # There ``async for`` takes 0.75 of the time over a generator; later, 1.4 of it.
            return start_unhooked(_generate_lines(self._reader))

    async def __anext__(self) -> bytes:  # noqa: ASYNC910 - a checkpoint a line would cost 20 µs
        try:
            return self._pop()
        except IndexError:
            await self._reader.fill()
        return self._pop()


async def _generate_lines(reader: StreamReader) -> AsyncGenerator[bytes]:
    yield b""  # for start_unhooked
    pop = reader.lines.ready.pop
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


@final
class _SplitLines(AsyncIterator[bytes]):
    """Lines that end in something else than a line feed."""

    def __init__(self, reader: StreamReader, finder: _Finder) -> None:
        self._reader, self._finder = reader, finder

    async def __anext__(self) -> bytes:
        try:
            text, length = await self._reader.take_until(self._finder)
        except OutputEnded:
            if rest := self._reader.take_all():
                return rest
            raise StopAsyncIteration from None
        return text[: len(text) - length]


@final
class _Chunks(AsyncIterator[bytes]):
    """Pieces as they come."""

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader

    async def __anext__(self) -> bytes:
        data = self._reader.take_all() or await self._reader.read()
        if not data:
            raise StopAsyncIteration
        return data


@final
class _Batches(AsyncIterator[list[bytes]]):
    """All lines that have come."""

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader

    async def __anext__(self) -> list[bytes]:
        reader = self._reader
        if lines := reader.pending():
            return lines
        while True:
            data = await reader.read()
            if lines := reader.lines.split(data):
                return lines
            if not data:
                if reader.lines.end():
                    return reader.lines.batch()
                raise StopAsyncIteration


# Half the time of OutputLine(…), which goes through a Python function.
_new: Final = tuple.__new__


@final
class MergedLines(AsyncIterator[OutputLine]):
    """The lines of several streams as they come, told apart."""

    def __init__(self, readers: Sequence[StreamReader]) -> None:
        self._readers = readers
        self._place = 0
        self._current = readers[0]
        self._told: tuple[int, Literal["stdout", "stderr"]] = _told(readers[0])

    if sys.version_info < (3, 12):

        def __aiter__(self) -> AsyncIterator[OutputLine]:  # noqa: PYI034 - as for _Lines
            return start_unhooked(self._generate())

    async def __anext__(self) -> OutputLine:  # noqa: ASYNC910 - a checkpoint a line costs 20 µs
        while not (ready := self._current.lines.ready):
            if not await self._advance():
                raise StopAsyncIteration
        return _new(OutputLine, (*self._told, ready.pop()))

    async def _generate(self) -> AsyncGenerator[OutputLine]:
        yield OutputLine(0, "stdout", b"")  # for start_unhooked
        while await self._advance():
            stage, stream = self._told
            pop = self._current.lines.ready.pop
            try:
                while True:
                    yield _new(OutputLine, (stage, stream, pop()))
            except IndexError:
                pass

    async def _advance(self) -> bool:
        """Go on to the next stream that has lines; return False at the end of all."""
        while True:
            await self._current.let_others_run()
            for _ in self._readers:
                self._place = (self._place + 1) % len(self._readers)
                reader = self._readers[self._place]
                if reader.prepare_lines():
                    reader.waited_with(self._current)
                    self._current, self._told = reader, _told(reader)
                    return True
            waiting = [reader for reader in self._readers if not reader.at_end]
            if not waiting:
                await checkpoint()
                return False
            await _wait_for_any(waiting)
            self._current.waited_with(None)


def _told(reader: StreamReader) -> tuple[int, Literal["stdout", "stderr"]]:
    assert reader.stream is not None
    return reader.stream.stage, reader.stream.name


async def _wait_for_any(readers: Sequence[StreamReader]) -> None:
    """Wait until one of the streams is readable or was given up."""
    streams = [reader.stream for reader in readers if reader.stream is not None]
    if len(streams) == 1:
        with suppress(anyio.ClosedResourceError):
            await anyio.wait_readable(streams[0].fd)
        return
    async with anyio.create_task_group() as tasks:

        async def wait(fd: int) -> None:
            with suppress(anyio.ClosedResourceError):
                await anyio.wait_readable(fd)
            tasks.cancel_scope.cancel()

        for stream in streams:
            tasks.start_soon(wait, stream.fd)
