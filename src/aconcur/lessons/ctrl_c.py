"""Choose when Ctrl-C comes, and which process gets it.

A terminal sends Ctrl-C to every process of the group. Only
the parent should answer it: a child that starts or works
would die with a traceback of its own.
"""

from __future__ import annotations

__all__ = ("ctrl_c_after", "ctrl_c_held")

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def ctrl_c_held() -> Iterator[None]:
    """Hold Ctrl-C back until the block has ended.

    A process inherits the signals that its starter blocks,
    so one that starts in this block never sees Ctrl-C. To
    ignore it in an initializer would be too late: a new
    interpreter takes some 20 ms to get there, and an early
    Ctrl-C ends it with a traceback.
    """
    # The tracker lets SIGINT through once it has started:
    # left to start later, it would undo this block.
    resource_tracker.ensure_running()
    # Asked first, as the next line may raise what came in
    # just before it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(
            signal.SIG_BLOCK, {signal.SIGINT}
        )
        # Another thread may receive it. Python raises it in
        # this one all the same.
        with ctrl_c_after():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def ctrl_c_after(
    again: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Let Ctrl-C come when the block has ended.

    Pressed once more before that, it calls `again`. A block
    outside the main thread is left alone: Ctrl-C is never
    raised there.
    """
    came: list[int] = []

    def note(number: int, _: object) -> None:
        if came:
            again()
        came.append(number)

    handler = signal.getsignal(signal.SIGINT)
    thread = threading.current_thread()
    if (
        thread is not threading.main_thread()
        or not callable(handler)
    ):
        yield
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)
