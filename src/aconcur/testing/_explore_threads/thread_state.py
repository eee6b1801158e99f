"""A thread of a scenario, and what watches it.

Rule: nothing here decides.
"""

from __future__ import annotations

__all__ = ("Abandoned", "ThreadState", "Watcher", "frames_of_thread", "is_idle_worker")

import sys
import threading
from _thread import allocate_lock
from types import FrameType
from typing import Final, Protocol

from aconcur.testing._frames import not_ours

_ENGINE: Final = ("_explore_threads/engine.py", "_explore_threads/thread_state.py")
_RUN: Final = threading.Thread.run.__code__


class Abandoned(BaseException):
    """Unwinds a thread of a run that is over."""


class Watcher(Protocol):
    """Calls :meth:`Engine.point` and :meth:`Engine.line` where a thread's code gets there."""

    def begin(self) -> None:
        """Watch the thread that calls."""

    def end(self) -> None:
        """Leave the thread that calls."""

    def stop_everywhere(self) -> None:
        """Report every instruction from here on."""


class ThreadState:
    """A thread of one run."""

    __slots__ = (
        "done", "gate", "ident", "name", "started", "thread", "timed_out", "until", "unwinding",
        "waiters",
    )  # fmt: skip

    def __init__(self, name: str, thread: threading.Thread) -> None:
        self.name, self.thread = name, thread
        self.gate = allocate_lock()
        self.gate.acquire()
        self.ident = 0
        self.started = self.done = self.timed_out = False
        self.until: float | None = None
        self.unwinding = 0
        self.waiters: list[ThreadState] = []


def frames_of_thread(state: ThreadState) -> list[FrameType]:
    """Return a thread's frames, the outermost first, without the engine's at both ends."""
    frame = sys._current_frames().get(state.ident)
    frames: list[FrameType] = []
    while frame is not None:
        if not frame.f_code.co_filename.endswith(_ENGINE) and frame.f_code is not _RUN:
            frames.append(frame)
        frame = frame.f_back
    return frames[::-1]


def is_idle_worker(state: ThreadState) -> bool:
    """Return whether a thread is an executor's and waits for work, which Python's exit ends."""
    worker = getattr(sys.modules.get("concurrent.futures.thread"), "_worker", None)
    code = getattr(worker, "__code__", None)
    if code is None or getattr(state.thread, "_target", None) is not worker:
        return False
    frames = not_ours(frames_of_thread(state))
    return bool(frames) and frames[-1].f_code is code
