"""Where a suspended coroutine stands, told by the line of the user's that a reader knows."""

from __future__ import annotations

__all__ = ("Place", "describe", "place_of")

import linecache
from dataclasses import dataclass
from types import FrameType
from typing import final

from aconcur.testing._frames import frames_of, is_users


@final
@dataclass(frozen=True, slots=True)
class Place:
    """Where a task waits, or would go on."""

    file: str
    line: int
    function: str
    source: str
    """The text of the line, stripped; empty if the file cannot be read."""
    task: str
    """The task's name."""

    def __str__(self) -> str:
        source = f": `{self.source}`" if self.source else ""
        return f"{self.file}:{self.line} in {self.function}{source} (task {self.task!r})"


def place_of(coroutine: object, task: str) -> Place | None:
    """Return the innermost line outside libraries at which ``coroutine`` is suspended.

    Libraries are the standard library, installed packages and this one. Returns None when the
    coroutine stands in no other line, or has ended.
    """
    own = [frame for frame in frames_of(coroutine) if is_users(frame)]
    return _place(own[-1], task) if own else None


def describe(coroutine: object, task: str) -> str:
    """Say where ``coroutine`` is suspended, in a library if need be."""
    if place := place_of(coroutine, task):
        return str(place)
    frames = frames_of(coroutine)
    return str(_place(frames[-1], task)) if frames else f"task {task!r}"


def _place(frame: FrameType, task: str) -> Place:
    code = frame.f_code
    line = frame.f_lineno or code.co_firstlineno
    source = linecache.getline(code.co_filename, line).strip()
    return Place(code.co_filename, line, code.co_qualname, source, task)
