"""A lesson's blocks in colour, drawn by rich, for a terminal. Needs the extra ``cli``."""

from __future__ import annotations

__all__ = ("draw",)

import re
from functools import singledispatch

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

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
from aconcur.compare.figures import NO_DIFFERENCE
from aconcur.compare.plain import beside, fits, listed

CODE = "bold cyan"
MARKS = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*")
# Below this a table of sentences has columns of single words.
NARROW = 100


def _styled(text: str) -> Text:
    """Show backticks and double asterisks as styles."""
    styled, end = Text(), 0
    for mark in MARKS.finditer(text):
        styled.append(text[end : mark.start()])
        styled.append(mark[1] or mark[2], CODE if mark[1] else "bold")
        end = mark.end()
    return styled.append(text[end:])


@singledispatch
def draw(block: Block, width: int) -> RenderableType:
    """Return a block as something that a rich console of ``width`` columns prints."""
    raise TypeError(f"no way to draw {type(block).__name__} in {width} columns")


@draw.register
def _(block: Heading, width: int) -> RenderableType:  # noqa: ARG001 - every block has a width
    return Rule(Text(block.text, "bold"), align="left")


@draw.register
def _(block: Paragraph, width: int) -> RenderableType:  # noqa: ARG001
    return _styled(block.text)


@draw.register
def _(block: Footnote, width: int) -> RenderableType:  # noqa: ARG001
    return Text(block.text, "dim")


@draw.register
def _(block: Files, width: int) -> RenderableType:  # noqa: ARG001
    return Text(f"Whole files, in {block.folder}: {', '.join(block.names)}", "dim")


@draw.register
def _(block: Arrows, width: int) -> RenderableType:  # noqa: ARG001
    lines = (_styled(f"{what}: `{old}` → `{new}`") for what, old, new in block.rows)
    return Group(*(_hanging(line) for line in lines))


@draw.register
def _(block: Bullets, width: int) -> RenderableType:  # noqa: ARG001
    return Group(Text(block.title), *(_hanging(_styled(item)) for item in block.items))


def _hanging(line: Text) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_row("-", line)
    return grid


@draw.register
def _(block: CodePair, width: int) -> RenderableType:
    left, right = block.original, block.rebuilt
    if not beside(block, width):
        return Group(_styled(block.note), *map(_titled, (left, right)))
    # No frame: two halves of 38 columns fit in a terminal of 80.
    table = Table(box=box.MINIMAL, border_style="dim", show_edge=False, pad_edge=False)
    table.add_column(left.file, min_width=left.width)
    table.add_column(right.file, min_width=right.width)
    for row in block.rows:
        table.add_row(*map(_coloured, row), end_section=True)
    return Group(_styled(block.note), table)


def _titled(code: Code) -> RenderableType:
    return Padding(Group(Text(code.reference, "bold"), _coloured(code.text)), (1, 0, 0, 0))


def _coloured(text: str) -> Syntax:
    return Syntax(text, "python", theme="ansi_dark", background_color="default", word_wrap=True)


@draw.register
def _(block: Change, width: int) -> RenderableType:  # noqa: ARG001
    return Group(_styled(block.note), Syntax("\n".join(block.lines), "diff", theme="ansi_dark"))


@draw.register
def _(block: CodeBlock, width: int) -> RenderableType:  # noqa: ARG001
    return Group(_styled(block.title), _titled(block.code))


@draw.register
def _(block: TextTable, width: int) -> RenderableType:
    title, foot = Text(block.title, "bold"), _styled(block.foot)
    foot.stylize("dim")
    if width < NARROW:
        rows = (
            Group(
                Text(cells[0], "bold"),
                *(
                    Padding(_styled(f"{column}: {cell}"), (0, 0, 0, 2))
                    for column, cell in zip(block.columns[1:], cells[1:], strict=True)
                ),
            )
            for cells in block.rows
        )
        return Group(title, *rows, foot)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in block.columns:
        table.add_column(column)
    for cells in block.rows:
        table.add_row(*map(_styled, cells))
    return Group(title, table, foot)


@draw.register
def _(block: Plot, width: int) -> RenderableType:  # noqa: ARG001
    title = f"{block.title}: s by {block.unit}"
    return Group(Text(title, "bold"), "", Text("\n".join(block.lines), no_wrap=True))


@draw.register
def _(block: Figures, width: int) -> RenderableType:
    # A column costs two spaces more here than in plain text.
    body = _table(block) if fits(block, width - 2 * len(block.columns)) else _list(block)
    foot = _styled(block.foot)
    foot.stylize("dim")
    return Group(Text(block.title, "bold"), body, foot)


def _table(figures: Figures) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(figures.columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in figures.rows:
        table.add_row(*(Text(cell, _cell_style(cell)) for cell in row))
    return table


def _cell_style(cell: str) -> str:
    if cell in {NO_DIFFERENCE, "baseline"}:
        return "dim"
    return "bold green" if cell.endswith(" ×") and float(cell[:-2].replace(" ", "")) > 1 else ""


def _list(figures: Figures) -> RenderableType:
    rows = (
        Group(Text(label, "bold"), Padding(line, (0, 0, 0, 2))) for label, line in listed(figures)
    )
    return Group(*rows)
