from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import anyio.lowlevel
import numpy as np
import pytest
from PIL import Image

from aconcur.errors import MissingRequirementError
from aconcur.life import Generation, Grid, Look, animate, write_png
from aconcur.life._images.gif import _use_numba
from aconcur.parallel import usable_cpus
from aconcur.testing import cancel_everywhere

Backend: TypeAlias = Literal["asyncio", "uvloop", "trio"]

GRIDS = [Grid.random(9, 21, seed=seed) for seed in range(4)]
DEAD, ALIVE = (16, 20, 32), (232, 240, 255)


class Stream:
    """Generations as simulate() yields them, with nothing to close."""

    def __init__(self, grids: Iterable[Grid]) -> None:
        self._grids = enumerate(grids)

    def __aiter__(self) -> AsyncIterator[Generation]:
        return self

    async def __anext__(self) -> Generation:
        await anyio.lowlevel.checkpoint()
        for number, grid in self._grids:
            return Generation(number, grid)
        raise StopAsyncIteration


def cells_of(image: object, scale: int) -> Grid:
    """Return the cells in a picture; all pixels of a cell must be of one colour, of two."""
    pixels = image.convert("RGB")  # type: ignore[attr-defined]
    across, down = (range(length) for length in pixels.size)
    colours = [[pixels.getpixel((x, y)) for x in across] for y in down]
    rows = [row[::scale] for row in colours[::scale]]
    assert all(colours[y][x] == rows[y // scale][x // scale] for x in across for y in down)
    assert {colour for row in rows for colour in row} <= {DEAD, ALIVE}
    return Grid.from_text(["".join("O" if cell == ALIVE else "." for cell in row) for row in rows])


@pytest.mark.parametrize("scale", [1, 2, 3, 5, 6, 8])
@pytest.mark.parametrize("size", [(1, 1), (5, 8), (9, 21), (4, 64)])
def test_a_png_shows_each_cell(tmp_path: Path, scale: int, size: tuple[int, int]) -> None:
    grid = Grid.random(*size, seed=1)
    write_png(grid, tmp_path / "a.png", Look(scale))
    with Image.open(tmp_path / "a.png") as image:
        assert (image.format, image.mode) == ("PNG", "P")
        assert cells_of(image, scale) == grid


@pytest.mark.parametrize("name", ["a.png", "a.APNG", "a.gif"])
@pytest.mark.parametrize("scale", [1, 2])
async def test_an_animation_shows_each_generation(tmp_path: Path, name: str, scale: int) -> None:
    heard: list[int] = []
    frames = await animate(
        Stream(GRIDS), tmp_path / name, Look(scale), ms=70, on_frame=heard.append
    )
    assert frames == 4
    assert heard == [1, 2, 3, 4]
    with Image.open(tmp_path / name) as image:
        assert getattr(image, "n_frames", 1) == 4
        assert image.info["loop"] == 0
        for number, grid in enumerate(GRIDS):
            image.seek(number)
            assert image.info["duration"] == 70
            assert cells_of(image, scale) == grid
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(("ms", "shown"), [(1, 20), (14, 20), (26, 30), (65_535, 65_540)])
async def test_a_gif_shows_frames_for_hundredths_of_a_second_but_at_least_the_shortest_delay(
    tmp_path: Path, ms: int, shown: int
) -> None:
    await animate(Stream(GRIDS), tmp_path / "a.gif", ms=ms)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.info["duration"] == shown


async def test_the_parts_of_an_animated_png_are_whole(tmp_path: Path) -> None:
    await animate(Stream(GRIDS), tmp_path / "a.png")
    file = io.BytesIO((tmp_path / "a.png").read_bytes())
    assert file.read(8) == b"\x89PNG\r\n\x1a\n"
    kinds = []
    while head := file.read(8):
        length, kind = struct.unpack(">I4s", head)
        data = file.read(length)
        assert struct.unpack(">I", file.read(4)) == (zlib.crc32(kind + data),)
        kinds.append(kind)
    assert kinds == [b"IHDR", b"PLTE", b"acTL", b"fcTL", b"IDAT", *[b"fcTL", b"fdAT"] * 3, b"IEND"]


async def test_a_window_keeps_the_frames_of_a_plane_alike(tmp_path: Path) -> None:
    moving = [Grid(1, 1, 1, top=y, left=2) for y in range(3)]
    with pytest.raises(ValueError, match="give a window"):
        await animate(Stream([Grid(1, 2), Grid(2, 1)]), tmp_path / "a.png")
    await animate(Stream(moving), tmp_path / "a.png", window=(0, 1, 3, 4))
    with Image.open(tmp_path / "a.png") as image:
        for number in range(3):
            image.seek(number)
            assert list(cells_of(image, 1).cells()) == [(number, 1)]


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("a.jpg", {}, "'a.jpg' must end in one of .png, .apng, .gif"),
        ("a.png", {"ms": 0}, "ms must be from 1 to 65535, not 0"),
        ("a.gif", {"ms": 65_536}, "ms must be from 1 to 65535, not 65536"),
    ],
)
async def test_wrong_arguments_are_refused(
    tmp_path: Path, name: str, options: dict[str, int], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        await animate(Stream(GRIDS), tmp_path / name, ms=options.get("ms", 50))
    assert not list(tmp_path.iterdir())


async def test_an_empty_stream_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no generation to draw"):
        await animate(Stream([]), tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.png", "a.gif"])
@pytest.mark.parametrize("where", ["on_frame", "the stream", "packing"])
async def test_an_error_is_raised_as_it_is_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, where: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(where)

    def failing() -> Iterator[Grid]:
        yield from GRIDS
        fail()

    if where == "packing":
        monkeypatch.setattr(Grid, "to_numpy", fail)
        monkeypatch.setattr(Look, "rows", fail)
    with pytest.raises(OSError, match=where):
        await animate(
            Stream(failing() if where == "the stream" else GRIDS),
            tmp_path / name,
            on_frame=fail if where == "on_frame" else None,
        )
    assert not list(tmp_path.iterdir())


async def test_memory_holds_as_many_frames_as_are_packed_at_once(tmp_path: Path) -> None:
    """The stream is not asked for more while the frames before it are not written."""
    begun = written = most = 0

    def hear(_: int) -> None:
        nonlocal written
        written += 1

    def counted() -> Iterator[Grid]:
        nonlocal begun, most
        for grid in GRIDS * 20:
            most = max(most, begun - written)
            begun += 1
            yield grid

    assert await animate(Stream(counted()), tmp_path / "a.png", on_frame=hear) == 80
    assert written == 80
    assert most <= usable_cpus()


async def test_without_pillow_gif_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingRequirementError, match=r"aconcur\[images\]"):
        await animate(Stream(GRIDS), tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("numba", [False, True])
@pytest.mark.parametrize("density", [0, 0.1, 0.5, 1])
async def test_pillow_and_the_kernel_write_the_same_gif(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numba: bool, density: float
) -> None:
    """The larger ones fill the table of phrases, which then begins anew."""
    monkeypatch.setattr("aconcur.life._images.gif._use_numba", lambda _: numba)
    for height, width, scale in ((1, 1, 1), (1, 9, 2), (7, 64, 3), (300, 301, 1), (150, 99, 2)):
        grids = [Grid.random(height, width, density=density, seed=seed) for seed in range(3)]
        await animate(Stream(grids), tmp_path / "a.gif", Look(scale))
        with Image.open(tmp_path / "a.gif") as image:
            assert getattr(image, "n_frames", 1) == len(grids)
            for number, grid in enumerate(grids):
                image.seek(number)
                alive = np.asarray(image.convert("RGB"))[:, :, 0] == ALIVE[0]
                expected = grid.to_numpy().repeat(scale, 0).repeat(scale, 1)
                assert np.array_equal(alive, expected)


def test_the_kernel_is_used_if_numba_is_imported_or_worth_importing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "numba", sys)
    assert _use_numba(1)
    monkeypatch.delitem(sys.modules, "numba")
    assert not _use_numba(1)
    assert _use_numba(1 << 28)
    monkeypatch.setitem(sys.modules, "numba", None)
    assert not _use_numba(1 << 28)


def test_a_wrong_scale_or_colour_is_refused() -> None:
    with pytest.raises(ValueError, match="scale must be from 1 to 64, not 0"):
        Look(0)
    with pytest.raises(ValueError, match="a colour must have the form #rrggbb, not 'red'"):
        Look(alive="red")


@pytest.mark.parametrize("name", ["a.png", "a.gif"])
@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_cancelled_anywhere_it_leaves_the_old_file(
    tmp_path: Path, name: str, backend: Backend
) -> None:
    path = tmp_path / name
    path.write_bytes(b"old")

    async def scenario() -> None:
        await animate(Stream(GRIDS), path)

    cancel_everywhere(scenario, backend=backend, grace=1.0).check()
    assert [left.name for left in tmp_path.iterdir()] == [name]
