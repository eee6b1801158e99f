"""A generation as a value: what every engine takes, gives back, and is compared by.

Rule: a grid never changes. An engine may hand one out before it has worked out the cells; whoever
looks at them first pays for that, once.
"""

from __future__ import annotations

__all__ = ("Grid",)

from collections.abc import Iterable, Iterator
from typing import Any, Self, final

from aconcur.life import _arrays, _layout
from aconcur.life._arrays import Cells
from aconcur.life._rows import ones, split_rows
from aconcur.life._source import LARGEST, GridTooLargeError, Source, Zooming


@final
class Grid:
    """Rows of cells, each dead or alive. Equal grids have equal hashes; a grid is never empty.

    Args:
        height: rows, at least 1.
        width: columns, at least 1.
        bits: the cells in one integer: bit ``y * width + x`` is set when the cell in row ``y``,
            column ``x`` is alive.
        top: the y coordinate of row 0, on an unbounded plane.
        left: the x coordinate of column 0, on an unbounded plane.

    Raises:
        TypeError: a size is no whole number.
        ValueError: there is no cell, or a bit beyond the last.
    """

    __slots__ = ("_bits", "_box", "_population", "_source")

    def __init__(
        self, height: int, width: int, bits: int = 0, *, top: int = 0, left: int = 0
    ) -> None:
        _layout.check_size(height, width)
        if bits < 0 or bits.bit_length() > height * width:
            raise ValueError(
                f"bits must have at most {height} × {width} = {height * width} bits, "
                f"not {bits.bit_length() if bits >= 0 else 'a sign'}"
            )
        self._box: tuple[int, int, int, int] | None = (top, left, height, width)
        self._bits: int | None = bits
        self._population: int | None = None
        self._source: Source | None = None

    @classmethod
    def from_source(cls, source: Source) -> Self:
        """Return a grid whose cells are laid out when somebody first looks. For engines."""
        grid = cls(1, 1)
        grid._box = grid._bits = None
        grid._source = source
        return grid

    @classmethod
    def from_text(cls, text: str | Iterable[str]) -> Self:
        r"""Read a row a line: ``O`` or ``*`` is alive, ``.`` or ``_`` is dead.

        ``Grid.from_text(".O.\n..O\nOOO")`` is a glider.

        Args:
            text: the lines in one string, or one by one. All are equally long.

        Raises:
            ValueError: a line of another length, or a character that is no cell; names it.
        """
        rows = text.splitlines() if isinstance(text, str) else list(text)
        height, width = len(rows), len(rows[0]) if rows else 0
        _layout.check_size(height, width)
        return cls(height, width, _layout.of_lines(rows))

    @classmethod
    def from_cells(
        cls,
        cells: Iterable[tuple[int, int]],
        height: int,
        width: int,
        *,
        top: int = 0,
        left: int = 0,
    ) -> Self:
        """Return the grid in which these cells are alive.

        Args:
            cells: (y, x) of each live cell; row 0 is at ``y == top``, column 0 at ``x == left``.
            height: rows, at least 1.
            width: columns, at least 1.
            top: the y coordinate of row 0.
            left: the x coordinate of column 0.

        Raises:
            ValueError: a cell is outside of the grid; names it.
        """
        _layout.check_size(height, width)
        bits = _layout.of_cells(cells, height, width, top, left)
        return cls(height, width, bits, top=top, left=left)

    @classmethod
    def from_numpy(cls, array: object, *, top: int = 0, left: int = 0) -> Self:
        """Return a copy of a two-dimensional array: what is not zero is alive.

        Raises:
            ValueError: the array has not two dimensions, or no cell.
            MissingRequirementError: numpy is not installed.
        """
        return cls(*_arrays.bits_of(array), top=top, left=left)

    @classmethod
    def random(
        cls, height: int, width: int, *, density: float = 0.5, seed: int | None = None
    ) -> Self:
        """Return a grid in which each cell is alive by lot.

        Args:
            height: rows, at least 1.
            width: columns, at least 1.
            density: how likely a cell is alive, 0 to 1, to the nearest 256th.
            seed: the same grid for the same seed; None takes one from the system.

        Raises:
            ValueError: the density is no probability, or there is no cell.
            GridTooLargeError: there would be more than 2³³ cells.
        """
        _layout.check_size(height, width)
        if height * width > LARGEST:
            raise GridTooLargeError(height, width)
        return cls(height, width, _layout.by_lot(height * width, density, seed))

    def _where(self) -> tuple[int, int, int, int]:
        if self._box is None:
            assert self._source is not None
            self._box = self._source.box()
        return self._box

    @property
    def height(self) -> int:
        """The number of rows."""
        return self._where()[2]

    @property
    def width(self) -> int:
        """The number of columns."""
        return self._where()[3]

    @property
    def top(self) -> int:
        """The y coordinate of row 0; 0 but on a plane."""
        return self._where()[0]

    @property
    def left(self) -> int:
        """The x coordinate of column 0; 0 but on a plane."""
        return self._where()[1]

    @property
    def bits(self) -> int:
        """The cells in one integer: bit ``y * width + x`` for row ``y``, column ``x``.

        Raises:
            GridTooLargeError: the box around a pattern on a plane has too many cells.
        """
        if self._bits is None:
            assert self._source is not None
            if self.height * self.width > LARGEST:
                raise GridTooLargeError(self.height, self.width)
            self._bits = self._source.bits()
        return self._bits

    @property
    def population(self) -> int:
        """The number of live cells."""
        if self._population is None:
            source = self._source
            self._population = self.bits.bit_count() if source is None else source.population()
        return self._population

    def cells(self) -> Iterator[tuple[int, int]]:
        """Yield the live cells as (y, x), from (top, left): row by row if they are laid out.

        Lays nothing out, so that it serves where the box is huge.
        """
        if self._bits is None and self._source is not None:
            yield from self._source.cells()
            return
        top, left = self.top, self.left
        for y, row in enumerate(self.rows(), top):
            for x in ones(row):
                yield y, left + x

    def dots(self, y: int, x: int, height: int, width: int, dot: int) -> Iterator[tuple[int, int]]:
        """Yield (row, column) of dots with a live cell, in any order, each at least once.

        Lays nothing out. On the plane it costs as much as there are dots, however many cells live.

        Args:
            y: the topmost row of the window.
            x: the leftmost column of the window.
            height: rows of cells in the window.
            width: columns of cells in the window.
            dot: how many cells each way are one dot.
        """
        if isinstance(self._source, Zooming):
            yield from self._source.dots(y, x, height, width, dot)
            return
        for cell_y, cell_x in self.cells():
            if 0 <= cell_y - y < height and 0 <= cell_x - x < width:
                yield (cell_y - y) // dot, (cell_x - x) // dot

    def rows(self) -> Iterator[int]:
        """Yield each row as an integer: bit ``x`` is column ``x``."""
        return split_rows(self.bits, self.height, self.width)

    def to_text(self, *, alive: str = "O", dead: str = ".") -> str:
        """Return a line a row, without a newline at the end."""
        width, table = self.width, {ord("1"): alive, ord("0"): dead}
        return "\n".join(f"{row:0{width}b}"[::-1].translate(table) for row in self.rows())

    def to_numpy(self) -> Cells:
        """Return the cells as an array of 0 and 1, height × width, of uint8; yours to change.

        Raises:
            MissingRequirementError: numpy is not installed.
            GridTooLargeError: see :attr:`bits`.
        """
        return _arrays.cells_of(self.bits, self.height, self.width)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:  # noqa: ANN401
        """Let ``numpy.asarray(grid)`` do as :meth:`to_numpy`."""
        if copy is False:
            raise ValueError("a grid holds bits, not an array: an array of it is always a copy")
        cells = self.to_numpy()
        return cells if dtype is None else cells.astype(dtype, copy=False)

    def __getitem__(self, where: tuple[int, int]) -> bool:
        """Return whether the cell in row y, column x, counted from 0, is alive."""
        y, x = where
        if not (0 <= y < self.height and 0 <= x < self.width):
            raise IndexError(f"no cell ({y}, {x}) in {self.height} × {self.width}")
        return bool(self.bits >> (y * self.width + x) & 1)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return self._where() == other._where() and self.bits == other.bits

    def __hash__(self) -> int:
        return hash((self._where(), self.bits))

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (self.height, self.width, self.bits, self.top, self.left)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        at = f" at ({self.top}, {self.left})" if self.top or self.left else ""
        return f"<Grid {self.height} × {self.width}{at}: {self.population} alive>"


def _restore(height: int, width: int, bits: int, top: int, left: int) -> Grid:
    return Grid(height, width, bits, top=top, left=left)
