"""A pipe of commands that runs while a block talks with it."""

from __future__ import annotations

__all__ = ("Running", "open_stages")

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from time import perf_counter
from typing import Final, final

import anyio
from anyio.lowlevel import checkpoint

from aconcur._core.pipes import USUAL_SIZE
from aconcur.process._driver import Driver
from aconcur.process._errors import CommandFailed, InputClosed
from aconcur.process._feed import as_view, write_all
from aconcur.process._lines import LineBuffer
from aconcur.process._results import Completed, Progress, end_of
from aconcur.process._run import Options, sink_of
from aconcur.process._spawn import spawn
from aconcur.process._stage import Stage, shell_line
from aconcur.process._turn import in_turn
from aconcur.process._wiring import Wiring

# Bytes in one read of a stream that has filled a whole pipe before.
_LARGE_READ: Final = 1 << 18
# Reads that found data at once, before other tasks get their turn: about 1 ms.
_READS: Final = 16


@final
class Running:
    """Commands that run. Made by ``open()``; gone when its block ends.

    One task may read while another one writes; two may not do the same.
    """

    def __init__(self, driver: Driver, stages: tuple[Stage, ...], options: Options) -> None:
        self._driver = driver
        self._stages = stages
        self._options = options
        self._kept: list[bytes] = []
        self._buffer = LineBuffer()
        self._read_size = USUAL_SIZE
        self._reads = 0
        self._heard = perf_counter()
        self._at_end = driver.group.stdout < 0
        self._given_up = False
        self._reading = False
        self._waited = False
        self._ended = anyio.Event()
        self._error: Exception | None = None

    def __repr__(self) -> str:
        states = ", ".join(
            "running" if status is None else end_of(status) for status in self.returncodes
        )
        return f"<Running {shell_line(self._stages)}: {states}>"

    @property
    def pids(self) -> tuple[int, ...]:
        """The process id of every stage."""
        return tuple(process.pid for process in self._driver.group.processes)

    @property
    def returncodes(self) -> tuple[int | None, ...]:
        """The status of every stage; None for one that runs."""
        return tuple(map(self._driver.group.status, range(len(self._stages))))

    def progress(self) -> Progress:
        """Return how many bytes went in and came out until this moment."""
        return self._driver.progress()

    def send_signal(self, number: int, stage: int | None = None) -> None:
        """Send a signal to one stage, or to all and to what they started.

        Args:
            number: ``signal.SIGHUP``, for example.
            stage: its place in the pipe, from 0; None: the whole process group. To a stage that
                has ended it is sent in vain.

        Raises:
            IndexError: there is no such stage.
        """
        if stage is None:
            self._driver.group.signal(number)
        elif 0 <= stage < len(self._stages):
            self._driver.group.signal_stage(number, stage)
        else:
            raise IndexError(f"stage must be below {len(self._stages)}, not {stage}")

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of it into the first stage. Needs ``open(input=PIPE)``.

        Raises:
            InputClosed: the first stage reads no more, or :meth:`close_input` was called.
            RuntimeError: the input is not ours to write.

        **Cancelled**: any part of it may have been written.

        Cost: about 25 µs a call; so write lines in batches.
        """
        group = self._driver.group
        if self._options.input is not Wiring.PIPE:
            raise RuntimeError("write() needs open(input=PIPE)")
        view = as_view(data)
        if group.stdin < 0 or not await write_all(group.stdin, view):
            raise InputClosed(self._stages[0].shown_args)
        self._driver.sent += len(view)

    def close_input(self) -> None:
        """Let the first stage see the end of its input. A second call does nothing."""
        group = self._driver.group
        if self._options.input is Wiring.PIPE and group.stdin >= 0:
            anyio.notify_closing(group.stdin)
            group.close_stdin()

    def chunks(self) -> AsyncIterator[bytes]:
        """Iterate over the output as it comes, in pieces of any size up to 256 KiB.

        An iterator holds nothing: leave it where you like, and go on with another one.

        **Cancelled**: no byte is lost; another iterator goes on.

        Cost: one copy. About 1.1 × a program in C that reads the same pipe.
        """
        return _Chunks(self)

    def lines(self) -> AsyncIterator[bytes]:
        """Iterate over the output's lines, of any length, without their ``b"\\n"``.

        What follows the last line end is a line too, unless it is empty. The time is linear in
        the output, also for a line of 1 GiB; so is the memory in the longest line.

        **Cancelled**: no line is lost; another iterator goes on.

        Cost: about 0.2 µs a line, twice that of ``for line in popen.stdout``; for less use
        :meth:`line_batches`.
        """
        return _Lines(self)

    def line_batches(self) -> AsyncIterator[list[bytes]]:
        """Iterate over lists of lines: all that have come. No list is empty.

        **Cancelled**: no line is lost; another iterator goes on.

        Cost: for lines of 64 bytes about that of ``for line in popen.stdout``.
        """
        return _Batches(self)

    async def wait(self) -> Completed:
        """Close the input, discard output that nobody reads, and wait for all stages to end.

        Returns:
            Every stage's status and stderr. Raises nothing for a stage that failed: the block's
            end does that.

        **Cancelled**: the commands run on; what was discarded is lost.
        """
        self._waited = True
        self.close_input()
        if not self._reading:
            while await self._read():
                pass
        await self._ended.wait()
        return self._driver.completed(b"".join(self._kept))

    async def _read(self) -> bytes:
        """Return what there is of the output, ``b""`` at its end."""
        group = self._driver.group
        self._reading = True
        try:
            while not self._at_end:
                self._reads += 1
                if self._reads % _READS == 0:
                    await checkpoint()
                try:
                    data = os.read(group.stdout, self._read_size)
                except BlockingIOError:
                    self._reads = 0
                    if self._given_up:
                        break
                    with suppress(anyio.ClosedResourceError):  # it has been given up meanwhile
                        await anyio.wait_readable(group.stdout)
                    continue
                if data:
                    self._note(data)
                    return data
                self._at_end = True
        finally:
            self._reading = False
        self._at_end = True
        await checkpoint()
        return b""

    def _note(self, data: bytes) -> None:
        self._driver.received += len(data)
        self._heard = perf_counter()
        if len(data) == self._read_size == USUAL_SIZE:
            self._read_size = _LARGE_READ
            self._driver.group.loan.enlarge(self._driver.group.stdout)

    async def _serve(self, scope: anyio.CancelScope) -> None:
        """Serve all that the block does not, beside it."""
        try:
            await self._driver.drive()
        except Exception as error:  # noqa: BLE001 - raised where the block ends, without a group
            self._error = error
            scope.cancel()
            return
        self._ended.set()
        await self._give_up_orphans()

    async def _give_up_orphans(self) -> None:
        """End the output after ``linger``, though an orphan holds it."""
        linger = self._options.linger
        while linger is not None and not self._at_end:
            left = self._heard + linger - perf_counter()
            if left <= 0:
                self._given_up = self._driver.held = True
                anyio.notify_closing(self._driver.group.stdout)
                return
            await anyio.sleep(left)

    async def _leave(self) -> bool:
        """Wait for the end, unless the block was left early; return whether it was not."""
        if not (self._at_end or self._waited):
            return False
        self.close_input()
        await self._ended.wait()
        return True


@asynccontextmanager
async def open_stages(stages: tuple[Stage, ...], options: Options) -> AsyncIterator[Running]:
    """Run the stages beside a block. The documentation stands at ``Runnable.open``."""
    kept: list[bytes] = []
    driver = Driver(
        sink=sink_of(options.output, kept),
        linger=options.linger,
        on_progress=options.on_progress,
    )
    to_the_end = False
    try:
        driver.start(
            await in_turn(partial(spawn, stages, options.input, options.output)),
            read_stdout=options.output is not Wiring.PIPE,
        )
        running = Running(driver, stages, options)
        left_by: BaseException | None = None
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(running._serve, tasks.cancel_scope)
                try:
                    yield running
                    to_the_end = await running._leave()
                except BaseException as error:
                    left_by = error
                    raise
                finally:
                    tasks.cancel_scope.cancel()
        except BaseExceptionGroup:
            if left_by is None:
                raise
        else:
            left_by = None
        finally:
            if driver.running:
                await driver.end(options.grace)
        if left_by is not None:
            raise left_by
        if running._error is not None:
            raise running._error
        driver.tell_progress()
    finally:
        driver.close()
    completed = driver.completed(b"")
    if to_the_end and options.check and not completed.ok:
        raise CommandFailed(completed)


class _Chunks(AsyncIterator[bytes]):
    def __init__(self, running: Running) -> None:
        self._running = running

    async def __anext__(self) -> bytes:
        data = self._running._buffer.rest() or await self._running._read()
        if not data:
            raise StopAsyncIteration
        return data


class _Lines(AsyncIterator[bytes]):
    def __init__(self, running: Running) -> None:
        self._running = running
        self._ready = running._buffer.ready

    async def __anext__(self) -> bytes:
        if not self._ready:
            await _fill(self._running)
        return self._ready.pop()


class _Batches(AsyncIterator[list[bytes]]):
    def __init__(self, running: Running) -> None:
        self._running = running

    async def __anext__(self) -> list[bytes]:
        buffer = self._running._buffer
        if not buffer.ready:
            await _fill(self._running)
        return buffer.batch()


async def _fill(running: Running) -> None:
    """Read until there is a line; stop the iteration where there is none any more."""
    buffer = running._buffer
    while not buffer.ready:
        data = await running._read()
        if data:
            buffer.feed(data)
        elif not buffer.end():
            raise StopAsyncIteration
