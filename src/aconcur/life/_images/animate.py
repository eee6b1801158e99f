"""Write one generation as PNG, or many as animated PNG or GIF."""

from __future__ import annotations

__all__ = ("LONGEST_FRAME_MS", "animate", "write_png")

import os
from collections.abc import AsyncIterable, Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import anyio
import anyio.to_thread

from aconcur._core.atomic_file import replace_file
from aconcur._core.scoped_tasks import scoped_tasks
from aconcur.life._images.encoder import Encoder, FrameWriter
from aconcur.life._images.gif import Gif
from aconcur.life._images.look import Look
from aconcur.life._images.png import Apng, png
from aconcur.life._model.grid import Grid
from aconcur.life._model.window import cut
from aconcur.life._simulate import Generation

_DEFAULT_LOOK: Final = Look()

LONGEST_FRAME_MS: Final = 65_535
"""The longest time that a frame of an animation can be shown, in milliseconds."""

_WRITERS: Final[dict[str, Callable[[BinaryIO, Look, int, int, int], FrameWriter]]] = {
    ".png": Apng,
    ".apng": Apng,
    ".gif": Gif,
}


def write_png(grid: Grid, path: str | os.PathLike[str], look: Look = _DEFAULT_LOOK) -> None:
    """Write a grid as a PNG file of one bit a pixel.

    The file is replaced atomically: if writing fails, an old file of that name is unchanged.

    Args:
        grid: the cells.
        path: the file.
        look: size and colours of a cell.

    Raises:
        GridTooLargeError: the grid has too many cells to lay out.
        OSError: the file cannot be written.
    """
    with replace_file(path) as file:
        file.write(png(grid, look))


async def animate(
    generations: AsyncIterable[Generation],
    path: str | os.PathLike[str],
    look: Look = _DEFAULT_LOOK,
    *,
    ms: int = 50,
    window: tuple[int, int, int, int] | None = None,
    on_frame: Callable[[int], object] | None = None,
) -> int:
    """Write generations as an animated GIF (.gif) or an animated PNG (.png or .apng).

    ::

        await animate(simulate(Grid.random(256, 256), stop=100), "soup.gif", Look(scale=2))

    Frames are compressed in worker threads, one for each processor, and written in order; memory
    holds no more frames than that.

    **Cancelled**, or ended by an error: no file is written, and an old file of that name is
    unchanged.

    Args:
        generations: the output of :func:`simulate`, or any other generations; all have the same
            size unless there is a window.
        path: the file.
        look: size and colours of a cell.
        ms: the time that a frame is shown, in milliseconds, 1 to :data:`LONGEST_FRAME_MS`.
        window: top, left, height and width of the cells to show. A plane needs one, because its
            grids change their size.
        on_frame: called with the number of frames written, after each frame.

    Returns:
        The number of frames.

    Raises:
        ValueError: the file's name has another ending, ``ms`` is out of range, there is no
            generation, or a generation differs in size from the first.
        MissingRequirementError: the file is a GIF, and Pillow is not installed.
        OSError: the file cannot be written.
    """
    path = Path(path)
    writer_of = _WRITERS.get(path.suffix.lower())
    if writer_of is None:
        raise ValueError(f"{path.name!r} must end in one of {', '.join(_WRITERS)}")
    if not 1 <= ms <= LONGEST_FRAME_MS:
        raise ValueError(f"ms must be from 1 to {LONGEST_FRAME_MS}, not {ms}")
    with replace_file(path) as file:
        return await _write_frames(
            generations, partial(writer_of, file, look, ms), window, on_frame
        )


async def _write_frames(
    generations: AsyncIterable[Generation],
    writer_of: Callable[[int, int], FrameWriter],
    window: tuple[int, int, int, int] | None,
    on_frame: Callable[[int], object] | None,
) -> int:
    frames, encoder, writer = 0, None, None
    size = (0, 0)
    async with scoped_tasks() as tasks:
        async for _, grid in generations:
            shown = grid if window is None else cut(grid, *window)
            if writer is None or encoder is None:
                size = shown.height, shown.width
                writer = writer_of(*size)
                encoder = Encoder(writer, tasks, on_frame)
            if (shown.height, shown.width) != size:
                raise ValueError(
                    f"{shown!r} differs in size from the first frame, {size[0]} × {size[1]}: "
                    "give a window"
                )
            await encoder.add(shown)
            frames += 1
        if encoder is not None:
            await encoder.drain()
    if writer is None or encoder is None:
        raise ValueError("there is no generation to draw")
    if encoder.error is not None:
        raise encoder.error
    await anyio.to_thread.run_sync(writer.close)
    return frames
