"""Run a pipe of commands to its end: the steps, and what each error becomes."""

from __future__ import annotations

__all__ = ("DEFAULT_GRACE", "DEFAULT_LINGER", "OnProgress", "Options", "run_stages", "sink_of")

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeAlias

import anyio

from aconcur._core.validation import check_count, check_seconds
from aconcur.process._driver import Driver, Sink
from aconcur.process._errors import CommandFailed, CommandTimeout, OutputTooLarge
from aconcur.process._results import Completed, Progress
from aconcur.process._spawn import spawn
from aconcur.process._stage import Stage
from aconcur.process._pty import Size, checked_size
from aconcur.process._start_limiter import in_turn
from aconcur.process._redirect import CAPTURE, Append, Input, Output, Tee, Wiring

OnProgress: TypeAlias = Callable[[Progress], object]

DEFAULT_GRACE: Final = 2.0
"""Seconds from SIGTERM to SIGKILL. A guess: time to remove a temporary file, not to finish work."""

DEFAULT_LINGER: Final = 1.0
"""Seconds without output after which a pipe that only an orphan holds is given up. A guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The arguments of a run. The documentation stands at ``Runnable.run``."""

    input: Input = None
    output: Output | Literal[Wiring.PIPE] = CAPTURE
    check: bool = True
    timeout: float | None = None
    grace: float = DEFAULT_GRACE
    linger: float | None = DEFAULT_LINGER
    max_output: int | None = None
    on_progress: OnProgress | None = None
    pty: bool | Size = False

    @property
    def size(self) -> Size | None:
        """Of the terminal to make; None for none."""
        return checked_size(self.pty)

    def __post_init__(self) -> None:
        check_seconds("grace", self.grace)
        if self.timeout is not None:
            check_seconds("timeout", _left(self.timeout), also=" or None")
        if self.linger is not None:
            check_seconds("linger", self.linger, also=" or None")
        if self.max_output is not None:
            check_count("max_output", self.max_output, 0, " bytes")
        if self.on_progress is not None and not callable(self.on_progress):
            raise TypeError(f"on_progress must be a function, not {self.on_progress!r}")
        if self.max_output is not None and not _passes_us(self.output):
            raise ValueError(
                f"max_output limits what is captured or given to a function, not {self.output!r}"
            )
        given = not (self.input is None or self.input is self.output is Wiring.PIPE)
        if self.size is not None and (given or self.output is not Wiring.PIPE):
            raise ValueError("pty= makes a terminal the input and the output: give neither")


def _left(timeout: float) -> float:
    """Return no time for less than none: a caller may have computed it from a deadline."""
    return 0 if isinstance(timeout, int | float) and timeout < 0 else timeout


def _passes_us(output: Output | Literal[Wiring.PIPE]) -> bool:
    if isinstance(output, Append) or hasattr(output, "fileno"):
        return False
    return output is CAPTURE or isinstance(output, Tee) or callable(output)


async def run_stages(stages: tuple[Stage, ...], options: Options) -> Completed:
    """Run the stages to their end. The documentation stands at ``Runnable.run``."""
    if options.input is Wiring.PIPE:
        raise ValueError("input=PIPE is for open(): run() has nobody who would write")
    if options.output is Wiring.PIPE:
        raise ValueError("output=PIPE is for open(): use CAPTURE, or a function")
    kept: list[bytes] = []
    driver = Driver(
        sink=sink_of(options.output, kept),
        max_output=options.max_output,
        linger=options.linger,
        on_progress=options.on_progress,
    )
    timed_out = False
    try:
        driver.start(await in_turn(partial(spawn, stages, options.input, options.output)))
        try:
            with anyio.move_on_after(options.timeout) as scope:
                await driver.drive()
            timed_out = scope.cancelled_caught
        finally:
            # The stages run on after a timeout, a cancellation, an error or too much output.
            if driver.running:
                await driver.end(options.grace)  # noqa: ASYNC102 - shields itself
        driver.tell_progress()
    finally:
        driver.close()
    completed = driver.completed(b"".join(kept))
    if timed_out and options.timeout is not None:
        raise CommandTimeout(options.timeout, completed)
    if driver.excess and options.max_output is not None:
        raise OutputTooLarge(options.max_output, completed)
    if options.check and not completed.ok:
        raise CommandFailed(completed)
    return completed


def sink_of(output: Output | Literal[Wiring.PIPE], kept: list[bytes]) -> Sink | None:
    """Return what takes the output, piece by piece; None where it does not pass through us."""
    if output is CAPTURE:
        return kept.append
    if isinstance(output, Tee):
        function = output.function

        def both(data: bytes) -> None:
            kept.append(data)
            function(data)

        return both
    return output if callable(output) else None
