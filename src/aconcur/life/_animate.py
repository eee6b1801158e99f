"""Pictures in files: one generation as PNG, many as animated PNG or GIF."""

from __future__ import annotations

__all__ = ("animate", "write_png")

import os
from collections.abc import AsyncIterable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO, Final

import anyio
import anyio.to_thread

from aconcur._core.scoped_tasks import scoped_tasks
from aconcur.life._gif import Gif
from aconcur.life._grid import Grid
from aconcur.life._picture import Look
from aconcur.life._png import Apng, png
from aconcur.life._reel import Film, Reel
from aconcur.life._simulate import Generation
from aconcur.life._window import cut

_PLAIN: Final = Look()


LONGEST_MS: Final = 65_535
"""Milliseconds that a frame can be shown: both formats have 16 bits for them."""

_FILMS: Final[dict[str, Callable[[BinaryIO, Look, int, int, int], Film]]] = {
    ".png": Apng,
    ".apng": Apng,
    ".gif": Gif,
}


def write_png(grid: Grid, path: str | os.PathLike[str], look: Look = _PLAIN) -> None:
    """Write a grid as a PNG of one bit a pixel.

    Raises:
        OSError: the file cannot be written.
    """
    with _new_file(Path(path)) as file:
        file.write(png(grid, look))


async def animate(
    generations: AsyncIterable[Generation],
    path: str | os.PathLike[str],
    look: Look = _PLAIN,
    *,
    ms: int = 50,
    window: tuple[int, int, int, int] | None = None,
    on_frame: Callable[[int], object] | None = None,
) -> int:
    """Write generations as an animation: .gif, or .png or .apng for animated PNG.

    ::

        await animate(simulate(Grid.random(256, 256), stop=100), "soup.gif", Look(scale=2))

    Frames are packed in worker threads, as many at once as there are processors, and written in
    their order: memory holds no more of them.

    **Cancelled**, or ended by an error: there is no new file, and an old one of that name is as it
    was.

    Args:
        generations: what :func:`simulate` yields; all of one size, unless there is a window.
        path: the file.
        look: size and colours of a cell.
        ms: how long a frame is shown, in milliseconds; at most 65535.
        window: top, left, height and width of what is shown, for a plane.
        on_frame: is called with the number of frames written, after each.

    Returns:
        The number of frames.

    Raises:
        ValueError: the file's name ends in something else, ms is out of range, there is no
            generation, or one has another size than the first.
        MissingRequirementError: GIF is asked for, and Pillow is not installed.
        OSError: the file cannot be written.
    """
    path = Path(path)
    film_of = _FILMS.get(path.suffix.lower())
    if film_of is None:
        raise ValueError(f"{path.name!r} must end in one of {', '.join(_FILMS)}")
    if not 1 <= ms <= LONGEST_MS:
        raise ValueError(f"ms must be from 1 to {LONGEST_MS}, not {ms}")
    with _new_file(path) as file:
        return await _film(generations, partial(film_of, file, look, ms), window, on_frame)


async def _film(
    generations: AsyncIterable[Generation],
    film_of: Callable[[int, int], Film],
    window: tuple[int, int, int, int] | None,
    on_frame: Callable[[int], object] | None,
) -> int:
    frames, reel, film = 0, None, None
    size = (0, 0)
    async with scoped_tasks() as tasks:
        async for _, grid in generations:
            shown = grid if window is None else cut(grid, *window)
            if film is None or reel is None:
                size = shown.height, shown.width
                film = film_of(*size)
                reel = Reel(film, tasks, on_frame)
            if (shown.height, shown.width) != size:
                raise ValueError(
                    f"{shown!r} is no frame among those of {size[0]} × {size[1]}: give a window"
                )
            await reel.add(shown)
            frames += 1
        if reel is not None:
            await reel.drain()
    if film is None or reel is None:
        raise ValueError("there is no generation to draw")
    if reel.error is not None:
        raise reel.error
    await anyio.to_thread.run_sync(film.close)
    return frames


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that takes its name when the block ends, and vanishes if it fails."""
    part = Path(f"{path}.{token_hex(4)}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(part):
            error.filename = str(path)
        raise
