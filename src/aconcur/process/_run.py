"""Run a pipe of commands to its end, again if a retry policy says so, and raise if it failed."""

from __future__ import annotations

__all__ = ("refuse_running_loop", "run_stages")

import logging
import os
from collections.abc import AsyncIterable, Iterable
from dataclasses import replace
from time import perf_counter
from typing import Final

import anyio

from aconcur._core.loops import current_loop
from aconcur.process._driver import Driver, Options, RetryPolicy
from aconcur.process._errors import CommandFailed, CommandTimeout, OutputTooLarge
from aconcur.process._redirect import Wiring
from aconcur.process._results import Completed
from aconcur.process._stage import Stage

_log: Final = logging.getLogger("aconcur.process")


async def run_stages(stages: tuple[Stage, ...], options: Options) -> Completed:
    """Run the stages to their end. The documentation stands at ``Runnable.run``."""
    _check_pipes(stages, options)
    if options.retry is not None:
        return await _run_until_it_succeeds(stages, options, options.retry)
    return await _run_once(stages, options)


async def _run_until_it_succeeds(
    stages: tuple[Stage, ...], options: Options, retry: RetryPolicy
) -> Completed:
    _check_repeatable(options.input)
    for name in ("budget", "on_retry"):
        if getattr(retry, name, None) is not None:
            raise ValueError(f"{name}= of a Retry is for the stages of a pipeline: omit it here")
    attempt, first_failed = 1, 0.0
    while True:
        try:
            return await _run_once(stages, replace(options, check=True))
        except Exception as error:
            now = perf_counter()
            first_failed = first_failed or now
            seconds = retry.next_delay(error, attempt, elapsed=now - first_failed)
            if seconds is None:
                if isinstance(error, CommandFailed) and not options.check:
                    return error.completed
                if attempt > 1:
                    error.add_note(f"the last of {attempt} attempts")
                raise
            _log.debug("attempt %d failed, next one in %.3f s: %s", attempt, seconds, error)
        await anyio.sleep(seconds)
        attempt += 1


def _check_repeatable(value: object) -> None:
    """Refuse an input that only the first attempt could read.

    Raises:
        ValueError: it is an iterator, an async iterable or an open file.
    """
    if isinstance(value, bytes | bytearray | memoryview | str | os.PathLike | None):
        return
    one_pass = isinstance(value, AsyncIterable) or hasattr(value, "read")
    if one_pass or not isinstance(value, Iterable) or iter(value) is value:
        raise ValueError(
            f"retry= needs an input that every attempt can read: bytes, a path or a list, not "
            f"{type(value).__name__}"
        )


async def _run_once(stages: tuple[Stage, ...], options: Options) -> Completed:
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
