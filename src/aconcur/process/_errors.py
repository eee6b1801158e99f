"""The errors of commands: each says what happened and what to do, and none shows a secret."""

from __future__ import annotations

__all__ = (
    "CommandError",
    "CommandFailed",
    "CommandNotEnded",
    "CommandNotFound",
    "CommandStartError",
    "CommandStopped",
    "CommandTimeout",
    "InputClosed",
    "OutputEnded",
    "OutputTooLarge",
    "start_error",
)

import errno
import os
import shlex
import shutil
import signal
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from aconcur.errors import AconcurError
from aconcur.process._results import Completed, StageResult, end_of, shown

if TYPE_CHECKING:
    from aconcur.process._stage import Stage

Reduced: TypeAlias = tuple[type[BaseException], tuple[Any, ...]]

# Of what a failed command wrote, this much stands in the message.
_LINES: Final = 5
_WIDTH: Final = 300


class CommandError(AconcurError):
    """The base of every error about commands."""


class CommandFailed(CommandError):  # noqa: N818 - the field's word
    """Raised when a stage failed: by its status, by a signal, or because its output is incomplete.

    Names the last stage that failed, as bash's pipefail does, with the last lines of its stderr,
    or of the output if stderr is empty.
    """

    def __init__(self, completed: Completed) -> None:
        stage = completed.failed or completed.stages[-1]
        where = ""
        if len(completed.stages) > 1:
            where = f" (stage {completed.stages.index(stage) + 1} of {len(completed.stages)})"
        super().__init__(f"{shown(stage.args)}{where} {_reason(completed, stage)}")
        self.completed: Completed = completed
        """The captured output, and every stage's status and stderr."""

    def __reduce__(self) -> Reduced:
        return type(self), (self.completed,)


def _reason(completed: Completed, stage: StageResult) -> str:
    end = end_of(stage.returncode)
    if stage.ok:
        return (
            f"{end}, but a process that it started held the output longer than linger=, and what "
            "it wrote later is missing: allow more with linger=, or wait for its end with None"
        )
    if stage.returncode is None:
        return (
            f"{end}: SIGCHLD is ignored in this program, or another part of it calls waitpid(-1): "
            "stop that, or pass check=False"
        )
    said = _last_lines(stage.stderr)
    if not said and stage is completed.stages[-1]:
        said = _last_lines(completed.stdout)
    if said.startswith("\n"):
        return f"{end}:{said}"
    return f"{end}: {said}" if said else f"{end}; see .completed, or allow it with ok_codes="


def _last_lines(data: bytes) -> str:
    text = data[-_LINES * _WIDTH :].decode("utf-8", "backslashreplace")
    lines = [line[:_WIDTH] for line in text.splitlines() if line.strip()][-_LINES:]
    return lines[0].strip() if len(lines) == 1 else "".join(f"\n  {line}" for line in lines)


class CommandTimeout(CommandError, TimeoutError):  # noqa: N818 - the field's word
    """Raised when commands ran longer than ``timeout``: they have been ended and reaped."""

    def __init__(self, seconds: float, completed: Completed) -> None:
        line = " | ".join(shown(stage.args) for stage in completed.stages)
        super().__init__(f"{line} was ended after {seconds:g} s: allow more with timeout=")
        self.seconds: float = seconds
        self.completed: Completed = completed
        """The output until then, and how the stages ended. A status of None: that stage had not
        been started, since a named pipe was not open at its other end."""

    def __reduce__(self) -> Reduced:
        return type(self), (self.seconds, self.completed)


class CommandNotEnded(CommandError):  # noqa: N818 - the field's word
    """Raised when a command must end and cannot be killed: it runs as another user.

    So do ``sudo`` and other set-user-id programs. The command runs on; a thread reaps it when it
    ends. Also raised if a process hangs in the kernel for 10 s after SIGKILL.
    """

    def __init__(self, completed: Completed, pids: tuple[int, ...], grace: float) -> None:
        names = " and ".join(
            shown(stage.args) for stage in completed.stages if stage.returncode is None
        )
        numbers = " ".join(map(str, pids))
        super().__init__(
            f"{names} runs on, {grace:g} s after it was told to end: it cannot be killed, as it "
            f"runs as another user: end it as that user, for example with sudo kill {numbers}"
        )
        self.completed: Completed = completed
        """The output and the statuses; the status of a stage that runs on is None."""
        self.pids: tuple[int, ...] = pids
        """The processes that run on."""
        self.grace: float = grace

    def __reduce__(self) -> Reduced:
        return type(self), (self.completed, self.pids, self.grace)


class CommandStopped(CommandError):  # noqa: N818 - the field's word
    """Raised when the system has stopped a command that wants our terminal; all have been ended.

    A command in a process group of its own may not read the terminal (SIGTTIN), nor change it
    (SIGTTOU). Without this error its run would never end.
    """

    def __init__(self, args: tuple[str, ...], number: int) -> None:
        name = signal.Signals(number).name
        super().__init__(
            f"{shown(args)} was stopped by {name}, since it wants the terminal: lend it with "
            "input=INHERIT, or make one with open(pty=True)"
        )
        self._command = args
        self.signal: int = number

    def __reduce__(self) -> Reduced:
        return type(self), (self._command, self.signal)


class OutputTooLarge(CommandError):  # noqa: N818 - the field's word
    """Raised when the last stage wrote more than ``max_output``; all have been ended and reaped."""

    def __init__(self, limit: int, completed: Completed) -> None:
        super().__init__(
            f"{shown(completed.stages[-1].args)} wrote more than {limit} bytes: allow more with "
            "max_output=, or send the output to a file"
        )
        self.limit: int = limit
        self.completed: Completed = completed
        """The first ``limit`` bytes, and how the stages ended."""

    def __reduce__(self) -> Reduced:
        return type(self), (self.limit, self.completed)


class OutputEnded(CommandError, EOFError):  # noqa: N818 - the field's word
    """Raised when the output ends before the awaited part of it came."""

    def __init__(self, args: tuple[str, ...], wanted: str, partial: bytes) -> None:
        said = f" after {partial[-_WIDTH:]!r}" if partial else ""
        super().__init__(f"the output of {shown(args)} ended{said} before {wanted} came")
        self._command = args
        self._wanted = wanted
        self.partial: bytes = partial
        """The output before the end. It can still be read."""

    def __reduce__(self) -> Reduced:
        return type(self), (self._command, self._wanted, self.partial)


class InputClosed(CommandError, BrokenPipeError):  # noqa: N818 - the field's word
    """Raised by ``write`` when the first stage reads no more, or the input was closed."""

    def __init__(self, args: tuple[str, ...]) -> None:
        super().__init__(
            errno.EPIPE, f"{shown(args)} reads no more input: its status, by wait(), says why"
        )
        self._command = args

    def __str__(self) -> str:
        return str(self.strerror)

    def __reduce__(self) -> Reduced:
        return type(self), (self._command,)


class CommandStartError(CommandError, OSError):
    """Raised when the system does not start a command; stages before it have been ended.

    ``errno``, ``strerror`` and ``filename`` are the system's: EACCES, a file that is not a program;
    E2BIG, arguments too long; EMFILE, too many open files; ENOENT with the folder as
    ``filename``, no such ``cwd``; ENOENT with the script as ``filename``, no such interpreter.
    """

    def __init__(
        self,
        number: int,
        filename: str | None,
        stage: int,
        args: tuple[str, ...],
        remedy: str = "",
    ) -> None:
        super().__init__(number, os.strerror(number), filename)
        self.stage: int = stage
        """Its place in the pipe, from 0."""
        self._command = args
        self._remedy = remedy

    def __str__(self) -> str:
        if self._remedy:
            return f"{shown(self._command)} did not start: {self._remedy}"
        name = f"{self.filename!r}: " if self.filename not in {None, self._command[0]} else ""
        return f"{shown(self._command)} did not start: {name}{self.strerror}"

    def __reduce__(self) -> Reduced:
        return type(self), (self.errno, self.filename, self.stage, self._command, self._remedy)


class CommandNotFound(CommandStartError, FileNotFoundError):  # noqa: N818 - the field's word
    """Raised when there is no such program."""

    def __str__(self) -> str:
        program = self._command[0]
        if len(self._command) == 1 and len(words := program.split()) > 1:
            parts = ", ".join(map(repr, words))
            return f"{program!r} was not found: pass the arguments separately, as Command({parts})"
        return f"{program} was not found: install it, or put its folder on PATH"


def start_error(error: OSError, place: int, stage: Stage) -> CommandStartError:
    """Return the error to raise for the one that ``Popen`` raised."""
    number, args, cwd = error.errno or errno.EIO, stage.shown_args, stage.cwd
    if number == errno.ENOENT and (cwd is None or os.path.isdir(cwd)):  # noqa: PTH112 - bytes too
        if fault := _interpreter_fault(stage):
            return CommandStartError(number, args[0], place, args, fault)
        return CommandNotFound(number, args[0], place, args)
    if number in {errno.ENOENT, errno.ENOTDIR} and cwd is not None:
        return CommandStartError(number, cwd, place, args)
    remedy = _remedy(number, stage)
    told = f"{os.strerror(number)}: {remedy}" if remedy else ""
    return CommandStartError(number, args[0], place, args, told)


def _remedy(number: int, stage: Stage) -> str:
    """Return what to do about a program that the system refuses; an empty text if unknown."""
    if number == errno.E2BIG:
        return "pass long arguments by input= or in a file"
    program = os.path.join(stage.cwd or "", os.fsdecode(stage.args[0]))  # noqa: PTH118
    if number == errno.EACCES and os.path.isdir(program):  # noqa: PTH112
        return "it is a folder"
    if number == errno.EACCES and os.path.isfile(program) and not os.access(program, os.X_OK):  # noqa: PTH113
        return f"make it executable with chmod +x {shlex.quote(program)}"
    if number == errno.ENOEXEC and _is_text(program):
        return "its first line names no interpreter: begin it with #!/bin/sh, for example"
    return ""


def _is_text(path: str) -> bool:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return b"\0" not in file.read(256)
    except OSError:
        return False


def _interpreter_fault(stage: Stage) -> str:
    """Return the fault in the first line of a script, or an empty text if it has none."""
    program = os.fsdecode(stage.args[0])
    if "/" in program:
        program = os.path.join(stage.cwd or "", program)  # noqa: PTH118 - keeps the slash
    else:
        program = shutil.which(program, path=stage.search_path()) or ""
    try:
        with open(program, "rb") as file:  # noqa: PTH123
            line = file.readline(256)
    except OSError:
        return ""
    if not line.startswith(b"#!"):
        return "it needs a loader or a library that is not there: see ldd(1)"
    shebang = line.rstrip(b"\n").decode("utf-8", "backslashreplace")
    interpreter = shebang[2:].strip(" \t")
    if shebang.endswith("\r"):
        return (
            f"its first line, {shebang!r}, ends in a carriage return: convert its line ends, for "
            "example with dos2unix"
        )
    name = shlex.quote((interpreter.split() or [""])[0])
    return f"its interpreter {name} was not found: install it, or correct the first line"
