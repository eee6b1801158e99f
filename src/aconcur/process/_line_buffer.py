"""Split a stream of bytes into lines, in linear time.

Invariants
    1. :meth:`LineBuffer.rest` returns the data that was not taken, exactly as it was fed.
    2. Each byte is searched for a line end once, also in a line of 1 GiB that comes in pieces.

Rule: nothing here reads or awaits.
"""

from __future__ import annotations

__all__ = ("LineBuffer",)

from typing import Final, final

# Lines that are handed out between two looks at the clock.
_SLICE: Final = 256


@final
class LineBuffer:
    """Complete lines that were not taken yet, and the pieces of an incomplete one."""

    __slots__ = ("_backlog", "_pieces", "ready")

    def __init__(self) -> None:
        self.ready: list[bytes] = []
        """The next lines, the first one last, so that each is popped at no cost."""
        self._backlog: list[bytes] = []
        self._pieces: list[bytes] = []

    def __bool__(self) -> bool:
        return bool(self.ready or self._backlog or self._pieces)

    def feed(self, data: bytes) -> None:
        """Add data, and make lines ready. All lines that were complete before have been taken."""
        self._backlog = self.split(data)
        self._backlog.reverse()
        self.refill()

    def refill(self) -> bool:
        """Make the next lines ready. Those that were ready have been taken.

        Returns:
            Whether there are any.
        """
        self.ready += self._backlog[-_SLICE:]
        del self._backlog[-_SLICE:]
        return bool(self.ready)

    def split(self, data: bytes) -> list[bytes]:
        """Return the lines that the data completes, in order; keep what follows the last one."""
        lines = data.split(b"\n")
        last = lines.pop()
        if lines and self._pieces:
            lines[0] = b"".join((*self._pieces, lines[0]))
            self._pieces.clear()
        if last:
            self._pieces.append(last)
        return lines

    def end(self) -> bool:
        """Let what follows the last line end be a line; return whether there is any."""
        if not self._pieces:
            return False
        self.ready.append(b"".join(self._pieces))
        self._pieces.clear()
        return True

    def batch(self) -> list[bytes]:
        """Take all complete lines, in order."""
        lines = (self._backlog + self.ready)[::-1]
        self._backlog.clear()
        self.ready.clear()
        return lines

    def rest(self) -> bytes:
        """Take everything back as it came."""
        if not self:
            return b""
        data = b"".join([line + b"\n" for line in self.batch()]) + b"".join(self._pieces)
        self._pieces.clear()
        return data
