"""How a pipe of commands ended."""

from __future__ import annotations

__all__ = ("Completed", "StageEvent", "StageResult", "TransferProgress", "end_of", "shown")

import shlex
import signal
from dataclasses import dataclass, field
from typing import Final

_MOST_SHOWN: Final = 200  # characters of a command line in a message


@dataclass(frozen=True, slots=True)
class StageResult:
    """How one command of a pipe ended."""

    args: tuple[str, ...]
    """The program and its arguments, as text."""
    returncode: int | None
    """Its exit code, or ``-n`` if signal n ended it. None if it is unknown: another part of this
    program took the status (``waitpid(-1)``), SIGCHLD is ignored, or the stage never started."""
    stderr: bytes = field(repr=False)
    """The last bytes that it wrote to stderr, at most 64 KiB; empty if not captured."""
    stderr_size: int
    """How many bytes it wrote to stderr, including those before the last 64 KiB."""
    ok: bool
    """Whether this is a success: the status is in ``ok_codes``, or, for a stage that is not the
    last, SIGPIPE ended it because its reader needed no more. An unknown status never is."""
    user_seconds: float = field(default=0.0, compare=False, repr=False)
    """Processor time in user mode, with that of the children it waited for (wait4(2))."""
    system_seconds: float = field(default=0.0, compare=False, repr=False)
    """Processor time in the kernel."""
    max_rss: int = field(default=0, compare=False, repr=False)
    """The most memory that it had at once, in bytes (wait4(2)). On Linux at least that of this
    program when it started the stage: the kernel counts from before exec(2)."""

    def __str__(self) -> str:
        return f"{shown(self.args)} {end_of(self.returncode)}"

    @property
    def stderr_text(self) -> str:
        r"""What it wrote to stderr as text for people: UTF-8, other bytes as ``\xhh``."""
        return self.stderr.decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class Completed:
    """How a pipe of commands ended, and what its last stage wrote."""

    stdout: bytes = field(repr=False)
    """What the last stage wrote, if ``output`` was to capture it."""
    stages: tuple[StageResult, ...]
    """One result for each command, in the order of the pipe."""
    seconds: float
    """From the start of the first command to the end of the last one."""
    held: bool = False
    """Whether a process that outlived its stage still held stdout or stderr after ``linger``."""
    cut_off: bool = False
    """Whether stdout was among them: later output of that process is missing."""

    @property
    def returncodes(self) -> tuple[int | None, ...]:
        """The status of every stage, as in bash's PIPESTATUS."""
        return tuple(stage.returncode for stage in self.stages)

    @property
    def failed(self) -> StageResult | None:
        """The last stage that failed, as by bash's pipefail; None if none did."""
        for stage in reversed(self.stages):
            if not stage.ok:
                return stage
        return None

    @property
    def ok(self) -> bool:
        """Whether no stage failed and the output is complete."""
        return self.failed is None and not self.cut_off

    def text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return ``stdout`` as text: UTF-8 unless you say otherwise, whatever the locale.

        Line ends stay as they are.

        Raises:
            UnicodeDecodeError: it is not such text; the error names the command. ``stdout`` still
                has the bytes.
        """
        try:
            return self.stdout.decode(encoding, errors)
        except UnicodeDecodeError as error:
            error.reason += (
                f", in the output of {shown(self.stages[-1].args)}: pass its encoding, or "
                "errors='replace'"
            )
            raise


@dataclass(frozen=True, slots=True)
class TransferProgress:
    """How many bytes went into a run and came out of it.

    Bytes between the stages are not counted: they do not pass through this process.
    """

    bytes_in: int
    """Bytes given to the first stage, or read by it from a file that can seek."""
    bytes_out: int
    """Bytes read from the last stage, or written by it to a file that can seek."""


@dataclass(frozen=True, slots=True)
class StageEvent:
    """What ``on_start`` and ``on_end`` get: one stage has started or ended."""

    stage: int
    """Its place in the pipe, from 0."""
    line: str
    """A line of shell that does the same, with ``***`` in place of secrets."""
    pid: int
    returncode: int | None = None
    """The status when it ended, as in :class:`StageResult`; None at the start."""
    seconds: float | None = None
    """Since the start of the pipe; None at the start."""

    def __str__(self) -> str:
        if self.seconds is None:
            return f"{self.line} (pid {self.pid})"
        return f"{self.line} (pid {self.pid}) {end_of(self.returncode)} after {self.seconds:.3f} s"


def shown(args: tuple[str, ...]) -> str:
    """Return a command line for a message, shortened if it is long."""
    line = shlex.join(args)
    return line if len(line) <= _MOST_SHOWN else f"{line[:_MOST_SHOWN]}…"


def end_of(returncode: int | None) -> str:
    """Return how a command ended: ``exited with 3``, ``was killed by SIGKILL``."""
    if returncode is None:
        return "ended with an unknown status"
    if returncode >= 0:
        return f"exited with {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:  # a real-time signal
        name = f"signal {-returncode}"
    return f"was killed by {name}"
