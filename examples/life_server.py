"""Show one Game of Life to many viewers: a web page, fed over WebSockets.

Run it and open the address that it prints (``pip install aconcur[life] websockets``)::

    python examples/life_server.py acorn --torus 256x256 --rate 30

One simulation serves all viewers, and never waits for one. It packs each generation once and
publishes it; a viewer that is ready takes the newest. A slow viewer skips generations: nothing is
queued for it, and it does not slow down the others.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncIterable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from aconcur.life import Bounds, Generation, classic, simulate

PAGE = Path(__file__).with_suffix(".html")


class Newest:
    """The newest generation, for any number of viewers.

    A frame is 8 bytes for the generation's number, and then a bit a cell, row after row.
    """

    def __init__(self) -> None:
        self._number, self._frame = -1, b""
        self._changed = asyncio.Event()

    def put(self, generation: Generation) -> None:
        """Publish a generation and wake every task that waits for a newer one."""
        grid = generation.grid
        cells = grid.bits.to_bytes((grid.height * grid.width + 7) // 8, "little")
        self._number = generation.number
        self._frame = generation.number.to_bytes(8, "big") + cells
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def after(self, number: int) -> tuple[int, bytes]:
        """Wait for a generation after this one; return the newest."""
        while self._number <= number:
            await self._changed.wait()
        return self._number, self._frame


async def live(generations: AsyncIterable[Generation], newest: Newest, rate: float) -> None:
    """Publish so many generations a second."""
    clock = asyncio.get_running_loop().time
    due = clock()
    async for generation in generations:
        newest.put(generation)
        # After a late generation the next ones come no faster than usual.
        due = max(due + 1 / rate, clock())
        await asyncio.sleep(due - clock())


async def watch(viewer: ServerConnection, newest: Newest, bounds: Bounds) -> None:
    """Send a viewer the newest generation again and again, as fast as it takes them."""
    number = -1
    with suppress(ConnectionClosed):
        await viewer.send(json.dumps({"height": bounds.height, "width": bounds.width}))
        while True:
            number, frame = await newest.after(number)
            await viewer.send(frame)  # waits until this viewer's connection has room


def answer(_: ServerConnection, request: Request) -> Response | None:
    """Answer a browser that asks for the page; a request for cells becomes a WebSocket."""
    if request.path == "/cells":
        return None
    found = request.path == "/"
    body = PAGE.read_bytes() if found else b"there is only /\n"
    kind = "text/html; charset=utf-8" if found else "text/plain"
    status = HTTPStatus.OK if found else HTTPStatus.NOT_FOUND
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(body))})
    return Response(status.value, status.phrase, headers, body)


async def run(
    generations: AsyncIterable[Generation], bounds: Bounds, rate: float, port: int
) -> None:
    """Serve until interrupted; print the address once the port is open."""
    newest = Newest()

    async def welcome(viewer: ServerConnection) -> None:
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch(viewer, newest, bounds))
            await viewer.wait_closed()
            watching.cancel()  # the simulation may have ended

    # Cells are bits: compressing them for each viewer would cost more than it saves.
    async with (
        serve(welcome, "127.0.0.1", port, process_request=answer, compression=None) as server,
        asyncio.TaskGroup() as tasks,
    ):
        print(f"http://127.0.0.1:{_port(server)}/", flush=True)
        tasks.create_task(live(generations, newest, rate))


def _port(server: Server) -> int:
    port: int = next(iter(server.sockets)).getsockname()[1]
    return port


def main() -> None:
    """Read the command line, and serve."""
    parser = argparse.ArgumentParser(description="One Game of Life for many viewers.")
    add = parser.add_argument
    add("pattern", nargs="?", default="acorn", help="a name from aconcur life --list")
    add("--torus", default="256x256", metavar="HxW", help="height and width (default: 256x256)")
    add("--rate", type=float, default=30, metavar="N", help="generations a second (default: 30)")
    add("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
    chosen = parser.parse_args()
    try:
        height, width = map(int, chosen.torus.split("x"))
        pattern = classic(chosen.pattern).inside(Bounds("torus", height, width))
        generations = simulate(pattern)
        if not chosen.rate > 0 or not 0 <= chosen.port < 65536:
            raise ValueError("--rate must be above 0, and --port from 0 to 65535")
    except (ValueError, MemoryError) as error:
        parser.error(str(error))
    with suppress(KeyboardInterrupt):
        asyncio.run(run(generations, Bounds("torus", height, width), chosen.rate, chosen.port))


if __name__ == "__main__":
    main()
