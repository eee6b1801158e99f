"""Patterns as quadtrees in which equal squares are stored once: Golly's files that end in .mc.

Source: https://golly.sourceforge.io/Help/formats.html#mc. The top left cell of the root's
south-east quarter is at x = 0, y = 1, so everything lies a row further down than around (0, 0). In
a bounded field (0, 0) is the cell in its middle.
"""

from __future__ import annotations

__all__ = ("HEADER", "read_macrocell", "write_macrocell")

import re
from collections.abc import Iterator
from functools import cache
from typing import Final, NoReturn, final

from aconcur import __version__
from aconcur.life._errors import GridTooLargeError, PatternError, PatternSizeError
from aconcur.life._formats.parsing import as_line, as_text, notation_of, parse_universe, to_int
from aconcur.life._hashlife.build import build_tree, copy_tree
from aconcur.life._model.field import Bounds
from aconcur.life._model.pattern import Pattern
from aconcur.life._model.rule import LIFE, Rule
from aconcur.life._model.tree import SMALLEST_LEVEL, TreeCells

HEADER: Final = "[M2]"
LEAF: Final = 3
"""The level of a leaf: it has 2³ cells a side."""
SIDE: Final = 1 << LEAF
# A guess: far beyond every pattern, and far below Python's limit for recursion.
_HIGHEST: Final = 250
# The most leaves to write, where no row is long: about a gigabyte. A guess.
_MOST_LEAVES: Final = 1 << 22

_LEAF: Final = re.compile(r"[.*$]+")
_NODE: Final = re.compile(r"(?P<level>\d+)((?: +\d+){4}) *", re.ASCII)
_LIVE: Final = re.compile(r"\*+")
# A letter belongs to a word, as in "#Next", unless a space follows; #R may lack it.
_COMMENT: Final = re.compile(r"#(?P<kind>[A-Za-z](?!\S)|R(?=[0-9BbSs/])|)(?P<rest>.*)")


@final
class Node:
    """A line of the file: a square of ``2 ** level`` cells a side."""

    __slots__ = ("_quarters", "bits", "level", "population")

    def __init__(self, level: int, bits: int = 0, quarters: tuple[Node, ...] = ()) -> None:
        self.level, self.bits, self._quarters = level, bits, quarters
        self.population: int = bits.bit_count() + sum(part.population for part in quarters)

    @property
    def is_empty(self) -> bool:
        """Whether every cell is dead."""
        return not self.population

    @property
    def quarters(self) -> tuple[Node, Node, Node, Node]:
        """North-west, north-east, south-west, south-east; of a square above the leaves."""
        nw, ne, sw, se = self._quarters
        return nw, ne, sw, se


@cache
def _empty_square(level: int) -> Node:
    return Node(level, quarters=(_empty_square(level - 1),) * 4 if level > LEAF else ())


@final
class _Nodes:
    """Makes nodes, equal ones once, and moves a tree by a row."""

    bottom: Final = LEAF
    stride: Final = SIDE
    smallest: Final = LEAF + 1

    def __init__(self) -> None:
        self._leaves: dict[int, Node] = {}
        self._joined: dict[tuple[Node, Node, Node, Node], Node] = {}
        self._windows: dict[tuple[Node, Node], Node] = {}

    def leaf(self, bits: int, /) -> Node:
        return self._leaves.setdefault(bits, Node(LEAF, bits)) if bits else self.empty(LEAF)

    def join(self, nw: Node, ne: Node, sw: Node, se: Node, /) -> Node:
        key = nw, ne, sw, se
        node = self._joined.get(key)
        if node is None:
            node = self._joined[key] = Node(nw.level + 1, quarters=key)
        return node

    def empty(self, level: int, /) -> Node:
        return _empty_square(level)

    def moved_down(self, root: Node) -> Node:
        """Return a tree with every cell a row further down."""
        root = self.with_margin(root)
        return self._window(self.empty(root.level), root, down=True)

    def copied_up(self, cells: TreeCells) -> Node:
        """Return a copy of a tree with every cell a row further up."""
        root = self.with_margin(copy_tree(self, cells))
        return self._window(root, self.empty(root.level), down=False)

    def with_margin(self, root: Node) -> Node:
        """Return a square of twice the side with this one in its middle."""
        if root.level == LEAF:
            # Each quarter of the leaf is the inner corner of a leaf.
            half, side = SIDE // 2, SIDE
            rows = [root.bits >> y * side & 0xFF for y in range(side)]
            up, down = rows[:half], rows[half:]
            top, bottom = [0] * half + up, down + [0] * half
            parts = [(top, 1), (top, 0), (bottom, 1), (bottom, 0)]
            return self.join(*(self._inner_corner(*part) for part in parts))
        none = self.empty(root.level - 1)
        nw, ne, sw, se = root.quarters
        return self.join(
            self.join(none, none, none, nw),
            self.join(none, none, ne, none),
            self.join(none, sw, none, none),
            self.join(se, none, none, none),
        )

    def _inner_corner(self, rows: list[int], west: int) -> Node:
        """Return the leaf west, or east, of the middle of rows that are a leaf wide."""
        shifted = (row << SIDE // 2 & 0xFF if west else row >> SIDE // 2 for row in rows)
        return self.leaf(sum(row << y * SIDE for y, row in enumerate(shifted)))

    def _window(self, upper: Node, lower: Node, *, down: bool) -> Node:
        """Return a square of two that lie one above the other.

        It has the last row of the upper one and all but the last of the lower one (``down``), or
        all but the first row of the upper one and the first of the lower one.
        """
        if not upper.population and not lower.population:
            return self.empty(upper.level)
        node = self._windows.get((upper, lower))
        if node is None:
            if upper.level == LEAF:
                both = upper.bits | lower.bits << SIDE * SIDE
                first = SIDE - 1 if down else 1
                node = self.leaf(both >> first * SIDE & (1 << SIDE * SIDE) - 1)
            else:
                a, b, c, d = upper.quarters
                e, f, g, h = lower.quarters
                pairs = (
                    ((c, e), (d, f), (e, g), (f, h)) if down else ((a, c), (b, d), (c, e), (d, f))
                )
                node = self.join(*(self._window(*pair, down=down) for pair in pairs))
            self._windows[upper, lower] = node
        return node


def read_macrocell(text: str | bytes, *, source: str = "") -> Pattern:
    """Read a pattern in macrocell format.

    The pattern keeps the tree: engines start from it and :func:`write_macrocell` writes it,
    whatever its size. Its cells are laid out when they are first needed in order, which raises
    :class:`GridTooLargeError` if they are too many.

    Args:
        text: the file's content; bytes are UTF-8, or else Latin-1.
        source: the file's name, for errors.

    Raises:
        PatternError: the text is not macrocell, or its rule or field is not supported; the message
            says where and why.
        PatternSizeError: the pattern is meant for a bounded field and too large to lay out.
    """
    file = _File(source)
    for number, line in enumerate(as_text(text).split("\n"), 1):
        file.read_line(line.rstrip(), number)
    root = _shrunk(file.root())
    name, author, comments = file.name, file.author, file.comments
    if not root.population:
        return Pattern(
            (), file.rule, name=name, author=author, comments=comments, bounds=file.bounds
        )
    tree = _moved_down(root)
    pattern = Pattern.from_tree(tree, file.rule, name=name, author=author, comments=comments)
    return pattern if file.bounds is None else _in_field(pattern, file.bounds, source)


def _in_field(pattern: Pattern, bounds: Bounds, source: str) -> Pattern:
    """Return a pattern of the plane in a bounded field whose middle is at (0, 0)."""
    (top, left), (y, x) = pattern.offset, bounds.middle
    try:
        runs = pattern.at(top + y, left + x).runs()
    except GridTooLargeError:
        raise PatternSizeError(
            f"{source or 'pattern'} has {pattern.population} cells, too many to lay out in "
            f"a field of {bounds.height} × {bounds.width}"
        ) from None
    return Pattern.from_runs(
        runs,
        pattern.rule,
        name=pattern.name,
        author=pattern.author,
        comments=pattern.comments,
        bounds=bounds,
    )


class _File:
    """The content of a file, line by line."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.rule: Rule = LIFE
        self.bounds: Bounds | None = None
        self.name = self.author = ""
        self.comments: list[str] = []
        # The number of a node is its index; node 0 stands for every empty square.
        self._nodes = [Node(0)]

    def read_line(self, line: str, number: int) -> None:
        if number == 1:
            if not line.startswith(HEADER):
                self._refuse(f"the first line must begin with {HEADER}", number)
        elif line.startswith("#"):
            self._read_comment(line, number)
        elif _LEAF.fullmatch(line):
            self._nodes.append(_leaf(line) or self._refuse("a leaf has 8 × 8 cells", number))
        elif line:
            self._read_node(line, number)

    def root(self) -> Node:
        """Return the last node. Golly writes a pattern without live cells as no node at all."""
        return self._nodes[-1] if len(self._nodes) > 1 else _empty_square(LEAF + 1)

    def _read_comment(self, line: str, number: int) -> None:
        found = _COMMENT.fullmatch(line)
        assert found is not None
        kind, words = found["kind"], as_line(found["rest"])
        if kind == "R":
            # as_line() may change the text: count what stands before it.
            column = len(line) - len(found["rest"].lstrip()) + 1
            self.rule, self.bounds = parse_universe(words, number, column, self.source)
        elif kind == "N":
            self.name = words
        elif kind == "O":
            self.author = words
        elif kind == "C" or (not kind and words):
            self.comments.append(words)

    def _read_node(self, line: str, number: int) -> None:
        found = _NODE.fullmatch(line)
        if found is None:
            self._refuse(
                f"{line[:40]!r} is neither a leaf (.*$) nor a node of five numbers", number
            )
        level = to_int(found["level"])
        if level <= LEAF:
            self._refuse(f"a node of level {level} is of a rule of more than two states", number)
        if level > _HIGHEST:
            self._refuse(f"a node's level is {_HIGHEST} at most, not {level}", number)
        quarters = []
        for part in re.finditer(r"\d+", found[2]):
            child = to_int(part[0])
            if child >= len(self._nodes):
                why = f"there is no node {child} above: there are {len(self._nodes) - 1}"
            elif child and self._nodes[child].level != level - 1:
                why = f"node {child} is of level {self._nodes[child].level}, not {level - 1}"
            else:
                quarters.append(self._nodes[child] if child else _empty_square(level - 1))
                continue
            self._refuse(why, number, found.start(2) + part.start() + 1)
        self._nodes.append(Node(level, quarters=tuple(quarters)))

    def _refuse(self, why: str, line: int, column: int = 1) -> NoReturn:
        raise PatternError(why, line, column, self.source)


def _leaf(line: str) -> Node | None:
    rows = line.removesuffix("$").split("$")
    if len(rows) > SIDE or any(len(row) > SIDE for row in rows):
        return None
    bits = sum(
        ((1 << live.end() - live.start()) - 1) << y * SIDE + live.start()
        for y, row in enumerate(rows)
        for live in _LIVE.finditer(row)
    )
    return Node(LEAF, bits)


def _shrunk(root: Node) -> Node:
    """Return the smallest square around the origin that holds all live cells."""
    while root.population and root.level > LEAF + 1:
        inner = [
            quarter.quarters[3 - place] if quarter.population else _empty_square(root.level - 2)
            for place, quarter in enumerate(root.quarters)
        ]
        if sum(quarter.population for quarter in inner) < root.population:
            break
        root = Node(root.level - 1, quarters=tuple(inner))
    return root


def _moved_down(root: Node) -> TreeCells:
    """Return a tree with every cell a row further down, large enough for engines."""
    nodes = _Nodes()
    while root.level < SMALLEST_LEVEL:
        root = nodes.with_margin(root)
    return TreeCells(nodes.moved_down(root), LEAF, SIDE)


def write_macrocell(pattern: Pattern) -> str:
    """Return a pattern in macrocell format; :func:`read_macrocell` returns an equal one.

    A pattern that is too large to lay out is written from its quadtree.

    Raises:
        PatternSizeError: more than 2²² squares of 8 × 8 cells have live cells, and no row of cells
            is long; or a coordinate is beyond ±2⁶¹ in the middle of a bounded field.
    """
    lines = [f"{HEADER} (aconcur {__version__})", f"#R {notation_of(pattern)}"]
    lines += [f"#N {pattern.name}"] * bool(pattern.name)
    lines += [f"#O {pattern.author}"] * bool(pattern.author)
    lines += [f"#C {comment}".rstrip() for comment in pattern.comments]
    nodes = _Lines()
    if pattern.tree is not None:
        copy_tree(nodes, TreeCells(_Nodes().copied_up(pattern.tree), LEAF, SIDE))
    elif pattern.population:
        (top, left), (y, x) = pattern.offset, (0, 0)
        if pattern.bounds is not None:
            y, x = pattern.bounds.middle
        moved = pattern.at(top - y - 1, left - x)
        build_tree(nodes, moved, most_leaves=_MOST_LEAVES)
    return "\n".join([*lines, *nodes]) + "\n"


@final
class _Lines:
    """Makes a line for each different square; a node is the number of its line, or 0 if empty."""

    bottom: Final = LEAF
    stride: Final = SIDE
    smallest: Final = LEAF + 1

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._levels = [0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers or [f"{self.smallest} 0 0 0 0"])

    def leaf(self, bits: int, /) -> int:
        return self._number(_leaf_line(bits), LEAF)

    def join(self, nw: int, ne: int, sw: int, se: int, /) -> int:
        level = 1 + max(self._levels[part] for part in (nw, ne, sw, se))
        return self._number(f"{level} {nw} {ne} {sw} {se}", level) if level > 1 else 0

    def empty(self, _: int, /) -> int:
        return 0

    def _number(self, line: str, level: int) -> int:
        number = self._numbers.setdefault(line, len(self._numbers) + 1)
        if number == len(self._levels):
            self._levels.append(level)
        return number


def _leaf_line(bits: int) -> str:
    rows = (f"{bits >> y * SIDE & 0xFF:08b}"[::-1] for y in range(SIDE))
    text = "".join(row.rstrip("0").translate({48: ".", 49: "*"}) + "$" for row in rows)
    return text.rstrip("$") + "$"
