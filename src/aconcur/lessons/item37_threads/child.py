"""A child process that Ctrl-C does not reach."""

from __future__ import annotations

__all__ = ("child",)

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context

from aconcur.lessons.ctrl_c import ctrl_c_held


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
