"""Whether an event loop runs here already: our tools run loops of their own."""

from __future__ import annotations

__all__ = ("refuse_in_a_loop",)

import asyncio
import sys


def refuse_in_a_loop(caller: str) -> None:
    """Raise RuntimeError where a loop runs in this thread."""
    trio = sys.modules.get("trio")
    inside = trio is not None and trio.lowlevel.in_trio_run()
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        inside = True
    if inside:
        raise RuntimeError(
            f"{caller}() runs loops of its own and one is running in this thread: "
            "call it from a plain function"
        )
