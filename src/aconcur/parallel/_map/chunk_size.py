"""How many items make a chunk, and how many may be in flight: from measured times and bytes.

A worker hands back what it cannot do within its budget, so a wrong guess is harmless. A slow item
shrinks the next chunk at once; quick ones let it grow slowly.
"""

from __future__ import annotations

__all__ = ("AHEAD", "FIRST", "LARGE", "MOST", "SLICE", "ChunkSize")

from dataclasses import dataclass
from typing import Final, final

# Measured, see benchmarks/README.md: the seconds of work in a chunk, and the seconds after which a
# worker hands the rest of it back; the items of the first chunk, and the most; bytes of its items.
TARGET: Final = 0.004
SLICE: Final = 4 * TARGET
MOST: Final = 2048
FIRST: Final = 8
_BYTES: Final = 64 * 1024
# A chunk with more bytes than this is cut smaller.
LARGE: Final = 2 * _BYTES
# Chunks that take less than this may wait in the socket of a busy worker.
_SHORT: Final = 0.020
# The default window: items, and bytes of items and results.
AHEAD: Final = 1024
_AHEAD_BYTES: Final = 64 << 20


@final
@dataclass(slots=True)
class ChunkSize:
    """The chunk size of one map. It learns from every chunk."""

    fixed: bool
    """The caller chose the size: it never changes."""
    size: int
    """The items of the next chunk."""
    buffer: int | None
    """The window that the caller chose."""
    window: int
    """How many items may be drawn whose results were not taken."""
    is_quick: bool = False
    """Whether a chunk is so short that another may wait behind it."""
    _seconds: float | None = None  # of work for an item
    _item_bytes: float = 0.0
    _result_bytes: float = 0.0

    def __repr__(self) -> str:
        each = "unknown" if self._seconds is None else f"{self._seconds:.1e} s"
        return f"<ChunkSize: {self.size} items a chunk, {each} an item>"

    def fits(self, items: int, size: int, workers: int) -> bool:
        """Record the bytes of a large chunk's items; return False if it must be cut smaller."""
        self._item_bytes = _blend(self._item_bytes, size / items)
        self._set_window(workers)
        if items == 1 or self.fixed:
            return True
        self.size = max(1, int(_BYTES / self._item_bytes))
        return self.size >= items

    def record_timing(
        self, seconds: float, done: int, items: int, sent: int, received: int, workers: int
    ) -> None:
        """Record the end of a chunk.

        Args:
            seconds: the time that it took.
            done: the items that were done, at least one.
            items: the items that it had.
            sent: the bytes of its items.
            received: the bytes of the answer.
            workers: how many chunks run at once.
        """
        if sent <= LARGE:  # otherwise recorded when it was sent
            self._item_bytes = _blend(self._item_bytes, sent / items)
        self._result_bytes = _blend(self._result_bytes, received / done)
        each, before = seconds / done, self._seconds
        # Up at once, down slowly: one slow item may be followed by more.
        self._seconds = each if before is None or each > before else (each + before) / 2
        if not self.fixed:
            wanted = min(
                TARGET / max(self._seconds, 1e-9),
                _BYTES / max(self._item_bytes, self._result_bytes, 1.0),
                8 * max(self.size, items),
                MOST,
            )
            self.size = max(1, int(wanted))
        self.is_quick = self._seconds * self.size < _SHORT
        self._set_window(workers)

    def _set_window(self, workers: int) -> None:
        if self.buffer is None:
            ahead = max(AHEAD, 4 * self.size * workers)
            if each := self._item_bytes + self._result_bytes:
                ahead = min(ahead, int(_AHEAD_BYTES / each))
            self.window = max(ahead, 2 * workers)


def _blend(before: float, latest: float) -> float:
    return latest if not before else 0.7 * before + 0.3 * latest
