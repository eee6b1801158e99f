"""How many items make a chunk, and how many may be under way: by what was measured.

Law: a guess is never trusted for long. Whoever runs a chunk hands back what is too much, and what
the next ones are cut by is what the last ones took.
"""

from __future__ import annotations

__all__ = ("MOST", "SLICE", "Pace")

from typing import Final, final

# Measured, see benchmarks/README.md: seconds of work in a chunk, and those after which the rest of
# it goes back; items of the first chunk, and at the most; bytes of its items.
TARGET: Final = 0.004
SLICE: Final = 4 * TARGET
MOST: Final = 1024
_FIRST: Final = 8
_BYTES: Final = 64 * 1024
# Chunks that are shorter than this wait for a busy worker in its socket.
_SHORT: Final = 0.020
# Items and bytes that are drawn and not yet taken, where buffer= says nothing.
_AHEAD: Final = 1024
_AHEAD_BYTES: Final = 64 << 20


@final
class Pace:
    """The pace of one map.

    Args:
        chunk: items of a chunk; None: by their measured time.
        buffer: items that may be drawn and not yet taken; None: by their measured bytes.
    """

    __slots__ = ("_buffer", "_fixed", "_item_bytes", "_result_bytes", "_seconds", "size")

    def __init__(self, chunk: int | None, buffer: int | None) -> None:
        self._fixed, self._buffer = chunk is not None, buffer
        self.size: int = chunk or _FIRST
        """Items of the next chunk."""
        self._seconds: float | None = None  # of work for an item
        self._item_bytes = self._result_bytes = 0.0

    def __repr__(self) -> str:
        each = "unknown" if self._seconds is None else f"{self._seconds:.1e} s"
        return f"<Pace: {self.size} items a chunk, {each} an item>"

    @property
    def budget(self) -> float:
        """Seconds after which a chunk begins no further item."""
        return float("inf") if self._fixed else SLICE

    @property
    def is_quick(self) -> bool:
        """Whether a chunk may wait where another is worked on: it will not for long."""
        return self._seconds is not None and self._seconds * self.size < _SHORT

    def share(self, left: int, workers: int) -> int:
        """Return the items of the next chunk when so many are left.

        The last ones are shared out, so that all workers end together.
        """
        return self.size if self._fixed else min(self.size, max(1, -(-left // (2 * workers))))

    def window(self, workers: int) -> int:
        """Return how many items may be drawn and not taken."""
        if self._buffer is not None:
            return self._buffer
        ahead = max(_AHEAD, 4 * self.size * workers)
        each = max(self._item_bytes, self._result_bytes)
        if each:
            ahead = min(ahead, int(_AHEAD_BYTES / each))
        return max(ahead, 2 * workers)

    def fits(self, items: int, size: int) -> bool:
        """Take note of the bytes of a chunk's items; return False if it is to be cut smaller."""
        self._item_bytes = _blend(self._item_bytes, size / items)
        if items == 1 or size <= 2 * _BYTES or self._fixed:
            return True
        self.size = max(1, int(_BYTES / self._item_bytes))
        return self.size >= items

    def took(self, seconds: float, done: int, items: int, size: int) -> None:
        """Take note of a chunk's end.

        Args:
            seconds: that it took.
            done: the items that were done, at least one.
            items: those that it had.
            size: the bytes of the answer.
        """
        self._result_bytes = _blend(self._result_bytes, size / done)
        each, before = seconds / done, self._seconds
        # Up at once, down slowly: a slow item is a warning, a quick one is none.
        self._seconds = each if before is None or each > before else (each + before) / 2
        if not self._fixed:
            wanted = min(
                TARGET / max(self._seconds, 1e-9),
                _BYTES / max(self._item_bytes, self._result_bytes, 1.0),
                8 * max(self.size, items),
                MOST,
            )
            self.size = max(1, int(wanted))


def _blend(before: float, latest: float) -> float:
    return latest if not before else 0.7 * before + 0.3 * latest
