"""Live cells with what is said of them: what files hold and what grids are made of."""

from __future__ import annotations

__all__ = ("Bounds", "Pattern")

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, TypeAlias, final

from aconcur.life._engines.base import Topology
from aconcur.life._errors import GridTooLargeError, PatternSizeError
from aconcur.life._model import row_runs
from aconcur.life._model.arrays import numpy_is_imported
from aconcur.life._model.grid import Grid
from aconcur.life._model.row_runs import Runs
from aconcur.life._model.rule import LIFE, Rule, as_rule
from aconcur.life._model.source import LARGEST

# About 150 bytes each, for a moment. A guess: what a program can spare.
_MOST_ONE_BY_ONE: Final = 1 << 24
# Cells. Below, the calls of numpy take longer than what they save. Above, so do its arrays of a
# byte a cell take more memory than most have to spare. Guesses.
_WORTH_NUMPY: Final = 1 << 12
_MOST_AS_ARRAY: Final = 1 << 27


class Bounds(NamedTuple):
    """The field that a pattern is meant for, where it is not the plane."""

    topology: Topology
    height: int
    width: int


_Key: TypeAlias = tuple[Runs, Rule, str, str, tuple[str, ...], Bounds | None]


@final
class Pattern:
    """Live cells on the plane, the rule they are meant for, and who found them.

    It keeps runs of cells, so it costs 24 bytes a run however wide it is: a line of 10¹² cells is
    one run. Immutable and hashable; patterns are equal if cells, rule and words are.

    Args:
        cells: (y, x) of each live cell, in any order; y grows downwards. The corner of the box
            around them is the pattern's :attr:`offset`.
        rule: the rule, or its notation.
        name: one line.
        author: one line.
        comments: lines.
        bounds: the torus or box that it is meant for; the plane by default.

    Raises:
        PatternSizeError: a cell is further out than 2⁶¹.
        RuleError: the notation is none.
        ValueError: a name, author or comment is more than a line.
    """

    __slots__ = ("_author", "_bounds", "_box", "_comments", "_name", "_rule", "_runs")

    def __init__(
        self,
        cells: Iterable[tuple[int, int]] = (),
        rule: Rule | str = LIFE,
        *,
        name: str = "",
        author: str = "",
        comments: Iterable[str] = (),
        bounds: Bounds | None = None,
    ) -> None:
        self._runs = row_runs.of_cells(cells)
        self._box: tuple[int, int, int, int] | None = None
        self._rule = as_rule(rule)
        self._name = _line("name", name)
        self._author = _line("author", author)
        self._comments = tuple(_line("comment", comment) for comment in comments)
        self._bounds = bounds

    @classmethod
    def from_runs(
        cls,
        runs: Iterable[tuple[int, int, int]] | Runs,
        rule: Rule | str = LIFE,
        *,
        name: str = "",
        author: str = "",
        comments: Iterable[str] = (),
        bounds: Bounds | None = None,
    ) -> Pattern:
        """Make a pattern of (y, first x, length), row by row from the top and from left to right.

        Raises:
            ValueError: a run is empty, or begins before the one ahead of it ends; names it. And as
                the class raises.
        """
        made = cls((), rule, name=name, author=author, comments=comments, bounds=bounds)
        kept = runs if isinstance(runs, Runs) else row_runs.of_rows(_checked(runs))
        made._runs = kept
        return made

    @classmethod
    def from_grid(
        cls,
        grid: Grid,
        rule: Rule | str = LIFE,
        *,
        name: str = "",
        author: str = "",
        comments: Iterable[str] = (),
        bounds: Bounds | None = None,
    ) -> Pattern:
        """Make a pattern of a grid's live cells, where the grid lies on the plane.

        Takes time and memory in proportion to the grid, or to its live cells if they are few.

        Raises:
            GridTooLargeError: there are too many cells, and live ones, to lay out.
            PatternSizeError: a cell is further out than 2⁶¹.
        """
        row_runs.check_reach(grid.top, grid.left)
        row_runs.check_reach(grid.top + grid.height, grid.left + grid.width)
        return cls.from_runs(
            _runs_of(grid), rule, name=name, author=author, comments=comments, bounds=bounds
        )

    def _where(self) -> tuple[int, int, int, int]:
        if self._box is None:
            self._box = self._runs.box()
        return self._box

    @property
    def rule(self) -> Rule:
        """The rule that it is meant for."""
        return self._rule

    @property
    def name(self) -> str:
        """What it is called; may be empty."""
        return self._name

    @property
    def author(self) -> str:
        """Who found it; may be empty."""
        return self._author

    @property
    def comments(self) -> tuple[str, ...]:
        """What else is said of it, line by line."""
        return self._comments

    @property
    def bounds(self) -> Bounds | None:
        """The torus or box that it is meant for; None for the plane."""
        return self._bounds

    @property
    def offset(self) -> tuple[int, int]:
        """The y of the topmost cell and the x of the leftmost one; (0, 0) if there is no cell."""
        return self._where()[:2]

    @property
    def height(self) -> int:
        """Rows from the topmost to the lowest cell; 0 if there is no cell."""
        return self._where()[2]

    @property
    def width(self) -> int:
        """Columns from the leftmost to the rightmost cell; 0 if there is no cell."""
        return self._where()[3]

    @property
    def population(self) -> int:
        """The number of live cells."""
        return sum(self._runs.n)

    def cells(self) -> Iterator[tuple[int, int]]:
        """Yield (y, x) of each live cell, row by row from the top and from left to right."""
        return self._runs.cells()

    def runs(self) -> Iterator[tuple[int, int, int]]:
        """Yield (y, first x, length) of each run of live cells, in the same order.

        No two of them touch in a row.
        """
        return self._runs.each()

    def run_arrays(self) -> tuple[memoryview, memoryview, memoryview]:
        """Return y, first x and length of all runs as read-only arrays of 64-bit integers.

        Nothing is copied: ``numpy.frombuffer(array, numpy.int64)`` sees them as they are.
        """
        y, x, n = (memoryview(array).toreadonly() for array in self._runs)
        return y, x, n

    def at(self, y: int, x: int) -> Pattern:
        """Return this pattern moved so that its :attr:`offset` is (y, x).

        Raises:
            PatternSizeError: a cell would be further out than 2⁶¹.
        """
        top, left = self.offset
        return _again(row_runs.shifted(self._runs, y - top, x - left), *self._key()[1:])

    def under(self, rule: Rule | str) -> Pattern:
        """Return these cells under another rule."""
        return _again(self._runs, as_rule(rule), *self._key()[2:])

    def inside(self, bounds: Bounds | None) -> Pattern:
        """Return these cells, meant for this torus or box, or for the plane."""
        return _again(*self._key()[:-1], bounds)

    def grid(
        self,
        height: int | None = None,
        width: int | None = None,
        *,
        at: tuple[int, int] | None = None,
    ) -> Grid:
        """Return a grid of a size with this pattern in its middle, or where it is asked for.

        Args:
            height: rows; as many as the pattern has by default.
            width: columns; as many as the pattern has by default.
            at: the row and the column of the grid at which the pattern's own box begins.

        Raises:
            PatternSizeError: the pattern does not fit there.
            GridTooLargeError: the grid would have more than 2³³ cells.
            ValueError: the grid would have no cell.
        """
        height = max(self.height, 1) if height is None else height
        width = max(self.width, 1) if width is None else width
        y, x = at or ((height - self.height) // 2, (width - self.width) // 2)
        if not (0 <= y <= height - self.height and 0 <= x <= width - self.width):
            where = f" at ({y}, {x})" if at else ""
            raise PatternSizeError(f"{self!r} does not fit into {height} × {width} cells{where}")
        if height * width > LARGEST:
            raise GridTooLargeError(height, width)
        top, left = self.offset
        inside = row_runs.shifted(self._runs, y - top, x - left)
        return Grid(height, width, row_runs.to_bits(inside, height, width))

    def __contains__(self, cell: tuple[int, int]) -> bool:
        y, x = cell
        ys, xs, ns = self._runs
        # Rows are sorted, and so are the first columns within one.
        end = bisect_right(ys, y)
        before = bisect_right(xs, x, lo=bisect_right(ys, y - 1), hi=end) - 1
        return before >= 0 and ys[before] == y and xs[before] <= x < xs[before] + ns[before]

    def _key(self) -> _Key:
        return self._runs, self._rule, self._name, self._author, self._comments, self._bounds

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pattern):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash((*(array.tobytes() for array in self._runs), *self._key()[1:]))

    def __repr__(self) -> str:
        name = f" {self._name!r}" if self._name else ""
        where = " at ({}, {})".format(*self.offset) if any(self.offset) else ""
        size = f"{self.height} × {self.width}"
        return f"<Pattern{name}: {self.population} cells in {size}{where}, {self._rule}>"

    def __reduce__(self) -> tuple[object, ...]:
        return _again, self._key()


def _again(
    runs: Runs,
    rule: Rule,
    name: str,
    author: str,
    comments: tuple[str, ...],
    bounds: Bounds | None,
) -> Pattern:
    return Pattern.from_runs(runs, rule, name=name, author=author, comments=comments, bounds=bounds)


def _runs_of(grid: Grid) -> Runs:
    size = grid.height * grid.width
    if grid.population < min(size // 64, _MOST_ONE_BY_ONE):
        return row_runs.of_cells(grid.cells())
    if _WORTH_NUMPY <= size <= _MOST_AS_ARRAY and numpy_is_imported():
        return row_runs.of_cell_array(grid.to_numpy(), grid.top, grid.left)
    return row_runs.of_bits(grid.rows(), grid.top, grid.left)


def _line(what: str, text: str) -> str:
    if len(text.splitlines()) > 1 or text.strip() != text:
        raise ValueError(f"a {what} is one line without spaces around it, not {text[:80]!r}")
    return text


def _checked(runs: Iterable[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    row = end = -row_runs.FURTHEST
    for y, x, n in runs:
        if n < 1 or y < row or (y == row and x < end):
            raise ValueError(f"run {(y, x, n)} is empty, or begins before the one ahead of it ends")
        row_runs.check_reach(y, x)
        row_runs.check_reach(y, x + n)
        row, end = y, x + n
        yield y, x, n
