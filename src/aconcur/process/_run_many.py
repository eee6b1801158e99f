"""Run many commands, so many at a time."""

from __future__ import annotations

__all__ = ("Outcome", "Outcomes", "run_many")

import os
import resource
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias, final

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from aconcur._core.scoped_tasks import scoped_tasks
from aconcur._core.validation import check_count
from aconcur.process._command import Runnable
from aconcur.process._results import Completed
from aconcur.process._run import DEFAULT_GRACE, DEFAULT_LINGER, Options, run_stages
from aconcur.process._redirect import CAPTURE, Input, Output

Job: TypeAlias = Runnable | tuple[Runnable, Input]

# Descriptors that a short pipe of commands needs while it starts, with some to spare.
_DESCRIPTORS: Final = 16


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one command of many: its result or its error."""

    index: int
    """Its place in the input, from 0."""
    command: Runnable
    """What was run."""
    completed: Completed | None = field(repr=False)
    """The result; None if there is an error."""
    error: Exception | None
    """What ``run()`` raised; None if it returned."""

    def result(self) -> Completed:
        """Return the result.

        Raises:
            Exception: what ``run()`` raised.
        """
        if self.completed is None:
            assert self.error is not None
            raise self.error
        return self.completed


@final
class Outcomes(AsyncIterator[Outcome]):
    """Outcomes as they come, or in the order of the input. Made by :func:`run_many`."""

    def __init__(self, jobs: Iterable[Job] | AsyncIterable[Job], limit: int, ordered: bool) -> None:
        self._jobs = jobs
        self._limit = limit
        self._ordered = ordered
        self._started = self._handed = self._busy = 0
        self._ready: dict[int, Outcome] = {}
        self._arrived: deque[int] = deque()
        self._exhausted = False
        self._changed = anyio.Event()
        self._error: Exception | None = None

    def __repr__(self) -> str:
        waiting = self._started - self._handed - self._busy
        return f"<Outcomes: {self._busy}/{self._limit} busy, {waiting} ready, {self._handed} done>"

    async def __anext__(self) -> Outcome:
        """Return the next outcome.

        **Cancelled**: none is lost; ask again.

        Raises:
            StopAsyncIteration: all have been returned.
            Exception: what the iterable of commands raised, after all that ran before.
        """
        await checkpoint()
        while True:
            if (index := self._next()) is not None:
                self._handed += 1
                self._change()
                return self._ready.pop(index)
            if self._exhausted and self._handed == self._started:
                raise self._error or StopAsyncIteration
            await self._changed.wait()

    def _next(self) -> int | None:
        if self._ordered:
            return self._handed if self._handed in self._ready else None
        return self._arrived.popleft() if self._arrived else None

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def start_all(self, tasks: TaskGroup, options: Options) -> None:
        """Start a run for each job whenever there is room."""
        try:
            if isinstance(self._jobs, AsyncIterable):
                async for job in self._jobs:
                    await self._start(job, tasks, options)
            else:
                for job in self._jobs:
                    await self._start(job, tasks, options)
        except Exception as error:  # noqa: BLE001 - raised by __anext__
            self._error = error
        self._exhausted = True
        self._change()

    async def _start(self, job: Job, tasks: TaskGroup, options: Options) -> None:
        await checkpoint()
        # An outcome that nobody has taken keeps its place: results do not pile up.
        while self._started - self._handed >= 2 * self._limit or self._busy >= self._limit:
            await self._changed.wait()
        tasks.start_soon(self._run, self._started, job, options)
        self._started += 1
        self._busy += 1

    async def _run(self, index: int, job: Job, options: Options) -> None:
        command, given = job if isinstance(job, tuple) and len(job) == 2 else (job, None)
        completed, error = None, None
        try:
            if not isinstance(command, Runnable):
                raise TypeError(
                    f"run_many needs commands, or pairs of one and its input, not {job!r}"
                )
            completed = await run_stages(
                command._stages,  # noqa: SLF001 - the same package
                replace(options, input=given),
            )
        except Exception as caught:  # noqa: BLE001 - handed to the caller
            error = caught
        self._busy -= 1
        self._ready[index] = Outcome(index, command, completed, error)
        self._arrived.append(index)
        self._change()


@asynccontextmanager
async def run_many(
    commands: Iterable[Job] | AsyncIterable[Job],
    *,
    limit: int | None = None,
    ordered: bool = False,
    output: Output = CAPTURE,
    check: bool = True,
    timeout: float | None = None,  # noqa: ASYNC109 - of a single run
    grace: float = DEFAULT_GRACE,
    linger: float | None = DEFAULT_LINGER,
    max_output: int | None = None,
) -> AsyncIterator[Outcomes]:
    """Run many commands, ``limit`` at a time, and iterate over what becomes of them.

    ::

        async with run_many((pipe, path) for path in paths) as outcomes:
            async for outcome in outcomes:
                print(paths[outcome.index], outcome.result().text())

    One failure hides no other: each outcome holds a result or an error. Commands are drawn from
    the iterable as there is room, so it may be endless; at most 2 × ``limit`` outcomes wait.

    Args:
        commands: a command or a pipe, or a pair of one and its input.
        limit: how many run at once. By default 2 a core, a guess that keeps cores busy while
            some wait for a disk; fewer where RLIMIT_NOFILE is low.
        ordered: hand out outcomes in the order of the input rather than as they come.
        output: as for ``run()``.
        check: as for ``run()``: whether a failed stage makes the outcome an error.
        timeout: as for ``run()``, for each.
        grace: as for ``run()``.
        linger: as for ``run()``.
        max_output: as for ``run()``, for each.

    Raises:
        ValueError: ``limit`` is below 1, or a number is out of its range.
        TypeError: there is one command, not several; of what is no command, as its outcome's error.

    **Cancelled**, or left early: all that runs is ended as by ``run()``, and nothing more starts.

    Cost: about 0.1 ms a command beyond ``run()``.
    """
    options = Options(
        output=output,
        check=check,
        timeout=timeout,
        grace=grace,
        linger=linger,
        max_output=max_output,
    )
    if isinstance(commands, Runnable):
        raise TypeError(f"run_many needs several commands: [{commands!r}], not {commands!r}")
    if limit is not None:
        check_count("limit", limit, 1)
    outcomes = Outcomes(commands, limit or _default_limit(), ordered)
    async with scoped_tasks() as tasks:
        tasks.start_soon(outcomes.start_all, tasks, options)  # noqa: ASYNC113 - any time will do
        yield outcomes


def _default_limit() -> int:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, min(2 * cores, files // _DESCRIPTORS))
