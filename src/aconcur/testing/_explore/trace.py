"""What one schedule ran, line by line and task by task."""

from __future__ import annotations

__all__ = ("Recorder", "Step", "busiest", "show", "show_columns")

import linecache
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from aconcur.testing._frames import is_users

_NARROW = 24  # columns
_RECENT = 300  # steps that tell what a livelock is busy with


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the scenario that ran, or at which a task went on."""

    task: str
    """``main``, or the function's name and a number in the order of creation: ``worker#2``."""
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
        return linecache.getline(self.filename, self.line).strip()

    @property
    def where(self) -> str:
        """``file:line``."""
        return f"{Path(self.filename).name}:{self.line}"


class Recorder:
    """Notes each line of the user's code that runs, through :func:`sys.settrace`."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._task, self._deviates = "main", False
        self._point: int | None = None
        self._resumed: FrameType | None = None
        self._stopped = False

    def stop(self) -> None:
        """Note no more: what follows is a scenario that is being taken down."""
        self._flush()
        self._stopped = True

    def turn(self, task: str, point: int | None, deviates: bool) -> None:
        """A task goes on: what runs from here is its."""
        self._flush()
        self._task, self._deviates = task, deviates
        self._point = point

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


def show(steps: Sequence[Step]) -> Iterator[str]:
    """Yield the timeline, a line of text a step; ``>`` marks a turn against the base order."""
    tasks = max((len(step.task) for step in steps), default=0)
    places = max((len(step.where) for step in steps), default=0)
    before = ""
    for step in steps:
        mark = ">" if step.deviates else " "
        name = step.task if step.task != before or step.deviates else ""
        yield f"{mark} {name:{tasks}}  {step.where:{places}}  {step.code}".rstrip()
        before = step.task


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
            code = code if len(code) <= room else code[: room - 1] + "…"
            before = (room + 2) * tasks.index(step.task)
            yield f"{step.where:{places}}  {'':{before}}{code}".rstrip()
