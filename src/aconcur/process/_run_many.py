"""Run many commands, a limited number at a time."""

from __future__ import annotations

__all__ = ("Job", "ManyProgress", "Outcome", "Outcomes", "run_many")

import os
import resource
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sized
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias, final

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from aconcur._core.cpus import usable_cpus
from aconcur._core.generators import close_iterator
from aconcur._core.on_error import COLLECT, RAISE, OnError
from aconcur._core.scoped_tasks import scoped_tasks
from aconcur._core.validation import check_count, check_plain_function
from aconcur.process._command import Runnable
from aconcur.process._driver import DEFAULT_GRACE, DEFAULT_LINGER, Options, RetryPolicy
from aconcur.process._redirect import (
    CAPTURE,
    Append,
    Input,
    Output,
    Tee,
    Wiring,
    called_plainly,
    check_output,
)
from aconcur.process._results import Completed
from aconcur.process._run import run_stages
from aconcur.process._tag import INDEX, Tag, check_tag, run_tagged, tag_of

Job: TypeAlias = Runnable | tuple[Runnable, Input] | tuple[Runnable, Input, Output]
"""A command; or a command and its input; or both and where its output goes."""

Outputs: TypeAlias = Output | str | Callable[[int], Output]
"""What ``run_many(output=)`` takes."""

# Descriptors that a short pipe of commands needs while it starts, with some to spare.
_DESCRIPTORS: Final = 16


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one command of many ended: its result or its error."""

    index: int
    """Its place in the input, from 0."""
    command: Runnable
    """The command."""
    completed: Completed | None = field(repr=False)
    """The result; None if there is an error."""
    error: Exception | None
    """The error that ``run()`` raised; None if it returned."""

    def result(self) -> Completed:
        """Return the result.

        Raises:
            Exception: ``run()`` raised it.
        """
        if self.completed is None:
            assert self.error is not None
            raise self.error
        return self.completed


@dataclass(frozen=True, slots=True)
class ManyProgress:
    """How far :func:`run_many` is, in commands."""

    done: int
    """How many have ended, the failed ones included."""
    failed: int
    """How many of them ended with an error."""
    running: int
    """How many run now."""
    total: int | None
    """How many there are; None if the input has no length."""


OnMany: TypeAlias = Callable[[ManyProgress], object]


@final
class Outcomes(AsyncIterator[Outcome]):
    """Outcomes as they come, or in the order of the input. Made by :func:`run_many`."""

    def __init__(
        self,
        jobs: Iterable[Job] | AsyncIterable[Job],
        limit: int,
        ordered: bool,
        output: Outputs,
        on_error: OnError,
        tag: Tag | None,
        on_progress: OnMany | None,
    ) -> None:
        self._jobs = jobs
        self._limit = limit
        self._ordered = ordered
        self._output = output
        self._on_error = on_error
        self._tag = tag
        self._on_progress = on_progress
        self._failed = 0
        self._files: set[str] = set()
        self._scope = anyio.CancelScope()
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

        **Cancelled**: no outcome is lost; ask again.

        Raises:
            StopAsyncIteration: all have been returned.
            Exception: the iterable of commands raised it; it comes after the outcomes of the
                commands before. With ``on_error=RAISE``, the first error of a command.
        """
        await checkpoint()
        while True:
            if self._scope.cancel_called and self._error is not None:
                raise self._error
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

    async def run_all(self, options: Options) -> None:
        """Start a run for each job whenever there is room, and wait for all of them."""
        with self._scope:
            async with anyio.create_task_group() as tasks:
                try:
                    await self._start_all(tasks, options)
                except Exception as error:  # noqa: BLE001 - raised by __anext__
                    self._error = error
                self._exhausted = True
                self._change()

    async def _start_all(self, tasks: TaskGroup, options: Options) -> None:
        if isinstance(self._jobs, AsyncIterable):
            jobs = aiter(self._jobs)
            try:
                async for job in jobs:
                    await self._start(job, tasks, options)
            finally:
                await close_iterator(jobs)  # noqa: ASYNC102 - shielded there
        else:
            each = iter(self._jobs)
            try:
                for job in each:
                    await self._start(job, tasks, options)
            finally:
                await close_iterator(each)  # noqa: ASYNC102 - shielded there

    async def _start(self, job: Job, tasks: TaskGroup, options: Options) -> None:
        await checkpoint()
        # An outcome that was not taken yet keeps its place: results do not pile up.
        while self._started - self._handed >= 2 * self._limit or self._busy >= self._limit:
            await self._changed.wait()
        tasks.start_soon(self._run, self._started, job, options)
        self._started += 1
        self._busy += 1

    async def _run(self, index: int, job: Job, options: Options) -> None:
        command, given, output = _parts_of(job)
        completed, error = None, None
        try:
            if not isinstance(command, Runnable):
                raise TypeError(
                    "run_many needs commands, pairs (command, input) or triples (command, input, "
                    f"output), not {job!r}"
                )
            _check_shared_files(command)
            template = output is None and isinstance(self._output, str | os.PathLike)
            if output is None:
                output = _output_of(self._output, index)
            if not template:  # each index makes another name
                self._check_own_file(output)
            stages = command._stages  # noqa: SLF001 - the same package
            options = replace(options, input=given)
            if self._tag is None:
                completed = await run_stages(stages, replace(options, output=output))
            else:
                completed = await run_tagged(stages, options, output, tag_of(self._tag, index))
        except Exception as caught:  # noqa: BLE001 - handed to the caller
            error = caught
            self._failed += 1
            if self._on_error is RAISE:
                self._fail(error)
        self._busy -= 1
        self._ready[index] = Outcome(index, command, completed, error)
        self._arrived.append(index)
        self._change()
        self._tell_progress()

    def _check_own_file(self, output: object) -> None:
        """Refuse a file that another command of these has emptied for itself.

        Raises:
            ValueError: it is one.
        """
        if not isinstance(output, os.PathLike):
            return
        path = os.path.abspath(os.fspath(output))  # noqa: PTH100 - a string, ten times as quick
        if path in self._files and not _is_device(path):
            raise ValueError(
                f"output={os.fspath(output)!r} is the file of an earlier command too, and each "
                "would empty it: give each its own, or use Append(path)"
            )
        self._files.add(path)

    def _fail(self, error: Exception) -> None:
        """End all that runs; iterating raises the error."""
        if self._error is None:
            self._error = error
            self._scope.cancel()

    def _tell_progress(self) -> None:
        if self._on_progress is None:
            return
        total = len(self._jobs) if isinstance(self._jobs, Sized) else None
        done = self._started - self._busy
        try:
            progress = ManyProgress(done, self._failed, self._busy, total)
            called_plainly(self._on_progress)(progress)
        except Exception as error:  # noqa: BLE001 - raised by __anext__
            self._fail(error)


def _parts_of(job: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401 - an untyped caller's, too
    """Return the command, the input and the output of a job; None stands for the common output."""
    if isinstance(job, tuple) and 2 <= len(job) <= 3:
        return job[0], job[1], job[2] if len(job) > 2 else None
    return job, None, None


def _output_of(output: Any, index: int) -> Any:  # noqa: ANN401 - an Outputs, an Output
    """Return where the output of one of many commands goes."""
    if isinstance(output, str | os.PathLike):
        return Path(os.fspath(output).replace(INDEX, str(index)))
    if _is_function(output):
        given = output(index)
        if given is None:
            raise TypeError(
                f"{output!r} must return where the output of command {index} goes, such as a path, "
                "not None: run_many(output=) calls it with the index"
            )
        return Path(given) if isinstance(given, str) else given
    return output


def _is_device(path: str) -> bool:
    """Return whether a path is something else than a file, such as /dev/null or a named pipe."""
    return os.path.exists(path) and not os.path.isfile(path)  # noqa: PTH110, PTH113


def _is_function(output: Outputs) -> bool:
    special = isinstance(output, Wiring | Append | Tee)
    return callable(output) and not special and not hasattr(output, "write")


def _check_outputs(output: Outputs) -> None:
    """Refuse an output that each command would empty for itself."""
    if isinstance(output, str | os.PathLike):
        if INDEX not in os.fspath(output):
            raise ValueError(
                f"output={output!r} is one file, and each of many commands would empty it: put "
                "{index} into the name, give a function of the index, or use Append(path)"
            )
    elif _is_function(output):
        check_plain_function("output", output)
    else:
        check_output("output", output)


def _check_shared_files(command: Runnable) -> None:
    for one in command.commands:
        stderr = one._stage.stderr  # noqa: SLF001 - the same package
        if isinstance(stderr, os.PathLike):
            raise ValueError(
                f"stderr={stderr!r} is one file, and each of many commands would empty it: use "
                "Append(path)"
            )


@asynccontextmanager
async def run_many(
    commands: Iterable[Job] | AsyncIterable[Job],
    *,
    limit: int | None = None,
    ordered: bool = False,
    output: Outputs = CAPTURE,
    check: bool = True,
    on_error: OnError = COLLECT,
    timeout: float | None = None,  # noqa: ASYNC109 - of a single run
    grace: float = DEFAULT_GRACE,
    linger: float | None = DEFAULT_LINGER,
    max_output: int | None = None,
    retry: RetryPolicy | None = None,
    tag: Tag | None = None,
    on_progress: OnMany | None = None,
) -> AsyncIterator[Outcomes]:
    """Run many commands, ``limit`` at a time, and iterate over their outcomes.

    ::

        async with run_many((pipe, path) for path in paths) as outcomes:
            async for outcome in outcomes:
                print(paths[outcome.index], outcome.result().text())

    One failure hides no other: each outcome holds a result or an error. Commands are drawn from
    the iterable as there is room, so it may be endless; at most 2 × ``limit`` outcomes wait.

    Args:
        commands: a command or a pipe; or a pair of one and its input; or a triple with its output.
        limit: how many run at once. By default 2 for each usable processor, a guess that keeps
            processors busy while some commands wait for a disk; fewer where RLIMIT_NOFILE is low.
        ordered: hand out outcomes in the order of the input rather than as they come.
        output: as for ``run()``, but a path must contain ``{index}``, and a function is called
            with the index of the command and returns its output: ``"{index}.out"``,
            ``lambda index: folder / names[index]``. The index counts from 0. Of commands that are
            given the same file, the second and later ones are errors.
        check: as for ``run()``: whether a failed stage makes the outcome an error.
        on_error: ``COLLECT``: errors are outcomes; ``RAISE``: at the first one all other commands
            are ended, and iterating raises it.
        timeout: as for ``run()``, for each.
        grace: as for ``run()``.
        linger: as for ``run()``.
        max_output: as for ``run()``, for each.
        retry: as for ``run()``, for each.
        tag: text to put before each line of output, which says whose it is: ``"{index}: "``, or a
            function of the index. Lines of several commands are not mixed, and each ends in a line
            feed. The output passes through this process; it may be ``CAPTURE``, ``INHERIT``,
            ``Append(path)``, an open file or ``Tee(function)``.
        on_progress: called with a :class:`ManyProgress` whenever a command has ended. An exception
            that it raises ends all commands and is raised by the iteration.

    To resume after a crash, run the commands in a stage of :mod:`aconcur.pipeline`, which has
    journals: ``stage(convert, workers=8).run(paths, journal=Journal("run.db"))``, where ``convert``
    awaits ``Command(…).run()``.

    Raises:
        ValueError: ``limit`` is below 1, a number is out of its range, ``output`` is one file
            for all, or ``tag`` has no ``{index}``.
        TypeError: there is one command, not several. A job of another kind is its outcome's error.

    **Cancelled**, or left early: all that runs is ended as by ``run()``, nothing more starts, and a
    generator of commands, sync or async, is closed before the block is left.

    Cost: about 0.1 ms a command beyond ``run()``.
    """
    _check_outputs(output)
    if on_error not in {COLLECT, RAISE}:
        raise ValueError(f"on_error must be COLLECT or RAISE, not {on_error!r}")
    options = Options(
        output=output if isinstance(output, Wiring) else CAPTURE,
        check=check,
        timeout=timeout,
        grace=grace,
        linger=linger,
        max_output=max_output,
        retry=retry,
    )
    if tag is not None:
        check_tag(tag)
    if on_progress is not None:
        check_plain_function("on_progress", on_progress)
    if isinstance(commands, Runnable):
        raise TypeError(f"run_many needs several commands: [{commands!r}], not {commands!r}")
    if limit is not None:
        check_count("limit", limit, 1)
    outcomes = Outcomes(
        commands, limit or _default_limit(), ordered, output, on_error, tag, on_progress
    )
    async with scoped_tasks() as tasks:
        tasks.start_soon(outcomes.run_all, options)  # noqa: ASYNC113 - any time will do
        yield outcomes


def _default_limit() -> int:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(2 * usable_cpus(), files // _DESCRIPTORS))
