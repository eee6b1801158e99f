"""A generation as a value: every engine starts from a grid or pattern, and returns grids.

An engine may return a grid before its cells are laid out; the first read of the cells does that
work, and the grid keeps the result.
"""

from __future__ import annotations

__all__ = ("Grid",)

from collections.abc import Iterable, Iterator
from typing import Any, Self, final

from aconcur.life._errors import GridTooLargeError
from aconcur.life._model import arrays, bit_layout
from aconcur.life._model.arrays import Cells
from aconcur.life._model.bit_rows import ones, split_rows
from aconcur.life._model.source import LARGEST, Source, ZoomableSource
from aconcur.life._model.tree import TreeCells


@final
class Grid:
    """A rectangle of cells, each dead or alive.

    Immutable, hashable and picklable; it has at least one cell. Cells have two kinds of
    coordinates: indexing (``grid[y, x]``) counts from the grid's own corner, while :meth:`cells`
    counts from :attr:`top` and :attr:`left`, which differ from 0 only on the plane.

    Args:
        height: rows, at least 1.
        width: columns, at least 1.
        bits: the cells in one integer: bit ``y * width + x`` is set if the cell in row ``y``,
            column ``x`` is alive.
        top: the y coordinate of row 0, on an unbounded plane.
        left: the x coordinate of column 0, on an unbounded plane.

    Raises:
        TypeError: a size is not a whole number.
        ValueError: a size is below 1, or a bit beyond the last cell is set.
    """

    __slots__ = ("_bits", "_box", "_population", "_source")

    def __init__(
        self, height: int, width: int, bits: int = 0, *, top: int = 0, left: int = 0
    ) -> None:
        bit_layout.check_size(height, width)
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
        """Return a grid whose cells are laid out at the first read. For writers of engines."""
        grid = cls(1, 1)
        grid._box = grid._bits = None
        grid._source = source
        return grid

    @classmethod
    def from_text(cls, text: str | Iterable[str]) -> Self:
        r"""Parse a picture, one line a row: ``O`` or ``*`` is alive, ``.`` or ``_`` is dead.

        ``Grid.from_text(".O.\n..O\nOOO")`` is a glider.

        Args:
            text: the lines in one string, or an iterable of lines. All are equally long.

        Raises:
            ValueError: a line is longer or shorter than the first, or a character is not a cell;
                the message names it.
        """
        rows = text.splitlines() if isinstance(text, str) else list(text)
        height, width = len(rows), len(rows[0]) if rows else 0
        bit_layout.check_size(height, width)
        return cls(height, width, bit_layout.of_lines(rows))

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
            ValueError: a cell is outside of the grid; the message names it.
        """
        bit_layout.check_size(height, width)
        bits = bit_layout.of_cells(cells, height, width, top, left)
        return cls(height, width, bits, top=top, left=left)

    @classmethod
    def from_numpy(cls, array: object, *, top: int = 0, left: int = 0) -> Self:
        """Return a copy of a two-dimensional array; every value but zero is a live cell.

        Args:
            array: an array, or anything that ``numpy.asarray`` accepts.
            top: the y coordinate of row 0.
            left: the x coordinate of column 0.

        Raises:
            ValueError: the array does not have two dimensions, or it is empty.
            MissingRequirementError: numpy is not installed.
        """
        return cls(*arrays.bits_of(array), top=top, left=left)

    @classmethod
    def random(
        cls, height: int, width: int, *, density: float = 0.5, seed: int | None = None
    ) -> Self:
        """Return a random grid (a "soup").

        Args:
            height: rows, at least 1.
            width: columns, at least 1.
            density: the probability that a cell is alive, 0 to 1, to the nearest 256th.
            seed: equal seeds give equal grids; None takes a seed from the system.

        Raises:
            ValueError: the density is not from 0 to 1, or a size is below 1.
            GridTooLargeError: there would be more than 2³³ cells.
        """
        bit_layout.check_size(height, width)
        if height * width > LARGEST:
            raise GridTooLargeError(height, width)
        return cls(height, width, bit_layout.random_bits(height * width, density, seed))

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
        """The y coordinate of row 0. It is 0 except on the plane."""
        return self._where()[0]

    @property
    def left(self) -> int:
        """The x coordinate of column 0. It is 0 except on the plane."""
        return self._where()[1]

    @property
    def bits(self) -> int:
        """The cells in one integer: bit ``y * width + x`` for row ``y``, column ``x``.

        Raises:
            GridTooLargeError: the box around the live cells of a plane has more than 2³³ cells.
        """
        if self._bits is None:
            assert self._source is not None
            if self.height * self.width > LARGEST:
                raise GridTooLargeError(self.height, self.width)
            self._bits = self._source.bits()
        return self._bits

    @property
    def tree(self) -> TreeCells | None:
        """The cells as a quadtree, if an engine has them in that form. For writers of formats."""
        return self._source if isinstance(self._source, TreeCells) else None

    @property
    def population(self) -> int:
        """The number of live cells."""
        if self._population is None:
            source = self._source
            self._population = self.bits.bit_count() if source is None else source.population()
        return self._population

    def cells(self) -> Iterator[tuple[int, int]]:
        """Yield (y, x) of each live cell, counted from (top, left).

        The cells come row by row if they are laid out, and else in any order. This never lays them
        out, so it works for a grid that is too large for :attr:`bits`.
        """
        if self._bits is None and self._source is not None:
            yield from self._source.cells()
            return
        top, left = self.top, self.left
        for y, row in enumerate(self.rows(), top):
            for x in ones(row):
                yield y, left + x

    def dots(self, y: int, x: int, height: int, width: int, dot: int) -> Iterator[tuple[int, int]]:
        """Yield (row, column) of each dot with a live cell, in any order, at least once.

        For drawing at a small scale. On the plane the cost depends on the number of dots, not on
        the number of live cells; the cells are not laid out.

        Args:
            y: the topmost row of the window.
            x: the leftmost column of the window.
            height: rows of cells in the window.
            width: columns of cells in the window.
            dot: a dot is so many cells high and wide.
        """
        if isinstance(self._source, ZoomableSource):
            yield from self._source.dots(y, x, height, width, dot)
            return
        for cell_y, cell_x in self.cells():
            if 0 <= cell_y - y < height and 0 <= cell_x - x < width:
                yield (cell_y - y) // dot, (cell_x - x) // dot

    def rows(self) -> Iterator[int]:
        """Yield each row as an integer: bit ``x`` is column ``x``."""
        return split_rows(self.bits, self.height, self.width)

    def to_text(self, *, alive: str = "O", dead: str = ".") -> str:
        """Return the cells as text, one line a row, without a newline at the end.

        Args:
            alive: the character for a live cell.
            dead: the character for a dead cell.
        """
        width, table = self.width, {ord("1"): alive, ord("0"): dead}
        return "\n".join(f"{row:0{width}b}"[::-1].translate(table) for row in self.rows())

    def to_numpy(self) -> Cells:
        """Return the cells as a new uint8 array of 0 and 1, height × width.

        Raises:
            MissingRequirementError: numpy is not installed.
            GridTooLargeError: see :attr:`bits`.
        """
        return arrays.cells_of(self.bits, self.height, self.width)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:  # noqa: ANN401
        """Implement ``numpy.asarray(grid)``, by :meth:`to_numpy`."""
        if copy is False:
            raise ValueError("a grid holds bits, not an array: use copy=True or copy=None")
        cells = self.to_numpy()
        return cells if dtype is None else cells.astype(dtype, copy=False)

    def __getitem__(self, where: tuple[int, int]) -> bool:
        """Return whether the cell in row y, column x of the grid, counted from 0, is alive."""
        y, x = where
        if not (0 <= y < self.height and 0 <= x < self.width):
            raise IndexError(f"cell ({y}, {x}) is outside of {self.height} × {self.width} cells")
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
