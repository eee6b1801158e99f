"""What a suspended coroutine is doing, read from its frames.

Rule: nothing here runs the scenario's code; it only looks.
"""

from __future__ import annotations

__all__ = (
    "HERE",
    "frames_of",
    "is_standard",
    "is_users",
    "is_users_file",
    "not_ours",
    "place",
    "variable_name",
    "waited_for",
    "where",
)

import gc
import re
import sysconfig
from _thread import RLock as RealRLock
from _thread import allocate_lock
from collections import deque
from contextlib import suppress
from functools import cache
from linecache import getline
from pathlib import Path
from types import FrameType, MemberDescriptorType, ModuleType
from typing import Any, Final

HERE: Final = str(Path(__file__).parent)
_STANDARD: Final = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
_REAL_LOCKS: Final = (type(allocate_lock()), RealRLock)
_MANY: Final = 1000  # a container with more elements is not searched for a name
# These wrap an async generator or a coroutine and give no access to it but through gc.
_WRAPPERS: Final = {
    "anext_awaitable",
    "async_generator_asend",
    "async_generator_athrow",
    "coroutine_wrapper",
}
_LINKS: Final = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))


@cache
def _is_library(filename: str) -> bool:
    # uvloop's frames name the source that it was compiled from.
    return "-packages" in filename or filename.startswith((HERE, "uvloop/", *_STANDARD))


def is_users(frame: FrameType) -> bool:
    """Return whether a frame runs the user's code: no standard, installed or generated code."""
    filename = frame.f_code.co_filename
    if filename.startswith("<"):
        return frame.f_globals.get("__name__") == "__main__"
    return not _is_library(filename)


def is_users_file(filename: str) -> bool:
    """Return whether a file is the user's: neither standard, installed nor this package's."""
    return not filename.startswith("<") and not _is_library(filename)


def is_standard(filename: str) -> bool:
    """Return whether a file is the standard library's, or code that was generated."""
    return filename.startswith(("<", *_STANDARD)) and "-packages" not in filename


def frames_of(awaitable: object) -> list[FrameType]:
    """Return the frames of a suspended coroutine, the outermost first."""
    frames: list[FrameType] = []
    one: Any = awaitable
    while one is not None:
        if type(one).__name__ in _WRAPPERS:
            one = next((o for o in gc.get_referents(one) if _link(o) or _wraps(o)), None)
            continue
        frame, inner = _link(one) or ("", "")
        found = getattr(one, frame, None)
        if isinstance(found, FrameType):
            frames.append(found)
        one = getattr(one, inner, None)
    return frames


def _link(awaited: object) -> tuple[str, str] | None:
    return next((link for link in _LINKS if hasattr(awaited, link[0])), None)


def _wraps(thing: object) -> bool:
    return type(thing).__name__ in _WRAPPERS


def where(frames: list[FrameType]) -> str:
    """Return ``file:line in function`` of the innermost frame that is the user's."""
    mine = [frame for frame in frames if is_users(frame)] or not_ours(frames)
    return place(mine[-1]) if mine else "an unknown place"


def not_ours(frames: list[FrameType]) -> list[FrameType]:
    """Return the frames that are not this package's."""
    return [frame for frame in frames if not frame.f_code.co_filename.startswith(HERE)]


def place(frame: FrameType) -> str:
    """Return ``file:line in function``."""
    code = frame.f_code
    return f"{Path(code.co_filename).name}:{frame.f_lineno} in {code.co_name}"


def variable_name(thing: object, frames: list[FrameType]) -> str:
    """Return what the source calls a thing: ``lock``, ``self.lock``, ``forks[1]``.

    Frames are searched from the innermost on, first their variables and then one level into
    these. Where nothing holds the thing, its class is named.
    """
    for frame in reversed(frames):
        for scope in (frame.f_locals, frame.f_globals):
            found = _name_in(thing, dict(scope))
            if found:
                return found
    return f"a {type(thing).__name__}"


def waited_for(frames: list[FrameType]) -> str:
    """Return what the source calls the real lock that a thread waits for; empty if unknown."""
    frames = not_ours(frames)
    mine = [frame for frame in frames if is_users(frame)]
    if not mine:
        return ""
    for frame in frames[frames.index(mine[-1]) + 1 :]:
        if (thing := frame.f_locals.get("self")) is not None:
            name = variable_name(thing, mine)
            return "" if name.startswith("a ") else name
    words = set(re.findall(r"\w+", getline(mine[-1].f_code.co_filename, mine[-1].f_lineno)))
    for scope in (mine[-1].f_locals, mine[-1].f_globals):
        for name, value in list(scope.items()):
            if name in words:
                if _is_held(value):
                    return name
                for attribute, inner in _attributes_and_classes(value):
                    if attribute in words and _is_held(inner):
                        return f"{name}.{attribute}"
    return ""


def _is_held(thing: object) -> bool:
    return isinstance(thing, _REAL_LOCKS) and repr(thing).startswith("<locked ")


def _attributes_and_classes(value: object) -> list[tuple[str, object]]:
    kinds = value.__mro__ if isinstance(value, type) else type(value).__mro__
    return _attributes(value) + [one for kind in kinds for one in vars(kind).items()]


def _name_in(thing: object, scope: dict[str, Any]) -> str:
    for name, value in scope.items():
        if value is thing and name != "self":
            return name
    for name, value in scope.items():
        if not isinstance(value, type | ModuleType):
            inner = _name_inside(thing, value)
            if inner:
                return name + inner
    return ""


def _name_inside(thing: object, value: object) -> str:
    if isinstance(value, list | tuple | deque):
        if len(value) <= _MANY:
            for number, element in enumerate(value):
                if element is thing:
                    return f"[{number}]"
        return ""
    if isinstance(value, dict):
        for key, element in value.items() if len(value) <= _MANY else ():
            if element is thing:
                return f"[{key!r}]"
        return ""
    return next((f".{name}" for name, element in _attributes(value) if element is thing), "")


def _attributes(value: object) -> list[tuple[str, object]]:
    # Never getattr: a property would run the scenario's code.
    found = list(getattr(value, "__dict__", {}).items())
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            slot = kind.__dict__.get(name)
            if isinstance(slot, MemberDescriptorType):
                with suppress(AttributeError):
                    found.append((name, slot.__get__(value)))
    return found
