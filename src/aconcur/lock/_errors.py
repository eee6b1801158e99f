"""What goes wrong with a guarded value: each error states the fact and the remedy."""

from __future__ import annotations

__all__ = ("AlreadyHeldError", "BlockedLoopError", "CellClosedError", "OtherLoopError")

from aconcur.errors import AconcurError


class AlreadyHeldError(AconcurError, RuntimeError):
    """Raised where a task or thread that holds the value would wait for itself for ever."""

    def __init__(self, holder: str) -> None:
        super().__init__(
            f"{holder!r} holds this value already and would wait for itself: "
            "use the cell, or the argument of update(), that it has"
        )


class BlockedLoopError(AconcurError, RuntimeError):
    """Raised where waiting as a thread does would stop an event loop."""

    def __init__(self) -> None:
        super().__init__(
            "an event loop runs in this thread and would stop: "
            "use 'async with' or 'await update()' here"
        )


class CellClosedError(AconcurError, RuntimeError):
    """Raised where a cell is used after its block has ended."""

    def __init__(self) -> None:
        super().__init__("the cell's block has ended: read and write its value inside the block")


class OtherLoopError(AconcurError, RuntimeError):
    """Raised where the value is held on another event loop, so that no wake-up could come."""

    def __init__(self, holder: str, *, ended: bool) -> None:
        super().__init__(
            f"{holder!r} held this value when its event loop was closed: end tasks before their "
            "loop, as asyncio.run() does"
            if ended
            else f"{holder!r} holds this value on another event loop: "
            "share a ThreadGuarded between loops"
        )
