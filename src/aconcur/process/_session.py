"""A pipe of commands that runs while a block talks with it."""

from __future__ import annotations

__all__ = ("Running", "open_stages")

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import final

from aconcur._core.scoped_tasks import scoped_tasks
from aconcur.process._driver import Driver
from aconcur.process._errors import CommandFailed, InputClosed
from aconcur.process._stdin import as_view
from aconcur.process._process_group import Group
from aconcur.process._stdout import Batches, Chunks, Lines
from aconcur.process._results import Completed, Progress, end_of
from aconcur.process._run import Options, sink_of
from aconcur.process._spawn import spawn, spawn_on_terminal
from aconcur.process._stage import Stage, shell_line
from aconcur.process._talk import Talk
from aconcur.process._pty import checked_size, resize
from aconcur.process._start_limiter import in_turn
from aconcur.process._redirect import Wiring


@final
class Running:
    """Commands that run. Made by ``open()``; gone when its block ends.

    One task may read while another one writes; two may not do the same.
    """

    def __init__(self, talk: Talk) -> None:
        self._talk: Talk = talk

    def __repr__(self) -> str:
        states = ", ".join(
            "running" if status is None else end_of(status) for status in self.returncodes
        )
        return f"<Running {shell_line(self._talk.stages)}: {states}>"

    @property
    def pids(self) -> tuple[int, ...]:
        """The process id of every stage."""
        return tuple(process.pid for process in self._talk.driver.group.processes)

    @property
    def returncodes(self) -> tuple[int | None, ...]:
        """The status of every stage; None for one that runs."""
        return tuple(map(self._talk.driver.group.status, range(len(self._talk.stages))))

    def progress(self) -> Progress:
        """Return how many bytes went in and came out until this moment."""
        return self._talk.driver.progress()

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
            self._talk.driver.group.signal(number)
        elif 0 <= stage < len(self._talk.stages):
            self._talk.driver.group.signal_stage(number, stage)
        else:
            raise IndexError(f"stage must be below {len(self._talk.stages)}, not {stage}")

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of it into the first stage. Needs ``open(input=PIPE)``.

        Raises:
            InputClosed: the first stage reads no more, or :meth:`close_input` was called.
            RuntimeError: the input is not ours to write.

        **Cancelled**: any part of it may have been written.

        Cost: about 25 µs a call; so write lines in batches.
        """
        group = self._talk.driver.group
        if not self._talk.writable:
            raise RuntimeError("write() needs open(input=PIPE)")
        view = as_view(data)
        if not await group.write(view):
            raise InputClosed(self._talk.stages[0].shown_args)
        self._talk.driver.sent += len(view)

    def close_input(self) -> None:
        """Let the first stage see the end of its input. A second call does nothing."""
        self._talk.close_input()

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the terminal that ``open(pty=…)`` made; the program gets SIGWINCH.

        Raises:
            RuntimeError: there is no such terminal, or it has gone.
            ValueError: no terminal has that size.
        """
        group = self._talk.driver.group
        size = checked_size((rows, columns))
        if not group.pty or group.stdout < 0 or size is None:
            raise RuntimeError("resize() needs open(pty=True), inside of its block")
        resize(group.stdout, size)

    def chunks(self) -> AsyncIterator[bytes]:
        """Iterate over the output as it comes, in pieces of any size up to 256 KiB.

        An iterator holds nothing: leave it where you like, and go on with another one.

        Raises:
            RuntimeError: the block has been left before all was read.

        **Cancelled**: no byte is lost; another iterator goes on.

        Cost: one copy. About 1.1 × a program in C that reads the same pipe.
        """
        return Chunks(self._talk.reader)

    def lines(self) -> AsyncIterator[bytes]:
        r"""Iterate over the output's lines, of any length, without their ``b"\n"``.

        What follows the last line end is a line too, unless it is empty. The time is linear in
        the output, also for a line of 1 GiB; so is the memory in the longest line.

        **Cancelled**: no line is lost; another iterator goes on.

        Cost: 1.9 to 2.5 times that of ``for line in popen.stdout`` for lines of 64 bytes, nearly
        all of it the price of ``async for``; :meth:`line_batches` has it once a batch.
        """
        return Lines(self._talk.reader)

    def line_batches(self) -> AsyncIterator[list[bytes]]:
        """Iterate over lists of lines: all that have come. No list is empty.

        **Cancelled**: no line is lost; another iterator goes on.

        Cost: for lines of 64 bytes about that of ``for line in popen.stdout``.
        """
        return Batches(self._talk.reader)

    async def wait(self) -> Completed:
        """Close the input, discard output that nobody reads, and wait for all stages to end.

        Returns:
            Every stage's status and stderr. Raises nothing for a stage that failed: the block's
            end does that.

        **Cancelled**: the commands run on; what was discarded is lost.
        """
        await self._talk.wait()
        return self._talk.completed()


def _starter(stages: tuple[Stage, ...], options: Options) -> Callable[[], Group]:
    if options.size is None:
        return partial(spawn, stages, options.input, options.output)
    if len(stages) > 1:
        raise ValueError(f"pty= is for one command, not a pipe of {len(stages)}: open the one")
    return partial(spawn_on_terminal, stages[0], options.size)


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
            await in_turn(_starter(stages, options)),
            read_stdout=options.output is not Wiring.PIPE,
        )
        talk = Talk(driver, stages, options, kept)
        try:
            async with scoped_tasks() as tasks:
                tasks.start_soon(talk.serve, tasks.cancel_scope)  # noqa: ASYNC113 - any time will do
                yield Running(talk)
                to_the_end = await talk.leave()
        finally:
            if driver.running:
                await driver.end(options.grace)  # noqa: ASYNC102 - shields itself
        if talk.error is not None:
            raise talk.error
        driver.tell_progress()
    finally:
        driver.close()
    completed = talk.completed()
    if to_the_end and options.check and not completed.ok:
        raise CommandFailed(completed)
