"""Who waits for whom: why no task can go on."""

from __future__ import annotations

__all__ = ("explain", "explain_frames")

from collections.abc import Iterable, Mapping
from types import FrameType
from typing import Any

from aconcur.testing._explore.errors import Deadlock, Waiting
from aconcur.testing._frames import frames_of, is_users, variable_name, where

# Where locks keep their holder: trio's and anyio's own attributes, and ours.
_HOLDERS = ("_owner", "_owner_task", "_holder")


def explain(
    tasks: Iterable[tuple[object, str, object]], holders: Mapping[object, object]
) -> Deadlock:
    """Return the error that names each task's wait, and the cycle if there is one.

    Args:
        tasks: each task that is left, with its name and its coroutine.
        holders: lock → task, for locks that do not remember it themselves.
    """
    return explain_frames(
        [(task, name, frames_of(coroutine)) for task, name, coroutine in tasks], holders
    )


def explain_frames(
    tasks: Iterable[tuple[object, str, list[FrameType]]],
    holders: Mapping[object, object],
    ended: Mapping[int, str] | None = None,
) -> Deadlock:
    """Do as :func:`explain`, given each one's frames, the outermost first.

    ``ended`` names those that are not left but may hold something, by their :func:`id`.
    """
    tasks = list(tasks)
    names = {**(ended or {}), **{id(task): name for task, name, _ in tasks}}
    waiting: list[Waiting] = []
    next_of: dict[str, str] = {}
    for _, name, frames in tasks:
        one, holder = _wait(name, frames, holders, names)
        waiting.append(one)
        if holder:
            next_of[name] = holder
    return Deadlock(tuple(waiting), _cycle(next_of))


def _wait(
    name: str,
    frames: list[FrameType],
    holders: Mapping[object, object],
    names: Mapping[int, str],
) -> tuple[Waiting, str]:
    users = [number for number, frame in enumerate(frames) if is_users(frame)]
    last = users[-1] if users else -1
    thing: Any = None
    operation = ""
    holder: object = None
    for frame in frames[last + 1 :]:
        one = frame.f_locals.get("self")
        if one is None:
            continue
        if thing is None:
            thing, operation = one, f"{type(one).__name__}.{frame.f_code.co_name}"
        holder = holder or _holder(one, holders)
    on = variable_name(thing, [frames[number] for number in users]) if operation else ""
    held = names.get(id(holder), "") if holder is not None else ""
    return Waiting(name, operation, on, held, where(frames)), held


def _holder(thing: object, holders: Mapping[object, object]) -> object:
    found = next((h for a in _HOLDERS if (h := getattr(thing, a, None)) is not None), None)
    try:
        return found or holders.get(thing)
    except TypeError:  # not hashable
        return found


def _cycle(next_of: Mapping[str, str]) -> tuple[str, ...]:
    for start in next_of:
        path = [start]
        while (after := next_of.get(path[-1])) is not None:
            if after in path:
                return (*path[path.index(after) :], after)
            path.append(after)
    return ()
