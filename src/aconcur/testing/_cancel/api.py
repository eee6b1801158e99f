"""``cancel_everywhere()``: cancel a scenario at every step, and look for what each cancel left.

Rule: this module chooses the cancels and judges the runs; a driver runs one on its loop.
Rule: each run has a loop and a first snapshot of its own, and an empty folder for temporary files.
"""

from __future__ import annotations

__all__ = ("cancel_everywhere",)

import re
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from types import FrameType
from typing import Any, Final, final

import anyio

from aconcur.testing._cancel.backends import Backend, checked_ways, driver
from aconcur.testing._cancel.plan import CancelPlan, How, Outcome
from aconcur.testing._cancel.report import CancelSweep, Kind, Leak
from aconcur.testing._cancel.virtual import SkippedTime
from aconcur.testing._isolation import refuse_in_a_loop
from aconcur.testing._leaks.cleanup import end_leftovers, settle, young_garbage_only
from aconcur.testing._leaks.snapshot import Snapshot, adopting_orphans, temporary_files_in
from aconcur.testing._leaks.warnings_capture import capture_warnings

# What a clean-up takes when it has nothing to wait for, on a machine that is busy: a guess.
_PROMPT: Final = 0.25
# Each hung run costs its limit. The first few tell what there is to know.
_HUNG_ENOUGH: Final = 5
# What differs from run to run in one and the same leak: numbers, addresses, tempfile's names.
_VARIES: Final = re.compile(r"(?<=\btmp)[a-z0-9_]{8}|0x[0-9a-f]+|\d+")
# Real seconds after a step at which a wait that goes on is cancelled, too: a process that is
# killed at once has started no children yet.
_DELAYS: Final = (0.001, 0.01, 0.1, 1.0, 10.0)
_ANYIO: Final = str(Path(anyio.__file__).parent)


def cancel_everywhere(
    scenario: Callable[[], Awaitable[object]],
    *,
    backend: Backend = "asyncio",
    how: How | None = None,
    twice: bool | int = True,
    invariant: Callable[[], object] | None = None,
    grace: float = 0.0,
    limit: float = 5.0,
    max_steps: int = 1000,
    after: Callable[[], Awaitable[object]] | None = None,
    ignore: Mapping[str, str] | None = None,
) -> CancelSweep:
    """Run ``scenario()`` afresh again and again, each time cancelled at another step.

    A *step* is one resumption of any task of the scenario, children included (an eager task's
    first step is part of its parent's). There are two
    points to each: just before it is run (what the task waited for has happened, but the task
    doesn't know) and just after it (the task has blocked, and the cancel arrives while it waits).
    The scenario is cancelled at every moment up to its end, in every way its back-end has: by a
    cancel scope around it, and on asyncio also natively, with ``Task.cancel()``. Then all of that
    with a second cancel, which meets the clean-up after the first. For a scope the second cancel
    is that of an outer scope.

    A plain function, which runs loops of its own::

        def test_upload_leaves_nothing() -> None:
            cancel_everywhere(upload_three_files).check()

    Looked for after each run: tasks, threads, open file descriptors, child processes and
    grandchildren, temporary files; warnings of things not closed or never awaited, errors that
    nobody could catch or fetched; a broken ``invariant``; an error in place of the cancellation,
    or (natively) no cancellation at all; a clean-up beyond ``grace``, or without end. What is
    found is killed or closed, so that the next run starts clean. What already the run without a
    cancel leaves is reported with ``how`` None; so is what one shows after cancelled ones.

    Cancelled natively just before a step, the scenario may end normally in that very step, for
    then all that it waited for had happened; otherwise it has swallowed the cancel. A scope is
    not asked: it cancels again at the next checkpoint.

    Tasks and callbacks have 0.1 s after the scenario's end, as threads have, before they count as
    left. Waits for timers alone are skipped and cost nothing; all clocks follow. uvloop waits.

    Descriptors and processes are measured on Linux only (see ``Snapshot``). A dead child that was
    made by a bare ``os.fork()`` and never waited for is not told from an orphan, and is reaped.

    Args:
        scenario: what to cancel; a coroutine function. Its result is ignored. It is run some
            (4 + 4 × ``twice``) × steps times, so let it be short, and undo what it does.
        backend: ``"asyncio"`` (the selector loop), ``"uvloop"`` or ``"trio"``.
        how: only this way; None: all that the back-end has. trio has no ``"native"``.
        twice: False: cancel once only. True: also a second time, at the moment after the first.
            A number n: also at the 1st, 2nd, … n-th moment after the first, each in a run of its
            own: about n times the runs.
        invariant: called after every run, when the loop is closed; raises if the books don't
            balance, as with ``assert``.
        grace: seconds that the clean-up may take. A quarter of a second is added, then it is slow.
        limit: seconds after which a run is hung and is abandoned. It cannot be if it blocks its
            loop. After 5 hung runs the sweep ends early.
        max_steps: how many steps to sweep at the most; ``CancelSweep.unswept`` says if it cut.
        after: an async function that is called on the same loop after each run, cancelled or not:
            "can the next task still acquire it?". What it raises is a fault.
        ignore: faults that are known, as a regular expression that is searched in the kind and the
            text (``"warning: ResourceWarning: unclosed"``), each with the reason.

    Returns:
        What was found; ``.check()`` raises it, ``print()`` shows it.

    Raises:
        RuntimeError: called where a loop runs.
        ValueError: an argument that cannot be.
        MissingRequirementError: trio or uvloop is asked for and is not installed.
        TimeoutError: the scenario does not end in ``limit`` seconds without any cancel.
        Exception: what the scenario or ``invariant`` raises without any cancel, with a note.

    **Interrupted** by Ctrl-C: the run at hand is cancelled, and its loop closed.

    The process is measured as a whole: let no other thread start or open things meanwhile. For
    its time warnings are recorded and not shown, TMPDIR is replaced, and (Linux) orphans are
    adopted.

    Cost: 1 to 2.5 ms a cancel beyond the scenario's own time, by back-end
    (``python -m benchmarks.costs_of_testing``), and 0.1 s more for one that leaves a thread or a
    child.

    Source: "How SQLite Is Tested", on out-of-memory testing: a loop lets the first allocation
    fail, then the second, until a run comes to its end without a failure.
    """
    ways = checked_ways(backend, how, twice, grace, limit, max_steps)
    refuse_in_a_loop("cancel_everywhere")
    patterns = _compiled(ignore or {})
    skipped = SkippedTime()
    began = perf_counter()
    with (
        TemporaryDirectory(prefix="aconcur-", ignore_cleanup_errors=True) as folder,
        adopting_orphans(),
        young_garbage_only(),
        skipped.on_all_clocks(),
    ):
        drive = driver(scenario, backend, limit, after, skipped)
        sweep = _Sweep(drive, skipped, Path(folder), invariant, grace, limit, patterns)
        ways = sweep.first_run(ways)
        unswept = sweep.run(ways, int(twice), max_steps)
    return CancelSweep(
        backend=backend,
        hows=ways,
        steps=sweep.steps,
        cancels=sweep.cancels,
        dirty=sweep.dirty,
        leaks=tuple(sweep.leaks.values()),
        unswept=unswept,
        seconds=perf_counter() - began,
        slowest_unwinding=sweep.slowest,
        ignored=tuple(sweep.ignored.items()),
    )


@final
@dataclass(slots=True)
class _Sweep:
    drive: Callable[..., Outcome]
    skipped: SkippedTime
    folder: Path
    invariant: Callable[[], object] | None
    grace: float
    limit: float
    ignore: tuple[tuple[re.Pattern[str], str], ...]
    points: int = 0
    waits: dict[int, float] = field(default_factory=dict[int, float])
    ignored: Counter[str] = field(default_factory=Counter[str])
    steps: int = 0
    cancels: int = 0
    dirty: int = 0
    hung: int = 0
    slowest: float = 0.0
    leaks: dict[tuple[str, ...], Leak] = field(default_factory=dict[tuple[str, ...], Leak])

    def first_run(self, ways: tuple[How, ...]) -> tuple[How, ...]:
        """Run without a cancel, report what even that leaves, and return the ways to sweep."""
        plain = CancelPlan("native" if "native" in ways else ways[0])
        with _watching_for_anyio() as seen:
            outcome, faults = self._one(plain, first=True)
        self._must_succeed(outcome)
        if faults:
            # What only the first run leaves is kept for the process, such as a module's caches.
            outcome, faults = self._one(plain)
            self._must_succeed(outcome)
            for kind, what in faults:
                self._report(kind, what, outcome, plain)
        self.points, self.waits = outcome.points, outcome.waits
        self.steps = (outcome.points + 1) // 2
        return ways if seen or len(ways) == 1 else ("native",)

    def run(self, ways: tuple[How, ...], twice: int, max_steps: int) -> str:
        """Sweep; return why it ended early, if it did."""
        cut = ""
        for how in ways:
            for again in range(twice + 1):
                for at in range(1, 2 * max_steps + 1):
                    # Real I/O makes runs differ in length, so one short run is not the end.
                    if not self._cancelled(CancelPlan(how, at, again)) and at > self.points:
                        break
                    if self.hung >= _HUNG_ENOUGH:
                        return f"{self.hung} runs hung for {self.limit} s each: mend that first"
                else:
                    cut = f"only the first max_steps={max_steps} steps: raise it, or shorten"
            for at, wait in self.waits.items():
                for delay in _DELAYS:
                    if delay < min(wait, self.limit):
                        self._cancelled(CancelPlan(how, at, delay=delay))
        return cut if self.steps > max_steps else ""

    def _must_succeed(self, outcome: Outcome) -> None:
        try:
            if outcome.waiting is not None:
                raise TimeoutError(_hung(outcome, self.limit))
            if outcome.error:
                raise outcome.error
            if self.invariant:
                self.invariant()
        except BaseException as error:
            error.add_note("raised without any cancel: the sweep needs a scenario that succeeds")
            raise

    def _cancelled(self, plan: CancelPlan) -> bool:
        """Run once; return whether all the cancels of ``plan`` came."""
        outcome, faults = self._one(plan)
        if isinstance(outcome.error, (KeyboardInterrupt, SystemExit)):
            raise outcome.error
        if not outcome.fired:
            for kind, what in faults:  # such as a lock that an earlier run was cancelled with
                self._report(kind, what, outcome, CancelPlan(plan.how))
        if outcome.fired < (2 if plan.again else 1):
            return False
        self.cancels += 1
        self.slowest = max(self.slowest, outcome.unwound)
        told = {_key(kind, what, plan.how): (kind, what) for kind, what in faults}
        self.dirty += bool(told)
        self.hung += outcome.waiting is not None
        for kind, what in told.values():
            self._report(kind, what, outcome, plan)
        return True

    def _report(self, kind: Kind, what: str, outcome: Outcome, plan: CancelPlan) -> None:
        key, came = _key(kind, what, plan.how if plan.at else ""), int(bool(plan.at))
        if known := self.leaks.get(key):
            self.leaks[key] = replace(known, cancels=known.cancels + came)
            return
        self.leaks[key] = Leak(
            kind=kind,
            what=what,
            how=plan.how if plan.at else None,
            step=(plan.at + 1) // 2,
            before=plan.at % 2 == 1,
            again=plan.again,
            place=outcome.place,
            cancels=came,
            delay=plan.delay,
        )

    def _one(
        self, plan: CancelPlan, *, first: bool = False
    ) -> tuple[Outcome, list[tuple[Kind, str]]]:
        before = Snapshot.take(self.folder)
        self.skipped.begin_run(before)
        with temporary_files_in(self.folder), capture_warnings() as captured:
            outcome = self.drive(plan=plan, captured=captured)
            left = settle(before, self.folder)
            captured.muted = True
            # What the first run opens may be the process's own: libuv aborts without its pipe.
            if left and not first:
                end_leftovers(left, before, self.folder)
        faults = list(self._faults(plan, outcome, left, captured.messages))
        return outcome, [fault for fault in faults if not self._is_ignored(*fault)]

    def _is_ignored(self, kind: Kind, what: str) -> bool:
        reason = next((why for known, why in self.ignore if known.search(f"{kind}: {what}")), None)
        if reason is None:
            return False
        self.ignored[reason] += 1
        return True

    def _faults(
        self, plan: CancelPlan, outcome: Outcome, left: Snapshot, heard: list[str]
    ) -> Iterator[tuple[Kind, str]]:
        if outcome.waiting is not None:
            # All else follows from the run's being abandoned.
            yield "hung", _hung(outcome, self.limit)
            return
        for task in outcome.tasks:
            yield "task", task
        for thread in left.threads:
            yield "thread", thread.name
        for target in left.descriptors.values():
            yield "fd", target
        for pid, name in left.children.items():
            yield "child", f"{name}, pid {pid}"
        for file in left.files:
            yield "temporary file", file.name
        for said in heard:
            yield "warning", said
        if outcome.after_error:
            yield "after", outcome.after_error
        if plan.at:
            yield from self._misbehaviour(outcome)

    def _misbehaviour(self, outcome: Outcome) -> Iterator[tuple[Kind, str]]:
        if self.invariant:
            try:
                self.invariant()
            except Exception as broken:  # noqa: BLE001 - reported
                yield "invariant", f"{type(broken).__name__}: {broken}"
        if outcome.error:
            yield "error", repr(outcome.error)
        if outcome.swallowed:
            yield "swallowed", "the scenario ended normally: let CancelledError pass, or raise it"
        if outcome.unwound > self.grace + _PROMPT:
            yield "slow", f"clean-up took {outcome.unwound:.2f} s; grace is {self.grace} s"


def _key(kind: str, what: str, how: str) -> tuple[str, ...]:
    """Tell one fault from another, whatever numbers it bears."""
    varies = "" if kind == "hung" else _VARIES.sub("#", what)
    return kind, varies, how


def _hung(outcome: Outcome, limit: float) -> str:
    return f"no end within limit={limit} s; waiting: " + "; ".join(outcome.waiting or ())


def _compiled(ignore: Mapping[str, str]) -> tuple[tuple[re.Pattern[str], str], ...]:
    found = []
    for pattern, reason in ignore.items():
        try:
            found.append((re.compile(pattern), reason))
        except re.error as error:
            raise ValueError(
                f"ignore must map regular expressions to reasons; {pattern!r} is not one: {error}"
            ) from None
        if not reason:
            raise ValueError(f"ignore must give a reason for {pattern!r}, not {reason!r}")
    return tuple(found)


@contextmanager
def _watching_for_anyio() -> Iterator[list[str]]:
    """Yield a list that holds the first function of anyio that a native run called, if any."""
    found: list[str] = []

    def look(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and not found and code.co_filename.startswith(_ANYIO):
            found.append(code.co_qualname)

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield found
    finally:
        sys.setprofile(before)
