"""Split a stream of bytes into lines, in linear time.

Rule: nothing here reads or awaits.
"""

from __future__ import annotations

__all__ = ("LineBuffer",)

from typing import final


@final
class LineBuffer:
    """Lines that are complete, and the pieces of one that is not."""

    __slots__ = ("_pieces", "ready")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.ready: list[bytes] = []
        """Complete lines, the first one last, so that each is popped at no cost."""

    def feed(self, data: bytes) -> None:
        """Take in what came. All complete lines have been taken out before."""
        lines = self.split(data)
        lines.reverse()
        self.ready += lines

    def split(self, data: bytes) -> list[bytes]:
        """Return the lines that what came completes, in order; keep the rest."""
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
        lines = self.ready[::-1]
        self.ready.clear()
        return lines

    def rest(self) -> bytes:
        """Take everything back as it came."""
        if not (self.ready or self._pieces):
            return b""
        data = b"".join(line + b"\n" for line in reversed(self.ready)) + b"".join(self._pieces)
        self.ready.clear()
        self._pieces.clear()
        return data
