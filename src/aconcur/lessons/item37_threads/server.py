"""The other side of ``ask``: an echo server on loopback.

Rule: it lives in a process of its own, no longer than the
block that started it and never longer than its parent.
"""

from __future__ import annotations

__all__ = ("echo_server",)

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from multiprocessing import parent_process

from aconcur.lessons.item37_threads.child import child

# As long as a select of ours: about a quick database.
DELAY = 0.01


@contextmanager
def echo_server(backlog: int) -> Iterator[tuple[str, int]]:
    """Give the address of a server during the block.

    Args:
        backlog: how many callers may wait to be accepted.
    """
    # The parent listens: callers queue here from the first
    # moment, and need not wait until the child is up.
    with (
        socket.create_server(
            ("127.0.0.1", 0), backlog=backlog
        ) as listener,
        child(serve, listener),
    ):
        host, port = listener.getsockname()
        yield host, port


def serve(listener: socket.socket) -> None:
    """Answer until the parent process has gone."""
    asyncio.run(_serve(listener))


async def _serve(listener: socket.socket) -> None:
    parent = parent_process()
    assert parent is not None, "serve() runs in a child"
    orphaned = asyncio.Event()
    asyncio.get_running_loop().add_reader(
        parent.sentinel, orphaned.set
    )
    async with await asyncio.start_server(
        _answer, sock=listener
    ):
        await orphaned.wait()


async def _answer(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Send one line back, after the delay."""
    # Callers may hang up, or send 64 KiB without a line.
    with (
        closing(writer),
        suppress(ConnectionError, ValueError),
    ):
        question = await reader.readline()
        await asyncio.sleep(DELAY)
        writer.write(question)
        await writer.drain()
