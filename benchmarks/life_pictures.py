"""Pictures of Life: animations of 512 × 512 cells beside matplotlib, and pictures of characters.

The usual way is matplotlib's imshow, FuncAnimation and PillowWriter: a GIF of 512 × 512 pixels.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import anyio
import numba

from aconcur.life import Generation, Grid, View, animate, draw
from benchmarks.side_by_side import compare_costs

SIDE = 512
INCH = 100  # pixels


async def stream(grids: Sequence[Grid]) -> AsyncIterator[Generation]:
    for number, grid in enumerate(grids):
        yield Generation(number, grid)


def ours(grids: Sequence[Grid], path: Path) -> float:
    async def run() -> None:
        await animate(stream(grids), path)

    began = time.perf_counter()
    anyio.run(run)
    return _ms_a_frame(began, grids)


def ours_without_numba(grids: Sequence[Grid], path: Path) -> float:
    with patch.dict(sys.modules, {"numba": None}):
        return ours(grids, path)


def by_pillow(arrays: Sequence[Any], path: Path) -> float:
    from PIL import Image

    began = time.perf_counter()
    images = [Image.fromarray(array * 255) for array in arrays]
    images[0].save(path, save_all=True, append_images=images[1:], duration=50, loop=0)
    return _ms_a_frame(began, arrays)


def by_matplotlib(arrays: Sequence[Any], path: Path) -> float:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot
    from matplotlib.animation import FuncAnimation, PillowWriter

    began = time.perf_counter()
    figure = pyplot.figure(figsize=(SIDE / INCH, SIDE / INCH), dpi=INCH)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    image = axes.imshow(arrays[0], cmap="binary", interpolation="nearest")

    def show(number: int) -> tuple[Any]:
        image.set_data(arrays[number])
        return (image,)

    film = FuncAnimation(figure, show, frames=len(arrays), blit=False)
    film.save(path, writer=PillowWriter(fps=20))
    pyplot.close(figure)
    return _ms_a_frame(began, arrays)


def in_braille(grids: Sequence[Grid], rows: int, columns: int) -> float:
    view = View(0, 0, rows, columns, -1)
    began = time.perf_counter()
    for grid in grids:
        "\n".join(draw(grid, view))
    return _ms_a_frame(began, grids)


def _ms_a_frame(began: float, frames: Sequence[object]) -> float:
    return (time.perf_counter() - began) * 1000 / len(frames)


def main() -> None:
    """Measure; print a table each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.life_pictures", description=__doc__)
    parser.add_argument("--frames", type=int, default=30, help="frames a round (30)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds (9)")
    options = parser.parse_args()
    print(f"CPython {platform.python_version()}, numba {numba.__version__}")
    print("random cells, 3 of 10 alive")
    grids = [Grid.random(SIDE, SIDE, density=0.3, seed=seed) for seed in range(options.frames)]
    arrays = [grid.to_numpy() for grid in grids]
    with TemporaryDirectory() as folder:
        gif, apng = Path(folder, "a.gif"), Path(folder, "a.apng")
        films: dict[str, Callable[[], float]] = {
            "matplotlib, GIF": partial(by_matplotlib, arrays, gif),
            "Pillow, GIF": partial(by_pillow, arrays, gif),
            "animate, GIF, with numba": partial(ours, grids, gif),
            "animate, GIF, without": partial(ours_without_numba, grids, gif),
            "animate, animated PNG": partial(ours, grids, apng),
        }
        ours(grids[:1], gif)  # compiles
        costs = compare_costs(
            f"a frame of {SIDE} × {SIDE} cells", films, unit="ms", rounds=options.rounds
        )
    for name in list(films)[2:]:
        print(f"  {name}, speed against the matplotlib route: {costs[name].speed}")
    compare_costs(
        "a terminal's picture",
        {
            "192 × 384 cells in braille": partial(in_braille, grids, 48, 192),
            "96 × 160 cells in braille": partial(in_braille, grids, 24, 80),
        },
        unit="ms",
        rounds=options.rounds,
    )


if __name__ == "__main__":
    main()
