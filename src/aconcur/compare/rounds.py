"""Measure lessons: one fresh process a version, rounds in turn, all answers compared.

How a case runs
    Every version gets a process of its own (:mod:`.probe`), so that none inherits another's memory,
    imports or pools. All are started first and then run one at a time. Round 0 is not timed: it
    gives memory, threads and children. Each further round starts with another version.
    Every answer of every run must be equal. The sizes of a growth run in one set of processes.

Invariants
    1. While a version runs, this process only waits: anything else would show in the figures.
    2. However the measurement ends, every probe's process group is ended (TERM, two seconds, KILL)
       and reaped.
    3. A probe that dies, hangs for two minutes or answers an error ends the measurement with
       ``VersionFailedError``.
"""

from __future__ import annotations

__all__ = ("DisagreementError", "MeasurementStep", "VersionFailedError", "absences", "measure")

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from aconcur.compare import probe
from aconcur.compare.lesson import Lesson
from aconcur.compare.machine import describe_machine
from aconcur.compare.model import Case, Growth, Table
from aconcur.compare.record import CaseRecord, Record, TableRecord, VersionRecord
from aconcur.errors import AconcurError, MissingRequirementError
from aconcur.lessons.needs import check_needs

PAGE_GROWTH_ROUNDS = 3
QUICK_ROUNDS: dict[type, int] = {Case: 2, Table: 1}
# Far beyond the longest run: this ends a version that hangs, not one that is slow.
LONGEST_RUN = 120.0
GRACE = 2.0
LONGEST_ANSWER = 1 << 20


class VersionFailedError(AconcurError):
    """Raised when a version raises, dies or hangs instead of answering."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what} failed: {reason}")


class DisagreementError(AconcurError):
    """Raised when versions of one system give different answers to one input."""

    def __init__(self, what: str, answers: Mapping[str, str]) -> None:
        said = "; ".join(f"{label} answers {answer}" for label, answer in answers.items())
        super().__init__(f"{what}: the versions disagree: {said}")


@dataclass(frozen=True, slots=True)
class MeasurementStep:
    """The progress of a measurement."""

    lesson: Lesson
    done: int
    total: int
    running: str
    """The case and version that run next."""


async def measure(
    lesson: Lesson,
    *,
    quick: bool = False,
    page_only: bool = False,
    seed: int | None = None,
    on_step: Callable[[MeasurementStep], None] = lambda _: None,
) -> Record:
    """Run every version of a lesson on the same input, in turn, and return the raw figures.

    Each case runs once without being timed (that run gives memory, threads and children, in a
    process that has done nothing else), then its number of timed rounds.

    **Cancelled**: the process group of every version is ended (TERM, then KILL after two seconds)
    and reaped, and temporary files are removed, before the cancellation goes on.

    Args:
        lesson: what to measure.
        quick: small inputs, two rounds a case, one a table, no growth. Such a record is good for
            comparing answers; two rounds are too few to claim a difference.
        page_only: leave out tables that only the full view shows, run three rounds of each size of
            the growth and, if ``quick``, no case but the first.
        seed: the same seed makes the same input; a random one by default.
        on_step: called before every run.

    Raises:
        MissingRequirementError: the lesson, or the baseline of a case, needs a program or a module
            that is not there.
        VersionFailedError: a version raised, died, or ran for more than two minutes.
        DisagreementError: two versions gave different answers.
    """
    check_needs(lesson.needs)
    machine = describe_machine()
    seed = random.randrange(1 << 32) if seed is None else seed
    if page_only:
        lesson = _page_of(lesson, quick=quick)
    plan = _Plan(lesson, quick, seed, on_step)
    with tempfile.TemporaryDirectory(prefix="aconcur-") as folder:
        plan.folder = folder
        cases = [record for case in lesson.cases for record in await plan.run_sizes(case)]
        tables = [await plan.run_table(table) for table in lesson.tables]
        grown = []
        if lesson.growth is not None and not quick:
            grown = await plan.run_sizes(*_sizes(lesson.growth))
    return Record(machine, lesson.digests(), tuple(cases), tuple(tables), tuple(grown))


def _page_of(lesson: Lesson, *, quick: bool) -> Lesson:
    """Return the lesson with only the cases and tables that its page shows or judges."""
    growth = lesson.growth
    return replace(
        lesson,
        # A plot of medians, of which nothing is claimed.
        growth=growth and replace(growth, rounds=min(growth.rounds, PAGE_GROWTH_ROUNDS)),
        # A verdict may depend on any case, but a quick run has none.
        cases=lesson.cases[:1] if quick else lesson.cases,
        tables=tuple(table for table in lesson.tables if table.on_page),
    )


def _sizes(growth: Growth) -> Iterator[Case]:
    """Yield a case for each size of a growth."""
    for size in growth.sizes:
        name = f"{size} {growth.unit}"
        yield Case(name, growth.title, growth.input, size, size, growth.rounds, growth.versions)


class _Plan:
    """One running measurement of one lesson."""

    folder: str

    def __init__(
        self, lesson: Lesson, quick: bool, seed: int, on_step: Callable[[MeasurementStep], None]
    ) -> None:
        self._lesson, self._quick, self._seed, self._on_step = lesson, quick, seed, on_step
        self._done = 0
        grown = [] if quick or lesson.growth is None else _sizes(lesson.growth)
        cases = [*lesson.cases, *grown]
        self._total = sum((self._rounds(c) + 1) * len(c.versions) for c in cases)
        self._total += sum(map(self._rounds, lesson.tables))

    def _rounds(self, measured: Case | Table) -> int:
        return QUICK_ROUNDS[type(measured)] if self._quick else measured.rounds

    def _size(self, measured: Case | Table) -> int:
        return measured.quick if self._quick else measured.size

    def _step(self, running: str) -> None:
        self._on_step(MeasurementStep(self._lesson, self._done, self._total, running))
        self._done += 1

    async def run_sizes(self, case: Case, *others: Case) -> list[CaseRecord]:
        """Run cases that differ only in their size, one after another."""
        records = []
        backends = {label: _backend(reference) for label, reference in case.versions.items()}
        present = [label for label in case.versions if not _absence(backends[label])]
        baseline, *_ = case.versions
        if baseline not in present:
            needed = backends[baseline]
            raise MissingRequirementError(f"module {needed}", f"pip install {needed}")
        async with AsyncExitStack() as stack:
            probes = {
                label: await stack.enter_async_context(
                    self._open_probe(
                        f"{self._lesson.item} {label}",
                        case.versions[label].partition(" @")[0],
                        self._size(case),
                        case.input,
                        backends[label],
                    )
                )
                for label in present
            }
            # They load side by side; nothing is measured before all are ready.
            for each in probes.values():
                await each.answer()
            for sized in (case, *others):
                if sized is not case:
                    for each in probes.values():
                        await each.resize(self._size(sized))
                runs = await self._run_in_turn(sized, probes)
                self._compare_answers(sized, runs)
                versions = tuple(
                    _version(label, runs.get(label, []), _absence(backends[label]))
                    for label in sized.versions
                )
                shown = runs[baseline][0]["shown"]
                records.append(CaseRecord(sized.id, self._size(sized), shown, versions))
            # They end side by side, too.
            for each in probes.values():
                await each.let_go()
        return records

    async def _run_in_turn(
        self, case: Case, probes: Mapping[str, _Probe]
    ) -> dict[str, list[dict[str, Any]]]:
        labels = list(probes)
        runs: dict[str, list[dict[str, Any]]] = {label: [] for label in labels}
        for number in range(self._rounds(case) + 1):
            # Each round begins with another version.
            for label in labels[number % len(labels) :] + labels[: number % len(labels)]:
                self._step(f"{case.id}: {label}")
                runs[label].append(await probes[label].run())
        return runs

    def _compare_answers(self, case: Case, runs: Mapping[str, list[dict[str, Any]]]) -> None:
        given: dict[str, str] = {}
        first_to_give: dict[str, str] = {}
        for label, several in runs.items():
            for number, run in enumerate(several):
                given.setdefault(run["digest"], run["shown"])
                first_to_give.setdefault(run["digest"], f"{label} (run {number})")
        if len(given) > 1:
            answers = {first_to_give[digest]: shown for digest, shown in given.items()}
            raise DisagreementError(f"item {self._lesson.item}, {case.id}", answers)

    async def run_table(self, table: Table) -> TableRecord:
        rounds: list[dict[str, dict[str, float]]] = []
        for _ in range(self._rounds(table)):
            self._step(table.id)
            opening = self._open_probe(
                f"{self._lesson.item} {table.id}", table.call, self._size(table), None, "asyncio"
            )
            async with opening as running:
                await running.answer()
                rounds.append((await running.run())["rows"])
        rows = {
            row: {column: tuple(r[row][column] for r in rounds) for column in table.columns}
            for row in rounds[0]
        }
        return TableRecord(table.id, self._size(table), rows)

    @asynccontextmanager
    async def _open_probe(
        self, what: str, reference: str, size: int, make_input: str | None, backend: str
    ) -> AsyncIterator[_Probe]:
        order = {
            "package": self._lesson.package,
            "reference": reference,
            "size": size,
            "seed": self._seed,
            "input": make_input,
            "backend": backend,
        }
        async with _open_probe(f"item {what}", order, self.folder) as opened:
            yield opened


def absences(lesson: Lesson) -> Iterator[str]:
    """Yield what is not installed here, for each version of a lesson that therefore cannot run."""
    for case in lesson.cases:
        for reference in case.versions.values():
            if absent := _absence(_backend(reference)):
                yield absent


def _backend(reference: str) -> str:
    return reference.partition(" @")[2] or "asyncio"


def _absence(backend: str) -> str:
    if backend == "asyncio" or find_spec(backend):
        return ""
    return f"{backend} is not installed: pip install {backend}"


def _version(label: str, runs: list[dict[str, Any]], absent: str) -> VersionRecord:
    timed = runs[1:]
    return VersionRecord(
        label=label,
        wall=tuple(run["wall"] for run in timed),
        cpu=tuple(run["cpu"] for run in timed),
        memory=runs[0]["memory"] if runs else 0,
        threads=runs[0]["threads"] if runs else 0,
        children=runs[0]["children"] if runs else 0,
        absent=absent,
    )


class _Probe:
    """A process that holds one version and runs it on demand."""

    def __init__(self, what: str, process: anyio.abc.Process, errors: Path) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._what, self._stdin, self._errors = what, process.stdin, errors
        self._answers = BufferedByteReceiveStream(process.stdout)

    async def send(self, order: Mapping[str, Any]) -> None:
        try:
            await self._stdin.send(json.dumps(order).encode() + b"\n")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise self._death() from None

    async def run(self) -> dict[str, Any]:
        await self.send({})
        return await self.answer()

    async def resize(self, size: int) -> None:
        """Make an input of another size."""
        await self.send({"size": size})
        await self.answer()

    async def let_go(self) -> None:
        """Let it end by itself; closing it waits for that."""
        with suppress(anyio.BrokenResourceError):
            await self._stdin.aclose()

    async def answer(self) -> dict[str, Any]:
        try:
            with anyio.fail_after(LONGEST_RUN):
                line = await self._answers.receive_until(b"\n", LONGEST_ANSWER)
        except TimeoutError:
            raise VersionFailedError(self._what, f"no answer in {LONGEST_RUN:.0f} s") from None
        except (anyio.EndOfStream, anyio.IncompleteRead):
            raise self._death() from None
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise VersionFailedError(self._what, said["error"])
        return said

    def _death(self) -> VersionFailedError:
        """Say what the process said last."""
        last = self._errors.read_text(errors="replace").strip().rpartition("\n")[2]
        return VersionFailedError(self._what, last or "its process died")


@asynccontextmanager
async def _open_probe(what: str, order: Mapping[str, Any], folder: str) -> AsyncIterator[_Probe]:
    stderr, errors = tempfile.mkstemp(dir=folder)
    try:
        process = await anyio.open_process(
            [sys.executable, "-P", probe.__file__],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=os.environ | {"TMPDIR": folder},
            start_new_session=True,  # the terminal's Ctrl-C is for us alone: we end the group
        )
    finally:
        os.close(stderr)
    try:
        opened = _Probe(what, process, Path(errors))
        await opened.send(order)
        yield opened
        with anyio.move_on_after(GRACE):
            await process.aclose()
    finally:
        with anyio.CancelScope(shield=True):
            await _end_group(process)


async def _end_group(process: anyio.abc.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):  # asyncio may have reaped it and not told yet
            os.killpg(process.pid, signal.SIGTERM)
        with anyio.move_on_after(GRACE):
            await process.wait()
    # The leader may have been reaped, and members that ignore SIGTERM keep the group's id taken.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.aclose()
