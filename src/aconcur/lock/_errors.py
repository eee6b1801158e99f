"""The errors of guarded values. Each states the fact and the remedy."""

from __future__ import annotations

__all__ = (
    "AlreadyHeldError",
    "BlockedLoopError",
    "CellClosedError",
    "NotHeldError",
    "OtherLoopError",
)

from aconcur.errors import AconcurError


class AlreadyHeldError(AconcurError, RuntimeError):
    """Raised when a task or thread asks for a value that it holds: it would wait for itself."""

    def __init__(self, holder: str) -> None:
        super().__init__(
            f"{holder!r} already holds this value and would wait for itself: "
            "use the cell of its block, or the argument of update()"
        )


class BlockedLoopError(AconcurError, RuntimeError):
    """Raised when a thread's way of waiting is used in the thread of an event loop."""

    def __init__(self) -> None:
        super().__init__(
            "an event loop runs in this thread and would stop: "
            "use 'async with' or 'await update()' here"
        )


class CellClosedError(AconcurError, RuntimeError):
    """Raised when a cell is used after its block has ended."""

    def __init__(self) -> None:
        super().__init__("the cell's block has ended: read and write its value inside the block")


class NotHeldError(AconcurError, RuntimeError):
    """Raised when a block is left twice, or in another task or thread than it was entered in."""

    def __init__(self, holder: str | None) -> None:
        fact = (
            "this value is not held"
            if holder is None
            else f"this value is held by {holder!r}, which still runs"
        )
        super().__init__(
            f"{fact}: leave each block once, in the task or thread that entered it; "
            "'with' and 'async with' do so"
        )


class OtherLoopError(AconcurError, RuntimeError):
    """Raised when a task of another event loop holds the value, so that no wake-up can come."""

    def __init__(self, holder: str, *, ended: bool) -> None:
        super().__init__(
            f"{holder!r} held this value when its event loop was closed: end all tasks before "
            "closing the loop, as asyncio.run() does"
            if ended
            else f"{holder!r} holds this value on another event loop: "
            "use a ThreadGuarded to share a value between loops"
        )
