"""Draw the Mandelbrot set to a PNG: a row of pixels an item, in a pool, an executor or a cluster.

``python examples/mandelbrot.py FILE [pool|executor|cluster] [WIDTH]``. The PNG is written row by
row as rows are ready, so a picture larger than memory works too.

The same with others, for comparison::

    with ProcessPoolExecutor() as executor:            # all rows are submitted and held at once
        rows = list(executor.map(row_of, range(height), chunksize=8))
    with multiprocessing.Pool() as pool:               # no limit to the rows that wait
        for row in pool.imap(row_of, range(height), chunksize=8): ...
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import BinaryIO

import anyio

from aconcur import parallel

STEPS = 80


def row_of(width: int, height: int, row: int) -> bytes:
    """Return the grey values of a row. Runs in a worker."""
    imaginary = 2.4 * row / height - 1.2
    return bytes(shade(complex(3.2 * x / width - 2.2, imaginary)) for x in range(width))


def shade(point: complex) -> int:
    """Return 0 for a point of the set, and more for one that leaves it sooner."""
    value = 0j
    for step in range(STEPS):
        value = value * value + point
        if abs(value) > 2:
            return 255 - 3 * step
    return 0


async def rows(where: str, width: int, height: int) -> AsyncIterator[bytes]:
    """Yield the rows from top to bottom."""
    draw = partial(row_of, width, height)
    if where == "pool":
        async with parallel.open_pool() as pool:
            async for row in pool.map(draw, range(height)):
                yield row  # noqa: ASYNC119 - iterated to its end
    elif where == "executor":
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as executor:
            async for row in parallel.map(draw, range(height), executor=executor):
                yield row  # noqa: ASYNC119 - iterated to its end
    else:
        async with parallel.cluster() as cluster:
            async for row in parallel.map(draw, range(height), executor=cluster):
                yield row  # noqa: ASYNC119 - iterated to its end


def write_chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    """Write a chunk of a PNG: its length, its kind, its data and their checksum."""
    checked = kind + data
    file.write(struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked)))


async def main(path: Path, where: str, width: int) -> None:
    """Draw."""
    height = 3 * width // 4
    packer = zlib.compressobj()
    with path.open("wb") as file:  # noqa: ASYNC230 - a page at a time
        file.write(b"\x89PNG\r\n\x1a\n")
        write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        async for row in rows(where, width, height):
            if data := packer.compress(b"\0" + row):
                write_chunk(file, b"IDAT", data)
        write_chunk(file, b"IDAT", packer.flush())
        write_chunk(file, b"IEND", b"")
    print(f"{path.name}: {width} × {height}")


if __name__ == "__main__":
    name, *others = sys.argv[1:]
    widths = [int(one) for one in others if one.isdigit()]
    ways = [one for one in others if not one.isdigit()]
    anyio.run(main, Path(name), ways[0] if ways else "pool", widths[0] if widths else 640)
