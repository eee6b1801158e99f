"""The trace of one schedule: the lines that ran, task by task."""

from __future__ import annotations

__all__ = ("Log", "Recorder", "Step", "StepLog", "busiest", "show", "show_columns")

import linecache
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeAlias

from aconcur.testing._frames import frames_of, is_users, where

_NARROW = 24  # columns
_RECENT = 300  # steps that tell what a livelock is busy with


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the scenario that ran, or at which a task went on; or a timer that struck early.

    The step of a timer has no file, line 0, and says in ``function`` what happened.
    """

    task: str
    """``main``, the function's name and its number in the order of creation (``worker#2``), or
    ``timer``."""
    filename: str
    line: int
    function: str
    point: int | None
    """The choice point at which the task was given this turn; None where it had no rival."""
    deviates: bool
    """Whether that turn was taken against the base order."""

    @property
    def code(self) -> str:
        """The source line."""
        if not self.line:
            return self.function
        return linecache.getline(self.filename, self.line).strip()

    @property
    def where(self) -> str:
        """``file:line``."""
        if not self.line:
            return ""
        return f"{Path(self.filename).name}:{self.line}"


class Recorder:
    """Notes each line of the user's code that runs, through :func:`sys.settrace`."""

    explains: Final = True
    """Whether a deadlock is to be explained: who holds which lock."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._task, self._deviates = "main", False
        self._point: int | None = None
        self._resumed: FrameType | None = None
        self._stopped = False

    def stop(self) -> None:
        """Note nothing more: from here on the scenario is only being ended."""
        self._flush()
        self._stopped = True

    def turn(self, task: str, point: int | None, deviates: bool, coroutine: object = None) -> None:
        """Note that a task goes on: the lines that run from here on belong to it."""
        del coroutine
        self._flush()
        self._task, self._deviates = task, deviates
        self._point = point

    def strike(self, point: int | None, now: float) -> None:
        """Note that a timer strikes while tasks are ready; the time is ``now`` then."""
        self._flush()
        if not self._stopped:
            told = f"the next timer strikes, at {now:g} s"
            self.steps.append(Step("timer", "", 0, told, point, deviates=True))

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Note what this thread runs in the block. A debugger or coverage tool has to wait."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)
            self._flush()

    def line(self, frame: FrameType, line: int) -> None:
        """A frame has run a line: for drivers that watch frames themselves."""
        self._note(frame, line)

    def _enter(self, frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        if event != "call" or not is_users(frame):
            return None
        if frame.f_lineno != frame.f_code.co_firstlineno:
            # A coroutine goes on at an await. An inner one that follows at once tells more.
            self._resumed = frame
        return self._inside

    def _inside(self, frame: FrameType, event: str, _: object) -> Callable[..., Any]:
        if event == "line":
            self._flush()
            self._note(frame, frame.f_lineno)
        return self._inside

    def _flush(self) -> None:
        if self._resumed is not None:
            self._note(self._resumed, self._resumed.f_lineno)
            self._resumed = None

    def _note(self, frame: FrameType, line: int) -> None:
        if self._stopped:
            return
        code = frame.f_code
        step = Step(self._task, code.co_filename, line, code.co_name, self._point, self._deviates)
        if not self.steps or self.steps[-1] != step:
            self.steps.append(step)
        self._deviates = False


class StepLog:
    """Notes who took each step and where it stood, to compare two runs of one schedule."""

    explains: Final = False

    def __init__(self) -> None:
        self.steps: list[str] = []

    def stop(self) -> None:
        """Do nothing: a log is read up to the end of the shorter run."""

    def turn(self, task: str, point: int | None, deviates: bool, coroutine: object = None) -> None:
        """Note a step of a task, or of a callback."""
        del deviates
        frames = frames_of(coroutine) if coroutine is not None else []
        at = f" at {where(frames)}" if frames else ""
        self.steps.append(f"{task}{at}" if point is None else f"{task}{at} (choice {point})")

    def strike(self, point: int | None, now: float) -> None:
        """Note that a timer strikes."""
        self.steps.append(f"timer at {now:g} s (choice {point})")

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Do nothing: only steps are noted."""
        yield

    def parting(self, again: StepLog) -> tuple[int, str, str] | None:
        """Return the first step, from 1, at which another run differs, and what both did there."""
        ended = "the end of the scenario"
        for number, (one, other) in enumerate(
            zip_longest(self.steps, again.steps, fillvalue=ended), 1
        ):
            if one != other:
                return number, one, other
        return None


Log: TypeAlias = Recorder | StepLog
"""Either of the two: drivers tell both the same."""


def show(steps: Sequence[Step], width: int = 10_000) -> Iterator[str]:
    """Yield the timeline, a line of text a step; ``>`` marks a deviation from the order."""
    tasks = max((len(step.task) for step in steps), default=0)
    places = min(max((len(step.where) for step in steps), default=0), width // 3)
    before = ""
    for step in steps:
        mark = ">" if step.deviates else " "
        name = step.task if step.task != before or step.deviates else ""
        place = step.where if len(step.where) <= places else f"…{step.where[1 - places :]}"
        yield _cut(f"{mark} {name:{tasks}}  {place:{places}}  {step.code}".rstrip(), width)
        before = step.task


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 1] + "…"


def busiest(steps: Iterable[Step]) -> tuple[str, ...]:
    """Return what a run without an end is busy with, the busiest first."""
    recent = list(steps)[-_RECENT:]
    found = Counter(f"{step.task} at {step.where} in {step.function}" for step in recent)
    return tuple(text for text, _ in found.most_common(4))


def show_columns(steps: Sequence[Step], width: int) -> Iterator[str]:
    """Yield the timeline with a column for each task; ``main``'s own lines run across.

    Falls back to :func:`show` where the columns would be narrower than a line of code needs.
    """
    tasks = list(dict.fromkeys(step.task for step in steps if step.task != "main"))
    places = max((len(step.where) for step in steps), default=0)
    room = (width - places - 2) // max(len(tasks), 1) - 2
    if room < _NARROW:
        yield from show(steps)
        return
    yield f"{'':{places}}  " + "  ".join(f"{task:{room}}" for task in tasks).rstrip()
    for step in steps:
        mark = "> " if step.deviates else ""
        code = mark + step.code
        if step.task == "main":
            yield f"{step.where:{places}}  {code}"[:width].rstrip()
        else:
            code = _cut(code, room)
            before = (room + 2) * tasks.index(step.task)
            yield f"{step.where:{places}}  {'':{before}}{code}".rstrip()
