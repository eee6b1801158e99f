"""What an exploration can find beside the scenario's own errors, each a fact and a remedy."""

from __future__ import annotations

__all__ = (
    "CallIntoLoopError",
    "Deadlock",
    "Livelock",
    "NotReproducibleError",
    "RealInputOutputError",
    "UncontrolledWaitError",
    "Waiting",
    "interrupts",
)

from dataclasses import dataclass

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


class NotReproducibleError(AconcurError):
    """Raised when the same choices led to another run than before."""

    def __init__(self, point: int, before: int, after: int) -> None:
        super().__init__(
            f"choice point {point} had {before} tasks ready before and has {after} now: a scenario "
            "must depend on nothing but its schedule (no random numbers, real clock, real input "
            "and output, nor anything kept from run to run), and a token fits only the scenario "
            "that it came from"
        )
        self.point: int = point


class RealInputOutputError(AconcurError):
    """Raised when a scenario asks the explorer's loop for real input or output."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}() is real input or output, which no schedule decides: put a stand-in into the "
            "scenario, such as a memory stream"
        )


class CallIntoLoopError(AconcurError):
    """Raised when a call for a thread waits for the loop that the explorer runs it on."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}() waits for the event loop, and explore() runs a call for a thread as one "
            "step of that loop, so no answer can come: await what the call needs in the scenario "
            "itself, before the call or after it"
        )


class UncontrolledWaitError(AconcurError):
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


def interrupts(error: BaseException) -> bool:
    """Return whether an error is, or holds, the user's wish to end the program."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(KeyboardInterrupt) is not None
    return isinstance(error, KeyboardInterrupt)
