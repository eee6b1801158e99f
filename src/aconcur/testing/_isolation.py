"""Keeps runs apart from their surroundings: no other loop in the thread, no garbage collection."""

from __future__ import annotations

__all__ = ("a_loop_runs", "no_collections", "refuse_in_a_loop")

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from aconcur._core.loops import current_loop


@contextmanager
def no_collections() -> Iterator[None]:
    """Let no garbage be collected, and no finalizer of it run, but where the block asks for it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def refuse_in_a_loop(caller: str) -> None:
    """Raise RuntimeError where a loop runs in this thread."""
    if current_loop() is not None:
        raise RuntimeError(
            f"{caller}() runs loops of its own and one is running in this thread: "
            "call it from a plain function"
        )


def a_loop_runs() -> bool:
    """Return whether a loop runs in this thread, or has been started by a host loop (trio)."""
    if current_loop() is not None:
        return True
    run = sys.modules.get("trio._core._run")
    return run is not None and hasattr(run.GLOBAL_RUN_CONTEXT, "runner")
