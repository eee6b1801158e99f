"""A lesson's blocks as plain text of a given width: for pipes, files and simple terminals.

rich could draw plain text too, but it is an extra (``aconcur[cli]``), and ``aconcur compare`` works
without extras. So this renderer stays.
"""

from __future__ import annotations

__all__ = ("beside", "draw", "fits", "listed")

import re
import textwrap
from collections.abc import Iterator
from functools import singledispatch
from itertools import zip_longest

from aconcur.compare.document import (
    Arrows,
    Block,
    Bullets,
    Change,
    Code,
    CodeBlock,
    CodePair,
    Figures,
    Files,
    Footnote,
    Heading,
    Paragraph,
    Plot,
    TextTable,
)

GAP = 2
BAR = " │ "
MARKS = re.compile(r"(`[^`]+`)|\*\*([^*]+)\*\*")


def beside(pair: CodePair, width: int) -> bool:
    """Return whether both halves of a pair stand side by side in ``width`` columns."""
    return pair.original.width + pair.rebuilt.width + len(BAR) <= width


def fits(figures: Figures, width: int) -> bool:
    """Return whether a table of figures can be drawn as one in ``width`` columns."""
    return sum(_widths(figures)) + GAP * (len(figures.columns) - 1) <= width


def listed(figures: Figures) -> Iterator[tuple[str, str]]:
    """Yield each row of a table that is too wide as its name and one line of its figures."""
    for label, *cells in figures.rows:
        pairs = zip(figures.columns[1:], cells, strict=True)
        yield label, ", ".join(f"{column} {cell}" for column, cell in pairs if cell)


def _widths(figures: Figures) -> list[int]:
    return [max(map(len, column)) for column in zip(figures.columns, *figures.rows, strict=True)]


def _unmarked(text: str) -> str:
    """Take away the asterisks that mark weight; those between backticks are code."""
    return MARKS.sub(lambda mark: mark[1] or mark[2], text)


def _wrap(text: str, width: int, indent: str = "") -> str:
    return textwrap.fill(
        text,
        max(width, 20),
        initial_indent=indent,
        subsequent_indent=" " * len(indent),
        break_long_words=False,
        break_on_hyphens=False,
    )


@singledispatch
def draw(block: Block, width: int) -> str:
    """Return a block as lines of text, ``width`` columns wide where the code in it allows."""
    raise TypeError(f"no way to draw {type(block).__name__} in {width} columns")


@draw.register
def _(block: Heading, width: int) -> str:
    return f"{_wrap(block.text, width)}\n{'=' * min(len(block.text), width)}"


@draw.register
def _(block: Paragraph, width: int) -> str:
    return _wrap(_unmarked(block.text), width)


@draw.register
def _(block: Footnote, width: int) -> str:
    return _wrap(block.text, width)


@draw.register
def _(block: Files, width: int) -> str:
    return _wrap(f"Whole files, in {block.folder}: {', '.join(block.names)}", width)


@draw.register
def _(block: Arrows, width: int) -> str:
    return "\n".join(_wrap(f"{what}: {old} → {new}", width, "- ") for what, old, new in block.rows)


@draw.register
def _(block: Bullets, width: int) -> str:
    items = (_wrap(_unmarked(item), width, "- ") for item in block.items)
    return "\n".join([_wrap(block.title, width), *items])


@draw.register
def _(block: CodePair, width: int) -> str:
    body = _side_by_side if beside(block, width) else _stacked
    return f"{_wrap(_unmarked(block.note), width)}\n\n{body(block)}"


def _side_by_side(pair: CodePair) -> str:
    left, right = pair.original, pair.rebuilt
    wide = max(left.width, len(left.file))
    head = f"{left.file:<{wide}}{BAR}{right.file}"
    lines = [head, "─" * len(head)]
    for row in pair.rows:
        both = zip_longest(*(part.splitlines() for part in row), fillvalue="")
        lines += (f"{old:<{wide}}{BAR}{new}".rstrip() for old, new in both)
        lines.append(f"{'':<{wide}}{BAR}".rstrip())
    return "\n".join(lines[:-1])


def _stacked(pair: CodePair) -> str:
    return "\n\n".join(map(_titled, (pair.original, pair.rebuilt)))


def _titled(code: Code) -> str:
    return f"{code.reference}\n{'─' * len(code.reference)}\n{code.text}"


@draw.register
def _(block: Change, width: int) -> str:
    return "\n".join([_wrap(_unmarked(block.note), width), "", *block.lines])


@draw.register
def _(block: CodeBlock, width: int) -> str:
    return f"{_wrap(_unmarked(block.title), width)}\n\n{_titled(block.code)}"


@draw.register
def _(block: TextTable, width: int) -> str:
    rows = [
        "\n".join(
            [
                cells[0] or "-",
                *(
                    _wrap(f"{column}: {_unmarked(cell)}", width, "  ")
                    for column, cell in zip(block.columns[1:], cells[1:], strict=True)
                ),
            ]
        )
        for cells in block.rows
    ]
    foot = ["", _wrap(_unmarked(block.foot), width)] if block.foot else []
    return "\n".join([_wrap(block.title, width), "", *rows, *foot])


@draw.register
def _(block: Plot, width: int) -> str:
    return "\n".join([_wrap(f"{block.title}: s by {block.unit}", width), "", *block.lines])


@draw.register
def _(block: Figures, width: int) -> str:
    body = _table(block) if fits(block, width) else _list(block, width)
    return "\n".join([_wrap(block.title, width), "", body, "", _wrap(block.foot, width)])


def _table(figures: Figures) -> str:
    widths = _widths(figures)
    lines = (figures.columns, tuple("─" * width for width in widths), *figures.rows)
    gap = " " * GAP
    return "\n".join(
        gap.join(
            f"{cell:<{wide}}" if number == 0 else f"{cell:>{wide}}"
            for number, (cell, wide) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _list(figures: Figures, width: int) -> str:
    return "\n".join(f"{label}\n{_wrap(line, width, '  ')}" for label, line in listed(figures))
