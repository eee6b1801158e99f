"""Commands and pipes of commands: immutable values that describe what to run."""

from __future__ import annotations

__all__ = ("Command", "CommandPipe", "Runnable")

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Literal, final

import anyio

from aconcur._core.loops import thread_context
from aconcur.process._driver import (
    DEFAULT_GRACE,
    DEFAULT_LINGER,
    OnProgress,
    OnStage,
    Options,
    RetryPolicy,
)
from aconcur.process._pty import Size
from aconcur.process._redirect import CAPTURE, PIPE, Input, Output, Stderr, Wiring
from aconcur.process._results import Completed
from aconcur.process._run import refuse_running_loop, run_stages
from aconcur.process._session import Running, open_stages
from aconcur.process._stage import Argument, EnvValue, Limits, Stage, render_shell_line


class _Unchanged:
    """Stands for an argument of ``with_`` that was not given: None means something there."""

    def __repr__(self) -> str:
        return "unchanged"


_UNCHANGED: Final[Any] = _Unchanged()

_ZERO: Final = (0,)
_DEFAULTS: Final[Mapping[str, object]] = {
    "env": None,
    "inherit_env": True,
    "cwd": None,
    "stderr": CAPTURE,
    "ok_codes": _ZERO,
    "umask": None,
    "user": None,
    "group": None,
    "extra_groups": None,
    "pass_fds": (),
    "nice": None,
    "rlimits": None,
    "start_new_session": False,
}


def _given(**options: Any) -> dict[str, Any]:  # noqa: ANN401
    return {name: value for name, value in options.items() if value is not _UNCHANGED}


class Runnable(ABC):
    """The base of :class:`Command` and :class:`CommandPipe`: it can be run."""

    __slots__ = ()

    @property
    @abstractmethod
    def commands(self) -> tuple[Command, ...]:
        """The commands, from the first to the last."""

    @property
    @abstractmethod
    def _stages(self) -> tuple[Stage, ...]:
        """The commands as plain data."""

    def __or__(self, other: Runnable) -> CommandPipe:
        """Send the output of the last command to the first of the other: ``tar | gzip``."""
        if not isinstance(other, Runnable):
            return NotImplemented
        return CommandPipe(*self.commands, *other.commands)

    def __str__(self) -> str:
        """Return a line for ``sh`` that does the same, with ``***`` in place of secrets."""
        return render_shell_line(self._stages)

    def __repr__(self) -> str:
        try:
            return f"<{type(self).__name__} {self}>"
        except AttributeError:  # its __init__ has raised, and a traceback shows its variables
            return f"<{type(self).__name__}, not initialised>"

    async def run(
        self,
        *,
        input: Input = None,  # noqa: A002 - the name of subprocess.run
        output: Output = CAPTURE,
        check: bool = True,
        timeout: float | None = None,  # noqa: ASYNC109 - it also ends the commands
        grace: float = DEFAULT_GRACE,
        linger: float | None = DEFAULT_LINGER,
        max_output: int | None = None,
        until_last: bool = False,
        on_progress: OnProgress | None = None,
        on_start: OnStage | None = None,
        on_end: OnStage | None = None,
        retry: RetryPolicy | None = None,
    ) -> Completed:
        """Run the commands to their end.

        These two lines do the same, but the second leaves no process behind::

            subprocess.run("openssl enc … | md5sum", shell=True, input=data, capture_output=True)
            await (Command("openssl", "enc", …) | Command("md5sum")).run(input=data)

        Files are handed to the programs; data between stages never passes through Python. An
        iterable is drawn from as the first stage reads, on the event loop: it must not block.
        A function that gets the output is called on the event loop as well.

        When the last stage has ended, processes that the commands started and left in their process
        group are killed. Only a process that made a session of its own (setsid(2)) lives on.

        If this program dies (kill -9, SIGTERM without a handler, an OOM kill), the process groups
        of its commands get SIGTERM at once and SIGKILL 0.2 s later, from a small process that waits
        for that. :func:`aconcur.run` turns SIGTERM and SIGHUP into a cancellation instead.

        Args:
            input: what the first stage reads: see ``Input``.
            output: where the last stage writes: see ``Output``.
            check: raise :exc:`CommandFailed` if a stage failed. A stage that is not the last may
                end by SIGPIPE: its reader needed no more, as in ``yes | head``.
            timeout: seconds that the commands may run; None: no limit; 0 or less: no time.
            grace: seconds from SIGTERM to SIGKILL for commands that are ended early.
            linger: seconds to wait for more output when all stages have ended, but a process that
                they started still holds a pipe, counted from the last byte; None: no limit. If the
                output is cut off so, the run has failed.
            max_output: the most bytes of output, where they pass through Python.
            until_last: end the other stages when the last one has ended, as ``tail -f | grep -m1``
                needs it; they count as successes.
            on_progress: called with a :class:`TransferProgress` about ten times a second, and at
                the end.
            on_start: called with a :class:`StageEvent` for each stage when all have started.
            on_end: called with a :class:`StageEvent` whenever a stage has ended.
            retry: an :class:`aconcur.pipeline.Retry`: run the commands again if they failed, as
                ``Retry(attempts=3, on=CommandFailed)``. Each attempt has the whole ``timeout``. A
                function gets the output of every attempt; a path is emptied before each. A status
                that failed counts as CommandFailed with ``check=False`` too; after the last
                attempt it is returned.

        Returns:
            The output, and every stage's status and stderr.

        Raises:
            CommandNotFound: there is no such program.
            CommandStartError: the system does not start a stage for another reason.
            CommandFailed: a stage failed, its status is unknown, or the output was cut off.
            CommandTimeout: ``timeout`` was over; holds what was read.
            CommandNotEnded: a command had to be ended, runs as another user, and cannot be killed.
            OutputTooLarge: there was more than ``max_output``; holds as much.
            OSError: a file could not be opened, or no descriptor was free.
            TypeError: an input or output of an unknown kind, or a coroutine function.
            ValueError: a number out of its range, or ``retry`` with an input that can be read only
                once: an iterator, an async iterable or an open file.

        **Cancelled**, by a scope, by ``asyncio.Task.cancel()``, or again while this cleans up: the
        process group has got SIGTERM and, after ``grace`` seconds, SIGKILL; all of it is dead, its
        stages are reaped, and no descriptor is open. SIGTERM comes before the end of the input, so
        that no command takes a part of it for the whole. Effects that the commands had remain.

        Cost: about 1.2 × ``subprocess.run(capture_output=True)`` for ``/bin/true`` on its own.
        Six descriptors for a pipe of two, and four more while it starts. Input is not copied;
        output that is captured is, once. The first run of a program takes 2 ms more.

        A program that opens the terminal by itself (``/dev/tty``, as ssh does for a password)
        needs ``input=INHERIT``, or a terminal of its own: ``open(pty=True)``. In a group of its
        own on our terminal the system stops it.

        The logger ``aconcur.process`` gets a line for each start and end, at the level DEBUG.

        Source: pipe(7), pidfd_open(2), setpgid(2), wait4(2); pipefail as in bash(1).
        """
        options = Options(
            input=input,
            output=output,
            check=check,
            timeout=timeout,
            grace=grace,
            linger=linger,
            max_output=max_output,
            until_last=until_last,
            on_progress=on_progress,
            on_start=on_start,
            on_end=on_end,
            retry=retry,
        )
        return await run_stages(self._stages, options)

    def run_sync(
        self,
        *,
        input: Input = None,  # noqa: A002
        output: Output = CAPTURE,
        check: bool = True,
        timeout: float | None = None,
        grace: float = DEFAULT_GRACE,
        linger: float | None = DEFAULT_LINGER,
        max_output: int | None = None,
        until_last: bool = False,
        retry: RetryPolicy | None = None,
    ) -> Completed:
        """Run the commands to their end from code that is not async: a script, a Django view.

        The same as :meth:`run`, in an event loop of its own.

        Raises:
            RuntimeError: an event loop runs in this thread: await :meth:`run` there.
            Exception: as for :meth:`run`.

        Cost: 0.5 ms more than :meth:`run`, for the loop.
        """
        options = Options(
            input=input,
            output=output,
            check=check,
            timeout=timeout,
            grace=grace,
            linger=linger,
            max_output=max_output,
            until_last=until_last,
            retry=retry,
        )
        refuse_running_loop("run_sync()", "await run()")
        return thread_context().run(anyio.run, run_stages, self._stages, options)

    def lines_sync(
        self,
        *,
        input: Input = None,  # noqa: A002
        check: bool = True,
        grace: float = DEFAULT_GRACE,
        linger: float | None = DEFAULT_LINGER,
        until_last: bool = False,
    ) -> Generator[bytes]:
        """Iterate over the output's lines from code that is not async.

        ::

            for line in Command("journalctl", "-f").lines_sync():
                if b"error" in line:
                    break

        A thread runs an event loop meanwhile. Leaving the loop early ends the commands, as leaving
        the block of :meth:`open` does, as soon as the generator is closed: at once with ``break``
        in CPython.

        Raises:
            RuntimeError: an event loop runs in this thread: use :meth:`open` there.
            Exception: as for :meth:`open`.

        Cost: 2 ms a call for the thread and its loop, 0.1 ms for each batch of lines.
        """
        options = Options(
            input=input, output=PIPE, check=check, grace=grace, linger=linger, until_last=until_last
        )
        refuse_running_loop("lines_sync()", "use open() and lines()")
        return _lines_sync(self._stages, options)

    def open(
        self,
        *,
        input: Input = None,  # noqa: A002
        output: Output | Literal[Wiring.PIPE] = PIPE,
        check: bool = True,
        grace: float = DEFAULT_GRACE,
        linger: float | None = DEFAULT_LINGER,
        until_last: bool = False,
        on_progress: OnProgress | None = None,
        on_start: OnStage | None = None,
        on_end: OnStage | None = None,
        pty: bool | Size = False,
    ) -> AbstractAsyncContextManager[Running]:
        r"""Start the commands and talk with them inside an ``async with`` block.

        ::

            async with (Command("zcat", path) | Command("grep", word)).open() as running:
                async for line in running.lines():
                    ...

        The block's end is the commands' end. If the block is left by an exception, or before all
        output has been read, they are ended: SIGTERM, ``grace`` seconds in which their output is
        read and dropped, SIGKILL. Otherwise the input is closed and the stages are waited for, as
        by :meth:`Running.wait`.

        A program whose output is not read stands still when the pipe is full (64 KiB to 1 MiB).
        :meth:`Running.drain` reads and drops the rest, for a server that goes on talking.

        Args:
            input: as for :meth:`run`, or ``PIPE``: the block writes it.
            output: as for :meth:`run`, or ``PIPE``: the block reads it.
            check: raise :exc:`CommandFailed` at the block's end if a stage failed, unless the
                block was left early.
            grace: as for :meth:`run`.
            linger: as for :meth:`run`.
            until_last: as for :meth:`run`.
            on_progress: as for :meth:`run`.
            on_start: as for :meth:`run`.
            on_end: as for :meth:`run`.
            pty: make a terminal, of 24 rows and 80 columns or ``(rows, columns)``, for a program
                that needs one; it is the stdin, stdout and captured stderr of a single command.
                What the block writes is typed, and echoed as the program likes; lines of the
                output end in ``b"\r\n"``; closing the input types Ctrl-D, ``write(b"\x03")``
                Ctrl-C. At the end all processes of the terminal's session are killed.

        Raises:
            ValueError: a number out of its range, or ``pty`` with a pipe, an input or an output.
            CommandError: as for :meth:`run`, from ``async with`` or at the block's end.
            Exception: an input iterable or an output function raised it. It cancels the block and
                is raised at its end.

        **Cancelled**: as for :meth:`run`.

        Cost: about 0.2 ms more than :meth:`run`, for the task that serves stderr and the input.
        """
        options = Options(
            input=input,
            output=output,
            check=check,
            grace=grace,
            linger=linger,
            until_last=until_last,
            on_progress=on_progress,
            on_start=on_start,
            on_end=on_end,
            pty=pty,
        )
        return open_stages(self._stages, options)


def _lines_sync(stages: tuple[Stage, ...], options: Options) -> Generator[bytes]:
    from anyio.from_thread import start_blocking_portal  # a fifth of this package's import time

    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_stages(stages, options)) as running,
    ):
        batches = running.line_batches()

        async def next_batch() -> list[bytes]:
            return await anext(batches, [])

        while batch := portal.call(next_batch):
            yield from batch


@final
class Command(Runnable):
    """A program and how to start it: an immutable value.

    ``Command("grep", "-c", pattern, ok_codes={0, 1})``. No shell is involved, so nothing needs
    quoting. ``|`` joins commands to a :class:`CommandPipe`. :meth:`with_` and a call derive other
    commands: ``git = Command("git", cwd=path)``, ``git("log", "-1")``.

    Args:
        program: a name that is looked for on the command's PATH, or a path.
        *args: its arguments: text, bytes or paths.
        env: variables to add or to replace; None as a value removes one. A :class:`Secret` is
            never shown.
        inherit_env: whether to start from our own environment. With False the command gets the
            variables of ``env`` only.
        cwd: the folder to start in; ours by default.
        stderr: ``CAPTURE`` keeps the last 64 KiB; ``DISCARD``; ``INHERIT``; ``STDOUT`` sends it
            to where stdout goes (``2>&1``, in a pipe ``|&``); a path (``2>``), ``Append(path)``
            (``2>>``), an open file, a function that gets each piece as it comes, ``Tee(function)``;
            with ``open()`` also ``PIPE``: the block reads it, and all of it.
        ok_codes: the statuses that are a success.
        umask: the mode bits that files it creates do not get.
        user: the user to run as, by name or id. As ``group`` and ``extra_groups`` it needs the
            rights to do so.
        group: the group to run as.
        extra_groups: the supplementary groups to run with.
        pass_fds: more descriptors for it to inherit, under the same numbers.
        nice: its niceness, from -20 to 19; below ours only for root.
        rlimits: ``resource.RLIMIT_…`` to a limit, or to a soft and a hard one. Linux only.
        start_new_session: start it with setsid(2): no terminal, and a process group of its own,
            which is ended all the same.

    Raises:
        TypeError: an argument is not text, bytes or a path, or is a Secret; or another parameter
            is of an unknown kind.
        ValueError: an argument or a variable that no program can get; an unknown user, group or
            limit; or a number out of its range.

    Cost: 10 µs. ``nice`` and ``rlimits`` start a shell in between: 1 ms a start.
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
        ok_codes: Collection[int] = _ZERO,
        umask: int | None = None,
        user: str | int | None = None,
        group: str | int | None = None,
        extra_groups: Collection[str | int] | None = None,
        pass_fds: Collection[int] = (),
        nice: int | None = None,
        rlimits: Limits | None = None,
        start_new_session: bool = False,
    ) -> None:
        options = {
            "env": env,
            "inherit_env": inherit_env,
            "cwd": cwd,
            "stderr": stderr,
            "ok_codes": ok_codes,
            "umask": umask,
            "user": user,
            "group": group,
            "extra_groups": extra_groups,
            "pass_fds": pass_fds,
            "nice": nice,
            "rlimits": rlimits,
            "start_new_session": start_new_session,
        }
        given = {name: it for name, it in options.items() if it is not _DEFAULTS[name]}
        self._stage = Stage.checked((program, *args), given)

    @classmethod
    def _of(cls, stage: Stage) -> Command:
        command = cls.__new__(cls)
        command._stage = stage  # noqa: SLF001 - its own
        return command

    def __call__(self, *args: Argument) -> Command:
        """Return a command with more arguments: ``git("log", "-1")``."""
        stage = self._stage
        return self._of(stage.with_args((*stage.args[1:], *args)))

    def with_(
        self,
        *,
        args: Collection[Argument] = _UNCHANGED,
        env: Mapping[str, EnvValue] | None = _UNCHANGED,
        inherit_env: bool = _UNCHANGED,
        cwd: str | os.PathLike[str] | None = _UNCHANGED,
        stderr: Stderr = _UNCHANGED,
        ok_codes: Collection[int] = _UNCHANGED,
        umask: int | None = _UNCHANGED,
        user: str | int | None = _UNCHANGED,
        group: str | int | None = _UNCHANGED,
        extra_groups: Collection[str | int] | None = _UNCHANGED,
        pass_fds: Collection[int] = _UNCHANGED,
        nice: int | None = _UNCHANGED,
        rlimits: Limits | None = _UNCHANGED,
        start_new_session: bool = _UNCHANGED,
    ) -> Command:
        """Return a command with other values for the given parameters.

        ``args`` are all arguments after the program. The variables of ``env`` are added to those of
        this command, or replace them; None drops them all. Every other parameter replaces its
        value, as documented for :class:`Command`.

        Raises:
            TypeError: as for :class:`Command`.
            ValueError: as for :class:`Command`.
        """
        options = _given(
            env=env,
            inherit_env=inherit_env,
            cwd=cwd,
            stderr=stderr,
            ok_codes=ok_codes,
            umask=umask,
            user=user,
            group=group,
            extra_groups=extra_groups,
            pass_fds=pass_fds,
            nice=nice,
            rlimits=rlimits,
            start_new_session=start_new_session,
        )
        stage = self._stage
        if isinstance(options.get("env"), Mapping):
            options["env"] = dict(stage.env) | dict(options["env"])
        if args is not _UNCHANGED:
            if isinstance(args, str | bytes):
                raise TypeError(f"args must be a list of arguments, not {args!r}")
            stage = stage.with_args(tuple(args))
        return self._of(stage.with_options(options))

    @property
    def commands(self) -> tuple[Command, ...]:
        """The command itself, as a pipe of one."""
        return (self,)

    @property
    def _stages(self) -> tuple[Stage, ...]:
        return (self._stage,)

    @property
    def args(self) -> tuple[str, ...]:
        """The program and its arguments, as text."""
        return self._stage.shown_args

    def __eq__(self, other: object) -> bool:
        return self._stage == other._stage if isinstance(other, Command) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._stage)


@final
class CommandPipe(Runnable):
    """Commands joined by pipes of the operating system: an immutable value, made by ``|``.

    Args:
        *commands: from the first to the last.

    Raises:
        ValueError: there is none.
        TypeError: one is not a command.
    """

    __slots__ = ("_commands",)

    def __init__(self, *commands: Command) -> None:
        if not commands:
            raise ValueError("a CommandPipe needs at least one command, not 0")
        for command in commands:
            if not isinstance(command, Command):
                raise TypeError(f"a CommandPipe is made of commands, not {command!r}")
        self._commands = commands

    def with_(self, **options: Any) -> CommandPipe:  # noqa: ANN401
        """Return a pipe of the commands that :meth:`Command.with_` makes of each."""
        return CommandPipe(*(command.with_(**options) for command in self._commands))

    @property
    def commands(self) -> tuple[Command, ...]:
        """The commands, from the first to the last."""
        return self._commands

    @property
    def _stages(self) -> tuple[Stage, ...]:
        return tuple([command._stage for command in self._commands])  # noqa: SLF001 - its parts

    def __eq__(self, other: object) -> bool:
        return (
            self._commands == other._commands if isinstance(other, CommandPipe) else NotImplemented
        )

    def __hash__(self) -> int:
        return hash(self._commands)
