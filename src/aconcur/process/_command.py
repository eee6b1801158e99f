"""Commands and pipes of commands: values that describe, and hold nothing."""

from __future__ import annotations

__all__ = ("Command", "CommandPipe", "Runnable")

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Literal, final

from aconcur.process._results import Completed
from aconcur.process._run import (
    DEFAULT_GRACE,
    DEFAULT_LINGER,
    OnProgress,
    Options,
    run_stages,
)
from aconcur.process._session import Running, open_stages
from aconcur.process._stage import Argument, EnvValue, Stage, shell_line
from aconcur.process._pty import Size
from aconcur.process._redirect import CAPTURE, PIPE, Input, Output, Stderr, Wiring


class Runnable(ABC):
    """What a :class:`Command` and a :class:`CommandPipe` have in common: they can be run."""

    __slots__ = ()

    @property
    @abstractmethod
    def commands(self) -> tuple[Command, ...]:
        """The commands, from the first to the last."""

    def __or__(self, other: Runnable) -> CommandPipe:
        """Send the last command's output to the other's first: ``tar | gzip``."""
        if not isinstance(other, Runnable):
            return NotImplemented
        return CommandPipe(*self.commands, *other.commands)

    def __str__(self) -> str:
        """Return a line for ``sh`` that does the same, with ``***`` for secrets."""
        return shell_line(self._stages)

    @property
    def _stages(self) -> tuple[Stage, ...]:
        return tuple(command._stage for command in self.commands)  # noqa: SLF001 - its parts

    async def run(
        self,
        *,
        input: Input = None,  # noqa: A002 - the name that subprocess taught everybody
        output: Output = CAPTURE,
        check: bool = True,
        timeout: float | None = None,  # noqa: ASYNC109 - it also ends what runs
        grace: float = DEFAULT_GRACE,
        linger: float | None = DEFAULT_LINGER,
        max_output: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> Completed:
        """Run the commands to their end.

        These two do the same, but the second leaves nothing behind, whatever happens::

            subprocess.run("openssl enc … | md5sum", shell=True, input=data, capture_output=True)
            await (Command("openssl", "enc", …) | Command("md5sum")).run(input=data)

        Files are handed to the programs; data between stages never passes through Python. An
        iterable is drawn from as the first stage reads, on the event loop: it must not block.
        A function that gets the output is called on the event loop as well.

        When the last stage has ended, what the commands started and left in their process group
        is killed. Only what made a session of its own (setsid(2)) lives on.

        Args:
            input: what the first stage reads: see ``Input``.
            output: where the last stage writes: see ``Output``.
            check: raise :exc:`CommandFailed` if a stage failed. A stage that is not the last may
                end by SIGPIPE: its reader had all it wanted, as in ``yes | head``.
            timeout: seconds that the commands may run; None: for ever; 0 or less: no time.
            grace: seconds from SIGTERM to SIGKILL for commands that are ended early.
            linger: seconds to wait for more output when all stages have ended, but a process that
                they started still holds a pipe, counted from the last byte; None: for ever.
            max_output: the most bytes of output, where they pass through Python.
            on_progress: called with a :class:`Progress` about ten times a second, and at the end.

        Returns:
            The output, and every stage's status and stderr.

        Raises:
            CommandNotFound: there is no such program.
            CommandStartError: the system does not start a stage for another reason.
            CommandFailed: a stage failed.
            CommandTimeout: ``timeout`` was over; holds what was read.
            OutputTooLarge: there was more than ``max_output``; holds as much.
            OSError: a file could not be opened, or no descriptor was free.
            TypeError: an input or output of no known kind.
            ValueError: a number out of its range.

        **Cancelled**, by a scope, by ``asyncio.Task.cancel()``, or again while this cleans up: the
        process group has got SIGTERM, after ``grace`` seconds SIGKILL, and is gone; its stages
        are reaped and no descriptor is open. What the commands had done is done.

        Cost: about 1.2 × ``subprocess.run(capture_output=True)`` for ``/bin/true`` on its own.
        Six descriptors for a pipe of two, and five more while it starts. Input is not copied;
        output that is captured is, once.

        A program that opens the terminal by itself (``/dev/tty``, as ssh does for a password)
        needs ``input=INHERIT``, or a terminal of its own: ``open(pty=True)``. In a group of its
        own on our terminal the system stops it.

        Source: pipe(7), pidfd_open(2), setpgid(2); pipefail as in bash(1).
        """
        options = Options(
            input=input,
            output=output,
            check=check,
            timeout=timeout,
            grace=grace,
            linger=linger,
            max_output=max_output,
            on_progress=on_progress,
        )
        return await run_stages(self._stages, options)

    def open(
        self,
        *,
        input: Input = None,  # noqa: A002
        output: Output | Literal[Wiring.PIPE] = PIPE,
        check: bool = True,
        grace: float = DEFAULT_GRACE,
        linger: float | None = DEFAULT_LINGER,
        on_progress: OnProgress | None = None,
        pty: bool | Size = False,
    ) -> AbstractAsyncContextManager[Running]:
        r"""Start the commands and talk with them inside an ``async with`` block.

        ::

            async with (Command("zcat", path) | Command("grep", word)).open() as running:
                async for line in running.lines():
                    ...

        The block's end is the commands' end. If the block is left by an exception, or before all
        output has been read, they are ended: SIGTERM, ``grace`` seconds, SIGKILL. Otherwise the
        input is closed and the stages are waited for, as by :meth:`Running.wait`.

        Args:
            input: as for :meth:`run`, or ``PIPE``: the block writes it.
            output: as for :meth:`run`, or ``PIPE``: the block reads it.
            check: raise :exc:`CommandFailed` at the block's end if a stage failed, unless the
                block was left early.
            grace: as for :meth:`run`.
            linger: as for :meth:`run`.
            on_progress: as for :meth:`run`.
            pty: make a terminal, of 24 rows and 80 columns or ``(rows, columns)``, for a program
                that needs one; it is the stdin, stdout and captured stderr of a single command.
                What the block writes is typed, and echoed as the program likes; lines of the
                output end in ``b"\r\n"``; closing the input types Ctrl-D, ``write(b"\x03")``
                Ctrl-C. At the end all processes of the terminal's session are killed.

        Raises:
            ValueError: a number out of its range, or ``pty`` with a pipe, an input or an output.
            CommandError: as for :meth:`run`, from ``async with`` or at the block's end.
            Exception: whatever an input iterable or an output function raises. It cancels the
                block and is raised at its end.

        **Cancelled**: as for :meth:`run`.

        Cost: about 0.2 ms more than :meth:`run`, for the task that serves stderr and the input.
        """
        options = Options(
            input=input,
            output=output,
            check=check,
            grace=grace,
            linger=linger,
            on_progress=on_progress,
            pty=pty,
        )
        return open_stages(self._stages, options)


@final
class Command(Runnable):
    """A program and how to start it: an immutable value.

    ``Command("grep", "-c", pattern, ok_codes={0, 1})``. No shell is involved, so nothing needs
    quoting. ``|`` joins commands to a :class:`CommandPipe`.

    Args:
        program: a name that is looked for on the command's PATH, or a path.
        *args: its arguments: text, bytes or paths.
        env: variables to add or to replace; None as a value takes one away. A :class:`Secret`
            is never shown.
        inherit_env: whether to start from our own environment. ``inherit_env=False`` leaves ``env``
            alone.
        cwd: the folder to start in; ours by default.
        stderr: ``CAPTURE`` keeps the last 64 KiB; ``DISCARD``; ``INHERIT``; ``STDOUT`` sends it
            where stdout goes.
        ok_codes: the statuses that are no failure.

    Raises:
        TypeError: an argument is no text, bytes or path, or is a Secret; or another parameter is
            of no kind that is known.
        ValueError: an argument or variable that no program can get.
    """

    __slots__ = ("_stage",)

    def __init__(
        self,
        program: Argument,
        *args: Argument,
        env: Mapping[str, EnvValue] | None = None,
        inherit_env: bool = True,
        cwd: str | os.PathLike[str] | None = None,
        stderr: Stderr = CAPTURE,
        ok_codes: Collection[int] = (0,),
    ) -> None:
        self._stage = Stage.checked((program, *args), env, inherit_env, cwd, stderr, ok_codes)

    @property
    def commands(self) -> tuple[Command, ...]:
        """The command itself, as a pipe of one."""
        return (self,)

    @property
    def args(self) -> tuple[str, ...]:
        """The program and its arguments, as text."""
        return self._stage.shown_args

    def __eq__(self, other: object) -> bool:
        return self._stage == other._stage if isinstance(other, Command) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._stage)

    def __repr__(self) -> str:
        return f"<Command {self}>"


@final
class CommandPipe(Runnable):
    """Commands joined by pipes of the operating system: an immutable value, made by ``|``.

    Args:
        *commands: from the first to the last.

    Raises:
        ValueError: there is none.
        TypeError: one is no command.
    """

    __slots__ = ("_commands",)

    def __init__(self, *commands: Command) -> None:
        if not commands:
            raise ValueError("a CommandPipe needs at least one command, not 0")
        for command in commands:
            if not isinstance(command, Command):
                raise TypeError(f"a CommandPipe is made of commands, not {command!r}")
        self._commands = commands

    @property
    def commands(self) -> tuple[Command, ...]:
        """The commands, from the first to the last."""
        return self._commands

    def __eq__(self, other: object) -> bool:
        return (
            self._commands == other._commands if isinstance(other, CommandPipe) else NotImplemented
        )

    def __hash__(self) -> int:
        return hash(self._commands)

    def __repr__(self) -> str:
        return f"<CommandPipe {self}>"
