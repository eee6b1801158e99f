"""Which task runs here, on which event loop, and how to reach that loop from another thread."""

from __future__ import annotations

__all__ = (
    "Loop",
    "Signal",
    "Task",
    "current_loop",
    "has_ended",
    "here",
    "make_signal",
    "name_of",
    "run_on",
)

import asyncio
import sys
from collections.abc import Callable
from threading import Thread
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, final

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


def _trio_lowlevel() -> ModuleType | None:
    """Return ``trio.lowlevel`` if somebody imported it: without it nobody runs trio."""
    return sys.modules.get("trio.lowlevel")


class Signal(Protocol):
    """Set once, on its own loop; one task waits for it."""

    def set(self) -> None: ...

    async def wait(self) -> None: ...


def make_signal(loop: Loop) -> Signal:
    """Return a signal of that loop: as anyio.Event, at two thirds of its cost on asyncio."""
    if isinstance(loop, asyncio.AbstractEventLoop):
        return _Future(loop)
    event: Signal = sys.modules["trio"].Event()
    return event


@final
class _Future:
    __slots__ = ("_future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._future = loop.create_future()

    def set(self) -> None:
        # Whoever waited may have been cancelled, and its future with it.
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self) -> None:
        await self._future


def name_of(who: Task | Thread) -> str:
    """Return the name of a task or thread."""
    return who.get_name() if isinstance(who, asyncio.Task) else who.name


def run_on(loop: Loop, fn: Callable[[], object]) -> bool:
    """Call ``fn`` on that loop: at once if it runs in this thread, else soon, from any thread.

    Returns:
        Whether it will be called; False when the loop has ended.
    """
    if loop is current_loop():
        fn()
        return True
    try:
        if isinstance(loop, asyncio.AbstractEventLoop):
            loop.call_soon_threadsafe(fn)
        else:
            loop.run_sync_soon(fn)
    except RuntimeError:  # asyncio: closed; trio.RunFinishedError is one too
        return False
    return True


def has_ended(loop: Loop) -> bool:
    """Return whether that loop was closed, with or without the tasks on it.

    A run of trio ends when its tasks have: no task is ever left on one.
    """
    return isinstance(loop, asyncio.AbstractEventLoop) and loop.is_closed()
