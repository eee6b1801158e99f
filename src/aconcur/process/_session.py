"""A pipe of commands that runs while a block talks with it.

Two tasks
    The block's own task reads and writes the streams it asked for (``PIPE``). A second task, in the
    block's task group, drives everything else: exits, captured stderr, an input that is not
    ``PIPE``. A stream belongs to one of them at a time (:meth:`Driver.lend`).

How the block ends
    *to the end*: all output was read, or :meth:`Running.wait` was called. The input is closed and
    the stages are waited for. *early*: otherwise, or by an exception. The stages are ended.
"""

from __future__ import annotations

__all__ = ("Expected", "Running", "open_stages")

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, Literal, NamedTuple, TypeVar, final

import anyio
import anyio.abc

from aconcur._core.scoped_tasks import scoped_tasks
from aconcur._core.validation import check_count
from aconcur.process._driver import Driver, Options, OutputStream
from aconcur.process._errors import CommandFailed, InputClosed
from aconcur.process._pty import checked_size, resize
from aconcur.process._reader import Ends, MergedLines, OutputLine, Pattern, StreamReader
from aconcur.process._redirect import CAPTURE, Wiring
from aconcur.process._results import Completed, TransferProgress, end_of, shown
from aconcur.process._secret import Secret, plain_bytes
from aconcur.process._stage import Stage, render_shell_line
from aconcur.process._stdin import as_view

P = TypeVar("P", bound=Pattern)

# Bytes that one receive() returns at most, by default.
_MOST_RECEIVED: Final = 1 << 16


class Expected(NamedTuple):
    """What :meth:`Running.expect` found."""

    pattern: Pattern
    """The pattern that matched."""
    text: bytes
    """Everything up to the match, and the match."""


@final
class Running(anyio.abc.ByteStream):
    """Commands that run. Made by ``open()``; gone when its block ends.

    One task may read while another one writes; two may not do the same. It is a byte stream of
    anyio too: ``BufferedByteReceiveStream(running)``.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver: Driver = driver
        self._writable: bool = driver.options.input is Wiring.PIPE or bool(driver.options.pty)
        self._readers: dict[OutputStream | None, StreamReader] = {}
        self._stdout: StreamReader = self._reader_of(
            driver.stdout if driver.options.output is Wiring.PIPE else None
        )
        self._error: Exception | None = None
        """An input iterable or an output function raised it; it has cancelled the block."""
        self._waited: bool = False
        self._drained: bool = False
        self._ended: anyio.Event = anyio.Event()

    def __repr__(self) -> str:
        group = self._driver.started.group
        found = map(group.exit_of, range(len(group.pids)))
        states = ", ".join("running" if one is None else end_of(one.returncode) for one in found)
        return f"<Running {render_shell_line(self._driver.stages)}: {states}>"

    @property
    def pids(self) -> tuple[int, ...]:
        """The process id of every stage."""
        return tuple(self._driver.started.group.pids)

    @property
    def returncodes(self) -> tuple[int | None, ...]:
        """The status of every stage; None while it runs, and if it is unknown."""
        group = self._driver.started.group
        found = map(group.exit_of, range(len(group.pids)))
        return tuple(None if one is None else one.returncode for one in found)

    def progress(self) -> TransferProgress:
        """Return how many bytes went in and came out until this moment."""
        return self._driver.progress()

    # Signals

    def send_signal(self, number: int, stage: int | None = None) -> None:
        """Send a signal to one stage, or to all of them and the processes that they started.

        Args:
            number: ``signal.SIGHUP``, for example.
            stage: its place in the pipe, from 0; None: the whole process group. Nothing happens if
                that stage has ended.

        Raises:
            IndexError: there is no such stage.
        """
        group = self._driver.started.group
        if stage is None:
            group.signal(number)
        else:
            self._check_stage(stage)
            group.signal_stage(number, stage)

    def _check_stage(self, stage: int) -> None:
        if not 0 <= stage < len(self._driver.stages):
            raise IndexError(f"stage must be below {len(self._driver.stages)}, not {stage}")

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the terminal that ``open(pty=…)`` made; the program gets SIGWINCH.

        Raises:
            RuntimeError: there is no such terminal, or the block has ended.
            ValueError: no terminal has that size.
        """
        size, stream = checked_size((rows, columns)), self._driver.stdout
        if not self._driver.options.pty or stream is None or stream.fd < 0 or size is None:
            raise RuntimeError("resize() needs open(pty=True), inside of its block")
        resize(stream.fd, size)

    # Writing

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of it into the first stage. Needs ``open(input=PIPE)`` or ``pty=``.

        Raises:
            InputClosed: the first stage reads no more, or :meth:`close_input` was called.
            RuntimeError: the block does not write the input.

        **Cancelled**: any part of it may have been written.

        Cost: about 25 µs a call; so write lines in batches.
        """
        stdin = self._driver.started.stdin
        if not self._writable or stdin is None:
            raise RuntimeError("write() needs open(input=PIPE)")
        if not await stdin.write(as_view(data)):
            raise InputClosed(self._driver.stages[0].shown_args)

    def close_input(self) -> None:
        """Let the first stage see the end of its input. A second call does nothing."""
        if self._writable:
            self._driver.close_input()

    # Reading

    def chunks(self) -> AsyncIterator[bytes]:
        """Iterate over the output as it comes, in pieces of any size up to 256 KiB.

        An iterator holds nothing: leave it where you like, and go on with another one.

        Raises:
            RuntimeError: the block has been left before all was read.

        **Cancelled**: no byte is lost; another iterator goes on.

        Cost: one copy. About 1.1 × a program in C that reads the same pipe.
        """
        return self._stdout.iterate_chunks()

    def lines(
        self,
        *,
        end: Ends = b"\n",
        stage: int | None = None,
        stream: Literal["stdout", "stderr"] = "stdout",
    ) -> AsyncIterator[bytes]:
        r"""Iterate over the output's lines, of any length, without their ``b"\n"``.

        Text after the last line end is a line too, unless it is empty. The time is linear in the
        output, also for a line of 1 GiB; so is the memory in the longest line.

        Args:
            end: the bytes that end a line, or several alternatives: ``b"\0"`` for ``find -print0``,
                ``(b"\n", b"\r")`` for programs that show their progress.
            stage: whose output, from 0; None: the last stage.
            stream: ``"stderr"`` for the stage's stderr, if its command has ``stderr=PIPE`` or
                ``CAPTURE``. With ``CAPTURE`` only the last 64 KiB before the first call are there.
                From then on the block must read it, or the stage stands still.

        Raises:
            IndexError: there is no such stage.
            ValueError: the stream does not come here, or ``end`` is empty.

        **Cancelled**: no line is lost; another iterator goes on.

        Cost: 1.9 to 2.5 times that of ``for line in popen.stdout`` for lines of 64 bytes, nearly
        all of it the price of ``async for``; :meth:`line_batches` has it once a batch. Other line
        ends take about 1 µs a line more.
        """
        return self._find_reader(stage, stream).iterate_lines(end)

    def line_batches(self) -> AsyncIterator[list[bytes]]:
        """Iterate over lists of lines: all that have come. No list is empty.

        **Cancelled**: no line is lost; another iterator goes on.

        Cost: for lines of 64 bytes about that of ``for line in popen.stdout``.
        """
        return self._stdout.iterate_batches()

    def events(self) -> AsyncIterator[OutputLine]:
        """Iterate over the lines of stdout and of every stage's stderr as they come, told apart.

        ::

            async for stage, stream, line in running.events():
                ...

        A stage's stderr is among them if its command has ``stderr=PIPE`` or ``CAPTURE``. With
        ``CAPTURE`` only the last 64 KiB before the first call are there.

        **Cancelled**: no line is lost; another iterator goes on.

        Cost: about twice that of :meth:`lines`, for the tuple that each line comes in.
        """
        readers = [self._stdout] if self._stdout.stream is not None else []
        for stage, stream in self._driver.stderrs.items():
            if self._is_readable(stage):
                readers.append(self._reader_of(stream))
        if not readers:
            raise ValueError("events() needs output=PIPE, or a command with stderr=PIPE")
        return MergedLines(readers)

    async def read_exactly(self, count: int) -> bytes:
        r"""Return so many bytes of the output: the body after a ``Content-Length``.

        Raises:
            OutputEnded: the output ends before; its ``partial`` can still be read.
            ValueError: ``count`` is negative.

        **Cancelled**: no byte is lost.
        """
        check_count("count", count, 0, " bytes")
        return await self._stdout.read_exactly(count)

    async def read_until(
        self,
        end: Pattern,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - its error tells what came
    ) -> bytes:
        r"""Return the output up to a pattern, with the match: ``read_until(b"\r\n\r\n")``.

        Args:
            end: bytes, or a compiled regular expression of bytes.
            timeout: seconds to wait; None: no limit.

        Raises:
            OutputEnded: the output ends before; its ``partial`` can still be read.
            TimeoutError: the pattern did not come in time. The output so far can still be read.

        **Cancelled**: no byte is lost.

        Cost: linear for bytes. A regular expression searches all pending output again whenever
        more comes.
        """
        _, text = await self._read_until_any((end,), timeout)
        return text

    async def expect(
        self,
        answers: Mapping[P, bytes | str | Secret | None],
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - its error tells what came
    ) -> Expected:
        r"""Wait for the first of several patterns and write its answer.

        ::

            async with Command("ssh-keygen", "-f", path).open(pty=True) as running:
                await running.expect({b"passphrase": Secret("…\n")}, timeout=5)

        Args:
            answers: a pattern, as for :meth:`read_until`, to the bytes to write; None: none.
            timeout: seconds to wait for a pattern; None: no limit.

        Returns:
            The pattern that matched, and the output up to it.

        Raises:
            OutputEnded: the output ends before; its ``partial`` can still be read.
            TimeoutError: no pattern came in time. The output so far can still be read.
            InputClosed: the first stage reads no more.

        **Cancelled**: no byte of the output is lost; a part of the answer may have been written.
        """
        patterns = tuple(answers)
        index, text = await self._read_until_any(patterns, timeout)
        answer = answers[patterns[index]]
        if answer is not None:
            await self._answer(answer)
        return Expected(patterns[index], text)

    async def _answer(self, answer: bytes | str | Secret) -> None:
        stdin = self._driver.started.stdin
        if not self._writable or stdin is None:
            raise RuntimeError("expect() needs open(input=PIPE), or pty=")
        # No local variable holds the plain answer: an error's frames would keep it.
        if not await stdin.write(as_view(plain_bytes(answer))):
            raise InputClosed(self._driver.stages[0].shown_args)

    async def _read_until_any(
        self, patterns: tuple[Pattern, ...], seconds: float | None
    ) -> tuple[int, bytes]:
        with anyio.move_on_after(seconds) as scope:
            return await self._stdout.read_until(patterns)
        assert scope.cancelled_caught
        came = self._stdout.take_all()
        self._stdout.put_back(came)
        wanted = " or ".join(repr(getattr(one, "pattern", one)) for one in patterns)
        raise TimeoutError(
            f"{shown(self._driver.stages[-1].shown_args)} did not write {wanted} within "
            f"{seconds:g} s; the last that came: {came[-200:]!r}"
        )

    async def drain(self) -> None:
        """Read and drop the rest of the output from here on, in the background; return at once.

        For a server that goes on talking after the line that was waited for. The block's end ends
        its commands, as if it were left early.

        **Cancelled**: as if not called.
        """
        await anyio.lowlevel.checkpoint()
        self._drained = True
        self._stdout.take_all()
        self._discard(self._stdout)

    # As a byte stream of anyio

    async def receive(self, max_bytes: int = _MOST_RECEIVED) -> bytes:
        """Return what has come of the output, at most ``max_bytes``.

        Raises:
            anyio.EndOfStream: all was read.
            ValueError: ``max_bytes`` is below 1.

        **Cancelled**: no byte is lost.
        """
        check_count("max_bytes", max_bytes, 1)
        await self._stdout.let_others_run()
        if not (data := self._stdout.take_all(max_bytes)):
            if not (data := await self._stdout.read()):
                raise anyio.EndOfStream
            if len(data) > max_bytes:
                self._stdout.put_back(data[max_bytes:])
        return data[:max_bytes]

    async def send(self, item: bytes) -> None:
        """Write all of it into the first stage, as :meth:`write` does.

        Raises:
            anyio.BrokenResourceError: the first stage reads no more.
        """
        try:
            await self.write(item)
        except InputClosed as error:
            raise anyio.BrokenResourceError from error

    async def send_eof(self) -> None:
        """Let the first stage see the end of its input."""
        await anyio.lowlevel.checkpoint()
        self.close_input()

    async def aclose(self) -> None:
        """Close the input and drop the output. The commands end with the block of ``open()``."""
        self.close_input()
        await self.drain()

    # The end

    async def wait(self) -> Completed:
        """Close the input, discard output that is not being read, and wait for all stages to end.

        Returns:
            Every stage's status and stderr. Raises nothing for a stage that failed: the block's
            end does that.

        **Cancelled**: the commands run on; discarded output is lost.
        """
        self._waited = True
        self._discard_unread()
        self.close_input()
        await self._read_to_the_end()
        return self._completed()

    async def _leave(self) -> bool:
        """Wait for the end unless the block was left early; return whether it was not."""
        stdout = self._stdout.stream
        read = stdout is None or (self._stdout.at_end and not self._drained) or stdout.fd < 0
        if not (read or self._waited):
            return False
        self._discard_unread()
        self.close_input()
        await self._read_to_the_end()
        return True

    async def _read_to_the_end(self) -> None:
        """Wait until no stage runs, and drop the rest of the output."""
        await self._ended.wait()
        for reader in [*self._readers.values()]:
            while not reader.busy and not reader.at_end:
                await reader.read()

    def _completed(self) -> Completed:
        for reader in self._readers.values():
            if reader.cut_off and reader.stream is not None:
                self._driver.held.add(reader.stream.name)
        return self._driver.completed()

    async def _serve(self, scope: anyio.CancelScope) -> None:
        """Drive all that the block does not; cancel the scope if that fails."""
        driver = self._driver
        try:
            await driver.drive()
        except Exception as error:  # noqa: BLE001 - raised where the block ends, without a group
            self._error = error
            scope.cancel()
            return
        self._ended.set()
        if driver.options.linger is not None:
            for reader in [*self._readers.values()]:
                await reader.give_up(driver.options.linger)

    # Streams

    def _is_readable(self, stage: int) -> bool:
        stderr = self._driver.stages[stage].stderr
        return stderr is CAPTURE or stderr is Wiring.PIPE

    def _find_reader(self, stage: int | None, stream: str) -> StreamReader:
        last = len(self._driver.stages) - 1
        if stage is None:
            stage = last
        self._check_stage(stage)
        if stream == "stdout" and stage == last:
            return self._stdout
        if stream == "stderr" and stage in self._driver.stderrs and self._is_readable(stage):
            return self._reader_of(self._driver.stderrs[stage])
        raise ValueError(
            f"the {stream} of stage {stage} does not come here: read the stdout of stage {last}, "
            "or the stderr of a command with stderr=PIPE"
        )

    def _reader_of(self, stream: OutputStream | None) -> StreamReader:
        """Return the reader of a stream, which belongs to the block from here on."""
        if stream not in self._readers:
            place = len(self._driver.stages) - 1 if stream is None else stream.stage
            reader = StreamReader(stream, self._driver.stages[place].shown_args)
            self._readers[stream] = reader
            if stream is not None and stream.tail:
                reader.put_back(bytes(stream.tail))
            if stream is not None and stream.fd < 0:
                reader.mark_read()
            elif stream is not None:
                self._driver.lend(stream)
        return self._readers[stream]

    def _discard_unread(self) -> None:
        for reader in [*self._readers.values()]:
            if not reader.busy:
                self._discard(reader)
        for stream in self._driver.stderrs.values():
            if stream not in self._readers:
                self._driver.take_back(stream)

    def _discard(self, reader: StreamReader) -> None:
        """Let the driver read the rest of a stream and drop it."""
        if reader.stream is not None and not reader.at_end and not self._ended.is_set():
            reader.mark_read()
            self._driver.take_back(reader.stream)


@asynccontextmanager
async def open_stages(stages: tuple[Stage, ...], options: Options) -> AsyncIterator[Running]:
    """Run the stages beside a block. The documentation stands at ``Runnable.open``."""
    if options.pty and len(stages) > 1:
        raise ValueError(f"pty= is for one command, not a pipe of {len(stages)}: open the one")
    to_the_end = False
    async with Driver(stages, options) as driver:
        await driver.start()
        running = Running(driver)
        async with scoped_tasks() as tasks:
            tasks.start_soon(running._serve, tasks.cancel_scope)  # noqa: ASYNC113, SLF001
            try:
                yield running
            except GeneratorExit:
                driver.abandon()  # the event loop was given up
                raise
            to_the_end = await running._leave()  # noqa: SLF001
    if running._error is not None:  # noqa: SLF001
        raise running._error  # noqa: SLF001
    driver.tell_progress()
    completed = running._completed()  # noqa: SLF001
    if to_the_end and options.check and not completed.ok:
        raise CommandFailed(completed)
