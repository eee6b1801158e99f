"""A pattern: live cells, the rule and field that they are meant for, and words about them."""

from __future__ import annotations

__all__ = ("Pattern",)

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias, final

from aconcur.life._errors import GridTooLargeError, PatternSizeError
from aconcur.life._model import row_runs
from aconcur.life._model.arrays import numpy_is_imported
from aconcur.life._model.field import Bounds
from aconcur.life._model.grid import Grid
from aconcur.life._model.row_runs import Runs
from aconcur.life._model.rule import LIFE, Rule, as_rule
from aconcur.life._model.source import LARGEST
from aconcur.life._model.tree import TreeCells

# Cells that are converted one by one, at about 150 bytes each for a moment. A guess at what a
# program can spare.
_MOST_ONE_BY_ONE: Final = 1 << 24
# Cells. Below, numpy's calls take longer than they save; above, its arrays of a byte a cell take
# more memory than most programs can spare. Guesses.
_WORTH_NUMPY: Final = 1 << 12
_MOST_AS_ARRAY: Final = 1 << 27

_Key: TypeAlias = tuple[Runs, Rule, str, str, tuple[str, ...], Bounds | None]


@final
class Pattern:
    """Live cells anywhere on the plane or in a bounded field, with a rule, a name and comments.

    The cells are kept as runs, at 24 bytes a run however long it is: a line of 10¹² cells is one
    run. Immutable, hashable and picklable; patterns are equal if their cells, rules, bounds and
    words are.

    In a bounded field (0, 0) is the top left cell, and every cell has to be inside when an engine
    starts from the pattern; :meth:`inside` puts a pattern into the middle of a field.

    Args:
        cells: (y, x) of each live cell, in any order; y grows downwards.
        rule: the rule, or its notation.
        name: one line.
        author: one line.
        comments: lines.
        bounds: the bounded field that the pattern is meant for; by default the plane.

    Raises:
        PatternSizeError: a coordinate is beyond ±2⁶¹.
        RuleError: the notation is not a rule.
        TypeError: a size in the bounds is not a whole number.
        ValueError: a name, author or comment is not a single line, or there is no such field.
    """

    __slots__ = (
        "_author",
        "_bounds",
        "_box",
        "_comments",
        "_laid_out",
        "_name",
        "_rule",
        "_tree",
    )

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
        self._laid_out: Runs | None = row_runs.of_cells(cells)
        self._tree: TreeCells | None = None
        self._box: tuple[int, int, int, int] | None = None
        self._rule = as_rule(rule)
        self._name = _line("name", name)
        self._author = _line("author", author)
        self._comments = tuple(_line("comment", comment) for comment in comments)
        if bounds is not None:
            bounds.check()
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
        """Make a pattern of runs of live cells: (y, first x, length).

        Args:
            runs: sorted by y, then by x.
            rule: see the class.
            name: see the class.
            author: see the class.
            comments: see the class.
            bounds: see the class.

        Raises:
            ValueError: a run is empty, or begins before the end of the one before it; the message
                names it. Also the errors of the class.
        """
        made = cls((), rule, name=name, author=author, comments=comments, bounds=bounds)
        made._laid_out = (
            runs if isinstance(runs, Runs) else row_runs.of_rows(row_runs.checked(runs))
        )
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
        """Make a pattern of a grid's live cells, at the grid's coordinates.

        Takes time and memory in proportion to the grid, or to its live cells if they are few. A
        generation of the plane that is too large for that stays a quadtree: an engine can start
        from the pattern, :func:`write_macrocell` can write it, and everything that needs its single
        cells in order raises :class:`GridTooLargeError`.

        Args:
            grid: the cells.
            rule: see the class.
            name: see the class.
            author: see the class.
            comments: see the class.
            bounds: see the class; for a generation of a bounded field, that field.

        Raises:
            GridTooLargeError: there are too many cells to lay out, and they are not a quadtree.
            PatternSizeError: a coordinate is beyond ±2⁶¹.
        """
        made = cls((), rule, name=name, author=author, comments=comments, bounds=bounds)
        if grid.tree is not None and _is_too_large(grid):
            made._laid_out, made._tree = None, grid.tree
            return made
        row_runs.check_reach(grid.top, grid.left)
        row_runs.check_reach(grid.top + grid.height, grid.left + grid.width)
        made._laid_out = _runs_of(grid)
        return made

    @classmethod
    def from_tree(
        cls,
        tree: TreeCells,
        rule: Rule | str = LIFE,
        *,
        name: str = "",
        author: str = "",
        comments: Iterable[str] = (),
    ) -> Pattern:
        """Make a pattern of the plane that stays a quadtree until its runs are needed.

        For readers of formats.

        Args:
            tree: the cells, at least one of them alive; its level is at least SMALLEST_LEVEL.
            rule: see the class.
            name: see the class.
            author: see the class.
            comments: see the class.
        """
        made = cls((), rule, name=name, author=author, comments=comments)
        made._laid_out, made._tree = None, tree
        return made

    @property
    def tree(self) -> TreeCells | None:
        """The cells as a quadtree, if they came as one. For engines and writers."""
        return self._tree

    @property
    def _runs(self) -> Runs:
        if self._laid_out is None:
            assert self._tree is not None
            self._laid_out = self._tree.runs()
        return self._laid_out

    def _where(self) -> tuple[int, int, int, int]:
        if self._box is None:
            self._box = self._runs.box() if self._tree is None else self._tree.box()
        return self._box

    @property
    def rule(self) -> Rule:
        """The rule that the pattern is meant for."""
        return self._rule

    @property
    def name(self) -> str:
        """The name; may be empty."""
        return self._name

    @property
    def author(self) -> str:
        """The person who found the pattern; may be empty."""
        return self._author

    @property
    def comments(self) -> tuple[str, ...]:
        """The comments, line by line."""
        return self._comments

    @property
    def bounds(self) -> Bounds | None:
        """The bounded field that the pattern is meant for; None for the plane."""
        return self._bounds

    @property
    def offset(self) -> tuple[int, int]:
        """The y of the topmost live cell and the x of the leftmost one; (0, 0) without cells."""
        return self._where()[:2]

    @property
    def height(self) -> int:
        """The number of rows from the topmost to the lowest live cell; 0 without cells."""
        return self._where()[2]

    @property
    def width(self) -> int:
        """The number of columns from the leftmost to the rightmost live cell; 0 without cells."""
        return self._where()[3]

    @property
    def population(self) -> int:
        """The number of live cells."""
        return sum(self._runs.n) if self._tree is None else self._tree.population()

    def cells(self) -> Iterator[tuple[int, int]]:
        """Yield (y, x) of each live cell, row by row from the top and from left to right.

        The order is another one if the pattern is too large to lay out.
        """
        try:
            return self._runs.cells()
        except (GridTooLargeError, PatternSizeError):
            assert self._tree is not None
            return self._tree.cells()

    def runs(self) -> Iterator[tuple[int, int, int]]:
        """Yield (y, first x, length) of each run of live cells, in the order of :meth:`cells`.

        No two runs touch within a row.

        Raises:
            GridTooLargeError: the pattern is too large to lay out.
        """
        return self._runs.each()

    def run_arrays(self) -> tuple[memoryview, memoryview, memoryview]:
        """Return y, first x and length of all runs as read-only arrays of 64-bit integers.

        Nothing is copied: ``numpy.frombuffer(array, numpy.int64)`` is a view of the pattern's data.

        Raises:
            GridTooLargeError: the pattern is too large to lay out.
        """
        y, x, n = (memoryview(array).toreadonly() for array in self._runs)
        return y, x, n

    def at(self, y: int, x: int) -> Pattern:
        """Return this pattern moved so that its :attr:`offset` is (y, x).

        Raises:
            PatternSizeError: a coordinate would be beyond ±2⁶¹.
            GridTooLargeError: the pattern is too large to lay out.
        """
        top, left = self.offset
        return _again(row_runs.shifted(self._runs, y - top, x - left), *self._words())

    def under(self, rule: Rule | str) -> Pattern:
        """Return this pattern with another rule.

        Raises:
            RuleError: the notation is not a rule.
        """
        return self._with(as_rule(rule), self._bounds)

    def inside(self, bounds: Bounds | None) -> Pattern:
        """Return this pattern in the middle of a bounded field, or on the plane where it is.

        Args:
            bounds: the field, or None for the plane.

        Raises:
            PatternSizeError: the pattern is larger than the field.
            ValueError: there is no such field.
        """
        moved = self._with(self._rule, bounds)
        if bounds is None or not self.population:
            return moved
        y, x = self._place_in(bounds.height, bounds.width, None)
        return moved.at(y, x)

    def grid(
        self,
        height: int | None = None,
        width: int | None = None,
        *,
        at: tuple[int, int] | None = None,
    ) -> Grid:
        """Return a grid with this pattern in its middle, or at a given place.

        Args:
            height: the grid's rows; by default the pattern's own.
            width: the grid's columns; by default the pattern's own.
            at: the row and column of the grid for the top left corner of the pattern's box.

        Raises:
            PatternSizeError: the pattern does not fit there.
            GridTooLargeError: the grid would have more than 2³³ cells.
            ValueError: the grid would have no cell.
        """
        height = max(self.height, 1) if height is None else height
        width = max(self.width, 1) if width is None else width
        y, x = self._place_in(height, width, at)
        if height * width > LARGEST:
            raise GridTooLargeError(height, width)
        top, left = self.offset
        inside = row_runs.shifted(self._runs, y - top, x - left)
        return Grid(height, width, row_runs.to_bits(inside, height, width))

    def _place_in(self, height: int, width: int, at: tuple[int, int] | None) -> tuple[int, int]:
        """Return a place in a grid, by default the middle, after checking that it fits there."""
        y, x = at or ((height - self.height) // 2, (width - self.width) // 2)
        if not (0 <= y <= height - self.height and 0 <= x <= width - self.width):
            where = f" at ({y}, {x})" if at else ""
            raise PatternSizeError(f"{self!r} does not fit into {height} × {width} cells{where}")
        return y, x

    def __contains__(self, cell: tuple[int, int]) -> bool:
        y, x = cell
        if self._tree is not None:
            return next(self._tree.dots(y, x, 1, 1, 1), None) is not None
        ys, xs, ns = self._runs
        # Rows are sorted, and so are the first columns within one.
        end = bisect_right(ys, y)
        before = bisect_right(xs, x, lo=bisect_right(ys, y - 1), hi=end) - 1
        return before >= 0 and ys[before] == y and xs[before] <= x < xs[before] + ns[before]

    def _with(self, rule: Rule, bounds: Bounds | None) -> Pattern:
        made = Pattern(
            (), rule, name=self._name, author=self._author, comments=self._comments, bounds=bounds
        )
        made._laid_out, made._tree, made._box = self._laid_out, self._tree, self._box
        return made

    def _words(self) -> tuple[Rule, str, str, tuple[str, ...], Bounds | None]:
        return self._rule, self._name, self._author, self._comments, self._bounds

    def _key(self) -> _Key:
        return self._runs, *self._words()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pattern):
            return NotImplemented
        if self._words() != other._words():
            return False
        return (self._tree is not None and self._tree is other._tree) or self._runs == other._runs

    def __hash__(self) -> int:
        return hash((*(array.tobytes() for array in self._runs), *self._words()))

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


def _is_too_large(grid: Grid) -> bool:
    """Return whether a grid can neither be laid out nor converted cell by cell."""
    return grid.height * grid.width > LARGEST and grid.population >= _MOST_ONE_BY_ONE


def _runs_of(grid: Grid) -> Runs:
    size = grid.height * grid.width
    if grid.population < min(size // 64, _MOST_ONE_BY_ONE):
        return row_runs.of_cells(grid.cells())
    if _WORTH_NUMPY <= size <= _MOST_AS_ARRAY and numpy_is_imported():
        return row_runs.of_cell_array(grid.to_numpy(), grid.top, grid.left)
    return row_runs.of_bits(grid.rows(), grid.top, grid.left)


def _line(what: str, text: str) -> str:
    if len(text.splitlines()) > 1 or text.strip() != text:
        raise ValueError(f"a {what} must be one line without spaces around it, not {text[:80]!r}")
    return text
