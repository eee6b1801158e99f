"""Patterns as quadtrees in which equal squares are one: Golly's files that end in .mc.

Source: https://golly.sourceforge.io/Help/formats.html#mc.
"""

from __future__ import annotations

__all__ = ("read_macrocell", "write_macrocell")

import re
from collections.abc import Iterator
from typing import Final, NamedTuple, NoReturn, TypeAlias, final

from aconcur import __version__
from aconcur.life._errors import PatternError, PatternSizeError
from aconcur.life._formats.parsing import as_line, as_text, notation_of, rule_and_bounds, whole
from aconcur.life._hashlife.build import build_tree
from aconcur.life._model.pattern import Bounds, Pattern
from aconcur.life._model.row_runs import of_rows
from aconcur.life._model.rule import LIFE, Rule

HEADER: Final = "[M2]"
LEAF: Final = 3
"""A leaf has 2³ cells a side."""
SIDE: Final = 1 << LEAF
# So that its corners are within what patterns reach.
_HIGHEST: Final = 62
# Squares of 8 × 8 cells to lay out: about a gigabyte. A guess.
_MOST_LEAVES: Final = 1 << 22
# Runs in all squares together, to lay out those that are equal once: tenths of a second. A guess.
_MOST_RUNS: Final = 1 << 16

_LEAF: Final = re.compile(r"[.*$]+")
_NODE: Final = re.compile(r"(?P<level>\d+)((?: +\d+){4}) *", re.ASCII)
_LIVE: Final = re.compile(r"\*+")

Parts: TypeAlias = tuple[tuple[int, int, int], ...]
"""Row, first column and length of each run in a square."""
Quarters: TypeAlias = tuple[int, int, int, int]


class Node(NamedTuple):
    """A line of the file: a square of ``2 ** level`` cells a side."""

    level: int
    leaves: int
    """How many leaves have to be laid out for it."""
    runs: Parts = ()
    """Of a leaf."""
    quarters: Quarters = (0, 0, 0, 0)
    """Of another node: north-west, north-east, south-west, south-east; 0 is empty."""


def read_macrocell(text: str | bytes, *, source: str = "") -> Pattern:
    """Read a pattern in macrocell format, and lay its cells out.

    Args:
        text: the file's content; bytes are UTF-8, or else Latin-1.
        source: the file's name, for errors.

    Raises:
        PatternError: the text is no macrocell of a rule of two states; says where and why.
        PatternSizeError: it has more than 2²² squares of 8 × 8 cells that are not empty, and the
            rows of its different squares more than 2¹⁶ runs of live cells.
    """
    file = _File(source)
    for number, line in enumerate(as_text(text).split("\n"), 1):
        file.hear(line.rstrip(), number)
    try:
        runs = _lay_out_once(file.nodes, file.root())
    except _TooManyRunsError:
        leaves = file.root().leaves
        if leaves > _MOST_LEAVES:
            raise PatternSizeError(
                f"{source or 'pattern'} has {leaves} squares of 8 × 8 cells to lay out: "
                f"{_MOST_LEAVES} is the most, where they are not in long rows"
            ) from None
        runs = sorted(_lay_out(file.nodes))
    return Pattern.from_runs(
        runs,
        file.rule,
        name=file.name,
        author=file.author,
        comments=file.comments,
        bounds=file.bounds,
    )


class _File:
    """What has been read so far."""

    def __init__(self, source: str) -> None:
        self._source = source
        self.nodes: list[Node] = [Node(0, 0)]
        self.rule: Rule = LIFE
        self.bounds: Bounds | None = None
        self.name = self.author = ""
        self.comments: list[str] = []

    def hear(self, line: str, number: int) -> None:
        if number == 1:
            if not line.startswith(HEADER):
                self._refuse(f"the first line must begin with {HEADER}", number)
        elif line.startswith("#"):
            self._hear_words(line[1:2], as_line(line[2:]), number)
        elif _LEAF.fullmatch(line):
            self.nodes.append(_leaf(line) or self._refuse("a leaf has 8 × 8 cells", number))
        elif line:
            self._hear_node(line, number)

    def root(self) -> Node:
        if len(self.nodes) == 1:
            self._refuse("there is no node below", 1)
        return self.nodes[-1]

    def _hear_words(self, kind: str, words: str, number: int) -> None:
        if kind == "R":
            self.rule, self.bounds = rule_and_bounds(words, number, 4, self._source)
        elif kind == "N":
            self.name = words
        elif kind == "O":
            self.author = words
        elif kind == "C":
            self.comments.append(words)

    def _hear_node(self, line: str, number: int) -> None:
        found = _NODE.fullmatch(line)
        if found is None:
            self._refuse(
                f"{line[:40]!r} is neither a leaf (.*$) nor a node of five numbers", number
            )
        level = whole(found["level"])
        if level <= LEAF:
            self._refuse(f"a node of level {level} is of a rule of more than two states", number)
        if level > _HIGHEST:
            self._refuse(f"a node's level is {_HIGHEST} at most, not {level}", number)
        nw, ne, sw, se = map(whole, found[2].split())
        for part in re.finditer(r"\d+", found[2]):
            child = whole(part[0])
            if child >= len(self.nodes):
                why = f"there is no node {child} above: there are {len(self.nodes) - 1}"
            elif child and self.nodes[child].level != level - 1:
                why = f"node {child} is of level {self.nodes[child].level}, not {level - 1}"
            else:
                continue
            self._refuse(why, number, found.start(2) + part.start() + 1)
        leaves = sum(self.nodes[child].leaves for child in (nw, ne, sw, se))
        self.nodes.append(Node(level, leaves, quarters=(nw, ne, sw, se)))

    def _refuse(self, why: str, line: int, column: int = 1) -> NoReturn:
        raise PatternError(why, line, column, self._source)


def _leaf(line: str) -> Node | None:
    rows = line.removesuffix("$").split("$")
    if len(rows) > SIDE or any(len(row) > SIDE for row in rows):
        return None
    runs = tuple(
        (y, live.start(), live.end() - live.start())
        for y, row in enumerate(rows)
        for live in _LIVE.finditer(row)
    )
    return Node(LEAF, bool(runs), runs=runs)


def _lay_out(nodes: list[Node]) -> Iterator[tuple[int, int, int]]:
    """Yield the runs of all leaves below the last node, in any order."""
    half = 1 << max(nodes[-1].level - 1, 0)
    left = [(nodes[-1], -half, -half)]
    while left:
        node, y, x = left.pop()
        for row, column, length in node.runs:
            yield y + row, x + column, length
        if node.level > LEAF:
            half = 1 << node.level - 1
            for place, child in enumerate(node.quarters):
                if nodes[child].leaves:
                    left.append((nodes[child], y + (place >> 1) * half, x + (place & 1) * half))


class _TooManyRunsError(Exception):
    """Raised when it is better, or impossible, to lay out squares that are equal each by itself."""


def _lay_out_once(nodes: list[Node], root: Node) -> list[tuple[int, int, int]]:
    """Return the runs of all cells, joined, and lay out squares that are equal once."""
    known: dict[Node, Parts] = {nodes[0]: ()}
    left = _MOST_RUNS

    def lay_out(node: Node) -> Parts:
        nonlocal left
        if node not in known:
            parts = [lay_out(nodes[quarter]) for quarter in node.quarters]
            left -= sum(map(len, parts))
            if left < 0:
                raise _TooManyRunsError
            known[node] = node.runs or _joined(1 << node.level - 1, *parts)
        return known[node]

    half = 1 << max(root.level - 1, 0)
    return [(y - half, x - half, n) for y, x, n in lay_out(root)]


def _joined(half: int, nw: Parts, ne: Parts, sw: Parts, se: Parts) -> Parts:
    north = sorted((*nw, *((y, x + half, n) for y, x, n in ne)))
    south = sorted((*sw, *((y, x + half, n) for y, x, n in se)))
    return tuple(of_rows((*north, *((y + half, x, n) for y, x, n in south))).each())


def write_macrocell(pattern: Pattern) -> str:
    """Return a pattern in macrocell format; :func:`read_macrocell` returns the same one.

    Raises:
        PatternSizeError: more than 2²² squares of 8 × 8 cells are not empty, and no row is long.
    """
    lines = [f"{HEADER} (aconcur {__version__})", f"#R {notation_of(pattern)}"]
    lines += [f"#N {pattern.name}"] * bool(pattern.name)
    lines += [f"#O {pattern.author}"] * bool(pattern.author)
    lines += [f"#C {comment}".rstrip() for comment in pattern.comments]
    nodes = _Lines()
    build_tree(nodes, pattern, most_leaves=_MOST_LEAVES)
    return "\n".join([*lines, *nodes]) + "\n"


@final
class _Lines:
    """A line for each different square, from small ones to the whole; a node is its line's number.

    An empty square is 0.
    """

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
