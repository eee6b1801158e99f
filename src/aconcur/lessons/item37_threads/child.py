"""Child processes that Ctrl-C does not reach.

A terminal sends Ctrl-C to every process of the group. Only
the parent should answer it: a child that starts or works
would die with a traceback of its own.
"""

from __future__ import annotations

__all__ = ("child", "ctrl_c_held")

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker


@contextmanager
def ctrl_c_held() -> Iterator[None]:
    """Hold Ctrl-C back from this thread for the block.

    A process that starts here inherits that and never sees
    a Ctrl-C. Were it to set SIG_IGN itself, a Ctrl-C in its
    first tenth of a second would still end in a traceback.
    """
    # The tracker lets SIGINT through once it has started:
    # left to start later, it would undo this block.
    resource_tracker.ensure_running()
    # A signal that came just before is raised by the call
    # that blocks: the old mask has to be known by then.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(
            signal.SIG_BLOCK, [signal.SIGINT]
        )
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def child(
    target: Callable[..., object], *args: object
) -> Iterator[None]:
    """Run ``target(*args)`` in a process during the block.

    The process is killed and reaped when the block ends.
    """
    process = get_context("spawn").Process(
        target=target, args=args, daemon=True
    )
    try:
        with ctrl_c_held():
            process.start()
        yield
    finally:
        if process.pid is not None:
            process.kill()
            process.join()
        process.close()
