"""The current task and its event loop, on asyncio and trio."""

from __future__ import annotations

__all__ = (
    "Loop",
    "Task",
    "current_loop",
    "current_task_and_loop",
    "has_ended",
    "name_of",
    "thread_context",
)

import asyncio
import sys
from contextvars import Context, copy_context
from threading import Thread
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import trio

Loop: TypeAlias = "asyncio.AbstractEventLoop | trio.lowlevel.TrioToken"
Task: TypeAlias = "asyncio.Task[Any] | trio.lowlevel.Task"

# As asyncio.get_running_loop, but it answers None where that raises.
_running_loop = asyncio._get_running_loop  # noqa: SLF001


def current_task_and_loop() -> tuple[Task, Loop]:
    """Return the current task and its event loop.

    Raises:
        RuntimeError: no task runs in this thread.
    """
    # asyncio first: it is the default. In trio's guest mode an asyncio loop runs in the same
    # thread, but none of its tasks is current.
    if (loop := _running_loop()) and (task := asyncio.current_task(loop)):
        return task, loop
    if (lowlevel := _trio_lowlevel()) and lowlevel.in_trio_run():
        return lowlevel.current_task(), lowlevel.current_trio_token()
    raise RuntimeError("no task runs here: await this in a task of asyncio or trio")


def current_loop() -> Loop | None:
    """Return the event loop that runs in this thread, or None."""
    if (lowlevel := _trio_lowlevel()) and lowlevel.in_trio_run():
        token: Loop = lowlevel.current_trio_token()
        return token
    return _running_loop()


def thread_context() -> Context:
    """Return a copy of the context in which a thread may start an event loop."""
    context = copy_context()
    # sniffio's variable says which library runs; anyio would refuse to start another loop.
    if (sniffio := sys.modules.get("sniffio")) is not None:
        context.run(sniffio.current_async_library_cvar.set, None)
    return context


def _trio_lowlevel() -> ModuleType | None:
    """Return ``trio.lowlevel`` if it is imported completely: otherwise no trio loop runs.

    Another thread may be half-way through ``import trio``.
    """
    lowlevel = sys.modules.get("trio.lowlevel")
    return lowlevel if hasattr(lowlevel, "in_trio_run") else None


def name_of(who: Task | Thread) -> str:
    """Return the name of a task or thread."""
    return who.get_name() if isinstance(who, asyncio.Task) else who.name


def has_ended(loop: Loop) -> bool:
    """Return whether the loop was closed, even if tasks were left on it.

    A trio run ends after its tasks, so no task is ever left on one.
    """
    return isinstance(loop, asyncio.AbstractEventLoop) and loop.is_closed()
