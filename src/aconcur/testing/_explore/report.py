"""What an exploration found, as values and as text."""

from __future__ import annotations

__all__ = ("Exploration", "FailedSchedule")

from dataclasses import dataclass

from aconcur.testing._explore.trace import Step, show, show_columns


@dataclass(frozen=True, slots=True)
class FailedSchedule:
    """The first schedule that failed, with as few deviations as possible."""

    error: BaseException
    """What the scenario raised, with its traceback; :exc:`Deadlock` or :exc:`Livelock`."""
    token: str
    """Names the schedule, for :func:`replay`: on both back-ends and all versions of Python."""
    deviations: int
    """Turns that were taken against the base order."""
    found_at: int
    """The number of the schedule that failed first, from 1 up."""
    timeline: tuple[Step, ...]
    """What ran, in its order."""

    def __str__(self) -> str:
        text = f"{type(self.error).__name__}: {self.error}".rstrip(": ")
        return f"{text}\n{self.how()}"

    def how(self, width: int | None = None) -> str:
        """Return the schedule as text.

        Args:
            width: columns on the screen; given, each task gets a column of its own.
        """
        turns = "1 deviation" if self.deviations == 1 else f"{self.deviations} deviations"
        lines = show(self.timeline) if width is None else show_columns(self.timeline, width - 2)
        return "\n".join(
            [f"after {turns} from the base order, replay token {self.token!r}:"]
            + [f"  {line}" for line in lines]
        )


@dataclass(frozen=True, slots=True)
class Exploration:
    """The schedules that were run, and the one that failed."""

    backend: str
    """``asyncio``, ``trio`` or ``threads``."""
    strategy: str
    """``bounded``, ``random`` or ``pct``."""
    bound: int | None
    """The most deviations a schedule may have; None for the strategies by lot."""
    schedules: int
    """Schedules that were run, without those that shrank the failure."""
    failed: int
    """Schedules that failed; at most 1 unless the exploration kept going."""
    steps: int
    """Steps of all schedules together."""
    seconds: float
    """Real time."""
    exhausted: bool
    """Whether every schedule within the bound was run."""
    failure: FailedSchedule | None
    """The first that failed."""
    grain: str | None = None
    """Where a switch of threads may happen: ``gil`` or ``opcode``; None for tasks."""

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
        """Return one line: how many schedules were run, and how many failed."""
        limit = f" with at most {self.bound} deviations" if self.bound is not None else ""
        every = "all " if self.exhausted else ""
        ran = f"{every}{self.schedules} schedule{'s' * (self.schedules != 1)}{limit}"
        return f"{self._on()}, {self.strategy}: {self.failed or 'none'} of {ran} failed"

    def _on(self) -> str:
        if self.grain is None:
            return self.backend
        what = "the GIL" if self.grain == "gil" else "every opcode"
        return f"{self.backend} at the grain of {what}"
