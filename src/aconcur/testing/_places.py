"""Where a suspended coroutine stands, told by the line of the user's that a reader knows."""

from __future__ import annotations

__all__ = ("Place", "place_of", "told")

import gc
import linecache
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final, final

# A frame of theirs tells a reader less than the line of his that called them.
_LIBRARIES: Final = (
    *{sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")},
    str(Path(__file__).parent) + "/_",
    "uvloop/",  # its frames name the source that it was compiled from
    "<",
)
# These wrap an async generator or a coroutine and give no access to it but through gc.
_WRAPPERS: Final = {
    "anext_awaitable",
    "async_generator_asend",
    "async_generator_athrow",
    "coroutine_wrapper",
}
_LINKS: Final = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))


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
    frames = _frames(coroutine)
    own = [f for f in frames if not f.f_code.co_filename.startswith(_LIBRARIES)]
    return _place(own[-1], task) if own else None


def told(coroutine: object, task: str) -> str:
    """Say where ``coroutine`` is suspended, in a library if need be."""
    if place := place_of(coroutine, task):
        return str(place)
    frames = list(_frames(coroutine))
    return str(_place(frames[-1], task)) if frames else f"task {task!r}"


def _place(frame: FrameType, task: str) -> Place:
    code = frame.f_code
    line = frame.f_lineno or code.co_firstlineno
    source = linecache.getline(code.co_filename, line).strip()
    return Place(code.co_filename, line, code.co_qualname, source, task)


def _frames(awaited: object) -> Iterator[FrameType]:
    """Yield the frames from the outermost to the innermost."""
    while awaited is not None:
        if type(awaited).__name__ in _WRAPPERS:
            awaited = next((o for o in gc.get_referents(awaited) if _link(o) or _wraps(o)), None)
            continue
        frame, inner = _link(awaited) or ("", "")
        found = getattr(awaited, frame, None)
        if isinstance(found, FrameType):
            yield found
        awaited = getattr(awaited, inner, None)


def _link(awaited: object) -> tuple[str, str] | None:
    return next((link for link in _LINKS if hasattr(awaited, link[0])), None)


def _wraps(thing: object) -> bool:
    return type(thing).__name__ in _WRAPPERS
