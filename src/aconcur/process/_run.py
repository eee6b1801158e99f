"""Run a pipe of commands to its end, and raise what the result deserves."""

from __future__ import annotations

__all__ = ("refuse_running_loop", "run_stages")

import anyio

from aconcur._core.loops import current_loop
from aconcur.process._driver import Driver, Options
from aconcur.process._errors import CommandFailed, CommandTimeout, OutputTooLarge
from aconcur.process._redirect import Wiring
from aconcur.process._results import Completed
from aconcur.process._stage import Stage


async def run_stages(stages: tuple[Stage, ...], options: Options) -> Completed:
    """Run the stages to their end. The documentation stands at ``Runnable.run``."""
    _check_pipes(stages, options)
    async with Driver(stages, options) as driver:
        with anyio.move_on_after(options.timeout) as scope:
            await driver.start()
            await driver.drive()
    completed = driver.completed()
    if options.on_progress is not None and driver.was_started:
        driver.tell_progress()
    if scope.cancelled_caught and options.timeout is not None:
        raise CommandTimeout(options.timeout, completed)
    if driver.excess and options.max_output is not None:
        raise OutputTooLarge(options.max_output, completed)
    if options.check and not completed.ok:
        raise CommandFailed(completed)
    return completed


def _check_pipes(stages: tuple[Stage, ...], options: Options) -> None:
    if options.input is Wiring.PIPE:
        raise ValueError("input=PIPE only works with open(): run() has no block that could write")
    if options.output is Wiring.PIPE:
        raise ValueError("output=PIPE only works with open(): use CAPTURE, or a function")
    for stage in stages:
        if stage.stderr is Wiring.PIPE:
            raise ValueError("stderr=PIPE only works with open(): use CAPTURE, or a function")


def refuse_running_loop(name: str, remedy: str) -> None:
    """Refuse to block a thread in which an event loop runs.

    Raises:
        RuntimeError: one runs here.
    """
    if current_loop() is not None:
        raise RuntimeError(f"{name} would block the event loop of this thread: {remedy} instead")
