"""What became of a pipe of commands."""

from __future__ import annotations

__all__ = ("Completed", "Progress", "StageResult", "end_of", "shown")

import shlex
import signal
from dataclasses import dataclass, field
from typing import Final

_MOST_SHOWN: Final = 200  # characters of a command line in a message


@dataclass(frozen=True, slots=True)
class StageResult:
    """What became of one command of a pipe."""

    args: tuple[str, ...]
    """The program and its arguments, as text."""
    returncode: int
    """What it exited with, or ``-n`` if signal n ended it."""
    stderr: bytes = field(repr=False)
    """The last bytes that it wrote to stderr, 64 KiB at the most; empty if not captured."""
    stderr_size: int
    """All bytes that it wrote to stderr, those beyond the last 64 KiB included."""
    ok: bool
    """Whether this is no failure: the status is one of ``ok_codes``, or, for a stage that is not
    the last, SIGPIPE ended it because its reader had all it wanted."""

    def __str__(self) -> str:
        return f"{shown(self.args)} {end_of(self.returncode)}"

    @property
    def stderr_text(self) -> str:
        r"""What it wrote to stderr, for people: UTF-8, other bytes as ``\xhh``."""
        return self.stderr.decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class Completed:
    """What became of a pipe of commands, and what its last stage wrote."""

    stdout: bytes = field(repr=False)
    """What the last stage wrote, if ``output`` was to capture it."""
    stages: tuple[StageResult, ...]
    """One result a command, in the order of the pipe."""
    seconds: float
    """From the start of the first command to the end of the last one."""
    held: bool = False
    """Whether a process that outlived its stage still held an output when ``linger`` was over."""

    @property
    def returncodes(self) -> tuple[int, ...]:
        """The status of every stage, as in bash's PIPESTATUS."""
        return tuple(stage.returncode for stage in self.stages)

    @property
    def failed(self) -> StageResult | None:
        """The last stage that failed, as by bash's pipefail; None if none did."""
        return next((stage for stage in reversed(self.stages) if not stage.ok), None)

    @property
    def ok(self) -> bool:
        """Whether no stage failed."""
        return self.failed is None

    def text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return ``stdout`` as text: UTF-8 unless you say otherwise, whatever the locale.

        Line ends stay as they are.

        Raises:
            UnicodeDecodeError: it is no such text. ``stdout`` still has the bytes.
        """
        return self.stdout.decode(encoding, errors)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come. Bytes between the stages are not counted: they pass us by."""

    bytes_in: int
    """Bytes given to the first stage, or read by it from a file that can seek."""
    bytes_out: int
    """Bytes read from the last stage, or written by it to a file that can seek."""


def shown(args: tuple[str, ...]) -> str:
    """Return a command line for a message, not too long."""
    line = shlex.join(args)
    return line if len(line) <= _MOST_SHOWN else f"{line[:_MOST_SHOWN]}…"


def end_of(returncode: int) -> str:
    """Say how a command ended: ``exited with 3``, ``was killed by SIGKILL``."""
    if returncode >= 0:
        return f"exited with {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:  # a real-time signal
        name = f"signal {-returncode}"
    return f"was killed by {name}"
