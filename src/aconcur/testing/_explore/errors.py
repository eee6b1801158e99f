"""The errors that an exploration can end with besides the scenario's own."""

from __future__ import annotations

__all__ = (
    "BackgroundError",
    "CallIntoLoopError",
    "Deadlock",
    "Livelock",
    "NotReproducibleError",
    "RealInputOutputError",
    "Report",
    "Reported",
    "UncontrolledError",
    "UncontrolledThreadError",
    "UncontrolledWaitError",
    "UnsupportedLoopCallError",
    "Waiting",
    "interrupts",
)

from dataclasses import dataclass
from typing import Literal, TypeAlias

from aconcur.errors import AconcurError


@dataclass(frozen=True, slots=True)
class Waiting:
    """A task or thread that waits and will never go on."""

    task: str
    """Its name, as in the timeline."""
    operation: str
    """What it called: ``Lock.acquire``; empty where nothing of a library is waited for."""
    on: str
    """The variable that holds what it waits for: ``forks[1]``; empty where none does."""
    holder: str
    """The task that holds it; empty where nobody does, or nobody can say."""
    where: str
    """``file:line in function`` of the innermost frame that is the scenario's own."""

    def __str__(self) -> str:
        if not self.operation:
            return f"{self.task} waits at {self.where}"
        held = f", held by {self.holder}," if self.holder else ""
        return f"{self.task} waits in {self.operation}() on {self.on!r}{held} at {self.where}"


class Deadlock(AssertionError):  # noqa: N818 - the field's word
    """Raised when no task can ever go on: none is ready and none waits for a time."""

    def __init__(self, waiting: tuple[Waiting, ...] = (), cycle: tuple[str, ...] = ()) -> None:
        lines = ["every task waits, and none can wake another", *map(str, waiting)]
        if cycle:
            lines.append(f"cycle: {' -> '.join(cycle)}")
        super().__init__("\n".join(lines))
        self.waiting: tuple[Waiting, ...] = waiting
        """Each task that waits."""
        self.cycle: tuple[str, ...] = cycle
        """The names of tasks each of which waits for the next, the first one again at the end."""


class Livelock(AssertionError):  # noqa: N818 - the field's word
    """Raised when a run has not ended after ``max_steps`` steps."""

    def __init__(self, steps: int, busy: tuple[str, ...] = ()) -> None:
        lines = [f"no end after {steps} steps: raise max_steps= if the scenario needs more", *busy]
        super().__init__("\n".join(lines))
        self.steps: int = steps
        """Steps that were made."""
        self.busy: tuple[str, ...] = busy
        """What ran last: ``task at file:line in function``, the busiest first."""


Reported: TypeAlias = Literal[
    "callback error",
    "task error",
    "future error",
    "task left",
    "generator left",
    "resource",
    "other",
]


@dataclass(frozen=True, slots=True)
class Report:
    """One thing that the event loop or Python would report on stderr, or would not even report."""

    kind: Reported
    """What it is about; ``explore(allow=...)`` takes these words."""
    text: str
    """What happened, where and to which task."""
    error: BaseException | None = None
    """The exception that no caller received; None where there is none."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


class BackgroundError(AssertionError):
    """Raised when something failed or was left behind without any task noticing.

    asyncio logs most of these ("Task exception was never retrieved") and goes on. An exploration
    fails, unless ``allow=`` names the kind.
    """

    def __init__(self, reports: tuple[Report, ...]) -> None:
        kinds = ", ".join(sorted({repr(report.kind) for report in reports}))
        head = f"the scenario ended normally; allow=({kinds},) if this is as you mean it:"
        super().__init__("\n".join([head, *(f"- {report}" for report in reports)]))
        self.reports: tuple[Report, ...] = reports
        """Everything that was reported."""


class NotReproducibleError(AconcurError):
    """Raised when the same choices led to another run than before."""

    def __init__(self, point: int, before: int, after: int, where: str = "") -> None:
        super().__init__(
            f"{where or _parting(point, before, after)}: a scenario "
            "must depend on nothing but its schedule (no random numbers, real clock, real input "
            "and output, order of id() or of sets, nor anything kept from run to run, such as a "
            "cache or a module's variable: reset it at the scenario's start), and a token fits "
            "only the scenario that it came from"
        )
        self.point: int = point
        """The choice point or, where whole runs were compared, the step at which they part."""


def _parting(point: int, before: int, after: int) -> str:
    return f"choice point {point} had {before} tasks ready before and has {after} now"


class UncontrolledError(AconcurError):
    """The base of the errors that name something that no schedule decides.

    Once a scenario has asked for such a thing, this is the result of the run, whatever the scenario
    made of the exception: what it did afterwards says nothing about its correctness.
    """


class RealInputOutputError(UncontrolledError):
    """Raised when a scenario asks the explorer's loop for real input or output."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}() is real input or output, which no schedule decides: put a stand-in into the "
            "scenario, such as a memory stream"
        )


class UnsupportedLoopCallError(UncontrolledError):
    """Raised when a scenario calls a method of the loop that an exploration cannot offer."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}() is not supported by the explorer's loop: {remedy}")


class CallIntoLoopError(UncontrolledError):
    """Raised when a call for a thread waits for the loop that the explorer runs it on."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}() waits for the event loop, and explore() runs a call for a thread as one "
            "step of that loop, so no answer can come: await what the call needs in the scenario "
            "itself, before the call or after it"
        )


class UncontrolledWaitError(UncontrolledError):
    """Raised when a thread of a scenario waits for what the explorer does not control."""

    def __init__(self, thread: str, where: str, seconds: float, on: str = "") -> None:
        what = (
            f"it waits for {on!r}, a real lock, which no schedule decides"
            if on
            else "it waits for real input or output, or for a real lock"
        )
        super().__init__(
            f"{thread} made no step for {seconds:g} s at {where}: {what}. A lock, queue or event "
            "is real if it was made before the exploration, or by a Lock that was kept before it "
            "where none is looked for, as in a partial() or a default: make it inside the "
            "scenario, by threading.Lock()"
        )
        self.on: str = on
        """What the source calls the lock; empty where that is not known."""


class UncontrolledThreadError(UncontrolledWaitError):
    """Raised when an async scenario depends on a thread that it started itself."""

    def __init__(self, what: str) -> None:
        AconcurError.__init__(
            self,
            f"{what}, and no schedule decides when a real thread does that: use "
            "asyncio.to_thread() or anyio.to_thread.run_sync(), which run as one step here, or "
            "put a stand-in for the thread into the scenario",
        )
        self.on = ""


def interrupts(error: BaseException) -> bool:
    """Return whether an error is, or holds, the user's wish to end the program."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(KeyboardInterrupt) is not None
    return isinstance(error, KeyboardInterrupt)
