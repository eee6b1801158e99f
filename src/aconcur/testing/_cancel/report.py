"""The result of a sweep, as values that read as a report."""

from __future__ import annotations

__all__ = ("CancelSweep", "CancelSweepFailed", "Kind", "Leak")

from dataclasses import dataclass
from textwrap import fill
from typing import Literal, TypeAlias, final

from aconcur.testing._cancel.plan import How
from aconcur.testing._locations import Place

Kind: TypeAlias = Literal[
    "task",
    "thread",
    "fd",
    "child",
    "temporary file",
    "warning",
    "invariant",
    "error",
    "swallowed",
    "hung",
    "slow",
    "after",
]


@final
@dataclass(frozen=True, slots=True)
class Leak:
    """One fault, where it showed first, and how many cancels showed it."""

    kind: Kind
    """``"slow"`` is a clean-up beyond the grace, ``"hung"`` one that never ended, ``"after"`` an
    error of ``after()``."""
    what: str
    """The thing left behind or the error, as it showed first."""
    how: How | None
    """A cancel ``"scope"``, or ``"native"`` ``Task.cancel()``; None: it shows without a cancel."""
    step: int
    """The step, from 1; 0 without a cancel."""
    before: bool
    """Whether the cancel came just before that step, or just after, when it had blocked."""
    again: int
    """How many points (two a step) later a second cancel came; 0: one cancel is enough."""
    place: Place | None
    """Where the task stood whose step it was, or else the scenario; None if it never began."""
    cancels: int
    """How many cancelled runs of this ``how`` showed it."""
    delay: float = 0.0
    """Real seconds that the task had waited after the step when the cancel came."""

    def __str__(self) -> str:
        if not self.how:
            return f"{self.kind}: {self.what}: without any cancel"
        way = "by a scope" if self.how == "scope" else "natively"
        when = f"{'before' if self.before else 'after'} step {self.step}"
        if self.delay:
            when = f"{self.delay * 1000:g} ms {when}"
        again = f" and again {self.again} moment(s) later" if self.again else ""
        times = f"{self.cancels} cancel{'s' if self.cancels > 1 else ''}"
        where = self.place or "no line: the scenario never began"
        return f"{self.kind}: {self.what}: {times}, first {way} {when}{again}\n    at {where}"


@final
@dataclass(frozen=True, slots=True)
class CancelSweep:
    """What :func:`cancel_everywhere` found."""

    backend: str
    hows: tuple[How, ...]
    """The ways in which the scenario was cancelled."""
    steps: int
    """Steps of the run without a cancel. Real I/O may make other runs longer or shorter."""
    cancels: int
    """Runs in which a cancel came."""
    dirty: int
    """Cancelled runs that showed at least one fault."""
    leaks: tuple[Leak, ...]
    """Every fault once, in the order in which they showed."""
    unswept: str
    """Why the sweep ended early; empty when it went through."""
    seconds: float
    """How long it all took."""
    slowest_unwinding: float
    """The most seconds from a cancel to the scenario's end."""
    ignored: tuple[tuple[str, int], ...] = ()
    """The reasons of ``ignore=`` that applied, each with the number of runs."""

    @property
    def ok(self) -> bool:
        """Whether no cancel left anything behind. See also ``unswept``."""
        return not self.leaks

    def check(self) -> None:
        """Raise what was found.

        Raises:
            CancelSweepFailed: some cancel left something behind.
        """
        if not self.ok:
            raise CancelSweepFailed(self)

    def __str__(self) -> str:
        ways = " and ".join(self.hows)
        verdict = f"{self.dirty} left something behind" if self.leaks else "nothing left behind"
        swept = f"{self.cancels} cancels ({ways}) at {self.steps} steps on {self.backend}"
        times = f"{self.seconds:.2f} s, slowest unwinding {self.slowest_unwinding * 1000:.1f} ms"
        lines = [
            f"{swept}: {verdict}",
            f"  {times}",
            *([f"  not all was swept: {self.unswept}"] if self.unswept else ()),
            *(f"  {leak}" for leak in self.leaks),
            *(f"  ignored in {count} runs: {reason}" for reason, count in self.ignored),
        ]
        return "\n".join(map(_wrapped, "\n".join(lines).splitlines()))


def _wrapped(line: str) -> str:
    """Break a line at 80 columns, but not within a path."""
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return fill(line, 80, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


class CancelSweepFailed(AssertionError):  # noqa: N818 - a failed assertion is named for its failing
    """Raised by :meth:`CancelSweep.check`; its text is the whole report.

    Args:
        sweep: what was found.
    """

    def __init__(self, sweep: CancelSweep) -> None:
        super().__init__(str(sweep))
        self.sweep: CancelSweep = sweep
