"""Which task runs here, and on which event loop."""

from __future__ import annotations

__all__ = (
    "Loop",
    "Task",
    "current_loop",
    "has_ended",
    "here",
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


def here() -> tuple[Task, Loop]:
    """Return the current task and its event loop.

    Raises:
        RuntimeError: no task runs in this thread.
    """
    # asyncio first: it is the default. In trio's guest mode a loop of asyncio runs in the same
    # thread, but no task of it.
    if (loop := _running_loop()) and (task := asyncio.current_task(loop)):
        return task, loop
    if (lowlevel := _trio_lowlevel()) and lowlevel.in_trio_run():
        return lowlevel.current_task(), lowlevel.current_trio_token()
    raise RuntimeError("no task runs here: await this in a task of asyncio or trio")


def current_loop() -> Loop | None:
    """Return the event loop that runs in this thread, if one does."""
    if (lowlevel := _trio_lowlevel()) and lowlevel.in_trio_run():
        token: Loop = lowlevel.current_trio_token()
        return token
    return _running_loop()


def thread_context() -> Context:
    """Return a copy of the context for a thread: one in which no event loop runs yet."""
    context = copy_context()
    # anyio notes there which library runs, and would refuse to start another loop.
    if (sniffio := sys.modules.get("sniffio")) is not None:
        context.run(sniffio.current_async_library_cvar.set, None)
    return context


def _trio_lowlevel() -> ModuleType | None:
    """Return ``trio.lowlevel`` if somebody imported it: without it nobody runs trio."""
    return sys.modules.get("trio.lowlevel")


def name_of(who: Task | Thread) -> str:
    """Return the name of a task or thread."""
    return who.get_name() if isinstance(who, asyncio.Task) else who.name


def has_ended(loop: Loop) -> bool:
    """Return whether that loop was closed, with or without the tasks on it.

    A run of trio ends when its tasks have: no task is ever left on one.
    """
    return isinstance(loop, asyncio.AbstractEventLoop) and loop.is_closed()
