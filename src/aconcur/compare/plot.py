"""Curves as text: one for each column of a table, over its rows.

Rule: pure, and plain characters, so that a terminal, a page and a file show the same.
"""

from __future__ import annotations

__all__ = ("plot",)

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

MARKS: Final = "o+x*#@"
HEIGHT: Final = 13
WIDTH: Final = 64


def plot(
    rows: Mapping[str, Mapping[str, float]], columns: Sequence[str], *, level: float | None = None
) -> tuple[str, ...]:
    """Return the lines of a drawing: rows from left to right, evenly; figures from 0 upwards.

    Args:
        rows: figures of every column, by the names that stand below.
        columns: which to draw, six at most; where curves meet, the last one shows.
        level: a height at which a line is drawn, such as 1 for "as fast as".

    Raises:
        ValueError: there are fewer than two rows, or more columns than marks.
    """
    if len(rows) < 2 or len(columns) > len(MARKS):
        raise ValueError(f"cannot draw {len(columns)} curves over {len(rows)} rows")
    top = max(figures[column] for figures in rows.values() for column in columns)
    step = _step(max(top, level or 0))
    scale = (HEIGHT - 1) / (math.ceil(max(top, level or 0) / step) * step)
    canvas = [[" "] * WIDTH for _ in range(HEIGHT)]
    if level is not None:
        canvas[round(level * scale)] = ["·"] * WIDTH
    places = [round(at * (WIDTH - 1) / (len(rows) - 1)) for at in range(len(rows))]
    for mark, column in zip(MARKS, columns, strict=False):
        heights = [figures[column] * scale for figures in rows.values()]
        for x, y in _curve(places, heights):
            canvas[y][x] = mark
    ticks = {round(n * step * scale): n * step for n in range(HEIGHT) if n * step * scale < HEIGHT}
    labels = {y: f"{tick:g}" for y, tick in ticks.items()}
    wide = max(3, *map(len, labels.values()))
    lines = [
        f"{labels.get(y, ''):>{wide}} {'┤' if y in labels else '│'}{''.join(line)}".rstrip()
        for y, line in reversed([*enumerate(canvas)])
    ]
    legend = "   ".join(f"{mark} {column}" for mark, column in zip(MARKS, columns, strict=False))
    margin = " " * (wide + 2)
    below = (_names(places, list(rows)), "", legend)
    return (
        *lines,
        f"{margin[1:]}└{_axis(places)}",
        *(f"{margin}{line}".rstrip() for line in below),
    )


def _step(top: float) -> float:
    """Return a round distance of ticks, so that there are 3 to 6 of them."""
    rough = max(top, 1e-9) / 4
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)


def _curve(places: Sequence[int], heights: Sequence[float]) -> Iterator[tuple[int, int]]:
    """Yield a cell for each character from the first place to the last."""
    for at in range(len(places) - 1):
        left, right = places[at], places[at + 1]
        for x in range(left, right + 1):
            part = (x - left) / (right - left)
            yield x, round(heights[at] + part * (heights[at + 1] - heights[at]))


def _axis(places: Sequence[int]) -> str:
    return "".join("┬" if x in places else "─" for x in range(WIDTH))


def _names(places: Sequence[int], names: Sequence[str]) -> str:
    """Return the rows' names, each under its place; the last one ends where the axis does."""
    line = ""
    for place, name in zip(places, names, strict=True):
        start = min(place, WIDTH - len(name))
        line = f"{line:<{start}}"[: max(start, len(line) + 1)] + name
    return line
