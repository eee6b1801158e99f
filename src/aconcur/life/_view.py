"""Draw a window of the cells with characters, as lines of text.

Nothing here knows a terminal, and it needs the standard library only. It works on whole rows: a bit
becomes a hexadecimal digit, and digits become characters.
"""

from __future__ import annotations

__all__ = ("FURTHEST_OUT", "NEAREST", "View", "draw")

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from aconcur.life._model.grid import Grid
from aconcur.life._model.window import far_rows, is_huge, window_rows

NEAREST: Final = 1
"""The largest zoom: a cell is two characters wide."""
FURTHEST_OUT: Final = -40
"""The smallest zoom: a dot of a character stands for 2³⁹ × 2³⁹ cells."""

# A guess: combining more rows to one row of dots takes longer than visiting the live cells.
_MOST_FOLDED: Final = 64

_HALVES: Final = str.maketrans("0123", " ▀▄█")


def _braille_order() -> bytes:
    """Return the low byte of U+2800 + n for each byte whose nibbles are columns of four dots."""
    dots = (0x01, 0x02, 0x04, 0x40, 0x08, 0x10, 0x20, 0x80)
    return bytes(
        sum(dot for place, dot in enumerate(dots) if byte >> place & 1) for byte in range(256)
    )


_BRAILLE: Final = _braille_order()


@dataclass(frozen=True, slots=True)
class View:
    """A window of the plane, and the number of characters to draw it with.

    At zoom 1 a cell is two characters wide, at 0 half a character (``▀▄█``), and at -1 one of the
    eight dots of a braille character. At each level below, a dot stands for twice as many cells in
    both directions, and is drawn if any of them is alive.
    """

    y: int
    """The topmost row of cells."""
    x: int
    """The leftmost column of cells."""
    rows: int
    """Lines of text."""
    columns: int
    """Characters in a line."""
    zoom: int = 0
    """From :data:`FURTHEST_OUT` to :data:`NEAREST`."""

    @classmethod
    def fit(cls, grid: Grid, rows: int, columns: int) -> View:
        """Return the view with the largest zoom that shows the whole grid, in the middle."""
        view = cls(0, 0, rows, columns, NEAREST)
        while view.zoom > FURTHEST_OUT and (view.height < grid.height or view.width < grid.width):
            view = replace(view, zoom=view.zoom - 1)
        return view.centred(grid.top + grid.height // 2, grid.left + grid.width // 2)

    @property
    def dot(self) -> int:
        """A dot is so many cells high and wide."""
        return 1 << max(-1 - self.zoom, 0)

    @property
    def height(self) -> int:
        """The number of rows of cells in the window."""
        return self.rows * (1, 2, 4)[min(NEAREST - self.zoom, 2)] * self.dot

    @property
    def width(self) -> int:
        """The number of columns of cells in the window."""
        if self.zoom == NEAREST:
            return self.columns // 2
        return self.columns * (1 if self.zoom == 0 else 2 * self.dot)

    def centred(self, y: int, x: int) -> View:
        """Return this view moved so that a cell is in the middle."""
        return self._at(y - self.height // 2, x - self.width // 2)

    def moved(self, down: int, right: int) -> View:
        """Return this view moved by eighths of the smaller side of its window."""
        step = max(min(self.height, self.width) // 8, 1)
        return self._at(self.y + down * step, self.x + right * step)

    def zoomed(self, levels: int) -> View:
        """Return this view with another zoom, within the limits, and the same middle."""
        zoom = min(max(self.zoom + levels, FURTHEST_OUT), NEAREST)
        return replace(self, zoom=zoom).centred(*self.middle)

    def resized(self, rows: int, columns: int) -> View:
        """Return this view with another number of characters and the same middle."""
        return replace(self, rows=rows, columns=columns).centred(*self.middle)

    @property
    def middle(self) -> tuple[int, int]:
        """The cell in the middle."""
        return self.y + self.height // 2, self.x + self.width // 2

    def _at(self, y: int, x: int) -> View:
        # Align to dots: a dot always stands for the same cells, so a moving view does not flicker.
        return replace(self, y=y // self.dot * self.dot, x=x // self.dot * self.dot)


def draw(grid: Grid, view: View) -> list[str]:
    """Draw the cells in a view as lines of text.

    Args:
        grid: the cells.
        view: the window and its size in characters.

    Returns:
        ``view.rows`` lines of ``view.columns`` characters. 192 × 384 cells in braille take about a
        millisecond (``python -m benchmarks.life_pictures``).
    """
    if view.zoom == NEAREST:
        blank = " " * (view.columns % 2)
        return [
            f"{row:0{view.width}b}"[::-1].replace("1", "██").replace("0", "  ") + blank
            for row in _shown(grid, view)
        ]
    if view.zoom == 0:
        return [_halves(rows, view.columns) for rows in _groups(_shown(grid, view), 2)]
    dots = _dots(grid, view)
    return [_braille(rows, view.columns) for rows in _groups(dots, 4)]


def _groups(rows: Iterator[int], size: int) -> Iterator[tuple[int, ...]]:
    return zip(*[rows] * size, strict=True)


def _halves(rows: tuple[int, ...], columns: int) -> str:
    upper, lower = (int(f"{row:b}", 16) for row in rows)
    return f"{upper | lower << 1:0{columns}x}"[::-1].translate(_HALVES)


def _braille(rows: tuple[int, ...], columns: int) -> str:
    dots = sum(int(f"{row:b}", 16) << place for place, row in enumerate(rows))
    text = bytearray(b"\0\x28") * columns
    text[::2] = dots.to_bytes(columns, "little").translate(_BRAILLE)
    return text.decode("utf-16-le")


def _dots(grid: Grid, view: View) -> Iterator[int]:
    """Yield each row of dots as an integer: bit 0 is the leftmost."""
    size, width = view.dot, view.width
    if is_huge(grid) or size > _MOST_FOLDED:
        yield from far_rows(grid, view.y, view.x, view.height, width, dot=size)
        return
    for rows in _groups(_shown(grid, view), size):
        row = 0
        for each in rows:
            row |= each
        shift = 1
        while shift < size:
            row |= row >> shift
            shift *= 2
        yield int(f"{row:0{width}b}"[size - 1 :: size], 2)


def _shown(grid: Grid, view: View) -> Iterator[int]:
    return window_rows(grid, view.y, view.x, view.height, view.width)
