"""The errors of commands: each says what happened and what to do, and none shows a secret."""

from __future__ import annotations

__all__ = (
    "CommandError",
    "CommandFailed",
    "CommandNotFound",
    "CommandStartError",
    "CommandTimeout",
    "InputClosed",
    "OutputTooLarge",
    "start_error",
)

import errno
import os
from typing import Any, TypeAlias

from aconcur.errors import AconcurError
from aconcur.process._results import Completed, end_of, shown

Reduced: TypeAlias = tuple[type[BaseException], tuple[Any, ...]]


class CommandError(AconcurError):
    """The base of every error about commands."""


class CommandFailed(CommandError):  # noqa: N818 - the field's word
    """Raised when a stage failed: by its status, or by a signal.

    Names the last stage that failed, as bash's pipefail does, and the last line of its stderr.
    """

    def __init__(self, completed: Completed) -> None:
        stage = completed.failed or completed.stages[-1]
        where = ""
        if len(completed.stages) > 1:
            where = f" (stage {completed.stages.index(stage) + 1} of {len(completed.stages)})"
        said = stage.stderr_text.strip().rpartition("\n")[2]
        super().__init__(
            f"{shown(stage.args)}{where} {end_of(stage.returncode)}"
            + (f": {said}" if said else "; see .completed, or allow it with ok_codes=")
        )
        self.completed: Completed = completed
        """All that is known: what was read, and every stage's status and stderr."""

    def __reduce__(self) -> Reduced:
        return type(self), (self.completed,)


class CommandTimeout(CommandError, TimeoutError):  # noqa: N818 - the field's word
    """Raised when commands ran longer than ``timeout``: they have been ended and reaped."""

    def __init__(self, seconds: float, completed: Completed) -> None:
        line = " | ".join(shown(stage.args) for stage in completed.stages)
        super().__init__(f"{line} was ended after {seconds:g} s: allow more with timeout=")
        self.seconds: float = seconds
        self.completed: Completed = completed
        """What was read until then, and how the stages ended."""

    def __reduce__(self) -> Reduced:
        return type(self), (self.seconds, self.completed)


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

    ``errno``, ``strerror`` and ``filename`` are the system's: EACCES, a file that is no program;
    E2BIG, arguments too long; EMFILE, too many open files; ENOENT with the folder as
    ``filename``, no such ``cwd``.
    """

    def __init__(
        self, number: int, filename: str | None, stage: int, args: tuple[str, ...]
    ) -> None:
        super().__init__(number, os.strerror(number), filename)
        self.stage: int = stage
        """Its place in the pipe, from 0."""
        self._command = args

    def __str__(self) -> str:
        name = f"{self.filename!r}: " if self.filename not in {None, self._command[0]} else ""
        return f"{shown(self._command)} did not start: {name}{self.strerror}"

    def __reduce__(self) -> Reduced:
        return type(self), (self.errno, self.filename, self.stage, self._command)


class CommandNotFound(CommandStartError, FileNotFoundError):  # noqa: N818 - the field's word
    """Raised when there is no such program, or no interpreter for a script."""

    def __str__(self) -> str:
        return f"{self._command[0]} was not found: install it, or put its folder on PATH"


def start_error(
    error: OSError, stage: int, args: tuple[str, ...], cwd: str | None
) -> CommandStartError:
    """Return the error to raise for what ``Popen`` raised."""
    number = error.errno or errno.EIO
    if number == errno.ENOENT and (cwd is None or os.path.isdir(cwd)):  # noqa: PTH112 - bytes too
        return CommandNotFound(number, args[0], stage, args)
    if number in {errno.ENOENT, errno.ENOTDIR} and cwd is not None:
        return CommandStartError(number, cwd, stage, args)
    return CommandStartError(number, args[0], stage, args)
