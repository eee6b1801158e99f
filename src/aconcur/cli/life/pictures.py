"""``aconcur life --to``: write one generation as a picture or pattern, or all as an animation."""

from __future__ import annotations

__all__ = ("check", "make")

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from aconcur.cli.command_line import UsageError
from aconcur.cli.output import StatusLine
from aconcur.life import (
    Grid,
    Look,
    Pattern,
    Simulation,
    animate,
    cut,
    simulate,
    write,
    write_png,
)

_FRAMES: Final = 100
_PATTERNS: Final = (".rle", ".cells", ".mc", ".lif", ".life")
_ANIMATIONS: Final = (".gif", ".apng")
# Cells: about what a screen shows. A larger pattern is cropped.
_LARGEST_SIDE: Final = 1024
# Pixels: small pictures are enlarged to about this size, with cells of at most 8 pixels.
_EASY_TO_SEE: Final = 384
_LARGEST_CELL: Final = 8


class Box(NamedTuple):
    """A rectangle of the plane."""

    top: int
    left: int
    height: int
    width: int


def check(chosen: argparse.Namespace) -> None:
    """Refuse a file whose format is unknown.

    Raises:
        UsageError: the file's name has another ending.
    """
    known = (".png", *_ANIMATIONS, *_PATTERNS)
    if _suffix(Path(chosen.to)) not in known:
        raise UsageError(f"--to must end in one of {', '.join(known)}, not {chosen.to!r}")


def _suffix(path: Path) -> str:
    """Return the ending of a file's name, of a compressed pattern the one before .gz."""
    inner = path.with_suffix("").suffix.lower()
    compressed = path.suffix.lower() == ".gz" and inner in _PATTERNS
    return inner if compressed else path.suffix.lower()


async def make(pattern: Pattern, chosen: argparse.Namespace) -> None:
    """Write the file of ``--to``."""
    path = Path(chosen.to)
    suffix = _suffix(path)
    if suffix in _ANIMATIONS:
        await _animate(pattern, chosen, path)
        return
    if suffix in _PATTERNS:
        # Without generations nothing is laid out, so a pattern of any size changes its format.
        write(_kept(pattern, await _last(pattern, chosen)) if chosen.generations else pattern, path)
    else:
        grid = await _last(pattern, chosen)
        box = _on_screen(_box(grid), _box(grid))
        write_png(cut(grid, *box), path, _look(chosen, box))


def _kept(pattern: Pattern, grid: Grid) -> Pattern:
    """Return a later generation with the words of the pattern."""
    return Pattern.from_grid(
        grid,
        pattern.rule,
        name=pattern.name,
        author=pattern.author,
        comments=pattern.comments,
        bounds=pattern.bounds,
    )


async def _last(pattern: Pattern, chosen: argparse.Namespace) -> Grid:
    """Return the last generation of the command line; the first one by default."""
    number = chosen.generations or 0
    every = max(number, 1)
    async for generation in simulate(pattern, every=every, stop=number, engine=chosen.engine):
        grid = generation.grid
    return grid


async def _animate(pattern: Pattern, chosen: argparse.Namespace, path: Path) -> None:
    stop = _FRAMES if chosen.generations is None else chosen.generations
    every = chosen.every or 1

    def start() -> Simulation:
        return simulate(pattern, every=every, stop=stop, engine=chosen.engine)

    box = await _box_of_all(start(), on_plane=pattern.bounds is None)
    await animate(
        start(),
        path,
        _look(chosen, box),
        ms=chosen.ms,
        window=box,
        on_frame=_progress(stop // every + 1),
    )


async def _box_of_all(simulation: Simulation, *, on_plane: bool) -> Box:
    """Return the box around the live cells of all generations, for all frames to show."""
    first: Box | None = None
    async for generation in simulation:
        here = _box(generation.grid)
        if first is None:
            first = union = here
        if not on_plane:
            break
        union = _around(union, here)
    assert first is not None
    return _on_screen(union, first)


def _box(grid: Grid) -> Box:
    return Box(grid.top, grid.left, grid.height, grid.width)


def _around(one: Box, other: Box) -> Box:
    top, left = min(one.top, other.top), min(one.left, other.left)
    bottom = max(one.top + one.height, other.top + other.height)
    right = max(one.left + one.width, other.left + other.width)
    return Box(top, left, bottom - top, right - left)


def _on_screen(box: Box, middle: Box) -> Box:
    """Return a box, cropped to the size of a screen around the middle of another box."""
    height, width = min(box.height, _LARGEST_SIDE), min(box.width, _LARGEST_SIDE)
    if (height, width) == (box.height, box.width):
        return box
    print(
        f"the pattern grows to {box.height} × {box.width} cells: "
        f"the picture shows {height} × {width} of them",
        file=sys.stderr,
    )
    top = middle.top + middle.height // 2 - height // 2
    left = middle.left + middle.width // 2 - width // 2
    return Box(
        min(max(top, box.top), box.top + box.height - height),
        min(max(left, box.left), box.left + box.width - width),
        height,
        width,
    )


def _look(chosen: argparse.Namespace, box: Box) -> Look:
    fitting = _EASY_TO_SEE // max(box.height, box.width)
    return Look(chosen.scale or min(max(fitting, 1), _LARGEST_CELL))


def _progress(total: int) -> Callable[[int], None]:
    """Return a function that shows how many frames are drawn."""
    status = StatusLine()

    def show(frames: int) -> None:
        if frames < total:
            status.show(f"{frames}/{total} frames")
        else:
            status.clear()
            print(f"{total} frames", file=sys.stderr)

    return show
