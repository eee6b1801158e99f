"""The result of an exploration, as values and as text."""

from __future__ import annotations

__all__ = ("Exploration", "FailedSchedule")

from dataclasses import dataclass

from aconcur.testing._explore.schedule import Order
from aconcur.testing._explore.trace import Step, show, show_columns

_ORDERS: dict[str, str] = {
    "run-on": "the base order",
    "fifo": "the loop's own order",
    "reversed": "the order of reversed batches",
}
_COLUMNS = 80


@dataclass(frozen=True, slots=True)
class FailedSchedule:
    """The first schedule that failed, with as few deviations as shrinking found in its time."""

    error: BaseException
    """What the scenario raised, with its traceback; :exc:`Deadlock` or :exc:`Livelock`."""
    token: str
    """Names the schedule, for :func:`replay`: on both back-ends and all versions of Python."""
    deviations: int
    """Choices that differ from the order."""
    found_at: int
    """The number of the schedule that failed first, from 1 up."""
    timeline: tuple[Step, ...]
    """What ran, in its order."""
    order: Order = "run-on"
    """The order that the deviations are counted from."""

    def __str__(self) -> str:
        text = f"{type(self.error).__name__}: {self.error}".rstrip(": ")
        return f"{text}\n{self.how()}"

    def how(self, width: int | None = None) -> str:
        """Return the schedule as text.

        Args:
            width: columns on the screen; given, each task gets a column of its own.
        """
        order = _ORDERS[self.order]
        if self.deviations:
            which = f"after {self.deviations} deviation{'s' * (self.deviations != 1)} from {order}"
        else:
            which = f"in {order}"
        if width is None:
            lines = show(self.timeline, _COLUMNS - 2)
        else:
            lines = show_columns(self.timeline, width - 2)
        return "\n".join(
            [f"{which}, replay token {self.token!r}:"] + [f"  {line}" for line in lines]
        )


@dataclass(frozen=True, slots=True)
class Exploration:
    """The schedules that were run, and the one that failed."""

    backend: str
    """``asyncio``, ``trio`` or ``threads``."""
    strategy: str
    """``mixed``, ``bounded``, ``random``, ``pct`` or ``replay``."""
    bound: int | None
    """The most deviations that were asked for; None where no bound was given."""
    schedules: int
    """Different schedules that were run, without those that shrank the failure. Schedules that
    were drawn at random may repeat others."""
    failed: int
    """Schedules that failed; at most 1 unless the exploration kept going."""
    steps: int
    """Steps of all schedules together."""
    seconds: float
    """Real time."""
    exhausted: bool
    """Whether every schedule within the bound was run; without a bound, every schedule."""
    failure: FailedSchedule | None
    """The first that failed."""
    grain: str | None = None
    """Where a switch of threads may happen: ``gil`` or ``opcode``; None for tasks."""
    completed: int | None = None
    """The highest number of deviations of which every schedule has been run; None where the search
    is random or ended before."""

    @property
    def ok(self) -> bool:
        """Whether no schedule failed."""
        return self.failure is None

    def check(self) -> Exploration:
        """Return this if no schedule failed.

        Raises:
            BaseException: the scenario's own error; a note tells the schedule.
            AssertionError: in place of a :exc:`SystemExit`, which would end the program unheard.
        """
        if self.failure is None:
            return self
        error = self.failure.error
        if isinstance(error, SystemExit):
            error = AssertionError(f"the scenario exits the program: SystemExit({error.code!r})")
            error.__cause__ = self.failure.error
        note = f"{self._on()}, schedule {self.failure.found_at}, {self.failure.how()}"
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        raise error

    def __str__(self) -> str:
        return self.summary() if self.failure is None else f"{self.summary()}\n{self.failure}"

    def summary(self) -> str:
        """Return one line: how many schedules were run, how many failed, and what is complete."""
        every = "all " if self.exhausted else ""
        ran = f"{every}{self.schedules} schedule{'s' * (self.schedules != 1)}"
        if self.bound is not None:
            ran += f" with at most {_deviations(self.bound)}"
        text = f"{self._on()}, {self.strategy}: {self.failed or 'none'} of {ran} failed"
        if self.completed is not None and not self.exhausted:
            text += f"; every one with at most {_deviations(self.completed)} was run"
        return text

    def _on(self) -> str:
        if self.grain is None:
            return self.backend
        what = "the GIL" if self.grain == "gil" else "every opcode"
        return f"{self.backend} at the grain of {what}"


def _deviations(number: int) -> str:
    return f"{number} deviation{'s' * (number != 1)}"
